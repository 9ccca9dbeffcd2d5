/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Port I/O exits and how KVM_RUN completes them. */
#include <errno.h>
#include <string.h>

#include "../lib/guest.h"
#include "../lib/signals.h"

GUEST(out_sizes, 64,
      "mov eax, 0x11223344\n"
      "out 0x80, al\n out 0x81, ax\n out 0x82, eax\n"
      "mov edx, 0xfffd\n out dx, eax\n" DONE);

static void check_out(struct cpu *cpu, uint16_t port, uint8_t size, uint32_t value)
{
	check_eq(cpu_run_to_out(cpu, port), value);
	check_eq(cpu->run->io.size, size);
}

TEST(io_out_sizes)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, out_sizes);
	check_out(cpu, 0x80, 1, 0x44);
	check_out(cpu, 0x81, 2, 0x3344);
	check_out(cpu, 0x82, 4, 0x11223344);
	check_out(cpu, 0xfffd, 4, 0x11223344);
	cpu_run_to_done(cpu);
}

GUEST(in_sizes, 64,
      "mov rax, -1\n in al, 0x80\n mov [0x9000], rax\n"
      "mov rax, -1\n in ax, 0x81\n mov [0x9008], rax\n"
      "mov rax, -1\n in eax, 0x82\n mov [0x9010], rax\n"
      "mov edx, 0x1234\n in eax, dx\n mov [0x9018], rax\n" DONE);

/* KVM_RUN to an IN of one item, whose value is then stored for the next KVM_RUN. */
static void answer_in(struct cpu *cpu, uint16_t port, uint8_t size, uint32_t value)
{
	cpu_run_to(cpu, KVM_EXIT_IO);
	check_eq(cpu->run->io.direction, KVM_EXIT_IO_IN);
	check_eq(cpu->run->io.port, port);
	check_eq(cpu->run->io.size, size);
	check_eq(cpu->run->io.count, 1);
	memcpy(io_data(cpu), &value, size);
}

TEST(io_in_sizes)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint64_t *seen = (uint64_t *)(machine->mem + GUEST_DATA);

	guest_start(cpu, GUEST_LONG, in_sizes);
	answer_in(cpu, 0x80, 1, 0x5a);
	answer_in(cpu, 0x81, 2, 0x1234);
	answer_in(cpu, 0x82, 4, 0x89abcdef);
	answer_in(cpu, 0x1234, 4, 0x01234567);
	cpu_run_to_done(cpu);
	check_eq(seen[0], 0xffffffffffffff5a);
	check_eq(seen[1], 0xffffffffffff1234);
	check_eq(seen[2], 0x89abcdef);
	check_eq(seen[3], 0x01234567);
}

GUEST(in_real, 16, "mov eax, 0x11223344\n in al, 0x80\n in ax, 0x81\n in eax, 0x82\n" DONE);

TEST(io_in_real_mode)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_REAL, in_real);
	answer_in(cpu, 0x80, 1, 0xff);
	answer_in(cpu, 0x81, 2, 0xbeef);
	answer_in(cpu, 0x82, 4, 0xcafef00d);
	check_eq(cpu_run_to_done(cpu), 0x0d);
	check_eq(cpu_regs(cpu).rax, 0xcafef00d);
}

/* The registers as user space sees them during an exit belong to the instruction's start. */
TEST(io_in_is_not_complete_before_next_run)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_REAL, in_real);
	answer_in(cpu, 0x80, 1, 0x77);
	check_eq(cpu_regs(cpu).rax, 0x11223344);
	answer_in(cpu, 0x81, 2, 0x5566);
	check_eq(cpu_regs(cpu).rax, 0x11223377);
}

TEST(io_in_completed_by_immediate_exit)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_regs regs;

	REQUIRE_CAP(cpu->machine, KVM_CAP_IMMEDIATE_EXIT);
	guest_start(cpu, GUEST_REAL, in_real);
	answer_in(cpu, 0x80, 1, 0x77);
	cpu->run->immediate_exit = 1;
	check_error(cpu_run(cpu), EINTR);
	regs = cpu_regs(cpu);
	check_eq(regs.rax, 0x11223377);
	check_eq(regs.rip, GUEST_CODE + 8);
	check_error(cpu_run(cpu), EINTR);
	check_eq(cpu_regs(cpu).rip, GUEST_CODE + 8);
	cpu->run->immediate_exit = 0;
	answer_in(cpu, 0x81, 2, 0x5566);
	answer_in(cpu, 0x82, 4, 1);
	cpu_run_to_done(cpu);
}

TEST(io_in_completed_with_a_signal_pending)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_REAL, in_real);
	answer_in(cpu, 0x80, 1, 0x77);
	signal_pend_for_run(cpu, SIGUSR1);
	check_error(cpu_run(cpu), EINTR);
	check_exit(cpu, KVM_EXIT_INTR);
	check_eq(cpu_regs(cpu).rax, 0x11223377);
	signal_take(SIGUSR1);
	answer_in(cpu, 0x81, 2, 0x5566);
}

TEST(io_out_completed_by_immediate_exit)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	REQUIRE_CAP(cpu->machine, KVM_CAP_IMMEDIATE_EXIT);
	guest_start(cpu, GUEST_LONG, out_sizes);
	check_out(cpu, 0x80, 1, 0x44);
	cpu->run->immediate_exit = 1;
	check_error(cpu_run(cpu), EINTR);
	check_eq(cpu_regs(cpu).rip, GUEST_CODE + 7);
	cpu->run->immediate_exit = 0;
	check_out(cpu, 0x81, 2, 0x3344);
}

/* How many items one exit carries is the target's choice; their sum, order and place is not. */
struct string_io {
	uint16_t port;
	uint8_t size, direction;
	uint8_t data[64];
	unsigned int done;
};

/* One exit of a string instruction with items iterations in all. */
static void string_io_exit(struct cpu *cpu, struct string_io *io, unsigned int items)
{
	struct kvm_run *run = cpu->run;
	uint8_t *at = io->data + io->done * io->size;

	cpu_run_to(cpu, KVM_EXIT_IO);
	check_eq(run->io.port, io->port);
	check_eq(run->io.size, io->size);
	check_eq(run->io.direction, io->direction);
	check(run->io.count >= 1 && run->io.count <= items - io->done);
	check(run->io.data_offset + run->io.count * run->io.size <= cpu->run_size);
	if (io->direction == KVM_EXIT_IO_OUT)
		memcpy(at, io_data(cpu), run->io.count * io->size);
	else
		memcpy(io_data(cpu), at, run->io.count * io->size);
	io->done += run->io.count;
}

static void run_string_io(struct cpu *cpu, struct string_io *io, unsigned int items)
{
	while (io->done < items)
		string_io_exit(cpu, io, items);
}

GUEST(outs_forward, 64, "cld\n mov esi, 0x9000\n mov ecx, 7\n mov edx, 0x80\n rep outsw\n" DONE);

TEST(io_rep_outs_forward)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct string_io io = { .port = 0x80, .size = 2, .direction = KVM_EXIT_IO_OUT };
	struct kvm_regs regs;

	for (int i = 0; i < 14; i++)
		machine->mem[GUEST_DATA + i] = (uint8_t)(i + 1);
	guest_start(cpu, GUEST_LONG, outs_forward);
	run_string_io(cpu, &io, 7);
	check(!memcmp(io.data, machine->mem + GUEST_DATA, 14));
	cpu_run_to_done(cpu);
	regs = cpu_regs(cpu);
	check_eq(regs.rcx, 0);
	check_eq(regs.rsi, GUEST_DATA + 14);
}

GUEST(outs_backward, 64, "std\n mov esi, 0x9010\n mov ecx, 5\n mov edx, 0x80\n rep outsd\n cld\n" DONE);

TEST(io_rep_outs_backward)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct string_io io = { .port = 0x80, .size = 4, .direction = KVM_EXIT_IO_OUT };
	uint32_t *words = (uint32_t *)(machine->mem + GUEST_DATA);

	for (uint32_t i = 0; i < 5; i++)
		words[i] = 0x1000 + i;
	guest_start(cpu, GUEST_LONG, outs_backward);
	run_string_io(cpu, &io, 5);
	for (uint32_t i = 0; i < 5; i++) {
		uint32_t value;

		memcpy(&value, io.data + i * 4, 4);
		check_eq(value, 0x1000 + 4 - i);
	}
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rsi, GUEST_DATA + 0x10 - 20);
}

GUEST(ins_forward, 64, "cld\n mov edi, 0x9001\n mov ecx, 9\n mov edx, 0x80\n rep insb\n" DONE);

TEST(io_rep_ins_forward)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct string_io io = { .port = 0x80, .size = 1, .direction = KVM_EXIT_IO_IN };
	struct kvm_regs regs;

	for (uint8_t i = 0; i < 9; i++)
		io.data[i] = i + 0x40;
	guest_start(cpu, GUEST_LONG, ins_forward);
	run_string_io(cpu, &io, 9);
	cpu_run_to_done(cpu);
	check(!memcmp(io.data, machine->mem + GUEST_DATA + 1, 9));
	check_eq(machine->mem[GUEST_DATA], 0);
	check_eq(machine->mem[GUEST_DATA + 10], 0);
	regs = cpu_regs(cpu);
	check_eq(regs.rcx, 0);
	check_eq(regs.rdi, GUEST_DATA + 10);
}

GUEST(ins_backward, 64, "std\n mov edi, 0x9008\n mov ecx, 5\n mov edx, 0x80\n rep insw\n cld\n" DONE);

TEST(io_rep_ins_backward)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct string_io io = { .port = 0x80, .size = 2, .direction = KVM_EXIT_IO_IN };
	uint16_t *words = (uint16_t *)(machine->mem + GUEST_DATA);

	for (uint16_t i = 0; i < 5; i++)
		memcpy(io.data + 2 * i, &i, 2);
	guest_start(cpu, GUEST_LONG, ins_backward);
	run_string_io(cpu, &io, 5);
	cpu_run_to_done(cpu);
	for (uint16_t i = 0; i < 5; i++)
		check_eq(words[i], 4 - i);
	check_eq(cpu_regs(cpu).rdi, GUEST_DATA + 8 - 10);
}

GUEST(ins_pages, 64, "cld\n mov edi, 0x9ffe\n mov ecx, 2\n mov edx, 0x80\n rep insd\n" DONE);

/* The second item's memory begins in one page and ends in the next. */
TEST(io_rep_ins_over_two_pages)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct string_io io = { .port = 0x80, .size = 4, .direction = KVM_EXIT_IO_IN };

	for (uint8_t i = 0; i < 8; i++)
		io.data[i] = i + 1;
	guest_start(cpu, GUEST_LONG, ins_pages);
	run_string_io(cpu, &io, 2);
	cpu_run_to_done(cpu);
	check(!memcmp(io.data, machine->mem + 0x9ffe, 8));
}

TEST(io_rep_ins_interrupted_by_immediate_exit)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct string_io io = { .port = 0x80, .size = 1, .direction = KVM_EXIT_IO_IN };

	REQUIRE_CAP(machine, KVM_CAP_IMMEDIATE_EXIT);
	for (uint8_t i = 0; i < 9; i++)
		io.data[i] = i + 0x40;
	guest_start(cpu, GUEST_LONG, ins_forward);
	while (io.done < 9) {
		string_io_exit(cpu, &io, 9);
		cpu->run->immediate_exit = 1;
		check_error(cpu_run(cpu), EINTR);
		cpu->run->immediate_exit = 0;
	}
	cpu_run_to_done(cpu);
	check(!memcmp(io.data, machine->mem + GUEST_DATA + 1, 9));
}

static void log_dirty_pages(struct cpu *cpu)
{
	check_ok(memory_slot(cpu->machine, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, MACHINE_MEMORY, cpu->machine->mem));
}

static void forget_translations(struct cpu *cpu)
{
	struct kvm_sregs sregs = cpu_sregs(cpu);

	sregs.cr4 ^= 0x80; /* PGE */
	cpu_set_sregs(cpu, &sregs);
}

static void step(struct cpu *cpu)
{
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };

	check_ok(kt_ioctl(cpu->kt, KVM_SET_GUEST_DEBUG, &debug));
	cpu_run_to(cpu, KVM_EXIT_DEBUG);
	debug.control = 0;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_GUEST_DEBUG, &debug));
}

GUEST(ins_long, 64, "cld\n mov edi, 0x9001\n mov byte ptr [rdi], 0\n mov ecx, 40\n mov edx, 0x80\n rep insb\n" DONE);

/* What user space has taken from a device for the guest reaches it, whatever becomes of the memory's page meanwhile. */
static void ins_while(void (*happens)(struct cpu *cpu))
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct string_io io = { .port = 0x80, .size = 1, .direction = KVM_EXIT_IO_IN };

	for (uint8_t i = 0; i < 40; i++)
		io.data[i] = i + 0x40;
	guest_start(cpu, GUEST_LONG, ins_long);
	while (io.done < 40) {
		string_io_exit(cpu, &io, 40);
		happens(cpu);
	}
	cpu_run_to_done(cpu);
	check(!memcmp(io.data, machine->mem + GUEST_DATA + 1, 40));
	check_eq(cpu_regs(cpu).rdi, GUEST_DATA + 41);
}

TEST(io_rep_ins_while_dirty_logging_begins)
{
	ins_while(log_dirty_pages);
}

TEST(io_rep_ins_while_a_debugger_steps)
{
	ins_while(step);
}

TEST(io_rep_ins_while_translations_go)
{
	ins_while(forget_translations);
}

GUEST(outs_zero, 64, "xor ecx, ecx\n mov esi, 0x9000\n mov edx, 0x80\n rep outsb\n rep insb\n" DONE);

TEST(io_rep_count_zero)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, outs_zero);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rsi, GUEST_DATA);
}

GUEST(outs_fs, 16, "mov ax, 0x900\n mov fs, ax\n mov si, 4\n mov dx, 0x80\n cld\n fs outsb\n" DONE);

TEST(io_outs_segment_override)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);

	machine->mem[0x9004] = 0xa5;
	machine->mem[4] = 0x11;
	guest_start(cpu, GUEST_REAL, outs_fs);
	check_out(cpu, 0x80, 1, 0xa5);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rsi, 5);
}

GUEST(user_out, 64, "out 0x80, al\n" DONE);

/* At CPL 3 with IOPL 0 the TSS's bitmap decides; a TSS without one means #GP. */
TEST(io_at_cpl3_faults)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct guest_event_log *log = guest_log(machine);

	guest_start(cpu, GUEST_LONG, user_out);
	guest_enter_user(cpu);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
	check_eq(log->event[0].rip, GUEST_CODE);
	check_eq(log->event[0].cs, SELECTOR_CODE3);
	check_eq(log->event[0].error, 0);
}

TEST(io_at_cpl3_with_iopl3)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_regs regs;

	guest_start(cpu, GUEST_LONG, user_out);
	guest_enter_user(cpu);
	regs = cpu_regs(cpu);
	regs.rflags |= 0x3000;
	cpu_set_regs(cpu, &regs);
	check_out(cpu, 0x80, 1, 0);
	cpu_run_to_done(cpu);
}
