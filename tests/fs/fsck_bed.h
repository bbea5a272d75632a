/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fsck_bed.h - a small tree, and ways to damage it, for check_fsck.c and
 * check_repairs.c. */
#ifndef FSCK_BED_H
#define FSCK_BED_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "check/check.h"
#include "check/treewalk.h"
#include "commit/ckpt.h"
#include "file/extent.h"
#include "name/dir.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "tree/alloc.h"
#include "tree/fetch.h"

#define KEEP_BYTES	50000u

struct tree {
	struct bed	bed;
	uint64_t	csize;
	uint32_t	dir, sub, big, other, small, link;
	uint8_t		keep[KEEP_BYTES];
};

static inline uint32_t make(struct tree *t, uint32_t dir,
			    const char *name, uint32_t mode)
{
	struct tfs_new new = { .mode = mode, .target = "where/it/leads" };
	struct tfs_inode in;

	ck_assert_int_eq(tfs_create(t->bed.fs, dir, name, &new, &in), 0);
	tfs_unref(t->bed.fs, in.ino, 1);
	return in.ino;
}

static inline void fill(struct tree *t, uint32_t ino, size_t len)
{
	ck_assert_int_eq(tfs_write(t->bed.fs, ino, 0, t->keep, len, 0), 0);
}

static inline void make_tree_in(struct tree *t, unsigned int seed,
				uint64_t clusters)
{
	char value[5000];

	bed_make(&t->bed, seed % 2 ? "4096+8" : "512+8", clusters, seed);
	t->csize = tfs_cluster_size(t->bed.fs);
	bed_fill(t->keep, sizeof(t->keep), seed);
	t->dir = make(t, TFS_ROOT_INO, "dir", S_IFDIR | 0755);
	t->sub = make(t, t->dir, "sub", S_IFDIR | 0755);
	t->big = make(t, t->sub, "big", S_IFREG | 0644);
	t->other = make(t, t->sub, "other", S_IFREG | 0644);
	t->small = make(t, t->dir, "small", S_IFREG | 0644);
	t->link = make(t, t->dir, "link", S_IFLNK | 0777);
	fill(t, t->big, 45000);
	fill(t, t->other, 40000);
	fill(t, t->small, 300);
	fill(t, make(t, TFS_ROOT_INO, "keep", S_IFREG | 0600), KEEP_BYTES);
	memset(value, 'v', sizeof(value));
	ck_assert_int_eq(tfs_setxattr(t->bed.fs, t->other, "user.long", value,
				      sizeof(value), 0, false), 0);
	bed_remount(&t->bed, 0);
}

static inline void make_tree(struct tree *t, unsigned int seed)
{
	make_tree_in(t, seed, 4096);
}

static inline void keep_is_there(struct tree *t)
{
	static uint8_t buf[KEEP_BYTES];
	struct tfs_inode in;

	ck_assert_int_eq(tfs_lookup(t->bed.fs, TFS_ROOT_INO, "keep", &in), 0);
	ck_assert_int_eq(tfs_read_sync(t->bed.fs, in.ino, 0, buf,
				       sizeof(buf)), KEEP_BYTES);
	ck_assert(!memcmp(buf, t->keep, sizeof(buf)));
	tfs_unref(t->bed.fs, in.ino, 1);
}

/* ---- damage ------------------------------------------------------------------- */

struct inode_change {
	uint32_t	ino;
	void		(*fn)(struct tfs_inode *in);
};

static inline int change_fn(struct tfs_txn *tx, void *arg)
{
	struct inode_change *c = arg;
	struct tfs_inode in;
	int err = tfs_inode_get(tx, c->ino, &in);

	if (err)
		return err;
	c->fn(&in);
	return tfs_inode_put(tx, &in);
}

static inline void change(struct tree *t, uint32_t ino,
			  void (*fn)(struct tfs_inode *in))
{
	struct inode_change c = { ino, fn };

	ck_assert_int_eq(tfs_txn_write(t->bed.fs, change_fn, &c, 0), 0);
}

struct item_change {
	struct tfs_key	key;
	const void	*val;		/* NULL: delete */
	unsigned int	len;
};

static inline int item_fn(struct tfs_txn *tx, void *arg)
{
	struct item_change *c = arg;

	return c->val ? tfs_txn_put(tx, c->key, c->val, c->len) :
		tfs_txn_del(tx, c->key);
}

static inline void set_item(struct tree *t, struct tfs_key key,
			    const void *val, unsigned int len)
{
	struct item_change c = { key, val, len };

	ck_assert_int_eq(tfs_txn_write(t->bed.fs, item_fn, &c, 0), 0);
}

struct seek_item {
	struct tfs_key	key;
	uint8_t		val[TFS_VALUE_MAX];
	unsigned int	len;
};

static inline int next_fn(struct tfs_txn *tx, void *arg)
{
	struct seek_item *s = arg;
	struct tfs_item item;
	int err = tfs_txn_next(tx, s->key, &item);

	if (err)
		return err;
	s->key = item.key;
	s->len = item.len;
	memcpy(s->val, item.val, item.len);
	return 0;
}

/* The first item of that type, at or after off. */
static inline struct seek_item first(struct tree *t, uint32_t ino,
				     uint8_t type, uint64_t off)
{
	struct seek_item s = { .key = tfs_key(ino, type, off) };

	ck_assert_int_eq(tfs_txn_read(t->bed.fs, next_fn, &s), 0);
	ck_assert(s.key.obj == ino && s.key.type == type);
	return s;
}

static inline int entry_fn(struct tfs_txn *tx, void *arg)
{
	struct tfs_entry *e = arg;
	struct tfs_entry at;
	int err = tfs_entry_find(tx, (uint32_t)e->off, e->name, &at);

	return err != -ENOENT ? -EEXIST :
		tfs_entry_put(tx, (uint32_t)e->off, at.off, e->name, e->ino,
			      e->type);
}

static inline void add_entry(struct tree *t, uint32_t dir,
			     const char *name, uint32_t ino, uint32_t type)
{
	struct tfs_entry e = { .off = dir, .ino = ino, .type = type,
			       .name = name };

	ck_assert_int_eq(tfs_txn_write(t->bed.fs, entry_fn, &e, 0), 0);
}

/* ---- checking ----------------------------------------------------------------- */

struct result {
	unsigned int	kinds[TFS_F_KINDS];
	bool		fix;
	char		text[2000];
};

static inline bool found(struct tfs_check *c, const struct tfs_finding *f)
{
	struct result *r = c->arg;
	size_t n = strlen(r->text);

	r->kinds[f->kind]++;
	snprintf(r->text + n, sizeof(r->text) - n, "%s %u: %s\n",
		 tfs_finding_name(f->kind), f->ino, f->text);
	return r->fix;
}

static inline struct tfs_check check(struct tree *t, struct result *r,
				     bool fix)
{
	struct tfs_check c = { .fs = t->bed.fs, .arg = r, .found = found };

	*r = (struct result){ .fix = fix };
	ck_assert_int_eq(tfs_check(&c), 0);
	return c;
}

/* It is damaged: mounted again, found, put right, and whole. */
static inline void must_be_put_right(struct tree *t, const char *name,
				     enum tfs_finding_kind kind)
{
	struct tfs_check c;
	struct result r;

	bed_umount(&t->bed);
	bed_mount(&t->bed);
	c = check(t, &r, false);
	ck_assert_msg(r.kinds[kind], "%s: not found, but %s", name, r.text);
	ck_assert_uint_eq(c.fixed, 0);
	keep_is_there(t);
	c = check(t, &r, true);
	ck_assert_msg(c.fixed == c.problems, "%s: %llu of %llu fixed: %s",
		      name, (unsigned long long)c.fixed,
		      (unsigned long long)c.problems, r.text);
	ck_assert_int_eq(tfs_ckpt_run(t->bed.fs), 0);
	c = check(t, &r, false);
	ck_assert_msg(!c.problems, "%s: still %s", name, r.text);
	bed_remount(&t->bed, 0);
	keep_is_there(t);
}

#endif
