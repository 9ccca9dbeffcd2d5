/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * engine/vmx on a made-up processor (hw_fake.h) with VT-x. What Bochs has not, or not right, is tried so: the monitor trap flag,
 * speculation controls, processors without virtual NMIs or other controls, entries that are refused. A VMCS must be used as
 * the manual says: current, launched once, resumed then, its exit information never written.
 */
#ifndef VMX_FAKE_H
#define VMX_FAKE_H

#include "hw_fake.h"
#include "vmx.h"

/* Called when the guest runs; until then the exit is that of an external interrupt. */
typedef void vmx_step(u64 *gpr);

struct fake_vmx {
	bool vmx;                /* CPUID 1 ECX */
	u64 feature_control;     /* MSR */
	u64 cap[0x11];           /* MSR_VMX_BASIC and the following */
	u64 arch_capabilities;   /* MSR; 0: none */
	bool refuses;            /* the next entry */
	u64 cr2, vmxon[NR_CPUS]; /* region; 0: VMXOFF */
	unsigned flushes;        /* INVEPT, INVVPID */
	struct vmx_options options;
	vmx_step *steps[16];
};
extern struct fake_vmx vmxt;

/* A control that the processor cannot have (MSR_VMX_PROC and its like, and the "true" one). */
void fake_lacks(u32 msr, u32 bits);
void fake_vmx_reset(void); /* it has all */

void vmx_test_begin(void);             /* after fake_vmx_reset() and changes, or on a processor that has all */
int vmx_test_end(void **state);        /* teardown; nothing may be left */
void vmx_script(vmx_step *first, ...); /* as svm_script() */

/* What an exit leaves, with the current VMCS: reason, qualification. */
void fake_exit(u32 reason, u64 qualification, u32 insn_len);
u64 fake_field(u64 field);         /* in a step */
void fake_set(u64 field, u64 val); /* also what software cannot write */

void step_hlt(u64 *gpr);
void step_intr(u64 *gpr);

int vmx_cpu_tests(void);
int vmx_enter_tests(void);
int vmx_debug_tests(void);
int vmx_memory_tests(void);

#endif /* VMX_FAKE_H */
