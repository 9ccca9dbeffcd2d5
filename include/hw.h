/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * hw.h - what engines that drive the processor's own virtualization need of a kernel beside host.h. Implemented by host/linux.
 *
 * Contexts: "entry" means between hw_enter_begin() and hw_enter_end(), where the thread stays on its CPU and interrupts are off.
 */
#ifndef ANYKVM_HW_H
#define ANYKVM_HW_H

#include "host.h"

/* --- pages of the host, as the hardware addresses them: zeroed; NULL: none. hw_page_alloc() sleeps -------- */
void *hw_page_alloc(void);
void *hw_pages_alloc(unsigned order);        /* physically contiguous */
void hw_pages_free(void *p, unsigned order); /* NULL is allowed */
u64 hw_pa(const void *p);
void *hw_va(u64 pa);

/*
 * The host page behind a user address of the calling thread, faulted in; sleeps. 0, -EFAULT, -EINTR (a fatal signal), -EAGAIN.
 * write: for writing. Else it is writable only if that costs nothing (writable says). The reference holds the page until
 * hw_page_put(); that it stays mapped there only the notifier tells (engine_ops.unmap_hva).
 */
struct hw_user_page {
	u64 pa;
	bool writable;
	u8 shift;  /* log2 of the size of the process's mapping that it is in, at the time */
	void *ref; /* NULL: device memory, which has no page */
};
int hw_user_page_get(u64 hva, bool write, struct hw_user_page *out);
void hw_user_page_put(struct hw_user_page *p);

/* Do these words of the calling thread's memory, at aligned addresses in memory slots, have these values? False also if one faults. */
struct hw_word {
	u64 user;
	u64 val;
};
bool hw_words_same(const struct hw_word *w, unsigned nr);

/* A lock that is held for a bounded walk over page tables; not from interrupt context. */
struct hw_lock;
struct hw_lock *hw_lock_create(void);
void hw_lock_destroy(struct hw_lock *l);
void hw_lock(struct hw_lock *l);
void hw_unlock(struct hw_lock *l);

/* --- processors --------------------------------------------------------------------------------------------- */
#define HW_NO_CPU (-1)
int hw_cpu(void);          /* where preemption is off */
unsigned hw_nr_cpus(void); /* numbers are below this */
void hw_kick_cpu(int cpu); /* make it leave guest mode soon. Any context */
/* Call fn(arg) there with interrupts off, and wait. It is not called if the CPU is not online. Interrupts on, may not sleep. */
void hw_call_cpu(int cpu, void (*fn)(void *arg), void *arg);
void hw_wait_cpu(int cpu); /* on return it has left the guest mode that it was in. Interrupts on, may not sleep */
/*
 * Turn virtualization on for each CPU, also those that come later, until the last user is gone. on runs on the CPU with
 * interrupts off: 0 or -errno; off likewise, also at suspend, reboot and when the CPU goes away. Counts its users.
 */
int hw_virt_get(int (*on)(void), void (*off)(void));
void hw_virt_put(void);
bool hw_virt_is_on(void); /* this CPU; entry */

u64 hw_rdmsr(u32 msr);
void hw_wrmsr(u32 msr, u64 val);
bool hw_rdmsr_safe(u32 msr, u64 *val);
u64 hw_cr4(void);                       /* of this CPU; preemption is off */
void hw_cr4_change(u64 set, u64 clear); /* interrupts are off */

/* --- around an entry: the time between begin and end is counted as the guest's --------------------------------- */
/*
 * HW_NO_CPU: do not enter (reschedule, signal, virtualization is off); then nothing is to be ended. The thread's vector state (the
 * guest's, hw_fpu_swap) is in the registers from begin to end; the end puts DR0-3 of the host's own breakpoints back if it uses any.
 */
int hw_enter_begin(void);
void hw_enter_end(void);
/*
 * In an entry: indirect branches are no longer predicted by what ran before (IBPB), where the host wants that (its
 * spectre_v2_user= setting).
 */
void hw_predictor_barrier(void);
u64 hw_spec_ctrl(void); /* entry: IA32_SPEC_CTRL as the host has it on this CPU */
bool hw_spec_ctrl_renewed(
	void); /* the host relies on its being written after each exit (IBRS), also where nothing changes */
/*
 * Could a guest of VT-x stop this processor by code on large pages (erratum "Machine Check Error on Page Size Change", iTLB multihit), and
 * does the host want that prevented?
 */
bool hw_small_code(void);
/*
 * Is what caches and buffers hold to be flushed before each entry of VT-x, so that guests cannot read it (L1TF, stale data of MMIO)?
 * 0, 1, or -ENOMEM. In an entry, right before the world switch: hw_flush(). touched: since the last entry this thread may have
 * brought something into the cache that is not its guest's or known to it; interrupts and other threads are seen without.
 */
int hw_flush_init(void);
void hw_flush_exit(void); /* also if hw_flush_init() was never called */
void hw_flush(bool touched);
/*
 * Counters of perf's that are for the host alone, or whose records (PEBS) would go to the guest's memory, stand still around the world
 * switch of VT-x. Entry. True: some have been running, hw_counters_go() is to follow.
 */
bool hw_counters_stop(void);
void hw_counters_go(void);
u64 hw_debugctl(void);               /* IA32_DEBUGCTL; entry */
void hw_debug_load(const u64 db[4]); /* DR0-3; entry */
/* The bracket alone, whatever the host wants: the CPU's number. */
int hw_pin(void);
void hw_unpin(void);
/*
 * What VMX does not put back by itself. Selectors and bases are the thread's and do not change in a system call: save them once
 * for all entries of a KVM_RUN. The LDT, of all threads of a process, may: ldt is to be read in the entry. The GDT is the CPU's.
 */
struct hw_table {
	u16 limit;
	u64 base;
} __attribute__((packed));
struct hw_segments {
	u64 fs_base, user_gs_base; /* GS base of user space, which KERNEL_GS_BASE holds */
	u16 es, ds, fs, gs, ldt;
	bool selectors;      /* one of the four is not null */
	struct hw_table gdt; /* as SGDT on this CPU has it */
};
void hw_segments_save(struct hw_segments *s);          /* all but ldt and gdt */
void hw_segments_restore(const struct hw_segments *s); /* entry; FS and KERNEL_GS bases are loaded already */
void hw_nmi(void);                                     /* entry: one was intercepted, the host handles it */
void hw_machine_check(void);                           /* entry: one was intercepted, the host handles it */

/*
 * Vector state of a guest, swapped with the thread's at the begin and end of KVM_RUN. Between them the kernel treats it as the
 * thread's; in an entry it is in the registers. store and load use the standard XSAVE format, outside
 * KVM_RUN only.
 */
struct hw_fpu;
struct hw_fpu *hw_fpu_create(void);
void hw_fpu_destroy(struct hw_fpu *f);
void hw_fpu_swap(struct hw_fpu *f, bool guest);
void hw_fpu_store(struct hw_fpu *f, void *xsave, u32 size);
int hw_fpu_load(struct hw_fpu *f, const void *xsave); /* 0, -EINVAL */
void hw_xcr0_set(u64 val);                            /* entry */
/* XMM or YMM register reg (0-15) of the guest, inside KVM_RUN; without AVX the upper half reads as 0 and is not written. */
#define HW_VECTOR_BYTES 32
void hw_vector_get(unsigned reg, void *val);
void hw_vector_set(unsigned reg, const void *val);
/* The guest's unmasked x87 exception waits for its next x87 or MMX instruction. MMX register reg (0-7); none may wait then. */
bool hw_x87_pending(void);
void hw_mmx_get(unsigned reg, u64 *val);
void hw_mmx_set(unsigned reg, u64 val);

#endif /* ANYKVM_HW_H */
