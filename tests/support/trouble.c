/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trouble.c - preloaded into tagfs: storage that is slow or hangs, and memory
 * that runs out.  From the environment:
 *
 *  TROUBLE_MS=N		each write to the device takes so long
 *  TROUBLE_STUCK=FILE	while there is that file, none comes back
 *  TROUBLE_MALLOC=N	the Nth allocation fails
 *  TROUBLE_MALLOC_ON=FILE	while there is that file, large ones (64 KiB) do
 *
 * Only what the program itself was started as is troubled, not its children. */
#include <errno.h>
#include <dlfcn.h>
#include <liburing.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static atomic_bool ready;
static atomic_long left;		/* allocations until one fails */
static const char *stuck, *large;
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

int io_uring_submit(struct io_uring *ring)
{
	int (*real)(struct io_uring *) =
		(int (*)(struct io_uring *))dlsym(RTLD_NEXT, "io_uring_submit");

	hold();
	return real(ring);
}
