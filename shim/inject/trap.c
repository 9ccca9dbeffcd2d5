/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Caught system calls. The frame that the kernel pushed is moved to our own stack, so that the program's stacks are its own
 * while we work: a signal that comes meanwhile may use the alternate stack on which the frame was.
 *
 * All signals but the faults are blocked, and let in for KVM_RUN alone. What the program may wait for (opening a fifo) it
 * waits for itself: it is sent to a thunk, a system call instruction of ours and a jump back.
 */
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "../calls.h"
#include "host.h"
#include "injected.h"

#define SI_CODE_SECCOMP 1
#define FPX_MAGIC 0x46505853u /* in the last bytes of the FXSAVE area: more follows */
#define sigbit(sig) (1ull << ((sig)-1))

struct call_thunk {
	u8 syscall[2]; /* 0f 05 */
	u8 jmp[6];     /* ff 25 00 00 00 00: jmp *target(%rip) */
	u64 target;
};
#define THUNKS (GATE_SIZE / sizeof(struct call_thunk))

static struct call_thunk *thunks; /* writable view; the program runs them at GATE_START. The first is the gate */
static u32 nr_thunks = 1;         /* under thunk_lock */
static u32 thunk_lock;            /* spun on, with signals blocked */

long inject_gate_call(const void *gate, long nr, const u64 arg[6]);
bool inject_is_trap(int sig, const siginfo_t *info);
void *inject_signal(int sig, siginfo_t *info, void *context, struct inject_block *b);
_Noreturn void inject_trap(const ucontext_t *from, struct inject_block *b);

/* --- the gate -------------------------------------------------------------------------------------------------- */

bool gate_start(void)
{
	int fd = memfd_create("anykvm-gate", MFD_CLOEXEC);
	void *at = (void *)GATE_START;

	if (fd < 0 || ftruncate(fd, GATE_SIZE) < 0)
		return false;
	thunks = mmap(NULL, GATE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (thunks == MAP_FAILED ||
	    mmap(at, GATE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) != at)
		return false;
	memcpy(&thunks[0], "\x0f\x05\xc3", 3); /* syscall; ret */
	close(fd);
	return true;
}

void trap_pass(struct trap *t)
{
	t->result = inject_gate_call((void *)GATE_START, t->nr, t->arg);
}

/* Address of the thunk that makes a system call and goes on at target; 0: no room. */
static u64 thunk_to(u64 target)
{
	u32 i;

	while (__atomic_exchange_n(&thunk_lock, 1, __ATOMIC_ACQUIRE))
		sched_yield();
	for (i = 1; i < nr_thunks && thunks[i].target != target; i++)
		;
	if (i == nr_thunks && i < THUNKS) {
		thunks[i] = (struct call_thunk){ { 0x0f, 0x05 }, { 0xff, 0x25 }, target };
		nr_thunks++;
	}
	__atomic_store_n(&thunk_lock, 0, __ATOMIC_RELEASE);
	return i < THUNKS ? GATE_START + i * sizeof(struct call_thunk) : 0;
}

void trap_after_fork(void)
{
	thunk_lock = 0;
}

void trap_rerun(struct trap *t)
{
	greg_t *regs = t->uc->uc_mcontext.gregs;
	u64 thunk = thunk_to((u64)regs[REG_RIP]);

	if (!thunk) {
		trap_pass(t);
		return;
	}
	regs[REG_RIP] = (greg_t)thunk;
	t->result = t->nr; /* the call's number is where the result would be */
}

/* --- descriptors ------------------------------------------------------------------------------------------------ */

/* A signal mask of the program's as it is in force: what we need is never blocked. */
static u64 *frame_mask(ucontext_t *uc)
{
	return (u64 *)&uc->uc_sigmask;
}

static void trap_ioctl(struct trap *t)
{
	bool ours;

	host_injected_enter(*frame_mask(t->uc), (u32)t->arg[1] == KVM_RUN);
	ours = shim_ioctl((int)t->arg[0], (u32)t->arg[1], (void *)t->arg[2], &t->result);
	host_injected_leave();
	if (!ours)
		trap_pass(t);
}

static bool is_own(int fd)
{
	return fd >= 0 && (fd == own_fd[OWN_INJECT] || fd == own_fd[OWN_PROGRAM]);
}

static void trap_close(struct trap *t)
{
	int fd = (int)t->arg[0];

	if (is_own(fd)) {
		t->result = -EBADF;
		return;
	}
	shim_unbind(fd);
	trap_pass(t);
}

/* Our own descriptors stay: the ranges around them are closed. */
static void trap_close_range(struct trap *t)
{
	const u64 first = (u32)t->arg[0], last = (u32)t->arg[1];
	u64 from = first;

	while (from <= last && !t->result) {
		u64 to = last + 1;

		for (int i = 0; i < NR_OWN; i++)
			if (own_fd[i] >= 0 && (u64)own_fd[i] >= from && (u64)own_fd[i] < to)
				to = (u64)own_fd[i];
		t->arg[0] = from;
		t->arg[1] = to - 1;
		if (to > from)
			trap_pass(t);
		from = to + 1;
	}
	if (first > last)
		trap_pass(t);
	if (!t->result && !(t->arg[2] & CLOSE_RANGE_CLOEXEC))
		shim_closed_range((u32)first, (u32)last);
}

/* A duplicate is to have a number of ours. */
static void make_room(int fd)
{
	for (int i = 0; i < NR_OWN; i++)
		if (own_fd[i] == fd)
			own_fd[i] = fcntl(fd, i == OWN_PROGRAM ? F_DUPFD_CLOEXEC : F_DUPFD, fd + 1);
}

static void trap_dup(struct trap *t)
{
	int to = (int)t->arg[1];

	if ((t->nr == SYS_dup2 || t->nr == SYS_dup3) && is_own(to) && to != (int)t->arg[0])
		make_room(to);
	trap_pass(t);
	if (t->result >= 0)
		t->result = shim_duplicated((int)t->arg[0], (int)t->result);
}

/* --- signals and filters ------------------------------------------------------------------------------------------ */

static void trap_sigprocmask(struct trap *t)
{
	u64 *mask = frame_mask(t->uc), old = *mask, set;

	if (t->block->sigsys_blocked)
		old |= sigbit(SIGSYS);
	if (t->arg[3] != sizeof(set)) {
		t->result = -EINVAL;
		return;
	}
	if (host_copy_from_user(&set, (void *)t->arg[1], sizeof(set)) < 0) {
		t->result = -EFAULT;
		return;
	}
	switch ((int)t->arg[0]) {
	case SIG_BLOCK: set |= old; break;
	case SIG_SETMASK: break;
	default: t->result = -EINVAL; return;
	}
	t->block->sigsys_blocked = set & sigbit(SIGSYS);
	*mask = set & ~(sigbit(SIGSYS) | sigbit(SIGKILL) | sigbit(SIGSTOP));
	t->result = t->arg[2] && host_copy_to_user((void *)t->arg[2], &old, sizeof(old)) < 0 ? -EFAULT : 0;
}

static void trap_seccomp(struct trap *t)
{
	if (t->nr == SYS_seccomp)
		t->result = filter_of_program((unsigned)t->arg[0], (unsigned)t->arg[1], (void *)t->arg[2]);
	else if (t->arg[1] == SECCOMP_MODE_STRICT)
		t->result = filter_of_program(SECCOMP_SET_MODE_STRICT, 0, NULL);
	else if (t->arg[1] == SECCOMP_MODE_FILTER)
		t->result = filter_of_program(SECCOMP_SET_MODE_FILTER, 0, (void *)t->arg[2]);
	else
		t->result = -EINVAL;
}

/* --- dispatch --------------------------------------------------------------------------------------------------- */

static void serve(struct trap *t)
{
	switch (t->nr) {
	case SYS_ioctl: trap_ioctl(t); break;
	case SYS_open:
	case SYS_openat:
	case SYS_openat2:
	case SYS_creat: trap_open(t); break;
	case SYS_stat:
	case SYS_lstat:
	case SYS_fstat:
	case SYS_newfstatat:
	case SYS_statx:
	case SYS_access:
	case SYS_faccessat:
	case SYS_faccessat2: trap_look(t); break;
	case SYS_mlockall: t->result = shim_mlockall((int)t->arg[0]); break;
	case SYS_readlink:
	case SYS_readlinkat: trap_readlink(t); break;
	case SYS_close: trap_close(t); break;
	case SYS_close_range: trap_close_range(t); break;
	case SYS_dup:
	case SYS_dup2:
	case SYS_dup3:
	case SYS_fcntl: trap_dup(t); break;
	case SYS_rt_sigaction:
		t->result = t->arg[3] == 8
				    ? host_injected_sigaction((int)t->arg[0], (void *)t->arg[1], (void *)t->arg[2])
				    : -EINVAL;
		break;
	case SYS_rt_sigprocmask: trap_sigprocmask(t); break;
	case SYS_seccomp:
	case SYS_prctl: trap_seccomp(t); break;
	case SYS_execve:
	case SYS_execveat: trap_exec(t); break;
	case SYS_fork:
	case SYS_clone: trap_fork(t); break;
	default: trap_pass(t); break;
	}
}

bool inject_is_trap(int sig, const siginfo_t *info)
{
	return sig == SIGSYS && info->si_code == SI_CODE_SECCOMP && info->si_errno == TRAP_MAGIC;
}

void *inject_signal(int sig, siginfo_t *info, void *context, struct inject_block *b)
{
	if (b->fresh) {
		b->fresh = false;
		inject_blocks_refill();
	}
	return host_injected_signal(sig, info, context);
}

static size_t fp_size(const void *fp)
{
	const u32 *words = (const u32 *)((const u8 *)fp + 464); /* what software may use of the FXSAVE area */

	return words[0] == FPX_MAGIC ? words[1] : 512;
}

/* If the program runs on its alternate stack, a signal of ours must not start there anew. rt_sigreturn puts it back. */
static void leave_alternate_stack(const ucontext_t *uc)
{
	const stack_t none = { .ss_flags = SS_DISABLE };
	u64 sp = (u64)uc->uc_mcontext.gregs[REG_RSP], low = (u64)uc->uc_stack.ss_sp;

	if (!(uc->uc_stack.ss_flags & SS_DISABLE) && sp > low && sp - low <= uc->uc_stack.ss_size)
		syscall(SYS_sigaltstack, &none, NULL);
}

/* The kernel's part of ucontext_t. */
#define KERNEL_UCONTEXT offsetof(ucontext_t, uc_sigmask) + 8

void inject_trap(const ucontext_t *from, struct inject_block *b)
{
	size_t size = from->uc_mcontext.fpregs ? fp_size(from->uc_mcontext.fpregs) : 0;
	u8 room[size + 64];
	void *fp = (void *)(((u64)room + 63) & ~63ull);
	struct trap t = { .block = b };
	ucontext_t uc;
	greg_t *regs = uc.uc_mcontext.gregs;

	memcpy(&uc, from, KERNEL_UCONTEXT);
	if (size) {
		memcpy(fp, from->uc_mcontext.fpregs, size);
		uc.uc_mcontext.fpregs = fp;
	}
	t.uc = &uc;
	t.nr = regs[REG_RAX];
	t.arg[0] = (u64)regs[REG_RDI];
	t.arg[1] = (u64)regs[REG_RSI];
	t.arg[2] = (u64)regs[REG_RDX];
	t.arg[3] = (u64)regs[REG_R10];
	t.arg[4] = (u64)regs[REG_R8];
	t.arg[5] = (u64)regs[REG_R9];
	leave_alternate_stack(from);
	b->fresh = false;
	inject_blocks_refill();
	serve(&t);
	regs[REG_RAX] = t.result;
	inject_return(&uc, b->program_fs);
}
