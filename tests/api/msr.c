/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* MSRs as the guest sees them: faults, user-space exits, filters. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/guest.h"

GUEST(read_unknown, 64, "mov ecx, 0x12345678\n rdmsr\n" DONE);
GUEST(write_unknown, 64, "mov ecx, 0x12345678\n mov eax, 0x11223344\n mov edx, 0x55667788\n wrmsr\n" DONE);

static struct cpu *start(struct guest_code code)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, code);
	guest_log(cpu->machine)->skip = 2;
	return cpu;
}

TEST(msr_unknown_faults)
{
	struct cpu *cpu = start(read_unknown);

	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
	check_eq(guest_log(cpu->machine)->event[0].rip, GUEST_CODE + 5);
	cpu_run_to_done(cpu);
}

static void user_space_msrs(struct cpu *cpu, uint64_t reasons)
{
	REQUIRE_CAP(cpu->machine, KVM_CAP_X86_USER_SPACE_MSR);
	machine_enable_cap(cpu->machine, KVM_CAP_X86_USER_SPACE_MSR, reasons);
}

TEST(msr_read_by_user_space)
{
	struct cpu *cpu = start(read_unknown);
	struct kvm_regs regs;

	user_space_msrs(cpu, KVM_MSR_EXIT_REASON_UNKNOWN);
	cpu_run_to(cpu, KVM_EXIT_X86_RDMSR);
	check_eq(cpu->run->msr.index, 0x12345678);
	check_eq(cpu->run->msr.reason, KVM_MSR_EXIT_REASON_UNKNOWN);
	cpu->run->msr.data = 0x1122334455667788;
	cpu->run->msr.error = 0;
	cpu_run_to_done(cpu);
	regs = cpu_regs(cpu);
	check_eq(regs.rax, 0x55667788);
	check_eq(regs.rdx, 0x11223344);
}

TEST(msr_read_refused_by_user_space)
{
	struct cpu *cpu = start(read_unknown);

	user_space_msrs(cpu, KVM_MSR_EXIT_REASON_UNKNOWN);
	cpu_run_to(cpu, KVM_EXIT_X86_RDMSR);
	cpu->run->msr.error = 1;
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
	check_eq(guest_log(cpu->machine)->event[0].rip, GUEST_CODE + 5);
}

TEST(msr_written_to_user_space)
{
	struct cpu *cpu = start(write_unknown);

	user_space_msrs(cpu, KVM_MSR_EXIT_REASON_UNKNOWN);
	cpu_run_to(cpu, KVM_EXIT_X86_WRMSR);
	check_eq(cpu->run->msr.index, 0x12345678);
	check_eq(cpu->run->msr.data, 0x5566778811223344);
	cpu->run->msr.error = 0;
	cpu_run_to_done(cpu);
	check_eq(guest_log(cpu->machine)->count, 0);
}

TEST(msr_user_space_cap_errors)
{
	struct machine *machine = machine_new(0);
	struct kvm_enable_cap enable = { .cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { 1u << 20 } };

	REQUIRE_CAP(machine, KVM_CAP_X86_USER_SPACE_MSR);
	check_error(kt_ioctl(machine->vm, KVM_ENABLE_CAP, &enable), EINVAL);
}

GUEST(star_access, 64, "mov ecx, 0xc0000082\n mov eax, 0x1000\n xor edx, edx\n wrmsr\n rdmsr\n out 0x80, eax\n" DONE);

/* A filter over one MSR: a clear bit denies. */
static struct kvm_msr_filter deny_one(uint32_t index, uint8_t *bitmap, uint32_t flags)
{
	struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_ALLOW };

	filter.ranges[0] = (struct kvm_msr_filter_range){
		.flags = flags,
		.nmsrs = 8,
		.base = index,
		.bitmap = bitmap,
	};
	return filter;
}

TEST(msr_filter_faults)
{
	struct cpu *cpu = start(star_access);
	uint8_t bitmap[1] = { 0xfe };
	struct kvm_msr_filter filter = deny_one(0xc0000082, bitmap, KVM_MSR_FILTER_WRITE);

	REQUIRE_CAP(cpu->machine, KVM_CAP_X86_MSR_FILTER);
	check_ok(kt_ioctl(cpu->machine->vm, KVM_X86_SET_MSR_FILTER, &filter));
	/* The write faults, the read does not. */
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
	check_eq(cpu_run_to_out(cpu, 0x80), 0);
	cpu_run_to_done(cpu);
	/* User space's own access is not filtered. */
	check_eq(cpu_set_msr(cpu, 0xc0000082, 0x77), 1);
}

TEST(msr_filter_exits)
{
	struct cpu *cpu = start(star_access);
	uint8_t bitmap[1] = { 0xfe };
	struct kvm_msr_filter filter = deny_one(0xc0000082, bitmap, KVM_MSR_FILTER_READ);

	REQUIRE_CAP(cpu->machine, KVM_CAP_X86_MSR_FILTER);
	user_space_msrs(cpu, KVM_MSR_EXIT_REASON_FILTER);
	check_ok(kt_ioctl(cpu->machine->vm, KVM_X86_SET_MSR_FILTER, &filter));
	cpu_run_to(cpu, KVM_EXIT_X86_RDMSR);
	check_eq(cpu->run->msr.reason, KVM_MSR_EXIT_REASON_FILTER);
	check_eq(cpu->run->msr.index, 0xc0000082);
	cpu->run->msr.data = 0xabcd;
	check_eq(cpu_run_to_out(cpu, 0x80), 0xabcd);
	/* An empty, default-allow filter takes it away. */
	memset(&filter, 0, sizeof(filter));
	check_ok(kt_ioctl(cpu->machine->vm, KVM_X86_SET_MSR_FILTER, &filter));
	cpu_run_to_done(cpu);
}

TEST(msr_filter_errors)
{
	struct machine *machine = machine_new(0);
	uint8_t bitmap[1] = { 0 };
	struct kvm_msr_filter filter = { .flags = 1u << 10 };

	REQUIRE_CAP(machine, KVM_CAP_X86_MSR_FILTER);
	check_error(kt_ioctl(machine->vm, KVM_X86_SET_MSR_FILTER, &filter), EINVAL);
	filter = deny_one(0xc0000082, bitmap, 1u << 10);
	check_error(kt_ioctl(machine->vm, KVM_X86_SET_MSR_FILTER, &filter), EINVAL);
	filter = deny_one(0xc0000082, NULL, KVM_MSR_FILTER_READ);
	check_error(kt_ioctl(machine->vm, KVM_X86_SET_MSR_FILTER, &filter), EFAULT);
	filter = deny_one(0xc0000082, bitmap, KVM_MSR_FILTER_READ);
	filter.ranges[0].nmsrs = 0x10000;
	check_error(kt_ioctl(machine->vm, KVM_X86_SET_MSR_FILTER, &filter), EINVAL);
	/* Denying everything without a range makes no sense. */
	memset(&filter, 0, sizeof(filter));
	filter.flags = KVM_MSR_FILTER_DEFAULT_DENY;
	check_error(kt_ioctl(machine->vm, KVM_X86_SET_MSR_FILTER, &filter), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_X86_SET_MSR_FILTER, NULL), EFAULT);
}

GUEST(tsc_reads, 64,
      "rdtsc\n shl rdx, 32\n or rax, rdx\n mov [0x9000], rax\n"
      "rdtsc\n shl rdx, 32\n or rax, rdx\n mov [0x9008], rax\n"
      "mov ecx, 0x10\n rdmsr\n shl rdx, 32\n or rax, rdx\n mov [0x9010], rax\n" DONE);

TEST(msr_tsc_is_monotonic)
{
	struct cpu *cpu = start(tsc_reads);
	uint64_t *seen = (uint64_t *)(cpu->machine->mem + GUEST_DATA), later;

	check_eq(cpu_set_msr(cpu, 0x10, 1ull << 50), 1);
	cpu_run_to_done(cpu);
	check(seen[0] >= 1ull << 50);
	check(seen[1] > seen[0]);
	check(seen[2] > seen[1]);
	check_eq(cpu_get_msr(cpu, 0x10, &later), 1);
	check(later > seen[2]);
}

GUEST(swapgs_guest, 64,
      "mov ecx, 0xc0000102\n mov eax, 0x9000\n xor edx, edx\n wrmsr\n swapgs\n"
      "mov eax, gs:[0]\n out 0x80, eax\n mov ecx, 0xc0000101\n rdmsr\n out 0x81, eax\n" DONE);

TEST(y2006_fs_gs_and_msr_state)
{
	struct cpu *cpu = start(swapgs_guest);
	uint64_t value;

	*(uint32_t *)(cpu->machine->mem + GUEST_DATA) = 0xfeed;
	check_eq(cpu_run_to_out(cpu, 0x80), 0xfeed);
	check_eq(cpu_run_to_out(cpu, 0x81), 0x9000);
	cpu_run_to_done(cpu);
	check_eq(cpu_get_msr(cpu, 0xc0000101, &value), 1);
	check_eq(value, 0x9000);
	check_eq(cpu_get_msr(cpu, 0xc0000102, &value), 1);
	check_eq(value, 0);
	check_eq(cpu_sregs(cpu).gs.base, 0x9000);
}

#define MSR_XSS 0xda0

/* XSAVES is there with no supervisor component. */
GUEST(msr_xsaves, 64,
      "mov rax, cr4\n or eax, 0x40600\n mov cr4, rax\n"
      "xor ecx, ecx\n xor edx, edx\n mov eax, 3\n xsetbv\n"
      "mov ecx, 0xda0\n xor eax, eax\n xor edx, edx\n wrmsr\n rdmsr\n mov ebx, eax\n or ebx, edx\n"
      "mov eax, 0x12345678\n movd xmm3, eax\n mov eax, -1\n mov edx, -1\n"
      "mov edi, 0x21000\n xsaves [rdi]\n"
      "pxor xmm3, xmm3\n xrstors [rdi]\n movd ebp, xmm3\n" DONE
      "mov ecx, 0xda0\n mov eax, 1\n xor edx, edx\n wrmsr\n hlt\n");

TEST(msr_xss)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_cpuid2 *cpuid = cpuid_supported(cpu->machine);
	struct kvm_cpuid_entry2 *xsave = cpuid_find(cpuid, 0xd, 1);
	uint64_t header[2];

	if (!xsave || !(xsave->eax & 8))
		skip("the target has no XSAVES");
	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid));
	guest_start(cpu, GUEST_LONG, msr_xsaves);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 0);
	check_eq(cpu_regs(cpu).rbp, 0x12345678);
	memcpy(header, cpu->machine->mem + 0x21000 + 512, sizeof(header));
	check_eq(header[0] & 2, 2);
	check_eq(header[1], 1ull << 63 | 3); /* compacted */
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
	check_eq(cpu_set_msr(cpu, MSR_XSS, 0), 1);
	check_eq(cpu_set_msr(cpu, MSR_XSS, 1), 0);
}

/* Automatic IBRS: EFER's bit 21, where CPUID says so, which engines in software do whatever the host is. */
GUEST(automatic_ibrs, 64,
      "mov ecx, 0xc0000080\n rdmsr\n or eax, 0x200000\n wrmsr\n"
      "xor eax, eax\n rdmsr\n and eax, 0x200000\n mov [0x9000], eax\n" DONE);

static struct cpu *with_automatic_ibrs(struct machine *machine, bool on)
{
	struct kvm_cpuid2 *cpuid = cpuid_supported(machine);
	struct kvm_cpuid_entry2 *leaf = cpuid_find(cpuid, 0x80000021, 0);
	struct cpu *cpu;

	if (!leaf || !(leaf->eax & 1u << 8))
		skip("no automatic IBRS here");
	if (!on)
		leaf->eax &= ~(1u << 8);
	cpu = cpu_new(machine, 0);
	check_eq(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid), 0);
	guest_start(cpu, GUEST_LONG, automatic_ibrs);
	return cpu;
}

TEST(efer_has_automatic_ibrs)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = with_automatic_ibrs(machine, true);

	cpu_run_to_done(cpu);
	check_eq(*(uint32_t *)(machine->mem + 0x9000), 1u << 21);
	check(cpu_sregs(cpu).efer & 1u << 21);
}

TEST(efer_has_automatic_ibrs_only_by_cpuid)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = with_automatic_ibrs(machine, false);

	guest_log(machine)->skip = 2;
	cpu_run_to_out(cpu, PORT_EVENT);
	check_eq(guest_log(machine)->event[0].vector, 13);
	check(!(cpu_sregs(cpu).efer & 1u << 21));
}

/* --- CPUID faulting ------------------------------------------------------------------------------------------- */

GUEST(cpuid_at_any_level, 64, "xor eax, eax\n cpuid\n mov esi, ebx\n" DONE "hlt\n");

TEST(cpuid_faulting)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	uint64_t info = 0;

	/* Off by default here, on in Linux. */
	check_eq(cpu_set_msr(cpu, 0xce, 1ull << 31), 1);
	check_eq(cpu_get_msr(cpu, 0xce, &info), 1);
	check_eq(info, 1ull << 31);
	check_eq(cpu_set_msr(cpu, 0x140, 2), 0);
	check_eq(cpu_set_msr(cpu, 0x140, 1), 1);
	/* Not taken away while it is used. */
	check_eq(cpu_set_msr(cpu, 0xce, 0), 0);
	guest_start(cpu, GUEST_LONG, cpuid_at_any_level);
	cpu_run_to_done(cpu);
	check(cpu_regs(cpu).rsi);
	guest_start(cpu, GUEST_LONG, cpuid_at_any_level);
	guest_enter_user(cpu);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
	check_eq(guest_log(cpu->machine)->event[0].rip, GUEST_CODE + 2);
	check_eq(guest_log(cpu->machine)->event[0].error, 0);
	check_eq(cpu_set_msr(cpu, 0x140, 0), 1);
	check_eq(cpu_set_msr(cpu, 0xce, 0), 1);
	check_eq(cpu_set_msr(cpu, 0x140, 1), 0);
	/* Turned off: only the OUT faults. */
	guest_start(cpu, GUEST_LONG, cpuid_at_any_level);
	guest_enter_user(cpu);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
	check(guest_log(cpu->machine)->event[1].rip > GUEST_CODE + 4);
}
