/* SPDX-License-Identifier: GPL-2.0-or-later */
/* space.c - a program hears from write() that the filesystem is full, or the
 * file immutable, though the kernel delays what it writes.
 *
 *  (1) Before a buffered write the kernel asks for the mode of the open file
 *      if it was told that it has changed, and an error of that answer is the
 *      error of the write.  Nobody else asks so: a read at the end of a file
 *      wants to know the size, which is the kernel's own.
 *  (2) So where space is short the kernel is told that they have changed, of
 *      files that it just got the attributes of and of those that are written
 *      to.  They may not simply be valid for no time, or reads would ask, too.
 *  (3) What the kernel still holds of the file is sent first: then what is
 *      free is free for the next write, as far as this file goes.  As that
 *      changes the file while the answer is under way, the kernel does not
 *      keep the attributes and asks again next time.  Where it held nothing it
 *      would keep them, so this answer is followed by (2), too.
 *  (4) Where space is reserved, a write may have its place whatever is free.
 *      Then only files of which something found none are refused.
 *  (5) Of data that a program was told are written and that then could not
 *      be, a line tells; one per file until there is space again.
 *  (6) A write to an immutable file is refused in the same way: somebody may
 *      have opened it before, and until the next mount nobody asks when it is
 *      opened (ops.c).  So the kernel does not keep its attributes from a
 *      GETATTR, and those that came with its name or by STATX don't get out
 *      of date by themselves, or reads would ask, too.  Between that and the
 *      word that they have changed a write gets into the page cache, and
 *      fails later (5). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/about.h"
#include "format.h"
#include "fuse/ops_priv.h"
#include "fuse/reply.h"
#include "fuse/room.h"
#include "fuse/space.h"
#include "name/path.h"
#include "tagpi.h"

#define PATH_TEXT	4096u

/* ---- files of which something was lost ------------------------------------ */

/* False: it was there already. */
static bool lost_add(struct tfs_ops *ops, uint32_t ino)
{
	bool found = false;

	pthread_mutex_lock(&ops->lock);
	for (unsigned int i = 0; i < TFS_LOST; i++)
		found |= ops->lost[i] == ino;
	if (!found) {
		ops->lost[ops->lost_at] = ino;
		ops->lost_at = (ops->lost_at + 1) % TFS_LOST;
	}
	pthread_mutex_unlock(&ops->lock);
	return !found;
}

static bool lost_any(struct tfs_ops *ops, uint32_t ino, bool forget)
{
	bool found = false;

	pthread_mutex_lock(&ops->lock);
	for (unsigned int i = 0; i < TFS_LOST; i++)
		if (ops->lost[i] == ino) {
			found = true;
			if (forget)
				ops->lost[i] = 0;
		}
	pthread_mutex_unlock(&ops->lock);
	return found;
}

/* (5) */
void tfs_space_lost(struct tfs_ops *ops, uint32_t ino, uint64_t off,
		    size_t len, int err)
{
	struct tfs_about about = { .ino = ino, .off = off, .len = len };
	char *path;

	if (!lost_add(ops, ino))
		return;
	path = malloc(PATH_TEXT);
	if (path)
		about.path = tfs_path(ops->fs, ino, path, PATH_TEXT);
	tfs_log_about(LOG_ERR, &about, "%s: bytes %llu-%llu, written by a "
		      "program and not yet durable, can't be stored: %s",
		      path ? about.path : "a file", (unsigned long long)off,
		      (unsigned long long)off + len - 1,
		      strerror(tfs_errno(err)));
	free(path);
}

/* ---- before a write ------------------------------------------------------- */

static int may_write(struct tfs_ops *ops, uint32_t ino)
{
	bool reserved;

	if (!tfs_room_full(ops->fs, &reserved)) {
		lost_any(ops, ino, true);
		return 0;
	}
	if (reserved && !lost_any(ops, ino, false))	/* (4) */
		return 0;
	return -ENOSPC;
}

bool tfs_space_watched(const struct tfs_inode *in)		/* (6) */
{
	return S_ISREG(in->mode) && in->flags & TFS_INODE_IMMUTABLE;
}

/* (2) */
void tfs_space_watch(struct tfs_ops *ops, const struct tfs_inode *in)
{
	if (ops->writeback && S_ISREG(in->mode) &&
	    (tfs_space_watched(in) || tfs_room_short(ops->fs, ops->held)))
		tfs_notify_urgent(&ops->notify, in->ino);
}

/* (3) */
static void answer(fuse_req_t req, uint32_t ino, void *arg)
{
	struct tfs_ops *ops = tfs_req_ops(req);
	struct tfs_inode in;
	int err;

	(void)arg;
	fuse_lowlevel_notify_inval_inode(ops->se, ino, 0, 0);
	err = may_write(ops, ino);
	err = err ?: tfs_getattr(ops->fs, ino, &in);
	tfs_reply_attr(req, err, &in);
	if (!err)
		tfs_space_watch(ops, &in);
}

/* (6) */
static void answer_once(fuse_req_t req, uint32_t ino, void *arg)
{
	struct tfs_ops *ops = tfs_req_ops(req);
	struct tfs_inode in;

	(void)arg;
	fuse_lowlevel_notify_inval_inode(ops->se, ino, -1, 0);
	tfs_reply_attr(req, tfs_getattr(ops->fs, ino, &in), &in);
}

bool tfs_space_ask(fuse_req_t req, const struct tfs_inode *in, bool open)
{
	struct tfs_ops *ops = tfs_req_ops(req);

	if (!ops->writeback || !S_ISREG(in->mode) || tfs_rdonly(ops->fs))
		return false;
	if (tfs_space_watched(in)) {
		if (open)
			tfs_reply_err(req, -EPERM);
		else
			tfs_notify_call(&ops->notify, req, in->ino,
					answer_once, NULL);
		return true;
	}
	if (!open || !tfs_room_short(ops->fs, ops->held))
		return false;
	tfs_notify_call(&ops->notify, req, in->ino, answer, NULL);
	return true;
}
