/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crew.c - threads for what may wait: for the device, a commit, a lock.
 *
 * (1) What is handed over is begun in order, as soon as a thread is free.  It
 *     must not need anything that was handed over later.
 * (2) A thread is added when all are at work, up to a bound.  If there is no
 *     memory for one, those that are there go on; that is no error.
 * (3) The thread that was last at work is woken first: it is the warmest.
 * (4) A thread is woken without the lock that it takes first of all. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "fuse/crew.h"

struct member {
	struct tfs_crew	*crew;
	pthread_t	thread;
	pthread_cond_t	wake;
	bool		go;		/* lock: woken, and not yet up */
	struct member	*next;		/* lock: of those that are idle */
};

struct tfs_crew {
	pthread_mutex_t	lock;
	struct tfs_task	*first, **last;	/* lock */
	struct member	*idle;		/* lock */
	unsigned int	members;	/* lock */
	unsigned int	max;		/* fixed */
	bool		stop;		/* lock */
	struct member	member[];
};

static void idle_locked(struct tfs_crew *crew, struct member *m)
{
	m->go = false;
	m->next = crew->idle;
	crew->idle = m;
	while (!m->go)
		pthread_cond_wait(&m->wake, &crew->lock);
}

/* One to be woken (3), or NULL. */
static struct member *call_locked(struct tfs_crew *crew)
{
	struct member *m = crew->idle;

	if (m) {
		crew->idle = m->next;
		m->go = true;
	}
	return m;
}

/* NULL: the end. */
static struct tfs_task *next(struct member *m)
{
	struct tfs_crew *crew = m->crew;
	struct tfs_task *task;

	pthread_mutex_lock(&crew->lock);
	while (!crew->first && !crew->stop)
		idle_locked(crew, m);
	task = crew->first;
	if (task) {
		crew->first = task->next;
		if (!crew->first)
			crew->last = &crew->first;
	}
	pthread_mutex_unlock(&crew->lock);
	return task;
}

static void *work(void *arg)
{
	struct tfs_task *task;

	while ((task = next(arg)))
		task->run(task);
	return NULL;
}

/* (2)  Signals are for the program's own threads. */
static int add_locked(struct tfs_crew *crew)
{
	struct member *m = &crew->member[crew->members];
	sigset_t all, old;
	int err;

	m->crew = crew;
	pthread_cond_init(&m->wake, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = -pthread_create(&m->thread, NULL, work, m);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		pthread_cond_destroy(&m->wake);
	else
		crew->members++;
	return err;
}

void tfs_crew_do(struct tfs_crew *crew, struct tfs_task *task)
{
	struct member *m;

	task->next = NULL;
	pthread_mutex_lock(&crew->lock);
	*crew->last = task;
	crew->last = &task->next;
	m = call_locked(crew);
	if (!m && crew->members < crew->max)
		add_locked(crew);
	pthread_mutex_unlock(&crew->lock);
	if (m)
		pthread_cond_signal(&m->wake);		/* (4) */
}

int tfs_crew_create(struct tfs_crew **out, unsigned int max)
{
	struct tfs_crew *crew = calloc(1, sizeof(*crew) +
				       max * sizeof(crew->member[0]));
	int err;

	*out = NULL;
	if (!crew)
		return -ENOMEM;
	pthread_mutex_init(&crew->lock, NULL);
	crew->last = &crew->first;
	crew->max = max;
	pthread_mutex_lock(&crew->lock);
	err = add_locked(crew);
	pthread_mutex_unlock(&crew->lock);
	if (err)
		tfs_crew_destroy(crew);
	else
		*out = crew;
	return err;
}

void tfs_crew_destroy(struct tfs_crew *crew)
{
	struct member *m;

	if (!crew)
		return;
	pthread_mutex_lock(&crew->lock);
	crew->stop = true;
	while ((m = call_locked(crew)))
		pthread_cond_signal(&m->wake);
	pthread_mutex_unlock(&crew->lock);
	for (unsigned int i = 0; i < crew->members; i++) {
		pthread_join(crew->member[i].thread, NULL);
		pthread_cond_destroy(&crew->member[i].wake);
	}
	pthread_mutex_destroy(&crew->lock);
	free(crew);
}
