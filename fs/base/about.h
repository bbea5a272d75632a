/* SPDX-License-Identifier: GPL-2.0-or-later */
/* about.h - lines of the log with what they are about, for programs. */
#ifndef TFS_ABOUT_H
#define TFS_ABOUT_H

#include <stdint.h>

#include "tagpi.h"

struct tfs_about {
	uint32_t	ino;		/* 0: of no one inode */
	const char	*path;		/* NULL: not known */
	uint64_t	off, len;	/* of the content; len 0: none of it */
	uint64_t	cluster;	/* 0: none */
	const char	*check;		/* which one failed; NULL: none */
};

void tfs_log_about(int level, const struct tfs_about *about, const char *fmt,
		   ...) __attribute__((format(printf, 3, 4)));
/* For check: guard, ref, app, escape or device; structure, of what makes no
 * sense; io, if the device failed. */
const char *tfs_check_name(int err, const struct eng_fault *fault);

#endif
