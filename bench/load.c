/* SPDX-License-Identifier: GPL-2.0-or-later */
/* load.c - the workload of the mount benchmark, one phase per call, so that
 * the caller can remount in between.
 *  (1) Every peer runs this code; nothing here knows a file system.
 *  (2) The monotonic clock covers the measured calls alone.  Buffers, the
 *      order of reads and threads are made ready before it starts.
 *  (3) What a changing phase reports is permanent: the fsync() of the file
 *      or the directory is inside the clock.
 *  (4) Every page of the data file carries its number.  A read that returns
 *      other bytes fails the phase; it is no result. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE		4096u
#define BLOCK		(1u << 20)
#define DATA_NAME	"data"
#define DIR_NAME	"files"
#define MAX_DEPTH	16u

struct load {
	int		dir;		/* the directory under test */
	uint64_t	size;		/* of the data file, whole blocks */
	uint64_t	reads;		/* random ones; no page twice */
	unsigned int	files;
};

struct result {
	double		seconds;
	uint64_t	ops;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* splitmix64: the same bytes and the same order in every run. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void *block_alloc(void)
{
	uint64_t *block = aligned_alloc(PAGE, BLOCK), seed = 1;

	for (size_t i = 0; block && i < BLOCK / sizeof(*block); i++)
		block[i] = next_random(&seed);
	return block;
}

/* ---- one big file ----------------------------------------------------- */

static void stamp(uint8_t *block, uint64_t off)
{
	for (uint64_t i = 0; i < BLOCK; i += PAGE) {
		uint64_t number = (off + i) / PAGE;

		memcpy(block + i, &number, sizeof(number));
	}
}

static bool stamped(const uint8_t *data, uint64_t len, uint64_t off)
{
	for (uint64_t i = 0; i < len; i += PAGE) {
		uint64_t number;

		memcpy(&number, data + i, sizeof(number));
		if (number != (off + i) / PAGE)
			return false;
	}
	return true;
}

static int write_blocks(int fd, uint8_t *block, uint64_t size)
{
	for (uint64_t off = 0; off < size; off += BLOCK) {
		stamp(block, off);
		for (size_t done = 0; done < BLOCK;) {
			ssize_t n = write(fd, block + done, BLOCK - done);

			if (n < 0)
				return -errno;
			done += (size_t)n;
		}
	}
	return fsync(fd) ? -errno : 0;		/* (3) */
}

static int read_blocks(int fd, uint8_t *block, uint64_t size)
{
	for (uint64_t off = 0; off < size; off += BLOCK) {
		for (size_t done = 0; done < BLOCK;) {
			ssize_t n = read(fd, block + done, BLOCK - done);

			if (n <= 0)
				return n ? -errno : -EIO;
			done += (size_t)n;
		}
		if (!stamped(block, BLOCK, off))
			return -EBADMSG;	/* (4) */
	}
	return 0;
}

static int sequential(const struct load *l, int flags,
		      int (*pass)(int fd, uint8_t *block, uint64_t size),
		      struct result *res)
{
	uint8_t *block = block_alloc();
	double start;
	int fd, err;

	if (!block)
		return -ENOMEM;
	start = now();
	fd = openat(l->dir, DATA_NAME, flags, 0644);
	if (fd < 0) {
		err = -errno;
		goto out_free;
	}
	err = pass(fd, block, l->size);
	if (close(fd) && !err)
		err = -errno;
	res->seconds = now() - start;
	res->ops = l->size / BLOCK;
out_free:
	free(block);
	return err;
}

static int seqwrite(const struct load *l, struct result *res)
{
	return sequential(l, O_WRONLY | O_CREAT | O_EXCL, write_blocks, res);
}

static int seqread(const struct load *l, struct result *res)
{
	return sequential(l, O_RDONLY, read_blocks, res);
}

/* ---- random reads ----------------------------------------------------- */

struct reader {
	pthread_t	thread;
	pthread_barrier_t *ready;
	int		fd;
	const uint64_t	*pages;		/* to read, in this order */
	uint64_t	count;
	int		err;		/* the thread's until joined */
};

static void *reader_run(void *arg)
{
	_Alignas(4096) uint8_t page[PAGE];
	struct reader *r = arg;

	pthread_barrier_wait(r->ready);
	pthread_barrier_wait(r->ready);
	for (uint64_t i = 0; i < r->count && !r->err; i++) {
		uint64_t off = r->pages[i] * PAGE;
		ssize_t n = pread(r->fd, page, PAGE, (off_t)off);

		if (n < 0)
			r->err = -errno;
		else if (n != PAGE)
			r->err = -EIO;
		else if (!stamped(page, PAGE, off))
			r->err = -EBADMSG;	/* (4) */
	}
	return NULL;
}

/* The pages of the file, shuffled. */
static uint64_t *page_order(uint64_t count)
{
	uint64_t *pages = calloc(count, sizeof(*pages)), seed = 2;

	for (uint64_t i = 0; pages && i < count; i++) {
		uint64_t j = next_random(&seed) % (i + 1);

		pages[i] = pages[j];
		pages[j] = i;
	}
	return pages;
}

/* Readers meet at the barrier twice: all are there, and the clock runs.  A
 * missing thread would leave the others waiting: give up as a whole. */
static int run_readers(struct reader *readers, unsigned int depth,
		       struct result *res)
{
	pthread_barrier_t ready;
	double start;
	int err;

	pthread_barrier_init(&ready, NULL, depth + 1);
	for (unsigned int i = 0; i < depth; i++) {
		readers[i].ready = &ready;
		err = pthread_create(&readers[i].thread, NULL, reader_run,
				     &readers[i]);
		if (err) {
			fprintf(stderr, "load: thread: %s\n", strerror(err));
			exit(1);
		}
	}
	pthread_barrier_wait(&ready);
	start = now();
	pthread_barrier_wait(&ready);
	err = 0;
	for (unsigned int i = 0; i < depth; i++) {
		pthread_join(readers[i].thread, NULL);
		if (!err)
			err = readers[i].err;
	}
	res->seconds = now() - start;
	pthread_barrier_destroy(&ready);
	return err;
}

static int random_reads(const struct load *l, unsigned int depth,
			struct result *res)
{
	uint64_t total = l->size / PAGE, *pages = page_order(total);
	uint64_t share = (l->reads < total ? l->reads : total) / depth;
	struct reader readers[MAX_DEPTH] = { 0 };
	int fd, err;

	if (!pages)
		return -ENOMEM;
	fd = openat(l->dir, DATA_NAME, O_RDONLY);
	if (fd < 0) {
		err = -errno;
		goto out_free;
	}
	/* Without this the kernel reads ahead around pages it already has,
	 * and the phase measures its guesses. */
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	for (unsigned int i = 0; i < depth; i++) {
		readers[i].fd = fd;
		readers[i].pages = pages + i * share;
		readers[i].count = share;
	}
	err = run_readers(readers, depth, res);
	res->ops = share * depth;
	close(fd);
out_free:
	free(pages);
	return err;
}

static int randread1(const struct load *l, struct result *res)
{
	return random_reads(l, 1, res);
}

static int randread16(const struct load *l, struct result *res)
{
	return random_reads(l, MAX_DEPTH, res);
}

/* ---- many small files ------------------------------------------------- */

static int create_one(int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0644);

	return fd < 0 || close(fd) ? -errno : 0;
}

static int stat_one(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

static int unlink_one(int dir, const char *name)
{
	return unlinkat(dir, name, 0) ? -errno : 0;
}

static int each_file(const struct load *l,
		     int (*one)(int dir, const char *name), bool sync,
		     struct result *res)
{
	int dir = openat(l->dir, DIR_NAME, O_RDONLY | O_DIRECTORY), err = 0;
	double start = now();

	if (dir < 0)
		return -errno;
	for (unsigned int i = 0; i < l->files && !err; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%08u", i);
		err = one(dir, name);
	}
	if (sync && !err && fsync(dir))		/* (3) */
		err = -errno;
	res->seconds = now() - start;
	res->ops = l->files;
	close(dir);
	return err;
}

static int create(const struct load *l, struct result *res)
{
	if (mkdirat(l->dir, DIR_NAME, 0755))
		return -errno;
	return each_file(l, create_one, true, res);
}

static int stats(const struct load *l, struct result *res)
{
	return each_file(l, stat_one, false, res);
}

static int unlinks(const struct load *l, struct result *res)
{
	int err = each_file(l, unlink_one, true, res);

	/* Also the proof that nothing stayed behind. */
	if (!err && unlinkat(l->dir, DIR_NAME, AT_REMOVEDIR))
		err = -errno;
	return err;
}

/* ---- command line ----------------------------------------------------- */

static const struct phase {
	const char	*name;
	int		(*run)(const struct load *l, struct result *res);
} phases[] = {
	{ "seqwrite", seqwrite },
	{ "seqread", seqread },
	{ "randread1", randread1 },
	{ "randread16", randread16 },
	{ "create", create },
	{ "stat", stats },
	{ "unlink", unlinks },
	{ NULL, NULL },
};

static _Noreturn void usage(void)
{
	fprintf(stderr,
		"usage: load [-s MiB] [-r READS] [-n FILES] PHASE DIR\n"
		"phases:");
	for (const struct phase *p = phases; p->name; p++)
		fprintf(stderr, " %s", p->name);
	fprintf(stderr, "\n");
	exit(2);
}

static unsigned long number(const char *arg)
{
	char *end;
	unsigned long n = strtoul(arg, &end, 10);

	if (!n || *end || n > 1u << 30)
		usage();
	return n;
}

static int run(const struct phase *p, const struct load *l)
{
	struct result res = { 0 };
	int err = p->run(l, &res);

	if (err) {
		fprintf(stderr, "load: %s: %s\n", p->name, strerror(-err));
		return 1;
	}
	printf("{\"phase\": \"%s\", \"seconds\": %.9f, \"ops\": %" PRIu64 "}\n",
	       p->name, res.seconds, res.ops);
	return 0;
}

int main(int argc, char **argv)
{
	struct load l = {
		.size = 1u << 30, .reads = 32768, .files = 10000,
	};
	const struct phase *p = phases;
	int opt;

	while ((opt = getopt(argc, argv, "s:r:n:")) != -1) {
		if (opt == 's')
			l.size = (uint64_t)number(optarg) * BLOCK;
		else if (opt == 'r')
			l.reads = number(optarg);
		else if (opt == 'n')
			l.files = (unsigned int)number(optarg);
		else
			usage();
	}
	if (argc - optind != 2)
		usage();
	while (p->name && strcmp(p->name, argv[optind]))
		p++;
	if (!p->name)
		usage();
	l.dir = open(argv[optind + 1], O_RDONLY | O_DIRECTORY);
	if (l.dir < 0) {
		fprintf(stderr, "load: %s: %s\n", argv[optind + 1],
			strerror(errno));
		return 1;
	}
	return run(p, &l);
}
