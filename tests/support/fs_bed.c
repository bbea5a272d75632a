/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fs_bed.c - see fs_bed.h. */
#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/locate.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "soft/dev_soft.h"
#include "soft/soft_priv.h"

static unsigned int lines[8];

static void take_line(int level, const char *line)
{
	__atomic_add_fetch(&lines[level & 7], 1, __ATOMIC_RELAXED);
	if (getenv("CHECK_LOG"))
		fprintf(stderr, "<%d> %s\n", level, line);
}

void bed_quiet(void)
{
	eng_log_to(take_line);
	/* Devices come and go by the thousand: what they free is not to be
	 * given back to the kernel, page by page. */
	mallopt(M_MMAP_THRESHOLD, 64 << 20);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

int bed_run_suite(struct Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	bed_quiet();
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}

unsigned int bed_log_lines(int level)
{
	return __atomic_load_n(&lines[level & 7], __ATOMIC_RELAXED);
}

static void must(struct bed *b, int err, const char *what)
{
	ck_assert_msg(!err, "%s: %s: %s", b->where, what, strerror(-err));
}

/* Intervals of a cluster. */
static uint32_t per_cluster(const struct eng_profile *p)
{
	return eng_profile_run(p, TFS_TAG_BYTES) / p->interval;
}

uint64_t bed_size(const char *profile, uint64_t clusters)
{
	const struct eng_profile *p = eng_profile_find(profile);
	uint32_t run = eng_profile_run(p, TFS_TAG_BYTES);
	struct soft_layout l;
	uint64_t per;

	ck_assert_int_eq(soft_layout(&l, p, 1ull << 40), 0);
	per = l.zone_intervals / per_cluster(p);
	return 2 * SOFT_BLOCK + clusters * run +
		(clusters + per - 1) / per * SOFT_PAGES;
}

void bed_take(struct bed *b, struct sim *sim, uint64_t seed)
{
	memset(b, 0, sizeof(*b));
	b->sim = sim;
	snprintf(b->where, sizeof(b->where), "seed %llu",
		 (unsigned long long)seed);
	must(b, eng_pool_create_serial(&b->pool), "pool");
}

void bed_threads(struct bed *b, unsigned int workers)
{
	eng_pool_destroy(b->pool);
	must(b, eng_pool_create(&b->pool, workers), "pool");
	sim_set_mode(b->sim, SIM_THREAD);
}

static void open_dev(struct bed *b)
{
	struct eng_open how = { .pool = b->pool, .cache = BED_CACHE };

	must(b, eng_soft_open(&b->dev, sim_raw(b->sim), &how), "device");
}

void bed_make(struct bed *b, const char *profile, uint64_t clusters,
	      uint64_t seed)
{
	struct tfs_mkfs mkfs = { .label = "test" };
	const struct eng_profile *p = eng_profile_find(profile);

	bed_take(b, sim_create(bed_size(profile, clusters), seed), seed);
	must(b, eng_soft_format_raw(sim_raw(b->sim), p, seed), "format");
	open_dev(b);
	must(b, eng_dev_set_tags(b->dev, p->tags), "tags");
	must(b, tfs_mkfs(b->dev, &mkfs), "mkfs");
	eng_dev_close(b->dev);
	b->dev = NULL;
	bed_mount(b);
}

int bed_open(struct bed *b)
{
	struct eng_open how = {
		.pool = b->pool, .cache = BED_CACHE,
		.flags = b->how.rdonly ? ENG_OPEN_RDONLY : 0,
	};
	struct tfs_mount mount = b->how;
	int err = eng_soft_open(&b->dev, sim_raw(b->sim), &how);

	if (!err)
		err = tfs_open(&b->fs, b->dev, &mount);
	if (err) {
		eng_dev_close(b->dev);
		b->dev = NULL;
	}
	return err;
}

void bed_mount(struct bed *b)
{
	must(b, bed_open(b), "mount");
}

void bed_umount(struct bed *b)
{
	must(b, tfs_close(b->fs), "umount");
	b->fs = NULL;
	eng_dev_close(b->dev);
	b->dev = NULL;
}

#ifdef __SANITIZE_ADDRESS__
/* The engine chains free buffers through memory that it has poisoned.  Those
 * of a device that was open at a fork are no leak of the child's. */
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
	return "use_poisoned=1";
}
#endif

void bed_drop(struct bed *b)
{
	tfs_close(b->fs);
	b->fs = NULL;
	eng_dev_close(b->dev);
	b->dev = NULL;
}

void bed_check(struct bed *b, unsigned int check_flags)
{
	const char *wrong = fs_check(b->fs, check_flags);

	ck_assert_msg(!wrong, "%s: %s", b->where, wrong);
}

void bed_remount(struct bed *b, unsigned int check_flags)
{
	bed_umount(b);
	bed_mount(b);
	bed_check(b, check_flags);
}

void bed_free(struct bed *b)
{
	bed_drop(b);
	sim_destroy(b->sim);
	eng_pool_destroy(b->pool);
}

uint32_t bed_file(struct bed *b, const char *name)
{
	struct tfs_new new = { .mode = S_IFREG | 0644 };
	struct tfs_inode in;

	must(b, tfs_create(b->fs, TFS_ROOT_INO, name, &new, &in), name);
	tfs_unref(b->fs, in.ino, 1);
	return in.ino;
}

void bed_fill(void *buf, size_t len, uint64_t seed)
{
	uint8_t *at = buf;
	uint64_t word;

	for (; len; at += 8, len -= len < 8 ? len : 8) {
		word = sim_rand(&seed);
		memcpy(at, &word, len < 8 ? len : 8);
	}
}

uint64_t bed_hash(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t word;

	for (; len; p += sizeof(word), len -= len < 8 ? len : 8) {
		word = len;
		memcpy(&word, p, len < 8 ? len : 8);
		h = (h ^ word) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
	}
	return h;
}

uint64_t bed_data_at(struct bed *b, uint64_t addr)
{
	const struct soft *s = (const struct soft *)b->dev;
	uint64_t interval = addr * per_cluster(b->dev->geo.profile);

	return soft_data_off(&s->head.lay, interval / s->head.lay.zone_intervals,
			     interval % s->head.lay.zone_intervals);
}

void bed_spoil(struct bed *b, uint32_t ino, uint64_t lc)
{
	struct tfs_place at;

	ck_assert_int_eq(tfs_locate_byte(b->fs, ino, lc * b->fs->csize, &at),
			 0);
	ck_assert_int_eq(at.state, TFS_PLACE_MAPPED);
	sim_flip(b->sim, bed_data_at(b, at.cluster) + 700, 1);
}

bool bed_cluster_at(struct bed *b, uint64_t off, uint64_t *addr)
{
	const struct soft_layout *l = &((const struct soft *)b->dev)->head.lay;
	uint64_t zone = (off - SOFT_BLOCK) / l->zone_bytes;
	uint64_t at = (off - SOFT_BLOCK) % l->zone_bytes;

	if (off < SOFT_BLOCK || at < SOFT_PAGES ||
	    off >= l->size - SOFT_BLOCK)
		return false;
	*addr = (zone * l->zone_intervals + (at - SOFT_PAGES) /
		 l->profile->interval) / per_cluster(b->dev->geo.profile);
	return true;
}

/* ---- behind everybody's back --------------------------------------------- */

struct place {
	struct soft_layout lay;
	uint64_t	zone;
	uint32_t	first;		/* interval in the zone */
	uint64_t	page;		/* offset of the newer one */
	struct soft_disk_page disk;
};

static void find_place(struct sim *sim, const struct eng_profile *p,
		       uint64_t addr, struct place *pl)
{
	struct soft_disk_page other;
	uint64_t interval;

	ck_assert_int_eq(soft_layout(&pl->lay, p, sim_raw(sim)->size), 0);
	interval = addr * per_cluster(p);
	pl->zone = interval / pl->lay.zone_intervals;
	pl->first = interval % pl->lay.zone_intervals;
	pl->page = soft_zone_off(&pl->lay, pl->zone);
	sim_peek(sim, pl->page, &pl->disk, SOFT_BLOCK);
	sim_peek(sim, pl->page + SOFT_BLOCK, &other, SOFT_BLOCK);
	if (get_le64(other.gen) <= get_le64(pl->disk.gen))
		return;
	pl->page += SOFT_BLOCK;
	pl->disk = other;
}

uint64_t bed_page_at(struct sim *sim, const struct eng_profile *p,
		     uint64_t addr)
{
	struct place pl;

	find_place(sim, p, addr, &pl);
	return pl.page;
}

void bed_peek(struct sim *sim, const struct eng_profile *p, uint64_t addr,
	      struct bed_cluster *out)
{
	struct place pl;

	find_place(sim, p, addr, &pl);
	sim_peek(sim, soft_data_off(&pl.lay, pl.zone, pl.first), out->data,
		 per_cluster(p) * p->interval);
	memcpy(out->tuples, pl.disk.tuples + pl.first * p->meta_size,
	       per_cluster(p) * p->meta_size);
}

void bed_poke(struct sim *sim, const struct eng_profile *p, uint64_t addr,
	      const struct bed_cluster *cl)
{
	struct place pl;

	find_place(sim, p, addr, &pl);
	sim_poke(sim, soft_data_off(&pl.lay, pl.zone, pl.first), cl->data,
		 per_cluster(p) * p->interval);
	memcpy(pl.disk.tuples + pl.first * p->meta_size, cl->tuples,
	       per_cluster(p) * p->meta_size);
	soft_page_seal(&pl.disk);
	sim_poke(sim, pl.page, &pl.disk, SOFT_BLOCK);
}
