/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A VM with one vCPU on an engine that a test scripts: each entry into guest mode calls the next step of the script.
 * The vCPU is in real mode with CS = 0 and executes at CODE; RAM is at [0, RAM_SIZE); everything else is MMIO.
 */
#ifndef CORE_FAKE_H
#define CORE_FAKE_H

#include "irqchip.h"
#include "unit.h"

#define RAM_SIZE 0x100000u
#define CODE 0x1000u
#define MMIO 0x200000u /* DS.base after fake_data_at_mmio() */

typedef void fake_step(struct vcpu *v, struct vm_exit *exit);

struct fake {
	struct vm *vm;
	struct vcpu *v;
	struct kvm_run *run;
	u8 *ram;
	fake_step *steps[16];
	unsigned nr_steps, next;
	unsigned settings_changed, tlb_flushes;
	void (*between_turns)(void); /* called where KVM_RUN lets other threads run, behind its look at signals */
};
extern struct fake fake;
extern const struct engine_ops fake_engine;

int fake_setup(void **state);
int fake_setup_irqchip(void **state); /* with PIC, IOAPIC and LAPICs in the process */
int fake_setup_split(void **state);   /* LAPICs only */
int fake_teardown(void **state);

/* The script, NULL-terminated; an entry beyond it fails the test. */
void fake_script(fake_step *first, ...);
/* Steps that need no code of their own. */
void step_emulate(struct vcpu *v, struct vm_exit *exit); /* let the library execute the instruction at rip */
void step_hlt(struct vcpu *v, struct vm_exit *exit);
void step_none(struct vcpu *v, struct vm_exit *exit);
/* The engine delivers what it was given: takes v->inject and remembers it. */
void step_deliver(struct vcpu *v, struct vm_exit *exit);
extern struct x86_event fake_delivered;

long fake_vcpu_ioctl(struct vcpu *v, u32 cmd, void *arg);
long fake_ioctl(u32 cmd, void *arg);
long fake_run(void);
/* KVM_RUN must return 0 with that exit reason. */
void fake_run_exits(u32 reason);
void fake_code(const void *bytes, size_t n);
#define CODE_BYTES(...) fake_code((const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))
void fake_data_at_mmio(void); /* DS and ES point to MMIO, limit 4 GiB */
void fake_set_rflags(u64 rflags);

#endif /* CORE_FAKE_H */
