/* SPDX-License-Identifier: GPL-2.0-or-later */
/* orphan.c - free inodes that have neither names nor users.
 *  (1) Content, then the items around it, each in bounded steps; the inode
 *      and its orphan item go last and together.  A crash between two steps
 *      leaves an orphan, smaller than before.
 *  (2) Without name and reference nobody can get at the inode any more:
 *      what step one found stays true.  Later steps look again all the same.
 *  (3) Damage in one orphan must not keep a filesystem from being mounted:
 *      it is reported and left for fsck.
 *  (4) Every look at the list goes on behind the last one, so that it ends.
 *  (5) An error leaves an orphan, as a crash does.  It is no error of the
 *      unlink or rename that took the last name: the helper tries once more,
 *      then the next mount does. */
#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "base/about.h"
#include "file/cut.h"
#include "file/extent.h"
#include "file/orphan.h"
#include "file/refs.h"

#define STEP	64u	/* items deleted per transaction */

struct reclaim {
	uint32_t	ino;
	bool		gone;		/* nothing left to do */
	bool		named;		/* an orphan item of a file with names:
					 * a truncate was cut short */
	bool		content;	/* there may be extents */
};

/* Is it still to be freed?  What is held is left to the last tfs_unref(). */
static int reclaim_check(struct tfs_txn *tx, struct reclaim *rc)
{
	struct tfs *fs = tfs_txn_fs(tx);
	struct tfs_inode in = { .ino = 0 };
	int err = tfs_inode_get(tx, rc->ino, &in);

	rc->gone = rc->named = false;
	if (err == -ENOENT)
		rc->gone = true;
	else if (err)
		return err;
	else
		rc->gone = in.nlink || tfs_refs_orphan(fs, rc->ino);
	rc->content = !rc->gone && S_ISREG(in.mode);
	rc->named = !err && in.nlink && S_ISREG(in.mode);
	return 0;
}

static int check_fn(struct tfs_txn *tx, void *p)
{
	return reclaim_check(tx, p);
}

static int reclaim_last(struct tfs_txn *tx, uint32_t ino)
{
	int err = tfs_txn_del(tx, tfs_key(ino, TFS_T_INODE, 0));

	if (!err)
		err = tfs_orphan_del(tx, ino);
	if (!err)
		tfs_txn_count(tx, -1, 0);
	return err;
}

/* Free extents, at most STEP. */
static int step_content(struct tfs_txn *tx, struct reclaim *rc, bool *more)
{
	struct tfs_punch punch;
	struct tfs_inode in;
	int err;

	*more = false;
	if (!rc->content)
		return 0;
	err = tfs_extent_punch(tx, rc->ino, 0, TFS_FILE_CLUSTERS, STEP,
			       &punch);
	*more = punch.next < TFS_FILE_CLUSTERS;
	if (err || !*more)
		return err;
	err = tfs_inode_get(tx, rc->ino, &in);
	in.clusters -= punch.mapped + punch.reserved;
	return err ? err : tfs_inode_put(tx, &in);
}

/* All that is the inode's and not the inode, of types that we don't know as
 * well. */
static int step_items(struct tfs_txn *tx, struct reclaim *rc)
{
	int err = tfs_txn_del_range(tx, tfs_key(rc->ino, 0, 0),
				    tfs_key(rc->ino, TFS_T_INODE, 0), STEP,
				    &rc->gone);

	if (err || !rc->gone)
		return err;
	return tfs_txn_del_range(tx, tfs_key(rc->ino, TFS_T_INODE, 1),
				 tfs_key(rc->ino, UINT8_MAX, UINT64_MAX), STEP,
				 &rc->gone);
}

/* Delete up to STEP extents, then as many other items; when there are no
 * more, the inode. */
static int step_fn(struct tfs_txn *tx, void *p)
{
	struct reclaim *rc = p;
	bool more;
	int err = reclaim_check(tx, rc);

	if (err || rc->gone)
		return err;
	err = step_content(tx, rc, &more);
	if (err || more)
		return err;
	err = step_items(tx, rc);
	return !err && rc->gone ? reclaim_last(tx, rc->ino) : err; /* (1) */
}

static int reclaim(struct tfs *fs, uint32_t ino)
{
	struct reclaim rc = { .ino = ino };
	int err = 0;

	if (tfs_rdonly(fs) && !fs->replaying)
		return -EROFS;
	while (!err && !rc.gone)
		err = tfs_txn_write(fs, step_fn, &rc, TFS_TXN_FREES);
	if (err)
		tfs_log_about(LOG_WARNING, &(struct tfs_about){ .ino = ino },
			      "inode %u: not freed: %s", ino, strerror(-err));
	return err;
}

int tfs_orphan_reclaim(struct tfs *fs, uint32_t ino)
{
	int err = reclaim(fs, ino);

	if (err)
		atomic_store(&fs->unfinished, true);		/* (5) */
	return err;
}

void tfs_unref(struct tfs *fs, uint32_t ino, uint64_t n)
{
	if (tfs_refs_drop(fs, ino, n))
		tfs_orphan_reclaim(fs, ino);
}

/* What a crash left of a truncate, or of an orphan. */
static int finish(struct tfs *fs, uint32_t ino)
{
	struct reclaim rc = { .ino = ino };
	int err = tfs_txn_read(fs, check_fn, &rc);

	if (!err && rc.named)
		return tfs_cut_finish(fs, ino);
	return err ? err : reclaim(fs, ino);
}

struct orphans {
	uint64_t	next;
	uint32_t	ino;
};

static int next_fn(struct tfs_txn *tx, void *p)
{
	struct orphans *or = p;
	struct tfs_item item;
	int err = tfs_txn_next_of(tx, tfs_key(0, TFS_T_ORPHAN, or->next),
				  &item);

	if (err)
		return err;
	or->next = item.key.off + 1;		/* 0: it was the last */
	if (item.len || !item.key.off || item.key.off > UINT32_MAX)
		return tfs_item_bad(&item.key, "bad orphan item");
	or->ino = (uint32_t)item.key.off;
	return 0;
}

/* (3), (4) */
int tfs_orphan_reclaim_all(struct tfs *fs)
{
	struct orphans or = { .next = 0 };
	uint64_t at;
	int err;

	for (;;) {
		at = or.next;
		err = tfs_txn_read(fs, next_fn, &or);
		if (err == -ENOENT)
			return 0;
		if (err == -EUCLEAN && or.next > at)
			continue;
		if (err == -EUCLEAN) {
			eng_log(LOG_WARNING, "orphans from inode %llu on can't "
				"be listed: not freed",
				(unsigned long long)at);
			return 0;
		}
		if (err)
			return err;
		err = finish(fs, or.ino);
		if (err == -ENOSPC)	/* the next mount will have more */
			return 0;
		if (err && err != -EUCLEAN && err != -EIO)
			return err;
	}
}

/* What is in use is left alone, and what fails again waits for a mount. */
void tfs_orphan_retry(struct tfs *fs)
{
	if (!tfs_rdonly(fs) && atomic_exchange(&fs->unfinished, false))
		tfs_orphan_reclaim_all(fs);
}
