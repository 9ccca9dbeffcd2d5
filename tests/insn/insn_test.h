/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * insn_test.h - the instruction tests: registration, counting, the CPU model that they share.
 *
 * A test is a function registered by INSN_TEST in any file of this folder; main.c runs them all. Inside,
 * insn_fail() records a failure of the running test (with a message), insn_skip() that it cannot run here.
 */
#ifndef INSN_TEST_H
#define INSN_TEST_H

#include "x86.h"

struct insn_options {
	u64 seed;
	unsigned rounds;  /* cases for each opcode of the table and mode */
	const char *only; /* operation's name, or NULL */
	bool strict;      /* compare undefined flags, too: the host is the guest's CPU */
	bool verbose;
};
extern struct insn_options insn_options;

struct insn_test {
	const char *name;
	void (*run)(void);
};

#define INSN_TEST(fn, text)                                                                                            \
	static void fn(void);                                                                                          \
	static const struct insn_test fn##_test = { text, fn };                                                        \
	static const struct insn_test *const fn##_entry __attribute__((used, section("insn_tests"))) = &fn##_test;     \
	static void fn(void)

/* A failure or a skip of the current test; both may be called more than once. */
__attribute__((format(printf, 1, 2))) void insn_fail(const char *format, ...);
__attribute__((format(printf, 1, 2))) void insn_skip(const char *format, ...);

/*
 * A test made of many smaller ones (one for each operation) counts them itself: begin, then insn_fail() or
 * insn_skip() or neither, then end.
 */
void insn_begin(const char *format, ...) __attribute__((format(printf, 1, 2)));
void insn_end(void);

/* Failures of the current test so far. */
unsigned insn_failures(void);

#endif /* INSN_TEST_H */
