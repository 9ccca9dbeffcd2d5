/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Random ioctls on the library's objects. An input is a row of calls: two bytes choose the ioctl and the object, then come its
 * value or the first bytes of its structure (the rest is zero). Nothing may crash, block or leak; results are a count or an
 * errno that an ioctl may have.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include "anykvm.h"
#include "fuzz.h"
#include "../tests/lib/ioctls.h"

#define VMS 2
#define VCPUS 3
#define MEMORY (1u << 20)
#define ARGUMENT 32768
#define CALLS_MAX 200

struct objects {
	struct anykvm_handle *sys, *vm[VMS], *vcpu[VCPUS];
};

static uint8_t *memory;

struct reader {
	const uint8_t *p, *end;
};

static uint8_t get8(struct reader *r)
{
	return r->p < r->end ? *r->p++ : 0;
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* Where a structure names memory of ours it must be ours: guests write there. */
static void tame(const struct ioctl_info *info, void *argument)
{
	switch (info->request) {
	case KVM_SET_USER_MEMORY_REGION: {
		struct kvm_userspace_memory_region *region = argument;

		region->userspace_addr = (uintptr_t)memory + (region->userspace_addr & 0xffff);
		if (region->memory_size > MEMORY / 2)
			region->memory_size &= MEMORY / 2 - 1;
		break;
	}
	case KVM_GET_DIRTY_LOG: ((struct kvm_dirty_log *)argument)->dirty_bitmap = memory; break;
	case KVM_CLEAR_DIRTY_LOG: ((struct kvm_clear_dirty_log *)argument)->dirty_bitmap = memory; break;
	case KVM_X86_SET_MSR_FILTER: {
		struct kvm_msr_filter *filter = argument;
		unsigned n;

		for (n = 0; n < KVM_MSR_FILTER_MAX_RANGES; n++) {
			filter->ranges[n].bitmap = memory;
			filter->ranges[n].nmsrs &= 0xffff;
		}
		break;
	}
	case KVM_SET_SIGNAL_MASK: {
		struct kvm_signal_mask *mask = argument;

		mask->len = 8; /* all signals pass: the alarm must */
		memset(mask->sigset, 0, 8);
		break;
	}
	default: break;
	}
}

static void check_result(const struct ioctl_info *info, long r)
{
	if (r < -133 || r == -ERANGE)
		fuzz_fail("%s: result %ld", info->name, r);
}

static struct anykvm_handle *object_of(struct objects *o, const struct ioctl_info *info, uint8_t which)
{
	switch (info->object) {
	case IOCTL_SYSTEM: return o->sys;
	case IOCTL_VM: return o->vm[which % VMS];
	default: return o->vcpu[which % VCPUS];
	}
}

/* Make, or close and make anew, a VM or a vCPU. */
static void renew(struct objects *o, uint8_t which)
{
	unsigned n = which >> 2;

	if (which & 1) {
		anykvm_close(o->vcpu[n % VCPUS]);
		o->vcpu[n % VCPUS] = NULL;
		if (o->vm[n % VMS] && anykvm_create_vcpu(o->vm[n % VMS], n % 5, &o->vcpu[n % VCPUS]) < 0)
			o->vcpu[n % VCPUS] = NULL;
	} else {
		anykvm_close(o->vm[n % VMS]);
		if (anykvm_create_vm(o->sys, 0, &o->vm[n % VMS]) < 0)
			o->vm[n % VMS] = NULL;
	}
}

static void set_alarm(unsigned ms)
{
	struct itimerval t = { .it_value.tv_usec = ms * 1000, .it_interval.tv_usec = ms * 1000 };

	setitimer(ITIMER_REAL, &t, NULL);
}

static void call(struct objects *o, struct reader *r)
{
	static uint8_t argument[ARGUMENT];
	uint8_t choice = get8(r), which = get8(r), len;
	const struct ioctl_info *info = &ioctl_table[choice % ioctl_count];
	struct anykvm_handle *h, *made = NULL;
	uint64_t value = 0;
	unsigned n;

	if (choice >= ioctl_count || info->makes_object) {
		renew(o, which);
		return;
	}
	h = object_of(o, info, which);
	if (!h)
		return;
	len = get8(r);
	memset(argument, 0, sizeof(argument));
	for (n = 0; n < len; n++)
		argument[n] = get8(r);
	memcpy(&value, argument, sizeof(value));
	if (info->request == KVM_RUN)
		set_alarm(5);
	if (info->direction == IOCTL_VALUE) {
		check_result(info, anykvm_ioctl_handle(h, info->request, (void *)(uintptr_t)value, &made));
	} else {
		tame(info, argument);
		check_result(info, anykvm_ioctl_handle(h, info->request, argument, &made));
	}
	set_alarm(0);
	anykvm_close(made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct anykvm_options options = { .size = sizeof(options) };
	struct sigaction a = { .sa_handler = on_alarm };
	struct reader r = { data, data + size };
	struct objects o = { 0 };
	unsigned n;

	if (!size)
		return -1;
	if (!memory) {
		memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			exit(1);
		sigaction(SIGALRM, &a, NULL);
	}
	options.engine = get8(&r) & 1 ? ANYKVM_ENGINE_INTERPRETER : ANYKVM_ENGINE_TRANSLATOR;
	if (anykvm_open(&options, &o.sys) < 0)
		exit(77);
	renew(&o, 0);
	renew(&o, 1);
	for (n = 0; n < CALLS_MAX && r.p < r.end; n++)
		call(&o, &r);
	for (n = 0; n < VCPUS; n++)
		anykvm_close(o.vcpu[n]);
	for (n = 0; n < VMS; n++)
		anykvm_close(o.vm[n]);
	anykvm_close(o.sys);
	return 0;
}
