/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flaws.c - see flaws.h.
 *
 *  (1) The list in memory is the truth, the items in the tree follow: who finds
 *      something waits for nothing, and whoever may wait stores it.
 *  (2) It has at most so many entries as the filesystem's size allows, and one
 *      count of what came after that.  Neighbours that went bad alike are one
 *      entry.
 *  (3) Entries have distinct keys and are sorted by them.  One that is gone but
 *      stored stays until its item is deleted.
 *  (4) The list's lock is a leaf.  What was looked up without it counts only if
 *      the entry's version is what it was.
 *  (5) That something known was seen again is stored within the hour, or with a
 *      scrub's position. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "file/flaws.h"
#include "file/inode.h"

#define BATCH		32u	/* items of one transaction */
#define SEEN_AGAIN	3600u	/* seconds (5) */

struct entry {
	struct tfs_key	key;
	struct tfs_flaw	f;
	uint64_t	version;	/* of the list, when it last changed */
	uint64_t	stored_last;	/* its last, as stored */
	bool		stored;		/* there is an item */
	bool		changed;	/* which says something else */
	bool		again;		/* only that it was not seen since */
	bool		gone;		/* (3) */
};

struct tfs_flaws {
	pthread_mutex_t	work;		/* who stores or loads */
	pthread_mutex_t	lock;
	/* under lock */
	struct entry	*entry;
	size_t		n, room, live;
	size_t		most;		/* (2); fixed */
	uint64_t	version;
	uint64_t	unlisted;
	bool		unlisted_changed;
	struct tfs_key	swept;
};

static uint64_t now(void)
{
	return (uint64_t)tfs_now().tv_sec;
}

/* ---- the list; all under its lock ----------------------------------------- */

/* The first entry at or after key. */
static size_t place(const struct tfs_flaws *fl, const struct tfs_key *key)
{
	size_t low = 0, high = fl->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (tfs_key_cmp(&fl->entry[mid].key, key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct entry *find(struct tfs_flaws *fl, const struct tfs_key *key)
{
	size_t i = place(fl, key);

	return i < fl->n && !tfs_key_cmp(&fl->entry[i].key, key) ?
		&fl->entry[i] : NULL;
}

static void touch(struct tfs_flaws *fl, struct entry *e)
{
	e->version = ++fl->version;
}

static void retire(struct tfs_flaws *fl, struct entry *e)
{
	if (e->gone)
		return;
	e->gone = true;
	fl->live--;
	touch(fl, e);
}

/* Those that are gone, and have no item. */
static void tidy(struct tfs_flaws *fl)
{
	size_t n = 0;

	for (size_t i = 0; i < fl->n; i++)
		if (!fl->entry[i].gone || fl->entry[i].stored)
			fl->entry[n++] = fl->entry[i];
	fl->n = n;
}

static void miss(struct tfs_flaws *fl, uint64_t n)
{
	fl->unlisted = fl->unlisted + n < n ? UINT64_MAX : fl->unlisted + n;
	fl->unlisted_changed = true;
}

/* In its place.  NULL: there is no room. */
static struct entry *insert(struct tfs_flaws *fl, const struct tfs_key *key)
{
	size_t i;

	if (fl->live >= fl->most ||
	    tfs_array_grow(&fl->entry, &fl->room, fl->n + 1,
			   sizeof(fl->entry[0])))
		return NULL;
	i = place(fl, key);
	memmove(&fl->entry[i + 1], &fl->entry[i],
		(fl->n - i) * sizeof(fl->entry[0]));
	fl->n++;
	fl->entry[i] = (struct entry){ .key = *key, .gone = true };
	return &fl->entry[i];
}

/* What is there with the same key is older content, unless it is newer.  Of
 * what is older, that lies behind may stand. */
static bool put(struct tfs *fs, const struct tfs_flaw *f)
{
	struct tfs_flaws *fl = fs->flaws;
	struct tfs_key key = tfs_flaw_key(fs, f);
	struct entry *e = find(fl, &key);
	struct tfs_flaw rest;
	uint64_t end = tfs_flaw_end(fs, f), stop = 0;

	if (e && !e->gone && e->f.seq > f->seq)
		return false;
	if (e && !e->gone) {
		rest = e->f;
		stop = tfs_flaw_end(fs, &rest);
	}
	if (!e)
		e = insert(fl, &key);
	if (!e || (e->gone && fl->live >= fl->most)) {
		miss(fl, 1);
		return false;
	}
	fl->live += e->gone;
	e->gone = false;
	e->f = *f;
	e->changed = true;
	touch(fl, e);
	if (end < stop) {
		tfs_flaw_clip(fs, &rest, end, stop);
		put(fs, &rest);
	}
	return true;
}

/* The same content of the same file, in one cluster, or went bad alike and no
 * gap between. */
static bool joins(const struct tfs *fs, const struct tfs_flaw *a,
		  const struct tfs_flaw *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind != TFS_FLAW_DATA)
		return a->addr == b->addr && a->off == b->off &&
			a->leg == b->leg;
	if (a->ino != b->ino || a->seq != b->seq ||
	    a->addr - a->off / fs->csize != b->addr - b->off / fs->csize)
		return false;
	if (a->off / fs->csize < tfs_flaw_end(fs, b) &&
	    b->off / fs->csize < tfs_flaw_end(fs, a))
		return true;
	return a->err == b->err && a->check == b->check &&
		a->off <= b->off + b->len && b->off <= a->off + a->len;
}

/* In b, what a is too.  Where it was seen first counts; whether it is healed, the
 * last time. */
static void join(const struct tfs_flaw *a, struct tfs_flaw *b)
{
	uint64_t end = b->off + b->len, count = (uint64_t)a->count + b->count;

	if (a->off + a->len > end)
		end = a->off + a->len;
	if (a->off < b->off) {
		b->off = a->off;
		b->addr = a->addr;
	}
	b->len = end - b->off;
	b->count = count < UINT32_MAX ? count : UINT32_MAX;
	if (a->first <= b->first) {
		b->first = a->first;
		b->commit = a->commit;
		b->expected = a->expected;
		b->found = a->found;
	}
	if (a->last > b->last)
		b->last = a->last;
}

static bool covers(const struct tfs_flaw *a, const struct tfs_flaw *b)
{
	return a->off <= b->off && a->off + a->len >= b->off + b->len &&
		a->healed == b->healed;
}

static bool add(struct tfs *fs, struct tfs_flaw f)
{
	struct tfs_flaws *fl = fs->flaws;
	struct tfs_key key = tfs_flaw_key(fs, &f), from = key;
	bool known = false;

	if (f.kind == TFS_FLAW_DATA)
		from.off = (uint64_t)f.ino << 32;
	for (size_t i = place(fl, &from); i < fl->n; i++) {
		struct entry *e = &fl->entry[i];

		if (e->key.type != key.type || e->f.ino != f.ino)
			break;
		if (e->gone || !joins(fs, &e->f, &f))
			continue;
		if (covers(&e->f, &f)) {			/* (5) */
			join(&f, &e->f);
			e->again = true;
			touch(fl, e);
			return false;
		}
		join(&e->f, &f);
		retire(fl, e);
		known = true;
	}
	return put(fs, &f) && !known;
}

/* Take [lc, end) out of an entry. */
static void cut(struct tfs *fs, struct entry *e, uint64_t lc, uint64_t end)
{
	struct tfs_flaw left = e->f, right = e->f;
	uint64_t first = e->f.off / fs->csize, stop = tfs_flaw_end(fs, &e->f);

	if (lc >= stop || end <= first)
		return;
	retire(fs->flaws, e);
	if (lc > first) {
		tfs_flaw_clip(fs, &left, first, lc);
		put(fs, &left);
	}
	if (end < stop) {
		tfs_flaw_clip(fs, &right, end, stop);
		put(fs, &right);
	}
}

/* ---- what others say ------------------------------------------------------- */

bool tfs_flaws_add(struct tfs *fs, const struct tfs_flaw *f)
{
	struct tfs_flaw new = *f;
	uint64_t seq;
	bool res;

	pthread_rwlock_rdlock(&fs->tree);
	seq = fs->seq;
	pthread_rwlock_unlock(&fs->tree);
	new.last = now();
	if (!new.first) {
		new.first = new.last;
		new.commit = seq;
		new.count = 1;
	}
	pthread_mutex_lock(&fs->flaws->lock);
	res = add(fs, new);
	tidy(fs->flaws);
	pthread_mutex_unlock(&fs->flaws->lock);
	return res;
}

void tfs_flaws_add_unlisted(struct tfs *fs, uint64_t n)
{
	if (!n)
		return;
	pthread_mutex_lock(&fs->flaws->lock);
	miss(fs->flaws, n);
	pthread_mutex_unlock(&fs->flaws->lock);
}

void tfs_flaws_good(struct tfs *fs, const struct tfs_flaw *f)
{
	struct tfs_flaws *fl = fs->flaws;
	uint64_t lc = f->off / fs->csize, end = tfs_flaw_end(fs, f);
	struct tfs_key from = tfs_key(0, TFS_T_FLAW, (uint64_t)f->ino << 32);

	pthread_mutex_lock(&fl->lock);
	for (size_t i = place(fl, &from); i < fl->n; i++) {
		struct tfs_flaw *at = &fl->entry[i].f;

		if (fl->entry[i].key.type != TFS_T_FLAW || at->ino != f->ino)
			break;
		if (!fl->entry[i].gone && at->seq == f->seq &&
		    at->addr - at->off / fs->csize == f->addr - lc)
			cut(fs, &fl->entry[i], lc, end);
	}
	tidy(fl);
	pthread_mutex_unlock(&fl->lock);
}

void tfs_flaws_expire(struct tfs *fs, bool data, bool meta, uint64_t since)
{
	struct tfs_flaws *fl = fs->flaws;

	pthread_mutex_lock(&fl->lock);
	for (size_t i = 0; i < fl->n; i++) {
		struct entry *e = &fl->entry[i];
		bool mine = e->f.kind == TFS_FLAW_DATA ? data : meta;

		if (mine && e->f.last < since)
			retire(fl, e);
	}
	if (data && meta && fl->unlisted && !fl->live) {
		fl->unlisted = 0;
		fl->unlisted_changed = true;
	}
	tidy(fl);
	pthread_mutex_unlock(&fl->lock);
}

void tfs_flaws_tree_whole(struct tfs *fs)
{
	struct tfs_flaws *fl = fs->flaws;

	pthread_mutex_lock(&fl->lock);
	for (size_t i = 0; i < fl->n; i++)
		if (fl->entry[i].f.kind == TFS_FLAW_LOST)
			retire(fl, &fl->entry[i]);
	tidy(fl);
	pthread_mutex_unlock(&fl->lock);
}

void tfs_flaws_clear(struct tfs *fs)
{
	struct tfs_flaws *fl = fs->flaws;

	pthread_mutex_lock(&fl->lock);
	for (size_t i = 0; i < fl->n; i++)
		retire(fl, &fl->entry[i]);
	fl->unlisted_changed |= fl->unlisted;
	fl->unlisted = 0;
	tidy(fl);
	pthread_mutex_unlock(&fl->lock);
}

void tfs_flaws_count(struct tfs *fs, struct tfs_flaws_count *out)
{
	struct tfs_flaws *fl = fs->flaws;

	pthread_mutex_lock(&fl->lock);
	*out = (struct tfs_flaws_count){ .listed = fl->live,
					 .unlisted = fl->unlisted };
	for (size_t i = 0; i < fl->n; i++)
		out->healed += !fl->entry[i].gone && fl->entry[i].f.healed;
	pthread_mutex_unlock(&fl->lock);
}

/* ---- what stands ----------------------------------------------------------- */

/* The next one from key on that is there; a copy. */
static bool peek(struct tfs_flaws *fl, const struct tfs_key *key,
		 struct entry *out)
{
	bool any = false;

	pthread_mutex_lock(&fl->lock);
	for (size_t i = place(fl, key); i < fl->n && !any; i++) {
		any = !fl->entry[i].gone;
		if (any)
			*out = fl->entry[i];
	}
	pthread_mutex_unlock(&fl->lock);
	return any;
}

int tfs_flaws_next(struct tfs *fs, struct tfs_flaws_at *at,
		   struct tfs_flaw *out, bool *stored)
{
	struct entry e;

	while (peek(fs->flaws, &at->key, &e)) {
		uint64_t lc = e.f.off / fs->csize;
		uint64_t end = tfs_flaw_end(fs, &e.f);
		int err;

		if (!tfs_key_cmp(&e.key, &at->key) && at->lc > lc)
			lc = at->lc;
		*out = e.f;
		*stored = e.stored;
		err = e.f.kind == TFS_FLAW_DATA ?
			tfs_flaw_stands(fs, &e.f, &lc, &end) : 0;
		if (err && err != -ENOENT)
			return err;
		at->key = err || e.f.kind != TFS_FLAW_DATA ?
			tfs_key_after(e.key) : e.key;
		at->lc = err ? 0 : end;
		if (err)
			continue;
		if (e.f.kind == TFS_FLAW_DATA)
			tfs_flaw_clip(fs, out, lc, end);
		return 0;
	}
	return -ENOENT;
}

/* (4) */
static void sweep(struct tfs *fs, const struct entry *was)
{
	uint64_t first = was->f.off / fs->csize, lc = first;
	uint64_t end = tfs_flaw_end(fs, &was->f), stop = end;
	int err = tfs_flaw_stands(fs, &was->f, &lc, &end);
	struct entry *e;

	if (err && err != -ENOENT)
		return;
	pthread_mutex_lock(&fs->flaws->lock);
	e = find(fs->flaws, &was->key);
	if (e && e->version == was->version && !e->gone)
		cut(fs, e, first, err ? stop : lc);
	tidy(fs->flaws);
	pthread_mutex_unlock(&fs->flaws->lock);
}

void tfs_flaws_sweep(struct tfs *fs, unsigned int max)
{
	struct tfs_flaws *fl = fs->flaws;
	struct tfs_key key;
	struct entry e;

	pthread_mutex_lock(&fl->lock);
	key = max ? fl->swept : tfs_key(0, 0, 0);
	pthread_mutex_unlock(&fl->lock);
	for (unsigned int i = 0; !max || i < max; i++) {
		if (!peek(fl, &key, &e)) {
			key = tfs_key(0, 0, 0);		/* round and round */
			break;
		}
		if (e.f.kind == TFS_FLAW_DATA)
			sweep(fs, &e);
		key = tfs_key_after(e.key);
	}
	pthread_mutex_lock(&fl->lock);
	fl->swept = key;
	pthread_mutex_unlock(&fl->lock);
}

/* ---- the medium ------------------------------------------------------------ */

struct batch {
	struct entry	entry[BATCH];
	unsigned int	n;
	bool		unlisted;	/* and that, too */
	uint64_t	count;
};

static bool is_due(const struct entry *e, bool all)
{
	if (e->gone || !e->stored || e->changed)
		return true;
	return e->again && (all || e->f.last > e->stored_last + SEEN_AGAIN);
}

/* Those that are gone, or those that are not. */
static void pick(struct tfs_flaws *fl, struct batch *b, bool gone, bool all)
{
	b->n = 0;
	pthread_mutex_lock(&fl->lock);
	for (size_t i = 0; i < fl->n && b->n < BATCH; i++)
		if (fl->entry[i].gone == gone && is_due(&fl->entry[i], all))
			b->entry[b->n++] = fl->entry[i];
	b->count = fl->unlisted;
	b->unlisted = fl->unlisted_changed && gone == !fl->unlisted;
	pthread_mutex_unlock(&fl->lock);
}

static int store_fn(struct tfs_txn *tx, void *arg)
{
	const struct batch *b = arg;
	struct tfs_key key = tfs_key(0, TFS_T_UNLISTED, 0);
	__le64 count = htole64(b->count);
	struct tfs_disk_flaw d;
	int err = 0;

	for (unsigned int i = 0; i < b->n && !err; i++) {
		const struct entry *e = &b->entry[i];

		tfs_flaw_encode(&e->f, &d);
		err = e->gone ? tfs_txn_del(tx, e->key) :
			tfs_txn_put(tx, e->key, &d, sizeof(d));
	}
	if (!err && b->unlisted)
		err = b->count ? tfs_txn_put(tx, key, &count, sizeof(count)) :
			tfs_txn_del(tx, key);
	return err;
}

static void note_stored(struct tfs_flaws *fl, const struct batch *b)
{
	pthread_mutex_lock(&fl->lock);
	for (unsigned int i = 0; i < b->n; i++) {
		struct entry *e = find(fl, &b->entry[i].key);

		if (!e)
			continue;
		e->stored = !b->entry[i].gone;
		e->stored_last = b->entry[i].f.last;
		if (e->version == b->entry[i].version)		/* (4) */
			e->changed = e->again = false;
	}
	if (b->unlisted && b->count == fl->unlisted)
		fl->unlisted_changed = false;
	tidy(fl);
	pthread_mutex_unlock(&fl->lock);
}

static int store(struct tfs *fs, struct batch *b, bool gone, bool all)
{
	int err = 0;

	while (!err) {
		pick(fs->flaws, b, gone, all);
		if (!b->n && !b->unlisted)
			break;
		err = tfs_txn_write(fs, store_fn, b, TFS_TXN_SPARE |
				    (gone ? TFS_TXN_FREES : 0));
		if (!err)
			note_stored(fs->flaws, b);
	}
	return err;
}

int tfs_flaws_store(struct tfs *fs, bool all)
{
	struct batch *b;
	int err;

	if (tfs_rdonly(fs))
		return -EROFS;
	b = malloc(sizeof(*b));
	if (!b)
		return -ENOMEM;
	pthread_mutex_lock(&fs->flaws->work);
	err = store(fs, b, true, all);
	if (!err)
		err = store(fs, b, false, all);
	pthread_mutex_unlock(&fs->flaws->work);
	free(b);
	return err;
}

struct load {
	struct tfs_key	key;
	struct batch	*b;
	unsigned int	looked;
	bool		done;		/* or no room for more */
};

/* A few items, of which no more are looked at than there may be. */
static int load_fn(struct tfs_txn *tx, void *arg)
{
	struct load *l = arg;
	struct tfs *fs = tfs_txn_fs(tx);
	struct tfs_key key = l->key;
	struct tfs_item item;

	l->b->n = 0;
	for (unsigned int i = 0; i < BATCH; i++) {
		struct entry *e = &l->b->entry[l->b->n];
		int err = tfs_txn_next(tx, key, &item);

		l->done = err == -ENOENT ||
			(!err && (item.key.obj || item.key.type > TFS_T_SPOT));
		if (err || l->done)
			return l->done ? 0 : err;
		key = tfs_key_after(item.key);
		e->key = item.key;
		l->b->n += !tfs_flaw_decode(fs, &item, &e->f);
	}
	l->key = key;
	l->looked += BATCH;
	l->done = l->looked >= 2 * TFS_FLAWS_MAX;
	return 0;
}

static int load_count_fn(struct tfs_txn *tx, void *arg)
{
	struct batch *b = arg;
	struct tfs_item item;
	__le64 count;
	int err = tfs_txn_get(tx, tfs_key(0, TFS_T_UNLISTED, 0), &item);

	b->count = 0;
	if (err || item.len != sizeof(count))
		return err == -ENOENT ? 0 : err;
	memcpy(&count, item.val, sizeof(count));
	b->count = le64toh(count);
	return 0;
}

/* As many as there is room for: an image may have any number. */
static int take_loaded(struct tfs_flaws *fl, const struct batch *b,
		       bool *full)
{
	int err = 0;

	pthread_mutex_lock(&fl->lock);
	for (unsigned int i = 0; i < b->n && !err; i++) {
		struct entry *e = insert(fl, &b->entry[i].key);

		if (!e && fl->live < fl->most)
			err = -ENOMEM;
		if (!e)
			break;
		e->f = b->entry[i].f;
		e->stored_last = e->f.last;
		e->stored = true;
		e->gone = false;
		fl->live++;
	}
	*full |= fl->live >= fl->most;
	pthread_mutex_unlock(&fl->lock);
	return err;
}

int tfs_flaws_load(struct tfs *fs)
{
	struct load l = { .key = tfs_key(0, TFS_T_FLAW, 0),
			  .b = malloc(sizeof(*l.b)) };
	int err = l.b ? tfs_txn_read(fs, load_count_fn, l.b) : -ENOMEM;

	if (!err)
		fs->flaws->unlisted = l.b->count;
	while (!err && !l.done) {
		err = tfs_txn_read(fs, load_fn, &l);
		if (!err)
			err = take_loaded(fs->flaws, l.b, &l.done);
	}
	free(l.b);
	if (err && err != -ENOMEM)
		eng_log(LOG_ERR, "the list of errors can't be read: %s",
			strerror(-err));
	return err == -ENOMEM ? err : 0;
}

int tfs_flaws_create(struct tfs *fs)
{
	struct tfs_flaws *fl = calloc(1, sizeof(*fl));
	uint64_t most = fs->super.clusters / 16;

	fs->flaws = fl;
	if (!fl)
		return -ENOMEM;
	fl->most = most < 64 ? 64 : most > TFS_FLAWS_MAX ? TFS_FLAWS_MAX :
		most;
	pthread_mutex_init(&fl->work, NULL);
	pthread_mutex_init(&fl->lock, NULL);
	return 0;
}

void tfs_flaws_destroy(struct tfs *fs)
{
	struct tfs_flaws *fl = fs->flaws;

	if (!fl)
		return;
	pthread_mutex_destroy(&fl->work);
	pthread_mutex_destroy(&fl->lock);
	free(fl->entry);
	free(fl);
}
