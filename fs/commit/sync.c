/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sync.c - who waits for commits and checkpoints: changes that need space or
 * come too fast, and callers that want what they did to be durable.
 *
 *  (1) What a handle was promised is there when it is taken: nobody else is
 *      given it.
 *  (2) Whoever waits for a commit becomes leader or waits for one, so that one
 *      flush answers all.
 *  (3) A commit that the log could not take is durable by a checkpoint.
 *  (4) Giving back what was taken for a handle cannot fail: there is memory
 *      for it as long as the handle is open.  No list of what was freed is
 *      handed over to a checkpoint meanwhile.
 *  (5) What a reservation covers is refused only if there is no space when
 *      nobody else has been promised any: a reservation keeps its word. */
#include "base/fence.h"
#include "base/gate.h"
#include "base/notes.h"
#include "base/nowait.h"
#include "base/state.h"
#include "tree/freemap.h"
#include "tree/ncache.h"
#include "commit/ckpt.h"
#include "commit/commit.h"
#include "commit/log.h"
#include "commit/sync.h"

#define DIRTY_NODES	4096u	/* due; overdue at four times that */
#define DIRTY_REGIONS	512u
#define PENDING_RUNS	65536u
#define BORN_BYTES	(4ull << 30)

/* ---- pressure ------------------------------------------------------------- */

/* How many times over the bounds: 0 not due, 4 and more overdue. */
static unsigned int pressure(const struct tfs *fs)
{
	uint64_t used = atomic_load(&fs->log.used), n, worst;
	uint64_t size = fs->super.log_clusters;

	worst = tfs_ncache_dirty_count(fs) / DIRTY_NODES;
	n = tfs_freemap_dirty(fs) / DIRTY_REGIONS;
	worst = n > worst ? n : worst;
	n = fs->frees.n / PENDING_RUNS;
	worst = n > worst ? n : worst;
	n = fs->born * fs->csize / BORN_BYTES;
	worst = n > worst ? n : worst;
	n = used > size / 8 * 7 ? 4 : used > size / 2;
	return n > worst ? n : worst;
}

int tfs_throttle(struct tfs *fs)
{
	bool now_ckpt, now_commit;
	unsigned int ckpt, commit;

	if (tfs_must_not_wait() && tfs_fence_due(fs))
		return TFS_WAITS;
	tfs_fence_look(fs);
	pthread_rwlock_rdlock(&fs->tree);
	ckpt = pressure(fs);
	commit = tfs_commit_pressure(fs);
	pthread_rwlock_unlock(&fs->tree);
	now_ckpt = ckpt >= 4 || (ckpt && !fs->helper_runs);
	now_commit = commit >= 2 || (commit && !fs->helper_runs);
	if ((now_ckpt || now_commit) && tfs_may_wait())
		return TFS_WAITS;
	if (now_ckpt)
		tfs_ckpt_run(fs);
	else if (ckpt)
		tfs_note_ckpt(fs);
	if (now_commit)
		tfs_sync(fs);
	else if (commit)
		tfs_note_commit(fs);
	return 0;
}

/* ---- handles -------------------------------------------------------------- */

/* What frees space, or takes what it was promised, goes as low as a change
 * inside of a handle may: see txn.c (4).  -ENOSPC: not now; *alone: though no
 * other handle was promised anything. */
static int promise(struct tfs *fs, const struct tfs_handle *h, bool *alone)
{
	uint64_t left = fs->reserve / 4, rest, pool;
	int err = 0;

	if (!h->frees && h->claimed < h->data)
		left = fs->reserve;
	pthread_rwlock_wrlock(&fs->tree);
	*alone = !fs->promised;
	rest = fs->reserved > h->claimed ? fs->reserved - h->claimed : 0;
	left += tfs_reserved_space(fs, rest) + fs->promised;
	/* Places that wait in the pool are the tree's, too. */
	pool = tfs_pool_clusters(fs);
	if (pool > h->meta)
		pool = h->meta;
	if (fs->free + pool < h->data + h->meta + left)
		err = -ENOSPC;
	if (!err)
		err = tfs_free_reserve(fs, h->runs);		/* (4) */
	if (!err) {
		fs->may_free += h->runs;
		fs->promised += h->data + h->meta;
	}
	pthread_rwlock_unlock(&fs->tree);
	return err;
}

int tfs_handle_get(struct tfs *fs, const struct tfs_handle *h)
{
	bool alone, covered = h->claimed >= h->data;
	int err, tries = 2;

	if (tfs_must_not_wait())
		return TFS_WAITS;
	tfs_throttle(fs);
	for (;;) {
		if (tfs_rdonly(fs))
			return -EROFS;
		tfs_gate_enter(fs);
		err = promise(fs, h, &alone);
		if (!err)
			return 0;
		tfs_gate_leave(fs);
		if (err != -ENOSPC)
			return err;
		/* What others hold is theirs for a moment only (5). */
		if ((alone || !covered) && !tries--)
			return -ENOSPC;
		err = tfs_may_wait() ?: tfs_ckpt_run(fs);
		if (err)
			return err;
	}
}

void tfs_handle_put(struct tfs *fs, const struct tfs_handle *h)
{
	atomic_fetch_sub(&fs->promised, h->data + h->meta);
	atomic_fetch_sub(&fs->may_free, h->runs);
	tfs_gate_leave(fs);
}

/* ---- waiting -------------------------------------------------------------- */

/* (2) */
static int wait_durable(struct tfs *fs, uint64_t want)
{
	struct tfs_ckpt *ck = &fs->ckpt;
	int err = 0;

	pthread_mutex_lock(&ck->lock);
	while (!err && ck->durable < want) {
		if (ck->leading) {
			pthread_cond_wait(&ck->cond, &ck->lock);
			continue;
		}
		ck->leading = true;
		pthread_mutex_unlock(&ck->lock);
		err = tfs_commit_lead(fs);
		tfs_unlead(fs);
		if (err > 0)
			err = tfs_ckpt_force(fs, false);	/* (3) */
		pthread_mutex_lock(&ck->lock);
	}
	pthread_mutex_unlock(&ck->lock);
	return err;
}

int tfs_sync(struct tfs *fs)
{
	uint64_t want;

	if (tfs_begun_rdonly(fs))
		return 0;
	if (atomic_load(&fs->error))
		return atomic_load(&fs->error);
	pthread_rwlock_rdlock(&fs->tree);
	want = fs->running->n ? fs->seq : fs->seq - 1;
	pthread_rwlock_unlock(&fs->tree);
	return wait_durable(fs, want);
}

/* A commit is of everything, so there is nothing smaller to make durable. */
int tfs_fsync(struct tfs *fs, uint32_t ino, bool datasync)
{
	(void)ino;
	(void)datasync;
	return tfs_sync(fs);
}
