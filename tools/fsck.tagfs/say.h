/* SPDX-License-Identifier: GPL-2.0-or-later */
/* say.h - all that fsck.tagfs prints, for a person or as JSON. */
#ifndef FSCK_SAY_H
#define FSCK_SAY_H

#include <stdbool.h>
#include <stdint.h>

#include "check/check.h"

void say_setup(bool json, bool verbose);
/* To standard error, by name of the program where that is asked for. */
void say_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Lines of the filesystem's own log: what they say comes as findings, so they
 * are shown only to who wants to know more. */
void say_log(int level, const char *line);
/* fs may be NULL: then inodes have no paths.  done: what becomes of it, or
 * NULL: that is not known yet. */
void say_finding(struct tfs *fs, const struct tfs_finding *f,
		 const char *done);
void say_progress(int fd, unsigned int step, unsigned int steps,
		  unsigned int done, const char *path);
void say_summary(const char *path, const struct tfs_check *c, bool clean,
		 uint64_t used, uint64_t all);

#endif
