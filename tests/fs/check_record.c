/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_record.c - what the record in the application tags promises.
 *
 * Where chance decides, the bounds are six standard deviations and more, so
 * that a failure says something about the mixing and not about luck. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/record.h"
#include "support/sim_raw.h"

#define LANE	(1.0 / 32768)

static uint64_t rand_state;

static uint64_t draw(void)
{
	return sim_rand(&rand_state);
}

static void random_key(struct tfs_record_key *key)
{
	uint8_t nonce[TFS_NONCE];

	for (int i = 0; i < TFS_NONCE; i++)
		nonce[i] = draw();
	tfs_record_key_init(key, nonce);
}

/* Sizes of all magnitudes, as owners and sequences have them. */
static struct tfs_record random_record(void)
{
	return (struct tfs_record){
		.kind = TFS_K_SUPER + draw() % 7,
		.owner = draw() >> (32 + draw() % 32),
		.index = draw() >> (32 + draw() % 32),
		.seq = draw() >> (64 - TFS_SEQ_BITS + draw() % TFS_SEQ_BITS),
	};
}

static uint64_t random_addr(void)
{
	return draw() >> (20 + draw() % 44);
}

static bool same(const struct tfs_record *a, const struct tfs_record *b)
{
	return a->kind == b->kind && a->owner == b->owner &&
		a->index == b->index && a->seq == b->seq;
}

static void setup(void)
{
	rand_state = 1;
}

START_TEST(record_is_read_back)
{
	static const struct tfs_record edge[] = {
		{ TFS_K_SUPER, 0, 0, 0 },
		{ TFS_K_DATA, UINT32_MAX, UINT32_MAX, TFS_SEQ_MAX },
		{ TFS_K_DATA, 1, 0, 1 }, { TFS_K_LOG, 0, 1, 1ull << 28 },
		{ TFS_K_NODE, 12, 1, (1ull << 28) - 1 },
	};
	struct tfs_record_key key;
	struct tfs_record rec, got;
	uint16_t lanes[TFS_LANES];

	for (unsigned int i = 0; i < 200000; i++) {
		uint64_t addr = i % 7 ? random_addr() : UINT64_MAX;

		if (i % 1000 == 0)
			random_key(&key);
		rec = i < 5 ? edge[i] : random_record();
		tfs_record_encode(&key, &rec, addr, lanes);
		if (!tfs_record_decode(&key, lanes, addr, &got) ||
		    !same(&rec, &got))
			ck_abort_msg("record %u: kind %d owner %u index %u "
				     "seq %llu", i, rec.kind, rec.owner,
				     rec.index, (unsigned long long)rec.seq);
	}
}
END_TEST

/* 0xffff would switch the checks of the device off. */
START_TEST(no_lane_is_the_escape)
{
	struct tfs_record_key key;
	uint16_t lanes[TFS_LANES], all = 0;

	random_key(&key);
	for (unsigned int i = 0; i < 300000; i++) {
		struct tfs_record rec = random_record();

		tfs_record_encode(&key, &rec, random_addr(), lanes);
		for (int k = 0; k < TFS_LANES; k++)
			all |= lanes[k];
	}
	ck_assert_uint_eq(all, 0x7fff);
}
END_TEST

static void lanes_with_top_bit_do_not_decode(uint64_t addr)
{
	struct tfs_record_key key;
	struct tfs_record rec = random_record(), got;
	uint16_t lanes[TFS_LANES];

	random_key(&key);
	tfs_record_encode(&key, &rec, addr, lanes);
	for (int k = 0; k < TFS_LANES; k++) {
		lanes[k] |= 0x8000;
		ck_assert(!tfs_record_decode(&key, lanes, addr, &got));
		lanes[k] &= 0x7fff;
	}
	ck_assert(tfs_record_decode(&key, lanes, addr, &got));
}

START_TEST(top_bit_is_no_record)
{
	for (unsigned int i = 0; i < 100; i++)
		lanes_with_top_bit_do_not_decode(i);
}
END_TEST

/* ---- one bit ------------------------------------------------------------- */

enum field { OWNER, INDEX, SEQ, ADDR, NONCE, FIELDS };

static const char *const field_names[] = {
	"owner", "index", "sequence", "address", "nonce",
};
static const unsigned int field_bits[] = { 32, 32, TFS_SEQ_BITS, 44, 128 };

struct sample {
	uint8_t		nonce[TFS_NONCE];
	struct tfs_record rec;
	uint64_t	addr;
	uint16_t	lanes[TFS_LANES];
};

static void encode(struct sample *s)
{
	struct tfs_record_key key;

	tfs_record_key_init(&key, s->nonce);
	tfs_record_encode(&key, &s->rec, s->addr, s->lanes);
}

static void flip(struct sample *s, enum field field, unsigned int bit)
{
	switch (field) {
	case OWNER:
		s->rec.owner ^= 1u << bit;
		break;
	case INDEX:
		s->rec.index ^= 1u << bit;
		break;
	case SEQ:
		s->rec.seq ^= 1ull << bit;
		break;
	case ADDR:
		s->addr ^= 1ull << bit;
		break;
	default:
		s->nonce[bit / 8] ^= 1u << bit % 8;
	}
}

/* Upper bound of what chance gives n trials of probability p. */
static double bound(double n, double p)
{
	return n * p + 7 * sqrt(n * p) + 4;
}

/* Change each bit of each field by itself, in many records: a lane stays the
 * same as often as two random ones would. */
START_TEST(one_bit_changes_every_lane)
{
	enum field field = _i;
	unsigned int bits = field_bits[field], rounds = 2000000 / bits;
	unsigned int equal[TFS_LANES] = { 0 }, total = 0, n = 0;

	for (unsigned int bit = 0; bit < bits; bit++) {
		unsigned int of_bit = 0;

		for (unsigned int i = 0; i < rounds; i++, n++) {
			struct sample a = { .rec = random_record(),
					    .addr = random_addr() }, b;

			for (int k = 0; k < TFS_NONCE; k++)
				a.nonce[k] = draw();
			b = a;
			flip(&b, field, bit);
			encode(&a);
			encode(&b);
			for (int k = 0; k < TFS_LANES; k++) {
				bool eq = a.lanes[k] == b.lanes[k];

				equal[k] += eq;
				of_bit += eq;
			}
		}
		ck_assert_msg(of_bit <= bound(8.0 * rounds, LANE), "bit %u of "
			      "the %s: %u of %u lanes unchanged", bit,
			      field_names[field], of_bit, 8 * rounds);
		total += of_bit;
	}
	for (int k = 0; k < TFS_LANES; k++)
		ck_assert_msg(equal[k] <= bound(n, LANE), "lane %d: %u of %u "
			      "unchanged by a bit of the %s", k, equal[k], n,
			      field_names[field]);
	/* Nor less often: that would not be random either. */
	ck_assert_msg(total >= 8.0 * n * LANE - 7 * sqrt(8.0 * n * LANE),
		      "only %u of %u", total, 8 * n);
}
END_TEST

/* Neighbours, as the clusters of a file and the commits of a filesystem
 * are: the next index at the next address, the next sequence. */
START_TEST(neighbours_differ_in_every_lane)
{
	unsigned int equal[3] = { 0 }, n = 300000;

	for (unsigned int i = 0; i < n; i++) {
		struct sample a = { .rec = random_record(),
				    .addr = random_addr() }, b;

		a.rec.kind = TFS_K_DATA;
		for (unsigned int how = 0; how < 3; how++) {
			b = a;
			b.rec.seq += how == 0 ? 1 : 0;
			b.rec.index += how == 1 ? 1 : 0;
			b.addr += how != 0 ? 1 : 0;
			encode(&a);
			encode(&b);
			for (int k = 0; k < TFS_LANES; k++)
				equal[how] += a.lanes[k] == b.lanes[k];
		}
	}
	for (unsigned int how = 0; how < 3; how++)
		ck_assert_msg(equal[how] <= bound(8.0 * n, LANE), "%u: %u of "
			      "%u lanes are equal", how, equal[how], 8 * n);
}
END_TEST

/* A kind is not one bit, but the same holds. */
START_TEST(another_kind_changes_every_lane)
{
	unsigned int equal = 0, n = 0;

	for (unsigned int i = 0; i < 100000; i++) {
		struct sample a = { .rec = random_record(),
				    .addr = random_addr() }, b = a;

		b.rec.kind = TFS_K_SUPER +
			(a.rec.kind - TFS_K_SUPER + 1 + draw() % 6) % 7;
		encode(&a);
		encode(&b);
		for (int k = 0; k < TFS_LANES; k++, n++)
			equal += a.lanes[k] == b.lanes[k];
	}
	ck_assert_msg(equal <= bound(n, LANE), "%u of %u", equal, n);
}
END_TEST

/* ---- elsewhere ----------------------------------------------------------- */

/* The check has 8 bits, and 7 of 16 kinds exist: of what was written under
 * another nonce or address, 1 in 585 looks like a record. */
START_TEST(nothing_decodes_elsewhere)
{
	const double rate = 7.0 / 16 / 256;
	unsigned int n = 500000, decoded = 0;
	struct tfs_record_key key, other;
	struct tfs_record rec, got;
	uint16_t lanes[TFS_LANES];

	random_key(&key);
	for (unsigned int i = 0; i < n; i++) {
		uint64_t addr = random_addr();

		rec = random_record();
		if (i % 1000 == 0)
			random_key(&other);
		tfs_record_encode(&key, &rec, addr, lanes);
		decoded += _i ? tfs_record_decode(&other, lanes, addr, &got) :
			tfs_record_decode(&key, lanes, addr ^ 1ull <<
					  draw() % 44, &got);
	}
	ck_assert_msg(decoded <= bound(n, rate) &&
		      decoded >= n * rate - 7 * sqrt(n * rate),
		      "%u of %u decode, about %.0f would by chance", decoded,
		      n, n * rate);
}
END_TEST

/* A change of tags is seen, too: one bit of one lane. */
START_TEST(changed_tags_are_another_record)
{
	const double rate = 7.0 / 16 / 256;
	unsigned int n = 0, decoded = 0, equal = 0;
	struct tfs_record_key key;
	struct tfs_record rec, got;
	uint16_t lanes[TFS_LANES];

	random_key(&key);
	for (unsigned int i = 0; i < 3000; i++) {
		uint64_t addr = random_addr();

		rec = random_record();
		tfs_record_encode(&key, &rec, addr, lanes);
		for (unsigned int bit = 0; bit < 120; bit++, n++) {
			lanes[bit / 15] ^= 1u << bit % 15;
			if (tfs_record_decode(&key, lanes, addr, &got)) {
				decoded++;
				equal += same(&rec, &got);
			}
			lanes[bit / 15] ^= 1u << bit % 15;
		}
	}
	ck_assert_uint_eq(equal, 0);		/* it is a permutation */
	ck_assert_msg(decoded <= bound(n, rate), "%u of %u decode", decoded,
		      n);
}
END_TEST

/* The values themselves are the format: these must never change. */
START_TEST(encoding_is_the_format)
{
	uint8_t nonce[TFS_NONCE];
	struct tfs_record_key key;
	struct tfs_record rec = { TFS_K_DATA, 16, 3, 1048577 };
	uint16_t lanes[TFS_LANES];
	char text[64] = "";

	for (int i = 0; i < TFS_NONCE; i++)
		nonce[i] = i;
	tfs_record_key_init(&key, nonce);
	tfs_record_encode(&key, &rec, 1000, lanes);
	for (int k = 0; k < TFS_LANES; k++)
		sprintf(text + strlen(text), " %04x", lanes[k]);
	ck_assert_str_eq(text, " 26b3 30c9 5b62 6ae7 71c3 119e 4af2 "
			 "50bd");
}
END_TEST

static Suite *record_suite(void)
{
	Suite *s = suite_create("record");
	TCase *tc = tcase_create("record");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, record_is_read_back);
	tcase_add_test(tc, no_lane_is_the_escape);
	tcase_add_test(tc, top_bit_is_no_record);
	tcase_add_loop_test(tc, one_bit_changes_every_lane, 0, FIELDS);
	tcase_add_test(tc, neighbours_differ_in_every_lane);
	tcase_add_test(tc, another_kind_changes_every_lane);
	tcase_add_loop_test(tc, nothing_decodes_elsewhere, 0, 2);
	tcase_add_test(tc, changed_tags_are_another_record);
	tcase_add_test(tc, encoding_is_the_format);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *sr = srunner_create(record_suite());
	int failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
