/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* native_ring.c - transfers of a native device, through io_uring.
 *  (1) A transfer in flight has a slot, which holds what the kernel may read
 *      until it is over; who finds none free waits in a list.  There are no
 *      more slots than the ring has entries, so that submit never blocks and
 *      the completion queue can't overflow.
 *  (2) No lock is held while completions are handled, which may start new
 *      transfers.
 *  (3) A null in a completion is native_ring_destroy()'s, and the last. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "native/native.h"

#define SLOTS	256u
#define REAP	64u

struct slot {
	struct eng_io	*io;
	struct slot	*next;
	struct native_attr attr;
	struct iovec	iov;
};

struct native_ring {
	struct native	*n;		/* fixed after create */
	struct io_uring	ring;		/* submission side: lock */
	pthread_mutex_t	lock;
	struct slot	*unused;	/* lock */
	struct eng_io	*head;		/* lock: wait for a slot */
	struct eng_io	**tail;		/* lock */
	pthread_t	reaper;
	struct slot	slots[SLOTS];
};

/* ---- submission ------------------------------------------------------- */

static struct io_uring_sqe *get_sqe(struct native_ring *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);
	size_t size = r->n->ops->ring_flags & IORING_SETUP_SQE128 ? 128 : 64;

	if (sqe)
		memset(sqe, 0, size);
	return sqe;
}

/* Being short of memory passes; any other refusal would mean that the ring,
 * which create has tried, is gone. */
static void enter_locked(struct native_ring *r)
{
	const struct timespec tick = { .tv_nsec = 1000000 };

	while (io_uring_sq_ready(&r->ring)) {
		int n = io_uring_submit(&r->ring);

		if (n >= 0 || n == -EINTR)
			continue;
		if (n != -EAGAIN && n != -EBUSY && n != -ENOMEM) {
			eng_log(LOG_CRIT, "%s: io_uring_enter: %s",
				r->n->path, strerror(-n));
			abort();
		}
		nanosleep(&tick, NULL);
	}
}

/* (1) */
static void fill_locked(struct native_ring *r)
{
	struct io_uring_sqe *sqe;
	struct eng_io *io;
	struct slot *s;

	while ((io = r->head) && (s = r->unused)) {
		sqe = get_sqe(r);
		if (!sqe) {
			enter_locked(r);
			continue;
		}
		r->unused = s->next;
		r->head = io->next;
		if (!r->head)
			r->tail = &r->head;
		s->io = io;
		native_prep(r->n, io, sqe, &s->attr, &s->iov);
		io_uring_sqe_set_data(sqe, s);
	}
	enter_locked(r);
}

void native_ring_start(struct native_ring *r, struct eng_io *io)
{
	pthread_mutex_lock(&r->lock);
	io->next = NULL;
	*r->tail = io;
	r->tail = &io->next;
	fill_locked(r);
	pthread_mutex_unlock(&r->lock);
}

/* ---- completion ------------------------------------------------------- */

struct ended {
	struct slot	*slot;
	struct eng_io	*io;
	int		res;
};

static unsigned int reap(struct native_ring *r, struct ended *out, bool *stop)
{
	struct io_uring_cqe *cqe;
	unsigned int head, seen = 0, n = 0;

	io_uring_for_each_cqe(&r->ring, head, cqe) {
		if (seen == REAP)
			break;
		seen++;
		out[n].slot = io_uring_cqe_get_data(cqe);
		out[n].res = cqe->res;
		if (out[n].slot)
			n++;
		else
			*stop = true;	/* (3) */
	}
	io_uring_cq_advance(&r->ring, seen);
	return n;
}

static void *reaper(void *arg)
{
	struct native_ring *r = arg;
	struct ended done[REAP];
	struct io_uring_cqe *cqe;
	bool stop = false;
	unsigned int n;

	while (!stop) {
		if (io_uring_wait_cqe(&r->ring, &cqe))
			continue;	/* EINTR */
		n = reap(r, done, &stop);
		pthread_mutex_lock(&r->lock);
		for (unsigned int i = 0; i < n; i++) {
			done[i].io = done[i].slot->io;
			done[i].slot->next = r->unused;
			r->unused = done[i].slot;
		}
		fill_locked(r);
		pthread_mutex_unlock(&r->lock);
		for (unsigned int i = 0; i < n; i++)	/* (2) */
			native_complete(r->n, done[i].io, done[i].res);
	}
	return NULL;
}

/* ---- create, destroy -------------------------------------------------- */

/* A filter may allow io_uring_setup and forbid io_uring_enter. */
static int try_ring(struct native_ring *r)
{
	struct io_uring_cqe *cqe;
	int err;

	io_uring_prep_nop(get_sqe(r));
	err = io_uring_submit_and_wait(&r->ring, 1);
	if (err < 0)
		return err;
	err = io_uring_wait_cqe(&r->ring, &cqe);
	if (!err)
		io_uring_cqe_seen(&r->ring, cqe);
	return err;
}

static int init_ring(struct native_ring *r)
{
	struct io_uring_params p = { .flags = r->n->ops->ring_flags };
	int err = io_uring_queue_init_params(SLOTS, &r->ring, &p);

	if (!err) {
		err = try_ring(r);
		if (err)
			io_uring_queue_exit(&r->ring);
	}
	if (err)
		eng_log(LOG_ERR, "%s: io_uring is not available (forbidden by "
			"seccomp or by sysctl kernel.io_uring_disabled?): %s",
			r->n->path, strerror(-err));
	return err;
}

int native_ring_create(struct native_ring **out, struct native *n)
{
	struct native_ring *r = calloc(1, sizeof(*r));
	int err;

	*out = NULL;
	if (!r)
		return -ENOMEM;
	r->n = n;
	r->tail = &r->head;
	for (unsigned int i = 0; i < SLOTS; i++) {
		r->slots[i].next = r->unused;
		r->unused = &r->slots[i];
	}
	err = init_ring(r);
	if (err)
		goto out_free;
	pthread_mutex_init(&r->lock, NULL);
	err = -pthread_create(&r->reaper, NULL, reaper, r);
	if (err)
		goto out_ring;
	*out = r;
	return 0;

out_ring:
	pthread_mutex_destroy(&r->lock);
	io_uring_queue_exit(&r->ring);
out_free:
	free(r);
	return err;
}

void native_ring_destroy(struct native_ring *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	io_uring_prep_nop(get_sqe(r));	/* nothing in flight: there is room */
	enter_locked(r);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->reaper, NULL);
	pthread_mutex_destroy(&r->lock);
	io_uring_queue_exit(&r->ring);
	free(r);
}
