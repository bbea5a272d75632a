/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guess.c - a container that has lost both headers, from its tuple pages.
 *  (1) A page with a good first sector names its container and its zone, so
 *      that where it lies says how large a zone is.  Pages that say something
 *      else are another container's, or copies of this one's.
 *  (2) The youngest container wrote page 1 of zone 0 last, since a zone begins
 *      with that and a new filesystem with its first cluster.  Only where that
 *      page is gone does the number of pages decide.  Whoever knows better
 *      names the id; the others are in the log.
 *  (3) Zones of one size have several profiles.  Which it is, data and tuples
 *      say: that under which most intervals verify.  Types 1 and 2 store the
 *      same; and type 3 fits their tuples, too, so it is the last that counts.
 *  (4) Nothing is written.  Both headers are noted as bad, so that whoever
 *      writes to the container later writes them first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "core/tuple.h"
#include "soft/guess.h"

#define SAMPLE	4096u		/* zones from the start, and as many beyond */
#define ENOUGH	4096u		/* intervals that verify */
#define VOTES	32u
#define SIZES	16u

typedef unsigned long long ull;

struct vote {
	uint64_t	id;
	unsigned int	size;		/* index of guess.lay */
	uint64_t	pages;		/* of zones other than 0 */
	uint64_t	zone;		/* one of them */
	bool		young;		/* (2) */
};

struct guess {
	struct eng_raw	*raw;
	uint64_t	want;		/* id; 0: not known */
	struct soft_layout lay[SIZES];	/* of different zones */
	unsigned int	sizes;
	struct vote	vote[VOTES];
	unsigned int	votes;
	uint64_t	first[2];	/* ids in zone 0; 0: none */
	struct soft_disk_page *page;
	uint8_t		*data;
};

/* ---- pages ------------------------------------------------------ */

static bool page_is_good(struct soft_disk_page *p)
{
	uint32_t crc = get_le32(p->crc[0]);
	bool good;

	if (get_le64(p->magic) != SOFT_PAGE_MAGIC || !get_le64(p->id))
		return false;
	p->crc[0] = 0;
	good = soft_crc(p, SOFT_SECTOR) == crc;
	p->crc[0] = put_le32(crc);
	return good;
}

/* Into g->page.  False: none of any container is there. */
static bool read_page(struct guess *g, const struct soft_layout *l,
		      uint64_t zone, unsigned int slot)
{
	uint64_t at = soft_zone_off(l, zone) + slot * SOFT_BLOCK;

	return at + SOFT_BLOCK <= g->raw->size &&
		!eng_raw_rw(g->raw, false, at, g->page, SOFT_BLOCK) &&
		page_is_good(g->page) && get_le64(g->page->zone) == zone &&
		get_le64(g->page->gen) % 2 == slot;
}

static struct vote *vote_of(struct guess *g, uint64_t id, unsigned int size)
{
	for (unsigned int i = 0; i < g->votes; i++)
		if (g->vote[i].id == id && g->vote[i].size == size)
			return &g->vote[i];
	if (g->votes == VOTES)
		return NULL;
	g->vote[g->votes] = (struct vote){ .id = id, .size = size };
	return &g->vote[g->votes++];
}

/* (1) */
static void look_at_zone(struct guess *g, unsigned int size, uint64_t zone)
{
	for (unsigned int slot = 0; slot < 2; slot++) {
		struct vote *v;

		if (!read_page(g, &g->lay[size], zone, slot))
			continue;
		v = vote_of(g, get_le64(g->page->id), size);
		if (!v)
			continue;
		v->pages++;
		v->zone = zone;
	}
}

static void look_at_size(struct guess *g, unsigned int size)
{
	uint64_t zones = g->lay[size].zones;
	uint64_t near = zones < SAMPLE ? zones : SAMPLE;
	uint64_t step = (zones - near) / SAMPLE + 1;

	for (uint64_t z = 1; z < near; z++)
		look_at_zone(g, size, z);
	for (uint64_t z = near; z < zones; z += step)
		look_at_zone(g, size, z);
	if (zones > near && (zones - 1 - near) % step)
		look_at_zone(g, size, zones - 1);
}

static void find_sizes(struct guess *g)
{
	const struct eng_profile *p;
	struct soft_layout l;

	for (unsigned int i = 0; (p = eng_profile_at(i)); i++) {
		unsigned int k = 0;

		if (soft_layout(&l, p, g->raw->size))
			continue;
		while (k < g->sizes && g->lay[k].zone_bytes != l.zone_bytes)
			k++;
		if (k == g->sizes && k < SIZES)
			g->lay[g->sizes++] = l;
	}
}

/* ---- which container ------------------------------------------------------ */

/* A container of a single zone has no other page that would tell its size. */
static void vote_for_first(struct guess *g)
{
	for (unsigned int slot = 0; slot < 2; slot++) {
		bool known = !g->first[slot];

		for (unsigned int i = 0; i < g->votes; i++)
			known |= g->vote[i].id == g->first[slot];
		for (unsigned int i = 0; i < g->sizes && !known; i++)
			vote_of(g, g->first[slot], i);
	}
}

static bool is_better(const struct guess *g, const struct vote *a,
		      const struct vote *b)
{
	bool want_a = a->id == g->want, want_b = b->id == g->want;

	if (want_a != want_b)
		return want_a;
	if (a->young != b->young)
		return a->young;		/* (2) */
	return a->pages > b->pages;
}

static struct vote *best_vote(struct guess *g)
{
	struct vote *best = NULL;

	for (unsigned int i = 0; i < g->votes; i++) {
		g->vote[i].young = g->vote[i].id == g->first[1];
		if (!best || is_better(g, &g->vote[i], best))
			best = &g->vote[i];
	}
	return best;
}

static void say_others(const struct guess *g, const struct vote *best)
{
	for (unsigned int i = 0; i < g->votes; i++) {
		const struct vote *v = &g->vote[i];
		bool again = v->id == best->id;

		for (unsigned int k = 0; k < i; k++)
			again |= g->vote[k].id == v->id;
		if (!again)
			eng_log(LOG_WARNING, "%s: there are pages of another "
				"container, too: %016llx", g->raw->name,
				(ull)v->id);
	}
}

/* ---- which profile ------------------------------------------------------ */

static uint32_t fits(struct guess *g, const struct soft_layout *l,
		     uint64_t zone, uint64_t id)
{
	uint32_t n = soft_zone_count(l, zone), good = 0;
	uint32_t isize = l->profile->interval;

	if (eng_raw_rw(g->raw, false, soft_data_off(l, zone, 0), g->data,
		       (size_t)n * isize))
		return 0;
	for (unsigned int slot = 0; slot < 2; slot++) {
		if (!read_page(g, l, zone, slot) ||
		    get_le64(g->page->id) != id)
			continue;
		for (uint32_t i = 0; i < n; i++) {
			const uint8_t *meta = g->page->tuples +
				(size_t)i * l->profile->meta_size;
			struct eng_fault fault;

			/* Zeros prove nothing: their CRC-16 is 0. */
			good += !soft_is_zero(meta, l->profile->meta_size) &&
				!eng_verify(l->profile, g->data +
					    (size_t)i * isize, meta, 1,
					    zone * l->zone_intervals + i, NULL,
					    &fault);
		}
	}
	return good;
}

static uint64_t count_fits(struct guess *g, const struct soft_layout *l,
			   const struct vote *v)
{
	uint64_t n = fits(g, l, 0, v->id);

	for (uint64_t z = 1; z < l->zones && z < SAMPLE && n < ENOUGH; z++)
		n += fits(g, l, z, v->id);
	if (!n && v->zone)
		n = fits(g, l, v->zone, v->id);
	return n;
}

/* (3) */
static bool better_type(const struct eng_profile *a,
			const struct eng_profile *b)
{
	return b->type == 3 && a->type != 3;
}

static void find_profile(struct guess *g, const struct vote *v,
			 struct soft_layout *out, uint64_t *most)
{
	const struct eng_profile *p;
	struct soft_layout l;
	uint64_t n;

	for (unsigned int i = 0; (p = eng_profile_at(i)); i++) {
		if (soft_layout(&l, p, g->raw->size) ||
		    l.zone_bytes != g->lay[v->size].zone_bytes)
			continue;
		n = count_fits(g, &l, v);
		if (n > *most || (n && n == *most &&
				  better_type(p, out->profile))) {
			*most = n;
			*out = l;
		}
	}
}

/* ---- all of it ------------------------------------------------------ */

static int guess(struct guess *g, struct soft_head *head)
{
	struct vote *v;
	uint64_t most = 0;

	find_sizes(g);
	for (unsigned int slot = 0; slot < 2 && g->sizes; slot++)
		if (read_page(g, &g->lay[0], 0, slot))
			g->first[slot] = get_le64(g->page->id);
	for (unsigned int i = 0; i < g->sizes; i++)
		look_at_size(g, i);
	vote_for_first(g);
	v = best_vote(g);
	if (!v || (g->want && v->id != g->want)) {
		eng_log(LOG_ERR, "%s: no container: there are no tuple pages "
			"%s", g->raw->name, g->want ? "of that one" :
			"either");
		return -EMEDIUMTYPE;
	}
	if (v->pages)
		find_profile(g, v, &head->lay, &most);
	for (unsigned int i = 0; !v->pages && i < g->votes; i++)
		if (g->vote[i].id == v->id)
			find_profile(g, &g->vote[i], &head->lay, &most);
	if (!most) {
		eng_log(LOG_ERR, "%s: no container: nothing verifies under the "
			"tuple pages that are there", g->raw->name);
		return -EMEDIUMTYPE;
	}
	head->id = v->id;
	head->compat = 0;
	head->bad[0] = head->bad[1] = true;			/* (4) */
	eng_log(LOG_WARNING, "%s: both container headers are lost; by its "
		"tuple pages it is container %016llx, %s, %llu intervals",
		g->raw->name, (ull)head->id, head->lay.profile->name,
		(ull)head->lay.intervals);
	say_others(g, v);
	return 0;
}

int soft_head_guess(struct eng_raw *raw, struct soft_head *head, uint64_t id)
{
	struct guess g = { .raw = raw, .want = id };
	size_t room = 64u * 32768;		/* of a whole zone */
	int err = -ENOMEM;

	g.page = aligned_alloc(SOFT_BLOCK, SOFT_BLOCK);
	g.data = aligned_alloc(SOFT_BLOCK, room);
	if (g.page && g.data)
		err = guess(&g, head);
	free(g.page);
	free(g.data);
	return err;
}
