/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mend.h - what fsck.tagfs does with a filesystem, without its words. */
#ifndef MEND_H
#define MEND_H

#include "support/fs_bed.h"

struct mend {
	bool		rdonly;		/* as -n; else as -y.  Always -f */
	bool		rebuild;	/* as --rebuild */

	/* The result. */
	bool		rebuilt;	/* the tree could not be walked */
	uint64_t	problems, fixed;
	uint64_t	orphans;	/* of the problems */
	char		text[1000];	/* of the first ones, for messages */
};

/* Nothing is open before and after.  0: see the result; or why not. */
int mend(struct bed *b, struct mend *m);

/* The image may hold anything.  Looked at with -n no byte of it changes; -y
 * comes to an end; if that put all right, the next -y finds nothing, and a
 * mount works; and whatever became of it, a mount ends well.  Nothing is open
 * before and after; fails the test. */
void mend_anything(struct bed *b);
/* The power went, and nothing else did: with -n and -y nothing is found but what
 * was deleted while in use, and a mount works.  Of a copy; fails the test. */
void mend_cut(struct sim *crashed, const char *where);
/* Is it the turn of case n?  In a full run it always is. */
bool mend_due(uint64_t n, unsigned int one_in);

#endif
