/* SPDX-License-Identifier: GPL-2.0-or-later */
/* soft_bed.h - a container and its model, for check_soft*.c.
 *
 * The model: every interval has a version, 0 if never written.  Version and
 * address determine its bytes and its tag, so that whatever a read returns
 * can be told from anything else that was ever written. */
#ifndef SOFT_BED_H
#define SOFT_BED_H

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

/* For pages, of which these containers have few: a table for as many as there
 * could be is most of what it takes to open one. */
#define BED_CACHE	(2u << 20)

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

static inline void log_take(int level, const char *line)
{
	__atomic_add_fetch(&log_lines[level & 7], 1, __ATOMIC_RELAXED);
	if (getenv("CHECK_SOFT_LOG"))
		fprintf(stderr, "<%d> %s\n", level, line);
	if (level <= LOG_ERR)
		snprintf(log_last, sizeof(log_last), "%s", line);
}

/* ---- data ------------------------------------------------------------- */

static inline uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t state = a * 0x9e3779b97f4a7c15ull ^ b;

	sim_rand(&state);
	return sim_rand(&state);
}

static inline void make_data(uint8_t *buf, size_t len, uint64_t interval,
		      uint32_t ver)
{
	uint64_t word = mix(interval, ver);

	/* An odd step, so that no word comes twice: megabytes of it are made
	 * and compared, and no better numbers are needed. */
	for (size_t i = 0; i < len; i += 8, word += 0x9e3779b97f4a7c15ull)
		memcpy(buf + i, &word, 8);
}

static inline uint16_t make_tag(uint64_t interval, uint32_t ver)
{
	return mix(interval + 1, ver) & 0x7fff;
}

/* ---- bed -------------------------------------------------------------- */

static inline void bed_model(struct bed *b, uint64_t size)
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

static inline void bed_format(struct bed *b, int profile, uint64_t size,
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
	b->how.cache = BED_CACHE;
	bed_model(b, size);
}

static inline void bed_open(struct bed *b)
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

static inline void bed_close(struct bed *b)
{
	eng_dev_close(b->dev);
	b->dev = NULL;
}

static inline void bed_reopen(struct bed *b)
{
	bed_close(b);
	bed_open(b);
}

static inline void bed_free(struct bed *b)
{
	bed_close(b);
	sim_destroy(b->sim);
	eng_pool_destroy(b->pool);
	free(b->ver);
	free(b->fate);
}

/* n zones and a short one. */
static inline uint64_t bed_size(int profile, unsigned int zones)
{
	struct soft_layout l;
	const struct eng_profile *p = eng_profile_find(profiles[profile]);

	ck_assert_int_eq(soft_layout(&l, p, 1ull << 30), 0);
	return 2 * SOFT_BLOCK + zones * l.zone_bytes + SOFT_PAGES +
	       5 * eng_profile_run(p, 16) + 4096;
}

static inline uint64_t stat_of(struct bed *b, const char *name)
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

static inline void io_end(struct eng_io *io)
{
	sem_post(io->arg);
}

/* eng_io_run() for storage that does nothing by itself. */
static inline int run(struct bed *b, struct eng_io *io)
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
static inline struct eng_io *io_make(struct bed *b, enum eng_op op, uint64_t start,
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
static inline int try_write(struct bed *b, uint64_t start, uint32_t count,
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

static inline void must_write(struct bed *b, uint64_t start, uint32_t count,
		       uint32_t ver)
{
	int err = try_write(b, start, count, ver, &b->rand);

	ck_assert_msg(!err, "%s: write %llu+%u: %s", b->where,
		      (unsigned long long)start, count, strerror(-err));
}

/* 0 only if every byte is what its version says. */
static inline int try_read(struct bed *b, uint64_t start, uint32_t count,
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

static inline void must_read(struct bed *b, uint64_t start, uint32_t count)
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

static inline void must_escape(struct bed *b, uint64_t start, uint32_t count)
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

static inline int try_flush(struct bed *b)
{
	int err = eng_dev_flush(b->dev);

	for (uint64_t i = 0; i < b->lay.intervals && !err; i++)
		if (b->fate[i] == NEW)
			b->fate[i] = LIVE;
	return err;
}

static inline void must_flush(struct bed *b)
{
	int err = try_flush(b);

	ck_assert_msg(!err, "%s: flush: %s", b->where, strerror(-err));
}

/* Groups with a live interval that can't be read. */
static inline unsigned int count_lost(struct bed *b)
{
	unsigned int lost = 0;

	for (uint64_t i = 0; i < b->lay.intervals; i += b->group)
		lost += b->fate[i] != FREE &&
			try_read(b, i, b->group, b->ver + i, 0, NULL,
				 &b->rand);
	return lost;
}

/* What was flushed is there; of the rest nothing wrong is returned. */
static inline void must_be_intact(struct bed *b)
{
	for (uint64_t i = 0; i < b->lay.intervals; i += b->group) {
		if (b->fate[i] == LIVE)
			must_read(b, i, b->group);
		else if (b->ver[i])
			try_read(b, i, b->group, b->ver + i, 0, NULL,
				 &b->rand);
	}
}

/* ---- work and copies -------------------------------------------------- */

static inline uint64_t some_group(struct bed *b, enum fate fate, bool not)
{
	uint64_t n = b->lay.intervals / b->group, g = sim_rand(&b->rand) % n;

	for (uint64_t i = 0; i < n; i++, g = (g + 1) % n)
		if ((b->fate[g * b->group] == fate) != not)
			return g * b->group;
	return 0;
}

static inline uint64_t zone_start(const struct bed *b, uint64_t zone)
{
	return zone * b->lay.zone_intervals;
}

/* Sanitizers are slow: TAGFS_TEST_QUICK wants a sample of the sample. */
static inline unsigned int thinned(unsigned int n, unsigned int quick)
{
	return getenv("TAGFS_TEST_QUICK") ? quick : n;
}

/* As the owner above does it: live groups are freed, never overwritten. */
static inline int some_work(struct bed *b, uint32_t steps, uint32_t ver)
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

static inline void forget_new(struct bed *b)
{
	for (uint64_t i = 0; i < b->lay.intervals; i++)
		if (b->fate[i] == NEW)
			b->fate[i] = FREE;
}

/* Two generations of live groups in zone 0, and a new one under way. */
static inline void bed_generations(struct bed *b, int profile)
{
	bed_format(b, profile, bed_size(profile, 1), 1);
	bed_open(b);
	for (uint32_t i = 0; i < 3; i++) {
		must_write(b, (uint64_t)(2 * i) * b->group, b->group, i + 1);
		must_flush(b);
	}
}

/* The state to damage: zone 0 with groups of several generations, zone 1
 * with one.  Cloned, so that each case starts alike. */
static inline void bed_clone(struct bed *to, const struct bed *from)
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

static inline void bed_rot_base(struct bed *b, int profile)
{
	bed_generations(b, profile);
	must_write(b, zone_start(b, 1), b->group, 50);
	must_flush(b);
	bed_close(b);
}

/* More, for a longer look: CHECK_SOFT_SEEDS. */
static inline int seeds(void)
{
	const char *n = getenv("CHECK_SOFT_SEEDS");

	return n ? atoi(n) : (int)thinned(4, 1);
}

/* What main() returns. */
static inline int soft_run(Suite *suite)
{
	SRunner *sr = srunner_create(suite);
	int failed;

	/* Thousands of devices are opened: let their memory be reused. */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	eng_log_to(log_take);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
