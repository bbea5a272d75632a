/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dev_soft.h - the container on any raw storage. */
#ifndef ENG_DEV_SOFT_H
#define ENG_DEV_SOFT_H

#include "io/raw.h"
#include "tagpi.h"

/* Takes over raw unless it fails. */
int eng_soft_open(struct eng_dev **out, struct eng_raw *raw,
		  const struct eng_open *how);
/* id is unique per container; eng_soft_format() takes a random one. */
int eng_soft_format_raw(struct eng_raw *raw, const struct eng_profile *p,
			uint64_t id);

#endif
