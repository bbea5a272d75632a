/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gate.h - handles, the leader, and the tickets of readers. */
#ifndef TFS_GATE_H
#define TFS_GATE_H

#include "tfs.h"

/* Waits while the gate is closed.  Who is in may not come in again. */
void tfs_gate_enter(struct tfs *fs);
void tfs_gate_leave(struct tfs *fs);
/* No handle is held from here to there. */
void tfs_gate_close(struct tfs *fs);
void tfs_gate_open(struct tfs *fs);
/* Is a handle held now? */
bool tfs_gate_busy(struct tfs *fs);

/* One leader at a time closes commits and logs them. */
void tfs_lead(struct tfs *fs);
void tfs_unlead(struct tfs *fs);

/* Reads pin what they look at; call the first under fs->tree. */
unsigned int tfs_reader_enter(struct tfs *fs);
void tfs_reader_exit(struct tfs *fs, unsigned int ticket);
/* Until the readers of the epoch that a boundary ended are through. */
void tfs_readers_drain(struct tfs *fs, unsigned int ticket);
/* None comes any more: until the last one is through. */
void tfs_readers_wait(struct tfs *fs);

#endif
