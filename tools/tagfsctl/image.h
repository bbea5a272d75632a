/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image.h - what the parts of "tagfsctl image" share. */
#ifndef IMAGE_H
#define IMAGE_H

#include "base/record.h"
#include "ctl.h"
#include "soft/layout.h"
#include "tfs.h"
#include "tree/key.h"

/* A commit that the log has whole. */
struct image_commit {
	uint64_t	seq, pos;
	uint32_t	blocks;
	uint64_t	hash, new_hash, new_prev, new_proof;
};

struct image {
	const char	*path, *target;
	char		*part;		/* the target, until it is whole */
	bool		anonymise, with_inline;

	struct medium	im;
	struct tfs	*from, *to;	/* to: the keys of the image, no more */
	bool		soft;		/* a container: its pages are copied */
	struct eng_raw	*raw;		/* soft: under the container */
	int		out;
	struct soft_layout lay;		/* of the image */
	uint64_t	zones;		/* that are there */
	uint64_t	id;		/* and of its container */
	uint8_t		uuid[16];	/* anonymise */
	uint8_t		*zero, *old, *new;	/* a cluster each */

	/* image_pages.c: the zone that is at hand */
	uint64_t	zone;
	bool		fresh;		/* the first time */
	bool		there[2];	/* the page says something */
	_Alignas(SOFT_BLOCK) uint8_t src[2][SOFT_BLOCK];
	_Alignas(SOFT_BLOCK) uint8_t was[2][SOFT_BLOCK], now[2][SOFT_BLOCK];
	uint8_t		*data;		/* not soft: of the zone */
	bool		*bad;		/* not soft: by group */

	/* image_log.c */
	uint64_t	*log_seq;	/* by position; 0: nothing sound */
	struct image_commit *commit;	/* by sequence */
	size_t		commits, room;
	size_t		known;		/* of them: whole, and looked at */

	/* the result */
	uint64_t	kept, dropped, unreadable;	/* clusters */
};

/* ---- image_pages.c ------------------------------------------------------- */

/* Both headers say that it is an image; else as they are. */
int image_heads(struct image *g);

/* The zone's pages as the source has them; fresh: nothing of it was written
 * to the image.  All are 0 or -errno, and that is the image's. */
int image_zone(struct image *g, uint64_t zone, bool fresh);
int image_zone_end(struct image *g);
/* As one of the pages names it; 0: none does. */
unsigned int image_records(struct image *g, uint64_t addr,
			   struct tfs_record rec[2]);
/* False: all that is known of it is that nothing was ever written there. */
bool image_written(struct image *g, uint64_t addr);
/* The bytes of a cluster of the zone, as they are: false, and that was said. */
bool image_read(struct image *g, uint64_t addr, uint8_t *buf);
/* It has these bytes in the image.  A tuple that fitted the old ones fits
 * these, and one that did not does not.  old NULL: all do. */
int image_place(struct image *g, uint64_t addr, const uint8_t *old,
		const uint8_t *new);

/* ---- image_wash.c -------------------------------------------------------- */

/* What is left of a cluster that is no content, from g->old to g->new. */
void image_wash(struct image *g);
/* The value of an item; mode: of its inode, 0: unknown. */
void image_wash_item(struct image *g, const struct tfs_key *key, uint8_t *val,
		     unsigned int len, uint32_t mode);
/* A nonce becomes that of the image; a wrong one stays as wrong. */
void image_nonce(const struct image *g, uint8_t nonce[TFS_NONCE]);

/* ---- image_log.c --------------------------------------------------------- */

/* What is in the log, before anything else; and write it, after all else. */
int image_log_scan(struct image *g);
int image_log_write(struct image *g);
/* A commit's hash, as it is in the image. */
uint64_t image_log_hash(const struct image *g, uint64_t hash);

#endif
