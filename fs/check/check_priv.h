/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_priv.h - shared by the files that make up tfs_check(). */
#ifndef TFS_CHECK_PRIV_H
#define TFS_CHECK_PRIV_H

#include "check/check.h"
#include "check/treewalk.h"
#include "file/extent.h"
#include "file/inode.h"

/* What is remembered of an inode: 56 bytes. */
struct tfs_known {
	uint32_t	ino;
	uint32_t	nlink;
	uint32_t	parent;		/* of a directory */
	uint32_t	names;		/* entries that name it */
	uint32_t	namer;		/* the directory of the last of them */
	uint32_t	subdirs;	/* of a directory */
	uint64_t	namer_off;	/* the place of that entry */
	uint64_t	size, entries;	/* of a directory */
	uint16_t	mode;
	bool		orphan;		/* has an orphan item */
	bool		revived;	/* its own item was lost */
	uint8_t		way;		/* enum tfs_way; directories */
};

/* Is the root at the end of the way up? */
enum tfs_way {
	TFS_WAY_UNKNOWN,
	TFS_WAY_HERE,		/* on the way that is being looked at */
	TFS_WAY_ROOT,
	TFS_WAY_NONE,		/* no, and that was said where it begins */
};

struct tfs_checking {
	struct tfs_check *c;
	struct tfs	*fs;
	struct tfs_known *known;	/* ascending */
	size_t		n, room;
	uint32_t	*orphan;	/* ascending; items seen */
	size_t		orphans, orphan_room;
	unsigned int	flaws;		/* entries of that list seen */
	uint64_t	**used;		/* by region: bits that are referred to */
	struct tfs_key	*misplaced;	/* entries */
	size_t		misplaced_n, misplaced_room;
	uint8_t		*has_item;	/* by region: it is in the tree */
	uint64_t	**twice;	/* by region: bits referred to again */
	bool		any_twice;
	uint32_t	top_ino;	/* the highest one that is in use */
	uint64_t	reserved;
	uint64_t	reclaimed;	/* of those known */
	uint32_t	lost_found;	/* its directory, once it is needed */
};

/* ---- known.c -------------------------------------------------------------- */

/* A problem.  True: it is to be put right now. */
bool tfs_found(struct tfs_checking *ck, enum tfs_finding_kind kind,
	       uint32_t ino, uint64_t cluster, bool fixable,
	       const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* What became of it: err of the repair, which is returned if it must end
 * the check. */
int tfs_found_fixed(struct tfs_checking *ck, int err);
struct tfs_known *tfs_known_find(struct tfs_checking *ck, uint32_t ino);
/* In its place; NULL: no memory. */
struct tfs_known *tfs_known_add(struct tfs_checking *ck, uint32_t ino);
/* Run it as a transaction. */
int tfs_fix(struct tfs_checking *ck, tfs_txn_fn fn, void *arg);
int tfs_check_progress(struct tfs_checking *ck, unsigned int step,
		       unsigned int done);
/* The same of a walk that has come to that inode. */
int tfs_check_at(struct tfs_checking *ck, unsigned int step, uint32_t ino);

/* ---- the steps -------------------------------------------------------------- */

/* inodes.c: each node; each inode and what belongs to it alone. */
int tfs_check_inodes(struct tfs_checking *ck);
/* twice.c: clusters that several files use; their tags say whose they are. */
int tfs_check_twice(struct tfs_checking *ck);
/* names.c: entries against inodes, and the way to the root. */
int tfs_check_names(struct tfs_checking *ck);
/* space.c: forget who uses what. */
void tfs_check_forget(struct tfs_checking *ck);
/* space.c: before anything is written, nothing in use is free in the map. */
int tfs_check_marked(struct tfs_checking *ck);
/* space.c: reservations that there can be no space for are given up. */
int tfs_check_reserved(struct tfs_checking *ck);
/* space.c: what is in use, against the map; counters. */
int tfs_check_space(struct tfs_checking *ck);
/* space.c: somebody uses these.  0, or -EUCLEAN: they lie where nothing may;
 * what others use, too, is noted in ck->twice. */
int tfs_check_refer(struct tfs_checking *ck, uint64_t addr, uint64_t len);
/* space.c: forget who uses what, and look again. */
int tfs_check_refer_again(struct tfs_checking *ck);
/* content.c: every byte of every file. */
int tfs_check_content(struct tfs_checking *ck);

#endif
