/* SPDX-License-Identifier: GPL-2.0-or-later */
/* freemap.c - the free space that is in memory: bitmaps of regions, counts of
 * their groups, and the pool of places for nodes.  alloc.c loads them from the
 * tree and stores them there.
 *
 *  (1) region->map has a bit for every cluster that must not be handed out:
 *      in use, or freed but not yet reusable, or set aside in the pool.
 *  (2) region->hide has those of them that are free in the checkpoint that
 *      is (or will be) on the medium: what that checkpoint freed, and the
 *      pool.  What the tree stores is map without hide.
 *  (3) A region that is dirty or hides anything stays in memory.
 *  (4) Superblocks, slots, the log and what lies past the end are in use
 *      whatever the stored bitmap says.
 *  (5) A group is in memory before its first region is, and stays.
 *  (6) What a walk passed stays full until a checkpoint releases clusters, as
 *      far as the walk is concerned: next fit.
 *  (7) A region whose bitmap can't be read is lost: full for whoever looks for
 *      space, never stored, and what is freed in it stays where it is.  A
 *      group is, if its counts can't be read: its regions are not looked at.
 *      The clusters are free all the same, and the slot counts them.
 *  (8) A region may be guessed, by who brings back a tree that can't be read:
 *      what it has as free is, but more may be.  Whoever claims clusters of it
 *      may find that they are taken. */
#include <assert.h>
#include <stdlib.h>

#include "tree/freemap.h"
#include "tree/ncache.h"

#define REGIONS_KEPT	512	/* clean ones, after a checkpoint */

/* ---- bits ---------------------------------------------------------------- */

void tfs_bits_put(uint64_t *map, unsigned int from, unsigned int n, bool on)
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

unsigned int tfs_bits_next(const uint64_t *map, unsigned int i, bool on)
{
	while (i < TFS_REGION_BITS) {
		uint64_t w = (on ? map[i / 64] : ~map[i / 64]) >> i % 64;

		if (w)
			return i + __builtin_ctzll(w);
		i = (i / 64 + 1) * 64;
	}
	return TFS_REGION_BITS;
}

unsigned int tfs_bits_clear(const uint64_t *map)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < TFS_REGION_WORDS; i++)
		n += __builtin_popcountll(~map[i]);
	return n;
}

/* ---- regions and groups -------------------------------------------------- */

/* (4), clipped to region idx; both ends of the device. */
void tfs_bits_fixed(const struct tfs *fs, uint64_t idx, uint64_t *map)
{
	uint64_t base = idx * TFS_REGION_BITS, end = base + TFS_REGION_BITS;
	uint64_t head = fs->super.log_start + fs->super.log_clusters;
	uint64_t tail = fs->super.clusters - tfs_end_fixed(&fs->super);

	if (head > base)
		tfs_bits_put(map, 0, (head < end ? head : end) - base, true);
	if (tail < end)
		tfs_bits_put(map, tail > base ? tail - base : 0,
			     end - (tail > base ? tail : base), true);
}

uint64_t tfs_freemap_fixed(const struct tfs *fs)
{
	return fs->super.log_start + fs->super.log_clusters +
		tfs_end_fixed(&fs->super);
}

uint64_t tfs_region_count(const struct tfs *fs)
{
	return (fs->super.clusters + TFS_REGION_BITS - 1) / TFS_REGION_BITS;
}

struct tfs_group *tfs_group_find(struct tfs_freemap *fm, uint64_t idx)
{
	struct tfs_group *g = fm->group[idx % TFS_FREEMAP_TABLE];

	while (g && g->idx != idx)
		g = g->next;
	return g;
}

uint16_t *tfs_region_free(struct tfs *fs, uint64_t region)
{
	struct tfs_group *g = tfs_group_find(fs->freemap, region /
					     TFS_GROUP_REGIONS);

	return &g->free[region % TFS_GROUP_REGIONS];		/* (5) */
}

struct tfs_region *tfs_region_find(struct tfs_freemap *fm, uint64_t idx)
{
	struct tfs_region *r = fm->last;

	if (r && r->idx == idx)
		return r;
	for (r = fm->region[idx % TFS_FREEMAP_TABLE]; r && r->idx != idx; )
		r = r->next;
	if (r)
		fm->last = r;
	return r;
}

/* Readers share the lock, so fm->last is left alone. */
const struct tfs_region *tfs_region_peek(const struct tfs *fs, uint64_t idx)
{
	const struct tfs_region *r =
		fs->freemap->region[idx % TFS_FREEMAP_TABLE];

	while (r && r->idx != idx)
		r = r->next;
	return r;
}

bool tfs_region_may_hold(const struct tfs *fs, uint64_t addr)
{
	unsigned int bit = addr % TFS_REGION_BITS;
	const struct tfs_region *r =
		tfs_region_peek(fs, addr / TFS_REGION_BITS);

	return !r || (tfs_bits_next(r->map, bit, true) == bit &&
		      tfs_bits_next(r->hide, bit, true) != bit);
}

void tfs_region_dirty(struct tfs *fs, struct tfs_region *r)
{
	fs->dirty = true;
	if (r->lost)
		return;						/* (7) */
	fs->freemap->dirty += !r->dirty;
	r->dirty = true;
}

void tfs_freemap_strand(struct tfs *fs, uint64_t clusters)
{
	if (clusters > fs->free)
		clusters = fs->free;
	fs->free -= clusters;
	fs->freemap->unreachable += clusters;
}

void tfs_region_lose(struct tfs *fs, struct tfs_region *r)
{
	uint16_t *n = tfs_region_free(fs, r->idx);

	fs->freemap->dirty -= r->dirty;
	r->dirty = false;
	r->lost = true;
	tfs_freemap_strand(fs, *n);
	*n = 0;
	atomic_fetch_add(&fs->count.regions_lost, 1);
}

static struct tfs_group *guess_group(struct tfs_freemap *fm, uint64_t idx)
{
	struct tfs_group *g = tfs_group_find(fm, idx);

	if (g)
		return g;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->idx = idx;
	g->next = fm->group[idx % TFS_FREEMAP_TABLE];
	fm->group[idx % TFS_FREEMAP_TABLE] = g;
	return g;
}

int tfs_region_guess(struct tfs *fs, uint64_t idx, const uint64_t *map)
{
	struct tfs_freemap *fm = fs->freemap;
	struct tfs_group *g = guess_group(fm, idx / TFS_GROUP_REGIONS);
	struct tfs_region *r = g ? calloc(1, sizeof(*r)) : NULL;

	if (!r)
		return -ENOMEM;
	r->idx = idx;
	r->guessed = true;
	for (unsigned int i = 0; i < TFS_REGION_WORDS; i++)
		r->map[i] = map[i];
	tfs_bits_fixed(fs, idx, r->map);
	g->free[idx % TFS_GROUP_REGIONS] = tfs_bits_clear(r->map);
	r->next = fm->region[idx % TFS_FREEMAP_TABLE];
	fm->region[idx % TFS_FREEMAP_TABLE] = r;
	fm->regions++;
	tfs_region_dirty(fs, r);
	return 0;
}

int tfs_freemap_lose(struct tfs *fs, const struct tfs_key *low,
		     const struct tfs_key *high)
{
	struct tfs_freemap *fm = fs->freemap;
	int err = tfs_array_grow(&fm->lost, &fm->lost_room, fm->lost_n + 1,
				 sizeof(fm->lost[0]));

	if (!err)
		fm->lost[fm->lost_n++] = (struct tfs_lost){ *low, *high };
	return err;
}

bool tfs_freemap_lost(const struct tfs *fs, const struct tfs_key *key)
{
	const struct tfs_freemap *fm = fs->freemap;

	for (size_t i = 0; i < fm->lost_n; i++)
		if (tfs_key_cmp(key, &fm->lost[i].low) >= 0 &&
		    tfs_key_cmp(key, &fm->lost[i].high) < 0)
			return true;
	return false;
}

void tfs_region_hide(struct tfs_region *r, unsigned int from, unsigned int n)
{
	tfs_bits_put(r->hide, from, n, true);
	r->hidden += n;
}

void tfs_region_unhide(struct tfs_region *r, unsigned int from, unsigned int n)
{
	tfs_bits_put(r->hide, from, n, false);
	r->hidden -= n;
}

int tfs_freemap_create(struct tfs_freemap **out, const struct tfs *fs)
{
	struct tfs_freemap *fm = calloc(1, sizeof(*fm));

	*out = fm;
	if (!fm)
		return -ENOMEM;
	/* Nodes begin at the front; their copies: tfs_pool_aim(). */
	fm->node.at = tfs_freemap_fixed(fs) - tfs_end_fixed(&fs->super);
	fm->data.at = fm->node.at + fs->super.clusters / 32;
	return 0;
}

void tfs_freemap_destroy(struct tfs_freemap *fm)
{
	if (!fm)
		return;
	for (unsigned int i = 0; i < TFS_FREEMAP_TABLE; i++) {
		for (struct tfs_region *r = fm->region[i], *n; r; r = n) {
			n = r->next;
			free(r);
		}
		for (struct tfs_group *g = fm->group[i], *n; g; g = n) {
			n = g->next;
			free(g);
		}
	}
	for (size_t i = 0; i < fm->pool_n; i++)
		tfs_node_free(fm->pool[i]);
	free(fm->pool);
	free(fm->lost);
	free(fm);
}

/* ---- taking and freeing --------------------------------------------------- */

unsigned int tfs_region_run(const struct tfs_region *r, unsigned int bit,
			    unsigned int want, unsigned int low,
			    unsigned int high, unsigned int *at)
{
	unsigned int best = 0;

	for (int pass = 0; pass < 2; pass++, bit = 0) {
		for (unsigned int i = bit, a, b; i < TFS_REGION_BITS; i = b) {
			a = tfs_bits_next(r->map, i, false);
			if (a >= low && a < high) {
				b = high;
				continue;
			}
			b = a < TFS_REGION_BITS ?
				tfs_bits_next(r->map, a, true) : a;
			if (a < low && b > low)
				b = low;
			if (b - a > best) {
				best = b - a;
				*at = a;
			}
			if (best >= want)
				return want;
		}
	}
	return best;
}

void tfs_region_take(struct tfs *fs, struct tfs_region *r, unsigned int bit,
		     unsigned int n)
{
	tfs_bits_put(r->map, bit, n, true);
	*tfs_region_free(fs, r->idx) -= n;
	fs->free -= n;
}

int tfs_free_reserve(struct tfs *fs, size_t runs)
{
	return tfs_runs_reserve(&fs->frees, fs->may_free + runs);
}

/* Each cluster may become an extent, an item of 48 bytes.  Nodes that were
 * split are half full: 41 items where clusters have 4096 bytes, so that two
 * clusters for each 32 leave some for the levels above.  A leaf that is full
 * already splits at once; that is what the constant is for. */
uint64_t tfs_reserved_space(const struct tfs *fs, uint64_t reserved)
{
	return reserved ? reserved + reserved / (fs->csize / 256) + 32 : 0;
}

/* A checkpoint will load and write all regions that something is freed in:
 * how many that will be decides when it is due.  A region is counted again
 * if others came in between. */
static void freed_in(struct tfs_freemap *fm, uint64_t region)
{
	for (unsigned int i = 0; i < TFS_FREEMAP_RECENT; i++)
		if (fm->recent[i] == region + 1)
			return;
	fm->recent[fm->recent_at++ % TFS_FREEMAP_RECENT] = region + 1;
	fm->freed++;
}

void tfs_free_later(struct tfs *fs, uint64_t addr, uint64_t len)
{
	uint64_t last = (addr + len - 1) / TFS_REGION_BITS;

	for (uint64_t i = addr / TFS_REGION_BITS; i <= last; i++)
		freed_in(fs->freemap, i);
	tfs_runs_add(&fs->frees, addr, len);	/* has room: cannot fail */
	fs->dirty = true;
}

/* ---- the pool ------------------------------------------------------------ */

/* Half a device away, next fit.  Nodes that lie beside each other have copies
 * beside each other: a search that begins in what the last one found full
 * goes on at its end. */
void tfs_pool_aim(struct tfs *fs, uint64_t half)
{
	struct tfs_freemap *fm = fs->freemap;
	uint64_t n = fs->super.clusters, aim = (half + n / 2) % n;
	uint64_t full = (fm->copy.at + n - fm->copy_from) % n;

	fm->half = half;
	fm->copy.full = 0;
	if ((aim + n - fm->copy_from) % n <= full)
		return;						/* (6) */
	fm->copy_from = fm->copy.at = aim;
}

struct tfs_node *tfs_pool_take(struct tfs *fs)
{
	struct tfs_freemap *fm = fs->freemap;
	struct tfs_node *node;

	assert(fm->pool_n);	/* btree.c (3) */
	node = fm->pool[--fm->pool_n];
	for (int i = 0; i < 2; i++) {
		uint64_t addr = node->ptr.addr[i];
		struct tfs_region *r = tfs_region_find(fm, addr /
						       TFS_REGION_BITS);

		tfs_region_unhide(r, addr % TFS_REGION_BITS, 1);
		tfs_region_dirty(fs, r);
	}
	return node;
}

/* Neither used, nor set aside any more. */
static void unset_aside(struct tfs *fs, uint64_t addr, bool used)
{
	struct tfs_region *r = tfs_region_find(fs->freemap, addr /
					       TFS_REGION_BITS);	/* (3) */
	unsigned int bit = addr % TFS_REGION_BITS;

	tfs_region_unhide(r, bit, 1);
	tfs_region_dirty(fs, r);
	if (used)
		return;
	fs->free++;
	if (r->lost) {						/* (7) */
		tfs_freemap_strand(fs, 1);
		return;
	}
	tfs_bits_put(r->map, bit, 1, false);
	++*tfs_region_free(fs, r->idx);
}

static bool is_used(const struct tfs_region *r, const uint64_t *used,
		    uint64_t addr)
{
	unsigned int bit = addr % TFS_REGION_BITS;

	return addr / TFS_REGION_BITS == r->idx &&
		tfs_bits_next(used, bit, true) == bit;
}

void tfs_pool_drop(struct tfs *fs, const struct tfs_region *r,
		   const uint64_t *used)
{
	struct tfs_freemap *fm = fs->freemap;
	size_t n = 0;

	for (size_t i = 0; i < fm->pool_n; i++) {
		const uint64_t *addr = fm->pool[i]->ptr.addr;
		bool a = is_used(r, used, addr[0]);
		bool b = is_used(r, used, addr[1]);

		if (!a && !b) {
			fm->pool[n++] = fm->pool[i];
			continue;
		}
		unset_aside(fs, addr[0], a);
		unset_aside(fs, addr[1], b);
		tfs_node_free(fm->pool[i]);
	}
	fm->pool_n = n;
	if (fm->half && is_used(r, used, fm->half)) {
		unset_aside(fs, fm->half, true);
		fm->half = 0;
	}
}

bool tfs_pool_spare(struct tfs *fs)
{
	if (!fs->freemap->spare)
		return false;
	fs->freemap->spare--;
	return true;
}

uint64_t tfs_pool_clusters(const struct tfs *fs)
{
	return 2 * fs->freemap->pool_n + !!fs->freemap->half;
}

/* ---- checkpoints --------------------------------------------------------- */

int tfs_region_each(struct tfs *fs, const struct tfs_runs *list,
		    int (*fn)(struct tfs *fs, uint64_t region,
			      unsigned int bit, unsigned int n,
			      struct tfs_miss *miss),
		    struct tfs_miss *miss)
{
	for (size_t i = 0; i < list->n; i++) {
		uint64_t addr = list->run[i].addr, left = list->run[i].len;

		while (left) {
			unsigned int bit = addr % TFS_REGION_BITS;
			unsigned int n = TFS_REGION_BITS - bit;
			int err;

			if (n > left)
				n = left;
			err = fn(fs, addr / TFS_REGION_BITS, bit, n, miss);
			if (err)
				return err;
			addr += n;
			left -= n;
		}
	}
	return 0;
}

static int part_hide(struct tfs *fs, uint64_t idx, unsigned int bit,
		     unsigned int n, struct tfs_miss *miss)
{
	struct tfs_region *r = tfs_region_find(fs->freemap, idx);

	(void)miss;
	if (r->lost)
		return 0;
	if (tfs_bits_next(r->hide, bit, true) < bit + n)
		return -EUCLEAN;	/* freed twice */
	tfs_region_hide(r, bit, n);
	return 0;
}

int tfs_freemap_hide(struct tfs *fs)
{
	int err = tfs_region_each(fs, &fs->frees, part_hide, NULL);

	fs->freemap->freed = 0;
	return err;
}

static int part_release(struct tfs *fs, uint64_t idx, unsigned int bit,
			unsigned int n, struct tfs_miss *miss)
{
	struct tfs_region *r = tfs_region_find(fs->freemap, idx);

	(void)miss;
	fs->free += n;
	if (r->lost) {						/* (7) */
		tfs_freemap_strand(fs, n);
		return 0;
	}
	tfs_region_unhide(r, bit, n);
	tfs_bits_put(r->map, bit, n, false);
	*tfs_region_free(fs, idx) += n;
	return 0;
}

static void drop_clean(struct tfs_freemap *fm)
{
	fm->last = NULL;
	for (unsigned int i = 0; i < TFS_FREEMAP_TABLE; i++) {
		struct tfs_region **p = &fm->region[i], *r;

		while ((r = *p)) {
			if (r->dirty || r->hidden || r->lost) {
				p = &r->next;
				continue;
			}
			*p = r->next;
			free(r);
			fm->regions--;
		}
	}
}

void tfs_freemap_release(struct tfs *fs, const struct tfs_runs *freed)
{
	struct tfs_freemap *fm = fs->freemap;

	tfs_region_each(fs, freed, part_release, NULL);
	fm->data.full = fm->node.full = fm->copy.full = 0;	/* (6) */
	fm->copy_from = fm->copy.at;
	if (fm->regions > REGIONS_KEPT)
		drop_clean(fm);
}

size_t tfs_freemap_dirty(const struct tfs *fs)
{
	return fs->freemap->dirty + fs->freemap->freed;
}
