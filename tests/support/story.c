/* SPDX-License-Identifier: GPL-2.0-or-later */
/* story.c - see story.h. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commit/ckpt.h"
#include "support/fs_check.h"
#include "support/fs_state.h"
#include "support/mend.h"
#include "support/story.h"

void story_state(struct bed *b, struct story *st)
{
	ck_assert_uint_lt(st->begun + 1, STORY_STATES);
	st->begun++;
	if (st->first)
		st->state[st->begun] = fs_state(b->fs);
}

int story_sync(struct bed *b, struct story *st)
{
	int err;

	story_state(b, st);
	err = st->checkpoints && st->begun % st->checkpoints == 0 ?
		tfs_ckpt_run(b->fs) : tfs_sync(b->fs);
	if (!err)
		st->done = st->begun;
	return err;
}

/* The first line that differs. */
static void show_difference(const char *want, const char *got)
{
	while (*want && *want == *got)
		want++, got++;
	fprintf(stderr, "expected: %.100s\nfound: %.100s\n", want, got);
}

static void same_state(struct bed *b, struct story *st)
{
	char *now = fs_state(b->fs);
	unsigned int i;

	for (i = st->done; i <= st->begun; i++)
		if (!strcmp(now, st->state[i]))
			break;
	if (i > st->begun)
		show_difference(st->state[st->done], now);
	ck_assert_msg(i <= st->begun, "%s: neither the state of sync %u nor "
		      "that of %u", st->where, st->done, st->begun);
	free(now);
}

static void check_whole(struct bed *b, struct story *st)
{
	const char *wrong = fs_check(b->fs, 0);

	ck_assert_msg(!wrong, "%s: %s", st->where, wrong);
	same_state(b, st);
	if (st->look)
		st->look(b, st);
}

static unsigned int complaints(void)
{
	return bed_log_lines(LOG_WARNING) + bed_log_lines(LOG_ERR) +
		bed_log_lines(LOG_CRIT);
}

/* What a cut leaves is no damage: nothing is said about it but, as a notice,
 * what was replayed. */
static void mount_again(struct bed *b, struct story *st)
{
	unsigned int before = complaints();
	int err = bed_open(b);

	ck_assert_msg(!err, "%s: mount: %s", st->where, strerror(-err));
	ck_assert_msg(complaints() == before, "%s: a cut is called damage",
		      st->where);
	ck_assert_msg(!tfs_rdonly(b->fs), "%s: read-only", st->where);
}

/* The power goes again while the mount recovers. */
static void crash_mounts(struct sim *crashed, struct story *st, uint64_t seed)
{
	char where[200];

	snprintf(where, sizeof(where), "%.199s", st->where);
	for (uint64_t m = 0; ; m++) {
		struct bed b;
		bool off;

		bed_take(&b, sim_clone(crashed), seed);
		b.how.discard = st->discard;
		snprintf(st->where, sizeof(st->where), "%s, then at %llu",
			 where, (unsigned long long)m);
		sim_power_off_at(b.sim, m);
		if (!bed_open(&b))
			bed_drop(&b);
		off = sim_is_off(b.sim);
		sim_crash(b.sim, seed + m);
		if (off) {
			mount_again(&b, st);
			check_whole(&b, st);
		}
		bed_free(&b);
		if (!off)
			break;
	}
	strcpy(st->where, where);
}

/* Life goes on after the recovery, and what it did lasts. */
static void live_on(struct bed *b, struct story *st, uint64_t seed)
{
	char *state, *again;

	for (int i = 0; i < 8; i++)
		ck_assert_msg(!fs_step(b->fs, &seed), "%s: step", st->where);
	state = fs_state(b->fs);
	ck_assert_msg(fs_state_sound(state), "%s: %s", st->where, state);
	bed_umount(b);
	bed_mount(b);
	again = fs_state(b->fs);
	ck_assert_msg(!strcmp(state, again), "%s: later life", st->where);
	ck_assert_msg(!fs_check(b->fs, 0), "%s: later life", st->where);
	free(state);
	free(again);
}

/* Cut the power during write n, or let flush n fail and all that follows;
 * false: the story ended before. */
static bool cut_once(struct sim *base, struct story *st, bool at_flush,
		     uint64_t n, uint64_t seed)
{
	struct sim *crashed;
	struct bed b;
	bool cut;

	bed_take(&b, sim_clone(base), st->seed);
	b.how.discard = st->discard;
	snprintf(st->where, sizeof(st->where), "%s, seed %llu, cut at %s %llu",
		 b.where, (unsigned long long)seed, at_flush ? "flush" :
		 "write", (unsigned long long)n);
	st->begun = st->done = 0;
	st->n = n;
	mount_again(&b, st);
	if (at_flush)
		sim_fault(b.sim, SIM_FLUSH_FAIL, 0, 0, -EIO, n, 0);
	else
		sim_power_off_at(b.sim, n);
	if (!st->act(&b, st))
		st->begun++;		/* tfs_close() is a sync, too */
	cut = at_flush ? sim_faults_hit(b.sim) : sim_is_off(b.sim);
	bed_drop(&b);
	cut |= at_flush ? sim_faults_hit(b.sim) : sim_is_off(b.sim);
	sim_clear_faults(b.sim);
	sim_crash(b.sim, seed);
	if (cut) {
		if (mend_due(n + seed, 16))
			mend_cut(b.sim, st->where);
		crashed = n % 16 == seed % 16 ? sim_clone(b.sim) : NULL;
		mount_again(&b, st);
		check_whole(&b, st);
		if (n % 8 == 0)
			live_on(&b, st, n);
		if (crashed)
			crash_mounts(crashed, st, seed);
		sim_destroy(crashed);
	}
	bed_free(&b);
	return cut;
}

/* The base disk, and the states of the story as it goes without cuts. */
static struct sim *tell(struct story *st)
{
	struct sim *base;
	struct bed b;

	bed_make(&b, st->profile, st->clusters, st->seed);
	b.how.discard = st->discard;
	if (st->prepare)
		st->prepare(&b, st);
	st->state[0] = fs_state(b.fs);
	bed_umount(&b);
	base = sim_clone(b.sim);
	bed_mount(&b);
	st->begun = st->done = 0;
	st->first = true;
	ck_assert_int_eq(st->act(&b, st), 0);
	st->first = false;
	ck_assert_int_eq(story_sync(&b, st), 0);
	bed_check(&b, 0);
	bed_free(&b);
	return base;
}

void story_cut_everywhere(struct story *st, unsigned int seeds)
{
	struct sim *base = tell(st);
	uint64_t n;

	for (unsigned int seed = 0; seed < BED_LESS(seeds); seed++) {
		for (n = 0; cut_once(base, st, false, n, seed); n++)
			;
		ck_assert_uint_gt(n, 10);
		for (n = 0; cut_once(base, st, true, n, seed); n++)
			;
		ck_assert_uint_ge(n, 2);
	}
	sim_destroy(base);
	for (unsigned int i = 0; i < STORY_STATES; i++)
		free(st->state[i]);
}

uint32_t story_ino(struct bed *b, const char *name)
{
	struct tfs_inode in;

	if (tfs_lookup(b->fs, TFS_ROOT_INO, name, &in))
		return 0;
	tfs_unref(b->fs, in.ino, 1);
	return in.ino;
}

int story_save(struct bed *b, const char *name, uint64_t seed)
{
	static uint8_t buf[DOC_SIZE];
	struct tfs_new new = { .mode = S_IFREG | 0600 };
	struct tfs_inode in;
	int err = tfs_create(b->fs, TFS_ROOT_INO, name, &new, &in);

	if (err)
		return err;
	bed_fill(buf, sizeof(buf), seed);
	err = tfs_write(b->fs, in.ino, 0, buf, sizeof(buf), 0);
	tfs_unref(b->fs, in.ino, 1);
	return err;
}

void story_rot(struct bed *b, uint64_t addr)
{
	uint64_t off = bed_data_at(b, addr);

	for (unsigned int i = 0; i < 40; i++)
		sim_flip(b->sim, off + i * 13, 0x55);
	eng_dev_drop_caches(b->dev);
}

void story_power_cut(struct bed *b, bool keep)
{
	sim_settle(b->sim, keep);
	sim_power_off_at(b->sim, 0);
	bed_drop(b);
	sim_settle(b->sim, false);
	sim_crash(b->sim, 0);
}

void story_finds(struct bed *b, const char *state, const char *what)
{
	char *now;
	int err = bed_open(b);

	ck_assert_msg(!err, "%s: mount: %s", what, strerror(-err));
	now = fs_state(b->fs);
	if (strcmp(now, state))
		show_difference(state, now);
	ck_assert_msg(!strcmp(now, state), "%s: another state", what);
	if (!tfs_rdonly(b->fs))		/* else the medium has an older tree */
		bed_check(b, 0);
	free(now);
}
