/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Tracepoints, /sys/kernel/tracing/events/anykvm. Included by trace.c only, several times by the kernel's own headers. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM anykvm

#if !defined(ANYKVM_TRACE_EVENTS_H) || defined(TRACE_HEADER_MULTI_READ)
#define ANYKVM_TRACE_EVENTS_H

#include <linux/tracepoint.h>

#define EVENT_TYPES                                                                                                    \
	{ X86_EVENT_INTR, "interrupt" }, { X86_EVENT_NMI, "NMI" }, { X86_EVENT_EXC, "exception" },                      \
		{ X86_EVENT_SOFT_INT, "INT n" }, { X86_EVENT_PRIV_EXC, "INT1" }, { X86_EVENT_SOFT_EXC, "INT3, INTO" }

#define USER_REASONS                                                                                                   \
	{ KVM_EXIT_UNKNOWN, "unknown" }, { KVM_EXIT_IO, "io" }, { KVM_EXIT_HYPERCALL, "hypercall" },                   \
		{ KVM_EXIT_DEBUG, "debug" }, { KVM_EXIT_HLT, "hlt" }, { KVM_EXIT_MMIO, "mmio" },                       \
		{ KVM_EXIT_IRQ_WINDOW_OPEN, "irq_window_open" }, { KVM_EXIT_SHUTDOWN, "shutdown" },                    \
		{ KVM_EXIT_FAIL_ENTRY, "fail_entry" }, { KVM_EXIT_INTR, "intr" },                                      \
		{ KVM_EXIT_TPR_ACCESS, "tpr_access" }, { KVM_EXIT_INTERNAL_ERROR, "internal_error" },                  \
		{ KVM_EXIT_SYSTEM_EVENT, "system_event" }, { KVM_EXIT_IOAPIC_EOI, "ioapic_eoi" },                      \
		{ KVM_EXIT_X86_RDMSR, "rdmsr" }, { KVM_EXIT_X86_WRMSR, "wrmsr" }

/* Guest mode is about to be entered. */
TRACE_EVENT(anykvm_entry,
	TP_PROTO(const struct vcpu *v),
	TP_ARGS(v),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, rip)
	),
	TP_fast_assign(
		__entry->vcpu = v->id;
		__entry->rip = v->state.rip;
	),
	TP_printk("vcpu %u rip 0x%llx", __entry->vcpu, __entry->rip)
);

/* It has been left. info1 and info2 depend on the reason: trace.c. */
TRACE_EVENT(anykvm_exit,
	TP_PROTO(const struct vcpu *v, const char *reason, u64 hw_reason, u64 info1, u64 info2, u32 vectoring),
	TP_ARGS(v, reason, hw_reason, info1, info2, vectoring),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__string(reason, reason)
		__field(u64, rip)
		__field(u64, hw_reason)
		__field(u64, info1)
		__field(u64, info2)
		__field(u32, vectoring)
	),
	TP_fast_assign(
		__entry->vcpu = v->id;
		__assign_str(reason, reason);
		__entry->rip = v->state.rip;
		__entry->hw_reason = hw_reason;
		__entry->info1 = info1;
		__entry->info2 = info2;
		__entry->vectoring = vectoring;
	),
	TP_printk("vcpu %u reason %s rip 0x%llx info1 0x%llx info2 0x%llx hw_reason 0x%llx vectoring 0x%x",
		__entry->vcpu, __get_str(reason), __entry->rip, __entry->info1, __entry->info2, __entry->hw_reason,
		__entry->vectoring)
);

/* The next entry delivers this. */
TRACE_EVENT(anykvm_inject,
	TP_PROTO(const struct vcpu *v),
	TP_ARGS(v),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u8, type)
		__field(u8, vector)
		__field(bool, has_error)
		__field(u32, error)
	),
	TP_fast_assign(
		__entry->vcpu = v->id;
		__entry->type = v->inject.type;
		__entry->vector = v->inject.vector;
		__entry->has_error = v->inject.has_error;
		__entry->error = v->inject.has_error ? v->inject.error : 0;
	),
	TP_printk("vcpu %u %s vector 0x%x error 0x%x%s", __entry->vcpu, __print_symbolic(__entry->type, EVENT_TYPES),
		__entry->vector, __entry->error, __entry->has_error ? "" : " (none)")
);

/* KVM_RUN returns: a reason for user space (error 0), or -errno. */
TRACE_EVENT(anykvm_user_exit,
	TP_PROTO(const struct vcpu *v, u32 reason, int error),
	TP_ARGS(v, reason, error),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, reason)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->vcpu = v->id;
		__entry->reason = reason;
		__entry->error = error;
	),
	TP_printk("vcpu %u reason %s error %d", __entry->vcpu,
		__entry->error ? "error" : __print_symbolic(__entry->reason, USER_REASONS), __entry->error)
);

/* An ioctl has ended. `echo 'ret < 0' > filter` shows those that failed. */
TRACE_EVENT(anykvm_ioctl,
	TP_PROTO(const char *on, u32 cmd, u64 arg, long ret),
	TP_ARGS(on, cmd, arg, ret),
	TP_STRUCT__entry(
		__string(on, on)
		__field(u32, cmd)
		__field(u64, arg)
		__field(long, ret)
	),
	TP_fast_assign(
		__assign_str(on, on);
		__entry->cmd = cmd;
		__entry->arg = arg;
		__entry->ret = ret;
	),
	TP_printk("%s cmd 0x%08x (nr 0x%02x) arg 0x%llx ret %ld", __get_str(on), __entry->cmd, __entry->cmd & 0xff,
		__entry->arg, __entry->ret)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE anykvm_events
#include <trace/define_trace.h>
