/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xattr_item.h - extended attributes inside transactions.  The inode's ctime
 * is the caller's. */
#ifndef TFS_XATTR_ITEM_H
#define TFS_XATTR_ITEM_H

#include "file/inode.h"

ssize_t tfs_xattr_get(struct tfs_txn *tx, uint32_t ino, const char *name,
		      void *buf, size_t size);
int tfs_xattr_put(struct tfs_txn *tx, uint32_t ino, const char *name,
		  const void *value, size_t size, int flags);
int tfs_xattr_del(struct tfs_txn *tx, uint32_t ino, const char *name);
/* For a new inode, whose attributes tfs_xattr_put() could not see: each one
 * gets another slot. */
int tfs_xattr_put_new(struct tfs_txn *tx, uint32_t ino, unsigned int slot,
		      const char *name, const void *value, size_t size);

struct tfs_xattr {
	uint64_t	off;		/* of the head */
	const char	*name;		/* in the item: not terminated */
	unsigned int	name_len;
	const void	*first;		/* bytes of the value in the head */
	size_t		first_len;
	size_t		value_len;
};

/* The head of the first attribute at or after off.  -ENOENT: no more. */
int tfs_xattr_next(struct tfs_txn *tx, uint32_t ino, uint64_t off,
		   struct tfs_xattr *out);
/* Step to the next slot.  False: there is none. */
bool tfs_xattr_step(uint64_t *off);

#endif
