/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attr.c - ask for attributes, and change them.
 *  (1) When the mode changes, so does the access ACL, in one transaction:
 *      the kernel leaves that to us and only drops what it had cached.
 *  (2) The size is set last: a call that failed has not changed it.  Other
 *      attributes may have changed then, privileges taken away included. */
#include "tfs.h"
#include "file/resize.h"
#include "name/acl.h"
#include "name/xattr_item.h"

/* ---- get and set ---------------------------------------------------------- */

struct attr_arg {
	uint32_t		ino;
	unsigned int		mask;
	struct timespec		now;
	const struct tfs_inode	*set;
	struct tfs_inode	*out;
};

static int getattr_fn(struct tfs_txn *tx, void *p)
{
	struct attr_arg *arg = p;

	return tfs_inode_get(tx, arg->ino, arg->out);
}

int tfs_getattr(struct tfs *fs, uint32_t ino, struct tfs_inode *out)
{
	struct attr_arg arg = { .ino = ino, .out = out };

	return tfs_txn_read(fs, getattr_fn, &arg);
}

static void set_times(struct tfs_inode *in, const struct attr_arg *arg)
{
	if (arg->mask & TFS_SET_ATIME)
		in->atime = arg->set->atime;
	if (arg->mask & TFS_SET_MTIME)
		in->mtime = arg->set->mtime;
	in->ctime = arg->mask & TFS_SET_CTIME ? arg->set->ctime : arg->now;
}

/* A new owner, as a write by a stranger, takes the privileges away; that
 * comes before a mode set by the same call. */
static int set_owner(struct tfs_txn *tx, struct tfs_inode *in,
		     const struct attr_arg *arg)
{
	const unsigned int kills =
		TFS_SET_UID | TFS_SET_GID | TFS_KILL_PRIV;
	int err;

	if (!(arg->mask & kills))
		return 0;
	if (arg->mask & TFS_SET_UID)
		in->uid = arg->set->uid;
	if (arg->mask & TFS_SET_GID)
		in->gid = arg->set->gid;
	if (S_ISDIR(in->mode))
		return 0;
	tfs_kill_priv(in);
	err = tfs_xattr_del(tx, in->ino, "security.capability");
	return err == -ENODATA ? 0 : err;
}

static int setattr_fn(struct tfs_txn *tx, void *p)
{
	struct attr_arg *arg = p;
	struct tfs_inode in;
	int err;

	err = tfs_inode_get(tx, arg->ino, &in);
	if (err)
		return err;
	err = set_owner(tx, &in, arg);
	if (err)
		return err;
	if (arg->mask & TFS_SET_MODE) {
		in.mode = (in.mode & S_IFMT) | (arg->set->mode & 07777);
		err = tfs_acl_chmod(tx, &in);		/* (1) */
		if (err)
			return err;
	}
	set_times(&in, arg);
	*arg->out = in;
	/* What the kernel sends after each unlink; a name would set it anew. */
	if (arg->mask == TFS_SET_CTIME && !in.nlink)
		return 0;
	return tfs_inode_put(tx, &in);
}

static bool time_valid(struct timespec ts)
{
	return ts.tv_nsec >= 0 && ts.tv_nsec < 1000000000;
}

int tfs_setattr(struct tfs *fs, uint32_t ino, unsigned int mask,
		struct tfs_inode *attr)
{
	struct tfs_inode want = *attr;
	struct attr_arg arg = {
		.ino = ino, .mask = mask & ~(unsigned int)TFS_SET_SIZE,
		.now = tfs_now(), .set = &want, .out = attr,
	};
	unsigned int flags = 0;
	int err = 0;

	if ((mask & TFS_SET_ATIME && !time_valid(want.atime)) ||
	    (mask & TFS_SET_MTIME && !time_valid(want.mtime)) ||
	    (mask & TFS_SET_CTIME && !time_valid(want.ctime)))
		return -EINVAL;
	if (mask & TFS_SET_SIZE)
		flags = TFS_TXN_FREES;
	if (arg.mask || !mask)	/* chown() of nothing is a change, too */
		err = tfs_txn_write(fs, setattr_fn, &arg, flags);
	if (err || !(mask & TFS_SET_SIZE))
		return err;
	return tfs_truncate(fs, ino, want.size, mask & TFS_SET_MTIME ?
			    TFS_WRITE_CACHED : 0, attr);	/* (2) */
}
