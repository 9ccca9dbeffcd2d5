/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Code that is made while the program runs. */
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include "work.h"

#define CODE_SIZE (1 << 17)

static uint8_t *code_memory(void)
{
	static uint8_t *memory;

	if (!memory)
		memory = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		fail("memory for code");
	return memory;
}

static void make_code(uint8_t *p, uint32_t value)
{
	/* lea eax, [rdi + value]; imul eax, eax, 3; ret */
	static const uint8_t tail[] = { 0x6b, 0xc0, 0x03, 0xc3 };

	p[0] = 0x8d;
	p[1] = 0x87;
	memcpy(p + 2, &value, 4);
	memcpy(p + 6, tail, sizeof(tail));
}

typedef int made_function(int);

static made_function *function_at(uint8_t *p)
{
	made_function *f;

	memcpy(&f, &p, sizeof(f));
	return f;
}

/* A JIT's first use: many small functions, each called a few times. */
static void fresh_code(void)
{
	static uint32_t at;

	for (int i = 0; i < 64; i++) {
		uint8_t *p = code_memory() + (at++ * 16 & 0xffff);

		make_code(p, at);
		for (int k = 0; k < 20; k++)
			sink += (uint64_t)function_at(p)(k);
	}
}

/* One function whose constant is patched before each call. */
static void patched_code(void)
{
	for (uint32_t i = 0; i < 64; i++) {
		make_code(code_memory() + 0x10000, i);
		sink += (uint64_t)function_at(code_memory() + 0x10000)(1);
	}
}

static const struct workload workloads[] = {
	{ "fresh-code", fresh_code },
	{ "patched-code", patched_code },
	{ NULL, NULL },
};

const struct workload_class code_class = { "code", workloads, 0 };
