/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * posix.h - shared by the files of host/posix. Include it last: code after it is compiled without vector
 * registers, because KVM_RUN keeps the guest's in the processor while it calls host services. What must
 * call into libc beyond thin system call wrappers brackets that with vector_save() and vector_restore().
 */
#ifndef HOST_POSIX_H
#define HOST_POSIX_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "vcpu.h"

#pragma GCC target("general-regs-only")

/* --- mem.c ------------------------------------------------------------------------------------ */

/* Room for the x87, SSE, AVX and AVX-512 state in standard XSAVE form. */
struct vector_state {
	u8 area[2752];
} __attribute__((aligned(64)));
void vector_save(struct vector_state *s);
void vector_restore(struct vector_state *s);

/*
 * A mapping that is filled as it is touched, also after mlockall(MCL_FUTURE), which would fill all of the engine's tables where most of
 * each is never used. Not locked then. NULL: refused.
 */
void *map_unfilled(size_t size, int prot, int flags, int fd);

/* The host_shared's memfd, owned by it. */
int host_shared_fd(const struct host_shared *m);
size_t host_shared_size(const struct host_shared *m);

/*
 * Allocation failures for tests: the n-th host_alloc, host_alloc_pages or host_shared_alloc from now on
 * fails (1: the next); 0: none. ANYKVM_FAIL_ALLOC in the environment sets the start value.
 */
void host_fail_alloc(u64 n);

/* --- time.c ----------------------------------------------------------------------------------- */

struct timespec host_timespec(u64 ns);

/* --- signal.c --------------------------------------------------------------------------------- */

/* What the library does on this thread. Read and written by its own signal handlers. */
struct host_thread {
	u32 depth;         /* > 0: inside the library: handlers wait until it is left */
	bool ending;       /* the outer mask is being put back */
	bool masked;       /* the mask of KVM_SET_SIGNAL_MASK is in force */
	bool deferred;     /* a signal was put back as pending and blocked */
	bool mask_known;   /* mask_blocks is up to date */
	bool mask_blocks;  /* the thread blocks fault signals when it enters */
	u32 pending;       /* a signal arrived since host_run_begin */
	u64 outer;         /* the signal mask to put back (masked or deferred) */
	struct vcpu *vcpu; /* in KVM_RUN */
	u32 *wait_seq;     /* futex word this thread may be sleeping on */
	void *guard;       /* innermost host_guarded */
};
extern __thread struct host_thread host_thread __attribute__((tls_model("initial-exec")));

/* Take over the process's signal handlers: from the first anykvm_open() on. Any number of calls. */
void signal_activate(void);
/* Bracket every call into the library: program handlers run only outside. Nests. */
void signal_enter(void);
void signal_leave(void);
/* Start a thread of the library's own: no program signals, small stack. 0 or -EAGAIN. */
int host_thread_start(void *(*fn)(void *), void *arg);

/* --- fork: threads of the library do not exist in a child ------------------------------------- */

/* Number of forks between the start of the first process and this one. */
extern u32 host_fork_count;
void fork_watch(void); /* install the handlers below, once */
void timer_after_fork(void);
void monitor_after_fork(void);
void eventfd_after_fork(void);
void signal_after_fork(void);
void cpu_after_fork(void);
void trace_after_fork(void);

/* --- system calls --------------------------------------------------------------------------------
 * libc's wrappers of these are cancellation points: a thread could end inside the library with its locks held.
 */
static inline ssize_t sys_read(int fd, void *buf, size_t n)
{
	return syscall(SYS_read, fd, buf, n);
}
static inline ssize_t sys_write(int fd, const void *buf, size_t n)
{
	return syscall(SYS_write, fd, buf, n);
}
static inline int sys_close(int fd)
{
	return (int)syscall(SYS_close, fd);
}

/* cancel.c: see there. */
void cancel_prepare(void);

/* --- futex ------------------------------------------------------------------------------------ */

/* deadline_ns: 0 for none. Returns when woken, when *word is not val, on a signal or timeout (errno kept). */
void futex_wait(u32 *word, u32 val, u64 deadline_ns);
void futex_wake(u32 *word, int n);

#endif /* HOST_POSIX_H */
