/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_soft_threads.c - the software container with little memory, with many
 * threads, and on real files. */
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "engine/soft_bed.h"

/* ---- memory ----------------------------------------------------------- */

static size_t lacking;		/* bytes; 0: any */
static unsigned int lacked;

static int no_memory(void **out, size_t align, size_t bytes)
{
	lacked += !lacking || bytes == lacking;
	return !lacking || bytes == lacking ? ENOMEM :
	       posix_memalign(out, align, bytes);
}

/* A request needs memory for tuple pages that it has to load, and for
 * nothing else; others do not suffer for it. */
START_TEST(memory_is_lacking_for_one_request)
{
	struct bed b;
	uint32_t n = 1500;

	bed_format(&b, 0, bed_size(0, 6), 1);
	bed_open(&b);
	must_write(&b, 0, n, 1);
	must_flush(&b);
	must_read(&b, 0, n);
	lacking = 0;
	eng_bufs_alloc = no_memory;
	must_read(&b, 0, n);
	must_write(&b, 0, n, 2);
	must_flush(&b);
	must_read(&b, 0, n);
	eng_dev_drop_caches(b.dev);
	ck_assert_int_eq(try_read(&b, 0, n, b.ver, 0, NULL, &b.rand),
			 -ENOMEM);
	eng_bufs_alloc = posix_memalign;
	must_read(&b, 0, n);
	bed_free(&b);
}
END_TEST

/* A damaged page is settled by the data.  Where these can't be read for want
 * of memory, nothing is concluded and nothing rewritten. */
START_TEST(merge_without_memory_waits_for_it)
{
	uint64_t last;
	struct bed b;

	bed_format(&b, 0, bed_size(0, 1), 1);
	bed_open(&b);
	for (uint32_t i = 18; i < 22; i++) {	/* all in one sector */
		must_write(&b, (uint64_t)i * b.group, b.group, i);
		must_flush(&b);
	}
	last = 21ull * b.group;
	sim_flip(b.sim, SOFT_BLOCK + offsetof(struct soft_disk_page, tuples) +
		 17 * b.group * b.lay.profile->meta_size, 0xff);
	bed_reopen(&b);
	lacked = 0;
	lacking = b.group * b.lay.profile->interval;
	eng_bufs_alloc = no_memory;
	ck_assert_int_eq(try_read(&b, last, b.group, b.ver + last, 0, NULL,
				  &b.rand), -ENOMEM);
	must_flush(&b);
	eng_bufs_alloc = posix_memalign;
	ck_assert_uint_gt(lacked, 0);
	must_be_intact(&b);
	bed_free(&b);
}
END_TEST

/* ---- cache and threads ------------------------------------------------ */

/* Memory is bounded, whatever is touched; nothing is lost by eviction. */
START_TEST(cache_is_bounded)	/* _i: mode */
{
	enum { ZONES = 1000 };
	struct bed b;

	bed_format(&b, 0, bed_size(0, ZONES), 1);
	b.mode = _i;
	b.how.cache = 1;
	bed_open(&b);
	for (uint32_t i = 1; i < 3 * ZONES; i++) {
		uint64_t z = mix(i, 1) % ZONES;

		must_write(&b, zone_start(&b, z) + i % 60 * 8, 8, i);
		ck_assert_uint_le(stat_of(&b, "pages"), 70);
		z = mix(i, 2) % ZONES;
		for (uint64_t at = zone_start(&b, z), end = at + 480; at < end;
		     at += 8)
			if (b.ver[at])
				must_read(&b, at, 8);
	}
	must_flush(&b);
	ck_assert_uint_le(stat_of(&b, "pages"), stat_of(&b, "pages_max"));
	ck_assert_uint_eq(stat_of(&b, "pages_busy"), 0);
	bed_reopen(&b);
	must_be_intact(&b);
	bed_free(&b);
}
END_TEST

struct worker {
	struct bed	*b;
	unsigned int	id, of;
	uint64_t	rand;
	pthread_t	thread;
};

/* Has the groups whose number is id modulo of; others are in the same
 * zones. */
static void *work(void *arg)
{
	struct worker *w = arg;
	struct bed *b = w->b;
	uint64_t groups = b->lay.intervals / b->group / w->of * w->of, g;

	for (uint32_t i = 1; i < 300; i++) {
		uint64_t at;

		g = sim_rand(&w->rand) % groups / w->of * w->of + w->id;
		at = g * b->group;
		if (i % 40 == 0)
			ck_assert_int_eq(eng_dev_flush(b->dev), 0);
		else if (i % 3 || !b->ver[at])
			ck_assert_int_eq(try_write(b, at, b->group,
						   i, &w->rand), 0);
		else
			ck_assert_int_eq(try_read(b, at, b->group, b->ver + at,
					i % 2 ? ENG_IO_MEDIUM : 0, NULL,
					&w->rand), 0);
		if (i % 100 == 0)
			eng_dev_drop_caches(b->dev);
	}
	return NULL;
}

static void work_together(struct bed *b)
{
	enum { N = 6 };
	struct worker w[N];

	for (unsigned int i = 0; i < N; i++) {
		w[i] = (struct worker){ .b = b, .id = i, .of = N, .rand = i };
		ck_assert_int_eq(pthread_create(&w[i].thread, NULL, work,
						&w[i]), 0);
	}
	for (unsigned int i = 0; i < N; i++)
		pthread_join(w[i].thread, NULL);
	must_flush(b);
}

/* Threads that share zones, flushes and a tiny cache don't meet. */
START_TEST(threads_do_not_meet)	/* _i: profile, then mode */
{
	struct bed b;

	bed_format(&b, _i % NPROFILES, bed_size(_i % NPROFILES, 90), 1);
	b.mode = _i / NPROFILES ? SIM_THREAD : SIM_INLINE;
	b.how.cache = 1;
	eng_pool_destroy(b.pool);
	ck_assert_int_eq(eng_pool_create(&b.pool, 2), 0);
	b.how.pool = b.pool;
	bed_open(&b);
	work_together(&b);
	must_be_intact(&b);
	bed_close(&b);
	sim_settle(b.sim, false);
	bed_open(&b);
	must_be_intact(&b);
	bed_free(&b);
}
END_TEST

/* Writes free groups of its own only; what it wrote before a flush of its
 * own is live.  Until the power goes. */
static void *work_until_off(void *arg)
{
	struct worker *w = arg;
	struct bed *b = w->b;
	uint64_t groups = b->lay.intervals / b->group, g, from = w->id;

	for (g = w->id; g < groups; g += w->of) {
		if (try_write(b, g * b->group, b->group, 1, &w->rand))
			return NULL;
		if (sim_rand(&w->rand) % 8)
			continue;
		if (eng_dev_flush(b->dev))
			return NULL;
		for (; from <= g; from += w->of)
			memset(b->fate + from * b->group, LIVE, b->group);
	}
	return NULL;
}

/* What a thread had flushed is there, whatever others did meanwhile. */
START_TEST(threads_and_power_cut)	/* _i: seed */
{
	enum { N = 4 };
	struct worker w[N];
	struct bed b;

	bed_format(&b, 0, bed_size(0, 80), (uint64_t)_i);
	b.mode = SIM_THREAD;
	b.how.cache = 1;
	bed_open(&b);
	sim_power_off_at(b.sim, mix(_i, 1) % 4000);
	for (unsigned int i = 0; i < N; i++) {
		w[i] = (struct worker){ .b = &b, .id = i, .of = N, .rand = i };
		pthread_create(&w[i].thread, NULL, work_until_off, &w[i]);
	}
	for (unsigned int i = 0; i < N; i++)
		pthread_join(w[i].thread, NULL);
	bed_close(&b);
	sim_crash(b.sim, (uint64_t)_i);
	b.mode = SIM_INLINE;
	bed_open(&b);
	must_be_intact(&b);
	bed_free(&b);
}
END_TEST

struct late {
	struct bed	*b;
	pthread_t	thread;
	bool		begun;
	sem_t		flushing;
};

static void *write_late(void *arg)
{
	struct late *l = arg;

	ck_assert_int_eq(try_write(l->b, 8, 8, 9, &l->b->rand), 0);
	sem_post(&l->flushing);
	ck_assert_int_eq(try_flush(l->b), 0);
	return NULL;
}

/* In the middle of a flush, when the page is on its way. */
static void start_late(void *arg, uint64_t off, uint64_t len)
{
	const struct timespec while_it_waits = { .tv_nsec = 50000000 };
	struct late *l = arg;

	if (l->begun || len != SOFT_BLOCK || off >= SOFT_BLOCK + SOFT_PAGES)
		return;
	l->begun = true;
	pthread_create(&l->thread, NULL, write_late, l);
	while (sem_wait(&l->flushing))
		;
	nanosleep(&while_it_waits, NULL);
}

/* Who comes while a flush runs is not answered by that one. */
START_TEST(late_flush_is_another)
{
	struct late l = { 0 };
	struct bed b;

	bed_generations(&b, 0);
	l.b = &b;
	sem_init(&l.flushing, 0, 0);
	must_write(&b, 24, 8, 8);
	sim_on_write(b.sim, start_late, &l);
	ck_assert_int_eq(eng_dev_flush(b.dev), 0);
	ck_assert(l.begun);
	pthread_join(l.thread, NULL);
	sim_settle(b.sim, false);
	bed_reopen(&b);
	must_be_intact(&b);
	sem_destroy(&l.flushing);
	bed_free(&b);
}
END_TEST

static void *flush_some(void *arg)
{
	struct bed *b = arg;

	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(eng_dev_flush(b->dev), 0);
	return NULL;
}

/* Callers that come together share the work. */
START_TEST(flushes_are_shared)
{
	enum { N = 8 };
	pthread_t t[N];
	struct bed b;

	bed_generations(&b, 0);
	for (int i = 0; i < N; i++)
		pthread_create(&t[i], NULL, flush_some, &b);
	for (int i = 0; i < N; i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_eq(stat_of(&b, "flushes"), 3 + N * 50);
	ck_assert_uint_le(stat_of(&b, "raw_flushes"), 3 + N * 50);
	bed_free(&b);
}
END_TEST

/* The counters of writes and flushes are what the storage sees of them. */
START_TEST(raw_counters_are_complete)	/* _i: profile */
{
	struct sim_counts before, after;
	struct bed b;

	bed_generations(&b, _i);
	sim_flip(b.sim, 8, 1);		/* a header to be healed */
	bed_reopen(&b);
	sim_counts(b.sim, &before);
	for (uint32_t i = 1; i < 20; i++) {
		must_write(&b, i * (b.lay.zone_intervals - 2) / 19, 4, i);
		if (i % 4 == 0)
			must_flush(&b);
	}
	must_flush(&b);
	sim_counts(b.sim, &after);
	ck_assert_uint_eq(stat_of(&b, "raw_writes"),
			  after.writes - before.writes);
	ck_assert_uint_eq(stat_of(&b, "raw_write_bytes"),
			  after.written_bytes - before.written_bytes);
	ck_assert_uint_eq(stat_of(&b, "raw_flushes"),
			  after.flushes - before.flushes);
	bed_free(&b);
}
END_TEST

/* ---- files ------------------------------------------------------------ */

static char file_name[64];

static void file_make(struct bed *b, int profile, uint64_t size)
{
	int fd;

	memset(b, 0, sizeof(*b));
	strcpy(file_name, "check_soft.XXXXXX");
	fd = mkstemp(file_name);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	close(fd);
	b->path = file_name;
	b->mode = SIM_THREAD;		/* completes by itself */
	b->lay.profile = eng_profile_find(profiles[profile]);
	ck_assert_int_eq(eng_soft_format(b->path, b->lay.profile), 0);
	ck_assert_int_eq(eng_pool_create(&b->pool, 2), 0);
	b->how.pool = b->pool;
	bed_model(b, size);
}

static void file_free(struct bed *b)
{
	bed_free(b);
	unlink(file_name);
}

/* The same promises on a real file. */
START_TEST(files_work)	/* _i: profile */
{
	struct bed b;

	file_make(&b, _i, bed_size(_i, 70));
	b.how.cache = 1;
	bed_open(&b);
	work_together(&b);
	eng_dev_drop_caches(b.dev);
	must_be_intact(&b);
	bed_reopen(&b);
	must_be_intact(&b);
	must_write(&b, 0, 3 * b.group, 1);
	must_flush(&b);
	ck_assert_int_eq(eng_dev_discard(b.dev, b.group, b.group), 0);
	must_escape(&b, b.group, 1);
	file_free(&b);
}
END_TEST

START_TEST(huge_file_is_sparse)
{
	struct bed b;
	uint32_t ver[8] = { 9, 9, 9, 9, 9, 9, 9, 9 };

	file_make(&b, 0, 8ull << 40);
	free(b.ver);
	b.ver = NULL;
	bed_open(&b);
	ck_assert_int_eq(try_write(&b, b.lay.intervals - 8, 8, 9, &b.rand), 0);
	ck_assert_int_eq(eng_dev_flush(b.dev), 0);
	bed_reopen(&b);
	ck_assert_int_eq(try_read(&b, b.lay.intervals - 8, 8, ver, 0, NULL,
				  &b.rand), 0);
	file_free(&b);
}
END_TEST

/* What is filled ahead takes the place of nothing that was written, before or
 * afterwards, and ends with the file. */
START_TEST(holes_are_filled_ahead)
{
	enum { PAGES = 1024, PAGE = 4096, EACH = 300 };
	static uint8_t page[PAGE], back[PAGE], zeros[PAGE];
	static bool written[PAGES];
	uint64_t state = 5;
	struct eng_raw *raw;
	struct statfs fs;
	struct stat st;
	struct bed b;
	int fd;

	file_make(&b, 0, PAGES * PAGE);
	fd = open(b.path, O_RDWR);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(ftruncate(fd, PAGES * PAGE), 0);
	ck_assert_int_eq(eng_raw_open(&raw, b.path, fd, 0), 0);
	for (unsigned int i = 0; i < EACH; i++) {
		unsigned int at = i % 3 ? i : sim_rand(&state) % PAGES;

		memset(page, (int)at | 1, PAGE);
		written[at] = true;
		ck_assert_int_eq(eng_raw_rw(raw, true, (uint64_t)at * PAGE,
					    page, PAGE), 0);
		ck_assert_int_eq(raw->ops->flush(raw), 0);
	}
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, PAGES * PAGE);
	ck_assert_int_eq(fstatfs(fd, &fs), 0);
	if (fs.f_type == EXT4_SUPER_MAGIC)
		ck_assert_int_gt(st.st_blocks * 512, EACH * PAGE * 2);
	for (unsigned int i = 0; i < PAGES; i++) {
		memset(page, (int)i | 1, PAGE);
		ck_assert_int_eq(eng_raw_rw(raw, false, (uint64_t)i * PAGE,
					    back, PAGE), 0);
		ck_assert_msg(!memcmp(back, written[i] ? page : zeros, PAGE),
			      "page %u", i);
	}
	raw->ops->close(raw);
	close(fd);
	file_free(&b);
}
END_TEST

/* One writer or many readers. */
START_TEST(files_are_locked)
{
	struct eng_dev *second;
	struct eng_open rdonly;
	struct bed b;

	file_make(&b, 0, 1 << 20);
	rdonly = b.how;
	rdonly.flags = ENG_OPEN_RDONLY;
	bed_open(&b);
	ck_assert_int_eq(eng_dev_open(&second, b.path, &b.how), -EBUSY);
	ck_assert_ptr_null(second);
	ck_assert_int_eq(eng_dev_open(&second, b.path, &rdonly), -EBUSY);
	bed_close(&b);
	b.how.flags = ENG_OPEN_RDONLY;
	bed_open(&b);
	ck_assert_int_eq(eng_dev_open(&second, b.path, &rdonly), 0);
	eng_dev_close(second);
	b.how.flags = 0;
	ck_assert_int_eq(eng_dev_open(&second, b.path, &b.how), -EBUSY);
	file_free(&b);
}
END_TEST

START_TEST(other_things_are_no_device)
{
	struct eng_open how = { 0 };
	struct eng_dev *dev;

	ck_assert_int_eq(eng_dev_open(&dev, "/", &how), -EISDIR);
	ck_assert_int_eq(eng_dev_open(&dev, "/dev/null", &how), -ENOTBLK);
	ck_assert_int_eq(eng_dev_open(&dev, "/nonexistent", &how), -ENOENT);
	ck_assert_ptr_null(dev);
}
END_TEST

struct burst {
	struct eng_raw_io raw;
	struct iovec	iov[3];
	sem_t		*done;
	int		err;
};

static void burst_end(struct eng_raw_io *raw, int err)
{
	struct burst *t = raw->arg;

	t->err = err;
	sem_post(t->done);
}

/* More in flight than the ring has room for. */
START_TEST(ring_may_overflow)
{
	enum { N = 4000, LEN = 1536 };
	struct burst *t = calloc(N, sizeof(*t));
	uint8_t *buf = malloc(N * LEN), *back = calloc(N, LEN);
	struct eng_raw *raw;
	struct bed b;
	sem_t done;
	int fd;

	file_make(&b, 0, N * LEN);
	sem_init(&done, 0, 0);
	make_data(buf, N * LEN, 1, 1);
	fd = open(b.path, O_RDWR);
	ck_assert_int_eq(eng_raw_open(&raw, b.path, fd, 0), 0);
	close(fd);
	for (int write = 1; write >= 0; write--) {
		if (!write)
			raw->ops->flush(raw);
		if (!write)
			raw->ops->forget(raw, 0, raw->size);
		for (int i = 0; i < N; i++) {
			t[i].done = &done;
			t[i].raw.write = write;
			t[i].raw.off = (uint64_t)i * LEN;
			t[i].raw.iov = t[i].iov;
			t[i].raw.niov = 3;
			t[i].raw.end = burst_end;
			t[i].raw.arg = &t[i];
			for (int j = 0; j < 3; j++)
				t[i].iov[j] = (struct iovec){
					(write ? buf : back) + i * LEN +
						j * 512, 512 };
			raw->ops->submit(raw, &t[i].raw);
		}
		for (int i = 0; i < N; i++)
			while (sem_wait(&done))
				;
		for (int i = 0; i < N; i++)
			ck_assert_int_eq(t[i].err, 0);
	}
	ck_assert_mem_eq(buf, back, N * LEN);
	/* Past the end: refused, or short, which is an error. */
	ck_assert_int_eq(eng_raw_rw(raw, false, raw->size, buf, 512), -EINVAL);
	ck_assert_int_eq(truncate(b.path, N * LEN - 512), 0);
	ck_assert_int_eq(eng_raw_rw(raw, false, (N - 1) * LEN, buf, LEN),
			 -EIO);
	raw->ops->close(raw);
	sem_destroy(&done);
	free(t);
	free(buf);
	free(back);
	file_free(&b);
}
END_TEST

static TCase *thread_case(void)
{
	TCase *tc = tcase_create("threads");

	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, memory_is_lacking_for_one_request);
	tcase_add_test(tc, merge_without_memory_waits_for_it);
	tcase_add_loop_test(tc, cache_is_bounded, 0, 3);
	tcase_add_loop_test(tc, threads_do_not_meet, 0, 2 * NPROFILES);
	tcase_add_loop_test(tc, threads_and_power_cut, 0, 10);
	tcase_add_test(tc, late_flush_is_another);
	tcase_add_test(tc, flushes_are_shared);
	tcase_add_loop_test(tc, raw_counters_are_complete, 0, NPROFILES);
	return tc;
}

static TCase *file_case(void)
{
	TCase *tc = tcase_create("files");

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, files_work, 0, NPROFILES);
	tcase_add_test(tc, huge_file_is_sparse);
	tcase_add_test(tc, holes_are_filled_ahead);
	tcase_add_test(tc, files_are_locked);
	tcase_add_test(tc, other_things_are_no_device);
	tcase_add_test(tc, ring_may_overflow);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("soft threads");

	suite_add_tcase(suite, thread_case());
	suite_add_tcase(suite, file_case());
	return soft_run(suite);
}
