/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The local APIC's timer (SDM, "APIC Timer"): one nanosecond to a tick, as KVM has it. */
#include "unit.h"
#include "chip_fake.h"
#include "chip_tests.h"

#define MS 1000000u
#define VECTOR 0x41
#define TSC_DEADLINE (1u << 24)

static struct vm *vm;
static struct vcpu *v;

static int setup(void **state)
{
	vm = fake_machine(IRQCHIP_KERNEL, 1);
	v = vm->vcpu[0];
	lapic_run_begins(v);
	fake_cpuid(v, TSC_DEADLINE);
	fake_apic_write(v, APIC_TDCR, 0xb); /* by 1 */
	return 0;
}

static int teardown(void **state)
{
	fake_vm_free(vm);
	return fake_timers() ? -1 : 0;
}

/* Take the timer's interrupt; false: there is none. */
static bool fired(void)
{
	if (!irq_pending(v))
		return false;
	expect_eq(irq_acknowledge(v), VECTOR);
	fake_apic_write(v, APIC_EOI, 0);
	return true;
}

static void one_shot(void **state)
{
	fake_apic_write(v, APIC_LVTT, VECTOR);
	fake_apic_write(v, APIC_TMICT, 10 * MS);
	fake_advance(4 * MS);
	expect_eq(fake_apic_read(v, APIC_TMCCT), 6 * MS);
	expect_true(!fired());
	v->requests = fake_kicks = 0;
	fake_advance(6 * MS);
	expect_true(v->requests & REQ_EVENT);
	expect_eq(fake_kicks, 1);
	expect_true(fired());
	expect_eq(fake_apic_read(v, APIC_TMCCT), 0);
	fake_advance(100 * MS);
	expect_true(!fired());
}

static void one_shot_restored(void **state)
{
	struct kvm_lapic_state s;

	fake_apic_write(v, APIC_LVTT, VECTOR);
	fake_apic_write(v, APIC_TMICT, 10 * MS);
	fake_advance(4 * MS);
	lapic_get_state(v, &s);
	expect_eq(lapic_set_state(v, &s), 0);
	fake_advance(6 * MS - 1);
	expect_true(!fired());
	fake_advance(1);
	expect_true(fired());
	/* It has run out: once more, for an interrupt that may have been lost. */
	lapic_get_state(v, &s);
	expect_eq(lapic_set_state(v, &s), 0);
	fake_advance(1);
	expect_true(fired());
	fake_advance(100 * MS);
	expect_true(!fired());
}

static void periodic(void **state)
{
	unsigned i;

	fake_apic_write(v, APIC_LVTT, VECTOR | APIC_TIMER_PERIODIC);
	fake_apic_write(v, APIC_TMICT, 10 * MS);
	for (i = 0; i < 5; i++) {
		fake_advance(9 * MS);
		expect_true(!fired());
		fake_advance(1 * MS);
		expect_true(fired());
	}
	fake_advance(3 * MS);
	expect_eq(fake_apic_read(v, APIC_TMCCT), 7 * MS);
	fake_apic_write(v, APIC_TMICT, 0);
	expect_eq(fake_apic_read(v, APIC_TMCCT), 0);
	fake_advance(100 * MS);
	expect_true(!fired());
}

static void unread_periods_merge(void **state)
{
	fake_apic_write(v, APIC_LVTT, VECTOR | APIC_TIMER_PERIODIC);
	fake_apic_write(v, APIC_TMICT, 10 * MS);
	fake_advance(35 * MS);
	expect_true(fired());
	expect_true(!fired());
	fake_advance(5 * MS);
	expect_true(fired());
}

static void short_periods_are_stretched(void **state)
{
	unsigned i, n = 0;

	fake_apic_write(v, APIC_LVTT, VECTOR | APIC_TIMER_PERIODIC);
	fake_apic_write(v, APIC_TMICT, 100);
	for (i = 0; i < 1000; i++) {
		fake_advance(1000);
		n += fired();
	}
	expect_eq(n, 5);
}

static void divider(void **state)
{
	static const u8 by[] = { 2, 4, 8, 16, 32, 64, 128, 1 };
	unsigned i;

	fake_apic_write(v, APIC_LVTT, VECTOR);
	for (i = 0; i < 8; i++) {
		fake_apic_write(v, APIC_TDCR, (i & 3) | (i & 4) << 1);
		fake_apic_write(v, APIC_TMICT, 100000);
		fake_advance(100000u * by[i] - 1);
		expect_true(!fired());
		fake_advance(1);
		expect_true(fired());
	}
}

static void divider_changes_while_running(void **state)
{
	fake_apic_write(v, APIC_LVTT, VECTOR);
	fake_apic_write(v, APIC_TMICT, 10 * MS);
	fake_advance(4 * MS);
	fake_apic_write(v, APIC_TDCR, 0); /* by 2: the 6 ms that are left become 12 */
	expect_eq(fake_apic_read(v, APIC_TMCCT), 6 * MS);
	fake_advance(12 * MS - 1);
	expect_true(!fired());
	fake_advance(1);
	expect_true(fired());
}

static void masked_timer_runs_silently(void **state)
{
	fake_apic_write(v, APIC_LVTT, VECTOR | APIC_LVT_MASKED);
	fake_apic_write(v, APIC_TMICT, 10 * MS);
	fake_advance(20 * MS);
	expect_true(!fired());
	fake_apic_write(v, APIC_LVTT, VECTOR);
	expect_true(!fired());
}

/* Outside KVM_RUN it waits for the next: the MSR keeps it, the interrupt is not in IRR. */
static void tsc_deadline_outside(void **state)
{
	u64 deadline;

	fake_apic_write(v, APIC_LVTT, VECTOR | APIC_TIMER_TSC_DEADLINE);
	deadline = vcpu_read_tsc(v) + 1000000;
	lapic_set_tsc_deadline(v, deadline);
	lapic_run_ends(v);
	fake_advance(1000 * MS);
	expect_true(!fired());
	expect_eq(lapic_get_tsc_deadline(v), deadline);
	lapic_run_begins(v);
	expect_true(fired());
	expect_eq(lapic_get_tsc_deadline(v), 0);
}

static void tsc_deadline(void **state)
{
	u64 tsc = vcpu_read_tsc(v);

	lapic_set_tsc_deadline(v, tsc + 20 * MS);
	expect_eq(lapic_get_tsc_deadline(v), 0); /* not in that mode */
	fake_apic_write(v, APIC_LVTT, VECTOR | APIC_TIMER_TSC_DEADLINE);
	lapic_set_tsc_deadline(v, tsc + 20 * MS); /* 10 ms at two ticks in a nanosecond */
	expect_eq(lapic_get_tsc_deadline(v), tsc + 20 * MS);
	fake_apic_write(v, APIC_TMICT, 1000); /* ignored */
	expect_eq(fake_apic_read(v, APIC_TMCCT), 0);
	fake_advance(10 * MS - 1);
	expect_true(!fired());
	fake_advance(2);
	expect_true(fired());
	expect_eq(lapic_get_tsc_deadline(v), 0);
	lapic_set_tsc_deadline(v, tsc); /* in the past: at once */
	expect_true(fired());
	lapic_set_tsc_deadline(v, vcpu_read_tsc(v) + 2 * MS);
	lapic_set_tsc_deadline(v, 0); /* disarm */
	fake_advance(10 * MS);
	expect_true(!fired());
	lapic_set_tsc_deadline(v, ~0ull);
	fake_advance(10 * MS);
	expect_true(!fired());
}

static void tsc_offset_moves_the_deadline(void **state)
{
	fake_apic_write(v, APIC_LVTT, VECTOR | APIC_TIMER_TSC_DEADLINE);
	lapic_set_tsc_deadline(v, vcpu_read_tsc(v) + 20 * MS);
	v->tsc_offset += 10 * (s64)MS;
	lapic_tsc_changed(v);
	fake_advance(5 * MS + 2);
	expect_true(fired());
	/* And a deadline armed under an offset that shrinks must not come early. */
	lapic_set_tsc_deadline(v, vcpu_read_tsc(v) + 20 * MS);
	v->tsc_offset -= 10 * (s64)MS;
	fake_advance(10 * MS + 2);
	expect_true(!fired());
	fake_advance(5 * MS + 2);
	expect_true(fired());
}

static void mode_change_disarms(void **state)
{
	fake_apic_write(v, APIC_LVTT, VECTOR);
	fake_apic_write(v, APIC_TMICT, 10 * MS);
	fake_apic_write(v, APIC_LVTT, VECTOR | APIC_TIMER_TSC_DEADLINE);
	expect_eq(fake_apic_read(v, APIC_TMICT), 0);
	fake_advance(20 * MS);
	expect_true(!fired());
}

/* A guest that has seen the count at 0 must find the expiry behind it, however late the host's timer is. */
static void late_callback_is_caught_up(void **state)
{
	fake_apic_write(v, APIC_LVTT, VECTOR);
	fake_apic_write(v, APIC_TMICT, 10 * MS);
	fake_advance_late(10 * MS);
	expect_eq(fake_apic_read(v, APIC_TMCCT), 0);
	fake_apic_write(v, APIC_LVTT, VECTOR | APIC_TIMER_PERIODIC);
	expect_true(fired());
	fake_advance(15 * MS);
	expect_true(!fired());
	expect_eq(fake_apic_read(v, APIC_TMCCT), 0);

	fake_apic_write(v, APIC_LVTT, VECTOR);
	fake_apic_write(v, APIC_TMICT, 10 * MS);
	fake_advance_late(10 * MS);
	fake_apic_write(v, APIC_TMICT, 20 * MS);
	expect_true(fired());
	fake_advance(19 * MS);
	expect_true(!fired());
	fake_advance(1 * MS);
	expect_true(fired());
}

static void deadline_mode_needs_cpuid(void **state)
{
	fake_cpuid(v, 0);
	fake_apic_write(v, APIC_LVTT, VECTOR | APIC_TIMER_TSC_DEADLINE);
	expect_eq(fake_apic_read(v, APIC_LVTT), VECTOR);
}

static void state_carries_the_count(void **state)
{
	struct kvm_lapic_state s;
	u32 left;

	fake_apic_write(v, APIC_LVTT, VECTOR | APIC_TIMER_PERIODIC);
	fake_apic_write(v, APIC_TMICT, 10 * MS);
	fake_advance(4 * MS);
	lapic_get_state(v, &s);
	memcpy(&left, s.regs + APIC_TMCCT, 4);
	expect_eq(left, 6 * MS);
	fake_advance(50 * MS);
	fired();
	expect_eq(lapic_set_state(v, &s), 0);
	fake_advance(6 * MS - 1);
	expect_true(!fired());
	fake_advance(1);
	expect_true(fired());
	fake_advance(10 * MS);
	expect_true(fired());
}

static void reset_stops_it(void **state)
{
	fake_apic_write(v, APIC_LVTT, VECTOR | APIC_TIMER_PERIODIC);
	fake_apic_write(v, APIC_TMICT, 10 * MS);
	lapic_reset(v, true);
	expect_eq(fake_apic_read(v, APIC_TMCCT), 0);
	fake_apic_enable(v);
	fake_apic_write(v, APIC_LVTT, VECTOR);
	fake_advance(50 * MS);
	expect_true(!irq_pending(v));
}

#define TIMER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int chip_timer_tests(void)
{
	const struct CMUnitTest tests[] = {
		TIMER_TEST(one_shot),
		TIMER_TEST(one_shot_restored),
		TIMER_TEST(periodic),
		TIMER_TEST(unread_periods_merge),
		TIMER_TEST(short_periods_are_stretched),
		TIMER_TEST(divider),
		TIMER_TEST(divider_changes_while_running),
		TIMER_TEST(masked_timer_runs_silently),
		TIMER_TEST(tsc_deadline),
		TIMER_TEST(tsc_deadline_outside),
		TIMER_TEST(tsc_offset_moves_the_deadline),
		TIMER_TEST(mode_change_disarms),
		TIMER_TEST(late_callback_is_caught_up),
		TIMER_TEST(deadline_mode_needs_cpuid),
		TIMER_TEST(state_carries_the_count),
		TIMER_TEST(reset_stops_it),
	};

	return cmocka_run_group_tests_name("lapic timer", tests, NULL, NULL);
}
