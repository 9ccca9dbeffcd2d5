/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * guest.h - guest code for tests: assembled into this program, copied to GUEST_CODE.
 *
 *	GUEST(adds, 64, "add eax, ebx\n hlt\n");
 *	guest_start(cpu, GUEST_LONG, adds);
 *
 * Labels inside become C symbols when they begin with the blob's name (adds_handler); their guest
 * address is GUEST_ADDRESS(adds, adds_handler). Code must not depend on absolute label addresses
 * except through ADDRESS_OF, which the assembler resolves.
 */
#ifndef TESTS_GUEST_H
#define TESTS_GUEST_H

#include <string.h>

#include "machine.h"

struct guest_code {
	const uint8_t *start, *end;
};

/* bits: 16, 32 or 64. Intel syntax; the first instruction lies at GUEST_CODE. */
#define GUEST(name, bits, text)                                                                                        \
	__asm__(".pushsection .rodata.guest, \"a\"\n"                                                                  \
		".intel_syntax noprefix\n"                                                                             \
		".code" #bits "\n" #name "_start:\n" text "\n" #name "_end:\n"                                         \
		".code64\n"                                                                                            \
		".att_syntax prefix\n"                                                                                 \
		".popsection\n");                                                                                      \
	extern const uint8_t name##_start[], name##_end[];                                                             \
	static const struct guest_code name = { name##_start, name##_end }

/* For use inside the text: the guest address of a label of the same blob. */
#define ADDRESS_OF(name, label) "(" #label " - " #name "_start + 0x1000)"

#define GUEST_LABEL(label) extern const uint8_t label[]
#define GUEST_ADDRESS(name, label) (GUEST_CODE + (uint32_t)((label)-name##_start))

#define DONE "out 0xd0, al\n" /* PORT_DONE */

enum guest_mode {
	GUEST_REAL, /* flat real mode, all segment bases 0 */
	GUEST_PROT, /* 32-bit flat, no paging, IDT with the default handlers */
	GUEST_LONG, /* 64-bit, 4 GiB mapped one to one with 2 MiB pages, the same IDT */
};

/*
 * Copy code to GUEST_CODE (for vCPU n: the same code) and set the registers: RIP at its start,
 * RSP at GUEST_STACK - n * 256, IF clear, everything else 0.
 */
void guest_start(struct cpu *cpu, enum guest_mode mode, struct guest_code code);

/* guest_start(GUEST_LONG) with the code at another address, for a second vCPU that runs other code. */
void guest_start_at(struct cpu *cpu, struct guest_code code, uint32_t address);

/* After guest_start(GUEST_LONG): continue at CPL 3, same code, IOPL 0. */
void guest_enter_user(struct cpu *cpu);

/* What the default handlers of GUEST_PROT and GUEST_LONG have seen, oldest first. */
struct guest_event {
	uint64_t vector, error, rip, cs, rflags, rsp, ss, cr2;
};

/* How they go on: stored in guest memory, read by the handler. */
struct guest_event_log {
	uint64_t count;
	uint64_t skip;   /* added to the RIP that the handler returns to */
	uint64_t silent; /* no OUT to PORT_EVENT */
	uint64_t eoi;    /* write the LAPIC's EOI register */
	uint64_t reserved[4];
	struct guest_event event[16]; /* index: count modulo 16 */
};

struct guest_event_log *guest_log(struct machine *machine);

/* Real mode: one entry of the vector table at 0. */
void guest_ivt(struct machine *machine, uint8_t vector, uint16_t segment, uint16_t offset);

/* GUEST_PROT and GUEST_LONG: an interrupt gate to an address of the test's own. */
void guest_idt(struct machine *machine, enum guest_mode mode, uint8_t vector, uint32_t address);

/* GUEST_LONG: the page directory entry of a 2 MiB page below 4 GiB. */
uint64_t *guest_pde(struct machine *machine, uint64_t address);

/* What guest code has left in memory, at any address. */
static inline uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

#define SELECTOR_CODE 0x08 /* 64-bit or 32-bit code, DPL 0 */
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS 0x18   /* two descriptors in 64-bit mode */
#define SELECTOR_CODE3 0x2b /* DPL 3 */
#define SELECTOR_DATA3 0x33

#endif /* TESTS_GUEST_H */
