/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inode.h - inodes inside transactions. */
#ifndef TFS_INODE_H
#define TFS_INODE_H

#include "fs.h"
#include "commit/txn.h"

int tfs_inode_get(struct tfs_txn *tx, uint32_t ino, struct tfs_inode *out);
int tfs_inode_put(struct tfs_txn *tx, const struct tfs_inode *inode);
/* Every field checked; -EUCLEAN and a log line if one can't be. */
int tfs_inode_decode(struct tfs *fs, const struct tfs_item *item,
		     struct tfs_inode *out);
void tfs_inode_encode(const struct tfs_inode *in, struct tfs_disk_inode *di);
/* The inode that some item names: that it is absent is damage here. */
int tfs_inode_named(struct tfs_txn *tx, uint32_t ino, struct tfs_inode *out);
/* The item that has the next mount look at an inode: it has no name, or more
 * than its size says.  Putting or deleting it twice is fine. */
int tfs_orphan_put(struct tfs_txn *tx, uint32_t ino);
int tfs_orphan_del(struct tfs_txn *tx, uint32_t ino);
struct timespec tfs_now(void);
/* What its flags say of changes: 0 or -EPERM.  What is immutable or append-only
 * keeps its names, attributes and bytes; an append-only directory gains names
 * and loses none. */
int tfs_unlocked(const struct tfs_inode *in);
int tfs_mutable(const struct tfs_inode *in);
/* Clear S_ISUID, and S_ISGID of what its group may execute.  True if the
 * mode changed. */
bool tfs_kill_priv(struct tfs_inode *in);
/* Log that the item at key lies, and how.  -EUCLEAN. */
int tfs_item_bad(const struct tfs_key *key, const char *what);
#define TFS_NLINK_MAX	65000u	/* of a file */
#define TFS_LINK_MAX	4095u	/* bytes of a symbolic link's target */

#endif
