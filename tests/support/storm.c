/* SPDX-License-Identifier: GPL-2.0-or-later */
/* storm.c - write and fsync, note what was answered, and check after a crash.
 *
 *	storm run DIR JOURNAL SEED SECONDS
 *	storm check DIR JOURNAL SEED
 *
 * Every thread has a directory with files of three kinds, each a sequence of
 * versions: random blocks written in place; the whole replaced by rename; or
 * made (odd versions) and removed (even ones).
 *
 * (1) The journal is on another file system.  It says "B thread file version"
 *     before anything of a version is done, and "D" after it was fsynced.
 * (2) After the crash a file is as its last D said, or shows something of the
 *     versions begun since: in place block by block, replaced and made ones
 *     as a whole.
 * (3) What a version holds follows from seed, thread, file and version, so
 *     that check needs nothing but the journal.
 * (4) run ends at the first error, quietly: somebody kills its file system. */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define THREADS		4
#define FILES		12	/* of a thread; kind: file % 3 */
#define BLOCK		4096u
#define BLOCKS		64u	/* of a file, at most */
#define VERSIONS	100000u

enum { IN_PLACE, REPLACED, MADE };

static const char *dir;
static uint64_t seed;
static int journal;
static time_t end;
static atomic_bool stop;

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static uint64_t version_key(unsigned int thread, unsigned int file,
			    unsigned int version)
{
	return mix(mix(seed) + thread * 1000000007ull + file * 10007ull +
		   ((uint64_t)version << 32));
}

/* Which blocks that version writes.  Of a replaced or made file: the first
 * ones, up to its size. */
static uint64_t version_blocks(unsigned int thread, unsigned int file,
			       unsigned int version)
{
	uint64_t key = version_key(thread, file, version);
	unsigned int n = 1 + (unsigned int)(key >> 40) % BLOCKS;

	if (file % 3 == IN_PLACE)
		return mix(key) & mix(key + 1) & mix(key + 2);
	return n == 64 ? ~0ull : (1ull << n) - 1;
}

static void fill(uint64_t *buf, unsigned int thread, unsigned int file,
		 unsigned int version, unsigned int block)
{
	uint64_t x = version_key(thread, file, version) + block;

	buf[0] = version;
	for (unsigned int i = 1; i < BLOCK / 8; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf[i] = x;
	}
}

static void path_of(char *path, size_t size, unsigned int thread, int file)
{
	if (file < 0)
		snprintf(path, size, "%s/%u", dir, thread);
	else
		snprintf(path, size, "%s/%u/%d", dir, thread, file);
}

/* ---- run ------------------------------------------------------------------- */

/* (1) */
static void note(char what, unsigned int thread, unsigned int file,
		 unsigned int version)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "%c %u %u %u\n", what, thread,
			   file, version);

	if (write(journal, line, (size_t)len) != len)
		err(99, "journal");
}

static int sync_folder(unsigned int thread)
{
	char path[4096];
	int fd, res;

	path_of(path, sizeof(path), thread, -1);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	res = fsync(fd);
	close(fd);
	return res;
}

static int write_version(const char *path, unsigned int thread,
			 unsigned int file, unsigned int version)
{
	uint64_t blocks = version_blocks(thread, file, version);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	uint64_t buf[BLOCK / 8];

	if (fd < 0)
		return -1;
	for (unsigned int b = 0; b < BLOCKS; b++) {
		if (!(blocks >> b & 1))
			continue;
		fill(buf, thread, file, version, b);
		if (pwrite(fd, buf, BLOCK, (off_t)b * BLOCK) != BLOCK)
			goto fail;
	}
	if (fsync(fd))
		goto fail;
	return close(fd);
fail:
	close(fd);
	return -1;
}

static int do_version(unsigned int thread, unsigned int file,
		      unsigned int version)
{
	char path[4096], tmp[4200];
	int res;

	path_of(path, sizeof(path), thread, (int)file);
	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	switch (file % 3) {
	case IN_PLACE:
		return write_version(path, thread, file, version);
	case REPLACED:
		res = write_version(tmp, thread, file, version) ||
			rename(tmp, path) || sync_folder(thread);
		return res;
	default:
		if (version % 2)
			return write_version(path, thread, file, version) ||
				sync_folder(thread);
		return unlink(path) || sync_folder(thread);
	}
}

static void *writer(void *arg)
{
	unsigned int thread = (unsigned int)(uintptr_t)arg;
	unsigned int versions[FILES] = { 0 };
	uint64_t r = mix(seed * 31 + thread);

	while (!stop && time(NULL) < end) {
		unsigned int file = (unsigned int)((r = mix(r)) % FILES);
		unsigned int version = ++versions[file];

		if (version == VERSIONS)
			break;
		note('B', thread, file, version);
		if (do_version(thread, file, version)) {
			stop = true;	/* (4) */
			break;
		}
		note('D', thread, file, version);
	}
	return NULL;
}

static int run(void)
{
	pthread_t threads[THREADS];
	char path[4096];

	if (mkdir(dir, 0700))
		err(99, "%s", dir);
	for (unsigned int t = 0; t < THREADS; t++) {
		path_of(path, sizeof(path), t, -1);
		if (mkdir(path, 0700) || sync_folder(t))
			err(99, "%s", path);
	}
	for (uintptr_t t = 0; t < THREADS; t++)
		if (pthread_create(&threads[t], NULL, writer, (void *)t))
			err(99, "thread");
	for (unsigned int t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	return 0;
}

/* ---- check ------------------------------------------------------------------ */

static struct state {
	unsigned int begun, durable;
} states[THREADS][FILES];
static unsigned long bad, answered;

static void say(unsigned int thread, unsigned int file, const char *what,
		unsigned int block)
{
	const struct state *s = &states[thread][file];

	printf("# %s/%u/%u: %s (block %u), durable version %u, begun %u\n",
	       dir, thread, file, what, block, s->durable, s->begun);
	bad++;
}

static void read_journal(const char *name)
{
	unsigned int t, f, v;
	char what;
	FILE *in = fopen(name, "r");

	if (!in)
		err(99, "%s", name);
	while (fscanf(in, " %c %u %u %u", &what, &t, &f, &v) == 4) {
		if (t >= THREADS || f >= FILES)
			errx(99, "%s: nonsense", name);
		if (what == 'B')
			states[t][f].begun = v;
		else
			states[t][f].durable = v;
		answered += what == 'D';
	}
	fclose(in);
}

/* The last of the versions 1..upto that writes that block; 0: none. */
static unsigned int last_writer(unsigned int thread, unsigned int file,
				unsigned int upto, unsigned int block)
{
	while (upto && !(version_blocks(thread, file, upto) >> block & 1))
		upto--;
	return upto;
}

/* Is it what that version has there?  Version 0: zeros. */
static bool is_version(const uint64_t *got, unsigned int thread,
		       unsigned int file, unsigned int version,
		       unsigned int block)
{
	uint64_t want[BLOCK / 8] = { 0 };

	if (version)
		fill(want, thread, file, version, block);
	return !memcmp(got, want, BLOCK);
}

static void check_block(unsigned int thread, unsigned int file,
			const uint64_t *got, unsigned int block)
{
	const struct state *s = &states[thread][file];
	unsigned int was = last_writer(thread, file, s->durable, block);

	if (is_version(got, thread, file, was, block))
		return;
	if (got[0] > s->durable && got[0] <= s->begun &&
	    version_blocks(thread, file, (unsigned int)got[0]) >> block & 1 &&
	    is_version(got, thread, file, (unsigned int)got[0], block))
		return;
	say(thread, file, "a block is neither old nor new", block);
}

static void check_in_place(unsigned int thread, unsigned int file, int fd,
			   off_t size)
{
	uint64_t buf[BLOCK / 8];

	for (unsigned int b = 0; b < BLOCKS; b++) {
		ssize_t len = pread(fd, buf, BLOCK, (off_t)b * BLOCK);

		if (len < 0)
			say(thread, file, strerror(errno), b);
		else if (!len && last_writer(thread, file, states[thread]
					     [file].durable, b))
			say(thread, file, "too short", b);
		else if (len && len != BLOCK)
			say(thread, file, "odd size", b);
		else if (len)
			check_block(thread, file, buf, b);
	}
	if (size > (off_t)BLOCKS * BLOCK)
		say(thread, file, "too long", BLOCKS);
}

/* One version, whole. */
static bool is_whole(unsigned int thread, unsigned int file, int fd,
		     off_t size, unsigned int version)
{
	uint64_t blocks = version_blocks(thread, file, version);
	uint64_t buf[BLOCK / 8];

	for (unsigned int b = 0; b < BLOCKS; b++) {
		if (!(blocks >> b & 1))
			return size == (off_t)b * BLOCK;
		if (pread(fd, buf, BLOCK, (off_t)b * BLOCK) != BLOCK ||
		    !is_version(buf, thread, file, version, b))
			return false;
	}
	return size == (off_t)BLOCKS * BLOCK;
}

/* A file that was just made may be there in part. */
static void check_whole(unsigned int thread, unsigned int file, int fd,
			off_t size)
{
	const struct state *s = &states[thread][file];

	if (file % 3 == MADE && s->begun > s->durable && s->begun % 2)
		return;
	for (unsigned int v = s->durable ? s->durable : 1; v <= s->begun; v++)
		if (is_whole(thread, file, fd, size, v))
			return;
	say(thread, file, "no version as a whole", 0);
}

static void check_file(unsigned int thread, unsigned int file)
{
	const struct state *s = &states[thread][file];
	char path[4096];
	struct stat st;
	int fd;

	path_of(path, sizeof(path), thread, (int)file);
	fd = open(path, O_RDONLY);
	if (fd < 0 && errno != ENOENT) {
		say(thread, file, strerror(errno), 0);
	} else if (fd < 0) {
		/* The durable version has none, or a later one may. */
		if (file % 3 == MADE ? s->durable % 2 &&
				       s->begun == s->durable : s->durable)
			say(thread, file, "missing", 0);
	} else if (!s->begun || (file % 3 == MADE && !(s->durable % 2) &&
				 s->begun == s->durable)) {
		say(thread, file, "should not be there", 0);
	} else if (fstat(fd, &st)) {
		say(thread, file, strerror(errno), 0);
	} else if (file % 3 == IN_PLACE) {
		check_in_place(thread, file, fd, st.st_size);
	} else {
		check_whole(thread, file, fd, st.st_size);
	}
	if (fd >= 0)
		close(fd);
}

static bool anything_durable(unsigned int thread)
{
	for (unsigned int f = 0; f < FILES; f++)
		if (states[thread][f].durable)
			return true;
	return false;
}

static void check_names(unsigned int thread)
{
	char path[4096];
	struct dirent *de;
	DIR *d;

	path_of(path, sizeof(path), thread, -1);
	d = opendir(path);
	if (!d && errno == ENOENT && !anything_durable(thread))
		return;
	if (!d) {
		printf("# %s: %s\n", path, strerror(errno));
		bad++;
		return;
	}
	while ((de = readdir(d))) {
		char *rest;

		if (de->d_name[0] == '.')
			continue;
		if (strtoul(de->d_name, &rest, 10) < FILES &&
		    (!*rest || !strcmp(rest, ".tmp")))
			continue;
		printf("# %s/%s: should not be there\n", path, de->d_name);
		bad++;
	}
	closedir(d);
}

static int check(const char *name)
{
	read_journal(name);
	for (unsigned int t = 0; t < THREADS; t++) {
		check_names(t);
		for (unsigned int f = 0; f < FILES; f++)
			check_file(t, f);
	}
	printf("# %lu fsyncs answered, %lu wrong\n", answered, bad);
	return bad ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 99;
	dir = argv[2];
	seed = strtoull(argv[4], NULL, 10);
	if (!strcmp(argv[1], "check"))
		return check(argv[3]);
	if (argc < 6)
		return 99;
	journal = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	if (journal < 0)
		err(99, "%s", argv[3]);
	end = time(NULL) + atoi(argv[5]);
	return run();
}
