/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_walks.c - walks over a file's extents: bounded steps that go on
 * where they were, however cold the tree is. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/fs_bed.h"

#define CLUSTERS	3000u

struct work {
	struct bed	bed;
	uint32_t	ino;
	uint64_t	csize;
};

/* A file of which no two neighbouring clusters are one extent. */
static void make(struct work *w, unsigned int i)
{
	static const char *const profiles[] = { "512+8", "4096+8" };
	uint8_t *buf;

	bed_make(&w->bed, profiles[i], 3 * CLUSTERS, i);
	w->csize = tfs_cluster_size(w->bed.fs);
	w->ino = bed_file(&w->bed, "pieces");
	buf = calloc(1, w->csize);
	for (unsigned int odd = 0; odd < 2; odd++)
		for (uint64_t c = odd; c < CLUSTERS; c += 2)
			ck_assert_int_eq(tfs_write(w->bed.fs, w->ino,
						   c * w->csize, buf,
						   w->csize, 0), 0);
	free(buf);
	bed_remount(&w->bed, 0);
}

static void end(struct work *w)
{
	bed_check(&w->bed, 0);
	bed_free(&w->bed);
}

START_TEST(a_seek_goes_in_bounded_steps)
{
	struct tfs_seek sk;
	struct work w;
	unsigned int steps = 0;

	make(&w, _i);
	sk = (struct tfs_seek){ .ino = w.ino, .whence = SEEK_HOLE };
	while (!sk.done) {
		uint64_t before = sk.at;

		ck_assert_int_eq(tfs_seek_step(w.bed.fs, &sk), 0);
		ck_assert_uint_le(sk.at - before, 256 * w.csize);
		ck_assert_msg(sk.done || sk.at > before, "%s: stuck at %llu",
			      w.bed.where, (unsigned long long)sk.at);
		steps++;
	}
	ck_assert_uint_eq(sk.at, CLUSTERS * w.csize);
	ck_assert_uint_ge(steps, CLUSTERS / 256);
	ck_assert_uint_le(steps, CLUSTERS / 256 + 2);
	end(&w);
}
END_TEST

/* An unreadable node interrupts the walk as a missing one does: what was
 * passed before it is not walked again. */
START_TEST(a_seek_goes_on_where_a_node_was_missing)
{
	struct tfs_seek sk;
	struct work w;
	uint64_t last = 0;

	make(&w, 0);
	sk = (struct tfs_seek){ .ino = w.ino, .whence = SEEK_HOLE };
	for (unsigned int spared = 1; !sk.done; spared = 2) {
		sim_fault(w.bed.sim, SIM_READ_FAIL, 0, UINT64_MAX, -EIO,
			  spared, 0);
		while (!sk.done && !tfs_seek_step(w.bed.fs, &sk))
			;
		sim_clear_faults(w.bed.sim);
		ck_assert_msg(sk.at >= last, "%s: back from %llu to %llu",
			      w.bed.where, (unsigned long long)last,
			      (unsigned long long)sk.at);
		last = sk.at;
	}
	ck_assert_uint_eq(sk.at, CLUSTERS * w.csize);
	end(&w);
}
END_TEST

/* To the end of the file, a batch at a time; 0, or what the step says. */
static int seek(struct work *w)
{
	struct tfs_seek sk = { .ino = w->ino, .whence = SEEK_HOLE };
	int err = 0;

	while (!sk.done && !err)
		err = tfs_seek_step(w->bed.fs, &sk);
	return err;
}

static void count(void *arg)
{
	++*(unsigned int *)arg;
}

/* Whoever would wait for a node says so first, or does not where he must not;
 * and nobody says so who finds all in memory. */
START_TEST(who_waits_for_a_node_says_so)
{
	unsigned int told = 0;
	uint64_t reads;
	struct work w;

	make(&w, 0);
	bed_umount(&w.bed);	/* the check has read them all */
	bed_mount(&w.bed);
	reads = atomic_load(&w.bed.fs->count.node_reads);
	tfs_nowait(true);
	ck_assert_int_eq(seek(&w), TFS_WAITS);
	tfs_nowait(false);
	tfs_on_wait(count, &told);
	ck_assert_int_eq(seek(&w), 0);
	reads = atomic_load(&w.bed.fs->count.node_reads) - reads;
	ck_assert_uint_gt(reads, 0);
	ck_assert_uint_eq(told, reads);
	told = 0;
	ck_assert_int_eq(seek(&w), 0);
	ck_assert_uint_eq(told, 0);
	tfs_on_wait(NULL, NULL);
	tfs_nowait(true);
	ck_assert_int_eq(seek(&w), 0);
	tfs_nowait(false);
	end(&w);
}
END_TEST

/* Every change can be made durable and its space given back while a long
 * answer is in the making: tags pin a batch, not the file. */
struct reader {
	struct work	*w;
	atomic_bool	stop;
	unsigned int	answers;
};

static void *read_tags(void *arg)
{
	struct reader *r = arg;

	while (!atomic_load(&r->stop)) {
		char *text;
		ssize_t n = tfs_tags(r->w->bed.fs, r->w->ino, false,
				     SIZE_MAX, NULL, NULL,
				     &text);

		ck_assert_int_gt(n, 0);
		ck_assert_msg(!strstr(text, "bad cluster"), "%s: %s",
			      r->w->bed.where, text);
		free(text);
		r->answers++;
	}
	return NULL;
}

START_TEST(tags_are_right_while_the_file_is_rewritten)
{
	struct work w;
	struct reader r = { .w = &w };
	uint8_t *buf;
	pthread_t t;

	make(&w, _i);
	bed_umount(&w.bed);
	bed_threads(&w.bed, 2);
	bed_mount(&w.bed);
	buf = calloc(1, 64 * w.csize);
	pthread_create(&t, NULL, read_tags, &r);
	for (uint64_t c = 0; c < 4 * CLUSTERS; c += 64) {
		ck_assert_int_eq(tfs_write(w.bed.fs, w.ino, c % CLUSTERS /
					   64 * 64 * w.csize, buf,
					   64 * w.csize, 0), 0);
		ck_assert_int_eq(tfs_sync(w.bed.fs), 0);
	}
	atomic_store(&r.stop, true);
	pthread_join(t, NULL);
	free(buf);
	end(&w);
}
END_TEST

START_TEST(tags_stop_where_the_answer_is_full)
{
	struct work w;
	char *text;
	ssize_t n;

	make(&w, 0);
	ck_assert_int_eq(tfs_tags(w.bed.fs, w.ino, true,
				  CLUSTERS * TFS_TAG_BYTES - 1, NULL, NULL,
				  &text),
			 -E2BIG);
	n = tfs_tags(w.bed.fs, w.ino, true, CLUSTERS * TFS_TAG_BYTES, NULL,
		     NULL, &text);
	ck_assert_int_eq(n, CLUSTERS * TFS_TAG_BYTES);
	free(text);
	n = tfs_tags(w.bed.fs, w.ino, false, 10000, NULL, NULL, &text);
	ck_assert_int_gt(n, 5000);
	ck_assert_int_le(n, 10000);
	ck_assert_ptr_nonnull(strstr(text, "... and more from cluster "));
	free(text);
	end(&w);
}
END_TEST

/* A device whose requests are small.  Nothing asks it for the size twice. */
static void shrink_requests(struct bed *b, uint32_t intervals)
{
	((struct eng_geometry *)eng_dev_geometry(b->dev))->max_io = intervals;
}

START_TEST(a_device_that_takes_less_than_a_cluster_is_refused)
{
	struct tfs_mkfs how = { .label = "small" };
	struct tfs_mount mount = { .rdonly = true };
	struct work w;
	struct tfs *fs;

	make(&w, _i);
	ck_assert_int_eq(tfs_close(w.bed.fs), 0);
	shrink_requests(&w.bed, 7);
	ck_assert_int_eq(tfs_open(&fs, w.bed.dev, &mount), -EOPNOTSUPP);
	ck_assert_int_eq(tfs_mkfs(w.bed.dev, &how), -EOPNOTSUPP);
	shrink_requests(&w.bed, 8);
	ck_assert_int_eq(tfs_open(&w.bed.fs, w.bed.dev, &w.bed.how), 0);
	end(&w);
}
END_TEST

START_TEST(a_device_that_takes_one_cluster_at_once_will_do)
{
	struct work w;
	uint8_t *buf;
	char *text;

	make(&w, _i);
	buf = calloc(5, w.csize);
	shrink_requests(&w.bed, 8);
	ck_assert_int_eq(tfs_write(w.bed.fs, w.ino, 1, buf, 4 * w.csize, 0),
			 0);
	ck_assert_int_eq(tfs_sync(w.bed.fs), 0);
	ck_assert_int_eq(tfs_read_sync(w.bed.fs, w.ino, 100, buf,
				       5 * w.csize), 5 * w.csize);
	ck_assert_int_eq(tfs_lseek(w.bed.fs, w.ino, 0, SEEK_HOLE),
			 CLUSTERS * w.csize);
	ck_assert_int_eq(tfs_tags(w.bed.fs, w.ino, true, SIZE_MAX, NULL, NULL,
				     &text),
			 CLUSTERS * TFS_TAG_BYTES);
	free(text);
	free(buf);
	end(&w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("walks");
	TCase *t = tcase_create("seek");

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, a_seek_goes_in_bounded_steps, 0, 2);
	tcase_add_test(t, a_seek_goes_on_where_a_node_was_missing);
	tcase_add_test(t, who_waits_for_a_node_says_so);
	suite_add_tcase(s, t);
	t = tcase_create("threads");
	tcase_set_timeout(t, 240);
	tcase_add_loop_test(t, tags_are_right_while_the_file_is_rewritten, 0,
			    2);
	suite_add_tcase(s, t);
	t = tcase_create("tags");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, tags_stop_where_the_answer_is_full);
	suite_add_tcase(s, t);
	t = tcase_create("small requests");
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t,
		a_device_that_takes_less_than_a_cluster_is_refused, 0, 2);
	tcase_add_loop_test(t, a_device_that_takes_one_cluster_at_once_will_do,
			    0, 2);
	suite_add_tcase(s, t);
	return bed_run_suite(s);
}
