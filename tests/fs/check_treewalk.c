/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_treewalk.c - a walk comes upon every node and item, and says what it
 * can't read. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/check.h"
#include "check/locate.h"
#include "check/treewalk.h"
#include "file/inode.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"

#define FILES	1500u

struct seen {
	struct tfs_key	last;
	uint64_t	items, nodes, leaves, bad, lost;
	struct tfs_miss hole;
};

static int see_node(struct tfs_treewalk *w, const struct tfs_treewalk_node *n)
{
	struct seen *s = w->arg;

	s->nodes++;
	s->leaves += !n->at.level;
	s->bad += !!n->copy[0].err + !!n->copy[1].err;
	ck_assert(!n->differ);
	return 0;
}

static int see_item(struct tfs_treewalk *w, const struct tfs_item *item)
{
	struct seen *s = w->arg;

	ck_assert(!s->items || tfs_key_cmp(&item->key, &s->last) > 0);
	s->last = item->key;
	s->items++;
	return 0;
}

static int see_lost(struct tfs_treewalk *w, const struct tfs_miss *at, int err)
{
	struct seen *s = w->arg;

	ck_assert_int_eq(err, -EUCLEAN);
	s->hole = *at;
	s->lost++;
	return 0;
}

static void walk(struct tfs *fs, struct seen *s)
{
	struct tfs_treewalk w = { .fs = fs, .arg = s, .node = see_node,
			      .item = see_item, .lost = see_lost };

	memset(s, 0, sizeof(*s));
	ck_assert_int_eq(tfs_treewalk_begin(&w), 0);
	ck_assert_int_eq(tfs_treewalk_run(&w), 0);
	tfs_treewalk_end(&w);
}

static void make(struct bed *b, const char *profile, uint64_t seed)
{
	char name[40];

	bed_make(b, profile, 20000, seed);
	for (unsigned int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "some file, number %u", i);
		bed_file(b, name);
	}
	bed_remount(b, 0);
}

static void spoil(struct bed *b, uint64_t addr)
{
	sim_flip(b->sim, bed_data_at(b, addr) + 99, 1);
}

START_TEST(a_walk_sees_all_once)
{
	struct tfs_miss *node;
	struct seen s;
	struct bed b;

	make(&b, _i ? "4096+8" : "512+8", _i);
	walk(b.fs, &s);
	ck_assert_uint_eq(s.nodes, fs_nodes(b.fs, &node));
	ck_assert_uint_ge(s.items, 2 * FILES);
	ck_assert_uint_eq(s.bad + s.lost, 0);
	free(node);
	bed_free(&b);
}
END_TEST

/* _i: which node of the tree, after the root. */
START_TEST(a_walk_goes_round_what_is_lost)
{
	struct tfs_miss *node;
	struct seen all, s;
	struct bed b;
	size_t n;

	make(&b, "512+8", _i);
	walk(b.fs, &all);
	n = fs_nodes(b.fs, &node);
	ck_assert_uint_gt(n, 20);
	node[0] = node[1 + _i * (n - 2) / 9];
	spoil(&b, node->ptr.addr[1]);
	bed_remount(&b, FS_CHECK_ONE_COPY);
	walk(b.fs, &s);
	ck_assert_uint_eq(s.items, all.items);
	ck_assert_uint_eq(s.bad, 1);
	bed_umount(&b);
	ck_assert_int_eq(bed_open(&b), 0);
	spoil(&b, node->ptr.addr[0]);
	bed_umount(&b);
	b.how.rdonly = true;
	if (bed_open(&b)) {		/* that was the root directory */
		free(node);
		bed_drop(&b);
		bed_free(&b);
		return;
	}
	walk(b.fs, &s);
	ck_assert_uint_eq(s.lost, 1);
	ck_assert_uint_lt(s.items, all.items);
	ck_assert_int_eq(tfs_key_cmp(&s.hole.low, &node->low), 0);
	ck_assert_int_eq(tfs_key_cmp(&s.hole.high, &node->high), 0);
	free(node);
	bed_drop(&b);
	bed_free(&b);
}
END_TEST

static bool fix(struct tfs_check *c, const struct tfs_finding *f)
{
	(void)c;
	if (getenv("CHECK_LOG"))
		fprintf(stderr, "%s: inode %u, cluster %llu: %s\n",
			tfs_finding_name(f->kind), f->ino,
			(unsigned long long)f->cluster, f->text);
	return f->fixable;
}

static int wrong_fn(struct tfs_txn *tx, void *arg)
{
	struct tfs_inode in;
	int err = tfs_inode_get(tx, *(uint32_t *)arg, &in);

	in.nlink += 3;
	return err ? err : tfs_inode_put(tx, &in);
}

/* What a repair moves is not taken for what nobody uses. */
START_TEST(a_repair_leaves_the_map_right)
{
	struct tfs_check c = { .found = fix };
	struct bed b;

	make(&b, "512+8", _i);
	for (uint32_t ino = 20; ino < FILES; ino += 90)
		ck_assert_int_eq(tfs_txn_write(b.fs, wrong_fn, &ino, 0), 0);
	c.fs = b.fs;
	ck_assert_int_eq(tfs_check(&c), 0);
	ck_assert_uint_gt(c.fixed, 10);
	ck_assert_uint_eq(c.problems, c.fixed);
	bed_check(&b, 0);
	bed_remount(&b, 0);
	bed_free(&b);
}
END_TEST

/* By the tree, of a cluster that can't be read. */
static struct tfs_place where_is(struct bed *b, uint64_t addr)
{
	struct tfs_hunt se = { .gap = false };
	uint64_t at = bed_data_at(b, addr);
	struct tfs_place tags, tree;
	unsigned int steps = 0;

	sim_fault(b->sim, SIM_READ_FAIL, at, 512, -EIO, 0, 0);
	ck_assert_int_eq(tfs_locate_sector(b->fs, at / 512, &tags), 0);
	ck_assert_int_eq(tags.state, TFS_PLACE_UNKNOWN);
	ck_assert_int_eq(tags.tags, TFS_TAGS_UNREADABLE);
	do
		ck_assert_int_eq(tfs_locate_in_tree(b->fs, at / 512, &se,
						    &tree), 0);
	while (tree.state == TFS_PLACE_SEARCH && ++steps < 1000);
	ck_assert_uint_lt(steps, 1000);
	sim_clear_faults(b->sim);
	ck_assert_uint_eq(tree.cluster, addr);
	return tree;
}

/* A sector that can't be read has an owner all the same. */
START_TEST(the_tree_knows_whose_it_is)
{
	struct tfs_place p, byte;
	struct tfs_miss *node;
	struct bed b;
	uint8_t *buf;
	uint32_t ino;
	size_t n;

	make(&b, _i ? "4096+8" : "512+8", _i);
	ino = bed_file(&b, "zz with content");
	buf = calloc(1, 100000);
	ck_assert_int_eq(tfs_write(b.fs, ino, 0, buf, 100000, 0), 0);
	free(buf);
	bed_remount(&b, 0);
	ck_assert_int_eq(tfs_locate_byte(b.fs, ino, 80000, &byte), 0);
	p = where_is(&b, byte.cluster);
	ck_assert_int_eq(p.state, TFS_PLACE_MAPPED);
	ck_assert_uint_eq(p.rec.owner, ino);
	ck_assert_uint_eq(p.rec.seq, byte.rec.seq);
	ck_assert_uint_eq(p.off, 80000 / b.fs->csize * b.fs->csize);

	n = fs_nodes(b.fs, &node);
	p = where_is(&b, node[n / 2].ptr.addr[1]);
	ck_assert_int_eq(p.state, TFS_PLACE_META);
	ck_assert_int_eq(p.rec.kind, TFS_K_NODE);
	ck_assert_uint_eq(p.rec.index, 1);
	ck_assert_uint_eq(p.rec.owner, node[n / 2].level);
	free(node);

	p = where_is(&b, TFS_AT_LOG + 7);
	ck_assert_int_eq(p.rec.kind, TFS_K_LOG);
	ck_assert_uint_eq(p.rec.index, 7);
	p = where_is(&b, b.fs->super.clusters - TFS_END_SLOT + 1);
	ck_assert_int_eq(p.rec.kind, TFS_K_SLOT);
	ck_assert(p.rec.owner == 1 && p.rec.index == 1);
	p = where_is(&b, b.fs->super.clusters - 100);
	ck_assert_int_eq(p.state, TFS_PLACE_FREE);
	bed_free(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("treewalk");
	TCase *t = tcase_create("walk");

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, a_walk_sees_all_once, 0, 2);
	tcase_add_loop_test(t, a_walk_goes_round_what_is_lost, 0, 10);
	tcase_add_loop_test(t, a_repair_leaves_the_map_right, 0, 2);
	tcase_add_loop_test(t, the_tree_knows_whose_it_is, 0, 2);
	suite_add_tcase(s, t);
	return bed_run_suite(s);
}
