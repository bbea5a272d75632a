/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ncache.c - the tree nodes in memory, found by the address of their first
 * copy.
 *
 *  (1) Nodes are inserted, moved and evicted only with fs->tree held for
 *      writing; so who holds it for reading may keep pointers to them.
 *  (2) Only clean nodes are evicted.  A dirty one is frozen at a checkpoint's
 *      boundary and never changes again at that address.
 *  (3) Places are used again, so nodes are found by address and sequence.
 *  (4) What was used since the hand last came by survives a visit.  So a
 *      transaction that starts over finds the nodes that it used, however
 *      many they are, and at last has them all.
 *  (5) Where there is a park, dirty nodes that were not used for a while are
 *      there, and not in memory, by the same rule: they are found when they
 *      are fetched.  What is frozen keeps its place there until it is written,
 *      since it is read with no lock held. */
#include <stdlib.h>
#include <string.h>

#include "tree/ncache.h"
#include "tree/slab.h"

#define HEAL_MAX	1024	/* more than that is for scrub and fsck */
#define NODES_MIN	256
#define PARK_MIN	16	/* dirty nodes that are not parked */

struct tfs_ncache {
	struct tfs_slab	*slab;
	struct tfs_node	**table;
	size_t		size;		/* of table, a power of two */
	size_t		count, limit;
	size_t		clean;		/* of count: in the ring */
	size_t		dirty;		/* in memory */
	struct tfs_node	*dirty_list;	/* linked by next, newest first */
	struct tfs_node	*dirty_last;
	struct tfs_park	*park;		/* (5); NULL: there is none */
	struct tfs_node	*parked_list;	/* dirty, too */
	size_t		parked, dirty_limit;
	size_t		absent;		/* of count: without a buffer */
	struct tfs_node	*hand;		/* ring of nodes for eviction */
	struct tfs_miss heal[HEAL_MAX];
	size_t		heal_count;
	bool		heal_new;	/* since a checkpoint looked */
};

int tfs_ncache_create(struct tfs_ncache **out, size_t bytes, uint32_t csize)
{
	struct tfs_ncache *nc = calloc(1, sizeof(*nc));

	*out = NULL;
	if (!nc)
		return -ENOMEM;
	nc->size = 1024;
	nc->limit = bytes / csize < NODES_MIN ? NODES_MIN : bytes / csize;
	nc->table = calloc(nc->size, sizeof(nc->table[0]));
	if (!nc->table || tfs_slab_create(&nc->slab, csize)) {
		free(nc->table);
		free(nc);
		return -ENOMEM;
	}
	*out = nc;
	return 0;
}

struct tfs_node *tfs_node_alloc(struct tfs *fs)
{
	struct tfs_node *node = calloc(1, sizeof(*node));

	if (node)
		node->buf = tfs_slab_get(fs->nodes->slab, &node->chunk);
	if (!node || !node->buf) {
		free(node);
		return NULL;
	}
	memset(node->buf, 0, fs->csize);
	return node;
}

void tfs_node_free(struct tfs_node *node)
{
	if (node && node->buf)
		tfs_slab_put(node->chunk, node->buf);
	free(node);
}

void tfs_ncache_destroy(struct tfs_ncache *nc)
{
	if (!nc)
		return;
	for (size_t i = 0; i < nc->size; i++) {
		struct tfs_node *node = nc->table[i], *next;

		for (; node; node = next) {
			next = node->hash_next;
			tfs_node_free(node);
		}
	}
	tfs_slab_destroy(nc->slab);
	tfs_park_destroy(nc->park);
	free(nc->table);
	free(nc);
}

static size_t slot_of(const struct tfs_ncache *nc, uint64_t addr)
{
	return addr * 0x9e3779b97f4a7c15ull >> 20 & (nc->size - 1);
}

/* Parked or not. */
static struct tfs_node *lookup(const struct tfs_ncache *nc,
			       const struct tfs_ptr *ptr)
{
	struct tfs_node *node = nc->table[slot_of(nc, ptr->addr[0])];

	while (node && (node->ptr.addr[0] != ptr->addr[0] ||
			node->ptr.seq != ptr->seq || node->stale))
		node = node->hash_next;
	return node;
}

struct tfs_node *tfs_ncache_find(struct tfs *fs, const struct tfs_ptr *ptr)
{
	struct tfs_node *node = lookup(fs->nodes, ptr);

	if (node && !node->buf)
		return NULL;
	if (node && !atomic_load_explicit(&node->used, memory_order_relaxed))
		atomic_store_explicit(&node->used, true,
				      memory_order_relaxed);
	return node;
}

static void grow(struct tfs_ncache *nc)
{
	struct tfs_node **old = nc->table, *node, *next;
	size_t n = nc->size;
	struct tfs_node **table = calloc(2 * n, sizeof(table[0]));

	if (!table)
		return;		/* longer chains, no harm */
	nc->table = table;
	nc->size = 2 * n;
	for (size_t i = 0; i < n; i++) {
		for (node = old[i]; node; node = next) {
			struct tfs_node **head =
				&table[slot_of(nc, node->ptr.addr[0])];

			next = node->hash_next;
			node->hash_next = *head;
			*head = node;
		}
	}
	free(old);
}

static void hash_add(struct tfs_ncache *nc, struct tfs_node *node)
{
	struct tfs_node **head = &nc->table[slot_of(nc, node->ptr.addr[0])];

	node->hash_next = *head;
	*head = node;
}

static void hash_del(struct tfs_ncache *nc, struct tfs_node *node)
{
	struct tfs_node **p = &nc->table[slot_of(nc, node->ptr.addr[0])];

	while (*p != node)
		p = &(*p)->hash_next;
	*p = node->hash_next;
}

/* Clean nodes form a ring, which the clock hand walks. */
static void ring_add(struct tfs_ncache *nc, struct tfs_node *node)
{
	nc->clean++;
	if (!nc->hand) {
		node->prev = node->next = node;
		nc->hand = node;
		return;
	}
	node->next = nc->hand;
	node->prev = nc->hand->prev;
	node->prev->next = node;
	node->next->prev = node;
}

static void ring_del(struct tfs_ncache *nc, struct tfs_node *node)
{
	nc->clean--;
	if (nc->hand == node)
		nc->hand = node->next == node ? NULL : node->next;
	node->prev->next = node->next;
	node->next->prev = node->prev;
}

static void drop_clean(struct tfs_ncache *nc, struct tfs_node *node)
{
	ring_del(nc, node);
	hash_del(nc, node);
	tfs_node_free(node);
	nc->count--;
}

/* Throw clean nodes out until the cache has room, once around at most (4);
 * some are kept even if the others alone fill it. */
void tfs_ncache_evict(struct tfs *fs)
{
	struct tfs_ncache *nc = fs->nodes;
	size_t busy = nc->count - nc->clean - nc->absent, turns = nc->clean;
	size_t keep = nc->limit > busy + NODES_MIN ? nc->limit - busy :
		NODES_MIN;

	while (nc->clean > keep && turns--) {
		struct tfs_node *node = nc->hand;

		nc->hand = node->next;
		if (!atomic_exchange_explicit(&node->used, false,
					      memory_order_relaxed))
			drop_clean(nc, node);
	}
}

void tfs_ncache_insert(struct tfs *fs, struct tfs_node *node)
{
	struct tfs_ncache *nc = fs->nodes;

	if (nc->count >= nc->size)
		grow(nc);
	node->state = TFS_NODE_CLEAN;
	atomic_store(&node->used, true);
	hash_add(nc, node);
	ring_add(nc, node);
	nc->count++;
}

static void list_add(struct tfs_node **list, struct tfs_node *node)
{
	node->prev = NULL;
	node->next = *list;
	if (*list)
		(*list)->prev = node;
	*list = node;
}

static void list_del(struct tfs_node **list, struct tfs_node *node)
{
	if (node->prev)
		node->prev->next = node->next;
	else
		*list = node->next;
	if (node->next)
		node->next->prev = node->prev;
}

static void dirty_add(struct tfs_ncache *nc, struct tfs_node *node)
{
	list_add(&nc->dirty_list, node);
	if (!node->next)
		nc->dirty_last = node;
	nc->dirty++;
}

void tfs_ncache_dirty(struct tfs *fs, struct tfs_node *node)
{
	struct tfs_ncache *nc = fs->nodes;

	ring_del(nc, node);
	node->state = TFS_NODE_DIRTY;
	dirty_add(nc, node);
}

static void dirty_del(struct tfs_ncache *nc, struct tfs_node *node)
{
	if (nc->dirty_last == node)
		nc->dirty_last = node->prev;
	list_del(&nc->dirty_list, node);
	nc->dirty--;
}

void tfs_ncache_remove(struct tfs *fs, struct tfs_node *node)
{
	struct tfs_ncache *nc = fs->nodes;

	if (node->state == TFS_NODE_FROZEN) {
		node->stale = true;	/* freed when it was written */
		return;
	}
	if (node->state == TFS_NODE_DIRTY)
		dirty_del(nc, node);
	else
		ring_del(nc, node);
	hash_del(nc, node);
	nc->count--;
	tfs_node_free(node);
}

size_t tfs_ncache_dirty_count(const struct tfs *fs)
{
	return fs->nodes->dirty + fs->nodes->parked;
}

size_t tfs_ncache_count(const struct tfs *fs)
{
	return fs->nodes->count;
}

struct tfs_node *tfs_ncache_freeze(struct tfs *fs, size_t *count)
{
	struct tfs_ncache *nc = fs->nodes;
	struct tfs_node *list = nc->dirty_list;

	if (nc->dirty_last)
		nc->dirty_last->next = nc->parked_list;
	else
		list = nc->parked_list;
	for (struct tfs_node *n = list; n; n = n->next)
		n->state = TFS_NODE_FROZEN;
	*count = nc->dirty + nc->parked;
	nc->dirty_list = nc->dirty_last = nc->parked_list = NULL;
	nc->dirty = nc->parked = 0;
	return list;
}

void tfs_ncache_thaw(struct tfs *fs, struct tfs_node *list)
{
	struct tfs_ncache *nc = fs->nodes;
	struct tfs_node *node, *next;

	for (node = list; node; node = next) {
		next = node->next;
		if (node->is_parked)
			tfs_park_drop(nc->park, &node->parked);	/* (5) */
		node->is_parked = false;
		if (node->stale || !node->buf) {
			nc->absent -= !node->buf;
			hash_del(nc, node);
			nc->count--;
			tfs_node_free(node);
			continue;
		}
		node->state = TFS_NODE_CLEAN;
		ring_add(nc, node);
	}
	tfs_ncache_evict(fs);
}

/* ---- the park (5) --------------------------------------------------------- */

int tfs_ncache_park_in(struct tfs *fs, const struct tfs_scratch *scratch,
		       size_t bytes)
{
	struct tfs_ncache *nc = fs->nodes;

	nc->dirty_limit = bytes / fs->csize;
	if (nc->dirty_limit < PARK_MIN)
		nc->dirty_limit = PARK_MIN;
	return tfs_park_create(&nc->park, scratch, fs->csize);
}

bool tfs_ncache_parks(const struct tfs *fs)
{
	return fs->nodes->park;
}

static int park_node(struct tfs_ncache *nc, struct tfs_node *node)
{
	int err = tfs_park_put(nc->park, node->buf, &node->parked);

	if (err)
		return err;
	dirty_del(nc, node);
	tfs_slab_put(node->chunk, node->buf);
	node->buf = NULL;
	node->is_parked = true;
	list_add(&nc->parked_list, node);
	nc->parked++;
	nc->absent++;
	return 0;
}

/* The oldest first, once around at most (4). */
int tfs_ncache_park(struct tfs *fs)
{
	struct tfs_ncache *nc = fs->nodes;
	size_t turns = nc->dirty;
	int err = 0;

	while (nc->dirty > nc->dirty_limit && turns-- && !err) {
		struct tfs_node *node = nc->dirty_last;

		if (!atomic_exchange_explicit(&node->used, false,
					      memory_order_relaxed)) {
			err = park_node(nc, node);
			continue;
		}
		dirty_del(nc, node);
		dirty_add(nc, node);
	}
	return err;
}

bool tfs_ncache_is_parked(const struct tfs *fs, const struct tfs_ptr *ptr)
{
	const struct tfs_node *node = lookup(fs->nodes, ptr);

	return node && !node->buf;
}

static int bring_back(struct tfs *fs, struct tfs_node *node)
{
	struct tfs_ncache *nc = fs->nodes;
	struct tfs_chunk *chunk;
	uint8_t *buf = tfs_slab_get(nc->slab, &chunk);
	int err = buf ? tfs_park_get(nc->park, &node->parked, buf) : -ENOMEM;

	if (err) {
		if (buf)
			tfs_slab_put(chunk, buf);
		return err;
	}
	node->buf = buf;
	node->chunk = chunk;
	nc->absent--;
	atomic_store(&node->used, true);
	if (node->state == TFS_NODE_FROZEN)
		return 0;
	tfs_park_drop(nc->park, &node->parked);
	node->is_parked = false;
	list_del(&nc->parked_list, node);
	nc->parked--;
	dirty_add(nc, node);
	return 0;
}

int tfs_ncache_unpark(struct tfs *fs, const struct tfs_ptr *ptr)
{
	struct tfs_node *node = lookup(fs->nodes, ptr);
	int err = node ? tfs_ncache_park(fs) : 0;

	if (!node)
		return 0;
	if (!err && !node->buf)
		err = bring_back(fs, node);
	return err ? err : 1;
}

int tfs_ncache_copy(struct tfs *fs, const struct tfs_node *node, void *buf)
{
	if (node->is_parked)
		return tfs_park_get(fs->nodes->park, &node->parked, buf);
	memcpy(buf, node->buf, fs->csize);
	return 0;
}

/* ---- nodes to heal -------------------------------------------------------- */

void tfs_ncache_heal_note(struct tfs *fs, const struct tfs_miss *f)
{
	struct tfs_ncache *nc = fs->nodes;

	if (nc->heal_count == HEAL_MAX)
		return;
	nc->heal[nc->heal_count++] = *f;
	nc->heal_new = true;
	fs->dirty = true;
}

size_t tfs_ncache_heals(struct tfs *fs)
{
	fs->nodes->heal_new = false;
	return fs->nodes->heal_count;
}

bool tfs_ncache_heal_new(const struct tfs *fs)
{
	return fs->nodes->heal_new;
}

struct tfs_miss tfs_ncache_heal_at(const struct tfs *fs, size_t i)
{
	return fs->nodes->heal[i];
}

void tfs_ncache_heal_drop(struct tfs *fs, size_t i)
{
	struct tfs_ncache *nc = fs->nodes;

	nc->heal[i] = nc->heal[--nc->heal_count];
}
