/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reply.c - answers to the kernel.
 *
 * (1) A reply that carries an entry gives the kernel one reference; if the
 *     reply did not reach it, the reference is dropped here.
 * (2) Errors become what a program may see in tfs_errno() alone.
 * (3) No regular file has 0 blocks.  Programs take that for one large hole
 *     and don't even look, but with delayed writes the kernel may hold any
 *     amount of content that was never sent; and it does not ask again. */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "format.h"
#include "fuse/ops_priv.h"
#include "fuse/reply.h"

/* A bad cluster is an I/O error, whoever found it.  What only has a meaning
 * inside has gone astray if it comes here. */
int tfs_errno(int err)
{
	if (err == TFS_WAITS)
		return TFS_REPLY_WAITS;
	if (err == -EILSEQ || err == -EBADMSG || err <= -512)
		return EIO;
	return -err;
}

void tfs_reply_err(fuse_req_t req, int err)
{
	fuse_reply_err(req, tfs_errno(err));
}

static uint64_t blocks_of(struct tfs *fs, const struct tfs_inode *in)
{
	if (!S_ISREG(in->mode) || in->clusters)
		return in->clusters * (tfs_cluster_size(fs) / 512);
	if (in->size > TFS_INLINE_MAX || !in->size)
		return 1;					/* (3) */
	return (in->size + 511) / 512;		/* in the tree */
}

void tfs_inode_stat(struct tfs *fs, const struct tfs_inode *in,
		    struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = in->ino;
	st->st_mode = in->mode;
	st->st_nlink = in->nlink;
	st->st_uid = in->uid;
	st->st_gid = in->gid;
	st->st_rdev = makedev(in->rdev_major, in->rdev_minor);
	st->st_size = (off_t)in->size;
	st->st_blocks = (blkcnt_t)blocks_of(fs, in);
	st->st_blksize = tfs_cluster_size(fs);
	st->st_atim = in->atime;
	st->st_mtim = in->mtime;
	st->st_ctim = in->ctime;
}

/* The kernel keeps 32 bits of a generation but compares all that it is
 * given. */
void tfs_inode_entry(struct tfs *fs, const struct tfs_inode *in,
		     struct fuse_entry_param *e)
{
	memset(e, 0, sizeof(*e));
	e->ino = in->ino;
	e->generation = (uint32_t)in->birth;
	e->attr_timeout = TFS_VALID_ATTR(in);
	e->entry_timeout = TFS_VALID;
	tfs_inode_stat(fs, in, &e->attr);
}

void tfs_reply_entry(fuse_req_t req, int err, const struct tfs_inode *in)
{
	struct tfs *fs = tfs_req_fs(req);
	struct fuse_entry_param e;

	if (err) {
		tfs_reply_err(req, err);
		return;
	}
	tfs_inode_entry(fs, in, &e);
	if (fuse_reply_entry(req, &e))
		tfs_unref(fs, in->ino, 1);	/* (1) */
}

void tfs_reply_create(fuse_req_t req, int err, const struct tfs_inode *in,
		      const struct fuse_file_info *fi)
{
	struct tfs *fs = tfs_req_fs(req);
	struct fuse_entry_param e;

	if (err) {
		tfs_reply_err(req, err);
		return;
	}
	tfs_inode_entry(fs, in, &e);
	if (fuse_reply_create(req, &e, fi))
		tfs_unref(fs, in->ino, 1);	/* (1) */
}

void tfs_reply_attr(fuse_req_t req, int err, const struct tfs_inode *in)
{
	struct stat st;

	if (err) {
		tfs_reply_err(req, err);
		return;
	}
	tfs_inode_stat(tfs_req_fs(req), in, &st);
	fuse_reply_attr(req, &st, TFS_VALID_ATTR(in));
}

void tfs_reply_xattr(fuse_req_t req, ssize_t len, const char *value,
		     size_t size)
{
	if (len < 0)
		tfs_reply_err(req, (int)len);
	else if (!size)
		fuse_reply_xattr(req, (size_t)len);
	else if ((size_t)len > size)
		tfs_reply_err(req, -ERANGE);
	else
		fuse_reply_buf(req, value, (size_t)len);
}
