/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resilver.c - see resilver.h.
 *
 *  (1) Who is behind gets every write, so only what is older is missing.  It
 *      is what a walk over the tree finds, nodes and extents, that was born
 *      after the leg was left behind.
 *  (2) Each is read with the tags that it must have and looked at on every
 *      leg; what is there already is not written again.  So doing it once
 *      more costs reads alone.
 *  (3) It is pinned by a ticket from the look at the tree until it was read.
 *  (4) Superblocks were written to all by the mount.  Two checkpoints write
 *      both slots, and the end of the log with them.
 *  (5) How far it is, is what the walk has passed of all that is in use.  The
 *      rate is kept between two parts, while nothing is pinned.
 *  (6) How far it is, is kept in the filesystem every half minute and when it is
 *      stopped: whatever has a smaller key was copied before that commit is
 *      durable.  It holds as long as nobody left or joined, which is to say
 *      as long as the list of legs has the same id.
 *  (7) What no leg has right is as bad on this one: it is counted, and is no
 *      reason to go without it for ever. */
#include <linux/ioprio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "base/cluster.h"
#include "check/part.h"
#include "check/resilver.h"
#include "commit/ckpt.h"
#include "commit/txn.h"
#include "file/extent.h"
#include "mount/legs.h"
#include "tree/freemap.h"

#define BATCH_BYTES	(1u << 20)
#define KEEP		30000000u	/* microseconds (6) */
#define KEEP_FIRST	5000000u	/* a short one is kept nowhere */

struct tfs_resilver {
	struct tfs	*fs;
	pthread_t	thread;
	atomic_bool	stop;
	pthread_mutex_t	lock;		/* for the wait alone */
	pthread_cond_t	cond;		/* stop was set */
	unsigned int	rate;		/* MiB a second; 0: any */
	uint64_t	due;		/* not before; microseconds */
	int		err;		/* the thread's */
	uint64_t	since;		/* (1) */
	uint8_t		*buf;
	uint32_t	most;		/* clusters */
	uint64_t	bytes, nodes, bad;
	struct tfs_key	at;		/* all before that was seen */
	uint64_t	kept;		/* when that was kept */
};

typedef unsigned long long ull;

static uint64_t micros(void)
{
	return eng_now_ns() / 1000;
}

/* (5)  So many bytes were compared, and that takes its time. */
static void count(struct tfs_resilver *r, uint64_t bytes)
{
	uint64_t now = micros();
	struct timespec t;

	atomic_fetch_add(&r->fs->resilver.bytes, bytes);
	if (!r->rate)
		return;
	r->due = (r->due > now ? r->due : now) + bytes * 1000000 / ((uint64_t)r->rate << 20);
	t = (struct timespec){ .tv_sec = (time_t)(r->due / 1000000),
			       .tv_nsec = (long)(r->due % 1000000 * 1000) };
	pthread_mutex_lock(&r->lock);
	while (!atomic_load(&r->stop) &&
	       !pthread_cond_timedwait(&r->cond, &r->lock, &t))
		;
	pthread_mutex_unlock(&r->lock);
}

/* ---- how far it is (6) --------------------------------------------------- */

const char *tfs_resilver_item(const struct tfs_item *item)
{
	struct tfs_disk_resilver d;

	if (item->key.off || item->len != sizeof(d))
		return "length";
	memcpy(&d, item->val, sizeof(d));
	return tfs_all_zero(d.key.pad, sizeof(d.key.pad)) ? NULL : "padding";
}

static int store_fn(struct tfs_txn *tx, void *arg)
{
	return tfs_txn_put(tx, tfs_key(0, TFS_T_RESILVER, 0), arg,
			   sizeof(struct tfs_disk_resilver));
}

/* Nothing is pinned.  Where it can't be kept, the next one begins anew. */
static void keep(struct tfs_resilver *r)
{
	struct tfs_disk_resilver d = {
		.id = htole64(tfs_legs_list(r->fs)),
		.since = htole64(r->since),
		.seen = htole64(atomic_load(&r->fs->resilver.seen)),
		.bytes = htole64(atomic_load(&r->fs->resilver.bytes)),
	};

	tfs_key_encode(&d.key, &r->at);
	tfs_txn_write(r->fs, store_fn, &d, TFS_TXN_SPARE);
	r->kept = micros();
}

static int load_fn(struct tfs_txn *tx, void *arg)
{
	struct tfs_item item;
	int err = tfs_txn_get(tx, tfs_key(0, TFS_T_RESILVER, 0), &item);

	if (!err && tfs_resilver_item(&item))
		err = -EUCLEAN;
	if (!err)
		memcpy(arg, item.val, sizeof(struct tfs_disk_resilver));
	return err;
}

static void load(struct tfs_resilver *r)
{
	struct tfs_progress *p = &r->fs->resilver;
	struct tfs_disk_resilver d;

	if (tfs_txn_read(r->fs, load_fn, &d) ||
	    le64toh(d.id) != tfs_legs_list(r->fs) ||
	    le64toh(d.since) != r->since)
		return;
	r->at = tfs_key_decode(&d.key);
	atomic_store(&p->seen, le64toh(d.seen));
	atomic_store(&p->bytes, le64toh(d.bytes));
	eng_log(LOG_INFO, "resilver: it goes on where the last one has "
		"stopped, at inode %u", r->at.obj);
}

/* So far, and nothing is pinned. */
static void reached(struct tfs_resilver *r, struct tfs_key at)
{
	r->at = at;
	if (micros() - r->kept >= KEEP)
		keep(r);
}

/* ---- looking ------------------------------------------------------------ */

/* (5) */
static void pass(struct tfs_resilver *r, uint64_t clusters)
{
	atomic_fetch_add(&r->fs->resilver.seen, clusters);
}

/* (2) */
static int look(struct tfs_resilver *r, uint32_t ino,
		const struct tfs_extent *ext)
{
	struct eng_fault fault;
	int err = tfs_part_verify(r->fs, ino, ext, ENG_IO_LEGS, r->buf,
				  &fault);

	if (!err)
		r->bytes += ext->len * r->fs->csize;
	return err;
}

/* Cluster by cluster, where not all of it can be read. */
static int look_each(struct tfs_resilver *r, uint32_t ino,
		     const struct tfs_extent *ext)
{
	int err = look(r, ino, ext);

	if (!err || err == -ENOMEM)
		return err;
	if (ext->len == 1) {
		r->bad++;					/* (7) */
		return 0;
	}
	err = 0;
	for (uint64_t i = 0; i < ext->len && !err; i++) {
		struct tfs_extent one = tfs_extent_slice(ext, ext->lc + i, 1);

		err = look_each(r, ino, &one);
	}
	return err;
}

static int copy_range(struct tfs_resilver *r, uint32_t ino, uint64_t lc,
		      uint64_t n)
{
	struct tfs_part p = { .fs = r->fs, .ino = ino, .lc = lc, .end = lc + n,
			      .since = r->since, .most = r->most };
	int err = 0;

	while (!err && p.lc < p.end && !atomic_load(&r->stop)) {
		err = tfs_part_next(&p);
		if (err || !p.ext.len)
			break;
		if (p.pinned)
			err = look_each(r, ino, &p.ext);
		tfs_part_done(&p);
		if (err)
			break;
		reached(r, tfs_key(ino, TFS_T_EXTENT, p.lc));
		if (p.pinned)
			count(r, p.ext.len * r->fs->csize);
	}
	if (!err && p.lc < p.end && p.ext.len)
		return -EINTR;
	return err == -EUCLEAN || err == -EIO ? 0 : err;	/* (7) */
}

/* It may be made read-only meanwhile. */
static int may_go_on(const struct tfs_resilver *r)
{
	if (atomic_load(&r->stop))
		return -EINTR;
	return tfs_rdonly(r->fs) ? -EROFS : 0;
}

/* What was written since the look is on all legs anyway. */
static int see_item(struct tfs_treewalk *w, const struct tfs_item *item)
{
	struct tfs_resilver *r = w->arg;
	struct tfs_extent ext;
	int err = may_go_on(r);

	if (err)
		return err;
	if (!item->key.obj || item->key.type != TFS_T_EXTENT)
		return 0;
	pthread_rwlock_rdlock(&r->fs->tree);
	err = tfs_extent_decode(r->fs, item, &ext);
	pthread_rwlock_unlock(&r->fs->tree);
	if (err || !ext.addr)
		return 0;
	pass(r, ext.len);
	if (ext.seq <= r->since)
		return 0;
	return copy_range(r, item->key.obj, ext.lc, ext.len);
}

/* The walk has read both copies, and so had them looked at on every leg. */
static int see_node(struct tfs_treewalk *w, const struct tfs_treewalk_node *n)
{
	struct tfs_resilver *r = w->arg;

	r->nodes++;
	pass(r, 2);
	count(r, 2ull * r->fs->csize);
	if (n->copy[0].err || n->copy[1].err)
		r->bad++;
	return may_go_on(r);
}

/* The walk gives what begins behind a key, and the last one may have stopped
 * within an extent. */
static int rest_of_extent(struct tfs_resilver *r)
{
	struct tfs_part p = {
		.fs = r->fs, .ino = r->at.obj, .lc = r->at.off,
		.end = UINT64_MAX, .since = UINT64_MAX,
	};
	int err;

	if (!r->at.obj || r->at.type != TFS_T_EXTENT)
		return 0;
	err = tfs_part_next(&p);
	if (err || !p.ext.len || p.ext.lc > r->at.off)
		return err == -EUCLEAN || err == -EIO ? 0 : err;
	return copy_range(r, p.ino, p.lc, p.ext.len);
}

static int walk(struct tfs_resilver *r)
{
	struct tfs_treewalk w = {
		.fs = r->fs, .arg = r, .node = see_node, .item = see_item,
		.lost = tfs_treewalk_skip, .key = r->at,
	};
	int err = rest_of_extent(r) ?: tfs_treewalk_begin(&w);

	if (err)
		return err;
	while (!err && !w.done) {
		err = tfs_treewalk_step(&w);
		if (!err && !w.done)
			reached(r, w.key);
	}
	tfs_treewalk_end(&w);
	return err;
}

static int resilver(struct tfs_resilver *r)
{
	struct tfs *fs = r->fs;
	uint64_t left;
	int err = walk(r) ?: may_go_on(r);

	if (err == -EINTR)
		keep(r);
	for (unsigned int i = 0; i < 2 && !err; i++)
		err = tfs_ckpt_force(fs, false);		/* (4) */
	if (err || !tfs_legs_behind(fs, &left))
		return err ? err : -EIO;	/* it failed meanwhile */
	err = tfs_legs_caught_up(fs);
	if (!err)
		eng_log(LOG_NOTICE, "resilver: done: %llu bytes of files and "
			"%llu tree nodes since commit %llu were compared; %llu "
			"are bad on all legs", (ull)r->bytes, (ull)r->nodes,
			(ull)r->since, (ull)r->bad);
	return err;
}

static void *run(void *arg)
{
	struct tfs_resilver *r = arg;

	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
	r->err = resilver(r);
	atomic_store(&r->fs->resilver.state, r->err ? TFS_RESILVER_STOPPED :
		     TFS_RESILVER_DONE);
	if (r->err && r->err != -EINTR)
		eng_log(LOG_ERR, "resilver: %s; the next mount tries again",
			strerror(-r->err));
	return NULL;
}

static void begin_progress(struct tfs *fs)
{
	struct tfs_progress *p = &fs->resilver;

	pthread_rwlock_rdlock(&fs->tree);
	atomic_store(&p->all, fs->super.clusters - tfs_freemap_fixed(fs) -
		     fs->free);
	pthread_rwlock_unlock(&fs->tree);
	atomic_store(&p->seen, 0);
	atomic_store(&p->bytes, 0);
	atomic_store(&p->state, TFS_RESILVER_RUNNING);
}

static void resilver_free(struct tfs_resilver *r)
{
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->cond);
	eng_buf_put(r->fs->dev, r->buf, (size_t)r->most * r->fs->csize);
	free(r);
}

int tfs_resilver_start(struct tfs_resilver **out, struct tfs *fs,
		       unsigned int rate)
{
	struct tfs_resilver *r;
	pthread_condattr_t attr;
	uint64_t since = 0;
	int err = -ENOMEM;

	*out = NULL;
	if (tfs_rdonly(fs) || !tfs_legs_behind(fs, &since))
		return 0;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->cond, &attr);
	pthread_condattr_destroy(&attr);
	r->fs = fs;
	r->rate = rate;
	r->since = since;
	r->kept = micros() - KEEP + KEEP_FIRST;
	r->most = BATCH_BYTES / fs->csize;
	if (r->most > fs->geo->max_io / fs->ipc)
		r->most = fs->geo->max_io / fs->ipc;
	r->buf = eng_buf_get(fs->dev, (size_t)r->most * fs->csize);
	begin_progress(fs);
	load(r);
	if (r->buf)
		err = -pthread_create(&r->thread, NULL, run, r);
	if (!err) {
		*out = r;
		return 0;
	}
	atomic_store(&fs->resilver.state, TFS_RESILVER_STOPPED);
	resilver_free(r);
	return err;
}

int tfs_resilver_stop(struct tfs_resilver *r, bool wait)
{
	int err;

	if (!r)
		return 0;
	pthread_mutex_lock(&r->lock);
	if (!wait)
		atomic_store(&r->stop, true);
	pthread_cond_signal(&r->cond);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	err = r->err;
	resilver_free(r);
	return err;
}
