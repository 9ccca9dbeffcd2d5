/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "host_tests.h"

int main(void)
{
	return host_sync_tests() + host_timer_tests() + host_memory_tests() + host_eventfd_tests() +
		       host_signal_tests() + host_fork_tests() + host_spin_tests() !=
	       0;
}
