/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mirror.h - one device over others, its legs, which all have the same. */
#ifndef ENG_MIRROR_H
#define ENG_MIRROR_H

#include "core/dev.h"

#define ENG_MIRROR_MAX	4u

enum eng_leg_state {
	ENG_LEG_CURRENT,	/* has everything */
	ENG_LEG_BEHIND,		/* is written, and asked by nobody: it misses
				 * what was written while it was away */
	ENG_LEG_LOST,		/* failed, or there is none with that number:
				 * neither written nor read */
};

struct eng_leg_count {
	uint64_t	reads, writes;	/* requests */
	uint64_t	bad;		/* reads that did not verify, and whose
					 * tags were known */
	uint64_t	errors;		/* requests that failed */
	uint64_t	healed;		/* intervals that were rewritten */
	uint64_t	copied;		/* the same, of one that was behind */
	uint64_t	inflight, nanos;	/* reads: now, and how long */
};

/* Who remembers which legs have everything. */
struct eng_mirror_owner {
	/* A write or flush failed on these legs (a mask); they are lost, and
	 * miss something from now on.  Runs within a flush, which succeeds
	 * only if this returns 0: the others know it, durably.  May call
	 * eng_mirror_lose() for more of them, and runs again for these. */
	int		(*lost)(void *arg, unsigned int legs);
	void		(*close)(void *arg);	/* the device is; may be NULL */
	void		*arg;
};

struct eng_mirror_how {
	unsigned int	n;			/* legs; 1 is fine */
	struct eng_dev	*leg[ENG_MIRROR_MAX];
	const char	*name[ENG_MIRROR_MAX];	/* for messages; copied */
	unsigned int	behind;			/* a mask; not all */
	bool		rdonly;			/* nothing is rewritten yet */
	uint64_t	intervals;		/* that are used; 0: all */
	struct eng_pool	*pool;			/* borrowed */
	uint64_t	(*now)(void);		/* ns; NULL: the clock */
};

/* The legs are the mirror's when it returns 0.  -EINVAL: their profiles
 * differ.  It has as many intervals as the smallest, or as are
 * used; one that joins later needs no more. */
int eng_mirror_create(struct eng_dev **out, const struct eng_mirror_how *how);
void eng_mirror_own(struct eng_dev *dev, const struct eng_mirror_owner *owner);
/* What was said so, or NULL; of any device. */
void *eng_mirror_owner(const struct eng_dev *dev);
/* Their numbers are below that; 0: the device is no mirror. */
unsigned int eng_mirror_legs(const struct eng_dev *dev);
/* NULL: it has left. */
struct eng_dev *eng_mirror_leg(const struct eng_dev *dev, unsigned int i);
const char *eng_mirror_name(const struct eng_dev *dev, unsigned int i);
enum eng_leg_state eng_mirror_state(const struct eng_dev *dev, unsigned int i);
void eng_mirror_count(const struct eng_dev *dev, unsigned int i,
		      struct eng_leg_count *out);
/* From now on what is bad is rewritten. */
void eng_mirror_rewrite(struct eng_dev *dev);
/* It was behind and has everything now. */
void eng_mirror_catch_up(struct eng_dev *dev, unsigned int i);
/* It can't be used any more.  False: it can't be spared, and stays. */
bool eng_mirror_lose(struct eng_dev *dev, unsigned int i, int err);

/* One more of a mirror in use, which is its own when it returns 0: behind, and
 * written by all requests that begin from then on.  *i: its number.  -EINVAL:
 * another profile; -ENOSPC: smaller; -EMLINK: there are ENG_MIRROR_MAX;
 * -EXDEV: it takes smaller requests, or is of a kind that none of the legs was
 * at first. */
int eng_mirror_join(struct eng_dev *dev, struct eng_dev *leg, const char *name,
		    unsigned int *i);
/* As if it had failed, in two steps: nothing begins with it any more (false: it
 * can't be spared, and stays); and when nothing is under way with it, it is the
 * caller's again. */
bool eng_mirror_drop(struct eng_dev *dev, unsigned int i);
struct eng_dev *eng_mirror_part(struct eng_dev *dev, unsigned int i);

#endif
