/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dir.h - entries of a directory, inside transactions. */
#ifndef TFS_DIR_H
#define TFS_DIR_H

#include "fs.h"
#include "commit/txn.h"

/* The offset of an entry's key is also its
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
/* The first entry at or after off.  -ENOENT: no more. */
int tfs_entry_next(struct tfs_txn *tx, uint32_t dir, uint64_t off,
		   struct tfs_entry *out);
/* 0, TFS_MISS, -EUCLEAN or -ENOENT; then off is where it would go, 0 if
 * too many names have its hash. */
int tfs_entry_find(struct tfs_txn *tx, uint32_t dir, const char *name,
		   struct tfs_entry *out);
/* Give the entry found or not found above this inode. */
int tfs_entry_put(struct tfs_txn *tx, uint32_t dir, uint64_t off,
		  const char *name, uint32_t ino, uint32_t mode);
/* 1: no entries, 0: some. */
int tfs_dir_empty(struct tfs_txn *tx, uint32_t dir);

#endif
