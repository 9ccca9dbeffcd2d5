/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * engine/hw and an engine on it in user space, below core, on a processor that a test makes up: its CPUID, its MSRs, and what each
 * entry does with the control block. What no emulated machine has is tried so. Here is what both kinds share; svm_fake.h and
 * vmx_fake.h have the rest. The vCPU is in real mode at CODE; RAM is at [0, RAM_SIZE).
 */
#ifndef HW_FAKE_H
#define HW_FAKE_H

#include "irqchip.h"
#include "hwvm.h"
#include "hw_engines.h"
#include "unit.h"

#define RAM_SIZE 0x400000u
#define LARGE_PAGE 0x200000u
#define CODE 0x1000u
#define NR_CPUS 2

struct fake_processor {
	/* AMD-V */
	bool svm; /* CPUID 80000001 ECX */
	u32 features, asids;
	u32 cpuid_8_ebx; /* 80000008 EBX: speculation controls */
	u64 vm_cr, efer[NR_CPUS], hsave[NR_CPUS], tsc_ratio[NR_CPUS];
	/* both */
	u64 spec_ctrl, spec_ctrl_in_guest; /* the MSR; its value at the last entry */
	u64 debugctl;
	u64 cr4[NR_CPUS];
	int cpu; /* the current one */
	unsigned barriers, machine_checks, nmis, flushes, touched;
	bool counters_run, counters_stand; /* hw_counters_stop() */
	bool renewed;                      /* the host's IA32_SPEC_CTRL, at each exit */
	int wants_flush;                   /* hw_flush_init() */
	bool small_code;                   /* hw_small_code() */
	bool large_pages;                  /* the host maps all memory by pages of 2 MiB */
	unsigned pages;                    /* allocated and not freed, fpu and locks too */
	unsigned fail_page;                /* the n-th allocation from now on fails; 0: none */
	unsigned log_lines;
	char log[256]; /* the last line */
};
extern struct fake_processor cpu0;

struct hw_test {
	struct vm *vm;
	struct vcpu *v;
	struct kvm_run *run;
	u8 *ram;
	unsigned nr_steps, next; /* of the script of entries */
	bool inside;             /* KVM_RUN */
};
extern struct hw_test hwt;

/* The kind of processor, for tests that are the same on both. */
struct hw_kind {
	const struct engine_ops *engine;
	void (*reset)(void); /* a processor that has what is needed */
	int (*init)(void);   /* the engine's module_init and module_exit */
	void (*exit)(void);
	bool (*is_on)(int cpu); /* virtualization */
};
extern const struct hw_kind hw_kind;

/* What the kind of processor adds: an MSR (NULL: it has none), CPUID as the engine's sources see it (hw.mk). */
u64 *fake_msr(u32 msr);
void fake_cpuid(u32 leaf, u32 subleaf, u32 out[4]);

/*
 * The engine, and a VM with a vCPU on it; the end of all: 0, or -1: the script was not used up, or something is left. What a failed check
 * in a step has left in the middle of KVM_RUN, locks and all, stays for ever.
 */
void hwt_begin(void);
int hwt_end(void);
long hwt_vcpu_ioctl(u32 cmd, void *arg);
long hwt_vcpu_ioctl_int(u32 cmd, unsigned long arg);
long hwt_run(void);
void hwt_run_exits(u32 reason);
void hwt_code(const void *bytes, size_t n);
#define CODE_BYTES(...) hwt_code((const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))
void hwt_regs(struct kvm_regs *r);
void hwt_protected_mode(void);         /* flat, CPL 0 */
void hwt_expect_log(const char *part); /* one line, which has this */

int hw_life_tests(void);

#endif /* HW_FAKE_H */
