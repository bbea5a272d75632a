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
 *  (3) The counts of a summary guide the search; the bitmap decides. */
#include <stdlib.h>
#include <string.h>

#include "base/state.h"
#include "tree/alloc.h"
#include "tree/btree.h"

/* ---- regions and groups -------------------------------------------------- */

static uint16_t fresh_count(const struct tfs *fs, uint64_t idx)
{
	uint64_t map[TFS_REGION_WORDS] = { 0 };

	if (idx >= tfs_region_count(fs))
		return 0;
	tfs_bits_fixed(fs, idx, map);
	return tfs_bits_clear(map);
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
	err = tfs_btree_get(fs, tfs_key(0, TFS_T_SUMMARY, idx), &item, miss);
	if (err && err != -ENOENT)
		return err;
	if (!err && item.len != sizeof(d))
		return -EUCLEAN;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	if (!err)
		memcpy(&d, item.val, sizeof(d));
	for (unsigned int i = 0; i < TFS_GROUP_REGIONS; i++)
		g->free[i] = err ?
			fresh_count(fs, idx * TFS_GROUP_REGIONS + i) :
			le16toh(d.free[i]);
	g->idx = idx;
	g->next = *head;
	*head = g;
	*out = g;
	return 0;
}

/* The region and its group, in memory from here on. */
static int load_region(struct tfs *fs, uint64_t idx, struct tfs_region **out,
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
	err = tfs_btree_get(fs, tfs_key(0, TFS_T_REGION, idx), &item, miss);
	if (err && err != -ENOENT)
		return err;
	if (!err && item.len != TFS_REGION_BYTES)
		return -EUCLEAN;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	for (unsigned int i = 0; !err && i < TFS_REGION_WORDS; i++) {
		uint64_t w;

		memcpy(&w, (const uint8_t *)item.val + 8 * i, 8);
		r->map[i] = le64toh(w);
	}
	tfs_bits_fixed(fs, idx, r->map);
	g->free[idx % TFS_GROUP_REGIONS] =
		tfs_bits_clear(r->map);				/* (3) */
	r->idx = idx;
	r->next = fm->region[idx % TFS_FREEMAP_TABLE];
	fm->region[idx % TFS_FREEMAP_TABLE] = r;
	fm->regions++;
	*out = r;
	return 0;
}

/* ---- taking -------------------------------------------------------------- */

/* Next fit from the cursor on, once around the device. */
static int take_run(struct tfs *fs, enum tfs_cursor c, uint64_t want,
		    struct tfs_region **out, unsigned int *at,
		    unsigned int *len, struct tfs_miss *miss)
{
	uint64_t *cursor = &fs->freemap->cursor[c], n = tfs_region_count(fs);
	uint64_t idx = *cursor / TFS_REGION_BITS % n;
	unsigned int bit = *cursor % TFS_REGION_BITS;
	struct tfs_region *r;
	struct tfs_group *g;
	int err;

	if (want > TFS_REGION_BITS)
		want = TFS_REGION_BITS;
	for (uint64_t i = 0; i <= n; i++, idx = (idx + 1) % n, bit = 0) {
		err = load_group(fs, idx / TFS_GROUP_REGIONS, &g, miss);
		if (err)
			return err;
		if (!g->free[idx % TFS_GROUP_REGIONS])
			continue;
		err = load_region(fs, idx, &r, miss);
		if (err)
			return err;
		*len = tfs_region_run(r, bit, want, at);
		if (!*len)
			continue;
		tfs_region_take(fs, r, *at, *len);
		*cursor = idx * TFS_REGION_BITS + *at + *len;
		*out = r;
		return 0;
	}
	return -ENOSPC;
}

int tfs_alloc_data(struct tfs *fs, uint64_t want, uint64_t *addr,
		   uint64_t *len, struct tfs_miss *miss)
{
	unsigned int at, n;
	struct tfs_region *r;
	int err = take_run(fs, TFS_CURSOR_DATA, want, &r, &at, &n, miss);

	if (err)
		return err;
	tfs_region_dirty(fs, r);
	*addr = r->idx * TFS_REGION_BITS + at;
	*len = n;
	fs->born += n;
	return 0;
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
	err = load_region(fs, addr / TFS_REGION_BITS, &r, miss);
	if (err)
		return err;
	if (tfs_bits_next(r->map, bit, true) < bit + *len || fs->free < *len)
		return -EUCLEAN;
	tfs_region_take(fs, r, bit, *len);
	tfs_region_dirty(fs, r);
	return 0;
}

/* ---- the pool ------------------------------------------------------------ */

static int take_hidden(struct tfs *fs, enum tfs_cursor c, uint64_t *addr,
		       struct tfs_miss *miss)
{
	unsigned int at, n;
	struct tfs_region *r;
	int err = take_run(fs, c, 1, &r, &at, &n, miss);

	if (err)
		return err == -ENOSPC ? TFS_SHORT : err;
	*addr = r->idx * TFS_REGION_BITS + at;
	err = tfs_region_hide(r, at, 1);
	if (err) {
		tfs_bits_put(r->map, at, 1, false);
		*tfs_region_free(fs, r->idx) += 1;
		fs->free++;
	}
	return err;
}

static int pool_add(struct tfs *fs, struct tfs_miss *miss)
{
	struct tfs_freemap *fm = fs->freemap;
	struct tfs_node *node;
	uint64_t addr[2];
	int err = tfs_array_grow(&fm->pool, &fm->pool_room, fm->pool_n + 1,
				 sizeof(fm->pool[0]));

	node = err ? NULL : tfs_node_alloc(fs);
	if (!node)
		return -ENOMEM;
	err = take_hidden(fs, TFS_CURSOR_NODE, &addr[0], miss);
	if (!err) {
		err = take_hidden(fs, TFS_CURSOR_COPY, &addr[1], miss);
		if (err)
			tfs_pool_untake(fs, addr[0]);
	}
	if (err) {
		tfs_node_free(node);
		return err;
	}
	node->ptr.addr[0] = addr[0];
	node->ptr.addr[1] = addr[1];
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
			return TFS_SHORT;
		err = pool_add(fs, miss);
	}
	return err;
}

/* ---- checkpoints --------------------------------------------------------- */

static int part_load(struct tfs *fs, uint64_t idx, unsigned int bit,
		     unsigned int n, struct tfs_miss *miss)
{
	struct tfs_region *r;
	int err;

	if (idx >= tfs_region_count(fs))
		return -EUCLEAN;
	err = load_region(fs, idx, &r, miss);
	if (err)
		return err;
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
	int err = tfs_btree_touch(fs, key, false, &items->need, miss);

	if (err)
		return err;
	items->all++;
	err = tfs_btree_get(fs, key, &item, miss);
	items->new += err == -ENOENT;
	return err == -ENOENT ? 0 : err;
}

/* Bring the items of all regions that will change into memory. */
static int touch_regions(struct tfs *fs, struct items *items,
			 struct tfs_miss *miss)
{
	for (unsigned int i = 0; i < TFS_FREEMAP_TABLE; i++) {
		struct tfs_region *r = fs->freemap->region[i];
		int err = 0;

		for (; r && !err; r = r->next) {
			uint64_t g = r->idx / TFS_GROUP_REGIONS;

			if (!r->dirty && !r->hidden)
				continue;
			err = touch_item(fs, tfs_key(0, TFS_T_REGION, r->idx),
					 items, miss);
			if (!err)
				err = touch_item(fs, tfs_key(0, TFS_T_SUMMARY,
							     g),
						 items, miss);
		}
		if (err)
			return err;
	}
	return 0;
}

/* Copy the paths of those items now, so that storing them frees nothing. */
static void rewrite_regions(struct tfs *fs)
{
	for (unsigned int i = 0; i < TFS_FREEMAP_TABLE; i++) {
		struct tfs_region *r = fs->freemap->region[i];

		for (; r; r = r->next) {
			uint64_t g = r->idx / TFS_GROUP_REGIONS;

			if (!r->dirty && !r->hidden)
				continue;
			tfs_btree_rewrite(fs, tfs_key(0, TFS_T_REGION, r->idx),
					  0);
			tfs_btree_rewrite(fs, tfs_key(0, TFS_T_SUMMARY, g), 0);
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
		image[i] = htole64(r->map[i] & ~(r->hide ? r->hide[i] : 0));
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
				for (g = fm->group[idx % TFS_FREEMAP_TABLE];
				     g->idx != idx; )
					g = g->next;
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
