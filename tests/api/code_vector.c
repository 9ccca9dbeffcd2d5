/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Vector instructions whose accesses depend on register contents, in code that runs often: gathers, masked moves; LDMXCSR. */
#include <string.h>

#include "../lib/guest.h"

#define TURNS 256
#define INDICES 0x100000 /* 8 of 32 bits for each turn */
#define MASKS 0x110000   /* likewise */
#define RESULTS 0x120000 /* RESULT bytes for each turn */
#define RESULT 192
#define DATA 0x200000
#define DATA_BYTES 0x4000
#define ABSENT 0x800000 /* a page of 2 MiB that is not there */
#define OLD 0x5a5a5a5au

static struct cpu *start(struct guest_code code)
{
	struct machine *machine = machine_new(0);
	struct kvm_cpuid2 *cpuid = cpuid_supported(machine);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .value = 7 } } };
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (!(cpuid_find(cpuid, 1, 0)->ecx & 1u << 28) || !(cpuid_find(cpuid, 7, 0)->ebx & 1u << 5))
		test_skip("no AVX2");
	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid));
	guest_start(cpu, GUEST_LONG, code);
	check_ok(kt_ioctl(cpu->kt, KVM_SET_XCRS, &xcrs));
	sregs = cpu_sregs(cpu);
	sregs.cr4 |= 0x40600; /* OSXSAVE, OSXMMEXCPT, OSFXSR */
	cpu_set_sregs(cpu, &sregs);
	regs = cpu_regs(cpu);
	regs.rsi = INDICES;
	regs.rdi = MASKS;
	regs.rbx = DATA;
	regs.rdx = RESULTS;
	regs.rcx = TURNS;
	cpu_set_regs(cpu, &regs);
	*guest_pde(machine, ABSENT) = 0;
	guest_log(machine)->silent = 1;
	for (uint32_t n = 0; n < DATA_BYTES; n++)
		machine->mem[DATA + n] = (uint8_t)(n * 11 + n / 256);
	return cpu;
}

static uint32_t random32(void)
{
	static uint32_t x = 1;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

/* --- gathers ---------------------------------------------------------------------------------------------------- */

/* The comparison in front sets flags that are wanted behind. */
GUEST(gathers, 64,
      "vpcmpeqd ymm15, ymm15, ymm15\n vpsrld ymm15, ymm15, 24\n"
      "1: vmovdqu ymm1, [rsi]\n vpmovzxdq ymm4, [rsi]\n"
      "vmovdqu ymm2, [rdi]\n vmovdqu ymm9, ymm2\n vmovdqu ymm10, ymm2\n vmovdqu ymm11, ymm2\n"
      "mov eax, 0x5a5a5a5a\n vmovd xmm0, eax\n vpbroadcastd ymm0, xmm0\n"
      "vmovdqu ymm3, ymm0\n vmovdqu ymm5, ymm0\n vmovdqu ymm6, ymm0\n"
      "cmp ecx, 100\n"
      "vpgatherdd ymm0, [rbx + ymm1 * 4 - 2], ymm2\n"
      "vpgatherqd xmm3, [rbx + ymm4 * 4 - 2], xmm9\n"
      "vpgatherqq ymm5, [rbx + ymm4 * 4 - 2], ymm10\n"
      "vgatherdpd ymm6, [rbx + xmm1 * 4 - 2], ymm11\n"
      "adc ebp, 0\n"
      "vmovdqu [rdx], ymm0\n vmovdqu [rdx + 32], ymm2\n vmovdqu [rdx + 64], ymm3\n vmovdqu [rdx + 96], ymm9\n"
      "vmovdqu [rdx + 128], ymm5\n vmovdqu [rdx + 160], ymm6\n"
      "add rsi, 32\n add rdi, 32\n add rdx, 192\n dec ecx\n jnz 1b\n" DONE);

static uint32_t faults;

/*
 * A gather's destination as it should be; in front of an element that is not there everything is as if there were no fault. What
 * may be either way behind it is taken as it is found.
 */
static void expect_gather(struct machine *machine, const uint8_t *found, unsigned turn, unsigned width, unsigned lanes,
			  unsigned written)
{
	const uint8_t *mem = machine->mem, *mask = mem + MASKS + 32 * turn;
	uint8_t expected[32];
	unsigned n;

	memset(expected, 0x5a, sizeof(expected));
	for (n = 0; n < lanes; n++) {
		uint32_t address = DATA + 4 * load32(mem + INDICES + 32 * turn + 4 * n) - 2;

		if (!(mask[(n + 1) * width - 1] & 0x80))
			continue;
		if (address >= ABSENT) {
			faults++;
			check(!memcmp(expected, found, n * width));
			return;
		}
		memcpy(expected + n * width, mem + address, width);
	}
	memset(expected + written, 0, sizeof(expected) - written);
	check(!memcmp(expected, found, sizeof(expected)));
}

TEST(code_gathers)
{
	struct cpu *cpu = start(gathers);
	struct machine *machine = cpu->machine;
	uint32_t *index = (uint32_t *)(void *)(machine->mem + INDICES);
	uint32_t *mask = (uint32_t *)(void *)(machine->mem + MASKS);

	for (unsigned n = 0; n < 8 * TURNS; n++) {
		index[n] = 1 + random32() % (DATA_BYTES / 4 - 2);
		mask[n] = random32();
		if (n >= 8 * TURNS / 2 && !(random32() % 16))
			index[n] = (ABSENT - DATA) / 4 + 1;
	}
	guest_log(machine)->skip = 7; /* over any of the four */
	cpu_run_to_done(cpu);
	faults = 0;
	for (unsigned n = 0; n < TURNS; n++) {
		const uint8_t *result = machine->mem + RESULTS + RESULT * n;

		expect_gather(machine, result, n, 4, 8, 32);
		expect_gather(machine, result + 64, n, 4, 4, 16);
		expect_gather(machine, result + 128, n, 8, 4, 32);
		expect_gather(machine, result + 160, n, 8, 4, 32);
	}
	check(faults > 100);
	check_eq(guest_log(machine)->count, faults);
	check_eq((uint32_t)cpu_regs(cpu).rbp, 99);
}

/* --- masked moves ------------------------------------------------------------------------------------------------ */

/* rsi: addresses; rdi: masks of 8 lanes. What is masked out may lie in a page that is not there, or everything may. */
GUEST(masked, 64,
      "1: mov eax, [rsi]\n vmovdqu ymm2, [rdi]\n"
      "cmp ecx, 100\n"
      "vmaskmovps ymm0, ymm2, [rax]\n"
      "vpmaskmovq xmm3, xmm2, [rax]\n"
      "vpcmpeqd ymm4, ymm4, ymm4\n"
      "vpmaskmovd [rax], ymm2, ymm4\n"
      "adc ebp, 0\n"
      "vmovdqu [rdx], ymm0\n vmovdqu [rdx + 32], ymm3\n"
      "add rsi, 32\n add rdi, 32\n add rdx, 192\n dec ecx\n jnz 1b\n" DONE);

static void masked_turn(uint8_t *mem, uint32_t at, const uint8_t *mask, const uint8_t *result)
{
	uint8_t expected[64] = { 0 };
	unsigned n;

	for (n = 0; n < 8; n++)
		if (mask[4 * n + 3] & 0x80)
			memcpy(expected + 4 * n, mem + at + 4 * n, 4);
	for (n = 0; n < 2; n++)
		if (mask[8 * n + 7] & 0x80)
			memcpy(expected + 32 + 8 * n, mem + at + 8 * n, 8);
	for (n = 0; n < 8; n++)
		if (mask[4 * n + 3] & 0x80)
			memset(mem + at + 4 * n, 0xff, 4);
	check(!memcmp(result, expected, sizeof(expected)));
}

TEST(code_masked_moves)
{
	static uint8_t expected[ABSENT];
	struct cpu *cpu = start(masked);
	struct machine *machine = cpu->machine;
	uint32_t *where = (uint32_t *)(void *)(machine->mem + INDICES);
	uint32_t *mask = (uint32_t *)(void *)(machine->mem + MASKS);
	uint32_t end = DATA + 0x200000;

	/* The page behind the data's is absent as well. */
	*guest_pde(machine, end) = 0;
	memset(machine->mem + end - 64, 0x33, 64);
	memcpy(expected, machine->mem, end);
	for (unsigned n = 0; n < TURNS; n++) {
		unsigned there = random32() % 9; /* lanes in front of the page's end */

		where[8 * n] = n % 4 ? DATA + random32() % (DATA_BYTES - 32) : end - 4 * there;
		for (unsigned k = 0; k < 8; k++)
			mask[8 * n + k] = random32() & (n % 4 || k < there ? ~0u : 0x7fffffff);
	}
	cpu_run_to_done(cpu);
	for (unsigned n = 0; n < TURNS; n++)
		masked_turn(expected, where[8 * n], (const uint8_t *)&mask[8 * n], machine->mem + RESULTS + RESULT * n);
	check_eq(guest_log(machine)->count, 0);
	check(!memcmp(machine->mem + DATA, expected + DATA, end - DATA));
	check_eq((uint32_t)cpu_regs(cpu).rbp, 99);
}

/* --- LDMXCSR ------------------------------------------------------------------------------------------------------ */

/* The value is stored again; r8 counts the loads that went well. */
GUEST(control, 64,
      "1: mov eax, [rsi]\n cmp ecx, 100\n"
      "ldmxcsr [rsi]\n inc r8d\n"
      "stmxcsr [rdx]\n adc ebp, 0\n"
      "add rsi, 32\n add rdx, 192\n dec ecx\n jnz 1b\n" DONE);

TEST(code_loads_mxcsr)
{
	struct cpu *cpu = start(control);
	struct machine *machine = cpu->machine;
	uint32_t *value = (uint32_t *)(void *)(machine->mem + INDICES), good = 0, now = 0x1f80;

	for (unsigned n = 0; n < TURNS; n++)
		value[8 * n] = (random32() & 0xffff) | 0x1f80 | (random32() % 8 ? 0 : 0x10000u << n % 16);
	guest_log(machine)->skip = 6; /* over ldmxcsr and inc */
	cpu_run_to_done(cpu);
	for (unsigned n = 0; n < TURNS; n++) {
		if (!(value[8 * n] >> 16)) {
			now = value[8 * n];
			good++;
		}
		check_eq(load32(machine->mem + RESULTS + RESULT * n), now);
	}
	check(good < TURNS);
	check_eq((uint32_t)cpu_regs(cpu).r8, good);
	check_eq(guest_log(machine)->count, TURNS - good);
	check_eq(guest_log(machine)->event[0].vector, 13);
	check_eq((uint32_t)cpu_regs(cpu).rbp, 99);
}

/* --- FXRSTOR ------------------------------------------------------------------------------------------------------ */

/* Images of the state: bytes from 32 on are x87 registers, 10 of each 16. rsi: one to load, rdx: what is stored then. */
GUEST(images, 64,
      "1: fxsave [rsi]\n lea rdi, [rsi + 32]\n mov eax, 0x55\n push rcx\n mov ecx, 128\n rep stosb\n pop rcx\n"
      "fxrstor [rsi]\n fxsave [rdx]\n dec ecx\n jnz 1b\n" DONE);

TEST(code_fxrstor_loads_80_bits)
{
	static const uint8_t expected[16] = { 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55 };
	struct cpu *cpu = start(images);

	cpu_run_to_done(cpu);
	for (unsigned n = 0; n < 8; n++)
		check(!memcmp(cpu->machine->mem + RESULTS + 32 + 16 * n, expected, sizeof(expected)));
}
