/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* cmocka with its prerequisites, and shorthands. */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#define expect_eq(a, b) assert_int_equal((unsigned long long)(a), (unsigned long long)(b))
#define expect_true(c) assert_true(c)
/* For results that are 0 or -errno. */
#define expect_error(call, error) assert_int_equal((long long)(call), -(long long)(error))

#endif /* UNIT_H */
