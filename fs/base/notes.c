/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notes.c - what is left for the helper thread: helper.c reads it.
 *
 *  (1) Leaving a note never blocks on I/O and asks for no lock but the notes'
 *      own, so that completions may do it.
 *  (2) None is lost but to lack of memory or to NOTES_MAX. */
#include <stdlib.h>

#include "base/cluster.h"
#include "base/notes.h"

#define NOTES_MAX	1024u

static void leave(struct tfs *fs, const struct tfs_report *what)
{
	struct tfs_report *r = malloc(sizeof(*r));

	if (!r)
		return;
	*r = *what;
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

void tfs_note_fault(struct tfs *fs, uint32_t ino, uint64_t off, size_t len,
		    int err, const struct eng_fault *fault)
{
	const struct tfs_report r = { .ino = ino, .off = off, .len = len,
				      .err = err, .fault = *fault };

	tfs_fault_count(fs, err, fault);
	leave(fs, &r);
}

void tfs_note_legs(struct tfs *fs, uint32_t ino, uint64_t off,
		   const struct eng_io *io)
{
	uint32_t isize = fs->geo->profile->interval;
	const struct tfs_report r = {
		.ino = ino, .off = off + (uint64_t)io->bad_at * isize,
		.len = (size_t)(io->bad_end - io->bad_at) * isize,
		.legs = io->bad_legs, .healed = io->healed,
	};

	leave(fs, &r);
}

static void ask(struct tfs *fs, bool *what)
{
	pthread_mutex_lock(&fs->helper_lock);
	if (!*what)
		pthread_cond_signal(&fs->helper_cond);
	*what = true;
	pthread_mutex_unlock(&fs->helper_lock);
}

void tfs_note_commit(struct tfs *fs)
{
	ask(fs, &fs->want_commit);
}

void tfs_note_ckpt(struct tfs *fs)
{
	ask(fs, &fs->want_ckpt);
}

void tfs_note_mark(struct tfs *fs, uint64_t seq)
{
	if (!fs->opt.commit)
		return;
	pthread_mutex_lock(&fs->helper_lock);
	if (!fs->want_mark) {
		fs->want_mark = seq;
		pthread_cond_signal(&fs->helper_cond);
	}
	pthread_mutex_unlock(&fs->helper_lock);
}

struct tfs_report *tfs_notes_take(struct tfs *fs)
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
	return list;
}
