/* SPDX-License-Identifier: GPL-2.0-or-later */
/* names_bed.h - a filesystem of names, for check_names.c and check_attrs.c.
 *
 * Every test that changes names ends in whole(), which walks the tree and
 * counts: links, entries, parents, inodes.  The hash of names is the
 * filesystem's own, cut to hash_mask, so that names collide at will. */
#ifndef NAMES_BED_H
#define NAMES_BED_H

#include <check.h>
#include <endian.h>
#include <errno.h>
#include <linux/fs.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/hash.h"
#include "file/refs.h"
#include "name/acl.h"
#include "file/inode.h"
#include "tfs.h"
#include "name/dir.h"

#define IMAGE_SIZE	(64l << 20)
#define ROOT		TFS_ROOT_INO

static uint64_t hash_mask = UINT64_MAX;
static struct eng_pool *pool;
static struct eng_dev *dev;
static struct tfs *fs;
static char image[64];

uint64_t tfs_name_hash(const struct tfs *of, const char *name, size_t len)
{
	return tfs_siphash(tfs_nonce(of), name, len) & hash_mask;
}

static inline void ok(int err)
{
	ck_assert_msg(!err, "%s", strerror(-err));
}

static inline void mount_fs(void)
{
	struct tfs_mount how = { .relatime = true };

	ok(tfs_open(&fs, dev, &how));
}

static inline void remount(void)
{
	ok(tfs_close(fs));
	mount_fs();
}

static inline void setup(void)
{
	struct tfs_mkfs mkfs = { .label = "names" };
	const char *dir = getenv("TMPDIR");
	struct eng_open how = { 0 };
	int fd;

	hash_mask = UINT64_MAX;
	snprintf(image, sizeof(image), "%s/names.XXXXXX", dir ? dir : "/tmp");
	fd = mkstemp(image);
	ck_assert_int_ge(fd, 0);
	ok(ftruncate(fd, IMAGE_SIZE));
	close(fd);
	ok(eng_pool_create_serial(&pool));
	ok(eng_soft_format(image, eng_profile_find("512+8")));
	how.pool = pool;
	ok(eng_dev_open(&dev, image, &how));
	unlink(image);
	ok(tfs_mkfs(dev, &mkfs));
	mount_fs();
}

static inline void teardown(void)
{
	ok(tfs_close(fs));
	eng_dev_close(dev);
	eng_pool_destroy(pool);
}

/* ---- shorthands -------------------------------------------------------- */

static inline int make(uint32_t dir, const char *name, uint32_t mode,
		struct tfs_inode *out)
{
	struct tfs_new how = {
		.mode = mode, .uid = 10, .gid = 20,
		.target = S_ISLNK(mode) ? "target" : NULL,
	};

	return tfs_create(fs, dir, name, &how, out);
}

/* Make it and let go of it; its number. */
static inline uint32_t made(uint32_t dir, const char *name, uint32_t mode)
{
	struct tfs_inode in;

	ok(make(dir, name, mode, &in));
	tfs_unref(fs, in.ino, 1);
	return in.ino;
}

/* The number behind a name; 0: none. */
static inline uint32_t find(uint32_t dir, const char *name)
{
	struct tfs_inode in;
	int err = tfs_lookup(fs, dir, name, &in);

	if (err == -ENOENT)
		return 0;
	ok(err);
	tfs_unref(fs, in.ino, 1);
	return in.ino;
}

static inline struct tfs_inode stat_of(uint32_t ino)
{
	struct tfs_inode in;

	ok(tfs_getattr(fs, ino, &in));
	return in;
}

struct poke {
	struct tfs_key	key;
	const void	*val;
	unsigned int	len;
};

static inline int poke_fn(struct tfs_txn *tx, void *p)
{
	const struct poke *poke = p;

	if (!poke->val)
		return tfs_txn_del(tx, poke->key);
	return tfs_txn_put(tx, poke->key, poke->val, poke->len);
}

/* Write an item behind the back of everybody; val NULL deletes. */
static inline void poke(struct tfs_key key, const void *val, unsigned int len)
{
	struct poke arg = { key, val, len };

	ok(tfs_txn_write(fs, poke_fn, &arg, 0));
}

static inline void poke_inode(const struct tfs_inode *in)
{
	struct tfs_disk_inode di;

	tfs_inode_encode(in, &di);
	poke(tfs_key(in->ino, TFS_T_INODE, 0), &di, sizeof(di));
}

/* ---- the tree as a whole ----------------------------------------------- */

#define WALK_MAX	20000

struct walk {
	uint32_t	self, parent;
	unsigned int	entries, dirs;
	unsigned int	dots;
	struct {
		uint32_t ino, links, mode;
	}		seen[WALK_MAX];
	unsigned int	n;
	uint32_t	todo[WALK_MAX];
	unsigned int	todos;
};

static inline void walk_seen(struct walk *w, const struct tfs_inode *in)
{
	unsigned int i = 0;

	while (i < w->n && w->seen[i].ino != in->ino)
		i++;
	if (i == w->n) {
		ck_assert_uint_lt(w->n, WALK_MAX);
		w->seen[w->n].ino = in->ino;
		w->seen[w->n].links = 0;
		w->n++;
	}
	w->seen[i].links++;
	if (!S_ISDIR(in->mode))
		ck_assert_uint_le(w->seen[i].links, in->nlink);
	w->seen[i].mode = in->mode;
}

static inline int walk_fill(void *arg, const struct tfs_dirent *de)
{
	struct walk *w = arg;

	if (!strcmp(de->name, ".")) {
		ck_assert_uint_eq(de->ino, w->self);
		w->dots++;
		return 0;
	}
	if (!strcmp(de->name, "..")) {
		ck_assert_uint_eq(de->ino, w->parent);
		w->dots++;
		return 0;
	}
	ck_assert_uint_eq(de->attr.ino, de->ino);
	ck_assert_uint_eq(de->attr.mode & S_IFMT, de->type);
	ck_assert_uint_eq(find(w->self, de->name), de->ino);
	tfs_unref(fs, de->ino, 1);
	w->entries++;
	if (S_ISDIR(de->type)) {
		ck_assert_uint_eq(de->attr.parent, w->self);
		w->dirs++;
		w->todo[w->todos++] = de->ino;
	}
	walk_seen(w, &de->attr);
	return 0;
}

static inline void walk_dir(struct walk *w, uint32_t ino)
{
	struct tfs_inode in = stat_of(ino);

	w->self = ino;
	w->parent = in.parent;
	w->entries = w->dirs = w->dots = 0;
	ok(tfs_readdir(fs, ino, 0, true, walk_fill, w));
	ck_assert_uint_eq(w->dots, 2);
	ck_assert_uint_eq(in.nlink, 2 + w->dirs);
	ck_assert_uint_eq(in.size, w->entries);
}

/* Walk everything; orphans: inodes that are expected to have no name. */
static inline void whole(unsigned int orphans)
{
	struct walk *w = calloc(1, sizeof(*w));
	struct tfs_inode in;

	w->todo[w->todos++] = ROOT;
	while (w->todos)
		walk_dir(w, w->todo[--w->todos]);
	for (unsigned int i = 0; i < w->n; i++) {
		if (S_ISDIR(w->seen[i].mode)) {
			ck_assert_uint_eq(w->seen[i].links, 1);
			continue;
		}
		ok(tfs_getattr(fs, w->seen[i].ino, &in));
		ck_assert_uint_eq(w->seen[i].links, in.nlink);
	}
	ck_assert_uint_eq(fs->inodes, 1 + w->n + orphans);
	free(w);
}

static inline int names_fill(void *arg, const struct tfs_dirent *de)
{
	char (*name)[32] = arg;

	while (**name)
		name++;
	if (de->cookie >= TFS_COOKIE_FIRST)
		strcpy(*name, de->name);
	return 0;
}

static inline void clear_dir(uint32_t dir)
{
	char name[64][32] = { "" };
	uint32_t ino;

	ok(tfs_readdir(fs, dir, 0, false, names_fill, name));
	for (int i = 0; *name[i]; i++) {
		ino = find(dir, name[i]);
		if (S_ISDIR(stat_of(ino).mode)) {
			clear_dir(ino);
			ok(tfs_rmdir(fs, dir, name[i]));
		} else {
			ok(tfs_unlink(fs, dir, name[i]));
		}
	}
}

static inline void same_inode(const struct tfs_inode *a,
			      const struct tfs_inode *b)
{
	struct tfs_disk_inode da, db;

	tfs_inode_encode(a, &da);
	tfs_inode_encode(b, &db);
	ck_assert_uint_eq(a->ino, b->ino);
	ck_assert_mem_eq(&da, &db, sizeof(da));
}

/* What main() returns. */
static inline int names_run(Suite *suite)
{
	SRunner *sr = srunner_create(suite);
	int failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
