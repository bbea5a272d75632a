/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legs.h - the legs of a mirror: which of them have everything. */
#ifndef TFS_LEGS_H
#define TFS_LEGS_H

#include <stdio.h>

#include "tfs.h"

/* mkfs, on a mirror that belongs to nobody: all its legs are current. */
int tfs_legs_format(struct tfs *fs);
/* The mirror under a filesystem, if there is one: fs->legs.  -ENODEV: it is
 * one leg by itself. */
int tfs_legs_find(struct tfs *fs);
/* Another host has one of them: -EBUSY. */
int tfs_legs_fence(struct tfs *fs);
/* They have the lists that they were opened with; else, or if that can't be
 * said, -ESTALE. */
int tfs_legs_same(struct tfs *fs);
/* Before anything else is written: who is missing is left behind at commit
 * settled, and all who are there know it.  What is bad is rewritten then. */
int tfs_legs_begin(struct tfs *fs, uint64_t settled);
/* From now on nobody is told of legs that are lost; before fs is freed. */
void tfs_legs_end(struct tfs *fs);
/* The oldest commit that a leg was left behind at and is here; false: there is
 * no such leg. */
bool tfs_legs_behind(struct tfs *fs, uint64_t *left);
/* Of the list: as long as it is the same, those that are here and behind got
 * every write. */
uint64_t tfs_legs_list(struct tfs *fs);
/* A cluster that its tags call a list of legs (rec): what it says of the leg that
 * it is on.  False: it is none. */
bool tfs_legs_self(const struct tfs *at, const struct tfs_record *rec,
		   const void *buf, bool *behind);
/* They have everything that is older than now. */
int tfs_legs_caught_up(struct tfs *fs);
/* A leg's own list as the medium has it: of each copy NULL, or what is wrong
 * with it; and whether that was put right. */
#define TFS_LEGS_TEXT	160u
struct tfs_legs_look {
	const char	*why[2];
	char		text[2][TFS_LEGS_TEXT];	/* where why may be */
	bool		mended;
};

/* Of the leg in that place of the mirror, from 1; NULL if there is none.  fix:
 * what is bad is written anew from memory, durably; under fs->remount.  0 or
 * -ENOMEM. */
int tfs_legs_look(struct tfs *fs, unsigned int leg, bool fix,
		  struct tfs_legs_look *out);
/* Those of the mirror's legs that a mask of the device names: "leg 2 (PATH)". */
const char *tfs_legs_name(struct tfs *fs, unsigned int mask, char *buf,
			  size_t size);
/* How each is, as members of an array of JSON. */
void tfs_legs_stats(struct tfs *fs, FILE *f);
/* "2 legs: ..."; malloced into *out, or NULL. */
void tfs_legs_text(struct tfs *fs, char **out);

#endif
