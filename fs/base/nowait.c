/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nowait.c - which threads must not wait.
 *
 *  (1) Such a thread reads no node, runs no commit or checkpoint and waits for
 *      none: instead it gets TFS_WAITS.  Locks that are only ever held for
 *      work in memory it takes like any other.
 *  (2) Nothing was changed then, so the call can be made again elsewhere. */
#include "base/nowait.h"
#include "tfs.h"

static __thread bool here;

void tfs_nowait(bool on)
{
	here = on;
}

bool tfs_must_not_wait(void)
{
	return here;
}
