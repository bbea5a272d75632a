/* SPDX-License-Identifier: GPL-2.0-or-later */
/* acl.c - POSIX access control lists.
 *  (1) A list is only stored if it says more than the mode can; what both
 *      can say, both always say the same.
 *  (2) Lists are checked when they come in, and again when they are read:
 *      then a bad one is damage.
 *  (3) A list is changed in place, in the bytes of its attribute: entries
 *      neither come nor go.
 * Which entries may follow which, and what create and chmod do to them, is
 * POSIX 1003.1e draft 17, as Linux has it. */
#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/about.h"
#include "name/acl.h"
#include "name/xattr_item.h"
#include "tfs.h"

#define NO_ID	0xffffffffu

struct entry {
	unsigned int	tag, perm;
	uint32_t	id;
};

static size_t acl_count(size_t size)
{
	return (size - sizeof(struct posix_acl_xattr_header)) /
		sizeof(struct posix_acl_xattr_entry);
}

static size_t acl_pos(size_t i)
{
	return sizeof(struct posix_acl_xattr_header) +
		i * sizeof(struct posix_acl_xattr_entry);
}

static struct entry acl_entry(const void *acl, size_t i)
{
	struct posix_acl_xattr_entry e;

	memcpy(&e, (const char *)acl + acl_pos(i), sizeof(e));
	return (struct entry){
		le16toh(e.e_tag), le16toh(e.e_perm), le32toh(e.e_id),
	};
}

static void acl_perm(void *acl, size_t i, unsigned int perm)
{
	struct posix_acl_xattr_entry e;
	char *at = (char *)acl + acl_pos(i);

	memcpy(&e, at, sizeof(e));
	e.e_perm = htole16((uint16_t)perm);
	memcpy(at, &e, sizeof(e));
}

/* What may come after: owner, users, group, groups, mask, other, nothing. */
enum { AT_OWNER, AT_USERS, AT_GROUPS, AT_OTHER, AT_END };

/* The state after e; -1: it may not stand here. */
static int acl_step(int state, struct entry e, bool *named)
{
	switch (e.tag) {
	case ACL_USER_OBJ:
		return state == AT_OWNER ? AT_USERS : -1;
	case ACL_USER:
		*named = true;
		return state == AT_USERS && e.id != NO_ID ? AT_USERS : -1;
	case ACL_GROUP_OBJ:
		return state == AT_USERS ? AT_GROUPS : -1;
	case ACL_GROUP:
		*named = true;
		return state == AT_GROUPS && e.id != NO_ID ? AT_GROUPS : -1;
	case ACL_MASK:
		return state == AT_GROUPS ? AT_OTHER : -1;
	case ACL_OTHER:
		if (state == AT_OTHER || (state == AT_GROUPS && !*named))
			return AT_END;
		return -1;
	default:
		return -1;
	}
}

int tfs_acl_check(const void *acl, size_t size)
{
	struct posix_acl_xattr_header head;
	int state = AT_OWNER;
	bool named = false;
	struct entry e;

	if (size < sizeof(head) ||
	    (size - sizeof(head)) % sizeof(struct posix_acl_xattr_entry))
		return -EINVAL;
	memcpy(&head, acl, sizeof(head));
	if (le32toh(head.a_version) != POSIX_ACL_XATTR_VERSION)
		return -EOPNOTSUPP;
	if (!acl_count(size))
		return 1;
	for (size_t i = 0; i < acl_count(size); i++) {
		e = acl_entry(acl, i);
		if (e.perm & ~7u)
			return -EINVAL;
		state = acl_step(state, e, &named);
		if (state < 0)
			return -EINVAL;
	}
	return state == AT_END ? 0 : -EINVAL;
}

int tfs_acl_equiv(const void *acl, size_t size, uint32_t *mode)
{
	uint32_t bits = 0;
	int more = 0;
	struct entry e;

	for (size_t i = 0; i < acl_count(size); i++) {
		e = acl_entry(acl, i);
		switch (e.tag) {
		case ACL_USER_OBJ:
			bits |= e.perm << 6;
			break;
		case ACL_GROUP_OBJ:
			bits |= e.perm << 3;
			break;
		case ACL_OTHER:
			bits |= e.perm;
			break;
		case ACL_MASK:
			bits = (bits & ~070u) | e.perm << 3;
			more = 1;
			break;
		default:
			more = 1;
		}
	}
	*mode = (*mode & ~0777u) | bits;
	return more;
}

/* The entry that the group bits of a mode speak of: the mask if there is
 * one, else the owning group. */
static size_t acl_group_class(const void *acl, size_t size)
{
	size_t at = 0;
	unsigned int tag;

	for (size_t i = 0; i < acl_count(size); i++) {
		tag = acl_entry(acl, i).tag;
		if (tag == ACL_MASK)
			return i;
		if (tag == ACL_GROUP_OBJ)
			at = i;
	}
	return at;
}

static void acl_and(void *acl, size_t i, unsigned int perm)
{
	acl_perm(acl, i, acl_entry(acl, i).perm & perm);
}

/* Owner comes first and other last: tfs_acl_check() saw to it. */
int tfs_acl_mask(void *acl, size_t size, uint32_t *mode)
{
	acl_and(acl, 0, *mode >> 6 & 7);
	acl_and(acl, acl_group_class(acl, size), *mode >> 3 & 7);
	acl_and(acl, acl_count(size) - 1, *mode & 7);
	return tfs_acl_equiv(acl, size, mode);
}

void tfs_acl_set_mode(void *acl, size_t size, uint32_t mode)
{
	acl_perm(acl, 0, mode >> 6 & 7);
	acl_perm(acl, acl_group_class(acl, size), mode >> 3 & 7);
	acl_perm(acl, acl_count(size) - 1, mode & 7);
}

/* The list of an inode; malloced into *out.  -ENODATA: it has none. */
static int acl_load(struct tfs_txn *tx, uint32_t ino, const char *name,
		    void **out, size_t *size)
{
	ssize_t len = tfs_xattr_get(tx, ino, name, NULL, 0);
	int err;

	*out = NULL;
	if (len < 0)
		return (int)len;
	*out = malloc((size_t)len + 1);
	if (!*out)
		return -ENOMEM;
	*size = (size_t)len;
	len = tfs_xattr_get(tx, ino, name, *out, *size + 1);
	err = len < 0 ? (int)len : 0;
	if (!err && tfs_acl_check(*out, *size)) {	/* (2) */
		tfs_log_about(LOG_ERR, &(struct tfs_about){
				.ino = ino, .check = "structure" },
			      "inode %u: %s is damaged", ino, name);
		err = -EUCLEAN;
	}
	if (err) {
		free(*out);
		*out = NULL;
	}
	return err;
}

int tfs_acl_chmod(struct tfs_txn *tx, const struct tfs_inode *in)
{
	void *acl;
	size_t size;
	int err;

	if (S_ISLNK(in->mode))
		return 0;
	err = acl_load(tx, in->ino, TFS_ACL_ACCESS, &acl, &size);
	if (err)
		return err == -ENODATA ? 0 : err;
	tfs_acl_set_mode(acl, size, in->mode);
	err = tfs_xattr_put(tx, in->ino, TFS_ACL_ACCESS, acl, size, 0);
	free(acl);
	return err;
}

int tfs_acl_inherit(struct tfs_txn *tx, const struct tfs_inode *dir,
		    struct tfs_inode *in, uint32_t umask)
{
	void *acl;
	size_t size;
	int err;

	if (S_ISLNK(in->mode))
		return 0;
	err = tfs_txn_fs(tx)->opt.noacl ? -ENODATA :
		acl_load(tx, dir->ino, TFS_ACL_DEFAULT, &acl, &size);
	if (err == -ENODATA) {
		in->mode &= ~(umask & 0777);
		return 0;
	}
	if (err)
		return err;
	if (S_ISDIR(in->mode))
		err = tfs_xattr_put_new(tx, in->ino, 1, TFS_ACL_DEFAULT, acl,
					size);
	if (!err && tfs_acl_mask(acl, size, &in->mode))		/* (1) */
		err = tfs_xattr_put_new(tx, in->ino, 0, TFS_ACL_ACCESS, acl,
					size);
	free(acl);
	return err;
}

/* That there is none to remove is no error: Linux filesystems agree. */
static int acl_remove(struct tfs_txn *tx, uint32_t ino, const char *name)
{
	int err = tfs_xattr_del(tx, ino, name);

	return err == -ENODATA ? 0 : err;
}

int tfs_acl_set(struct tfs_txn *tx, struct tfs_inode *in, const char *name,
		const void *acl, size_t size, bool kill_sgid)
{
	int none = size ? tfs_acl_check(acl, size) : 1;

	if (S_ISLNK(in->mode))
		return -EOPNOTSUPP;
	if (none < 0)
		return none;
	if (none)
		return acl_remove(tx, in->ino, name);
	if (!strcmp(name, TFS_ACL_DEFAULT)) {
		if (!S_ISDIR(in->mode))
			return -EACCES;
	} else {
		if (kill_sgid)
			in->mode &= ~(uint32_t)S_ISGID;
		if (!tfs_acl_equiv(acl, size, &in->mode))	/* (1) */
			return acl_remove(tx, in->ino, name);
	}
	return tfs_xattr_put(tx, in->ino, name, acl, size, 0);
}
