/* SPDX-License-Identifier: GPL-2.0-or-later */
/* life.h - a filesystem and its model side by side, and what a power cut
 * leaves of the filesystem.
 *
 * The promise: after a crash the filesystem is as it was after some step, no
 * earlier than the last sync or fsync that was answered and no later than
 * the last step that was begun.  Steps that the core takes in parts (holes,
 * reservations) may be in the middle, as long as nobody was told that they
 * are durable.
 *
 *  (1) Every step is done to both; answers must agree.
 *  (2) The sums of all states since the start are kept, so that a state is
 *      found by its sum.
 *  (3) A power cut is a copy of the disk at the moment of a write; the life
 *      itself goes on, so that each write of a long life can be one.  Lives
 *      that are really cut, or lose their flushes, are told from the start.
 *  (4) A case is NAME:SEED:CUT:CRASH.  Messages give it, and TAGFS_CASE in
 *      the environment has only this one run and shows its steps; CUT is s
 *      and the number of the write for a copy, p for a real cut, f and the
 *      number of the first flush that fails. */
#ifndef LIFE_H
#define LIFE_H

#include "support/steps.h"

struct story {
	const char	*name;
	const char	*profile;	/* NULL: 512+8 */
	uint64_t	clusters;	/* 0: 1024 */
	bool		discard;
	/* Before: a script, rounds times, then random steps; synced. */
	const char	*prepare;
	unsigned int	prepare_rounds, prepare_steps;
	/* Then the same once more; this is what is cut. */
	const char	*script;
	unsigned int	rounds, steps;
	const struct step_mix *mix;	/* NULL: mix_any */
	bool		others;		/* somebody else syncs all the time;
					 * then a seed does not say all */
	unsigned int	one_in;		/* of that many writes one is a cut */
	unsigned int	crashes;	/* of each cut, by seed */
	unsigned int	real;		/* of that many writes and flushes one
					 * is really cut or fails; 0: none */
};

/* Tell it, cut it, and find the promise kept. */
void life_tell(const struct story *st, uint64_t seed);
/* How many crashes were looked at so far, and how many steps done. */
unsigned long life_crashes(void), life_steps(void);
/* Called now and then; for messages. */
extern void (*life_progress)(void);

#endif
