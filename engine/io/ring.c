/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ring.c - one queue of transfers (queue.c) for all threads.
 *  (1) A lock around submission, and a thread that reaps.
 *  (2) end() runs on the reaper thread, with no lock held.
 *  (3) A transfer leaves the count only after its end() has returned, so
 *      that destroy can't overtake what end() starts.
 *  (4) Nobody sleeps with the lock held. */
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "io/ring.h"
#include "tagpi.h"

#define REAP	64u

struct eng_ring {
	struct eng_queue *q;		/* submission side: lock */
	pthread_mutex_t	lock;
	pthread_cond_t	idle;
	unsigned int	total;		/* lock: started, end() not returned */
	struct eng_ring_op stop;	/* the last one */
	bool		stopped;	/* the reaper's */
	pthread_t	reaper;
};

/* (4): other threads go on meanwhile, and may hand over what is ours. */
static void hand_over_locked(struct eng_ring *r)
{
	const struct timespec tick = { .tv_nsec = 1000000 };

	while (eng_queue_hand_over(r->q)) {
		pthread_mutex_unlock(&r->lock);
		nanosleep(&tick, NULL);
		pthread_mutex_lock(&r->lock);
	}
}

void eng_ring_start(struct eng_ring *r, struct eng_ring_op *op)
{
	pthread_mutex_lock(&r->lock);
	r->total++;
	eng_queue_push(r->q, op);
	hand_over_locked(r);
	pthread_mutex_unlock(&r->lock);
}

void eng_ring_start_here(struct eng_ring *r, struct eng_ring_op *op)
{
	struct eng_queue *own = eng_queue_here();

	if (own)
		eng_queue_push(own, op);
	else
		eng_ring_start(r, op);
}

static void let_go(struct eng_ring *r)
{
	pthread_mutex_lock(&r->lock);
	if (!--r->total)
		pthread_cond_broadcast(&r->idle);
	pthread_mutex_unlock(&r->lock);
}

/* Those that were interrupted wait again, and what waits goes on. */
static void refill(struct eng_ring *r, const struct eng_queue_done *done,
		   unsigned int n)
{
	pthread_mutex_lock(&r->lock);
	eng_queue_room(r->q, n);
	for (unsigned int i = 0; i < n; i++)
		if (!eng_queue_is_result(done[i].res))
			eng_queue_push(r->q, done[i].op);
	hand_over_locked(r);
	pthread_mutex_unlock(&r->lock);
}

static void *reaper(void *arg)
{
	struct eng_ring *r = arg;
	struct eng_queue_done done[REAP];
	unsigned int n;

	while (!r->stopped) {
		eng_queue_wait(r->q);
		n = eng_queue_take(r->q, done, REAP);
		refill(r, done, n);
		for (unsigned int i = 0; i < n; i++) {
			if (!eng_queue_is_result(done[i].res))
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
	err = eng_queue_create(&r->q, name, flags, false);
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
	eng_queue_destroy(r->q);
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
	eng_queue_destroy(r->q);
	free(r);
}
