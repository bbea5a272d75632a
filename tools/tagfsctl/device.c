/* SPDX-License-Identifier: GPL-2.0-or-later */
/* device.c - the legs of a mirror: which there are, and others.
 *
 *  (1) Where the filesystem is mounted, the daemon changes it (live.c).  Else
 *      what is new is filled by the next mount, and a change is on all legs
 *      that are named before the verb succeeds. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "legs.h"
#include "live.h"
#include "mounts.h"
#include "newleg.h"
#include "out.h"

#define VERBS	"it takes list, add, replace, return or remove"

/* ---- list --------------------------------------------------------------- */

static void put(unsigned int i, const char *name, const char *state,
		uint64_t left)
{
	out_begin("leg");
	out_number("leg", i + 1);
	out_text("device", name ? name : "");
	out_text("state", state);
	if (strcmp(state, "current"))
		out_number("left", left);
	out_end();
}

static int list_mounted(const char *path)
{
	char *stats = stats_get(path), name[256], state[16];
	const char *leg = stats ? stats_leg(stats, 0) : NULL;
	uint64_t left;

	if (!leg) {
		free(stats);
		say("%s is no mirror", path);
		return EXIT_COULD_NOT;
	}
	for (unsigned int i = 0; (leg = stats_leg(stats, i)); i++) {
		stats_text(leg, "name", name, sizeof(name));
		stats_text(leg, "state", state, sizeof(state));
		stats_number(leg, "left", &left);
		put(i, name, state, left);
	}
	free(stats);
	return EXIT_OK;
}

static int list_legs(const struct legs *l)
{
	struct eng_open how = { .flags = ENG_OPEN_RDONLY };
	struct tfs_leg_info info;
	struct eng_dev *dev = NULL;
	unsigned int n = 0;
	int err = eng_pool_create_serial(&how.pool);

	if (!err)
		err = legs_open(&dev, l, &how);
	for (; !err && tfs_legs_info(dev, n, &info); n++)
		put(n, info.name, info.state, info.left);
	if (!err && !n)
		say("%s is no leg of a mirror", l->path[0]);
	eng_dev_close(dev);
	eng_pool_destroy(how.pool);
	return err ? fail(l->path[0], err) : n ? EXIT_OK : EXIT_COULD_NOT;
}

static int list(const struct legs *l)
{
	char *at = mounts_tagfs_on(l->path[0]);
	int res;

	if (at || is_mounted(l->path[0]))
		res = list_mounted(at ? at : l->path[0]);
	else
		res = list_legs(l);
	free(at);
	return res;
}

/* ---- changes ------------------------------------------------------------ */

/* (1)  Where the first is mounted, if it is; malloced. */
static char *mounted_at(const struct legs *l)
{
	if (is_mounted(l->path[0]))
		return strdup(l->path[0]);
	return mounts_tagfs_on(l->path[0]);
}

static bool in_use(const struct legs *l)
{
	for (unsigned int i = 0; i < l->n; i++) {
		char *at = mounts_tagfs_on(l->path[i]);

		if (at)
			say("%s is mounted on %s", l->path[i], at);
		free(at);
		if (at)
			return true;
	}
	return false;
}

static int done(const char *path, int err)
{
	return !err ? EXIT_OK : err > 0 ? EXIT_COULD_NOT : fail(path, err);
}

static int join(struct newleg *how)
{
	struct eng_pool *pool;
	int err = eng_pool_create_serial(&pool);

	if (!err)
		err = newleg_make(how, pool);
	eng_pool_destroy(pool);
	return done(how->path, err);
}

static int leave(unsigned int leg, const struct legs *l)
{
	struct eng_pool *pool;
	struct eng_dev *dev = NULL;
	struct tfs *fs = NULL;
	int err = eng_pool_create_serial(&pool), last;

	if (!err)
		err = newleg_open(&dev, &fs, l, pool);
	if (!err)
		err = tfs_legs_leave(fs, leg);
	last = tfs_close(fs);
	eng_dev_close(dev);
	eng_pool_destroy(pool);
	if (err == -ENOENT || err == -EBUSY) {
		say(err == -ENOENT ? "the mirror has no leg %u" : "leg %u is "
		    "among those that are named, which stay", leg + 1);
		return EXIT_COULD_NOT;
	}
	return done(l->path[0], err ? err : last);
}

static int take_paths(struct legs *l, int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (legs_add(l, argv[i]))
			return bad_usage("device", "a mirror has at most 4 "
					 "legs");
	return l->n ? EXIT_OK : bad_usage("device", "the legs of the mirror "
					  "are to be named");
}

static bool is_change(const char *what)
{
	return !strcmp(what, "add") || !strcmp(what, "replace") ||
		!strcmp(what, "remove") || !strcmp(what, "return");
}

/* old: the leg to be replaced; 0: the one that is missing. */
static int change(const char *what, struct newleg *how, unsigned int old,
		  int argc, char **argv)
{
	bool remove = !strcmp(what, "remove");
	uint64_t leg = 0;
	char *at;
	int res;

	if (!is_change(what) || (old && strcmp(what, "replace")))
		return bad_usage("device", VERBS);
	if (!argc || (remove && (!parse_number(argv[0], &leg) || !leg ||
				 leg > LEGS_MAX)))
		return bad_usage("device", remove ? "the number of a leg is "
				 "needed: device list shows it" : "a new leg "
				 "is needed");
	res = take_paths(&how->others, argc - 1, argv + 1);
	if (res)
		return res;
	how->path = argv[0];
	how->add = !strcmp(what, "add");
	at = mounted_at(&how->others);
	if (at)
		res = remove ? live_leave(at, (unsigned int)leg) :
			!strcmp(what, "return") ? live_return(at, argv[0]) :
			live_join(at, how, old);
	else if (in_use(&how->others))
		res = EXIT_COULD_NOT;
	else if (old || !strcmp(what, "return"))
		res = bad_usage("device", "that is for a mounted mirror; a "
				"mount finds legs that were away");
	else
		res = remove ? leave((unsigned int)leg - 1, &how->others) :
			join(how);
	free(at);
	return res;
}

int verb_device(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "leg", required_argument, NULL, 'l' }, { NULL, 0, NULL, 0 }
	};
	struct newleg how = { .path = NULL };
	uint64_t old = 0;
	bool json = false;
	int c, res;

	while ((c = getopt_long(argc, argv, "fK", longs, NULL)) >= 0) {
		if (c == '?')
			return bad_usage(argv[0], "unknown option");
		if (c == 'l' && (!parse_number(optarg, &old) || !old ||
				 old > LEGS_MAX))
			return bad_usage(argv[0], "--leg takes the number of "
					 "a leg: device list shows it");
		json |= c == 'j';
		how.force |= c == 'f';
		how.keep |= c == 'K';
	}
	argc -= optind;
	argv += optind;
	if (!argc)
		return bad_usage("device", VERBS);
	if (strcmp(argv[0], "list"))
		return change(argv[0], &how, (unsigned int)old, argc - 1,
			      argv + 1);
	out_setup(json);
	how.others.degraded = true;
	res = take_paths(&how.others, argc - 1, argv + 1);
	return res ? res : list(&how.others);
}
