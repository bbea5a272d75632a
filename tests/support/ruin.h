/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ruin.h - a filesystem with a past, as it was and after damage of every kind;
 * and what of it came back. */
#ifndef RUIN_H
#define RUIN_H

#include "check/rebuild.h"
#include "support/fs_bed.h"

#define RUIN_PROFILE	"512+8"
#define RUIN_FILES	1200u

/* As it is and as its disk would be after a cut. */
struct ruin {
	struct bed	b;		/* mounted, for comparing */
	struct sim	*disk;		/* settled, not unmounted */
	const struct eng_profile *profile;
	char		*state;		/* as the log has it */
	char		*older;		/* as the checkpoint has it */
	struct tfs_miss	*node;
	size_t		nodes, inner;
	uint64_t	log_start, log_end, clusters;
	uint32_t	next_older;	/* inode numbers below: in the older */
	uint64_t	names, names_older;
	uint64_t	*data;		/* clusters of content */
	size_t		datas, data_room;
};

enum ruin_what {
	RUIN_HEADERS	= 1,
	RUIN_PAGES	= 2,		/* tuple pages; copy 0 is the older */
	RUIN_SUPERS	= 4,
	RUIN_SLOTS	= 8,
	RUIN_LOG	= 16,		/* there is one copy */
	RUIN_INNER	= 32,
	RUIN_LEAVES	= 64,
	RUIN_ROOT	= 128,
	RUIN_DATA	= 256,		/* there is one copy */
};

/* What is destroyed of that. */
struct ruin_how {
	unsigned int	what;
	unsigned int	percent;	/* of them; 0: a single one */
	unsigned int	copies;		/* 1: one of both; 2: both */
};

void ruin_make(struct ruin *st, uint64_t seed);
/* The same in a container of that profile. */
void ruin_make_in(struct ruin *st, const char *profile, uint64_t seed);
void ruin_free(struct ruin *st);
/* A disk of its own. */
struct sim *ruin_damaged(struct ruin *st, const struct ruin_how *how,
			 size_t n, uint64_t seed);

/* The same beneath b, which is mounted and has everything in a checkpoint. */
void ruin_beneath(struct bed *b, const struct ruin_how *how, uint64_t seed);

/* Nothing is open.  how: what is not set by the caller is. */
int ruin_rebuild(struct bed *b, struct tfs_rebuild *how);
/* It works; then it is mounted, and whole. */
void ruin_must_rebuild(struct bed *b, struct tfs_rebuild *how);

/* What of names and content came back. */
struct ruin_share {
	uint64_t	names, named, bytes, back;
};

/* All of it, byte for byte. */
void ruin_same(struct bed *b, const char *want);
/* What is there is right: fails the test where it is not.  older: as the
 * checkpoint has it. */
void ruin_look(struct ruin *st, struct bed *b, struct ruin_share *sh,
	       bool older);

#endif
