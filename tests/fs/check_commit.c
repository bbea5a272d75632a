/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_commit.c - commits: how they are gathered, when they are made, and
 * what a shortage of memory or space does to them. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "soft/dev_soft.h"
#include "commit/ckpt.h"
#include "commit/commit.h"
#include "commit/log.h"
#include "commit/super.h"
#include "support/fs_bed.h"
#include "support/fs_state.h"
#include "support/story.h"

static uint64_t commits(struct bed *b)
{
	return atomic_load(&b->fs->count.commits);
}

/* ---- gathering ------------------------------------------------------------ */

#define FILES	50000u

/* No probe is longer than the longest run of slots in use. */
static size_t longest_run(const struct tfs_commit *c)
{
	size_t longest = 0, run = 0;

	for (size_t i = 0; i < 2 * c->slots; i++) {
		run = c->table[i % c->slots] ? run + 1 : 0;
		if (run > longest)
			longest = run;
	}
	return longest;
}

static void add_key(struct tfs_commit *c, uint32_t obj, uint8_t type,
		    uint64_t off)
{
	ck_assert_int_eq(tfs_commit_reserve(c, 1, 8), 0);
	tfs_commit_add(c, tfs_key(obj, type, off), false, "value", 5);
}

/* What creating small files leaves, in one directory or many, and what random
 * and sequential writes do. */
static void add_keys(struct tfs_commit *c, int pattern, uint32_t i)
{
	uint64_t seed = i, name = sim_rand(&seed) & 0x7fffffffffffff00;

	switch (pattern) {
	case 0:
		add_key(c, TFS_ROOT_INO, TFS_T_DIRENT, name);
		add_key(c, 16 + i, TFS_T_INODE, 0);
		add_key(c, 16 + i, TFS_T_INLINE, 0);
		break;
	case 1:
		add_key(c, 16 + i, TFS_T_DIRENT, name);
		add_key(c, 0, TFS_T_ORPHAN, 16 + i);
		break;
	case 2:
		add_key(c, 16, TFS_T_EXTENT, (uint64_t)i << 20);
		break;
	default:
		add_key(c, 16 + i, TFS_T_EXTENT, i);
		add_key(c, 16 + i, TFS_T_XATTR, name << 8);
	}
}

START_TEST(keys_of_a_commit_are_found_in_a_few_probes)
{
	uint8_t nonce[TFS_NONCE] = { 1, 2, 3 };
	struct tfs_commit *c = tfs_commit_create(nonce);

	for (uint32_t i = 0; i < FILES; i++)
		add_keys(c, _i, i);
	ck_assert_uint_le(2 * c->n, c->slots);
	ck_assert_msg(longest_run(c) < 100, "pattern %d: a run of %zu", _i,
		      longest_run(c));
	tfs_commit_free(c);
}
END_TEST

/* ---- small logs ----------------------------------------------------------- */

/* A filesystem that was made with so few clusters for its log. */
static void make_with_log(struct bed *b, uint64_t log_clusters)
{
	bed_make(b, "512+8", 1024, 1);
	bed_umount(b);
	ck_assert_int_eq(eng_soft_open(&b->dev, sim_raw(b->sim),
				       &(struct eng_open){ .pool = b->pool }),
			 0);
	ck_assert_int_eq(tfs_open(&b->fs, b->dev, &(struct tfs_mount){
		.rdonly = true }), 0);
	b->fs->super.log_clusters = log_clusters;
	b->fs->super.seq++;
	ck_assert_int_eq(tfs_super_write(b->fs, 0), 0);
	for (int i = 0; i < 2; i++) {
		struct tfs_slot slot;
		unsigned int odd;

		ck_assert_int_eq(tfs_slot_read(b->fs, &slot, &odd), 0);
		slot.number++;
		slot.log_pos = 0;
		ck_assert_int_eq(tfs_slot_write(b->fs, &slot), 0);
	}
	bed_drop(b);
}

START_TEST(log_of_any_size_serves)
{
	uint64_t seed = _i;
	struct bed b;

	make_with_log(&b, _i);
	for (int life = 0; life < 6; life++) {
		char *state, *now;

		bed_mount(&b);
		for (int i = 0; i < 40; i++) {
			ck_assert_int_eq(fs_step(b.fs, &seed), 0);
			if (i % 7 == 0)
				ck_assert_int_eq(tfs_sync(b.fs), 0);
		}
		ck_assert_int_eq(tfs_sync(b.fs), 0);
		ck_assert(!tfs_rdonly(b.fs));
		state = fs_state(b.fs);
		story_power_cut(&b, life % 2);
		ck_assert_int_eq(bed_open(&b), 0);
		ck_assert(!tfs_rdonly(b.fs));
		now = fs_state(b.fs);
		ck_assert_str_eq(now, state);
		free(now);
		free(state);
		bed_drop(&b);
	}
	bed_free(&b);
}
END_TEST

/* ---- marks ---------------------------------------------------------------- */

/* A mark is for quiet times; otherwise the next commit says the same. */
START_TEST(mark_takes_no_changes_along)
{
	uint64_t before, content;
	struct bed b;

	bed_make(&b, "512+8", 1024, 1);
	bed_file(&b, "a");
	ck_assert_int_eq(tfs_sync(b.fs), 0);
	content = b.fs->log.content;
	ck_assert_uint_lt(b.fs->log.marked, content);
	before = commits(&b);
	bed_file(&b, "b");
	tfs_commit_mark(b.fs, content);
	ck_assert_uint_eq(commits(&b), before);
	ck_assert_int_eq(tfs_sync(b.fs), 0);		/* carries it */
	ck_assert_uint_eq(commits(&b), before + 1);
	ck_assert_uint_ge(b.fs->log.marked, content);
	content = b.fs->log.content;
	for (int i = 0; i < 3; i++)
		tfs_commit_mark(b.fs, content);
	ck_assert_uint_eq(commits(&b), before + 2);
	ck_assert_uint_ge(b.fs->log.marked, content);
	bed_free(&b);
}
END_TEST

/* Nobody asks for more than what the interval does. */
START_TEST(changes_without_sync_are_committed_by_the_interval)
{
	struct timespec from, to;
	uint64_t before, most;
	char name[16];
	struct bed b;

	bed_make(&b, "512+8", 1 << 20, 1);
	bed_umount(&b);
	b.how.commit = 1;
	bed_mount(&b);
	before = commits(&b);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < 30000; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		bed_file(&b, name);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	/* What each interval may make: its own, a mark before the next change,
	 * and one for what had become too much. */
	most = 3 * (2 + (uint64_t)(to.tv_sec - from.tv_sec)) +
		3 * atomic_load(&b.fs->count.checkpoints);
	ck_assert_msg(commits(&b) - before <= most, "%llu commits in %ld s",
		      (unsigned long long)(commits(&b) - before),
		      (long)(to.tv_sec - from.tv_sec));
	bed_free(&b);
}
END_TEST

/* ---- no memory ------------------------------------------------------------ */

static unsigned int allocs, fail_from, fail_to;

static int fail_some(void **out, size_t align, size_t bytes)
{
	unsigned int n = __atomic_fetch_add(&allocs, 1, __ATOMIC_RELAXED);

	return n >= fail_from && n < fail_to ? ENOMEM :
		posix_memalign(out, align, bytes);
}

/* What fails for lack of memory is done again and succeeds. */
static void insist(struct bed *b, int err)
{
	ck_assert_msg(!err || err == -ENOMEM || err == -EEXIST, "%s: %s",
		      b->where, strerror(-err));
	ck_assert_msg(!tfs_rdonly(b->fs), "%s: read-only", b->where);
}

static void work_without_memory(struct bed *b)
{
	for (int i = 0; i < 4; i++) {
		char name[8] = { 'a' + i };
		static uint8_t buf[300000];
		uint32_t ino = bed_file(b, name);
		int err;

		bed_fill(buf, sizeof(buf), i);
		do	/* a commit of many clusters */
			insist(b, err = tfs_setxattr(b->fs, ino, "user.a", buf,
						     9000u << i % 3, 0,
						     false));
		while (err);
		do
			insist(b, err = tfs_sync(b->fs));
		while (err);
		do
			insist(b, err = tfs_write(b->fs, ino, 0, buf,
						  sizeof(buf) >> 4 * (i % 2),
						  0));
		while (err);
		do
			insist(b, err = i == 2 ? tfs_ckpt_run(b->fs) :
			       tfs_sync(b->fs));
		while (err);
	}
}

START_TEST(lack_of_memory_ends_no_mount)
{
	bool hit = true;

	eng_bufs_alloc = fail_some;
	for (unsigned int n = 0; hit; n++) {
		struct bed b;
		char *state;

		fail_from = fail_to = 0;
		bed_make(&b, "512+8", 1024, 1);
		snprintf(b.where, sizeof(b.where), "allocation %u", n);
		allocs = 0;
		fail_from = n;
		fail_to = n + 1 + (_i ? 3 : 0);
		work_without_memory(&b);
		hit = allocs > n;
		fail_from = fail_to = 0;
		state = fs_state(b.fs);
		bed_check(&b, 0);			/* nothing leaked */
		story_power_cut(&b, false);
		story_finds(&b, state, b.where);
		free(state);
		bed_free(&b);
	}
	eng_bufs_alloc = posix_memalign;
}
END_TEST

/* ---- no space ------------------------------------------------------------- */

/* The file under the device can't grow any more, or the device fails: what was
 * synced can be read, and is there when it can be written again. */
START_TEST(device_that_takes_no_writes_is_mounted_read_only)
{
	struct bed b;
	char *state;

	bed_make(&b, "512+8", 1024, 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(story_save(&b, (char [2]){ 'a' + i }, i), 0);
		ck_assert_int_eq(tfs_sync(b.fs), 0);
	}
	state = fs_state(b.fs);
	if (_i & 1)
		bed_umount(&b);
	else
		story_power_cut(&b, false);
	sim_fault(b.sim, SIM_WRITE_FAIL, 0, UINT64_MAX / 2,
		  _i & 2 ? -EIO : -ENOSPC, _i / 4, 0);
	story_finds(&b, state, "without space");
	ck_assert(tfs_rdonly(b.fs));
	ck_assert_int_eq(story_save(&b, "new", 1), -EROFS);
	bed_drop(&b);
	sim_clear_faults(b.sim);
	story_finds(&b, state, "with space again");
	ck_assert(!tfs_rdonly(b.fs));
	free(state);
	bed_free(&b);
}
END_TEST

/* When the numbers of checkpoints are at their end, none is written that nobody
 * would take for one. */
START_TEST(last_checkpoint_is_the_last)
{
	struct tfs_inode in;
	struct bed b;

	bed_make(&b, "512+8", 1024, 1);
	bed_file(&b, "before");
	ck_assert_int_eq(tfs_ckpt_run(b.fs), 0);
	b.fs->slot_number = TFS_SLOT_NUMBER_MAX;
	bed_file(&b, "after");
	ck_assert_int_eq(tfs_ckpt_run(b.fs), -EOVERFLOW);
	bed_drop(&b);
	sim_crash(b.sim, 1);
	bed_mount(&b);
	ck_assert_int_eq(tfs_lookup(b.fs, TFS_ROOT_INO, "before", &in), 0);
	bed_free(&b);
}
END_TEST

/* -------------------------------------------------------------------------- */

static Suite *commit_suite(void)
{
	Suite *s = suite_create("commit");
	TCase *tc = tcase_create("commit");

	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, keys_of_a_commit_are_found_in_a_few_probes, 0,
			    4);
	tcase_add_loop_test(tc, log_of_any_size_serves, 1, 10);
	tcase_add_loop_test(tc, lack_of_memory_ends_no_mount, 0, 2);
	tcase_add_loop_test(tc, device_that_takes_no_writes_is_mounted_read_only,
			    0, 16);
	tcase_add_test(tc, mark_takes_no_changes_along);
	tcase_add_test(tc, last_checkpoint_is_the_last);
	tcase_add_test(tc,
		       changes_without_sync_are_committed_by_the_interval);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return bed_run_suite(commit_suite());
}
