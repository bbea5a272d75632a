/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sysfs.h - what the kernel says of block devices in /sys. */
#ifndef ENG_SYSFS_H
#define ENG_SYSFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define ENG_SYS_DIR	64	/* room for the name of a directory */

/* The directory of the disk that dev is, or is a partition of; where it
 * begins on the disk, in bytes. */
void eng_sys_disk(dev_t dev, char dir[ENG_SYS_DIR], uint64_t *start);
/* The first line of a file there.  False: there is none. */
bool eng_sys_read(const char *dir, const char *file, char *buf, int size);
/* A number in such a file, or fallback. */
uint64_t eng_sys_number(const char *dir, const char *file, uint64_t fallback);
/* "major:minor" of the disk. */
dev_t eng_sys_dev(const char *dir);

#endif
