/* SPDX-License-Identifier: GPL-2.0-or-later */
/* medium.c - a filesystem that is not mounted, and one that is.
 *
 *  (1) Where only superblock, slots, log or single clusters are looked at, the
 *      tree is left alone, so that a filesystem that can't be mounted can be
 *      looked at. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "base/fence.h"
#include "commit/super.h"
#include "ctl.h"
#include "legs.h"
#include "mount/legs.h"
#include "mount/mount.h"
#include "tree/ncache.h"

#define FUSE_MAGIC	0x65735546
#define FENCE_MS	5000u
#define STATS_ROOM	(64u << 10)

static int open_dev(struct medium *im, const struct legs *legs,
		    unsigned int flags)
{
	struct eng_open how = { .flags = flags };
	int err = eng_pool_create(&im->pool, 1);

	how.pool = im->pool;
	return err ? err : legs_open(&im->dev, legs, &how);
}

/* (1) */
static int open_bare(struct medium *im)
{
	int err;

	im->fs = tfs_alloc_fs(im->dev);
	if (!im->fs)
		return -ENOMEM;
	im->fs->seq = TFS_SEQ_MAX;	/* every one may be */
	err = tfs_super_read(im->fs);
	if (!err)
		err = tfs_legs_find(im->fs);
	if (!err)	/* nodes get their memory from there */
		err = tfs_ncache_create(&im->fs->nodes, 0,
					im->fs->csize);
	return err;
}

int medium_open(struct medium *im, const char *path, bool tree)
{
	struct tfs_mount how = { .rdonly = true, .accept = true,
				 .image = true };
	const struct legs legs = { .path = { path }, .n = 1,
				   .degraded = true };
	int err;

	*im = (struct medium){ .open = tree };
	err = open_dev(im, &legs, ENG_OPEN_RDONLY);
	if (err)
		return err;
	return tree ? tfs_open(&im->fs, im->dev, &how) : open_bare(im);
}

int medium_open_rw(struct medium *im, const struct legs *legs)
{
	bool waited;
	int err;

	*im = (struct medium){ .open = false };
	err = open_dev(im, legs, 0);
	if (!err)
		err = open_bare(im);
	if (err)
		return err;
	if (im->fs->super.ro_compat & ~TFS_RO_COMPAT_KNOWN)
		return -EROFS;
	if (eng_dev_geometry(im->dev)->shared)
		im->fs->opt.fence = FENCE_MS;
	err = tfs_legs_fence(im->fs);
	if (!err)
		err = tfs_fence_take(im->fs, &waited);
	if (!err && waited) {
		eng_dev_drop_caches(im->dev);
		err = tfs_super_read(im->fs);
	}
	return err;
}

void medium_close(struct medium *im)
{
	if (im->open) {
		tfs_close(im->fs);
	} else if (im->fs) {
		tfs_fence_leave(im->fs);
		tfs_free_fs(im->fs);
	}
	eng_dev_close(im->dev);
	eng_pool_destroy(im->pool);
}

/* ---- one that is mounted ------------------------------------------------ */

bool is_mounted(const char *path)
{
	struct statfs st;
	char c;

	return !statfs(path, &st) && st.f_type == FUSE_MAGIC &&
		(getxattr(path, "tagfs.stats", &c, 0) >= 0 ||
		 getxattr(path, "tagfs.tags", &c, 0) >= 0);
}

char *stats_get(const char *path)
{
	char *text = malloc(STATS_ROOM);
	ssize_t n;

	if (!text)
		return NULL;
	n = getxattr(path, "tagfs.stats", text, STATS_ROOM - 1);
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	return text;
}

/* Members are one a line; a quote within a string is escaped there. */
static const char *member(const char *stats, const char *name)
{
	char key[80];
	const char *at;

	snprintf(key, sizeof(key), "\"%s\": ", name);
	at = strstr(stats, key);
	return at ? at + strlen(key) : NULL;
}

const char *stats_leg(const char *stats, unsigned int i)
{
	char key[32];

	snprintf(key, sizeof(key), "{\"leg\": %u, ", i + 1);
	return strstr(stats, key);
}

bool stats_number(const char *stats, const char *name, uint64_t *out)
{
	const char *at = member(stats, name);

	*out = at ? strtoull(at, NULL, 10) : 0;
	return at;
}

bool stats_true(const char *stats, const char *name)
{
	const char *at = member(stats, name);

	return at && !strncmp(at, "true", 4);
}

/* As it is in there, without the quotes. */
bool stats_text(const char *stats, const char *name, char *out, size_t size)
{
	const char *at = member(stats, name);
	size_t n = 0;

	*out = '\0';
	if (!at || *at++ != '"')
		return false;
	while (*at && *at != '"' && n + 1 < size) {
		if (*at == '\\' && at[1] && (at[1] == '"' || at[1] == '\\'))
			at++;
		out[n++] = *at++;
	}
	out[n] = '\0';
	return true;
}
