/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fds.c - the descriptors that a program starts with.
 *
 * (1) A file opened while 2 is closed would become 2 and get every message:
 *     so the first three are open before anything else is opened.
 * (2) What the caller left open above them is of no use to us.  It would keep
 *     somebody's pipe or lock alive as long as a mount lives, and would have
 *     a name, /dev/fd/N, that can be taken for an image.
 * (3) The refusal of an image that is standard error must not go there. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fds.h"

int fds_fill(void)
{
	for (int fd = 0; fd <= 2; fd++)	/* (1) open() takes the lowest */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			return -errno;
	return 0;
}

void fds_close_but(int keep)
{
	if (keep < 3) {
		closefrom(3);	/* (2) */
		return;
	}
	for (int fd = 3; fd < keep; fd++)
		close(fd);
	closefrom(keep + 1);
}

int fds_tidy(void)
{
	int err = fds_fill();

	fds_close_but(-1);
	return err;
}

static bool same(const struct stat *a, const struct stat *b)
{
	if ((a->st_mode & S_IFMT) != (b->st_mode & S_IFMT))
		return false;
	if (S_ISBLK(a->st_mode))
		return a->st_rdev == b->st_rdev;
	return S_ISREG(a->st_mode) && a->st_dev == b->st_dev &&
	       a->st_ino == b->st_ino;
}

/* Also if it can't be opened: closed is better than the image. */
static void to_null(int fd)
{
	int null;

	close(fd);
	null = open("/dev/null", O_RDWR);
	if (null >= 0 && null != fd) {
		dup2(null, fd);
		close(null);
	}
}

bool fds_standard(const char *path)
{
	struct stat want, st;
	bool found = false;

	if (stat(path, &want))
		return false;
	for (int fd = 0; fd <= 2; fd++)
		if (!fstat(fd, &st) && same(&want, &st)) {
			to_null(fd);	/* (3) */
			found = true;
		}
	return found;
}
