/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* System behaviour of 32-bit protected mode: delivery, IRET, far transfers, segment loads, limits. */
#include "sys_env.h"

#define SEL_TEST_PTR "0x50"

/* --- delivery ------------------------------------------------------------------------------------------- */

SYS_CODE_DEF(p_int80, 32, "nop; int 0x80");
SYS_CODE_DEF(p_int3, 32, "int3");
SYS_CODE_DEF(p_into, 32, "mov al, 0x7f; inc al; into");
SYS_CODE_DEF(p_int1, 32, "int1");
SYS_CODE_DEF(p_ud2, 32, "nop; ud2");
SYS_CODE_DEF(p_int40, 32, "int 0x40");

SYS_TEST(p_int_inner, "sys: protected mode INT n from CPL 3 to CPL 0")
{
	struct sys_env *e = sys_prot(3);
	struct x86_state *s = &e->s;

	s->rflags |= RFLAGS_IF | RFLAGS_IOPL;
	SYS_EXEC(e, p_int80);
	EXPECT_VECTOR(e, 0x80);
	EXPECT_EQ(s->gpr[X86_RSP], SYS_STACK0 - 20);
	EXPECT_EQ(sys_stack(e, 0, 4), SYS_CODE + 3);
	EXPECT_EQ(sys_stack(e, 1, 4), USER_CS32 | 3);
	EXPECT_EQ(sys_stack(e, 2, 4), RFLAGS_FIXED | RFLAGS_IF | RFLAGS_IOPL);
	EXPECT_EQ(sys_stack(e, 3, 4), SYS_STACK3);
	EXPECT_EQ(sys_stack(e, 4, 4), USER_DS | 3);
	EXPECT_EQ(s->cpl, 0);
	EXPECT_EQ(s->seg[SEG_SS].sel, KERNEL_DS);
	EXPECT_EQ(s->seg[SEG_DS].sel, USER_DS | 3);
	EXPECT_EQ(s->rflags, RFLAGS_FIXED | RFLAGS_IOPL);
	e = sys_prot(0);
	SYS_EXEC(e, p_int80);
	EXPECT_VECTOR(e, 0x80);
	EXPECT_EQ(s->gpr[X86_RSP], SYS_STACK0 - 12);
	/* A 16-bit gate pushes words. */
	e = sys_prot(3);
	sys_set_idt(e, 0x80, sys_gate(KERNEL_CS, 0xffff0000 | 0x400, D_P | D_DPL(3) | 6));
	e->ram[0x400] = 0xf4;
	SYS_EXEC(e, p_int80);
	EXPECT_EQ(s->rip, 0x401);
	EXPECT_EQ(s->gpr[X86_RSP], SYS_STACK0 - 10);
	EXPECT_EQ(sys_stack(e, 0, 2), 3);
	EXPECT_EQ(sys_stack(e, 4, 2), USER_DS | 3);
}

SYS_TEST(p_software, "sys: INT3, INTO, INT1 and the gate's DPL")
{
	struct sys_env *e = sys_prot(3);

	SYS_EXEC(e, p_int3);
	EXPECT_VECTOR(e, 3);
	EXPECT_EQ(sys_stack(e, 0, 4), SYS_CODE + 1);
	EXPECT_EQ(sys_stack(e, 2, 4), RFLAGS_FIXED);
	e = sys_prot(3);
	SYS_EXEC(e, p_into);
	EXPECT_VECTOR(e, 4);
	EXPECT_EQ(sys_stack(e, 0, 4), SYS_CODE + 5);
	e = sys_prot(3);
	sys_set_idt(e, 3, sys_gate(KERNEL_CS, SYS_HANDLER(3), D_P | 14));
	EXPECT_FAULT(e, p_int3, 13, 3 * 8 + 2, 4);
	EXPECT_EQ(sys_stack(e, 1, 4), SYS_CODE);
	e = sys_prot(3);
	EXPECT_FAULT(e, p_int40, 13, 0x40 * 8 + 2, 4);
	/* INT1 needs no DPL. */
	e = sys_prot(3);
	SYS_EXEC(e, p_int1);
	EXPECT_VECTOR(e, 1);
	EXPECT_EQ(sys_stack(e, 0, 4), SYS_CODE + 1);
	EXPECT_EQ(e->s.dr6, DR6_FIXED1);
}

/* Make the TSS's SS0 a bad one; deliver #UD or INT 0x80 from CPL 3; the handler is reached by a task gate. */
static void expect_bad_stack(u64 desc, u16 sel, bool exception, unsigned vec, u32 err, int line)
{
	struct sys_env *e = sys_prot(3);
	struct x86_state *s = &e->s;

	sys_set_desc(e, SEL_TEST, desc);
	sys_write(e, SYS_TSS + 8, 2, sel);
	/* Task for #TS, #SS: flat, at the handler. */
	sys_write(e, SYS_TSS2 + 32, 4, SYS_HANDLER(vec));
	sys_write(e, SYS_TSS2 + 36, 4, 2);
	sys_write(e, SYS_TSS2 + 56, 4, SYS_IST1);
	sys_write(e, SYS_TSS2 + 76, 4, KERNEL_CS);
	sys_write(e, SYS_TSS2 + 80, 4, KERNEL_DS);
	sys_set_idt(e, vec, sys_gate(SEL_TSS2, 0, D_P | 5));
	if (exception)
		SYS_EXEC(e, p_ud2);
	else
		SYS_EXEC(e, p_int80);
	sys_expect_vector(e, vec, line);
	sys_expect_eq(sys_stack(e, 0, 4), err, "error code", line);
	sys_expect_eq(s->tr.sel, SEL_TSS2, "TR", line);
	/* The interrupted task: unharmed. */
	sys_expect_eq(sys_read(e, SYS_TSS + 32, 4), SYS_CODE + 1, "saved EIP", line);
	sys_expect_eq(sys_read(e, SYS_TSS + 56, 4), SYS_STACK3, "saved ESP", line);
	sys_expect_eq(sys_read(e, SYS_TSS + 76, 4), USER_CS32 | 3, "saved CS", line);
}

SYS_TEST(p_bad_stacks, "sys: inner stacks that the TSS has wrong: #TS, #SS")
{
	const u64 good = sys_desc(0, 0xfffff, D_P | D_DATA, F_G | F_DB);

	expect_bad_stack(good, 0, false, 10, 0, __LINE__);
	expect_bad_stack(good, 0, true, 10, 1, __LINE__);
	expect_bad_stack(good, SEL_TEST | 3, false, 10, SEL_TEST, __LINE__);
	expect_bad_stack(good | 3ull << 45, SEL_TEST, false, 10, SEL_TEST, __LINE__);
	expect_bad_stack(good & ~(2ull << 40), SEL_TEST, true, 10, SEL_TEST | 1, __LINE__);
	sys_no_reference("kvm-intel in Bochs does not come back");
	expect_bad_stack(good, 0x400, false, 10, 0x400, __LINE__);
	expect_bad_stack(good & ~(0x80ull << 40), SEL_TEST, false, 12, SEL_TEST, __LINE__);
	/* No room: #SS with the new selector. */
	expect_bad_stack(sys_desc(0, 0xff, D_P | D_DATA, F_DB), SEL_TEST, true, 12, SEL_TEST | 1, __LINE__);
}

SYS_TEST(p_tss_limit, "sys: TSS too short for the stack pointer")
{
	struct sys_env *e = sys_prot(3);

	e->s.tr.limit = 8;
	/* #TS, delivered with the same TSS: #DF, then shutdown. */
	EXPECT_EQ(SYS_EXEC(e, p_int80), X86_SHUTDOWN);
	EXPECT_EQ(e->s.cpl, 3);
	EXPECT_EQ(e->s.rip, SYS_CODE + 1);
}

SYS_TEST(p_conforming_handler, "sys: handler in a conforming segment stays at CPL 3")
{
	struct sys_env *e = sys_prot(3);

	sys_set_desc(e, SEL_TEST, sys_desc(0, 0xfffff, D_P | 0x1f, F_G | F_DB));
	sys_set_idt(e, 0x80, sys_gate(SEL_TEST, SYS_HANDLER(0x80), D_P | D_DPL(3) | 15));
	SYS_LOAD(e, SYS_CODE, p_int80);
	sys_run(e, 2);
	EXPECT_EQ(e->s.rip, SYS_HANDLER(0x80));
	EXPECT_EQ(e->s.cpl, 3);
	EXPECT_EQ(e->s.seg[SEG_CS].sel, SEL_TEST | 3);
	EXPECT_EQ(e->s.gpr[X86_RSP], SYS_STACK3 - 12);
	/* DPL above CPL is not reachable. */
	e = sys_prot(0);
	sys_set_idt(e, 0x80, sys_gate(USER_CS32, SYS_HANDLER(0x80), D_P | 14));
	EXPECT_FAULT(e, p_int80, 13, USER_CS32, 4);
}

/* --- IRET and RETF -------------------------------------------------------------------------------------------- */

SYS_CODE_DEF(p_iret_outer, 32,
	     "push 0x23; push 0x2fff0; push 0x3203; push 0x1b; push 0x10100; iretd; .org 771b + 0x100; mov ax, ds; int "
	     "0x80");
SYS_CODE_DEF(p_iret_inner, 32, "pushf; push 8; push 0x10100; iretd");
SYS_CODE_DEF(p_iret_rpl, 32, "pushf; push 0x19; push 0x10100; iretd");
SYS_CODE_DEF(p_iret_null, 32, "pushf; push 3; push 0x10100; iretd");
SYS_CODE_DEF(p_iret_data, 32, "pushf; push 0x10; push 0x10100; iretd");
SYS_CODE_DEF(p_iret_nullss, 32, "push 0; push 0x2fff0; pushf; push 0x1b; push 0x10100; iretd");
SYS_CODE_DEF(p_iret_flags, 32, "push 0x3c7fd7; push 0x1b; push 0x10100; iretd; .org 771b + 0x100; int 0x80");

SYS_TEST(p_iret, "sys: protected mode IRET")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;

	SYS_EXEC(e, p_iret_outer);
	EXPECT_VECTOR(e, 0x80);
	EXPECT_EQ(sys_stack(e, 0, 4), 0x10105);
	EXPECT_EQ(sys_stack(e, 2, 4), 0x3203);
	EXPECT_EQ(sys_stack(e, 3, 4), 0x2fff0);
	EXPECT_EQ(sys_stack(e, 4, 4), USER_DS | 3);
	EXPECT_EQ(s->gpr[X86_RAX] & 0xffff, 0); /* DS was dropped */
	e = sys_prot(3);
	EXPECT_FAULT(e, p_iret_inner, 13, 8, 4);
	e = sys_prot(0);
	EXPECT_FAULT(e, p_iret_rpl, 13, USER_CS32, 4);
	e = sys_prot(0);
	EXPECT_FAULT(e, p_iret_null, 13, 0, 4);
	e = sys_prot(0);
	EXPECT_FAULT(e, p_iret_data, 13, 0x10, 4);
	e = sys_prot(0);
	EXPECT_FAULT(e, p_iret_nullss, 13, 0, 4);
	e = sys_prot(0);
	sys_set_desc(e, USER_CS32, sys_desc(0, 0xfffff, D_DPL(3) | D_CODE, F_G | F_DB));
	EXPECT_FAULT(e, p_iret_outer, 11, USER_CS32, 4);
	sys_no_reference("the manual says both #SS and #NP; Bochs takes the latter");
	e = sys_prot(0);
	sys_set_desc(e, USER_DS, sys_desc(0, 0xfffff, D_DPL(3) | D_DATA, F_G | F_DB));
	EXPECT_FAULT(e, p_iret_outer, 12, USER_DS, 4);
	/* CPL 3 changes neither IOPL nor, with IOPL 0, IF; VM, VIF, VIP never. */
	e = sys_prot(3);
	sys_set_idt(e, 1, sys_gate(KERNEL_CS, SYS_HANDLER(1), D_P | D_DPL(3) | 14));
	SYS_EXEC(e, p_iret_flags);
	EXPECT_EQ(s->rip, SYS_HANDLER(0x80) + 1);
	EXPECT_EQ(sys_stack(e, 2, 4) & ~(u64)RFLAGS_RF, (0x3c7fd7 & ~0x1bb200) | RFLAGS_FIXED);
}

SYS_CODE_DEF(p_retf_outer, 32,
	     "push 0x23; push 0x2ff00; push 1; push 2; push 0x1b; push 0x10100; retf 8; .org 771b + 0x100; mov eax, "
	     "esp; int 0x80");
SYS_CODE_DEF(p_retf_same, 32, "push 7; push 8; push 0x10100; retf 4; .org 771b + 0x100; mov eax, esp");
SYS_CODE_DEF(p_retf16, 32, "push 0; .byte 0x66; push 8; .byte 0x66; push 0x900; .byte 0x66, 0xcb");

SYS_TEST(p_retf, "sys: protected mode RETF")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;

	SYS_EXEC(e, p_retf_outer);
	EXPECT_VECTOR(e, 0x80);
	EXPECT_EQ(s->gpr[X86_RAX], 0x2ff08);
	EXPECT_EQ(s->seg[SEG_DS].sel, 0);
	EXPECT_EQ(sys_stack(e, 4, 4), USER_DS | 3);
	e = sys_prot(0);
	EXPECT_DONE(e, p_retf_same);
	EXPECT_EQ(s->gpr[X86_RAX], SYS_STACK0);
	e = sys_prot(0);
	e->ram[0x900] = 0xf4;
	SYS_EXEC(e, p_retf16);
	EXPECT_EQ(s->rip, 0x901);
}

/* --- far transfers ----------------------------------------------------------------------------------------------- */

SYS_CODE_DEF(p_jmp, 32, "ljmp 0x50:0x10100; .org 771b + 0x100; mov eax, cs");
SYS_CODE_DEF(p_jmp_rpl, 32, "ljmp 0x53:0x10100; .org 771b + 0x100; mov eax, cs");
SYS_CODE_DEF(p_jmp_null, 32, "ljmp 3:0x10100");
SYS_CODE_DEF(p_call, 32, "lcall 0x53:0x10100; hlt; .org 771b + 0x100; mov ebx, esp; mov ecx, [esp]; mov edx, [esp+4]");

static void expect_jmp(unsigned cpl, u64 desc, unsigned vec, u32 err, int line)
{
	struct sys_env *e = sys_prot(cpl);

	sys_set_desc(e, SEL_TEST, desc);
	SYS_EXEC(e, p_jmp_rpl);
	sys_expect_vector(e, vec, line);
	sys_expect_eq(sys_stack(e, 0, 4), err, "error code", line);
	sys_expect_eq(sys_stack(e, 1, 4), SYS_CODE, "EIP", line);
}

SYS_TEST(p_far_jmp, "sys: far JMP to code segments")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;
	const u64 code = sys_desc(0, 0xfffff, D_P | D_CODE, F_G | F_DB);
	const u64 conf = sys_desc(0, 0xfffff, D_P | D_CODE | 4, F_G | F_DB);

	sys_set_desc(e, SEL_TEST, code & ~(1ull << 40));
	EXPECT_DONE(e, p_jmp);
	EXPECT_EQ(s->gpr[X86_RAX], SEL_TEST);
	EXPECT_EQ(sys_get_desc(e, SEL_TEST), code);
	EXPECT_FAULT(e, p_jmp_null, 13, 0, 4);
	expect_jmp(0, code, 13, SEL_TEST, __LINE__);              /* RPL 3 > CPL */
	expect_jmp(3, code, 13, SEL_TEST, __LINE__);              /* DPL 0 */
	expect_jmp(0, conf | 3ull << 45, 13, SEL_TEST, __LINE__); /* conforming of outer level */
	expect_jmp(3, (code | 3ull << 45) & ~(0x80ull << 40), 11, SEL_TEST, __LINE__);
	expect_jmp(3, sys_desc(0, 0xfffff, D_P | D_DPL(3) | D_DATA, 0), 13, SEL_TEST, __LINE__);
	expect_jmp(3, sys_desc(0, 0x100ff, D_P | D_DPL(3) | D_CODE, F_DB), 13, 0, __LINE__); /* limit */
	expect_jmp(3, sys_desc(SYS_LDT, 0xff, D_P | D_DPL(3) | 2, 0), 13, SEL_TEST, __LINE__);
	/* Conforming code of an inner level keeps CPL. */
	e = sys_prot(3);
	sys_set_desc(e, SEL_TEST, conf);
	SYS_LOAD(e, SYS_CODE, p_jmp_rpl);
	sys_run(e, 2);
	EXPECT_EQ(s->gpr[X86_RAX], SEL_TEST | 3);
	EXPECT_EQ(s->cpl, 3);
	EXPECT_EQ(s->rip, 0x10102);
}

SYS_CODE_DEF(p_gate_params, 32, "push 0x111; push 0x222; lcall 0x53:0");
SYS_CODE_DEF(p_gate_jmp, 32, "ljmp 0x53:0");

SYS_TEST(p_call_gates, "sys: call gates with parameters")
{
	struct sys_env *e = sys_prot(3);
	struct x86_state *s = &e->s;
	const u64 gate = sys_gate(KERNEL_CS, SYS_HANDLER(0x70), D_P | D_DPL(3) | 12) | 2ull << 32;

	sys_set_desc(e, SEL_TEST, gate);
	SYS_EXEC(e, p_gate_params);
	EXPECT_VECTOR(e, 0x70);
	EXPECT_EQ(s->cpl, 0);
	EXPECT_EQ(s->gpr[X86_RSP], SYS_STACK0 - 24);
	EXPECT_EQ(sys_stack(e, 0, 4), SYS_CODE + 17);
	EXPECT_EQ(sys_stack(e, 1, 4), USER_CS32 | 3);
	EXPECT_EQ(sys_stack(e, 2, 4), 0x222);
	EXPECT_EQ(sys_stack(e, 3, 4), 0x111);
	EXPECT_EQ(sys_stack(e, 4, 4), SYS_STACK3 - 8);
	EXPECT_EQ(sys_stack(e, 5, 4), USER_DS | 3);
	/* Same level: no stack switch. */
	e = sys_prot(0);
	sys_set_desc(e, SEL_TEST, gate);
	SYS_EXEC(e, p_gate_params);
	EXPECT_VECTOR(e, 0x70);
	EXPECT_EQ(s->gpr[X86_RSP], SYS_STACK0 - 16);
	/* JMP cannot change the level. */
	e = sys_prot(3);
	sys_set_desc(e, SEL_TEST, gate);
	EXPECT_FAULT(e, p_gate_jmp, 13, KERNEL_CS, 4);
	e = sys_prot(3);
	sys_set_desc(e, SEL_TEST, gate & ~(0x80ull << 40));
	EXPECT_FAULT(e, p_gate_jmp, 11, SEL_TEST, 4);
	e = sys_prot(3);
	sys_set_desc(e, SEL_TEST, gate & ~(0x20ull << 40));
	EXPECT_FAULT(e, p_gate_jmp, 13, SEL_TEST, 4);
	e = sys_prot(3);
	sys_set_desc(e, SEL_TEST, sys_gate(0, 0, D_P | D_DPL(3) | 12));
	EXPECT_FAULT(e, p_gate_jmp, 13, 0, 4);
	/* A page fault while parameters are pushed changes nothing: checked by the pushed state. */
	e = sys_prot(3);
	sys_set_desc(e, SEL_TEST, gate);
	sys_write(e, SYS_TSS + 8, 2, 0);
	sys_set_idt(e, 10, sys_gate(SEL_TSS2, 0, D_P | 5));
	sys_write(e, SYS_TSS2 + 32, 4, SYS_HANDLER(10));
	sys_write(e, SYS_TSS2 + 56, 4, SYS_IST1);
	sys_write(e, SYS_TSS2 + 76, 4, KERNEL_CS);
	sys_write(e, SYS_TSS2 + 80, 4, KERNEL_DS);
	EXPECT_FAULT(e, p_gate_params, 10, 0, 4);
	EXPECT_EQ(sys_read(e, SYS_TSS + 56, 4), SYS_STACK3 - 8);
}

SYS_TEST(p_far_call, "sys: far CALL")
{
	struct sys_env *e = sys_prot(3);
	struct x86_state *s = &e->s;

	sys_set_desc(e, SEL_TEST, sys_desc(0, 0xfffff, D_P | D_DPL(3) | D_CODE, F_G | F_DB));
	SYS_EXEC(e, p_call);
	EXPECT_VECTOR(e, 13); /* HLT in user mode */
	EXPECT_EQ(s->gpr[X86_RBX], SYS_STACK3 - 8);
	EXPECT_EQ(s->gpr[X86_RCX], SYS_CODE + 7);
	EXPECT_EQ(s->gpr[X86_RDX], USER_CS32 | 3);
}

/* --- segment registers ----------------------------------------------------------------------------------------------- */

SYS_CODE_DEF(p_load_ds, 32, "mov ds, ax");
SYS_CODE_DEF(p_load_ss, 32, "mov ss, ax");
SYS_CODE_DEF(p_load_cs, 32, ".byte 0x8e, 0xc8");

struct load_case {
	u8 seg; /* SEG_DS, SEG_SS */
	u8 cpl;
	u8 access;
	u8 rpl;
	u8 vec; /* 0: loads */
};

SYS_TEST(p_segment_loads, "sys: MOV to segment registers: type, privilege, presence")
{
	static const struct load_case t[] = {
		{ SEG_DS, 0, D_P | 0x12, 0, 0 },
		{ SEG_DS, 0, D_P | 0x10, 0, 0 },
		{ SEG_DS, 0, D_P | 0x18, 0, 13 },
		{ SEG_DS, 0, D_P | 0x1a, 0, 0 },
		{ SEG_DS, 0, D_P | 0x12, 3, 13 },
		{ SEG_DS, 3, D_P | 0x12, 3, 13 },
		{ SEG_DS, 3, D_P | D_DPL(3) | 0x12, 3, 0 },
		{ SEG_DS, 3, D_P | 0x1e, 3, 0 },
		{ SEG_DS, 3, D_P | 0x1c, 3, 13 },
		{ SEG_DS, 0, 0x12, 0, 11 },
		{ SEG_DS, 0, D_P | 2, 0, 13 },
		{ SEG_DS, 0, D_P | D_DPL(3) | 0x12, 0, 0 },
		{ SEG_SS, 0, D_P | 0x12, 0, 0 },
		{ SEG_SS, 0, D_P | 0x10, 0, 13 },
		{ SEG_SS, 0, D_P | 0x1a, 0, 13 },
		{ SEG_SS, 0, D_P | D_DPL(3) | 0x12, 0, 13 },
		{ SEG_SS, 0, D_P | D_DPL(3) | 0x12, 3, 13 },
		{ SEG_SS, 3, D_P | D_DPL(3) | 0x12, 3, 0 },
		{ SEG_SS, 3, D_P | 0x12, 3, 13 },
		{ SEG_SS, 0, 0x12, 0, 12 },
		{ SEG_SS, 0, D_P | 0x16, 0, 0 },
	};
	unsigned k;

	for (k = 0; k < ARRAY_SIZE(t); k++) {
		struct sys_env *e = sys_prot(t[k].cpl);
		struct x86_state *s = &e->s;
		u16 sel = SEL_TEST | t[k].rpl;

		sys_set_desc(e, SEL_TEST, sys_desc(0x1000, 0xfffff, t[k].access, F_G | F_DB));
		s->gpr[X86_RAX] = sel;
		if (t[k].seg == SEG_SS)
			SYS_LOAD(e, SYS_CODE, p_load_ss);
		else
			SYS_LOAD(e, SYS_CODE, p_load_ds);
		sys_run(e, 1);
		if (t[k].vec) {
			if (s->rip != SYS_HANDLER(t[k].vec) || sys_stack(e, 0, 4) != SEL_TEST)
				insn_fail("case %u: rip %llx error code %llx", k, s->rip, sys_stack(e, 0, 4));
			continue;
		}
		if (s->seg[t[k].seg].sel != sel || s->seg[t[k].seg].base != 0x1000)
			insn_fail("case %u: not loaded: rip %llx", k, s->rip);
		if ((sys_get_desc(e, SEL_TEST) >> 40 & 0xff) != (t[k].access | 1))
			insn_fail("case %u: accessed bit", k);
		EXPECT_EQ(s->shadow, t[k].seg == SEG_SS ? X86_SHADOW_MOV_SS : 0);
	}
}

SYS_CODE_DEF(p_use_null, 32, "xor eax, eax; mov ds, ax; mov ebx, [eax]");
SYS_CODE_DEF(p_ldt, 32, "mov eax, 0x40; lldt ax; mov eax, 4; mov ds, ax; mov ebx, ds:[0x10]");
SYS_CODE_DEF(p_no_ldt, 32, "mov eax, 0x54; mov ds, ax");
SYS_CODE_DEF(p_gdt_limit, 32, "mov eax, 0x100; mov ds, ax");
SYS_CODE_DEF(p_pop_ds, 32, "push 0x50; pop ds; mov eax, ds");
SYS_CODE_DEF(p_lds, 32, "lds ebx, fword ptr [0x50000]; mov eax, ds");

SYS_TEST(p_segments_more, "sys: null segments, LDT, table limits, POP and LDS")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;

	EXPECT_FAULT(e, p_use_null, 13, 0, 4);
	e = sys_prot(0);
	s->gpr[X86_RAX] = 0;
	EXPECT_FAULT(e, p_load_ss, 13, 0, 4);
	e = sys_prot(0);
	s->gpr[X86_RAX] = KERNEL_DS;
	SYS_EXEC(e, p_load_cs);
	EXPECT_VECTOR(e, 6);
	e = sys_prot(0);
	sys_write(e, SYS_LDT, 8, sys_desc(SYS_DATA, 0xff, D_P | D_DATA, F_DB));
	sys_write(e, SYS_DATA + 0x10, 4, 0x99);
	EXPECT_DONE(e, p_ldt);
	EXPECT_EQ(s->gpr[X86_RBX], 0x99);
	e = sys_prot(0);
	EXPECT_FAULT(e, p_no_ldt, 13, 0x54, 4);
	EXPECT_FAULT(e, p_gdt_limit, 13, 0x100, 4);
	e = sys_prot(0);
	EXPECT_FAULT(e, p_pop_ds, 13, 0x50, 4);
	EXPECT_EQ(sys_stack(e, 4, 4), 0x50); /* not popped */
	sys_set_desc(e, SEL_TEST, sys_desc(0, 0xfffff, D_P | D_DATA, F_G | F_DB));
	EXPECT_DONE(e, p_pop_ds);
	EXPECT_EQ(s->gpr[X86_RAX], SEL_TEST);
	sys_write(e, SYS_DATA, 8, (u64)KERNEL_DS << 32 | 0x12345678);
	EXPECT_DONE(e, p_lds);
	EXPECT_EQ(s->gpr[X86_RAX], KERNEL_DS);
	EXPECT_EQ(s->gpr[X86_RBX], 0x12345678);
}

SYS_CODE_DEF(p_read, 32, "mov eax, fs:[ebx]");
SYS_CODE_DEF(p_write, 32, "mov fs:[ebx], eax");
SYS_CODE_DEF(p_read_ss, 32, "mov eax, ss:[ebx]");

SYS_TEST(p_limits, "sys: limits, expand-down segments, access types")
{
	static const struct {
		u8 access;
		u8 flags;
		u32 limit;
		u32 off;
		bool write, faults;
	} t[] = {
		{ 0x13, F_DB, 0xfff, 0xffc, false, false },     { 0x13, F_DB, 0xfff, 0xffd, false, true },
		{ 0x13, F_DB, 0xfff, 0xffffffff, false, true }, { 0x13, F_G | F_DB, 0, 0xffc, true, false },
		{ 0x13, F_G | F_DB, 0, 0x1000, true, true },    { 0x11, F_DB, 0xfff, 0, true, true },
		{ 0x11, F_DB, 0xfff, 0, false, false },         { 0x1b, F_DB, 0xfff, 0, true, true },
		{ 0x17, F_DB, 0xfff, 0xfff, false, true },      { 0x17, F_DB, 0xfff, 0x1000, false, false },
		{ 0x17, F_DB, 0xfff, 0x20000, true, false },    { 0x17, 0, 0xfff, 0x20000, true, true },
		{ 0x17, 0, 0xfff, 0xfffc, true, false },        { 0x17, 0, 0xfff, 0xfffd, true, true },
		{ 0x15, 0, 0xfff, 0x2000, true, true },
	};
	unsigned k;

	for (k = 0; k < ARRAY_SIZE(t); k++) {
		struct sys_env *e = sys_prot(0);
		struct x86_state *s = &e->s;

		sys_set_desc(e, SEL_TEST, sys_desc(0x1000, t[k].limit, D_P | t[k].access, t[k].flags));
		if (x86_load_segment(s, SEG_FS, SEL_TEST) != X86_OK)
			insn_fail("case %u: segment", k);
		s->gpr[X86_RBX] = t[k].off;
		if (t[k].write)
			SYS_EXEC(e, p_write);
		else
			SYS_EXEC(e, p_read);
		if ((s->rip == SYS_HANDLER(13) + 1) != t[k].faults)
			insn_fail("case %u: rip %llx", k, s->rip);
	}
	{
		struct sys_env *e = sys_prot(3);

		e->s.seg[SEG_SS].limit = 0xffff;
		e->s.gpr[X86_RBX] = 0x10000;
		EXPECT_FAULT(e, p_read_ss, 12, 0, 4);
	}
}

/* --- LAR, LSL, VERR, VERW, ARPL ------------------------------------------------------------------------------------------ */

SYS_CODE_DEF(p_lar, 32, "lar ebx, ax");
SYS_CODE_DEF(p_lsl, 32, "lsl ebx, ax");
SYS_CODE_DEF(p_verr, 32, "verr ax");
SYS_CODE_DEF(p_verw, 32, "verw ax");
SYS_CODE_DEF(p_arpl, 32, "mov eax, 0x51; mov ecx, 0x13; arpl ax, cx; sete bl; arpl ax, cx; sete bh");

SYS_TEST(p_look_at_descriptors, "sys: LAR, LSL, VERR, VERW")
{
	static const struct {
		u8 access, cpl, rpl;
		bool lar, lsl, verr, verw;
	} t[] = {
		{ D_P | 0x13, 0, 0, true, true, true, true },
		{ D_P | 0x11, 0, 0, true, true, true, false },
		{ D_P | 0x19, 0, 0, true, true, false, false },
		{ D_P | 0x1b, 0, 0, true, true, true, false },
		{ D_P | 0x13, 3, 3, false, false, false, false },
		{ D_P | 0x1f, 3, 3, true, true, true, false },
		{ D_P | D_DPL(3) | 0x13, 3, 3, true, true, true, true },
		{ D_P | 0x13, 0, 3, false, false, false, false },
		{ D_P | 1, 0, 0, true, true, false, false },
		{ D_P | 4, 0, 0, true, false, false, false },
		{ D_P | 5, 0, 0, true, false, false, false },
		{ D_P | 6, 0, 0, false, false, false, false },
		{ D_P | 9, 0, 0, true, true, false, false },
		{ D_P | 12, 0, 0, true, false, false, false },
		{ D_P | 14, 0, 0, false, false, false, false },
		{ D_P | 2, 0, 0, true, true, false, false },
		{ 0x13, 0, 0, true, true, true, true },
	};
	unsigned k;

	for (k = 0; k < ARRAY_SIZE(t); k++) {
		struct sys_env *e = sys_prot(t[k].cpl);
		struct x86_state *s = &e->s;
		bool got[4], want[4] = { t[k].lar, t[k].lsl, t[k].verr, t[k].verw };
		unsigned n;

		sys_set_desc(e, SEL_TEST, sys_desc(0x1000, 0xabcde, t[k].access, F_G | F_DB));
		s->gpr[X86_RAX] = SEL_TEST | t[k].rpl;
		for (n = 0; n < 4; n++) {
			s->gpr[X86_RBX] = 0x77;
			if (n == 0)
				SYS_LOAD(e, SYS_CODE, p_lar);
			else if (n == 1)
				SYS_LOAD(e, SYS_CODE, p_lsl);
			else if (n == 2)
				SYS_LOAD(e, SYS_CODE, p_verr);
			else
				SYS_LOAD(e, SYS_CODE, p_verw);
			sys_run(e, 1);
			got[n] = s->rflags & RFLAGS_ZF;
			if (got[n] != want[n])
				insn_fail("case %u instruction %u: ZF %u", k, n, got[n]);
			if (n == 0 && want[0])
				EXPECT_EQ(s->gpr[X86_RBX] & 0xf0ff00, 0xc00000u | t[k].access << 8);
			if (n == 1 && want[1])
				EXPECT_EQ(s->gpr[X86_RBX], 0xabcdefff);
			if (n < 2 && !want[n])
				EXPECT_EQ(s->gpr[X86_RBX], 0x77);
		}
	}
}

SYS_TEST(p_arpl_test, "sys: ARPL")
{
	struct sys_env *e = sys_prot(0);

	EXPECT_DONE(e, p_arpl);
	EXPECT_EQ(e->s.gpr[X86_RAX], 0x53);
	EXPECT_EQ(e->s.gpr[X86_RBX], 1);
}
