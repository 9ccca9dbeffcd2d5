/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef CHIP_TESTS_H
#define CHIP_TESTS_H

/* One group for each file; the number of failed tests. */
int chip_pic_tests(void);
int chip_ioapic_tests(void);
int chip_lapic_tests(void);
int chip_timer_tests(void);
int chip_pit_tests(void);
int chip_route_tests(void);

#endif /* CHIP_TESTS_H */
