/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cut.c - power cuts in a life, and what is found afterwards.  See life.h. */
#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fs_check.h"
#include "support/life_priv.h"
#include "support/mend.h"

#define LATER_LIVES	3	/* after a crash */
#define LATER_STEPS	8

void (*life_progress)(void);
static unsigned long crashes;

unsigned long life_crashes(void)
{
	return crashes;
}

/* ---- which case (4) ------------------------------------------------------ */

static struct wanted {
	bool		any;		/* all of them */
	char		name[80];
	unsigned long long seed;
	char		cut[64];
	unsigned long long crash;
	int		fields;
} wanted;

static void read_wanted(void)
{
	const char *env = getenv("TAGFS_CASE");

	wanted.any = !env;
	if (env)
		wanted.fields = sscanf(env, "%79[^:]:%llu:%63[^:]:%llu",
				       wanted.name, &wanted.seed, wanted.cut,
				       &wanted.crash);
}

static bool want_story(const struct story *st, uint64_t seed)
{
	return wanted.any || (!strcmp(wanted.name, st->name) &&
			      (wanted.fields < 2 || wanted.seed == seed));
}

static bool want_cut(const char *cut)
{
	return wanted.any || wanted.fields < 3 || !strcmp(wanted.cut, cut);
}

static bool want_crash(uint64_t crash)
{
	return wanted.any || wanted.fields < 4 || wanted.crash == crash;
}

/* ---- what is found ------------------------------------------------------- */

static struct model *load(struct life *l, struct bed *b)
{
	struct statvfs st;
	struct model *got;
	char why[200];

	if (model_load(&got, b->fs, why, sizeof(why)))
		life_broken(l, "%s", why);
	tfs_statvfs(b->fs, &st);
	if (st.f_files - st.f_ffree != model_inodes(got) +
	    (b == &l->bed ? model_orphans(l->m) : 0) && !b->how.rdonly)
		life_broken(l, "%llu inodes are counted, %zu are there",
			    (unsigned long long)(st.f_files - st.f_ffree),
			    model_inodes(got));
	return got;
}

/* The state of a step that may be found, from synced on. */
static bool found(struct life *l, struct model *got, uint64_t synced,
		  uint32_t csize, bool loose)
{
	uint64_t sum = model_loose(got);

	for (uint64_t i = synced; i <= l->steps; i++)
		if (loose || l->past[i].vague ? l->past[i].loose == sum :
		    l->past[i].strict == model_strict(got))
			return true;
	for (struct between *b = l->between; b; b = b->next) {
		struct model_node *n = model_node(got, b->old->in.ino);

		if (b->step > synced && n && sum - n->loose == b->rest &&
		    model_between(b->old, b->now, n, csize))
			return true;
	}
	return false;
}

static void must_open(struct life *l, struct bed *b)
{
	int err = bed_open(b);

	if (err)
		life_broken(l, "mount: %s", strerror(-err));
}

static void must_be_whole(struct life *l, struct bed *b)
{
	const char *wrong = fs_check(b->fs, b == &l->bed &&
				     model_orphans(l->m) ? FS_CHECK_ORPHANS :
				     0);

	if (wrong)
		life_broken(l, "%s", wrong);
}

static void must_be_found(struct life *l, struct bed *b, struct model *got,
			  uint64_t synced)
{
	if (found(l, got, synced, tfs_cluster_size(b->fs), b->how.rdonly))
		return;
	fprintf(stderr, "difference to step %llu:\n",
		(unsigned long long)l->steps);
	model_diff(l->m, got, stderr, 12);
	life_broken(l, "neither the state of step %llu nor one up to %llu",
		    (unsigned long long)synced, (unsigned long long)l->steps);
}

/* The core is as the model, to the last byte. */
static void must_agree(struct life *l)
{
	struct model *got = load(l, &l->bed);

	if (model_strict(got) != model_strict(l->m)) {
		model_diff(l->m, got, stderr, 12);
		life_broken(l, "the state differs");
	}
	model_destroy(got);
	must_be_whole(l, &l->bed);
}

/* ---- after a crash ------------------------------------------------------- */

/* A mount that writes nothing finds the same. */
static void look_only(struct life *l, struct sim *disk, uint64_t synced)
{
	struct model *got;
	struct bed b;

	bed_take(&b, sim_clone(disk), l->seed);
	b.how.rdonly = true;
	sim_set_rdonly(b.sim, true);
	must_open(l, &b);
	got = load(l, &b);
	must_be_found(l, &b, got, synced);
	model_destroy(got);
	bed_free(&b);
}

/* The power goes again while the mount recovers: nothing else is found. */
static void crash_again(struct life *l, struct sim *disk, uint64_t strict,
			uint64_t rand)
{
	struct model *got;
	struct bed b;

	bed_take(&b, sim_clone(disk), l->seed);
	b.how.discard = l->st->discard;
	for (int i = 0; i < 2; i++) {
		sim_power_off_at(b.sim, sim_rand(&rand) % 12);
		if (!bed_open(&b))
			bed_drop(&b);
		sim_crash(b.sim, sim_rand(&rand));
	}
	must_open(l, &b);
	got = load(l, &b);
	if (model_strict(got) != strict)
		life_broken(l, "a crash of the recovery changed the state");
	must_be_whole(l, &b);
	model_destroy(got);
	bed_free(&b);
}

static int random_steps(struct life *l, unsigned int n, uint64_t rand)
{
	struct step s;
	uint32_t ino;
	int err = 0;

	while (!err && n--) {
		step_random(l->m, l->st->mix ? l->st->mix : &mix_any, &rand,
			    &s);
		err = life_step(l, &s, &ino);
	}
	return err;
}

/* Some life after a recovery: what it did lasts; and then the power goes. */
static void later_life(struct life *l, uint64_t rand)
{
	const struct step sync = { .kind = DO_SYNC };
	uint32_t ino;

	if (random_steps(l, LATER_STEPS, sim_rand(&rand)) ||
	    life_step(l, &sync, &ino))
		life_broken(l, "later life ends with an error");
	must_agree(l);
	sim_power_off_at(l->bed.sim, sim_rand(&rand) % 30);
	if (!random_steps(l, LATER_STEPS, sim_rand(&rand)))
		life_step(l, &sync, &ino);
	bed_drop(&l->bed);
	sim_crash(l->bed.sim, sim_rand(&rand));
}

/* Life goes on after the recovery, and ends like the one before.  Takes b and
 * got. */
static void live_on(struct life *l, struct bed *b, struct model *got,
		    uint64_t rand)
{
	struct life later;

	for (int i = 0; i < LATER_LIVES; i++) {
		life_begin(&later, l->st, l->seed);
		snprintf(later.cut, sizeof(later.cut), "%s", l->cut);
		later.bed = *b;
		later.m = got;
		life_record(&later, false);
		later_life(&later, sim_rand(&rand));
		must_open(&later, &later.bed);
		got = load(l, &later.bed);
		must_be_found(&later, &later.bed, got, later.synced);
		must_be_whole(l, &later.bed);
		*b = later.bed;
		memset(&later.bed, 0, sizeof(later.bed));
		life_end(&later);
	}
	model_destroy(got);
	bed_free(b);
}

/* One case.  Takes disk, which has crashed. */
static void look_at(struct life *l, struct sim *disk, uint64_t synced,
		    uint64_t rand)
{
	unsigned int more = sim_rand(&rand) % 8;
	struct sim *copy = NULL;
	struct model *got;
	struct bed b;

	crashes++;
	if (more == 0)
		look_only(l, disk, synced);
	if (more == 1 || more == 2)
		copy = sim_clone(disk);
	bed_take(&b, disk, l->seed);
	b.how.discard = l->st->discard;
	must_open(l, &b);
	got = load(l, &b);
	must_be_found(l, &b, got, synced);
	must_be_whole(l, &b);
	if (copy)
		crash_again(l, copy, model_strict(got), rand);
	sim_destroy(copy);
	if (more == 3) {
		live_on(l, &b, got, rand);
	} else {
		model_destroy(got);
		bed_free(&b);
	}
	if (life_progress)
		life_progress();
}

static void crash_all(struct life *l, struct sim *disk, const char *cut,
		      uint64_t synced)
{
	struct sim_counts counts;

	sim_counts(disk, &counts);
	for (uint64_t i = 0; i < l->st->crashes; i++) {
		uint64_t key[] = { l->seed, i };
		struct sim *crashed;

		if ((i && !counts.unflushed) || !want_crash(i))
			continue;
		snprintf(l->cut, sizeof(l->cut), "%.40s:%llu", cut,
			 (unsigned long long)i);
		crashed = sim_clone(disk);
		/* 0: nothing arrives; 1: all of it. */
		sim_crash(crashed, i < 2 ? i : l->seed * 64 + i);
		if (mend_due(crashes, 64))
			mend_cut(crashed, l->cut);
		look_at(l, crashed, synced,
			bed_hash(bed_hash(5, key, sizeof(key)), cut,
				 strlen(cut)));
	}
	l->cut[0] = '\0';
	sim_destroy(disk);
}

/* ---- copies of the disk (3) ---------------------------------------------- */

static bool want_snap(struct life *l, char *cut)
{
	uint64_t rand = l->seed * 1000003 + l->writes;

	snprintf(cut, 64, "s%llu", (unsigned long long)l->writes);
	return want_cut(cut) && sim_rand(&rand) % l->st->one_in == 0;
}

static void snap_locked(struct life *l)
{
	struct snap *sn;
	char cut[64];

	if (!want_snap(l, cut))
		return;
	sn = malloc(sizeof(*sn));
	*sn = (struct snap){ .next = l->snaps, .write = l->writes,
			     .synced = l->synced,
			     .sim = sim_clone(l->bed.sim) };
	l->snaps = sn;
}

static void on_write(void *arg, uint64_t off, uint64_t len)
{
	struct life *l = arg;

	(void)off;
	(void)len;
	pthread_mutex_lock(&l->lock);
	snap_locked(l);
	l->writes++;
	pthread_mutex_unlock(&l->lock);
}

/* Right after an answer. */
static void snap_now(struct life *l)
{
	pthread_mutex_lock(&l->lock);
	snap_locked(l);
	pthread_mutex_unlock(&l->lock);
}

/* Those of the step that has just ended. */
static void crash_snaps(struct life *l)
{
	struct snap *sn, *list;
	char cut[64];

	pthread_mutex_lock(&l->lock);
	list = l->snaps;
	l->snaps = NULL;
	pthread_mutex_unlock(&l->lock);
	while ((sn = list)) {
		list = sn->next;
		snprintf(cut, sizeof(cut), "s%llu",
			 (unsigned long long)sn->write);
		crash_all(l, sn->sim, cut, sn->synced);
		free(sn);
	}
}

/* ---- stories ------------------------------------------------------------- */

static void end_of_step(struct life *l)
{
	crash_snaps(l);
	life_forget(l, l->synced);
}

static int script_steps(struct life *l, const char *text, unsigned int rounds)
{
	struct step s;
	uint32_t ino;
	int err = 0;

	for (l->script.round = 0; !err && text && l->script.round <
	     (rounds ? rounds : 1); l->script.round++) {
		l->script.at = text;
		while (!err && step_script(l->m, &l->script, &s)) {
			err = life_step(l, &s, &ino);
			step_made(&l->script, &s, ino);
			end_of_step(l);
		}
	}
	return err;
}

static int story_steps(struct life *l)
{
	const struct story *st = l->st;
	uint64_t rand = l->seed * 2 + 1;
	int err = script_steps(l, st->script, st->rounds);

	for (unsigned int i = 0; !err && i < st->steps; i++) {
		err = random_steps(l, 1, sim_rand(&rand));
		end_of_step(l);
	}
	return err;
}

/* What all tellings begin with. */
static struct sim *prepare(const struct story *st, uint64_t seed,
			   uint64_t *strict)
{
	const struct step again = { .kind = DO_REMOUNT };
	struct life l;
	struct sim *base;
	uint32_t ino;

	life_begin(&l, st, seed);
	bed_make(&l.bed, st->profile ? st->profile : "512+8",
		 st->clusters ? st->clusters : 1024, seed);
	l.bed.how.discard = st->discard;
	l.m = model_create();
	life_note(&l);
	life_record(&l, false);
	if (script_steps(&l, st->prepare, st->prepare_rounds) ||
	    random_steps(&l, st->prepare_steps, seed * 2) ||
	    life_step(&l, &again, &ino))
		life_broken(&l, "an error before the story");
	must_agree(&l);
	*strict = model_strict(l.m);
	bed_umount(&l.bed);
	base = sim_clone(l.bed.sim);
	life_end(&l);
	return base;
}

/* From the base on, as far as it gets. */
static void begin_at(struct life *l, const struct story *st, uint64_t seed,
		     struct sim *base, uint64_t strict)
{
	char why[200];

	life_begin(l, st, seed);
	bed_take(&l->bed, sim_clone(base), seed);
	l->bed.how.discard = st->discard;
	must_open(l, &l->bed);
	if (model_load(&l->m, l->bed.fs, why, sizeof(why)))
		life_broken(l, "%s", why);
	if (model_strict(l->m) != strict)
		life_broken(l, "the start is not what it was");
	life_record(l, false);
}

/* Somebody else, who syncs all the time. */
struct other {
	struct tfs	*fs;
	atomic_bool	stop;
	pthread_t	thread;
};

static void *sync_all_the_time(void *arg)
{
	struct other *o = arg;

	while (!atomic_load(&o->stop))
		if (tfs_sync(o->fs))
			break;
	return NULL;
}

static void other_starts(struct life *l, struct other *o)
{
	o->fs = l->bed.fs;
	atomic_init(&o->stop, !l->st->others);
	if (pthread_create(&o->thread, NULL, sync_all_the_time, o))
		abort();
}

static void other_ends(struct other *o)
{
	atomic_store(&o->stop, true);
	pthread_join(o->thread, NULL);
}

/* Without a fault; its writes and flushes are counted. */
static void tell_whole(const struct story *st, uint64_t seed,
		       struct sim *base, uint64_t strict,
		       struct sim_counts *counts)
{
	const struct step again = { .kind = DO_REMOUNT };
	struct other other;
	struct life l;
	uint32_t ino;

	begin_at(&l, st, seed, base, strict);
	l.answered = snap_now;
	sim_on_write(l.bed.sim, on_write, &l);
	other_starts(&l, &other);
	if (story_steps(&l))
		life_broken(&l, "an I/O error out of nothing");
	other_ends(&other);
	must_agree(&l);
	if (life_step(&l, &again, &ino))
		life_broken(&l, "mounted again, it fails");
	end_of_step(&l);
	sim_on_write(l.bed.sim, NULL, NULL);
	must_agree(&l);
	sim_counts(l.bed.sim, counts);
	life_end(&l);
}

/* The power really goes, or flushes fail: false, if it did not. */
static bool tell_cut(const struct story *st, uint64_t seed, struct sim *base,
		     uint64_t strict, char how, uint64_t n)
{
	struct life l;
	char cut[64];
	bool hit;

	snprintf(cut, sizeof(cut), "%c%llu", how, (unsigned long long)n);
	if (!want_cut(cut))
		return true;
	begin_at(&l, st, seed, base, strict);
	if (how == 'f')
		sim_fault(l.bed.sim, SIM_FLUSH_FAIL, 0, 0, -EIO,
			  (unsigned int)n, 0);
	else
		sim_power_off_at(l.bed.sim, n);
	story_steps(&l);
	bed_drop(&l.bed);
	hit = sim_is_off(l.bed.sim) || sim_faults_hit(l.bed.sim);
	sim_clear_faults(l.bed.sim);
	if (hit)
		crash_all(&l, sim_clone(l.bed.sim), cut, l.synced);
	life_end(&l);
	return hit;
}

/* Really cut, at every so many writes and flushes. */
static void tell_cuts(const struct story *st, uint64_t seed, struct sim *base,
		      uint64_t strict, const struct sim_counts *counts)
{
	for (uint64_t n = seed % st->real; n < counts->writes; n += st->real)
		tell_cut(st, seed, base, strict, 'p', n);
	for (uint64_t n = 0; n < counts->flushes; n += (st->real + 1) / 2)
		tell_cut(st, seed, base, strict, 'f', n);
}

void life_tell(const struct story *st, uint64_t seed)
{
	struct story told = *st;
	struct sim_counts counts;
	struct sim *base;
	uint64_t strict;

	read_wanted();
	if (!want_story(st, seed))
		return;
	told.one_in = st->one_in ? st->one_in : 1;
	if (wanted.fields > 2)		/* others don't cost anything */
		told.one_in = told.real = 1;
	base = prepare(&told, seed, &strict);
	tell_whole(&told, seed, base, strict, &counts);
	if (told.real)
		tell_cuts(&told, seed, base, strict, &counts);
	sim_destroy(base);
}
