/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ioctl.c - requests of tagfs_ioctl.h.
 *
 *  (1) The kernel copies what the request's number says; sizes are compared
 *      all the same.
 *  (2) Whoever may change something, or see what is not his, is root or the
 *      one who mounted: the user that this process is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check/locate.h"
#include "fuse/ioctl.h"
#include "fuse/ops_priv.h"
#include "fuse/reply.h"
#include "name/path.h"
#include "tagfs_ioctl.h"

static bool may_change(fuse_req_t req)				/* (2) */
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return !ctx->uid || ctx->uid == geteuid();
}

static void put_path(struct tfs *fs, uint32_t ino, char path[TAGFS_IOC_PATH])
{
	char *buf = malloc(TAGFS_IOC_PATH);
	const char *text;

	if (!buf)
		return;
	text = tfs_path(fs, ino, buf, TAGFS_IOC_PATH);
	memcpy(path, text, strlen(text) + 1);
	free(buf);
}

static int do_locate(fuse_req_t req, uint32_t ino, void *arg)
{
	struct tfs *fs = tfs_req_fs(req);
	struct tagfs_locate *l = arg;
	bool sector = l->flags & TAGFS_LOCATE_SECTOR;
	struct tfs_place at;
	int err;

	if (l->flags & ~TAGFS_LOCATE_SECTOR)
		return -EINVAL;
	if (sector && !may_change(req))
		return -EPERM;
	err = sector ? tfs_locate_sector(fs, l->sector, &at) :
		tfs_locate_byte(fs, ino, l->offset, &at);
	if (err)
		return err;
	*l = (struct tagfs_locate){
		.flags = l->flags, .state = at.state, .offset = at.off,
		.sector = at.sector, .cluster = at.cluster,
		.interval = at.interval, .commit = at.rec.seq,
		.kind = at.rec.kind, .owner = at.rec.owner,
		.index = at.rec.index,
	};
	if (at.rec.kind == TFS_K_DATA && at.state == TFS_PLACE_MAPPED)
		put_path(fs, at.rec.owner, l->path);
	return 0;
}

static const struct request {
	unsigned int	cmd;
	bool		root;		/* asked of the root directory alone */
	bool		change;		/* (2) */
	int		(*run)(fuse_req_t req, uint32_t ino, void *arg);
} requests[] = {
	{ TAGFS_IOC_LOCATE, false, false, do_locate },
};

static int run(fuse_req_t req, const struct request *r, uint32_t ino,
	       void *arg)
{
	if (r->root && ino != TFS_ROOT_INO)
		return -ENOTTY;
	if (r->change && !may_change(req))
		return -EPERM;
	return r->run(req, ino, arg);
}

void tfs_op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
		  struct fuse_file_info *fi, unsigned int flags,
		  const void *in, size_t in_size, size_t out_size)
{
	const struct request *r = NULL;
	size_t size = _IOC_SIZE(cmd);
	void *copy;
	int err;

	(void)arg;
	(void)fi;
	(void)flags;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (requests[i].cmd == cmd)
			r = &requests[i];
	if (!r || in_size != size || out_size != size) {	/* (1) */
		tfs_reply_err(req, -ENOTTY);
		return;
	}
	copy = malloc(size);
	if (!copy) {
		tfs_reply_err(req, -ENOMEM);
		return;
	}
	memcpy(copy, in, size);
	err = run(req, r, (uint32_t)ino, copy);
	if (err)
		tfs_reply_err(req, err);
	else
		fuse_reply_ioctl(req, 0, copy, size);
	free(copy);
}
