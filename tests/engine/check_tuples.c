/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_tuples.c - checksums, formats and tuples, compared with published values
 * and with slow functions that are written from the definition. */
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
#include "native/nvme.h"
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

/* ---- eight tags in an interval ------------------------------------------- */

static const char *const eight[] = {
	"4096+64:type1:tags8", "4096+64:type1:first:tags8",
	"4096+64:type1:crc64:tags8", "4096+64:type3:first:crc64:tags8",
};

START_TEST(eight_tags_have_a_name)
{
	const struct eng_profile *p = eng_profile_find(eight[_i]), *one;

	ck_assert_ptr_nonnull(p);
	ck_assert_str_eq(p->name, eight[_i]);
	ck_assert_uint_eq(p->tags, ENG_TAGS);
	one = eng_profile_tags(p, 1);
	ck_assert_uint_eq(one->tags, 1);
	ck_assert(eng_profile_equal(one, p));
	ck_assert_ptr_eq(eng_profile_tags(one, ENG_TAGS), p);
	ck_assert_ptr_null(eng_profile_tags(one, 4));
	ck_assert_uint_eq(eng_profile_run(p, 16), 4096);
	ck_assert_uint_eq(eng_profile_run(one, 16), 32768);
	ck_assert_ptr_null(eng_profile_find("512+64:tags8"));
	ck_assert_ptr_null(eng_profile_find("4096+16:tags8"));
	ck_assert_ptr_null(eng_profile_tags(eng_profile_find("512+8"),
					    ENG_TAGS));
}
END_TEST

/* Number k of the interval whose metadata these are. */
static uint8_t *place_of(const struct eng_profile *p, uint8_t *meta,
			 unsigned int k)
{
	if (!k)
		return meta + p->pi_offset + (p->pi_size == 16 ? 8 : 2);
	return meta + (p->pi_offset ? 0 : p->pi_size) + 2 * (k - 1);
}

/* Where they lie, that they come back, and that a bit of any is noticed. */
START_TEST(eight_tags_are_kept_and_checked)
{
	const struct eng_profile *p = eng_profile_find(eight[_i]);
	static uint8_t data[2 * 4096], meta[2 * 64], was[2 * 64];
	uint16_t tags[2 * ENG_TAGS], back[ENG_TAGS];
	struct eng_fault fault;

	fill(data, sizeof(data), 5);
	memset(meta, 0, sizeof(meta));
	for (unsigned int k = 0; k < 2 * ENG_TAGS; k++)
		tags[k] = (uint16_t)(0x1203 + 0x517 * k);
	eng_generate(p, data, meta, 2, REF, tags);
	memcpy(was, meta, sizeof(meta));
	for (unsigned int k = 0; k < 2 * ENG_TAGS; k++) {
		const uint8_t *at = place_of(p, meta + k / ENG_TAGS * 64,
					     k % ENG_TAGS);

		ck_assert_msg(at[0] == tags[k] >> 8 &&
			      at[1] == (tags[k] & 0xff),
			      "%s: tag %u is %02x%02x", p->name, k, at[0],
			      at[1]);
	}
	eng_tuple_tags(p, meta + 64, back);
	ck_assert_mem_eq(back, tags + ENG_TAGS, sizeof(back));
	ck_assert_int_eq(eng_verify(p, data, meta, 2, REF, tags, &fault), 0);
	ck_assert_int_eq(eng_verify(p, data, meta, 2, REF, NULL, &fault), 0);
	for (unsigned int bit = 0; bit < 2 * ENG_TAGS * 16; bit++) {
		unsigned int k = bit / 16;
		bool guarded = p->pi_offset && k % ENG_TAGS;

		memcpy(meta, was, sizeof(meta));
		place_of(p, meta + k / ENG_TAGS * 64, k % ENG_TAGS)
			[bit / 8 % 2] ^= (uint8_t)(1 << bit % 8);
		ck_assert_msg(eng_verify(p, data, meta, 2, REF, tags, &fault) ==
			      -EBADMSG && fault.interval == REF + k / ENG_TAGS
			      && fault.kind == (guarded ? ENG_FAULT_GUARD :
						ENG_FAULT_APP),
			      "%s: bit %u: %s", p->name, bit,
			      eng_fault_name(fault.kind));
		ck_assert_msg(guarded || fault.expected == tags[k],
			      "%s: bit %u: expected %llx", p->name, bit,
			      (unsigned long long)fault.expected);
	}
	/* What is expected may be what changed. */
	memcpy(meta, was, sizeof(meta));
	for (unsigned int k = 0; k < 2 * ENG_TAGS; k++) {
		tags[k] ^= 0x40;
		ck_assert_msg(eng_verify(p, data, meta, 2, REF, tags, &fault) ==
			      -EBADMSG && fault.kind == ENG_FAULT_APP &&
			      fault.interval == REF + k / ENG_TAGS,
			      "%s: tag %u", p->name, k);
		tags[k] ^= 0x40;
	}
	memset(meta + p->pi_offset, 0xff, p->pi_size);
	eng_tuple_tags(p, meta, back);
	for (unsigned int k = 0; k < ENG_TAGS; k++)
		ck_assert_uint_eq(back[k], 0xffff);
}
END_TEST

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

/* ---- what an NVMe namespace says of itself ------------------------------ */

/* LBA format i of a made-up namespace. */
static void add_lbaf(struct eng_nvme_id *id, unsigned int i,
		     unsigned int shift, unsigned int meta)
{
	id->ns[128 + 4 * i] = (uint8_t)meta;
	id->ns[128 + 4 * i + 2] = (uint8_t)shift;
	id->ns[25] = (uint8_t)(i > id->ns[25] ? i : id->ns[25]);
}

/* Formatted with lbaf and type (0: none), and able to do what PI there is. */
static const char *advice_for(struct eng_nvme_id *id, unsigned int lbaf,
			      unsigned int type, struct eng_nvme_ns *ns)
{
	id->ns[26] = (uint8_t)lbaf;
	id->ns[27] = 2;		/* metadata apart from the data */
	id->ns[28] = 0x1f;	/* types 1, 2, 3; first, last */
	id->ns[29] = (uint8_t)type;
	*ns = (struct eng_nvme_ns){ 0 };
	eng_nvme_judge(id, ns);
	ck_assert_int_eq(ns->native, type != 0);
	return ns->advice;
}

/* A namespace is sent to the format with the smallest runs, and one that
 * protects itself only if that gains something. */
START_TEST(namespaces_learn_of_their_best_format)
{
	static const char small[] = " --lbaf=3 --pi=1 --pil=0 --ms=0";
	static const char large[] = " --lbaf=1 --pi=1 --pil=0 --ms=0";
	static struct eng_nvme_id id;
	struct eng_nvme_ns ns;

	add_lbaf(&id, 0, 12, 0);
	ck_assert_str_eq(advice_for(&id, 0, 0, &ns), "");
	add_lbaf(&id, 1, 12, 8);
	ck_assert_str_eq(advice_for(&id, 0, 0, &ns), large);
	ck_assert_str_eq(advice_for(&id, 1, 1, &ns), "");
	add_lbaf(&id, 2, 9, 64);
	add_lbaf(&id, 3, 9, 8);
	add_lbaf(&id, 4, 9, 16);
	ck_assert_str_eq(advice_for(&id, 0, 0, &ns), small);
	ck_assert_str_eq(advice_for(&id, 1, 1, &ns), small);
	ck_assert_str_eq(advice_for(&id, 1, 3, &ns), small);
	for (unsigned int i = 2; i <= 4; i++)
		ck_assert_str_eq(advice_for(&id, i, 1, &ns), "");
	id.ns[27] = 1;		/* not if metadata come among the data alone */
	eng_nvme_judge(&id, &ns);
	ck_assert_str_eq(ns.advice, "");
}
END_TEST

/* Whatever a controller answers. */
START_TEST(namespaces_may_say_anything)
{
	static struct eng_nvme_id id;
	struct eng_nvme_ns ns;

	for (unsigned int seed = 0; seed < 2000; seed++) {
		fill(id.ns, sizeof(id.ns), seed);
		fill(id.nvm, sizeof(id.nvm), seed + 1);
		ns = (struct eng_nvme_ns){ 0 };
		eng_nvme_judge(&id, &ns);
		ck_assert_msg(ns.native == !*ns.why_not, "seed %u", seed);
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

int main(void)
{
	Suite *suite = suite_create("tuples");
	TCase *tc;
	SRunner *sr;
	int failed;

	tc = tcase_create("parts");
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
	tcase_add_test(tc, namespaces_learn_of_their_best_format);
	tcase_add_test(tc, namespaces_may_say_anything);
	suite_add_tcase(suite, tc);
	tc = tcase_create("tuples");
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, eight_tags_have_a_name, 0, 4);
	tcase_add_loop_test(tc, eight_tags_are_kept_and_checked, 0, 4);
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
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
