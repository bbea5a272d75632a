/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mounts.c - mountinfo, swaps and loop devices, read as text.
 *
 * Other mount namespaces are not seen: this serves messages and refusals
 * that come early; what really keeps others out is the exclusive open. */
#include <errno.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "mounts.h"

struct line {
	unsigned int	id, parent, maj, min;
	char		*point, *type, *source;	/* in the line itself */
	char		*super;		/* options of the filesystem, or "" */
};

/* \040 and its like, in place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		unsigned int c;

		if (*s == '\\' && sscanf(s + 1, "%3o", &c) == 1) {
			*to++ = (char)c;
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* ID PARENT MAJ:MIN ROOT POINT OPTIONS [TAGS...] - TYPE SOURCE SUPER */
static bool parse(char *text, struct line *l)
{
	char *save = NULL, *word, *rest = strstr(text, " - ");

	if (!rest)
		return false;
	*rest = '\0';
	if (sscanf(text, "%u %u %u:%u", &l->id, &l->parent, &l->maj,
		   &l->min) != 4)
		return false;
	l->point = NULL;
	word = strtok_r(text, " ", &save);
	for (int i = 0; word && i < 4; i++)
		l->point = word = strtok_r(NULL, " ", &save);
	save = NULL;
	l->type = strtok_r(rest + 3, " \n", &save);
	l->source = strtok_r(NULL, " \n", &save);
	l->super = strtok_r(NULL, " \n", &save);
	if (!l->point || !l->type || !l->source)
		return false;
	l->super = l->super ? l->super : (char *)"";
	unescape(l->point);
	unescape(l->source);
	return true;
}

/* The last mount of which match says true; *out is valid until free(text).
 * 1: found; 0: none; -errno: can't tell. */
static int look(bool (*match)(const struct line *l, const void *arg),
		const void *arg, struct line *out, char **text)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *buf = NULL;
	size_t size = 0;
	struct line l;
	int err;

	*text = NULL;
	if (!f)
		return -errno;
	errno = 0;
	while (getline(&buf, &size, f) > 0) {
		if (!parse(buf, &l) || !match(&l, arg))
			continue;
		free(*text);
		*text = buf;
		*out = l;
		buf = NULL;
		size = 0;
	}
	err = feof(f) ? 0 : -(errno ?: EIO);
	free(buf);
	fclose(f);
	return err ?: *text != NULL;
}

static bool find(bool (*match)(const struct line *l, const void *arg),
		 const void *arg, struct line *out, char **text)
{
	return look(match, arg, out, text) > 0;
}

static bool is_tagfs(const struct line *l)
{
	return !strcmp(l->type, "fuse.tagfs") ||
	       !strcmp(l->type, "fuseblk.tagfs");
}

static bool match_source(const struct line *l, const void *path)
{
	return is_tagfs(l) && !strcmp(l->source, path);
}

static bool match_mount(const struct line *l, const void *arg)
{
	const struct mounts_id *want = arg;

	return is_tagfs(l) && l->id == want->mount && l->maj == want->major &&
	       l->min == want->minor;
}

static bool match_parent(const struct line *l, const void *arg)
{
	const struct mounts_id *want = arg;

	return l->parent == want->mount && l->id != want->mount;
}

static bool match_point(const struct line *l, const void *path)
{
	return !strcmp(l->point, path);
}

/* Block devices have many names: compare numbers. */
static bool match_device(const struct line *l, const void *arg)
{
	const struct stat *want = arg;
	struct stat st;

	if (makedev(l->maj, l->min) == want->st_rdev)
		return true;
	return l->source[0] == '/' && !stat(l->source, &st) &&
	       S_ISBLK(st.st_mode) && st.st_rdev == want->st_rdev;
}

char *mounts_tagfs_on(const char *source)
{
	struct line l;
	char *text, *point = NULL;

	if (find(match_source, source, &l, &text))
		point = strdup(l.point);
	free(text);
	return point;
}

char *mounts_point(const struct mounts_id *id)
{
	struct line l;
	char *text, *point = NULL;

	if (find(match_mount, id, &l, &text))
		point = strdup(l.point);
	free(text);
	return point;
}

int mounts_tagfs_at(const char *point, struct mounts_tagfs *out)
{
	struct line l;
	char *text;
	int res = look(match_point, point, &l, &text);

	if (res > 0 && !is_tagfs(&l))	/* something else is mounted over it */
		res = 0;
	if (res > 0)
		*out = (struct mounts_tagfs) {
			.id = { l.id, l.maj, l.min },
			.rdonly = !strncmp(l.super, "ro", 2),
			.source = strdup(l.source),
		};
	if (res > 0 && !out->source)
		res = -ENOMEM;
	free(text);
	return res;
}

bool mounts_in_use(const struct mounts_id *id)
{
	char name[64];

	snprintf(name, sizeof(name), "/sys/class/bdi/%u:%u", id->major,
		 id->minor);
	return !access(name, F_OK);
}

int mounts_upon(const struct mounts_id *id)
{
	struct line l;
	char *text;
	int res = look(match_parent, id, &l, &text);

	free(text);
	return res;
}

static char *mounted(const char *path, const struct stat *st)
{
	struct line l;
	char *text, *who = NULL;
	bool found;

	if (S_ISBLK(st->st_mode))
		found = find(match_device, st, &l, &text);
	else
		found = find(match_source, path, &l, &text);
	if (found && asprintf(&who, "mounted on %s (%s)", l.point,
			      l.type) < 0)
		who = NULL;
	free(text);
	return who;
}

static bool same(const char *path, const struct stat *want)
{
	struct stat st;

	if (stat(path, &st))
		return false;
	if (S_ISBLK(want->st_mode))
		return S_ISBLK(st.st_mode) && st.st_rdev == want->st_rdev;
	return st.st_dev == want->st_dev && st.st_ino == want->st_ino;
}

static char *swapped(const struct stat *want)
{
	FILE *f = fopen("/proc/swaps", "re");
	char *buf = NULL, *who = NULL, *end;
	size_t size = 0;

	while (f && !who && getline(&buf, &size, f) > 0) {
		end = strpbrk(buf, " \t\n");
		if (!end)
			continue;
		*end = '\0';
		unescape(buf);
		if (buf[0] == '/' && same(buf, want))
			who = strdup("used as swap space");
	}
	free(buf);
	if (f)
		fclose(f);
	return who;
}

static bool loop_backs(const char *attr, const struct stat *want)
{
	FILE *f = fopen(attr, "re");
	char *buf = NULL;
	size_t size = 0;
	bool found = false;

	if (f && getline(&buf, &size, f) > 0) {
		buf[strcspn(buf, "\n")] = '\0';
		found = same(buf, want);
	}
	free(buf);
	if (f)
		fclose(f);
	return found;
}

static char *looped(const struct stat *want)
{
	DIR *all = opendir("/sys/block");
	char *who = NULL, name[PATH_MAX];
	struct dirent *de;

	while (all && !who && (de = readdir(all))) {
		if (strncmp(de->d_name, "loop", 4))
			continue;
		snprintf(name, sizeof(name), "/sys/block/%s/loop/backing_file",
			 de->d_name);
		if (loop_backs(name, want) &&
		    asprintf(&who, "in use by /dev/%s", de->d_name) < 0)
			who = NULL;
	}
	if (all)
		closedir(all);
	return who;
}

char *mounts_user(const char *path)
{
	struct stat st;
	char *who;

	if (stat(path, &st))
		return NULL;
	who = mounted(path, &st);
	if (!who)
		who = swapped(&st);
	if (!who)
		who = looped(&st);
	return who;
}
