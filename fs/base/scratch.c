/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scratch.c - a file without a name: nobody else may read it, and it is gone
 * with its descriptor, however the program ends. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/scratch.h"
#include "tagpi.h"

static int failed(const struct tfs_scratch *s, const char *what, int err)
{
	eng_log(LOG_ERR, "scratch file in %s: %s: %s", s->dir, what,
		strerror(err));
	return -err;
}

/* Where the filesystem has no files without a name. */
static int open_named(const struct tfs_scratch *s)
{
	char path[4096];
	int fd;

	if (snprintf(path, sizeof(path), "%s/tagfs.XXXXXX", s->dir) >=
	    (int)sizeof(path))
		return failed(s, "open", ENAMETOOLONG);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return failed(s, "open", errno);
	if (!unlink(path))
		return fd;
	close(fd);
	return failed(s, "unlink", errno);
}

int tfs_scratch_open(const struct tfs_scratch *s)
{
	int fd = open(s->dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);

	if (fd >= 0)
		return fd;
	if (errno == EOPNOTSUPP || errno == EISDIR)
		return open_named(s);
	return failed(s, "open", errno);
}

int tfs_scratch_try(const struct tfs_scratch *s)
{
	int fd = tfs_scratch_open(s);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

int tfs_scratch_write(const struct tfs_scratch *s, int fd, const void *buf,
		      size_t len, uint64_t off)
{
	for (size_t done = 0; done < len; ) {
		ssize_t n = pwrite(fd, (const char *)buf + done, len - done,
				   (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return failed(s, "write", n ? errno : EIO);
		done += (size_t)n;
	}
	return 0;
}

int tfs_scratch_read(const struct tfs_scratch *s, int fd, void *buf,
		     size_t len, uint64_t off)
{
	for (size_t done = 0; done < len; ) {
		ssize_t n = pread(fd, (char *)buf + done, len - done,
				  (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return failed(s, "read", n ? errno : EIO);
		done += (size_t)n;
	}
	return 0;
}

int tfs_scratch_bad(const struct tfs_scratch *s)
{
	eng_log(LOG_ERR, "scratch file in %s: what comes back is not what was "
		"written", s->dir);
	return -EIO;
}
