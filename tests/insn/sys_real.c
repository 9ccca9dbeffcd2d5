/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* System behaviour of real mode: reset, interrupts, far branches, unreal mode, the way to protected mode. */
#include "sys_env.h"

SYS_TEST(reset_state, "sys: state after RESET and INIT")
{
	struct sys_env *e = sys_real();
	struct x86_state *s = &e->s;

	s->cr0 = 0x80000001 | CR0_CD;
	s->lstar = 5;
	x86_reset(s, true);
	EXPECT_EQ(s->cr0, CR0_CD | CR0_ET);
	EXPECT_EQ(s->lstar, 5);
	x86_reset(s, false);
	EXPECT_EQ(s->cr0, 0x60000010);
	EXPECT_EQ(s->lstar, 0);
	EXPECT_EQ(s->rip, 0xfff0);
	EXPECT_EQ(s->seg[SEG_CS].sel, 0xf000);
	EXPECT_EQ(s->seg[SEG_CS].base, 0xffff0000);
	EXPECT_EQ(s->seg[SEG_CS].attr, 0x9b);
	EXPECT_EQ(s->seg[SEG_DS].attr, 0x93);
	EXPECT_EQ(s->rflags, 2);
	EXPECT_EQ(s->gpr[X86_RDX], 0x663);
	EXPECT_EQ(s->gpr[X86_RAX], 0);
	EXPECT_EQ(s->dr6, 0xffff0ff0);
	EXPECT_EQ(s->dr7, 0x400);
	EXPECT_EQ(s->xcr0, 1);
	EXPECT_EQ(*(u16 *)s->xsave, 0x37f);
	EXPECT_EQ(*(u32 *)((u8 *)s->xsave + 24), 0x1f80);
	EXPECT_EQ(s->mode, X86_MODE_REAL);
	EXPECT_EQ(s->idt.limit, 0xffff);
}

SYS_CODE_DEF(real_int, 16, "int 0x21");

SYS_TEST(real_int_frame, "sys: real mode INT n: frame, flags cleared")
{
	struct sys_env *e = sys_real();
	struct x86_state *s = &e->s;

	s->rflags |= RFLAGS_IF | RFLAGS_TF | RFLAGS_AC | RFLAGS_CF;
	SYS_EXEC(e, real_int);
	EXPECT_VECTOR(e, 0x21);
	EXPECT_EQ(s->gpr[X86_RSP], 0xfefa);
	EXPECT_EQ(sys_stack(e, 0, 2), 2);
	EXPECT_EQ(sys_stack(e, 1, 2), SYS_CODE >> 4);
	EXPECT_EQ(sys_stack(e, 2, 2), 0x303);
	EXPECT_EQ(s->rflags, RFLAGS_FIXED | RFLAGS_CF);
	EXPECT_EQ(s->seg[SEG_CS].sel, SYS_HANDLERS >> 4);
	EXPECT_EQ(s->seg[SEG_CS].attr, 0x93);
}

SYS_TEST(real_int_limit, "sys: real mode: vector outside the IDT limit is #GP")
{
	struct sys_env *e = sys_real();

	e->s.idt.limit = 0x21 * 4 + 2;
	SYS_EXEC(e, real_int);
	EXPECT_VECTOR(e, 13);
	EXPECT_EQ(sys_stack(e, 0, 2), 0);
	EXPECT_EQ(e->s.gpr[X86_RSP], 0xfefa);
	/* #GP, then #DF: nothing to be found. */
	e = sys_real();
	e->s.idt.limit = 0;
	EXPECT_EQ(SYS_EXEC(e, real_int), X86_SHUTDOWN);
	EXPECT_EQ(e->s.rip, 0);
	/* #GP unreachable, #DF reachable. */
	e = sys_real();
	e->s.idt.limit = 9 * 4 - 1;
	SYS_EXEC(e, real_int);
	EXPECT_VECTOR(e, 8);
}

SYS_TEST(real_stack, "sys: real mode: stack wraps between words, not inside one")
{
	struct sys_env *e = sys_real();

	e->s.gpr[X86_RSP] = 0xabcd0002;
	SYS_EXEC(e, real_int);
	EXPECT_VECTOR(e, 0x21);
	EXPECT_EQ(e->s.gpr[X86_RSP], 0xabcdfffc);
	EXPECT_EQ(sys_read(e, 0x10000, 2), 2); /* overwrote the code; flags */
	EXPECT_EQ(sys_read(e, 0x1fffc, 2), 2); /* IP */
	EXPECT_EQ(sys_read(e, 0x1fffe, 2), 0x1000);
	e = sys_real();
	e->s.gpr[X86_RSP] = 1;
	EXPECT_EQ(SYS_EXEC(e, real_int), X86_SHUTDOWN);
	EXPECT_EQ(e->s.gpr[X86_RSP], 1);
	/* The stack segment's limit: SDM, INT n, "#SS if the stack has no room". */
	e = sys_real();
	e->s.seg[SEG_SS].limit = 0xff;
	EXPECT_EQ(SYS_EXEC(e, real_int), X86_SHUTDOWN);
}

SYS_CODE_DEF(real_iret16, 16, "push 0x3247; push 0x1000; push 0x123; iret");
SYS_CODE_DEF(real_iret32, 16, "mov eax, 0x3c7fd7; push eax; push 0; push 0x1000; push 0; push 0x123; .byte 0x66; iret");

SYS_TEST(real_iret, "sys: real mode IRET")
{
	struct sys_env *e = sys_real();

	e->ram[SYS_CODE + 0x123] = 0xf4;
	EXPECT_EQ(SYS_EXEC(e, real_iret16), X86_EXIT);
	EXPECT_EQ(e->s.rip, 0x124);
	EXPECT_EQ(e->s.rflags, 0x3247);
	EXPECT_EQ(e->s.gpr[X86_RSP], 0xff00);
	e = sys_real();
	e->ram[SYS_CODE + 0x123] = 0xf4;
	e->s.rflags |= RFLAGS_VIP;
	SYS_LOAD(e, SYS_CODE, real_iret32);
	EXPECT_EQ(sys_run(e, 7), X86_OK);
	EXPECT_EQ(e->s.rip, 0x123);
	/* VM, VIF, VIP are not loaded; RF is, and lasts for one instruction. */
	EXPECT_EQ(e->s.rflags, (0x3c7fd7 & 0x257fd5) | RFLAGS_FIXED | RFLAGS_VIP);
	EXPECT_EQ(e->s.gpr[X86_RSP], 0xff00);
	sys_run(e, 1);
	EXPECT_EQ(e->s.rflags & RFLAGS_RF, 0);
}

SYS_CODE_DEF(real_far, 16, "call 0x1000:0x200; mov bx, 7; hlt; .org 771b + 0x200; mov cx, 9; push ds; pop es; retf 0");
SYS_CODE_DEF(real_far_limit, 16, ".byte 0x66, 0xea; .long 0x10000; .word 0x1000");

SYS_TEST(real_far_branches, "sys: real mode far CALL, RETF, JMP beyond the limit")
{
	struct sys_env *e = sys_real();

	EXPECT_DONE(e, real_far);
	EXPECT_EQ(e->s.gpr[X86_RBX], 7);
	EXPECT_EQ(e->s.gpr[X86_RCX], 9);
	EXPECT_EQ(e->s.gpr[X86_RSP], 0xff00);
	SYS_EXEC(e, real_far_limit);
	EXPECT_VECTOR(e, 13);
}

SYS_CODE_DEF(real_sreg, 16,
	     "mov ax, 0x1234; mov ds, ax; push 0x4567; pop es; mov bx, 0x300; mov dword ptr cs:[bx], 0x77778888;"
	     "lfs cx, cs:[bx]; mov ax, fs; mov dx, ds");

SYS_TEST(real_segment_loads, "sys: real mode segment loads keep limit and rights")
{
	struct sys_env *e = sys_real();

	e->s.seg[SEG_DS].limit = 0xffffffff;
	e->s.seg[SEG_DS].attr |= SEG_G;
	EXPECT_DONE(e, real_sreg);
	EXPECT_EQ(e->s.seg[SEG_DS].base, 0x12340);
	EXPECT_EQ(e->s.seg[SEG_DS].limit, 0xffffffff);
	EXPECT_EQ(e->s.seg[SEG_ES].base, 0x45670);
	EXPECT_EQ(e->s.seg[SEG_FS].sel, 0x7777);
	EXPECT_EQ(e->s.gpr[X86_RCX], 0x8888);
	EXPECT_EQ(e->s.gpr[X86_RAX], 0x7777);
	EXPECT_EQ(e->s.gpr[X86_RDX], 0x1234);
}

SYS_CODE_DEF(real_limit, 16, "mov bx, 0xffff; mov ax, [bx]");
SYS_CODE_DEF(real_limit_ss, 16, "mov bp, 0xffff; mov ax, [bp]");
SYS_CODE_DEF(real_limit32, 16, "mov ebx, 0x10000; mov al, [ebx]");

SYS_TEST(real_limits, "sys: real mode: 64 KiB limit is #GP, #SS for the stack segment")
{
	struct sys_env *e = sys_real();

	SYS_EXEC(e, real_limit);
	EXPECT_VECTOR(e, 13);
	EXPECT_EQ(sys_stack(e, 0, 2), 3);
	e = sys_real();
	SYS_EXEC(e, real_limit_ss);
	EXPECT_VECTOR(e, 12);
	e = sys_real();
	SYS_EXEC(e, real_limit32);
	EXPECT_VECTOR(e, 13);
	e = sys_real();
	e->s.seg[SEG_DS].limit = 0xffffffff;
	e->s.seg[SEG_DS].attr |= SEG_G;
	e->ram[0x10000] = 0;
	EXPECT_DONE(e, real_limit32);
	EXPECT_EQ(e->s.gpr[X86_RAX], 0x66); /* the first byte of the code itself */
}

SYS_CODE_DEF(real_to_prot, 16,
	     "lgdt cs:[0x80]; mov eax, cr0; or al, 1; mov cr0, eax; .byte 0x66, 0xea; .long 0x10040; .word 8;"
	     ".org 771b + 0x40; .code32; mov ax, 0x10; mov ds, ax; mov ss, ax; mov esp, 0x20000; mov dword ptr "
	     "[0x50000], 0x5a5a;"
	     "hlt; .org 771b + 0x80; .word 0xff; .long 0x1000");

SYS_TEST(real_enter_protected, "sys: from real to protected mode")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;
	unsigned k;

	s->cr0 &= ~(u64)CR0_PE;
	for (k = 0; k < SEG_COUNT; k++)
		s->seg[k] = (struct x86_seg){ .sel = 0x1000, .base = 0x10000, .limit = 0xffff, .attr = 0x93 };
	x86_update_mode(s);
	EXPECT_EQ(s->mode, X86_MODE_REAL);
	e->mode_changes = e->flushes = 0;
	EXPECT_DONE(e, real_to_prot);
	EXPECT_EQ(s->mode, X86_MODE_PROT32);
	EXPECT_EQ(sys_read(e, 0x50000, 4), 0x5a5a);
	EXPECT_EQ(s->gdt.limit, 0xff);
	EXPECT(e->mode_changes >= 2);
	EXPECT(e->flushes >= 1);
	EXPECT_EQ(s->seg[SEG_CS].sel, 8);
}

SYS_CODE_DEF(
	prot_to_real, 32,
	"mov ax, 0x50; mov ds, ax; mov ss, ax; ljmp 0x58:0x40; .org 771b + 0x40; .code16; mov eax, cr0; and al, 0xfe;"
	"mov cr0, eax; ljmp 0x1000:0x80; .org 771b + 0x80; mov ax, 0x5000; mov ds, ax; mov ebx, 0x20000; mov byte ptr "
	"[ebx], 7");

SYS_TEST(unreal_mode, "sys: back to real mode keeps the limits")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;

	sys_set_desc(e, 0x50, sys_desc(0, 0xfffff, D_P | D_DATA, F_G));
	sys_set_desc(e, 0x58, sys_desc(SYS_CODE, 0xffff, D_P | D_CODE, 0));
	EXPECT_EQ(SYS_EXEC(e, prot_to_real), X86_EXIT);
	EXPECT_EQ(s->mode, X86_MODE_REAL);
	EXPECT_EQ(s->seg[SEG_DS].base, 0x50000);
	EXPECT_EQ(s->seg[SEG_DS].limit, 0xffffffff);
	EXPECT_EQ(sys_read(e, 0x70000, 1), 7);
}

SYS_CODE_DEF(real_shadow, 16, "sti; mov ss, ax; mov ss, ax; nop; sti; cli; sti; nop");

SYS_TEST(shadows, "sys: interrupt shadows of STI and MOV SS last one instruction")
{
	static const u8 want[] = {
		X86_SHADOW_STI, X86_SHADOW_MOV_SS, 0, 0, 0, 0, X86_SHADOW_STI, 0,
	};
	struct sys_env *e = sys_real();
	unsigned k;

	SYS_LOAD(e, SYS_CODE, real_shadow);
	for (k = 0; k < ARRAY_SIZE(want); k++) {
		sys_run(e, 1);
		if (e->s.shadow != want[k])
			insn_fail("after instruction %u: shadow %u, expected %u", k, e->s.shadow, want[k]);
	}
	EXPECT_EQ(e->events, 2);
}

SYS_CODE_DEF(real_prot_only, 16, "sldt ax");
SYS_CODE_DEF(real_lar, 16, "lar ax, bx");
SYS_CODE_DEF(real_ltr, 16, "ltr ax");

SYS_TEST(real_undefined, "sys: instructions that real mode does not have")
{
	struct sys_env *e = sys_real();

	SYS_EXEC(e, real_prot_only);
	EXPECT_VECTOR(e, 6);
	e = sys_real();
	SYS_EXEC(e, real_lar);
	EXPECT_VECTOR(e, 6);
	e = sys_real();
	SYS_EXEC(e, real_ltr);
	EXPECT_VECTOR(e, 6);
}

SYS_TEST(classes, "sys: double faults by class")
{
	static const struct {
		u8 first, second, result; /* 0xff: shutdown */
	} t[] = {
		{ 13, 13, 8 },   { 13, 14, 14 }, { 14, 13, 8 }, { 14, 14, 8 },  { 0, 11, 8 },
		{ 6, 13, 13 },   { 13, 6, 6 },   { 1, 14, 14 }, { 14, 17, 17 }, { 8, 13, 0xff },
		{ 8, 14, 0xff }, { 10, 12, 8 },  { 3, 14, 14 },
	};
	unsigned k;

	for (k = 0; k < ARRAY_SIZE(t); k++) {
		struct x86_event a = { .type = X86_EVENT_EXC, .vector = t[k].first };
		struct x86_event b = { .type = X86_EVENT_EXC, .vector = t[k].second }, out;
		enum x86_result r = x86_combine_events(&a, &b, &out);
		unsigned got = r == X86_SHUTDOWN ? 0xff : out.vector;

		if (got != t[k].result)
			insn_fail("%u then %u gives %u, expected %u", t[k].first, t[k].second, got, t[k].result);
		a.type = X86_EVENT_INTR;
		EXPECT_EQ(x86_combine_events(&a, &b, &out), X86_OK);
		EXPECT_EQ(out.vector, t[k].second);
	}
}
