/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The kernel's tracepoints of the loop: while one is off its place in the loop is a NOP. */
#ifndef HOST_TRACE_H
#define HOST_TRACE_H

#include <host/types.h>
/* The kernel's macros of the same names differ in type. */
#pragma push_macro("BIT")
#pragma push_macro("BIT_ULL")
#undef BIT
#undef BIT_ULL
#include <linux/tracepoint-defs.h>
#undef BIT
#undef BIT_ULL
#pragma pop_macro("BIT")
#pragma pop_macro("BIT_ULL")

struct vcpu;
struct vm_exit;

DECLARE_TRACEPOINT(anykvm_entry);
DECLARE_TRACEPOINT(anykvm_inject);
DECLARE_TRACEPOINT(anykvm_exit);
DECLARE_TRACEPOINT(anykvm_user_exit);

/* host/linux/trace.c */
void trace_entry(const struct vcpu *v);
void trace_inject(const struct vcpu *v); /* if there is something */
void trace_exit(const struct vcpu *v, const struct vm_exit *exit);
void trace_user_exit(const struct vcpu *v, int error);

static inline void host_trace_entry(const struct vcpu *v)
{
	if (tracepoint_enabled(anykvm_entry))
		trace_entry(v);
	if (tracepoint_enabled(anykvm_inject))
		trace_inject(v);
}
static inline void host_trace_exit(const struct vcpu *v, const struct vm_exit *exit)
{
	if (tracepoint_enabled(anykvm_exit))
		trace_exit(v, exit);
}
static inline void host_trace_user_exit(const struct vcpu *v, int error)
{
	if (tracepoint_enabled(anykvm_user_exit))
		trace_user_exit(v, error);
}

#endif /* HOST_TRACE_H */
