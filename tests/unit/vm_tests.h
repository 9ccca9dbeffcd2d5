/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A VM on an engine that only counts, for tests that never run a guest. */
#ifndef VM_TESTS_H
#define VM_TESTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "irqchip.h"
#include "parts.h"

#define PAGE 4096ull
#define RAM_PAGES 256

struct fixture {
	struct vm *vm;
	struct vcpu *v;      /* made by fixture_vcpu() */
	u8 *ram;             /* RAM_PAGES pages of host memory, in no slot */
	unsigned slots_live; /* slots the engine knows */
};
extern struct fixture fx;

int fixture_setup(void **state);
int fixture_teardown(void **state);
void fixture_vcpu(void);

long vm_call(u32 cmd, const void *arg);
long vm_call_int(u32 cmd, unsigned long arg);
long sys_call(u32 cmd, const void *arg);
/* KVM_SET_USER_MEMORY_REGION of pages of fx.ram from page ram_page on. */
long set_slot(u32 slot, u64 gpa, u64 pages, u64 ram_page, u32 flags);

#define VM_TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int vm_memslot_tests(void);
int vm_bus_tests(void);
int vm_cpuid_tests(void);
int vm_msr_tests(void);
int vm_clock_tests(void);
int vm_ioctl_tests(void);

#endif /* VM_TESTS_H */
