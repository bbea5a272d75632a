/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_rot.c - what is bad on legs of a mirror: with one leg in order never an
 * error and never a wrong byte, and afterwards each leg is in order. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/locate.h"
#include "check/rebuild.h"
#include "check/scrub.h"
#include "commit/ckpt.h"
#include "fs/legs_bed.h"

/* ---- rot ---------------------------------------------------------------- */

/* What lies beside tree and files can't be healed where the medium can't read
 * it even when it was written. */
static void note(struct tfs_scrub *s, const struct tfs_scrub_finding *f)
{
	unsigned int *beside = s->arg;

	*beside += f->kind >= TFS_SCRUB_DEVICE && !f->healed;
}

/* What is not in order beside tree and files. */
static unsigned int scrub(struct pair *p)
{
	unsigned int beside = 0;
	struct tfs_scrub s = { .fs = p->fs, .data = true, .meta = true,
			       .found = note, .arg = &beside };
	int err;

	must(p, tfs_scrub_begin(&s), "scrub");
	for (err = 0; !err && !s.done; )
		err = tfs_scrub_step(&s);
	tfs_scrub_end(&s);
	must(p, err, "scrub");
	ck_assert_msg(s.uncorrectable == beside, "%s: %llu places of tree or "
		      "files can't be corrected", p->where,
		      (unsigned long long)s.uncorrectable - beside);
	return beside;
}

/* What was there before, now and of each leg alone after a scrub. */
static void all_comes_back(struct pair *p, const char *before)
{
	char *after = fs_state(p->fs);

	ck_assert_str_eq(after, before);
	ck_assert_uint_eq(scrub(p), 0);
	must(p, shut(p), "unmount");
	each_says(p, before);
	legs_are_equal(p);
	free(after);
}

/* Each leg loses every other cluster, of everything that is in use and some
 * more; all comes back, and after a scrub each leg has all of it. */
START_TEST(rot_on_both_comes_back)
{
	uint64_t seed = (uint64_t)_i;
	struct pair p;
	char *before;

	make_pair(&p, 2, (uint64_t)_i);
	must(&p, open_mask(&p, 3, false, false), "mount");
	for (unsigned int k = 0; k < 60; k++)
		must(&p, fs_step(p.fs, &seed), "step");
	before = fs_state(p.fs);
	must(&p, shut(&p), "unmount");
	must(&p, open_mask(&p, 3, false, false), "mount");
	for (uint64_t addr = p.fs->super.log_start + p.fs->super.log_clusters;
	     addr < p.fs->super.clusters - TFS_END_LEG; addr++)
		sim_flip(p.sim[(addr + (uint64_t)_i) % 2],
			 data_at(&p, (addr + (uint64_t)_i) % 2, addr) +
			 addr * 37 % 4096, 0x20);
	eng_dev_drop_caches(p.dev);
	all_comes_back(&p, before);
	free(before);
	free_pair(&p);
}
END_TEST

struct seen {
	unsigned int	n, healed, leg;
	enum tfs_scrub_kind kind;
};

static void see(struct tfs_scrub *s, const struct tfs_scrub_finding *f)
{
	struct seen *seen = s->arg;

	*seen = (struct seen){ seen->n + 1, seen->healed + f->healed, f->leg,
			       f->kind };
}

static uint64_t write_file(struct pair *p)
{
	static char buf[40 * 4096];
	struct tfs_new new = { .mode = S_IFREG | 0644 };
	struct tfs_inode inode;
	struct tfs_place at;

	bed_fill(buf, sizeof(buf), 3);
	must(p, tfs_create(p->fs, TFS_ROOT_INO, "f", &new, &inode), "create");
	must(p, tfs_write(p->fs, inode.ino, 0, buf, sizeof(buf), 0), "write");
	must(p, tfs_sync(p->fs), "sync");
	must(p, tfs_locate_byte(p->fs, inode.ino, 0, &at), "locate");
	tfs_unref(p->fs, inode.ino, 1);
	return at.cluster;
}

/* Content that all legs have in the same way is verified as it is read; only
 * what they don't is left for the tree to say whose it is. */
START_TEST(only_what_differs_is_looked_up)
{
	struct seen seen = { .n = 0 };
	struct tfs_scrub s;
	struct pair p;
	uint64_t addr;
	char *before;

	make_pair(&p, 2, 3);
	must(&p, open_mask(&p, 3, false, false), "mount");
	addr = write_file(&p);
	before = fs_state(p.fs);
	must(&p, tfs_ckpt_run(p.fs), "checkpoint");
	for (unsigned int i = 0; i < 4; i++) {
		eng_dev_drop_caches(p.dev);
		for (unsigned int k = 0; k < i; k++)
			sim_flip(p.sim[k % 2], data_at(&p, k % 2, addr + 2 * k),
				 1);
		s = (struct tfs_scrub){ .fs = p.fs, .data = true, .found = see,
					.arg = &seen };
		must(&p, tfs_scrub_begin(&s), "scrub");
		while (s.region < s.regions)
			must(&p, tfs_scrub_step(&s), "scrub");
		ck_assert_uint_eq(s.bytes, (40 - i) * 4096);
		while (!s.done)
			must(&p, tfs_scrub_step(&s), "scrub");
		tfs_scrub_end(&s);
	}
	ck_assert_uint_eq(seen.n, 0);
	must(&p, shut(&p), "unmount");
	each_says(&p, before);
	legs_are_equal(&p);
	free(before);
	free_pair(&p);
}
END_TEST

/* ---- beside tree and files ---------------------------------------------------- */

static struct seen look(struct pair *p)
{
	struct seen seen = { .n = 0 };
	struct tfs_scrub s = { .fs = p->fs, .data = true, .meta = true,
			       .found = see, .arg = &seen };
	int err = 0;

	must(p, tfs_scrub_begin(&s), "scrub");
	while (!err && !s.done)
		err = tfs_scrub_step(&s);
	tfs_scrub_end(&s);
	must(p, err, "scrub");
	return seen;
}

static uint64_t place(const struct pair *p, unsigned int leg, unsigned int i)
{
	uint64_t end = p->fs->super.clusters;

	switch (i) {
	case 0:
		return 0;
	case 1:
		return sim_raw(p->sim[leg])->size / 4096 * 4096 - 4096;
	case 2:
	case 3:
		return 4096u * (i - 1) + 800;
	case 4:
		return data_at(p, leg, TFS_AT_SUPER) + 20;
	case 5:
		return data_at(p, leg, end - TFS_END_SUPER) + 20;
	case 10:
	case 11:
		return data_at(p, leg, end - TFS_END_LEG + i % 2) + 20;
	default:
		return data_at(p, leg, i < 8 ? TFS_AT_SLOT + i % 2 :
			       end - TFS_END_SLOT + i % 2) + 20;
	}
}

/* Each copy on each leg is looked at by a scrub, which says whose it is and puts
 * it right there. */
START_TEST(each_legs_own_is_healed)	/* _i: leg */
{
	static const enum tfs_scrub_kind kinds[] = {
		TFS_SCRUB_DEVICE, TFS_SCRUB_DEVICE, TFS_SCRUB_SUPER,
		TFS_SCRUB_SLOT, TFS_SCRUB_SLOT, TFS_SCRUB_LEGS,
	};
	uint64_t seed = (uint64_t)_i;
	unsigned int leg = (unsigned int)_i;
	struct seen seen;
	struct pair p;

	make_pair(&p, 2, seed);
	must(&p, open_mask(&p, 3, false, false), "mount");
	for (unsigned int k = 0; k < 40; k++)
		must(&p, fs_step(p.fs, &seed), "step");
	for (unsigned int i = 0; i < 12; i++) {
		must(&p, tfs_ckpt_run(p.fs), "checkpoint");
		eng_dev_drop_caches(p.dev);
		sim_flip(p.sim[leg], place(&p, leg, i), 1);
		seen = look(&p);
		ck_assert_msg(seen.n == 1 && seen.healed == 1 &&
			      seen.kind == kinds[i / 2] && seen.leg == leg + 1,
			      "place %u: %u found, %u healed, kind %d, leg %u",
			      i, seen.n, seen.healed, seen.kind, seen.leg);
		for (unsigned int k = 0; k < 2; k++)	/* both versions */
			must(&p, eng_dev_flush(p.dev), "flush");
		seen = look(&p);
		ck_assert_msg(!seen.n, "place %u is left", i);
	}
	must(&p, shut(&p), "unmount");
	free_pair(&p);
}
END_TEST

/* ---- the grid ------------------------------------------------------------ */

enum { FLIPPED, ZEROED, OLD, ELSEWHERE, UNREADABLE, ONCE, KINDS };

static const char *const kinds[KINDS] = {
	"flipped", "zeros", "older", "another cluster's", "unreadable",
	"unreadable once",
};

/* One cluster of a leg; old: the leg as it was before. */
static void spoil(struct pair *p, unsigned int leg, struct sim *old,
		  unsigned int kind, uint64_t addr)
{
	static uint8_t buf[4096];
	uint64_t at = data_at(p, leg, addr);

	switch (kind) {
	case FLIPPED:
		sim_flip(p->sim[leg], at + addr * 37 % 4096, 1);
		return;
	case ZEROED:
		memset(buf, 0, sizeof(buf));
		break;
	case OLD:
		sim_peek(old, at, buf, sizeof(buf));
		break;
	case ELSEWHERE:
		sim_peek(p->sim[leg], data_at(p, leg, addr ^ 1), buf,
			 sizeof(buf));
		break;
	default:
		sim_fault(p->sim[leg], SIM_READ_FAIL, at, sizeof(buf), -EIO,
			  0, kind == ONCE);
		return;
	}
	sim_poke(p->sim[leg], at, buf, sizeof(buf));
}

/* _i: a kind of fault, which hits every place of one leg that is not its own:
 * files, tree, log, checkpoints and all superblocks but one, by which it is
 * known; before it is mounted or while it is.  Nobody hears an error or reads a
 * wrong byte; and after a scrub, and a mount for what only mounts look at, each
 * leg has all of it by itself, by its own tags. */
START_TEST(one_leg_in_order_is_enough)
{
	unsigned int kind = (unsigned int)_i / 4, leg = (unsigned int)_i % 2;
	bool mounted = _i & 2;
	unsigned int left;
	uint64_t seed = (uint64_t)_i, end;
	struct sim *old;
	struct pair p;
	char *before, *after;

	make_pair(&p, 2, (uint64_t)_i);
	must(&p, open_mask(&p, 3, false, false), "mount");
	for (unsigned int k = 0; k < 30; k++)
		must(&p, fs_step(p.fs, &seed), "step");
	must(&p, tfs_sync(p.fs), "sync");
	old = sim_clone(p.sim[leg]);
	for (unsigned int k = 0; k < 30; k++)
		must(&p, fs_step(p.fs, &seed), "step");
	before = fs_state(p.fs);
	must(&p, shut(&p), "unmount");
	snprintf(p.where, sizeof(p.where), "%d: leg %u %s, %smounted", _i, leg,
		 kinds[kind], mounted ? "" : "not ");
	must(&p, open_mask(&p, 3, false, !mounted), "mount");
	end = p.fs->super.clusters;
	for (uint64_t addr = 0; addr < end - TFS_END_SUPER; addr++)
		if (addr != end - TFS_END_LEG && addr != end - TFS_END_LEG + 1)
			spoil(&p, leg, old, kind, addr);
	if (!mounted) {
		must(&p, shut(&p), "unmount");
		must(&p, open_mask(&p, 3, false, false), "mount");
	}
	eng_dev_drop_caches(p.dev);
	after = fs_state(p.fs);
	ck_assert_msg(!strcmp(before, after), "%s: a wrong byte", p.where);
	left = scrub(&p);
	ck_assert_msg(!left || kind == UNREADABLE, "%s: %u places beside tree "
		      "and files can't be corrected", p.where, left);
	must(&p, shut(&p), "unmount");
	sim_clear_faults(p.sim[leg]);
	must(&p, open_mask(&p, 3, false, false), "the next mount");
	must(&p, shut(&p), "unmount");
	each_says(&p, before);
	legs_are_equal(&p);
	sim_destroy(old);
	free(before);
	free(after);
	free_pair(&p);
}
END_TEST

START_TEST(rot_in_the_same_place_is_an_error)
{
	static char out[4096], in[4096];
	struct tfs_new new = { .mode = S_IFREG | 0644 };
	struct tfs_inode inode;
	struct pair p;
	uint64_t addr = 0;

	make_pair(&p, 2, 9);
	must(&p, open_mask(&p, 3, false, false), "mount");
	must(&p, tfs_create(p.fs, TFS_ROOT_INO, "f", &new, &inode), "create");
	bed_fill(out, sizeof(out), 3);
	must(&p, tfs_write(p.fs, inode.ino, 0, out, sizeof(out), 0), "write");
	must(&p, tfs_sync(p.fs), "sync");
	for (uint64_t a = 3; a < p.fs->super.clusters && !addr; a++) {
		sim_peek(p.sim[0], data_at(&p, 0, a), in, sizeof(in));
		if (!memcmp(in, out, sizeof(in)))
			addr = a;
	}
	ck_assert(addr);
	for (unsigned int i = 0; i < 2; i++)
		sim_flip(p.sim[i], data_at(&p, i, addr) + 100, 1);
	eng_dev_drop_caches(p.dev);
	ck_assert_int_eq(tfs_read_sync(p.fs, inode.ino, 0, in, sizeof(in)),
			 -EIO);
	sim_flip(p.sim[1], data_at(&p, 1, addr) + 100, 1);
	ck_assert_int_eq(tfs_read_sync(p.fs, inode.ino, 0, in, sizeof(in)),
			 sizeof(in));
	ck_assert_mem_eq(in, out, sizeof(in));
	tfs_unref(p.fs, inode.ino, 1);
	must(&p, shut(&p), "unmount");
	free_pair(&p);
}
END_TEST

/* ---- without a tree ------------------------------------------------------ */

/* What was written to that leg since then is not there. */
static void lose_writes(struct pair *p, unsigned int leg, struct sim *then,
			uint64_t addr)
{
	const struct eng_profile *prof = eng_profile_find("512+8");
	struct bed_cluster old;

	bed_peek(then, prof, addr, &old);
	bed_poke(p->sim[leg], prof, addr, &old);
}

static void rebuild(struct pair *p)
{
	struct tfs_rebuild how = { .rdonly = false };

	must(p, open_mirror(p, (const unsigned int[]){ 0, 1 }, 2, false,
			    false), "devices");
	how.dev = p->dev;
	must(p, tfs_rebuild(&how), "rebuild");
	free(how.gap);
	eng_dev_close(p->dev);
	ck_assert_msg(how.slots_lost, "%s: a slot was left", p->where);
}

/* Each leg has lost half of all writes since a while ago, and can't read some
 * of the rest; and no leg has a slot.  All comes back that one leg has. */
START_TEST(what_any_leg_has_is_rebuilt)
{
	uint64_t seed = (uint64_t)_i, first, end;
	struct pair p, then = { .n = 0 };
	char *before;

	make_pair(&p, 2, (uint64_t)_i);
	must(&p, open_mask(&p, 3, false, false), "mount");
	for (unsigned int k = 0; k < 80; k++) {
		if (k == 40) {
			must(&p, shut(&p), "unmount");
			clone_pair(&then, &p);
			must(&p, open_mask(&p, 3, false, false), "mount");
		}
		must(&p, fs_step(p.fs, &seed), "step");
	}
	before = fs_state(p.fs);
	must(&p, shut(&p), "unmount");
	must(&p, open_mask(&p, 3, false, true), "look");
	first = p.fs->super.log_start + p.fs->super.log_clusters;
	end = p.fs->super.clusters;
	for (uint64_t addr = first; addr < end - TFS_END_LEG; addr++) {
		unsigned int leg = (addr + (uint64_t)_i) % 2;

		lose_writes(&p, leg, then.sim[leg], addr);
		if (addr % 7 == 0)
			sim_flip(p.sim[leg], data_at(&p, leg, addr) + 9, 1);
	}
	for (unsigned int leg = 0; leg < 2; leg++)
		for (unsigned int i = 0; i < 4; i++)
			sim_flip(p.sim[leg], data_at(&p, leg, i < 2 ?
				 TFS_AT_SLOT + i : end - TFS_END_SLOT + i - 2),
				 1);
	must(&p, shut(&p), "unmount");
	rebuild(&p);
	must(&p, open_mask(&p, 3, false, false), "mount what was rebuilt");
	all_comes_back(&p, before);
	free(before);
	drop_sims(&then);
	free_pair(&p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rot");
	TCase *tc = tcase_create("rot");

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, rot_on_both_comes_back, 0, 2);
	tcase_add_loop_test(tc, one_leg_in_order_is_enough, 0, 4 * KINDS);
	tcase_add_test(tc, only_what_differs_is_looked_up);
	tcase_add_loop_test(tc, each_legs_own_is_healed, 0, 2);
	tcase_add_loop_test(tc, what_any_leg_has_is_rebuilt, 0, 2);
	tcase_add_test(tc, rot_in_the_same_place_is_an_error);
	suite_add_tcase(s, tc);
	return bed_run_suite(s);
}
