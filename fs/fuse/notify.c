/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notify.c - threads for what would deadlock in one that serves requests.
 *
 * A notification may make the kernel write dirty pages back, or free an
 * inode after waiting for such writes, before it returns.  The writes come
 * to the serving threads, so that none of them may wait for it.
 *
 * (1) lseek(SEEK_DATA, SEEK_HOLE) comes without the dirty pages having been
 *     written.  They can only make data of what is a hole here.  So the hole
 *     that an answer depends on is flushed by invalidating it, and the
 *     answer is given once it has survived that.
 * (2) Block counts, once the kernel has them, are never asked for again
 *     while a file stays open; so inodes written to are marked stale, at most
 *     once a second.  The marks are kept with the references: there is one
 *     for every inode that the kernel knows.
 * (3) Seeks are served first come, first served, by a few threads, and by
 *     none that anything else waits for.  At the end those that wait are
 *     answered EINTR, and those that walk a file are at their next step.
 * (4) A notification needs serving threads.  So the end of the mount, if it
 *     is not the kernel that ends it, comes when the last of these threads
 *     has ended. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuse/ops_priv.h"
#include "fuse/reply.h"

#define SEEK_ROUNDS	16	/* a writer may be faster than we are */
#define STALE_BATCH	256u

struct tfs_late_seek {
	struct tfs_late_seek *next;
	fuse_req_t	req;
	uint32_t	ino;
	uint64_t	off;
	int		whence;
};

/* ---- lseek -------------------------------------------------------------- */

/* As tfs_lseek(), but -EINTR at the end of the mount (3). */
static int64_t walk(struct tfs_late *late, uint32_t ino, uint64_t off,
		    int whence)
{
	struct tfs_seek sk = { .ino = ino, .at = off, .whence = whence };
	int err = 0;

	while (!err && !sk.done)
		err = late->stop ? -EINTR : tfs_seek_step(late->fs, &sk);
	return err ? err : (int64_t)sk.at;
}

/* Where the hole that the answer at depends on begins and ends; -1: it has
 * no end.  False: none. */
static bool seek_hole(struct tfs_late *late, const struct tfs_late_seek *sk,
		      int64_t at, int64_t *from, int64_t *to)
{
	if (sk->whence == SEEK_DATA) {
		*from = (int64_t)sk->off;
		*to = at < 0 ? -1 : at;
		return *from != *to;
	}
	*from = at < 0 ? (int64_t)sk->off : at;
	*to = walk(late, sk->ino, (uint64_t)*from, SEEK_DATA);
	if (*to < 0)
		*to = -1;
	return *from != *to;
}

static int64_t seek(struct tfs_late *late, const struct tfs_late_seek *sk)
{
	int64_t at, before, from, to;

	at = walk(late, sk->ino, sk->off, sk->whence);
	for (int i = 0; i < SEEK_ROUNDS && !late->stop; i++) {
		if (at < 0 && at != -ENXIO)
			break;
		if (!seek_hole(late, sk, at, &from, &to))
			break;
		fuse_lowlevel_notify_inval_inode(late->se, sk->ino, from,
						 to < 0 ? 0 : to - from);
		before = at;
		at = walk(late, sk->ino, sk->off, sk->whence);
		if (at == before)
			break;
	}
	return late->stop ? -EINTR : at;
}

static void seek_reply(struct tfs_late *late, struct tfs_late_seek *sk)
{
	int64_t at = seek(late, sk);

	if (at < 0)
		tfs_reply_err(sk->req, (int)at);
	else
		fuse_reply_lseek(sk->req, at);
	free(sk);
}

/* NULL: the end. */
static struct tfs_late_seek *next(struct tfs_late *late)
{
	struct tfs_late_seek *sk;

	pthread_mutex_lock(&late->lock);
	while (!late->first && !late->stop)
		pthread_cond_wait(&late->wake, &late->lock);
	sk = late->first;
	if (sk)
		late->first = sk->next;
	pthread_mutex_unlock(&late->lock);
	return sk;
}

void tfs_late_lseek(struct tfs_late *late, fuse_req_t req, uint32_t ino,
		    uint64_t off, int whence)
{
	struct tfs_late_seek *sk = malloc(sizeof(*sk));
	int err = sk ? 0 : -ENOMEM;

	if (sk)
		*sk = (struct tfs_late_seek) {
			.req = req, .ino = ino, .off = off, .whence = whence,
		};
	pthread_mutex_lock(&late->lock);
	if (!err && late->stop)
		err = -EINTR;
	if (!err) {
		if (!late->first)
			late->last = &late->first;
		*late->last = sk;
		late->last = &sk->next;
		pthread_cond_signal(&late->wake);
	}
	pthread_mutex_unlock(&late->lock);
	if (!err)
		return;
	free(sk);
	tfs_reply_err(req, err);
}

/* ---- stale attributes --------------------------------------------------- */

void tfs_late_stale(struct tfs_late *late, uint32_t ino)
{
	tfs_stale_add(late->fs, ino);
	if (late->stale)
		return;
	pthread_mutex_lock(&late->lock);
	late->stale = true;
	pthread_cond_signal(&late->due);
	pthread_mutex_unlock(&late->lock);
}

/* Wait until there are some, and a second for more.  False: the end. */
static bool await_stale(struct tfs_late *late)
{
	struct timespec until;
	bool go;

	pthread_mutex_lock(&late->lock);
	while (!late->stale && !late->stop)
		pthread_cond_wait(&late->due, &late->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	while (!late->stop)
		if (pthread_cond_timedwait(&late->due, &late->lock, &until))
			break;
	late->stale = false;	/* before they are taken */
	go = !late->stop;
	pthread_mutex_unlock(&late->lock);
	return go;
}

static void refresh(struct tfs_late *late)
{
	uint32_t ino[STALE_BATCH];
	unsigned int n;

	while (!late->stop && (n = tfs_stale_take(late->fs, ino,
						  STALE_BATCH)))
		while (n-- && !late->stop)
			fuse_lowlevel_notify_inval_inode(late->se, ino[n], -1,
							 0);
}

/* ---- the threads -------------------------------------------------------- */

static void ended(struct tfs_late *late)
{
	struct tfs_loop *loop = NULL;

	pthread_mutex_lock(&late->lock);
	if (!--late->alive)
		loop = late->then;
	pthread_mutex_unlock(&late->lock);
	if (loop)
		tfs_loop_stop(loop);	/* (4) */
}

static void *run_seeks(void *arg)
{
	struct tfs_late *late = arg;
	struct tfs_late_seek *sk;

	while ((sk = next(late)))
		seek_reply(late, sk);
	ended(late);
	return NULL;
}

static void *run_refresh(void *arg)
{
	struct tfs_late *late = arg;

	while (await_stale(late))
		refresh(late);
	ended(late);
	return NULL;
}

static int start_threads(struct tfs_late *late)
{
	int err = 0;

	while (!err && late->threads < TFS_LATE_THREADS) {
		pthread_mutex_lock(&late->lock);
		late->alive++;
		pthread_mutex_unlock(&late->lock);
		err = -pthread_create(&late->thread[late->threads], NULL,
				      late->threads ? run_seeks : run_refresh,
				      late);
		if (err)
			ended(late);
		else
			late->threads++;
	}
	return err;
}

int tfs_late_start(struct tfs_late *late, struct fuse_session *se,
		   struct tfs *fs)
{
	pthread_condattr_t attr;

	late->se = se;
	late->fs = fs;
	pthread_mutex_init(&late->lock, NULL);
	pthread_cond_init(&late->wake, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&late->due, &attr);
	pthread_condattr_destroy(&attr);
	return start_threads(late);
}

void tfs_late_end(struct tfs_late *late, struct tfs_loop *then)
{
	bool now;

	pthread_mutex_lock(&late->lock);
	late->stop = true;
	late->then = then;
	now = !late->alive;
	pthread_cond_broadcast(&late->wake);
	pthread_cond_broadcast(&late->due);
	pthread_mutex_unlock(&late->lock);
	if (now && then)
		tfs_loop_stop(then);
}

void tfs_late_stop(struct tfs_late *late)
{
	if (!late->threads)
		return;
	tfs_late_end(late, NULL);
	while (late->threads)
		pthread_join(late->thread[--late->threads], NULL);
}
