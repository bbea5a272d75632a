/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ioctl.c - requests of tagfs_ioctl.h, and some of linux/fs.h.
 *
 *  (1) The kernel copies what the request's number says; sizes are compared
 *      all the same.
 *  (2) Whoever may change something, or see what is not his, is root or the
 *      one who mounted: the user that this process is. */
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "format.h"
#include "check/locate.h"
#include "check/scrubber.h"
#include "file/flaws.h"
#include "fuse/ioctl.h"
#include "fuse/legs.h"
#include "fuse/loop.h"
#include "fuse/ops_priv.h"
#include "fuse/reply.h"
#include "name/path.h"
#include "tagfs_ioctl.h"

#define QUIET_TICKS	12000	/* of 5 ms: a minute */
#define SWEEP		256u	/* known errors that one request looks at */

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

static int locate(struct tfs *fs, uint32_t ino, struct tagfs_locate *l,
		  struct tfs_place *at)
{
	struct tfs_hunt se = {
		.from = tfs_key(l->owner, l->kind & 0xff, l->offset),
		.gap = l->flags & TAGFS_LOCATE_GAP,
	};
	int err;

	if (!(l->flags & TAGFS_LOCATE_SECTOR))
		return tfs_locate_byte(fs, ino, l->offset, at);
	if (!(l->flags & TAGFS_LOCATE_TREE))
		return tfs_locate_sector(fs, l->sector, at);
	err = tfs_locate_in_tree(fs, l->sector, &se, at);
	if (!err && at->state == TFS_PLACE_SEARCH) {
		at->rec.owner = se.from.obj;
		at->rec.kind = se.from.type;
		at->off = se.from.off;
		l->flags |= se.gap ? TAGFS_LOCATE_GAP : 0;
	}
	return err;
}

static int do_locate(fuse_req_t req, uint32_t ino, void *arg)
{
	struct tfs *fs = tfs_req_fs(req);
	struct tagfs_locate *l = arg;
	bool sector = l->flags & TAGFS_LOCATE_SECTOR;
	struct tfs_place at;
	int err;

	if (l->flags & ~(TAGFS_LOCATE_SECTOR | TAGFS_LOCATE_TREE |
			 TAGFS_LOCATE_GAP) ||
	    (l->flags && !sector))
		return -EINVAL;
	if (sector && !may_change(req))
		return -EPERM;
	err = locate(fs, ino, l, &at);
	if (err)
		return err;
	*l = (struct tagfs_locate){
		.flags = l->flags, .state = at.state, .offset = at.off,
		.sector = at.sector, .cluster = at.cluster,
		.interval = at.interval, .commit = at.rec.seq,
		.kind = at.rec.kind, .owner = at.rec.owner,
		.index = at.rec.index, .tags = at.tags,
	};
	/* Who asks by offset has the file, but perhaps not its directory. */
	if (sector && at.rec.kind == TFS_K_DATA &&
	    at.state == TFS_PLACE_MAPPED)
		put_path(fs, at.rec.owner, l->path);
	return 0;
}

/* ---- scrub -------------------------------------------------------------- */

static int start_scrub(struct tfs_scrubber *sc, const struct tagfs_scrub *a)
{
	const unsigned int both = TAGFS_SCRUB_DATA | TAGFS_SCRUB_META;
	struct tfs_scrub_how how = {
		.data = a->flags & TAGFS_SCRUB_DATA,
		.meta = a->flags & TAGFS_SCRUB_META,
		.errors = a->flags == TAGFS_SCRUB_ERRORS, .rate = a->rate,
	};

	if (!how.errors && (!a->flags || a->flags & ~both))
		return -EINVAL;
	return tfs_scrubber_start(sc, &how);
}

static int command_scrub(struct tfs_scrubber *sc, const struct tagfs_scrub *a)
{
	switch (a->op) {
	case TAGFS_SCRUB_STATUS:
		return 0;
	case TAGFS_SCRUB_START:
		return start_scrub(sc, a);
	case TAGFS_SCRUB_PAUSE:
	case TAGFS_SCRUB_RESUME:
		return tfs_scrubber_pause(sc, a->op == TAGFS_SCRUB_PAUSE);
	case TAGFS_SCRUB_CANCEL:
		return tfs_scrubber_cancel(sc);
	default:
		return -EINVAL;
	}
}

static int do_scrub(fuse_req_t req, uint32_t ino, void *arg)
{
	struct tfs_scrubber *sc = tfs_req_ops(req)->scrubber;
	struct tagfs_scrub *a = arg;
	struct tfs_scrub_status st;
	struct tfs_flaws_count flaws;
	int err;

	(void)ino;
	if (a->op != TAGFS_SCRUB_STATUS && !may_change(req))
		return -EPERM;
	err = command_scrub(sc, a);
	if (err)
		return err;
	tfs_scrubber_status(sc, &st);
	tfs_flaws_sweep(tfs_req_fs(req), SWEEP);
	tfs_flaws_count(tfs_req_fs(req), &flaws);
	*a = (struct tagfs_scrub){
		.op = a->op, .state = st.state, .error = -st.err,
		.flags = (st.how.data ? TAGFS_SCRUB_DATA : 0) |
			(st.how.meta ? TAGFS_SCRUB_META : 0) |
			(st.how.errors ? TAGFS_SCRUB_ERRORS : 0),
		.rate = st.how.rate, .started = st.started,
		.ended = st.ended, .bytes = st.bytes, .nodes = st.nodes,
		.healed = st.healed, .uncorrectable = st.uncorrectable,
		.listed = flaws.listed - flaws.healed,
		.unlisted = flaws.unlisted, .done = st.region,
		.all = st.regions, .whole = (uint64_t)st.whole,
	};
	return 0;
}

static int do_error(fuse_req_t req, uint32_t ino, void *arg)
{
	struct tfs *fs = tfs_req_fs(req);
	struct tagfs_error *a = arg;
	struct tfs_flaws_at at = {
		.key = tfs_key(0, (uint8_t)a->next[0], a->next[1]),
		.lc = a->next[2],
	};
	struct tfs_flaw f;
	bool stored;
	int err = tfs_flaws_next(fs, &at, &f, &stored);

	(void)ino;
	if (err)
		return err;
	*a = (struct tagfs_error){
		.next = { at.key.type, at.key.off, at.lc },
		.kind = f.kind, .inode = f.ino,
		.flags = (f.healed ? TAGFS_ERROR_HEALED : 0) |
			(stored || !tfs_rdonly(fs) ? TAGFS_ERROR_STORED : 0) |
			(f.copy ? TAGFS_ERROR_COPY : 0) | f.leg << 8,
		.check = f.check, .offset = f.off, .length = f.len,
		.cluster = f.addr, .expected = f.expected,
		.found = f.found, .first = f.first, .last = f.last,
		.commit = f.commit, .count = f.count,
		.error = tfs_errno(f.err),
	};
	if (f.kind == TFS_FLAW_DATA)
		put_path(fs, f.ino, a->path);
	return 0;
}

static int do_clear(fuse_req_t req, uint32_t ino, void *arg)
{
	struct tfs *fs = tfs_req_fs(req);
	int err;

	(void)ino;
	(void)arg;
	tfs_flaws_clear(fs);
	err = tfs_flaws_store(fs, true);
	return err == -EROFS ? 0 : err;
}

/* ---- the mount ---------------------------------------------------------- */

/* The kernel lets no new change through, but what it took before may still be
 * on its way.  It sends a bounded number of writes at a time. */
static void await_writes(struct tfs_ops *ops)
{
	const struct timespec tick = { .tv_nsec = 5000000 };

	for (int i = 0; i < QUIET_TICKS && !tfs_loop_quiet(ops->loop); i++)
		nanosleep(&tick, NULL);
}

static void remount(fuse_req_t req, uint32_t ino, void *arg)
{
	unsigned int flags = ((struct tagfs_remount *)arg)->flags;
	struct tfs_ops *ops = tfs_req_ops(req);
	struct tagfs_remount a = { .flags = flags };
	struct tfs_mount how = {
		.rdonly = flags & TAGFS_REMOUNT_RDONLY,
		.relatime = flags & TAGFS_REMOUNT_RELATIME,
		.strictatime = flags & TAGFS_REMOUNT_STRICTATIME,
	};
	int err;

	(void)ino;
	if (how.rdonly)
		await_writes(ops);
	err = tfs_remount(ops->fs, &how);
	if (err) {
		tfs_reply_err(req, err);
		return;
	}
	ops->nodiratime = flags & TAGFS_REMOUNT_NODIRATIME;
	if (!how.rdonly)
		tfs_ops_resilver(ops);	/* it ended with the other remount */
	fuse_reply_ioctl(req, 0, &a, sizeof(a));
}

/* ---- what other filesystems have, too ------------------------------------ */

static int do_get_label(fuse_req_t req, uint32_t ino, void *arg)
{
	(void)ino;
	memset(arg, 0, FSLABEL_MAX);
	tfs_get_label(tfs_req_fs(req), arg);
	return 0;
}

static int do_set_label(fuse_req_t req, uint32_t ino, void *arg)
{
	char *label = arg;

	(void)ino;
	if (!memchr(label, 0, FSLABEL_MAX))
		return -EINVAL;
	return tfs_set_label(tfs_req_fs(req), label);
}

static int do_get_flags(fuse_req_t req, uint32_t ino, void *arg)
{
	struct tfs_inode in;
	int err = tfs_getattr(tfs_req_fs(req), ino, &in);

	if (!err)
		*(uint32_t *)arg = tfs_flags_out(in.flags, false);
	return err;
}

static int do_get_xflags(fuse_req_t req, uint32_t ino, void *arg)
{
	struct tfs_inode in;
	int err = tfs_getattr(tfs_req_fs(req), ino, &in);

	if (!err)
		*(struct fsxattr *)arg = (struct fsxattr){
			.fsx_xflags = tfs_flags_out(in.flags, true),
		};
	return err;
}

/* Newer kernels have asked the same before. */
static int may_flag(fuse_req_t req, const struct tfs_inode *in, uint32_t flags)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	if (!ctx->uid)
		return 0;
	return ctx->uid == in->uid &&
		!((in->flags ^ flags) & TFS_INODE_LOCKS) ? 0 : -EPERM;
}

/* What programs have written by now goes into the file still; and the kernel
 * asks before the next write, see space.c. */
static int set_flags(fuse_req_t req, uint32_t ino, uint32_t flags)
{
	struct tfs_ops *ops = tfs_req_ops(req);
	struct tfs_inode in;
	int err = tfs_getattr(ops->fs, ino, &in);

	if (!err)
		err = may_flag(req, &in, flags);
	if (!err && S_ISREG(in.mode) && flags & ~in.flags & TFS_INODE_LOCKS)
		fuse_lowlevel_notify_inval_inode(ops->se, ino, 0, 0);
	if (!err)
		err = tfs_setflags(ops->fs, ino, flags, &in);
	if (!err)
		fuse_lowlevel_notify_inval_inode(ops->se, ino, -1, 0);
	return err || !ops->sync ? err : tfs_sync(ops->fs);
}

static void reply_set(fuse_req_t req, int err)
{
	if (err)
		tfs_reply_err(req, err);
	else
		fuse_reply_ioctl(req, 0, NULL, 0);
}

static void change_flags(fuse_req_t req, uint32_t ino, void *arg)
{
	uint32_t flags;
	int err = tfs_flags_in(*(uint32_t *)arg, false, &flags);

	reply_set(req, err ?: set_flags(req, ino, flags));
}

static void change_xflags(fuse_req_t req, uint32_t ino, void *arg)
{
	const struct fsxattr *a = arg;
	uint32_t flags;
	int err = tfs_flags_in(a->fsx_xflags, true, &flags);

	if (a->fsx_extsize || a->fsx_cowextsize || a->fsx_projid)
		err = -EOPNOTSUPP;
	reply_set(req, err ?: set_flags(req, ino, flags));
}

static bool given_up(void *arg)
{
	return tfs_req_ops(arg)->notify.stop || fuse_req_interrupted(arg);
}

static void trim(fuse_req_t req, uint32_t ino, void *arg)
{
	struct fstrim_range *a = arg;
	struct tfs_trim t = {
		.from = a->start, .len = a->len, .least = a->minlen,
		.stop = given_up, .arg = req,
	};
	int err = tfs_trim(tfs_req_fs(req), &t);

	(void)ino;
	if (err) {
		tfs_reply_err(req, err);
		return;
	}
	a->len = t.done;
	fuse_reply_ioctl(req, 0, a, sizeof(*a));
}

static const struct request {
	unsigned int	cmd;
	bool		root;		/* asked of the root directory alone */
	bool		change;		/* (2) */
	int		(*run)(fuse_req_t req, uint32_t ino, void *arg);
	/* Instead, by another thread than those that serve, for it takes long
	 * or waits for them. */
	void		(*later)(fuse_req_t req, uint32_t ino, void *arg);
	size_t		size;		/* 0: as the number says; those of long
					 * are of int, for all that know them */
} requests[] = {
	{ TAGFS_IOC_LOCATE, false, false, do_locate, NULL, 0 },
	{ TAGFS_IOC_SCRUB, true, false, do_scrub, NULL, 0 },
	{ TAGFS_IOC_ERROR, true, true, do_error, NULL, 0 },
	{ TAGFS_IOC_CLEAR, true, true, do_clear, NULL, 0 },
	{ TAGFS_IOC_REMOUNT, true, true, NULL, remount, 0 },
	{ TAGFS_IOC_LEG, true, true, NULL, tfs_ops_leg, 0 },
	{ FS_IOC_GETFSLABEL, false, false, do_get_label, NULL, 0 },
	{ FS_IOC_SETFSLABEL, false, true, do_set_label, NULL, 0 },
	{ FITRIM, false, true, NULL, trim, 0 },
	{ FS_IOC_GETFLAGS, false, false, do_get_flags, NULL, 4 },
	{ FS_IOC_SETFLAGS, false, false, NULL, change_flags, 4 },
	{ FS_IOC_FSGETXATTR, false, false, do_get_xflags, NULL, 0 },
	{ FS_IOC_FSSETXATTR, false, false, NULL, change_xflags, 0 },
};

static int may_run(fuse_req_t req, const struct request *r, uint32_t ino)
{
	if (r->root && ino != TFS_ROOT_INO)
		return -ENOTTY;
	return r->change && !may_change(req) ? -EPERM : 0;
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
	if (r && r->size)
		size = r->size;
	if (!r || in_size != (_IOC_DIR(cmd) & _IOC_WRITE ? size : 0) ||
	    out_size != (_IOC_DIR(cmd) & _IOC_READ ? size : 0)) {	/* (1) */
		tfs_reply_err(req, -ENOTTY);
		return;
	}
	err = may_run(req, r, (uint32_t)ino);
	copy = err ? NULL : malloc(size + 1);
	if (!copy) {
		tfs_reply_err(req, err ?: -ENOMEM);
		return;
	}
	if (in_size)
		memcpy(copy, in, in_size);
	if (r->later) {
		tfs_notify_call(&tfs_req_ops(req)->notify, req, (uint32_t)ino,
				r->later, copy);
		return;
	}
	err = r->run(req, (uint32_t)ino, copy);
	if (err)
		tfs_reply_err(req, err);
	else
		fuse_reply_ioctl(req, 0, copy, out_size);
	free(copy);
}
