/* SPDX-License-Identifier: GPL-2.0-or-later */
/* txn.h - transactions on the tree.
 *
 * A transaction is a function.  It runs under the tree lock, looks at the
 * tree as it was before the transaction, and lists the puts and deletes that
 * it wants; they are applied in order, all or none, when it returns 0.
 *
 * No I/O happens under the tree lock.  Where a node is not in memory, a
 * look returns TFS_MISS; the function hands that up unchanged, the runner
 * drops the lock, reads the node and calls the function again from its
 * beginning.  So a function must start from scratch each time and have no
 * effects of its own before its last look.  A number for a new inode that it
 * was given stays used, whatever becomes of it. */
#ifndef TFS_TXN_H
#define TFS_TXN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tree/key.h"

struct tfs;
struct tfs_txn;		/* fields: txn.c */

/* ---- inside a transaction ---------------------------------------------- */

struct tfs *tfs_txn_fs(struct tfs_txn *tx);
/* The commit that the transaction belongs to; births are stamped with it. */
uint64_t tfs_txn_seq(struct tfs_txn *tx);

/* The item of that key.  0, -ENOENT or TFS_MISS. */
int tfs_txn_get(struct tfs_txn *tx, struct tfs_key key, struct tfs_item *out);
/* The first item at or after key, the last one at or before it. */
int tfs_txn_next(struct tfs_txn *tx, struct tfs_key key, struct tfs_item *out);
int tfs_txn_prev(struct tfs_txn *tx, struct tfs_key key, struct tfs_item *out);
/* The same, of the key's object and type alone; else -ENOENT. */
int tfs_txn_next_of(struct tfs_txn *tx, struct tfs_key key,
		    struct tfs_item *out);
int tfs_txn_prev_of(struct tfs_txn *tx, struct tfs_key key,
		    struct tfs_item *out);

/* Queue a change; the value is copied.  Later changes of one key win.
 * 0 or -ENOMEM.  len at most TFS_VALUE_MAX.  Deleting an absent key is fine. */
int tfs_txn_put(struct tfs_txn *tx, struct tfs_key key, const void *val,
		unsigned int len);
int tfs_txn_del(struct tfs_txn *tx, struct tfs_key key);
/* Delete what is there from from up to but without end, limit items at most;
 * *done: none is left.  All of it or, with the transaction, nothing. */
int tfs_txn_del_range(struct tfs_txn *tx, struct tfs_key from,
		      struct tfs_key end, unsigned int limit, bool *done);
/* Queue the freeing of clusters that no item will name any more. */
int tfs_txn_free(struct tfs_txn *tx, uint64_t addr, uint64_t len);
/* Queue clusters of new content, as they were written: the commit remembers
 * them.  proof, of each cluster, must stay until the transaction has run. */
int tfs_txn_born(struct tfs_txn *tx, uint64_t addr, uint64_t len,
		 const uint64_t *proof);
/* Change the counters of the checkpoint slot with this transaction. */
void tfs_txn_count(struct tfs_txn *tx, int64_t inodes, int64_t reserved);
/* A number for a new inode; it stays used if the transaction fails. */
int tfs_txn_new_ino(struct tfs_txn *tx, uint32_t *ino);

/* ---- running one --------------------------------------------------------- */

typedef int (*tfs_txn_fn)(struct tfs_txn *tx, void *arg);

enum {
	TFS_TXN_FREES	 = 1,	/* makes space: may use the reserve */
	TFS_TXN_HANDLE	 = 2,	/* inside tfs_handle_get/put: space is promised */
	TFS_TXN_SPARE	 = 4,	/* only what nobody else needs: no checkpoint is
				 * made for it */
};

/* Look only; several run side by side. */
int tfs_txn_read(struct tfs *fs, tfs_txn_fn fn, void *arg);
/* -EROFS, -ENOSPC, -EIO, -ENOMEM or what fn returned.  A full filesystem
 * is given one checkpoint to make room before -ENOSPC. */
int tfs_txn_write(struct tfs *fs, tfs_txn_fn fn, void *arg,
		  unsigned int flags);

#endif
