/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Hyper-V's synthetic interrupt controller and synthetic timers. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../lib/chips.h"
#include "../lib/hyperv.h"

#define MESSAGES 0x21000u
#define SCONTROL 0x40000080
#define SVERSION 0x40000081
#define SIEFP 0x40000082
#define SIMP 0x40000083
#define SINT0 0x40000090
#define SINT_MASKED 0x10000u
#define STIMER0_CONFIG 0x400000b0

/* What is in the slot of a source in the page of messages. */
struct message {
	uint32_t type;
	uint8_t size, flags, reserved[2];
	uint64_t sender;
	uint32_t timer, zero;
	uint64_t expiration, delivery;
};

static struct message *message_of(struct cpu *cpu, unsigned int sint)
{
	return (struct message *)(cpu->machine->mem + MESSAGES + sint * 256);
}

GUEST(synic_read, 64, "mov ecx, 0x40000080\n rdmsr\n" DONE "hlt\n");

TEST(hyperv_synic_must_be_enabled)
{
	struct cpu *cpu = hyperv_cpu(MACHINE_IRQCHIP, synic_read);
	struct kvm_enable_cap enable = { .cap = KVM_CAP_HYPERV_SYNIC2, .args = { 1 } };
	uint64_t value = 1;

	REQUIRE_CAP(cpu->machine, KVM_CAP_HYPERV_SYNIC);
	REQUIRE_CAP(cpu->machine, KVM_CAP_HYPERV_SYNIC2);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
	guest_start(cpu, GUEST_LONG, synic_read);
	check_error(kt_ioctl(cpu->kt, KVM_ENABLE_CAP, &enable), EINVAL);
	enable.args[0] = 0;
	check_ok(kt_ioctl(cpu->kt, KVM_ENABLE_CAP, &enable));
	cpu_run_to_done(cpu);
	check_eq(cpu_get_msr(cpu, SVERSION, &value), 1);
	check_eq(value, 1);
	check_eq(cpu_get_msr(cpu, SINT0 + 15, &value), 1);
	check_eq(value, SINT_MASKED);
}

TEST(hyperv_synic_needs_a_local_apic)
{
	struct cpu *cpu = hyperv_cpu(0, synic_read);
	struct kvm_enable_cap enable = { .cap = KVM_CAP_HYPERV_SYNIC };

	REQUIRE_CAP(cpu->machine, KVM_CAP_HYPERV_SYNIC);
	check_error(kt_ioctl(cpu->kt, KVM_ENABLE_CAP, &enable), EINVAL);
}

GUEST(synic_pages, 64,
      "xor edx, edx\n mov ecx, 0x40000083\n mov eax, 0x21001\n wrmsr\n"
      "mov ecx, 0x40000082\n mov eax, 0x22001\n wrmsr\n"
      "mov ecx, 0x40000080\n mov eax, 1\n wrmsr\n" DONE "mov ecx, 0x40000081\n mov eax, 1\n wrmsr\n hlt\n");

static void expect_pages(uint32_t cap, uint8_t left)
{
	struct cpu *cpu = hyperv_cpu(MACHINE_IRQCHIP, synic_pages);
	struct kvm_enable_cap enable = { .cap = cap };
	const struct kvm_hyperv_exit *e = &cpu->run->hyperv;

	REQUIRE_CAP(cpu->machine, (int)cap);
	check_ok(kt_ioctl(cpu->kt, KVM_ENABLE_CAP, &enable));
	memset(cpu->machine->mem + MESSAGES, 0x55, 3 * PAGE_SIZE);
	cpu_run_to(cpu, KVM_EXIT_HYPERV);
	check_eq(e->type, KVM_EXIT_HYPERV_SYNIC);
	check_eq(e->u.synic.msr, SIMP);
	check_eq(e->u.synic.msg_page, MESSAGES | 1);
	check_eq(cpu->machine->mem[MESSAGES], left);
	check_eq(cpu->machine->mem[MESSAGES + 4095], left);
	check_eq(cpu->machine->mem[MESSAGES + 4096], 0x55);
	cpu_run_to(cpu, KVM_EXIT_HYPERV);
	check_eq(e->u.synic.msr, SIEFP);
	check_eq(e->u.synic.evt_page, 0x22001);
	check_eq(cpu->machine->mem[0x22000], left);
	cpu_run_to(cpu, KVM_EXIT_HYPERV);
	check_eq(e->u.synic.msr, SCONTROL);
	check_eq(e->u.synic.control, 1);
	check_eq(e->u.synic.msg_page, MESSAGES | 1);
	cpu_run_to_done(cpu);
	/* The version is the host's to set. */
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
	check_eq(cpu_set_msr(cpu, SVERSION, 1), 1);
}

TEST(hyperv_synic_pages_are_cleared)
{
	expect_pages(KVM_CAP_HYPERV_SYNIC, 0);
}

TEST(hyperv_synic2_keeps_pages)
{
	expect_pages(KVM_CAP_HYPERV_SYNIC2, 0x55);
}

GUEST(synic_bad_vector, 64,
      "xor edx, edx\n mov ecx, 0x40000091\n mov eax, 0x1000f\n wrmsr\n" DONE "mov eax, 15\n wrmsr\n hlt\n");

TEST(hyperv_sint_vectors)
{
	struct cpu *cpu = hyperv_synic_cpu(synic_bad_vector, GUEST_CODE);

	cpu_run_to_done(cpu);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
	/* The host may restore what a guest never could write. */
	check_eq(cpu_set_msr(cpu, SINT0 + 1, 15), 1);
}

/* --- interrupts by routes ------------------------------------------------------------------------------------------ */

#define SINT_GSI 20u

static int route(struct machine *machine, uint32_t vcpu, uint32_t sint)
{
	return irq_route(machine, (struct kvm_irq_routing_entry){ .gsi = SINT_GSI,
								  .type = KVM_IRQ_ROUTING_HV_SINT,
								  .u.hv_sint = { .vcpu = vcpu, .sint = sint } });
}

/* rbx counts; the second time on, without EOI by itself, nothing comes. */
GUEST(synic_wait, 64,
      "mov ecx, 0x40000084\n jmp 1f\n synic_wait_handler: inc rbx\n iretq\n"
      "1: sti\n nop\n 2: " DONE "jmp 2b\n");
GUEST_LABEL(synic_wait_handler);

TEST(hyperv_sint_by_route)
{
	struct cpu *cpu = hyperv_synic_cpu(synic_wait, GUEST_ADDRESS(synic_wait, synic_wait_handler));

	check_ok(route(cpu->machine, 0, 16));
	check(irq_line_status(cpu->machine, SINT_GSI, 1) <= 0);
	check_ok(route(cpu->machine, 0, 3));
	/* Masked. */
	check(irq_line_status(cpu->machine, SINT_GSI, 1) <= 0);
	check(!lapic_bit(cpu, APIC_IRR, 0x60));
	check_eq(cpu_set_msr(cpu, SINT0 + 3, 0x60), 1);
	check_eq(irq_line_status(cpu->machine, SINT_GSI, 1), 1);
	check(lapic_bit(cpu, APIC_IRR, 0x60));
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 1);
	check(lapic_bit(cpu, APIC_ISR, 0x60));
	/* A vCPU that does not exist. */
	check_ok(route(cpu->machine, 7, 3));
	check(irq_line_status(cpu->machine, SINT_GSI, 1) <= 0);
}

TEST(hyperv_sint_auto_eoi)
{
	struct cpu *cpu = hyperv_synic_cpu(synic_wait, GUEST_ADDRESS(synic_wait, synic_wait_handler));

	check_ok(route(cpu->machine, 0, 3));
	check_eq(cpu_set_msr(cpu, SINT0 + 3, 0x20060), 1);
	for (unsigned int i = 1; i < 4; i++) {
		irq_line(cpu->machine, SINT_GSI, 1);
		irq_line(cpu->machine, SINT_GSI, 0);
		cpu_run_to_done(cpu);
		check_eq(cpu_regs(cpu).rbx, i);
		check(!lapic_bit(cpu, APIC_ISR, 0x60));
	}
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* EOI, by MSR; then EOM. */
GUEST(synic_eoi, 64,
      "jmp 1f\n synic_eoi_handler: inc rbx\n iretq\n"
      "1: sti\n nop\n" DONE "xor eax, eax\n xor edx, edx\n mov ecx, 0x40000070\n wrmsr\n" DONE
      "mov ecx, 0x40000084\n wrmsr\n" DONE "hlt\n");
GUEST_LABEL(synic_eoi_handler);

TEST(hyperv_sint_resample)
{
	struct cpu *cpu = hyperv_synic_cpu(synic_eoi, GUEST_ADDRESS(synic_eoi, synic_eoi_handler));
	struct kvm_irqfd irqfd = { .gsi = SINT_GSI, .flags = KVM_IRQFD_FLAG_RESAMPLE };
	uint64_t one = 1;

	check_ok(route(cpu->machine, 0, 3));
	check_eq(cpu_set_msr(cpu, SINT0 + 3, 0x60), 1);
	irqfd.fd = (uint32_t)eventfd(0, EFD_NONBLOCK);
	irqfd.resamplefd = (uint32_t)eventfd(0, EFD_NONBLOCK);
	check_ok(kt_ioctl(cpu->machine->vm, KVM_IRQFD, &irqfd));
	check_eq(write((int)irqfd.fd, &one, 8), 8);
	while (!lapic_bit(cpu, APIC_IRR, 0x60))
		usleep(1000);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 1);
	check(!readable((int)irqfd.resamplefd));
	cpu_run_to_done(cpu);
	check(readable((int)irqfd.resamplefd));
	check_eq(read((int)irqfd.resamplefd, &one, 8), 8);
	cpu_run_to_done(cpu);
	check(readable((int)irqfd.resamplefd));
}

/* --- timers ---------------------------------------------------------------------------------------------------------- */

/* Adds rsi to the reference count and writes it to the MSR in ecx + 1; the configuration, rdi, to ecx before. */
#define SET_TIMER                                                                                                      \
	"mov r10d, ecx\n mov ecx, 0x40000020\n rdmsr\n shl rdx, 32\n or rax, rdx\n add rax, rsi\n mov r9, rax\n"       \
	"mov rdx, rax\n shr rdx, 32\n lea ecx, [r10 + 1]\n wrmsr\n"                                                    \
	"mov ecx, r10d\n mov rax, rdi\n xor edx, edx\n wrmsr\n"
#define PAGE_AND_SINT2                                                                                                 \
	"xor edx, edx\n mov ecx, 0x40000083\n mov eax, 0x21001\n wrmsr\n"                                              \
	"mov ecx, 0x40000092\n mov eax, 0x20060\n wrmsr\n"

/* Timer 0, one shot of a millisecond, to SINT 2; again while the slot is full; then the slot is freed. */
GUEST(synic_timer, 64,
      PAGE_AND_SINT2 "mov ecx, 0x400000b0\n mov edi, 0x20001\n mov esi, 10000\n" SET_TIMER
		     "1: sti\n hlt\n cli\n test rbx, rbx\n jz 1b\n" DONE
		     "mov ecx, 0x400000b2\n mov edi, 0x20001\n mov esi, 1\n" SET_TIMER
		     "2: test byte ptr [0x21205], 1\n jz 3f\n" DONE
		     "mov dword ptr [0x21200], 0\n xor eax, eax\n xor edx, edx\n mov ecx, 0x40000084\n wrmsr\n"
		     "4: sti\n hlt\n cli\n cmp rbx, 2\n jne 4b\n" DONE "3: mov ecx, 0x40000020\n rdmsr\n jmp 2b\n"
		     "synic_timer_handler: inc rbx\n iretq\n");
GUEST_LABEL(synic_timer_handler);

TEST(hyperv_timer_messages)
{
	struct cpu *cpu = hyperv_synic_cpu(synic_timer, GUEST_ADDRESS(synic_timer, synic_timer_handler));
	struct message *m = message_of(cpu, 2);
	struct kvm_regs regs;
	uint64_t config = 0;

	cpu_run_to(cpu, KVM_EXIT_HYPERV);
	cpu_run_to_done(cpu);
	regs = cpu_regs(cpu);
	check_eq(regs.rbx, 1);
	check_eq(m->type, 0x80000010);
	check_eq(m->size, 24);
	check_eq(m->flags, 0);
	check_eq(m->timer, 0);
	check_eq(m->expiration, regs.r9);
	check(m->delivery >= m->expiration);
	/* One shot. */
	check_eq(cpu_get_msr(cpu, STIMER0_CONFIG, &config), 1);
	check_eq(config, 0x20000);
	/* Timer 1 finds the slot taken. */
	cpu_run_to_done(cpu);
	check_eq(m->timer, 0);
	check_eq(m->flags, 1);
	cpu_run_to_done(cpu);
	check_eq(m->type, 0x80000010);
	check_eq(m->timer, 1);
	check_eq(m->flags, 0);
}

/* Periodic, ten times a millisecond, straight to vector 0x60; turned off after five. */
GUEST(synic_direct, 64,
      "mov ecx, 0x400000b5\n mov eax, 1000\n xor edx, edx\n wrmsr\n"
      "dec ecx\n mov eax, 0x1603\n wrmsr\n"
      "1: sti\n hlt\n cli\n cmp rbx, 5\n jb 1b\n"
      "mov ecx, 0x400000b5\n xor eax, eax\n xor edx, edx\n wrmsr\n dec ecx\n rdmsr\n mov rsi, rax\n" DONE "hlt\n"
      "synic_direct_handler: inc rbx\n push rax\n push rcx\n push rdx\n"
      "mov ecx, 0x40000070\n xor eax, eax\n xor edx, edx\n wrmsr\n pop rdx\n pop rcx\n pop rax\n iretq\n");
GUEST_LABEL(synic_direct_handler);

TEST(hyperv_timer_direct)
{
	struct cpu *cpu = hyperv_synic_cpu(synic_direct, GUEST_ADDRESS(synic_direct, synic_direct_handler));

	cpu_run_to_done(cpu);
	check(cpu_regs(cpu).rbx >= 5);
	check_eq(cpu_regs(cpu).rsi, 0x1602);
}

/*
 * Auto-enable: the count starts it. A running timer whose configuration names no SINT stops. It may expire as soon as the guest waits, which
 * therefore does not halt: in QEMU's emulation of AMD-V the shadow of STI can be lost.
 */
GUEST(synic_auto, 64,
      PAGE_AND_SINT2 "mov ecx, 0x400000b6\n mov eax, 0x2000a\n wrmsr\n inc ecx\n mov eax, 1000\n wrmsr\n"
		     "dec ecx\n rdmsr\n mov rsi, rax\n"
		     "1: sti\n nop\n cli\n test rbx, rbx\n jz 1b\n"
		     "mov eax, 3\n xor edx, edx\n wrmsr\n rdmsr\n mov rdi, rax\n" DONE "hlt\n"
		     "synic_auto_handler: inc rbx\n iretq\n");
GUEST_LABEL(synic_auto_handler);

TEST(hyperv_timer_auto_enable)
{
	struct cpu *cpu = hyperv_synic_cpu(synic_auto, GUEST_ADDRESS(synic_auto, synic_auto_handler));

	cpu_run_to(cpu, KVM_EXIT_HYPERV);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rsi, 0x2000b);
	check_eq(cpu_regs(cpu).rdi, 2);
	check_eq(message_of(cpu, 2)->timer, 3);
}

/* A timer that is saved and put back goes on. */
GUEST(synic_idle, 64,
      "1: sti\n hlt\n cli\n test rbx, rbx\n jz 1b\n" DONE "hlt\n synic_idle_handler: inc rbx\n iretq\n");
GUEST_LABEL(synic_idle_handler);

TEST(hyperv_timer_set_by_the_host)
{
	struct cpu *cpu = hyperv_synic_cpu(synic_idle, GUEST_ADDRESS(synic_idle, synic_idle_handler));
	uint64_t now = 0;

	check_eq(cpu_get_msr(cpu, 0x40000020, &now), 1);
	check_eq(cpu_set_msr(cpu, STIMER0_CONFIG + 1, now + 1000), 1);
	check_eq(cpu_set_msr(cpu, STIMER0_CONFIG, 0x1601), 1);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 1);
}
