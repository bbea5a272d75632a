/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ahead.c - see ahead.h.
 *
 *  (1) One thread asks and waits; completions only say that they are over.
 *  (2) Requests are waited for in the order in which they began, and a place
 *      whose turn has come is waited for before it is used again.
 *  (3) With no memory for another request there is one less on its way: only
 *      where none is, that is an error. */
#include <string.h>

#include "mirror/mirror.h"
#include "check/ahead.h"

static void over(struct eng_io *io)
{
	struct tfs_ahead_io *at = io->arg;

	pthread_mutex_lock(&at->a->lock);			/* (1) */
	at->over = true;
	pthread_cond_signal(&at->a->cond);
	pthread_mutex_unlock(&at->a->lock);
}

/* It is free then; *err is kept if there is one already. */
static void finish(struct tfs_ahead_io *at, int *err)
{
	struct tfs_ahead *a = at->a;
	int res;

	if (!at->io)
		return;
	pthread_mutex_lock(&a->lock);
	while (!at->over)
		pthread_cond_wait(&a->cond, &a->lock);
	pthread_mutex_unlock(&a->lock);
	res = at->io->err;
	memcpy(at->tags, at->io->tags,
	       (size_t)at->n * TFS_LANES * sizeof(*at->tags));
	eng_io_put(at->io);
	at->io = NULL;
	if (*err)
		return;
	*err = res && res != -ENOMEM ?
		a->failed(a->arg, at->leg, at->addr, at->n, at->tags,
			  at->buf) : res;
}

/* (2) */
int tfs_ahead_wait(struct tfs_ahead *a)
{
	int err = 0;

	for (unsigned int i = 0; i < TFS_AHEAD; i++)
		finish(&a->io[(a->next + i) % TFS_AHEAD], &err);
	return err;
}

int tfs_ahead_read(struct tfs_ahead *a, unsigned int leg, uint64_t addr,
		   uint32_t n, uint16_t *tags)
{
	struct tfs_ahead_io *at = &a->io[a->next];
	struct eng_io *io;
	int err = 0;

	finish(at, &err);
	if (err)
		return err;
	io = eng_io_get(a->fs->dev, n * a->fs->ipc, 1);
	if (!io) {						/* (3) */
		err = tfs_ahead_wait(a);
		io = err ? NULL : eng_io_get(a->fs->dev, n * a->fs->ipc, 1);
	}
	if (!io)
		return err ? err : -ENOMEM;
	*at = (struct tfs_ahead_io){ .a = a, .buf = at->buf, .io = io,
				     .leg = leg, .addr = addr, .n = n,
				     .tags = tags };
	io->op = ENG_READ;
	io->flags = ENG_IO_TAGS_OUT | ENG_IO_MEDIUM | ENG_IO_ESCAPES;
	io->leg = eng_mirror_legs(a->fs->dev) ? leg : 0;
	io->start = addr * a->fs->ipc;
	io->end = over;
	io->arg = at;
	eng_io_add(io, at->buf, (size_t)n * a->fs->csize);
	a->next = (a->next + 1) % TFS_AHEAD;
	eng_io_submit(io);
	return 0;
}

int tfs_ahead_begin(struct tfs_ahead *a)
{
	int err = 0;

	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->cond, NULL);
	a->next = 0;
	for (unsigned int i = 0; i < TFS_AHEAD; i++) {
		a->io[i] = (struct tfs_ahead_io){
			.a = a, .buf = eng_buf_get(a->fs->dev, (size_t)a->most *
						   a->fs->csize),
		};
		err |= !a->io[i].buf;
	}
	if (!err)
		return 0;
	tfs_ahead_end(a);
	return -ENOMEM;
}

void tfs_ahead_end(struct tfs_ahead *a)
{
	int err = -ECANCELED;

	for (unsigned int i = 0; i < TFS_AHEAD; i++) {
		finish(&a->io[i], &err);
		if (a->io[i].buf)
			eng_buf_put(a->fs->dev, a->io[i].buf,
				    (size_t)a->most * a->fs->csize);
		a->io[i].buf = NULL;
	}
	pthread_cond_destroy(&a->cond);
	pthread_mutex_destroy(&a->lock);
}
