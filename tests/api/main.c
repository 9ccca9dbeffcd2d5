/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* api-tests: the KVM ABI, on libanykvm or on a device. */
#include "../lib/harness.h"

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
