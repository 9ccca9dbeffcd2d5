/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * injected.h - signals where the library and the program it serves share a process but no C library (shim/inject/). There
 * every call of the program is a trap (SIGSYS) with all signals but the faults blocked, and each signal comes to an entry
 * that first gives the thread the library's thread pointer.
 */
#ifndef HOST_INJECTED_H
#define HOST_INJECTED_H

#include <signal.h>
#include <host/types.h>

/* Before the program's first instruction: signals go to signal_handler from now on, once the program has handlers. */
void host_injected_start(void *signal_handler);

/* A signal has arrived. The program's handler to be called with the same arguments and stack, or NULL: return. */
void *host_injected_signal(int sig, siginfo_t *info, void *context);

/* rt_sigaction(2) of the program, with the kernel's structures. 0 or -errno. SIGSYS is never blocked by handlers. */
long host_injected_sigaction(int sig, const void *act, void *oact);

/*
 * Bracket a call into the library from a trap: handlers of the program wait until the trap has returned. interruptible: the
 * program's mask is put in force, so that signals end KVM_RUN. On leaving all but the faults are blocked again.
 */
void host_injected_enter(u64 mask, bool interruptible);
void host_injected_leave(void);

/* In the child of a fork that libc did not make. */
void host_after_fork(void);

#endif /* HOST_INJECTED_H */
