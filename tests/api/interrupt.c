/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* User space's own interrupt controller: KVM_INTERRUPT, windows, shadows; NMIs; exceptions. */
#include <errno.h>
#include <string.h>

#include "../lib/guest.h"

#define FLAG_TF 0x100u
#define FLAG_IF 0x200u
#define FLAG_AC 0x40000u

static int interrupt(struct cpu *cpu, uint32_t vector)
{
	struct kvm_interrupt irq = { .irq = vector };

	return kt_ioctl(cpu->kt, KVM_INTERRUPT, &irq);
}

GUEST(enabled, 64, "1: sti\n nop\n cli\n" DONE "jmp 1b\n");

TEST(y2006_interrupt_vector_range)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct guest_event_log *log = guest_log(machine);

	guest_start(cpu, GUEST_LONG, enabled);
	log->silent = 1;
	for (uint32_t vector = 0; vector < 256; vector++) {
		/* Vectors that carry an error code as exceptions carry none as interrupts. */
		if (vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
			guest_idt(machine, GUEST_LONG, (uint8_t)vector, 0x1a000 + 0x20 * 16);
	}
	for (uint32_t vector = 0; vector < 256; vector++) {
		uint64_t wanted =
			vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 ? 0x20 : vector;

		check_ok(interrupt(cpu, vector));
		cpu_run_to_done(cpu);
		check_eq(log->count, vector + 1);
		check_eq(log->event[vector & 15].vector, wanted);
	}
	check_error(interrupt(cpu, 256), EINVAL);
	check_error(interrupt(cpu, 0xffffffff), EINVAL);
}

TEST(interrupt_second_replaces_first)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, enabled);
	check_ok(interrupt(cpu, 0x30));
	check_ok(interrupt(cpu, 0x31));
	check_eq(cpu_events(cpu).interrupt.injected, 1);
	check_eq(cpu_events(cpu).interrupt.nr, 0x31);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 0x31);
	cpu_run_to_done(cpu);
	check_eq(guest_log(cpu->machine)->count, 1);
}

/* With the PIC in user space and the LAPIC in the kernel this is the LAPIC's ExtINT wire. */
TEST(interrupt_split_queue_holds_one)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_SPLIT), 0);

	guest_start(cpu, GUEST_LONG, enabled);
	check_ok(interrupt(cpu, 0x30));
	check_error(interrupt(cpu, 0x31), EEXIST);
	check_error(interrupt(cpu, 256), EINVAL);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 0x30);
	cpu_run_to_done(cpu);
	check_ok(interrupt(cpu, 0x31));
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 0x31);
}

TEST(interrupt_refused_with_irqchip)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_IRQCHIP), 0);

	check_error(interrupt(cpu, 0x30), ENXIO);
}

GUEST(window, 64, "nop\n nop\n sti\n nop\n nop\n" DONE);

/* With IF clear the interrupt waits; the window is announced where IF and no shadow allow it. */
TEST(y2006_irq_window_open)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct guest_event_log *log = guest_log(machine);

	guest_start(cpu, GUEST_LONG, window);
	check_eq(cpu->run->ready_for_interrupt_injection, 0);
	cpu->run->request_interrupt_window = 1;
	cpu_run_to(cpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	check_eq(cpu->run->ready_for_interrupt_injection, 1);
	check_eq(cpu->run->if_flag, 1);
	/* Not right after the sti, but after the instruction behind it. */
	check_eq(cpu_regs(cpu).rip, GUEST_CODE + 4);
	cpu->run->request_interrupt_window = 0;
	check_ok(interrupt(cpu, 0x40));
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 0x40);
	check_eq(log->event[0].rip, GUEST_CODE + 4);
	cpu_run_to_done(cpu);
	check_eq(log->count, 1);
}

TEST(interrupt_window_already_open)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_regs regs;

	guest_start(cpu, GUEST_LONG, window);
	regs = cpu_regs(cpu);
	regs.rflags |= FLAG_IF;
	cpu_set_regs(cpu, &regs);
	cpu->run->request_interrupt_window = 1;
	cpu_run_to(cpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	check_eq(cpu->run->ready_for_interrupt_injection, 1);
	check_eq(cpu_regs(cpu).rip, GUEST_CODE);
}

GUEST(ready_flags, 64, "out 0x80, al\n sti\n nop\n out 0x80, al\n cli\n out 0x80, al\n" DONE);

TEST(interrupt_ready_and_if_flags)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, ready_flags);
	cpu_run_to_out(cpu, 0x80);
	check_eq(cpu->run->if_flag, 0);
	check_eq(cpu->run->ready_for_interrupt_injection, 0);
	cpu_run_to_out(cpu, 0x80);
	check_eq(cpu->run->if_flag, 1);
	check_eq(cpu->run->ready_for_interrupt_injection, 1);
	cpu_run_to_out(cpu, 0x80);
	check_eq(cpu->run->if_flag, 0);
	check_eq(cpu->run->ready_for_interrupt_injection, 0);
}

GUEST(sti_shadow, 64, "sti\n nop\n nop\n cli\n" DONE);
GUEST(mov_ss_shadow, 64, "mov eax, 0x10\n mov ss, eax\n out 0x80, al\n nop\n cli\n" DONE);

/* The window opens behind the shadowed instruction, whichever instruction cast the shadow. */
TEST(y2006_no_injection_in_sti_shadow)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, sti_shadow);
	cpu->run->request_interrupt_window = 1;
	cpu_run_to(cpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	check_eq(cpu_regs(cpu).rip, GUEST_CODE + 2);
}

/* IF is set all the time; only the instruction after the mov ss is protected. */
TEST(y2006_no_injection_in_mov_ss_shadow)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_regs regs;

	guest_start(cpu, GUEST_LONG, mov_ss_shadow);
	regs = cpu_regs(cpu);
	regs.rflags |= FLAG_IF;
	cpu_set_regs(cpu, &regs);
	cpu_run_to_out(cpu, 0x80);
	check_eq(cpu->run->if_flag, 1);
	check_eq(cpu->run->ready_for_interrupt_injection, 0);
	check(cpu_events(cpu).interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS);
	cpu->run->request_interrupt_window = 1;
	cpu_run_to(cpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	check_eq(cpu_regs(cpu).rip, GUEST_CODE + 9);
	check_eq(cpu_events(cpu).interrupt.shadow, 0);
}

/* The same with a shadow that user space sets, as after a migration. */
TEST(interrupt_shadow_set_by_user_space)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_vcpu_events events;
	struct kvm_regs regs;

	guest_start(cpu, GUEST_LONG, mov_ss_shadow);
	regs = cpu_regs(cpu);
	regs.rip = GUEST_CODE + 9;
	regs.rflags |= FLAG_IF;
	cpu_set_regs(cpu, &regs);
	events = cpu_events(cpu);
	events.flags = KVM_VCPUEVENT_VALID_SHADOW;
	events.interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS;
	cpu_set_events(cpu, &events);
	cpu->run->request_interrupt_window = 1;
	cpu_run_to(cpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	check_eq(cpu_regs(cpu).rip, GUEST_CODE + 10);
}

GUEST(real_window, 16,
      "mov ax, 0x10\n mov es, ax\n sti\n nop\n real_here: nop\n" DONE "hlt\n"
      "real_isr: mov bp, sp\n mov ax, [bp + 4]\n mov [0x9000], ax\n mov ax, [bp]\n mov [0x9002], ax\n"
      "mov ax, [bp + 2]\n mov [0x9004], ax\n pushfd\n pop dword ptr [0x9008]\n mov [0x900c], sp\n"
      "out 0xe0, al\n iret\n");
GUEST_LABEL(real_isr);
GUEST_LABEL(real_here);

TEST(y2006_real_mode_injection)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint16_t *saved = (uint16_t *)(machine->mem + GUEST_DATA);
	struct kvm_regs regs;

	guest_start(cpu, GUEST_REAL, real_window);
	/* Through a segment:offset that is not the plain address. */
	guest_ivt(machine, 0x20, 0x80, (uint16_t)(GUEST_ADDRESS(real_window, real_isr) - 0x800));
	cpu->run->request_interrupt_window = 1;
	cpu_run_to(cpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	cpu->run->request_interrupt_window = 0;
	check_eq(cpu_regs(cpu).rip, GUEST_ADDRESS(real_window, real_here));
	regs = cpu_regs(cpu);
	regs.rflags |= FLAG_AC;
	cpu_set_regs(cpu, &regs);
	check_ok(interrupt(cpu, 0x20));
	cpu_run_to_out(cpu, PORT_EVENT);
	check_eq(cpu_sregs(cpu).cs.selector, 0x80);
	check_eq(cpu_sregs(cpu).cs.base, 0x800);
	/* The frame: FLAGS with IF as it was, CS, IP. */
	check_eq(saved[0] & FLAG_IF, FLAG_IF);
	check_eq(saved[1], GUEST_ADDRESS(real_window, real_here));
	check_eq(saved[2], 0);
	check_eq(saved[6], GUEST_STACK - 6);
	/* In the handler IF, TF and AC are clear. */
	check_eq(*(uint32_t *)(machine->mem + GUEST_DATA + 8) & (FLAG_IF | FLAG_TF | FLAG_AC), 0);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rsp, GUEST_STACK);
	check(cpu_regs(cpu).rflags & FLAG_IF);
}

/*
 * No room for the frame below SS's limit: #SS by the same table. Its own frame does not fit either,
 * so the guest ends in a shutdown, and the interrupt's handler never runs.
 */
TEST(y2006_real_mode_stack_limit)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	guest_start(cpu, GUEST_REAL, real_window);
	guest_ivt(machine, 0x20, 0, (uint16_t)GUEST_ADDRESS(real_window, real_isr));
	guest_ivt(machine, 12, 0, (uint16_t)GUEST_ADDRESS(real_window, real_isr));
	sregs = cpu_sregs(cpu);
	sregs.ss.limit = 0x7000;
	cpu_set_sregs(cpu, &sregs);
	regs = cpu_regs(cpu);
	regs.rsp = 0x7fff;
	regs.rflags |= FLAG_IF;
	cpu_set_regs(cpu, &regs);
	check_ok(interrupt(cpu, 0x20));
	cpu_run_to(cpu, KVM_EXIT_SHUTDOWN);
}

/* A frame that wraps at the segment's end (SP 0 is the top) is no limit violation. */
TEST(interrupt_real_mode_stack_wraps)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_regs regs;

	guest_start(cpu, GUEST_REAL, real_window);
	guest_ivt(machine, 0x20, 0, (uint16_t)GUEST_ADDRESS(real_window, real_isr));
	regs = cpu_regs(cpu);
	regs.rsp = 0;
	regs.rflags |= FLAG_IF;
	cpu_set_regs(cpu, &regs);
	check_ok(interrupt(cpu, 0x20));
	cpu_run_to_out(cpu, PORT_EVENT);
	check_eq(*(uint16_t *)(machine->mem + 0x900c), 0xfffa);
}

/*
 * An event that waits for its delivery when KVM_RUN ends is delivered by a later one: once, and also
 * after its state went through user space. (y2006.c has the exit in the middle of the delivery.)
 */
TEST(y2006_vectoring_event_is_delivered_again)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_vcpu_events events;

	guest_start(cpu, GUEST_LONG, enabled);
	guest_log(machine)->silent = 0;
	check_ok(interrupt(cpu, 0x41));
	events = cpu_events(cpu);
	check_eq(events.interrupt.injected, 1);
	check_eq(events.interrupt.nr, 0x41);
	cpu_set_events(cpu, &events);
	cpu->run->immediate_exit = 1;
	check_error(cpu_run(cpu), EINTR);
	cpu->run->immediate_exit = 0;
	events = cpu_events(cpu);
	check_eq(events.interrupt.injected, 1);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 0x41);
	check_eq(guest_log(machine)->count, 1);
	check_eq(cpu_events(cpu).interrupt.injected, 0);
}

GUEST(nmi_guest, 64, "1: nop\n pause\n" DONE "jmp 1b\n");

static void nmi(struct cpu *cpu)
{
	check_ok(kt_ioctl(cpu->kt, KVM_NMI, NULL));
}

TEST(nmi_is_delivered_with_if_clear)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);

	REQUIRE_CAP(machine, KVM_CAP_USER_NMI);
	guest_start(cpu, GUEST_LONG, nmi_guest);
	nmi(cpu);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 2);
	check_eq(guest_log(machine)->event[0].vector, 2);
	cpu_run_to_done(cpu);
}

/* NMIs are blocked in the handler; one is held back, and delivered after the iret. */
TEST(nmi_is_blocked_until_iret)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct guest_event_log *log = guest_log(machine);

	guest_start(cpu, GUEST_LONG, nmi_guest);
	nmi(cpu);
	cpu_run_to_out(cpu, PORT_EVENT);
	check_eq(cpu_events(cpu).nmi.masked, 1);
	nmi(cpu);
	cpu_run_to_out(cpu, PORT_EVENT);
	check_eq(log->count, 2);
	/* The second came after the first one's iret, not inside the handler. */
	check_eq(log->event[1].rip, log->event[0].rip);
	check_eq(log->event[1].rsp, log->event[0].rsp);
	cpu_run_to_done(cpu);
	check_eq(cpu_events(cpu).nmi.masked, 0);
	check_eq(log->count, 2);
}

TEST(nmi_wakes_a_halted_vcpu)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_HALTED };

	guest_start(cpu, GUEST_LONG, nmi_guest);
	check_ok(kt_ioctl(cpu->kt, KVM_SET_MP_STATE, &state));
	nmi(cpu);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 2);
	cpu_run_to_done(cpu);
}

GUEST(faults, 64,
      "xor edx, edx\n mov eax, 1\n xor ecx, ecx\n"
      "faults_de: div ecx\n"
      "faults_bp: int3\n"
      "faults_ud: ud2\n"
      "mov eax, 0xfff8\n faults_gp: mov ds, eax\n"
      "mov rbx, 0x8000000000000000\n faults_gp0: mov rax, [rbx]\n"
      "mov rbx, 0x7f0000000123\n faults_pf: mov [rbx], rax\n" DONE);
GUEST_LABEL(faults_de);
GUEST_LABEL(faults_bp);
GUEST_LABEL(faults_ud);
GUEST_LABEL(faults_gp);
GUEST_LABEL(faults_gp0);
GUEST_LABEL(faults_pf);

TEST(exception_vectors_and_error_codes)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct guest_event_log *log = guest_log(machine);
	const struct {
		const uint8_t *label;
		uint64_t vector, error, length;
	} faults_wanted[] = {
		{ faults_de, 0, 0, 2 },       { faults_bp, 3, 0, 0 },   { faults_ud, 6, 0, 2 },
		{ faults_gp, 13, 0xfff8, 2 }, { faults_gp0, 13, 0, 3 }, { faults_pf, 14, 2, 3 },
	};

	guest_start(cpu, GUEST_LONG, faults);
	for (unsigned int i = 0; i < sizeof(faults_wanted) / sizeof(faults_wanted[0]); i++) {
		uint64_t address = GUEST_ADDRESS(faults, faults_wanted[i].label);

		check_eq(cpu_run_to_out(cpu, PORT_EVENT), faults_wanted[i].vector);
		check_eq(log->event[i].vector, faults_wanted[i].vector);
		check_eq(log->event[i].error, faults_wanted[i].error);
		/* int3 is a trap: its RIP lies behind it. */
		check_eq(log->event[i].rip, address + (faults_wanted[i].vector == 3));
		log->skip = faults_wanted[i].length;
	}
	check_eq(log->event[5].cr2, 0x7f0000000123);
	cpu_run_to_done(cpu);
}

GUEST(stack_fault, 64, "mov rbp, 0x8000000000000000\n mov rax, [rbp]\n" DONE);

/* A non-canonical address by way of RBP or RSP is #SS, not #GP. */
TEST(exception_stack_fault_non_canonical)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);

	guest_start(cpu, GUEST_LONG, stack_fault);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 12);
	check_eq(guest_log(machine)->event[0].error, 0);
}

GUEST(double_fault, 64, "ud2\n" DONE);

/* #UD's gate is not present: #NP while #UD is delivered stays #NP; a #GP on top of #NP is a #DF. */
TEST(exception_while_delivering_a_benign_one)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct guest_event_log *log = guest_log(machine);

	guest_start(cpu, GUEST_LONG, double_fault);
	memset(machine->mem + 0x17000 + 6 * 16, 0, 16);
	/* A gate of type 0 is a #GP with the gate's index, IDT flag set, EXT by an earlier exception. */
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
	check_eq(log->event[0].error | 1, 6 << 3 | 3);
	check_eq(log->event[0].rip, GUEST_CODE);
}

GUEST(double_page_fault, 64, "mov rbx, 0x7f0000000123\n mov rax, [rbx]\n" DONE);

TEST(exception_double_fault)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct guest_event_log *log = guest_log(machine);

	guest_start(cpu, GUEST_LONG, double_page_fault);
	memset(machine->mem + 0x17000 + 14 * 16, 0, 16);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 8);
	check_eq(log->event[0].error, 0);
	check_eq(log->count, 1);
}

/* CR4.PVI: a virtual interrupt that is pending and enabled stops the next instruction, at CPL 3 only. */
GUEST(virtual_interrupt, 64,
      "mov dword ptr [0x9000], 1\n mov dword ptr [0x9004], 1\n ud2\n"
      "virtual_interrupt_handler: mov rax, [rsp + 8]\n" DONE);
GUEST_LABEL(virtual_interrupt_handler);

static uint64_t run_with_virtual_interrupt(uint64_t rflags)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	guest_start(cpu, GUEST_LONG, virtual_interrupt);
	guest_enter_user(cpu);
	guest_idt(machine, GUEST_LONG, 13, GUEST_ADDRESS(virtual_interrupt, virtual_interrupt_handler));
	guest_idt(machine, GUEST_LONG, 6, GUEST_ADDRESS(virtual_interrupt, virtual_interrupt_handler));
	sregs = cpu_sregs(cpu);
	sregs.cr4 |= 2; /* PVI */
	check_ok(kt_ioctl(cpu->kt, KVM_SET_SREGS, &sregs));
	regs = cpu_regs(cpu);
	regs.rflags |= rflags;
	cpu_set_regs(cpu, &regs);
	cpu_run_to_done(cpu);
	return load32(machine->mem + 0x9000) + load32(machine->mem + 0x9004);
}

TEST(exception_virtual_interrupt_pending_and_enabled)
{
	check_eq(run_with_virtual_interrupt(1u << 19), 2);
	check_eq(run_with_virtual_interrupt(1u << 20), 2);
	check_eq(run_with_virtual_interrupt(3u << 19), 0);
}

TEST(exception_triple_fault)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);

	guest_start(cpu, GUEST_LONG, double_page_fault);
	memset(machine->mem + 0x17000 + 14 * 16, 0, 16);
	memset(machine->mem + 0x17000 + 8 * 16, 0, 16);
	cpu_run_to(cpu, KVM_EXIT_SHUTDOWN);
}

/* User space queues exceptions through KVM_SET_VCPU_EVENTS, as a migration does. */
TEST(exception_injected_by_user_space)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct guest_event_log *log = guest_log(machine);
	struct kvm_vcpu_events events;

	guest_start(cpu, GUEST_LONG, enabled);
	events = cpu_events(cpu);
	events.flags = 0;
	events.exception.injected = 1;
	events.exception.nr = 13;
	events.exception.has_error_code = 1;
	events.exception.error_code = 0x1238;
	cpu_set_events(cpu, &events);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
	check_eq(log->event[0].error, 0x1238);
	check_eq(log->event[0].rip, GUEST_CODE);
	cpu_run_to_done(cpu);
	check_eq(cpu_events(cpu).exception.injected, 0);
}

/* Exceptions come before interrupts: the handler of #GP begins, then the interrupt window opens. */
TEST(exception_before_interrupt)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct guest_event_log *log = guest_log(machine);
	struct kvm_vcpu_events events;
	struct kvm_regs regs;

	guest_start(cpu, GUEST_LONG, enabled);
	log->silent = 1;
	regs = cpu_regs(cpu);
	regs.rflags |= FLAG_IF;
	cpu_set_regs(cpu, &regs);
	events = cpu_events(cpu);
	events.flags = 0;
	events.exception.injected = 1;
	events.exception.nr = 6;
	cpu_set_events(cpu, &events);
	nmi(cpu);
	cpu_run_to_done(cpu);
	check_eq(log->count, 2);
	/* The NMI finds #UD's handler begun: its frame points there, and its handler logs first. */
	check_eq(log->event[0].vector, 2);
	check_eq(log->event[0].rip, 0x1a000 + 6 * 16);
	check_eq(log->event[1].vector, 6);
}

GUEST(software_int, 64, "int 0x80\n software_int_behind: " DONE);
GUEST_LABEL(software_int_behind);

TEST(exception_software_interrupt)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);

	guest_start(cpu, GUEST_LONG, software_int);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 0x80);
	check_eq(guest_log(machine)->event[0].rip, GUEST_ADDRESS(software_int, software_int_behind));
	cpu_run_to_done(cpu);
}

TEST(exception_from_user_mode_switches_stacks)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct guest_event_log *log = guest_log(machine);

	guest_start(cpu, GUEST_LONG, software_int);
	guest_enter_user(cpu);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 0x80);
	check_eq(log->event[0].cs, SELECTOR_CODE3);
	check_eq(log->event[0].ss, SELECTOR_DATA3);
	check_eq(log->event[0].rsp, GUEST_STACK);
	check(cpu_regs(cpu).rsp < 0x1f000 && cpu_regs(cpu).rsp > 0x1e000);
}
