/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* raw_uring.c - a file or block device as raw storage, through io_uring or,
 * where that is refused, by threads.
 *  (1) What the page cache can do at once is done in submit, end() included:
 *      reads of what is there, and writes, which only copy (and are held up
 *      only where the kernel means to throttle the writer).  The ring has
 *      what waits for the medium, and end() runs on its reaper thread then.
 *      A file in memory (tmpfs) has no way to ask whether all is there, and
 *      need not be asked; a ring would have a thread of the kernel copy it.
 *  (2) The caller's iovecs are never changed.
 *  (3) A short transfer is no error: it goes on where it stopped, io->done.
 *      One that moves nothing is: a file that has become shorter, or a full
 *      one.
 *  (4) What is to go past the page cache goes through a second descriptor,
 *      O_DIRECT.  Where there is none, or memory and offset are not aligned
 *      for it, the range is written back and dropped first, or afterwards.
 *  (5) One of ring and plain is there.  What is said of the ring goes for the
 *      other, only that end() runs on one of its threads.
 *  (6) Descriptors keep their numbers for as long as there may be I/O: what is
 *      opened anew takes that of the old one.
 *  (7) fill.c is told of each write before anything of it is written, and when
 *      it is over, before end(). */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <syslog.h>
#include <unistd.h>

#include "core/lock.h"
#include "io/fill.h"
#include "io/plain.h"
#include "io/raw.h"
#include "tagpi.h"

#define URING_ALIGN	4096u	/* no device wants more for O_DIRECT */

struct uring_raw {
	struct eng_raw	raw;
	int		fd;		/* fixed after open */
	int		direct;		/* (4); -1: there is none */
	bool		bdev;		/* fixed after open */
	bool		memory;		/* fixed after open: on tmpfs */
	bool		nowait;		/* atomic: trying at once is worth it */
	struct eng_ring	*ring;		/* (5) */
	struct eng_plain *plain;
	struct eng_fill	fill;
	char		*name;
};

static struct uring_raw *to_uring(struct eng_raw *raw)
{
	return (struct uring_raw *)raw;
}

/* ---- transfers -------------------------------------------------------- */

static struct eng_raw_io *to_io(struct eng_ring_op *op)
{
	return (struct eng_raw_io *)((char *)op -
				     offsetof(struct eng_raw_io, op));
}

static void uring_prep(struct eng_ring_op *op, struct io_uring_sqe *sqe)
{
	struct eng_raw_io *io = to_io(op);
	struct uring_raw *u = to_uring(io->raw);

	eng_ring_prep_rw(sqe, io->direct ? u->direct : u->fd, io->write,
			 io->iov, io->niov, io->off, io->done);
}

static int uring_run(struct eng_ring_op *op)
{
	struct eng_raw_io *io = to_io(op);
	struct uring_raw *u = to_uring(io->raw);

	return eng_plain_rw(io->direct ? u->direct : u->fd, io->write,
			    io->iov, io->niov, io->off, io->done);
}

/* (5) */
static void uring_start(struct uring_raw *u, struct eng_raw_io *io)
{
	if (u->ring && io->here)
		eng_ring_start_here(u->ring, &io->op);
	else if (u->ring)
		eng_ring_start(u->ring, &io->op);
	else
		eng_plain_start(u->plain, &io->op);
}

/* (7) */
static void uring_over(struct uring_raw *u, struct eng_raw_io *io, int err)
{
	if (io->write)
		eng_fill_leave(&u->fill);
	eng_raw_end(io, err);
}

/* (3) */
static void uring_end(struct eng_ring_op *op, int res)
{
	struct eng_raw_io *io = to_io(op);

	if (res > 0)
		io->done += (uint64_t)res;
	if (res <= 0)
		uring_over(to_uring(io->raw), io, res ? res : -EIO);
	else if (io->done == io->len)
		uring_over(to_uring(io->raw), io, 0);
	else
		uring_start(to_uring(io->raw), io);
}

static ssize_t uring_read_cached(struct uring_raw *u, struct eng_raw_io *io)
{
	ssize_t n;

	if (!__atomic_load_n(&u->nowait, __ATOMIC_RELAXED))
		return 0;
	n = preadv2(u->fd, io->iov, io->niov, (off_t)io->off,
		    u->memory ? 0 : RWF_NOWAIT);
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

/* (4) True: io is over. */
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

/* (1) True: io is over.  Errors are left to the ring to find again. */
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
	if (io->write)
		eng_fill_enter(&u->fill, io->off, io->len);	/* (7) */
	if (io->direct ? uring_past_cache(u, io) : uring_try_cached(u, io)) {
		uring_over(u, io, 0);
		return;
	}
	io->raw = raw;
	io->op.prep = uring_prep;
	io->op.end = uring_end;
	uring_start(u, io);
}

/* ---- the rest of the operations --------------------------------------- */

static int uring_flush(struct eng_raw *raw)
{
	struct uring_raw *u = to_uring(raw);

	eng_fill_flush(&u->fill);
	while (fdatasync(u->fd))
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

static bool uring_hole(struct eng_raw *raw, uint64_t off, uint64_t len)
{
	struct uring_raw *u = to_uring(raw);

	return !u->bdev && eng_hole_at(u->fd, off, len) == (ssize_t)len;
}

static void uring_free(struct uring_raw *u)
{
	if (u->direct >= 0)
		close(u->direct);
	if (u->fd >= 0)
		close(u->fd);
	eng_fill_exit(&u->fill);
	free(u->name);
	free(u);
}

static void uring_close(struct eng_raw *raw)
{
	struct uring_raw *u = to_uring(raw);

	eng_ring_destroy(u->ring);
	eng_plain_destroy(u->plain);
	uring_free(u);
}

static int write_protected(int fd)
{
	int on = 0;

	return !ioctl(fd, BLKROGET, &on) && on ? -EROFS : 0;
}

/* (6) */
static int uring_reopen(struct eng_raw *raw)
{
	struct uring_raw *u = to_uring(raw);
	int fd = eng_fd_reopen(u->fd, O_RDWR), direct, err;

	if (fd < 0)
		return fd;
	err = u->bdev ? write_protected(fd) : 0;
	if (err)
		goto out;
	if (u->direct >= 0) {
		direct = eng_fd_reopen(u->fd, O_RDWR | O_DIRECT);
		if (direct < 0) {
			err = direct;
			goto out;
		}
		dup3(direct, u->direct, O_CLOEXEC);
		close(direct);
	}
	dup3(fd, u->fd, O_CLOEXEC);
	raw->rdonly = false;
out:
	close(fd);
	return err;
}

static const struct eng_raw_ops uring_ops = {
	.submit = uring_submit,
	.flush = uring_flush,
	.discard = uring_discard,
	.close = uring_close,
	.forget = uring_forget,
	.hole = uring_hole,
	.reopen = uring_reopen,
};

/* ---- open ------------------------------------------------------------- */

static int open_failed(const char *path, const char *what, int err)
{
	eng_log(LOG_ERR, "%s: %s: %s", path, what, strerror(err));
	return -err;
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

static bool is_memory(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && (fs.f_type == TMPFS_MAGIC ||
				     fs.f_type == RAMFS_MAGIC);
}

static int uring_open_fd(struct uring_raw *u, int fd)
{
	struct stat st;

	u->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (u->fd < 0 || fstat(u->fd, &st))
		return open_failed(u->name, "cannot open", errno);
	eng_fill_use(&u->fill, u->fd);
	u->bdev = S_ISBLK(st.st_mode);
	u->memory = !u->bdev && is_memory(u->fd);
	u->direct = eng_fd_reopen(fd, O_DIRECT | (u->raw.rdonly ? O_RDONLY :
						  O_RDWR));	/* (4) */
	return uring_size(u, &st);
}

static int uring_init(struct uring_raw *u, const char *path, int fd)
{
	u->fd = u->direct = -1;
	eng_fill_init(&u->fill);
	u->nowait = true;
	u->raw.ops = &uring_ops;
	u->raw.name = u->name = strdup(path);
	if (!u->name)
		return -ENOMEM;
	return uring_open_fd(u, fd);
}

/* (5)  Said once: it is the same for all that a program opens. */
static int uring_open_ring(struct uring_raw *u)
{
	static bool said;
	int why = eng_plain_reason();

	if (!why)
		return eng_ring_create(&u->ring, u->name, 0);
	if (!__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
		eng_log(LOG_NOTICE, "no io_uring here (forbidden by seccomp "
			"or by sysctl kernel.io_uring_disabled?): %s; threads "
			"read and write instead", strerror(-why));
	return eng_plain_create(&u->plain, uring_run);
}

int eng_raw_open(struct eng_raw **out, const char *path, int fd,
		 unsigned int flags)
{
	struct uring_raw *u = calloc(1, sizeof(*u));
	int err;

	*out = NULL;
	if (!u)
		return -ENOMEM;
	u->raw.rdonly = flags & ENG_OPEN_RDONLY;
	err = uring_init(u, path, fd);
	if (!err)
		err = uring_open_ring(u);
	if (err)
		uring_free(u);
	else
		*out = &u->raw;
	return err;
}
