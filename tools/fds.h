/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fds.h - the descriptors that a program starts with. */
#ifndef TOOLS_FDS_H
#define TOOLS_FDS_H

#include <stdbool.h>

/* First thing in main(): 0, 1 and 2 are open, nothing else is.  0 or -errno;
 * there may be nowhere to say it. */
int fds_tidy(void);
/* The same in two steps, for a program that is handed a descriptor: the first
 * one first thing in main(), the second when it is known which. */
int fds_fill(void);
void fds_close_but(int keep);
/* Does path name what 0, 1 or 2 reads or writes, a file or block device?
 * That one is /dev/null from then on. */
bool fds_standard(const char *path);

#endif
