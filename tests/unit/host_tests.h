/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef HOST_TESTS_H
#define HOST_TESTS_H

/* One group for each file; the number of failed tests. */
int host_sync_tests(void);
int host_timer_tests(void);
int host_memory_tests(void);
int host_eventfd_tests(void);
int host_signal_tests(void);
int host_fork_tests(void);
int host_spin_tests(void);

#endif /* HOST_TESTS_H */
