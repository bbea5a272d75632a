/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ident.c - what a filesystem is called.
 *
 *  (1) A name is changed on a filesystem that nobody else has open, and the
 *      copies of the superblock are rewritten one after the other, the bad one
 *      first if one is.
 *  (2) Those of a mirror are written on all legs at once, and all have to be
 *      there.  Where that is interrupted, the newest copy of any leg counts,
 *      and the next mount writes all anew. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commit/super.h"
#include "core/text.h"
#include "ctl.h"
#include "mounts.h"
#include "uuid.h"

struct ident {
	char		uuid[UUID_TEXT];
	char		label[TFS_LABEL + 1];
};

/* One that is mounted tells by itself. */
static int ask(const char *path, struct ident *id)
{
	char *at = is_mounted(path) ? strdup(path) : mounts_tagfs_on(path);
	char *stats = at ? stats_get(at) : NULL;

	free(at);
	if (!stats)
		return -EBUSY;
	stats_text(stats, "uuid", id->uuid, sizeof(id->uuid));
	stats_text(stats, "label", id->label, sizeof(id->label));
	free(stats);
	return 0;
}

static int look(const char *path, struct ident *id)
{
	char *at = mounts_tagfs_on(path);
	bool mounted = at || is_mounted(path);
	struct medium im;
	int err;

	free(at);
	if (mounted)
		return ask(path, id);
	err = medium_open(&im, path, false);
	if (!err) {
		uuid_format(im.fs->super.uuid, id->uuid);
		memcpy(id->label, im.fs->super.label, sizeof(id->label));
	}
	medium_close(&im);
	return err;
}

/* As blkid writes them. */
static void put(const char *name, const char *value, bool export)
{
	if (export)
		printf("%s=", name);
	else
		printf(" %s=\"", name);
	for (const char *s = value; *s; s++) {
		if (strchr("\"\\'`$ ", *s) && (export || *s != ' '))
			putchar('\\');
		putchar(*s);
	}
	fputs(export ? "\n" : "\"", stdout);
}

int verb_probe(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "export", no_argument, NULL, 'e' },
		{ "udev", no_argument, NULL, 'u' },
		{ NULL, 0, NULL, 0 }
	};
	char line[ENG_LINE];
	struct ident id;
	bool export = false, udev = false;
	int c, err;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		if (c != 'e' && c != 'u')
			return bad_usage(argv[0], "unknown option");
		export |= c == 'e';
		udev |= c == 'u';
	}
	if (argc - optind != 1)
		return bad_usage("probe", "it takes a device");
	if (udev)
		return probe_udev(argv[optind]);
	err = look(argv[optind], &id);
	if (err == -EMEDIUMTYPE)
		return EXIT_NOTHING;
	if (err)
		return fail(argv[optind], err);
	if (export)
		put("DEVNAME", argv[optind], true);
	else
		printf("%s:", argv[optind]);
	eng_text_line(line, id.label);
	if (*line)
		put("LABEL", line, export);
	put("UUID", id.uuid, export);
	put("TYPE", "tagfs", export);
	if (!export)
		putchar('\n');
	return EXIT_OK;
}

/* ---- changing ----------------------------------------------------------- */

static int set_label(struct tfs_super *s, const char *text)
{
	if (strlen(text) > TFS_LABEL)
		return -EINVAL;
	for (const char *at = text; *at; ) {
		uint32_t code;
		unsigned int n = eng_utf8(at, &code);

		if (!n)
			return -EINVAL;
		at += n;
	}
	memset(s->label, 0, sizeof(s->label));
	memcpy(s->label, text, strlen(text));
	return 0;
}

static int set_uuid(struct tfs_super *s, const char *text)
{
	return strcmp(text, "random") ? uuid_parse(text, s->uuid) :
		uuid_generate(s->uuid);
}

/* (1) */
static int change(const struct legs *legs, const char *text,
		  int (*set)(struct tfs_super *s, const char *text))
{
	struct medium im;
	int err = medium_open_rw(&im, legs);		/* (2) */

	if (!err)
		err = set(&im.fs->super, text);
	if (!err) {
		im.fs->super.seq++;
		err = tfs_super_write(im.fs, im.fs->super_outdated > 0);
	}
	medium_close(&im);
	return err;
}

static int verb_name(int argc, char **argv, bool label,
		     int (*set)(struct tfs_super *s, const char *text))
{
	static const struct option longs[] = {
		{ "device", required_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 }
	};
	struct legs legs = { .n = 1 };
	char line[ENG_LINE];
	struct ident id;
	int c, err;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0)
		if (c == '?' || legs_add(&legs, optarg))
			return bad_usage(argv[0], c == '?' ? "unknown option" :
					 "a mirror has at most 4 legs");
	argv += optind;
	argc -= optind;
	if (argc < 1 || argc > 2)
		return bad_usage(label ? "label" : "uuid", label ?
				 "it takes a device, and a new label" :
				 "it takes a device, and a new UUID or random");
	legs.path[0] = argv[0];
	if (argc == 2) {
		err = change(&legs, argv[1], set);
		return err ? fail(argv[0], err) : EXIT_OK;
	}
	err = look(argv[0], &id);
	if (err)
		return fail(argv[0], err);
	eng_text_line(line, label ? id.label : id.uuid);
	puts(line);
	return EXIT_OK;
}

int verb_label(int argc, char **argv)
{
	return verb_name(argc, argv, true, set_label);
}

int verb_uuid(int argc, char **argv)
{
	return verb_name(argc, argv, false, set_uuid);
}
