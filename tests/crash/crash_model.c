/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crash_model.c - after a crash, the state is that of some step no earlier
 * than the last sync: named patterns, and anything at all.  See life.h. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fs_check.h"
#include "support/life.h"

static bool quick(void)
{
#ifdef __SANITIZE_ADDRESS__
	return !getenv("TAGFS_TEST_FULL");
#else
	return getenv("TAGFS_TEST_QUICK");
#endif
}

/* Of a full run, a normal one and a quick one. */
static unsigned int amount(unsigned int full, unsigned int normal,
			   unsigned int few)
{
	if (getenv("TAGFS_TEST_FULL"))
		return full;
	return quick() ? few : normal;
}

/* Of so many writes one is a cut. */
static unsigned int sparse(unsigned int n)
{
	return getenv("TAGFS_TEST_FULL") ? 1 : n;
}

static void tell(struct story *st, uint64_t seed)
{
	struct story told = *st;

	if (!told.crashes)
		told.crashes = 4;
	if (!told.one_in)
		told.one_in = 1;
	if (quick() && !getenv("TAGFS_CASE")) {
		told.one_in *= 6;
		told.real *= 6;
	}
	life_tell(&told, seed);
}

/* ---- anything ------------------------------------------------------------ */

START_TEST(anything_survives_a_cut_at_any_write)
{
	struct story st = {
		.name = "anything", .profile = _i % 4 == 3 ? "4096+8" :
		"512+8", .discard = _i % 2, .prepare_steps = 60, .steps = 40,
		.crashes = 5, .real = 5,
	};

	tell(&st, (uint64_t)_i);
}
END_TEST

START_TEST(names_survive_a_cut_at_any_write)
{
	struct story st = {
		.name = "names", .mix = &mix_names, .prepare_steps = 150,
		.steps = 60, .crashes = 5, .real = 11,
	};

	tell(&st, (uint64_t)_i);
}
END_TEST

START_TEST(content_survives_a_cut_at_any_write)
{
	struct story st = {
		.name = "content", .mix = &mix_data, .prepare = "create n0",
		.prepare_steps = 40, .steps = 40, .crashes = 5, .real = 11,
		.discard = _i % 2,
	};

	tell(&st, (uint64_t)_i);
}
END_TEST

static const struct step_mix *const mixes[] = {
	&mix_any, &mix_names, &mix_data,
};

START_TEST(long_life_survives_cuts)
{
	struct story st = {
		.name = "long", .clusters = 2048, .mix = mixes[_i % 3],
		.prepare = "create n0", .steps = 1200, .one_in = sparse(40),
		.crashes = 2, .discard = _i % 2,
	};

	tell(&st, (uint64_t)_i);
}
END_TEST

/* Somebody syncs all the time, and what is in several steps is cut. */
START_TEST(cuts_during_syncs_of_others_are_survived)
{
	struct story st = {
		.name = "others", .mix = mixes[_i % 3], .others = true,
		.prepare = "create n0", .prepare_steps = 40, .steps = 100,
		.one_in = sparse(10), .crashes = 2,
	};

	tell(&st, (uint64_t)_i);
}
END_TEST

/* ---- well-known patterns ------------------------------------------------- */

/* One story, with all its seeds. */
static void pattern(struct story *st, unsigned int seeds)
{
	for (unsigned int seed = 0; seed < amount(8 * seeds, seeds, 1); seed++)
		tell(st, seed);
}

START_TEST(file_replaced_by_rename_is_old_or_new)
{
	pattern(&(struct story){
		.name = "replace", .real = 3, .rounds = 3,
		.prepare = "create doc; write doc 0 20000",
		.script = "create tmp; write tmp 0 20000; fsync tmp; "
			  "rename tmp doc; fsync .",
	}, 2);
}
END_TEST

/* The usual short cut: nothing but the rename is to be durable, sometime. */
START_TEST(file_replaced_without_fsync_is_old_or_new)
{
	pattern(&(struct story){
		.name = "replace-lazy", .real = 3, .rounds = 6,
		.prepare = "create doc; write doc 0 20000",
		.script = "create tmp; write tmp 0 20000; rename tmp doc; "
			  "create other#; fsync other#",
	}, 1);
}
END_TEST

START_TEST(appended_log_keeps_what_was_synced)
{
	pattern(&(struct story){
		.name = "log", .prepare = "create log", .real = 5,
		.script = "append log 777; fsync log", .rounds = 24,
	}, 1);
}
END_TEST

START_TEST(link_and_unlink_storm_survives)
{
	pattern(&(struct story){
		.name = "links", .prepare = "mkdir a; mkdir b; create a/x",
		.rounds = 8, .real = 9,
		.script = "create a/f#; link a/f# b/g#; unlink a/f#; "
			  "fsync b; rename b/g# a/x; link a/x b/y#; "
			  "exchange a/x b/y#; fsync a; noreplace b/y# a/x; "
			  "rename b/y# a/z#",
	}, 1);
}
END_TEST

START_TEST(folders_move_as_a_whole)
{
	pattern(&(struct story){
		.name = "directories", .prepare = "mkdir a; mkdir b; mkdir a/c;"
		"create a/c/f; append a/c/f 5000; mkdir b/d; create b/d/g",
		.rounds = 4, .real = 9,
		.script = "exchange a/c b/d; fsync a; rename b/d b/e; "
			  "rename a/c b/d; fsync b; rename b/e a/c; "
			  "rename a b/x; fsync .; rename b/x a; sync",
	}, 1);
}
END_TEST

START_TEST(truncate_then_write_leaves_no_old_bytes)
{
	pattern(&(struct story){
		.name = "truncate", .prepare = "create f; write f 0 60000",
		.rounds = 4, .real = 9,
		.script = "truncate f 100; append f 5000; fsync f; "
			  "truncate f 5000; truncate f 30000; fsync f; "
			  "write f 20000 9000; truncate f 0; "
			  "write f 0 60000; fsync f; truncate f 1024; "
			  "truncate f 3; append f 10; fsync f; append f 60000",
	}, 1);
}
END_TEST

START_TEST(reserved_space_is_kept_and_used)
{
	pattern(&(struct story){
		.name = "reserve", .prepare = "create f; create small; "
		"append small 50", .rounds = 3, .real = 9,
		.script = "falloc f 0 100000; fsync f; write f 8192 30000; "
			  "fsync f; write f 12000 100; keep f 90000 200000; "
			  "fsync f; punch f 4000 20000; fsync f; "
			  "zero f 30000 60000; write f 40960 4096; fsync f; "
			  "falloc small 0 3000; fsync small; "
			  "truncate small 20; truncate f 0",
	}, 1);
}
END_TEST

/* More extents than one step frees or fills. */
START_TEST(large_steps_end_or_go_on)
{
	pattern(&(struct story){
		.name = "steps", .prepare = "create f; create g; create h;"
		"write f 0 10; write g 0 10; write h 0 10; "
		"write f #8192 4096; write g #8192 100; write h #8192 10",
		.prepare_rounds = 150, .clusters = 2048, .real = 5,
		.script = "punch f 5000 1000000; append g 10; fsync g; "
			  "falloc g 0 1200000; create x; fsync x; "
			  "truncate h 9000; append h 10; fsync h; "
			  "zero g 100 900000; fsync x; truncate g 0; sync; "
			  "open f @f; unlink f; fsync x; close @f; unlink h",
	}, 1);
}
END_TEST

#define MIDDLE	12u		/* files */

/* The same for each file: % is its number. */
static char *for_each(const char *line)
{
	size_t size;
	char *text;
	FILE *f = open_memstream(&text, &size);

	for (unsigned int i = 0; i < MIDDLE; i++) {
		for (const char *at = line; *at; at++)
			if (*at == '%')
				fprintf(f, "%u", i);
			else
				putc(*at, f);
	}
	fclose(f);
	return text;
}

/* The same while somebody syncs all the time, so that checkpoints fall between
 * the steps, of which there are many. */
START_TEST(large_steps_are_cut_in_the_middle)
{
	static const char *const last[] = {
		"truncate f% 2457600; truncate f% 0;",
		"truncate f% 2457600; truncate f% 9000;", "unlink f%;",
		"punch f% 3000 5000000;", "keep f% 0 2400000;",
	};
	char *files = for_each("create f%; keep f% #8192 4096;");
	char *script = for_each(last[_i % 5]);
	struct story st = {
		.name = "middle", .prepare_rounds = 300, .clusters = 12000,
		.prepare = files, .script = script, .others = true,
		.crashes = 2, .one_in = sparse(3),
	};

	tell(&st, (uint64_t)_i);
	free(files);
	free(script);
}
END_TEST

START_TEST(orphans_are_gone_and_their_space_is_back)
{
	pattern(&(struct story){
		.name = "orphans", .prepare = "create o; append o 50000; "
		"mkdir d", .rounds = 5, .real = 9,
		.script = "create a; append a 20000; setxattr a x 3000; "
			  "open a @a; unlink a; append @a 9000; "
			  "tmpfile . @b; append @b 50000; fsync @a; "
			  "mkdir e#; open e# @e; rmdir e#; fsync @b; "
			  "truncate @a 100; fsync @e; close @b; sync; "
			  "create over; rename over o; fsync o; close @a",
	}, 1);
}
END_TEST

START_TEST(file_without_a_name_gets_one)
{
	pattern(&(struct story){
		.name = "tmpfile", .prepare = "mkdir d", .rounds = 4,
		.real = 7,
		.script = "tmpfile d @t; append @t 30000; fsync @t; "
			  "link @t d/n#; fsync d; append @t 10; fsync @t; "
			  "unlink d/n#; fsync d; link @t m#; fsync @t; "
			  "close @t",
	}, 1);
}
END_TEST

START_TEST(big_folder_survives)
{
	pattern(&(struct story){
		.name = "big-directory", .clusters = 2048,
		.prepare = "create f#", .prepare_rounds = 1500,
		.rounds = 60, .one_in = sparse(12), .crashes = 2,
		.script = "unlink f#7; unlink f#9; create g#; "
			  "rename f#13 h#; link g# i#; fsync g#; "
			  "exchange h# f#3",
	}, 1);
}
END_TEST

START_TEST(full_filesystem_can_be_emptied)
{
	pattern(&(struct story){
		.name = "full", .prepare = "create f#; write f# 0 65536",
		.prepare_rounds = 60, .rounds = 10, .one_in = sparse(4),
		.crashes = 3, .discard = true,
		.script = "append f# 60000; unlink f#; fsync .; create g#; "
			  "append g# 50000; fsync g#; truncate g# 10000; "
			  "append f3# 30000; zero g# 5000 3000; fsync g#",
	}, 1);
}
END_TEST

/* ---- what is fsynced, and when ------------------------------------------- */

/* Names come and go around an inode, which is @f. */
static const char *const moves[] = {
	"create f", "append @f 3000", "append @f 60", "link @f g",
	"rename f g", "rename g f", "unlink f", "unlink g", "rename f d/f",
	"exchange f o", "setxattr @f a 60", "truncate @f 10",
};
#define MOVES	(sizeof(moves) / sizeof(moves[0]))

static const char *const fsyncs[] = { "", "fsync @f", "fsync .", "fsync o" };

/* Every pair of moves, with the file, a directory or another file synced
 * between them, and after. */
static char *pairs_with(unsigned int first, bool old)
{
	static const char *const clean = "unlink f; unlink g; unlink d/f; "
		"unlink o; close @f; create o";
	size_t size;
	char *text;
	FILE *f = open_memstream(&text, &size);

	for (unsigned int i = 0; i < MOVES * 8; i++)
		fprintf(f, "create f; open f @f; append @f 90; %s; %s; %s; "
			"%s; %s; %s\n", old ? "sync" : "", moves[first],
			fsyncs[i % 4], moves[i / 8],
			i & 4 ? "fsync @f" : "fsync .", clean);
	fclose(f);
	return text;
}

START_TEST(fsync_of_file_or_folder_keeps_both)
{
	char *script = pairs_with((unsigned int)_i / 2, _i % 2);
	struct story st = {
		.name = "pairs", .prepare = "create o; mkdir d",
		.script = script, .one_in = sparse(25), .crashes = 2,
	};

	tell(&st, (uint64_t)_i);
	free(script);
}
END_TEST

/* ---- space --------------------------------------------------------------- */

static uint64_t free_clusters(struct bed *b)
{
	struct statvfs st;

	ck_assert_int_eq(tfs_sync(b->fs), 0);
	ck_assert_int_eq(tfs_sync(b->fs), 0);
	ck_assert_int_eq(tfs_statvfs(b->fs, &st), 0);
	return st.f_bfree;
}

/* Files that are open and have no name, when the power goes. */
static void make_orphans(struct bed *b)
{
	struct tfs_new new = { .mode = S_IFREG | 0600 };
	uint8_t *buf = calloc(1, 200000);
	struct tfs_inode in;

	for (int i = 0; i < 6; i++) {
		ck_assert_int_eq(tfs_create(b->fs, TFS_ROOT_INO, i % 2 ? "x" :
					    NULL, &new, &in), 0);
		ck_assert_int_eq(tfs_write(b->fs, in.ino, 0, buf, 200000, 0),
				 0);
		if (i % 2)
			ck_assert_int_eq(tfs_unlink(b->fs, TFS_ROOT_INO, "x"),
					 0);
	}
	free(buf);
}

START_TEST(space_of_orphans_comes_back)
{
	uint64_t before, after;
	struct bed b;

	bed_make(&b, "512+8", 1024, (uint64_t)_i);
	before = free_clusters(&b);
	make_orphans(&b);
	ck_assert_uint_lt(free_clusters(&b), before - 6 * 45);
	sim_power_off_at(b.sim, 0);
	bed_drop(&b);
	sim_crash(b.sim, (uint64_t)_i);
	bed_mount(&b);
	after = free_clusters(&b);
	ck_assert_msg(after + 8 >= before, "%llu clusters were free, %llu are",
		      (unsigned long long)before, (unsigned long long)after);
	bed_check(&b, 0);
	bed_free(&b);
}
END_TEST

/* -------------------------------------------------------------------------- */

static void add_random(TCase *tc)
{
	tcase_add_loop_test(tc, anything_survives_a_cut_at_any_write, 0,
			    (int)amount(400, 40, 4));
	tcase_add_loop_test(tc, names_survive_a_cut_at_any_write, 0,
			    (int)amount(200, 16, 2));
	tcase_add_loop_test(tc, content_survives_a_cut_at_any_write, 0,
			    (int)amount(200, 16, 2));
	tcase_add_loop_test(tc, long_life_survives_cuts, 0,
			    (int)amount(30, 6, 1));
	tcase_add_loop_test(tc, cuts_during_syncs_of_others_are_survived, 0,
			    (int)amount(60, 6, 1));
}

static void add_patterns(TCase *tc)
{
	tcase_add_test(tc, file_replaced_by_rename_is_old_or_new);
	tcase_add_test(tc, file_replaced_without_fsync_is_old_or_new);
	tcase_add_test(tc, appended_log_keeps_what_was_synced);
	tcase_add_test(tc, link_and_unlink_storm_survives);
	tcase_add_test(tc, folders_move_as_a_whole);
	tcase_add_test(tc, truncate_then_write_leaves_no_old_bytes);
	tcase_add_test(tc, reserved_space_is_kept_and_used);
	tcase_add_test(tc, large_steps_end_or_go_on);
	tcase_add_loop_test(tc, large_steps_are_cut_in_the_middle, 0,
			    (int)amount(50, 5, 5));
	tcase_add_test(tc, orphans_are_gone_and_their_space_is_back);
	tcase_add_test(tc, file_without_a_name_gets_one);
	tcase_add_test(tc, big_folder_survives);
	tcase_add_test(tc, full_filesystem_can_be_emptied);
	tcase_add_loop_test(tc, fsync_of_file_or_folder_keeps_both, 0,
			    (int)amount(2 * MOVES, 2 * MOVES, 4));
	tcase_add_loop_test(tc, space_of_orphans_comes_back, 0, 4);
}

int main(void)
{
	Suite *s = suite_create("model");
	TCase *any = tcase_create("any"), *patterns = tcase_create("patterns");
	SRunner *sr;
	int failed;

	tcase_set_timeout(any, 1200);
	tcase_set_timeout(patterns, 1200);
	add_random(any);
	add_patterns(patterns);
	suite_add_tcase(s, any);
	suite_add_tcase(s, patterns);
	sr = srunner_create(s);
	if (getenv("TAGFS_CASE"))
		srunner_set_fork_status(sr, CK_NOFORK);
	bed_quiet();
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
