/* SPDX-License-Identifier: GPL-2.0-or-later */
/* model_priv.h - a model from the inside: model.c has what there is, model_steps.c
 * changes it.  Numbers in comments are those of model.c. */
#ifndef MODEL_PRIV_H
#define MODEL_PRIV_H

#include <stdlib.h>

#include "support/model.h"

#define CHAINS	4096u

struct name {
	struct name	*next;		/* (1) */
	size_t		at;
	uint32_t	dir, ino;
	char		text[256];
};

struct model {
	struct model_node **node;	/* by number */
	size_t		numbers;
	struct model_node **list;
	size_t		n, room;
	struct name	*chain[CHAINS];
	struct name	**name;
	size_t		names, name_room;
	uint64_t	strict, loose;
	uint32_t	*touched;
	size_t		n_touched, touched_room;
};

static inline void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

/* The sums no longer are of this inode. */
void model_touch(struct model *m, struct model_node *n);
struct model_node *model_node_add(struct model *m, uint32_t ino);
/* (2) after it lost a name, or was closed. */
void model_settle_use(struct model *m, struct model_node *n);
void model_name_add(struct model *m, uint32_t dir, const char *text,
		    uint32_t ino);
void model_name_del(struct model *m, uint32_t dir, const char *text);
/* Zeros up to the new size. */
void model_resize(struct model_node *n, uint64_t size);

#endif
