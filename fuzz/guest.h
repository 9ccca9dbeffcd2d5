/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* guest.h - the guest of code.c: page tables, descriptors, handlers that stop, on the lockstep engine. */
#ifndef FUZZ_GUEST_H
#define FUZZ_GUEST_H

#include "anykvm.h"
#include "fuzz.h"

#define CODE_PAGES 2
#define DATA_PAGES 4
#define CODE_LIN 0x10000000ull
#define DATA_LIN 0x20000000ull
#define STACK_PAGE 3 /* of the data pages: RSP points into it */

struct guest {
	struct anykvm_handle *sys, *vm, *vcpu;
	struct kvm_run *run;
	uint8_t *mem;
	unsigned code_frame; /* code pages change place, so that not all of them look rewritten */
};

/* The guest's handlers end in HLT with the exception's frame on the stack. */
struct frame {
	unsigned vector;
	bool has_error;
	uint64_t error, rip, cs, rflags, rsp, ss;
};

/* False: *error is why (-ENOSYS: no translator on this host). */
bool guest_open(struct guest *g, int *error);
void guest_close(struct guest *g);
/* Memory, registers and everything else as the input says. */
void guest_set_up(struct guest *g, const struct code_input *in, const uint8_t *code, size_t len);
/* After KVM_EXIT_HLT: in a handler? */
bool guest_frame(struct guest *g, struct frame *f);
/* Let the interrupted code go on there. */
void guest_resume_at(struct guest *g, const struct frame *f, uint64_t rip);
/* Make the page of a faulting address writable if it is one of the data or code pages. */
bool guest_fix_page(struct guest *g, uint64_t address);

#endif /* FUZZ_GUEST_H */
