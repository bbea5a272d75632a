/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fill.c - a filesystem full of files, for bench/recovery.py.
 *
 *  (1) No mount and no kernel: the calls that a mount would make.
 *  (2) The same arguments make the same names, sizes and bytes.
 *  (3) A twentieth of the files is deleted again while others are written, so
 *      that free space is in pieces, and places have a history.
 *  (4) With -x it destroys instead: superblocks, slots and the log, so that the
 *      whole tree has to be made anew from its leaves. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs.h"
#include "tfs.h"

#define ROOT		1u
#define PER_DIR		1000u
#define PIECE		(1u << 20)

static uint8_t piece[PIECE];

static void must(int64_t err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "fill: %s: %s\n", what, strerror((int)-err));
	exit(1);
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Many are small, and most bytes are in few: 100 KiB on average. */
static uint64_t mixed_size(uint64_t *state)
{
	uint64_t kind = next_random(state) % 100, r = next_random(state);

	if (kind < 30)
		return r % 1024;
	if (kind < 60)
		return 1024 + r % 3072;
	if (kind < 90)
		return 4096 + r % (60u << 10);
	return kind < 99 ? (64u << 10) + r % (960u << 10) :
		(1u << 20) + r % (7u << 20);
}

static uint32_t make(struct tfs *fs, uint32_t dir, const char *name,
		     uint32_t mode)
{
	const struct tfs_new new = { .mode = mode };
	struct tfs_inode in;

	must(tfs_create(fs, dir, name, &new, &in), "create");
	return in.ino;
}

static void file(struct tfs *fs, uint32_t dir, unsigned long n, uint64_t size)
{
	char name[32];
	uint32_t ino;

	snprintf(name, sizeof(name), "file%lu", n);
	ino = make(fs, dir, name, S_IFREG | 0644);
	for (uint64_t at = 0; at < size; at += PIECE) {
		size_t len = size - at < PIECE ? size - at : PIECE;

		must(tfs_write(fs, ino, at, piece, len, 0), "write");
	}
	tfs_unref(fs, ino, 1);
}

static void delete(struct tfs *fs, uint32_t dir, unsigned long n)
{
	char name[32];

	snprintf(name, sizeof(name), "file%lu", n);
	must(tfs_unlink(fs, dir, name), "unlink");
}

static void fill(struct tfs *fs, unsigned long files, long size)
{
	uint64_t state = 1;
	uint32_t dir = 0;
	char name[32];

	for (unsigned long n = 0; n < files; n++) {
		if (n % PER_DIR == 0) {
			if (dir)
				tfs_unref(fs, dir, 1);
			snprintf(name, sizeof(name), "d%lu", n / PER_DIR);
			dir = make(fs, ROOT, name, S_IFDIR | 0755);
		}
		file(fs, dir, n, size >= 0 ? (uint64_t)size :
		     mixed_size(&state));
		if (n % 20 == 19)
			delete(fs, dir, n - 10);		/* (3) */
	}
	tfs_unref(fs, dir, 1);
}

/* (4) */
static void ruin(struct eng_dev *dev)
{
	struct tfs_super super;
	uint32_t ipc, csize;
	uint8_t *zeros;
	struct tfs_mount mount = { .rdonly = true };
	struct tfs *fs;

	must(tfs_open(&fs, dev, &mount), "open");
	super = fs->super;
	ipc = fs->ipc;
	csize = fs->csize;
	must(tfs_close(fs), "close");
	zeros = eng_buf_get(dev, csize);
	if (!zeros)
		must(-ENOMEM, "buffer");
	memset(zeros, 0, csize);
	for (uint64_t i = 0; i < super.log_start + super.log_clusters + 3;
	     i++) {
		uint64_t at = i < super.log_start + super.log_clusters ? i :
			super.clusters - 1 - (i - super.log_start -
					      super.log_clusters);

		must(eng_dev_bypass(dev, ENG_WRITE, at * ipc, zeros, csize,
				    NULL), "destroy");
	}
	eng_buf_put(dev, zeros, csize);
	must(eng_dev_flush(dev), "destroy");
}

int main(int argc, char **argv)
{
	struct tfs_mount mount = { .commit = 5 };
	struct eng_open how = { .flags = 0 };
	unsigned long files = 100000;
	uint64_t state = 2;
	struct eng_dev *dev;
	long size = -1;
	struct tfs *fs;
	bool destroy = false;
	int opt;

	while ((opt = getopt(argc, argv, "n:s:x")) != -1) {
		if (opt == 'n')
			files = strtoul(optarg, NULL, 10);
		else if (opt == 's')
			size = strtol(optarg, NULL, 10);
		else if (opt == 'x')
			destroy = true;
		else
			break;
	}
	if (opt != -1 || optind + 1 != argc) {
		fprintf(stderr, "usage: fill [-n FILES] [-s BYTES-OF-EACH] "
			"IMAGE\n"
			"       fill -x IMAGE\n"
			"IMAGE: an empty filesystem that mkfs.tagfs made; with "
			"-x: what to ruin\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(piece); i += 8) {
		uint64_t r = next_random(&state);

		memcpy(piece + i, &r, 8);
	}
	must(eng_pool_create(&how.pool, 0), "workers");
	must(eng_dev_open(&dev, argv[optind], &how), argv[optind]);
	if (destroy) {
		ruin(dev);
	} else {
		must(tfs_open(&fs, dev, &mount), "mount");
		fill(fs, files, size);
		must(tfs_close(fs), "unmount");
	}
	eng_dev_close(dev);
	eng_pool_destroy(how.pool);
	return 0;
}
