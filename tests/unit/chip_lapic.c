/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The local APIC against the SDM's chapter on it, and KVM where user space can tell. */
#include "unit.h"
#include "chip_fake.h"
#include "chip_tests.h"

#define X2APIC (1u << 21)
#define ICR_ASSERT (1u << 14)

static struct vm *new_machine(unsigned cpus)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, cpus);
	unsigned i;

	for (i = 0; i < cpus; i++)
		fake_cpuid(vm->vcpu[i], X2APIC);
	return vm;
}

static void go_x2apic(struct vcpu *v)
{
	expect_eq(lapic_set_base(v, v->apic_base | APIC_BASE_X2APIC, false), 0);
}

#define expect_none(v) expect_error(fake_take(v), 1)

static void send(struct vcpu *to, u8 vector)
{
	struct lapic_message m = { .dest = to->id, .vector = vector };

	expect_eq(lapic_deliver(to->vm, NULL, &m), 1);
}

static u64 msr(struct vcpu *v, u32 index)
{
	u64 val = 0;

	expect_eq(lapic_read_msr(v, index, &val), 0);
	return val;
}

static void state_after_reset(void **state)
{
	struct vm *vm = fake_vm(IRQCHIP_KERNEL, 2);
	struct vcpu *bsp = vm->vcpu[0], *ap = vm->vcpu[1];

	expect_eq(bsp->apic_base, 0xfee00900);
	expect_eq(ap->apic_base, 0xfee00800);
	expect_eq(fake_apic_read(ap, APIC_ID), 0x01000000);
	expect_eq(fake_apic_read(ap, APIC_VERSION), 0x50014);
	expect_eq(fake_apic_read(ap, APIC_SPIV), 0xff);
	expect_eq(fake_apic_read(ap, APIC_DFR), ~0u);
	expect_eq(fake_apic_read(ap, APIC_LVTT), APIC_LVT_MASKED);
	expect_eq(fake_apic_read(ap, APIC_LVT0), APIC_LVT_MASKED);
	expect_eq(fake_apic_read(bsp, APIC_LVT0), 0x700); /* KVM: virtual wire mode for the boot processor */
	expect_true(lapic_is_bsp(bsp) && !lapic_is_bsp(ap));
	fake_vm_free(vm);
}

static void priorities(void **state)
{
	struct vm *vm = new_machine(1);
	struct vcpu *v = vm->vcpu[0];

	send(v, 0x51);
	send(v, 0x31);
	send(v, 0x55);
	expect_eq(fake_take(v), 0x55);
	expect_eq(fake_apic_read(v, APIC_PPR), 0x50);
	expect_none(v); /* 0x51 is of the class in service */
	send(v, 0x61);
	expect_eq(fake_take(v), 0x61);
	fake_apic_write(v, APIC_EOI, 0);
	expect_none(v);
	fake_apic_write(v, APIC_EOI, 0);
	expect_eq(fake_take(v), 0x51);
	fake_apic_write(v, APIC_EOI, 0);
	fake_apic_write(v, APIC_TPR, 0x35);
	expect_eq(fake_apic_read(v, APIC_PPR), 0x35);
	expect_none(v);
	lapic_set_tpr(v, 2);
	expect_eq(lapic_get_tpr(v), 2);
	expect_eq(fake_apic_read(v, APIC_TPR), 0x20);
	expect_eq(fake_take(v), 0x31);
	fake_vm_free(vm);
}

static void vector_registers(void **state)
{
	struct vm *vm = new_machine(1);
	struct vcpu *v = vm->vcpu[0];
	struct lapic_message m = { .vector = 0x7f, .level = true, .trig_level = true };

	expect_eq(lapic_deliver(vm, NULL, &m), 1);
	expect_eq(fake_apic_read(v, APIC_IRR + 0x30), 1u << 31);
	expect_eq(fake_apic_read(v, APIC_TMR + 0x30), 1u << 31);
	expect_eq(fake_take(v), 0x7f);
	expect_eq(fake_apic_read(v, APIC_IRR + 0x30), 0);
	expect_eq(fake_apic_read(v, APIC_ISR + 0x30), 1u << 31);
	fake_apic_write(v, APIC_EOI, 0);
	expect_eq(fake_apic_read(v, APIC_ISR + 0x30), 0);
	m.trig_level = false;
	expect_eq(lapic_deliver(vm, NULL, &m), 1);
	expect_eq(fake_apic_read(v, APIC_TMR + 0x30), 0);
	m.trig_level = true;
	m.level = false; /* de-assert: nothing */
	fake_take(v);
	expect_eq(lapic_deliver(vm, NULL, &m), 0);
	fake_vm_free(vm);
}

static void software_disable(void **state)
{
	struct vm *vm = new_machine(1);
	struct vcpu *v = vm->vcpu[0];
	struct lapic_message m = { .vector = 0x41 };

	fake_apic_write(v, APIC_LVTERR, 0x42);
	fake_apic_write(v, APIC_SPIV, 0xff);
	expect_eq(fake_apic_read(v, APIC_LVTERR), APIC_LVT_MASKED | 0x42);
	expect_eq(lapic_deliver(vm, NULL, &m), 0);
	fake_apic_write(v, APIC_LVTERR, 0x43);
	expect_eq(fake_apic_read(v, APIC_LVTERR), APIC_LVT_MASKED | 0x43);
	m.delivery = DELIVER_NMI; /* these still come */
	expect_eq(lapic_deliver(vm, NULL, &m), 1);
	expect_eq(fake_nmis, 1);
	fake_vm_free(vm);
}

static void hardware_disable(void **state)
{
	struct vm *vm = new_machine(1);
	struct vcpu *v = vm->vcpu[0];
	struct lapic_message m = { .vector = 0x41 };

	expect_eq(lapic_set_base(v, 0xfee00100, false), 0);
	expect_eq(lapic_deliver(vm, NULL, &m), 0);
	expect_eq(fake_apic_read(v, APIC_VERSION), ~0u);
	expect_true(lapic_accepts_extint(v)); /* the PIC's wire goes past it */
	expect_true(lapic_owns(v, 0xfee00030));
	vm->disabled_quirks = KVM_X86_QUIRK_LAPIC_MMIO_HOLE;
	expect_true(!lapic_owns(v, 0xfee00030));
	fake_vm_free(vm);
}

static void page_moves(void **state)
{
	struct vm *vm = new_machine(1);
	struct vcpu *v = vm->vcpu[0];
	u32 val = 0;

	expect_eq(lapic_set_base(v, 0xd0000900, false), 0);
	expect_true(!lapic_owns(v, 0xfee00030));
	expect_true(lapic_owns(v, 0xd0000030));
	lapic_mmio_read(v, 0xd0000030, 4, &val);
	expect_eq(val, 0x50014);
	fake_vm_free(vm);
}

static void odd_accesses(void **state)
{
	struct vm *vm = new_machine(1);
	struct vcpu *v = vm->vcpu[0];
	u64 val = 0;

	lapic_mmio_read(v, APIC_DEFAULT_BASE + APIC_VERSION + 2, 1, &val);
	expect_eq(val, 5);
	val = ~0ull;
	lapic_mmio_read(v, APIC_DEFAULT_BASE + APIC_VERSION, 8, &val);
	expect_eq(val, 0);
	lapic_mmio_read(v, APIC_DEFAULT_BASE + APIC_VERSION + 4, 4, &val);
	expect_eq(val, 0);
	val = 0x20;
	lapic_mmio_write(v, APIC_DEFAULT_BASE + APIC_TPR, 1, &val);
	expect_eq(fake_apic_read(v, APIC_TPR), 0);
	fake_vm_free(vm);
}

static void ipis_by_shorthand(void **state)
{
	struct vm *vm = new_machine(3);

	fake_apic_write(vm->vcpu[0], APIC_ICR, 1u << 18 | ICR_ASSERT | 0x41);
	expect_eq(fake_take(vm->vcpu[0]), 0x41);
	expect_none(vm->vcpu[1]);
	fake_apic_write(vm->vcpu[0], APIC_ICR, 3u << 18 | ICR_ASSERT | 0x52);
	expect_none(vm->vcpu[0]);
	expect_eq(fake_take(vm->vcpu[1]), 0x52);
	expect_eq(fake_take(vm->vcpu[2]), 0x52);
	fake_apic_write(vm->vcpu[0], APIC_ICR, 2u << 18 | ICR_ASSERT | 0x63);
	expect_eq(fake_take(vm->vcpu[0]), 0x63);
	expect_eq(fake_take(vm->vcpu[1]), 0x63);
	expect_eq(fake_apic_read(vm->vcpu[0], APIC_ICR), 2u << 18 | ICR_ASSERT | 0x63);
	fake_vm_free(vm);
}

static void logical_destinations(void **state)
{
	struct vm *vm = new_machine(3);
	struct lapic_message m = { .vector = 0x41, .logical = true };
	unsigned i;

	for (i = 0; i < 3; i++)
		fake_apic_write(vm->vcpu[i], APIC_LDR, (i < 2 ? 0x10u : 0x20u) << 24 | 1u << (24 + i % 2));
	m.dest = 0x21; /* flat: bits of any */
	expect_eq(lapic_deliver(vm, NULL, &m), 2);
	for (i = 0; i < 3; i++)
		fake_apic_write(vm->vcpu[i], APIC_DFR, 0x0fffffff);
	m.dest = 0x21; /* cluster 2, member 0 */
	expect_eq(lapic_deliver(vm, NULL, &m), 1);
	m.dest = 0x13;
	expect_eq(lapic_deliver(vm, NULL, &m), 2);
	m.dest = 0xff;
	expect_eq(lapic_deliver(vm, NULL, &m), 3);
	m.dest = 0x41;
	expect_eq(lapic_deliver(vm, NULL, &m), 0);
	fake_vm_free(vm);
}

static void init_and_sipi(void **state)
{
	struct vm *vm = new_machine(2);
	struct vcpu *ap = vm->vcpu[1];
	u8 vector = 0;

	fake_apic_write(vm->vcpu[0], APIC_ICR2, 1u << 24);
	fake_apic_write(vm->vcpu[0], APIC_ICR, 0x6 << 8 | 0x9a);
	fake_apic_write(vm->vcpu[0], APIC_ICR, 0x5 << 8 | ICR_ASSERT | 1u << 15);
	expect_eq(lapic_events(ap), LAPIC_INIT);                     /* the SIPI before it is lost */
	fake_apic_write(vm->vcpu[0], APIC_ICR, 0x5 << 8 | 1u << 15); /* de-assert */
	fake_apic_write(vm->vcpu[0], APIC_ICR, 0x6 << 8 | 0x9b);
	expect_true(ap->requests & REQ_APIC);
	expect_eq(lapic_take_events(ap, &vector), LAPIC_INIT | LAPIC_SIPI);
	expect_eq(vector, 0x9b);
	expect_true(!lapic_has_events(ap));
	lapic_change_events(ap, LAPIC_INIT, 0);
	expect_true(lapic_has_events(ap));
	lapic_change_events(ap, 0, LAPIC_INIT);
	expect_true(!lapic_has_events(ap));
	fake_vm_free(vm);
}

static void init_keeps_base_and_id(void **state)
{
	struct vm *vm = new_machine(1);
	struct vcpu *v = vm->vcpu[0];

	lapic_set_base(v, 0xd0000900, true);
	lapic_reset(v, true);
	expect_eq(v->apic_base, 0xd0000900);
	lapic_reset(v, false);
	expect_eq(v->apic_base, 0xfee00900);
	fake_vm_free(vm);
}

static void base_transitions(void **state)
{
	struct vm *vm = new_machine(1);
	struct vcpu *v = vm->vcpu[0];

	expect_eq(lapic_set_base(v, 0xfee00500, false), 1);         /* x2APIC without enable */
	expect_eq(lapic_set_base(v, 0xfee00901, false), 1);         /* reserved */
	expect_eq(lapic_set_base(v, 1ull << 40 | 0x900, false), 1); /* above MAXPHYADDR */
	expect_eq(lapic_set_base(v, 0xfee00100, false), 0);
	expect_eq(lapic_set_base(v, 0xfee00d00, false), 1); /* disabled to x2APIC */
	expect_eq(lapic_set_base(v, 0xfee00900, false), 0);
	expect_eq(lapic_set_base(v, 0xfee00d00, false), 0);
	expect_eq(lapic_set_base(v, 0xfee00900, false), 1); /* x2APIC to xAPIC */
	expect_eq(lapic_set_base(v, 0xfee00900, true), 0);  /* but user space may */
	fake_cpuid(v, 0);
	expect_eq(lapic_set_base(v, 0xfee00d00, true), 1);
	fake_vm_free(vm);
}

static void x2apic_registers(void **state)
{
	struct vm *vm = new_machine(2);
	struct vcpu *v = vm->vcpu[1];
	u64 val;

	expect_eq(lapic_read_msr(v, 0x802, &val), 1);
	go_x2apic(v);
	expect_eq(msr(v, 0x802), 1);
	expect_eq(msr(v, 0x80d), 2); /* LDR: cluster 0, bit 1 */
	expect_eq(lapic_write_msr(v, 0x802, 1), 1);
	expect_eq(lapic_write_msr(v, 0x80d, 1), 1);
	expect_eq(lapic_read_msr(v, 0x80e, &val), 1); /* no DFR */
	expect_eq(lapic_read_msr(v, 0x831, &val), 1); /* no ICR2 */
	expect_eq(lapic_read_msr(v, 0x80b, &val), 1); /* EOI is write-only */
	expect_eq(lapic_write_msr(v, 0x808, 1ull << 32), 1);
	expect_eq(lapic_write_msr(v, 0x808, 0x20), 0);
	expect_eq(msr(v, 0x808), 0x20);
	expect_eq(lapic_write_msr(v, 0x828, 1), 1); /* ESR: only 0 */
	expect_eq(lapic_write_msr(v, 0x828, 0), 0);
	expect_eq(lapic_write_msr(v, 0x83f, 0x141), 1);
	expect_eq(lapic_write_msr(v, 0x83f, 0x41), 0); /* self IPI */
	expect_eq(fake_take(v), 0x41);
	expect_eq(lapic_write_msr(v, 0x80b, 0), 0);
	/* The page is gone. */
	expect_eq(fake_apic_read(v, APIC_VERSION), ~0u);
	fake_vm_free(vm);
}

static void x2apic_ipis(void **state)
{
	struct vm *vm = new_machine(3);
	unsigned i;

	for (i = 0; i < 3; i++)
		go_x2apic(vm->vcpu[i]);
	expect_eq(lapic_write_msr(vm->vcpu[0], 0x830, 2ull << 32 | ICR_ASSERT | 1u << 13 | 0x41),
		  1); /* reserved bits */
	expect_eq(lapic_write_msr(vm->vcpu[0], 0x830, 2ull << 32 | ICR_ASSERT | 1u << 31 | 0x41), 1);
	expect_eq(lapic_write_msr(vm->vcpu[0], 0x830, 2ull << 32 | ICR_ASSERT | 0x41), 0);
	expect_eq(fake_take(vm->vcpu[2]), 0x41);
	expect_eq(msr(vm->vcpu[0], 0x830), 2ull << 32 | ICR_ASSERT | 0x41);
	lapic_write_msr(vm->vcpu[0], 0x830, 3ull << 32 | 1u << 11 | ICR_ASSERT | 0x52); /* logical: 0 and 1 */
	expect_eq(fake_take(vm->vcpu[0]), 0x52);
	expect_eq(fake_take(vm->vcpu[1]), 0x52);
	expect_none(vm->vcpu[2]);
	lapic_write_msr(vm->vcpu[0], 0x830, 0xffffffffull << 32 | ICR_ASSERT | 0x63);
	for (i = 0; i < 3; i++)
		expect_eq(fake_take(vm->vcpu[i]), 0x63);
	fake_vm_free(vm);
}

static void device_broadcast_in_x2apic_mode(void **state)
{
	struct vm *vm = new_machine(2);
	struct lapic_message m = { .vector = 0x41, .dest = 0xff };

	go_x2apic(vm->vcpu[0]);
	go_x2apic(vm->vcpu[1]);
	expect_eq(lapic_deliver(vm, NULL, &m), 2);
	vm->x2apic_flags = KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
	expect_eq(lapic_deliver(vm, NULL, &m), 0);
	fake_vm_free(vm);
}

static void error_register(void **state)
{
	struct vm *vm = new_machine(1);
	struct vcpu *v = vm->vcpu[0];

	fake_apic_write(v, APIC_LVTERR, 0xfe);
	fake_apic_write(v, APIC_ICR, 1u << 18 | ICR_ASSERT | 0x05);
	expect_eq(fake_apic_read(v, APIC_ESR), 0);
	fake_apic_write(v, APIC_ESR, 0);
	expect_eq(fake_apic_read(v, APIC_ESR), APIC_ESR_SEND_ILLEGAL | APIC_ESR_RECEIVE_ILLEGAL);
	expect_eq(fake_take(v), 0xfe);
	fake_apic_write(v, APIC_ESR, 0);
	expect_eq(fake_apic_read(v, APIC_ESR), 0);
	fake_vm_free(vm);
}

static void local_vectors(void **state)
{
	struct vm *vm = new_machine(1);
	struct vcpu *v = vm->vcpu[0];

	expect_true(!lapic_local(v->lapic, APIC_LVTPC));
	fake_apic_write(v, APIC_LVTPC, 4 << 8 | 0x02);
	expect_true(lapic_local(v->lapic, APIC_LVTPC));
	expect_eq(fake_nmis, 1);
	expect_true(fake_apic_read(v, APIC_LVTPC) & APIC_LVT_MASKED);
	expect_true(!lapic_local(v->lapic, APIC_LVTPC));
	fake_apic_write(v, APIC_LVT1, 0xffffffff);
	expect_eq(fake_apic_read(v, APIC_LVT1), 0x1f7ff);
	fake_apic_write(v, APIC_CMCI, 0x33);
	expect_eq(fake_apic_read(v, APIC_CMCI), 0);
	lapic_set_cmci(v, true);
	expect_eq(fake_apic_read(v, APIC_VERSION), 0x60014);
	fake_apic_write(v, APIC_CMCI, 0x33);
	lapic_raise_cmci(v);
	expect_eq(fake_take(v), 0x33);
	fake_vm_free(vm);
}

static void state_goes_out_and_in(void **state)
{
	struct vm *vm = new_machine(2), *other = new_machine(2);
	struct vcpu *v = vm->vcpu[1], *w = other->vcpu[1];
	struct kvm_lapic_state s;
	u32 id;

	send(v, 0x51);
	fake_take(v);
	send(v, 0x61);
	fake_apic_write(v, APIC_TPR, 0x20);
	lapic_get_state(v, &s);
	expect_eq(lapic_set_state(w, &s), 0);
	expect_eq(fake_apic_read(w, APIC_TPR), 0x20);
	expect_eq(fake_take(w), 0x61);
	fake_apic_write(w, APIC_EOI, 0);
	expect_eq(fake_apic_read(w, APIC_ISR + 0x20), 1u << 17);
	/* x2APIC: the id in the old format is in the top byte. */
	go_x2apic(v);
	lapic_get_state(v, &s);
	memcpy(&id, s.regs + APIC_ID, 4);
	expect_eq(id, 1u << 24);
	go_x2apic(w);
	expect_eq(lapic_set_state(w, &s), 0);
	expect_eq(msr(w, 0x802), 1);
	other->x2apic_flags = KVM_X2APIC_API_USE_32BIT_IDS;
	expect_error(lapic_set_state(w, &s), EINVAL);
	lapic_get_state(w, &s);
	memcpy(&id, s.regs + APIC_ID, 4);
	expect_eq(id, 1);
	expect_eq(lapic_set_state(w, &s), 0);
	fake_vm_free(vm);
	fake_vm_free(other);
}

int chip_lapic_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(state_after_reset),
		cmocka_unit_test(priorities),
		cmocka_unit_test(vector_registers),
		cmocka_unit_test(software_disable),
		cmocka_unit_test(hardware_disable),
		cmocka_unit_test(page_moves),
		cmocka_unit_test(odd_accesses),
		cmocka_unit_test(ipis_by_shorthand),
		cmocka_unit_test(logical_destinations),
		cmocka_unit_test(init_and_sipi),
		cmocka_unit_test(init_keeps_base_and_id),
		cmocka_unit_test(base_transitions),
		cmocka_unit_test(x2apic_registers),
		cmocka_unit_test(x2apic_ipis),
		cmocka_unit_test(device_broadcast_in_x2apic_mode),
		cmocka_unit_test(error_register),
		cmocka_unit_test(local_vectors),
		cmocka_unit_test(state_goes_out_and_in),
	};

	return cmocka_run_group_tests_name("lapic", tests, NULL, NULL);
}
