/* SPDX-License-Identifier: GPL-2.0-or-later */
/* acl.h - POSIX access control lists, in the bytes of their attributes. */
#ifndef TFS_ACL_H
#define TFS_ACL_H

#include "file/inode.h"

#define TFS_ACL_ACCESS	"system.posix_acl_access"
#define TFS_ACL_DEFAULT	"system.posix_acl_default"

/* 0: a list that can be obeyed, 1: one without entries; else -EINVAL,
 * or -EOPNOTSUPP for another version.  Comes before all calls below. */
int tfs_acl_check(const void *acl, size_t size);
/* The permission bits that the list means go into *mode.  1 if it says more
 * than they can, 0 if not. */
int tfs_acl_equiv(const void *acl, size_t size, uint32_t *mode);
/* Make a default list the access list of a new inode with *mode.  As
 * tfs_acl_equiv(). */
int tfs_acl_mask(void *acl, size_t size, uint32_t *mode);
/* Make the list say what mode does. */
void tfs_acl_set_mode(void *acl, size_t size, uint32_t mode);

/* The mode of this inode is about to change to the one it has here. */
int tfs_acl_chmod(struct tfs_txn *tx, const struct tfs_inode *in);
/* Mode and lists of a new inode: from dir's default list, or the umask. */
int tfs_acl_inherit(struct tfs_txn *tx, const struct tfs_inode *dir,
		    struct tfs_inode *in, uint32_t umask);
/* Set (size 0 or no entries: remove) a list by attribute name; the mode in
 * *in follows.  The caller puts *in. */
int tfs_acl_set(struct tfs_txn *tx, struct tfs_inode *in, const char *name,
		const void *acl, size_t size, bool kill_sgid);

#endif
