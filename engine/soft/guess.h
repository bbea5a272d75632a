/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guess.h - a container that has lost both headers. */
#ifndef ENG_SOFT_GUESS_H
#define ENG_SOFT_GUESS_H

#include "soft/head.h"

/* Profile, size and id, found by trying.  id: of the container that is meant;
 * 0: find out.  -EMEDIUMTYPE: nothing of one is there. */
int soft_head_guess(struct eng_raw *raw, struct soft_head *head, uint64_t id);

#endif
