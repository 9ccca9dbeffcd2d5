/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <sys/mman.h>
#include "core_fake.h"
#include "posix.h"
#include "vcpu_call.h"

struct fake fake;
struct x86_event fake_delivered;

static int nothing_vm(struct vm *vm)
{
	return 0;
}

static void no_vm(struct vm *vm)
{
}

static int create_vcpu(struct vcpu *v)
{
	struct x86_tlb *tlb = host_alloc_pages(sizeof(*tlb));

	if (!tlb)
		return -ENOMEM;
	x86_tlb_init(tlb);
	v->state.tlb = tlb;
	v->engine_vcpu = tlb;
	return 0;
}

static void destroy_vcpu(struct vcpu *v)
{
	host_free_pages(v->engine_vcpu, sizeof(struct x86_tlb));
}

static void enter(struct vcpu *v, struct vm_exit *exit)
{
	*exit = (struct vm_exit){ .code = VM_EXIT_NONE };
	assert_true(fake.next < fake.nr_steps);
	fake.steps[fake.next++](v, exit);
}

void __real_host_resched(void);
void __wrap_host_resched(void);
void __wrap_host_resched(void)
{
	if (fake.between_turns)
		fake.between_turns();
	__real_host_resched();
}

static void tlb_flush(struct vcpu *v)
{
	x86_tlb_flush(v->state.tlb);
	fake.tlb_flushes++;
}

static void settings_changed(struct vcpu *v)
{
	fake.settings_changed++;
}

static int slot_create(struct vm *vm, struct memslot *slot)
{
	return 0;
}

static void slot_free(struct vm *vm, struct memslot *slot)
{
}

const struct engine_ops fake_engine = {
	.name = "fake",
	.caps = { .soft = true, .xcr0 = 7 },
	.vm_create = nothing_vm,
	.vm_destroy = no_vm,
	.vcpu_create = create_vcpu,
	.vcpu_destroy = destroy_vcpu,
	.enter = enter,
	.tlb_flush = tlb_flush,
	.write_flush = tlb_flush,
	.slot_create = slot_create,
	.slot_free = slot_free,
	.settings_changed = settings_changed,
};

static int setup(int (*irqchip)(struct vm *vm))
{
	struct kvm_userspace_memory_region slot = { .memory_size = RAM_SIZE };

	signal_activate();
	fake = (struct fake){ 0 };
	fake.ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(fake.ram != MAP_FAILED);
	assert_int_equal(vm_create(&fake_engine, 0, &fake.vm), 0);
	slot.userspace_addr = (unsigned long)fake.ram;
	assert_int_equal(vm_set_memory_region(fake.vm, &slot), 0);
	if (irqchip)
		assert_int_equal(irqchip(fake.vm), 0);
	assert_int_equal(vcpu_create(fake.vm, 0, &fake.v), 0);
	fake.run = fake.v->run;
	vcpu_real_mode(fake.v, CODE);
	return 0;
}

int fake_setup(void **state)
{
	return setup(NULL);
}

int fake_setup_irqchip(void **state)
{
	return setup(irqchip_create);
}

static int split(struct vm *vm)
{
	return irqchip_split(vm, 24);
}

int fake_setup_split(void **state)
{
	return setup(split);
}

int fake_teardown(void **state)
{
	vcpu_put(fake.v);
	vm_put(fake.vm);
	munmap(fake.ram, RAM_SIZE);
	return 0;
}

void fake_script(fake_step *first, ...)
{
	va_list ap;
	fake_step *s;

	fake.nr_steps = fake.next = 0;
	va_start(ap, first);
	for (s = first; s; s = va_arg(ap, fake_step *)) {
		assert_true(fake.nr_steps < ARRAY_SIZE(fake.steps));
		fake.steps[fake.nr_steps++] = s;
	}
	va_end(ap);
}

void step_emulate(struct vcpu *v, struct vm_exit *exit)
{
	exit->code = VM_EXIT_EMULATE;
}

void step_hlt(struct vcpu *v, struct vm_exit *exit)
{
	v->state.rip++;
	exit->code = VM_EXIT_HLT;
}

void step_none(struct vcpu *v, struct vm_exit *exit)
{
}

void step_deliver(struct vcpu *v, struct vm_exit *exit)
{
	assert_true(v->inject_valid);
	fake_delivered = v->inject;
	v->inject_valid = false;
}

long fake_vcpu_ioctl(struct vcpu *v, u32 cmd, void *arg)
{
	return vcpu_call(v, cmd, (unsigned long)arg);
}

long fake_ioctl(u32 cmd, void *arg)
{
	return fake_vcpu_ioctl(fake.v, cmd, arg);
}

long fake_run(void)
{
	return vcpu_call_run(fake.v);
}

void fake_run_exits(u32 reason)
{
	assert_int_equal(fake_run(), 0);
	assert_int_equal(fake.run->exit_reason, reason);
}

void fake_code(const void *bytes, size_t n)
{
	memcpy(fake.ram + CODE, bytes, n);
}

void fake_data_at_mmio(void)
{
	struct kvm_sregs sregs;

	assert_int_equal(fake_ioctl(KVM_GET_SREGS, &sregs), 0);
	sregs.ds.base = sregs.es.base = MMIO;
	sregs.ds.limit = sregs.es.limit = 0xffffffff;
	sregs.ds.g = sregs.es.g = 1;
	assert_int_equal(fake_ioctl(KVM_SET_SREGS, &sregs), 0);
}

void fake_set_rflags(u64 rflags)
{
	struct kvm_regs regs;

	assert_int_equal(fake_ioctl(KVM_GET_REGS, &regs), 0);
	regs.rflags = rflags;
	assert_int_equal(fake_ioctl(KVM_SET_REGS, &regs), 0);
}
