/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_pages.c - the container that an image is: its zones and tuple pages.
 *
 *  (1) The pages of a container are copied as they are, both versions, and so
 *      is what is damaged in them.  Only tuples of clusters that have other
 *      bytes in the image are changed.
 *  (2) What fitted fits, what did not does not: each tuple is asked whether it
 *      fitted the old bytes.  Checksums of pages are moved by what the change
 *      adds, so a wrong one is wrong by as much as before.
 *  (3) Content is never read.  Its tuples are made those of zeros, with the
 *      tags that they had, and the zeros are a hole.
 *  (4) A device with protection of its own has no pages: one is made of its
 *      tuples, the first version, as if a container had been written once. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cluster.h"
#include "core/dev.h"
#include "core/tuple.h"
#include "image.h"
#include "io/raw.h"

typedef unsigned long long ull;

static const struct eng_profile *profile(const struct image *g)
{
	return g->lay.profile;
}

static uint8_t *meta_at(const struct image *g, uint8_t *page, uint32_t k)
{
	return page + offsetof(struct soft_disk_page, tuples) +
		(size_t)k * profile(g)->meta_size;
}

/* Number of the cluster's first interval in its zone. */
static uint32_t first_of(const struct image *g, uint64_t addr)
{
	return (uint32_t)(addr * g->from->ipc % g->lay.zone_intervals);
}

static int put(struct image *g, const void *buf, size_t len, uint64_t at)
{
	ssize_t n = pwrite(g->out, buf, len, (off_t)at);

	return n == (ssize_t)len ? 0 : n < 0 ? -errno : -ENOSPC;
}

static void unreadable(struct image *g, const char *what, uint64_t number,
		       uint64_t at, int err)
{
	if (!g->fresh)	/* it was said */
		return;
	g->unreadable++;
	say("%s: %s %llu, at byte %llu, can't be read: %s; left out",
	    g->path, what, (ull)number, (ull)at, strerror(err));
}

static bool get(struct image *g, void *buf, size_t len, uint64_t at, int *err)
{
	*err = -eng_raw_rw(g->raw, false, at, buf, len);
	return !*err;
}

/* ---- pages of a container (1) -------------------------------------------- */

/* One that is not the container's is blank to whoever reads it, and may be
 * anything that lay there before. */
static bool is_ours(const struct image *g, const uint8_t *page)
{
	const struct soft_disk_page *d = (const void *)page;

	return __builtin_popcountll(get_le64(d->id) ^ g->id) <= 8;
}

static void load_pages(struct image *g)
{
	for (unsigned int v = 0; v < 2; v++) {
		uint64_t at = soft_zone_off(&g->lay, g->zone) + v * SOFT_BLOCK;
		int err;

		g->there[v] = get(g, g->src[v], SOFT_BLOCK, at, &err);
		if (!g->there[v])
			unreadable(g, "tuple page of zone", g->zone, at, err);
		else
			g->there[v] = is_ours(g, g->src[v]);
	}
}

/* (2) */
static void mark_head(struct soft_disk_head *d)
{
	uint32_t was = soft_crc(d, offsetof(struct soft_disk_head, crc));

	d->compat = put_le64(get_le64(d->compat) | SOFT_COMPAT_IMAGE);
	d->crc = put_le32(get_le32(d->crc) ^ was ^
			  soft_crc(d, offsetof(struct soft_disk_head, crc)));
}

static bool get_head(struct image *g, uint64_t at, int *why)
{
	ssize_t n;

	if (g->soft)
		return get(g, g->src[0], SOFT_BLOCK, at, why);
	n = pread(g->out, g->src[0], SOFT_BLOCK, (off_t)at);
	*why = n < 0 ? errno : EIO;
	return n == SOFT_BLOCK;
}

int image_heads(struct image *g)
{
	struct soft_disk_head *d = (void *)g->src[0];
	int err = 0, why;

	g->fresh = true;
	for (unsigned int i = 0; i < 2 && !err; i++) {
		uint64_t at = i ? g->lay.size - SOFT_BLOCK : 0;

		if (g->soft && at >= g->raw->size)
			continue;	/* it is cut short */
		if (!get_head(g, at, &why)) {
			unreadable(g, "container header", i, at, why);
		} else if (get_le64(d->magic) == SOFT_HEAD_MAGIC) {
			mark_head(d);
			err = put(g, d, SOFT_BLOCK, at);
		}
	}
	return err;
}

/* ---- a page for a device without (4) ------------------------------------- */

/* Its own numbers may begin elsewhere. */
static void move_ref(const struct image *g, uint8_t *tuple)
{
	const struct eng_profile *p = profile(g);
	unsigned int n = p->pi_size == 16 ? 6 : 4;
	uint8_t *at = tuple + eng_ref_at(p);
	uint64_t ref = 0;

	if (p->type == 3)
		return;
	for (unsigned int i = 0; i < n; i++)
		ref = ref << 8 | at[i];
	ref -= g->im.dev->ref_base;
	for (unsigned int i = n; i--; ref >>= 8)
		at[i] = (uint8_t)ref;
}

static int read_group(struct image *g, uint32_t group, uint8_t *meta)
{
	const struct eng_profile *p = profile(g);
	uint32_t ipc = g->from->ipc;
	struct eng_io *io = eng_io_get(g->im.dev, ipc, 1);
	uint8_t *buf = eng_buf_get(g->im.dev, g->from->csize);
	int err = io && buf ? 0 : -ENOMEM;

	if (!err) {
		io->op = ENG_READ;
		io->flags = ENG_IO_PROTECTED | ENG_IO_MEDIUM;
		io->start = g->zone * g->lay.zone_intervals + group * ipc;
		eng_io_add(io, buf, g->from->csize);
		err = eng_io_run(io);
	}
	if (!err) {
		memcpy(g->data + (size_t)group * g->from->csize, buf,
		       g->from->csize);
		memcpy(meta, io->tuples, (size_t)ipc * p->meta_size);
		for (uint32_t i = 0; i < ipc; i++)
			if (!eng_tuple_escapes(p, meta + i * p->meta_size))
				move_ref(g, meta + i * p->meta_size +
					 p->pi_offset);
	}
	eng_io_put(io);
	eng_buf_put(g->im.dev, buf, g->from->csize);
	return err;
}

static void seal_new(struct soft_disk_page *d)
{
	const uint8_t *raw = (const uint8_t *)d;

	for (unsigned int i = SOFT_SECTORS; i--; ) {
		d->crc[i] = put_le32(0);
		d->crc[i] = put_le32(soft_crc(raw + i * SOFT_SECTOR,
					      SOFT_SECTOR));
	}
}

static int make_page(struct image *g)
{
	struct soft_disk_page *d = (void *)g->src[1];
	uint32_t groups = soft_zone_count(&g->lay, g->zone) / g->from->ipc;
	int err = 0;

	memset(d, 0, sizeof(*d));
	d->magic = put_le64(SOFT_PAGE_MAGIC);
	d->id = put_le64(g->id);
	d->zone = put_le64(g->zone);
	d->gen = put_le64(1);
	memset(d->tuples, 0xff, (size_t)soft_zone_count(&g->lay, g->zone) *
	       profile(g)->meta_size);
	for (uint32_t i = 0; i < groups && err != -ENOMEM; i++) {
		err = read_group(g, i, meta_at(g, g->src[1],
					       i * g->from->ipc));
		g->bad[i] = err;
		if (err && err != -ENOMEM)
			unreadable(g, "cluster", g->zone * g->lay.zone_intervals
				   / g->from->ipc + i,
				   (g->zone * g->lay.zone_intervals +
				    i * g->from->ipc) *
				   (uint64_t)profile(g)->interval, -err);
	}
	seal_new(d);
	g->there[0] = false;
	g->there[1] = true;
	return err == -ENOMEM ? err : 0;
}

/* ---- a zone -------------------------------------------------------------- */

int image_zone(struct image *g, uint64_t zone, bool fresh)
{
	int err = 0, why;

	g->zone = zone;
	g->fresh = fresh;
	if (g->soft)
		load_pages(g);
	else
		err = make_page(g);
	for (unsigned int v = 0; v < 2 && !err; v++) {
		memcpy(g->was[v], g->src[v], SOFT_BLOCK);
		if (!fresh && g->there[v] &&
		    pread(g->out, g->was[v], SOFT_BLOCK,
			  (off_t)(soft_zone_off(&g->lay, zone) +
				  v * SOFT_BLOCK)) != SOFT_BLOCK) {
			why = errno;
			err = why ? -why : -EIO;
		}
		memcpy(g->now[v], g->was[v], SOFT_BLOCK);
	}
	return err;
}

/* (2) */
static void move_sum(struct soft_disk_page *now, const uint8_t *was,
		     unsigned int i)
{
	uint8_t *at = (uint8_t *)now + i * SOFT_SECTOR;
	uint8_t old[SOFT_SECTOR], new[SOFT_SECTOR];

	memcpy(old, was + i * SOFT_SECTOR, SOFT_SECTOR);
	memcpy(new, at, SOFT_SECTOR);
	if (!i) {
		memset(old + offsetof(struct soft_disk_page, crc), 0, 4);
		memset(new + offsetof(struct soft_disk_page, crc), 0, 4);
	}
	now->crc[i] = put_le32(get_le32(now->crc[i]) ^
			       soft_crc(old, SOFT_SECTOR) ^
			       soft_crc(new, SOFT_SECTOR));
}

int image_zone_end(struct image *g)
{
	int err = 0;

	for (unsigned int v = 0; v < 2 && !err; v++) {
		if (!g->there[v])
			continue;
		for (unsigned int i = SOFT_SECTORS; i--; )
			move_sum((void *)g->now[v], g->was[v], i);
		err = put(g, g->now[v], SOFT_BLOCK,
			  soft_zone_off(&g->lay, g->zone) + v * SOFT_BLOCK);
	}
	return err;
}

/* ---- clusters ------------------------------------------------------------ */

static void tags_of(struct image *g, unsigned int v, uint64_t addr,
		    uint16_t tags[TFS_LANES])
{
	const struct eng_profile *p = profile(g);
	uint32_t k = first_of(g, addr);

	for (unsigned int i = 0; i < g->from->ipc; i++)
		eng_tuple_tags(p, meta_at(g, g->src[v], k + i),
			       tags + i * p->tags);
}

unsigned int image_records(struct image *g, uint64_t addr,
			   struct tfs_record rec[2])
{
	uint16_t tags[TFS_LANES];
	unsigned int n = 0;

	for (unsigned int v = 0; v < 2; v++) {
		if (!g->there[v])
			continue;
		tags_of(g, v, addr, tags);
		n += tfs_record_decode(&g->from->key, tags, addr, &rec[n]);
	}
	return n;
}

bool image_written(struct image *g, uint64_t addr)
{
	uint16_t tags[TFS_LANES];

	for (unsigned int v = 0; v < 2; v++) {
		tags_of(g, v, addr, tags);
		for (unsigned int i = 0; g->there[v] && i < TFS_LANES; i++)
			if (tags[i] != 0xffff)
				return true;
	}
	return false;
}

bool image_read(struct image *g, uint64_t addr, uint8_t *buf)
{
	uint32_t k = first_of(g, addr);
	uint64_t at = soft_data_off(&g->lay, g->zone, k);
	int err;

	if (!g->soft) {
		memcpy(buf, g->data + (size_t)k * profile(g)->interval,
		       g->from->csize);
		return !g->bad[k / g->from->ipc];
	}
	if (get(g, buf, g->from->csize, at, &err))
		return true;
	unreadable(g, "cluster", addr, at, err);
	return false;
}

/* The tags as the image has them: a record by its key. */
static void new_tags(struct image *g, unsigned int v, uint64_t addr,
		     uint16_t tags[TFS_LANES])
{
	struct tfs_record rec;

	tags_of(g, v, addr, tags);
	if (g->anonymise && tfs_record_decode(&g->from->key, tags, addr, &rec))
		tfs_record_encode(&g->to->key, &rec, addr, tags);
}

static bool fits(const struct image *g, const uint8_t *data,
		 const uint8_t *meta, uint64_t interval)
{
	struct eng_fault fault;

	return !eng_verify(profile(g), data, meta, 1, interval, NULL,
			   &fault) || fault.kind != ENG_FAULT_GUARD;
}

/* And nothing else. */
static void put_tags(const struct eng_profile *p, uint8_t *meta,
		     const uint16_t *tags)
{
	uint8_t *at = meta + p->pi_offset + eng_app_at(p);

	for (unsigned int i = 0; i < p->tags; i++) {
		at[0] = (uint8_t)(tags[i] >> 8);
		at[1] = (uint8_t)tags[i];
		at = i ? at + 2 : meta + eng_more_tags_at(p);
	}
}

/* (2) */
static void put_tuple(struct image *g, unsigned int v, uint64_t interval,
		      const uint16_t *tags, const uint8_t *old,
		      const uint8_t *new)
{
	const struct eng_profile *p = profile(g);
	uint32_t k = (uint32_t)(interval % g->lay.zone_intervals);
	const uint8_t *src = meta_at(g, g->src[v], k);
	uint8_t *now = meta_at(g, g->now[v], k);

	if (tags[0] == 0xffff)	/* an escape, or nothing that was ever right */
		return;
	if (!old || fits(g, old, src, interval)) {
		eng_generate_app(p, new, now, 1, tags);
		return;
	}
	put_tags(p, now, tags);
	if (fits(g, new, now, interval))
		now[p->pi_offset] ^= 1;
}

int image_place(struct image *g, uint64_t addr, const uint8_t *old,
		const uint8_t *new)
{
	const struct eng_profile *p = profile(g);
	uint32_t ipc = g->from->ipc;
	uint16_t tags[TFS_LANES];

	for (unsigned int v = 0; v < 2; v++) {
		if (!g->there[v])
			continue;
		new_tags(g, v, addr, tags);
		for (unsigned int i = 0; i < ipc; i++)
			put_tuple(g, v, addr * ipc + i, tags + i * p->tags,
				  old ? old + i * p->interval : NULL,
				  new + i * p->interval);
	}
	if (new == g->zero || tfs_all_zero(new, g->from->csize))
		return 0;
	return put(g, new, g->from->csize,
		   soft_data_off(&g->lay, g->zone, first_of(g, addr)));
}
