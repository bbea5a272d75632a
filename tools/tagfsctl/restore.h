/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore.h - shared by the files that make up the verb restore.
 *
 * Each of these calls only those below it:
 *
 * restore.c	options; opening what may be damaged
 * restore_tree.c	names, directories, links
 * restore_copy.c	content, attributes
 * restore_note.c	what is missing: for a person, and the report
 * map.c	what of a device can't be read */
#ifndef RESTORE_H
#define RESTORE_H

#include <stdio.h>

#include "check/rebuild.h"
#include "fs.h"
#include "map.h"

/* Set on a restored file that has holes where bytes are missing. */
#define MISSING_MARK	"user.tagfs.missing"
#define PART		".tagfs-restore.part"

enum on_error { AS_HOLE, SKIP_FILE, STOP };

/* The copy of a file is given up, since it can't be whole.  Not an errno. */
#define GIVEN_UP	1

struct linked {
	uint32_t	ino;
	char		*path;
	bool		whole;
};

/* What the checker put right, in memory, where something was lost. */
struct mended {
	uint32_t	ino;
	size_t		nth;		/* in the order of their finding */
	char		*text;
};

struct restore {
	struct tfs	*fs;
	struct map	*map;		/* NULL: none is kept */
	struct tfs_rebuild how;		/* what is not known any more: gap */
	int		top;		/* the target */
	bool		list, json;
	bool		resume;		/* what is there is from an earlier run */
	enum on_error	on_error;
	char		**pattern;
	int		patterns;
	FILE		*report;
	bool		first;		/* nothing in its list yet */
	struct linked	*linked;	/* a table by the inode's hash */
	size_t		linked_n, linked_room;
	struct mended	*mended;	/* by inode */
	size_t		mended_n, mended_room;
	uint8_t		*buf;
	char		path[8192];
	size_t		len;
	/* What is missing of this path, until more of it is known. */
	uint64_t	off, end;
	const char	*why;
	uint64_t	missing_here;	/* of this file, bytes and all else */
	uint64_t	files, bytes, missing, failed, kept;
	uint64_t	flagless;	/* not as chattr had them */
};

/* ---- restore_note.c ------------------------------------------------------- */

/* Bytes of the file at r->path; 0: something else of it.  why: static. */
void note(struct restore *r, uint64_t off, uint64_t len, const char *why);
/* The same with words of their own, and no range. */
void note_text(struct restore *r, const char *text);
/* Before the path changes. */
void note_end(struct restore *r);
/* Into the target: errno.  What ends all of it, else 0. */
int could_not(struct restore *r, const char *what);
void report_begin(struct restore *r);
void report_end(struct restore *r, int err);
/* What was put right, and so may be wrong, of this inode. */
void note_mended(struct restore *r, uint32_t ino);
/* Keys of that inode, of which nothing is known any more.  NULL: no more;
 * *i begins with 0. */
const struct tfs_gap *next_gap(const struct restore *r, size_t *i,
			       uint32_t ino, unsigned int type);

/* ---- restore_copy.c --------------------------------------------------------- */

/* Both are 0, -errno, or GIVEN_UP. */
int copy_file(struct restore *r, const struct tfs_inode *in, int dir,
	      const char *name);
int copy_other(struct restore *r, const struct tfs_inode *in, int dir,
	       const char *name);
void put_attributes(struct restore *r, const struct tfs_inode *in, int fd);
/* What chattr had set; i and a only with locks, since nothing can be changed
 * afterwards.  put_flags_at(): of a file, by name. */
void put_flags(struct restore *r, const struct tfs_inode *in, int fd,
	       bool locks);
void put_flags_at(struct restore *r, const struct tfs_inode *in, int dir,
		  const char *name, bool locks);
/* Take i and a away from what an earlier run has finished. */
void take_locks(int fd);

/* ---- restore_tree.c ----------------------------------------------------------- */

int restore_all(struct restore *r, const char *target);

#endif
