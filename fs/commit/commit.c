/* SPDX-License-Identifier: GPL-2.0-or-later */
/* commit.c - commits: when one ends, and when it is durable.
 *
 *  (1) A handle holds the running commit open: what carries its sequence is
 *      mapped in it or freed in it.  Closing waits for handles, and new ones
 *      wait for that.
 *  (2) One leader at a time closes the running commit, writes it to the log
 *      and flushes, while others fill the next.
 *  (3) All data of a commit was written before it was mapped, and its log
 *      before the flush begins; so the flush proves the commit and all before
 *      it.  Durable only grows, and nobody is answered before.
 *  (4) A commit that does not fit into the log, or that can't be written for
 *      lack of memory, is left out, and so is what comes after it, until a
 *      checkpoint contains it: the log has no gaps.
 *  (5) After a failed write or flush there are no more commits.
 *  (6) A commit that is acknowledged is called so in the log: by the next one
 *      or, when all is quiet, by one without changes that is made for it, a
 *      mark.  From then on damage in it can't be taken for a commit that
 *      never arrived.  While changes wait, their own commit will say it. */
#include <stdlib.h>
#include <string.h>

#include "base/fence.h"
#include "base/gate.h"
#include "base/notes.h"
#include "base/state.h"
#include "commit/commit.h"
#include "commit/log.h"

/* ---- closing -------------------------------------------------------------- */

int tfs_commits_create(struct tfs *fs)
{
	struct tfs_log *log = &fs->log;

	/* Memory that no commit touches costs nothing. */
	log->room = (fs->super.log_clusters + 3) / 4;
	log->buf = aligned_alloc(4096, (size_t)log->room * fs->csize);
	fs->running = tfs_commit_create(tfs_nonce(fs));
	fs->closed = tfs_commit_create(tfs_nonce(fs));
	return log->buf && fs->running && fs->closed ? 0 : -ENOMEM;
}

void tfs_commits_destroy(struct tfs *fs)
{
	free(fs->log.buf);
	tfs_commit_free(fs->running);
	tfs_commit_free(fs->closed);
}

void tfs_commit_close(struct tfs *fs)
{
	struct tfs_commit *c = fs->running;

	c->seq = fs->seq++;
	c->checkpoint = fs->slot_number;
	c->inodes = fs->inodes;
	c->reserved = fs->reserved;
	c->next_ino = fs->next_ino;
	fs->running = fs->closed;
	tfs_commit_clear(fs->running);
	fs->closed = c;
}

/* ---- making durable ------------------------------------------------------- */

static uint64_t durable(struct tfs *fs)
{
	uint64_t seq;

	pthread_mutex_lock(&fs->ckpt.lock);
	seq = fs->ckpt.durable;
	pthread_mutex_unlock(&fs->ckpt.lock);
	return seq;
}

static void set_durable(struct tfs *fs, uint64_t seq)
{
	struct tfs_ckpt *ck = &fs->ckpt;

	pthread_mutex_lock(&ck->lock);
	if (ck->durable < seq)
		ck->durable = seq;
	pthread_cond_broadcast(&ck->cond);
	pthread_mutex_unlock(&ck->lock);
}

static void ask_for_mark(struct tfs *fs)
{
	if (fs->log.content > fs->log.marked)
		tfs_note_mark(fs, fs->log.content);		/* (6) */
}

/* (3): the newest commit of the log, and all before it. */
static int flush_log(struct tfs *fs)
{
	uint64_t seq = fs->log.newest;
	int err = eng_dev_flush(fs->dev);

	if (err) {
		tfs_fail(fs, err, "commit");
		return err;
	}
	set_durable(fs, seq);
	ask_for_mark(fs);
	return 0;
}

static int write_closed(struct tfs *fs)
{
	int err = atomic_load(&fs->error);

	if (err)
		return err;
	if (!fs->log.on || fs->log.broken || !tfs_log_fits(fs, fs->closed)) {
		fs->log.broken = true;				/* (4) */
		return 1;
	}
	err = tfs_log_write(fs, fs->closed, durable(fs));
	if (err == -ENOMEM) {
		fs->log.broken = true;				/* (4) */
		return 1;
	}
	if (err)
		tfs_fail(fs, err, "commit");
	return err;
}

int tfs_commit_log(struct tfs *fs)
{
	int err;

	tfs_fence_look(fs);
	err = write_closed(fs);
	return err ? err : flush_log(fs);
}

void tfs_commit_superseded(struct tfs *fs, uint64_t seq)
{
	fs->log.broken = false;
	fs->log.newest = fs->log.content = seq;
	set_durable(fs, seq);
	ask_for_mark(fs);	/* names the checkpoint, if its slot gets lost */
}

/* The leader's: close what is running if it changes something, or, mark, if
 * it changes nothing.  Was it closed? */
static bool close_running(struct tfs *fs, bool mark)
{
	bool close;

	tfs_gate_close(fs);
	pthread_rwlock_wrlock(&fs->tree);
	close = mark == !fs->running->n;
	if (close)
		tfs_commit_close(fs);
	pthread_rwlock_unlock(&fs->tree);
	tfs_gate_open(fs);
	return close;
}

int tfs_commit_lead(struct tfs *fs)
{
	int err = atomic_load(&fs->error);

	if (err)
		return err;					/* (5) */
	if (close_running(fs, false))
		return tfs_commit_log(fs);
	if (fs->log.broken)
		return 1;
	return durable(fs) < fs->log.newest ? flush_log(fs) : 0;
}

/* Nothing waits for a commit, and nothing is about to. */
static bool quiet(struct tfs *fs)
{
	bool quiet;

	if (tfs_gate_busy(fs))
		return false;
	pthread_rwlock_rdlock(&fs->tree);
	quiet = !fs->running->n;
	pthread_rwlock_unlock(&fs->tree);
	return quiet;
}

/* (6) */
void tfs_commit_mark(struct tfs *fs, uint64_t seq)
{
	tfs_lead(fs);
	if (fs->log.marked >= seq)	/* others came: wait for quiet */
		ask_for_mark(fs);
	else if (fs->log.on && !fs->log.broken && !tfs_rdonly(fs) &&
		 quiet(fs) && close_running(fs, true))
		tfs_commit_log(fs);
	tfs_unlead(fs);
}

bool tfs_commit_waiting(const struct tfs *fs)
{
	return fs->running->n;
}

unsigned int tfs_commit_pressure(const struct tfs *fs)
{
	uint64_t bound = fs->super.log_clusters * tfs_log_payload(fs) / 8;
	uint64_t most = fs->running->bytes;

	if (fs->running->used / 4 > most)	/* values outgrown */
		most = fs->running->used / 4;
	if (fs->running->proofs / 256 > most / tfs_log_payload(fs))
		most = fs->running->proofs / 256 * tfs_log_payload(fs);
	return most / bound;
}
