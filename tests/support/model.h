/* SPDX-License-Identifier: GPL-2.0-or-later */
/* model.h - what a filesystem should be: names, attributes and bytes, in
 * plain memory, changed by steps.
 *
 *  (1) It knows nothing of clusters, trees or commits; what a step may answer
 *      follows from the manual pages and from what fs.h says.
 *  (2) Inode numbers are the core's: whoever does a step tells the model what
 *      number a new inode got.
 *  (3) Times, births and counts of clusters are not predicted.  The model
 *      notes what the core said of them, since a crash must not change them.
 *  (4) Two sums say which state it is, of all that has a name: strict, with
 *      (3), and loose, without.  They are kept up to date step by step. */
#ifndef MODEL_H
#define MODEL_H

#include <stdio.h>

#include "support/fs_bed.h"

struct model;	/* fields: model.c */

enum step_kind {
	DO_CREATE,	/* dir, name, mode (with type), uid, target */
	DO_TMPFILE,	/* dir, mode, uid; it stays open */
	DO_LINK,	/* ino, dir, name */
	DO_UNLINK,	/* dir, name */
	DO_RMDIR,	/* dir, name */
	DO_RENAME,	/* dir, name, newdir, newname, flags */
	DO_CHMOD,	/* ino, mode */
	DO_CHOWN,	/* ino, uid */
	DO_SETXATTR,	/* ino, name, len, seed, flags */
	DO_RMXATTR,	/* ino, name */
	DO_WRITE,	/* ino, off, len, seed, flags */
	DO_TRUNCATE,	/* ino, off */
	DO_FALLOCATE,	/* ino, flags, off, len */
	DO_READ,	/* ino, off, len */
	DO_OPEN,	/* ino */
	DO_CLOSE,	/* ino */
	DO_FSYNC,	/* ino */
	DO_SYNC,
	DO_REMOUNT,
	STEP_KINDS
};

struct step {
	enum step_kind	kind;
	uint32_t	ino, dir, newdir;
	char		name[256], newname[256];
	uint32_t	mode, uid;
	int		flags;
	uint64_t	off, len, seed;
};

struct model_xattr {
	struct model_xattr *next;
	char		name[40];
	size_t		len;
	uint8_t		*value;
};

struct model_node {
	bool		open;
	bool		touched;	/* since model_settle() */
	struct tfs_inode in;		/* (3): clusters, birth, times */
	uint8_t		*data;		/* of in.size bytes */
	size_t		room;
	char		*target;
	struct model_xattr *xattr;
	uint64_t	strict, loose;	/* its part of the sums; 0: no name */
	size_t		at;		/* in the list of all */
};

struct model *model_create(void);	/* a root, as the core's */
void model_destroy(struct model *m);	/* NULL is fine */
/* All that can be reached in a filesystem.  0 or -errno; what could not be
 * read is in why. */
int model_load(struct model **out, struct tfs *fs, char *why, size_t size);

struct model_node *model_node(struct model *m, uint32_t ino); /* or NULL */
/* 0: there is none. */
uint32_t model_find(struct model *m, uint32_t dir, const char *name);
/* The nth inode, named or open; NULL: there are fewer. */
struct model_node *model_nth(struct model *m, size_t n);
/* Where the nth name is; false: there are fewer. */
bool model_nth_name(struct model *m, size_t n, uint32_t *dir, char *name);
size_t model_inodes(struct model *m);	/* named or open */
size_t model_names(struct model *m);
size_t model_orphans(struct model *m);	/* open, and without a name */
bool model_below(struct model *m, uint32_t dir, uint32_t top);

/* What the step must answer, if there is space: 0 or -errno. */
int model_expect(struct model *m, const struct step *s);
/* Do it; it was expected to work.  ino: of what was made. */
void model_do(struct model *m, const struct step *s, uint32_t ino);
/* The power went: what was open is closed. */
void model_close_all(struct model *m);
/* The inodes that were touched since model_settle(), from *at = 0 on; NULL:
 * no more. */
struct model_node *model_touched(struct model *m, size_t *at);
/* Put the sums right, after (3) was noted. */
void model_settle(struct model *m);
uint64_t model_strict(struct model *m);
uint64_t model_loose(struct model *m);

/* A step in progress at one file: all but its content and size as in old,
 * and that, cluster by cluster, as in old or in new. */
bool model_between(const struct model_node *old, const struct model_node *now,
		   const struct model_node *got, uint32_t csize);
struct model_node *model_node_copy(const struct model_node *n);
void model_node_free(struct model_node *n);

/* Make its size and bytes these, which the core has. */
void model_adopt(struct model_node *n, const uint8_t *data, uint64_t size);

/* What differs, in at most so many lines. */
void model_diff(struct model *want, struct model *got, FILE *f,
		unsigned int lines);
/* One line of text about a step; into buf. */
const char *step_text(const struct step *s, char *buf, size_t size);

#endif
