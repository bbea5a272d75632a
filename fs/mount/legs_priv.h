/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legs_priv.h - a mirror's legs from the inside. */
#ifndef TFS_LEGS_PRIV_H
#define TFS_LEGS_PRIV_H

#include "mirror/mirror.h"
#include "mount/legs.h"

struct tfs_member {
	uint8_t		uuid[16];
	unsigned int	state;		/* TFS_LEG_* */
	uint64_t	left, id[2];
};

struct tfs_leg_list {
	uint64_t	generation, id, prev;
	unsigned int	n, self;
	struct tfs_member member[TFS_LEGS_MAX];
};

/* One that is here, or an empty place. */
struct tfs_leg {
	struct tfs	*at;		/* its device, for whole clusters; NULL:
					 * the place is empty */
	const char	*name;
	unsigned int	member;		/* which it is */
	uint64_t	id;		/* of the list that it has */
	uint64_t	tried;		/* of the one that it was last given: after
					 * a failed write it has one or the other */
};

struct tfs_legs {
	pthread_mutex_t	lock;		/* all below */
	struct eng_dev	*dev;		/* the mirror */
	struct tfs	*fs;		/* NULL: nobody writes yet */
	unsigned int	n;
	struct tfs_leg	leg[TFS_LEGS_MAX];
	struct tfs_leg_list list;
};

/* They belong to no mirror yet. */
struct tfs_legs *tfs_legs_new(unsigned int n, struct eng_dev *const *dev,
			      const char *const *name);
void tfs_legs_free(void *ls);
/* A device as it is, for clusters alone. */
struct tfs *tfs_legs_at(struct eng_dev *dev);
/* From here on it goes with the mirror, whose names are its own. */
void tfs_legs_own(struct tfs_legs *ls, struct eng_dev *dev);

/* The one that is this member, if it is here. */
struct tfs_leg *tfs_legs_of(struct tfs_legs *ls, unsigned int member);
bool tfs_legs_lost(struct tfs_legs *ls, const struct tfs_leg *leg);
/* One that is not the old one. */
int tfs_legs_new_id(uint64_t *id);
/* The list is the next one: who was lost since is behind, at that commit. */
int tfs_legs_next(struct tfs_legs *ls, uint64_t settled);
/* Its own; one copy after the other. */
int tfs_legs_write(struct tfs_legs *ls, struct tfs_leg *leg);
/* Are both copies on it good, and are they mended?  As tfs_legs_look(). */
int tfs_leg_look(struct tfs_legs *ls, struct tfs_leg *leg, bool fix,
		 struct tfs_legs_look *out);
/* The list, to all that are here and have another; who can't be told is lost,
 * and then it is the next list.  An error: it may be on some of them. */
int tfs_legs_tell(struct tfs_legs *ls, uint64_t settled);
/* The next list, told. */
int tfs_legs_change(struct tfs_legs *ls, uint64_t settled);
/* The list on a device whose superblock is known. */
int tfs_legs_read(struct tfs *at, const char *name, struct tfs_leg_list *out);
/* Is that a past of what a member has? */
bool tfs_legs_belongs(const struct tfs_legs *ls, unsigned int member,
		      const struct tfs_leg_list *own);

#endif
