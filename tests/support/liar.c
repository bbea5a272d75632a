/* SPDX-License-Identifier: GPL-2.0-or-later */
/* liar.c - see liar.h.
 *
 *  (1) A lie is the same in all copies, and sealed as the truth was. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/cluster.h"
#include "base/hash.h"
#include "commit/log.h"
#include "commit/super.h"
#include "soft/dev_soft.h"
#include "soft/soft_priv.h"
#include "support/liar.h"
#include "tree/node.h"

#define LIES	12u		/* in one image, where there are many */
#define ROOM	(8 * TFS_CLUSTER_MAX)	/* what lies may say of a position */

static uint64_t pick(struct liar *l, uint64_t n)
{
	return sim_rand(&l->rand) % n;
}

/* Numbers that programs stumble over. */
static uint64_t odd_number(struct liar *l)
{
	static const uint64_t odd[] = {
		0, 1, 2, 15, 16, 4095, 4096, 8191, 8192, 65535, 65536,
		INT32_MAX, UINT32_MAX, 1ull << 32, TFS_SEQ_MAX,
		TFS_SEQ_MAX + 1, INT64_MAX, UINT64_MAX, UINT64_MAX - 1,
		1ull << 44,
	};

	switch (pick(l, 4)) {
	case 0:
		return sim_rand(&l->rand) >> pick(l, 64);
	case 1:
		return pick(l, 4200);
	default:
		return odd[pick(l, sizeof(odd) / sizeof(odd[0]))];
	}
}

/* Some bytes of a field of the size become another number. */
static void lie(struct liar *l, uint8_t *at, size_t size)
{
	uint64_t v = 0, odd = odd_number(l);

	memcpy(&v, at, size < 8 ? size : 8);
	switch (pick(l, 4)) {
	case 0:
		v ^= 1ull << pick(l, 8 * (size < 8 ? size : 8));
		break;
	case 1:
		v += pick(l, 5) - 2;
		break;
	default:
		v = odd;
	}
	memcpy(at, &v, size < 8 ? size : 8);
}

static void seal(void *buf, size_t len, size_t crc_at)
{
	uint32_t crc = htole32(tfs_crc32c(buf, len, crc_at));

	memcpy((uint8_t *)buf + crc_at, &crc, 4);
}

static void write_cluster(struct liar *l, uint64_t addr,
			  struct tfs_record rec)
{
	ck_assert_int_eq(tfs_cluster_write(l->bed.fs, addr, &rec, l->buf), 0);
}

static void read_cluster(struct liar *l, uint64_t addr)
{
	ck_assert_int_eq(tfs_cluster_read(l->bed.fs, addr, NULL, l->buf), 0);
}

void liar_open(struct liar *l, struct sim *of, uint64_t seed)
{
	struct tfs *fs;

	bed_take(&l->bed, sim_clone(of), seed);
	/* Read-only for the filesystem, not for the device. */
	ck_assert_int_eq(eng_soft_open(&l->bed.dev, sim_raw(l->bed.sim),
				       &(struct eng_open){
					       .pool = l->bed.pool,
					       .cache = BED_CACHE }), 0);
	ck_assert_int_eq(tfs_open(&fs, l->bed.dev, &(struct tfs_mount){
		.rdonly = true }), 0);
	l->bed.fs = fs;
	/* After one lie, the next may look past the end. */
	l->buf = aligned_alloc(4096, ROOM);
	memset(l->buf, 0, ROOM);
}

void liar_close(struct liar *l)
{
	free(l->buf);
	ck_assert_int_eq(eng_dev_flush(l->bed.dev), 0);
	bed_drop(&l->bed);
}

/* ---- lies in superblocks and slots ------------------------------------------ */

void lie_in_super(struct liar *l)
{
	static const struct { uint16_t at, size; } field[] = {
		{ 0x00, 8 }, { 0x08, 4 }, { 0x40, 8 }, { 0x48, 8 },
		{ 0x50, 8 }, { 0x58, 8 }, { 0x60, 8 }, { 0x70, 8 },
		{ 0x78, 4 }, { 0x7c, 4 }, { 0x80, 8 }, { 0x88, 8 },
		{ 0x98, 1 }, { 0x99, 8 },
	};
	struct tfs *fs = l->bed.fs;
	unsigned int f = pick(l, sizeof(field) / sizeof(field[0]));
	uint64_t rand = l->rand;

	for (unsigned int copy = 0; copy < 2; copy++) {
		uint64_t addr = copy ? fs->super.clusters - TFS_END_SUPER :
			TFS_AT_SUPER;
		struct tfs_record rec = { .kind = TFS_K_SUPER, .index = copy };
		struct tfs_disk_super *d = (void *)l->buf;

		l->rand = rand;
		read_cluster(l, addr);
		lie(l, l->buf + field[f].at, field[f].size);
		seal(d, sizeof(*d), offsetof(struct tfs_disk_super, crc));
		rec.seq = le64toh(d->seq);
		write_cluster(l, addr, rec);
	}
}

void lie_in_slot(struct liar *l)
{
	static const struct { uint16_t at, size; } field[] = {
		{ 0x00, 4 }, { 0x08, 8 }, { 0x18, 8 }, { 0x20, 8 },
		{ 0x28, 8 }, { 0x30, 8 }, { 0x38, 8 }, { 0x40, 8 },
		{ 0x48, 8 }, { 0x50, 8 }, { 0x58, 8 }, { 0x60, 4 },
		{ 0x64, 4 }, { 0x68, 1 }, { 0x69, 7 }, { 0x70, 8 },
		{ 0x78, 8 },
	};
	struct tfs *fs = l->bed.fs;
	unsigned int f = pick(l, sizeof(field) / sizeof(field[0]));
	uint64_t rand = l->rand;

	for (unsigned int i = 0; i < 4; i++) {
		unsigned int slot = i / 2, copy = i % 2;
		uint64_t addr = copy ? fs->super.clusters - TFS_END_SLOT +
			slot : TFS_AT_SLOT + slot;
		struct tfs_record rec = { .kind = TFS_K_SLOT, .owner = slot,
					  .index = copy };
		struct tfs_disk_slot *d = (void *)l->buf;

		l->rand = rand;
		read_cluster(l, addr);
		lie(l, l->buf + field[f].at, field[f].size);
		seal(d, sizeof(*d), offsetof(struct tfs_disk_slot, crc));
		rec.seq = le64toh(d->seq);
		if (rec.seq < le64toh(d->used))
			rec.seq = le64toh(d->used);
		rec.seq &= TFS_SEQ_MAX;
		write_cluster(l, addr, rec);
	}
}

/* ---- lies in the log ------------------------------------------------------- */

/* The commits behind the checkpoint, their clusters one after the other. */
struct chain {
	uint64_t	pos, prev;
	unsigned int	blocks[64], n;
	uint8_t		*clusters;
};

static struct tfs_disk_log *head_at(struct liar *l, struct chain *c,
				    unsigned int i)
{
	return (struct tfs_disk_log *)(c->clusters + i * l->bed.fs->csize);
}

static void load_chain(struct liar *l, struct chain *c)
{
	struct tfs *fs = l->bed.fs;
	uint64_t size = fs->super.log_clusters;
	struct tfs_slot slot;
	unsigned int odd;

	ck_assert_int_eq(tfs_slot_read(fs, &slot, &odd), 0);
	c->clusters = aligned_alloc(4096, size * fs->csize);
	c->pos = slot.log_pos;
	c->prev = slot.chain;
	for (uint64_t i = 0; i < size; i++) {
		struct tfs_disk_log *h = head_at(l, c, i);
		struct tfs_record rec = {
			.kind = TFS_K_LOG, .index = (c->pos + i) % size,
			.seq = slot.seq + c->n + 1,
		};

		if (tfs_cluster_read(fs, tfs_log_addr(fs, rec.index), &rec,
				     h))
			break;
		c->blocks[c->n]++;
		if (le32toh(h->block) + 1 == le32toh(h->blocks))
			c->n++;
	}
	ck_assert_uint_gt(c->n, 5);
}

/* All that follows is right once more. */
static void store_chain(struct liar *l, struct chain *c)
{
	struct tfs *fs = l->bed.fs;
	unsigned int at = 0;

	for (unsigned int i = 0; i < c->n; at += c->blocks[i++]) {
		for (unsigned int k = 0; k < c->blocks[i]; k++)
			head_at(l, c, at + k)->prev = htole64(c->prev);
		c->prev = tfs_log_hash(fs, (uint8_t *)head_at(l, c, at),
				       c->blocks[i]);
		for (unsigned int k = at; k < at + c->blocks[i]; k++) {
			struct tfs_disk_log *h = head_at(l, c, k);
			struct tfs_record rec = {
				.kind = TFS_K_LOG, .index = (c->pos + k) %
					fs->super.log_clusters,
				.seq = le64toh(h->seq) & TFS_SEQ_MAX,
			};

			h->hash = htole64(c->prev);
			seal(h, fs->csize, offsetof(struct tfs_disk_log, crc));
			ck_assert_int_eq(tfs_cluster_write(fs,
				tfs_log_addr(fs, rec.index), &rec, h), 0);
		}
	}
	free(c->clusters);
}

/* In one cluster, or in all of the commit. */
static void lie_in_log_header(struct liar *l, struct chain *c,
			      unsigned int first, unsigned int blocks)
{
	static const struct { uint16_t at, size; } field[] = {
		{ 0x00, 4 }, { 0x08, 8 }, { 0x18, 8 }, { 0x30, 8 },
		{ 0x38, 8 }, { 0x40, 8 }, { 0x48, 8 }, { 0x50, 8 },
		{ 0x58, 4 }, { 0x5c, 4 }, { 0x60, 4 }, { 0x64, 4 },
		{ 0x68, 8 },
	};
	unsigned int f = pick(l, sizeof(field) / sizeof(field[0]));
	uint8_t *at = (uint8_t *)head_at(l, c, first) + field[f].at;

	lie(l, at, field[f].size);
	for (unsigned int i = 1; i < blocks && pick(l, 8); i++)
		memcpy(at + i * l->bed.fs->csize, at, field[f].size);
}

/* A field of an operation, or a number in its value. */
static void lie_in_op(struct liar *l, uint8_t *ops, size_t bytes)
{
	static const struct { uint8_t at, size; } field[] = {
		{ 0x00, 8 }, { 0x08, 4 }, { 0x0c, 1 }, { 0x0d, 1 },
		{ 0x0e, 2 },
	};
	size_t at = 0, len = 0;
	unsigned int f;

	for (unsigned int n = pick(l, 100) + 1; n--; at += 16 + len) {
		if (at + 16 > bytes)
			at = 0;
		len = ops[at + 14] | ops[at + 15] << 8;
		if (!n && at + 16 + len <= bytes)
			break;
	}
	if (at + 16 + len > bytes)
		return;
	f = pick(l, 10);
	if (f < 5)
		lie(l, ops + at + field[f].at, field[f].size);
	else if (len >= 8)
		lie(l, ops + at + 16 + pick(l, len / 4 - 1) * 4,
		    f % 2 ? 4 : 8);
}

static void lie_in_ops(struct liar *l, struct chain *c, unsigned int first,
		       unsigned int blocks)
{
	size_t csize = l->bed.fs->csize, payload = tfs_log_payload(l->bed.fs);
	size_t bytes = le32toh(head_at(l, c, first + blocks - 1)->bytes) +
		(blocks - 1) * payload;
	uint8_t *ops = calloc(blocks, csize);

	for (unsigned int i = 0; i < blocks; i++)
		memcpy(ops + i * payload, head_at(l, c, first + i) + 1,
		       payload);
	if (bytes >= sizeof(struct tfs_disk_op) && bytes <= blocks * payload)
		lie_in_op(l, ops, bytes);
	for (unsigned int i = 0; i < blocks; i++)
		memcpy(head_at(l, c, first + i) + 1, ops + i * payload,
		       payload);
	free(ops);
}

void lie_in_log(struct liar *l)
{
	struct chain c = { .n = 0 };
	unsigned int first = 0, i;

	load_chain(l, &c);
	for (unsigned int n = 1 + pick(l, 3); n--; first = 0) {
		unsigned int which = pick(l, c.n);

		for (i = 0; i < which; i++)
			first += c.blocks[i];
		if (pick(l, 4))
			lie_in_ops(l, &c, first, c.blocks[which]);
		else
			lie_in_log_header(l, &c, first, c.blocks[which]);
	}
	store_chain(l, &c);
}

/* ---- lies in nodes ------------------------------------------------------- */

static struct tfs_disk_item *item(struct liar *l, unsigned int i)
{
	return (struct tfs_disk_item *)(l->buf +
					sizeof(struct tfs_disk_node)) + i;
}

static unsigned int items(struct liar *l)
{
	const struct tfs_disk_node *h = (void *)l->buf;
	unsigned int n = le16toh(h->items);

	return n < 170 ? n : 170;	/* what a node has room for */
}

static void lie_in_header(struct liar *l)
{
	static const struct { uint16_t at, size; } field[] = {
		{ 0x00, 4 }, { 0x08, 8 }, { 0x18, 8 }, { 0x20, 8 },
		{ 0x28, 4 }, { 0x2c, 1 }, { 0x2d, 3 }, { 0x30, 8 },
		{ 0x38, 4 }, { 0x3c, 1 }, { 0x40, 2 }, { 0x42, 1 },
		{ 0x43, 1 }, { 0x44, 4 },
	};
	unsigned int f = pick(l, sizeof(field) / sizeof(field[0]));

	lie(l, l->buf + field[f].at, field[f].size);
}

static void lie_in_item(struct liar *l)
{
	static const struct { uint16_t at, size; } field[] = {
		{ 0x00, 8 }, { 0x08, 4 }, { 0x0c, 1 }, { 0x0d, 3 },
		{ 0x10, 2 }, { 0x12, 2 }, { 0x14, 4 },
	};
	unsigned int f = pick(l, sizeof(field) / sizeof(field[0]));
	unsigned int n = items(l), i;

	if (!n)
		return;
	i = pick(l, n);
	lie(l, (uint8_t *)item(l, i) + field[f].at, field[f].size);
}

/* Two items change places, or one is there twice, or one takes another's
 * value. */
static void mix_items(struct liar *l)
{
	unsigned int n = items(l), i, j;
	struct tfs_disk_item t;

	if (n < 2)
		return;
	i = pick(l, n);
	j = pick(l, n);
	t = *item(l, i);
	switch (pick(l, 3)) {
	case 0:
		*item(l, i) = *item(l, j);
		*item(l, j) = t;
		break;
	case 1:
		*item(l, i) = *item(l, j);
		break;
	default:
		item(l, i)->pos = item(l, j)->pos;
		item(l, i)->len = item(l, j)->len;
	}
}

/* A pointer to another node, to itself, to anywhere. */
static void lie_in_pointer(struct liar *l, unsigned int self)
{
	const struct known *k = l->known;
	unsigned int n = items(l), other = pick(l, 3) ? pick(l, k->n) : self;
	struct tfs_ptr *to = pick(l, 3) ? &k->nodes[other].ptr :
		&k->future[pick(l, k->futures)].ptr;
	struct tfs_disk_ptr d;
	uint8_t *at;

	if (!n)
		return;
	at = l->buf + le16toh(item(l, pick(l, n))->pos);
	tfs_ptr_encode(&d, to);
	switch (pick(l, 4)) {
	case 0:
		lie(l, at + 8 * pick(l, 3), 8);
		break;
	case 1:
		memcpy(at, &d, sizeof(d));
		break;
	case 2:
		memcpy(at + 8, at, 8);		/* both copies in one place */
		break;
	default:
		memcpy(at + 8, &d.addr[pick(l, 2)], 8);
	}
}

/* In the value of an item: numbers where numbers are. */
static void lie_in_value(struct liar *l)
{
	unsigned int n = items(l), len, i;
	uint8_t *at;

	for (int tries = 0; n && tries < 20; tries++) {
		i = pick(l, n);
		len = le16toh(item(l, i)->len);
		/* There are more entries than anything else. */
		if (item(l, i)->key.type == TFS_T_DIRENT && pick(l, 4))
			continue;
		if (len < 4)
			continue;
		at = l->buf + le16toh(item(l, i)->pos);
		if (item(l, i)->key.type == TFS_T_REGION && pick(l, 2))
			memset(at, pick(l, 2) ? 0 : 0xff, len);
		else
			lie(l, at + pick(l, len / 4) * 4, len < 8 ||
			    pick(l, 2) ? 4 : 8 - 4 * (len % 8 != 0));
		return;
	}
}

/* An item of another kind, length or owner. */
static void move_item(struct liar *l)
{
	static const uint8_t types[] = {
		TFS_T_REGION, TFS_T_SUMMARY, TFS_T_ORPHAN, TFS_T_INODE,
		TFS_T_XATTR, TFS_T_DIRENT, TFS_T_INLINE, TFS_T_EXTENT,
		TFS_T_FLAW, TFS_T_SPOT, TFS_T_UNLISTED, TFS_T_SCRUB,
		TFS_T_SUSPECT, TFS_T_RESILVER, 99,
	};
	unsigned int n = items(l), i;

	if (!n)
		return;
	i = pick(l, n);
	if (pick(l, 2))
		item(l, i)->key.type = types[pick(l, sizeof(types))];
	else
		item(l, i)->len = htole16(pick(l, le16toh(item(l, i)->len) +
					       1));
}

/* Right once more, in both copies. */
static void store_node(struct liar *l, const struct tfs_miss *f)
{
	seal(l->buf, l->bed.fs->csize, offsetof(struct tfs_disk_node, crc));
	for (unsigned int copy = 0; copy < 2; copy++)
		write_cluster(l, f->ptr.addr[copy], (struct tfs_record){
			.kind = TFS_K_NODE, .owner = f->level, .index = copy,
			.seq = f->ptr.seq });
}

void lie_in_node(struct liar *l)
{
	unsigned int i = pick(l, l->known->n);
	const struct tfs_miss *f = &l->known->nodes[i];

	read_cluster(l, f->ptr.addr[0]);
	switch (pick(l, f->level ? 6 : 8)) {
	case 0:
		lie_in_header(l);
		break;
	case 1:
		lie_in_item(l);
		break;
	case 2:
		mix_items(l);
		break;
	case 3:
		move_item(l);
		break;
	default:
		if (f->level)
			lie_in_pointer(l, i);
		else
			lie_in_value(l);
	}
	store_node(l, f);
}

/* ---- many lies at once ----------------------------------------------------- */

static int by_item(const void *a, const void *b)
{
	const struct tfs_disk_item *x = a, *y = b;
	struct tfs_key k = tfs_key_decode(&x->key);
	struct tfs_key m = tfs_key_decode(&y->key);

	return tfs_key_cmp(&k, &m);
}

/* Whatever happened to their keys, items are in order and within the bounds:
 * those which can't be are no more. */
static void straighten(struct liar *l)
{
	struct tfs_disk_node *h = (void *)l->buf;
	struct tfs_key low = tfs_key_decode(&h->low);
	struct tfs_key high = tfs_key_decode(&h->high), last = low;
	unsigned int n = items(l), k = 0;

	qsort(item(l, 0), n, sizeof(struct tfs_disk_item), by_item);
	for (unsigned int i = 0; i < n; i++) {
		struct tfs_key key = tfs_key_decode(&item(l, i)->key);
		int c = tfs_key_cmp(&last, &key);

		if (c > 0 || (k && !c) || tfs_key_cmp(&key, &high) >= 0)
			continue;
		last = key;
		*item(l, k++) = *item(l, i);
	}
	h->items = htole16(k);
}

/* The types that steer work: chains of pieces, lists of things to do. */
static const uint8_t steering[] = {
	TFS_T_ORPHAN, TFS_T_INODE, TFS_T_XATTR, TFS_T_EXTENT, TFS_T_INLINE,
	TFS_T_REGION, TFS_T_SUMMARY, TFS_T_DIRENT, TFS_T_FLAW, TFS_T_SPOT,
	TFS_T_UNLISTED, TFS_T_SCRUB, TFS_T_SUSPECT, TFS_T_RESILVER,
};

/* A leaf that has items of the type; NULL: none was found. */
static const struct tfs_miss *find_leaf(struct liar *l, uint8_t type)
{
	for (int tries = 0; tries < 60; tries++) {
		const struct tfs_miss *f = &l->known->nodes[pick(l, l->known->n)];

		if (f->level)
			continue;
		read_cluster(l, f->ptr.addr[0]);
		for (unsigned int i = 0; i < items(l); i++)
			if (item(l, i)->key.type == type)
				return f;
	}
	return NULL;
}

static void lie_in_one(struct liar *l, struct tfs_disk_item *it, uint8_t type)
{
	unsigned int len = le16toh(it->len);

	switch (pick(l, 6)) {
	case 0:
		lie(l, (uint8_t *)&it->key.off, 8);
		break;
	case 1:
		lie(l, (uint8_t *)&it->key.obj, 4);
		break;
	case 2:		/* work for the next mount */
		it->key.obj = 0;
		it->key.type = TFS_T_ORPHAN;
		it->key.off = htole64(pick(l, 400));
		it->len = 0;
		break;
	case 3:
		it->key.type = pick(l, 2) ? type :
			steering[pick(l, sizeof(steering))];
		break;
	default:
		if (len >= 4)
			lie(l, l->buf + le16toh(it->pos) + pick(l, len / 4) *
			    4, len < 8 || pick(l, 2) ? 4 : 8);
	}
}

/* Some, or nearly all, items of one type in one leaf. */
static void lie_in_type(struct liar *l)
{
	uint8_t type = steering[pick(l, sizeof(steering))];
	const struct tfs_miss *f = find_leaf(l, type);
	unsigned int one_in = 1 + pick(l, 8);

	if (!f)
		return;
	for (unsigned int i = 0; i < items(l); i++)
		if (item(l, i)->key.type == type && !pick(l, one_in))
			lie_in_one(l, item(l, i), type);
	straighten(l);
	store_node(l, f);
}

/* The tree, then the log that continues it, then what names both. */
void lie_everywhere(struct liar *l)
{
	for (unsigned int n = 1 + pick(l, LIES); n--; )
		if (pick(l, 3))
			lie_in_type(l);
		else
			lie_in_node(l);
	if (pick(l, 2))
		lie_in_log(l);
	if (!pick(l, 4))
		lie_in_slot(l);
	if (!pick(l, 16))
		lie_in_super(l);
}

/* ---- lies in the container -------------------------------------------------- */

static uint32_t head_crc(struct soft_disk_head *h)
{
	return put_le32(soft_crc(h, offsetof(struct soft_disk_head, crc)));
}

/* One field in both copies of the header. */
static void lie_in_container(struct liar *l, struct sim *sim)
{
	static const struct { uint16_t at, size; } field[] = {
		{ 0x008, 4 }, { 0x010, 8 }, { 0x018, 8 }, { 0x020, 8 },
		{ 0x028, 8 }, { 0x030, 4 }, { 0x034, 2 }, { 0x036, 2 },
		{ 0x038, 1 }, { 0x039, 1 }, { 0x03a, 1 }, { 0x03b, 1 },
		{ 0x03c, 4 }, { 0x040, 8 }, { 0x048, 8 }, { 0x050, 8 },
		{ 0x058, 8 },
	};
	unsigned int f = pick(l, sizeof(field) / sizeof(field[0]));
	uint64_t end = sim_raw(sim)->size / SOFT_BLOCK * SOFT_BLOCK;
	uint64_t rand = l->rand;

	for (unsigned int copy = 0; copy < 2; copy++) {
		uint64_t at = copy ? end - SOFT_BLOCK : 0;
		struct soft_disk_head h;

		l->rand = rand;
		sim_peek(sim, at, &h, sizeof(h));
		lie(l, (uint8_t *)&h + field[f].at, field[f].size);
		h.crc = head_crc(&h);
		sim_poke(sim, at, &h, sizeof(h));
	}
}

/* In the head of a tuple page, or in some of its tuples. */
static void lie_in_page(struct liar *l, struct sim *sim)
{
	const struct eng_profile *p = eng_profile_find("512+8");
	uint64_t at = bed_page_at(sim, p, pick(l, 4096));
	struct soft_disk_page page;
	uint8_t *bytes = (uint8_t *)&page;

	at ^= pick(l, 8) ? 0 : SOFT_BLOCK;
	sim_peek(sim, at, &page, sizeof(page));
	if (!pick(l, 3))
		lie(l, bytes + 8 * pick(l, 4), 8);
	for (unsigned int n = pick(l, 20); n--; )
		lie(l, page.tuples + 8 * pick(l, 504), 8);
	soft_page_seal(&page);
	sim_poke(sim, at, &page, sizeof(page));
}

void lie_below(struct liar *l)
{
	struct sim *sim = l->bed.sim;

	if (!pick(l, 4))
		lie_in_container(l, sim);
	for (unsigned int n = pick(l, LIES); n--; )
		lie_in_page(l, sim);
}

/* ---- single ones, each of which had a consequence --------------------------- */

/* The next extent of that commit in its first cluster, behind *at. */
static uint8_t *next_born(struct tfs_disk_log *h, size_t *at)
{
	uint8_t *ops = (uint8_t *)(h + 1), *value;
	uint32_t bytes = le32toh(h->bytes);
	struct tfs_disk_extent d;
	size_t len;

	while (!h->block && *at + sizeof(struct tfs_disk_op) <= bytes) {
		value = ops + *at + sizeof(struct tfs_disk_op);
		len = value[-2] | value[-1] << 8;
		*at = value + len - ops;
		if (value[-4] != TFS_T_EXTENT || len != sizeof(d) ||
		    *at > bytes)
			continue;
		memcpy(&d, value, sizeof(d));
		if (d.seq == h->seq)
			return value;
	}
	return NULL;
}

/* No single extent is too large, and none is known to be durable. */
void lie_of_too_much(struct liar *l)
{
	const struct tfs *fs = l->bed.fs;
	struct chain c = { .n = 0 };
	unsigned int total = 0, extents = 0;

	load_chain(l, &c);
	for (unsigned int i = 0; i < c.n; i++)
		total += c.blocks[i];
	for (unsigned int i = 0; i < total; i++) {
		struct tfs_disk_log *h = head_at(l, &c, i);
		struct tfs_disk_extent d;
		size_t at = 0;
		uint8_t *value;

		h->durable = 0;
		if (!next_born(h, &at) || !next_born(h, &at))
			continue;
		for (at = 0; (value = next_born(h, &at)); extents++) {
			memcpy(&d, value, sizeof(d));
			d.addr = htole64(fs->super.log_start +
					 fs->super.log_clusters);
			d.len = htole32(3500);
			memcpy(value, &d, sizeof(d));
		}
	}
	ck_assert_uint_gt(extents, 1);
	store_chain(l, &c);
}

/* In the first node above the leaves, where a pointer is taken for granted. */
void lie_of_no_length(struct liar *l)
{
	const struct tfs_miss *f = NULL;

	for (size_t i = 0; i < l->known->n && !f; i++)
		f = l->known->nodes[i].level ? &l->known->nodes[i] : NULL;
	ck_assert_ptr_nonnull(f);
	read_cluster(l, f->ptr.addr[0]);
	for (unsigned int i = 0; i < items(l); i++) {
		item(l, i)->len = 0;
		item(l, i)->pos = htole16(65535);
	}
	store_node(l, f);
}

/* That is for ever 0. */
void lie_in_padding(struct liar *l, const struct tfs_miss *f)
{
	read_cluster(l, f->ptr.addr[0]);
	((struct tfs_disk_node *)l->buf)->pad = 1;
	store_node(l, f);
}
