/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Segment loads and far transfers, in the library and on the bare CPU: with random descriptors in the process's LDT, and with the
 * kernel's GDT, of which user mode may use little.
 */
#include <stdio.h>
#include <string.h>
#include "compare.h"
#include "pair.h"

#define CHANGES_PER_TABLE 40 /* instructions for one set of descriptors */

static struct cpu_result lib, bare;

/* --- descriptors ------------------------------------------------------------------------------------------------ */

static bool random_tables(struct lib_cpu *cpu, struct random *r)
{
	static const u32 bases[] = { 0, CODE_PAGE, DATA_AT, CODE_PAGE - 0x800 };
	static const u32 limits[] = { 0xfffff, 0xffff, 0xfff, 0x7ff, 0x800, 0, 0x1ffff };
	bool ok = true;
	unsigned n;

	for (n = TEST_LDT_ENTRIES; ok && n-- > TEST_LDT_FREE;) {
		struct ldt_entry e = {
			.base = bases[random_below(r, ARRAY_SIZE(bases))],
			.limit = limits[random_below(r, ARRAY_SIZE(limits))],
			.contents = random_below(r, 4),
			.read_exec_only = one_in(r, 3),
			.absent = one_in(r, 6),
			.big = one_in(r, 2),
			.pages = one_in(r, 2),
		};

		/* As Linux has it: conforming code must be absent. */
		if (e.contents == 3)
			e.absent = true;
		lib_set_ldt(cpu, n, &e);
		ok = bare_set_ldt(n, &e);
	}
	return ok;
}

/* The segments of 16-bit code, which random_tables() leaves alone. */
static bool fixed_tables(struct lib_cpu *cpu)
{
	const struct segment16 seg = { .limit = DATA_SIZE - 1 };
	const struct ldt_entry code = { .base = CODE_PAGE, .limit = 0xfff, .contents = 2 };
	const struct ldt_entry data = { .base = DATA_AT, .limit = DATA_SIZE - 1 };

	lib_set_ldt(cpu, CODE16_SEL >> 3, &code);
	lib_set_ldt(cpu, DATA16_SEL >> 3, &data);
	lib_set_ldt(cpu, STACK16_SEL >> 3, &data);
	return bare_segments(&seg, &seg);
}

static u16 random_sel(struct random *r)
{
	static const u16 common[] = { 0, 3, 0x23, 0x2b, 0x33, 0x10, 0x18, 0x40, 0x50, CODE16_SEL, DATA16_SEL };

	if (one_in(r, 4))
		return common[random_below(r, ARRAY_SIZE(common))] ^ (one_in(r, 6) ? random_below(r, 4) : 0);
	/* Beyond the LDT's end, too. */
	return random_below(r, TEST_LDT_ENTRIES + 4) << 3 | 4 | (one_in(r, 5) ? random_below(r, 4) : 3);
}

/* --- instructions ------------------------------------------------------------------------------------------------ */

struct form {
	const char *name;
	u8 code[4];
	u8 bits; /* modes: 1 64-bit, 2 32-bit, 4 16-bit */
	bool memory, immediate, stack, fs;
};

/* A register operand is (E)AX, a memory operand [(E)BX], which lies in the data area. */
static const struct form forms[] = {
	{ "mov es, ax", { 0x8e, 0xc0 }, 7, .memory = false },
	{ "mov cs, ax", { 0x8e, 0xc8 }, 7, .memory = false },
	{ "mov ss, ax", { 0x8e, 0xd0 }, 7, .memory = false },
	{ "mov ds, ax", { 0x8e, 0xd8 }, 7, .memory = false },
	{ "mov fs, ax", { 0x8e, 0xe0 }, 7, .fs = true },
	{ "mov gs, ax", { 0x8e, 0xe8 }, 7, .fs = true },
	{ "mov ss, [bx]", { 0x8e, 0x17 }, 4, .memory = true },
	{ "mov ss, [rbx]", { 0x8e, 0x13 }, 3, .memory = true },
	{ "mov ds, [rbx]", { 0x8e, 0x1b }, 3, .memory = true },
	{ "pop es", { 0x07 }, 6, .stack = true },
	{ "pop ss", { 0x17 }, 6, .stack = true },
	{ "pop ds", { 0x1f }, 6, .stack = true },
	{ "pop fs", { 0x0f, 0xa1 }, 7, .stack = true, .fs = true },
	{ "pop gs", { 0x0f, 0xa9 }, 7, .stack = true, .fs = true },
	{ "les [ebx]", { 0xc4, 0x0b }, 2, .memory = true },
	{ "lds [ebx]", { 0xc5, 0x0b }, 2, .memory = true },
	{ "les [bx]", { 0xc4, 0x0f }, 4, .memory = true },
	{ "lds [bx]", { 0xc5, 0x0f }, 4, .memory = true },
	{ "lss [rbx]", { 0x0f, 0xb2, 0x0b }, 3, .memory = true },
	{ "lss [bx]", { 0x0f, 0xb2, 0x0f }, 4, .memory = true },
	{ "lfs [rbx]", { 0x0f, 0xb4, 0x0b }, 3, .memory = true, .fs = true },
	{ "lgs [rbx]", { 0x0f, 0xb5, 0x0b }, 3, .memory = true, .fs = true },
	{ "lar ecx, eax", { 0x0f, 0x02, 0xc8 }, 7, .memory = false },
	{ "lsl ecx, eax", { 0x0f, 0x03, 0xc8 }, 7, .memory = false },
	{ "lar ecx, [rbx]", { 0x0f, 0x02, 0x0b }, 3, .memory = true },
	{ "verr ax", { 0x0f, 0x00, 0xe0 }, 7, .memory = false },
	{ "verw ax", { 0x0f, 0x00, 0xe8 }, 7, .memory = false },
	{ "mov ecx, ds", { 0x8c, 0xd9 }, 7, .memory = false },
	{ "jmp far [rbx]", { 0xff, 0x2b }, 3, .memory = true },
	{ "call far [rbx]", { 0xff, 0x1b }, 3, .memory = true, .stack = true },
	{ "jmp far [bx]", { 0xff, 0x2f }, 4, .memory = true },
	{ "call far [bx]", { 0xff, 0x1f }, 4, .memory = true, .stack = true },
	{ "jmp far", { 0xea }, 6, .immediate = true },
	{ "call far", { 0x9a }, 6, .immediate = true, .stack = true },
	{ "retf", { 0xcb }, 7, .stack = true },
	{ "retf 8", { 0xca, 8, 0 }, 7, .stack = true },
	{ "iret", { 0xcf }, 7, .stack = true },
};

static unsigned code_length(const struct form *f)
{
	unsigned n = sizeof(f->code);

	while (n > 1 && !f->code[n - 1] && !(f->code[0] == 0xca && n == 3))
		n--;
	return n;
}

static void put(u64 at, u64 val, unsigned size)
{
	if (at >= DATA_AT && at + size <= DATA_AT + DATA_WRITABLE)
		memcpy(pair_data + (at - DATA_AT), &val, size);
}

/* Mostly INT3s of the code page, by its segment's base or linear. */
static u64 random_target(struct random *r)
{
	switch (random_below(r, 6)) {
	case 0: return random_value(r);
	case 1: return CODE_PAGE + random_below(r, 0x1000);
	case 2: return 0x7f0 + random_below(r, 0x20);
	default: return 0x800 + random_below(r, 0x7f0);
	}
}

/* What far returns, interrupt returns and POP find on the stack. */
static void random_frame(const struct form *f, struct insn_case *c, unsigned size, struct random *r)
{
	u64 at = c->regs.gpr[X86_RSP] + (c->bits == 16 ? DATA_AT : 0);
	u64 flags = 2 | (random_u64(r) & (RFLAGS_ARITH | RFLAGS_ID | RFLAGS_IOPL | RFLAGS_IF));
	unsigned n = 0;

	if (f->code[0] == 0x0f || f->code[0] == 0x07 || f->code[0] == 0x17 || f->code[0] == 0x1f) {
		put(at, random_sel(r) | (one_in(r, 2) ? 0 : random_u64(r) << 16), size);
		return;
	}
	put(at + size * n++, random_target(r), size);
	put(at + size * n++, random_sel(r), size);
	if (f->code[0] == 0xcf)
		put(at + size * n++, flags, size);
	put(at + size * n++, c->bits == 16 ? 0x1000 : DATA_AT + 0x1000, size);
	put(at + size * n++, one_in(r, 2) ? 0x2b : random_sel(r), size);
}

static void make_case(struct lib_cpu *cpu, const struct form *f, struct insn_case *c, unsigned bits, struct random *r)
{
	u64 base = bits == 16 ? 0 : DATA_AT;
	unsigned n, at = 0, opsize = bits == 16 ? 2 : 4, length = code_length(f);

	memset(c, 0, sizeof(*c));
	c->bits = bits;
	for (n = 0; n < 16; n++)
		c->regs.gpr[n] = bits == 64 ? random_value(r) : (u32)random_value(r);
	c->regs.gpr[X86_RAX] = random_sel(r) | (random_u64(r) & (bits == 64 ? ~0xffffull : 0xffff0000));
	c->regs.gpr[X86_RBX] = base + 0x200;
	c->regs.gpr[X86_RSP] = base + 0x1800 + 8 * random_below(r, 8);
	c->regs.rip = bits == 16 ? CODE_AT - CODE_PAGE : CODE_AT;
	c->regs.rflags = 2 | (random_u64(r) & RFLAGS_ARITH) | RFLAGS_IF;
	if (one_in(r, 3)) {
		c->code[at++] = 0x66;
		opsize ^= 6;
	}
	if (bits == 64 && one_in(r, 3)) {
		c->code[at++] = 0x48;
		opsize = 8;
	}
	memcpy(c->code + at, f->code, length);
	at += length;
	if (f->memory) {
		u64 pointer = DATA_AT + 0x200;
		bool far = f->code[0] == 0xff || f->code[0] == 0xc4 || f->code[0] == 0xc5 || f->code[1] >= 0xb2;

		put(pointer, far ? random_target(r) : random_sel(r), 8);
		if (far)
			put(pointer + (opsize == 8 && lib_state(cpu)->vendor_amd ? 4 : opsize), random_sel(r), 2);
	}
	if (f->immediate) {
		u64 target = random_target(r);
		u16 sel = random_sel(r);

		memcpy(c->code + at, &target, opsize);
		memcpy(c->code + at + opsize, &sel, 2);
		at += opsize + 2;
	}
	if (f->stack)
		random_frame(f, c, (f->code[0] == 0x0f) && bits == 64 && opsize == 4 ? 8 : opsize, r);
	c->len = at;
}

/* --- comparison --------------------------------------------------------------------------------------------------- */

/* Where the transfer leads, no code can be fetched: it is complete all the same. */
static void complete_transfer(void)
{
	if (lib.vector == VECTOR_NONE && bare.vector == X86_EXC_PF && bare.error & PFERR_I) {
		bare.vector = VECTOR_NONE;
		bare.error = 0;
	}
}

/* Of far transfers that fault for more than one reason processors name one or the other, and may have pushed a frame before. */
static bool both_refuse(const struct insn_case *c)
{
	return x86_op_flags[c->insn.op] & INSN_BRANCH && lib.vector < 32 && bare.vector < 32;
}

/* Back into the instruction itself: who knows what it does the second time. */
static bool comes_back(struct lib_cpu *cpu, const struct insn_case *c)
{
	const struct x86_state *s = lib_state(cpu);
	u64 at = s->mode == X86_MODE_LONG ? lib.regs.rip : (u32)(s->seg[SEG_CS].base + lib.regs.rip);

	return lib.vector == VECTOR_NONE && x86_op_flags[c->insn.op] & INSN_BRANCH && at - CODE_AT < 16;
}

/* A far call from 16-bit to 64-bit code was seen not to end (Zen 4, in a virtual machine). */
static bool may_hang(struct lib_cpu *cpu, const struct insn_case *c)
{
	return c->bits == 16 && c->insn.op == X86_OP_CALL_FAR && lib_state(cpu)->mode == X86_MODE_LONG;
}

static bool segments_differ(char *text)
{
	static const char *const name[SEG_COUNT] = { "es", "cs", "ss", "ds", "fs", "gs" };
	unsigned n, length = 0;

	/* Of a null selector the kernel's return to the signal handler leaves 0. */
	for (n = 0; n < SEG_COUNT; n++)
		if (lib.sel[n] != bare.sel[n] && (lib.sel[n] > 3 || bare.sel[n] > 3))
			length +=
				sprintf(text + length, "\n  %s: library %x, bare %x", name[n], lib.sel[n], bare.sel[n]);
	return length;
}

static void run(struct lib_cpu *cpu, const struct form *f, struct insn_case *c)
{
	char text[TEXT_ROOM], input[TEXT_ROOM], segments[200] = "";
	static const enum x86_mode modes[] = { X86_MODE_PROT16, X86_MODE_PROT32, X86_MODE_LONG };
	bool other;

	if (x86_decode(&c->insn, c->code, c->len, modes[c->bits / 32], lib_state(cpu)) != X86_DECODE_OK)
		return;
	memset(lib_code(cpu) + CODE_AT % X86_PAGE_SIZE, 0xcc, 16);
	memset(bare_code() + CODE_AT % X86_PAGE_SIZE, 0xcc, 16);
	memcpy(lib_code(cpu) + CODE_AT % X86_PAGE_SIZE, c->code, c->len);
	memcpy(bare_code() + CODE_AT % X86_PAGE_SIZE, c->code, c->len);
	memcpy(lib_data(cpu), pair_data, DATA_SIZE);
	memcpy(bare_data(), pair_data, DATA_SIZE);
	lib_mode(cpu, c->bits);
	if (c->bits == 16) {
		const struct segment16 seg = { .limit = DATA_SIZE - 1 };

		lib_segments(cpu, &seg, &seg);
	}
	lib_run(cpu, LIB_PLAIN, &c->regs, false, &lib);
	if (comes_back(cpu, c) || may_hang(cpu, c))
		return;
	bare_run(c->bits, &c->regs, false, &bare);
	complete_transfer();
	if (both_refuse(c))
		return;
	other = compare(c, &lib, lib_data(cpu), &bare, bare_data(), text);
	if (segments_differ(segments) || other) {
		describe_case(c, input);
		insn_fail("%s: %s%s%s", f->name, input, text, segments);
	}
}

static void run_bits(struct lib_cpu *cpu, unsigned bits)
{
	struct random r = { insn_options.seed * 0x9e3779b97f4a7c15ull ^ bits };
	unsigned n;
	struct insn_case c;

	insn_begin("segments %u-bit", bits);
	lib_mode(cpu, bits);
	random_u64(&r);
	for (n = 0; n < insn_options.rounds * 100; n++) {
		const struct form *f = &forms[random_below(&r, ARRAY_SIZE(forms))];

		if (n % CHANGES_PER_TABLE == 0)
			generate_data(pair_data, &r);
		if (n % CHANGES_PER_TABLE == 0 && !random_tables(cpu, &r))
			insn_fail("the LDT cannot be changed any more");
		if (!(f->bits & (bits == 64 ? 1 : bits == 32 ? 2 : 4)) || (f->fs && !bare_can_load_fs()))
			continue;
		make_case(cpu, f, &c, bits, &r);
		run(cpu, f, &c);
	}
	insn_end();
}

INSN_TEST(segments, "segments")
{
	struct lib_cpu *cpu = pair_init();
	unsigned bits;

	if (!cpu)
		return;
	if (!pair_can_run(16) || !fixed_tables(cpu)) {
		insn_skip("the kernel does not allow an LDT");
		return;
	}
	for (bits = 64; bits >= 16; bits /= 2)
		run_bits(cpu, bits);
}
