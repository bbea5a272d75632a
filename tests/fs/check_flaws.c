/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_flaws.c - what was found bad is remembered, and forgotten when it is
 * not there any more. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/locate.h"
#include "commit/ckpt.h"
#include "file/flaws.h"
#include "tree/node.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "support/mend.h"

#define CLUSTERS	64u
#define SIZE		((size_t)CLUSTERS * CSIZE)
#define CSIZE		4096u
#define SEEN		256u

struct list {
	struct tfs_flaw	f[SEEN];
	bool		stored[SEEN];
	unsigned int	n;
};

static void list(struct bed *b, struct list *l)
{
	struct tfs_flaws_at at = { .lc = 0 };

	l->n = 0;
	while (l->n < SEEN && !tfs_flaws_next(b->fs, &at, &l->f[l->n],
					      &l->stored[l->n]))
		l->n++;
}

static uint32_t make(struct bed *b, uint64_t seed)
{
	uint8_t *buf = malloc(SIZE);
	uint32_t ino;

	bed_make(b, "512+8", 4000, seed);
	ino = bed_file(b, "file");
	bed_fill(buf, SIZE, seed);
	ck_assert_int_eq(tfs_write(b->fs, ino, 0, buf, SIZE, 0), 0);
	free(buf);
	bed_remount(b, 0);
	return ino;
}

static void read_bad(struct bed *b, uint32_t ino, unsigned int lc)
{
	uint8_t buf[CSIZE];

	ck_assert_int_eq(tfs_read_sync(b->fs, ino, (uint64_t)lc * CSIZE, buf,
				       CSIZE), -EIO);
}

/* Which fails where the power is off. */
static void overwrite(struct bed *b, uint32_t ino, unsigned int lc)
{
	uint8_t buf[CSIZE] = { 1 };

	tfs_write(b->fs, ino, (uint64_t)lc * CSIZE, buf, CSIZE, 0);
}

START_TEST(a_read_that_fails_is_known_after_a_remount)
{
	struct list l;
	struct bed b;
	uint32_t ino = make(&b, _i);

	bed_spoil(&b, ino, 7);
	read_bad(&b, ino, 7);
	bed_remount(&b, 0);
	list(&b, &l);
	ck_assert_uint_eq(l.n, 1);
	ck_assert(l.stored[0]);
	ck_assert_uint_eq(l.f[0].ino, ino);
	ck_assert_uint_eq(l.f[0].off, 7 * CSIZE + 512);
	ck_assert_uint_eq(l.f[0].len, 512);
	ck_assert_int_eq(l.f[0].check, TFS_CHECK_GUARD);
	ck_assert(l.f[0].expected != l.f[0].found);
	ck_assert_uint_ge(l.f[0].first, 1);
	read_bad(&b, ino, 7);
	bed_remount(&b, 0);
	list(&b, &l);
	ck_assert_uint_eq(l.n, 1);
	ck_assert_uint_eq(l.f[0].count, 2);
	bed_free(&b);
}
END_TEST

static void must_mend(struct bed *b)
{
	struct mend m = { .rdonly = false };

	ck_assert_int_eq(mend(b, &m), 0);
}

/* A node of which one copy is bad, or both, is read by whoever needs it. */
START_TEST(a_bad_node_that_a_read_meets_is_listed)	/* _i: both */
{
	struct tfs_miss *node;
	struct list l;
	struct bed b;
	uint64_t addr;
	char name[16];

	make(&b, _i);
	for (unsigned int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "more %u", i);
		bed_file(&b, name);
	}
	bed_remount(&b, 0);
	ck_assert_uint_gt(fs_nodes(b.fs, &node), 2);
	addr = node[2].ptr.addr[0];
	for (int i = 0; i <= _i; i++)
		sim_flip(b.sim, bed_data_at(&b, node[2].ptr.addr[i]) + 700, 1);
	bed_umount(&b);
	bed_mount(&b);
	for (unsigned int i = 0; i < 500; i++) {
		struct tfs_inode in;

		snprintf(name, sizeof(name), "more %u", i);
		if (!tfs_lookup(b.fs, TFS_ROOT_INO, name, &in))
			tfs_unref(b.fs, in.ino, 1);
	}
	bed_umount(&b);
	bed_mount(&b);
	list(&b, &l);
	ck_assert_uint_eq(l.n, 1);
	ck_assert_uint_eq(l.f[0].addr, addr);
	ck_assert_int_eq(l.f[0].kind, _i ? TFS_FLAW_LOST : TFS_FLAW_NODE);
	ck_assert_int_eq(l.f[0].check, TFS_CHECK_GUARD);
	ck_assert(l.f[0].healed == !_i);
	ck_assert(l.stored[0]);
	free(node);
	bed_drop(&b);
	must_mend(&b);		/* a rebuild, where a part is lost */
	bed_mount(&b);
	list(&b, &l);
	ck_assert_uint_eq(l.n, !_i);
	bed_free(&b);
}
END_TEST

/* Who mended it had no way to tell the list, or it was mended before there was
 * a list. */
START_TEST(a_check_of_the_whole_tree_ends_what_was_called_lost)
{
	struct tfs_flaw f = { .kind = TFS_FLAW_LOST, .err = -EUCLEAN };
	struct tfs_miss *node;
	struct list l;
	struct bed b;

	make(&b, 0);
	bed_remount(&b, 0);
	ck_assert_uint_gt(fs_nodes(b.fs, &node), 0);
	f.addr = node[0].ptr.addr[0];
	free(node);
	ck_assert(tfs_flaws_add(b.fs, &f));
	bed_umount(&b);
	bed_mount(&b);
	list(&b, &l);
	ck_assert_uint_eq(l.n, 1);
	bed_umount(&b);
	must_mend(&b);
	bed_mount(&b);
	list(&b, &l);
	ck_assert_uint_eq(l.n, 0);
	bed_free(&b);
}
END_TEST

static void delete(struct bed *b, uint32_t ino)
{
	(void)ino;
	ck_assert_int_eq(tfs_unlink(b->fs, TFS_ROOT_INO, "file"), 0);
}

static void cut(struct bed *b, uint32_t ino)
{
	struct tfs_inode in = { .size = 7 * CSIZE };

	ck_assert_int_eq(tfs_setattr(b->fs, ino, TFS_SET_SIZE, &in), 0);
}

static void write_over(struct bed *b, uint32_t ino)
{
	overwrite(b, ino, 7);
}

START_TEST(what_is_not_there_any_more_is_no_error)
{
	static void (*const ends[])(struct bed *, uint32_t) = {
		delete, cut, write_over,
	};
	struct tfs_flaws_count n;
	struct list l;
	struct bed b;
	uint32_t ino = make(&b, _i);

	ck_assert_int_eq(tfs_ref(b.fs, ino, 1), 0);
	bed_spoil(&b, ino, 7);
	read_bad(&b, ino, 7);
	tfs_unref(b.fs, ino, 1);
	bed_remount(&b, 0);
	ck_assert_int_eq(tfs_ref(b.fs, ino, 1), 0);
	ends[_i](&b, ino);
	tfs_unref(b.fs, ino, 1);
	list(&b, &l);
	ck_assert_uint_eq(l.n, 0);
	tfs_flaws_sweep(b.fs, 0);
	tfs_flaws_count(b.fs, &n);
	ck_assert_uint_eq(n.listed, 0);
	bed_remount(&b, 0);
	tfs_flaws_count(b.fs, &n);
	ck_assert_uint_eq(n.listed, 0);
	bed_free(&b);
}
END_TEST

/* As a scrub says it. */
static void add(struct bed *b, uint32_t ino, unsigned int lc)
{
	struct tfs_flaw f = { .kind = TFS_FLAW_DATA, .ino = ino,
			      .off = (uint64_t)lc * CSIZE, .len = CSIZE };
	struct tfs_place at;

	ck_assert_int_eq(tfs_locate_byte(b->fs, ino, f.off, &at), 0);
	f.addr = at.cluster;
	f.seq = at.rec.seq;
	f.err = -EIO;
	tfs_flaws_add(b->fs, &f);
}

START_TEST(neighbours_are_one_and_a_hole_in_them_is_left_out)
{
	struct tfs_flaw f;
	struct list l;
	struct bed b;
	uint32_t ino = make(&b, _i);

	for (unsigned int i = 0; i < 10; i++)
		add(&b, ino, 20 + i * 7 % 10);
	add(&b, ino, 40);
	list(&b, &l);
	ck_assert_uint_eq(l.n, 2);
	ck_assert_uint_eq(l.f[0].off, 20 * CSIZE);
	ck_assert_uint_eq(l.f[0].len, 10 * CSIZE);
	overwrite(&b, ino, 24);
	overwrite(&b, ino, 20);
	bed_remount(&b, 0);
	list(&b, &l);
	ck_assert_uint_eq(l.n, 3);
	ck_assert_uint_eq(l.f[0].off, 21 * CSIZE);
	ck_assert_uint_eq(l.f[0].len, 3 * CSIZE);
	ck_assert_uint_eq(l.f[1].off, 25 * CSIZE);
	ck_assert_uint_eq(l.f[1].len, 5 * CSIZE);
	tfs_flaws_sweep(b.fs, 0);
	f = l.f[1];
	tfs_flaw_clip(b.fs, &f, 26, 28);
	tfs_flaws_good(b.fs, &f);
	bed_remount(&b, 0);
	list(&b, &l);
	ck_assert_uint_eq(l.n, 4);
	ck_assert_uint_eq(l.f[1].len, CSIZE);
	ck_assert_uint_eq(l.f[2].off, 28 * CSIZE);
	ck_assert_uint_eq(l.f[2].len, 2 * CSIZE);
	tfs_flaws_clear(b.fs);
	bed_remount(&b, 0);
	list(&b, &l);
	ck_assert_uint_eq(l.n, 0);
	bed_free(&b);
}
END_TEST

START_TEST(of_older_content_what_still_stands_is_kept)
{
	struct list l;
	struct bed b;
	uint32_t ino = make(&b, _i);

	for (unsigned int i = 20; i < 30; i++)
		add(&b, ino, i);
	overwrite(&b, ino, 20);
	add(&b, ino, 20);
	list(&b, &l);
	ck_assert_uint_eq(l.n, 2);
	ck_assert_uint_eq(l.f[0].off, 20 * CSIZE);
	ck_assert_uint_eq(l.f[0].len, CSIZE);
	ck_assert_uint_eq(l.f[1].off, 21 * CSIZE);
	ck_assert_uint_eq(l.f[1].len, 9 * CSIZE);
	bed_remount(&b, 0);
	list(&b, &l);
	ck_assert_uint_eq(l.n, 2);
	bed_free(&b);
}
END_TEST

START_TEST(two_in_one_cluster_are_one)
{
	struct tfs_flaw f = { .kind = TFS_FLAW_DATA, .len = 512,
			      .err = -EBADMSG, .check = TFS_CHECK_GUARD };
	struct tfs_place at;
	struct list l;
	struct bed b;

	f.ino = make(&b, _i);
	f.off = 7 * CSIZE + 512;
	ck_assert_int_eq(tfs_locate_byte(b.fs, f.ino, f.off, &at), 0);
	f.addr = at.cluster;
	f.seq = at.rec.seq;
	ck_assert(tfs_flaws_add(b.fs, &f));
	f.off += 2048;
	f.check = TFS_CHECK_APP;
	ck_assert(!tfs_flaws_add(b.fs, &f));
	bed_remount(&b, 0);
	list(&b, &l);
	ck_assert_uint_eq(l.n, 1);
	ck_assert_uint_eq(l.f[0].off, 7 * CSIZE + 512);
	ck_assert_uint_eq(l.f[0].len, 2560);
	ck_assert_uint_eq(l.f[0].count, 2);
	bed_free(&b);
}
END_TEST

START_TEST(the_list_is_bounded_and_counts_the_rest)
{
	struct tfs_flaw f = { .kind = TFS_FLAW_NODE, .err = -EUCLEAN };
	struct tfs_flaws_count n;
	struct bed b;

	make(&b, _i);
	for (unsigned int i = 0; i < 100000; i++) {
		f.addr = 200 + i % 3000;
		tfs_flaws_add(b.fs, &f);
	}
	tfs_flaws_count(b.fs, &n);
	ck_assert_uint_eq(n.listed, b.fs->super.clusters / 16);
	ck_assert_uint_ge(n.unlisted, 1);
	bed_remount(&b, 0);
	tfs_flaws_count(b.fs, &n);
	ck_assert_uint_eq(n.listed, b.fs->super.clusters / 16);
	ck_assert_uint_ge(n.unlisted, 1);
	tfs_flaws_expire(b.fs, true, true, UINT64_MAX);
	bed_remount(&b, 0);
	tfs_flaws_count(b.fs, &n);
	ck_assert_uint_eq(n.listed + n.unlisted, 0);
	bed_free(&b);
}
END_TEST

/* Whatever survives: what was durable is known, and it is all in order. */
START_TEST(power_cuts_lose_nothing_that_was_stored)
{
	struct list l;
	struct bed b;
	uint32_t ino;
	bool off = true;

	for (unsigned int n = 0; off; n++) {
		ino = make(&b, n);
		add(&b, ino, 3);
		ck_assert_int_eq(tfs_flaws_store(b.fs, true), 0);
		ck_assert_int_eq(tfs_sync(b.fs), 0);
		sim_power_off_at(b.sim, n);
		add(&b, ino, 9);
		overwrite(&b, ino, 30);
		tfs_flaws_store(b.fs, true);
		tfs_sync(b.fs);
		tfs_ckpt_run(b.fs);
		bed_drop(&b);
		off = sim_is_off(b.sim);
		sim_crash(b.sim, n);
		bed_mount(&b);
		list(&b, &l);
		ck_assert_msg(l.n == 1 || l.n == 2, "cut %u: %u listed", n,
			      l.n);
		ck_assert_uint_eq(l.f[0].off, 3 * CSIZE);
		bed_remount(&b, 0);
		bed_free(&b);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("flaws");
	TCase *t = tcase_create("list");

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, a_bad_node_that_a_read_meets_is_listed, 0, 2);
	tcase_add_test(t, a_check_of_the_whole_tree_ends_what_was_called_lost);
	tcase_add_loop_test(t, a_read_that_fails_is_known_after_a_remount, 0,
			    2);
	tcase_add_loop_test(t, what_is_not_there_any_more_is_no_error, 0, 3);
	tcase_add_test(t, neighbours_are_one_and_a_hole_in_them_is_left_out);
	tcase_add_test(t, of_older_content_what_still_stands_is_kept);
	tcase_add_test(t, two_in_one_cluster_are_one);
	tcase_add_test(t, the_list_is_bounded_and_counts_the_rest);
	tcase_add_test(t, power_cuts_lose_nothing_that_was_stored);
	suite_add_tcase(s, t);
	return bed_run_suite(s);
}
