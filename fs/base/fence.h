/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fence.h - one host at a time, on storage that several can reach. */
#ifndef TFS_FENCE_H
#define TFS_FENCE_H

#include "tfs.h"

/* Take it, or find that another host has it: -EBUSY, with a line.  *waited:
 * the filesystem may have changed meanwhile. */
int tfs_fence_take(struct tfs *fs, bool *waited);
/* From now on it is renewed by a thread. */
int tfs_fence_start(struct tfs *fs);
/* Once, as the thread does; for who has none. */
void tfs_fence_renew(struct tfs *fs);
/* Give it back, if it is ours. */
void tfs_fence_leave(struct tfs *fs);
/* Before a change: whoever has been asleep for too long looks first. */
bool tfs_fence_due(struct tfs *fs);
void tfs_fence_look(struct tfs *fs);
/* Of a filesystem that is being made: nobody has it. */
int tfs_fence_format(struct tfs *fs);
/* Who has it, if it is another boot or host; false: nobody does. */
bool tfs_fence_held(struct tfs *fs, char host[TFS_FENCE_NODE + 1]);
/* Does he live?  0: no; -EBUSY: yes. */
int tfs_fence_watch(struct tfs *fs);

#endif
