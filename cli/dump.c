/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "dump.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

#define CODE_BEFORE 16
#define CODE_AFTER 32
#define STACK_WORDS 16

static void dump_general(FILE *out, const struct kvm_regs *r)
{
	fprintf(out, "  RIP %016llx  RFLAGS %08llx\n", r->rip, r->rflags);
	fprintf(out, "  RAX %016llx  RBX %016llx  RCX %016llx  RDX %016llx\n", r->rax, r->rbx, r->rcx, r->rdx);
	fprintf(out, "  RSI %016llx  RDI %016llx  RBP %016llx  RSP %016llx\n", r->rsi, r->rdi, r->rbp, r->rsp);
	fprintf(out, "  R8  %016llx  R9  %016llx  R10 %016llx  R11 %016llx\n", r->r8, r->r9, r->r10, r->r11);
	fprintf(out, "  R12 %016llx  R13 %016llx  R14 %016llx  R15 %016llx\n", r->r12, r->r13, r->r14, r->r15);
}

static void dump_segment(FILE *out, const char *name, const struct kvm_segment *s)
{
	fprintf(out, "  %-3s %04x  base %016llx  limit %08x  type %x s %u dpl %u p %u l %u db %u g %u%s\n", name,
		s->selector, s->base, s->limit, s->type, s->s, s->dpl, s->present, s->l, s->db, s->g,
		s->unusable ? " unusable" : "");
}

static void dump_system(FILE *out, const struct kvm_sregs *s)
{
	dump_segment(out, "CS", &s->cs);
	dump_segment(out, "SS", &s->ss);
	dump_segment(out, "DS", &s->ds);
	dump_segment(out, "ES", &s->es);
	dump_segment(out, "FS", &s->fs);
	dump_segment(out, "GS", &s->gs);
	dump_segment(out, "LDT", &s->ldt);
	dump_segment(out, "TR", &s->tr);
	fprintf(out, "  GDT base %016llx limit %04x  IDT base %016llx limit %04x\n", s->gdt.base, s->gdt.limit,
		s->idt.base, s->idt.limit);
	fprintf(out, "  CR0 %08llx  CR2 %016llx  CR3 %016llx  CR4 %08llx  CR8 %llx  EFER %llx\n", s->cr0, s->cr2,
		s->cr3, s->cr4, s->cr8, s->efer);
}

static void dump_events(FILE *out, struct vcpu *vcpu)
{
	struct kvm_vcpu_events events;
	struct kvm_mp_state state;

	if (kvmdev_ioctl(vcpu->dev, KVM_GET_VCPU_EVENTS, &events) >= 0 &&
	    (events.exception.injected || events.exception.pending || events.interrupt.injected))
		fprintf(out, "  event: exception %u (injected %u, error code %x), interrupt %u (injected %u)\n",
			events.exception.nr, events.exception.injected, events.exception.error_code,
			events.interrupt.nr, events.interrupt.injected);
	if (kvmdev_ioctl(vcpu->dev, KVM_GET_MP_STATE, &state) >= 0 && state.mp_state != KVM_MP_STATE_RUNNABLE)
		fprintf(out, "  mp_state %u\n", state.mp_state);
}

/* One byte at a linear address; false where the guest has no memory there. */
static bool peek(struct vcpu *vcpu, uint64_t linear, uint8_t *byte)
{
	struct kvm_translation translation = { .linear_address = linear };
	const uint8_t *memory;

	if (kvmdev_ioctl(vcpu->dev, KVM_TRANSLATE, &translation) < 0 || !translation.valid)
		return false;
	memory = machine_memory(vcpu->machine, translation.physical_address, 1);
	if (!memory)
		return false;
	*byte = *memory;
	return true;
}

static void dump_code(FILE *out, struct vcpu *vcpu, uint64_t rip, uint64_t cs_base)
{
	fputs("  code:", out);
	for (int i = -CODE_BEFORE; i < CODE_AFTER; i++) {
		uint8_t byte;

		if (!peek(vcpu, cs_base + rip + i, &byte))
			fputs(" ??", out);
		else
			fprintf(out, i ? " %02x" : " <%02x>", byte);
	}
	fputc('\n', out);
}

static void dump_stack(FILE *out, struct vcpu *vcpu, uint64_t rsp, uint64_t ss_base)
{
	for (unsigned int word = 0; word < STACK_WORDS; word++) {
		uint64_t at = ss_base + rsp + 8 * word;
		uint64_t value = 0;

		for (unsigned int i = 0; i < 8; i++) {
			uint8_t byte;

			if (!peek(vcpu, at + i, &byte))
				return;
			value |= (uint64_t)byte << (8 * i);
		}
		if (word % 4 == 0)
			fprintf(out, "  stack %016" PRIx64 ":", at);
		fprintf(out, " %016" PRIx64 "%s", value, word % 4 == 3 ? "\n" : "");
	}
}

char *dump_vcpu(struct vcpu *vcpu)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fprintf(out, "vCPU %u, exit reason %u:\n", vcpu->id, vcpu->run->exit_reason);
	if (kvmdev_ioctl(vcpu->dev, KVM_GET_REGS, &regs) < 0 || kvmdev_ioctl(vcpu->dev, KVM_GET_SREGS, &sregs) < 0) {
		fputs("  (its registers cannot be read)\n", out);
	} else {
		bool long_mode = sregs.cs.l;

		dump_general(out, &regs);
		dump_system(out, &sregs);
		dump_events(out, vcpu);
		/* In 64-bit mode the bases of CS and SS do not count. */
		dump_code(out, vcpu, regs.rip, long_mode ? 0 : sregs.cs.base);
		dump_stack(out, vcpu, regs.rsp, long_mode ? 0 : sregs.ss.base);
	}
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
