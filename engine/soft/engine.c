/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The soft engine's vtable, and the ops by which the instruction library leaves it. */
#include "soft.h"
#include "fpu.h"
#include "lockstep.h"
#include "trace.h"

/*
 * Ops that leave for core or the host: their code may use vector registers (libc does), so the guest's are put away
 * first. Memory, CPUID and the time-stamp counter stay inside and are not wrapped.
 */
static void put_fpu_away(struct x86_state *s)
{
	if (s->fpu_live)
		soft_fpu_leave(s);
}

static enum x86_result soft_mmio_read(struct x86_state *s, u64 gpa, void *buf, unsigned size)
{
	put_fpu_away(s);
	return core_x86_ops.mmio_read(s, gpa, buf, size);
}

static enum x86_result soft_mmio_write(struct x86_state *s, u64 gpa, const void *buf, unsigned size)
{
	put_fpu_away(s);
	return core_x86_ops.mmio_write(s, gpa, buf, size);
}

static enum x86_result soft_in(struct x86_state *s, u16 port, unsigned size, void *buf, unsigned count, unsigned *done)
{
	put_fpu_away(s);
	return core_x86_ops.in(s, port, size, buf, count, done);
}

static enum x86_result soft_out(struct x86_state *s, u16 port, unsigned size, const void *buf, unsigned count,
				unsigned *done)
{
	put_fpu_away(s);
	return core_x86_ops.out(s, port, size, buf, count, done);
}

static enum x86_result soft_rdmsr(struct x86_state *s, u32 msr, u64 *val)
{
	put_fpu_away(s);
	return core_x86_ops.rdmsr(s, msr, val);
}

static enum x86_result soft_wrmsr(struct x86_state *s, u32 msr, u64 val)
{
	put_fpu_away(s);
	s->end_block = true;
	return core_x86_ops.wrmsr(s, msr, val);
}

static u64 soft_read_cr8(struct x86_state *s)
{
	put_fpu_away(s);
	return core_x86_ops.read_cr8(s);
}

static enum x86_result soft_write_cr8(struct x86_state *s, u64 val)
{
	put_fpu_away(s);
	return core_x86_ops.write_cr8(s, val);
}

static enum x86_result soft_hlt(struct x86_state *s)
{
	put_fpu_away(s);
	return core_x86_ops.hlt(s);
}

static enum x86_result soft_mwait(struct x86_state *s)
{
	put_fpu_away(s);
	return core_x86_ops.mwait(s);
}

static enum x86_result soft_hypercall(struct x86_state *s, const struct x86_insn *i)
{
	put_fpu_away(s);
	return core_x86_ops.hypercall(s, i);
}

static bool others_run(const struct vcpu *self)
{
	u32 i, nr = vm_nr_vcpus(self->vm);

	for (i = 0; i < nr; i++) {
		const struct vcpu *v = self->vm->vcpu[i];

		if (v != self && __atomic_load_n(&v->mp_state, __ATOMIC_RELAXED) == KVM_MP_STATE_RUNNABLE)
			return true;
	}
	return false;
}

/*
 * A guest that spins may be waiting for memory that the VMM writes: see soft.h on epochs. One that spins for long waits for
 * another vCPU, whose thread may have been put off for this one (hardware has pause-loop exits for that), or, if there is none
 * that runs, for time to pass: to yield would cost it its turn for each udelay().
 */
static void soft_pause(struct x86_state *s)
{
	struct soft_vcpu *sv = soft_of(s);

	if (!(++sv->epoch % LONG_SPIN) && others_run(sv->vcpu))
		host_yield();
}

static void soft_tlb_flushed(struct x86_state *s, enum x86_flush what, u64 lin)
{
	struct soft_vcpu *sv = soft_of(s);

	s->end_block = true;
	lockstep_flush(sv);
	TR_COUNT(sv, flush[what]);
	if (sv->tr.ready && sv->tr.flat_generation != sv->tlb.generation && what == X86_FLUSH_PAGE)
		what = X86_FLUSH_ALL; /* it was part of a large page */
	if (tr_flush_targets(sv, what, lin))
		soft_new_context(sv, what != X86_FLUSH_NONGLOBAL);
	if (sv->tr.ready)
		flat_flush(sv, what, lin);
}

static void soft_mode_changed(struct x86_state *s)
{
	s->end_block = true;
}

static void soft_debug_changed(struct x86_state *s)
{
	s->end_block = true;
	soft_of(s)->breakpoints_stale = true;
}

static void soft_events_enabled(struct x86_state *s)
{
	if (s->shadow)
		s->end_block = true;
	if (core_x86_ops.events_enabled)
		core_x86_ops.events_enabled(s);
}

static void soft_fpu_save(struct x86_state *s)
{
	put_fpu_away(s);
}

/* xsave has been changed: what is in the registers is old. */
static void soft_fpu_load(struct x86_state *s)
{
	s->fpu_live = false;
}

static u8 *soft_known(struct x86_state *s, u64 lin, bool write)
{
	struct soft_vcpu *sv = soft_of(s);

	return sv->tr.ready && !s->watch_dr7 ? flat_known(sv, lin, write) : NULL;
}

/* Core's ops, with what the engine does itself put in. */
static struct x86_ops make_ops(void)
{
	struct x86_ops ops = core_x86_ops;

	ops.ram = soft_ram;
	ops.ram_written = soft_ram_written;
	ops.ram_cmpxchg = NULL;
	ops.mmio_read = soft_mmio_read;
	ops.mmio_write = soft_mmio_write;
	ops.in = soft_in;
	ops.out = soft_out;
	ops.rdmsr = soft_rdmsr;
	ops.wrmsr = soft_wrmsr;
	ops.read_cr8 = soft_read_cr8;
	ops.write_cr8 = soft_write_cr8;
	ops.hlt = soft_hlt;
	ops.mwait = soft_mwait;
	ops.hypercall = soft_hypercall;
	ops.pause = soft_pause;
	ops.tlb_flushed = soft_tlb_flushed;
	ops.mode_changed = soft_mode_changed;
	ops.debug_changed = soft_debug_changed;
	ops.known = soft_known;
	ops.events_enabled = soft_events_enabled;
	ops.native = soft_native;
	ops.fpu_save = soft_fpu_save;
	ops.fpu_load = soft_fpu_load;
	return ops;
}

static int vm_create_with(struct vm *vm, bool translate, bool lockstep)
{
	struct soft_vm *svm = host_alloc(sizeof(*svm));

	if (!svm)
		return -ENOMEM;
	svm->translate = translate;
	svm->lockstep = lockstep;
	vm->engine_vm = svm;
	return 0;
}

static int soft_vm_create(struct vm *vm)
{
	return vm_create_with(vm, true, false);
}

static int interpreter_vm_create(struct vm *vm)
{
	return vm_create_with(vm, false, false);
}

static int lockstep_vm_create(struct vm *vm)
{
	return vm_create_with(vm, true, true);
}

static void soft_vm_destroy(struct vm *vm)
{
	host_free(vm->engine_vm);
	vm->engine_vm = NULL;
}

static void soft_vcpu_destroy(struct vcpu *v)
{
	struct soft_vcpu *sv = v->engine_vcpu;

	if (!sv)
		return;
	tr_free(sv);
	soft_stubs_free(sv);
	soft_blocks_free(sv);
	host_free_pages(sv, sizeof(*sv));
	v->engine_vcpu = NULL;
}

static int translator_create(struct soft_vcpu *sv, const struct soft_vm *svm)
{
	sv->tr.wanted = svm->translate;
	sv->tr.hot = TR_HOT;
	tr_trace_start(sv);
	if (!svm->lockstep)
		return 0;
	sv->tr.hot = 1;
	sv->tr.lockstep = lockstep_new();
	return sv->tr.lockstep ? 0 : -ENOMEM;
}

static int soft_vcpu_create(struct vcpu *v)
{
	struct soft_vcpu *sv = host_alloc_pages(sizeof(*sv));
	int err;

	if (!sv)
		return -ENOMEM;
	sv->vcpu = v;
	v->engine_vcpu = sv;
	err = soft_blocks_init(sv);
	if (!err)
		err = soft_stubs_init(sv);
	if (!err)
		err = translator_create(sv, v->vm->engine_vm);
	if (err) {
		soft_vcpu_destroy(v);
		return err;
	}
	x86_tlb_init_zeroed(&sv->tlb);
	sv->ops = make_ops();
	v->state.tlb = &sv->tlb;
	v->state.ops = &sv->ops;
	return 0;
}

static void soft_tlb_flush(struct vcpu *v)
{
	struct soft_vcpu *sv = v->engine_vcpu;

	x86_tlb_flush(&sv->tlb);
	if (sv->tr.ready)
		flat_flush(sv, X86_FLUSH_ALL, 0);
	TR_COUNT(sv, drop[DROP_SLOTS]);
	/* Slots may have moved: blocks remember host addresses. */
	soft_flush_blocks(sv);
}

static void soft_write_flush(struct vcpu *v)
{
	soft_drop_writes(v);
}

/* State or CPUID changed from outside: what was decoded may decode differently, and no derived state is valid. */
static void soft_settings_changed(struct vcpu *v)
{
	soft_tlb_flush(v);
}

static void soft_put_state(struct vcpu *v, u32 mask)
{
	struct soft_vcpu *sv = v->engine_vcpu;

	if (!(mask & (STATE_CR | STATE_SEG)))
		return;
	x86_tlb_flush(&sv->tlb);
	soft_new_context(sv, true);
	if (!sv->tr.ready)
		return;
	flat_flush(sv, X86_FLUSH_ALL, 0);
	tr_forget_targets(sv);
}

#define SOFT_ENGINE(title, create)                                                                                     \
	{                                                                                                              \
		.name = title, .caps = { .soft = true, .needs_guarded_memory = true, .xcr0 = 7 }, .vm_create = create, \
		.vm_destroy = soft_vm_destroy, .vcpu_create = soft_vcpu_create, .vcpu_destroy = soft_vcpu_destroy,     \
		.load = soft_load, .enter = soft_enter, .abandoned = soft_abandoned, .put_state = soft_put_state,      \
		.tlb_flush = soft_tlb_flush, .write_flush = soft_write_flush, .slot_create = soft_slot_create,         \
		.slot_free = soft_slot_free, .settings_changed = soft_settings_changed,                                \
	}

const struct engine_ops soft_engine = SOFT_ENGINE("translator", soft_vm_create);
const struct engine_ops soft_interpreter_engine = SOFT_ENGINE("interpreter", interpreter_vm_create);
const struct engine_ops soft_lockstep_engine = SOFT_ENGINE("lockstep", lockstep_vm_create);
