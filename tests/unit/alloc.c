/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The n-th allocation fails, for all n: VM, chips, vCPUs, slots, routes and irqfds either come into being
 * or fail with ENOMEM and leave nothing behind.
 */
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "unit.h"
#include "posix.h"
#include "anykvm.h"

#define GUEST_SIZE (16 * 4096)
#define MAX_ALLOCATIONS 1000

static void *guest;
static int event;

struct parts {
	struct anykvm_handle *sys, *vm, *vcpu[2];
};

static int make_vm(struct parts *p, bool split)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_pit_config pit = { 0 };
	int ret = anykvm_create_vm(p->sys, 0, &p->vm);

	if (ret)
		return ret;
	if (split)
		return anykvm_ioctl(p->vm, KVM_ENABLE_CAP, &cap);
	ret = anykvm_ioctl(p->vm, KVM_CREATE_IRQCHIP, NULL);
	return ret ? ret : anykvm_ioctl(p->vm, KVM_CREATE_PIT2, &pit);
}

static int make_slot(struct parts *p)
{
	struct kvm_userspace_memory_region r = {
		.memory_size = GUEST_SIZE,
		.userspace_addr = (u64)guest,
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
	};
	int ret = anykvm_ioctl(p->vm, KVM_SET_USER_MEMORY_REGION, &r);

	if (ret)
		return ret;
	r.guest_phys_addr = 1 << 20; /* moved */
	return anykvm_ioctl(p->vm, KVM_SET_USER_MEMORY_REGION, &r);
}

static int make_routes(struct parts *p)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry e[1];
	} routes = { .head.nr = 1, .e = { { .gsi = 30, .type = KVM_IRQ_ROUTING_MSI } } };
	struct kvm_irqfd irqfd = { .fd = (u32)event, .gsi = 30 };
	struct kvm_ioeventfd io = { .addr = 0x500, .len = 4, .fd = event, .flags = KVM_IOEVENTFD_FLAG_PIO };
	int ret = anykvm_ioctl(p->vm, KVM_SET_GSI_ROUTING, &routes);

	if (!ret)
		ret = anykvm_ioctl(p->vm, KVM_IRQFD, &irqfd);
	if (!ret)
		ret = anykvm_ioctl(p->vm, KVM_IOEVENTFD, &io);
	return ret;
}

static int make_vcpus(struct parts *p)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 e[100];
	} cpuid = { .head.nent = 100 };
	unsigned i;
	int ret = anykvm_ioctl(p->sys, KVM_GET_SUPPORTED_CPUID, &cpuid);

	for (i = 0; !ret && i < 2; i++) {
		ret = anykvm_create_vcpu(p->vm, i, &p->vcpu[i]);
		if (!ret)
			ret = anykvm_ioctl(p->vcpu[i], KVM_SET_CPUID2, &cpuid);
	}
	return ret;
}

static int make_all(struct parts *p, bool split)
{
	int ret = anykvm_open(NULL, &p->sys);

	if (!ret)
		ret = make_vm(p, split);
	if (!ret)
		ret = make_slot(p);
	if (!ret)
		ret = make_vcpus(p);
	if (!ret)
		ret = make_routes(p);
	return ret;
}

static void free_all(struct parts *p)
{
	anykvm_close(p->vm);
	anykvm_close(p->sys);
	anykvm_close(p->vcpu[1]);
	anykvm_close(p->vcpu[0]);
}

static void fail_each(bool split)
{
	unsigned n, failures = 0;
	int ret;

	for (n = 1; n < MAX_ALLOCATIONS; n++) {
		struct parts p = { 0 };

		host_fail_alloc(n);
		ret = make_all(&p, split);
		host_fail_alloc(0);
		/* Nothing is half made: what was refused can be freed with the rest. */
		free_all(&p);
		if (!ret)
			break;
		expect_error(ret, ENOMEM);
		failures++;
	}
	expect_true(n < MAX_ALLOCATIONS);
	expect_true(failures > 10);
}

static void kernel_irqchip(void **state)
{
	fail_each(false);
}

static void split_irqchip(void **state)
{
	fail_each(true);
}

/* An allocation that failed does not spoil the VM: the same call works the next time. */
static void retry(void **state)
{
	unsigned n;

	for (n = 1; n < MAX_ALLOCATIONS; n++) {
		struct parts p = { 0 };
		int ret;

		expect_eq(anykvm_open(NULL, &p.sys), 0);
		expect_eq(make_vm(&p, false), 0);
		expect_eq(make_slot(&p), 0);
		host_fail_alloc(n);
		ret = anykvm_create_vcpu(p.vm, 0, &p.vcpu[0]);
		host_fail_alloc(0);
		if (ret) {
			expect_error(ret, ENOMEM);
			expect_true(!p.vcpu[0]);
			expect_eq(anykvm_create_vcpu(p.vm, 0, &p.vcpu[0]), 0);
		}
		free_all(&p);
		if (!ret)
			break;
	}
	expect_true(n > 3 && n < MAX_ALLOCATIONS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_irqchip),
		cmocka_unit_test(split_irqchip),
		cmocka_unit_test(retry),
	};

	guest = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	event = eventfd(0, EFD_NONBLOCK);
	return cmocka_run_group_tests_name("allocation", tests, NULL, NULL);
}
