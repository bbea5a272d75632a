/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nowait.c - which threads must not wait, and who is told before others do.
 *
 *  (1) Such a thread reads no node, runs no commit or checkpoint and waits for
 *      none: instead it gets TFS_WAITS.  Locks that are only ever held for
 *      work in memory it takes like any other.
 *  (2) Nothing was changed then, so the call can be made again elsewhere.
 *  (3) Who is told may take locks of its own, and must not call us back. */
#include "base/nowait.h"
#include "tfs.h"

static __thread bool here;
static __thread void (*tell)(void *arg);
static __thread void *tell_arg;

void tfs_nowait(bool on)
{
	here = on;
}

void tfs_on_wait(void (*fn)(void *arg), void *arg)
{
	tell = fn;
	tell_arg = arg;
}

bool tfs_must_not_wait(void)
{
	return here;
}

int tfs_may_wait(void)
{
	if (here)
		return TFS_WAITS;
	if (tell)
		tell(tell_arg);
	return 0;
}
