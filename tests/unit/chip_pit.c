/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The 8254 against its data sheet, and its interrupts through the PIC. */
#include "unit.h"
#include "chip_fake.h"
#include "chip_tests.h"

enum { CONTROL = 0x43, SPEAKER = 0x61 };
#define PULSE_NS(n) ((u64)(n)*1000000000 / 1193182 + 1)

static struct vm *vm;

static int setup(void **state)
{
	static const u8 words[] = { 0x11, 0x08, 0x04, 0x01 };
	unsigned i;

	vm = fake_vm(IRQCHIP_KERNEL, 1);
	if (pit_create(vm, KVM_PIT_SPEAKER_DUMMY))
		return -1;
	fake_out(vm, 0x20, words[0]);
	for (i = 1; i < 4; i++)
		fake_out(vm, 0x21, words[i]);
	fake_out(vm, 0x21, 0);
	return 0;
}

static int teardown(void **state)
{
	fake_vm_free(vm);
	return fake_timers() ? -1 : 0;
}

static void program(unsigned channel, unsigned mode, u16 count)
{
	fake_out(vm, CONTROL, (u8)(channel << 6 | 3 << 4 | mode << 1));
	fake_out(vm, (u16)(0x40 + channel), (u8)count);
	fake_out(vm, (u16)(0x40 + channel), (u8)(count >> 8));
}

static u16 read_count(unsigned channel)
{
	u8 lo;

	fake_out(vm, CONTROL, (u8)(channel << 6)); /* latch */
	lo = fake_in(vm, (u16)(0x40 + channel));
	return (u16)(lo | fake_in(vm, (u16)(0x40 + channel)) << 8);
}

/* Interrupts that the guest takes and acknowledges. */
static unsigned take_all(void)
{
	unsigned n = 0;

	for (; pic_output(vm); n++) {
		expect_eq(pic_acknowledge(vm), 8);
		fake_out(vm, 0x20, 0x20);
	}
	return n;
}

static bool out2(void)
{
	return fake_in(vm, SPEAKER) & 0x20;
}

static void creation(void **state)
{
	struct vm *bare = fake_vm(IRQCHIP_SPLIT, 1);

	expect_error(pit_create(vm, 0), EEXIST);
	expect_error(pit_create(bare, 0), ENOENT);
	expect_error(pit_reinject(bare, true), ENXIO);
	fake_vm_free(bare);
}

static void mode2_interrupts_periodically(void **state)
{
	unsigned i, n = 0;

	program(0, 2, 11932); /* 100 Hz */
	for (i = 0; i < 1000; i++) {
		fake_advance(1000000);
		n += take_all();
	}
	expect_eq(n, 1193182ull / 11932);
	/* No drift: after ten more seconds a thousand more. */
	for (i = 0; i < 10000; i++) {
		fake_advance(1000000);
		n += take_all();
	}
	expect_eq(n, 11 * 1193182ull / 11932);
}

static void mode0_interrupts_once(void **state)
{
	program(0, 0, 1000);
	fake_advance(PULSE_NS(999) - 2);
	expect_eq(take_all(), 0);
	fake_advance(PULSE_NS(1));
	expect_eq(take_all(), 1);
	fake_advance(1000000000);
	expect_eq(take_all(), 0);
}

static void ticks_are_reinjected(void **state)
{
	program(0, 2, 11932);
	fake_advance(55000000);   /* five periods, none acknowledged */
	expect_eq(take_all(), 5); /* each acknowledge brings the next */
	pit_reinject(vm, false);
	fake_advance(50000000);
	expect_eq(take_all(), 1);
}

static unsigned taken;

static void take_at_once(struct vcpu *v)
{
	taken += take_all();
}

/* A vCPU on another processor is so fast that the PIT has not lowered its line yet when the next tick is asked for. */
static void ticks_acknowledged_before_the_line_is_low(void **state)
{
	taken = 0;
	fake_on_kick = take_at_once;
	program(0, 2, 11932);
	fake_advance_late(55000000); /* five periods */
	fake_advance(0);
	expect_eq(taken, 5);
	fake_advance(10000000);
	expect_eq(taken, 6);
}

static void masked_ticks_are_not_owed(void **state)
{
	program(0, 2, 11932);
	fake_out(vm, 0x21, 1);
	fake_advance(100000000);
	fake_out(vm, 0x21, 0);
	expect_true(take_all() <= 1);
	fake_advance(10000000);
	expect_eq(take_all(), 1);
}

static void counting_down(void **state)
{
	program(2, 0, 5000);
	fake_out(vm, SPEAKER, 1);
	program(2, 0, 5000);
	fake_advance(PULSE_NS(1000));
	expect_eq(read_count(2), 4000);
	expect_true(!out2());
	fake_advance(PULSE_NS(4000));
	expect_true(out2());
	fake_advance(PULSE_NS(10) - 1);
	expect_eq(read_count(2), 0x10000 - 10); /* goes on through zero */
}

static void gate_stops_mode0(void **state)
{
	fake_out(vm, SPEAKER, 1);
	program(2, 0, 5000);
	fake_advance(PULSE_NS(1000));
	fake_out(vm, SPEAKER, 0);
	fake_advance(PULSE_NS(100000));
	expect_eq(read_count(2), 4000);
	fake_out(vm, SPEAKER, 1);
	fake_advance(PULSE_NS(500));
	expect_eq(read_count(2), 3500);
}

static void mode1_waits_for_its_trigger(void **state)
{
	fake_out(vm, SPEAKER, 0);
	program(2, 1, 1000);
	fake_advance(PULSE_NS(5000));
	expect_true(out2());
	fake_out(vm, SPEAKER, 1);
	expect_true(!out2());
	fake_advance(PULSE_NS(1000));
	expect_true(out2());
	fake_out(vm, SPEAKER, 0);
	fake_out(vm, SPEAKER, 1); /* again */
	expect_true(!out2());
}

static void mode3_is_a_square_wave(void **state)
{
	unsigned i, high = 0;

	fake_out(vm, SPEAKER, 1);
	program(2, 3, 1000);
	expect_true(out2());
	fake_advance(PULSE_NS(250));
	expect_eq(read_count(2), 500); /* by two */
	for (i = 0; i < 1000; i++) {
		fake_advance(10 * PULSE_NS(1));
		high += out2();
	}
	expect_true(high > 480 && high < 520);
}

static void mode4_strobes(void **state)
{
	fake_out(vm, SPEAKER, 1);
	program(2, 4, 100);
	expect_true(out2());
	fake_advance(PULSE_NS(100));
	expect_true(!out2());
	fake_advance(PULSE_NS(1));
	expect_true(out2());
}

static void binary_coded_decimals(void **state)
{
	fake_out(vm, SPEAKER, 1);
	fake_out(vm, CONTROL, 0xb1);
	fake_out(vm, 0x42, 0x00);
	fake_out(vm, 0x42, 0x50);
	fake_advance(PULSE_NS(1));
	expect_eq(read_count(2), 0x4999);
}

static void latch_and_read_back(void **state)
{
	u8 lo;

	fake_out(vm, SPEAKER, 1);
	program(2, 2, 5000);
	fake_advance(PULSE_NS(1000));
	fake_out(vm, CONTROL, 0x80);
	fake_advance(PULSE_NS(1000));
	fake_out(vm, CONTROL, 0x80); /* a second latch does not replace the first */
	lo = fake_in(vm, 0x42);
	expect_eq(lo | fake_in(vm, 0x42) << 8, 4000);
	fake_out(vm, CONTROL, 0xc8); /* read back: count and status of channel 2 */
	expect_eq(fake_in(vm, 0x42), 0x80 | 3 << 4 | 2 << 1);
	lo = fake_in(vm, 0x42);
	expect_eq(lo | fake_in(vm, 0x42) << 8, 3000);
	fake_out(vm, CONTROL, 0xb4);
	fake_out(vm, CONTROL, 0xe8); /* status alone: no count yet */
	expect_eq(fake_in(vm, 0x42) & 0x7f, 0x40 | 3 << 4 | 2 << 1);
}

static void single_byte_counts(void **state)
{
	fake_out(vm, SPEAKER, 1);
	fake_out(vm, CONTROL, 0x94); /* channel 2, low byte, mode 2 */
	fake_out(vm, 0x42, 100);
	fake_advance(PULSE_NS(30));
	expect_eq(fake_in(vm, 0x42), 70);
	fake_out(vm, CONTROL, 0xa4); /* high byte */
	fake_out(vm, 0x42, 2);
	fake_advance(PULSE_NS(1));
	expect_eq(fake_in(vm, 0x42), 1);
}

static void zero_counts_65536(void **state)
{
	fake_out(vm, SPEAKER, 1);
	program(2, 2, 0);
	fake_advance(PULSE_NS(1));
	expect_eq(read_count(2), 0xffff);
}

static void port_61(void **state)
{
	u8 first = fake_in(vm, SPEAKER);
	unsigned i, toggles = 0;

	expect_eq(first & 3, 0);
	fake_out(vm, SPEAKER, 3);
	expect_eq(fake_in(vm, SPEAKER) & 3, 3);
	for (i = 0; i < 100; i++) {
		u8 before = fake_in(vm, SPEAKER);

		fake_advance(1 << 14);
		toggles += (before ^ fake_in(vm, SPEAKER)) >> 4 & 1;
	}
	expect_eq(toggles, 100);
}

static void hpet_replaces_channel_0(void **state)
{
	struct kvm_pit_state2 s;

	program(0, 2, 11932);
	expect_eq(pit_get_state(vm, &s), 0);
	s.flags |= KVM_PIT_FLAGS_HPET_LEGACY;
	expect_eq(pit_set_state(vm, &s), 0);
	fake_advance(100000000);
	expect_eq(take_all(), 0);
	s.flags &= ~KVM_PIT_FLAGS_HPET_LEGACY;
	expect_eq(pit_set_state(vm, &s), 0);
	fake_advance(10001000);
	expect_eq(take_all(), 1);
}

static void state_survives_nonsense(void **state)
{
	struct kvm_pit_state2 s;
	unsigned i;

	memset(&s, 0xff, sizeof(s));
	expect_eq(pit_set_state(vm, &s), 0);
	for (i = 0; i < 3; i++)
		fake_in(vm, (u16)(0x40 + i));
	memset(&s, 0, sizeof(s));
	s.channels[0].mode = 2;
	expect_eq(pit_set_state(vm, &s), 0);
	fake_advance(100000000);
	expect_eq(take_all(), 1); /* a count of 0 is 65536: 18.2 Hz */
	expect_eq(pit_get_state(vm, &s), 0);
	expect_eq(s.channels[0].count, 0x10000);
}

#define PIT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int chip_pit_tests(void)
{
	const struct CMUnitTest tests[] = {
		PIT_TEST(creation),
		PIT_TEST(mode2_interrupts_periodically),
		PIT_TEST(mode0_interrupts_once),
		PIT_TEST(ticks_are_reinjected),
		PIT_TEST(ticks_acknowledged_before_the_line_is_low),
		PIT_TEST(masked_ticks_are_not_owed),
		PIT_TEST(counting_down),
		PIT_TEST(gate_stops_mode0),
		PIT_TEST(mode1_waits_for_its_trigger),
		PIT_TEST(mode3_is_a_square_wave),
		PIT_TEST(mode4_strobes),
		PIT_TEST(binary_coded_decimals),
		PIT_TEST(latch_and_read_back),
		PIT_TEST(single_byte_counts),
		PIT_TEST(zero_counts_65536),
		PIT_TEST(port_61),
		PIT_TEST(hpet_replaces_channel_0),
		PIT_TEST(state_survives_nonsense),
	};

	return cmocka_run_group_tests_name("pit", tests, NULL, NULL);
}
