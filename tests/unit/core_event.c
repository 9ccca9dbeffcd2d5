/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Events: injection and windows, interrupted delivery, merging, NMIs, triple fault. */
#include "core_tests.h"

#define IF_SET (RFLAGS_FIXED | RFLAGS_IF)

static long interrupt(u32 vector)
{
	struct kvm_interrupt irq = { .irq = vector };

	return fake_ioctl(KVM_INTERRUPT, &irq);
}

static void interrupt_takes_vectors_0_to_255(void **state)
{
	u32 vector;

	fake_set_rflags(IF_SET);
	assert_int_equal(interrupt(256), -EINVAL);
	assert_int_equal(interrupt(~0u), -EINVAL);
	for (vector = 0; vector < 256; vector++) {
		assert_int_equal(interrupt(vector), 0);
		fake_script(step_deliver, step_hlt, NULL);
		fake_run_exits(KVM_EXIT_HLT);
		assert_int_equal(fake_delivered.type, X86_EVENT_INTR);
		assert_int_equal(fake_delivered.vector, vector);
	}
	assert_int_equal(fake.v->stat->irq_injections, 256);
}

static void step_expect_window(struct vcpu *v, struct vm_exit *exit)
{
	assert_false(v->inject_valid);
	assert_true(v->want_irq_window);
	v->state.rflags |= RFLAGS_IF;
	v->state.shadow = 0;
	exit->code = VM_EXIT_IRQ_WINDOW;
}

static void interrupt_waits_for_its_window_while_if_is_clear(void **state)
{
	fake_set_rflags(RFLAGS_FIXED);
	assert_int_equal(interrupt(0x31), 0);
	fake_script(step_expect_window, step_deliver, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake_delivered.vector, 0x31);
}

static void interrupt_waits_for_the_end_of_a_shadow(void **state)
{
	u8 shadow;

	for (shadow = X86_SHADOW_STI; shadow <= X86_SHADOW_MOV_SS; shadow++) {
		fake_set_rflags(IF_SET);
		fake.v->state.shadow = shadow;
		assert_int_equal(interrupt(0x32), 0);
		fake_script(step_expect_window, step_deliver, step_hlt, NULL);
		fake_run_exits(KVM_EXIT_HLT);
		assert_int_equal(fake_delivered.vector, 0x32);
	}
}

static void user_space_is_told_when_its_window_opens(void **state)
{
	fake_set_rflags(RFLAGS_FIXED);
	fake.run->request_interrupt_window = 1;
	fake_script(step_expect_window, NULL);
	fake_run_exits(KVM_EXIT_IRQ_WINDOW_OPEN);
	assert_int_equal(fake.run->ready_for_interrupt_injection, 1);
	assert_int_equal(fake.run->if_flag, 1);
	assert_int_equal(fake.v->stat->irq_window_exits, 1);
	fake.run->request_interrupt_window = 0;
}

static void not_ready_while_if_is_clear(void **state)
{
	fake_set_rflags(RFLAGS_FIXED);
	fake_script(step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake.run->ready_for_interrupt_injection, 0);
	assert_int_equal(fake.run->if_flag, 0);
}

/* The hardware was delivering when the exit came. */
static void step_vectoring(struct vcpu *v, struct vm_exit *exit)
{
	assert_true(v->inject_valid);
	exit->vectoring = true;
	exit->vectoring_event = v->inject;
	v->inject_valid = false;
}

static void interrupted_delivery_is_repeated(void **state)
{
	fake_set_rflags(IF_SET);
	assert_int_equal(interrupt(0x40), 0);
	fake_script(step_vectoring, step_vectoring, step_deliver, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake_delivered.vector, 0x40);
}

static void interrupted_delivery_survives_a_trip_to_user_space(void **state)
{
	struct kvm_vcpu_events events;

	fake_set_rflags(IF_SET);
	assert_int_equal(interrupt(0x41), 0);
	fake.run->immediate_exit = 0;
	fake_script(step_vectoring, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	/* step_hlt did not take it: the engine must not have been asked to forget it. */
	assert_int_equal(fake_ioctl(KVM_GET_VCPU_EVENTS, &events), 0);
	assert_int_equal(events.interrupt.injected, 1);
	assert_int_equal(events.interrupt.nr, 0x41);
	fake_script(step_deliver, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake_delivered.vector, 0x41);
}

static void step_vectoring_nmi(struct vcpu *v, struct vm_exit *exit)
{
	assert_int_equal(v->inject.type, X86_EVENT_NMI);
	v->state.nmi_blocked = true;
	step_vectoring(v, exit);
}

static void interrupted_nmi_is_repeated(void **state)
{
	assert_int_equal(fake_ioctl(KVM_NMI, NULL), 0);
	fake_script(step_vectoring_nmi, step_deliver, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake_delivered.type, X86_EVENT_NMI);
}

static void step_deliver_nmi(struct vcpu *v, struct vm_exit *exit)
{
	step_deliver(v, exit);
	assert_int_equal(fake_delivered.type, X86_EVENT_NMI);
	v->state.nmi_blocked = true;
}

static void step_nmi_window(struct vcpu *v, struct vm_exit *exit)
{
	assert_false(v->inject_valid);
	assert_true(v->want_nmi_window);
	v->state.nmi_blocked = false;
	exit->code = VM_EXIT_NMI_WINDOW;
}

static void second_nmi_waits_for_iret(void **state)
{
	assert_int_equal(fake_ioctl(KVM_NMI, NULL), 0);
	assert_int_equal(fake_ioctl(KVM_NMI, NULL), 0);
	assert_int_equal(fake_ioctl(KVM_NMI, NULL), 0);
	fake_script(step_deliver_nmi, step_nmi_window, step_deliver_nmi, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake.v->stat->nmi_injections, 2);
}

static void nmi_goes_before_interrupt(void **state)
{
	fake_set_rflags(IF_SET);
	assert_int_equal(fake_ioctl(KVM_NMI, NULL), 0);
	assert_int_equal(interrupt(0x50), 0);
	/* KVM_INTERRUPT has already committed its vector; the NMI takes the next boundary. */
	fake_script(step_deliver, step_deliver_nmi, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
}

static struct x86_event exception(u8 vector)
{
	return (struct x86_event){ .type = X86_EVENT_EXC, .vector = vector, .has_error = x86_exc_has_error(vector) };
}

static void second_contributory_exception_is_a_double_fault(void **state)
{
	struct x86_event gp = exception(X86_EXC_GP), np = exception(X86_EXC_NP);

	vcpu_queue_exception(fake.v, &np);
	vcpu_queue_exception(fake.v, &gp);
	fake_script(step_deliver, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake_delivered.vector, X86_EXC_DF);
	assert_int_equal(fake_delivered.has_error, 1);
	assert_int_equal(fake_delivered.error, 0);
}

static void exception_during_double_fault_is_shutdown(void **state)
{
	struct x86_event gp = exception(X86_EXC_GP), df = exception(X86_EXC_DF);

	vcpu_queue_exception(fake.v, &df);
	vcpu_queue_exception(fake.v, &gp);
	fake_script(step_hlt, NULL);
	fake_run_exits(KVM_EXIT_SHUTDOWN);
	assert_int_equal(fake.next, 0);
}

static void exception_goes_before_a_waiting_interrupt(void **state)
{
	struct x86_event ud = exception(X86_EXC_UD);

	fake_set_rflags(IF_SET);
	assert_int_equal(interrupt(0x60), 0);
	vcpu_queue_exception(fake.v, &ud);
	fake_script(step_deliver, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake_delivered.vector, X86_EXC_UD);
	fake_script(step_deliver, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake_delivered.vector, 0x60);
}

static void blockirq_holds_new_interrupts_but_not_exceptions(void **state)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ };
	struct x86_event ud = exception(X86_EXC_UD);

	assert_int_equal(fake_ioctl(KVM_SET_GUEST_DEBUG, &d), 0);
	assert_int_equal(fake_ioctl(KVM_NMI, NULL), 0);
	vcpu_queue_exception(fake.v, &ud);
	fake_script(step_deliver, step_none, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake_delivered.vector, X86_EXC_UD);
	d.control = 0;
	assert_int_equal(fake_ioctl(KVM_SET_GUEST_DEBUG, &d), 0);
	fake_script(step_deliver_nmi, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
}

static void triple_fault_event_is_state(void **state)
{
	struct kvm_vcpu_events events;

	assert_int_equal(fake_ioctl(KVM_GET_VCPU_EVENTS, &events), 0);
	assert_int_equal(events.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT, 0);
	events.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	assert_int_equal(fake_ioctl(KVM_SET_VCPU_EVENTS, &events), -EINVAL);
	fake.vm->triple_fault_event = true;
	events.triple_fault.pending = 1;
	assert_int_equal(fake_ioctl(KVM_SET_VCPU_EVENTS, &events), 0);
	assert_int_equal(fake_ioctl(KVM_GET_VCPU_EVENTS, &events), 0);
	assert_int_equal(events.triple_fault.pending, 1);
	fake_script(step_hlt, NULL);
	fake_run_exits(KVM_EXIT_SHUTDOWN);
}

static void payload_stays_out_of_cr2_until_delivery(void **state)
{
	struct kvm_vcpu_events events;
	struct x86_event pf = exception(X86_EXC_PF);

	fake.vm->exception_payload = true;
	pf.cr2 = 0x1234000;
	vcpu_queue_exception(fake.v, &pf);
	assert_int_equal(fake_ioctl(KVM_GET_VCPU_EVENTS, &events), 0);
	assert_int_equal(events.exception.pending, 1);
	assert_int_equal(events.exception.injected, 0);
	assert_int_equal(events.exception_has_payload, 1);
	assert_int_equal(events.exception_payload, 0x1234000);
	assert_int_equal(fake.v->state.cr2, 0);
	assert_int_equal(fake_ioctl(KVM_SET_VCPU_EVENTS, &events), 0);
	fake_script(step_deliver, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake_delivered.cr2, 0x1234000);
}

static void without_the_capability_pending_is_shown_as_injected(void **state)
{
	struct kvm_vcpu_events events;
	struct x86_event pf = exception(X86_EXC_PF);

	pf.cr2 = 0x5678000;
	vcpu_queue_exception(fake.v, &pf);
	assert_int_equal(fake_ioctl(KVM_GET_VCPU_EVENTS, &events), 0);
	assert_int_equal(events.exception.injected, 1);
	assert_int_equal(fake.v->state.cr2, 0x5678000);
}

static void set_regs_drops_a_pending_exception(void **state)
{
	struct x86_event ud = exception(X86_EXC_UD);

	vcpu_queue_exception(fake.v, &ud);
	fake_set_rflags(RFLAGS_FIXED);
	fake_script(step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
}

int core_event_tests(void)
{
	const struct CMUnitTest tests[] = {
		CORE_TEST(interrupt_takes_vectors_0_to_255),
		CORE_TEST(interrupt_waits_for_its_window_while_if_is_clear),
		CORE_TEST(interrupt_waits_for_the_end_of_a_shadow),
		CORE_TEST(user_space_is_told_when_its_window_opens),
		CORE_TEST(not_ready_while_if_is_clear),
		CORE_TEST(interrupted_delivery_is_repeated),
		CORE_TEST(interrupted_delivery_survives_a_trip_to_user_space),
		CORE_TEST(interrupted_nmi_is_repeated),
		CORE_TEST(second_nmi_waits_for_iret),
		CORE_TEST(nmi_goes_before_interrupt),
		CORE_TEST(second_contributory_exception_is_a_double_fault),
		CORE_TEST(exception_during_double_fault_is_shutdown),
		CORE_TEST(exception_goes_before_a_waiting_interrupt),
		CORE_TEST(blockirq_holds_new_interrupts_but_not_exceptions),
		CORE_TEST(triple_fault_event_is_state),
		CORE_TEST(payload_stays_out_of_cr2_until_delivery),
		CORE_TEST(without_the_capability_pending_is_shown_as_injected),
		CORE_TEST(set_regs_drops_a_pending_exception),
	};

	return cmocka_run_group_tests_name("core: events", tests, NULL, NULL);
}
