/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * harness.h - tests as functions, each run in a child process of its own.
 *
 * A test ends by returning (passed), by the first check that does not hold (failed) or by skip().
 * The checks may be used on any thread of the child. The time limit only guards against hangs:
 * a test never asserts on elapsed time.
 */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <stdbool.h>
#include <stdint.h>

struct test {
	const char *name;
	const char *file;
	void (*run)(void);
	struct test *next;
};

void test_register(struct test *test);

#define TEST(id)                                                                                                       \
	static void id##_test(void);                                                                                   \
	__attribute__((constructor)) static void id##_register(void)                                                   \
	{                                                                                                              \
		static struct test entry = { #id, __FILE__, id##_test, 0 };                                            \
		test_register(&entry);                                                                                 \
	}                                                                                                              \
	static void id##_test(void)

__attribute__((noreturn, format(printf, 3, 4))) void test_fail(const char *file, int line, const char *format, ...);
__attribute__((noreturn, format(printf, 1, 2))) void test_skip(const char *format, ...);

#define fail(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)
#define skip(...) test_skip(__VA_ARGS__)

#define check(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			fail("not so: %s", #condition);                                                                \
	} while (0)

#define check_eq(actual, wanted)                                                                                       \
	do {                                                                                                           \
		unsigned long long actual_ = (unsigned long long)(actual);                                             \
		unsigned long long wanted_ = (unsigned long long)(wanted);                                             \
		if (actual_ != wanted_)                                                                                \
			fail("%s is %#llx, not %#llx (%s)", #actual, actual_, wanted_, #wanted);                       \
	} while (0)

/* A call that returns >= 0 or a negative errno. */
#define check_ok(call)                                                                                                 \
	do {                                                                                                           \
		long ret_ = (call);                                                                                    \
		if (ret_ < 0)                                                                                          \
			fail("%s: %s", #call, test_errno_name(-ret_));                                                 \
	} while (0)

#define check_error(call, error)                                                                                       \
	do {                                                                                                           \
		long ret_ = (call);                                                                                    \
		if (ret_ >= 0)                                                                                         \
			fail("%s: %ld, not %s", #call, ret_, #error);                                                  \
		if (ret_ != -(error))                                                                                  \
			fail("%s: %s, not %s", #call, test_errno_name(-ret_), #error);                                 \
	} while (0)

const char *test_errno_name(int error);

/* Runs the tests that the arguments ask for; returns the exit status. See --help. */
int test_main(int argc, char **argv);

#endif /* TESTS_HARNESS_H */
