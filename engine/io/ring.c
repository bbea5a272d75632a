/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ring.c - transfers through an io_uring.
 *  (1) No more transfers are in the kernel than its completion queue holds;
 *      the others wait in a list.  So start never waits for one to end, and
 *      the completion queue can't overflow.
 *  (2) end() runs on the reaper thread, with no lock held.
 *  (3) A transfer leaves the count only after its end() has returned, so
 *      that destroy can't overtake what end() starts.
 *  (4) Nobody sleeps with the lock held.
 *  (5) EINTR and EAGAIN are no results: the transfer is asked for again.
 * A struct queue is for one thread at a time, which submits and reaps; it
 * knows of no lock.  struct eng_ring shares one between all threads, with a
 * lock around submission and a thread that reaps. */
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "io/ring.h"
#include "tagpi.h"

#define ENTRIES		256u
#define IN_KERNEL	1024u
#define REAP		64u

struct eng_ring_seam eng_ring_seam;

struct queue {
	struct io_uring	uring;
	const char	*name;		/* fixed after init */
	size_t		entry_size;	/* fixed after init */
	unsigned int	busy;		/* prepared and not reaped */
	struct eng_ring_op *head;	/* wait for room */
	struct eng_ring_op **tail;
};

struct eng_ring {
	struct queue	q;		/* submission side: lock */
	pthread_mutex_t	lock;
	pthread_cond_t	idle;
	unsigned int	total;		/* lock: started, end() not returned */
	struct eng_ring_op stop;	/* the last one */
	bool		stopped;	/* the reaper's */
	pthread_t	reaper;
};

struct done {
	struct eng_ring_op *op;
	int		res;
};

/* ---- a queue ---------------------------------------------------------- */

static void queue_push(struct queue *q, struct eng_ring_op *op)
{
	op->next = NULL;
	*q->tail = op;
	q->tail = &op->next;
}

/* -EAGAIN: the kernel is short of memory, which passes.  Any other refusal
 * would mean that the ring, which was tried at first, is gone. */
static int queue_enter(struct queue *q)
{
	int n;

	while (io_uring_sq_ready(&q->uring)) {
		n = io_uring_submit(&q->uring);
		if (n >= 0 || n == -EINTR)
			continue;
		if (n == -EAGAIN || n == -EBUSY || n == -ENOMEM)
			return -EAGAIN;
		eng_log(LOG_CRIT, "%s: io_uring_enter: %s", q->name,
			strerror(-n));
		abort();
	}
	return 0;
}

static void queue_prep(struct queue *q, struct io_uring_sqe *sqe,
		       struct eng_ring_op *op)
{
	memset(sqe, 0, q->entry_size);
	op->prep(op, sqe);
	io_uring_sqe_set_data(sqe, op);
	if (eng_ring_seam.asked)
		eng_ring_seam.asked(sqe);
	q->busy++;
}

/* Hand over all that waits and has room. (1) */
static int queue_fill(struct queue *q)
{
	struct io_uring_sqe *sqe;
	struct eng_ring_op *op;
	int err;

	while ((op = q->head) && q->busy < IN_KERNEL) {
		sqe = io_uring_get_sqe(&q->uring);
		if (!sqe) {
			err = queue_enter(q);
			if (err)
				return err;
			continue;
		}
		q->head = op->next;
		if (!q->head)
			q->tail = &q->head;
		queue_prep(q, sqe, op);
	}
	return queue_enter(q);
}

/* Take what has completed out of the ring. */
static unsigned int queue_reap(struct queue *q, struct done *out)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	io_uring_for_each_cqe(&q->uring, head, cqe) {
		if (n == REAP)
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

/* A filter may allow io_uring_setup and forbid io_uring_enter. */
static int queue_try(struct queue *q)
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

static int queue_init(struct queue *q, const char *name, unsigned int flags)
{
	struct io_uring_params p = {
		.flags = flags | IORING_SETUP_CQSIZE,
		.cq_entries = IN_KERNEL,
	};
	int err = io_uring_queue_init_params(ENTRIES, &q->uring, &p);

	q->name = name;
	q->entry_size = flags & IORING_SETUP_SQE128 ? 128 : 64;
	q->tail = &q->head;
	if (!err) {
		err = queue_try(q);
		if (err)
			io_uring_queue_exit(&q->uring);
	}
	if (err)
		eng_log(LOG_ERR, "%s: io_uring is not available (forbidden by "
			"seccomp or by sysctl kernel.io_uring_disabled?): %s",
			name, strerror(-err));
	return err;
}

/* ---- one queue for all threads ---------------------------------------- */

/* (4): other threads go on meanwhile, and may hand over what is ours. */
static void hand_over_locked(struct eng_ring *r)
{
	const struct timespec tick = { .tv_nsec = 1000000 };

	while (queue_fill(&r->q)) {
		pthread_mutex_unlock(&r->lock);
		nanosleep(&tick, NULL);
		pthread_mutex_lock(&r->lock);
	}
}

void eng_ring_start(struct eng_ring *r, struct eng_ring_op *op)
{
	pthread_mutex_lock(&r->lock);
	r->total++;
	queue_push(&r->q, op);
	hand_over_locked(r);
	pthread_mutex_unlock(&r->lock);
}

static void let_go(struct eng_ring *r)
{
	pthread_mutex_lock(&r->lock);
	if (!--r->total)
		pthread_cond_broadcast(&r->idle);
	pthread_mutex_unlock(&r->lock);
}

static bool is_result(int res)
{
	return res != -EINTR && res != -EAGAIN;
}

/* Those that were interrupted wait again, (5), and what waits goes on. */
static void refill(struct eng_ring *r, const struct done *done,
		   unsigned int n)
{
	pthread_mutex_lock(&r->lock);
	r->q.busy -= n;
	for (unsigned int i = 0; i < n; i++)
		if (!is_result(done[i].res))
			queue_push(&r->q, done[i].op);
	hand_over_locked(r);
	pthread_mutex_unlock(&r->lock);
}

static void *reaper(void *arg)
{
	struct eng_ring *r = arg;
	struct done done[REAP];
	struct io_uring_cqe *cqe;
	unsigned int n;

	while (!r->stopped) {
		if (io_uring_wait_cqe(&r->q.uring, &cqe))
			continue;	/* EINTR */
		n = queue_reap(&r->q, done);
		refill(r, done, n);
		for (unsigned int i = 0; i < n; i++) {
			if (!is_result(done[i].res))
				continue;
			done[i].op->end(done[i].op, done[i].res);
			let_go(r);		/* (3) */
		}
	}
	return NULL;
}

/* ---- create, destroy -------------------------------------------------- */

static void stop_prep(struct eng_ring_op *op, struct io_uring_sqe *sqe)
{
	(void)op;
	io_uring_prep_nop(sqe);
}

static void stop_end(struct eng_ring_op *op, int res)
{
	struct eng_ring *r = (struct eng_ring *)((char *)op -
				offsetof(struct eng_ring, stop));

	(void)res;
	r->stopped = true;
}

int eng_ring_create(struct eng_ring **out, const char *name,
		    unsigned int flags)
{
	struct eng_ring *r = calloc(1, sizeof(*r));
	int err;

	*out = NULL;
	if (!r)
		return -ENOMEM;
	r->stop.prep = stop_prep;
	r->stop.end = stop_end;
	err = queue_init(&r->q, name, flags);
	if (err)
		goto out_free;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->idle, NULL);
	err = -pthread_create(&r->reaper, NULL, reaper, r);
	if (err)
		goto out_queue;
	*out = r;
	return 0;

out_queue:
	pthread_cond_destroy(&r->idle);
	pthread_mutex_destroy(&r->lock);
	io_uring_queue_exit(&r->q.uring);
out_free:
	free(r);
	return err;
}

void eng_ring_destroy(struct eng_ring *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	while (r->total)
		pthread_cond_wait(&r->idle, &r->lock);
	pthread_mutex_unlock(&r->lock);
	eng_ring_start(r, &r->stop);
	pthread_join(r->reaper, NULL);
	pthread_cond_destroy(&r->idle);
	pthread_mutex_destroy(&r->lock);
	io_uring_queue_exit(&r->q.uring);
	free(r);
}

/* ---- bytes ------------------------------------------------------------ */

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
