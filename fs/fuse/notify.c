/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notify.c - a thread for what would deadlock in one that serves requests.
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
 *     once a second. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuse/ops_priv.h"
#include "fuse/reply.h"

#define SEEK_ROUNDS	16	/* a writer may be faster than we are */

struct tfs_late_seek {
	struct tfs_late_seek *next;
	fuse_req_t	req;
	uint32_t	ino;
	uint64_t	off;
	int		whence;
};

/* ---- lseek -------------------------------------------------------------- */

/* Where the hole that the answer at depends on begins and ends; -1: it has
 * no end.  False: none. */
static bool seek_hole(struct tfs *fs, const struct tfs_late_seek *sk,
		      int64_t at, int64_t *from, int64_t *to)
{
	if (sk->whence == SEEK_DATA) {
		*from = (int64_t)sk->off;
		*to = at < 0 ? -1 : at;
		return *from != *to;
	}
	*from = at < 0 ? (int64_t)sk->off : at;
	*to = tfs_lseek(fs, sk->ino, (uint64_t)*from, SEEK_DATA);
	if (*to < 0)
		*to = -1;
	return *from != *to;
}

static int64_t seek(struct tfs_late *late, const struct tfs_late_seek *sk)
{
	int64_t at, before, from, to;

	at = tfs_lseek(late->fs, sk->ino, sk->off, sk->whence);
	for (int i = 0; i < SEEK_ROUNDS; i++) {
		if (at < 0 && at != -ENXIO)
			break;
		if (!seek_hole(late->fs, sk, at, &from, &to))
			break;
		fuse_lowlevel_notify_inval_inode(late->se, sk->ino, from,
						 to < 0 ? 0 : to - from);
		before = at;
		at = tfs_lseek(late->fs, sk->ino, sk->off, sk->whence);
		if (at == before)
			break;
	}
	return at;
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

void tfs_late_lseek(struct tfs_late *late, fuse_req_t req, uint32_t ino,
		    uint64_t off, int whence)
{
	struct tfs_late_seek *sk = malloc(sizeof(*sk));

	if (!sk) {
		tfs_reply_err(req, -ENOMEM);
		return;
	}
	*sk = (struct tfs_late_seek) {
		.req = req, .ino = ino, .off = off, .whence = whence,
	};
	pthread_mutex_lock(&late->lock);
	sk->next = late->seeks;
	late->seeks = sk;
	pthread_cond_signal(&late->wake);
	pthread_mutex_unlock(&late->lock);
}

/* ---- stale attributes --------------------------------------------------- */

void tfs_late_stale(struct tfs_late *late, uint32_t ino)
{
	pthread_mutex_lock(&late->lock);
	for (unsigned int i = late->stales; i-- > 0;)
		if (late->stale[i] == ino)
			goto out;
	if (late->stales < TFS_LATE_STALE)
		late->stale[late->stales++] = ino;
out:
	pthread_mutex_unlock(&late->lock);
}

static void refresh(struct tfs_late *late)
{
	uint32_t stale[TFS_LATE_STALE];
	unsigned int n;

	pthread_mutex_lock(&late->lock);
	n = late->stales;
	memcpy(stale, late->stale, n * sizeof(stale[0]));
	late->stales = 0;
	pthread_mutex_unlock(&late->lock);
	while (n--)
		fuse_lowlevel_notify_inval_inode(late->se, stale[n], -1, 0);
}

/* ---- the thread --------------------------------------------------------- */

/* Wait for a seek or for a second.  False: stopped, and nothing is left. */
static bool next(struct tfs_late *late, struct tfs_late_seek **sk)
{
	struct timespec until;
	bool go;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	pthread_mutex_lock(&late->lock);
	while (!late->seeks && !late->stop)
		if (pthread_cond_timedwait(&late->wake, &late->lock, &until))
			break;
	*sk = late->seeks;
	if (*sk)
		late->seeks = (*sk)->next;
	go = *sk || !late->stop;
	pthread_mutex_unlock(&late->lock);
	return go;
}

static void *run(void *arg)
{
	struct tfs_late *late = arg;
	struct tfs_late_seek *sk;

	while (next(late, &sk)) {
		if (sk)
			seek_reply(late, sk);
		else
			refresh(late);
	}
	return NULL;
}

int tfs_late_start(struct tfs_late *late, struct fuse_session *se,
		   struct tfs *fs)
{
	pthread_condattr_t attr;
	int err;

	late->se = se;
	late->fs = fs;
	pthread_mutex_init(&late->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&late->wake, &attr);
	pthread_condattr_destroy(&attr);
	err = -pthread_create(&late->thread, NULL, run, late);
	late->running = !err;
	return err;
}

void tfs_late_stop(struct tfs_late *late)
{
	if (!late->running)
		return;
	pthread_mutex_lock(&late->lock);
	late->stop = true;
	pthread_cond_signal(&late->wake);
	pthread_mutex_unlock(&late->lock);
	pthread_join(late->thread, NULL);
	late->running = false;
}
