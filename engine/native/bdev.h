/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bdev.h - a block device, and what protects it. */
#ifndef ENG_BDEV_H
#define ENG_BDEV_H

#include "tagpi.h"

/* Fields are fixed after eng_bdev_open(). */
struct eng_bdev {
	const char	*path;		/* the caller's */
	int		fd;		/* O_DIRECT */
	bool		rdonly;
	bool		native;		/* found is its protection */
	bool		kernel;		/* the kernel knows of it */
	uint64_t	size;		/* bytes */
	uint64_t	start;		/* bytes before it, on its disk */
	uint32_t	lbs;		/* logical block */
	uint32_t	align;		/* of data in memory */
	uint32_t	max_bytes;	/* of a command for the disk */
	struct eng_profile found;	/* but for its name */
	char		disk[32];	/* the kernel's name: "nvme0n1" */
	char		sys[64];	/* the disk's directory in sysfs */
	char		why_not[160];	/* why not native */
	char		advice[160];	/* how it could be, or better; or "" */
};

/* Open path (which is a block device) and find out what protects it.  fd: of
 * the lock on it; -1: it is only looked at.  On error everything is closed
 * again and a line is in the log. */
int eng_bdev_open(struct eng_bdev *b, const char *path, int fd,
		  unsigned int flags);
/* What was opened to be read, now to be written: the same device, under the
 * number that its descriptor has.  Changes nothing on error. */
int eng_bdev_reopen(struct eng_bdev *b);
void eng_bdev_close(struct eng_bdev *b);
/* A number in a file of the disk's directory, or fallback. */
uint64_t eng_bdev_number(const struct eng_bdev *b, const char *file,
			 uint64_t fallback);
bool eng_bdev_is_nvme(const struct eng_bdev *b);

/* The kernel's three sources, best first; each sets native, found, why_not.
 * False: it does not know.  Tests compare them. */
bool eng_bdev_ask_cap(struct eng_bdev *b);
bool eng_bdev_ask_nvme(struct eng_bdev *b);
bool eng_bdev_ask_sysfs(struct eng_bdev *b);
/* What does it know of itself that would be better?  Sets advice. */
void eng_bdev_advise(struct eng_bdev *b);

#endif
