/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What KVM_RUN needs of its thread, the host's CPU, and the log. */
#include <linux/cpufeature.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <asm/fpu/xcr.h>
#include <asm/processor.h>
#include "linux.h"

/*
 * The old mask is kept in real_blocked, as sigtimedwait() does: a signal that only mask lets through is not
 * thrown away while it is in force.
 */
void host_run_begin(struct vcpu *v, const u64 *mask)
{
	sigset_t set;

	if (!mask)
		return;
	memcpy(&set, mask, sizeof(set));
	/* The kernel's own function would block these two, too: a process that nobody can end. */
	sigdelsetmask(&set, sigmask(SIGKILL) | sigmask(SIGSTOP));
	sigprocmask(SIG_SETMASK, &set, &current->real_blocked);
}

void host_run_end(struct vcpu *v)
{
	if (!v->sigmask_set)
		return;
	sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
	sigemptyset(&current->real_blocked);
}

bool host_signal_pending(void)
{
	return signal_pending(current);
}

void host_yield(void)
{
	yield();
}

/*
 * By the thread's flag, which keeps hw_enter_begin() out. cond_resched() alone goes by a copy of it that another CPU's interrupt has to
 * bring: without that the thread would try to enter for ever and never be scheduled.
 */
void host_resched(void)
{
	if (need_resched())
		schedule();
	cond_resched();
	if (unlikely(test_thread_flag(TIF_NOTIFY_RESUME)))
		thread_work();
}

bool host_cpu_is_ours(void)
{
	return single_task_running() && !need_resched();
}

/* Engines of the kernel never reach guest memory by host pointers, and copies from user space do not abandon. */
int host_guarded(void (*fn)(void *arg), void *arg)
{
	fn(arg);
	return 0;
}

/* --- host CPU -------------------------------------------------------------------------------------- */

u32 host_nr_cpus(void)
{
	return num_online_cpus();
}

void host_cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
	cpuid_count(leaf, subleaf, &out[0], &out[1], &out[2], &out[3]);
}

u64 host_xcr0(void)
{
	return boot_cpu_has(X86_FEATURE_OSXSAVE) ? xgetbv(XCR_XFEATURE_ENABLED_MASK) : 3;
}

void host_log(enum host_log_level level, const char *fmt, ...)
{
	static const char *const prefix[] = { KERN_ERR, KERN_WARNING, KERN_INFO, KERN_DEBUG };
	struct va_format vaf;
	va_list args;

	va_start(args, fmt);
	vaf.fmt = fmt;
	vaf.va = &args;
	printk("%sanykvm: %pV\n", prefix[level], &vaf);
	va_end(args);
}
