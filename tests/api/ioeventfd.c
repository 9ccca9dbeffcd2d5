/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* ioeventfd: guest writes that only signal an eventfd. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../lib/guest.h"

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	check(fd >= 0);
	return fd;
}

static uint64_t drain(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static int ioeventfd(struct machine *machine, uint64_t addr, uint32_t len, int fd, uint32_t flags, uint64_t match)
{
	struct kvm_ioeventfd args = {
		.addr = addr,
		.len = len,
		.fd = fd,
		.flags = flags,
		.datamatch = match,
	};

	return kt_ioctl(machine->vm, KVM_IOEVENTFD, &args);
}

static struct cpu *start(struct guest_code code)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);

	REQUIRE_CAP(machine, KVM_CAP_IOEVENTFD);
	guest_start(cpu, GUEST_LONG, code);
	return cpu;
}

GUEST(port_notify, 64, "mov eax, 5\n out 0x80, ax\n out 0x80, ax\n out 0x80, al\n in ax, 0x80\n" DONE);

TEST(ioeventfd_port)
{
	struct cpu *cpu = start(port_notify);
	int fd = new_eventfd();

	check_ok(ioeventfd(cpu->machine, 0x80, 2, fd, KVM_IOEVENTFD_FLAG_PIO, 0));
	/* Another size is another access. */
	cpu_run_to_out(cpu, 0x80);
	check_eq(cpu->run->io.size, 1);
	check_eq(drain(fd), 2);
	/* A read is none of its business. */
	cpu_run_to(cpu, KVM_EXIT_IO);
	check_eq(cpu->run->io.direction, KVM_EXIT_IO_IN);
	check_eq(drain(fd), 0);
	close(fd);
}

GUEST(mmio_notify, 64,
      "mov ebx, 0xd0000000\n mov eax, 7\n mov [rbx], eax\n mov eax, 8\n mov [rbx], eax\n"
      "mov [rbx + 4], eax\n" DONE);

TEST(ioeventfd_mmio)
{
	struct cpu *cpu = start(mmio_notify);
	int fd = new_eventfd();

	check_ok(ioeventfd(cpu->machine, 0xd0000000, 4, fd, 0, 0));
	cpu_run_to(cpu, KVM_EXIT_MMIO);
	check_eq(cpu->run->mmio.phys_addr, 0xd0000004);
	check_eq(drain(fd), 2);
	cpu_run_to_done(cpu);
	close(fd);
}

TEST(ioeventfd_mmio_datamatch)
{
	struct cpu *cpu = start(mmio_notify);
	int seven = new_eventfd(), eight = new_eventfd();

	check_ok(ioeventfd(cpu->machine, 0xd0000000, 4, seven, KVM_IOEVENTFD_FLAG_DATAMATCH, 7));
	cpu_run_to(cpu, KVM_EXIT_MMIO);
	check_eq(cpu->run->mmio.data[0], 8);
	check_eq(drain(seven), 1);
	check_ok(ioeventfd(cpu->machine, 0xd0000004, 4, eight, KVM_IOEVENTFD_FLAG_DATAMATCH, 8));
	cpu_run_to_done(cpu);
	check_eq(drain(eight), 1);
	check_eq(drain(seven), 0);
	close(seven);
	close(eight);
}

GUEST(any_length, 64,
      "mov ebx, 0xd0000000\n mov eax, 7\n mov [rbx], al\n mov [rbx], ax\n mov [rbx], eax\n"
      "mov [rbx], rax\n" DONE);

TEST(ioeventfd_mmio_wildcard_length)
{
	struct cpu *cpu = start(any_length);
	int fd = new_eventfd();

	REQUIRE_CAP(cpu->machine, KVM_CAP_IOEVENTFD_ANY_LENGTH);
	check_ok(ioeventfd(cpu->machine, 0xd0000000, 0, fd, 0, 0));
	cpu_run_to_done(cpu);
	check_eq(drain(fd), 4);
	close(fd);
}

TEST(ioeventfd_deassign)
{
	struct cpu *cpu = start(port_notify);
	int fd = new_eventfd(), other = new_eventfd();
	uint32_t port = KVM_IOEVENTFD_FLAG_PIO, deassign = KVM_IOEVENTFD_FLAG_DEASSIGN;

	check_ok(ioeventfd(cpu->machine, 0x80, 2, fd, port, 0));
	check_error(ioeventfd(cpu->machine, 0x80, 2, other, port | deassign, 0), ENOENT);
	check_error(ioeventfd(cpu->machine, 0x80, 4, fd, port | deassign, 0), ENOENT);
	check_ok(ioeventfd(cpu->machine, 0x80, 2, fd, port | deassign, 0));
	check_error(ioeventfd(cpu->machine, 0x80, 2, fd, port | deassign, 0), ENOENT);
	cpu_run_to_out(cpu, 0x80);
	check_eq(cpu->run->io.size, 2);
	check_eq(drain(fd), 0);
	close(fd);
	close(other);
}

/* The VM keeps the eventfd itself, not the number. */
TEST(ioeventfd_outlives_the_descriptor)
{
	struct cpu *cpu = start(port_notify);
	int fd = new_eventfd(), copy = dup(fd);

	check_ok(ioeventfd(cpu->machine, 0x80, 2, fd, KVM_IOEVENTFD_FLAG_PIO, 0));
	close(fd);
	cpu_run_to_out(cpu, 0x80);
	check_eq(drain(copy), 2);
	close(copy);
}

TEST(ioeventfd_errors)
{
	struct machine *machine = machine_new(0);
	int fd = new_eventfd();

	REQUIRE_CAP(machine, KVM_CAP_IOEVENTFD);
	check_error(ioeventfd(machine, 0xd0000000, 3, fd, 0, 0), EINVAL);
	check_error(ioeventfd(machine, 0xd0000000, 16, fd, 0, 0), EINVAL);
	check_error(ioeventfd(machine, 0xffffffffffffffff, 8, fd, 0, 0), EINVAL);
	check_error(ioeventfd(machine, 0xd0000000, 4, fd, 1u << 31, 0), EINVAL);
	check_error(ioeventfd(machine, 0xd0000000, 4, -1, 0, 0), EBADF);
	check_error(ioeventfd(machine, 0xd0000000, 4, 0, 0, 0), EINVAL);
	check_error(ioeventfd(machine, 0xd0000000, 0, fd, KVM_IOEVENTFD_FLAG_DATAMATCH, 1), EINVAL);
	check_ok(ioeventfd(machine, 0xd0000000, 4, fd, 0, 0));
	check_error(ioeventfd(machine, 0xd0000000, 4, fd, 0, 0), EEXIST);
	check_error(ioeventfd(machine, 0xd0000000, 4, fd, KVM_IOEVENTFD_FLAG_DATAMATCH, 1), EEXIST);
	check_ok(ioeventfd(machine, 0xd0000000, 2, fd, 0, 0));
	check_error(kt_ioctl(machine->vm, KVM_IOEVENTFD, NULL), EFAULT);
	close(fd);
}
