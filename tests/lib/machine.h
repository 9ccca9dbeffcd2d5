/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * machine.h - a small VM for one test: memory, vCPUs, guest code in any mode.
 *
 * Every helper here fails the test when the target refuses; a test that wants the refusal calls
 * kt_ioctl() itself. Objects are released by the harness (kt_close_all), memory by the process.
 */
#ifndef TESTS_MACHINE_H
#define TESTS_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "harness.h"
#include "kvm_target.h"

/* Ports that the tests' guests use to speak to the test. */
#define PORT_DONE 0xd0  /* the guest is through */
#define PORT_EVENT 0xe0 /* the default handler took an exception or interrupt */

#define PAGE_SIZE 4096ul
#define MACHINE_MEMORY (4ul << 20)

/* Flags of machine_new(). */
#define MACHINE_IRQCHIP 1u /* PIC, IOAPIC and LAPICs */
#define MACHINE_PIT 2u     /* and PIT with speaker port; implies MACHINE_IRQCHIP */
#define MACHINE_SPLIT 4u   /* only LAPICs (KVM_CAP_SPLIT_IRQCHIP, 24 pins) */
#define MACHINE_EMPTY 8u   /* no memory */

/* Guest-physical layout of slot 0, which starts at 0. */
#define GUEST_CODE 0x1000u    /* up to 0x7fff: code under test */
#define GUEST_STACK 0x8000u   /* grows down, into the end of the code area */
#define GUEST_DATA 0x9000u    /* up to 0xffff: free for the test */
#define GUEST_TABLES 0x10000u /* up to 0x1ffff: see guest.c */
#define GUEST_FREE 0x20000u   /* from here on: free for the test */

/* A hole in guest-physical space, mapped one to one by the 64-bit set-up. */
#define GUEST_HOLE 0xd0000000u
#define LAPIC_BASE 0xfee00000u
#define IOAPIC_BASE 0xfec00000u

struct machine {
	struct kt *sys, *vm;
	uint8_t *mem; /* MACHINE_MEMORY bytes */
};

struct cpu {
	struct machine *machine;
	struct kt *kt;
	struct kvm_run *run;
	size_t run_size;
	unsigned int id;
};

struct machine *machine_new(unsigned int flags);
struct cpu *cpu_new(struct machine *machine, unsigned int id);

/* Whether KVM_CHECK_EXTENSION, on the VM where possible, answers non-zero. */
int machine_cap(struct machine *machine, int cap);
void require_cap(struct machine *machine, int cap, const char *name);
#define REQUIRE_CAP(machine, cap) require_cap(machine, cap, #cap)

void machine_enable_cap(struct machine *machine, uint32_t cap, uint64_t arg0);

/* Page-aligned zeroed host memory that lives as long as the test. */
void *host_memory(size_t size);

int memory_slot(struct machine *machine, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, void *host);

/*
 * The supported CPUID table, the caller's to change; it lives as long as the test. Entries beyond the caller's changes are as
 * the target gave them.
 */
struct kvm_cpuid2 *cpuid_supported(struct machine *machine);
struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index);

struct kvm_regs cpu_regs(struct cpu *cpu);
struct kvm_sregs cpu_sregs(struct cpu *cpu);
struct kvm_vcpu_events cpu_events(struct cpu *cpu);
void cpu_set_regs(struct cpu *cpu, const struct kvm_regs *regs);
void cpu_set_sregs(struct cpu *cpu, const struct kvm_sregs *sregs);
void cpu_set_events(struct cpu *cpu, const struct kvm_vcpu_events *events);

/* One MSR; the raw ioctl's result (1: done, 0: refused). */
int cpu_get_msr(struct cpu *cpu, uint32_t index, uint64_t *value);
int cpu_set_msr(struct cpu *cpu, uint32_t index, uint64_t value);

/* A counter of a VM or vCPU by KVM_GET_STATS_FD, whose binary format (header, id, descriptors, data) is checked on the way. */
uint64_t stat_value(struct kt *object, const char *wanted, bool *found);

/* KVM_RUN as it is. */
int cpu_run(struct cpu *cpu);
/* KVM_RUN that must end with this exit reason. */
#define cpu_run_to(cpu, reason) cpu_run_to_at(cpu, reason, __FILE__, __LINE__)
void cpu_run_to_at(struct cpu *cpu, uint32_t exit_reason, const char *file, int line);
/* KVM_RUN that must end with an OUT of one item; returns the value. */
#define cpu_run_to_out(cpu, port) cpu_run_to_out_at(cpu, port, __FILE__, __LINE__)
uint32_t cpu_run_to_out_at(struct cpu *cpu, uint16_t port, const char *file, int line);
/* The guest says that it is through. */
#define cpu_run_to_done(cpu) cpu_run_to_out(cpu, PORT_DONE)
#define check_exit(cpu, reason) check_exit_at(cpu, reason, __FILE__, __LINE__)
void check_exit_at(struct cpu *cpu, uint32_t exit_reason, const char *file, int line);
const char *exit_name(uint32_t exit_reason);

static inline void *io_data(struct cpu *cpu)
{
	return (uint8_t *)cpu->run + cpu->run->io.data_offset;
}

#endif /* TESTS_MACHINE_H */
