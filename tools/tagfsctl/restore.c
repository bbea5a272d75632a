/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore.c - copy out what can be read, and write nothing to where it is.
 *
 *  (1) The device is opened read-only.  It may be cut short, or a container
 *      without headers.  What can't be walked is brought back in memory, as
 *      fsck.tagfs --rebuild would.
 *  (2) Nothing that does not verify is copied: it is a hole, or the file is
 *      left out, or all of it ends; the report names each such range.
 *  (3) Of a mirror any leg will do, or several: then of each cluster one that
 *      verifies.  A leg that can't be used as one (its list is damaged, it was
 *      left behind) is a device that can't be walked. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/runs.h"
#include "check/treewalk.h"
#include "ctl.h"
#include "hex.h"
#include "legs.h"
#include "mount/legs.h"
#include "mount/mount.h"
#include "out.h"
#include "restore.h"
#include "scratch.h"

#define CHUNK	(256u << 10)

struct source {
	const char	*path;
	struct legs	legs;		/* that, and others of a mirror */
	bool		scan;		/* don't trust the tree */
	bool		has_nonce;
	uint8_t		nonce[16];
	uint64_t	container;
	struct tfs_scratch scratch;
};

/* ---- (1) ------------------------------------------------------------------ */

/* Is the whole tree there, in one copy at least? */
static bool is_walkable(struct tfs *fs)
{
	unsigned int lost;

	return !tfs_treewalk_lost(fs, &lost) && !lost;
}

/* What the checker would put right may be where something is missing. */
static void mended(struct tfs_rebuild *how, const struct tfs_finding *f)
{
	struct restore *r = how->arg;
	char *text = NULL;

	if (!f->ino || f->kind == TFS_F_STRAY || f->kind == TFS_F_LINKS ||
	    f->kind == TFS_F_CLUSTERS || f->kind == TFS_F_COUNT ||
	    f->kind == TFS_F_PARENT)
		return;
	if (tfs_array_grow(&r->mended, &r->mended_room, r->mended_n + 1,
			   sizeof(r->mended[0])) ||
	    asprintf(&text, "put right: %s", f->text) < 0)
		return;
	r->mended[r->mended_n] = (struct mended){ f->ino, r->mended_n, text };
	r->mended_n++;
}

static int by_inode(const void *a, const void *b)
{
	const struct mended *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->nth < y->nth ? -1 : 1;
}

static bool go_on(struct tfs_rebuild *how, unsigned int step,
		  unsigned int steps, unsigned int done)
{
	struct restore *r = how->arg;

	(void)step;
	(void)steps;
	(void)done;
	if (r->map)
		map_save(r->map, false);
	return !is_interrupted();
}

static int bring_back(struct restore *r, struct medium *im,
		      const struct source *src)
{
	struct tfs_scratch scratch = src->scratch;
	int err = scratch_begin(&scratch);

	if (err)
		return err;
	r->how = (struct tfs_rebuild){
		.dev = im->dev, .rdonly = true, .arg = r, .found = mended,
		.progress = go_on, .nonce = src->has_nonce ? src->nonce : NULL,
		.scratch = scratch,
	};
	say("%s: not all of the tree can be walked; reading all of it",
	    src->path);
	err = tfs_rebuild(&r->how);
	if (r->mended_n)
		qsort(r->mended, r->mended_n, sizeof(r->mended[0]), by_inode);
	im->fs = r->how.fs;
	im->open = true;
	if (err == -ENOBUFS)
		say("%s: " SCRATCH_FULL, src->path);
	if (!err && r->how.unreadable)
		say("%s: %llu clusters can't be read, or do not verify",
		    src->path, (unsigned long long)r->how.unreadable);
	return err;
}

static int open_tree(struct medium *im)
{
	struct tfs_mount how = { .rdonly = true, .accept = true,
				 .rescue = true };
	int err = tfs_open(&im->fs, im->dev, &how);

	im->open = !err;
	if (!err && is_walkable(im->fs))
		return 0;
	if (!err)
		tfs_close(im->fs);
	im->fs = NULL;
	im->open = false;
	return err ? err : -EUCLEAN;
}

/* (3) */
static int open_dev(struct restore *r, struct medium *im,
		    const struct source *src, const struct eng_open *how)
{
	struct tfs_legs_how one = {
		.n = 1, .name = { src->path }, .degraded = true,
		.rdonly = true, .pool = im->pool,
	};
	int err;

	if (src->legs.n > 1)
		return legs_open(&im->dev, &src->legs, how);
	err = eng_dev_open(&one.leg[0], src->path, how);
	if (!err && r->map)
		err = map_attach(r->map, one.leg[0]);
	if (err) {
		eng_dev_close(one.leg[0]);
		return err;
	}
	err = src->scan ? -EUCLEAN : tfs_legs_open(&im->dev, &one);
	if (err)
		im->dev = one.leg[0];
	return err == -ENOMEM ? err : 0;
}

static int open_any(struct restore *r, struct medium *im,
		    const struct source *src)
{
	struct eng_open how = {
		.flags = ENG_OPEN_RDONLY | ENG_OPEN_RESCUE,
		.id = src->container,
	};
	int err = eng_pool_create(&im->pool, 0);

	how.pool = im->pool;
	if (!err)
		err = open_dev(r, im, src, &how);
	if (err)
		return err;
	err = src->scan ? -EUCLEAN : open_tree(im);
	if (!err || err == -ENOMEM || err == -EOPNOTSUPP)
		return err;
	return bring_back(r, im, src);
}

/* ---- the verb ---------------------------------------------------------------- */

static void release(struct restore *r)
{
	for (size_t i = 0; i < r->linked_room; i++)
		free(r->linked[i].path);
	for (size_t i = 0; i < r->mended_n; i++)
		free(r->mended[i].text);
	free(r->linked);
	free(r->mended);
	free(r->how.gap);
	free(r->buf);
}

static int run(struct restore *r, const struct source *src,
	       const char *target)
{
	struct medium im = { .open = false };
	int err = open_any(r, &im, src), bad;

	r->fs = im.fs;
	r->buf = malloc(CHUNK);
	if (!err && !r->buf)
		err = -ENOMEM;
	report_begin(r);
	if (!err && *r->fs->doubt)
		note_text(r, r->fs->doubt);
	if (!err)
		err = restore_all(r, target);
	report_end(r, err);
	medium_close(&im);
	bad = r->map ? map_save(r->map, true) : 0;
	if (bad)
		say("the map can't be written: %s", strerror(-bad));
	release(r);
	return err ? err : bad;
}

static bool parse_on_error(struct restore *r, const char *text)
{
	static const char *const words[] = { "hole", "skip", "fail" };

	for (int i = 0; i < 3; i++)
		if (!strcmp(text, words[i])) {
			r->on_error = (enum on_error)i;
			return true;
		}
	return false;
}

static int begin(struct restore *r, const struct source *src,
		 const char *target, const char *report, const char *map)
{
	int err = map ? map_open(&r->map, map) : 0;

	if (err)
		return fail(map, err);
	r->resume = map;
	if (report && !(r->report = fopen(report, "we"))) {
		err = -errno;
		map_close(r->map);
		return fail(report, err);
	}
	say_from(LOG_WARNING);
	catch_signals();
	err = run(r, src, target);
	if (r->report && fclose(r->report) && !err)
		err = -errno;
	map_close(r->map);
	if (err)
		return fail(src->path, err);
	return r->failed ? EXIT_BAD : EXIT_OK;
}

int verb_restore(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "device", required_argument, NULL, 'd' },
		{ "on-error", required_argument, NULL, 'e' },
		{ "report", required_argument, NULL, 'r' },
		{ "map", required_argument, NULL, 'm' },
		{ "scan", no_argument, NULL, 's' },
		{ "nonce", required_argument, NULL, 'n' },
		{ "container", required_argument, NULL, 'c' },
		{ "scratch", required_argument, NULL, 't' },
		{ "memory", required_argument, NULL, 'M' },
		{ NULL, 0, NULL, 0 },
	};
	const char *report = NULL, *map = NULL, *target;
	struct restore r = { .top = -1 };
	struct source src = { .legs = { .n = 1, .degraded = true } };
	bool good = true;
	int c;

	while (good && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'l')
			r.list = true;
		else if (c == 's')
			src.scan = true;
		else if (c == 'd')
			good = !legs_add(&src.legs, optarg);
		else if (c == 'r')
			report = optarg;
		else if (c == 'm')
			map = optarg;
		else if (c == 'n')
			good = src.has_nonce = hex_bytes(optarg, src.nonce,
							 sizeof(src.nonce));
		else if (c == 't')
			src.scratch.dir = optarg;
		else if (c == 'M')
			good = scratch_memory(&src.scratch, optarg);
		else if (c == 'c')
			good = hex_number(optarg, &src.container);
		else
			good = c == 'e' && parse_on_error(&r, optarg);
	}
	if (!good)
		return bad_usage(argv[0], "wrong option");
	if (argc - optind < (r.list ? 1 : 2))
		return bad_usage(argv[0], "a device and a directory are needed");
	if (src.legs.n > 1 && (map || src.container))
		return bad_usage(argv[0], "a map, and the number of a "
				 "container, are of one device");
	src.path = src.legs.path[0] = argv[optind];
	target = r.list ? NULL : argv[optind + 1];
	r.pattern = argv + optind + (r.list ? 1 : 2);
	r.patterns = argc - optind - (r.list ? 1 : 2);
	return begin(&r, &src, target, report, map);
}
