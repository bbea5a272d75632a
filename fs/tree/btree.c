/* SPDX-License-Identifier: GPL-2.0-or-later */
/* btree.c - the copy-on-write B+tree over cached nodes.
 *
 *  (1) A node that is not dirty never changes: a change copies it to a new
 *      place first and its parent with it, up to the root.  What a
 *      checkpoint froze stays as it was.
 *  (2) Bounds tile the key space: a child's low is its item's key in the
 *      parent, its high the next item's key.  Whoever takes over a range is
 *      copied in the same transaction.
 *  (3) Changes cannot fail.  Paths are in memory (tfs_btree_touch) and
 *      places and memory for new nodes set aside (tfs_pool_fill) before the
 *      first change of a transaction.
 *  (4) Levels fall by one at every step down, whatever the medium says, so
 *      every walk ends.
 *  (5) A node is used only where its level and bounds are what the way to it
 *      says.  By (2) no two places of the tree have the same ones, so no node
 *      is found in two places, whatever pointers say.
 *  (6) Paths have room for a root that grows by GROW levels in one
 *      transaction; a tree that is higher is not changed.  An honest one of
 *      that height would be larger than any device. */
#include <string.h>

#include "tree/btree.h"
#include "tree/freemap.h"
#include "tree/ncache.h"

#define GROW	4u	/* (6) */

struct path {
	struct tfs_node	*node[TFS_LEVEL_MAX + 1];	/* by level */
	unsigned int	at[TFS_LEVEL_MAX + 1];	/* child taken there */
};

/* ---- looking ------------------------------------------------------------- */

static void miss_root(const struct tfs *fs, struct tfs_miss *f)
{
	*f = (struct tfs_miss){
		.ptr = fs->root, .level = fs->root_level,
		.low = tfs_key(0, 0, 0), .high = TFS_KEY_MAX,
	};
}

static void miss_child(const struct tfs_node *node, unsigned int i,
		       struct tfs_miss *f)
{
	f->ptr = tfs_node_ptr(node, i);
	f->level = node->level - 1;
	f->low = tfs_node_key(node, i);
	f->high = i + 1 < tfs_node_items(node) ? tfs_node_key(node, i + 1) :
		tfs_node_high(node);
}

static int bad_node(const struct tfs_miss *f, const char *what)
{
	eng_log(LOG_ERR, "tree node at cluster %llu (level %u, commit %llu): "
		"%s", (unsigned long long)f->ptr.addr[0], f->level,
		(unsigned long long)f->ptr.seq, what);
	return -EUCLEAN;
}

/* A node that may be read: who would have written what is yet to come, and
 * what would become of it where the next new node goes? */
static int check_absent(const struct tfs *fs, const struct tfs_miss *f)
{
	if (tfs_ncache_is_parked(fs, &f->ptr))
		return TFS_MISS;
	if (f->ptr.seq >= fs->seq)
		return bad_node(f, "its commit is yet to come");
	if (!tfs_region_may_hold(fs, f->ptr.addr[0]) ||
	    !tfs_region_may_hold(fs, f->ptr.addr[1]))
		return bad_node(f, "it lies in free space");
	return TFS_MISS;
}

/* (5) */
static bool is_that(const struct tfs_node *node, const struct tfs_miss *f)
{
	struct tfs_key low = tfs_node_low(node), high = tfs_node_high(node);

	return node->level == f->level && node->ptr.seq == f->ptr.seq &&
		node->ptr.addr[1] == f->ptr.addr[1] &&
		!tfs_key_cmp(&low, &f->low) && !tfs_key_cmp(&high, &f->high);
}

/* The node that f describes, if it is in memory: (2), (4). */
static int resolve(struct tfs *fs, const struct tfs_miss *f,
		   struct tfs_node **out)
{
	struct tfs_node *node = tfs_ncache_find(fs, &f->ptr);

	*out = node;
	if (!node)
		return check_absent(fs, f);
	return is_that(node, f) ? 0 :
		bad_node(f, "two parents disagree about it");
}

static int get_root(struct tfs *fs, struct tfs_node **out,
		    struct tfs_miss *f)
{
	miss_root(fs, f);
	return resolve(fs, f, out);
}

static int get_child(struct tfs *fs, const struct tfs_node *node,
		     unsigned int i, struct tfs_node **out,
		     struct tfs_miss *f)
{
	miss_child(node, i, f);
	return resolve(fs, f, out);
}

int tfs_btree_names(struct tfs *fs, const struct tfs_miss *f)
{
	struct tfs_node *node;
	struct tfs_miss at;
	int err;

	miss_root(fs, &at);
	while (at.level > f->level) {
		err = resolve(fs, &at, &node);
		if (err)
			return err;
		miss_child(node, tfs_node_child(node, &f->low), &at);
	}
	return at.level == f->level && at.ptr.seq == f->ptr.seq &&
		at.ptr.addr[0] == f->ptr.addr[0] &&
		at.ptr.addr[1] == f->ptr.addr[1] ? 0 : -ENOENT;
}

static int find_leaf(struct tfs *fs, const struct tfs_key *key,
		     struct tfs_node **out, struct tfs_miss *f)
{
	struct tfs_node *node;
	int err = get_root(fs, &node, f);

	while (!err && node->level)
		err = get_child(fs, node, tfs_node_child(node, key), &node,
				f);
	*out = node;
	return err;
}

int tfs_btree_path(struct tfs *fs, struct tfs_key key,
		   const struct tfs_node *path[TFS_LEVEL_MAX + 1],
		   unsigned int *n, struct tfs_miss *miss)
{
	struct tfs_node *node;
	int err = get_root(fs, &node, miss);

	*n = 0;
	while (!err) {
		path[(*n)++] = node;
		if (!node->level)
			break;
		err = get_child(fs, node, tfs_node_child(node, &key), &node,
				miss);
	}
	return err;
}

int tfs_btree_get(struct tfs *fs, struct tfs_key key, struct tfs_item *out,
		  struct tfs_miss *miss)
{
	struct tfs_node *leaf;
	unsigned int i;
	bool exact;
	int err = find_leaf(fs, &key, &leaf, miss);

	if (err)
		return err;
	i = tfs_node_find(leaf, &key, &exact);
	if (!exact)
		return -ENOENT;
	*out = tfs_node_item(leaf, i);
	return 0;
}

int tfs_btree_next(struct tfs *fs, struct tfs_key key, struct tfs_item *out,
		   struct tfs_miss *miss)
{
	const struct tfs_key end = TFS_KEY_MAX;
	struct tfs_node *leaf;
	unsigned int i;
	bool exact;
	int err;

	while (tfs_key_cmp(&key, &end) < 0) {
		err = find_leaf(fs, &key, &leaf, miss);
		if (err)
			return err;
		i = tfs_node_find(leaf, &key, &exact);
		if (i < tfs_node_items(leaf)) {
			*out = tfs_node_item(leaf, i);
			return 0;
		}
		key = tfs_node_high(leaf);
	}
	return -ENOENT;
}

/* The leaf that holds the keys just below key. */
static int find_leaf_below(struct tfs *fs, const struct tfs_key *key,
			   struct tfs_node **out, struct tfs_miss *f)
{
	struct tfs_node *node;
	unsigned int i;
	bool exact;
	int err = get_root(fs, &node, f);

	while (!err && node->level) {
		i = tfs_node_find(node, key, &exact);
		err = get_child(fs, node, i ? i - 1 : 0, &node, f);
	}
	*out = node;
	return err;
}

int tfs_btree_prev(struct tfs *fs, struct tfs_key key, struct tfs_item *out,
		   struct tfs_miss *miss)
{
	const struct tfs_key first = tfs_key(0, 0, 0);
	struct tfs_node *leaf;
	unsigned int i;
	bool exact;
	int err = tfs_btree_get(fs, key, out, miss);

	while (err == -ENOENT && tfs_key_cmp(&key, &first) > 0) {
		err = find_leaf_below(fs, &key, &leaf, miss);
		if (err)
			return err;
		i = tfs_node_find(leaf, &key, &exact);
		if (i) {
			*out = tfs_node_item(leaf, i - 1);
			return 0;
		}
		key = tfs_node_low(leaf);
		err = -ENOENT;
	}
	return err;
}

/* ---- getting ready ------------------------------------------------------- */

uint64_t tfs_btree_new_mark(struct tfs *fs)
{
	return ++fs->marks;
}

static void count_node(struct tfs_node *node, struct tfs_need *need)
{
	if (node->mark == need->mark)
		return;
	node->mark = need->mark;
	need->seen++;
	if (node->state != TFS_NODE_DIRTY)
		need->nodes++;
}

int tfs_btree_touch_to(struct tfs *fs, struct tfs_key key, uint8_t level,
		       struct tfs_need *need, struct tfs_miss *miss)
{
	struct tfs_node *node;
	int err = get_root(fs, &node, miss);

	while (!err) {
		count_node(node, need);
		if (node->level <= level)
			break;
		err = get_child(fs, node, tfs_node_child(node, &key), &node,
				miss);
	}
	return err;
}

int tfs_btree_touch(struct tfs *fs, struct tfs_key key, bool del,
		    struct tfs_need *need, struct tfs_miss *miss)
{
	struct tfs_node *node, *parent = NULL, *sibling;
	unsigned int i = 0;
	int err = get_root(fs, &node, miss);

	if (!err && fs->root_level > TFS_LEVEL_MAX - GROW)	/* (6) */
		return bad_node(miss, "the tree is too high for changes");
	while (!err) {
		count_node(node, need);
		if (!node->level)
			break;
		parent = node;
		i = tfs_node_child(node, &key);
		err = get_child(fs, parent, i, &node, miss);
	}
	if (err || !del || !parent || node->live > fs->csize / 2 ||
	    tfs_node_items(parent) < 2)
		return err;
	return get_child(fs, parent, i + 1 < tfs_node_items(parent) ? i + 1 :
			 i - 1, &sibling, miss);
}

/* A put splits one leaf at most.  A full leaf may split twice, at its end and
 * then in the middle; what comes out of the latter takes 326 bytes and more
 * before it is full (half of a node, but for one and a half of the largest
 * items).  Above the leaves all items have one size, and it takes 16 of them
 * and more. */
unsigned int tfs_btree_splits(const struct tfs *fs,
			      const struct tfs_need *need, unsigned int puts,
			      size_t bytes)
{
	unsigned int levels = fs->root_level + 2;	/* and a new root */
	size_t leaves = 2 * need->seen + bytes / 160, n;

	if (leaves > puts)
		leaves = puts;
	n = leaves + leaves / 16 + 2 * need->seen + levels;
	return n < leaves * levels ? n : leaves * levels;
}

/* ---- changing ------------------------------------------------------------ */

static void free_node(struct tfs *fs, struct tfs_node *node)
{
	tfs_free_later(fs, node->ptr.addr[0], 1);
	tfs_free_later(fs, node->ptr.addr[1], 1);
	tfs_ncache_remove(fs, node);
}

static struct tfs_node *new_node(struct tfs *fs)
{
	struct tfs_node *node = tfs_pool_take(fs);

	node->ptr.seq = fs->seq;
	tfs_ncache_insert(fs, node);
	tfs_ncache_dirty(fs, node);
	fs->dirty = true;
	return node;
}

/* (1): a node that may be changed, and its parent's pointer to it. */
static struct tfs_node *cow(struct tfs *fs, struct tfs_node *parent,
			    unsigned int i, struct tfs_node *node)
{
	struct tfs_node *copy;

	if (node->state == TFS_NODE_DIRTY)
		return node;
	copy = new_node(fs);
	memcpy(copy->buf, node->buf, fs->csize);
	copy->level = node->level;
	copy->live = node->live;
	copy->mark = node->mark;
	if (parent)
		tfs_node_set_ptr(parent, i, &copy->ptr);
	else
		fs->root = copy->ptr;
	free_node(fs, node);
	return copy;
}

/* NULL: not in memory, or what is there is not that child (5). */
static struct tfs_node *find_child(struct tfs *fs,
				   const struct tfs_node *parent,
				   unsigned int i)
{
	struct tfs_node *node;
	struct tfs_miss f;

	miss_child(parent, i, &f);
	node = tfs_ncache_find(fs, &f.ptr);
	return node && is_that(node, &f) ? node : NULL;
}

static struct tfs_node *cow_child(struct tfs *fs, struct tfs_node *parent,
				  unsigned int i)
{
	return cow(fs, parent, i, find_child(fs, parent, i));
}

/* Copy the path of key down to level. */
static void cow_path(struct tfs *fs, const struct tfs_key *key,
		     unsigned int level, struct path *path)
{
	struct tfs_node *node =
		cow(fs, NULL, 0, tfs_ncache_find(fs, &fs->root));

	while (path->node[node->level] = node, node->level > level) {
		unsigned int i = tfs_node_child(node, key);

		path->at[node->level] = i;
		node = cow_child(fs, node, i);
	}
}

/* A new root above the old one. */
static void grow_root(struct tfs *fs, struct path *path)
{
	struct tfs_node *old = path->node[fs->root_level];
	struct tfs_node *root = new_node(fs);
	struct tfs_key low = tfs_key(0, 0, 0);
	struct tfs_disk_ptr ptr;

	tfs_node_init(fs, root, old->level + 1, low, TFS_KEY_MAX);
	tfs_ptr_encode(&ptr, &old->ptr);
	tfs_node_insert(fs, root, 0, &low, &ptr, sizeof(ptr));
	fs->root = root->ptr;
	fs->root_level = root->level;
	path->node[root->level] = root;
	path->at[root->level] = 0;
}

/* Insert at i of the path's node at level, splitting upwards as needed. */
static void insert_up(struct tfs *fs, struct path *path, unsigned int level,
		      unsigned int i, const struct tfs_key *key,
		      const void *val, unsigned int len)
{
	struct tfs_node *node = path->node[level], *right;
	struct tfs_disk_ptr ptr;
	struct tfs_key mid;

	if (tfs_node_fits(fs, node, len)) {
		tfs_node_insert(fs, node, i, key, val, len);
		return;
	}
	if (level == fs->root_level)
		grow_root(fs, path);
	right = new_node(fs);
	tfs_node_split(fs, node, right, i, key, val, len);
	mid = tfs_node_low(right);
	tfs_ptr_encode(&ptr, &right->ptr);
	insert_up(fs, path, level + 1, path->at[level + 1] + 1, &mid, &ptr,
		  sizeof(ptr));
}

void tfs_btree_put(struct tfs *fs, struct tfs_key key, const void *val,
		   unsigned int len)
{
	struct path path;
	struct tfs_node *leaf;
	unsigned int i;
	bool exact;

	cow_path(fs, &key, 0, &path);
	leaf = path.node[0];
	i = tfs_node_find(leaf, &key, &exact);
	if (exact && tfs_node_item(leaf, i).len == len) {
		if (len)
			memcpy((void *)tfs_node_item(leaf, i).val, val, len);
		return;
	}
	if (exact)
		tfs_node_remove(leaf, i);
	insert_up(fs, &path, 0, i, &key, val, len);
}

/* Join children i and i + 1 of parent, if both are at hand and fit. */
static bool merge(struct tfs *fs, struct tfs_node *parent, unsigned int i)
{
	struct tfs_node *left, *right;

	left = find_child(fs, parent, i);
	right = find_child(fs, parent, i + 1);
	if (!left || !right || !tfs_node_can_merge(fs, left, right))
		return false;
	if (left->state != TFS_NODE_DIRTY && !tfs_pool_spare(fs))
		return false;
	left = cow(fs, parent, i, left);
	tfs_node_merge(fs, left, right);
	tfs_node_remove(parent, i + 1);
	free_node(fs, right);
	return true;
}

static void shrink_root(struct tfs *fs, struct tfs_node *root)
{
	struct tfs_node *child;

	while (root->level && tfs_node_items(root) == 1) {
		child = find_child(fs, root, 0);
		if (!child)
			return;
		fs->root = child->ptr;
		fs->root_level = child->level;
		free_node(fs, root);
		root = child;
	}
}

void tfs_btree_del(struct tfs *fs, struct tfs_key key)
{
	struct tfs_miss none;
	struct tfs_item item;
	struct path path;
	unsigned int i, level;
	bool exact;

	if (tfs_btree_get(fs, key, &item, &none))
		return;
	cow_path(fs, &key, 0, &path);
	i = tfs_node_find(path.node[0], &key, &exact);
	tfs_node_remove(path.node[0], i);
	for (level = 0; level < fs->root_level; level++) {
		struct tfs_node *parent = path.node[level + 1];

		i = path.at[level + 1];
		if (!tfs_node_sparse(fs, path.node[level]))
			return;
		if (!(i + 1 < tfs_node_items(parent) && merge(fs, parent, i)) &&
		    !(i && merge(fs, parent, i - 1)))
			return;
	}
	shrink_root(fs, path.node[level]);
}

void tfs_btree_rewrite(struct tfs *fs, struct tfs_key key, uint8_t level)
{
	struct path path;

	if (level <= fs->root_level)
		cow_path(fs, &key, level, &path);
}

/* Where the subtree was stays in use until somebody counts. */
void tfs_btree_replace(struct tfs *fs, const struct tfs_miss *at)
{
	bool root = at->level == fs->root_level;
	unsigned int top = root ? 0 : at->level;
	struct tfs_node *node = NULL, *below;
	struct tfs_disk_ptr ptr;
	struct path path;

	for (unsigned int level = 0; level <= top; level++) {
		below = node;
		node = new_node(fs);
		tfs_node_init(fs, node, level, at->low, at->high);
		if (!below)
			continue;
		tfs_ptr_encode(&ptr, &below->ptr);
		tfs_node_insert(fs, node, 0, &at->low, &ptr, sizeof(ptr));
	}
	if (root) {
		fs->root = node->ptr;
		fs->root_level = 0;
		return;
	}
	cow_path(fs, &at->low, at->level + 1, &path);
	below = path.node[at->level + 1];
	tfs_node_set_ptr(below, tfs_node_child(below, &at->low), &node->ptr);
}
