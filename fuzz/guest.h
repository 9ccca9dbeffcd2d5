/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * guest.h - the guest of code.c and engines.c: page tables, descriptors, handlers that stop.
 *
 * Two code pages at CODE_LIN, again at CODE_ALIAS from there, and to be written at CODE_WINDOW; data pages; a stack that is
 * always there; a page of ROM and one of nothing (MMIO). CR3 may be GUEST_PML4 or GUEST_PML4_B, where data pages are turned
 * round and the second code page is a copy with other constants. All of it is there a second time, from HIGH on.
 */
#ifndef FUZZ_GUEST_H
#define FUZZ_GUEST_H

#include "anykvm.h"
#include "fuzz.h"

#define CODE_PAGES 2
#define CODE_FRAMES_USED 3
#define DATA_PAGES 4
#define HIGH 0xffffffff80000000ull
#define CODE_LIN 0x10000000ull
#define CODE_ALIAS 0x8000
#define CODE_WINDOW 0x10000
#define DATA_LIN 0x20000000ull
#define ROM_PAGE 8    /* behind DATA_LIN */
#define DEVICE_PAGE 9 /* likewise */
#define STACK_PAGE 3  /* of the data pages: RSP points into it */
#define STACK_LIN 0x28000000ull
#define STACK_PAGES 32
#define GUEST_PML4 0x1000
#define GUEST_PML4_B 0xd000
#define QUIET_VECTOR 0x80 /* its handler returns; all others stop */
#define END_VECTOR 0x81   /* a program's last instruction */
#define FLAGS_ARITHMETIC 0x8d5
enum { USER_CS32 = 0x23, USER_DS = 0x2b, USER_CS64 = 0x33 };

struct guest {
	struct anykvm_handle *sys, *vm, *vcpu;
	struct kvm_run *run;
	uint8_t *mem;
	unsigned code_frame; /* code pages change place, so that not all of them look rewritten */
	struct kvm_sregs first;
	bool compares; /* lockstep: an internal error is a difference */
	/* drive.c: what has come in by ports since the input's start; what has gone through them either way, in one number. */
	unsigned bytes_in;
	uint64_t port_data;
	/* drive.c: before each instruction (KVM_GUESTDBG_SINGLESTEP). False: enough. */
	bool (*on_step)(struct guest *g);
};

/* The guest's handlers end in HLT with the exception's frame on the stack. */
struct frame {
	unsigned vector;
	bool has_error;
	uint64_t error, rip, cs, rflags, rsp;
};

/* The address in the lower half of the same. */
static inline uint64_t low_half(uint64_t address)
{
	return address < HIGH ? address : address - HIGH;
}

/* False: *error is why (-ENOSYS: no translator on this host). */
bool guest_open(struct guest *g, enum anykvm_engine engine, int *error);
void guest_close(struct guest *g);
/* Memory, registers and everything else as the input says. */
void guest_set_up(struct guest *g, const struct code_input *in, const uint8_t *code, size_t len);
/* The same once more, with the code in the same frames; translations of it stay where that is possible. */
void guest_restart(struct guest *g, const struct code_input *in, const uint8_t *code, size_t len);
/* After KVM_EXIT_HLT: in a handler? */
bool guest_frame(struct guest *g, struct frame *f);
/* Let the interrupted code go on there; with arithmetic flags that are clear. */
void guest_resume_at(struct guest *g, const struct frame *f, uint64_t rip);
void guest_clear_flags(struct guest *g, const struct frame *f);
/* Make the page of a faulting address writable if it is one of the data or code pages. */
bool guest_fix_page(struct guest *g, uint64_t address);
/* The instruction at a linear address, as the vCPU sees memory now. False: there is none. */
struct x86_insn;
bool guest_insn(struct guest *g, uint64_t at, struct x86_insn *i);
/* DATA_PAGES, CODE_FRAMES_USED, STACK_PAGES pages. */
const uint8_t *guest_data(const struct guest *g);
const uint8_t *guest_code(const struct guest *g);
const uint8_t *guest_stack(const struct guest *g);

/* --- drive.c: an input from its start to its end --------------------------------------------------------------- */

#define EVENTS_MAX 40

struct event {
	unsigned exit; /* KVM_EXIT_* */
	struct frame frame;
	uint64_t cr2;
	bool string;        /* INS or OUTS, all of its exits in one event; counters and RIP are not in regs */
	uint64_t port_data; /* up to here */
	struct kvm_regs regs;
};

struct course {
	unsigned nr;
	bool cut; /* by time */
	struct event event[EVENTS_MAX];
};

/* Answer what the guest does until its input is over, or ms milliseconds have passed. course may be NULL. */
void guest_drive(struct guest *g, const struct code_input *in, unsigned ms, struct course *course);

#endif /* FUZZ_GUEST_H */
