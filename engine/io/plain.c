/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plain.c - transfers by threads that wait, where there is no io_uring.
 *  (1) Transfers start in the order in which they were asked for.
 *  (2) run() and end() are called on one of the threads, with no lock held.
 *      end() may start transfers: start only appends to the list.
 *  (3) A thread ends only when the list is empty, so that destroy comes after
 *      the last end(), and after what that started. */
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/plain.h"

#define THREADS		8u

struct eng_plain {
	int		(*run)(struct eng_ring_op *op);	/* fixed */
	pthread_mutex_t	lock;
	pthread_cond_t	work;
	struct eng_ring_op *head;	/* these three: lock */
	struct eng_ring_op **tail;
	bool		stop;
	unsigned int	threads;	/* fixed after create */
	pthread_t	thread[THREADS];
};

/* Setting up a ring and using it are forbidden one by one. */
static int try_ring(void)
{
	struct io_uring uring;
	struct io_uring_cqe *cqe;
	int err = io_uring_queue_init(1, &uring, 0);

	if (err)
		return err;
	io_uring_prep_nop(io_uring_get_sqe(&uring));
	err = io_uring_submit_and_wait(&uring, 1);
	if (err > 0)
		err = io_uring_wait_cqe(&uring, &cqe);
	io_uring_queue_exit(&uring);
	return err;
}

int eng_plain_reason(void)
{
	int err = try_ring();

	return err == -ENOSYS || err == -EPERM || err == -EACCES ? err : 0;
}

static struct eng_ring_op *next_locked(struct eng_plain *p)
{
	struct eng_ring_op *op;

	while (!p->head && !p->stop)
		pthread_cond_wait(&p->work, &p->lock);
	op = p->head;
	if (op) {
		p->head = op->next;
		if (!p->head)
			p->tail = &p->head;
	}
	return op;
}

static void *serve(void *arg)
{
	struct eng_plain *p = arg;
	struct eng_ring_op *op;

	pthread_mutex_lock(&p->lock);
	while ((op = next_locked(p))) {
		pthread_mutex_unlock(&p->lock);
		op->end(op, p->run(op));		/* (2) */
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

void eng_plain_start(struct eng_plain *p, struct eng_ring_op *op)
{
	op->next = NULL;
	pthread_mutex_lock(&p->lock);
	*p->tail = op;
	p->tail = &op->next;
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}

int eng_plain_create(struct eng_plain **out,
		     int (*run)(struct eng_ring_op *op))
{
	struct eng_plain *p = calloc(1, sizeof(*p));
	int err = 0;

	*out = NULL;
	if (!p)
		return -ENOMEM;
	p->run = run;
	p->tail = &p->head;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	while (!err && p->threads < THREADS) {
		err = -pthread_create(&p->thread[p->threads], NULL, serve, p);
		p->threads += !err;
	}
	if (!p->threads) {
		eng_plain_destroy(p);
		return err;
	}
	*out = p;
	return 0;
}

/* (3) */
void eng_plain_destroy(struct eng_plain *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned int i = 0; i < p->threads; i++)
		pthread_join(p->thread[i], NULL);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

int eng_plain_rw(int fd, bool write, const struct iovec *iov, int niov,
		 uint64_t off, uint64_t done)
{
	uint64_t skip = done;
	struct iovec rest;
	ssize_t n;

	while (skip && skip >= iov->iov_len) {
		skip -= iov->iov_len;
		iov++, niov--;
	}
	if (skip) {
		rest.iov_base = (char *)iov->iov_base + skip;
		rest.iov_len = iov->iov_len - skip;
		iov = &rest;
		niov = 1;
	}
	off += done;
	do {
		n = write ? pwritev(fd, iov, niov, (off_t)off) :
			preadv(fd, iov, niov, (off_t)off);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}
