/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helper.c - the helper thread: commits and checkpoints that nobody waits for,
 * and log lines about files whose content failed verification.
 *
 *  (1) Completions may not wait, and a path needs the tree; so they leave a
 *      note (notes.c), and the helper finds the path and writes the line.
 *  (2) Notes that are still there when the filesystem is closed are written
 *      then.
 *  (3) What nobody waits for is committed after the commit interval; when
 *      nothing came in a whole one, a checkpoint lets the log and what was
 *      freed go.
 *  (4) What a leg of a mirror has wrong may be all of it: so many lines, and
 *      then it is only counted.
 *  (5) The list of flaws is stored with such a commit, and no sooner. */
#include <stdlib.h>
#include <time.h>

#include "base/about.h"
#include "base/cluster.h"
#include "base/notes.h"
#include "commit/ckpt.h"
#include "commit/commit.h"
#include "file/flaws.h"
#include "file/orphan.h"
#include "name/path.h"
#include "mount/helper.h"
#include "mount/legs.h"

#define MARK_NSEC	5000000	/* nothing came after a commit */
#define PATH_TEXT	4096u
#define LEGS_TEXT	512u
#define LEG_LINES	1000u
#define SWEEP		64u	/* entries of the list of flaws, at a tick */

/* (4) */
static void say_legs(struct tfs *fs, const struct tfs_report *r)
{
	struct tfs_about about = {
		.ino = r->ino, .off = r->off, .len = r->len,
	};
	char *path, legs[LEGS_TEXT];

	if (fs->legs_said > LEG_LINES)
		return;
	if (fs->legs_said++ == LEG_LINES) {
		eng_log(LOG_WARNING, "more of files is wrong on legs of the "
			"mirror, which is only counted from here on: tagfsctl "
			"status");
		return;
	}
	path = malloc(PATH_TEXT);
	if (path)
		about.path = tfs_path(fs, r->ino, path, PATH_TEXT);
	tfs_log_about(LOG_WARNING, &about, "%s: bytes %llu-%llu are bad on %s "
		      "(inode %u): another leg has answered, and %s",
		      path ? about.path : "?", (unsigned long long)r->off,
		      (unsigned long long)r->off + r->len - 1,
		      tfs_legs_name(fs, r->legs, legs, sizeof(legs)), r->ino,
		      r->healed ? "they were rewritten" :
		      "nothing is rewritten");
	free(path);
}

static void say(struct tfs *fs, const struct tfs_report *r)
{
	char *path = malloc(PATH_TEXT), text[160];
	struct tfs_about about = {
		.ino = r->ino, .off = r->off, .len = r->len,
		.path = path ? tfs_path(fs, r->ino, path, PATH_TEXT) : NULL,
		.check = tfs_check_name(r->err, &r->fault),
	};

	tfs_log_about(LOG_ERR, &about, "%s: bytes %llu-%llu are bad (inode "
		      "%u): %s", path ? about.path : "?",
		      (unsigned long long)r->off,
		      (unsigned long long)r->off + r->len - 1, r->ino,
		      tfs_fault_text(r->err, &r->fault, text, sizeof(text)));
	free(path);
}

static void list(struct tfs *fs, const struct tfs_report *r)
{
	struct tfs_flaw f = {
		.kind = r->kind, .ino = r->ino, .off = r->off,
		.len = r->len, .addr = r->addr, .seq = r->seq,
		.healed = r->healed,
	};

	tfs_flaw_cause(&f, r->err, &r->fault);
	tfs_flaws_add(fs, &f);
}

static void say_all(struct tfs *fs)
{
	uint64_t dropped;
	struct tfs_report *next = tfs_notes_take(fs, &dropped), *r;

	while ((r = next)) {
		next = r->next;
		if (r->legs) {
			say_legs(fs, r);
		} else {
			if (r->kind == TFS_FLAW_DATA)
				say(fs, r);
			list(fs, r);
		}
		free(r);
	}
	tfs_flaws_add_unlisted(fs, dropped);
}

static bool before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec :
		a->tv_nsec < b->tv_nsec;
}

static struct timespec from_now(unsigned int seconds, long nsec)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += seconds + (t.tv_nsec + nsec) / 1000000000;
	t.tv_nsec = (t.tv_nsec + nsec) % 1000000000;
	return t;
}

/* What the helper does next, and when by itself. */
struct agenda {
	bool		commit, ckpt, tick, stop;
	uint64_t	mark;		/* this commit; 0: none */
	struct timespec	next_tick, next_mark;
	bool		mark_set;
	uint64_t	seq;		/* at the last tick */
};

static const struct timespec *deadline(const struct tfs *fs,
				       const struct agenda *ag)
{
	if (!fs->opt.commit)
		return NULL;
	return ag->mark_set && before(&ag->next_mark, &ag->next_tick) ?
		&ag->next_mark : &ag->next_tick;
}

/* Sleep until there is something to do. */
static void wait_for_work(struct tfs *fs, struct agenda *ag)
{
	const struct timespec *until = NULL;
	int err = 0;

	pthread_mutex_lock(&fs->helper_lock);
	while (!fs->helper_stop && !fs->want_commit && !fs->want_ckpt &&
	       !fs->reports && !err) {
		if (fs->want_mark && !ag->mark_set) {
			ag->next_mark = from_now(0, MARK_NSEC);
			ag->mark_set = true;
		}
		until = deadline(fs, ag);
		err = until ? pthread_cond_timedwait(&fs->helper_cond,
						     &fs->helper_lock, until) :
			pthread_cond_wait(&fs->helper_cond, &fs->helper_lock);
	}
	ag->stop = fs->helper_stop;
	ag->commit = fs->want_commit;
	ag->ckpt = fs->want_ckpt;
	ag->mark = err && until == &ag->next_mark ? fs->want_mark : 0;
	ag->tick = err && !ag->mark;
	fs->want_commit = fs->want_ckpt = false;
	if (ag->mark) {
		fs->want_mark = 0;
		ag->mark_set = false;
	}
	pthread_mutex_unlock(&fs->helper_lock);
}

/* (3) */
static void tick(struct tfs *fs, struct agenda *ag)
{
	uint64_t seq;
	bool idle;

	tfs_orphan_retry(fs);
	tfs_flaws_sweep(fs, SWEEP);				/* (5) */
	tfs_flaws_store(fs, false);
	pthread_rwlock_rdlock(&fs->tree);
	idle = !tfs_commit_waiting(fs) && fs->seq == ag->seq;
	pthread_rwlock_unlock(&fs->tree);
	if (idle)
		tfs_ckpt_run(fs);
	else
		tfs_sync(fs);
	pthread_rwlock_rdlock(&fs->tree);
	seq = fs->seq;
	pthread_rwlock_unlock(&fs->tree);
	ag->seq = seq;
	ag->next_tick = from_now(fs->opt.commit, 0);
}

static void *helper(void *arg)
{
	struct tfs *fs = arg;
	struct agenda ag = { .next_tick = from_now(fs->opt.commit, 0) };

	do {
		wait_for_work(fs, &ag);
		if (ag.mark)
			tfs_commit_mark(fs, ag.mark);
		if (ag.tick)
			tick(fs, &ag);
		if (ag.commit)
			tfs_sync(fs);
		if (ag.ckpt)
			tfs_ckpt_run(fs);
		say_all(fs);
	} while (!ag.stop);
	return NULL;
}

int tfs_helper_start(struct tfs *fs)
{
	int err = pthread_create(&fs->helper, NULL, helper, fs);

	fs->helper_runs = !err;
	return -err;
}

void tfs_helper_stop(struct tfs *fs)
{
	if (fs->helper_runs) {
		pthread_mutex_lock(&fs->helper_lock);
		fs->helper_stop = true;
		pthread_cond_signal(&fs->helper_cond);
		pthread_mutex_unlock(&fs->helper_lock);
		pthread_join(fs->helper, NULL);
		fs->helper_runs = false;
	}
	if (fs->nodes)
		say_all(fs);	/* (2) */
}
