/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_engine.c - what the integrity engine promises above its backends.
 *
 * Checksums are compared with published values and with slow ones that are
 * written from the definition; requests run on a device in memory, which
 * completes either inside submit or on a thread of its own. */
#include <check.h>
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/crc64.h"
#include "support/mem_dev.h"

#define REF	0x123456789abcdull	/* more than 48 bits, to see them cut */

/* ---- references ------------------------------------------------------- */

static uint16_t slow_crc16(uint16_t crc, const uint8_t *p, size_t len)
{
	while (len--) {
		crc ^= (uint16_t)(*p++ << 8);
		for (int i = 0; i < 8; i++)
			crc = (uint16_t)(crc << 1 ^ (crc >> 15) * 0x8bb7);
	}
	return crc;
}

static uint64_t slow_crc64(uint64_t crc, const uint8_t *p, size_t len)
{
	crc = ~crc;
	while (len--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1) * 0x9a6c9329ac4bc9b5ull;
	}
	return ~crc;
}

/* Of len bytes, even, as RFC 1071 says it. */
static uint16_t slow_ip(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (; len; p += 2, len -= 2) {
		sum += (uint32_t)(p[0] << 8 | p[1]);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)~sum;
}

/* ---- checksums -------------------------------------------------------- */

/* Guards are the published functions. */
START_TEST(guards_have_their_check_values)
{
	static const uint8_t rfc1071[] = { 0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6,
					   0xf7 };

	ck_assert_uint_eq(eng_guard_compute(ENG_GUARD_CRC16, "123456789", 9),
			  0xd0db);
	ck_assert_uint_eq(eng_guard_compute(ENG_GUARD_CRC64, "123456789", 9),
			  0xae8b14860a799888);
	ck_assert_uint_eq(eng_guard_compute(ENG_GUARD_IP, rfc1071, 8), 0x220d);
}
END_TEST

/* The 64-bit guard of the examples in the NVM command set specification. */
START_TEST(crc64_agrees_with_nvme_examples)
{
	uint8_t buf[4096];

	memset(buf, 0, sizeof(buf));
	ck_assert_uint_eq(eng_crc64(0, buf, sizeof(buf)), 0x6482d367eb22b64e);
	memset(buf, 0xff, sizeof(buf));
	ck_assert_uint_eq(eng_crc64(0, buf, sizeof(buf)), 0xc0ddba7302eca3ac);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)i;
	ck_assert_uint_eq(eng_crc64(0, buf, sizeof(buf)), 0x3e729f5f6750449c);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)~i;
	ck_assert_uint_eq(eng_crc64(0, buf, sizeof(buf)), 0x9a2df64b8e9e517e);
}
END_TEST

/* Every way to compute a CRC-64 gives the same, for each length and start. */
START_TEST(crc64_ways_agree)
{
	uint8_t buf[400];

	fill(buf, sizeof(buf), 1);
	for (size_t off = 0; off < 17; off++) {
		for (size_t len = 0; off + len <= sizeof(buf); len++) {
			uint64_t want = slow_crc64(off, buf + off, len);

			ck_assert_uint_eq(eng_crc64(off, buf + off, len), want);
			ck_assert_uint_eq(eng_crc64_table(off, buf + off, len),
					  want);
		}
	}
}
END_TEST

/* A checksum of the whole is that of its parts in turn. */
START_TEST(crc64_continues)
{
	uint8_t buf[200];

	fill(buf, sizeof(buf), 2);
	for (size_t cut = 0; cut <= sizeof(buf); cut++)
		ck_assert_uint_eq(eng_crc64(eng_crc64(0, buf, cut), buf + cut,
					    sizeof(buf) - cut),
				  slow_crc64(0, buf, sizeof(buf)));
}
END_TEST

START_TEST(ip_sum_agrees_with_rfc)
{
	uint8_t buf[256];

	for (unsigned int seed = 0; seed < 50; seed++) {
		fill(buf, sizeof(buf), seed);
		if (seed % 5 == 0)
			memset(buf, seed % 2 ? 0xff : 0, sizeof(buf));
		for (size_t len = 2; len <= sizeof(buf); len += 2)
			ck_assert_uint_eq(eng_guard_compute(ENG_GUARD_IP, buf,
							    len),
					  slow_ip(buf, len));
	}
}
END_TEST

/* ---- profiles --------------------------------------------------------- */

/* A profile's own name finds it, and no two are the same. */
START_TEST(names_are_canonical)
{
	const struct eng_profile *a, *b;

	for (unsigned int i = 0; (a = eng_profile_at(i)); i++) {
		ck_assert_msg(eng_profile_find(a->name) == a, "%s", a->name);
		for (unsigned int j = 0; j < i; j++) {
			b = eng_profile_at(j);
			ck_assert_msg(!eng_profile_equal(a, b), "%s, %s",
				      a->name, b->name);
		}
	}
}
END_TEST

START_TEST(names_have_aliases)
{
	static const struct {
		const char *alias, *name;
	} same[] = {
		{ "512+8", "512+8:type1" },
		{ "512+8:type1:crc16", "512+8:type1" },
		{ "512+8:first", "512+8:type1" },
		{ "512+8:ip", "512+8:type1:ip" },
		{ "4096+8:type3", "4096+8:type3" },
		{ "4096+16", "4096+16:type1:crc64" },
		{ "4096+16:first:type2", "4096+16:type2:crc64" },
		{ "4096+16:crc16", "4096+16:type1:crc16" },
		{ "4096+64", "4096+64:type1" },
		{ "4096+64:crc64:type2", "4096+64:type2:crc64" },
		{ "4096+64:crc64:first", "4096+64:type1:first:crc64" },
	};
	static const char *const none[] = {
		"", "512", "512+", "+8", "512+8:", "512+8:type4", "512+8 ",
		"512+8:type", "4096+8:crc64", "513+8", "-512+8", "512+ 8",
		"512+8::ip", "0x200+8", "4096+16:ip",
	};

	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
		const struct eng_profile *p = eng_profile_find(same[i].alias);

		ck_assert_msg(p && !strcmp(p->name, same[i].name), "%s is %s",
			      same[i].alias, p ? p->name : "nothing");
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		ck_assert_msg(!eng_profile_find(none[i]), "%s", none[i]);
}
END_TEST

START_TEST(run_holds_the_tag_bytes)
{
	const struct eng_profile *p = eng_profile_find("512+8");

	ck_assert_uint_eq(eng_profile_run(p, 16), 4096);
	ck_assert_uint_eq(eng_profile_run(p, 17), 8192);
	p = eng_profile_find("4096+8");
	ck_assert_uint_eq(eng_profile_run(p, 2), 4096);
	ck_assert_uint_eq(eng_profile_run(p, 16), 32768);
}
END_TEST

/* Profiles are compared field by field, and the answer says which. */
START_TEST(differences_are_named)
{
	static const struct {
		const char *a, *b, *what;
	} pairs[] = {
		{ "512+8", "512+8:type1", NULL },
		{ "512+8", "4096+8", "interval" },
		{ "4096+64", "4096+8", "metadata size" },
		{ "4096+64", "4096+64:crc64", "tuple size" },
		{ "4096+64", "4096+64:first", "place of the tuple" },
		{ "512+8", "512+8:type2", "type" },
		{ "512+8", "512+8:ip", "guard" },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		const struct eng_profile *a = eng_profile_find(pairs[i].a);
		const struct eng_profile *b = eng_profile_find(pairs[i].b);
		const char *what = eng_profile_differs(a, b);

		ck_assert_msg(what == pairs[i].what ||
			      !strcmp(what, pairs[i].what), "%s, %s: %s",
			      a->name, b->name, what);
		ck_assert(eng_profile_equal(a, b) == !what);
	}
}
END_TEST

/* Two bytes of tag space with types 1 and 2, and type 3's reference tag and
 * all that is beside the tuple where there is such. */
START_TEST(tag_sizes)
{
	static const struct {
		const char *name, *format;
		unsigned int size;
	} rows[] = {
		{ "512+8", "T10-DIF-TYPE1-CRC", 2 },
		{ "512+8:type2", "T10-DIF-TYPE2-CRC", 2 },
		{ "4096+8:type3", "T10-DIF-TYPE3-CRC", 6 },
		{ "512+8:type3:ip", "T10-DIF-TYPE3-IP", 6 },
		{ "4096+16", "EXT-DIF-TYPE1-CRC64", 2 },
		{ "4096+16:type3", "EXT-DIF-TYPE3-CRC64", 8 },
		{ "4096+16:crc16", "T10-DIF-TYPE1-CRC", 10 },
		{ "4096+64", "T10-DIF-TYPE1-CRC", 58 },
		{ "4096+64:type3:first", "T10-DIF-TYPE3-CRC", 62 },
		{ "4096+64:type3:crc64", "EXT-DIF-TYPE3-CRC64", 56 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct eng_profile *p = eng_profile_find(rows[i].name);

		ck_assert_uint_eq(eng_profile_tag_size(p), rows[i].size);
		ck_assert_str_eq(eng_profile_format(p), rows[i].format);
	}
}
END_TEST

/* 512-byte sectors become intervals, whole ones or none. */
START_TEST(sectors_are_intervals)
{
	uint64_t n = 7;

	ck_assert_int_eq(eng_profile_intervals(eng_profile_find("512+8"), 9,
					       &n), 0);
	ck_assert_uint_eq(n, 9);
	ck_assert_int_eq(eng_profile_intervals(eng_profile_find("4096+8"), 24,
					       &n), 0);
	ck_assert_uint_eq(n, 3);
	ck_assert_int_eq(eng_profile_intervals(eng_profile_find("4096+8"), 25,
					       &n), -EINVAL);
	ck_assert_uint_eq(n, 3);
}
END_TEST

/* ---- tuples: each test runs for every profile ------------------------- */

enum { COUNT = 5 };

struct sample {
	const struct eng_profile *p;
	uint8_t		*data, *meta;
	uint16_t	tags[COUNT];
	struct eng_fault fault;
};

/* False: past the last profile. */
static bool sample_init(struct sample *s, unsigned int i)
{
	s->p = eng_profile_at(i);
	if (!s->p)
		return false;
	s->data = malloc((size_t)COUNT * s->p->interval);
	s->meta = malloc((size_t)COUNT * s->p->meta_size);
	fill(s->data, (size_t)COUNT * s->p->interval, 3);
	fill(s->meta, (size_t)COUNT * s->p->meta_size, 4);
	for (int n = 0; n < COUNT; n++)
		s->tags[n] = (uint16_t)(0x7a01 + n * 0x111);
	eng_generate(s->p, s->data, s->meta, COUNT, REF, s->tags);
	return true;
}

static void sample_free(struct sample *s)
{
	free(s->data);
	free(s->meta);
}

#define for_each_sample(s) \
	for (unsigned int i_ = 0; sample_init(s, i_); sample_free(s), i_++)

/* An assertion that says which profile it failed for. */
#define ck_same(s, a, b) do {						\
	uint64_t a_ = (uint64_t)(a), b_ = (uint64_t)(b);		\
									\
	ck_assert_msg(a_ == b_, "%s: %s is %#llx, not %#llx",		\
		      (s)->p->name, #a, (unsigned long long)a_,		\
		      (unsigned long long)b_);				\
} while (0)

static int sample_verify(struct sample *s, bool tags)
{
	s->fault.kind = ENG_FAULT_NONE;
	return eng_verify(s->p, s->data, s->meta, COUNT, REF,
			  tags ? s->tags : NULL, &s->fault);
}

static uint8_t *meta_of(struct sample *s, unsigned int n)
{
	return s->meta + (size_t)n * s->p->meta_size;
}

static uint8_t *tuple_of(struct sample *s, unsigned int n)
{
	return meta_of(s, n) + s->p->pi_offset;
}

static uint64_t slow_guard(struct sample *s, unsigned int n)
{
	const struct eng_profile *p = s->p;
	const uint8_t *data = s->data + (size_t)n * p->interval;
	const uint8_t *meta = meta_of(s, n);

	if (p->guard == ENG_GUARD_IP)
		return slow_ip(data, p->interval);
	if (p->guard == ENG_GUARD_CRC64)
		return slow_crc64(slow_crc64(0, data, p->interval), meta,
				  p->pi_offset);
	return slow_crc16(slow_crc16(0, data, p->interval), meta,
			  p->pi_offset);
}

static const uint8_t *ck_big_endian(struct sample *s, const uint8_t *p,
				    size_t size, uint64_t value)
{
	while (size--)
		ck_same(s, *p++, value >> 8 * size & 0xff);
	return p;
}

static void ck_fault(struct sample *s, enum eng_fault_kind kind,
		     unsigned int n, const char *what, unsigned int bit)
{
	ck_assert_msg(s->fault.kind == kind && s->fault.interval == REF + n,
		      "%s: %s %u of interval %u: %s at %llu, not %s",
		      s->p->name, what, bit, n, eng_fault_name(s->fault.kind),
		      (unsigned long long)(s->fault.interval - REF),
		      eng_fault_name(kind));
}

START_TEST(generated_tuples_verify)
{
	struct sample s;

	for_each_sample(&s) {
		ck_same(&s, sample_verify(&s, true), 0);
		ck_same(&s, sample_verify(&s, false), 0);
		for (unsigned int n = 0; n < COUNT; n++)
			ck_same(&s, eng_tuple_tag(s.p, meta_of(&s, n)),
				s.tags[n]);
	}
}
END_TEST

/* Guard, application tag, reference tag; big-endian, to the byte. */
START_TEST(layout_is_big_endian)
{
	struct sample s;

	for_each_sample(&s) {
		for (unsigned int n = 0; n < COUNT; n++) {
			bool wide = s.p->pi_size == 16;
			const uint8_t *t = tuple_of(&s, n);

			t = ck_big_endian(&s, t, wide ? 8 : 2,
					  slow_guard(&s, n));
			t = ck_big_endian(&s, t, 2, s.tags[n]);
			ck_big_endian(&s, t, wide ? 6 : 4,
				      s.p->type == 3 ? 0 : REF + n);
		}
	}
}
END_TEST

/* Metadata beside the tuple is the caller's. */
START_TEST(opaque_metadata_is_left_alone)
{
	struct sample s;
	uint8_t *before;

	for_each_sample(&s) {
		before = malloc((size_t)COUNT * s.p->meta_size);
		fill(before, (size_t)COUNT * s.p->meta_size, 4);
		for (size_t i = 0; i < (size_t)COUNT * s.p->meta_size; i++) {
			size_t at = i % s.p->meta_size;

			if (at < s.p->pi_offset ||
			    at >= s.p->pi_offset + s.p->pi_size)
				ck_same(&s, s.meta[i], before[i]);
		}
		free(before);
	}
}
END_TEST

/* Whole tuples of every format, computed elsewhere from the definitions: data
 * byte n is 7n + n * n / 64, metadata byte n is c0 + n % 64, tag 1234, interval
 * 123456789abcd. */
static const struct {
	const char *name, *tuple;
} vectors[] = {
	{ "512+8:type1", "b87512346789abcd" },
	{ "512+8:type2", "b87512346789abcd" },
	{ "512+8:type3", "b875123400000000" },
	{ "4096+8:type1", "943912346789abcd" },
	{ "4096+8:type2", "943912346789abcd" },
	{ "4096+8:type3", "9439123400000000" },
	{ "512+8:type1:ip", "61a312346789abcd" },
	{ "512+8:type2:ip", "61a312346789abcd" },
	{ "512+8:type3:ip", "61a3123400000000" },
	{ "4096+8:type1:ip", "000d12346789abcd" },
	{ "4096+8:type2:ip", "000d12346789abcd" },
	{ "4096+8:type3:ip", "000d123400000000" },
	{ "4096+16:type1:crc64", "e774cb90898f6d63123423456789abcd" },
	{ "4096+16:type2:crc64", "e774cb90898f6d63123423456789abcd" },
	{ "4096+16:type3:crc64", "e774cb90898f6d631234000000000000" },
	{ "4096+16:type1:crc16", "a83912346789abcd" },
	{ "4096+16:type2:crc16", "a83912346789abcd" },
	{ "4096+16:type3:crc16", "a839123400000000" },
	{ "4096+16:type1:first:crc16", "943912346789abcd" },
	{ "4096+16:type2:first:crc16", "943912346789abcd" },
	{ "4096+16:type3:first:crc16", "9439123400000000" },
	{ "512+16:type1", "521a12346789abcd" },
	{ "512+16:type2", "521a12346789abcd" },
	{ "512+16:type3", "521a123400000000" },
	{ "512+16:type1:first", "b87512346789abcd" },
	{ "512+16:type2:first", "b87512346789abcd" },
	{ "512+16:type3:first", "b875123400000000" },
	{ "4096+64:type1", "279012346789abcd" },
	{ "4096+64:type2", "279012346789abcd" },
	{ "4096+64:type3", "2790123400000000" },
	{ "4096+64:type1:first", "943912346789abcd" },
	{ "4096+64:type2:first", "943912346789abcd" },
	{ "4096+64:type3:first", "9439123400000000" },
	{ "4096+64:type1:crc64", "2716191e706a66bd123423456789abcd" },
	{ "4096+64:type2:crc64", "2716191e706a66bd123423456789abcd" },
	{ "4096+64:type3:crc64", "2716191e706a66bd1234000000000000" },
	{ "4096+64:type1:first:crc64", "e774cb90898f6d63123423456789abcd" },
	{ "4096+64:type2:first:crc64", "e774cb90898f6d63123423456789abcd" },
	{ "4096+64:type3:first:crc64", "e774cb90898f6d631234000000000000" },
	{ "512+64:type1", "a99b12346789abcd" },
	{ "512+64:type2", "a99b12346789abcd" },
	{ "512+64:type3", "a99b123400000000" },
	{ "512+64:type1:first", "b87512346789abcd" },
	{ "512+64:type2:first", "b87512346789abcd" },
	{ "512+64:type3:first", "b875123400000000" },
};

static void to_hex(char *hex, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sprintf(hex + 2 * i, "%02x", p[i]);
}

START_TEST(tuples_are_the_known_ones)
{
	static const uint16_t tag = 0x1234;
	const struct eng_profile *p = eng_profile_at(_i);
	uint8_t data[4096], meta[64];
	struct eng_fault fault;
	char hex[33];

	ck_assert_str_eq(p->name, vectors[_i].name);
	for (unsigned int n = 0; n < p->interval; n++)
		data[n] = (uint8_t)(7 * n + n * n / 64);
	for (unsigned int n = 0; n < p->meta_size; n++)
		meta[n] = (uint8_t)(0xc0 + n % 64);
	eng_generate(p, data, meta, 1, REF, &tag);
	to_hex(hex, meta + p->pi_offset, p->pi_size);
	ck_assert_msg(!strcmp(hex, vectors[_i].tuple), "%s: %s", p->name, hex);
	ck_assert_int_eq(eng_verify(p, data, meta, 1, REF, &tag, &fault), 0);
}
END_TEST

/* No format is without its vector. */
START_TEST(all_formats_are_known)
{
	ck_assert_ptr_null(eng_profile_at(sizeof(vectors) / sizeof(*vectors)));
}
END_TEST

/* The examples of the NVM command set specification, as tuples. */
START_TEST(nvme_examples_as_tuples)
{
	static const struct {
		uint8_t first, step;
		const char *guard;
	} rows[] = {
		{ 0, 0, "6482d367eb22b64e" }, { 0xff, 0, "c0ddba7302eca3ac" },
		{ 0, 1, "3e729f5f6750449c" }, { 0xff, 0xff, "9a2df64b8e9e517e" },
	};
	const struct eng_profile *p = eng_profile_find("4096+16");
	uint8_t data[4096], meta[16];
	uint16_t tag = 0;
	char hex[17];

	for (int i = 0; i < 4; i++) {
		for (unsigned int n = 0; n < 4096; n++)
			data[n] = (uint8_t)(rows[i].first + n * rows[i].step);
		eng_generate(p, data, meta, 1, 0, &tag);
		to_hex(hex, meta, 8);
		ck_assert_str_eq(hex, rows[i].guard);
	}
}
END_TEST

START_TEST(flipped_data_is_a_guard_fault)
{
	struct sample s;
	uint8_t *data;

	for_each_sample(&s) {
		data = s.data + 2 * (size_t)s.p->interval;
		for (unsigned int bit = 0; bit < s.p->interval * 8; bit++) {
			data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			ck_same(&s, sample_verify(&s, bit % 2), -EBADMSG);
			ck_fault(&s, ENG_FAULT_GUARD, 2, "data bit", bit);
			data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}
END_TEST

/* What the flip of a bit of the metadata of one interval must give. */
static enum eng_fault_kind kind_of_bit(const struct eng_profile *p,
				       unsigned int bit)
{
	unsigned int guard = p->pi_size == 16 ? 64 : 16;

	if (bit < p->pi_offset * 8u)
		return ENG_FAULT_GUARD;
	bit -= p->pi_offset * 8u;
	if (bit < guard)
		return ENG_FAULT_GUARD;
	if (bit < guard + 16)
		return ENG_FAULT_APP;
	if (bit < p->pi_size * 8u && p->type != 3)
		return ENG_FAULT_REF;
	return ENG_FAULT_NONE;
}

/* Every bit of the tuple, and of metadata before it, is protected; metadata
 * after it is not, nor is type 3's reference tag. */
START_TEST(flipped_metadata_is_the_right_fault)
{
	struct sample s;
	uint8_t *meta;

	for_each_sample(&s) {
		meta = s.meta + 3 * (size_t)s.p->meta_size;
		for (unsigned int bit = 0; bit < s.p->meta_size * 8u; bit++) {
			enum eng_fault_kind kind = kind_of_bit(s.p, bit);

			meta[bit / 8] ^= (uint8_t)(1 << bit % 8);
			ck_same(&s, sample_verify(&s, true),
				kind ? -EBADMSG : 0);
			if (kind)
				ck_fault(&s, kind, 3, "metadata bit", bit);
			if (kind == ENG_FAULT_APP)
				ck_same(&s, sample_verify(&s, false), 0);
			meta[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}
END_TEST

/* The first of several faults is the one reported, with both values. */
START_TEST(first_fault_is_reported)
{
	struct sample s;

	for_each_sample(&s) {
		s.data[4 * (size_t)s.p->interval] ^= 1;
		s.tags[1] ^= 0x40;
		ck_same(&s, sample_verify(&s, true), -EBADMSG);
		ck_fault(&s, ENG_FAULT_APP, 1, "tag", 0);
		ck_same(&s, s.fault.expected, s.tags[1]);
		ck_same(&s, s.fault.actual, s.tags[1] ^ 0x40);
		ck_same(&s, sample_verify(&s, false), -EBADMSG);
		ck_fault(&s, ENG_FAULT_GUARD, 4, "data bit", 0);
		ck_same(&s, s.fault.expected, slow_guard(&s, 4));
	}
}
END_TEST

/* Data of another address is a fault in types 1 and 2. */
START_TEST(another_address_is_a_ref_fault)
{
	struct sample s;
	int err;

	for_each_sample(&s) {
		err = eng_verify(s.p, s.data, s.meta, COUNT, REF + 1, s.tags,
				 &s.fault);
		if (s.p->type == 3) {
			ck_same(&s, err, 0);
		} else {
			uint64_t mask = s.p->pi_size == 16 ? (1ull << 48) - 1 :
							     UINT32_MAX;

			ck_same(&s, err, -EBADMSG);
			ck_same(&s, s.fault.kind, ENG_FAULT_REF);
			ck_same(&s, s.fault.interval, REF + 1);
			ck_same(&s, s.fault.expected, (REF + 1) & mask);
			ck_same(&s, s.fault.actual, REF & mask);
		}
	}
}
END_TEST

/* So is an interval, with its tuple, in the place of another of its run. */
START_TEST(exchanged_intervals_are_a_ref_fault)
{
	struct sample s;

	for_each_sample(&s) {
		for (unsigned int n = 1; n < COUNT; n++) {
			memcpy(s.data + (size_t)n * s.p->interval, s.data,
			       s.p->interval);
			memcpy(meta_of(&s, n), meta_of(&s, 0), s.p->meta_size);
			s.tags[n] = s.tags[0];
		}
		ck_same(&s, sample_verify(&s, true),
			s.p->type == 3 ? 0 : -EBADMSG);
		if (s.p->type != 3)
			ck_fault(&s, ENG_FAULT_REF, 1, "place", 0);
	}
}
END_TEST

/* The escape, what never written intervals have included, is always a fault
 * and before all others: where it is first and where it follows good ones,
 * and whatever tag was expected. */
START_TEST(escape_is_a_fault)
{
	struct sample s;

	for_each_sample(&s) {
		for (unsigned int n = 0; n < COUNT; n++) {
			uint8_t saved[16];

			memcpy(saved, tuple_of(&s, n), s.p->pi_size);
			memset(tuple_of(&s, n), 0xff, s.p->pi_size);
			for (int tags = 0; tags < 3; tags++) {
				s.tags[n] |= tags == 2 ? 0xffff : 0;
				ck_same(&s, sample_verify(&s, tags), -EBADMSG);
				ck_fault(&s, ENG_FAULT_ESCAPE, n, "tags", 0);
				ck_same(&s, s.fault.actual, 0xffff);
			}
			memcpy(tuple_of(&s, n), saved, s.p->pi_size);
			s.tags[n] = (uint16_t)(0x7a01 + n * 0x111);
		}
	}
}
END_TEST

/* The application tag alone makes the escape in types 1 and 2, even with
 * right guard and ref; in type 3 it is a tag like others. */
START_TEST(escape_depends_on_type)
{
	struct sample s;
	uint8_t *app;

	for_each_sample(&s) {
		bool any = s.p->type == 3;

		app = tuple_of(&s, 2) + (s.p->pi_size == 16 ? 8 : 2);
		app[0] = app[1] = 0xff;
		ck_same(&s, sample_verify(&s, false), any ? 0 : -EBADMSG);
		if (!any)
			ck_fault(&s, ENG_FAULT_ESCAPE, 2, "app", 0);
		ck_same(&s, sample_verify(&s, true), -EBADMSG);
		ck_fault(&s, any ? ENG_FAULT_APP : ENG_FAULT_ESCAPE, 2, "app",
			 1);
		s.tags[2] = 0xffff;
		ck_same(&s, sample_verify(&s, true), any ? 0 : -EBADMSG);
	}
}
END_TEST

/* ---- requests on a device in memory ------------------------------------ */

/* Tests run with the pool of threads and with the serial one, on a device
 * that completes in submit and on one that does so elsewhere. */
static struct eng_pool *pool;
static struct mem_dev *mem;
enum { SETUPS = 4 };

static void setup(int i, const char *profile)
{
	if (i & 1)
		ck_assert_int_eq(eng_pool_create_serial(&pool), 0);
	else
		ck_assert_int_eq(eng_pool_create(&pool, 3), 0);
	mem = mem_open(profile, pool, i & 2);
}

static void teardown(void)
{
	eng_dev_close(&mem->dev);
	eng_pool_destroy(pool);
}

static uint16_t tag_of(uint64_t interval)
{
	return (uint16_t)(interval * 37 & 0x7fff);
}

/* A request for count intervals at start, in one segment. */
static struct eng_io *io_for(enum eng_op op, uint64_t start, uint32_t count,
			     void *data)
{
	struct eng_io *io = eng_io_get(&mem->dev, count, 1);

	ck_assert_ptr_nonnull(io);
	ck_assert_int_eq(eng_io_add(io, data, (size_t)count *
				    mem->dev.geo.profile->interval), 0);
	io->op = op;
	io->start = start;
	for (uint32_t i = 0; i < count; i++)
		io->tags[i] = tag_of(start + i);
	return io;
}

static int rw(enum eng_op op, uint64_t start, uint32_t count, void *data)
{
	struct eng_io *io = io_for(op, start, count, data);
	int err = eng_io_run(io);

	eng_io_put(io);
	return err;
}

/* ---- requests --------------------------------------------------------- */

START_TEST(write_then_read)
{
	static uint8_t out[512 * 64], in[512 * 64];

	setup(_i, "512+8");
	fill(out, sizeof(out), 5);
	ck_assert_int_eq(rw(ENG_WRITE, 100, 64, out), 0);
	ck_assert_int_eq(rw(ENG_READ, 100, 64, in), 0);
	ck_assert_mem_eq(in, out, sizeof(out));
	teardown();
}
END_TEST

/* On a device that stores tuples itself: what is written carries its tags,
 * and what is read comes as it is. */
START_TEST(a_bypass_verifies_nothing)
{
	static uint8_t out[512 * 8], in[512 * 8];
	uint16_t tags[8];

	setup(_i, "512+8");
	fill(out, sizeof(out), 9);
	for (int i = 0; i < 8; i++)
		tags[i] = tag_of(40 + i);
	ck_assert_int_eq(eng_dev_bypass(&mem->dev, ENG_WRITE, 40, out,
					sizeof(out), tags), 0);
	ck_assert_int_eq(rw(ENG_READ, 40, 8, in), 0);
	ck_assert_mem_eq(in, out, sizeof(out));
	mem->data[40 * 512] ^= 1;
	ck_assert_int_eq(rw(ENG_READ, 40, 8, in), -EBADMSG);
	ck_assert_int_eq(eng_dev_bypass(&mem->dev, ENG_READ, 40, in,
					sizeof(in), NULL), 0);
	out[0] ^= 1;
	ck_assert_mem_eq(in, out, sizeof(out));
	teardown();
}
END_TEST

/* Segments of different lengths hold one run of intervals, and a fault in a
 * later one has its number on the device. */
START_TEST(segments_are_one_run)
{
	static const size_t cut[] = { 0, 1, 4, 11, 12, 40 };
	static uint8_t out[512 * 40], in[512 * 40];
	struct eng_io *io;

	setup(_i, "512+8");
	fill(out, sizeof(out), 6);
	io = eng_io_get(&mem->dev, 40, 5);
	for (int pass = 0; pass < 2; pass++) {
		io->niov = io->count = 0;
		for (int i = 0; i < 5; i++)
			ck_assert_int_eq(eng_io_add(io, (pass ? in : out) +
						    cut[i] * 512,
						    (cut[i + 1] - cut[i]) *
						    512), 0);
		for (uint16_t i = 0; i < 40; i++)
			io->tags[i] = i;
		io->op = pass ? ENG_READ : ENG_WRITE;
		io->start = 777;
		ck_assert_int_eq(eng_io_run(io), 0);
	}
	ck_assert_mem_eq(in, out, sizeof(out));
	for (unsigned int i = 0; i < 40; i++) {
		mem->data[(777 + i) * 512 + 13] ^= 1;
		ck_assert_int_eq(eng_io_run(io), -EBADMSG);
		ck_assert_int_eq(io->fault.kind, ENG_FAULT_GUARD);
		ck_assert_uint_eq(io->fault.interval, 777 + i);
		mem->data[(777 + i) * 512 + 13] ^= 1;
	}
	eng_io_put(io);
	teardown();
}
END_TEST

/* A read that expects other tags fails, and says what it expected. */
START_TEST(tags_are_compared)
{
	static uint8_t buf[512 * 8];
	struct eng_io *io;

	setup(_i, "512+8");
	ck_assert_int_eq(rw(ENG_WRITE, 8, 8, buf), 0);
	io = io_for(ENG_READ, 8, 8, buf);
	io->tags[5] ^= 1;
	ck_assert_int_eq(eng_io_run(io), -EBADMSG);
	ck_assert_int_eq(io->fault.kind, ENG_FAULT_APP);
	ck_assert_uint_eq(io->fault.interval, 13);
	ck_assert_uint_eq(io->fault.expected, tag_of(13) ^ 1);
	ck_assert_uint_eq(io->fault.actual, tag_of(13));
	io->tags[5] ^= 1;
	ck_assert_int_eq(eng_io_run(io), 0);
	ck_assert_int_eq(io->fault.kind, ENG_FAULT_NONE);
	eng_io_put(io);
	teardown();
}
END_TEST

/* TAGS_OUT reports tags, and still checks all the rest. */
START_TEST(tags_out_reports)
{
	static uint8_t buf[512 * 8];
	struct eng_io *io;

	setup(_i, "512+8");
	ck_assert_int_eq(rw(ENG_WRITE, 8, 8, buf), 0);
	io = io_for(ENG_READ, 8, 8, buf);
	io->flags = ENG_IO_TAGS_OUT;
	memset(io->tags, 0xee, 8 * sizeof(*io->tags));
	ck_assert_int_eq(eng_io_run(io), 0);
	for (unsigned int i = 0; i < 8; i++)
		ck_assert_uint_eq(io->tags[i], tag_of(8 + i));
	io->start = 9;		/* the last one was never written */
	ck_assert_int_eq(eng_io_run(io), -EBADMSG);
	ck_assert_int_eq(io->fault.kind, ENG_FAULT_ESCAPE);
	ck_assert_uint_eq(io->fault.interval, 16);
	mem->data[512 * 10] ^= 4;
	ck_assert_int_eq(eng_io_run(io), -EBADMSG);
	ck_assert_int_eq(io->fault.kind, ENG_FAULT_GUARD);
	ck_assert_uint_eq(io->fault.interval, 10);
	eng_io_put(io);
	teardown();
}
END_TEST

/* A write whose tag would be an escape does not reach the device. */
START_TEST(escape_is_never_written)
{
	static const char *const profiles[] = { "512+8", "512+8:type3" };
	static uint8_t buf[512 * 8];
	struct eng_io *io;

	for (int p = 0; p < 2; p++) {
		setup(_i, profiles[p]);
		io = io_for(ENG_WRITE, 0, 8, buf);
		io->tags[7] = 0xffff;
		ck_assert_int_eq(eng_io_run(io), -EINVAL);
		ck_assert_uint_eq(mem->submits, 0);
		eng_io_put(io);
		teardown();
	}
}
END_TEST

START_TEST(bad_requests_do_not_reach_the_device)
{
	static uint8_t buf[512 * 8];
	struct eng_io *io;

	setup(_i, "512+8");
	ck_assert_int_eq(rw(ENG_WRITE, MEM_INTERVALS - 7, 8, buf), -EINVAL);
	ck_assert_int_eq(rw(ENG_READ, MEM_INTERVALS, 1, buf), -EINVAL);
	ck_assert_int_eq(rw(ENG_READ, UINT64_MAX, 2, buf), -EINVAL);
	io = io_for(ENG_READ, 0, 8, buf);
	io->flags = 1u << 31;
	ck_assert_int_eq(eng_io_run(io), -EINVAL);
	io->flags = ENG_IO_TAGS_OUT;
	io->op = ENG_WRITE;
	ck_assert_int_eq(eng_io_run(io), -EINVAL);
	eng_io_put(io);
	io = eng_io_get(&mem->dev, 8, 1);
	ck_assert_int_eq(eng_io_run(io), -EINVAL);
	eng_io_put(io);
	ck_assert_uint_eq(mem->submits, 0);
	ck_assert_int_eq(rw(ENG_WRITE, MEM_INTERVALS - 8, 8, buf), 0);
	teardown();
}
END_TEST

START_TEST(full_payload_says_so)
{
	static uint8_t buf[512 * 8];
	struct eng_io *io;

	setup(_i, "512+8");
	io = eng_io_get(&mem->dev, 4, 2);
	ck_assert_int_eq(eng_io_add(io, buf, 5 * 512), -ENOSPC);
	ck_assert_int_eq(eng_io_add(io, buf, 512), 0);
	ck_assert_int_eq(eng_io_add(io, buf, 0), -EINVAL);
	ck_assert_int_eq(eng_io_add(io, buf, 513), -EINVAL);
	ck_assert_int_eq(eng_io_add(io, buf, 4 * 512), -ENOSPC);
	ck_assert_int_eq(eng_io_add(io, buf, 512), 0);
	ck_assert_int_eq(eng_io_add(io, buf, 512), -ENOSPC);
	ck_assert_uint_eq(io->count, 2);
	mem->dev.geo.align = 4;
	io->niov = io->count = 0;
	ck_assert_int_eq(eng_io_add(io, buf + 2, 512), -EINVAL);
	eng_io_put(io);
	ck_assert_ptr_null(eng_io_get(&mem->dev, 0, 1));
	ck_assert_ptr_null(eng_io_get(&mem->dev, 1, 0));
	ck_assert_ptr_null(eng_io_get(&mem->dev, MEM_MAX_IO + 1, 1));
	ck_assert_ptr_null(eng_io_get(&mem->dev, 1, ENG_MAX_SEGS + 1));
	teardown();
}
END_TEST

/* After one failed flush there is no good one, and the device isn't asked. */
START_TEST(failed_flush_is_for_ever)
{
	setup(_i, "512+8");
	ck_assert_int_eq(eng_dev_flush(&mem->dev), 0);
	mem->flush_err = -EIO;
	ck_assert_int_eq(eng_dev_flush(&mem->dev), -EIO);
	mem->flush_err = 0;
	ck_assert_int_eq(eng_dev_flush(&mem->dev), -EIO);
	ck_assert_uint_eq(mem->flushes, 2);
	teardown();
}
END_TEST

/* What a backend has not got is answered for it. */
START_TEST(optional_operations)
{
	char buf[16];

	setup(_i, "512+8");
	ck_assert_int_eq(eng_dev_discard(&mem->dev, 0, 8), -EOPNOTSUPP);
	ck_assert_int_eq(eng_dev_discard(&mem->dev, MEM_INTERVALS, 1), -EINVAL);
	ck_assert_int_eq(eng_dev_discard(&mem->dev, 2, UINT64_MAX), -EINVAL);
	eng_dev_drop_caches(&mem->dev);
	ck_assert_int_eq(eng_dev_stats(&mem->dev, buf, sizeof(buf)), 2);
	ck_assert_str_eq(buf, "{}");
	teardown();
	eng_dev_close(NULL);
	eng_pool_destroy(NULL);
}
END_TEST

/* ---- who runs what ---------------------------------------------------- */

struct seen {
	pthread_t	thread;
	int		err;
	enum eng_fault_kind fault;
	sem_t		ended;
};

static void note_end(struct eng_io *io)
{
	struct seen *seen = io->arg;

	seen->thread = pthread_self();
	seen->err = io->err;
	seen->fault = io->fault.kind;
	eng_io_put(io);		/* end() may */
	sem_post(&seen->ended);
}

static void see(struct eng_io *io, struct seen *seen)
{
	sem_init(&seen->ended, 0, 0);
	io->end = note_end;
	io->arg = seen;
	eng_io_submit(io);
	while (sem_wait(&seen->ended))
		;
}

/* A read is verified in its submitter if it completed there, and by a worker,
 * not by who reaps completions, if not. */
START_TEST(verification_is_off_the_ring)
{
	static uint8_t buf[512 * 8];
	struct seen seen;

	setup(_i, "512+8");
	ck_assert_int_eq(rw(ENG_WRITE, 0, 8, buf), 0);
	see(io_for(ENG_READ, 0, 8, buf), &seen);
	ck_assert_int_eq(seen.err, 0);
	if (!mem->threaded)
		ck_assert(pthread_equal(seen.thread, pthread_self()));
	else if (!(_i & 1))
		ck_assert(!pthread_equal(seen.thread, mem->ring) &&
			  !pthread_equal(seen.thread, pthread_self()));
	see(io_for(ENG_READ, 8, 8, buf), &seen);
	ck_assert_int_eq(seen.err, -EBADMSG);
	see(io_for(ENG_WRITE, 0, 8, buf), &seen);
	ck_assert_int_eq(seen.err, 0);
	if (mem->threaded)
		ck_assert(pthread_equal(seen.thread, mem->ring));
	teardown();
}
END_TEST

/* A failed transfer's error is passed on; what it left is not looked at. */
START_TEST(error_skips_verification)
{
	static uint8_t buf[512 * 8];
	struct seen seen;

	setup(_i, "512+8");
	mem->err = -EILSEQ;
	for (int op = ENG_READ; op <= ENG_WRITE; op++) {
		see(io_for(op, 0, 8, buf), &seen);
		ck_assert_int_eq(seen.err, -EILSEQ);
		ck_assert_int_eq(seen.fault, ENG_FAULT_NONE);
		ck_assert_int_eq(rw(op, 0, 8, buf), -EILSEQ);
	}
	teardown();
}
END_TEST

struct chain {
	unsigned int	left;
	uint8_t		buf[512];
	sem_t		done;
};

static void chain_end(struct eng_io *io)
{
	struct chain *chain = io->arg;

	ck_assert_int_eq(io->err, 0);
	if (!chain->left--) {
		eng_io_put(io);
		sem_post(&chain->done);
		return;
	}
	io->op = io->op == ENG_READ ? ENG_WRITE : ENG_READ;
	eng_io_submit(io);
}

/* end() may submit, the same request even. */
START_TEST(end_may_submit)
{
	struct chain chain = { .left = 200 };
	struct eng_io *io;

	setup(_i, "512+8");
	sem_init(&chain.done, 0, 0);
	io = io_for(ENG_WRITE, 7, 1, chain.buf);
	io->end = chain_end;
	io->arg = &chain;
	eng_io_submit(io);
	while (sem_wait(&chain.done))
		;
	teardown();
}
END_TEST

enum { QUEUED = 50 };

struct order {
	unsigned int	n;		/* ended so far */
	uint64_t	at[QUEUED];
};

static void order_end(struct eng_io *io)
{
	struct order *o = io->arg;

	o->at[o->n++] = io->start;
	if (o->n == 1)
		usleep(20000);	/* let the others queue up */
	eng_io_put(io);
}

static void order_submit(struct order *o)
{
	static uint8_t buf[512];

	for (unsigned int i = 0; i < QUEUED; i++) {
		struct eng_io *io = io_for(ENG_READ, i * 3 % QUEUED, 1, buf);

		io->end = order_end;
		io->arg = o;
		eng_io_submit(io);
	}
}

/* Work is begun in the order in which it was queued; and close waits for all
 * of it. */
START_TEST(pool_is_first_in_first_out)
{
	struct order o = { .n = 0 };

	if (_i)
		ck_assert_int_eq(eng_pool_create_serial(&pool), 0);
	else
		ck_assert_int_eq(eng_pool_create(&pool, 1), 0);
	mem = mem_open("512+8", pool, true);
	order_submit(&o);
	eng_dev_close(&mem->dev);
	ck_assert_uint_eq(o.n, QUEUED);
	for (unsigned int i = 0; i < QUEUED; i++)
		ck_assert_uint_eq(o.at[i], i * 3 % QUEUED);
	eng_pool_destroy(pool);
}
END_TEST

/* ---- many at once ----------------------------------------------------- */

enum { PRODUCERS = 4, ROUNDS = 300, AT_ONCE = 8, PIECE = 16 };

struct producer {
	pthread_t	thread;
	uint64_t	start;
	sem_t		ended;
	unsigned int	ends, bad, wrong;
};

static void producer_end(struct eng_io *io)
{
	struct producer *me = io->arg;
	void *data = io->iov[0].iov_base;
	bool must_fail = io->op == ENG_READ && io->tags[3] != tag_of(io->start +
								     3);

	__atomic_add_fetch(&me->ends, 1, __ATOMIC_RELAXED);
	if (io->err == -EBADMSG)
		__atomic_add_fetch(&me->bad, 1, __ATOMIC_RELAXED);
	if (must_fail ? io->err != -EBADMSG ||
			io->fault.interval != io->start + 3 : io->err)
		__atomic_add_fetch(&me->wrong, 1, __ATOMIC_RELAXED);
	eng_buf_put(io->dev, data, PIECE * 512);
	eng_io_put(io);
	sem_post(&me->ended);
}

static void produce_one(struct producer *me, enum eng_op op, uint64_t piece,
			bool spoil)
{
	uint8_t *buf = eng_buf_get(&mem->dev, PIECE * 512);
	struct eng_io *io;

	memset(buf, (int)piece, PIECE * 512);
	io = io_for(op, me->start + piece * PIECE, PIECE, buf);
	io->tags[3] ^= spoil;
	io->end = producer_end;
	io->arg = me;
	eng_io_submit(io);
}

static void *produce(void *arg)
{
	struct producer *me = arg;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		for (unsigned int i = 0; i < AT_ONCE; i++)
			produce_one(me, round ? ENG_READ : ENG_WRITE, i,
				    round && (round + i) % 7 == 0);
		for (unsigned int i = 0; i < AT_ONCE; i++)
			while (sem_wait(&me->ended))
				;
	}
	return NULL;
}

/* Requests of several threads end once each, each with its own result. */
START_TEST(producers_do_not_meet)
{
	struct producer p[PRODUCERS] = { 0 };

	setup(_i, "512+8");
	for (unsigned int i = 0; i < PRODUCERS; i++) {
		p[i].start = i * AT_ONCE * PIECE;
		sem_init(&p[i].ended, 0, 0);
		pthread_create(&p[i].thread, NULL, produce, &p[i]);
	}
	for (unsigned int i = 0; i < PRODUCERS; i++) {
		pthread_join(p[i].thread, NULL);
		ck_assert_uint_eq(p[i].ends, ROUNDS * AT_ONCE);
		ck_assert_uint_eq(p[i].wrong, 0);
		ck_assert_uint_gt(p[i].bad, 0);
	}
	teardown();
}
END_TEST

/* ---- memory ----------------------------------------------------------- */

static int no_memory(void **out, size_t align, size_t bytes)
{
	(void)align;
	(void)bytes;
	*out = NULL;
	return ENOMEM;
}

/* What was put back is used again, by its class only. */
START_TEST(classes_recycle)
{
	struct eng_io *small, *large;
	void *buf;

	setup(0, "512+8");
	small = eng_io_get(&mem->dev, 8, 1);
	large = eng_io_get(&mem->dev, 8, 100);
	eng_io_put(small);
	eng_io_put(large);
	ck_assert_ptr_eq(eng_io_get(&mem->dev, 5, 1), small);
	ck_assert_ptr_eq(eng_io_get(&mem->dev, 1000, 65), large);
	eng_io_put(small);
	eng_io_put(large);

	buf = eng_buf_get(&mem->dev, 5000);
	ck_assert_uint_eq((uintptr_t)buf % 4096, 0);
	memset(buf, 1, 8192);
	eng_buf_put(&mem->dev, buf, 5000);
	ck_assert_ptr_eq(eng_buf_get(&mem->dev, 8192), buf);
	eng_buf_put(&mem->dev, buf, 8192);

	buf = eng_buf_get(&mem->dev, MEM_MAX_IO * 512 + 1);
	ck_assert_uint_eq((uintptr_t)buf % 4096, 0);
	memset(buf, 1, MEM_MAX_IO * 512 + 1);
	eng_buf_put(&mem->dev, buf, MEM_MAX_IO * 512 + 1);
	eng_buf_put(&mem->dev, NULL, 1);
	teardown();
}
END_TEST

/* A payload starts empty, whoever had it before, and has all its room. */
START_TEST(payload_starts_empty)
{
	static uint8_t buf[512];
	uint8_t dirty = 0;
	struct eng_io *io;

	setup(0, "4096+64");
	for (unsigned int pass = 0; pass < 2; pass++) {
		for (unsigned int segs = 1; segs <= ENG_MAX_SEGS; segs *= 2) {
			uint32_t count = segs * 2;

			io = eng_io_get(&mem->dev, count, segs);
			ck_assert(!io->niov && !io->count && !io->flags &&
				  !io->end && !io->start && !io->err);
			for (uint32_t i = 0; i < count * 64; i++)
				dirty |= io->tuples[i];
			ck_assert_uint_eq(dirty, 0);
			memset(io->tuples, 0xa5, (size_t)count * 64);
			memset(io->tags, 0xa5, count * sizeof(*io->tags));
			for (unsigned int i = 0; i < segs; i++)
				ck_assert_int_eq(eng_io_add(io, buf, 4096), 0);
			eng_io_put(io);
		}
	}
	teardown();
}
END_TEST

static sem_t got;

static void *get_largest(void *arg)
{
	void *mem_[2];

	(void)arg;
	mem_[0] = eng_io_get(&mem->dev, MEM_MAX_IO, 1);
	mem_[1] = eng_buf_get(&mem->dev, MEM_MAX_IO * 512);
	sem_post(&got);
	eng_io_put(mem_[0]);
	eng_buf_put(&mem->dev, mem_[1], MEM_MAX_IO * 512);
	return NULL;
}

/* When there is no memory, the largest size has one of each, and who comes
 * next waits for it instead of failing. */
START_TEST(largest_class_has_a_reserve)
{
	struct eng_io *io;
	pthread_t other;
	void *buf;

	setup(0, "512+8");
	sem_init(&got, 0, 0);
	eng_bufs_alloc = no_memory;
	ck_assert_ptr_null(eng_io_get(&mem->dev, 8, 1));
	ck_assert_ptr_null(eng_buf_get(&mem->dev, 4096));
	ck_assert_ptr_null(eng_buf_get(&mem->dev, MEM_MAX_IO * 512 + 1));
	io = eng_io_get(&mem->dev, MEM_MAX_IO, 1);
	buf = eng_buf_get(&mem->dev, MEM_MAX_IO * 512);
	ck_assert(io && buf);
	pthread_create(&other, NULL, get_largest, NULL);
	usleep(20000);
	ck_assert_int_eq(sem_trywait(&got), -1);
	eng_io_put(io);
	usleep(10000);
	ck_assert_int_eq(sem_trywait(&got), -1);
	eng_buf_put(&mem->dev, buf, MEM_MAX_IO * 512);
	pthread_join(other, NULL);
	ck_assert_int_eq(sem_trywait(&got), 0);
	eng_bufs_alloc = posix_memalign;
	teardown();
}
END_TEST

/* No memory for a device is an error, and nothing is left of it. */
START_TEST(init_may_fail)
{
	static const struct eng_dev_ops ops;
	struct eng_dev dev = { .ops = &ops, .geo = {
		.profile = eng_profile_find("512+8"), .max_io = MEM_MAX_IO } };

	eng_bufs_alloc = no_memory;
	ck_assert_int_eq(eng_dev_init(&dev), -ENOMEM);
	ck_assert_ptr_null(dev.bufs);
	eng_bufs_alloc = posix_memalign;
}
END_TEST

/* ---- messages --------------------------------------------------------- */

static char logged[2048];
static int logged_level;

static void catch_log(int level, const char *line)
{
	logged_level = level;
	snprintf(logged, sizeof(logged), "%s", line);
}

START_TEST(log_is_one_line)
{
	eng_log_to(catch_log);
	errno = EDOM;
	eng_log(4, "two\nlines, %d", 42);
	ck_assert_int_eq(errno, EDOM);
	ck_assert_int_eq(logged_level, 4);
	ck_assert_str_eq(logged, "two\\012lines, 42");
	eng_log(3, "%3000s", "long");
	ck_assert_uint_lt(strlen(logged), 1024);
	eng_log_to(NULL);
	ck_assert_str_eq(eng_fault_name(ENG_FAULT_ESCAPE), "escape");
	ck_assert_str_eq(eng_fault_name((enum eng_fault_kind)99), "?");
}
END_TEST

static TCase *tuples_case(void)
{
	TCase *tc = tcase_create("tuples");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, generated_tuples_verify);
	tcase_add_test(tc, layout_is_big_endian);
	tcase_add_test(tc, opaque_metadata_is_left_alone);
	tcase_add_loop_test(tc, tuples_are_the_known_ones, 0,
			    sizeof(vectors) / sizeof(*vectors));
	tcase_add_test(tc, all_formats_are_known);
	tcase_add_test(tc, nvme_examples_as_tuples);
	tcase_add_test(tc, flipped_data_is_a_guard_fault);
	tcase_add_test(tc, flipped_metadata_is_the_right_fault);
	tcase_add_test(tc, first_fault_is_reported);
	tcase_add_test(tc, another_address_is_a_ref_fault);
	tcase_add_test(tc, exchanged_intervals_are_a_ref_fault);
	tcase_add_test(tc, escape_is_a_fault);
	tcase_add_test(tc, escape_depends_on_type);
	return tc;
}

static TCase *io_case(void)
{
	TCase *tc = tcase_create("io");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, write_then_read, 0, SETUPS);
	tcase_add_loop_test(tc, a_bypass_verifies_nothing, 0, SETUPS);
	tcase_add_loop_test(tc, segments_are_one_run, 0, SETUPS);
	tcase_add_loop_test(tc, tags_are_compared, 0, SETUPS);
	tcase_add_loop_test(tc, tags_out_reports, 0, SETUPS);
	tcase_add_loop_test(tc, escape_is_never_written, 0, SETUPS);
	tcase_add_loop_test(tc, bad_requests_do_not_reach_the_device, 0,
			    SETUPS);
	tcase_add_loop_test(tc, error_skips_verification, 0, SETUPS);
	tcase_add_loop_test(tc, full_payload_says_so, 0, SETUPS);
	tcase_add_loop_test(tc, failed_flush_is_for_ever, 0, SETUPS);
	tcase_add_loop_test(tc, optional_operations, 0, SETUPS);
	tcase_add_loop_test(tc, verification_is_off_the_ring, 0, SETUPS);
	tcase_add_loop_test(tc, end_may_submit, 0, SETUPS);
	tcase_add_loop_test(tc, pool_is_first_in_first_out, 0, 2);
	tcase_add_loop_test(tc, producers_do_not_meet, 0, SETUPS);
	return tc;
}

static TCase *other_case(void)
{
	TCase *tc = tcase_create("parts");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, guards_have_their_check_values);
	tcase_add_test(tc, crc64_agrees_with_nvme_examples);
	tcase_add_test(tc, crc64_ways_agree);
	tcase_add_test(tc, crc64_continues);
	tcase_add_test(tc, ip_sum_agrees_with_rfc);
	tcase_add_test(tc, names_are_canonical);
	tcase_add_test(tc, names_have_aliases);
	tcase_add_test(tc, run_holds_the_tag_bytes);
	tcase_add_test(tc, differences_are_named);
	tcase_add_test(tc, tag_sizes);
	tcase_add_test(tc, sectors_are_intervals);
	tcase_add_test(tc, classes_recycle);
	tcase_add_test(tc, payload_starts_empty);
	tcase_add_test(tc, largest_class_has_a_reserve);
	tcase_add_test(tc, init_may_fail);
	tcase_add_test(tc, log_is_one_line);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("engine");
	SRunner *sr;
	int failed;

	suite_add_tcase(suite, other_case());
	suite_add_tcase(suite, tuples_case());
	suite_add_tcase(suite, io_case());
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
