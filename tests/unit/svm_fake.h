/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * engine/svm and engine/hw in user space, below core, on a processor that a test makes up: its CPUID, its MSRs, and what each VMRUN does
 * with the VMCB. What an emulated machine does not have (next-RIP saving, decode assists, TSC ratio, firmware that has turned AMD-V
 * off, another hypervisor) is tried so. The vCPU is in real mode at CODE; RAM is at [0, RAM_SIZE).
 */
#ifndef SVM_FAKE_H
#define SVM_FAKE_H

#include "irqchip.h"
#include "svm.h"
#include "hw_engines.h"
#include "unit.h"

#define RAM_SIZE 0x400000u
#define CODE 0x1000u
#define NR_CPUS 2

/* Bits of CPUID 8000000a EDX. */
#define HAS_NPT BIT(0)
#define HAS_NRIP BIT(3)
#define HAS_TSC_RATIO BIT(4)
#define HAS_DECODE BIT(7)
#define HAS_V_SPEC_CTRL BIT(20)

typedef void svm_step(struct vmcb *c, u64 *gpr);

struct fake_processor {
	bool svm; /* CPUID 80000001 ECX */
	u32 features, asids;
	u32 cpuid_8_ebx; /* 80000008 EBX: speculation controls */
	u64 vm_cr, efer[NR_CPUS], hsave[NR_CPUS], tsc_ratio[NR_CPUS];
	u64 spec_ctrl, spec_ctrl_in_guest; /* the MSR; its value at the last VMRUN */
	int cpu;                           /* the current one */
	unsigned barriers, machine_checks, nmis;
	unsigned pages;     /* allocated and not freed, fpu and locks too */
	unsigned fail_page; /* the n-th allocation from now on fails; 0: none */
	unsigned log_lines;
	char log[256]; /* the last line */
};
extern struct fake_processor cpu0;

struct svm_test {
	struct vm *vm;
	struct vcpu *v;
	struct kvm_run *run;
	struct vmcb *c;
	u8 *ram;
	svm_step *steps[16];
	u64 next_rip; /* that the engine has written before this VMRUN */
	unsigned nr_steps, next;
};
extern struct svm_test svmt;

/* A processor that has nothing special, and then the engine on one with these features: a VM with a vCPU. */
void fake_processor_reset(u32 features);
void svm_test_begin(u32 features);
int svm_test_end(void **state); /* teardown; nothing may be left */

/* The script of VMRUNs, NULL-terminated; one more fails the test, and so does one less at the end. */
void svm_script(svm_step *first, ...);
long svm_vcpu_ioctl(u32 cmd, void *arg);
long svm_vcpu_ioctl_int(u32 cmd, unsigned long arg);
long svm_run(void);
void svm_run_exits(u32 reason);
void svm_code(const void *bytes, size_t n);
#define CODE_BYTES(...) svm_code((const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))
void svm_regs(struct kvm_regs *r);
void svm_protected_mode(void); /* flat, CPL 0 */

/* Steps. HLT without next-RIP: the library decodes it from CODE. */
void step_hlt(struct vmcb *c, u64 *gpr);
void step_intr(struct vmcb *c, u64 *gpr);

int svm_cpu_tests(void);
int svm_exit_tests(void);
int svm_enter_tests(void);

#endif /* SVM_FAKE_H */
