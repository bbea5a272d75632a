/* SPDX-License-Identifier: GPL-2.0-or-later */
/* finding.h - one problem of a filesystem. */
#ifndef TFS_FINDING_H
#define TFS_FINDING_H

#include <stdbool.h>
#include <stdint.h>

enum tfs_finding_kind {
	TFS_F_CONTAINER,	/* a copy of what the device keeps for itself */
	TFS_F_UNREAD,		/* the same, where the medium can't read it */
	TFS_F_SUPER,		/* a copy of the superblock */
	TFS_F_SLOT,		/* a copy of a checkpoint slot */
	TFS_F_LEGS,		/* a copy of the list of legs, of one leg */
	TFS_F_LOG,		/* a place of the log that nobody needs */
	TFS_F_OLDER,		/* something acknowledged is missing */
	TFS_F_COPY,		/* a copy of a node is bad */
	TFS_F_DIFFER,		/* both are good and not the same */
	TFS_F_NEAR,		/* both lie where one bad spot hits both */
	TFS_F_LOST,		/* a part of the tree can't be read */
	TFS_F_ITEM,		/* an item makes no sense */
	TFS_F_STRAY,		/* items of an inode that is not there */
	TFS_F_ORPHAN,		/* an orphan item, or none where one is due */
	TFS_F_EXTENT,		/* extents overlap, or lie where none may */
	TFS_F_CLUSTERS,		/* the inode's count of clusters */
	TFS_F_INLINE,		/* content in the tree */
	TFS_F_PAST,		/* content past the end of the file */
	TFS_F_XATTR,		/* an extended attribute */
	TFS_F_ACL,		/* an access list, or the mode beside it */
	TFS_F_ENTRY,		/* a name that leads nowhere, or not there */
	TFS_F_PARENT,		/* which directory a directory is in */
	TFS_F_COUNT,		/* of the entries of a directory */
	TFS_F_LINKS,		/* of names of an inode */
	TFS_F_UNREACHED,	/* no way from the root leads to it */
	TFS_F_TWICE,		/* a cluster that two use */
	TFS_F_UNMARKED,		/* in use, and free in the map */
	TFS_F_UNUSED,		/* the other way round */
	TFS_F_COUNTER,		/* of the filesystem */
	TFS_F_DATA,		/* bytes of a file don't verify */
	TFS_F_KINDS
};

struct tfs_finding {
	enum tfs_finding_kind kind;
	uint32_t	ino;		/* 0: of no file */
	uint64_t	cluster;	/* address; 0: none */
	char		text[200];	/* what is wrong, without the above */
	bool		fixable;
	/* Of what lies beside the tree: */
	unsigned int	leg;		/* of a mirror, from 1; 0: it is none */
	unsigned int	copy;
	uint64_t	byte;		/* container: on the storage below */
	int		err;
};

/* A word for programs, as "entry". */
const char *tfs_finding_name(enum tfs_finding_kind kind);

#endif
