/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sandbox.h - the daemon gives up what it does not need. */
#ifndef TAGFS_SANDBOX_H
#define TAGFS_SANDBOX_H

#include <stdbool.h>

/* No core dumps, which would hold the bytes of files. */
void sandbox_no_dumps(void);
/* Before there are threads: capabilities that no part of a mount's life
 * needs, for good.  0 or -errno. */
int sandbox_drop(void);
/* All threads, once the mount is up: no system calls but those that serving
 * and unmounting may need.  0, also where there is nothing to give up and on
 * processors that have no filter here; or -errno. */
int sandbox_enter(void);

#endif
