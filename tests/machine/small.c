/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "small.h"

void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(1);
}

int small_open(const char *device)
{
	int sys = open(device, O_RDWR | O_CLOEXEC);

	must(sys >= 0, device);
	return sys;
}

int small_vm(int sys)
{
	int vm = ioctl(sys, KVM_CREATE_VM, 0);

	must(vm >= 0, "KVM_CREATE_VM");
	return vm;
}

int small_vcpu(int vm, unsigned int id)
{
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, id);

	must(vcpu >= 0, "KVM_CREATE_VCPU");
	return vcpu;
}

struct kvm_run *small_run(int sys, int vcpu)
{
	size_t size = (size_t)ioctl(sys, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	must(run != MAP_FAILED, "mmap of the vCPU");
	return run;
}

void small_slot(int vm, uint32_t nr, uint64_t gpa, void *at, uint64_t size, uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = nr, .guest_phys_addr = gpa, .userspace_addr = (uintptr_t)at, .memory_size = size, .flags = flags
	};

	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) == 0, "KVM_SET_USER_MEMORY_REGION");
}

void *small_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(memory != MAP_FAILED, "mmap");
	return memory;
}

static void flat(struct kvm_segment *s, uint8_t type)
{
	s->base = 0;
	s->limit = 0xffffffff;
	s->selector = 8;
	s->type = type;
	s->present = s->db = s->s = s->g = 1;
}

static struct kvm_sregs get_sregs(int vcpu)
{
	struct kvm_sregs s;

	must(ioctl(vcpu, KVM_GET_SREGS, &s) == 0, "KVM_GET_SREGS");
	return s;
}

static void set(int vcpu, const struct kvm_sregs *s, const struct kvm_regs *regs)
{
	must(ioctl(vcpu, KVM_SET_SREGS, s) == 0, "KVM_SET_SREGS");
	must(ioctl(vcpu, KVM_SET_REGS, regs) == 0, "KVM_SET_REGS");
}

void small_real(int vcpu, const struct kvm_regs *regs)
{
	struct kvm_sregs s = get_sregs(vcpu);

	s.cs.base = s.cs.selector = 0;
	set(vcpu, &s, regs);
}

void small_protected(int vcpu, const struct kvm_regs *regs)
{
	struct kvm_sregs s = get_sregs(vcpu);

	flat(&s.cs, 11);
	flat(&s.ds, 3);
	s.es = s.ss = s.ds;
	s.cr0 |= 1;
	set(vcpu, &s, regs);
}
