/* SPDX-License-Identifier: GPL-2.0-or-later */
/* txn.c - run transactions on the tree.
 *
 *  (1) The function sees the tree as it was; its changes are applied in
 *      order when it returned 0, under the same hold of fs->tree, and noted
 *      in the running commit.
 *  (2) Applying cannot fail: paths, places and memory were made sure of
 *      before the first change.
 *  (3) No I/O under fs->tree: a missing node is read with no lock held and
 *      the function starts over.
 *  (4) Space is given in steps: data, and what can be done without, leave
 *      fs->reserve clusters alone, other changes five eighths of it, those
 *      that free something, or write what fallocate reserved, a quarter; the
 *      rest is the checkpoint's.  The step from five eighths to a quarter has
 *      room for one such write. */
#include <stdlib.h>
#include <string.h>

#include "base/nowait.h"
#include "base/state.h"
#include "tree/alloc.h"
#include "tree/btree.h"
#include "tree/fetch.h"
#include "tree/ncache.h"
#include "commit/ckpt.h"
#include "commit/log.h"
#include "commit/sync.h"
#include "commit/txn.h"

struct op {
	struct tfs_key	key;
	bool		del;
	uint32_t	at, len;	/* of the value in tx->values */
};

struct born {
	uint64_t	addr, len;
	const uint64_t	*proof;
};

struct tfs_txn {
	struct tfs	*fs;
	struct tfs_miss miss;
	struct op	*op;
	size_t		n, room;
	uint8_t		*values;
	size_t		used, size;
	struct tfs_runs frees;
	struct born	*born;
	size_t		borns, born_room;
	uint64_t	born_clusters;
	int64_t		inodes, reserved;
};

struct tfs *tfs_txn_fs(struct tfs_txn *tx)
{
	return tx->fs;
}

uint64_t tfs_txn_seq(struct tfs_txn *tx)
{
	return tx->fs->seq;
}

int tfs_txn_get(struct tfs_txn *tx, struct tfs_key key, struct tfs_item *out)
{
	return tfs_btree_get(tx->fs, key, out, &tx->miss);
}

int tfs_txn_next(struct tfs_txn *tx, struct tfs_key key, struct tfs_item *out)
{
	return tfs_btree_next(tx->fs, key, out, &tx->miss);
}

int tfs_txn_prev(struct tfs_txn *tx, struct tfs_key key, struct tfs_item *out)
{
	return tfs_btree_prev(tx->fs, key, out, &tx->miss);
}

static int same_kind(int err, struct tfs_key key, const struct tfs_item *item)
{
	if (!err && (item->key.obj != key.obj || item->key.type != key.type))
		err = -ENOENT;
	return err;
}

int tfs_txn_next_of(struct tfs_txn *tx, struct tfs_key key,
		    struct tfs_item *out)
{
	return same_kind(tfs_txn_next(tx, key, out), key, out);
}

int tfs_txn_prev_of(struct tfs_txn *tx, struct tfs_key key,
		    struct tfs_item *out)
{
	return same_kind(tfs_txn_prev(tx, key, out), key, out);
}

static struct op *add_op(struct tfs_txn *tx)
{
	if (tfs_array_grow(&tx->op, &tx->room, tx->n + 1, sizeof(tx->op[0])))
		return NULL;
	return &tx->op[tx->n++];
}

int tfs_txn_put(struct tfs_txn *tx, struct tfs_key key, const void *val,
		unsigned int len)
{
	struct op *op;

	if (tfs_array_grow(&tx->values, &tx->size, tx->used + len, 1))
		return -ENOMEM;
	op = add_op(tx);
	if (!op)
		return -ENOMEM;
	*op = (struct op){ .key = key, .at = tx->used, .len = len };
	if (len)
		memcpy(tx->values + tx->used, val, len);
	tx->used += len;
	return 0;
}

int tfs_txn_del(struct tfs_txn *tx, struct tfs_key key)
{
	struct op *op = add_op(tx);

	if (!op)
		return -ENOMEM;
	*op = (struct op){ .key = key, .del = true };
	return 0;
}

int tfs_txn_del_range(struct tfs_txn *tx, struct tfs_key from,
		      struct tfs_key end, unsigned int limit, bool *done)
{
	struct tfs_item item;

	*done = false;
	for (;;) {
		int err = tfs_txn_next(tx, from, &item);

		*done = err == -ENOENT ||
			(!err && tfs_key_cmp(&item.key, &end) >= 0);
		if (*done || (!err && !limit--))
			return 0;
		if (!err)
			err = tfs_txn_del(tx, item.key);
		if (err)
			return err;
		from = tfs_key_after(item.key);
	}
}

int tfs_txn_free(struct tfs_txn *tx, uint64_t addr, uint64_t len)
{
	return tfs_runs_add(&tx->frees, addr, len);
}

int tfs_txn_born(struct tfs_txn *tx, uint64_t addr, uint64_t len,
		 const uint64_t *proof)
{
	if (tfs_array_grow(&tx->born, &tx->born_room, tx->borns + 1,
			   sizeof(tx->born[0])))
		return -ENOMEM;
	tx->born[tx->borns++] = (struct born){ addr, len, proof };
	tx->born_clusters += len;
	return 0;
}

void tfs_txn_count(struct tfs_txn *tx, int64_t inodes, int64_t reserved)
{
	tx->inodes += inodes;
	tx->reserved += reserved;
}

/* Numbers are given in order; after the last one, those found free. */
int tfs_txn_new_ino(struct tfs_txn *tx, uint32_t *ino)
{
	struct tfs *fs = tx->fs;
	struct tfs_item item;

	for (;;) {
		uint32_t next = fs->next_ino < TFS_FIRST_INO ? TFS_FIRST_INO :
			fs->next_ino;
		int err = tfs_txn_get(tx, tfs_key(next, TFS_T_INODE, 0),
				      &item);

		if (err && err != -ENOENT)
			return err;
		fs->next_ino = next + 1;	/* 0 wraps to the first */
		if (err == -ENOENT) {
			*ino = next;
			return 0;
		}
	}
}

/* ---- running ------------------------------------------------------------- */

static void reset(struct tfs_txn *tx)
{
	tx->n = 0;
	tx->used = 0;
	tx->frees.n = 0;
	tx->frees.clusters = 0;
	tx->borns = 0;
	tx->born_clusters = 0;
	tx->inodes = 0;
	tx->reserved = 0;
}

static void release(struct tfs_txn *tx)
{
	free(tx->op);
	free(tx->values);
	free(tx->born);
	tfs_runs_clear(&tx->frees);
}

int tfs_txn_read(struct tfs *fs, tfs_txn_fn fn, void *arg)
{
	struct tfs_txn tx = { .fs = fs };
	int err;

	for (;;) {
		pthread_rwlock_rdlock(&fs->tree);
		err = tfs_tree_unlock(fs, fn(&tx, arg), &tx.miss);
		if (err != TFS_MISS)
			break;
		err = tfs_node_fetch(fs, &tx.miss);
		if (err)
			break;
	}
	release(&tx);
	return err;
}

static uint64_t space_floor(const struct tfs *fs, unsigned int flags)
{
	if (fs->replaying)	/* it had room before the crash */
		return 0;
	if (flags & (TFS_TXN_HANDLE | TFS_TXN_FREES))
		return fs->reserve / 4;
	return (flags & TFS_TXN_SPARE ? fs->reserve : fs->reserve * 5 / 8) +
		fs->promised +
		tfs_reserved_space(fs, fs->reserved);
}

/* (2): everything that applying may need. */
static int prepare(struct tfs_txn *tx, unsigned int flags)
{
	struct tfs *fs = tx->fs;
	struct tfs_need need = { .mark = tfs_btree_new_mark(fs) };
	unsigned int nodes, puts = 0;
	size_t bytes = 0;
	int err;

	for (size_t i = 0; i < tx->n; i++) {
		err = tfs_btree_touch(fs, tx->op[i].key, tx->op[i].del, &need,
				      &tx->miss);
		if (err)
			return err;
		if (tx->op[i].del)
			continue;
		puts++;
		bytes += tx->op[i].len + sizeof(struct tfs_disk_item);
	}
	nodes = need.nodes + tfs_btree_splits(fs, &need, puts, bytes);
	err = tfs_pool_fill(fs, nodes, puts < tx->n ? fs->root_level + 1 : 0,
			    space_floor(fs, flags), &tx->miss);
	if (err)
		return err;
	err = tfs_commit_reserve(fs->running, tx->n, tx->used);
	if (!err)
		err = tfs_commit_reserve_born(fs->running, tx->borns,
					      tx->born_clusters);
	if (err)
		return err;
	/* Two runs for each node copied or merged away. */
	return tfs_free_reserve(fs, tx->frees.n + 2 * (size_t)nodes +
				2 * (fs->root_level + 2) * (tx->n + 1));
}

static void apply(struct tfs_txn *tx)
{
	struct tfs *fs = tx->fs;

	for (size_t i = 0; i < tx->n; i++) {
		struct op *op = &tx->op[i];
		const uint8_t *val = op->len ? tx->values + op->at : NULL;

		if (op->del)
			tfs_btree_del(fs, op->key);
		else
			tfs_btree_put(fs, op->key, val, op->len);
		if (!fs->replaying)
			tfs_commit_add(fs->running, op->key, op->del, val,
				       op->len);
	}
	for (size_t i = 0; i < tx->borns; i++)
		tfs_commit_born(fs->running, tx->born[i].addr,
				tx->born[i].len, tx->born[i].proof);
	for (size_t i = 0; i < tx->frees.n; i++)
		tfs_free_later(fs, tx->frees.run[i].addr,
			       tx->frees.run[i].len);
	fs->inodes += tx->inodes;
	fs->reserved += tx->reserved;
	fs->dirty |= tx->inodes || tx->reserved;
	tfs_nowait(false);
	atomic_fetch_add_explicit(&fs->count.txns, 1, memory_order_relaxed);
}

static int run_once(struct tfs_txn *tx, tfs_txn_fn fn, void *arg,
		    unsigned int flags)
{
	struct tfs *fs = tx->fs;
	int err;

	reset(tx);
	pthread_rwlock_wrlock(&fs->tree);
	err = tfs_rdonly(fs) && !fs->replaying ? -EROFS : fn(tx, arg);
	if (!err && (tx->n || tx->frees.n || tx->inodes || tx->reserved))
		err = prepare(tx, flags);
	if (!err)
		apply(tx);
	return tfs_tree_unlock(fs, err, &tx->miss);
}

/* Who is alone for long keeps dirty nodes within bounds. */
static int park(struct tfs *fs)
{
	int err;

	if (!tfs_ncache_parks(fs))
		return 0;
	pthread_rwlock_wrlock(&fs->tree);
	err = tfs_ncache_park(fs);
	pthread_rwlock_unlock(&fs->tree);
	if (err && err != -ENOMEM)
		tfs_fail(fs, err, "scratch file");
	return err;
}

int tfs_txn_write(struct tfs *fs, tfs_txn_fn fn, void *arg,
		  unsigned int flags)
{
	struct tfs_txn tx = { .fs = fs };
	bool alone = flags & TFS_TXN_HANDLE || fs->replaying;
	int tries = alone || flags & TFS_TXN_SPARE ? 0 : 2;
	int err = fs->replaying ? park(fs) : alone ? 0 : tfs_throttle(fs);

	while (!err) {
		err = run_once(&tx, fn, arg, flags);
		if (err == TFS_MISS)
			err = tfs_node_fetch(fs, &tx.miss);
		else if (err == TFS_SHORT && tries--)
			err = tfs_may_wait() ?: tfs_ckpt_run(fs);
		else
			break;
	}
	release(&tx);
	return err == TFS_SHORT ? -ENOSPC : err;
}
