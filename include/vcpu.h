/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * vcpu.h - a virtual CPU and the kick protocol.
 *
 * Letters: I immutable; M vcpu->mutex (the vCPU's thread inside KVM_RUN, or the ioctl that holds it); a atomic.
 *
 * Requests and kicks. Whoever wants a vCPU to notice something:
 *	1. makes the change visible (release);
 *	2. vcpu_request(v, REQ_...): atomically sets the bit in v->requests (sequentially consistent);
 *	3. vcpu_kick(v): wakes it if it sleeps in HLT; calls engine->kick if v->mode is VCPU_IN_GUEST.
 * The vCPU's thread: sets mode IN_GUEST (seq_cst), then checks requests; non-zero: back to OUTSIDE, serve, again.
 * So either the requester sees IN_GUEST and kicks, or the vCPU sees the request before it enters. The soft engine polls
 * v->requests at every block boundary and needs no kick. To wait until no vCPU uses old memory maps: publish, request
 * REQ_TLB_FLUSH on all, host_srcu_synchronize(&vm->srcu), which goes on kicking until every vCPU has left the srcu
 * section it was in: enter() runs inside one, taken anew for each turn of the loop.
 */
#ifndef ANYKVM_VCPU_H
#define ANYKVM_VCPU_H

#include "vm.h"

enum vcpu_request {
	REQ_SIGNAL = 1 << 0, /* a signal arrived on the vCPU's thread */
	REQ_EVENT = 1 << 1,  /* an event may have become deliverable: arbitrate again */
	REQ_TLB_FLUSH = 1 << 2,
	REQ_WRITE_FLUSH = 1 << 3,
	REQ_CLOCK_UPDATE = 1 << 4, /* refresh kvmclock */
	REQ_STEAL_UPDATE = 1 << 5,
	REQ_TRIPLE_FAULT = 1 << 6,
	REQ_NMI = 1 << 7, /* v->nmi_queued changed */
	REQ_SMI = 1 << 8,
	REQ_APIC = 1 << 9, /* INIT or SIPI latched in the LAPIC, timer fired */
	REQ_UNHALT = 1 << 10,
	REQ_DEAD = 1 << 11,        /* VM is dead */
	REQ_PAUSE = 1 << 12,       /* leave guest mode and come back (synchronisation) */
	REQ_SETTINGS = 1 << 13,    /* engine->settings_changed must be called */
	REQ_USER = 1 << 14,        /* an op has queued work for user space: leave guest mode after this instruction */
	REQ_HV_TIMER = 1 << 16,    /* synthetic timers have to be looked at */
	REQ_GUEST_FLUSH = 1 << 17, /* forget translations of the guest's own tables */
	REQ_FLUSH_WAIT = 1 << 18,  /* of itself: go on when no other vCPU has REQ_GUEST_FLUSH before it */
	REQ_XEN = 1 << 19,         /* run state of a guest of Xen, ports to raise */
	REQ_DIRTY_RING = 1 << 15,  /* the dirty ring was about to be full: stays until there is room again */
};

enum vcpu_mode { VCPU_OUTSIDE, VCPU_IN_GUEST };

/* What core returns from handlers of exits (turned into an ioctl result once, in run.c). */
enum run_result { RUN_AGAIN, RUN_USER, RUN_ERROR };

/*
 * Pending port or memory I/O as explicit continuations (core/io.c, core/ops.c).
 *
 * An instruction that needs data from user space returns X86_PENDING after its op has filled kvm_run and set pending.
 * The next KVM_RUN takes the data over and runs that one instruction again by x86_step(), outside the engine, with
 * replay set: the ops answer its user-space reads from what is recorded, in program order; reads that in-process devices
 * answer are simply done again (none of those devices has reads with side effects through MMIO). The records end with the
 * instruction. They are dropped unused if the instruction is not the one they belong to any more (rip set by a state
 * ioctl, INIT). Writes are queued and go to user space one after the other once the instruction has retired; nothing of the
 * guest runs before the last of them.
 */
#define IO_MAX_READS 520 /* pieces of one instruction's MMIO reads: xrstor of 4 KiB in 8-byte pieces */
#define IO_MAX_WRITES 520
enum io_pending {
	IO_NONE,
	IO_MMIO_READ,
	IO_MMIO_WRITE,
	IO_PORT_IN,
	IO_PORT_OUT,
	IO_RDMSR,
	IO_WRMSR,
	IO_HYPERCALL,
	IO_HYPERV_CALL,
	IO_HYPERV_DEBUG,
	IO_XEN_CALL,
	IO_NOTICE /* user space is only told; nothing to complete */
};
struct io_piece {
	u64 gpa;
	u64 data;
	u8 size;
};
struct vcpu_io {
	u8 pending;    /* enum io_pending: what is at user space, or about to go there */
	bool replay;   /* x86_step() of the instruction that the records belong to is running */
	bool answered; /* data of a port or MSR access has come back */
	bool delivery; /* not an instruction but the delivery of the event in inject */
	u64 rip;       /* of that instruction */
	/* MMIO reads completed for it, in program order; index of the next to answer. */
	u32 nr_reads, next_read;
	struct io_piece *reads;
	/* MMIO writes queued by the retired instruction; next to send. */
	u32 nr_writes, next_write;
	struct io_piece *writes;
	/* Port I/O: one transfer of count elements of size bytes, in the PIO page of the vCPU's shared memory. */
	u16 pio_port;
	u8 pio_size;
	u8 insn_len; /* of a single IN or OUT that hardware has decoded: it is finished without its bytes; 0: replayed */
	bool pio_in;
	u32 pio_count, pio_done; /* done: taken by the instruction, while answered */
	u32 msr_index;
	u64 msr_data;
	bool msr_error;
};

/* Events that wait (core/event.c; state ioctls KVM_{GET,SET}_VCPU_EVENTS show them). M unless noted. */
struct vcpu_events {
	struct {
		bool pending;  /* raised, not yet injected (may still be merged, has a payload) */
		bool injected; /* was being delivered when the vCPU left guest mode: deliver again */
		bool has_error, has_payload;
		u8 nr;
		u8 type;     /* X86_EVENT_EXC, _SOFT_EXC, _PRIV_EXC */
		u8 insn_len; /* software exceptions */
		u32 error;
		u64 payload; /* #PF: CR2; #DB: DR6 bits */
	} exc;
	struct {
		bool injected; /* taken from KVM_INTERRUPT or the chips, delivery not finished */
		bool soft;
		u8 nr;
		u8 insn_len; /* soft: INT n */
	} irq;
	s32 ext_vector; /* split irqchip: vector of the user-space PIC (KVM_INTERRUPT), -1: none */
	bool nmi_injected;
	u8 nmi_pending;     /* 0..2, taken from nmi_queued */
	u32 nmi_queued;     /* a  NMIs by KVM_NMI, LAPIC, other threads */
	bool smi_pending;   /* REQ_SMI has been taken over; delivered when not in SMM */
	bool smi_from_halt; /* it has woken the vCPU from HLT */
	bool triple_fault_pending;
	u32 sipi_vector;
};

/* Pages written to, for user space (core/dirty_ring.c). Each index counts entries since the beginning. */
struct dirty_ring {
	struct kvm_dirty_gfn *entry; /* I  shared with user space; NULL: no ring */
	u32 size;                    /* I  entries, a power of two */
	u32 limit;                   /* I  KVM_RUN ends when so many are in use */
	struct host_lock lock;       /* innermost: who pushes, any thread */
	u32 pushed;                  /* lock */
	u32 reset;                   /* vm->slots_lock to change, read anywhere */
	bool waiting;                /* a  pages found no room */
};

#define TSC_RATIO_ONE (1ull << 32)

struct lapic;

struct vcpu {
	struct vm *vm; /* I */
	u32 id;        /* I  KVM_CREATE_VCPU's argument = initial APIC id */
	u32 index;     /* I  in vm->vcpu[] */
	u32 refs;      /* a */
	struct host_mutex mutex;

	struct x86_state state; /* M */
	void *engine_vcpu;      /* I  the engine's own data */

	int error;             /* M  what KVM_RUN returns after RUN_ERROR, -errno */
	u32 requests;          /* a  enum vcpu_request bits */
	u32 mode;              /* a  enum vcpu_mode */
	u32 mp_state;          /* a  KVM_MP_STATE_*; changed by the vCPU's thread or under mutex */
	struct host_wait wait; /* sleeping in HLT, wait-for-SIPI */
	u32 pv_unhalted;       /* a  KVM_HC_KICK_CPU arrived */
	bool asleep;           /* M  in host_wait_until(): who asks whether it is over must not sleep */
	u32 halt_poll_ns;      /* M  how long to spin before sleeping in HLT */
	bool tpr_reporting;    /* M  KVM_TPR_ACCESS_REPORTING */
	u64 vapic_addr;        /* M  KVM_SET_VAPIC_ADDR */

	struct x86_event inject;               /* M  what the next entry delivers */
	bool inject_valid;                     /* M */
	bool want_irq_window, want_nmi_window; /* M */
	u32 exc_intercept;                     /* M  bit per vector: exits with VM_EXIT_EXCEPTION instead of delivery */

	struct vcpu_events ev;
	struct vcpu_io io;   /* M */
	struct lapic *lapic; /* I once set: in-process local APIC, else NULL */

	/* Guest debugging (core/debug.c). Never mixed with the guest's own DR7 and TF. M */
	struct {
		u32 control;    /* KVM_GUESTDBG_*; 0: off */
		u64 db[4], dr7; /* the debugger's hardware breakpoints */
		bool deferred;  /* a debug exit waits until user space has done the instruction's I/O */
		u64 deferred_dr6, deferred_pc;
	} debug;
	/* What the engine must obey: the debugger's registers where it uses them, else the guest's. M */
	u64 eff_db[4], eff_dr7;
	bool single_step; /* stop after each instruction: VM_EXIT_DEBUG_STEP */

	/* The memory shared with user space: kvm_run, PIO page, coalesced ring; dirty ring. Only core/ touches it. */
	struct host_shared *shared;
	struct kvm_run *run;
	struct dirty_ring ring;

	struct kvm_cpuid_entry2 *cpuid; /* M  table of KVM_SET_CPUID2 */
	u32 nr_cpuid;

	bool sigmask_set; /* M  KVM_SET_SIGNAL_MASK */
	u64 sigmask;

	struct msr_state *msrs;    /* M  MSRs without a field in x86_state (core/msr.c) */
	struct clock_state *clock; /* M  kvmclock, TSC offset, steal time (core/clock.c) */
	s64 tsc_offset;            /* a  guest TSC = scaled host TSC + offset */
	u64 tsc_ratio;             /* M  8.32 fixed point; TSC_RATIO_ONE: no scaling */
	u32 tsc_khz;               /* M */
	u64 apic_base;             /* M  IA32_APIC_BASE */
	void *mce;                 /* M  machine-check banks (core/mce.c) */
	u32 srcu_idx;              /* M  the srcu section of KVM_RUN */
	bool check_state;          /* M  user space has changed the state: is it one that a processor can be in? */
	bool ran;                  /* M  has been run: CPUID may not change any more */
	u64 steal_next;            /* M  host TSC when steal time is to be looked at again; ~0: never */
	u32 pv_features;           /* M  EAX of the guest's KVM feature leaf */
	bool pv_enforce;           /* M  KVM_CAP_ENFORCE_PV_FEATURE_CPUID: paravirtual MSRs need their feature bit */
	/* Hyper-V (core/hyperv.c): what the guest's CPUID says of it, KVM_CAP_HYPERV_ENFORCE_CPUID, MSRs. M */
	struct {
		bool enabled, enforce;
		u32 features, features_ebx, features_edx, recommended, spins, debugger;
		u32 vp_index; /* a */
		u64 assist_page, runtime_offset;
		struct hyperv_synic *synic; /* I */
		/* a  vectors of synthetic interrupt sources; of those, which need no EOI */
		u64 sint_vectors[4], auto_eoi[4];
	} hv;
	struct xen_vcpu *xen; /* I  core/xen.h */
	/*
	 * Speculation controls of engines that have them (caps.speculation): IA32_SPEC_CTRL; its bits that the guest's CPUID has, 0: it
	 * has not got the MSR; has it IA32_PRED_CMD; a barrier is due before it runs on (with REQ_SETTINGS). M
	 */
	u64 spec_ctrl, spec_ctrl_bits;
	bool has_pred_cmd, predictor_barrier;
	u64 xcr0_supported; /* M  XCR0 bits that the guest's CPUID leaf 0xd offers */

	/* What others may see of it (monitor.h), the counters in it, and what the times in it are computed from. */
	struct monitor_vcpu *mon;
	struct vcpu_stat *stat; /* M, read anywhere */
	struct {
		u64 entered; /* guest mode; 0: not known */
		u64 left;    /* guest mode, by an exit that is being handled; 0: not known */
		u64 ended;   /* KVM_RUN; 0: not known */
		u32 epoch;
		u8 code, reason; /* of left, ended */
	} mon_time;              /* M */
};

int vcpu_create(struct vm *vm, u32 id, struct vcpu **v);
void vcpu_put(struct vcpu *v);

static inline void vcpu_request(struct vcpu *v, u32 req)
{
	__atomic_fetch_or(&v->requests, req, __ATOMIC_SEQ_CST);
}
/* True and cleared if it was set. */
static inline bool vcpu_take_request(struct vcpu *v, u32 req)
{
	if (!(__atomic_load_n(&v->requests, __ATOMIC_ACQUIRE) & req))
		return false;
	return __atomic_fetch_and(&v->requests, ~req, __ATOMIC_SEQ_CST) & req;
}
void vcpu_kick(struct vcpu *v);
/* The same for what a vCPU that sleeps need not hear of. */
void vcpu_interrupt(struct vcpu *v);

static inline struct vcpu *state_vcpu(struct x86_state *s)
{
	return container_of(s, struct vcpu, state);
}

/* --- core's internal seams -------------------------------------------------------------------------------- */

/* run.c: KVM_RUN. 0 or -errno. */
int vcpu_run(struct vcpu *v);
/* exit.c: dispatch one exit. */
enum run_result vcpu_handle_exit(struct vcpu *v, struct vm_exit *exit);

/* event.c: the one place of arbitration (SDM, "Priority Among Concurrent Events"). */
enum run_result vcpu_arbitrate(struct vcpu *v);
void vcpu_queue_exception(struct vcpu *v, const struct x86_event *ev); /* merges: #DF, triple fault */
void vcpu_requeue_vectoring(struct vcpu *v, const struct x86_event *ev);
int vcpu_queue_interrupt(struct vcpu *v, u32 vector); /* KVM_INTERRUPT: 0, -EINVAL, -ENXIO, -EEXIST */
bool vcpu_can_take_interrupt(struct vcpu *v);
bool vcpu_runnable(struct vcpu *v);            /* would it leave HLT? */
bool vcpu_ready_for_injection(struct vcpu *v); /* kvm_run.ready_for_interrupt_injection, but for an in-process PIC */
bool vcpu_wants_user_window(struct vcpu *v);   /* user space has asked for KVM_EXIT_IRQ_WINDOW_OPEN */
void vcpu_queue_nmi(struct vcpu *v);           /* any thread */
void vcpu_collect_nmis(struct vcpu *v);        /* nmi_queued -> nmi_pending */
void vcpu_collect_smi(struct vcpu *v);         /* REQ_SMI -> smi_pending */
void vcpu_deliver_payload(struct vcpu *v);     /* the pending exception's payload into CR2 or DR6 now */
void vcpu_events_after_entry(struct vcpu *v, const struct vm_exit *exit); /* what was not delivered waits again */
void vcpu_events_reset(struct vcpu *v); /* RESET, INIT: forget everything that waits */

/* exit.c: one instruction by the library, with the traps after it; also the end of the replay of one. */
enum run_result vcpu_emulate(struct vcpu *v);
enum run_result vcpu_deliver(struct vcpu *v);        /* the waiting event, by the library */
enum run_result vcpu_deliver_chosen(struct vcpu *v); /* v->inject, which is valid, likewise */
void vcpu_advance(struct vcpu *v,
		  u32 insn_len); /* rip; the mode, which says where it wraps, is fetched only where it may */
enum run_result vcpu_retire(struct vcpu *v, u32 insn_len); /* rip past an instruction that core did itself, traps */
/* IN or OUT of one item as exit->u.io says: the bus or, at the second time, user space's answer. */
enum run_result vcpu_port_access(struct vcpu *v, const struct vm_exit *exit);
enum run_result vcpu_internal_error(struct vcpu *v, u32 suberror, const u64 *data, u32 ndata);
enum run_result vcpu_error(struct vcpu *v, int err); /* RUN_ERROR */

/* io.c: the continuation of what user space has done; send queued writes. */
enum run_result io_complete(struct vcpu *v);
enum run_result io_send_writes(struct vcpu *v);
void io_forget_records(struct vcpu_io *io); /* the instruction has ended */
void io_discard(struct vcpu *v);            /* the instruction is gone (reset) */

/* dirty_ring.c. Push: page of slot, whose bit in slot->dirty the caller has set. In a srcu section. */
void dirty_ring_init(struct vcpu *v, void *memory, u32 bytes);
void dirty_ring_destroy(struct vcpu *v);
void dirty_ring_push(struct vcpu *v, struct memslot *slot, u64 page);
/* REQ_DIRTY_RING is set: must user space make room first? Else the request is served. The vCPU's thread, in a srcu section. */
bool dirty_ring_full(struct vcpu *v);

/*
 * hyperv_synic.c, hyperv_timer.c, for the loop and the interrupt chips. Raise a synthetic interrupt source: as irq_set_line(), any
 * context, in a srcu section. EOI: an interrupt with a vector of sint_vectors has ended; the vCPU's thread, in a srcu section.
 */
int hyperv_set_sint(struct vm *vm, u32 vp_index, u32 sint);
void hyperv_eoi(struct vcpu *v, unsigned vector);
int hyperv_synic_enable(struct vcpu *v, bool keep_pages); /* KVM_CAP_HYPERV_SYNIC, _SYNIC2: 0, -EINVAL */
void hyperv_serve_timers(struct vcpu *v);                 /* REQ_HV_TIMER; in a srcu section */
void hyperv_debug_done(struct vcpu *v);                   /* user space has served a command of the debugger */
void hyperv_call_result(struct vcpu *v, u64 result);      /* of a hypercall that user space has done */

/*
 * xen*.c, on the vCPU's thread and in a srcu section unless noted. Do hypercalls go to Xen; one of them; is the upcall wanted (also without
 * srcu section); REQ_XEN; ports that were raised elsewhere; KVM_RUN begins; a poll has ended.
 */
bool xen_hypercalls(const struct vm *vm);
enum x86_result xen_hypercall(struct vcpu *v);
bool xen_upcall_waits(struct vcpu *v);
static inline bool xen_interrupt_waits(struct vcpu *v)
{
	return unlikely(__atomic_load_n(&v->vm->xen.vector, __ATOMIC_RELAXED)) && xen_upcall_waits(v);
}
void xen_serve(struct vcpu *v);
void xen_raise_posted(struct vcpu *v);
void xen_run_begins(struct vcpu *v);
void xen_poll_over(struct vcpu *v);
int xen_vcpu_attr(struct vcpu *v, struct kvm_xen_vcpu_attr *a, bool set); /* 0, -EINVAL, -ENOENT */

/* hypercall.c: KVM's hypercalls. X86_OK with the result in rax, X86_EXIT: user space has to do it. */
enum x86_result vcpu_hypercall(struct vcpu *v);

/* vcpu.c: RESET (also at creation) or INIT of everything. In a srcu section unless the vCPU is new. */
void vcpu_reset(struct vcpu *v, bool init);
/* Bring state in from, or put it out to, the engine (STATE_*); no-ops for engines that keep nothing. */
void vcpu_fetch_state(struct vcpu *v, u32 mask);
static inline void vcpu_get_state(struct vcpu *v, u32 mask)
{
	if (mask & ~(u32)STATE_MOVED)
		vcpu_fetch_state(v, mask);
}
void vcpu_put_state(struct vcpu *v, u32 mask);
/* The same after the library or a handler has changed the state as the guest's own instruction would: engines that work on
 * v->state itself have been told by the ops already. */
void vcpu_return_state(struct vcpu *v, u32 mask);
static inline void vcpu_write_back(struct vcpu *v, u32 mask)
{
	if (mask & ~(u32)STATE_MOVED)
		vcpu_return_state(v, mask);
}

/* vcpu_state*.c: shared by the ioctls and the synchronised registers of kvm_run. 0 or -EINVAL. */
void vcpu_get_regs(struct vcpu *v, struct kvm_regs *r);
void vcpu_set_regs(struct vcpu *v, const struct kvm_regs *r);
void vcpu_get_sregs(struct vcpu *v, struct kvm_sregs *s);
int vcpu_set_sregs(struct vcpu *v, const struct kvm_sregs *s);
void vcpu_get_sregs2(struct vcpu *v, struct kvm_sregs2 *s);
int vcpu_set_sregs2(struct vcpu *v, const struct kvm_sregs2 *s);
void vcpu_get_events(struct vcpu *v, struct kvm_vcpu_events *e);
int vcpu_set_events(struct vcpu *v, const struct kvm_vcpu_events *e);
int vcpu_get_mp_state(struct vcpu *v, u32 *mp_state);
int vcpu_set_mp_state(struct vcpu *v, u32 mp_state);
void vcpu_get_debugregs(struct vcpu *v, struct kvm_debugregs *d);
int vcpu_set_debugregs(struct vcpu *v, const struct kvm_debugregs *d);
void vcpu_get_fpu(struct vcpu *v, struct kvm_fpu *f);
void vcpu_get_xmm(struct vcpu *v, void *xmm, u32 n); /* the first n, 16 bytes each */
void vcpu_set_fpu(struct vcpu *v, const struct kvm_fpu *f);
int vcpu_get_xsave(struct vcpu *v, void *user, u32 size); /* 0, -EFAULT, -ENOMEM */
int vcpu_set_xsave(struct vcpu *v, const void *user);     /* 0, -EFAULT, -EINVAL, -ENOMEM */
void vcpu_get_xcrs(struct vcpu *v, struct kvm_xcrs *x);
int vcpu_set_xcrs(struct vcpu *v, const struct kvm_xcrs *x);
void vcpu_translate(struct vcpu *v, struct kvm_translation *t);
int vcpu_sync_in(struct vcpu *v); /* kvm_run.s.regs, as kvm_dirty_regs says: 0, -EINVAL */
void vcpu_sync_out(struct vcpu *v);
/* INIT and SIPI that the LAPIC has latched (core/run.c). */
void vcpu_accept_apic_events(struct vcpu *v);

/* debug.c */
void vcpu_debug_update(struct vcpu *v); /* eff_db, eff_dr7, single_step, exc_intercept from debug.* and the guest */
/* The same before each entry. Without a debugger there is nothing but the guest's own, unused as long as DR7 enables none. */
static inline void vcpu_debug_prepare(struct vcpu *v)
{
	if (likely(!(v->debug.control | (v->state.dr7 & DR7_ENABLE_ANY))))
		v->eff_dr7 = v->state.dr7;
	else
		vcpu_debug_update(v);
}
int vcpu_set_debug_guest(struct vcpu *v, const struct kvm_debug_guest *old); /* the deprecated form; 0, -EBUSY */
int vcpu_set_guest_debug(struct vcpu *v, const struct kvm_guest_debug *d);   /* 0, -EBUSY */
/* KVM_EXIT_DEBUG: at once, or after the user-space I/O of the instruction before it. dr6: bits set. */
enum run_result vcpu_report_debug(struct vcpu *v, unsigned vector, u64 dr6);
enum run_result vcpu_debug_exception(struct vcpu *v, const struct x86_event *exc); /* VM_EXIT_EXCEPTION of #DB, #BP */
/* Traps that follow a retired instruction: tf: RFLAGS.TF before it. */
enum run_result vcpu_traps_after(struct vcpu *v, bool tf);
u64 vcpu_linear_rip(const struct vcpu *v);

/* ops.c: struct x86_ops that all engines use; an engine copies it and replaces what it does itself. */
extern const struct x86_ops core_x86_ops;

/*
 * vcpu.c: the end of a vCPU. A vCPU lives as long as its VM (its id stays taken when its fd is closed): vcpu_put() gives back
 * the handle's reference on the VM, vm_put()'s last call destroys all vCPUs by this.
 */
void vcpu_destroy(struct vcpu *v);

/*
 * vm.c: what core/ keeps per vCPU beside the loop: MSRs, clock, machine-check banks, CPUID table. vcpu_create() calls
 * create after v->vm, v->id and v->state.ops are set (the state is reset by x86_reset() before); reset after x86_reset()
 * for RESET and INIT; destroy once, also after a failed create.
 */
int vcpu_parts_create(struct vcpu *v); /* 0, -ENOMEM */
void vcpu_parts_reset(struct vcpu *v, bool init);
void vcpu_parts_destroy(struct vcpu *v);

/* msr.c. host: by an ioctl, with the freer rules that Linux has for it. Filters are not looked at here. */
enum msr_result { MSR_OK, MSR_INVALID, MSR_UNKNOWN };             /* all but MSR_OK are #GP(0) for the guest */
int vcpu_get_msr(struct vcpu *v, u32 index, u64 *val, bool host); /* enum msr_result */
int vcpu_set_msr(struct vcpu *v, u32 index, u64 val, bool host);
/* Do the VM's filters (KVM_X86_SET_MSR_FILTER) let the guest's access pass? In a srcu section. */
bool vcpu_msr_allowed(struct vcpu *v, u32 index, bool write);
/* KVM_GET_MSRS, KVM_SET_MSRS of a vCPU. Number of MSRs done, or -errno. */
long msr_ioctl(struct vcpu *v, unsigned long arg, bool set);

/* cpuid.c, cpuid_supported.c */
void vcpu_cpuid_changed(struct vcpu *v); /* features, maxphyaddr, vendor into state */
void cpuid_execute(struct vcpu *v);
/* Registers of a leaf as the guest would see them, without changing state. */
void cpuid_query(struct vcpu *v, u32 leaf, u32 subleaf, u32 out[4]);
int cpuid_set_ioctl(struct vcpu *v, unsigned long arg, bool old_format); /* KVM_SET_CPUID2, KVM_SET_CPUID */
int cpuid_get_ioctl(struct vcpu *v, unsigned long arg);                  /* KVM_GET_CPUID2 */
u64 cpuid_supported_xcr0(void);                                          /* XCR0 bits that any guest may have */
u32 cpuid_xsave_size(u64 xcr0, bool compacted);                          /* bytes of an XSAVE area, at least 576 */
#define XSAVE_MAX_SIZE 4096

/* clock.c, pv.c. "In a srcu section": they write guest memory. */
u64 vcpu_read_tsc(struct vcpu *v);
int vcpu_set_tsc_khz(struct vcpu *v, u32 khz);                  /* KVM_SET_TSC_KHZ on a vCPU: 0, -EINVAL */
long vcpu_tsc_attr(struct vcpu *v, u32 cmd, unsigned long arg); /* KVM_{HAS,GET,SET}_DEVICE_ATTR on a vCPU */
int vcpu_kvmclock_ctrl(struct vcpu *v);                         /* KVM_KVMCLOCK_CTRL: 0, -EINVAL */
void vcpu_clock_update(struct vcpu *v);                         /* serve REQ_CLOCK_UPDATE; in a srcu section */
void vcpu_steal_update(struct vcpu *v);                         /* serve REQ_STEAL_UPDATE; in a srcu section */
void vcpu_show_preempted(struct vcpu *v);                       /* pv.c: it is going to sleep; outside srcu sections */

/* monitor.c, each called only while somebody watches (vcpu_watched). Times, and records of the trace. */
void monitor_run_begin(struct vcpu *v);
void monitor_run_end(struct vcpu *v, int result);
void monitor_before_entry(struct vcpu *v);
void monitor_after_entry(struct vcpu *v, const struct vm_exit *exit);
void monitor_inject(struct vcpu *v, const struct x86_event *ev);
static inline bool vcpu_watched(const struct vcpu *v)
{
	return unlikely(__atomic_load_n(&v->vm->monitor->active, __ATOMIC_RELAXED));
}

/* mce.c */
int mce_setup(struct vcpu *v, u64 mcg_cap);                    /* KVM_X86_SETUP_MCE: 0, -EINVAL */
int mce_inject(struct vcpu *v, const struct kvm_x86_mce *mce); /* KVM_X86_SET_MCE: 0, -EINVAL */

#endif /* ANYKVM_VCPU_H */
