/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Single accesses that lie on two pages now and then, with flags that live over them. */
#include <string.h>

#include "../lib/guest.h"

#define TURNS 4000
#define BASE 0x40ff0
#define SUM 0x37000

/* Addresses from 16 bytes before a page's end to 16 behind; a load into each kind of register, stores, RMWs, both of PUSH's accesses. */
GUEST(across, 64,
      "mov ecx, 4000\n xor ebp, ebp\n mov esi, 0x40ff0\n"
      "1: mov edi, ecx\n and edi, 31\n imul r8d, ecx, 0x9e3779b1\n shr r8d, 27\n"
      "mov r9, [rsi + rdi]\n add r9, rcx\n mov r10, r9\n add ebp, r9d\n"
      "xor [rsi + r8 + 0x1000], r10\n"
      "cmp ecx, 2000\n adc ebp, [rsi + rdi + 0x2000]\n"
      "sbb [rsi + r8 + 0x3000], ebp\n setc al\n movzx eax, al\n add ebp, eax\n"
      "mov dx, [rsi + r8 + 7]\n lea ebp, [rbp + rdx]\n"
      "cmp ebp, ecx\n mov [rsi + rdi + 0x4000], ebp\n setb bl\n movzx ebx, bl\n add ebp, ebx\n"
      "inc word ptr [rsi + rdi + 0x5008]\n"
      "lea rsp, [rsi + r8 + 0x7008]\n push qword ptr [rsi + rdi + 0x1000]\n add ebp, [rsp]\n"
      "dec ecx\n jnz 1b\n mov rsp, 0x8000\n mov [0x37000], ebp\n" DONE);

static uint64_t load(const uint8_t *p, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, p, size);
	return value;
}

static void store(uint8_t *p, uint64_t value, unsigned size)
{
	memcpy(p, &value, size);
}

/* A turn of the loop; dx keeps what its upper bits were: rdx is 0 at first. */
static uint32_t turn(uint8_t *mem, uint32_t sum, uint32_t n)
{
	uint8_t *a = mem + BASE + (n & 31), *b = mem + BASE + (n * 0x9e3779b1u >> 27);
	uint64_t r10 = load(a, 8) + n, was;

	sum += (uint32_t)r10;
	store(b + 0x1000, load(b + 0x1000, 8) ^ r10, 8);
	was = (uint64_t)sum + load32(a + 0x2000) + (n < 2000);
	sum = (uint32_t)was;
	was = load32(b + 0x3000) - (uint64_t)sum - (was >> 32 & 1);
	store(b + 0x3000, was, 4);
	sum += was >> 32 & 1;
	sum += (uint32_t)load(b + 7, 2);
	store(a + 0x4000, sum, 4);
	sum += sum < n;
	store(a + 0x5008, load(a + 0x5008, 2) + 1, 2);
	store(b + 0x7000, load(a + 0x1000, 8), 8);
	return sum + load32(b + 0x7000);
}

TEST(code_single_accesses_on_two_pages)
{
	static uint8_t expected[0x50000];
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint32_t sum = 0;

	for (uint32_t n = 0; n < 0x9000; n++)
		machine->mem[0x40000 + n] = expected[0x40000 + n] = (uint8_t)(n * 7 + n / 256);
	for (uint32_t n = TURNS; n; n--)
		sum = turn(expected, sum, n);
	guest_start(cpu, GUEST_LONG, across);
	cpu_run_to_done(cpu);
	check_eq(load32(machine->mem + SUM), sum);
	check(!memcmp(machine->mem + 0x40000, expected + 0x40000, 0x9000));
}
