/* SPDX-License-Identifier: GPL-2.0-or-later */
/* access.c - access times, kept within a day and later than the last change,
 * or all of them.
 *
 *  (1) One that can't be kept is no error of the read.
 *  (2) Whoever holds a reader's ticket keeps none: the change may wait for a
 *      checkpoint, and that for the ticket. */
#include "file/access.h"
#include "file/inode.h"
#include "commit/txn.h"
#include "base/nowait.h"
#include "base/state.h"

#define DAY	86400

static bool older(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec :
		a->tv_nsec <= b->tv_nsec;
}

/* A remount may change the options. */
static bool kept(const struct tfs *fs)
{
	return __atomic_load_n(&fs->opt.relatime, __ATOMIC_RELAXED) &&
	       !tfs_rdonly(fs);
}

bool tfs_access_due(const struct tfs *fs, const struct tfs_inode *in,
		    struct timespec now)
{
	if (!kept(fs) || in->flags & TFS_INODE_NOATIME)
		return false;
	return __atomic_load_n(&fs->opt.strictatime, __ATOMIC_RELAXED) ||
	       older(&in->atime, &in->mtime) ||
	       older(&in->atime, &in->ctime) ||
	       in->atime.tv_sec + DAY <= now.tv_sec;
}

struct access_arg {
	uint32_t	ino;
	struct timespec	now;
	struct tfs_inode in;
};

/* -EALREADY: not due. */
static int access_look(struct tfs_txn *tx, void *p)
{
	struct access_arg *a = p;
	int err = tfs_inode_get(tx, a->ino, &a->in);

	if (!err && !tfs_access_due(tfs_txn_fs(tx), &a->in, a->now))
		err = -EALREADY;
	return err;
}

static int access_fn(struct tfs_txn *tx, void *p)
{
	struct access_arg *a = p;
	int err = access_look(tx, p);

	a->in.atime = a->now;
	return err ? err : tfs_inode_put(tx, &a->in);
}

int tfs_accessed(struct tfs *fs, uint32_t ino)
{
	struct access_arg a = { .ino = ino, .now = tfs_now() };
	int err;

	if (!kept(fs))
		return 0;
	err = tfs_txn_read(fs, access_look, &a);
	if (!err)
		err = tfs_must_not_wait() ? TFS_WAITS :
			tfs_txn_write(fs, access_fn, &a, 0);
	return err == TFS_WAITS ? err : 0;	/* else: (1) */
}
