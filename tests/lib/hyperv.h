/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* hyperv.h - guests of Hyper-V. */
#ifndef TESTS_HYPERV_H
#define TESTS_HYPERV_H

#include "guest.h"

/* What KVM_GET_SUPPORTED_HV_CPUID offers; skips the test where there is none. */
struct kvm_cpuid2 *hyperv_leaves(struct machine *machine);
/* Show the guest of a vCPU these leaves instead of KVM's. */
void hyperv_show(struct cpu *cpu);
/* A machine with one such vCPU, ready to run code. */
struct cpu *hyperv_cpu(unsigned int flags, struct guest_code code);
/* The same with KVM_CAP_HYPERV_SYNIC2 on, a local APIC that is enabled, and a gate for vector 0x60. */
struct cpu *hyperv_synic_cpu(struct guest_code code, uint32_t handler);

#endif /* TESTS_HYPERV_H */
