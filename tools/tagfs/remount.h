/* SPDX-License-Identifier: GPL-2.0-or-later */
/* remount.h - mount -o remount. */
#ifndef TAGFS_REMOUNT_H
#define TAGFS_REMOUNT_H

#include "options.h"

/* Change what is mounted on point, a resolved path, as opt says; the exit
 * status. */
int remount(const struct options *opt, const char *point);

#endif
