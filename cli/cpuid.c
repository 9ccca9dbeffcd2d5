/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The CPUID that a vCPU shows: all that KVM supports, with APIC id and topology made true: one
 * package, N cores, no threads (SDM, 'CPUID'; AMD APM volume 3, appendix E).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "vcpu.h"

#define ENTRIES_AT_FIRST 64
#define ENTRIES_AT_MOST 4096

/* Smallest shift with 1 << shift >= n. */
static unsigned int order(unsigned int n)
{
	unsigned int shift = 0;

	while (1u << shift < n)
		shift++;
	return shift;
}

static struct kvm_cpuid2 *supported_cpuid(struct machine *m)
{
	struct kvm_cpuid2 *cpuid;
	int err = -E2BIG;

	for (unsigned int n = ENTRIES_AT_FIRST; n <= ENTRIES_AT_MOST && err == -E2BIG; n *= 2) {
		cpuid = calloc(1, sizeof(*cpuid) + n * sizeof(cpuid->entries[0]));
		if (!cpuid) {
			err = -ENOMEM;
			break;
		}
		cpuid->nent = n;
		err = kvmdev_ioctl(m->sys, KVM_GET_SUPPORTED_CPUID, cpuid);
		if (err >= 0)
			return cpuid;
		free(cpuid);
	}
	message("KVM_GET_SUPPORTED_CPUID failed: %s", strerror(-err));
	return NULL;
}

static void set_leaf_1(const struct vcpu *vcpu, struct kvm_cpuid_entry2 *e)
{
	unsigned int cpus = vcpu->machine->cpu_count;

	e->ebx = (e->ebx & 0x0000ffff) | vcpu->id << 24 | (1u << order(cpus)) << 16;
	if (cpus > 1)
		e->edx |= 1u << 28; /* HTT: the count in EBX is valid */
	else
		e->edx &= ~(1u << 28);
	e->ecx |= 1u << 31; /* a hypervisor is present */
	if (kvmdev_ioctl_number(vcpu->machine->sys, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
		e->ecx |= 1u << 24;
}

/* Deterministic cache parameters: level 3 and above is shared by all cores. */
static void set_cache_leaf(const struct vcpu *vcpu, struct kvm_cpuid_entry2 *e, bool count_cores)
{
	unsigned int cpus = vcpu->machine->cpu_count;
	unsigned int level = e->eax >> 5 & 7;

	if (!(e->eax & 0x1f))
		return; /* no more caches */
	e->eax &= 0x3fff;
	if (level >= 3)
		e->eax |= ((1u << order(cpus)) - 1) << 14;
	if (count_cores)
		e->eax |= ((1u << order(cpus)) - 1) << 26;
}

static void set_topology_leaf(const struct vcpu *vcpu, struct kvm_cpuid_entry2 *e)
{
	unsigned int cpus = vcpu->machine->cpu_count;

	e->eax = 0;
	e->ebx = 0;
	e->ecx = e->index & 0xff;
	if (e->index == 0) {
		e->ebx = 1;
		e->ecx |= 1 << 8; /* threads */
	} else if (e->index == 1) {
		e->eax = order(cpus);
		e->ebx = cpus;
		e->ecx |= 2 << 8; /* cores */
	}
	e->edx = vcpu->id;
}

static void set_amd_leaf(const struct vcpu *vcpu, struct kvm_cpuid_entry2 *e)
{
	unsigned int cpus = vcpu->machine->cpu_count;

	if (e->function == 0x80000008) {
		if (e->ecx) /* zero on other makers' CPUs */
			e->ecx = (cpus - 1) | order(cpus) << 12;
	} else { /* 0x8000001e */
		e->eax = vcpu->id;
		e->ebx = vcpu->id;
		e->ecx = 0;
	}
}

static void set_entry(const struct vcpu *vcpu, struct kvm_cpuid_entry2 *e)
{
	switch (e->function) {
	case 0x1: set_leaf_1(vcpu, e); break;
	case 0x4: set_cache_leaf(vcpu, e, true); break;
	case 0xb:
	case 0x1f: set_topology_leaf(vcpu, e); break;
	case 0x80000008:
	case 0x8000001e: set_amd_leaf(vcpu, e); break;
	case 0x8000001d: set_cache_leaf(vcpu, e, false); break;
	}
}

static struct kvm_cpuid_entry2 *find_entry(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
	for (unsigned int i = 0; i < cpuid->nent; i++) {
		if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	}
	return NULL;
}

/*
 * KVM may give the topology leaves as one entry or none below the levels in use: give both levels
 * and the closing one. Room: the table is grown by two entries.
 */
static struct kvm_cpuid2 *complete_topology(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid2 *bigger;

	if (!find_entry(cpuid, 0xb, 0))
		return cpuid;
	bigger = realloc(cpuid, sizeof(*cpuid) + (cpuid->nent + 2) * sizeof(cpuid->entries[0]));
	if (!bigger)
		return cpuid;
	for (uint32_t index = 1; index <= 2; index++) {
		if (find_entry(bigger, 0xb, index))
			continue;
		bigger->entries[bigger->nent++] = (struct kvm_cpuid_entry2){
			.function = 0xb,
			.index = index,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		};
	}
	find_entry(bigger, 0xb, 0)->flags |= KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	return bigger;
}

bool vcpu_set_cpuid(struct vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid = supported_cpuid(vcpu->machine);
	int err;

	if (!cpuid)
		return false;
	cpuid = complete_topology(cpuid);
	for (unsigned int i = 0; i < cpuid->nent; i++)
		set_entry(vcpu, &cpuid->entries[i]);
	err = kvmdev_ioctl(vcpu->dev, KVM_SET_CPUID2, cpuid);
	free(cpuid);
	if (err < 0)
		message("KVM_SET_CPUID2 failed: %s", strerror(-err));
	return err >= 0;
}
