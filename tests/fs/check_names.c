/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_names.c - what names and references promise. */
#include "fs/names_bed.h"

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

int main(void)
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
	tcase_add_test(tc, references_hold_against_removal);
	tcase_add_test(tc, ranges_are_exclusive);
	suite_add_tcase(s, tc);
	return names_run(s);
}
