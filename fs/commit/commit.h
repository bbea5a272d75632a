/* SPDX-License-Identifier: GPL-2.0-or-later */
/* commit.h - when commits end, and when they are durable. */
#ifndef TFS_COMMIT_H
#define TFS_COMMIT_H

#include "tfs.h"

int tfs_commits_create(struct tfs *fs);
void tfs_commits_destroy(struct tfs *fs);

/* As leader: close what is running and make it durable, if there is anything.
 * 0, -errno, or 1: it takes a checkpoint. */
int tfs_commit_lead(struct tfs *fs);
/* Write down that this commit is durable, if the log does not say so yet and
 * nothing else is about to. */
void tfs_commit_mark(struct tfs *fs, uint64_t seq);
/* Under fs->tree: is there anything for the running commit to say? */
bool tfs_commit_waiting(const struct tfs *fs);
/* Has it reached its bound, how many times? */
unsigned int tfs_commit_pressure(const struct tfs *fs);
/* While the gate is closed, under fs->tree: the next commit is running from
 * now on. */
void tfs_commit_close(struct tfs *fs);
/* Log what was closed and flush.  0: it is durable; 1: it can't be logged,
 * and nothing can before a checkpoint that contains it; -errno: the end. */
int tfs_commit_log(struct tfs *fs);
/* A checkpoint made it durable: the log goes on from there. */
void tfs_commit_superseded(struct tfs *fs, uint64_t seq);

#endif
