/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dev_nvme.h - an NVMe namespace, past the block layer. */
#ifndef ENG_DEV_NVME_H
#define ENG_DEV_NVME_H

#include "native/bdev.h"

/* Can the namespace be reached past the block layer?  why: if not. */
bool eng_nvme_generic(const struct eng_bdev *bdev, char *path, size_t size,
		      const char **why);
/* Takes over bdev, also on error. */
int eng_nvme_open(struct eng_dev **out, struct eng_bdev *bdev,
		  const struct eng_profile *p, const struct eng_open *how);

#endif
