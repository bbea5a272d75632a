/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plain.h - transfers by threads that wait, where there is no io_uring. */
#ifndef ENG_PLAIN_H
#define ENG_PLAIN_H

#include "io/ring.h"

struct eng_plain;		/* fields: plain.c */

/* -errno with which an io_uring is refused for good: a filter of system calls,
 * as Docker's, or the administrator forbids it, or the kernel has none.  0: it
 * is there, or what keeps it away will be said when it is asked for. */
int eng_plain_reason(void);

/* run does one transfer and returns what it moved, or -errno; op->end() gets
 * that, as from a ring. */
int eng_plain_create(struct eng_plain **out,
		     int (*run)(struct eng_ring_op *op));
/* Waits until every end() has returned.  NULL is fine. */
void eng_plain_destroy(struct eng_plain *plain);
/* Does not wait for other transfers. */
void eng_plain_start(struct eng_plain *plain, struct eng_ring_op *op);

/* A read or write of the segments at byte off of fd, of which done bytes were
 * moved before.  May move less.  Bytes, or -errno other than EINTR. */
int eng_plain_rw(int fd, bool write, const struct iovec *iov, int niov,
		 uint64_t off, uint64_t done);

#endif
