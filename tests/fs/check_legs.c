/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_legs.c - a filesystem on a mirror: with one leg in order never an error
 * and never a wrong byte; what was acknowledged is on every leg that is called
 * current; and a leg that missed something is never taken for one that has
 * everything. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check/rebuild.h"
#include "commit/super.h"
#include "mount/legs.h"
#include "mount/mount.h"
#include "fs/legs_bed.h"

enum { STEPS = 10 };

/* The states of a life that nothing happens to; malloced. */
static char *states[STEPS + 1];

static void live_once(const struct pair *base, uint64_t seed)
{
	struct pair p;

	clone_pair(&p, base);
	must(&p, open_mask(&p, all(&p), false, false), "mount");
	for (unsigned int i = 0; i <= STEPS; i++) {
		if (i)
			must(&p, fs_step(p.fs, &seed), "step");
		must(&p, tfs_sync(p.fs), "sync");
		free(states[i]);
		states[i] = fs_state(p.fs);
	}
	must(&p, shut(&p), "unmount");
	each_says(&p, states[STEPS]);
	drop_sims(&p);
}

/* The same until something fails; how many steps were acknowledged. */
static unsigned int live(struct pair *p, uint64_t seed)
{
	unsigned int acked = 0;

	for (unsigned int i = 1; i <= STEPS; i++) {
		if (fs_step(p->fs, &seed) || tfs_sync(p->fs))
			break;
		acked = i;
	}
	return acked;
}

static void says_one_of(struct pair *p, unsigned int acked)
{
	char *now = fs_state(p->fs);
	bool old = !strcmp(now, states[acked]);

	ck_assert_msg(old || (acked < STEPS && !strcmp(now, states[acked + 1])),
		      "%s: not what was acknowledged, %u steps", p->where,
		      acked);
	free(now);
}

/* After a cut: all legs are back, and in the end have the same. */
static void recover_all(struct pair *p, unsigned int acked)
{
	char *now;

	must(p, open_mask(p, all(p), false, false), "mount after it");
	says_one_of(p, acked);
	resilver(p);
	says_one_of(p, acked);
	now = fs_state(p->fs);
	must(p, shut(p), "unmount");
	each_says(p, now);
	free(now);
}

/* ---- cuts --------------------------------------------------------------- */

/* _i: seed, which says how far apart the legs are when the power goes. */
START_TEST(a_cut_leaves_the_legs_whole)
{
	struct pair base;
	uint64_t rand = (uint64_t)_i + 1;
	unsigned int acked;
	bool off = true;

	make_pair(&base, 2, (uint64_t)_i);
	live_once(&base, (uint64_t)_i);
	for (unsigned int n = 0; off; n += 1 + sim_rand(&rand) % 5) {
		struct pair p;
		unsigned int ahead = (unsigned int)(sim_rand(&rand) % 4);
		unsigned int first = (unsigned int)(sim_rand(&rand) % 2);

		clone_pair(&p, &base);
		snprintf(p.where, sizeof(p.where), "seed %d, write %u, leg %u "
			 "%u later", _i, n, !first, ahead);
		sim_power_off_at(p.sim[first], n);
		sim_power_off_at(p.sim[!first], n + ahead);
		acked = 0;
		if (!open_mask(&p, all(&p), false, false)) {
			acked = live(&p, (uint64_t)_i);
			shut(&p);
		}
		off = sim_is_off(p.sim[0]) || sim_is_off(p.sim[1]);
		for (unsigned int i = 0; i < 2; i++)
			sim_crash(p.sim[i], (uint64_t)_i + i);
		recover_all(&p, acked);
		drop_sims(&p);
	}
	free_pair(&base);
}
END_TEST

/* One goes at every write and comes back at the next mount; nobody hears an
 * error.  In between it can't be mounted as if it were current. */
START_TEST(a_lost_leg_is_no_error)
{
	struct pair base;
	uint64_t rand = (uint64_t)_i + 1;
	unsigned int which = (unsigned int)_i % 2;
	bool off = true;

	make_pair(&base, _i < 2 ? 2 : 3, (uint64_t)_i);
	live_once(&base, (uint64_t)_i);
	for (unsigned int n = 0; off; n += 1 + sim_rand(&rand) % 7) {
		struct pair p;
		int err;

		clone_pair(&p, &base);
		snprintf(p.where, sizeof(p.where), "seed %d, write %u of leg "
			 "%u", _i, n, which);
		sim_power_off_at(p.sim[which], n);
		must(&p, open_mask(&p, all(&p), false, false), "mount");
		ck_assert_msg(live(&p, (uint64_t)_i) == STEPS, "%s: an error",
			      p.where);
		must(&p, shut(&p), "unmount");
		off = sim_is_off(p.sim[which]);
		sim_crash(p.sim[which], (uint64_t)_i);
		err = open_mask(&p, 1u << which, false, false);
		ck_assert_msg(err == -ENODEV || err == -ESTALE, "%s: mounted "
			      "by itself: %d", p.where, err);
		recover_all(&p, STEPS);
		drop_sims(&p);
	}
	free_pair(&base);
}
END_TEST

/* ---- one that takes its time -------------------------------------------- */

static uint64_t copied(const struct pair *p)
{
	struct eng_leg_count c;
	uint64_t sum = 0;

	for (unsigned int i = 0; i < p->n; i++) {
		eng_mirror_count(p->dev, i, &c);
		sum += c.copied;
	}
	return sum;
}

static void write_without(struct pair *p, unsigned int mask)
{
	static char buf[1 << 20];
	struct tfs_new new = { .mode = S_IFREG | 0644 };
	struct tfs_inode inode;

	must(p, open_mask(p, mask, true, false), "mount without it");
	must(p, tfs_create(p->fs, TFS_ROOT_INO, "f", &new, &inode), "create");
	for (unsigned int i = 0; i < 2; i++) {
		bed_fill(buf, sizeof(buf), i + 3);
		must(p, tfs_write(p->fs, inode.ino, i * sizeof(buf), buf,
				  sizeof(buf), 0), "write");
	}
	tfs_unref(p->fs, inode.ino, 1);
	must(p, shut(p), "unmount");
}

static void whole_again(struct pair *p)
{
	char *now = fs_state(p->fs);

	ck_assert_uint_eq(atomic_load(&p->fs->resilver.state),
			  TFS_RESILVER_DONE);
	must(p, shut(p), "unmount");
	each_says(p, now);
	free(now);
}

/* It keeps its rate, ends at once when it is told to, and the next mount writes
 * what is missing still and nothing else. */
START_TEST(a_resilver_goes_on_after_an_unmount)
{
	struct tfs_resilver *r;
	struct pair p, once;
	uint64_t part, rest, all;

	make_pair(&p, 2, 17);
	write_without(&p, 1);
	clone_pair(&once, &p);
	must(&once, open_mask(&once, 3, false, false), "mount");
	resilver(&once);
	all = copied(&once);
	whole_again(&once);
	must(&p, open_mask(&p, 3, false, false), "mount");
	must(&p, tfs_resilver_start(&r, p.fs, 1), "resilver");
	while (atomic_load(&p.fs->resilver.bytes) < 1 << 20)
		usleep(1000);
	ck_assert_uint_eq(atomic_load(&p.fs->resilver.state),
			  TFS_RESILVER_RUNNING);
	ck_assert_int_eq(tfs_resilver_stop(r, false), -EINTR);
	ck_assert_uint_eq(atomic_load(&p.fs->resilver.state),
			  TFS_RESILVER_STOPPED);
	part = copied(&p);
	ck_assert(!all_current(&p));
	must(&p, shut(&p), "unmount");
	must(&p, open_mask(&p, 3, false, false), "mount");
	resilver(&p);
	rest = copied(&p);
	whole_again(&p);
	ck_assert_msg(part && rest && part + rest <= all + all / 10,
		      "%llu intervals, then %llu; at once: %llu",
		      (unsigned long long)part, (unsigned long long)rest,
		      (unsigned long long)all);
	drop_sims(&once);
	free_pair(&p);
}
END_TEST

/* ---- which legs go together --------------------------------------------- */

START_TEST(missing_legs_must_be_allowed)
{
	struct pair p;

	make_pair(&p, 2, 1);
	ck_assert_int_eq(open_mask(&p, 1, false, false), -ENODEV);
	ck_assert_int_eq(open_mask(&p, 1, false, true), -ENODEV);
	ck_assert_int_eq(open_mask(&p, 2, true, true), 0);
	shut(&p);
	ck_assert_int_eq(open_mask(&p, 3, false, false), 0);
	ck_assert(all_current(&p));
	must(&p, shut(&p), "unmount");
	free_pair(&p);
}
END_TEST

START_TEST(legs_that_went_apart_stay_apart)
{
	struct pair p;

	make_pair(&p, 2, 2);
	for (unsigned int i = 0; i < 2; i++) {
		must(&p, open_mask(&p, 1u << i, true, false), "one half");
		must(&p, tfs_sync(p.fs), "sync");
		must(&p, shut(&p), "unmount");
	}
	ck_assert_int_eq(open_mask(&p, 3, false, false), -ESTALE);
	ck_assert_int_eq(open_mask(&p, 3, true, false), -ESTALE);
	ck_assert_int_eq(open_mask(&p, 3, true, true), -ESTALE);
	/* Neither has lost anything by it. */
	ck_assert_int_eq(open_mask(&p, 1, true, false), 0);
	must(&p, shut(&p), "unmount");
	free_pair(&p);
}
END_TEST

/* Three: one is left behind, comes back and is whole again; then another. */
START_TEST(legs_take_turns)
{
	uint64_t seed = 5;
	struct pair p;
	char *now;

	make_pair(&p, 3, 3);
	for (unsigned int i = 0; i < 6; i++) {
		must(&p, open_mask(&p, all(&p) & ~(1u << i % 3), true, false),
		     "without one");
		for (unsigned int k = 0; k < 5; k++)
			must(&p, fs_step(p.fs, &seed), "step");
		must(&p, shut(&p), "unmount");
		must(&p, open_mask(&p, all(&p), false, false), "all");
		ck_assert(!all_current(&p));
		if (i < 2) {	/* unmounted before it was done */
			must(&p, shut(&p), "unmount");
			ck_assert_int_eq(open_mask(&p, 1u << i, true, false),
					 -ESTALE);
			must(&p, open_mask(&p, all(&p), false, false), "all");
		}
		resilver(&p);
		now = fs_state(p.fs);
		must(&p, shut(&p), "unmount");
		each_says(&p, now);
		free(now);
	}
	free_pair(&p);
}
END_TEST

START_TEST(a_leg_is_not_its_copy)
{
	unsigned int legs[2] = { 1, 0 }, twice[2] = { 0, 1 };
	struct pair p, other;
	struct sim *kept;

	make_pair(&p, 2, 4);
	make_pair(&other, 2, 5);
	must(&p, open_legs(&p, legs, 2, false, false), "swapped");
	must(&p, shut(&p), "unmount");
	kept = p.sim[1];
	p.sim[1] = sim_clone(p.sim[0]);
	ck_assert_int_eq(open_legs(&p, twice, 2, true, false), -ENOTUNIQ);
	sim_destroy(p.sim[1]);
	p.sim[1] = other.sim[1];	/* another mirror's */
	ck_assert_int_eq(open_mask(&p, 3, true, false), -EINVAL);
	p.sim[1] = kept;
	must(&p, open_mask(&p, 3, false, false), "as they were");
	must(&p, shut(&p), "unmount");
	free_pair(&other);
	free_pair(&p);
}
END_TEST

/* ---- legs that join and leave -------------------------------------------- */

/* To the next write that is cut. */
static unsigned int stride(uint64_t *rand, unsigned int most)
{
	return 1 + (unsigned int)(sim_rand(rand) % (most * (
		getenv("TAGFS_TEST_QUICK") ? 4 : 1)));
}

static unsigned int members(struct pair *p)
{
	struct tfs_leg_info info;
	unsigned int n = 0;

	while (tfs_legs_info(p->dev, n, &info))
		n++;
	return n;
}

/* Leg _i of three is gone, and the power of another one goes at every write
 * until the others are a mirror of two. */
START_TEST(leaving_can_be_cut)
{
	unsigned int which = (unsigned int)_i, rest = 7u & ~(1u << _i);
	unsigned int cut = (which + 1) % 3;
	struct pair base;
	uint64_t rand = (uint64_t)_i + 8;
	bool off = true;

	make_pair(&base, 3, (uint64_t)_i);
	must(&base, open_mask(&base, 7, false, false), "mount");
	must(&base, shut(&base), "unmount");
	for (unsigned int n = 0; off; n += stride(&rand, 3)) {
		struct pair p;

		clone_pair(&p, &base);
		snprintf(p.where, sizeof(p.where), "leg %u, write %u", which,
			 n);
		sim_power_off_at(p.sim[cut], n);
		if (!open_mask(&p, rest, true, false)) {
			ck_assert_int_eq(tfs_legs_leave(p.fs, cut), -EBUSY);
			tfs_legs_leave(p.fs, which);
			shut(&p);
		}
		off = sim_is_off(p.sim[cut]);
		for (unsigned int i = 0; i < 3; i++)
			sim_crash(p.sim[i], (uint64_t)_i + i);
		must(&p, open_mask(&p, rest, true, false), "mount after it");
		if (members(&p) == 3)
			must(&p, tfs_legs_leave(p.fs, which), "again");
		ck_assert_uint_eq(members(&p), 2);
		ck_assert_int_eq(tfs_legs_leave(p.fs, 2), -ENOENT);
		resilver(&p);
		must(&p, shut(&p), "unmount");
		must(&p, open_mask(&p, rest, false, false), "the others");
		must(&p, shut(&p), "unmount");
		ck_assert_int_eq(open_mask(&p, 7, true, false), -ESTALE);
		drop_sims(&p);
	}
	free_pair(&base);
}
END_TEST

START_TEST(who_may_join)
{
	struct pair p;

	make_pair(&p, 3, 21);
	p.n = 2;
	must(&p, open_mask(&p, 3, true, false), "without one");
	ck_assert_int_eq(join(&p, 2, true), -ENODEV);
	must(&p, join(&p, 2, false), "replace");
	must(&p, shut(&p), "unmount");
	p.n = 3;
	must(&p, open_mask(&p, 7, false, false), "all");
	ck_assert_int_eq(join(&p, 0, false), -ENOENT);
	resilver(&p);
	must(&p, shut(&p), "unmount");
	free_pair(&p);
}
END_TEST

/* ---- counts -------------------------------------------------------------- */

static void nothing_is_bad(struct pair *p, const char *when)
{
	for (unsigned int i = 0; i < p->n; i++) {
		struct eng_leg_count c;

		eng_mirror_count(p->dev, i, &c);
		ck_assert_msg(!c.bad && !c.errors && !c.healed, "%s: leg %u "
			      "has %llu bad reads, %llu errors, %llu intervals "
			      "healed", when, i, (unsigned long long)c.bad,
			      (unsigned long long)c.errors,
			      (unsigned long long)c.healed);
	}
}

/* What was never written can't be wrong. */
START_TEST(a_healthy_mirror_counts_nothing_bad)
{
	uint64_t seed = 5;
	struct pair p, cut;
	char *state;

	make_pair(&p, 2, 5);
	must(&p, open_mask(&p, 3, false, false), "mount");
	nothing_is_bad(&p, "newly made");
	for (unsigned int i = 0; i < STEPS; i++)
		must(&p, fs_step(p.fs, &seed), "step");
	must(&p, tfs_sync(p.fs), "sync");
	clone_pair(&cut, &p);
	must(&p, shut(&p), "unmount");
	for (unsigned int i = 0; i < 2; i++)
		sim_settle(cut.sim[i], true);
	must(&cut, open_mask(&cut, 3, false, false), "mount after a cut");
	nothing_is_bad(&cut, "after a cut");
	state = fs_state(cut.fs);
	nothing_is_bad(&cut, "all was read");
	free(state);
	must(&cut, shut(&cut), "unmount");
	drop_sims(&cut);
	free_pair(&p);
}
END_TEST

/* ---- names --------------------------------------------------------------- */

/* As tagfsctl uuid does it. */
static int change_uuid(struct pair *p)
{
	const unsigned int legs[2] = { 0, 1 };
	int err = open_mirror(p, legs, 2, false, false);
	struct tfs *fs;

	if (err)
		return err;
	fs = tfs_alloc_fs(p->dev);
	ck_assert_ptr_nonnull(fs);
	err = tfs_super_read(fs) ?: tfs_legs_find(fs);
	if (!err) {
		fs->super.uuid[15]++;
		fs->super.seq++;
		err = tfs_super_write(fs, fs->super_outdated > 0);
	}
	tfs_free_fs(fs);
	eng_dev_close(p->dev);
	p->dev = NULL;
	return err;
}

/* The power of one leg goes at every write of that: it has the old one or the
 * new one on all legs, and the new one if that was acknowledged. */
START_TEST(a_new_uuid_can_be_cut)
{
	uint8_t uuid[16];
	struct pair base;
	uint64_t rand = (uint64_t)_i + 9;
	bool off = true;

	make_pair(&base, 2, 31);
	must(&base, open_mask(&base, 3, false, false), "mount");
	memcpy(uuid, tfs_uuid(base.fs), 16);
	must(&base, shut(&base), "unmount");
	for (unsigned int n = 0; off; n += stride(&rand, 1)) {
		struct pair p;
		unsigned int last;
		int err;

		clone_pair(&p, &base);
		snprintf(p.where, sizeof(p.where), "leg %d, write %u", _i, n);
		sim_power_off_at(p.sim[_i], n);
		err = change_uuid(&p);
		off = sim_is_off(p.sim[_i]);
		for (unsigned int i = 0; i < 2; i++)
			sim_crash(p.sim[i], n + i);
		must(&p, open_mask(&p, 3, false, false), "mount after it");
		last = tfs_uuid(p.fs)[15];
		ck_assert_msg(last == uuid[15] + 1u ||
			      (err && last == uuid[15]), "%s: UUID",
			      p.where);
		must(&p, shut(&p), "unmount");
		for (unsigned int i = 0; i < 2; i++) {
			must(&p, open_mask(&p, 1u << i, true, true), "one");
			ck_assert_uint_eq(tfs_uuid(p.fs)[15], last);
			must(&p, shut(&p), "unmount");
		}
		drop_sims(&p);
	}
	free_pair(&base);
}
END_TEST

/* ---- what is bad on a leg ------------------------------------------------- */

/* What a leg says of all is no better than its tags and checksum. */
START_TEST(a_damaged_list_is_refused)
{
	struct pair p;
	uint64_t at[2];

	make_pair(&p, 2, 11);
	must(&p, open_mask(&p, 3, false, false), "mount");
	for (unsigned int i = 0; i < 2; i++)
		at[i] = data_at(&p, 1, p.fs->super.clusters - TFS_END_LEG +
				i);
	must(&p, shut(&p), "unmount");
	sim_flip(p.sim[1], at[0] + 0x41, 4);
	must(&p, open_mask(&p, 3, false, false), "one copy is enough");
	must(&p, shut(&p), "unmount");
	sim_flip(p.sim[1], at[1] + 0x18, 4);
	ck_assert_int_eq(open_mask(&p, 3, false, false), -EUCLEAN);
	must(&p, open_mask(&p, 1, true, false), "without it");
	must(&p, shut(&p), "unmount");
	free_pair(&p);
}
END_TEST

/* A leg that is larger than the mirror finds its last superblock by the first
 * alone: the power may have gone while that was written. */
START_TEST(a_torn_superblock_is_no_loss)
{
	struct pair p;
	uint64_t at[2];

	make_pair(&p, 2, 12);
	must(&p, open_mask(&p, 3, false, false), "mount");
	for (unsigned int i = 0; i < 2; i++)
		at[i] = data_at(&p, i, TFS_AT_SUPER);
	must(&p, shut(&p), "unmount");
	for (unsigned int i = 0; i < 2; i++) {
		sim_flip(p.sim[i], at[i] + 0x20, 4);
		must(&p, open_mask(&p, 3, false, false), "a torn one");
		must(&p, shut(&p), "unmount");
		must(&p, open_mask(&p, 1u << i, true, true), "put right");
		must(&p, shut(&p), "unmount");
	}
	free_pair(&p);
}
END_TEST

/* ---- what can't be walked ------------------------------------------------ */

/* On both legs, or what has two copies in the tree and data on one of them. */
static void spoil(struct pair *p, uint64_t addr, bool both)
{
	for (unsigned int leg = 0; leg < 2; leg++)
		if (both || leg == addr % 2)
			sim_flip(p->sim[leg], data_at(p, leg, addr) + 77, 1);
}

static int spoil_node(struct tfs_treewalk *w, const struct tfs_treewalk_node *n)
{
	for (unsigned int i = 0; i < 2; i++)
		spoil(w->arg, n->at.ptr.addr[i], n->at.level);
	return 0;
}

static int spoil_item(struct tfs_treewalk *w, const struct tfs_item *item)
{
	struct tfs_extent ext;

	if (item->key.obj && item->key.type == TFS_T_EXTENT &&
	    !tfs_extent_decode(w->fs, item, &ext) && ext.addr)
		for (uint64_t i = 0; i < ext.len; i++)
			spoil(w->arg, ext.addr + i, false);
	return 0;
}

/* The way to all leaves is lost on both legs, and half of the rest on each. */
static void spoil_all(struct pair *p, bool slots)
{
	struct tfs_treewalk w = { .fs = p->fs, .arg = p,
				  .node = spoil_node, .item = spoil_item };

	ck_assert_uint_gt(p->fs->root_level, 0);
	must(p, tfs_treewalk_begin(&w), "walk");
	must(p, tfs_treewalk_run(&w), "walk");
	tfs_treewalk_end(&w);
	for (unsigned int i = 0; slots && i < 4; i++)
		spoil(p, tfs_slot_addr(p->fs, i / 2, i % 2), true);
}

/* _i: are slots left? */
START_TEST(a_rebuild_takes_what_any_leg_has)
{
	struct tfs_rebuild how = { .rdonly = false };
	uint64_t seed = 5;
	struct pair p;
	char *state, *now;
	int err;

	make_pair(&p, 2, 5);
	must(&p, open_mask(&p, 3, false, false), "mount");
	for (unsigned int i = 0; i < 60; i++)
		must(&p, fs_step(p.fs, &seed), "step");
	must(&p, shut(&p), "unmount");
	must(&p, open_mask(&p, 3, false, true), "mount");
	state = fs_state(p.fs);
	spoil_all(&p, _i);
	must(&p, shut(&p), "unmount");

	must(&p, open_mirror(&p, (unsigned int[]){ 1, 0 }, 2, false, false),
	     "open");
	how.dev = p.dev;
	err = tfs_rebuild(&how);
	free(how.gap);
	eng_dev_close(p.dev);
	must(&p, err, "rebuild");
	ck_assert_uint_gt(how.lost, 0);
	must(&p, open_mask(&p, 3, false, false), "mount after it");
	now = fs_state(p.fs);
	ck_assert_msg(!strcmp(now, state), "%s: not what was there", p.where);
	must(&p, scrub_legs(&p), "scrub");
	must(&p, shut(&p), "unmount");
	each_says(&p, state);
	free(state);
	free(now);
	free_pair(&p);
}
END_TEST

/* All superblocks of all legs. */
static void spoil_supers(struct pair *p, const uint64_t at[2])
{
	for (unsigned int i = 0; i < 2; i++)
		for (unsigned int leg = 0; leg < 2; leg++)
			sim_flip(p->sim[leg], data_at(p, leg, at[i]) + 0x20, 4);
}

static int rebuild_alone(struct pair *p, unsigned int leg, bool rdonly)
{
	struct tfs_rebuild how = { .rdonly = rdonly };
	int err;

	must(p, open_mirror(p, &leg, 1, false, rdonly), "open one alone");
	how.dev = p->dev;
	err = tfs_rebuild(&how);
	if (how.fs)
		tfs_close(how.fs);
	free(how.gap);
	eng_dev_close(p->dev);
	return err;
}

/* Any leg that had everything becomes a filesystem of its own; one that knows
 * that it was left behind is looked at, and not written. */
START_TEST(a_leg_without_superblocks_stands_alone)
{
	struct pair p;
	struct tfs_resilver *r;
	uint64_t at[2];
	char *state, *now;

	make_pair(&p, 2, 23);
	write_without(&p, 1);
	must(&p, open_mask(&p, 3, false, false), "mount");
	must(&p, tfs_resilver_start(&r, p.fs, 1), "resilver");
	while (atomic_load(&p.fs->resilver.bytes) < 1 << 20)
		usleep(1000);
	ck_assert_int_eq(tfs_resilver_stop(r, false), -EINTR);
	state = fs_state(p.fs);
	at[0] = TFS_AT_SUPER;
	at[1] = p.fs->super.clusters - TFS_END_SUPER;
	spoil_supers(&p, at);
	tfs_close(p.fs);
	eng_dev_close(p.dev);

	ck_assert_int_ne(open_mask(&p, 3, false, false), 0);
	must(&p, rebuild_alone(&p, 1, true), "look at the one behind");
	ck_assert_int_eq(rebuild_alone(&p, 1, false), -ESTALE);
	must(&p, rebuild_alone(&p, 0, false), "rebuild");
	must(&p, open_mask(&p, 1, false, false), "mount it alone");
	ck_assert_ptr_null(p.fs->legs);
	now = fs_state(p.fs);
	ck_assert_str_eq(now, state);
	must(&p, shut(&p), "unmount");
	ck_assert_int_ne(open_mask(&p, 3, false, false), 0);
	free(now);
	free(state);
	free_pair(&p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("legs");
	TCase *tc = tcase_create("legs");
	int seeds = getenv("TAGFS_TEST_QUICK") ? 1 : 3;

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, a_cut_leaves_the_legs_whole, 0, seeds);
	tcase_add_loop_test(tc, a_lost_leg_is_no_error, 0, seeds + 1);
	tcase_add_test(tc, a_resilver_goes_on_after_an_unmount);
	tcase_add_test(tc, missing_legs_must_be_allowed);
	tcase_add_test(tc, legs_that_went_apart_stay_apart);
	tcase_add_test(tc, legs_take_turns);
	tcase_add_test(tc, a_leg_is_not_its_copy);
	tcase_add_loop_test(tc, leaving_can_be_cut, 0, 3);
	tcase_add_test(tc, who_may_join);
	tcase_add_test(tc, a_healthy_mirror_counts_nothing_bad);
	tcase_add_loop_test(tc, a_new_uuid_can_be_cut, 0, 2);
	tcase_add_test(tc, a_damaged_list_is_refused);
	tcase_add_test(tc, a_torn_superblock_is_no_loss);
	tcase_add_loop_test(tc, a_rebuild_takes_what_any_leg_has, 0, 2);
	tcase_add_test(tc, a_leg_without_superblocks_stands_alone);
	suite_add_tcase(s, tc);
	return bed_run_suite(s);
}
