/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Accesses that lie close together, in one page and across two: what a translator may look up together must stay what it is. */
#include <string.h>

#include "../lib/guest.h"

#define TURNS 5000
#define IN_PAGE 0x30000
#define ACROSS 0x31e00
#define COUNTS 0x33f80
#define SLOTS 0x35ff8
#define SUM 0x37000

/* Tables by an index that can only be small: by MOVZX, SHR and AND, read and written. */
GUEST(tables, 64,
      "mov ecx, 5000\n xor eax, eax\n mov rsi, 0x30000\n mov rdi, 0x31e00\n mov rbx, 0x33f80\n mov rbp, 0x35ff8\n"
      "1: movzx edx, cl\n add eax, [rsi + rdx*4]\n add eax, [rdi + rdx*4]\n"
      "imul edx, ecx, 0x9e3779b1\n shr edx, 24\n inc byte ptr [rbx + rdx]\n"
      "mov r8d, ecx\n mov edx, r8d\n and edx, 15\n mov [rbp + rdx*8], rcx\n xor eax, [rdx + rsi + 1]\n"
      "dec ecx\n jnz 1b\n mov [0x37000], eax\n" DONE);

static uint32_t table_work(uint8_t *mem)
{
	uint32_t sum = 0;

	for (uint64_t n = TURNS; n; n--) {
		sum += load32(mem + IN_PAGE + 4 * (n & 0xff));
		sum += load32(mem + ACROSS + 4 * (n & 0xff));
		mem[COUNTS + ((uint32_t)n * 0x9e3779b1u >> 24)]++;
		memcpy(mem + SLOTS + 8 * (n & 15), &n, sizeof(n));
		sum ^= load32(mem + IN_PAGE + (n & 15) + 1);
	}
	return sum;
}

static void fill_tables(uint8_t *mem)
{
	for (uint32_t n = 0; n < 0x400; n++) {
		mem[IN_PAGE + n] = (uint8_t)(n * 7 + n / 256);
		mem[ACROSS + n] = (uint8_t)(n * 11 + n / 256);
	}
}

TEST(code_tables_by_small_indices)
{
	static uint8_t expected[SUM];
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint32_t sum;

	fill_tables(expected);
	fill_tables(machine->mem);
	sum = table_work(expected);
	guest_start(cpu, GUEST_LONG, tables);
	cpu_run_to_done(cpu);
	check_eq(load32(machine->mem + SUM), sum);
	check(!memcmp(machine->mem + COUNTS, expected + COUNTS, 256));
	check(!memcmp(machine->mem + SLOTS, expected + SLOTS, 128));
}

/* The same function with its frame in one page, and half in the next: 2000 turns each, and then both in turn. */
GUEST(frames, 64,
      "mov ecx, 2000\n xor eax, eax\n"
      "1: mov rsp, 0x40800\n call 3f\n dec ecx\n jnz 1b\n mov ecx, 2000\n"
      "2: mov rsp, 0x42020\n call 3f\n mov rsp, 0x40800\n call 3f\n dec ecx\n jnz 2b\n mov [0x37000], eax\n jmp 4f\n"
      "3: push rcx\n push rax\n push rsi\n sub rsp, 0x20\n mov [rsp + 8], ecx\n mov dword ptr [rsp + 0x18], 5\n"
      "add eax, [rsp + 8]\n jz 5f\n add eax, [rsp + 0x18]\n inc dword ptr [rsp + 8]\n add eax, [rsp + 8]\n"
      "5: add rsp, 0x20\n pop rsi\n pop rdx\n add eax, edx\n pop rcx\n ret\n"
      "4: mov rsp, 0x8000\n" DONE);

static uint32_t frame_work(uint32_t sum, uint32_t n)
{
	uint32_t was = sum;

	sum += n;
	if (sum)
		sum += 5 + n + 1;
	return sum + was;
}

TEST(code_frames_on_two_pages)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint32_t sum = 0;

	for (uint32_t n = 2000; n; n--)
		sum = frame_work(sum, n);
	for (uint32_t n = 2000; n; n--)
		sum = frame_work(frame_work(sum, n), n);
	guest_start(cpu, GUEST_LONG, frames);
	cpu_run_to_done(cpu);
	check_eq(load32(machine->mem + SUM), sum);
}

/*
 * Linux's memset() for processors without fast REP STOS: the flags of DEC live through eight stores, and the last of the loop's
 * turns lies on two pages. As often as it takes to be translated, and translated otherwise.
 */
GUEST(fill, 64,
      "mov edx, 1000\n xor ebx, ebx\n"
      "1: mov edi, 0x40010\n mov ecx, 64\n mov eax, edx\n"
      "2: dec rcx\n mov [rdi], rax\n mov [rdi + 8], rax\n mov [rdi + 0x10], rax\n mov [rdi + 0x18], rax\n"
      "mov [rdi + 0x20], rax\n mov [rdi + 0x28], rax\n mov [rdi + 0x30], rax\n mov [rdi + 0x38], rax\n"
      "lea rdi, [rdi + 0x40]\n jnz 2b\n or rbx, rcx\n dec edx\n jnz 1b\n" DONE);

TEST(code_fill_that_ends_on_two_pages)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);

	guest_start(cpu, GUEST_LONG, fill);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 0);
	check_eq(cpu_regs(cpu).rdi, 0x41010);
	check_eq(load32(machine->mem + 0x41008), 1);
	check_eq(load32(machine->mem + 0x41010), 0);
}

/* Bits by a register's offset, far before and behind the operand: ZF stays, CF is counted. */
GUEST(bits, 64,
      "mov ecx, 3000\n xor ebp, ebp\n mov edi, 0x40000\n"
      "1: imul eax, ecx, 0x9e3779b1\n movsxd rdx, eax\n sar rdx, 15\n mov r9, rdx\n"
      "bts [rdi], rdx\n adc ebp, 0\n btc dword ptr [rdi + 0x8000], r9d\n adc ebp, 0\n"
      "xor esi, esi\n lock bts qword ptr [rdi + 0x10000], r9\n jnz 2f\n adc ebp, 0\n"
      "bt dword ptr [rdi], r9d\n adc ebp, 0\n btr [rdi + 0x10000], rcx\n adc ebp, 0\n"
      "dec ecx\n jnz 1b\n 2: mov [0x37000], ebp\n" DONE);

static unsigned flip_bit(uint8_t *operand, int64_t offset, char how)
{
	uint8_t *byte = operand + (offset >> 3), mask = (uint8_t)(1u << (offset & 7));
	unsigned was = !!(*byte & mask);

	*byte = (uint8_t)(how == 's' ? *byte | mask : how == 'r' ? *byte & ~mask : how == 'c' ? *byte ^ mask : *byte);
	return was;
}

static uint32_t bit_work(uint8_t *mem)
{
	uint32_t sum = 0;

	for (uint32_t n = 3000; n; n--) {
		int64_t offset = (int32_t)(n * 0x9e3779b1u) >> 15;

		sum += flip_bit(mem + 0x40000, offset, 's') + flip_bit(mem + 0x48000, offset, 'c') +
		       flip_bit(mem + 0x50000, offset, 's');
		sum += flip_bit(mem + 0x40000, offset, 0) + flip_bit(mem + 0x50000, n, 'r');
	}
	return sum;
}

TEST(code_bits_by_offset)
{
	static uint8_t expected[0x60000];
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint32_t sum = bit_work(expected);

	guest_start(cpu, GUEST_LONG, bits);
	cpu_run_to_done(cpu);
	check_eq(load32(machine->mem + SUM), sum);
	check(!memcmp(machine->mem + 0x38000, expected + 0x38000, 0x28000));
}
