/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * host.h - every operating-system service that core, irqchip and engines may use.
 *
 * Two implementations: host/posix (user space) and host/linux (kernel module). The embedded types
 * (struct host_mutex, host_lock, host_timer, host_wait, host_srcu) are complete in <host/sync.h> of
 * each host. Atomics are the compiler's __atomic builtins in both.
 *
 * Lock order, outermost first (the whole program; a lock may only be taken after those above it):
 *	1. vm->lock (mutex)		creation of vCPUs and devices, VM-wide settings
 *	2. vcpu->mutex (mutex)		one ioctl per vCPU at a time; held all through KVM_RUN
 *	3. vm->slots_lock (mutex)	changes of memory slots, bus devices, ioeventfds
 *	4. vm->irq_lock (mutex)		GSI routing and irqfd changes
 *	5. srcu read section (vm->srcu)	memslots, buses and routing snapshots: readers never block writers' locks
 *	6. pit->lock, vcpu->lapic timer lock (host_lock)
 *	7. ioapic->lock, pic->lock (host_lock)
 *	8. host-internal locks (timers, waits)
 * host_lock is a spinlock in the kernel (timer callbacks run in interrupt context): nothing sleeps, allocates
 * or touches guest or user memory under it. Updaters call host_srcu_synchronize() with no srcu section held.
 */
#ifndef ANYKVM_HOST_H
#define ANYKVM_HOST_H

#include <host/types.h>
#include <host/sync.h>
#include <host/errno.h>

/* --- memory: zeroed; NULL when there is none. Sleeps in the kernel. ----------------------------- */
void *host_alloc(size_t size);
void *host_alloc_pages(size_t size); /* page aligned; size rounded up to pages; may be large */
void host_free(void *p);             /* NULL is allowed */
void host_free_pages(void *p, size_t size);

/*
 * Memory that is shared with user space through mmap of a vCPU fd: size bytes from offset 0 on and, where ring_size is not 0,
 * ring_size bytes at ring_offset, beyond them. Zeroed; all multiples of a page.
 */
struct host_shared;
struct host_shared *host_shared_alloc(size_t size, size_t ring_offset, size_t ring_size);
void *host_shared_ptr(struct host_shared *m);
void *host_shared_ring(struct host_shared *m);
void host_shared_free(struct host_shared *m);

/* --- the caller's memory: 0 or -EFAULT. May sleep. ----------------------------------------------- */
int host_copy_from_user(void *dst, const void *user, size_t n);
int host_copy_to_user(void *user, const void *src, size_t n);
/* The same as the first without sleeping, where host_wait_until() asks: -EFAULT also if the memory is not there at once. */
int host_peek_user(void *dst, const void *user, size_t n);
bool host_user_range_ok(u64 addr, u64 size); /* could be a user address range at all */
/* Compare-exchange of 4 or 8 bytes, naturally aligned. 0, -EAGAIN (value differed), -EFAULT. */
int host_cmpxchg_user(void *user, u64 old, u64 val, unsigned size);

/* --- locks ---------------------------------------------------------------------------------------- */
void host_mutex_init(struct host_mutex *m);
void host_mutex_lock(struct host_mutex *m);
int host_mutex_lock_killable(struct host_mutex *m); /* 0 or -EINTR */
bool host_mutex_trylock(struct host_mutex *m);
void host_mutex_unlock(struct host_mutex *m);
void host_mutex_destroy(struct host_mutex *m);
void host_lock_init(struct host_lock *l);
unsigned long host_lock_acquire(struct host_lock *l); /* returns the state for release */
void host_lock_release(struct host_lock *l, unsigned long state);
void host_lock_destroy(struct host_lock *l);

/*
 * Sleepable read-copy-update: readers hold a section (may sleep, may nest), updaters publish a new snapshot
 * by an atomic pointer and then wait until every section that could see the old one has ended.
 */
int host_srcu_init(struct host_srcu *s);
int host_srcu_read_lock(struct host_srcu *s);
void host_srcu_read_unlock(struct host_srcu *s, int idx);
void host_srcu_synchronize(struct host_srcu *s);
/*
 * For readers that stay in their section until told (vCPUs in guest mode): synchronize calls kick(arg), and again
 * from time to time until all have left, since a reader may answer a kick and take a section of the old phase again.
 * Set once, before the first reader. (A kernel host may call it once: its readers leave with every timer tick.)
 */
void host_srcu_set_kick(struct host_srcu *s, void (*kick)(void *arg), void *arg);
void host_srcu_destroy(struct host_srcu *s);

/* --- waiting: one sleeper, many wakers -------------------------------------------------------------- */
void host_wait_init(struct host_wait *w);
/*
 * Sleep until cond(arg) is true or a signal is pending for this thread. cond is evaluated again after each
 * wake-up, must be cheap and must not sleep itself. deadline_ns: 0 for none, else host_now_ns() time. 0: cond true; -EINTR; -ETIMEDOUT.
 */
int host_wait_until(struct host_wait *w, bool (*cond)(void *arg), void *arg, u64 deadline_ns);
/* Wake the sleeper, if any. Any context. The change that cond looks at must be visible before the call. */
void host_wake(struct host_wait *w);
void host_wait_destroy(struct host_wait *w);

/* --- time: this is the only place where time enters --------------------------------------------------- */
u64 host_now_ns(void);      /* CLOCK_MONOTONIC(_RAW in step with the TSC) since some start, never back */
u64 host_boottime_ns(void); /* CLOCK_BOOTTIME */
u64 host_realtime_ns(void); /* CLOCK_REALTIME since 1970 */
u64 host_tsc(void);
u32 host_tsc_khz(void); /* measured or read once */

/* Nanoseconds that the calling thread has waited for a processor since it began; 0 where nobody counts. */
u64 host_run_delay_ns(void);
/* Nanoseconds that this thread has run on a CPU so far. */
u64 host_run_time_ns(void);

/* fn runs in timer context (another thread; interrupt context in the kernel): host_lock only. */
void host_timer_init(struct host_timer *t, void (*fn)(void *arg), void *arg);
void host_timer_start(struct host_timer *t, u64 expires_ns); /* absolute host_now_ns(); re-arms */
void host_timer_cancel(struct host_timer *t);                /* on return fn is not running (not from fn itself) */
void host_timer_destroy(struct host_timer *t);

/* --- running a vCPU ------------------------------------------------------------------------------------ */
struct vcpu;
/*
 * Bracket KVM_RUN on the calling thread. From begin to end a signal that the thread does not block sets
 * REQ_SIGNAL in vcpu->requests (so that a spinning engine stops) and makes host_signal_pending() true.
 * sigmask: NULL, or the KVM_SET_SIGNAL_MASK set (8 bytes) in force meanwhile; a signal that only that mask lets
 * through stays pending after end.
 */
void host_run_begin(struct vcpu *v, const u64 *sigmask);
void host_run_end(struct vcpu *v);
bool host_signal_pending(void);
/*
 * A fault signal that hit this thread, as its handler sees it: the registers of the interrupted code, which the handler
 * may change. User space only.
 */
struct host_fault {
	u64 *rip, *rsp, *rbp, *r12;
	bool arithmetic; /* SIGFPE; else a memory access */
};
/* The vCPU whose KVM_RUN is active on this thread, or NULL. Async-signal-safe; user space only. */
struct vcpu *host_running_vcpu(void);
void host_resched(void); /* a rescheduling point */
void host_yield(void);   /* what this thread waits for, another must do: let it run first. May sleep */
/* Nobody else waits for the thread's CPU, as far as the host can tell: it may spin for a while. */
bool host_cpu_is_ours(void);

/*
 * Call fn(arg) such that a failed access to guest memory (unmapped, truncated file) ends it: returns 0, or
 * -EFAULT after abandoning fn at the failing access. fn must hold no lock when it touches guest memory. (The kernel's
 * engines do not touch guest memory directly and do not use it.)
 */
int host_guarded(void (*fn)(void *arg), void *arg);

/* --- eventfds ------------------------------------------------------------------------------------------ */
struct host_eventfd;
int host_eventfd_get(int fd, struct host_eventfd **e); /* 0, -EBADF, -EINVAL (not an eventfd) */
bool host_eventfd_same(const struct host_eventfd *a, const struct host_eventfd *b);
void host_eventfd_put(struct host_eventfd *e);
void host_eventfd_signal(struct host_eventfd *e); /* add 1; any context */
/*
 * Watch: whenever the eventfd becomes readable its counter is taken and fn(arg) called (in a host thread or in the
 * writer's context; host_lock only). hup(arg), optional, when it is closed by its last owner.
 */
struct host_watch;
int host_eventfd_watch(struct host_eventfd *e, void (*fn)(void *arg), void *arg, struct host_watch **w);
void host_eventfd_unwatch(struct host_watch *w); /* on return fn is not running */

/*
 * Memory for generated code: the same bytes at two addresses, one writable (rw), one executable (rx), never both.
 * 0, -ENOMEM, -EACCES (the host forbids executable memory). User space only. ANYKVM_CODE_MIB in the environment gives less: c->size.
 */
struct host_code {
	u8 *rw;
	u8 *rx;
	size_t size;
};
int host_code_alloc(struct host_code *c, size_t size);
void host_code_free(struct host_code *c);

/*
 * Address space for a sparse table: zero-filled, no memory until touched. NULL: the host refuses
 * (address space limit, strict overcommit). User space only.
 */
void *host_reserve(size_t size);
void host_unreserve(void *p, size_t size);
/*
 * A stack of size bytes, whole pages: its lowest address. The page below faults. NULL: no memory. User space only.
 */
u8 *host_stack_alloc(size_t size);
void host_stack_free(u8 *stack, size_t size);
/* May user space change its GS base (FSGSBASE)? */
bool host_user_gs_base(void);

/* --- monitor.h -------------------------------------------------------------------------------------------- */
struct monitor;
struct monitor_vcpu;
/* The process's header, made at the first call. Never NULL; active stays 0 where nobody can ask. */
struct monitor *host_monitor(void);
/* A slot for a vCPU, zeroed; it need not be one that can be seen. NULL: no memory. */
struct monitor_vcpu *host_monitor_vcpu_alloc(struct monitor *m);
void host_monitor_vcpu_free(struct monitor_vcpu *v); /* NULL is allowed */
u32 host_thread_id(void);

/* --- host CPU and log ------------------------------------------------------------------------------------- */
void host_cpuid(u32 leaf, u32 subleaf, u32 out[4]); /* eax ebx ecx edx; cached: cheap */
u64 host_xcr0(void);
u32 host_nr_cpus(void); /* those online */
enum host_log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
/*
 * Traces: files for whoever works on the engines, off unless the environment names them. User space only.
 * host_at_exit: call fn(arg) when the process ends, unless host_not_at_exit(arg) comes first (few at a time; no more than 64).
 */
enum host_trace {
	TRACE_TRANSLATIONS, /* ANYKVM_TRANSLATIONS=FILE: generated code */
	TRACE_COUNTERS,     /* ANYKVM_COUNTERS=FILE or -: counters of the translator */
	TRACE_PERF_MAP,     /* ANYKVM_PERF_MAP=1: /tmp/perf-PID.map, names for perf */
	HOST_TRACES
};
bool host_trace_wanted(enum host_trace t);
void host_trace(enum host_trace t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void host_at_exit(void (*fn)(void *arg), void *arg);
void host_not_at_exit(void *arg);
void host_log(enum host_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * <host/trace.h>, for core/run.c: host_trace_entry(v), host_trace_exit(v, exit), host_trace_user_exit(v, error) around each entry
 * and at the end of KVM_RUN. They cost nothing while nobody traces.
 */

#endif /* ANYKVM_HOST_H */
