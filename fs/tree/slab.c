/* SPDX-License-Identifier: GPL-2.0-or-later */
/* slab.c - memory for the bytes of nodes, in chunks of many.
 *
 * The C library keeps a header in front of each piece, so that one that begins
 * with a page and is as large as a page takes two.
 *
 *  (1) A chunk with free pieces is in the list, the one that was put into last
 *      at its end: pieces are taken from the first, so that others become
 *      empty.
 *  (2) One empty chunk is kept; others go back at once.  So memory follows the
 *      number of nodes, up and, in chunks, down. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "tree/slab.h"

/* A tool that looks for the use of freed memory sees each piece. */
#if defined(__SANITIZE_ADDRESS__)
#define PIECES	1u
#else
#define PIECES	64u
#endif

struct tfs_chunk {
	struct tfs_slab	*slab;
	struct tfs_chunk *prev, *next;	/* (1) */
	uint8_t		*mem;
	unsigned int	nfree;
	uint8_t		free[PIECES];	/* their numbers, a stack */
};

struct tfs_slab {
	pthread_mutex_t	lock;		/* protects all, chunks included */
	size_t		size;		/* fixed */
	struct tfs_chunk *first, *last;
	unsigned int	empty;		/* chunks of which nothing is used */
};

int tfs_slab_create(struct tfs_slab **out, size_t size)
{
	struct tfs_slab *slab = calloc(1, sizeof(*slab));

	*out = slab;
	if (!slab)
		return -ENOMEM;
	pthread_mutex_init(&slab->lock, NULL);
	slab->size = size;
	return 0;
}

static void list_add(struct tfs_slab *slab, struct tfs_chunk *c)
{
	c->next = NULL;
	c->prev = slab->last;
	if (slab->last)
		slab->last->next = c;
	else
		slab->first = c;
	slab->last = c;
}

static void list_del(struct tfs_slab *slab, struct tfs_chunk *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		slab->first = c->next;
	if (c->next)
		c->next->prev = c->prev;
	else
		slab->last = c->prev;
}

static void chunk_free(struct tfs_chunk *c)
{
	free(c->mem);
	free(c);
}

void tfs_slab_destroy(struct tfs_slab *slab)
{
	struct tfs_chunk *c, *next;

	if (!slab)
		return;
	for (c = slab->first; c; c = next) {
		next = c->next;
		assert(c->nfree == PIECES);
		chunk_free(c);
	}
	pthread_mutex_destroy(&slab->lock);
	free(slab);
}

static struct tfs_chunk *chunk_new(struct tfs_slab *slab)
{
	struct tfs_chunk *c = calloc(1, sizeof(*c));

	if (c)
		c->mem = aligned_alloc(4096, PIECES * slab->size);
	if (!c || !c->mem) {
		free(c);
		return NULL;
	}
	c->slab = slab;
	for (unsigned int i = 0; i < PIECES; i++)
		c->free[c->nfree++] = (uint8_t)(PIECES - 1 - i);
	return c;
}

void *tfs_slab_get(struct tfs_slab *slab, struct tfs_chunk **from)
{
	struct tfs_chunk *c;
	void *piece = NULL;

	pthread_mutex_lock(&slab->lock);
	c = slab->first;
	if (!c) {
		c = chunk_new(slab);
		if (!c)
			goto out;
		list_add(slab, c);
		slab->empty++;
	}
	slab->empty -= c->nfree == PIECES;
	piece = c->mem + c->free[--c->nfree] * slab->size;
	if (!c->nfree)
		list_del(slab, c);
	*from = c;
out:
	pthread_mutex_unlock(&slab->lock);
	return piece;
}

void tfs_slab_put(struct tfs_chunk *c, void *piece)
{
	struct tfs_slab *slab = c->slab;
	size_t n = (size_t)((uint8_t *)piece - c->mem) / slab->size;

	pthread_mutex_lock(&slab->lock);
	if (c->nfree)
		list_del(slab, c);
	c->free[c->nfree++] = (uint8_t)n;
	if (c->nfree == PIECES && slab->empty) {		/* (2) */
		chunk_free(c);
	} else {
		slab->empty += c->nfree == PIECES;
		list_add(slab, c);
	}
	pthread_mutex_unlock(&slab->lock);
}
