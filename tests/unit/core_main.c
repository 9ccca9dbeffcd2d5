/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "core_tests.h"

int main(void)
{
	return core_exit_tests() + core_event_tests() + core_io_tests() + core_debug_tests() + core_state_tests() +
		       core_irqchip_tests() !=
	       0;
}
