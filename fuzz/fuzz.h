/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * fuzz.h - the fuzzers: libFuzzer entries (LLVM, "libFuzzer") over one part each.
 *
 *	decode.c	the decoder and the translator's copy of what it decodes
 *	code.c		random guest code in lockstep
 *	engines.c	random guest code, interpreted and translated, each to its end
 *			(guest.c: the guest of both, drive.c: what answers it, program.c: code with a shape)
 *	api.c		random ioctls
 *	fail.c		what they share: fuzz_fail()
 *	seeds.c		makes the seeds of code.c
 *
 * A failure is abort(); libFuzzer then saves the input. `make fuzz-replay INPUT=FILE` runs one again.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* End the process as a failure, with a message. */
void fuzz_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* The first bytes of an input of code.c; the rest is code. */
struct code_input {
	uint8_t flags; /* CODE_* */
	uint8_t pages; /* two bits for each data page: absent, read-only, writable, supervisor only */
	uint16_t rflags;
	uint8_t reg[16]; /* low bits: kind of value, high bits: which (guest.c) */
	uint8_t memory;  /* pattern of the data pages */
	uint8_t entry;   /* offset of the first instruction in the code */
	uint8_t system;  /* SYSTEM_* */
	uint8_t unused;
};
enum {
	CODE_32BIT = 1,
	CODE_KERNEL = 2,
	CODE_WRITABLE = 4,
	CODE_AT_PAGE_END = 8,
	CODE_VECTORS = 16,
	CODE_TF = 32,
	CODE_PROGRAM = 64 /* the rest is no code, but what program.c makes code of */
};
enum {
	SYSTEM_SMAP = 1,
	SYSTEM_PCID = 2,
	SYSTEM_UMIP = 4,
	SYSTEM_PGE = 8,  /* the first code page and what belongs to the handlers are global */
	SYSTEM_HIGH = 16 /* with CODE_KERNEL: begins in the upper half */
};

/*
 * program.c. With CODE_PROGRAM the rest is a script: each byte asks for a loop, a call, a stack frame, a store into the code
 * itself, a change of mode ...; any bytes are a program. False: too short or too long. What code points to stands until the next
 * call. The environment variable FUZZ_CODE names a file to write the code to.
 */
bool split_input(const uint8_t *data, size_t size, struct code_input *in, const uint8_t **code, size_t *len);

#endif /* FUZZ_H */
