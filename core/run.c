/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * KVM_RUN: the only loop. Each turn: requests, events, debugger, entry, exit. See engine.h for the entry protocol and
 * vcpu.h for requests and kicks.
 */
#include <host/trace.h>
#include "irqchip.h"

#define HALT_POLL_START_NS 10000
/* A sleep that ended that soon would have been better spent spinning. */
#define HALT_SHORT_NS 60000
/* Turns in a row without a look at signals and the scheduler; engines in the kernel look at both themselves. */
#define TURNS_IN_ROW 64

/* --- kicks ------------------------------------------------------------------------------------------- */

void vcpu_interrupt(struct vcpu *v)
{
	if (__atomic_load_n(&v->mode, __ATOMIC_SEQ_CST) == VCPU_IN_GUEST && v->vm->engine->kick)
		v->vm->engine->kick(v);
}

void vcpu_kick(struct vcpu *v)
{
	host_wake(&v->wait);
	vcpu_interrupt(v);
}

/* --- ends of KVM_RUN --------------------------------------------------------------------------------- */

enum run_result vcpu_error(struct vcpu *v, int err)
{
	v->error = err;
	return RUN_ERROR;
}

static enum run_result interrupted(struct vcpu *v)
{
	v->run->exit_reason = KVM_EXIT_INTR;
	v->stat->signal_exits++;
	return vcpu_error(v, -EINTR);
}

static enum run_result user_exit(struct vcpu *v, u32 reason)
{
	v->run->exit_reason = reason;
	return RUN_USER;
}

/* --- processor states other than running ------------------------------------------------------------- */

static u32 mp_state(const struct vcpu *v)
{
	return __atomic_load_n(&v->mp_state, __ATOMIC_RELAXED);
}

static void set_mp_state(struct vcpu *v, u32 state)
{
	__atomic_store_n(&v->mp_state, state, __ATOMIC_RELAXED);
}

/* SDM, "MP Initialization Protocol": INIT, then the start-up vector; a SIPI without INIT is lost. */
void vcpu_accept_apic_events(struct vcpu *v)
{
	u8 vector = 0;
	u32 events;

	if (!v->lapic || v->state.in_smm || !lapic_has_events(v))
		return;
	events = lapic_take_events(v, &vector);
	if (events & LAPIC_INIT) {
		vcpu_reset(v, true);
		set_mp_state(v, lapic_is_bsp(v) ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_INIT_RECEIVED);
	}
	if (events & LAPIC_SIPI && mp_state(v) == KVM_MP_STATE_INIT_RECEIVED) {
		v->ev.sipi_vector = vector;
		v->state.seg[SEG_CS].sel = vector << 8;
		v->state.seg[SEG_CS].base = (u64)vector << 12;
		v->state.rip = 0;
		vcpu_put_state(v, STATE_GPR | STATE_SEG);
		set_mp_state(v, KVM_MP_STATE_RUNNABLE);
	}
}

static bool wait_is_over(void *arg)
{
	struct vcpu *v = arg;
	u32 requests = __atomic_load_n(&v->requests, __ATOMIC_SEQ_CST);

	if (requests & (REQ_DEAD | REQ_SIGNAL | REQ_HV_TIMER | REQ_XEN))
		return true;
	if (v->lapic && !v->state.in_smm && lapic_has_events(v))
		return true;
	if (mp_state(v) == KVM_MP_STATE_UNINITIALIZED || mp_state(v) == KVM_MP_STATE_INIT_RECEIVED)
		return false;
	return vcpu_runnable(v);
}

/* Spinning costs a tenth of a microsecond where waking a sleeper costs fifty; grow it while it pays. */
static bool poll_for_wakeup(struct vcpu *v)
{
	u32 max = __atomic_load_n(&v->vm->max_halt_poll_ns, __ATOMIC_RELAXED);
	u64 end = host_now_ns() + (v->halt_poll_ns < max ? v->halt_poll_ns : max);

	if (!v->halt_poll_ns || !max)
		return wait_is_over(v);
	do {
		if (wait_is_over(v))
			return true;
		__builtin_ia32_pause();
	} while (host_cpu_is_ours() && host_now_ns() < end);
	return false;
}

static void adapt_polling(struct vcpu *v, u64 slept_ns)
{
	u64 grown = v->halt_poll_ns ? 2ull * v->halt_poll_ns : HALT_POLL_START_NS;
	u32 max = __atomic_load_n(&v->vm->max_halt_poll_ns, __ATOMIC_RELAXED);

	if (slept_ns > max * 4ull)
		v->halt_poll_ns = 0;
	else if (slept_ns < HALT_SHORT_NS)
		v->halt_poll_ns = grown < max ? (u32)grown : max;
}

static void wait_for_event(struct vcpu *v)
{
	u64 start;

	if (poll_for_wakeup(v))
		return;
	vcpu_show_preempted(v);
	start = host_now_ns();
	v->asleep = true;
	host_wait_until(&v->wait, wait_is_over, v, 0);
	v->asleep = false;
	adapt_polling(v, host_now_ns() - start);
}

/* One turn of a vCPU that does not run: sleep, and leave the state if something has ended it. */
static enum run_result wait_turn(struct vcpu *v)
{
	bool woken;

	if (!wait_is_over(v))
		wait_for_event(v);
	if (vcpu_take_request(v, REQ_DEAD))
		return vcpu_error(v, -EIO);
	v->srcu_idx = host_srcu_read_lock(&v->vm->srcu);
	if (vcpu_take_request(v, REQ_HV_TIMER))
		hyperv_serve_timers(v);
	if (vcpu_take_request(v, REQ_XEN))
		xen_serve(v);
	woken = mp_state(v) != KVM_MP_STATE_INIT_RECEIVED && vcpu_runnable(v);
	vcpu_accept_apic_events(v);
	host_srcu_read_unlock(&v->vm->srcu, v->srcu_idx);
	if (woken && (mp_state(v) == KVM_MP_STATE_HALTED || mp_state(v) == KVM_MP_STATE_AP_RESET_HOLD)) {
		__atomic_store_n(&v->pv_unhalted, 0, __ATOMIC_RELAXED);
		vcpu_collect_smi(v);
		v->ev.smi_from_halt = v->ev.smi_pending;
		set_mp_state(v, KVM_MP_STATE_RUNNABLE);
		v->stat->halt_wakeup++;
		xen_poll_over(v);
	}
	return RUN_AGAIN;
}

/* KVM_RUN on a vCPU that waits for INIT: it blocks, and comes back for the caller to try again. */
static enum run_result run_uninitialized(struct vcpu *v)
{
	if (__atomic_load_n(&v->run->immediate_exit, __ATOMIC_RELAXED))
		return vcpu_error(v, -EINTR);
	wait_turn(v);
	if (host_signal_pending())
		return interrupted(v);
	return vcpu_error(v, -EAGAIN);
}

/* --- one turn ------------------------------------------------------------------------------------------ */

/*
 * Before anything reaches guest memory in this srcu section: whoever has changed the slots may already have stopped waiting
 * for sections that began before.
 */
static void serve_memory_requests(struct vcpu *v)
{
	const struct engine_ops *engine = v->vm->engine;

	if (vcpu_take_request(v, REQ_SETTINGS) && engine->settings_changed)
		engine->settings_changed(v);
	if (vcpu_take_request(v, REQ_TLB_FLUSH)) {
		v->stat->tlb_flush++;
		engine->tlb_flush(v);
	}
	if (vcpu_take_request(v, REQ_WRITE_FLUSH))
		engine->write_flush(v);
	if (vcpu_take_request(v, REQ_GUEST_FLUSH)) {
		v->stat->tlb_flush++;
		x86_flush_all(&v->state);
	}
}

/* The others do not use what they were asked to forget, or will not before they have forgotten it. */
static void wait_for_flush(struct vcpu *self)
{
	u32 i, nr = vm_nr_vcpus(self->vm);

	for (i = 0; i < nr; i++) {
		struct vcpu *v = self->vm->vcpu[i];

		while (v != self && __atomic_load_n(&v->mode, __ATOMIC_SEQ_CST) == VCPU_IN_GUEST &&
		       __atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & REQ_GUEST_FLUSH)
			host_resched();
	}
}

static enum run_result serve_requests(struct vcpu *v)
{
	v->stat->request_exits++;
	if (unlikely(host_tsc() >= v->steal_next))
		vcpu_request(v, REQ_STEAL_UPDATE);
	/* Events and NMIs are found by arbitration. */
	__atomic_fetch_and(&v->requests, ~(u32)(REQ_SIGNAL | REQ_EVENT | REQ_NMI | REQ_PAUSE | REQ_USER | REQ_UNHALT),
			   __ATOMIC_SEQ_CST);
	/* It may have come since the look between turns, and will not come again. */
	if (host_signal_pending())
		return interrupted(v);
	vcpu_collect_smi(v);
	if (vcpu_take_request(v, REQ_DEAD))
		return vcpu_error(v, -EIO);
	serve_memory_requests(v);
	if (vcpu_take_request(v, REQ_FLUSH_WAIT))
		wait_for_flush(v);
	if (vcpu_take_request(v, REQ_HV_TIMER))
		hyperv_serve_timers(v);
	if (vcpu_take_request(v, REQ_XEN))
		xen_serve(v);
	if (vcpu_take_request(v, REQ_CLOCK_UPDATE))
		vcpu_clock_update(v);
	if (vcpu_take_request(v, REQ_STEAL_UPDATE))
		vcpu_steal_update(v);
	if (vcpu_take_request(v, REQ_APIC))
		vcpu_accept_apic_events(v);
	if (vcpu_take_request(v, REQ_TRIPLE_FAULT))
		return user_exit(v, KVM_EXIT_SHUTDOWN);
	return dirty_ring_full(v) ? user_exit(v, KVM_EXIT_DIRTY_RING_FULL) : RUN_AGAIN;
}

/* Split irqchip: an EOI that the user-space IOAPIC must see. */
static enum run_result report_eoi(struct vcpu *v)
{
	int vector;

	if (vm_irqchip_mode(v->vm) != IRQCHIP_SPLIT)
		return RUN_AGAIN;
	vector = lapic_take_eoi_exit(v);
	if (vector < 0)
		return RUN_AGAIN;
	v->run->eoi.vector = vector;
	return user_exit(v, KVM_EXIT_IOAPIC_EOI);
}

#define EFER_KNOWN 0x2ffd01ull
#define ENTRY_INVALID_STATE 0x80000021ull

/*
 * What hardware checks at each entry (SDM, "Checking and Loading Guest State"; APM, "Canonicalization and Consistency
 * Checks") as far as the state ioctls let it pass and no processor could execute in it. Engines in software enter anything,
 * so core refuses for them, with the number that VMX has for it.
 */
static bool possible_state(const struct x86_state *s)
{
	u32 cs = s->seg[SEG_CS].attr;

	if (s->efer & ~EFER_KNOWN)
		return false;
	if (!(s->efer & X86_EFER_LMA))
		return true;
	return !(cs & SEG_L && cs & SEG_DB) && !(s->rflags & RFLAGS_VM);
}

static bool refuses_entry(struct vcpu *v, struct vm_exit *exit)
{
	if (likely(!v->check_state))
		return false;
	v->check_state = v->vm->engine->caps.soft && !possible_state(&v->state);
	if (!v->check_state)
		return false;
	*exit = (struct vm_exit){ .code = VM_EXIT_FAIL_ENTRY, .hw_reason = ENTRY_INVALID_STATE };
	return true;
}

static void leave(struct vcpu *v, const struct vm_exit *exit)
{
	__atomic_store_n(&v->mode, VCPU_OUTSIDE, __ATOMIC_RELEASE);
	v->io.rip = v->state.rip;
	v->io.delivery = v->inject_valid;
	if (unlikely(v->inject_valid || exit->vectoring))
		vcpu_events_after_entry(v, exit);
}

static enum run_result enter(struct vcpu *v, struct vm_exit *exit)
{
	/* See vcpu.h: the mode is visible before the last look at the requests. */
	__atomic_store_n(&v->mode, VCPU_IN_GUEST, __ATOMIC_SEQ_CST);
	if (unlikely(__atomic_load_n(&v->requests, __ATOMIC_SEQ_CST))) {
		leave(v, exit);
		return RUN_AGAIN;
	}
	if (vcpu_watched(v))
		monitor_before_entry(v);
	host_trace_entry(v);
	if (!refuses_entry(v, exit))
		v->vm->engine->enter(v, exit);
	host_trace_exit(v, exit);
	leave(v, exit);
	if (vcpu_watched(v))
		monitor_after_entry(v, exit);
	v->stat->exits++;
	v->stat->by_code[exit->code < VM_EXIT_COUNT ? exit->code : VM_EXIT_UNKNOWN]++;
	return vcpu_handle_exit(v, exit);
}

static enum run_result turn(struct vcpu *v, struct vm_exit *exit)
{
	enum run_result r = RUN_AGAIN;

	vm_exit_begin(exit);
	if (unlikely(__atomic_load_n(&v->requests, __ATOMIC_RELAXED)))
		r = serve_requests(v);
	if (v->lapic && r == RUN_AGAIN)
		r = report_eoi(v);
	if (likely(r == RUN_AGAIN && mp_state(v) == KVM_MP_STATE_RUNNABLE))
		r = vcpu_arbitrate(v);
	if (unlikely(r != RUN_AGAIN || mp_state(v) != KVM_MP_STATE_RUNNABLE))
		return r;
	vcpu_debug_prepare(v);
	return enter(v, exit);
}

/* The exit was served here, nobody has asked for anything meanwhile: the next turn needs nothing that this one had not. */
static bool goes_on(struct vcpu *v, const struct vm_exit *exit)
{
	return exit->code != VM_EXIT_NONE && !__atomic_load_n(&v->requests, __ATOMIC_RELAXED) &&
	       mp_state(v) == KVM_MP_STATE_RUNNABLE && !v->run->request_interrupt_window;
}

static enum run_result turns_in_row(struct vcpu *v)
{
	unsigned left = TURNS_IN_ROW;
	struct vm_exit exit;
	enum run_result r;

	do
		r = turn(v, &exit);
	while (r == RUN_AGAIN && --left && goes_on(v, &exit));
	return r;
}

static enum run_result complete(struct vcpu *v)
{
	serve_memory_requests(v);
	return io_complete(v);
}

/* What follows exits that were handled in place. */
static enum run_result between_turns(struct vcpu *v)
{
	if (vcpu_wants_user_window(v) && vcpu_ready_for_injection(v)) {
		v->stat->irq_window_exits++;
		return user_exit(v, KVM_EXIT_IRQ_WINDOW_OPEN);
	}
	if (host_signal_pending())
		return interrupted(v);
	return RUN_AGAIN;
}

/*
 * As many turns as go without sleeping. It touches guest memory, so on hosts where that may fault it runs guarded and may be
 * abandoned at any access: what must be undone then is in v (srcu_idx, mode).
 */
struct turns {
	struct vcpu *v;
	bool completion; /* first take over what user space has done */
	bool locked;
	enum run_result result;
};

static void run_turns(void *arg)
{
	struct turns *t = arg;
	struct vcpu *v = t->v;
	enum run_result r;

	do {
		v->srcu_idx = host_srcu_read_lock(&v->vm->srcu);
		t->locked = true;
		r = t->completion ? complete(v) : turns_in_row(v);
		t->locked = false;
		host_srcu_read_unlock(&v->vm->srcu, v->srcu_idx);
		if (t->completion)
			break;
		if (r == RUN_AGAIN)
			r = between_turns(v);
		if (r == RUN_AGAIN)
			host_resched();
	} while (r == RUN_AGAIN && mp_state(v) == KVM_MP_STATE_RUNNABLE);
	t->result = r;
}

/* The instruction that core was running itself has not happened; user space's answer is lost, it will be asked again. */
static void abandon_replay(struct vcpu *v)
{
	struct x86_state *s = &v->state;

	if (s->ops->fpu_save)
		s->ops->fpu_save(s);
	s->rip = v->io.rip;
	s->step_strings = false;
}

static enum run_result guarded_turns(struct vcpu *v, bool completion)
{
	struct turns t = { .v = v, .completion = completion };
	int err = 0;

	if (v->vm->engine->caps.needs_guarded_memory)
		err = host_guarded(run_turns, &t);
	else
		run_turns(&t);
	if (likely(!err))
		return t.result;
	/* Before anything that may use vector registers. */
	if (v->vm->engine->abandoned)
		v->vm->engine->abandoned(v);
	if (v->io.replay)
		abandon_replay(v);
	leave(v, &(struct vm_exit){ .code = VM_EXIT_HOST_FAULT });
	io_forget_records(&v->io);
	if (t.locked)
		host_srcu_read_unlock(&v->vm->srcu, v->srcu_idx);
	return vcpu_error(v, err);
}

/* --- KVM_RUN ------------------------------------------------------------------------------------------- */

/* What user space has put into kvm_run, before anything runs. */
static enum run_result take_over(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	enum run_result r;
	int err;

	if ((run->kvm_valid_regs | run->kvm_dirty_regs) & ~(u64)KVM_SYNC_X86_VALID_FIELDS)
		return vcpu_error(v, -EINVAL);
	if (run->kvm_dirty_regs)
		vcpu_get_state(v, STATE_ALL);
	err = vcpu_sync_in(v);
	if (err)
		return vcpu_error(v, err);
	if (!v->lapic) {
		/* User space may change the page at any time: read once. */
		u64 cr8 = __atomic_load_n(&run->cr8, __ATOMIC_RELAXED);

		if (cr8 > 15)
			return vcpu_error(v, -EINVAL);
		v->state.cr8 = cr8;
	}
	/* Even with immediate_exit: afterwards the state is that of an instruction boundary. */
	r = guarded_turns(v, true);
	if (r != RUN_AGAIN)
		return r;
	if (__atomic_load_n(&run->immediate_exit, __ATOMIC_RELAXED))
		return vcpu_error(v, -EINTR);
	return RUN_AGAIN;
}

static enum run_result loop(struct vcpu *v)
{
	enum run_result r = between_turns(v);

	while (r == RUN_AGAIN) {
		if (mp_state(v) == KVM_MP_STATE_RUNNABLE) {
			r = guarded_turns(v, false);
			continue;
		}
		r = wait_turn(v);
		if (r == RUN_AGAIN)
			r = between_turns(v);
		host_resched();
	}
	return r;
}

static void publish(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	u32 needed = STATE_GPR | STATE_INTR | (v->lapic ? 0 : STATE_CR);

	/* The rest comes when an ioctl asks for it. */
	vcpu_get_state(v, run->kvm_valid_regs ? STATE_ALL : needed);
	vcpu_sync_out(v);
	run->if_flag = (v->state.rflags & RFLAGS_IF) != 0;
	run->cr8 = v->lapic ? lapic_get_tpr(v) : v->state.cr8;
	run->apic_base = v->apic_base;
	run->ready_for_interrupt_injection = vm_irqchip_mode(v->vm) == IRQCHIP_KERNEL || vcpu_ready_for_injection(v);
	if (v->state.in_smm)
		run->flags |= KVM_RUN_X86_SMM;
}

static void count_end(struct vcpu *v)
{
	u32 reason = v->error ? KVM_EXIT_INTR : v->run->exit_reason;

	v->stat->by_reason[reason < MONITOR_REASONS ? reason : MONITOR_REASONS - 1]++;
	if (vcpu_watched(v))
		monitor_run_end(v, v->error);
}

int vcpu_run(struct vcpu *v)
{
	enum run_result r;

	host_run_begin(v, v->sigmask_set ? &v->sigmask : NULL);
	if (vcpu_watched(v))
		monitor_run_begin(v);
	v->run->flags = 0;
	v->error = 0;
	v->ran = true;
	/* As with Linux the page is written anew by each KVM_RUN. */
	if (v->steal_next != ~0ull)
		vcpu_request(v, REQ_STEAL_UPDATE);
	xen_run_begins(v);
	if (v->lapic)
		lapic_run_begins(v);
	if (v->vm->engine->load)
		v->vm->engine->load(v);
	if (unlikely(mp_state(v) == KVM_MP_STATE_UNINITIALIZED)) {
		r = run_uninitialized(v);
	} else {
		r = take_over(v);
		if (r == RUN_AGAIN)
			r = loop(v);
	}
	if (v->lapic)
		lapic_run_ends(v);
	publish(v);
	if (v->vm->engine->put)
		v->vm->engine->put(v);
	host_run_end(v);
	if (r != RUN_ERROR)
		v->error = 0;
	count_end(v);
	host_trace_user_exit(v, v->error);
	return v->error;
}
