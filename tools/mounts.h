/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mounts.h - what the kernel has mounted, from /proc/self/mountinfo.
 *
 * Paths are compared as the kernel shows them: give resolved ones. */
#ifndef TOOLS_MOUNTS_H
#define TOOLS_MOUNTS_H

#include <stdbool.h>

/* Where tagfs has mounted that image or device; malloced.  NULL: nowhere. */
char *mounts_tagfs_on(const char *source);

/* One mount of one filesystem.  The kernel uses both numbers again, but not
 * for another filesystem while this one lives. */
struct mounts_id {
	unsigned int	mount;		/* its ID */
	unsigned int	major, minor;	/* of the filesystem */
};

/* Where that mount of tagfs is now; malloced.  NULL: not in this namespace,
 * or that can't be told. */
char *mounts_point(const struct mounts_id *id);
/* 1: something is mounted over it or below it; 0: nothing; -errno: that can't
 * be told. */
int mounts_upon(const struct mounts_id *id);

/* A mount of tagfs, by where it is. */
struct mounts_tagfs {
	struct mounts_id id;
	bool		rdonly;		/* the filesystem, not the mount alone */
	char		*source;	/* malloced */
};

/* 1: the uppermost one on that directory; 0: there is none; -errno. */
int mounts_tagfs_at(const char *point, struct mounts_tagfs *out);
/* Does that filesystem live, in whatever namespace? */
bool mounts_in_use(const struct mounts_id *id);
/* Who uses that file or block device: a mount, swap space or a loop device;
 * malloced text for a person.  NULL: nobody who can be seen. */
char *mounts_user(const char *path);

#endif
