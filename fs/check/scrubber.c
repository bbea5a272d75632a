/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scrubber.c - see scrubber.h.
 *
 *  (1) The thread has idle I/O priority, and sleeps after each step until it
 *      is no faster than its rate.
 *  (2) It is joined before the filesystem is closed, and before another one
 *      starts.
 *  (3) What it finds goes to the list of flaws, and is said if it is new there.
 *      What is on it and was not found again by a whole scrub is gone.
 *  (4) The lock is a leaf: no call of the filesystem is made under it. */
#include <linux/ioprio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cluster.h"
#include "check/scrubber.h"
#include "file/flaws.h"
#include "name/path.h"

#define PATH_TEXT	4096u

struct tfs_scrubber {
	struct tfs	*fs;
	pthread_mutex_t	lock;
	pthread_cond_t	cond;
	/* under lock */
	pthread_t	thread;
	bool		joinable;	/* (2) */
	bool		pause, cancel, stopped;
	struct tfs_scrub_status st;
};

static int64_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec;
}

static uint64_t micros(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

/* ---- findings ----------------------------------------------------------- */

static void say(struct tfs *fs, const struct tfs_scrub_finding *f)
{
	char *path = malloc(PATH_TEXT), fault[160];
	const char *why = f->why ? f->why :
		tfs_fault_text(f->err, &f->fault, fault, sizeof(fault));

	if (f->kind == TFS_SCRUB_DATA)
		eng_log(LOG_ERR, "scrub: %s: bytes %llu-%llu are bad (inode "
			"%u): %s", path ? tfs_path(fs, f->ino, path,
						   PATH_TEXT) : "?",
			(unsigned long long)f->off,
			(unsigned long long)f->off + f->len - 1, f->ino, why);
	else
		eng_log(LOG_ERR, "scrub: tree node at cluster %llu: %s%s",
			(unsigned long long)f->cluster, why, f->healed ?
			"; the next checkpoint heals it" : "");
	free(path);
}

static void found(struct tfs_scrub *s, const struct tfs_scrub_finding *f)
{
	static const enum tfs_flaw_kind kinds[] = {
		[TFS_SCRUB_DATA] = TFS_FLAW_DATA,
		[TFS_SCRUB_NODE] = TFS_FLAW_NODE,
		[TFS_SCRUB_LOST] = TFS_FLAW_LOST,
	};
	struct tfs_flaw flaw = {
		.kind = kinds[f->kind], .ino = f->ino, .off = f->off,
		.len = f->len, .addr = f->cluster, .seq = f->seq,
		.healed = f->healed,
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

/* Until then at least, and as long as it is to pause. */
static void wait_until(struct tfs_scrubber *sc, uint64_t at)
{
	struct timespec t = { .tv_sec = at / 1000000,
			      .tv_nsec = at % 1000000 * 1000 };

	while (!sc->cancel && (sc->pause || micros() < at)) {
		sc->st.state = sc->pause ? TFS_SCRUB_PAUSED :
			TFS_SCRUB_RUNNING;
		if (sc->pause)
			pthread_cond_wait(&sc->cond, &sc->lock);
		else
			pthread_cond_timedwait(&sc->cond, &sc->lock, &t);
	}
	sc->st.state = TFS_SCRUB_RUNNING;
}

/* Between two steps.  False: no more. */
static bool go_on(struct tfs_scrubber *sc, const struct tfs_scrub *s,
		  uint64_t began, uint64_t before)
{
	unsigned int rate = sc->st.how.rate;
	bool on;

	pthread_mutex_lock(&sc->lock);
	publish(sc, s);
	wait_until(sc, rate ? began + (s->bytes - before) * 1000000 /
		   ((uint64_t)rate << 20) : 0);			/* (1) */
	on = !sc->cancel;
	pthread_mutex_unlock(&sc->lock);
	return on;
}

static int scrub_all(struct tfs_scrubber *sc, struct tfs_scrub *s)
{
	int err = tfs_scrub_begin(s);

	if (err)
		return err;
	while (!err && !s->done) {
		uint64_t began = micros(), before = s->bytes;

		err = tfs_scrub_step(s);
		if (!go_on(sc, s, began, before))
			break;
	}
	tfs_scrub_end(s);
	return err;
}

static void *run(void *arg)
{
	struct tfs_scrubber *sc = arg;
	struct tfs_scrub s = { .fs = sc->fs, .arg = sc, .found = found,
			       .data = sc->st.how.data,
			       .meta = sc->st.how.meta };
	uint64_t started = sc->st.started;
	int err;

	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));	/* (1) */
	err = scrub_all(sc, &s);
	if (s.done)						/* (3) */
		tfs_flaws_expire(sc->fs, s.data, s.meta, started);
	pthread_mutex_lock(&sc->lock);
	sc->st.err = err;
	sc->st.ended = seconds();
	sc->st.state = err ? TFS_SCRUB_FAILED : s.done ? TFS_SCRUB_FINISHED :
		TFS_SCRUB_CANCELLED;
	pthread_mutex_unlock(&sc->lock);
	return NULL;
}

static bool is_active(const struct tfs_scrubber *sc)
{
	return sc->st.state == TFS_SCRUB_RUNNING ||
		sc->st.state == TFS_SCRUB_PAUSED;
}

static int start_locked(struct tfs_scrubber *sc,
			const struct tfs_scrub_how *how)
{
	struct tfs_scrub_status old = sc->st;
	int err;

	if (is_active(sc))
		return -EBUSY;
	if (sc->stopped)
		return -ESHUTDOWN;
	if (sc->joinable)		/* it has ended */
		pthread_join(sc->thread, NULL);
	sc->st = (struct tfs_scrub_status){
		.state = TFS_SCRUB_RUNNING, .how = *how, .started = seconds(),
	};
	sc->pause = sc->cancel = false;
	err = -pthread_create(&sc->thread, NULL, run, sc);
	sc->joinable = !err;
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
	if (!err) {
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
	sc->stopped = sc->cancel = true;
	pthread_cond_broadcast(&sc->cond);
	join = sc->joinable;
	sc->joinable = false;
	pthread_mutex_unlock(&sc->lock);
	if (join)						/* (2) */
		pthread_join(sc->thread, NULL);
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
