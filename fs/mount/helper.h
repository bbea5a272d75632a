/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helper.h - the helper thread. */
#ifndef TFS_HELPER_H
#define TFS_HELPER_H

#include "tfs.h"

int tfs_helper_start(struct tfs *fs);
/* All notes that are left are dealt with first. */
void tfs_helper_stop(struct tfs *fs);

#endif
