/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Signals. A system call like KVM_RUN is ended by a signal, and the program's handler runs when it has
 * returned to user space. The library gives its callers the same: while a thread is inside the library, a
 * signal that arrives is noted (KVM_RUN ends with -EINTR), put back as pending and blocked, and its
 * handler runs when the thread leaves, by restoring its mask. So handlers find no library lock held, may
 * leave by siglongjmp or cancel the thread, and signals that only the mask of KVM_SET_SIGNAL_MASK lets
 * through simply stay pending.
 *
 * For that, handlers that the program installs by sigaction(), signal() and their kin are reached through
 * signal_entry(), from the first anykvm_open() on; before it these functions do just what libc's do.
 *
 * SIGSEGV, SIGBUS and SIGFPE belong to the library first: guest memory and the caller's memory may fault.
 */
#include <ucontext.h>
#include "anykvm.h"
#include "injected.h"
#include "posix.h"

#define NSIG_KERNEL 64
#define SIGSET_BYTES 8
#define KERNEL_SA_RESTORER 0x04000000ul
#define sigbit(sig) (1ull << ((sig)-1))
/* Used by libc's threads; libc's sigaction refuses them as well. */
#define SIGCANCEL 32
#define LIBC_SIGNALS (sigbit(SIGCANCEL) | sigbit(33))
#define FAULT_SIGNALS (sigbit(SIGSEGV) | sigbit(SIGBUS) | sigbit(SIGFPE))
/* Raised by an instruction of the thread itself when si_code > 0: cannot wait. */
#define SYNC_SIGNALS (FAULT_SIGNALS | sigbit(SIGILL) | sigbit(SIGTRAP) | sigbit(SIGSYS))
/* The kernel never has the program's own action for these: the library answers first. */
#define KEPT_SIGNALS (FAULT_SIGNALS | (injected ? sigbit(SIGSYS) : 0))
#define LOWEST_GUEST_ADDRESS 0x10000ull /* faults below are null pointers: bugs, not guest memory */

struct kernel_sigaction {
	void *handler;
	unsigned long flags;
	void *restorer;
	u64 mask;
};

/*
 * What the program has installed, where the kernel has signal_entry. Everything else (flags, mask) is
 * read back from the kernel. Written under actions_lock with all signals blocked.
 */
static struct {
	void *handler; /* a */
	bool siginfo;
	bool resethand; /* a  fault signals: done by signal_entry, the kernel must keep the library's */
} actions[NSIG_KERNEL + 1];
static u64 entry_set;    /* a  signals for which the kernel has signal_entry */
static bool active;      /* a */
static pid_t owner_pid;  /* process that the tables describe */
static u32 actions_lock; /* a  0 or 1; spun on: held for two system calls at most */
static void signal_entry(int sig, siginfo_t *info, void *context);
static void *entry = (void *)signal_entry; /* for the signals of entry_set; constant after host_injected_start */
static bool injected;                      /* constant likewise */

__thread struct host_thread host_thread __attribute__((tls_model("initial-exec")));

extern char anykvm_user_copy_insn[], anykvm_user_copy_end[];
extern char anykvm_user_cmpxchg4_insn[], anykvm_user_cmpxchg8_insn[], anykvm_user_cmpxchg_fault[];
extern char anykvm_guard_abandon[];
int anykvm_guard_call(void (*fn)(void *arg), void *arg, u64 *sp);
void anykvm_restorer(void);

/* The soft engine's fix-up of faults in its vector and x87 stubs, where it is linked (engine/soft/fpu.h). */
extern bool soft_fixup(const struct host_fault *f) __attribute__((weak));

/* --- system calls ----------------------------------------------------------------------------- */

static int kernel_sigaction(int sig, const struct kernel_sigaction *new, struct kernel_sigaction *old)
{
	return (int)syscall(SYS_rt_sigaction, sig, new, old, SIGSET_BYTES);
}

static void kernel_sigmask(int how, u64 set, u64 *old)
{
	syscall(SYS_rt_sigprocmask, how, &set, old, SIGSET_BYTES);
}

/* --- arrival ---------------------------------------------------------------------------------- */

/* Make the KVM_RUN of this thread, if any, notice. */
static void note_arrival(struct host_thread *t)
{
	u32 *seq = __atomic_load_n(&t->wait_seq, __ATOMIC_RELAXED);

	if (!t->vcpu)
		return;
	__atomic_store_n(&t->pending, 1, __ATOMIC_RELAXED);
	vcpu_request(t->vcpu, REQ_SIGNAL);
	/* A futex_wait restarted after the handler (SA_RESTART), or not started yet, finds a changed word. */
	if (seq)
		__atomic_fetch_add(seq, 1, __ATOMIC_SEQ_CST);
}

__attribute__((visibility("default"))) void anykvm_signal_arrived(void)
{
	note_arrival(&host_thread);
}

static u64 *context_mask(ucontext_t *uc)
{
	return (u64 *)&uc->uc_sigmask;
}

static void queue_to_self(int sig, siginfo_t *info)
{
	pid_t pid = (pid_t)syscall(SYS_getpid), tid = (pid_t)syscall(SYS_gettid);

	if (syscall(SYS_rt_tgsigqueueinfo, pid, tid, sig, info) < 0)
		syscall(SYS_tgkill, pid, tid, sig);
}

/* Put the signal back: pending, and blocked until signal_leave() restores the outer mask. */
static void defer(struct host_thread *t, int sig, siginfo_t *info, ucontext_t *uc)
{
	u64 *mask = context_mask(uc);

	kernel_sigmask(SIG_BLOCK, ~0ull, NULL);
	/*
	 * A second signal may have been deferred between the kernel's delivery of this one and here, with
	 * this one blocked by its delivery; the interrupted code's own mask is what both contexts have in
	 * common.
	 */
	if (!t->masked)
		t->outer = t->deferred ? t->outer & *mask : *mask;
	t->deferred = true;
	*mask |= sigbit(sig);
	queue_to_self(sig, info);
	note_arrival(t);
}

/* --- fault signals ---------------------------------------------------------------------------- */

struct vcpu *host_running_vcpu(void)
{
	return host_thread.vcpu;
}

static bool fixup_user_access(greg_t *regs)
{
	char *rip = (char *)regs[REG_RIP];

	if (rip == anykvm_user_copy_insn)
		regs[REG_RIP] = (greg_t)anykvm_user_copy_end;
	else if (rip == anykvm_user_cmpxchg4_insn || rip == anykvm_user_cmpxchg8_insn)
		regs[REG_RIP] = (greg_t)anykvm_user_cmpxchg_fault;
	else
		return false;
	return true;
}

static bool fixup_guarded(struct host_thread *t, int sig, const siginfo_t *info, greg_t *regs)
{
	if (!t->guard || sig == SIGFPE || (u64)info->si_addr < LOWEST_GUEST_ADDRESS)
		return false;
	regs[REG_RIP] = (greg_t)anykvm_guard_abandon;
	regs[REG_RSP] = (greg_t) * (u64 *)t->guard;
	regs[REG_EFL] &= ~(greg_t)0x400; /* DF: the C calling convention wants it clear */
	return true;
}

static bool fixup_fault(struct host_thread *t, int sig, const siginfo_t *info, ucontext_t *uc)
{
	greg_t *regs = uc->uc_mcontext.gregs;
	struct host_fault f = { .rip = (u64 *)&regs[REG_RIP],
				.rsp = (u64 *)&regs[REG_RSP],
				.rbp = (u64 *)&regs[REG_RBP],
				.r12 = (u64 *)&regs[REG_R12],
				.arithmetic = sig == SIGFPE };

	if (fixup_user_access(regs))
		return true;
	if (soft_fixup && soft_fixup(&f))
		return true;
	return fixup_guarded(t, sig, info, regs);
}

int host_guarded(void (*fn)(void *arg), void *arg)
{
	struct host_thread *t = &host_thread;
	void *outer = t->guard;
	u64 sp;
	int r;

	t->guard = &sp;
	r = anykvm_guard_call(fn, arg, &sp);
	t->guard = outer;
	return r ? -EFAULT : 0;
}

/* --- the entry -------------------------------------------------------------------------------- */

/* What the kernel would have done, for a program that has no handler. */
static void default_action(int sig, siginfo_t *info, bool sync)
{
	const u64 ignored = sigbit(SIGCHLD) | sigbit(SIGURG) | sigbit(SIGWINCH) | sigbit(SIGCONT);
	const u64 stops = sigbit(SIGTSTP) | sigbit(SIGTTIN) | sigbit(SIGTTOU);
	struct kernel_sigaction dfl = { .handler = (void *)SIG_DFL };

	if (ignored & sigbit(sig))
		return;
	if (stops & sigbit(sig)) {
		syscall(SYS_kill, syscall(SYS_getpid), SIGSTOP);
		return;
	}
	kernel_sigaction(sig, &dfl, NULL);
	if (!sync || sig == SIGSYS) /* a refused system call is not made again */
		queue_to_self(sig, info);
	/* On return the instruction faults again, or the queued signal is delivered: the process ends as it should. */
}

/* The program's handler for a signal that is its own, or NULL: what it wants instead has been done. */
static void *program_handler(int sig, siginfo_t *info, bool sync)
{
	void *handler = __atomic_load_n(&actions[sig].handler, __ATOMIC_ACQUIRE);

	if (handler == (void *)SIG_IGN && !sync)
		return NULL;
	if (handler == (void *)SIG_DFL || handler == (void *)SIG_IGN) {
		default_action(sig, info, sync);
		return NULL;
	}
	if (__atomic_load_n(&actions[sig].resethand, __ATOMIC_RELAXED)) {
		if (KEPT_SIGNALS & sigbit(sig))
			__atomic_store_n(&actions[sig].handler, (void *)SIG_DFL, __ATOMIC_RELEASE);
		else
			__atomic_fetch_and(&entry_set, ~sigbit(sig), __ATOMIC_SEQ_CST);
	}
	return handler;
}

static void call_program(struct host_thread *t, int sig, siginfo_t *info, ucontext_t *uc, bool sync)
{
	void *handler = program_handler(sig, info, sync);
	void *guard = t->guard;

	if (!handler)
		return;
	t->guard = NULL;
	/* A handler without SA_SIGINFO does not mind the two arguments more. */
	((void (*)(int, siginfo_t *, void *))handler)(sig, info, uc);
	t->guard = guard;
}

/* A signal that is none of the program's business, or not now. */
static bool taken_by_library(struct host_thread *t, int sig, siginfo_t *info, ucontext_t *uc, bool sync)
{
	if (sync)
		return (FAULT_SIGNALS & sigbit(sig)) && fixup_fault(t, sig, info, uc);
	if (!t->depth && !(t->masked && (t->outer & sigbit(sig))))
		return false;
	defer(t, sig, info, uc);
	return true;
}

static bool is_sync(int sig, const siginfo_t *info)
{
	return info->si_code > 0 && (SYNC_SIGNALS & sigbit(sig));
}

static void signal_entry(int sig, siginfo_t *info, void *context)
{
	struct host_thread *t = &host_thread;
	bool sync = is_sync(sig, info);
	int saved = errno;

	if (!taken_by_library(t, sig, info, context, sync))
		call_program(t, sig, info, context, sync);
	errno = saved;
}

/* --- installing ------------------------------------------------------------------------------- */

static u64 lock_actions(void)
{
	u64 mask;

	kernel_sigmask(SIG_BLOCK, ~0ull, &mask);
	while (__atomic_exchange_n(&actions_lock, 1, __ATOMIC_ACQUIRE))
		syscall(SYS_sched_yield);
	return mask;
}

static void unlock_actions(u64 mask)
{
	__atomic_store_n(&actions_lock, 0, __ATOMIC_RELEASE);
	kernel_sigmask(SIG_SETMASK, mask, NULL);
}

/* The kernel's action as the program should see it. */
static void to_program_view(int sig, struct kernel_sigaction *k)
{
	if (k->handler != entry)
		return;
	k->handler = actions[sig].handler;
	if (!actions[sig].siginfo)
		k->flags &= ~(unsigned long)SA_SIGINFO;
	if (actions[sig].resethand)
		k->flags |= SA_RESETHAND;
}

/* Install signal_entry with the program's flags and mask; remember its handler. Under actions_lock. */
static int install_entry(int sig, const struct kernel_sigaction *program)
{
	struct kernel_sigaction k = *program;

	k.handler = entry;
	k.flags |= SA_SIGINFO | KERNEL_SA_RESTORER;
	k.restorer = (void *)anykvm_restorer;
	if (FAULT_SIGNALS & sigbit(sig))
		k.flags &= ~(unsigned long)SA_RESETHAND;
	if (injected)
		k.mask &= ~sigbit(SIGSYS);
	if (kernel_sigaction(sig, &k, NULL) < 0)
		return -1;
	actions[sig].siginfo = program->flags & SA_SIGINFO;
	__atomic_store_n(&actions[sig].resethand, program->flags & SA_RESETHAND, __ATOMIC_RELAXED);
	__atomic_store_n(&actions[sig].handler, program->handler, __ATOMIC_RELEASE);
	__atomic_fetch_or(&entry_set, sigbit(sig), __ATOMIC_SEQ_CST);
	return 0;
}

static bool is_function(const void *handler)
{
	return handler != (void *)SIG_DFL && handler != (void *)SIG_IGN;
}

/* Under actions_lock. */
static int change_action(int sig, const struct kernel_sigaction *new)
{
	if (is_function(new->handler) || (FAULT_SIGNALS & sigbit(sig)))
		return install_entry(sig, new);
	/* The stale handler stays in the table for a delivery that is under way on another thread. */
	__atomic_fetch_and(&entry_set, ~sigbit(sig), __ATOMIC_SEQ_CST);
	return kernel_sigaction(sig, new, NULL);
}

/* A child that shares our memory but not our dispositions (vfork), or was made behind libc's back. */
static bool foreign_process(void)
{
	return (pid_t)syscall(SYS_getpid) != owner_pid;
}

static int change_or_read(int sig, const struct kernel_sigaction *new, struct kernel_sigaction *old)
{
	int ret, error;
	u64 mask;

	if (!__atomic_load_n(&active, __ATOMIC_ACQUIRE) || foreign_process())
		return kernel_sigaction(sig, new, old);
	mask = lock_actions();
	ret = kernel_sigaction(sig, NULL, old);
	if (ret == 0) {
		to_program_view(sig, old);
		if (new)
			ret = change_action(sig, new);
	}
	error = errno;
	unlock_actions(mask);
	errno = error;
	return ret;
}

static int program_sigaction(int sig, const struct sigaction *act, struct sigaction *oact)
{
	struct kernel_sigaction new, old;
	int saved = errno;

	if (sig < 1 || sig > NSIG_KERNEL || (LIBC_SIGNALS & sigbit(sig))) {
		errno = EINVAL;
		return -1;
	}
	if (act) {
		new.handler = (void *)act->sa_sigaction;
		new.flags = (unsigned long)(unsigned)act->sa_flags | KERNEL_SA_RESTORER;
		new.restorer = (void *)anykvm_restorer;
		new.mask = *(const u64 *)&act->sa_mask;
	}
	if (change_or_read(sig, act ? &new : NULL, &old) < 0)
		return -1;
	if (oact) {
		memset(oact, 0, sizeof(*oact));
		oact->sa_sigaction = (void (*)(int, siginfo_t *, void *))old.handler;
		oact->sa_flags = (int)old.flags;
		*(u64 *)&oact->sa_mask = old.mask;
		oact->sa_restorer = (void (*)(void))old.restorer;
	}
	errno = saved;
	return 0;
}

/* Take over a handler that was installed before us, or past us by a raw system call. Under actions_lock. */
static void adopt(int sig)
{
	struct kernel_sigaction k;

	if (kernel_sigaction(sig, NULL, &k) < 0 || k.handler == entry)
		return;
	if (is_function(k.handler) || (FAULT_SIGNALS & sigbit(sig)))
		install_entry(sig, &k);
}

void signal_activate(void)
{
	int saved = errno, sig;
	u64 mask;

	fork_watch();
	if (!injected)
		cancel_prepare();
	mask = lock_actions();
	owner_pid = (pid_t)syscall(SYS_getpid);
	for (sig = 1; sig <= NSIG_KERNEL; sig++)
		if ((injected && sig != SIGKILL && sig != SIGSTOP && sig != SIGSYS) || sig == SIGCANCEL ||
		    (sig != SIGKILL && sig != SIGSTOP && !(LIBC_SIGNALS & sigbit(sig))))
			adopt(sig);
	__atomic_store_n(&active, true, __ATOMIC_RELEASE);
	unlock_actions(mask);
	errno = saved;
}

/*
 * Signals that KVM_RUN lets through but the thread blocks otherwise must end it also when the program has no
 * handler (it takes them by sigtimedwait). Signals that the program ignores stay ignored.
 */
static void hold_defaults(u64 signals)
{
	struct kernel_sigaction k;
	u64 mask;
	int sig;

	if (!signals)
		return;
	mask = lock_actions();
	for (sig = 1; sig <= NSIG_KERNEL; sig++) {
		if (!(signals & sigbit(sig)) || kernel_sigaction(sig, NULL, &k) < 0)
			continue;
		if (k.handler == (void *)SIG_DFL)
			install_entry(sig, &k);
		else
			adopt(sig);
	}
	unlock_actions(mask);
}

void signal_after_fork(void)
{
	__atomic_store_n(&actions_lock, 0, __ATOMIC_RELAXED);
	owner_pid = (pid_t)syscall(SYS_getpid);
}

/* --- bracketing ------------------------------------------------------------------------------- */

/* Replace the thread's mask until signal_leave(). A mask that is already in force keeps the outer one. */
static void impose_mask(struct host_thread *t, u64 outer, u64 inner)
{
	if (!t->masked) {
		t->outer = outer;
		t->masked = true;
	}
	kernel_sigmask(SIG_SETMASK, inner & ~FAULT_SIGNALS, NULL);
}

void signal_enter(void)
{
	struct host_thread *t = &host_thread;
	int saved;
	u64 mask;

	if (t->depth++ || (t->mask_known && !t->mask_blocks))
		return;
	saved = errno;
	kernel_sigmask(SIG_BLOCK, 0, &mask);
	t->mask_known = true;
	t->mask_blocks = mask & FAULT_SIGNALS;
	/* A fault while its signal is blocked would kill the process. */
	if (t->mask_blocks && !t->deferred)
		impose_mask(t, mask, mask);
	errno = saved;
}

void signal_leave(void)
{
	struct host_thread *t = &host_thread;
	int saved;

	if (--t->depth)
		return;
	/* From here on handlers are called at once (but those that only an imposed mask let through). */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (!t->masked && !t->deferred)
		return;
	saved = errno;
	/* All is in order before the first handler can run: it may leave by siglongjmp, or end the thread. */
	if (t->masked)
		kernel_sigmask(SIG_SETMASK, ~0ull, NULL);
	t->masked = t->deferred = false;
	kernel_sigmask(SIG_SETMASK, t->outer, NULL);
	errno = saved;
}

void host_run_begin(struct vcpu *v, const u64 *sigmask)
{
	struct host_thread *t = &host_thread;
	u64 outer, inner, unblockable = sigbit(SIGKILL) | sigbit(SIGSTOP) | LIBC_SIGNALS;
	int saved = errno;

	signal_enter();
	vcpu_take_request(v, REQ_SIGNAL);
	__atomic_store_n(&t->pending, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&t->vcpu, v, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (t->deferred) /* since the ioctl was entered, before it was known to be KVM_RUN */
		note_arrival(t);
	kernel_sigmask(SIG_BLOCK, sigmask ? ~0ull : 0, &outer);
	if (t->masked || t->deferred)
		outer = t->outer;
	inner = sigmask ? *sigmask & ~unblockable : outer;
	if (sigmask) {
		hold_defaults(outer & ~inner & ~unblockable & ~__atomic_load_n(&entry_set, __ATOMIC_SEQ_CST));
		impose_mask(t, outer, inner);
	} else if ((outer & FAULT_SIGNALS) && !t->masked && !t->deferred) {
		impose_mask(t, outer, outer);
	}
	errno = saved;
}

void host_run_end(struct vcpu *v)
{
	struct host_thread *t = &host_thread;

	__atomic_store_n(&t->vcpu, NULL, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	signal_leave();
}

bool host_signal_pending(void)
{
	return __atomic_load_n(&host_thread.pending, __ATOMIC_RELAXED) && host_thread.vcpu;
}

int host_thread_start(void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int error;
	u64 mask;

	if (pthread_attr_init(&attr))
		return -EAGAIN;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	kernel_sigmask(SIG_BLOCK, ~(SYNC_SIGNALS | LIBC_SIGNALS), &mask);
	error = pthread_create(&thread, &attr, fn, arg);
	kernel_sigmask(SIG_SETMASK, mask, NULL);
	pthread_attr_destroy(&attr);
	return error ? -EAGAIN : 0;
}

/* --- in a program with a C library of its own (injected.h) ----------------------------------------- */

static struct kernel_sigaction program_sigsys; /* under actions_lock */

void host_injected_start(void *signal_handler)
{
	entry = signal_handler;
	injected = true;
	kernel_sigaction(SIGSYS, NULL, &program_sigsys);
	__atomic_store_n(&actions[SIGSYS].handler, program_sigsys.handler, __ATOMIC_RELAXED);
	signal_activate();
}

void *host_injected_signal(int sig, siginfo_t *info, void *context)
{
	bool sync = is_sync(sig, info);
	ucontext_t *uc = context;
	u64 mask = sigbit(SIGSYS);
	void *handler;

	if (taken_by_library(&host_thread, sig, info, uc, sync))
		return NULL;
	handler = program_handler(sig, info, sync);
	if (!handler)
		return NULL;
	/* The kernel would have put the program's own mask in force, where it has the library's for SIGSYS. */
	if (sig == SIGSYS)
		kernel_sigmask(SIG_SETMASK, (*context_mask(uc) | program_sigsys.mask) & ~mask, NULL);
	else
		kernel_sigmask(SIG_UNBLOCK, mask, NULL);
	return handler;
}

static void change_sigsys(const struct kernel_sigaction *new, struct kernel_sigaction *old)
{
	u64 mask = lock_actions();

	*old = program_sigsys;
	old->handler = actions[SIGSYS].handler;
	if (new) {
		program_sigsys = *new;
		__atomic_store_n(&actions[SIGSYS].resethand, new->flags &SA_RESETHAND, __ATOMIC_RELAXED);
		__atomic_store_n(&actions[SIGSYS].handler, new->handler, __ATOMIC_RELEASE);
	}
	unlock_actions(mask);
}

long host_injected_sigaction(int sig, const void *act, void *oact)
{
	struct kernel_sigaction new, old;

	if (act && host_copy_from_user(&new, act, sizeof(new)) < 0)
		return -EFAULT;
	if (sig < 1 || sig > NSIG_KERNEL || (act && (sig == SIGKILL || sig == SIGSTOP)))
		return -EINVAL;
	if (act)
		new.mask &= ~sigbit(SIGSYS);
	if (sig == SIGSYS) {
		/* A child that borrows this memory (vfork) has the same needs, and no table of its own. */
		change_sigsys(act && !foreign_process() ? &new : NULL, &old);
	} else if (change_or_read(sig, act ? &new : NULL, &old) < 0) {
		return -errno;
	}
	to_program_view(sig, &old);
	return oact && host_copy_to_user(oact, &old, sizeof(old)) < 0 ? -EFAULT : 0;
}

void host_injected_enter(u64 mask, bool interruptible)
{
	struct host_thread *t = &host_thread;

	t->depth++;
	t->mask_known = true;
	t->mask_blocks = false;
	if (interruptible)
		kernel_sigmask(SIG_SETMASK, mask & ~(FAULT_SIGNALS | sigbit(SIGSYS)), NULL);
}

void host_injected_leave(void)
{
	struct host_thread *t = &host_thread;

	kernel_sigmask(SIG_BLOCK, ~FAULT_SIGNALS, NULL);
	/* What was deferred is pending, and free to come when the program's own mask is back. */
	t->masked = t->deferred = false;
	t->depth--;
}

/* --- libc's names ----------------------------------------------------------------------------- */

#define EXPORT __attribute__((visibility("default")))

static __sighandler_t program_signal(int sig, __sighandler_t handler, int flags, bool block_itself)
{
	struct sigaction new = { .sa_handler = handler, .sa_flags = flags }, old;

	if (handler == SIG_ERR) {
		errno = EINVAL;
		return SIG_ERR;
	}
	if (block_itself && sig >= 1 && sig <= NSIG_KERNEL)
		*(u64 *)&new.sa_mask = sigbit(sig);
	return program_sigaction(sig, &new, &old) < 0 ? SIG_ERR : old.sa_handler;
}

EXPORT int sigaction(int sig, const struct sigaction *restrict act, struct sigaction *restrict oact)
{
	return program_sigaction(sig, act, oact);
}

EXPORT __sighandler_t signal(int sig, __sighandler_t handler)
{
	return program_signal(sig, handler, SA_RESTART, true);
}

EXPORT __sighandler_t bsd_signal(int sig, __sighandler_t handler);
EXPORT __sighandler_t bsd_signal(int sig, __sighandler_t handler)
{
	return program_signal(sig, handler, SA_RESTART, true);
}

EXPORT __sighandler_t ssignal(int sig, __sighandler_t handler)
{
	return program_signal(sig, handler, SA_RESTART, true);
}

EXPORT __sighandler_t sysv_signal(int sig, __sighandler_t handler)
{
	return program_signal(sig, handler, (int)(SA_RESETHAND | SA_NODEFER), false);
}

EXPORT __sighandler_t __sysv_signal(int sig, __sighandler_t handler)
{
	return program_signal(sig, handler, (int)(SA_RESETHAND | SA_NODEFER), false);
}
