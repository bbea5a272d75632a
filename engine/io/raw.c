/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* raw.c - raw transfers: how they end, and how to wait for one. */
#include <pthread.h>

#include "io/raw.h"

static __thread unsigned int in_end;

void eng_raw_end(struct eng_raw_io *io, int err)
{
	in_end++;
	io->end(io, err);	/* may have freed it */
	in_end--;
}

bool eng_raw_in_end(void)
{
	return in_end;
}

struct raw_wait {
	pthread_mutex_t	lock;
	pthread_cond_t	cond;
	bool		done;		/* lock */
	int		err;		/* lock */
};

static void raw_wait_end(struct eng_raw_io *io, int err)
{
	struct raw_wait *w = io->arg;

	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->err = err;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static int raw_run(struct eng_raw *raw, bool write, bool direct, uint64_t off,
		   void *buf, size_t len)
{
	struct raw_wait w = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER,
	};
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct eng_raw_io io = {
		.write = write, .direct = direct, .off = off, .iov = &iov, .niov = 1,
		.end = raw_wait_end, .arg = &w,
	};

	raw->ops->submit(raw, &io);
	pthread_mutex_lock(&w.lock);
	while (!w.done) {
		if (!raw->ops->pump) {
			pthread_cond_wait(&w.cond, &w.lock);
			continue;
		}
		pthread_mutex_unlock(&w.lock);
		raw->ops->pump(raw);
		pthread_mutex_lock(&w.lock);
	}
	pthread_mutex_unlock(&w.lock);
	pthread_mutex_destroy(&w.lock);
	pthread_cond_destroy(&w.cond);
	return w.err;
}

int eng_raw_rw(struct eng_raw *raw, bool write, uint64_t off, void *buf,
	       size_t len)
{
	return raw_run(raw, write, false, off, buf, len);
}

int eng_raw_direct(struct eng_raw *raw, bool write, uint64_t off, void *buf,
		   size_t len)
{
	return raw_run(raw, write, true, off, buf, len);
}
