/* SPDX-License-Identifier: GPL-2.0-or-later */
/* alloc.c - free space: bitmaps of regions, a summary above them, loaded on
 * demand, so that neither mount time nor memory grow with the device (but
 * for 2 bytes for each region of a group that was looked at).
 *
 *  (1) What a region or a group is in memory says freemap.c; here it comes from
 *      the tree and goes back there.
 *  (2) A cluster freed in a commit is hidden when the commit's checkpoint is
 *      serialised, and can be handed out after tfs_freemap_release(), when
 *      that checkpoint is durable and no read can be looking at it.
 *  (3) The counts of a summary guide the search; the bitmap decides.
 *  (4) The two copies of a node lie at least TFS_COPY_GAP apart, and half a
 *      device if that is free, so that one bad spot does not take both.  Only
 *      where nothing else is free they come nearer.
 *  (5) A search that has to stop, for a node to be read or for having held
 *      the lock long enough, goes on where it was. */
#include <stdlib.h>
#include <string.h>

#include "base/state.h"
#include "tree/alloc.h"
#include "tree/btree.h"
#include "tree/ncache.h"

#define WALK_MAX	16384u	/* regions passed in one hold of the lock */

/* ---- regions and groups -------------------------------------------------- */

static uint16_t fresh_count(const struct tfs *fs, uint64_t idx)
{
	uint64_t map[TFS_REGION_WORDS] = { 0 };

	if (idx >= tfs_region_count(fs))
		return 0;
	tfs_bits_fixed(fs, idx, map);
	return tfs_bits_clear(map);
}

/* The item that says what is free.  Nobody but the search for space needs it:
 * -EUCLEAN, also in place of a miss that could not be read. */
static int look(struct tfs *fs, struct tfs_key key, unsigned int len,
		struct tfs_item *item, struct tfs_miss *miss)
{
	int err = tfs_freemap_lost(fs, &key) ? -EUCLEAN :
		tfs_btree_get(fs, key, item, miss);

	if (err == TFS_MISS)
		miss->kind = TFS_MISS_SPACE;
	return !err && item->len != len ? -EUCLEAN : err;
}

static int load_group(struct tfs *fs, uint64_t idx, struct tfs_group **out,
		      struct tfs_miss *miss)
{
	struct tfs_group **head, *g;
	struct tfs_disk_summary d;
	struct tfs_item item;
	int err;

	head = &fs->freemap->group[idx % TFS_FREEMAP_TABLE];
	for (g = *head; g; g = g->next)
		if (g->idx == idx)
			return *out = g, 0;
	err = look(fs, tfs_key(0, TFS_T_SUMMARY, idx), sizeof(d), &item, miss);
	if (err && err != -ENOENT && err != -EUCLEAN)
		return err;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	if (!err)
		memcpy(&d, item.val, sizeof(d));
	for (unsigned int i = 0; i < TFS_GROUP_REGIONS; i++)
		g->free[i] = err == -EUCLEAN ? 0 : err ?
			fresh_count(fs, idx * TFS_GROUP_REGIONS + i) :
			le16toh(d.free[i]);
	g->lost = err == -EUCLEAN;
	g->idx = idx;
	g->next = *head;
	*head = g;
	*out = g;
	return 0;
}

/* The region and its group, in memory from here on. */
int tfs_region_load(struct tfs *fs, uint64_t idx, struct tfs_region **out,
		    struct tfs_miss *miss)
{
	struct tfs_freemap *fm = fs->freemap;
	struct tfs_region *r = tfs_region_find(fm, idx);
	struct tfs_item item;
	struct tfs_group *g;
	int err;

	if (r)
		return *out = r, 0;
	err = load_group(fs, idx / TFS_GROUP_REGIONS, &g, miss);
	if (err)
		return err;
	err = look(fs, tfs_key(0, TFS_T_REGION, idx), TFS_REGION_BYTES, &item,
		   miss);
	if (err && err != -ENOENT && err != -EUCLEAN)
		return err;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	for (unsigned int i = 0; !err && i < TFS_REGION_WORDS; i++) {
		uint64_t w;

		memcpy(&w, (const uint8_t *)item.val + 8 * i, 8);
		r->map[i] = le64toh(w);
	}
	r->idx = idx;
	tfs_bits_fixed(fs, idx, r->map);
	if (err == -EUCLEAN) {
		tfs_bits_put(r->map, 0, TFS_REGION_BITS, true);
		tfs_region_lose(fs, r);
	} else {
		g->free[idx % TFS_GROUP_REGIONS] =
			tfs_bits_clear(r->map);			/* (3) */
	}
	r->next = fm->region[idx % TFS_FREEMAP_TABLE];
	fm->region[idx % TFS_FREEMAP_TABLE] = r;
	fm->regions++;
	*out = r;
	return 0;
}

/* ---- taking -------------------------------------------------------------- */

/* Clusters that a search leaves alone. */
struct skip {
	uint64_t	from, end;
};

/* The part of it that is in region idx, in bits. */
static void skip_in(const struct skip *skip, uint64_t idx, unsigned int *low,
		    unsigned int *high)
{
	uint64_t base = idx * TFS_REGION_BITS, end = base + TFS_REGION_BITS;
	uint64_t from = skip->from > base ? skip->from : base;
	uint64_t to = skip->end < end ? skip->end : end;

	*low = *high = TFS_REGION_BITS;
	if (from >= to)
		return;
	*low = from - base;
	*high = to - base;
}

/* In the region that the walk has come to.  *len 0: there is nothing. */
static int take_here(struct tfs *fs, struct tfs_search *w, uint64_t want,
		     const struct skip *skip, struct tfs_region **out,
		     unsigned int *at, unsigned int *len,
		     struct tfs_miss *miss)
{
	uint64_t idx = w->at / TFS_REGION_BITS % tfs_region_count(fs);
	unsigned int low, high;
	struct tfs_group *g;
	int err = load_group(fs, idx / TFS_GROUP_REGIONS, &g, miss);

	*len = 0;
	if (err || !g->free[idx % TFS_GROUP_REGIONS])
		return err;
	err = tfs_region_load(fs, idx, out, miss);
	if (err)
		return err;
	skip_in(skip, idx, &low, &high);
	*len = tfs_region_run(*out, w->at % TFS_REGION_BITS, want, low, high,
			      at);
	return 0;
}

/* Next fit, once around the device; a miss in between changes nothing. */
static int take_run(struct tfs *fs, struct tfs_search *w, uint64_t want,
		    const struct skip *skip, struct tfs_region **out,
		    unsigned int *at, unsigned int *len,
		    struct tfs_miss *miss)
{
	uint64_t n = tfs_region_count(fs);
	int err;

	if (want > TFS_REGION_BITS)
		want = TFS_REGION_BITS;
	for (unsigned int i = 0; w->full < n; i++, w->full++) {
		if (i == WALK_MAX) {
			*miss = (struct tfs_miss){ .kind = TFS_MISS_PAUSE };
			return TFS_MISS;
		}
		err = take_here(fs, w, want, skip, out, at, len, miss);
		if (err)
			return err;
		if (*len) {
			w->full = 0;
			w->at = (*out)->idx * TFS_REGION_BITS + *at + *len;
			tfs_region_take(fs, *out, *at, *len);
			return 0;
		}
		w->at = (w->at / TFS_REGION_BITS + 1) % n * TFS_REGION_BITS;
	}
	w->full = 0;
	if (fs->freemap->lost_n && !skip->end)
		tfs_freemap_strand(fs, fs->free);	/* it was nowhere */
	return -ENOSPC;
}

int tfs_alloc_data(struct tfs *fs, uint64_t want, uint64_t *addr,
		   uint64_t *len, struct tfs_miss *miss)
{
	const struct skip none = { 0, 0 };
	unsigned int at, n;
	struct tfs_region *r;
	int err = take_run(fs, &fs->freemap->data, want, &none, &r, &at, &n,
			   miss);

	if (err)
		return err;
	tfs_region_dirty(fs, r);
	*addr = r->idx * TFS_REGION_BITS + at;
	*len = n;
	fs->born += n;
	return 0;
}

/* Those of them that are not taken. */
static void take_rest(struct tfs *fs, struct tfs_region *r, unsigned int bit,
		      unsigned int n)
{
	for (unsigned int i = bit; i < bit + n; i++)
		if (tfs_bits_next(r->map, i, true) != i)
			tfs_region_take(fs, r, i, 1);
	tfs_region_dirty(fs, r);
}

int tfs_alloc_claim(struct tfs *fs, uint64_t addr, uint64_t *len,
		    struct tfs_miss *miss)
{
	unsigned int bit = addr % TFS_REGION_BITS;
	struct tfs_region *r;
	int err;

	if (addr >= fs->super.clusters)
		return -EUCLEAN;
	if (*len > TFS_REGION_BITS - bit)
		*len = TFS_REGION_BITS - bit;
	err = tfs_region_load(fs, addr / TFS_REGION_BITS, &r, miss);
	if (err)
		return err;
	if (r->lost) {		/* nobody else will take them */
		uint64_t *n = &fs->freemap->unreachable;

		*n -= *n < *len ? *n : *len;
		return 0;
	}
	if (r->guessed) {
		take_rest(fs, r, bit, *len);
		return 0;
	}
	if (tfs_bits_next(r->map, bit, true) < bit + *len || fs->free < *len)
		return -EUCLEAN;
	tfs_region_take(fs, r, bit, *len);
	tfs_region_dirty(fs, r);
	return 0;
}

/* ---- the pool ------------------------------------------------------------ */

static int take_hidden(struct tfs *fs, struct tfs_search *w,
		       const struct skip *skip, uint64_t *addr,
		       struct tfs_miss *miss)
{
	unsigned int at, n;
	struct tfs_region *r;
	int err = take_run(fs, w, 1, skip, &r, &at, &n, miss);

	if (err)
		return err;
	*addr = r->idx * TFS_REGION_BITS + at;
	tfs_region_hide(r, at, 1);
	return 0;
}

/* (4) A pair of places.  If something must be read for the second one, the
 * first is kept for the next call. */
static int take_pair(struct tfs *fs, uint64_t *addr, struct tfs_miss *miss)
{
	const struct skip none = { 0, 0 };
	struct tfs_freemap *fm = fs->freemap;
	struct skip near;
	uint64_t half;
	int err = 0;

	if (!fm->half) {
		err = take_hidden(fs, &fm->node, &none, &half, miss);
		if (err)
			return err;
		tfs_pool_aim(fs, half);
	}
	near.from = fm->half < TFS_COPY_GAP ? 0 : fm->half - TFS_COPY_GAP + 1;
	near.end = fm->half + TFS_COPY_GAP;
	err = take_hidden(fs, &fm->copy, &near, &addr[1], miss);
	if (err == -ENOSPC) {
		err = take_hidden(fs, &fm->copy, &none, &addr[1], miss);
		if (!err)
			atomic_fetch_add(&fs->count.near_copies, 1);
	}
	if (err)
		return err;
	addr[0] = fm->half;
	fm->half = 0;
	return 0;
}

static int pool_add(struct tfs *fs, struct tfs_miss *miss)
{
	struct tfs_freemap *fm = fs->freemap;
	struct tfs_node *node;
	int err = tfs_array_grow(&fm->pool, &fm->pool_room, fm->pool_n + 1,
				 sizeof(fm->pool[0]));

	node = err ? NULL : tfs_node_alloc(fs);
	if (!node)
		return -ENOMEM;
	err = take_pair(fs, node->ptr.addr, miss);
	if (err) {
		tfs_node_free(node);
		return err == -ENOSPC ? TFS_SHORT : err;
	}
	fm->pool[fm->pool_n++] = node;
	return 0;
}

int tfs_pool_fill(struct tfs *fs, unsigned int nodes, unsigned int spare,
		  uint64_t floor, struct tfs_miss *miss)
{
	struct tfs_freemap *fm = fs->freemap;
	int err;

	fm->spare = spare;
	/* Every node copied or merged away frees its two places. */
	err = tfs_free_reserve(fs, 4 * ((size_t)nodes + spare));
	while (!err && fm->pool_n < (size_t)nodes + spare) {
		if (fs->free < floor + 2)
			err = TFS_SHORT;
		else
			err = pool_add(fs, miss);
	}
	if (!err || err == TFS_MISS || fm->pool_n < nodes)
		return err;
	fm->spare = fm->pool_n - nodes;	/* without them it works as well */
	return 0;
}

/* ---- checkpoints --------------------------------------------------------- */

static int part_load(struct tfs *fs, uint64_t idx, unsigned int bit,
		     unsigned int n, struct tfs_miss *miss)
{
	struct tfs_region *r;
	int err;

	if (idx >= tfs_region_count(fs))
		return -EUCLEAN;
	err = tfs_region_load(fs, idx, &r, miss);
	if (err)
		return err;
	if (r->lost)
		return 0;
	if (tfs_bits_next(r->map, bit, false) < bit + n) {
		eng_log(LOG_ERR, "clusters %llu+%u: freed, but not in use",
			(unsigned long long)idx * TFS_REGION_BITS + bit, n);
		return -EUCLEAN;
	}
	tfs_region_dirty(fs, r);
	return 0;
}

struct items {
	struct tfs_need	need;
	unsigned int	all, new;
};

static int touch_item(struct tfs *fs, struct tfs_key key, struct items *items,
		      struct tfs_miss *miss)
{
	struct tfs_item item;
	int err = tfs_freemap_lost(fs, &key) ? -EUCLEAN :
		tfs_btree_touch(fs, key, false, &items->need, miss);

	if (err == TFS_MISS)
		miss->kind = TFS_MISS_SPACE;
	if (err)
		return err;
	items->all++;
	err = tfs_btree_get(fs, key, &item, miss);
	items->new += err == -ENOENT;
	return err == -ENOENT ? 0 : err;
}

/* Will it be stored? */
static bool changes(const struct tfs_region *r)
{
	return !r->lost && (r->dirty || r->hidden);
}

/* The items of a region and its group; what can't be read is lost. */
static int touch_region(struct tfs *fs, struct tfs_region *r,
			struct items *items, struct tfs_miss *miss)
{
	uint64_t idx = r->idx / TFS_GROUP_REGIONS;
	struct tfs_group *g = tfs_group_find(fs->freemap, idx);
	int err = touch_item(fs, tfs_key(0, TFS_T_REGION, r->idx), items,
			     miss);

	if (err == -EUCLEAN) {
		tfs_region_lose(fs, r);
		return 0;
	}
	if (err || g->lost)
		return err;
	err = touch_item(fs, tfs_key(0, TFS_T_SUMMARY, idx), items, miss);
	g->lost = err == -EUCLEAN;
	return g->lost ? 0 : err;
}

/* Bring the items of all regions that will change into memory. */
static int touch_regions(struct tfs *fs, struct items *items,
			 struct tfs_miss *miss)
{
	int err = 0;

	for (unsigned int i = 0; i < TFS_FREEMAP_TABLE && !err; i++) {
		struct tfs_region *r = fs->freemap->region[i];

		for (; r && !err; r = r->next)
			if (changes(r))
				err = touch_region(fs, r, items, miss);
	}
	return err;
}

/* Copy the paths of those items now, so that storing them frees nothing. */
static void rewrite_regions(struct tfs *fs)
{
	for (unsigned int i = 0; i < TFS_FREEMAP_TABLE; i++) {
		struct tfs_region *r = fs->freemap->region[i];

		for (; r; r = r->next) {
			uint64_t g = r->idx / TFS_GROUP_REGIONS;

			if (!changes(r))
				continue;
			tfs_btree_rewrite(fs, tfs_key(0, TFS_T_REGION, r->idx),
					  0);
			if (!tfs_group_find(fs->freemap, g)->lost)
				tfs_btree_rewrite(fs, tfs_key(0, TFS_T_SUMMARY,
							      g), 0);
		}
	}
}

/* Until all items that will change are in memory and the pool has enough for
 * them: what is put into the pool may lie in further regions. */
static int fill_for_regions(struct tfs *fs, struct tfs_miss *miss)
{
	unsigned int before = 0;
	struct items items;
	int err;

	for (;; before = items.all) {
		items = (struct items){ .need.mark = tfs_btree_new_mark(fs) };
		err = touch_regions(fs, &items, miss);
		if (err || items.all == before)
			return err;
		/* Only new items split nodes; the others have their size. */
		err = tfs_pool_fill(fs, items.need.nodes +
				    tfs_btree_splits(fs, &items.need,
						     items.new, items.new *
						     TFS_VALUE_MAX),
				    0, 0, miss);
		if (err)
			return err;
	}
}

/* Until a round frees nothing: copying paths frees their old places, whose
 * regions change in turn. */
int tfs_alloc_prepare(struct tfs *fs, struct tfs_miss *miss)
{
	uint64_t freed;
	int err;

	do {
		freed = fs->frees.clusters;
		err = tfs_region_each(fs, &fs->frees, part_load, miss);
		if (!err)
			err = fill_for_regions(fs, miss);
		if (err)
			return err;
		rewrite_regions(fs);
	} while (fs->frees.clusters != freed);
	return 0;
}

static void store_region(struct tfs *fs, struct tfs_region *r)
{
	uint64_t image[TFS_REGION_WORDS];

	for (unsigned int i = 0; i < TFS_REGION_WORDS; i++)
		image[i] = htole64(r->map[i] & ~r->hide[i]);
	r->dirty = false;
	fs->freemap->dirty--;
	tfs_btree_put(fs, tfs_key(0, TFS_T_REGION, r->idx), image,
		      sizeof(image));
}

static void store_group(struct tfs *fs, struct tfs_group *g)
{
	struct tfs_disk_summary d;

	for (unsigned int i = 0; i < TFS_GROUP_REGIONS; i++) {
		uint64_t idx = g->idx * TFS_GROUP_REGIONS + i;
		struct tfs_region *r = tfs_region_find(fs->freemap, idx);

		d.free[i] = htole16(g->free[i] + (r ? r->hidden : 0));
	}
	g->dirty = false;
	if (g->lost)
		return;
	tfs_btree_put(fs, tfs_key(0, TFS_T_SUMMARY, g->idx), &d, sizeof(d));
}

/* A split takes a node from the pool, which dirties its region again; items
 * that are there are overwritten in place, so that ends. */
static void store_all(struct tfs *fs)
{
	struct tfs_freemap *fm = fs->freemap;
	struct tfs_group *g;

	while (fm->dirty) {
		for (unsigned int i = 0; i < TFS_FREEMAP_TABLE; i++) {
			struct tfs_region *r = fm->region[i];

			for (; r; r = r->next) {
				uint64_t idx = r->idx / TFS_GROUP_REGIONS;

				if (!r->dirty)
					continue;
				g = tfs_group_find(fm, idx);
				g->dirty = true;
				store_region(fs, r);
			}
		}
		for (unsigned int i = 0; i < TFS_FREEMAP_TABLE; i++)
			for (g = fm->group[i]; g; g = g->next)
				if (g->dirty)
					store_group(fs, g);
	}
}

void tfs_alloc_serialise(struct tfs *fs)
{
	int err = tfs_freemap_hide(fs);

	if (err)
		tfs_fail(fs, err, "free space");
	store_all(fs);
}
