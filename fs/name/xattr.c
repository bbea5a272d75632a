/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xattr.c - the calls about extended attributes.
 *  (1) "tagfs." names are answered elsewhere and never stored. */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "name/acl.h"
#include "name/xattr_item.h"

static bool has_prefix(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

static bool is_acl(const char *name)
{
	return !strcmp(name, TFS_ACL_ACCESS) || !strcmp(name, TFS_ACL_DEFAULT);
}

/* The name spaces are those of other Linux filesystems; and our own, which
 * is written by nobody. */
static int name_check(const char *name, bool write)
{
	static const char *const known[] = {
		"user.", "trusted.", "security.",
	};
	size_t len = strlen(name);

	if (!len || len > TFS_NAME_MAX)
		return -ERANGE;
	if (has_prefix(name, "tagfs."))				/* (1) */
		return write ? -EPERM : -ENODATA;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (has_prefix(name, known[i]))
			return name[strlen(known[i])] ? 0 : -EINVAL;
	return is_acl(name) ? 0 : -EOPNOTSUPP;
}

struct xattr_arg {
	uint32_t	ino;
	const char	*name;
	void		*buf;
	const void	*value;
	size_t		size;
	int		flags;
	bool		kill_sgid;
	struct timespec	now;
	ssize_t		len;
};

static int get_fn(struct tfs_txn *tx, void *p)
{
	struct xattr_arg *arg = p;

	arg->len = tfs_xattr_get(tx, arg->ino, arg->name, arg->buf, arg->size);
	return arg->len < 0 ? (int)arg->len : 0;
}

ssize_t tfs_getxattr(struct tfs *fs, uint32_t ino, const char *name,
		     void *buf, size_t size)
{
	struct xattr_arg arg = {
		.ino = ino, .name = name, .buf = buf, .size = size,
	};
	int err = name_check(name, false);

	if (!err)
		err = tfs_txn_read(fs, get_fn, &arg);
	return err ? err : arg.len;
}

static int set_fn(struct tfs_txn *tx, void *p)
{
	struct xattr_arg *arg = p;
	struct tfs_inode in;
	int err = tfs_inode_get(tx, arg->ino, &in);

	if (err)
		return err;
	if (is_acl(arg->name))
		err = tfs_acl_set(tx, &in, arg->name, arg->value, arg->size,
				  arg->kill_sgid);
	else
		err = tfs_xattr_put(tx, arg->ino, arg->name, arg->value,
				    arg->size, arg->flags);
	if (err)
		return err;
	in.ctime = arg->now;
	return tfs_inode_put(tx, &in);
}

int tfs_setxattr(struct tfs *fs, uint32_t ino, const char *name,
		 const void *value, size_t size, int flags, bool kill_sgid)
{
	struct xattr_arg arg = {
		.ino = ino, .name = name, .value = value, .size = size,
		.flags = flags, .kill_sgid = kill_sgid, .now = tfs_now(),
	};
	int err = name_check(name, true);

	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	if (size > TFS_XATTR_VALUE_MAX)
		return -E2BIG;
	return err ? err : tfs_txn_write(fs, set_fn, &arg, 0);
}

static int remove_fn(struct tfs_txn *tx, void *p)
{
	struct xattr_arg *arg = p;
	struct tfs_inode in;
	int err = tfs_inode_get(tx, arg->ino, &in);

	if (err)
		return err;
	if (is_acl(arg->name))
		err = tfs_acl_set(tx, &in, arg->name, NULL, 0, false);
	else
		err = tfs_xattr_del(tx, arg->ino, arg->name);
	if (err)
		return err;
	in.ctime = arg->now;
	return tfs_inode_put(tx, &in);
}

int tfs_removexattr(struct tfs *fs, uint32_t ino, const char *name)
{
	struct xattr_arg arg = {
		.ino = ino, .name = name, .now = tfs_now(),
	};
	int err = name_check(name, true);

	return err ? err : tfs_txn_write(fs, remove_fn, &arg, TFS_TXN_FREES);
}

static int list_fn(struct tfs_txn *tx, void *p)
{
	struct xattr_arg *arg = p;
	struct tfs_xattr xa;
	uint64_t at = 0;
	char *to = arg->buf;
	size_t len = 0;
	int err;

	do {
		err = tfs_xattr_next(tx, arg->ino, at, &xa);
		if (err)
			break;
		if (arg->size) {
			if (len + xa.name_len + 1 > arg->size)
				return -ERANGE;
			memcpy(to + len, xa.name, xa.name_len);
			to[len + xa.name_len] = '\0';
		}
		len += xa.name_len + 1;
		at = xa.off;
	} while (tfs_xattr_step(&at));
	arg->len = (ssize_t)len;
	return err == -ENOENT ? 0 : err;
}

ssize_t tfs_listxattr(struct tfs *fs, uint32_t ino, char *buf, size_t size)
{
	struct xattr_arg arg = { .ino = ino, .buf = buf, .size = size };
	int err = tfs_txn_read(fs, list_fn, &arg);

	return err ? err : arg.len;
}
