/* SPDX-License-Identifier: GPL-2.0-or-later */
/* model.c - see model.h: what there is.  What steps do is in model_steps.c.
 *  (1) A name is in one chain of the hash, and in the list of all names.
 *  (2) An inode is there while it has a name or is open. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "support/model_priv.h"

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

void model_touch(struct model *m, struct model_node *n)
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

struct model_node *model_node_add(struct model *m, uint32_t ino)
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
	model_touch(m, n);
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
void model_settle_use(struct model *m, struct model_node *n)
{
	model_touch(m, n);
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

void model_name_add(struct model *m, uint32_t dir, const char *text,
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

void model_name_del(struct model *m, uint32_t dir, const char *text)
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
	struct model_node *root = model_node_add(m, TFS_ROOT_INO);

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
		model_name_add(ld->m, ld->dir, de->name, de->ino);
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
				model_node_add(ld.m, ld.m->name[names]->ino);
	}
	model_settle(ld.m);
	*out = ld.m;
	if (err) {
		model_destroy(ld.m);
		*out = NULL;
	}
	return err;
}

void model_close_all(struct model *m)
{
	for (size_t i = m->n; i--; ) {
		m->list[i]->open = false;
		model_settle_use(m, m->list[i]);
	}
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
	model_resize(n, size);
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
