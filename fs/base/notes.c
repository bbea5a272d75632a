/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notes.c - what is left for the helper thread: helper.c reads it.
 *
 *  (1) Leaving a note never blocks on I/O and asks for no lock but the notes'
 *      own, so that completions may do it.
 *  (2) None is lost but to lack of memory or to NOTES_MAX, and what is lost is
 *      counted.
 *  (3) Who reads the same again and again leaves one note, and if there are
 *      many, a range that goes on is one. */
#include <stdlib.h>

#include "base/cluster.h"
#include "base/notes.h"

#define NOTES_MAX	1024u

/* The same bytes again, or those behind them? */
static bool continues(const struct tfs *fs, const struct tfs_report *last,
		      const struct tfs_report *r)
{
	uint64_t lc = r->off / fs->csize, last_lc = last->off / fs->csize;

	if (last->kind != r->kind || last->ino != r->ino ||
	    last->seq != r->seq || r->off < last->off ||
	    last->err != r->err || last->addr - last_lc != r->addr - lc ||
	    last->legs || r->legs)
		return false;
	return r->off + r->len <= last->off + last->len ||
		(fs->report_count > NOTES_MAX / 2 &&
		 r->off <= last->off + last->len);
}

static bool join_locked(struct tfs *fs, const struct tfs_report *r)
{
	struct tfs_report *last = fs->reports;

	if (!last || !continues(fs, last, r))
		return false;
	if (r->off + r->len > last->off + last->len)
		last->len = r->off + r->len - last->off;
	return true;
}

static void leave(struct tfs *fs, const struct tfs_report *what)
{
	struct tfs_report *r = malloc(sizeof(*r));

	if (r)
		*r = *what;
	pthread_mutex_lock(&fs->helper_lock);
	if (join_locked(fs, what)) {
		/* (3) */
	} else if (r && fs->report_count < NOTES_MAX) {
		fs->report_count++;
		r->next = fs->reports;
		fs->reports = r;
		r = NULL;
	} else if (!what->legs) {
		fs->reports_dropped++;
	}
	pthread_cond_signal(&fs->helper_cond);
	pthread_mutex_unlock(&fs->helper_lock);
	free(r);
}

void tfs_note_fault(struct tfs *fs, const struct tfs_report *what)
{
	tfs_fault_count(fs, what->err, &what->fault);
	leave(fs, what);
}

void tfs_note_node(struct tfs *fs, const struct tfs_report *what)
{
	leave(fs, what);
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

struct tfs_report *tfs_notes_take(struct tfs *fs, uint64_t *dropped)
{
	struct tfs_report *list = NULL, *r;

	pthread_mutex_lock(&fs->helper_lock);
	while ((r = fs->reports)) {
		fs->reports = r->next;
		r->next = list;
		list = r;
	}
	fs->report_count = 0;
	*dropped = fs->reports_dropped;
	fs->reports_dropped = 0;
	pthread_mutex_unlock(&fs->helper_lock);
	return list;
}

void tfs_notes_clear(struct tfs *fs)
{
	uint64_t dropped;
	struct tfs_report *next = tfs_notes_take(fs, &dropped), *r;

	while ((r = next)) {
		next = r->next;
		free(r);
	}
}
