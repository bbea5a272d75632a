/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_space.c - what the tree promises about places: a node stays where a
 * reader was told to look, its copies are not lost together, and what is
 * optional, or lost, stops nothing else. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commit/ckpt.h"
#include "commit/txn.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "support/mem_dev.h"
#include "soft/soft_priv.h"
#include "core/buf.h"
#include "tree/alloc.h"
#include "tree/ncache.h"

#define FILES		9000u
#define READS		BED_LESS(6000)	/* of nodes */
#define READERS		12
#define WRITERS		3

/* ---- a medium that loses what is freed ------------------------------------ */

struct churn {
	struct eng_pool	*pool;
	struct mem_dev	*mem;
	struct tfs	*fs;
	atomic_bool	stop;
};

struct worker {
	struct churn	*c;
	uint64_t	rand;
	unsigned int	index;
	pthread_t	thread;
};

static void name_of(char *name, unsigned int i)
{
	sprintf(name, "a-name-that-fills-nodes-%u", i);
}

static void make(struct tfs *fs, unsigned int i)
{
	struct tfs_new new = { .mode = S_IFREG | 0644 };
	struct tfs_inode in;
	char name[64];
	int err;

	name_of(name, i);
	err = tfs_create(fs, TFS_ROOT_INO, name, &new, &in);
	ck_assert_msg(!err, "create %s: %s", name, strerror(-err));
	tfs_unref(fs, in.ino, 1);
}

static void churn_open(struct churn *c)
{
	struct tfs_mkfs mkfs = { .label = "churn" };
	struct tfs_mount how = { .discard = true, .cache = 1 };

	memset(c, 0, sizeof(*c));
	ck_assert_int_eq(eng_pool_create_serial(&c->pool), 0);
	c->mem = mem_open_size("512+8", c->pool, false, 8 * 32768);
	c->mem->discards = true;
	ck_assert_int_eq(tfs_mkfs(&c->mem->dev, &mkfs), 0);
	ck_assert_int_eq(tfs_open(&c->fs, &c->mem->dev, &how), 0);
	for (unsigned int i = 0; i < FILES; i++)
		make(c->fs, i);
	ck_assert_int_eq(tfs_ckpt_run(c->fs), 0);
	c->mem->delay = 3000;
}

static void churn_close(struct churn *c)
{
	ck_assert_int_eq(tfs_close(c->fs), 0);
	eng_dev_close(&c->mem->dev);
	eng_pool_destroy(c->pool);
}

static void *look_up(void *arg)
{
	struct worker *w = arg;
	struct tfs_inode in;
	char name[64];
	int err;

	while (!atomic_load(&w->c->stop)) {
		name_of(name, sim_rand(&w->rand) % FILES);
		err = tfs_lookup(w->c->fs, TFS_ROOT_INO, name, &in);
		ck_assert_msg(!err || err == -ENOENT, "lookup %s: %s", name,
			      strerror(-err));
		if (!err)
			tfs_unref(w->c->fs, in.ino, 1);
	}
	return NULL;
}

/* Each writer has files of its own. */
static void *make_and_remove(void *arg)
{
	struct worker *w = arg;
	char name[64];
	int err;

	while (!atomic_load(&w->c->stop)) {
		unsigned int i = sim_rand(&w->rand) % (FILES / WRITERS) *
			WRITERS + w->index;

		name_of(name, i);
		err = tfs_unlink(w->c->fs, TFS_ROOT_INO, name);
		ck_assert_msg(!err, "unlink %s: %s", name, strerror(-err));
		make(w->c->fs, i);
	}
	return NULL;
}

/* The cache is small, freed clusters are overwritten at once, and reads are
 * slow: nobody may be told of damage that is not there. */
START_TEST(a_place_is_kept_while_it_is_read)
{
	struct worker w[READERS + WRITERS];
	const char *wrong;
	struct churn c;

	churn_open(&c);
	for (unsigned int i = 0; i < READERS + WRITERS; i++) {
		w[i] = (struct worker){ &c, _i * 100 + i, i, 0 };
		pthread_create(&w[i].thread, NULL, i < WRITERS ?
			       make_and_remove : look_up, &w[i]);
	}
	while (atomic_load(&c.fs->count.node_reads) < READS)
		ck_assert_int_eq(tfs_ckpt_force(c.fs, false), 0);
	atomic_store(&c.stop, true);
	for (unsigned int i = 0; i < READERS + WRITERS; i++)
		pthread_join(w[i].thread, NULL);
	ck_assert_uint_eq(atomic_load(&c.fs->count.fault_guard), 0);
	c.mem->delay = 0;
	wrong = fs_check(c.fs, 0);
	ck_assert_msg(!wrong, "seed %d: %s", _i, wrong);
	churn_close(&c);
}
END_TEST

/* ---- copies apart --------------------------------------------------------- */

#define IMAGE_CLUSTERS	12288u		/* 48 MiB */
#define IMAGE_FILES	1600u

/* Every file again, some without their content in the tree. */
static void write_round(struct bed *b, uint64_t *rand, unsigned int round)
{
	uint8_t buf[18 * 4096];
	char name[64];

	for (unsigned int i = 0; i < IMAGE_FILES; i++) {
		size_t len = i % 2 ? 900 : 4096 * (1 + sim_rand(rand) % 18);
		struct tfs_inode in;

		if (round && sim_rand(rand) % 3)
			continue;
		name_of(name, i);
		if (round)
			ck_assert_int_eq(tfs_unlink(b->fs, TFS_ROOT_INO,
						    name), 0);
		make(b->fs, i);
		ck_assert_int_eq(tfs_lookup(b->fs, TFS_ROOT_INO, name, &in),
				 0);
		bed_fill(buf, len, i);
		ck_assert_int_eq(tfs_write(b->fs, in.ino, 0, buf, len, 0), 0);
		tfs_unref(b->fs, in.ino, 1);
		if (i % 100 == 99)
			ck_assert_int_eq(tfs_ckpt_run(b->fs), 0);
	}
}

/* After a life; the smallest is seventy percent full. */
static void make_image(struct bed *b, uint64_t clusters, uint64_t seed)
{
	uint64_t rand = seed;

	bed_make(b, "512+8", clusters, seed);
	for (unsigned int round = 0; round < 6; round++)
		write_round(b, &rand, round);
	bed_check(b, 0);
}

static int count_file(void *arg, const struct tfs_dirent *de)
{
	unsigned int *n = arg;

	*n += de->attr.ino && de->name[0] != '.';
	return 0;
}

/* A sample of the zones will do, then; the first one is in it. */
static bool quick(void)
{
	return getenv("TAGFS_TEST_QUICK");
}

/* How many files can be looked at. */
static unsigned int files_there(struct bed *b)
{
	unsigned int n = 0;
	int err = tfs_readdir(b->fs, TFS_ROOT_INO, 0, true, count_file, &n);

	return err ? 0 : n;
}

/* Overwrite the bytes, look at everything, put them back. */
static void lose(struct bed *b, uint64_t off, size_t len)
{
	uint8_t old[SOFT_PAGES], bad[SOFT_PAGES];
	unsigned int n;
	int err;

	sim_peek(b->sim, off, old, len);
	bed_fill(bad, len, off);
	sim_poke(b->sim, off, bad, len);
	err = bed_open(b);
	ck_assert_msg(!err, "%s: %zu bytes at %llu: %s", b->where, len,
		      (unsigned long long)off, strerror(-err));
	n = files_there(b);
	ck_assert_msg(n == IMAGE_FILES, "%s: %zu bytes at %llu: %u of %u "
		      "files are left", b->where, len,
		      (unsigned long long)off, n, IMAGE_FILES);
	bed_drop(b);
	sim_poke(b->sim, off, old, len);
}

/* One bad sector of tuples, or all tuples of a zone, and nothing but content
 * is lost. */
START_TEST(one_bad_spot_costs_no_metadata)
{
	struct soft_layout l;
	struct bed b;

	make_image(&b, IMAGE_CLUSTERS, _i);
	ck_assert_uint_lt(b.fs->free, IMAGE_CLUSTERS / 10 * 4);
	bed_umount(&b);
	sim_settle(b.sim, true);
	b.how.rdonly = true;
	sim_set_rdonly(b.sim, true);
	ck_assert_int_eq(soft_layout(&l, eng_profile_find("512+8"),
				     sim_raw(b.sim)->size), 0);
	for (uint64_t zone = 0; zone < l.zones; zone += quick() ? 9 : 1) {
		uint64_t off = soft_zone_off(&l, zone);

		lose(&b, off, SOFT_PAGES);
		for (unsigned int i = 0; i < 2 * SOFT_SECTORS; i++)
			lose(&b, off + i * SOFT_SECTOR, SOFT_SECTOR);
	}
	bed_free(&b);
}
END_TEST

/* A distance of TFS_COPY_GAP means two zones, in every container. */
START_TEST(a_zone_is_smaller_than_the_gap)
{
	const struct eng_profile *p;
	struct soft_layout l;

	for (unsigned int i = 0; (p = eng_profile_at(i)); i++) {
		ck_assert_int_eq(soft_layout(&l, p, 1ull << 40), 0);
		ck_assert_uint_lt(l.zone_intervals / l.group, TFS_COPY_GAP);
	}
}
END_TEST

/* Where there is space, the copies are about half a device apart. */
START_TEST(copies_are_half_a_device_apart)
{
	struct tfs_miss *node;
	uint64_t quarter = IMAGE_CLUSTERS;
	size_t n, far = 0;
	struct bed b;

	make_image(&b, 4 * quarter, _i);
	n = fs_nodes(b.fs, &node);
	for (size_t i = 0; i < n; i++) {
		uint64_t x = node[i].ptr.addr[0], y = node[i].ptr.addr[1];
		uint64_t d = x > y ? x - y : y - x;

		far += d > quarter && d < 3 * quarter;
	}
	ck_assert_msg(far > n / 10 * 9, "%s: %zu of %zu", b.where, far, n);
	ck_assert_uint_eq(atomic_load(&b.fs->count.near_copies), 0);
	free(node);
	bed_free(&b);
}
END_TEST

/* ---- taking clusters behind everybody's back ------------------------------ */

/* Take what is free of [from, end), as if something lay there. */
static void grab(struct bed *b, uint64_t from, uint64_t end,
		 struct tfs_runs *list)
{
	struct tfs_miss none;

	pthread_rwlock_wrlock(&b->fs->tree);
	for (uint64_t at = from, n; at < end; at++) {
		n = 1;
		if (!tfs_alloc_claim(b->fs, at, &n, &none))
			ck_assert_int_eq(tfs_runs_add(list, at, 1), 0);
	}
	pthread_rwlock_unlock(&b->fs->tree);
}

static int let_go_fn(struct tfs_txn *tx, void *arg)
{
	const struct tfs_runs *list = arg;
	int err = 0;

	for (size_t i = 0; i < list->n && !err; i++)
		err = tfs_txn_free(tx, list->run[i].addr, list->run[i].len);
	return err;
}

static void let_go(struct bed *b, struct tfs_runs *list)
{
	ck_assert_int_eq(tfs_txn_write(b->fs, let_go_fn, list,
				       TFS_TXN_FREES), 0);
	tfs_runs_clear(list);
	ck_assert_int_eq(tfs_ckpt_run(b->fs), 0);
}

/* Copies come near each other where nothing else is free, which is counted,
 * and go apart again when there is space and somebody reads the node. */
START_TEST(near_copies_are_rewritten)
{
	struct tfs_runs list = { 0 };
	struct tfs_inode in;
	uint64_t reserve;
	struct bed b;

	bed_make(&b, "512+8", 4096, 1);
	bed_file(&b, "some");
	ck_assert_int_eq(tfs_ckpt_run(b.fs), 0);
	reserve = b.fs->reserve;
	b.fs->reserve = 0;
	grab(&b, 0, 1000, &list);
	grab(&b, 1060, b.fs->super.clusters, &list);
	bed_file(&b, "more");
	ck_assert_int_eq(tfs_ckpt_run(b.fs), 0);
	ck_assert_uint_gt(atomic_load(&b.fs->count.near_copies), 0);
	let_go(&b, &list);
	b.fs->reserve = reserve;
	bed_umount(&b);
	bed_mount(&b);
	ck_assert_int_eq(tfs_lookup(b.fs, TFS_ROOT_INO, "more", &in), 0);
	tfs_unref(b.fs, in.ino, 1);
	ck_assert_int_eq(tfs_ckpt_run(b.fs), 0);
	ck_assert_uint_eq(atomic_load(&b.fs->count.near_copies), 0);
	bed_check(&b, 0);
	bed_free(&b);
}
END_TEST

/* ---- healing -------------------------------------------------------------- */

/* Behind the device's back. */
static void spoil(struct bed *b, const struct tfs_miss *node,
		  unsigned int copies)
{
	for (unsigned int i = 0; i < 2; i++)
		if (copies >> i & 1)
			sim_flip(b->sim, bed_data_at(b, node->ptr.addr[i]) +
				 200, 1);
}

/* A tree of three levels, all of it on the disk, nothing in memory. */
static void make_deep(struct bed *b)
{
	struct tfs_inode in;
	uint8_t buf[900];
	char name[64];

	bed_make(b, "512+8", 16384, 1);
	for (unsigned int i = 0; i < IMAGE_FILES; i++) {
		make(b->fs, i);
		name_of(name, i);
		ck_assert_int_eq(tfs_lookup(b->fs, TFS_ROOT_INO, name, &in),
				 0);
		bed_fill(buf, sizeof(buf), i);
		ck_assert_int_eq(tfs_write(b->fs, in.ino, 0, buf, sizeof(buf),
					   0), 0);
		tfs_unref(b->fs, in.ino, 1);
	}
	bed_remount(b, 0);
	bed_umount(b);			/* the check has read it */
	bed_mount(b);
	ck_assert_uint_eq(b->fs->root_level, 2);
}

static void can_change(struct bed *b)
{
	bed_file(b, "after all that");
	ck_assert_int_eq(tfs_sync(b->fs), 0);
	ck_assert(!tfs_rdonly(b->fs));
}

/* Healing that finds no space waits for a checkpoint that does. */
START_TEST(healing_without_space_is_put_off)
{
	struct tfs_miss *node;
	uint64_t reserve;
	struct bed b;
	size_t n;

	make_deep(&b);
	n = fs_nodes(b.fs, &node);
	for (size_t i = 1; i < n; i++)
		spoil(&b, &node[i], 1);
	free(node);
	bed_umount(&b);			/* in memory all is well */
	bed_mount(&b);
	ck_assert_uint_eq(files_there(&b), IMAGE_FILES);
	ck_assert_uint_gt(tfs_ncache_heals(b.fs), 100);
	reserve = b.fs->reserve;
	b.fs->reserve = 8 * b.fs->free;
	ck_assert_int_eq(tfs_ckpt_force(b.fs, false), 0);
	ck_assert(!tfs_rdonly(b.fs));
	ck_assert_uint_gt(tfs_ncache_heals(b.fs), 100);
	b.fs->reserve = reserve;
	/* The first one finds more of them. */
	ck_assert_int_eq(tfs_ckpt_force(b.fs, false), 0);
	ck_assert_int_eq(tfs_ckpt_force(b.fs, false), 0);
	ck_assert_uint_eq(tfs_ncache_heals(b.fs), 0);
	can_change(&b);
	bed_free(&b);
}
END_TEST

/* An inner node is healed though what lies below it is lost. */
START_TEST(healing_does_not_look_further_down)
{
	struct tfs_miss *node;
	size_t n, last = 0;
	struct bed b;

	make_deep(&b);
	n = fs_nodes(b.fs, &node);
	for (size_t i = 0; i < n; i++)
		if (node[i].level == 1)
			last = i;
	spoil(&b, &node[last], 1);
	spoil(&b, &node[last + 1], 3);		/* its first child */
	free(node);
	bed_umount(&b);
	bed_mount(&b);
	ck_assert_uint_lt(files_there(&b), IMAGE_FILES);
	ck_assert_uint_eq(tfs_ncache_heals(b.fs), 1);
	ck_assert_int_eq(tfs_ckpt_force(b.fs, false), 0);
	ck_assert_uint_eq(tfs_ncache_heals(b.fs), 0);
	can_change(&b);
	bed_drop(&b);
	bed_free(&b);
}
END_TEST

/* ---- lost bitmaps ---------------------------------------------------------- */

#define REGIONS		16u

/* A file of 32 clusters, in that region if it can be. */
static uint32_t file_in(struct bed *b, const char *name, uint64_t region)
{
	uint8_t buf[32 * 4096];
	uint32_t ino = bed_file(b, name);

	pthread_rwlock_wrlock(&b->fs->tree);
	b->fs->freemap->data.at = region * TFS_REGION_BITS + 100;
	pthread_rwlock_unlock(&b->fs->tree);
	bed_fill(buf, sizeof(buf), ino);
	ck_assert_int_eq(tfs_write(b->fs, ino, 0, buf, sizeof(buf), 0), 0);
	return ino;
}

static void has_file(struct bed *b, const char *name)
{
	uint8_t buf[32 * 4096], want[32 * 4096];
	struct tfs_inode in;

	ck_assert_int_eq(tfs_lookup(b->fs, TFS_ROOT_INO, name, &in), 0);
	ck_assert_int_eq(tfs_read_sync(b->fs, in.ino, 0, buf, sizeof(buf)),
			 sizeof(buf));
	bed_fill(want, sizeof(want), in.ino);
	ck_assert(!memcmp(buf, want, sizeof(buf)));
	tfs_unref(b->fs, in.ino, 1);
}

/* Every region has an item, and a file in it. */
static void make_wide(struct bed *b)
{
	struct tfs_runs list = { 0 };
	char name[16];

	bed_make(b, "512+8", REGIONS * TFS_REGION_BITS, 1);
	for (unsigned int i = 1; i < REGIONS; i++)
		grab(b, i * TFS_REGION_BITS, i * TFS_REGION_BITS + 1, &list);
	let_go(b, &list);
	for (unsigned int i = 1; i < REGIONS; i++) {
		sprintf(name, "in%u", i);
		file_in(b, name, i);
	}
	bed_remount(b, 0);
	bed_umount(b);
	bed_mount(b);
}

/* A leaf that has nothing but bitmaps. */
static struct tfs_miss bitmap_leaf(struct bed *b)
{
	struct tfs_miss *node, leaf = { .level = 9 };
	size_t n = fs_nodes(b->fs, &node);

	for (size_t i = 0; i < n; i++)
		if (!node[i].level && !node[i].low.obj && !node[i].high.obj &&
		    node[i].low.type == TFS_T_REGION &&
		    node[i].high.type == TFS_T_REGION)
			leaf = node[i];
	free(node);
	ck_assert_uint_eq(leaf.level, 0);
	return leaf;
}

/* Its regions are in memory, and in use for nodes; the leaf is not. */
static struct tfs_miss use_and_forget(struct bed *b, uint64_t region)
{
	struct tfs_node *node;
	struct tfs_miss leaf;

	pthread_rwlock_wrlock(&b->fs->tree);
	b->fs->freemap->node.at = region * TFS_REGION_BITS + 200;
	pthread_rwlock_unlock(&b->fs->tree);
	for (unsigned int i = 0; i < 40; i++)
		make(b->fs, i);
	ck_assert_int_eq(tfs_ckpt_run(b->fs), 0);
	leaf = bitmap_leaf(b);
	pthread_rwlock_wrlock(&b->fs->tree);
	node = tfs_ncache_find(b->fs, &leaf.ptr);
	if (node)
		tfs_ncache_remove(b->fs, node);
	pthread_rwlock_unlock(&b->fs->tree);
	return leaf;
}

/* Both copies of a leaf of bitmaps are gone: what it described is full, and
 * everything else goes on. */
START_TEST(lost_bitmaps_cost_their_space_alone)
{
	struct tfs_miss leaf;
	char name[16];
	struct bed b;
	uint64_t first;

	make_wide(&b);
	leaf = bitmap_leaf(&b);
	first = leaf.low.off ? leaf.low.off : 1;
	if (_i)
		leaf = use_and_forget(&b, first);
	spoil(&b, &leaf, 3);
	if (!_i) {			/* the leaf is not in memory */
		bed_umount(&b);
		bed_mount(&b);
	}
	file_in(&b, "new", first);
	sprintf(name, "in%u", (unsigned int)first);
	ck_assert_int_eq(tfs_unlink(b.fs, TFS_ROOT_INO, name), 0);
	ck_assert_int_eq(tfs_sync(b.fs), 0);
	ck_assert_int_eq(tfs_ckpt_force(b.fs, false), 0);
	ck_assert(!tfs_rdonly(b.fs));
	ck_assert_uint_gt(atomic_load(&b.fs->count.regions_lost), 0);
	ck_assert_uint_gt(b.fs->freemap->unreachable, 0);
	has_file(&b, "new");
	bed_umount(&b);
	bed_mount(&b);
	has_file(&b, "new");
	file_in(&b, "newer", first);
	ck_assert_int_eq(tfs_unlink(b.fs, TFS_ROOT_INO, "new"), 0);
	for (unsigned int i = first + 1; i < REGIONS; i++) {
		sprintf(name, "in%u", i);
		has_file(&b, name);
	}
	can_change(&b);
	has_file(&b, "newer");
	bed_free(&b);
}
END_TEST

/* ---- memory --------------------------------------------------------------- */

static unsigned int failing;

static int no_memory_at_first(void **out, size_t align, size_t bytes)
{
	if (!failing)
		return posix_memalign(out, align, bytes);
	failing--;
	return ENOMEM;
}

/* Memory that comes back is waited for, where there is no way back. */
START_TEST(a_checkpoint_survives_a_shortage)
{
	struct eng_io *io[512];
	unsigned int n = 0;
	struct bed b;

	bed_make(&b, "512+8", 4096, 1);
	b.fs->log.on = false;		/* checkpoints alone, today */
	bed_file(&b, "some");
	eng_bufs_alloc = no_memory_at_first;
	failing = 1;			/* what is kept for use goes first */
	while ((io[n] = eng_io_get(b.dev, b.fs->ipc, 1)))
		n++;
	failing = 7;
	ck_assert_int_eq(tfs_ckpt_force(b.fs, false), 0);
	ck_assert_uint_eq(failing, 0);
	eng_bufs_alloc = posix_memalign;
	while (n)
		eng_io_put(io[--n]);
	ck_assert(!tfs_rdonly(b.fs));
	bed_check(&b, 0);
	bed_free(&b);
}
END_TEST

static Suite *space_suite(void)
{
	Suite *s = suite_create("space");
	TCase *tc = tcase_create("places");

	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, a_place_is_kept_while_it_is_read, 0, 2);
	tcase_add_loop_test(tc, one_bad_spot_costs_no_metadata, 0, 1);
	tcase_add_test(tc, near_copies_are_rewritten);
	tcase_add_test(tc, healing_without_space_is_put_off);
	tcase_add_test(tc, healing_does_not_look_further_down);
	tcase_add_loop_test(tc, lost_bitmaps_cost_their_space_alone, 0, 2);
	tcase_add_test(tc, a_checkpoint_survives_a_shortage);
	tcase_add_test(tc, a_zone_is_smaller_than_the_gap);
	tcase_add_loop_test(tc, copies_are_half_a_device_apart, 0, 4);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return bed_run_suite(space_suite());
}
