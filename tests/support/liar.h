/* SPDX-License-Identifier: GPL-2.0-or-later */
/* liar.h - changes structures of an image and seals them again, so that guards,
 * tags, checksums and hashes are right, in all copies.
 *
 * What a liar says follows from rand.  All fail the test if the device does. */
#ifndef LIAR_H
#define LIAR_H

#include "support/fs_bed.h"
#include "support/fs_check.h"

/* Where nodes are, and where those will be that the next life makes, with which
 * sequence: who makes an image can know. */
struct known {
	struct tfs_miss	*nodes, *future;
	size_t		n, futures;
};

struct liar {
	struct bed		bed;	/* mounted read-only, for its keys */
	const struct known	*known;
	uint64_t		rand;
	uint8_t			*buf;
};

/* On a copy of the image; known and rand are set. */
void liar_open(struct liar *l, struct sim *of, uint64_t seed);
/* The lies are on the medium, and the bed is as after a crash. */
void liar_close(struct liar *l);

/* One lie, in any field. */
void lie_in_super(struct liar *l);
void lie_in_slot(struct liar *l);
void lie_in_log(struct liar *l);
void lie_in_node(struct liar *l);
/* Many, in the tree, the log that continues it, and what names both. */
void lie_everywhere(struct liar *l);
/* Of the container, when the liar is closed. */
void lie_below(struct liar *l);

/* A log with more data than was free: no single extent is too large, and none
 * is known to be durable. */
void lie_of_too_much(struct liar *l);
/* Pointers in a node without a place in it. */
void lie_of_no_length(struct liar *l);
/* A node with a field that must be 0. */
void lie_in_padding(struct liar *l, const struct tfs_miss *f);

#endif
