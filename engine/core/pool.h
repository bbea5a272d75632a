/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pool.h - verify workers, for the rest of the engine. */
#ifndef ENG_POOL_H
#define ENG_POOL_H

#include "tagpi.h"

/* Have some worker call work(io), which then owns io. */
void eng_pool_submit(struct eng_pool *pool, struct eng_io *io,
		     void (*work)(struct eng_io *io));

#endif
