/* SPDX-License-Identifier: GPL-2.0-or-later */
/* model_steps.c - what each step must answer, and what it does.  See model.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "support/model_priv.h"

/* ---- what is expected ---------------------------------------------------- */

static bool is_dir(const struct model_node *n)
{
	return S_ISDIR(n->in.mode);
}

static int bad_name(const char *name, int dots)
{
	size_t len = strlen(name);

	if (!len)
		return -ENOENT;
	if (len > 255)
		return -ENAMETOOLONG;
	if (strchr(name, '/'))
		return -EINVAL;
	return !strcmp(name, ".") || !strcmp(name, "..") ? dots : 0;
}

/* A name that comes into being. */
static int expect_new_name(struct model *m, const struct step *s)
{
	struct model_node *dir = model_node(m, s->dir);
	int err = bad_name(s->name, -EEXIST);

	if (err)
		return err;
	if (!is_dir(dir))
		return -ENOTDIR;
	if (!dir->in.nlink)
		return -ENOENT;
	return model_find(m, s->dir, s->name) ? -EEXIST : 0;
}

static int expect_tmpfile(struct model *m, const struct step *s)
{
	struct model_node *dir = model_node(m, s->dir);

	if (!is_dir(dir))
		return -ENOTDIR;
	return dir->in.nlink ? 0 : -ENOENT;
}

static int expect_link(struct model *m, const struct step *s)
{
	int err = expect_new_name(m, s);

	return !err && is_dir(model_node(m, s->ino)) ? -EPERM : err;
}

/* May a directory (or another inode) take this place? */
static int expect_removed(struct model *m, uint32_t ino, bool by_dir)
{
	struct model_node *n = model_node(m, ino);

	if (!by_dir)
		return is_dir(n) ? -EISDIR : 0;
	if (!is_dir(n))
		return -ENOTDIR;
	return n->in.size ? -ENOTEMPTY : 0;
}

static int expect_remove(struct model *m, const struct step *s)
{
	bool rmdir = s->kind == DO_RMDIR;
	int dots = !rmdir ? -EISDIR : s->name[1] ? -ENOTEMPTY : -EINVAL;
	int err = bad_name(s->name, dots);
	uint32_t ino;

	if (err)
		return err;
	if (!is_dir(model_node(m, s->dir)))
		return -ENOTDIR;
	ino = model_find(m, s->dir, s->name);
	return ino ? expect_removed(m, ino, rmdir) : -ENOENT;
}

static int expect_move(struct model *m, const struct step *s, uint32_t src,
		       uint32_t dst)
{
	bool exchange = s->flags & RENAME_EXCHANGE;

	if (dst && s->flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (!dst && exchange)
		return -ENOENT;
	if (is_dir(model_node(m, src)) && model_below(m, s->newdir, src))
		return -EINVAL;
	if (dst && is_dir(model_node(m, dst)) && model_below(m, s->dir, dst))
		return exchange ? -EINVAL : -ENOTEMPTY;
	if (!dst || src == dst || exchange)
		return 0;
	return expect_removed(m, dst, is_dir(model_node(m, src)));
}

static int expect_rename(struct model *m, const struct step *s)
{
	const int both = RENAME_NOREPLACE | RENAME_EXCHANGE;
	struct model_node *to = model_node(m, s->newdir);
	uint32_t src;
	int err;

	if (s->flags & ~both || s->flags == both)
		return -EINVAL;
	err = bad_name(s->name, -EBUSY);
	if (!err)
		err = bad_name(s->newname, -EBUSY);
	if (err)
		return err;
	if (!is_dir(model_node(m, s->dir)) || !is_dir(to))
		return -ENOTDIR;
	if (!to->in.nlink)
		return -ENOENT;
	src = model_find(m, s->dir, s->name);
	if (!src)
		return -ENOENT;
	return expect_move(m, s, src, model_find(m, s->newdir, s->newname));
}

static struct model_xattr *find_xattr(const struct model_node *n,
				      const char *name)
{
	struct model_xattr *x = n->xattr;

	while (x && strcmp(x->name, name))
		x = x->next;
	return x;
}

static int expect_setxattr(struct model *m, const struct step *s)
{
	struct model_xattr *x = find_xattr(model_node(m, s->ino), s->name);

	if (s->len > XATTR_SIZE_MAX)
		return -E2BIG;
	if (x && s->flags & XATTR_CREATE)
		return -EEXIST;
	return !x && s->flags & XATTR_REPLACE ? -ENODATA : 0;
}

static int expect_rmxattr(struct model *m, const struct step *s)
{
	return find_xattr(model_node(m, s->ino), s->name) ? 0 : -ENODATA;
}

static int expect_content(struct model *m, const struct step *s)
{
	struct model_node *n = model_node(m, s->ino);
	int mode = s->flags;

	if (s->kind == DO_WRITE && !s->len)
		return 0;
	if (s->kind == DO_FALLOCATE) {
		if (mode & FALLOC_FL_PUNCH_HOLE &&
		    mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
			return -EOPNOTSUPP;
		if (!s->len)
			return -EINVAL;
	}
	if (is_dir(n))
		return -EISDIR;
	return S_ISREG(n->in.mode) ? 0 : -EINVAL;
}

static int expect_nothing(struct model *m, const struct step *s)
{
	(void)m;
	(void)s;
	return 0;
}

/* ---- doing it ------------------------------------------------------------ */

static struct model_node *new_node(struct model *m, const struct step *s,
				   uint32_t ino)
{
	const struct model_node *dir = model_node(m, s->dir);
	struct model_node *n = model_node_add(m, ino);

	n->in.mode = s->mode;
	n->in.uid = s->uid;
	n->in.gid = s->uid;
	if (dir->in.mode & S_ISGID) {
		n->in.gid = dir->in.gid;
		if (is_dir(n))
			n->in.mode |= S_ISGID;
	}
	return n;
}

static void gain_entry(struct model *m, uint32_t dir, const char *name,
		       struct model_node *n)
{
	struct model_node *d = model_node(m, dir);

	d->in.size++;
	d->in.nlink += is_dir(n);
	if (is_dir(n))
		n->in.parent = dir;
	model_name_add(m, dir, name, n->in.ino);
	model_touch(m, d);
	model_touch(m, n);
}

static void lose_entry(struct model *m, uint32_t dir, const char *name)
{
	struct model_node *d = model_node(m, dir);
	struct model_node *n = model_node(m, model_find(m, dir, name));

	d->in.size--;
	d->in.nlink -= is_dir(n);
	model_name_del(m, dir, name);
	model_touch(m, d);
	model_touch(m, n);
}

static void lose_link(struct model *m, struct model_node *n)
{
	n->in.nlink = is_dir(n) ? 0 : n->in.nlink - 1;
	model_settle_use(m, n);
}

static void do_create(struct model *m, const struct step *s, uint32_t ino)
{
	struct model_node *n = new_node(m, s, ino);

	n->in.nlink = is_dir(n) ? 2 : 1;
	if (S_ISLNK(n->in.mode)) {
		n->in.mode = S_IFLNK | 0777;
		n->target = need(strdup(s->newname));
		n->in.size = strlen(n->target);
	} else if (S_ISCHR(n->in.mode) || S_ISBLK(n->in.mode)) {
		n->in.rdev_major = 5;
		n->in.rdev_minor = (uint32_t)s->seed;
	}
	gain_entry(m, s->dir, s->name, n);
}

static void do_tmpfile(struct model *m, const struct step *s, uint32_t ino)
{
	new_node(m, s, ino)->open = true;
}

static void do_link(struct model *m, const struct step *s, uint32_t ino)
{
	struct model_node *n = model_node(m, s->ino);

	(void)ino;
	n->in.nlink++;
	gain_entry(m, s->dir, s->name, n);
}

static void do_remove(struct model *m, const struct step *s, uint32_t ino)
{
	struct model_node *n = model_node(m, model_find(m, s->dir, s->name));

	(void)ino;
	lose_entry(m, s->dir, s->name);
	lose_link(m, n);
}

static void do_rename(struct model *m, const struct step *s, uint32_t ino)
{
	uint32_t was = model_find(m, s->newdir, s->newname);
	struct model_node *src = model_node(m, model_find(m, s->dir, s->name));
	struct model_node *dst = was ? model_node(m, was) : NULL;

	(void)ino;
	if (src == dst)
		return;
	lose_entry(m, s->dir, s->name);
	if (dst)
		lose_entry(m, s->newdir, s->newname);
	gain_entry(m, s->newdir, s->newname, src);
	if (s->flags & RENAME_EXCHANGE)
		gain_entry(m, s->dir, s->name, dst);
	else if (dst)
		lose_link(m, dst);
}

static void do_chmod(struct model *m, const struct step *s, uint32_t ino)
{
	struct model_node *n = model_node(m, s->ino);

	(void)ino;
	n->in.mode = (n->in.mode & S_IFMT) | (s->mode & 07777);
	model_touch(m, n);
}

static void kill_priv(struct model_node *n)
{
	if (is_dir(n))
		return;
	n->in.mode &= ~(uint32_t)S_ISUID;
	if (n->in.mode & S_IXGRP)
		n->in.mode &= ~(uint32_t)S_ISGID;
}

static void do_chown(struct model *m, const struct step *s, uint32_t ino)
{
	struct model_node *n = model_node(m, s->ino);

	(void)ino;
	n->in.uid = s->uid;
	kill_priv(n);
	model_touch(m, n);
}

static void do_rmxattr(struct model *m, const struct step *s, uint32_t ino)
{
	struct model_node *n = model_node(m, s->ino);
	struct model_xattr *x = find_xattr(n, s->name), **p = &n->xattr;

	(void)ino;
	while (*p != x)
		p = &(*p)->next;
	*p = x->next;
	free(x->value);
	free(x);
	model_touch(m, n);
}

static void do_setxattr(struct model *m, const struct step *s, uint32_t ino)
{
	struct model_node *n = model_node(m, s->ino);
	struct model_xattr *x = need(calloc(1, sizeof(*x)));

	if (find_xattr(n, s->name))
		do_rmxattr(m, s, ino);
	snprintf(x->name, sizeof(x->name), "%.39s", s->name);
	x->len = s->len;
	x->value = need(malloc(x->len + 1));
	bed_fill(x->value, x->len, s->seed);
	x->next = n->xattr;
	n->xattr = x;
	model_touch(m, n);
}

void model_resize(struct model_node *n, uint64_t size)
{
	if (size > n->room) {
		n->room = size * 3 / 2 + 64;
		n->data = need(realloc(n->data, n->room));
	}
	if (size > n->in.size)
		memset(n->data + n->in.size, 0, size - n->in.size);
	n->in.size = size;
}

static void do_write(struct model *m, const struct step *s, uint32_t ino)
{
	struct model_node *n = model_node(m, s->ino);

	(void)ino;
	if (!s->len)
		return;
	if (s->off + s->len > n->in.size)
		model_resize(n, s->off + s->len);
	bed_fill(n->data + s->off, s->len, s->seed);
	if (s->flags & TFS_WRITE_KILL_PRIV)
		kill_priv(n);
	model_touch(m, n);
}

static void do_truncate(struct model *m, const struct step *s, uint32_t ino)
{
	struct model_node *n = model_node(m, s->ino);

	(void)ino;
	model_resize(n, s->off);
	model_touch(m, n);
}

static void do_fallocate(struct model *m, const struct step *s, uint32_t ino)
{
	struct model_node *n = model_node(m, s->ino);
	uint64_t end = s->off + s->len, stop = end;

	(void)ino;
	if (stop > n->in.size)
		stop = n->in.size;
	if (s->flags & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) &&
	    s->off < stop)
		memset(n->data + s->off, 0, stop - s->off);
	if (!(s->flags & FALLOC_FL_KEEP_SIZE) && end > n->in.size)
		model_resize(n, end);
	model_touch(m, n);
}

static void do_open(struct model *m, const struct step *s, uint32_t ino)
{
	(void)ino;
	model_node(m, s->ino)->open = true;
}

static void do_close(struct model *m, const struct step *s, uint32_t ino)
{
	struct model_node *n = model_node(m, s->ino);

	(void)ino;
	n->open = false;
	model_settle_use(m, n);
}

static void do_remount(struct model *m, const struct step *s, uint32_t ino)
{
	(void)s;
	(void)ino;
	model_close_all(m);
}

static void do_nothing(struct model *m, const struct step *s, uint32_t ino)
{
	(void)m;
	(void)s;
	(void)ino;
}

static const struct {
	const char	*name;
	int		(*expect)(struct model *m, const struct step *s);
	void		(*act)(struct model *m, const struct step *s,
			       uint32_t ino);
} kinds[STEP_KINDS] = {
	[DO_CREATE]	= { "create", expect_new_name, do_create },
	[DO_TMPFILE]	= { "tmpfile", expect_tmpfile, do_tmpfile },
	[DO_LINK]	= { "link", expect_link, do_link },
	[DO_UNLINK]	= { "unlink", expect_remove, do_remove },
	[DO_RMDIR]	= { "rmdir", expect_remove, do_remove },
	[DO_RENAME]	= { "rename", expect_rename, do_rename },
	[DO_CHMOD]	= { "chmod", expect_nothing, do_chmod },
	[DO_CHOWN]	= { "chown", expect_nothing, do_chown },
	[DO_SETXATTR]	= { "setxattr", expect_setxattr, do_setxattr },
	[DO_RMXATTR]	= { "rmxattr", expect_rmxattr, do_rmxattr },
	[DO_WRITE]	= { "write", expect_content, do_write },
	[DO_TRUNCATE]	= { "truncate", expect_content, do_truncate },
	[DO_FALLOCATE]	= { "fallocate", expect_content, do_fallocate },
	[DO_READ]	= { "read", expect_content, do_nothing },
	[DO_OPEN]	= { "open", expect_nothing, do_open },
	[DO_CLOSE]	= { "close", expect_nothing, do_close },
	[DO_FSYNC]	= { "fsync", expect_nothing, do_nothing },
	[DO_SYNC]	= { "sync", expect_nothing, do_nothing },
	[DO_REMOUNT]	= { "remount", expect_nothing, do_remount },
};

int model_expect(struct model *m, const struct step *s)
{
	return kinds[s->kind].expect(m, s);
}

void model_do(struct model *m, const struct step *s, uint32_t ino)
{
	kinds[s->kind].act(m, s, ino);
}

const char *step_text(const struct step *s, char *buf, size_t size)
{
	snprintf(buf, size, "%s ino %u dir %u name %.20s newdir %u newname "
		 "%.20s mode %o flags %#x off %llu len %llu",
		 kinds[s->kind].name, s->ino, s->dir, s->name, s->newdir,
		 s->newname, s->mode, (unsigned int)s->flags,
		 (unsigned long long)s->off, (unsigned long long)s->len);
	return buf;
}
