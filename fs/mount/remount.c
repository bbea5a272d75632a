/* SPDX-License-Identifier: GPL-2.0-or-later */
/* remount.c - what of a mount can change while it is there.
 *
 *  (1) Read-only for now is not read-only for good: the log, the fence and
 *      the helper stay as they are, but every change is refused, and a
 *      checkpoint holds all that was done before.
 *  (2) That checkpoint says that nothing follows it, so another one that does
 *      not is durable before the first change after it.
 *  (3) What was mounted read-only because somebody asked for it can be written
 *      to later.  Until then it had a reader's lock or none, so first of all it
 *      takes what keeps others out; and nobody has written meanwhile, since
 *      whoever does begins with a slot, and whoever does without a leg of a
 *      mirror with a list.  Then it writes what a mount writes
 *      before it serves.  If that fails halfway, it stays read-only. */
#include <stdlib.h>
#include <string.h>

#include "base/fence.h"
#include "base/state.h"
#include "commit/ckpt.h"
#include "commit/super.h"
#include "core/dev.h"
#include "file/flaws.h"
#include "file/orphan.h"
#include "mount/legs.h"
#include "mount/mount.h"

static int to_rdonly(struct tfs *fs)
{
	int err = 0;

	if (tfs_rdonly(fs))
		return 0;
	tfs_flaws_store(fs, true);
	atomic_store(&fs->paused, true);	/* before the checkpoint: (1) */
	err = tfs_ckpt_force(fs, true);
	if (err)
		atomic_store(&fs->paused, false);
	return err;
}

static bool newer_super(struct tfs *fs)
{
	struct tfs_super now;

	for (unsigned int copy = 0; copy < 2; copy++)
		if (!tfs_super_look(fs, copy, &now) &&
		    now.seq > fs->super.seq)
			return true;
	return false;
}

static int same_still(struct tfs *fs, const struct tfs_slot *was)
{
	struct tfs_slot now;
	unsigned int odd;
	int err = tfs_legs_same(fs) ?: tfs_slot_read(fs, &now, &odd);

	if (!err && (now.number != was->number || now.seq != was->seq ||
		     now.used != was->used || newer_super(fs)))
		err = -ESTALE;
	if (err == -ESTALE)
		eng_log(LOG_ERR, "it was written elsewhere since it was "
			"mounted");
	return err;
}

/* (3) */
static int first_write(struct tfs *fs)
{
	struct tfs_slot slot = *fs->late;
	bool waited;
	int err = eng_dev_writable(fs->dev);

	if (err)
		return err;
	free(fs->late);
	fs->late = NULL;
	err = tfs_legs_fence(fs) ?: tfs_fence_take(fs, &waited);
	if (!err)
		eng_dev_drop_caches(fs->dev);
	if (!err)
		err = same_still(fs, &slot);
	if (!err)
		err = tfs_fence_start(fs);
	if (!err)
		err = tfs_start_writing(fs, &slot, fs->late_replayed);
	if (err) {
		eng_log(LOG_ERR, "it can't be written to: %s; read-only until "
			"it is mounted again", strerror(-err));
		return err;
	}
	__atomic_store_n(&fs->opt.rdonly, false, __ATOMIC_RELAXED);
	if (tfs_orphan_reclaim_all(fs))
		atomic_store(&fs->unfinished, true);
	return 0;
}

static int to_rw(struct tfs *fs)
{
	int err = 0;

	if (atomic_load(&fs->error) || (fs->opt.rdonly && !fs->late))
		return -EROFS;
	if (fs->opt.rdonly)
		return first_write(fs);
	if (!atomic_load(&fs->paused))
		return 0;
	err = tfs_ckpt_force(fs, false);			/* (2) */
	if (err)
		return err;
	atomic_store(&fs->unfinished, true);	/* what was refused meanwhile */
	atomic_store(&fs->paused, false);
	return 0;
}

int tfs_remount(struct tfs *fs, const struct tfs_mount *how)
{
	int err;

	pthread_mutex_lock(&fs->remount);
	err = how->rdonly ? to_rdonly(fs) : to_rw(fs);
	if (!err) {
		__atomic_store_n(&fs->opt.relatime, how->relatime,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&fs->opt.strictatime, how->strictatime,
				 __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&fs->remount);
	return err;
}
