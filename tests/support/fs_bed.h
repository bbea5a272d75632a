/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fs_bed.h - a filesystem on a simulated disk, for tests. */
#ifndef FS_BED_H
#define FS_BED_H

#include "fs.h"
#include "support/sim_raw.h"
#include "tfs.h"

/* Tests that repeat themselves do so less often where that is slow. */
#ifdef __SANITIZE_ADDRESS__
#define BED_LESS(n)	(((n) + 7) / 8)
#define BED_STRIDE	7u	/* from one case to the next */
#else
#define BED_LESS(n)	(n)
#define BED_STRIDE	1u
#endif

/* For tuple pages, of which these disks have few: a table for as many as there
 * could be takes long to make and to look through. */
#define BED_CACHE	(4u << 20)

struct bed {
	struct sim	*sim;
	struct eng_pool	*pool;
	struct eng_dev	*dev;		/* NULL: closed */
	struct tfs	*fs;		/* NULL: not mounted */
	struct tfs_mount how;
	char		where[96];	/* begins every message */
};

/* Keep the log from standard error, unless CHECK_LOG is in the environment;
 * bed_log_lines() counts what came at a level. */
void bed_quiet(void);
unsigned int bed_log_lines(int level);

/* All of a program's tests, quietly; what main() returns. */
struct Suite;
int bed_run_suite(struct Suite *s);

/* Format, mkfs and mount.  clusters: of the filesystem, at least so many. */
void bed_make(struct bed *b, const char *profile, uint64_t clusters,
	      uint64_t seed);
/* The same on a disk that exists; nothing is opened.  Takes sim. */
void bed_take(struct bed *b, struct sim *sim, uint64_t seed);
/* Workers, and a disk with a thread: before bed_open(), or closed. */
void bed_threads(struct bed *b, unsigned int workers);
/* Bytes under that many clusters. */
uint64_t bed_size(const char *profile, uint64_t clusters);
int bed_open(struct bed *b);		/* device and filesystem */
void bed_mount(struct bed *b);		/* it must work */
void bed_umount(struct bed *b);		/* it must work */
/* Whatever the state is in: the power may be off. */
void bed_drop(struct bed *b);
/* Unmount, mount, and find it whole. */
void bed_remount(struct bed *b, unsigned int check_flags);
void bed_check(struct bed *b, unsigned int check_flags);
void bed_free(struct bed *b);

/* A file of that name in the root; its number, without reference. */
uint32_t bed_file(struct bed *b, const char *name);
/* Bytes that follow from a seed. */
void bed_fill(void *buf, size_t len, uint64_t seed);
/* Of bytes, into h. */
uint64_t bed_hash(uint64_t h, const void *data, size_t len);

/* Where the bytes of a cluster are on the disk; the device is open. */
uint64_t bed_data_at(struct bed *b, uint64_t addr);
/* The other way round.  False: a tuple page or a header. */
bool bed_cluster_at(struct bed *b, uint64_t off, uint64_t *addr);
/* A bit of a file's content rots, in that cluster of it. */
void bed_spoil(struct bed *b, uint32_t ino, uint64_t lc);

/* One cluster as a disk has it. */
struct bed_cluster {
	uint8_t		data[TFS_CLUSTER_MAX];
	uint8_t		tuples[2048];	/* of the newer tuple page */
};

/* Behind everybody's back, on a disk that nobody has open; checksums of the
 * tuple page are put right. */
void bed_peek(struct sim *sim, const struct eng_profile *p, uint64_t addr,
	      struct bed_cluster *out);
void bed_poke(struct sim *sim, const struct eng_profile *p, uint64_t addr,
	      const struct bed_cluster *cl);
/* Where the newer tuple page is that covers the cluster. */
uint64_t bed_page_at(struct sim *sim, const struct eng_profile *p,
		     uint64_t addr);

#endif
