/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_joining.c - legs that join and leave a mirror beneath its mount, and
 * how far a resilver was. */
#include <unistd.h>

#include "fs/legs_bed.h"

enum { STEPS = 12 };

static int live(struct pair *p, uint64_t *seed)
{
	int err = 0;

	for (unsigned int i = 0; i < STEPS && !err; i++) {
		err = fs_step(p->fs, seed);
		if (!err)
			err = tfs_sync(p->fs);
	}
	return err;
}

/* A disk that could be a leg. */
static void add_sim(struct pair *p, unsigned int clusters)
{
	p->sim[p->n] = sim_create(bed_size("512+8", clusters), 99);
	must(p, eng_soft_format_raw(sim_raw(p->sim[p->n]),
				    eng_profile_find("512+8"), 99), "format");
	p->n++;
}

static int join_live(struct pair *p, unsigned int i, enum tfs_legs_as as)
{
	struct eng_open how = { .pool = p->pool };
	struct eng_dev *dev = NULL;
	int err = eng_soft_open(&dev, sim_raw(p->sim[i]), &how);

	if (!err)
		err = tfs_legs_join_live(p->fs, dev, "new", as);
	if (err)
		eng_dev_close(dev);
	return err;
}

static unsigned int members(struct pair *p)
{
	struct tfs_leg_info info;
	unsigned int n = 0;

	while (tfs_legs_info(p->dev, n, &info))
		n++;
	return n;
}

static int fill(struct pair *p)
{
	struct tfs_resilver *r;
	int err = tfs_resilver_start(&r, p->fs, 0);

	return err ? err : tfs_resilver_stop(r, true);
}

/* Those legs are all there are, and have the same. */
static void settle(struct pair *p, unsigned int mask, const char *acked)
{
	const char *wrong;
	char *now;

	must(p, open_mask(p, mask, false, false), "all of them");
	ck_assert_uint_eq(members(p), (unsigned int)__builtin_popcount(mask));
	must(p, fill(p), "resilver");
	ck_assert(all_current(p));
	now = fs_state(p->fs);
	ck_assert_msg(!acked || !strcmp(now, acked), "%s: not what was "
		      "acknowledged", p->where);
	must(p, shut(p), "unmount");
	for (unsigned int i = 0; i < p->n; i++) {
		char *its;

		if (!(mask & 1u << i))
			continue;
		must(p, open_mask(p, 1u << i, true, true), "one leg");
		wrong = fs_check(p->fs, 0);
		its = fs_state(p->fs);
		ck_assert_msg(!wrong && !strcmp(its, now), "%s: leg %u is not "
			      "as the others: %s", p->where, i,
			      wrong ? wrong : "other content");
		free(its);
		shut(p);
	}
	free(now);
}

/* The others don't know that one and mount without it; nor is it a mirror by
 * itself. */
static void is_none(struct pair *p, unsigned int leg)
{
	int err = open_mask(p, 1u << leg, true, false);

	ck_assert_msg(err, "%s: leg %u can be mounted alone", p->where, leg);
}

START_TEST(a_leg_joins_and_another_leaves)
{
	uint64_t seed = 5;
	struct pair p;
	char *now;

	make_pair(&p, 2, 1);
	add_sim(&p, CLUSTERS + 50);
	must(&p, open_mask(&p, 3, false, false), "mount");
	must(&p, live(&p, &seed), "life");
	must(&p, join_live(&p, 2, TFS_LEGS_ADD), "join");
	ck_assert_int_eq(eng_mirror_state(p.dev, 2), ENG_LEG_BEHIND);
	must(&p, live(&p, &seed), "life");
	must(&p, fill(&p), "resilver");
	ck_assert(all_current(&p));
	must(&p, live(&p, &seed), "life");
	must(&p, tfs_legs_leave_live(p.fs, 0), "leave");
	ck_assert_uint_eq(members(&p), 2);
	must(&p, live(&p, &seed), "life");
	now = fs_state(p.fs);
	must(&p, shut(&p), "unmount");
	is_none(&p, 0);
	settle(&p, 6, now);
	free(now);
	free_pair(&p);
}
END_TEST

/* The last one that has everything stays. */
START_TEST(no_mirror_loses_its_last_leg)
{
	uint64_t seed = 6;
	struct pair p;

	make_pair(&p, 2, 2);
	add_sim(&p, CLUSTERS - 100);
	must(&p, open_mask(&p, 1, true, false), "without one");
	must(&p, live(&p, &seed), "life");
	ck_assert_int_eq(tfs_legs_leave_live(p.fs, 0), -EBUSY);
	ck_assert_int_eq(tfs_legs_leave_live(p.fs, 2), -ENOENT);
	ck_assert_int_eq(join_live(&p, 2, TFS_LEGS_REPLACE), -ENOSPC);
	ck_assert_int_eq(join_live(&p, 2, TFS_LEGS_RETURN), -ENOENT);
	ck_assert_int_eq(join_live(&p, 1, TFS_LEGS_ADD), -ENODEV);
	must(&p, join_live(&p, 1, TFS_LEGS_RETURN), "return");
	ck_assert_int_eq(join_live(&p, 0, TFS_LEGS_RETURN), -ENOTUNIQ);
	ck_assert_int_eq(tfs_legs_leave_live(p.fs, 0), -EBUSY);
	must(&p, fill(&p), "resilver");
	must(&p, tfs_legs_leave_live(p.fs, 0), "leave");
	ck_assert_int_eq(tfs_legs_leave_live(p.fs, 0), -EBUSY);
	must(&p, shut(&p), "unmount");
	is_none(&p, 0);
	p.n = 2;
	settle(&p, 2, NULL);
	p.n = 3;
	free_pair(&p);
}
END_TEST

/* As if pulled out and plugged in again. */
START_TEST(a_leg_that_failed_comes_back)
{
	uint64_t seed = 8;
	struct pair p;
	char *now;

	make_pair(&p, 2, 4);
	must(&p, open_mask(&p, 3, false, false), "mount");
	for (unsigned int i = 0; i < 3; i++) {
		must(&p, live(&p, &seed), "life");
		sim_power_off_at(p.sim[1], SIM_NOW);
		must(&p, live(&p, &seed), "life without it");
		ck_assert(!all_current(&p));
		sim_crash(p.sim[1], i);
		must(&p, live(&p, &seed), "it is back, and nobody said so");
		must(&p, join_live(&p, 1, TFS_LEGS_RETURN), "return");
		ck_assert_int_eq(join_live(&p, 1, TFS_LEGS_RETURN), -ENOTUNIQ);
		ck_assert_uint_eq(members(&p), 2);
		must(&p, live(&p, &seed), "life");
		must(&p, fill(&p), "resilver");
		ck_assert(all_current(&p));
	}
	now = fs_state(p.fs);
	must(&p, shut(&p), "unmount");
	settle(&p, 3, now);
	free(now);
	legs_are_equal(&p);
	free_pair(&p);
}
END_TEST

/* Power goes at every write of one leg while a third one joins, is filled, and
 * the first one leaves. */
START_TEST(changes_beneath_a_mount_can_be_cut)
{
	struct pair base;
	uint64_t rand = (uint64_t)_i + 7;
	unsigned int most = getenv("TAGFS_TEST_QUICK") ? 24 : 3;
	bool off = true;

	make_pair(&base, 2, (uint64_t)_i);
	add_sim(&base, CLUSTERS + 50);
	for (unsigned int n = 0; off; n += 1 + sim_rand(&rand) % most) {
		uint64_t seed = 9;
		bool joined = false, left = false;
		struct pair p;
		int err;

		clone_pair(&p, &base);
		snprintf(p.where, sizeof(p.where), "leg %d, write %u", _i, n);
		sim_power_off_at(p.sim[_i], n);
		if (!open_mask(&p, 3, false, false)) {
			live(&p, &seed);
			joined = !join_live(&p, 2, TFS_LEGS_ADD);
			live(&p, &seed);
			if (joined && !fill(&p))
				left = !tfs_legs_leave_live(p.fs, 0);
			live(&p, &seed);
			shut(&p);
		}
		off = sim_is_off(p.sim[_i]);
		for (unsigned int i = 0; i < 3; i++)
			sim_crash(p.sim[i], (uint64_t)_i + i);
		err = open_mask(&p, 7, false, false);
		if (!err) {
			shut(&p);
			settle(&p, 7, NULL);
		} else if (!(err = open_mask(&p, 6, false, false))) {
			shut(&p);
			if (_i)		/* else it could not be told */
				is_none(&p, 0);
			settle(&p, 6, NULL);
		} else {
			ck_assert_msg(!left, "%s: left, and needed", p.where);
			is_none(&p, 2);
			settle(&p, 3, NULL);
		}
		drop_sims(&p);
	}
	free_pair(&base);
}
END_TEST

/* Others write all the time; nothing of it is missing on the new leg. */
static atomic_bool enough;

static void *write_on(void *arg)
{
	struct pair *p = arg;
	uint64_t seed = 77;

	while (!atomic_load(&enough))
		if (fs_step(p->fs, &seed))
			break;
	return NULL;
}

START_TEST(writers_do_not_notice)
{
	pthread_t thread;
	struct pair p;

	make_pair(&p, 2, 3);
	add_sim(&p, CLUSTERS + 50);
	must(&p, open_mask(&p, 3, false, false), "mount");
	atomic_store(&enough, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_on, &p), 0);
	for (unsigned int i = 0; i < 6; i++) {
		usleep(20000);
		must(&p, join_live(&p, 2, TFS_LEGS_ADD), "join");
		must(&p, fill(&p), "resilver");
		ck_assert(all_current(&p));
		if (i < 5)
			must(&p, tfs_legs_leave_live(p.fs, 2), "leave");
	}
	atomic_store(&enough, true);
	pthread_join(thread, NULL);
	must(&p, shut(&p), "unmount");
	settle(&p, 7, NULL);
	free_pair(&p);
}
END_TEST

/* ---- how far it was ------------------------------------------------------ */

static void write_file(struct pair *p, const char *name, unsigned int seed)
{
	static char buf[1 << 20];
	struct tfs_new new = { .mode = S_IFREG | 0644 };
	struct tfs_inode inode;

	bed_fill(buf, sizeof(buf), seed);
	if (tfs_lookup(p->fs, TFS_ROOT_INO, name, &inode))
		must(p, tfs_create(p->fs, TFS_ROOT_INO, name, &new, &inode),
		     "create");
	must(p, tfs_write(p->fs, inode.ino, 0, buf, sizeof(buf), 0), "write");
	tfs_unref(p->fs, inode.ino, 1);
}

/* Two files that leg 1 misses, and a resilver that has seen some of them. */
static uint64_t stop_halfway(struct pair *p)
{
	struct tfs_resilver *r;
	uint64_t bytes;

	must(p, open_mask(p, 1, true, false), "mount without it");
	write_file(p, "a", 1);
	write_file(p, "b", 2);
	must(p, shut(p), "unmount");
	must(p, open_mask(p, 3, false, false), "mount");
	must(p, tfs_resilver_start(&r, p->fs, 1), "resilver");
	while (atomic_load(&p->fs->resilver.bytes) < 1 << 20)
		usleep(1000);
	ck_assert_int_eq(tfs_resilver_stop(r, false), -EINTR);
	bytes = atomic_load(&p->fs->resilver.bytes);
	must(p, shut(p), "unmount");
	return bytes;
}

static void to_end(struct pair *p)
{
	must(p, open_mask(p, 3, false, false), "mount");
	must(p, fill(p), "resilver");
	ck_assert(all_current(p));
}

START_TEST(a_resilver_does_not_read_twice)
{
	uint64_t before, bytes;
	struct pair p;

	make_pair(&p, 2, 31);
	before = stop_halfway(&p);
	to_end(&p);
	bytes = atomic_load(&p.fs->resilver.bytes);
	ck_assert_msg(before >= 1 << 20 && bytes >= 2 << 20 &&
		      bytes < (2 << 20) + (256 << 10), "%llu, then %llu bytes",
		      (unsigned long long)before, (unsigned long long)bytes);
	must(&p, shut(&p), "unmount");
	settle(&p, 3, NULL);
	free_pair(&p);
}
END_TEST

/* What it has seen is no longer all: a mount without the leg changed it. */
START_TEST(a_leg_that_missed_a_mount_is_read_again)
{
	struct pair p;

	make_pair(&p, 2, 32);
	stop_halfway(&p);
	must(&p, open_mask(&p, 1, true, false), "mount without it");
	write_file(&p, "a", 3);
	must(&p, shut(&p), "unmount");
	to_end(&p);
	must(&p, shut(&p), "unmount");
	settle(&p, 3, NULL);
	free_pair(&p);
}
END_TEST

/* The same, and the leg failed beneath a mount. */
START_TEST(a_leg_that_failed_is_read_again)
{
	struct pair p;

	make_pair(&p, 2, 33);
	stop_halfway(&p);
	must(&p, open_mask(&p, 3, false, false), "mount");
	sim_power_off_at(p.sim[1], 0);
	write_file(&p, "a", 3);
	must(&p, tfs_sync(p.fs), "sync");
	must(&p, shut(&p), "unmount");
	sim_crash(p.sim[1], 3);
	to_end(&p);
	must(&p, shut(&p), "unmount");
	settle(&p, 3, NULL);
	free_pair(&p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("joining");
	TCase *tc = tcase_create("joining");

	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, a_leg_joins_and_another_leaves);
	tcase_add_test(tc, no_mirror_loses_its_last_leg);
	tcase_add_test(tc, a_leg_that_failed_comes_back);
	tcase_add_loop_test(tc, changes_beneath_a_mount_can_be_cut, 0, 3);
	tcase_add_test(tc, writers_do_not_notice);
	tcase_add_test(tc, a_resilver_does_not_read_twice);
	tcase_add_test(tc, a_leg_that_missed_a_mount_is_read_again);
	tcase_add_test(tc, a_leg_that_failed_is_read_again);
	suite_add_tcase(s, tc);
	return bed_run_suite(s);
}
