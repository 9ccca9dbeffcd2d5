/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* System management mode: SMI, its memory, the save area, RSM. */
#include <errno.h>
#include <string.h>

#include "../lib/chips.h"
#include "../lib/guest.h"

#define SMBASE 0x30000u
#define HANDLER (SMBASE + 0x8000)
#define AREA(offset) (0xfe00u - 0x7e00u + (offset)) /* from SMBASE; offset as in the manuals */
#define SPACE_1 0x10000u                            /* in a slot's number */
#define PORT_SMM 0xd2
#define MSR_SMBASE 0x9e
#define MSR_SMI_COUNT 0x34

/* What the handler says on PORT_SMM, and returns. */
GUEST(smm_answer, 16, "mov al, 0x5a\n out 0xd2, al\n rsm\n");
GUEST(smm_loop, 64, "1: out 0xd0, al\n inc rbx\n jmp 1b\n");

static void put_code(struct machine *machine, uint64_t gpa, struct guest_code code)
{
	memcpy(machine->mem + gpa, code.start, (size_t)(code.end - code.start));
}

/* A machine whose system management mode sees the same memory, with the handler in its place. */
static struct cpu *smm_cpu(unsigned int flags, enum guest_mode mode, struct guest_code code, struct guest_code handler)
{
	struct machine *machine = machine_new(flags);
	struct cpu *cpu;

	REQUIRE_CAP(machine, KVM_CAP_X86_SMM);
	cpu = cpu_new(machine, 0);
	check_ok(memory_slot(machine, SPACE_1, 0, 0, MACHINE_MEMORY, machine->mem));
	guest_start(cpu, mode, code);
	put_code(machine, HANDLER, handler);
	return cpu;
}

static void smi(struct cpu *cpu)
{
	check_ok(kt_ioctl(cpu->kt, KVM_SMI, NULL));
}

static uint64_t area(struct cpu *cpu, uint32_t offset, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, cpu->machine->mem + SMBASE + AREA(offset), size);
	return value;
}

static void check_entry_state(struct cpu *cpu)
{
	struct kvm_sregs sregs = cpu_sregs(cpu);
	struct kvm_vcpu_events events = cpu_events(cpu);
	struct kvm_debugregs debug;

	check(cpu->run->flags & KVM_RUN_X86_SMM);
	check_eq(events.smi.smm, 1);
	check_eq(events.smi.pending, 0);
	check_eq(events.nmi.masked, 1);
	check_eq(sregs.cr0 & 0x8000000d, 0); /* PG TS EM PE */
	check_eq(sregs.cr4, 0);
	check_eq(sregs.efer, 0);
	check_eq(sregs.cs.base, SMBASE);
	check_eq(sregs.cs.selector, SMBASE >> 4);
	check_eq(sregs.cs.limit, 0xffffffff);
	check_eq(sregs.ds.base, 0);
	check_eq(sregs.ds.selector, 0);
	check_eq(sregs.ds.limit, 0xffffffff);
	check_eq(sregs.idt.limit, 0);
	check_eq(cpu_regs(cpu).rflags, 2);
	check_ok(kt_ioctl(cpu->kt, KVM_GET_DEBUGREGS, &debug));
	check_eq(debug.dr7, 0x400);
}

TEST(smm_there_and_back)
{
	struct cpu *cpu = smm_cpu(0, GUEST_LONG, smm_loop, smm_answer);
	struct kvm_sregs sregs, after;
	struct kvm_regs regs;
	uint64_t count = 0;

	cpu_run_to_done(cpu);
	check(!(cpu->run->flags & KVM_RUN_X86_SMM));
	sregs = cpu_sregs(cpu);
	regs = cpu_regs(cpu);
	regs.r15 = 0xfedcba9876543210;
	regs.rax = 0x1122334455667788;
	cpu_set_regs(cpu, &regs);
	smi(cpu);
	check_eq(cpu_run_to_out(cpu, PORT_SMM), 0x5a);
	check_entry_state(cpu);
	cpu_run_to_done(cpu);
	check(!(cpu->run->flags & KVM_RUN_X86_SMM));
	check_eq(cpu_events(cpu).smi.smm, 0);
	check_eq(cpu_events(cpu).nmi.masked, 0);
	after = cpu_sregs(cpu);
	check(!memcmp(&sregs.cs, &after.cs, sizeof(sregs.cs)));
	check(!memcmp(&sregs.ss, &after.ss, sizeof(sregs.ss)));
	check(!memcmp(&sregs.tr, &after.tr, sizeof(sregs.tr)));
	check(!memcmp(&sregs.gdt, &after.gdt, sizeof(sregs.gdt)));
	check(!memcmp(&sregs.idt, &after.idt, sizeof(sregs.idt)));
	check_eq(after.cr0, sregs.cr0);
	check_eq(after.cr3, sregs.cr3);
	check_eq(after.cr4, sregs.cr4);
	check_eq(after.efer, sregs.efer);
	check_eq(cpu_regs(cpu).r15, regs.r15);
	check_eq(cpu_regs(cpu).rax, regs.rax);
	check_eq(cpu_regs(cpu).rbx, regs.rbx + 1);
	check_eq(cpu_get_msr(cpu, MSR_SMI_COUNT, &count), 1);
	check_eq(count, 1);
}

TEST(smm_save_area)
{
	struct cpu *cpu = smm_cpu(0, GUEST_LONG, smm_loop, smm_answer);
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	cpu_run_to_done(cpu);
	regs = cpu_regs(cpu);
	regs.rcx = 0xc0c0c0c0c0c0c0c0;
	regs.r8 = 0x0808080808080808;
	cpu_set_regs(cpu, &regs);
	sregs = cpu_sregs(cpu);
	smi(cpu);
	cpu_run_to_out(cpu, PORT_SMM);
	check_eq(area(cpu, 0x7ff8, 8), regs.rax);
	check_eq(area(cpu, 0x7ff0, 8), regs.rcx);
	check_eq(area(cpu, 0x7fb8, 8), regs.r8);
	/* The OUT has retired by now. */
	check_eq(area(cpu, 0x7f78, 8), GUEST_CODE + 2);
	check_eq(area(cpu, 0x7f58, 8), sregs.cr0);
	check_eq(area(cpu, 0x7f50, 8), sregs.cr3);
	check_eq(area(cpu, 0x7f48, 8), sregs.cr4);
	check_eq(area(cpu, 0x7ed0, 8), sregs.efer);
	check_eq(area(cpu, 0x7f00, 4), SMBASE);
	check_eq(area(cpu, 0x7efc, 4), 0x20064);
	check_eq(area(cpu, 0x7e10, 2), sregs.cs.selector);
	check_eq(area(cpu, 0x7e12, 2) & 0x20ff, 0x209b); /* 64-bit code */
	check_eq(area(cpu, 0x7e64, 2), sregs.gdt.limit);
	check_eq(area(cpu, 0x7e68, 8), sregs.gdt.base);
	check_eq(area(cpu, 0x7e98, 8), sregs.tr.base);
}

/* Processors without long mode have the older layout. */
GUEST(smm_loop32, 32, "1: out 0xd0, al\n inc ebx\n jmp 1b\n");

TEST(smm_save_area_32_bits)
{
	struct cpu *cpu = smm_cpu(0, GUEST_PROT, smm_loop32, smm_answer);
	struct kvm_cpuid2 *cpuid = cpuid_supported(cpu->machine);
	struct kvm_cpuid_entry2 *extended = cpuid_find(cpuid, 0x80000001, 0);
	struct kvm_sregs sregs, after;
	struct kvm_regs regs;

	check(extended);
	extended->edx &= ~(1u << 29);
	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid));
	cpu_run_to_done(cpu);
	regs = cpu_regs(cpu);
	sregs = cpu_sregs(cpu);
	smi(cpu);
	check_eq(cpu_run_to_out(cpu, PORT_SMM), 0x5a);
	check_eq(area(cpu, 0x7efc, 4), 0x20000);
	check_eq(area(cpu, 0x7ef8, 4), SMBASE);
	check_eq(area(cpu, 0x7ffc, 4), sregs.cr0);
	check_eq(area(cpu, 0x7ff0, 4), GUEST_CODE + 2);
	check_eq(area(cpu, 0x7fd0, 4), regs.rax);
	check_eq(area(cpu, 0x7fdc, 4), regs.rbx);
	check_eq(area(cpu, 0x7fac, 4), sregs.cs.selector);
	check_eq(area(cpu, 0x7fb4, 4), sregs.ds.selector);
	check_eq(area(cpu, 0x7f74, 4), sregs.gdt.base);
	check_eq(area(cpu, 0x7f84 + 12 + 4, 4), sregs.cs.limit);
	check_eq(area(cpu, 0x7f2c + 4, 4), sregs.ds.limit);
	cpu_run_to_done(cpu);
	after = cpu_sregs(cpu);
	check(!memcmp(&sregs.cs, &after.cs, sizeof(sregs.cs)));
	check(!memcmp(&sregs.gs, &after.gs, sizeof(sregs.gs)));
	check_eq(after.cr0, sregs.cr0);
	check_eq(cpu_regs(cpu).rbx, regs.rbx + 1);
}

GUEST(smm_move, 16, "mov dword ptr cs:[0xff00], 0x50000\n mov al, 1\n out 0xd2, al\n rsm\n");
GUEST(smm_moved, 16, "mov al, 2\n out 0xd2, al\n rsm\n");

TEST(smm_base_can_be_moved)
{
	struct cpu *cpu = smm_cpu(0, GUEST_LONG, smm_loop, smm_move);
	uint64_t base = 0;

	check_eq(cpu_get_msr(cpu, MSR_SMBASE, &base), 1);
	check_eq(base, SMBASE);
	put_code(cpu->machine, 0x50000 + 0x8000, smm_moved);
	smi(cpu);
	check_eq(cpu_run_to_out(cpu, PORT_SMM), 1);
	cpu_run_to_done(cpu);
	check_eq(cpu_get_msr(cpu, MSR_SMBASE, &base), 1);
	check_eq(base, 0x50000);
	smi(cpu);
	check_eq(cpu_run_to_out(cpu, PORT_SMM), 2);
	check_eq(cpu_sregs(cpu).cs.base, 0x50000);
	cpu_run_to_done(cpu);
	/* And by user space, as when a machine is moved. */
	check_eq(cpu_set_msr(cpu, MSR_SMBASE, SMBASE), 1);
	smi(cpu);
	check_eq(cpu_run_to_out(cpu, PORT_SMM), 1);
}

/* Outside, the memory at the handler's place holds other code and other data. */
GUEST(smm_peek, 64,
      "1: movzx eax, byte ptr [0x39000]\n out 0xd0, al\n call 2f\n out 0xd0, al\n jmp 1b\n 2: mov ebx, 0x38000\n jmp "
      "rbx\n");
GUEST(smm_outside, 64, "mov al, 0x11\n ret\n");
GUEST(smm_inside, 16, "mov al, cs:[0x9000]\n out 0xd2, al\n inc byte ptr cs:[0x9000]\n rsm\n");

TEST(smm_has_its_own_memory)
{
	struct machine *machine = machine_new(0);
	uint8_t *smram = host_memory(0x10000);
	struct cpu *cpu;

	REQUIRE_CAP(machine, KVM_CAP_X86_SMM);
	check(machine_cap(machine, KVM_CAP_MULTI_ADDRESS_SPACE) >= 2);
	cpu = cpu_new(machine, 0);
	check_ok(memory_slot(machine, SPACE_1, 0, SMBASE, 0x10000, smram));
	guest_start(cpu, GUEST_LONG, smm_peek);
	put_code(machine, HANDLER, smm_outside);
	memcpy(smram + 0x8000, smm_inside.start, (size_t)(smm_inside.end - smm_inside.start));
	machine->mem[0x39000] = 0x22;
	smram[0x9000] = 0x33;
	/* Both often enough that a translator takes them. */
	for (unsigned int i = 0; i < 20; i++) {
		check_eq(cpu_run_to_done(cpu), 0x22);
		check_eq(cpu_run_to_done(cpu), 0x11);
		smi(cpu);
		check_eq(cpu_run_to_out(cpu, PORT_SMM), 0x33 + i);
	}
	check_eq(cpu_run_to_done(cpu), 0x22);
	check_eq(smram[0x9000], 0x33 + 20);
	check_eq(machine->mem[0x39000], 0x22);
	/* Nothing of the save area is in the memory that others see. */
	check_eq(area(cpu, 0x7efc, 4), 0);
}

/* The page is code in both address spaces and changed in one while the other has executed it. */
GUEST(smm_patch, 64, "1: mov ebx, 0x39000\n call rbx\n out 0xd0, al\n inc byte ptr [0x39001]\n jmp 1b\n");
GUEST(smm_patched, 64, "mov al, 1\n ret\n");
GUEST(smm_calls, 16, "mov sp, 0x9000\n mov bx, 0x9000\n call bx\n out 0xd2, al\n rsm\n");

TEST(smm_sees_changed_code)
{
	struct cpu *cpu = smm_cpu(0, GUEST_LONG, smm_patch, smm_calls);

	put_code(cpu->machine, 0x39000, smm_patched);
	for (unsigned int i = 1; i < 40; i++) {
		check_eq(cpu_run_to_done(cpu), i);
		smi(cpu);
		check_eq(cpu_run_to_out(cpu, PORT_SMM), i);
	}
}

TEST(smm_blocks_nmi_and_smi)
{
	struct cpu *cpu = smm_cpu(0, GUEST_LONG, smm_loop, smm_answer);

	cpu_run_to_done(cpu);
	smi(cpu);
	cpu_run_to_out(cpu, PORT_SMM);
	check_ok(kt_ioctl(cpu->kt, KVM_NMI, NULL));
	smi(cpu);
	check_eq(cpu_events(cpu).smi.pending, 1);
	/* The second SMI comes before the NMI, at once after RSM. */
	cpu_run_to_out(cpu, PORT_SMM);
	check_eq(cpu_events(cpu).smi.pending, 0);
	check_eq(guest_log(cpu->machine)->count, 0);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 2);
	cpu_run_to_done(cpu);
}

TEST(smm_inside_an_nmi)
{
	struct cpu *cpu = smm_cpu(0, GUEST_LONG, smm_loop, smm_answer);

	check_ok(kt_ioctl(cpu->kt, KVM_NMI, NULL));
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 2);
	smi(cpu);
	cpu_run_to_out(cpu, PORT_SMM);
	check_eq(cpu_events(cpu).smi.smm_inside_nmi, 1);
	check_ok(kt_ioctl(cpu->kt, KVM_NMI, NULL));
	/* RSM does not end the blocking; the NMI handler's IRET does. */
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 2);
	cpu_run_to_done(cpu);
	check_eq(guest_log(cpu->machine)->count, 2);
}

TEST(smm_state_can_be_moved)
{
	struct cpu *cpu = smm_cpu(0, GUEST_LONG, smm_loop, smm_answer), *other;
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	uint64_t rbx;

	cpu_run_to_done(cpu);
	rbx = cpu_regs(cpu).rbx;
	smi(cpu);
	cpu_run_to_out(cpu, PORT_SMM);
	/* Finish the OUT. */
	cpu->run->immediate_exit = 1;
	check_error(cpu_run(cpu), EINTR);
	events = cpu_events(cpu);
	regs = cpu_regs(cpu);
	sregs = cpu_sregs(cpu);
	check(events.flags & KVM_VCPUEVENT_VALID_SMM);
	other = cpu_new(cpu->machine, 1);
	check_ok(kt_ioctl(other->kt, KVM_SET_CPUID2, cpuid_supported(cpu->machine)));
	cpu_set_sregs(other, &sregs);
	cpu_set_regs(other, &regs);
	cpu_set_events(other, &events);
	cpu_run_to_done(other);
	check_eq(cpu_events(other).smi.smm, 0);
	check_eq(cpu_sregs(other).cs.l, 1);
	check_eq(cpu_regs(other).rbx, rbx + 1);
	/* An SMI that waits is state too. */
	events = cpu_events(other);
	events.flags |= KVM_VCPUEVENT_VALID_SMM;
	events.smi.pending = 1;
	cpu_set_events(other, &events);
	check_eq(cpu_run_to_out(other, PORT_SMM), 0x5a);
}

GUEST(smm_rsm_outside, 64, "rsm\n hlt\n");
GUEST(smm_rdmsr, 64, "mov ecx, 0x9e\n rdmsr\n hlt\n");

TEST(smm_things_only_inside)
{
	struct cpu *cpu = smm_cpu(0, GUEST_LONG, smm_rsm_outside, smm_answer);

	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 6);
	guest_start(cpu, GUEST_LONG, smm_rdmsr);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
}

GUEST(smm_break_cr4, 16, "mov dword ptr cs:[0xff48], 0x80000000\n rsm\n");

TEST(smm_impossible_state_shuts_down)
{
	struct cpu *cpu = smm_cpu(0, GUEST_LONG, smm_loop, smm_break_cr4);

	smi(cpu);
	cpu_run_to(cpu, KVM_EXIT_SHUTDOWN);
}

/* The handler says that the processor shall not go back to HLT, where the SMI has found it. */
GUEST(smm_halts, 64, "mov dword ptr [0x9000], 1\n hlt\n mov al, 7\n" DONE "hlt\n");
GUEST(smm_end_halt, 16, "mov byte ptr cs:[0xfec9], 0\n mov al, 3\n out 0xd2, al\n rsm\n");

TEST(smm_ends_a_halt)
{
	struct cpu *cpu = smm_cpu(MACHINE_IRQCHIP, GUEST_LONG, smm_halts, smm_end_halt);
	struct kvm_mp_state halted = { .mp_state = KVM_MP_STATE_HALTED };
	struct kvm_regs regs = cpu_regs(cpu);

	/* Behind the HLT. */
	regs.rip = GUEST_CODE + 12;
	cpu_set_regs(cpu, &regs);
	check_ok(kt_ioctl(cpu->kt, KVM_SET_MP_STATE, &halted));
	smi(cpu);
	check_eq(cpu_run_to_out(cpu, PORT_SMM), 3);
	check_eq(cpu_run_to_done(cpu), 7);
}

/* ICR: self, delivery mode SMI. It comes when it comes. */
GUEST(smm_self_ipi, 64,
      "mov ebx, 0xfee00000\n mov dword ptr [rbx + 0x300], 0x44200\n 1: cmp byte ptr [0x9000], 0\n je 1b\n mov al, "
      "9\n" DONE "hlt\n");
GUEST(smm_tells, 16, "mov byte ptr ds:[0x9000], 1\n mov al, 0x5a\n out 0xd2, al\n rsm\n");

TEST(smm_by_ipi_and_msi)
{
	struct cpu *cpu = smm_cpu(MACHINE_IRQCHIP, GUEST_LONG, smm_self_ipi, smm_tells);

	lapic_enable(cpu);
	check_eq(cpu_run_to_out(cpu, PORT_SMM), 0x5a);
	check_eq(cpu_run_to_done(cpu), 9);
	/* A device's message with the same delivery mode. */
	check(signal_msi(cpu->machine, LAPIC_BASE, 0x200) > 0);
	check_eq(cpu_run_to_out(cpu, PORT_SMM), 0x5a);
}

/* INIT waits until RSM. */
TEST(smm_holds_init_back)
{
	struct cpu *cpu = smm_cpu(MACHINE_IRQCHIP, GUEST_LONG, smm_loop, smm_answer);
	struct kvm_mp_state state;

	lapic_enable(cpu);
	cpu_run_to_done(cpu);
	smi(cpu);
	cpu_run_to_out(cpu, PORT_SMM);
	check(signal_msi(cpu->machine, LAPIC_BASE, 0x4500) >= 0);
	check_eq(cpu_events(cpu).smi.latched_init, 1);
	check_eq(cpu_events(cpu).smi.smm, 1);
	state.mp_state = KVM_MP_STATE_INIT_RECEIVED;
	check_error(kt_ioctl(cpu->kt, KVM_SET_MP_STATE, &state), EINVAL);
	/* After it the boot processor begins at the reset vector, where this machine has nothing. */
	cpu_run(cpu);
	check_eq(cpu_events(cpu).smi.smm, 0);
	check_eq(cpu_events(cpu).smi.latched_init, 0);
	check_eq(cpu_sregs(cpu).cs.base, 0xffff0000);
}
