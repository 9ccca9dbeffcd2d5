/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "chip_tests.h"

int main(void)
{
	return chip_pic_tests() + chip_ioapic_tests() + chip_lapic_tests() + chip_timer_tests() + chip_pit_tests() +
		       chip_route_tests() !=
	       0;
}
