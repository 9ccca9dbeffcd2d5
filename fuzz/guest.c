/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Guest-physical memory: tables and handlers in the first pages, which are mapped for the supervisor at KERNEL; data pages;
 * frames for code; the stack. The mapping of code and data pages is part of the input.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "guest.h"
#include "x86.h"

#define KERNEL (HIGH + 0x38000000)
#define PAGE 4096u
enum {
	PML4 = GUEST_PML4,
	PDPT = 0x2000,
	PD = 0x3000,
	PT_CODE = 0x4000,
	PT_DATA = 0x5000,
	PT_LOW = 0x6000,
	GDT = 0x7000,
	IDT = 0x8000,
	TSS = 0x9000,
	HANDLERS = 0xa000,
	STUBS = 0xb000,
	PER_CPU = 0xc000,
	PML4_B = GUEST_PML4_B, /* another view: data pages in other places, other code in the second code page */
	PDPT_B = 0xe000,
	PD_B = 0xf000,
	PT_CODE_B = 0x10000,
	PT_DATA_B = 0x11000,
	PT_STACK = 0x12000,
	KERNEL_STACK = 0x14000,
	FRAME_STACK = 0x16000,
	LOW_SIZE = 0x18000,
	DATA = 0x18000,
	CODE_FRAMES = 0x20000,
	NR_CODE_FRAMES = 60,
	STACK = 0x60000,
	MEMORY = STACK + STACK_PAGES * PAGE,
	ROM = 0x100000,
	NOTHING = 0x200000,
};
enum { GLOBAL = 0x100 }; /* bit of a page-table entry: the same in both views */
enum { KERNEL_CS = 0x10, KERNEL_SS = 0x18, TSS_SEL = 0x40 };
enum { HANDLER_SIZE = 16 };

static const uint8_t handler_plain[] = { 0xf4, 0x48, 0xcf };                         /* hlt; iretq */
static const uint8_t handler_error[] = { 0xf4, 0x48, 0x83, 0xc4, 0x08, 0x48, 0xcf }; /* hlt; add rsp, 8; iretq */

/* SYSCALL: changes GS and the stack, counts, returns; to 64-bit or 32-bit code. */
#define STUB_ENTRY                                                                                                     \
	0x0f, 0x01, 0xf8,                                             /* swapgs */                                     \
		0x65, 0x48, 0x89, 0x24, 0x25, 0x08, 0x00, 0x00, 0x00, /* mov gs:[8], rsp */                            \
		0x65, 0x48, 0x8b, 0x24, 0x25, 0x00, 0x00, 0x00, 0x00, /* mov rsp, gs:[0] */                            \
		0x41, 0x53, 0x51,                                     /* push r11; push rcx */                         \
		0x65, 0x48, 0xff, 0x04, 0x25, 0x10, 0x00, 0x00, 0x00, /* inc qword gs:[16] */                          \
		0xfb, 0x90, 0xfa,                                     /* sti; nop; cli */                              \
		0x59, 0x41, 0x5b,                                     /* pop rcx; pop r11 */                           \
		0x65, 0x48, 0x8b, 0x24, 0x25, 0x08, 0x00, 0x00, 0x00, /* mov rsp, gs:[8] */                            \
		0x0f, 0x01, 0xf8
static const uint8_t stub64[] = { STUB_ENTRY, 0x48, 0x0f, 0x07 };
static const uint8_t stub32[] = { STUB_ENTRY, 0x0f, 0x07 };
enum { STUB32_AT = 0x100 };
/* The gate that returns by itself. */
static const uint8_t handler_quiet[] = { 0x50, 0x0f, 0x01, 0xf8, 0x65, 0x48, 0xff, 0x04, 0x25, 0x18,
					 0,    0,    0,    0x0f, 0x01, 0xf8, 0x58, 0x48, 0xcf };
enum { QUIET_AT = 0x200 };
/* Forget translations of pages, global ones too, then to a frame behind rax. */
static const uint8_t go_code[] = {
	0x0f, 0x20, 0xe0, 0x48, 0x0f, 0xba, 0xf8, 0x07, 0x0f, 0x22, 0xe0, /* mov rax, cr4; btc rax, 7; mov cr4, rax */
	0x48, 0x0f, 0xba, 0xf8, 0x07, 0x0f, 0x22, 0xe0, 0x58, 0x48, 0xcf, /* and back; pop rax; iretq */
};
enum { GO_AT = 0x300, GO_STACK = KERNEL_STACK - 0x800 };

static bool pushes_error(unsigned v)
{
	return v == 8 || (v >= 10 && v <= 14) || v == 17 || v == 21;
}

static void put64(struct guest *g, unsigned at, uint64_t val)
{
	memcpy(g->mem + at, &val, 8);
}

static void build_tables(struct guest *g)
{
	unsigned n;

	put64(g, PML4, PDPT | 7);
	put64(g, PDPT, PD | 7);
	put64(g, PML4_B, PDPT_B | 7);
	put64(g, PDPT_B, PD_B | 7);
	put64(g, PML4 + 8 * 511, PDPT | 7); /* HIGH */
	put64(g, PDPT + 8 * 510, PD | 7);
	put64(g, PML4_B + 8 * 511, PDPT_B | 7);
	put64(g, PDPT_B + 8 * 510, PD_B | 7);
	put64(g, PD + 8 * (CODE_LIN >> 21), PT_CODE | 7);
	put64(g, PD + 8 * (DATA_LIN >> 21), PT_DATA | 7);
	put64(g, PD_B + 8 * (CODE_LIN >> 21), PT_CODE_B | 7);
	put64(g, PD_B + 8 * (DATA_LIN >> 21), PT_DATA_B | 7);
	for (n = PD; n <= PD_B; n += PD_B - PD) {
		put64(g, n + 8 * (KERNEL >> 21 & 511), PT_LOW | 7);
		put64(g, n + 8 * (STACK_LIN >> 21), PT_STACK | 7);
	}
	/* Not the tables: what is stored there meets the bits that page walks set. */
	for (n = 0; n < LOW_SIZE / PAGE; n++)
		if (n * PAGE > PT_LOW && (n * PAGE < PML4_B || n * PAGE > PT_STACK))
			put64(g, PT_LOW + 8 * n, n * PAGE | 3 | GLOBAL);
	for (n = 0; n < STACK_PAGES; n++)
		put64(g, PT_STACK + 8 * n, (STACK + n * PAGE) | 7);
}

static void build_gate(struct guest *g, unsigned v, uint64_t at, unsigned ist)
{
	put64(g, IDT + 16 * v,
	      (at & 0xffff) | (uint64_t)KERNEL_CS << 16 | (uint64_t)ist << 32 | 0xee0000000000ull | at >> 16 << 48);
	put64(g, IDT + 16 * v + 8, at >> 32);
}

static void build_low(struct guest *g)
{
	unsigned n;

	memset(g->mem, 0, LOW_SIZE);
	build_tables(g);
	put64(g, GDT + KERNEL_CS, 0x00af9b000000ffffull);
	put64(g, GDT + KERNEL_SS, 0x00cf93000000ffffull);
	put64(g, GDT + (USER_CS32 & ~7), 0x00cffb000000ffffull);
	put64(g, GDT + (USER_DS & ~7), 0x00cff3000000ffffull);
	put64(g, GDT + (USER_CS64 & ~7), 0x00affb000000ffffull);
	put64(g, TSS + 4, KERNEL + KERNEL_STACK);
	put64(g, TSS + 36, KERNEL + FRAME_STACK); /* IST1: also at CPL 0 handlers have a good stack */
	g->mem[TSS + 102] = 0x68;
	put64(g, PER_CPU, KERNEL + KERNEL_STACK);
	memcpy(g->mem + STUBS, stub64, sizeof(stub64));
	memcpy(g->mem + STUBS + STUB32_AT, stub32, sizeof(stub32));
	memcpy(g->mem + STUBS + GO_AT, go_code, sizeof(go_code));
	memcpy(g->mem + STUBS + QUIET_AT, handler_quiet, sizeof(handler_quiet));
	for (n = 0; n < 256; n++) {
		build_gate(g, n, KERNEL + HANDLERS + HANDLER_SIZE * n, 1);
		memcpy(g->mem + HANDLERS + HANDLER_SIZE * n, pushes_error(n) ? handler_error : handler_plain,
		       pushes_error(n) ? sizeof(handler_error) : sizeof(handler_plain));
	}
	build_gate(g, QUIET_VECTOR, KERNEL + STUBS + QUIET_AT, 0);
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

/* Of what guest code may have changed. */
static void set_msrs(struct guest *g)
{
	static const struct kvm_msr_entry entries[] = {
		{ .index = 0xc0000081, .data = (uint64_t)USER_CS32 << 48 | (uint64_t)KERNEL_CS << 32 },
		{ .index = 0xc0000082, .data = KERNEL + STUBS },
		{ .index = 0xc0000083, .data = KERNEL + STUBS + STUB32_AT },
		{ .index = 0xc0000084, .data = 0x47700 },
		{ .index = 0xc0000102, .data = KERNEL + PER_CPU },
		{ .index = 0xc0000103, .data = 0x1234 },
		{ .index = 0x174, .data = 0 },
		{ .index = 0x175, .data = 0 },
		{ .index = 0x176, .data = 0 },
		{ .index = 0x277, .data = 0x0007040600070406 },
	};
	static union {
		struct kvm_msrs head;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(entries)];
	} m;

	m.head.nmsrs = sizeof(entries) / sizeof(entries[0]);
	memcpy(m.head.entries, entries, sizeof(entries));
	anykvm_ioctl(g->vcpu, KVM_SET_MSRS, &m.head);
}

static void set_system(struct guest *g, const struct code_input *in)
{
	bool kernel = in->flags & CODE_KERNEL, is32 = in->flags & CODE_32BIT;
	struct kvm_segment data = segment(USER_DS, 0, 0xffffffff, 3, 3, 0);
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = 7 };
	struct kvm_vcpu_events events = { 0 };
	struct kvm_debugregs debug = { .dr6 = 0xffff0ff0, .dr7 = 0x400 };
	struct kvm_sregs s = { 0 };

	set_msrs(g);
	anykvm_ioctl(g->vcpu, KVM_GET_SREGS, &s);
	memset(s.interrupt_bitmap, 0, sizeof(s.interrupt_bitmap));
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
	s.tr = segment(TSS_SEL, KERNEL + TSS, 0x67, 11, 0, 0);
	s.tr.s = 0;
	s.ldt = (struct kvm_segment){ .unusable = 1 };
	s.gdt.base = KERNEL + GDT;
	s.gdt.limit = 0x7f;
	s.idt.base = KERNEL + IDT;
	s.idt.limit = 0xfff;
	s.cr0 = 0x80050033;
	s.cr2 = s.cr8 = 0;
	s.cr3 = PML4;
	s.cr4 = 0x50620 | (in->system & SYSTEM_SMAP ? 1u << 21 : 0) | (in->system & SYSTEM_PCID ? 1u << 17 : 0) |
		(in->system & SYSTEM_UMIP ? 1u << 11 : 0) | (in->system & SYSTEM_PGE ? 1u << 7 : 0);
	s.efer = 0xd01;
	anykvm_ioctl(g->vcpu, KVM_SET_VCPU_EVENTS, &events);
	anykvm_ioctl(g->vcpu, KVM_SET_SREGS, &s);
	anykvm_ioctl(g->vcpu, KVM_SET_XCRS, &xcrs);
	anykvm_ioctl(g->vcpu, KVM_SET_DEBUGREGS, &debug);
	anykvm_ioctl(g->vcpu, KVM_GET_SREGS, &g->first);
}

/* Is all else as at the first start? Setting it would drop what has been translated. */
static bool only_privilege_differs(struct guest *g)
{
	struct kvm_sregs s;

	anykvm_ioctl(g->vcpu, KVM_GET_SREGS, &s);
	if (s.cs.selector != KERNEL_CS)
		return false;
	s.cs = g->first.cs;
	s.ss = g->first.ss;
	s.cr2 = g->first.cr2;
	return !memcmp(&s, &g->first, sizeof(s));
}

/* Let the guest itself go where the registers say. */
static void start_by_iret(struct guest *g)
{
	struct kvm_regs r;

	anykvm_ioctl(g->vcpu, KVM_GET_REGS, &r);
	put64(g, GO_STACK, r.rax);
	put64(g, GO_STACK + 8, r.rip);
	put64(g, GO_STACK + 16, g->first.cs.selector);
	put64(g, GO_STACK + 24, r.rflags);
	put64(g, GO_STACK + 32, r.rsp);
	put64(g, GO_STACK + 40, g->first.ss.selector);
	r.rip = KERNEL + STUBS + GO_AT;
	r.rsp = KERNEL + GO_STACK;
	r.rflags = 2;
	anykvm_ioctl(g->vcpu, KVM_SET_REGS, &r);
}

static unsigned offset_of(const struct code_input *in, size_t len)
{
	return in->flags & CODE_AT_PAGE_END ? PAGE - (unsigned)(len < PAGE ? len / 2 : PAGE / 2) : 0;
}

static void set_code(struct guest *g, const struct code_input *in, const uint8_t *code, size_t len)
{
	unsigned n, at = offset_of(in, len), base = CODE_FRAMES + g->code_frame * PAGE;
	unsigned rights = in->flags & CODE_WRITABLE ? 7 : 5;

	memset(g->mem + base, 0xcc, CODE_FRAMES_USED * PAGE);
	memcpy(g->mem + base + at, code, len);
	memcpy(g->mem + base + 2 * PAGE, g->mem + base + PAGE, PAGE);
	for (n = 2 * PAGE; n + 5 < 3 * PAGE; n++) /* so that the view shows: other values in MOV eax */
		if (g->mem[base + n] == 0xb8)
			g->mem[base + n + 1] ^= 1;
	for (n = 0; n < CODE_PAGES; n++) {
		rights = (rights & 7) | (n ? 0 : GLOBAL);
		put64(g, PT_CODE + 8 * n, (base + n * PAGE) | rights);
		put64(g, PT_CODE_B + 8 * n, (base + 2 * n * PAGE) | rights);
		put64(g, PT_CODE + 8 * (n + CODE_ALIAS / PAGE), (base + n * PAGE) | rights);
		put64(g, PT_CODE_B + 8 * (n + CODE_ALIAS / PAGE), (base + n * PAGE) | rights);
		put64(g, PT_CODE + 8 * (n + CODE_WINDOW / PAGE), (base + n * PAGE) | 7);
		put64(g, PT_CODE_B + 8 * (n + CODE_WINDOW / PAGE), (base + n * PAGE) | 7);
	}
}

static void set_data(struct guest *g, const struct code_input *in)
{
	static const uint8_t rights[4] = { 7, 5, 0, 3 }; /* writable, read-only, absent, supervisor */
	unsigned n;

	for (n = 0; n < DATA_PAGES; n++) {
		put64(g, PT_DATA + 8 * n, (DATA + n * PAGE) | rights[in->pages >> 2 * n & 3]);
		put64(g, PT_DATA_B + 8 * n, (DATA + (n + 1) % DATA_PAGES * PAGE) | rights[in->pages >> 2 * n & 3]);
	}
	for (n = PT_DATA; n <= PT_DATA_B; n += PT_DATA_B - PT_DATA) {
		put64(g, n + 8 * ROM_PAGE, ROM | 7);
		put64(g, n + 8 * DEVICE_PAGE, NOTHING | 7);
	}
	for (n = 0; n < DATA_PAGES * PAGE; n++)
		g->mem[DATA + n] = (uint8_t)(in->memory * (n >> 3) + (n & 7 ? 0 : in->memory));
	memset(g->mem + STACK, 0, STACK_PAGES * PAGE);
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
	bool high = in->flags & CODE_KERNEL && in->system & SYSTEM_HIGH;
	unsigned n;

	for (n = 0; n < 16; n++)
		v[n] = register_value(in->reg[n]) & mask;
	for (n = 0; high && n < 16; n += 2)
		if (v[n] >= CODE_LIN && v[n] < STACK_LIN)
			v[n] += HIGH;
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
	r.rip = CODE_LIN + offset_of(in, len) + (high ? HIGH : 0);
	if (!(in->flags & CODE_PROGRAM))
		r.rip += len ? in->entry % len : 0;
	r.rflags = 2 | (in->rflags & 0xed5) | (in->flags & CODE_TF && in->rflags & 0x100 ? 0x100 : 0);
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

static int set_slot(struct guest *g, unsigned slot, uint64_t gpa, uint8_t *at, size_t size, unsigned flags)
{
	struct kvm_userspace_memory_region region = { .slot = slot,
						      .flags = flags,
						      .guest_phys_addr = gpa,
						      .memory_size = size,
						      .userspace_addr = (uintptr_t)at };

	return anykvm_ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

bool guest_open(struct guest *g, enum anykvm_engine engine, int *error)
{
	struct anykvm_options options = { .size = sizeof(options), .engine = engine };

	if (!g->mem) {
		g->mem = mmap(NULL, MEMORY + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (g->mem == MAP_FAILED)
			return false;
		memset(g->mem + MEMORY, 0x5a, PAGE);
	}
	*error = anykvm_open(&options, &g->sys);
	if (*error < 0)
		return false;
	*error = anykvm_create_vm(g->sys, 0, &g->vm);
	if (!*error)
		*error = set_slot(g, 0, 0, g->mem, MEMORY, 0);
	if (!*error)
		*error = set_slot(g, 1, ROM, g->mem + MEMORY, PAGE, KVM_MEM_READONLY);
	if (!*error)
		*error = anykvm_create_vcpu(g->vm, 0, &g->vcpu);
	if (*error < 0)
		return false;
	g->compares = engine == ANYKVM_ENGINE_LOCKSTEP;
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
	g->code_frame = (g->code_frame + CODE_FRAMES_USED) % NR_CODE_FRAMES;
	build_low(g);
	set_code(g, in, code, len);
	set_data(g, in);
	set_system(g, in);
	set_registers(g, in, len);
}

void guest_restart(struct guest *g, const struct code_input *in, const uint8_t *code, size_t len)
{
	struct kvm_vcpu_events events = { 0 };

	build_low(g);
	set_code(g, in, code, len);
	set_data(g, in);
	set_registers(g, in, len);
	if (only_privilege_differs(g)) {
		set_msrs(g);
		anykvm_ioctl(g->vcpu, KVM_SET_VCPU_EVENTS, &events);
		start_by_iret(g);
	} else {
		set_system(g, in);
	}
}

const uint8_t *guest_data(const struct guest *g)
{
	return g->mem + DATA;
}

const uint8_t *guest_code(const struct guest *g)
{
	return g->mem + CODE_FRAMES + g->code_frame * PAGE;
}

const uint8_t *guest_stack(const struct guest *g)
{
	return g->mem + STACK;
}

bool guest_insn(struct guest *g, uint64_t at, struct x86_insn *i)
{
	uint8_t bytes[X86_MAX_INSN_LEN];
	struct kvm_translation t;
	struct kvm_sregs s;
	unsigned n;

	for (n = 0; n < sizeof(bytes); n++) {
		t = (struct kvm_translation){ .linear_address = at + n };
		anykvm_ioctl(g->vcpu, KVM_TRANSLATE, &t);
		if (!t.valid || t.physical_address >= MEMORY)
			break;
		bytes[n] = g->mem[t.physical_address];
	}
	anykvm_ioctl(g->vcpu, KVM_GET_SREGS, &s);
	return x86_decode(i, bytes, n, s.cs.l ? X86_MODE_LONG : X86_MODE_PROT32, NULL) == X86_DECODE_OK;
}

bool guest_frame(struct guest *g, struct frame *f)
{
	struct kvm_regs r;
	uint64_t words[6], at;

	anykvm_ioctl(g->vcpu, KVM_GET_REGS, &r);
	at = r.rip - KERNEL - HANDLERS;
	if (at >= 256 * HANDLER_SIZE || r.rsp < KERNEL || r.rsp > KERNEL + LOW_SIZE - sizeof(words))
		return false;
	f->vector = (unsigned)at / HANDLER_SIZE;
	f->has_error = pushes_error(f->vector);
	memcpy(words, g->mem + (r.rsp - KERNEL), sizeof(words));
	f->error = f->has_error ? words[0] : 0;
	f->rip = words[f->has_error];
	f->cs = words[f->has_error + 1];
	f->rflags = words[f->has_error + 2];
	f->rsp = words[f->has_error + 3];
	return true;
}

void guest_resume_at(struct guest *g, const struct frame *f, uint64_t rip)
{
	struct kvm_regs r;

	anykvm_ioctl(g->vcpu, KVM_GET_REGS, &r);
	memcpy(g->mem + (r.rsp - KERNEL) + 8 * f->has_error, &rip, 8);
}

void guest_clear_flags(struct guest *g, const struct frame *f)
{
	struct kvm_regs r;
	uint64_t flags;

	anykvm_ioctl(g->vcpu, KVM_GET_REGS, &r);
	memcpy(&flags, g->mem + (r.rsp - KERNEL) + 8 * (f->has_error + 2), 8);
	flags &= ~(uint64_t)FLAGS_ARITHMETIC;
	memcpy(g->mem + (r.rsp - KERNEL) + 8 * (f->has_error + 2), &flags, 8);
}

bool guest_fix_page(struct guest *g, uint64_t address)
{
	struct kvm_sregs s;
	unsigned n, code, data, base = CODE_FRAMES + g->code_frame * PAGE;
	bool b;

	address = low_half(address);
	anykvm_ioctl(g->vcpu, KVM_GET_SREGS, &s);
	b = (s.cr3 & ~0xfffull) == PML4_B;
	code = b ? PT_CODE_B : PT_CODE;
	data = b ? PT_DATA_B : PT_DATA;
	for (n = 0; n < DATA_PAGES; n++)
		if (address / PAGE == DATA_LIN / PAGE + n)
			put64(g, data + 8 * n, (DATA + (n + b) % DATA_PAGES * PAGE) | 7);
	for (n = 0; n < CODE_PAGES; n++)
		if (address / PAGE == CODE_LIN / PAGE + n)
			put64(g, code + 8 * n, (base + (n << b) * PAGE) | 7 | (n ? 0 : GLOBAL));
	return address - DATA_LIN < DATA_PAGES * PAGE || address - CODE_LIN < CODE_PAGES * PAGE;
}
