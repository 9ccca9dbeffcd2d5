/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What a vCPU keeps beside its loop, inside core/ only: the structures behind v->msrs, v->clock and v->mce,
 * and the functions that make, reset and free them (called by vcpu_parts_*() in vm.c).
 */
#ifndef CORE_PARTS_H
#define CORE_PARTS_H

#include "vcpu.h"

#define MTRR_VARIABLE 8
#define MTRR_FIXED 11
#define HWCR_STATUS_WRITE (1ull << 18) /* in hwcr: the guest may write the banks' STATUS */

/* MSRs that are plain values and that no other field holds. M. */
struct msr_desc;
struct msr_state {
	u64 misc_enable, misc_features, platform_info, power_ctl, ucode_rev, arch_capabilities, perf_capabilities;
	u64 feature_control, debugctl, smi_count, hwcr, de_cfg, osvw_length, osvw_status, xss;
	u64 mmio_conf_base, vm_cr;
	u64 mtrr_default, mtrr_fixed[MTRR_FIXED], mtrr_variable[2 * MTRR_VARIABLE];
	u64 poll_control;
	const struct msr_desc *recent; /* used last */
};

#define MCE_MAX_BANKS 32

struct mce_state {
	u64 mcg_cap, mcg_status, mcg_ctl;
	u64 bank[4 * MCE_MAX_BANKS]; /* CTL, STATUS, ADDR, MISC of each */
	u64 ctl2[MCE_MAX_BANKS];
};

/* Time of one vCPU. M, but tsc_generation: vm->clock_lock. */
struct clock_state {
	u64 system_time_msr; /* MSR_KVM_SYSTEM_TIME: address | enable */
	u64 tsc_adjust;      /* IA32_TSC_ADJUST */
	u64 tsc_generation;  /* whose offset this vCPU has */
	bool guest_paused;   /* KVM_KVMCLOCK_CTRL: tell the guest once */
	/* Other paravirtual pages (pv.c), as their MSRs have them. */
	u64 steal_msr, pv_eoi_msr, apf_enable_msr, apf_vector_msr;
	u64 stolen;      /* the thread's waiting time at the last update, ns */
	u64 steal_fresh; /* host TSC until which that is good enough */
	bool steal_init; /* stolen is not valid */
	bool apf_wake;   /* tell the guest that all its pages are there */
};

int msrs_create(struct vcpu *v);
void msrs_reset(struct vcpu *v, bool init);
void msrs_destroy(struct vcpu *v);
int mce_create(struct vcpu *v);
void mce_destroy(struct vcpu *v);
int clock_create(struct vcpu *v);
void clock_reset(struct vcpu *v, bool init);
void clock_destroy(struct vcpu *v);
void cpuid_destroy(struct vcpu *v);
/* pv.c: MSRs. enum msr_result. */
void pv_reset(struct vcpu *v);
int pv_write_steal(struct vcpu *v, u64 val);
int pv_write_eoi(struct vcpu *v, u64 val);
int pv_write_apf(struct vcpu *v, u64 val, bool host);
int pv_write_apf_vector(struct vcpu *v, u64 val, bool host);
int pv_write_apf_ack(struct vcpu *v, u64 val);

int xen_create(struct vcpu *v);
void xen_destroy(struct vcpu *v);
/* xen_time.c: where in guest memory Xen's clock pages are; how many. */
u32 xen_clock_pages(const struct vcpu *v, u64 gpa[2]);
/* xen.c: the guest (or the host) writes the MSR of the hypercall page; enum msr_result. */
int xen_write_hypercall_page(struct vcpu *v, u64 val);
int hyperv_create(struct vcpu *v);
void hyperv_destroy(struct vcpu *v);
/* hyperv.c: CPUID has changed; MSRs 0x40000000-0x40000108, enum msr_result; the clock has changed; hypercalls. */
void hyperv_cpuid_changed(struct vcpu *v);
int hyperv_read_msr(struct vcpu *v, u32 msr, u64 *val, bool host);
int hyperv_write_msr(struct vcpu *v, u32 msr, u64 val, bool host);
void hyperv_clock_update(struct vcpu *v);
bool hyperv_hypercalls(const struct vcpu *v); /* are hypercalls Hyper-V's? */
enum x86_result hyperv_hypercall(struct vcpu *v);

bool cpuid_host_is_amd(void);
/* Bits of IA32_SPEC_CTRL that a guest may have here. */
u64 cpuid_spec_ctrl_offered(const struct vcpu *v);
/* Is this bit of a leaf's register set in the guest's table? For rules of MSRs that belong to a feature. */
bool cpuid_guest_bit(struct vcpu *v, u32 leaf, u32 subleaf, unsigned reg, unsigned bit);

/* clock.c: the MSR sides. host: synchronises vCPUs; guest: moves the offset (and TSC_ADJUST). */
void clock_write_tsc(struct vcpu *v, u64 val, bool host);
void clock_write_tsc_adjust(struct vcpu *v, u64 val, bool host);
/* pv.c */
void pv_write_wall_clock(struct vcpu *v, u64 gpa);
/* The page itself, in a srcu section: 0, -EFAULT. Its seconds have more bits than fit. */
int pv_write_wall_page(struct vcpu *v, u64 gpa, u32 *seconds_high);
void pv_write_system_time(struct vcpu *v, u64 val, bool old_msr, bool host);
/* clock.c: nanoseconds of cycles at khz (not 0), and the shift and multiplier of a pvclock page for them. */
void clock_scale(u32 khz, s8 *shift, u32 *mul);
/* The base instant of the VM's clock, and whether all vCPUs have one TSC. */
void clock_base(struct vm *vm, u64 *tsc, u64 *clock_ns, bool *stable);
u64 clock_scale_tsc(u64 tsc, u64 ratio);
/* What the guest's TSC really runs at, which scaling rounds; never 0. */
u32 clock_guest_khz(const struct vcpu *v);

/* mce.c: MSRs 0x179-0x17b and 0x400-0x47f; enum msr_result. */
int mce_read_msr(struct vcpu *v, u32 index, u64 *val, bool host);
int mce_write_msr(struct vcpu *v, u32 index, u64 val, bool host);

#endif /* CORE_PARTS_H */
