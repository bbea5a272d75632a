/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_fsck.c - every kind of damage to what a tree says is found, named and
 * put right, and what it does not concern stays as it was. */
#include "fs/fsck_bed.h"

static void links(struct tfs_inode *in)
{
	in->nlink += 3;
}

static void no_links(struct tfs_inode *in)
{
	in->nlink = 0;
}

static void size(struct tfs_inode *in)
{
	in->size += 2;
}

static void parent(struct tfs_inode *in)
{
	in->parent = TFS_ROOT_INO;
}

static void clusters(struct tfs_inode *in)
{
	in->clusters++;
}

static void shorter(struct tfs_inode *in)
{
	in->size = 1;
}

static void file_links(struct tree *t)
{
	change(t, t->big, links);
}

static void file_without_links(struct tree *t)
{
	change(t, t->big, no_links);
}

static void dir_without_links(struct tree *t)
{
	change(t, t->sub, no_links);
}

static void dir_links(struct tree *t)
{
	change(t, t->dir, links);
}

static void dir_size(struct tree *t)
{
	change(t, t->dir, size);
}

static void dir_parent(struct tree *t)
{
	change(t, t->sub, parent);
}

static void cluster_count(struct tree *t)
{
	change(t, t->big, clusters);
}

static void link_size(struct tree *t)
{
	change(t, t->link, size);
}

static void past_the_end(struct tree *t)
{
	change(t, t->big, shorter);
}

static void entry_to_nothing(struct tree *t)
{
	add_entry(t, t->dir, "ghost", 4711, S_IFREG);
}

static void second_name_of_a_directory(struct tree *t)
{
	add_entry(t, TFS_ROOT_INO, "again", t->sub, S_IFDIR);
}

static void entry_of_another_type(struct tree *t)
{
	struct seek_item s = first(t, t->sub, TFS_T_DIRENT, 0);

	s.val[4] = S_IFIFO >> 12;
	set_item(t, s.key, s.val, s.len);
}

static void entry_elsewhere(struct tree *t)
{
	struct seek_item s = first(t, t->sub, TFS_T_DIRENT, 0);

	set_item(t, s.key, NULL, 0);
	s.key.off ^= 1ull << 40;
	set_item(t, s.key, s.val, s.len);
}

static void name_lost(struct tree *t)
{
	set_item(t, first(t, t->sub, TFS_T_DIRENT, 0).key, NULL, 0);
}

static void directory_in_itself(struct tree *t)
{
	struct seek_item s = first(t, TFS_ROOT_INO, TFS_T_DIRENT, 0);

	while (le32toh(*(uint32_t *)s.val) != t->dir)
		s = first(t, TFS_ROOT_INO, TFS_T_DIRENT, s.key.off + 1);
	set_item(t, s.key, NULL, 0);
	add_entry(t, t->sub, "up", t->dir, S_IFDIR);
}

static void bad_entry(struct tree *t)
{
	set_item(t, tfs_key(t->dir, TFS_T_DIRENT, 0x12300), "x", 1);
}

static void extents_overlap(struct tree *t)
{
	struct seek_item s = first(t, t->big, TFS_T_EXTENT, 0);

	s.key.off++;
	set_item(t, s.key, s.val, s.len);
}

static void content_twice(struct tree *t)
{
	set_item(t, tfs_key(t->big, TFS_T_INLINE, 0), "content", 7);
}

static void orphan_of_nobody(struct tree *t)
{
	set_item(t, tfs_key(0, TFS_T_ORPHAN, 4711), "", 0);
}

static void nobody(struct tfs_inode *in)
{
	in->nlink = 0;
}

static void deleted_and_there(struct tree *t)
{
	name_lost(t);
	change(t, t->big, nobody);
	change(t, t->other, nobody);
}

/* What another program has stored of an inode goes with it. */
static void deleted_with_more(struct tree *t)
{
	deleted_and_there(t);
	set_item(t, tfs_key(t->other, TFS_T_REGION, 12), "x", 1);
	set_item(t, tfs_key(t->other, UINT8_MAX, 7), "x", 1);
}

static void small_with_clusters(struct tree *t)
{
	change(t, t->small, clusters);
}

static void cluster_of_two(struct tree *t)
{
	struct seek_item a = first(t, t->big, TFS_T_EXTENT, 0);
	struct seek_item b = first(t, t->other, TFS_T_EXTENT, 0);

	set_item(t, a.key, b.val, b.len);
}

static void attribute_cut(struct tree *t)
{
	set_item(t, first(t, t->other, TFS_T_XATTR, 0).key, NULL, 0);
}

static void attribute_short(struct tree *t)
{
	struct seek_item s = first(t, t->other, TFS_T_XATTR, 0);

	s = first(t, t->other, TFS_T_XATTR, s.key.off + 2);
	set_item(t, s.key, NULL, 0);
}

/* The last piece that an attribute may have, at the last place as well. */
static void attribute_out_of_nothing(struct tree *t)
{
	set_item(t, tfs_key(t->other, TFS_T_XATTR, 0x1fff), "x", 1);
	set_item(t, tfs_key(t->other, TFS_T_XATTR, UINT64_MAX), "x", 1);
}

static void inode_lost(struct tree *t)
{
	set_item(t, tfs_key(t->big, TFS_T_INODE, 0), NULL, 0);
	t->bed.fs->inodes--;
}

static void directory_lost(struct tree *t)
{
	set_item(t, tfs_key(t->sub, TFS_T_INODE, 0), NULL, 0);
	t->bed.fs->inodes--;
}

static void count_of_inodes(struct tree *t)
{
	t->bed.fs->inodes += 5;
	t->bed.fs->dirty = true;
}

static void count_of_free(struct tree *t)
{
	t->bed.fs->free -= 5;
	t->bed.fs->dirty = true;
}

/* One bit of the map: that of a free cluster, or of content that nobody is
 * about to free. */
static void flip_map(struct tree *t, bool on)
{
	struct seek_item s = first(t, t->big, TFS_T_EXTENT, 0);
	struct tfs *fs = t->bed.fs;
	struct tfs_region *r;
	struct tfs_miss miss;
	uint64_t addr;
	unsigned int bit;

	memcpy(&addr, s.val, 8);
	ck_assert_int_eq(tfs_sync(fs), 0);
	pthread_rwlock_wrlock(&fs->tree);
	ck_assert_int_eq(tfs_region_load(fs, 0, &r, &miss), 0);
	bit = on ? tfs_bits_next(r->map, 300, false) : le64toh(addr);
	tfs_bits_put(r->map, bit, 1, on);
	*tfs_region_free(fs, 0) += on ? -1 : 1;
	fs->free += on ? -1 : 1;
	tfs_region_dirty(fs, r);
	pthread_rwlock_unlock(&fs->tree);
}

static void map_has_more(struct tree *t)
{
	flip_map(t, true);
}

static void map_has_less(struct tree *t)
{
	flip_map(t, false);
}

static const struct damage {
	const char	*name;
	void		(*make)(struct tree *t);
	enum tfs_finding_kind kind;	/* one of those found */
} damages[] = {
	{ "file_links", file_links, TFS_F_LINKS },
	{ "file_without_links", file_without_links, TFS_F_LINKS },
	{ "dir_without_links", dir_without_links, TFS_F_LINKS },
	{ "dir_links", dir_links, TFS_F_LINKS },
	{ "dir_size", dir_size, TFS_F_COUNT },
	{ "dir_parent", dir_parent, TFS_F_PARENT },
	{ "cluster_count", cluster_count, TFS_F_CLUSTERS },
	{ "link_size", link_size, TFS_F_INLINE },
	{ "past_the_end", past_the_end, TFS_F_PAST },
	{ "entry_to_nothing", entry_to_nothing, TFS_F_ENTRY },
	{ "second_name", second_name_of_a_directory, TFS_F_ENTRY },
	{ "entry_of_another_type", entry_of_another_type, TFS_F_ENTRY },
	{ "entry_elsewhere", entry_elsewhere, TFS_F_ENTRY },
	{ "name_lost", name_lost, TFS_F_UNREACHED },
	{ "directory_in_itself", directory_in_itself, TFS_F_UNREACHED },
	{ "bad_entry", bad_entry, TFS_F_ITEM },
	{ "extents_overlap", extents_overlap, TFS_F_EXTENT },
	{ "content_twice", content_twice, TFS_F_ITEM },
	{ "orphan_of_nobody", orphan_of_nobody, TFS_F_ORPHAN },
	{ "deleted_and_there", deleted_and_there, TFS_F_ORPHAN },
	{ "deleted_with_more", deleted_with_more, TFS_F_ORPHAN },
	{ "small_with_clusters", small_with_clusters, TFS_F_CLUSTERS },
	{ "cluster_of_two", cluster_of_two, TFS_F_TWICE },
	{ "attribute_cut", attribute_cut, TFS_F_XATTR },
	{ "attribute_short", attribute_short, TFS_F_XATTR },
	{ "attribute_out_of_nothing", attribute_out_of_nothing, TFS_F_XATTR },
	{ "inode_lost", inode_lost, TFS_F_STRAY },
	{ "directory_lost", directory_lost, TFS_F_STRAY },
	{ "count_of_inodes", count_of_inodes, TFS_F_COUNTER },
	{ "count_of_free", count_of_free, TFS_F_COUNTER },
	{ "map_has_more", map_has_more, TFS_F_UNUSED },
	{ "map_has_less", map_has_less, TFS_F_UNMARKED },
};

#define DAMAGES	(sizeof(damages) / sizeof(damages[0]))

/* ---- checking ----------------------------------------------------------------- */

/* Damaged, and mounted again.  Free space is stored as it is in memory, so
 * no other change comes in between. */
static void damage(struct tree *t, const struct damage *d, unsigned int seed)
{
	make_tree(t, seed);
	d->make(t);
	bed_umount(&t->bed);
	bed_mount(&t->bed);
}

/* _i: damage, and profile. */
START_TEST(each_damage_is_found_and_put_right)
{
	const struct damage *d = &damages[_i / 2];
	static struct tree t;

	make_tree(&t, _i);
	d->make(&t);
	must_be_put_right(&t, d->name, d->kind);
	bed_free(&t.bed);
}
END_TEST

/* The power goes while it is put right: the next try does it. */
START_TEST(a_repair_can_be_cut)
{
	const struct damage *d = &damages[_i];
	static struct tree t;
	struct tfs_check c;
	struct result r;

	for (unsigned int cut = 0; cut < 40; cut += 3) {
		damage(&t, d, _i);
		sim_power_off_at(t.bed.sim, cut);
		c = (struct tfs_check){ .fs = t.bed.fs, .arg = &r,
					.found = found };
		r = (struct result){ .fix = true };
		tfs_check(&c);
		tfs_ckpt_run(t.bed.fs);
		if (!sim_is_off(t.bed.sim)) {
			bed_free(&t.bed);
			break;
		}
		bed_drop(&t.bed);
		sim_crash(t.bed.sim, cut);
		bed_mount(&t.bed);
		check(&t, &r, true);
		ck_assert_int_eq(tfs_ckpt_run(t.bed.fs), 0);
		c = check(&t, &r, false);
		ck_assert_msg(!c.problems, "%s, cut %u: still %s", d->name,
			      cut, r.text);
		keep_is_there(&t);
		bed_free(&t.bed);
	}
}
END_TEST

/* One copy of a node is bad: said, and both are good afterwards. */
START_TEST(a_bad_copy_is_rewritten)
{
	static struct tree t;
	struct tfs_miss *node;
	struct tfs_check c;
	struct result r;
	size_t n;

	make_tree(&t, _i);
	n = fs_nodes(t.bed.fs, &node);
	ck_assert_uint_gt(n, 0);
	sim_flip(t.bed.sim, bed_data_at(&t.bed, node[n - 1].ptr.addr[_i % 2])
		 + 77, 4);
	free(node);
	bed_umount(&t.bed);
	bed_mount(&t.bed);
	c = check(&t, &r, true);
	ck_assert_msg(r.kinds[TFS_F_COPY] == 1, "%s", r.text);
	ck_assert_uint_eq(c.problems, 1);
	ck_assert_int_eq(tfs_ckpt_force(t.bed.fs, false), 0);
	c = check(&t, &r, false);
	ck_assert_msg(!c.problems, "still %s", r.text);
	bed_free(&t.bed);
}
END_TEST

/* Bytes that don't verify are named by file and place, and nothing else. */
START_TEST(content_is_read_if_asked)
{
	static struct tree t;
	struct tfs_check c;
	struct result r;
	struct seek_item s;
	uint64_t addr;

	make_tree(&t, _i);
	s = first(&t, t.big, TFS_T_EXTENT, 0);
	memcpy(&addr, s.val, 8);
	sim_flip(t.bed.sim, bed_data_at(&t.bed, le64toh(addr)) + 600, 1);
	c = check(&t, &r, false);
	ck_assert_uint_eq(c.problems, 0);
	c = (struct tfs_check){ .fs = t.bed.fs, .arg = &r, .found = found,
				.data = true };
	r = (struct result){ .fix = true };
	ck_assert_int_eq(tfs_check(&c), 0);
	ck_assert_msg(r.kinds[TFS_F_DATA] == 1, "%s", r.text);
	ck_assert_uint_eq(c.problems, 1);
	ck_assert_uint_eq(c.bad_files, 1);
	ck_assert(strstr(r.text, "bytes 0 to "));
	bed_free(&t.bed);
}
END_TEST

/* Places for nodes, from addr on. */
static void set_aside(struct tree *t, uint64_t addr)
{
	struct tfs *fs = t->bed.fs;
	struct tfs_miss miss;

	pthread_rwlock_wrlock(&fs->tree);
	fs->freemap->node = (struct tfs_search){ .at = addr };
	ck_assert_int_eq(tfs_pool_fill(fs, fs->freemap->pool_n + 4, 0, 0,
				       &miss), 0);
	pthread_rwlock_unlock(&fs->tree);
}

/* What a file has is never written over, also where it was set aside for nodes
 * before anybody knew. */
START_TEST(what_is_set_aside_may_be_in_use)	/* _i: profile */
{
	static uint8_t buf[KEEP_BYTES];
	static struct tree t;
	struct seek_item s;
	struct tfs_check c;
	struct result r;
	uint64_t addr;
	char name[20];

	make_tree(&t, _i);
	s = first(&t, t.big, TFS_T_EXTENT, 0);
	memcpy(&addr, s.val, 8);
	map_has_less(&t);
	set_aside(&t, le64toh(addr));
	dir_size(&t);
	c = check(&t, &r, true);
	ck_assert_msg(r.kinds[TFS_F_UNMARKED], "%s", r.text);
	ck_assert_msg(c.fixed == c.problems, "%s", r.text);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "another %d", i);
		bed_file(&t.bed, name);
	}
	ck_assert_int_eq(tfs_ckpt_run(t.bed.fs), 0);
	c = check(&t, &r, false);
	ck_assert_msg(!c.problems, "%s", r.text);
	bed_remount(&t.bed, 0);
	ck_assert_int_eq(tfs_read_sync(t.bed.fs, t.big, 0, buf, 45000), 45000);
	ck_assert(!memcmp(buf, t.keep, 45000));
	bed_free(&t.bed);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("fsck");
	TCase *tc = tcase_create("fsck");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, each_damage_is_found_and_put_right, 0,
			    2 * DAMAGES);
	tcase_add_loop_test(tc, a_repair_can_be_cut, 0, DAMAGES);
	tcase_add_loop_test(tc, a_bad_copy_is_rewritten, 0, 4);
	tcase_add_loop_test(tc, content_is_read_if_asked, 0, 2);
	tcase_add_loop_test(tc, what_is_set_aside_may_be_in_use, 0, 2);
	suite_add_tcase(s, tc);
	return bed_run_suite(s);
}
