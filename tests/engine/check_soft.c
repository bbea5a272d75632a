/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_soft.c - what the software container promises.
 *
 * The model: every interval has a version, 0 if never written.  Version and
 * address determine its bytes and its tag, so that whatever a read returns
 * can be told from anything else that was ever written. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "core/buf.h"
#include "support/sim_raw.h"
#include "soft/dev_soft.h"
#include "soft/soft_priv.h"

static const char *const profiles[] = {
	"512+8:type1", "4096+8:type1", "4096+16:type1:crc64", "4096+64:type1",
	"512+64:type1",
};
enum { NPROFILES = sizeof(profiles) / sizeof(*profiles) };

static const char *const mode_names[] = { "inline", "manual", "thread" };

enum fate {
	FREE,		/* nothing is promised */
	NEW,		/* written since the last flush */
	LIVE,		/* written and flushed: must be there */
};

struct bed {
	struct sim	*sim;		/* or path */
	const char	*path;
	enum sim_mode	mode;
	struct eng_pool	*pool;
	struct eng_dev	*dev;
	struct eng_open	how;
	struct soft_layout lay;
	uint32_t	group;
	uint32_t	*ver;		/* of each interval */
	uint8_t		*fate;
	uint64_t	rand;
	char		where[64];	/* for messages */
};

/* ---- log -------------------------------------------------------------- */

static int log_lines[8];
static char log_last[512];

static void log_take(int level, const char *line)
{
	__atomic_add_fetch(&log_lines[level & 7], 1, __ATOMIC_RELAXED);
	if (getenv("CHECK_SOFT_LOG"))
		fprintf(stderr, "<%d> %s\n", level, line);
	if (level <= LOG_ERR)
		snprintf(log_last, sizeof(log_last), "%s", line);
}

/* ---- data ------------------------------------------------------------- */

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t state = a * 0x9e3779b97f4a7c15ull ^ b;

	sim_rand(&state);
	return sim_rand(&state);
}

static void make_data(uint8_t *buf, size_t len, uint64_t interval,
		      uint32_t ver)
{
	uint64_t state = mix(interval, ver), word;

	for (size_t i = 0; i < len; i += 8) {
		word = sim_rand(&state);
		memcpy(buf + i, &word, 8);
	}
}

static uint16_t make_tag(uint64_t interval, uint32_t ver)
{
	return mix(interval + 1, ver) & 0x7fff;
}

/* ---- bed -------------------------------------------------------------- */

static void bed_model(struct bed *b, uint64_t size)
{
	uint64_t n;

	ck_assert_int_eq(soft_layout(&b->lay, b->lay.profile, size), 0);
	b->group = b->lay.group;
	n = b->lay.intervals < 1 << 20 ? b->lay.intervals : 1 << 20;
	b->ver = calloc(n, sizeof(*b->ver));
	b->fate = calloc(n, 1);
	snprintf(b->where, sizeof(b->where), "seed %llu",
		 (unsigned long long)b->rand);
}

static void bed_format(struct bed *b, int profile, uint64_t size,
		       uint64_t seed)
{
	memset(b, 0, sizeof(*b));
	b->lay.profile = eng_profile_find(profiles[profile]);
	ck_assert_ptr_nonnull(b->lay.profile);
	b->rand = seed;
	b->sim = sim_create(size, seed);
	ck_assert_int_eq(eng_soft_format_raw(sim_raw(b->sim), b->lay.profile,
					     seed), 0);
	ck_assert_int_eq(eng_pool_create_serial(&b->pool), 0);
	b->how.pool = b->pool;
	bed_model(b, size);
}

static void bed_open(struct bed *b)
{
	int err;

	if (b->sim)
		sim_set_mode(b->sim, b->mode);
	err = b->sim ? eng_soft_open(&b->dev, sim_raw(b->sim), &b->how) :
		       eng_dev_open(&b->dev, b->path, &b->how);
	ck_assert_msg(!err, "%s: open: %s", b->where, strerror(-err));
	ck_assert_uint_eq(eng_dev_geometry(b->dev)->intervals,
			  b->lay.intervals);
}

static void bed_close(struct bed *b)
{
	eng_dev_close(b->dev);
	b->dev = NULL;
}

static void bed_reopen(struct bed *b)
{
	bed_close(b);
	bed_open(b);
}

static void bed_free(struct bed *b)
{
	bed_close(b);
	sim_destroy(b->sim);
	eng_pool_destroy(b->pool);
	free(b->ver);
	free(b->fate);
}

/* n zones and a short one. */
static uint64_t bed_size(int profile, unsigned int zones)
{
	struct soft_layout l;
	const struct eng_profile *p = eng_profile_find(profiles[profile]);

	ck_assert_int_eq(soft_layout(&l, p, 1ull << 30), 0);
	return 2 * SOFT_BLOCK + zones * l.zone_bytes + SOFT_PAGES +
	       5 * eng_profile_run(p, 16) + 4096;
}

static uint64_t stat_of(struct bed *b, const char *name)
{
	char buf[1024], key[64];
	const char *at;

	ck_assert_int_lt(eng_dev_stats(b->dev, buf, sizeof(buf)), sizeof(buf));
	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(buf, key);
	ck_assert_ptr_nonnull(at);
	return strtoull(at + strlen(key), NULL, 10);
}

/* ---- I/O -------------------------------------------------------------- */

static void io_end(struct eng_io *io)
{
	sem_post(io->arg);
}

/* eng_io_run() for storage that does nothing by itself. */
static int run(struct bed *b, struct eng_io *io)
{
	sem_t done;

	sem_init(&done, 0, 0);
	io->end = io_end;
	io->arg = &done;
	eng_io_submit(io);
	while (b->mode == SIM_MANUAL && sem_trywait(&done))
		if (!sim_run(b->sim, 1))
			ck_abort_msg("%s: request is stuck", b->where);
	while (b->mode != SIM_MANUAL && sem_wait(&done))
		;
	sem_destroy(&done);
	return io->err;
}

/* count intervals in segments of random sizes, out of one buffer. */
static struct eng_io *io_make(struct bed *b, enum eng_op op, uint64_t start,
			      uint32_t count, uint8_t *buf, uint64_t *rand)
{
	uint32_t unit = b->lay.profile->interval, done = 0, n;
	struct eng_io *io = eng_io_get(b->dev, count, 16);

	ck_assert_ptr_nonnull(io);
	io->op = op;
	io->start = start;
	for (unsigned int i = 0; done < count; i++, done += n) {
		n = 1 + sim_rand(rand) % (count - done);
		if (i == 15)
			n = count - done;
		ck_assert_int_eq(eng_io_add(io, buf + (size_t)done * unit,
					    (size_t)n * unit), 0);
	}
	return io;
}

/* All of it in one version. */
static int try_write(struct bed *b, uint64_t start, uint32_t count,
		     uint32_t ver, uint64_t *rand)
{
	uint32_t unit = b->lay.profile->interval;
	uint8_t *buf = malloc((size_t)count * unit);
	struct eng_io *io = io_make(b, ENG_WRITE, start, count, buf, rand);
	int err;

	for (uint32_t i = 0; i < count; i++) {
		make_data(buf + (size_t)i * unit, unit, start + i, ver);
		io->tags[i] = make_tag(start + i, ver);
	}
	err = run(b, io);
	eng_io_put(io);
	free(buf);
	for (uint32_t i = 0; i < count && b->ver; i++) {
		b->ver[start + i] = ver;
		b->fate[start + i] = err ? FREE : NEW;
	}
	return err;
}

static void must_write(struct bed *b, uint64_t start, uint32_t count,
		       uint32_t ver)
{
	int err = try_write(b, start, count, ver, &b->rand);

	ck_assert_msg(!err, "%s: write %llu+%u: %s", b->where,
		      (unsigned long long)start, count, strerror(-err));
}

/* 0 only if every byte is what its version says. */
static int try_read(struct bed *b, uint64_t start, uint32_t count,
		    const uint32_t *ver, unsigned int flags,
		    struct eng_fault *fault, uint64_t *rand)
{
	uint32_t unit = b->lay.profile->interval;
	uint8_t *buf = malloc((size_t)count * unit), *want = malloc(unit);
	struct eng_io *io = io_make(b, ENG_READ, start, count, buf, rand);
	int err;

	io->flags = flags;
	for (uint32_t i = 0; i < count; i++)
		io->tags[i] = make_tag(start + i, ver[i]);
	err = run(b, io);
	if (fault)
		*fault = io->fault;
	for (uint32_t i = 0; i < count && !err; i++) {
		make_data(want, unit, start + i, ver[i]);
		ck_assert_msg(!memcmp(want, buf + (size_t)i * unit, unit),
			      "%s: interval %llu: WRONG DATA", b->where,
			      (unsigned long long)start + i);
	}
	eng_io_put(io);
	free(want);
	free(buf);
	return err;
}

static void must_read(struct bed *b, uint64_t start, uint32_t count)
{
	struct eng_fault f;
	int err = try_read(b, start, count, b->ver + start, 0, &f, &b->rand);

	ck_assert_msg(!err, "%s: read %llu+%u: %s, %s at %llu: %llx, not %llx",
		      b->where, (unsigned long long)start, count,
		      strerror(-err), eng_fault_name(f.kind),
		      (unsigned long long)f.interval,
		      (unsigned long long)f.actual,
		      (unsigned long long)f.expected);
}

static void must_escape(struct bed *b, uint64_t start, uint32_t count)
{
	struct eng_fault f;
	uint32_t ver[8] = { 0 };

	for (uint32_t i = 0; i < count; i++) {
		ck_assert_int_eq(try_read(b, start + i, 1, ver, 0, &f,
					  &b->rand), -EBADMSG);
		ck_assert_msg(f.kind == ENG_FAULT_ESCAPE, "%s: %llu: %s",
			      b->where, (unsigned long long)start + i,
			      eng_fault_name(f.kind));
	}
}

static int try_flush(struct bed *b)
{
	int err = eng_dev_flush(b->dev);

	for (uint64_t i = 0; i < b->lay.intervals && !err; i++)
		if (b->fate[i] == NEW)
			b->fate[i] = LIVE;
	return err;
}

static void must_flush(struct bed *b)
{
	int err = try_flush(b);

	ck_assert_msg(!err, "%s: flush: %s", b->where, strerror(-err));
}

/* Groups with a live interval that can't be read. */
static unsigned int count_lost(struct bed *b)
{
	unsigned int lost = 0;

	for (uint64_t i = 0; i < b->lay.intervals; i += b->group)
		lost += b->fate[i] != FREE &&
			try_read(b, i, b->group, b->ver + i, 0, NULL,
				 &b->rand);
	return lost;
}

/* What was flushed is there; of the rest nothing wrong is returned. */
static void must_be_intact(struct bed *b)
{
	for (uint64_t i = 0; i < b->lay.intervals; i += b->group) {
		if (b->fate[i] == LIVE)
			must_read(b, i, b->group);
		else if (b->ver[i])
			try_read(b, i, b->group, b->ver + i, 0, NULL,
				 &b->rand);
	}
}

/* ---- round trips ------------------------------------------------------ */

static uint64_t zone_start(const struct bed *b, uint64_t zone)
{
	return zone * b->lay.zone_intervals;
}

static uint32_t some_count(struct bed *b, uint64_t start)
{
	uint64_t left = b->lay.intervals - start;
	uint32_t most = eng_dev_geometry(b->dev)->max_io;

	if (sim_rand(&b->rand) % 4)
		most = 3 * b->group;
	if (most > left)
		most = (uint32_t)left;
	return 1 + sim_rand(&b->rand) % most;
}

/* What is written is read, at any offset and in any pieces, also after the
 * container was closed and opened. */
START_TEST(reads_return_what_was_written)	/* _i: profile, mode */
{
	struct bed b;
	uint64_t start;
	uint32_t count, steps = 120;

	bed_format(&b, _i % NPROFILES, bed_size(_i % NPROFILES, 5),
		   (uint64_t)_i);
	b.mode = _i / NPROFILES;
	bed_open(&b);
	for (uint32_t step = 1; step < steps; step++) {
		snprintf(b.where, sizeof(b.where), "%s, %s, step %u",
			 b.lay.profile->name, mode_names[b.mode], step);
		start = sim_rand(&b.rand) % b.lay.intervals;
		must_write(&b, start, some_count(&b, start), step);
		start = sim_rand(&b.rand) % b.lay.intervals;
		count = some_count(&b, start);
		while (count && b.ver[start])
			start++, count--;	/* may go to the end */
		for (start -= !!start; start && b.ver[start - 1]; start--)
			;
		for (count = 0; start + count < b.lay.intervals &&
		     b.ver[start + count] &&
		     count < eng_dev_geometry(b.dev)->max_io; count++)
			;
		if (count)
			must_read(&b, start, count);
		if (step % 16 == 0)
			must_flush(&b);
		if (step % 16 == 0 && step % 48)
			bed_reopen(&b);
	}
	bed_free(&b);
}
END_TEST

/* Reads of part of what was written, of one interval, of the last one. */
START_TEST(reads_of_any_part)	/* _i: profile */
{
	struct bed b;
	uint64_t start;
	uint32_t all;

	bed_format(&b, _i, bed_size(_i, 2), 1);
	bed_open(&b);
	all = (uint32_t)b.lay.intervals;
	for (uint32_t i = 0; i < all; i += b.group)
		must_write(&b, i, b.group, i + 1);
	for (unsigned int i = 0; i < 200; i++) {
		start = sim_rand(&b.rand) % all;
		must_read(&b, start, some_count(&b, start));
		if (i % 50 == 20)
			eng_dev_drop_caches(b.dev);
	}
	must_read(&b, all - 1, 1);
	must_flush(&b);
	bed_reopen(&b);
	must_read(&b, all - b.group, b.group);
	for (unsigned int i = 0; i < 50; i++) {
		start = sim_rand(&b.rand) % all;
		must_read(&b, start, some_count(&b, start));
	}
	bed_free(&b);
}
END_TEST

/* A payload of as many segments as there can be, across zones. */
START_TEST(thousand_segments)
{
	enum { SEGS = 1024 };
	struct bed b;
	uint8_t *buf = malloc(SEGS * 512);
	struct eng_io *io;

	bed_format(&b, 0, bed_size(0, 6), 1);
	bed_open(&b);
	for (int op = ENG_WRITE; op >= ENG_READ; op--) {
		eng_dev_drop_caches(b.dev);
		io = eng_io_get(b.dev, SEGS, SEGS);
		ck_assert_ptr_nonnull(io);
		io->op = op;
		io->start = 5;
		for (int i = 0; i < SEGS; i++) {
			ck_assert_int_eq(eng_io_add(io, buf + i * 512, 512),
					 0);
			make_data(buf + i * 512, op ? 512 : 0, 5 + i, 1);
			io->tags[i] = make_tag(5 + i, 1);
			b.ver[5 + i] = 1;
		}
		ck_assert_int_eq(run(&b, io), 0);
		eng_io_put(io);
		must_flush(&b);
	}
	must_read(&b, 5, SEGS);
	free(buf);
	bed_free(&b);
}
END_TEST

/* What was never written is an escape, and so is what was discarded. */
START_TEST(unwritten_is_escape)	/* _i: profile */
{
	struct bed b;
	uint32_t g;

	bed_format(&b, _i, bed_size(_i, 2), 1);
	bed_open(&b);
	g = b.group;
	must_escape(&b, 0, 8);
	must_escape(&b, b.lay.intervals - 1, 1);
	must_write(&b, 0, 4 * g, 1);
	must_write(&b, zone_start(&b, 1) - g, 2 * g, 1);
	must_flush(&b);
	ck_assert_int_eq(eng_dev_discard(b.dev, g, 2 * g), 0);
	ck_assert_int_eq(eng_dev_discard(b.dev, zone_start(&b, 1) - g, 2 * g),
			 0);
	for (int i = 0; i < 2; i++) {
		must_escape(&b, g, 8);
		must_escape(&b, zone_start(&b, 1) - 4, 8);
		must_read(&b, 0, g);
		must_read(&b, 3 * g, g);
		must_flush(&b);
		bed_reopen(&b);
	}
	bed_free(&b);
}
END_TEST

START_TEST(discard_may_be_impossible)
{
	struct bed b;

	bed_format(&b, 0, bed_size(0, 1), 1);
	bed_open(&b);
	must_write(&b, 0, 8, 1);
	sim_fault(b.sim, SIM_DISCARD_FAIL, 0, -1ull, -EOPNOTSUPP, 0, 0);
	ck_assert_int_eq(eng_dev_discard(b.dev, 0, 8), -EOPNOTSUPP);
	must_read(&b, 0, 8);
	bed_free(&b);
}
END_TEST

/* A read across zones costs one raw read, pages that it misses included;
 * a page that is there costs nothing. */
START_TEST(reads_are_few)
{
	struct sim_counts before, after;
	struct bed b;
	uint32_t n = 1500;

	bed_format(&b, 0, bed_size(0, 6), 1);
	bed_open(&b);
	must_write(&b, 0, n, 1);
	must_flush(&b);
	bed_reopen(&b);
	for (int i = 0; i < 2; i++) {
		sim_counts(b.sim, &before);
		must_read(&b, 0, n);
		sim_counts(b.sim, &after);
		ck_assert_uint_eq(after.reads - before.reads, 1);
	}
	bed_reopen(&b);
	sim_counts(b.sim, &before);
	must_read(&b, 10, 1);
	sim_counts(b.sim, &after);
	ck_assert_uint_eq(after.reads - before.reads, 2);
	bed_free(&b);
}
END_TEST

/* ---- layout ----------------------------------------------------------- */

/* Any size: the last interval is usable, nothing overlaps. */
START_TEST(every_size_works)	/* _i: profile */
{
	const struct eng_profile *p = eng_profile_find(profiles[_i]);
	struct eng_soft_geometry geo;
	struct soft_layout l;
	struct bed b;
	uint64_t base, run_bytes = eng_profile_run(p, 16);

	ck_assert_int_eq(soft_layout(&l, p, 1ull << 30), 0);
	for (int64_t d = -20; d <= 20; d++) {
		base = 2 * SOFT_BLOCK + 2 * l.zone_bytes + SOFT_PAGES +
		       run_bytes + (uint64_t)(d * 1024);
		bed_format(&b, _i, base, 1);
		ck_assert_int_eq(eng_soft_geometry(p, base, &geo), 0);
		ck_assert_uint_eq(geo.intervals, b.lay.intervals);
		ck_assert_uint_eq(geo.intervals * p->interval + geo.overhead,
				  base);
		ck_assert_uint_ge(b.lay.size, SOFT_BLOCK +
				  soft_data_off(&b.lay, b.lay.zones - 1,
				  soft_zone_count(&b.lay, b.lay.zones - 1)));
		bed_open(&b);
		must_write(&b, b.lay.intervals - b.group, b.group, 7);
		must_flush(&b);
		bed_reopen(&b);
		must_read(&b, b.lay.intervals - b.group, b.group);
		bed_free(&b);
	}
	ck_assert_int_eq(eng_soft_geometry(p, 2 * SOFT_BLOCK + SOFT_PAGES +
					   run_bytes - 1, &geo), -ENOSPC);
	ck_assert_int_eq(eng_soft_geometry(p, 0, &geo), -ENOSPC);
	ck_assert_int_eq(eng_soft_geometry(p, 2 * SOFT_BLOCK + SOFT_PAGES +
					   run_bytes, &geo), 0);
	ck_assert_uint_eq(geo.intervals * p->interval, run_bytes);
}
END_TEST

/* Size costs nothing: not to format, not to open, not to write at the end. */
START_TEST(huge_is_sparse)	/* _i: profile */
{
	static const uint64_t sizes[] = {
		16ull << 40, (16ull << 40) + 12345, 1ull << 60, (1ull << 63) - 1
	};
	struct sim_counts counts;
	struct bed b;
	uint64_t last;
	uint32_t ver[8] = { 9, 9, 9, 9, 9, 9, 9, 9 };

	for (unsigned int i = 0; i < 4; i++) {
		bed_format(&b, _i, sizes[i], i);
		free(b.ver);
		b.ver = NULL;
		bed_open(&b);
		last = b.lay.intervals - 8;
		ck_assert_int_eq(try_write(&b, last, 8, 9, &b.rand), 0);
		ck_assert_int_eq(eng_dev_flush(b.dev), 0);
		bed_reopen(&b);
		ck_assert_int_eq(try_read(&b, last, 8, ver, 0, NULL, &b.rand),
				 0);
		sim_counts(b.sim, &counts);
		ck_assert_uint_lt(counts.blocks, 20);
		bed_free(&b);
	}
}
END_TEST

/* ---- power cuts ------------------------------------------------------- */

static uint64_t some_group(struct bed *b, enum fate fate, bool not)
{
	uint64_t n = b->lay.intervals / b->group, g = sim_rand(&b->rand) % n;

	for (uint64_t i = 0; i < n; i++, g = (g + 1) % n)
		if ((b->fate[g * b->group] == fate) != not)
			return g * b->group;
	return 0;
}

/* As the owner above does it: live groups are freed, never overwritten. */
static int some_work(struct bed *b, uint32_t steps, uint32_t ver)
{
	uint64_t at;
	int err = 0;

	for (uint32_t i = 0; i < steps && !err; i++) {
		switch (sim_rand(&b->rand) % 8) {
		case 0:
			err = try_flush(b);
			break;
		case 1:
			at = some_group(b, LIVE, false);
			memset(b->fate + at, FREE, b->group);
			break;
		case 2:
			at = some_group(b, FREE, false);
			if (b->fate[at] == FREE)
				err = eng_dev_discard(b->dev, at, b->group);
			break;
		default:
			at = some_group(b, FREE, false);
			if (b->fate[at] == FREE)
				err = try_write(b, at, b->group, ver + i,
						&b->rand);
		}
	}
	return err;
}

static uint64_t cuts;	/* pages that were being written */

static void forget_new(struct bed *b)
{
	for (uint64_t i = 0; i < b->lay.intervals; i++)
		if (b->fate[i] == NEW)
			b->fate[i] = FREE;
}

static int alarms(void)
{
	int n = 0;

	for (int level = 0; level <= LOG_WARNING; level++)
		n += __atomic_load_n(&log_lines[level], __ATOMIC_RELAXED);
	return n;
}

/* The power goes during write n of the second part, after a first part that
 * left live groups; then once more, later. */
static bool cut_power_at(int profile, uint64_t seed, uint64_t n)
{
	struct bed b;
	int before;
	bool off;

	bed_format(&b, profile, bed_size(profile, 2), seed);
	b.mode = seed % 2 ? SIM_MANUAL : SIM_INLINE;
	bed_open(&b);
	ck_assert_int_eq(some_work(&b, 30, 1), 0);
	must_flush(&b);
	sim_power_off_at(b.sim, n);
	some_work(&b, 60, 1000);
	off = sim_is_off(b.sim);
	for (int again = 0; again < 3; again++) {
		snprintf(b.where, sizeof(b.where), "%s, seed %llu, write %llu"
			 ", cut %d", b.lay.profile->name,
			 (unsigned long long)seed, (unsigned long long)n,
			 again);
		bed_close(&b);
		sim_crash(b.sim, mix(seed, n) + again);
		forget_new(&b);
		before = alarms();
		bed_open(&b);
		must_be_intact(&b);
		ck_assert_msg(alarms() == before, "%s: called damage: %s",
			      b.where, log_last);
		cuts += stat_of(&b, "interrupted");
		sim_power_off_at(b.sim, sim_rand(&b.rand) % 12);
		some_work(&b, 12, 2000 + 1000 * again);
	}
	bed_free(&b);
	return off;
}

/* Whatever unflushed writes survive, what was flushed is intact, and a power
 * cut is never logged as damage. */
START_TEST(flushed_survives_power_cut)	/* _i: seed, profile */
{
	uint64_t n = 0;

	cuts = 0;
	while (cut_power_at(_i % NPROFILES, (uint64_t)_i / NPROFILES, n))
		n++;
	ck_assert_uint_gt(n, 5);
	if (_i % NPROFILES == 0)	/* else there are few sectors to tear */
		ck_assert_uint_gt(cuts, 0);
}
END_TEST

/* A process is killed before its flush is over, and another one goes on with
 * what it finds: that is durable by then.  Then the power goes, too. */
START_TEST(successor_of_killed_keeps_flushed)	/* _i: seed, profile */
{
	struct sim_counts counts;
	struct bed b;

	bed_format(&b, _i % NPROFILES, bed_size(_i % NPROFILES, 2),
		   (uint64_t)_i);
	bed_open(&b);
	ck_assert_int_eq(some_work(&b, 30, 1), 0);
	must_flush(&b);
	for (int i = 0; i < 3; i++) {
		snprintf(b.where, sizeof(b.where), "%s, seed %d, life %d",
			 b.lay.profile->name, _i, i);
		some_work(&b, 8, 1000 * (i + 1));
		sim_fault(b.sim, SIM_FLUSH_FAIL, 0, 0, -EIO, 0, 1);
		try_flush(&b);
		bed_close(&b);
		sim_clear_faults(b.sim);
		bed_open(&b);
		sim_counts(b.sim, &counts);
		ck_assert_msg(!counts.unflushed, "%s: %llu writes", b.where,
			      (unsigned long long)counts.unflushed);
		some_work(&b, 3, 1000 * (i + 1) + 500);
		sim_power_off_at(b.sim, sim_rand(&b.rand) % 4);
		some_work(&b, 20, 1000 * (i + 1) + 600);
		try_flush(&b);
		bed_close(&b);
		sim_crash(b.sim, 2 + sim_rand(&b.rand));
		forget_new(&b);
		bed_open(&b);
		must_be_intact(&b);
	}
	bed_free(&b);
}
END_TEST

/* Two generations of live groups in zone 0, and a new one under way. */
static void bed_generations(struct bed *b, int profile)
{
	bed_format(b, profile, bed_size(profile, 1), 1);
	bed_open(b);
	for (uint32_t i = 0; i < 3; i++) {
		must_write(b, (uint64_t)(2 * i) * b->group, b->group, i + 1);
		must_flush(b);
	}
}

/* Whatever sectors of a page arrive, with its data or without, neighbours
 * live on, and so they do when the next page is torn as well. */
START_TEST(torn_page_leaves_neighbours)	/* _i: sectors that arrive */
{
	uint8_t old[SOFT_PAGES], new[SOFT_PAGES];
	struct bed b;

	for (int i = 0; i < 2; i++) {
		bed_generations(&b, i ? 1 + _i % (NPROFILES - 1) : 0);
		for (int round = 0; round < 3; round++) {
			sim_peek(b.sim, SOFT_BLOCK, old, sizeof(old));
			must_write(&b, (uint64_t)(1 + 2 * round) * b.group,
				   b.group, 100);
			must_flush(&b);
			sim_peek(b.sim, SOFT_BLOCK, new, sizeof(new));
			for (int s = 0; s < 16; s++)
				if (_i >> s % 8 & 1)
					memcpy(old + s * 512, new + s * 512,
					       512);
			bed_close(&b);
			sim_poke(b.sim, SOFT_BLOCK, old, sizeof(old));
			memset(b.fate + (1 + 2 * round) * b.group, FREE,
			       b.group);
			bed_open(&b);
			snprintf(b.where, sizeof(b.where),
				 "%s, sectors %02x, round %d",
				 b.lay.profile->name, _i, round);
			must_be_intact(&b);
		}
		bed_free(&b);
	}
}
END_TEST

/* ---- rot -------------------------------------------------------------- */

/* The state to damage: zone 0 with groups of several generations, zone 1
 * with one.  Cloned, so that each case starts alike. */
static void bed_clone(struct bed *to, const struct bed *from)
{
	uint64_t n = from->lay.intervals;

	*to = *from;
	to->dev = NULL;
	to->sim = sim_clone(from->sim);
	to->ver = malloc(n * sizeof(*to->ver));
	memcpy(to->ver, from->ver, n * sizeof(*to->ver));
	to->fate = malloc(n);
	memcpy(to->fate, from->fate, n);
	ck_assert_int_eq(eng_pool_create_serial(&to->pool), 0);
	to->how.pool = to->pool;
}

static void bed_rot_base(struct bed *b, int profile)
{
	bed_generations(b, profile);
	must_write(b, zone_start(b, 1), b->group, 50);
	must_flush(b);
	bed_close(b);
}

/* After one flush or two everything is whole again: no warnings. */
static void must_heal(struct bed *b)
{
	must_flush(b);
	must_flush(b);
	bed_reopen(b);
	must_be_intact(b);
	ck_assert_msg(!stat_of(b, "repairs"), "%s: not healed", b->where);
}

/* One flipped bit in a tuple page costs nothing, wherever it is; it is said
 * and put right. */
/* Sanitizers are slow: TAGFS_TEST_QUICK wants a sample of the sample. */
static unsigned int thinned(unsigned int n, unsigned int quick)
{
	return getenv("TAGFS_TEST_QUICK") ? quick : n;
}

START_TEST(flipped_bit_costs_nothing)	/* _i: profile */
{
	unsigned int step = thinned(1, 7);
	struct bed base, b;
	uint64_t pages[2] = { SOFT_BLOCK, 0 };

	bed_rot_base(&base, _i);
	pages[1] = soft_zone_off(&base.lay, 1);
	for (uint32_t at = 0; at < 2 * SOFT_PAGES;
	     at += at % SOFT_BLOCK < 80 ? step : 61 * step) {
		bed_clone(&b, &base);
		snprintf(b.where, sizeof(b.where), "%s, byte %u",
			 b.lay.profile->name, at);
		sim_flip(b.sim, pages[at / SOFT_PAGES] + at % SOFT_PAGES,
			 (uint8_t)(1 << at % 8));
		bed_open(&b);
		ck_assert_msg(!count_lost(&b), "%s: lost", b.where);
		if (at / SOFT_BLOCK != 2)	/* that one is blank */
			ck_assert_msg(stat_of(&b, "repairs") == 1,
				      "%s: unnoticed", b.where);
		must_heal(&b);
		bed_free(&b);
	}
	bed_free(&base);
}
END_TEST

/* A destroyed byte costs at most the group that it belongs to. */
START_TEST(destroyed_byte_costs_one_group)	/* _i: profile */
{
	unsigned int step = thinned(1, 5);
	struct bed base, b;

	bed_rot_base(&base, _i);
	for (uint32_t at = 0; at < SOFT_PAGES;
	     at += at % SOFT_BLOCK < 80 ? 3 * step : 61 * step) {
		bed_clone(&b, &base);
		snprintf(b.where, sizeof(b.where), "%s, byte %u",
			 b.lay.profile->name, at);
		sim_flip(b.sim, SOFT_BLOCK + at, 0xff);
		bed_open(&b);
		ck_assert_msg(count_lost(&b) <= 1, "%s: lost %u", b.where,
			      count_lost(&b));
		must_flush(&b);
		must_flush(&b);
		bed_reopen(&b);
		ck_assert_msg(count_lost(&b) <= 1, "%s: lost", b.where);
		ck_assert_msg(!stat_of(&b, "repairs"), "%s: heal", b.where);
		bed_free(&b);
	}
	bed_free(&base);
}
END_TEST

/* Without a header the tuples are what their data proves them to be. */
START_TEST(destroyed_header_costs_nothing)	/* _i: profile */
{
	uint8_t junk[sizeof(struct soft_disk_page)] = { 0 };
	struct bed base, b;

	bed_rot_base(&base, _i);
	for (int how = 0; how < 8; how++) {
		uint64_t off = SOFT_BLOCK + how % 2 * SOFT_BLOCK;

		bed_clone(&b, &base);
		snprintf(b.where, sizeof(b.where), "%s, case %d",
			 b.lay.profile->name, how);
		if (how / 2 % 2)
			make_data(junk, 64, how, 1);
		if (how / 4)	/* only the id is left */
			sim_peek(b.sim, off + 8, junk + 8, 8);
		sim_poke(b.sim, off, junk, 64);
		bed_open(&b);
		ck_assert_msg(!count_lost(&b), "%s: lost", b.where);
		ck_assert_uint_eq(stat_of(&b, "repairs"), 1);
		must_heal(&b);
		bed_free(&b);
	}
	bed_free(&base);
}
END_TEST

/* A page that is gone costs what only its generation had: generations 1 to 3
 * have one group each, 3 is in page 1. */
START_TEST(lost_page_costs_its_generation)	/* _i: profile */
{
	uint8_t junk[SOFT_BLOCK];
	struct bed base, b;

	bed_rot_base(&base, _i);
	for (int how = 0; how < 8; how++) {
		bed_clone(&b, &base);
		snprintf(b.where, sizeof(b.where), "%s, case %d",
			 b.lay.profile->name, how);
		make_data(junk, sizeof(junk), 1, 1);
		if (how / 2 % 2)
			memset(junk, 0, sizeof(junk));
		if (how / 4)
			sim_fault(b.sim, SIM_READ_FAIL, SOFT_BLOCK +
				  how % 2 * SOFT_BLOCK, SOFT_BLOCK, -EIO, 0,
				  how / 2 % 2);
		else
			sim_poke(b.sim, SOFT_BLOCK + how % 2 * SOFT_BLOCK,
				 junk, SOFT_BLOCK);
		bed_open(&b);
		if (how == 6 || how == 7)	/* it passed */
			ck_assert_uint_eq(count_lost(&b), 0);
		else
			ck_assert_msg(count_lost(&b) == how % 2u, "%s: %u",
				      b.where, count_lost(&b));
		bed_free(&b);
	}
	bed_free(&base);
}
END_TEST

/* A sector of a tuple page that was written over is damage, and said to be:
 * nothing in it was ever of this place. */
START_TEST(destroyed_sector_is_damage)	/* _i: profile */
{
	uint8_t junk[SOFT_SECTOR];
	struct bed base, b;
	int before;

	bed_rot_base(&base, _i);
	for (unsigned int i = 0; i < 2 * SOFT_SECTORS; i++) {
		bed_clone(&b, &base);
		snprintf(b.where, sizeof(b.where), "%s, sector %u",
			 b.lay.profile->name, i);
		make_data(junk, sizeof(junk), i, 1);
		sim_poke(b.sim, SOFT_BLOCK + i * SOFT_SECTOR, junk,
			 sizeof(junk));
		before = alarms();
		bed_open(&b);
		count_lost(&b);
		ck_assert_msg(alarms() == before + 1, "%s: %d lines", b.where,
			      alarms() - before);
		ck_assert_uint_eq(stat_of(&b, "repairs"), 1);
		ck_assert_uint_eq(stat_of(&b, "interrupted"), 0);
		bed_free(&b);
	}
	bed_free(&base);
}
END_TEST

/* What a host's cache has made of a page is no news of the medium. */
START_TEST(second_look_is_at_the_medium)
{
	struct bed b;

	bed_rot_base(&b, 0);
	bed_open(&b);
	sim_fault(b.sim, SIM_READ_CACHE, SOFT_BLOCK, SOFT_PAGES, 0, 0, 0);
	must_read(&b, 2 * b.group, b.group);
	ck_assert_uint_gt(sim_faults_hit(b.sim), 0);
	ck_assert_uint_eq(stat_of(&b, "repairs"), 0);
	bed_free(&b);
}
END_TEST

/* A read of tuple pages that goes astray once is no damage: nothing is lost,
 * and nothing is written on that account. */
START_TEST(page_misread_once_is_no_damage)
{
	struct bed b;
	uint32_t ver = 1;
	int err;

	bed_format(&b, 0, bed_size(0, 2), _i);
	bed_open(&b);
	must_write(&b, 0, 64, 1);
	must_flush(&b);
	must_write(&b, 64, 64, 2);
	must_flush(&b);
	bed_reopen(&b);
	sim_fault(b.sim, _i ? SIM_READ_MISDIRECTED : SIM_READ_FAIL,
		  SOFT_BLOCK, SOFT_PAGES, _i ? 512 * (int64_t)_i : -EIO, 0,
		  _i ? 1 : 3);
	/* Data may come with the pages, and then are astray as well. */
	err = try_read(&b, 0, 1, &ver, 0, NULL, &b.rand);
	ck_assert(!err || err == -EBADMSG);
	ck_assert_uint_gt(sim_faults_hit(b.sim), 0);
	sim_clear_faults(b.sim);
	must_read(&b, 0, 128);
	ck_assert_uint_eq(stat_of(&b, "repairs"), 0);
	bed_reopen(&b);
	must_be_intact(&b);
	bed_free(&b);
}
END_TEST

/* With nothing to go by it is an I/O error, and nothing is overwritten. */
START_TEST(unreadable_pages_are_an_error)
{
	struct bed b;
	uint32_t ver = 1;

	bed_generations(&b, 0);
	bed_reopen(&b);
	sim_fault(b.sim, SIM_READ_FAIL, SOFT_BLOCK, SOFT_PAGES, -EIO, 0, 0);
	ck_assert_int_eq(try_read(&b, 0, 1, &ver, 0, NULL, &b.rand), -EIO);
	ck_assert_int_eq(try_write(&b, 8, 8, 9, &b.rand), -EIO);
	must_flush(&b);
	sim_clear_faults(b.sim);
	must_be_intact(&b);
	bed_free(&b);
}
END_TEST

/* A page that is written elsewhere damages neither zone. */
START_TEST(misdirected_page_is_told)
{
	struct bed b;

	bed_generations(&b, 0);
	must_write(&b, zone_start(&b, 1), 8, 5);
	must_flush(&b);
	must_write(&b, 8, 8, 6);
	sim_fault(b.sim, SIM_WRITE_MISDIRECTED, SOFT_BLOCK, SOFT_PAGES,
		  (int64_t)b.lay.zone_bytes, 0, 1);
	must_flush(&b);
	ck_assert_uint_eq(sim_faults_hit(b.sim), 1);
	bed_reopen(&b);
	/* The new group is lost with its page; nothing else is. */
	ck_assert_uint_eq(count_lost(&b), 1);
	memset(b.fate + 8, FREE, 8);
	must_heal(&b);
	bed_free(&b);
}
END_TEST

/* A storage that loses, misdirects and tears writes and reads old data gets
 * errors out of us, but never one wrong byte. */
START_TEST(lies_are_told)	/* _i: seed */
{
	static const enum sim_fault lies[] = {
		SIM_READ_STALE, SIM_WRITE_LOST, SIM_WRITE_MISDIRECTED,
		SIM_WRITE_TORN, SIM_FLUSH_LOST, SIM_READ_FAIL,
	};
	struct bed b;

	bed_format(&b, _i % NPROFILES, bed_size(_i % NPROFILES, 2),
		   (uint64_t)_i);
	sim_keep_old(b.sim);
	for (int round = 1; round < 30; round++) {
		enum sim_fault lie = lies[sim_rand(&b.rand) % 6];
		/* Not the headers: those must open. */
		uint64_t room = b.lay.size - 3 * SOFT_BLOCK;
		uint64_t off = SOFT_BLOCK + sim_rand(&b.rand) % room;

		snprintf(b.where, sizeof(b.where), "%s, seed %d, round %d",
			 b.lay.profile->name, _i, round);
		bed_open(&b);
		if (lie == SIM_WRITE_MISDIRECTED)
			off = SOFT_BLOCK + room / 2;
		sim_fault(b.sim, lie, off, room / 4,
			  lie == SIM_READ_FAIL ? -EIO : -4096,
			  sim_rand(&b.rand) % 8, 1 + sim_rand(&b.rand) % 4);
		some_work(&b, 20, 1000 * round);
		count_lost(&b);
		bed_close(&b);
		sim_crash(b.sim, sim_rand(&b.rand));
		sim_clear_faults(b.sim);
	}
	bed_open(&b);
	count_lost(&b);
	bed_free(&b);
}
END_TEST

/* Pages whose checksums are right and whose headers are nonsense. */
START_TEST(forged_pages_do_no_harm)
{
	static const uint64_t gens[] = {
		0, 1, 2, 3, 4, 5, 6, 1ull << 61, (1ull << 62) - 1, 1ull << 62,
		1ull << 63, -1ull
	};
	struct soft_disk_page d;
	struct bed base, b;

	bed_rot_base(&base, 0);
	for (int i = 0; i < 12 * 2 * 2; i++) {
		uint64_t off = SOFT_BLOCK + i / 12 % 2 * SOFT_BLOCK;

		bed_clone(&b, &base);
		snprintf(b.where, sizeof(b.where), "case %d", i);
		sim_peek(b.sim, off, &d, sizeof(d));
		d.gen = put_le64(gens[i % 12]);
		d.zone = put_le64(i / 24);
		d.crc[0] = 0;
		d.crc[0] = put_le32(soft_crc(&d, SOFT_SECTOR));
		sim_poke(b.sim, off, &d, sizeof(d));
		bed_open(&b);
		count_lost(&b);
		must_write(&b, 3 * b.group, b.group, 77);
		must_flush(&b);
		must_flush(&b);
		bed_reopen(&b);
		must_read(&b, 3 * b.group, b.group);
		bed_free(&b);
	}
	bed_free(&base);
}
END_TEST

/* Rot in the data is a guard error, here and not at neighbours. */
START_TEST(rotten_data_is_a_guard_error)	/* _i: profile */
{
	struct eng_fault f;
	struct bed b;

	bed_generations(&b, _i);
	bed_reopen(&b);
	sim_flip(b.sim, soft_data_off(&b.lay, 0, 1) + 100, 4);
	ck_assert_int_eq(try_read(&b, 0, 2, b.ver, 0, &f, &b.rand), -EBADMSG);
	ck_assert_int_eq(f.kind, ENG_FAULT_GUARD);
	ck_assert_uint_eq(f.interval, 1);
	must_read(&b, 0, 1);
	must_read(&b, 2 * b.group, b.group);
	bed_free(&b);
}
END_TEST

/* Read-only: all of the above in memory, not a byte is written. */
START_TEST(rdonly_writes_nothing)
{
	struct bed b;

	bed_generations(&b, 0);
	bed_close(&b);
	sim_flip(b.sim, SOFT_BLOCK + SOFT_BLOCK + 0x18, 1);
	sim_flip(b.sim, 20, 1);
	b.how.flags = ENG_OPEN_RDONLY;
	sim_set_rdonly(b.sim, true);
	bed_open(&b);
	must_be_intact(&b);
	ck_assert_int_eq(try_write(&b, 8, 8, 1, &b.rand), -EROFS);
	ck_assert_int_eq(eng_dev_discard(b.dev, 0, 8), -EROFS);
	ck_assert_int_eq(eng_dev_flush(b.dev), 0);
	bed_free(&b);
}
END_TEST

/* ENG_IO_MEDIUM and dropped caches show the medium; dirty tuples stay. */
START_TEST(medium_is_read)
{
	uint8_t zeros[SOFT_PAGES] = { 0 };
	struct eng_fault f;
	struct bed b;

	bed_generations(&b, 0);
	must_write(&b, zone_start(&b, 1), 8, 1);
	sim_poke(b.sim, SOFT_BLOCK, zeros, sizeof(zeros));
	must_read(&b, 0, 8);
	ck_assert_int_eq(try_read(&b, 0, 8, b.ver, ENG_IO_MEDIUM, &f, &b.rand),
			 -EBADMSG);
	ck_assert_int_eq(f.kind, ENG_FAULT_ESCAPE);
	ck_assert_int_eq(try_read(&b, zone_start(&b, 1), 8,
				  b.ver + zone_start(&b, 1), ENG_IO_MEDIUM,
				  &f, &b.rand), 0);
	must_flush(&b);
	sim_poke(b.sim, soft_zone_off(&b.lay, 1), zeros, sizeof(zeros));
	must_read(&b, zone_start(&b, 1), 8);
	eng_dev_drop_caches(b.dev);
	must_escape(&b, zone_start(&b, 1), 8);
	bed_free(&b);
}
END_TEST

/* ---- headers ---------------------------------------------------------- */

static int open_err(struct bed *b)
{
	int err = eng_soft_open(&b->dev, sim_raw(b->sim), &b->how);

	if (err)
		ck_assert_ptr_null(b->dev);
	return err;
}

/* Damage to either header is survived and healed, to both is an error. */
START_TEST(headers_stand_in)	/* _i: 0: the first, 1: the last, 2: both */
{
	struct bed base, b;

	bed_rot_base(&base, 0);
	for (uint32_t at = 0; at < SOFT_BLOCK; at += at < 100 ? 1 : 97) {
		bed_clone(&b, &base);
		snprintf(b.where, sizeof(b.where), "copy %d, byte %u", _i, at);
		if (_i != 1)
			sim_flip(b.sim, at, 0x10);
		if (_i != 0)
			sim_flip(b.sim, b.lay.size - SOFT_BLOCK + at, 0x10);
		if (_i == 2) {
			ck_assert_int_eq(open_err(&b), at < 8 ? -EMEDIUMTYPE :
					 -EUCLEAN);
			bed_free(&b);
			continue;
		}
		log_lines[LOG_WARNING] = 0;
		bed_open(&b);
		ck_assert_int_ge(log_lines[LOG_WARNING], 1);
		must_be_intact(&b);
		must_flush(&b);
		bed_close(&b);
		log_lines[LOG_WARNING] = 0;
		bed_open(&b);
		ck_assert_int_eq(log_lines[LOG_WARNING], 0);
		bed_free(&b);
	}
	bed_free(&base);
}
END_TEST

static void head_forge(struct bed *b, size_t at, const void *bytes,
		       size_t len)
{
	struct soft_disk_head d;

	for (unsigned int i = 0; i < 2; i++) {
		uint64_t off = i ? b->lay.size - SOFT_BLOCK : 0;

		sim_peek(b->sim, off, &d, sizeof(d));
		memcpy((char *)&d + at, bytes, len);
		d.crc = put_le32(soft_crc(&d, offsetof(struct soft_disk_head,
						       crc)));
		sim_poke(b->sim, off, &d, sizeof(d));
	}
}

static int forged(struct bed *base, size_t at, const void *bytes, size_t len)
{
	struct bed b;
	int err;

	bed_clone(&b, base);
	head_forge(&b, at, bytes, len);
	err = open_err(&b);
	bed_free(&b);
	return err;
}

/* A header that lies is refused, whatever it says. */
START_TEST(hostile_headers_are_refused)
{
	static const uint64_t odd[] = {
		0, 1, 7, 8, 63, 64, 65, 504, 511, 512, 513, 4095, 4096, 8192,
		65535, 1ull << 31, (1ull << 32) - 1, 1ull << 32, 1ull << 62,
		(1ull << 63) - 1, 1ull << 63, -1ull - 4095, -1ull,
	};
	struct bed base;
	uint8_t was[16], word[8];
	int err;

	bed_rot_base(&base, 0);
	for (size_t at = 0x28; at < 0x58; at++)
		for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
			for (size_t len = 1; len <= 8; len *= 2) {
				sim_peek(base.sim, at & ~7ull, was, 16);
				memcpy(word, &odd[i], 8);
				err = forged(&base, at, word, len);
				if (at + len <= 0x30 || at < 0x30 ||
				    !memcmp(was + at % 8, word, len))
					continue;	/* id, or no change */
				/* Some profiles differ in one field. */
				ck_assert_msg(err == -EUCLEAN ||
					(!err && at >= 0x34 && at < 0x3b),
					"%zx %zu %llx: %d", at, len,
					(unsigned long long)odd[i], err);
			}
	ck_assert_int_eq(forged(&base, 0x3b, "\1", 1), -EUCLEAN);
	ck_assert_int_eq(forged(&base, 0x58, "\1", 1), -EUCLEAN);
	ck_assert_int_eq(forged(&base, 0xffb, "\1", 1), -EUCLEAN);
	bed_free(&base);
}
END_TEST

START_TEST(newer_versions_are_refused)
{
	struct bed base, b;

	bed_rot_base(&base, 0);
	ck_assert_int_eq(forged(&base, 0x08, "\2", 1), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(log_last, "newer version"));
	ck_assert_int_eq(forged(&base, 0x20, "\1", 1), -EOPNOTSUPP);
	ck_assert_int_eq(forged(&base, 0x18, "\1", 1), -EOPNOTSUPP);
	ck_assert_int_eq(forged(&base, 0x10, "\1", 1), 0);
	bed_clone(&b, &base);
	head_forge(&b, 0x18, "\1", 1);
	sim_set_rdonly(b.sim, true);
	bed_open(&b);
	must_be_intact(&b);
	bed_free(&b);
	bed_free(&base);
}
END_TEST

START_TEST(size_of_file_may_change)
{
	struct bed base, b;

	bed_rot_base(&base, 0);
	bed_clone(&b, &base);
	sim_resize(b.sim, b.lay.size + 123456);
	bed_open(&b);
	must_be_intact(&b);
	bed_free(&b);

	bed_clone(&b, &base);
	sim_resize(b.sim, b.lay.size - SOFT_BLOCK);
	ck_assert_int_eq(open_err(&b), -EUCLEAN);
	ck_assert_ptr_nonnull(strstr(log_last, "truncated"));
	bed_free(&b);
	bed_free(&base);
}
END_TEST

START_TEST(foreign_files_are_told)
{
	uint8_t junk[SOFT_BLOCK];
	struct bed b;

	for (unsigned int i = 0; i < 40; i++) {
		bed_format(&b, 0, 1 << 20, 1);
		make_data(junk, sizeof(junk), i, 1);
		sim_poke(b.sim, 0, junk, sizeof(junk));
		sim_poke(b.sim, (1 << 20) - SOFT_BLOCK, junk, sizeof(junk));
		ck_assert_int_eq(open_err(&b), -EMEDIUMTYPE);
		sim_resize(b.sim, i * 512);
		ck_assert_int_eq(open_err(&b), -EMEDIUMTYPE);
		bed_free(&b);
	}
}
END_TEST

/* Format makes everything unwritten, without touching it. */
START_TEST(old_container_is_blank)	/* _i: profile before */
{
	struct bed b;

	bed_format(&b, _i, bed_size(_i, 3), 1);
	bed_open(&b);
	ck_assert_int_eq(some_work(&b, 100, 1), 0);
	must_flush(&b);
	bed_close(&b);
	for (int p = 0; p < NPROFILES; p++) {
		const struct eng_profile *to = eng_profile_find(profiles[p]);

		ck_assert_int_eq(eng_soft_format_raw(sim_raw(b.sim), to,
						     100 + p), 0);
		b.lay.profile = to;
		free(b.ver);
		free(b.fate);
		bed_model(&b, sim_raw(b.sim)->size);
		bed_open(&b);
		for (uint64_t i = 0; i < b.lay.intervals - 8; i += 5)
			must_escape(&b, i, 1);
		ck_assert_uint_eq(stat_of(&b, "repairs"), 0);
		ck_assert_int_eq(some_work(&b, 100, 1), 0);
		must_flush(&b);
		bed_reopen(&b);
		must_be_intact(&b);
		bed_close(&b);
	}
	bed_free(&b);
}
END_TEST

/* ---- errors ----------------------------------------------------------- */

/* After a failed flush nothing is vouched for any more. */
START_TEST(flush_errors_are_final)	/* _i: what fails */
{
	struct bed b;

	bed_generations(&b, 0);
	must_write(&b, 8, 8, 9);
	if (_i)
		sim_fault(b.sim, SIM_FLUSH_FAIL, 0, 0, -ENOSPC, 0, 1);
	else
		sim_fault(b.sim, SIM_WRITE_FAIL, SOFT_BLOCK, SOFT_PAGES,
			  -ENOSPC, 0, 1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(try_flush(&b), -ENOSPC);
	ck_assert_int_eq(try_write(&b, 24, 8, 9, &b.rand), -ENOSPC);
	forget_new(&b);
	must_be_intact(&b);
	bed_close(&b);
	sim_settle(b.sim, false);
	bed_open(&b);
	must_be_intact(&b);
	must_write(&b, 8, 8, 9);
	must_flush(&b);
	bed_free(&b);
}
END_TEST

START_TEST(io_errors_are_passed_on)
{
	struct bed b;
	uint64_t data;

	bed_generations(&b, 0);
	data = soft_data_off(&b.lay, 0, 16);
	sim_fault(b.sim, SIM_READ_FAIL, data, 512, -EIO, 0, 0);
	ck_assert_int_eq(try_read(&b, 16, 8, b.ver + 16, 0, NULL, &b.rand),
			 -EIO);
	must_read(&b, 0, 8);
	/* A page that comes with data that fails is read by itself. */
	bed_reopen(&b);
	ck_assert_int_eq(try_read(&b, 0, 24, b.ver, 0, NULL, &b.rand), -EIO);
	must_read(&b, 0, 8);
	sim_clear_faults(b.sim);
	sim_fault(b.sim, SIM_WRITE_FAIL, data, 512, -ENOSPC, 0, 0);
	ck_assert_int_eq(try_write(&b, 16, 8, 5, &b.rand), -ENOSPC);
	must_flush(&b);
	ck_assert_int_eq(try_read(&b, 0, 1, b.ver, 0, NULL, &b.rand), 0);
	bed_free(&b);
}
END_TEST

START_TEST(out_of_range_is_refused)
{
	struct bed b;
	uint32_t ver[2] = { 1, 1 };

	bed_generations(&b, 0);
	ck_assert_int_eq(try_read(&b, b.lay.intervals - 1, 2, ver, 0, NULL,
				  &b.rand), -EINVAL);
	ck_assert_int_eq(eng_dev_discard(b.dev, b.lay.intervals, 1), -EINVAL);
	ck_assert_int_eq(eng_dev_discard(b.dev, 1, -1ull), -EINVAL);
	bed_free(&b);
}
END_TEST

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

/* ---- */

static TCase *io_case(void)
{
	TCase *tc = tcase_create("io");

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, reads_return_what_was_written, 0,
			    3 * NPROFILES);
	tcase_add_loop_test(tc, reads_of_any_part, 0, NPROFILES);
	tcase_add_test(tc, thousand_segments);
	tcase_add_loop_test(tc, unwritten_is_escape, 0, NPROFILES);
	tcase_add_test(tc, discard_may_be_impossible);
	tcase_add_test(tc, reads_are_few);
	tcase_add_loop_test(tc, every_size_works, 0, NPROFILES);
	tcase_add_loop_test(tc, huge_is_sparse, 0, NPROFILES);
	tcase_add_loop_test(tc, flush_errors_are_final, 0, 2);
	tcase_add_test(tc, io_errors_are_passed_on);
	tcase_add_test(tc, out_of_range_is_refused);
	return tc;
}

/* More, for a longer look: CHECK_SOFT_SEEDS. */
static int seeds(void)
{
	const char *n = getenv("CHECK_SOFT_SEEDS");

	return n ? atoi(n) : (int)thinned(4, 1);
}

static TCase *damage_case(void)
{
	TCase *tc = tcase_create("damage");

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, flushed_survives_power_cut, 0,
			    seeds() * NPROFILES);
	tcase_add_loop_test(tc, successor_of_killed_keeps_flushed, 0,
			    2 * NPROFILES);
	tcase_add_loop_test(tc, torn_page_leaves_neighbours, 0,
			    (int)thinned(256, 32));
	tcase_add_loop_test(tc, flipped_bit_costs_nothing, 0, NPROFILES);
	tcase_add_loop_test(tc, destroyed_byte_costs_one_group, 0, NPROFILES);
	tcase_add_loop_test(tc, destroyed_header_costs_nothing, 0, NPROFILES);
	tcase_add_loop_test(tc, lost_page_costs_its_generation, 0, NPROFILES);
	tcase_add_loop_test(tc, page_misread_once_is_no_damage, 0, 8);
	tcase_add_loop_test(tc, destroyed_sector_is_damage, 0, NPROFILES);
	tcase_add_test(tc, second_look_is_at_the_medium);
	tcase_add_test(tc, unreadable_pages_are_an_error);
	tcase_add_test(tc, misdirected_page_is_told);
	tcase_add_loop_test(tc, lies_are_told, 0, 10 * seeds());
	tcase_add_test(tc, forged_pages_do_no_harm);
	tcase_add_loop_test(tc, rotten_data_is_a_guard_error, 0, NPROFILES);
	tcase_add_test(tc, rdonly_writes_nothing);
	tcase_add_test(tc, medium_is_read);
	return tc;
}

static TCase *header_case(void)
{
	TCase *tc = tcase_create("headers");

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, headers_stand_in, 0, 3);
	tcase_add_test(tc, hostile_headers_are_refused);
	tcase_add_test(tc, newer_versions_are_refused);
	tcase_add_test(tc, size_of_file_may_change);
	tcase_add_test(tc, foreign_files_are_told);
	tcase_add_loop_test(tc, old_container_is_blank, 0, NPROFILES);
	return tc;
}

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
	tcase_add_test(tc, files_are_locked);
	tcase_add_test(tc, other_things_are_no_device);
	tcase_add_test(tc, ring_may_overflow);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("soft");
	SRunner *sr;
	int failed;

	/* Thousands of devices are opened: let their memory be reused. */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	eng_log_to(log_take);
	suite_add_tcase(suite, io_case());
	suite_add_tcase(suite, damage_case());
	suite_add_tcase(suite, header_case());
	suite_add_tcase(suite, thread_case());
	suite_add_tcase(suite, file_case());
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
