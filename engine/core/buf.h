/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* buf.h - memory of a device: payloads and data buffers. */
#ifndef ENG_BUF_H
#define ENG_BUF_H

#include "core/dev.h"

enum { ENG_MAX_SEGS = 1024 };	/* in one payload, as UIO_MAXIOV */

/* dev has its ops and geometry. */
int eng_bufs_create(struct eng_bufs **out, const struct eng_dev *dev);
/* Everything was put back.  NULL is fine. */
void eng_bufs_destroy(struct eng_bufs *bufs);

enum eng_bufs_how {
	ENG_BUFS_SPARE,		/* never waits, and leaves the reserve */
	ENG_BUFS_TRY,		/* the largest class waits */
	ENG_BUFS_WAIT,		/* every class waits */
};

/* Empty.  Metadata outside the tuples is zero.  NULL: too large, or no
 * memory. */
struct eng_io *eng_bufs_get_io(struct eng_bufs *bufs, uint32_t count,
			       unsigned int segs, enum eng_bufs_how how);
/* With room for segs segments, but no tags or tuples; waits for memory. */
struct eng_io *eng_bufs_get_clone(struct eng_bufs *bufs, unsigned int segs);
void eng_bufs_put_io(struct eng_bufs *bufs, struct eng_io *io);

void *eng_bufs_get(struct eng_bufs *bufs, size_t bytes,
		   enum eng_bufs_how how);
void eng_bufs_put(struct eng_bufs *bufs, void *buf, size_t bytes);

/* The seam where tests let memory run out: posix_memalign() or less. */
extern int (*eng_bufs_alloc)(void **out, size_t align, size_t bytes);

#endif
