/* SPDX-License-Identifier: GPL-2.0-or-later */
/* space.c - which clusters are in use, by who uses them and by the map; and
 * the counters of the filesystem.
 *
 *  (1) The map is compared as it is in memory, which is what the next
 *      checkpoint stores: without what is set aside for nodes, and with what
 *      was freed since the last one, which is still in use.
 *  (2) A region that neither the tree has an item of nor anybody uses is
 *      free, and is not looked at.
 *  (3) More reserved than free is what no mount takes: the counter is left
 *      alone where that is so, and where less is free than was thought it is
 *      lowered until it is known.
 *  (4) What is marked may have been set aside for nodes, or be claimed by a
 *      commit of the log: both happened because it was free in the map. */
#include <stdlib.h>
#include <string.h>

#include "base/runs.h"
#include "base/state.h"
#include "check/check_priv.h"
#include "commit/sync.h"
#include "tree/alloc.h"
#include "tree/fetch.h"

typedef unsigned long long ull;

/* ---- references ---------------------------------------------------------------- */

static uint64_t *region_bits(uint64_t **maps, uint64_t region)
{
	if (!maps[region])
		maps[region] = calloc(TFS_REGION_WORDS, sizeof(uint64_t));
	return maps[region];
}

static int refer_part(struct tfs_checking *ck, uint64_t region,
		      unsigned int bit, unsigned int n)
{
	uint64_t *map = region_bits(ck->used, region), *twice;
	unsigned int at = bit, to;

	if (!map)
		return -ENOMEM;
	while ((at = tfs_bits_next(map, at, true)) < bit + n) {
		to = tfs_bits_next(map, at, false);
		if (to > bit + n)
			to = bit + n;
		twice = region_bits(ck->twice, region);
		if (!twice)
			return -ENOMEM;
		tfs_bits_put(twice, at, to - at, true);
		ck->any_twice = true;
		at = to;
	}
	tfs_bits_put(map, bit, n, true);
	return 0;
}

int tfs_check_refer(struct tfs_checking *ck, uint64_t addr, uint64_t len)
{
	uint64_t low = ck->fs->super.log_start + ck->fs->super.log_clusters;
	uint64_t high = ck->fs->super.clusters -
		tfs_end_fixed(&ck->fs->super);
	int err = 0;

	if (addr < low || addr > high || len > high - addr)
		return -EUCLEAN;
	while (len && !err) {
		unsigned int bit = addr % TFS_REGION_BITS;
		unsigned int n = TFS_REGION_BITS - bit;

		if (n > len)
			n = len;
		err = refer_part(ck, addr / TFS_REGION_BITS, bit, n);
		addr += n;
		len -= n;
	}
	return err;
}

void tfs_check_forget(struct tfs_checking *ck)
{
	for (uint64_t i = 0; i < tfs_region_count(ck->fs); i++) {
		if (ck->used[i])
			memset(ck->used[i], 0, TFS_REGION_BYTES);
		if (ck->twice[i])
			memset(ck->twice[i], 0, TFS_REGION_BYTES);
	}
	ck->any_twice = false;
	ck->reserved = 0;
}

static int again_node(struct tfs_treewalk *w, const struct tfs_treewalk_node *n)
{
	int err = tfs_check_refer(w->arg, n->at.ptr.addr[0], 1);

	if (err != -ENOMEM)
		err = tfs_check_refer(w->arg, n->at.ptr.addr[1], 1);
	return err == -ENOMEM ? err : 0;
}

static int again_item(struct tfs_treewalk *w, const struct tfs_item *item)
{
	struct tfs_checking *ck = w->arg;
	struct tfs_extent ext;
	int err = 0;

	if (!item->key.obj && item->key.type == TFS_T_REGION &&
	    item->key.off < tfs_region_count(ck->fs))
		ck->has_item[item->key.off] = 1;
	if (!item->key.obj || item->key.type != TFS_T_EXTENT ||
	    tfs_extent_decode(ck->fs, item, &ext))
		return 0;
	if (ext.addr)
		err = tfs_check_refer(ck, ext.addr, ext.len);
	else
		ck->reserved += ext.len;
	return err == -ENOMEM ? err : 0;
}

int tfs_check_refer_again(struct tfs_checking *ck)
{
	struct tfs_treewalk w = {
		.fs = ck->fs, .arg = ck, .node = again_node,
		.item = again_item, .lost = tfs_treewalk_skip,
		.unwritten = ck->fs->replaying || tfs_rdonly(ck->fs),
	};
	int err = tfs_treewalk_begin(&w);

	tfs_check_forget(ck);
	if (!err)
		err = tfs_treewalk_run(&w);
	tfs_treewalk_end(&w);
	return err;
}

/* ---- the map --------------------------------------------------------------------- */

/* What must be in use in this region. */
static void wanted(struct tfs_checking *ck, uint64_t idx, uint64_t *map)
{
	const struct tfs_runs *frees = &ck->fs->frees;
	uint64_t base = idx * TFS_REGION_BITS, end = base + TFS_REGION_BITS;

	memset(map, 0, TFS_REGION_BYTES);
	if (ck->used[idx])
		memcpy(map, ck->used[idx], TFS_REGION_BYTES);
	tfs_bits_fixed(ck->fs, idx, map);
	for (size_t i = 0; i < frees->n; i++) {			/* (1) */
		uint64_t a = frees->run[i].addr, b = a + frees->run[i].len;

		a = a > base ? a : base;
		b = b < end ? b : end;
		if (a < b)
			tfs_bits_put(map, a - base, b - a, true);
	}
}

struct diff {
	uint64_t	want[TFS_REGION_WORDS];
	unsigned int	unmarked, unused;
	uint64_t	first_unmarked, first_unused;
	bool		lost;
	bool		mark, clear;	/* what is to be put right */
};

static void compare(const struct tfs_region *r, struct diff *d)
{
	uint64_t base = r->idx * TFS_REGION_BITS;

	for (unsigned int i = 0; i < TFS_REGION_WORDS; i++) {
		uint64_t map = r->map[i] & ~r->hide[i];
		uint64_t less = d->want[i] & ~map, more = map & ~d->want[i];

		if (less && !d->unmarked)
			d->first_unmarked = base + i * 64 +
				__builtin_ctzll(less);
		if (more && !d->unused)
			d->first_unused = base + i * 64 +
				__builtin_ctzll(more);
		d->unmarked += __builtin_popcountll(less);
		d->unused += __builtin_popcountll(more);
	}
}

/* Run fn on the region, in memory and under the lock. */
static int with_region(struct tfs_checking *ck, uint64_t idx, struct diff *d,
		       void (*fn)(struct tfs *fs, struct tfs_region *r,
				  struct diff *d))
{
	struct tfs *fs = ck->fs;
	struct tfs_region *r;
	struct tfs_miss miss;
	int err;

	for (;;) {
		pthread_rwlock_wrlock(&fs->tree);
		err = tfs_region_load(fs, idx, &r, &miss);
		if (!err)
			fn(fs, r, d);
		err = tfs_tree_unlock(fs, err, &miss);
		if (err != TFS_MISS)
			return err;
		err = tfs_node_fetch(fs, &miss);
		if (err)
			return err;
	}
}

static void look(struct tfs *fs, struct tfs_region *r, struct diff *d)
{
	(void)fs;
	d->lost = r->lost;
	compare(r, d);
}

/* A bitmap that could not be read was full for everybody; now it is known. */
static void regain(struct tfs *fs, struct tfs_region *r, unsigned int clear)
{
	uint64_t *gone = &fs->freemap->unreachable;

	r->lost = false;
	*tfs_region_free(fs, r->idx) = clear;
	fs->free += clear;
	*gone -= *gone < clear ? *gone : clear;
	tfs_region_dirty(fs, r);
}

static void put_right(struct tfs *fs, struct tfs_region *r, struct diff *d)
{
	unsigned int before, after;
	uint64_t all;

	if (d->mark) {						/* (4) */
		tfs_pool_drop(fs, r, d->want);
		r->guessed = true;
	}
	before = tfs_bits_clear(r->map);
	for (unsigned int i = 0; i < TFS_REGION_WORDS; i++)
		r->map[i] = (d->mark ? d->want[i] : d->want[i] & r->map[i]) |
			(d->clear ? r->map[i] & r->hide[i] : r->map[i]);
	after = tfs_bits_clear(r->map);
	if (r->lost) {
		regain(fs, r, after);
		return;
	}
	*tfs_region_free(fs, r->idx) += after - before;
	fs->free += (int64_t)after - (int64_t)before;
	all = fs->free + tfs_pool_clusters(fs);
	if (fs->reserved > all)					/* (3) */
		fs->reserved = all;
	tfs_region_dirty(fs, r);
}

/* first: no more than is needed to do anything else. */
static int check_region(struct tfs_checking *ck, uint64_t idx, bool first)
{
	struct diff d = { .unmarked = 0 };
	int err;

	wanted(ck, idx, d.want);
	err = with_region(ck, idx, &d, look);
	if (err || (d.lost && (first || ck->c->lost)))
		return err;	/* that a part of the tree is lost was said */
	if (d.unmarked)
		d.mark = tfs_found(ck, TFS_F_UNMARKED, 0, d.first_unmarked,
				   true, "%u clusters of region %llu are in "
				   "use, and free in the map", d.unmarked,
				   (ull)idx);
	if (d.unused && !first)
		d.clear = tfs_found(ck, TFS_F_UNUSED, 0, d.first_unused, true,
				    "%u clusters of region %llu are in use "
				    "by nobody", d.unused, (ull)idx);
	if (!d.mark && !d.clear)
		return 0;
	err = with_region(ck, idx, &d, put_right);
	for (int n = d.mark + d.clear; n--; )
		tfs_found_fixed(ck, err);
	return err;
}

/* ---- counters ---------------------------------------------------------------------- */

static int counter(struct tfs_checking *ck, const char *what, uint64_t want,
		   uint64_t *have)
{
	if (want == *have ||
	    !tfs_found(ck, TFS_F_COUNTER, 0, 0, true, "%llu %s, the "
		       "filesystem says %llu", (ull)want, what, (ull)*have))
		return 0;
	pthread_rwlock_wrlock(&ck->fs->tree);
	*have = want;
	ck->fs->dirty = true;
	pthread_rwlock_unlock(&ck->fs->tree);
	return tfs_found_fixed(ck, 0);
}

/* Clusters that somebody uses, as it is known. */
static uint64_t all_used(struct tfs_checking *ck)
{
	uint64_t used = 0, bits[TFS_REGION_WORDS], n = tfs_region_count(ck->fs);

	for (uint64_t i = 0; i < n; i++) {
		wanted(ck, i, bits);
		used += TFS_REGION_BITS - tfs_bits_clear(bits);
	}
	return used - (n * TFS_REGION_BITS - ck->fs->super.clusters);
}

static bool too_many_reserved(struct tfs_checking *ck, uint64_t used)
{
	uint64_t all = ck->fs->super.clusters;

	return ck->reserved > all ||
		all - used < tfs_reserved_space(ck->fs, ck->reserved);
}

static int check_counters(struct tfs_checking *ck)
{
	struct tfs *fs = ck->fs;
	uint64_t used = all_used(ck);
	int err = counter(ck, "clusters are free", fs->super.clusters - used -
			  tfs_pool_clusters(fs) + fs->freemap->aside -
			  fs->freemap->unreachable,
			  &fs->free);

	if (!err && !too_many_reserved(ck, used))		/* (3) */
		err = counter(ck, "clusters are reserved", ck->reserved,
			      &fs->reserved);
	return err ? err : counter(ck, "inodes", ck->n - ck->reclaimed,
			     &fs->inodes);
}

/* ---- reservations ------------------------------------------------------------------ */

struct give_up {
	struct tfs_checking *ck;
	struct tfs_key	key;
	uint64_t	used, len;
};

static int give_up_fn(struct tfs_txn *tx, void *arg)
{
	struct give_up *g = arg;
	struct tfs_inode in;
	int err = tfs_inode_get(tx, g->key.obj, &in);

	if (err)
		return err;
	in.clusters -= g->len < in.clusters ? g->len : in.clusters;
	err = tfs_inode_put(tx, &in);
	return err ? err : tfs_txn_del(tx, g->key);
}

static int give_up_item(struct tfs_treewalk *w, const struct tfs_item *item)
{
	struct give_up *g = w->arg;
	struct tfs_extent ext;
	int err;

	if (!item->key.obj || item->key.type != TFS_T_EXTENT ||
	    tfs_extent_decode(g->ck->fs, item, &ext) || ext.addr ||
	    !too_many_reserved(g->ck, g->used))
		return 0;
	g->key = item->key;
	g->len = ext.len;
	err = tfs_fix(g->ck, give_up_fn, g);
	if (!err)
		g->ck->reserved -= ext.len;
	return err == -ENOENT ? 0 : err;
}

int tfs_check_reserved(struct tfs_checking *ck)
{
	struct give_up g = { .ck = ck, .used = all_used(ck) };
	struct tfs_treewalk w = { .fs = ck->fs, .arg = &g,
				  .item = give_up_item,
				  .lost = tfs_treewalk_skip };
	uint64_t free = ck->fs->super.clusters - g.used;
	int err;

	if (!too_many_reserved(ck, g.used) ||
	    !tfs_found(ck, TFS_F_COUNTER, 0, 0, true, "%llu clusters are "
		       "free, and more than that is reserved for files: %llu; "
		       "some of that is given up, content is not", (ull)free,
		       (ull)ck->reserved))
		return 0;
	err = tfs_treewalk_begin(&w);
	if (!err)
		err = tfs_treewalk_run(&w);
	tfs_treewalk_end(&w);
	return tfs_found_fixed(ck, err);
}

/* ---- all ----------------------------------------------------------------------------- */

static int check_regions(struct tfs_checking *ck, bool first)
{
	uint64_t n = tfs_region_count(ck->fs);
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++) {
		if (ck->used[i] || ck->has_item[i] || !i || i == n - 1)
			err = check_region(ck, i, first);	/* (2) */
		if (!err && !(i % 64) && !first)
			err = tfs_check_progress(ck, 4, i * 1000 / n);
	}
	return err;
}

int tfs_check_marked(struct tfs_checking *ck)
{
	int err = tfs_check_refer_again(ck);

	if (!err)
		err = check_regions(ck, true);
	tfs_check_forget(ck);
	return err;
}

int tfs_check_space(struct tfs_checking *ck)
{
	int err = check_regions(ck, false);

	return err || ck->c->lost ? err : check_counters(ck);
}
