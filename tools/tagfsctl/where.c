/* SPDX-License-Identifier: GPL-2.0-or-later */
/* where.c - the tags of a file, and where its bytes are. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "check/locate.h"
#include "ctl.h"
#include "name/path.h"
#include "out.h"
#include "tagfs_ioctl.h"

int verb_tags(int argc, char **argv)
{
	size_t size = 64u << 10;	/* the longest value there is */
	char *text;
	ssize_t n;

	if (argc != 2)
		return bad_usage(argv[0], "it takes a path");
	text = malloc(size);
	n = text ? getxattr(argv[1], "tagfs.tags", text, size) : -1;
	if (n >= 0)
		fwrite(text, 1, (size_t)n, stdout);
	free(text);
	return n < 0 ? fail(argv[1], -errno) : EXIT_OK;
}

static const char *const states[] = {
	[TAGFS_PLACE_HOLE]	= "hole",
	[TAGFS_PLACE_INLINE]	= "inline",
	[TAGFS_PLACE_MAPPED]	= "mapped",
	[TAGFS_PLACE_OTHER]	= "not-in-use",
	[TAGFS_PLACE_UNKNOWN]	= "no-tags",
	[TAGFS_PLACE_OUTSIDE]	= "no-data",
	[TAGFS_PLACE_SEARCH]	= "no-tags",
	[TAGFS_PLACE_FREE]	= "free",
	[TAGFS_PLACE_META]	= "metadata",
};

#define STATES	(sizeof(states) / sizeof(states[0]))

static const char *const kinds[] = {
	"", "superblock", "slot", "node", "log", "data", "fence",
	"leg",
};

static void out_where(const struct tagfs_locate *l)
{
	bool there = l->state >= TAGFS_PLACE_MAPPED;
	bool tree = l->flags & TAGFS_LOCATE_TREE;
	bool data = l->kind == TFS_K_DATA;

	out_begin("place");
	out_text("state", states[l->state < STATES ? l->state :
				 TAGFS_PLACE_UNKNOWN]);
	if (l->tags)
		out_text("tags", l->tags == TAGFS_TAGS_UNREADABLE ?
			 "unreadable" : "of-something-else");
	if (tree)
		out_text("as-told-by", "tree");
	if (l->path[0])
		out_text("path", l->path);
	if (data)
		out_number("inode", l->owner);
	if (data || !there)
		out_number("offset", l->offset);
	if (there && l->state != TAGFS_PLACE_OUTSIDE) {
		out_number("cluster", l->cluster);
		out_number("interval", l->interval);
	}
	if (there)
		out_number("sector", l->sector);
	if (l->kind) {
		out_text("kind", kinds[l->kind < 8 ? l->kind : 0]);
		out_number("index", l->index);
		out_number("commit", l->commit);
	}
	out_end();
}

/* The tree is asked where tags are no help.  An older daemon knows no search. */
static int ask_tree(int fd, struct tagfs_locate *l)
{
	struct tagfs_locate s = {
		.flags = TAGFS_LOCATE_SECTOR | TAGFS_LOCATE_TREE,
		.sector = l->sector,
	};
	uint32_t tags = l->tags;

	do {
		if (ioctl(fd, TAGFS_IOC_LOCATE, &s))
			return errno == EINVAL ? 0 : -errno;
	} while (s.state == TAGFS_PLACE_SEARCH);
	*l = s;
	l->tags = tags;
	return 0;
}

static int ask(const char *path, struct tagfs_locate *l)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, TAGFS_IOC_LOCATE, l))
		err = -errno;
	else if (l->flags && l->state == TAGFS_PLACE_UNKNOWN)
		err = ask_tree(fd, l);
	close(fd);
	return err;
}

static int look_in_tree(struct tfs *fs, struct tagfs_locate *l,
			struct tfs_place *at)
{
	enum tfs_place_tags tags = at->tags;
	struct tfs_hunt se = { .gap = false };
	int err;

	do
		err = tfs_locate_in_tree(fs, l->sector, &se, at);
	while (!err && at->state == TFS_PLACE_SEARCH);
	at->tags = tags;
	l->flags |= TAGFS_LOCATE_TREE;
	return err;
}

/* As the daemon answers for one that is mounted. */
static int look(const char *path, struct tagfs_locate *l)
{
	char buf[TAGFS_IOC_PATH];
	struct tfs_place at;
	struct medium im;
	int err = medium_open(&im, path, true);

	if (!err)
		err = tfs_locate_sector(im.fs, l->sector, &at);
	if (!err && at.state == TFS_PLACE_UNKNOWN)
		err = look_in_tree(im.fs, l, &at);
	if (!err) {
		l->state = at.state;
		l->tags = at.tags;
		l->offset = at.off;
		l->cluster = at.cluster;
		l->interval = at.interval;
		l->kind = at.rec.kind;
		l->owner = at.rec.owner;
		l->index = at.rec.index;
		l->commit = at.rec.seq;
		if (at.state == TFS_PLACE_MAPPED)
			strcpy(l->path, tfs_path(im.fs, at.rec.owner, buf,
						 sizeof(buf)));
	}
	medium_close(&im);
	return err;
}

int verb_locate(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "lba", required_argument, NULL, 'l' },
		{ NULL, 0, NULL, 0 }
	};
	struct tagfs_locate l = { .flags = 0 };
	bool json = false;
	uint64_t n = 0;
	int c, err;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		if (c == 'j')
			json = true;
		else if (c != 'l' || !parse_number(optarg, &n))
			return bad_usage(argv[0], "wrong option");
		else
			l.flags = TAGFS_LOCATE_SECTOR;
	}
	argc -= optind;
	argv += optind;
	if (argc < 1 || argc > 2 || (l.flags && argc > 1) ||
	    (argc == 2 && !parse_number(argv[1], &n)))
		return bad_usage("locate", "it takes PATH [OFFSET], or --lba "
				 "SECTOR and a device or mount point");
	out_setup(json);
	if (l.flags)
		l.sector = n;
	else
		l.offset = n;
	err = l.flags && !is_mounted(argv[0]) ? look(argv[0], &l) :
		ask(argv[0], &l);
	if (err)
		return fail(argv[0], err);
	out_where(&l);
	return EXIT_OK;
}
