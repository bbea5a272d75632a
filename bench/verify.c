/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verify.c - what reading a device costs with and without verification.
 *  (1) Both sides read the same area with the same requests; only the
 *      device's switch differs.  They take turns, and a difference is formed
 *      between neighbours alone.
 *  (2) A pass is over when its last request is: no work of one side is
 *      charged to the other.  Processor time is that of the whole process,
 *      the engine's threads and the kernel on their behalf included.
 *  (3) A side that does something else is no result: every pass must succeed,
 *      and a fault is put into one read of each side, which has to be noticed
 *      by the one and not by the other.
 *  (4) The checks alone, of what the last reads have left in memory, say how
 *      much of the difference they are where all arithmetic is slow. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

#include "tagpi.h"

#define MAX_DEPTH	256
#define MIB		(UINT64_C(1) << 20)

struct options {
	bool		fill;
	const char	*format, *backend;	/* NULL: as it is; any */
	unsigned long	size, request;		/* MiB, KiB */
	unsigned long	depth, rounds;
};

/* One request, again and again. */
struct slot {
	struct eng_io	*io;
	void		*data;
	sem_t		moved;
};

/* A device and what of it is read. */
struct area {
	const char	*path;
	struct eng_pool	*pool;
	struct eng_dev	*dev;
	const struct eng_geometry *geo;
	uint32_t	count;		/* intervals of a request */
	uint64_t	requests;
	unsigned int	depth;
	struct slot	slots[MAX_DEPTH];
};

/* Of one pass, or of many. */
struct cost {
	double		cpu, wall;	/* seconds */
};

struct result {
	struct cost	off, on, bare;
	double		low, high;	/* on - off, processor time */
};

static _Noreturn void die(const char *path, const char *what, int err)
{
	fprintf(stderr, "bench/verify: %s: %s%s%s\n", path, what,
		err ? ": " : "", err ? strerror(-err) : "");
	exit(1);
}

/* ---- passes ----------------------------------------------------------- */

static void moved(struct eng_io *io)
{
	struct slot *s = io->arg;

	sem_post(&s->moved);
}

static void await(const struct area *a, struct slot *s)
{
	const struct eng_fault *f = &s->io->fault;

	while (sem_wait(&s->moved))
		;	/* EINTR */
	if (s->io->err == -EBADMSG)
		fprintf(stderr, "bench/verify: %s: interval %" PRIu64 ": %s: "
			"expected %" PRIx64 ", found %" PRIx64 "\n", a->path,
			f->interval, eng_fault_name(f->kind), f->expected,
			f->actual);
	if (s->io->err)
		die(a->path, s->io->op == ENG_READ ? "read" : "write",
		    s->io->err);
}

/* The whole area in order, depth requests at a time.  (2) */
static void pass(struct area *a)
{
	for (uint64_t i = 0; i < a->requests + a->depth; i++) {
		struct slot *s = &a->slots[i % a->depth];

		if (i >= a->depth)
			await(a, s);
		if (i < a->requests) {
			s->io->start = i * a->count;
			eng_io_submit(s->io);
		}
	}
}

/* (4) */
static void checks(struct area *a)
{
	for (uint64_t i = 0; i < a->requests; i++) {
		int err = eng_io_verify(a->slots[i % a->depth].io);

		if (err)
			die(a->path, "verify", err);
	}
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static struct cost so_far(void)
{
	struct timespec ts;
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (struct cost){
		.cpu = seconds(use.ru_utime) + seconds(use.ru_stime),
		.wall = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9,
	};
}

static struct cost measured(struct area *a, void (*work)(struct area *a))
{
	struct cost before = so_far(), after;

	work(a);
	after = so_far();
	return (struct cost){ after.cpu - before.cpu,
			      after.wall - before.wall };
}

static struct cost measured_pass(struct area *a, bool on)
{
	eng_dev_enable(a->dev, ENG_READ, on);
	eng_dev_drop_caches(a->dev);	/* a container's tuples */
	return measured(a, pass);
}

/* ---- requests --------------------------------------------------------- */

/* Those of read know the tags if fill has written them: the number of the
 * interval within its request. */
static void prepare(struct area *a, struct slot *s, enum eng_op op, bool known)
{
	struct iovec iov = { s->data,
			     (size_t)a->count * a->geo->profile->interval };
	int err = eng_io_prep(&s->io, a->dev, op, 0, &iov, 1);

	if (err)
		die(a->path, "cannot prepare a request", err);
	for (uint32_t i = 0; i < a->count; i++)
		s->io->tags[i] = (uint16_t)(i & 0x7fff);
	if (op == ENG_READ && !known)
		s->io->flags = ENG_IO_TAGS_OUT;
	s->io->end = moved;
	s->io->arg = s;
}

static void prepare_all(struct area *a, enum eng_op op, bool known)
{
	for (unsigned int i = 0; i < a->depth; i++) {
		eng_io_put(a->slots[i].io);
		prepare(a, &a->slots[i], op, known);
	}
}

static void fill(struct area *a)
{
	int err;

	prepare_all(a, ENG_WRITE, true);
	pass(a);
	err = eng_dev_flush(a->dev);
	if (err)
		die(a->path, "flush", err);
}

/* (3) */
static void try_side(struct area *a, struct eng_io *io, bool on)
{
	const struct eng_inject_rule rule = {
		.kind = ENG_INJECT_GUARD, .op = ENG_READ,
	};
	int err = eng_inject_add(a->dev, &rule);

	if (err)
		die(a->path, "cannot inject a fault", err);
	eng_dev_enable(a->dev, ENG_READ, on);
	err = eng_io_run(io);
	eng_inject_clear(a->dev);
	if (err != (on ? -EBADMSG : 0))
		die(a->path, on ? "verification is on and finds nothing" :
		    "verification is off and finds something", err);
}

static void try_sides(struct area *a)
{
	struct eng_io *io = a->slots[0].io;

	io->start = 0;
	try_side(a, io, false);
	try_side(a, io, true);
}

/* ---- a device --------------------------------------------------------- */

static void set_size(struct area *a, const struct options *o)
{
	uint32_t interval = a->geo->profile->interval;
	uint64_t count = o->request * 1024 / interval;
	uint64_t all = o->size * MIB / interval;

	if (count > a->geo->max_io)
		count = a->geo->max_io;
	if (all > a->geo->intervals)
		all = a->geo->intervals;
	if (!count || all < count)
		die(a->path, "no room for one request", 0);
	a->count = (uint32_t)count;
	a->requests = all / count;
	if (a->depth > a->requests)
		a->depth = (unsigned int)a->requests;
}

static void make_slots(struct area *a)
{
	for (unsigned int i = 0; i < a->depth; i++) {
		struct slot *s = &a->slots[i];

		s->data = aligned_alloc(4096, MIB);
		if (!s->data)
			die(a->path, "out of memory", 0);
		memset(s->data, 0x5a + (int)i, MIB);
		sem_init(&s->moved, 0, 0);
	}
}

static void area_open(struct area *a, const char *path,
		      const struct options *o)
{
	struct eng_open how = { .backend = o->backend };
	int err;

	*a = (struct area){ .path = path, .depth = (unsigned int)o->depth };
	how.flags = o->fill ? 0 : ENG_OPEN_RDONLY;
	err = eng_pool_create(&a->pool, 0);
	how.pool = a->pool;
	if (!err && o->format)
		err = eng_soft_format(path, eng_profile_find(o->format));
	if (!err)
		err = eng_dev_open(&a->dev, path, &how);
	if (err)
		die(path, "cannot open", err);
	a->geo = eng_dev_geometry(a->dev);
	set_size(a, o);
	make_slots(a);
}

static void area_close(struct area *a)
{
	for (unsigned int i = 0; i < a->depth; i++) {
		eng_io_put(a->slots[i].io);
		sem_destroy(&a->slots[i].moved);
		free(a->slots[i].data);
	}
	eng_dev_close(a->dev);
	eng_pool_destroy(a->pool);
}

/* ---- measuring -------------------------------------------------------- */

static void add(struct cost *sum, struct cost c)
{
	sum->cpu += c.cpu;
	sum->wall += c.wall;
}

/* One that is not counted, and then in turns.  (1) */
static void measure(struct area *a, unsigned long rounds, struct result *r)
{
	*r = (struct result){ .low = 1e9, .high = -1e9 };
	measured_pass(a, true);
	for (unsigned long i = 0; i < rounds; i++) {
		struct cost off = measured_pass(a, false);
		struct cost on = measured_pass(a, true);
		double more = on.cpu - off.cpu;

		add(&r->off, off);
		add(&r->on, on);
		add(&r->bare, measured(a, checks));
		r->low = more < r->low ? more : r->low;
		r->high = more > r->high ? more : r->high;
	}
}

static void print_head(const struct options *o)
{
	printf("Reading with and without verification: processor time in "
	       "ms per MiB read,\nover %lu rounds, %lu requests at a time; "
	       "then MiB per second.\n\n"
	       "%-20s %-7s %4s %7s %7s %7s %14s %7s %7s %7s %7s  %s\n",
	       o->rounds, o->depth, "format", "backend", "KiB", "off", "on",
	       "more", "least..most", "checks", "off", "on", "more",
	       "Linux, device");
	fflush(stdout);
}

static void print_row(const struct area *a, const struct result *r,
		      unsigned long rounds)
{
	uint32_t bytes = a->count * a->geo->profile->interval;
	double mib = (double)bytes * (double)a->requests / (double)MIB;
	double all = mib * (double)rounds, ms = 1e3 / all;
	struct utsname u;

	uname(&u);
	printf("%-20s %-7s %4u ", a->geo->profile->name, a->geo->backend,
	       bytes / 1024);
	printf("%7.3f %7.3f %7.3f %6.3f..%6.3f %7.3f ", r->off.cpu * ms,
	       r->on.cpu * ms, (r->on.cpu - r->off.cpu) * ms,
	       r->low * 1e3 / mib, r->high * 1e3 / mib, r->bare.cpu * ms);
	printf("%7.1f %7.1f %6.1f%%  %s, %s\n", all / r->off.wall,
	       all / r->on.wall, (r->off.wall / r->on.wall - 1) * 100,
	       u.release, a->path);
	fflush(stdout);
}

static void run(const char *path, const struct options *o)
{
	static struct area a;
	struct result r;

	area_open(&a, path, o);
	if (o->fill)
		fill(&a);
	prepare_all(&a, ENG_READ, o->fill);
	measure(&a, o->rounds, &r);
	try_sides(&a);
	print_row(&a, &r, o->rounds);
	area_close(&a);
}

/* ---- command line ----------------------------------------------------- */

static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: verify [--fill] [--format PROFILE] "
		"[--backend NAME] [--size MiB]\n\t[--request KiB] [--depth N] "
		"[--rounds N] DEVICE...\n--fill and --format erase it\n");
	exit(2);
}

static void set_number(unsigned long *out, unsigned long max)
{
	char *end;

	*out = strtoul(optarg, &end, 10);
	if (!*out || *end || *out > max)
		usage();
}

static void set(struct options *o, int opt)
{
	if (opt == 'f')
		o->fill = true;
	else if (opt == 'p' && eng_profile_find(optarg))
		o->format = optarg;
	else if (opt == 'b')
		o->backend = optarg;
	else if (opt == 's')
		set_number(&o->size, 1ul << 20);
	else if (opt == 'k')
		set_number(&o->request, 1024);
	else if (opt == 'd')
		set_number(&o->depth, MAX_DEPTH);
	else if (opt == 'r')
		set_number(&o->rounds, 1000);
	else
		usage();
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "fill", no_argument, NULL, 'f' },
		{ "format", required_argument, NULL, 'p' },
		{ "backend", required_argument, NULL, 'b' },
		{ "size", required_argument, NULL, 's' },
		{ "request", required_argument, NULL, 'k' },
		{ "depth", required_argument, NULL, 'd' },
		{ "rounds", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = {
		.size = 256, .request = 256, .depth = 8, .rounds = 5,
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1)
		set(&o, opt);
	if (optind == argc)
		usage();
	o.fill |= o.format != NULL;
	print_head(&o);
	for (; optind < argc; optind++)
		run(argv[optind], &o);
	return 0;
}
