/* SPDX-License-Identifier: GPL-2.0-or-later */
/* steps.h - where the steps of a life come from: chance and scripts. */
#ifndef STEPS_H
#define STEPS_H

#include "support/model.h"

/* What random steps are like. */
struct step_mix {
	uint8_t		weight[STEP_KINDS];
	unsigned int	names;		/* in a directory */
	uint64_t	size;		/* of files, about the most */
	uint32_t	len;		/* of writes, the most */
};

extern const struct step_mix mix_any, mix_names, mix_data;

void step_random(struct model *m, const struct step_mix *mix, uint64_t *rand,
		 struct step *s);

/* A script is steps between semicolons or line ends, each a word and what it
 * needs:
 *	create|mkdir|symlink|fifo F, tmpfile F @, open F @, close F
 *	link F F, rename|exchange|noreplace F F, unlink|rmdir F
 *	chmod|chown F N, setxattr F NAME LEN, rmxattr F NAME
 *	write|read|punch|zero|falloc|keep F OFF LEN, append F LEN
 *	truncate F SIZE, fsync F, sync, remount
 * F is a path from the root ("." is the root itself), or @ and a letter: an
 * inode that open or tmpfile gave this letter.  # is the round, from 0 on,
 * and in a number as well #K: the round times K. */
struct script {
	const char	*at;
	unsigned int	round;
	uint32_t	tag[26];
	uint64_t	seed;
};

/* The next step; false: the script has ended. */
bool step_script(struct model *m, struct script *sc, struct step *s);
/* What the step before has made, for the letter that it gave. */
void step_made(struct script *sc, const struct step *s, uint32_t ino);

#endif
