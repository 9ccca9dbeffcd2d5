/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Guest-physical memory: tables and handlers in the first 64 KiB, which is mapped for the supervisor at LOW; data pages;
 * frames for code. The mapping of code and data pages is part of the input.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "guest.h"

#define LOW 0x38000000ull
#define PAGE 4096u
enum {
	PML4 = 0x1000,
	PDPT = 0x2000,
	PD = 0x3000,
	PT_CODE = 0x4000,
	PT_DATA = 0x5000,
	PT_LOW = 0x6000,
	GDT = 0x7000,
	IDT = 0x8000,
	TSS = 0x9000,
	HANDLERS = 0xa000,
	FRAME_STACK = 0xf000,
	LOW_SIZE = 0x10000,
	DATA = 0x10000,
	CODE_FRAMES = 0x20000,
	NR_CODE_FRAMES = 64,
	MEMORY = CODE_FRAMES + NR_CODE_FRAMES * PAGE,
};
enum { KERNEL_CS = 0x10, KERNEL_SS = 0x18, USER_CS32 = 0x23, USER_DS = 0x2b, USER_CS64 = 0x33, TSS_SEL = 0x40 };
enum { HANDLER_SIZE = 16 };

static const uint8_t handler_plain[] = { 0xf4, 0x48, 0xcf };                         /* hlt; iretq */
static const uint8_t handler_error[] = { 0xf4, 0x48, 0x83, 0xc4, 0x08, 0x48, 0xcf }; /* hlt; add rsp, 8; iretq */

static bool pushes_error(unsigned v)
{
	return v == 8 || (v >= 10 && v <= 14) || v == 17 || v == 21;
}

static void put64(struct guest *g, unsigned at, uint64_t val)
{
	memcpy(g->mem + at, &val, 8);
}

static void build_low(struct guest *g)
{
	unsigned n;

	memset(g->mem, 0, LOW_SIZE);
	put64(g, PML4, PDPT | 7);
	put64(g, PDPT, PD | 7);
	put64(g, PD + 8 * (LOW >> 21 & 511), PT_LOW | 7);
	put64(g, PD + 8 * (CODE_LIN >> 21), PT_CODE | 7);
	put64(g, PD + 8 * (DATA_LIN >> 21), PT_DATA | 7);
	for (n = 0; n < LOW_SIZE / PAGE; n++)
		put64(g, PT_LOW + 8 * n, n * PAGE | 3);
	put64(g, GDT + KERNEL_CS, 0x00af9b000000ffffull);
	put64(g, GDT + KERNEL_SS, 0x00cf93000000ffffull);
	put64(g, GDT + (USER_CS32 & ~7), 0x00cffb000000ffffull);
	put64(g, GDT + (USER_DS & ~7), 0x00cff3000000ffffull);
	put64(g, GDT + (USER_CS64 & ~7), 0x00affb000000ffffull);
	put64(g, TSS + 4, LOW + FRAME_STACK);
	put64(g, TSS + 36, LOW + FRAME_STACK); /* IST1: also at CPL 0 handlers have a good stack */
	g->mem[TSS + 102] = 0x68;
	for (n = 0; n < 256; n++) {
		uint64_t at = LOW + HANDLERS + HANDLER_SIZE * n;

		put64(g, IDT + 16 * n,
		      (at & 0xffff) | (uint64_t)KERNEL_CS << 16 | 1ull << 32 | 0xee0000000000ull | at >> 16 << 48);
		memcpy(g->mem + HANDLERS + HANDLER_SIZE * n, pushes_error(n) ? handler_error : handler_plain,
		       pushes_error(n) ? sizeof(handler_error) : sizeof(handler_plain));
	}
}

static struct kvm_segment segment(unsigned sel, uint64_t base, uint32_t limit, unsigned type, unsigned dpl, unsigned l)
{
	return (struct kvm_segment){ .selector = (uint16_t)sel,
				     .base = base,
				     .limit = limit,
				     .type = (uint8_t)type,
				     .present = 1,
				     .dpl = (uint8_t)dpl,
				     .s = type != 11 || l,
				     .g = limit > 0xffff,
				     .l = (uint8_t)l,
				     .db = type != 11 && !l };
}

static void set_system(struct guest *g, const struct code_input *in)
{
	bool kernel = in->flags & CODE_KERNEL, is32 = in->flags & CODE_32BIT;
	struct kvm_segment data = segment(USER_DS, 0, 0xffffffff, 3, 3, 0);
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = 7 };
	struct kvm_vcpu_events events = { 0 };
	struct kvm_debugregs debug = { .dr6 = 0xffff0ff0, .dr7 = 0x400 };
	struct kvm_sregs s = { 0 };

	anykvm_ioctl(g->vcpu, KVM_GET_SREGS, &s);
	s.cs = segment(kernel ? KERNEL_CS
		       : is32 ? USER_CS32
			      : USER_CS64,
		       0, 0xffffffff, 11, kernel ? 0 : 3, kernel || !is32);
	s.cs.s = 1;
	s.cs.db = !s.cs.l;
	s.ss = kernel ? segment(KERNEL_SS, 0, 0xffffffff, 3, 0, 0) : data;
	s.ds = s.es = s.fs = s.gs = data;
	s.fs.base = DATA_LIN + PAGE;
	s.gs.base = DATA_LIN + 2 * PAGE - 4;
	s.tr = segment(TSS_SEL, LOW + TSS, 0x67, 11, 0, 0);
	s.tr.s = 0;
	s.ldt.unusable = 1;
	s.gdt.base = LOW + GDT;
	s.gdt.limit = 0x7f;
	s.idt.base = LOW + IDT;
	s.idt.limit = 0xfff;
	s.cr0 = 0x80050033;
	s.cr2 = s.cr8 = 0;
	s.cr3 = PML4;
	s.cr4 = 0x50620;
	s.efer = 0xd01;
	anykvm_ioctl(g->vcpu, KVM_SET_VCPU_EVENTS, &events);
	anykvm_ioctl(g->vcpu, KVM_SET_SREGS, &s);
	anykvm_ioctl(g->vcpu, KVM_SET_XCRS, &xcrs);
	anykvm_ioctl(g->vcpu, KVM_SET_DEBUGREGS, &debug);
}

static void set_pages(struct guest *g, const struct code_input *in, const uint8_t *code, size_t len)
{
	static const uint8_t rights[4] = { 7, 5, 0, 3 }; /* writable, read-only, absent, supervisor */
	unsigned n, at = in->flags & CODE_AT_PAGE_END ? PAGE - (unsigned)(len < PAGE ? len / 2 : PAGE / 2) : 0;

	g->code_frame = (g->code_frame + CODE_PAGES) % NR_CODE_FRAMES;
	for (n = 0; n < CODE_PAGES; n++) {
		unsigned frame = CODE_FRAMES + (g->code_frame + n) * PAGE;

		memset(g->mem + frame, 0xcc, PAGE);
		put64(g, PT_CODE + 8 * n, frame | (in->flags & CODE_WRITABLE ? 7u : 5u));
	}
	memcpy(g->mem + CODE_FRAMES + g->code_frame * PAGE + at, code, len);
	for (n = 0; n < DATA_PAGES; n++)
		put64(g, PT_DATA + 8 * n, (DATA + n * PAGE) | rights[in->pages >> 2 * n & 3]);
	for (n = 0; n < DATA_PAGES * PAGE; n++)
		g->mem[DATA + n] = (uint8_t)(in->memory * (n >> 3) + (n & 7 ? 0 : in->memory));
}

/* Values that matter: pointers to data (and the edges of its pages), to code, small and extreme numbers. */
static uint64_t register_value(uint8_t b)
{
	unsigned which = b >> 3;

	switch (b & 7) {
	case 0: return DATA_LIN + 64 * which;
	case 1: return DATA_LIN + PAGE * (which >> 3) + PAGE - 1 - (which & 7);
	case 2: return DATA_LIN + PAGE * (which & 3) + 8;
	case 3: return CODE_LIN + 2 * which;
	case 4: return which;
	case 5: return ~(uint64_t)which;
	case 6: return 1ull << (2 * which);
	default: return 0x8000000080000000ull >> which ^ which;
	}
}

static void set_registers(struct guest *g, const struct code_input *in, size_t len)
{
	struct kvm_xsave x;
	struct kvm_regs r = { 0 };
	uint64_t v[16], mask = in->flags & CODE_32BIT && !(in->flags & CODE_KERNEL) ? 0xffffffff : ~0ull;
	unsigned n;

	for (n = 0; n < 16; n++)
		v[n] = register_value(in->reg[n]) & mask;
	r = (struct kvm_regs){ .rax = v[0],
			       .rcx = v[1],
			       .rdx = v[2],
			       .rbx = v[3],
			       .rbp = v[5],
			       .rsi = v[6],
			       .rdi = v[7],
			       .r8 = v[8],
			       .r9 = v[9],
			       .r10 = v[10],
			       .r11 = v[11],
			       .r12 = v[12],
			       .r13 = v[13],
			       .r14 = v[14],
			       .r15 = v[15] };
	r.rsp = DATA_LIN + STACK_PAGE * PAGE + 0x800 + (in->reg[4] & 7);
	r.rip = CODE_LIN + (in->flags & CODE_AT_PAGE_END ? PAGE - (len < PAGE ? len / 2 : PAGE / 2) : 0);
	r.rip += len ? in->entry % len : 0;
	r.rflags = 2 | (in->rflags & 0xcd5) | (in->flags & CODE_TF && in->rflags & 0x100 ? 0x100 : 0);
	anykvm_ioctl(g->vcpu, KVM_SET_REGS, &r);
	memset(&x, 0, sizeof(x));
	x.region[0] = 0x37f;
	x.region[6] = in->flags & CODE_VECTORS ? in->rflags & 0x7f80 : 0x1f80;
	x.region[128] = 7; /* XSTATE_BV */
	if (in->flags & CODE_VECTORS)
		for (n = 40; n < 104; n++)
			x.region[n] = (uint32_t)(v[n & 15] >> (n & 16)) ^ n << 23;
	anykvm_ioctl(g->vcpu, KVM_SET_XSAVE, &x);
}

static bool set_cpuid(struct guest *g)
{
	const unsigned max = 256;
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + max * sizeof(c->entries[0]));
	bool ok;

	if (!c)
		return false;
	c->nent = max;
	ok = anykvm_ioctl(g->sys, KVM_GET_SUPPORTED_CPUID, c) >= 0 && anykvm_ioctl(g->vcpu, KVM_SET_CPUID2, c) >= 0;
	free(c);
	return ok;
}

bool guest_open(struct guest *g, int *error)
{
	struct anykvm_options options = { .size = sizeof(options), .engine = ANYKVM_ENGINE_LOCKSTEP };
	struct kvm_userspace_memory_region region = { .memory_size = MEMORY };

	if (!g->mem) {
		g->mem = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (g->mem == MAP_FAILED)
			return false;
	}
	region.userspace_addr = (uintptr_t)g->mem;
	*error = anykvm_open(&options, &g->sys);
	if (*error < 0)
		return false;
	*error = anykvm_create_vm(g->sys, 0, &g->vm);
	if (!*error)
		*error = anykvm_ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region);
	if (!*error)
		*error = anykvm_create_vcpu(g->vm, 0, &g->vcpu);
	if (*error < 0)
		return false;
	g->run = anykvm_map(g->vcpu, NULL);
	return g->run && set_cpuid(g);
}

void guest_close(struct guest *g)
{
	anykvm_close(g->vcpu);
	anykvm_close(g->vm);
	anykvm_close(g->sys);
	g->sys = g->vm = g->vcpu = NULL;
}

void guest_set_up(struct guest *g, const struct code_input *in, const uint8_t *code, size_t len)
{
	build_low(g);
	set_pages(g, in, code, len);
	set_system(g, in);
	set_registers(g, in, len);
}

bool guest_frame(struct guest *g, struct frame *f)
{
	struct kvm_regs r;
	uint64_t words[6], at;

	anykvm_ioctl(g->vcpu, KVM_GET_REGS, &r);
	at = r.rip - LOW - HANDLERS;
	if (at >= 256 * HANDLER_SIZE || r.rsp < LOW || r.rsp > LOW + LOW_SIZE - sizeof(words))
		return false;
	f->vector = (unsigned)at / HANDLER_SIZE;
	f->has_error = pushes_error(f->vector);
	memcpy(words, g->mem + (r.rsp - LOW), sizeof(words));
	f->error = f->has_error ? words[0] : 0;
	f->rip = words[f->has_error];
	f->cs = words[f->has_error + 1];
	return true;
}

void guest_resume_at(struct guest *g, const struct frame *f, uint64_t rip)
{
	struct kvm_regs r;

	anykvm_ioctl(g->vcpu, KVM_GET_REGS, &r);
	memcpy(g->mem + (r.rsp - LOW) + 8 * f->has_error, &rip, 8);
}

bool guest_fix_page(struct guest *g, uint64_t address)
{
	unsigned n;

	for (n = 0; n < DATA_PAGES; n++)
		if (address / PAGE == DATA_LIN / PAGE + n)
			put64(g, PT_DATA + 8 * n, (DATA + n * PAGE) | 7);
	for (n = 0; n < CODE_PAGES; n++)
		if (address / PAGE == CODE_LIN / PAGE + n)
			put64(g, PT_CODE + 8 * n, (CODE_FRAMES + (g->code_frame + n) * PAGE) | 7);
	return address - DATA_LIN < DATA_PAGES * PAGE || address - CODE_LIN < CODE_PAGES * PAGE;
}
