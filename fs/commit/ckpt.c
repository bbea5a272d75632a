/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ckpt.c - checkpoints: the tree of one commit made durable.
 *
 *  (1) A checkpoint holds the tree exactly as of one commit, which is closed
 *      and logged at its boundary as any other.
 *  (2) The boundary only freezes the dirty nodes; they are written with no
 *      lock held, while the next commits go on with copies.
 *  (3) Order: nodes (and all data before them) written, flush, slot, flush.
 *      The slot that is overwritten is the older one.
 *  (4) What was freed up to that commit is reusable, and discarded, when the
 *      slot is durable and every read that began before the boundary is over.
 *      So is what the log holds up to there.
 *  (5) If a write or flush fails, the filesystem is read-only from then on:
 *      the medium still holds the last good checkpoint, and nothing of it
 *      was reused, because of (4).
 *  (6) One checkpoint at a time; callers that arrive while one runs share
 *      the next.
 *  (7) What must not fail does not ask for memory under a lock: before the
 *      boundary a checkpoint that gets none does not happen, after it the
 *      checkpoint waits.  Healing is optional: what can't be healed now is
 *      tried by another checkpoint.
 *  (8) If the log can't take the commit of the boundary, the checkpoint takes
 *      its place: no other commit is closed until it is durable. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cluster.h"
#include "base/fence.h"
#include "base/gate.h"
#include "base/state.h"
#include "tree/alloc.h"
#include "tree/btree.h"
#include "tree/fetch.h"
#include "tree/ncache.h"
#include "commit/ckpt.h"
#include "commit/commit.h"

#define IN_FLIGHT	64	/* node writes at once */
#define MEMORY_WAIT	10000	/* microseconds until it is asked for again */
#define MEMORY_TRIES	500u

/* (7) No lock of the tree is held.  False: that has been going on for long. */
static bool wait_memory(unsigned int *tries)
{
	if (*tries == MEMORY_TRIES)
		return false;
	++*tries;
	usleep(MEMORY_WAIT);
	return true;
}

/* ---- writing nodes -------------------------------------------------------- */

struct flight {
	struct tfs	*fs;
	pthread_mutex_t	lock;
	pthread_cond_t	cond;
	unsigned int	n;
	int		err;
};

static void node_written(struct eng_io *io)
{
	struct flight *fl = io->arg;
	void *buf = io->iov[0].iov_base;
	int err = io->err;

	eng_io_put(io);
	eng_buf_put(fl->fs->dev, buf, fl->fs->csize);
	pthread_mutex_lock(&fl->lock);
	if (err && !fl->err)
		fl->err = err;
	fl->n--;
	pthread_cond_signal(&fl->cond);
	pthread_mutex_unlock(&fl->lock);
}

/* From a sealed copy: others may be copying the node itself. */
static int write_copy(struct flight *fl, const struct tfs_node *node,
		      unsigned int copy)
{
	struct tfs *fs = fl->fs;
	struct tfs_record rec = {
		.kind = TFS_K_NODE, .owner = node->level, .index = copy,
		.seq = node->ptr.seq,
	};
	struct eng_io *io = eng_io_get(fs->dev, fs->ipc, 1);
	void *buf = io ? eng_buf_get(fs->dev, fs->csize) : NULL;
	int err = buf ? tfs_ncache_copy(fs, node, buf) : -ENOMEM;

	if (err) {
		eng_io_put(io);
		if (buf)
			eng_buf_put(fs->dev, buf, fs->csize);
		return err;
	}
	tfs_node_seal(fs, buf, node->ptr.seq);
	io->op = ENG_WRITE;
	io->start = node->ptr.addr[copy] * fs->ipc;
	io->end = node_written;
	io->arg = fl;
	eng_io_add(io, buf, fs->csize);
	tfs_tag_fill(fs, &rec, node->ptr.addr[copy], 0, fs->ipc, io->tags);
	pthread_mutex_lock(&fl->lock);
	while (fl->n >= IN_FLIGHT)
		pthread_cond_wait(&fl->cond, &fl->lock);
	fl->n++;
	pthread_mutex_unlock(&fl->lock);
	eng_io_submit(io);
	return 0;
}

static int start_node(struct flight *fl, const struct tfs_node *node,
		      unsigned int *tries)
{
	int err = 0;

	for (unsigned int i = 0; i < 2 && !err; i++)
		do
			err = write_copy(fl, node, i);
		while (err == -ENOMEM && wait_memory(tries));
	return err;
}

static void wait_flight(struct flight *fl)
{
	pthread_mutex_lock(&fl->lock);
	while (fl->n)
		pthread_cond_wait(&fl->cond, &fl->lock);
	pthread_mutex_unlock(&fl->lock);
}

/* (7) All of them again if the device had no memory for some: what is there
 * already is the same. */
static int write_nodes(struct tfs *fs, struct tfs_node *list)
{
	struct flight fl = { .fs = fs };
	unsigned int tries = 0;
	int err;

	pthread_mutex_init(&fl.lock, NULL);
	pthread_cond_init(&fl.cond, NULL);
	do {
		err = fl.err = 0;
		for (struct tfs_node *n = list; n && !err; n = n->next)
			err = start_node(&fl, n, &tries);
		wait_flight(&fl);
		err = err ? err : fl.err;
	} while (err == -ENOMEM && wait_memory(&tries));
	pthread_cond_destroy(&fl.cond);
	pthread_mutex_destroy(&fl.lock);
	return err;
}

/* ---- one checkpoint ------------------------------------------------------- */

struct boundary {
	struct tfs_slot	slot;
	struct tfs_node	*nodes;
	struct tfs_runs freed;
	unsigned int	ticket;
	uint64_t	log_used;	/* clusters of the log before it */
	bool		passed;
	bool		logged;
};

/* Copy one node as if it had changed.  -ENOENT: it has. */
static int heal_node(struct tfs *fs, const struct tfs_miss *f,
		     struct tfs_miss *miss)
{
	struct tfs_need need = { .mark = tfs_btree_new_mark(fs) };
	int err = tfs_btree_touch_to(fs, f->low, f->level, &need, miss);

	if (!err)
		err = tfs_btree_names(fs, f);
	if (!err)
		err = tfs_pool_fill(fs, need.nodes, 0, fs->reserve / 4, miss);
	if (!err)
		tfs_btree_rewrite(fs, f->low, f->level);
	return err;
}

/* The first left nodes of the list.  (7) */
static int heal(struct tfs *fs, size_t *left, struct tfs_miss *miss)
{
	while (*left) {
		struct tfs_miss f = tfs_ncache_heal_at(fs, *left - 1);
		int err = heal_node(fs, &f, miss);

		if (err == TFS_MISS)
			return err;
		--*left;
		if (!err || err == -ENOENT)
			tfs_ncache_heal_drop(fs, *left);
	}
	return 0;
}

static void freeze(struct tfs *fs, bool clean, struct boundary *b)
{
	size_t count;

	tfs_alloc_serialise(fs);
	b->freed = fs->frees;
	fs->frees = (struct tfs_runs){ 0 };
	b->nodes = tfs_ncache_freeze(fs, &count);
	b->slot = (struct tfs_slot){
		.number = fs->slot_number + 1,
		.seq = fs->seq,
		.used = fs->seq,
		.root = fs->root,
		.root_level = fs->root_level,
		.free = fs->free + tfs_pool_clusters(fs) + b->freed.clusters +
			fs->freemap->unreachable + fs->freemap->aside,
		.reserved = fs->reserved,
		.inodes = fs->inodes,
		.next_ino = fs->next_ino,
		.flags = clean ? TFS_SLOT_CLEAN : 0,
	};
	b->ticket = fs->epoch & 1;
	fs->epoch++;
	tfs_commit_close(fs);
	fs->born = 0;
	fs->dirty = tfs_ncache_heal_new(fs);
	b->passed = true;
}

static int prepare_once(struct tfs *fs, bool clean, struct boundary *b,
			size_t *heals, struct tfs_miss *miss)
{
	int err;

	pthread_rwlock_wrlock(&fs->tree);
	err = heal(fs, heals, miss);
	if (!err)
		err = tfs_alloc_prepare(fs, miss);
	if (!err && (fs->seq >= TFS_SEQ_MAX ||
		     fs->slot_number >= TFS_SLOT_NUMBER_MAX))
		err = -EOVERFLOW;
	if (!err && b)
		freeze(fs, clean, b);
	return tfs_tree_unlock(fs, err, miss);
}

/* Bring in and copy what storing free space will change; b: then freeze. */
static int prepare(struct tfs *fs, bool clean, struct boundary *b,
		   size_t heals)
{
	struct tfs_miss miss;
	unsigned int tries = 0;
	int err;

	do {
		err = prepare_once(fs, clean, b, &heals, &miss);
		if (err == TFS_MISS) {
			err = tfs_node_fetch(fs, &miss);
			if (err && heals) {	/* its path can't be read */
				heals--;
				err = 0;
			}
			err = err ? err : TFS_MISS;
		}
	} while (err == TFS_MISS || (err == -ENOMEM && wait_memory(&tries)));
	return err == TFS_SHORT ? -ENOSPC : err;
}

static size_t heals_due(struct tfs *fs)
{
	size_t n;

	pthread_rwlock_wrlock(&fs->tree);
	n = tfs_ncache_heals(fs);
	pthread_rwlock_unlock(&fs->tree);
	return n;
}

/* (1), (2), (8): returns as leader if the commit is not in the log. */
static int pass_boundary(struct tfs *fs, bool clean, struct boundary *b)
{
	/* Reads while others go on. */
	int err = prepare(fs, clean, NULL, heals_due(fs));

	tfs_lead(fs);
	if (!err) {
		tfs_gate_close(fs);
		err = prepare(fs, clean, b, 0);
		tfs_gate_open(fs);
	}
	if (!err)
		err = tfs_commit_log(fs);
	b->logged = !err;
	b->slot.log_pos = fs->log.head;
	b->slot.chain = fs->log.chain;
	b->log_used = atomic_load(&fs->log.used);
	if (err <= 0)
		tfs_unlead(fs);
	return err < 0 ? err : 0;
}

/* (3), (7) */
static int write_out(struct tfs *fs, struct boundary *b)
{
	unsigned int tries = 0;
	int err;

	tfs_fence_look(fs);
	err = atomic_load(&fs->error);
	if (!err)
		err = write_nodes(fs, b->nodes);
	if (!err)
		err = eng_dev_flush(fs->dev);
	if (err)
		return err;
	do
		err = tfs_slot_write(fs, &b->slot);
	while (err == -ENOMEM && wait_memory(&tries));
	return err;
}

static void discard_runs(struct tfs *fs, const struct tfs_runs *freed)
{
	for (size_t i = 0; i < freed->n && fs->opt.discard; i++) {
		int err = eng_dev_discard(fs->dev,
					  freed->run[i].addr * fs->ipc,
					  freed->run[i].len * fs->ipc);

		if (!err)
			continue;
		eng_log(LOG_WARNING, "discard failed, no more of it: %s",
			strerror(-err));
		fs->opt.discard = false;
	}
}

static int checkpoint(struct tfs *fs, bool clean)
{
	struct boundary b = { .freed = { 0 } };
	int err = pass_boundary(fs, clean, &b);

	if (err) {	/* (7): without memory there was none */
		if (b.passed || err != -ENOMEM)
			tfs_fail(fs, err, "checkpoint");
		tfs_runs_clear(&b.freed);
		return err;
	}
	err = write_out(fs, &b);
	if (err)
		tfs_fail(fs, err, "checkpoint");
	tfs_readers_drain(fs, b.ticket);
	if (!err)
		discard_runs(fs, &b.freed);
	pthread_rwlock_wrlock(&fs->tree);
	if (!err) {	/* else they stay frozen: memory alone has them */
		tfs_ncache_thaw(fs, b.nodes);
		fs->slot_number = b.slot.number;
		tfs_freemap_release(fs, &b.freed);	/* (4) */
		atomic_fetch_sub(&fs->log.used, b.log_used);
	}
	pthread_rwlock_unlock(&fs->tree);
	if (!b.logged) {					/* (8) */
		if (!err)
			tfs_commit_superseded(fs, b.slot.seq);
		tfs_unlead(fs);
	}
	tfs_runs_clear(&b.freed);
	atomic_fetch_add(&fs->count.checkpoints, 1);
	return err;
}

static bool is_dirty(struct tfs *fs)
{
	bool dirty;

	pthread_rwlock_rdlock(&fs->tree);
	dirty = fs->dirty || fs->frees.n || tfs_ncache_dirty_count(fs) ||
		tfs_freemap_dirty(fs);
	pthread_rwlock_unlock(&fs->tree);
	return dirty;
}

/* (6).  force: even if nothing changed. */
static int run(struct tfs *fs, bool force, bool clean)
{
	struct tfs_ckpt *ck = &fs->ckpt;
	uint64_t want;
	int err;

	pthread_mutex_lock(&ck->lock);
	want = ck->started + 1;
	while (ck->running && ck->done < want)
		pthread_cond_wait(&ck->cond, &ck->lock);
	if (ck->done >= want) {
		err = ck->result;
		pthread_mutex_unlock(&ck->lock);
		return err;
	}
	ck->running = true;
	ck->started++;
	pthread_mutex_unlock(&ck->lock);

	err = atomic_load(&fs->error);
	if (!err && (force || is_dirty(fs)))
		err = checkpoint(fs, clean);

	pthread_mutex_lock(&ck->lock);
	ck->running = false;
	ck->done = ck->started;
	ck->result = err;
	pthread_cond_broadcast(&ck->cond);
	pthread_mutex_unlock(&ck->lock);
	return err;
}

/* Whoever waits for a checkpoint starts one of his own after this. */
static void take(struct tfs_ckpt *ck)
{
	pthread_mutex_lock(&ck->lock);
	while (ck->running)
		pthread_cond_wait(&ck->cond, &ck->lock);
	ck->running = true;
	pthread_mutex_unlock(&ck->lock);
}

static void give(struct tfs_ckpt *ck)
{
	pthread_mutex_lock(&ck->lock);
	ck->running = false;
	pthread_cond_broadcast(&ck->cond);
	pthread_mutex_unlock(&ck->lock);
}

/* What is bad goes first, so that a power cut leaves the other copy. */
static void bad_first(struct tfs *fs, const struct tfs_slot_survey *s)
{
	for (unsigned int leg = 1; leg <= TFS_LEGS_MAX; leg++)
		for (unsigned int i = 0; i < 4; i++)
			if (s->bad[leg] >> i & 1)
				fs->slot_first[i / 2] = i % 2;
}

static int rewrite_slots(struct tfs *fs)
{
	int err = atomic_load(&fs->error);

	for (unsigned int i = 0; i < 2 && !err; i++)
		err = checkpoint(fs, false);
	return err;
}

/* (6) */
int tfs_ckpt_slots(struct tfs *fs, struct tfs_slot_survey *found,
		   struct tfs_slot_survey *left)
{
	int err;

	take(&fs->ckpt);
	err = tfs_slot_survey(fs, found);
	*left = *found;
	if (!err && found->any && !tfs_rdonly(fs)) {
		bad_first(fs, found);
		if (!rewrite_slots(fs))
			err = tfs_slot_survey(fs, left);
	}
	give(&fs->ckpt);
	return err;
}

int tfs_ckpt_run(struct tfs *fs)
{
	return tfs_begun_rdonly(fs) ? 0 : run(fs, false, false);
}

int tfs_ckpt_force(struct tfs *fs, bool clean)
{
	return run(fs, true, clean);
}
