/* SPDX-License-Identifier: GPL-2.0-or-later */
/* write.h - one change of a file's content. */
#ifndef TFS_WRITE_H
#define TFS_WRITE_H

#include "file/extent.h"

struct tfs_change {
	struct tfs	*fs;
	uint32_t	ino;
	uint64_t	off;
	size_t		len;
	const void	*buf;		/* NULL: zeros */
	unsigned int	flags;		/* TFS_WRITE_* */
	bool		keep_size;
	bool		cut;		/* then end the file at size */
	uint64_t	size;
	struct tfs_inode inode;		/* out: as it is now */
};

/* Look at a file before changing it.  The caller holds a range lock, and
 * nothing is left of an earlier truncate afterwards. */
struct tfs_look {
	struct tfs_inode inode;
	bool		has_inline;
	uint64_t	claimed;	/* reserved clusters in the range */
};

int tfs_look(struct tfs *fs, uint32_t ino, uint64_t lc, uint64_t end,
	     struct tfs_look *out);
/* Content of the range as new clusters, old and new merged at the edges; one
 * transaction maps them all.  The caller holds the range lock.  look: what
 * tfs_look() found in the range's clusters under it; NULL: not looked yet. */
int tfs_change_clusters(struct tfs_change *c, const struct tfs_look *look);
/* Move inline content to a cluster; cluster 0 is locked. */
int tfs_uninline(struct tfs *fs, uint32_t ino, const struct tfs_look *look);

#endif
