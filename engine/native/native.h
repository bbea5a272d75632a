/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* native.h - what the backends of native devices have in common: native.c.
 * They differ in how a transfer is put into a ring and what its result says,
 * which is their struct native_ops. */
#ifndef ENG_NATIVE_H
#define ENG_NATIVE_H

#include <liburing.h>

#include "native/bdev.h"
#include "core/dev.h"

struct native;

/* One transfer: of a whole eng_io, or of one interval of it. */
struct native_xfer {
	bool		write;
	bool		check;		/* the device shall check, too */
	uint64_t	start;		/* interval, of the eng_dev */
	uint32_t	count;
	struct iovec	*iov;
	unsigned int	niov;
	uint8_t		*tuples;
};

/* linux/io_uring.h since 6.14: struct io_uring_attr_pi. */
struct native_attr {
	uint16_t	flags;
	uint16_t	app_tag;
	uint32_t	len;
	uint64_t	addr;
	uint64_t	seed;
	uint64_t	rsvd;
};
_Static_assert(sizeof(struct native_attr) == 32, "the kernel's");

struct native_ops {
	const char *name;
	unsigned int ring_flags;	/* IORING_SETUP_* */
	/* attr stays until the transfer is over. */
	void	(*prep)(struct native *n, struct io_uring_sqe *sqe,
			const struct native_xfer *x, struct native_attr *attr);
	/* -errno of a completion; *kind if a check refused and which is known.
	 * -EILSEQ: it was a check. */
	int	(*result)(int res, uint64_t bytes, enum eng_fault_kind *kind);
	int	(*flush)(struct native *n);
	int	(*discard)(struct native *n, uint64_t start, uint64_t count);
};

struct native_stats {			/* atomic */
	uint64_t	reads, read_bytes, writes, write_bytes;
	uint64_t	flushes, discards;
	uint64_t	refused;	/* by a check of device or kernel */
	uint64_t	reread;		/* then, without checks or in parts */
};

struct native_ring;	/* fields: native_ring.c */

struct native {
	struct eng_dev	dev;		/* first */
	const struct native_ops *ops;
	struct eng_bdev	bdev;
	char		*path;
	struct native_ring *ring;
	int		ng;		/* dev_nvme.c's generic device */
	uint32_t	nsid;		/* likewise */
	uint64_t	lba;		/* likewise: of interval 0 */
	struct native_stats stats;
};

/* native.c: the rest of opening.  Takes over bdev, also on error.  The row of
 * the table is p. */
int native_create(struct native **out, const struct native_ops *ops,
		  struct eng_bdev *bdev, const struct eng_profile *p,
		  const struct eng_open *how);
/* Start once the backend is ready, or give up. */
int native_start(struct native *n, struct eng_dev **out);
void native_destroy(struct native *n);
/* native.c, called by the ring: */
void native_prep(struct native *n, struct eng_io *io, struct io_uring_sqe *sqe,
		 struct native_attr *attr, struct iovec *iov);
void native_complete(struct native *n, struct eng_io *io, int res);

/* native_ring.c: transfers in flight.  Start never blocks; destroy wants none
 * left. */
int native_ring_create(struct native_ring **out, struct native *n);
void native_ring_destroy(struct native_ring *r);
void native_ring_start(struct native_ring *r, struct eng_io *io);

/* Is there the attribute for protection information?  Kernels without it
 * ignore it, and would lose every tag. */
bool native_block_works(void);

int eng_block_open(struct eng_dev **out, struct eng_bdev *bdev,
		   const struct eng_profile *p, const struct eng_open *how);
int eng_nvme_open(struct eng_dev **out, struct eng_bdev *bdev,
		  const struct eng_profile *p, const struct eng_open *how);
/* Can the namespace be reached past the block layer?  why: if not. */
bool eng_nvme_generic(const struct eng_bdev *bdev, char *path, size_t size,
		      const char **why);

#endif
