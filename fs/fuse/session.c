/* SPDX-License-Identifier: GPL-2.0-or-later */
/* session.c - the life of a mount: create, mount, loop, stop, destroy.
 *
 * (1) The loop ends because the connection is gone, or after notify.c.  Reads
 *     may still be with other threads, but finish by themselves.  So: have
 *     notify.c answer, wait for the reads, close the connection, and join
 *     notify.c's threads.
 * (2) Nothing is unmounted here: what is at the mount's path may be another
 *     one by now.  Whoever mounted knows how to tell them apart.
 * (3) All memory and threads are there before anything is mounted. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check/scrubber.h"
#include "fuse/legs.h"
#include "fuse/loop.h"
#include "fuse/ops_priv.h"
#include "fuse/room.h"
#include "fuse/space.h"
#include "fuse/wire.h"

/* libfuse says some lines in pieces. */
static void log_fuse(enum fuse_log_level level, const char *fmt, va_list ap)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static char line[512];		/* lock */
	static size_t len;		/* lock */

	pthread_mutex_lock(&lock);
	vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	len += strlen(line + len);
	if (len && (line[len - 1] == '\n' || len == sizeof(line) - 1)) {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		eng_log((int)level, "%s", line);
		len = 0;
	}
	pthread_mutex_unlock(&lock);
}

static struct fuse_session *session_new(struct tfs_ops *ops,
					const struct tfs_ops_how *how)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *se = NULL;

	if (!fuse_opt_add_arg(&args, "tagfs") &&
	    !fuse_opt_add_arg(&args, "-o") &&
	    !fuse_opt_add_arg(&args, how->options) &&
	    !(how->debug && fuse_opt_add_arg(&args, "-d")))
		se = fuse_session_new(&args, &tfs_fuse_ops,
				      sizeof(tfs_fuse_ops), ops);
	fuse_opt_free_args(&args);
	return se;
}

static int dead_pipe(void)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	close(fds[0]);
	return fds[1];
}

static uint64_t requests(void *arg)
{
	return tfs_loop_received(arg);
}

/* (3) */
static int prepare(struct tfs_ops *ops, const struct tfs_ops_how *how)
{
	int err;

	ops->dead = dead_pipe();
	if (ops->dead < 0)
		return ops->dead;
	ops->se = session_new(ops, how);
	if (!ops->se)
		return -EINVAL;
	err = tfs_loop_create(&ops->loop, ops);
	err = err ?: tfs_scrubber_create(&ops->scrubber, ops->fs);
	if (err)
		return err;
	tfs_scrubber_make_room(ops->scrubber, requests, ops->loop);
	return tfs_notify_start(&ops->notify, ops->se, ops->fs);
}

int tfs_ops_create(struct tfs_ops **out, struct tfs *fs,
		   const struct tfs_ops_how *how)
{
	struct tfs_ops *ops = calloc(1, sizeof(*ops));
	int err;

	*out = NULL;
	if (!ops)
		return -ENOMEM;
	ops->fs = fs;
	ops->writeback = how->writeback;
	ops->single = how->single;
	ops->nodiratime = how->nodiratime;
	ops->sync = how->sync;
	ops->dirsync = how->sync || how->dirsync;
	ops->noacl = how->noacl;
	ops->opens = tfs_has_locks(fs);
	ops->watch = tfs_space_watch;
	ops->max_read = how->max_read;
	ops->held = tfs_room_held();
	ops->want_uring = how->uring;
	ops->resilver_rate = how->resilver_rate;
	pthread_mutex_init(&ops->lock, NULL);
	pthread_mutex_init(&ops->legs, NULL);
	sem_init(&ops->idle, 0, 0);
	atomic_init(&ops->pending, 1);
	fuse_set_log_func(log_fuse);
	err = prepare(ops, how);
	if (err)
		tfs_ops_destroy(ops);
	else
		*out = ops;
	return err;
}

int tfs_ops_mount(struct tfs_ops *ops, const char *mountpoint)
{
	if (fuse_session_mount(ops->se, mountpoint))
		return -EIO;
	ops->mounted = true;
	return tfs_wire_attach(ops->se);
}

static void wait_pending(struct tfs_ops *ops)
{
	if (atomic_fetch_sub(&ops->pending, 1) == 1)
		return;
	while (sem_wait(&ops->idle))
		;	/* a signal */
}

/* (2)  libfuse would unmount by name, unless the device says POLLERR.  The
 * kernel may still say nothing of that kind; a pipe that nobody reads does.
 * Closed, the device ends the connection. */
void tfs_ops_disconnect(struct tfs_ops *ops)
{
	if (!ops->mounted)
		return;
	dup3(ops->dead, fuse_session_fd(ops->se), O_CLOEXEC);
	fuse_session_unmount(ops->se);
	ops->mounted = false;
}

int tfs_ops_loop(struct tfs_ops *ops)
{
	int err;

	tfs_scrubber_go_on(ops->scrubber);
	tfs_ops_resilver(ops);
	err = tfs_loop_run(ops->loop);
	tfs_scrubber_stop(ops->scrubber);
	tfs_ops_resilver_end(ops);
	tfs_notify_end(&ops->notify, NULL);	/* (1) */
	tfs_loop_finish(ops->loop);
	wait_pending(ops);
	return err;
}

void tfs_ops_stop(struct tfs_ops *ops)
{
	tfs_notify_end(&ops->notify, ops->loop);	/* (1) */
}

void tfs_ops_writes(struct tfs_ops *ops, struct tfs_ops_writes *out)
{
	tfs_loop_writes(ops->loop, out);
}

bool tfs_ops_quiet(struct tfs_ops *ops)
{
	return tfs_loop_quiet(ops->loop);
}

bool tfs_ops_connected(struct tfs_ops *ops)
{
	struct pollfd pfd = { .fd = fuse_session_fd(ops->se) };

	return ops->mounted && poll(&pfd, 1, 0) <= 0;
}

void tfs_ops_destroy(struct tfs_ops *ops)
{
	if (!ops)
		return;
	tfs_ops_disconnect(ops);
	tfs_notify_stop(&ops->notify);
	tfs_scrubber_destroy(ops->scrubber);
	tfs_loop_destroy(ops->loop);
	if (ops->se)
		fuse_session_destroy(ops->se);
	if (ops->dead >= 0)
		close(ops->dead);
	sem_destroy(&ops->idle);
	pthread_mutex_destroy(&ops->lock);
	pthread_mutex_destroy(&ops->legs);
	free(ops);
}

const char *tfs_ops_version(void)
{
	return fuse_pkgversion();
}
