/* SPDX-License-Identifier: GPL-2.0-or-later */
/* replay.c - make the changes of a logged commit once more, in memory.
 *
 *  (1) The log does not say what is free.  A commit takes the clusters that
 *      were born in it; it frees those which the extents that it changes
 *      named before and do not name after it.
 *  (2) Nothing is handed out before the clusters of all commits that will be
 *      replayed are taken, since the checkpoint has them as free.
 *  (3) A log that maps what the tree does not have, or twice, is refused. */
#include <stdlib.h>
#include <string.h>

#include "tree/alloc.h"
#include "tree/fetch.h"
#include "file/extent.h"
#include "mount/replay.h"

#define STEP	64	/* operations applied at once */

bool tfs_logged_next(const struct tfs_logged *c, size_t *at,
		     struct tfs_logged_op *op)
{
	struct tfs_disk_op d;

	if (*at == c->bytes)
		return false;
	memcpy(&d, c->ops + *at, sizeof(d));
	op->key = tfs_key(le32toh(d.obj), d.type, le64toh(d.off));
	op->del = d.op == TFS_LOG_DEL;
	op->len = le16toh(d.len);
	memcpy(op->value, c->ops + *at + sizeof(d), op->len);
	*at += sizeof(d) + op->len;
	return true;
}

int tfs_logged_extent(struct tfs *fs, const struct tfs_logged_op *op,
		      struct tfs_extent *out)
{
	struct tfs_item item = { op->key, op->value, op->len };
	int err;

	if (op->del || op->key.type != TFS_T_EXTENT)
		return -ENOENT;
	err = tfs_extent_decode(fs, &item, out);
	return err ? err : out->addr ? 0 : -ENOENT;
}

/* ---- runs ----------------------------------------------------------------- */

/* What is in all and not in part, both sorted; part must be in all. */
static int subtract(const struct tfs_runs *all,
		    const struct tfs_runs *part, struct tfs_runs *out)
{
	size_t k = 0;
	int err = 0;

	for (size_t i = 0; i < all->n && !err; i++) {
		uint64_t at = all->run[i].addr, end = at + all->run[i].len;

		for (; k < part->n && part->run[k].addr < end && !err; k++) {
			const struct tfs_run *p = &part->run[k];

			if (p->addr < at || p->addr + p->len > end)
				return -EUCLEAN;
			if (p->addr > at)
				err = tfs_runs_add(out, at, p->addr - at);
			at = p->addr + p->len;
		}
		if (at < end && !err)
			err = tfs_runs_add(out, at, end - at);
	}
	return k < part->n ? -EUCLEAN : err;
}

int tfs_claim(struct tfs *fs, uint64_t addr, uint64_t len)
{
	struct tfs_miss miss;

	while (len) {
		uint64_t n = len;
		int err;

		pthread_rwlock_wrlock(&fs->tree);
		err = tfs_alloc_claim(fs, addr, &n, &miss);
		err = tfs_tree_unlock(fs, err, &miss);
		if (err == TFS_MISS) {
			err = tfs_node_fetch(fs, &miss);
			n = 0;
		}
		if (err)
			return err;
		addr += n;
		len -= n;
	}
	return 0;
}

/* ---- one commit ----------------------------------------------------------- */

struct replay {
	struct tfs	*fs;
	const struct tfs_logged *c;
	struct tfs_key	key;
	struct tfs_extent old;		/* at key */
	struct tfs_runs before, after;	/* named by what is changed */
	struct tfs_runs freed;
	size_t		at, next;	/* of the operations */
};

static int old_fn(struct tfs_txn *tx, void *arg)
{
	struct replay *rp = arg;
	struct tfs_item item;
	int err = tfs_txn_get(tx, rp->key, &item);

	return err ? err : tfs_extent_decode(rp->fs, &item, &rp->old);
}

static int note_extent(struct replay *rp, const struct tfs_logged_op *op)
{
	struct tfs_extent new;
	int err;

	rp->key = op->key;
	err = tfs_txn_read(rp->fs, old_fn, rp);
	if (!err && rp->old.addr)
		err = tfs_runs_add(&rp->before, rp->old.addr, rp->old.len);
	if (err && err != -ENOENT)
		return err;
	err = tfs_logged_extent(rp->fs, op, &new);
	if (!err && new.seq > rp->c->seq)
		return -EUCLEAN;
	if (!err && new.seq < rp->c->seq)
		err = tfs_runs_add(&rp->after, new.addr, new.len);
	return err == -ENOENT ? 0 : err;
}

/* (1) */
static int find_freed(struct replay *rp)
{
	struct tfs_logged_op op;
	size_t at = 0;
	int err = 0;

	while (!err && tfs_logged_next(rp->c, &at, &op))
		if (op.key.type == TFS_T_EXTENT)
			err = note_extent(rp, &op);
	if (err)
		return err;
	if (!tfs_runs_sort(&rp->before) || !tfs_runs_sort(&rp->after))
		return -EUCLEAN;				/* (3) */
	return subtract(&rp->before, &rp->after, &rp->freed);
}

static int apply_fn(struct tfs_txn *tx, void *arg)
{
	struct replay *rp = arg;
	struct tfs_logged_op op;
	int err = 0;

	rp->next = rp->at;
	for (unsigned int i = 0; i < STEP && !err; i++) {
		if (!tfs_logged_next(rp->c, &rp->next, &op))
			break;
		err = op.del ? tfs_txn_del(tx, op.key) :
			tfs_txn_put(tx, op.key, op.value, op.len);
	}
	return err;
}

static int free_fn(struct tfs_txn *tx, void *arg)
{
	struct replay *rp = arg;
	int err = 0;

	for (size_t i = 0; i < rp->freed.n && !err; i++)
		err = tfs_txn_free(tx, rp->freed.run[i].addr,
				   rp->freed.run[i].len);
	return err;
}

static int apply(struct replay *rp)
{
	int err = 0;

	for (rp->at = 0; rp->at < rp->c->bytes && !err; rp->at = rp->next)
		err = tfs_txn_write(rp->fs, apply_fn, rp, 0);
	return err ? err : tfs_txn_write(rp->fs, free_fn, rp, 0);
}

/* Without (1): somebody will count what is in use. */
int tfs_replay_items(struct tfs *fs, const struct tfs_logged *c)
{
	struct replay rp = { .fs = fs, .c = c };

	fs->next_ino = c->next_ino;
	return apply(&rp);
}

int tfs_replay(struct tfs *fs, const struct tfs_logged *c)
{
	struct replay rp = { .fs = fs, .c = c };
	int err = find_freed(&rp);

	if (!err)
		err = apply(&rp);
	fs->inodes = c->inodes;
	fs->reserved = c->reserved;
	fs->next_ino = c->next_ino;
	tfs_runs_clear(&rp.before);
	tfs_runs_clear(&rp.after);
	tfs_runs_clear(&rp.freed);
	return err;
}
