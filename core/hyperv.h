/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Hyper-V inside core/: hyperv.c (CPUID, the partition's MSRs and clock), hyperv_synic.c (synthetic interrupt controller),
 * hyperv_timer.c (synthetic timers), hyperv_call.c (hypercalls), hyperv_debug.c (synthetic debugger). Hypervisor Top Level Functional Specification (TLFS); for what a
 * host may do by ioctl, and what the TLFS leaves open, Linux 6.1.
 */
#ifndef CORE_HYPERV_H
#define CORE_HYPERV_H

#include "parts.h"

/* CPUID 0x40000003: EAX, EBX, EDX. */
#define HV_VP_RUNTIME BIT(0)
#define HV_TIME_REF_COUNT BIT(1)
#define HV_SYNIC BIT(2)
#define HV_TIMERS BIT(3)
#define HV_APIC_ACCESS BIT(4)
#define HV_HYPERCALL BIT(5)
#define HV_VP_INDEX BIT(6)
#define HV_RESET BIT(7)
#define HV_REFERENCE_TSC BIT(9)
#define HV_FREQUENCIES BIT(11)
#define HV_REENLIGHTENMENT BIT(13)
#define HV_EBX_POST_MESSAGES BIT(4)
#define HV_EBX_SIGNAL_EVENTS BIT(5)
#define HV_EBX_DEBUGGING BIT(11)
#define HV_EDX_DEBUGGING BIT(1)
#define HV_EDX_XMM_INPUT BIT(4)
#define HV_EDX_FREQUENCIES BIT(8)
#define HV_EDX_CRASH BIT(10)
#define HV_EDX_DEBUG_MSRS BIT(11)
#define HV_EDX_DIRECT_TIMERS BIT(19)
/* CPUID 0x40000004: EAX. */
#define HV_RECOMMEND_REMOTE_FLUSH BIT(2)
#define HV_RECOMMEND_APIC_MSRS BIT(3)
#define HV_RECOMMEND_RELAXED_TIMING BIT(5)
#define HV_RECOMMEND_CLUSTER_IPI BIT(10)
#define HV_RECOMMEND_EX_MASKS BIT(11)

#define HV_DEBUG_ALLOWED BIT(1)   /* CPUID 0x40000082: EAX */
#define HV_DEBUG_USE_CALLS BIT(2) /* HV_MSR_DEBUG_OPTIONS */

enum {
	HV_MSR_GUEST_OS_ID = 0x40000000,
	HV_MSR_HYPERCALL = 0x40000001,
	HV_MSR_VP_INDEX = 0x40000002,
	HV_MSR_RESET = 0x40000003,
	HV_MSR_VP_RUNTIME = 0x40000010,
	HV_MSR_TIME_REF_COUNT = 0x40000020,
	HV_MSR_REFERENCE_TSC = 0x40000021,
	HV_MSR_TSC_FREQUENCY = 0x40000022,
	HV_MSR_APIC_FREQUENCY = 0x40000023,
	HV_MSR_EOI = 0x40000070,
	HV_MSR_ICR = 0x40000071,
	HV_MSR_TPR = 0x40000072,
	HV_MSR_VP_ASSIST_PAGE = 0x40000073,
	HV_MSR_SCONTROL = 0x40000080,
	HV_MSR_SVERSION = 0x40000081,
	HV_MSR_SIEFP = 0x40000082,
	HV_MSR_SIMP = 0x40000083,
	HV_MSR_EOM = 0x40000084,
	HV_MSR_SINT0 = 0x40000090,
	HV_MSR_SINT15 = 0x4000009f,
	HV_MSR_STIMER0_CONFIG = 0x400000b0,
	HV_MSR_STIMER3_COUNT = 0x400000b7,
	HV_MSR_DEBUG_CONTROL = 0x400000f1,
	HV_MSR_DEBUG_STATUS = 0x400000f2,
	HV_MSR_DEBUG_SEND_BUFFER = 0x400000f3,
	HV_MSR_DEBUG_RECEIVE_BUFFER = 0x400000f4,
	HV_MSR_DEBUG_PENDING_BUFFER = 0x400000f5,
	HV_MSR_DEBUG_OPTIONS = 0x400000ff,
	HV_MSR_CRASH_P0 = 0x40000100,
	HV_MSR_CRASH_P4 = 0x40000104,
	HV_MSR_CRASH_CTL = 0x40000105,
	HV_MSR_REENLIGHTENMENT = 0x40000106,
	HV_MSR_TSC_EMULATION = 0x40000107,
	HV_MSR_TSC_EMULATION_STATUS = 0x40000108,
};

#define HV_ENABLE 1ull
#define HYPERV_SINTS 16
#define HV_TIMER_COUNT 4

/* M */
struct hyperv_timer {
	struct vcpu *v;
	u32 index;
	struct host_timer timer;
	u64 config, count; /* MSRs */
	u64 expires;       /* in reference time; 0: not started */
	bool sending;      /* it has expired; its message or interrupt has not been taken yet */
};

/* What a vCPU has of the synthetic interrupt controller. M, but a where noted. */
struct hyperv_synic {
	bool active;     /* a  KVM_CAP_HYPERV_SYNIC */
	bool keep_pages; /* KVM_CAP_HYPERV_SYNIC2: a page that is turned on keeps what it holds */
	u64 version, control, event_page, message_page; /* MSRs */
	u64 sint[HYPERV_SINTS];                         /* a */
	u32 timers;                                     /* a  those that must be looked at */
	struct hyperv_timer timer[HV_TIMER_COUNT];
};

struct hyperv_message {
	u32 type; /* 0: the slot is free */
	u8 size;  /* of what of payload counts */
	u8 flags;
	u8 reserved[2];
	u64 sender;
	u64 payload[30];
};

/* hyperv.c: the partition's time in units of 100 ns. */
u64 hyperv_reference_time(struct vcpu *v);

/* hyperv_synic.c. MSRs 0x40000080-0x4000009f; enum msr_result. */
int hyperv_synic_read(struct vcpu *v, u32 msr, u64 *val, bool host);
int hyperv_synic_write(struct vcpu *v, u32 msr, u64 val, bool host);
bool hyperv_synic_active(const struct vcpu *v); /* any thread */
/*
 * Put a message in the slot of a SINT and raise its interrupt. 0; -EAGAIN: the slot is taken (wait: the guest has been asked
 * to say when it is free); -ENOENT: no page, or the SINT is masked; -EFAULT. In a srcu section.
 */
int hyperv_post(struct vcpu *v, u32 sint, const struct hyperv_message *m, bool wait);

/* hyperv_timer.c. MSRs 0x400000b0-0x400000b7; enum msr_result. */
void hyperv_timers_create(struct vcpu *v);
void hyperv_timers_destroy(struct vcpu *v);
int hyperv_timer_read(struct vcpu *v, u32 msr, u64 *val, bool host);
int hyperv_timer_write(struct vcpu *v, u32 msr, u64 val, bool host);
void hyperv_timers_retry(struct vcpu *v, u32 sint); /* the slot of the SINT may be free now */

/* hyperv_debug.c. MSRs 0x400000f1-0x400000ff; enum msr_result. */
int hyperv_debug_read(struct vcpu *v, u32 msr, u64 *val, bool host);
int hyperv_debug_write(struct vcpu *v, u32 msr, u64 val, bool host);
bool hyperv_debug_enabled(const struct vcpu *v);  /* by the guest's CPUID */
bool hyperv_debug_by_calls(const struct vcpu *v); /* the guest wants hypercalls for it */

/* hyperv.c: KVM_EXIT_HYPERV of that type, all else in it 0; pending says how it is finished. */
struct kvm_hyperv_exit *hyperv_exit(struct vcpu *v, u32 type, enum io_pending pending);

#endif /* CORE_HYPERV_H */
