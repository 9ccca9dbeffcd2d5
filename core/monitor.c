/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Times and trace records for whoever watches. The callers have seen that somebody does: vcpu_watched() and vm_watched(). */
#include "vcpu.h"

_Static_assert(VM_EXIT_COUNT <= MONITOR_CODES, "a counter per exit code");

void monitor_init(struct monitor *m)
{
	unsigned i, k;

	m->magic = MONITOR_MAGIC;
	m->version = MONITOR_VERSION;
	for (i = 0; i < VM_EXIT_COUNT; i++)
		for (k = 0; vm_exit_names[i][k] && k < MONITOR_NAME_SIZE - 1; k++)
			m->code_names[i][k] = vm_exit_names[i][k];
}

/* --- records ------------------------------------------------------------------------------------------- */

static void forget(struct monitor *m, u32 what)
{
	__atomic_fetch_and(&m->active, ~what, __ATOMIC_RELAXED);
}

static bool tracing(struct monitor *m, u64 now)
{
	if (!(__atomic_load_n(&m->active, __ATOMIC_RELAXED) & MONITOR_TRACE))
		return false;
	if (now <= __atomic_load_n(&m->trace_until, __ATOMIC_RELAXED))
		return true;
	forget(m, MONITOR_TRACE);
	return false;
}

/* Several threads write at once, each to the place that it has drawn. A reader sees the whole record or that it is not there. */
static void write_record(struct monitor *m, const struct monitor_record *r)
{
	struct monitor_file *file = container_of(m, struct monitor_file, header);
	u64 index = __atomic_fetch_add(&m->head, 1, __ATOMIC_RELAXED);
	struct monitor_record *to = &file->record[index & (MONITOR_RECORDS - 1)];

	__atomic_store_n(&to->seq, 0, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	to->tsc = r->tsc;
	to->thread = r->thread;
	to->kind = r->kind;
	to->vm = r->vm;
	to->vcpu = r->vcpu;
	to->result = r->result;
	to->code = r->code;
	memcpy(to->data, r->data, sizeof(to->data));
	__atomic_store_n(&to->seq, index + 1, __ATOMIC_RELEASE);
}

static struct monitor_record record_of(struct vcpu *v, u16 kind, u32 code, u64 now)
{
	return (struct monitor_record){
		.tsc = now,
		.thread = __atomic_load_n(&v->mon->thread, __ATOMIC_RELAXED),
		.kind = kind,
		.vm = (u16)v->vm->number,
		.vcpu = v->id,
		.code = code,
	};
}

void monitor_ioctl(struct monitor *m, const struct monitor_call *c, u64 begin, s64 result)
{
	u64 now = host_tsc();
	struct monitor_record r = {
		.tsc = now,
		.thread = host_thread_id(),
		.kind = MONITOR_IOCTL,
		.vm = c->vm ? (u16)c->vm->number : 0,
		.vcpu = c->vcpu ? c->vcpu->id : ~0u,
		.result = (s32)result,
		.code = c->request,
		.data = { now - begin, c->arg[0], c->arg[1], c->arg[2] },
	};

	if (tracing(m, now))
		write_record(m, &r);
}

/* --- a vCPU -------------------------------------------------------------------------------------------- */

/* Somebody new is watching: what was noted for the last one is old. */
static void follow_epoch(struct vcpu *v)
{
	u32 epoch = __atomic_load_n(&v->vm->monitor->epoch, __ATOMIC_RELAXED);

	if (v->mon_time.epoch == epoch)
		return;
	v->mon_time.epoch = epoch;
	v->mon_time.entered = v->mon_time.left = v->mon_time.ended = 0;
}

static void end_exit(struct vcpu *v, u64 now)
{
	if (v->mon_time.left)
		v->mon->code_time[v->mon_time.code] += now - v->mon_time.left;
	v->mon_time.left = 0;
}

void monitor_run_begin(struct vcpu *v)
{
	struct monitor *m = v->vm->monitor;
	u64 now = host_tsc();

	follow_epoch(v);
	__atomic_store_n(&v->mon->thread, host_thread_id(), __ATOMIC_RELAXED);
	if (v->mon_time.ended)
		v->mon->reason_time[v->mon_time.reason] += now - v->mon_time.ended;
	v->mon_time.ended = 0;
	if (now > __atomic_load_n(&m->times_until, __ATOMIC_RELAXED))
		forget(m, MONITOR_TIMES);
}

static void describe_user_exit(const struct kvm_run *run, struct monitor_record *r)
{
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		r->data[0] = run->io.port | (u64)run->io.size << 16 | (u64)run->io.direction << 24 |
			     (u64)run->io.count << 32;
		if (run->io.direction == KVM_EXIT_IO_OUT && run->io.size <= 8)
			memcpy(&r->data[1], (const u8 *)run + run->io.data_offset, run->io.size);
		break;
	case KVM_EXIT_MMIO:
		r->data[0] = run->mmio.phys_addr;
		r->data[1] = run->mmio.len | (u64)run->mmio.is_write << 8;
		memcpy(&r->data[2], run->mmio.data, 8);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		r->data[0] = run->internal.suberror;
		r->data[1] = run->internal.ndata;
		r->data[2] = run->internal.data[0];
		break;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		r->data[0] = run->msr.index;
		r->data[1] = run->msr.data;
		break;
	case KVM_EXIT_FAIL_ENTRY:
	case KVM_EXIT_UNKNOWN: r->data[0] = run->fail_entry.hardware_entry_failure_reason; break;
	case KVM_EXIT_EXCEPTION:
		r->data[0] = run->ex.exception;
		r->data[1] = run->ex.error_code;
		break;
	case KVM_EXIT_DEBUG:
		r->data[0] = run->debug.arch.exception;
		r->data[1] = run->debug.arch.pc;
		r->data[2] = run->debug.arch.dr6;
		break;
	case KVM_EXIT_HYPERCALL: r->data[0] = run->hypercall.nr; break;
	case KVM_EXIT_SYSTEM_EVENT: r->data[0] = run->system_event.type; break;
	case KVM_EXIT_IOAPIC_EOI: r->data[0] = run->eoi.vector; break;
	default: break;
	}
}

void monitor_run_end(struct vcpu *v, int result)
{
	struct monitor *m = v->vm->monitor;
	u64 now = host_tsc();
	struct monitor_record r = record_of(v, MONITOR_USER, result < 0 ? KVM_EXIT_INTR : v->run->exit_reason, now);

	follow_epoch(v);
	end_exit(v, now);
	v->mon_time.ended = now;
	v->mon_time.reason = r.code < MONITOR_REASONS ? (u8)r.code : MONITOR_REASONS - 1;
	if (!tracing(m, now))
		return;
	r.result = result;
	if (result >= 0)
		describe_user_exit(v->run, &r);
	write_record(m, &r);
}

void monitor_before_entry(struct vcpu *v)
{
	u64 now = host_tsc();

	follow_epoch(v);
	end_exit(v, now);
	v->mon_time.entered = now;
}

static void describe_exit(const struct vm_exit *e, struct monitor_record *r)
{
	switch (e->code) {
	case VM_EXIT_EXCEPTION:
		r->data[2] = e->u.exc.vector;
		r->data[3] = e->u.exc.error;
		break;
	case VM_EXIT_MEMORY:
	case VM_EXIT_EMULATE:
		r->data[2] = e->u.mem.gpa;
		r->data[3] = e->u.mem.write | (u64)e->u.mem.exec << 1;
		break;
	case VM_EXIT_IO:
		r->data[2] = e->u.io.port;
		r->data[3] = e->u.io.size | (u64)e->u.io.in << 8;
		break;
	case VM_EXIT_CR:
	case VM_EXIT_DR:
		r->data[2] = e->u.cr.nr;
		r->data[3] = e->u.cr.write;
		break;
	default: r->data[2] = e->hw_reason; break;
	}
}

void monitor_after_entry(struct vcpu *v, const struct vm_exit *exit)
{
	struct monitor *m = v->vm->monitor;
	u64 now = host_tsc(), inside = 0;
	struct monitor_record r = record_of(v, MONITOR_EXIT, exit->code, now);

	if (v->mon_time.entered)
		inside = now - v->mon_time.entered;
	v->mon_time.entered = 0;
	v->mon->guest_time += inside;
	v->mon_time.left = now;
	v->mon_time.code = exit->code < VM_EXIT_COUNT ? (u8)exit->code : VM_EXIT_UNKNOWN;
	if (now > __atomic_load_n(&m->times_until, __ATOMIC_RELAXED))
		forget(m, MONITOR_TIMES);
	if (!tracing(m, now))
		return;
	r.data[0] = v->state.rip;
	r.data[1] = inside;
	describe_exit(exit, &r);
	write_record(m, &r);
}

void monitor_inject(struct vcpu *v, const struct x86_event *ev)
{
	struct monitor *m = v->vm->monitor;
	u64 now = host_tsc();
	struct monitor_record r =
		record_of(v, MONITOR_INJECT, ev->vector | (u32)ev->type << 8 | (u32)ev->has_error << 16, now);

	if (!tracing(m, now))
		return;
	r.data[0] = v->state.rip;
	r.data[1] = ev->error;
	r.data[2] = ev->cr2;
	write_record(m, &r);
}
