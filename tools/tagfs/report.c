/* SPDX-License-Identifier: GPL-2.0-or-later */
/* report.c - messages: standard error while somebody is there to read it, the
 * journal or syslog afterwards, where there is neither the kernel's log, and a
 * file at any time if there is one.
 *
 * (1) A line is one write to a file opened for appending, so that threads and
 *     log rotation don't cut it.
 * (2) A new file takes the descriptor of the old one, so that a thread in the
 *     middle of a line has one or the other. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/text.h"
#include "journal.h"
#include "report.h"
#include "tagpi.h"

#define KERNEL_LINE	900u	/* its log takes no longer ones */

static int file = -1, kernel = -1;	/* these: fixed once threads run */
static char path[PATH_MAX];	/* works from any directory */
static atomic_bool background, journal;
static char mount_point[ENG_LINE];	/* as in lines; fixed before these */

static void to_file(const char *line)
{
	char buf[ENG_LINE + 100], when[32];
	time_t now = time(NULL);
	struct tm tm;
	int len;

	localtime_r(&now, &tm);
	strftime(when, sizeof(when), "%F %T", &tm);
	len = snprintf(buf, sizeof(buf), "%s tagfs[%d]: %s\n", when, getpid(),
		       line);
	if (len >= (int)sizeof(buf)) {
		len = sizeof(buf) - 1;
		buf[len - 1] = '\n';
	}
	if (write(file, buf, (size_t)len) < 0)	/* (1) */
		return;		/* nobody is left to tell */
}

/* The log is that of all mounts: each line names its own. */
static const char *named(char *buf, size_t size, const char *line)
{
	size_t len = strlen(mount_point);

	if (!strncmp(line, mount_point, len) && line[len] == ':')
		return line;
	snprintf(buf, size, "%s: %s", mount_point, line);
	return buf;
}

static void to_kernel(int level, const char *line)
{
	char buf[KERNEL_LINE];
	int len = snprintf(buf, sizeof(buf), "<%d>tagfs[%d]: %s",
			   LOG_DAEMON | level, getpid(), line);

	if (write(kernel, buf, len < (int)sizeof(buf) ? (size_t)len :
		  sizeof(buf) - 1) < 0)
		return;		/* nobody is left to tell */
}

void report_line(int level, const char *line, const struct eng_field *field,
		 unsigned int n)
{
	char buf[2 * ENG_LINE];

	if (file >= 0)
		to_file(line);
	if (journal &&
	    journal_send(level, named(buf, sizeof(buf), line), field, n))
		return;
	if (kernel >= 0)
		to_kernel(level, named(buf, sizeof(buf), line));
	else if (background)
		syslog(LOG_DAEMON | level, "%s", named(buf, sizeof(buf), line));
	else
		fprintf(stderr, "tagfs: %s\n", line);
}

static int open_log(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

	return fd < 0 ? -errno : fd;
}

static bool is_below(const char *name, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(name, dir, len) && name[len] == '/';
}

int report_to_file(const char *name, const char *image, const char *point)
{
	int fd = open_log(name), err = 0;

	if (fd < 0)
		return fd;
	if (!realpath(name, path))
		err = -errno;
	else if (!strcmp(path, image) || is_below(path, point))
		err = -EINVAL;
	if (err)
		close(fd);
	else
		file = fd;
	return err;
}

void report_reopen(void)
{
	int fd = open_log(path);

	if (fd < 0) {
		errno = -fd;
		eng_log(LOG_ERR, "%s can't be opened anew: %m", path);
		return;
	}
	dup3(fd, file, O_CLOEXEC);	/* (2) */
	close(fd);
	eng_log(LOG_INFO, "%s was opened anew", path);
}

static bool to_journal(const struct report_mount *m)
{
	const struct eng_field field[] = {
		{ "TAGFS_UUID", m->uuid, 0 },
		{ "TAGFS_MOUNT", m->point, 0 },
		{ "TAGFS_DEVICE", m->device, 0 },
	};

	return journal_open(field, sizeof(field) / sizeof(field[0]));
}

/* As filesystems of the kernel: a mount that succeeds says nothing, and what
 * there is to say later is not lost. */
static void no_log(void)
{
	kernel = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (kernel < 0)
		fprintf(stderr, "tagfs: no system log here: later messages "
			"are lost without -o log=FILE\n");
}

void report_ready(const struct report_mount *m, bool back)
{
	eng_text_line(mount_point, m->point);
	if (back || journal_reads_stderr())
		journal = to_journal(m);
	if (!back)
		return;
	openlog("tagfs", LOG_PID, LOG_DAEMON);
	if (file < 0 && !journal && access("/dev/log", F_OK))
		no_log();
	background = true;
}
