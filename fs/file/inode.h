/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inode.h - inodes, names and attributes inside transactions. */
#ifndef TFS_INODE_H
#define TFS_INODE_H

#include "fs.h"
#include "commit/txn.h"

/* inode.c */
int tfs_inode_get(struct tfs_txn *tx, uint32_t ino, struct tfs_inode *out);
int tfs_inode_put(struct tfs_txn *tx, const struct tfs_inode *inode);
/* Every field checked; -EUCLEAN and a log line if one can't be. */
int tfs_inode_decode(struct tfs *fs, const struct tfs_item *item,
		     struct tfs_inode *out);
void tfs_inode_encode(const struct tfs_inode *in, struct tfs_disk_inode *di);
/* The inode that some item names: that it is absent is damage here. */
int tfs_inode_named(struct tfs_txn *tx, uint32_t ino, struct tfs_inode *out);
struct timespec tfs_now(void);
/* Clear S_ISUID, and S_ISGID of what its group may execute.  True if the
 * mode changed. */
bool tfs_kill_priv(struct tfs_inode *in);
/* Log that the item at key lies, and how.  -EUCLEAN. */
int tfs_item_bad(const struct tfs_key *key, const char *what);
#define TFS_NLINK_MAX	65000u	/* of a file */
#define TFS_LINK_MAX	4095u	/* bytes of a symbolic link's target */

/* dir.c: entries of a directory.  The offset of an entry's key is also its
 * cookie; those below TFS_COOKIE_FIRST say something else. */
#define TFS_COOKIE_DOT		1u
#define TFS_COOKIE_DOTDOT	2u
#define TFS_COOKIE_FIRST	256u
struct tfs_entry {
	uint64_t	off;
	uint32_t	ino;
	uint32_t	type;		/* S_IFMT bits */
	unsigned int	len;
	const char	*name;		/* in the item: not terminated */
};

int tfs_entry_decode(const struct tfs_item *item, struct tfs_entry *out);
/* 0, TFS_MISS, -EUCLEAN or -ENOENT; then off is where it would go, 0 if
 * too many names have its hash. */
int tfs_entry_find(struct tfs_txn *tx, uint32_t dir, const char *name,
		   struct tfs_entry *out);
/* Give the entry found or not found above this inode. */
int tfs_entry_put(struct tfs_txn *tx, uint32_t dir, uint64_t off,
		  const char *name, uint32_t ino, uint32_t mode);
/* 1: no entries, 0: some. */
int tfs_dir_empty(struct tfs_txn *tx, uint32_t dir);

/* resize.c: free what a truncate left past the size, if it left anything, at
 * most a bounded number of items per transaction. */
int tfs_cut_finish(struct tfs *fs, uint32_t ino);
/* resize.c: set the size, zeroing the tail of the last cluster; *out is the
 * inode then.  flags: TFS_WRITE_CACHED. */
int tfs_truncate(struct tfs *fs, uint32_t ino, uint64_t size,
		 unsigned int flags, struct tfs_inode *out);

/* refs.c: the table of inodes in use. */
struct tfs_refs;
int tfs_refs_create(struct tfs_refs **out);
void tfs_refs_destroy(struct tfs_refs *refs);
/* Count n down.  True: that was the last one of an orphan, which the caller
 * must reclaim. */
bool tfs_refs_drop(struct tfs *fs, uint32_t ino, uint64_t n);
bool tfs_refs_held(struct tfs *fs, uint32_t ino);
/* The inode has lost its last name.  True if it is held: then the last
 * tfs_unref() reclaims it, else the caller must. */
bool tfs_refs_orphan(struct tfs *fs, uint32_t ino);
/* Byte ranges are serialised per inode, by cluster: (first, last). */
void tfs_range_lock(struct tfs *fs, uint32_t ino, uint64_t first,
		    uint64_t last);
void tfs_range_unlock(struct tfs *fs, uint32_t ino, uint64_t first,
		      uint64_t last);

/* orphan.c: free an inode that has no name and no reference. */
int tfs_orphan_reclaim(struct tfs *fs, uint32_t ino);
/* All that a crash left; at a read-write mount. */
int tfs_orphan_reclaim_all(struct tfs *fs);

/* hash.c: keyed 64-bit hash of a name, from the filesystem's nonce.  A weak
 * symbol: tests put another in its place to make names collide. */
uint64_t tfs_name_hash(const struct tfs *fs, const char *name, size_t len);

#endif
