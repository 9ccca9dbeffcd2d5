/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * From the first instruction of an input to its end. Page faults in the guest's few pages are answered by mapping the page, other
 * faults by going on behind the instruction, so that much of the input is executed.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include "guest.h"
#include "optable.h"
#include "x86.h"

enum {
	FAULTS = 0x002b7de1
}; /* vectors that are faults: what they push of arithmetic flags is not exact (docs/status.md) */

static void on_alarm(int sig)
{
	(void)sig;
}

/* Endless loops end by a signal; by the time that they have had, as the machine may be busy. */
static void set_alarm(unsigned ms)
{
	struct itimerval t = { .it_value.tv_usec = ms * 1000, .it_interval.tv_usec = ms * 1000 };
	struct sigaction a = { .sa_handler = on_alarm };

	if (ms)
		sigaction(SIGPROF, &a, NULL);
	setitimer(ITIMER_PROF, &t, NULL);
}

static bool is_fault(unsigned vector)
{
	return vector < 32 && FAULTS >> vector & 1;
}

/* Where the instruction at rip ends, or the next byte. */
static uint64_t behind(struct guest *g, const struct frame *f)
{
	uint64_t at = low_half(f->rip) - CODE_LIN;
	struct x86_insn i;

	if (at < CODE_PAGES * 4096 - X86_MAX_INSN_LEN &&
	    x86_decode(&i, guest_code(g) + at, X86_MAX_INSN_LEN, f->cs == USER_CS32 ? X86_MODE_PROT32 : X86_MODE_LONG,
		       NULL) == X86_DECODE_OK)
		return f->rip + i.len;
	return f->rip + 1;
}

/* False: the run is over. */
static bool go_on(struct guest *g, const struct code_input *in, const struct frame *f, uint64_t cr2)
{
	uint64_t at = low_half(f->rip) - CODE_LIN;

	if (f->vector == 14 && guest_fix_page(g, cr2))
		return true;
	if (f->vector == END_VECTOR || at % CODE_ALIAS >= CODE_PAGES * 4096ull || at >= 2 * CODE_ALIAS)
		return false;
	if (is_fault(f->vector)) {
		guest_clear_flags(g, f);
		guest_resume_at(g, f, in->flags & CODE_PROGRAM ? behind(g, f) : f->rip + 1);
	}
	return true;
}

static bool halted(struct guest *g, const struct code_input *in, struct event *e)
{
	struct kvm_sregs s;

	if (!guest_frame(g, &e->frame))
		return false;
	anykvm_ioctl(g->vcpu, KVM_GET_SREGS, &s);
	e->cr2 = e->frame.vector == 14 ? s.cr2 : 0;
	if (is_fault(e->frame.vector))
		e->frame.rflags &= ~(uint64_t)FLAGS_ARITHMETIC;
	return go_on(g, in, &e->frame, e->cr2);
}

static void mmio(struct guest *g, struct event *e)
{
	struct kvm_run *run = g->run;

	e->cr2 = run->mmio.phys_addr;
	e->frame.vector = run->mmio.len;
	e->frame.has_error = run->mmio.is_write;
	if (run->mmio.is_write)
		memcpy(&e->frame.error, run->mmio.data, sizeof(e->frame.error));
	else
		memset(run->mmio.data, (int)run->mmio.phys_addr + 1, sizeof(run->mmio.data));
}

/* The port access of this exit is a string instruction's: the one at RIP, or behind it where several elements have retired. */
static bool is_string(struct guest *g, uint64_t rip)
{
	struct x86_insn i;

	return g->run->io.count > 1 || (guest_insn(g, rip, &i) && (i.op == X86_OP_INS || i.op == X86_OP_OUTS));
}

/*
 * Devices give numbers, and now and then interrupt. How many elements of a string come in one exit depends on what the
 * engine knows of the memory's page: the event has what all of them have in common, and what has gone through the port.
 */
static void port(struct guest *g, struct event *e)
{
	struct kvm_run *run = g->run;
	struct kvm_interrupt irq = { .irq = 0x90 };
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	bool in = run->io.direction == KVM_EXIT_IO_IN;
	unsigned n, bytes = run->io.size * run->io.count;

	e->frame.vector = run->io.port;
	e->frame.has_error = in;
	e->frame.cs = run->io.size;
	e->string = is_string(g, e->regs.rip);
	for (n = 0; n < bytes; n++) {
		if (in)
			data[n] = (uint8_t)(run->io.port + 5 * g->bytes_in++);
		g->port_data = g->port_data * 31 + data[n] + 1;
	}
	e->port_data = g->port_data;
	if (e->string)
		e->regs.rip = e->regs.rcx = e->regs.rsi = e->regs.rdi = 0;
	else if (!in && run->ready_for_interrupt_injection)
		anykvm_ioctl(g->vcpu, KVM_INTERRUPT, &irq);
}

/* Is e what e0 began, the same string instruction or one just like it? Then e0 has both. */
static bool joined(struct event *e0, const struct event *e)
{
	struct event with = *e;

	with.port_data = e0->port_data;
	if (!e0->string || memcmp(e0, &with, sizeof(with)))
		return false;
	e0->port_data = e->port_data;
	return true;
}

/* One event more. False: the run is over. */
static bool step(struct guest *g, const struct code_input *in, struct event *e, bool *cut)
{
	int r;

	do
		r = anykvm_ioctl(g->vcpu, KVM_RUN, NULL);
	while (!r && g->run->exit_reason == KVM_EXIT_DEBUG && g->on_step && g->on_step(g));
	memset(e, 0, sizeof(*e));
	if (r == -EINTR) {
		*cut = true;
		return false;
	}
	if (r < 0)
		fuzz_fail("KVM_RUN: %s", strerror(-r));
	e->exit = g->run->exit_reason;
	anykvm_ioctl(g->vcpu, KVM_GET_REGS, &e->regs);
	e->regs.rflags &= ~(uint64_t)FLAGS_ARITHMETIC;
	switch (e->exit) {
	case KVM_EXIT_HLT: return halted(g, in, e);
	case KVM_EXIT_MMIO: mmio(g, e); return true;
	case KVM_EXIT_IO: port(g, e); return true;
	case KVM_EXIT_SET_TPR: return true;
	case KVM_EXIT_DEBUG: return false;
	case KVM_EXIT_SHUTDOWN: return false;
	case KVM_EXIT_INTERNAL_ERROR: /* code is fetched from memory only */
		if (!g->compares)
			return false;
		fuzz_fail("translator and interpreter differ");
	default: fuzz_fail("exit %u", e->exit);
	}
}

/* What user space has answered is taken over before the next state is set. */
static void complete(struct guest *g)
{
	g->run->immediate_exit = 1;
	anykvm_ioctl(g->vcpu, KVM_RUN, NULL);
	g->run->immediate_exit = 0;
}

void guest_drive(struct guest *g, const struct code_input *in, unsigned ms, struct course *course)
{
	static struct course nobodys;
	struct event e;
	bool cut = false, more = true;
	unsigned n = 0;

	if (!course)
		course = &nobodys;
	g->bytes_in = 0;
	g->port_data = 0;
	set_alarm(ms);
	while (more) {
		more = step(g, in, &e, &cut);
		if (n && joined(&course->event[n - 1], &e))
			continue;
		if (n == EVENTS_MAX)
			break;
		course->event[n++] = e;
	}
	set_alarm(0);
	complete(g);
	course->nr = n;
	course->cut = cut;
}
