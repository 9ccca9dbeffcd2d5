/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Random guest code, interpreted once and on the translator several times, so that it becomes hot: each time the events on its
 * way and what it leaves in registers and memory must be the same. Lockstep (code.c) looks closer, but at code that is made for it:
 * no chains, none without groups, no store into code that stays inside.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "guest.h"
#include "front.h"
#include "optable.h"
#include "x86.h"

#define USE_MAX 4000   /* inputs for one pair of virtual machines */
#define RUNS 8         /* on the translator: TR_HOT, links, lost groups */
#define MILLISECONDS 8 /* for each run; what takes longer is not compared */
#define PAGE 4096u

static struct guest reference, tested;
static unsigned used;
static unsigned long inputs, compared; /* compared: to their end */
static struct course expected, course;

struct vectors {
	uint8_t fx[512], ymmh[256];
};

struct remains {
	uint8_t data[DATA_PAGES * PAGE], code[CODE_FRAMES_USED * PAGE], stack[STACK_PAGES * PAGE];
	struct vectors vectors;
	struct kvm_sregs sregs;
};
static struct remains left, wanted;

static void start(void)
{
	int error;

	if (reference.vm) {
		guest_close(&reference);
		guest_close(&tested);
	}
	if (!guest_open(&reference, ANYKVM_ENGINE_INTERPRETER, &error) ||
	    !guest_open(&tested, ANYKVM_ENGINE_TRANSLATOR, &error)) {
		if (error != -ENOSYS)
			fuzz_fail("no virtual machine: %s", strerror(-error));
		exit(77);
	}
	used = 0;
}

__attribute__((destructor)) static void show_numbers(void)
{
	fprintf(stderr, "%lu of %lu inputs compared to their end\n", compared, inputs);
}

static void get_vectors(struct guest *g, struct vectors *v)
{
	struct kvm_xsave x;

	anykvm_ioctl(g->vcpu, KVM_GET_XSAVE, &x);
	memcpy(v->fx, x.region, sizeof(v->fx));
	/* Opcode and pointers: AMD's processors forget them with each change of thread, unless an exception is pending. */
	memset(v->fx + 6, 0, 18);
	memset(v->fx + 416, 0, 96); /* not used */
	memset(v->ymmh, 0, sizeof(v->ymmh));
	if (x.region[128] & 4)
		memcpy(v->ymmh, x.region + 144, sizeof(v->ymmh));
}

static void get_remains(struct guest *g, struct remains *r)
{
	memcpy(r->data, guest_data(g), sizeof(r->data));
	memcpy(r->code, guest_code(g), sizeof(r->code));
	memcpy(r->stack, guest_stack(g), sizeof(r->stack));
	get_vectors(g, &r->vectors);
	anykvm_ioctl(g->vcpu, KVM_GET_SREGS, &r->sregs);
}

/* Does the code show what differs from run to run, or what is not exact (docs/status.md)? */
static bool tells_time(const uint8_t *code, size_t len)
{
	struct x86_insn i;
	size_t at;
	unsigned mode;

	for (at = 0; at < len; at++)
		for (mode = X86_MODE_PROT32; mode <= X86_MODE_LONG; mode++) {
			if (x86_decode(&i, code + at, (unsigned)(len - at < 15 ? len - at : 15), mode, NULL) !=
			    X86_DECODE_OK)
				continue;
			switch (i.op) {
			case X86_OP_RDTSC:
			case X86_OP_RDTSCP:
			case X86_OP_RDRAND:
			case X86_OP_RDSEED:
			case X86_OP_XGETBV:
			case X86_OP_RDMSR:
			case X86_OP_RDPMC:
			case X86_OP_FNSTENV:
			case X86_OP_FNSAVE:
			case X86_OP_FXSAVE:
			case X86_OP_XSAVE:
			case X86_OP_XSAVEOPT:
			case X86_OP_XSAVEC:
			case X86_OP_XSAVES: return true;
			default: break;
			}
		}
	return false;
}

/*
 * Does an instruction read flags that one before it has left undefined? What they are depends on what was in them before, which
 * translated code does not keep. The reference goes through all of it again, step by step.
 */
static uint64_t undefined;
static bool undefined_read;
static unsigned steps;
#define STEPS_MAX 200000 /* then nobody knows */

static bool look_at_flags(struct guest *g)
{
	struct kvm_sregs s;
	struct x86_insn i;
	unsigned effect;
	uint64_t at, matters;

	anykvm_ioctl(g->vcpu, KVM_GET_SREGS, &s);
	at = low_half(g->run->debug.arch.pc) - CODE_LIN;
	at -= at < CODE_ALIAS ? 0 : CODE_ALIAS;
	if (at >= CODE_PAGES * PAGE - X86_MAX_INSN_LEN)
		return true;
	if (s.cr3 >= GUEST_PML4_B && at >= PAGE)
		at += PAGE;
	if (x86_decode(&i, guest_code(g) + at, X86_MAX_INSN_LEN, s.cs.l ? X86_MODE_LONG : X86_MODE_PROT32, NULL) !=
	    X86_DECODE_OK)
		return true;
	effect = tr_flag_effect(&i);
	switch (i.op) {
	case X86_OP_LAHF:
	case X86_OP_PUSHF:
	case X86_OP_DAA:
	case X86_OP_DAS:
	case X86_OP_AAA:
	case X86_OP_AAS:
	case X86_OP_INT: matters = undefined; break;
	default: matters = undefined & ~(uint64_t)RFLAGS_AF;
	}
	undefined_read |= (effect & FE_READ && matters) || ++steps == STEPS_MAX;
	if (effect & FE_KILL)
		undefined = 0;
	if (effect & (FE_KILL | FE_PARTIAL))
		undefined |= x86_op_undefined[i.op];
	return !undefined_read;
}

static bool reads_undefined_flags(const struct code_input *in, const uint8_t *code, size_t len)
{
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };
	struct kvm_regs regs;

	undefined = 0;
	undefined_read = false;
	steps = 0;
	guest_set_up(&reference, in, code, len);
	anykvm_ioctl(reference.vcpu, KVM_SET_GUEST_DEBUG, &debug);
	reference.on_step = look_at_flags;
	anykvm_ioctl(reference.vcpu, KVM_GET_REGS, &regs);
	reference.run->debug.arch.pc = regs.rip;
	look_at_flags(&reference);
	guest_drive(&reference, in, 0, &expected);
	debug.control = 0;
	anykvm_ioctl(reference.vcpu, KVM_SET_GUEST_DEBUG, &debug);
	return undefined_read;
}

static void show_event(const char *who, const struct event *e)
{
	fprintf(stderr, "%s: exit %u vector %u error %llx rip %llx cs %llx flags %llx rsp %llx cr2 %llx\n", who,
		e->exit, e->frame.vector, (unsigned long long)e->frame.error, (unsigned long long)e->frame.rip,
		(unsigned long long)e->frame.cs, (unsigned long long)e->frame.rflags, (unsigned long long)e->frame.rsp,
		(unsigned long long)e->cr2);
	fprintf(stderr, "   ax %llx cx %llx dx %llx bx %llx sp %llx bp %llx si %llx di %llx\n", e->regs.rax,
		e->regs.rcx, e->regs.rdx, e->regs.rbx, e->regs.rsp, e->regs.rbp, e->regs.rsi, e->regs.rdi);
	fprintf(stderr, "   r8 %llx %llx %llx %llx %llx %llx %llx %llx ip %llx fl %llx\n", e->regs.r8, e->regs.r9,
		e->regs.r10, e->regs.r11, e->regs.r12, e->regs.r13, e->regs.r14, e->regs.r15, e->regs.rip,
		e->regs.rflags);
}

static size_t difference(const void *a, const void *b, size_t len)
{
	const uint8_t *p = a, *q = b;
	size_t n;

	for (n = 0; n < len && p[n] == q[n]; n++)
		;
	return n;
}

/* What differs, or NULL. */
static const char *compare(void)
{
	static char text[200];
	unsigned n;
	size_t at;

	for (n = 0; n < expected.nr && n < course.nr; n++) {
		if (!memcmp(&expected.event[n], &course.event[n], sizeof(struct event)))
			continue;
		snprintf(text, sizeof(text), "event %u", n);
		return text;
	}
	if (expected.nr != course.nr)
		return "number of events";
	if (!memcmp(&wanted, &left, sizeof(left)))
		return NULL;
	at = difference(&wanted, &left, sizeof(left));
	snprintf(text, sizeof(text), "at %zx of data 0, code %zx, stack %zx, vectors %zx, system %zx: %x, not %x", at,
		 offsetof(struct remains, code), offsetof(struct remains, stack), offsetof(struct remains, vectors),
		 offsetof(struct remains, sregs), ((uint8_t *)&left)[at], ((uint8_t *)&wanted)[at]);
	return text;
}

static void show(void)
{
	unsigned n;

	for (n = 0; n < course.nr; n++) {
		fprintf(stderr, "%u ", n);
		show_event("translator", &course.event[n]);
		if (n < expected.nr && memcmp(&expected.event[n], &course.event[n], sizeof(struct event)))
			show_event("  interpreter", &expected.event[n]);
	}
}

static bool try_input(const struct code_input *in, const uint8_t *code, size_t len)
{
	static struct course first;
	const char *what;
	unsigned n;

	guest_set_up(&reference, in, code, len);
	guest_set_up(&tested, in, code, len);
	guest_drive(&reference, in, MILLISECONDS, &expected);
	if (expected.cut)
		return false;
	get_remains(&reference, &wanted);
	first = expected;
	for (n = 0; n < RUNS; n++) {
		if (n)
			guest_restart(&tested, in, code, len);
		guest_drive(&tested, in, MILLISECONDS, &course);
		if (course.cut)
			return false;
		get_remains(&tested, &left);
		what = compare();
		if (!what)
			continue;
		if (tells_time(code, len) || tells_time(wanted.code, sizeof(wanted.code)) ||
		    reads_undefined_flags(in, code, len))
			return false;
		expected = first;
		show();
		fuzz_fail("run %u differs: %s", n, what);
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct code_input in;
	const uint8_t *code;
	size_t len;
	bool ok;

	if (!split_input(data, size, &in, &code, &len))
		return -1;
	if (!reference.vm || used++ >= USE_MAX)
		start();
	/* An input that was cut, or that ran with privileges, may have left anything in the processors. */
	ok = try_input(&in, code, len);
	inputs++;
	compared += ok;
	if (!ok || in.flags & CODE_KERNEL)
		used += USE_MAX / 32;
	return 0;
}
