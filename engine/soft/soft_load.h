/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* soft_load.h - one zone's tuples, read from its two pages. */
#ifndef ENG_SOFT_LOAD_H
#define ENG_SOFT_LOAD_H

#include "soft/soft_priv.h"

struct soft_load;

/* The load is over and gone: err, or page->tuples, gen and heal are set. */
typedef void soft_loaded_fn(struct soft *s, struct soft_page *page, int err);

/* medium: nothing that a cache of this host has counts. */
struct soft_load *soft_load_create(struct soft *s, struct soft_page *page,
				   bool medium, soft_loaded_fn *end);
/* Each page that is no good, before the load is over.  err: of its read. */
typedef void soft_tell_fn(void *arg, unsigned int page, const char *why,
			  bool cut, int err);
void soft_load_tell(struct soft_load *load, soft_tell_fn *tell, void *arg);
/* Read both pages. */
void soft_load_start(struct soft_load *load);
/* A read that goes over the two pages anyway can bring them: it reads them
 * into soft_load_buf(), which has room for both, and then calls
 * soft_load_filled() in place of soft_load_start(). */
void *soft_load_buf(struct soft_load *load);
void soft_load_filled(struct soft_load *load);
/* The link of a list of loads that one read brings. */
struct soft_load **soft_load_next(struct soft_load *load);

#endif
