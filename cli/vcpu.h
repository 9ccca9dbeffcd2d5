/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * vcpu.h - the vCPUs of a machine and their threads.
 *
 * A vCPU's thread ends when the machine has ended. It is woken by a signal (vcpu_kick_signal())
 * whose handler sets immediate_exit, so that no wake-up is lost between the check and KVM_RUN.
 */
#ifndef CLI_VCPU_H
#define CLI_VCPU_H

#include <stdbool.h>
#include <stdint.h>

#include "machine.h"

/* How the boot processor starts. */
enum entry_mode {
	ENTRY_PROTECTED, /* flat 32-bit segments, no paging */
	ENTRY_LONG,      /* flat 64-bit code segment, page tables at boot_page_tables */
};

struct entry {
	enum entry_mode mode;
	uint64_t rip;
	uint64_t rsi; /* Linux boot protocol: boot_params */
	uint64_t rbx; /* PVH: hvm_start_info */
};

/* Make all vCPUs, with CPUID and MSRs set. Tells the user on failure. */
bool vcpu_create_all(struct machine *m);

/* Set where vCPU 0 starts; the others wait for its startup IPI. */
bool vcpu_set_entry(struct machine *m, const struct entry *entry);

/* Start all threads. The caller blocks the signals that are not theirs first. */
bool vcpu_start_all(struct machine *m);

/* After machine_end(): get all threads to return. False if one does not within some seconds. */
bool vcpu_join_all(struct machine *m);

/* The vCPU whose thread this is, or NULL. */
struct vcpu *vcpu_current(void);

/* cpuid.c: what KVM supports, with this vCPU's place in the topology. */
bool vcpu_set_cpuid(struct vcpu *vcpu);

#endif
