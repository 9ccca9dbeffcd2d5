/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* api-tests: the KVM ABI, on libanykvm or on a device. */
#include "../lib/harness.h"

/* Under sanitizers a report is a failure. */
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
	return "halt_on_error=1:print_stacktrace=1";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "halt_on_error=1:second_deadlock_stack=1";
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
