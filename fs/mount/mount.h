/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mount.h - what mkfs and mount share. */
#ifndef TFS_MOUNT_H
#define TFS_MOUNT_H

#include "tfs.h"

struct tfs *tfs_alloc_fs(struct eng_dev *dev);
void tfs_free_fs(struct tfs *fs);
/* Caches and tables, once fs->super is known. */
int tfs_setup(struct tfs *fs);

struct tfs_slot;
/* The filesystem is as that checkpoint says. */
void tfs_take_slot(struct tfs *fs, const struct tfs_slot *slot);
/* What comes before anything else is written: the slot of this life, and a
 * checkpoint with what was replayed. */
int tfs_start_writing(struct tfs *fs, struct tfs_slot *slot, bool replayed);
/* Write it once more, for a life that begins; replayed: more will follow. */
int tfs_begin_life(struct tfs *fs, struct tfs_slot *slot, bool replayed);
/* How large mkfs makes the log. */
uint64_t tfs_log_size(uint64_t clusters, uint32_t csize);

#endif
