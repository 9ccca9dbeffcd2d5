/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * engine.h - what runs guest code: the contract between core and the soft, vmx and svm engines.
 *
 * An engine makes one entry and reports one exit. It knows struct vcpu and struct vm, never struct kvm_run.
 *
 * Entry protocol. core/run.c, on the vCPU's thread with vcpu->mutex held, inside a vm->srcu read section:
 *	- has served all requests, and set vcpu->mode = VCPU_IN_GUEST before its last look at vcpu->requests;
 *	- has put at most one event in vcpu->inject (inject.valid), chosen by core/event.c. The engine delivers it
 *	  first and clears inject.valid when it is delivered; if the exit comes before that, it stays valid, or (hardware)
 *	  comes back as exit->vectoring;
 *	- has set want_irq_window / want_nmi_window when something waits that cannot be taken now;
 *	- calls engine->enter(vcpu, &exit).
 * The engine returns soon (within microseconds) once vcpu->requests is not 0; a spurious return with VM_EXIT_NONE is
 * always allowed. While it runs, vcpu->state belongs to it; the state is complete after enter() returns, except for
 * parts that a hardware engine still holds: core brings them in by engine->get_state(mask) before it reads them.
 *
 * Contexts: all hooks are called on the vCPU's thread with vcpu->mutex held unless stated otherwise.
 */
#ifndef ANYKVM_ENGINE_H
#define ANYKVM_ENGINE_H

#include "exit.h"

struct vm;
struct vcpu;
struct memslot;

/* Parts of the state, for get_state and put_state. */
enum {
	STATE_GPR = 1 << 0, /* general registers, rip, rflags */
	STATE_SEG = 1 << 1, /* segments, ldt, tr, gdt, idt, cpl */
	STATE_CR = 1 << 2,  /* cr0-4, cr8, efer, xcr0, pdpte; with it come mode, mmu_index and cpl */
	STATE_DR = 1 << 3,
	STATE_MSR = 1 << 4, /* MSRs with a field in x86_state */
	STATE_FPU = 1 << 5,
	STATE_INTR = 1 << 6, /* shadow, nmi_blocked */
	STATE_ALL = (1 << 7) - 1,
	STATE_MOVED = STATE_GPR | STATE_INTR, /* with every entry and exit: always current, and taken as they are */
};

struct engine_caps {
	bool soft;                 /* the engine is software: no hardware assists to report */
	bool needs_guarded_memory; /* enter() touches guest memory through host pointers */
	bool speculation;          /* the guest's IA32_SPEC_CTRL and IA32_PRED_CMD reach the processor */
	u64 xcr0;                  /* XCR0 bits a guest may set */
	u32 native_exits; /* KVM_X86_DISABLE_EXITS_*: instructions that need not leave guest mode (vm->disabled_exits) */
	/* What the processor says of itself in IA32_ARCH_CAPABILITIES and holds for guests, known when the engine is; NULL: nothing. */
	const u64 *arch_capabilities;
};

struct engine_ops {
	const char *name;
	struct engine_caps caps;

	int (*vm_create)(struct vm *vm); /* 0, -ENOMEM, -ENODEV */
	void (*vm_destroy)(struct vm *vm);
	int (*vcpu_create)(struct vcpu *v); /* 0, -ENOMEM */
	void (*vcpu_destroy)(struct vcpu *v);

	void (*enter)(struct vcpu *v, struct vm_exit *exit);
	/*
	 * enter() was abandoned at an access to guest memory that the host could not do (host_guarded): make the state that
	 * of the instruction's start, and give back what enter() borrowed from the thread. NULL if not needed.
	 */
	void (*abandoned)(struct vcpu *v);

	/*
	 * Bring fields of v->state up to date from the engine; make the engine take them from v->state. NULL: never needed. An
	 * engine without get_state works on v->state itself: its put_state is called only when something outside the guest
	 * (a state ioctl, INIT) has changed the state, not after instructions that core has executed by the library.
	 */
	void (*get_state)(struct vcpu *v, u32 mask);
	void (*put_state)(struct vcpu *v, u32 mask);

	/* Any thread: v is in guest mode and must leave it soon (v->requests is already set). NULL: polling is enough. */
	void (*kick)(struct vcpu *v);

	/* Serve REQ_TLB_FLUSH: forget all translations to host memory. */
	void (*tlb_flush)(struct vcpu *v);
	/* Serve REQ_WRITE_FLUSH: forget write permissions (dirty log cleared, pages became code). */
	void (*write_flush)(struct vcpu *v);

	/*
	 * Slots have changed (under vm->slots_lock; the new snapshot is published, the old one is still readable). The engine drops
	 * per-slot data of slots that are gone when slot_free is called, after all readers have left.
	 */
	int (*slot_create)(struct vm *vm, struct memslot *slot); /* 0 or -ENOMEM */
	void (*slot_free)(struct vm *vm, struct memslot *slot);
	/*
	 * The address space of their as_id is about to lose the slot old and to get add; either may be NULL, both are the
	 * same memory with other flags or in another place. Under vm->slots_lock, before the new snapshot, which will have this
	 * generation, is published; cannot fail. An engine that has it forgets what it must here: REQ_TLB_FLUSH does not follow.
	 */
	void (*slots_change)(struct vm *vm, const struct memslot *old, const struct memslot *add, u64 generation);
	/* Host mappings of [hva, hva+size) are going away (kernel MMU notifier; any thread). NULL if not needed. */
	void (*unmap_hva)(struct vm *vm, u64 hva, u64 size);
	/* They are gone, the same range. Between the two nothing of it may be mapped. Not NULL where unmap_hva is not. */
	void (*unmap_hva_done)(struct vm *vm, u64 hva, u64 size);

	/* CPUID, interception or debug settings in the vCPU have changed. */
	void (*settings_changed)(struct vcpu *v);
	/* The vCPU's thread starts or stops using this CPU (kernel preemption). NULL in user space. */
	void (*load)(struct vcpu *v);
	void (*put)(struct vcpu *v);
};

/* A guest-memory write by the library's slow path hit a page the engine asked to be told about (see RAM_NOTIFY). */

#endif /* ANYKVM_ENGINE_H */
