/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Code with a shape. Random bytes seldom form what the translator has special ways for: loops that become hot, calls that return,
 * several accesses off one register, frames on two pages, stores into code that runs later, changes of mode. Here each byte
 * of the script asks for one of them; operands are bytes of the script as well.
 *
 * Everything ends: loops count in memory that only they use, calls go forward, but for one recursion that is bounded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "guest.h"
#include "optable.h"
#include "x86.h"

#define PROGRAM_ROOM 8000u
#define FUNCTIONS 4
#define FIXUPS 64
#define DEPTH_MAX 3
#define LOOP_CELLS (STACK_LIN + 8) /* counters of loops, one for each depth; below all stacks */
#define DEEP_STACK (STACK_LIN + STACK_PAGES * 4096 - 64)

struct program {
	const struct code_input *in;
	const uint8_t *script;
	size_t left;
	uint8_t *code;
	unsigned len, room, start; /* start: offset of code[0] in the first code page */
	unsigned depth;
	bool is32, in_function;
	unsigned victim; /* offset of an instruction with an immediate, which stores go to; 0: none */
	unsigned nr_fixups;
	struct {
		unsigned at, function;
		bool absolute;
	} fixup[FIXUPS];
};

static unsigned take(struct program *p)
{
	if (!p->left)
		return 0;
	p->left--;
	return *p->script++;
}

static uint32_t take32(struct program *p)
{
	uint32_t v = take(p);

	v |= take(p) << 8;
	v |= take(p) << 16;
	return v | (uint32_t)take(p) << 24;
}

static void put(struct program *p, unsigned byte)
{
	if (p->len < p->room)
		p->code[p->len++] = (uint8_t)byte;
}

static void put32(struct program *p, uint32_t v)
{
	unsigned n;

	for (n = 0; n < 4; n++)
		put(p, v >> 8 * n & 0xff);
}

static void put_bytes(struct program *p, const char *bytes, unsigned n)
{
	while (n-- > 0)
		put(p, (uint8_t)*bytes++);
}
#define PUT(p, text) put_bytes(p, text, sizeof(text) - 1)

static bool full(const struct program *p)
{
	return p->len + 512 > p->room;
}

static uint32_t address(const struct program *p, unsigned offset)
{
	return (uint32_t)CODE_LIN + p->start + offset;
}

/* A REX prefix of which bits the script says; the bits of registers that must stay what they are are not in may. */
static void put_rex(struct program *p, unsigned may)
{
	unsigned b = take(p);

	if (!p->is32 && b & 0x80)
		put(p, 0x40 | (b & may));
}

/* A register that may be written: not rsp. */
static unsigned some_register(struct program *p)
{
	unsigned r = take(p) & 7;

	return r == 4 ? 0 : r;
}

/* Interesting places: pages of data, their ends, read-only memory, devices, code, what is no address. */
static uint32_t some_place(struct program *p)
{
	unsigned b = take(p), fine = take(p);

	switch (b >> 4) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
	case 5: return (uint32_t)DATA_LIN + (b & 3) * 4096 + fine * 8;
	case 6:
	case 7:
	case 8: return (uint32_t)DATA_LIN + (b & 3) * 4096 + 4096 - (fine & 63);
	case 9:
	case 10: return (uint32_t)STACK_LIN + 0x4000 + (b & 7) * 4096 + fine * 16;
	case 11: return (uint32_t)DATA_LIN + ROM_PAGE * 4096 + (b & 1) * 4096 + fine; /* or the device */
	case 12: return (uint32_t)CODE_LIN + (b & 1 ? CODE_WINDOW : 0) + fine * 4;
	case 13: return (uint32_t)CODE_LIN + (b & 1 ? CODE_WINDOW : CODE_ALIAS) + 0x1000 + fine;
	case 14: return (uint32_t)STACK_LIN + 4096 * (2 + (b & 15)) - (fine & 31);
	default: return take32(p);
	}
}

static void mov_imm(struct program *p, unsigned reg, uint32_t val)
{
	put(p, 0xb8 | reg);
	put32(p, val);
}

/* ModRM of memory off a register, now and then with an index; reg is the other operand. */
static void put_memory(struct program *p, unsigned reg)
{
	unsigned b = take(p), base = b & 7, disp = take(p);
	static const uint8_t bases[8] = { 3, 5, 6, 7, 4, 3, 5, 6 };

	base = bases[base];
	if (b & 0x40 || base == 4) {
		put(p, 0x40 | reg << 3 | 4);
		put(p, (b & 0x80 ? (b >> 3 & 3) << 6 | (take(p) & 7) << 3 : 4 << 3) | base);
		put(p, disp);
	} else if (b & 0x20) {
		put(p, 0x80 | reg << 3 | base);
		put32(p, b & 0x10 ? (uint32_t)(int32_t)(int8_t)disp * 16 : disp * 8);
	} else {
		put(p, 0x40 | reg << 3 | base);
		put(p, disp);
	}
}

static void put_operand(struct program *p, unsigned reg)
{
	unsigned b = take(p);

	if (b & 1)
		put_memory(p, reg);
	else
		put(p, 0xc0 | reg << 3 | (b >> 1 & 7));
}

/* --- single instructions --------------------------------------------------------------------------------------------- */

static void raw(struct program *p)
{
	unsigned n = 1 + take(p) % 8;

	while (n-- > 0)
		put(p, take(p));
}

static void load_pointer(struct program *p)
{
	static const uint8_t regs[8] = { 3, 5, 6, 7, 3, 6, 7, 1 };

	mov_imm(p, regs[take(p) & 7], some_place(p));
}

static void alu(struct program *p)
{
	static const uint8_t ops[16] = { 0x00, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38,
					 0x84, 0x88, 0x86, 0x00, 0x28, 0x38, 0x10, 0x88 };
	unsigned b = take(p), op = ops[b & 15], reg = some_register(p);

	if (b & 0x10)
		put(p, 0x66);
	put_rex(p, 0xc);
	op |= b >> 5 & 1;
	if (op < 0x40 || op == 0x88 || op == 0x89)
		op |= b >> 5 & 2; /* the other direction */
	put(p, op);
	put_operand(p, reg);
}

static void alu_immediate(struct program *p)
{
	unsigned b = take(p);

	put_rex(p, 8);
	put(p, b & 0x80 ? 0x83 : 0x81);
	put_operand(p, b & 7);
	if (b & 0x80)
		put(p, take(p));
	else
		put32(p, take32(p));
}

/* Shifts, one-operand arithmetic, multiplication, division. */
static void group(struct program *p)
{
	static const uint8_t ops[8] = { 0xc1, 0xd1, 0xd3, 0xf7, 0xff, 0xc0, 0xfe, 0xf6 };
	unsigned b = take(p), op = ops[b & 7], reg = b >> 3 & 7;

	if ((op == 0xff || op == 0xfe) && reg > 1)
		reg &= 1;
	put_rex(p, 8);
	put(p, op);
	put_operand(p, reg);
	if (op == 0xc1 || op == 0xc0 || ((op == 0xf6) && reg < 2))
		put(p, take(p));
	if (op == 0xf7 && reg < 2)
		put32(p, take32(p));
}

/* Two-byte opcodes of general registers. */
static void wide_map(struct program *p)
{
	static const uint8_t ops[24] = { 0xaf, 0xb6, 0xb7, 0xbe, 0xbf, 0xa3, 0xab, 0xb3, 0xbb, 0xba, 0xb0, 0xb1,
					 0xc0, 0xc1, 0xc3, 0xc7, 0xa4, 0xa5, 0xac, 0xad, 0xbc, 0xbd, 0xb8, 0xc8 };
	unsigned b = take(p), op = ops[b % 24], reg = some_register(p);

	if (b & 0x20 && (op == 0xbc || op == 0xbd || op == 0xb8))
		put(p, 0xf3);
	else if (b & 0x40 && (op == 0xab || op == 0xb3 || op == 0xbb || op == 0xb1 || op == 0xc1))
		put(p, 0xf0);
	put_rex(p, 0xc);
	put(p, 0x0f);
	if (op == 0xc8) {
		put(p, op | reg);
		return;
	}
	put(p, op);
	put_operand(p, op == 0xba ? 4 | reg : op == 0xc7 ? 1 : reg);
	if (op == 0xba || op == 0xa4 || op == 0xac)
		put(p, take(p));
}

/* What shows the flags. */
static void reads_flags(struct program *p)
{
	unsigned b = take(p), cond = b & 15;

	switch (b >> 4 & 7) {
	case 0:
	case 1: put(p, 0x0f), put(p, 0x90 | cond), put_operand(p, 0); break;
	case 2: put(p, 0x0f), put(p, 0x40 | cond), put_operand(p, some_register(p)); break;
	case 3: put(p, 0x9c), put(p, 0x58 | some_register(p)); break;
	case 4: put(p, 0x9f); break;
	case 5: put(p, 0x83), put_operand(p, 2 + (cond & 1)), put(p, take(p)); break;
	case 6: put(p, 0xd1), put_operand(p, 2 + (cond & 1)); break;
	default: put(p, cond & 1 ? 0x9e : cond & 2 ? 0xf9 : cond & 4 ? 0xf5 : 0xf8); break;
	}
}

static void x87(struct program *p)
{
	unsigned b = take(p), op = 0xd8 | (b & 7), reg = b >> 3 & 7;

	/* No environments: what they show of the last operand is not exact (docs/status.md). */
	if (b & 0x40 && !(op == 0xd9 && (reg == 4 || reg == 6)) && !(op == 0xdd && (reg == 4 || reg == 6))) {
		put(p, op);
		put_memory(p, reg);
	} else {
		put(p, op);
		put(p, 0xc0 | (take(p) & 0x3f));
	}
}

static void sse(struct program *p)
{
	static const uint8_t prefixes[4] = { 0, 0x66, 0xf3, 0xf2 };
	static const uint8_t ops[16] = { 0x10, 0x11, 0x28, 0x29, 0x58, 0x59, 0x5c, 0x6f,
					 0x7f, 0xef, 0x6e, 0x7e, 0xd6, 0x2e, 0x5a, 0xe6 };
	unsigned b = take(p), op = take(p);

	if (prefixes[b & 3])
		put(p, prefixes[b & 3]);
	put_rex(p, 0xc);
	put(p, 0x0f);
	op = b & 4 ? ops[op & 15] : 0x50 | (op & 0x2f);
	put(p, op);
	put_operand(p, b >> 3 & 7);
	if (op >= 0x70 && op <= 0x73)
		put(p, take(p));
}

static void avx(struct program *p)
{
	unsigned b = take(p), second = take(p), op = take(p);

	if (b & 0x80) {
		put(p, 0xc5);
		put(p, 0x80 | (second & 0x7f));
		put(p, b & 0x40 ? 0x10 | (op & 0x3f) : 0x50 | (op & 0xaf));
	} else {
		put(p, 0xc4);
		put(p, 0xe0 | (1 + (b & 1)));
		put(p, second);
		put(p, op);
	}
	put_operand(p, b >> 3 & 7);
}

static void string(struct program *p)
{
	static const uint8_t ops[8] = { 0xa4, 0xaa, 0xa5, 0xab, 0xa4, 0xab, 0xac, 0xae };
	unsigned b = take(p);

	mov_imm(p, 6, some_place(p));
	mov_imm(p, 7, some_place(p));
	mov_imm(p, 1, b & 0x80 ? take(p) : take(p) & 15);
	if (b & 0x40)
		put(p, b & 0x20 ? 0xfd : 0xfc);
	if (b & 8)
		put(p, b & 16 ? 0xf2 : 0xf3);
	put_rex(p, 8);
	put(p, ops[b & 7]);
	put(p, 0xfc);
}

static void push_pop(struct program *p)
{
	unsigned b = take(p), n = 1 + (b & 7), k;

	for (k = 0; k < n; k++) {
		unsigned how = take(p);

		if (how & 0x80 && !p->is32)
			put(p, 0x41);
		if (how & 0x40)
			put(p, 0x6a), put(p, how);
		else
			put(p, 0x50 | (how & 7));
	}
	for (k = 0; k < n; k++) {
		unsigned how = take(p), reg = how & 7;

		if (how & 0x80 && !p->is32)
			put(p, 0x41);
		put(p, 0x58 | (reg == 4 ? 0 : reg));
	}
}

/* --- what the privileged do ------------------------------------------------------------------------------------------------ */

static void everyone(struct program *p, unsigned b)
{
	switch (b & 7) {
	case 0: PUT(p, "\x0f\x05"); break; /* syscall */
	case 1: put(p, 0xcd), put(p, QUIET_VECTOR); break;
	case 2: put(p, 0xcd), put(p, 0x30 | b >> 3); break;
	case 3: put(p, 0xcc); break;
	case 4: PUT(p, "\xf3\x90"); break;
	case 5:
		put(p, 0xf3), put_rex(p, 8), PUT(p, "\x0f\xae"), put(p, 0xc0 | (b >> 3 & 3) << 3 | some_register(p));
		break;
	case 6: PUT(p, "\x0f\xae"), put(p, 0xe8 | (b >> 3 & 1 ? 0x10 : 0)); break;
	default: put(p, b & 8 ? 0xf1 : 0xce); break;
	}
}

static void privileged(struct program *p)
{
	unsigned b = take(p);

	if (!(p->in->flags & CODE_KERNEL) || b & 0x40) {
		everyone(p, b);
		return;
	}
	switch (b & 15) {
	case 0:
	case 1: mov_imm(p, 0, (b & 0x10 ? GUEST_PML4_B : GUEST_PML4)), PUT(p, "\x0f\x22\xd8"); break;
	case 2:
		mov_imm(p, 3, some_place(p));
		if (b & 0x20)
			PUT(p, "\x48\x81\xcb\x00\x00\x00\x80"); /* or rbx, HIGH */
		PUT(p, "\x0f\x01\x3b");                         /* invlpg [rbx] */
		break;
	case 3: put(p, 0xfa); break;
	case 4: put(p, 0xfb); break;
	case 5: PUT(p, "\x0f\x01\xca"); break; /* clac */
	case 6: PUT(p, "\x0f\x01\xcb"); break; /* stac */
	case 7: PUT(p, "\x0f\x01\xf8\x0f\x01\xf8"); break;
	case 8: PUT(p, "\x0f\x20\xc0\x0f\x22\xc0"); break; /* mov rax, cr0; mov cr0, rax */
	case 9:
		PUT(p, "\x0f\x20\xe0"); /* mov rax, cr4 */
		if (b & 0x20)
			PUT(p, "\x34\x80"); /* xor al, CR4.PGE */
		PUT(p, "\x0f\x22\xe0");
		break;
	case 10: PUT(p, "\x0f\x20\xc0\x83\xf0\x08\x0f\x22\xc0"); break; /* CR0.TS the other way round */
	case 11: PUT(p, "\x0f\x06"); break;
	case 12: PUT(p, "\xe7\x70"); break; /* out 70, eax */
	case 13: PUT(p, "\xe5\x71"); break;
	case 14:
		mov_imm(p, 1, 0xc0000100 + (b >> 4 & 1)), PUT(p, "\x99\x25\xff\xff\xff\x00\x0f\x30");
		break; /* wrmsr */
	default: PUT(p, "\x0f\x20\xd0\x0f\x20\xd8"); break;
	}
}

/* --- shapes -------------------------------------------------------------------------------------------------------------------- */

static void statements(struct program *p, unsigned n);

static void patch(struct program *p, unsigned at)
{
	uint32_t rel = p->len - at - 4;

	memcpy(p->code + at, &rel, 4);
}

static void branch(struct program *p)
{
	unsigned b = take(p), at;

	if (b & 0x80) {
		put(p, 0x70 | (b & 15));
		at = p->len;
		put(p, 0);
		statements(p, 1);
		if (p->len - at - 1 < 128)
			p->code[at] = (uint8_t)(p->len - at - 1);
		return;
	}
	put(p, 0x0f), put(p, 0x80 | (b & 15));
	at = p->len;
	put32(p, 0);
	statements(p, 1 + (b >> 4 & 3));
	patch(p, at);
}

/* mov dword [cell], n; ...; dec or sub dword [cell]; jnz. Or by LOOP, which what is inside may disturb. */
static void loop(struct program *p)
{
	unsigned b = take(p), cell = (unsigned)LOOP_CELLS + 8 * p->depth, start,
		 n = 1 + take(p) % (p->depth > 1 ? 9 : 40);

	PUT(p, "\xc7\x04\x25"), put32(p, cell), put32(p, n);
	start = p->len;
	statements(p, 1 + (b & 3));
	PUT(p, "\xff\x0c\x25"), put32(p, cell);
	if (b & 0x10)
		reads_flags(p), PUT(p, "\x83\x3c\x25"), put32(p, cell), put(p, 0);
	PUT(p, "\x0f\x85"), put32(p, start - p->len - 4);
}

static void note_call(struct program *p, unsigned function, bool absolute)
{
	if (p->nr_fixups == FIXUPS)
		return;
	p->fixup[p->nr_fixups].at = p->len;
	p->fixup[p->nr_fixups].function = function;
	p->fixup[p->nr_fixups++].absolute = absolute;
}

/* Functions stand behind the main program and call only later ones. */
static void call(struct program *p)
{
	unsigned b = take(p), function = b & 3;

	if (p->in_function || p->nr_fixups == FIXUPS) {
		PUT(p, "\xe8\x00\x00\x00\x00"), put(p, 0x58 | some_register(p));
		return;
	}
	switch (b >> 4 & 3) {
	case 0:
	case 1: put(p, 0xe8), note_call(p, function, false), put32(p, 0); break;
	case 2:
		put(p, 0xb8), note_call(p, function, true), put32(p, 0);
		PUT(p, "\xff\xd0");
		break;
	default:
		put(p, 0xb8), note_call(p, function, true), put32(p, 0);
		put_rex(p, 0);
		PUT(p, "\x50\xff\x14\x24\x58"); /* push rax; call [rsp]; pop rax */
	}
}

/* Into itself n times, by a stack of its own: deeper than the host's stack of calls, too. */
static void recursion(struct program *p)
{
	unsigned b = take(p), n = b & 0x80 ? 100 * take(p) / 2 : take(p) & 31, start;

	if (p->in_function || p->is32)
		return;
	PUT(p, "\x48\x89\xe0"), put(p, 0xbc), put32(p, (uint32_t)DEEP_STACK),
		put(p, 0x50); /* mov rax, rsp; mov esp; push */
	mov_imm(p, 1, n);
	PUT(p, "\xe8\x02\x00\x00\x00\xeb\x0d"); /* call f; jmp behind */
	start = p->len;
	PUT(p, "\xff\xc9\x78\x08\xe8"), put32(p, start - p->len - 4); /* f: dec ecx; js out; call f */
	PUT(p, "\x01\xc8\x90\xc3\x5c");                               /* add eax, ecx; nop; out: ret; pop rsp */
	p->code[start + 3] = (uint8_t)(p->len - 2 - start - 4);
	p->code[start - 1] = (uint8_t)(p->len - 1 - start);
}

/* A frame: push rbp; mov rbp, rsp; sub; accesses; leave. */
static void frame(struct program *p)
{
	unsigned b = take(p), n = 1 + (b & 7);

	put(p, 0x55);
	if (!p->is32)
		put(p, 0x48);
	PUT(p, "\x89\xe5");
	if (!p->is32)
		put(p, 0x48);
	put(p, 0x81), put(p, 0xec), put32(p, b & 0x80 ? 0x100 + 8 * (b & 0x3f) : 0x40);
	while (n-- > 0) {
		unsigned how = take(p);

		put_rex(p, 0xc);
		put(p, how & 0x80 ? 0x89 : how & 0x40 ? 0x03 : 0x8b);
		if (how & 0x20)
			put(p, 0x44 | some_register(p) << 3), put(p, 0x24), put(p, how & 0x1f);
		else
			put(p, 0x45 | some_register(p) << 3), put(p, 0 - (how & 0x1f) * 2);
	}
	if (b & 0x40)
		statements(p, 1);
	put(p, 0xc9);
}

/* Accesses in a row off one register, with sums in between: a group. */
static void fields(struct program *p)
{
	static const uint8_t regs[8] = { 3, 5, 6, 7, 6, 7, 3, 5 };
	unsigned b = take(p), n = 2 + (b & 7), base = regs[b >> 3 & 7];

	mov_imm(p, base, some_place(p));
	while (n-- > 0) {
		unsigned how = take(p);

		if (how & 0x10) {
			if (!p->is32)
				put(p, 0x48);
			put(p, 0x83), put(p, (how & 0x20 ? 0xe8 : 0xc0) | base), put(p, how & 15);
			continue;
		}
		put_rex(p, 0xc);
		put(p, how & 0x80 ? 0x89 : how & 0x40 ? 0x03 : 0x8b);
		put(p, 0x40 | (some_register(p) == base ? 0 : some_register(p)) << 3 | base);
		put(p, (how & 15) * 8);
	}
}

/* An access by an index of few values. */
static void table(struct program *p)
{
	unsigned b = take(p), reg = b & 1 ? 1 : 2;

	mov_imm(p, 6, some_place(p));
	if (b & 2)
		put(p, 0x0f), put(p, 0xb6), put_operand(p, reg);
	else
		put(p, 0x83), put(p, 0xe0 | reg), put(p, take(p) & 0x7f);
	if (b & 0x80)
		reads_flags(p);
	put_rex(p, 8);
	put(p, b & 4 ? 0x89 : 0x8b), put(p, 0x44), put(p, (b >> 4 & 3) << 6 | reg << 3 | 6), put(p, take(p));
}

static void victim(struct program *p)
{
	p->victim = p->len;
	mov_imm(p, some_register(p), take32(p));
}

/* A store into the last victim, or near it, through one of the code's addresses. */
static void patch_code(struct program *p)
{
	unsigned b = take(p);
	uint32_t to = address(p, p->victim) + (b & 0x80 ? 1 : b >> 3 & 7);

	if (b & 0x40)
		to += CODE_WINDOW;
	switch (b & 3) {
	case 0: PUT(p, "\xc6\x04\x25"), put32(p, to), put(p, take(p)); break;
	case 1: PUT(p, "\xc7\x04\x25"), put32(p, to), put32(p, take32(p)); break;
	case 2: PUT(p, "\xff\x04\x25"), put32(p, to); break;
	default: mov_imm(p, 7, to), put(p, b & 4 ? 0xab : 0xaa); break;
	}
}

/* Go on at another address of the code, or at the first one. */
static void elsewhere(struct program *p)
{
	unsigned b = take(p);
	bool high = p->in->flags & CODE_KERNEL && b & 2;
	uint32_t to = address(p, p->len + (high ? 9 : 7)) + (b & 1 ? CODE_ALIAS : 0);

	if (high)
		PUT(p, "\x48\xc7\xc0"), put32(p, to | (uint32_t)HIGH); /* mov rax, imm32 */
	else
		mov_imm(p, 0, to);
	PUT(p, "\xff\xe0"); /* jmp rax */
}

/* In the other one of 64-bit and 32-bit code. */
static void other_mode(struct program *p)
{
	unsigned b = take(p);

	if (p->in->flags & CODE_KERNEL || p->in_function || p->depth > 1)
		return;
	if (p->is32) {
		put(p, 0xea), put32(p, address(p, p->len + 6)), put(p, USER_CS64), put(p, 0); /* jmp far */
	} else {
		put(p, 0x6a), put(p, USER_CS32), put(p, 0x68), put32(p, address(p, p->len + 6));
		PUT(p, "\x48\xcb"); /* push; push; retf: to here */
	}
	p->is32 = !p->is32;
	p->depth++;
	if (p->is32 && b & 0x80)
		PUT(p, "\x89\xc0\x89\xc9\x89\xd2\x89\xdb\x89\xe4\x89\xed\x89\xf6\x89\xff");
	statements(p, 1 + (b & 7));
	p->depth--;
	if (p->is32) {
		put(p, 0xea), put32(p, address(p, p->len + 6)), put(p, USER_CS64), put(p, 0);
	} else {
		put(p, 0x6a), put(p, USER_CS32), put(p, 0x68), put32(p, address(p, p->len + 6));
		PUT(p, "\x48\xcb");
	}
	p->is32 = !p->is32;
}

/* On to near the end of a page. */
static void to_page_end(struct program *p)
{
	unsigned b = take(p), at = (p->start + p->len + 5) & 4095, skip = 4096 - at - (b & 15);

	if (at > 4000 || p->len + skip + 600 > p->room || p->depth)
		return;
	put(p, 0xe9), put32(p, skip);
	while (skip-- > 0)
		put(p, 0x90);
}

static void own_page(struct program *p)
{
	unsigned b = take(p);

	put_rex(p, 0xc);
	put(p, b & 1 ? 0x89 : b & 2 ? 0x03 : 0x8b);
	put(p, 5 | some_register(p) << 3);
	put32(p, p->is32 ? address(p, 4 * take(p)) : 0x200u + 4 * take(p));
}

static void (*const kinds[])(struct program *p) = {
	raw,    alu,       alu_immediate, load_pointer, group,       wide_map,   reads_flags, x87,
	sse,    avx,       string,        push_pop,     privileged,  branch,     loop,        call,
	fields, recursion, frame,         table,        victim,      patch_code, elsewhere,   other_mode,
	alu,    own_page,  to_page_end,   load_pointer, reads_flags, fields,     frame,       loop,
};

/*
 * Behind flags that are undefined: CMP AL, imm defines them all. What they are depends on what was in them before, which
 * translated code does not keep, so nothing must come of them. AF is as good as defined.
 */
static void define_flags(struct program *p, unsigned from)
{
	struct x86_insn i;
	uint64_t undefined = 0;

	for (; from < p->len; from += i.len) {
		if (x86_decode(&i, p->code + from, p->len - from, p->is32 ? X86_MODE_PROT32 : X86_MODE_LONG, NULL) !=
		    X86_DECODE_OK)
			break;
		undefined |= x86_op_undefined[i.op];
	}
	if (undefined & ~(uint64_t)RFLAGS_AF)
		put(p, 0x3c), put(p, 0x40);
}

static void statement(struct program *p)
{
	unsigned kind = take(p) % (sizeof(kinds) / sizeof(kinds[0])), from = p->len;
	bool shape = kinds[kind] == loop || kinds[kind] == branch || kinds[kind] == frame || kinds[kind] == other_mode;

	if (shape && p->depth > DEPTH_MAX) {
		alu(p);
		return;
	}
	kinds[kind](p);
	if (!shape)
		define_flags(p, from);
}

static void statements(struct program *p, unsigned n)
{
	p->depth++;
	while (n-- > 0 && p->left && !full(p))
		statement(p);
	p->depth--;
}

static void fix_calls(struct program *p, unsigned function)
{
	unsigned n;

	for (n = 0; n < p->nr_fixups; n++) {
		uint32_t to = p->fixup[n].absolute ? address(p, p->len) : p->len - p->fixup[n].at - 4;

		if (p->fixup[n].function == function)
			memcpy(p->code + p->fixup[n].at, &to, 4);
	}
}

static void make_function(struct program *p, unsigned function)
{
	unsigned b = take(p);

	fix_calls(p, function);
	statements(p, 1 + (b & 3));
	switch (b >> 4) {
	case 0: PUT(p, "\x59\xff\xe1"); break; /* pop rcx; jmp rcx */
	case 1: PUT(p, "\xf3\xc3"); break;
	case 2:
		if (!p->is32)
			PUT(p, "\x5a\x48\x83\xec\x08\x52\xc2\x08\x00"); /* pop; sub rsp, 8; push; ret 8 */
		else
			PUT(p, "\x5a\x83\xec\x04\x52\xc2\x04\x00");
		break;
	default: put(p, 0xc3);
	}
}

static size_t make_program(const struct code_input *in, const uint8_t *script, size_t len, uint8_t *code, size_t room)
{
	struct program p = { .in = in, .script = script, .left = len, .code = code, .room = (unsigned)room };
	unsigned n;

	p.is32 = in->flags & CODE_32BIT && !(in->flags & CODE_KERNEL);
	victim(&p);
	while (p.left > len / 3 && !full(&p))
		statements(&p, 1);
	put(&p, 0xcd), put(&p, END_VECTOR);
	p.in_function = true;
	for (n = 0; n < FUNCTIONS; n++)
		make_function(&p, n);
	return p.len;
}

static void save_code(const uint8_t *code, size_t len)
{
	const char *name = getenv("FUZZ_CODE");
	FILE *f = name ? fopen(name, "w") : NULL;

	if (f && (fwrite(code, 1, len, f) != len || fclose(f)))
		perror(name);
}

bool split_input(const uint8_t *data, size_t size, struct code_input *in, const uint8_t **code, size_t *len)
{
	static uint8_t program[PROGRAM_ROOM];

	if (size < sizeof(*in) || size > sizeof(*in) + 4096)
		return false;
	memcpy(in, data, sizeof(*in));
	*code = data + sizeof(*in);
	*len = size - sizeof(*in);
	if (in->flags & CODE_PROGRAM && !getenv("FUZZ_RAW")) {
		*len = make_program(in, *code, *len, program, sizeof(program));
		*code = program;
	}
	save_code(*code, *len);
	return true;
}
