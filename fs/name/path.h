/* SPDX-License-Identifier: GPL-2.0-or-later */
/* path.h - paths of inodes. */
#ifndef TFS_PATH_H
#define TFS_PATH_H

#include "tfs.h"

/* For messages; somewhere in buf, which is at least 64 bytes. */
const char *tfs_path(struct tfs *fs, uint32_t ino, char *buf, size_t size);

#endif
