/* SPDX-License-Identifier: GPL-2.0-or-later */
/* remount.c - what of a mount can change while it is there.
 *
 *  (1) Read-only for now is not read-only for good: the log, the fence and
 *      the helper stay as they are, but every change is refused, and a
 *      checkpoint holds all that was done before.
 *  (2) That checkpoint says that nothing follows it, so another one that does
 *      not is durable before the first change after it.
 *  (3) What was opened read-only has no place to write to and stays so. */
#include "base/state.h"
#include "commit/ckpt.h"
#include "file/flaws.h"

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

static int to_rw(struct tfs *fs)
{
	int err = 0;

	if (fs->opt.rdonly || atomic_load(&fs->error))		/* (3) */
		return -EROFS;
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
