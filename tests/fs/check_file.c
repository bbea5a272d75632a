/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_file.c - what the content of files promises.
 *
 * The model of a file is its bytes.  Holes are not in it: whatever
 * SEEK_HOLE says is one must be zeros there. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commit/ckpt.h"
#include "file/inode.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"

#define FILES		3u
#define SIZE_MAX_	(6u << 20)
#define WRITE_MAX	(3u << 20)

static const char *const profiles[] = { "512+8", "4096+8" };

struct file {
	uint32_t	ino;
	uint8_t		*data;		/* zeros from size on */
	uint64_t	size;
};

struct work {
	struct bed	bed;
	struct file	file[FILES];
	uint8_t		*buf;
	uint64_t	rand;
	unsigned int	step;
	char		what[128];	/* the step */
};

static uint64_t pick(struct work *w, uint64_t n)
{
	return sim_rand(&w->rand) % n;
}

#define OK(w, call) do {						\
	int64_t err_ = (call);						\
	ck_assert_msg(err_ >= 0, "%s, step %u: %s: %s", (w)->bed.where,	\
		      (w)->step, (w)->what, strerror((int)-err_));	\
} while (0)

/* ---- model --------------------------------------------------------------- */

/* Small as often as large, and often at the edges of something. */
static uint64_t random_off(struct work *w, uint64_t max)
{
	static const uint32_t edge[] = { 512, 1024, 4096, 32768 };
	uint64_t off = pick(w, 1ull << (1 + pick(w, 23)));
	uint32_t e = edge[pick(w, 4)];

	if (!pick(w, 3))
		off = off / e * e;
	else if (!pick(w, 4))
		off = off / e * e + e - 1;
	return off < max ? off : max - 1;
}

static void compare(struct work *w, struct file *f, uint64_t off, size_t len)
{
	uint64_t want = off >= f->size ? 0 : f->size - off;
	ssize_t n;
	size_t i = 0;

	if (want > len)
		want = len;
	memset(w->buf, 0xa5, len);
	n = tfs_read_sync(w->bed.fs, f->ino, off, w->buf, len);
	OK(w, n);
	ck_assert_msg((uint64_t)n == want, "%s, step %u: %s: read %llu+%zu: "
		      "%zd bytes instead of %llu", w->bed.where, w->step,
		      w->what, (unsigned long long)off, len, n,
		      (unsigned long long)want);
	while (i < want && w->buf[i] == f->data[off + i])
		i++;
	ck_assert_msg(i == want, "%s, step %u: %s: read %llu+%zu: wrong byte "
		      "at %llu: %02x, not %02x", w->bed.where, w->step,
		      w->what, (unsigned long long)off, len,
		      (unsigned long long)(off + i), w->buf[i],
		      f->data[off + i]);
}

/* Data and holes alternate to the end, and holes are zeros. */
static void compare_holes(struct work *w, struct file *f)
{
	uint64_t at = 0;

	while (at < f->size) {
		int64_t data = tfs_lseek(w->bed.fs, f->ino, at, SEEK_DATA);
		uint64_t stop = data < 0 ? f->size : (uint64_t)data;
		int64_t hole;

		ck_assert_msg(data == -ENXIO || data >= (int64_t)at,
			      "%s, step %u: %s: SEEK_DATA", w->bed.where,
			      w->step, w->what);
		while (at < stop && !f->data[at])
			at++;
		ck_assert_msg(at == stop, "%s, step %u: %s: byte %llu is in a "
			      "hole", w->bed.where, w->step, w->what,
			      (unsigned long long)at);
		if (at == f->size)
			break;
		hole = tfs_lseek(w->bed.fs, f->ino, at, SEEK_HOLE);
		ck_assert_msg(hole > (int64_t)at && hole <= (int64_t)f->size,
			      "%s, step %u: %s: SEEK_HOLE", w->bed.where,
			      w->step, w->what);
		at = hole;
	}
	ck_assert_int_eq(tfs_lseek(w->bed.fs, f->ino, f->size, SEEK_DATA),
			 -ENXIO);
	ck_assert_int_eq(tfs_lseek(w->bed.fs, f->ino, f->size, SEEK_HOLE),
			 -ENXIO);
}

static void compare_all(struct work *w)
{
	struct tfs_inode in;

	for (unsigned int i = 0; i < FILES; i++) {
		struct file *f = &w->file[i];

		OK(w, tfs_getattr(w->bed.fs, f->ino, &in));
		ck_assert_msg(in.size == f->size, "%s, step %u: %s: size %llu",
			      w->bed.where, w->step, w->what,
			      (unsigned long long)in.size);
		compare(w, f, 0, SIZE_MAX_);
		compare_holes(w, f);
	}
}

/* ---- operations ---------------------------------------------------------- */

static void say(struct work *w, const char *op, unsigned int file,
		uint64_t off, uint64_t len)
{
	snprintf(w->what, sizeof(w->what), "%s file %u %llu+%llu", op, file,
		 (unsigned long long)off, (unsigned long long)len);
	if (getenv("CHECK_STEPS"))
		fprintf(stderr, "%u: %s\n", w->step, w->what);
}

static void do_write(struct work *w, unsigned int i)
{
	struct file *f = &w->file[i];
	uint64_t off = random_off(w, SIZE_MAX_), len;

	len = 1 + random_off(w, pick(w, 8) ? 70000 : WRITE_MAX);
	if (off + len > SIZE_MAX_)
		len = SIZE_MAX_ - off;
	say(w, "write", i, off, len);
	bed_fill(w->buf, len, sim_rand(&w->rand));
	OK(w, tfs_write(w->bed.fs, f->ino, off, w->buf, len, 0));
	memcpy(f->data + off, w->buf, len);
	if (f->size < off + len)
		f->size = off + len;
}

static void do_truncate(struct work *w, unsigned int i)
{
	struct file *f = &w->file[i];
	struct tfs_inode in = { .size = pick(w, 4) ?
		random_off(w, f->size + 1 + pick(w, 100000)) : 0 };

	if (in.size > SIZE_MAX_)
		in.size = SIZE_MAX_;
	say(w, "truncate", i, in.size, 0);
	OK(w, tfs_setattr(w->bed.fs, f->ino, TFS_SET_SIZE, &in));
	if (in.size < f->size)
		memset(f->data + in.size, 0, f->size - in.size);
	f->size = in.size;
}

static void do_fallocate(struct work *w, unsigned int i)
{
	static const int modes[] = {
		0, FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
	};
	struct file *f = &w->file[i];
	unsigned int m = pick(w, 5);
	uint64_t off = random_off(w, SIZE_MAX_);
	uint64_t len = 1 + random_off(w, 300000), zero;

	if (off + len > SIZE_MAX_)
		len = SIZE_MAX_ - off;
	say(w, m < 2 ? "reserve" : m == 2 ? "punch" : "zero", i, off, len);
	OK(w, tfs_fallocate(w->bed.fs, f->ino, modes[m], off, len));
	zero = off + len < f->size ? off + len : f->size;
	if (m >= 2 && off < zero)
		memset(f->data + off, 0, zero - off);
	if (!(modes[m] & FALLOC_FL_KEEP_SIZE) && f->size < off + len)
		f->size = off + len;
}

static void do_remake(struct work *w, unsigned int i)
{
	struct file *f = &w->file[i];
	char name[16];

	say(w, "remake", i, 0, 0);
	snprintf(name, sizeof(name), "f%u", i);
	OK(w, tfs_unlink(w->bed.fs, TFS_ROOT_INO, name));
	memset(f->data, 0, f->size);
	f->size = 0;
	f->ino = bed_file(&w->bed, name);
}

static void random_step(struct work *w)
{
	unsigned int i = pick(w, FILES);
	struct file *f = &w->file[i];

	switch (pick(w, 16)) {
	case 0 ... 5:
		do_write(w, i);
		break;
	case 6 ... 7:
		do_truncate(w, i);
		break;
	case 8 ... 9:
		do_fallocate(w, i);
		break;
	case 10:
		say(w, "sync", i, 0, 0);
		OK(w, tfs_fsync(w->bed.fs, f->ino, false));
		break;
	case 11:
		if (!pick(w, 4))
			do_remake(w, i);
		break;
	default:
		compare(w, f, random_off(w, SIZE_MAX_),
			1 + random_off(w, 200000));
	}
}

static void work_make(struct work *w, const char *profile, uint64_t clusters,
		      uint64_t seed)
{
	char name[16];

	memset(w, 0, sizeof(*w));
	bed_make(&w->bed, profile, clusters, seed);
	w->rand = seed;
	w->buf = malloc(SIZE_MAX_);
	for (unsigned int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		w->file[i].ino = bed_file(&w->bed, name);
		w->file[i].data = calloc(1, SIZE_MAX_);
	}
}

static void work_free(struct work *w)
{
	for (unsigned int i = 0; i < FILES; i++)
		free(w->file[i].data);
	free(w->buf);
	bed_free(&w->bed);
}

/* ---- one thread ---------------------------------------------------------- */

/* Reads give what was last written, whatever the changes were. */
START_TEST(content_is_what_was_written)
{
	struct work w;

	work_make(&w, profiles[_i % 2], _i % 2 ? 2048 : 16384, _i);
	for (w.step = 0; w.step < 400; w.step++) {
		random_step(&w);
		if (w.step % 100 == 99) {
			compare_all(&w);
			bed_remount(&w.bed, 0);
			compare_all(&w);
		}
	}
	work_free(&w);
}
END_TEST

static uint64_t clusters_of(struct work *w)
{
	struct tfs_inode in;

	OK(w, tfs_getattr(w->bed.fs, w->file[0].ino, &in));
	return in.clusters;
}

/* Around the largest inline size, in both directions. */
START_TEST(small_files_move_out_of_the_tree)
{
	struct work w;
	struct file *f = &w.file[0];
	struct tfs_inode in;

	work_make(&w, profiles[_i], 2048, _i);
	f->size = TFS_INLINE_MAX;
	bed_fill(f->data, f->size, 1);
	for (unsigned int i = 0; i < TFS_INLINE_MAX; i += 256)
		OK(&w, tfs_write(w.bed.fs, f->ino, i, f->data + i, 256, 0));
	ck_assert_uint_eq(clusters_of(&w), 0);
	compare_all(&w);
	f->data[f->size] = 7;
	OK(&w, tfs_write(w.bed.fs, f->ino, f->size, "\7", 1, 0));
	f->size++;
	ck_assert_uint_eq(clusters_of(&w), 1);
	compare_all(&w);
	bed_remount(&w.bed, 0);
	compare_all(&w);
	/* Emptied, it starts over; grown, its bytes are zeros. */
	in.size = 0;
	OK(&w, tfs_setattr(w.bed.fs, f->ino, TFS_SET_SIZE, &in));
	memset(f->data, 0, f->size);
	OK(&w, tfs_write(w.bed.fs, f->ino, 10, "x", 1, 0));
	ck_assert_uint_eq(clusters_of(&w), 0);
	f->data[10] = 'x';
	f->size = 11;
	in.size = 5;
	OK(&w, tfs_setattr(w.bed.fs, f->ino, TFS_SET_SIZE, &in));
	in.size = 100000;
	OK(&w, tfs_setattr(w.bed.fs, f->ino, TFS_SET_SIZE, &in));
	f->size = 100000;
	f->data[10] = 0;
	compare_all(&w);
	/* Inline, and then something far away. */
	in.size = 0;
	OK(&w, tfs_setattr(w.bed.fs, f->ino, TFS_SET_SIZE, &in));
	OK(&w, tfs_write(w.bed.fs, f->ino, 0, "inline", 6, 0));
	OK(&w, tfs_write(w.bed.fs, f->ino, 99999, "y", 1, 0));
	memcpy(f->data, "inline", 6);
	f->data[99999] = 'y';
	compare_all(&w);
	bed_remount(&w.bed, 0);
	compare_all(&w);
	work_free(&w);
}
END_TEST

START_TEST(sparse_files_reach_far)
{
	struct work w;
	uint32_t ino;
	uint64_t csize, end, at[4];
	struct tfs_inode in;
	char c;

	work_make(&w, profiles[_i], 2048, _i);
	ino = w.file[0].ino;
	csize = tfs_cluster_size(w.bed.fs);
	end = TFS_FILE_CLUSTERS * csize;
	at[0] = 5;
	at[1] = 1ull << 33;
	at[2] = end / 2 - 1;
	at[3] = end - 1;
	for (int i = 0; i < 4; i++)
		OK(&w, tfs_write(w.bed.fs, ino, at[i], &"abcd"[i], 1, 0));
	ck_assert_int_eq(tfs_write(w.bed.fs, ino, end, "x", 1, 0), -EFBIG);
	ck_assert_int_eq(tfs_write(w.bed.fs, ino, end - 1, "xy", 2, 0),
			 -EFBIG);
	ck_assert_int_eq(tfs_write(w.bed.fs, ino, UINT64_MAX, "xy", 2, 0),
			 -EFBIG);
	bed_remount(&w.bed, 0);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(tfs_read_sync(w.bed.fs, ino, at[i], &c, 1),
				 1);
		ck_assert_int_eq(c, "abcd"[i]);
		ck_assert_int_eq(tfs_lseek(w.bed.fs, ino, i ? at[i - 1] /
					   csize * csize + csize : 0,
					   SEEK_DATA), at[i] / csize * csize);
	}
	ck_assert_uint_eq(clusters_of(&w), 4);
	in.size = end;
	OK(&w, tfs_setattr(w.bed.fs, ino, TFS_SET_SIZE, &in));
	in.size = end + 1;
	ck_assert_int_eq(tfs_setattr(w.bed.fs, ino, TFS_SET_SIZE, &in),
			 -EFBIG);
	in.size = 6;
	OK(&w, tfs_setattr(w.bed.fs, ino, TFS_SET_SIZE, &in));
	ck_assert_uint_eq(clusters_of(&w), 1);
	bed_remount(&w.bed, 0);
	work_free(&w);
}
END_TEST

START_TEST(holes_are_where_nothing_was_written)
{
	struct work w;
	struct tfs *fs;
	uint32_t ino;
	int64_t c;

	work_make(&w, profiles[_i], 2048, _i);
	fs = w.bed.fs;
	ino = w.file[0].ino;
	c = tfs_cluster_size(fs);
	OK(&w, tfs_write(fs, ino, 2 * c, w.buf, 3 * c, 0));
	OK(&w, tfs_fallocate(fs, ino, 0, 6 * c, 2 * c));
	ck_assert_int_eq(tfs_lseek(fs, ino, 0, SEEK_DATA), 2 * c);
	ck_assert_int_eq(tfs_lseek(fs, ino, 0, SEEK_HOLE), 0);
	ck_assert_int_eq(tfs_lseek(fs, ino, 3 * c + 1, SEEK_DATA), 3 * c + 1);
	ck_assert_int_eq(tfs_lseek(fs, ino, 3 * c, SEEK_HOLE), 5 * c);
	ck_assert_int_eq(tfs_lseek(fs, ino, 5 * c, SEEK_DATA), -ENXIO);
	ck_assert_uint_eq(clusters_of(&w), 5);
	OK(&w, tfs_fallocate(fs, ino, FALLOC_FL_PUNCH_HOLE |
			     FALLOC_FL_KEEP_SIZE, 3 * c - 1, c + 2));
	ck_assert_int_eq(tfs_lseek(fs, ino, 2 * c, SEEK_HOLE), 3 * c);
	ck_assert_int_eq(tfs_lseek(fs, ino, 3 * c, SEEK_DATA), 4 * c);
	ck_assert_uint_eq(clusters_of(&w), 4);
	/* Reserved and then written, in the middle. */
	OK(&w, tfs_write(fs, ino, 7 * c - 1, "ab", 2, 0));
	ck_assert_uint_eq(clusters_of(&w), 4);
	ck_assert_int_eq(tfs_lseek(fs, ino, 5 * c, SEEK_DATA), 6 * c);
	ck_assert_uint_eq(fs->reserved, 0);
	ck_assert_int_eq(tfs_fallocate(fs, ino, FALLOC_FL_PUNCH_HOLE, 0, c),
			 -EOPNOTSUPP);
	ck_assert_int_eq(tfs_fallocate(fs, ino, FALLOC_FL_COLLAPSE_RANGE, 0,
				       c), -EOPNOTSUPP);
	ck_assert_int_eq(tfs_fallocate(fs, ino, 0, 0, 0), -EINVAL);
	bed_remount(&w.bed, 0);
	work_free(&w);
}
END_TEST

/* What is past the end never comes back. */
START_TEST(shrunk_and_grown_is_zeros)
{
	struct work w;
	struct file *f = &w.file[0];
	struct tfs_inode in;

	work_make(&w, profiles[_i % 2], 2048, _i);
	f->size = 300000;
	bed_fill(f->data, f->size, 3);
	OK(&w, tfs_write(w.bed.fs, f->ino, 0, f->data, f->size, 0));
	for (in.size = 299999; in.size; in.size /= 3) {
		uint64_t to = in.size;

		OK(&w, tfs_setattr(w.bed.fs, f->ino, TFS_SET_SIZE, &in));
		memset(f->data + to, 0, 300000 - to);
		if (_i / 2)
			bed_remount(&w.bed, 0);
		in.size = 300000;
		OK(&w, tfs_setattr(w.bed.fs, f->ino, TFS_SET_SIZE, &in));
		compare_all(&w);
		in.size = to;
	}
	work_free(&w);
}
END_TEST

/* ---- a truncate in steps ------------------------------------------------- */

#define EXTENTS	300u

static int half_cut_fn(struct tfs_txn *tx, void *arg)
{
	uint32_t ino = *(uint32_t *)arg;
	struct tfs_inode in;
	int err = tfs_inode_get(tx, ino, &in);

	if (err)
		return err;
	in.size = 10;
	in.flags = TFS_INODE_CUT;
	err = tfs_txn_put(tx, tfs_key(0, TFS_T_ORPHAN, ino), NULL, 0);
	return err ? err : tfs_inode_put(tx, &in);
}

static void write_every_other(struct work *w)
{
	uint64_t c = tfs_cluster_size(w->bed.fs);

	for (unsigned int i = 0; i < EXTENTS; i++)
		OK(w, tfs_write(w->bed.fs, w->file[0].ino, 2 * i * c, "data",
				4, 0));
}

START_TEST(truncate_of_many_extents_is_whole)
{
	struct work w;
	struct tfs_inode in = { .size = 0 };

	work_make(&w, "512+8", 4096, _i);
	write_every_other(&w);
	ck_assert_uint_eq(clusters_of(&w), EXTENTS);
	in.size = _i ? 3 : 0;
	OK(&w, tfs_setattr(w.bed.fs, w.file[0].ino, TFS_SET_SIZE, &in));
	ck_assert_uint_eq(clusters_of(&w), _i ? 1 : 0);
	bed_remount(&w.bed, 0);
	work_free(&w);
}
END_TEST

/* The power went between two steps: the mount does the rest. */
START_TEST(mount_finishes_a_truncate)
{
	struct work w;
	struct tfs_inode in;
	char buf[100] = { 0 }, zero[100] = { 0 };

	work_make(&w, "512+8", 4096, _i);
	write_every_other(&w);
	OK(&w, tfs_txn_write(w.bed.fs, half_cut_fn, &w.file[0].ino, 0));
	bed_remount(&w.bed, 0);
	ck_assert_uint_eq(clusters_of(&w), 1);
	in.size = 1 << 20;
	OK(&w, tfs_setattr(w.bed.fs, w.file[0].ino, TFS_SET_SIZE, &in));
	ck_assert_int_eq(tfs_read_sync(w.bed.fs, w.file[0].ino,
				       2 * tfs_cluster_size(w.bed.fs), buf,
				       100), 100);
	ck_assert_mem_eq(buf, zero, 100);
	work_free(&w);
}
END_TEST

/* ---- threads ------------------------------------------------------------- */

#define THREADS	4u

struct thread {
	struct bed	*bed;
	uint32_t	ino;
	uint64_t	seed;
	uint64_t	first, stride;	/* bytes first, first + stride, ... */
	size_t		most;		/* bytes from there that are its own */
	uint64_t	size;
	uint8_t		*data;
	unsigned int	rounds;
	atomic_bool	*stop;
	pthread_t	id;
};

/* Writes of its own bytes, between those of others. */
static void *write_own(void *arg)
{
	struct thread *t = arg;
	uint8_t buf[5000], got[5000];
	uint64_t rand = t->seed;

	for (unsigned int i = 0; i < t->rounds; i++) {
		uint64_t at = t->first + t->stride *
			(sim_rand(&rand) % (t->size / t->stride));
		size_t len = 1 + sim_rand(&rand) % t->most;

		bed_fill(buf, len, sim_rand(&rand));
		ck_assert_int_eq(tfs_write(t->bed->fs, t->ino, at, buf, len,
					   0), 0);
		memcpy(t->data + at, buf, len);
		ck_assert_int_eq(tfs_read_sync(t->bed->fs, t->ino, at, got,
					       len), len);
		ck_assert_mem_eq(got, buf, len);
	}
	return NULL;
}

static void *sync_all(void *arg)
{
	struct thread *t = arg;

	while (!atomic_load(t->stop)) {
		ck_assert_int_eq(tfs_sync(t->bed->fs), 0);
		usleep(500);
	}
	return NULL;
}

/* Whatever it reads is verified; which version it is can't be known. */
static void *read_any(void *arg)
{
	struct thread *t = arg;
	uint64_t rand = t->seed;
	uint8_t *buf = malloc(200000);

	while (!atomic_load(t->stop))
		ck_assert_int_ge(tfs_read_sync(t->bed->fs, t->ino,
					       sim_rand(&rand) % t->size, buf,
					       1 + sim_rand(&rand) % 200000),
				 0);
	free(buf);
	return NULL;
}

/* _i & 1: all in one file, sharing clusters. */
START_TEST(threads_do_not_disturb_each_other)
{
	struct work w;
	struct thread t[THREADS + 2];
	atomic_bool stop = false;
	unsigned int rounds = 150;

	work_make(&w, profiles[_i / 2], 4096, _i);
	for (unsigned int i = 0; i < THREADS + 2; i++)
		t[i] = (struct thread){
			.bed = &w.bed, .seed = i, .first = 0,
			.stride = 1000 + 1500 * i, .most = 5000,
			.size = 1000000, .rounds = rounds, .stop = &stop,
		};
	for (unsigned int i = 0; i < THREADS; i++) {
		char name[16];

		sprintf(name, "t%u", i);
		t[i].ino = i && _i % 2 ? t[0].ino : bed_file(&w.bed, name);
		t[i].data = i && _i % 2 ? t[0].data :
			calloc(1, t[i].size + 10000);
		if (_i % 2) {
			t[i].first = 1700 * i;
			t[i].stride = 1700 * THREADS;
			t[i].most = 1700;
		}
	}
	bed_umount(&w.bed);
	bed_threads(&w.bed, 2);
	bed_mount(&w.bed);
	t[THREADS + 1].ino = t[0].ino;
	for (unsigned int i = 0; i < THREADS + 2; i++)
		pthread_create(&t[i].id, NULL, i < THREADS ? write_own :
			       i == THREADS ? sync_all : read_any, &t[i]);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(t[i].id, NULL);
	atomic_store(&stop, true);
	pthread_join(t[THREADS].id, NULL);
	pthread_join(t[THREADS + 1].id, NULL);
	bed_remount(&w.bed, 0);
	for (unsigned int i = 0; i < (_i % 2 ? 1 : THREADS); i++) {
		ssize_t n = tfs_read_sync(w.bed.fs, t[i].ino, 0, w.buf,
					  SIZE_MAX_);

		ck_assert_int_gt(n, 0);
		ck_assert_mem_eq(w.buf, t[i].data, n);
		free(t[i].data);
	}
	work_free(&w);
}
END_TEST

static pthread_barrier_t barrier;

struct racer {
	struct bed	*bed;
	const uint32_t	*ino;
	uint64_t	off;
	unsigned int	rounds;
};

static void *race_once(void *arg)
{
	struct racer *r = arg;

	for (unsigned int i = 0; i < r->rounds; i++) {
		pthread_barrier_wait(&barrier);
		ck_assert_int_eq(tfs_write(r->bed->fs, r->ino[i], r->off,
					   "race", 4, 0), 0);
	}
	return NULL;
}

/* The first writes to a file, one small at its start, the other far off:
 * content is inline or in clusters, and nothing is lost. */
START_TEST(first_writes_may_race)
{
	enum { ROUNDS = 400 };
	static uint32_t ino[ROUNDS];
	struct racer r[3];
	pthread_t t[3];
	struct bed bed;
	char name[16], buf[4];

	bed_make(&bed, "512+8", 8192, 1);
	bed_umount(&bed);
	bed_threads(&bed, 2);
	bed_mount(&bed);
	for (int i = 0; i < ROUNDS; i++) {
		sprintf(name, "%d", i);
		ino[i] = bed_file(&bed, name);
	}
	pthread_barrier_init(&barrier, NULL, 3);
	for (int i = 0; i < 3; i++) {
		r[i] = (struct racer){ &bed, ino, i < 2 ? i * 500 : 9000,
				       ROUNDS };
		pthread_create(&t[i], NULL, race_once, &r[i]);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	bed_remount(&bed, 0);
	for (int i = 0; i < ROUNDS; i++) {
		for (int k = 0; k < 3; k++) {
			ck_assert_int_eq(tfs_read_sync(bed.fs, ino[i],
						       r[k].off, buf, 4), 4);
			ck_assert_msg(!memcmp(buf, "race", 4),
				      "file %d: the write at %llu is lost", i,
				      (unsigned long long)r[k].off);
		}
	}
	pthread_barrier_destroy(&barrier);
	bed_free(&bed);
}
END_TEST

/* ---- a device that fails ------------------------------------------------- */

/* A failed write is repeated elsewhere. */
START_TEST(failed_writes_go_elsewhere)
{
	struct work w;
	struct file *f = &w.file[0];

	work_make(&w, "512+8", 4096, _i);
	f->size = 100000;
	bed_fill(f->data, f->size, 1);
	sim_fault(w.bed.sim, SIM_WRITE_FAIL, 0, UINT64_MAX / 2, -EIO, 0, 1);
	OK(&w, tfs_write(w.bed.fs, f->ino, 0, f->data, f->size, 0));
	ck_assert_uint_eq(sim_faults_hit(w.bed.sim), 1);
	sim_clear_faults(w.bed.sim);
	compare_all(&w);
	bed_remount(&w.bed, 0);
	compare_all(&w);
	work_free(&w);
}
END_TEST

/* A failed flush makes it read-only, whichever it is; what was durable before
 * remains.  The first one of a checkpoint makes its commit durable. */
START_TEST(failed_flush_is_final)
{
	struct work w;
	struct file *f = &w.file[0];

	work_make(&w, "512+8", 4096, _i);
	f->size = 5000;
	bed_fill(f->data, f->size, 1);
	OK(&w, tfs_write(w.bed.fs, f->ino, 0, f->data, f->size, 0));
	OK(&w, tfs_sync(w.bed.fs));
	OK(&w, tfs_write(w.bed.fs, f->ino, 0, "new", 3, 0));
	sim_fault(w.bed.sim, SIM_FLUSH_FAIL, 0, 0, -EIO, _i, 1);
	ck_assert_int_eq(_i ? tfs_ckpt_run(w.bed.fs) : tfs_sync(w.bed.fs),
			 -EIO);
	ck_assert_uint_eq(sim_faults_hit(w.bed.sim), 1);
	ck_assert(tfs_rdonly(w.bed.fs));
	ck_assert_int_eq(tfs_write(w.bed.fs, f->ino, 0, "x", 1, 0), -EROFS);
	ck_assert_int_eq(tfs_sync(w.bed.fs), -EIO);
	bed_drop(&w.bed);
	sim_clear_faults(w.bed.sim);
	sim_settle(w.bed.sim, false);
	bed_mount(&w.bed);
	bed_check(&w.bed, 0);
	if (_i)
		memcpy(f->data, "new", 3);
	compare_all(&w);
	work_free(&w);
}
END_TEST

static Suite *file_suite(void)
{
	Suite *s = suite_create("file");
	TCase *tc = tcase_create("file");

	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, content_is_what_was_written, 0, 10);
	tcase_add_loop_test(tc, small_files_move_out_of_the_tree, 0, 2);
	tcase_add_loop_test(tc, sparse_files_reach_far, 0, 2);
	tcase_add_loop_test(tc, holes_are_where_nothing_was_written, 0, 2);
	tcase_add_loop_test(tc, shrunk_and_grown_is_zeros, 0, 4);
	tcase_add_loop_test(tc, truncate_of_many_extents_is_whole, 0, 2);
	tcase_add_test(tc, mount_finishes_a_truncate);
	tcase_add_test(tc, failed_writes_go_elsewhere);
	tcase_add_loop_test(tc, failed_flush_is_final, 0, 4);
	suite_add_tcase(s, tc);
	tc = tcase_create("threads");
	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, threads_do_not_disturb_each_other, 0, 4);
	tcase_add_test(tc, first_writes_may_race);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return bed_run_suite(file_suite());
}
