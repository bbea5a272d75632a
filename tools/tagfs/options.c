/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options.c - the command line, as tagfs, as mount.fuse3's program and as
 * mount.tagfs.
 *
 * (1) A comma within the value of an -o option is written "\,", and so is
 *     what is passed on.
 * (2) What is unknown here goes to libfuse, which refuses what it does not
 *     know either.
 * (3) A mount that must not become read-only is asked for with -o rw, but
 *     mount(8) hands that on always, so of its helper only with -w. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <syslog.h>
#include <unistd.h>

#include "fuse/ops.h"
#include "options.h"
#include "tagpi.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW	256
#endif

static const char usage[] =
"Usage: tagfs [options] PATH|UUID=UUID|LABEL=LABEL MOUNTPOINT\n"
"Mount the tagfs filesystem on an image file or a block device.\n"
"  -f, -d               stay in the foreground; and log every request\n"
"  -s                   serve one request at a time\n"
"  -h, --help; -V, --version\n"
"  -o OPTION[,...]\n"
"     ro, rw            read-only; read and write (default)\n"
"     relatime, strictatime, noatime  access times: daily (default), all, none\n"
"     remount           change what is mounted on MOUNTPOINT\n"
"     commit=SECONDS    between commits (5)\n"
"     discard           tell the device what was freed\n"
"     scrub_warn=DAYS   a line if no scrub has read all of it for so long\n"
"     no_writeback      no delayed writes in the kernel's cache\n"
"     workers=N, cache=MIB  verify threads; memory for metadata\n"
"     fence=SECONDS     between signs of life for other hosts; fence=off\n"
"     device=PATH       another leg of the mirror (block devices are found)\n"
"     degraded          mount a mirror without those that are missing\n"
"     resilver_rate=MIB a second, for what a leg has missed (0: any)\n"
"     log=FILE          messages also to FILE\n"
"     backend=NAME      only block, nvme or soft (default: what is there)\n"
"     no_sandbox, coredump  keep all rights; dump core with bytes of files\n"
"     uring=off|on|auto FUSE over io_uring (off)\n"
"     allow_other       other users may enter (default if root mounts)\n"
"     ...               and the options of mount(8) and FUSE: tagfs(8)\n";

/* Of mount(8) and fstab(5): no business of ours, done by somebody else, or
 * what is done in any case. */
static const char *const ignored[] = {
	"defaults", "auto", "noauto", "user", "nouser", "users", "nousers",
	"owner", "noowner", "group", "nogroup", "_netdev",
	"default_permissions", "loop", "silent", "loud", "mand", "nomand",
	"iversion", "noiversion", "lazytime", "nolazytime", "sub", "nosub",
	"norelatime", "nostrictatime", "acl", "user_xattr", "nouser_xattr",
	"errors=remount-ro", "errors=continue",
};
/* The same, with a value. */
static const char *const ignored_values[] = {
	"x-", "X-", "comment=", "user=", "uhelper=", "helper=",
};

static int bad(const char *what, const char *opt)
{
	eng_log(LOG_ERR, "%s: %s", opt, what);
	return EXIT_USAGE;
}

/* The value of "name=" in opt as a number up to max.  -1: not that option;
 * 1: a bad value. */
static int number(const char *opt, const char *name, unsigned long max,
		  unsigned long *out)
{
	size_t len = strlen(name);
	char *end;

	if (strncmp(opt, name, len) || opt[len] != '=')
		return -1;
	opt += len + 1;
	errno = 0;
	*out = strtoul(opt, &end, 10);
	return !isdigit((unsigned char)*opt) || *end || errno || *out > max;
}

/* -1: none of these options. */
static int take_number(struct options *o, const char *opt)
{
	unsigned long n = 0;
	int res;

	res = number(opt, "commit", 86400, &n);
	if (!res)
		o->commit = (unsigned int)n;
	if (res < 0) {
		res = number(opt, "scrub_warn", 36500, &n);
		if (!res)
			o->scrub_warn = (unsigned int)n;
	}
	if (res < 0) {
		res = number(opt, "workers", 1024, &n);
		if (!res)
			o->workers = (unsigned int)n;
	}
	if (res < 0) {
		res = number(opt, "cache", SIZE_MAX >> 21, &n);
		if (!res)
			o->cache = (size_t)n << 20;
	}
	if (res < 0) {
		res = number(opt, "resilver_rate", 1u << 20, &n);
		if (!res)
			o->resilver_rate = (unsigned int)n;
	}
	if (res < 0) {
		res = strcmp(opt, "fence=off") ?
			number(opt, "fence", 3600, &n) : 0;
		if (!res) {
			o->fence = (unsigned int)n;
			o->fence_given = true;
		}
	}
	return res > 0 ? bad("bad value", opt) : res;
}

/* The kernel has to be told as well.  It takes less than a page for one. */
static int take_max_read(struct options *o, const char *opt)
{
	unsigned long n = 0;
	int res = number(opt, "max_read", INT_MAX, &n);

	if (res > 0 || (!res && n < 4096))
		return bad("bad value", opt);
	if (!res)
		o->max_read = (unsigned int)n;
	return res;
}

/* -1: none of these options. */
static int take_flag(struct options *o, const char *opt)
{
	const struct { const char *name; bool *flag; bool value; } flags[] = {
		{ "ro", &o->rdonly, true },
		{ "rw", &o->rdonly, false },
		{ "rw", &o->rw, true },
		{ "ro", &o->rw, false },
		{ "relatime", &o->relatime, true },
		{ "relatime", &o->strictatime, false },
		{ "atime", &o->relatime, true },
		{ "strictatime", &o->relatime, true },
		{ "strictatime", &o->strictatime, true },
		{ "noatime", &o->relatime, false },
		{ "nodiratime", &o->nodiratime, true },
		{ "diratime", &o->nodiratime, false },
		{ "noacl", &o->noacl, true },
		{ "acl", &o->noacl, false },
		{ "sync", &o->sync, true },
		{ "async", &o->sync, false },
		{ "dirsync", &o->dirsync, true },
		{ "nodirsync", &o->dirsync, false },
		{ "nosymfollow", &o->nosymfollow, true },
		{ "symfollow", &o->nosymfollow, false },
		{ "remount", &o->remount, true },
		{ "nofail", &o->nofail, true },
		{ "discard", &o->discard, true },
		{ "degraded", &o->degraded, true },
		{ "nodiscard", &o->discard, false },
		{ "writeback", &o->writeback, true },
		{ "no_writeback", &o->writeback, false },
		{ "writeback_cache=on", &o->writeback, true },
		{ "writeback_cache=off", &o->writeback, false },
		{ "writeback_cache", &o->writeback, true },
		{ "no_writeback_cache", &o->writeback, false },
		{ "no_sandbox", &o->sandbox, false },
		{ "coredump", &o->dumps, true },
	};
	int res = -1;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (!strcmp(opt, flags[i].name)) {
			*flags[i].flag = flags[i].value;
			res = 0;
		}
	return res;
}

/* For a remount: what mount(2) has as a flag is also passed on. */
static void note_flag(struct options *o, const char *opt)
{
	static const struct { const char *name; unsigned long ms; } map[] = {
		{ "suid", MS_NOSUID }, { "dev", MS_NODEV },
		{ "exec", MS_NOEXEC }, { "atime", MS_NOATIME },
		{ "diratime", MS_NODIRATIME },
		{ "symfollow", MS_NOSYMFOLLOW },
	};
	bool no = !strncmp(opt, "no", 2);

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (!strcmp(no ? opt + 2 : opt, map[i].name)) {
			o->ms_set = no ? o->ms_set | map[i].ms :
				o->ms_set & ~map[i].ms;
			o->ms_clear = no ? o->ms_clear & ~map[i].ms :
				o->ms_clear | map[i].ms;
		}
}

/* -1: not that option. */
static int take_uring(struct options *o, const char *opt)
{
	static const char *const names[] = {
		[TFS_OPS_URING_AUTO] = "auto", [TFS_OPS_URING_ON] = "on",
		[TFS_OPS_URING_OFF] = "off",
	};

	if (strncmp(opt, "uring=", 6))
		return -1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(opt + 6, names[i])) {
			o->uring = (enum tfs_ops_uring)i;
			return 0;
		}
	return bad("bad value", opt);
}

/* -1: not that option. */
static int take_backend(struct options *o, const char *opt)
{
	static const char *const names[] = { "block", "nvme", "soft" };

	if (strncmp(opt, "backend=", 8))
		return -1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(opt + 8, names[i])) {
			o->backend = names[i];
			return 0;
		}
	return bad("bad value", opt);
}

static bool is_ignored(const char *opt)
{
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		if (!strcmp(opt, ignored[i]))
			return true;
	for (size_t i = 0; i < sizeof(ignored_values) / sizeof(char *); i++)
		if (!strncmp(opt, ignored_values[i],
			     strlen(ignored_values[i])))
			return true;
	return !*opt;
}

/* Append opt to *list, its commas and backslashes escaped (1). */
static int append(char **list, const char *opt)
{
	size_t len = *list ? strlen(*list) : 0;
	char *s = realloc(*list, len + 2 * strlen(opt) + 2);

	if (!s)
		return -ENOMEM;
	*list = s;
	s += len;
	if (len)
		*s++ = ',';
	for (; *opt; opt++) {
		if (*opt == ',' || *opt == '\\')
			*s++ = '\\';
		*s++ = *opt;
	}
	*s = '\0';
	return 0;
}

static int take_device(struct options *o, const char *path)
{
	if (!*path)
		return bad("no path", "device=");
	if (o->devices == LEGS_MAX - 1)
		return bad("a mirror has at most 4 legs", path);
	o->device[o->devices] = strdup(path);
	return o->device[o->devices++] ? 0 : EXIT_SYSTEM;
}

static int take(struct options *o, const char *opt)
{
	int res = take_number(o, opt);

	note_flag(o, opt);
	if (res < 0)
		res = take_flag(o, opt);
	if (res < 0)
		res = take_backend(o, opt);
	if (res < 0)
		res = take_uring(o, opt);
	if (res >= 0)
		return res;
	if (is_ignored(opt))
		return 0;
	if (!strncmp(opt, "device=", 7))
		return take_device(o, opt + 7);
	if (!strncmp(opt, "log=", 4)) {
		free(o->log);
		o->log = strdup(opt + 4);
		return o->log ? 0 : EXIT_SYSTEM;
	}
	if (take_max_read(o, opt) > 0)
		return EXIT_USAGE;
	if (!strcmp(opt, "allow_root"))
		return bad("can't be kept: what is cached is read without "
			   "asking; see allow_other", opt);
	if (!strcmp(opt, "allow_other"))
		o->allow = true;
	return append(&o->pass, opt) ? EXIT_SYSTEM : 0;	/* (2) */
}

/* A list of options, taken apart in place. */
static int take_list(struct options *o, char *list)
{
	char *opt = list, *to = list;
	int res = 0;

	for (char *p = list; !res; p++) {
		if (*p == '\\' && p[1]) {
			*to++ = *++p;
		} else if (*p && *p != ',') {
			*to++ = *p;
		} else {
			char end = *p;

			*to++ = '\0';
			res = take(o, opt);
			opt = to;
			if (!end)
				break;
		}
	}
	return res;
}

static int version(void)
{
	printf("tagfs %s\nFUSE library %s\n", PACKAGE_VERSION,
	       tfs_ops_version());
	return EXIT_OK;
}

static int take_switch(struct options *o, int c, bool helper)
{
	switch (c) {
	case 'f':
		if (helper)
			o->fake = true;
		else
			o->foreground = true;
		return -1;
	case 'd':
		o->foreground = o->debug = true;
		return -1;
	case 's':	/* mount(8): tolerate unknown options */
		o->single = !helper;
		return -1;
	case 'r':
		o->rdonly = true;
		return -1;
	case 'w':
		o->rw = true;
		return -1;
	case 'n': case 'v': case 'N': case 't':
		return -1;
	case 'h':
		fputs(usage, stdout);
		return EXIT_OK;
	case 'V':
		return version();
	default:
		fputs("Try 'tagfs -h'.\n", stderr);
		return EXIT_USAGE;
	}
}

bool options_called(const char *argv0, const char *prefix)
{
	const char *base = strrchr(argv0, '/');

	return !strncmp(base ? base + 1 : argv0, prefix, strlen(prefix));
}

int options_parse(struct options *o, int argc, char **argv)
{
	static const struct option names[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ "options", required_argument, NULL, 'o' },
		{ NULL, 0, NULL, 0 },
	};
	bool helper = options_called(argv[0], "mount.");
	int c, res;

	*o = (struct options) {
		.relatime = true, .writeback = true, .sandbox = true,
		.commit = 5,
	};
	while ((c = getopt_long(argc, argv, helper ? "o:N:t:fsnvrwhV" :
				"o:fdsrwhV", names, NULL)) != -1) {
		if (c == 'o')
			res = take_list(o, optarg) ?: -1;
		else
			res = take_switch(o, c, helper);
		if (res >= 0)
			return res;
		if (helper && c == 'o' && !o->remount)
			o->rw = false;	/* mount(8) writes it by itself (3) */
	}
	if (argc - optind != 2) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	o->path = argv[optind];
	o->mountpoint = argv[optind + 1];
	return -1;
}

void options_free(struct options *o)
{
	for (unsigned int i = 0; i < o->devices; i++)
		free(o->device[i]);
	free(o->log);
	free(o->pass);
}

/* FUSE takes nosuid and nodev for granted, which is right for an ordinary
 * user; a mount by root is to be as any other. */
char *options_for_mount(const struct options *o, const char *source,
			bool rdonly)
{
	char *list = NULL, *fsname = NULL;
	bool root = !geteuid();
	int err;

	if (asprintf(&fsname, "fsname=%s", source) < 0)
		return NULL;
	err = append(&list, "subtype=tagfs");
	err = err ?: append(&list, fsname);
	err = err ?: append(&list, "default_permissions");
	if (root)
		err = err ?: append(&list, "dev") ?: append(&list, "suid");
	if (root && !o->allow)
		err = err ?: append(&list, "allow_other");
	if (rdonly)
		err = err ?: append(&list, "ro");
	if (!o->relatime)
		err = err ?: append(&list, "noatime");
	if (o->sync)
		err = err ?: append(&list, "sync");
	if (o->dirsync)
		err = err ?: append(&list, "dirsync");
	free(fsname);
	if (!err && o->pass) {	/* already escaped */
		fsname = NULL;
		if (asprintf(&fsname, "%s,%s", list, o->pass) < 0)
			fsname = NULL;
		free(list);
		return fsname;
	}
	if (!err)
		return list;
	free(list);
	return NULL;
}
