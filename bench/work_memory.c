/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Memory: copies, fills, and accesses that caches do not help. */
#include <stddef.h>
#include <string.h>
#include "work.h"

static void copy(void)
{
	memcpy(big1, big2, BIG);
}
static void set(void)
{
	memset(big1, (int)sink, BIG);
}

static void rep_movsb(void)
{
	void *d = big1;
	const void *s = big2;
	size_t n = 1 << 20;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
}

static void random_access_memory(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < 10000; i++)
		sum += (uint64_t)big1[next_random() & (BIG - 1)];
	sink += sum;
}

static void pointer_chase(void)
{
	static void *chain[8192];
	void **p;

	if (!chain[0])
		for (unsigned i = 0; i < 8192; i++)
			chain[i] = &chain[(i * 4093 + 1) & 8191];
	p = chain;
	for (int i = 0; i < 20000; i++)
		p = *p;
	sink += (uint64_t)(uintptr_t)p;
}

static void rep_stosq(void)
{
	void *d = big1;
	size_t n = 1 << 17;

	__asm__ volatile("rep stosq" : "+D"(d), "+c"(n) : "a"(sink) : "memory");
}

/* What most programs copy: a few dozen bytes, not aligned. */
static void small_copies(void)
{
	for (int i = 0; i < 2000; i++)
		memcpy(big1 + i * 64 + (i & 7), big2 + i * 48, (size_t)(8 + (i & 127)));
}

/* One word of each page and line: misses of the processor's caches and TLB. */
static void stride(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < BIG; i += 4096 + 64)
		sum += (uint64_t)big2[i];
	sink += sum;
}

static const struct workload workloads[] = {
	{ "memcpy", copy },
	{ "memset", set },
	{ "rep-movsb", rep_movsb },
	{ "rep-stosq", rep_stosq },
	{ "small-copies", small_copies },
	{ "random-access", random_access_memory },
	{ "pointer-chase", pointer_chase },
	{ "stride", stride },
	{ NULL, NULL },
};

const struct workload_class memory_class = { "memory", workloads, 0 };
