/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_log.c - the log of an image.
 *
 *  (1) A commit's hash covers what it changes and the hash of the commit before
 *      it.  So commits are taken in their order, and what names a hash, the
 *      next commit or a slot, gets the new one.
 *  (2) A commit that has yet to prove itself names its data, which the image
 *      does not have.  They are read here, once: where they prove it, the
 *      image proves it with zeros, and where not, it does not.
 *  (3) Commits are in memory one at a time. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cluster.h"
#include "base/hash.h"
#include "base/runs.h"
#include "commit/log.h"
#include "commit/super.h"
#include "image.h"
#include "mount/logscan.h"

/* One commit as it is and as it will be. */
struct text {
	uint8_t		*old, *new;
	uint8_t		*ops;		/* all of them, of new */
	size_t		bytes;
};

static struct tfs_disk_log *head(const struct image *g, uint8_t *clusters,
				 uint32_t i)
{
	return (void *)(clusters + (size_t)i * g->from->csize);
}

static int read_log(struct image *g, uint64_t pos, uint8_t *buf,
		    uint64_t *seq)
{
	uint16_t tags[TFS_LANES];
	struct eng_fault fault;
	int err = tfs_cluster_tags(g->from, tfs_log_addr(g->from, pos), 1,
				   ENG_IO_MEDIUM, buf, tags, &fault);

	*seq = err ? 0 : tfs_log_check(g->from, buf, tags,
				       pos % g->from->super.log_clusters);
	return err == -ENOMEM ? err : 0;
}

/* ---- one commit ---------------------------------------------------------- */

static void text_free(struct text *t)
{
	free(t->old);
	free(t->new);
	free(t->ops);
}

/* Put end to end; false: the parts are not those of one commit. */
static bool join(struct image *g, const struct image_commit *c, struct text *t)
{
	uint32_t payload = tfs_log_payload(g->from);

	t->bytes = 0;
	for (uint32_t i = 0; i < c->blocks; i++) {
		const struct tfs_disk_log *h = head(g, t->new, i);
		uint32_t n = le32toh(h->bytes);

		if (le32toh(h->block) != i || le32toh(h->blocks) != c->blocks ||
		    (i + 1 < c->blocks && n != payload))
			return false;
		memcpy(t->ops + t->bytes, h + 1, n);
		t->bytes += n;
	}
	return true;
}

static void split(struct image *g, const struct image_commit *c,
		  const struct text *t)
{
	size_t at = 0;

	for (uint32_t i = 0; i < c->blocks; i++) {
		struct tfs_disk_log *h = head(g, t->new, i);
		uint32_t n = le32toh(h->bytes);

		memset(h + 1, 0, tfs_log_payload(g->from));
		memcpy(h + 1, t->ops + at, n);
		at += n;
	}
}

/* *whole: it is one, by its hash. */
static int text_load(struct image *g, const struct image_commit *c,
		     struct text *t, bool *whole)
{
	size_t size = (size_t)c->blocks * g->from->csize;
	uint64_t seq = c->seq;
	int err = 0;

	t->old = aligned_alloc(4096, size);
	t->new = malloc(size);
	t->ops = malloc(size);
	if (!t->old || !t->new || !t->ops)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->blocks && !err && seq == c->seq; i++) {
		uint8_t *buf = eng_buf_get(g->im.dev, g->from->csize);

		err = buf ? read_log(g, c->pos + i, buf, &seq) : -ENOMEM;
		if (!err)
			memcpy(head(g, t->old, i), buf, g->from->csize);
		eng_buf_put(g->im.dev, buf, g->from->csize);
	}
	*whole = false;
	if (err || seq != c->seq)
		return err;
	memcpy(t->new, t->old, size);
	*whole = join(g, c, t) &&
		tfs_log_hash(g->from, t->old, c->blocks) ==
		le64toh(head(g, t->old, 0)->hash);
	return 0;
}

/* ---- (2) ----------------------------------------------------------------- */

/* What the cluster would prove with the data that are there. */
static int prove(struct image *g, uint64_t addr, const struct tfs_record *rec,
		 uint64_t *sum)
{
	struct eng_io *io = eng_io_get(g->im.dev, g->from->ipc, 1);
	uint8_t *buf = eng_buf_get(g->im.dev, g->from->csize);
	int err = io && buf ? 0 : -ENOMEM;

	if (!err) {
		io->op = ENG_READ;
		io->flags = ENG_IO_MEDIUM;
		io->start = addr * g->from->ipc;
		eng_io_add(io, buf, g->from->csize);
		tfs_tag_fill(g->from, rec, addr, 0, g->from->ipc, io->tags);
		err = eng_io_run(io);
		*sum += err ? 1 : tfs_cluster_proof(g->from, addr, io->tuples);
	}
	eng_io_put(io);
	eng_buf_put(g->im.dev, buf, g->from->csize);
	return err == -ENOMEM ? err : 0;
}

static void prove_zero(struct image *g, uint64_t addr,
		       const struct tfs_record *rec, uint64_t *sum)
{
	uint8_t tuples[TFS_LANES * 64] = { 0 };
	uint16_t tags[TFS_LANES];

	tfs_record_encode(&g->to->key, rec, addr, tags);
	eng_generate(g->lay.profile, g->zero, tuples, g->from->ipc,
		     addr * g->from->ipc, tags);
	*sum += tfs_cluster_proof(g->to, addr, tuples);
}

struct proof {
	uint64_t	old, new;
	bool		needed;		/* nothing says it was durable */
};

static int prove_extent(struct image *g, const struct image_commit *c,
			const struct tfs_key *key, const uint8_t *val,
			struct proof *p)
{
	struct tfs_disk_extent d;
	uint64_t addr;
	int err = 0;

	memcpy(&d, val, sizeof(d));
	addr = le64toh(d.addr);
	if (!addr || le64toh(d.seq) != c->seq ||
	    addr >= g->from->super.clusters ||
	    le32toh(d.len) > g->from->super.clusters - addr)
		return 0;
	for (uint32_t i = 0; i < le32toh(d.len) && !err; i++) {
		struct tfs_record rec = {
			.kind = TFS_K_DATA, .owner = key->obj,
			.index = (uint32_t)(key->off + i), .seq = c->seq,
		};

		if (p->needed)
			err = prove(g, addr + i, &rec, &p->old);
		prove_zero(g, addr + i, &rec, &p->new);
	}
	return err;
}

/* ---- what it changes ----------------------------------------------------- */

static int wash_ops(struct image *g, const struct image_commit *c,
		    struct text *t, struct proof *p)
{
	int err = 0;

	for (size_t at = 0, len; at < t->bytes && !err; at += len) {
		struct tfs_disk_op d;
		struct tfs_key key;
		uint8_t *val = t->ops + at + sizeof(d);

		if (t->bytes - at < sizeof(d))
			break;
		memcpy(&d, t->ops + at, sizeof(d));
		key = tfs_key(le32toh(d.obj), d.type, le64toh(d.off));
		len = le16toh(d.len);
		if (len > TFS_VALUE_MAX || t->bytes - at - sizeof(d) < len) {
			memset(val, 0, t->bytes - at - sizeof(d));
			break;
		}
		if (key.type == TFS_T_EXTENT &&
		    len == sizeof(struct tfs_disk_extent))
			err = prove_extent(g, c, &key, val, p);
		if (d.op == TFS_LOG_PUT)
			image_wash_item(g, &key, val, (unsigned int)len, 0);
		len += sizeof(d);
	}
	return err;
}

static void seal(struct image *g, struct image_commit *c, struct text *t)
{
	struct tfs_disk_log *h;

	for (uint32_t i = 0; i < c->blocks; i++) {
		h = head(g, t->new, i);
		image_nonce(g, h->nonce);
		h->prev = htole64(c->new_prev);
		h->proof = htole64(c->new_proof);
	}
	c->new_hash = tfs_log_hash(g->to, t->new, c->blocks);
	for (uint32_t i = 0; i < c->blocks; i++) {
		h = head(g, t->new, i);
		h->hash = htole64(c->new_hash);
		h->crc = htole32(tfs_crc32c(h, g->from->csize,
					    offsetof(struct tfs_disk_log,
						     crc)));
	}
}

/* checkpoint: what is not newer needs no proof any more. */
static int wash(struct image *g, struct image_commit *c, struct text *t,
		uint64_t checkpoint, bool again)
{
	struct proof p = { .needed = !again && c->seq > checkpoint };
	int err = wash_ops(g, c, t, &p);

	if (err)
		return err;
	split(g, c, t);
	if (!again) {
		const struct tfs_disk_log *h = head(g, t->old, 0);

		c->new_prev = image_log_hash(g, le64toh(h->prev));
		c->new_proof = p.new + (p.needed &&
					p.old != le64toh(h->proof));
	}
	seal(g, c, t);
	return 0;
}

/* ---- all of them --------------------------------------------------------- */

static int by_seq(const void *a, const void *b)
{
	const struct image_commit *x = a, *y = b;

	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

uint64_t image_log_hash(const struct image *g, uint64_t hash)
{
	for (size_t i = g->known; i--; )
		if (g->commit[i].hash == hash)
			return g->commit[i].new_hash;
	return hash;
}

static int note_commit(struct image *g, uint64_t pos, uint64_t seq,
		       const struct tfs_disk_log *h)
{
	int err;

	if (!seq || h->block)
		return 0;
	err = tfs_array_grow(&g->commit, &g->room, g->commits + 1,
			     sizeof(g->commit[0]));
	if (!err)
		g->commit[g->commits++] = (struct image_commit){
			.seq = seq, .pos = pos, .hash = le64toh(h->hash),
			.blocks = le32toh(h->blocks),
		};
	return err;
}

static int scan(struct image *g)
{
	uint64_t size = g->from->super.log_clusters;
	uint8_t *buf = eng_buf_get(g->im.dev, g->from->csize);
	int err = buf ? 0 : -ENOMEM;

	g->log_seq = calloc(size, sizeof(g->log_seq[0]));
	if (!g->log_seq)
		err = -ENOMEM;
	for (uint64_t pos = 0; pos < size && !err; pos++) {
		err = read_log(g, pos, buf, &g->log_seq[pos]);
		if (!err)
			err = note_commit(g, pos, g->log_seq[pos],
					  (void *)buf);
	}
	eng_buf_put(g->im.dev, buf, g->from->csize);
	return err;
}

int image_log_scan(struct image *g)
{
	struct tfs_slot slot = { .seq = 0 };
	unsigned int odd;
	int err = scan(g);

	if (tfs_slot_read(g->from, &slot, &odd))
		slot.seq = 0;
	if (!err && g->commits)
		qsort(g->commit, g->commits, sizeof(g->commit[0]), by_seq);
	for (size_t i = 0; i < g->commits && !err; i++) {	/* (1) */
		struct text t = { .old = NULL };
		bool whole;

		err = text_load(g, &g->commit[i], &t, &whole);
		if (!err && whole)
			err = wash(g, &g->commit[i], &t, slot.seq, false);
		if (!err && whole)
			g->commit[g->known++] = g->commit[i];
		text_free(&t);
	}
	return err;
}

/* ---- writing ------------------------------------------------------------- */

/* All of the log's zones one after the other; each is loaded once. */
static int place(struct image *g, uint64_t pos, const uint8_t *old,
		 const uint8_t *new)
{
	uint64_t addr = tfs_log_addr(g->from, pos);
	uint64_t zone = addr * g->from->ipc / g->lay.zone_intervals;
	int err = 0;

	if (zone >= g->zones)
		return 0;
	if (zone != g->zone) {
		err = image_zone_end(g);
		if (!err)
			err = image_zone(g, zone, false);
	}
	if (!err && !old) {
		if (!image_written(g, addr))
			return 0;
		if (!image_read(g, addr, g->old)) {
			g->unreadable++;
			return 0;
		}
		g->kept++;
		image_wash(g);
		old = g->old;
		new = g->new;
	}
	return err ? err : image_place(g, addr, old, new);
}

static int write_commit(struct image *g, struct image_commit *c)
{
	uint64_t size = g->from->super.log_clusters;
	struct text t = { .old = NULL };
	bool whole;
	int err = text_load(g, c, &t, &whole);

	if (!err && whole)
		err = wash(g, c, &t, 0, true);
	for (uint32_t i = 0; whole && i < c->blocks && !err; i++) {
		err = place(g, c->pos + i, (void *)head(g, t.old, i),
			    (void *)head(g, t.new, i));
		g->log_seq[(c->pos + i) % size] = UINT64_MAX;
		g->kept++;
	}
	text_free(&t);
	return err;
}

int image_log_write(struct image *g)
{
	uint64_t size = g->from->super.log_clusters;
	int err = image_zone(g, tfs_log_addr(g->from, 0) * g->from->ipc /
			     g->lay.zone_intervals, false);

	for (size_t i = 0; i < g->known && !err; i++)
		err = write_commit(g, &g->commit[i]);
	for (uint64_t pos = 0; pos < size && !err; pos++)
		if (g->log_seq[pos] != UINT64_MAX)
			err = place(g, pos, NULL, NULL);
	return err ? err : image_zone_end(g);
}
