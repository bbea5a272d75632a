/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crash_fs.c - whatever a power cut leaves, what was synced is there.
 *
 * After a cut, the state is exactly that of the last sync which was
 * acknowledged, or of a later one that was under way.  Where space is short
 * there are checkpoints of the filesystem's own; then every state counts. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cluster.h"
#include "base/gate.h"
#include "soft/dev_soft.h"
#include "commit/ckpt.h"
#include "file/extent.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "support/fs_state.h"
#include "tree/node.h"
#include "support/story.h"

/* ---- anything ------------------------------------------------------------ */

static void random_prepare(struct bed *b, struct story *st)
{
	uint64_t rand = st->seed;

	for (int i = 0; i < 60; i++)
		ck_assert_int_eq(fs_step(b->fs, &rand), 0);
}

static int random_act(struct bed *b, struct story *st)
{
	uint64_t rand = st->seed * 77 + 1;
	int err = 0;

	for (int i = 0; !err && i < 8; i++) {
		unsigned int steps = sim_rand(&rand) % 8;

		while (!err && steps--)
			err = fs_step(b->fs, &rand);
		if (!err)
			err = story_sync(b, st);
	}
	return err;
}

START_TEST(synced_state_survives_any_cut)
{
	struct story st = {
		.profile = _i % 4 == 3 ? "4096+8" :
			_i % 4 == 1 ? "4096+64:tags8" : "512+8",
		.clusters = 2048, .discard = _i % 2, .seed = _i,
		.prepare = random_prepare, .act = random_act,
	};

	story_cut_everywhere(&st, 5);
}
END_TEST

/* ---- well-known ways to save a file -------------------------------------- */

static void doc_prepare(struct bed *b, struct story *st)
{
	(void)st;
	ck_assert_int_eq(story_save(b, "doc", 0), 0);
}

static int doc_act(struct bed *b, struct story *st)
{
	int err = 0;

	for (unsigned int i = 1; !err && i < 4; i++) {
		err = story_save(b, "doc.tmp", i);
		if (!err)
			err = story_sync(b, st);
		if (!err)
			err = tfs_rename(b->fs, TFS_ROOT_INO, "doc.tmp",
					 TFS_ROOT_INO, "doc", 0, NULL);
		if (!err)
			err = story_sync(b, st);
	}
	return err;
}

/* One of the versions, whole. */
static void doc_look(struct bed *b, struct story *st)
{
	uint8_t got[DOC_SIZE + 1], want[DOC_SIZE];
	unsigned int from = st->done / 2, i;
	uint32_t ino = story_ino(b, "doc");

	ck_assert_msg(ino, "%s: no document", st->where);
	ck_assert_int_eq(tfs_read_sync(b->fs, ino, 0, got, sizeof(got)),
			 DOC_SIZE);
	for (i = from; i <= from + 1; i++) {
		bed_fill(want, DOC_SIZE, i);
		if (!memcmp(got, want, DOC_SIZE))
			break;
	}
	ck_assert_msg(i <= from + 1, "%s: neither version %u nor the next",
		      st->where, from);
}

START_TEST(saved_and_renamed_is_old_or_new)
{
	struct story st = {
		.profile = "512+8", .clusters = 1024, .seed = 1,
		.prepare = doc_prepare, .act = doc_act, .look = doc_look,
	};

	story_cut_everywhere(&st, 4);
}
END_TEST

#define LINE	777u

static void log_prepare(struct bed *b, struct story *st)
{
	(void)st;
	bed_file(b, "log");
}

static int log_act(struct bed *b, struct story *st)
{
	uint32_t ino = story_ino(b, "log");
	uint8_t line[LINE];
	int err = 0;

	for (unsigned int i = 0; !err && i < 16; i++) {
		bed_fill(line, LINE, i);
		err = tfs_write(b->fs, ino, i * LINE, line, LINE, 0);
		if (!err)
			err = story_sync(b, st);
	}
	return err;
}

static void log_look(struct bed *b, struct story *st)
{
	uint8_t got[16 * LINE + 1], want[LINE];
	ssize_t n = tfs_read_sync(b->fs, story_ino(b, "log"), 0, got,
				  sizeof(got));

	ck_assert_msg(n >= (ssize_t)(st->done * LINE) && n % LINE == 0,
		      "%s: %zd bytes of log", st->where, n);
	for (ssize_t i = 0; i < n / LINE; i++) {
		bed_fill(want, LINE, i);
		ck_assert_msg(!memcmp(want, got + i * LINE, LINE),
			      "%s: line %zd", st->where, i);
	}
}

START_TEST(log_keeps_every_synced_line)
{
	struct story st = {
		.profile = "512+8", .clusters = 1024, .seed = 2,
		.prepare = log_prepare, .act = log_act, .look = log_look,
	};

	story_cut_everywhere(&st, 2);
}
END_TEST

/* ---- writing while a checkpoint runs ------------------------------------- */

struct meanwhile {
	struct bed	*b;
	uint32_t	ino;
	unsigned int	writes, at;
};

static void write_meanwhile(void *arg, uint64_t off, uint64_t len)
{
	struct meanwhile *m = arg;

	(void)off;
	(void)len;
	if (m->writes++ == m->at)
		tfs_write(m->b->fs, m->ino, 0, "meanwhile", 9, 0);
}

static int meanwhile_act(struct bed *b, struct story *st)
{
	struct meanwhile m = { b, story_ino(b, "doc"), 0, 0 };
	uint8_t buf[DOC_SIZE];
	int err = 0;

	for (unsigned int i = 0; !err && i < 5; i++) {
		bed_fill(buf, DOC_SIZE, 50 + i);
		err = tfs_write(b->fs, m.ino, 0, buf, DOC_SIZE, 0);
		m.writes = 0;
		m.at = 2 * i;
		sim_on_write(b->sim, write_meanwhile, &m);
		if (!err)
			err = story_sync(b, st);
		sim_on_write(b->sim, NULL, NULL);
		if (!err)
			err = story_sync(b, st);
	}
	return err;
}

/* What comes while a checkpoint is written is not in it. */
START_TEST(checkpoint_is_of_one_moment)
{
	struct story st = {
		.profile = "512+8", .clusters = 1024, .seed = 3,
		.prepare = doc_prepare, .act = meanwhile_act,
	};

	story_cut_everywhere(&st, 3);
}
END_TEST

/* ---- reuse --------------------------------------------------------------- */

struct watch {
	struct bed	*b;
	uint64_t	written[2048];	/* with which sequence and slot */
	uint64_t	writes, step;
};

static void watch_write(void *arg, uint64_t off, uint64_t len)
{
	struct watch *w = arg;
	uint64_t addr, end = off + len, now = w->b->fs->slot_number + 1;

	for (; off < end; off += w->b->fs->csize) {
		if (!bed_cluster_at(w->b, off, &addr))
			return;
		ck_assert_msg(addr <= TFS_AT_SLOT + 1 ||
			      addr >= w->b->fs->super.clusters -
			      TFS_END_SLOT || w->written[addr] < now,
			      "%s, step %llu: cluster %llu is written twice "
			      "in checkpoint %llu", w->b->where,
			      (unsigned long long)w->step,
			      (unsigned long long)addr,
			      (unsigned long long)now);
		w->written[addr] = now;
		w->writes++;
	}
}

/* A cluster is written at most once between two durable checkpoints, even
 * where space is short. */
START_TEST(cluster_is_written_once_a_checkpoint)
{
	static struct watch w;
	struct bed b;
	uint64_t rand = _i;

	memset(&w, 0, sizeof(w));
	bed_make(&b, "512+8", 1024, _i);
	b.how.discard = _i % 2;
	bed_remount(&b, 0);
	w.b = &b;
	sim_on_write(b.sim, watch_write, &w);
	/* The slower all is, the fewer commits and checkpoints are due. */
	for (w.step = 0; w.step < 2000; w.step++) {
		ck_assert_int_eq(fs_step(b.fs, &rand), 0);
		if (sim_rand(&rand) % 12 == 0)
			ck_assert_int_eq(tfs_sync(b.fs), 0);
	}
	sim_on_write(b.sim, NULL, NULL);
	ck_assert_uint_gt(w.writes, 500);
	bed_remount(&b, 0);
	bed_free(&b);
}
END_TEST

static void *sync_thread(void *arg)
{
	struct bed *b = arg;

	ck_assert_int_eq(tfs_sync(b->fs), 0);
	return NULL;
}

struct old_file {
	uint32_t	ino;
	struct tfs_extent ext[64];
	unsigned int	n;
};

static int extents_fn(struct tfs_txn *tx, void *arg)
{
	struct old_file *old = arg;
	uint64_t at = 0;
	int err = 0;

	for (old->n = 0; !err && old->n < 64; at += old->ext[old->n++].len) {
		err = tfs_extent_find(tx, old->ino, at, &old->ext[old->n]);
		if (err)
			break;
	}
	return err == -ENOENT ? 0 : err;
}

static void still_there(struct bed *b, const struct old_file *old)
{
	uint8_t *buf = malloc(b->fs->csize);

	for (unsigned int i = 0; i < old->n; i++) {
		const struct tfs_extent *ext = &old->ext[i];

		for (uint64_t k = 0; k < ext->len; k++) {
			struct tfs_record rec = {
				.kind = TFS_K_DATA, .owner = old->ino,
				.index = ext->lc + k, .seq = ext->seq,
			};

			ck_assert_int_eq(tfs_cluster_read(b->fs, ext->addr + k,
							  &rec, buf), 0);
		}
	}
	free(buf);
}

/* A cluster that a read may be looking at is not handed out, though it was
 * freed and the checkpoint is on the medium. */
START_TEST(freed_cluster_waits_for_its_readers)
{
	static uint8_t buf[300 * 4096];
	struct old_file old;
	struct bed b;
	pthread_t t;
	unsigned int ticket;
	uint64_t done;

	bed_make(&b, "512+8", 1024, 1);
	old.ino = bed_file(&b, "f");
	ck_assert_int_eq(tfs_write(b.fs, old.ino, 0, buf, sizeof(buf), 0), 0);
	ck_assert_int_eq(tfs_sync(b.fs), 0);
	ck_assert_int_eq(tfs_txn_read(b.fs, extents_fn, &old), 0);
	pthread_rwlock_rdlock(&b.fs->tree);
	ticket = tfs_reader_enter(b.fs);
	pthread_rwlock_unlock(&b.fs->tree);
	ck_assert_int_eq(tfs_unlink(b.fs, TFS_ROOT_INO, "f"), 0);
	done = b.fs->ckpt.done;
	pthread_create(&t, NULL, sync_thread, &b);
	usleep(100000);
	pthread_mutex_lock(&b.fs->ckpt.lock);
	ck_assert_uint_eq(b.fs->ckpt.done, done);
	pthread_mutex_unlock(&b.fs->ckpt.lock);
	ck_assert_int_eq(tfs_write(b.fs, bed_file(&b, "g"), 0, buf,
				   250 * 4096, 0), 0);
	still_there(&b, &old);
	tfs_reader_exit(b.fs, ticket);
	pthread_join(t, NULL);
	/* Now they can be had again. */
	ck_assert_int_eq(tfs_write(b.fs, bed_file(&b, "h"), 0, buf,
				   300 * 4096, 0), 0);
	bed_remount(&b, 0);
	bed_free(&b);
}
END_TEST

static unsigned int fill_disk(struct bed *b)
{
	uint8_t *buf = calloc(1, 65536);
	unsigned int n = 0;
	char name[16];
	int err = 0;

	for (size_t len = 65536; len >= 2048; err ? len /= 2 : n++) {
		uint32_t ino;

		sprintf(name, "fill%u", n);
		ino = story_ino(b, name);
		if (!ino)
			ino = bed_file(b, name);
		bed_fill(buf, len, n);
		err = tfs_write(b->fs, ino, 0, buf, len, 0);
		ck_assert(!err || err == -ENOSPC);
	}
	free(buf);
	return n;
}

static void full_prepare(struct bed *b, struct story *st)
{
	(void)st;
	ck_assert_uint_gt(fill_disk(b), 10);
}

static int full_act(struct bed *b, struct story *st)
{
	struct tfs_new new = { .mode = S_IFREG | 0600 };
	uint8_t buf[DOC_SIZE];
	struct tfs_inode in;
	char name[16];
	int err = 0;

	for (unsigned int i = 0; !err && i < 12; i++) {
		sprintf(name, "fill%u", i);
		err = tfs_unlink(b->fs, TFS_ROOT_INO, name);
		story_state(b, st);
		if (!err && i % 4 == 3)
			err = story_sync(b, st);
	}
	/* New content where the old was. */
	for (unsigned int i = 0; !err && i < 3; i++) {
		sprintf(name, "new%u", i);
		err = tfs_create(b->fs, TFS_ROOT_INO, name, &new, &in);
		story_state(b, st);
		if (err)
			break;
		bed_fill(buf, sizeof(buf), i);
		err = tfs_write(b->fs, in.ino, 0, buf, sizeof(buf), 0);
		tfs_unref(b->fs, in.ino, 1);
		if (!err)
			err = story_sync(b, st);
	}
	return err;
}

START_TEST(full_filesystem_survives_cuts)
{
	struct story st = {
		.profile = "512+8", .clusters = 1024, .seed = 4,
		.discard = _i, .prepare = full_prepare, .act = full_act,
	};

	story_cut_everywhere(&st, 2);
}
END_TEST

/* ---- rot ----------------------------------------------------------------- */

static uint64_t slot_at(struct bed *b, unsigned int slot, unsigned int copy)
{
	return copy ? b->fs->super.clusters - TFS_END_SLOT + slot :
		TFS_AT_SLOT + slot;
}

/* One copy of the slot is enough.  Without both, the log leads from the
 * checkpoint before it to the same state, read-only. */
START_TEST(slot_may_rot)
{
	uint64_t rand = 5;
	char *new;
	struct bed b;
	unsigned int slot;

	bed_make(&b, "512+8", 1024, 1);
	for (int i = 0; i < 30; i++)
		ck_assert_int_eq(fs_step(b.fs, &rand), 0);
	ck_assert_int_eq(tfs_ckpt_run(b.fs), 0);
	ck_assert_int_eq(story_save(&b, "newest", 1), 0);
	ck_assert_int_eq(tfs_ckpt_run(b.fs), 0);
	new = fs_state(b.fs);
	slot = b.fs->slot_number & 1;
	for (unsigned int copy = 0; copy < 2; copy++)
		if (_i >> copy & 1)
			story_rot(&b, slot_at(&b, slot, copy));
	/* No clean end: that would be two checkpoints more. */
	sim_power_off_at(b.sim, 0);
	bed_drop(&b);
	sim_crash(b.sim, 0);
	ck_assert_int_eq(bed_open(&b), 0);
	ck_assert_int_eq(tfs_rdonly(b.fs), _i == 3);
	bed_drop(&b);
	b.how.rdonly = _i == 3;
	story_finds(&b, new, "slot");
	bed_free(&b);
	free(new);
}
END_TEST

/* Each copy of the superblock is enough, and a mount heals the other, even
 * if the power goes then. */
START_TEST(superblock_may_rot)
{
	uint64_t rand = 6;
	struct sim *base;
	struct bed b;
	char *state;
	bool off = true;

	bed_make(&b, "512+8", 1024, 1);
	for (int i = 0; i < 30; i++)
		ck_assert_int_eq(fs_step(b.fs, &rand), 0);
	state = fs_state(b.fs);
	story_rot(&b, _i % 2 ? b.fs->super.clusters - TFS_END_SUPER : TFS_AT_SUPER);
	bed_umount(&b);
	base = sim_clone(b.sim);
	bed_free(&b);
	for (uint64_t n = 0; off; n++) {
		bed_take(&b, sim_clone(base), n);
		sim_power_off_at(b.sim, n);
		if (!bed_open(&b))
			bed_drop(&b);
		off = sim_is_off(b.sim);
		sim_crash(b.sim, _i / 2);
		story_finds(&b, state, b.where);
		/* Both are good now: either one can go. */
		story_rot(&b, n % 2 ? b.fs->super.clusters - TFS_END_SUPER :
		    TFS_AT_SUPER);
		bed_umount(&b);
		story_finds(&b, state, b.where);
		bed_free(&b);
	}
	sim_destroy(base);
	free(state);
}
END_TEST

START_TEST(without_superblock_there_is_an_error)
{
	struct bed b;

	bed_make(&b, "512+8", 1024, 1);
	story_rot(&b, TFS_AT_SUPER);
	story_rot(&b, b.fs->super.clusters - TFS_END_SUPER);
	bed_umount(&b);
	ck_assert_int_lt(bed_open(&b), 0);
	bed_free(&b);
}
END_TEST

static void many_files(struct bed *b)
{
	char name[120];

	for (unsigned int i = 0; i < 300; i++) {
		sprintf(name, "%0100u", i);
		bed_file(b, name);
	}
}

/* Every node in turn, either copy: nobody notices, and afterwards both are
 * good again. */
START_TEST(node_copy_may_rot)
{
	struct tfs_miss *node;
	struct bed b;
	char *state, *now;
	size_t n;

	bed_make(&b, "512+8", 2048, 1);
	many_files(&b);
	ck_assert_int_eq(tfs_ckpt_run(b.fs), 0);
	state = fs_state(b.fs);
	n = fs_nodes(b.fs, &node);
	ck_assert_uint_gt(n, 10);
	for (size_t i = 0; i < n; i++)
		story_rot(&b, node[i].ptr.addr[0]);
	sim_power_off_at(b.sim, 0);
	bed_drop(&b);
	sim_crash(b.sim, 0);
	ck_assert_int_eq(bed_open(&b), 0);
	free(node);
	now = fs_state(b.fs);
	ck_assert_str_eq(now, state);
	free(now);
	ck_assert_uint_ge(atomic_load(&b.fs->count.healed), n / 2);
	bed_check(&b, 0);	/* syncs, and wants both copies */
	bed_remount(&b, 0);
	free(state);
	bed_free(&b);
}
END_TEST

/* Both copies of one node gone: without the root there is no mount, without
 * another node there are errors, and nothing false. */
START_TEST(lost_node_is_an_error)
{
	struct tfs_miss *node;
	struct sim *base;
	struct bed b;
	char *state;
	size_t n;

	bed_make(&b, "512+8", 2048, 1);
	many_files(&b);
	ck_assert_int_eq(tfs_ckpt_run(b.fs), 0);
	state = fs_state(b.fs);
	base = sim_clone(b.sim);
	n = fs_nodes(b.fs, &node);
	for (size_t i = 0; i < n; i++) {
		struct bed c;
		int err;

		bed_take(&c, sim_clone(base), i);
		for (int copy = 0; copy < 2; copy++) {
			uint64_t at = bed_data_at(&b, node[i].ptr.addr[copy]);

			sim_flip(c.sim, at + 77, 1);
		}
		err = bed_open(&c);
		if (!err) {
			char *now = fs_state(c.fs);

			ck_assert_msg(!strcmp(now, state) ||
				      !fs_state_sound(now), "node %zu: names "
				      "are gone and nobody says so", i);
			free(now);
			err = tfs_ckpt_run(c.fs);
			ck_assert(!err || tfs_rdonly(c.fs));
			err = 0;
		}
		ck_assert_msg(i || err, "the root is lost and nobody says so");
		bed_free(&c);
	}
	free(state);
	free(node);
	sim_destroy(base);
	bed_free(&b);
}
END_TEST

/* ---- mkfs ---------------------------------------------------------------- */

/* Over an old filesystem, cut at any write: the new one, empty, or the old
 * one as far as it can be read without a lie, or none. */
START_TEST(mkfs_leaves_nothing_of_the_old)
{
	struct tfs_mkfs mkfs = { .label = "new" };
	struct eng_open how = { 0 };
	struct bed b;
	struct sim *base;
	uint64_t rand = 7;
	bool off = true;

	bed_make(&b, "512+8", 1024, 1);
	for (int i = 0; i < 60; i++)
		ck_assert_int_eq(fs_step(b.fs, &rand), 0);
	bed_umount(&b);
	base = sim_clone(b.sim);
	bed_free(&b);
	for (uint64_t n = 0; off; n++) {
		struct eng_dev *dev;
		char *now;

		bed_take(&b, sim_clone(base), n);
		how.pool = b.pool;
		ck_assert_int_eq(eng_soft_open(&dev, sim_raw(b.sim), &how), 0);
		sim_power_off_at(b.sim, n);
		tfs_mkfs(dev, &mkfs);
		eng_dev_close(dev);
		off = sim_is_off(b.sim);
		sim_crash(b.sim, _i);
		if (!bed_open(&b) && !strcmp(tfs_label(b.fs), "new")) {
			now = fs_state(b.fs);
			ck_assert_msg(fs_state_sound(now) &&
				      !strchr(now + 1, '/'), "%s: %s",
				      b.where, now);
			bed_check(&b, 0);
			free(now);
		} else {
			ck_assert_msg(off, "%s: no new filesystem", b.where);
		}
		bed_free(&b);
	}
	sim_destroy(base);
}
END_TEST

static Suite *crash_suite(void)
{
	Suite *s = suite_create("crash");
	TCase *tc = tcase_create("crash");

	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, synced_state_survives_any_cut, 0, 6);
	tcase_add_test(tc, saved_and_renamed_is_old_or_new);
	tcase_add_test(tc, log_keeps_every_synced_line);
	tcase_add_test(tc, checkpoint_is_of_one_moment);
	tcase_add_loop_test(tc, cluster_is_written_once_a_checkpoint, 0, 4);
	tcase_add_test(tc, freed_cluster_waits_for_its_readers);
	tcase_add_loop_test(tc, full_filesystem_survives_cuts, 0, 2);
	tcase_add_loop_test(tc, slot_may_rot, 0, 4);
	tcase_add_loop_test(tc, superblock_may_rot, 0, 8);
	tcase_add_test(tc, without_superblock_there_is_an_error);
	tcase_add_test(tc, node_copy_may_rot);
	tcase_add_test(tc, lost_node_is_an_error);
	tcase_add_loop_test(tc, mkfs_leaves_nothing_of_the_old, 0, 4);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return bed_run_suite(crash_suite());
}
