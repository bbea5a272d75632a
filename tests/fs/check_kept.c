/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_kept.c - a scrub goes on where it was, whatever ended the mount, and has
 * read everything in the end; and one of what is known to be bad. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "check/kept.h"
#include "check/scrubber.h"
#include "commit/ckpt.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"

#define FILES	12u
#define CSIZE	4096u
#define SIZE	(600u << 10)

static void found(struct tfs_scrub *s, const struct tfs_scrub_finding *f)
{
	struct tfs_flaw flaw = {
		.kind = TFS_FLAW_DATA, .ino = f->ino, .off = f->off,
		.len = f->len, .addr = f->cluster, .seq = f->seq,
	};

	ck_assert_int_eq(f->kind, TFS_SCRUB_DATA);
	tfs_flaw_cause(&flaw, f->err, &f->fault);
	tfs_flaws_add(s->fs, &flaw);
}

static void make(struct bed *b, uint64_t seed, uint32_t ino[FILES])
{
	uint8_t *buf = malloc(SIZE);
	char name[16];

	bed_make(b, "512+8", 20000, seed);
	for (unsigned int i = 0; i < FILES; i++) {
		sprintf(name, "file %u", i);
		ino[i] = bed_file(b, name);
		bed_fill(buf, SIZE, seed + i);
		for (uint32_t at = 0; at < SIZE; at += SIZE / 4)
			ck_assert_int_eq(tfs_write(b->fs, ino[i], at, buf + at,
						   SIZE / (4 + i % 2), 0), 0);
	}
	free(buf);
	bed_remount(b, 0);
}

/* More than is read at once, several times: a slow scrub of it is not over
 * before it is looked at. */
static void make_large(struct bed *b)
{
	const uint32_t size = 1 << 20;
	uint32_t ino = bed_file(b, "large");
	uint8_t *buf = malloc(size);

	bed_fill(buf, size, ino);
	for (uint64_t at = 0; at < 40ull * size; at += size)
		ck_assert_int_eq(tfs_write(b->fs, ino, at, buf, size, 0), 0);
	free(buf);
	ck_assert_int_eq(tfs_sync(b->fs), 0);
}

static uint64_t mapped(struct bed *b, const uint32_t ino[FILES])
{
	struct tfs_inode in;
	uint64_t n = 0;

	for (unsigned int i = 0; i < FILES; i++) {
		ck_assert_int_eq(tfs_getattr(b->fs, ino[i], &in), 0);
		n += in.clusters;
	}
	return n;
}

static uint64_t listed(struct bed *b)
{
	struct tfs_flaws_count n;

	tfs_flaws_sweep(b->fs, 0);
	tfs_flaws_count(b->fs, &n);
	return n.listed;
}

static void keep(struct tfs_scrub *s)
{
	struct tfs_kept k = {
		.state = TFS_SCRUB_RUNNING, .data = true, .meta = true,
		.started = 1, .bytes = s->bytes, .nodes = s->nodes,
		.uncorrectable = s->uncorrectable, .region = s->region,
		.bit = s->bit, .ino = s->ino,
	};

	ck_assert_int_eq(tfs_flaws_store(s->fs, true), 0);
	ck_assert_int_eq(tfs_kept_store(s->fs, &k, &s->suspect, false), 0);
	ck_assert_int_eq(tfs_sync(s->fs), 0);
}

/* So many steps, or all; true: it is done. */
static bool go(struct tfs_scrub *s, unsigned int steps)
{
	while (!s->done && steps--)
		ck_assert_int_eq(tfs_scrub_step(s), 0);
	return s->done;
}

/* What is there after a crash. */
static void take(struct bed *b, struct tfs_scrub *s)
{
	struct tfs_runs suspect = { .n = 0 };
	struct tfs_kept k;

	ck_assert_int_eq(tfs_kept_load(b->fs, &k, &suspect), 0);
	ck_assert_int_eq(k.state, TFS_SCRUB_RUNNING);
	*s = (struct tfs_scrub){
		.fs = b->fs, .found = found, .data = k.data, .meta = k.meta,
		.bytes = k.bytes, .nodes = k.nodes, .region = k.region,
		.uncorrectable = k.uncorrectable, .bit = k.bit, .ino = k.ino,
		.suspect = suspect,
	};
}

START_TEST(a_crash_after_any_step_leaves_nothing_out)
{
	uint32_t ino[FILES];
	struct bed b;
	bool done = false;

	for (unsigned int n = 1; !done; n += 1 + n / 4) {
		struct tfs_scrub s = { .found = found, .data = true,
				       .meta = true };

		make(&b, n, ino);
		for (unsigned int i = 0; i < FILES; i += 3)
			bed_spoil(&b, ino[i], 5 + i);
		s.fs = b.fs;
		ck_assert_int_eq(tfs_scrub_begin(&s), 0);
		done = go(&s, n);
		keep(&s);
		tfs_scrub_end(&s);
		bed_drop(&b);
		sim_crash(b.sim, n);
		bed_mount(&b);
		take(&b, &s);
		ck_assert_int_eq(tfs_scrub_begin(&s), 0);
		go(&s, UINT32_MAX);
		ck_assert_msg(listed(&b) == FILES / 3, "after %u steps: %llu "
			      "listed", n, (unsigned long long)listed(&b));
		/* Once, but for the file that the walk was in. */
		ck_assert_msg(s.bytes >= (mapped(&b, ino) - FILES / 3) * CSIZE,
			      "after %u steps: only %llu bytes read", n,
			      (unsigned long long)s.bytes);
		tfs_scrub_end(&s);
		bed_free(&b);
	}
}
END_TEST

START_TEST(more_suspects_than_can_be_kept_are_kept_all_the_same)
{
	struct tfs_kept k = { .state = TFS_SCRUB_PAUSED, .data = true }, got;
	struct tfs_runs runs = { .n = 0 }, back = { .n = 0 };
	uint32_t ino[FILES];
	struct bed b;

	make(&b, _i, ino);
	for (uint64_t i = 0; i < 5000; i++)
		ck_assert_int_eq(tfs_runs_add(&runs, 700 + i * 3 + i % 2, 1),
				 0);
	ck_assert_int_eq(tfs_kept_store(b.fs, &k, &runs, false), 0);
	bed_remount(&b, 0);
	ck_assert_int_eq(tfs_kept_load(b.fs, &got, &back), 0);
	ck_assert_int_eq(got.state, TFS_SCRUB_PAUSED);
	ck_assert_uint_le(back.n, TFS_SUSPECTS_MAX);
	ck_assert_uint_eq(got.suspects, back.n);
	for (size_t i = 0, at = 0; i < runs.n; i++) {
		while (at < back.n && back.run[at].addr + back.run[at].len <=
		       runs.run[i].addr)
			at++;
		ck_assert(at < back.n &&
			  back.run[at].addr <= runs.run[i].addr);
	}
	tfs_runs_clear(&back);
	runs.n = 3;
	ck_assert_int_eq(tfs_kept_store(b.fs, &k, &runs, false), 0);
	ck_assert_int_eq(tfs_kept_load(b.fs, &got, &back), 0);
	ck_assert_uint_eq(back.n, 3);
	tfs_runs_clear(&back);
	tfs_runs_clear(&runs);
	bed_free(&b);
}
END_TEST

/* ---- the thread ------------------------------------------------------------ */

static struct tfs_scrub_status wait_for(struct tfs_scrubber *sc,
					enum tfs_scrub_state state)
{
	const struct timespec moment = { .tv_nsec = 2000000 };
	struct tfs_scrub_status st;

	for (unsigned int i = 0; i < 10000; i++) {
		tfs_scrubber_status(sc, &st);
		if (st.state == state)
			return st;
		nanosleep(&moment, NULL);
	}
	ck_abort_msg("the scrub is in state %d, not in %d", st.state, state);
	return st;
}

/* One that takes long, as far as its first step. */
static struct tfs_scrubber *begin(struct bed *b)
{
	struct tfs_scrub_how how = { .data = true, .meta = true, .rate = 1 };
	struct tfs_scrub_status st;
	struct tfs_scrubber *sc;

	ck_assert_int_eq(tfs_scrubber_create(&sc, b->fs), 0);
	wait_for(sc, TFS_SCRUB_NEVER);
	ck_assert_int_eq(tfs_scrubber_start(sc, &how), 0);
	do
		tfs_scrubber_status(sc, &st);
	while (!st.bytes);
	return sc;
}

struct others {
	bool		busy;
	uint64_t	requests;
	unsigned int	asked;		/* by the scrub's thread alone */
};

static uint64_t count_others(void *arg)
{
	struct others *o = arg;

	o->asked++;
	return o->busy ? ++o->requests : o->requests;
}

/* How often a whole scrub has looked for others. */
static unsigned int looks(struct bed *b, bool busy, unsigned int rate)
{
	struct tfs_scrub_how how = { .data = true, .meta = true, .rate = rate };
	struct others o = { .busy = busy };
	struct tfs_scrubber *sc;

	ck_assert_int_eq(tfs_scrubber_create(&sc, b->fs), 0);
	tfs_scrubber_make_room(sc, count_others, &o);
	ck_assert_int_eq(tfs_scrubber_start(sc, &how), 0);
	wait_for(sc, TFS_SCRUB_FINISHED);
	tfs_scrubber_destroy(sc);
	return o.asked;
}

START_TEST(a_scrub_rests_while_others_come)
{
	uint32_t ino[FILES];
	unsigned int idle;
	struct bed b;

	make(&b, false, ino);
	make_large(&b);
	idle = looks(&b, false, 1000000);
	ck_assert_uint_gt(idle, 1);
	ck_assert_uint_ge(looks(&b, true, 1000000), 2 * idle);
	ck_assert_uint_eq(looks(&b, true, 0), 0);
	bed_free(&b);
}
END_TEST

START_TEST(the_end_of_a_mount_interrupts_and_no_more)
{
	struct tfs_scrub_status st, was;
	struct tfs_scrubber *sc;
	uint32_t ino[FILES];
	struct bed b;
	bool paused = _i;

	make(&b, _i, ino);
	make_large(&b);
	sc = begin(&b);
	if (paused)
		ck_assert_int_eq(tfs_scrubber_pause(sc, true), 0);
	was = wait_for(sc, paused ? TFS_SCRUB_PAUSED : TFS_SCRUB_RUNNING);
	tfs_scrubber_destroy(sc);
	bed_remount(&b, 0);
	ck_assert_int_eq(tfs_scrubber_create(&sc, b.fs), 0);
	st = wait_for(sc, TFS_SCRUB_PAUSED);
	ck_assert_uint_ge(st.bytes, was.bytes);
	ck_assert_int_eq(st.started, was.started);
	tfs_scrubber_go_on(sc);
	if (paused) {
		wait_for(sc, TFS_SCRUB_PAUSED);
		ck_assert_int_eq(tfs_scrubber_cancel(sc), 0);
		wait_for(sc, TFS_SCRUB_CANCELLED);
	} else {
		wait_for(sc, TFS_SCRUB_RUNNING);
	}
	tfs_scrubber_destroy(sc);
	bed_remount(&b, 0);
	ck_assert_int_eq(tfs_scrubber_create(&sc, b.fs), 0);
	st = wait_for(sc, paused ? TFS_SCRUB_CANCELLED : TFS_SCRUB_PAUSED);
	ck_assert_int_eq(tfs_scrubber_pause(sc, false), paused ? -ENOENT : 0);
	tfs_scrubber_destroy(sc);
	bed_free(&b);
}
END_TEST

/* The power goes during its first step. */
START_TEST(a_crash_after_the_start_leaves_it_to_go_on)
{
	struct tfs_scrub_status was, st;
	struct tfs_scrubber *sc;
	uint32_t ino[FILES];
	struct bed b, after;
	struct sim *sim;

	make(&b, _i, ino);
	make_large(&b);
	sc = begin(&b);
	tfs_scrubber_status(sc, &was);
	sim = sim_clone(b.sim);
	tfs_scrubber_destroy(sc);
	bed_free(&b);
	sim_crash(sim, _i);
	bed_take(&after, sim, _i);
	bed_mount(&after);
	ck_assert_int_eq(tfs_scrubber_create(&sc, after.fs), 0);
	tfs_scrubber_status(sc, &st);
	ck_assert_int_eq(st.state, TFS_SCRUB_PAUSED);
	ck_assert_int_eq(st.started, was.started);
	ck_assert_uint_eq(st.how.rate, 1);
	tfs_scrubber_go_on(sc);
	wait_for(sc, TFS_SCRUB_RUNNING);
	tfs_scrubber_destroy(sc);
	bed_free(&after);
}
END_TEST

START_TEST(when_all_was_read_is_known_later)
{
	struct tfs_scrub_how how = { .data = true, .meta = true };
	struct tfs_scrub_status st, later;
	struct tfs_scrubber *sc;
	uint32_t ino[FILES];
	struct bed b;

	make(&b, _i, ino);
	bed_spoil(&b, ino[3], 8);
	ck_assert_int_eq(tfs_scrubber_create(&sc, b.fs), 0);
	ck_assert_int_eq(tfs_scrubber_start(sc, &how), 0);
	st = wait_for(sc, TFS_SCRUB_FINISHED);
	ck_assert_int_ge(st.whole, 1);
	how.meta = false;
	ck_assert_int_eq(tfs_scrubber_start(sc, &how), 0);
	wait_for(sc, TFS_SCRUB_FINISHED);
	tfs_scrubber_destroy(sc);
	bed_remount(&b, 0);
	ck_assert_int_eq(tfs_scrubber_create(&sc, b.fs), 0);
	tfs_scrubber_status(sc, &later);
	ck_assert_int_eq(later.state, TFS_SCRUB_FINISHED);
	ck_assert_int_eq(later.whole, st.whole);
	ck_assert(!later.how.meta);
	ck_assert_uint_eq(later.uncorrectable, 1);
	tfs_scrubber_destroy(sc);
	bed_free(&b);
}
END_TEST

START_TEST(what_is_known_is_read_again_and_nothing_else)
{
	struct tfs_scrub_how how = { .data = true, .meta = true };
	struct tfs_scrub_status st;
	struct tfs_scrubber *sc;
	uint32_t ino[FILES];
	struct bed b;

	make(&b, _i, ino);
	bed_spoil(&b, ino[3], 8);
	bed_spoil(&b, ino[4], 20);
	bed_spoil(&b, ino[4], 21);
	ck_assert_int_eq(tfs_scrubber_create(&sc, b.fs), 0);
	ck_assert_int_eq(tfs_scrubber_start(sc, &how), 0);
	wait_for(sc, TFS_SCRUB_FINISHED);
	ck_assert_uint_eq(listed(&b), 2);
	bed_spoil(&b, ino[3], 8);		/* it was a bad cable */
	bed_spoil(&b, ino[4], 20);
	bed_spoil(&b, ino[5], 20);		/* nobody knows of this one */
	eng_dev_drop_caches(b.dev);
	how = (struct tfs_scrub_how){ .errors = true };
	ck_assert_int_eq(tfs_scrubber_start(sc, &how), 0);
	st = wait_for(sc, TFS_SCRUB_FINISHED);
	ck_assert_uint_eq(st.bytes, 2 * CSIZE);
	ck_assert_uint_ge(st.uncorrectable, 1);
	ck_assert_uint_eq(listed(&b), 1);
	tfs_scrubber_destroy(sc);
	bed_free(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("kept");
	TCase *t = tcase_create("scrubs");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, a_crash_after_any_step_leaves_nothing_out);
	tcase_add_test(t, more_suspects_than_can_be_kept_are_kept_all_the_same);
	tcase_add_test(t, a_scrub_rests_while_others_come);
	tcase_add_loop_test(t, the_end_of_a_mount_interrupts_and_no_more, 0, 2);
	tcase_add_loop_test(t, a_crash_after_the_start_leaves_it_to_go_on, 0,
			    2);
	tcase_add_test(t, when_all_was_read_is_known_later);
	tcase_add_test(t, what_is_known_is_read_again_and_nothing_else);
	suite_add_tcase(s, t);
	return bed_run_suite(s);
}
