/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_lock.c - storage has one writer or any readers, by whatever names it
 * is reached.  What needs loop devices is left out, with a line, where there
 * are none. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/lock.h"
#include "tagpi.h"

#define SIZE	(16 << 20)

static char dir[64], img[96];
static char why[512];

static void set_up(void)
{
	int fd;

	snprintf(dir, sizeof(dir), "/tmp/check_lock.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(img, sizeof(img), "%s/img", dir);
	fd = open(img, O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(ftruncate(fd, SIZE), 0);
	close(fd);
}

static void tear_down(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(cmd), 0);
}

static char *in_dir(const char *name)
{
	static char path[4][128];
	static unsigned int n;
	char *p = path[n++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

/* ---- loop devices ----------------------------------------------------- */

struct loop {
	char	name[32];
	int	fd;		/* keeps it; -1: there is none */
};

static struct loop loop_over(const char *path, uint64_t off, uint64_t size,
			     unsigned int flags)
{
	int how = flags & LO_FLAGS_READ_ONLY ? O_RDONLY : O_RDWR;
	int ctl = open("/dev/loop-control", O_RDWR), back = open(path, how);
	struct loop_config conf = {
		.fd = (unsigned int)back,
		.info = { .lo_offset = off, .lo_sizelimit = size,
			  .lo_flags = LO_FLAGS_AUTOCLEAR | flags },
	};
	struct loop l = { .fd = -1 };

	snprintf((char *)conf.info.lo_file_name, LO_NAME_SIZE, "%.60s", path);
	for (int i = 0; ctl >= 0 && l.fd < 0 && i < 50; i++) {
		int n = ioctl(ctl, LOOP_CTL_GET_FREE);

		snprintf(l.name, sizeof(l.name), "/dev/loop%d", n);
		l.fd = n < 0 ? -1 : open(l.name, how);
		if (l.fd >= 0 && ioctl(l.fd, LOOP_CONFIGURE, &conf)) {
			close(l.fd);	/* somebody was faster */
			l.fd = -1;
		}
	}
	close(back);
	close(ctl);
	if (l.fd < 0)
		printf("skip - no loop devices\n");
	return l;
}

static void loop_free(struct loop *l)
{
	if (l->fd >= 0)
		close(l->fd);
}

/* ---- what is expected ------------------------------------------------- */

static struct eng_lock *must_get(const char *path, unsigned int flags)
{
	struct eng_lock *l;
	int err = eng_lock_get(&l, path, flags, why, sizeof(why));

	ck_assert_msg(!err, "%s: %s", path, why);
	return l;
}

static void must_refuse(const char *path, unsigned int flags)
{
	struct eng_lock *l;

	ck_assert_msg(eng_lock_get(&l, path, flags, why, sizeof(why)) ==
		      -EBUSY, "%s: two have it", path);
	ck_assert_ptr_null(l);
}

/* Neither beside the other, whoever comes first, unless both read.  A device
 * has one user, so between windows two readers may be too many. */
static void must_exclude(const char *a, const char *b, bool readers_share)
{
	for (unsigned int i = 0; i < 8; i++) {
		unsigned int fa = i & 1, fb = i >> 1 & 1;
		struct eng_lock *l = must_get(i & 4 ? b : a, fa);

		if (!fa || !fb) {
			must_refuse(i & 4 ? a : b, fb);
		} else if (readers_share) {
			struct eng_lock *m = must_get(i & 4 ? a : b, fb);

			eng_lock_put(m);
		}
		eng_lock_put(l);
		eng_lock_put(must_get(i & 4 ? a : b, fb));
	}
}

/* ---- files ------------------------------------------------------------ */

START_TEST(names_of_a_file_are_one)
{
	ck_assert_int_eq(link(img, in_dir("hard")), 0);
	ck_assert_int_eq(symlink(img, in_dir("soft")), 0);
	must_exclude(img, img, true);
	must_exclude(img, in_dir("hard"), true);
	must_exclude(in_dir("soft"), in_dir("hard"), true);
}
END_TEST

/* Also when it is called something else by now. */
START_TEST(a_reader_becomes_a_writer)
{
	struct eng_lock *l = must_get(img, ENG_OPEN_RDONLY), *other;
	char *moved = in_dir("moved");

	other = must_get(img, ENG_OPEN_RDONLY);
	ck_assert_int_eq(eng_lock_write(&l, why, sizeof(why)), -EBUSY);
	ck_assert_msg(l && strstr(why, "is in use"), "%s", why);
	eng_lock_put(other);
	must_refuse(img, 0);	/* it is a reader's still */
	eng_lock_put(must_get(img, ENG_OPEN_RDONLY));
	ck_assert_int_eq(rename(img, moved), 0);
	ck_assert_msg(!eng_lock_write(&l, why, sizeof(why)), "%s", why);
	must_refuse(moved, ENG_OPEN_RDONLY);
	ck_assert_msg(!eng_lock_read(&l, why, sizeof(why)), "%s", why);
	must_refuse(moved, 0);	/* and back */
	eng_lock_put(must_get(moved, ENG_OPEN_RDONLY));
	eng_lock_put(l);
	eng_lock_put(must_get(moved, 0));
}
END_TEST

START_TEST(bind_mounts_are_one)
{
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		printf("skip - no mount namespaces\n");
		return;
	}
	ck_assert_int_eq(mkdir(in_dir("bind"), 0700), 0);
	ck_assert_int_eq(mount(dir, in_dir("bind"), NULL, MS_BIND, NULL), 0);
	must_exclude(img, in_dir("bind/img"), true);
	umount(in_dir("bind"));
}
END_TEST

/* Who holds it is named, and other programs' flock counts. */
START_TEST(holder_is_named)
{
	int fd = open(img, O_RDONLY);

	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	must_refuse(img, 0);
	ck_assert_msg(strstr(why, "locked by") != NULL, "%s", why);
	must_refuse(img, ENG_OPEN_RDONLY);
	ck_assert_int_eq(flock(fd, LOCK_SH), 0);
	must_refuse(img, 0);
	eng_lock_put(must_get(img, ENG_OPEN_RDONLY));
	close(fd);
}
END_TEST

START_TEST(other_things_are_not_locked)
{
	struct eng_lock *l;

	ck_assert_int_eq(eng_lock_get(&l, dir, 0, why, sizeof(why)), -EISDIR);
	ck_assert_int_eq(eng_lock_get(&l, "/dev/null", 0, why, sizeof(why)),
			 -ENOTBLK);
	ck_assert_int_eq(eng_lock_get(&l, in_dir("none"), 0, why,
				      sizeof(why)), -ENOENT);
	ck_assert_ptr_null(l);
}
END_TEST

/* ---- windows ---------------------------------------------------------- */

START_TEST(a_file_and_its_loop_device_are_one)
{
	struct loop l = loop_over(img, 0, 0, 0);

	if (l.fd < 0)
		return;
	must_exclude(img, l.name, false);
	eng_lock_put(must_get(l.name, 0));
	loop_free(&l);
}
END_TEST

/* One that can't write may be beside whoever only reads. */
START_TEST(a_mount_by_others_counts)
{
	struct loop l = loop_over(img, 0, 0, 0), r;
	int fd;

	if (l.fd < 0)
		return;
	fd = open(l.name, O_RDONLY | O_EXCL);
	ck_assert_int_ge(fd, 0);
	must_refuse(img, 0);
	ck_assert_msg(strstr(why, l.name) != NULL, "%s", why);
	must_refuse(img, ENG_OPEN_RDONLY);
	close(fd);
	loop_free(&l);
	r = loop_over(img, 0, 0, LO_FLAGS_READ_ONLY);
	fd = open(r.name, O_RDONLY | O_EXCL);
	ck_assert_int_ge(fd, 0);
	must_refuse(img, 0);
	eng_lock_put(must_get(img, ENG_OPEN_RDONLY));
	close(fd);
	loop_free(&r);
}
END_TEST

START_TEST(two_windows_on_a_file_are_one)
{
	struct loop a = loop_over(img, 0, 0, 0), b = { .fd = -1 };

	if (a.fd >= 0)
		b = loop_over(in_dir("img"), 0, 0, 0);
	if (b.fd >= 0)
		must_exclude(a.name, b.name, false);
	loop_free(&a);
	loop_free(&b);
}
END_TEST

START_TEST(windows_on_other_parts_are_others)
{
	struct loop a = loop_over(img, 0, SIZE / 2, 0), b, c;
	struct eng_lock *l;

	if (a.fd < 0)
		return;
	b = loop_over(img, SIZE / 2, 0, 0);
	l = must_get(a.name, 0);
	eng_lock_put(must_get(b.name, 0));
	c = loop_over(img, SIZE / 4, SIZE / 2, 0);
	must_refuse(c.name, 0);
	must_refuse(img, 0);
	must_refuse(img, ENG_OPEN_RDONLY);
	eng_lock_put(l);
	must_exclude(img, b.name, false);
	loop_free(&a);
	loop_free(&b);
	loop_free(&c);
}
END_TEST

START_TEST(windows_on_windows_are_one)
{
	struct loop a = loop_over(img, 0, 0, 0), b, c;

	if (a.fd < 0)
		return;
	b = loop_over(a.name, 0, 0, 0);
	c = loop_over(b.name, SIZE / 4, 0, 0);
	must_exclude(img, b.name, false);
	must_exclude(img, c.name, false);
	must_exclude(a.name, c.name, false);
	loop_free(&c);
	loop_free(&b);
	loop_free(&a);
}
END_TEST

/* Two of 4 MiB; without a table, which not every kernel reads. */
static void make_partitions(const struct loop *l)
{
	for (int i = 0; i < 2; i++) {
		struct blkpg_partition part = {
			.start = (1 + 4 * i) << 20, .length = 4 << 20,
			.pno = i + 1,
		};
		struct blkpg_ioctl_arg arg = {
			.op = BLKPG_ADD_PARTITION, .datalen = sizeof(part),
			.data = &part,
		};

		ioctl(l->fd, BLKPG, &arg);
	}
}

/* A partition, its disk, the file below, and another partition. */
START_TEST(partitions_and_their_disk_are_one)
{
	char part[2][64];
	struct eng_lock *lock;
	struct stat st;
	struct loop l;

	l = loop_over(img, 0, 0, LO_FLAGS_PARTSCAN);
	if (l.fd < 0)
		return;
	make_partitions(&l);
	for (int i = 0; i < 2; i++)
		snprintf(part[i], sizeof(part[i]), "%sp%d", l.name, i + 1);
	for (int i = 0; i < 50 && stat(part[1], &st); i++)
		usleep(20000);
	if (stat(part[1], &st)) {
		printf("skip - no partitions on loop devices\n");
		loop_free(&l);
		return;
	}
	must_exclude(part[0], l.name, false);
	must_exclude(part[0], img, false);
	lock = must_get(part[0], 0);
	eng_lock_put(must_get(part[1], 0));
	eng_lock_put(lock);
	loop_free(&l);
}
END_TEST

/* It can't be locked any more, but its windows can be told. */
START_TEST(windows_on_a_deleted_file_are_one)
{
	struct loop a = loop_over(img, 0, 0, 0), b;

	if (a.fd < 0)
		return;
	b = loop_over(img, 0, 0, 0);
	ck_assert_int_eq(unlink(img), 0);
	must_exclude(a.name, b.name, false);
	loop_free(&a);
	loop_free(&b);
}
END_TEST

/* ---- */

int main(void)
{
	Suite *s = suite_create("lock");
	TCase *tc = tcase_create("lock");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, names_of_a_file_are_one);
	tcase_add_test(tc, a_reader_becomes_a_writer);
	tcase_add_test(tc, bind_mounts_are_one);
	tcase_add_test(tc, holder_is_named);
	tcase_add_test(tc, other_things_are_not_locked);
	tcase_add_test(tc, a_file_and_its_loop_device_are_one);
	tcase_add_test(tc, a_mount_by_others_counts);
	tcase_add_test(tc, two_windows_on_a_file_are_one);
	tcase_add_test(tc, windows_on_other_parts_are_others);
	tcase_add_test(tc, windows_on_windows_are_one);
	tcase_add_test(tc, partitions_and_their_disk_are_one);
	tcase_add_test(tc, windows_on_a_deleted_file_are_one);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
