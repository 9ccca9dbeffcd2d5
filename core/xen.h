/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Guests of Xen (KVM_CAP_XEN_HVM), inside core/: xen.c (hypercalls, attributes), xen_event.c (event channels), xen_time.c (clock pages,
 * run states, timers). Xen's public headers; for what a host may do by ioctl, Linux, "Documentation/virt/kvm/api.rst".
 */
#ifndef CORE_XEN_H
#define CORE_XEN_H

#include "parts.h"

#define XEN_NOWHERE ~0ull
#define XEN_MAX_PORTS 4096 /* 64-bit guests; 1024 for others */
#define XEN_RUNNING 0
#define XEN_OFFLINE 3
#define XEN_POLL_ANY ~0u

/* M, but a where noted. */
struct xen_vcpu {
	u64 info;                      /* a  guest-physical address of vcpu_info */
	bool info_lost;                /* there was no memory when the vCPU was awake */
	u64 time_info;                 /* of another clock page */
	u64 runstate;                  /* of vcpu_runstate_info */
	u32 state;                     /* XEN_RUNNING .. XEN_OFFLINE, since entered (kvmclock; 0: never set) */
	u64 entered, times[4], waited; /* waited: the thread's waiting time as last seen */
	u32 id;                        /* Xen's number of it */
	u8 vector;                     /* a  of its local APIC, for upcalls; 0: the VM's */
	u32 poll;                      /* a  SCHEDOP_poll waits for this port, XEN_POLL_ANY; 0: does not wait */
	u32 timer_port;                /* 0: none */
	u64 timer_expires;             /* a  kvmclock; 0: not running */
	struct host_timer timer, poll_timer;
	u64 posted[XEN_MAX_PORTS / 64]; /* a  ports to raise by the vCPU's thread */
};

/* Ports by which a guest sends (KVM_XEN_ATTR_TYPE_EVTCHN): an immutable snapshot. */
struct xen_ports {
	u32 nr;
	struct xen_port {
		u32 send, type;
		u32 port, vcpu;             /* where to; port 0: */
		struct host_eventfd *event; /* is signalled */
	} p[];
};

/* xen_event.c */
u32 xen_max_ports(const struct vm *vm);
/* Raise a port at once: 1, 0 (it was), -ENOTCONN (it is masked), -EINVAL (no place for it), -EFAULT. In a srcu section; may sleep. */
int xen_raise_now(struct vcpu *v, u32 port);
/* The same by the vCPU's thread. Any context. */
void xen_post(struct vcpu *v, u32 port);
int xen_set_port(struct vm *vm, const struct kvm_xen_hvm_attr *attr); /* under vm->lock */
void xen_free_ports(struct vm *vm);
/* The guest's hypercalls. False: user space's. *ret: 0 or -errno of Xen, which are Linux's here. */
bool xen_send(struct vcpu *v, u64 param, s64 *ret);
bool xen_poll(struct vcpu *v, u64 param, bool wide, s64 *ret);
/* xen.c: from guest-virtual memory; false: not all of it is there. */
bool xen_read_virtual(struct vcpu *v, u64 lin, void *buf, u32 size);

/* xen_time.c */
void xen_timers_create(struct vcpu *v);
void xen_timers_destroy(struct vcpu *v);
void xen_set_state(struct vcpu *v,
		   u32 state); /* account for what has been until now, go on with state. In a srcu section */
void xen_start_timer(struct vcpu *v, u64 expires);
bool xen_set_timer(struct vcpu *v, u64 expires, s64 *ret); /* set_timer_op */
bool xen_vcpu_op(struct vcpu *v, u64 op, u64 id, u64 param, bool wide, s64 *ret);
int xen_set_runstate(struct vcpu *v, const struct kvm_xen_vcpu_attr *a); /* _CURRENT, _DATA, _ADJUST: 0, -EINVAL */
int xen_write_wall_clock(struct vcpu *v, u64 shared);

#endif /* CORE_XEN_H */
