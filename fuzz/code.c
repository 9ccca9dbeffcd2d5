/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Random guest code on the lockstep engine: the engine itself stops where translator and interpreter differ. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "guest.h"

#define USE_MAX 4000 /* inputs for one virtual machine */
#define MILLISECONDS 4

static struct guest guest;
static unsigned used;

static void start(void)
{
	int error;

	if (guest.vm)
		guest_close(&guest);
	if (!guest_open(&guest, ANYKVM_ENGINE_LOCKSTEP, &error)) {
		if (error != -ENOSYS)
			fuzz_fail("no virtual machine: %s", strerror(-error));
		exit(77);
	}
	used = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct code_input in;
	const uint8_t *code;
	size_t len;

	if (!split_input(data, size, &in, &code, &len))
		return -1;
	if (!guest.vm || used++ >= USE_MAX)
		start();
	guest_set_up(&guest, &in, code, len);
	guest_drive(&guest, &in, MILLISECONDS, NULL);
	/* It may have left anything in the processor. */
	if (in.flags & CODE_KERNEL)
		used += USE_MAX / 32;
	return 0;
}
