/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_mangled.c - whatever an image has become, a repair ends, a second one
 * finds nothing left to do, and what it calls whole can be used.
 *
 * CHECK_MANGLED=N, and CHECK_MANGLED_FROM: seeds; CHECK_MANGLED_SAY: what was
 * found.  A message names the seed. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cluster.h"
#include "base/hash.h"
#include "check/medium.h"
#include "check/rebuild.h"
#include "check/treewalk.h"
#include "commit/ckpt.h"
#include "commit/log.h"
#include "commit/super.h"
#include "soft/dev_soft.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "support/fs_state.h"
#include "tree/node.h"

#define CLUSTERS	1024u

/* ---- an image, and what becomes of it -------------------------------------- */

static struct sim *base;
static struct tfs_miss *nodes;
static size_t n_nodes;

/* In place of the kernel's: a seed is all that counts. */
ssize_t getrandom(void *buf, size_t len, unsigned int flags)
{
	(void)flags;
	bed_fill(buf, len, 4711);
	return len;
}

/* With a log that has to be replayed. */
static void make_base(void)
{
	uint64_t rand = 1;
	struct bed b;

	bed_make(&b, "512+8", CLUSTERS, 1);
	for (int i = 0; i < 400; i++)
		ck_assert_int_eq(fs_step(b.fs, &rand), 0);
	bed_umount(&b);
	bed_mount(&b);
	n_nodes = fs_nodes(b.fs, &nodes);
	bed_file(&b, "in the log");
	ck_assert_int_eq(tfs_sync(b.fs), 0);
	base = sim_clone(b.sim);
	sim_settle(base, true);
	bed_free(&b);
}

/* A few bytes of a node, with checksums and tags as they must be, in one copy
 * or both. */
static void mangle_node(struct tfs *fs, uint64_t *rand)
{
	const struct tfs_miss *at = &nodes[sim_rand(rand) % n_nodes];
	uint8_t *buf = aligned_alloc(4096, fs->csize);
	unsigned int copies = sim_rand(rand) % 8 ? 3 : 1;
	struct tfs_record rec = { .kind = TFS_K_NODE, .owner = at->level,
				  .seq = at->ptr.seq };
	uint32_t crc;

	if (tfs_cluster_read(fs, at->ptr.addr[0], NULL, buf))
		goto out;
	for (unsigned int n = 1 + sim_rand(rand) % 3; n--; ) {
		/* The keys at the front, the values at the end. */
		uint64_t place = sim_rand(rand) % 3 ? sim_rand(rand) % 600 :
			sim_rand(rand) % fs->csize;
		uint8_t mask = sim_rand(rand) % 2 ? 1u << sim_rand(rand) % 8 :
			sim_rand(rand);

		buf[sim_rand(rand) % 2 ? place : fs->csize - 1 - place] ^=
			mask;
	}
	crc = htole32(tfs_crc32c(buf, fs->csize,
				 offsetof(struct tfs_disk_node, crc)));
	memcpy(buf + offsetof(struct tfs_disk_node, crc), &crc, sizeof(crc));
	for (rec.index = 0; rec.index < 2; rec.index++)
		if (copies >> rec.index & 1)
			tfs_cluster_write(fs, at->ptr.addr[rec.index], &rec,
					  buf);
out:
	free(buf);
}

/* Some bytes anywhere, as they come. */
static void rot(struct sim *sim, uint64_t *rand)
{
	uint64_t at = sim_rand(rand) % (sim_raw(sim)->size - 8);

	if (sim_rand(rand) % 2)		/* where superblocks and slots are */
		at %= 16 * 4096;
	sim_flip(sim, at, 1 + sim_rand(rand) % 255);
}

static void mangle(struct bed *b, uint64_t seed)
{
	struct eng_open how = { .pool = b->pool };
	uint64_t rand = seed * 77 + 5;

	ck_assert_int_eq(eng_soft_open(&b->dev, sim_raw(b->sim), &how), 0);
	ck_assert_int_eq(tfs_open(&b->fs, b->dev, &(struct tfs_mount){
		.rdonly = true }), 0);
	for (unsigned int n = 1 + sim_rand(&rand) % 4; n--; )
		mangle_node(b->fs, &rand);
	eng_dev_flush(b->dev);
	bed_drop(b);
	for (unsigned int n = sim_rand(&rand) % 5; n--; )
		rot(b->sim, &rand);
}

/* ---- as fsck.tagfs -y does it ---------------------------------------------- */

static char text[4000], before[4000];

static void note(const struct tfs_finding *f)
{
	size_t n = strlen(text);

	snprintf(text + n, sizeof(text) - n, "%s %u %llu: %s%s\n",
		 tfs_finding_name(f->kind), f->ino,
		 (unsigned long long)f->cluster, f->text,
		 f->fixable ? "" : " (for good)");
}

static bool yes(struct tfs_check *c, const struct tfs_finding *f)
{
	(void)c;
	note(f);
	return true;
}

static void beside(struct tfs_medium *m, const struct tfs_finding *f)
{
	(void)m;
	note(f);
}

static void rebuilt(struct tfs_rebuild *how, const struct tfs_finding *f)
{
	(void)how;
	note(f);
}

static uint64_t look_beside(struct tfs *fs)
{
	struct tfs_medium m = { .fs = fs, .alone = true, .found = beside };

	ck_assert_int_eq(tfs_medium_begin(&m), 0);
	while (!m.done)
		ck_assert_int_eq(tfs_medium_step(&m), 0);
	tfs_medium_end(&m);
	return m.problems;
}

static int lost(struct tfs_treewalk *w, const struct tfs_miss *at, int err)
{
	(void)at;
	(void)err;
	++*(unsigned int *)w->arg;
	return 0;
}

static unsigned int parts_lost(struct tfs *fs)
{
	unsigned int n = 0;
	struct tfs_treewalk w = { .fs = fs, .arg = &n, .lost = lost };

	ck_assert_int_eq(tfs_treewalk_begin(&w), 0);
	ck_assert_int_eq(tfs_treewalk_run(&w), 0);
	tfs_treewalk_end(&w);
	return n;
}

static int mark(void *arg, struct tfs *fs)
{
	struct tfs_check c = { .fs = fs, .found = yes };

	(void)arg;
	return tfs_check_mark(&c);
}

static int open_as(struct bed *b, bool rdonly)
{
	int err;

	b->how = (struct tfs_mount){ .rdonly = rdonly, .accept = true,
				     .ready = rdonly ? NULL : mark };
	err = bed_open(b);
	return !err && tfs_rdonly(b->fs) && !rdonly ? -EROFS : err;
}

static int rebuild(struct bed *b)
{
	struct eng_open how = { .pool = b->pool };
	struct tfs_rebuild rb = { .found = rebuilt };
	int err;

	bed_drop(b);
	err = eng_soft_open(&b->dev, sim_raw(b->sim), &how);
	if (err)
		return err;
	rb.dev = b->dev;
	err = tfs_rebuild(&rb);
	free(rb.gap);
	bed_drop(b);
	if (!err)
		err = open_as(b, false);
	if (!err)
		look_beside(b->fs);
	return err;
}

/* 0 or why it could not be repaired; text: what was found. */
static int repair(struct bed *b)
{
	struct tfs_check c;
	int err = open_as(b, true);

	*text = '\0';
	if (err == -EUCLEAN || (!err && parts_lost(b->fs)))
		return rebuild(b);
	bed_drop(b);
	if (!err)
		err = open_as(b, false);
	if (err)
		return err;
	look_beside(b->fs);
	c = (struct tfs_check){ .fs = b->fs, .found = yes };
	return tfs_check(&c);
}

/* It is whole, and can be used. */
static void must_be_whole(struct bed *b, int seed)
{
	struct tfs_check c;
	uint64_t rand = 9;
	int err;

	bed_umount(b);
	snprintf(text, sizeof(text), "again:\n");
	err = open_as(b, true);
	ck_assert_msg(!err, "seed %d: %s%s", seed, before, strerror(-err));
	look_beside(b->fs);
	c = (struct tfs_check){ .fs = b->fs, .found = yes };
	ck_assert_int_eq(tfs_check(&c), 0);
	ck_assert_msg(!strcmp(text, "again:\n"), "seed %d: %s%s", seed,
		      before, text);
	bed_drop(b);
	b->how = (struct tfs_mount){ .rdonly = false };
	bed_mount(b);
	free(fs_state(b->fs));
	for (int i = 0; i < 30; i++) {
		err = fs_step(b->fs, &rand);
		/* Content that does not verify is what fsck can't change. */
		ck_assert_msg(!err || err == -EIO, "seed %d, step %d: %s",
			      seed, i, strerror(-err));
	}
	bed_umount(b);
}

static void one(int seed)
{
	struct bed b;
	int err;

	bed_take(&b, sim_clone(base), 0);
	mangle(&b, seed);
	err = repair(&b);
	if (getenv("CHECK_MANGLED_SAY"))
		fprintf(stderr, "seed %d: %d\n%s", seed, err, text);
	if (err) {	/* what can't be repaired stays as it is */
		ck_assert_msg(err == -EUCLEAN || err == -EMEDIUMTYPE ||
			      err == -EOPNOTSUPP || err == -ENOSPC ||
			      err == -EROFS, "seed %d: %s; %s", seed,
			      strerror(-err), text);
	} else {
		memcpy(before, text, sizeof(before));
		must_be_whole(&b, seed);
	}
	bed_drop(&b);
	bed_free(&b);
}

#define GROUP	20
/* What is set aside for nodes is in use, and free in the map. */
#define SET_ASIDE	3019

START_TEST(a_second_run_is_clean)	/* _i: of GROUP seeds */
{
	const char *from = getenv("CHECK_MANGLED_FROM");
	const char *n = getenv("CHECK_MANGLED");

	make_base();
	for (int i = 0; i < (n ? atoi(n) : GROUP); i++)
		one((from ? atoi(from) : _i * GROUP) + i);
	if (!n && !_i)
		one(SET_ASIDE);
	sim_destroy(base);
	free(nodes);
}
END_TEST

int main(void)
{
	int groups = getenv("CHECK_MANGLED") ? 1 :
		getenv("TAGFS_TEST_QUICK") ? 8 : 50;
	Suite *s = suite_create("mangled");
	TCase *tc = tcase_create("mangled");

	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, a_second_run_is_clean, 0, BED_LESS(groups));
	suite_add_tcase(s, tc);
	return bed_run_suite(s);
}
