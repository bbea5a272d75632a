/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_attrs.c - what attributes and access lists promise, and damage to what
 * is stored of names. */
#include "fs/names_bed.h"

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

int main(void)
{
	Suite *s = suite_create("attrs");
	TCase *tc = tcase_create("attrs");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
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
	suite_add_tcase(s, tc);
	tc = tcase_create("damage");
	tcase_add_checked_fixture(tc, setup_quiet, teardown);
	tcase_add_test(tc, bad_inodes_are_damage);
	tcase_add_test(tc, bad_attributes_are_damage);
	tcase_add_test(tc, bad_entries_are_damage);
	suite_add_tcase(s, tc);
	return names_run(s);
}
