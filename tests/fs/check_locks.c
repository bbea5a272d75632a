/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_locks.c - how often one request takes the locks that all requests
 * share: the tree's, and the mutexes of the filesystem.
 *
 * The program is linked with --wrap for what takes a lock.  Everything runs
 * in one thread, with no helper, and with all nodes in memory. */
#include <check.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "support/fs_bed.h"

#define CLUSTER	4096u

static struct {
	const struct tfs *fs;		/* NULL: don't count */
	unsigned int	shared, exclusive, mutex;
} taken;

int __real_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __real_pthread_rwlock_wrlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock);
int __real_pthread_mutex_lock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock);

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	taken.shared += taken.fs && lock == &taken.fs->tree;
	return __real_pthread_rwlock_rdlock(lock);
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
	taken.exclusive += taken.fs && lock == &taken.fs->tree;
	return __real_pthread_rwlock_wrlock(lock);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *lock)
{
	const char *at = (const char *)lock, *fs = (const char *)taken.fs;

	taken.mutex += fs && at >= fs && at < fs + sizeof(struct tfs);
	return __real_pthread_mutex_lock(lock);
}

static void count(const struct tfs *fs)
{
	memset(&taken, 0, sizeof(taken));
	taken.fs = fs;
}

/* No more than that, since count(). */
static void at_most(const char *what, unsigned int shared,
		    unsigned int exclusive, unsigned int mutex)
{
	taken.fs = NULL;
	ck_assert_msg(taken.shared <= shared && taken.exclusive <= exclusive &&
		      taken.mutex <= mutex,
		      "%s: tree lock %u times shared and %u exclusive, %u "
		      "mutexes; at most %u, %u and %u are wanted", what,
		      taken.shared, taken.exclusive, taken.mutex, shared,
		      exclusive, mutex);
}

static void setup(struct bed *b, uint32_t *ino)
{
	static uint8_t buf[64 * CLUSTER];

	bed_make(b, "512+8", 4096, 1);
	*ino = bed_file(b, "file");
	bed_fill(buf, sizeof(buf), 1);
	ck_assert_int_eq(tfs_ref(b->fs, *ino, 1), 0);
	ck_assert_int_eq(tfs_write(b->fs, *ino, 0, buf, sizeof(buf), 0), 0);
	ck_assert_int_eq(tfs_sync(b->fs), 0);
}

static void end(struct bed *b, uint32_t ino)
{
	tfs_unref(b->fs, ino, 1);
	bed_remount(b, 0);
	bed_free(b);
}

/* A write looks at its file and at what is due, is promised space, takes it,
 * and maps it. */
START_TEST(a_write_takes_the_tree_lock_five_times)
{
	uint8_t buf[CLUSTER];
	struct bed b = { 0 };
	uint32_t ino;

	setup(&b, &ino);
	bed_fill(buf, sizeof(buf), 2);
	count(b.fs);
	ck_assert_int_eq(tfs_write(b.fs, ino, 5 * CLUSTER, buf, CLUSTER,
				   TFS_WRITE_CACHED), 0);
	at_most("overwriting a cluster", 2, 3, 2);
	count(b.fs);
	ck_assert_int_eq(tfs_write(b.fs, ino, 64 * CLUSTER, buf, CLUSTER,
				   TFS_WRITE_CACHED), 0);
	at_most("appending a cluster", 2, 3, 2);
	end(&b, ino);
}
END_TEST

/* Content in the tree needs no space, so only one of the changes is left. */
START_TEST(a_small_file_is_written_by_one_change)
{
	struct bed b = { 0 };
	uint32_t ino, small;

	setup(&b, &ino);
	small = bed_file(&b, "small");
	ck_assert_int_eq(tfs_ref(b.fs, small, 1), 0);
	count(b.fs);
	ck_assert_int_eq(tfs_write(b.fs, small, 0, "x", 1, TFS_WRITE_CACHED),
			 0);
	at_most("writing a byte", 2, 1, 0);
	tfs_unref(b.fs, small, 1);
	end(&b, ino);
}
END_TEST

static void nothing(struct tfs_read *rd, int err, const void *data, size_t len)
{
	int *res = rd->arg;

	(void)data;
	(void)len;
	*res = err;
}

/* The first read of a file keeps its access time. */
START_TEST(a_read_takes_no_lock_that_others_hold)
{
	struct bed b = { 0 };
	struct tfs_read rd = { .len = CLUSTER, .end = nothing };
	int res = 1;

	setup(&b, &rd.ino);
	tfs_unref(b.fs, rd.ino, 1);
	bed_umount(&b);
	b.how.relatime = true;
	bed_mount(&b);
	ck_assert_int_eq(tfs_ref(b.fs, rd.ino, 1), 0);
	rd.arg = &res;
	usleep(20000);		/* later than the write, by a coarse clock */
	for (unsigned int i = 0; i < 2; i++) {
		rd.off = i * CLUSTER;
		rd.accessed = true;
		res = 1;
		count(b.fs);
		tfs_read(b.fs, &rd);
		ck_assert_int_eq(res, 0);
		if (i)
			at_most("reading a cluster", 1, 0, 0);
		else
			ck_assert_uint_eq(taken.exclusive, 1);
	}
	end(&b, rd.ino);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("locks");
	TCase *tc = tcase_create("counts");

	tcase_add_test(tc, a_write_takes_the_tree_lock_five_times);
	tcase_add_test(tc, a_small_file_is_written_by_one_change);
	tcase_add_test(tc, a_read_takes_no_lock_that_others_hold);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return bed_run_suite(suite());
}
