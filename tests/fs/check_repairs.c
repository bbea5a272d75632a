/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_repairs.c - what a repair leaves: no more is changed than was wrong,
 * nothing where nothing may be, and a second run finds nothing. */
#include "fs/fsck_bed.h"

#include <endian.h>

#include "base/cluster.h"
#include "base/hash.h"
#include "name/acl.h"

static uint32_t ino_of(struct tree *t, uint32_t dir, const char *name)
{
	struct tfs_inode in;
	int err = tfs_lookup(t->bed.fs, dir, name, &in);

	ck_assert_msg(!err, "%s: %s", name, strerror(-err));
	tfs_unref(t->bed.fs, in.ino, 1);
	return in.ino;
}

static struct tfs_inode inode_of(struct tree *t, uint32_t ino)
{
	struct tfs_inode in;

	ck_assert_int_eq(tfs_getattr(t->bed.fs, ino, &in), 0);
	return in;
}

/* The entry of that inode in that directory goes. */
static void unname(struct tree *t, uint32_t dir, uint32_t ino)
{
	struct seek_item s = first(t, dir, TFS_T_DIRENT, 0);

	while (le32toh(*(uint32_t *)s.val) != ino)
		s = first(t, dir, TFS_T_DIRENT, s.key.off + 1);
	set_item(t, s.key, NULL, 0);
}

static void move(struct tree *t, uint32_t dir, const char *name,
		 uint32_t to, const char *newname)
{
	ck_assert_int_eq(tfs_rename(t->bed.fs, dir, name, to, newname, 0,
				    NULL), 0);
}

static uint64_t size_of(struct tree *t, uint32_t ino)
{
	return inode_of(t, ino).size;
}

/* ---- circles ---------------------------------------------------------------- */

/* Directories that hang off a circle stay where they are, whichever comes first
 * by number: a name is taken from one of the circle alone, and it is one
 * problem. */
START_TEST(what_hangs_off_a_circle_stays)	/* _i: order */
{
	static struct tree t;
	uint32_t tail, end, lost, early, from;
	struct tfs_check c;
	struct result r;

	make_tree(&t, _i);
	early = make(&t, TFS_ROOT_INO, "early", S_IFDIR | 0755);
	tail = make(&t, t.sub, "tail", S_IFDIR | 0755);
	end = make(&t, tail, "end", S_IFDIR | 0755);
	if (_i & 1) {		/* the circle's numbers are higher */
		move(&t, TFS_ROOT_INO, "early", end, "early");
		t.dir = make(&t, TFS_ROOT_INO, "dir2", S_IFDIR | 0755);
		from = t.sub;
		t.sub = make(&t, t.dir, "sub2", S_IFDIR | 0755);
		move(&t, from, "tail", t.sub, "tail");
	}
	unname(&t, TFS_ROOT_INO, t.dir);
	add_entry(&t, t.sub, "up", t.dir, S_IFDIR);
	bed_umount(&t.bed);
	bed_mount(&t.bed);
	c = check(&t, &r, false);
	ck_assert_msg(r.kinds[TFS_F_UNREACHED] == 1, "%s", r.text);
	c = check(&t, &r, true);
	ck_assert_msg(c.fixed == c.problems, "%s", r.text);
	ck_assert_msg(r.kinds[TFS_F_UNREACHED] == 1, "%s", r.text);
	bed_remount(&t.bed, 0);
	lost = ino_of(&t, TFS_ROOT_INO, "lost+found");
	ck_assert_uint_eq(size_of(&t, lost), 1);
	ck_assert_uint_eq(ino_of(&t, t.sub, "tail"), tail);
	ck_assert_uint_eq(ino_of(&t, tail, "end"), end);
	ck_assert_uint_eq(ino_of(&t, _i & 1 ? end : TFS_ROOT_INO, "early"),
			  early);
	bed_free(&t.bed);
}
END_TEST

/* A directory without a name: what is in it is no problem of its own. */
START_TEST(only_the_top_has_no_way)
{
	static struct tree t;
	struct result r;
	char name[16];

	make_tree(&t, 0);
	unname(&t, TFS_ROOT_INO, t.dir);
	bed_umount(&t.bed);
	bed_mount(&t.bed);
	check(&t, &r, false);
	ck_assert_msg(r.kinds[TFS_F_UNREACHED] == 1, "%s", r.text);
	must_be_put_right(&t, "a nameless directory", TFS_F_UNREACHED);
	snprintf(name, sizeof(name), "#%u", t.dir);
	ck_assert_uint_eq(ino_of(&t, TFS_ROOT_INO, "lost+found"),
			  inode_of(&t, t.dir).parent);
	ck_assert_uint_eq(ino_of(&t, inode_of(&t, t.dir).parent, name), t.dir);
	ck_assert_uint_eq(ino_of(&t, t.dir, "sub"), t.sub);
	bed_free(&t.bed);
}
END_TEST

/* Names that are not where their hash says are put there, once each: most are
 * met again further on, and of some the right place is taken by the same. */
START_TEST(misplaced_names_take_one_run)	/* _i: profile */
{
	static struct tree t;
	struct tfs_check c;
	struct result r;
	char name[32];

	make_tree(&t, _i);
	for (unsigned int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "one of many, %u", i);
		make(&t, t.dir, name, S_IFREG | 0600);
	}
	for (uint64_t i = 0, off = 1ull << 40; i < 60; i++) {
		struct seek_item s = first(&t, t.dir, TFS_T_DIRENT, off);

		off = s.key.off + (1ull << 56);
		if (i % 3)
			set_item(&t, s.key, NULL, 0);
		s.key.off = (i + 2) << 8;
		set_item(&t, s.key, s.val, s.len);
	}
	bed_umount(&t.bed);
	bed_mount(&t.bed);
	c = check(&t, &r, true);
	ck_assert_uint_ge(r.kinds[TFS_F_ENTRY], 60);
	ck_assert_msg(c.fixed == c.problems, "%s", r.text);
	c = check(&t, &r, false);
	ck_assert_msg(!c.problems, "once more: %s", r.text);
	for (unsigned int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "one of many, %u", i);
		ino_of(&t, t.dir, name);
	}
	bed_free(&t.bed);
}
END_TEST

/* ---- lost+found --------------------------------------------------------------- */

START_TEST(lost_found_may_be_a_file)
{
	static struct tree t;
	char name[16];
	uint32_t file;

	make_tree(&t, 0);
	file = make(&t, TFS_ROOT_INO, "lost+found", S_IFREG | 0600);
	unname(&t, t.sub, t.big);
	must_be_put_right(&t, "lost+found is a file", TFS_F_UNREACHED);
	ck_assert_uint_eq(ino_of(&t, TFS_ROOT_INO, "lost+found"), file);
	snprintf(name, sizeof(name), "#%u", t.big);
	ck_assert_uint_eq(ino_of(&t, ino_of(&t, TFS_ROOT_INO, "lost+found.1"),
				 name), t.big);
	bed_free(&t.bed);
}
END_TEST

START_TEST(a_number_may_be_taken)
{
	static struct tree t;
	uint32_t dir, file;
	char name[16];

	make_tree(&t, 1);
	dir = make(&t, TFS_ROOT_INO, "lost+found", S_IFDIR | 0700);
	snprintf(name, sizeof(name), "#%u", t.big);
	file = make(&t, dir, name, S_IFREG | 0600);
	unname(&t, t.sub, t.big);
	must_be_put_right(&t, "#N is taken", TFS_F_UNREACHED);
	ck_assert_uint_eq(ino_of(&t, dir, name), file);
	strcat(name, ".1");
	ck_assert_uint_eq(ino_of(&t, dir, name), t.big);
	bed_free(&t.bed);
}
END_TEST

/* ---- inodes ------------------------------------------------------------------- */

static void clusters_and_size(struct tfs_inode *in)
{
	in->clusters += 7;
	in->size = 1;
	in->nlink += 2;
}

/* Whatever is wrong with one inode, it takes one run. */
START_TEST(several_faults_take_one_run)
{
	static struct tree t;

	make_tree(&t, _i);
	change(&t, t.big, clusters_and_size);
	set_item(&t, tfs_key(t.big, TFS_T_INLINE, 0), "content", 7);
	must_be_put_right(&t, "several faults", TFS_F_CLUSTERS);
	bed_free(&t.bed);
}
END_TEST

/* A link without its target stays one. */
START_TEST(a_link_keeps_its_kind)
{
	static struct tree t;
	uint32_t ino;
	char *target;

	make_tree(&t, _i);
	set_item(&t, tfs_key(t.link, TFS_T_INLINE, 0), NULL, 0);
	must_be_put_right(&t, "a target", TFS_F_INLINE);
	ck_assert_int_eq(tfs_readlink(t.bed.fs, t.link, &target), 0);
	ck_assert_msg(strstr(target, "lost"), "%s", target);
	free(target);
	/* Where its inode is lost, the name knows what it was. */
	ino = make(&t, t.dir, "link2", S_IFLNK | 0777);
	bed_remount(&t.bed, 0);
	set_item(&t, tfs_key(ino, TFS_T_INODE, 0), NULL, 0);
	t.bed.fs->inodes--;
	must_be_put_right(&t, "a link's inode", TFS_F_STRAY);
	ck_assert_uint_eq(ino_of(&t, t.dir, "link2"), ino);
	ck_assert(S_ISLNK(inode_of(&t, ino).mode));
	ck_assert_int_eq(tfs_readlink(t.bed.fs, ino, &target), 0);
	ck_assert_str_eq(target, "where/it/leads");
	free(target);
	bed_free(&t.bed);
}
END_TEST

/* So does an empty directory of which an attribute is left. */
START_TEST(an_empty_directory_keeps_its_kind)
{
	static struct tree t;
	uint32_t ino;

	make_tree(&t, _i);
	ino = make(&t, t.dir, "empty", S_IFDIR | 0755);
	ck_assert_int_eq(tfs_setxattr(t.bed.fs, ino, "user.x", "y", 1, 0,
				      false), 0);
	bed_remount(&t.bed, 0);
	set_item(&t, tfs_key(ino, TFS_T_INODE, 0), NULL, 0);
	t.bed.fs->inodes--;
	must_be_put_right(&t, "a directory's inode", TFS_F_STRAY);
	ck_assert_uint_eq(ino_of(&t, t.dir, "empty"), ino);
	ck_assert(S_ISDIR(inode_of(&t, ino).mode));
	bed_free(&t.bed);
}
END_TEST

/* A number that is in use is not given to the next new inode. */
START_TEST(the_next_number_is_none_in_use)
{
	static struct tree t;

	make_tree(&t, _i);
	t.bed.fs->next_ino = 3;
	t.bed.fs->dirty = true;
	must_be_put_right(&t, "the next inode", TFS_F_COUNTER);
	ck_assert_uint_gt(t.bed.fs->next_ino, t.link);
	bed_free(&t.bed);
}
END_TEST

/* ---- access lists ------------------------------------------------------------- */

static const uint8_t acl[] = {	/* u::rwx u:5:rw- g::r-- m::r-- o::--- */
	2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 6, 0, 5, 0, 0, 0,
	4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255,
	32, 0, 0, 0, 255, 255, 255, 255,
};

static void open_to_all(struct tfs_inode *in)
{
	in->mode |= 0777;
}

START_TEST(mode_and_access_list_agree)
{
	static struct tree t;
	struct seek_item s;
	struct tfs_inode in;

	make_tree(&t, _i);
	ck_assert_int_eq(tfs_setxattr(t.bed.fs, t.big, TFS_ACL_ACCESS, acl,
				      sizeof(acl), 0, true), 0);
	bed_remount(&t.bed, 0);
	change(&t, t.big, open_to_all);
	must_be_put_right(&t, "a mode beside a list", TFS_F_ACL);
	ck_assert_uint_eq(inode_of(&t, t.big).mode & 0777, 0740);
	s = first(&t, t.big, TFS_T_XATTR, 0);
	s.val[s.len - 8] = 77;		/* the last entry's tag */
	set_item(&t, s.key, s.val, s.len);
	ck_assert_int_eq(tfs_setflags(t.bed.fs, t.big, TFS_INODE_IMMUTABLE,
				      &in), 0);
	must_be_put_right(&t, "a list that can't be obeyed", TFS_F_ACL);
	ck_assert_uint_eq(inode_of(&t, t.big).flags, TFS_INODE_IMMUTABLE);
	bed_free(&t.bed);
}
END_TEST

/* ---- nodes -------------------------------------------------------------------- */

/* Bytes of one copy of a node, with checksum, guards and tags as they must
 * be. */
static void edit_copy(struct tree *t, const struct tfs_miss *at,
		      unsigned int copy, unsigned int place, uint8_t mask)
{
	struct tfs_record rec = {
		.kind = TFS_K_NODE, .owner = at->level, .index = copy,
		.seq = at->ptr.seq,
	};
	struct tfs *fs = t->bed.fs;
	uint8_t *buf = aligned_alloc(4096, fs->csize);
	uint32_t crc;

	ck_assert_int_eq(tfs_cluster_read(fs, at->ptr.addr[copy], NULL, buf),
			 0);
	buf[place] ^= mask;
	crc = htole32(tfs_crc32c(buf, fs->csize, offsetof(struct tfs_disk_node,
							  crc)));
	memcpy(buf + offsetof(struct tfs_disk_node, crc), &crc, sizeof(crc));
	ck_assert_int_eq(tfs_cluster_write(fs, at->ptr.addr[copy], &rec, buf),
			 0);
	ck_assert_int_eq(eng_dev_flush(fs->dev), 0);
	free(buf);
}

static struct tfs_miss last_node(struct tree *t)
{
	struct tfs_miss *node, last;
	size_t n = fs_nodes(t->bed.fs, &node);

	ck_assert_uint_gt(n, 0);
	last = node[n - 1];
	free(node);
	return last;
}

/* Both copies are good, and say different things: the first one counts. */
START_TEST(copies_that_differ_are_made_one)
{
	static struct tree t;
	struct tfs_miss at;

	make_tree(&t, _i);
	at = last_node(&t);
	/* The last byte of the values, which an item of content has. */
	edit_copy(&t, &at, 1, t.csize - 1, 1);
	must_be_put_right(&t, "differing copies", TFS_F_DIFFER);
	bed_free(&t.bed);
}
END_TEST

/* A part of the tree is lost: that is said, with what it may be, and nothing
 * but copies of nodes is touched. */
START_TEST(with_a_lost_part_nothing_is_repaired)
{
	static struct tree t;
	struct tfs_miss at;
	struct tfs_check c;
	struct result r;

	make_tree(&t, 1);
	for (unsigned int i = 0; i < 600; i++) {
		char name[32];

		snprintf(name, sizeof(name), "many%u", i);
		make(&t, t.dir, name, S_IFREG | 0600);
	}
	bed_remount(&t.bed, 0);
	at = last_node(&t);
	ck_assert_uint_eq(at.level, 0);
	sim_flip(t.bed.sim, bed_data_at(&t.bed, at.ptr.addr[0]) + 99, 4);
	sim_flip(t.bed.sim, bed_data_at(&t.bed, at.ptr.addr[1]) + 99, 4);
	bed_umount(&t.bed);
	bed_mount(&t.bed);
	c = check(&t, &r, true);
	ck_assert_msg(r.kinds[TFS_F_LOST] == 1, "%s", r.text);
	ck_assert_uint_eq(c.lost, 1);
	ck_assert_uint_eq(c.fixed, 0);
	bed_drop(&t.bed);
	bed_free(&t.bed);
}
END_TEST

/* ---- nothing where nothing may be ------------------------------------------- */

static uint64_t disk_hash(struct sim *sim)
{
	static uint8_t buf[1 << 16];
	uint64_t size = sim_raw(sim)->size, h = 0;

	for (uint64_t at = 0; at < size; at += sizeof(buf)) {
		size_t n = size - at < sizeof(buf) ? size - at : sizeof(buf);

		sim_peek(sim, at, buf, n);
		h = bed_hash(h, buf, n);
	}
	return h;
}

static void some_damage(struct tree *t, unsigned int seed)
{
	make_tree(t, seed);
	unname(t, t->sub, t->big);
	change(t, t->other, clusters_and_size);
	set_item(t, tfs_key(0, TFS_T_ORPHAN, 4711), "", 0);
	set_item(t, tfs_key(t->small, TFS_T_INODE, 0), NULL, 0);
	bed_umount(&t->bed);
}

/* A check that may not write leaves each byte as it was, whatever it finds. */
START_TEST(no_byte_is_changed)			/* _i: profile */
{
	static struct tree t;
	struct tfs_check c;
	struct result r;
	uint64_t before;

	some_damage(&t, _i);
	before = disk_hash(t.bed.sim);
	sim_set_rdonly(t.bed.sim, true);
	t.bed.how.rdonly = true;
	bed_mount(&t.bed);
	c = check(&t, &r, true);
	ck_assert_uint_gt(c.problems, 3);
	ck_assert_uint_eq(c.fixed, 0);
	bed_umount(&t.bed);
	ck_assert(disk_hash(t.bed.sim) == before);
	bed_free(&t.bed);
}
END_TEST

struct stop {
	struct result	r;
	unsigned int	left;
};

static bool stop_found(struct tfs_check *c, const struct tfs_finding *f)
{
	(void)c;
	(void)f;
	return true;
}

static bool stop_at(struct tfs_check *c, unsigned int step,
		    unsigned int steps, unsigned int done)
{
	struct stop *s = c->arg;

	ck_assert_uint_le(step, steps);
	ck_assert_uint_le(done, 1000);
	return s->left-- > 0;
}

/* Stopped anywhere, what was put right is, and the next run does the rest. */
START_TEST(a_check_can_be_stopped)
{
	static struct tree t;
	struct tfs_check c;
	struct stop s;
	int err;

	for (unsigned int n = 0; n < 200; n++) {
		some_damage(&t, 0);
		bed_mount(&t.bed);
		s.left = n;
		c = (struct tfs_check){
			.fs = t.bed.fs, .arg = &s, .found = stop_found,
			.progress = stop_at, .data = true,
		};
		err = tfs_check(&c);
		ck_assert_msg(!err || err == -EINTR, "%s", strerror(-err));
		bed_umount(&t.bed);
		bed_mount(&t.bed);
		keep_is_there(&t);
		check(&t, &s.r, true);
		bed_remount(&t.bed, 0);
		bed_free(&t.bed);
		if (!err) {
			ck_assert_uint_gt(n, 3);
			break;
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("repairs");
	TCase *tc = tcase_create("repairs");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, what_hangs_off_a_circle_stays, 0, 4);
	tcase_add_test(tc, only_the_top_has_no_way);
	tcase_add_loop_test(tc, misplaced_names_take_one_run, 0, 2);
	tcase_add_test(tc, lost_found_may_be_a_file);
	tcase_add_test(tc, a_number_may_be_taken);
	tcase_add_loop_test(tc, several_faults_take_one_run, 0, 2);
	tcase_add_loop_test(tc, a_link_keeps_its_kind, 0, 2);
	tcase_add_loop_test(tc, an_empty_directory_keeps_its_kind, 0, 2);
	tcase_add_loop_test(tc, the_next_number_is_none_in_use, 0, 2);
	tcase_add_loop_test(tc, mode_and_access_list_agree, 0, 2);
	tcase_add_loop_test(tc, copies_that_differ_are_made_one, 0, 2);
	tcase_add_test(tc, with_a_lost_part_nothing_is_repaired);
	tcase_add_loop_test(tc, no_byte_is_changed, 0, 2);
	tcase_add_test(tc, a_check_can_be_stopped);
	suite_add_tcase(s, tc);
	return bed_run_suite(s);
}
