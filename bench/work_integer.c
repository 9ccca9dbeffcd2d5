/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Integer work: what compilers make of ordinary programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "work.h"

struct node {
	struct node *next;
	int value;
};

/* Lists, a matrix product and a state machine, in CoreMark's proportions. */
static void integer_mix(void)
{
	static struct node nodes[200];
	static int a[20][20], b[20][20], c[20][20];
	static const char text[] = "5012,-3.25e7,+1000,0x,abc,9,.5,--1,12e,";
	uint64_t sum = 0;
	int state = 0;

	for (int i = 0; i < 200; i++)
		nodes[i] = (struct node){ i < 187 ? &nodes[i + 13] : NULL, i * 7 };
	for (int turn = 0; turn < 10; turn++)
		for (struct node *n = &nodes[turn]; n; n = n->next)
			sum += (uint64_t)n->value;
	for (int i = 0; i < 20; i++)
		for (int j = 0; j < 20; j++) {
			int s = 0;

			for (int k = 0; k < 20; k++)
				s += a[i][k] * b[k][j];
			c[i][j] = s + i;
		}
	for (int turn = 0; turn < 20; turn++)
		for (const char *p = text; *p; p++) {
			switch (*p) {
			case ',': state = 0; break;
			case '+':
			case '-': state = state ? 7 : 1; break;
			case '.': state = state < 3 ? 3 : 7; break;
			case 'e': state = state == 3 ? 4 : 7; break;
			default: state = *p >= '0' && *p <= '9' ? (state < 2 ? 2 : state) : 7;
			}
			sum = sum * 31 + (uint64_t)state;
		}
	sink += sum + (uint64_t)c[3][4];
}

static void sieve(void)
{
	static uint8_t composite[65536];
	int count = 0;

	memset(composite, 0, sizeof(composite));
	for (int i = 2; i < 65536; i++) {
		if (composite[i])
			continue;
		count++;
		for (int j = 2 * i; j < 65536; j += i)
			composite[j] = 1;
	}
	sink += (uint64_t)count;
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a < *(const int *)b ? -1 : *(const int *)a > *(const int *)b;
}

static void sort(void)
{
	static int v[4096];

	for (int i = 0; i < 4096; i++)
		v[i] = (int)next_random();
	qsort(v, 4096, sizeof(v[0]), compare);
	sink += (uint64_t)v[17];
}

static uint32_t rotate(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

/* The compression function of SHA-256 with constants that only need to be of the kind. */
static void sha(void)
{
	uint32_t h[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, w[64];

	for (int block = 0; block < 64; block++) {
		uint32_t v[8];

		for (int i = 0; i < 16; i++)
			w[i] = (uint32_t)(block * 16 + i) * 0x9e3779b9u;
		for (int i = 16; i < 64; i++)
			w[i] = (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10) + w[i - 7] +
			       (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 16];
		memcpy(v, h, sizeof(v));
		for (int i = 0; i < 64; i++) {
			uint32_t t1 = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) +
				      ((v[4] & v[5]) ^ (~v[4] & v[6])) + w[i] + 0x428a2f98u * (uint32_t)i;
			uint32_t t2 = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) +
				      ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

			memmove(v + 1, v, 7 * sizeof(v[0]));
			v[4] += t1;
			v[0] = t1 + t2;
		}
		for (int i = 0; i < 8; i++)
			h[i] += v[i];
	}
	sink += h[0];
}

static __attribute__((noinline)) int fib(int n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static void recursion(void)
{
	sink += (uint64_t)fib(18);
}

static __attribute__((noinline)) uint64_t op0(uint64_t x)
{
	return x + 1;
}
static __attribute__((noinline)) uint64_t op1(uint64_t x)
{
	return x * 3;
}
static __attribute__((noinline)) uint64_t op2(uint64_t x)
{
	return x ^ 0x55;
}
static __attribute__((noinline)) uint64_t op3(uint64_t x)
{
	return x >> 1;
}

static void indirect_calls(void)
{
	static uint64_t (*const volatile ops[])(uint64_t) = { op0, op1, op2, op3 };
	uint64_t x = 1;

	for (int i = 0; i < 4000; i++)
		x = ops[(x ^ (uint64_t)i) & 3](x);
	sink += x;
}

static void bytecode(void)
{
	static const uint8_t code[] = { 0, 1, 2, 3, 0, 4, 1, 5, 2, 2, 6, 3, 1, 0, 7 };
	uint64_t acc = 1, reg = 7;
	unsigned pc = 0;

	for (int i = 0; i < 10000; i++) {
		switch (code[pc++]) {
		case 0: acc += reg; break;
		case 1: acc ^= acc << 3; break;
		case 2: reg = acc & 0xff; break;
		case 3: acc -= 5; break;
		case 4: reg++; break;
		case 5: acc *= 7; break;
		case 6: acc >>= 1; break;
		default: pc = 0;
		}
	}
	sink += acc;
}

/* Words of a text counted in an open hash table. */
static void hash_table(void)
{
	static uint32_t keys[4096], counts[4096];

	memset(keys, 0, sizeof(keys));
	for (int i = 0; i < 2000; i++) {
		uint32_t key = (next_random() & 1023) + 1, at = key * 2654435761u >> 20;

		while (keys[at] && keys[at] != key)
			at = (at + 1) & 4095;
		keys[at] = key;
		counts[at]++;
	}
	sink += counts[77];
}

static void crc32(void)
{
	static uint32_t table[256];
	uint32_t crc = ~0u;

	if (!table[1])
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;

			for (int k = 0; k < 8; k++)
				c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
			table[i] = c;
		}
	for (int i = 0; i < 16384; i++)
		crc = table[(crc ^ (uint8_t)big1[i]) & 0xff] ^ crc >> 8;
	sink += crc;
}

/* Matches of a byte-wise compressor: a window is searched for the longest one. */
static void compress_text(void)
{
	static uint8_t text[4096];
	static int16_t last[65536];
	unsigned matched = 0;

	if (!text[0])
		for (int i = 0; i < 4096; i++)
			text[i] = (uint8_t)("the quick brown fox jumps over the lazy dog "[next_random() % 44]);
	memset(last, -1, sizeof(last));
	for (int i = 0; i < 4090; i++) {
		unsigned at = text[i] | (unsigned)text[i + 1] << 8;
		int from = last[at], n = 0;

		if (from >= 0)
			while (i + n < 4096 && text[from + n] == text[i + n] && n < 255)
				n++;
		matched += (unsigned)n;
		last[at] = (int16_t)i;
	}
	sink += matched;
}

static void divisions(void)
{
	uint64_t x = next_random(), sum = 0;

	for (uint32_t i = 1; i < 3000; i++) {
		sum += x / i + (uint32_t)x % i;
		x += 0x9e3779b97f4a7c15u;
	}
	sink += sum;
}

static void allocations(void)
{
	void *p[64];

	for (int turn = 0; turn < 20; turn++) {
		for (int i = 0; i < 64; i++)
			p[i] = malloc(16 + (next_random() & 511));
		for (int i = 0; i < 64; i++)
			free(p[(i * 37) & 63]);
	}
}

static void strings(void)
{
	char line[200], *save, *word;
	unsigned n = 0;

	for (int i = 0; i < 30; i++) {
		snprintf(line, sizeof(line), "%d: name=%s value=%u %x end of the line", i, "workload", i * 77u,
			 i * 12345u);
		for (word = strtok_r(line, " =", &save); word; word = strtok_r(NULL, " =", &save))
			n += (unsigned)strlen(word) + (strstr(word, "oad") != NULL);
	}
	sink += n;
}

static const struct workload workloads[] = {
	{ "integer-mix", integer_mix },
	{ "sieve", sieve },
	{ "sort", sort },
	{ "sha256", sha },
	{ "recursion", recursion },
	{ "indirect-calls", indirect_calls },
	{ "bytecode", bytecode },
	{ "hash-table", hash_table },
	{ "crc32", crc32 },
	{ "compress", compress_text },
	{ "divide", divisions },
	{ "malloc", allocations },
	{ "strings", strings },
	{ NULL, NULL },
};

const struct workload_class integer_class = { "integer", workloads, 0 };
