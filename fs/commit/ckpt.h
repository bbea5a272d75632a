/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ckpt.h - checkpoints. */
#ifndef TFS_CKPT_H
#define TFS_CKPT_H

#include "commit/super.h"
#include "tfs.h"

/* Checkpoint all that was done before. */
int tfs_ckpt_run(struct tfs *fs);
/* Even if nothing changed; clean: it is the last one. */
int tfs_ckpt_force(struct tfs *fs, bool clean);
/* Look at all copies of both slots while none is written; where one is bad, two
 * checkpoints rewrite them, that one first.  Under fs->remount.  *left: what is
 * bad after that.  0 or -ENOMEM. */
int tfs_ckpt_slots(struct tfs *fs, struct tfs_slot_survey *found,
		   struct tfs_slot_survey *left);

#endif
