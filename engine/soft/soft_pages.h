/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* soft_pages.h - the cache of tuple pages. */
#ifndef ENG_SOFT_PAGES_H
#define ENG_SOFT_PAGES_H

#include "soft/soft_priv.h"

int soft_pages_init(struct soft *s, size_t cache);
/* What writing takes, of what was opened to be read.  0 or -ENOMEM. */
int soft_pages_write_too(struct soft *s);
/* No thread runs after it. */
void soft_stop(struct soft *s);
/* After soft_stop(), with no I/O in flight. */
void soft_pages_exit(struct soft *s);
/* Do what seg's request wants with the page of its zone.  0: it is done.
 * -errno: it failed.  1: the page has to be read first; then seg->req is put
 * once when that is over, and if seg->load is set the caller starts it. */
int soft_page_do(struct soft *s, struct soft_seg *seg);
/* One part of a request is over.  After the last, req->end() is called. */
void soft_req_put(struct soft_req *req, int err);
int soft_flush(struct soft *s);
/* Called before tuples are put; may flush.  Returns the error that an earlier
 * write or flush left, if there was one. */
int soft_throttle(struct soft *s);
void soft_drop(struct soft *s);
/* Wait for cond, or let storage without threads go on. */
void soft_wait(struct soft *s, pthread_cond_t *cond);

#endif
