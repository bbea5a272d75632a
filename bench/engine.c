/* SPDX-License-Identifier: GPL-2.0-or-later */
/* engine.c - what generate and verify cost over the bare checksum.
 *  (1) Both sides read the same buffers in pieces of one interval, on the
 *      same threads; only what they do with a piece differs.
 *  (2) Samples alternate: bare, generate, bare, verify, and over again.  A
 *      ratio is formed between neighbours alone, so that a clock that
 *      drifts or a busy neighbour hits both sides.
 *  (3) Threads run and memory is touched before the first sample.
 *  (4) A side that computes something else is no result: guards are compared
 *      before the first sample and verify must succeed in every one. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <isa-l/crc.h>
#include <isa-l/crc64.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tagpi.h"

#define MARK		0.8	/* the ratio to reach */
#define MAX_THREADS	2
#define MAX_PAIRS	1001
#define MIB		(UINT64_C(1) << 20)

enum side { BARE, GENERATE, VERIFY };

struct options {
	uint64_t	cache, memory;	/* bytes over all threads */
	uint64_t	sample;		/* least bytes in one sample */
	unsigned int	pairs;
	const char	*json;		/* NULL: none */
};

/* One thread and what it alone works on. */
struct worker {
	pthread_t	thread;
	struct bench	*bench;
	uint8_t		*data, *tuples;
	uint16_t	*tags;
	uint32_t	count;		/* intervals in data */
	uint64_t	sink;		/* keeps the bare checksum alive */
	bool		failed;
};

/* One configuration.  The fields change only while all workers wait. */
struct bench {
	const struct eng_profile *p;
	unsigned int	threads, passes;
	enum side	side;
	bool		quit;
	pthread_barrier_t gate;
	struct worker	workers[MAX_THREADS];
};

struct row {
	const char	*profile, *where, *op, *bare;
	unsigned int	threads;
	double		ratio, low, high;	/* median, quartiles */
	double		bare_rate, rate;	/* bytes per second, medians */
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench/engine: %s\n", what);
	exit(1);
}

/* ---- the sides -------------------------------------------------------- */

/* ISA-L has no CRC-64/NVMe before 2.31; its neighbour of the same width and
 * the same folding stands in.  It has no internet checksum at all: there the
 * engine's own, bare, shows what the tuples cost. */
static const char *bare_name(const struct eng_profile *p)
{
	return p->guard == ENG_GUARD_CRC64 ? "crc64_ecma_refl" :
	       p->guard == ENG_GUARD_IP ? "rfc1071" : "crc16_t10dif";
}

static uint64_t bare(const struct eng_profile *p, const uint8_t *data,
		     uint32_t count)
{
	uint64_t sink = 0;

	if (p->guard == ENG_GUARD_CRC64)
		for (uint32_t i = 0; i < count; i++, data += p->interval)
			sink ^= crc64_ecma_refl(0, data, p->interval);
	else if (p->guard == ENG_GUARD_IP)
		for (uint32_t i = 0; i < count; i++, data += p->interval)
			sink ^= eng_guard_compute(p->guard, data, p->interval);
	else
		for (uint32_t i = 0; i < count; i++, data += p->interval)
			sink ^= crc16_t10dif(0, data, p->interval);
	return sink;
}

static void work(struct worker *w)
{
	const struct bench *b = w->bench;
	struct eng_fault fault;

	for (unsigned int i = 0; i < b->passes; i++) {
		if (b->side == BARE)
			w->sink += bare(b->p, w->data, w->count);
		else if (b->side == GENERATE)
			eng_generate(b->p, w->data, w->tuples, w->count, 0,
				     w->tags);
		else if (eng_verify(b->p, w->data, w->tuples, w->count, 0,
				    w->tags, &fault))
			w->failed = true;	/* (4) */
	}
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;

	for (;;) {
		pthread_barrier_wait(&w->bench->gate);
		if (w->bench->quit)
			return NULL;
		work(w);
		pthread_barrier_wait(&w->bench->gate);
	}
}

/* Seconds that all workers take for their passes. */
static double sample(struct bench *b, enum side side)
{
	double start;

	b->side = side;
	start = now();
	pthread_barrier_wait(&b->gate);
	pthread_barrier_wait(&b->gate);
	return now() - start;
}

/* ---- setting up ------------------------------------------------------- */

static void *touched(size_t size)
{
	void *mem = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);

	if (!mem)
		die("out of memory");
	return memset(mem, 0, size);
}

static void fill(struct worker *w)
{
	uint64_t *word = (uint64_t *)w->data, x = (uintptr_t)w->data | 1;
	size_t words = (size_t)w->count * w->bench->p->interval / sizeof(*word);

	for (size_t i = 0; i < words; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		word[i] = x;
	}
	/* Neither the escape nor all the same. */
	for (uint32_t i = 0; i < w->count; i++)
		w->tags[i] = (uint16_t)(i & 0x7fff);
}

/* Over the data and, if the tuple is last, the metadata before it. */
static uint64_t checksum(const struct eng_profile *p, const uint8_t *data,
			 const uint8_t *meta)
{
	uint8_t all[4096 + 64];
	size_t len = p->interval + p->pi_offset;

	memcpy(all, data, p->interval);
	memcpy(all + p->interval, meta, p->pi_offset);
	return p->guard == ENG_GUARD_CRC16 ?
	       crc16_t10dif(0, all, len) :
	       eng_guard_compute(p->guard, all, len);
}

/* (4): the tuple begins with the guard, most significant byte first. */
static void compare_guards(const struct worker *w)
{
	const struct eng_profile *p = w->bench->p;

	for (uint32_t i = 0; i < w->count; i++) {
		const uint8_t *meta = w->tuples + (size_t)i * p->meta_size;
		const uint8_t *t = meta + p->pi_offset;
		uint64_t guard = 0;

		for (int n = 0; n < (p->guard == ENG_GUARD_CRC64 ? 8 : 2); n++)
			guard = guard << 8 | t[n];
		if (guard != checksum(p, w->data + (size_t)i * p->interval,
				      meta))
			die("generate stores a guard that is not the checksum");
	}
}

static void bench_open(struct bench *b, const struct eng_profile *p,
		       unsigned int threads, uint64_t bytes, uint64_t least)
{
	*b = (struct bench){ .p = p, .threads = threads };
	b->passes = bytes < least ? (unsigned int)(least / bytes) : 1;
	pthread_barrier_init(&b->gate, NULL, threads + 1);
	for (unsigned int i = 0; i < threads; i++) {
		struct worker *w = &b->workers[i];

		w->bench = b;
		w->count = (uint32_t)(bytes / threads / p->interval);
		w->data = touched((size_t)w->count * p->interval);
		w->tuples = touched((size_t)w->count * p->meta_size);
		w->tags = touched(w->count * sizeof(*w->tags));
		fill(w);
		eng_generate(p, w->data, w->tuples, w->count, 0, w->tags);
		compare_guards(w);
		if (pthread_create(&w->thread, NULL, worker_run, w))
			die("no thread");
	}
}

static void bench_close(struct bench *b)
{
	b->quit = true;
	pthread_barrier_wait(&b->gate);
	for (unsigned int i = 0; i < b->threads; i++) {
		struct worker *w = &b->workers[i];

		pthread_join(w->thread, NULL);
		if (w->failed)
			die("verify refused what generate made");
		free(w->tags);
		free(w->tuples);
		free(w->data);
	}
	pthread_barrier_destroy(&b->gate);
}

/* ---- measuring -------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct series {
	double		bare[MAX_PAIRS], engine[MAX_PAIRS], ratio[MAX_PAIRS];
};

static void summarise(struct row *row, struct series *s, unsigned int n,
		      double bytes)
{
	qsort(s->bare, n, sizeof(double), by_value);
	qsort(s->engine, n, sizeof(double), by_value);
	qsort(s->ratio, n, sizeof(double), by_value);
	row->ratio = s->ratio[n / 2];
	row->low = s->ratio[n / 4];
	row->high = s->ratio[n - 1 - n / 4];
	row->bare_rate = bytes / s->bare[n / 2];
	row->rate = bytes / s->engine[n / 2];
}

/* Fills rows[0], generate, and rows[1], verify. */
static void measure(struct bench *b, const struct options *o, struct row *rows)
{
	static struct series series[2];
	double bytes = 0;

	for (unsigned int i = 0; i < b->threads; i++)
		bytes += (double)b->workers[i].count * b->p->interval *
			 b->passes;
	for (enum side side = BARE; side <= VERIFY; side++)
		sample(b, side);			/* (3) */
	for (unsigned int i = 0; i < o->pairs; i++) {
		for (int op = 0; op < 2; op++) {	/* (2) */
			struct series *s = &series[op];

			s->bare[i] = sample(b, BARE);
			s->engine[i] = sample(b, op ? VERIFY : GENERATE);
			s->ratio[i] = s->bare[i] / s->engine[i];
		}
	}
	for (int op = 0; op < 2; op++) {
		rows[op].profile = b->p->name;
		rows[op].threads = b->threads;
		rows[op].op = op ? "verify" : "generate";
		rows[op].bare = bare_name(b->p);
		summarise(&rows[op], &series[op], o->pairs, bytes);
	}
}

/* ---- output ----------------------------------------------------------- */

static void print_head(const struct options *o)
{
	printf("Integrity engine against ISA-L's bare checksum over the same "
	       "buffers.\n"
	       "ratio = bare time / engine time, median of %u pairs; 1.00 is "
	       "as fast as bare;\nmark %.2f.  cache: %.1f KiB, memory: "
	       "%.0f MiB over all threads.\n\n",
	       o->pairs, MARK, (double)o->cache / 1024,
	       (double)o->memory / MIB);
	printf("%-24s %-7s %2s  %-9s %6s %15s %9s %9s  %s\n", "profile",
	       "where", "th", "operation", "ratio", "quartiles", "GB/s",
	       "bare GB/s", "bare checksum");
}

static void print_row(const struct row *r)
{
	printf("%-24s %-7s %2u  %-9s %6.3f %7.3f..%.3f %9.2f %9.2f  %s%s\n",
	       r->profile, r->where, r->threads, r->op, r->ratio, r->low,
	       r->high, r->rate / 1e9, r->bare_rate / 1e9, r->bare,
	       r->ratio < MARK ? "  BELOW MARK" : "");
	fflush(stdout);
}

static int write_json(const struct options *o, const struct row *rows,
		      unsigned int n)
{
	FILE *f = fopen(o->json, "w");

	if (!f)
		return -errno;
	fprintf(f, "{\"mark\": %g, \"pairs\": %u, \"cache_bytes\": %" PRIu64
		", \"memory_bytes\": %" PRIu64 ", \"rows\": [", MARK,
		o->pairs, o->cache, o->memory);
	for (const struct row *r = rows; r < rows + n; r++)
		fprintf(f, "%s\n  {\"profile\": \"%s\", \"where\": \"%s\", "
			"\"threads\": %u, \"op\": \"%s\", \"bare\": \"%s\", "
			"\"ratio\": %.4f, \"low\": %.4f, \"high\": %.4f, "
			"\"bytes_per_s\": %.0f, \"bare_bytes_per_s\": %.0f}",
			r == rows ? "" : ",", r->profile, r->where, r->threads,
			r->op, r->bare, r->ratio, r->low, r->high, r->rate,
			r->bare_rate);
	fprintf(f, "\n]}\n");
	return fclose(f) ? -errno : 0;
}

/* ---- command line ----------------------------------------------------- */

static const char *const profiles[] = { "512+8", "4096+8", "4096+16", NULL };

/* Two rows. */
static void run(const struct eng_profile *p, bool memory, unsigned int threads,
		const struct options *o, struct row **row)
{
	struct bench b;

	bench_open(&b, p, threads, memory ? o->memory : o->cache, o->sample);
	measure(&b, o, *row);
	bench_close(&b);
	for (int op = 0; op < 2; op++, (*row)++) {
		(*row)->where = memory ? "memory" : "cache";
		print_row(*row);
	}
}

static void run_profile(const char *name, const struct options *o,
			struct row **row)
{
	const struct eng_profile *p = eng_profile_find(name);

	if (!p)
		die("the engine does not know a profile of the benchmark");
	for (int memory = 0; memory < 2; memory++)
		for (unsigned int th = 1; th <= MAX_THREADS; th++)
			run(p, memory, th, o, row);
}

/* Each profile of the engine, on one thread in the cache. */
static void run_others(const struct options *o, struct row **row)
{
	const struct eng_profile *p;

	for (unsigned int i = 0; (p = eng_profile_at(i)); i++)
		run(p, false, 1, o, row);
}

static unsigned int count_profiles(void)
{
	unsigned int n = 0;

	while (eng_profile_at(n))
		n++;
	return n;
}

static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: engine [--quick] [--json FILE] [--pairs N] "
		"[--cache KiB] [--memory MiB] [PROFILE...]\n");
	exit(2);
}

static unsigned int number(const char *arg, unsigned int max)
{
	char *end;
	unsigned long n = strtoul(arg, &end, 10);

	if (!n || *end || n > max)
		usage();
	return (unsigned int)n;
}

static void parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "quick", no_argument, NULL, 'q' },
		{ "json", required_argument, NULL, 'j' },
		{ "pairs", required_argument, NULL, 'p' },
		{ "cache", required_argument, NULL, 'c' },
		{ "memory", required_argument, NULL, 'm' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (opt == 'q') {
			o->memory = 256 * MIB;
			o->sample = 128 * MIB;
			o->pairs = 7;
		} else if (opt == 'j') {
			o->json = optarg;
		} else if (opt == 'p') {
			o->pairs = number(optarg, MAX_PAIRS);
		} else if (opt == 'c') {
			o->cache = number(optarg, 1u << 20) * UINT64_C(1024);
		} else if (opt == 'm') {
			o->memory = number(optarg, 1u << 20) * MIB;
		} else {
			usage();
		}
	}
	/* A worker without one whole interval would measure nothing. */
	if (o->cache < 16384)
		usage();
}

int main(int argc, char **argv)
{
	struct options o = {
		.cache = 256 * 1024, .memory = 512 * MIB,
		.sample = 256 * MIB, .pairs = 21,
	};
	const char *const *name = profiles;
	struct row *rows, *end;
	unsigned int below = 0;
	int err = 0, n = 3;

	parse(&o, argc, argv);
	if (optind < argc) {
		name = (const char *const *)argv + optind;
		n = argc - optind;
	}
	rows = end = calloc((size_t)n * 4 * MAX_THREADS +
			    2 * count_profiles(), sizeof(*rows));
	if (!rows)
		die("out of memory");
	print_head(&o);
	for (; *name; name++)
		run_profile(*name, &o, &end);
	if (optind == argc)
		run_others(&o, &end);
	for (const struct row *r = rows; r < end; r++)
		below += r->ratio < MARK;
	printf("\n%u of %u rows below the mark of %.2f\n", below,
	       (unsigned int)(end - rows), MARK);
	if (o.json)
		err = write_json(&o, rows, (unsigned int)(end - rows));
	if (err)
		fprintf(stderr, "bench/engine: %s: %s\n", o.json,
			strerror(-err));
	free(rows);
	return err ? 1 : 0;
}
