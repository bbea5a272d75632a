/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_fence.c - one host at a time.  Two devices are open over the same
 * disk, and hosts are made up; nobody sleeps: what happens while one waits is
 * the test's. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/fence.h"
#include "soft/dev_soft.h"
#include "support/fs_bed.h"

#define CLUSTERS	2048

struct side {
	struct tfs_host	host;
	struct tfs_mount how;
	struct eng_dev	*dev;
	struct tfs	*fs;
	unsigned int	waits;
	void		(*meanwhile)(struct side *s);
	struct side	*other;
};

static struct bed bed;

static bool pause_fn(void *arg, unsigned int ms)
{
	struct side *s = arg;

	(void)ms;
	s->waits++;
	if (s->meanwhile)
		s->meanwhile(s);
	return true;
}

static void side_init(struct side *s, const char *name, unsigned int fence)
{
	memset(s, 0, sizeof(*s));
	memset(s->host.boot, name[0], sizeof(s->host.boot));
	strcpy(s->host.node, name);
	s->host.manual = true;
	s->how.fence = fence;
	s->how.pause = pause_fn;
	s->how.pause_arg = s;
	s->how.host = &s->host;
}

static int side_open(struct side *s, struct sim *sim)
{
	struct eng_open how = {
		.pool = bed.pool,
		.flags = s->how.rdonly ? ENG_OPEN_RDONLY : 0,
	};
	struct tfs_mount mount = s->how;
	int err = eng_soft_open(&s->dev, sim_raw(sim), &how);

	ck_assert_int_eq(err, 0);
	err = tfs_open(&s->fs, s->dev, &mount);
	if (err) {
		eng_dev_close(s->dev);
		s->dev = NULL;
	}
	return err;
}

static void side_close(struct side *s)
{
	tfs_close(s->fs);
	eng_dev_close(s->dev);
	s->fs = NULL;
	s->dev = NULL;
}

static int touch(struct side *s, const char *name)
{
	struct tfs_new new = { .mode = S_IFREG | 0644 };
	struct tfs_inode in;
	int err = tfs_create(s->fs, TFS_ROOT_INO, name, &new, &in);

	if (!err)
		tfs_unref(s->fs, in.ino, 1);
	return err;
}

static uint64_t writes(void)
{
	struct sim_counts c;

	sim_counts(bed.sim, &c);
	return c.writes;
}

static void set_up(void)
{
	bed_make(&bed, "512+8:type1", CLUSTERS, 1);
	bed_umount(&bed);
}

static void tear_down(void)
{
	bed_free(&bed);
}

/* ---- */

static void other_renews(struct side *s)
{
	tfs_fence_renew(s->other->fs);
}

START_TEST(a_living_host_keeps_others_out)
{
	struct side a, b;
	uint64_t before;

	side_init(&a, "alpha", 1000);
	side_init(&b, "beta", 1000);
	ck_assert_int_eq(side_open(&a, bed.sim), 0);
	ck_assert_int_eq(touch(&a, "x"), 0);
	ck_assert_int_eq(tfs_sync(a.fs), 0);
	b.other = &a;
	b.meanwhile = other_renews;
	before = writes();
	ck_assert_int_eq(side_open(&b, bed.sim), -EBUSY);
	ck_assert_uint_eq(writes() - before, b.waits);	/* all of them a's */
	ck_assert_int_eq(touch(&a, "y"), 0);
	ck_assert_int_eq(tfs_sync(a.fs), 0);
	side_close(&a);
}
END_TEST

/* Each waits for the settling once, and for nobody. */
START_TEST(a_clean_unmount_is_not_waited_for)
{
	struct side a, b;

	side_init(&a, "alpha", 1000);
	side_init(&b, "beta", 1000);
	ck_assert_int_eq(side_open(&a, bed.sim), 0);
	ck_assert_int_eq(touch(&a, "x"), 0);
	side_close(&a);
	ck_assert_uint_eq(a.waits, 1);
	ck_assert_int_eq(side_open(&b, bed.sim), 0);
	ck_assert_uint_eq(b.waits, 1);
	ck_assert_int_eq(touch(&b, "x"), -EEXIST);
	side_close(&b);
}
END_TEST

START_TEST(a_dead_host_is_waited_for_and_succeeded)	/* _i: same boot */
{
	struct side a, b;
	struct sim *disk;

	side_init(&a, "alpha", 1000);
	side_init(&b, _i ? "alpha" : "beta", 1000);
	ck_assert_int_eq(side_open(&a, bed.sim), 0);
	ck_assert_int_eq(touch(&a, "x"), 0);
	ck_assert_int_eq(tfs_sync(a.fs), 0);
	disk = sim_clone(bed.sim);
	side_close(&a);
	ck_assert_int_eq(side_open(&b, disk), 0);
	if (_i)
		ck_assert_uint_eq(b.waits, 1);
	else
		ck_assert_uint_gt(b.waits, 1);
	ck_assert_int_eq(touch(&b, "x"), -EEXIST);
	side_close(&b);
	sim_destroy(disk);
}
END_TEST

/* It slept, and another took over: it finds that out when it renews, or
 * before it changes anything, and writes nothing any more. */
START_TEST(a_host_that_was_replaced_writes_nothing)	/* _i: by itself */
{
	struct side a, b;
	uint64_t before;

	side_init(&a, "alpha", 1);
	side_init(&b, "beta", 1);
	ck_assert_int_eq(side_open(&a, bed.sim), 0);
	ck_assert_int_eq(touch(&a, "x"), 0);
	ck_assert_int_eq(tfs_sync(a.fs), 0);
	ck_assert_int_eq(side_open(&b, bed.sim), 0);
	usleep(10000);
	before = writes();
	if (_i)
		tfs_fence_renew(a.fs);
	ck_assert_int_eq(touch(&a, "y"), -EROFS);
	ck_assert(tfs_rdonly(a.fs));
	side_close(&a);
	ck_assert_uint_eq(writes(), before);
	ck_assert_int_eq(touch(&b, "z"), 0);
	ck_assert_int_eq(tfs_sync(b.fs), 0);
	side_close(&b);
	bed_mount(&bed);
	bed_check(&bed, 0);
}
END_TEST

static void other_comes(struct side *s)
{
	s->meanwhile = NULL;
	ck_assert_int_eq(side_open(s->other, bed.sim), 0);
}

START_TEST(of_two_that_come_at_once_one_gets_it)
{
	struct side b, c;

	side_init(&b, "beta", 1000);
	side_init(&c, "gamma", 1000);
	b.other = &c;
	b.meanwhile = other_comes;
	ck_assert_int_eq(side_open(&b, bed.sim), -EBUSY);
	ck_assert_int_eq(touch(&c, "x"), 0);
	side_close(&c);
	bed_mount(&bed);
	bed_check(&bed, 0);
}
END_TEST

START_TEST(a_reader_is_warned_and_writes_nothing)
{
	unsigned int lines = bed_log_lines(LOG_WARNING);
	struct side a, b;
	uint64_t before;

	side_init(&a, "alpha", 1000);
	side_init(&b, "beta", 1000);
	b.how.rdonly = true;
	ck_assert_int_eq(side_open(&a, bed.sim), 0);
	before = writes();
	ck_assert_int_eq(side_open(&b, bed.sim), 0);
	ck_assert_uint_gt(bed_log_lines(LOG_WARNING), lines);
	side_close(&b);
	ck_assert_uint_eq(writes(), before);
	side_close(&a);
}
END_TEST

START_TEST(a_damaged_fence_is_written_anew)
{
	uint8_t junk[4096];
	struct side a;

	bed_mount(&bed);
	bed_fill(junk, sizeof(junk), 7);
	sim_poke(bed.sim, bed_data_at(&bed, bed.fs->super.clusters -
				      TFS_END_FENCE), junk, sizeof(junk));
	bed_umount(&bed);
	side_init(&a, "alpha", 1000);
	ck_assert_int_eq(side_open(&a, bed.sim), 0);
	ck_assert_uint_gt(a.waits, 1);
	side_close(&a);
	side_init(&a, "beta", 1000);
	ck_assert_int_eq(side_open(&a, bed.sim), 0);
	ck_assert_uint_eq(a.waits, 1);
	side_close(&a);
}
END_TEST

static bool give_up(void *arg, unsigned int ms)
{
	(void)arg;
	(void)ms;
	return false;
}

/* Who gives up while he waits has changed nothing, or signs off again. */
START_TEST(waiting_can_be_given_up)	/* _i: for another host */
{
	struct side a, b;

	side_init(&a, "alpha", 1000);
	side_init(&b, "beta", 1000);
	if (_i)
		ck_assert_int_eq(side_open(&a, bed.sim), 0);
	b.how.pause = give_up;
	ck_assert_int_eq(side_open(&b, bed.sim), -EINTR);
	if (_i) {
		tfs_fence_renew(a.fs);
		ck_assert_int_eq(touch(&a, "x"), 0);
		side_close(&a);
	}
	side_init(&b, "gamma", 1000);
	ck_assert_int_eq(side_open(&b, bed.sim), 0);
	ck_assert_uint_eq(b.waits, 1);
	side_close(&b);
}
END_TEST

/* With a thread, and a disk that is read meanwhile. */
START_TEST(it_is_renewed_while_mounted)
{
	struct side a;
	uint64_t before;

	side_init(&a, "alpha", 5);
	a.host.manual = false;
	ck_assert_int_eq(side_open(&a, bed.sim), 0);
	before = writes();
	for (int i = 0; i < 2000 && writes() < before + 5; i++)
		usleep(5000);
	ck_assert_uint_ge(writes(), before + 5);
	ck_assert_int_eq(touch(&a, "x"), 0);
	side_close(&a);
	bed_mount(&bed);
	bed_check(&bed, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("fence");
	TCase *tc = tcase_create("fence");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, a_living_host_keeps_others_out);
	tcase_add_test(tc, a_clean_unmount_is_not_waited_for);
	tcase_add_loop_test(tc, a_dead_host_is_waited_for_and_succeeded, 0, 2);
	tcase_add_loop_test(tc, a_host_that_was_replaced_writes_nothing, 0, 2);
	tcase_add_test(tc, of_two_that_come_at_once_one_gets_it);
	tcase_add_test(tc, a_reader_is_warned_and_writes_nothing);
	tcase_add_test(tc, a_damaged_fence_is_written_anew);
	tcase_add_loop_test(tc, waiting_can_be_given_up, 0, 2);
	tcase_add_test(tc, it_is_renewed_while_mounted);
	suite_add_tcase(s, tc);
	return bed_run_suite(s);
}
