/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log.c - gather what a commit changes, and write it to the log.
 *
 *  (1) A commit names each key once, with what its last operation left there.
 *  (2) Its hash covers all of its clusters, and in them the predecessor's
 *      hash and the proof: the sum over all data clusters that were born in
 *      it and are mapped at its end.  Whoever reads these clusters again can
 *      tell whether all of the commit arrived, without any order between
 *      data and log.
 *  (3) Clusters of the log are used in turn.  What a replay from the newest
 *      durable checkpoint would need is not overwritten.
 *  (4) Keys are found by a keyed hash, in a table at most half full: whoever
 *      chooses names and offsets can't choose where they meet. */
#include <stdlib.h>
#include <string.h>

#include "base/cluster.h"
#include "base/hash.h"
#include "commit/log.h"

/* ---- gathering ------------------------------------------------------------ */

void tfs_commit_clear(struct tfs_commit *c)
{
	for (size_t i = 0; i < c->n; i++)
		c->table[c->op[i].slot] = 0;
	c->n = c->used = c->bytes = 0;
	c->born_n = c->proofs = 0;
}

struct tfs_commit *tfs_commit_create(const uint8_t nonce[TFS_NONCE])
{
	struct tfs_commit *c = calloc(1, sizeof(*c));

	if (c)
		memcpy(c->nonce, nonce, TFS_NONCE);
	return c;
}

void tfs_commit_free(struct tfs_commit *c)
{
	if (!c)
		return;
	free(c->op);
	free(c->values);
	free(c->table);
	free(c->born);
	free(c->proof);
	free(c);
}

/* Where the key is in the table, or the free slot where it belongs (4). */
static uint32_t *find_slot(const struct tfs_commit *c,
			   const struct tfs_key *key)
{
	uint64_t text[2] = { key->off, (uint64_t)key->obj << 8 | key->type };

	for (size_t i = tfs_siphash(c->nonce, text, sizeof(text)); ; i++) {
		uint32_t *slot = &c->table[i & (c->slots - 1)];

		if (!*slot || !tfs_key_cmp(&c->op[*slot - 1].key, key))
			return slot;
	}
}

static int grow_table(struct tfs_commit *c, size_t ops)
{
	size_t slots = c->slots ? c->slots : 256;
	uint32_t *table;

	while (slots < 2 * ops)
		slots *= 2;
	if (slots == c->slots)
		return 0;
	if (ops > UINT32_MAX / 2)
		return -ENOMEM;
	table = calloc(slots, sizeof(table[0]));
	if (!table)
		return -ENOMEM;
	free(c->table);
	c->table = table;
	c->slots = slots;
	for (size_t i = 0; i < c->n; i++) {
		uint32_t *slot = find_slot(c, &c->op[i].key);

		*slot = i + 1;
		c->op[i].slot = slot - c->table;
	}
	return 0;
}

int tfs_commit_reserve(struct tfs_commit *c, size_t ops, size_t bytes)
{
	int err = tfs_array_grow(&c->op, &c->room, c->n + ops,
				 sizeof(c->op[0]));

	if (!err && c->used + bytes > UINT32_MAX)
		err = -ENOMEM;
	if (!err)
		err = tfs_array_grow(&c->values, &c->size, c->used + bytes, 1);
	return err ? err : grow_table(c, c->n + ops);
}

void tfs_commit_add(struct tfs_commit *c, struct tfs_key key, bool del,
		    const void *val, uint32_t len)
{
	uint32_t *slot = find_slot(c, &key);
	struct tfs_op *op;

	if (*slot) {						/* (1) */
		op = &c->op[*slot - 1];
		c->bytes -= op->len;
	} else {
		op = &c->op[c->n++];
		*op = (struct tfs_op){ .key = key, .slot = slot - c->table };
		*slot = c->n;
		c->bytes += sizeof(struct tfs_disk_op);
	}
	if (len > op->room) {
		op->at = c->used;
		op->room = len;
		c->used += len;
	}
	op->del = del;
	op->len = len;
	c->bytes += len;
	if (len)
		memcpy(c->values + op->at, val, len);
}

int tfs_commit_reserve_born(struct tfs_commit *c, size_t pieces,
			    size_t clusters)
{
	int err = tfs_array_grow(&c->born, &c->born_room, c->born_n + pieces,
				 sizeof(c->born[0]));

	return err ? err : tfs_array_grow(&c->proof, &c->proof_room,
					  c->proofs + clusters,
					  sizeof(c->proof[0]));
}

void tfs_commit_born(struct tfs_commit *c, uint64_t addr, uint64_t len,
		     const uint64_t *proof)
{
	c->born[c->born_n++] = (struct tfs_born){ addr, len, c->proofs };
	memcpy(c->proof + c->proofs, proof, len * sizeof(*proof));
	c->proofs += len;
}

/* ---- the proof ------------------------------------------------------------ */

static int by_addr(const void *a, const void *b)
{
	const struct tfs_born *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* The piece that holds the cluster. */
static const struct tfs_born *find_born(const struct tfs_commit *c,
					uint64_t addr)
{
	size_t lo = 0, hi = c->born_n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (c->born[mid].addr + c->born[mid].len <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->born_n && c->born[lo].addr <= addr ? &c->born[lo] :
		NULL;
}

static int add_extent(const struct tfs_commit *c, uint64_t addr, uint64_t len,
		      uint64_t *sum)
{
	while (len) {
		const struct tfs_born *b = find_born(c, addr);
		uint64_t skip, n;

		if (!b)
			return -EUCLEAN;	/* mapped, but never written */
		skip = addr - b->addr;
		n = b->len - skip < len ? b->len - skip : len;
		for (uint64_t i = 0; i < n; i++)
			*sum += c->proof[b->at + skip + i];
		addr += n;
		len -= n;
	}
	return 0;
}

/* (2): over the extents that carry the commit's sequence. */
static int sum_proof(struct tfs_commit *c, uint64_t *sum)
{
	int err = 0;

	*sum = 0;
	if (c->born_n)
		qsort(c->born, c->born_n, sizeof(c->born[0]), by_addr);
	for (size_t i = 0; i < c->n && !err; i++) {
		const struct tfs_op *op = &c->op[i];
		struct tfs_disk_extent d;

		if (op->key.type != TFS_T_EXTENT || op->len != sizeof(d))
			continue;
		memcpy(&d, c->values + op->at, sizeof(d));
		if (le64toh(d.addr) && le64toh(d.seq) == c->seq)
			err = add_extent(c, le64toh(d.addr), le32toh(d.len),
					 sum);
	}
	return err;
}

/* ---- bytes ---------------------------------------------------------------- */

static uint32_t blocks_for(const struct tfs *fs, const struct tfs_commit *c)
{
	uint32_t payload = tfs_log_payload(fs);

	return c->bytes ? (c->bytes + payload - 1) / payload : 1;
}

bool tfs_log_fits(const struct tfs *fs, const struct tfs_commit *c)
{
	uint32_t n = blocks_for(fs, c);

	return n <= fs->log.room && atomic_load(&fs->log.used) + n <=
		fs->super.log_clusters;				/* (3) */
}

/* Append to the operations, which run on from cluster to cluster. */
static void put_bytes(struct tfs *fs, size_t *at, const void *data, size_t len)
{
	uint32_t payload = tfs_log_payload(fs);
	const uint8_t *p = data;

	while (len) {
		size_t in = *at % payload;
		size_t n = payload - in < len ? payload - in : len;

		memcpy(fs->log.buf + *at / payload * fs->csize +
		       sizeof(struct tfs_disk_log) + in, p, n);
		p += n;
		*at += n;
		len -= n;
	}
}

static void put_ops(struct tfs *fs, const struct tfs_commit *c)
{
	size_t at = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct tfs_op *op = &c->op[i];
		struct tfs_disk_op d = {
			.off = htole64(op->key.off),
			.obj = htole32(op->key.obj),
			.type = op->key.type,
			.op = op->del ? TFS_LOG_DEL : TFS_LOG_PUT,
			.len = htole16(op->len),
		};

		put_bytes(fs, &at, &d, sizeof(d));
		if (op->len)
			put_bytes(fs, &at, c->values + op->at, op->len);
	}
}

static struct tfs_disk_log *head_of(const struct tfs *fs, uint8_t *clusters,
				    uint32_t i)
{
	return (struct tfs_disk_log *)(clusters + (size_t)i * fs->csize);
}

static void put_heads(struct tfs *fs, const struct tfs_commit *c,
		      uint32_t blocks, uint64_t durable, uint64_t proof)
{
	struct tfs_disk_log h = {
		.magic = htole32(TFS_LOG_MAGIC),
		.seq = htole64(c->seq),
		.prev = htole64(fs->log.chain),
		.checkpoint = htole64(c->checkpoint),
		.durable = htole64(durable),
		.proof = htole64(proof),
		.inodes = htole64(c->inodes),
		.reserved = htole64(c->reserved),
		.next_ino = htole32(c->next_ino),
		.blocks = htole32(blocks),
	};
	uint32_t payload = tfs_log_payload(fs);
	size_t left = c->bytes;

	memcpy(h.nonce, tfs_nonce(fs), TFS_NONCE);
	for (uint32_t i = 0; i < blocks; i++) {
		uint32_t n = left < payload ? left : payload;

		h.block = htole32(i);
		h.bytes = htole32(n);
		*head_of(fs, fs->log.buf, i) = h;
		left -= n;
	}
}

uint64_t tfs_log_hash(const struct tfs *fs, const uint8_t *clusters,
		      uint32_t blocks)
{
	const size_t head = sizeof(struct tfs_disk_log);
	uint64_t sum[3] = { 0 };

	for (uint32_t i = 0; i < blocks; i++) {
		const uint8_t *at = clusters + (size_t)i * fs->csize;
		struct tfs_disk_log h;

		memcpy(&h, at, head);
		h.crc = 0;
		h.hash = 0;
		sum[1] = htole64(tfs_siphash(tfs_nonce(fs), &h, head));
		sum[2] = htole64(tfs_siphash(tfs_nonce(fs), at + head,
					     fs->csize - head));
		sum[0] = htole64(tfs_siphash(tfs_nonce(fs), sum,
					     sizeof(sum)));
	}
	return le64toh(sum[0]);
}

static void seal(struct tfs *fs, uint32_t blocks, uint64_t hash)
{
	for (uint32_t i = 0; i < blocks; i++) {
		struct tfs_disk_log *h = head_of(fs, fs->log.buf, i);

		h->hash = htole64(hash);
		h->crc = htole32(tfs_crc32c(h, fs->csize,
					    offsetof(struct tfs_disk_log,
						     crc)));
	}
}

/* ---- writing -------------------------------------------------------------- */

static int write_run(struct tfs *fs, uint64_t pos, uint8_t *buf, uint32_t n,
		     uint64_t seq)
{
	struct tfs_record rec = { .kind = TFS_K_LOG, .index = pos,
				  .seq = seq };
	struct eng_io *io = eng_io_get(fs->dev, n * fs->ipc, 1);
	int err;

	if (!io)
		return -ENOMEM;
	io->op = ENG_WRITE;
	io->start = tfs_log_addr(fs, pos) * fs->ipc;
	eng_io_add(io, buf, (size_t)n * fs->csize);
	tfs_tag_fill(fs, &rec, tfs_log_addr(fs, pos), 0, n * fs->ipc,
		     io->tags);
	err = eng_io_run(io);
	eng_io_put(io);
	return err;
}

static int write_blocks(struct tfs *fs, uint32_t blocks, uint64_t seq)
{
	uint64_t size = fs->super.log_clusters;
	uint32_t max = fs->geo->max_io / fs->ipc, n;
	int err = 0;

	for (uint32_t i = 0; i < blocks && !err; i += n) {
		uint64_t pos = (fs->log.head + i) % size;

		n = blocks - i < max ? blocks - i : max;
		if (n > size - pos)
			n = size - pos;
		err = write_run(fs, pos, fs->log.buf + (size_t)i * fs->csize,
				n, seq);
	}
	return err;
}

int tfs_log_write(struct tfs *fs, struct tfs_commit *c, uint64_t durable)
{
	uint32_t blocks = blocks_for(fs, c);
	uint64_t proof, hash;
	int err = sum_proof(c, &proof);

	if (err)
		return err;
	memset(fs->log.buf, 0, (size_t)blocks * fs->csize);
	put_ops(fs, c);
	put_heads(fs, c, blocks, durable, proof);
	hash = tfs_log_hash(fs, fs->log.buf, blocks);
	seal(fs, blocks, hash);
	err = write_blocks(fs, blocks, c->seq);
	if (err)
		return err;
	fs->log.head = (fs->log.head + blocks) % fs->super.log_clusters;
	atomic_fetch_add(&fs->log.used, blocks);
	fs->log.chain = hash;
	fs->log.newest = c->seq;
	fs->log.marked = durable;
	if (c->n)
		fs->log.content = c->seq;
	atomic_fetch_add(&fs->count.commits, 1);
	atomic_fetch_add(&fs->count.log_clusters, blocks);
	atomic_fetch_add(&fs->count.log_bytes, c->bytes);
	return 0;
}
