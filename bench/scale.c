/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scale.c - does a filesystem stay as fast and as small as it grows?
 *
 *  (1) No mount and no kernel: the calls that a mount would make, in one
 *      thread.  A reference is held on each file, as by a kernel that has it
 *      cached.
 *  (2) A rate is operations per second of processor time of this process, so
 *      that a busy machine disturbs less; helper and workers are in it.
 *  (3) Memory is what is resident of the process, before the first file and
 *      after the last one. */
#include "config.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs.h"

#define ROOT		1u
#define PER_DIR		10000u
#define PAGE		4096u

struct scale {
	const char	*path;
	struct eng_pool	*pool;
	struct eng_dev	*dev;
	struct tfs	*fs;
	uint32_t	*ino;		/* of each file */
	unsigned long	files, writes;
	size_t		cache;
};

static double seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void must(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "scale: %s: %s\n", what, strerror(-err));
	exit(1);
}

static double resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long size, pages = 0;

	if (!f || fscanf(f, "%lu %lu", &size, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

/* Nodes of the tree, in memory and dirty. */
static void nodes(struct tfs *fs, unsigned long *cached, unsigned long *dirty)
{
	char *text;

	*cached = *dirty = 0;
	if (tfs_stats(fs, NULL, &text) < 0)
		return;
	sscanf(strstr(text, "\"nodes_cached\""), "\"nodes_cached\": %lu",
	       cached);
	sscanf(strstr(text, "\"nodes_dirty\""), "\"nodes_dirty\": %lu", dirty);
	free(text);
}

static double up(struct scale *s)
{
	struct eng_open how = { .pool = s->pool };
	struct tfs_mount mount = { .commit = 5, .cache = s->cache,
				   .relatime = true };
	double start = seconds(CLOCK_MONOTONIC);

	must(eng_dev_open(&s->dev, s->path, &how), s->path);
	must(tfs_open(&s->fs, s->dev, &mount), "mount");
	return seconds(CLOCK_MONOTONIC) - start;
}

static double down(struct scale *s)
{
	double start = seconds(CLOCK_MONOTONIC);

	must(tfs_close(s->fs), "unmount");
	eng_dev_close(s->dev);
	return seconds(CLOCK_MONOTONIC) - start;
}

/* ---- files ---------------------------------------------------------------- */

static uint32_t directory(struct scale *s, unsigned long n)
{
	const struct tfs_new new = { .mode = S_IFDIR | 0755 };
	struct tfs_inode in;
	char name[32];

	snprintf(name, sizeof(name), "d%lu", n);
	if (tfs_lookup(s->fs, ROOT, name, &in))
		must(tfs_create(s->fs, ROOT, name, &new, &in), "mkdir");
	return in.ino;
}

static void create(struct scale *s, uint32_t dir, unsigned long n)
{
	const struct tfs_new new = { .mode = S_IFREG | 0644 };
	struct tfs_inode in;
	char name[32];

	snprintf(name, sizeof(name), "file%lu", n);
	must(tfs_create(s->fs, dir, name, &new, &in), "create");
	s->ino[n] = in.ino;
}

static void stat_one(struct scale *s, uint32_t dir, unsigned long n)
{
	struct tfs_inode in;

	(void)dir;
	must(tfs_getattr(s->fs, s->ino[n], &in), "stat");
}

static void unlink_one(struct scale *s, uint32_t dir, unsigned long n)
{
	char name[32];

	snprintf(name, sizeof(name), "file%lu", n);
	must(tfs_unlink(s->fs, dir, name), "unlink");
	tfs_unref(s->fs, s->ino[n], 1);
}

static void line(struct scale *s, const char *what, unsigned long at,
		 double rate)
{
	unsigned long cached, dirty;

	nodes(s->fs, &cached, &dirty);
	printf("%-10s%10lu%10.0f%10.0f%10.0f%9lu%8lu\n", what, at, rate,
	       resident(), (double)mallinfo2().uordblks / 1048576, cached,
	       dirty);
	fflush(stdout);
}

/* All files, with a line for each tenth of them. */
static void each(struct scale *s, const char *what,
		 void (*work)(struct scale *s, uint32_t dir, unsigned long n))
{
	unsigned long step = s->files / 10;
	double start = seconds(CLOCK_PROCESS_CPUTIME_ID), now;
	uint32_t dir = 0;

	for (unsigned long n = 0; n < s->files; n++) {
		if (n % PER_DIR == 0) {
			if (dir)
				tfs_unref(s->fs, dir, 1);
			dir = directory(s, n / PER_DIR);
		}
		work(s, dir, n);
		if ((n + 1) % step)
			continue;
		now = seconds(CLOCK_PROCESS_CPUTIME_ID);
		line(s, what, n + 1, (double)step / (now - start));
		start = now;
	}
	tfs_unref(s->fs, dir, 1);
}

static void files(struct scale *s)
{
	double first;

	s->ino = calloc(s->files, sizeof(*s->ino));
	if (!s->ino)
		must(-ENOMEM, "numbers");
	memset(s->ino, 0xff, s->files * sizeof(*s->ino));	/* resident */
	up(s);
	first = resident();
	each(s, "create", create);
	printf("per file that is held: %.0f bytes, all caches included\n",
	       (resident() - first) * 1048576 / (double)s->files);
	each(s, "stat", stat_one);
	for (unsigned long n = 0; n < s->files; n++)
		tfs_unref(s->fs, s->ino[n], 1);
	line(s, "forgotten", s->files, 0);
	printf("unmount %.3f s, ", down(s));
	printf("mount %.3f s\n", up(s));
	for (unsigned long n = 0; n < s->files; n++)
		must(tfs_ref(s->fs, s->ino[n], 1), "reference");
	each(s, "unlink", unlink_one);
	printf("unmount %.3f s\n", down(s));
	free(s->ino);
}

/* ---- overwriting ---------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t used(struct tfs *fs)
{
	struct statvfs st;

	must(tfs_sync(fs), "sync");
	must(tfs_statvfs(fs, &st), "statfs");
	return (st.f_blocks - st.f_bfree) * st.f_frsize;
}

/* A file written in order, then all over in random order, and again. */
static void overwrite(struct scale *s)
{
	const struct tfs_new new = { .mode = S_IFREG | 0644 };
	static uint8_t buf[1 << 20];
	uint64_t pages = s->writes, state = 1, before;
	double start, now;
	struct tfs_inode in;

	up(s);
	must(tfs_create(s->fs, ROOT, "big", &new, &in), "create");
	before = used(s->fs);
	for (uint64_t at = 0; at < pages * PAGE; at += sizeof(buf))
		must(tfs_write(s->fs, in.ino, at, buf, sizeof(buf), 0),
		     "write");
	printf("%-10s%10lu%10s%10.0f  metadata %.1f MiB\n", "in order",
	       s->writes, "", resident(),
	       (double)(used(s->fs) - before - pages * PAGE) / 1048576);
	for (unsigned int round = 0; round < 4; round++) {
		start = seconds(CLOCK_PROCESS_CPUTIME_ID);
		for (uint64_t n = 0; n < pages; n++)
			must(tfs_write(s->fs, in.ino, next_random(&state) %
				       pages * PAGE, buf, PAGE, 0), "write");
		now = seconds(CLOCK_PROCESS_CPUTIME_ID);
		printf("%-10s%10lu%10.0f%10.0f  metadata %.1f MiB\n",
		       "random", s->writes, (double)pages / (now - start),
		       resident(),
		       (double)(used(s->fs) - before - pages * PAGE) /
		       1048576);
		fflush(stdout);
	}
	start = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (uint64_t at = 0; at < pages * PAGE; at += sizeof(buf))
		must(tfs_write(s->fs, in.ino, at, buf, sizeof(buf), 0),
		     "write");
	printf("%-10s%10lu%10s%10.0f  metadata %.1f MiB\n", "in order",
	       s->writes, "", resident(),
	       (double)(used(s->fs) - before - pages * PAGE) / 1048576);
	tfs_unref(s->fs, in.ino, 1);
	printf("unmount %.3f s\n", down(s));
}

int main(int argc, char **argv)
{
	struct scale s = { .files = 1000000, .writes = 65536 };
	int opt;

	while ((opt = getopt(argc, argv, "n:w:c:")) != -1) {
		if (opt == 'n')
			s.files = strtoul(optarg, NULL, 10) / 10 * 10;
		else if (opt == 'w')
			s.writes = strtoul(optarg, NULL, 10) / 256 * 256;
		else if (opt == 'c')
			s.cache = (size_t)strtoul(optarg, NULL, 10) << 20;
		else
			break;
	}
	if (opt != -1 || optind + 1 != argc) {
		fprintf(stderr, "usage: scale [-n FILES] [-w PAGES] "
			"[-c CACHE-MIB] IMAGE\n"
			"IMAGE: an empty filesystem that mkfs.tagfs made\n");
		return 2;
	}
	s.path = argv[optind];
	must(eng_pool_create(&s.pool, 0), "workers");
	printf("%-10s%10s%10s%10s%10s%9s%8s\n", "", "so far", "per cpu s",
	       "MiB", "malloc", "nodes", "dirty");
	if (s.files)
		files(&s);
	if (s.writes)
		overwrite(&s);
	eng_pool_destroy(s.pool);
	return 0;
}
