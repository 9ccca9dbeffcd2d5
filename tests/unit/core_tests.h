/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef CORE_TESTS_H
#define CORE_TESTS_H

#include "core_fake.h"

/* One group for each file; the number of failed tests. */
int core_exit_tests(void);
int core_event_tests(void);
int core_io_tests(void);
int core_debug_tests(void);
int core_state_tests(void);
int core_irqchip_tests(void);

#define CORE_TEST(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

#endif /* CORE_TESTS_H */
