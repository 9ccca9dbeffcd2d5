/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "vmx_fake.h"

int main(void)
{
	return hw_life_tests() + vmx_cpu_tests() + vmx_enter_tests() + vmx_debug_tests() + vmx_memory_tests() != 0;
}
