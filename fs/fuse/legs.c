/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legs.c - see legs.h.
 *
 *  (1) One change at a time, with no resilver beside it; it goes on afterwards
 *      whether the change succeeded or not.
 *  (2) A new leg is named by a descriptor of the process that asks, which
 *      waits meanwhile.  What is opened is what that has open for reading and
 *      writing, and nothing else: no name is looked up that could mean
 *      something else here, or lead to what is not his. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/dev.h"
#include "check/resilver.h"
#include "fuse/legs.h"
#include "fuse/ops_priv.h"
#include "fuse/reply.h"
#include "tagfs_ioctl.h"
#include "tfs.h"

/* ---- resilvers ---------------------------------------------------------- */

static void go_on_locked(struct tfs_ops *ops)
{
	int err;

	if (ops->legs_end)
		return;
	tfs_resilver_stop(ops->resilver, false);
	err = tfs_resilver_start(&ops->resilver, ops->fs, ops->resilver_rate);
	if (err)
		eng_log(LOG_ERR, "resilver: %s; the next mount tries again",
			strerror(-err));
}

void tfs_ops_resilver(struct tfs_ops *ops)
{
	pthread_mutex_lock(&ops->legs);
	if (atomic_load(&ops->fs->resilver.state) != TFS_RESILVER_RUNNING)
		go_on_locked(ops);
	pthread_mutex_unlock(&ops->legs);
}

void tfs_ops_resilver_end(struct tfs_ops *ops)
{
	pthread_mutex_lock(&ops->legs);
	ops->legs_end = true;
	tfs_resilver_stop(ops->resilver, false);
	ops->resilver = NULL;
	pthread_mutex_unlock(&ops->legs);
}

/* ---- changes ------------------------------------------------------------ */

static bool is_open_rw(pid_t pid, int fd)
{
	unsigned int flags = 0;
	char path[64], line[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "flags: %o", &flags) == 1)
			break;
	if (f)
		fclose(f);
	return (flags & O_ACCMODE) == O_RDWR;
}

/* (2) */
static int open_theirs(struct eng_dev **out, struct tfs_ops *ops, pid_t pid,
		       int fd)
{
	struct eng_open how = { .pool = ops->fs->dev->pool };
	char path[64];

	*out = NULL;
	if (pid <= 0 || fd < 0 || !is_open_rw(pid, fd))
		return -EBADF;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	return eng_dev_open(out, path, &how);
}

static int join(struct tfs_ops *ops, pid_t pid, const struct tagfs_leg *a)
{
	static const enum tfs_legs_as as[] = {
		[TAGFS_LEG_ADD] = TFS_LEGS_ADD,
		[TAGFS_LEG_REPLACE] = TFS_LEGS_REPLACE,
		[TAGFS_LEG_RETURN] = TFS_LEGS_RETURN,
	};
	struct eng_dev *dev;
	int err = open_theirs(&dev, ops, pid, a->fd);

	if (!err)
		err = tfs_legs_join_live(ops->fs, dev, a->path, as[a->op]);
	if (err)
		eng_dev_close(dev);
	else
		eng_log(LOG_NOTICE, "%s is a leg of the mirror now", a->path);
	return err;
}

static int leave(struct tfs_ops *ops, const struct tagfs_leg *a)
{
	int err = a->leg ? tfs_legs_leave_live(ops->fs, a->leg - 1) : -ENOENT;

	if (!err)
		eng_log(LOG_NOTICE, "leg %u has left the mirror", a->leg);
	return err;
}

static int change(struct tfs_ops *ops, pid_t pid, const struct tagfs_leg *a)
{
	int err = -ESHUTDOWN;

	pthread_mutex_lock(&ops->legs);
	if (!ops->legs_end) {					/* (1) */
		tfs_resilver_stop(ops->resilver, false);
		ops->resilver = NULL;
		err = a->op == TAGFS_LEG_REMOVE ? leave(ops, a) :
			join(ops, pid, a);
		go_on_locked(ops);
	}
	pthread_mutex_unlock(&ops->legs);
	return err;
}

void tfs_ops_leg(fuse_req_t req, uint32_t ino, void *arg)
{
	struct tfs_ops *ops = tfs_req_ops(req);
	struct tagfs_leg *a = arg;
	int err = 0;

	(void)ino;
	if (a->op > TAGFS_LEG_REMOVE || !memchr(a->path, 0, sizeof(a->path)))
		err = -EINVAL;
	else if (a->op != TAGFS_LEG_ASK)
		err = change(ops, fuse_req_ctx(req)->pid, a);
	a->intervals = tfs_intervals(ops->fs);
	if (err)
		tfs_reply_err(req, err);
	else
		fuse_reply_ioctl(req, 0, a, sizeof(*a));
}
