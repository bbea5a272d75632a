/* SPDX-License-Identifier: GPL-2.0-or-later */
/* find.c - block devices by what is on them.
 *
 * (1) Legs of a mirror have the same UUID and label, of which udev's links name
 *     one.  So all block devices that the kernel knows are looked at.
 * (2) What another device is on top of (a multipath, a mapping) is left out:
 *     there the same would be found twice.
 * (3) Whether what was found belongs together is decided where the legs are
 *     opened, not here. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "find.h"
#include "probe.h"
#include "uuid.h"

/* Of what is looked for; which members count. */
struct wanted {
	const uint8_t	*uuid;		/* or NULL */
	const uint8_t	*nonce;		/* or NULL */
	const char	*label;		/* or NULL */
};

static bool is_wanted(const struct wanted *w, const struct tfs_disk_super *s)
{
	char label[TFS_LABEL + 1] = "";

	memcpy(label, s->label, TFS_LABEL);
	return (!w->uuid || !memcmp(w->uuid, s->uuid, 16)) &&
		(!w->nonce || !memcmp(w->nonce, s->nonce, TFS_NONCE)) &&
		(!w->label || !strcmp(w->label, label));
}

/* (2)  name: of the kernel. */
static bool is_below(const char *name)
{
	char path[PATH_MAX];
	struct dirent *de;
	bool any = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/block/%s/holders", name);
	dir = opendir(path);
	while (dir && !any && (de = readdir(dir)))
		any = *de->d_name != '.';
	if (dir)
		closedir(dir);
	return any;
}

/* The next device that is wanted; false: none. */
static bool next(FILE *f, const struct wanted *w, char path[PATH_MAX])
{
	struct tfs_disk_super s;
	char line[512], name[256], sys[256];

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %*u %*u %*u %255s", name) != 1)
			continue;
		strcpy(sys, name);	/* "cciss!c0d0" is cciss/c0d0 */
		for (char *c = name; *c; c++)
			*c = *c == '!' ? '/' : *c;
		snprintf(path, PATH_MAX, "/dev/%s", name);
		if (!probe_super(path, &s) && is_wanted(w, &s) &&
		    !is_below(sys))
			return true;
	}
	return false;
}

static char *find_first(const struct wanted *w)
{
	FILE *f = fopen("/proc/partitions", "re");
	char path[PATH_MAX];
	bool any = f && next(f, w, path);

	if (f)
		fclose(f);
	return any ? strdup(path) : NULL;
}

/* As udev names it. */
static char *find_link(const char *by, const char *value)
{
	char path[PATH_MAX];

	if (!*value || strchr(value, '/'))
		return NULL;
	snprintf(path, sizeof(path), "/dev/disk/%s/%s", by, value);
	return access(path, F_OK) ? NULL : realpath(path, NULL);
}

char *find_source(const char *spec)
{
	bool by_uuid = !strncmp(spec, "UUID=", 5);
	const char *value = spec + (by_uuid ? 5 : 6);
	struct wanted w = { .uuid = NULL };
	uint8_t uuid[16];
	char *path;

	if (!by_uuid && strncmp(spec, "LABEL=", 6))
		return strdup(spec);
	path = find_link(by_uuid ? "by-uuid" : "by-label", value);
	if (path)
		return path;
	if (by_uuid && uuid_parse(value, uuid)) {
		eng_log(LOG_ERR, "%s: that is no UUID", spec);
		return NULL;
	}
	w.uuid = by_uuid ? uuid : NULL;
	w.label = by_uuid ? NULL : value;
	path = find_first(&w);
	if (!path)
		eng_log(LOG_ERR, "%s: no block device has it; image files are "
			"given by path", spec);
	return path;
}

static bool is_same(const struct stat *a, const char *path)
{
	struct stat st;

	return stat(path, &st) || st.st_rdev == a->st_rdev;
}

static int add_all(FILE *f, const struct wanted *w, const struct stat *self,
		   struct legs *l, char *found[LEGS_MAX])
{
	char path[PATH_MAX];
	int n = 0;

	while (next(f, w, path)) {
		if (is_same(self, path))
			continue;
		if (l->n == LEGS_MAX) {
			eng_log(LOG_ERR, "%s: more than %u devices say that "
				"they are legs of this mirror: name them with "
				"-o device=PATH", l->path[0], LEGS_MAX);
			return -E2BIG;
		}
		found[n] = strdup(path);
		if (!found[n])
			return -ENOMEM;
		eng_log(LOG_INFO, "%s: another leg is %s", l->path[0], path);
		legs_add(l, found[n++]);
	}
	return n;
}

/* (1), (3) */
int find_legs(struct legs *l, char *found[LEGS_MAX])
{
	struct tfs_disk_super s;
	const struct wanted w = { .nonce = s.nonce };
	struct stat self;
	FILE *f;
	int n;

	if (stat(l->path[0], &self) || !S_ISBLK(self.st_mode) ||
	    probe_super(l->path[0], &s) ||
	    !(le32toh(s.incompat) & TFS_INCOMPAT_MIRROR))
		return 0;
	f = fopen("/proc/partitions", "re");
	if (!f)
		return 0;
	n = add_all(f, &w, &self, l, found);
	fclose(f);
	return n;
}
