/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pool.c - verify workers: what takes computing is done off the threads that
 * reap completions.
 *  (1) A payload has one owner, the thread that queues it or (from submit to
 *      end()) one worker.  Its fields need no lock because ownership moves
 *      instead; io->next and io->work are the queue's only while it is
 *      queued.
 *  (2) Work is begun in the order in which it was queued.  It may finish in
 *      any.
 *  (3) A mismatch is a result.  Workers never retry, log or touch the device.
 *  (4) Destroy returns when all that was queued before it is done, and all
 *      that this queued in turn.  It may begin as soon as the last end() ran,
 *      with the submitter still inside eng_pool_submit().
 * The serial twin keeps (1)-(4) without threads; tests run both. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/pool.h"

struct eng_pool {
	pthread_mutex_t	lock;
	pthread_cond_t	work;
	struct eng_io	*head;		/* lock */
	struct eng_io	**tail;		/* lock */
	unsigned int	idle;		/* lock */
	bool		stop;		/* lock */
	unsigned int	workers;	/* fixed after create; 0: serial */
	pthread_t	thread[];
};

/* NULL: stopped, and nothing is left. */
static struct eng_io *next_io(struct eng_pool *pool)
{
	struct eng_io *io;

	pthread_mutex_lock(&pool->lock);
	while (!pool->head && !pool->stop) {
		pool->idle++;
		pthread_cond_wait(&pool->work, &pool->lock);
		pool->idle--;
	}
	io = pool->head;
	if (io) {
		pool->head = io->next;
		if (!pool->head)
			pool->tail = &pool->head;
	}
	pthread_mutex_unlock(&pool->lock);
	return io;
}

static void *worker(void *arg)
{
	struct eng_io *io;

	while ((io = next_io(arg)))
		io->work(io);
	return NULL;
}

void eng_pool_submit(struct eng_pool *pool, struct eng_io *io,
		     void (*work)(struct eng_io *io))
{
	if (!pool->workers) {
		work(io);
		return;
	}
	io->work = work;
	io->next = NULL;
	pthread_mutex_lock(&pool->lock);
	*pool->tail = io;
	pool->tail = &io->next;
	if (pool->idle)		/* under the lock: see (4) */
		pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

static struct eng_pool *pool_alloc(unsigned int workers)
{
	struct eng_pool *pool = calloc(1, sizeof(*pool) +
				       workers * sizeof(*pool->thread));

	if (!pool)
		return NULL;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pool->tail = &pool->head;
	return pool;
}

/* Signals are for the program's own threads. */
static int start_workers(struct eng_pool *pool, unsigned int workers)
{
	sigset_t all, old;
	int err = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (pool->workers < workers && !err) {
		err = pthread_create(&pool->thread[pool->workers], NULL,
				     worker, pool);
		if (!err)
			pool->workers++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

int eng_pool_create(struct eng_pool **out, unsigned int workers)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct eng_pool *pool;
	int err;

	*out = NULL;
	if (!workers)
		workers = cpus > 0 ? (unsigned int)cpus : 1;
	pool = pool_alloc(workers);
	if (!pool)
		return -ENOMEM;
	err = start_workers(pool, workers);
	if (err) {
		eng_pool_destroy(pool);
		return err;
	}
	*out = pool;
	return 0;
}

int eng_pool_create_serial(struct eng_pool **out)
{
	*out = pool_alloc(0);
	return *out ? 0 : -ENOMEM;
}

void eng_pool_destroy(struct eng_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 0; i < pool->workers; i++)
		pthread_join(pool->thread[i], NULL);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
