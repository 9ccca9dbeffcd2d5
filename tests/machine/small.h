/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* small.h - what the programs for the machine have in common: a VM of their own, by the device file and nothing else. */
#ifndef TESTS_MACHINE_SMALL_H
#define TESTS_MACHINE_SMALL_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

/* Unless ok the program ends: what, and errno's text. */
void must(int ok, const char *what);

/* Each of them ends the program where it is refused. */
int small_open(const char *device); /* the system file */
int small_vm(int sys);
int small_vcpu(int vm, unsigned int id);
struct kvm_run *small_run(int sys, int vcpu); /* mapped */
void small_slot(int vm, uint32_t nr, uint64_t gpa, void *at, uint64_t size, uint32_t flags);
void *small_memory(size_t size);

/* In real mode with CS at 0, or in protected mode with flat segments; there with these registers. */
void small_real(int vcpu, const struct kvm_regs *regs);
void small_protected(int vcpu, const struct kvm_regs *regs);

#endif /* TESTS_MACHINE_SMALL_H */
