/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attr.c - ask for attributes, and change them.
 *  (1) When the mode changes, so does the access ACL, in one transaction:
 *      the kernel leaves that to us and only drops what it had cached.
 *  (2) The size is set last: a call that failed has not changed it.  Other
 *      attributes may have changed then, privileges taken away included.
 *  (3) A program that does not know flags must not mount what has some, so
 *      the superblock says that there may be before the first one is set. */
#include <errno.h>
#include <linux/fs.h>

#include "tfs.h"
#include "base/state.h"
#include "commit/super.h"
#include "file/refs.h"
#include "file/resize.h"
#include "name/acl.h"
#include "name/xattr_item.h"

/* ---- get and set ---------------------------------------------------------- */

struct attr_arg {
	uint32_t		ino;
	unsigned int		mask;
	bool			size;	/* that is to be set as well */
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

/* With delayed writes the kernel sends the times of what was changed when it
 * likes, so that it may be after a flag was set. */
static int may_set(const struct tfs_inode *in, const struct attr_arg *arg)
{
	const unsigned int late = TFS_SET_MTIME | TFS_SET_CTIME;
	const unsigned int times = TFS_SET_ATIME | late;

	if (arg->size || arg->mask & ~times)
		return tfs_unlocked(in);
	if (arg->mask & TFS_SET_CTIME && !(arg->mask & ~late))
		return 0;
	return tfs_mutable(in);
}

static int setattr_fn(struct tfs_txn *tx, void *p)
{
	struct attr_arg *arg = p;
	struct tfs_inode in;
	int err;

	err = tfs_inode_get(tx, arg->ino, &in);
	if (!err)
		err = may_set(&in, arg);
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
		.size = mask & TFS_SET_SIZE, .now = tfs_now(), .set = &want,
		.out = attr,
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

/* ---- flags ---------------------------------------------------------------- */

/* As fs.h has them, and the two ways that linux/fs.h has. */
static const struct { uint32_t tfs, fl, xfl; } flag_map[] = {
	{ TFS_INODE_IMMUTABLE, FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE },
	{ TFS_INODE_APPEND, FS_APPEND_FL, FS_XFLAG_APPEND },
	{ TFS_INODE_NODUMP, FS_NODUMP_FL, FS_XFLAG_NODUMP },
	{ TFS_INODE_NOATIME, FS_NOATIME_FL, FS_XFLAG_NOATIME },
};
#define FLAGS	(sizeof(flag_map) / sizeof(flag_map[0]))

uint32_t tfs_flags_out(uint32_t flags, bool xflags)
{
	uint32_t out = 0;

	for (size_t i = 0; i < FLAGS; i++)
		if (flags & flag_map[i].tfs)
			out |= xflags ? flag_map[i].xfl : flag_map[i].fl;
	return out;
}

int tfs_flags_in(uint32_t flags, bool xflags, uint32_t *out)
{
	*out = 0;
	for (size_t i = 0; i < FLAGS; i++) {
		uint32_t bit = xflags ? flag_map[i].xfl : flag_map[i].fl;

		if (flags & bit)
			*out |= flag_map[i].tfs;
		flags &= ~bit;
	}
	return flags ? -EOPNOTSUPP : 0;
}

/* (3) */
static int announce(struct tfs *fs, uint32_t flags)
{
	uint64_t bits = 0;
	int err;

	if (flags & TFS_INODE_LOCKS)
		bits |= TFS_INCOMPAT_LOCKS;
	if (flags & TFS_INODE_HEIRLOOMS)
		bits |= TFS_INCOMPAT_MARKS;

	pthread_mutex_lock(&fs->remount);
	err = tfs_rdonly(fs) ? -EROFS : 0;
	if (!err)
		err = tfs_super_need(fs, bits);
	pthread_mutex_unlock(&fs->remount);
	return err;
}

bool tfs_has_locks(const struct tfs *fs)
{
	return fs->super.incompat & TFS_INCOMPAT_LOCKS;
}

static int setflags_fn(struct tfs_txn *tx, void *p)
{
	struct attr_arg *arg = p;
	struct tfs_inode *in = arg->out;
	int err = tfs_inode_get(tx, arg->ino, in);

	if (err)
		return err;
	if (arg->mask & TFS_INODE_LOCKS && !S_ISREG(in->mode) &&
	    !S_ISDIR(in->mode))
		return -EOPNOTSUPP;
	in->flags = (in->flags & ~TFS_INODE_USER) | arg->mask;
	in->ctime = arg->now;
	return tfs_inode_put(tx, in);
}

int tfs_setflags(struct tfs *fs, uint32_t ino, uint32_t flags,
		 struct tfs_inode *out)
{
	struct attr_arg arg = {
		.ino = ino, .mask = flags, .now = tfs_now(), .out = out,
	};
	int err;

	if (flags & ~TFS_INODE_USER)
		return -EOPNOTSUPP;
	err = flags ? announce(fs, flags) : 0;
	if (!err)
		err = tfs_range_lock(fs, ino, 0, TFS_FILE_CLUSTERS);
	if (err)
		return err;
	err = tfs_txn_write(fs, setflags_fn, &arg, 0);
	tfs_range_unlock(fs, ino, 0, TFS_FILE_CLUSTERS);
	return err;
}
