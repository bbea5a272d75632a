/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scrub.c - scrubs of a mounted filesystem, and what they found. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"
#include "out.h"
#include "tagfs_ioctl.h"

#define RATE	256u	/* MiB/s */

struct job {
	struct tagfs_scrub scrub;
	const char	*path;
	bool		json;
};

static int open_root(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int scrub_ask(const char *path, struct tagfs_scrub *s)
{
	int fd = open_root(path), err = 0;

	if (fd < 0)
		return fd;
	if (ioctl(fd, TAGFS_IOC_SCRUB, s))
		err = -errno;
	close(fd);
	return err;
}

static const char *const states[] = {
	[TAGFS_SCRUB_NEVER]	= "never",
	[TAGFS_SCRUB_RUNNING]	= "running",
	[TAGFS_SCRUB_PAUSED]	= "paused",
	[TAGFS_SCRUB_FINISHED]	= "finished",
	[TAGFS_SCRUB_CANCELLED]	= "cancelled",
	[TAGFS_SCRUB_FAILED]	= "failed",
};

const char *scrub_state(const struct tagfs_scrub *s)
{
	return s->state < sizeof(states) / sizeof(states[0]) ?
		states[s->state] : "unknown";
}

static void out_status(const struct tagfs_scrub *s)
{
	out_begin("scrub");
	out_text("state", scrub_state(s));
	if (s->state != TAGFS_SCRUB_NEVER) {
		out_true("data", s->flags & TAGFS_SCRUB_DATA);
		out_true("metadata", s->flags & TAGFS_SCRUB_META);
		out_true("errors", s->flags & TAGFS_SCRUB_ERRORS);
		out_number("rate", s->rate);
		out_time("started", s->started);
		out_time("ended", s->ended);
		out_number("bytes", s->bytes);
		out_number("nodes", s->nodes);
		out_number("regions_done", s->done);
		out_number("regions", s->all);
		out_number("healed", s->healed);
		out_number("uncorrectable", s->uncorrectable);
	}
	out_time("whole", s->whole);
	out_number("listed", s->listed);
	out_number("unlisted", s->unlisted);
	if (s->error)
		out_text("error", strerror((int)s->error));
	out_end();
}

static bool is_active(const struct tagfs_scrub *s)
{
	return s->state == TAGFS_SCRUB_RUNNING ||
		s->state == TAGFS_SCRUB_PAUSED;
}

static int exit_of(const struct tagfs_scrub *s)
{
	if (s->uncorrectable)
		return EXIT_BAD;
	return s->state == TAGFS_SCRUB_FAILED ||
		s->state == TAGFS_SCRUB_CANCELLED ? EXIT_COULD_NOT : EXIT_OK;
}

static int wait_end(struct job *j)
{
	const struct timespec moment = { .tv_nsec = 100000000 };
	int err;

	for (;;) {
		j->scrub.op = TAGFS_SCRUB_STATUS;
		err = scrub_ask(j->path, &j->scrub);
		if (err)
			return fail(j->path, err);
		if (!is_active(&j->scrub))
			break;
		nanosleep(&moment, NULL);
	}
	out_status(&j->scrub);
	return exit_of(&j->scrub);
}

static int command(struct job *j)
{
	bool status = j->scrub.op == TAGFS_SCRUB_STATUS;
	int err = scrub_ask(j->path, &j->scrub);

	if (err == -EBUSY || err == -ENOENT) {
		say("%s: %s", j->path, err == -EBUSY ?
		    "a scrub runs already, or is paused" : "no scrub runs");
		return EXIT_COULD_NOT;
	}
	if (err)
		return fail(j->path, err);
	if (status || j->json)
		out_status(&j->scrub);
	return status ? exit_of(&j->scrub) : EXIT_OK;
}

static int op_of(const char *name)
{
	static const char *const ops[] = {
		[TAGFS_SCRUB_STATUS]	= "status",
		[TAGFS_SCRUB_START]	= "start",
		[TAGFS_SCRUB_PAUSE]	= "pause",
		[TAGFS_SCRUB_RESUME]	= "resume",
		[TAGFS_SCRUB_CANCEL]	= "cancel",
	};

	for (int i = 0; i < (int)(sizeof(ops) / sizeof(ops[0])); i++)
		if (!strcmp(ops[i], name))
			return i;
	return -1;
}

static bool parse_options(struct job *j, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "rate", required_argument, NULL, 'r' },
		{ "data", no_argument, NULL, 'd' },
		{ "meta", no_argument, NULL, 'm' },
		{ "errors", no_argument, NULL, 'e' },
		{ NULL, 0, NULL, 0 }
	};
	uint64_t rate = RATE;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		if (c == 'j')
			j->json = true;
		else if (c == 'd')
			j->scrub.flags |= TAGFS_SCRUB_DATA;
		else if (c == 'm')
			j->scrub.flags |= TAGFS_SCRUB_META;
		else if (c == 'e')
			j->scrub.flags |= TAGFS_SCRUB_ERRORS;
		else if (c != 'r' || !parse_number(optarg, &rate) ||
			 rate > UINT32_MAX)
			return false;
	}
	if (!j->scrub.flags)
		j->scrub.flags = TAGFS_SCRUB_DATA | TAGFS_SCRUB_META;
	j->scrub.rate = (uint32_t)rate;
	return argc - optind == 2 && (!(j->scrub.flags & TAGFS_SCRUB_ERRORS) ||
				      j->scrub.flags == TAGFS_SCRUB_ERRORS);
}

int verb_scrub(int argc, char **argv)
{
	struct job j = { .path = NULL };
	int op;

	if (!parse_options(&j, argc, argv))
		return bad_usage(argv[0], "it takes start, status, pause, "
				 "resume, cancel or wait, and a mount point");
	j.path = argv[optind + 1];
	out_setup(j.json);
	if (!strcmp(argv[optind], "wait"))
		return wait_end(&j);
	op = op_of(argv[optind]);
	if (op < 0)
		return bad_usage("scrub", "unknown command");
	j.scrub.op = (uint32_t)op;
	return command(&j);
}

/* ---- errors ------------------------------------------------------------- */

static const char *check_of(const struct tagfs_error *e)
{
	static const char *const checks[] = {
		[TAGFS_CHECK_GUARD]	= "guard",
		[TAGFS_CHECK_REF]	= "reference-tag",
		[TAGFS_CHECK_APP]	= "application-tag",
		[TAGFS_CHECK_ESCAPE]	= "unwritten",
		[TAGFS_CHECK_DEVICE]	= "device",
	};

	if (e->check && e->check < sizeof(checks) / sizeof(checks[0]))
		return checks[e->check];
	return strerror((int)e->error);
}

static void out_error(const struct tagfs_error *e)
{
	static const char *const kinds[] = {
		[TAGFS_ERROR_DATA]	= "data",
		[TAGFS_ERROR_NODE]	= "node-copy",
		[TAGFS_ERROR_LOST]	= "tree-lost",
		[TAGFS_ERROR_DEVICE]	= "container",
		[TAGFS_ERROR_SUPER]	= "superblock",
		[TAGFS_ERROR_SLOT]	= "slot",
		[TAGFS_ERROR_LOG]	= "log",
		[TAGFS_ERROR_LEGS]	= "leg-list",
	};
	const unsigned int n = sizeof(kinds) / sizeof(kinds[0]);
	bool beside = e->kind >= TAGFS_ERROR_DEVICE;

	out_begin("error");
	out_text("kind", e->kind < n ? kinds[e->kind] : "unknown");
	if (e->path[0])
		out_text("path", e->path);
	if (e->kind != TAGFS_ERROR_NODE && !beside)
		out_number("inode", e->inode);
	if (e->kind == TAGFS_ERROR_DATA) {
		out_number("offset", e->offset);
		out_number("length", e->length);
	}
	out_number("cluster", e->cluster);
	if (beside && e->kind != TAGFS_ERROR_LOG)
		out_number("copy", !!(e->flags & TAGFS_ERROR_COPY));
	if (e->kind == TAGFS_ERROR_DEVICE)
		out_number("byte", e->offset);
	if (TAGFS_ERROR_LEG(e->flags))
		out_number("leg", TAGFS_ERROR_LEG(e->flags));
	out_text("check", check_of(e));
	if (e->check) {
		out_number("expected", e->expected);
		out_number("found", e->found);
	}
	out_true("healed", e->flags & TAGFS_ERROR_HEALED);
	out_time("first", e->first);
	out_time("last", e->last);
	out_number("count", e->count);
	out_number("commit", e->commit);
	out_true("stored", e->flags & TAGFS_ERROR_STORED);
	out_end();
}

static int list_errors(int fd, bool *bad)
{
	struct tagfs_error e = { .kind = 0 }, next;
	struct tagfs_scrub s = { .op = TAGFS_SCRUB_STATUS };
	bool lasts = true;

	while (!ioctl(fd, TAGFS_IOC_ERROR, &e)) {
		out_error(&e);
		*bad |= !(e.flags & TAGFS_ERROR_HEALED);
		lasts &= !!(e.flags & TAGFS_ERROR_STORED);
		next = (struct tagfs_error){ .kind = 0 };
		memcpy(next.next, e.next, sizeof(next.next));
		e = next;
	}
	if (errno != ENOENT)
		return -errno;
	if (!lasts)
		say("the mount is read-only: what it found is forgotten when "
		    "it ends");
	if (ioctl(fd, TAGFS_IOC_SCRUB, &s))
		return -errno;
	if (s.unlisted) {
		say("and %llu more, for which there was no room: a scrub "
		    "finds them when these are gone",
		    (unsigned long long)s.unlisted);
		*bad = true;
	}
	return 0;
}

int verb_errors(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "clear", no_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' }, { NULL, 0, NULL, 0 }
	};
	bool json = false, clear = false, bad = false;
	int c, fd, err;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		if (c == '?')
			return bad_usage(argv[0], "unknown option");
		json |= c == 'j';
		clear |= c == 'c';
	}
	if (argc - optind != 1)
		return bad_usage("errors", "it takes a mount point");
	out_setup(json);
	fd = open_root(argv[optind]);
	if (fd < 0)
		return fail(argv[optind], fd);
	if (clear)
		err = ioctl(fd, TAGFS_IOC_CLEAR) ? -errno : 0;
	else
		err = list_errors(fd, &bad);
	close(fd);
	if (err)
		return fail(argv[optind], err);
	return bad ? EXIT_BAD : EXIT_OK;
}
