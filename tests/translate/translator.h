/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* translator.h - a translator without a virtual machine, whose code nobody executes. */
#ifndef TESTS_TRANSLATOR_H
#define TESTS_TRANSLATOR_H

#include <stdlib.h>
#include "soft.h"

static struct soft_vcpu *sv;

/* False: this host has none. */
static bool translator_start(void)
{
	struct vcpu *v = calloc(1, sizeof(*v));

	sv = calloc(1, sizeof(*sv));
	if (!v || !sv)
		return false;
	sv->vcpu = v;
	v->engine_vcpu = sv;
	sv->tr.wanted = true;
	tr_init(sv);
	sv->tr.fpu_level = TR_FPU_AVX;
	return sv->tr.ready;
}

#endif /* TESTS_TRANSLATOR_H */
