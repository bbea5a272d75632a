/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ops.c - FUSE requests become calls of fs.h.
 *
 * (1) Every request gets exactly one reply, by the function that received it
 *     or by whom it was handed to (reads: tfs_read()'s end; seeks: notify.c).
 * (2) A reply that carries an entry gives the kernel one reference; if the
 *     reply did not reach it, the reference is dropped (reply.c, and here for
 *     whole pages of entries).
 * (3) All changes come through this kernel, so names and attributes are
 *     valid for a day.  What the kernel can't follow by itself are block
 *     counts under delayed writes and modes after a write that clears set-id
 *     bits: those it is told to ask for again.  After a read it asks for the
 *     access time by itself, so that must be set before the reply.
 * (4) There is no open state: open, opendir and flush answer ENOSYS once and
 *     are never sent again.  A file that is open is a file the kernel holds a
 *     reference on.  So does create, or each new file would be released until
 *     the first open of an old one; then files come with mknod, as many
 *     requests, and a new one is opened as any other.
 * (5) But where files may be immutable or append-only, whoever opens one to
 *     write has to be refused, so there open is answered.  It is the first
 *     answer that the kernel goes by, so that is as it was when mounted. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "format.h"
#include "file/inode.h"
#include "fuse/copy.h"
#include "fuse/ioctl.h"
#include "fuse/loop.h"
#include "fuse/ops_priv.h"
#include "fuse/reply.h"
#include "fuse/room.h"
#include "fuse/space.h"
#include "fuse/uring.h"
#include "fuse/wire.h"

#define BACKGROUND	128u		/* read-ahead, write-back */
#define XATTR_PREFIX	"tagfs."
/* The kernel hands out no more. */
#ifndef XATTR_SIZE_MAX
#define XATTR_SIZE_MAX	65536
#endif

/* ---- durable before the answer ------------------------------------------- */

/* A change of attributes was done, or not. */
static int changed(fuse_req_t req, int err)
{
	return !err && tfs_req_ops(req)->sync ? tfs_sync(tfs_req_fs(req)) : err;
}

/* A change of names was done, or not; in: what was referenced by it. */
static int renamed(fuse_req_t req, int err, const struct tfs_inode *in)
{
	if (err || !tfs_req_ops(req)->dirsync)
		return err;
	err = tfs_sync(tfs_req_fs(req));
	if (err && in)
		tfs_unref(tfs_req_fs(req), in->ino, 1);
	return err;
}

/* ---- names -------------------------------------------------------------- */

static void op_lookup(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	static const struct fuse_entry_param none = {
		.entry_timeout = TFS_VALID,
	};
	struct tfs_ops *ops = tfs_req_ops(req);
	struct tfs_inode in;
	int err = tfs_lookup(tfs_req_fs(req), (uint32_t)dir, name, &in);

	if (err == -ENOENT)
		fuse_reply_entry(req, &none);
	else
		tfs_reply_entry(req, err, &in);
	if (!err)
		tfs_space_watch(ops, &in);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	tfs_unref(tfs_req_fs(req), (uint32_t)ino, n);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count,
			    struct fuse_forget_data *what)
{
	for (size_t i = 0; i < count; i++)
		tfs_unref(tfs_req_fs(req), (uint32_t)what[i].ino,
			  what[i].nlookup);
	fuse_reply_none(req);
}

static struct tfs_new new_of(fuse_req_t req, mode_t mode)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct tfs_new new = {
		.mode = mode, .umask = ctx->umask,
		.uid = ctx->uid, .gid = ctx->gid,
	};

	return new;
}

static void create_and_reply(fuse_req_t req, fuse_ino_t dir, const char *name,
			     const struct tfs_new *new)
{
	struct tfs_inode in;
	int err = tfs_create(tfs_req_fs(req), (uint32_t)dir, name, new, &in);

	tfs_reply_entry(req, renamed(req, err, &in), &in);
}

static void op_mknod(fuse_req_t req, fuse_ino_t dir, const char *name,
		     mode_t mode, dev_t rdev)
{
	struct tfs_new new = new_of(req, mode);

	if (S_ISCHR(mode) || S_ISBLK(mode)) {
		new.rdev_major = major(rdev);
		new.rdev_minor = minor(rdev);
	}
	create_and_reply(req, dir, name, &new);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t dir, const char *name,
		     mode_t mode)
{
	struct tfs_new new = new_of(req, S_IFDIR | (mode & 07777));

	create_and_reply(req, dir, name, &new);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t dir,
		       const char *name)
{
	struct tfs_new new = new_of(req, S_IFLNK | 0777);

	new.umask = 0;
	new.target = target;
	create_and_reply(req, dir, name, &new);
}

/* (4) A file without a name comes in this form, too. */
static void op_create(fuse_req_t req, fuse_ino_t dir, const char *name,
		      mode_t mode, struct fuse_file_info *fi)
{
	struct tfs_new new = new_of(req, S_IFREG | (mode & 07777));
	struct tfs_ops *ops = tfs_req_ops(req);
	struct tfs_inode in;
	int err = -ENOSYS;

	(void)name;
	if (tfs_wire_flags() & TFS_WIRE_TMPFILE)
		err = tfs_create(tfs_req_fs(req), (uint32_t)dir, NULL, &new,
				 &in);
	fi->keep_cache = 1;
	err = renamed(req, err, &in);
	tfs_reply_create(req, err, &in, fi);
	if (!err)
		tfs_space_watch(ops, &in);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t dir,
		    const char *name)
{
	struct tfs_inode in;
	int err = tfs_link(tfs_req_fs(req), (uint32_t)ino, (uint32_t)dir, name,
			   &in);

	tfs_reply_entry(req, renamed(req, err, &in), &in);
}

static void op_unlink(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	int err = tfs_unlink(tfs_req_fs(req), (uint32_t)dir, name);

	tfs_reply_err(req, renamed(req, err, NULL));
}

static void op_rmdir(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	int err = tfs_rmdir(tfs_req_fs(req), (uint32_t)dir, name);

	tfs_reply_err(req, renamed(req, err, NULL));
}

static void op_rename(fuse_req_t req, fuse_ino_t dir, const char *name,
		      fuse_ino_t newdir, const char *newname,
		      unsigned int flags)
{
	struct tfs_new white = new_of(req, S_IFCHR);
	int err = tfs_rename(tfs_req_fs(req), (uint32_t)dir, name,
			     (uint32_t)newdir, newname, flags, &white);

	tfs_reply_err(req, renamed(req, err, NULL));
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char *target;
	int err = tfs_readlink(tfs_req_fs(req), (uint32_t)ino, &target);

	if (err) {
		tfs_reply_err(req, err);
		return;
	}
	err = tfs_accessed(tfs_req_fs(req), (uint32_t)ino);
	if (err)
		tfs_reply_err(req, err);
	else
		fuse_reply_readlink(req, target);
	free(target);
}

/* ---- attributes --------------------------------------------------------- */

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct tfs_ops *ops = tfs_req_ops(req);
	struct tfs_inode in;
	int err = tfs_getattr(ops->fs, (uint32_t)ino, &in);

	if (!err && tfs_space_ask(req, &in, fi))
		return;
	tfs_reply_attr(req, err, &in);
	if (!err)
		tfs_space_watch(ops, &in);
}

/* The clock that the kernel itself stamps with: a finer one would put a
 * create after the write that follows it. */
static void set_times(const struct stat *st, int set, struct tfs_inode *in)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	in->atime = set & FUSE_SET_ATTR_ATIME_NOW ? now : st->st_atim;
	in->mtime = set & FUSE_SET_ATTR_MTIME_NOW ? now : st->st_mtim;
	in->ctime = st->st_ctim;
}

static unsigned int set_mask(int set)
{
	static const struct { int fuse; unsigned int tfs; } map[] = {
		{ FUSE_SET_ATTR_MODE, TFS_SET_MODE },
		{ FUSE_SET_ATTR_UID, TFS_SET_UID },
		{ FUSE_SET_ATTR_GID, TFS_SET_GID },
		{ FUSE_SET_ATTR_SIZE, TFS_SET_SIZE },
		{ FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW,
		  TFS_SET_ATIME },
		{ FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW,
		  TFS_SET_MTIME },
		{ FUSE_SET_ATTR_CTIME, TFS_SET_CTIME },
		{ FUSE_SET_ATTR_KILL_SUID | FUSE_SET_ATTR_KILL_SGID,
		  TFS_KILL_PRIV },
	};
	unsigned int mask = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (set & map[i].fuse)
			mask |= map[i].tfs;
	return mask;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st,
		       int set, struct fuse_file_info *fi)
{
	struct tfs_inode in = {
		.ino = (uint32_t)ino, .mode = st->st_mode,
		.uid = st->st_uid, .gid = st->st_gid,
		.size = (uint64_t)st->st_size,
	};
	struct tfs_ops *ops = tfs_req_ops(req);
	int err;

	(void)fi;
	set_times(st, set, &in);
	err = tfs_setattr(ops->fs, (uint32_t)ino, set_mask(set), &in);
	err = changed(req, err);
	tfs_reply_attr(req, err, &in);
	if (!err)
		tfs_space_watch(ops, &in);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	int err = tfs_statvfs(tfs_req_fs(req), &st);

	(void)ino;
	if (err)
		tfs_reply_err(req, err);
	else
		fuse_reply_statfs(req, &st);
}

/* ---- directories -------------------------------------------------------- */

/* A directory page being filled. */
struct page {
	fuse_req_t	req;
	struct tfs	*fs;
	bool		plus;
	char		*buf;
	size_t		used, size;
	uint32_t	*refs;		/* plus: taken by the entries so far */
	unsigned int	nrefs;
};

static size_t page_add_plus(struct page *pg, const struct tfs_dirent *de)
{
	struct fuse_entry_param e;
	bool bare = !de->attr.ino || !strcmp(de->name, ".") ||
		!strcmp(de->name, "..") || tfs_space_watched(&de->attr);
	size_t len;

	tfs_inode_entry(pg->fs, &de->attr, &e);
	e.attr.st_ino = de->ino;
	e.attr.st_mode = bare ? de->type : e.attr.st_mode;
	e.ino = bare ? 0 : de->ino;	/* 0: no reference, no attributes */
	len = fuse_add_direntry_plus(pg->req, pg->buf + pg->used,
				     pg->size - pg->used, de->name, &e,
				     (off_t)de->cookie);
	if (!bare && len <= pg->size - pg->used)
		pg->refs[pg->nrefs++] = de->ino;
	return len;
}

static int page_add(void *arg, const struct tfs_dirent *de)
{
	struct page *pg = arg;
	struct stat st = { .st_ino = de->ino, .st_mode = de->type };
	size_t len;

	if (pg->plus)
		len = page_add_plus(pg, de);
	else
		len = fuse_add_direntry(pg->req, pg->buf + pg->used,
					pg->size - pg->used, de->name, &st,
					(off_t)de->cookie);
	if (len > pg->size - pg->used)
		return 1;
	pg->used += len;
	return 0;
}

/* Entries already in the page have their references, so that an error after
 * them must wait for the next request. */
static void page_reply(struct page *pg, int err)
{
	if (err && !pg->used) {
		tfs_reply_err(pg->req, err);
		return;
	}
	if (fuse_reply_buf(pg->req, pg->buf, pg->used))
		for (unsigned int i = 0; i < pg->nrefs; i++)
			tfs_unref(pg->fs, pg->refs[i], 1);	/* (2) */
}

static void read_page(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		      bool plus)
{
	struct page pg = {
		.req = req, .fs = tfs_req_fs(req), .plus = plus, .size = size,
		.buf = malloc(size),
		/* An entry with attributes has more than 128 bytes. */
		.refs = malloc((size / 128 + 1) * sizeof(uint32_t)),
	};
	int err = pg.buf && pg.refs ? 0 : -ENOMEM;

	if (!err && !off && !tfs_req_ops(req)->nodiratime)
		err = tfs_accessed(pg.fs, (uint32_t)ino);
	if (!err)
		err = tfs_readdir(pg.fs, (uint32_t)ino, (uint64_t)off, plus,
				  page_add, &pg);
	page_reply(&pg, err);
	free(pg.refs);
	free(pg.buf);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	(void)fi;
	read_page(req, ino, size, off, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			   off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	read_page(req, ino, size, off, true);
}

/* ---- content ------------------------------------------------------------ */

/* (4) The kernel takes ENOSYS for "always succeeds, caches stay valid". */
static void op_unneeded(fuse_req_t req, fuse_ino_t ino,
			struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	tfs_reply_err(req, -ENOSYS);
}

/* (5) */
static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY;
	struct tfs_ops *ops = tfs_req_ops(req);
	struct tfs_inode in;
	int err = 0;

	if (!ops->opens)
		err = -ENOSYS;
	else if (writes)
		err = tfs_getattr(ops->fs, (uint32_t)ino, &in);
	if (!err && writes)
		err = fi->flags & O_APPEND ? tfs_mutable(&in) :
			tfs_unlocked(&in);
	fi->keep_cache = 1;
	if (err)
		tfs_reply_err(req, err);
	else
		fuse_reply_open(req, fi);
}

static void op_release(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	tfs_reply_err(req, 0);
}

struct read {
	struct tfs_read	rd;
	fuse_req_t	req;
	struct tfs_ops	*ops;
};

static void pending_add(struct tfs_ops *ops)
{
	atomic_fetch_add(&ops->pending, 1);
}

/* The last one wakes who waits for the end, which may free all of this. */
static void pending_del(struct tfs_ops *ops)
{
	if (atomic_fetch_sub(&ops->pending, 1) == 1)
		sem_post(&ops->idle);
}

static void read_end(struct tfs_read *rd, int err, const void *data,
		     size_t len)
{
	struct read *r = rd->arg;
	struct tfs_ops *ops = r->ops;

	if (err)
		tfs_reply_err(r->req, err);
	else
		fuse_reply_buf(r->req, data, len);
	free(r);
	pending_del(ops);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct tfs_ops *ops = tfs_req_ops(req);
	struct read *r = malloc(sizeof(*r));

	(void)fi;
	if (!r) {
		tfs_reply_err(req, -ENOMEM);
		return;
	}
	r->req = req;
	r->ops = ops;
	r->rd = (struct tfs_read) {
		.ino = (uint32_t)ino, .off = (uint64_t)off, .len = size,
		.accessed = true, .end = read_end, .arg = r,	/* (3) */
	};
	r->rd.room = tfs_uring_room(&r->rd.room_size);
	pending_add(ops);
	tfs_read(ops->fs, &r->rd);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
		     size_t size, off_t off, struct fuse_file_info *fi)
{
	struct tfs_ops *ops = tfs_req_ops(req);
	bool kill = tfs_wire_flags() & TFS_WIRE_KILL_PRIV;
	int err;

	err = tfs_write(ops->fs, (uint32_t)ino, (uint64_t)off, buf, size,
			(fi->writepage ? TFS_WRITE_CACHED : 0) |
			(kill ? TFS_WRITE_KILL_PRIV : 0));
	/* (3) The writer holds the inode, so this can't be its last user. */
	if (kill && !err)
		fuse_lowlevel_notify_inval_inode(ops->se, ino, -1, 0);
	else if (fi->writepage && tfs_room_short(ops->fs, ops->held))
		tfs_notify_urgent(&ops->notify, (uint32_t)ino);
	else if (fi->writepage)
		tfs_notify_stale(&ops->notify, (uint32_t)ino);
	if (err && err != -EFBIG && fi->writepage)
		tfs_space_lost(ops, (uint32_t)ino, (uint64_t)off, size, err);
	if (err)
		tfs_reply_err(req, err);
	else
		fuse_reply_write(req, size);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		     struct fuse_file_info *fi)
{
	(void)fi;
	tfs_reply_err(req, tfs_fsync(tfs_req_fs(req), (uint32_t)ino, datasync));
}

/* The kernel leaves set-id bits to us, as with a write, but there is no flag
 * in this request: whoever is not root loses them. */
static int kill_priv(fuse_req_t req, fuse_ino_t ino)
{
	const uint32_t both = S_ISGID | S_IXGRP;
	struct tfs_ops *ops = tfs_req_ops(req);
	struct tfs_inode in;
	int err;

	if (!fuse_req_ctx(req)->uid)
		return 0;
	err = tfs_getattr(ops->fs, (uint32_t)ino, &in);
	if (err || !(in.mode & S_ISUID || (in.mode & both) == both))
		return err;
	err = tfs_setattr(ops->fs, (uint32_t)ino, TFS_KILL_PRIV, &in);
	if (!err)	/* (3), as after a write */
		fuse_lowlevel_notify_inval_inode(ops->se, ino, -1, 0);
	return err;
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
			 off_t len, struct fuse_file_info *fi)
{
	int err = kill_priv(req, ino);

	(void)fi;
	if (!err)
		err = tfs_fallocate(tfs_req_fs(req), (uint32_t)ino, mode,
				    (uint64_t)off, (uint64_t)len);
	tfs_reply_err(req, err);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		     struct fuse_file_info *fi)
{
	struct tfs_ops *ops = tfs_req_ops(req);
	int64_t at;

	(void)fi;
	if (ops->writeback) {
		tfs_notify_lseek(&ops->notify, req, (uint32_t)ino,
				 (uint64_t)off, whence);
		return;
	}
	at = tfs_lseek(ops->fs, (uint32_t)ino, (uint64_t)off, whence);
	if (at < 0)
		tfs_reply_err(req, (int)at);
	else
		fuse_reply_lseek(req, at);
}

/* ---- extended attributes ------------------------------------------------ */

static bool xattr_ours(const char *name)
{
	return !strncmp(name, XATTR_PREFIX, strlen(XATTR_PREFIX));
}

/* What is computed on demand. */
static ssize_t xattr_virtual(struct tfs *fs, uint32_t ino, const char *name,
			     char **out)
{
	char requests[TFS_WIRE_REQUESTS];

	name += strlen(XATTR_PREFIX);
	if (!strcmp(name, "stats") && ino == TFS_ROOT_INO) {
		tfs_wire_requests(requests, sizeof(requests));
		return tfs_stats(fs, requests, out);
	}
	return -ENODATA;
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			size_t size)
{
	struct tfs *fs = tfs_req_fs(req);
	char small[256], *value = NULL;
	ssize_t len;

	if (!strcmp(name, XATTR_PREFIX "tags") ||
	    !strcmp(name, XATTR_PREFIX "tags.raw")) {
		tfs_notify_tags(&tfs_req_ops(req)->notify, req, (uint32_t)ino,
				name[strlen(XATTR_PREFIX "tags")], size);
		return;
	}
	if (xattr_ours(name)) {
		len = xattr_virtual(fs, (uint32_t)ino, name, &value);
		tfs_reply_xattr(req, len, value, size);
		if (len >= 0)
			free(value);
		return;
	}
	value = size <= sizeof(small) ? small : malloc(size);
	if (value)
		len = tfs_getxattr(fs, (uint32_t)ino, name, value, size);
	else
		len = -ENOMEM;
	tfs_reply_xattr(req, len, value, size);
	if (value != small)
		free(value);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	char *list = malloc(size + 1);
	ssize_t len = -ENOMEM;

	/* What CAP_SYS_ADMIN is to others: the request has no more to say. */
	if (list)
		len = tfs_listxattr(tfs_req_fs(req), (uint32_t)ino, list, size,
				    !fuse_req_ctx(req)->uid);
	tfs_reply_xattr(req, len, list, size);
	free(list);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			const char *value, size_t size, int flags)
{
	bool kill = tfs_wire_flags() & TFS_WIRE_KILL_SGID;
	int err = -EPERM;

	if (!xattr_ours(name))
		err = tfs_setxattr(tfs_req_fs(req), (uint32_t)ino, name, value,
				   size, flags, kill);
	tfs_reply_err(req, changed(req, err));
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	int err = -EPERM;

	if (!xattr_ours(name))
		err = tfs_removexattr(tfs_req_fs(req), (uint32_t)ino, name);
	tfs_reply_err(req, changed(req, err));
}

/* ---- the connection ----------------------------------------------------- */

/* Not wanted, though libfuse asks for some of them by itself:
 * ATOMIC_O_TRUNC	a truncating open comes as a setattr, as all do;
 * AUTO_INVAL_DATA	(3);
 * HANDLE_KILLPRIV	leaves set-id bits to a server that, with delayed
 *			writes, would learn too late and not know the writer;
 *			wire.c asks for its second version;
 * SPLICE_*		data is looked at by the processor in any case, and
 *			wire.c must see the requests. */
#define CAPS_OFF	(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA | \
			 FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_SPLICE_READ | \
			 FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | \
			 FUSE_CAP_WRITEBACK_CACHE)
#define CAPS_ON		(FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | \
			 FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK | \
			 FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | \
			 FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_EXPORT_SUPPORT | \
			 FUSE_CAP_CACHE_SYMLINKS)

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct tfs_ops *ops = userdata;

	conn->want &= ~CAPS_OFF;
	conn->want |= CAPS_ON & conn->capable;
	if (ops->noacl)
		conn->want &= ~FUSE_CAP_POSIX_ACL;
	if (ops->writeback && conn->capable & FUSE_CAP_WRITEBACK_CACHE)
		conn->want |= FUSE_CAP_WRITEBACK_CACHE;
	else
		ops->writeback = false;
	if (conn->max_write > TFS_MAX_WRITE)
		conn->max_write = TFS_MAX_WRITE;
	conn->max_read = ops->max_read;	/* as the mount option, or refused */
	conn->max_background = BACKGROUND;
	conn->congestion_threshold = BACKGROUND / 4 * 3;
	conn->time_gran = 1;
}

const struct fuse_lowlevel_ops tfs_fuse_ops = {
	.init		= op_init,
	.lookup		= op_lookup,
	.forget		= op_forget,
	.forget_multi	= op_forget_multi,
	.getattr	= op_getattr,
	.setattr	= op_setattr,
	.readlink	= op_readlink,
	.mknod		= op_mknod,
	.mkdir		= op_mkdir,
	.unlink		= op_unlink,
	.rmdir		= op_rmdir,
	.symlink	= op_symlink,
	.rename		= op_rename,
	.link		= op_link,
	.open		= op_open,
	.read		= op_read,
	.write		= op_write,
	.flush		= op_unneeded,
	.release	= op_release,
	.fsync		= op_fsync,
	.opendir	= op_unneeded,
	.readdir	= op_readdir,
	.readdirplus	= op_readdirplus,
	.releasedir	= op_release,
	.fsyncdir	= op_fsync,
	.statfs		= op_statfs,
	.setxattr	= op_setxattr,
	.getxattr	= op_getxattr,
	.listxattr	= op_listxattr,
	.removexattr	= op_removexattr,
	.create		= op_create,
	.ioctl		= tfs_op_ioctl,
	.fallocate	= op_fallocate,
	.lseek		= op_lseek,
	.copy_file_range = tfs_op_copy,
};
