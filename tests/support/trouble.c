/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trouble.c - preloaded into tagfs: storage that is slow, hangs or can't be
 * read, and memory that runs out.  From the environment:
 *
 *  TROUBLE_MS=N		each write to the device takes so long
 *  TROUBLE_STUCK=FILE	while there is that file, none comes back
 *  TROUBLE_BAD=OFF:LEN,...	reads of these bytes of the device fail with EIO
 *  TROUBLE_BAD_LOG=FILE	and each of them is a line in that file
 *  TROUBLE_MALLOC=N	the Nth allocation fails
 *  TROUBLE_MALLOC_ON=FILE	while there is that file, large ones (64 KiB) do
 *
 * Only what the program itself was started as is troubled, not its children. */
#include <errno.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static atomic_bool ready;
static atomic_long left;		/* allocations until one fails */
static const char *stuck, *large, *bad, *bad_log;
static int nowhere = -1;		/* a descriptor whose reads fail */
static useconds_t delay;

static long number(const char *name)
{
	const char *value = getenv(name);

	return value ? atol(value) : 0;
}

__attribute__((constructor)) static void begin(void)
{
	left = number("TROUBLE_MALLOC");
	delay = (useconds_t)number("TROUBLE_MS") * 1000;
	stuck = getenv("TROUBLE_STUCK");
	large = getenv("TROUBLE_MALLOC_ON");
	bad = getenv("TROUBLE_BAD");
	bad_log = getenv("TROUBLE_BAD_LOG");
	unsetenv("LD_PRELOAD");
	ready = true;
}

static bool fails(size_t size)
{
	if (!ready)
		return false;
	if ((left > 0 && --left == 0) ||
	    (large && size >= 65536 && !access(large, F_OK))) {
		errno = ENOMEM;
		return true;
	}
	return false;
}

void *malloc(size_t size)
{
	return fails(size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fails(n * size) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return fails(size) ? NULL : __libc_realloc(p, size);
}

static void hold(void)
{
	if (delay)
		usleep(delay);
	while (stuck && !access(stuck, F_OK))
		usleep(10000);
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	hold();
	return pwritev2(fd, iov, n, off, 0);
}

/* ---- reads that fail -------------------------------------------------------- */

static void count_bad(uint64_t off, uint64_t len)
{
	char line[64];
	int fd, n;

	if (!bad_log)
		return;
	n = snprintf(line, sizeof(line), "%llu %llu\n",
		     (unsigned long long)off, (unsigned long long)len);
	fd = open(bad_log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		abort();
	close(fd);
}

static bool is_bad(uint64_t off, uint64_t len)
{
	const char *p = bad;

	while (p && *p) {
		char *end;
		uint64_t at = strtoull(p, &end, 0), n;

		if (*end != ':')
			abort();
		n = strtoull(end + 1, &end, 0);
		if (off < at + n && off + len > at)
			return true;
		p = *end ? end + 1 : end;
	}
	return false;
}

static uint64_t length(const struct iovec *iov, int n)
{
	uint64_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* What the page cache has is as bad; the ring is asked next. */
static ssize_t cached(int fd, const struct iovec *iov, int n, off_t off,
		      int flags)
{
	ssize_t (*real)(int, const struct iovec *, int, off_t, int) =
		(ssize_t (*)(int, const struct iovec *, int, off_t, int))
		dlsym(RTLD_NEXT, "preadv64v2");

	if (bad && is_bad((uint64_t)off, length(iov, n))) {
		errno = EAGAIN;
		return -1;
	}
	return real(fd, iov, n, off, flags);
}

ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	return cached(fd, iov, n, off, flags);
}

ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	return cached(fd, iov, n, off, flags);
}

/* Nothing is mapped at offsets of small devices, so that reading memory there
 * is an I/O error.  Opened late: programs close what they start with. */
static void spoil(struct io_uring *ring)
{
	if (nowhere < 0)
		nowhere = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	for (unsigned int i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++) {
		struct io_uring_sqe *sqe =
			&ring->sq.sqes[i & *ring->sq.kring_mask];
		uint64_t len;

		if (sqe->opcode == IORING_OP_READV)
			len = length((const struct iovec *)
				     (uintptr_t)sqe->addr, (int)sqe->len);
		else if (sqe->opcode == IORING_OP_READ)
			len = sqe->len;
		else
			continue;
		if (!is_bad(sqe->off, len))
			continue;
		sqe->fd = nowhere;
		count_bad(sqe->off, len);
	}
}

int io_uring_submit(struct io_uring *ring)
{
	int (*real)(struct io_uring *) =
		(int (*)(struct io_uring *))dlsym(RTLD_NEXT, "io_uring_submit");

	hold();
	if (bad)
		spoil(ring);
	return real(ring);
}
