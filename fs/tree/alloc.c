/* SPDX-License-Identifier: GPL-2.0-or-later */
/* alloc.c - free space: bitmaps of regions, a summary above them, loaded on
 * demand, so that neither mount time nor memory grow with the device (but
 * for 2 bytes for each region of a group that was looked at).
 *
 *  (1) region->map has a bit for every cluster that must not be handed out:
 *      in use, or freed but not yet reusable, or set aside in the pool.
 *  (2) region->hide has those of them that are free in the checkpoint that
 *      is (or will be) on the medium: what that checkpoint freed, and the
 *      pool.  What the tree stores is map without hide.
 *  (3) A region that is dirty or hides anything stays in memory.
 *  (4) A cluster freed in a commit enters hide when the commit's checkpoint
 *      is serialised, and leaves map in tfs_alloc_release(), when that
 *      checkpoint is durable and no read can be looking at it.
 *  (5) Superblocks, slots, the log and what lies past the end are in use
 *      whatever the stored bitmap says.
 *  (6) The counts of a summary guide the search; the bitmap decides. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tree/alloc.h"
#include "tree/btree.h"

#define WORDS		(TFS_REGION_BITS / 64)
#define TABLE		1024
#define REGIONS_KEPT	512	/* clean ones, after a checkpoint */
#define RECENT		8

struct region {
	uint64_t	idx;
	uint64_t	map[WORDS];
	uint64_t	*hide;		/* (2); NULL: nothing hidden */
	unsigned int	hidden;		/* bits in it */
	bool		dirty;
	struct region	*next;
};

struct group {
	uint64_t	idx;
	uint16_t	free[TFS_GROUP_REGIONS];	/* clear bits of map */
	bool		dirty;
	struct group	*next;
};

enum cursor { CURSOR_DATA, CURSOR_NODE, CURSOR_COPY, CURSORS };

struct tfs_alloc {
	struct region	*region[TABLE];
	struct group	*group[TABLE];
	size_t		regions, dirty;
	uint64_t	cursor[CURSORS];
	struct tfs_node	**pool;
	size_t		pool_n, pool_room;
	unsigned int	spare;
	struct region	*last;		/* the one found last */
	/* Regions with something to be freed, about; see freed_in(). */
	size_t		freed;
	uint64_t	recent[RECENT];
	unsigned int	recent_at;
};

/* ---- bits ---------------------------------------------------------------- */

static void put_bits(uint64_t *map, unsigned int from, unsigned int n, bool on)
{
	for (unsigned int i = from; i < from + n; ) {
		unsigned int k = 64 - i % 64;
		uint64_t mask;

		if (k > from + n - i)
			k = from + n - i;
		mask = (k == 64 ? ~0ull : (1ull << k) - 1) << i % 64;
		if (on)
			map[i / 64] |= mask;
		else
			map[i / 64] &= ~mask;
		i += k;
	}
}

/* The first bit at or after i that is on (or off), TFS_REGION_BITS if none. */
static unsigned int next_bit(const uint64_t *map, unsigned int i, bool on)
{
	while (i < TFS_REGION_BITS) {
		uint64_t w = (on ? map[i / 64] : ~map[i / 64]) >> i % 64;

		if (w)
			return i + __builtin_ctzll(w);
		i = (i / 64 + 1) * 64;
	}
	return TFS_REGION_BITS;
}

static unsigned int count_clear(const uint64_t *map)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < WORDS; i++)
		n += __builtin_popcountll(~map[i]);
	return n;
}

/* ---- regions and groups -------------------------------------------------- */

/* (5), clipped to region idx; both ends of the device. */
static void set_fixed(const struct tfs *fs, uint64_t idx, uint64_t *map)
{
	uint64_t base = idx * TFS_REGION_BITS, end = base + TFS_REGION_BITS;
	uint64_t head = fs->super.log_start + fs->super.log_clusters;
	uint64_t tail = fs->super.clusters - TFS_END_FIXED;

	if (head > base)
		put_bits(map, 0, (head < end ? head : end) - base, true);
	if (tail < end)
		put_bits(map, tail > base ? tail - base : 0,
			 end - (tail > base ? tail : base), true);
}

uint64_t tfs_alloc_fixed(const struct tfs *fs)
{
	return fs->super.log_start + fs->super.log_clusters + TFS_END_FIXED;
}

static uint64_t region_count(const struct tfs *fs)
{
	return (fs->super.clusters + TFS_REGION_BITS - 1) / TFS_REGION_BITS;
}

static uint16_t fresh_count(const struct tfs *fs, uint64_t idx)
{
	uint64_t map[WORDS] = { 0 };

	if (idx >= region_count(fs))
		return 0;
	set_fixed(fs, idx, map);
	return count_clear(map);
}

static int load_group(struct tfs *fs, uint64_t idx, struct group **out,
		      struct tfs_fault *fault)
{
	struct group **head = &fs->alloc->group[idx % TABLE], *g;
	struct tfs_disk_summary d;
	struct tfs_item item;
	int err;

	for (g = *head; g; g = g->next)
		if (g->idx == idx)
			return *out = g, 0;
	err = tfs_btree_get(fs, tfs_key(0, TFS_T_SUMMARY, idx), &item, fault);
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

static uint16_t *free_count(struct tfs *fs, uint64_t region)
{
	uint64_t idx = region / TFS_GROUP_REGIONS;
	struct group *g = fs->alloc->group[idx % TABLE];

	while (g->idx != idx)
		g = g->next;
	return &g->free[region % TFS_GROUP_REGIONS];
}

static struct region *find_region(struct tfs_alloc *al, uint64_t idx)
{
	struct region *r = al->last;

	if (r && r->idx == idx)
		return r;
	for (r = al->region[idx % TABLE]; r && r->idx != idx; )
		r = r->next;
	if (r)
		al->last = r;
	return r;
}

/* The region and its group, in memory from here on. */
static int load_region(struct tfs *fs, uint64_t idx, struct region **out,
		       struct tfs_fault *fault)
{
	struct tfs_alloc *al = fs->alloc;
	struct region *r = find_region(al, idx);
	struct tfs_item item;
	struct group *g;
	int err;

	if (r)
		return *out = r, 0;
	err = load_group(fs, idx / TFS_GROUP_REGIONS, &g, fault);
	if (err)
		return err;
	err = tfs_btree_get(fs, tfs_key(0, TFS_T_REGION, idx), &item, fault);
	if (err && err != -ENOENT)
		return err;
	if (!err && item.len != TFS_REGION_BYTES)
		return -EUCLEAN;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	for (unsigned int i = 0; !err && i < WORDS; i++) {
		uint64_t w;

		memcpy(&w, (const uint8_t *)item.val + 8 * i, 8);
		r->map[i] = le64toh(w);
	}
	set_fixed(fs, idx, r->map);
	g->free[idx % TFS_GROUP_REGIONS] = count_clear(r->map);	/* (6) */
	r->idx = idx;
	r->next = al->region[idx % TABLE];
	al->region[idx % TABLE] = r;
	al->regions++;
	*out = r;
	return 0;
}

static void set_dirty(struct tfs *fs, struct region *r)
{
	fs->dirty = true;
	fs->alloc->dirty += !r->dirty;
	r->dirty = true;
}

static int hide_bits(struct region *r, unsigned int from, unsigned int n)
{
	if (!r->hide)
		r->hide = calloc(WORDS, sizeof(uint64_t));
	if (!r->hide)
		return -ENOMEM;
	put_bits(r->hide, from, n, true);
	r->hidden += n;
	return 0;
}

static void unhide_bits(struct region *r, unsigned int from, unsigned int n)
{
	put_bits(r->hide, from, n, false);
	r->hidden -= n;
	if (!r->hidden) {
		free(r->hide);
		r->hide = NULL;
	}
}

int tfs_alloc_create(struct tfs_alloc **out, const struct tfs *fs)
{
	struct tfs_alloc *al = calloc(1, sizeof(*al));

	*out = al;
	if (!al)
		return -ENOMEM;
	/* Nodes begin at the front, their copies half a device away. */
	al->cursor[CURSOR_NODE] = tfs_alloc_fixed(fs) - TFS_END_FIXED;
	al->cursor[CURSOR_DATA] = al->cursor[CURSOR_NODE] +
		fs->super.clusters / 32;
	al->cursor[CURSOR_COPY] = fs->super.clusters / 2;
	return 0;
}

static void free_region(struct region *r)
{
	free(r->hide);
	free(r);
}

void tfs_alloc_destroy(struct tfs_alloc *al)
{
	if (!al)
		return;
	for (unsigned int i = 0; i < TABLE; i++) {
		for (struct region *r = al->region[i], *n; r; r = n) {
			n = r->next;
			free_region(r);
		}
		for (struct group *g = al->group[i], *n; g; g = n) {
			n = g->next;
			free(g);
		}
	}
	for (size_t i = 0; i < al->pool_n; i++)
		tfs_node_free(al->pool[i]);
	free(al->pool);
	free(al);
}

/* ---- taking -------------------------------------------------------------- */

/* The first run of want clear bits from bit on, else the longest one of the
 * whole region.  0: the region is full. */
static unsigned int find_run(const struct region *r, unsigned int bit,
			     unsigned int want, unsigned int *at)
{
	unsigned int best = 0;

	for (int pass = 0; pass < 2; pass++, bit = 0) {
		for (unsigned int i = bit; i < TFS_REGION_BITS; ) {
			unsigned int a = next_bit(r->map, i, false);
			unsigned int b = a < TFS_REGION_BITS ?
				next_bit(r->map, a, true) : a;

			if (b - a > best) {
				best = b - a;
				*at = a;
			}
			if (best >= want)
				return want;
			i = b > a ? b : TFS_REGION_BITS;
		}
	}
	return best;
}

static void take(struct tfs *fs, struct region *r, unsigned int bit,
		 unsigned int n)
{
	put_bits(r->map, bit, n, true);
	*free_count(fs, r->idx) -= n;
	fs->free -= n;
}

/* Next fit from the cursor on, once around the device. */
static int take_run(struct tfs *fs, enum cursor c, uint64_t want,
		    struct region **out, unsigned int *at, unsigned int *len,
		    struct tfs_fault *fault)
{
	uint64_t *cursor = &fs->alloc->cursor[c], n = region_count(fs);
	uint64_t idx = *cursor / TFS_REGION_BITS % n;
	unsigned int bit = *cursor % TFS_REGION_BITS;
	struct region *r;
	struct group *g;
	int err;

	if (want > TFS_REGION_BITS)
		want = TFS_REGION_BITS;
	for (uint64_t i = 0; i <= n; i++, idx = (idx + 1) % n, bit = 0) {
		err = load_group(fs, idx / TFS_GROUP_REGIONS, &g, fault);
		if (err)
			return err;
		if (!g->free[idx % TFS_GROUP_REGIONS])
			continue;
		err = load_region(fs, idx, &r, fault);
		if (err)
			return err;
		*len = find_run(r, bit, want, at);
		if (!*len)
			continue;
		take(fs, r, *at, *len);
		*cursor = idx * TFS_REGION_BITS + *at + *len;
		*out = r;
		return 0;
	}
	return -ENOSPC;
}

int tfs_alloc_data(struct tfs *fs, uint64_t want, uint64_t *addr,
		   uint64_t *len, struct tfs_fault *fault)
{
	unsigned int at, n;
	struct region *r;
	int err = take_run(fs, CURSOR_DATA, want, &r, &at, &n, fault);

	if (err)
		return err;
	set_dirty(fs, r);
	*addr = r->idx * TFS_REGION_BITS + at;
	*len = n;
	fs->born += n;
	return 0;
}

int tfs_alloc_claim(struct tfs *fs, uint64_t addr, uint64_t *len,
		    struct tfs_fault *fault)
{
	unsigned int bit = addr % TFS_REGION_BITS;
	struct region *r;
	int err;

	if (addr >= fs->super.clusters)
		return -EUCLEAN;
	if (*len > TFS_REGION_BITS - bit)
		*len = TFS_REGION_BITS - bit;
	err = load_region(fs, addr / TFS_REGION_BITS, &r, fault);
	if (err)
		return err;
	if (next_bit(r->map, bit, true) < bit + *len || fs->free < *len)
		return -EUCLEAN;
	take(fs, r, bit, *len);
	set_dirty(fs, r);
	return 0;
}

int tfs_free_reserve(struct tfs *fs, size_t runs)
{
	return tfs_extents_reserve(&fs->frees, runs);
}

/* A checkpoint will load and write all regions that something is freed in:
 * how many that will be decides when it is due.  A region is counted again
 * if others came in between. */
static void freed_in(struct tfs_alloc *al, uint64_t region)
{
	for (unsigned int i = 0; i < RECENT; i++)
		if (al->recent[i] == region + 1)
			return;
	al->recent[al->recent_at++ % RECENT] = region + 1;
	al->freed++;
}

void tfs_free_later(struct tfs *fs, uint64_t addr, uint64_t len)
{
	uint64_t last = (addr + len - 1) / TFS_REGION_BITS;

	for (uint64_t i = addr / TFS_REGION_BITS; i <= last; i++)
		freed_in(fs->alloc, i);
	tfs_extents_add(&fs->frees, addr, len);	/* has room: cannot fail */
	fs->dirty = true;
}

/* ---- the pool ------------------------------------------------------------ */

static int take_hidden(struct tfs *fs, enum cursor c, uint64_t *addr,
		       struct tfs_fault *fault)
{
	unsigned int at, n;
	struct region *r;
	int err = take_run(fs, c, 1, &r, &at, &n, fault);

	if (err)
		return err == -ENOSPC ? TFS_SHORT : err;
	*addr = r->idx * TFS_REGION_BITS + at;
	err = hide_bits(r, at, 1);
	if (err) {
		put_bits(r->map, at, 1, false);
		*free_count(fs, r->idx) += 1;
		fs->free++;
	}
	return err;
}

static void untake_hidden(struct tfs *fs, uint64_t addr)
{
	struct region *r = find_region(fs->alloc, addr / TFS_REGION_BITS);

	unhide_bits(r, addr % TFS_REGION_BITS, 1);
	put_bits(r->map, addr % TFS_REGION_BITS, 1, false);
	*free_count(fs, r->idx) += 1;
	fs->free++;
}

static int pool_add(struct tfs *fs, struct tfs_fault *fault)
{
	struct tfs_alloc *al = fs->alloc;
	struct tfs_node *node;
	uint64_t addr[2];
	int err = tfs_array_grow(&al->pool, &al->pool_room, al->pool_n + 1,
				 sizeof(al->pool[0]));

	node = err ? NULL : tfs_node_alloc(fs);
	if (!node)
		return -ENOMEM;
	err = take_hidden(fs, CURSOR_NODE, &addr[0], fault);
	if (!err) {
		err = take_hidden(fs, CURSOR_COPY, &addr[1], fault);
		if (err)
			untake_hidden(fs, addr[0]);
	}
	if (err) {
		tfs_node_free(node);
		return err;
	}
	node->ptr.addr[0] = addr[0];
	node->ptr.addr[1] = addr[1];
	al->pool[al->pool_n++] = node;
	return 0;
}

int tfs_pool_fill(struct tfs *fs, unsigned int nodes, unsigned int spare,
		  uint64_t floor, struct tfs_fault *fault)
{
	struct tfs_alloc *al = fs->alloc;
	int err;

	al->spare = spare;
	/* Every node copied or merged away frees its two places. */
	err = tfs_free_reserve(fs, 4 * ((size_t)nodes + spare));
	while (!err && al->pool_n < (size_t)nodes + spare) {
		if (fs->free < floor + 2)
			return TFS_SHORT;
		err = pool_add(fs, fault);
	}
	return err;
}

struct tfs_node *tfs_pool_take(struct tfs *fs)
{
	struct tfs_alloc *al = fs->alloc;
	struct tfs_node *node;

	assert(al->pool_n);	/* btree.c (3) */
	node = al->pool[--al->pool_n];
	for (int i = 0; i < 2; i++) {
		uint64_t addr = node->ptr.addr[i];
		struct region *r = find_region(al, addr / TFS_REGION_BITS);

		unhide_bits(r, addr % TFS_REGION_BITS, 1);
		set_dirty(fs, r);
	}
	return node;
}

bool tfs_pool_spare(struct tfs *fs)
{
	if (!fs->alloc->spare)
		return false;
	fs->alloc->spare--;
	return true;
}

uint64_t tfs_pool_clusters(const struct tfs *fs)
{
	return 2 * fs->alloc->pool_n;
}

/* ---- checkpoints --------------------------------------------------------- */

/* Run fn on the part of every region that the list touches. */
static int each_part(struct tfs *fs, const struct tfs_extents *list,
		     int (*fn)(struct tfs *fs, uint64_t region,
			       unsigned int bit, unsigned int n,
			       struct tfs_fault *fault),
		     struct tfs_fault *fault)
{
	for (size_t i = 0; i < list->n; i++) {
		uint64_t addr = list->run[i].addr, left = list->run[i].len;

		while (left) {
			unsigned int bit = addr % TFS_REGION_BITS;
			unsigned int n = TFS_REGION_BITS - bit;
			int err;

			if (n > left)
				n = left;
			err = fn(fs, addr / TFS_REGION_BITS, bit, n, fault);
			if (err)
				return err;
			addr += n;
			left -= n;
		}
	}
	return 0;
}

static int part_load(struct tfs *fs, uint64_t idx, unsigned int bit,
		     unsigned int n, struct tfs_fault *fault)
{
	struct region *r;
	int err;

	if (idx >= region_count(fs))
		return -EUCLEAN;
	err = load_region(fs, idx, &r, fault);
	if (err)
		return err;
	if (next_bit(r->map, bit, false) < bit + n) {
		eng_log(LOG_ERR, "clusters %llu+%u: freed, but not in use",
			(unsigned long long)idx * TFS_REGION_BITS + bit, n);
		return -EUCLEAN;
	}
	set_dirty(fs, r);
	return 0;
}

static int part_hide(struct tfs *fs, uint64_t idx, unsigned int bit,
		     unsigned int n, struct tfs_fault *fault)
{
	struct region *r = find_region(fs->alloc, idx);

	(void)fault;
	if (r->hide && next_bit(r->hide, bit, true) < bit + n)
		return -EUCLEAN;	/* freed twice */
	return hide_bits(r, bit, n);
}

struct items {
	struct tfs_need	need;
	unsigned int	all, new;
};

static int touch_item(struct tfs *fs, struct tfs_key key, struct items *items,
		      struct tfs_fault *fault)
{
	struct tfs_item item;
	int err = tfs_btree_touch(fs, key, false, &items->need, fault);

	if (err)
		return err;
	items->all++;
	err = tfs_btree_get(fs, key, &item, fault);
	items->new += err == -ENOENT;
	return err == -ENOENT ? 0 : err;
}

/* Bring the items of all regions that will change into memory. */
static int touch_regions(struct tfs *fs, struct items *items,
			 struct tfs_fault *fault)
{
	for (unsigned int i = 0; i < TABLE; i++) {
		struct region *r = fs->alloc->region[i];
		int err = 0;

		for (; r && !err; r = r->next) {
			uint64_t g = r->idx / TFS_GROUP_REGIONS;

			if (!r->dirty && !r->hidden)
				continue;
			err = touch_item(fs, tfs_key(0, TFS_T_REGION, r->idx),
					 items, fault);
			if (!err)
				err = touch_item(fs, tfs_key(0, TFS_T_SUMMARY,
							     g),
						 items, fault);
		}
		if (err)
			return err;
	}
	return 0;
}

/* Copy the paths of those items now, so that storing them frees nothing. */
static void rewrite_regions(struct tfs *fs)
{
	for (unsigned int i = 0; i < TABLE; i++) {
		for (struct region *r = fs->alloc->region[i]; r; r = r->next) {
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
static int fill_for_regions(struct tfs *fs, struct tfs_fault *fault)
{
	unsigned int before = 0;
	struct items items;
	int err;

	for (;; before = items.all) {
		items = (struct items){ .need.mark = tfs_btree_new_mark(fs) };
		err = touch_regions(fs, &items, fault);
		if (err || items.all == before)
			return err;
		/* Only new items split nodes; the others have their size. */
		err = tfs_pool_fill(fs, items.need.nodes +
				    tfs_btree_splits(fs, &items.need,
						     items.new, items.new *
						     TFS_VALUE_MAX),
				    0, 0, fault);
		if (err)
			return err;
	}
}

/* Until a round frees nothing: copying paths frees their old places, whose
 * regions change in turn. */
int tfs_alloc_prepare(struct tfs *fs, struct tfs_fault *fault)
{
	uint64_t freed;
	int err;

	do {
		freed = fs->frees.clusters;
		err = each_part(fs, &fs->frees, part_load, fault);
		if (!err)
			err = fill_for_regions(fs, fault);
		if (err)
			return err;
		rewrite_regions(fs);
	} while (fs->frees.clusters != freed);
	return 0;
}

static void store_region(struct tfs *fs, struct region *r)
{
	uint64_t image[WORDS];

	for (unsigned int i = 0; i < WORDS; i++)
		image[i] = htole64(r->map[i] & ~(r->hide ? r->hide[i] : 0));
	r->dirty = false;
	fs->alloc->dirty--;
	tfs_btree_put(fs, tfs_key(0, TFS_T_REGION, r->idx), image,
		      sizeof(image));
}

static void store_group(struct tfs *fs, struct group *g)
{
	struct tfs_disk_summary d;

	for (unsigned int i = 0; i < TFS_GROUP_REGIONS; i++) {
		struct region *r = find_region(fs->alloc,
					       g->idx * TFS_GROUP_REGIONS + i);

		d.free[i] = htole16(g->free[i] + (r ? r->hidden : 0));
	}
	g->dirty = false;
	tfs_btree_put(fs, tfs_key(0, TFS_T_SUMMARY, g->idx), &d, sizeof(d));
}

/* A split takes a node from the pool, which dirties its region again; items
 * that are there are overwritten in place, so that ends. */
static void store_all(struct tfs *fs)
{
	struct tfs_alloc *al = fs->alloc;
	struct group *g;

	while (al->dirty) {
		for (unsigned int i = 0; i < TABLE; i++) {
			for (struct region *r = al->region[i]; r; r = r->next) {
				uint64_t idx = r->idx / TFS_GROUP_REGIONS;

				if (!r->dirty)
					continue;
				for (g = al->group[idx % TABLE];
				     g->idx != idx; )
					g = g->next;
				g->dirty = true;
				store_region(fs, r);
			}
		}
		for (unsigned int i = 0; i < TABLE; i++)
			for (g = al->group[i]; g; g = g->next)
				if (g->dirty)
					store_group(fs, g);
	}
}

void tfs_alloc_serialise(struct tfs *fs)
{
	int err = each_part(fs, &fs->frees, part_hide, NULL);

	if (err)
		tfs_fail(fs, err, "free space");
	fs->alloc->freed = 0;
	store_all(fs);
}

static int part_release(struct tfs *fs, uint64_t idx, unsigned int bit,
			unsigned int n, struct tfs_fault *fault)
{
	struct region *r = find_region(fs->alloc, idx);

	(void)fault;
	unhide_bits(r, bit, n);
	put_bits(r->map, bit, n, false);
	*free_count(fs, idx) += n;
	fs->free += n;
	return 0;
}

static void drop_clean(struct tfs_alloc *al)
{
	al->last = NULL;
	for (unsigned int i = 0; i < TABLE; i++) {
		struct region **p = &al->region[i], *r;

		while ((r = *p)) {
			if (r->dirty || r->hidden) {
				p = &r->next;
				continue;
			}
			*p = r->next;
			free_region(r);
			al->regions--;
		}
	}
}

void tfs_alloc_release(struct tfs *fs, const struct tfs_extents *freed)
{
	each_part(fs, freed, part_release, NULL);
	if (fs->alloc->regions > REGIONS_KEPT)
		drop_clean(fs->alloc);
}

size_t tfs_alloc_dirty(const struct tfs *fs)
{
	return fs->alloc->dirty + fs->alloc->freed;
}
