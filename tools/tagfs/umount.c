/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umount.c - umount.tagfs, which umount(8) calls: unmount, and return when the
 * last checkpoint is on the medium.
 *
 * (1) The kernel does not wait for a FUSE daemon, whose last checkpoint comes
 *     after the unmount.  But it holds the storage under its lock until then.
 * (2) Where the filesystem stays in use, through a bind mount or in another
 *     namespace, nothing is waited for, as with any other filesystem.
 * (3) umount(8) asks statfs(2) for the type, which says "fuse" of all that is
 *     FUSE.  It looks further where the mount is in its table of user space
 *     options, which names the helper.
 * (4) What was written is made durable while somebody can still be told that
 *     it failed. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "core/lock.h"
#include "fs.h"
#include "mounts.h"
#include "options.h"
#include "umount.h"

#define TICK_MS	20
#define HELPER	"/sbin/umount.tagfs"

extern char **environ;

struct request {
	const char	*dir;
	bool		lazy, force, readonly;
};

static const char usage[] =
"Usage: umount.tagfs [-flnrv] [-t TYPE] DIRECTORY\n"
"Unmount, and wait for the last checkpoint.  Called by umount(8).\n";

/* -1: go on. */
static int parse(struct request *rq, int argc, char **argv)
{
	static const struct option names[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "flnrvN:t:hV", names,
				NULL)) != -1) {
		rq->force |= c == 'f';
		rq->lazy |= c == 'l';
		rq->readonly |= c == 'r';
		if (c == 'h') {
			fputs(usage, stdout);
			return EXIT_OK;
		}
		if (c == 'V') {
			puts("umount.tagfs " PACKAGE_VERSION);
			return EXIT_OK;
		}
		if (c == '?') {
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	if (argc - optind != 1) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	rq->dir = argv[optind];
	return -1;
}

int umount_sync(int fd)
{
	while (syncfs(fd))
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* (4)  0 also where it can't be asked for. */
static int make_durable(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return 0;
	err = umount_sync(fd);
	if (!err && fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

static int run_fusermount(const struct request *rq)
{
	const char *argv[] = { "fusermount3", rq->lazy ? "-uz" : "-u", "--",
			       rq->dir, NULL };
	pid_t pid;
	int status = posix_spawnp(&pid, argv[0], NULL, NULL, (char **)argv,
				  environ);

	if (status)
		return -status;
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return status ? -ECANCELED : 0;	/* it has said why */
}

static int unmount(const struct request *rq)
{
	int flags = UMOUNT_NOFOLLOW | (rq->lazy ? MNT_DETACH : 0) |
		(rq->force ? MNT_FORCE : 0);

	if (!umount2(rq->dir, flags))
		return 0;
	return errno == EPERM ? run_fusermount(rq) : -errno;
}

/* (1), (2) */
static void wait_for_daemon(const struct mounts_tagfs *was)
{
	struct eng_lock *lock;
	char why[512], *again = NULL;
	int err = -EBUSY;

	if (mounts_in_use(&was->id))
		return;
	while (!again) {
		err = eng_lock_get(&lock, was->source, 0, why, sizeof(why));
		eng_lock_put(lock);
		if (err != -EBUSY)
			break;
		poll(NULL, 0, TICK_MS);
		again = mounts_tagfs_on(was->source);
	}
	free(again);
}

static int umount_at(const struct request *rq, const struct mounts_tagfs *was)
{
	int lost = was->rdonly ? 0 : make_durable(rq->dir);
	int err = unmount(rq);

	if (err == -EBUSY && rq->readonly &&
	    !mount(NULL, rq->dir, NULL, MS_REMOUNT | MS_RDONLY, NULL)) {
		eng_log(LOG_WARNING, "%s: busy, read-only from now on",
			rq->dir);
		return EXIT_OK;
	}
	if (err && err != -ECANCELED)
		eng_log(LOG_ERR, "%s: %s", rq->dir, err == -EBUSY ?
			"target is busy" : strerror(-err));
	if (err)
		return err == -EPERM ? EXIT_USAGE : EXIT_MOUNT;
	if (!was->rdonly)
		wait_for_daemon(was);
	if (lost)
		eng_log(LOG_ERR, "%s: unmounted, but what was written last is "
			"not all there: %s", rq->dir, strerror(-lost));
	return lost ? EXIT_MOUNT : EXIT_OK;
}

/* (3)  A mount that is only pretended enters the table. */
void umount_announce(const char *source, const char *point)
{
	const char *argv[] = { "mount", "-i", "-f", "--no-canonicalize", "-t",
			       "fuse.tagfs", "-o", "uhelper=tagfs", source,
			       point, NULL };
	int status;
	pid_t pid;

	if (geteuid() || access(HELPER, X_OK))
		return;
	if (!posix_spawnp(&pid, argv[0], NULL, NULL, (char **)argv, environ))
		waitpid(pid, &status, 0);
}

int umount_main(int argc, char **argv)
{
	struct request rq = { 0 };
	struct mounts_tagfs was;
	char *dir;
	int res = parse(&rq, argc, argv);

	if (res >= 0)
		return res;
	dir = realpath(rq.dir, NULL);
	if (dir)
		rq.dir = dir;
	res = mounts_tagfs_at(rq.dir, &was);
	if (res <= 0) {
		eng_log(LOG_ERR, "%s: %s", rq.dir, res ? strerror(-res) :
			"no tagfs is mounted there");
		free(dir);
		return EXIT_MOUNT;
	}
	res = umount_at(&rq, &was);
	free(was.source);
	free(dir);
	return res;
}
