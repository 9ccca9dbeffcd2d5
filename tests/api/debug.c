/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Guest debugging by user space: steps, breakpoints, watchpoints, and that the guest sees none of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/chips.h"
#include "../lib/guest.h"

#define FLAG_TF 0x100u
#define FLAG_IF 0x200u
#define DR6_BS (1ull << 14)

static int debug(struct cpu *cpu, uint32_t control, const uint64_t *dr)
{
	struct kvm_guest_debug args = { .control = control };

	if (dr)
		memcpy(args.arch.debugreg, dr, sizeof(args.arch.debugreg));
	return kt_ioctl(cpu->kt, KVM_SET_GUEST_DEBUG, &args);
}

static struct cpu *start(struct guest_code code)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	REQUIRE_CAP(cpu->machine, KVM_CAP_SET_GUEST_DEBUG);
	guest_start(cpu, GUEST_LONG, code);
	return cpu;
}

static void expect_debug(struct cpu *cpu, uint64_t pc, uint32_t exception)
{
	cpu_run_to(cpu, KVM_EXIT_DEBUG);
	check_eq(cpu->run->debug.arch.exception, exception);
	check_eq(cpu->run->debug.arch.pc, pc);
}

GUEST(steps, 64,
      "mov eax, 1\n"             /* 0 */
      "add eax, ebx\n"           /* 5 */
      "jmp 1f\n ud2\n"           /* 7 */
      "1: pushfq\n"              /* 11 */
      "pop qword ptr [0x9000]\n" /* 12 */
      "cpuid\n"                  /* 19 */
      "nop\n" DONE);             /* 21 */

TEST(y2006_single_step)
{
	struct cpu *cpu = start(steps);
	static const uint64_t stops[] = { 5, 7, 11, 12, 19, 21, 22 };

	check_ok(debug(cpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, NULL));
	for (unsigned int i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
		expect_debug(cpu, GUEST_CODE + stops[i], 1);
		check(cpu->run->debug.arch.dr6 & DR6_BS);
		check_eq(cpu_regs(cpu).rip, GUEST_CODE + stops[i]);
		/* The debugger's TF is not the guest's. */
		check_eq(cpu_regs(cpu).rflags & FLAG_TF, 0);
	}
	check_ok(debug(cpu, 0, NULL));
	cpu_run_to_done(cpu);
	check_eq(guest_log(cpu->machine)->count, 0);
}

/* Nor does the guest see it in what it pushes. */
TEST(y2006_debugger_tf_is_hidden_from_pushf)
{
	struct cpu *cpu = start(steps);

	check_ok(debug(cpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, NULL));
	for (int i = 0; i < 5; i++)
		cpu_run_to(cpu, KVM_EXIT_DEBUG);
	check(*(uint64_t *)(cpu->machine->mem + GUEST_DATA) & 2);
	check_eq(*(uint64_t *)(cpu->machine->mem + GUEST_DATA) & FLAG_TF, 0);
}

GUEST(four_places, 64, "nop\n break0: inc eax\n break1: inc eax\n break2: inc eax\n break3: inc eax\n" DONE);
GUEST_LABEL(break0);
GUEST_LABEL(break1);
GUEST_LABEL(break2);
GUEST_LABEL(break3);

TEST(y2006_four_hardware_breakpoints)
{
	struct cpu *cpu = start(four_places);
	const uint8_t *labels[] = { break0, break1, break2, break3 };
	uint64_t dr[8] = { [7] = 0x4ff };
	struct kvm_debugregs own;

	for (int i = 0; i < 4; i++)
		dr[i] = GUEST_ADDRESS(four_places, labels[i]);
	check_ok(debug(cpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, dr));
	for (int i = 0; i < 4; i++) {
		expect_debug(cpu, dr[i], 1);
		check_eq(cpu->run->debug.arch.dr6 & 0xf, 1ull << i);
		check_eq(cpu_regs(cpu).rax, (uint64_t)i);
		/* What the guest owns is untouched. */
		check_ok(kt_ioctl(cpu->kt, KVM_GET_DEBUGREGS, &own));
		check_eq(own.dr7, 0x400);
		check_eq(own.db[i], 0);
		/* Go on: without the breakpoint just hit, which is how gdb stubs do it. */
		dr[7] &= ~(3ull << i * 2);
		check_ok(debug(cpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, dr));
	}
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rax, 4);
}

GUEST(watched, 64,
      "mov eax, [0x9000]\n mov [0x9010], al\n watched_behind: nop\n mov eax, [0x9020]\n"
      "watched_read: nop\n" DONE);
GUEST_LABEL(watched_behind);
GUEST_LABEL(watched_read);

/* Watchpoints are traps: RIP lies behind the access. */
TEST(debug_watchpoints)
{
	struct cpu *cpu = start(watched);
	/* DR0: write, 1 byte; DR1: read or write, 4 bytes. */
	uint64_t dr[8] = { [0] = 0x9010, [1] = 0x9020, [7] = 0x40a | 1ull << 16 | 3ull << 20 | 3ull << 22 };

	check_ok(debug(cpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, dr));
	expect_debug(cpu, GUEST_ADDRESS(watched, watched_behind), 1);
	check_eq(cpu->run->debug.arch.dr6 & 0xf, 1);
	expect_debug(cpu, GUEST_ADDRESS(watched, watched_read), 1);
	check_eq(cpu->run->debug.arch.dr6 & 0xf, 2);
	cpu_run_to_done(cpu);
}

GUEST(int3_guest, 64, "nop\n int3_here: int3\n nop\n" DONE);
GUEST_LABEL(int3_here);

TEST(debug_software_breakpoint)
{
	struct cpu *cpu = start(int3_guest);

	check_ok(debug(cpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP, NULL));
	/* RIP is the int3 itself: user space puts the original byte back and goes on. */
	expect_debug(cpu, GUEST_ADDRESS(int3_guest, int3_here), 3);
	check_eq(cpu_regs(cpu).rip, GUEST_ADDRESS(int3_guest, int3_here));
	cpu->machine->mem[GUEST_ADDRESS(int3_guest, int3_here)] = 0x90;
	cpu_run_to_done(cpu);
	check_eq(guest_log(cpu->machine)->count, 0);
}

/* Without USE_SW_BP the guest's int3 is the guest's. */
TEST(debug_int3_belongs_to_the_guest)
{
	struct cpu *cpu = start(int3_guest);

	check_ok(debug(cpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, (uint64_t[8]){ [7] = 0x400 }));
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 3);
	cpu_run_to_done(cpu);
}

/* A breakpoint that turns out to be the guest's own: handed back, it looks like any int3. */
TEST(debug_inject_breakpoint)
{
	struct cpu *cpu = start(int3_guest);
	uint64_t here = GUEST_ADDRESS(int3_guest, int3_here);

	check_ok(debug(cpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP, NULL));
	expect_debug(cpu, here, 3);
	check_ok(debug(cpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_INJECT_BP, NULL));
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 3);
	check_eq(guest_log(cpu->machine)->event[0].rip, here + 1);
	cpu_run_to_done(cpu);
	check_eq(guest_log(cpu->machine)->count, 1);
}

TEST(debug_inject_debug_exception)
{
	struct cpu *cpu = start(four_places);

	check_ok(debug(cpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB, NULL));
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 1);
	check_eq(guest_log(cpu->machine)->event[0].rip, GUEST_CODE);
	cpu_run_to_done(cpu);
}

TEST(debug_inject_errors)
{
	struct cpu *cpu = start(int3_guest);
	struct kvm_vcpu_events events = cpu_events(cpu);

	events.flags = 0;
	events.exception.injected = 1;
	events.exception.nr = 6;
	cpu_set_events(cpu, &events);
	check_ok(debug(cpu, 0, NULL));
	check_error(kt_ioctl(cpu->kt, KVM_SET_GUEST_DEBUG, NULL), EFAULT);
}

GUEST(own_trap, 64,
      "pushfq\n or qword ptr [rsp], 0x100\n popfq\n own_trap_first: nop\n own_trap_behind: nop\n"
      "pushfq\n and qword ptr [rsp], -257\n popfq\n own_trap_off: nop\n" DONE);
GUEST_LABEL(own_trap_first);
GUEST_LABEL(own_trap_behind);
GUEST_LABEL(own_trap_off);

/* The guest's own TF, without a debugger: #DB after each instruction, BS in the guest's DR6. */
TEST(debug_guest_single_steps_itself)
{
	struct cpu *cpu = start(own_trap);
	struct guest_event_log *log = guest_log(cpu->machine);
	struct kvm_debugregs regs;

	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 1);
	check_eq(log->event[0].rip, GUEST_ADDRESS(own_trap, own_trap_behind));
	check(log->event[0].rflags & FLAG_TF);
	check_ok(kt_ioctl(cpu->kt, KVM_GET_DEBUGREGS, &regs));
	check(regs.dr6 & DR6_BS);
	log->silent = 1;
	cpu_run_to_done(cpu);
	/* One for each of nop, nop, pushfq, and, popfq: TF counts as it was before the instruction. */
	check_eq(log->count, 5);
	check_eq(log->event[4].rip, GUEST_ADDRESS(own_trap, own_trap_off));
}

/* A debugger that comes and goes while the guest handles its #DB. */
TEST(debug_guest_keeps_its_dr6)
{
	struct cpu *cpu = start(own_trap);
	struct kvm_debugregs regs;
	uint64_t dr[8] = { [7] = 0x400 };

	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 1);
	check_ok(debug(cpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, dr));
	/* The guest's next step is the debugger's. */
	cpu_run_to(cpu, KVM_EXIT_DEBUG);
	check_ok(debug(cpu, 0, NULL));
	check_ok(kt_ioctl(cpu->kt, KVM_GET_DEBUGREGS, &regs));
	check(regs.dr6 & DR6_BS);
}

/* Under the debugger's steps the guest's own TF stays visible to KVM_GET_REGS. */
TEST(y2006_debugger_keeps_guest_tf)
{
	struct cpu *cpu = start(four_places);
	struct kvm_regs regs = cpu_regs(cpu);

	regs.rflags |= FLAG_TF;
	cpu_set_regs(cpu, &regs);
	check_ok(debug(cpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, NULL));
	expect_debug(cpu, GUEST_ADDRESS(four_places, break0), 1);
	check(cpu_regs(cpu).rflags & FLAG_TF);
	check_ok(debug(cpu, 0, NULL));
	check(cpu_regs(cpu).rflags & FLAG_TF);
}

GUEST(own_dr7, 64,
      "mov eax, 0x701\n mov dr7, rax\n mov ecx, 0x1000\n mov dr0, rcx\n"
      "mov rax, dr7\n mov [0x9000], rax\n mov rax, dr0\n mov [0x9008], rax\n own_dr7_last: nop\n" DONE);
GUEST_LABEL(own_dr7_last);

/* The guest reads and writes its own debug registers while user space's are in force. */
TEST(y2006_debugger_keeps_guest_dr7)
{
	struct cpu *cpu = start(own_dr7);
	uint64_t *seen = (uint64_t *)(cpu->machine->mem + GUEST_DATA);
	uint64_t dr[8] = { [1] = GUEST_ADDRESS(own_dr7, own_dr7_last), [7] = 0x40c };
	struct kvm_debugregs own;

	check_ok(debug(cpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, dr));
	expect_debug(cpu, dr[1], 1);
	check_eq(seen[0], 0x701);
	check_eq(seen[1], 0x1000);
	check_ok(kt_ioctl(cpu->kt, KVM_GET_DEBUGREGS, &own));
	check_eq(own.dr7, 0x701);
	check_eq(own.db[0], 0x1000);
	check_eq(own.db[1], 0);
}

GUEST(own_breakpoint, 64, "nop\n own_here: nop\n" DONE);
GUEST_LABEL(own_here);

/* The guest's own breakpoint goes to the guest, as a fault. */
TEST(debug_guest_owns_its_breakpoints)
{
	struct cpu *cpu = start(own_breakpoint);
	struct kvm_debugregs regs = {
		.db = { GUEST_ADDRESS(own_breakpoint, own_here) },
		.dr6 = 0xffff0ff0,
		.dr7 = 0x402,
	};

	check_ok(kt_ioctl(cpu->kt, KVM_SET_DEBUGREGS, &regs));
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 1);
	check_eq(guest_log(cpu->machine)->event[0].rip, GUEST_ADDRESS(own_breakpoint, own_here));
	check_ok(kt_ioctl(cpu->kt, KVM_GET_DEBUGREGS, &regs));
	check_eq(regs.dr6 & 0xf, 1);
}

GUEST(arms_itself, 64,
      "lea rax, [rip + arms_itself_code]\n mov dr0, rax\n mov eax, 0x9000\n mov dr1, rax\n"
      "mov eax, 0xd0040a\n mov dr7, rax\n mov dword ptr [0x9000], 1\n" /* writes of four bytes at DR1 */
      "arms_itself_written: nop\n"
      "mov eax, 0x402\n mov dr7, rax\n arms_itself_code: nop\n"
      "lea rax, [rip + arms_itself_moved]\n mov dr0, rax\n arms_itself_moved: nop\n" DONE);
GUEST_LABEL(arms_itself_code);
GUEST_LABEL(arms_itself_written);
GUEST_LABEL(arms_itself_moved);

/* The guest's MOV to DR0 to DR3 and DR7 holds for the very next instruction, without any exit in between. */
TEST(debug_guest_arms_its_breakpoints)
{
	struct cpu *cpu = start(arms_itself);
	struct guest_event_log *log = guest_log(cpu->machine);

	log->silent = 1;
	log->skip = 1; /* each #DB comes before a NOP */
	cpu_run_to_out(cpu, PORT_DONE);
	check_eq(log->count, 3);
	check_eq(log->event[0].rip, GUEST_ADDRESS(arms_itself, arms_itself_written));
	check_eq(log->event[1].rip, GUEST_ADDRESS(arms_itself, arms_itself_code));
	check_eq(log->event[2].rip, GUEST_ADDRESS(arms_itself, arms_itself_moved));
}

GUEST(general_detect, 64,
      "mov eax, 0x2400\n mov dr7, rax\n general_detect_here: mov rcx, dr0\n"
      "mov rax, dr7\n mov [0x9000], rax\n mov rcx, dr0\n" DONE);
GUEST_LABEL(general_detect_here);

/* DR7.GD: a fault before the access, with BD in DR6, whose delivery clears GD. */
TEST(debug_general_detect)
{
	struct cpu *cpu = start(general_detect);
	struct guest_event_log *log = guest_log(cpu->machine);
	struct kvm_debugregs regs;

	log->silent = 1;
	log->skip = 3;
	cpu_run_to_done(cpu);
	check_eq(log->count, 1);
	check_eq(log->event[0].vector, 1);
	check_eq(log->event[0].rip, GUEST_ADDRESS(general_detect, general_detect_here));
	check_eq(*(uint64_t *)(cpu->machine->mem + GUEST_DATA), 0x400);
	check_ok(kt_ioctl(cpu->kt, KVM_GET_DEBUGREGS, &regs));
	check_eq(regs.dr6 & (1 << 13), 1 << 13);
}

GUEST(trap_over_int, 64,
      "mov word ptr [0x9000], ss\n mov eax, 0x9000\n mov dr1, rax\n mov eax, 0xf0040a\n mov dr7, rax\n"
      "mov ss, word ptr [0x9000]\n int3\n trap_over_int_after: nop\n"
      "mov ss, word ptr [0x9000]\n int 0x30\n trap_over_int_last: nop\n" DONE);
GUEST_LABEL(trap_over_int_after);
GUEST_LABEL(trap_over_int_last);

/*
 * SDM, "Masking Exceptions and Interrupts When Switching Stacks": MOV SS holds its data breakpoint back until the next
 * instruction has ended. If that is INT3 or INT n, the trap comes before the first instruction of the handler.
 */
TEST(debug_watchpoint_of_mov_ss_before_int)
{
	struct cpu *cpu = start(trap_over_int);
	struct guest_event_log *log = guest_log(cpu->machine);

	log->silent = 1;
	cpu_run_to_out(cpu, PORT_DONE);
	check_eq(log->count, 4);
	for (unsigned int i = 0; i < 4; i += 2) {
		uint64_t first = log->event[i].rip;

		check_eq(log->event[i].vector, 1);
		check(first < GUEST_CODE || first >= GUEST_CODE + (uint64_t)(trap_over_int.end - trap_over_int.start));
	}
	check_eq(log->event[1].vector, 3);
	check_eq(log->event[1].rip, GUEST_ADDRESS(trap_over_int, trap_over_int_after));
	check_eq(log->event[3].vector, 0x30);
	check_eq(log->event[3].rip, GUEST_ADDRESS(trap_over_int, trap_over_int_last));
}

GUEST(behind_mov_ss, 64,
      "lea rax, [rip + behind_mov_ss_here]\n mov dr0, rax\n mov eax, 0x402\n mov dr7, rax\n"
      "mov eax, ss\n mov ss, eax\n behind_mov_ss_here: nop\n" DONE);
GUEST_LABEL(behind_mov_ss_here);

static void expect_behind_mov_ss(const char *vendor, uint64_t traps)
{
	struct cpu *cpu = start(behind_mov_ss);
	struct guest_event_log *log = guest_log(cpu->machine);
	struct kvm_cpuid2 *cpuid = cpuid_supported(cpu->machine);
	struct kvm_cpuid_entry2 *leaf = cpuid_find(cpuid, 0, 0);
	uint32_t native = leaf->ebx;

	memcpy(&leaf->ebx, vendor, 4);
	memcpy(&leaf->edx, vendor + 4, 4);
	memcpy(&leaf->ecx, vendor + 8, 4);
	if (leaf->ebx == native || !kt_has_fds()) { /* hardware does not ask CPUID */
		check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid));
		log->silent = 1;
		log->skip = 1;
		cpu_run_to_out(cpu, PORT_DONE);
		check_eq(log->count, traps);
	}
}

/* Intel's processors ignore an instruction breakpoint right behind MOV SS, AMD's do not. */
TEST(debug_breakpoint_behind_mov_ss)
{
	expect_behind_mov_ss("GenuineIntel", 0);
	expect_behind_mov_ss("AuthenticAMD", 1);
}

GUEST(stepped_syscall, 64,
      "mov ecx, 0xc0000080\n rdmsr\n or eax, 1\n wrmsr\n"            /* EFER.SCE */
      "inc ecx\n xor eax, eax\n mov edx, 0x180008\n wrmsr\n"         /* STAR */
      "inc ecx\n lea rax, [rip + 1f]\n xor edx, edx\n wrmsr\n"       /* LSTAR */
      "add ecx, 2\n mov eax, 0x100\n wrmsr\n"                        /* SFMASK: TF */
      "pushfq\n or qword ptr [rsp], 0x100\n popfq\n syscall\n ud2\n" /* TF is set while SYSCALL runs */
      "1: nop\n nop\n mov r11d, 0x102\n lea rcx, [rip + stepped_syscall_user]\n sysretq\n"
      "stepped_syscall_user: nop\n" DONE);
GUEST_LABEL(stepped_syscall_user);

/* SYSCALL that masks TF is not stepped; SYSRET that sets TF traps before the program's first instruction. */
TEST(debug_steps_by_the_flags_after_syscall)
{
	struct cpu *cpu = start(stepped_syscall);
	struct guest_event *event = guest_log(cpu->machine)->event;

	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 1);
	check_eq(event->rip, GUEST_ADDRESS(stepped_syscall, stepped_syscall_user));
	check_eq(event->cs, SELECTOR_CODE3);
}

GUEST(step_syscall, 64,
      "mov ecx, 0xc0000080\n rdmsr\n or eax, 1\n wrmsr\n"                       /* EFER.SCE */
      "inc ecx\n xor eax, eax\n mov edx, 0x180008\n wrmsr\n"                    /* STAR */
      "inc ecx\n lea rax, [rip + step_syscall_kernel]\n xor edx, edx\n wrmsr\n" /* LSTAR */
      "add ecx, 2\n mov eax, 0x100\n wrmsr\n"                                   /* SFMASK: TF */
      "step_syscall_here: syscall\n ud2\n step_syscall_kernel: mov rbx, r11\n"
      "lea rcx, [rip + step_syscall_user]\n sysretq\n step_syscall_user: nop\n" DONE);
GUEST_LABEL(step_syscall_here);
GUEST_LABEL(step_syscall_kernel);
GUEST_LABEL(step_syscall_user);

static void step(struct cpu *cpu)
{
	cpu_run_to(cpu, KVM_EXIT_DEBUG);
}

/* The debugger's steps go through SYSCALL and SYSRET, and R11 does not show their TF. */
TEST(debug_steps_through_syscall)
{
	struct cpu *cpu = start(step_syscall);

	check_ok(debug(cpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, NULL));
	do
		step(cpu);
	while (cpu_regs(cpu).rip < GUEST_ADDRESS(step_syscall, step_syscall_here));
	step(cpu);
	check_eq(cpu_regs(cpu).rip, GUEST_ADDRESS(step_syscall, step_syscall_kernel));
	check(!(cpu_regs(cpu).r11 & FLAG_TF));
	step(cpu);
	step(cpu);
	step(cpu);
	check_eq(cpu_regs(cpu).rip, GUEST_ADDRESS(step_syscall, step_syscall_user));
	check(!(cpu_regs(cpu).rflags & FLAG_TF));
	check(!(cpu_regs(cpu).rbx & FLAG_TF));
}

GUEST(over_mov_ss, 64, "mov eax, ss\n mov ss, eax\n nop\n over_mov_ss_behind: nop\n" DONE);
GUEST_LABEL(over_mov_ss_behind);

/* The step of MOV SS ends with the next instruction. */
TEST(debug_steps_over_mov_ss)
{
	struct cpu *cpu = start(over_mov_ss);
	uint64_t behind = GUEST_ADDRESS(over_mov_ss, over_mov_ss_behind);

	check_ok(debug(cpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, NULL));
	expect_debug(cpu, GUEST_CODE + 2, 1);
	expect_debug(cpu, behind, 1);
	expect_debug(cpu, behind + 1, 1);
}

GUEST(blocked, 64, "nop\n nop\n nop\n nop\n nop\n cli\n" DONE);

/* KVM_GUESTDBG_BLOCKIRQ: a pending interrupt waits while the debugger steps. */
TEST(debug_blocks_interrupts)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_IRQCHIP), 0);
	struct kvm_regs regs;

	if (!(machine_cap(cpu->machine, KVM_CAP_SET_GUEST_DEBUG2) & KVM_GUESTDBG_BLOCKIRQ))
		skip("the target has no KVM_GUESTDBG_BLOCKIRQ");
	lapic_enable(cpu);
	guest_start(cpu, GUEST_LONG, blocked);
	regs = cpu_regs(cpu);
	regs.rflags |= FLAG_IF;
	cpu_set_regs(cpu, &regs);
	check_eq(signal_msi(cpu->machine, 0xfee00000, 0x40), 1);
	check_ok(debug(cpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ, NULL));
	for (unsigned int i = 1; i <= 3; i++)
		expect_debug(cpu, GUEST_CODE + i, 1);
	check_ok(debug(cpu, 0, NULL));
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 0x40);
	check_eq(guest_log(cpu->machine)->event[0].rip, GUEST_CODE + 3);
}

/* 2006's own form of guest debugging: Linux has dropped it, we have not. */
static void old_debug(struct cpu *cpu, const struct kvm_debug_guest *old)
{
	int r = kt_ioctl(cpu->kt, KVM_DEBUG_GUEST, (void *)old);

	if (r == -EINVAL)
		skip("the target has no KVM_DEBUG_GUEST");
	check_ok(r);
}

TEST(y2006_old_debug_guest_steps)
{
	struct cpu *cpu = start(steps);
	const struct kvm_debug_guest on = { .enabled = 1, .singlestep = 1 }, off = { 0 };

	old_debug(cpu, &on);
	expect_debug(cpu, GUEST_CODE + 5, 1);
	check_eq(cpu_regs(cpu).rflags & FLAG_TF, 0);
	expect_debug(cpu, GUEST_CODE + 7, 1);
	old_debug(cpu, &off);
	cpu_run_to_done(cpu);
}

TEST(y2006_old_debug_guest_breakpoints)
{
	struct cpu *cpu = start(four_places);
	const uint8_t *labels[] = { break0, break1, break2, break3 };
	struct kvm_debug_guest old = { .enabled = 1 };

	for (int i = 0; i < 4; i++) {
		old.breakpoints[i].enabled = i != 2;
		old.breakpoints[i].address = GUEST_ADDRESS(four_places, labels[i]);
	}
	for (int i = 0; i < 4; i++) {
		if (i == 2)
			continue;
		old_debug(cpu, &old);
		expect_debug(cpu, old.breakpoints[i].address, 1);
		old.breakpoints[i].enabled = 0;
	}
	old_debug(cpu, &old);
	cpu_run_to_done(cpu);
}
