/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* head.h - the container's header, of which there are two copies. */
#ifndef ENG_SOFT_HEAD_H
#define ENG_SOFT_HEAD_H

#include "io/raw.h"
#include "soft/layout.h"

struct soft_head {
	struct soft_layout lay;
	uint64_t	id;
	uint64_t	compat;		/* feature bits, kept as they are */
	bool		bad[2];		/* found damaged: to be rewritten */
	bool		cut;		/* there is less than there should be */
};

/* Find and check it.  -EMEDIUMTYPE: there is none.  What is wrong is in the
 * log.  short_ok: a container that is cut short has what is left. */
int soft_head_find(struct eng_raw *raw, struct soft_head *head, bool short_ok);
int soft_head_write(struct eng_raw *raw, const struct soft_head *head,
		    unsigned int copy);

#endif
