/* SPDX-License-Identifier: GPL-2.0-or-later */
/* report.h - where the messages of tagfs go. */
#ifndef TAGFS_REPORT_H
#define TAGFS_REPORT_H

/* For eng_log_to(). */
void report_line(int level, const char *line);
/* Messages shall also go to file.  0 or -errno; -EINVAL: it is the image, or
 * opened anew it would be on the filesystem that will be mounted on point. */
int report_to_file(const char *file, const char *image, const char *point);
/* Somebody has moved that file away: open it anew. */
void report_reopen(void);
/* From now on to syslog, not to standard error; each line with the mount point,
 * since the log is that of all mounts. */
void report_background(const char *point);

#endif
