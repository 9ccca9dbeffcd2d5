/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The interpreter: one entry into guest mode. */
#include "soft.h"
#include "fpu.h"
#include "lockstep.h"
#include "trace.h"

/* Offset of linear code addresses: CS base, which is 0 in 64-bit mode. */
static u64 code_linear(const struct x86_state *s)
{
	if (s->mode == X86_MODE_LONG)
		return s->rip;
	return (u32)(s->seg[SEG_CS].base + s->rip);
}

static void wrap_rip(struct x86_state *s)
{
	if (s->mode != X86_MODE_LONG)
		s->rip = (u32)s->rip;
}

static bool exit_with(struct vm_exit *exit, enum vm_exit_code code)
{
	exit->code = code;
	return true;
}

/*
 * Deliver an event; true: enter() must return. An event that could not be delivered now stays in v->inject.
 */
static bool deliver(struct vcpu *v, const struct x86_event *ev, struct vm_exit *exit)
{
	enum x86_result r = x86_deliver(&v->state, ev);

	v->inject_valid = false;
	v->state.halted = false; /* a trap after HLT comes before the halt */
	switch (r) {
	case X86_OK: return false;
	case X86_SHUTDOWN: return exit_with(exit, VM_EXIT_SHUTDOWN);
	default:
		v->inject = *ev;
		v->inject_valid = true;
		return exit_with(exit, r == X86_HOST_FAULT ? VM_EXIT_HOST_FAULT : VM_EXIT_USER);
	}
}

static bool exception(struct vcpu *v, const struct x86_event *ev, struct vm_exit *exit)
{
	/* INT n is no exception, whatever n is. */
	if (ev->type != X86_EVENT_SOFT_INT && v->exc_intercept & BIT(ev->vector)) {
		exit->u.exc = *ev;
		return exit_with(exit, VM_EXIT_EXCEPTION);
	}
	v->stat->exceptions++;
	return deliver(v, ev, exit);
}

static bool debug_trap(struct vcpu *v, u64 dr6_bits, struct vm_exit *exit)
{
	struct x86_event ev = { .type = X86_EVENT_EXC, .vector = X86_EXC_DB, .cr2 = dr6_bits };

	return exception(v, &ev, exit);
}

static bool traps_after(struct vcpu *v, bool stepped, struct vm_exit *exit);

/*
 * A fault drops the data breakpoints that its instruction has met: it is done again. INT n, INT3 and INTO have ended, and
 * what they or a MOV SS before them have met comes before the handler's first instruction.
 */
static bool faulted(struct vcpu *v, struct vm_exit *exit)
{
	struct x86_state *s = &v->state;

	if (s->fault.type != X86_EVENT_SOFT_INT && s->fault.type != X86_EVENT_SOFT_EXC)
		s->dr6_pending = 0;
	if (exception(v, &s->fault, exit)) {
		s->dr6_pending = 0;
		return true;
	}
	return unlikely(s->dr6_pending) && traps_after(v, false, exit);
}

/* An instruction did not simply retire; rip is that of the instruction. True: leave. */
static bool not_retired(struct vcpu *v, enum x86_result r, struct vm_exit *exit)
{
	switch (r) {
	case X86_FAULT: return faulted(v, exit);
	case X86_RETRY:
	case X86_REPEAT: return false;
	case X86_PENDING: return exit_with(exit, VM_EXIT_USER);
	case X86_SHUTDOWN: return exit_with(exit, VM_EXIT_SHUTDOWN);
	case X86_HOST_FAULT: return exit_with(exit, VM_EXIT_HOST_FAULT);
	default: return exit_with(exit, VM_EXIT_UNHANDLED);
	}
}

/* After an instruction that retired with X86_EXIT. */
static bool leave_after(struct vcpu *v, struct vm_exit *exit)
{
	return exit_with(exit, v->state.halted ? VM_EXIT_HLT : VM_EXIT_USER);
}

/* --- one instruction with everything that may surround it ------------------------------------------------ */

/* Execution breakpoints that match the instruction at rip: DR6 bits. Intel's processors ignore them behind MOV SS. */
static u64 code_breakpoint(const struct vcpu *v)
{
	u64 lin = code_linear(&v->state), hit = 0;
	unsigned n;

	for (n = 0; n < 4; n++)
		if (v->eff_dr7 & DR7_ENABLE(n) && DR7_TYPE(v->eff_dr7, n) == 0 && v->eff_db[n] == lin)
			hit |= DR6_B(n);
	return hit;
}

/*
 * Traps after an instruction (SDM, "Priority Among Concurrent Events", "Debug Exceptions"). MOV SS and POP SS hold
 * them back until the next instruction has ended.
 */
static bool traps_after(struct vcpu *v, bool stepped, struct vm_exit *exit)
{
	struct x86_state *s = &v->state;
	u64 bits = s->dr6_pending;

	if (s->shadow & X86_SHADOW_MOV_SS)
		return false;
	if (stepped)
		bits |= DR6_BS;
	s->dr6_pending = 0;
	if (bits && debug_trap(v, bits, exit))
		return true;
	return v->single_step ? exit_with(exit, VM_EXIT_DEBUG_STEP) : false;
}

static bool step_one(struct vcpu *v, struct vm_exit *exit)
{
	struct x86_state *s = &v->state;
	bool tf = s->rflags & RFLAGS_TF;
	struct x86_insn i;
	enum x86_result r;
	u64 hit;

	if (!(s->rflags & RFLAGS_RF) && (s->vendor_amd || !(s->shadow & X86_SHADOW_MOV_SS))) {
		hit = code_breakpoint(v);
		if (hit)
			return debug_trap(v, hit, exit);
	}
	TR_COUNT(soft_of(s), fallback[FALLBACK_STEP]);
	soft_of(s)->running = NULL;
	soft_of(s)->running_rip = s->rip;
	s->step_strings = tf || v->single_step;
	s->end_block = false;
	r = x86_step(s, &i);
	s->step_strings = false;
	if (r == X86_REPEAT)
		return traps_after(v, tf, exit);
	if (r != X86_OK && r != X86_EXIT)
		return not_retired(v, r, exit);
	if (x86_steps_itself(&i))
		tf = false;
	if (traps_after(v, tf, exit))
		return true;
	if (r == X86_EXIT)
		return leave_after(v, exit);
	return false;
}

/* Is there anything that the block loop does not look at? */
static bool must_step(const struct vcpu *v)
{
	const struct x86_state *s = &v->state;

	return s->rflags & (RFLAGS_TF | RFLAGS_RF | RFLAGS_VIP) || s->shadow || s->dr6_pending || v->single_step ||
	       soft_of((struct x86_state *)s)->code_breakpoints;
}

/* --- blocks ------------------------------------------------------------------------------------------------- */

/* Outside 64-bit mode a block must lie within the CS limit and not wrap. */
static bool block_in_segment(const struct x86_state *s, const struct soft_block *b)
{
	u64 last = s->rip + b->len - 1;

	return last <= s->seg[SEG_CS].limit;
}

/*
 * A repeated string instruction that paused goes on as it was decoded, also when it has just overwritten itself: that is what
 * processors do.
 */
static bool repeats(const struct vcpu *v)
{
	return !v->state.dr6_pending && !__atomic_load_n(&v->requests, __ATOMIC_RELAXED);
}

static bool run_block(struct vcpu *v, const struct soft_block *b, struct vm_exit *exit)
{
	struct x86_state *s = &v->state;
	const struct x86_insn *i = b->insn, *end = i + b->nr;
	enum x86_result r;
	u64 rip;

	soft_of(s)->running = b;
	soft_of(s)->running_rip = s->rip;
	s->end_block = false;
	do {
		rip = s->rip;
	again:
		s->rip = rip + i->len;
		r = i->exec(s, i);
		if (unlikely(r != X86_OK)) {
			if (r == X86_EXIT) {
				wrap_rip(s);
				return leave_after(v, exit);
			}
			if (r == X86_REPEAT && repeats(v))
				goto again;
			s->rip = rip;
			return not_retired(v, r, exit);
		}
		i++;
	} while (i != end && !s->end_block);
	if (unlikely(s->mode != X86_MODE_LONG))
		wrap_rip(s);
	return unlikely(s->dr6_pending) && traps_after(v, false, exit);
}

/* Generated code, until it leaves; the result means what a single instruction's would. */
static bool run_generated(struct soft_vcpu *sv, struct soft_block *b, struct vm_exit *exit)
{
	struct vcpu *v = sv->vcpu;
	enum x86_result r = tr_run(sv, b);

	if (r == X86_EXIT)
		return leave_after(v, exit);
	if (r != X86_OK)
		return not_retired(v, r, exit);
	return unlikely(v->state.dr6_pending) && traps_after(v, false, exit);
}

static bool run_one_block(struct soft_vcpu *sv, struct vm_exit *exit)
{
	struct vcpu *v = sv->vcpu;
	struct x86_state *s = &v->state;
	struct soft_block *b;
	enum x86_result r;

	if (unlikely(sv->flush_wanted)) {
		TR_COUNT(sv, drop[DROP_FULL]);
		soft_flush_blocks(sv);
	}
	r = soft_find_block(sv, code_linear(s), &b);
	if (unlikely(r != X86_OK))
		return r == X86_UNHANDLED ? step_one(v, exit) : not_retired(v, r, exit);
	if (unlikely(s->mode != X86_MODE_LONG) && !block_in_segment(s, b))
		return step_one(v, exit);
	if (sv->tr.wanted && tr_context_ok(sv) && tr_usable(sv, b))
		return run_generated(sv, b, exit);
	if (unlikely(sv->tr.counters))
		sv->tr.counters->fallback[tr_context_ok(sv) ? FALLBACK_COLD : FALLBACK_CONTEXT]++;
	return run_block(v, b, exit);
}

/* --- entry ---------------------------------------------------------------------------------------------------- */

/* Take over the breakpoints in force; data breakpoints are kept out of the TLB. */
static void sync_breakpoints(struct soft_vcpu *sv)
{
	struct vcpu *v = sv->vcpu;
	struct x86_state *s = &v->state;
	u64 data = v->eff_dr7 & ~(u64)DR7_ENABLE_ANY;
	bool code = false, changed = false;
	unsigned n;

	for (n = 0; n < 4; n++) {
		if (!(v->eff_dr7 & DR7_ENABLE(n)))
			continue;
		if (DR7_TYPE(v->eff_dr7, n) == 0)
			code = true;
		else if (DR7_TYPE(v->eff_dr7, n) != 2)
			data |= v->eff_dr7 & DR7_ENABLE(n);
	}
	if (!(data & DR7_ENABLE_ANY))
		data = 0;
	for (n = 0; n < 4; n++) {
		changed |= data && s->watch_addr[n] != v->eff_db[n];
		s->watch_addr[n] = v->eff_db[n];
	}
	if (changed || s->watch_dr7 != data) {
		x86_tlb_flush(s->tlb);
		if (sv->tr.ready)
			flat_flush(sv, X86_FLUSH_ALL, 0);
	}
	s->watch_dr7 = data;
	sv->code_breakpoints = code;
	sv->breakpoints_stale = false;
}

static bool window_open(const struct vcpu *v, struct vm_exit *exit)
{
	const struct x86_state *s = &v->state;

	if (v->want_nmi_window && !s->nmi_blocked && !s->shadow)
		return exit_with(exit, VM_EXIT_NMI_WINDOW);
	if (v->want_irq_window && s->rflags & RFLAGS_IF && !s->shadow)
		return exit_with(exit, VM_EXIT_IRQ_WINDOW);
	return false;
}

/* Generated code finds the state through gs, which user space leaves to the program; it is put back after each entry. */
static u64 swap_gs_base(u64 base)
{
	u64 old;

	__asm__ volatile("rdgsbase %0\n\twrgsbase %1" : "=&r"(old) : "r"(base) : "memory");
	return old;
}

/* The end of every entry: the thread gets back what it lent. */
static void give_back(struct soft_vcpu *sv)
{
	struct x86_state *s = &sv->vcpu->state;

	if (s->fpu_live)
		soft_fpu_leave(s);
	if (sv->tr.ready)
		swap_gs_base(sv->host_gs_base);
	sv->in_enter = false;
	lockstep_end_turn(sv);
}

void soft_load(struct vcpu *v)
{
	struct soft_vcpu *sv = v->engine_vcpu;

	sv->epoch++;
}

void soft_enter(struct vcpu *v, struct vm_exit *exit)
{
	struct soft_vcpu *sv = v->engine_vcpu;
	struct x86_state *s = &v->state;
	u64 changes = __atomic_load_n(&((struct soft_vm *)v->vm->engine_vm)->code_changes, __ATOMIC_ACQUIRE);
	u32 outside = __atomic_load_n(&v->vm->outside, __ATOMIC_ACQUIRE);
	bool done = false;

	*exit = (struct vm_exit){ .code = VM_EXIT_NONE };
	if (!lockstep_take_turn(sv))
		return;
	sv->epoch += outside != sv->outside;
	sv->outside = outside;
	/* Without paging nothing that a loader does empties the tables: the VMM may have put new code anywhere. */
	if (sv->code_changes != changes || !(s->cr0 & CR0_PG))
		tr_forget_targets(sv);
	sv->code_changes = changes;
	sv->in_enter = true;
	if (unlikely(sv->tr.start))
		tr_init(sv);
	if (sv->tr.ready)
		sv->host_gs_base = swap_gs_base((u64)(unsigned long)s);
	sync_breakpoints(sv);
	if (v->inject_valid) {
		struct x86_event ev = v->inject;

		done = deliver(v, &ev, exit);
	}
	while (!done) {
		if (unlikely(__atomic_load_n(&v->requests, __ATOMIC_RELAXED)))
			break;
		if (unlikely(v->want_irq_window || v->want_nmi_window) && window_open(v, exit))
			break;
		if (unlikely(sv->breakpoints_stale)) {
			vcpu_debug_update(v);
			sync_breakpoints(sv);
		}
		if (unlikely(sv->tr.start) || unlikely(lockstep_turn_ends(sv)))
			break;
		soft_end_resume(sv);
		done = unlikely(must_step(v)) ? step_one(v, exit) : run_one_block(sv, exit);
	}
	give_back(sv);
}

/*
 * rip is already the next instruction's when the access fails. Generated code never gets here: faults in it are turned
 * into single instructions of the interpreter (tr_fixup), which run without a block.
 */
void soft_abandoned(struct vcpu *v)
{
	struct soft_vcpu *sv = v->engine_vcpu;
	struct x86_state *s = &v->state;
	const struct soft_block *b;
	unsigned k;
	u64 rip;

	if (!sv->in_enter)
		return;
	lockstep_abandoned(sv);
	b = sv->running;
	rip = sv->running_rip;
	for (k = 0; b && k < b->nr && rip + b->insn[k].len != s->rip; k++)
		rip += b->insn[k].len;
	if (!b || k < b->nr)
		s->rip = rip;
	s->step_strings = false;
	give_back(sv);
}
