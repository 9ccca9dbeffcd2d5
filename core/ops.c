/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The instruction library's way out: guest memory through the slots, MMIO and ports through the in-process chips, the buses
 * and then user space, MSRs, CPUID, time, HLT. All in a srcu section.
 */
#include "irqchip.h"

#define PAGE 4096u
#define PIO_PAGE(v) ((u8 *)(v)->run + KVM_PIO_PAGE_OFFSET * PAGE)

/* --- memory -------------------------------------------------------------------------------------------- */

static struct memslot *slot_of(struct x86_state *s, u64 gpa)
{
	struct vcpu *v = state_vcpu(s);

	return memslots_find(vm_slots(v->vm, v->state.in_smm), gpa);
}

static void *host_address(const struct memslot *slot, u64 gpa)
{
	return (void *)(unsigned long)(slot->hva + (gpa - slot->gpa));
}

static bool op_ram(struct x86_state *s, u64 gpa, bool write, struct x86_ram *out)
{
	struct memslot *slot = slot_of(s, gpa);

	if (!slot)
		return false;
	out->host = host_address(slot, gpa & X86_PAGE_MASK);
	out->flags = 0;
	if (slot->flags & KVM_MEM_READONLY)
		out->flags |= RAM_READONLY;
	if (slot->dirty) {
		out->flags |= RAM_LOGGED;
		if (write && !(slot->flags & KVM_MEM_READONLY))
			memslot_mark_dirty(state_vcpu(s), slot, gpa);
	}
	return true;
}

static enum x86_result op_ram_read(struct x86_state *s, u64 gpa, void *buf, unsigned size)
{
	struct memslot *slot = slot_of(s, gpa);

	if (!slot)
		return X86_UNHANDLED;
	return host_copy_from_user(buf, host_address(slot, gpa), size) ? X86_HOST_FAULT : X86_OK;
}

static struct memslot *writable_slot(struct x86_state *s, u64 gpa)
{
	struct memslot *slot = slot_of(s, gpa);

	if (!slot || slot->flags & KVM_MEM_READONLY)
		return NULL;
	if (slot->dirty)
		memslot_mark_dirty(state_vcpu(s), slot, gpa);
	return slot;
}

static enum x86_result op_ram_write(struct x86_state *s, u64 gpa, const void *buf, unsigned size)
{
	struct memslot *slot = writable_slot(s, gpa);

	if (!slot)
		return X86_UNHANDLED;
	return host_copy_to_user(host_address(slot, gpa), buf, size) ? X86_HOST_FAULT : X86_OK;
}

static enum x86_result op_ram_cmpxchg(struct x86_state *s, u64 gpa, u64 old, u64 val, unsigned size)
{
	struct memslot *slot = writable_slot(s, gpa);

	if (!slot)
		return X86_UNHANDLED;
	switch (host_cmpxchg_user(host_address(slot, gpa), old, val, size)) {
	case 0: return X86_OK;
	case -EAGAIN: return X86_RETRY;
	default: return X86_HOST_FAULT;
	}
}

/* --- MMIO -------------------------------------------------------------------------------------------------- */

static bool chip_read(struct vcpu *v, u64 gpa, void *buf, unsigned size)
{
	if (v->lapic && lapic_owns(v, gpa))
		return lapic_mmio_read(v, gpa, size, buf) == 0;
	return bus_read(v, BUS_MMIO, gpa, size, buf) == 0;
}

static bool chip_write(struct vcpu *v, u64 gpa, const void *buf, unsigned size)
{
	if (v->lapic && lapic_owns(v, gpa))
		return lapic_mmio_write(v, gpa, size, buf) == 0;
	return bus_write(v, BUS_MMIO, gpa, size, buf) == 0;
}

/* The instruction will run again; which it is, the loop notes when its rip has been put back. */
static enum x86_result ask_user(struct vcpu *v, enum io_pending what, u32 exit_reason)
{
	v->io.pending = what;
	v->run->exit_reason = exit_reason;
	return X86_PENDING;
}

static bool recorded_read(struct vcpu_io *io, u64 gpa, void *buf, unsigned size)
{
	const struct io_piece *piece = &io->reads[io->next_read];

	if (!io->replay || io->next_read >= io->nr_reads)
		return false;
	if (piece->gpa != gpa || piece->size != size) {
		/* Another vCPU has changed the mapping meanwhile: what follows is not ours. */
		io->nr_reads = io->next_read;
		return false;
	}
	memcpy(buf, &piece->data, size);
	io->next_read++;
	return true;
}

static enum x86_result op_mmio_read(struct x86_state *s, u64 gpa, void *buf, unsigned size)
{
	struct vcpu *v = state_vcpu(s);
	struct vcpu_io *io = &v->io;
	struct kvm_run *run = v->run;

	if (chip_read(v, gpa, buf, size) || recorded_read(io, gpa, buf, size))
		return X86_OK;
	/* A string instruction has already written: user space sees that first, then the instruction goes on. */
	if (io->nr_writes)
		return X86_PENDING;
	if (!io->replay)
		io->nr_reads = 0;
	if (io->nr_reads == IO_MAX_READS)
		return X86_UNHANDLED;
	io->reads[io->nr_reads] = (struct io_piece){ .gpa = gpa, .size = size };
	io->next_read = io->nr_reads;
	run->mmio.phys_addr = gpa;
	run->mmio.len = size;
	run->mmio.is_write = 0;
	v->stat->mmio_exits++;
	return ask_user(v, IO_MMIO_READ, KVM_EXIT_MMIO);
}

static enum x86_result op_mmio_write(struct x86_state *s, u64 gpa, const void *buf, unsigned size)
{
	struct vcpu *v = state_vcpu(s);
	struct vcpu_io *io = &v->io;
	struct io_piece *w;

	/* In order: a write to a chip waits behind those that user space has not seen yet. */
	if (!io->nr_writes && chip_write(v, gpa, buf, size))
		return X86_OK;
	if (io->nr_writes == IO_MAX_WRITES)
		return X86_PENDING;
	w = &io->writes[io->nr_writes++];
	*w = (struct io_piece){ .gpa = gpa, .size = size };
	memcpy(&w->data, buf, size);
	s->end_block = true;
	vcpu_request(v, REQ_USER);
	return X86_OK;
}

/* --- ports ------------------------------------------------------------------------------------------------- */

static void fill_io_exit(struct vcpu *v, u8 direction, u16 port, unsigned size, unsigned count)
{
	struct kvm_run *run = v->run;

	v->io.pio_port = port;
	v->io.pio_size = size;
	v->io.pio_count = count;
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = direction;
	run->io.size = size;
	run->io.port = port;
	run->io.count = count;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE;
}

/*
 * Has user space served this very access? Where fewer elements are wanted now (memory is not what it was when there was the
 * exit), the rest waits: core/io.c goes on with the instruction.
 */
static bool answered_io(struct vcpu *v, u16 port, unsigned size, unsigned count, unsigned *done)
{
	struct vcpu_io *io = &v->io;
	unsigned left = io->pio_count - io->pio_done;

	if (!io->replay || !io->answered || io->pio_port != port || io->pio_size != size)
		return false;
	*done = count < left ? count : left;
	io->pio_done += *done;
	io->answered = io->pio_done < io->pio_count;
	return true;
}

/* A single OUT is at user space with the state from before it, but for one port, whose users have come to rely on it. */
static bool retires_first(const struct vcpu *v, u16 port, unsigned count)
{
	return count > 1 || (port == 0x7e && !(v->vm->disabled_quirks & KVM_X86_QUIRK_OUT_7E_INC_RIP));
}

static enum x86_result op_in(struct x86_state *s, u16 port, unsigned size, void *buf, unsigned count, unsigned *done)
{
	struct vcpu *v = state_vcpu(s);
	unsigned n;

	if (answered_io(v, port, size, count, done)) {
		memcpy(buf, PIO_PAGE(v) + (v->io.pio_done - *done) * size, (size_t)*done * size);
		return X86_OK;
	}
	v->stat->io_exits++;
	for (n = 0; n < count && bus_read(v, BUS_PIO, port, size, (u8 *)buf + n * size) == 0;)
		n++;
	*done = n;
	if (n)
		return X86_OK;
	if (count > PAGE / size)
		count = PAGE / size;
	fill_io_exit(v, KVM_EXIT_IO_IN, port, size, count);
	return ask_user(v, IO_PORT_IN, KVM_EXIT_IO);
}

static enum x86_result op_out(struct x86_state *s, u16 port, unsigned size, const void *buf, unsigned count,
			      unsigned *done)
{
	struct vcpu *v = state_vcpu(s);
	unsigned n;

	if (answered_io(v, port, size, count, done))
		return X86_OK;
	v->stat->io_exits++;
	for (n = 0; n < count && bus_write(v, BUS_PIO, port, size, (const u8 *)buf + n * size) == 0;)
		n++;
	*done = n;
	if (n)
		return X86_OK;
	if (count > PAGE / size)
		count = PAGE / size;
	memcpy(PIO_PAGE(v), buf, (size_t)count * size);
	fill_io_exit(v, KVM_EXIT_IO_OUT, port, size, count);
	if (!retires_first(v, port, count))
		return ask_user(v, IO_PORT_OUT, KVM_EXIT_IO);
	v->io.pending = IO_NOTICE;
	*done = count;
	return X86_EXIT;
}

/* --- MSRs --------------------------------------------------------------------------------------------------- */

static u64 msr_reason(enum msr_result r)
{
	return r == MSR_UNKNOWN ? KVM_MSR_EXIT_REASON_UNKNOWN : KVM_MSR_EXIT_REASON_INVAL;
}

/* A refused access: user space if it wants to know, else #GP(0). */
static enum x86_result refuse_msr(struct vcpu *v, u32 msr, u64 val, bool write, u64 reason)
{
	struct kvm_run *run = v->run;

	if (!(v->vm->user_msr_mask & reason))
		return x86_raise_error(&v->state, X86_EXC_GP, 0);
	v->io.msr_index = msr;
	run->msr.error = 0;
	memset(run->msr.pad, 0, sizeof(run->msr.pad));
	run->msr.reason = reason;
	run->msr.index = msr;
	run->msr.data = val;
	return ask_user(v, write ? IO_WRMSR : IO_RDMSR, write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR);
}

static bool answered_msr(struct vcpu *v, u32 msr)
{
	if (!v->io.replay || !v->io.answered || v->io.msr_index != msr)
		return false;
	v->io.answered = false;
	return true;
}

static enum x86_result op_rdmsr(struct x86_state *s, u32 msr, u64 *val)
{
	struct vcpu *v = state_vcpu(s);
	enum msr_result r;

	if (answered_msr(v, msr)) {
		*val = v->io.msr_data;
		return v->io.msr_error ? x86_raise_error(s, X86_EXC_GP, 0) : X86_OK;
	}
	if (!vcpu_msr_allowed(v, msr, false))
		return refuse_msr(v, msr, 0, false, KVM_MSR_EXIT_REASON_FILTER);
	r = vcpu_get_msr(v, msr, val, false);
	return r == MSR_OK ? X86_OK : refuse_msr(v, msr, 0, false, msr_reason(r));
}

static enum x86_result op_wrmsr(struct x86_state *s, u32 msr, u64 val)
{
	struct vcpu *v = state_vcpu(s);
	enum msr_result r;

	if (answered_msr(v, msr))
		return v->io.msr_error ? x86_raise_error(s, X86_EXC_GP, 0) : X86_OK;
	if (!vcpu_msr_allowed(v, msr, true))
		return refuse_msr(v, msr, val, true, KVM_MSR_EXIT_REASON_FILTER);
	r = vcpu_set_msr(v, msr, val, false);
	if (unlikely(r == MSR_OK && v->io.pending != IO_NONE))
		return X86_EXIT; /* user space is to know of it */
	return r == MSR_OK ? X86_OK : refuse_msr(v, msr, val, true, msr_reason(r));
}

/* --- the rest ------------------------------------------------------------------------------------------------ */

static void op_cpuid(struct x86_state *s)
{
	cpuid_execute(state_vcpu(s));
}

static u64 op_rdtsc(struct x86_state *s)
{
	return vcpu_read_tsc(state_vcpu(s));
}

static u64 op_read_cr8(struct x86_state *s)
{
	struct vcpu *v = state_vcpu(s);

	return v->lapic ? lapic_get_tpr(v) : s->cr8;
}

static enum x86_result op_write_cr8(struct x86_state *s, u64 val)
{
	struct vcpu *v = state_vcpu(s);
	u64 old = s->cr8;

	if (val > 15)
		return x86_raise_error(s, X86_EXC_GP, 0);
	s->cr8 = val;
	if (v->lapic) {
		lapic_set_tpr(v, val);
		return X86_OK;
	}
	/* The LAPIC in user space may have an interrupt that the lower priority lets through. */
	if (val >= old)
		return X86_OK;
	v->io.pending = IO_NOTICE;
	v->run->exit_reason = KVM_EXIT_SET_TPR;
	return X86_EXIT;
}

static enum x86_result op_hlt(struct x86_state *s)
{
	s->halted = true;
	return X86_EXIT;
}

/* As KVM: MONITOR and MWAIT without support for them in the guest's CPUID are no-ops where they do not raise #UD. */
static enum x86_result op_mwait(struct x86_state *s)
{
	return X86_OK;
}

/*
 * The other vendor's hypercall instruction is replaced by this processor's in the guest's code (KVM's quirk, for guests that
 * move between machines), and then runs.
 */
static enum x86_result fix_hypercall(struct x86_state *s, const struct x86_insn *i)
{
	const u8 vmcall[3] = { 0x0f, 0x01, 0xc1 }, vmmcall[3] = { 0x0f, 0x01, 0xd9 };
	u64 at = s->rip - i->len;
	enum x86_result r;

	if (state_vcpu(s)->vm->disabled_quirks & KVM_X86_QUIRK_FIX_HYPERCALL_INSN)
		return x86_raise(s, X86_EXC_UD);
	if (s->mode != X86_MODE_LONG)
		at = (u32)(s->seg[SEG_CS].base + at);
	r = x86_write_linear(s, s->mmu_index, SEG_CS, at, s->vendor_amd ? vmmcall : vmcall, sizeof(vmcall));
	return r == X86_OK ? X86_RETRY : r;
}

static enum x86_result op_hypercall(struct x86_state *s, const struct x86_insn *i)
{
	if ((i->modrm == 0xd9) != s->vendor_amd)
		return fix_hypercall(s, i);
	return vcpu_hypercall(state_vcpu(s));
}

/* A window that core waits for may be open after this instruction. */
static void op_events_enabled(struct x86_state *s)
{
	struct vcpu *v = state_vcpu(s);

	if (v->want_irq_window || v->want_nmi_window)
		s->end_block = true;
}

/* What system management mode has held back. */
static void op_smm_changed(struct x86_state *s)
{
	if (!s->in_smm)
		vcpu_request(state_vcpu(s), REQ_EVENT | REQ_APIC);
}

const struct x86_ops core_x86_ops = {
	.ram = op_ram,
	.ram_read = op_ram_read,
	.ram_write = op_ram_write,
	.ram_cmpxchg = op_ram_cmpxchg,
	.mmio_read = op_mmio_read,
	.mmio_write = op_mmio_write,
	.in = op_in,
	.out = op_out,
	.rdmsr = op_rdmsr,
	.wrmsr = op_wrmsr,
	.cpuid = op_cpuid,
	.rdtsc = op_rdtsc,
	.read_cr8 = op_read_cr8,
	.write_cr8 = op_write_cr8,
	.hlt = op_hlt,
	.mwait = op_mwait,
	.hypercall = op_hypercall,
	.events_enabled = op_events_enabled,
	.smm_changed = op_smm_changed,
};
