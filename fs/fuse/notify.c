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

#include "fuse/loop.h"
#include "fuse/notify.h"
#include "fuse/ops_priv.h"
#include "fuse/reply.h"

#define SEEK_ROUNDS	16	/* a writer may be faster than we are */
#define STALE_BATCH	256u

struct tfs_notify_seek {
	struct tfs_notify_seek *next;
	fuse_req_t	req;
	uint32_t	ino;
	uint64_t	off;
	int		whence;
};

/* ---- lseek -------------------------------------------------------------- */

/* As tfs_lseek(), but -EINTR at the end of the mount (3). */
static int64_t walk(struct tfs_notify *nt, uint32_t ino, uint64_t off,
		    int whence)
{
	struct tfs_seek sk = { .ino = ino, .at = off, .whence = whence };
	int err = 0;

	while (!err && !sk.done)
		err = nt->stop ? -EINTR : tfs_seek_step(nt->fs, &sk);
	return err ? err : (int64_t)sk.at;
}

/* Where the hole that the answer at depends on begins and ends; -1: it has
 * no end.  False: none. */
static bool seek_hole(struct tfs_notify *nt, const struct tfs_notify_seek *sk,
		      int64_t at, int64_t *from, int64_t *to)
{
	if (sk->whence == SEEK_DATA) {
		*from = (int64_t)sk->off;
		*to = at < 0 ? -1 : at;
		return *from != *to;
	}
	*from = at < 0 ? (int64_t)sk->off : at;
	*to = walk(nt, sk->ino, (uint64_t)*from, SEEK_DATA);
	if (*to < 0)
		*to = -1;
	return *from != *to;
}

static int64_t seek(struct tfs_notify *nt, const struct tfs_notify_seek *sk)
{
	int64_t at, before, from, to;

	at = walk(nt, sk->ino, sk->off, sk->whence);
	for (int i = 0; i < SEEK_ROUNDS && !nt->stop; i++) {
		if (at < 0 && at != -ENXIO)
			break;
		if (!seek_hole(nt, sk, at, &from, &to))
			break;
		fuse_lowlevel_notify_inval_inode(nt->se, sk->ino, from,
						 to < 0 ? 0 : to - from);
		before = at;
		at = walk(nt, sk->ino, sk->off, sk->whence);
		if (at == before)
			break;
	}
	return nt->stop ? -EINTR : at;
}

static void seek_reply(struct tfs_notify *nt, struct tfs_notify_seek *sk)
{
	int64_t at = seek(nt, sk);

	if (at < 0)
		tfs_reply_err(sk->req, (int)at);
	else
		fuse_reply_lseek(sk->req, at);
	free(sk);
}

/* NULL: the end. */
static struct tfs_notify_seek *next(struct tfs_notify *nt)
{
	struct tfs_notify_seek *sk;

	pthread_mutex_lock(&nt->lock);
	while (!nt->first && !nt->stop)
		pthread_cond_wait(&nt->wake, &nt->lock);
	sk = nt->first;
	if (sk)
		nt->first = sk->next;
	pthread_mutex_unlock(&nt->lock);
	return sk;
}

void tfs_notify_lseek(struct tfs_notify *nt, fuse_req_t req, uint32_t ino,
		      uint64_t off, int whence)
{
	struct tfs_notify_seek *sk = malloc(sizeof(*sk));
	int err = sk ? 0 : -ENOMEM;

	if (sk)
		*sk = (struct tfs_notify_seek) {
			.req = req, .ino = ino, .off = off, .whence = whence,
		};
	pthread_mutex_lock(&nt->lock);
	if (!err && nt->stop)
		err = -EINTR;
	if (!err) {
		if (!nt->first)
			nt->last = &nt->first;
		*nt->last = sk;
		nt->last = &sk->next;
		pthread_cond_signal(&nt->wake);
	}
	pthread_mutex_unlock(&nt->lock);
	if (!err)
		return;
	free(sk);
	tfs_reply_err(req, err);
}

/* ---- stale attributes --------------------------------------------------- */

void tfs_notify_stale(struct tfs_notify *nt, uint32_t ino)
{
	tfs_stale_add(nt->fs, ino);
	if (nt->stale)
		return;
	pthread_mutex_lock(&nt->lock);
	nt->stale = true;
	pthread_cond_signal(&nt->due);
	pthread_mutex_unlock(&nt->lock);
}

/* Wait until there are some, and a second for more.  False: the end. */
static bool await_stale(struct tfs_notify *nt)
{
	struct timespec until;
	bool go;

	pthread_mutex_lock(&nt->lock);
	while (!nt->stale && !nt->stop)
		pthread_cond_wait(&nt->due, &nt->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	while (!nt->stop)
		if (pthread_cond_timedwait(&nt->due, &nt->lock, &until))
			break;
	nt->stale = false;	/* before they are taken */
	go = !nt->stop;
	pthread_mutex_unlock(&nt->lock);
	return go;
}

static void refresh(struct tfs_notify *nt)
{
	uint32_t ino[STALE_BATCH];
	unsigned int n;

	while (!nt->stop && (n = tfs_stale_take(nt->fs, ino,
						STALE_BATCH)))
		while (n-- && !nt->stop)
			fuse_lowlevel_notify_inval_inode(nt->se, ino[n], -1,
							 0);
}

/* ---- the threads -------------------------------------------------------- */

static void ended(struct tfs_notify *nt)
{
	struct tfs_loop *loop = NULL;

	pthread_mutex_lock(&nt->lock);
	if (!--nt->alive)
		loop = nt->then;
	pthread_mutex_unlock(&nt->lock);
	if (loop)
		tfs_loop_stop(loop);	/* (4) */
}

static void *run_seeks(void *arg)
{
	struct tfs_notify *nt = arg;
	struct tfs_notify_seek *sk;

	while ((sk = next(nt)))
		seek_reply(nt, sk);
	ended(nt);
	return NULL;
}

static void *run_refresh(void *arg)
{
	struct tfs_notify *nt = arg;

	while (await_stale(nt))
		refresh(nt);
	ended(nt);
	return NULL;
}

static int start_threads(struct tfs_notify *nt)
{
	int err = 0;

	while (!err && nt->threads < TFS_NOTIFY_THREADS) {
		pthread_mutex_lock(&nt->lock);
		nt->alive++;
		pthread_mutex_unlock(&nt->lock);
		err = -pthread_create(&nt->thread[nt->threads], NULL,
				      nt->threads ? run_seeks : run_refresh,
				      nt);
		if (err)
			ended(nt);
		else
			nt->threads++;
	}
	return err;
}

int tfs_notify_start(struct tfs_notify *nt, struct fuse_session *se,
		     struct tfs *fs)
{
	pthread_condattr_t attr;

	nt->se = se;
	nt->fs = fs;
	pthread_mutex_init(&nt->lock, NULL);
	pthread_cond_init(&nt->wake, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&nt->due, &attr);
	pthread_condattr_destroy(&attr);
	return start_threads(nt);
}

void tfs_notify_end(struct tfs_notify *nt, struct tfs_loop *then)
{
	bool now;

	pthread_mutex_lock(&nt->lock);
	nt->stop = true;
	nt->then = then;
	now = !nt->alive;
	pthread_cond_broadcast(&nt->wake);
	pthread_cond_broadcast(&nt->due);
	pthread_mutex_unlock(&nt->lock);
	if (now && then)
		tfs_loop_stop(then);
}

void tfs_notify_stop(struct tfs_notify *nt)
{
	if (!nt->threads)
		return;
	tfs_notify_end(nt, NULL);
	while (nt->threads)
		pthread_join(nt->thread[--nt->threads], NULL);
}
