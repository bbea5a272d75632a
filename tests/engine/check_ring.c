/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_ring.c - transfers of which the kernel moves less than it was asked
 * for, or which it has to be asked for again.
 *
 * The host's calls are made short before they are made, so that what is said
 * to be moved was, and no more.  A device with tuples is a file for its data
 * and an array for its tuples. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/io.h"
#include "io/raw.h"
#include "io/ring.h"
#include "native/dev_block.h"
#include "support/mem_dev.h"
#include "tagpi.h"

enum { SIZE = 1 << 20, ROUNDS = 200, INTERVAL = 512, META = 8 };

/* ---- a host that stops early ------------------------------------------ */

static bool is_short;			/* atomic: the host stops early */
static int instead;			/* atomic: of the last one asked for */
static unsigned int cut_short, put_off;	/* atomic: how often */
static uint64_t state;			/* of the thread that asks */

static uint64_t rnd(uint64_t n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (state >> 33) % n;
}

static bool host_is_short(void)
{
	return __atomic_load_n(&is_short, __ATOMIC_RELAXED);
}

static void count(unsigned int *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

/* In place of the C library's: at most one segment, and a part of that. */
static ssize_t short_rw(long call, int fd, const struct iovec *iov, int n,
			off_t off, int flags)
{
	struct iovec one = *iov;

	if (!host_is_short())
		return syscall(call, fd, iov, n, off, 0, flags);
	if (!rnd(3)) {
		errno = EINTR;
		return -1;
	}
	one.iov_len = 1 + rnd(one.iov_len);
	count(&cut_short);
	return syscall(call, fd, &one, 1, off, 0, flags);
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t off);
ssize_t pwritev64(int fd, const struct iovec *iov, int n, off_t off);
ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t off, int flags);
ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off_t off,
		   int flags);

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	return short_rw(SYS_pwritev2, fd, iov, n, off, 0);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off_t off)
{
	return short_rw(SYS_pwritev2, fd, iov, n, off, 0);
}

ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	return short_rw(SYS_preadv2, fd, iov, n, off, flags);
}

ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off_t off,
		   int flags)
{
	return short_rw(SYS_preadv2, fd, iov, n, off, flags);
}

static bool is_vector(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_READV ||
	       sqe->opcode == IORING_OP_WRITEV;
}

static bool is_write(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_WRITE ||
	       sqe->opcode == IORING_OP_WRITEV;
}

/* Fewer segments or, of the only one, fewer bytes; or nothing at all. */
static void ask_for_less(struct io_uring_sqe *sqe)
{
	int what = (int)rnd(4);

	__atomic_store_n(&instead, 0, __ATOMIC_RELAXED);
	if (sqe->opcode == IORING_OP_NOP || !host_is_short())
		return;
	if (what < 2) {
		io_uring_prep_nop(sqe);
		__atomic_store_n(&instead, what ? -EINTR : -EAGAIN,
				 __ATOMIC_RELAXED);
		count(&put_off);
		return;
	}
	if (is_vector(sqe) || what == 2)
		sqe->len = 1 + (unsigned int)rnd(sqe->len);
	count(&cut_short);
}

static int say(uint64_t user_data, int res)
{
	int said = __atomic_load_n(&instead, __ATOMIC_RELAXED);

	(void)user_data;
	return said ? said : res;
}

static void stop_early(bool on, uint64_t seed)
{
	state = seed;
	cut_short = put_off = 0;
	__atomic_store_n(&is_short, on, __ATOMIC_RELAXED);
}

static char path[] = "/tmp/check_ring.XXXXXX";
static int file = -1;

static void set_up(void)
{
	strcpy(path + strlen(path) - 6, "XXXXXX");
	file = mkstemp(path);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(ftruncate(file, SIZE), 0);
	eng_ring_seam.said = say;
	eng_ring_seam.asked = ask_for_less;
}

static void tear_down(void)
{
	stop_early(false, 0);
	eng_ring_seam.asked = NULL;
	eng_ring_seam.said = NULL;
	close(file);
	unlink(path);
}

/* ---- files ------------------------------------------------------------ */

struct wait {
	bool		done;		/* atomic */
	int		err;
};

static void wait_end(struct eng_raw_io *io, int err)
{
	struct wait *w = io->arg;

	w->err = err;
	__atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
}

/* Some segments of some multiple of 512, all of them in buf. */
static int rw(struct eng_raw *raw, bool write, uint64_t off, uint8_t *buf,
	      size_t len)
{
	struct wait w = { .done = false };
	struct iovec iov[8];
	struct eng_raw_io io = {
		.write = write, .off = off, .iov = iov, .end = wait_end,
		.arg = &w,
	};
	size_t n;

	for (; len; len -= n, buf += n) {
		n = io.niov == 7 ? len : 512 * (1 + rnd(len / 512));
		iov[io.niov].iov_base = buf;
		iov[io.niov++].iov_len = n;
	}
	raw->ops->submit(raw, &io);
	while (!__atomic_load_n(&w.done, __ATOMIC_ACQUIRE))
		usleep(50);
	return w.err;
}

START_TEST(short_transfers_of_files_go_on)
{
	static uint8_t want[SIZE], got[SIZE];
	struct eng_raw *raw;

	ck_assert_int_eq(eng_raw_open(&raw, path, file, 0), 0);
	stop_early(true, 1);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t at = 512 * rnd(SIZE / 512 - 128);
		size_t len = 512 * (1 + rnd(128));
		int err;

		fill(want + at, len, i);
		err = rw(raw, true, at, want + at, len);
		ck_assert_msg(!err, "round %u: write: %d", i, err);
		ck_assert_int_eq(pread(file, got, len, (off_t)at), len);
		ck_assert_msg(!memcmp(got, want + at, len), "round %u: the "
			      "file has something else", i);
		memset(got, 0, len);
		if (i % 2)	/* not all from the page cache */
			posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
		err = rw(raw, false, at, got, len);
		ck_assert_msg(!err, "round %u: read: %d", i, err);
		ck_assert_msg(!memcmp(got, want + at, len), "round %u: read "
			      "something else", i);
	}
	ck_assert_uint_gt(cut_short, 0);
	ck_assert_uint_gt(put_off, 0);
	raw->ops->close(raw);
}
END_TEST

START_TEST(end_of_file_is_an_error)	/* _i: the host stops early, too */
{
	uint8_t buf[8192];
	struct eng_raw *raw;

	ck_assert_int_eq(eng_raw_open(&raw, path, file, 0), 0);
	ck_assert_int_eq(ftruncate(file, SIZE - 4096), 0);
	stop_early(_i, 2);
	ck_assert_int_eq(rw(raw, false, SIZE - 8192, buf, 8192), -EIO);
	raw->ops->close(raw);
}
END_TEST

/* What was written is no hole, zeros included; where it ends one begins.  A
 * filesystem that can't tell has none. */
START_TEST(only_what_was_never_written_is_a_hole)
{
	static uint8_t zeros[8192];
	struct eng_raw *raw;
	bool tells = lseek(file, 0, SEEK_DATA) < 0;

	ck_assert_int_eq(eng_raw_open(&raw, path, file, 0), 0);
	ck_assert_int_eq(raw->ops->hole(raw, 0, SIZE), tells);
	ck_assert_int_eq(rw(raw, true, SIZE / 2, zeros, 8192), 0);
	ck_assert_int_eq(raw->ops->hole(raw, SIZE / 2 - 8192, 8192), tells);
	ck_assert_int_eq(raw->ops->hole(raw, SIZE / 2 + 8192, 8192), tells);
	ck_assert(!raw->ops->hole(raw, SIZE / 2 - 4096, 8192));
	ck_assert(!raw->ops->hole(raw, SIZE / 2, 8192));
	ck_assert(!raw->ops->hole(raw, SIZE / 2 + 4096, 8192));
	raw->ops->close(raw);
}
END_TEST

/* ---- a device with tuples --------------------------------------------- */

/* struct io_uring_attr_pi of Linux 6.14. */
struct attr {
	uint16_t	flags, app_tag;
	uint32_t	len;
	uint64_t	addr, seed, rsvd;
};

static uint8_t meta[SIZE / INTERVAL][META];

/* The kernel's part: the tuples go where the data go, as far as these are
 * whole; and the caller's buffer is not what it was. */
static void move_tuples(struct io_uring_sqe *sqe)
{
	uint64_t ptr;
	struct attr at;
	size_t bytes = 0, n;
	bool write = is_write(sqe);

	if (sqe->opcode == IORING_OP_NOP)
		return;
	memcpy(&ptr, (char *)sqe + 48, sizeof(ptr));
	memcpy(&at, (const void *)(uintptr_t)ptr, sizeof(at));
	memset((char *)sqe + 48, 0, 16);
	ck_assert_uint_eq(sqe->off, at.seed * INTERVAL);
	ask_for_less(sqe);
	if (!is_vector(sqe) && sqe->opcode != IORING_OP_NOP &&
	    sqe->len < INTERVAL)
		sqe->len = INTERVAL;	/* a device has no smaller unit */
	if (is_vector(sqe))
		for (unsigned int i = 0; i < sqe->len; i++)
			bytes += ((struct iovec *)(uintptr_t)
				  sqe->addr)[i].iov_len;
	else if (sqe->opcode != IORING_OP_NOP)
		bytes = sqe->len;
	n = bytes / INTERVAL * META;
	ck_assert_uint_le(n, at.len);
	if (!write) {
		memcpy((void *)(uintptr_t)at.addr, meta[at.seed], n);
		return;
	}
	memcpy(meta[at.seed], (void *)(uintptr_t)at.addr, n);
	for (size_t i = 0; i < at.len; i += META)	/* reference tags */
		memset((uint8_t *)(uintptr_t)at.addr + i + 4, 0x55, 4);
}

static struct eng_dev *open_device(struct eng_pool *pool)
{
	struct eng_bdev b = {
		.path = path, .fd = dup(file), .size = SIZE, .align = 1,
		.max_bytes = 256 << 10,
	};
	struct eng_open how = { .pool = pool };
	struct eng_dev *dev;

	eng_ring_seam.asked = move_tuples;
	ck_assert_int_eq(eng_block_open(&dev, &b,
					eng_profile_find("512+8:type1"),
					&how), 0);
	return dev;
}

static int run(struct eng_dev *dev, enum eng_op op, uint64_t start,
	       uint32_t count_, uint8_t *buf)
{
	struct eng_io *io = eng_io_get(dev, count_, 8);
	uint32_t left = count_, n;
	int err;

	io->op = op;
	io->start = start;
	for (uint32_t i = 0; i < count_; i++)
		io->tags[i] = (uint16_t)(start + i);
	for (unsigned int i = 0; left; i++, left -= n) {
		n = i == 7 ? left : 1 + (uint32_t)rnd(left);
		ck_assert_int_eq(eng_io_add(io, buf, n * INTERVAL), 0);
		buf += n * INTERVAL;
	}
	err = eng_io_run(io);
	eng_io_put(io);
	return err;
}

START_TEST(short_transfers_of_devices_go_on)
{
	static uint8_t want[SIZE], got[SIZE];
	struct eng_pool *pool;
	struct eng_dev *dev;

	ck_assert_int_eq(eng_pool_create_serial(&pool), 0);
	dev = open_device(pool);
	stop_early(true, 3);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t start = rnd(SIZE / INTERVAL - 128);
		uint32_t n = 1 + (uint32_t)rnd(128);
		int err;

		fill(want, n * INTERVAL, i);
		err = run(dev, ENG_WRITE, start, n, want);
		ck_assert_msg(!err, "round %u: write: %d", i, err);
		memset(got, 0, n * INTERVAL);
		err = run(dev, ENG_READ, start, n, got);	/* verified */
		ck_assert_msg(!err, "round %u: read: %d", i, err);
		ck_assert_msg(!memcmp(got, want, n * INTERVAL),
			      "round %u: read something else", i);
	}
	ck_assert_uint_gt(cut_short, 0);
	ck_assert_uint_gt(put_off, 0);
	eng_dev_close(dev);
	eng_pool_destroy(pool);
}
END_TEST

/* ---- a queue that belongs to a thread --------------------------------- */

enum { OPS = 3000, WAKES = 2000 };	/* more than the kernel takes at once */

struct owned {
	struct eng_ring_op op[OPS];
	struct eng_queue *q;
	bool		ready;			/* atomic */
	unsigned int	ended, wakes;		/* atomic */
};

static struct owned owned;

static void nop_prep(struct eng_ring_op *op, struct io_uring_sqe *sqe)
{
	(void)op;
	io_uring_prep_nop(sqe);
}

/* Each once more, started by its own end. */
static void nop_end(struct eng_ring_op *op, int res)
{
	unsigned int n = __atomic_add_fetch(&owned.ended, 1, __ATOMIC_RELAXED);

	ck_assert_int_eq(res, 0);
	if (n <= OPS)
		eng_queue_push(owned.q, op);
}

static void *wake_owner(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&owned.ready, __ATOMIC_ACQUIRE))
		usleep(100);
	for (unsigned int i = 0; i < WAKES; i++) {
		__atomic_add_fetch(&owned.wakes, 1, __ATOMIC_RELAXED);
		ck_assert_int_eq(eng_queue_wake(owned.q), 0);
	}
	return NULL;
}

/* Whoever wakes it: what it was given ends, once each, and it never sleeps
 * through the last one. */
START_TEST(owner_is_woken)
{
	pthread_t waker;
	int err = eng_queue_create(&owned.q, "test", eng_queue_own_flags(),
				   true);

	if (err) {
		printf("skip - no ring for one thread: %s\n", strerror(-err));
		return;
	}
	if (eng_queue_wake(owned.q)) {
		printf("skip - this kernel can't wake a ring's owner\n");
		eng_queue_destroy(owned.q);
		return;
	}
	pthread_create(&waker, NULL, wake_owner, NULL);
	__atomic_store_n(&owned.ready, true, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < OPS; i++) {
		owned.op[i].prep = nop_prep;
		owned.op[i].end = nop_end;
		eng_queue_push(owned.q, &owned.op[i]);
	}
	do
		eng_queue_run(owned.q);
	while (__atomic_load_n(&owned.ended, __ATOMIC_RELAXED) < 2 * OPS ||
	       __atomic_load_n(&owned.wakes, __ATOMIC_RELAXED) < WAKES);
	pthread_join(waker, NULL);
	ck_assert_uint_eq(owned.ended, 2 * OPS);
	eng_queue_destroy(owned.q);
}
END_TEST

/* ---- what a thread starts by its own queue ---------------------------- */

enum { READS = 64, SMALL = 128, LARGE = 256 };	/* intervals */

struct reads {
	struct eng_ring_op begin;
	struct eng_dev	*dev;
	struct eng_queue *q;
	pthread_t	owner;
	uint32_t	intervals;
	unsigned int	ended;			/* atomic */
	unsigned int	here;			/* atomic: on the owner */
	uint8_t		want[SIZE];
};

static struct reads reads;

static void read_end(struct eng_io *io)
{
	size_t bytes = (size_t)io->count * INTERVAL;
	uint8_t *buf = io->arg;

	ck_assert_int_eq(io->err, 0);
	ck_assert_msg(!memcmp(buf, reads.want + io->start * INTERVAL, bytes),
		      "read at %llu: something else",
		      (unsigned long long)io->start);
	if (pthread_equal(pthread_self(), reads.owner))
		count(&reads.here);
	eng_buf_put(reads.dev, buf, bytes);
	eng_io_put(io);
	count(&reads.ended);
	eng_queue_wake(reads.q);
}

static void start_reads(struct eng_ring_op *op, int res)
{
	uint32_t n = reads.intervals;

	(void)op;
	ck_assert_int_eq(res, 0);
	ck_assert_ptr_eq(eng_queue_here(), reads.q);
	for (unsigned int i = 0; i < READS; i++) {
		struct eng_io *io = eng_io_get_spare(reads.dev, n, 1);
		void *buf = eng_buf_get_spare(reads.dev, n * INTERVAL);

		ck_assert(io && buf);
		io->op = ENG_READ;
		io->flags |= ENG_IO_HERE;
		io->start = rnd(SIZE / INTERVAL - n);
		io->end = read_end;
		io->arg = buf;
		for (uint32_t j = 0; j < n; j++)
			io->tags[j] = (uint16_t)(io->start + j);
		ck_assert_int_eq(eng_io_add(io, buf, n * INTERVAL), 0);
		eng_io_submit(io);
	}
}

/* _i: large ones are verified elsewhere */
START_TEST(owner_completes_what_it_starts)
{
	struct eng_pool *pool;
	int err = eng_queue_create(&reads.q, "test", eng_queue_own_flags(),
				   true);

	if (err || eng_queue_wake(reads.q)) {
		printf("skip - no ring for one thread here\n");
		eng_queue_destroy(reads.q);
		return;
	}
	ck_assert_int_eq(eng_pool_create(&pool, 1), 0);
	reads.dev = open_device(pool);
	reads.owner = pthread_self();
	reads.intervals = _i ? LARGE : SMALL;
	reads.begin.prep = nop_prep;
	reads.begin.end = start_reads;
	fill(reads.want, SIZE, 7);
	for (uint32_t at = 0; at < SIZE / INTERVAL; at += LARGE)
		ck_assert_int_eq(run(reads.dev, ENG_WRITE, at, LARGE,
				     reads.want + at * INTERVAL), 0);
	eng_queue_push(reads.q, &reads.begin);
	while (__atomic_load_n(&reads.ended, __ATOMIC_RELAXED) < READS)
		eng_queue_run(reads.q);
	ck_assert_uint_eq(reads.here, _i ? 0 : READS);
	ck_assert_ptr_null(eng_queue_here());
	eng_dev_close(reads.dev);
	eng_pool_destroy(pool);
	eng_queue_destroy(reads.q);
}
END_TEST

/* ---- all of them ------------------------------------------------------ */

int main(void)
{
	Suite *s = suite_create("ring");
	TCase *tc = tcase_create("short");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, short_transfers_of_files_go_on);
	tcase_add_loop_test(tc, end_of_file_is_an_error, 0, 2);
	tcase_add_test(tc, only_what_was_never_written_is_a_hole);
	tcase_add_test(tc, short_transfers_of_devices_go_on);
	tcase_add_test(tc, owner_is_woken);
	tcase_add_loop_test(tc, owner_completes_what_it_starts, 0, 2);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
