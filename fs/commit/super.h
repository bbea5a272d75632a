/* SPDX-License-Identifier: GPL-2.0-or-later */
/* super.h - superblocks and checkpoint slots on the medium. */
#ifndef TFS_SUPER_H
#define TFS_SUPER_H

#include "tfs.h"

/* A checkpoint slot in memory. */
struct tfs_slot {
	uint64_t	number;
	uint64_t	seq;
	struct tfs_ptr	root;
	uint8_t		root_level;
	uint64_t	free;
	uint64_t	reserved;
	uint64_t	inodes;
	uint64_t	log_pos;
	uint32_t	next_ino;
	uint32_t	flags;
	uint64_t	used;
	uint64_t	chain;
};

/* The highest sequence that it names. */
static inline uint64_t tfs_slot_top(const struct tfs_slot *s)
{
	return s->used > s->seq ? s->used : s->seq;
}

/* Cluster size, intervals of a cluster, and how many the device has.
 * -EOPNOTSUPP: it can't take a whole one in one request. */
int tfs_measure(struct tfs *fs, uint64_t *clusters);
int tfs_super_read(struct tfs *fs);
/* The same, and nothing is said.  clusters: as many as the filesystem has, if
 * that is known from elsewhere, or 0; the device may have more. */
int tfs_super_peek(struct tfs *fs, uint64_t clusters);
/* 0, or -EOPNOTSUPP with a line in the log: it is an image without content. */
int tfs_super_whole(const struct tfs *fs);
/* One copy as the medium has it, of a filesystem whose superblock was read.
 * NULL or what is wrong with it. */
const char *tfs_super_look(struct tfs *fs, unsigned int copy,
			   struct tfs_super *out);
/* The same of one leg of a mirror (tfs_leg_next()), which has to be the one in
 * use.  Under fs->remount: nobody changes it. */
const char *tfs_super_why(struct tfs *fs, unsigned int leg, unsigned int copy);
/* Write one copy anew, from memory; under fs->remount.  0: it is durable, and
 * was read again. */
int tfs_super_mend(struct tfs *fs, unsigned int copy);
/* Both copies, one after the other. */
int tfs_super_write(struct tfs *fs, unsigned int first);
/* Have it say these TFS_INCOMPAT_*, durably; under fs->remount, and not
 * read-only. */
int tfs_super_need(struct tfs *fs, uint64_t incompat);
/* What may be odd about the slots. */
enum {
	TFS_SLOT_LOST	= 1,	/* one has no good copy: perhaps the newest */
	TFS_SLOT_BAD	= 2,	/* a copy is, and no cut explains it */
	TFS_SLOT_OLD	= 4,	/* a copy missed a checkpoint */
};
/* The newest one that is good; *odd: the above. */
int tfs_slot_read(struct tfs *fs, struct tfs_slot *out, unsigned int *odd);
/* Of slots that are none since a rebuild has begun, the newest.  -ENOENT: there
 * is none. */
int tfs_slot_begun(struct tfs *fs, struct tfs_slot *out);
/* One copy of slot i, as the medium has it.  NULL or what is wrong with it. */
const char *tfs_slot_look(struct tfs *fs, unsigned int i, unsigned int copy,
			  struct tfs_slot *out);
uint64_t tfs_slot_addr(const struct tfs *fs, unsigned int i,
		       unsigned int copy);
/* All four copies, slot 0's first, of each leg of a mirror from 1 on, or of 1:
 * bad has a bit for each that is damaged or missed its turn, as no cut leaves
 * it, and why says so. */
struct tfs_slot_survey {
	unsigned int	bad[TFS_LEGS_MAX + 1];
	const char	*why[TFS_LEGS_MAX + 1][4];
	bool		any;
};
/* Nothing is said or remembered.  What is being written meanwhile may look bad.
 * 0 or -ENOMEM. */
int tfs_slot_survey(struct tfs *fs, struct tfs_slot_survey *out);
/* Both copies, one after the other; durable when it returns 0. */
int tfs_slot_write(struct tfs *fs, const struct tfs_slot *slot);

#endif
