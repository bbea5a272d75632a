/* SPDX-License-Identifier: GPL-2.0-or-later */
/* slab.h - memory for the bytes of nodes.  Any thread; its lock is a leaf. */
#ifndef TFS_SLAB_H
#define TFS_SLAB_H

#include <stddef.h>

struct tfs_slab;
struct tfs_chunk;

/* Of pieces of that size, a multiple of 4096. */
int tfs_slab_create(struct tfs_slab **out, size_t size);
/* All pieces were put back.  NULL is fine. */
void tfs_slab_destroy(struct tfs_slab *slab);
/* An aligned piece, whatever is in it, and where it came from; or NULL. */
void *tfs_slab_get(struct tfs_slab *slab, struct tfs_chunk **from);
void tfs_slab_put(struct tfs_chunk *from, void *piece);

#endif
