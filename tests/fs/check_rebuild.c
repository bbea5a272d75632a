/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_rebuild.c - what comes back after what kind of damage: all that can,
 * and nothing wrong. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cluster.h"
#include "check/nonce.h"
#include "soft/dev_soft.h"
#include "support/fs_state.h"
#include "support/ruin.h"

struct kind {
	const char	*name;
	unsigned int	what, leaves;	/* leaves: percent */
	bool		all, older;	/* comes back; as of the checkpoint */
};

#define FIXED	(RUIN_SUPERS | RUIN_SLOTS)

static const struct kind kinds[] = {
	{ "nothing", 0, 0, true, false },
	{ "all inner nodes", RUIN_INNER, 0, true, false },
	{ "superblocks", RUIN_SUPERS, 0, true, false },
	{ "superblocks, headers", RUIN_SUPERS | RUIN_HEADERS, 0, true, false },
	{ "inner nodes, superblocks, slots, log",
	  RUIN_INNER | FIXED | RUIN_LOG, 0, true, true },
	{ "headers, inner nodes, superblocks, slots, log",
	  RUIN_HEADERS | RUIN_INNER | FIXED | RUIN_LOG, 0, true, true },
	{ "superblocks and slots", FIXED, 0, true, false },
	{ "slots, inner nodes", RUIN_INNER | RUIN_SLOTS, 0, true, false },
	{ "1 % of the leaves", 0, 1, false, false },
	{ "10 % of the leaves", 0, 10, false, false },
	{ "50 % of the leaves", 0, 50, false, false },
	{ "all leaves", 0, 100, false, false },
	{ "inner nodes, 10 % of the leaves", RUIN_INNER, 10, false, false },
	{ "all nodes, slots, log", RUIN_INNER | RUIN_SLOTS | RUIN_LOG, 100,
	  false, true },
};

#define CUTS	6	/* each one: see check_cuts.c */
#define KINDS	(sizeof(kinds) / sizeof(kinds[0]))

/* Made once; nobody changes it. */
static struct ruin past;

static void make_past(void)
{
	ruin_make(&past, 1);
}

static void free_past(void)
{
	ruin_free(&past);
}

static struct sim *damaged(unsigned int what, unsigned int leaves,
			   uint64_t seed)
{
	struct ruin_how how[2] = {
		{ .what = what, .percent = 100, .copies = 2 },
		{ .what = RUIN_LEAVES, .percent = leaves, .copies = 2 },
	};

	return ruin_damaged(&past, how, leaves ? 2 : 1, seed);
}

START_TEST(what_can_come_back_does)
{
	const struct kind *k = &kinds[_i];
	struct tfs_rebuild how = { .rdonly = false };
	struct ruin_share sh;
	struct bed b;

	bed_take(&b, damaged(k->what, k->leaves, _i), _i);
	snprintf(b.where, sizeof(b.where), "%s", k->name);
	ruin_must_rebuild(&b, &how);
	if (k->all)
		ruin_same(&b, k->older ? past.older : past.state);
	ruin_look(&past, &b, &sh, k->older);
	bed_umount(&b);
	ruin_must_rebuild(&b, &how);
	ck_assert_uint_eq(how.lost, 0);
	bed_free(&b);
}
END_TEST

/* Where each cluster is one interval, and nothing says so any more. */
START_TEST(clusters_of_one_interval_are_found)
{
	const struct ruin_how how = {
		.what = RUIN_INNER | RUIN_SUPERS | (_i ? RUIN_SLOTS : 0),
		.percent = 100, .copies = 2,
	};
	struct tfs_rebuild again = { .rdonly = false };
	struct ruin small;
	struct bed b;

	ruin_make_in(&small, "4096+64:tags8", 7);
	bed_take(&b, ruin_damaged(&small, &how, 1, _i), _i);
	ruin_must_rebuild(&b, &again);
	ruin_same(&b, small.state);
	ck_assert_uint_eq(eng_dev_geometry(b.dev)->profile->tags, ENG_TAGS);
	bed_free(&b);
	ruin_free(&small);
}
END_TEST

/* It is the same whether what is found is kept in memory or, nearly all of it,
 * in a file. */
START_TEST(memory_makes_no_difference)
{
	static const unsigned int which[] = { 5, 9, 13 };
	const struct kind *k = &kinds[which[_i]];
	struct tfs_rebuild how[2] = {
		{ .rdonly = true },
		{ .rdonly = true, .scratch = { .dir = "/tmp", .bytes = 1 } },
	};
	char *state[2];
	struct bed b;

	for (int i = 0; i < 2; i++) {
		bed_take(&b, damaged(k->what, k->leaves, _i), _i);
		snprintf(b.where, sizeof(b.where), "%s, memory %d", k->name,
			 !i);
		ck_assert_int_eq(ruin_rebuild(&b, &how[i]), 0);
		state[i] = fs_state(b.fs);
		free(how[i].gap);
		bed_free(&b);
	}
	ck_assert_msg(!strcmp(state[0], state[1]), "%s", k->name);
	free(state[0]);
	free(state[1]);
	ck_assert_uint_eq(how[0].leaves, how[1].leaves);
	ck_assert_uint_eq(how[0].items, how[1].items);
	ck_assert_uint_eq(how[0].inodes, how[1].inodes);
	ck_assert_uint_eq(how[0].clusters, how[1].clusters);
	ck_assert_uint_eq(how[0].problems, how[1].problems);
	ck_assert_uint_eq(how[0].gaps, how[1].gaps);
}
END_TEST

/* Where there is no room for what is found, nothing has changed. */
START_TEST(without_room_nothing_changes)
{
	static const struct {
		const char	*dir;
		int		err;
	} where[] = {
		{ NULL, -ENOBUFS }, { "/nowhere/at/all", -ENOENT },
		{ "/dev/null", -ENOTDIR },
	};
	struct sim_counts before, after;
	struct bed b;

	bed_take(&b, damaged(RUIN_INNER | RUIN_SLOTS, 0, _i), _i);
	sim_counts(b.sim, &before);
	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		struct tfs_rebuild how = {
			.scratch = { .dir = where[i].dir, .bytes = 1 },
		};

		ck_assert_int_eq(ruin_rebuild(&b, &how), where[i].err);
	}
	sim_counts(b.sim, &after);
	ck_assert_uint_eq(before.writes, after.writes);
	bed_free(&b);
}
END_TEST

/* A file that is full at some point: an error, and nothing has changed; or it
 * was not needed any more. */
START_TEST(a_full_file_changes_nothing)
{
	static const rlim_t limits[] = {
		0, 4096, 65536, 66000, 200000, 400000, 1 << 20, RLIM_INFINITY,
	};
	struct rlimit was, now;
	struct sim_counts before, after;
	struct bed b;
	int err = -EFBIG;

	bed_take(&b, damaged(RUIN_INNER | RUIN_SLOTS, 0, _i), _i);
	sim_counts(b.sim, &before);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
	for (size_t i = 0; err; i++) {
		struct tfs_rebuild how = {
			.scratch = { .dir = "/tmp", .bytes = 1 },
		};

		now = (struct rlimit){ limits[i], was.rlim_max };
		ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &now), 0);
		err = ruin_rebuild(&b, &how);
		ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
		sim_counts(b.sim, &after);
		if (!err)
			break;
		ck_assert_msg(err == -EFBIG, "limit %llu: %s",
			      (unsigned long long)limits[i], strerror(-err));
		ck_assert_uint_eq(before.writes, after.writes);
	}
	ck_assert_uint_gt(after.writes, before.writes);
	bed_mount(&b);
	ruin_same(&b, past.state);
	bed_free(&b);
}
END_TEST

/* _i: of the cuts; some with next to no memory. */
START_TEST(a_rebuild_that_is_cut_can_be_done_again)
{
	struct tfs_rebuild how = {
		.scratch = { .dir = _i % 3 ? NULL : "/tmp", .bytes = _i % 3 ?
			0 : 1 },
	};
	struct sim_counts before, after;
	struct sim *sim;
	struct bed b;
	uint64_t n;

	sim = damaged(_i % 2 ? RUIN_INNER : RUIN_INNER | FIXED |
		      (_i % 4 ? RUIN_HEADERS : 0), 0, _i);
	bed_take(&b, sim_clone(sim), _i);
	sim_counts(b.sim, &before);
	ruin_must_rebuild(&b, &how);
	sim_counts(b.sim, &after);
	n = (after.writes - before.writes) * (_i + 1) / (CUTS + 1);
	bed_free(&b);
	bed_take(&b, sim, _i);
	snprintf(b.where, sizeof(b.where), "cut %d, at write %llu", _i,
		 (unsigned long long)n);
	sim_power_off_at(sim, n);
	ruin_rebuild(&b, &how);
	if (sim_is_off(sim))
		sim_crash(sim, _i);
	ruin_must_rebuild(&b, &how);
	ruin_same(&b, past.state);
	bed_free(&b);
}
END_TEST

/* ---- two filesystems ---------------------------------------------------------- */

/* A younger one in the same container, of which some files are there. */
static void make_younger(struct bed *b, uint8_t nonce[TFS_NONCE],
			 unsigned int files)
{
	struct eng_open open = { .pool = b->pool };
	struct tfs_mkfs mkfs = { .label = "younger" };

	ck_assert_int_eq(eng_soft_open(&b->dev, sim_raw(b->sim), &open), 0);
	ck_assert_int_eq(tfs_mkfs(b->dev, &mkfs), 0);
	eng_dev_close(b->dev);
	b->dev = NULL;
	bed_mount(b);
	memcpy(nonce, b->fs->super.nonce, TFS_NONCE);
	for (unsigned int i = 0; i < files; i++) {
		char name[32];

		snprintf(name, sizeof(name), "young %u", i);
		bed_file(b, name);
	}
	ck_assert_int_eq(tfs_sync(b->fs), 0);
}

static bool is_young(struct bed *b)
{
	struct tfs_inode in;
	int err = tfs_lookup(b->fs, TFS_ROOT_INO, "young 3", &in);

	if (!err)
		tfs_unref(b->fs, in.ino, 1);
	return !err;
}

/* Of two filesystems whose remains lie there the younger one comes back, the
 * other one is named, and comes back for who asks for it. */
START_TEST(of_two_filesystems_the_younger_counts)	/* _i: slots, too */
{
	struct tfs_rebuild how = { .rdonly = true };
	uint8_t nonce[TFS_NONCE], old[TFS_NONCE];
	unsigned int before;
	uint64_t end;
	struct bed b;

	memcpy(old, past.b.fs->super.nonce, TFS_NONCE);
	end = past.clusters;
	bed_take(&b, sim_clone(past.disk), _i);
	make_younger(&b, nonce, 20);
	bed_umount(&b);
	for (unsigned int i = 0; i < 3; i++) {
		if (i && !_i)
			break;
		sim_flip(b.sim, bed_data_at(&past.b, i) + 99, 1);
		sim_flip(b.sim, bed_data_at(&past.b, i ? end - 4 + i :
					    end - 1) + 99, 1);
	}
	before = bed_log_lines(LOG_WARNING);
	ck_assert_int_eq(ruin_rebuild(&b, &how), 0);
	ck_assert_mem_eq(b.fs->super.nonce, nonce, TFS_NONCE);
	ck_assert_uint_gt(bed_log_lines(LOG_WARNING), before);
	ck_assert(is_young(&b));
	bed_drop(&b);
	how = (struct tfs_rebuild){ .rdonly = true, .nonce = old };
	ck_assert_int_eq(ruin_rebuild(&b, &how), 0);
	ck_assert_mem_eq(b.fs->super.nonce, old, TFS_NONCE);
	ck_assert(!is_young(&b));
	bed_free(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rebuild");
	TCase *t = tcase_create("matrix");

	tcase_set_timeout(t, 300);
	tcase_add_unchecked_fixture(t, make_past, free_past);
	tcase_add_loop_test(t, what_can_come_back_does, 0, KINDS);
	tcase_add_loop_test(t, clusters_of_one_interval_are_found, 0, 2);
	tcase_add_loop_test(t, memory_makes_no_difference, 0, 3);
	tcase_add_test(t, without_room_nothing_changes);
	tcase_add_test(t, a_full_file_changes_nothing);
	tcase_add_loop_test(t, a_rebuild_that_is_cut_can_be_done_again, 0,
			    CUTS);
	tcase_add_loop_test(t, of_two_filesystems_the_younger_counts, 0, 2);
	suite_add_tcase(s, t);
	return bed_run_suite(s);
}
