/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ring.h - transfers through an io_uring, whatever they move. */
#ifndef ENG_RING_H
#define ENG_RING_H

#include "io/queue.h"

struct eng_ring;		/* fields: ring.c */

/* name is for messages and must stay.  flags: IORING_SETUP_*. */
int eng_ring_create(struct eng_ring **out, const char *name,
		    unsigned int flags);
/* Waits until every end() has returned.  NULL is fine. */
void eng_ring_destroy(struct eng_ring *ring);
/* Does not wait for other transfers. */
void eng_ring_start(struct eng_ring *ring, struct eng_ring_op *op);

/* The same, by the queue of the calling thread if it is in the end() of one:
 * then it has to return to that, and the transfer is not the ring's to wait
 * for. */
void eng_ring_start_here(struct eng_ring *ring, struct eng_ring_op *op);

#endif
