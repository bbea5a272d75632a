/* SPDX-License-Identifier: GPL-2.0-or-later */
/* load.c - the workload of the mount benchmark, one phase per call, so that
 * the caller can remount in between.
 *  (1) Every peer runs this code; nothing here knows a file system.
 *  (2) The monotonic clock covers the measured calls alone.  Buffers, the
 *      order of reads and threads are made ready before it starts.
 *  (3) What a changing phase reports is permanent: the fsync() of the file
 *      or the directory is inside the clock.  "churn" is the exception: it
 *      leaves unfinished work behind, which is its purpose.
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
#define MAX_THREADS	16u
#define CHURN_PAGES	256u		/* from fdatasync() to fdatasync() */

struct load {
	int		dir;		/* the directory under test */
	uint64_t	size;		/* of the data file, whole blocks */
	uint64_t	reads;		/* random ones; no page twice */
	unsigned int	files;
	uint64_t	syncs;		/* operations of a phase with fsync */
	const char	*phase;
	unsigned int	threads;
};

struct result {
	double		seconds;
	uint64_t	ops;
	uint64_t	syncs;		/* fsync() and fdatasync() in it */
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
	res->syncs = (flags & O_ACCMODE) == O_WRONLY;
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

/* ---- threads ---------------------------------------------------------- */

struct worker {
	pthread_t	thread;
	pthread_barrier_t *ready;
	int		(*work)(struct worker *w);
	unsigned int	number;
	int		fd;		/* a file, or a directory to work in */
	const uint64_t	*pages;		/* to visit, in this order */
	uint64_t	count;
	uint64_t	syncs;		/* this and err: until joined */
	int		err;
};

static void *worker_run(void *arg)
{
	struct worker *w = arg;

	pthread_barrier_wait(w->ready);
	pthread_barrier_wait(w->ready);
	w->err = w->work(w);
	return NULL;
}

/* A missing thread would leave the others waiting: give up as a whole. */
static void worker_start(struct worker *w, pthread_barrier_t *ready)
{
	int err;

	w->ready = ready;
	err = pthread_create(&w->thread, NULL, worker_run, w);
	if (err) {
		fprintf(stderr, "load: thread: %s\n", strerror(err));
		exit(1);
	}
}

/* Workers meet at the barrier twice: all are there, and the clock runs. */
static int run_workers(struct worker *workers, unsigned int threads,
		       struct result *res)
{
	pthread_barrier_t ready;
	double start;
	int err = 0;

	pthread_barrier_init(&ready, NULL, threads + 1);
	for (unsigned int i = 0; i < threads; i++)
		worker_start(&workers[i], &ready);
	pthread_barrier_wait(&ready);
	start = now();
	pthread_barrier_wait(&ready);
	for (unsigned int i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		res->ops += workers[i].count;
		res->syncs += workers[i].syncs;
		if (!err)
			err = workers[i].err;
	}
	res->seconds = now() - start;
	pthread_barrier_destroy(&ready);
	return err;
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

/* Each thread does its share of a number of pages of the data file. */
static int visit_pages(const struct load *l, int flags, uint64_t count,
		       int (*work)(struct worker *w), struct result *res)
{
	uint64_t total = l->size / PAGE, *pages = page_order(total);
	uint64_t share = (count < total ? count : total) / l->threads;
	struct worker workers[MAX_THREADS] = { 0 };
	int fd, err;

	if (!pages)
		return -ENOMEM;
	fd = openat(l->dir, DATA_NAME, flags);
	if (fd < 0) {
		err = -errno;
		goto out_free;
	}
	/* Without this the kernel reads ahead around pages it already has,
	 * and the phase measures its guesses. */
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	for (unsigned int i = 0; i < l->threads; i++)
		workers[i] = (struct worker){
			.work = work, .number = i, .fd = fd,
			.pages = pages + i * share, .count = share,
		};
	err = run_workers(workers, l->threads, res);
	close(fd);
out_free:
	free(pages);
	return err;
}

/* ---- random reads ----------------------------------------------------- */

static int read_pages(struct worker *w)
{
	_Alignas(4096) uint8_t page[PAGE];

	for (uint64_t i = 0; i < w->count; i++) {
		uint64_t off = w->pages[i] * PAGE;
		ssize_t n = pread(w->fd, page, PAGE, (off_t)off);

		if (n != PAGE)
			return n < 0 ? -errno : -EIO;
		if (!stamped(page, PAGE, off))
			return -EBADMSG;	/* (4) */
	}
	return 0;
}

static int random_reads(const struct load *l, struct result *res)
{
	return visit_pages(l, O_RDONLY, l->reads, read_pages, res);
}

/* ---- small writes, each made permanent -------------------------------- */

static void fill_page(uint8_t *page, uint64_t seed)
{
	for (size_t i = 0; i < PAGE; i += sizeof(uint64_t)) {
		uint64_t word = next_random(&seed);

		memcpy(page + i, &word, sizeof(word));
	}
}

static int write_page(int fd, uint8_t *page, uint64_t number)
{
	ssize_t n;

	memcpy(page, &number, sizeof(number));	/* (4) */
	n = pwrite(fd, page, PAGE, (off_t)(number * PAGE));
	if (n == PAGE)
		return 0;
	return n < 0 ? -errno : -EIO;
}

static int sync_file(struct worker *w, int fd)
{
	w->syncs++;
	return fsync(fd) ? -errno : 0;
}

static int sync_data(struct worker *w, int fd)
{
	w->syncs++;
	return fdatasync(fd) ? -errno : 0;
}

static int overwrite_pages(struct worker *w)
{
	_Alignas(4096) uint8_t page[PAGE];
	int err = 0;

	for (uint64_t i = 0; i < w->count && !err; i++) {
		fill_page(page, w->pages[i]);
		err = write_page(w->fd, page, w->pages[i]);
		if (!err)
			err = sync_data(w, w->fd);
	}
	return err;
}

static int overwrites(const struct load *l, struct result *res)
{
	return visit_pages(l, O_WRONLY, l->syncs, overwrite_pages, res);
}

/* What comes after the last fdatasync() is left unfinished: (3). */
static int churn_pages(struct worker *w)
{
	_Alignas(4096) uint8_t page[PAGE];
	int err = 0;

	for (uint64_t i = 0; i < w->count && !err; i++) {
		if (i && i % CHURN_PAGES == 0)
			err = sync_data(w, w->fd);
		fill_page(page, w->pages[i]);
		if (!err)
			err = write_page(w->fd, page, w->pages[i]);
	}
	return err;
}

static int churn(const struct load *l, struct result *res)
{
	return visit_pages(l, O_WRONLY, l->size / PAGE, churn_pages, res);
}

static int append_pages(struct worker *w)
{
	_Alignas(4096) uint8_t page[PAGE];
	char name[16];
	int fd, err = 0;

	snprintf(name, sizeof(name), "f%u", w->number);
	fd = openat(w->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0644);
	if (fd < 0)
		return -errno;
	for (uint64_t i = 0; i < w->count && !err; i++) {
		fill_page(page, i);
		err = write_page(fd, page, i);
		if (!err)
			err = sync_file(w, fd);
	}
	close(fd);
	return err;
}

static int write_new(struct worker *w, const char *name, uint8_t *page)
{
	int fd = openat(w->fd, name, O_WRONLY | O_CREAT | O_EXCL, 0644), err;

	if (fd < 0)
		return -errno;
	err = write_page(fd, page, 0);
	if (!err)
		err = sync_file(w, fd);
	if (close(fd) && !err)
		err = -errno;
	return err;
}

/* A new content under an old name, as editors do it. */
static int replace_files(struct worker *w)
{
	_Alignas(4096) uint8_t page[PAGE];
	char name[16], temp[16];
	int err = 0;

	snprintf(name, sizeof(name), "f%u", w->number);
	snprintf(temp, sizeof(temp), "new%u", w->number);
	for (uint64_t i = 0; i < w->count && !err; i++) {
		fill_page(page, i);
		err = write_new(w, temp, page);
		if (!err && renameat(w->fd, temp, w->fd, name))
			err = -errno;
	}
	return err ? err : sync_file(w, w->fd);		/* (3) */
}

/* Each thread has a file of its own, in a directory of the phase. */
static int in_directory(const struct load *l, int (*work)(struct worker *w),
			struct result *res)
{
	struct worker workers[MAX_THREADS] = { 0 };
	int dir, err;

	if (mkdirat(l->dir, l->phase, 0755))
		return -errno;
	dir = openat(l->dir, l->phase, O_RDONLY | O_DIRECTORY);
	if (dir < 0)
		return -errno;
	for (unsigned int i = 0; i < l->threads; i++)
		workers[i] = (struct worker){
			.work = work, .number = i, .fd = dir,
			.count = l->syncs / l->threads,
		};
	err = run_workers(workers, l->threads, res);
	close(dir);
	return err;
}

static int appends(const struct load *l, struct result *res)
{
	return in_directory(l, append_pages, res);
}

static int replaces(const struct load *l, struct result *res)
{
	return in_directory(l, replace_files, res);
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
	res->syncs = sync;
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
	unsigned int	threads;
} phases[] = {
	{ "seqwrite", seqwrite, 1 },
	{ "seqread", seqread, 1 },
	{ "randread1", random_reads, 1 },
	{ "randread16", random_reads, 16 },
	{ "create", create, 1 },
	{ "stat", stats, 1 },
	{ "unlink", unlinks, 1 },
	{ "append1", appends, 1 },
	{ "append8", appends, 8 },
	{ "overwrite1", overwrites, 1 },
	{ "overwrite8", overwrites, 8 },
	{ "replace1", replaces, 1 },
	{ "replace8", replaces, 8 },
	{ "churn", churn, 1 },
	{ NULL, NULL, 0 },
};

static _Noreturn void usage(void)
{
	fprintf(stderr,
		"usage: load [-s MiB] [-r READS] [-n FILES] [-f SYNCS] "
		"PHASE DIR\n"
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
	printf("{\"phase\": \"%s\", \"seconds\": %.9f, \"ops\": %" PRIu64
	       ", \"syncs\": %" PRIu64 "}\n", p->name, res.seconds, res.ops,
	       res.syncs);
	return 0;
}

int main(int argc, char **argv)
{
	struct load l = {
		.size = 1u << 30, .reads = 32768, .files = 10000,
		.syncs = 2000,
	};
	const struct phase *p = phases;
	int opt;

	while ((opt = getopt(argc, argv, "s:r:n:f:")) != -1) {
		if (opt == 's')
			l.size = (uint64_t)number(optarg) * BLOCK;
		else if (opt == 'r')
			l.reads = number(optarg);
		else if (opt == 'n')
			l.files = (unsigned int)number(optarg);
		else if (opt == 'f')
			l.syncs = number(optarg);
		else
			usage();
	}
	if (argc - optind != 2)
		usage();
	while (p->name && strcmp(p->name, argv[optind]))
		p++;
	if (!p->name)
		usage();
	l.phase = p->name;
	l.threads = p->threads;
	l.dir = open(argv[optind + 1], O_RDONLY | O_DIRECTORY);
	if (l.dir < 0) {
		fprintf(stderr, "load: %s: %s\n", argv[optind + 1],
			strerror(errno));
		return 1;
	}
	return run(p, &l);
}
