/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Tracepoints of the loop (trace.h): none in user space. */
#ifndef HOST_TRACE_H
#define HOST_TRACE_H

struct vcpu;
struct vm_exit;

static inline void host_trace_entry(const struct vcpu *v)
{
}
static inline void host_trace_exit(const struct vcpu *v, const struct vm_exit *exit)
{
}
static inline void host_trace_user_exit(const struct vcpu *v, int error)
{
}

#endif /* HOST_TRACE_H */
