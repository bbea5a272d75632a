/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_hostile.c - an image may lie in every field and pass every check.
 *
 * Structures are changed and then sealed again: guards, tags, checksums and
 * hashes are right, in all copies.  Whatever such an image says, opening it,
 * walking it and writing to it ends, with errors or without, and after no
 * more reads and writes than follow from its size.  A sanitizer says the
 * rest; an alarm names the case that does not end.
 *
 *	CK_RUN_CASE=many TAGFS_HOSTILE=SEED:COUNT  only these cases of many lies */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "check/kept.h"
#include "check/locate.h"
#include "check/scrub.h"
#include "commit/commit.h"
#include "name/path.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "support/fs_state.h"
#include "support/liar.h"
#include "support/mend.h"

/* Per test and range of seeds. */
#define CASES	(getenv("TAGFS_TEST_QUICK") ? 20u : 40u)
#define SECONDS	60u
/* Reads and writes of a case, per cluster of the image: four times what the
 * worst of 5,000 cases took. */
#define WORK	4u

static struct sim *base, *logged;	/* without a log, with one */
static struct known known;

/* ---- an image with something of everything -------------------------------- */

static void populate(struct bed *b)
{
	uint64_t rand = 3;
	char name[64];
	uint8_t *buf = malloc(300000);
	struct tfs_inode in = { .size = 0 };
	struct tfs_new tmp = { .mode = S_IFREG | 0600 };

	for (int i = 0; i < 400; i++)
		ck_assert_int_eq(fs_step(b->fs, &rand), 0);
	for (unsigned int i = 0; i < 60; i++) {
		sprintf(name, "%040u", i);
		bed_file(b, name);
	}
	/* Many extents, large attributes, a long link, a reservation. */
	in.ino = bed_file(b, "extents");
	for (unsigned int i = 0; i < 150; i++)
		ck_assert_int_eq(tfs_write(b->fs, in.ino, i * 10000, "x", 1,
					   0), 0);
	bed_fill(buf, 300000, 1);
	ck_assert_int_eq(tfs_setxattr(b->fs, in.ino, "user.big", buf, 60000,
				      0, false), 0);
	ck_assert_int_eq(tfs_fallocate(b->fs, in.ino, 1, 5000000, 100000), 0);
	ck_assert_int_eq(tfs_write(b->fs, bed_file(b, "big"), 0, buf, 300000,
				   0), 0);
	memset(buf, 'l', 4000);
	buf[4000] = 0;
	tmp.mode = S_IFLNK;
	tmp.target = (char *)buf;
	ck_assert_int_eq(tfs_create(b->fs, TFS_ROOT_INO, "link", &tmp, &in),
			 0);
	tfs_unref(b->fs, in.ino, 1);
	/* An orphan, for the mount to reclaim: never let go of. */
	tmp.mode = S_IFREG;
	ck_assert_int_eq(tfs_create(b->fs, TFS_ROOT_INO, NULL, &tmp, &in), 0);
	ck_assert_int_eq(tfs_write(b->fs, in.ino, 0, buf, 20000, 0), 0);
	free(buf);
}

/* What a scrub may have found: of files, of nodes, and more than there was room
 * for. */
static void find_flaws(struct bed *b)
{
	uint64_t most = b->fs->super.clusters / 16;
	struct tfs_kept k = { .state = TFS_SCRUB_RUNNING, .data = true,
			      .meta = true, .bit = 17 };
	struct tfs_flaw f = { .kind = TFS_FLAW_DATA, .err = -EIO };
	struct tfs_runs runs = { .n = 0 };
	struct tfs_place at;

	f.ino = bed_file(b, "bad");
	f.len = b->fs->csize;
	ck_assert_int_eq(tfs_write(b->fs, f.ino, 200000, "x", 1, 0), 0);
	for (unsigned int i = 0; i < 20; i++, f.off += 2 * f.len) {
		ck_assert_int_eq(tfs_write(b->fs, f.ino, f.off, "xxxxxxxxxxxx"
					   "xxxxxxxx", 20, 0), 0);
		ck_assert_int_eq(tfs_locate_byte(b->fs, f.ino, f.off, &at),
				 0);
		if (at.state != TFS_PLACE_MAPPED)
			continue;
		f.addr = at.cluster;
		f.seq = at.rec.seq;
		tfs_flaws_add(b->fs, &f);
	}
	for (uint64_t i = 0; i < most; i++) {
		f = (struct tfs_flaw){ .kind = TFS_FLAW_NODE + i % 2,
				       .addr = 300 + i, .err = -EUCLEAN };
		tfs_flaws_add(b->fs, &f);
	}
	ck_assert_int_eq(tfs_flaws_store(b->fs, true), 0);
	for (uint64_t i = 0; i < 200; i++)
		ck_assert_int_eq(tfs_runs_add(&runs, 1000 + i * 3, 2), 0);
	ck_assert_int_eq(tfs_kept_store(b->fs, &k, &runs, false), 0);
	tfs_runs_clear(&runs);
}

/* Commits of all sizes, the last of which says that they are durable. */
static void live_on(struct bed *b)
{
	uint64_t rand = 4;
	uint8_t *buf = malloc(100000);
	uint32_t ino = bed_file(b, "more");

	bed_fill(buf, 100000, 2);
	for (int i = 0; i < 12; i++) {
		for (int k = 0; k < i * i; k++)
			ck_assert_int_eq(fs_step(b->fs, &rand), 0);
		ck_assert_int_eq(tfs_write(b->fs, ino, i * 30000, buf,
					   20000 + i * 5000, 0), 0);
		ck_assert_int_eq(tfs_sync(b->fs), 0);
	}
	ck_assert_int_eq(tfs_unlink(b->fs, TFS_ROOT_INO, "extents"), 0);
	ck_assert_int_eq(tfs_sync(b->fs), 0);
	tfs_commit_mark(b->fs, b->fs->log.content);
	free(buf);
}

static void write_some(struct tfs *fs, uint64_t rand);

static void foresee(void)
{
	struct bed b;

	bed_take(&b, sim_clone(base), 0);
	bed_mount(&b);
	write_some(b.fs, 0);
	known.futures = fs_nodes(b.fs, &known.future);
	ck_assert_uint_gt(known.futures, 5);
	bed_free(&b);
}

static void setup(void)
{
	struct bed b;

	bed_make(&b, "512+8", 4096, 1);
	populate(&b);
	find_flaws(&b);
	ck_assert_int_eq(tfs_sync(b.fs), 0);
	known.n = fs_nodes(b.fs, &known.nodes);
	ck_assert_uint_gt(known.n, 30);
	base = sim_clone(b.sim);
	sim_settle(base, true);
	foresee();
	live_on(&b);
	logged = sim_clone(b.sim);
	sim_settle(logged, true);
	bed_free(&b);
}

static void teardown(void)
{
	free(known.nodes);
	free(known.future);
	sim_destroy(base);
	sim_destroy(logged);
}

/* ---- the victim ---------------------------------------------------------- */

static int nothing(void *arg, const struct tfs_dirent *de)
{
	(void)de;
	return ++*(unsigned int *)arg > 500;
}

static void ignore(struct tfs_scrub *s, const struct tfs_scrub_finding *f)
{
	(void)s;
	(void)f;
}

/* As a mount lets an interrupted scrub go on. */
static void go_on(struct tfs *fs)
{
	struct tfs_scrub s = { .fs = fs, .data = true, .meta = true,
			       .found = ignore };
	struct tfs_kept k;

	if (!tfs_kept_load(fs, &k, &s.suspect)) {
		s.region = k.region;
		s.bit = k.bit;
		s.ino = k.ino;
	}
	if (tfs_scrub_begin(&s))
		return;
	for (unsigned int i = 0; i < 20 && !s.done; i++)
		if (tfs_scrub_step(&s))
			break;
	tfs_scrub_end(&s);
}

static void ask_for_flaws(struct tfs *fs)
{
	struct tfs_flaws_at at = { .lc = 0 };
	struct tfs_flaw f;
	bool stored;

	for (unsigned int i = 0; i < 500; i++)
		if (tfs_flaws_next(fs, &at, &f, &stored))
			break;
	tfs_flaws_sweep(fs, 500);
}

/* Every call, on every inode that there may be. */
static void ask_all(struct tfs *fs)
{
	char buf[256], *text;
	struct tfs_inode in;
	struct statvfs st;
	unsigned int n;

	for (uint32_t ino = 0; ino < 200; ino++) {
		n = 0;
		tfs_getattr(fs, ino, &in);
		tfs_readdir(fs, ino, 0, false, nothing, &n);
		tfs_listxattr(fs, ino, buf, sizeof(buf), true);
		tfs_lseek(fs, ino, 0, SEEK_DATA);
		tfs_lseek(fs, ino, 0, SEEK_HOLE);
		if (!tfs_readlink(fs, ino, &text))
			free(text);
		if (ino % 8 == 0 && tfs_tags(fs, ino, ino % 16, 65536,
						  NULL, NULL, &text) >= 0)
			free(text);
		tfs_path(fs, ino, buf, sizeof(buf));
	}
	ask_for_flaws(fs);
	go_on(fs);
	tfs_statvfs(fs, &st);
	if (tfs_stats(fs, NULL, &text) >= 0)
		free(text);
}

struct wreck {
	struct tfs	*fs;
	uint32_t	dir;
	unsigned int	left;		/* names to remove */
};

/* From the listing itself: what is gone doesn't disturb it. */
static int remove_name(void *arg, const struct tfs_dirent *de)
{
	struct wreck *w = arg;

	if (de->cookie < 3)
		return 0;
	if (tfs_unlink(w->fs, w->dir, de->name))
		tfs_rmdir(w->fs, w->dir, de->name);
	return !w->left--;
}

static void change_all(struct tfs *fs)
{
	struct wreck w = { .fs = fs, .left = 300 };

	for (uint32_t ino = 1; ino < 120; ino++) {
		tfs_ref(fs, ino, 1);
		tfs_setxattr(fs, ino, "user.new", &ino, sizeof(ino), 0, false);
		tfs_removexattr(fs, ino, "user.big");
		tfs_removexattr(fs, ino, "user.a");
		tfs_unref(fs, ino, 1);
	}
	for (w.dir = 1; w.dir < 120; w.dir++)
		tfs_readdir(fs, w.dir, 0, false, remove_name, &w);
	tfs_sync(fs);
}

static void write_some(struct tfs *fs, uint64_t rand)
{
	struct tfs_inode in;

	for (int i = 0; i < 30; i++)
		fs_step(fs, &rand);
	for (uint32_t ino = 16; ino < 120; ino += 3) {
		in.size = ino * 100;
		tfs_ref(fs, ino, 1);
		tfs_write(fs, ino, ino * 50, &in, sizeof(in), 0);
		tfs_setattr(fs, ino, TFS_SET_SIZE, &in);
		tfs_fallocate(fs, ino, ino % 2 ? 0 : 3, 100, 30000);
		tfs_unref(fs, ino, 1);
	}
	tfs_sync(fs);
	tfs_unlink(fs, TFS_ROOT_INO, "extents");
	tfs_unlink(fs, TFS_ROOT_INO, "big");
	tfs_unlink(fs, TFS_ROOT_INO, "link");
	for (int i = 0; i < 30; i++)
		fs_step(fs, &rand);
	tfs_sync(fs);
}

static uint64_t work_of(struct sim *sim)
{
	struct sim_counts c;

	sim_counts(sim, &c);
	return c.reads + c.writes;
}

static void suffer(struct bed *b, uint64_t seed)
{
	for (int again = 0; again < 2; again++) {
		if (bed_open(b))
			continue;
		free(fs_state(b->fs));
		ask_all(b->fs);
		if (!b->how.rdonly)
			write_some(b->fs, seed);
		if (!b->how.rdonly)
			change_all(b->fs);
		fs_check(b->fs, 0);
		bed_drop(b);
	}
}

/* Of so many one is given to fsck.tagfs afterwards. */
#define MENDED	(getenv("TAGFS_HOSTILE") ? 1 : 16 * BED_STRIDE)

static volatile uint64_t running;	/* the case, for the alarm */

static void too_long(int sig)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "seed %llu does not end\n",
			 (unsigned long long)running);

	(void)sig;
	(void)!write(STDERR_FILENO, text, n);
	abort();
}

/* A message in case that it does not end. */
static void watch(uint64_t seed)
{
	running = seed;
	if (getenv("CHECK_STEPS"))
		fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
	signal(SIGALRM, too_long);
	alarm(SECONDS);
}

/* below: of its container, too. */
static void one_case(void (*tell)(struct liar *l), struct sim *of,
		     uint64_t seed, unsigned int lies, bool below)
{
	struct liar l = { .known = &known, .rand = seed };
	uint64_t before, work;

	watch(seed);
	liar_open(&l, of, seed);
	while (lies--)
		tell(&l);
	liar_close(&l);
	if (below)
		lie_below(&l);
	l.bed.how.rdonly = seed % 5 == 0;
	before = work_of(l.bed.sim);
	suffer(&l.bed, seed);
	work = work_of(l.bed.sim) - before;
	ck_assert_msg(work < WORK * 4096, "%s: %llu reads and writes",
		      l.bed.where, (unsigned long long)work);
	if (getenv("CHECK_STEPS"))
		fprintf(stderr, "work %llu\n", (unsigned long long)work);
	if (seed % MENDED == 0)
		mend_anything(&l.bed);
	bed_free(&l.bed);
	alarm(0);
}

START_TEST(superblock_may_say_anything)
{
	for (uint64_t seed = _i * CASES; seed < (_i + 1) * CASES; seed++)
		one_case(lie_in_super, base, seed, 1, false);
}
END_TEST

START_TEST(slot_may_say_anything)
{
	for (uint64_t seed = _i * CASES; seed < (_i + 1) * CASES; seed++)
		one_case(lie_in_slot, seed % 2 ? base : logged,
			 seed, 1, false);
}
END_TEST

START_TEST(node_may_say_anything)
{
	for (uint64_t seed = _i * CASES; seed < (_i + 1) * CASES; seed++)
		one_case(lie_in_node, base, seed, 1 + seed % 4, false);
}
END_TEST

START_TEST(log_may_say_anything)
{
	for (uint64_t seed = _i * CASES; seed < (_i + 1) * CASES; seed++)
		one_case(lie_in_log, logged, seed, 1, false);
}
END_TEST

/* The checkpoint lies, and a log continues it. */
START_TEST(node_under_a_log_may_say_anything)
{
	for (uint64_t seed = _i * CASES; seed < (_i + 1) * CASES; seed++)
		one_case(lie_in_node, logged, seed, 1 + seed % 4, false);
}
END_TEST

/* Many at once, on every layer: what one hides another may need. */
START_TEST(everything_may_lie_at_once)
{
	uint64_t seed = _i * CASES, end = seed + CASES;
	const char *wish = getenv("TAGFS_HOSTILE");

	if (wish) {
		seed = strtoull(wish, (char **)&wish, 10);
		end = seed + (*wish ? strtoull(wish + 1, NULL, 10) : 1);
	}
	for (; seed < end; seed++)
		one_case(lie_everywhere, logged, seed, 1, seed % 4 == 3);
}
END_TEST

/* ---- lies that had a consequence -------------------------------------------- */

START_TEST(log_with_more_data_than_was_free_is_refused)
{
	struct liar l = { .known = &known, .rand = 1 };

	watch(0);
	liar_open(&l, logged, 0);
	lie_of_too_much(&l);
	liar_close(&l);
	ck_assert_int_eq(bed_open(&l.bed), -EUCLEAN);
	bed_free(&l.bed);
	alarm(0);
}
END_TEST

/* The first leaf with nothing but orphans, behind another one with some. */
static void break_orphans(struct bed *b)
{
	struct tfs_miss *nodes;
	size_t n = fs_nodes(b->fs, &nodes);
	struct liar l = { .bed = *b, .buf = aligned_alloc(4096, b->fs->csize) };
	unsigned int broken = 0;

	for (size_t i = 0; i < n; i++) {
		struct tfs_key low = nodes[i].low, high = nodes[i].high;

		if (nodes[i].level || broken || low.obj || high.obj ||
		    low.type != TFS_T_ORPHAN || high.type != TFS_T_ORPHAN)
			continue;
		lie_in_padding(&l, &nodes[i]);
		broken++;
	}
	ck_assert_uint_eq(broken, 1);
	free(nodes);
	free(l.buf);
}

START_TEST(mount_ends_where_orphans_cant_be_listed)
{
	struct tfs_new tmp = { .mode = S_IFREG | 0600 };
	struct tfs_inode in;
	struct bed b, after;

	bed_make(&b, "512+8", 4096, 1);
	for (int i = 0; i < 700; i++)
		ck_assert_int_eq(tfs_create(b.fs, TFS_ROOT_INO, NULL, &tmp,
					    &in), 0);
	ck_assert_int_eq(tfs_sync(b.fs), 0);
	break_orphans(&b);
	ck_assert_int_eq(eng_dev_flush(b.dev), 0);
	sim_settle(b.sim, true);
	bed_take(&after, sim_clone(b.sim), 1);	/* as a crash leaves it */
	watch(0);
	bed_mount(&after);
	alarm(0);
	bed_free(&after);
	bed_free(&b);
}
END_TEST

START_TEST(pointer_without_length_is_refused)
{
	struct liar l = { .known = &known, .rand = _i };

	watch(_i);
	liar_open(&l, base, _i);
	lie_of_no_length(&l);
	liar_close(&l);
	ck_assert_int_eq(bed_open(&l.bed), -EUCLEAN);
	bed_free(&l.bed);
	alarm(0);
}
END_TEST

START_TEST(without_lies_all_is_well)
{
	struct bed b;

	bed_take(&b, sim_clone(_i ? logged : base), 0);
	bed_mount(&b);
	ck_assert_int_eq(!atomic_load(&b.fs->count.replayed), !_i);
	bed_check(&b, 0);
	write_some(b.fs, 1);
	change_all(b.fs);
	bed_remount(&b, 0);
	bed_free(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hostile");
	TCase *tc = tcase_create("hostile");

	tcase_set_timeout(tc, 240);
	tcase_add_unchecked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, without_lies_all_is_well, 0, 2);
	tcase_add_test(tc, log_with_more_data_than_was_free_is_refused);
	tcase_add_test(tc, mount_ends_where_orphans_cant_be_listed);
	tcase_add_test(tc, pointer_without_length_is_refused);
	tcase_add_loop_test(tc, superblock_may_say_anything, 0, 2);
	tcase_add_loop_test(tc, slot_may_say_anything, 0, 3);
	tcase_add_loop_test(tc, node_may_say_anything, 0, 12);
	tcase_add_loop_test(tc, log_may_say_anything, 0, 8);
	tcase_add_loop_test(tc, node_under_a_log_may_say_anything, 0, 6);
	suite_add_tcase(s, tc);
	tc = tcase_create("many");
	tcase_set_timeout(tc, getenv("TAGFS_HOSTILE") ? 0 : 240);
	tcase_add_unchecked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, everything_may_lie_at_once, 0,
			    getenv("TAGFS_HOSTILE") ? 1 : 12);
	suite_add_tcase(s, tc);
	return bed_run_suite(s);
}
