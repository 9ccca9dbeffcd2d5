/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Floating point and vectors. */
#include <immintrin.h>
#include <math.h>
#include <string.h>
#include "work.h"

static void scalar_double(void)
{
	volatile double start = 1.1;
	double x = start, y = 0;

	for (int i = 0; i < 5000; i++) {
		x = x * 1.0000001 + 0.5;
		y += 1.0 / x;
	}
	sink += (uint64_t)(y * 1000);
}

static void sse2(void)
{
	static float a[4096], b[4096];
	__m128 k = _mm_set1_ps(1.001f);

	for (int i = 0; i < 4096; i += 4)
		_mm_storeu_ps(a + i, _mm_add_ps(_mm_mul_ps(_mm_loadu_ps(b + i), k), _mm_loadu_ps(a + i)));
	sink += (uint64_t)a[5];
}

__attribute__((target("avx2"))) static void avx2(void)
{
	static int32_t a[8192], b[8192];

	for (int i = 0; i < 8192; i += 8) {
		__m256i x = _mm256_loadu_si256((const __m256i *)(a + i));
		__m256i y = _mm256_loadu_si256((const __m256i *)(b + i));

		_mm256_storeu_si256((__m256i *)(a + i),
				    _mm256_add_epi32(_mm256_slli_epi32(x, 3), _mm256_xor_si256(x, y)));
	}
	sink += (uint64_t)a[5];
}

static void x87(void)
{
	volatile long double start = 1.1L;
	long double x = start, y = 0;

	for (int i = 0; i < 2000; i++) {
		x = x * 1.0000001L + 0.5L;
		y += sqrtl(x);
	}
	sink += (uint64_t)y;
}

__attribute__((target("aes,sse4.1"))) static void aes(void)
{
	__m128i key = _mm_set1_epi32(0x1234567);

	for (int i = 0; i < 256; i++) {
		__m128i x = _mm_loadu_si128((const __m128i *)(big2 + i * 16));

		for (int round = 0; round < 10; round++)
			x = _mm_aesenc_si128(x, key);
		_mm_storeu_si128((__m128i *)(big1 + i * 16), x);
	}
}

static void double_matrix(void)
{
	static double a[24][24], b[24][24], c[24][24];

	for (int i = 0; i < 24; i++)
		for (int j = 0; j < 24; j++) {
			double s = i - j;

			for (int k = 0; k < 24; k++)
				s += a[i][k] * b[k][j];
			c[i][j] = s;
		}
	memcpy(a, c, sizeof(a) / 2);
	sink += (uint64_t)(int64_t)c[3][4];
}

static const struct workload workloads[] = {
	{ "scalar-double", scalar_double },
	{ "double-matrix", double_matrix },
	{ "sse2", sse2 },
	{ "avx2", avx2 },
	{ "aes", aes },
	{ "x87", x87 },
	{ NULL, NULL },
};

const struct workload_class simd_class = { "simd", workloads, 0 };
