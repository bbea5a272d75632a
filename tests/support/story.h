/* SPDX-License-Identifier: GPL-2.0-or-later */
/* story.h - a story told once without a power cut, then cut at every write and
 * every flush, and what must be found afterwards. */
#ifndef STORY_H
#define STORY_H

#include "support/fs_bed.h"

#define STORY_STATES	200u

/* One story: told once without a cut, then cut at every write. */
struct story {
	const char	*profile;
	uint64_t	clusters;
	bool		discard;
	unsigned int	checkpoints;	/* every so many syncs; 0: none */
	uint64_t	seed;
	/* Before the story; synced afterwards. */
	void		(*prepare)(struct bed *b, struct story *st);
	/* Until the first error; story_sync() marks the states. */
	int		(*act)(struct bed *b, struct story *st);
	/* More about what is there after a cut; may be NULL. */
	void		(*look)(struct bed *b, struct story *st);
	unsigned int	begun, done;	/* syncs, of this telling */
	bool		first;		/* record the states */
	char		*state[STORY_STATES];
	uint64_t	n;		/* where it is cut */
	char		where[256];
};

/* A state that may be found after this. */
void story_state(struct bed *b, struct story *st);
/* Make it durable. */
int story_sync(struct bed *b, struct story *st);
/* Tell it, cut it everywhere.  What is found is the state of the last sync
 * that was acknowledged or a later one; it is whole, a second cut during the
 * recovery changes nothing, and life goes on. */
void story_cut_everywhere(struct story *st, unsigned int seeds);

/* ---- what stories are made of --------------------------------------------- */

/* Of a name in the root; 0: none. */
uint32_t story_ino(struct bed *b, const char *name);
/* A new file with content that follows from the seed. */
#define DOC_SIZE	20000u
int story_save(struct bed *b, const char *name, uint64_t seed);
/* Damage the bytes of a cluster. */
void story_rot(struct bed *b, uint64_t addr);
/* The power goes now; everything unflushed arrived, or nothing did. */
void story_power_cut(struct bed *b, bool keep);
/* Mount, find the text, find it whole. */
void story_finds(struct bed *b, const char *state, const char *what);

#endif
