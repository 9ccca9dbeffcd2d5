/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The svm engine's own structures. */
#ifndef SVM_SVM_H
#define SVM_SVM_H

#include "hw.h"
#include "irqchip.h"
#include "vmcb.h"

/* What the processor has (cpu.c). */
struct svm_caps {
	u32 asids;   /* address space identifiers, 0 is the host's */
	bool nrip;   /* the next instruction's address comes with an intercept */
	bool decode; /* so do operands of CR and DR accesses */
	bool xsave;  /* XCR0 exists */
	bool rdtscp;
};
extern struct svm_caps svm_caps;

/* Per CPU (cpu.c). */
struct svm_cpu {
	u64 tsc_aux; /* the host's */
	u64 host_pa; /* VMSAVE area with the host's segments and MSRs */
	u32 next_asid;
	u64 generation; /* of ASIDs: each time they are used up the TLB is flushed and they begin anew */
	void *hsave, *host;
};
struct svm_cpu *svm_cpu(int cpu);

struct svm_vm {
	/* npt.c, under lock: */
	struct hw_lock *lock;
	u64 *root;
	u64 slots_generation; /* of the memory slots that the tables are made from */
	u32 invalidating;     /* ranges between unmap_hva and unmap_hva_done */
	u64 sequence;         /* of invalidations */
	u64 nr_logged;        /* writable pages of slots with a dirty log (at most: some may be gone) */
};

#define TABLE_CACHE 3 /* a walk needs at most a page for each level below the root */

struct svm_vcpu {
	struct vmcb *vmcb;
	u64 vmcb_pa;
	u32 stale;     /* parts of vcpu->state that only the VMCB has */
	u32 dirty;     /* parts that the VMCB must take */
	int guest_cpu; /* a  the CPU that is in guest mode or about to be, or HW_NO_CPU */
	int asid_cpu;  /* where the ASID belongs */
	u64 asid_generation;
	bool flush; /* the guest's own translations are void: take a new ASID */
	struct hw_fpu *fpu;
	bool fpu_loaded;  /* KVM_RUN is active: the guest's is the thread's */
	bool fpu_in_area; /* state.xsave is current */
	bool step_tf;     /* TF was set for single step, the guest's own was clear */
	u64 soft_rip;     /* rip before a software event whose length was added for its delivery */
	void *cache[TABLE_CACHE];
	u32 nr_cache;
};

static inline struct svm_vcpu *svm_of(const struct vcpu *v)
{
	return v->engine_vcpu;
}
static inline struct svm_vm *svm_vm_of(const struct vm *vm)
{
	return vm->engine_vm;
}

/* cpu.c */
int svm_cpus_init(void);
void svm_cpus_exit(void);
int svm_cpu_on(void);
void svm_cpu_off(void);
extern void *svm_iopm, *svm_msrpm_open, *svm_msrpm_all;

/* state.c */
void svm_vmcb_init(struct vcpu *v);
void svm_get_state(struct vcpu *v, u32 mask);
void svm_put_state(struct vcpu *v, u32 mask);
void svm_state_to_vmcb(struct vcpu *v);    /* what is dirty */
void svm_state_after_exit(struct vcpu *v); /* general registers now, the rest on demand */

/* npt.c */
int npt_create(struct vm *vm); /* 0, -ENOMEM */
void npt_destroy(struct vm *vm);
enum npt_result { NPT_OK, NPT_MMIO, NPT_FAULT, NPT_AGAIN };
enum npt_result npt_fault(struct vcpu *v, u64 gpa, bool write);
void npt_slots_changed(struct vm *vm);
void npt_write_protect(struct vm *vm);
void npt_unmap_hva(struct vm *vm, u64 hva, u64 size);
void npt_unmap_hva_done(struct vm *vm);
void npt_cache_free(struct svm_vcpu *sv);

/* exit.c */
void svm_decode_exit(struct vcpu *v, struct vm_exit *exit);

/* enter.c */
void svm_enter(struct vcpu *v, struct vm_exit *exit);

/* world.S: gpr is vcpu->state.gpr; RAX and RSP of the guest are in the VMCB. Interrupts are off. */
void svm_world_switch(u64 *gpr, u64 vmcb_pa, u64 host_pa);

#endif /* SVM_SVM_H */
