/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A 32-bit program: the ioctls whose structures hold pointers, and KVM_RUN with what it shares.
 * usage: compat32 DEVICE
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define MEMORY 0x10000
#define PAGES (MEMORY / 4096)
#define MSR_SYSENTER_CS 0x174

_Static_assert(sizeof(void *) == 4, "build with -m32");

static int checks;

static void must(int ok, const char *what)
{
	checks++;
	if (ok)
		return;
	fprintf(stderr, "compat32: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* 1: inc byte [0x5000]; mov ecx, MSR_SYSENTER_CS; rdmsr; hlt; jmp 1b, in real mode. */
static const uint8_t code[] = {
	0xfe, 0x06, 0x00, 0x50, 0x66, 0xb9, 0x74, 0x01, 0x00, 0x00, 0x0f, 0x32, 0xf4, 0xeb, 0xf1
};

static int make_vm(int sys, uint8_t *mem)
{
	struct kvm_userspace_memory_region region = { .memory_size = MEMORY, .flags = KVM_MEM_LOG_DIRTY_PAGES };
	struct kvm_enable_cap manual = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 1 } };
	int vm = ioctl(sys, KVM_CREATE_VM, 0);

	must(vm >= 0, "KVM_CREATE_VM");
	must(ioctl(vm, KVM_ENABLE_CAP, &manual) == 0, "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
	memcpy(mem + 0x1000, code, sizeof(code));
	region.userspace_addr = (uintptr_t)mem;
	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) == 0, "KVM_SET_USER_MEMORY_REGION");
	return vm;
}

static int make_vcpu(int vm)
{
	struct kvm_regs regs = { .rip = 0x1000, .rflags = 2 };
	struct kvm_sregs sregs;
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);

	must(vcpu >= 0, "KVM_CREATE_VCPU");
	must(ioctl(vcpu, KVM_GET_SREGS, &sregs) == 0, "KVM_GET_SREGS");
	sregs.cs.base = sregs.cs.selector = 0;
	must(ioctl(vcpu, KVM_SET_SREGS, &sregs) == 0, "KVM_SET_SREGS");
	must(ioctl(vcpu, KVM_SET_REGS, &regs) == 0, "KVM_SET_REGS");
	return vcpu;
}

/* The bitmap lies in the middle of others' memory, and the unused half of the pointer's place is not zero. */
static uint64_t dirty(int vm)
{
	uint64_t bitmap[3] = { ~0ull, 0, ~0ull };
	struct kvm_dirty_log log = { .padding2 = ~0ull };

	log.dirty_bitmap = &bitmap[1];
	must(ioctl(vm, KVM_GET_DIRTY_LOG, &log) == 0, "KVM_GET_DIRTY_LOG");
	must(bitmap[0] == ~0ull && bitmap[2] == ~0ull, "the bitmap's neighbours");
	return bitmap[1];
}

static void clear(int vm, uint64_t pages)
{
	struct kvm_clear_dirty_log log = { .num_pages = PAGES, .padding2 = ~0ull };

	log.dirty_bitmap = &pages;
	must(ioctl(vm, KVM_CLEAR_DIRTY_LOG, &log) == 0, "KVM_CLEAR_DIRTY_LOG");
}

static void filter(int vm)
{
	static uint8_t none[1];
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { KVM_MSR_EXIT_REASON_FILTER } };
	struct kvm_msr_filter f = { .flags = KVM_MSR_FILTER_DEFAULT_ALLOW };

	f.ranges[15].flags = KVM_MSR_FILTER_READ;
	f.ranges[15].nmsrs = 1;
	f.ranges[15].base = MSR_SYSENTER_CS;
	f.ranges[15].bitmap = none;
	must(ioctl(vm, KVM_ENABLE_CAP, &cap) == 0, "KVM_CAP_X86_USER_SPACE_MSR");
	must(ioctl(vm, KVM_X86_SET_MSR_FILTER, &f) == 0, "KVM_X86_SET_MSR_FILTER");
}

static void run_to_rdmsr(int vcpu, struct kvm_run *run)
{
	must(ioctl(vcpu, KVM_RUN, 0) == 0, "KVM_RUN");
	must(run->exit_reason == KVM_EXIT_X86_RDMSR && run->msr.index == MSR_SYSENTER_CS, "the MSR is filtered");
	run->msr.error = 0;
	run->msr.data = 0x12345678;
	must(ioctl(vcpu, KVM_RUN, 0) == 0, "KVM_RUN");
	must(run->exit_reason == KVM_EXIT_HLT, "the guest halts");
}

static void handler(int number)
{
}

static void signals(int vcpu)
{
	struct {
		uint32_t len;
		uint64_t set;
	} __attribute__((packed)) mask = { 8, 0 };
	sigset_t block;

	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &block, NULL) == 0, "sigprocmask");
	must(raise(SIGUSR1) == 0, "raise");
	must(ioctl(vcpu, KVM_SET_SIGNAL_MASK, &mask) == 0, "KVM_SET_SIGNAL_MASK");
	must(ioctl(vcpu, KVM_RUN, 0) == -1 && errno == EINTR, "a signal that only the mask lets through");
	mask.set = 1ull << (SIGUSR1 - 1);
	must(ioctl(vcpu, KVM_SET_SIGNAL_MASK, &mask) == 0, "KVM_SET_SIGNAL_MASK");
}

int main(int argc, char **argv)
{
	struct kvm_regs regs;
	struct kvm_run *run;
	int sys, vm, vcpu;
	uint8_t *mem;

	must(argc == 2, "usage: compat32 DEVICE");
	signal(SIGUSR1, handler);
	sys = open(argv[1], O_RDWR);
	must(sys >= 0, argv[1]);
	mem = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(mem != MAP_FAILED, "mmap");
	vm = make_vm(sys, mem);
	vcpu = make_vcpu(vm);
	run = mmap(NULL, ioctl(sys, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	must(run != MAP_FAILED, "mmap");
	filter(vm);
	run_to_rdmsr(vcpu, run);
	must(ioctl(vcpu, KVM_GET_REGS, &regs) == 0 && (uint32_t)regs.rax == 0x12345678, "the MSR's value");
	must(mem[0x5000] == 1 && dirty(vm) == 1 << 5, "the page is logged");
	must(dirty(vm) == 1 << 5, "the log is cleared on request only");
	clear(vm, 1 << 5);
	must(dirty(vm) == 0, "the log is clear");
	run_to_rdmsr(vcpu, run);
	must(mem[0x5000] == 2 && dirty(vm) == 1 << 5, "the page is logged again");
	signals(vcpu);
	run_to_rdmsr(vcpu, run);
	printf("%d passed, 0 failed, 0 skipped\n", checks);
	return 0;
}
