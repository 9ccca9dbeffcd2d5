/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The continuation of an instruction whose port, memory or MSR access user space has served. See struct vcpu_io. */
#include "vcpu.h"

void io_forget_records(struct vcpu_io *io)
{
	io->nr_reads = io->next_read = 0;
	io->answered = false;
	io->replay = false;
	io->insn_len = 0;
}

void io_discard(struct vcpu *v)
{
	io_forget_records(&v->io);
	v->io.pending = IO_NONE;
	v->io.nr_writes = v->io.next_write = 0;
}

/* Send the next queued write to user space, if there is one. */
enum run_result io_send_writes(struct vcpu *v)
{
	struct vcpu_io *io = &v->io;
	struct kvm_run *run = v->run;
	const struct io_piece *w;

	if (io->next_write == io->nr_writes) {
		io->nr_writes = io->next_write = 0;
		return RUN_AGAIN;
	}
	w = &io->writes[io->next_write++];
	io->pending = IO_MMIO_WRITE;
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = w->gpa;
	run->mmio.len = w->size;
	run->mmio.is_write = 1;
	memset(run->mmio.data, 0, sizeof(run->mmio.data));
	memcpy(run->mmio.data, &w->data, w->size);
	v->stat->mmio_exits++;
	return RUN_USER;
}

/* The port access that hardware has decoded. */
static enum run_result port_again(struct vcpu *v)
{
	struct vm_exit exit = { .code = VM_EXIT_IO, .insn_len = v->io.insn_len };

	exit.u.io.port = v->io.pio_port;
	exit.u.io.size = v->io.pio_size;
	exit.u.io.in = v->io.pio_in;
	return vcpu_port_access(v, &exit);
}

/* Run the instruction again with what has been recorded. */
static enum run_result replay(struct vcpu *v)
{
	struct vcpu_io *io = &v->io;
	u64 rip = v->state.rip;
	enum run_result r;
	u32 taken;

	if (rip != io->rip) {
		/* User space has moved on: the access never happened as far as the guest is concerned. */
		io_forget_records(io);
		return RUN_AGAIN;
	}
	io->replay = true;
	do {
		taken = io->pio_done;
		io->next_read = 0;
		if (io->delivery)
			r = vcpu_deliver(v);
		else
			r = io->insn_len ? port_again(v) : vcpu_emulate(v);
		/* A string instruction takes all that user space has served, in several turns if it must. */
	} while (r == RUN_AGAIN && io->answered && io->pio_done != taken && v->state.rip == rip && !v->ev.exc.pending &&
		 !io->nr_writes);
	io->replay = false;
	/* Another part of the same instruction waits: keep what there is. */
	if (io->pending != IO_MMIO_READ || r != RUN_USER)
		io_forget_records(io);
	return r;
}

static enum run_result complete_read(struct vcpu *v)
{
	struct io_piece *piece = &v->io.reads[v->io.nr_reads];

	piece->data = 0;
	memcpy(&piece->data, v->run->mmio.data, piece->size);
	v->io.nr_reads++;
	return replay(v);
}

static enum run_result complete_hypercall(struct vcpu *v)
{
	u64 ret = v->run->hypercall.ret;

	vcpu_get_state(v, STATE_GPR | STATE_CR);
	v->state.gpr[X86_RAX] = v->state.mode == X86_MODE_LONG ? ret : (u32)ret;
	vcpu_write_back(v, STATE_GPR);
	v->stat->hypercalls++;
	return RUN_AGAIN;
}

static enum run_result complete_hyperv_call(struct vcpu *v)
{
	vcpu_get_state(v, STATE_GPR | STATE_CR);
	hyperv_call_result(v, v->run->hyperv.u.hcall.result);
	vcpu_write_back(v, STATE_GPR);
	return RUN_AGAIN;
}

static enum run_result complete_xen_call(struct vcpu *v)
{
	vcpu_get_state(v, STATE_GPR);
	v->state.gpr[X86_RAX] = v->run->xen.u.hcall.result;
	vcpu_write_back(v, STATE_GPR);
	return RUN_AGAIN;
}

static enum run_result complete_access(struct vcpu *v)
{
	u8 pending = v->io.pending;

	v->io.pending = IO_NONE;
	v->io.pio_done = 0;
	switch (pending) {
	case IO_MMIO_READ: return complete_read(v);
	case IO_PORT_IN:
	case IO_PORT_OUT:
		v->io.pio_in = pending == IO_PORT_IN;
		v->io.answered = true;
		return replay(v);
	case IO_RDMSR:
	case IO_WRMSR:
		v->io.msr_error = v->run->msr.error != 0;
		v->io.msr_data = v->run->msr.data;
		v->io.answered = true;
		return replay(v);
	case IO_HYPERCALL: return complete_hypercall(v);
	case IO_HYPERV_CALL: return complete_hyperv_call(v);
	case IO_XEN_CALL: return complete_xen_call(v);
	case IO_HYPERV_DEBUG: hyperv_debug_done(v); return RUN_AGAIN;
	default:
		/* A write, or a notice: the instruction has retired. */
		return RUN_AGAIN;
	}
}

enum run_result io_complete(struct vcpu *v)
{
	enum run_result r;

	if (likely(v->io.pending == IO_NONE && !v->io.nr_writes && !v->debug.deferred))
		return RUN_AGAIN;
	r = complete_access(v);
	if (r == RUN_AGAIN)
		r = io_send_writes(v);
	if (r == RUN_AGAIN && v->debug.deferred) {
		v->debug.deferred = false;
		r = vcpu_report_debug(v, X86_EXC_DB, v->debug.deferred_dr6);
		v->run->debug.arch.pc = v->debug.deferred_pc;
	}
	return r;
}
