/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_scrub.c - a scrub finds all that has rotted, names it, and nothing
 * else, whatever others do meanwhile. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/locate.h"
#include "check/scrub.h"
#include "commit/ckpt.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"

#define FILES	40u
#define SIZE	(300u << 10)
#define ROOM	512u

struct seen {
	struct tfs_scrub_finding f[ROOM];
	unsigned int	n;
};

static void found(struct tfs_scrub *s, const struct tfs_scrub_finding *f)
{
	struct seen *seen = s->arg;

	if (seen->n < ROOM)
		seen->f[seen->n] = *f;
	seen->n++;
}

static struct tfs_scrub scrub(struct bed *b, struct seen *seen, bool data,
			      bool meta)
{
	struct tfs_scrub s = { .fs = b->fs, .arg = seen, .found = found,
			       .data = data, .meta = meta };
	int err;

	seen->n = 0;
	ck_assert_int_eq(tfs_scrub_begin(&s), 0);
	do {
		err = tfs_scrub_step(&s);
		ck_assert_msg(!err, "%s: a step fails: %s", b->where,
			      strerror(-err));
	} while (!s.done);
	tfs_scrub_end(&s);
	return s;
}

static void name_of(char *name, unsigned int i)
{
	sprintf(name, "file %u", i);
}

static void fill_file(struct bed *b, uint32_t ino, uint64_t off, size_t len,
		      uint64_t seed)
{
	uint8_t *buf = malloc(len);

	bed_fill(buf, len, seed);
	ck_assert_int_eq(tfs_write(b->fs, ino, off, buf, len, 0), 0);
	free(buf);
}

/* Written with holes between, so that there are many extents. */
static void make(struct bed *b, const char *profile, uint64_t seed,
		 uint32_t ino[FILES])
{
	char name[32];

	bed_make(b, profile, 20000, seed);
	for (unsigned int i = 0; i < FILES; i++) {
		name_of(name, i);
		ino[i] = bed_file(b, name);
		for (uint64_t at = 0; at < SIZE; at += SIZE / (1 + i % 5))
			fill_file(b, ino[i], at, SIZE / (2 + i % 5), seed + i);
	}
	bed_remount(b, 0);
}

static const char *const profiles[] = { "512+8", "4096+8" };

START_TEST(a_scrub_reads_all_and_has_no_false_alarm)
{
	uint32_t ino[FILES];
	struct tfs_inode in;
	uint64_t mapped = 0;
	struct tfs_scrub s;
	struct seen seen;
	struct bed b;

	make(&b, profiles[_i], _i, ino);
	for (unsigned int i = 0; i < FILES; i++) {
		ck_assert_int_eq(tfs_getattr(b.fs, ino[i], &in), 0);
		mapped += in.clusters;
	}
	s = scrub(&b, &seen, true, true);
	ck_assert_uint_eq(seen.n, 0);
	ck_assert_uint_eq(s.bytes, mapped * b.fs->csize);
	ck_assert_uint_ge(s.nodes, 1);
	s = scrub(&b, &seen, false, true);
	ck_assert_uint_eq(s.bytes, 0);
	s = scrub(&b, &seen, true, false);
	ck_assert_uint_eq(s.bytes, mapped * b.fs->csize);
	ck_assert_uint_eq(s.nodes + seen.n, 0);
	bed_free(&b);
}
END_TEST

struct hit {
	uint32_t	ino;
	uint64_t	off, cluster;
};

/* A place of that file that has content, and was not hit yet. */
static bool pick(struct bed *b, uint32_t ino, uint64_t *rand,
		 const struct hit *hits, unsigned int n, struct hit *h)
{
	struct tfs_place at;

	h->ino = ino;
	h->off = sim_rand(rand) % SIZE / b->fs->csize * b->fs->csize;
	ck_assert_int_eq(tfs_locate_byte(b->fs, ino, h->off, &at), 0);
	h->cluster = at.cluster;
	for (unsigned int i = 0; i < n; i++)
		if (hits[i].cluster == h->cluster)
			return false;
	return at.state == TFS_PLACE_MAPPED;
}

/* A bit of the data. */
static void spoil(struct bed *b, const struct hit *h, uint64_t *rand)
{
	sim_flip(b->sim, bed_data_at(b, h->cluster) +
		 sim_rand(rand) % b->fs->csize, 1 << sim_rand(rand) % 8);
}

START_TEST(all_rot_in_files_is_found_and_named)
{
	enum { HITS = 60 };
	struct hit hits[HITS];
	uint64_t rand = _i;
	uint32_t ino[FILES];
	struct tfs_scrub s;
	struct seen seen;
	struct bed b;
	unsigned int k;

	make(&b, profiles[_i % 2], _i, ino);
	for (unsigned int n = 0; n < HITS; )
		n += pick(&b, ino[sim_rand(&rand) % FILES], &rand, hits, n,
			  &hits[n]);
	for (unsigned int n = 0; n < HITS; n++)
		spoil(&b, &hits[n], &rand);
	s = scrub(&b, &seen, true, true);
	ck_assert_uint_eq(s.uncorrectable, HITS);
	ck_assert_uint_eq(seen.n, HITS);
	for (unsigned int n = 0; n < HITS; n++) {
		for (k = 0; k < HITS; k++)
			if (seen.f[k].ino == hits[n].ino &&
			    seen.f[k].off == hits[n].off)
				break;
		ck_assert_msg(k < HITS, "seed %d: inode %u, offset %llu is "
			      "not found", _i, hits[n].ino,
			      (unsigned long long)hits[n].off);
		ck_assert_uint_eq(seen.f[k].cluster, hits[n].cluster);
		ck_assert_int_eq(seen.f[k].err, -EBADMSG);
		ck_assert_int_eq(seen.f[k].fault.kind, ENG_FAULT_GUARD);
		ck_assert(!seen.f[k].healed);
	}
	bed_free(&b);
}
END_TEST

/* The tuples are sound, and another cluster's: a write that was lost or went
 * elsewhere.  Only who looks for what should be there can tell. */
START_TEST(content_that_is_not_the_files_is_found)
{
	const struct eng_profile *p = eng_profile_find(profiles[_i % 2]);
	struct bed_cluster *old = malloc(sizeof(*old));
	uint32_t ino[FILES];
	struct tfs_place at;
	struct seen seen;
	struct bed b;
	uint64_t addr;

	make(&b, profiles[_i % 2], _i, ino);
	ck_assert_int_eq(tfs_locate_byte(b.fs, ino[7], 0, &at), 0);
	ck_assert_int_eq(at.state, TFS_PLACE_MAPPED);
	addr = at.cluster;
	bed_umount(&b);
	bed_peek(b.sim, p, addr + 1, old);
	bed_poke(b.sim, p, addr, old);
	bed_mount(&b);
	scrub(&b, &seen, true, true);
	ck_assert_uint_eq(seen.n, 1);
	ck_assert_uint_eq(seen.f[0].ino, ino[7]);
	ck_assert_uint_eq(seen.f[0].off, 0);
	free(old);
	bed_free(&b);
}
END_TEST

START_TEST(copies_of_nodes_that_have_rotted_are_healed)
{
	struct tfs_miss *node;
	uint32_t ino[FILES];
	struct tfs_scrub s;
	uint64_t rand = _i;
	struct seen seen;
	struct bed b;
	char name[32];
	size_t n;

	make(&b, profiles[_i % 2], _i, ino);
	for (unsigned int i = 0; i < 1000; i++) {
		sprintf(name, "small %u", i);
		bed_file(&b, name);
	}
	bed_remount(&b, 0);
	n = fs_nodes(b.fs, &node);
	ck_assert_uint_gt(n, 2);
	for (size_t i = 0; i < n; i++)
		sim_flip(b.sim, bed_data_at(&b, node[i].ptr.addr[i % 2]) +
			 sim_rand(&rand) % b.fs->csize, 1);
	s = scrub(&b, &seen, false, true);
	ck_assert_uint_eq(s.healed, n);
	ck_assert_uint_eq(s.uncorrectable, 0);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(seen.f[i].kind, TFS_SCRUB_NODE);
	for (unsigned int i = 0; i < 20 && seen.n; i++) {
		ck_assert_int_eq(tfs_ckpt_run(b.fs), 0);
		scrub(&b, &seen, false, true);
	}
	ck_assert_uint_eq(seen.n, 0);
	free(node);
	bed_remount(&b, 0);
	bed_free(&b);
}
END_TEST

/* ---- beside others ------------------------------------------------------ */

static atomic_bool stop;

struct writer {
	pthread_t	id;
	struct bed	*b;
	unsigned int	number;
	uint64_t	rand;
};

static void disturb(struct writer *w)
{
	static const int modes[] = { 0, 1, 3, 0x10 };	/* of fallocate */
	struct tfs *fs = w->b->fs;
	struct tfs_inode in = { .size = sim_rand(&w->rand) % SIZE };
	uint64_t off = sim_rand(&w->rand) % SIZE, len;
	uint8_t buf[20000];
	char name[32];
	struct tfs_new new = { .mode = S_IFREG | 0644 };

	len = sim_rand(&w->rand) % sizeof(buf) + 1;
	sprintf(name, "%u.%u", w->number, (unsigned int)
		(sim_rand(&w->rand) % 8));
	if (tfs_lookup(fs, TFS_ROOT_INO, name, &in) &&
	    tfs_create(fs, TFS_ROOT_INO, name, &new, &in))
		return;
	switch (sim_rand(&w->rand) % 12) {
	case 0:
		tfs_unlink(fs, TFS_ROOT_INO, name);
		break;
	case 1:
		in.size = off;
		tfs_setattr(fs, in.ino, TFS_SET_SIZE, &in);
		break;
	case 2:
		tfs_fallocate(fs, in.ino, modes[off % 4], off, len * 4);
		break;
	case 3:
		tfs_fsync(fs, in.ino, false);
		break;
	case 4:
		tfs_ckpt_run(fs);
		break;
	default:
		bed_fill(buf, len, w->rand);
		tfs_write(fs, in.ino, off, buf, len, 0);
	}
	tfs_unref(fs, in.ino, 1);
}

static void *disturb_all(void *arg)
{
	struct writer *w = arg;

	while (!atomic_load(&stop))
		disturb(w);
	return NULL;
}

START_TEST(threads_give_no_false_alarm_and_hide_nothing)
{
	enum { WRITERS = 3 };
	unsigned int rounds = getenv("TAGFS_TEST_QUICK") ? 5 : 25;
	struct writer w[WRITERS];
	uint32_t ino[FILES];
	struct seen seen;
	struct hit h;
	uint64_t rand = _i + 1000;
	struct bed b;

	make(&b, profiles[_i % 2], _i, ino);
	bed_umount(&b);
	bed_threads(&b, 2);
	bed_mount(&b);
	while (!pick(&b, ino[3], &rand, NULL, 0, &h))
		;
	atomic_store(&stop, false);
	for (unsigned int i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){ .b = &b, .number = i,
					.rand = _i * 100 + i };
		pthread_create(&w[i].id, NULL, disturb_all, &w[i]);
	}
	for (unsigned int i = 0; i < BED_LESS(rounds); i++) {
		scrub(&b, &seen, true, true);
		ck_assert_msg(seen.n == 0, "seed %d, round %u: inode %u, "
			      "offset %llu: false alarm: %d", _i, i,
			      seen.f[0].ino, (unsigned long long)
			      seen.f[0].off, seen.f[0].err);
	}
	spoil(&b, &h, &rand);
	for (unsigned int i = 0; i < 3; i++) {
		scrub(&b, &seen, true, true);
		ck_assert_uint_eq(seen.n, 1);
		ck_assert_uint_eq(seen.f[0].ino, h.ino);
		ck_assert_uint_eq(seen.f[0].off, h.off);
	}
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < WRITERS; i++)
		pthread_join(w[i].id, NULL);
	bed_free(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scrub");
	TCase *t = tcase_create("still");

	tcase_set_timeout(t, 300);
	tcase_add_loop_test(t, a_scrub_reads_all_and_has_no_false_alarm, 0, 2);
	tcase_add_loop_test(t, all_rot_in_files_is_found_and_named, 0, 6);
	tcase_add_loop_test(t, content_that_is_not_the_files_is_found, 0, 2);
	tcase_add_loop_test(t, copies_of_nodes_that_have_rotted_are_healed, 0,
			    4);
	suite_add_tcase(s, t);
	t = tcase_create("threads");
	tcase_set_timeout(t, 600);
	tcase_add_loop_test(t, threads_give_no_false_alarm_and_hide_nothing, 0,
			    4);
	suite_add_tcase(s, t);
	return bed_run_suite(s);
}
