/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xattr.c - the calls about extended attributes.
 *  (1) "tagfs." names are answered elsewhere and never stored.
 *  (2) A listing looks at LIST_STEP names under one hold of the tree lock.
 *      The place reached survives a missing node and the end of a step, so
 *      that it costs what it lists, however cold the tree is. */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "tfs.h"
#include "name/acl.h"
#include "name/xattr_item.h"

#define LIST_STEP	64u
#define TRUSTED		"trusted."

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
static int name_check(const struct tfs *fs, const char *name, bool write)
{
	static const char *const known[] = {
		"user.", TRUSTED, "security.",
	};
	size_t len = strlen(name);

	if (!len || len > TFS_NAME_MAX)
		return -ERANGE;
	if (has_prefix(name, "tagfs."))				/* (1) */
		return write ? -EPERM : -ENODATA;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (has_prefix(name, known[i]))
			return name[strlen(known[i])] ? 0 : -EINVAL;
	return is_acl(name) && !fs->opt.noacl ? 0 : -EOPNOTSUPP;
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
	int err = name_check(fs, name, false);

	if (!err)
		err = tfs_txn_read(fs, get_fn, &arg);
	return err ? err : arg.len;
}

static int set_fn(struct tfs_txn *tx, void *p)
{
	struct xattr_arg *arg = p;
	struct tfs_inode in;
	int err = tfs_inode_get(tx, arg->ino, &in);

	if (!err)
		err = tfs_unlocked(&in);
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
	int err = name_check(fs, name, true);

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

	if (!err)
		err = tfs_unlocked(&in);
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
	int err = name_check(fs, name, true);

	return err ? err : tfs_txn_write(fs, remove_fn, &arg, TFS_TXN_FREES);
}

/* ---- listing (2) --------------------------------------------------------- */

static bool named(const struct tfs_xattr *xa, const char *name)
{
	return xa->name_len == strlen(name) &&
		!memcmp(xa->name, name, xa->name_len);
}

static bool hidden(const struct tfs *fs, const struct tfs_xattr_list *ls,
		   const struct tfs_xattr *xa)
{
	if (fs->opt.noacl &&
	    (named(xa, TFS_ACL_ACCESS) || named(xa, TFS_ACL_DEFAULT)))
		return true;
	return !ls->trusted && xa->name_len >= strlen(TRUSTED) &&
		!memcmp(xa->name, TRUSTED, strlen(TRUSTED));
}

static int list_name(const struct tfs *fs, struct tfs_xattr_list *ls,
		     const struct tfs_xattr *xa)
{
	if (hidden(fs, ls, xa))
		return 0;
	if (ls->size) {
		if (ls->len + xa->name_len + 1 > ls->size)
			return -ERANGE;
		memcpy(ls->buf + ls->len, xa->name, xa->name_len);
		ls->buf[ls->len + xa->name_len] = '\0';
	}
	ls->len += xa->name_len + 1;
	return 0;
}

struct list_step {
	struct tfs_xattr_list *ls;
	unsigned int	left;		/* names that may still be looked at */
};

static int list_fn(struct tfs_txn *tx, void *p)
{
	struct list_step *st = p;
	struct tfs_xattr_list *ls = st->ls;
	struct tfs_xattr xa;
	int err;

	while (st->left && !ls->done) {
		err = tfs_xattr_next(tx, ls->ino, ls->at, &xa);
		if (err == -ENOENT) {
			ls->done = true;
			return 0;
		}
		if (!err)
			err = list_name(tfs_txn_fs(tx), ls, &xa);
		if (err)
			return err;
		ls->at = xa.off;
		ls->done = !tfs_xattr_step(&ls->at);
		st->left--;
	}
	return 0;
}

int tfs_xattr_list_step(struct tfs *fs, struct tfs_xattr_list *ls)
{
	struct list_step st = { .ls = ls, .left = LIST_STEP };

	return tfs_txn_read(fs, list_fn, &st);
}

ssize_t tfs_listxattr(struct tfs *fs, uint32_t ino, char *buf, size_t size,
		      bool trusted)
{
	struct tfs_xattr_list ls = {
		.ino = ino, .buf = buf, .size = size, .trusted = trusted,
	};
	int err = 0;

	while (!err && !ls.done)
		err = tfs_xattr_list_step(fs, &ls);
	return err ? err : (ssize_t)ls.len;
}
