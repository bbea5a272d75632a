/* SPDX-License-Identifier: GPL-2.0-or-later */
/* copy.c - copy_file_range(), without the data going to the caller and back.
 *
 *  (1) Each byte is verified as it is read, and written under new tags: the
 *      record of a cluster says whose it is, so two files can't share one.
 *  (2) The kernel has written back what it held of both ranges, and keeps
 *      other writers out; it drops its pages of the target afterwards.
 *  (3) Set-id bits are left to us, as with fallocate: whoever is not root
 *      clears them.
 *  (4) A request copies no more than SHARE bytes, and what was copied before
 *      an error or the end of the mount is a short copy: who asks goes on from
 *      there, or meets the error. */
#include <errno.h>
#include <stdlib.h>

#include "fuse/copy.h"
#include "fuse/ops_priv.h"
#include "fuse/reply.h"
#include "fuse/wire.h"

#define SHARE	(16u << 20)
#define STEP	TFS_MAX_WRITE

struct copy {
	uint32_t	to;
	uint64_t	from_off, to_off;
	size_t		len;
	unsigned int	flags;		/* TFS_WRITE_* */
	char		buf[STEP];
};

/* The bytes copied: fewer at the end of the source only.  -errno. */
static ssize_t step(struct tfs *fs, uint32_t from, struct copy *c, size_t done)
{
	size_t len = c->len - done < STEP ? c->len - done : STEP;
	ssize_t n = tfs_read_sync(fs, from, c->from_off + done, c->buf, len);
	int err;

	if (n <= 0)
		return n;
	err = tfs_write(fs, c->to, c->to_off + done, c->buf, (size_t)n,
			c->flags);
	return err ? err : n;
}

static void run(fuse_req_t req, uint32_t from, void *arg)
{
	struct tfs_ops *ops = tfs_req_ops(req);
	struct copy *c = arg;
	size_t done = 0;
	ssize_t n = 1;

	while (n > 0 && done < c->len) {
		if (ops->notify.stop || fuse_req_interrupted(req))
			n = -EINTR;
		else
			n = step(ops->fs, from, c, done);
		if (n > 0)
			done += (size_t)n;
	}
	if (done && c->flags)
		fuse_lowlevel_notify_inval_inode(ops->se, c->to, -1, 0); /* (3) */
	if (n < 0 && !done)
		tfs_reply_err(req, (int)n);
	else
		fuse_reply_write(req, done);			/* (4) */
}

void tfs_op_copy(fuse_req_t req, fuse_ino_t from, off_t from_off,
		 struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_off,
		 struct fuse_file_info *to_fi, size_t len, int flags)
{
	struct copy *c;

	(void)from_fi;
	(void)to_fi;
	c = flags ? NULL : malloc(sizeof(*c));
	if (!c) {
		tfs_reply_err(req, flags ? -EINVAL : -ENOMEM);
		return;
	}
	c->to = (uint32_t)to;
	c->from_off = (uint64_t)from_off;
	c->to_off = (uint64_t)to_off;
	c->len = len < SHARE ? len : SHARE;
	c->flags = fuse_req_ctx(req)->uid ? TFS_WRITE_KILL_PRIV : 0;
	tfs_notify_call(&tfs_req_ops(req)->notify, req, (uint32_t)from, run, c);
}
