/* SPDX-License-Identifier: GPL-2.0-or-later */
/* locate.h - from a byte of a file to a sector of the device, and back. */
#ifndef TFS_LOCATE_H
#define TFS_LOCATE_H

#include "tree/node.h"

enum tfs_place_state {
	TFS_PLACE_HOLE,		/* of the file, or a reservation */
	TFS_PLACE_INLINE,	/* the byte is in the tree */
	TFS_PLACE_MAPPED,	/* the tree has it there */
	TFS_PLACE_OTHER,	/* the tags say so, and the tree does not: it
				 * was freed, or is not data */
	TFS_PLACE_UNKNOWN,	/* no tags of this filesystem, or unreadable */
	TFS_PLACE_OUTSIDE,	/* headers and tuples: no data at all */
	TFS_PLACE_SEARCH,	/* not found yet, and there is more */
	TFS_PLACE_FREE,		/* the map has it free */
	TFS_PLACE_META,		/* metadata has it, by its place or the tree */
};

enum tfs_place_tags {
	TFS_TAGS_READ,		/* or not asked for */
	TFS_TAGS_UNREADABLE,	/* the cluster can't be read */
	TFS_TAGS_FOREIGN,	/* not of this filesystem */
};

struct tfs_place {
	enum tfs_place_state state;
	enum tfs_place_tags tags;
	struct tfs_record rec;	/* kind 0: none */
	uint64_t	off;	/* of the byte in the file, if that is known */
	uint64_t	cluster;
	uint64_t	interval;	/* of the device: where the byte is */
	uint64_t	sector;		/* of 512 bytes of what is below */
};

/* Where is byte off of the file?  0, or why that can't be told. */
int tfs_locate_byte(struct tfs *fs, uint32_t ino, uint64_t off,
		    struct tfs_place *out);
/* What is in that sector of 512 bytes? */
int tfs_locate_sector(struct tfs *fs, uint64_t sector, struct tfs_place *out);
/* The same from the tree alone, for one whose tags are no help.  A bounded part
 * of the search: begin with all 0, and while out is TFS_PLACE_SEARCH, go on. */
struct tfs_hunt {
	struct tfs_key	from;
	bool		gap;		/* something could not be looked at */
};
int tfs_locate_in_tree(struct tfs *fs, uint64_t sector, struct tfs_hunt *se,
		       struct tfs_place *out);

#endif
