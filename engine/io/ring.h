/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ring.h - transfers through an io_uring, whatever they move. */
#ifndef ENG_RING_H
#define ENG_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct io_uring_sqe;
struct eng_ring;		/* fields: ring.c */

/* One transfer: a member of the request that it is for, which the ring
 * borrows until end(). */
struct eng_ring_op {
	/* Fill in the entry, which is all zeros.  Called again if the kernel
	 * was interrupted.  Must not call the ring. */
	void	(*prep)(struct eng_ring_op *op, struct io_uring_sqe *sqe);
	/* The result as the kernel gave it, but never EINTR or EAGAIN.  No
	 * lock is held; it may start transfers, this one again, too. */
	void	(*end)(struct eng_ring_op *op, int res);
	struct eng_ring_op *next;	/* the ring's */
};

/* name is for messages and must stay.  flags: IORING_SETUP_*. */
int eng_ring_create(struct eng_ring **out, const char *name,
		    unsigned int flags);
/* Waits until every end() has returned.  NULL is fine. */
void eng_ring_destroy(struct eng_ring *ring);
/* Does not wait for other transfers. */
void eng_ring_start(struct eng_ring *ring, struct eng_ring_op *op);

/* Fill in a read or write of the segments at byte off of fd, of which done
 * bytes were moved before.  Returns for how many bytes it asks: all that are
 * left or, in the middle of a segment, what is left of that.  The segments
 * must stay until the transfer is over. */
uint64_t eng_ring_prep_rw(struct io_uring_sqe *sqe, int fd, bool write,
			  const struct iovec *iov, int niov, uint64_t off,
			  uint64_t done);

/* The seam where tests change what the kernel is asked for, and what it
 * says.  Both may be NULL. */
struct eng_ring_seam {
	void	(*asked)(struct io_uring_sqe *sqe);
	int	(*said)(uint64_t user_data, int res);
};
extern struct eng_ring_seam eng_ring_seam;

#endif
