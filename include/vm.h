/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * vm.h - a virtual machine: memory slots, buses, vCPUs, chips.
 *
 * Letters name what protects a field:
 *	I	immutable after creation
 *	L	vm->lock
 *	S	vm->slots_lock to change; readers in a vm->srcu section through the published pointer
 *	Q	vm->irq_lock to change; readers in a vm->srcu section
 *	a	atomic access
 */
#ifndef ANYKVM_VM_H
#define ANYKVM_VM_H

#include <linux/kvm.h>
#include "engine.h"
#include "host.h"
#include "monitor.h"

#define VM_MAX_VCPUS 1024 /* KVM_CAP_MAX_VCPUS */
#define VM_MAX_VCPU_ID 4096
#define VM_HALT_POLL_NS 100000 /* unless KVM_CAP_HALT_POLL says otherwise */
#define VM_USER_MEM_SLOTS 32764
#define VM_ADDRESS_SPACES 2 /* normal, SMM */

/* --- memory slots (core/memslot.c) ---------------------------------------------------------------- */

struct memslot {
	u64 gpa;             /* I  first guest-physical address */
	u64 npages;          /* I */
	u64 hva;             /* I  user-space address of the first byte */
	u32 flags;           /* I  KVM_MEM_*; a change of flags makes a new memslot */
	u16 id;              /* I */
	u16 as_id;           /* I */
	u64 *dirty;          /* a  one bit per page, NULL without KVM_MEM_LOG_DIRTY_PAGES */
	u64 *dirty_snapshot; /* S  buffer for KVM_GET_DIRTY_LOG; with dirty rings, a: pages that wait for room in one */
	void *engine;        /* I  per-slot data of the engine (soft: code marks and generations) */
};

/* An immutable snapshot of one address space, sorted by gpa. */
struct memslots {
	u64 generation;
	u32 nr;
	struct memslot *slot[];
};

/* Find the slot that holds gpa; NULL: none. Caller in a vm->srcu section. */
struct memslot *memslots_find(const struct memslots *slots, u64 gpa);
/* The slot with this number, or NULL. */
struct memslot *memslots_by_id(const struct memslots *slots, u16 id);
static inline u64 memslot_bitmap_words(const struct memslot *slot)
{
	return (slot->npages + 63) / 64;
}

int vm_set_memory_region(struct vm *vm, const struct kvm_userspace_memory_region *r);
void vm_free_memslots(struct vm *vm);

/*
 * Guest-physical access by core itself (kvmclock pages, emulation in the kernel). 0 or -EFAULT. In a srcu section. v: the vCPU whose
 * dirty ring reports the write; any thread.
 */
int vm_read_guest(struct vm *vm, u64 gpa, void *buf, u32 len);
/* One byte without sleeping: -EFAULT also if the page is not there at once. */
int vm_peek_guest(struct vm *vm, u64 gpa, u8 *val);
int vcpu_write_guest(struct vcpu *v, u64 gpa, const void *buf, u32 len);
/* Compare-exchange of 4 or 8 aligned bytes. 0, -EAGAIN (the value was another), -EFAULT. */
int vcpu_cmpxchg_guest(struct vcpu *v, u64 gpa, u64 old, u64 val, unsigned size);

/* --- which pages were written to: by bitmaps (core/dirty_log.c) or by rings (core/dirty_ring.c), one of the two for a VM ------ */

/* Mark the page that holds gpa dirty, if the slot logs; for the bitmap or for v's ring. Any thread in a srcu section. */
void memslot_mark_dirty(struct vcpu *v, struct memslot *slot, u64 gpa);
/* Bits have been cleared: nobody writes to those pages any more without marking them. Under slots_lock. */
void dirty_flush(struct vm *vm);
int vm_get_dirty_log(struct vm *vm, const struct kvm_dirty_log *log);
int vm_clear_dirty_log(struct vm *vm, const struct kvm_clear_dirty_log *log);

#define DIRTY_RING_MAX_BYTES (65536u * (u32)sizeof(struct kvm_dirty_gfn)) /* KVM_CAP_DIRTY_LOG_RING */
/* Under vm->lock. 0, -EINVAL, -E2BIG. */
int vm_enable_dirty_ring(struct vm *vm, u32 bytes);
/* KVM_RESET_DIRTY_RINGS: how many entries were harvested; -EINVAL without rings. */
int vm_reset_dirty_rings(struct vm *vm);

/* --- buses (core/bus.c): in-process devices, ioeventfds, coalesced zones ----------------------------- */

enum vm_bus { BUS_MMIO, BUS_PIO, BUS_COUNT };

struct bus_dev;
struct bus_dev_ops {
	bool unlimited; /* does not count against the limit of devices per bus (ioeventfds) */
	/* 0: handled. -EOPNOTSUPP: not mine after all (continue with the next). v is the accessing vCPU. */
	int (*read)(struct bus_dev *d, struct vcpu *v, u64 addr, u32 len, void *val);
	int (*write)(struct bus_dev *d, struct vcpu *v, u64 addr, u32 len, const void *val);
	void (*destroy)(struct bus_dev *d); /* optional */
};
struct bus_dev {
	const struct bus_dev_ops *ops;
};

/*
 * Several devices may share a range (ioeventfds with datamatch): each that contains the access whole is asked, in order of
 * address, then of registration. len 0: any access that starts at addr. Both take vm->slots_lock. On return from
 * bus_unregister nobody uses d any more (it leaves all its ranges); the caller frees it.
 */
int bus_register(struct vm *vm, enum vm_bus bus, u64 addr, u32 len, struct bus_dev *d); /* 0, -ENOMEM, -ENOSPC */
void bus_unregister(struct vm *vm, enum vm_bus bus, struct bus_dev *d);
/* The same for callers that hold vm->slots_lock. */
int bus_register_locked(struct vm *vm, enum vm_bus bus, u64 addr, u32 len, struct bus_dev *d);
void bus_unregister_locked(struct vm *vm, enum vm_bus bus, struct bus_dev *d);
/* 0: handled; -EOPNOTSUPP: nobody there. In a srcu section. */
int bus_read(struct vcpu *v, enum vm_bus bus, u64 addr, u32 len, void *val);
int bus_write(struct vcpu *v, enum vm_bus bus, u64 addr, u32 len, const void *val);

/* --- the VM ---------------------------------------------------------------------------------------------- */

enum irqchip_mode { IRQCHIP_NONE, IRQCHIP_KERNEL, IRQCHIP_SPLIT };

struct pic;
struct ioapic;
struct pit;
struct irq_routes;
struct msr_filter;
struct bus_devs;

struct vm {
	const struct engine_ops *engine; /* I */
	void *engine_vm;                 /* I  the engine's own data */
	u32 refs;                        /* a */
	bool dead;                       /* a  an internal error made it unusable: ioctls give EIO */
	u32 outside;                     /* a  see vm_outside_event */

	struct host_mutex lock;
	struct host_mutex slots_lock;
	struct host_mutex irq_lock;
	struct host_srcu srcu;

	struct vcpu *vcpu[VM_MAX_VCPUS]; /* L  by index of creation; readers: nr_vcpus acquire */
	u32 nr_vcpus;                    /* a  grows only (under L) */

	struct memslots *slots[VM_ADDRESS_SPACES]; /* S */
	struct bus_devs *bus[BUS_COUNT];           /* S */
	struct coalesced *coalesced;               /* S  zones, core/coalesced.c */

	u32 irqchip_mode;          /* L  set once, read anywhere (acquire) */
	struct pic *pic;           /* I once irqchip_mode is set */
	struct ioapic *ioapic;     /* I once irqchip_mode is set */
	struct pit *pit;           /* L, then I */
	struct irq_routes *routes; /* Q */
	u32 split_pins;            /* L  routes reserved for the user-space IOAPIC */
	void *irqfds;              /* Q  list of irqfds, irqchip/irqfd.c */
	void *ioeventfds;          /* S  core/ioeventfd.c */

	/* Settings by KVM_ENABLE_CAP and friends. L to change, read anywhere. */
	u64 tss_addr;
	u64 identity_map_addr;
	u32 max_vcpu_ids;        /* KVM_CAP_MAX_VCPU_ID; the first vCPU fixes it */
	u32 mmu_pages;           /* KVM_SET_NR_MMU_PAGES; nothing depends on it */
	u32 boot_cpu_id;         /* KVM_SET_BOOT_CPU_ID */
	u64 x2apic_flags;        /* KVM_CAP_X2APIC_API */
	u64 disabled_exits;      /* KVM_CAP_X86_DISABLE_EXITS, of those in the engine's native_exits */
	u64 user_msr_mask;       /* KVM_CAP_X86_USER_SPACE_MSR */
	u64 dirty_protect_flags; /* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 */
	u32 dirty_ring_size;     /* KVM_CAP_DIRTY_LOG_RING: bytes for each vCPU; 0: bitmaps */
	bool dirty_in_engine;    /* a  a vCPU in guest mode has dirty pages that are marked when it leaves it */
	u64 disabled_quirks;
	bool exit_hypercall, triple_fault_event, exception_payload, platform_info_off, exit_on_emulation_error;
	u32 exit_hypercall_mask;
	u32 max_halt_poll_ns;          /* KVM_CAP_HALT_POLL: how long a vCPU may spin in HLT before it sleeps */
	struct msr_filter *msr_filter; /* S */

	/*
	 * Time (core/clock.c). clock_lock is innermost. kvmclock is the host's TSC since the VM's creation in nanoseconds, plus
	 * an offset: no second clock is sampled, so it never jumps. TSC writes of vCPUs that mean "the same time" get the same
	 * offset (a generation).
	 */
	struct host_lock clock_lock;
	u64 clock_base_tsc, clock_base_ns; /* clock_lock: an instant in host TSC and in ns since creation */
	s64 kvmclock_offset;               /* clock_lock */
	u32 default_tsc_khz;               /* a */
	u64 tsc_write_ns, tsc_write_value, tsc_write_offset; /* clock_lock: the last write of any vCPU */
	u32 tsc_write_khz;
	u64 tsc_generation, tsc_generation_offset; /* clock_lock: the current generation */
	u32 tsc_matched;                           /* clock_lock: vCPUs of the generation but the first */
	bool old_kvmclock;                         /* clock_lock: the boot vCPU uses the old MSRs: never stable */
	u64 wall_clock_gpa;                        /* a */
	u64 nr_slot_pages;                         /* S */

	/* Hyper-V's MSRs of the partition (core/hyperv.c). a, but tsc_scale, tsc_offset: clock_lock; 0: the page is not in use. */
	struct hyperv {
		u64 os_id, hypercall, tsc_page;
		u64 crash[5], crash_ctl;
		u64 reenlightenment, tsc_emulation, tsc_emulation_status;
		u64 tsc_scale, tsc_offset;
		struct hyperv_debug {
			u64 control, status, send_page, receive_page, pending_page, options;
		} debug;
		struct hyperv_connections *connections; /* L to change, readers in a srcu section: KVM_HYPERV_EVENTFD */
	} hv;

	/* Guests of Xen (core/xen*.c). L to change; a, but blobs: L. */
	struct {
		u32 flags, msr,
			version; /* KVM_XEN_HVM_CONFIG_*, the MSR of the hypercall page (0: none), XENVER_version */
		u64 blob[2];     /* the page in user memory, for 32- and 64-bit guests, and how many there are */
		u8 blob_pages[2];
		bool long_mode;          /* layout of shared structures */
		u8 vector;               /* upcall; 0: none */
		u64 shared_info;         /* guest-physical address, ~0: none */
		struct xen_ports *ports; /* readers in a srcu section */
	} xen;

	struct monitor *monitor; /* I  of the process */
	u32 number;              /* I  of the VM in it, from 1 */
	struct vm_stat {
		u64 remote_tlb_flush;  /* a */
		u64 mmu_slots_changed; /* a */
		u64 irqs_injected;     /* a */
	} stat;
};

static inline struct memslots *vm_slots(struct vm *vm, unsigned as_id)
{
	return __atomic_load_n(&vm->slots[as_id], __ATOMIC_ACQUIRE);
}
static inline u32 vm_dirty_ring_size(const struct vm *vm)
{
	return __atomic_load_n(&vm->dirty_ring_size, __ATOMIC_ACQUIRE);
}
static inline u32 vm_nr_vcpus(struct vm *vm)
{
	return __atomic_load_n(&vm->nr_vcpus, __ATOMIC_ACQUIRE);
}
static inline enum irqchip_mode vm_irqchip_mode(const struct vm *vm)
{
	return (enum irqchip_mode)__atomic_load_n(&vm->irqchip_mode, __ATOMIC_ACQUIRE);
}

int vm_create(const struct engine_ops *engine, unsigned long type, struct vm **vm);
void vm_get(struct vm *vm);
void vm_put(struct vm *vm); /* the last reference destroys it */

/* Set a request on all vCPUs and kick those in guest mode. Does not wait: see host_srcu_synchronize. */
void vm_request_all(struct vm *vm, u32 req);

/* --- ioctls at the edge (core/ioctl*.c) -------------------------------------------------------------------
 * cmd and arg as the caller of ioctl(2) gave them; arg is a user-space pointer or an integer.
 * >= 0 or -errno. For ioctls that make an object, *made says what (the caller wraps it in an fd or handle).
 */
enum object_type { OBJ_NONE, OBJ_VM, OBJ_VCPU, OBJ_DEVICE, OBJ_STATS };
struct object {
	enum object_type type;
	union {
		struct vm *vm;
		struct vcpu *vcpu;
		struct stats_fd *stats;
		struct device *device;
	};
};
long system_ioctl(const struct engine_ops *engine, u32 cmd, unsigned long arg, struct object *made);
/*
 * Somebody outside guest mode tells the guest something (an ioctl on the VM, an irqfd's event) and may have changed its memory before,
 * as devices do by DMA. KVM_RUN of a vCPU is the same for that vCPU (engine_ops.load).
 */
static inline void vm_outside_event(struct vm *vm)
{
	__atomic_fetch_add(&vm->outside, 1, __ATOMIC_RELEASE);
}

long vm_ioctl(struct vm *vm, u32 cmd, unsigned long arg, struct object *made);
long vcpu_ioctl(struct vcpu *v, u32 cmd, unsigned long arg, struct object *made);
/* The counters one by one, for all who show them: of a struct vm, or (vcpu) of a struct vcpu_stat (stat.c). */
#define STAT_NAME_SIZE 48
u32 stat_count(bool vcpu);
u64 stat_value(const void *base, bool vcpu, u32 i);
void stat_name(bool vcpu, u32 i, char name[STAT_NAME_SIZE]);
/* KVM_GET_STATS_FD: of v, or of the VM where v is NULL; holds a reference on the VM. 0, -ENOMEM. */
int stats_open(struct vm *vm, struct vcpu *v, struct stats_fd **s);
long stats_read(struct stats_fd *s, void *buf, size_t len,
		s64 offset); /* buf is user memory. Bytes, -EFAULT, -EINVAL */
void stats_put(struct stats_fd *s);
void object_put(struct object *o);

/* --- core's own files among each other (core/vm.c, ioctl_vm.c, ioctl_system.c) ----------------------------- */

/* caps.c: KVM_CHECK_EXTENSION (vm NULL: on the system fd) and KVM_ENABLE_CAP on a VM. */
int cap_check(const struct engine_ops *engine, struct vm *vm, unsigned long cap);
int cap_enable_vm(struct vm *vm, const struct kvm_enable_cap *cap);

/* stat.c, monitor.c */
extern const char *const vm_exit_names[VM_EXIT_COUNT];
void monitor_init(struct monitor *m); /* for hosts: fill what core knows of the header */
/* An ioctl that has ended, begun at TSC begin. Only while somebody watches (m->active). */
struct monitor_call {
	struct vm *vm;     /* or NULL */
	struct vcpu *vcpu; /* or NULL */
	u32 request;
	u64 arg[3]; /* the start of its argument, as it was before */
};
void monitor_ioctl(struct monitor *m, const struct monitor_call *c, u64 begin, s64 result);

/* bus.c, coalesced.c, ioeventfd.c */
void bus_free_all(struct vm *vm);
int coalesced_register(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone); /* 0, -EINVAL, -ENOMEM, -ENOSPC */
int coalesced_unregister(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone);
void coalesced_free_all(struct vm *vm);
int ioeventfd_set(struct vm *vm, const struct kvm_ioeventfd *args); /* KVM_IOEVENTFD */
void ioeventfd_free_all(struct vm *vm);

/* clock.c, pv.c */
void clock_vm_init(struct vm *vm);
void clock_vm_destroy(struct vm *vm);
u64 kvmclock_now(struct vm *vm); /* ns */
int clock_get_ioctl(struct vm *vm, unsigned long arg);
int clock_set_ioctl(struct vm *vm, unsigned long arg);

/* cpuid_supported.c: KVM_GET_SUPPORTED_CPUID, KVM_GET_EMULATED_CPUID. msr.c: index lists, filters. device.c: KVM_CREATE_DEVICE */
int cpuid_supported_ioctl(const struct engine_ops *engine, unsigned long arg, bool emulated);
long msr_features_ioctl(const struct engine_ops *engine, unsigned long arg); /* KVM_GET_MSRS, the system's */
int msr_list_ioctl(unsigned long arg, bool features);
/* hyperv*.c: KVM_GET_SUPPORTED_HV_CPUID (v may be NULL), KVM_HYPERV_EVENTFD (0, -EINVAL, -EBADF, -EEXIST, -ENOENT, -ENOMEM) */
int hyperv_cpuid_ioctl(const struct vcpu *v, unsigned long arg);
int hyperv_eventfd(struct vm *vm, const struct kvm_hyperv_eventfd *args);
void hyperv_vm_destroy(struct vm *vm);
/*
 * xen*.c: KVM_XEN_HVM_CONFIG (0, -EINVAL); KVM_XEN_HVM_SET_ATTR and _GET_ATTR (0, -EINVAL, -ENOENT, -EEXIST, -EFAULT, -ENOMEM, -EBADF);
 * KVM_XEN_HVM_EVTCHN_SEND (0, -EINVAL, -EFAULT). An event by a route, any context: > 0, or -1.
 */
int xen_config(struct vm *vm, const struct kvm_xen_hvm_config *c);
int xen_vm_attr(struct vm *vm, struct kvm_xen_hvm_attr *a, bool set);
int xen_event_ioctl(struct vm *vm, const struct kvm_irq_routing_xen_evtchn *e);
int xen_raise(struct vm *vm, u32 vcpu_id, u32 port);
void xen_vm_init(struct vm *vm);
void xen_vm_destroy(struct vm *vm);
int msr_set_filter(struct vm *vm, const struct kvm_msr_filter *in); /* its bitmaps are in user memory */
void msr_filter_free(struct msr_filter *f);
int device_create(struct vm *vm, struct kvm_create_device *cd, struct object *made);
extern const u64 mce_supported_cap; /* KVM_X86_GET_MCE_CAP_SUPPORTED */

#endif /* ANYKVM_VM_H */
