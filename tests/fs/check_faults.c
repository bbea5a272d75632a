/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_faults.c - whatever happens to the medium, no wrong byte is read.
 *
 * A filesystem with a past: most of its clusters have been something else
 * before, and two older disks of it are kept to replay them from.  Every
 * case is a copy of the disk with some faults put in, opened again and read
 * from end to end.  What a read returns is right, or it is an error; and
 * where clusters of content alone were hit, nothing else is an error. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/extent.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "support/mend.h"
#include "tree/node.h"
#include "soft/soft_format.h"

#define FILES	24u
#define MAX_CLUSTERS 16u
#define CASES	BED_LESS(100u)	/* per test and kind */

struct file {
	uint32_t	ino;
	uint64_t	size;
	uint8_t		*data;
};

enum use { UNUSED, CONTENT, METADATA };

struct owner {
	enum use	use;
	unsigned int	file, lc;
};

static struct {
	const struct eng_profile *p;
	uint32_t	csize;
	uint64_t	clusters;
	uint64_t	number;		/* of the newest checkpoint */
	struct sim	*now, *past[2];
	struct file	file[FILES];
	struct owner	*owner;		/* of each cluster */
	uint64_t	*used;
	size_t		n_used;
} disk;

/* ---- a filesystem with a past -------------------------------------------- */

static void name_of(char *name, unsigned int i)
{
	sprintf(name, "file%u", i);
}

/* Content anew, in whole clusters: a part of one is only a lane or two, and
 * those may by chance be right.  Every sixth is small. */
static void rewrite(struct bed *b, unsigned int i, uint64_t *rand)
{
	struct file *f = &disk.file[i];
	struct tfs_inode in = { .size = 0 };

	f->size = (1 + sim_rand(rand) % MAX_CLUSTERS) * disk.csize;
	if (i % 6 == 0)
		f->size = 1 + sim_rand(rand) % TFS_INLINE_MAX;
	f->data = realloc(f->data, f->size);
	bed_fill(f->data, f->size, sim_rand(rand));
	ck_assert_int_eq(tfs_setattr(b->fs, f->ino, TFS_SET_SIZE, &in), 0);
	ck_assert_int_eq(tfs_write(b->fs, f->ino, 0, f->data, f->size, 0), 0);
}

static void make_past(struct bed *b, uint64_t *rand)
{
	char name[16];

	for (unsigned int i = 0; i < FILES; i++) {
		name_of(name, i);
		disk.file[i].ino = bed_file(b, name);
	}
	for (int round = 0; round < 30; round++) {
		for (unsigned int i = 0; i < FILES; i++)
			if (round < 2 || sim_rand(rand) % 3)
				rewrite(b, i, rand);
		ck_assert_int_eq(tfs_sync(b->fs), 0);
		if (round == 10)
			disk.past[0] = sim_clone(b->sim);
		if (round == 25)
			disk.past[1] = sim_clone(b->sim);
	}
}

struct owners {
	unsigned int	file;
	uint64_t	at;
	struct tfs_extent ext;
};

static int extent_fn(struct tfs_txn *tx, void *arg)
{
	struct owners *o = arg;

	return tfs_extent_find(tx, disk.file[o->file].ino, o->at, &o->ext);
}

static void use_cluster(uint64_t addr, enum use use, unsigned int file,
			unsigned int lc)
{
	disk.owner[addr] = (struct owner){ use, file, lc };
	disk.used[disk.n_used++] = addr;
}

static void find_owners(struct bed *b)
{
	struct tfs_miss *node;
	size_t n = fs_nodes(b->fs, &node);

	disk.owner = calloc(disk.clusters, sizeof(disk.owner[0]));
	disk.used = calloc(disk.clusters, sizeof(disk.used[0]));
	for (size_t i = 0; i < n; i++)
		for (int copy = 0; copy < 2; copy++)
			use_cluster(node[i].ptr.addr[copy], METADATA, 0, 0);
	free(node);
	for (unsigned int i = 0; i < 3; i++) {
		use_cluster(i, METADATA, 0, 0);
		use_cluster(disk.clusters - 1 - i, METADATA, 0, 0);
	}
	for (unsigned int i = 0; i < FILES; i++) {
		struct owners o = { .file = i };

		while (!tfs_txn_read(b->fs, extent_fn, &o)) {
			for (uint64_t k = 0; k < o.ext.len; k++)
				use_cluster(o.ext.addr + k, CONTENT, i,
					    o.ext.lc + k);
			o.at = o.ext.lc + o.ext.len;
		}
	}
}

static void setup(const char *profile)
{
	uint64_t rand = 1;
	struct bed b;

	memset(&disk, 0, sizeof(disk));
	bed_make(&b, profile, 1024, 1);
	disk.p = eng_profile_find(profile);
	disk.csize = tfs_cluster_size(b.fs);
	disk.clusters = b.fs->super.clusters;
	make_past(&b, &rand);
	find_owners(&b);
	disk.number = b.fs->slot_number;
	/* No clean end: what find_owners() saw is what is there. */
	disk.now = sim_clone(b.sim);
	sim_settle(disk.now, true);
	sim_settle(disk.past[0], true);
	sim_settle(disk.past[1], true);
	bed_free(&b);
}

static void setup_512(void)
{
	setup("512+8");
}

static void setup_4096(void)
{
	setup("4096+8");
}

static void teardown(void)
{
	for (unsigned int i = 0; i < FILES; i++)
		free(disk.file[i].data);
	free(disk.owner);
	free(disk.used);
	sim_destroy(disk.now);
	sim_destroy(disk.past[0]);
	sim_destroy(disk.past[1]);
}

/* ---- one case ------------------------------------------------------------ */

struct one {
	struct bed	bed;
	uint64_t	rand;
	uint64_t	hit[8];
	unsigned int	hits;
	bool		pages;		/* a tuple page was hit */
	uint64_t	number;		/* of the newest checkpoint known */
	uint8_t		*buf;
};

static uint64_t pick(struct one *c, uint64_t n)
{
	return sim_rand(&c->rand) % n;
}

static uint64_t some_cluster(struct one *c)
{
	uint64_t addr = disk.used[pick(c, disk.n_used)];

	c->hit[c->hits++] = addr;
	return addr;
}

static void peek(struct one *c, uint64_t addr, struct bed_cluster *cl)
{
	bed_peek(c->bed.sim, disk.p, addr, cl);
}

static void poke(struct one *c, uint64_t addr, const struct bed_cluster *cl)
{
	bed_poke(c->bed.sim, disk.p, addr, cl);
}

/* The tags of the tuples, with guard and reference of another place: what
 * a device would write that does not know better. */
static void retuple(struct bed_cluster *cl, uint64_t addr)
{
	uint32_t n = disk.csize / disk.p->interval;
	uint16_t tags[TFS_LANES];

	for (uint32_t i = 0; i < n; i++)
		tags[i] = eng_tuple_tag(disk.p, cl->tuples +
					i * disk.p->meta_size);
	for (uint32_t i = 0; i < n; i++)
		if (tags[i] == 0xffff)
			return;
	eng_generate(disk.p, cl->data, cl->tuples, n, addr * n, tags);
}

static void flip_bits(struct one *c)
{
	static struct bed_cluster cl;
	uint64_t addr = some_cluster(c);

	peek(c, addr, &cl);
	for (unsigned int i = 1 + pick(c, 8); i; i--)
		cl.data[pick(c, disk.csize)] ^= 1u << pick(c, 8);
	poke(c, addr, &cl);
}

static void flip_tuple_bits(struct one *c)
{
	static struct bed_cluster cl;
	uint64_t addr = some_cluster(c);
	uint32_t n = disk.csize / disk.p->interval * disk.p->meta_size;

	peek(c, addr, &cl);
	for (unsigned int i = 1 + pick(c, 8); i; i--)
		cl.tuples[pick(c, n)] ^= 1u << pick(c, 8);
	poke(c, addr, &cl);
}

static void garbage(struct one *c)
{
	static struct bed_cluster cl;
	uint64_t addr = some_cluster(c);

	peek(c, addr, &cl);
	if (pick(c, 2))
		memset(cl.data, pick(c, 2) ? 0 : 0xff, disk.csize);
	else
		bed_fill(cl.data, disk.csize, sim_rand(&c->rand));
	poke(c, addr, &cl);
}

/* Two clusters change places: bytes; with their tuples; and with reference
 * tags as if they belonged there. */
static void swap(struct one *c)
{
	static struct bed_cluster a, b, t;
	uint64_t at = some_cluster(c), bt = some_cluster(c);
	unsigned int how = pick(c, 3);

	peek(c, at, &a);
	peek(c, bt, &b);
	t = a;
	memcpy(a.data, b.data, disk.csize);
	memcpy(b.data, t.data, disk.csize);
	if (how) {
		memcpy(a.tuples, b.tuples, sizeof(a.tuples));
		memcpy(b.tuples, t.tuples, sizeof(b.tuples));
	}
	if (how == 2) {
		retuple(&a, at);
		retuple(&b, bt);
	}
	poke(c, at, &a);
	poke(c, bt, &b);
}

/* One cluster is written to the place of another. */
static void misdirect(struct one *c)
{
	static struct bed_cluster cl;
	uint64_t to = some_cluster(c);

	peek(c, disk.used[pick(c, disk.n_used)], &cl);
	if (pick(c, 2))
		retuple(&cl, to);
	poke(c, to, &cl);
}

/* Writes that were lost: what was there before. */
static void replay(struct one *c)
{
	static struct bed_cluster old, cl;
	uint64_t addr = some_cluster(c);

	bed_peek(disk.past[pick(c, 2)], disk.p, addr, &old);
	peek(c, addr, &cl);
	memcpy(cl.data, old.data, disk.csize);
	if (pick(c, 3))
		memcpy(cl.tuples, old.tuples, sizeof(cl.tuples));
	poke(c, addr, &cl);
}

/* A torn cluster: some of its intervals are old, tuples and all. */
static void tear(struct one *c)
{
	static struct bed_cluster old, cl;
	uint64_t addr = some_cluster(c);
	uint32_t n = disk.csize / disk.p->interval, m = disk.p->meta_size;
	uint32_t size = disk.p->interval;

	bed_peek(disk.past[pick(c, 2)], disk.p, addr, &old);
	peek(c, addr, &cl);
	for (uint32_t i = 0; i < n; i++) {
		/* 2^-15 of all lanes are equal by chance: not those. */
		if (pick(c, 2) || eng_tuple_tag(disk.p, cl.tuples + i * m) ==
		    eng_tuple_tag(disk.p, old.tuples + i * m))
			continue;
		memcpy(cl.data + i * size, old.data + i * size, size);
		memcpy(cl.tuples + i * m, old.tuples + i * m, m);
	}
	poke(c, addr, &cl);
}

static void hit_page(struct one *c)
{
	uint64_t addr = some_cluster(c);
	uint64_t at = bed_page_at(c->bed.sim, disk.p, addr);
	uint8_t page[4096] = { 0 };

	c->pages = true;
	switch (pick(c, 4)) {
	case 0:			/* zeros, in whole or in part */
		sim_poke(c->bed.sim, at, page, 512 << pick(c, 4));
		break;
	case 1:			/* an older version, over the newer one */
		sim_peek(disk.past[pick(c, 2)], at, page, sizeof(page));
		sim_poke(c->bed.sim, at, page, sizeof(page));
		break;
	case 2:			/* of another zone */
		sim_peek(c->bed.sim, bed_page_at(c->bed.sim, disk.p,
			 disk.used[pick(c, disk.n_used)]), page,
			 sizeof(page));
		sim_poke(c->bed.sim, at, page, sizeof(page));
		break;
	default:
		for (unsigned int i = 1 + pick(c, 20); i; i--)
			sim_flip(c->bed.sim, at + pick(c, 4096),
				 1u << pick(c, 8));
	}
}

static void any_byte(struct one *c)
{
	c->pages = true;
	for (unsigned int i = 1 + pick(c, 30); i; i--)
		sim_flip(c->bed.sim, pick(c, sim_raw(c->bed.sim)->size),
			 1u << pick(c, 8));
}

static void (*const kinds[])(struct one *c) = {
	flip_bits, flip_tuple_bits, garbage, swap, misdirect, replay, tear,
	hit_page, any_byte,
};
enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

/* ---- what is read -------------------------------------------------------- */

/* May this cluster of the file be an error? */
static bool may_fail(const struct one *c, unsigned int file, uint64_t lc,
		     uint64_t n)
{
	unsigned int metadata = 0;

	for (unsigned int i = 0; i < c->hits; i++) {
		const struct owner *o = &disk.owner[c->hit[i]];

		metadata += o->use == METADATA;
		if (o->use == CONTENT && o->file == file && o->lc >= lc &&
		    o->lc < lc + n)
			return true;
	}
	/* One copy of metadata may go, not both. */
	return c->pages || metadata > 1;
}

static void read_part(struct one *c, unsigned int i, uint64_t lc, uint64_t n)
{
	const struct file *f = &disk.file[i];
	uint64_t off = lc * disk.csize, len = n * disk.csize;
	ssize_t got;

	if (len > f->size - off)
		len = f->size - off;
	got = tfs_read_sync(c->bed.fs, f->ino, off, c->buf, len);
	if (got < 0) {
		ck_assert_msg(may_fail(c, i, lc, n), "%s: file %u, clusters "
			      "%llu+%llu: %s, though nothing hit them",
			      c->bed.where, i, (unsigned long long)lc,
			      (unsigned long long)n, strerror((int)-got));
		return;
	}
	if ((uint64_t)got != len || memcmp(c->buf, f->data + off, len))
		ck_abort_msg("%s: file %u, clusters %llu+%llu: WRONG BYTES",
			     c->bed.where, i, (unsigned long long)lc,
			     (unsigned long long)n);
}

/* With both copies of the newest slot gone, the checkpoint before it is what
 * there is: an older state, which nothing here can tell from a newer. */
static bool rolled_back(struct one *c)
{
	uint64_t number = c->bed.fs->slot_number;	/* +1 by the mount */
	bool back = number < c->number + !c->bed.how.rdonly;

	ck_assert_msg(!back || may_fail(c, FILES, 0, 0), "%s: an older "
		      "checkpoint was mounted", c->bed.where);
	c->number = number;
	return back;
}

static void read_all(struct one *c)
{
	struct tfs_inode in;
	char name[16];

	for (unsigned int i = 0; i < FILES; i++) {
		uint64_t n = (disk.file[i].size + disk.csize - 1) /
			disk.csize;
		int err;

		name_of(name, i);
		err = tfs_lookup(c->bed.fs, TFS_ROOT_INO, name, &in);
		ck_assert_msg(!err || (err != -ENOENT && may_fail(c, i, 0, 0)),
			      "%s: lookup: %s", c->bed.where, strerror(-err));
		if (!err) {
			ck_assert_uint_eq(in.ino, disk.file[i].ino);
			ck_assert_uint_eq(in.size, disk.file[i].size);
			tfs_unref(c->bed.fs, in.ino, 1);
		}
		read_part(c, i, 0, n);
		for (uint64_t lc = 0; lc < n; lc++)
			read_part(c, i, lc, 1);
	}
}

/* Is anything but content and single copies hit? */
static bool may_not_mount(const struct one *c)
{
	return may_fail(c, FILES, 0, 0);
}

static void read_case(struct one *c)
{
	int err;

	c->bed.how.rdonly = pick(c, 2);
	sim_set_rdonly(c->bed.sim, c->bed.how.rdonly);
	err = bed_open(&c->bed);
	ck_assert_msg(!err || may_not_mount(c), "%s: mount: %s", c->bed.where,
		      strerror(-err));
	if (err || rolled_back(c))
		return;
	read_all(c);
	if (c->bed.how.rdonly)
		return;
	/* What a checkpoint heals, and what it moves, is no lie either. */
	err = tfs_sync(c->bed.fs);
	ck_assert_msg(!err || may_not_mount(c), "%s: sync: %s", c->bed.where,
		      strerror(-err));
	c->number = c->bed.fs->slot_number;
	bed_drop(&c->bed);
	err = bed_open(&c->bed);
	ck_assert_msg(!err || may_not_mount(c), "%s: mount again: %s",
		      c->bed.where, strerror(-err));
	if (!err && !rolled_back(c))
		read_all(c);
}

/* Whatever is left of it. */
static void be_mended(struct one *c, uint64_t n)
{
	bed_drop(&c->bed);
	sim_clear_faults(c->bed.sim);
	if (mend_due(n, 24))
		mend_anything(&c->bed);
}

static void one_case(unsigned int kind, uint64_t seed, unsigned int faults)
{
	struct one c = { .rand = seed * 1000 + kind,
			 .number = disk.number };

	bed_take(&c.bed, sim_clone(disk.now), seed);
	snprintf(c.bed.where, sizeof(c.bed.where), "kind %u, seed %llu", kind,
		 (unsigned long long)seed);
	c.buf = malloc((MAX_CLUSTERS + 1) * disk.csize);
	while (faults--)
		kinds[kind < KINDS ? kind : pick(&c, KINDS)](&c);
	read_case(&c);
	be_mended(&c, seed + kind);
	free(c.buf);
	bed_free(&c.bed);
}

/* ---- tests --------------------------------------------------------------- */

/* Without faults, everything reads: the other tests mean something. */
START_TEST(nothing_hit_nothing_wrong)
{
	struct one c = { .rand = 1, .number = disk.number };

	ck_assert_uint_gt(disk.n_used, 150);
	bed_take(&c.bed, sim_clone(disk.now), 0);
	c.buf = malloc((MAX_CLUSTERS + 1) * disk.csize);
	read_case(&c);
	free(c.buf);
	bed_free(&c.bed);
}
END_TEST

START_TEST(one_fault_is_no_lie)
{
	for (uint64_t seed = 0; seed < CASES; seed++)
		one_case(_i, seed, 1);
}
END_TEST

START_TEST(many_faults_are_no_lie)
{
	for (uint64_t seed = _i * CASES; seed < (_i + 1) * CASES; seed++)
		one_case(KINDS, seed, 2 + seed % 3);
}
END_TEST

/* Each single cluster in turn is destroyed: its file has one bad cluster,
 * all else is as before. */
START_TEST(each_cluster_stands_alone)
{
	static struct bed_cluster cl;

	for (size_t i = 0; i < disk.n_used; i++) {
		struct one c = { .rand = i, .number = disk.number };

		bed_take(&c.bed, sim_clone(disk.now), i);
		c.buf = malloc((MAX_CLUSTERS + 1) * disk.csize);
		c.hit[c.hits++] = disk.used[i];
		peek(&c, disk.used[i], &cl);
		memset(cl.data, 0x5a, disk.csize);
		poke(&c, disk.used[i], &cl);
		read_case(&c);
		be_mended(&c, i);
		free(c.buf);
		bed_free(&c.bed);
	}
}
END_TEST

/* Faults that come and go on the way, while it runs. */
START_TEST(device_that_lies_is_caught)
{
	for (uint64_t seed = 0; seed < CASES; seed++) {
		struct one c = { .rand = seed, .pages = true,
				 .number = disk.number };
		uint64_t size = sim_raw(disk.now)->size;
		int err;

		bed_take(&c.bed, sim_clone(disk.now), seed);
		c.buf = malloc((MAX_CLUSTERS + 1) * disk.csize);
		sim_keep_old(c.bed.sim);
		sim_fault(c.bed.sim, pick(&c, 2) ? SIM_READ_FAIL :
			  SIM_READ_STALE, 0, size, -EIO, pick(&c, 60),
			  1 + pick(&c, 4));
		sim_fault(c.bed.sim, pick(&c, 2) ? SIM_WRITE_LOST :
			  SIM_WRITE_TORN, 0, size, 0, pick(&c, 20),
			  1 + pick(&c, 4));
		err = bed_open(&c.bed);
		if (!err && !rolled_back(&c)) {
			read_all(&c);
			sim_clear_faults(c.bed.sim);
			bed_drop(&c.bed);
			err = bed_open(&c.bed);
			if (!err && !rolled_back(&c))
				read_all(&c);
		}
		be_mended(&c, seed);
		free(c.buf);
		bed_free(&c.bed);
	}
}
END_TEST

static TCase *faults_case(const char *name, void (*set_up)(void))
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 240);
	tcase_add_unchecked_fixture(tc, set_up, teardown);
	tcase_add_test(tc, nothing_hit_nothing_wrong);
	tcase_add_loop_test(tc, one_fault_is_no_lie, 0, KINDS);
	tcase_add_loop_test(tc, many_faults_are_no_lie, 0, 2);
	tcase_add_test(tc, each_cluster_stands_alone);
	tcase_add_test(tc, device_that_lies_is_caught);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("faults");

	suite_add_tcase(s, faults_case("512+8", setup_512));
	suite_add_tcase(s, faults_case("4096+8", setup_4096));
	return bed_run_suite(s);
}
