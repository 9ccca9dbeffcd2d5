/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The loop with LAPICs in the process: sleeping in HLT, INIT and SIPI, user-space PIC beside a split irqchip. */
#include <pthread.h>
#include <signal.h>
#include <sched.h>
#include "core_tests.h"

#define IF_SET (RFLAGS_FIXED | RFLAGS_IF)

/* From another thread: KVM_RUN of the vCPU has come to its HLT. */
static void await_halt(const struct vcpu *v)
{
	while (__atomic_load_n(&v->mp_state, __ATOMIC_SEQ_CST) != KVM_MP_STATE_HALTED)
		sched_yield();
}

static void step_to_user(struct vcpu *v, struct vm_exit *exit)
{
	exit->code = VM_EXIT_SHUTDOWN;
}

static void *send_nmi_later(void *arg)
{
	await_halt(arg);
	vcpu_queue_nmi(arg);
	return NULL;
}

static void hlt_sleeps_until_an_nmi(void **state)
{
	pthread_t t;

	fake_script(step_hlt, step_deliver, step_to_user, NULL);
	pthread_create(&t, NULL, send_nmi_later, fake.v);
	fake_run_exits(KVM_EXIT_SHUTDOWN);
	pthread_join(t, NULL);
	assert_int_equal(fake_delivered.type, X86_EVENT_NMI);
	assert_int_equal(fake.v->stat->halt_wakeup, 1);
	assert_int_equal(fake.v->mp_state, KVM_MP_STATE_RUNNABLE);
}

/* The user's view of it: halted state is kept over a KVM_RUN that a signal ends. */
static void *stop_run_later(void *arg)
{
	await_halt(fake.v);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void ignore(int sig)
{
}

static void signal_ends_a_halted_run_and_the_state_stays(void **state)
{
	struct sigaction sa = { .sa_handler = ignore };
	struct kvm_mp_state mp;
	pthread_t self = pthread_self(), t;

	sigaction(SIGUSR1, &sa, NULL);
	fake_script(step_hlt, NULL);
	pthread_create(&t, NULL, stop_run_later, &self);
	assert_int_equal(fake_run(), -EINTR);
	assert_int_equal(fake.run->exit_reason, KVM_EXIT_INTR);
	pthread_join(t, NULL);
	assert_int_equal(fake_ioctl(KVM_GET_MP_STATE, &mp), 0);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_HALTED);
}

static struct vcpu *second_vcpu(void)
{
	struct vcpu *v;

	assert_int_equal(vcpu_create(fake.vm, 1, &v), 0);
	return v;
}

static void second_processor_waits_for_init_and_sipi(void **state)
{
	struct vcpu *ap = second_vcpu();
	struct lapic_message m = { .dest = 1, .delivery = DELIVER_INIT, .level = true };

	assert_int_equal(ap->mp_state, KVM_MP_STATE_UNINITIALIZED);
	ap->run->immediate_exit = 1;
	assert_int_equal(fake_vcpu_ioctl(ap, KVM_RUN, NULL), -EINTR);
	ap->run->immediate_exit = 0;
	assert_int_equal(lapic_deliver(fake.vm, fake.v, &m), 1);
	assert_int_equal(fake_vcpu_ioctl(ap, KVM_RUN, NULL), -EAGAIN);
	assert_int_equal(ap->mp_state, KVM_MP_STATE_INIT_RECEIVED);
	m.delivery = DELIVER_STARTUP;
	m.vector = 0x9a;
	assert_int_equal(lapic_deliver(fake.vm, fake.v, &m), 1);
	fake_script(step_to_user, NULL);
	assert_int_equal(fake_vcpu_ioctl(ap, KVM_RUN, NULL), 0);
	assert_int_equal(ap->mp_state, KVM_MP_STATE_RUNNABLE);
	assert_int_equal(ap->state.seg[SEG_CS].base, 0x9a000);
	assert_int_equal(ap->state.seg[SEG_CS].sel, 0x9a00);
	assert_int_equal(ap->state.rip, 0);
	vcpu_put(ap);
}

static void init_puts_a_running_processor_back(void **state)
{
	struct vcpu *ap = second_vcpu();
	struct lapic_message m = { .dest = 1, .delivery = DELIVER_INIT, .level = true };
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };

	assert_int_equal(fake_vcpu_ioctl(ap, KVM_SET_MP_STATE, &mp), 0);
	ap->state.gpr[X86_RBX] = 5;
	assert_int_equal(lapic_deliver(fake.vm, fake.v, &m), 1);
	assert_int_equal(fake_vcpu_ioctl(ap, KVM_GET_MP_STATE, &mp), 0);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_INIT_RECEIVED);
	assert_int_equal(ap->state.gpr[X86_RBX], 0);
	vcpu_put(ap);
}

static long interrupt(u32 vector)
{
	struct kvm_interrupt irq = { .irq = vector };

	return fake_ioctl(KVM_INTERRUPT, &irq);
}

static void kvm_interrupt_is_refused_beside_the_pic(void **state)
{
	assert_int_equal(interrupt(256), -EINVAL);
	assert_int_equal(interrupt(0x30), -ENXIO);
}

static void kvm_interrupt_beside_a_split_irqchip_holds_one_vector(void **state)
{
	assert_int_equal(interrupt(0x30), 0);
	assert_int_equal(interrupt(0x31), -EEXIST);
	fake_set_rflags(IF_SET);
	/* After RESET LINT0 of the boot processor takes the PIC's interrupts. */
	fake_script(step_deliver, step_to_user, NULL);
	fake_run_exits(KVM_EXIT_SHUTDOWN);
	assert_int_equal(fake_delivered.vector, 0x30);
	assert_int_equal(interrupt(0x31), 0);
}

static void lapic_state_round_trip(void **state)
{
	static struct kvm_lapic_state a, b;

	assert_int_equal(fake_ioctl(KVM_GET_LAPIC, &a), 0);
	assert_int_equal(fake_ioctl(KVM_SET_LAPIC, &a), 0);
	assert_int_equal(fake_ioctl(KVM_GET_LAPIC, &b), 0);
	assert_memory_equal(&a, &b, sizeof(a));
}

static void sipi_received_is_init_received_with_a_latched_sipi(void **state)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_SIPI_RECEIVED };

	assert_int_equal(fake_ioctl(KVM_SET_MP_STATE, &mp), 0);
	assert_int_equal(fake_ioctl(KVM_GET_MP_STATE, &mp), 0);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_RUNNABLE);
	assert_int_equal(fake.v->state.rip, 0);
}

#define WITH(setup, f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)

int core_irqchip_tests(void)
{
	const struct CMUnitTest tests[] = {
		WITH(fake_setup_irqchip, hlt_sleeps_until_an_nmi),
		WITH(fake_setup_irqchip, signal_ends_a_halted_run_and_the_state_stays),
		WITH(fake_setup_irqchip, second_processor_waits_for_init_and_sipi),
		WITH(fake_setup_irqchip, init_puts_a_running_processor_back),
		WITH(fake_setup_irqchip, kvm_interrupt_is_refused_beside_the_pic),
		WITH(fake_setup_split, kvm_interrupt_beside_a_split_irqchip_holds_one_vector),
		WITH(fake_setup_irqchip, lapic_state_round_trip),
		WITH(fake_setup_irqchip, sipi_received_is_init_received_with_a_latched_sipi),
	};

	return cmocka_run_group_tests_name("core: irqchip", tests, NULL, NULL);
}
