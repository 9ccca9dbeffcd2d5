/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the kernel wants of a thread before it goes back to user space (task work: keys, automatic NUMA balancing, live patches, limits of
 * control groups) must not wait for as long as a guest runs. In a file of its own: Linux's KVM has functions with names of ours.
 */
#include <linux/entry-kvm.h>
#include <linux/kvm_host.h>
#include <linux/sched/signal.h>

void thread_work(void);

#ifdef CONFIG_KVM_XFER_TO_GUEST_WORK
/* It writes to this one that a signal is there, if one is: we look ourselves. */
static struct kvm_run no_run;
static struct kvm_vcpu no_vcpu = { .run = &no_run };

void thread_work(void)
{
	xfer_to_guest_mode_handle_work(&no_vcpu);
}
#else
void thread_work(void)
{
}
#endif
