/* SPDX-License-Identifier: GPL-2.0-or-later */
/* model.c - see model.h.
 *  (1) A name is in one chain of the hash, and in the list of all names.
 *  (2) An inode is there while it has a name or is open. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "support/model.h"

#define CHAINS	4096u

struct name {
	struct name	*next;		/* (1) */
	size_t		at;
	uint32_t	dir, ino;
	char		text[256];
};

struct model {
	struct model_node **node;	/* by number */
	size_t		numbers;
	struct model_node **list;
	size_t		n, room;
	struct name	*chain[CHAINS];
	struct name	**name;
	size_t		names, name_room;
	uint64_t	strict, loose;
	uint32_t	*touched;
	size_t		n_touched, touched_room;
};

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

/* Room for one more. */
static void *grow(void *array, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return array;
	*room = *room ? *room * 2 : 64;
	return need(realloc(array, *room * size));
}

/* ---- sums ---------------------------------------------------------------- */

static uint64_t xattr_sum(const struct model_node *n)
{
	uint64_t sum = 0;

	for (const struct model_xattr *x = n->xattr; x; x = x->next)
		sum += bed_hash(bed_hash(1, x->name, strlen(x->name)),
				x->value, x->len);
	return sum;
}

static uint64_t node_loose(const struct model_node *n)
{
	uint64_t word[] = {
		n->in.ino, n->in.mode, n->in.uid, n->in.gid, n->in.nlink,
		n->in.size, n->in.rdev_major, n->in.rdev_minor,
		S_ISDIR(n->in.mode) ? n->in.parent : 0, xattr_sum(n),
	};
	uint64_t h = bed_hash(2, word, sizeof(word));

	if (S_ISREG(n->in.mode))
		h = bed_hash(h, n->data, n->in.size);
	if (n->target)
		h = bed_hash(h, n->target, strlen(n->target));
	return h;
}

static uint64_t node_strict(const struct model_node *n)
{
	const struct timespec *t[] = {
		&n->in.atime, &n->in.mtime, &n->in.ctime, &n->in.btime,
	};
	uint64_t word[] = { n->loose, n->in.clusters, n->in.birth,
			    n->in.parent };
	uint64_t h = bed_hash(3, word, sizeof(word));

	for (int i = 0; i < 4; i++) {
		word[0] = (uint64_t)t[i]->tv_sec;
		word[1] = (uint64_t)t[i]->tv_nsec;
		h = bed_hash(h, word, 2 * sizeof(word[0]));
	}
	return h;
}

static uint64_t name_sum(const struct name *nm)
{
	uint64_t word[] = { nm->dir, nm->ino };

	return bed_hash(bed_hash(4, word, sizeof(word)), nm->text,
			strlen(nm->text));
}

static void touch(struct model *m, struct model_node *n)
{
	if (n->touched)
		return;
	n->touched = true;
	m->touched = grow(m->touched, m->n_touched, &m->touched_room,
			  sizeof(m->touched[0]));
	m->touched[m->n_touched++] = n->in.ino;
}

static void settle_node(struct model *m, struct model_node *n)
{
	m->loose -= n->loose;
	m->strict -= n->strict;
	n->loose = n->in.nlink ? node_loose(n) : 0;
	n->strict = n->in.nlink ? node_strict(n) : 0;
	m->loose += n->loose;
	m->strict += n->strict;
	n->touched = false;
}

struct model_node *model_touched(struct model *m, size_t *at)
{
	struct model_node *n = NULL;

	while (!n && *at < m->n_touched)
		n = model_node(m, m->touched[(*at)++]);
	return n;
}

void model_settle(struct model *m)
{
	struct model_node *n;
	size_t at = 0;

	while ((n = model_touched(m, &at)))
		settle_node(m, n);
	m->n_touched = 0;
}

uint64_t model_strict(struct model *m)
{
	return m->strict;
}

uint64_t model_loose(struct model *m)
{
	return m->loose;
}

/* ---- inodes and names ---------------------------------------------------- */

struct model_node *model_node(struct model *m, uint32_t ino)
{
	return ino < m->numbers ? m->node[ino] : NULL;
}

struct model_node *model_nth(struct model *m, size_t n)
{
	return n < m->n ? m->list[n] : NULL;
}

size_t model_inodes(struct model *m)
{
	return m->n;
}

size_t model_names(struct model *m)
{
	return m->names;
}

size_t model_orphans(struct model *m)
{
	size_t orphans = 0;

	for (size_t i = 0; i < m->n; i++)
		orphans += !m->list[i]->in.nlink;
	return orphans;
}

static struct model_node *node_add(struct model *m, uint32_t ino)
{
	struct model_node *n = need(calloc(1, sizeof(*n)));
	size_t old = m->numbers;

	if (ino >= m->numbers) {
		m->numbers = 2 * (size_t)ino + 64;
		m->node = need(realloc(m->node, m->numbers *
				       sizeof(m->node[0])));
		memset(m->node + old, 0, (m->numbers - old) *
		       sizeof(m->node[0]));
	}
	m->list = grow(m->list, m->n, &m->room, sizeof(m->list[0]));
	n->in.ino = ino;
	n->at = m->n;
	m->list[m->n++] = n;
	m->node[ino] = n;
	touch(m, n);
	return n;
}

void model_node_free(struct model_node *n)
{
	struct model_xattr *x;

	if (!n)
		return;
	while ((x = n->xattr)) {
		n->xattr = x->next;
		free(x->value);
		free(x);
	}
	free(n->data);
	free(n->target);
	free(n);
}

/* Nobody names it and nobody has it open. (2) */
static void node_settle_use(struct model *m, struct model_node *n)
{
	touch(m, n);
	if (n->in.nlink || n->open)
		return;
	m->loose -= n->loose;
	m->strict -= n->strict;
	m->list[n->at] = m->list[--m->n];
	m->list[n->at]->at = n->at;
	m->node[n->in.ino] = NULL;
	model_node_free(n);
}

static struct name **name_slot(struct model *m, uint32_t dir,
			       const char *text)
{
	uint64_t h = bed_hash(dir, text, strlen(text));
	struct name **p = &m->chain[(h >> 20) % CHAINS];

	while (*p && ((*p)->dir != dir || strcmp((*p)->text, text)))
		p = &(*p)->next;
	return p;
}

uint32_t model_find(struct model *m, uint32_t dir, const char *name)
{
	struct name *nm = *name_slot(m, dir, name);

	return nm ? nm->ino : 0;
}

bool model_nth_name(struct model *m, size_t n, uint32_t *dir, char *name)
{
	if (n >= m->names)
		return false;
	*dir = m->name[n]->dir;
	strcpy(name, m->name[n]->text);
	return true;
}

static void name_add(struct model *m, uint32_t dir, const char *text,
		     uint32_t ino)
{
	struct name **p = name_slot(m, dir, text);
	struct name *nm = need(calloc(1, sizeof(*nm)));

	m->name = grow(m->name, m->names, &m->name_room, sizeof(m->name[0]));
	nm->dir = dir;
	nm->ino = ino;
	snprintf(nm->text, sizeof(nm->text), "%s", text);
	nm->next = *p;
	nm->at = m->names;
	m->name[m->names++] = nm;
	*p = nm;
	m->loose += name_sum(nm);
	m->strict += name_sum(nm);
}

static void name_del(struct model *m, uint32_t dir, const char *text)
{
	struct name **p = name_slot(m, dir, text), *nm = *p;

	m->loose -= name_sum(nm);
	m->strict -= name_sum(nm);
	*p = nm->next;
	m->name[nm->at] = m->name[--m->names];
	m->name[nm->at]->at = nm->at;
	free(nm);
}

bool model_below(struct model *m, uint32_t dir, uint32_t top)
{
	while (dir != top && dir != TFS_ROOT_INO)
		dir = model_node(m, dir)->in.parent;
	return dir == top;
}

/* ---- a model from nothing, and from a filesystem ------------------------- */

struct model *model_create(void)
{
	struct model *m = need(calloc(1, sizeof(*m)));
	struct model_node *root = node_add(m, TFS_ROOT_INO);

	root->in.mode = S_IFDIR | 0755;
	root->in.nlink = 2;
	root->in.parent = TFS_ROOT_INO;
	return m;
}

void model_destroy(struct model *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		model_node_free(m->list[i]);
	for (size_t i = 0; i < m->names; i++)
		free(m->name[i]);
	free(m->node);
	free(m->list);
	free(m->name);
	free(m->touched);
	free(m);
}

struct load {
	struct model	*m;
	struct tfs	*fs;
	uint32_t	dir;
	bool		dots;		/* as they should be */
};

static int take_name(void *arg, const struct tfs_dirent *de)
{
	struct load *ld = arg;
	struct model_node *dir = model_node(ld->m, ld->dir);

	if (!strcmp(de->name, "."))
		ld->dots &= de->ino == ld->dir;
	else if (!strcmp(de->name, ".."))
		ld->dots &= de->ino == dir->in.parent;
	else
		name_add(ld->m, ld->dir, de->name, de->ino);
	return 0;
}

static int load_content(struct load *ld, struct model_node *n)
{
	ssize_t got;

	if (S_ISLNK(n->in.mode))
		return tfs_readlink(ld->fs, n->in.ino, &n->target);
	if (!S_ISREG(n->in.mode))
		return 0;
	n->room = n->in.size;
	n->data = need(malloc(n->room + 1));
	got = tfs_read_sync(ld->fs, n->in.ino, 0, n->data, n->in.size);
	if (got < 0)
		return (int)got;
	return (uint64_t)got == n->in.size ? 0 : -ENODATA;
}

static int load_xattr(struct load *ld, struct model_node *n, const char *name)
{
	struct model_xattr *x = need(calloc(1, sizeof(*x)));
	ssize_t len = tfs_getxattr(ld->fs, n->in.ino, name, NULL, 0);

	x->next = n->xattr;
	n->xattr = x;
	if (len < 0)
		return (int)len;
	snprintf(x->name, sizeof(x->name), "%.39s", name);
	x->len = (size_t)len;
	x->value = need(malloc(x->len + 1));
	len = tfs_getxattr(ld->fs, n->in.ino, name, x->value, x->len + 1);
	return len < 0 ? (int)len : 0;
}

static int load_xattrs(struct load *ld, struct model_node *n)
{
	char list[4096];
	ssize_t len = tfs_listxattr(ld->fs, n->in.ino, list, sizeof(list), true);
	int err = len < 0 ? (int)len : 0;

	for (char *at = list; !err && at < list + len; at += strlen(at) + 1)
		err = load_xattr(ld, n, at);
	return err;
}

static int load_node(struct load *ld, struct model_node *n)
{
	int err = tfs_getattr(ld->fs, n->in.ino, &n->in);

	if (!err)
		err = load_content(ld, n);
	if (!err)
		err = load_xattrs(ld, n);
	if (err || !S_ISDIR(n->in.mode))
		return err;
	ld->dir = n->in.ino;
	ld->dots = true;
	err = tfs_readdir(ld->fs, ld->dir, 0, false, take_name, ld);
	return err || ld->dots ? err : -EUCLEAN;
}

int model_load(struct model **out, struct tfs *fs, char *why, size_t size)
{
	struct load ld = { .m = model_create(), .fs = fs };
	size_t names = 0;
	int err = 0;

	for (size_t i = 0; !err && i < ld.m->n; i++) {
		struct model_node *n = ld.m->list[i];

		err = load_node(&ld, n);
		if (err)
			snprintf(why, size, "inode %u: %s", n->in.ino,
				 strerror(-err));
		for (; !err && names < ld.m->names; names++)
			if (!model_node(ld.m, ld.m->name[names]->ino))
				node_add(ld.m, ld.m->name[names]->ino);
	}
	model_settle(ld.m);
	*out = ld.m;
	if (err) {
		model_destroy(ld.m);
		*out = NULL;
	}
	return err;
}

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
	struct model_node *n = node_add(m, ino);

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
	name_add(m, dir, name, n->in.ino);
	touch(m, d);
	touch(m, n);
}

static void lose_entry(struct model *m, uint32_t dir, const char *name)
{
	struct model_node *d = model_node(m, dir);
	struct model_node *n = model_node(m, model_find(m, dir, name));

	d->in.size--;
	d->in.nlink -= is_dir(n);
	name_del(m, dir, name);
	touch(m, d);
	touch(m, n);
}

static void lose_link(struct model *m, struct model_node *n)
{
	n->in.nlink = is_dir(n) ? 0 : n->in.nlink - 1;
	node_settle_use(m, n);
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
	touch(m, n);
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
	touch(m, n);
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
	touch(m, n);
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
	touch(m, n);
}

/* Zeros up to the new size. */
static void resize(struct model_node *n, uint64_t size)
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
		resize(n, s->off + s->len);
	bed_fill(n->data + s->off, s->len, s->seed);
	if (s->flags & TFS_WRITE_KILL_PRIV)
		kill_priv(n);
	touch(m, n);
}

static void do_truncate(struct model *m, const struct step *s, uint32_t ino)
{
	struct model_node *n = model_node(m, s->ino);

	(void)ino;
	resize(n, s->off);
	touch(m, n);
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
		resize(n, end);
	touch(m, n);
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
	node_settle_use(m, n);
}

void model_close_all(struct model *m)
{
	for (size_t i = m->n; i--; ) {
		m->list[i]->open = false;
		node_settle_use(m, m->list[i]);
	}
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

/* ---- steps in progress --------------------------------------------------- */

static struct model_xattr *copy_xattrs(const struct model_xattr *from)
{
	struct model_xattr *first = NULL, **p = &first;

	for (; from; from = from->next, p = &(*p)->next) {
		*p = need(malloc(sizeof(**p)));
		**p = *from;
		(*p)->value = need(malloc(from->len + 1));
		memcpy((*p)->value, from->value, from->len);
		(*p)->next = NULL;
	}
	return first;
}

struct model_node *model_node_copy(const struct model_node *n)
{
	struct model_node *copy = need(malloc(sizeof(*copy)));

	*copy = *n;
	copy->target = n->target ? need(strdup(n->target)) : NULL;
	copy->xattr = copy_xattrs(n->xattr);
	copy->room = n->in.size;
	copy->data = need(malloc(copy->room + 1));
	if (n->in.size && S_ISREG(n->in.mode))
		memcpy(copy->data, n->data, n->in.size);
	return copy;
}

/* Is this cluster of got as that node has it? */
static bool same_cluster(const struct model_node *n,
			 const struct model_node *got, uint64_t off,
			 uint64_t len)
{
	uint64_t have = n->in.size > off ? n->in.size - off : 0;

	if (have > len)
		have = len;
	if (have && memcmp(n->data + off, got->data + off, have))
		return false;
	for (uint64_t i = have; i < len; i++)
		if (got->data[off + i])
			return false;
	return true;
}

bool model_between(const struct model_node *old, const struct model_node *now,
		   const struct model_node *got, uint32_t csize)
{
	uint64_t size = got->in.size, len;

	if (got->in.mode != old->in.mode || got->in.uid != old->in.uid ||
	    got->in.gid != old->in.gid || got->in.nlink != old->in.nlink ||
	    (size != old->in.size && size != now->in.size) ||
	    xattr_sum(got) != xattr_sum(old))
		return false;
	for (uint64_t off = 0; off < size; off += csize) {
		len = size - off < csize ? size - off : csize;
		if (!same_cluster(old, got, off, len) &&
		    !same_cluster(now, got, off, len))
			return false;
	}
	return true;
}

void model_adopt(struct model_node *n, const uint8_t *data, uint64_t size)
{
	resize(n, size);
	if (size)
		memcpy(n->data, data, size);
}

/* ---- text ---------------------------------------------------------------- */

static void show_node(const char *what, const struct model_node *n, FILE *f)
{
	fprintf(f, "  %s inode %u: mode %o uid %u links %u parent %u size "
		"%llu content %016llx attributes %016llx clusters %llu "
		"ctime %lld.%09ld\n", what, n->in.ino, n->in.mode, n->in.uid,
		n->in.nlink, n->in.parent, (unsigned long long)n->in.size,
		(unsigned long long)(S_ISREG(n->in.mode) ?
				     bed_hash(0, n->data, n->in.size) : 0),
		(unsigned long long)xattr_sum(n),
		(unsigned long long)n->in.clusters,
		(long long)n->in.ctime.tv_sec, n->in.ctime.tv_nsec);
}

static void show_names(struct model *a, struct model *b, const char *what,
		       FILE *f, unsigned int *lines)
{
	for (size_t i = 0; i < a->names && *lines; i++) {
		const struct name *nm = a->name[i];
		uint32_t ino = model_find(b, nm->dir, nm->text);

		if (ino == nm->ino)
			continue;
		fprintf(f, "  %s name %u/%.60s: inode %u\n", what, nm->dir,
			nm->text, nm->ino);
		--*lines;
	}
}

void model_diff(struct model *want, struct model *got, FILE *f,
		unsigned int lines)
{
	size_t end = want->numbers > got->numbers ? want->numbers :
		got->numbers;

	show_names(want, got, "expected", f, &lines);
	show_names(got, want, "found", f, &lines);
	for (uint32_t i = 0; i < end && lines; i++) {
		struct model_node *a = model_node(want, i);
		struct model_node *b = model_node(got, i);

		if ((a ? a->strict : 0) == (b ? b->strict : 0))
			continue;
		if (a && a->strict)
			show_node("expected", a, f);
		if (b)
			show_node("found", b, f);
		lines--;
	}
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
