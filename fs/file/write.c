/* SPDX-License-Identifier: GPL-2.0-or-later */
/* write.c - changes of file content.
 *
 *  (1) A live cluster is never overwritten: data go to new clusters, tagged
 *      with the running commit, and one transaction maps them when they are
 *      on the device.  The handle keeps that commit open in between.
 *  (2) Whole clusters are written.  What a partial write leaves of an old
 *      cluster was read, and verified, under the range lock that is held
 *      until the new one is mapped; bytes that don't verify get no new tags.
 *  (3) Bytes past the end of file in its last cluster are zeros.
 *  (4) Inline content and extents exclude each other.  Writers of different
 *      clusters run side by side, so whoever adds one kind looks again for
 *      the other in the transaction that does it; -EAGAIN: it is there now.
 *  (5) A failed device write is repeated elsewhere.
 *  (6) Whoever changes content looks at the file first, with tfs_look() under
 *      his range lock; there a truncate that was cut short is finished.  The
 *      lock keeps other truncates out until he is done.  So what is past the
 *      size stays out of sight, however the file grows.
 *  (7) A write that fails has changed nothing; but inline content may have
 *      moved to a cluster.
 *  (8) No write changes a byte of an append-only file.  The page cache sends
 *      what is there together with what is new, and pages in any order, so
 *      zeros may be what a later one has passed over. */
#include <stdlib.h>
#include <string.h>

#include "base/about.h"
#include "base/cluster.h"
#include "tree/alloc.h"
#include "tree/fetch.h"
#include "commit/log.h"
#include "commit/sync.h"
#include "file/cut.h"
#include "file/extent.h"
#include "file/refs.h"
#include "file/write.h"

#define META_PROMISE	64u	/* clusters for the tree's part of a write */
#define ATTEMPTS	3

struct work;

struct run {			/* new clusters for a part of the range */
	struct work	*w;
	struct tfs_extent ext;
	struct eng_io	*io;
	int		err;
};

struct work {
	struct tfs_change *c;
	uint64_t	first, last;	/* logical clusters */
	uint8_t		*head, *tail;	/* merged edges, or NULL */
	uint8_t		*whole;		/* bounce buffer, or NULL */
	uint64_t	*proof;		/* of each cluster from first on */
	struct run	*run;
	size_t		n, room;
	uint64_t	promised;
	pthread_mutex_t	lock;
	pthread_cond_t	cond;
	unsigned int	flying;		/* lock */
};

/* ---- looking -------------------------------------------------------------- */

struct look_arg {
	uint32_t	ino;
	uint64_t	lc, end;
	struct tfs_look	*out;
};

static int look_fn(struct tfs_txn *tx, void *arg)
{
	struct look_arg *a = arg;
	struct tfs_extent ext;
	struct tfs_item item;
	uint64_t at = a->lc;
	int err = tfs_inode_get(tx, a->ino, &a->out->inode);

	if (err)
		return err;
	a->out->has_inline = false;
	a->out->claimed = 0;
	if (!a->out->inode.clusters) {
		err = tfs_txn_get(tx, tfs_key(a->ino, TFS_T_INLINE, 0),
				  &item);
		a->out->has_inline = !err;
		return err == -ENOENT ? 0 : err;
	}
	if (!tfs_txn_fs(tx)->reserved)
		return 0;	/* then none is here */
	while (at < a->end) {
		err = tfs_extent_find(tx, a->ino, at, &ext);
		if (err)
			return err == -ENOENT ? 0 : err;
		if (ext.lc >= a->end)
			break;
		at = ext.lc + ext.len;
		if (!ext.addr)
			a->out->claimed += ext.len;
	}
	return 0;
}

int tfs_look(struct tfs *fs, uint32_t ino, uint64_t lc, uint64_t end,
	     struct tfs_look *out)
{
	struct look_arg a = { .ino = ino, .lc = lc, .end = end, .out = out };
	int err = tfs_txn_read(fs, look_fn, &a);

	if (!err && out->inode.flags & TFS_INODE_CUT) {		/* (6) */
		err = tfs_cut_finish(fs, ino);
		if (!err)
			err = tfs_txn_read(fs, look_fn, &a);
	}
	if (err)
		return err;
	if (S_ISDIR(out->inode.mode))
		return -EISDIR;
	return S_ISREG(out->inode.mode) ? 0 : -EINVAL;
}

/* ---- content of the new clusters ------------------------------------------ */

/* (2): the old cluster, zeros where the file has none, with the new bytes
 * laid over it. */
static int merge_edge(struct work *w, uint64_t lc, uint8_t **out)
{
	struct tfs_change *c = w->c;
	uint32_t csize = c->fs->csize;
	uint64_t base = lc * csize, from = c->off > base ? c->off : base;
	uint64_t stop = c->off + c->len, to = stop < base + csize ? stop :
		base + csize;
	uint8_t *buf = eng_buf_get(c->fs->dev, csize);
	ssize_t n;

	*out = buf;
	if (!buf)
		return -ENOMEM;
	n = tfs_read_sync(c->fs, c->ino, base, buf, csize);
	if (n < 0)
		return n;
	memset(buf + n, 0, csize - n);
	if (c->buf)
		memcpy(buf + (from - base),
		       (const uint8_t *)c->buf + (from - c->off), to - from);
	else
		memset(buf + (from - base), 0, to - from);
	return 0;
}

static int make_edges(struct work *w)
{
	struct tfs_change *c = w->c;
	uint32_t csize = c->fs->csize;
	int err = 0;

	if (c->off % csize || (w->first == w->last &&
			       (c->off + c->len) % csize))
		err = merge_edge(w, w->first, &w->head);
	if (!err && (c->off + c->len) % csize && w->last != w->first)
		err = merge_edge(w, w->last, &w->tail);
	return err;
}

/* Where the caller's memory can't be given to the device. */
static int make_whole(struct work *w)
{
	struct tfs_change *c = w->c;
	uint32_t csize = c->fs->csize, align = c->fs->geo->align;
	size_t size = (w->last - w->first + 1) * csize;
	uintptr_t at = (uintptr_t)c->buf + w->first * csize - c->off;

	if (c->buf && at % align == 0)
		return 0;
	if (w->first == w->last && w->head)
		return 0;
	w->whole = eng_buf_get(c->fs->dev, size);
	if (!w->whole)
		return -ENOMEM;
	memset(w->whole, 0, size);
	if (c->buf)
		memcpy(w->whole + (c->off - w->first * csize), c->buf, c->len);
	return 0;
}

static void *content(const struct work *w, uint64_t lc)
{
	uint64_t csize = w->c->fs->csize;

	if (lc == w->first && w->head)
		return w->head;
	if (lc == w->last && w->tail)
		return w->tail;
	if (w->whole)
		return w->whole + (lc - w->first) * csize;
	return (uint8_t *)w->c->buf + (lc * csize - w->c->off);
}

/* ---- writing -------------------------------------------------------------- */

static void run_written(struct eng_io *io)
{
	struct run *run = io->arg;
	struct work *w = run->w;

	pthread_mutex_lock(&w->lock);
	run->err = io->err;
	w->flying--;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

/* Data segments: the edges on their own, what lies between as one. */
static void add_segments(struct work *w, struct eng_io *io,
			 const struct tfs_extent *ext)
{
	uint32_t csize = w->c->fs->csize;
	uint64_t lc = ext->lc, end = ext->lc + ext->len;

	while (lc < end) {
		uint8_t *at = content(w, lc);
		uint64_t n = 1;

		while (lc + n < end && content(w, lc + n) == at + n * csize)
			n++;
		eng_io_add(io, at, n * csize);
		lc += n;
	}
}

static int submit_run(struct work *w, struct run *run)
{
	struct tfs *fs = w->c->fs;
	struct tfs_record rec = {
		.kind = TFS_K_DATA, .owner = w->c->ino,
		.index = run->ext.lc, .seq = run->ext.seq,
	};
	uint32_t count = run->ext.len * fs->ipc;

	run->io = eng_io_get(fs->dev, count, 4);
	if (!run->io)
		return -ENOMEM;
	run->io->op = ENG_WRITE;
	run->io->start = run->ext.addr * fs->ipc;
	run->io->end = run_written;
	run->io->arg = run;
	add_segments(w, run->io, &run->ext);
	tfs_tag_fill(fs, &rec, run->ext.addr, 0, count, run->io->tags);
	pthread_mutex_lock(&w->lock);
	w->flying++;
	pthread_mutex_unlock(&w->lock);
	eng_io_submit(run->io);
	return 0;
}

static int take_clusters(struct tfs *fs, uint64_t want,
			 struct tfs_extent *ext)
{
	struct tfs_miss miss;
	int err;

	for (;;) {
		pthread_rwlock_wrlock(&fs->tree);
		err = tfs_alloc_data(fs, want, &ext->addr, &ext->len, &miss);
		ext->seq = fs->seq;
		err = tfs_tree_unlock(fs, err, &miss);
		if (err == TFS_MISS)
			err = tfs_node_fetch(fs, &miss);
		else
			return err;
		if (err)
			return err;
	}
}

/* Clusters that were taken and will not be mapped: tagged, so not reusable
 * before the next checkpoint. */
static void give_back(struct tfs *fs, const struct tfs_extent *ext)
{
	pthread_rwlock_wrlock(&fs->tree);
	tfs_free_later(fs, ext->addr, ext->len);
	pthread_rwlock_unlock(&fs->tree);
}

static struct run *new_run(struct work *w)
{
	if (w->n == w->room)
		return NULL;
	w->run[w->n] = (struct run){ .w = w };
	return &w->run[w->n++];
}

/* Take clusters for [lc, end) and start writing them. */
static int start_runs(struct work *w, uint64_t lc, uint64_t end)
{
	struct tfs *fs = w->c->fs;
	uint64_t max = fs->geo->max_io / fs->ipc;

	while (lc < end) {
		uint64_t want = end - lc < max ? end - lc : max;
		struct run *run = new_run(w);
		int err = run ? take_clusters(fs, want, &run->ext) : -ENOSPC;

		if (err) {
			w->n -= !!run;
			return err;
		}
		run->ext.lc = lc;
		lc += run->ext.len;
		err = submit_run(w, run);
		if (err)
			return err;
	}
	return 0;
}

/* What the commit must remember of these clusters. */
static void note_proof(struct work *w, const struct run *run)
{
	const struct tfs *fs = w->c->fs;
	size_t size = fs->ipc * fs->geo->profile->meta_size;

	if (!run->io || run->err)
		return;
	for (uint64_t i = 0; i < run->ext.len; i++)
		w->proof[run->ext.lc - w->first + i] =
			tfs_cluster_proof(fs, run->ext.addr + i,
					  run->io->tuples + i * size);
}

static void wait_runs(struct work *w)
{
	pthread_mutex_lock(&w->lock);
	while (w->flying)
		pthread_cond_wait(&w->cond, &w->lock);
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < w->n; i++) {
		note_proof(w, &w->run[i]);
		eng_io_put(w->run[i].io);
		w->run[i].io = NULL;
	}
}

/* (5): the failed runs once more, at another place. */
static int retry_failed(struct work *w)
{
	size_t n = w->n;
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		struct tfs_extent bad = w->run[i].ext;

		if (!w->run[i].err)
			continue;
		tfs_log_about(LOG_WARNING, &(struct tfs_about){
				.ino = w->c->ino, .cluster = bad.addr },
			      "inode %u: writing %llu clusters at cluster %llu "
			      "failed: %s; trying elsewhere", w->c->ino,
			      (unsigned long long)bad.len,
			      (unsigned long long)bad.addr,
			      strerror(-w->run[i].err));
		atomic_fetch_add(&w->c->fs->count.write_retries, 1);
		give_back(w->c->fs, &bad);
		w->run[i].ext.len = 0;
		err = start_runs(w, bad.lc, bad.lc + bad.len);
		w->run[i].err = 0;
	}
	wait_runs(w);
	return err;
}

static int first_error(const struct work *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->run[i].err)
			return w->run[i].err;
	return 0;
}

static int write_runs(struct work *w)
{
	int err = start_runs(w, w->first, w->last + 1);

	wait_runs(w);
	for (int i = 1; !err && i < ATTEMPTS && first_error(w); i++)
		err = retry_failed(w);
	return err ? err : first_error(w);
}

/* ---- mapping -------------------------------------------------------------- */

static int update_inode(struct tfs_txn *tx, struct work *w,
			struct tfs_inode *inode)
{
	struct tfs_change *c = w->c;

	if (c->cut)
		inode->size = c->size;
	else if (!c->keep_size && c->off + c->len > inode->size)
		inode->size = c->off + c->len;
	if (!(c->flags & TFS_WRITE_CACHED))
		inode->mtime = inode->ctime = tfs_now();
	if (c->flags & TFS_WRITE_KILL_PRIV)
		tfs_kill_priv(inode);
	c->inode = *inode;
	return tfs_inode_put(tx, inode);
}

static int no_inline(struct tfs_txn *tx, uint32_t ino)
{
	struct tfs_item item;
	int err = tfs_txn_get(tx, tfs_key(ino, TFS_T_INLINE, 0), &item);

	return err == -ENOENT ? 0 : err ? err : -EAGAIN;
}

static int map_run(struct tfs_txn *tx, const struct work *w,
		   const struct tfs_extent *ext, bool join)
{
	int err = tfs_txn_born(tx, ext->addr, ext->len,
			       w->proof + (ext->lc - w->first));

	return err ? err : tfs_extent_map(tx, w->c->ino, ext, join);
}

static int map_fn(struct tfs_txn *tx, void *arg)
{
	struct work *w = arg;
	struct tfs_change *c = w->c;
	struct tfs_punch punch;
	struct tfs_inode inode;
	bool join = true;
	int err = tfs_inode_get(tx, c->ino, &inode);

	if (!err && w->first && !inode.clusters)
		err = no_inline(tx, c->ino);			/* (4) */
	if (!err)
		err = tfs_extent_punch(tx, c->ino, w->first, c->cut ?
				       TFS_FILE_CLUSTERS : w->last + 1,
				       c->cut ? TFS_PUNCH_LIMIT : UINT32_MAX,
				       &punch);
	for (size_t i = 0; !err && i < w->n; i++) {
		const struct tfs_extent *ext = &w->run[i].ext;

		if (!ext->len)
			continue;
		err = map_run(tx, w, ext, join && ext->lc == w->first);
		inode.clusters += ext->len;
	}
	if (err)
		return err;
	inode.clusters -= punch.mapped + punch.reserved;
	if (c->cut)
		err = tfs_cut_note(tx, &inode, punch.next < TFS_FILE_CLUSTERS);
	if (!err && !w->first)
		err = tfs_txn_del(tx, tfs_key(c->ino, TFS_T_INLINE, 0));
	return err ? err : update_inode(tx, w, &inode);
}

static void drop_runs(struct work *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->run[i].ext.len)
			give_back(w->c->fs, &w->run[i].ext);
}

static int write_and_map(struct work *w, uint64_t claimed)
{
	struct tfs *fs = w->c->fs;
	struct tfs_handle h = {
		.data = w->last - w->first + 1, .claimed = claimed,
		.meta = META_PROMISE, .runs = w->room, .frees = !w->c->buf,
	};
	int err = tfs_handle_get(fs, &h);

	if (err)
		return err;
	err = write_runs(w);
	if (!err)
		err = tfs_txn_write(fs, map_fn, w, TFS_TXN_HANDLE);
	if (err)
		drop_runs(w);
	tfs_handle_put(fs, &h);
	return err;
}

static void free_work(struct work *w)
{
	struct eng_dev *dev = w->c->fs->dev;

	eng_buf_put(dev, w->head, w->c->fs->csize);
	eng_buf_put(dev, w->tail, w->c->fs->csize);
	eng_buf_put(dev, w->whole, (w->last - w->first + 1) *
		    w->c->fs->csize);
	free(w->run);
	free(w->proof);
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->lock);
}

int tfs_change_clusters(struct tfs_change *c, const struct tfs_look *look)
{
	struct work w = {
		.c = c,
		.first = c->off / c->fs->csize,
		.last = (c->off + c->len - 1) / c->fs->csize,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER,
	};
	struct tfs_look own;
	int err = look ? 0 : tfs_look(c->fs, c->ino, w.first, w.last + 1,
				      &own);

	look = look ? look : &own;
	/* A run has a cluster at least, and may be written anew. */
	w.room = ATTEMPTS * (w.last - w.first + 1);
	w.run = calloc(w.room, sizeof(w.run[0]));
	w.proof = calloc(w.last - w.first + 1, sizeof(w.proof[0]));
	if (!err && (!w.run || !w.proof))
		err = -ENOMEM;
	if (!err)
		err = make_edges(&w);
	if (!err)
		err = make_whole(&w);
	if (!err)
		err = write_and_map(&w, look->claimed);
	free_work(&w);
	return err;
}

/* ---- small files ---------------------------------------------------------- */

static int write_inline_fn(struct tfs_txn *tx, void *arg)
{
	struct tfs_change *c = arg;
	struct tfs_key key = tfs_key(c->ino, TFS_T_INLINE, 0);
	uint8_t buf[TFS_INLINE_MAX] = { 0 };
	uint64_t end = c->off + c->len;
	struct tfs_inode inode;
	struct tfs_item item;
	int err = tfs_inode_get(tx, c->ino, &inode);

	if (!err && (inode.clusters || inode.size > sizeof(buf)))
		err = -EAGAIN;					/* (4) */
	if (err)
		return err;
	err = tfs_txn_get(tx, key, &item);
	if (err && err != -ENOENT)
		return err;
	if (!err && item.len > sizeof(buf))
		return -EUCLEAN;
	if (!err) {
		memcpy(buf, item.val, item.len);
		if (item.len > end)
			end = item.len;
	}
	memcpy(buf + c->off, c->buf, c->len);
	if (inode.size < c->off + c->len)
		inode.size = c->off + c->len;
	if (!(c->flags & TFS_WRITE_CACHED))
		inode.mtime = inode.ctime = tfs_now();
	if (c->flags & TFS_WRITE_KILL_PRIV)
		tfs_kill_priv(&inode);
	err = tfs_txn_put(tx, key, buf, end);
	return err ? err : tfs_inode_put(tx, &inode);
}

int tfs_uninline(struct tfs *fs, uint32_t ino, const struct tfs_look *look)
{
	uint8_t buf[TFS_INLINE_MAX];
	struct tfs_change c = {
		.fs = fs, .ino = ino, .buf = buf, .keep_size = true,
		.flags = TFS_WRITE_CACHED,
	};
	ssize_t n;

	if (!look->has_inline)
		return 0;
	n = tfs_read_sync(fs, ino, 0, buf, sizeof(buf));
	if (n <= 0)
		return n;
	c.len = n;
	return tfs_change_clusters(&c, NULL);
}

/* (8) */
static int keeps_bytes(struct tfs_change *c, uint64_t size)
{
	const uint8_t *new = c->buf;
	size_t len = size - c->off < c->len ? size - c->off : c->len;
	uint8_t *old;
	ssize_t n;
	int err = 0;

	if (!(c->flags & TFS_WRITE_CACHED))
		return -EPERM;
	old = malloc(len);
	n = old ? tfs_read_sync(c->fs, c->ino, c->off, old, len) : -ENOMEM;
	if (n < 0)
		err = (int)n;
	for (ssize_t i = 0; i < n && !err; i++)
		if (old[i] && old[i] != new[i])
			err = -EPERM;
	free(old);
	return err;
}

/* What the flags of the file say. */
static int may_write(struct tfs_change *c, const struct tfs_inode *in)
{
	if (!(in->flags & TFS_INODE_LOCKS))
		return 0;
	if (in->flags & TFS_INODE_IMMUTABLE)
		return -EPERM;
	return c->off < in->size ? keeps_bytes(c, in->size) : 0;
}

/* The caller holds the range lock of [lc, last]; -EAGAIN: cluster 0 must be
 * locked as well. */
static int write_locked(struct tfs_change *c, uint64_t lc, uint64_t last)
{
	struct tfs_look look;
	int err = tfs_look(c->fs, c->ino, lc, last + 1, &look);

	if (!err)
		err = may_write(c, &look.inode);
	if (err)
		return err;
	if (!look.inode.clusters && look.inode.size <= TFS_INLINE_MAX &&
	    c->off + c->len <= TFS_INLINE_MAX) {
		err = tfs_txn_write(c->fs, write_inline_fn, c, 0);
		if (err != -EAGAIN)
			return err;
	}
	if (look.has_inline && lc)
		return -EAGAIN;
	return tfs_change_clusters(c, &look);
}

static int write_with_zero(struct tfs_change *c, uint64_t last)
{
	struct tfs_look look;
	int err = tfs_range_lock(c->fs, c->ino, 0, last);

	if (err)
		return err;
	err = tfs_look(c->fs, c->ino, 0, 1, &look);
	if (!err)
		err = may_write(c, &look.inode);
	if (!err)
		err = tfs_uninline(c->fs, c->ino, &look);
	if (!err)
		err = tfs_change_clusters(c, NULL);
	tfs_range_unlock(c->fs, c->ino, 0, last);
	return err;
}

int tfs_write(struct tfs *fs, uint32_t ino, uint64_t off, const void *buf,
	      size_t len, unsigned int flags)
{
	struct tfs_change c = {
		.fs = fs, .ino = ino, .off = off, .len = len, .buf = buf,
		.flags = flags,
	};
	uint64_t lc = off / fs->csize, last;
	int err;

	if (!len)
		return 0;
	last = (off + len - 1) / fs->csize;
	if (off + len < off || last >= TFS_FILE_CLUSTERS)
		return -EFBIG;
	err = tfs_range_lock(fs, ino, lc, last);
	if (err)
		return err;
	err = write_locked(&c, lc, last);
	tfs_range_unlock(fs, ino, lc, last);
	if (err == -EAGAIN)
		err = write_with_zero(&c, last);
	if (!err) {
		atomic_fetch_add(&fs->count.writes, 1);
		atomic_fetch_add(&fs->count.write_bytes, len);
	}
	return err;
}
