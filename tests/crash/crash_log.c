/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crash_log.c - the commit log: counterexamples by name.  Each is a way in
 * which a log of one flush could lie. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/gate.h"
#include "commit/ckpt.h"
#include "commit/commit.h"
#include "file/extent.h"
#include "file/resize.h"
#include "support/fs_check.h"
#include "support/fs_state.h"
#include "commit/log.h"
#include "support/story.h"

#define ROOT	TFS_ROOT_INO

static uint64_t replayed(struct bed *b)
{
	return atomic_load(&b->fs->count.replayed);
}

static uint64_t dropped(struct bed *b)
{
	return atomic_load(&b->fs->count.dropped);
}

static void must_save(struct bed *b, const char *name, uint64_t seed)
{
	ck_assert_int_eq(story_save(b, name, seed), 0);
}

static void must_sync(struct bed *b)
{
	ck_assert_int_eq(tfs_sync(b->fs), 0);
}

/* The state of the running filesystem, to be freed. */
static char *sound_state(struct bed *b)
{
	char *state = fs_state(b->fs);

	ck_assert_msg(fs_state_sound(state), "%s", state);
	return state;
}

/* Mounted read-write with exactly that state. */
static void comes_back(struct bed *b, const char *state, const char *what)
{
	story_finds(b, state, what);
	ck_assert_msg(!tfs_rdonly(b->fs), "%s: read-only", what);
}

/* ---- one flush ------------------------------------------------------------ */

/* However much was done, sync is one flush; the second has nothing to do. */
START_TEST(sync_is_one_flush)
{
	struct sim_counts before, after;
	struct bed b;
	uint64_t rand = _i;

	bed_make(&b, _i % 2 ? "4096+8" : "512+8", 4096, _i);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(fs_step(b.fs, &rand), 0);
		bed_file(&b, (char [7]){ 'o', 'n', 'l', 'y', '-', 'a' + i });
		sim_counts(b.sim, &before);
		must_sync(&b);
		sim_counts(b.sim, &after);
		ck_assert_uint_eq(after.flushes, before.flushes + 1);
		must_sync(&b);
		sim_counts(b.sim, &after);
		ck_assert_uint_eq(after.flushes, before.flushes + 1);
	}
	bed_free(&b);
}
END_TEST

/* Nothing of a synced state needs more than the log, wherever it wraps. */
START_TEST(log_alone_brings_it_back)
{
	struct bed b;
	uint64_t rand = _i, commits = 0;
	char *state;

	bed_make(&b, "512+8", 1024, _i);
	for (int i = 0; i < 150; i++) {
		for (int k = sim_rand(&rand) % 6; k >= 0; k--)
			ck_assert_int_eq(fs_step(b.fs, &rand), 0);
		must_sync(&b);
		state = sound_state(&b);
		story_power_cut(&b, false);
		comes_back(&b, state, b.where);
		ck_assert_uint_eq(dropped(&b), 0);
		commits += replayed(&b);
		free(state);
	}
	ck_assert_uint_gt(commits, 100);
	bed_free(&b);
}
END_TEST

/* A commit that the log has no room for is kept by a checkpoint instead, and
 * so is everything after it. */
START_TEST(commit_larger_than_the_log)
{
	static uint8_t want[60000], got[60000];
	uint64_t slot;
	struct bed b;
	uint32_t ino;

	bed_make(&b, "512+8", 1024, 1);
	ino = bed_file(&b, "f");
	must_sync(&b);
	slot = b.fs->slot_number;
	bed_fill(want, sizeof(want), 1);
	ck_assert_int_eq(tfs_setxattr(b.fs, ino, "user.a", want, 30000, 0,
				      false), 0);
	ck_assert_uint_eq(b.fs->slot_number, slot);
	ck_assert_int_eq(tfs_setxattr(b.fs, ino, "user.b", want, 60000, 0,
				      false), 0);
	must_sync(&b);
	ck_assert_uint_gt(b.fs->slot_number, slot);
	bed_file(&b, "after");
	must_sync(&b);
	story_power_cut(&b, false);
	bed_mount(&b);
	bed_check(&b, 0);
	ck_assert(story_ino(&b, "after"));
	ck_assert_int_eq(tfs_getxattr(b.fs, ino, "user.b", got, 60000), 60000);
	ck_assert(!memcmp(got, want, 60000));
	bed_free(&b);
}
END_TEST

/* ---- timelines ------------------------------------------------------------ */

static void log_without_flush(struct bed *b)
{
	tfs_lead(b->fs);
	pthread_rwlock_wrlock(&b->fs->tree);
	tfs_commit_close(b->fs);
	pthread_rwlock_unlock(&b->fs->tree);
	ck_assert_int_eq(tfs_log_write(b->fs, b->fs->closed,
				       b->fs->ckpt.durable), 0);
	tfs_unlead(b->fs);
}

/* A commit is torn while the next one arrived whole.  Both are gone, and stay
 * gone in the next life, though its log ends where the whole one lies. */
START_TEST(lost_timeline_never_comes_back)
{
	struct bed_cluster torn;
	const struct eng_profile *p = eng_profile_find("512+8");
	char *first, *second;
	uint64_t at;
	struct bed b;

	bed_make(&b, "512+8", 1024, _i);
	must_save(&b, "a", 1);
	must_sync(&b);
	first = sound_state(&b);
	must_save(&b, "b", 2);
	at = tfs_log_addr(b.fs, b.fs->log.head);
	log_without_flush(&b);
	must_save(&b, "c", 3);
	sim_fault(b.sim, SIM_FLUSH_FAIL, 0, 0, -EIO, 0, 0);
	ck_assert_int_eq(tfs_sync(b.fs), -EIO);
	sim_clear_faults(b.sim);
	story_power_cut(&b, true);
	bed_peek(b.sim, p, at, &torn);
	memset(torn.data + 512 * (_i % 8), 0xee, 512);
	bed_poke(b.sim, p, at, &torn);

	comes_back(&b, first, "torn commit");
	ck_assert_uint_eq(dropped(&b), 2);
	must_save(&b, "d", 4);
	must_sync(&b);
	second = sound_state(&b);
	story_power_cut(&b, _i % 2);
	comes_back(&b, second, "the next life");
	free(first);
	free(second);
	bed_free(&b);
}
END_TEST

/* Every mount that is cut anywhere, and every life after it, takes sequences
 * that were never used. */
START_TEST(sequences_are_never_used_again)
{
	uint64_t highest = 0, rand = _i;
	struct bed b;

	bed_make(&b, "512+8", 1024, _i);
	for (unsigned int life = 0; life < 60; life++) {
		if (b.fs) {
			ck_assert_uint_gt(b.fs->seq, highest);
			bed_file(&b, (char [3]){ 'a' + life / 10,
						 'a' + life % 10, 0 });
			must_sync(&b);
			highest = b.fs->seq;
		}
		if (life % 3 == 2)
			bed_drop(&b);
		sim_power_off_at(b.sim, sim_rand(&rand) % 30);
		if (b.fs)
			bed_drop(&b);
		if (!bed_open(&b)) {
			ck_assert_uint_gt(b.fs->seq, highest);
			if (!tfs_rdonly(b.fs))
				highest = b.fs->seq;
			bed_drop(&b);
		}
		sim_crash(b.sim, sim_rand(&rand));
		bed_mount(&b);
	}
	bed_check(&b, 0);
	bed_free(&b);
}
END_TEST

/* ---- rot ------------------------------------------------------------------ */

struct find_arg {
	uint32_t	ino;
	struct tfs_extent ext;
};

static int find_fn(struct tfs_txn *tx, void *arg)
{
	struct find_arg *f = arg;

	return tfs_extent_find(tx, f->ino, 0, &f->ext);
}

static struct tfs_extent first_extent(struct bed *b, uint32_t ino)
{
	struct find_arg f = { .ino = ino };

	ck_assert_int_eq(tfs_txn_read(b->fs, find_fn, &f), 0);
	return f.ext;
}

/* Rot in a commit that was acknowledged: an error for what it hit, not a
 * commit that is quietly gone.  What says that it was: the next commit, or,
 * where none came, a mark. */
START_TEST(rot_in_an_acknowledged_commit_is_an_error)
{
	uint8_t buf[DOC_SIZE];
	struct bed b;
	uint32_t ino;

	bed_make(&b, "512+8", 1024, 1);
	must_save(&b, "a", 1);
	must_sync(&b);
	if (_i) {
		tfs_commit_mark(b.fs, b.fs->log.content);
	} else {
		must_save(&b, "b", 2);
		must_sync(&b);
	}
	ino = story_ino(&b, "a");
	story_rot(&b, first_extent(&b, ino).addr);
	story_power_cut(&b, true);
	bed_mount(&b);
	ck_assert(!tfs_rdonly(b.fs));
	ck_assert_uint_eq(dropped(&b), 0);
	ck_assert_int_eq(tfs_read_sync(b.fs, ino, 0, buf, 4096), -EIO);
	ck_assert_int_eq(tfs_read_sync(b.fs, ino, 4096, buf, 4096), 4096);
	ck_assert(_i || story_ino(&b, "b"));
	bed_free(&b);
}
END_TEST

/* Rot in the log itself, where a later commit proves that it was durable:
 * damage that is reported, not a shorter past. */
START_TEST(rot_in_the_log_is_damage)
{
	unsigned int lines = bed_log_lines(LOG_ERR);
	struct bed b;
	uint64_t at;
	char *first;

	bed_make(&b, "512+8", 1024, 1);
	must_save(&b, "a", 1);
	must_sync(&b);
	first = sound_state(&b);
	must_save(&b, "b", 2);
	at = tfs_log_addr(b.fs, b.fs->log.head);
	must_sync(&b);
	must_save(&b, "c", 3);
	must_sync(&b);
	story_rot(&b, at);
	story_power_cut(&b, true);
	ck_assert_int_eq(bed_open(&b), 0);
	ck_assert(tfs_rdonly(b.fs));
	ck_assert_uint_gt(bed_log_lines(LOG_ERR), lines);
	bed_drop(&b);
	b.how.rdonly = true;
	story_finds(&b, first, "before the damage");
	free(first);
	bed_free(&b);
}
END_TEST

/* A device that says it flushed and did not: the same. */
START_TEST(lost_flush_is_damage)
{
	struct bed b;

	bed_make(&b, "512+8", 1024, 1);
	must_save(&b, "a", 1);
	must_sync(&b);
	must_save(&b, "b", 2);
	sim_fault(b.sim, SIM_WRITE_LOST,
		  bed_data_at(&b, tfs_log_addr(b.fs, b.fs->log.head)), 4096,
		  0, 0, 1);
	must_sync(&b);
	must_save(&b, "c", 3);
	must_sync(&b);
	ck_assert_uint_eq(sim_faults_hit(b.sim), 1);
	story_power_cut(&b, true);
	ck_assert_int_eq(bed_open(&b), 0);
	ck_assert(tfs_rdonly(b.fs));
	ck_assert(story_ino(&b, "a") && !story_ino(&b, "b") &&
		  !story_ino(&b, "c"));
	bed_free(&b);
}
END_TEST

/* The newest slot rots in both copies, and the log goes on from it: what the
 * older one names may be overwritten, so it can be read and no more, and one
 * line says that it is old. */
START_TEST(outdated_checkpoint_is_read_only)
{
	unsigned int lines = bed_log_lines(LOG_ERR);
	struct bed b;
	unsigned int slot;

	bed_make(&b, "512+8", 1024, 1);
	must_save(&b, "a", 1);
	ck_assert_int_eq(tfs_ckpt_run(b.fs), 0);
	must_save(&b, "b", 1);
	must_sync(&b);
	slot = b.fs->slot_number & 1;
	story_rot(&b, TFS_AT_SLOT + slot);
	story_rot(&b, b.fs->super.clusters - TFS_END_SLOT + slot);
	story_power_cut(&b, true);
	b.how.rdonly = _i;
	ck_assert_int_eq(bed_open(&b), 0);
	ck_assert(tfs_rdonly(b.fs));
	ck_assert_uint_eq(bed_log_lines(LOG_ERR), lines + 1);
	bed_free(&b);
}
END_TEST

/* ---- reading only --------------------------------------------------------- */

/* A mount that may not write sees all that was synced, and writes nothing:
 * the simulated disk would not let it. */
START_TEST(recovers_in_memory_if_read_only)
{
	uint64_t rand = _i;
	struct bed b;
	char *state;

	bed_make(&b, "512+8", 1024, _i);
	for (int i = 0; i < 40; i++) {
		ck_assert_int_eq(fs_step(b.fs, &rand), 0);
		if (i % 5 == 4)
			must_sync(&b);
	}
	must_sync(&b);
	state = sound_state(&b);
	story_power_cut(&b, false);
	b.how.rdonly = true;
	sim_set_rdonly(b.sim, true);
	for (int i = 0; i < 2; i++) {
		story_finds(&b, state, "read-only");
		ck_assert_uint_gt(replayed(&b), 0);
		bed_drop(&b);
	}
	sim_set_rdonly(b.sim, false);
	b.how.rdonly = false;
	comes_back(&b, state, "read-write");
	free(state);
	bed_free(&b);
}
END_TEST

/* ---- while a checkpoint runs ---------------------------------------------- */

struct meanwhile {
	struct bed	*b;
	struct story	*st;
	uint32_t	ino;
	unsigned int	writes, at, n;
};

/* Overwrite and sync in the middle of a checkpoint: while it writes nodes and
 * slots, for this thread can't do it inside of a flush. */
static void sync_meanwhile(void *arg, uint64_t off, uint64_t len)
{
	struct meanwhile *m = arg;
	uint8_t buf[DOC_SIZE];
	uint64_t addr;

	(void)len;
	if (m->b->fs->ckpt.leading || !bed_cluster_at(m->b, off, &addr) ||
	    m->writes++ != m->at)
		return;
	bed_fill(buf, sizeof(buf), 1000 + m->n);
	sim_on_write(m->b->sim, NULL, NULL);
	if (!tfs_write(m->b->fs, m->ino, 0, buf, sizeof(buf), 0))
		story_sync(m->b, m->st);
}

static void meanwhile_prepare(struct bed *b, struct story *st)
{
	(void)st;
	must_save(b, "doc", 0);
}

static int meanwhile_act(struct bed *b, struct story *st)
{
	struct meanwhile m = { b, st, story_ino(b, "doc"), 0, 0, 0 };
	uint8_t buf[DOC_SIZE];
	int err = 0;

	for (m.n = 0; !err && m.n < 6; m.n++) {
		bed_fill(buf, DOC_SIZE, 50 + m.n);
		err = tfs_write(b->fs, m.ino, 0, buf, DOC_SIZE, 0);
		story_state(b, st);
		m.writes = 0;
		m.at = m.n;
		sim_on_write(b->sim, sync_meanwhile, &m);
		if (!err)
			err = tfs_ckpt_run(b->fs);
		sim_on_write(b->sim, NULL, NULL);
		if (!err)
			err = story_sync(b, st);
	}
	return err;
}

START_TEST(overwrite_and_sync_while_a_checkpoint_runs)
{
	struct story st = {
		.profile = "512+8", .clusters = 1024, .seed = 3,
		.prepare = meanwhile_prepare, .act = meanwhile_act,
		.discard = _i,
	};

	story_cut_everywhere(&st, 3);
}
END_TEST

/* ---- neighbours ----------------------------------------------------------- */

#define NEIGHBOURS	50u

static void neighbours_prepare(struct bed *b, struct story *st)
{
	char name[8];

	(void)st;
	for (unsigned int i = 0; i < NEIGHBOURS; i++) {
		sprintf(name, "n%u", i);
		must_save(b, name, i);
	}
}

/* One cluster after the other, their tuples all in a few pages. */
static int neighbours_act(struct bed *b, struct story *st)
{
	uint8_t buf[4096];
	char name[8];
	int err = 0;

	for (unsigned int i = 0; !err && i < NEIGHBOURS; i += 7) {
		sprintf(name, "n%u", i);
		bed_fill(buf, sizeof(buf), 100 + i);
		err = tfs_write(b->fs, story_ino(b, name), 4096, buf,
				sizeof(buf), 0);
		if (!err)
			err = story_sync(b, st);
	}
	return err;
}

/* Tuple pages are shared and torn by the cut: synced neighbours stay. */
START_TEST(torn_tuple_page_spares_its_neighbours)
{
	struct story st = {
		.profile = "512+8", .clusters = 1024, .seed = 9,
		.prepare = neighbours_prepare, .act = neighbours_act,
	};

	story_cut_everywhere(&st, 6);
}
END_TEST

/* ---- reservations --------------------------------------------------------- */

static int reserve_act(struct bed *b, struct story *st)
{
	uint32_t ino = story_ino(b, "doc");
	struct tfs_inode in;
	uint8_t buf[6000];
	int err = 0;

	for (unsigned int i = 0; !err && i < 5; i++) {
		err = tfs_fallocate(b->fs, ino, 0, i * 30000, 40000);
		if (!err && i % 2)
			err = story_sync(b, st);
		bed_fill(buf, sizeof(buf), i);
		if (!err)
			err = tfs_write(b->fs, ino, i * 30000 + 5000, buf,
					sizeof(buf), 0);
		if (!err)
			err = story_sync(b, st);
	}
	if (!err)
		err = tfs_truncate(b->fs, ino, 70001, 0, &in);
	return err ? err : story_sync(b, st);
}

START_TEST(fallocate_then_write_then_cut)
{
	struct story st = {
		.profile = _i ? "4096+8" : "512+8", .clusters = 1024,
		.seed = 11, .prepare = meanwhile_prepare, .act = reserve_act,
		.checkpoints = 3,
	};

	story_cut_everywhere(&st, 3);
}
END_TEST

/* ---- errors --------------------------------------------------------------- */

/* Any one write fails while a sync is under way: data go elsewhere before
 * the log names them; what is written after the log, tuples, ends it.
 * Nobody is told that it is durable if it is not. */
START_TEST(no_sync_succeeds_after_a_failed_write)
{
	uint64_t hits = 1;

	for (unsigned int n = 0; hits; n++) {
		struct bed b;
		char *old, *new;
		int err;

		bed_make(&b, "512+8", 1024, 1);
		must_save(&b, "a", 1);
		must_sync(&b);
		old = sound_state(&b);
		sim_fault(b.sim, SIM_WRITE_FAIL, 0, UINT64_MAX / 2, -EIO, n,
			  1);
		err = story_save(&b, "b", 2);
		new = fs_state(b.fs);
		if (!err)
			err = tfs_sync(b.fs);
		hits = sim_faults_hit(b.sim);
		ck_assert(!err || tfs_rdonly(b.fs));
		sim_clear_faults(b.sim);
		story_power_cut(&b, false);
		comes_back(&b, err ? old : new, b.where);
		bed_drop(&b);
		free(old);
		free(new);
		bed_free(&b);
	}
}
END_TEST

/* ---- threads -------------------------------------------------------------- */

#define WRITERS	6u
#define RECORD	1500u

struct writer {
	struct bed	*b;
	pthread_t	thread;
	uint32_t	ino;
	unsigned int	id, acked;
};

static void *append_and_sync(void *arg)
{
	struct writer *w = arg;
	uint8_t buf[RECORD];
	int err = 0;

	while (!err && w->acked < 60) {
		bed_fill(buf, RECORD, w->id * 1000 + w->acked);
		err = tfs_write(w->b->fs, w->ino, w->acked * RECORD, buf,
				RECORD, 0);
		if (!err)
			err = tfs_fsync(w->b->fs, w->ino, false);
		if (!err)
			w->acked++;
	}
	return NULL;
}

static void has_records(struct bed *b, const struct writer *w)
{
	uint8_t got[RECORD], want[RECORD];

	for (unsigned int i = 0; i < w->acked; i++) {
		bed_fill(want, RECORD, w->id * 1000 + i);
		ck_assert_msg(tfs_read_sync(b->fs, w->ino, i * RECORD, got,
					    RECORD) == RECORD &&
			      !memcmp(got, want, RECORD),
			      "%s: writer %u, record %u", b->where, w->id, i);
	}
}

/* Many sync at once, their tuples in one page: each finds what was
 * acknowledged, and flushes are shared. */
START_TEST(concurrent_syncs_share_flushes_and_keep_promises)
{
	struct writer w[WRITERS];
	struct sim_counts counts;
	unsigned int acked = 0;
	uint64_t rand = _i, flushes;
	struct bed b;
	char name[8];

	bed_make(&b, "512+8", 2048, _i);
	for (unsigned int i = 0; i < WRITERS; i++) {
		sprintf(name, "w%u", i);
		w[i] = (struct writer){ .b = &b, .id = i,
					.ino = bed_file(&b, name) };
	}
	bed_umount(&b);
	bed_threads(&b, 2);
	bed_mount(&b);
	sim_counts(b.sim, &counts);
	flushes = counts.flushes;
	if (_i)
		sim_power_off_at(b.sim, sim_rand(&rand) % 900);
	for (unsigned int i = 0; i < WRITERS; i++)
		pthread_create(&w[i].thread, NULL, append_and_sync, &w[i]);
	for (unsigned int i = 0; i < WRITERS; i++) {
		pthread_join(w[i].thread, NULL);
		acked += w[i].acked;
	}
	sim_counts(b.sim, &counts);
	ck_assert_uint_lt(counts.flushes - flushes, acked + 12);
	bed_drop(&b);
	sim_crash(b.sim, _i);
	bed_mount(&b);
	for (unsigned int i = 0; i < WRITERS; i++)
		has_records(&b, &w[i]);
	bed_check(&b, 0);
	bed_free(&b);
}
END_TEST

struct halves {
	struct bed	*b;
	uint32_t	ino;
	unsigned int	half;
};

static void *write_half(void *arg)
{
	struct halves *h = arg;
	uint8_t buf[700];

	for (unsigned int i = 0; i < 100; i++) {
		memset(buf, i + h->half, sizeof(buf));
		ck_assert_int_eq(tfs_write(h->b->fs, h->ino, 8192 + h->half *
					   1000, buf, sizeof(buf), 0), 0);
		if (i % 10 == 0)
			ck_assert_int_eq(tfs_sync(h->b->fs), 0);
	}
	return NULL;
}

/* Two writes to parts of one cluster at once: neither undoes the other. */
START_TEST(two_partial_writes_of_one_cluster)
{
	struct halves h[2];
	pthread_t t[2];
	struct tfs_inode in;
	uint8_t got[2000];
	struct bed b;
	uint32_t ino;

	bed_make(&b, "512+8", 1024, 1);
	ino = bed_file(&b, "f");
	ck_assert_int_eq(tfs_truncate(b.fs, ino, 20000, 0, &in), 0);
	bed_umount(&b);
	bed_threads(&b, 2);
	bed_mount(&b);
	for (unsigned int i = 0; i < 2; i++) {
		h[i] = (struct halves){ &b, ino, i };
		pthread_create(&t[i], NULL, write_half, &h[i]);
	}
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	must_sync(&b);
	story_power_cut(&b, false);
	bed_mount(&b);
	ck_assert_int_eq(tfs_read_sync(b.fs, ino, 8192, got, 2000), 2000);
	for (unsigned int i = 0; i < 2000; i++)
		ck_assert_uint_eq(got[i], i % 1000 < 700 ? 99 + i / 1000 : 0);
	bed_check(&b, 0);
	bed_free(&b);
}
END_TEST

static Suite *log_suite(void)
{
	Suite *s = suite_create("log");
	TCase *tc = tcase_create("log");

	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, sync_is_one_flush, 0, 4);
	tcase_add_loop_test(tc, log_alone_brings_it_back, 0, BED_LESS(8));
	tcase_add_test(tc, commit_larger_than_the_log);
	tcase_add_loop_test(tc, lost_timeline_never_comes_back, 0, 8);
	tcase_add_loop_test(tc, sequences_are_never_used_again, 0, 4);
	tcase_add_loop_test(tc, rot_in_an_acknowledged_commit_is_an_error, 0,
			    2);
	tcase_add_test(tc, rot_in_the_log_is_damage);
	tcase_add_test(tc, lost_flush_is_damage);
	tcase_add_loop_test(tc, outdated_checkpoint_is_read_only, 0, 2);
	tcase_add_loop_test(tc, recovers_in_memory_if_read_only, 0, 4);
	tcase_add_loop_test(tc, overwrite_and_sync_while_a_checkpoint_runs, 0,
			    2);
	tcase_add_test(tc, torn_tuple_page_spares_its_neighbours);
	tcase_add_loop_test(tc, fallocate_then_write_then_cut, 0, 2);
	tcase_add_test(tc, no_sync_succeeds_after_a_failed_write);
	suite_add_tcase(s, tc);
	tc = tcase_create("threads");
	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc,
			    concurrent_syncs_share_flushes_and_keep_promises,
			    0, BED_LESS(12));
	tcase_add_test(tc, two_partial_writes_of_one_cluster);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return bed_run_suite(log_suite());
}
