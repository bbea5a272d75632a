/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dev_block.h - a block device, tuples through io_uring's attribute. */
#ifndef ENG_DEV_BLOCK_H
#define ENG_DEV_BLOCK_H

#include "native/bdev.h"

/* Is there the attribute for protection information?  Kernels without it
 * ignore it, and would lose every tag. */
bool eng_block_works(void);
/* Takes over bdev, also on error. */
int eng_block_open(struct eng_dev **out, struct eng_bdev *bdev,
		   const struct eng_profile *p, const struct eng_open *how);

#endif
