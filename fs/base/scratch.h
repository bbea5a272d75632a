/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scratch.h - files for what memory has no room for. */
#ifndef TFS_SCRATCH_H
#define TFS_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

/* What all who use it share.  All 0: memory without a bound. */
struct tfs_scratch {
	const char	*dir;	/* NULL: no files */
	size_t		bytes;	/* of memory; 0: no bound */
	size_t		used;	/* of that, by sorters */
};

/* Whatever of this fails is said, with the directory. */

/* A descriptor of an empty file that is gone with it, or -errno. */
int tfs_scratch_open(const struct tfs_scratch *s);
/* Can there be one?  0 or -errno. */
int tfs_scratch_try(const struct tfs_scratch *s);
/* All of it, or -errno. */
int tfs_scratch_write(const struct tfs_scratch *s, int fd, const void *buf,
		      size_t len, uint64_t off);
int tfs_scratch_read(const struct tfs_scratch *s, int fd, void *buf,
		     size_t len, uint64_t off);
/* What came back is not what was written: -EIO. */
int tfs_scratch_bad(const struct tfs_scratch *s);

#endif
