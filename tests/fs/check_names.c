/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_names.c - what names, attributes and access lists promise.
 *
 * Every test that changes names ends in whole(), which walks the tree and
 * counts: links, entries, parents, inodes.  The hash of names is the
 * filesystem's own, cut to hash_mask, so that names collide at will. */
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

static void ok(int err)
{
	ck_assert_msg(!err, "%s", strerror(-err));
}

static void mount_fs(void)
{
	struct tfs_mount how = { .relatime = true };

	ok(tfs_open(&fs, dev, &how));
}

static void remount(void)
{
	ok(tfs_close(fs));
	mount_fs();
}

static void setup(void)
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

static void teardown(void)
{
	ok(tfs_close(fs));
	eng_dev_close(dev);
	eng_pool_destroy(pool);
}

/* ---- shorthands -------------------------------------------------------- */

static int make(uint32_t dir, const char *name, uint32_t mode,
		struct tfs_inode *out)
{
	struct tfs_new how = {
		.mode = mode, .uid = 10, .gid = 20,
		.target = S_ISLNK(mode) ? "target" : NULL,
	};

	return tfs_create(fs, dir, name, &how, out);
}

/* Make it and let go of it; its number. */
static uint32_t made(uint32_t dir, const char *name, uint32_t mode)
{
	struct tfs_inode in;

	ok(make(dir, name, mode, &in));
	tfs_unref(fs, in.ino, 1);
	return in.ino;
}

/* The number behind a name; 0: none. */
static uint32_t find(uint32_t dir, const char *name)
{
	struct tfs_inode in;
	int err = tfs_lookup(fs, dir, name, &in);

	if (err == -ENOENT)
		return 0;
	ok(err);
	tfs_unref(fs, in.ino, 1);
	return in.ino;
}

static struct tfs_inode stat_of(uint32_t ino)
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

static int poke_fn(struct tfs_txn *tx, void *p)
{
	const struct poke *poke = p;

	if (!poke->val)
		return tfs_txn_del(tx, poke->key);
	return tfs_txn_put(tx, poke->key, poke->val, poke->len);
}

/* Write an item behind the back of everybody; val NULL deletes. */
static void poke(struct tfs_key key, const void *val, unsigned int len)
{
	struct poke arg = { key, val, len };

	ok(tfs_txn_write(fs, poke_fn, &arg, 0));
}

static void poke_inode(const struct tfs_inode *in)
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

static void walk_seen(struct walk *w, const struct tfs_inode *in)
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

static int walk_fill(void *arg, const struct tfs_dirent *de)
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

static void walk_dir(struct walk *w, uint32_t ino)
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
static void whole(unsigned int orphans)
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

/* ---- hash -------------------------------------------------------------- */

/* The key and message of the vectors in the paper. */
START_TEST(siphash_is_siphash)
{
	uint8_t key[16], msg[15];

	for (unsigned int i = 0; i < 16; i++)
		key[i] = (uint8_t)i;
	memcpy(msg, key, sizeof(msg));
	ck_assert(tfs_siphash(key, msg, 15) == 0xa129ca6149be45e5ull);
	ck_assert(tfs_siphash(key, msg, 0) == 0x726fdb47dd0e0e31ull);
	ck_assert(tfs_siphash(key, msg, 8) == 0x93f5f5799a932462ull);
}
END_TEST

static void same_inode(const struct tfs_inode *a, const struct tfs_inode *b)
{
	struct tfs_disk_inode da, db;

	tfs_inode_encode(a, &da);
	tfs_inode_encode(b, &db);
	ck_assert_uint_eq(a->ino, b->ino);
	ck_assert_mem_eq(&da, &db, sizeof(da));
}

/* ---- create and lookup ------------------------------------------------- */

START_TEST(every_type_is_found_as_made)
{
	static const uint32_t type[] = {
		S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK,
	};
	struct tfs_new how = {
		.uid = 1, .gid = 2, .rdev_major = 7, .rdev_minor = 300000,
		.target = "x", .umask = 022,
	};
	struct tfs_inode a, b;
	char name[8];

	for (size_t i = 0; i < 7; i++) {
		how.mode = type[i] | 0777;
		snprintf(name, sizeof(name), "t%zu", i);
		ok(tfs_create(fs, ROOT, name, &how, &a));
		ok(tfs_lookup(fs, ROOT, name, &b));
		same_inode(&a, &b);
		ck_assert_uint_eq(a.mode, type[i] | (S_ISLNK(type[i]) ?
						     0777 : 0755));
		ck_assert_uint_eq(a.nlink, S_ISDIR(type[i]) ? 2 : 1);
		ck_assert_uint_eq(a.rdev_minor, S_ISBLK(type[i]) ||
				  S_ISCHR(type[i]) ? 300000 : 0);
		ck_assert_uint_eq(a.uid, 1);
		ck_assert_uint_eq(a.gid, 2);
		ck_assert_int_eq(tfs_create(fs, ROOT, name, &how, &b),
				 -EEXIST);
	}
	remount();
	whole(0);
}
END_TEST

START_TEST(names_are_refused_as_posix_has_it)
{
	uint32_t dir = made(ROOT, "dir", S_IFDIR | 0755);
	uint32_t file = made(ROOT, "file", S_IFREG | 0644);
	struct tfs_inode in;
	char name[300];

	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	ck_assert_int_eq(make(ROOT, name, S_IFREG, &in), -ENAMETOOLONG);
	ck_assert_int_eq(tfs_lookup(fs, ROOT, name, &in), -ENAMETOOLONG);
	ck_assert_int_eq(tfs_unlink(fs, ROOT, name), -ENAMETOOLONG);
	ck_assert_int_eq(tfs_rename(fs, ROOT, "file", ROOT, name, 0, NULL),
			 -ENAMETOOLONG);
	name[255] = '\0';
	made(ROOT, name, S_IFREG);
	ck_assert_uint_ne(find(ROOT, name), 0);
	ck_assert_int_eq(make(ROOT, "", S_IFREG, &in), -ENOENT);
	ck_assert_int_eq(make(ROOT, "..", S_IFREG, &in), -EEXIST);
	ck_assert_int_eq(make(file, "x", S_IFREG, &in), -ENOTDIR);
	ck_assert_int_eq(tfs_lookup(fs, file, "x", &in), -ENOTDIR);
	ck_assert_int_eq(tfs_lookup(fs, dir, "x", &in), -ENOENT);
	ck_assert_int_eq(tfs_unlink(fs, ROOT, "dir"), -EISDIR);
	ck_assert_int_eq(tfs_rmdir(fs, ROOT, "file"), -ENOTDIR);
	ck_assert_int_eq(tfs_rmdir(fs, ROOT, "."), -EINVAL);
	ck_assert_int_eq(tfs_rmdir(fs, ROOT, ".."), -ENOTEMPTY);
	ck_assert_int_eq(tfs_rmdir(fs, ROOT, ""), -ENOENT);
	ck_assert_int_eq(tfs_unlink(fs, ROOT, "none"), -ENOENT);
	made(dir, "x", S_IFREG);
	ck_assert_int_eq(tfs_rmdir(fs, ROOT, "dir"), -ENOTEMPTY);
	ck_assert_uint_eq(find(dir, ".."), ROOT);
	ck_assert_uint_eq(find(file, "."), file);
	whole(0);
}
END_TEST

START_TEST(removed_directory_takes_no_names)
{
	struct tfs_inode dir, in;

	made(ROOT, "file", S_IFREG | 0644);
	ok(make(ROOT, "dir", S_IFDIR | 0755, &dir));
	ok(tfs_rmdir(fs, ROOT, "dir"));
	ck_assert_uint_eq(stat_of(dir.ino).nlink, 0);
	ck_assert_int_eq(make(dir.ino, "x", S_IFREG, &in), -ENOENT);
	ck_assert_int_eq(make(dir.ino, NULL, S_IFREG, &in), -ENOENT);
	ck_assert_int_eq(tfs_link(fs, find(ROOT, "file"), dir.ino, "x", &in),
			 -ENOENT);
	ck_assert_int_eq(tfs_rename(fs, ROOT, "file", dir.ino, "x", 0, NULL),
			 -ENOENT);
	ck_assert_int_eq(tfs_lookup(fs, dir.ino, ".", &in), -ESTALE);
	whole(1);
	tfs_unref(fs, dir.ino, 1);
	ck_assert_int_eq(tfs_lookup(fs, dir.ino, ".", &in), -ESTALE);
	ck_assert_int_eq(tfs_lookup(fs, dir.ino, "..", &in), -ESTALE);
	ck_assert_int_eq(tfs_getattr(fs, dir.ino, &in), -ENOENT);
	whole(0);
}
END_TEST

START_TEST(setgid_directory_gives_its_group)
{
	struct tfs_inode dir, a, b;

	ok(make(ROOT, "dir", S_IFDIR | S_ISGID | 0755, &dir));
	dir.gid = 77;
	ok(tfs_setattr(fs, dir.ino, TFS_SET_GID, &dir));
	ck_assert(dir.mode & S_ISGID);
	ok(make(dir.ino, "a", S_IFREG | 0644, &a));
	ok(make(dir.ino, "b", S_IFDIR | 0755, &b));
	ck_assert_uint_eq(a.gid, 77);
	ck_assert_uint_eq(a.mode, S_IFREG | 0644);
	ck_assert_uint_eq(b.gid, 77);
	ck_assert_uint_eq(b.mode, S_IFDIR | S_ISGID | 0755);
}
END_TEST

START_TEST(links_of_every_length_are_read_back)
{
	static const size_t len[] = { 1, 1023, 1024, 1025, 2048, 4095 };
	struct tfs_new how = { .mode = S_IFLNK };
	char text[4200], name[16], *back;
	struct tfs_inode in;

	how.target = text;
	for (size_t i = 0; i < 6; i++) {
		memset(text, 'a' + (int)i, len[i]);
		text[len[i]] = '\0';
		snprintf(name, sizeof(name), "l%zu", i);
		ok(tfs_create(fs, ROOT, name, &how, &in));
		ck_assert_uint_eq(in.size, len[i]);
		ok(tfs_readlink(fs, in.ino, &back));
		ck_assert_str_eq(back, text);
		free(back);
		ok(tfs_unlink(fs, ROOT, name));
		tfs_unref(fs, in.ino, 1);
	}
	memset(text, 'z', 4096);
	text[4096] = '\0';
	ck_assert_int_eq(tfs_create(fs, ROOT, "l", &how, &in), -ENAMETOOLONG);
	ck_assert_int_eq(tfs_readlink(fs, ROOT, &back), -EINVAL);
	whole(0);
}
END_TEST

/* ---- hard links and orphans -------------------------------------------- */

START_TEST(inode_lives_until_last_name_and_user)
{
	struct tfs_inode in, out;

	ok(make(ROOT, "a", S_IFREG | 0644, &in));
	ok(tfs_setxattr(fs, in.ino, "user.x", image, sizeof(image), 0,
			false));
	ok(tfs_link(fs, in.ino, ROOT, "b", &out));
	ck_assert_uint_eq(out.nlink, 2);
	ck_assert_int_eq(tfs_link(fs, in.ino, ROOT, "b", &out), -EEXIST);
	ok(tfs_unlink(fs, ROOT, "a"));
	ck_assert_uint_eq(stat_of(in.ino).nlink, 1);
	ok(tfs_unlink(fs, ROOT, "b"));
	ck_assert_uint_eq(stat_of(in.ino).nlink, 0);
	ck_assert_int_eq(tfs_getxattr(fs, in.ino, "user.x", NULL, 0),
			 sizeof(image));
	whole(1);
	tfs_unref(fs, in.ino, 1);
	whole(1);
	tfs_unref(fs, in.ino, 1);
	ck_assert_int_eq(tfs_getattr(fs, in.ino, &out), -ENOENT);
	ck_assert_int_eq(tfs_getxattr(fs, in.ino, "user.x", NULL, 0),
			 -ENODATA);
	whole(0);
}
END_TEST

START_TEST(links_have_limits)
{
	struct tfs_inode dir, in, out;

	ok(make(ROOT, "dir", S_IFDIR | 0755, &dir));
	ck_assert_int_eq(tfs_link(fs, dir.ino, ROOT, "x", &out), -EPERM);
	ok(make(ROOT, "a", S_IFREG | 0644, &in));
	in.nlink = TFS_NLINK_MAX;
	poke_inode(&in);
	ck_assert_int_eq(tfs_link(fs, in.ino, ROOT, "b", &out), -EMLINK);
	in.nlink--;
	poke_inode(&in);
	ok(tfs_link(fs, in.ino, ROOT, "b", &out));
	ck_assert_uint_eq(out.nlink, TFS_NLINK_MAX);
}
END_TEST

START_TEST(tmpfile_can_be_given_a_name)
{
	struct tfs_inode a, b, out;

	ok(make(ROOT, NULL, S_IFREG | 0600, &a));
	ok(make(ROOT, NULL, S_IFREG | 0600, &b));
	ck_assert_int_eq(make(ROOT, NULL, S_IFDIR | 0600, &out), -EINVAL);
	ck_assert_uint_eq(a.nlink, 0);
	whole(2);
	ok(tfs_link(fs, a.ino, ROOT, "a", &out));
	ck_assert_uint_eq(out.nlink, 1);
	tfs_unref(fs, a.ino, 2);
	tfs_unref(fs, b.ino, 1);
	whole(0);
	ck_assert_uint_eq(find(ROOT, "a"), a.ino);
	remount();
	ck_assert_uint_eq(find(ROOT, "a"), a.ino);
	whole(0);
}
END_TEST

START_TEST(mount_frees_what_was_left)
{
	static const char value[5000];
	struct tfs_inode in;
	char name[24];

	for (int i = 0; i < 20; i++) {
		ok(make(ROOT, i & 1 ? "name" : NULL, S_IFREG | 0644, &in));
		for (int j = 0; j < 15; j++) {
			snprintf(name, sizeof(name), "user.%d", j);
			ok(tfs_setxattr(fs, in.ino, name, value,
					sizeof(value), 0, false));
		}
		if (i & 1)
			ok(tfs_unlink(fs, ROOT, "name"));
	}
	whole(20);
	remount();
	whole(0);
}
END_TEST

/* ---- rename ------------------------------------------------------------ */

enum what { NONE, REG, SYM, EMPTY, FULL, WHATS };

static uint32_t make_what(uint32_t dir, const char *name, enum what what)
{
	uint32_t ino;

	switch (what) {
	case REG:
		return made(dir, name, S_IFREG | 0644);
	case SYM:
		return made(dir, name, S_IFLNK);
	case EMPTY:
		return made(dir, name, S_IFDIR | 0755);
	case FULL:
		ino = made(dir, name, S_IFDIR | 0755);
		made(ino, "inside", S_IFREG | 0644);
		return ino;
	default:
		return 0;
	}
}

static int expect_rename(enum what src, enum what dst, unsigned int flags)
{
	if (src == NONE)
		return -ENOENT;
	if (flags == RENAME_NOREPLACE)
		return dst == NONE ? 0 : -EEXIST;
	if (flags == RENAME_EXCHANGE)
		return dst == NONE ? -ENOENT : 0;
	if (dst == NONE)
		return 0;
	if (src < EMPTY)
		return dst < EMPTY ? 0 : -EISDIR;
	if (dst < EMPTY)
		return -ENOTDIR;
	return dst == FULL ? -ENOTEMPTY : 0;
}

static void try_rename(enum what src, enum what dst, unsigned int flags,
		       bool across)
{
	uint32_t a = made(ROOT, "a", S_IFDIR | 0755);
	uint32_t b = across ? made(ROOT, "b", S_IFDIR | 0755) : a;
	uint32_t from = make_what(a, "from", src);
	uint32_t to = make_what(b, "to", dst);
	int want = expect_rename(src, dst, flags);
	int err = tfs_rename(fs, a, "from", b, "to", flags, NULL);

	ck_assert_msg(err == want, "%d to %d, flags %u, across %d: %d not %d",
		      src, dst, flags, across, err, want);
	if (err) {
		ck_assert_uint_eq(find(a, "from"), from);
		ck_assert_uint_eq(find(b, "to"), to);
	} else {
		ck_assert_uint_eq(find(b, "to"), from);
		ck_assert_uint_eq(find(a, "from"),
				  flags == RENAME_EXCHANGE ? to : 0);
	}
	whole(0);
}

static int names_fill(void *arg, const struct tfs_dirent *de)
{
	char (*name)[32] = arg;

	while (**name)
		name++;
	if (de->cookie >= TFS_COOKIE_FIRST)
		strcpy(*name, de->name);
	return 0;
}

static void clear_dir(uint32_t dir)
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

START_TEST(rename_does_what_posix_says)
{
	static const unsigned int flags[] = {
		0, RENAME_NOREPLACE, RENAME_EXCHANGE,
	};

	hash_mask = _i ? 0 : UINT64_MAX;
	for (int src = 0; src < WHATS; src++) {
		for (int dst = 0; dst < WHATS; dst++) {
			for (int f = 0; f < 6; f++) {
				try_rename(src, dst, flags[f / 2], f & 1);
				clear_dir(ROOT);
			}
		}
	}
	whole(0);
}
END_TEST

START_TEST(no_directory_moves_into_itself)
{
	uint32_t a = made(ROOT, "a", S_IFDIR | 0755);
	uint32_t b = made(a, "b", S_IFDIR | 0755);
	uint32_t c = made(b, "c", S_IFDIR | 0755);

	made(ROOT, "x", S_IFREG);
	ck_assert_int_eq(tfs_rename(fs, ROOT, "a", a, "z", 0, NULL), -EINVAL);
	ck_assert_int_eq(tfs_rename(fs, ROOT, "a", c, "z", 0, NULL), -EINVAL);
	ck_assert_int_eq(tfs_rename(fs, a, "b", c, "z", 0, NULL), -EINVAL);
	ck_assert_int_eq(tfs_rename(fs, b, "c", ROOT, "a", 0, NULL),
			 -ENOTEMPTY);
	ck_assert_int_eq(tfs_rename(fs, b, "c", ROOT, "a", RENAME_EXCHANGE,
				    NULL), -EINVAL);
	ck_assert_int_eq(tfs_rename(fs, ROOT, "a", b, "c", RENAME_EXCHANGE,
				    NULL), -EINVAL);
	ck_assert_int_eq(tfs_rename(fs, ROOT, ".", b, "c", 0, NULL), -EBUSY);
	ck_assert_int_eq(tfs_rename(fs, ROOT, "x", b, "c", RENAME_EXCHANGE |
				    RENAME_WHITEOUT, NULL), -EINVAL);
	ok(tfs_rename(fs, b, "c", ROOT, "x", RENAME_EXCHANGE, NULL));
	ck_assert_uint_eq(stat_of(c).parent, ROOT);
	ok(tfs_rename(fs, ROOT, "a", c, "a", 0, NULL));
	ck_assert_uint_eq(stat_of(a).parent, c);
	whole(0);
}
END_TEST

static void is_whiteout(uint32_t ino, uint32_t uid)
{
	struct tfs_inode in = stat_of(ino);

	ck_assert_uint_eq(in.mode, S_IFCHR);
	ck_assert_uint_eq(in.rdev_major, 0);
	ck_assert_uint_eq(in.rdev_minor, 0);
	ck_assert_uint_eq(in.nlink, 1);
	ck_assert_uint_eq(in.uid, uid);
}

/* In the same change, so that the name below never shows through. */
START_TEST(rename_may_leave_a_whiteout)
{
	const struct tfs_new white = { .uid = 7, .gid = 8 };
	uint32_t dir = made(ROOT, "dir", S_IFDIR | 0755);
	uint32_t a = made(ROOT, "a", S_IFREG), d = made(ROOT, "d", S_IFDIR);

	ck_assert_int_eq(tfs_rename(fs, ROOT, "a", ROOT, "d", RENAME_WHITEOUT |
				    RENAME_NOREPLACE, &white), -EEXIST);
	ok(tfs_rename(fs, ROOT, "a", dir, "b", RENAME_WHITEOUT |
		      RENAME_NOREPLACE, &white));
	ck_assert_uint_eq(find(dir, "b"), a);
	is_whiteout(find(ROOT, "a"), 7);
	ok(tfs_rename(fs, ROOT, "d", dir, "d", RENAME_WHITEOUT, &white));
	ck_assert_uint_eq(stat_of(d).parent, dir);
	is_whiteout(find(ROOT, "d"), 7);
	/* Over another name, in one directory, and over a whiteout. */
	ok(tfs_rename(fs, dir, "b", ROOT, "a", RENAME_WHITEOUT, &white));
	ck_assert_uint_eq(find(ROOT, "a"), a);
	is_whiteout(find(dir, "b"), 7);
	ok(tfs_rename(fs, ROOT, "a", ROOT, "d", RENAME_WHITEOUT, &white));
	is_whiteout(find(ROOT, "a"), 7);
	whole(0);
	remount();
	is_whiteout(find(ROOT, "a"), 7);
	whole(0);
}
END_TEST

START_TEST(renaming_one_inode_over_itself_is_nothing)
{
	struct tfs_inode in, out, after;

	ok(make(ROOT, "a", S_IFREG, &in));
	ok(tfs_link(fs, in.ino, ROOT, "b", &out));
	ok(tfs_rename(fs, ROOT, "a", ROOT, "b", 0, NULL));
	ok(tfs_rename(fs, ROOT, "a", ROOT, "a", 0, NULL));
	ok(tfs_rename(fs, ROOT, "a", ROOT, "b", RENAME_EXCHANGE, NULL));
	ck_assert_uint_eq(find(ROOT, "a"), in.ino);
	ck_assert_uint_eq(find(ROOT, "b"), in.ino);
	after = stat_of(in.ino);
	same_inode(&after, &out);
	whole(0);
}
END_TEST

START_TEST(rename_over_an_open_file_orphans_it)
{
	struct tfs_inode old, out;

	made(ROOT, "new", S_IFREG);
	ok(make(ROOT, "old", S_IFREG, &old));
	ok(tfs_rename(fs, ROOT, "new", ROOT, "old", 0, NULL));
	ck_assert_uint_eq(stat_of(old.ino).nlink, 0);
	whole(1);
	tfs_unref(fs, old.ino, 1);
	ck_assert_int_eq(tfs_getattr(fs, old.ino, &out), -ENOENT);
	whole(0);
}
END_TEST

static void try_make(uint32_t dir, const char *name, uint32_t mode)
{
	struct tfs_inode in;

	if (!make(dir, name, mode, &in))
		tfs_unref(fs, in.ino, 1);
}

static void try_link(uint32_t dir, const char *name, uint32_t newdir,
		     const char *newname)
{
	struct tfs_inode in;

	if (tfs_lookup(fs, dir, name, &in))
		return;
	if (!tfs_link(fs, in.ino, newdir, newname, &in))
		tfs_unref(fs, in.ino, 1);
	tfs_unref(fs, in.ino, 1);
}

/* One call on one of 4 directories and one of 12 names in them, some of
 * which are those directories. */
static void random_step(const uint32_t dir[4], unsigned int *seed)
{
	char x[2] = { (char)('A' + rand_r(seed) % 12), '\0' };
	char y[2] = { (char)('A' + rand_r(seed) % 12), '\0' };
	uint32_t a = dir[rand_r(seed) % 4], b = dir[rand_r(seed) % 4];

	switch (rand_r(seed) % 8) {
	case 0:
		try_make(a, x, S_IFREG | 0644);
		break;
	case 1:
		try_make(a, x, S_IFDIR | 0755);
		break;
	case 2:
		tfs_unlink(fs, a, x);
		break;
	case 3:
		tfs_rmdir(fs, a, x);
		break;
	case 4:
		try_link(a, x, b, y);
		break;
	case 5:
		tfs_rename(fs, a, x, b, y, RENAME_EXCHANGE, NULL);
		break;
	default:
		tfs_rename(fs, a, x, b, y, 0, NULL);
	}
}

/* Whatever is done, in whatever order, the tree stays whole. */
START_TEST(random_names_stay_whole)
{
	uint32_t dir[4] = { ROOT };
	unsigned int seed = 1234 + (unsigned int)_i, orphans = 0;
	struct tfs_inode in;
	char name[2] = "A";

	hash_mask = _i & 1 ? 0x300 : UINT64_MAX;
	for (int i = 1; i < 4; i++, name[0]++) {
		ok(make(ROOT, name, S_IFDIR | 0755, &in));
		dir[i] = in.ino;
	}
	for (int i = 0; i < 3000; i++)
		random_step(dir, &seed);
	for (int i = 1; i < 4; i++)
		orphans += !stat_of(dir[i]).nlink;
	whole(orphans);
	remount();
	whole(0);
}
END_TEST

/* ---- listing ----------------------------------------------------------- */

#define MANY	10000

struct listing {
	unsigned char	seen[MANY];
	unsigned int	n, stop;
	uint64_t	cookie;
};

static int listing_fill(void *arg, const struct tfs_dirent *de)
{
	struct listing *ls = arg;

	if (ls->stop && ls->n == ls->stop)
		return 1;
	ck_assert(de->cookie > ls->cookie && de->cookie <= INT64_MAX);
	ls->cookie = de->cookie;
	if (de->cookie < TFS_COOKIE_FIRST)
		return 0;
	ls->n++;
	ls->seen[atoi(de->name + 1)]++;
	return 0;
}

static void fill_dir(uint32_t dir, int n)
{
	char name[16];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		made(dir, name, S_IFREG | 0644);
	}
}

START_TEST(large_directory_is_listed_and_emptied)
{
	uint32_t dir = made(ROOT, "dir", S_IFDIR | 0755);
	struct listing *ls = calloc(1, sizeof(*ls));
	char name[16];

	fill_dir(dir, MANY);
	remount();
	ok(tfs_readdir(fs, dir, 0, false, listing_fill, ls));
	ck_assert_uint_eq(ls->n, MANY);
	ck_assert_uint_eq(stat_of(dir).size, MANY);
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(ls->seen[i], 1);
		snprintf(name, sizeof(name), "n%d", i);
		ok(tfs_unlink(fs, dir, name));
	}
	ok(tfs_rmdir(fs, ROOT, "dir"));
	whole(0);
	free(ls);
}
END_TEST

/* An entry that is there from the first call to the last is listed once,
 * whatever is made and removed between the calls. */
START_TEST(cookies_survive_changes)
{
	uint32_t dir = made(ROOT, "dir", S_IFDIR | 0755);
	struct listing *ls = calloc(1, sizeof(*ls));
	unsigned int before, seed = (unsigned int)_i;
	char name[16];

	hash_mask = _i ? 0x3f00 : UINT64_MAX;
	fill_dir(dir, 1000);
	do {
		before = ls->n;
		ls->stop = before + 7;
		ok(tfs_readdir(fs, dir, ls->cookie, _i, listing_fill, ls));
		/* Odd ones stay; even ones come and go. */
		for (int i = 0; i < 10; i++) {
			snprintf(name, sizeof(name), "n%d",
				 rand_r(&seed) % 500 * 2);
			if (tfs_unlink(fs, dir, name))
				made(dir, name, S_IFREG | 0644);
		}
	} while (ls->n > before);
	for (int i = 0; i < 1000; i++) {
		if (i & 1)
			ck_assert_int_eq(ls->seen[i], 1);
	}
	free(ls);
	if (!_i)
		whole(0);
}
END_TEST

START_TEST(names_may_share_a_hash)
{
	struct tfs_inode in;
	char name[16];

	hash_mask = 0;
	fill_dir(ROOT, 256);
	ck_assert_int_eq(make(ROOT, "more", S_IFREG, &in), -ENOSPC);
	ck_assert_int_eq(tfs_link(fs, find(ROOT, "n7"), ROOT, "more", &in),
			 -ENOSPC);
	for (int i = 0; i < 256; i += 3) {
		snprintf(name, sizeof(name), "n%d", i);
		ok(tfs_unlink(fs, ROOT, name));
	}
	whole(0);
	ok(tfs_rename(fs, ROOT, "n1", ROOT, "more", 0, NULL));
	for (int i = 0; i < 256; i += 3) {
		snprintf(name, sizeof(name), "n%d", i);
		ck_assert_uint_eq(find(ROOT, name), 0);
		made(ROOT, name, S_IFREG);
	}
	whole(0);
}
END_TEST

/* ---- extended attributes ----------------------------------------------- */

static void xattr_fill(char *buf, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (char)(i * 31 + i / 251 + seed);
}

static void xattr_is(uint32_t ino, const char *name, const char *want,
		     size_t len)
{
	char *buf = malloc(TFS_XATTR_VALUE_MAX + 1);

	ck_assert_int_eq(tfs_getxattr(fs, ino, name, NULL, 0), (ssize_t)len);
	ck_assert_int_eq(tfs_getxattr(fs, ino, name, buf,
				      TFS_XATTR_VALUE_MAX + 1), (ssize_t)len);
	if (len)
		ck_assert_mem_eq(buf, want, len);
	if (len > 1)
		ck_assert_int_eq(tfs_getxattr(fs, ino, name, buf, len - 1),
				 -ERANGE);
	free(buf);
}

START_TEST(attributes_of_every_length_are_read_back)
{
	static const size_t size[] = {
		0, 1, 760, 761, 762, 1010, 1024, 1785, 1786, 2000, 5000,
		65535, 65536, 100, 65536, 0, 2810,
	};
	char *buf = malloc(TFS_XATTR_VALUE_MAX + 1), name[257];
	uint32_t ino = made(ROOT, "f", S_IFREG);

	memset(name, 'x', sizeof(name));
	memcpy(name, "user.", 5);
	name[255] = '\0';
	for (unsigned int i = 0; i < sizeof(size) / sizeof(*size); i++) {
		xattr_fill(buf, size[i], i);
		ok(tfs_setxattr(fs, ino, name, buf, size[i], 0, false));
		xattr_is(ino, name, buf, size[i]);
		ok(tfs_setxattr(fs, ino, "user.short", buf, size[i], 0,
				false));
		xattr_is(ino, "user.short", buf, size[i]);
	}
	ck_assert_int_eq(tfs_listxattr(fs, ino, NULL, 0, true), 256 + 11);
	ok(tfs_removexattr(fs, ino, name));
	ok(tfs_removexattr(fs, ino, "user.short"));
	ck_assert_int_eq(tfs_listxattr(fs, ino, NULL, 0, true), 0);
	ok(tfs_unlink(fs, ROOT, "f"));
	whole(0);
	free(buf);
}
END_TEST

START_TEST(attributes_are_refused_as_linux_has_it)
{
	static const char big[TFS_XATTR_VALUE_MAX + 1];
	uint32_t ino = made(ROOT, "f", S_IFREG);
	char name[300];

	memset(name, 'x', sizeof(name));
	memcpy(name, "user.", 5);
	name[256] = '\0';
	ck_assert_int_eq(tfs_setxattr(fs, ino, name, "", 0, 0, false),
			 -ERANGE);
	ck_assert_int_eq(tfs_setxattr(fs, ino, "user.a", big, sizeof(big), 0,
				      false), -E2BIG);
	ck_assert_int_eq(tfs_setxattr(fs, ino, "user.", "", 0, 0, false),
			 -EINVAL);
	ck_assert_int_eq(tfs_setxattr(fs, ino, "other.x", "", 0, 0, false),
			 -EOPNOTSUPP);
	ck_assert_int_eq(tfs_setxattr(fs, ino, "tagfs.tags", "", 0, 0, false),
			 -EPERM);
	ck_assert_int_eq(tfs_removexattr(fs, ino, "tagfs.tags"), -EPERM);
	ck_assert_int_eq(tfs_getxattr(fs, ino, "user.a", NULL, 0), -ENODATA);
	ck_assert_int_eq(tfs_removexattr(fs, ino, "user.a"), -ENODATA);
	ck_assert_int_eq(tfs_setxattr(fs, ino, "user.a", "", 0, XATTR_REPLACE,
				      false), -ENODATA);
	ok(tfs_setxattr(fs, ino, "user.a", "", 0, XATTR_CREATE, false));
	ck_assert_int_eq(tfs_setxattr(fs, ino, "user.a", "", 0, XATTR_CREATE,
				      false), -EEXIST);
	ok(tfs_setxattr(fs, ino, "user.a", "v", 1, XATTR_REPLACE, false));
	xattr_is(ino, "user.a", "v", 1);
}
END_TEST

START_TEST(attributes_may_share_a_hash)
{
	char name[24], buf[3000], list[256 * 16];
	uint32_t ino;

	hash_mask = _i ? 0 : 0xffff;
	ino = made(ROOT, "f", S_IFREG);
	for (int i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), "user.%d", i);
		xattr_fill(buf, sizeof(buf), (unsigned int)i);
		ok(tfs_setxattr(fs, ino, name, buf, i * 10, 0, false));
	}
	ck_assert_int_eq(tfs_setxattr(fs, ino, "user.more", "", 0, 0, false),
			 -ENOSPC);
	for (int i = 0; i < 256; i += 2) {
		snprintf(name, sizeof(name), "user.%d", i);
		ok(tfs_removexattr(fs, ino, name));
	}
	ck_assert_int_gt(tfs_listxattr(fs, ino, list, sizeof(list), true),
			 128 * 6);
	ck_assert_int_eq(tfs_listxattr(fs, ino, list, 100, true), -ERANGE);
	for (int i = 1; i < 256; i += 2) {
		snprintf(name, sizeof(name), "user.%d", i);
		xattr_fill(buf, sizeof(buf), (unsigned int)i);
		xattr_is(ino, name, buf, (size_t)i * 10);
	}
	ok(tfs_setxattr(fs, ino, "user.more", "", 0, 0, false));
	ok(tfs_unlink(fs, ROOT, "f"));
	whole(0);
}
END_TEST

START_TEST(trusted_attributes_are_listed_to_administrators)
{
	uint32_t ino = made(ROOT, "f", S_IFREG);
	char list[64];

	ok(tfs_setxattr(fs, ino, "trusted.x", "1", 1, 0, false));
	ok(tfs_setxattr(fs, ino, "user.y", "1", 1, 0, false));
	ck_assert_int_eq(tfs_listxattr(fs, ino, NULL, 0, true), 10 + 7);
	ck_assert_int_eq(tfs_listxattr(fs, ino, NULL, 0, false), 7);
	ck_assert_int_eq(tfs_listxattr(fs, ino, list, 7, false), 7);
	ck_assert_str_eq(list, "user.y");
	whole(0);
}
END_TEST

/* However many there are, and however cold the tree. */
START_TEST(attributes_are_listed_in_bounded_steps)
{
	struct tfs_xattr_list ls = { .size = 65536 };
	uint32_t ino = made(ROOT, "f", S_IFREG);
	char name[32], value[700];
	bool seen[1000] = { false };
	unsigned int n = 0;
	size_t before;

	memset(value, 'v', sizeof(value));
	for (unsigned int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "user.%u", i);
		ok(tfs_setxattr(fs, ino, name, value, sizeof(value), 0,
				false));
	}
	remount();
	ls.ino = ino;
	ls.buf = malloc(ls.size);
	for (before = 0; !ls.done; before = ls.len) {
		ok(tfs_xattr_list_step(fs, &ls));
		/* 64 of the longest of these names. */
		ck_assert_uint_le(ls.len - before, 64 * 9);
		ck_assert(ls.done || ls.len > before);
	}
	for (size_t at = 0; at < ls.len; at += strlen(ls.buf + at) + 1, n++) {
		unsigned int i = atoi(ls.buf + at + 5);

		ck_assert_uint_lt(i, 1000);
		ck_assert_msg(!seen[i], "user.%u is there twice", i);
		seen[i] = true;
	}
	ck_assert_uint_eq(n, 1000);
	ck_assert_int_eq(tfs_listxattr(fs, ino, NULL, 0, true),
			 (ssize_t)ls.len);
	free(ls.buf);
}
END_TEST

START_TEST(attributes_are_kept_over_a_mount)
{
	uint32_t ino = made(ROOT, "f", S_IFREG);
	struct tfs_inode before = stat_of(ino);
	static char buf[TFS_XATTR_VALUE_MAX];

	xattr_fill(buf, sizeof(buf), 3);
	ok(tfs_setxattr(fs, ino, "user.big", buf, sizeof(buf), 0, false));
	ck_assert(memcmp(&before.ctime, &(struct timespec){ 0 },
			 sizeof(before.ctime)));
	remount();
	xattr_is(ino, "user.big", buf, sizeof(buf));
}
END_TEST

/* ---- access control lists ---------------------------------------------- */

struct acl_text {
	struct posix_acl_xattr_header	head;
	struct posix_acl_xattr_entry	e[16];
	size_t				size;
};

/* "u7 U5:6 g4 G9:5 m6 o1": owner, a user, group, a group, mask, other. */
static struct acl_text acl_of(const char *text)
{
	struct acl_text acl = { .size = sizeof(acl.head) };
	unsigned int tag, id, perm;
	int n = 0, len;
	char c;

	acl.head.a_version = htole32(POSIX_ACL_XATTR_VERSION);
	for (; sscanf(text, " %c%n", &c, &len) == 1; n++) {
		text += len;
		tag = c == 'u' ? ACL_USER_OBJ : c == 'U' ? ACL_USER :
			c == 'g' ? ACL_GROUP_OBJ : c == 'G' ? ACL_GROUP :
			c == 'm' ? ACL_MASK : ACL_OTHER;
		id = (unsigned int)ACL_UNDEFINED_ID;
		if (c == 'U' || c == 'G') {
			sscanf(text, "%u:%n", &id, &len);
			text += len;
		}
		sscanf(text, "%u%n", &perm, &len);
		text += len;
		acl.e[n].e_tag = htole16((uint16_t)tag);
		acl.e[n].e_perm = htole16((uint16_t)perm);
		acl.e[n].e_id = htole32(id);
		acl.size += sizeof(acl.e[0]);
	}
	return acl;
}

static int acl_put(uint32_t ino, const char *name, const char *text)
{
	struct acl_text acl = acl_of(text);

	return tfs_setxattr(fs, ino, name, &acl, acl.size, 0, false);
}

/* text NULL: there is none. */
static void acl_is(uint32_t ino, const char *name, const char *text)
{
	struct acl_text want;

	if (!text) {
		ck_assert_int_eq(tfs_getxattr(fs, ino, name, NULL, 0),
				 -ENODATA);
		return;
	}
	want = acl_of(text);
	xattr_is(ino, name, (char *)&want, want.size);
}

START_TEST(bad_lists_are_refused)
{
	static const char *const bad[] = {
		"u7", "u7 g7", "g7 u7 o7", "u7 g7 o7 o7", "u7 u7 g7 o7",
		"u7 U5:6 g7 o7", "u7 g7 U5:6 m7 o7", "u7 g7 G5:6 o7",
		"u7 m7 g7 o7", "u7 g7 m7 m7 o7", "u8 g7 o7", "u7 g7 o7 m7",
		"u7 U4294967295:6 g7 m7 o7", "o7",
	};
	uint32_t ino = made(ROOT, "d", S_IFDIR | 0755);
	struct acl_text acl = acl_of("u7 g7 o7");

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		ck_assert_int_eq(acl_put(ino, TFS_ACL_ACCESS, bad[i]), -EINVAL);
		ck_assert_int_eq(acl_put(ino, TFS_ACL_DEFAULT, bad[i]),
				 -EINVAL);
	}
	ck_assert_int_eq(tfs_setxattr(fs, ino, TFS_ACL_ACCESS, &acl,
				      acl.size - 1, 0, false), -EINVAL);
	ck_assert_int_eq(tfs_setxattr(fs, ino, TFS_ACL_ACCESS, &acl, 3, 0,
				      false), -EINVAL);
	acl.head.a_version = htole32(3);
	ck_assert_int_eq(tfs_setxattr(fs, ino, TFS_ACL_ACCESS, &acl, acl.size,
				      0, false), -EOPNOTSUPP);
	acl_is(ino, TFS_ACL_ACCESS, NULL);
}
END_TEST

START_TEST(list_and_mode_say_the_same)
{
	struct tfs_inode in;
	uint32_t ino = made(ROOT, "f", S_IFREG | 0600);
	struct acl_text acl = acl_of("u7 U5:6 g4 m5 o1");

	ok(acl_put(ino, TFS_ACL_ACCESS, "u6 g4 o1"));
	acl_is(ino, TFS_ACL_ACCESS, NULL);
	ck_assert_uint_eq(stat_of(ino).mode, S_IFREG | 0641);
	ok(acl_put(ino, TFS_ACL_ACCESS, "u7 U5:6 g4 m5 o1"));
	acl_is(ino, TFS_ACL_ACCESS, "u7 U5:6 g4 m5 o1");
	in = stat_of(ino);
	ck_assert_uint_eq(in.mode, S_IFREG | 0751);
	in.mode = S_ISGID | 0640;
	ok(tfs_setattr(fs, ino, TFS_SET_MODE, &in));
	ck_assert_uint_eq(in.mode, S_IFREG | S_ISGID | 0640);
	acl_is(ino, TFS_ACL_ACCESS, "u6 U5:6 g4 m4 o0");
	ok(tfs_setxattr(fs, ino, TFS_ACL_ACCESS, &acl, acl.size, 0, true));
	ck_assert_uint_eq(stat_of(ino).mode, S_IFREG | 0751);
	ok(tfs_removexattr(fs, ino, TFS_ACL_ACCESS));
	ok(tfs_removexattr(fs, ino, TFS_ACL_ACCESS));
	ck_assert_uint_eq(stat_of(ino).mode, S_IFREG | 0751);
	ck_assert_int_eq(acl_put(ino, TFS_ACL_DEFAULT, "u7 g7 o7"), -EACCES);
	ok(tfs_setxattr(fs, ino, TFS_ACL_DEFAULT, "", 0, 0, false));
	ino = made(ROOT, "l", S_IFLNK);
	ck_assert_int_eq(acl_put(ino, TFS_ACL_ACCESS, "u7 g7 o7"),
			 -EOPNOTSUPP);
}
END_TEST

START_TEST(new_inodes_inherit)
{
	static const struct {
		const char	*dflt;
		uint32_t	mode, umask, want;
		const char	*access;
	} t[] = {
		{ NULL, 0666, 022, 0644, NULL },
		{ "u7 g7 o7", 0666, 022, 0666, NULL },
		{ "u7 g5 o0", 0666, 077, 0640, NULL },
		{ "u7 U5:7 g5 m7 o1", 0666, 022, 0660, "u6 U5:7 g5 m6 o0" },
		{ "u7 g5 m3 o7", 0640, 022, 0600, "u6 g5 m0 o0" },
		{ "u4 g1 G8:2 m7 o0", 0777, 0, 0470, "u4 g1 G8:2 m7 o0" },
	};
	struct tfs_new how = { .uid = 1 };
	struct tfs_inode in, sub;
	uint32_t dir;

	hash_mask = _i ? 0 : UINT64_MAX;
	for (int i = 0; i < 6; i++) {
		dir = made(ROOT, "dir", S_IFDIR | 0755);
		if (t[i].dflt)
			ok(acl_put(dir, TFS_ACL_DEFAULT, t[i].dflt));
		how.umask = t[i].umask;
		how.mode = S_IFREG | t[i].mode;
		ok(tfs_create(fs, dir, "f", &how, &in));
		ck_assert_uint_eq(in.mode, S_IFREG | t[i].want);
		acl_is(in.ino, TFS_ACL_ACCESS, t[i].access);
		acl_is(in.ino, TFS_ACL_DEFAULT, NULL);
		how.mode = S_IFDIR | t[i].mode;
		ok(tfs_create(fs, dir, "d", &how, &sub));
		ck_assert_uint_eq(sub.mode, S_IFDIR | t[i].want);
		acl_is(sub.ino, TFS_ACL_ACCESS, t[i].access);
		acl_is(sub.ino, TFS_ACL_DEFAULT, t[i].dflt);
		tfs_unref(fs, in.ino, 1);
		tfs_unref(fs, sub.ino, 1);
		clear_dir(ROOT);
		whole(0);
	}
}
END_TEST

/* ---- attributes -------------------------------------------------------- */

START_TEST(a_new_owner_loses_privileges)
{
	struct tfs_inode in, set = { .uid = 99 };

	ok(make(ROOT, "f", S_IFREG | 06755, &in));
	ok(tfs_setxattr(fs, in.ino, "security.capability", "c", 1, 0, false));
	ok(tfs_setattr(fs, in.ino, TFS_SET_UID, &set));
	ck_assert_uint_eq(set.mode, S_IFREG | 0755);
	ck_assert_uint_eq(set.uid, 99);
	ck_assert_int_eq(tfs_getxattr(fs, in.ino, "security.capability", NULL,
				      0), -ENODATA);
	set.mode = 06745;
	ok(tfs_setattr(fs, in.ino, TFS_SET_MODE, &set));
	ok(tfs_setattr(fs, in.ino, TFS_KILL_PRIV, &set));
	ck_assert_uint_eq(set.mode, S_IFREG | 02745);
}
END_TEST

START_TEST(times_are_kept_to_the_nanosecond)
{
	struct tfs_inode in, set = {
		.atime = { -5, 999999999 }, .mtime = { 1ll << 40, 1 },
		.ctime = { 3, 4 },
	};
	uint32_t ino = made(ROOT, "f", S_IFREG | 0644);

	ok(tfs_setattr(fs, ino, TFS_SET_ATIME | TFS_SET_MTIME | TFS_SET_CTIME,
		       &set));
	remount();
	in = stat_of(ino);
	same_inode(&in, &set);
	ck_assert_int_eq(in.atime.tv_sec, -5);
	ck_assert_int_eq(in.atime.tv_nsec, 999999999);
	set.atime.tv_nsec = 1000000000;
	ck_assert_int_eq(tfs_setattr(fs, ino, TFS_SET_ATIME, &set), -EINVAL);
}
END_TEST

/* ---- damage ------------------------------------------------------------ */

static void quiet(int level, const char *line)
{
	(void)level;
	(void)line;
}

static void setup_quiet(void)
{
	eng_log_to(quiet);
	setup();
}

START_TEST(bad_inodes_are_damage)
{
	uint32_t ino = made(ROOT, "f", S_IFREG | 0644);
	struct tfs_inode in = stat_of(ino), out;
	struct tfs_disk_inode di;
	char *image_of = (char *)&di;

	tfs_inode_encode(&in, &di);
	poke(tfs_key(ino, TFS_T_INODE, 0), &di, sizeof(di) - 1);
	ck_assert_int_eq(tfs_getattr(fs, ino, &out), -EUCLEAN);
	/* Every byte of it, changed, is still an inode or refused. */
	for (size_t i = 0; i < sizeof(di) * 8; i++) {
		tfs_inode_encode(&in, &di);
		image_of[i / 8] ^= (char)(1 << i % 8);
		poke(tfs_key(ino, TFS_T_INODE, 0), &di, sizeof(di));
		if (tfs_lookup(fs, ROOT, "f", &out) == 0)
			tfs_unref(fs, ino, 1);
	}
	poke(tfs_key(ino, TFS_T_INODE, 0), NULL, 0);
	ck_assert_int_eq(tfs_lookup(fs, ROOT, "f", &out), -EUCLEAN);
	ck_assert_int_eq(tfs_unlink(fs, ROOT, "f"), -EUCLEAN);
}
END_TEST

START_TEST(bad_attributes_are_damage)
{
	uint32_t ino = made(ROOT, "f", S_IFREG | 0644);
	static char value[5000];
	struct tfs_key key;
	struct tfs_disk_xattr head = { .value_len = htole32(5), .name_len = 3 };

	ok(tfs_setxattr(fs, ino, "user.x", value, sizeof(value), 0, false));
	key = tfs_key(ino, TFS_T_XATTR, tfs_name_hash(fs, "user.x", 6) &
		      ~0xffffull);
	key.off += 2;
	poke(key, value, 7);
	ck_assert_int_eq(tfs_getxattr(fs, ino, "user.x", value, 5000),
			 -EUCLEAN);
	poke(key, NULL, 0);
	ck_assert_int_eq(tfs_getxattr(fs, ino, "user.x", value, 5000),
			 -EUCLEAN);
	key.off -= 2;
	for (unsigned int len = 0; len < 16; len++) {
		poke(key, &head, len < sizeof(head) ? len : sizeof(head));
		ck_assert_int_eq(tfs_listxattr(fs, ino, NULL, 0, true),
				 -EUCLEAN);
	}
	poke(key, NULL, 0);
	ck_assert_int_eq(tfs_listxattr(fs, ino, NULL, 0, true), -EUCLEAN);
	ok(tfs_unlink(fs, ROOT, "f"));
	whole(0);
}
END_TEST

static int never_fill(void *arg, const struct tfs_dirent *de)
{
	(void)arg;
	(void)de;
	return 0;
}

START_TEST(bad_entries_are_damage)
{
	static const struct {
		uint32_t	ino;
		uint8_t		type, name_len;
		uint16_t	pad;
		char		name[4];
		unsigned int	len;
	} t[] = {
		{ 0, 8, 1, 0, "x", 9 }, { 16, 0x18, 1, 0, "x", 9 },
		{ 16, 8, 0, 0, "", 8 }, { 16, 8, 1, 1, "x", 9 },
		{ 16, 8, 2, 0, "x", 9 }, { 16, 8, 1, 0, "x", 10 },
		{ 16, 8, 1, 0, "/", 9 }, { 16, 8, 1, 0, "", 9 },
		{ 16, 8, 1, 0, ".", 9 }, { 16, 8, 2, 0, "..", 10 },
		{ 16, 8, 1, 0, "x", 7 },
	};
	uint32_t dir = made(ROOT, "dir", S_IFDIR | 0755);
	struct tfs_disk_dirent de;
	char buf[16];

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		de = (struct tfs_disk_dirent){
			htole32(t[i].ino), t[i].type, t[i].name_len,
			htole16(t[i].pad),
		};
		memcpy(buf, &de, sizeof(de));
		memcpy(buf + sizeof(de), t[i].name, sizeof(t[i].name));
		poke(tfs_key(dir, TFS_T_DIRENT, 4096), buf, t[i].len);
		ck_assert_int_eq(tfs_readdir(fs, dir, 0, i & 1, never_fill,
					     NULL), -EUCLEAN);
	}
}
END_TEST

/* ---- threads ----------------------------------------------------------- */

#define ROUNDS	400

static void *maker(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	struct tfs_inode in;
	char name[8];

	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "%u", rand_r(&seed) % 4);
		if (!make(ROOT, name, S_IFREG | 0644, &in))
			tfs_unref(fs, in.ino, 1);
		tfs_unlink(fs, ROOT, name);
	}
	return NULL;
}

static int drop_fill(void *arg, const struct tfs_dirent *de)
{
	int *left = arg;

	if (!(*left)--)
		return 1;
	if (de->cookie >= TFS_COOKIE_FIRST && de->attr.ino)
		tfs_unref(fs, de->ino, 1);
	return 0;
}

/* A reference is worth something: what it names is there. */
static void *looker(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	struct tfs_inode in, again;
	char name[8];
	int left;

	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "%u", rand_r(&seed) % 4);
		if (!tfs_lookup(fs, ROOT, name, &in)) {
			ok(tfs_getattr(fs, in.ino, &again));
			tfs_unref(fs, in.ino, 1);
		}
		left = rand_r(&seed) % 6;
		ok(tfs_readdir(fs, ROOT, 0, true, drop_fill, &left));
	}
	return NULL;
}

START_TEST(references_hold_against_removal)
{
	pthread_t t[8];

	for (uintptr_t i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, i < 4 ? maker : looker, (void *)i);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	whole(0);
}
END_TEST

static unsigned int cells[8];

static void *ranger(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg, first, last;

	for (int i = 0; i < ROUNDS * 20; i++) {
		first = rand_r(&seed) % 8;
		last = first + rand_r(&seed) % (8 - first);
		ck_assert_int_eq(tfs_range_lock(fs, ROOT, first, last), 0);
		for (unsigned int j = first; j <= last; j++)
			cells[j]++;
		for (unsigned int j = first; j <= last; j++)
			cells[j]--;
		tfs_range_unlock(fs, ROOT, first, last);
	}
	return NULL;
}

START_TEST(ranges_are_exclusive)
{
	pthread_t t[4];

	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, ranger, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 8; i++)
		ck_assert_uint_eq(cells[i], 0);
}
END_TEST

static Suite *names_suite(void)
{
	Suite *s = suite_create("names");
	TCase *tc = tcase_create("names");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, siphash_is_siphash);
	tcase_add_test(tc, every_type_is_found_as_made);
	tcase_add_test(tc, names_are_refused_as_posix_has_it);
	tcase_add_test(tc, removed_directory_takes_no_names);
	tcase_add_test(tc, setgid_directory_gives_its_group);
	tcase_add_test(tc, links_of_every_length_are_read_back);
	tcase_add_test(tc, inode_lives_until_last_name_and_user);
	tcase_add_test(tc, links_have_limits);
	tcase_add_test(tc, tmpfile_can_be_given_a_name);
	tcase_add_test(tc, mount_frees_what_was_left);
	tcase_add_loop_test(tc, rename_does_what_posix_says, 0, 2);
	tcase_add_test(tc, no_directory_moves_into_itself);
	tcase_add_test(tc, rename_may_leave_a_whiteout);
	tcase_add_test(tc, renaming_one_inode_over_itself_is_nothing);
	tcase_add_test(tc, rename_over_an_open_file_orphans_it);
	tcase_add_loop_test(tc, random_names_stay_whole, 0, 6);
	tcase_add_test(tc, large_directory_is_listed_and_emptied);
	tcase_add_loop_test(tc, cookies_survive_changes, 0, 2);
	tcase_add_test(tc, names_may_share_a_hash);
	tcase_add_test(tc, attributes_of_every_length_are_read_back);
	tcase_add_test(tc, attributes_are_refused_as_linux_has_it);
	tcase_add_loop_test(tc, attributes_may_share_a_hash, 0, 2);
	tcase_add_test(tc, trusted_attributes_are_listed_to_administrators);
	tcase_add_test(tc, attributes_are_listed_in_bounded_steps);
	tcase_add_test(tc, attributes_are_kept_over_a_mount);
	tcase_add_test(tc, bad_lists_are_refused);
	tcase_add_test(tc, list_and_mode_say_the_same);
	tcase_add_loop_test(tc, new_inodes_inherit, 0, 2);
	tcase_add_test(tc, a_new_owner_loses_privileges);
	tcase_add_test(tc, times_are_kept_to_the_nanosecond);
	tcase_add_test(tc, references_hold_against_removal);
	tcase_add_test(tc, ranges_are_exclusive);
	suite_add_tcase(s, tc);
	tc = tcase_create("damage");
	tcase_add_checked_fixture(tc, setup_quiet, teardown);
	tcase_add_test(tc, bad_inodes_are_damage);
	tcase_add_test(tc, bad_attributes_are_damage);
	tcase_add_test(tc, bad_entries_are_damage);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *sr = srunner_create(names_suite());
	int failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
