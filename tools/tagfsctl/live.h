/* SPDX-License-Identifier: GPL-2.0-or-later */
/* live.h - the legs of a mirror that is mounted.  All return the exit
 * status. */
#ifndef CTL_LIVE_H
#define CTL_LIVE_H

#include "newleg.h"

/* how->path becomes a leg of the mirror mounted there: one more, or for one
 * that is missing, or for leg old (from 1), which then leaves. */
int live_join(const char *mount, const struct newleg *how, unsigned int old);
/* One that was left behind is here again. */
int live_return(const char *mount, const char *path);
int live_leave(const char *mount, unsigned int leg);

#endif
