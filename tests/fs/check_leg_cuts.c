/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_leg_cuts.c - the power goes at each write of what makes the legs of a
 * mirror the same again: a resilver, rot that is healed, a leg that joins.  It
 * goes on all legs at once, or on one that is lost so; and what was not flushed
 * has arrived, or not, on each leg in another way.
 *
 * Then all legs are back: every name and every byte is there, the rest is made
 * up for, and in the end each leg has all of it by itself, and the same as the
 * others.
 *
 * TAGFS_CASE=JOB:WHO:WRITE:ARRIVE, from a message, is one case alone. */
#include "fs/legs_bed.h"
#include "mount/legs.h"

/* ---- what is to be done -------------------------------------------------- */

static int catch_up(struct pair *p)
{
	struct tfs_resilver *r = NULL;
	int err = tfs_resilver_start(&r, p->fs, 0), last;

	last = tfs_resilver_stop(r, true);
	return err ? err : last;
}

static int add(struct pair *p)
{
	int err = join(p, 2, true);

	return err ? err : catch_up(p);
}

static int replace(struct pair *p)
{
	int err = join(p, 2, false);

	return err ? err : catch_up(p);
}

static int read_all(struct pair *p)
{
	char *state = fs_state(p->fs);
	bool sound = fs_state_sound(state);

	free(state);
	return sound ? 0 : -EIO;
}

/* ---- how it was before --------------------------------------------------- */

static void live(struct pair *p, unsigned int mask, unsigned int steps)
{
	uint64_t seed = 3;

	must(p, open_mask(p, mask, true, false), "mount");
	for (unsigned int i = 0; i < steps; i++)
		must(p, fs_step(p->fs, &seed), "step");
	must(p, shut(p), "unmount");
}

static void one_is_behind(struct pair *p)
{
	make_pair(p, 2, 1);
	live(p, 3, 12);
	live(p, 1, 8);
}

/* Every other cluster of each leg, so that what one has lost the other has. */
static void both_have_rotted(struct pair *p)
{
	static struct places all_places;

	make_pair(p, 2, 2);
	live(p, 3, 14);
	must(p, open_mask(p, 3, false, true), "mount");
	find_places(p, &all_places);
	for (size_t i = 0; i < all_places.n; i++) {
		uint64_t addr = all_places.at[i];
		unsigned int leg = (unsigned int)addr % 2;

		/* Superblocks say which leg it is. */
		if (addr && addr < p->fs->super.clusters - TFS_END_SUPER)
			sim_flip(p->sim[leg], data_at(p, leg, addr) + 77, 1);
	}
	must(p, shut(p), "unmount");
}

static void a_new_one(struct pair *p)
{
	p->sim[2] = sim_create(bed_size("512+8", CLUSTERS + 50), 99);
	must(p, eng_soft_format_raw(sim_raw(p->sim[2]),
				    eng_profile_find("512+8"), 99), "format");
}

static void two_and_a_new_one(struct pair *p)
{
	make_pair(p, 2, 3);
	live(p, 3, 12);
	a_new_one(p);
}


static const struct job {
	const char	*name;
	void		(*prepare)(struct pair *p);
	int		(*run)(struct pair *p);
	unsigned int	legs;		/* that are there, a mask */
	unsigned int	others;		/* that come to it */
	unsigned int	who;		/* may be cut alone */
} jobs[] = {
	{ "resilver", one_is_behind, catch_up, 3, 0, 3 },
	{ "healing, reads", both_have_rotted, read_all, 3, 0, 0 },
	{ "healing, scrub", both_have_rotted, scrub_legs, 3, 0, 0 },
	{ "add", two_and_a_new_one, add, 3, 4, 7 },
	{ "replace", two_and_a_new_one, replace, 1, 4, 5 },
};

#define JOBS	(sizeof(jobs) / sizeof(jobs[0]))

/* ---- power --------------------------------------------------------------- */

/* Of all legs at once: writes are counted over all of them. */
struct power {
	struct pair	*p;
	uint64_t	left;
};

struct wire {
	struct power	*power;
	unsigned int	leg;
};

static void before_write(void *arg, uint64_t off, uint64_t len)
{
	struct wire *w = arg;
	struct power *power = w->power;

	(void)off;
	(void)len;
	if (power->left--)
		return;
	for (unsigned int i = 0; i < LEGS; i++)
		if (power->p->sim[i])
			sim_power_off_at(power->p->sim[i], i == w->leg ? 0 :
					 SIM_NOW);
}

static const enum sim_arrive arrivals[][LEGS] = {
	{ SIM_NOTHING, SIM_NOTHING, SIM_NOTHING },
	{ SIM_ALL, SIM_ALL, SIM_ALL },
	{ SIM_ALL, SIM_NOTHING, SIM_FRONTS },
	{ SIM_NOTHING, SIM_ALL, SIM_NOTHING },
	{ SIM_FRONTS, SIM_BACKS, SIM_ALL },
	{ SIM_BACKS, SIM_OTHERS, SIM_NEWEST },
	{ SIM_OTHERS, SIM_FRONTS, SIM_BACKS },
};

#define ARRIVALS (sizeof(arrivals) / sizeof(arrivals[0]))

/* ---- one cut ------------------------------------------------------------- */

struct plan {
	const struct job *job;
	struct pair	base;
	char		*state;		/* which nothing may change */
	uint64_t	flushes;	/* when nothing was last to arrive */
};

static void clone_legs(struct pair *to, const struct pair *from)
{
	*to = *from;
	for (unsigned int i = 0; i < LEGS; i++)
		to->sim[i] = from->sim[i] ? sim_clone(from->sim[i]) : NULL;
}

static void drop_legs(struct pair *p)
{
	for (unsigned int i = 0; i < LEGS; i++)
		sim_destroy(p->sim[i]);
}

/* With the one that came to it, or as it was; how many there are. */
static unsigned int open_after(struct pair *p, const struct job *job,
			       bool joined)
{
	unsigned int with = job->legs | job->others;
	int err = open_mask(p, with, false, false);

	ck_assert_msg(!err || (job->others && !joined), "%s: mount after it: "
		      "%s", p->where, strerror(-err));
	if (!err)
		return with;
	must(p, open_mask(p, job->legs, job->legs == 1, false), "mount "
	     "without the new one");
	return job->legs;
}

static void says(struct pair *p, const char *state, const char *when)
{
	char *now = fs_state(p->fs);

	ck_assert_msg(!strcmp(now, state), "%s: not as it was, %s", p->where,
		      when);
	free(now);
}

/* The legs of that mask alone, as 0, 1, ... */
static void pack(struct pair *p, unsigned int mask)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < LEGS; i++) {
		if (!p->sim[i])
			continue;
		if (mask & 1u << i) {
			struct sim *sim = p->sim[i];

			p->sim[i] = NULL;
			p->sim[n++] = sim;
		} else {
			sim_destroy(p->sim[i]);
			p->sim[i] = NULL;
		}
	}
	p->n = n;
}

/* each: look at every leg by itself, too. */
static void judge(struct plan *plan, struct pair *p, bool done, bool each)
{
	const struct job *job = plan->job;
	bool heals = job->run == scrub_legs || job->run == read_all;
	unsigned int mask;

	p->n = LEGS;
	mask = open_after(p, job, done);
	says(p, plan->state, "after the cut");
	if (mask != 1 && !all_current(p))
		must(p, catch_up(p), "resilver");
	if (heals)
		must(p, scrub_legs(p), "scrub");
	ck_assert_msg(mask == 1 || all_current(p), "%s: a leg is behind",
		      p->where);
	must(p, shut(p), "unmount");
	if (mask == 1)
		return;
	pack(p, mask);
	legs_are_equal(p);
	if (each)
		each_says(p, plan->state);
}

/* Not what was tried already, or is the same; in quick mode, of five ways in
 * which something is between nothing and all, one. */
static bool is_new(struct plan *plan, struct pair *p, unsigned int who,
		   unsigned int n, unsigned int how)
{
	uint64_t flushes = 0, unflushed = 0;
	struct sim_counts c;

	for (unsigned int i = 0; i < LEGS; i++) {
		if (!p->sim[i])
			continue;
		sim_counts(p->sim[i], &c);
		flushes += c.flushes;
		unflushed += c.unflushed;
	}
	if (how > 1 && getenv("TAGFS_TEST_QUICK") && (who || 2 + n % 5 != how))
		return false;
	if (how || flushes != plan->flushes) {
		plan->flushes = how ? plan->flushes : flushes;
		return unflushed || !how;
	}
	return false;
}

/* who: as in cut_at(). */
static void cut(struct plan *plan, const struct pair *cut, unsigned int who,
		unsigned int how, bool done)
{
	struct pair p;

	clone_legs(&p, cut);
	p.fs = NULL;
	p.dev = NULL;
	for (unsigned int i = 0; i < LEGS; i++)
		if (p.sim[i])
			sim_crash_as(p.sim[i], who && i != who - 1 ? SIM_ALL :
				     arrivals[how][i]);
	judge(plan, &p, done, how == 1 || !getenv("TAGFS_TEST_QUICK"));
	drop_legs(&p);
}

/* who: all legs at once, or the leg of that number less 1.  False: it was at
 * its end before. */
static bool cut_at(struct plan *plan, unsigned int job, unsigned int who,
		   unsigned int n)
{
	unsigned int only[4], legs = plan->job->legs;
	const char *wish = getenv("TAGFS_CASE");
	bool off = false, one = wish && sscanf(wish, "%u:%u:%u:%u", &only[0],
					       &only[1], &only[2],
					       &only[3]) == 4;
	struct power power = { .left = n };
	struct wire wire[LEGS];
	struct pair p;
	int err;

	clone_legs(&p, &plan->base);
	p.n = LEGS;
	power.p = &p;
	for (unsigned int i = 0; i < LEGS; i++) {
		wire[i] = (struct wire){ &power, i };
		if (p.sim[i] && !who)
			sim_on_write(p.sim[i], before_write, &wire[i]);
	}
	if (who)
		sim_power_off_at(p.sim[who - 1], n);
	err = open_mask(&p, legs, legs == 1, false);
	if (!err) {
		err = plan->job->run(&p);
		shut(&p);
	}
	for (unsigned int i = 0; i < LEGS; i++)
		off |= p.sim[i] && sim_is_off(p.sim[i]);
	for (unsigned int how = 0; off && how < ARRIVALS; how++) {
		if (one && (only[0] != job || only[1] != who ||
			    only[2] != n || only[3] != how))
			continue;
		if (!one && !is_new(plan, &p, who, n, how))
			continue;
		snprintf(p.where, sizeof(p.where), "%s, %u:%u:%u:%u",
			 plan->job->name, job, who, n, how);
		cut(plan, &p, who, how, !err);
	}
	drop_legs(&p);
	return off;
}

START_TEST(no_cut_of_the_legs_makes_it_worse)	/* _i: job, who is cut */
{
	unsigned int job = (unsigned int)_i / (LEGS + 1);
	unsigned int who = (unsigned int)_i % (LEGS + 1), n = 0;
	struct plan plan = { .job = &jobs[job], .flushes = UINT64_MAX };
	struct pair p;

	/* With one lost, what has rotted on the other is gone. */
	if (who && (!(plan.job->who & 1u << (who - 1))))
		return;
	plan.job->prepare(&plan.base);
	clone_legs(&p, &plan.base);
	snprintf(p.where, sizeof(p.where), "%s, no cut", plan.job->name);
	must(&p, open_mask(&p, plan.job->legs, plan.job->legs == 1, false),
	     "mount");
	plan.state = fs_state(p.fs);
	must(&p, shut(&p), "unmount");
	drop_legs(&p);
	while (cut_at(&plan, job, who, n))
		n += BED_STRIDE;
	if (getenv("CHECK_STEPS"))
		fprintf(stderr, "%s, %u: %u writes\n", plan.job->name, who,
			n);
	ck_assert_uint_gt(n, 5);
	free(plan.state);
	drop_legs(&plan.base);
	eng_pool_destroy(plan.base.pool);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("leg cuts");
	TCase *tc = tcase_create("leg cuts");

	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, no_cut_of_the_legs_makes_it_worse, 0,
			    JOBS * (LEGS + 1));
	suite_add_tcase(s, tc);
	return bed_run_suite(s);
}
