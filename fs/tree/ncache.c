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
 *      many they are, and at last has them all. */
#include <stdlib.h>
#include <string.h>

#include "tree/ncache.h"
#include "tree/slab.h"

#define HEAL_MAX	1024	/* more than that is for scrub and fsck */
#define NODES_MIN	256

struct tfs_ncache {
	struct tfs_slab	*slab;
	struct tfs_node	**table;
	size_t		size;		/* of table, a power of two */
	size_t		count, limit;
	size_t		clean;		/* of count: in the ring */
	size_t		dirty;
	struct tfs_node	*dirty_list;	/* linked by next */
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
	if (node)
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
	free(nc->table);
	free(nc);
}

static size_t slot_of(const struct tfs_ncache *nc, uint64_t addr)
{
	return addr * 0x9e3779b97f4a7c15ull >> 20 & (nc->size - 1);
}

struct tfs_node *tfs_ncache_find(struct tfs *fs, const struct tfs_ptr *ptr)
{
	struct tfs_ncache *nc = fs->nodes;
	struct tfs_node *node = nc->table[slot_of(nc, ptr->addr[0])];

	while (node && (node->ptr.addr[0] != ptr->addr[0] ||
			node->ptr.seq != ptr->seq || node->stale))
		node = node->hash_next;
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
	size_t busy = nc->count - nc->clean, turns = nc->clean;
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

void tfs_ncache_dirty(struct tfs *fs, struct tfs_node *node)
{
	struct tfs_ncache *nc = fs->nodes;

	ring_del(nc, node);
	node->state = TFS_NODE_DIRTY;
	node->prev = NULL;
	node->next = nc->dirty_list;
	if (nc->dirty_list)
		nc->dirty_list->prev = node;
	nc->dirty_list = node;
	nc->dirty++;
}

static void dirty_del(struct tfs_ncache *nc, struct tfs_node *node)
{
	if (node->prev)
		node->prev->next = node->next;
	else
		nc->dirty_list = node->next;
	if (node->next)
		node->next->prev = node->prev;
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
	return fs->nodes->dirty;
}

size_t tfs_ncache_count(const struct tfs *fs)
{
	return fs->nodes->count;
}

struct tfs_node *tfs_ncache_freeze(struct tfs *fs, size_t *count)
{
	struct tfs_ncache *nc = fs->nodes;
	struct tfs_node *list = nc->dirty_list;

	for (struct tfs_node *n = list; n; n = n->next)
		n->state = TFS_NODE_FROZEN;
	*count = nc->dirty;
	nc->dirty_list = NULL;
	nc->dirty = 0;
	return list;
}

void tfs_ncache_thaw(struct tfs *fs, struct tfs_node *list)
{
	struct tfs_ncache *nc = fs->nodes;
	struct tfs_node *node, *next;

	for (node = list; node; node = next) {
		next = node->next;
		if (node->stale) {
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
