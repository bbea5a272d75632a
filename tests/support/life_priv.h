/* SPDX-License-Identifier: GPL-2.0-or-later */
/* life_priv.h - a life from the inside: life.c does its steps, cut.c cuts
 * it.  Numbers in comments are those of life.h. */
#ifndef LIFE_PRIV_H
#define LIFE_PRIV_H

#include <pthread.h>

#include "support/life.h"

/* (2): the state after a step; vague: the step failed, nobody was told. */
struct past {
	uint64_t	strict, loose;
	bool		vague;
};

/* A step that may be in the middle, since the last sync. */
struct between {
	struct between	*next;
	uint64_t	step;
	uint64_t	rest;		/* loose sum of all but the inode */
	struct model_node *old, *now;
};

/* (3) */
struct snap {
	struct snap	*next;
	struct sim	*sim;
	uint64_t	write, synced;
};

struct life {
	const struct story *st;
	uint64_t	seed;
	struct bed	bed;
	struct model	*m;
	struct script	script;
	struct past	*past;		/* of each step, 0 the start */
	uint64_t	steps, room;
	uint64_t	synced;		/* the last step known durable */
	struct between	*between;
	void		(*answered)(struct life *l);	/* a sync */
	pthread_mutex_t	lock;		/* synced, writes, snaps */
	uint64_t	writes;
	struct snap	*snaps;
	char		cut[64];
};

/* No model, no disk yet.  The end frees both. */
void life_begin(struct life *l, const struct story *st, uint64_t seed);
void life_end(struct life *l);
/* Do a step to both.  0, or the error after which nothing goes on: the
 * medium is gone.  *ino: of what was made, else the step's. */
int life_step(struct life *l, const struct step *s, uint32_t *ino);
/* The core says the same as the model of what was touched. */
void life_note(struct life *l);
/* The state now is that of the last step; vague: perhaps. */
void life_record(struct life *l, bool vague);
/* What was in the middle, up to a step that is durable. */
void life_forget(struct life *l, uint64_t upto);
/* The test fails. */
void life_broken(const struct life *l, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));

#endif
