/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ckpt.h - checkpoints. */
#ifndef TFS_CKPT_H
#define TFS_CKPT_H

#include "tfs.h"

/* Checkpoint all that was done before. */
int tfs_ckpt_run(struct tfs *fs);
/* Even if nothing changed; clean: it is the last one. */
int tfs_ckpt_force(struct tfs *fs, bool clean);

#endif
