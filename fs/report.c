/* SPDX-License-Identifier: GPL-2.0-or-later */
/* report.c - the helper thread: timed checkpoints, and log lines about files
 * whose content failed verification.
 *
 *  (1) Completions may not wait, and a path needs the tree; so they leave a
 *      note, and the helper finds the path and writes the line.
 *  (2) Notes that are still there when the filesystem is closed are written
 *      then: none is lost but to lack of memory or to NOTES_MAX. */
#include <stdlib.h>
#include <time.h>

#include "tfs_priv.h"

#define NOTES_MAX	1024u
#define PATH_TEXT	4096u

struct tfs_report {
	struct tfs_report *next;
	uint32_t	ino;
	uint64_t	off;
	size_t		len;
	int		err;
	struct eng_fault fault;
};

static void say(struct tfs *fs, const struct tfs_report *r)
{
	char *path = malloc(PATH_TEXT), text[160];

	eng_log(LOG_ERR, "%s: bytes %llu-%llu are bad (inode %u): %s",
		path ? tfs_path(fs, r->ino, path, PATH_TEXT) : "?",
		(unsigned long long)r->off,
		(unsigned long long)r->off + r->len - 1, r->ino,
		tfs_fault_text(r->err, &r->fault, text, sizeof(text)));
	free(path);
}

/* In the order in which they came. */
static void say_all(struct tfs *fs)
{
	struct tfs_report *list = NULL, *r;

	pthread_mutex_lock(&fs->helper_lock);
	while ((r = fs->reports)) {
		fs->reports = r->next;
		r->next = list;
		list = r;
	}
	fs->report_count = 0;
	pthread_mutex_unlock(&fs->helper_lock);
	while ((r = list)) {
		list = r->next;
		say(fs, r);
		free(r);
	}
}

void tfs_report_fault(struct tfs *fs, uint32_t ino, uint64_t off, size_t len,
		      int err, const struct eng_fault *fault)
{
	struct tfs_report *r = malloc(sizeof(*r));

	tfs_fault_count(fs, err, fault);
	if (!r)
		return;
	*r = (struct tfs_report){ .ino = ino, .off = off, .len = len,
				  .err = err, .fault = *fault };
	pthread_mutex_lock(&fs->helper_lock);
	if (fs->report_count++ < NOTES_MAX) {
		r->next = fs->reports;
		fs->reports = r;
		r = NULL;
	}
	pthread_cond_signal(&fs->helper_cond);
	pthread_mutex_unlock(&fs->helper_lock);
	free(r);
}

void tfs_helper_kick(struct tfs *fs)
{
	pthread_mutex_lock(&fs->helper_lock);
	fs->helper_kick = true;
	pthread_cond_signal(&fs->helper_cond);
	pthread_mutex_unlock(&fs->helper_lock);
}

/* Sleep until there is something to do.  True: a checkpoint is due. */
static bool wait_for_work(struct tfs *fs, struct timespec *due)
{
	bool ckpt;
	int err = 0;

	pthread_mutex_lock(&fs->helper_lock);
	while (!fs->helper_stop && !fs->helper_kick && !fs->reports && !err)
		err = fs->opt.commit ?
			pthread_cond_timedwait(&fs->helper_cond,
					       &fs->helper_lock, due) :
			pthread_cond_wait(&fs->helper_cond, &fs->helper_lock);
	ckpt = fs->helper_kick || err;
	fs->helper_kick = false;
	pthread_mutex_unlock(&fs->helper_lock);
	if (err) {
		clock_gettime(CLOCK_MONOTONIC, due);
		due->tv_sec += fs->opt.commit;
	}
	return ckpt;
}

static void *helper(void *arg)
{
	struct tfs *fs = arg;
	struct timespec due;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &due);
	due.tv_sec += fs->opt.commit;
	do {
		if (wait_for_work(fs, &due))
			tfs_ckpt_run(fs);
		say_all(fs);
		pthread_mutex_lock(&fs->helper_lock);
		stop = fs->helper_stop;
		pthread_mutex_unlock(&fs->helper_lock);
	} while (!stop);
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
