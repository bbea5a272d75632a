/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* soft_load.c - the tuples of one zone, from what its two pages still hold.
 *  (1) A page without a good checksum never counts for more than what the
 *      data itself proves: where the newest page is not intact, each
 *      interval takes the tuple whose guard and reference tag fit its data.
 *  (2) A sector of 512 bytes is the unit of trust, by its own checksum; one
 *      flipped bit in it is found from the checksum and put right.
 *  (3) The next version goes over the page that is the lesser loss.
 *  (4) Generation g is in page g % 2 and the first is 1, so a page of
 *      generation 2 or later proves that the other was written as well.
 *  (5) A page that could not be read is not overwritten on that account
 *      alone: the cause may pass.  With nothing to set against it, the load
 *      fails.
 *  (6) Runs in completions: all reads are asynchronous, nothing waits.
 *  (7) Pages that don't look right are read once more, past the host's cache,
 *      before anything is concluded, and written, from that: the read may
 *      have gone astray.  Where the file has a hole there is nothing to read.
 *  (8) A power cut is no damage.  It leaves a page of which sector 0 is of one
 *      version and others are of an earlier one: a sector arrives whole or
 *      not at all.  So sector 0 is intact, and a sector that is not the one
 *      it names still has tuples with the reference tags of its intervals.
 *      Anything else is rot.  What it is called makes no difference to (1):
 *      the data decide. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "core/tuple.h"
#include "core/buf.h"
#include "soft/soft_load.h"

/* 2^-20 of all destroyed sectors look like one flipped bit: FIXED is a good
 * guess, not a proof. */
enum trust { TRUST_NOTHING, TRUST_DAMAGED, TRUST_FIXED, TRUST_GOOD };

enum found {
	FOUND_BLANK,	/* never written, or another container's */
	FOUND_OURS,	/* the header can be trusted */
	FOUND_LOST,	/* ours, but the header cannot */
};

struct soft_image {
	uint8_t		*buf;
	int		err;		/* of the read */
	enum found	found;
	uint64_t	gen;		/* FOUND_OURS, else 0 */
	uint8_t		trust[SOFT_SECTORS];
	const char	*what;		/* is wrong with it; NULL: nothing */
	bool		cut;		/* (8): it was being written */
};

struct soft_load {
	struct eng_raw_io raw;
	struct iovec	iov;
	struct soft	*s;
	struct soft_page *page;
	soft_loaded_fn	*end;
	soft_tell_fn	*tell;
	void		*tell_arg;
	struct soft_load *next;
	unsigned int	slot;		/* being read alone */
	bool		again;		/* (7) */
	bool		medium;		/* read past caches */
	uint32_t	group;		/* being settled */
	uint8_t		*data;		/* one group's */
	struct soft_image image[2];
	struct soft_image *newer, *older;
	uint8_t		buf[SOFT_PAGES] __attribute__((aligned(SOFT_BLOCK)));
};

/* ---- one sector, one page --------------------------------------------- */

/* Find the one bit whose flip explains that the checksum is off by diff:
 * walk backwards through what a flip at each bit does to it. */
static bool sector_flip_bit(uint8_t *buf, uint32_t diff)
{
	uint32_t delta = 0x82f63b78;	/* the polynomial, reflected */

	for (unsigned int i = SOFT_SECTOR * 8; i--; ) {
		if (delta == diff) {
			buf[i / 8] ^= 1u << i % 8;
			return true;
		}
		delta = delta >> 1 ^ (delta & 1 ? 0x82f63b78 : 0);
	}
	return false;
}

static enum trust sector_check(uint8_t *buf, uint32_t crc)
{
	uint32_t diff = soft_crc(buf, SOFT_SECTOR) ^ crc;

	if (!diff)
		return TRUST_GOOD;
	return sector_flip_bit(buf, diff) ? TRUST_FIXED : TRUST_DAMAGED;
}

/* Sector 0 has its own checksum in it.  Zeros are none of ours: in a page
 * that nobody has written, no flipped bit is looked for. */
static enum trust head_check(struct soft_disk_page *disk)
{
	uint32_t crc = get_le32(disk->crc[0]), diff;
	enum trust trust;

	if (soft_is_zero((uint8_t *)disk, SOFT_SECTOR))
		return TRUST_DAMAGED;
	disk->crc[0] = 0;
	diff = soft_crc(disk, SOFT_SECTOR) ^ crc;
	if (__builtin_popcount(diff) == 1)
		return TRUST_FIXED;	/* the flip is in crc itself */
	trust = sector_check((uint8_t *)disk, crc);
	return trust == TRUST_FIXED && disk->crc[0] ? TRUST_DAMAGED : trust;
}

static void image_lost(struct soft_image *img, const char *what,
		       enum trust trust)
{
	img->found = FOUND_LOST;
	img->what = what;
	img->gen = 0;
	memset(img->trust, trust, sizeof(img->trust));
}

static bool is_near(uint64_t a, uint64_t b)
{
	return __builtin_popcountll(a ^ b) <= 8;
}

/* The header, before its sector is known to be good. */
static void image_no_head(struct soft *s, struct soft_image *img)
{
	const struct soft_disk_page *disk = (void *)img->buf;

	img->found = FOUND_BLANK;
	if (is_near(get_le64(disk->id), s->head.id))
		image_lost(img, "header damaged", TRUST_DAMAGED);
}

static void image_sectors(struct soft_image *img)
{
	const struct soft_disk_page *disk = (void *)img->buf;

	img->found = FOUND_OURS;
	img->gen = get_le64(disk->gen);
	if (img->trust[0] == TRUST_FIXED)
		img->what = "one bit flipped";
	for (unsigned int i = 1; i < SOFT_SECTORS; i++) {
		img->trust[i] = sector_check(img->buf + i * SOFT_SECTOR,
					     get_le32(disk->crc[i]));
		if (img->trust[i] == TRUST_DAMAGED)
			img->what = "damaged";
		else if (img->trust[i] == TRUST_FIXED && !img->what)
			img->what = "one bit flipped";
	}
}

static void image_check(struct soft *s, struct soft_image *img, uint64_t zone,
			unsigned int slot)
{
	struct soft_disk_page *disk = (void *)img->buf;
	uint64_t gen;

	if (img->err) {
		image_lost(img, "cannot be read", TRUST_NOTHING);
		return;
	}
	img->trust[0] = head_check(disk);
	gen = get_le64(disk->gen);
	if (img->trust[0] == TRUST_DAMAGED)
		image_no_head(s, img);
	else if (get_le64(disk->magic) != SOFT_PAGE_MAGIC ||
		 get_le64(disk->id) != s->head.id)
		img->found = FOUND_BLANK;
	else if (get_le64(disk->zone) != zone || gen % 2 != slot ||
		 !gen || gen >= SOFT_GEN_MAX)
		image_lost(img, "belongs elsewhere", TRUST_DAMAGED);
	else
		image_sectors(img);
}

/* What a page without anything of ours means depends on the other. */
static void image_settle_blank(struct soft_image *img,
			       const struct soft_image *other)
{
	if (img->found != FOUND_BLANK)
		return;
	if (other->gen >= 2) {		/* (4) */
		image_lost(img, "gone, though once written",
			   soft_is_zero(img->buf, SOFT_BLOCK) ? TRUST_NOTHING :
			   TRUST_DAMAGED);
		return;
	}
	memset(img->buf, 0xff, SOFT_BLOCK);	/* all escapes */
	memset(img->trust, TRUST_GOOD, sizeof(img->trust));
}

/* ---- the pair --------------------------------------------------------- */

static bool image_complete(const struct soft_image *img)
{
	if (img->found != FOUND_OURS)
		return false;
	for (unsigned int i = 0; i < SOFT_SECTORS; i++)
		if (img->trust[i] < TRUST_FIXED)
			return false;
	return true;
}

/* The page to keep until the next version is durable. (3) */
static unsigned int pair_keep(const struct soft_load *load)
{
	unsigned int newer = load->newer - load->image;

	if (image_complete(load->newer))
		return newer;
	if (image_complete(load->older))
		return !newer;
	if (load->newer->found != load->older->found)
		return load->older->found == FOUND_OURS ||
		       load->newer->found == FOUND_BLANK ? !newer : newer;
	return newer;
}

static void pair_next_gen(struct soft_load *load)
{
	const struct soft_image *a = &load->image[0], *b = &load->image[1];
	uint64_t gen = (a->gen > b->gen ? a->gen : b->gen) + 1;
	unsigned int keep;

	if (a->found != FOUND_BLANK || b->found != FOUND_BLANK) {
		keep = pair_keep(load);
		gen += gen % 2 == keep;
	}
	load->page->gen = gen;
	load->page->heal = 0;
	if ((!a->what && !b->what) || soft_rdonly(load->s) || a->err || b->err)
		return;			/* (5) */
	/* If the page kept has lost something too, it is next. */
	load->page->heal = load->image[pair_keep(load)].what ? 2 : 1;
}

/* Intervals whose metadata is in that sector: [*first, *end). */
static void sector_intervals(const struct soft_load *load, unsigned int sector,
			     uint32_t *first, uint32_t *end)
{
	size_t meta = load->s->head.lay.profile->meta_size;
	size_t head = offsetof(struct soft_disk_page, tuples);
	uint32_t n = soft_zone_count(&load->s->head.lay, load->page->zone);

	*first = (uint32_t)((sector * SOFT_SECTOR - head) / meta);
	*end = *first + (uint32_t)(SOFT_SECTOR / meta);
	if (*end > n)
		*end = n;
	if (*first > n)
		*first = n;
}

/* Nothing is behind the tuples, and all of them are in their place. */
static bool sector_has_tuples(const struct soft_load *load,
			      const struct soft_image *img,
			      unsigned int sector)
{
	const struct soft_layout *l = &load->s->head.lay;
	size_t meta = l->profile->meta_size;
	const uint8_t *at = img->buf + sector * SOFT_SECTOR;
	const uint8_t *next = at + SOFT_SECTOR;
	uint32_t first, end;

	sector_intervals(load, sector, &first, &end);
	for (uint32_t i = first; i < end; i++, at += meta)
		if (!eng_tuple_in_place(l->profile, at, load->page->zone *
					l->zone_intervals + i))
			return false;
	return at == next || soft_is_zero(at, (size_t)(next - at));
}

/* The one byte that is not as in the other page explains it. */
static bool sector_lost_byte(const struct soft_image *img,
			     const struct soft_image *other,
			     unsigned int sector)
{
	const struct soft_disk_page *disk = (const void *)img->buf;
	const uint8_t *peer = other->buf + sector * SOFT_SECTOR;
	uint8_t copy[SOFT_SECTOR];
	bool found = false;

	memcpy(copy, img->buf + sector * SOFT_SECTOR, SOFT_SECTOR);
	for (unsigned int i = 0; i < SOFT_SECTOR && !found; i++) {
		uint8_t byte = copy[i];

		if (byte == peer[i])
			continue;
		copy[i] = peer[i];
		found = soft_crc(copy, SOFT_SECTOR) ==
			get_le32(disk->crc[sector]);
		copy[i] = byte;
	}
	return found;
}

/* (8) Zeros are of the time before the first version, of which nothing is
 * left once the other page's next one has begun. */
static bool sector_is_earlier(const struct soft_load *load,
			      const struct soft_image *img,
			      const struct soft_image *other,
			      unsigned int sector)
{
	bool young = img->gen <= 2 || other->gen <= 2 ||
		     !image_complete(other);

	if (young && soft_is_zero(img->buf + sector * SOFT_SECTOR, SOFT_SECTOR))
		return true;
	return sector_has_tuples(load, img, sector) &&
	       !sector_lost_byte(img, other, sector);
}

/* (8) */
static bool image_is_cut(const struct soft_load *load,
			 const struct soft_image *img,
			 const struct soft_image *other)
{
	if (img->found != FOUND_OURS || img->trust[0] != TRUST_GOOD ||
	    other->found == FOUND_LOST)
		return false;
	for (unsigned int i = 1; i < SOFT_SECTORS; i++)
		if (img->trust[i] == TRUST_FIXED ||
		    (img->trust[i] == TRUST_DAMAGED &&
		     !sector_is_earlier(load, img, other, i)))
			return false;
	return true;
}

static void pair_log(struct soft_load *load)
{
	struct soft *s = load->s;

	for (unsigned int i = 0; i < 2; i++) {
		const struct soft_image *img = &load->image[i];

		if (!img->what)
			continue;
		soft_count(img->cut ? &s->stats.interrupted :
			   &s->stats.repairs, 1);
		eng_log(img->cut ? LOG_NOTICE : LOG_WARNING, "%s: zone %llu: "
			"tuple page %u at byte %llu: %s", s->raw->name,
			(unsigned long long)load->page->zone, i,
			(unsigned long long)(soft_zone_off(&s->head.lay,
				load->page->zone) + i * SOFT_BLOCK),
			img->what);
		if (load->tell)
			load->tell(load->tell_arg, i, img->what, img->cut,
				   img->err);
	}
}

static void pair_tell_cuts(struct soft_load *load)
{
	struct soft_image *img = load->image;

	for (unsigned int i = 0; i < 2; i++)
		img[i].cut = img[i].what &&
			     image_is_cut(load, &img[i], &img[!i]);
	for (unsigned int i = 0; i < 2; i++)
		if (img[i].cut)
			img[i].what = "an interrupted write, what it "
				"replaced counts";
}

static bool in_hole(const struct soft_load *load)
{
	const struct eng_raw_ops *ops = load->s->raw->ops;

	return ops->hole && ops->hole(load->s->raw, soft_zone_off(
			&load->s->head.lay, load->page->zone), SOFT_PAGES);
}

/* Does the pair look damaged, or blank?  That may be the read's fault. */
static bool pair_odd(const struct soft_load *load)
{
	const struct soft_image *a = &load->image[0], *b = &load->image[1];

	if (a->what || b->what)
		return true;
	return a->found == FOUND_BLANK && b->found == FOUND_BLANK &&
	       !in_hole(load);
}

/* Find out which is newer.  A page of unknown age may be the newest. */
static int pair_check(struct soft_load *load)
{
	struct soft_image *a = &load->image[0], *b = &load->image[1];

	for (unsigned int i = 0; i < 2; i++)
		image_check(load->s, &load->image[i], load->page->zone, i);
	image_settle_blank(a, b);
	image_settle_blank(b, a);
	if (!load->again && pair_odd(load))
		return -EAGAIN;			/* (7) */
	if (a->err && (b->err || b->found == FOUND_BLANK))
		return a->err;		/* (5) */
	if (b->err && a->found == FOUND_BLANK)
		return b->err;
	if (a->found == FOUND_LOST)
		load->newer = a;
	else if (b->found == FOUND_LOST)
		load->newer = b;
	else
		load->newer = a->gen > b->gen ? a : b;
	load->older = load->newer == a ? b : a;
	pair_next_gen(load);
	pair_tell_cuts(load);
	pair_log(load);
	return 0;
}

/* ---- one interval ----------------------------------------------------- */

static const uint8_t *image_tuple(const struct soft_load *load,
				  const struct soft_image *img, uint32_t i)
{
	return img->buf + offsetof(struct soft_disk_page, tuples) +
	       (size_t)i * load->s->head.lay.profile->meta_size;
}

static enum trust image_trust(const struct soft_load *load,
			      const struct soft_image *img, uint32_t i)
{
	size_t meta = load->s->head.lay.profile->meta_size;
	size_t at = offsetof(struct soft_disk_page, tuples) + i * meta;
	enum trust first = img->trust[at / SOFT_SECTOR];
	enum trust last = img->trust[(at + meta - 1) / SOFT_SECTOR];

	return first < last ? first : last;
}

static bool tuple_fits(const struct soft_load *load, uint32_t i,
		       const void *data, const uint8_t *tuple)
{
	const struct soft_layout *l = &load->s->head.lay;
	struct eng_fault fault;

	return data && !eng_verify(l->profile, data, tuple, 1,
				   load->page->zone * l->zone_intervals + i,
				   NULL, &fault);
}

/* (1) data may be NULL: nothing can be proven. */
static const uint8_t *tuple_pick(const struct soft_load *load, uint32_t i,
				 const void *data)
{
	enum trust newer = image_trust(load, load->newer, i);
	enum trust older = image_trust(load, load->older, i);
	const struct soft_image *img[2] = { load->newer, load->older };
	enum trust trust[2] = { newer, older };

	if (newer == TRUST_GOOD)
		return image_tuple(load, load->newer, i);
	if (newer < TRUST_FIXED && older > newer) {
		img[0] = load->older, trust[0] = older;
		img[1] = load->newer, trust[1] = newer;
	}
	for (int j = 0; j < 2; j++)
		if (trust[j] > TRUST_NOTHING &&
		    tuple_fits(load, i, data, image_tuple(load, img[j], i)))
			return image_tuple(load, img[j], i);
	/* img[0] is trusted at least as much, or newer and put right. */
	return trust[0] > TRUST_NOTHING ? image_tuple(load, img[0], i) : NULL;
}

static bool needs_data(const struct soft_load *load, uint32_t i)
{
	enum trust newer = image_trust(load, load->newer, i);
	enum trust older = image_trust(load, load->older, i);

	return newer != TRUST_GOOD && newer > TRUST_NOTHING &&
	       older > TRUST_NOTHING &&
	       memcmp(image_tuple(load, load->newer, i),
		      image_tuple(load, load->older, i),
		      load->s->head.lay.profile->meta_size);
}

/* ---- all of them, group by group -------------------------------------- */

static void load_destroy(struct soft_load *load)
{
	free(load->data);
	free(load);
}

static void load_finish(struct soft_load *load, int err)
{
	struct soft *s = load->s;
	struct soft_page *page = load->page;
	soft_loaded_fn *end = load->end;

	load_destroy(load);
	end(s, page, err);
}

static void group_settle(struct soft_load *load, const uint8_t *data)
{
	const struct soft_layout *l = &load->s->head.lay;
	size_t meta = l->profile->meta_size, unit = l->profile->interval;
	uint32_t first = load->group * l->group;

	for (uint32_t i = first; i < first + l->group; i++) {
		const uint8_t *tuple = tuple_pick(load, i, data);
		uint8_t *at = load->page->tuples + i * meta;

		if (tuple)
			memcpy(at, tuple, meta);
		else
			memset(at, 0xff, meta);
		if (data)
			data += unit;
	}
	load->group++;
}

static bool group_needs_data(const struct soft_load *load)
{
	uint32_t first = load->group * load->s->head.lay.group;

	for (uint32_t i = 0; i < load->s->head.lay.group; i++)
		if (needs_data(load, first + i))
			return true;
	return false;
}

static void load_merge(struct soft_load *load);

static void group_read_end(struct eng_raw_io *raw, int err)
{
	struct soft_load *load = raw->arg;

	group_settle(load, err ? NULL : load->data);
	load_merge(load);
}

static void load_read(struct soft_load *load, uint64_t off, void *buf,
		      size_t len, void (*end)(struct eng_raw_io *, int))
{
	load->iov.iov_base = buf;
	load->iov.iov_len = len;
	load->raw.write = false;
	load->raw.direct = load->medium;
	load->raw.off = off;
	load->raw.iov = &load->iov;
	load->raw.niov = 1;
	load->raw.end = end;
	load->raw.arg = load;
	load->s->raw->ops->submit(load->s->raw, &load->raw);
}

static int group_read(struct soft_load *load)
{
	const struct soft_layout *l = &load->s->head.lay;
	size_t bytes = (size_t)l->group * l->profile->interval;

	void *mem;

	if (!load->data && eng_bufs_alloc(&mem, SOFT_BLOCK, bytes))
		return -ENOMEM;
	if (!load->data)
		load->data = mem;
	load_read(load, soft_data_off(l, load->page->zone,
				      load->group * l->group),
		  load->data, bytes, group_read_end);
	return 0;
}

static void load_merge(struct soft_load *load)
{
	const struct soft_layout *l = &load->s->head.lay;
	uint32_t groups = soft_zone_count(l, load->page->zone) / l->group;
	size_t used = (size_t)groups * l->group * l->profile->meta_size;
	int err;

	while (load->group < groups) {
		if (!group_needs_data(load)) {
			group_settle(load, NULL);
			continue;
		}
		err = group_read(load);
		if (err)	/* no memory is no reason to guess */
			load_finish(load, err);
		return;		/* goes on in group_read_end() */
	}
	memset(load->page->tuples + used, 0, SOFT_ROOM - used);
	load_finish(load, 0);
}

/* ---- reading the pair ------------------------------------------------- */

/* All that is possible nearly always: the newer page is intact. */
static bool load_intact(struct soft_load *load)
{
	for (unsigned int i = 0; i < SOFT_SECTORS; i++)
		if (load->newer->trust[i] != TRUST_GOOD)
			return false;
	return true;
}

static void read_again(struct soft_load *load)
{
	for (unsigned int i = 0; i < 2; i++)
		load->image[i] = (struct soft_image){
			.buf = load->buf + i * SOFT_BLOCK,
		};
	load->slot = 0;
	load->again = load->medium = true;		/* (7) */
	soft_load_start(load);
}

static void load_pair(struct soft_load *load)
{
	const struct soft_layout *l = &load->s->head.lay;
	size_t used = (size_t)soft_zone_count(l, load->page->zone) *
		      l->profile->meta_size;
	int err = pair_check(load);

	if (err == -EAGAIN && !load->again) {
		read_again(load);
		return;
	}
	if (err) {
		eng_log(LOG_ERR, "%s: zone %llu: tuple pages at byte %llu: %s",
			load->s->raw->name,
			(unsigned long long)load->page->zone,
			(unsigned long long)soft_zone_off(l, load->page->zone),
			strerror(-err));
		load_finish(load, err);
		return;
	}
	if (!load_intact(load)) {
		load_merge(load);
		return;
	}
	memcpy(load->page->tuples, image_tuple(load, load->newer, 0), used);
	memset(load->page->tuples + used, 0, SOFT_ROOM - used);
	load_finish(load, 0);
}

static void load_one_end(struct eng_raw_io *raw, int err)
{
	struct soft_load *load = raw->arg;

	load->image[load->slot].err = err;
	if (load->slot++ == 0)
		load_read(load, raw->off + SOFT_BLOCK, load->buf + SOFT_BLOCK,
			  SOFT_BLOCK, load_one_end);
	else
		load_pair(load);
}

static void load_both_end(struct eng_raw_io *raw, int err)
{
	struct soft_load *load = raw->arg;

	if (!err)
		load_pair(load);
	else	/* which of them? */
		load_read(load, raw->off, load->buf, SOFT_BLOCK, load_one_end);
}

void soft_load_tell(struct soft_load *load, soft_tell_fn *tell, void *arg)
{
	load->tell = tell;
	load->tell_arg = arg;
}

void soft_load_start(struct soft_load *load)
{
	load_read(load, soft_zone_off(&load->s->head.lay, load->page->zone),
		  load->buf, SOFT_PAGES, load_both_end);
}

void soft_load_filled(struct soft_load *load)
{
	load_pair(load);
}

void *soft_load_buf(struct soft_load *load)
{
	return load->buf;
}

struct soft_load **soft_load_next(struct soft_load *load)
{
	return &load->next;
}

struct soft_load *soft_load_create(struct soft *s, struct soft_page *page,
				   bool medium, soft_loaded_fn *end)
{
	struct soft_load *load;
	void *mem;

	if (eng_bufs_alloc(&mem, SOFT_BLOCK, sizeof(*load)))
		return NULL;
	load = mem;
	memset(load, 0, offsetof(struct soft_load, buf));
	load->s = s;
	load->page = page;
	load->medium = medium;
	load->end = end;
	load->image[0].buf = load->buf;
	load->image[1].buf = load->buf + SOFT_BLOCK;
	return load;
}
