/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_replay.c - a log may say anything.
 *
 * Commits are forged behind a sound checkpoint: checksums, hashes, tags are
 * right, and marks say that they were durable, so that nothing but what they
 * mean can keep them from being replayed.  What contradicts the checkpoint,
 * or itself, refuses the mount; what is no commit is not there; what is left
 * gives a filesystem whose books are right. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "soft/dev_soft.h"
#include "base/cluster.h"
#include "base/hash.h"
#include "tree/alloc.h"
#include "tree/btree.h"
#include "commit/ckpt.h"
#include "commit/super.h"
#include "file/extent.h"
#include "mount/replay.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "support/fs_state.h"
#include "file/inode.h"
#include "commit/log.h"

#define SECONDS	20u

static struct sim *base;
static char *state;			/* of it */
static uint32_t inos[2];
static struct tfs_extent exts[2];	/* their first */

/* ---- a checkpoint to lie about -------------------------------------------- */

struct find {
	uint32_t	ino;
	struct tfs_extent *ext;
};

static int find_fn(struct tfs_txn *tx, void *arg)
{
	struct find *f = arg;

	return tfs_extent_find(tx, f->ino, 0, f->ext);
}

static void setup(void)
{
	uint8_t *buf = malloc(60000);
	struct bed b;

	bed_make(&b, "512+8", 4096, 1);
	bed_fill(buf, 60000, 1);
	for (int i = 0; i < 2; i++) {
		inos[i] = bed_file(&b, i ? "b" : "a");
		ck_assert_int_eq(tfs_write(b.fs, inos[i], 0, buf, 60000, 0),
				 0);
		ck_assert_int_eq(tfs_txn_read(b.fs, find_fn, &(struct find){
			inos[i], &exts[i] }), 0);
		ck_assert_uint_ge(exts[i].len, 10);
	}
	ck_assert_int_eq(tfs_ckpt_run(b.fs), 0);
	state = fs_state(b.fs);
	base = sim_clone(b.sim);
	sim_settle(base, true);
	bed_free(&b);
	free(buf);
}

static void teardown(void)
{
	free(state);
	sim_destroy(base);
}

/* ---- the forger ------------------------------------------------------------ */

struct forge {
	struct bed	bed;		/* mounted read-only, for its keys */
	struct tfs	*fs;
	struct tfs_slot	slot;
	uint64_t	free;		/* a run of free clusters */
	uint64_t	pos;		/* where the next commit goes */
	struct tfs_disk_log head;	/* of it */
	uint8_t		*ops, *out;
	size_t		bytes;
	unsigned int	commits;
	bool		done;		/* no more of them, no mark */
	/* Lie in the header of cluster i; then it is sealed. */
	void		(*twist)(struct forge *f, struct tfs_disk_log *h,
				 uint32_t i);
};

static void find_free(struct forge *f)
{
	uint64_t at = f->fs->super.clusters * 3 / 4;

	for (f->free = at; at < f->free + 200; at++) {
		ck_assert_uint_lt(at, f->fs->super.clusters);
		if (tfs_claim(f->fs, at, 1))
			f->free = at + 1;
	}
}

static void forge_open(struct forge *f)
{
	unsigned int odd;

	memset(f, 0, sizeof(*f));
	bed_take(&f->bed, sim_clone(base), 1);
	/* Read-only for the filesystem, not for the device. */
	ck_assert_int_eq(eng_soft_open(&f->bed.dev, sim_raw(f->bed.sim),
				       &(struct eng_open){
					       .pool = f->bed.pool }), 0);
	ck_assert_int_eq(tfs_open(&f->fs, f->bed.dev, &(struct tfs_mount){
		.rdonly = true }), 0);
	f->bed.fs = f->fs;
	ck_assert_int_eq(tfs_slot_read(f->fs, &f->slot, &odd), 0);
	find_free(f);
	f->pos = f->slot.log_pos;
	f->head = (struct tfs_disk_log){
		.magic = htole32(TFS_LOG_MAGIC),
		.seq = htole64(f->slot.seq + 1),
		.prev = htole64(f->slot.chain),
		.checkpoint = htole64(f->slot.number),
		.inodes = htole64(f->slot.inodes),
		.reserved = htole64(f->slot.reserved),
		.next_ino = htole32(f->slot.next_ino),
	};
	memcpy(f->head.nonce, tfs_nonce(f->fs), TFS_NONCE);
	f->ops = calloc(f->fs->super.log_clusters, f->fs->csize);
	f->out = aligned_alloc(4096, f->fs->super.log_clusters *
			       f->fs->csize);
}

static void forge_close(struct forge *f)
{
	ck_assert_int_eq(eng_dev_flush(f->bed.dev), 0);
	free(f->ops);
	free(f->out);
	bed_drop(&f->bed);
}

static uint64_t seq_of(const struct forge *f)
{
	return le64toh(f->head.seq);
}

/* len: what it says; have: what is there. */
static void raw_op(struct forge *f, struct tfs_key key, unsigned int op,
		   const void *val, size_t len, size_t have)
{
	struct tfs_disk_op d = {
		.off = htole64(key.off), .obj = htole32(key.obj),
		.type = key.type, .op = op, .len = htole16(len),
	};

	memcpy(f->ops + f->bytes, &d, sizeof(d));
	if (have)
		memcpy(f->ops + f->bytes + sizeof(d), val, have);
	f->bytes += sizeof(d) + have;
}

static void put(struct forge *f, struct tfs_key key, const void *val,
		size_t len)
{
	raw_op(f, key, TFS_LOG_PUT, val, len, len);
}

static void del(struct forge *f, struct tfs_key key)
{
	raw_op(f, key, TFS_LOG_DEL, NULL, 0, 0);
}

static void map(struct forge *f, uint32_t ino, uint64_t lc, uint64_t addr,
		uint64_t seq, uint64_t len)
{
	struct tfs_disk_extent d = {
		.addr = htole64(addr), .seq = htole64(seq),
		.len = htole32(len),
	};

	put(f, tfs_key(ino, TFS_T_EXTENT, lc), &d, sizeof(d));
}

static void seal_and_write(struct forge *f, uint32_t blocks)
{
	struct tfs_record rec = { .kind = TFS_K_LOG };
	uint64_t hash = tfs_log_hash(f->fs, f->out, blocks);

	for (uint32_t i = 0; i < blocks; i++) {
		uint8_t *at = f->out + (size_t)i * f->fs->csize;
		struct tfs_disk_log *h = (void *)at;

		h->hash = htole64(hash);
		h->crc = htole32(tfs_crc32c(at, f->fs->csize,
					    offsetof(struct tfs_disk_log,
						     crc)));
		rec.index = (f->pos + i) % f->fs->super.log_clusters;
		rec.seq = le64toh(h->seq) & TFS_SEQ_MAX;
		ck_assert_int_eq(tfs_cluster_write(f->fs, tfs_log_addr(f->fs,
			f->pos + i), &rec, at), 0);
	}
	f->head.prev = htole64(hash);
}

static void commit_of(struct forge *f, uint32_t blocks)
{
	uint32_t payload = tfs_log_payload(f->fs);
	size_t left = f->bytes;

	memset(f->out, 0, (size_t)blocks * f->fs->csize);
	for (uint32_t i = 0; i < blocks; i++) {
		uint8_t *at = f->out + (size_t)i * f->fs->csize;
		size_t n = left < payload ? left : payload;

		f->head.block = htole32(i);
		f->head.blocks = htole32(blocks);
		f->head.bytes = htole32(n);
		memcpy(at, &f->head, sizeof(f->head));
		memcpy(at + sizeof(f->head), f->ops + (size_t)i * payload, n);
		if (f->twist)
			f->twist(f, (void *)at, i);
		left -= n;
	}
	seal_and_write(f, blocks);
	f->pos = (f->pos + blocks) % f->fs->super.log_clusters;
	f->head.seq = htole64(seq_of(f) + 1);
	f->bytes = 0;
	f->commits++;
	f->twist = NULL;
}

static void commit(struct forge *f)
{
	uint32_t payload = tfs_log_payload(f->fs);

	commit_of(f, f->bytes ? (f->bytes + payload - 1) / payload : 1);
}

/* All so far was durable. */
static void mark(struct forge *f)
{
	f->head.durable = htole64(seq_of(f) - 1);
	commit(f);
	f->head.durable = 0;
}

/* ---- operations ------------------------------------------------------------ */

static void value_too_long(struct forge *f)
{
	static const uint8_t big[TFS_VALUE_MAX + 1];

	put(f, tfs_key(inos[0], TFS_T_INLINE, 0), big, sizeof(big));
}

static void ends_in_an_operation(struct forge *f)
{
	del(f, tfs_key(inos[0], TFS_T_INLINE, 0));
	f->bytes -= 3;
}

static void ends_in_a_value(struct forge *f)
{
	raw_op(f, tfs_key(inos[0], TFS_T_INLINE, 0), TFS_LOG_PUT, "abcdef", 7,
	       6);
}

static void unknown_operation(struct forge *f)
{
	raw_op(f, tfs_key(inos[0], TFS_T_INLINE, 0), 2, NULL, 0, 0);
}

static void delete_with_a_value(struct forge *f)
{
	raw_op(f, tfs_key(inos[0], TFS_T_INLINE, 0), TFS_LOG_DEL, "a", 1, 1);
}

static void put_a_region(struct forge *f)
{
	static const uint8_t map_of[TFS_REGION_BYTES];

	put(f, tfs_key(0, TFS_T_REGION, 0), map_of, sizeof(map_of));
}

static void delete_a_summary(struct forge *f)
{
	del(f, tfs_key(0, TFS_T_SUMMARY, 0));
}

static void last_key(struct forge *f)
{
	del(f, TFS_KEY_MAX);
}

static void same_key_twice(struct forge *f)
{
	map(f, inos[0], 100, f->free, seq_of(f), 1);
	map(f, inos[0], 100, f->free + 1, seq_of(f), 1);
}

static void same_key_far_apart(struct forge *f)
{
	map(f, inos[0], 100, f->free, seq_of(f), 1);
	for (unsigned int i = 0; i < 300; i++)
		del(f, tfs_key(1000 + i, TFS_T_INODE, 0));
	del(f, tfs_key(inos[0], TFS_T_EXTENT, 100));
}

static void no_such_items(struct forge *f)
{
	for (unsigned int i = 0; i < 500; i++)
		del(f, tfs_key(1000 + i * 7, i, i));
}

static void keys_at_the_bounds(struct forge *f)
{
	del(f, tfs_key(0, 0, 0));
	del(f, tfs_key(UINT32_MAX, 255, UINT64_MAX - 1));
	del(f, tfs_key(UINT32_MAX, TFS_T_EXTENT, UINT64_MAX));
}

/* ---- extents --------------------------------------------------------------- */

static void extent_of_another_length(struct forge *f)
{
	put(f, tfs_key(inos[0], TFS_T_EXTENT, 100), "short", 5);
}

static void extent_without_clusters(struct forge *f)
{
	map(f, inos[0], 100, f->free, seq_of(f), 0);
}

static void past_the_device(struct forge *f)
{
	map(f, inos[0], 100, f->fs->super.clusters - 4, seq_of(f), 2);
}

static void around_the_world(struct forge *f)
{
	map(f, inos[0], 100, UINT64_MAX - 1, seq_of(f), 4000);
}

static void over_the_log(struct forge *f)
{
	map(f, inos[0], 100, tfs_log_addr(f->fs, f->pos), seq_of(f), 1);
}

static void over_the_superblock(struct forge *f)
{
	map(f, inos[0], 100, 1, seq_of(f), 1);
}

static void past_the_file(struct forge *f)
{
	map(f, inos[0], UINT32_MAX, f->free, seq_of(f), 2);
}

static void over_a_file(struct forge *f)
{
	map(f, inos[0], 100, exts[1].addr + 3, seq_of(f), 1);
}

static void over_what_it_frees(struct forge *f)
{
	del(f, tfs_key(inos[0], TFS_T_EXTENT, exts[0].lc));
	map(f, inos[0], 100, exts[0].addr, seq_of(f), 1);
}

static void over_a_node(struct forge *f)
{
	map(f, inos[0], 100, f->slot.root.addr[1], seq_of(f), 1);
}

static void two_extents_one_cluster(struct forge *f)
{
	map(f, inos[0], 100, f->free, seq_of(f), 5);
	map(f, inos[1], 100, f->free + 4, seq_of(f), 5);
}

static void two_commits_one_cluster(struct forge *f)
{
	map(f, inos[0], 100, f->free, seq_of(f), 5);
	commit(f);
	map(f, inos[1], 100, f->free + 4, seq_of(f), 5);
}

static void taken_once_freed(struct forge *f)
{
	map(f, inos[0], 100, f->free, seq_of(f), 5);
	commit(f);
	del(f, tfs_key(inos[0], TFS_T_EXTENT, 100));
	commit(f);
	map(f, inos[1], 100, f->free, seq_of(f), 5);
}

static void more_than_is_free(struct forge *f)
{
	map(f, inos[0], 100, f->fs->super.log_start + f->fs->super.log_clusters,
	    seq_of(f), f->fs->super.clusters - tfs_freemap_fixed(f->fs));
}

static void slice_of_nothing(struct forge *f)
{
	map(f, inos[0], 100, f->free, f->slot.seq, 1);
}

static void slice_of_another_file(struct forge *f)
{
	map(f, inos[0], 100, exts[1].addr, exts[1].seq, 1);
}

static void slice_past_the_end(struct forge *f)
{
	map(f, inos[0], exts[0].lc, exts[0].addr, exts[0].seq,
	    exts[0].len + 1);
}

static void slice_before_the_beginning(struct forge *f)
{
	map(f, inos[0], exts[0].lc, exts[0].addr - 1, exts[0].seq, 2);
}

static void slice_twice(struct forge *f)
{
	map(f, inos[0], exts[0].lc, exts[0].addr, exts[0].seq, 4);
	map(f, inos[0], exts[0].lc + 4, exts[0].addr + 3, exts[0].seq, 4);
}

static void slice_of_what_is_freed(struct forge *f)
{
	del(f, tfs_key(inos[0], TFS_T_EXTENT, exts[0].lc));
	commit(f);
	map(f, inos[0], exts[0].lc, exts[0].addr, exts[0].seq, 1);
}

static void born_tomorrow(struct forge *f)
{
	map(f, inos[0], 100, f->free, seq_of(f) + 1, 1);
}

static void born_after_all(struct forge *f)
{
	map(f, inos[0], 100, f->free, TFS_SEQ_MAX, 1);
}

static void address_without_birth(struct forge *f)
{
	map(f, inos[0], 100, f->free, 0, 1);
}

/* Not proven; nobody may read all of that to find out. */
static void whole_device_many_times(struct forge *f)
{
	for (unsigned int i = 0; i < 4000; i++)
		map(f, inos[0], i, tfs_freemap_fixed(f->fs), seq_of(f),
		    f->fs->super.clusters - 2 * tfs_freemap_fixed(f->fs));
	commit(f);
	f->done = true;
}

static void whole_device_by_many(struct forge *f)
{
	for (unsigned int i = 0; i < 40; i++) {
		map(f, inos[0], i, f->free, seq_of(f), 200);
		commit(f);
	}
	f->done = true;
}

/* ---- headers --------------------------------------------------------------- */

static void newer_checkpoint(struct forge *f)
{
	f->head.checkpoint = htole64(f->slot.number + 1);
}

static void all_reserved(struct forge *f)
{
	f->head.reserved = UINT64_MAX;
}

static void one_reserved_too_many(struct forge *f)
{
	f->head.reserved = htole64(f->slot.free + 1);
}

static void odd_counts(struct forge *f)
{
	f->head.inodes = UINT64_MAX;
	f->head.next_ino = 0;
}

static void far_future(struct forge *f)
{
	f->head.seq = htole64(f->slot.seq + TFS_SEQ_JUMP + 1);
	commit(f);
	f->head.seq = htole64(TFS_SEQ_MAX);
}

static void another_chain(struct forge *f)
{
	f->head.prev ^= 1;
	map(f, inos[0], 100, f->free, seq_of(f), 1);
	commit(f);
	f->done = true;
}

static void out_of_place(struct forge *f)
{
	f->pos = (f->pos + 1) % f->fs->super.log_clusters;
	commit(f);
	f->done = true;
}

static void false_proof(struct forge *f)
{
	f->head.proof = htole64(1);
	commit(f);
	f->done = true;
}

static void twist_blocks(struct forge *f, struct tfs_disk_log *h, uint32_t i)
{
	static const uint32_t odd[] = { 0, 2, 64, 65, INT32_MAX, UINT32_MAX };

	(void)i;
	h->blocks = htole32(odd[f->commits % 6]);
}

/* Each alone, in the first place. */
static void odd_blocks(struct forge *f)
{
	struct tfs_disk_log head = f->head;

	for (unsigned int i = 0; i < 6; i++) {
		f->head = head;
		f->pos = (f->slot.log_pos + i) % f->fs->super.log_clusters;
		f->twist = twist_blocks;
		commit(f);
	}
	f->done = true;
}

static void twist_order(struct forge *f, struct tfs_disk_log *h, uint32_t i)
{
	(void)f;
	h->block = htole32(!i);
}

static void twist_bytes(struct forge *f, struct tfs_disk_log *h, uint32_t i)
{
	(void)f;
	if (!i)
		h->bytes = htole32(100);
}

static void twist_too_many_bytes(struct forge *f, struct tfs_disk_log *h,
				 uint32_t i)
{
	if (i)
		h->bytes = htole32(tfs_log_payload(f->fs) + 1);
}

static void twist_counts(struct forge *f, struct tfs_disk_log *h, uint32_t i)
{
	(void)f;
	h->inodes = htole64(i);
}

static void twist_durable(struct forge *f, struct tfs_disk_log *h, uint32_t i)
{
	(void)f;
	(void)i;
	h->durable = h->seq;
}

static void twist_pad(struct forge *f, struct tfs_disk_log *h, uint32_t i)
{
	(void)f;
	(void)i;
	h->pad[23] = 1;
}

static void two_clusters(struct forge *f)
{
	for (unsigned int i = 0; i < 300; i++)
		del(f, tfs_key(1000 + i, TFS_T_INODE, 0));
	commit(f);
	f->done = true;
}

#define TWISTED(name, how) \
	static void name(struct forge *f) \
	{ \
		f->twist = how; \
		two_clusters(f); \
	}
TWISTED(blocks_in_disorder, twist_order)
TWISTED(first_not_full, twist_bytes)
TWISTED(more_than_fits, twist_too_many_bytes)
TWISTED(headers_differ, twist_counts)
TWISTED(durable_by_itself, twist_durable)
TWISTED(padding, twist_pad)

static void gone_but_durable(struct forge *f)
{
	f->pos = (f->pos + 1) % f->fs->super.log_clusters;
	f->head.seq = htole64(seq_of(f) + 1);
}

/* ---- places ---------------------------------------------------------------- */

static void move_log(struct forge *f, uint64_t pos)
{
	f->slot.log_pos = f->pos = pos;
	ck_assert_int_eq(tfs_slot_write(f->fs, &f->slot), 0);
}

static void around_the_end(struct forge *f)
{
	move_log(f, f->fs->super.log_clusters - 1);
	for (unsigned int i = 0; i < 300; i++)
		del(f, tfs_key(1000 + i, TFS_T_INODE, 0));
}

static void begins_at_the_end(struct forge *f)
{
	move_log(f, f->fs->super.log_clusters - 1);
	commit(f);
}

/* All but one cluster, for the mark. */
static void all_of_the_log(struct forge *f)
{
	move_log(f, 17);
	while (f->bytes < (f->fs->super.log_clusters - 2) *
	       tfs_log_payload(f->fs))
		del(f, tfs_key(1000 + f->bytes, TFS_T_INODE, 0));
}

static void log_full_of_marks(struct forge *f)
{
	move_log(f, 40);
	while (f->commits < f->fs->super.log_clusters - 2)
		mark(f);
}

/* It would go on with its own first cluster. */
static void bites_its_tail(struct forge *f)
{
	move_log(f, 5);
	while (f->commits < f->fs->super.log_clusters)
		mark(f);
	f->done = true;
}

static void position_out_of_the_log(struct forge *f)
{
	f->slot.log_pos = f->fs->super.log_clusters;
	ck_assert_int_eq(tfs_slot_write(f->fs, &f->slot), 0);
	f->done = true;
}

/* ---- what comes of it ------------------------------------------------------ */

enum verdict {
	REFUSED,	/* -EUCLEAN */
	NOT_THERE,	/* the checkpoint alone */
	REPLAYED,	/* all commits; the books are right */
	TOLERATED,	/* all commits; the tree may be odd */
	READ_ONLY,
};

static const struct {
	const char	*name;
	void		(*lie)(struct forge *f);
	enum verdict	want;
} cases[] = {
#define CASE(fn, want)	{ #fn, fn, want }
	CASE(value_too_long, REFUSED),
	CASE(ends_in_an_operation, REFUSED),
	CASE(ends_in_a_value, REFUSED),
	CASE(unknown_operation, REFUSED),
	CASE(delete_with_a_value, REFUSED),
	CASE(put_a_region, REFUSED),
	CASE(delete_a_summary, REFUSED),
	CASE(last_key, REFUSED),
	CASE(same_key_twice, REFUSED),
	CASE(same_key_far_apart, REFUSED),
	CASE(no_such_items, REPLAYED),
	CASE(keys_at_the_bounds, REPLAYED),
	CASE(extent_of_another_length, REFUSED),
	CASE(extent_without_clusters, REFUSED),
	CASE(past_the_device, REFUSED),
	CASE(around_the_world, REFUSED),
	CASE(over_the_log, REFUSED),
	CASE(over_the_superblock, REFUSED),
	CASE(past_the_file, REFUSED),
	CASE(over_a_file, REFUSED),
	CASE(over_what_it_frees, REFUSED),
	CASE(over_a_node, REFUSED),
	CASE(two_extents_one_cluster, REFUSED),
	CASE(two_commits_one_cluster, REFUSED),
	CASE(taken_once_freed, REFUSED),
	CASE(more_than_is_free, REFUSED),
	CASE(slice_of_nothing, REFUSED),
	CASE(slice_of_another_file, REFUSED),
	CASE(slice_past_the_end, REFUSED),
	CASE(slice_before_the_beginning, REFUSED),
	CASE(slice_twice, REFUSED),
	CASE(slice_of_what_is_freed, REFUSED),
	CASE(born_tomorrow, REFUSED),
	CASE(born_after_all, REFUSED),
	CASE(address_without_birth, REFUSED),
	CASE(whole_device_many_times, REFUSED),
	CASE(whole_device_by_many, NOT_THERE),
	CASE(newer_checkpoint, READ_ONLY),
	CASE(all_reserved, REFUSED),
	CASE(one_reserved_too_many, REFUSED),
	CASE(odd_counts, TOLERATED),
	CASE(far_future, READ_ONLY),
	CASE(another_chain, NOT_THERE),
	CASE(out_of_place, NOT_THERE),
	CASE(false_proof, NOT_THERE),
	CASE(odd_blocks, NOT_THERE),
	CASE(blocks_in_disorder, NOT_THERE),
	CASE(first_not_full, NOT_THERE),
	CASE(more_than_fits, NOT_THERE),
	CASE(headers_differ, NOT_THERE),
	CASE(durable_by_itself, NOT_THERE),
	CASE(padding, NOT_THERE),
	CASE(gone_but_durable, READ_ONLY),
	CASE(around_the_end, REPLAYED),
	CASE(begins_at_the_end, REPLAYED),
	CASE(all_of_the_log, REPLAYED),
	CASE(log_full_of_marks, REPLAYED),
	CASE(bites_its_tail, REPLAYED),
	CASE(position_out_of_the_log, READ_ONLY),
};

#define CASES	(sizeof(cases) / sizeof(cases[0]))

/* Everything can be read, and what can be written stays. */
static void use(struct bed *b, enum verdict v, const char *what)
{
	char *now = fs_state(b->fs);
	const char *wrong;
	uint64_t rand = 1;

	if (v == NOT_THERE || v == READ_ONLY || v == REPLAYED)
		ck_assert_msg(!strcmp(now, state), "%s: another state", what);
	free(now);
	for (int i = 0; i < 20 && !tfs_rdonly(b->fs); i++)
		fs_step(b->fs, &rand);
	tfs_sync(b->fs);
	wrong = fs_check(b->fs, 0);
	ck_assert_msg(!wrong || v == TOLERATED || v == READ_ONLY, "%s: %s",
		      what, wrong);
}

static void look(struct bed *b, unsigned int i, unsigned int commits)
{
	enum verdict v = cases[i].want;
	const char *what = cases[i].name;
	int err = bed_open(b);
	uint64_t n;

	ck_assert_msg(err == (v == REFUSED ? -EUCLEAN : 0), "%s: %s", what,
		      strerror(-err));
	if (err)
		return;
	n = atomic_load(&b->fs->count.replayed);
	ck_assert_msg(v == READ_ONLY || n == (v == REPLAYED || v == TOLERATED ?
					      commits : 0),
		      "%s: replayed %llu", what, (unsigned long long)n);
	ck_assert_int_eq(tfs_rdonly(b->fs), v == READ_ONLY || b->how.rdonly);
	if (!b->how.rdonly)
		use(b, v, what);
	bed_drop(b);
}

START_TEST(log_may_say_anything)
{
	struct forge f;

	alarm(SECONDS);
	forge_open(&f);
	cases[_i].lie(&f);
	if (!f.done) {
		commit(&f);
		mark(&f);
	}
	forge_close(&f);
	f.bed.how.rdonly = true;
	look(&f.bed, _i, f.commits);
	f.bed.how.rdonly = false;
	look(&f.bed, _i, f.commits);
	bed_free(&f.bed);
	alarm(0);
}
END_TEST

/* ---- what nobody lied about ------------------------------------------------ */

static void promise_all(struct bed *b)
{
	uint32_t ino = bed_file(b, "promised");
	uint64_t at = 0;

	for (uint64_t size = 4ull << 20; size >= b->fs->csize; size /= 2)
		while (!tfs_fallocate(b->fs, ino, 0, at, size))
			at += size;
}

static void each_name(struct bed *b, unsigned int step, bool make)
{
	char name[256];

	for (unsigned int i = 0; i < 4000; i += step) {
		sprintf(name, "%0200u", i);
		if (make)
			bed_file(b, name);
		else
			ck_assert_int_eq(tfs_unlink(b->fs, TFS_ROOT_INO,
						    name), 0);
	}
}

/* Names are removed where nearly all that is free was promised: this may use
 * what the next checkpoint gives back, before a crash and after it. */
START_TEST(promises_survive)
{
	char *before, *now;
	struct bed b;

	bed_make(&b, "512+8", 4096, 1);
	each_name(&b, 1, true);
	promise_all(&b);
	ck_assert_int_eq(tfs_ckpt_run(b.fs), 0);
	each_name(&b, 3, false);
	ck_assert_uint_lt(b.fs->free, b.fs->reserved);
	ck_assert_int_eq(tfs_sync(b.fs), 0);
	before = fs_state(b.fs);
	sim_power_off_at(b.sim, 0);
	bed_drop(&b);
	sim_crash(b.sim, 1);
	bed_mount(&b);
	ck_assert_uint_gt(atomic_load(&b.fs->count.replayed), 0);
	bed_check(&b, 0);
	now = fs_state(b.fs);
	ck_assert_str_eq(now, before);
	bed_free(&b);
	free(before);
	free(now);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("replay");
	TCase *tc = tcase_create("replay");

	tcase_set_timeout(tc, 240);
	tcase_add_unchecked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, log_may_say_anything, 0, CASES);
	tcase_add_test(tc, promises_survive);
	suite_add_tcase(s, tc);
	return bed_run_suite(s);
}
