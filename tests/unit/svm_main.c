/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "svm_fake.h"

int main(void)
{
	return hw_life_tests() + svm_cpu_tests() + svm_exit_tests() + svm_enter_tests() != 0;
}
