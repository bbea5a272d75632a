/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_full.c - a filesystem without free space keeps what it took, gives
 * back what it was given, and honours its promises. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commit/ckpt.h"
#include "file/extent.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "tree/alloc.h"
#include "tree/fetch.h"

#define FILES		4096u
#define SIZE_MAX_	(6u << 20)

static const char *const profiles[] = { "512+8", "4096+8" };

struct full {
	struct bed	bed;
	uint8_t		*buf;
	uint64_t	rand;
	/* What fills it: these are fill0, fill1, ... */
	uint32_t	ino[FILES];
	uint32_t	size[FILES];
	unsigned int	n;
};

#define OK(w, call) do {						\
	int64_t err_ = (call);						\
	ck_assert_msg(err_ >= 0, "%s: %s", (w)->bed.where,		\
		      strerror((int)-err_));				\
} while (0)

static uint64_t pick(struct full *w, uint64_t n)
{
	return sim_rand(&w->rand) % n;
}

static struct full *full_make(const char *profile, uint64_t clusters,
			      uint64_t seed)
{
	struct full *w = calloc(1, sizeof(*w));

	bed_make(&w->bed, profile, clusters, seed);
	w->rand = seed;
	w->buf = malloc(SIZE_MAX_);
	return w;
}

static void full_free(struct full *w)
{
	free(w->buf);
	bed_free(&w->bed);
	free(w);
}

static void filler_name(char *name, unsigned int i)
{
	sprintf(name, "fill%u", i);
}

/* Files until there is no space; what was acknowledged is recorded. */
static void fill_up(struct full *w, size_t max)
{
	struct tfs_new new = { .mode = S_IFREG | 0644 };
	struct tfs_inode in;
	char name[16];
	int err = 0;

	while (max && w->n < FILES) {
		size_t len = 1 + pick(w, max);

		filler_name(name, w->n);
		err = tfs_create(w->bed.fs, TFS_ROOT_INO, name, &new, &in);
		if (err)
			break;
		tfs_unref(w->bed.fs, in.ino, 1);
		w->ino[w->n] = in.ino;
		bed_fill(w->buf, len, in.ino);
		err = tfs_write(w->bed.fs, in.ino, 0, w->buf, len, 0);
		w->size[w->n++] = err ? 0 : len;
		ck_assert_msg(!err || err == -ENOSPC, "%s: %s", w->bed.where,
			      strerror(-err));
		if (err)
			max /= 2;
	}
	ck_assert_msg(!err || err == -ENOSPC, "%s: %s", w->bed.where,
		      strerror(-err));
}

static void is_there(struct full *w, uint32_t ino, size_t size)
{
	uint8_t *got = malloc(size + 1);

	ck_assert_int_eq(tfs_read_sync(w->bed.fs, ino, 0, got, size + 1),
			 (int64_t)size);
	bed_fill(w->buf, size, ino);
	ck_assert_msg(!memcmp(got, w->buf, size),
		      "%s: file %u of %zu bytes differs", w->bed.where, ino,
		      size);
	free(got);
}

static void filled_is_there(struct full *w)
{
	for (unsigned int i = 0; i < w->n; i++)
		if (w->ino[i])
			is_there(w, w->ino[i], w->size[i]);
}

static void remove_filled(struct full *w, unsigned int i)
{
	char name[16];
	int err;

	filler_name(name, i);
	err = tfs_unlink(w->bed.fs, TFS_ROOT_INO, name);
	ck_assert_msg(!err, "%s: unlink %u: %s", w->bed.where, i,
		      strerror(-err));
	w->ino[i] = 0;
}

static uint64_t space(struct full *w)
{
	struct statvfs st;

	OK(w, tfs_sync(w->bed.fs));
	OK(w, tfs_statvfs(w->bed.fs, &st));
	return st.f_bfree;
}

START_TEST(full_filesystem_keeps_and_gives_back)
{
	struct full *w;
	uint64_t before;

	w = full_make(profiles[_i % 2], 1024 + 512 * _i, _i);
	before = space(w);
	for (int round = 0; round < 2; round++) {
		w->n = 0;
		fill_up(w, _i % 2 ? 400000 : 100000);
		filled_is_there(w);
		bed_check(&w->bed, 0);
		bed_remount(&w->bed, 0);
		filled_is_there(w);
		/* Overwriting may fail, but not harm. */
		for (unsigned int i = 0; i < 20; i++) {
			unsigned int k = pick(w, w->n);
			int err;

			bed_fill(w->buf, w->size[k], w->ino[k]);
			err = tfs_write(w->bed.fs, w->ino[k], 0, w->buf,
					w->size[k], 0);
			ck_assert(!err || err == -ENOSPC);
		}
		for (unsigned int i = 0; i < w->n; i += 2)
			remove_filled(w, i);
		filled_is_there(w);
		bed_check(&w->bed, 0);
		for (unsigned int i = 1; i < w->n; i += 2)
			remove_filled(w, i);
		bed_remount(&w->bed, 0);
		ck_assert_msg(space(w) + 64 >= before, "%s: %llu clusters "
			      "free, %llu before", w->bed.where,
			      (unsigned long long)space(w),
			      (unsigned long long)before);
	}
	full_free(w);
}
END_TEST

/* On a full filesystem everything that makes space works. */
START_TEST(full_filesystem_can_be_cut)
{
	struct full *w;
	struct tfs_inode in;

	w = full_make(profiles[_i], 1024, _i);
	fill_up(w, _i ? 400000 : 100000);
	for (unsigned int i = 0; i < w->n; i += 3) {
		in.size = w->size[i] / 3;	/* in the middle of a cluster */
		OK(w, tfs_setattr(w->bed.fs, w->ino[i], TFS_SET_SIZE, &in));
		w->size[i] = in.size;
		if (i + 1 >= w->n || !w->size[i + 1])
			continue;
		OK(w, tfs_fallocate(w->bed.fs, w->ino[i + 1],
				     FALLOC_FL_PUNCH_HOLE |
				     FALLOC_FL_KEEP_SIZE, 0,
				     w->size[i + 1] + 70000));
		w->ino[i + 1] = 0;
	}
	filled_is_there(w);
	bed_remount(&w->bed, 0);
	filled_is_there(w);
	full_free(w);
}
END_TEST

struct claim {
	uint32_t	ino;
	struct tfs_extent ext;
};

static int claim_fn(struct tfs_txn *tx, void *arg)
{
	static const uint64_t no_proof[TFS_REGION_BITS];
	struct claim *c = arg;
	struct tfs_inode in;
	int err = tfs_inode_get(tx, c->ino, &in);

	if (!err)
		err = tfs_txn_born(tx, c->ext.addr, c->ext.len, no_proof);
	if (err)
		return err;
	in.clusters += c->ext.len;
	in.size = (c->ext.lc + c->ext.len) * 4096;
	c->ext.seq = tfs_txn_seq(tx);
	err = tfs_extent_map(tx, c->ino, &c->ext, false);
	return err ? err : tfs_inode_put(tx, &in);
}

/* Give it a region's worth of clusters, without writing them. */
static void claim(struct full *w, struct claim *c)
{
	struct tfs *fs = w->bed.fs;
	struct tfs_miss fault;
	int err;

	c->ext.lc += c->ext.len;
	for (;;) {
		pthread_rwlock_wrlock(&fs->tree);
		err = tfs_alloc_data(fs, TFS_REGION_BITS, &c->ext.addr,
				     &c->ext.len, &fault);
		pthread_rwlock_unlock(&fs->tree);
		if (err != TFS_MISS)
			break;
		OK(w, tfs_node_fetch(fs, &fault));
	}
	OK(w, err);
	OK(w, tfs_txn_write(fs, claim_fn, c, 0));
}

/* 256 GiB, nearly all of it one file, which frees something in every region:
 * more than the reserve could write about at once. */
START_TEST(huge_file_can_be_removed_from_a_full_filesystem)
{
	struct full *w;
	struct claim c = { 0 };
	struct tfs *fs;
	uint64_t before;

	w = full_make("512+8", 1ull << 26, 1);
	fs = w->bed.fs;
	before = space(w);
	c.ino = bed_file(&w->bed, "f0");
	while (fs->free > fs->reserve + TFS_REGION_BITS)
		claim(w, &c);
	OK(w, tfs_ckpt_run(fs));
	OK(w, tfs_unlink(fs, TFS_ROOT_INO, "f0"));
	OK(w, tfs_ckpt_run(fs));
	/* A region that is not wholly free has an item of its own. */
	ck_assert_uint_gt(space(w) + 10000, before);
	ck_assert_uint_lt(tfs_pool_clusters(fs), 10000);
	full_free(w);
}
END_TEST

/* What fallocate promised is there though others fill the rest. */
START_TEST(reservations_are_honoured)
{
	uint64_t csize, n, size;
	unsigned int chunk;
	struct full *w;
	uint32_t ino;
	uint8_t *data;

	w = full_make(profiles[_i % 2], 2048, _i);
	ino = bed_file(&w->bed, "promised");
	csize = tfs_cluster_size(w->bed.fs);
	size = 120 * csize;
	if (size > SIZE_MAX_)
		size = SIZE_MAX_ / csize * csize;
	chunk = _i / 2 ? csize : 16 * csize;
	OK(w, tfs_fallocate(w->bed.fs, ino, 0, 0, size));
	ck_assert_int_eq(tfs_fallocate(w->bed.fs, bed_file(&w->bed, "more"),
				       0, 0, 4096 * csize), -ENOSPC);
	fill_up(w, _i % 2 ? 400000 : 100000);
	bed_remount(&w->bed, 0);
	ck_assert_uint_eq(w->bed.fs->reserved, size / csize);
	/* Small ones eat what metadata may have. */
	fill_up(w, 1);
	data = malloc(size);
	bed_fill(data, size, ino);
	n = size / chunk;
	for (uint64_t i = 0; i < n; i++) {	/* 7 and n have no divisor */
		uint64_t off = i * (n % 7 ? 7 : 11) % n * chunk;
		int err = tfs_write(w->bed.fs, ino, off, data + off, chunk, 0);

		ck_assert_msg(!err, "%s: write %llu: %s", w->bed.where,
			      (unsigned long long)i, strerror(-err));
	}
	for (uint64_t at = n * chunk; at < size; at += chunk)
		OK(w, tfs_write(w->bed.fs, ino, at, data + at,
				size - at < chunk ? size - at : chunk, 0));
	is_there(w, ino, size);
	filled_is_there(w);
	ck_assert_uint_eq(w->bed.fs->reserved, 0);
	bed_remount(&w->bed, 0);
	is_there(w, ino, size);
	free(data);
	full_free(w);
}
END_TEST

static Suite *full_suite(void)
{
	Suite *s = suite_create("full");
	TCase *tc = tcase_create("full");

	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, full_filesystem_keeps_and_gives_back, 0, 4);
	tcase_add_loop_test(tc, full_filesystem_can_be_cut, 0, 2);
	tcase_add_loop_test(tc, reservations_are_honoured, 0, 4);
	tcase_add_test(tc, huge_file_can_be_removed_from_a_full_filesystem);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return bed_run_suite(full_suite());
}
