/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dev_block.c - a block device, tuples through io_uring's attribute.
 *  (1) Linux 6.14 and later.  Older kernels ignore the attribute: the write
 *      succeeds, and the tags are gone.  So nothing is opened unless the ring
 *      says that it knows it (IORING_FEAT_RW_ATTR).
 *  (2) The attribute names where the tuples are, what is to be checked, and a
 *      seed: the reference tag of the first interval, as we count.  Kernel and
 *      device turn it into the address on the medium, and back; so ours is the
 *      interval's number on the device or partition, whichever was opened.
 *  (3) O_DIRECT, which the attribute needs.  Flushing is the block layer's.
 * linux/io_uring.h of Debian 12 does not have these words yet. */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "native/dev_block.h"
#include "native/native.h"

#define FEAT_RW_ATTR	(1u << 16)	/* IORING_FEAT_RW_ATTR */

enum {
	ATTR_PI		= 1,		/* IORING_RW_ATTR_FLAG_PI */
	CHECK_GUARD	= 1,		/* IO_INTEGRITY_CHK_* */
	CHECK_REF	= 2,
};

/* The end of a submission entry: attr_ptr and attr_type_mask. */
struct sqe_attr {
	uint64_t	ptr;
	uint64_t	mask;
};
_Static_assert(sizeof(struct io_uring_sqe) == 48 + sizeof(struct sqe_attr),
	       "the attribute is the last 16 bytes");

static void block_prep(struct native *n, struct io_uring_sqe *sqe,
		       const struct native_xfer *x, struct native_attr *attr)
{
	const struct eng_profile *p = n->dev.geo.profile;
	struct sqe_attr at = { (uintptr_t)attr, ATTR_PI };
	uint64_t bytes = eng_ring_prep_rw(sqe, n->bdev.fd, x->write, x->iov,
					  (int)x->niov, x->start * p->interval,
					  (uint64_t)x->done * p->interval);

	*attr = (struct native_attr) {
		.len = (uint32_t)(bytes / p->interval) * p->meta_size,
		.addr = (uintptr_t)(x->tuples +
				    (size_t)x->done * p->meta_size),
		.seed = x->start + x->done,	/* (2) */
	};
	if (x->check)
		attr->flags = CHECK_GUARD | (p->type == 3 ? 0 : CHECK_REF);
	memcpy((char *)sqe + 48, &at, sizeof(at));
}

static int block_result(int res, uint64_t *bytes, enum eng_fault_kind *kind)
{
	(void)kind;	/* the kernel does not say */
	if (res < 0)
		return res;
	*bytes = (uint64_t)res;
	return 0;
}

static int block_flush(struct native *n)
{
	while (fdatasync(n->bdev.fd))
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int block_discard(struct native *n, uint64_t start, uint64_t count)
{
	uint64_t interval = n->dev.geo.profile->interval;
	uint64_t range[2] = { start * interval, count * interval };

	while (ioctl(n->bdev.fd, BLKDISCARD, range))
		if (errno != EINTR)
			return errno == EINVAL || errno == ENOTTY ?
				-EOPNOTSUPP : -errno;
	return 0;
}

static const struct native_ops block_ops = {
	.name = "block",
	.prep = block_prep,
	.result = block_result,
	.flush = block_flush,
	.discard = block_discard,
};

bool eng_block_works(void)
{
	struct io_uring_params p = { 0 };
	struct io_uring ring;

	if (io_uring_queue_init_params(2, &ring, &p))
		return false;
	io_uring_queue_exit(&ring);
	return p.features & FEAT_RW_ATTR;	/* (1) */
}

int eng_block_open(struct eng_dev **out, struct eng_bdev *bdev,
		   const struct eng_profile *p, const struct eng_open *how)
{
	struct native *n;
	int err = native_create(&n, &block_ops, bdev, p, how);

	return err ? err : native_start(n, out);
}
