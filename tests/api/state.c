/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* State ioctls: what is set is what is read back; what is invalid is refused. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/guest.h"

static void fill(void *memory, size_t size, uint8_t seed)
{
	uint8_t *bytes = memory;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(seed + i * 7);
}

GUEST(moves_to_control_registers, 32, "mov cr0, ebx\n mov dr3, esi\n mov edi, dr3\n" DONE);

/* Registers keep upper halves from 64-bit code, which 32-bit code does not see. */
TEST(state_upper_halves_of_registers_do_not_count_in_32_bit_code)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_regs regs;
	uint64_t cr0;

	guest_start(cpu, GUEST_PROT, moves_to_control_registers);
	cr0 = cpu_sregs(cpu).cr0 | 8;
	regs = cpu_regs(cpu);
	regs.rbx = 0xdeadbeef00000000 | cr0;
	regs.rsi = 0xdeadbeef00012345;
	cpu_set_regs(cpu, &regs);
	cpu_run_to_done(cpu);
	check_eq(cpu_sregs(cpu).cr0, cr0);
	check_eq(cpu_regs(cpu).rdi, 0x12345);
}

TEST(state_regs)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_regs regs, back;

	fill(&regs, sizeof(regs), 3);
	regs.rflags = 0x246;
	cpu_set_regs(cpu, &regs);
	back = cpu_regs(cpu);
	check(!memcmp(&regs, &back, sizeof(regs)));
	/* The fixed bit of RFLAGS is set whatever user space says. */
	regs.rflags = 0;
	cpu_set_regs(cpu, &regs);
	check_eq(cpu_regs(cpu).rflags, 2);
	check_error(kt_ioctl(cpu->kt, KVM_SET_REGS, NULL), EFAULT);
	check_error(kt_ioctl(cpu->kt, KVM_GET_REGS, NULL), EFAULT);
}

GUEST(stop, 64, "hlt\n");

TEST(state_sregs)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_sregs sregs, back;

	guest_start(cpu, GUEST_LONG, stop);
	sregs = cpu_sregs(cpu);
	sregs.fs.base = 0x123456789a;
	sregs.gs.base = 0xffff888012345678;
	sregs.fs.selector = 0x33;
	sregs.ldt = (struct kvm_segment){
		.base = 0xffffc90000001000, .limit = 0x7f, .selector = 0x40, .type = 2, .present = 1
	};
	sregs.gdt.base = 0xfffffe0000001000;
	sregs.gdt.limit = 0x7f;
	sregs.idt.base = 0xfffffe0000000000;
	sregs.cr2 = 0xdeadbeef000;
	sregs.cr8 = 7;
	cpu_set_sregs(cpu, &sregs);
	back = cpu_sregs(cpu);
	check_eq(back.fs.base, sregs.fs.base);
	check_eq(back.gs.base, sregs.gs.base);
	check_eq(back.fs.selector, 0x33);
	check_eq(back.ldt.base, sregs.ldt.base);
	check_eq(back.ldt.limit, 0x7f);
	check_eq(back.gdt.base, sregs.gdt.base);
	check_eq(back.gdt.limit, 0x7f);
	check_eq(back.idt.base, sregs.idt.base);
	check_eq(back.cr2, sregs.cr2);
	check_eq(back.cr3, sregs.cr3);
	check_eq(back.cr8, 7);
	check_eq(back.efer, sregs.efer);
	check_eq(back.cs.l, 1);
	check_eq(back.cs.db, 0);
	check_eq(back.apic_base, sregs.apic_base);
}

static int try_sregs(struct cpu *cpu, struct kvm_sregs sregs)
{
	return kt_ioctl(cpu->kt, KVM_SET_SREGS, &sregs);
}

TEST(state_sregs_invalid)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_sregs good = cpu_sregs(cpu), bad;

	bad = good;
	bad.cr0 = 0x80000010; /* PG without PE */
	check_error(try_sregs(cpu, bad), EINVAL);
	bad = good;
	bad.cr0 |= 1ull << 32;
	check_error(try_sregs(cpu, bad), EINVAL);
	bad = good;
	bad.cr4 |= 1ull << 30; /* reserved */
	check_error(try_sregs(cpu, bad), EINVAL);
	bad = good; /* long mode without PAE */
	bad.cr0 = 0x80000011;
	bad.efer = 0x500;
	check_error(try_sregs(cpu, bad), EINVAL);
	bad = good; /* LMA without paging */
	bad.efer = 0x400;
	check_error(try_sregs(cpu, bad), EINVAL);
	bad = good;
	bad.apic_base |= 0x200; /* a reserved bit */
	check_error(try_sregs(cpu, bad), EINVAL);
	/* And nothing of it stuck. */
	check_eq(cpu_sregs(cpu).cr0, good.cr0);
	check_eq(cpu_sregs(cpu).cr4, good.cr4);
	check_eq(cpu_sregs(cpu).efer, good.efer);
	check_ok(try_sregs(cpu, good));
	check_error(kt_ioctl(cpu->kt, KVM_SET_SREGS, NULL), EFAULT);
}

TEST(state_sregs2)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_sregs2 sregs, back;

	REQUIRE_CAP(cpu->machine, KVM_CAP_SREGS2);
	memset(&sregs, 0xff, sizeof(sregs));
	check_ok(kt_ioctl(cpu->kt, KVM_GET_SREGS2, &sregs));
	check_eq(sregs.flags, 0);
	sregs.cr2 = 0x1234000;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_SREGS2, &sregs));
	check_ok(kt_ioctl(cpu->kt, KVM_GET_SREGS2, &back));
	check_eq(back.cr2, 0x1234000);
	sregs.flags = 1ull << 40;
	check_error(kt_ioctl(cpu->kt, KVM_SET_SREGS2, &sregs), EINVAL);
	/* PDPTRs are valid only in PAE paging. */
	sregs.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	check_error(kt_ioctl(cpu->kt, KVM_SET_SREGS2, &sregs), EINVAL);
}

TEST(state_sregs2_pdptrs)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_sregs2 sregs = { 0 };

	REQUIRE_CAP(cpu->machine, KVM_CAP_SREGS2);
	check_ok(kt_ioctl(cpu->kt, KVM_GET_SREGS2, &sregs));
	sregs.cr0 = 0x80000011;
	sregs.cr4 = 0x20;
	sregs.cr3 = 0x10000;
	sregs.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	sregs.pdptrs[0] = 0x12001;
	sregs.pdptrs[1] = 0x13001;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_SREGS2, &sregs));
	memset(&sregs, 0, sizeof(sregs));
	check_ok(kt_ioctl(cpu->kt, KVM_GET_SREGS2, &sregs));
	check(sregs.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID);
}

TEST(state_fpu)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_fpu fpu, back;

	check_ok(kt_ioctl(cpu->kt, KVM_GET_FPU, &fpu));
	check_eq(fpu.fcw, 0x37f);
	fill(fpu.fpr, sizeof(fpu.fpr), 9);
	for (int i = 0; i < 8; i++)
		memset(&fpu.fpr[i][10], 0, 6);
	fill(fpu.xmm, sizeof(fpu.xmm), 31);
	fpu.fcw = 0x27f;
	fpu.fsw = 0x3800;
	fpu.ftwx = 0xff;
	fpu.last_opcode = 0x123;
	fpu.last_ip = 0x123456;
	fpu.last_dp = 0x654321;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_FPU, &fpu));
	check_ok(kt_ioctl(cpu->kt, KVM_GET_FPU, &back));
	check(!memcmp(fpu.fpr, back.fpr, sizeof(fpu.fpr)));
	check(!memcmp(fpu.xmm, back.xmm, sizeof(fpu.xmm)));
	check_eq(back.fcw, 0x27f);
	check_eq(back.fsw, 0x3800);
	check_eq(back.ftwx, 0xff);
	check_eq(back.last_opcode, 0x123);
	check_eq(back.last_ip, 0x123456);
	check_eq(back.last_dp, 0x654321);
	check_error(kt_ioctl(cpu->kt, KVM_SET_FPU, NULL), EFAULT);
}

GUEST(use_fpu, 64, "mov eax, 0x77\n movd xmm4, eax\n fld1\n out 0x80, al\n movdqu [0x9000], xmm3\n" DONE);

TEST(state_fpu_reaches_the_guest)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_fpu fpu;
	uint32_t value;

	guest_start(cpu, GUEST_LONG, use_fpu);
	cpu_run_to_out(cpu, 0x80);
	check_ok(kt_ioctl(cpu->kt, KVM_GET_FPU, &fpu));
	memcpy(&value, fpu.xmm[4], 4);
	check_eq(value, 0x77);
	check_eq(fpu.fsw >> 11 & 7, 7);
	/* ftwx: one valid register, physical number 7. */
	check_eq(fpu.ftwx, 0x80);
	fill(fpu.xmm, sizeof(fpu.xmm), 5);
	check_ok(kt_ioctl(cpu->kt, KVM_SET_FPU, &fpu));
	cpu_run_to_done(cpu);
	check(!memcmp(cpu->machine->mem + GUEST_DATA, fpu.xmm[3], 16));
}

TEST(state_xsave)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_xsave xsave, back;
	uint64_t *header = (uint64_t *)xsave.region + 64;

	REQUIRE_CAP(cpu->machine, KVM_CAP_XSAVE);
	check_ok(kt_ioctl(cpu->kt, KVM_GET_XSAVE, &xsave));
	/* The legacy area: FCW at 0, MXCSR at 24, XMM registers at 160. */
	check_eq(xsave.region[0] & 0xffff, 0x37f);
	check_eq(xsave.region[6], 0x1f80);
	fill(&xsave.region[40], 256, 77);
	header[0] |= 3;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_XSAVE, &xsave));
	check_ok(kt_ioctl(cpu->kt, KVM_GET_XSAVE, &back));
	check(!memcmp(&xsave.region[40], &back.region[40], 256));
	/* A component that does not exist, and a reserved bit of MXCSR. */
	header[0] |= 1ull << 62;
	check_error(kt_ioctl(cpu->kt, KVM_SET_XSAVE, &xsave), EINVAL);
	header[0] &= 3;
	xsave.region[6] = 0xffffffff;
	check_error(kt_ioctl(cpu->kt, KVM_SET_XSAVE, &xsave), EINVAL);
	check_error(kt_ioctl(cpu->kt, KVM_GET_XSAVE, NULL), EFAULT);
}

TEST(state_xsave2_has_the_same_contents)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	int size = machine_cap(cpu->machine, KVM_CAP_XSAVE2);
	struct kvm_xsave first, *second;

	REQUIRE_CAP(cpu->machine, KVM_CAP_XSAVE2);
	second = calloc(1, (size_t)size);
	check_ok(kt_ioctl(cpu->kt, KVM_GET_XSAVE, &first));
	check_ok(kt_ioctl(cpu->kt, KVM_GET_XSAVE2, second));
	check(!memcmp(&first, second, sizeof(first)));
	free(second);
}

TEST(state_xcrs)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_xcrs xcrs;

	REQUIRE_CAP(cpu->machine, KVM_CAP_XCRS);
	check_ok(kt_ioctl(cpu->kt, KVM_GET_XCRS, &xcrs));
	check_eq(xcrs.nr_xcrs, 1);
	check_eq(xcrs.flags, 0);
	check_eq(xcrs.xcrs[0].xcr, 0);
	check_eq(xcrs.xcrs[0].value, 1);
	xcrs.xcrs[0].value = 3;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_XCRS, &xcrs));
	check_ok(kt_ioctl(cpu->kt, KVM_GET_XCRS, &xcrs));
	check_eq(xcrs.xcrs[0].value, 3);
	/* x87 is not optional; AVX needs SSE; an unknown component. */
	xcrs.xcrs[0].value = 2;
	check_error(kt_ioctl(cpu->kt, KVM_SET_XCRS, &xcrs), EINVAL);
	xcrs.xcrs[0].value = 5;
	check_error(kt_ioctl(cpu->kt, KVM_SET_XCRS, &xcrs), EINVAL);
	xcrs.xcrs[0].value = 1 | 1ull << 40;
	check_error(kt_ioctl(cpu->kt, KVM_SET_XCRS, &xcrs), EINVAL);
	xcrs.xcrs[0].value = 3;
	xcrs.nr_xcrs = 17;
	check_error(kt_ioctl(cpu->kt, KVM_SET_XCRS, &xcrs), EINVAL);
	xcrs.nr_xcrs = 1;
	xcrs.flags = 1;
	check_error(kt_ioctl(cpu->kt, KVM_SET_XCRS, &xcrs), EINVAL);
	check_error(kt_ioctl(cpu->kt, KVM_SET_XCRS, NULL), EFAULT);
}

TEST(state_msrs)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	static const struct {
		uint32_t index;
		uint64_t value;
	} values[] = {
		{ 0x174, 0x10 },
		{ 0x175, 0x2000 },
		{ 0x176, 0x81800000 },
		{ 0x277, 0x0007040600070406 },
		{ 0xc0000081, 0x0023001000000000 },
		{ 0xc0000082, 0xffffffff81800100 },
		{ 0xc0000083, 0xffffffff81800200 },
		{ 0xc0000084, 0x47700 },
		{ 0xc0000100, 0x7ffff7d8a740 },
		{ 0xc0000101, 0xffff88803ec00000 },
		{ 0xc0000102, 0x123456 },
	};
	uint64_t value;

	for (unsigned int i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (cpu_set_msr(cpu, values[i].index, values[i].value) != 1)
			fail("MSR %#x cannot be set", values[i].index);
		check_eq(cpu_get_msr(cpu, values[i].index, &value), 1);
		check_eq(value, values[i].value);
	}
	/* The segment bases are the same state as in SREGS. */
	check_eq(cpu_sregs(cpu).fs.base, 0x7ffff7d8a740);
	check_eq(cpu_sregs(cpu).gs.base, 0xffff88803ec00000);
}

/* The count says how many entries went before the first that did not. */
TEST(state_msrs_partial)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entries[3];
	} msrs = {
		.header.nmsrs = 3,
		.entries = { { .index = 0x174, .data = 0x8 }, { .index = 0x12345678 }, { .index = 0x175, .data = 0x9 } }
	};
	uint64_t value;

	check_eq(kt_ioctl(cpu->kt, KVM_SET_MSRS, &msrs), 1);
	check_eq(cpu_get_msr(cpu, 0x174, &value), 1);
	check_eq(value, 8);
	check_eq(cpu_get_msr(cpu, 0x175, &value), 1);
	check_eq(value, 0);
	check_eq(kt_ioctl(cpu->kt, KVM_GET_MSRS, &msrs), 1);
	msrs.header.nmsrs = 0;
	check_eq(kt_ioctl(cpu->kt, KVM_GET_MSRS, &msrs), 0);
	check_error(kt_ioctl(cpu->kt, KVM_GET_MSRS, NULL), EFAULT);
	msrs.header.nmsrs = 0x10000000;
	check_error(kt_ioctl(cpu->kt, KVM_GET_MSRS, &msrs), E2BIG);
	check_error(kt_ioctl(cpu->kt, KVM_SET_MSRS, &msrs), E2BIG);
}

TEST(state_msrs_invalid_values)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	check_eq(cpu_set_msr(cpu, 0x277, 0x02), 0);                      /* PAT type 2 is reserved */
	check_eq(cpu_set_msr(cpu, 0xc0000080, 1ull << 40), 0);           /* EFER, reserved */
	check_eq(cpu_set_msr(cpu, 0x1b, 0xfee00900ull | 1ull << 60), 0); /* APIC base beyond MAXPHYADDR */
	check_eq(cpu_set_msr(cpu, 0xc0000101, 0x8000000000000000), 0);   /* GS base not canonical */
}

TEST(state_vcpu_events)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_vcpu_events events = cpu_events(cpu), back;

	check_eq(events.exception.injected, 0);
	events.exception.injected = 1;
	events.exception.nr = 14;
	events.exception.has_error_code = 1;
	events.exception.error_code = 6;
	events.nmi.masked = 1;
	events.nmi.pending = 1;
	events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING;
	cpu_set_events(cpu, &events);
	back = cpu_events(cpu);
	check_eq(back.exception.injected, 1);
	check_eq(back.exception.nr, 14);
	check_eq(back.exception.has_error_code, 1);
	check_eq(back.exception.error_code, 6);
	check_eq(back.nmi.masked, 1);
	check_eq(back.nmi.pending, 1);
	check(back.flags & KVM_VCPUEVENT_VALID_NMI_PENDING);
	/* Without its flag the pending NMI is not touched. */
	events.flags = 0;
	events.nmi.pending = 0;
	events.exception.injected = 0;
	cpu_set_events(cpu, &events);
	back = cpu_events(cpu);
	check_eq(back.nmi.pending, 1);
	check_eq(back.exception.injected, 0);
}

TEST(state_vcpu_events_invalid)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_vcpu_events events = cpu_events(cpu);

	events.flags = 1u << 20;
	check_error(kt_ioctl(cpu->kt, KVM_SET_VCPU_EVENTS, &events), EINVAL);
	events.flags = 0;
	events.exception.injected = 1;
	events.exception.nr = 32;
	check_error(kt_ioctl(cpu->kt, KVM_SET_VCPU_EVENTS, &events), EINVAL);
	events.exception.nr = 2; /* the NMI is no exception */
	check_error(kt_ioctl(cpu->kt, KVM_SET_VCPU_EVENTS, &events), EINVAL);
	check_error(kt_ioctl(cpu->kt, KVM_SET_VCPU_EVENTS, NULL), EFAULT);
	check_error(kt_ioctl(cpu->kt, KVM_GET_VCPU_EVENTS, NULL), EFAULT);
}

TEST(state_debugregs)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_debugregs regs, back;

	memset(&regs, 0, sizeof(regs));
	regs.db[0] = 0x1111;
	regs.db[1] = 0x7fffffffffff;
	regs.db[2] = 0xffff888000000000;
	regs.db[3] = 4;
	regs.dr6 = 0xffff4ff1;
	regs.dr7 = 0x402;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_DEBUGREGS, &regs));
	check_ok(kt_ioctl(cpu->kt, KVM_GET_DEBUGREGS, &back));
	check(!memcmp(regs.db, back.db, sizeof(regs.db)));
	check_eq(back.dr6, regs.dr6);
	check_eq(back.dr7, regs.dr7);
	regs.flags = 1;
	check_error(kt_ioctl(cpu->kt, KVM_SET_DEBUGREGS, &regs), EINVAL);
	regs.flags = 0;
	regs.dr6 = 1ull << 32;
	check_error(kt_ioctl(cpu->kt, KVM_SET_DEBUGREGS, &regs), EINVAL);
	regs.dr6 = 0xffff0ff0;
	regs.dr7 = 1ull << 32;
	check_error(kt_ioctl(cpu->kt, KVM_SET_DEBUGREGS, &regs), EINVAL);
}

GUEST(move_debug, 64,
      "mov rax, dr0\n mov [0x9000], rax\n mov rax, dr7\n mov [0x9008], rax\n"
      "mov eax, 0x5678\n mov dr3, rax\n" DONE);

TEST(state_debugregs_reach_the_guest)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	uint64_t *seen = (uint64_t *)(cpu->machine->mem + GUEST_DATA);
	struct kvm_debugregs regs = { .db = { 0x1234 }, .dr6 = 0xffff0ff0, .dr7 = 0x700 };

	guest_start(cpu, GUEST_LONG, move_debug);
	check_ok(kt_ioctl(cpu->kt, KVM_SET_DEBUGREGS, &regs));
	cpu_run_to_done(cpu);
	check_eq(seen[0], 0x1234);
	check_eq(seen[1], 0x700);
	check_ok(kt_ioctl(cpu->kt, KVM_GET_DEBUGREGS, &regs));
	check_eq(regs.db[3], 0x5678);
}

TEST(state_mp_state)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_IRQCHIP), 0);
	struct cpu *second = cpu_new(cpu->machine, 1);
	struct kvm_mp_state state = { .mp_state = 99 };

	check_ok(kt_ioctl(cpu->kt, KVM_GET_MP_STATE, &state));
	check_eq(state.mp_state, KVM_MP_STATE_RUNNABLE);
	check_ok(kt_ioctl(second->kt, KVM_GET_MP_STATE, &state));
	check_eq(state.mp_state, KVM_MP_STATE_UNINITIALIZED);
	state.mp_state = KVM_MP_STATE_HALTED;
	check_ok(kt_ioctl(second->kt, KVM_SET_MP_STATE, &state));
	check_ok(kt_ioctl(second->kt, KVM_GET_MP_STATE, &state));
	check_eq(state.mp_state, KVM_MP_STATE_HALTED);
	state.mp_state = 77;
	check_error(kt_ioctl(second->kt, KVM_SET_MP_STATE, &state), EINVAL);
	check_error(kt_ioctl(second->kt, KVM_SET_MP_STATE, NULL), EFAULT);
}

/* Without LAPICs in the kernel user space does the waiting, and only RUNNABLE makes sense. */
TEST(state_mp_state_without_irqchip)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_HALTED };

	check_error(kt_ioctl(cpu->kt, KVM_SET_MP_STATE, &state), EINVAL);
	state.mp_state = KVM_MP_STATE_RUNNABLE;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_MP_STATE, &state));
}

TEST(state_tsc_khz)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	int khz = kt_ioctl(cpu->kt, KVM_GET_TSC_KHZ, NULL);

	check(khz > 100000);
	check_ok(kt_ioctl_int(cpu->kt, KVM_SET_TSC_KHZ, (unsigned long)khz));
	check_eq(kt_ioctl(cpu->kt, KVM_GET_TSC_KHZ, NULL), khz);
	check_ok(kt_ioctl_int(cpu->kt, KVM_SET_TSC_KHZ, 0));
	if (machine_cap(cpu->machine, KVM_CAP_TSC_CONTROL) > 0) {
		check_ok(kt_ioctl_int(cpu->kt, KVM_SET_TSC_KHZ, (unsigned long)khz / 2));
		check_eq(kt_ioctl(cpu->kt, KVM_GET_TSC_KHZ, NULL), khz / 2);
	}
}

static uint64_t translate(struct cpu *cpu, uint64_t address, uint8_t *valid)
{
	struct kvm_translation translation = { .linear_address = address };

	check_ok(kt_ioctl(cpu->kt, KVM_TRANSLATE, &translation));
	*valid = translation.valid;
	return translation.physical_address;
}

TEST(state_translate)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	uint8_t valid;

	guest_start(cpu, GUEST_LONG, stop);
	*guest_pde(cpu->machine, 0x40000000) = 0x10000000 | 0x87;
	*guest_pde(cpu->machine, 0x40200000) = 0;
	check_eq(translate(cpu, 0x1234, &valid), 0x1234);
	check_eq(valid, 1);
	check_eq(translate(cpu, 0x40012345, &valid), 0x10012345);
	check_eq(valid, 1);
	translate(cpu, 0x40200000, &valid);
	check_eq(valid, 0);
	check_error(kt_ioctl(cpu->kt, KVM_TRANSLATE, NULL), EFAULT);
}

TEST(state_clock)
{
	struct machine *machine = machine_new(0);
	struct kvm_clock_data clock, later;

	memset(&clock, 0, sizeof(clock));
	clock.clock = 1234567890123ull;
	check_ok(kt_ioctl(machine->vm, KVM_SET_CLOCK, &clock));
	check_ok(kt_ioctl(machine->vm, KVM_GET_CLOCK, &later));
	check(later.clock >= clock.clock);
	check(later.clock < clock.clock + 600ull * 1000000000);
	check_ok(kt_ioctl(machine->vm, KVM_GET_CLOCK, &clock));
	check(clock.clock >= later.clock);
	clock.flags = 1u << 20;
	check_error(kt_ioctl(machine->vm, KVM_SET_CLOCK, &clock), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_SET_CLOCK, NULL), EFAULT);
}

GUEST(sync_guest, 64, "mov ebx, 0x1234\n out 0x80, al\n mov [0x9000], rcx\n" DONE);

TEST(state_sync_regs)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_sync_regs *sync = &cpu->run->s.regs;

	REQUIRE_CAP(cpu->machine, KVM_CAP_SYNC_REGS);
	guest_start(cpu, GUEST_LONG, sync_guest);
	cpu->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
	cpu_run_to_out(cpu, 0x80);
	check_eq(sync->regs.rbx, 0x1234);
	check_eq(sync->sregs.cs.l, 1);
	check_eq(sync->events.exception.injected, 0);
	sync->regs.rcx = 0xfeedface;
	cpu->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	cpu_run_to_done(cpu);
	check_eq(*(uint64_t *)(cpu->machine->mem + GUEST_DATA), 0xfeedface);
	check_eq(cpu->run->kvm_dirty_regs, 0);
}
