/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fsx.c - one file of a mount against an array in memory: random writes,
 * reads, mapped writes and reads, truncates, holes, zeroed ranges,
 * reservations, fsync, drops of the page cache.
 *
 *	fsx FILE SEED STEPS [MAXSIZE]
 *
 * Exits 1 and names seed and step at the first difference. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uint8_t *want, *got;
static size_t size, max;
static unsigned long step;
static unsigned long long seed, state;
static int fd;

static uint64_t rnd(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return n ? state % n : 0;
}

static void die(const char *what, size_t off, size_t len)
{
	fprintf(stderr, "fsx: seed %llu step %lu: %s at %zu+%zu, size %zu: "
		"%s\n", seed, step, what, off, len, size, strerror(errno));
	exit(1);
}

static void compare(const char *what, size_t off, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (got[i] == want[off + i])
			continue;
		fprintf(stderr, "fsx: seed %llu step %lu: %s of %zu+%zu "
			"(size %zu): byte %zu is 0x%02x, expected 0x%02x\n",
			seed, step, what, off, len, size, off + i, got[i],
			want[off + i]);
		exit(1);
	}
}

static void range(size_t limit, size_t *off, size_t *len)
{
	*off = rnd(limit);
	*len = 1 + rnd(rnd(4) ? 20000 : 300000);
	if (rnd(4) == 0) {
		*off &= ~(size_t)4095;
		*len = (*len + 4095) & ~(size_t)4095;
	}
	if (*off + *len > limit)
		*len = limit - *off;
}

static void fill(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = rnd(256);
}

static void grow_to(size_t n)
{
	if (n > size)
		size = n;
}

static void do_write(size_t off, size_t len)
{
	fill(want + off, len);
	if (pwrite(fd, want + off, len, off) != (ssize_t)len)
		die("write", off, len);
	grow_to(off + len);
}

static void do_read(size_t off, size_t len)
{
	if (pread(fd, got, len, off) != (ssize_t)len)
		die("read", off, len);
	compare("read", off, len);
}

static void do_map(size_t off, size_t len, int writing)
{
	size_t base = off & ~(size_t)4095, n = off + len - base;
	uint8_t *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  base);

	if (p == MAP_FAILED)
		die("mmap", off, len);
	if (writing) {
		fill(want + off, len);
		memcpy(p + (off - base), want + off, len);
	} else {
		memcpy(got, p + (off - base), len);
		compare("mapped read", off, len);
	}
	if (rnd(4) == 0 && msync(p, n, MS_SYNC))
		die("msync", off, len);
	munmap(p, n);
}

static void do_truncate(size_t n)
{
	if (ftruncate(fd, n))
		die("truncate", n, 0);
	if (n < size)
		memset(want + n, 0, size - n);
	size = n;
}

static void do_fallocate(int mode, size_t off, size_t len)
{
	if (fallocate(fd, mode, off, len)) {
		if (errno == EOPNOTSUPP)
			return;
		die("fallocate", off, len);
	}
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(want + off, 0, off + len > size && mode &
		       FALLOC_FL_KEEP_SIZE ? (off < size ? size - off : 0) :
		       len);
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		grow_to(off + len);
}

static void check_size(void)
{
	struct stat st;

	if (fstat(fd, &st))
		die("fstat", 0, 0);
	if ((size_t)st.st_size != size)
		die("wrong size", st.st_size, 0);
}

static void one_step(const char *path)
{
	size_t off, len;

	range(max, &off, &len);
	switch (rnd(14)) {
	case 0: case 1: case 2:
		do_write(off, len);
		break;
	case 3:
		do_truncate(rnd(3) || max < 8192 ? rnd(max) : rnd(8192));
		break;
	case 4:
		do_fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off,
			     len);
		break;
	case 5:
		do_fallocate(FALLOC_FL_ZERO_RANGE |
			     (rnd(2) ? FALLOC_FL_KEEP_SIZE : 0), off, len);
		break;
	case 6:
		do_fallocate(rnd(2) ? FALLOC_FL_KEEP_SIZE : 0, off, len);
		break;
	case 7:
		if (rnd(2) ? fsync(fd) : fdatasync(fd))
			die("fsync", 0, 0);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		break;
	case 8:
		close(fd);
		fd = open(path, O_RDWR);
		if (fd < 0)
			die("open", 0, 0);
		break;
	default:
		if (!size)
			break;
		range(size, &off, &len);
		if (rnd(3))
			do_read(off, len);
		else
			do_map(off, len, rnd(2));
	}
	check_size();
}

int main(int argc, char **argv)
{
	unsigned long steps;

	if (argc < 4) {
		fprintf(stderr, "usage: fsx FILE SEED STEPS [MAXSIZE]\n");
		return 2;
	}
	seed = strtoull(argv[2], NULL, 0);
	state = seed * 0x9e3779b97f4a7c15ull + 1;
	steps = strtoul(argv[3], NULL, 0);
	max = argc > 4 ? strtoul(argv[4], NULL, 0) : 1 << 20;
	want = calloc(1, max);
	got = malloc(max);
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || !want || !got)
		die("open", 0, 0);
	for (step = 0; step < steps; step++)
		one_step(argv[1]);
	if (size)
		do_read(0, size);
	close(fd);
	return 0;
}
