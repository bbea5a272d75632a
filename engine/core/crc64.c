/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crc64.c - CRC-64/NVMe: by carry-less multiplication, or eight tables.
 *  (1) Both ways give the same result for every length and alignment; the
 *      tables also finish what is shorter than a vector.
 *  (2) Bit-reflected throughout: the lowest bit of the first byte is the
 *      coefficient of the highest power of x.  In a vector, the low half
 *      comes before the high half, and a carry-less product of two reflected
 *      values is the reflected product times x: constants allow for it. */
#include <endian.h>
#include <stdbool.h>
#include <string.h>

#include "core/crc64.h"

#define POLY	0x9a6c9329ac4bc9b5ull

static uint64_t table[8][256];	/* [n][b]: byte b, then n zero bytes */

__attribute__((constructor))
static void make_table(void)
{
	for (unsigned int b = 0; b < 256; b++) {
		uint64_t v = b;

		for (int bit = 0; bit < 8; bit++)
			v = v >> 1 ^ (v & 1 ? POLY : 0);
		table[0][b] = v;
	}
	for (unsigned int b = 0; b < 256; b++)
		for (int n = 1; n < 8; n++)
			table[n][b] = table[n - 1][b] >> 8 ^
				      table[0][table[n - 1][b] & 0xff];
}

static uint64_t update_table(uint64_t crc, const uint8_t *p, size_t len)
{
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t v;

		memcpy(&v, p, 8);
		crc ^= le64toh(v);
		v = 0;
		for (int n = 7; n >= 0; n--, crc >>= 8)
			v ^= table[n][crc & 0xff];
		crc = v;
	}
	while (len--)
		crc = crc >> 8 ^ table[0][(crc ^ *p++) & 0xff];
	return crc;
}

uint64_t eng_crc64_table(uint64_t crc, const void *data, size_t len)
{
	return ~update_table(~crc, data, len);
}

#ifdef __x86_64__
#include <immintrin.h>

#define CLMUL	__attribute__((target("pclmul,sse2")))

static bool have_clmul, have_wide;

__attribute__((constructor))
static void detect(void)
{
	__builtin_cpu_init();
	have_clmul = __builtin_cpu_supports("pclmul");
	have_wide = have_clmul && __builtin_cpu_supports("vpclmulqdq") &&
		    __builtin_cpu_supports("avx512dq");
}

CLMUL static inline __m128i load(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)p);
}

/* x, moved up by as many bits as k stands for, plus next.  k: low half
 * x^(bits + 63), high half x^(bits - 1), modulo the polynomial. */
CLMUL static inline __m128i fold(__m128i x, __m128i k, __m128i next)
{
	return _mm_xor_si128(next,
		_mm_xor_si128(_mm_clmulepi64_si128(x, k, 0x00),
			      _mm_clmulepi64_si128(x, k, 0x11)));
}

/* x * x^64 modulo the polynomial (Barrett). */
CLMUL static uint64_t reduce(__m128i x)
{
	const __m128i k = _mm_set_epi64x(0, 0x21e9761e252621ac);
	const __m128i mu_p = _mm_set_epi64x(POLY, 0x13f67d194d77cfbb);
	__m128i q, r;
	uint64_t lo, hi;

	x = _mm_xor_si128(_mm_clmulepi64_si128(x, k, 0x00),
			  _mm_srli_si128(x, 8));
	q = _mm_clmulepi64_si128(x, mu_p, 0x00);
	q = _mm_xor_si128(x, _mm_slli_epi64(q, 1));
	r = _mm_clmulepi64_si128(q, mu_p, 0x10);
	lo = (uint64_t)_mm_cvtsi128_si64(r);
	hi = (uint64_t)_mm_cvtsi128_si64(_mm_srli_si128(r, 8));
	return (uint64_t)_mm_cvtsi128_si64(_mm_srli_si128(x, 8)) ^
	       (hi << 1 | lo >> 63);
}

/* len: a multiple of 16, at least 16. */
CLMUL static uint64_t update_clmul(uint64_t crc, const uint8_t *p, size_t len)
{
	const __m128i by512 = _mm_set_epi64x(0x62242240ace5045a,
					     0x0c32cdb31e18a84a);
	const __m128i by128 = _mm_set_epi64x(0x21e9761e252621ac,
					     (int64_t)0xeadc41fd2ba3d420);
	__m128i seed = _mm_cvtsi64_si128((int64_t)crc);
	__m128i a = _mm_xor_si128(load(p), seed);

	if (len >= 64) {
		__m128i b = load(p + 16);
		__m128i c = load(p + 32);
		__m128i d = load(p + 48);

		for (p += 64, len -= 64; len >= 64; p += 64, len -= 64) {
			a = fold(a, by512, load(p));
			b = fold(b, by512, load(p + 16));
			c = fold(c, by512, load(p + 32));
			d = fold(d, by512, load(p + 48));
		}
		a = fold(fold(fold(a, by128, b), by128, c), by128, d);
	} else {
		p += 16;
		len -= 16;
	}
	for (; len; p += 16, len -= 16)
		a = fold(a, by128, load(p));
	return reduce(a);
}

#define WIDE	__attribute__((target("vpclmulqdq,avx512f,avx512dq")))

WIDE static inline __m512i fold4(__m512i x, __m512i k, __m512i next)
{
	return _mm512_ternarylogic_epi64(next,
		_mm512_clmulepi64_epi128(x, k, 0x00),
		_mm512_clmulepi64_epi128(x, k, 0x11), 0x96);
}

WIDE static inline __m512i both(uint64_t high, uint64_t low)
{
	return _mm512_broadcast_i32x4(_mm_set_epi64x((int64_t)high,
						     (int64_t)low));
}

/* The same, four vectors in each of four registers.  len: a multiple of
 * 256, at least 256; leaves 64 bytes that stand for all of them in tail. */
WIDE static void update_wide(uint64_t crc, const uint8_t *p, size_t len,
			     uint8_t tail[64])
{
	const __m512i by2048 = both(0xa043808c0f782663, 0x37ccd3e14069cabc);
	const __m512i by512 = both(0x62242240ace5045a, 0x0c32cdb31e18a84a);
	__m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(p + 64);
	__m512i c = _mm512_loadu_si512(p + 128);
	__m512i d = _mm512_loadu_si512(p + 192);

	a = _mm512_xor_si512(a, _mm512_zextsi128_si512(
				     _mm_cvtsi64_si128((int64_t)crc)));
	for (p += 256, len -= 256; len; p += 256, len -= 256) {
		a = fold4(a, by2048, _mm512_loadu_si512(p));
		b = fold4(b, by2048, _mm512_loadu_si512(p + 64));
		c = fold4(c, by2048, _mm512_loadu_si512(p + 128));
		d = fold4(d, by2048, _mm512_loadu_si512(p + 192));
	}
	a = fold4(fold4(fold4(a, by512, b), by512, c), by512, d);
	_mm512_storeu_si512(tail, a);
}

static uint64_t update(uint64_t crc, const uint8_t *p, size_t len)
{
	size_t wide = len & ~(size_t)255, whole = len & ~(size_t)15;
	uint8_t tail[64];

	if (have_wide && wide) {
		update_wide(crc, p, wide, tail);
		crc = update_clmul(0, tail, sizeof(tail));
		p += wide;
		len -= wide;
		whole -= wide;
	}
	if (have_clmul && whole) {
		crc = update_clmul(crc, p, whole);
		p += whole;
		len -= whole;
	}
	return update_table(crc, p, len);
}
#else
#define update update_table
#endif

uint64_t eng_crc64(uint64_t crc, const void *data, size_t len)
{
	return ~update(~crc, data, len);
}
