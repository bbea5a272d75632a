/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mount.h - what mkfs and mount share. */
#ifndef TFS_MOUNT_H
#define TFS_MOUNT_H

#include "tfs.h"

struct tfs *tfs_alloc_fs(struct eng_dev *dev);
void tfs_free_fs(struct tfs *fs);
/* Caches and tables, once fs->super is known. */
int tfs_setup(struct tfs *fs);

#endif
