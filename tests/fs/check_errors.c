/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_errors.c - changes of several steps, with an error in each of them.
 *
 * The device fails from its n-th request on, for every n, until the call is
 * over; then it works again.  What is found must be what the call promised,
 * the same call again must succeed, and however the file grows afterwards, no
 * byte of its past comes back. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "file/inode.h"
#include "file/orphan.h"

#define EXTENTS	300u
#define CLUSTER	4096u
#define SIZE	(2 * EXTENTS * CLUSTER)
#define ROOM	(SIZE + 4 * CLUSTER)

struct world {
	struct bed	bed;
	uint32_t	ino;
	uint8_t		*old, *new;	/* content before and after */
	uint64_t	new_size;	/* of the file after the call */
	char		where[96];
};

struct call {
	const char	*name;
	int		(*run)(struct world *w);
	uint64_t	off, end;	/* these bytes become zeros */
	uint64_t	size;		/* and this the size; 0: none */
	bool		whole;		/* all of it or nothing */
	bool		gone;		/* the file is, afterwards */
	bool		held;		/* it has no name, but is in use */
};

static const struct call *call;

#define MUST(w, what) do {						\
	int64_t err_ = (what);						\
	ck_assert_msg(err_ >= 0, "%s: %s: %s", (w)->where, #what,	\
		      strerror((int)-err_));				\
} while (0)

/* ---- the calls ----------------------------------------------------------- */

#define CUT_TO	(3 * CLUSTER * 2)

static int set_size(struct world *w, uint64_t size)
{
	struct tfs_inode in = { .size = size };

	return tfs_setattr(w->bed.fs, w->ino, TFS_SET_SIZE, &in);
}

static int run_truncate(struct world *w)
{
	return set_size(w, call->size);
}

/* As the kernel does with delayed writes. */
static int run_truncate_times(struct world *w)
{
	struct tfs_inode in = {
		.size = call->size, .mtime.tv_sec = 1, .ctime.tv_sec = 1,
	};
	int err = tfs_setattr(w->bed.fs, w->ino, TFS_SET_SIZE | TFS_SET_MTIME |
			      TFS_SET_CTIME | TFS_KILL_PRIV, &in);

	ck_assert(err || (in.size == call->size && in.mtime.tv_sec == 1));
	return err;
}

static int run_punch(struct world *w)
{
	return tfs_fallocate(w->bed.fs, w->ino, FALLOC_FL_PUNCH_HOLE |
			     FALLOC_FL_KEEP_SIZE, call->off,
			     call->end - call->off);
}

static int run_zero(struct world *w)
{
	return tfs_fallocate(w->bed.fs, w->ino, FALLOC_FL_ZERO_RANGE,
			     call->off, call->end - call->off);
}

static int run_reserve(struct world *w)
{
	return tfs_fallocate(w->bed.fs, w->ino, 0, 0, call->size);
}

static int run_unlink(struct world *w)
{
	int err = tfs_unlink(w->bed.fs, TFS_ROOT_INO, "f");

	return err == -ENOENT ? 0 : err;
}

static int run_rename(struct world *w)
{
	int err = tfs_rename(w->bed.fs, TFS_ROOT_INO, "other", TFS_ROOT_INO,
			     "f", 0, NULL);

	return err == -ENOENT ? 0 : err;
}

static const struct call calls[] = {
	{ "truncate to nothing", run_truncate, 0, SIZE, 0, true, false, false },
	{ "truncate within a cluster", run_truncate, CUT_TO + 1000, SIZE,
	  CUT_TO + 1000, true, false, false },
	{ "truncate between clusters", run_truncate, CUT_TO, SIZE, CUT_TO,
	  true, false, false },
	{ "truncate with times", run_truncate_times, CUT_TO + 1000, SIZE,
	  CUT_TO + 1000, true, false, false },
	{ "truncate of a file without a name", run_truncate, CUT_TO, SIZE,
	  CUT_TO, true, false, true },
	{ "punch", run_punch, 1000, SIZE - 3000, SIZE, false, false, false },
	{ "zero", run_zero, 1000, SIZE - 3000, SIZE, false, false, false },
	{ "reserve", run_reserve, 0, 0, SIZE + 100, false, false, false },
	{ "unlink", run_unlink, 0, 0, SIZE, true, true, false },
	{ "rename over it", run_rename, 0, 0, SIZE, true, true, false },
};

#define CALLS	((int)(sizeof(calls) / sizeof(calls[0])))

/* ---- the world ----------------------------------------------------------- */

static struct sim *base;
static uint32_t base_ino;

/* One file with many extents, and one to be renamed over it. */
static void make_base(void)
{
	struct bed b;
	uint8_t buf[CLUSTER];

	bed_make(&b, "512+8", 4096, 1);
	base_ino = bed_file(&b, "f");
	bed_file(&b, "other");
	for (unsigned int i = 0; i < EXTENTS; i++) {
		bed_fill(buf, sizeof(buf), i);
		ck_assert_int_eq(tfs_write(b.fs, base_ino, 2ull * i * CLUSTER,
					   buf, sizeof(buf), 0), 0);
	}
	ck_assert_int_eq(tfs_write(b.fs, base_ino, SIZE - 1, "\1", 1, 0), 0);
	bed_umount(&b);
	base = sim_clone(b.sim);
	bed_free(&b);
}

static void expect(struct world *w)
{
	for (unsigned int i = 0; i < EXTENTS; i++)
		bed_fill(w->old + 2ull * i * CLUSTER, CLUSTER, i);
	w->old[SIZE - 1] = 1;
	memcpy(w->new, w->old, SIZE);
	memset(w->new + call->off, 0, call->end - call->off);
	w->new_size = call->size;
}

static void world_make(struct world *w, unsigned int n)
{
	*w = (struct world){ .ino = base_ino };
	w->old = calloc(1, ROOM);
	w->new = calloc(1, ROOM);
	bed_take(&w->bed, sim_clone(base), 1);
	snprintf(w->where, sizeof(w->where), "%s, request %u fails",
		 call->name, n);
	strcpy(w->bed.where, w->where);
	expect(w);
	bed_mount(&w->bed);
	if (!call->gone)	/* else it goes at once */
		tfs_ref(w->bed.fs, w->ino, 1);
	if (call->held)
		MUST(w, tfs_unlink(w->bed.fs, TFS_ROOT_INO, "f"));
}

static void world_free(struct world *w)
{
	bed_free(&w->bed);
	free(w->old);
	free(w->new);
}

/* Each byte is the old one or the new one; whole: all of one kind. */
static void compare(struct world *w, const uint8_t *old, const uint8_t *new,
		    uint64_t size, const char *when)
{
	uint8_t *got = malloc(ROOM);
	ssize_t n = tfs_read_sync(w->bed.fs, w->ino, 0, got, ROOM);

	ck_assert_msg(n == (ssize_t)size, "%s, %s: %zd bytes, not %llu",
		      w->where, when, n, (unsigned long long)size);
	for (uint64_t i = 0; i < size; i++) {
		if (got[i] == old[i] || got[i] == new[i])
			continue;
		ck_abort_msg("%s, %s: byte %llu is %02x, was %02x, should be "
			     "%02x", w->where, when, (unsigned long long)i,
			     got[i], old[i], new[i]);
	}
	free(got);
}

static uint64_t size_of(struct world *w)
{
	struct tfs_inode in;

	MUST(w, tfs_getattr(w->bed.fs, w->ino, &in));
	return in.size;
}

/* After an error a call that is whole has done nothing. */
static void after_error(struct world *w, int err)
{
	const uint8_t *new = err && call->whole ? w->old : w->new;
	const uint8_t *old = err ? w->old : w->new;
	uint64_t size = err ? SIZE : w->new_size;

	compare(w, old, new, size, err ? "failed" : "done");
}

static const char *const growths[] = { "truncate", "write", "fallocate" };

/* Larger again, one way or another: what comes in between is zeros. */
static void grow_and_compare(struct world *w, unsigned int how)
{
	uint64_t to = SIZE + 2 * CLUSTER;

	if (how == 0) {
		MUST(w, set_size(w, to));
	} else if (how == 1) {
		MUST(w, tfs_write(w->bed.fs, w->ino, to - 1, "\2", 1, 0));
		w->new[to - 1] = 2;
	} else {
		MUST(w, tfs_fallocate(w->bed.fs, w->ino, 0, to - CLUSTER,
				      CLUSTER));
	}
	ck_assert_uint_eq(size_of(w), to);
	compare(w, w->new, w->new, to, growths[how]);
}

static void link_again(struct world *w)
{
	struct tfs_inode in;

	MUST(w, tfs_link(w->bed.fs, w->ino, TFS_ROOT_INO, "f", &in));
	tfs_unref(w->bed.fs, w->ino, 1);
}

static void finish(struct world *w, unsigned int how)
{
	struct tfs_inode in;
	bool found;

	if (!call->gone) {
		if (how == 2 && call->held)
			link_again(w);
		grow_and_compare(w, how);
	}
	found = !call->gone && (!call->held || how == 2);
	if (!call->gone)
		tfs_unref(w->bed.fs, w->ino, 1);
	tfs_orphan_retry(w->bed.fs);
	if (!found)
		ck_assert_msg(tfs_getattr(w->bed.fs, w->ino, &in) == -ENOENT,
			      "%s: it is not gone", w->where);
	bed_remount(&w->bed, 0);
	if (found)
		compare(w, w->new, w->new, SIZE + 2 * CLUSTER, "remounted");
}

/* retry: do the same again before the file grows.  False: nothing failed. */
static bool one(enum sim_fault what, unsigned int n, bool retry)
{
	struct world w;
	bool hit;
	int err;

	world_make(&w, n);
	sim_fault(w.bed.sim, what, 0, UINT64_MAX / 2, -EIO, n, 0);
	err = call->run(&w);
	hit = sim_faults_hit(w.bed.sim);
	sim_clear_faults(w.bed.sim);
	ck_assert_msg(hit || !err, "%s: %s", w.where, strerror(-err));
	ck_assert_msg(!tfs_rdonly(w.bed.fs), "%s: read-only", w.where);
	if (!call->gone)
		after_error(&w, err);
	if (err || retry)
		MUST(&w, call->run(&w));
	finish(&w, n % 3);
	world_free(&w);
	return hit;
}

/* ---- promises ------------------------------------------------------------ */

START_TEST(errors_at_each_read_leave_what_was_promised)
{
	call = &calls[_i];
	make_base();
	for (unsigned int n = 0; one(SIM_READ_FAIL, n, n & 1); n++)
		ck_assert_uint_lt(n, 1000);
	sim_destroy(base);
}
END_TEST

START_TEST(errors_at_each_write_leave_what_was_promised)
{
	call = &calls[_i];
	make_base();
	for (unsigned int n = 0; one(SIM_WRITE_FAIL, n, n & 1); n++)
		ck_assert_uint_lt(n, 1000);
	sim_destroy(base);
}
END_TEST

static int mark_cut(struct tfs_txn *tx, void *arg)
{
	struct tfs_inode in;
	int err = tfs_inode_get(tx, *(uint32_t *)arg, &in);

	if (err)
		return err;
	in.size = CUT_TO;
	in.flags = TFS_INODE_CUT;
	err = tfs_txn_put(tx, tfs_key(0, TFS_T_ORPHAN, in.ino), NULL, 0);
	return err ? err : tfs_inode_put(tx, &in);
}

/* While it is not finished, nobody sees or gets what is past the size; and
 * what can't be finished can't grow. */
START_TEST(a_truncate_cut_short_hides_what_is_left)
{
	static const struct call cut = {
		"cut short", run_truncate, CUT_TO, SIZE, CUT_TO,
		true, false, false,
	};
	struct world w;

	call = &cut;
	make_base();
	world_make(&w, _i);
	MUST(&w, tfs_txn_write(w.bed.fs, mark_cut, &w.ino, 0));
	compare(&w, w.new, w.new, CUT_TO, "cut");
	ck_assert_int_eq(tfs_lseek(w.bed.fs, w.ino, CUT_TO - CLUSTER - 1,
				   SEEK_HOLE), CUT_TO - CLUSTER);
	ck_assert_int_eq(tfs_lseek(w.bed.fs, w.ino, CUT_TO - CLUSTER,
				   SEEK_DATA), -ENXIO);
	sim_fault(w.bed.sim, SIM_READ_FAIL, 0, UINT64_MAX / 2, -EIO, 0, 0);
	ck_assert_int_lt(set_size(&w, SIZE), 0);
	ck_assert_int_lt(tfs_write(w.bed.fs, w.ino, SIZE, "x", 1, 0), 0);
	ck_assert_int_lt(tfs_fallocate(w.bed.fs, w.ino, 0, 0, SIZE), 0);
	sim_clear_faults(w.bed.sim);
	ck_assert_uint_eq(size_of(&w), CUT_TO);
	finish(&w, _i);
	world_free(&w);
	sim_destroy(base);
}
END_TEST

static Suite *errors_suite(void)
{
	Suite *s = suite_create("errors");
	TCase *tc = tcase_create("errors");

	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, errors_at_each_read_leave_what_was_promised, 0,
			    CALLS);
	tcase_add_loop_test(tc, errors_at_each_write_leave_what_was_promised,
			    0, CALLS);
	tcase_add_loop_test(tc, a_truncate_cut_short_hides_what_is_left, 0, 3);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return bed_run_suite(errors_suite());
}
