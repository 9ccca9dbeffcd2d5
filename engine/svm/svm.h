/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The svm engine's own structures. */
#ifndef SVM_SVM_H
#define SVM_SVM_H

#include "hwvm.h"
#include "vmcb.h"

/* What the processor has (cpu.c). */
struct svm_caps {
	u32 asids;        /* address space identifiers, 0 is the host's */
	bool nrip;        /* the next instruction's address comes with an intercept */
	bool decode;      /* so do operands of CR and DR accesses */
	bool v_spec_ctrl; /* the VMCB has the guest's IA32_SPEC_CTRL, which is joined with the host's */
	bool tsc_ratio;   /* guests' TSC can be scaled */
	bool rdtscp;
};
extern struct svm_caps svm_caps;

/* Per CPU (cpu.c). */
struct svm_cpu {
	u64 host_pa;   /* VMSAVE area with the host's segments and MSRs */
	u64 tsc_ratio; /* as the MSR has it, which guest mode alone looks at */
	u32 next_asid;
	u64 generation; /* of ASIDs: each time they are used up the TLB is flushed and they begin anew */
	void *hsave, *host;
};
struct svm_cpu *svm_cpu(int cpu);

struct svm_vcpu {
	struct hwvm_vcpu hw; /* first */
	struct vmcb *vmcb;
	u64 vmcb_pa;
	int asid_cpu; /* where the ASID belongs */
	u64 asid_generation;
	void *msrpm;             /* where no filter is set */
	bool switches_spec_ctrl; /* by hand */
	u64 soft_rip;            /* rip before a software event whose length was added for its delivery */
};

static inline struct svm_vcpu *svm_of(const struct vcpu *v)
{
	return v->engine_vcpu;
}

/* A field of the VMCB, and that the processor must read its part (CLEAN_*) again if it changes. */
#define svm_set(c, field, val, part)                                                                                   \
	do {                                                                                                           \
		if ((c)->field != (val)) {                                                                             \
			(c)->field = (val);                                                                            \
			(c)->clean &= ~(u32)(part);                                                                    \
		}                                                                                                      \
	} while (0)

/* cpu.c */
int svm_cpus_init(void);
void svm_cpus_exit(void);
int svm_cpu_on(void);
void svm_cpu_off(void);
void svm_set_tsc_ratio(struct svm_cpu *c, u64 ratio); /* entry; this CPU; needs svm_caps.tsc_ratio unless it is 1 */
/*
 * MSR maps of all guests: svm_msrpm_all intercepts each, for guests with a filter; svm_msrpm_open[] lets through what VMRUN, VMLOAD and
 * VMSAVE switch, and those of MAP_* in the index.
 */
enum { MAP_SPEC_CTRL = 1, MAP_PRED_CMD = 2, MAPS = 4 };
extern void *svm_iopm, *svm_msrpm_open[MAPS], *svm_msrpm_all;

/* state.c */
void svm_vmcb_init(struct vcpu *v);
void svm_get_state(struct vcpu *v, u32 mask);
void svm_put_dr6(struct vcpu *v);
void svm_state_to_vmcb(struct vcpu *v);    /* what is dirty */
void svm_state_after_exit(struct vcpu *v); /* general registers now, the rest on demand */

/* exit.c */
void svm_decode_exit(struct vcpu *v, struct vm_exit *exit);

/* enter.c */
void svm_enter(struct vcpu *v, struct vm_exit *exit);
/* What vm->disabled_exits allows leaves guest mode no more. */
void svm_native_exits(struct vcpu *v);

/* IA32_SPEC_CTRL of both sides. world.S knows the layout. */
struct svm_spec_ctrl {
	u64 guest, host;
};

/* world.S: gpr is vcpu->state.gpr; RAX and RSP of the guest are in the VMCB. Interrupts are off. spec: to be switched; NULL: not. */
void svm_world_switch(u64 *gpr, u64 vmcb_pa, u64 host_pa, const struct svm_spec_ctrl *spec);

#endif /* SVM_SVM_H */
