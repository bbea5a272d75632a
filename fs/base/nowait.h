/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nowait.h - threads that must not wait; tfs_nowait() and tfs_on_wait() are in
 * fs.h. */
#ifndef TFS_NOWAIT_H
#define TFS_NOWAIT_H

#include <stdbool.h>

/* Is this one? */
bool tfs_must_not_wait(void);
/* Before waiting for the device or a commit: 0, or TFS_WAITS. */
int tfs_may_wait(void);

#endif
