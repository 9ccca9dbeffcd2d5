/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * trial.h - a guest of a few hundred bytes that does what the start of every stock kernel does, step by step, to see whether
 * a KVM can run one: modes, paging, vector registers, exceptions, interrupts, a timer. See trial.c for the steps.
 *
 * It runs in a child process with a time limit, so that a KVM that hangs or kills its caller is a result too.
 */
#ifndef CLI_TRIAL_H
#define CLI_TRIAL_H

#include <stdbool.h>

#include "anykvm.h"

enum trial_step {
	TRIAL_OPEN,      /* open the device, its API version */
	TRIAL_NEEDS,     /* the capabilities that VMMs cannot do without */
	TRIAL_CREATE,    /* VM, chips, memory, vCPU, CPUID */
	TRIAL_REAL,      /* the guest runs in real mode */
	TRIAL_PROTECTED, /* 32-bit protected mode */
	TRIAL_LONG,      /* 64-bit mode with paging */
	TRIAL_VECTOR,    /* SSE2 registers */
	TRIAL_EXCEPTION, /* #UD through the interrupt table and back */
	TRIAL_INTERRUPT, /* the local APIC interrupts a guest that spins */
	TRIAL_TIMER,     /* its timer wakes a guest that halts */
	TRIAL_SPEED,     /* a loop, timed; no failure of its own but the time limit */
	TRIAL_STEPS,     /* all done */
};

struct trial {
	bool ok;
	enum trial_step step; /* the one that failed; TRIAL_STEPS if none */
	int error;            /* open: errno; else 0 or errno of the failing call */
	char detail[160];     /* what happened, in words; may be empty */
	double loops;         /* million turns of a two-instruction loop per second; 0: not known */
};

const char *trial_step_name(enum trial_step step);

/* device: a path, or NULL: libanykvm with this engine. False: the trial itself could not be made (message). */
bool trial_run(const char *device, enum anykvm_engine engine, struct trial *result);

#endif
