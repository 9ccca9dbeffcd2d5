/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Guests of Xen (KVM_CAP_XEN_HVM): hypercalls, event channels, time. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../lib/chips.h"
#include "../lib/guest.h"

#define SHARED 0x21000u
#define INFO (SHARED + 0x40) /* vcpu_info of Xen's vCPU 1 */
#define CALLS 0x22000u       /* the hypercall page */
#define RUNSTATE 0x23000u
#define TIME_INFO 0x23800u
#define CALLS_MSR 0x40000200u
#define VECTOR 0x60
#define GSI 20u
#define PRIORITY KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL

/* The shared page in the 64-bit layout. */
struct shared_info {
	uint8_t vcpu_info[0x800];
	uint64_t pending[64], mask[64];
	struct {
		uint32_t version, sec, nsec, sec_high;
	} wall;
};

struct vcpu_info {
	uint8_t upcall, masked, pad[6];
	uint64_t selector, arch[2];
	uint32_t version;
};

static struct shared_info *shared_of(struct cpu *cpu)
{
	return (struct shared_info *)(cpu->machine->mem + SHARED);
}

static struct vcpu_info *info_of(struct cpu *cpu)
{
	return (struct vcpu_info *)(cpu->machine->mem + INFO);
}

static int vm_attr(struct cpu *cpu, struct kvm_xen_hvm_attr attr)
{
	return kt_ioctl(cpu->machine->vm, KVM_XEN_HVM_SET_ATTR, &attr);
}

static int cpu_attr(struct cpu *cpu, struct kvm_xen_vcpu_attr attr)
{
	return kt_ioctl(cpu->kt, KVM_XEN_VCPU_SET_ATTR, &attr);
}

static void require(struct machine *machine, int flag)
{
	int flags = machine_cap(machine, KVM_CAP_XEN_HVM);

	if (flags < 0 || !(flags & flag))
		skip("the target has no KVM_CAP_XEN_HVM with flag %#x", (unsigned int)flag);
}

static struct cpu *xen_cpu(struct guest_code code)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_IRQCHIP), 0);
	struct kvm_xen_hvm_config config = { .flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL, .msr = CALLS_MSR };

	require(cpu->machine, KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL);
	if (machine_cap(cpu->machine, KVM_CAP_XEN_HVM) & KVM_XEN_HVM_CONFIG_EVTCHN_SEND)
		config.flags |= KVM_XEN_HVM_CONFIG_EVTCHN_SEND;
	check_ok(kt_ioctl(cpu->machine->vm, KVM_XEN_HVM_CONFIG, &config));
	guest_start(cpu, GUEST_LONG, code);
	return cpu;
}

/* With shared page, vcpu_info and upcall vector. */
static struct cpu *event_cpu(struct guest_code code, uint32_t handler)
{
	struct cpu *cpu = xen_cpu(code);

	require(cpu->machine, KVM_XEN_HVM_CONFIG_EVTCHN_SEND);
	check_ok(vm_attr(cpu, (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_LONG_MODE, .u.long_mode = 1 }));
	check_ok(vm_attr(cpu, (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_SHARED_INFO,
							 .u.shared_info.gfn = SHARED / PAGE_SIZE }));
	check_ok(
		vm_attr(cpu, (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, .u.vector = VECTOR }));
	check_ok(cpu_attr(cpu, (struct kvm_xen_vcpu_attr){ .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, .u.gpa = INFO }));
	guest_idt(cpu->machine, GUEST_LONG, VECTOR, handler);
	return cpu;
}

/* --- hypercalls ------------------------------------------------------------------------------------------------ */

GUEST(xen_call, 64,
      "mov ecx, 0x40000200\n mov eax, 0x22000\n xor edx, edx\n wrmsr\n"
      "mov edi, 11\n mov esi, 12\n mov edx, 13\n mov r10d, 14\n mov r8d, 15\n mov r9d, 16\n"
      "mov ebx, 0x22000 + 40 * 32\n call rbx\n mov rbx, rax\n" DONE
      "mov eax, 0x22001\n xor edx, edx\n mov ecx, 0x40000200\n wrmsr\n hlt\n");

TEST(xen_hypercall_is_user_spaces)
{
	struct cpu *cpu = xen_cpu(xen_call);
	const struct kvm_xen_exit *e = &cpu->run->xen;

	cpu_run_to(cpu, KVM_EXIT_XEN);
	check_eq(e->type, KVM_EXIT_XEN_HCALL);
	check_eq(e->u.hcall.longmode, 1);
	check_eq(e->u.hcall.cpl, 0);
	check_eq(e->u.hcall.input, 40);
	for (unsigned int i = 0; i < 6; i++)
		check_eq(e->u.hcall.params[i], 11 + i);
	cpu->run->xen.u.hcall.result = ~0ull - 37;
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, ~0ull - 37);
	/* mov eax, 127 in the last of the page's calls. */
	check_eq(cpu->machine->mem[CALLS + 127 * 32], 0xb8);
	check_eq(cpu->machine->mem[CALLS + 127 * 32 + 1], 127);
	/* There is one page. */
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
}

GUEST(xen_call_32, 32,
      "mov eax, 50\n mov ebx, 11\n mov ecx, 12\n mov edx, 13\n mov esi, 14\n mov edi, 15\n mov ebp, 16\n"
      ".byte 0x0f, 0x01, 0xd9\n" DONE "hlt\n");

TEST(xen_hypercall_of_a_32_bit_guest)
{
	struct cpu *cpu = xen_cpu(xen_call_32);
	const struct kvm_xen_exit *e = &cpu->run->xen;

	guest_start(cpu, GUEST_PROT, xen_call_32);
	cpu_run_to(cpu, KVM_EXIT_XEN);
	check_eq(e->u.hcall.longmode, 0);
	check_eq(e->u.hcall.input, 50);
	for (unsigned int i = 0; i < 6; i++)
		check_eq(e->u.hcall.params[i], 11 + i);
	cpu->run->xen.u.hcall.result = 7;
	cpu_run_to_done(cpu);
	check_eq((uint32_t)cpu_regs(cpu).rax, 7);
}

TEST(xen_hypercall_pages_of_user_space)
{
	struct cpu *cpu = xen_cpu(xen_call);
	uint8_t *page = host_memory(PAGE_SIZE);
	struct kvm_xen_hvm_config config = { .msr = CALLS_MSR, .blob_addr_64 = (uintptr_t)page, .blob_size_64 = 1 };

	/* mov rax, rdi; ret */
	memset(page, 0x90, PAGE_SIZE);
	memcpy(page + 40 * 32, (uint8_t[]){ 0x48, 0x89, 0xf8, 0xc3 }, 4);
	check_ok(kt_ioctl(cpu->machine->vm, KVM_XEN_HVM_CONFIG, &config));
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 11);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
}

TEST(xen_config_errors)
{
	struct cpu *cpu = xen_cpu(xen_call);
	struct kvm_xen_hvm_config config = { .flags = 0x80, .msr = CALLS_MSR };

	check_error(kt_ioctl(cpu->machine->vm, KVM_XEN_HVM_CONFIG, &config), EINVAL);
	config.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL;
	config.blob_size_32 = 1;
	check_error(kt_ioctl(cpu->machine->vm, KVM_XEN_HVM_CONFIG, &config), EINVAL);
}

/* --- attributes ------------------------------------------------------------------------------------------------- */

TEST(xen_attributes)
{
	struct cpu *cpu = xen_cpu(xen_call);
	struct kvm_xen_hvm_attr attr = { .type = KVM_XEN_ATTR_TYPE_SHARED_INFO };
	struct kvm_xen_vcpu_attr own = { .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO };

	require(cpu->machine, KVM_XEN_HVM_CONFIG_EVTCHN_SEND);
	check_ok(kt_ioctl(cpu->machine->vm, KVM_XEN_HVM_GET_ATTR, &attr));
	check_eq(attr.u.shared_info.gfn, ~0ull);
	check_ok(kt_ioctl(cpu->kt, KVM_XEN_VCPU_GET_ATTR, &own));
	check_eq(own.u.gpa, ~0ull);
	check_error(vm_attr(cpu, (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_LONG_MODE, .u.long_mode = 2 }),
		    EINVAL);
	check_error(vm_attr(cpu, (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, .u.vector = 15 }),
		    EINVAL);
	check_error(vm_attr(cpu, (struct kvm_xen_hvm_attr){ .type = 99 }), ENOENT);
	check_error(cpu_attr(cpu, (struct kvm_xen_vcpu_attr){ .type = 99 }), ENOENT);
	check_error(cpu_attr(cpu, (struct kvm_xen_vcpu_attr){ .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT,
							      .u.runstate.state = 4 }),
		    EINVAL);
	check_error(cpu_attr(cpu, (struct kvm_xen_vcpu_attr){ .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA,
							      .u.runstate.state_entry_time = 5 }),
		    EINVAL);
	own.type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST;
	check_error(kt_ioctl(cpu->kt, KVM_XEN_VCPU_GET_ATTR, &own), EINVAL);
	check_ok(vm_attr(cpu,
			 (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_XEN_VERSION, .u.xen_version = 0x4000e }));
	attr.type = KVM_XEN_ATTR_TYPE_XEN_VERSION;
	check_ok(kt_ioctl(cpu->machine->vm, KVM_XEN_HVM_GET_ATTR, &attr));
	check_eq(attr.u.xen_version, 0x4000e);
}

GUEST(xen_version, 64, "mov eax, 17\n xor edi, edi\n vmmcall\n mov rbx, rax\n" DONE "hlt\n");

TEST(xen_version_is_answered)
{
	struct cpu *cpu = xen_cpu(xen_version);

	require(cpu->machine, KVM_XEN_HVM_CONFIG_EVTCHN_SEND);
	check_ok(vm_attr(cpu,
			 (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_XEN_VERSION, .u.xen_version = 0x4000e }));
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 0x4000e);
}

/* --- event channels ------------------------------------------------------------------------------------------------ */

/* rbx counts upcalls; the handler takes them. */
GUEST(xen_wait, 64,
      "jmp 1f\n xen_wait_handler: inc rbx\n mov byte ptr [0x21040], 0\n mov qword ptr [0x21048], 0\n iretq\n"
      "1: sti\n nop\n 2: " DONE "jmp 2b\n");
GUEST_LABEL(xen_wait_handler);

static int send(struct cpu *cpu, uint32_t port)
{
	struct kvm_irq_routing_xen_evtchn event = { .port = port, .vcpu = 0, .priority = PRIORITY };

	return kt_ioctl(cpu->machine->vm, KVM_XEN_HVM_EVTCHN_SEND, &event);
}

TEST(xen_event_by_ioctl)
{
	struct cpu *cpu = event_cpu(xen_wait, GUEST_ADDRESS(xen_wait, xen_wait_handler));
	struct shared_info *shared = shared_of(cpu);

	check(shared->wall.version && !(shared->wall.version & 1));
	check(shared->wall.sec > 1000000000);
	check_error(send(cpu, 0), EINVAL);
	check_error(send(cpu, 4096), EINVAL);
	check_ok(send(cpu, 70));
	check_eq(shared->pending[1], 1ull << 6);
	check_eq(info_of(cpu)->upcall, 1);
	check_eq(info_of(cpu)->selector, 2);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 1);
	/* It is still pending: raised once. */
	check_ok(send(cpu, 70));
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 1);
	/* Masked: the bit alone. */
	shared->mask[0] = 1ull << 9;
	check_ok(send(cpu, 9));
	check_eq(shared->pending[0], 1ull << 9);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 1);
	check_eq(info_of(cpu)->upcall, 0);
	/* The clock of the vcpu_info is there. */
	check(info_of(cpu)->version && !(info_of(cpu)->version & 1));
	/* User space may ask for the upcall itself. */
	info_of(cpu)->upcall = 1;
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 2);
	/* Nowhere to put it. */
	check_ok(vm_attr(
		cpu, (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_SHARED_INFO, .u.shared_info.gfn = ~0ull }));
	check(send(cpu, 71) < 0);
}

static int route(struct machine *machine, uint32_t port, uint32_t priority)
{
	return irq_route(machine,
			 (struct kvm_irq_routing_entry){ .gsi = GSI,
							 .type = KVM_IRQ_ROUTING_XEN_EVTCHN,
							 .u.xen_evtchn = { .port = port, .priority = priority } });
}

TEST(xen_event_by_irqfd)
{
	struct cpu *cpu = event_cpu(xen_wait, GUEST_ADDRESS(xen_wait, xen_wait_handler));
	struct kvm_irqfd irqfd = { .gsi = GSI, .fd = (uint32_t)eventfd(0, EFD_NONBLOCK) };
	uint64_t one = 1;

	check_error(route(cpu->machine, 33, 7), EINVAL);
	check_ok(route(cpu->machine, 33, PRIORITY));
	check_ok(kt_ioctl(cpu->machine->vm, KVM_IRQFD, &irqfd));
	check_eq(write((int)irqfd.fd, &one, 8), 8);
	/* The guest reports each turn; the event comes when it comes. */
	while (!cpu_regs(cpu).rbx)
		cpu_run_to_done(cpu);
	check_eq(shared_of(cpu)->pending[0], 1ull << 33);
	check_eq(cpu_regs(cpu).rbx, 1);
}

/* EVTCHNOP_send of the port in [rsp]. */
GUEST(xen_send, 64,
      "jmp 1f\n xen_send_handler: inc rbx\n mov byte ptr [0x21040], 0\n mov qword ptr [0x21048], 0\n iretq\n"
      "1: sti\n push rcx\n mov rsi, rsp\n mov edi, 4\n mov eax, 32\n vmmcall\n mov rbp, rax\n pop rcx\n nop\n" DONE
      "jmp 1b\n");
GUEST_LABEL(xen_send_handler);

static struct kvm_xen_hvm_attr out_port(uint32_t send, uint32_t type, uint32_t flags, uint32_t port, int fd)
{
	struct kvm_xen_hvm_attr attr = { .type = KVM_XEN_ATTR_TYPE_EVTCHN };

	attr.u.evtchn.send_port = send;
	attr.u.evtchn.type = type;
	attr.u.evtchn.flags = flags;
	attr.u.evtchn.deliver.port.port = port;
	if (port)
		attr.u.evtchn.deliver.port.priority = PRIORITY;
	else
		attr.u.evtchn.deliver.eventfd.fd = fd;
	return attr;
}

#define IPI 5
#define INTERDOMAIN 2

TEST(xen_event_sent_by_the_guest)
{
	struct cpu *cpu = event_cpu(xen_send, GUEST_ADDRESS(xen_send, xen_send_handler));
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t count = 0;
	struct kvm_regs regs;

	check_ok(vm_attr(cpu, out_port(100, INTERDOMAIN, 0, 8, 0)));
	check_error(vm_attr(cpu, out_port(100, INTERDOMAIN, 0, 8, 0)), EEXIST);
	check_error(vm_attr(cpu, out_port(101, IPI, 0, 8, 0)), EINVAL);
	check_error(vm_attr(cpu, out_port(101, 4, 0, 8, 0)), EINVAL);
	check_error(vm_attr(cpu, out_port(0, INTERDOMAIN, 0, 8, 0)), EINVAL);
	check_error(vm_attr(cpu, out_port(101, INTERDOMAIN, KVM_XEN_EVTCHN_UPDATE, 8, 0)), ENOENT);
	check_error(vm_attr(cpu, out_port(100, INTERDOMAIN, KVM_XEN_EVTCHN_UPDATE, 9, 0)), EINVAL);
	check_ok(vm_attr(cpu, out_port(101, INTERDOMAIN, 0, 0, fd)));
	regs = cpu_regs(cpu);
	regs.rcx = 100;
	cpu_set_regs(cpu, &regs);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbp, 0);
	check_eq(cpu_regs(cpu).rbx, 1);
	check_eq(shared_of(cpu)->pending[0], 1ull << 8);
	regs = cpu_regs(cpu);
	regs.rcx = 101;
	cpu_set_regs(cpu, &regs);
	cpu_run_to_done(cpu);
	check_eq(read(fd, &count, 8), 8);
	check_eq(count, 1);
	check_ok(vm_attr(cpu, out_port(101, INTERDOMAIN, KVM_XEN_EVTCHN_DEASSIGN, 0, 0)));
	/* Now it is user space's. */
	cpu_run_to(cpu, KVM_EXIT_XEN);
	check_eq(cpu->run->xen.u.hcall.input, 32);
	check_ok(vm_attr(cpu, out_port(0, 0, KVM_XEN_EVTCHN_RESET, 0, 0)));
	check_error(vm_attr(cpu, out_port(100, INTERDOMAIN, KVM_XEN_EVTCHN_DEASSIGN, 0, 0)), ENOENT);
}

/* --- time -------------------------------------------------------------------------------------------------------------- */

#define TIMER_PORT 13u

static struct kvm_xen_vcpu_attr timer_attr(uint64_t expires)
{
	struct kvm_xen_vcpu_attr attr = { .type = KVM_XEN_VCPU_ATTR_TYPE_TIMER };

	attr.u.timer.port = TIMER_PORT;
	attr.u.timer.priority = PRIORITY;
	attr.u.timer.expires_ns = expires;
	return attr;
}

/* set_timer_op of rdi, then sleep until the upcall. */
GUEST(xen_timer, 64,
      "jmp 1f\n xen_timer_handler: inc rbx\n mov byte ptr [0x21040], 0\n mov qword ptr [0x21048], 0\n iretq\n"
      "1: mov eax, 15\n vmmcall\n mov rbp, rax\n 2: sti\n hlt\n cli\n test rbx, rbx\n jz 2b\n" DONE "hlt\n");
GUEST_LABEL(xen_timer_handler);

TEST(xen_timer)
{
	struct cpu *cpu = event_cpu(xen_timer, GUEST_ADDRESS(xen_timer, xen_timer_handler));
	struct kvm_xen_vcpu_attr attr = timer_attr(0);
	struct kvm_clock_data clock;
	struct kvm_regs regs = cpu_regs(cpu);

	check_ok(cpu_attr(cpu, timer_attr(0)));
	check_ok(kt_ioctl(cpu->machine->vm, KVM_GET_CLOCK, &clock));
	regs.rdi = clock.clock + 2000000;
	cpu_set_regs(cpu, &regs);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbp, 0);
	check_eq(shared_of(cpu)->pending[0], 1ull << TIMER_PORT);
	check_ok(kt_ioctl(cpu->kt, KVM_XEN_VCPU_GET_ATTR, &attr));
	check_eq(attr.u.timer.port, TIMER_PORT);
	check_eq(attr.u.timer.expires_ns, 0);
	check_ok(kt_ioctl(cpu->machine->vm, KVM_GET_CLOCK, &clock));
	check(clock.clock >= regs.rdi);
	check_ok(cpu_attr(cpu, timer_attr(clock.clock + 1000000000000ull)));
	check_ok(kt_ioctl(cpu->kt, KVM_XEN_VCPU_GET_ATTR, &attr));
	check_eq(attr.u.timer.expires_ns, clock.clock + 1000000000000ull);
}

/* SCHEDOP_poll for the masked port of the timer, with interrupts off. */
GUEST(xen_poll, 64,
      "push 13\n mov rax, rsp\n push 0\n push 1\n push rax\n mov rsi, rsp\n mov edi, 3\n mov eax, 29\n vmmcall\n mov "
      "rbx, rax\n" DONE "mov rax, [0x23000]\n mov [rsi + 16], rax\n mov dword ptr [rsi + 24], 14\n mov eax, 29\n "
      "vmmcall\n mov rbx, rax\n" DONE "hlt\n");

TEST(xen_poll_for_a_port)
{
	struct cpu *cpu = event_cpu(xen_poll, GUEST_CODE);
	struct shared_info *shared = shared_of(cpu);
	struct kvm_clock_data clock;

	shared->mask[0] = ~0ull;
	check_ok(kt_ioctl(cpu->machine->vm, KVM_GET_CLOCK, &clock));
	check_ok(cpu_attr(cpu, timer_attr(clock.clock + 20000000)));
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 0);
	check_eq(shared->pending[0], 1ull << TIMER_PORT);
	check_eq(info_of(cpu)->upcall, 0);
	/* A time out, for a port that never comes. */
	check_ok(kt_ioctl(cpu->machine->vm, KVM_GET_CLOCK, &clock));
	*(uint64_t *)(cpu->machine->mem + RUNSTATE) = clock.clock + 2000000;
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 0);
	check_eq(shared->pending[0], 1ull << TIMER_PORT);
}

struct runstate {
	uint32_t state, pad;
	uint64_t entered, times[4];
};

TEST(xen_run_states)
{
	struct cpu *cpu = event_cpu(xen_wait, GUEST_ADDRESS(xen_wait, xen_wait_handler));
	volatile struct runstate *rs = (volatile struct runstate *)(cpu->machine->mem + RUNSTATE);
	struct kvm_xen_vcpu_attr attr = { .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, .u.gpa = RUNSTATE };

	require(cpu->machine, KVM_XEN_HVM_CONFIG_RUNSTATE);
	check_ok(cpu_attr(cpu, attr));
	attr.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO;
	attr.u.gpa = TIME_INFO;
	check_ok(cpu_attr(cpu, attr));
	cpu_run_to_done(cpu);
	check_eq(rs->state, 0);
	check_eq(rs->entered, rs->times[0] + rs->times[1] + rs->times[2] + rs->times[3]);
	check(*(uint32_t *)(cpu->machine->mem + TIME_INFO) != 0);
	/* User space lets it sleep for a while. */
	attr = (struct kvm_xen_vcpu_attr){ .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT, .u.runstate.state = 2 };
	check_ok(cpu_attr(cpu, attr));
	check_eq(rs->state, 2);
	cpu_run_to_done(cpu);
	check_eq(rs->state, 0);
	check(rs->times[2] > 0);
	attr = (struct kvm_xen_vcpu_attr){ .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA };
	attr.u.runstate.state_entry_time = 30;
	attr.u.runstate.time_blocked = 10;
	attr.u.runstate.time_offline = 20;
	check_ok(cpu_attr(cpu, attr));
	check_eq(rs->times[3], 20);
	attr.type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST;
	attr.u.runstate.state = ~0ull;
	check_ok(cpu_attr(cpu, attr));
	check_eq(rs->times[3], 40);
	check_eq(rs->entered, 60);
}
