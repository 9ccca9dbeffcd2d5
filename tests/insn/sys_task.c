/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Task switches and virtual-8086 mode. */
#include "sys_env.h"

/* The second task: flat at CPL 0, starting with a copy of the code at SYS_DATA. */
static void make_task(struct sys_env *e, unsigned cpl)
{
	static const u8 words[] = { 40, 44, 48, 52, 56, 60, 64, 68 };
	unsigned k;

	sys_write(e, SYS_TSS2 + 4, 4, SYS_STACK0);
	sys_write(e, SYS_TSS2 + 8, 4, KERNEL_DS);
	sys_write(e, SYS_TSS2 + 32, 4, SYS_DATA);
	sys_write(e, SYS_TSS2 + 36, 4, RFLAGS_FIXED | RFLAGS_CF);
	for (k = 0; k < 8; k++)
		sys_write(e, SYS_TSS2 + words[k], 4, 0x1111 * k);
	sys_write(e, SYS_TSS2 + 56, 4, SYS_IST1);
	for (k = 0; k < 6; k++)
		sys_write(e, SYS_TSS2 + 72 + 4 * k, 4, cpl ? USER_DS | 3 : KERNEL_DS);
	sys_write(e, SYS_TSS2 + 76, 4, cpl ? USER_CS32 | 3 : KERNEL_CS);
	sys_write(e, SYS_TSS2 + 102, 2, 0x68);
}

static unsigned desc_type(struct sys_env *e, unsigned sel)
{
	return sys_get_desc(e, sel) >> 40 & 0xf;
}

SYS_CODE_DEF(t_jmp, 32, "mov eax, 0x1234; ljmp 0xa0:0");
SYS_CODE_DEF(t_call, 32, "mov eax, 0x1234; lcall 0xa0:0; mov ebx, 0x77; pushf; pop ecx");
SYS_CODE_DEF(t_hlt, 32, "nop");
SYS_CODE_DEF(t_iret, 32, "mov edx, 5; iretd; mov edx, 6");
SYS_CODE_DEF(t_gate, 32, "ljmp 0x50:0");
SYS_CODE_DEF(t_ud2, 32, "ud2");

SYS_TEST(task_jmp, "sys: task switch by JMP")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;

	make_task(e, 0);
	SYS_LOAD(e, SYS_DATA, t_hlt);
	s->dr7 = 0x755;
	EXPECT_DONE(e, t_jmp);
	EXPECT_EQ(s->rip, SYS_DATA + 2);
	EXPECT_EQ(s->tr.sel, SEL_TSS2);
	EXPECT_EQ(s->tr.attr & 0xf, 11);
	EXPECT_EQ(s->tr.base, SYS_TSS2);
	EXPECT_EQ(s->gpr[X86_RCX], 0x1111);
	EXPECT_EQ(s->gpr[X86_RSP], SYS_IST1);
	EXPECT_EQ(s->rflags, RFLAGS_FIXED | RFLAGS_CF);
	EXPECT(s->cr0 & CR0_TS);
	EXPECT_EQ(s->dr7, 0x600 & ~0x100u);
	EXPECT_EQ(desc_type(e, SEL_TSS), 9);
	EXPECT_EQ(desc_type(e, SEL_TSS2), 11);
	/* The old task's registers. */
	EXPECT_EQ(sys_read(e, SYS_TSS + 32, 4), SYS_CODE + 12);
	EXPECT_EQ(sys_read(e, SYS_TSS + 40, 4), 0x1234);
	EXPECT_EQ(sys_read(e, SYS_TSS + 76, 2), KERNEL_CS);
	EXPECT_EQ(sys_read(e, SYS_TSS2, 2), 0);
}

SYS_TEST(task_call_iret, "sys: task switch by CALL, and back by IRET")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;

	make_task(e, 0);
	SYS_LOAD(e, SYS_DATA, t_iret);
	SYS_LOAD(e, SYS_CODE, t_call);
	sys_run(e, 2);
	EXPECT_EQ(s->rip, SYS_DATA);
	EXPECT_EQ(sys_read(e, SYS_TSS2, 2), SEL_TSS);
	EXPECT(s->rflags & RFLAGS_NT);
	EXPECT_EQ(desc_type(e, SEL_TSS), 11);
	EXPECT_EQ(desc_type(e, SEL_TSS2), 11);
	EXPECT_EQ(sys_run(e, 10), X86_EXIT);
	EXPECT_EQ(s->gpr[X86_RBX], 0x77);
	EXPECT_EQ(s->gpr[X86_RCX], RFLAGS_FIXED);
	EXPECT_EQ(s->tr.sel, SEL_TSS);
	EXPECT_EQ(desc_type(e, SEL_TSS2), 9);
	EXPECT_EQ(desc_type(e, SEL_TSS), 11);
	/* Behind its IRET the other task goes on next time, NT clear. */
	EXPECT_EQ(sys_read(e, SYS_TSS2 + 32, 4), SYS_DATA + 6);
	EXPECT_EQ(sys_read(e, SYS_TSS2 + 36, 4) & RFLAGS_NT, 0);
	EXPECT_EQ(sys_read(e, SYS_TSS2 + 48, 4), 5);
}

SYS_TEST(task_checks, "sys: task switch: checks of the TSS")
{
	struct sys_env *e = sys_prot(0);

	make_task(e, 0);
	sys_set_desc(e, SEL_TSS2, sys_desc(SYS_TSS2, 0x67, D_P | 11, 0));
	EXPECT_FAULT(e, t_jmp, 13, SEL_TSS2, 4); /* busy */
	e = sys_prot(0);
	sys_set_desc(e, SEL_TSS2, sys_desc(SYS_TSS2, 0x67, 9, 0));
	EXPECT_FAULT(e, t_jmp, 11, SEL_TSS2, 4);
	e = sys_prot(0);
	sys_set_desc(e, SEL_TSS2, sys_desc(SYS_TSS2, 0x66, D_P | 9, 0));
	EXPECT_FAULT(e, t_jmp, 10, SEL_TSS2, 4);
	e = sys_prot(3);
	EXPECT_FAULT(e, t_jmp, 13, SEL_TSS2, 4); /* DPL 0 */
	e = sys_prot(0);
	sys_set_desc(e, SEL_TEST, sys_gate(SEL_TSS2, 0, 5));
	EXPECT_FAULT(e, t_gate, 11, SEL_TEST, 4);
	e = sys_prot(0);
	sys_set_desc(e, SEL_TEST, sys_gate(SEL_TSS2 | 4, 0, D_P | 5));
	EXPECT_FAULT(e, t_gate, 13, SEL_TSS2 | 4, 4);
	e = sys_prot(3);
	make_task(e, 0);
	SYS_LOAD(e, SYS_DATA, t_hlt);
	sys_set_desc(e, SEL_TEST, sys_gate(SEL_TSS2, 0, D_P | D_DPL(3) | 5));
	EXPECT_DONE(e, t_gate);
	EXPECT_EQ(e->s.rip, SYS_DATA + 2);
	EXPECT_EQ(e->s.cpl, 0);
	/* IRET back to a task that is not busy. */
	e = sys_prot(0);
	sys_write(e, SYS_TSS, 2, SEL_TSS2);
	e->s.rflags |= RFLAGS_NT;
	EXPECT_FAULT(e, t_iret, 10, SEL_TSS2, 4);
}

SYS_TEST(task_new_context_faults, "sys: faults of a task switch belong to the new task")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;

	sys_no_reference("KVM emulates task switches, and gives up otherwise");
	make_task(e, 0);
	sys_write(e, SYS_TSS2 + 84, 2, SEL_TEST); /* DS: no such descriptor */
	EXPECT_FAULT(e, t_jmp, 10, SEL_TEST, 4);
	EXPECT_EQ(s->tr.sel, SEL_TSS2);
	EXPECT_EQ(sys_stack(e, 1, 4), SYS_DATA);
	e = sys_prot(0);
	make_task(e, 0);
	sys_write(e, SYS_TSS2 + 96, 2, SEL_TEST); /* LDT */
	/* SS is not loaded yet: no stack for the handler in this task, so #DF and shutdown. */
	EXPECT_EQ(SYS_EXEC(e, t_jmp), X86_SHUTDOWN);
	EXPECT_EQ(s->tr.sel, SEL_TSS2);
	e = sys_prot(0);
	make_task(e, 0);
	sys_write(e, SYS_TSS2 + 32, 4, 0x20000);
	sys_set_desc(e, SEL_TEST, sys_desc(0, 0x1ffff, D_P | D_CODE, F_DB));
	sys_write(e, SYS_TSS2 + 76, 2, SEL_TEST);
	EXPECT_FAULT(e, t_jmp, 13, 0, 4);
	EXPECT_EQ(sys_stack(e, 1, 4), 0x20000);
}

SYS_TEST(task_trap_bit, "sys: T bit of the TSS, error code on the new stack")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;

	make_task(e, 0);
	sys_write(e, SYS_TSS2 + 100, 2, 1);
	SYS_LOAD(e, SYS_CODE, t_jmp);
	sys_run(e, 2);
	EXPECT_EQ(s->rip, SYS_DATA);
	EXPECT_EQ(s->dr6_pending, DR6_BT);
	/* #GP by a task gate: error code in the new task; RF in the old one. */
	e = sys_prot(3);
	make_task(e, 0);
	SYS_LOAD(e, SYS_DATA, t_hlt);
	sys_set_idt(e, 13, sys_gate(SEL_TSS2, 0, D_P | 5));
	EXPECT_DONE(e, t_jmp);
	EXPECT_EQ(s->gpr[X86_RSP], SYS_IST1 - 4);
	EXPECT_EQ(sys_stack(e, 0, 4), SEL_TSS2);
	EXPECT(sys_read(e, SYS_TSS + 36, 4) & RFLAGS_RF);
	EXPECT_EQ(sys_read(e, SYS_TSS + 32, 4), SYS_CODE + 5);
	EXPECT_EQ(sys_read(e, SYS_TSS2, 2), SEL_TSS);
}

SYS_TEST(task16, "sys: 16-bit TSS")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;
	unsigned k;

	sys_no_reference("KVM takes the old TSS for a 16-bit one too, and leaves FS and GS");
	sys_set_desc(e, SEL_TSS2, sys_desc(SYS_TSS2, 0x2b, D_P | 1, 0));
	sys_set_desc(e, SEL_TEST, sys_desc(SYS_DATA, 0xffff, D_P | D_CODE, 0));
	sys_write(e, SYS_TSS2 + 14, 2, 0x100);
	sys_write(e, SYS_TSS2 + 16, 2, RFLAGS_FIXED | RFLAGS_ZF);
	for (k = 0; k < 8; k++)
		sys_write(e, SYS_TSS2 + 18 + 2 * k, 2, 0x2222 + k);
	for (k = 0; k < 4; k++)
		sys_write(e, SYS_TSS2 + 34 + 2 * k, 2, KERNEL_DS);
	sys_write(e, SYS_TSS2 + 36, 2, SEL_TEST);
	e->ram[SYS_DATA + 0x100] = 0xf4;
	EXPECT_DONE(e, t_jmp);
	EXPECT_EQ(s->rip, 0x101);
	EXPECT_EQ(s->gpr[X86_RCX] & 0xffff, 0x2223);
	EXPECT_EQ(s->rflags, RFLAGS_FIXED | RFLAGS_ZF);
	EXPECT_EQ(s->seg[SEG_FS].sel, 0);
	EXPECT_EQ(s->mode, X86_MODE_PROT16);
}

/* --- virtual-8086 mode ------------------------------------------------------------------------------------- */

/* IRET from CPL 0 to a virtual-8086 task at 1000:0100 (the code follows), flags given. */
SYS_CODE_DEF(v_enter, 32,
	     "push 0x4444; push 0x3333; push 0x2222; push 0x1111; push 0x2000; push 0xff00; push ebx; push 0x1000; "
	     "push 0x100;"
	     "iretd");
SYS_CODE_DEF(v_int, 16, "nop; int 0x40");
SYS_CODE_DEF(v_int3, 16, "int3");
SYS_CODE_DEF(v_cli, 16, "cli; sti; int3");
SYS_CODE_DEF(v_sti, 16, "sti; int3");
SYS_CODE_DEF(v_far, 16, "mov ax, 0x1234; mov ds, ax; lcall 0x1000:0x180; int3; .org 771b + 0x80; mov cx, ds; retf");
SYS_CODE_DEF(v_iret, 16, "push 0x0202; push 0x1000; push 0x180; iret; .org 771b + 0x80; int3");
SYS_CODE_DEF(v_lgdt, 16, "lgdt [bx]");
SYS_CODE_DEF(v_lar, 16, "lar ax, ax");
SYS_CODE_DEF(v_limit, 16, "mov bx, 0xffff; mov ax, [bx]");

static struct sys_env *vm86(u32 flags, const u8 *start, const u8 *end)
{
	struct sys_env *e = sys_prot(0);

	SYS_LOAD(e, SYS_DATA, v_enter);
	sys_load(e, SYS_CODE + 0x100, start, end);
	e->s.rip = SYS_DATA;
	e->s.gpr[X86_RBX] = flags | RFLAGS_VM | RFLAGS_FIXED;
	sys_run(e, 10);
	if (e->s.mode != X86_MODE_VM86 || e->s.rip != 0x100 || e->s.seg[SEG_CS].base != SYS_CODE || e->s.cpl != 3)
		insn_fail("not in virtual-8086 mode: rip %llx", e->s.rip);
	return e;
}
#define VM86(flags, name) vm86(flags, code_##name, code_##name##_end)

SYS_TEST(vm86_enter_leave, "sys: into virtual-8086 mode by IRET, out by an exception")
{
	struct sys_env *e = VM86(RFLAGS_IF | RFLAGS_IOPL, v_int);
	struct x86_state *s = &e->s;

	EXPECT_EQ(s->seg[SEG_ES].sel, 0x1111);
	EXPECT_EQ(s->seg[SEG_DS].base, 0x22220);
	EXPECT_EQ(s->seg[SEG_FS].sel, 0x3333);
	EXPECT_EQ(s->seg[SEG_GS].sel, 0x4444);
	EXPECT_EQ(s->seg[SEG_SS].sel, 0x2000);
	EXPECT_EQ(s->gpr[X86_RSP], 0xff00);
	EXPECT_EQ(s->seg[SEG_DS].attr, 0xf3);
	EXPECT_EQ(s->seg[SEG_DS].limit, 0xffff);
	sys_set_idt(e, 0x40, sys_gate(KERNEL_CS, SYS_HANDLER(0x40), D_P | D_DPL(3) | 14));
	sys_run(e, 10);
	EXPECT_VECTOR(e, 0x40);
	EXPECT_EQ(s->cpl, 0);
	EXPECT_EQ(s->mode, X86_MODE_PROT32);
	EXPECT_EQ(s->gpr[X86_RSP], SYS_STACK0 - 36);
	EXPECT_EQ(sys_stack(e, 0, 4), 0x103);
	EXPECT_EQ(sys_stack(e, 1, 4), 0x1000);
	EXPECT_EQ(sys_stack(e, 2, 4), RFLAGS_FIXED | RFLAGS_IF | RFLAGS_IOPL | RFLAGS_VM);
	EXPECT_EQ(sys_stack(e, 3, 4), 0xff00);
	EXPECT_EQ(sys_stack(e, 4, 4), 0x2000);
	EXPECT_EQ(sys_stack(e, 5, 4), 0x1111);
	EXPECT_EQ(sys_stack(e, 6, 4), 0x2222);
	EXPECT_EQ(sys_stack(e, 7, 4), 0x3333);
	EXPECT_EQ(sys_stack(e, 8, 4), 0x4444);
	EXPECT_EQ(s->seg[SEG_DS].sel, 0);
	EXPECT_EQ(s->rflags, RFLAGS_FIXED | RFLAGS_IOPL);
	/* IOPL below 3: INT n faults, INT3 does not. */
	e = VM86(0, v_int);
	sys_set_idt(e, 0x40, sys_gate(KERNEL_CS, SYS_HANDLER(0x40), D_P | D_DPL(3) | 14));
	sys_run(e, 10);
	EXPECT_VECTOR(e, 13);
	EXPECT_EQ(sys_stack(e, 0, 4), 0);
	EXPECT_EQ(sys_stack(e, 1, 4), 0x101);
	e = VM86(0, v_int3);
	sys_run(e, 10);
	EXPECT_VECTOR(e, 3);
	/* The handler must run at level 0. */
	e = VM86(0, v_int3);
	sys_set_desc(e, SEL_TEST, sys_desc(0, 0xfffff, D_P | D_DPL(1) | D_CODE, F_G | F_DB));
	sys_set_idt(e, 3, sys_gate(SEL_TEST, SYS_HANDLER(3), D_P | D_DPL(3) | 14));
	sys_run(e, 10);
	EXPECT_VECTOR(e, 13);
	EXPECT_EQ(sys_stack(e, 0, 4), SEL_TEST);
}

SYS_TEST(vm86_instructions, "sys: virtual-8086 mode: segments, far CALL, IRET, CLI, what faults")
{
	struct sys_env *e = VM86(RFLAGS_IOPL, v_far);

	sys_run(e, 100);
	EXPECT_VECTOR(e, 3);
	EXPECT_EQ(e->s.gpr[X86_RCX] & 0xffff, 0x1234);
	e = VM86(RFLAGS_IOPL, v_iret);
	sys_run(e, 100);
	EXPECT_VECTOR(e, 3);
	EXPECT_EQ(sys_stack(e, 0, 4), 0x181);
	EXPECT_EQ(sys_stack(e, 2, 4), RFLAGS_VM | RFLAGS_IOPL | RFLAGS_IF | RFLAGS_FIXED);
	e = VM86(0, v_iret);
	sys_run(e, 100);
	EXPECT_VECTOR(e, 13);
	e = VM86(0, v_cli);
	sys_run(e, 100);
	EXPECT_VECTOR(e, 13);
	e = VM86(RFLAGS_IOPL, v_cli);
	sys_run(e, 100);
	EXPECT_VECTOR(e, 3);
	EXPECT(sys_stack(e, 2, 4) & RFLAGS_IF);
	e = VM86(RFLAGS_IOPL, v_lgdt);
	sys_run(e, 100);
	EXPECT_VECTOR(e, 13);
	e = VM86(RFLAGS_IOPL, v_lar);
	sys_run(e, 100);
	EXPECT_VECTOR(e, 6);
	e = VM86(0, v_limit);
	sys_run(e, 100);
	EXPECT_VECTOR(e, 13);
}

SYS_TEST(vm86_vme, "sys: virtual-8086 mode extensions")
{
	struct sys_env *e = VM86(RFLAGS_VIF, v_int);
	struct x86_state *s = &e->s;

	/* Redirection: bit clear sends INT n to the 8086 program's handler, with the virtual IF. */
	s->cr4 |= CR4_VME;
	s->tr.limit = 0x200;
	sys_write(e, SYS_TSS + 102, 2, 0x88);
	sys_write(e, 0x40 * 4, 4, 0x30000200);
	sys_run(e, 2);
	EXPECT_EQ(s->mode, X86_MODE_VM86);
	EXPECT_EQ(s->rip, 0x200);
	EXPECT_EQ(s->seg[SEG_CS].sel, 0x3000);
	EXPECT_EQ(sys_stack(e, 0, 2), 0x103);
	EXPECT_EQ(sys_stack(e, 1, 2), 0x1000);
	EXPECT_EQ(sys_stack(e, 2, 2), RFLAGS_FIXED | RFLAGS_IF | RFLAGS_IOPL);
	EXPECT_EQ(s->rflags, RFLAGS_FIXED | RFLAGS_VM);
	/* Bit set and IOPL 0: #GP. */
	e = VM86(RFLAGS_VIF, v_int);
	s->cr4 |= CR4_VME;
	s->tr.limit = 0x200;
	sys_write(e, SYS_TSS + 102, 2, 0x88);
	sys_write(e, SYS_TSS + 0x68 + 0x40 / 8, 1, 1);
	sys_run(e, 3);
	EXPECT_VECTOR(e, 13);
	/* CLI and STI act on VIF; STI faults if VIP. */
	e = VM86(0, v_sti);
	s->cr4 |= CR4_VME;
	sys_run(e, 3);
	EXPECT_VECTOR(e, 3);
	EXPECT_EQ(sys_stack(e, 2, 4), RFLAGS_FIXED | RFLAGS_VM | RFLAGS_VIF);
	e = VM86(RFLAGS_VIP, v_sti);
	s->cr4 |= CR4_VME;
	sys_run(e, 3);
	EXPECT_VECTOR(e, 13);
	/* IRET takes IF into VIF. */
	e = VM86(0, v_iret);
	s->cr4 |= CR4_VME;
	sys_run(e, 100);
	EXPECT_VECTOR(e, 3);
	EXPECT_EQ(sys_stack(e, 2, 4), RFLAGS_FIXED | RFLAGS_VM | RFLAGS_VIF);
	e = VM86(RFLAGS_VIP, v_iret);
	s->cr4 |= CR4_VME;
	sys_run(e, 100);
	EXPECT_VECTOR(e, 13);
	/* Both, by the monitor's IRET: the 8086 program's next instruction does not begin. */
	e = VM86(RFLAGS_VIF | RFLAGS_VIP, v_int3);
	s->cr4 |= CR4_VME;
	sys_run(e, 2);
	EXPECT_VECTOR(e, 13);
}
