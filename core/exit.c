/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Handlers of exits, in one table for all engines, and the execution of single instructions by the library. Handlers of
 * instructions that hardware has decoded find no result in the state yet: they do the work, then vcpu_retire().
 */
#include "irqchip.h"

/* --- ends of an exit ------------------------------------------------------------------------------------- */

enum run_result vcpu_internal_error(struct vcpu *v, u32 suberror, const u64 *data, u32 ndata)
{
	struct kvm_run *run = v->run;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = suberror;
	run->internal.ndata = ndata;
	memcpy(run->internal.data, data, ndata * sizeof(*data));
	return RUN_USER;
}

/* As many bytes at rip as can be read without effects, at most 15. */
static u32 instruction_bytes(struct vcpu *v, u8 *buf)
{
	struct x86_state *s = &v->state;
	unsigned mmu = s->cpl == 3 ? MMU_USER : MMU_SUPER;
	struct x86_translation t;
	u32 n;

	for (n = 0; n < X86_MAX_INSN_LEN; n++) {
		if (x86_translate(s, mmu, vcpu_linear_rip(v) + n, ACC_EXEC, 0, &t) != X86_OK ||
		    vm_read_guest(v->vm, t.gpa, buf + n, 1))
			break;
	}
	return n;
}

/* KVM_CAP_EXIT_ON_EMULATION_FAILURE's format; the five entries after the bytes describe the hardware's exit. */
static enum run_result report_emulation_failure(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	u8 bytes[16];
	u32 n = instruction_bytes(v, bytes);

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	memset(run->internal.data, 0, sizeof(run->internal.data));
	run->emulation_failure.ndata = 1 + 5;
	run->emulation_failure.flags = 0;
	if (n) {
		run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
		run->emulation_failure.ndata += 2;
		run->emulation_failure.insn_size = n;
		memset(run->emulation_failure.insn_bytes, 0x90, sizeof(run->emulation_failure.insn_bytes));
		memcpy(run->emulation_failure.insn_bytes, bytes, n);
	}
	return RUN_USER;
}

/* A program's instruction that we cannot execute gets #UD; a kernel's would go astray silently: user space decides. */
static enum run_result emulation_failure(struct vcpu *v)
{
	struct x86_event ud = { .type = X86_EVENT_EXC, .vector = X86_EXC_UD };

	v->stat->insn_emulation_fail++;
	if (v->vm->exit_on_emulation_error)
		return report_emulation_failure(v);
	vcpu_queue_exception(v, &ud);
	return v->state.cpl ? RUN_AGAIN : report_emulation_failure(v);
}

static enum run_result halt(struct vcpu *v)
{
	v->stat->halt_exits++;
	v->state.halted = false;
	if (!v->lapic) {
		v->run->exit_reason = KVM_EXIT_HLT;
		return RUN_USER;
	}
	__atomic_store_n(&v->mp_state, KVM_MP_STATE_HALTED, __ATOMIC_RELAXED);
	return RUN_AGAIN;
}

/* What an op has left to be done: user space first, then HLT. */
static enum run_result after_ops(struct vcpu *v)
{
	if (v->io.pending != IO_NONE)
		return RUN_USER;
	if (v->io.nr_writes)
		return io_send_writes(v);
	return v->state.halted ? halt(v) : RUN_AGAIN;
}

/* --- instructions by the library ---------------------------------------------------------------------------- */

/* The result of an instruction or of one of the library's routines that did not retire. */
static enum run_result not_retired(struct vcpu *v, enum x86_result r)
{
	switch (r) {
	case X86_FAULT: vcpu_queue_exception(v, &v->state.fault); return RUN_AGAIN;
	case X86_PENDING: return after_ops(v);
	case X86_SHUTDOWN: vcpu_request(v, REQ_TRIPLE_FAULT); return RUN_AGAIN;
	case X86_UNHANDLED: return emulation_failure(v);
	case X86_HOST_FAULT: return vcpu_error(v, -EFAULT);
	default: return RUN_AGAIN;
	}
}

/* Traps and user space's part after an instruction that has retired. */
static enum run_result retired(struct vcpu *v, bool tf)
{
	enum run_result r = vcpu_traps_after(v, tf), io = after_ops(v);

	/* The debug exit has deferred itself if there is I/O. */
	return io != RUN_AGAIN ? io : r;
}

/* Vector state that the library has used in the host's registers goes back before anybody else uses them. */
static void put_fpu_away(struct x86_state *s)
{
	if (s->ops->fpu_save)
		s->ops->fpu_save(s);
}

/* The instruction at rip, with no more of the state brought in than it takes. *changed: what it may change; *tf: whether it is stepped. */
static enum x86_result step(struct vcpu *v, u32 *changed, bool *tf)
{
	struct x86_state *s = &v->state;
	struct x86_insn i;
	enum x86_result r;

	*changed = STATE_GPR | STATE_INTR;
	vcpu_get_state(v, STATE_GPR | STATE_INTR | STATE_CR);
	if (s->mode != X86_MODE_LONG)
		vcpu_get_state(v, STATE_SEG);
	r = x86_fetch_decode(s, &i);
	if (unlikely(r != X86_OK))
		return r;
	if (!(i.flags & INSN_PLAIN)) {
		*changed = STATE_ALL;
		vcpu_get_state(v, STATE_ALL);
	} else if (i.seg >= SEG_FS) {
		vcpu_get_state(v, STATE_SEG);
	}
	if (x86_steps_itself(&i))
		*tf = false;
	return x86_execute(s, &i);
}

enum run_result vcpu_emulate(struct vcpu *v)
{
	struct x86_state *s = &v->state;
	unsigned tries = 100;
	enum x86_result r;
	u32 changed;
	bool tf;

	vcpu_get_state(v, STATE_GPR);
	tf = s->rflags & RFLAGS_TF;
	v->stat->insn_emulation++;
	/* What user space has served already is taken at once. */
	s->step_strings = (tf || v->single_step) && !v->io.answered;
	do
		r = step(v, &changed, &tf);
	while (r == X86_RETRY && --tries);
	s->step_strings = false;
	put_fpu_away(s);
	v->io.rip = s->rip;
	v->io.delivery = false;
	vcpu_write_back(v, changed);
	if (r == X86_OK || r == X86_EXIT || r == X86_REPEAT)
		return retired(v, tf);
	s->dr6_pending = 0;
	return not_retired(v, r);
}

enum run_result vcpu_deliver_chosen(struct vcpu *v)
{
	struct x86_event ev = v->inject;
	enum x86_result r;

	vcpu_get_state(v, STATE_ALL);
	v->inject_valid = false;
	r = x86_deliver(&v->state, &ev);
	v->io.rip = v->state.rip;
	v->io.delivery = r == X86_PENDING;
	if (r == X86_OK || r == X86_SHUTDOWN)
		vcpu_write_back(v, STATE_ALL);
	else
		vcpu_requeue_vectoring(v, &ev);
	return r == X86_OK ? after_ops(v) : not_retired(v, r);
}

enum run_result vcpu_deliver(struct vcpu *v)
{
	enum run_result r;

	vcpu_get_state(v, STATE_ALL);
	r = vcpu_arbitrate(v);
	return r == RUN_AGAIN && v->inject_valid ? vcpu_deliver_chosen(v) : r;
}

void vcpu_advance(struct vcpu *v, u32 insn_len)
{
	struct x86_state *s = &v->state;
	u64 rip = s->rip + insn_len;

	if (unlikely((rip ^ s->rip) >> 16)) {
		vcpu_get_state(v, STATE_SEG | STATE_CR);
		rip = x86_next_rip(s, insn_len);
	}
	s->rip = rip;
}

enum run_result vcpu_retire(struct vcpu *v, u32 insn_len)
{
	struct x86_state *s = &v->state;
	bool tf = s->rflags & RFLAGS_TF;

	vcpu_advance(v, insn_len);
	x86_retire(s, s->shadow);
	/* Not more: the caller may not have fetched the rest, and what the engine has of it is newer. */
	vcpu_write_back(v, STATE_GPR | STATE_INTR);
	if (likely(!tf && !v->single_step && !s->dr6_pending && v->io.pending == IO_NONE && !v->io.nr_writes &&
		   !s->halted))
		return RUN_AGAIN;
	return retired(v, tf);
}

/* Hardware has decoded the instruction, a routine has done it. */
static enum run_result finish(struct vcpu *v, const struct vm_exit *exit, enum x86_result r)
{
	if (r != X86_OK && r != X86_EXIT)
		return not_retired(v, r);
	return vcpu_retire(v, exit->insn_len);
}

/* The same for a routine that has changed these parts of the state, which have been fetched. */
static enum run_result finish_parts(struct vcpu *v, const struct vm_exit *exit, enum x86_result r, u32 parts)
{
	vcpu_write_back(v, parts);
	return finish(v, exit, r);
}

static enum run_result finish_all(struct vcpu *v, const struct vm_exit *exit, enum x86_result r)
{
	return finish_parts(v, exit, r, STATE_ALL);
}

/* --- handlers ------------------------------------------------------------------------------------------------- */

static enum run_result exit_none(struct vcpu *v, struct vm_exit *exit)
{
	return after_ops(v);
}

static enum run_result exit_hlt(struct vcpu *v, struct vm_exit *exit)
{
	v->state.halted = true;
	return after_ops(v);
}

static enum run_result exit_irq_window(struct vcpu *v, struct vm_exit *exit)
{
	v->want_irq_window = false;
	return after_ops(v);
}

static enum run_result exit_nmi_window(struct vcpu *v, struct vm_exit *exit)
{
	v->stat->nmi_window_exits++;
	v->want_nmi_window = false;
	return after_ops(v);
}

/* An exception that somebody wants to see: the debugger, or the engine's own reason to intercept it. */
static enum run_result exit_exception(struct vcpu *v, struct vm_exit *exit)
{
	const struct x86_event *exc = &exit->u.exc;

	vcpu_get_state(v, STATE_ALL);
	if (exc->vector == X86_EXC_DB || exc->vector == X86_EXC_BP) {
		enum run_result r = vcpu_debug_exception(v, exc);
		enum run_result io = after_ops(v);

		return io != RUN_AGAIN ? io : r;
	}
	if (v->exc_intercept & BIT(exc->vector)) {
		v->run->exit_reason = KVM_EXIT_EXCEPTION;
		v->run->ex.exception = exc->vector;
		v->run->ex.error_code = exc->error;
		return RUN_USER;
	}
	vcpu_queue_exception(v, exc);
	return RUN_AGAIN;
}

static enum run_result exit_debug_step(struct vcpu *v, struct vm_exit *exit)
{
	enum run_result r, io;

	vcpu_get_state(v, STATE_ALL);
	r = v->single_step ? vcpu_report_debug(v, X86_EXC_DB, DR6_BS) : RUN_AGAIN;
	io = after_ops(v);
	return io != RUN_AGAIN ? io : r;
}

static enum run_result exit_shutdown(struct vcpu *v, struct vm_exit *exit)
{
	v->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return RUN_USER;
}

static enum run_result exit_emulate(struct vcpu *v, struct vm_exit *exit)
{
	return vcpu_emulate(v);
}

/* Of user space's memory, which the library does: an instruction's, or one that the delivery of an event needs (a stack there). */
static enum run_result exit_memory(struct vcpu *v, struct vm_exit *exit)
{
	return exit->vectoring ? vcpu_deliver(v) : vcpu_emulate(v);
}

enum run_result vcpu_port_access(struct vcpu *v, const struct vm_exit *exit)
{
	struct x86_state *s = &v->state;
	u8 size = exit->u.io.size;
	enum x86_result r;
	unsigned done;
	u32 val = 0;

	vcpu_get_state(v, STATE_GPR);
	if (!exit->u.io.in) {
		val = (u32)s->gpr[X86_RAX];
		return finish(v, exit, s->ops->out(s, exit->u.io.port, size, &val, 1, &done));
	}
	r = s->ops->in(s, exit->u.io.port, size, &val, 1, &done);
	if (r == X86_OK && size == 4)
		s->gpr[X86_RAX] = val;
	else if (r == X86_OK)
		memcpy(&s->gpr[X86_RAX], &val, size);
	return finish(v, exit, r);
}

static enum run_result exit_io(struct vcpu *v, struct vm_exit *exit)
{
	enum run_result r;

	if (exit->u.io.string || exit->u.io.rep || !exit->insn_len)
		return vcpu_emulate(v);
	r = vcpu_port_access(v, exit);
	if (v->io.pending == IO_PORT_IN || v->io.pending == IO_PORT_OUT)
		v->io.insn_len = exit->insn_len;
	return r;
}

static enum run_result exit_cpuid(struct vcpu *v, struct vm_exit *exit)
{
	struct x86_state *s = &v->state;

	vcpu_get_state(v, STATE_GPR);
	if (unlikely(s->cpuid_faults)) {
		vcpu_get_state(v, STATE_SEG | STATE_CR);
		if (s->cpl && !s->in_smm)
			return not_retired(v, x86_raise_error(s, X86_EXC_GP, 0));
	}
	cpuid_execute(v);
	return vcpu_retire(v, exit->insn_len);
}

static enum run_result exit_rdmsr(struct vcpu *v, struct vm_exit *exit)
{
	struct x86_state *s = &v->state;
	enum x86_result r;
	u64 val;

	/* The MSR's own part of the state comes with it. */
	vcpu_get_state(v, STATE_GPR);
	r = s->ops->rdmsr(s, (u32)s->gpr[X86_RCX], &val);
	if (r == X86_OK) {
		s->gpr[X86_RAX] = (u32)val;
		s->gpr[X86_RDX] = val >> 32;
	}
	return finish(v, exit, r);
}

static enum run_result exit_wrmsr(struct vcpu *v, struct vm_exit *exit)
{
	struct x86_state *s = &v->state;

	/* As for reads. */
	vcpu_get_state(v, STATE_GPR);
	return finish(v, exit,
		      s->ops->wrmsr(s, (u32)s->gpr[X86_RCX], (u64)s->gpr[X86_RDX] << 32 | (u32)s->gpr[X86_RAX]));
}

/* Registers keep upper halves from 64-bit code that other code does not see. */
static u64 operand_mask(const struct x86_state *s)
{
	return s->mode == X86_MODE_LONG ? ~0ull : 0xffffffff;
}

static enum x86_result write_control(struct x86_state *s, const struct vm_exit *exit)
{
	if (exit->u.cr.clts)
		return x86_write_cr(s, 0, s->cr0 & ~(u64)CR0_TS);
	/* LMSW sets PE but cannot clear it. */
	if (exit->u.cr.lmsw)
		return x86_write_cr(s, 0, (s->cr0 & ~0xeull) | (exit->u.cr.lmsw_val & 0xf));
	return x86_write_cr(s, exit->u.cr.nr, s->gpr[exit->u.cr.gpr] & operand_mask(s));
}

static enum run_result exit_cr(struct vcpu *v, struct vm_exit *exit)
{
	struct x86_state *s = &v->state;
	bool write = exit->u.cr.write || exit->u.cr.clts || exit->u.cr.lmsw;
	/* With protection and paging CR0 changes what segments mean. */
	u32 parts = write && !exit->u.cr.nr && !exit->u.cr.clts ? STATE_ALL : STATE_CR;

	vcpu_get_state(v, parts);
	if (write)
		return finish_parts(v, exit, write_control(s, exit), parts);
	s->gpr[exit->u.cr.gpr] = x86_read_cr(s, exit->u.cr.nr) & operand_mask(s);
	return vcpu_retire(v, exit->insn_len);
}

/* XSETBV and accesses to debug registers may leave guest mode before the privilege level is looked at. */
static enum x86_result need_cpl0(struct x86_state *s)
{
	return likely(!s->cpl) ? X86_OK : x86_raise_error(s, X86_EXC_GP, 0);
}

static enum x86_result read_dr(struct x86_state *s, unsigned n, u64 *gpr)
{
	enum x86_result r = x86_read_dr(s, n, gpr);

	if (r == X86_OK)
		*gpr &= operand_mask(s);
	return r;
}

static enum run_result exit_dr(struct vcpu *v, struct vm_exit *exit)
{
	struct x86_state *s = &v->state;
	enum x86_result r;

	vcpu_get_state(v, STATE_ALL);
	r = need_cpl0(s);
	if (r != X86_OK)
		return finish_all(v, exit, r);
	if (exit->u.cr.write)
		r = x86_write_dr(s, exit->u.cr.nr, s->gpr[exit->u.cr.gpr] & operand_mask(s));
	else
		r = read_dr(s, exit->u.cr.nr, &s->gpr[exit->u.cr.gpr]);
	if (r == X86_FAULT && s->fault.vector == X86_EXC_DB && v->debug.control & KVM_GUESTDBG_USE_HW_BP)
		return vcpu_report_debug(v, X86_EXC_DB, DR6_BD);
	return finish_all(v, exit, r);
}

static enum run_result exit_invlpg(struct vcpu *v, struct vm_exit *exit)
{
	vcpu_get_state(v, STATE_ALL);
	return finish_all(v, exit, x86_invlpg(&v->state, exit->u.gla));
}

static enum run_result exit_rdtsc(struct vcpu *v, struct vm_exit *exit)
{
	u64 tsc = vcpu_read_tsc(v);

	vcpu_get_state(v, STATE_GPR);
	v->state.gpr[X86_RAX] = (u32)tsc;
	v->state.gpr[X86_RDX] = tsc >> 32;
	return vcpu_retire(v, exit->insn_len);
}

static enum run_result exit_hypercall(struct vcpu *v, struct vm_exit *exit)
{
	vcpu_get_state(v, STATE_GPR | STATE_CR);
	return finish(v, exit, vcpu_hypercall(v));
}

static enum run_result exit_xsetbv(struct vcpu *v, struct vm_exit *exit)
{
	struct x86_state *s = &v->state;

	enum x86_result r;

	vcpu_get_state(v, STATE_ALL);
	r = need_cpl0(s);
	if (r == X86_OK)
		r = x86_write_xcr(s, (u32)s->gpr[X86_RCX], (u64)s->gpr[X86_RDX] << 32 | (u32)s->gpr[X86_RAX]);
	return finish_all(v, exit, r);
}

/* WBINVD, MONITOR, MWAIT: nothing to do here but to go on. */
static enum run_result exit_skip(struct vcpu *v, struct vm_exit *exit)
{
	vcpu_get_state(v, STATE_GPR);
	return vcpu_retire(v, exit->insn_len);
}

/* In a loop that waits for another vCPU, which may wait for this CPU. */
static enum run_result exit_pause(struct vcpu *v, struct vm_exit *exit)
{
	host_yield();
	return exit_skip(v, exit);
}

static enum run_result exit_task_switch(struct vcpu *v, struct vm_exit *exit)
{
	struct x86_state *s = &v->state;
	enum x86_result r;

	vcpu_get_state(v, STATE_ALL);
	/* The saved rip is that of the next instruction, but for a task gate that an exception went through. */
	if (exit->u.task.why != TASK_GATE || (exit->vectoring && exit->vectoring_event.insn_len))
		s->rip = x86_next_rip(s, exit->insn_len);
	/* The event that led here is what the switch delivers. */
	if (exit->u.task.why == TASK_GATE)
		v->ev.exc.injected = v->ev.irq.injected = v->ev.nmi_injected = false;
	r = x86_task_switch(s, exit->u.task.sel, exit->u.task.why, exit->u.task.has_error, exit->u.task.error);
	vcpu_write_back(v, STATE_ALL);
	return r == X86_OK ? RUN_AGAIN : not_retired(v, r);
}

static enum run_result exit_unhandled(struct vcpu *v, struct vm_exit *exit)
{
	return emulation_failure(v);
}

static enum run_result exit_host_fault(struct vcpu *v, struct vm_exit *exit)
{
	return vcpu_error(v, -EFAULT);
}

static enum run_result exit_fail_entry(struct vcpu *v, struct vm_exit *exit)
{
	v->run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	v->run->fail_entry.hardware_entry_failure_reason = exit->hw_reason;
	v->run->fail_entry.cpu = exit->u.cpu;
	return RUN_USER;
}

static enum run_result exit_unknown(struct vcpu *v, struct vm_exit *exit)
{
	v->run->exit_reason = KVM_EXIT_UNKNOWN;
	v->run->hw.hardware_exit_reason = exit->hw_reason;
	return RUN_USER;
}

static enum run_result (*const handlers[VM_EXIT_COUNT])(struct vcpu *v, struct vm_exit *exit) = {
	[VM_EXIT_NONE] = exit_none,
	[VM_EXIT_USER] = exit_none,
	[VM_EXIT_HLT] = exit_hlt,
	[VM_EXIT_IRQ_WINDOW] = exit_irq_window,
	[VM_EXIT_NMI_WINDOW] = exit_nmi_window,
	[VM_EXIT_EXCEPTION] = exit_exception,
	[VM_EXIT_SHUTDOWN] = exit_shutdown,
	[VM_EXIT_EMULATE] = exit_emulate,
	[VM_EXIT_MEMORY] = exit_memory,
	[VM_EXIT_IO] = exit_io,
	[VM_EXIT_CPUID] = exit_cpuid,
	[VM_EXIT_RDMSR] = exit_rdmsr,
	[VM_EXIT_WRMSR] = exit_wrmsr,
	[VM_EXIT_CR] = exit_cr,
	[VM_EXIT_DR] = exit_dr,
	[VM_EXIT_INVLPG] = exit_invlpg,
	[VM_EXIT_RDTSC] = exit_rdtsc,
	[VM_EXIT_HYPERCALL] = exit_hypercall,
	[VM_EXIT_XSETBV] = exit_xsetbv,
	[VM_EXIT_WBINVD] = exit_skip,
	[VM_EXIT_PAUSE] = exit_pause,
	[VM_EXIT_MWAIT] = exit_skip,
	[VM_EXIT_MONITOR] = exit_skip,
	[VM_EXIT_TASK_SWITCH] = exit_task_switch,
	[VM_EXIT_TPR] = exit_emulate,
	[VM_EXIT_DEBUG_STEP] = exit_debug_step,
	[VM_EXIT_UNHANDLED] = exit_unhandled,
	[VM_EXIT_HOST_FAULT] = exit_host_fault,
	[VM_EXIT_FAIL_ENTRY] = exit_fail_entry,
	[VM_EXIT_UNKNOWN] = exit_unknown,
};

enum run_result vcpu_handle_exit(struct vcpu *v, struct vm_exit *exit)
{
	if (exit->code >= VM_EXIT_COUNT || !handlers[exit->code])
		return exit_unknown(v, exit);
	return handlers[exit->code](v, exit);
}
