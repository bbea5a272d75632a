/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* soft_io.h - requests of a container. */
#ifndef ENG_SOFT_IO_H
#define ENG_SOFT_IO_H

#include "soft/soft_priv.h"

void soft_submit(struct eng_dev *dev, struct eng_io *io);
/* Bytes of eng_io.priv. */
size_t soft_room(const struct eng_dev *dev, uint32_t intervals,
		 unsigned int segs);
int soft_discard(struct eng_dev *dev, uint64_t start, uint64_t count);

#endif
