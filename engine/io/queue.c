/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* queue.c - transfers through an io_uring, for one thread at a time.
 *  (1) No more transfers are in the kernel than its completion queue holds;
 *      the others wait in a list.  So push never waits for one to end, and
 *      the completion queue can't overflow.
 *  (2) EINTR and EAGAIN are no results: the transfer is asked for again.
 *  (3) The queue knows of no lock.  Either it belongs to a thread, which does
 *      everything with it but for eng_queue_wake(), with one system call for
 *      handing over and waiting; or those that share it take turns (ring.c).
 *  (4) Who wakes the owner has the kernel put a completion into the ring that
 *      stands for no transfer.  Room is kept for some; that there are more
 *      already is as good.
 *  (5) A process that is forked has no ring of ours: it would keep it, and the
 *      files that transfers are of, when we are gone. */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "core/io.h"
#include "io/queue.h"

#define ENTRIES		256u
#define IN_KERNEL	1024u
#define WAKES		256u		/* (4) */
#define REAP		64u

/* Newer than the oldest liburing that we build with. */
#define REGISTER_SEND_MSG_RING	31

struct eng_ring_seam eng_ring_seam;

static __thread struct eng_queue *running;	/* (3) */

struct eng_queue {
	struct io_uring	uring;
	const char	*name;		/* fixed after create */
	size_t		entry_size;	/* fixed after create */
	unsigned int	busy;		/* prepared and not taken */
	struct eng_ring_op *head;	/* wait for room */
	struct eng_ring_op **tail;
};

void eng_queue_push(struct eng_queue *q, struct eng_ring_op *op)
{
	op->next = NULL;
	*q->tail = op;
	q->tail = &op->next;
}

/* -EAGAIN: the kernel is short of memory, which passes.  Any other refusal
 * would mean that the ring, which was tried at first, is gone. */
static int said(const struct eng_queue *q, int n)
{
	if (n >= 0 || n == -EINTR)
		return 0;
	if (n == -EAGAIN || n == -EBUSY || n == -ENOMEM)
		return -EAGAIN;
	eng_log(LOG_CRIT, "%s: io_uring_enter: %s", q->name, strerror(-n));
	abort();
}

static int enter(struct eng_queue *q)
{
	int err = 0;

	while (!err && io_uring_sq_ready(&q->uring))
		err = said(q, io_uring_submit(&q->uring));
	return err;
}

static void prepare(struct eng_queue *q, struct io_uring_sqe *sqe,
		    struct eng_ring_op *op)
{
	memset(sqe, 0, q->entry_size);
	op->prep(op, sqe);
	io_uring_sqe_set_data(sqe, op);
	if (eng_ring_seam.asked)
		eng_ring_seam.asked(sqe);
	q->busy++;
}

/* Prepare all that waits and has room (1).  The kernel hears of it next. */
static int fill(struct eng_queue *q)
{
	struct io_uring_sqe *sqe;
	struct eng_ring_op *op;
	int err;

	while ((op = q->head) && q->busy < IN_KERNEL) {
		sqe = io_uring_get_sqe(&q->uring);
		if (!sqe) {
			err = enter(q);
			if (err)
				return err;
			continue;
		}
		q->head = op->next;
		if (!q->head)
			q->tail = &q->head;
		prepare(q, sqe, op);
	}
	return 0;
}

int eng_queue_hand_over(struct eng_queue *q)
{
	return fill(q) ?: enter(q);
}

void eng_queue_wait(struct eng_queue *q)
{
	struct io_uring_cqe *cqe;

	(void)!io_uring_wait_cqe(&q->uring, &cqe);	/* EINTR */
}

unsigned int eng_queue_take(struct eng_queue *q, struct eng_queue_done *out,
			    unsigned int max)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	io_uring_for_each_cqe(&q->uring, head, cqe) {
		if (n == max)
			break;
		out[n].op = io_uring_cqe_get_data(cqe);
		out[n].res = cqe->res;
		if (eng_ring_seam.said)
			out[n].res = eng_ring_seam.said(cqe->user_data,
							cqe->res);
		n++;
	}
	io_uring_cq_advance(&q->uring, n);
	return n;
}

void eng_queue_room(struct eng_queue *q, unsigned int n)
{
	q->busy -= n;
}

bool eng_queue_is_result(int res)
{
	return res != -EINTR && res != -EAGAIN;
}

/* ---- the owner -------------------------------------------------------- */

static void hand_over_and_wait(struct eng_queue *q)
{
	const struct timespec tick = { .tv_nsec = 1000000 };

	while (fill(q))
		nanosleep(&tick, NULL);
	if (said(q, io_uring_submit_and_wait(&q->uring, 1)))
		nanosleep(&tick, NULL);
}

static void end(struct eng_queue *q, const struct eng_queue_done *done)
{
	if (!done->op)
		return;						/* (4) */
	q->busy--;
	if (eng_queue_is_result(done->res))
		done->op->end(done->op, done->res);
	else
		eng_queue_push(q, done->op);			/* (2) */
}

void eng_queue_run(struct eng_queue *q)
{
	struct eng_queue_done done[REAP];
	unsigned int n;

	hand_over_and_wait(q);
	running = q;
	eng_io_complete_here(true);
	do {
		n = eng_queue_take(q, done, REAP);
		for (unsigned int i = 0; i < n; i++)
			end(q, &done[i]);
	} while (n == REAP);
	eng_io_complete_here(false);
	running = NULL;
}

struct eng_queue *eng_queue_here(void)
{
	return running;
}

int eng_queue_wake(struct eng_queue *q)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_MSG_RING, .fd = q->uring.ring_fd,
	};

	while (syscall(SYS_io_uring_register, -1, REGISTER_SEND_MSG_RING, &sqe,
		       1) < 0) {
		if (errno == EOVERFLOW)
			break;		/* (4) */
		if (errno != EINTR && errno != EAGAIN && errno != ENOMEM)
			return -errno;
	}
	return 0;
}

/* ---- create, destroy -------------------------------------------------- */

/* A filter may allow io_uring_setup and forbid io_uring_enter. */
static int try(struct eng_queue *q)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&q->uring);
	struct io_uring_cqe *cqe;
	int err;

	memset(sqe, 0, q->entry_size);
	io_uring_prep_nop(sqe);
	err = io_uring_submit_and_wait(&q->uring, 1);
	if (err < 0)
		return err;
	err = io_uring_wait_cqe(&q->uring, &cqe);
	if (!err)
		io_uring_cqe_seen(&q->uring, cqe);
	return err;
}

static int set_up(struct eng_queue *q, unsigned int flags)
{
	struct io_uring_params p = {
		.flags = flags | IORING_SETUP_CQSIZE,
		.cq_entries = IN_KERNEL + WAKES,
	};
	int err = io_uring_queue_init_params(ENTRIES, &q->uring, &p);

	if (err)
		return err;
	err = io_uring_ring_dontfork(&q->uring);		/* (5) */
	err = err ?: try(q);
	if (err)
		io_uring_queue_exit(&q->uring);
	return err;
}

int eng_queue_create(struct eng_queue **out, const char *name,
		     unsigned int flags, bool quiet)
{
	struct eng_queue *q = calloc(1, sizeof(*q));
	int err;

	*out = NULL;
	if (!q)
		return -ENOMEM;
	q->name = name;
	q->entry_size = flags & IORING_SETUP_SQE128 ? 128 : 64;
	q->tail = &q->head;
	err = set_up(q, flags);
	if (!err) {
		*out = q;
		return 0;
	}
	free(q);
	if (!quiet)
		eng_log(LOG_ERR, "%s: io_uring is not available (forbidden by "
			"seccomp or by sysctl kernel.io_uring_disabled?): %s",
			name, strerror(-err));
	return err;
}

void eng_queue_destroy(struct eng_queue *q)
{
	if (!q)
		return;
	io_uring_queue_exit(&q->uring);
	free(q);
}

unsigned int eng_queue_own_flags(void)
{
	return IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER |
	       IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL;
}

/* ---- entries ---------------------------------------------------------- */

void eng_queue_prep_command(struct io_uring_sqe *sqe, int fd, uint32_t code,
			    const struct iovec *iov, unsigned int niov,
			    const void *arg, size_t len)
{
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = code;
	sqe->addr = (uintptr_t)iov;
	sqe->len = niov;
	memcpy(sqe->cmd, arg, len);
}

uint64_t eng_ring_prep_rw(struct io_uring_sqe *sqe, int fd, bool write,
			  const struct iovec *iov, int niov, uint64_t off,
			  uint64_t done)
{
	uint64_t skip = done, bytes = 0;
	char *base;

	while (skip && skip >= iov->iov_len) {
		skip -= iov->iov_len;
		iov++, niov--;
	}
	off += done;
	if (skip || niov == 1) {
		base = (char *)iov->iov_base + skip;
		bytes = iov->iov_len - skip;
		if (write)
			io_uring_prep_write(sqe, fd, base, (unsigned int)bytes,
					    off);
		else
			io_uring_prep_read(sqe, fd, base, (unsigned int)bytes,
					   off);
		return bytes;
	}
	for (int i = 0; i < niov; i++)
		bytes += iov[i].iov_len;
	if (write)
		io_uring_prep_writev(sqe, fd, iov, (unsigned int)niov, off);
	else
		io_uring_prep_readv(sqe, fd, iov, (unsigned int)niov, off);
	return bytes;
}
