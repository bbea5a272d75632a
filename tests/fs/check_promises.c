/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_promises.c - what was promised is there, however short space and
 * memory are: reservations with the tree that filling them needs, and the
 * memory to give back what a failed write took. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commit/ckpt.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"

#define THREADS	4u
#define CHUNK	8u		/* clusters of one write, at most */

struct full {
	struct bed	bed;
	uint32_t	csize;
	uint32_t	ino;		/* of the file that has reservations */
	uint64_t	n;		/* its clusters */
	uint32_t	*order;		/* in which chunks are written */
	unsigned int	chunk;
	uint8_t		*buf;
	uint64_t	rand;
};

#define MUST(f, what) do {						\
	int64_t err_ = (what);						\
	ck_assert_msg(err_ >= 0, "%s: %s: %s", (f)->bed.where, #what,	\
		      strerror((int)-err_));				\
} while (0)

/* All of the space as one file, of which every second cluster goes again. */
static void scatter(struct full *f)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	uint32_t ino = bed_file(&f->bed, "stuff");
	uint64_t n = 0;

	while (!tfs_write(f->bed.fs, ino, n * f->csize, f->buf, f->csize, 0))
		n++;
	for (uint64_t i = 0; i < n; i += 2)
		MUST(f, tfs_fallocate(f->bed.fs, ino, mode, i * f->csize,
				      f->csize));
	MUST(f, tfs_ckpt_run(f->bed.fs));
}

/* As much as is given; then files until there is no room for a name. */
static void reserve_all(struct full *f)
{
	struct tfs_new new = { .mode = S_IFREG | 0644 };
	struct tfs_inode in;
	char name[32];
	int err = 0;

	for (uint64_t step = 4096; step; step /= 2)
		while (!tfs_fallocate(f->bed.fs, f->ino, 0, f->n * f->csize,
				      step * f->csize))
			f->n += step;
	f->n -= f->n % f->chunk;
	MUST(f, tfs_fallocate(f->bed.fs, f->ino, FALLOC_FL_PUNCH_HOLE |
			      FALLOC_FL_KEEP_SIZE, f->n * f->csize,
			      CHUNK * f->csize));
	for (unsigned int i = 0; !err; i++) {
		snprintf(name, sizeof(name), "%u", i);
		err = tfs_create(f->bed.fs, TFS_ROOT_INO, name, &new, &in);
		if (!err)
			tfs_unref(f->bed.fs, in.ino, 1);
	}
	ck_assert_int_eq(err, -ENOSPC);
}

static void shuffle(struct full *f)
{
	uint64_t n = f->n / f->chunk;

	f->order = calloc(n, sizeof(f->order[0]));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t j = sim_rand(&f->rand) % (i + 1);

		f->order[i] = f->order[j];
		f->order[j] = i;
	}
}

static void full_make(struct full *f, const char *profile, uint64_t clusters,
		      unsigned int chunk, uint64_t seed)
{
	*f = (struct full){ .rand = seed, .chunk = chunk };
	bed_make(&f->bed, profile, clusters, seed);
	f->csize = tfs_cluster_size(f->bed.fs);
	f->buf = calloc(CHUNK, f->csize);
	f->ino = bed_file(&f->bed, "reserved");
	scatter(f);
	reserve_all(f);
	ck_assert_msg(f->n > clusters / 4, "%s: only %llu clusters reserved",
		      f->bed.where, (unsigned long long)f->n);
	shuffle(f);
	bed_remount(&f->bed, 0);
	ck_assert_uint_eq(f->bed.fs->reserved, f->n);
}

static void content(struct full *f, uint64_t i, uint8_t *buf)
{
	bed_fill(buf, f->chunk * f->csize, i);
}

/* Chunk i of the order. */
static void fill_one(struct full *f, uint64_t i, uint8_t *buf)
{
	uint64_t at = f->order[i];
	int err;

	content(f, at, buf);
	err = tfs_write(f->bed.fs, f->ino, at * f->chunk * f->csize, buf,
			f->chunk * f->csize, 0);
	ck_assert_msg(!err, "%s: write %llu of %llu, %u clusters each: %s",
		      f->bed.where, (unsigned long long)i,
		      (unsigned long long)(f->n / f->chunk), f->chunk,
		      strerror(-err));
}

static void all_is_there(struct full *f)
{
	size_t size = f->chunk * f->csize;
	uint8_t *got = malloc(size);

	for (uint64_t i = 0; i < f->n / f->chunk; i++) {
		content(f, i, f->buf);
		ck_assert_int_eq(tfs_read_sync(f->bed.fs, f->ino, i * size,
					       got, size), size);
		ck_assert_msg(!memcmp(got, f->buf, size), "%s: chunk %llu",
			      f->bed.where, (unsigned long long)i);
	}
	free(got);
}

static void full_free(struct full *f)
{
	ck_assert_uint_eq(f->bed.fs->reserved, 0);
	all_is_there(f);
	bed_remount(&f->bed, 0);
	all_is_there(f);
	bed_free(&f->bed);
	free(f->order);
	free(f->buf);
}

static const struct { const char *profile; uint64_t clusters; } devices[] = {
	{ "512+8", 6000 }, { "4096+8", 3000 }, { "512+8", 12000 },
};

/* One extent per cluster, in any order, with a sync now and then, on a full
 * filesystem whose free clusters lie one by one. */
START_TEST(a_reservation_covers_the_tree_of_its_filling)
{
	static const unsigned int chunks[] = { 1, 3, CHUNK };
	struct full f;

	full_make(&f, devices[_i % 3].profile, devices[_i % 3].clusters,
		  chunks[_i / 3], _i);
	for (uint64_t i = 0; i < f.n / f.chunk; i++) {
		fill_one(&f, i, f.buf);
		if (i % 37 == 36)
			MUST(&f, tfs_sync(f.bed.fs));
		if (i % 500 == 499)
			bed_check(&f.bed, 0);
	}
	full_free(&f);
}
END_TEST

struct filler {
	struct full	*f;
	unsigned int	first;
	pthread_t	id;
};

static void *fill_some(void *arg)
{
	struct filler *fl = arg;
	struct full *f = fl->f;
	uint8_t *buf = malloc(f->chunk * f->csize);

	for (uint64_t i = fl->first; i < f->n / f->chunk; i += THREADS) {
		fill_one(f, i, buf);
		if (i % 67 == 66)
			MUST(f, tfs_sync(f->bed.fs));
	}
	free(buf);
	return NULL;
}

/* What others hold for a moment is no reason to refuse. */
START_TEST(reservations_are_honoured_side_by_side)
{
	struct filler fl[THREADS];
	struct full f;

	full_make(&f, "512+8", 4000, 1 + _i, _i);
	bed_umount(&f.bed);
	bed_threads(&f.bed, 2);
	bed_mount(&f.bed);
	for (unsigned int i = 0; i < THREADS; i++) {
		fl[i] = (struct filler){ .f = &f, .first = i };
		pthread_create(&fl[i].id, NULL, fill_some, &fl[i]);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(fl[i].id, NULL);
	full_free(&f);
}
END_TEST

/* ---- memory --------------------------------------------------------------- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* All lists that grow do it by this. */
void *__libc_realloc(void *p, size_t size);
static bool no_memory;

void *realloc(void *p, size_t size)
{
	return no_memory ? NULL : __libc_realloc(p, size);
}

void *__libc_calloc(size_t n, size_t size);
static int fail_calloc;			/* the one to fail, counted down */

void *calloc(size_t n, size_t size)
{
	if (fail_calloc && !--fail_calloc)
		return NULL;
	return __libc_calloc(n, size);
}

static void take_memory(void *arg, uint64_t off, uint64_t len)
{
	(void)arg;
	(void)off;
	(void)len;
	no_memory = true;
}

/* Writes fail and memory is gone: no cluster is lost. */
START_TEST(giving_back_needs_no_memory)
{
	struct bed b;
	uint8_t *buf = calloc(1, 1 << 20);
	uint32_t ino;
	int err;

	bed_make(&b, "512+8", 4096, _i);
	ino = bed_file(&b, "f");
	bed_remount(&b, 0);
	sim_fault(b.sim, SIM_WRITE_FAIL, 0, UINT64_MAX / 2, -EIO, _i % 3,
		  _i / 3);
	sim_on_write(b.sim, take_memory, NULL);
	err = tfs_write(b.fs, ino, 5000, buf, 1 << 20, 0);
	sim_on_write(b.sim, NULL, NULL);
	sim_clear_faults(b.sim);
	no_memory = false;
	ck_assert_msg(err, "case %d: it had memory", _i);
	ck_assert(!tfs_rdonly(b.fs));
	bed_check(&b, 0);
	ck_assert_int_eq(tfs_write(b.fs, ino, 5000, buf, 1 << 20, 0), 0);
	bed_remount(&b, 0);
	bed_free(&b);
	free(buf);
}
END_TEST

static int no_entry(void *arg, const struct tfs_dirent *de)
{
	(void)arg;
	(void)de;
	return 0;
}

/* One call with the _i-th allocation missing: an error of that call, and
 * nothing waits. */
START_TEST(a_call_without_memory_is_an_error)
{
	struct tfs_new new = { .mode = S_IFREG | 0644 };
	struct tfs_inode in = { .ino = 0 };
	struct bed b;
	uint32_t ino;
	int err[5];

	bed_make(&b, "512+8", 4096, 1);
	ino = bed_file(&b, "f");
	bed_remount(&b, 0);
	fail_calloc = 1 + _i;
	err[0] = tfs_lookup(b.fs, TFS_ROOT_INO, "f", &in);
	fail_calloc = 1 + _i;
	err[1] = tfs_create(b.fs, TFS_ROOT_INO, "g", &new, &in);
	fail_calloc = 1 + _i;
	err[2] = tfs_write(b.fs, ino, 0, "x", 1, 0);
	fail_calloc = 1 + _i;
	err[3] = tfs_readdir(b.fs, TFS_ROOT_INO, 0, true, no_entry, NULL);
	fail_calloc = 1 + _i;
	err[4] = tfs_fallocate(b.fs, ino, 0, 0, 100000);
	fail_calloc = 0;
	for (int i = 0; i < 5; i++) {
		ck_assert_msg(!err[i] || err[i] == -ENOMEM, "call %d: %s", i,
			      strerror(-err[i]));
		ck_assert_msg(_i || err[i], "call %d had memory", i);
	}
	ck_assert(!tfs_rdonly(b.fs));
	ck_assert_int_eq(tfs_write(b.fs, ino, 0, "x", 1, 0), 0);
	bed_remount(&b, 0);
	bed_free(&b);
}
END_TEST
#endif

static Suite *promises_suite(void)
{
	Suite *s = suite_create("promises");
	TCase *tc = tcase_create("promises");

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, a_reservation_covers_the_tree_of_its_filling,
			    0, 9);
	tcase_add_loop_test(tc, reservations_are_honoured_side_by_side, 0, 2);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	tcase_add_loop_test(tc, giving_back_needs_no_memory, 0, 9);
	tcase_add_loop_test(tc, a_call_without_memory_is_an_error, 0, 4);
#endif
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return bed_run_suite(promises_suite());
}
