/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_cuts.c - the power goes at each write of what puts a filesystem right:
 * fsck.tagfs -y, --rebuild, a scrub.  No write is left out, and no way in which
 * those before it may have arrived or not.
 *
 * Or at each write of a checkpoint, and after that all slots are lost.
 *
 * What is there then is, to a user, what was there before or what is there
 * afterwards, and nothing in between; a second run comes to its end, and to the
 * same end; and after that there is nothing to be found.
 *
 * TAGFS_CASE=JOB:PROFILE:WRITE:ARRIVE, from a message, is one case alone;
 * TAGFS_CHANCES=N is how many ways are left to chance. */
#include <unistd.h>

#include "check/scrubber.h"
#include "commit/log.h"
#include "fs/fsck_bed.h"
#include "soft/soft_format.h"
#include "support/fs_state.h"
#include "support/mend.h"

#define MANY	(getenv("TAGFS_TEST_FULL") ? 400u : 40u)

/* ---- what is wrong ------------------------------------------------------- */

static void many_files(struct tree *t, unsigned int n)
{
	char name[40];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "one of many, number %u", i);
		fill(t, make(t, i % 2 ? t->dir : t->sub, name,
			     S_IFREG | 0640), 200 + i);
	}
	bed_remount(&t->bed, 0);
}

/* There is a log to be replayed. */
static void live_on(struct tree *t)
{
	fill(t, make(t, t->dir, "late", S_IFREG | 0600), 3 * t->csize);
	ck_assert_int_eq(tfs_unlink(t->bed.fs, t->sub, "other"), 0);
	ck_assert_int_eq(tfs_sync(t->bed.fs), 0);
	sim_settle(t->bed.sim, true);
}

static void wrong_inode(struct tfs_inode *in)
{
	in->clusters += 7;
	in->size = 1;
	in->nlink += 2;
}

/* One that is in use is free in the map, and another one the other way
 * round. */
static void wrong_map(struct tree *t)
{
	struct seek_item s = first(t, t->big, TFS_T_EXTENT, 0);
	struct tfs *fs = t->bed.fs;
	struct tfs_region *r;
	struct tfs_miss miss;
	uint64_t addr;

	memcpy(&addr, s.val, 8);
	pthread_rwlock_wrlock(&fs->tree);
	ck_assert_int_eq(tfs_region_load(fs, 0, &r, &miss), 0);
	tfs_bits_put(r->map, le64toh(addr), 1, false);
	tfs_bits_put(r->map, tfs_bits_next(r->map, 300, false), 1, true);
	tfs_region_dirty(fs, r);
	pthread_rwlock_unlock(&fs->tree);
}

static void wrong_items(struct tree *t)
{
	struct seek_item s = first(t, t->sub, TFS_T_DIRENT, 0);

	set_item(t, s.key, NULL, 0);
	change(t, t->small, wrong_inode);
	set_item(t, tfs_key(0, TFS_T_ORPHAN, 4711), "", 0);
	set_item(t, tfs_key(t->link, TFS_T_INODE, 0), NULL, 0);
	wrong_map(t);
	ck_assert_int_eq(tfs_ckpt_run(t->bed.fs), 0);
	fill(t, make(t, t->dir, "late", S_IFREG | 0600), 3 * t->csize);
	ck_assert_int_eq(tfs_sync(t->bed.fs), 0);
	sim_settle(t->bed.sim, true);
}

static void flip(struct tree *t, uint64_t addr)
{
	sim_flip(t->bed.sim, bed_data_at(&t->bed, addr) + 99, 4);
}

/* One copy of each that there is twice. */
static void one_copy(struct tree *t)
{
	uint64_t end = t->bed.fs->super.clusters;
	uint64_t newer = bed_page_at(t->bed.sim,
				     eng_dev_geometry(t->bed.dev)->profile, 0);
	struct tfs_miss *node;
	size_t n;

	many_files(t, MANY);
	n = fs_nodes(t->bed.fs, &node);
	live_on(t);
	for (size_t i = 0; i < n; i++)
		flip(t, node[i].ptr.addr[i % 2]);
	free(node);
	flip(t, end - TFS_END_SUPER);
	flip(t, TFS_AT_SLOT);
	flip(t, end - TFS_END_SLOT + 1);
	sim_flip(t->bed.sim, 9, 1);		/* the header */
	sim_flip(t->bed.sim, newer == SOFT_BLOCK ? 2 * SOFT_BLOCK + 50 :
		 SOFT_BLOCK + 50, 1);
}

/* And bytes of a file, which there are once. */
static void one_copy_and_data(struct tree *t)
{
	struct seek_item s = first(t, t->big, TFS_T_EXTENT, 0);
	uint64_t addr;

	memcpy(&addr, s.val, 8);
	one_copy(t);
	flip(t, le64toh(addr));
}

static void nodes_gone(struct tree *t, bool inner)
{
	struct tfs_miss *node;
	size_t n;

	many_files(t, MANY);
	n = fs_nodes(t->bed.fs, &node);
	ck_assert_uint_gt(n, 2);
	live_on(t);
	for (size_t i = 0; i < n; i++)
		for (unsigned int c = 0; c < 2; c++)
			if (inner ? node[i].level : i == n / 2)
				flip(t, node[i].ptr.addr[c]);
	free(node);
}

static void a_leaf_gone(struct tree *t)
{
	nodes_gone(t, false);
}

static void root_gone(struct tree *t)
{
	nodes_gone(t, true);
}

/* What has a fixed place, but for the log. */
static void slots_gone(struct tree *t)
{
	uint64_t end = t->bed.fs->super.clusters;

	nodes_gone(t, true);
	flip(t, TFS_AT_SUPER);
	flip(t, end - TFS_END_SUPER);
	for (unsigned int i = 0; i < 2; i++) {
		flip(t, TFS_AT_SLOT + i);
		flip(t, end - TFS_END_SLOT + i);
	}
	sim_flip(t->bed.sim, 9, 1);
	sim_flip(t->bed.sim, sim_raw(t->bed.sim)->size - SOFT_BLOCK + 9, 1);
}

static void all_but_leaves_gone(struct tree *t)
{
	slots_gone(t);
	for (uint64_t i = 0; i < t->bed.fs->super.log_clusters; i++)
		flip(t, tfs_log_addr(t->bed.fs, i));
}

/* ---- what puts it right -------------------------------------------------- */

static int fsck(struct bed *b)
{
	struct mend m = { .rdonly = false };

	return mend(b, &m);
}

static int rebuild(struct bed *b)
{
	struct mend m = { .rebuild = true };

	return mend(b, &m);
}

static int until_it_ends(struct tfs_scrubber *sc)
{
	struct tfs_scrub_status st;

	do {
		usleep(50);
		tfs_scrubber_status(sc, &st);
	} while (st.state == TFS_SCRUB_RUNNING);
	return st.err;
}

/* One that was interrupted goes on before another one begins. */
static int scrub(struct bed *b)
{
	struct tfs_scrub_how how = { .data = true, .meta = true };
	struct tfs_scrubber *sc;
	int err = bed_open(b), last;

	if (err)
		return err;
	err = tfs_scrubber_create(&sc, b->fs);
	if (!err) {
		tfs_scrubber_go_on(sc);
		err = until_it_ends(sc);
	}
	if (!err)
		err = tfs_scrubber_start(sc, &how);
	if (!err)
		err = until_it_ends(sc);
	tfs_scrubber_destroy(sc);
	last = tfs_close(b->fs);
	b->fs = NULL;
	bed_drop(b);
	return err ? err : last;
}

static const struct job {
	const char	*name;
	void		(*harm)(struct tree *t);
	int		(*run)(struct bed *b);
	bool		big;		/* not in quick mode */
} jobs[] = {
	{ "fsck -y, items", wrong_items, fsck, false },
	{ "fsck -y, copies", one_copy, fsck, false },
	{ "fsck -y, a leaf", a_leaf_gone, fsck, false },
	{ "rebuild, the root", root_gone, rebuild, true },
	{ "rebuild, all but leaves", all_but_leaves_gone, rebuild, true },
	{ "rebuild, all but leaves and log", slots_gone, rebuild, false },
	{ "scrub", one_copy_and_data, scrub, false },
};

#define JOBS	(sizeof(jobs) / sizeof(jobs[0]))

/* ---- the cuts ------------------------------------------------------------ */

static const char *const arrivals[SIM_ARRIVES + 1] = {
	"nothing", "all", "fronts", "backs", "others", "the newest", "any",
};

/* Then as many in which chance has it: both copies of a node can be lost. */
static unsigned int chances(const struct job *job)
{
	const char *wish = getenv("TAGFS_CHANCES");

	if (wish)
		return (unsigned int)atoi(wish);
	return getenv("TAGFS_TEST_QUICK") ? job->run == rebuild : 4;
}

struct plan {
	const struct job *job;
	struct sim	*base;
	char		*before;	/* NULL: it can't be mounted */
	char		*after;
	struct bed	b;		/* of the one who is cut */
	uint64_t	flushes;	/* when NOTHING was last tried */
	char		where[96];
};

/* As a mount that writes nothing shows it; NULL: there is none. */
static char *look(struct bed *b)
{
	char *state = NULL;

	sim_set_rdonly(b->sim, true);
	b->how.rdonly = true;
	if (!bed_open(b))
		state = fs_state(b->fs);
	bed_drop(b);
	b->how.rdonly = false;
	sim_set_rdonly(b->sim, false);
	return state;
}

static void differ(const char *where, const char *what, const char *is,
		   const char *was)
{
	size_t i = 0;

	if (!is || !was)
		ck_abort_msg("%s: %s: %s", where, what, is ? is : "no mount");
	while (is[i] && is[i] == was[i])
		i++;
	while (i && is[i - 1] != '\n')
		i--;
	ck_abort_msg("%s: %s: '%.200s', not '%.200s'", where, what, is + i,
		     was + i);
}

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void nothing_is_left(struct plan *p, struct bed *b)
{
	struct mend m = { .rdonly = true };
	int err = mend(b, &m);

	ck_assert_msg(!err, "%s: fsck -n at the end: %s", p->where,
		      strerror(-err));
	ck_assert_msg(!m.problems, "%s: fsck -n at the end: %s", p->where,
		      m.text);
}

/* The power is on again, and nothing is open. */
static void judge(struct plan *p, struct bed *b)
{
	char *state = look(b);
	int err;

	if (!same(state, p->before) && !same(state, p->after))
		differ(p->where, "after the cut", state, p->before);
	free(state);
	err = p->job->run(b);
	ck_assert_msg(!err, "%s: the second run: %s", p->where,
		      strerror(-err));
	nothing_is_left(p, b);
	bed_mount(b);
	state = fs_state(b->fs);
	bed_umount(b);
	if (!same(state, p->after))
		differ(p->where, "after the second run", state, p->after);
	free(state);
}

/* Not what was tried already, or is the same. */
static bool is_new(struct plan *p, unsigned int how)
{
	struct sim_counts c;

	sim_counts(p->b.sim, &c);
	switch (how) {
	case SIM_NOTHING:
		if (c.flushes == p->flushes)
			return false;
		p->flushes = c.flushes;
		return true;
	case SIM_OTHERS:
		return c.unflushed > 2;
	case SIM_NEWEST:
		return c.unflushed > 1;
	default:
		return true;
	}
}

static void cut(struct plan *p, unsigned int n, unsigned int how)
{
	struct bed b;

	bed_take(&b, sim_clone(p->b.sim), 0);
	if (how < SIM_ARRIVES)
		sim_crash_as(b.sim, how);
	else
		sim_crash(b.sim, 2 + n * 1000ull + how);
	judge(p, &b);
	bed_free(&b);
}

/* False: it was at its end before. */
static bool cut_at(struct plan *p, unsigned int job, unsigned int profile,
		   unsigned int n)
{
	const char *wish = getenv("TAGFS_CASE");
	unsigned int only[4], ways = SIM_ARRIVES + chances(p->job);
	bool off, one = wish && sscanf(wish, "%u:%u:%u:%u", &only[0], &only[1],
				       &only[2], &only[3]) == 4;

	bed_take(&p->b, sim_clone(p->base), 0);
	sim_power_off_at(p->b.sim, n);
	p->job->run(&p->b);
	off = sim_is_off(p->b.sim);
	for (unsigned int how = 0; off && how < ways; how++) {
		if (one && (only[0] != job || only[1] != profile ||
			    only[2] != n || only[3] != how))
			continue;
		if (!one && !is_new(p, how))
			continue;
		snprintf(p->where, sizeof(p->where), "%s, %u:%u:%u:%u (%s)",
			 p->job->name, job, profile, n, how, arrivals[
			 how < SIM_ARRIVES ? how : SIM_ARRIVES]);
		cut(p, n, how);
	}
	bed_free(&p->b);
	return off;
}

static void prepare(struct plan *p, unsigned int profile)
{
	static struct tree t;
	struct bed b;

	make_tree_in(&t, profile, getenv("TAGFS_TEST_FULL") ? 8192 : 1024);
	p->job->harm(&t);
	p->base = sim_clone(t.bed.sim);
	sim_settle(p->base, true);
	bed_free(&t.bed);
	p->flushes = UINT64_MAX;
	bed_take(&b, sim_clone(p->base), 0);
	p->before = look(&b);
	snprintf(p->where, sizeof(p->where), "%s, no cut", p->job->name);
	ck_assert_int_eq(p->job->run(&b), 0);
	nothing_is_left(p, &b);
	p->after = look(&b);
	ck_assert_ptr_nonnull(p->after);
	bed_free(&b);
}

static bool takes_nodes(const struct job *job)
{
	return job->harm != wrong_items && job->harm != one_copy &&
		job->harm != one_copy_and_data;
}

START_TEST(no_cut_makes_it_worse)		/* _i: profile, job */
{
	unsigned int job = (unsigned int)_i / 2, profile = _i % 2, n = 0;
	struct plan p = { .job = &jobs[job] };

	if (getenv("TAGFS_TEST_QUICK") && (profile || p.job->big))
		return;
	/* With larger nodes, one leaf is all of so small a tree. */
	if (profile && takes_nodes(p.job) && !getenv("TAGFS_TEST_FULL"))
		return;
	prepare(&p, profile);
	while (cut_at(&p, job, profile, n))
		n += BED_STRIDE;
	ck_assert_uint_gt(n, 5);
	if (getenv("CHECK_STEPS"))
		fprintf(stderr, "%s: %u writes\n", p.job->name, n);
	sim_destroy(p.base);
	free(p.before);
	free(p.after);
}
END_TEST

/* ---- a checkpoint, and then all slots ------------------------------------ */

/* The log has what the tree has not: in many leaves, so that some arrive. */
static void in_debt(struct bed *b, struct tree *t)
{
	char name[40];

	t->bed = *b;
	for (unsigned int i = 0; i < MANY; i += 4) {
		snprintf(name, sizeof(name), "one of many, number %u", i);
		ck_assert_int_eq(tfs_rename(b->fs, t->sub, name, TFS_ROOT_INO,
					    name, 0, NULL), 0);
		snprintf(name, sizeof(name), "afterwards, number %u", i);
		fill(t, make(t, t->dir, name, S_IFREG | 0600), i * 99);
	}
	ck_assert_int_eq(tfs_unlink(b->fs, t->sub, "other"), 0);
	ck_assert_int_eq(tfs_sync(b->fs), 0);
}

struct debt {
	struct tree	t;
	struct sim	*base;		/* clean, or with a log to replay */
	bool		replay;		/* its checkpoint is a recovery's */
	uint64_t	slot[4];	/* on the disk */
	char		*want;
};

static void make_debt(struct debt *d, bool replay)
{
	struct bed *b = &d->t.bed;
	uint64_t end;

	make_tree_in(&d->t, 0, getenv("TAGFS_TEST_FULL") ? 8192 : 1024);
	many_files(&d->t, MANY);
	end = b->fs->super.clusters;
	for (unsigned int i = 0; i < 4; i++)
		d->slot[i] = bed_data_at(b, i / 2 ? end - TFS_END_SLOT + i % 2 :
					 TFS_AT_SLOT + i % 2);
	d->replay = replay;
	if (!replay) {
		bed_umount(b);
		d->base = sim_clone(b->sim);
		bed_mount(b);
	}
	in_debt(b, &d->t);
	d->want = fs_state(b->fs);
	if (replay)
		d->base = sim_clone(b->sim);
	sim_settle(d->base, true);
	bed_free(b);
}

/* The power goes at the n-th write of the checkpoint.  False: it came to its
 * end before. */
static bool cut_checkpoint(struct debt *d, struct bed *b, unsigned int n)
{
	bed_take(b, sim_clone(d->base), 0);
	if (d->replay) {
		sim_power_off_at(b->sim, n);
		bed_open(b);
	} else {
		bed_mount(b);
		in_debt(b, &d->t);
		sim_power_off_at(b->sim, n);
		tfs_ckpt_run(b->fs);
	}
	bed_drop(b);
	return sim_is_off(b->sim);
}

static void without_slots(struct debt *d, struct bed *b, const char *where)
{
	struct plan p = { .after = d->want };
	char *state;
	int err;

	for (unsigned int i = 0; i < 4; i++)
		sim_flip(b->sim, d->slot[i] + 99, 4);
	err = rebuild(b);
	ck_assert_msg(!err, "%s: rebuild: %s", where, strerror(-err));
	snprintf(p.where, sizeof(p.where), "%s", where);
	nothing_is_left(&p, b);
	bed_mount(b);
	state = fs_state(b->fs);
	bed_umount(b);
	if (!same(state, d->want))
		differ(where, "after the rebuild", state, d->want);
	free(state);
}

/* A checkpoint is cut, and after that all copies of both slots are lost: a
 * rebuild gives all that was acknowledged. */
START_TEST(half_a_checkpoint_is_none)		/* _i: of a recovery? */
{
	struct debt d = { .replay = _i };
	unsigned int n = 0, ways = SIM_ARRIVES + 2;
	bool off = true, quick = getenv("TAGFS_TEST_QUICK");
	char where[96];

	make_debt(&d, _i);
	for (; off; n += BED_STRIDE) {
		struct bed b, c;

		off = cut_checkpoint(&d, &b, n);
		for (unsigned int how = 0; off && how < ways; how++) {
			if (quick && how != SIM_ALL && how < SIM_ARRIVES)
				continue;
			snprintf(where, sizeof(where), "slots lost, replay %d, "
				 "write %u, arrival %u", _i, n, how);
			bed_take(&c, sim_clone(b.sim), 0);
			if (how < SIM_ARRIVES)
				sim_crash_as(c.sim, how);
			else
				sim_crash(c.sim, 2 + n * 1000ull + how);
			without_slots(&d, &c, where);
			bed_free(&c);
		}
		bed_free(&b);
	}
	ck_assert_uint_gt(n, 5);
	sim_destroy(d.base);
	free(d.want);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cuts");
	TCase *tc = tcase_create("cuts");

	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, no_cut_makes_it_worse, 0, 2 * JOBS);
	tcase_add_loop_test(tc, half_a_checkpoint_is_none, 0, 2);
	suite_add_tcase(s, tc);
	return bed_run_suite(s);
}
