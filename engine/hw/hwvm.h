/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the svm and vmx engines share: second-level page tables, the bracket around an entry, what the processor does not switch
 * by itself, and which side has the newer copy of the state. Their own structures begin with those here.
 */
#ifndef HW_HWVM_H
#define HW_HWVM_H

#include "hw.h"
#include "irqchip.h"

#define NESTED_NO_HVA (~0ull)
#define NESTED_CACHE 3 /* a walk needs at most a page for each level below the root */

/* A walk of the guest's tables (walks.c): what it was asked, what it has read, what it gave. */
struct hwvm_walk_key {
	u64 page;  /* linear; in its low bits the access, the rights and the address space */
	u64 slots; /* generation of the memory slots */
	u64 cr0, cr3, cr4, efer;
};
#define HWVM_WALK_WORDS 5
struct hwvm_walk {
	u32 nr; /* 0: none is remembered here */
	struct hwvm_walk_key key;
	struct hw_word word[HWVM_WALK_WORDS];
	struct x86_translation t; /* gpa: of the page */
};
#define HWVM_WALKS 16
struct hwvm_walks {
	bool reading; /* a walk is being done: its question, and the entries that it has read */
	u32 nr;
	struct hwvm_walk_key key;
	struct hw_word word[HWVM_WALK_WORDS];
	struct hwvm_walk at[HWVM_WALKS];
};

/* vcpu->engine_vcpu. What has no letter belongs to the vCPU's thread. N: the lock of the nested tables. */
struct hwvm_vcpu {
	u32 stale;         /* parts of vcpu->state (STATE_*) that only the engine's control block has */
	u32 dirty;         /* parts that the control block must take */
	u64 serial;        /* of all vCPUs since the module was loaded, from 1 */
	int guest_cpu;     /* a  the CPU that is in guest mode or about to be, or HW_NO_CPU */
	bool flush;        /* the guest's own translations are void */
	bool flush_nested; /* those of guest-physical addresses are */
	bool settings;     /* what the control block's controls follow from may have changed */
	struct hw_fpu *fpu;
	bool fpu_loaded;   /* KVM_RUN is active: the guest's is the thread's */
	bool fpu_in_area;  /* state.xsave is current */
	bool monitor_trap; /* the processor can stop after each instruction without TF */
	bool step_tf;      /* TF was set for single step, the guest's own was clear */
	u64 lookup_hva;    /* N  the page that nested_fault() looks up, or NESTED_NO_HVA */
	bool lookup_void;  /* N  it has gone meanwhile */
	void *cache[NESTED_CACHE];
	u32 nr_cache;
	struct hwvm_walks walks;
	struct x86_recent recent;
	/* Of the guest's model, as walks and recent know it. */
	u64 features[2];
	u8 maxphyaddr;
	bool vendor_amd;
};

static inline struct hwvm_vcpu *hwvm_of(const struct vcpu *v)
{
	return v->engine_vcpu;
}

/* --- nested.c: guest-physical to host-physical. vm->engine_vm is its struct nested ------------------------------- */

struct nested_format {
	/*
	 * Bits in every entry that maps a page beside bits 0 to 2, in which NPT and EPT agree (present or read, write, user or
	 * execute); the same where the page is no memory of the host's.
	 */
	u64 leaf, device;
	bool large;      /* the processor has pages of 2 MiB */
	bool small_code; /* but none that the guest executes: bit 2 is that permission */
	u64 dirty;       /* it can note each page whose entry it makes dirty by this bit; 0: it cannot */
};
int nested_create(struct vm *vm, const struct nested_format *format); /* 0, -ENOMEM */
void nested_destroy(struct vm *vm);
/* Physical address of the top table of the address space that the vCPU is in (system management mode has its own): four levels. */
u64 nested_root(const struct vcpu *v);
enum nested_result { NESTED_OK, NESTED_MMIO, NESTED_FAULT, NESTED_AGAIN };
/* Map the page, which the guest has read, written to or executed. NESTED_AGAIN: let the guest fault again. In a srcu section. */
enum nested_access { NESTED_READ, NESTED_WRITE, NESTED_EXEC };
enum nested_result nested_fault(struct vcpu *v, u64 gpa, enum nested_access access);
void nested_write_protect(struct vm *vm); /* pages of slots with a dirty log */
/*
 * Shall the processor note what the guest writes to? When this changes a REQ_SETTINGS follows. What it has noted, guest-physical
 * addresses of pages, is given to nested_mark() after each exit, in the srcu section of the entry; any context.
 */
bool nested_noted(const struct vm *vm);
void nested_vcpu_comes(struct vm *vm); /* dirty rings, which can be asked for until then, are not filled by notes */
void nested_mark(struct vcpu *v, const u64 *gpa, unsigned nr);
void nested_cache_free(struct hwvm_vcpu *hv);

/* --- walks.c: members of hwvm_x86_ops ------------------------------------------------------------------------------ */

bool hwvm_recall(struct x86_state *s, unsigned mmu, u64 lin, enum x86_access acc, struct x86_translation *t);
void hwvm_remember(struct x86_state *s, unsigned mmu, u64 lin, enum x86_access acc, const struct x86_translation *t);
enum x86_result hwvm_ram_read(struct x86_state *s, u64 gpa, void *buf, unsigned size);
enum x86_result hwvm_ram_cmpxchg(struct x86_state *s, u64 gpa, u64 old, u64 val, unsigned size);
/* What a walk gives has come to depend on something else (CPUID). */
void hwvm_forget_walks(struct hwvm_vcpu *hv);

/* --- vcpu.c ------------------------------------------------------------------------------------------------------ */

/* core_x86_ops as hardware engines have them. */
extern struct x86_ops hwvm_x86_ops;
/* Before anything else: 0, -ENOMEM. */
int hwvm_init(void);
void hwvm_exit(void);

/* With virtualization turned on by on and off (hw_virt_get). 0, -errno; after failure nothing is to be destroyed. */
int hwvm_vm_create(struct vm *vm, const struct nested_format *format, int (*on)(void), void (*off)(void));
/* Makes v->engine_vcpu, of size bytes, zeroed but for struct hwvm_vcpu at its begin. 0; -ENOMEM: nothing is left. */
int hwvm_vcpu_create(struct vcpu *v, size_t size);
void hwvm_vcpu_destroy(struct vcpu *v);

/* Hooks of engine.h that are the same for both. */
void hwvm_vm_destroy(struct vm *vm);
void hwvm_kick(struct vcpu *v);
void hwvm_tlb_flush(struct vcpu *v);
void hwvm_write_flush(struct vcpu *v);
void nested_slots_change(struct vm *vm, const struct memslot *old, const struct memslot *add, u64 generation);
void nested_unmap_hva(struct vm *vm, u64 hva, u64 size);
void nested_unmap_hva_done(struct vm *vm, u64 hva, u64 size);
void hwvm_settings_changed(struct vcpu *v);
void hwvm_load(struct vcpu *v);
void hwvm_put(struct vcpu *v);

/* In both vtables: */
#define HWVM_HOOKS                                                                                                     \
	.vm_destroy = hwvm_vm_destroy, .put_state = hwvm_put_state, .kick = hwvm_kick, .tlb_flush = hwvm_tlb_flush,    \
	.write_flush = hwvm_write_flush, .slots_change = nested_slots_change, .unmap_hva = nested_unmap_hva,           \
	.unmap_hva_done = nested_unmap_hva_done, .put = hwvm_put

/*
 * Begin an entry: interrupts are off, and requests from now on kick this CPU. HW_NO_CPU: there is a request, or the host wants
 * its CPU; nothing is to be ended. The guest has left: hwvm_left(); then hw_enter_end().
 */
int hwvm_enter_begin(struct vcpu *v);
static inline void hwvm_left(struct vcpu *v)
{
	__atomic_store_n(&hwvm_of(v)->guest_cpu, HW_NO_CPU, __ATOMIC_RELEASE);
}

/* Extended state, debug and TSC_AUX registers, which neither kind of hardware switches. The result is what differs, for load_host. */
u32 hwvm_load_guest(struct vcpu *v, int cpu);
void hwvm_restore_host(u32 differs, int cpu);
static inline void hwvm_load_host(u32 differs, int cpu)
{
	if (unlikely(differs))
		hwvm_restore_host(differs, cpu);
}
/* For each CPU when virtualization is turned on there. */
void hwvm_cpu_on(void);

/* get_state and put_state: the parts that the control block must give, which the engine then copies; afterwards hwvm_got(). */
u32 hwvm_wanted(struct vcpu *v, u32 mask);
void hwvm_got(struct vcpu *v, u32 parts);
void hwvm_put_state(struct vcpu *v, u32 mask);
/* After an exit: the flags, without the debugger's, and how wide code is, which rip needs before anybody asks for segments. */
void hwvm_set_rflags(struct vcpu *v, u64 rflags, u32 cs_attr);
/* What an exception that is injected leaves beside its delivery, which neither kind of hardware does: CR2; DR6 and DR7.GD. */
void hwvm_merge_payload(struct x86_state *s, const struct x86_event *ev);
/* RFLAGS for the control block, with the debugger's part and that of the event which is injected. */
u64 hwvm_changed_rflags(struct vcpu *v);
static inline u64 hwvm_rflags(struct vcpu *v)
{
	if (likely(!(v->single_step | v->inject_valid | hwvm_of(v)->step_tf)))
		return v->state.rflags;
	return hwvm_changed_rflags(v);
}
bool hwvm_debugger_owns_dr(const struct vcpu *v);

/* x86_ops.native: vector moves (vector.c). */
enum x86_result hwvm_native(struct x86_state *s, const struct x86_insn *i, void *mem);

/*
 * Exceptions of guests that always leave guest mode: #DB and #AC could be raised for ever inside their own delivery; #MC is the host's;
 * #UD may be a foreign hypercall.
 */
#define HWVM_EXCEPTIONS (BIT(X86_EXC_DB) | BIT(X86_EXC_AC) | BIT(X86_EXC_MC) | BIT(X86_EXC_UD))
/* Causes of a #DB in DR6. */
#define HWVM_DB_CAUSES (0xf | DR6_BD | DR6_BS | DR6_BT)
/* Is an error code to be injected with the event? In real mode nothing pushes one. */
static inline bool hwvm_injects_error(const struct vcpu *v, const struct x86_event *ev)
{
	return ev->has_error && v->state.cr0 & CR0_PE;
}

/* --- exit.c: hardware exits that are decoded the same way ---------------------------------------------------------- */

static inline bool hwvm_is_soft(const struct x86_event *ev)
{
	return ev->type == X86_EVENT_SOFT_INT || ev->type == X86_EVENT_SOFT_EXC || ev->type == X86_EVENT_PRIV_EXC;
}

/* An instruction that only a guest with the extension could use. */
void hwvm_exit_ud(struct vm_exit *exit);
/* HLT of insn_len bytes (0: not known). */
void hwvm_exit_hlt(struct vcpu *v, struct vm_exit *exit);
/* SYSCALL or SYSRET: a debugger's TF would be seen in R11, or lost. Hardware does not intercept them. All state is current. */
bool hwvm_next_is_syscall(struct vcpu *v);
/* #UD of the other vendor's hypercall instruction, 0f 01 with this ModRM byte, which core may replace. All state is current. */
bool hwvm_foreign_hypercall(struct vcpu *v, u8 modrm);
/* What is to be injected, by the library instead of the processor. */
void hwvm_deliver(struct vcpu *v, struct vm_exit *exit);
/*
 * Where the processor has no window for NMIs: does one wait that only the shadow of one instruction, or the event that is to be injected, is
 * in the way of? Then the library executes the one, or delivers the other, instead of an entry.
 */
static inline bool hwvm_nmi_is_next(const struct vcpu *v)
{
	if (likely(!v->want_nmi_window) || v->state.nmi_blocked)
		return false;
	return v->inject_valid ? v->inject.type != X86_EVENT_NMI : v->state.shadow;
}
void hwvm_clear_way(struct vcpu *v, struct vm_exit *exit);
/* Second-level fault at exit->u.mem: map the page, or say why not. */
void hwvm_exit_nested_fault(struct vcpu *v, struct vm_exit *exit);

#endif /* HW_HWVM_H */
