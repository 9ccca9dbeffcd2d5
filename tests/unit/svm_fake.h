/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * engine/svm on a made-up processor (hw_fake.h). What QEMU does not have (next-RIP saving, decode assists, TSC ratio, firmware that
 * has turned AMD-V off, another hypervisor) is tried so.
 */
#ifndef SVM_FAKE_H
#define SVM_FAKE_H

#include "hw_fake.h"
#include "svm.h"

/* Bits of CPUID 8000000a EDX. */
#define HAS_NPT BIT(0)
#define HAS_NRIP BIT(3)
#define HAS_TSC_RATIO BIT(4)
#define HAS_DECODE BIT(7)
#define HAS_V_SPEC_CTRL BIT(20)

typedef void svm_step(struct vmcb *c, u64 *gpr);

struct svm_test {
	struct vmcb *c;
	svm_step *steps[16];
	u64 next_rip; /* that the engine has written before this VMRUN */
};
extern struct svm_test svmt;

/* A processor that has nothing special, and then the engine on one with these features: a VM with a vCPU. */
void fake_processor_reset(u32 features);
void svm_test_begin(u32 features);
int svm_test_end(void **state); /* teardown; nothing may be left */

/* The script of VMRUNs, NULL-terminated; one more fails the test, and so does one less at the end. */
void svm_script(svm_step *first, ...);

/* Steps. HLT without next-RIP: the library decodes it from CODE. */
void step_hlt(struct vmcb *c, u64 *gpr);
void step_intr(struct vmcb *c, u64 *gpr);

int svm_cpu_tests(void);
int svm_exit_tests(void);
int svm_enter_tests(void);

#endif /* SVM_FAKE_H */
