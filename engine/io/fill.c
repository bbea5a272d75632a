/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fill.c - places of a sparse file made the host's before they are needed.
 *
 * What is written to a hole makes the host's filesystem commit its journal
 * with the next flush: a second flush of the medium, and eight pages.  Who
 * flushes after a few clusters pays that each time.  So the hole behind them
 * is filled with zeros, for a few hundred flushes at once.  Space that the
 * host has given and nobody has written counts as a hole, and costs as much.
 *
 *  (1) Only holes are filled, and they read as zeros before and afterwards,
 *      whatever part of it a power cut leaves.
 *  (2) No write is under way while a hole is found and filled: none begins,
 *      and where one has begun nothing is filled.  So who fills waits for
 *      nobody, and who writes only for that.
 *  (3) Little is filled, and only where one flush after the other has little
 *      to do.  Large writes pay once for much as they are.
 *  (4) What goes wrong is no error of anybody's: it ends the filling.
 *  (5) The host's last space is for what is written. */
#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "io/fill.h"

#define FILL_AHEAD	(1u << 20)	/* behind a write */
#define FILL_MOST	(2u << 20)	/* in a flush: of data and of the log */
#define FILL_LITTLE	(256u << 10)	/* (3) */
#define FILL_FLUSHES	8u		/* (3) */
#define FILL_PIECE	(64u << 10)
#define FILL_SPARE	(256u << 20)	/* (5) */
#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC	0x58465342
#endif

/* Those overwrite in place what they have once given. */
static bool helps(int fd)
{
	struct statfs fs;
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode) && !fstatfs(fd, &fs) &&
		(fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC);
}

void eng_fill_init(struct eng_fill *f)
{
	memset(f, 0, sizeof(*f));
	f->fd = -1;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->filled, NULL);
}

void eng_fill_use(struct eng_fill *f, int fd)
{
	f->fd = fd;
	f->on = helps(fd);
}

void eng_fill_exit(struct eng_fill *f)
{
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->filled);
}

/* ---- what was written ------------------------------------------------- */

static void note_locked(struct eng_fill *f, uint64_t off, uint64_t end)
{
	f->bytes += end - off;
	for (unsigned int i = 0; i < f->n && i < FILL_RANGES; i++) {
		struct eng_fill_range *r = &f->range[i];

		if (off > r->end || end < r->off)
			continue;
		r->off = off < r->off ? off : r->off;
		r->end = end > r->end ? end : r->end;
		return;
	}
	if (f->n < FILL_RANGES)
		f->range[f->n] = (struct eng_fill_range){ off, end };
	if (f->n <= FILL_RANGES)
		f->n++;
}

void eng_fill_enter(struct eng_fill *f, uint64_t off, uint64_t len)
{
	if (!f->on)
		return;
	pthread_mutex_lock(&f->lock);
	while (f->filling)
		pthread_cond_wait(&f->filled, &f->lock);	/* (2) */
	f->writes++;
	note_locked(f, off, off + len);
	pthread_mutex_unlock(&f->lock);
}

void eng_fill_leave(struct eng_fill *f)
{
	if (!f->on)
		return;
	pthread_mutex_lock(&f->lock);
	f->writes--;
	pthread_mutex_unlock(&f->lock);
}

/* ---- filling ---------------------------------------------------------- */

ssize_t eng_hole_at(int fd, uint64_t off, size_t most)
{
	off_t data = lseek(fd, (off_t)off, SEEK_DATA), hole;
	struct stat st;

	if (data < 0 && errno != ENXIO)
		return -errno;
	if (data < 0) {		/* nothing but a hole is left, or nothing */
		if (fstat(fd, &st))
			return -errno;
		data = st.st_size;
	}
	hole = data - (off_t)off;
	if (hole < 0)
		return 0;
	return hole < (off_t)most ? hole : (off_t)most;
}

static ssize_t put_zeros(int fd, uint64_t off, size_t len)
{
	static const uint8_t zeros[FILL_PIECE];
	struct iovec iov[FILL_AHEAD / FILL_PIECE];
	ssize_t done;
	int n = 0;

	for (size_t left = len; left; left -= iov[n++].iov_len) {
		iov[n].iov_base = (void *)zeros;
		iov[n].iov_len = left < FILL_PIECE ? left : FILL_PIECE;
	}
	done = pwritev(fd, iov, n, (off_t)off);
	return done < 0 ? -errno : done;
}

/* (5) */
static bool has_room(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && fs.f_bsize > 0 &&
		(uint64_t)fs.f_bavail > FILL_SPARE / (uint64_t)fs.f_bsize;
}

/* (4) */
static bool fill(const struct eng_fill *f)
{
	ssize_t n = 0;

	for (size_t i = 0, all = 0; i < f->n && all < FILL_MOST; i++) {
		n = eng_hole_at(f->fd, f->range[i].end, FILL_AHEAD);
		if (n > 0 && !has_room(f->fd))
			return true;
		if (n > 0)
			n = put_zeros(f->fd, f->range[i].end, (size_t)n);
		if (n < 0)
			return false;
		all += (size_t)n;
	}
	return true;
}

/* (2) (3) */
static bool begin_locked(struct eng_fill *f)
{
	if (!f->n || f->n > FILL_RANGES || f->bytes > FILL_LITTLE)
		f->little = 0;
	else if (f->little < FILL_FLUSHES)
		f->little++;
	return f->little == FILL_FLUSHES && !f->writes && !f->failed;
}

void eng_fill_flush(struct eng_fill *f)
{
	bool failed;

	if (!f->on)
		return;
	pthread_mutex_lock(&f->lock);
	while (f->filling)
		pthread_cond_wait(&f->filled, &f->lock);
	f->filling = begin_locked(f);
	if (f->filling) {
		pthread_mutex_unlock(&f->lock);
		failed = !fill(f);
		pthread_mutex_lock(&f->lock);
		f->failed = failed;
		f->filling = false;
		pthread_cond_broadcast(&f->filled);
	}
	f->n = 0;
	f->bytes = 0;
	pthread_mutex_unlock(&f->lock);
}
