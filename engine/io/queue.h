/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* queue.h - an io_uring for one thread at a time. */
#ifndef ENG_QUEUE_H
#define ENG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct io_uring_sqe;
struct eng_queue;		/* fields: queue.c */

/* One transfer: a member of the request that it is for, which the queue
 * borrows until end(). */
struct eng_ring_op {
	/* Fill in the entry, which is all zeros.  Called again if the kernel
	 * was interrupted.  Must not call the queue. */
	void	(*prep)(struct eng_ring_op *op, struct io_uring_sqe *sqe);
	/* The result as the kernel gave it, but never EINTR or EAGAIN.  No
	 * lock is held; it may start transfers, this one again, too. */
	void	(*end)(struct eng_ring_op *op, int res);
	struct eng_ring_op *next;	/* the queue's */
};

/* name is for messages and must stay.  flags: IORING_SETUP_*.  Says why not,
 * unless quiet. */
int eng_queue_create(struct eng_queue **out, const char *name,
		     unsigned int flags, bool quiet);
/* What is still in the kernel is cancelled, and its end() not called.  NULL is
 * fine. */
void eng_queue_destroy(struct eng_queue *q);
/* To be handed over when there is room. */
void eng_queue_push(struct eng_queue *q, struct eng_ring_op *op);

/* ---- a queue that belongs to the calling thread -------------------------
 * It carries transfers of any kind, among them those that an end() starts in
 * passing by the shared ring: eng_ring_start_here(). */

/* Hand over what was pushed, wait until something has completed or somebody
 * woke us, and call the end() of all that has. */
void eng_queue_run(struct eng_queue *q);
/* The queue whose end() this thread is in, or NULL. */
struct eng_queue *eng_queue_here(void);
/* From any thread: let the owner return from eng_queue_run(), now or, if it is
 * not there, the next time. */
int eng_queue_wake(struct eng_queue *q);

/* ---- a queue that several threads share, one after the other ------------ */

struct eng_queue_done {
	struct eng_ring_op *op;
	int		res;
};

/* Hand over what was pushed and has room.  -EAGAIN: the kernel is short of
 * memory, which passes. */
int eng_queue_hand_over(struct eng_queue *q);
/* Until something has completed, or not even that. */
void eng_queue_wait(struct eng_queue *q);
/* Take what has completed, max at most. */
unsigned int eng_queue_take(struct eng_queue *q, struct eng_queue_done *out,
			    unsigned int max);
/* Make room for n that were taken. */
void eng_queue_room(struct eng_queue *q, unsigned int n);
/* False: the transfer has to be pushed again. */
bool eng_queue_is_result(int res);

/* ---- entries ------------------------------------------------------------ */

/* Fill in a read or write of the segments at byte off of fd, of which done
 * bytes were moved before.  Returns for how many bytes it asks: all that are
 * left or, in the middle of a segment, what is left of that.  The segments
 * must stay until the transfer is over. */
uint64_t eng_ring_prep_rw(struct io_uring_sqe *sqe, int fd, bool write,
			  const struct iovec *iov, int niov, uint64_t off,
			  uint64_t done);
/* A command to whatever drives fd, with len bytes of argument, 80 at most; the
 * queue has to have large entries (IORING_SETUP_SQE128). */
void eng_queue_prep_command(struct io_uring_sqe *sqe, int fd, uint32_t code,
			    const struct iovec *iov, unsigned int niov,
			    const void *arg, size_t len);
/* Flags for a queue that belongs to one thread, with large entries. */
unsigned int eng_queue_own_flags(void);

/* The seam where tests change what the kernel is asked for, and what it
 * says.  Both may be NULL. */
struct eng_ring_seam {
	void	(*asked)(struct io_uring_sqe *sqe);
	int	(*said)(uint64_t user_data, int res);
};
extern struct eng_ring_seam eng_ring_seam;

#endif
