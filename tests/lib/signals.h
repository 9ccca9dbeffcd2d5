/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* signals.h - signals for KVM_RUN: a pending one, and a kick from another thread. */
#ifndef TESTS_SIGNALS_H
#define TESTS_SIGNALS_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "machine.h"

/* KVM_SET_SIGNAL_MASK: while KVM_RUN runs, exactly these signals are blocked. NULL ends it. */
int signal_mask_for_run(struct cpu *cpu, const sigset_t *blocked);

/* Block the signal on this thread, make it pending, let KVM_RUN unblock it. */
void signal_pend_for_run(struct cpu *cpu, int signal);
bool signal_is_pending(int signal);
/* Take a pending signal away. */
void signal_take(int signal);

/* Install a handler that only counts (see signal_count). */
void signal_handle(int signal);
extern volatile sig_atomic_t signal_count;

/*
 * A thread that sends the signal to the caller's thread again and again, beginning when *flag in
 * guest memory becomes non-zero, until signal_kicker_stop().
 */
struct signal_kicker {
	pthread_t thread, target;
	int signal;
	volatile uint32_t *flag;
	bool stop;
};

void signal_kicker_start(struct signal_kicker *kicker, int signal, volatile void *flag);
void signal_kicker_stop(struct signal_kicker *kicker);

#endif /* TESTS_SIGNALS_H */
