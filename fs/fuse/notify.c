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
 * (3) Requests that walk a file, seeks and those for its tags, are jobs for a
 *     few threads, first come, first served, and for none that anything else
 *     waits for.  At the end those that wait are answered EINTR, and those
 *     that walk a file are at their next step.
 * (4) A notification needs serving threads.  So the end of the mount, if it
 *     is not the kernel that ends it, comes when the last of these threads
 *     has ended.
 * (5) One user's jobs have no more than half of the threads. */
#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuse/loop.h"
#include "fuse/notify.h"
#include "fuse/ops_priv.h"
#include "fuse/reply.h"

#define SEEK_ROUNDS	16	/* a writer may be faster than we are */
#define STALE_BATCH	256u
#define SHARE		(TFS_NOTIFY_JOBS / 2)	/* (5) */

struct tfs_notify_job {
	struct tfs_notify_job *next;
	void		(*run)(struct tfs_notify *nt,
			       struct tfs_notify_job *job);
	fuse_req_t	req;
	uid_t		uid;
	uint32_t	ino;
	uint64_t	off;		/* of a seek */
	int		whence;
	void		(*call)(fuse_req_t req, uint32_t ino, void *arg);
	void		*arg;		/* freed with the job */
	bool		raw;		/* tags */
	size_t		size;
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
static bool seek_hole(struct tfs_notify *nt, const struct tfs_notify_job *sk,
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

static int64_t seek(struct tfs_notify *nt, const struct tfs_notify_job *sk)
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

static void seek_reply(struct tfs_notify *nt, struct tfs_notify_job *sk)
{
	int64_t at = seek(nt, sk);

	if (at < 0)
		tfs_reply_err(sk->req, (int)at);
	else
		fuse_reply_lseek(sk->req, at);
}

/* ---- tags --------------------------------------------------------------- */

struct asking {
	struct tfs_notify *nt;
	fuse_req_t	req;
};

static bool given_up(void *arg)
{
	struct asking *a = arg;

	return a->nt->stop || fuse_req_interrupted(a->req);
}

static void tags_reply(struct tfs_notify *nt, struct tfs_notify_job *job)
{
	struct asking a = { .nt = nt, .req = job->req };
	char *value = NULL;
	ssize_t len = tfs_tags(nt->fs, job->ino, job->raw, XATTR_SIZE_MAX,
			       given_up, &a, &value);

	tfs_reply_xattr(job->req, len, value, job->size);
	if (len >= 0)
		free(value);
}

/* ---- jobs --------------------------------------------------------------- */

/* The place of this user among those who are served, or a free one; SHARE
 * jobs are as many as he may have. */
static struct tfs_notify_busy *busy_locked(struct tfs_notify *nt, uid_t uid)
{
	struct tfs_notify_busy *free_one = NULL;

	for (unsigned int i = 0; i < TFS_NOTIFY_JOBS; i++) {
		if (nt->busy[i].jobs && nt->busy[i].uid == uid)
			return &nt->busy[i];
		if (!nt->busy[i].jobs)
			free_one = &nt->busy[i];
	}
	return free_one;
}

/* (3), (5): the first whose user is not at his limit, taken from the list. */
static struct tfs_notify_job *pick_locked(struct tfs_notify *nt)
{
	struct tfs_notify_job **p, *job;

	for (p = &nt->first; (job = *p); p = &job->next) {
		struct tfs_notify_busy *b = busy_locked(nt, job->uid);

		if (!b || (b->jobs >= SHARE && !nt->stop))
			continue;
		b->uid = job->uid;
		b->jobs++;
		*p = job->next;
		if (!*p)
			nt->last = p;
		return job;
	}
	return NULL;
}

/* NULL: the end. */
static struct tfs_notify_job *next(struct tfs_notify *nt)
{
	struct tfs_notify_job *job;

	pthread_mutex_lock(&nt->lock);
	while (!(job = pick_locked(nt)) && !nt->stop)
		pthread_cond_wait(&nt->wake, &nt->lock);
	pthread_mutex_unlock(&nt->lock);
	return job;
}

static void done(struct tfs_notify *nt, struct tfs_notify_job *job)
{
	pthread_mutex_lock(&nt->lock);
	busy_locked(nt, job->uid)->jobs--;
	pthread_cond_signal(&nt->wake);	/* one that had to wait for him */
	pthread_mutex_unlock(&nt->lock);
	free(job->arg);
	free(job);
}

static void queue(struct tfs_notify *nt, const struct tfs_notify_job *what)
{
	struct tfs_notify_job *job = malloc(sizeof(*job));
	int err = job ? 0 : -ENOMEM;

	if (job) {
		*job = *what;
		job->uid = fuse_req_ctx(job->req)->uid;
	}
	pthread_mutex_lock(&nt->lock);
	if (!err && nt->stop)
		err = -EINTR;
	if (!err) {
		if (!nt->first)
			nt->last = &nt->first;
		*nt->last = job;
		nt->last = &job->next;
		pthread_cond_signal(&nt->wake);
	}
	pthread_mutex_unlock(&nt->lock);
	if (!err)
		return;
	free(job);
	free(what->arg);
	tfs_reply_err(what->req, err);
}

void tfs_notify_lseek(struct tfs_notify *nt, fuse_req_t req, uint32_t ino,
		      uint64_t off, int whence)
{
	const struct tfs_notify_job job = {
		.run = seek_reply, .req = req, .ino = ino, .off = off,
		.whence = whence,
	};

	queue(nt, &job);
}

void tfs_notify_tags(struct tfs_notify *nt, fuse_req_t req, uint32_t ino,
		     bool raw, size_t size)
{
	const struct tfs_notify_job job = {
		.run = tags_reply, .req = req, .ino = ino, .raw = raw,
		.size = size,
	};

	queue(nt, &job);
}

static void call_reply(struct tfs_notify *nt, struct tfs_notify_job *job)
{
	(void)nt;
	job->call(job->req, job->ino, job->arg);
}

void tfs_notify_call(struct tfs_notify *nt, fuse_req_t req, uint32_t ino,
		     void (*call)(fuse_req_t req, uint32_t ino, void *arg),
		     void *arg)
{
	const struct tfs_notify_job job = {
		.run = call_reply, .req = req, .ino = ino, .call = call,
		.arg = arg,
	};

	queue(nt, &job);
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

void tfs_notify_urgent(struct tfs_notify *nt, uint32_t ino)
{
	tfs_stale_add(nt->fs, ino);
	if (nt->urgent)
		return;
	pthread_mutex_lock(&nt->lock);
	nt->stale = nt->urgent = true;
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
	while (!nt->stop && !nt->urgent)
		if (pthread_cond_timedwait(&nt->due, &nt->lock, &until))
			break;
	nt->stale = nt->urgent = false;	/* before they are taken */
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

static void *run_jobs(void *arg)
{
	struct tfs_notify *nt = arg;
	struct tfs_notify_job *job;

	while ((job = next(nt))) {
		job->run(nt, job);
		done(nt, job);
	}
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
				      nt->threads ? run_jobs : run_refresh,
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
