/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Ioctls of a VM: fetch the argument, call the one function that does the work, give the result back. Small
 * settings without a home of their own are here too.
 */
#include "irqchip.h"
#include "kvm_later.h"

#define PAGE_BYTES 4096
#define MIN_MMU_PAGES 64
#define MAX_PMU_EVENTS 300
#define MAX_ROUTES 4096
#define MAX_TSC_RATIO 256 /* what the 32.32 ratio of clock.c takes */

/* --- settings -------------------------------------------------------------------------------------- */

static long set_tss_addr(struct vm *vm, unsigned long addr)
{
	if (addr > (u32)(-3 * PAGE_BYTES))
		return -EINVAL;
	__atomic_store_n(&vm->tss_addr, addr, __ATOMIC_RELAXED);
	return 0;
}

static long set_identity_map_addr(struct vm *vm, unsigned long arg)
{
	u64 addr;
	long r = 0;

	host_mutex_lock(&vm->lock);
	if (vm->nr_vcpus)
		r = -EINVAL;
	else if (host_copy_from_user(&addr, (void *)arg, sizeof(addr)))
		r = -EFAULT;
	else
		__atomic_store_n(&vm->identity_map_addr, addr, __ATOMIC_RELAXED);
	host_mutex_unlock(&vm->lock);
	return r;
}

static long set_boot_cpu_id(struct vm *vm, unsigned long id)
{
	long r = 0;

	if (id > VM_MAX_VCPU_ID)
		return -EINVAL;
	host_mutex_lock(&vm->lock);
	if (vm->nr_vcpus)
		r = -EBUSY;
	else
		vm->boot_cpu_id = (u32)id;
	host_mutex_unlock(&vm->lock);
	return r;
}

static long set_tsc_khz(struct vm *vm, unsigned long arg)
{
	u32 khz = (u32)arg;

	if (khz >= (u64)host_tsc_khz() * MAX_TSC_RATIO)
		return -EINVAL;
	__atomic_store_n(&vm->default_tsc_khz, khz ? khz : host_tsc_khz(), __ATOMIC_RELAXED);
	return 0;
}

static long set_mmu_pages(struct vm *vm, unsigned long n)
{
	if (n < MIN_MMU_PAGES)
		return -EINVAL;
	__atomic_store_n(&vm->mmu_pages, (u32)n, __ATOMIC_RELAXED);
	return 0;
}

/* No PMU is offered, so any valid filter holds. */
static long set_pmu_filter(unsigned long arg)
{
	struct kvm_pmu_event_filter f;

	if (host_copy_from_user(&f, (void *)arg, sizeof(f)))
		return -EFAULT;
	if (f.action != KVM_PMU_EVENT_ALLOW && f.action != KVM_PMU_EVENT_DENY)
		return -EINVAL;
	if (f.flags)
		return -EINVAL;
	return f.nevents > MAX_PMU_EVENTS ? -E2BIG : 0;
}

/* --- interrupt chips ---------------------------------------------------------------------------------- */

static long create_irqchip(struct vm *vm)
{
	int r;

	host_mutex_lock(&vm->lock);
	r = irqchip_create(vm);
	host_mutex_unlock(&vm->lock);
	return r;
}

static long irq_line(struct vm *vm, unsigned long arg, bool status)
{
	struct kvm_irq_level line;

	if (host_copy_from_user(&line, (void *)arg, sizeof(line)))
		return -EFAULT;
	if (vm_irqchip_mode(vm) == IRQCHIP_NONE)
		return -ENXIO;
	line.status = irq_set_line(vm, IRQ_SOURCE_USER, line.irq, line.level);
	return status ? host_copy_to_user((void *)arg, &line, sizeof(line)) : 0;
}

static long irqchip_state(struct vm *vm, unsigned long arg, bool set)
{
	struct kvm_irqchip *chip = host_alloc(sizeof(*chip));
	long r;

	if (!chip)
		return -ENOMEM;
	r = host_copy_from_user(chip, (void *)arg, sizeof(*chip));
	if (!r && vm_irqchip_mode(vm) != IRQCHIP_KERNEL)
		r = -ENXIO;
	if (!r)
		r = set ? irqchip_set(vm, chip) : irqchip_get(vm, chip);
	if (!r && !set)
		r = host_copy_to_user((void *)arg, chip, sizeof(*chip));
	host_free(chip);
	return r;
}

static long create_pit(struct vm *vm, unsigned long arg, bool with_config)
{
	struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };
	long r;

	if (with_config && host_copy_from_user(&config, (void *)arg, sizeof(config)))
		return -EFAULT;
	host_mutex_lock(&vm->lock);
	r = pit_create(vm, config.flags);
	host_mutex_unlock(&vm->lock);
	return r;
}

/* KVM_GET_PIT is KVM_GET_PIT2 without its flags; size tells which. */
static long get_pit(struct vm *vm, unsigned long arg, size_t size)
{
	struct kvm_pit_state2 s;
	long r;

	/* KVM_GET_PIT's number says that it reads its argument: an unreadable one is the first error. */
	if (size == sizeof(struct kvm_pit_state) && host_copy_from_user(&s, (void *)arg, size))
		return -EFAULT;
	r = pit_get_state(vm, &s);
	return r ? r : host_copy_to_user((void *)arg, &s, size);
}

static long set_pit(struct vm *vm, unsigned long arg, size_t size)
{
	struct kvm_pit_state2 s, in;
	long r;

	if (host_copy_from_user(&in, (void *)arg, size))
		return -EFAULT;
	host_mutex_lock(&vm->lock);
	r = pit_get_state(vm, &s);
	if (!r) {
		memcpy(&s, &in, size);
		r = pit_set_state(vm, &s);
	}
	host_mutex_unlock(&vm->lock);
	return r;
}

static long reinject_control(struct vm *vm, unsigned long arg)
{
	struct kvm_reinject_control c;

	if (host_copy_from_user(&c, (void *)arg, sizeof(c)))
		return -EFAULT;
	return pit_reinject(vm, c.pit_reinject);
}

static long set_routing(struct vm *vm, unsigned long arg)
{
	struct kvm_irq_routing head;
	struct kvm_irq_routing_entry *entries = NULL;
	size_t size;
	long r = 0;

	if (host_copy_from_user(&head, (void *)arg, sizeof(head)))
		return -EFAULT;
	if (vm_irqchip_mode(vm) == IRQCHIP_NONE || head.nr > MAX_ROUTES || head.flags)
		return -EINVAL;
	size = head.nr * sizeof(*entries);
	if (head.nr) {
		entries = host_alloc(size);
		if (!entries)
			return -ENOMEM;
		r = host_copy_from_user(entries, (void *)(arg + offsetof(struct kvm_irq_routing, entries)), size);
	}
	if (!r)
		r = irq_set_routing(vm, entries, head.nr, head.flags);
	host_free(entries);
	return r;
}

static long signal_msi(struct vm *vm, const struct kvm_msi *msi)
{
	if (vm_irqchip_mode(vm) == IRQCHIP_NONE || msi->flags)
		return -EINVAL;
	return irq_send_msi(vm, msi);
}

/* --- objects -------------------------------------------------------------------------------------------- */

/* As Linux, of the number's 64 bits the lower half counts. */
static long create_vcpu(struct vm *vm, u32 id, struct object *made)
{
	int r = vcpu_create(vm, id, &made->vcpu);

	if (!r)
		made->type = OBJ_VCPU;
	return r;
}

static long create_stats(struct vm *vm, struct object *made)
{
	int r = stats_open(vm, NULL, &made->stats);

	if (!r)
		made->type = OBJ_STATS;
	return r;
}

static long create_device(struct vm *vm, unsigned long arg, struct object *made)
{
	struct kvm_create_device cd;
	int r;

	if (host_copy_from_user(&cd, (void *)arg, sizeof(cd)))
		return -EFAULT;
	r = device_create(vm, &cd, made);
	return r ? r : host_copy_to_user((void *)arg, &cd, sizeof(cd));
}

/* --- dispatch ------------------------------------------------------------------------------------------- */

static long get_xen_attr(struct vm *vm, unsigned long arg)
{
	struct kvm_xen_hvm_attr a;
	int r;

	if (host_copy_from_user(&a, (void *)arg, sizeof(a)))
		return -EFAULT;
	r = xen_vm_attr(vm, &a, false);
	return r ? r : host_copy_to_user((void *)arg, &a, sizeof(a));
}

/* The ioctls that read one structure and write nothing back. */
static long ioctl_with_struct(struct vm *vm, u32 cmd, unsigned long arg)
{
	union {
		struct kvm_userspace_memory_region region;
		struct kvm_userspace_memory_region2 region2;
		struct kvm_dirty_log log;
		struct kvm_clear_dirty_log clear;
		struct kvm_coalesced_mmio_zone zone;
		struct kvm_irqfd irqfd;
		struct kvm_ioeventfd ioeventfd;
		struct kvm_msi msi;
		struct kvm_enable_cap cap;
		struct kvm_enc_region enc;
		struct kvm_msr_filter filter;
		struct kvm_hyperv_eventfd hyperv;
		struct kvm_xen_hvm_config xen;
		struct kvm_xen_hvm_attr xen_attr;
		struct kvm_irq_routing_xen_evtchn xen_event;
	} u;

	if (host_copy_from_user(&u, (void *)arg, _IOC_SIZE(cmd)))
		return -EFAULT;
	switch (cmd) {
	case KVM_SET_USER_MEMORY_REGION:
	case KVM_SET_USER_MEMORY_REGION2: return vm_set_memory_region(vm, &u.region);
	case KVM_GET_DIRTY_LOG: return vm_get_dirty_log(vm, &u.log);
	case KVM_CLEAR_DIRTY_LOG: return vm_clear_dirty_log(vm, &u.clear);
	case KVM_X86_SET_MSR_FILTER: return msr_set_filter(vm, &u.filter);
	case KVM_REGISTER_COALESCED_MMIO: return coalesced_register(vm, &u.zone);
	case KVM_UNREGISTER_COALESCED_MMIO: return coalesced_unregister(vm, &u.zone);
	case KVM_IRQFD: return irqfd_assign(vm, &u.irqfd);
	case KVM_IOEVENTFD: return ioeventfd_set(vm, &u.ioeventfd);
	case KVM_SIGNAL_MSI: return signal_msi(vm, &u.msi);
	case KVM_ENABLE_CAP: return cap_enable_vm(vm, &u.cap);
	case KVM_HYPERV_EVENTFD: return hyperv_eventfd(vm, &u.hyperv);
	case KVM_XEN_HVM_CONFIG: return xen_config(vm, &u.xen);
	case KVM_XEN_HVM_SET_ATTR: return xen_vm_attr(vm, &u.xen_attr, true);
	case KVM_XEN_HVM_EVTCHN_SEND: return xen_event_ioctl(vm, &u.xen_event);
	default: /* KVM_MEMORY_ENCRYPT_REG_REGION, KVM_MEMORY_ENCRYPT_UNREG_REGION */ return -ENOTTY;
	}
}

long vm_ioctl(struct vm *vm, u32 cmd, unsigned long arg, struct object *made)
{
	made->type = OBJ_NONE;
	if (__atomic_load_n(&vm->dead, __ATOMIC_ACQUIRE))
		return -EIO;
	vm_outside_event(vm);
	switch (cmd) {
	case KVM_SET_USER_MEMORY_REGION:
	case KVM_SET_USER_MEMORY_REGION2:
	case KVM_GET_DIRTY_LOG:
	case KVM_CLEAR_DIRTY_LOG:
	case KVM_X86_SET_MSR_FILTER:
	case KVM_REGISTER_COALESCED_MMIO:
	case KVM_UNREGISTER_COALESCED_MMIO:
	case KVM_IRQFD:
	case KVM_IOEVENTFD:
	case KVM_SIGNAL_MSI:
	case KVM_ENABLE_CAP:
	case KVM_HYPERV_EVENTFD:
	case KVM_XEN_HVM_CONFIG:
	case KVM_XEN_HVM_SET_ATTR:
	case KVM_XEN_HVM_EVTCHN_SEND:
	case KVM_MEMORY_ENCRYPT_REG_REGION:
	case KVM_MEMORY_ENCRYPT_UNREG_REGION: return ioctl_with_struct(vm, cmd, arg);
	case KVM_CREATE_VCPU: return create_vcpu(vm, (u32)arg, made);
	case KVM_CREATE_DEVICE: return create_device(vm, arg, made);
	case KVM_GET_STATS_FD: return create_stats(vm, made);
	case KVM_CHECK_EXTENSION: return cap_check(vm->engine, vm, arg);
	case KVM_CREATE_IRQCHIP: return create_irqchip(vm);
	case KVM_IRQ_LINE:
	case KVM_IRQ_LINE_STATUS: return irq_line(vm, arg, cmd == KVM_IRQ_LINE_STATUS);
	case KVM_GET_IRQCHIP:
	case KVM_SET_IRQCHIP: return irqchip_state(vm, arg, cmd == KVM_SET_IRQCHIP);
	case KVM_CREATE_PIT:
	case KVM_CREATE_PIT2: return create_pit(vm, arg, cmd == KVM_CREATE_PIT2);
	case KVM_GET_PIT: return get_pit(vm, arg, sizeof(struct kvm_pit_state));
	case KVM_GET_PIT2: return get_pit(vm, arg, sizeof(struct kvm_pit_state2));
	case KVM_SET_PIT: return set_pit(vm, arg, sizeof(struct kvm_pit_state));
	case KVM_SET_PIT2: return set_pit(vm, arg, sizeof(struct kvm_pit_state2));
	case KVM_REINJECT_CONTROL: return reinject_control(vm, arg);
	case KVM_SET_GSI_ROUTING: return set_routing(vm, arg);
	case KVM_SET_TSS_ADDR: return set_tss_addr(vm, arg);
	case KVM_SET_IDENTITY_MAP_ADDR: return set_identity_map_addr(vm, arg);
	case KVM_SET_BOOT_CPU_ID: return set_boot_cpu_id(vm, arg);
	case KVM_SET_NR_MMU_PAGES: return set_mmu_pages(vm, arg);
	case KVM_GET_NR_MMU_PAGES: return __atomic_load_n(&vm->mmu_pages, __ATOMIC_RELAXED);
	case KVM_SET_TSC_KHZ: return set_tsc_khz(vm, arg);
	case KVM_GET_TSC_KHZ: return __atomic_load_n(&vm->default_tsc_khz, __ATOMIC_RELAXED);
	case KVM_GET_CLOCK: return clock_get_ioctl(vm, arg);
	case KVM_SET_CLOCK: return clock_set_ioctl(vm, arg);
	case KVM_SET_PMU_EVENT_FILTER: return set_pmu_filter(arg);
	case KVM_XEN_HVM_GET_ATTR: return get_xen_attr(vm, arg);
	case KVM_RESET_DIRTY_RINGS: return vm_reset_dirty_rings(vm);
	default: /* among them KVM_MEMORY_ENCRYPT_OP */ return -ENOTTY;
	}
}
