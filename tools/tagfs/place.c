/* SPDX-License-Identifier: GPL-2.0-or-later */
/* place.c - our mount in the namespace, told apart from all others.
 *
 * (1) A path means us only once: right after the mount.  From then on it is
 *     the ID of the mount and the number of the filesystem that do, and the
 *     path is what mountinfo says at the moment.
 * (2) No descriptor is kept: it would make every umount(8) fail as busy.
 * (3) What is looked at and what is unmounted is the same thing: the magic
 *     link of a descriptor.  fusermount3 only takes a path, so there the look
 *     comes right before.
 * (4) A lazy unmount takes along what is mounted below, so there must be
 *     nothing.  Between that look and the unmount somebody may mount; the
 *     kernel offers no way around. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "place.h"

extern char **environ;

/* Asks the kernel alone: the filesystem may not answer yet, or any more. */
static int identify(int fd, struct mounts_id *id)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID,
		  &stx))
		return -errno;
	if (!(stx.stx_mask & STATX_MNT_ID))
		return -EOPNOTSUPP;
	*id = (struct mounts_id) {
		.mount = (unsigned int)stx.stx_mnt_id,
		.major = stx.stx_dev_major, .minor = stx.stx_dev_minor,
	};
	return 0;
}

static int open_path(const char *path)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int place_learn(struct place *pl, const char *point)
{
	char *now = NULL;
	int fd = open_path(point);
	int err = fd < 0 ? fd : identify(fd, &pl->id);

	if (fd >= 0)
		close(fd);
	if (err) {
		pl->id = (struct mounts_id) { 0 };
		return err;
	}
	/* What is not found now, for want of memory, may be for the caller
	 * to detach in a moment. */
	now = mounts_point(&pl->id);
	err = now ? 0 : -ESTALE;
	free(now);
	return err;
}

/* The mount itself and, if asked for, where it is. */
static int find(const struct place *pl, char **point)
{
	struct mounts_id id;
	char *path = mounts_point(&pl->id);
	int fd = path ? open_path(path) : -ENOENT;
	int err = fd < 0 ? fd : identify(fd, &id);

	if (!err && (id.mount != pl->id.mount || id.major != pl->id.major ||
		     id.minor != pl->id.minor))
		err = -EBUSY;
	if (err && fd >= 0)
		close(fd);
	if (!err && point)
		*point = path;
	else
		free(path);
	return err ?: fd;
}

int place_ask(const struct place *pl)
{
	struct statx stx;
	int fd = find(pl, NULL), err = 0;

	if (fd < 0)
		return fd;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC,
		  STATX_BASIC_STATS, &stx))
		err = -errno;
	close(fd);
	return err;
}

static void link_of(int fd, char name[32])
{
	snprintf(name, 32, "/proc/self/fd/%d", fd);
}

int place_open(const struct place *pl)
{
	char name[32];
	int at = find(pl, NULL), fd;

	if (at < 0)
		return at;
	link_of(at, name);
	fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	close(at);
	return fd;
}

/* In a process group of its own: Ctrl-C is meant for us. */
static int run_fusermount(const char *point)
{
	const char *argv[] = { "fusermount3", "-u", "-q", "-z", "--", point,
			       NULL };
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int status;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
				 POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attr, &none);
	status = posix_spawnp(&pid, argv[0], NULL, &attr, (char **)argv,
			      environ);
	posix_spawnattr_destroy(&attr);
	if (status)
		return -status;
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return status ? -EPERM : 0;
}

static bool gone(const struct place *pl)
{
	char *point = mounts_point(&pl->id);

	free(point);
	return !point;
}

int place_detach(const struct place *pl)
{
	char name[32], *point = NULL;
	int fd = find(pl, &point);
	int err = fd == -ENOENT ? 0 : fd;

	if (fd < 0)
		return err;
	err = mounts_upon(&pl->id) ? -EBUSY : 0;	/* (4) */
	link_of(fd, name);
	if (!err && umount2(name, MNT_DETACH)) {	/* (3) */
		err = -errno;
		if (err == -EPERM)
			err = run_fusermount(point);
		if (err && gone(pl))	/* another thread was faster */
			err = 0;
	}
	close(fd);
	free(point);
	return err;
}
