/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_tree.c - what the B+tree promises, through transactions.
 *
 * The model is a sorted array of keys; a value follows from a seed and a
 * length.  Keys have types from 128 on, which the filesystem never uses. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tree/ncache.h"
#include "commit/ckpt.h"
#include "commit/txn.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "tree/node.h"
#include "tree/slab.h"

#define MODEL_MAX	60000u
#define OPS_MAX		64u

struct entry {
	struct tfs_key	key;
	uint64_t	seed;
	unsigned int	len;
};

struct op {
	struct entry	e;
	bool		del;
};

struct model {
	struct bed	bed;
	struct entry	*e;
	size_t		n;
	uint64_t	rand;
	unsigned int	sizes;		/* which values: value_len() */
	unsigned int	spread;		/* of offsets, bits */
	unsigned int	step;
	/* the transaction */
	struct op	op[OPS_MAX];
	unsigned int	ops;
	struct tfs_key	probe;
	bool		fail;
};

static unsigned int pick(struct model *m, unsigned int n)
{
	return sim_rand(&m->rand) % n;
}

static const char *at(const struct model *m)
{
	static char text[160];

	snprintf(text, sizeof(text), "%s, step %u", m->bed.where, m->step);
	return text;
}

/* ---- model --------------------------------------------------------------- */

/* How many entries lie before key. */
static size_t model_find(const struct model *m, const struct tfs_key *key,
			 bool *exact)
{
	size_t lo = 0, hi = m->n;

	*exact = false;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = tfs_key_cmp(&m->e[mid].key, key);

		if (!c) {
			*exact = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void model_apply(struct model *m, const struct op *op)
{
	bool exact;
	size_t i = model_find(m, &op->e.key, &exact);

	if (op->del && !exact)
		return;
	if (op->del) {
		memmove(&m->e[i], &m->e[i + 1],
			(--m->n - i) * sizeof(m->e[0]));
		return;
	}
	if (!exact) {
		ck_assert_uint_lt(m->n, MODEL_MAX);
		memmove(&m->e[i + 1], &m->e[i],
			(m->n++ - i) * sizeof(m->e[0]));
	}
	m->e[i] = op->e;
}

static struct tfs_key random_key(struct model *m)
{
	static const uint32_t obj[] = { 0, 1, 77, 78, 1u << 31, UINT32_MAX };
	uint64_t off = sim_rand(&m->rand) >> (64 - m->spread);
	uint8_t type = 128 + pick(m, 3);

	if (!pick(m, 50))
		off = pick(m, 2) ? 0 : UINT64_MAX;
	if (!pick(m, 50))
		type = 255;
	return tfs_key(obj[pick(m, 6)], type,
		       type == 255 && off == UINT64_MAX ? 5 : off);
}

/* One that is there, or next to it. */
static struct tfs_key near_key(struct model *m)
{
	struct tfs_key key;

	if (!m->n || !pick(m, 4))
		return random_key(m);
	key = m->e[pick(m, m->n)].key;
	if (key.off < UINT64_MAX - 1 && key.off && !pick(m, 3))
		key.off += pick(m, 3) - 1;
	return key;
}

static unsigned int value_len(struct model *m)
{
	switch (m->sizes) {
	case 0:
		return pick(m, 33);
	case 1:
		return pick(m, TFS_VALUE_MAX + 1);
	case 2:
		return TFS_VALUE_MAX - pick(m, 100);
	default:	/* what makes for uneven halves */
		return pick(m, 2) ? TFS_VALUE_MAX : pick(m, 2) ? 0 :
			pick(m, 400);
	}
}

/* ---- transactions -------------------------------------------------------- */

static void same_item(const struct model *m, const struct entry *e,
		      const struct tfs_item *it, const char *how)
{
	uint8_t buf[TFS_VALUE_MAX];

	bed_fill(buf, e->len, e->seed);
	ck_assert_msg(!tfs_key_cmp(&e->key, &it->key),
		      "%s: %s: another key", at(m), how);
	ck_assert_msg(e->len == it->len && !memcmp(buf, it->val, e->len),
		      "%s: %s: another value", at(m), how);
}

/* get, next and prev at the probe, against the model. */
static int look_fn(struct tfs_txn *tx, void *arg)
{
	struct model *m = arg;
	struct tfs_item it;
	bool exact;
	size_t i = model_find(m, &m->probe, &exact);
	int err = tfs_txn_get(tx, m->probe, &it);

	if (err == TFS_MISS)
		return err;
	ck_assert_msg(err == (exact ? 0 : -ENOENT), "%s: get: %d", at(m), err);
	if (exact)
		same_item(m, &m->e[i], &it, "get");
	err = tfs_txn_next(tx, m->probe, &it);
	if (err == TFS_MISS)
		return err;
	/* All keys of the filesystem are below those of the model's objects
	 * or between them; look past them. */
	while (!err && it.key.type < 128) {
		it.key.off++;
		err = tfs_txn_next(tx, it.key, &it);
	}
	if (err == TFS_MISS)
		return err;
	ck_assert_msg(err == (i < m->n ? 0 : -ENOENT), "%s: next: %d", at(m),
		      err);
	if (!err)
		same_item(m, &m->e[i], &it, "next");
	return 0;
}

static int look_back_fn(struct tfs_txn *tx, void *arg)
{
	struct model *m = arg;
	struct tfs_item it;
	bool exact;
	size_t i = model_find(m, &m->probe, &exact) + exact;
	int err = tfs_txn_prev(tx, m->probe, &it);

	while (!err && it.key.type < 128) {
		struct tfs_key key = it.key;

		/* What is before all of this type. */
		if (!key.off)
			key = tfs_key(key.obj, key.type - 1, UINT64_MAX);
		else
			key.off--;
		err = tfs_txn_prev(tx, key, &it);
	}
	if (err == TFS_MISS)
		return err;
	ck_assert_msg(err == (i ? 0 : -ENOENT), "%s: prev: %d", at(m), err);
	if (!err)
		same_item(m, &m->e[i - 1], &it, "prev");
	return 0;
}

static int change_fn(struct tfs_txn *tx, void *arg)
{
	struct model *m = arg;
	uint8_t buf[TFS_VALUE_MAX];
	struct tfs_item it;
	int err = tfs_txn_get(tx, m->probe, &it);	/* may fault */

	if (err == TFS_MISS)
		return err;
	for (unsigned int i = 0; i < m->ops; i++) {
		const struct op *op = &m->op[i];

		bed_fill(buf, op->e.len, op->e.seed);
		err = op->del ? tfs_txn_del(tx, op->e.key) :
			tfs_txn_put(tx, op->e.key, buf, op->e.len);
		if (err)
			return err;
	}
	return m->fail ? -ECANCELED : 0;
}

/* grow: out of 8, so many are puts. */
static void random_txn(struct model *m, unsigned int grow)
{
	int err;

	m->ops = pick(m, 3) ? 1 + pick(m, 4) : 1 + pick(m, OPS_MAX);
	for (unsigned int i = 0; i < m->ops; i++) {
		struct op *op = &m->op[i];

		op->del = pick(m, 8) >= grow;
		op->e.key = op->del || !pick(m, 4) ? near_key(m) :
			random_key(m);
		op->e.seed = sim_rand(&m->rand);
		op->e.len = op->del ? 0 : value_len(m);
		if (i && !pick(m, 6))		/* one key twice */
			op->e.key = m->op[pick(m, i)].e.key;
	}
	m->probe = near_key(m);
	m->fail = !pick(m, 10);
	err = tfs_txn_write(m->bed.fs, change_fn, m,
			    grow < 4 ? TFS_TXN_FREES : 0);
	ck_assert_msg(err == (m->fail ? -ECANCELED : 0), "%s: change: %s",
		      at(m), strerror(-err));
	for (unsigned int i = 0; !err && i < m->ops; i++)
		model_apply(m, &m->op[i]);
}

static void look(struct model *m)
{
	m->probe = near_key(m);
	ck_assert_msg(!tfs_txn_read(m->bed.fs, look_fn, m), "%s", at(m));
	m->probe = near_key(m);
	ck_assert_msg(!tfs_txn_read(m->bed.fs, look_back_fn, m), "%s", at(m));
}

static void compare_all(struct model *m)
{
	for (size_t i = 0; i < m->n; i++) {
		m->probe = m->e[i].key;
		ck_assert_msg(!tfs_txn_read(m->bed.fs, look_fn, m), "%s",
			      at(m));
	}
}

static void reopen(struct model *m)
{
	bed_remount(&m->bed, FS_CHECK_FOREIGN);
	compare_all(m);
}

static void model_make(struct model *m, const char *profile,
		       uint64_t clusters, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	bed_make(&m->bed, profile, clusters, seed);
	m->e = calloc(MODEL_MAX, sizeof(m->e[0]));
	m->rand = seed;
	m->sizes = seed % 4;
	m->spread = seed % 3 ? 40 : 10;
}

static void model_free(struct model *m)
{
	bed_free(&m->bed);
	free(m->e);
}

/* ---- tests --------------------------------------------------------------- */

static const char *const profiles[] = { "512+8", "4096+8" };

/* Whatever is put, replaced and deleted, looks find what the model has. */
START_TEST(tree_is_a_sorted_map)
{
	struct model *m = malloc(sizeof(*m));
	static const unsigned int grow[] = { 7, 4, 1, 6, 0 };

	model_make(m, profiles[_i / 8], 16384, _i);
	for (m->step = 0; m->step < 500; m->step++) {
		random_txn(m, grow[m->step / 100]);
		look(m);
		if (!pick(m, 60))
			ck_assert_int_eq(tfs_sync(m->bed.fs), 0);
		if (m->step % 100 == 99)
			reopen(m);
	}
	model_free(m);
	free(m);
}
END_TEST

/* The same with far more nodes than the cache may keep. */
START_TEST(tree_works_from_a_small_cache)
{
	struct model *m = malloc(sizeof(*m));

	model_make(m, "512+8", 65536, _i);
	m->bed.how.cache = 1;
	m->sizes = 2;
	m->spread = 40;
	bed_remount(&m->bed, FS_CHECK_FOREIGN);
	for (m->step = 0; m->step < 600; m->step++) {
		random_txn(m, m->step < 400 ? 7 : 2);
		look(m);
		if (m->step % 50 == 49)
			ck_assert_int_eq(tfs_ckpt_run(m->bed.fs), 0);
		if (m->step == 399)
			ck_assert_uint_gt(m->n, 1500);
	}
	ck_assert_uint_gt(atomic_load(&m->bed.fs->count.node_reads), 500);
	reopen(m);
	model_free(m);
	free(m);
}
END_TEST

/* Dirty nodes alone fill the cache: what is clean must still stay long
 * enough for a path to be walked. */
START_TEST(dirty_nodes_leave_room_for_paths)
{
	struct model *m = malloc(sizeof(*m));

	model_make(m, "512+8", 1 << 18, 2);	/* the log takes it all */
	m->bed.how.cache = 1;
	m->spread = 40;
	bed_remount(&m->bed, FS_CHECK_FOREIGN);
	for (m->step = 0; m->step < 350; m->step++)
		random_txn(m, 8);
	ck_assert_uint_gt(tfs_ncache_dirty_count(m->bed.fs), 600);
	reopen(m);
	for (m->step = 350; m->step < 650; m->step++) {
		random_txn(m, 5);
		look(m);
	}
	ck_assert_uint_gt(tfs_ncache_dirty_count(m->bed.fs), 300);
	reopen(m);
	model_free(m);
	free(m);
}
END_TEST

static void put_run(struct model *m, unsigned int n, int way,
		    unsigned int len)
{
	uint64_t base = 1ull << 32;

	m->ops = 0;
	m->fail = false;
	m->probe = tfs_key(5, 130, base);
	for (unsigned int i = 0; i < n; i++) {
		struct op *op = &m->op[m->ops++];

		base += way;
		op->del = false;
		op->e = (struct entry){ .key = tfs_key(5, 130, base),
					.seed = i, .len = len };
		if (m->ops < OPS_MAX && i + 1 < n)
			continue;
		ck_assert_int_eq(tfs_txn_write(m->bed.fs, change_fn, m, 0), 0);
		for (unsigned int k = 0; k < m->ops; k++)
			model_apply(m, &m->op[k]);
		m->ops = 0;
	}
}

/* Ascending and descending keys, sizes that split a node unevenly. */
START_TEST(ordered_keys_split_and_merge)
{
	static const unsigned int len[] = { 0, 24, 300, 700, 1040, 1100 };
	struct model *m = malloc(sizeof(*m));

	model_make(m, "512+8", 16384, _i);
	put_run(m, 1500, _i % 2 ? 1 : -1, len[_i / 2]);
	reopen(m);
	for (m->step = 0; m->n > 3; m->step++) {
		m->ops = 0;
		for (size_t i = 0; i < m->n && m->ops < OPS_MAX / 2; i++)
			m->op[m->ops++] = (struct op){ m->e[i], true };
		ck_assert_int_eq(tfs_txn_write(m->bed.fs, change_fn, m,
					       TFS_TXN_FREES), 0);
		while (m->ops)
			model_apply(m, &m->op[--m->ops]);
	}
	reopen(m);
	ck_assert_uint_le(m->bed.fs->root_level, 1);
	model_free(m);
	free(m);
}
END_TEST

/* A transaction that does not return 0 changes nothing. */
START_TEST(failed_transaction_changes_nothing)
{
	struct model *m = malloc(sizeof(*m));

	model_make(m, "512+8", 4096, 1);
	put_run(m, 200, 1, 100);
	m->ops = 2;
	m->op[0] = (struct op){ m->e[10], true };
	m->op[1] = (struct op){ m->e[11], false };
	m->op[1].e.seed = 99;
	m->fail = true;
	ck_assert_int_eq(tfs_txn_write(m->bed.fs, change_fn, m, 0),
			 -ECANCELED);
	compare_all(m);
	reopen(m);
	model_free(m);
	free(m);
}
END_TEST

/* A filesystem that is full of items says so, stays whole, and lets go. */
START_TEST(full_tree_is_whole)
{
	struct model *m = malloc(sizeof(*m));
	int err = 0;

	model_make(m, "512+8", 1024, _i);
	m->sizes = _i;
	for (m->step = 0; !err; m->step++) {
		m->ops = 1 + pick(m, 8);
		m->probe = random_key(m);
		for (unsigned int i = 0; i < m->ops; i++) {
			m->op[i] = (struct op){ .del = false };
			m->op[i].e.key = random_key(m);
			m->op[i].e.len = 1 + value_len(m);
			if (m->op[i].e.len > TFS_VALUE_MAX)
				m->op[i].e.len = TFS_VALUE_MAX;
		}
		err = tfs_txn_write(m->bed.fs, change_fn, m, 0);
		for (unsigned int i = 0; !err && i < m->ops; i++)
			model_apply(m, &m->op[i]);
	}
	ck_assert_int_eq(err, -ENOSPC);
	reopen(m);
	for (; m->n > 2; m->step++) {
		m->ops = 0;
		for (unsigned int i = 0; i < 16 && m->ops < m->n; i++)
			m->op[m->ops++] = (struct op){
				m->e[pick(m, m->n)], true };
		err = tfs_txn_write(m->bed.fs, change_fn, m, TFS_TXN_FREES);
		ck_assert_msg(!err, "%s: deleting: %s", at(m), strerror(-err));
		for (unsigned int i = 0; i < m->ops; i++)
			model_apply(m, &m->op[i]);
	}
	reopen(m);
	model_free(m);
	free(m);
}
END_TEST

/* ---- threads ------------------------------------------------------------- */

struct reader {
	struct model	*m;
	uint64_t	rand;
	atomic_bool	*stop;
	uint64_t	key;
};

static int stable_fn(struct tfs_txn *tx, void *arg)
{
	struct reader *r = arg;
	struct tfs_key key = tfs_key(5, 130, r->key);
	struct tfs_item it, after;
	int err = tfs_txn_get(tx, key, &it);

	if (!err)
		err = tfs_txn_next(tx, key, &after);
	if (err == TFS_MISS)
		return err;
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq(it.len, 300);
	ck_assert(it.val == after.val);
	return 0;
}

static void *read_loop(void *arg)
{
	struct reader *r = arg;

	while (!atomic_load(r->stop)) {
		r->key = (1ull << 32) + 1 + sim_rand(&r->rand) % 3000;
		ck_assert_int_eq(tfs_txn_read(r->m->bed.fs, stable_fn, r), 0);
	}
	return NULL;
}

static void *sync_loop(void *arg)
{
	struct reader *r = arg;

	while (!atomic_load(r->stop))
		ck_assert_int_eq(tfs_sync(r->m->bed.fs), 0);
	return NULL;
}

/* Readers, whose nodes come and go, beside a writer and checkpoints. */
START_TEST(readers_see_what_is_there)
{
	struct model *m = malloc(sizeof(*m));
	struct reader r[3];
	atomic_bool stop = false;
	pthread_t t[3];

	model_make(m, "512+8", 32768, 1);
	m->bed.how.cache = 1;
	put_run(m, 3000, 1, 300);
	bed_umount(&m->bed);
	bed_threads(&m->bed, 2);
	bed_mount(&m->bed);
	for (int i = 0; i < 3; i++) {
		r[i] = (struct reader){ m, i, &stop, 0 };
		pthread_create(&t[i], NULL, i ? read_loop : sync_loop, &r[i]);
	}
	m->spread = 40;
	for (m->step = 0; m->step < 300; m->step++) {
		m->ops = 16;
		m->fail = false;
		for (unsigned int i = 0; i < m->ops; i++)
			m->op[i] = (struct op){ {
				tfs_key(pick(m, 2) ? 4 : 6, 130,
					pick(m, 1000)), i, value_len(m) },
				pick(m, 2) };
		m->probe = m->op[0].e.key;
		ck_assert_int_eq(tfs_txn_write(m->bed.fs, change_fn, m, 0), 0);
		for (unsigned int i = 0; i < m->ops; i++) {
			if (m->op[i].del)
				m->op[i].e.len = 0;
			model_apply(m, &m->op[i]);
		}
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	reopen(m);
	model_free(m);
	free(m);
}
END_TEST

/* Memory for nodes: pieces are whole pages, nobody has two, and what was put
 * back is taken again before there is more. */
START_TEST(pieces_of_memory_are_nobody_elses)
{
	enum { N = 300 };
	static struct { uint8_t *at; struct tfs_chunk *from; } p[N];
	uint64_t rand = 7;
	struct tfs_slab *slab;

	ck_assert_int_eq(tfs_slab_create(&slab, 4096), 0);
	for (unsigned int step = 0; step < 20 * N; step++) {
		unsigned int i, fill, k = 0;

		rand = rand * 6364136223846793005u + 1442695040888963407u;
		i = (unsigned int)(rand >> 33) % N;
		fill = i & 0xff;
		if (!p[i].at) {
			p[i].at = tfs_slab_get(slab, &p[i].from);
			ck_assert_ptr_nonnull(p[i].at);
			ck_assert_uint_eq((uintptr_t)p[i].at % 4096, 0);
			memset(p[i].at, (int)fill, 4096);
			continue;
		}
		while (k < 4096 && p[i].at[k] == fill)
			k++;
		ck_assert_msg(k == 4096, "step %u, piece %u: byte %u is "
			      "another's", step, i, k);
		tfs_slab_put(p[i].from, p[i].at);
		p[i].at = NULL;
	}
	for (unsigned int i = 0; i < N; i++)
		if (p[i].at)
			tfs_slab_put(p[i].from, p[i].at);
	tfs_slab_destroy(slab);
}
END_TEST

static Suite *tree_suite(void)
{
	Suite *s = suite_create("tree");
	TCase *tc = tcase_create("tree");

	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, tree_is_a_sorted_map, 0, 16);
	tcase_add_loop_test(tc, tree_works_from_a_small_cache, 0, 2);
	tcase_add_test(tc, dirty_nodes_leave_room_for_paths);
	tcase_add_loop_test(tc, ordered_keys_split_and_merge, 0, 12);
	tcase_add_test(tc, failed_transaction_changes_nothing);
	tcase_add_test(tc, pieces_of_memory_are_nobody_elses);
	tcase_add_loop_test(tc, full_tree_is_whole, 0, 4);
	suite_add_tcase(s, tc);
	tc = tcase_create("threads");
	tcase_set_timeout(tc, 240);
	tcase_add_test(tc, readers_see_what_is_there);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return bed_run_suite(tree_suite());
}
