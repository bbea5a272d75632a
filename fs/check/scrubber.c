/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scrubber.c - see scrubber.h.
 *
 *  (1) The thread has idle I/O priority, and sleeps after each step until it
 *      is no faster than its rate.  With one, it also rests for REST times as
 *      long as a step took, as long as others make requests.
 *  (2) It is joined before the filesystem is closed, and before another one
 *      starts.
 *  (3) What it finds goes to the list of flaws, and is said if it is new there.
 *      What is on it and was not found again by a whole scrub is gone.
 *  (4) The lock is a leaf: no call of the filesystem is made under it.
 *  (5) That it runs is kept in the filesystem when it begins, durably, and how
 *      far it is every half minute and when it is paused or ends; before that,
 *      what it has found (kept.c).  The end of the mount, or a crash, only
 *      interrupts it. */
#include <linux/ioprio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "base/about.h"
#include "base/cluster.h"
#include "check/kept.h"
#include "check/scrubber.h"
#include "commit/ckpt.h"
#include "file/flaws.h"
#include "name/path.h"
#include "tree/freemap.h"

#define PATH_TEXT	4096u
#define KEEP		30000000u	/* microseconds (5) */
#define REST		31u
#define LOOK		20000u		/* microseconds; for others (1) */

struct tfs_scrubber {
	struct tfs	*fs;
	uint64_t	(*others)(void *arg);	/* or NULL; fixed */
	void		*arg;
	pthread_mutex_t	lock;
	pthread_cond_t	cond;
	/* under lock */
	pthread_t	thread;
	bool		joinable;	/* (2) */
	bool		runs;		/* the thread is not at its end */
	bool		resumes;	/* it began where another has stopped */
	bool		pause, cancel, stopped;
	bool		interrupted;	/* by the end of the last mount */
	struct tfs_scrub_status st;
	/* the thread's own */
	uint64_t	kept_at;	/* 0: to be kept soon */
	uint64_t	seen;		/* requests of others */
};

static bool is_active_state(enum tfs_scrub_state state)
{
	return state == TFS_SCRUB_RUNNING || state == TFS_SCRUB_PAUSED;
}

static int64_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec;
}

static uint64_t micros(void)
{
	return eng_now_ns() / 1000;
}

/* ---- findings ----------------------------------------------------------- */

static void say(struct tfs *fs, const struct tfs_scrub_finding *f)
{
	char *path = malloc(PATH_TEXT), fault[160];
	struct tfs_about about = { .ino = 0 };
	const char *why = f->why ? f->why :
		tfs_fault_text(f->err, &f->fault, fault, sizeof(fault));

	about.check = f->why ? "structure" :
		tfs_check_name(f->err, &f->fault);
	if (f->kind == TFS_SCRUB_DATA) {
		about.ino = f->ino;
		about.off = f->off;
		about.len = f->len;
		about.path = path ? tfs_path(fs, f->ino, path, PATH_TEXT) :
			NULL;
		tfs_log_about(LOG_ERR, &about, "scrub: %s: bytes %llu-%llu are "
			      "bad (inode %u): %s", path ? about.path : "?",
			      (unsigned long long)f->off,
			      (unsigned long long)f->off + f->len - 1, f->ino,
			      why);
	} else if (f->kind >= TFS_SCRUB_DEVICE) {
		tfs_log_about(LOG_ERR, &about, "scrub: %s%s", why, f->healed ?
			      "; it was rewritten" : "");
	} else {
		about.cluster = f->cluster;
		tfs_log_about(LOG_ERR, &about, "scrub: tree node at cluster "
			      "%llu: %s%s", (unsigned long long)f->cluster,
			      why, f->healed ?
			      "; the next checkpoint heals it" : "");
	}
	free(path);
}

static void found(struct tfs_scrub *s, const struct tfs_scrub_finding *f)
{
	static const enum tfs_flaw_kind kinds[] = {
		[TFS_SCRUB_DATA] = TFS_FLAW_DATA,
		[TFS_SCRUB_NODE] = TFS_FLAW_NODE,
		[TFS_SCRUB_LOST] = TFS_FLAW_LOST,
		[TFS_SCRUB_DEVICE] = TFS_FLAW_DEVICE,
		[TFS_SCRUB_SUPER] = TFS_FLAW_SUPER,
		[TFS_SCRUB_SLOT] = TFS_FLAW_SLOT,
		[TFS_SCRUB_LOG] = TFS_FLAW_LOG,
		[TFS_SCRUB_LEGS] = TFS_FLAW_LEGS,
	};
	struct tfs_flaw flaw = {
		.kind = kinds[f->kind], .ino = f->ino, .off = f->off,
		.len = f->len, .addr = f->cluster, .seq = f->seq,
		.healed = f->healed, .copy = f->copy, .leg = f->leg,
	};

	tfs_flaw_cause(&flaw, f->err, &f->fault);
	if (tfs_flaws_add(s->fs, &flaw))			/* (3) */
		say(s->fs, f);
}

/* ---- the thread --------------------------------------------------------- */

static void publish(struct tfs_scrubber *sc, const struct tfs_scrub *s)
{
	sc->st.bytes = s->bytes;
	sc->st.nodes = s->nodes;
	sc->st.healed = s->healed;
	sc->st.uncorrectable = s->uncorrectable;
	sc->st.region = s->region;
	sc->st.regions = s->regions;
}

/* (5)  Where it can't be, a crash costs more. */
static void keep(struct tfs_scrubber *sc, const struct tfs_scrub *s,
		 enum tfs_scrub_state state, bool durable)
{
	struct tfs_scrub_status st;
	struct tfs_kept k;
	bool whole = state == TFS_SCRUB_FINISHED && s->data && s->meta;
	int err;

	tfs_scrubber_status(sc, &st);
	k = (struct tfs_kept){
		.state = state, .data = st.how.data, .meta = st.how.meta,
		.errors = st.how.errors, .rate = st.how.rate, .err = st.err,
		.started = st.started, .ended = st.ended, .bytes = s->bytes,
		.nodes = s->nodes, .healed = s->healed,
		.uncorrectable = s->uncorrectable, .region = s->region,
		.bit = s->bit, .ino = s->ino, .parts = s->parts,
	};
	err = tfs_flaws_store(sc->fs, true);
	if (!err)
		err = tfs_kept_store(sc->fs, &k, &s->suspect, whole);
	if (!err && durable)
		tfs_sync(sc->fs);
	sc->kept_at = micros();
}

static bool told_to_end(const struct tfs_scrubber *sc)
{
	return sc->cancel || sc->stopped;
}

/* Until then, or it is told something. */
static void wait_until(struct tfs_scrubber *sc, uint64_t at)
{
	struct timespec t = { .tv_sec = at / 1000000,
			      .tv_nsec = at % 1000000 * 1000 };

	while (!told_to_end(sc) && !sc->pause && micros() < at)
		pthread_cond_timedwait(&sc->cond, &sc->lock, &t);
}

/* A pause is kept at once: it may be long.  That it goes on, too. */
static void wait_paused(struct tfs_scrubber *sc, const struct tfs_scrub *s)
{
	if (!sc->pause || told_to_end(sc))
		return;
	sc->st.state = TFS_SCRUB_PAUSED;
	pthread_mutex_unlock(&sc->lock);
	keep(sc, s, TFS_SCRUB_PAUSED, true);
	pthread_mutex_lock(&sc->lock);
	while (sc->pause && !told_to_end(sc))
		pthread_cond_wait(&sc->cond, &sc->lock);
	if (told_to_end(sc))
		return;
	sc->st.state = TFS_SCRUB_RUNNING;
	sc->kept_at = 0;
}

/* Since the last time that it was asked. */
static bool others_came(struct tfs_scrubber *sc)
{
	uint64_t seen = sc->seen;

	if (sc->others)
		sc->seen = sc->others(sc->arg);
	return sc->seen != seen;
}

/* Until then, or nobody needs it. */
static void make_room(struct tfs_scrubber *sc, uint64_t until)
{
	uint64_t now;

	while ((now = micros()) < until && !told_to_end(sc) && !sc->pause) {
		wait_until(sc, now + LOOK < until ? now + LOOK : until);
		if (!others_came(sc))
			break;
	}
}

/* Between two steps.  False: no more. */
static bool go_on(struct tfs_scrubber *sc, const struct tfs_scrub *s,
		  uint64_t began, uint64_t before)
{
	unsigned int rate = sc->st.how.rate;
	uint64_t now = micros(), at = 0, room = 0;
	bool on;

	if (rate)						/* (1) */
		at = began + (s->moved - before) * 1000000 /
			((uint64_t)rate << 20);
	if (rate && others_came(sc))
		room = now + REST * (now - began);

	if (!sc->kept_at || now - sc->kept_at >= KEEP)
		keep(sc, s, TFS_SCRUB_RUNNING, false);
	pthread_mutex_lock(&sc->lock);
	publish(sc, s);
	do {
		wait_until(sc, at);
		make_room(sc, room);
		wait_paused(sc, s);
		on = !told_to_end(sc);
	} while (on && (sc->pause || micros() < at));
	pthread_mutex_unlock(&sc->lock);
	return on;
}

/* Where the last mount has left it; what is there may make no sense. */
static int take_position(struct tfs_scrubber *sc, struct tfs_scrub *s)
{
	struct tfs_kept k;
	int err = tfs_kept_load(sc->fs, &k, &s->suspect);

	if (err == -ENOMEM)
		return err;
	if (err || k.errors != s->errors) {
		eng_log(LOG_WARNING, "scrub: how far it was can't be read: it "
			"begins anew");
		tfs_runs_clear(&s->suspect);
		return 0;
	}
	if (s->errors)			/* a list is short */
		return 0;
	s->bytes = k.bytes;
	s->nodes = k.nodes;
	s->healed = k.healed;
	s->uncorrectable = k.uncorrectable;
	s->region = k.region;
	s->bit = k.bit;
	s->ino = k.ino;
	s->parts = k.parts;
	return 0;
}

static int scrub_all(struct tfs_scrubber *sc, struct tfs_scrub *s)
{
	bool on;
	int err = 0;

	pthread_mutex_lock(&sc->lock);
	on = !told_to_end(sc);
	pthread_mutex_unlock(&sc->lock);
	while (!err && on && !s->done) {
		uint64_t began = micros(), before = s->moved;

		err = tfs_scrub_step(s);
		on = go_on(sc, s, began, before);
	}
	return err;
}

/* It has ended, or only the mount. */
static enum tfs_scrub_state end_state(const struct tfs_scrubber *sc,
				      const struct tfs_scrub *s, int err)
{
	if (err)
		return TFS_SCRUB_FAILED;
	if (s->done)
		return TFS_SCRUB_FINISHED;
	return sc->cancel ? TFS_SCRUB_CANCELLED : sc->st.state;
}

static void end(struct tfs_scrubber *sc, struct tfs_scrub *s, int err)
{
	enum tfs_scrub_state state;

	if (s->done)						/* (3) */
		tfs_flaws_expire(sc->fs, s->data, s->meta, sc->st.started);
	pthread_mutex_lock(&sc->lock);
	publish(sc, s);
	state = end_state(sc, s, err);
	sc->st.err = err;
	if (!is_active_state(state))
		sc->st.ended = seconds();
	if (state == TFS_SCRUB_FINISHED && s->data && s->meta)
		sc->st.whole = sc->st.ended;
	pthread_mutex_unlock(&sc->lock);
	keep(sc, s, state, true);
	tfs_scrub_end(s);
	pthread_mutex_lock(&sc->lock);
	sc->st.state = state;
	sc->runs = false;
	pthread_mutex_unlock(&sc->lock);
}

static void *run(void *arg)
{
	struct tfs_scrubber *sc = arg;
	struct tfs_scrub s = { .fs = sc->fs, .arg = sc, .found = found,
			       .data = sc->st.how.data,
			       .meta = sc->st.how.meta,
			       .errors = sc->st.how.errors };
	int err = 0;

	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));	/* (1) */
	if (sc->resumes)
		err = take_position(sc, &s);
	else
		keep(sc, &s, TFS_SCRUB_RUNNING, true);
	tfs_ckpt_run(sc->fs);	/* nodes in memory alone can't be looked at */
	if (!err)
		err = tfs_scrub_begin(&s);
	if (!err)
		err = scrub_all(sc, &s);
	end(sc, &s, err);
	return NULL;
}

static bool is_active(const struct tfs_scrubber *sc)
{
	return is_active_state(sc->st.state);
}

/* Of what is to be done; or of what was interrupted. */
static int launch_locked(struct tfs_scrubber *sc, bool resumes)
{
	int err;

	if (sc->stopped)
		return -ESHUTDOWN;
	if (sc->joinable)		/* it has ended */
		pthread_join(sc->thread, NULL);
	sc->joinable = false;
	sc->resumes = resumes;
	sc->kept_at = micros();
	sc->pause = sc->cancel = false;
	err = -pthread_create(&sc->thread, NULL, run, sc);
	sc->joinable = sc->runs = !err;
	return err;
}

static int start_locked(struct tfs_scrubber *sc,
			const struct tfs_scrub_how *how)
{
	struct tfs_scrub_status old = sc->st;
	int err;

	if (is_active(sc) || sc->runs)
		return -EBUSY;
	sc->st = (struct tfs_scrub_status){
		.state = TFS_SCRUB_RUNNING, .how = *how, .started = seconds(),
		.whole = old.whole,
	};
	err = launch_locked(sc, false);
	if (err)
		sc->st = old;
	return err;
}

int tfs_scrubber_start(struct tfs_scrubber *sc,
		       const struct tfs_scrub_how *how)
{
	int err;

	pthread_mutex_lock(&sc->lock);
	err = start_locked(sc, how);
	pthread_mutex_unlock(&sc->lock);
	return err;
}

int tfs_scrubber_pause(struct tfs_scrubber *sc, bool on)
{
	int err;

	pthread_mutex_lock(&sc->lock);
	err = is_active(sc) ? 0 : -ENOENT;
	if (!err && !on && !sc->runs) {
		err = launch_locked(sc, true);
		if (!err)
			sc->st.state = TFS_SCRUB_RUNNING;
	} else if (!err) {
		sc->pause = on;
		pthread_cond_broadcast(&sc->cond);
	}
	pthread_mutex_unlock(&sc->lock);
	return err;
}

int tfs_scrubber_cancel(struct tfs_scrubber *sc)
{
	int err;

	pthread_mutex_lock(&sc->lock);
	err = is_active(sc) ? 0 : -ENOENT;
	if (!err && !sc->runs)		/* it is the thread that ends it */
		err = launch_locked(sc, true);
	if (!err) {
		sc->cancel = true;
		pthread_cond_broadcast(&sc->cond);
	}
	pthread_mutex_unlock(&sc->lock);
	return err;
}

void tfs_scrubber_status(struct tfs_scrubber *sc,
			 struct tfs_scrub_status *out)
{
	pthread_mutex_lock(&sc->lock);
	*out = sc->st;
	pthread_mutex_unlock(&sc->lock);
}

void tfs_scrubber_stop(struct tfs_scrubber *sc)
{
	bool join;

	pthread_mutex_lock(&sc->lock);
	sc->stopped = true;
	pthread_cond_broadcast(&sc->cond);
	join = sc->joinable;
	sc->joinable = false;
	pthread_mutex_unlock(&sc->lock);
	if (join)						/* (2) */
		pthread_join(sc->thread, NULL);
}

/* What the last mount has left: an old one, or one to go on with. */
static void load(struct tfs_scrubber *sc)
{
	struct tfs_kept k;

	tfs_kept_whole(sc->fs, &sc->st.whole);
	if (tfs_kept_load(sc->fs, &k, NULL))
		return;
	sc->st.state = k.state == TFS_SCRUB_RUNNING ? TFS_SCRUB_PAUSED :
		k.state;
	sc->interrupted = k.state == TFS_SCRUB_RUNNING;
	sc->st.how = (struct tfs_scrub_how){
		.data = k.data, .meta = k.meta, .errors = k.errors,
		.rate = k.rate,
	};
	sc->st.err = k.err;
	sc->st.started = k.started;
	sc->st.ended = k.ended;
	sc->st.bytes = k.bytes;
	sc->st.nodes = k.nodes;
	sc->st.healed = k.healed;
	sc->st.uncorrectable = k.uncorrectable;
	sc->st.region = k.region;
	sc->st.regions = tfs_region_count(sc->fs);
}

void tfs_scrubber_make_room(struct tfs_scrubber *sc,
			    uint64_t (*others)(void *arg), void *arg)
{
	sc->others = others;
	sc->arg = arg;
}

void tfs_scrubber_go_on(struct tfs_scrubber *sc)
{
	if (!sc->interrupted || tfs_rdonly(sc->fs))
		return;
	if (!tfs_scrubber_pause(sc, false))
		eng_log(LOG_INFO, "scrub: it goes on where the last mount has "
			"left it");
}

int tfs_scrubber_create(struct tfs_scrubber **out, struct tfs *fs)
{
	struct tfs_scrubber *sc = calloc(1, sizeof(*sc));
	pthread_condattr_t clock;

	*out = sc;
	if (!sc)
		return -ENOMEM;
	sc->fs = fs;
	pthread_mutex_init(&sc->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&sc->cond, &clock);
	pthread_condattr_destroy(&clock);
	load(sc);
	return 0;
}

void tfs_scrubber_destroy(struct tfs_scrubber *sc)
{
	if (!sc)
		return;
	tfs_scrubber_stop(sc);
	pthread_cond_destroy(&sc->cond);
	pthread_mutex_destroy(&sc->lock);
	free(sc);
}
