/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mount.c - bring a filesystem up and down.
 *
 *  (1) A read-write mount writes a checkpoint slot before anything else, which
 *      says that sequences begin far beyond what an earlier life could have
 *      put on the medium: a (cluster, sequence) pair is never written twice,
 *      and no commit of a lost timeline is ever the next one.
 *  (2) A read-only mount writes nothing.
 *  (3) What was replayed from the log is written as a checkpoint before
 *      anything is served or logged.  Until that is durable, the old
 *      checkpoint and the log stay as they were.
 *  (4) Until all that is done, there is one thread, but for the fence's.
 *  (5) Where it can't be done, for lack of space under the device or because
 *      writing fails, what was found can be read: the mount is read-only.
 *  (6) A mount that may write keeps other hosts out first.  What was read
 *      while it waited for one of them is read again.
 *  (7) The legs of a mirror know who is missing before anything else is
 *      written, and have the same superblocks and slots before anything is
 *      served: cuts may have left them different.
 *  (8) A read-only mount that was merely asked for can begin to write later:
 *      all that comes before a write is done then; see remount.c. */
#include <stdlib.h>
#include <string.h>

#include "base/fence.h"
#include "base/gate.h"
#include "base/notes.h"
#include "tree/freemap.h"
#include "tree/ncache.h"
#include "commit/ckpt.h"
#include "commit/commit.h"
#include "commit/super.h"
#include "file/flaws.h"
#include "file/orphan.h"
#include "file/refs.h"
#include "mount/helper.h"
#include "mount/legs.h"
#include "mount/mount.h"
#include "mount/recover.h"

#define CACHE_DEFAULT	(64u << 20)
#define RESERVE_MIN	256ull
#define RESERVE_MAX	16384ull

struct tfs *tfs_alloc_fs(struct eng_dev *dev)
{
	struct tfs *fs = calloc(1, sizeof(*fs));
	pthread_rwlockattr_t attr;
	pthread_condattr_t clock;

	if (!fs)
		return NULL;
	fs->dev = dev;
	fs->geo = eng_dev_geometry(dev);
	pthread_rwlockattr_init(&attr);
	/* Readers come without end; nobody takes the lock twice. */
	pthread_rwlockattr_setkind_np(&attr,
				      PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&fs->tree, &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_init(&fs->ckpt.lock, NULL);
	pthread_cond_init(&fs->ckpt.cond, NULL);
	pthread_mutex_init(&fs->helper_lock, NULL);
	pthread_mutex_init(&fs->remount, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&fs->helper_cond, &clock);
	pthread_condattr_destroy(&clock);
	return fs;
}

void tfs_free_fs(struct tfs *fs)
{
	if (!fs)
		return;
	free(fs->late);
	tfs_commits_destroy(fs);
	tfs_flaws_destroy(fs);
	tfs_refs_destroy(fs->refs);
	tfs_freemap_destroy(fs->freemap);
	tfs_ncache_destroy(fs->nodes);
	tfs_runs_clear(&fs->frees);
	tfs_notes_clear(fs);
	pthread_cond_destroy(&fs->helper_cond);
	pthread_mutex_destroy(&fs->helper_lock);
	pthread_mutex_destroy(&fs->remount);
	pthread_cond_destroy(&fs->ckpt.cond);
	pthread_mutex_destroy(&fs->ckpt.lock);
	pthread_rwlock_destroy(&fs->tree);
	free(fs);
}

/* What both mkfs and mount need once the superblock is known. */
int tfs_setup(struct tfs *fs)
{
	size_t cache = fs->opt.cache ? fs->opt.cache : CACHE_DEFAULT;
	uint64_t n = fs->super.clusters / 32;
	int err;

	fs->reserve = n < RESERVE_MIN ? RESERVE_MIN :
		n > RESERVE_MAX ? RESERVE_MAX : n;
	tfs_record_key_init(&fs->key, fs->super.nonce);
	err = tfs_commits_create(fs);
	if (!err)
		err = tfs_ncache_create(&fs->nodes, cache, fs->csize);
	if (!err)
		err = tfs_freemap_create(&fs->freemap, fs);
	if (!err)
		err = tfs_refs_create(&fs->refs);
	if (!err)
		err = tfs_flaws_create(fs);
	return err;
}

void tfs_take_slot(struct tfs *fs, const struct tfs_slot *slot)
{
	fs->root = slot->root;
	fs->root_level = slot->root_level;
	fs->free = slot->free;
	fs->reserved = slot->reserved;
	fs->inodes = slot->inodes;
	fs->next_ino = slot->next_ino;
	fs->slot_number = slot->number;
	fs->seq = tfs_slot_top(slot) + TFS_SEQ_JUMP + 1;
	atomic_store(&fs->settled, slot->seq);
}

/* (1) The same checkpoint once more, and that this life has begun.  Where
 * nothing is to be replayed, it is the checkpoint of the new sequence. */
int tfs_begin_life(struct tfs *fs, struct tfs_slot *slot, bool replayed)
{
	int err;

	slot->number++;
	slot->used = fs->seq - 1;
	slot->flags = 0;
	if (!replayed)
		slot->seq = slot->used;
	err = tfs_slot_write(fs, slot);
	pthread_rwlock_wrlock(&fs->tree);
	fs->slot_number = slot->number;
	pthread_rwlock_unlock(&fs->tree);
	return err;
}

/* The root must be there: a mount that can't list it is none. */
static int check_root(struct tfs *fs)
{
	struct tfs_inode root;
	int err = tfs_getattr(fs, TFS_ROOT_INO, &root);

	if (err == -ENOENT || (!err && !S_ISDIR(root.mode)))
		err = -EUCLEAN;
	if (err)
		eng_log(LOG_ERR, "the root directory can't be read: %s",
			strerror(-err));
	return err;
}

/* A damaged or outdated copy: both are rewritten, the bad one first. */
static int repair_super(struct tfs *fs)
{
	bool old = !(fs->super.incompat & TFS_INCOMPAT_LOG);

	if (fs->super_outdated < 0 && !old && !fs->legs)
		return 0;
	fs->super.incompat |= TFS_INCOMPAT_LOG;
	fs->super.seq++;
	return tfs_super_write(fs, fs->super_outdated > 0);
}

/* (3): what was replayed is in a checkpoint before anything else is. */
int tfs_start_writing(struct tfs *fs, struct tfs_slot *slot, bool replayed)
{
	int err;

	tfs_fence_look(fs);	/* reading the log may take long */
	err = atomic_load(&fs->error);
	if (!err)
		err = tfs_legs_begin(fs, slot->seq);		/* (7) */
	if (!err)
		err = tfs_begin_life(fs, slot, replayed);
	if (!err && (replayed || fs->legs))
		err = tfs_ckpt_force(fs, false);
	if (!err)
		err = repair_super(fs);
	tfs_lead(fs);
	fs->log.on = !err;
	fs->log.newest = fs->seq - 1;
	pthread_mutex_lock(&fs->ckpt.lock);
	fs->ckpt.durable = fs->log.newest;
	pthread_mutex_unlock(&fs->ckpt.lock);
	tfs_unlead(fs);
	return err;
}

/* (5) */
static void only_read(struct tfs *fs, struct tfs_mount *how, int err)
{
	eng_log(LOG_ERR, "nothing can be written: %s; mounting read-only",
		strerror(-err));
	fs->opt.rdonly = how->rdonly = true;
}

static int open_rw(struct tfs *fs, struct tfs_slot *slot, bool replayed,
		   struct tfs_mount *how)
{
	int err = tfs_start_writing(fs, slot, replayed);

	if (!err)
		err = tfs_orphan_reclaim_all(fs);
	if (!err || err == -ENOMEM || err == -EBUSY)
		return err;
	only_read(fs, how, err);
	return 0;
}

static void warn_reader(struct tfs *fs)
{
	char host[TFS_FENCE_NODE + 1];

	if (fs->opt.fence && tfs_fence_held(fs, host))
		eng_log(LOG_WARNING, "host %s may be writing to this "
			"filesystem: what is read may be out of date", host);
}

/* (6) */
static int keep_out_others(struct tfs *fs, struct tfs_mount *how)
{
	bool waited = false;
	int err = 0;

	if (fs->opt.rdonly)
		warn_reader(fs);
	else
		err = tfs_legs_fence(fs) ?: tfs_fence_take(fs, &waited);
	if (err && err != -EBUSY && err != -EINTR && err != -ENOMEM) {
		only_read(fs, how, err);
		return 0;
	}
	if (!err && waited) {
		eng_dev_drop_caches(fs->dev);
		err = tfs_super_read(fs);
	}
	return err ? err : tfs_fence_start(fs);
}

int tfs_in_use(struct eng_dev *dev, const struct tfs_mount *how, bool wait,
	       char *host)
{
	struct tfs *fs = tfs_alloc_fs(dev);
	int err;

	if (!fs)
		return -ENOMEM;
	fs->opt = *how;
	err = tfs_super_read(fs);
	if (!err)
		err = tfs_fence_held(fs, host);
	if (err > 0 && wait)
		err = tfs_fence_watch(fs);
	tfs_free_fs(fs);
	return err;
}

/* (8)  What was found odd is for a mount of its own. */
static void keep_for_later(struct tfs *fs, const struct tfs_slot *slot,
			   bool replayed, bool asked)
{
	if (!asked || *fs->doubt || fs->opt.image ||
	    fs->opt.rescue || fs->super.ro_compat & ~TFS_RO_COMPAT_KNOWN)
		return;
	fs->late_replayed = replayed;
	fs->late = malloc(sizeof(*slot));
	if (fs->late)
		*fs->late = *slot;
}

int tfs_open(struct tfs **out, struct eng_dev *dev, struct tfs_mount *how)
{
	struct tfs *fs = tfs_alloc_fs(dev);
	struct tfs_slot slot;
	bool replayed, asked = how->rdonly;
	unsigned int odd;
	int err;

	*out = NULL;
	if (!fs)
		return -ENOMEM;
	fs->opt = *how;
	err = tfs_super_read(fs);
	if (!err && !how->image)
		err = tfs_super_whole(fs);
	if (!err)
		err = tfs_legs_find(fs);
	if (err)
		goto fail;
	if (fs->super.ro_compat & ~TFS_RO_COMPAT_KNOWN && !how->rdonly) {
		eng_log(LOG_WARNING, "made by a newer version: mounting "
			"read-only");
		how->rdonly = true;
	}
	fs->opt = *how;
	err = keep_out_others(fs, how);
	if (!err)
		err = tfs_slot_read(fs, &slot, &odd);
	if (!err)
		err = tfs_setup(fs);
	if (err)
		goto fail;
	tfs_take_slot(fs, &slot);
	fs->slots_odd = odd;
	if (how->ready)
		err = how->ready(how->ready_arg, fs);
	if (!err)
		err = tfs_recover(fs, &slot, odd, how, &replayed);
	fs->opt.rdonly = how->rdonly;
	if (!err)
		err = check_root(fs);
	if (!err && !how->rdonly)
		err = open_rw(fs, &slot, replayed, how);
	if (!err)
		err = tfs_flaws_load(fs);
	if (!err)
		err = tfs_helper_start(fs);	/* (4) */
	if (err)
		goto fail;
	keep_for_later(fs, &slot, replayed, asked);
	*out = fs;
	return 0;
fail:
	tfs_helper_stop(fs);
	tfs_fence_leave(fs);
	tfs_legs_end(fs);
	tfs_free_fs(fs);
	return err;
}

int tfs_close(struct tfs *fs)
{
	int err = 0;

	if (!fs)
		return 0;
	tfs_readers_wait(fs);
	tfs_helper_stop(fs);
	tfs_flaws_store(fs, true);
	if (!fs->opt.rdonly && !atomic_load(&fs->paused))
		err = tfs_ckpt_force(fs, true);
	tfs_fence_leave(fs);
	tfs_legs_end(fs);
	tfs_free_fs(fs);
	return err;
}
