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

/* ---- where is it? ------------------------------------------------------- */

enum {
	TAGFS_PLACE_HOLE,	/* nowhere: a hole, or reserved */
	TAGFS_PLACE_INLINE,	/* in the tree */
	TAGFS_PLACE_MAPPED,	/* there, as content of the file */
	TAGFS_PLACE_OTHER,	/* what the tags say is not in the tree */
	TAGFS_PLACE_UNKNOWN,	/* no tags of this filesystem */
	TAGFS_PLACE_OUTSIDE,	/* no data: headers and tuples */
	TAGFS_PLACE_SEARCH,	/* not found yet: ask again with what came */
	TAGFS_PLACE_FREE,	/* free in the map */
	TAGFS_PLACE_META,	/* it is metadata of the kind */
};

enum {
	TAGFS_TAGS_READ,
	TAGFS_TAGS_UNREADABLE,	/* the cluster can't be read */
	TAGFS_TAGS_FOREIGN,	/* none of this filesystem */
};

#define TAGFS_LOCATE_SECTOR	1	/* from sector, not from offset */
#define TAGFS_LOCATE_TREE	2	/* and by the tree, whatever the tags:
					 * a part of the search at a time */
#define TAGFS_LOCATE_GAP	4	/* part of the search; 0 at first */

struct tagfs_locate {
	__u32	flags;		/* in, and out: TAGFS_LOCATE_* */
	__u32	state;		/* TAGFS_PLACE_* */
	__u64	offset;		/* in, or out: in the file */
	__u64	sector;		/* out, or in: 512 bytes, of the device */
	__u64	cluster;
	__u64	interval;	/* protection interval of the device */
	__u64	commit;		/* and below: as the tags say, or the tree.  In,
				 * of a search: offset, kind, owner as they came;
				 * 0 at first */
	__u32	kind;		/* 1 superblock, 2 slot, 3 node, 4 log, 5 data,
				 * 6 fence; 0: nothing */
	__u32	owner;		/* data: the inode; node: the level */
	__u32	index;
	__u32	tags;		/* TAGFS_TAGS_*, not of a search */
	char	path[TAGFS_IOC_PATH];	/* from a sector with data; else "" */
};

/* On the file itself, for offset; on the root, for sector (root only). */
#define TAGFS_IOC_LOCATE	_IOWR(TAGFS_IOC_MAGIC, 1, struct tagfs_locate)

/* ---- scrub -------------------------------------------------------------- */

enum {
	TAGFS_SCRUB_STATUS,	/* nothing but the answer; for everybody */
	TAGFS_SCRUB_START,
	TAGFS_SCRUB_PAUSE,
	TAGFS_SCRUB_RESUME,
	TAGFS_SCRUB_CANCEL,
};

#define TAGFS_SCRUB_DATA	1	/* content of files */
#define TAGFS_SCRUB_META	2	/* the tree, both copies */
#define TAGFS_SCRUB_ERRORS	4	/* instead: what is known to be bad */

enum {
	TAGFS_SCRUB_NEVER,
	TAGFS_SCRUB_RUNNING,
	TAGFS_SCRUB_PAUSED,
	TAGFS_SCRUB_FINISHED,
	TAGFS_SCRUB_CANCELLED,
	TAGFS_SCRUB_FAILED,	/* error says why */
};

struct tagfs_scrub {
	__u32	op;		/* in */
	__u32	flags;		/* start: in; TAGFS_SCRUB_DATA, _META or
				 * _ERRORS */
	__u32	rate;		/* start: in; MiB/s; 0: no limit */
	__u32	state;
	__u32	error;		/* an errno */
	__u32	pad;
	__u64	started, ended;	/* seconds since 1970; 0: not yet */
	__u64	bytes;		/* of files, read and verified */
	__u64	nodes;		/* of the tree */
	__u64	healed, uncorrectable;	/* findings */
	__u64	listed;		/* errors that stand: see TAGFS_IOC_ERROR */
	__u64	unlisted;	/* and that there was no room for */
	__u64	done, all;	/* regions of the device */
	__u64	whole;		/* when the last one of everything ended */
};

/* EBUSY: one runs, or is paused; ENOENT: none does. */
#define TAGFS_IOC_SCRUB		_IOWR(TAGFS_IOC_MAGIC, 2, struct tagfs_scrub)

/* ---- what was found bad ------------------------------------------------- */

/* By scrubs, and by reads of files.  It is kept in the filesystem, and goes
 * when what was bad is overwritten, truncated or deleted. */

enum {
	TAGFS_ERROR_DATA,	/* a cluster of a file */
	TAGFS_ERROR_NODE,	/* one copy of a tree node */
	TAGFS_ERROR_LOST,	/* both */
	/* One copy of: */
	TAGFS_ERROR_DEVICE,	/* what a container keeps: offset is the byte */
	TAGFS_ERROR_SUPER,
	TAGFS_ERROR_SLOT,
	TAGFS_ERROR_LOG,	/* (the only one) */
	TAGFS_ERROR_LEGS,	/* a leg's own list of the legs of a mirror */
};

enum {
	TAGFS_CHECK_NONE,	/* see error */
	TAGFS_CHECK_GUARD,
	TAGFS_CHECK_REF,
	TAGFS_CHECK_APP,
	TAGFS_CHECK_ESCAPE,	/* never written */
	TAGFS_CHECK_DEVICE,	/* the device did not say */
};

#define TAGFS_ERROR_HEALED	1
#define TAGFS_ERROR_STORED	2	/* else it is forgotten with the mount */
#define TAGFS_ERROR_COPY	4	/* the second one; kinds from DEVICE on */
#define TAGFS_ERROR_LEG(flags)	((flags) >> 8 & 7) /* of a mirror, from 1 */

struct tagfs_error {
	__u64	next[3];	/* in: 0 at first; out: to go on with */
	__u32	kind;		/* TAGFS_ERROR_* */
	__u32	flags;		/* TAGFS_ERROR_* */
	__u32	inode;
	__u32	check;		/* TAGFS_CHECK_* */
	__u64	offset, length;	/* bytes of the file */
	__u64	cluster;
	__u64	expected, found;	/* by that check, the first time */
	__u64	first, last;	/* time seen, seconds since 1970 */
	__u64	commit;		/* that ran the first time */
	__u32	count;		/* times */
	__u32	error;		/* an errno */
	char	path[TAGFS_IOC_PATH];
};

/* The next one; ENOENT: no more.  For root and the owner of the mount. */
#define TAGFS_IOC_ERROR		_IOWR(TAGFS_IOC_MAGIC, 3, struct tagfs_error)
/* Forget them all. */
#define TAGFS_IOC_CLEAR		_IO(TAGFS_IOC_MAGIC, 4)

/* ---- the mount ---------------------------------------------------------- */

#define TAGFS_REMOUNT_RDONLY	1
#define TAGFS_REMOUNT_RELATIME	2	/* keep access times */
#define TAGFS_REMOUNT_STRICTATIME 4	/* the same, after every read */
#define TAGFS_REMOUNT_NODIRATIME 8

struct tagfs_remount {
	__u32	flags;		/* in: TAGFS_REMOUNT_*, all that shall be */
	__u32	pad;
};

/* Read-only: the last checkpoint is durable when it is answered; the kernel
 * must have been told before.  Read and write: before the kernel.  EROFS: it
 * was mounted read-only, or an error has made it so. */
#define TAGFS_IOC_REMOUNT	_IOWR(TAGFS_IOC_MAGIC, 5, struct tagfs_remount)

/* ---- the legs of a mirror ----------------------------------------------- */

enum {
	TAGFS_LEG_ASK,		/* nothing but the answer */
	TAGFS_LEG_ADD,		/* one more */
	TAGFS_LEG_REPLACE,	/* in place of one that is missing */
	TAGFS_LEG_RETURN,	/* it was left behind */
	TAGFS_LEG_REMOVE,
};

struct tagfs_leg {
	__u32	op;		/* in */
	__s32	fd;		/* in, to join: the device, which the process
				 * that asks has open for reading and writing,
				 * but has not locked.  What is on it is
				 * overwritten (return: what is not newer) */
	__u32	leg;		/* in, to remove: its number, from 1 */
	__u32	pad;
	__u64	intervals;	/* out: that a leg has at least */
	char	path[TAGFS_IOC_PATH];	/* in, to join: what it is called */
};

/* Answered when the list of legs is durable; then those that are behind are
 * filled.  ENOTBLK: it is no mirror; EMLINK: it has four legs; ENODEV: one is
 * missing; ENOSPC: too small; EINVAL: protected in another way; EXDEV: of a
 * kind that none of the legs was at the mount; EBUSY: in use; or, to remove:
 * no other leg has everything; ENOENT: no such leg, or none is missing; ENOTUNIQ:
 * that leg is here; ESTALE: it was written without the others. */
#define TAGFS_IOC_LEG		_IOWR(TAGFS_IOC_MAGIC, 6, struct tagfs_leg)

#endif
