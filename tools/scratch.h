/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scratch.h - where a rebuild keeps what it finds: --memory and --scratch. */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <stdbool.h>

#include "base/sorter.h"

/* "64M", "2G"; 1 MiB at least.  False: it is something else. */
bool scratch_memory(struct tfs_scratch *s, const char *text);
/* What was not said: half of the machine's memory.  And can there be files,
 * before anything else is begun?  0 or -errno. */
int scratch_begin(struct tfs_scratch *s);
/* What to do about -ENOBUFS. */
#define SCRATCH_FULL	"there is not enough memory for what was found: " \
	"--scratch DIRECTORY keeps it in a file, --memory SIZE allows more"

#endif
