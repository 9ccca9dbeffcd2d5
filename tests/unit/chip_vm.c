/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The parts of core that the chips call, for tests: a bus without snapshots, vCPUs that never run. */
#include <stdlib.h>
#include "chip_fake.h"

#define MAX_DEVICES 256

static struct {
	struct vm *vm;
	enum vm_bus bus;
	u64 addr;
	u32 len;
	struct bus_dev *dev;
} devices[MAX_DEVICES];
static unsigned nr_devices;

unsigned fake_kicks, fake_nmis;
void (*fake_on_kick)(struct vcpu *v);

int bus_register(struct vm *vm, enum vm_bus bus, u64 addr, u32 len, struct bus_dev *d)
{
	if (nr_devices == MAX_DEVICES)
		return -ENOSPC;
	devices[nr_devices].vm = vm;
	devices[nr_devices].bus = bus;
	devices[nr_devices].addr = addr;
	devices[nr_devices].len = len;
	devices[nr_devices++].dev = d;
	return 0;
}

void bus_unregister(struct vm *vm, enum vm_bus bus, struct bus_dev *d)
{
	unsigned i;

	for (i = 0; i < nr_devices; i++) {
		if (devices[i].dev == d && devices[i].bus == bus) {
			devices[i] = devices[--nr_devices];
			return;
		}
	}
}

static struct bus_dev *find(struct vm *vm, enum vm_bus bus, u64 addr)
{
	unsigned i;

	for (i = 0; i < nr_devices; i++)
		if (devices[i].vm == vm && devices[i].bus == bus && addr - devices[i].addr < devices[i].len)
			return devices[i].dev;
	abort(); /* the chip that the test wants is not there */
}

void vcpu_kick(struct vcpu *v)
{
	fake_kicks++;
	if (fake_on_kick)
		fake_on_kick(v);
}

void vcpu_queue_nmi(struct vcpu *v)
{
	fake_nmis++;
}

void vm_request_all(struct vm *vm, u32 req)
{
	u32 i;

	for (i = 0; i < vm_nr_vcpus(vm); i++)
		vcpu_request(vm->vcpu[i], req);
}

int hyperv_set_sint(struct vm *vm, u32 vp_index, u32 sint)
{
	return -1;
}

int xen_raise(struct vm *vm, u32 vcpu_id, u32 port)
{
	return -1;
}

void hyperv_eoi(struct vcpu *v, unsigned vector)
{
}

u64 vcpu_read_tsc(struct vcpu *v)
{
	return host_tsc() + (u64)v->tsc_offset;
}

static void add_vcpu(struct vm *vm, unsigned id)
{
	struct vcpu *v = host_alloc_pages(sizeof(*v));

	v->vm = vm;
	v->id = v->index = id;
	v->tsc_khz = FAKE_TSC_KHZ;
	v->tsc_ratio = 1ull << 32;
	v->state.maxphyaddr = 40;
	if (lapic_create(v))
		abort();
	vm->vcpu[id] = v;
	__atomic_store_n(&vm->nr_vcpus, id + 1, __ATOMIC_RELEASE);
	lapic_reset(v, false);
}

struct vm *fake_vm(enum irqchip_mode mode, unsigned nr)
{
	struct vm *vm = host_alloc_pages(sizeof(*vm));
	unsigned i;

	host_mutex_init(&vm->lock);
	host_mutex_init(&vm->irq_lock);
	host_srcu_init(&vm->srcu);
	if (mode == IRQCHIP_SPLIT ? irqchip_split(vm, IOAPIC_PINS) : irqchip_create(vm))
		abort();
	for (i = 0; i < nr; i++)
		add_vcpu(vm, i);
	fake_kicks = fake_nmis = 0;
	fake_on_kick = NULL;
	return vm;
}

void fake_vm_free(struct vm *vm)
{
	unsigned i;

	irqchip_destroy(vm);
	for (i = 0; i < vm->nr_vcpus; i++) {
		lapic_destroy(vm->vcpu[i]);
		host_free(vm->vcpu[i]->cpuid);
		host_free_pages(vm->vcpu[i], sizeof(struct vcpu));
	}
	host_srcu_destroy(&vm->srcu);
	host_free_pages(vm, sizeof(*vm));
}

void fake_out(struct vm *vm, u16 port, u8 val)
{
	struct bus_dev *d = find(vm, BUS_PIO, port);

	if (d->ops->write(d, NULL, port, 1, &val))
		abort();
}

u8 fake_in(struct vm *vm, u16 port)
{
	struct bus_dev *d = find(vm, BUS_PIO, port);
	u8 val = 0;

	if (d->ops->read(d, NULL, port, 1, &val))
		abort();
	return val;
}

void fake_mmio_write(struct vm *vm, u64 gpa, u32 val)
{
	struct bus_dev *d = find(vm, BUS_MMIO, gpa);

	if (d->ops->write(d, NULL, gpa, 4, &val))
		abort();
}

u32 fake_mmio_read(struct vm *vm, u64 gpa)
{
	struct bus_dev *d = find(vm, BUS_MMIO, gpa);
	u32 val = 0;

	if (d->ops->read(d, NULL, gpa, 4, &val))
		abort();
	return val;
}

void fake_apic_write(struct vcpu *v, unsigned reg, u32 val)
{
	lapic_mmio_write(v, APIC_DEFAULT_BASE + reg, 4, &val);
}

u32 fake_apic_read(struct vcpu *v, unsigned reg)
{
	u32 val = 0;

	lapic_mmio_read(v, APIC_DEFAULT_BASE + reg, 4, &val);
	return val;
}

void fake_apic_enable(struct vcpu *v)
{
	fake_apic_write(v, APIC_SPIV, 0x1ff);
}

struct vm *fake_machine(enum irqchip_mode mode, unsigned nr)
{
	struct vm *vm = fake_vm(mode, nr);
	unsigned i;

	for (i = 0; i < nr; i++) {
		fake_apic_enable(vm->vcpu[i]);
		fake_apic_write(vm->vcpu[i], APIC_LVT0, APIC_LVT_MASKED);
	}
	return vm;
}

int fake_take(struct vcpu *v)
{
	return irq_pending(v) ? irq_acknowledge(v) : -1;
}

void fake_cpuid(struct vcpu *v, u32 leaf1_ecx)
{
	host_free(v->cpuid);
	v->cpuid = host_alloc(sizeof(*v->cpuid));
	v->cpuid->function = 1;
	v->cpuid->ecx = leaf1_ecx;
	v->nr_cpuid = 1;
	v->state.features[X86F_X2APIC >> 6] &= ~(1ull << (X86F_X2APIC & 63));
	if (leaf1_ecx & BIT(21))
		v->state.features[X86F_X2APIC >> 6] |= 1ull << (X86F_X2APIC & 63);
}
