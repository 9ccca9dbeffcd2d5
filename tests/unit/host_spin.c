/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A guest that spins gives its turn to another vCPU that runs, and to nobody if there is none. */
#include <sched.h>
#include <sys/mman.h>
#include "unit.h"
#include "posix.h"
#include "anykvm.h"
#include "host_tests.h"

#define GUEST_SIZE 4096
#define PAUSES 2048

static unsigned yields;

int sched_yield(void)
{
	__atomic_fetch_add(&yields, 1, __ATOMIC_RELAXED);
	return 0;
}

static void start_at_zero(struct anykvm_handle *vcpu)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rcx = PAUSES, .rflags = 2 };

	assert_int_equal(anykvm_ioctl(vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.selector = 0;
	sregs.cs.base = 0;
	assert_int_equal(anykvm_ioctl(vcpu, KVM_SET_SREGS, &sregs), 0);
	assert_int_equal(anykvm_ioctl(vcpu, KVM_SET_REGS, &regs), 0);
}

/* How often the first of the vCPUs yields while it spins. */
static unsigned spin(unsigned nr_vcpus, bool chips)
{
	static const u8 code[] = { 0xf3, 0x90, 0xe2, 0xfc, 0xe6, 0x80 }; /* pause; loop; out 0x80, al */
	u8 *guest = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region ram = { .memory_size = GUEST_SIZE, .userspace_addr = (u64)guest };
	struct anykvm_handle *sys, *vm, *vcpu[2];
	const struct kvm_run *run;
	unsigned i, before;
	size_t size;

	assert_true(guest != MAP_FAILED);
	memcpy(guest, code, sizeof(code));
	assert_int_equal(anykvm_open(NULL, &sys), 0);
	assert_int_equal(anykvm_create_vm(sys, 0, &vm), 0);
	assert_int_equal(anykvm_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &ram), 0);
	if (chips)
		assert_int_equal(anykvm_ioctl(vm, KVM_CREATE_IRQCHIP, NULL), 0);
	for (i = 0; i < nr_vcpus; i++)
		assert_int_equal(anykvm_create_vcpu(vm, i, &vcpu[i]), 0);
	run = anykvm_map(vcpu[0], &size);
	start_at_zero(vcpu[0]);
	before = __atomic_load_n(&yields, __ATOMIC_RELAXED);
	assert_int_equal(anykvm_ioctl(vcpu[0], KVM_RUN, NULL), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	before = __atomic_load_n(&yields, __ATOMIC_RELAXED) - before;
	for (i = 0; i < nr_vcpus; i++)
		anykvm_close(vcpu[i]);
	anykvm_close(vm);
	anykvm_close(sys);
	munmap(guest, GUEST_SIZE);
	return before;
}

static void a_delay_keeps_its_turn(void **state)
{
	(void)state;
	assert_int_equal(spin(1, false), 0);
}

static void a_vcpu_that_is_not_started_is_not_waited_for(void **state)
{
	(void)state;
	assert_int_equal(spin(2, true), 0);
}

static void a_spin_lets_another_vcpu_run(void **state)
{
	(void)state;
	assert_true(spin(2, false) > 0);
}

int host_spin_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_delay_keeps_its_turn),
		cmocka_unit_test(a_vcpu_that_is_not_started_is_not_waited_for),
		cmocka_unit_test(a_spin_lets_another_vcpu_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
