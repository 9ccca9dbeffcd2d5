/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * fuzz.h - the fuzzers: libFuzzer entries (LLVM, "libFuzzer") over one part each.
 *
 *	decode.c	the decoder and the translator's copy of what it decodes
 *	code.c		random guest code in lockstep (guest.c: the guest)
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
	uint8_t unused[2];
};
enum { CODE_32BIT = 1, CODE_KERNEL = 2, CODE_WRITABLE = 4, CODE_AT_PAGE_END = 8, CODE_VECTORS = 16, CODE_TF = 32 };

#endif /* FUZZ_H */
