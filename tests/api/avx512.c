/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* AVX-512 state, which guests have even where they have not the instructions: XCR0, the XSAVE family, KVM_GET_XSAVE. */
#include <stdlib.h>
#include <string.h>
#include "../lib/guest.h"

#define PARTS 0xe6ull /* SSE, AVX, AVX-512 */
#define FROM 0x20000u
#define STANDARD 0x22000u
#define COMPACTED 0x24000u
#define AGAIN 0x26000u
#define CR4_OSXSAVE (1ull << 18)

#define RFBM "mov eax, 0xe6\n xor edx, edx\n"
GUEST(avx512_state, 64,
      "xor ecx, ecx\n mov eax, 0xe7\n xor edx, edx\n xsetbv\n" RFBM "xrstor [0x20000]\n"
      "mov ecx, 2000\n1: vpxor xmm3, xmm3, xmm3\n dec ecx\n jnz 1b\n" RFBM "xsave [0x22000]\n xsavec [0x24000]\n"
      "xor eax, eax\n mov al, 0xe6\n xrstor [0x23000]\n" RFBM "xrstor [0x24000]\n xsave [0x26000]\n" DONE);

/* The same on this processor. */
static void host_does(const uint8_t *from, uint8_t *standard, uint8_t *compacted)
{
	__asm__ volatile("xrstor %2\n vpxor %%xmm3, %%xmm3, %%xmm3\n xsave %0\n xsavec %1"
			 : "+m"(*(uint8_t(*)[PAGE_SIZE])standard), "+m"(*(uint8_t(*)[PAGE_SIZE])compacted)
			 : "m"(*(const uint8_t(*)[PAGE_SIZE])from), "a"((uint32_t)PARTS), "d"(0)
			 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
			   "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

static void fill(uint8_t *area, unsigned int size)
{
	const uint32_t mxcsr = 0x1f80;
	const uint64_t parts = PARTS;

	for (unsigned int n = 0; n < size; n++)
		area[n] = (uint8_t)(n * 37 + n / 256);
	memcpy(area + 24, &mxcsr, sizeof(mxcsr));
	memset(area + 512, 0, 64);
	memcpy(area + 512, &parts, sizeof(parts));
}

TEST(avx512_state_by_xsave)
{
	struct machine *machine = machine_new(0);
	struct kvm_cpuid2 *cpuid = cpuid_supported(machine);
	struct kvm_cpuid_entry2 *leaf = cpuid_find(cpuid, 0xd, 0);
	static uint8_t standard[PAGE_SIZE] __attribute__((aligned(64))),
		compacted[PAGE_SIZE] __attribute__((aligned(64)));
	struct kvm_xsave image;
	struct kvm_sregs sregs;
	struct cpu *cpu;
	uint64_t header;

	if (!leaf || (leaf->eax & 0xe0) != 0xe0 || !(cpuid_find(cpuid, 0xd, 1)->eax & 2))
		skip("this processor has no AVX-512 or no XSAVEC");
	cpu = cpu_new(machine, 0);
	check_eq(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid), 0);
	guest_start(cpu, GUEST_LONG, avx512_state);
	sregs = cpu_sregs(cpu);
	sregs.cr4 |= CR4_OSXSAVE;
	cpu_set_sregs(cpu, &sregs);
	fill(machine->mem + FROM, leaf->ecx);
	host_does(machine->mem + FROM, standard, compacted);
	cpu_run_to_done(cpu);
	/* From MXCSR on; behind it, to the SSE registers, is x87 state, which was not asked for. */
	check(memcmp(machine->mem + STANDARD + 160, standard + 160, leaf->ecx - 160) == 0);
	check(memcmp(machine->mem + COMPACTED + 160, compacted + 160, PAGE_SIZE - 160) == 0);
	check(memcmp(machine->mem + AGAIN + 160, standard + 160, leaf->ecx - 160) == 0);
	check_eq(kt_ioctl(cpu->kt, KVM_GET_XSAVE, &image), 0);
	memcpy(&header, (uint8_t *)&image + 512, sizeof(header));
	check_eq(header & PARTS, PARTS);
	check(memcmp((uint8_t *)&image + 576, standard + 576, leaf->ecx - 576) == 0);
	check(memcmp((uint8_t *)&image + 160, standard + 160, 256) == 0);
}

/* A vCPU whose CPUID does not have the state cannot turn it on. */
GUEST(avx512_refused, 64, "xor ecx, ecx\n mov eax, 0xe7\n xor edx, edx\n xsetbv\n" DONE);

TEST(avx512_state_only_by_cpuid)
{
	struct machine *machine = machine_new(0);
	struct kvm_cpuid2 *cpuid = cpuid_supported(machine);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_sregs sregs;

	if (!(cpuid_find(cpuid, 1, 0)->ecx & 1u << 26))
		skip("no XSAVE");
	cpuid_find(cpuid, 0xd, 0)->eax &= ~0xe0u;
	check_eq(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid), 0);
	guest_start(cpu, GUEST_LONG, avx512_refused);
	sregs = cpu_sregs(cpu);
	sregs.cr4 |= CR4_OSXSAVE;
	cpu_set_sregs(cpu, &sregs);
	guest_log(machine)->skip = 3;
	cpu_run_to_out(cpu, PORT_EVENT);
	check_eq(guest_log(machine)->event[0].vector, 13);
}

/* EVEX, with and without a mask; a mask instruction in VEX's encoding. Without a state of their own these could work on AVX's. */
GUEST(avx512_evex, 64, ".byte 0x62, 0xf1, 0x7d, 0x08, 0xef, 0xc0\n" DONE);   /* vpxord xmm0, xmm0, xmm0 */
GUEST(avx512_masked, 64, ".byte 0x62, 0xf1, 0x7d, 0xc9, 0xef, 0xc0\n" DONE); /* vpxord zmm0 {k1}{z}, zmm0, zmm0 */
GUEST(avx512_mask_register, 64, ".byte 0xc5, 0xf8, 0x92, 0xc8\n" DONE);      /* kmovw k1, eax */

static void ask_for_avx512(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *features = cpuid_find(cpuid, 7, 0);

	features->ebx |= 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
	features->ecx |= 1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14;
}

/* Where CPUID does not offer the instructions, nothing of them is offered, and asking for them does not bring them. */
TEST(avx512_instructions_all_or_none)
{
	struct guest_code guests[] = { avx512_evex, avx512_masked, avx512_mask_register };
	struct machine *machine = machine_new(0);
	struct kvm_cpuid2 *cpuid = cpuid_supported(machine);
	struct kvm_cpuid_entry2 *features = cpuid_find(cpuid, 7, 0), *more = cpuid_find(cpuid, 7, 1);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_sregs sregs;

	if (!(cpuid_find(cpuid, 1, 0)->ecx & 1u << 26) || !features)
		skip("no XSAVE");
	if (features->ebx & 1u << 16)
		skip("the instructions are there");
	check_eq(features->ebx & (1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31), 0);
	check_eq(features->ecx & (1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14), 0);
	check_eq(features->edx & (1u << 2 | 1u << 3 | 1u << 8 | 1u << 23), 0);
	check(!more || !(more->eax & 1u << 5));
	ask_for_avx512(cpuid);
	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid));
	for (unsigned int i = 0; i < sizeof(guests) / sizeof(guests[0]); i++) {
		struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = cpuid_find(cpuid, 0xd, 0)->eax };

		guest_start(cpu, GUEST_LONG, guests[i]);
		sregs = cpu_sregs(cpu);
		sregs.cr4 |= CR4_OSXSAVE;
		cpu_set_sregs(cpu, &sregs);
		check_ok(kt_ioctl(cpu->kt, KVM_SET_XCRS, &xcrs));
		cpu_run_to_out(cpu, PORT_EVENT);
		check_eq(guest_log(machine)->event[guest_log(machine)->count - 1].vector, 6);
	}
}
