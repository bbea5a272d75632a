/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gate.c - who may be inside while a commit ends and a checkpoint passes.
 *
 *  (1) Between tfs_gate_close() and tfs_gate_open() no handle is held: closing
 *      waits for those that are, and new ones wait for the gate.
 *  (2) One leader at a time.
 *  (3) A reader's ticket names the epoch that it began in, by parity: an
 *      epoch ends only when the readers of the one before it are gone, so two
 *      counters do.  None comes to one that is waited for: that epoch is over,
 *      or the filesystem is being closed.
 *  (4) A reader takes no lock, unless it is the last that is waited for. */
#include "base/gate.h"

#define AWAITED	(1u << 31)	/* in a count of readers: somebody waits */

/* ---- handles -------------------------------------------------------------- */

void tfs_gate_enter(struct tfs *fs)
{
	struct tfs_ckpt *ck = &fs->ckpt;

	pthread_mutex_lock(&ck->lock);
	while (ck->closing)
		pthread_cond_wait(&ck->cond, &ck->lock);
	ck->handles++;
	pthread_mutex_unlock(&ck->lock);
}

void tfs_gate_leave(struct tfs *fs)
{
	struct tfs_ckpt *ck = &fs->ckpt;

	pthread_mutex_lock(&ck->lock);
	if (!--ck->handles && ck->closing)
		pthread_cond_broadcast(&ck->cond);
	pthread_mutex_unlock(&ck->lock);
}

void tfs_gate_close(struct tfs *fs)
{
	struct tfs_ckpt *ck = &fs->ckpt;

	pthread_mutex_lock(&ck->lock);
	ck->closing = true;
	while (ck->handles)
		pthread_cond_wait(&ck->cond, &ck->lock);
	pthread_mutex_unlock(&ck->lock);
}

void tfs_gate_open(struct tfs *fs)
{
	struct tfs_ckpt *ck = &fs->ckpt;

	pthread_mutex_lock(&ck->lock);
	ck->closing = false;
	pthread_cond_broadcast(&ck->cond);
	pthread_mutex_unlock(&ck->lock);
}

bool tfs_gate_busy(struct tfs *fs)
{
	bool busy;

	pthread_mutex_lock(&fs->ckpt.lock);
	busy = fs->ckpt.handles;
	pthread_mutex_unlock(&fs->ckpt.lock);
	return busy;
}

/* ---- the leader ----------------------------------------------------------- */

void tfs_lead(struct tfs *fs)
{
	struct tfs_ckpt *ck = &fs->ckpt;

	pthread_mutex_lock(&ck->lock);
	while (ck->leading)
		pthread_cond_wait(&ck->cond, &ck->lock);
	ck->leading = true;
	pthread_mutex_unlock(&ck->lock);
}

void tfs_unlead(struct tfs *fs)
{
	struct tfs_ckpt *ck = &fs->ckpt;

	pthread_mutex_lock(&ck->lock);
	ck->leading = false;
	pthread_cond_broadcast(&ck->cond);
	pthread_mutex_unlock(&ck->lock);
}

/* ---- readers -------------------------------------------------------------- */

unsigned int tfs_reader_enter(struct tfs *fs)
{
	unsigned int ticket = fs->epoch & 1;

	atomic_fetch_add(&fs->ckpt.readers[ticket], 1);
	return ticket;
}

void tfs_reader_exit(struct tfs *fs, unsigned int ticket)
{
	atomic_uint *readers = &fs->ckpt.readers[ticket];
	unsigned int n = atomic_load(readers);

	while (n != (AWAITED | 1))
		if (atomic_compare_exchange_weak(readers, &n, n - 1))
			return;
	/* Nobody else changes it now.  Under the lock: who waits may free it. */
	pthread_mutex_lock(&fs->ckpt.lock);
	atomic_store(readers, 0);
	pthread_cond_broadcast(&fs->ckpt.cond);
	pthread_mutex_unlock(&fs->ckpt.lock);
}

void tfs_readers_drain(struct tfs *fs, unsigned int ticket)
{
	atomic_uint *readers = &fs->ckpt.readers[ticket];

	pthread_mutex_lock(&fs->ckpt.lock);
	if (!atomic_fetch_or(readers, AWAITED))
		atomic_store(readers, 0);		/* (3): none comes */
	while (atomic_load(readers))
		pthread_cond_wait(&fs->ckpt.cond, &fs->ckpt.lock);
	pthread_mutex_unlock(&fs->ckpt.lock);
}

void tfs_readers_wait(struct tfs *fs)
{
	tfs_readers_drain(fs, 0);
	tfs_readers_drain(fs, 1);
}
