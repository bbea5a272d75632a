/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* raw_uring.c - a file or block device as raw storage, through io_uring.
 *  (1) No more transfers are in the ring than its completion queue holds;
 *      the others wait in a list.  So submit never blocks, whoever calls,
 *      and the completion queue cannot overflow.
 *  (2) What the page cache can do at once is done in submit, end() included:
 *      reads of what is there, and writes, which only copy (and are held up
 *      only where the kernel means to throttle the writer).  The ring has
 *      what waits for the medium, and end() runs on the reaper thread then.
 *      No lock is held in end().
 *  (3) A transfer leaves the count only after its end() has returned, so
 *      that close cannot overtake what end() starts.
 *  (4) The caller's iovecs are never changed: a short transfer goes on from
 *      io->done, first to the end of the segment it stopped in.
 *  (5) What is to go past the page cache goes through a second descriptor,
 *      O_DIRECT.  Where there is none, or memory and offset are not aligned
 *      for it, the range is written back and dropped first, or afterwards.
 *  (6) One writer per device, before anything is read: O_EXCL on a block
 *      device, an exclusive flock on a file; readers of a file share. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "io/raw.h"
#include "tagpi.h"

#define URING_SQ	256u
#define URING_CQ	1024u
#define URING_REAP	64u
#define URING_ALIGN	4096u	/* no device wants more for O_DIRECT */

struct uring_raw {
	struct eng_raw	raw;
	int		fd;		/* fixed after open */
	int		direct;		/* (5); -1: there is none */
	bool		bdev;		/* fixed after open */
	bool		nowait;		/* atomic: RWF_NOWAIT is worth trying */
	struct io_uring	ring;		/* submission side: lock */
	pthread_mutex_t	lock;
	pthread_cond_t	idle;
	unsigned int	busy;		/* lock: in the ring */
	unsigned int	total;		/* lock: busy, listed, or in end() */
	struct eng_raw_io *head;	/* lock: wait for room in the ring */
	struct eng_raw_io **tail;	/* lock */
	pthread_t	reaper;
	char		*name;
};

static struct uring_raw *to_uring(struct eng_raw *raw)
{
	return (struct uring_raw *)raw;
}

/* ---- submission ------------------------------------------------------- */

static void pause_ms(unsigned int ms)
{
	struct timespec ts = { .tv_nsec = ms * 1000000L };

	nanosleep(&ts, NULL);
}

/* Hand the queue to the kernel.  Being short of memory passes; any other
 * refusal would mean that the ring, which open has tried, is gone. */
static void uring_enter_locked(struct uring_raw *u)
{
	int n;

	while (io_uring_sq_ready(&u->ring)) {
		n = io_uring_submit(&u->ring);
		if (n >= 0 || n == -EINTR)
			continue;
		if (n != -EAGAIN && n != -EBUSY && n != -ENOMEM) {
			eng_log(LOG_CRIT, "%s: io_uring_enter: %s",
				u->name, strerror(-n));
			abort();
		}
		pause_ms(1);
	}
}

/* (4) */
static void uring_prep(struct uring_raw *u, struct io_uring_sqe *sqe,
		       struct eng_raw_io *io)
{
	int fd = io->direct ? u->direct : u->fd, i = 0;
	uint64_t skip = io->done;
	char *base;
	size_t len;

	while (skip && skip >= io->iov[i].iov_len)
		skip -= io->iov[i++].iov_len;
	base = (char *)io->iov[i].iov_base + skip;
	len = io->iov[i].iov_len - skip;
	if (!skip && io->niov - i > 1 && io->write)
		io_uring_prep_writev(sqe, fd, io->iov + i, io->niov - i,
				     io->off + io->done);
	else if (!skip && io->niov - i > 1)
		io_uring_prep_readv(sqe, fd, io->iov + i, io->niov - i,
				    io->off + io->done);
	else if (io->write)
		io_uring_prep_write(sqe, fd, base, len, io->off + io->done);
	else
		io_uring_prep_read(sqe, fd, base, len, io->off + io->done);
	io_uring_sqe_set_data(sqe, io);
}

/* (1) */
static void uring_fill_locked(struct uring_raw *u)
{
	struct io_uring_sqe *sqe;
	struct eng_raw_io *io;

	while ((io = u->head) && u->busy < URING_CQ) {
		sqe = io_uring_get_sqe(&u->ring);
		if (!sqe) {
			uring_enter_locked(u);
			continue;
		}
		uring_prep(u, sqe, io);
		u->busy++;
		u->head = io->next;
		if (!u->head)
			u->tail = &u->head;
	}
	uring_enter_locked(u);
}

static void uring_start(struct uring_raw *u, struct eng_raw_io *io)
{
	pthread_mutex_lock(&u->lock);
	io->next = NULL;
	*u->tail = io;
	u->tail = &io->next;
	uring_fill_locked(u);
	pthread_mutex_unlock(&u->lock);
}

static ssize_t uring_read_cached(struct uring_raw *u, struct eng_raw_io *io)
{
	ssize_t n;

	if (!__atomic_load_n(&u->nowait, __ATOMIC_RELAXED))
		return 0;
	n = preadv2(u->fd, io->iov, io->niov, (off_t)io->off, RWF_NOWAIT);
	if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS ||
		      errno == EINVAL))
		__atomic_store_n(&u->nowait, false, __ATOMIC_RELAXED);
	return n;
}

static void uring_write_back(struct uring_raw *u, uint64_t off, uint64_t len)
{
	uint64_t from = off & ~4095ull;

	len = (off + len + 4095) / 4096 * 4096 - from;
	sync_file_range(u->fd, (off_t)from, (off_t)len,
			SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
			SYNC_FILE_RANGE_WAIT_AFTER);
	posix_fadvise(u->fd, (off_t)from, (off_t)len, POSIX_FADV_DONTNEED);
}

static bool uring_can_direct(const struct uring_raw *u,
			     const struct eng_raw_io *io)
{
	uint64_t bits = io->off;

	for (int i = 0; i < io->niov; i++)
		bits |= (uintptr_t)io->iov[i].iov_base | io->iov[i].iov_len;
	return u->direct >= 0 && !(bits % URING_ALIGN);
}

/* (5) True: io is over. */
static bool uring_past_cache(struct uring_raw *u, struct eng_raw_io *io)
{
	ssize_t n = 0;

	if (uring_can_direct(u, io))
		return false;
	io->direct = false;
	if (io->write)
		n = pwritev(u->fd, io->iov, io->niov, (off_t)io->off);
	if (n > 0)
		io->done = (uint64_t)n;
	uring_write_back(u, io->off, io->len);
	return io->done == io->len;
}

/* (2) True: io is over.  Errors are left to the ring to find again. */
static bool uring_try_cached(struct uring_raw *u, struct eng_raw_io *io)
{
	ssize_t n;

	if (io->write)
		n = pwritev(u->fd, io->iov, io->niov, (off_t)io->off);
	else
		n = uring_read_cached(u, io);
	if (n > 0)
		io->done = (uint64_t)n;
	return io->done == io->len;
}

static void uring_submit(struct eng_raw *raw, struct eng_raw_io *io)
{
	struct uring_raw *u = to_uring(raw);

	io->done = 0;
	io->len = 0;
	for (int i = 0; i < io->niov; i++)
		io->len += io->iov[i].iov_len;
	if (!io->len || io->off > raw->size || io->len > raw->size - io->off) {
		eng_raw_end(io, -EINVAL);
		return;
	}
	if (io->direct ? uring_past_cache(u, io) : uring_try_cached(u, io)) {
		eng_raw_end(io, 0);
		return;
	}
	pthread_mutex_lock(&u->lock);
	u->total++;
	pthread_mutex_unlock(&u->lock);
	uring_start(u, io);
}

/* ---- completion ------------------------------------------------------- */

static void uring_finish(struct uring_raw *u, struct eng_raw_io *io, int res)
{
	if (res == -EINTR || res == -EAGAIN) {
		uring_start(u, io);
		return;
	}
	if (res > 0) {
		io->done += (uint64_t)res;
		if (io->done < io->len) {
			uring_start(u, io);
			return;
		}
	}
	eng_raw_end(io, res > 0 ? 0 : res ? res : -EIO);
	pthread_mutex_lock(&u->lock);
	if (!--u->total)
		pthread_cond_broadcast(&u->idle);	/* (3) */
	pthread_mutex_unlock(&u->lock);
}

struct uring_done {
	struct eng_raw_io *io;
	int		res;
};

/* Take what has completed out of the ring.  The entry without an io is
 * close's, and the last one. */
static unsigned int uring_reap(struct uring_raw *u, struct uring_done *out,
			       bool *stop)
{
	struct io_uring_cqe *cqe;
	unsigned int head, seen = 0, n = 0;

	io_uring_for_each_cqe(&u->ring, head, cqe) {
		if (seen == URING_REAP)
			break;
		seen++;
		out[n].io = io_uring_cqe_get_data(cqe);
		out[n].res = cqe->res;
		if (out[n].io)
			n++;
		else
			*stop = true;
	}
	io_uring_cq_advance(&u->ring, seen);
	return n;
}

static void *uring_reaper(void *arg)
{
	struct uring_raw *u = arg;
	struct uring_done done[URING_REAP];
	struct io_uring_cqe *cqe;
	bool stop = false;
	unsigned int n;

	while (!stop) {
		if (io_uring_wait_cqe(&u->ring, &cqe))
			continue;	/* EINTR */
		n = uring_reap(u, done, &stop);
		pthread_mutex_lock(&u->lock);
		u->busy -= n;
		uring_fill_locked(u);
		pthread_mutex_unlock(&u->lock);
		for (unsigned int i = 0; i < n; i++)
			uring_finish(u, done[i].io, done[i].res);
	}
	return NULL;
}

/* ---- the rest of the operations --------------------------------------- */

static int uring_flush(struct eng_raw *raw)
{
	while (fdatasync(to_uring(raw)->fd))
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int uring_discard(struct eng_raw *raw, uint64_t off, uint64_t len)
{
	struct uring_raw *u = to_uring(raw);
	uint64_t range[2] = { off, len };
	int ret;

	do {
		if (u->bdev)
			ret = ioctl(u->fd, BLKDISCARD, range);
		else
			ret = fallocate(u->fd, FALLOC_FL_PUNCH_HOLE |
					FALLOC_FL_KEEP_SIZE, (off_t)off,
					(off_t)len);
	} while (ret && errno == EINTR);
	if (!ret)
		return 0;
	if (errno == ENOSYS || errno == ENOTTY || errno == EINVAL)
		return -EOPNOTSUPP;
	return -errno;
}

static void uring_forget(struct eng_raw *raw, uint64_t off, uint64_t len)
{
	uint64_t from = off & ~4095ull;

	len = (off + len + 4095) / 4096 * 4096 - from;
	posix_fadvise(to_uring(raw)->fd, (off_t)from, (off_t)len,
		      POSIX_FADV_DONTNEED);
}

static void uring_stop_reaper(struct uring_raw *u)
{
	struct io_uring_sqe *sqe;

	pthread_mutex_lock(&u->lock);
	while (u->total)
		pthread_cond_wait(&u->idle, &u->lock);
	sqe = io_uring_get_sqe(&u->ring);	/* empty: there is room */
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, NULL);
	uring_enter_locked(u);
	pthread_mutex_unlock(&u->lock);
	pthread_join(u->reaper, NULL);
}

static void uring_free(struct uring_raw *u)
{
	if (u->direct >= 0)
		close(u->direct);
	if (u->fd >= 0)
		close(u->fd);
	pthread_mutex_destroy(&u->lock);
	pthread_cond_destroy(&u->idle);
	free(u->name);
	free(u);
}

static void uring_close(struct eng_raw *raw)
{
	struct uring_raw *u = to_uring(raw);

	uring_stop_reaper(u);
	io_uring_queue_exit(&u->ring);
	uring_free(u);
}

static const struct eng_raw_ops uring_ops = {
	.submit = uring_submit,
	.flush = uring_flush,
	.discard = uring_discard,
	.close = uring_close,
	.forget = uring_forget,
};

/* ---- open ------------------------------------------------------------- */

static int open_failed(const char *path, const char *what, int err)
{
	eng_log(LOG_ERR, "%s: %s: %s", path, what, strerror(err));
	return -err;
}

/* (5) A name may mean something else by now; the descriptor does not. */
static void uring_open_direct(struct uring_raw *u)
{
	int how = O_CLOEXEC | O_DIRECT | (u->raw.rdonly ? O_RDONLY : O_RDWR);
	char name[32];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", u->fd);
	u->direct = open(name, how);
}

/* (6) for files.  The daemon of a mount that was just taken down may still
 * hold it; waiting for that is up to the caller. */
static int uring_lock_file(struct uring_raw *u)
{
	int how = u->raw.rdonly ? LOCK_SH : LOCK_EX;

	while (flock(u->fd, how | LOCK_NB)) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			return open_failed(u->name, "cannot lock", errno);
		eng_log(LOG_ERR, "%s: is in use by another process (locked)",
			u->name);
		return -EBUSY;
	}
	return 0;
}

static int uring_size(struct uring_raw *u, const struct stat *st)
{
	if (!u->bdev) {
		u->raw.size = (uint64_t)st->st_size;
		return 0;
	}
	if (ioctl(u->fd, BLKGETSIZE64, &u->raw.size))
		return open_failed(u->name, "cannot find its size", errno);
	return 0;
}

static int uring_open_fd(struct uring_raw *u)
{
	int how = O_CLOEXEC | (u->raw.rdonly ? O_RDONLY : O_RDWR);
	struct stat st;

	if (stat(u->name, &st))
		return open_failed(u->name, "cannot open", errno);
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode)) {
		eng_log(LOG_ERR, "%s: is neither a file nor a block device",
			u->name);
		return S_ISDIR(st.st_mode) ? -EISDIR : -ENOTBLK;
	}
	u->bdev = S_ISBLK(st.st_mode);
	u->fd = open(u->name, how | (u->bdev ? O_EXCL : 0));	/* (6) */
	if (u->fd < 0 && errno == EBUSY) {
		eng_log(LOG_ERR, "%s: is in use (mounted, or opened "
			"exclusively)", u->name);
		return -EBUSY;
	}
	if (u->fd < 0)
		return open_failed(u->name, "cannot open", errno);
	if (fstat(u->fd, &st) || S_ISBLK(st.st_mode) != u->bdev)
		return open_failed(u->name, "changed while it was opened",
				   EBUSY);
	return uring_size(u, &st);
}

/* A filter may allow io_uring_setup and forbid io_uring_enter. */
static int uring_probe(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int err;

	io_uring_prep_nop(io_uring_get_sqe(ring));
	err = io_uring_submit_and_wait(ring, 1);
	if (err < 0)
		return err;
	err = io_uring_wait_cqe(ring, &cqe);
	if (!err)
		io_uring_cqe_seen(ring, cqe);
	return err;
}

static int uring_init_ring(struct uring_raw *u)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_CQSIZE, .cq_entries = URING_CQ,
	};
	int err = io_uring_queue_init_params(URING_SQ, &u->ring, &p);

	if (!err) {
		err = uring_probe(&u->ring);
		if (err)
			io_uring_queue_exit(&u->ring);
	}
	if (err)
		eng_log(LOG_ERR, "%s: io_uring is not available (forbidden by "
			"seccomp or by sysctl kernel.io_uring_disabled?): %s",
			u->name, strerror(-err));
	return err;
}

static int uring_init(struct uring_raw *u, const char *path)
{
	int err;

	u->fd = u->direct = -1;
	u->nowait = true;
	u->tail = &u->head;
	u->raw.ops = &uring_ops;
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->idle, NULL);
	u->raw.name = u->name = strdup(path);
	if (!u->name)
		return -ENOMEM;
	err = uring_open_fd(u);
	if (!err && !u->bdev)
		err = uring_lock_file(u);
	if (!err)
		uring_open_direct(u);
	return err;
}

int eng_raw_open(struct eng_raw **out, const char *path, unsigned int flags)
{
	struct uring_raw *u = calloc(1, sizeof(*u));
	int err;

	*out = NULL;
	if (!u)
		return -ENOMEM;
	u->raw.rdonly = flags & ENG_OPEN_RDONLY;
	err = uring_init(u, path);
	if (!err)
		err = uring_init_ring(u);
	if (err)
		goto out_free;
	err = -pthread_create(&u->reaper, NULL, uring_reaper, u);
	if (err)
		goto out_ring;
	*out = &u->raw;
	return 0;

out_ring:
	io_uring_queue_exit(&u->ring);
out_free:
	uring_free(u);
	return err;
}
