/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tagfs_ioctl.h - what a program may ask a mounted tagfs.
 *
 * Requests go to an open file or directory of the mount; all but
 * TAGFS_IOC_LOCATE to its root.  A structure's size is part of its request's
 * number; fields that are not named in the comment of a request are 0 on the
 * way in.  Only root and the owner of the mount may change anything. */
#ifndef TAGFS_IOCTL_H
#define TAGFS_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define TAGFS_IOC_MAGIC		0xd1
#define TAGFS_IOC_PATH		1024	/* bytes of a path, terminated */

/* ---- where is it? -------------------------------------------------------- */

enum {
	TAGFS_PLACE_HOLE,	/* nowhere: a hole, or reserved */
	TAGFS_PLACE_INLINE,	/* in the tree */
	TAGFS_PLACE_MAPPED,	/* there, as content of the file */
	TAGFS_PLACE_OTHER,	/* what the tags say is not in the tree */
	TAGFS_PLACE_UNKNOWN,	/* no tags of this filesystem */
	TAGFS_PLACE_OUTSIDE,	/* no data: headers and tuples */
};

#define TAGFS_LOCATE_SECTOR	1	/* from sector, not from offset */

struct tagfs_locate {
	__u32	flags;		/* in: TAGFS_LOCATE_* */
	__u32	state;		/* TAGFS_PLACE_* */
	__u64	offset;		/* in, or out: in the file */
	__u64	sector;		/* out, or in: 512 bytes, of the device */
	__u64	cluster;
	__u64	interval;	/* protection interval of the device */
	__u64	commit;		/* and below: as the tags say */
	__u32	kind;		/* 1 superblock, 2 slot, 3 node, 4 log, 5 data,
				 * 6 fence; 0: nothing */
	__u32	owner;		/* data: the inode; node: the level */
	__u32	index;
	__u32	pad;
	char	path[TAGFS_IOC_PATH];	/* of data; "" if none */
};

/* On the file itself, for offset; on the root, for sector (root only). */
#define TAGFS_IOC_LOCATE	_IOWR(TAGFS_IOC_MAGIC, 1, struct tagfs_locate)

#endif
