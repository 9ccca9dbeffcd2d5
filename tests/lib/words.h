/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Numbers at which checks of arguments change their mind, for callers that are otherwise random. */
#ifndef TEST_WORDS_H
#define TEST_WORDS_H

#include <stdint.h>

static const uint64_t interesting_words[] = {
	0,
	1,
	2,
	4,
	0x7f,
	0x80,
	0xff,
	0x1000,
	0x7fffffff,
	0xfee00000, /* the LAPIC's page */
	0xfffff000,
	0xffffffff,
	0x100000001,
	0x7ffffffffffff000, /* a page's end overflows s64, not u64 */
	0x8000000000000000,
	0xffffffffffffffff,
};
#define INTERESTING_WORDS (sizeof(interesting_words) / sizeof(interesting_words[0]))

#endif /* TEST_WORDS_H */
