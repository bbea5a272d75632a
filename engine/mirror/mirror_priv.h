/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mirror_priv.h - a mirror from the inside. */
#ifndef ENG_MIRROR_PRIV_H
#define ENG_MIRROR_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/io.h"
#include "mirror/mirror.h"

typedef size_t mirror_room_fn(const struct eng_dev *dev, uint32_t intervals,
			      unsigned int segs);

struct mirror_leg {
	struct mirror	*m;
	struct eng_dev	*dev;		/* NULL: nobody is here */
	char		*name;
	atomic_int	state;		/* changed under m->lock */
	atomic_ullong	reads, writes, bad, errors, healed, copied;
	atomic_uint	inflight;	/* reads */
	atomic_ullong	nanos;		/* a read takes, smoothed */
	/* Its flushes, all under m->lock: asked for, begun, and the result. */
	pthread_t	flusher;
	bool		runs, stop;
	uint64_t	want, done;
	int		err;
};

struct mirror {
	struct eng_dev	dev;		/* first */
	atomic_uint	n;		/* places; one is empty if it is lost
					 * and has no device */
	atomic_bool	rdonly;
	struct mirror_leg leg[ENG_MIRROR_MAX];
	struct eng_mirror_owner owner;
	pthread_mutex_t	changing;	/* one leg at a time joins or leaves */
	atomic_uint	half;		/* the lowest bit: who begins now is */
	atomic_uint	begun[2];	/* counted there; change.c */
	pthread_mutex_t	telling;	/* one flush at a time tells the owner */
	pthread_mutex_t	lock;		/* leaf; all below */
	pthread_cond_t	work, want, flushed;
	unsigned int	news;		/* legs lost that the owner was not told */
	bool		stop;
	struct mirror_io *head, **tail;	/* for the worker */
	/* fixed: */
	uint64_t	(*now)(void);	/* NULL: the clock */
	pthread_t	worker;
	bool		works;
	uint32_t	chunk;		/* intervals; the worker's buffers: */
	uint8_t		*found, *good;
	/* What payloads have room for; those of legs at first. */
	mirror_room_fn	*kind[ENG_MIRROR_MAX];
};

/* What a request of the mirror has of its own. */
struct mirror_io {
	struct mirror	*m;
	struct eng_io	*io;
	struct mirror_io *next;
	unsigned int	half;		/* mirror_enter()'s */
	unsigned int	leg;		/* read: that was asked */
	uint64_t	began;
	atomic_uint	left;		/* write: legs to come */
	atomic_uint	ok, failed;	/* write: masks */
	atomic_int	err;
	struct eng_io	*child[ENG_MIRROR_MAX];	/* NULL: no such leg then */
};

/* Bytes behind a mirror_io for a request of that size, whichever legs may
 * join. */
size_t mirror_room(const struct mirror *m, uint32_t count, unsigned int segs);
/* Its children, of the legs that are here. */
void mirror_place(const struct mirror *m, struct mirror_io *mio,
		  uint32_t count, unsigned int segs);
/* The request is over. */
void mirror_done(struct mirror_io *mio, int err);
/* As the request is, for leg i; end and arg are the caller's to set. */
struct eng_io *mirror_child(struct mirror_io *mio, unsigned int i);
/* The tuples that a leg's part has read are those of the request, from its
 * interval at on. */
void mirror_take(struct eng_io *io, uint32_t at, const struct eng_io *c);
enum eng_leg_state mirror_state(const struct mirror *m, unsigned int i);
/* Nothing is to be found in what it reads but by its caller. */
bool mirror_unjudged(const struct eng_io *io);
/* Every leg is to be looked at. */
bool mirror_all_legs(const struct eng_io *io);
/* The one to ask next. */
unsigned int mirror_pick(struct mirror *m, const struct eng_io *io);
/* Its part has ended. */
void mirror_note_read(struct mirror *m, unsigned int i,
		      const struct eng_io *c, uint64_t began);
uint64_t mirror_now(const struct mirror *m);
bool mirror_lose(struct mirror *m, unsigned int i, int err, const char *what);
/* The same, and nothing is said; *was: it was lost already. */
bool mirror_drop(struct mirror *m, unsigned int i, bool *was);

/* Whoever uses the device of a leg that is not lost does so in between: as
 * long it stays open. */
unsigned int mirror_enter(struct mirror *m);
void mirror_leave(struct mirror *m, unsigned int half);
/* mirror.c: the thread that flushes a leg. */
int mirror_flusher_start(struct mirror_leg *l);
void mirror_flusher_stop(struct mirror_leg *l);

/* heal.c: what takes more than one leg is done on a thread of its own. */
int mirror_heal_start(struct mirror *m);
void mirror_heal_stop(struct mirror *m);
void mirror_heal(struct mirror_io *mio);

/* audit.c: what each leg keeps for itself. */
int mirror_audit(struct eng_dev *dev, struct eng_audit *a);

#endif
