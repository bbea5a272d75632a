/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - mkfs.tagfs: make an empty filesystem.
 *
 * (1) Everything that can be known to fail fails before the target is
 *     touched: the geometry is worked out on the device itself, opened
 *     read-only, or if a container is to be made, on a stand-in of the same
 *     size that takes no memory.  A dry run ends there.
 * (2) What was made is mounted read-only, from the medium, before success is
 *     reported. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/text.h"
#include "fds.h"
#include "format.h"
#include "fs.h"
#include "mirror.h"
#include "newleg.h"
#include "target.h"
#include "uuid.h"

#define DEFAULT_FORMAT	"512+8"

static const char usage[] =
"Usage: mkfs.tagfs [options] PATH\n"
"       mkfs.tagfs [options] --mirror PATH PATH [PATH...]\n"
"       mkfs.tagfs [options] --replace NEW PATH [PATH...]\n"
"Make a tagfs filesystem on PATH, an image file or a block device.\n"
"\n"
"  -E root_owner=UID:GID  of the root directory, instead of who calls\n"
"  -E tags=8        in an interval of 4096+64, for clusters of 4 KiB\n"
"  -F FORMAT    make a software container, also on a device that has protection\n"
"               information of its own: 512+8 (default), 4096+8, 4096+16 and\n"
"               others; -F help lists them\n"
"  -f           overwrite what is there, resize an existing file\n"
"  -K           keep old content: don't discard it first\n"
"  -L LABEL     name of the filesystem, at most 31 bytes\n"
"  -n           dry run: show the geometry, change nothing\n"
"  -q           quiet\n"
"  -s SIZE      of the image file: 512M, 1.5G, 2T; 10GB are 10^10 bytes\n"
"  -U UUID      instead of a random one\n"
"  --json       the geometry as an object\n"
"  --mirror     the same on each of two to four: what is bad on one is put\n"
"               right from another\n"
"  --replace    NEW becomes a leg of the mirror that the others are legs of,\n"
"               in place of one that is not named\n"
"  -h, --help   this text\n"
"  -V, --version\n";

enum { OPT_JSON = 256 };

struct job {
	const struct eng_profile *profile;
	const char	*path;
	uint64_t	size;
	bool		force, keep, dry, quiet, format_given, json;
	unsigned int	tags;		/* of an interval, as -E says; 0 */
	struct tfs_mkfs	fs;
	struct target	target;
	struct eng_probe probe;
	bool		mirror, replace;
	struct mirror_leg leg[MIRROR_LEGS];
	unsigned int	legs;
};

static bool is_native(const struct job *j)
{
	return j->probe.profile;
}

/* ---- messages ----------------------------------------------------------- */

static bool muted;

void mute(bool on)
{
	muted = on;
}

void say(const char *fmt, ...)
{
	char text[2 * PATH_MAX], line[ENG_LINE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	eng_text_line(line, text);
	fprintf(stderr, "mkfs.tagfs: %s\n", line);
}

static void on_log(int level, const char *line)
{
	(void)level;
	if (!muted)
		fprintf(stderr, "mkfs.tagfs: %s\n", line);
}

static void on_progress(int percent)
{
	printf("\rwriting: %d%%%s", percent, percent < 100 ? "" : "\n");
	fflush(stdout);
}

/* 1536 MiB rather than 1.5 GiB: no digit is lost. */
static void print_size(const char *what, uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB",
					     "TiB" };
	unsigned int u = 0;
	double n = (double)bytes;

	while (n >= 10240 && u < 4) {
		n /= 1024;
		u++;
	}
	printf("%-12s%.*f %s", what, u && n < 100 ? 1 : 0, n, units[u]);
}

/* ---- the command line --------------------------------------------------- */

static void list_format(const struct eng_profile *p)
{
	uint32_t run = eng_profile_run(p, TFS_TAG_BYTES);

	printf("%-30s%10u%10u%10u\n", p->name, p->interval,
	       2u * (run / p->interval) * p->tags, run);
}

static int list_formats(void)
{
	const struct eng_profile *p;

	printf("%-30s%10s%10s%10s\n", "format", "interval", "tag bytes",
	       "cluster");
	for (unsigned int i = 0; (p = eng_profile_at(i)); i++) {
		const struct eng_profile *more = eng_profile_tags(p, ENG_TAGS);

		list_format(p);
		if (more)
			list_format(more);
	}
	return 0;
}

/* K, KiB: 1024; KB: 1000; as other programs take them. */
static int parse_unit(const char *text, uint64_t *unit)
{
	static const char units[] = "KMGTP";
	const char *at = *text ? strchr(units, toupper((unsigned char)*text)) :
		NULL;
	unsigned int base = 1024;

	*unit = 1;
	if (!*text || !strcasecmp(text, "B"))
		return 0;
	if (!at)
		return -EINVAL;
	if (!strcasecmp(text + 1, "B"))
		base = 1000;
	else if (text[1] && strcasecmp(text + 1, "iB"))
		return -EINVAL;
	for (const char *u = units; u <= at; u++)
		*unit *= base;
	return 0;
}

/* Digits, perhaps a fraction of a unit, and the unit; blanks before that are
 * common. */
static int parse_size(const char *text, uint64_t *out)
{
	uint64_t whole, unit;
	long double part = 0, step = 1;
	char *end;

	errno = 0;
	whole = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || errno)
		return -EINVAL;
	if (*end == '.')
		while (isdigit((unsigned char)*++end))
			part += (*end - '0') * (step /= 10);
	end += strspn(end, " ");
	if (parse_unit(end, &unit) || whole > (uint64_t)INT64_MAX / unit - 1)
		return -EINVAL;
	if (part && unit == 1)
		return -EINVAL;
	*out = whole * unit + (uint64_t)(part * (long double)unit);
	return *out ? 0 : -EINVAL;
}

/* root_owner=UID:GID, tags=1 or tags=8. */
static int parse_extra(const char *text, struct job *j)
{
	unsigned long uid, gid;
	char *end;

	if (!strcmp(text, "tags=1") || !strcmp(text, "tags=8")) {
		j->tags = (unsigned int)(text[5] - '0');
		return 0;
	}
	if (strncmp(text, "root_owner=", 11) ||
	    !isdigit((unsigned char)text[11]))
		return -EINVAL;
	errno = 0;
	uid = strtoul(text + 11, &end, 10);
	if (*end != ':' || !isdigit((unsigned char)end[1]))
		return -EINVAL;
	gid = strtoul(end + 1, &end, 10);
	if (*end || errno || uid >= UINT32_MAX || gid >= UINT32_MAX)
		return -EINVAL;
	j->fs.root_uid = (uint32_t)uid;
	j->fs.root_gid = (uint32_t)gid;
	return 0;
}

/* A label is shown in lists and lines: printable UTF-8. */
static int parse_label(const char *text, char label[32])
{
	uint32_t code;
	unsigned int n;

	if (strlen(text) > 31)
		return -EINVAL;
	for (const char *s = text; *s; s += n) {
		n = eng_utf8(s, &code);
		if (!n || !eng_printable(code))
			return -EINVAL;
	}
	strcpy(label, text);
	return 0;
}

static int bad(const char *what, const char *value)
{
	say("bad %s '%s'", what, value);
	return 1;
}

/* -1: go on; else the exit status. */
static int take_value(struct job *j, int c, const char *value)
{
	switch (c) {
	case 'E':
		return parse_extra(value, j) ?
		       bad("option -E", value) : -1;
	case 'F':
		if (!strcmp(value, "help"))
			return list_formats();
		j->profile = eng_profile_find(value);
		j->format_given = true;
		return j->profile ? -1 : bad("format", value);
	case 'L':
		return parse_label(value, j->fs.label) ?
		       bad("label", value) : -1;
	case 's':
		return parse_size(value, &j->size) ? bad("size", value) : -1;
	default:
		return uuid_parse(value, j->fs.uuid) ? bad("UUID", value) : -1;
	}
}

static int take(struct job *j, int c)
{
	switch (c) {
	case 'f':
		j->force = true;
		return -1;
	case 'K':
		j->keep = true;
		return -1;
	case 'n':
		j->dry = true;
		return -1;
	case 'm':
		j->mirror = true;
		return -1;
	case 'r':
		j->replace = true;
		return -1;
	case 'q':
		j->quiet = true;
		return -1;
	case OPT_JSON:
		j->json = true;
		return -1;
	case 'h':
		fputs(usage, stdout);
		return 0;
	case 'V':
		printf("mkfs.tagfs %s\n", PACKAGE_VERSION);
		return 0;
	case '?':
		fputs("Try 'mkfs.tagfs -h'.\n", stderr);
		return 1;
	default:
		return take_value(j, c, optarg);
	}
}

static int parse(struct job *j, int argc, char **argv)
{
	static const struct option names[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "mirror", no_argument, NULL, 'm' },
		{ "replace", no_argument, NULL, 'r' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c, res;

	while ((c = getopt_long(argc, argv, "E:F:fKL:nqs:U:hV", names,
				NULL)) != -1) {
		res = take(j, c);
		if (res >= 0)
			return res;
	}
	if (j->mirror || j->replace ? argc - optind < 2 ||
	    argc - optind > (int)MIRROR_LEGS || j->mirror == j->replace :
	    argc - optind != 1) {
		fputs(usage, stderr);
		return 1;
	}
	while (optind < argc)
		j->leg[j->legs++].path = argv[optind++];
	j->path = j->leg[0].path;
	return -1;
}

/* ---- the geometry ------------------------------------------------------- */

/* What a format command would gain; it is never run. */
static void show_advice(const struct job *j)
{
	if (!*j->probe.advice)
		return;
	printf("%-12s%s; this erases all of the\n"
	       "%-12snamespace, and turns that on:\n%-12s%s\n", "",
	       is_native(j) ? "it could have smaller clusters" :
	       "it could protect itself", "", "", j->probe.advice);
}

/* A tag for so many bytes has its price. */
static void show_cost(const struct tfs_mkfs *m, const struct eng_profile *p)
{
	if (m->cluster_size > 4096 && eng_profile_tags(p, ENG_TAGS))
		printf("%-12sa write takes %u KiB, however small it is; with "
		       "-E tags=8\n%-12sit takes 4 KiB\n", "",
		       m->cluster_size / 1024, "");
	else if (m->cluster_size > 4096)
		printf("%-12sa write takes %u KiB, however small it is; with "
		       "a tag for\n%-12severy 512 bytes (512+8) it takes "
		       "4 KiB\n", "", m->cluster_size / 1024, "");
}

static void show_protection(const struct job *j,
			    const struct eng_geometry *geo)
{
	const struct eng_profile *p = geo->profile;
	uint64_t pi = j->target.size - geo->intervals * p->interval;

	printf("%-12s%s: %s\n", "backend", j->probe.backend, j->probe.why);
	show_advice(j);
	printf("%-12s%s: %u bytes under each guard, %s backend\n", "format",
	       p->name, p->interval, geo->backend);
	if (is_native(j)) {
		printf("%-12s%u bytes beside each %u, kept by the device\n",
		       "protection", p->meta_size, p->interval);
		return;
	}
	print_size("protection", pi);
	printf(" (%.2f%%), guards, tags and headers\n",
	       100.0 * (double)pi / (double)j->target.size);
}

static void show(const struct job *j, const struct eng_geometry *geo)
{
	const struct eng_profile *p = geo->profile;
	const struct tfs_mkfs *m = &j->fs;
	char uuid[UUID_TEXT], path[ENG_LINE];

	uuid_format(m->uuid, uuid);
	for (unsigned int i = 0; i < j->legs; i++) {
		const struct target *t = j->mirror ? &j->leg[i].target :
			&j->target;

		print_size(i ? "" : "size", t->size);
		eng_text_line(path, j->leg[i].path);
		printf(" on %s\n", path);
	}
	show_protection(j, geo);
	printf("%-12s%llu of %u bytes, %u tag bytes each\n", "clusters",
	       (unsigned long long)m->clusters, m->cluster_size,
	       2u * (m->cluster_size / p->interval) * p->tags);
	show_cost(m, p);
	print_size("log", (m->fixed - (j->mirror ? 8 : 6)) * m->cluster_size);
	putchar('\n');
	print_size("usable", m->free * m->cluster_size);
	printf("\n%-12s%s\n", "UUID", uuid);
	if (*m->label)
		printf("%-12s%s\n", "label", m->label);
}

/* Names and labels are what people type, so they are escaped. */
static void show_json(const struct job *j, const struct eng_geometry *geo)
{
	const struct tfs_mkfs *m = &j->fs;
	char uuid[UUID_TEXT];

	uuid_format(m->uuid, uuid);
	printf("{\"path\": ");
	eng_text_json(stdout, j->path);
	printf(", \"size\": %llu, \"backend\": \"%s\", \"format\": \"%s\", "
	       "\"interval\": %u, \"protection_bytes\": %llu, "
	       "\"clusters\": %llu, \"cluster_size\": %u, "
	       "\"log_bytes\": %llu, \"usable_bytes\": %llu, "
	       "\"root_uid\": %u, \"root_gid\": %u, \"uuid\": \"%s\", "
	       "\"label\": ", (unsigned long long)j->target.size,
	       geo->backend, geo->profile->name, geo->profile->interval,
	       (unsigned long long)(is_native(j) ? 0 : j->target.size -
				    geo->intervals * geo->profile->interval),
	       (unsigned long long)m->clusters, m->cluster_size,
	       (unsigned long long)(m->fixed - (j->mirror ? 8 : 6)) *
		       m->cluster_size,
	       (unsigned long long)m->free * m->cluster_size,
	       m->root_uid, m->root_gid, uuid);
	eng_text_json(stdout, m->label);
	printf(", \"dry_run\": %s}\n", j->dry ? "true" : "false");
}

/* As -E says, or -F for a container. */
static int set_tags(const struct job *j, struct eng_dev *dev)
{
	unsigned int tags = j->tags ? j->tags :
		is_native(j) ? 1 : j->profile->tags;
	int err = eng_dev_set_tags(dev, tags);

	if (err)
		say("%s: the format %s has no room for %u tags in an interval",
		    j->path, eng_dev_geometry(dev)->profile->name, tags);
	return err;
}

static int open_dev(struct job *j, struct eng_dev **dev, const char *path,
		    struct eng_pool *pool, unsigned int flags)
{
	struct eng_open how = { .flags = flags, .pool = pool,
				.backend = j->probe.backend };
	int err = eng_dev_open(dev, path, &how);

	if (!err)
		err = set_tags(j, *dev);
	return err;
}

static int plan(struct job *j, struct eng_dev *dev)
{
	int err;

	j->fs.dry_run = true;
	err = tfs_mkfs(dev, &j->fs);
	if (!err && j->json)
		show_json(j, eng_dev_geometry(dev));
	else if (!err && !j->quiet)
		show(j, eng_dev_geometry(dev));
	return err;
}

static int rehearse_soft(struct job *j, struct eng_pool *pool)
{
	struct eng_dev *dev = NULL;
	char path[32];
	int fd = memfd_create("mkfs.tagfs", MFD_CLOEXEC);
	int err = fd < 0 || ftruncate(fd, (off_t)j->target.size) ? -errno : 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err = err ?: eng_soft_format(path, j->profile);
	err = err ?: open_dev(j, &dev, path, pool, 0);
	err = err ?: plan(j, dev);
	eng_dev_close(dev);
	if (fd >= 0)
		close(fd);
	return err;
}

/* (1) */
static int rehearse(struct job *j, struct eng_pool *pool)
{
	struct eng_dev *dev = NULL;
	int err;

	if (!is_native(j))
		return rehearse_soft(j, pool);
	err = open_dev(j, &dev, j->path, pool, ENG_OPEN_RDONLY);
	err = err ?: plan(j, dev);
	eng_dev_close(dev);
	return err;
}

/* Which backend it will be. */
static int probe(struct job *j)
{
	static const char asked[] = "-F asks for a container";

	j->probe = (struct eng_probe) { .backend = "soft" };
	if (j->format_given)
		memcpy(j->probe.why, asked, sizeof(asked));
	else if (!j->target.exists)
		strcpy(j->probe.why, "it is a file");
	else
		return eng_dev_probe(&j->probe, j->path);
	return 0;
}

/* ---- the work ----------------------------------------------------------- */

/* (2) */
static int verify(struct eng_dev *dev)
{
	struct tfs_mount how = { .rdonly = true };
	struct tfs *fs = NULL;
	int err;

	eng_dev_drop_caches(dev);
	err = tfs_open(&fs, dev, &how);
	tfs_close(fs);
	return err;
}

static int make(struct job *j, struct eng_dev *dev)
{
	int err;

	j->fs.dry_run = false;
	if (!j->quiet && !j->json && isatty(STDOUT_FILENO))
		j->fs.progress = on_progress;
	err = tfs_mkfs(dev, &j->fs);
	err = err ?: eng_dev_flush(dev);
	return err ?: verify(dev);
}

static int build(struct job *j, struct eng_pool *pool)
{
	struct eng_dev *dev = NULL;
	int err = is_native(j) ? 0 : eng_soft_format(j->path, j->profile);

	err = err ?: open_dev(j, &dev, j->path, pool, 0);
	err = err ?: make(j, dev);
	eng_dev_close(dev);
	return err;
}

/* 1: it can't be, and that was said. */
static int run_single(struct job *j, struct eng_pool *pool)
{
	int err = target_look(&j->target, j->path, j->size);

	err = err ?: target_check(&j->target, j->force);
	if (err)
		return 1;
	err = probe(j) ?: rehearse(j, pool);
	if (err || j->dry)
		return err;
	err = target_prepare(&j->target, j->keep);
	err = err ?: build(j, pool);
	if (err)
		target_undo(&j->target);
	return err;
}

/* ---- a mirror ----------------------------------------------------------- */

/* The job is about this leg for now. */
static void leg_load(struct job *j, unsigned int i)
{
	j->path = j->leg[i].path;
	j->target = j->leg[i].target;
	j->probe = j->leg[i].probe;
}

static int leg_check(struct job *j, unsigned int i)
{
	struct mirror_leg *leg = &j->leg[i];
	int err = target_look(&leg->target, leg->path, j->size);

	err = err ?: target_check(&leg->target, j->force);
	if (err)
		return 1;
	j->path = leg->path;
	j->target = leg->target;
	err = probe(j);
	leg->probe = j->probe;
	return err;
}

/* Legs have the same profile: of those that store tuples themselves, or what
 * is asked for. */
static void agree(struct job *j)
{
	for (unsigned int i = 0; i < j->legs; i++)
		if (j->leg[i].probe.profile)
			j->profile = j->leg[i].probe.profile;
}

/* (1) The smallest counts, so it is the one that is rehearsed on. */
static int rehearse_mirror(struct job *j, struct eng_pool *pool)
{
	unsigned int least = 0;

	agree(j);
	for (unsigned int i = 1; i < j->legs; i++)
		if (j->leg[i].target.size < j->leg[least].target.size)
			least = i;
	leg_load(j, least);
	return rehearse(j, pool);
}

static int build_mirror(struct job *j, struct eng_pool *pool)
{
	struct eng_dev *dev = NULL;
	int err = 0;

	for (unsigned int i = 0; i < j->legs && !err; i++)
		err = target_prepare(&j->leg[i].target, j->keep);
	for (unsigned int i = 0; i < j->legs && !err; i++)
		if (!j->leg[i].probe.profile)
			err = eng_soft_format(j->leg[i].path, j->profile);
	err = err ?: mirror_open(&dev, j->leg, j->legs, pool);
	err = err ?: set_tags(j, dev);
	err = err ?: make(j, dev);
	eng_dev_close(dev);
	return err;
}

static int run_mirror(struct job *j, struct eng_pool *pool)
{
	int err = 0;

	for (unsigned int i = 0; i < j->legs && !err; i++)
		err = leg_check(j, i);
	if (!err && mirror_check(j->leg, j->legs))
		err = 1;
	err = err ?: rehearse_mirror(j, pool);
	if (err || j->dry)
		return err;
	err = build_mirror(j, pool);
	for (unsigned int i = 0; i < j->legs && err; i++)
		target_undo(&j->leg[i].target);
	return err;
}

static int run_replace(struct job *j, struct eng_pool *pool)
{
	struct newleg how = { .path = j->path, .size = j->size,
			      .force = j->force, .keep = j->keep };

	for (unsigned int i = 1; i < j->legs; i++)
		legs_add(&how.others, j->leg[i].path);
	return newleg_make(&how, pool);
}

/* There are 1024 clusters at least, and a container needs some more. */
static const char *too_small(const struct job *j)
{
	const struct eng_profile *p = j->probe.profile ?: j->profile, *as =
		eng_profile_tags(p, j->tags ? j->tags : p->tags);
	unsigned int mib = eng_profile_run(as ?: p, TFS_TAG_BYTES) / 1024;
	static char text[64];

	snprintf(text, sizeof(text), "too small: a device needs about %u MiB",
		 mib + mib / 16 + 1);
	return text;
}

static int run(struct job *j)
{
	struct eng_pool *pool = NULL;
	int err = eng_pool_create_serial(&pool);

	if (!err)
		err = j->replace ? run_replace(j, pool) : j->mirror ?
			run_mirror(j, pool) : run_single(j, pool);
	eng_pool_destroy(pool);
	if (err < 0)
		say("%s: no %s was made: %s", j->path, j->replace ? "leg" :
		    "filesystem", err == -ENOSPC && !j->replace ?
		    too_small(j) : strerror(-err));
	return err ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct job j = {
		.profile = eng_profile_find(DEFAULT_FORMAT),
		.fs = { .root_uid = getuid(), .root_gid = getgid() },
	};
	int err = fds_tidy();
	int res;

	if (err)
		return 1;
	err = uuid_generate(j.fs.uuid);
	eng_log_to(on_log);
	if (err) {
		say("random numbers: %s", strerror(-err));
		return 1;
	}
	res = parse(&j, argc, argv);
	return res >= 0 ? res : run(&j);
}
