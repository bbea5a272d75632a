/* SPDX-License-Identifier: GPL-2.0-or-later */
/* report.h - where the messages of tagfs go. */
#ifndef TAGFS_REPORT_H
#define TAGFS_REPORT_H

#include <stdbool.h>

struct eng_field;

/* For eng_log_fields_to(). */
void report_line(int level, const char *line, const struct eng_field *field,
		 unsigned int n);
/* Messages shall also go to file.  0 or -errno; -EINVAL: it is the image, or
 * opened anew it would be on the filesystem that will be mounted on point. */
int report_to_file(const char *file, const char *image, const char *point);
/* Somebody has moved that file away: open it anew. */
void report_reopen(void);
struct report_mount {
	const char	*point, *device, *uuid;
};

/* The mount is up.  In the background lines go to the journal or syslog from
 * now on, each with the mount point, since the log is that of all mounts; in
 * the foreground to the journal if it is what reads standard error. */
void report_ready(const struct report_mount *m, bool background);

#endif
