/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* In the kernel nobody watches through include/monitor.h: counters are there by KVM_GET_STATS_FD. */
#include <linux/sched.h>
#include <linux/slab.h>
#include "linux.h"

static struct monitor nobody;

struct monitor *host_monitor(void)
{
	return &nobody;
}

struct monitor_vcpu *host_monitor_vcpu_alloc(struct monitor *m)
{
	return kzalloc(sizeof(struct monitor_vcpu), GFP_KERNEL_ACCOUNT);
}

void host_monitor_vcpu_free(struct monitor_vcpu *v)
{
	kfree(v);
}

u32 host_thread_id(void)
{
	return (u32)current->pid;
}
