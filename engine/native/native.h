/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* native.h - what the backends of native devices have in common: native.c.
 * How a transfer is put into the ring and what its result means is the
 * backend's own, its struct native_ops. */
#ifndef ENG_NATIVE_H
#define ENG_NATIVE_H

#include <liburing.h>

#include "core/dev.h"
#include "io/ring.h"
#include "native/bdev.h"

struct native;

/* One transfer: of a whole eng_io, or of one interval of it. */
struct native_xfer {
	bool		write;
	bool		check;		/* the device shall check, too */
	uint64_t	start;		/* interval, of the eng_dev */
	uint32_t	count;
	uint32_t	done;		/* of these: begin behind them */
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
	/* -errno of a completion, or 0 and *bytes is what was moved; it comes
	 * in as what was asked for.  -EILSEQ: a check refused; *kind says
	 * which, if that is known. */
	int	(*result)(int res, uint64_t *bytes, enum eng_fault_kind *kind);
	int	(*flush)(struct native *n);
	int	(*discard)(struct native *n, uint64_t start, uint64_t count);
};

struct native_stats {			/* atomic */
	uint64_t	reads, read_bytes, writes, write_bytes;
	uint64_t	flushes, discards;
	uint64_t	refused;	/* by a check of device or kernel */
	uint64_t	reread;		/* then, without checks or in parts */
};

struct native {
	struct eng_dev	dev;		/* first */
	const struct native_ops *ops;
	struct eng_bdev	bdev;
	char		*path;
	struct eng_ring	*ring;
	int		ng;		/* dev_nvme.c's generic device */
	uint32_t	nsid;		/* likewise */
	uint64_t	lba;		/* likewise: of interval 0 */
	struct native_stats stats;
};

/* The rest of opening.  Takes over bdev, also on error.  The row of
 * the table is p. */
int native_create(struct native **out, const struct native_ops *ops,
		  struct eng_bdev *bdev, const struct eng_profile *p,
		  const struct eng_open *how);
/* Start once the backend is ready, or give up. */
int native_start(struct native *n, struct eng_dev **out);
void native_destroy(struct native *n);

#endif
