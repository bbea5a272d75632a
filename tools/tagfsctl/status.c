/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status.c - how a mounted filesystem is, in one word and in numbers. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "ctl.h"
#include "out.h"
#include "tagfs_ioctl.h"

static const struct number {
	const char	*name;		/* in tagfs.stats */
	const char	*metric;	/* NULL: not one */
	const char	*help;
	bool		counter;
} numbers[] = {
	{ "clusters", "size_clusters", "Clusters for content", false },
	{ "clusters_free", "free_clusters", "Of them free", false },
	{ "clusters_pending", "pending_clusters",
	  "Free after the next checkpoint", false },
	{ "clusters_reserved", "reserved_clusters",
	  "Promised by fallocate", false },
	{ "clusters_unreachable", "unreachable_clusters",
	  "Free, in regions whose map is damaged", false },
	{ "cluster_size", "cluster_size_bytes", "Bytes of a cluster", false },
	{ "inodes", "inodes", "Inodes in use", false },
	{ "bad_guard", "bad_guard_total",
	  "Reads with a wrong guard", true },
	{ "bad_ref", "bad_ref_total",
	  "Reads with a wrong reference tag", true },
	{ "bad_app", "bad_app_total",
	  "Reads with wrong application tags", true },
	{ "bad_escape", "bad_escape_total",
	  "Reads of what was never written", true },
	{ "io_errors", "io_errors_total", "Reads and writes that failed",
	  true },
	{ "regions_lost", "regions_lost_total",
	  "Maps of free space that can't be read", true },
	{ "nodes_healed", "nodes_healed_total",
	  "Tree nodes with one bad copy", true },
	{ "checkpoint", "checkpoint", "Number of the newest one", false },
	{ "reads", "reads_total", "Reads", true },
	{ "read_bytes", "read_bytes_total", "Bytes read", true },
	{ "writes", "writes_total", "Writes", true },
	{ "write_bytes", "write_bytes_total", "Bytes written", true },
};

#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

/* Of a leg of a mirror. */
static const struct number leg_numbers[] = {
	{ "left", "leg_left_commit",
	  "What came after this commit may be missing there", false },
	{ "reads", "leg_reads_total", "Reads of a leg", true },
	{ "writes", "leg_writes_total", "Writes of a leg", true },
	{ "bad", "leg_bad_total", "Reads of a leg that did not verify", true },
	{ "errors", "leg_errors_total", "Requests to a leg that failed",
	  true },
	{ "healed", "leg_healed_intervals_total",
	  "Intervals rewritten from another leg", true },
	{ "copied", "leg_copied_intervals_total",
	  "Intervals that a leg missed and was given", true },
};

#define LEG_NUMBERS (sizeof(leg_numbers) / sizeof(leg_numbers[0]))

struct status {
	const char	*path;
	char		*stats;
	const char	*health;
	char		why[160];
	char		label[256], uuid[40], format[64], backend[16];
	bool		read_only;
	unsigned int	legs_away;	/* of a mirror, without everything */
	uint64_t	legs_healed;	/* intervals */
	struct tagfs_scrub scrub;
};

static uint64_t number(const struct status *s, const char *name)
{
	uint64_t n;

	stats_number(s->stats, name, &n);
	return n;
}

static const char *leg_state(const char *leg, char state[16])
{
	stats_text(leg, "state", state, 16);
	return state;
}

static void look_at_legs(struct status *s)
{
	const char *leg;
	char state[16];
	uint64_t n;

	for (unsigned int i = 0; (leg = stats_leg(s->stats, i)); i++) {
		s->legs_away += !!strcmp(leg_state(leg, state), "current");
		stats_number(leg, "healed", &n);
		s->legs_healed += n;
	}
}

static void judge(struct status *s, bool wanted_rw)
{
	uint64_t bad = number(s, "bad_guard") + number(s, "bad_ref") +
		number(s, "bad_app") + number(s, "bad_escape");
	uint64_t io = number(s, "io_errors");
	uint64_t lost = number(s, "regions_lost");
	uint64_t healed = number(s, "nodes_healed") + s->scrub.healed;

	if (s->read_only && wanted_rw) {
		s->health = "read-only";
		snprintf(s->why, sizeof(s->why), "mounted for writing, and "
			 "read-only now: see the log");
	} else if (s->scrub.listed || s->scrub.unlisted) {
		s->health = "damaged";
		snprintf(s->why, sizeof(s->why), "%llu places are known to be "
			 "bad: tagfsctl errors", (unsigned long long)
			 (s->scrub.listed + s->scrub.unlisted));
	} else if (bad || io || lost) {
		s->health = "damaged";
		snprintf(s->why, sizeof(s->why), "%llu reads did not verify, "
			 "%llu failed, %llu maps of free space are lost",
			 (unsigned long long)bad, (unsigned long long)io,
			 (unsigned long long)lost);
	} else if (s->legs_away) {
		s->health = "degraded";
		snprintf(s->why, sizeof(s->why), "%u legs of the mirror are "
			 "missing something, or all", s->legs_away);
	} else if (healed || s->legs_healed) {
		s->health = "healed";
		snprintf(s->why, sizeof(s->why), "%llu bad copies of tree "
			 "nodes and %llu intervals of legs were replaced",
			 (unsigned long long)healed,
			 (unsigned long long)s->legs_healed);
	} else {
		s->health = "good";
		snprintf(s->why, sizeof(s->why), "nothing wrong since it was "
			 "mounted");
	}
}

static int load(struct status *s)
{
	struct statvfs st;

	s->stats = stats_get(s->path);
	if (!s->stats)
		return -errno;
	if (statvfs(s->path, &st))
		return -errno;
	stats_text(s->stats, "label", s->label, sizeof(s->label));
	stats_text(s->stats, "uuid", s->uuid, sizeof(s->uuid));
	stats_text(s->stats, "format", s->format, sizeof(s->format));
	stats_text(s->stats, "backend", s->backend, sizeof(s->backend));
	s->read_only = stats_true(s->stats, "read_only");
	if (scrub_ask(s->path, &s->scrub))	/* an older daemon */
		s->scrub = (struct tagfs_scrub){ .op = 0 };
	look_at_legs(s);
	judge(s, !(st.f_flag & ST_RDONLY));
	return 0;
}

static void print_leg(const char *leg, unsigned int i)
{
	char name[256], state[16];
	uint64_t n[LEG_NUMBERS];

	stats_text(leg, "name", name, sizeof(name));
	for (size_t k = 0; k < LEG_NUMBERS; k++)
		stats_number(leg, leg_numbers[k].name, &n[k]);
	printf("leg %u:      %s%s%s: %llu reads, %llu writes, %llu bad, %llu "
	       "failed, %llu intervals healed, %llu copied\n", i + 1, name,
	       *name ? ", " : "", leg_state(leg, state),
	       (unsigned long long)n[1], (unsigned long long)n[2],
	       (unsigned long long)n[3], (unsigned long long)n[4],
	       (unsigned long long)n[5], (unsigned long long)n[6]);
}

static void print_resilver(const struct status *s)
{
	char state[16];

	stats_text(s->stats, "resilver", state, sizeof(state));
	printf("resilver:   %s", state);
	if (strcmp(state, "none"))
		printf(", %llu %%, %llu MiB compared",
		       (unsigned long long)number(s, "resilver_percent"),
		       (unsigned long long)number(s, "resilver_bytes") >> 20);
	putchar('\n');
}

static void print_text(const struct status *s)
{
	uint64_t csize = number(s, "cluster_size");
	uint64_t all = number(s, "clusters");
	uint64_t free = number(s, "clusters_free") +
		number(s, "clusters_pending");
	char mirror[1024], date[OUT_DATE];
	const char *leg;

	printf("health:     %s (%s)\n", s->health, s->why);
	printf("label:      %s\nuuid:       %s\n", s->label, s->uuid);
	printf("format:     %s, %s, clusters of %llu bytes\n", s->format,
	       s->backend, (unsigned long long)csize);
	if (stats_text(s->stats, "mirror", mirror, sizeof(mirror)))
		printf("mirror:     %s\n", mirror);
	for (unsigned int i = 0; (leg = stats_leg(s->stats, i)); i++)
		print_leg(leg, i);
	if (stats_leg(s->stats, 0))
		print_resilver(s);
	printf("usage:      %llu of %llu MiB, %llu inodes\n",
	       (unsigned long long)((all - free) * csize >> 20),
	       (unsigned long long)(all * csize >> 20),
	       (unsigned long long)number(s, "inodes"));
	printf("errors:     guard %llu, reference tag %llu, application tag "
	       "%llu, unwritten %llu, I/O %llu\n",
	       (unsigned long long)number(s, "bad_guard"),
	       (unsigned long long)number(s, "bad_ref"),
	       (unsigned long long)number(s, "bad_app"),
	       (unsigned long long)number(s, "bad_escape"),
	       (unsigned long long)number(s, "io_errors"));
	printf("known bad:  %llu places, and %llu that are not listed\n",
	       (unsigned long long)s->scrub.listed,
	       (unsigned long long)s->scrub.unlisted);
	out_date(s->scrub.ended, date);
	printf("last scrub: %s%s, %llu healed, %llu not\n",
	       scrub_state(&s->scrub), date,
	       (unsigned long long)s->scrub.healed,
	       (unsigned long long)s->scrub.uncorrectable);
	out_date(s->scrub.whole, date);
	printf("all read:   %s\n", *date ? date + 1 : "never by a scrub");
}

/* An object a line, behind that of the whole. */
static void print_json_leg(const char *leg, unsigned int i)
{
	char name[256], state[16];
	uint64_t n;

	out_begin("leg");
	out_number("leg", i + 1);
	stats_text(leg, "name", name, sizeof(name));
	out_text("name", name);
	out_text("state", leg_state(leg, state));
	for (size_t k = 0; k < LEG_NUMBERS; k++) {
		stats_number(leg, leg_numbers[k].name, &n);
		out_number(leg_numbers[k].name, n);
	}
	out_end();
}

static void print_json(const struct status *s)
{
	char resilver[16];
	const char *leg;

	out_setup(true);
	out_begin("status");
	out_text("health", s->health);
	out_text("why", s->why);
	out_text("label", s->label);
	out_text("uuid", s->uuid);
	out_text("format", s->format);
	out_text("backend", s->backend);
	out_true("read_only", s->read_only);
	for (size_t i = 0; i < NUMBERS; i++)
		out_number(numbers[i].name, number(s, numbers[i].name));
	out_text("scrub", scrub_state(&s->scrub));
	out_number("scrub_started", s->scrub.started);
	out_number("scrub_ended", s->scrub.ended);
	out_number("scrub_healed", s->scrub.healed);
	out_number("scrub_uncorrectable", s->scrub.uncorrectable);
	out_number("scrub_whole", s->scrub.whole);
	out_number("known_errors", s->scrub.listed);
	out_number("unlisted_errors", s->scrub.unlisted);
	if (stats_text(s->stats, "resilver", resilver, sizeof(resilver))) {
		out_text("resilver", resilver);
		out_number("resilver_percent", number(s, "resilver_percent"));
		out_number("resilver_bytes", number(s, "resilver_bytes"));
	}
	out_end();
	for (unsigned int i = 0; (leg = stats_leg(s->stats, i)); i++)
		print_json_leg(leg, i);
}

/* Values of labels: \, " and the end of a line mean something. */
static void open_labels(const struct status *s)
{
	printf("{mountpoint=");
	out_json_string(s->path);
	printf(",uuid=");
	out_json_string(s->uuid);
}

static void put_labels(const struct status *s)
{
	open_labels(s);
	putchar('}');
}

static void put_gauge(const struct status *s, const char *name,
		      const char *help, uint64_t value)
{
	printf("# HELP tagfs_%s %s\n# TYPE tagfs_%s gauge\ntagfs_%s", name,
	       help, name, name);
	put_labels(s);
	printf(" %llu\n", (unsigned long long)value);
}

static void put_header(const struct number *n)
{
	printf("# HELP tagfs_%s %s\n# TYPE tagfs_%s %s\n", n->metric, n->help,
	       n->metric, n->counter ? "counter" : "gauge");
}

static void put_leg_metric(const struct status *s, const struct number *n)
{
	const char *leg;
	char name[256], state[16];
	uint64_t value;

	if (!stats_leg(s->stats, 0))
		return;
	put_header(n);
	for (unsigned int i = 0; (leg = stats_leg(s->stats, i)); i++) {
		stats_text(leg, "name", name, sizeof(name));
		printf("tagfs_%s", n->metric);
		open_labels(s);
		printf(",leg=\"%u\",device=", i + 1);
		out_json_string(name);
		if (n->name)
			stats_number(leg, n->name, &value);
		else
			value = !strcmp(leg_state(leg, state), "current");
		printf("} %llu\n", (unsigned long long)value);
	}
}

static void print_leg_metrics(const struct status *s)
{
	static const struct number current = {
		NULL, "leg_current", "1: the leg has everything", false
	};
	static const struct number percent = {
		"resilver_percent", "resilver_percent",
		"Of all that is in use, as far as a leg lacks it", false
	};

	put_leg_metric(s, &current);
	for (size_t i = 0; i < LEG_NUMBERS; i++)
		put_leg_metric(s, &leg_numbers[i]);
	if (!stats_leg(s->stats, 0))
		return;
	put_header(&percent);
	printf("tagfs_%s", percent.metric);
	put_labels(s);
	printf(" %llu\n", (unsigned long long)number(s, percent.name));
}

static void print_metrics(const struct status *s)
{
	printf("# HELP tagfs_healthy 1: nothing is damaged, lost or away\n"
	       "# TYPE tagfs_healthy gauge\ntagfs_healthy");
	put_labels(s);
	printf(" %d\n", !strcmp(s->health, "good") ||
	       !strcmp(s->health, "healed"));
	for (size_t i = 0; i < NUMBERS; i++) {
		const struct number *n = &numbers[i];

		put_header(n);
		printf("tagfs_%s", n->metric);
		put_labels(s);
		printf(" %llu\n", (unsigned long long)number(s, n->name));
	}
	put_gauge(s, "scrub_uncorrectable", "Findings of the last scrub",
		  s->scrub.uncorrectable);
	put_gauge(s, "scrub_ended_seconds", "When it ended", s->scrub.ended);
	put_gauge(s, "scrub_whole_seconds",
		  "When the last one ended that has read everything",
		  s->scrub.whole);
	put_gauge(s, "known_errors", "Places that are known to be bad",
		  s->scrub.listed + s->scrub.unlisted);
	print_leg_metrics(s);
}

int verb_status(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "metrics", no_argument, NULL, 'm' }, { NULL, 0, NULL, 0 }
	};
	struct status s = { .path = NULL };
	int c, err, form = 0;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		if (c == '?')
			return bad_usage(argv[0], "unknown option");
		form = c;
	}
	if (argc - optind != 1)
		return bad_usage("status", "it takes a mount point");
	s.path = argv[optind];
	err = load(&s);
	if (err)
		free(s.stats);
	if (err)
		return fail(s.path, err == -ENODATA || err == -EOPNOTSUPP ?
			    -EMEDIUMTYPE : err);
	if (form == 'j')
		print_json(&s);
	else if (form == 'm')
		print_metrics(&s);
	else
		print_text(&s);
	free(s.stats);
	return EXIT_OK;
}
