/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mounts.h - what the kernel has mounted, from /proc/self/mountinfo.
 *
 * Paths are compared as the kernel shows them: give resolved ones. */
#ifndef TOOLS_MOUNTS_H
#define TOOLS_MOUNTS_H

#include <stdbool.h>

/* Where tagfs has mounted that image or device; malloced.  NULL: nowhere. */
char *mounts_tagfs_on(const char *source);
/* The device number of what is mounted at point, the topmost one. */
bool mounts_device(const char *point, unsigned int *maj, unsigned int *min);
/* Who uses that file or block device: a mount, swap space or a loop device;
 * malloced text for a person.  NULL: nobody who can be seen. */
char *mounts_user(const char *path);

#endif
