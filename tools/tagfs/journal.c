/* SPDX-License-Identifier: GPL-2.0-or-later */
/* journal.c - lines with fields, for systemd's journal, in its own protocol:
 * the little that is needed here of it, and no library.
 *
 * (1) One line is one datagram with all its fields, small enough for any
 *     socket: paths have 4096 bytes at most.
 * (2) Text may hold anything, so it goes with its length before it.
 * (3) A journal that takes nothing for a second may itself be waiting for a
 *     filesystem of ours, so the line is lost rather than waited for.
 * (4) By name each time: a journal that was started anew is another socket. */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "core/log.h"
#include "journal.h"

#define FACILITY	(LOG_DAEMON >> 3)

static const struct sockaddr_un journal = {
	.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket",
};
static int fd = -1;		/* these three: fixed before the first line */
static char *common;
static size_t common_len;

bool journal_reads_stderr(void)
{
	const char *said = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return said && sscanf(said, "%llu:%llu", &dev, &ino) == 2 &&
		!fstat(STDERR_FILENO, &st) && st.st_dev == dev &&
		st.st_ino == ino;
}

/* (2) */
static void put(FILE *f, const struct eng_field *field)
{
	uint64_t len;

	if (!field->text) {
		fprintf(f, "%s=%" PRIu64 "\n", field->name, field->number);
		return;
	}
	len = htole64(strlen(field->text));
	fprintf(f, "%s\n", field->name);
	fwrite(&len, sizeof(len), 1, f);
	fprintf(f, "%s\n", field->text);
}

static bool describe(const struct eng_field *field, unsigned int n)
{
	FILE *f = open_memstream(&common, &common_len);

	if (!f)
		return false;
	fprintf(f, "SYSLOG_IDENTIFIER=tagfs\nSYSLOG_FACILITY=%d\n", FACILITY);
	fprintf(f, "SYSLOG_PID=%d\n", getpid());
	for (unsigned int i = 0; i < n; i++)
		put(f, &field[i]);
	return !fclose(f);
}

bool journal_open(const struct eng_field *field, unsigned int n)
{
	const struct timeval second = { .tv_sec = 1 };

	if (access(journal.sun_path, F_OK) || !describe(field, n))
		return false;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second,
			   sizeof(second));			/* (3) */
	return fd >= 0;
}

bool journal_send(int level, const char *line, const struct eng_field *field,
		  unsigned int n)
{
	const struct eng_field message = { "MESSAGE", line, 0 };
	char *buf = NULL;
	size_t len = 0;
	ssize_t sent;
	FILE *f = open_memstream(&buf, &len);

	if (!f)
		return false;
	fwrite(common, common_len, 1, f);
	fprintf(f, "PRIORITY=%d\n", level);
	put(f, &message);
	for (unsigned int i = 0; i < n; i++)
		put(f, &field[i]);
	sent = fclose(f) ? -1 :
		sendto(fd, buf, len, MSG_NOSIGNAL,		/* (1), (4) */
		       (const struct sockaddr *)&journal, sizeof(journal));
	free(buf);
	return sent >= 0 || errno == EAGAIN;			/* (3) */
}
