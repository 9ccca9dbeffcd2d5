/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* System behaviour of 64-bit and compatibility mode: delivery, IRET, system calls, far branches, faults. */
#include "sys_env.h"

#define HIGH 0xffff800000000000ull

/* The pushed frame of the 64-bit handler that the run ended in; err: an error code is on top. */
static void expect_frame(struct sys_env *e, bool err, u64 rip, u16 cs, u64 rsp, u16 ss, int line)
{
	unsigned n = err;

	sys_expect_eq(sys_stack(e, n, 8), rip, "pushed RIP", line);
	sys_expect_eq(sys_stack(e, n + 1, 8), cs, "pushed CS", line);
	sys_expect_eq(sys_stack(e, n + 3, 8), rsp, "pushed RSP", line);
	sys_expect_eq(sys_stack(e, n + 4, 8), ss, "pushed SS", line);
}

SYS_CODE_DEF(long_int80, 64, "nop; int 0x80");
SYS_CODE_DEF(long_int40, 64, "int 0x40");
SYS_CODE_DEF(long_ud2, 64, "nop; ud2");

SYS_TEST(long_int, "sys: 64-bit INT n from CPL 3")
{
	struct sys_env *e = sys_long(3);
	struct x86_state *s = &e->s;

	s->rflags |= RFLAGS_IF | RFLAGS_NT | RFLAGS_AC;
	SYS_EXEC(e, long_int80);
	EXPECT_VECTOR(e, 0x80);
	EXPECT_EQ(s->cpl, 0);
	EXPECT_EQ(s->gpr[X86_RSP], SYS_STACK0 - 40);
	expect_frame(e, false, SYS_CODE + 3, USER_CS | 3, SYS_STACK3, USER_DS | 3, __LINE__);
	EXPECT_EQ(sys_stack(e, 2, 8), RFLAGS_FIXED | RFLAGS_IF | RFLAGS_NT | RFLAGS_AC);
	EXPECT_EQ(s->rflags, RFLAGS_FIXED | RFLAGS_AC);
	EXPECT_EQ(s->seg[SEG_CS].sel, KERNEL_CS);
	EXPECT_EQ(s->seg[SEG_SS].sel, 0);
	EXPECT(s->seg[SEG_SS].attr & SEG_UNUSABLE);
	EXPECT(e->mode_changes >= 1);
	e = sys_long(3);
	EXPECT_FAULT(e, long_int40, 13, 0x40 * 8 + 2, 8);
	expect_frame(e, true, SYS_CODE, USER_CS | 3, SYS_STACK3, USER_DS | 3, __LINE__);
	EXPECT_EQ(sys_stack(e, 3, 8), RFLAGS_FIXED | RFLAGS_RF);
}

SYS_TEST(long_fault_same_level, "sys: 64-bit exception at CPL 0: aligned frame, RF")
{
	struct sys_env *e = sys_long(0);
	struct x86_state *s = &e->s;

	s->gpr[X86_RSP] = SYS_STACK0 - 3;
	s->rflags |= RFLAGS_IF;
	SYS_EXEC(e, long_ud2);
	EXPECT_VECTOR(e, 6);
	EXPECT_EQ(s->gpr[X86_RSP], SYS_STACK0 - 16 - 40);
	expect_frame(e, false, SYS_CODE + 1, KERNEL_CS, SYS_STACK0 - 3, KERNEL_DS, __LINE__);
	EXPECT_EQ(sys_stack(e, 2, 8), RFLAGS_FIXED | RFLAGS_IF | RFLAGS_RF);
	EXPECT_EQ(s->seg[SEG_SS].sel, KERNEL_DS);
	EXPECT_EQ(s->rflags & RFLAGS_IF, 0);
	/* A trap gate leaves IF. */
	e = sys_long(0);
	s->rflags |= RFLAGS_IF;
	sys_set_idt(e, 6, sys_gate(KERNEL_CS, SYS_HANDLER(6), D_P | 15));
	SYS_EXEC(e, long_ud2);
	EXPECT_VECTOR(e, 6);
	EXPECT(s->rflags & RFLAGS_IF);
}

SYS_TEST(long_ist, "sys: interrupt stack table")
{
	struct sys_env *e = sys_long(0);

	sys_set_idt(e, 6, sys_gate(KERNEL_CS, SYS_HANDLER(6), D_P | 14) | 1ull << 32);
	SYS_EXEC(e, long_ud2);
	EXPECT_VECTOR(e, 6);
	EXPECT_EQ(e->s.gpr[X86_RSP], SYS_IST1 - 40);
	expect_frame(e, false, SYS_CODE + 1, KERNEL_CS, SYS_STACK0, KERNEL_DS, __LINE__);
	/* Beyond the TSS limit: #TS with the TSS's selector; its handler on RSP0. */
	e = sys_long(3);
	sys_set_idt(e, 6, sys_gate(KERNEL_CS, SYS_HANDLER(6), D_P | 14) | 1ull << 32);
	e->s.tr.limit = 36 + 6;
	EXPECT_FAULT(e, long_ud2, 10, SEL_TSS | 1, 8);
	sys_no_reference("Bochs pushes the selector of SS here");
	/* A non-canonical stack: #SS(0) with EXT. */
	e = sys_long(0);
	sys_set_idt(e, 6, sys_gate(KERNEL_CS, SYS_HANDLER(6), D_P | 14) | 1ull << 32);
	sys_write(e, SYS_TSS + 36, 8, 0x0001000000000000ull);
	EXPECT_FAULT(e, long_ud2, 12, 1, 8);
}

SYS_TEST(long_bad_gates, "sys: 64-bit gates that are not usable")
{
	struct sys_env *e = sys_long(3);

	sys_set_idt(e, 0x80, sys_gate(KERNEL_CS, SYS_HANDLER(0x80), D_DPL(3) | 14));
	EXPECT_FAULT(e, long_int80, 11, 0x80 * 8 + 2, 8);
	/* Task gates and 16-bit gates do not exist. */
	e = sys_long(3);
	sys_set_idt(e, 0x80, sys_gate(SEL_TSS2, 0, D_P | D_DPL(3) | 5));
	EXPECT_FAULT(e, long_int80, 13, 0x80 * 8 + 2, 8);
	e = sys_long(3);
	sys_set_idt(e, 0x80, sys_gate(KERNEL_CS, SYS_HANDLER(0x80), D_P | D_DPL(3) | 6));
	EXPECT_FAULT(e, long_int80, 13, 0x80 * 8 + 2, 8);
	/* The handler's code segment must be 64-bit. */
	e = sys_long(3);
	sys_set_desc(e, SEL_TEST, sys_desc(0, 0xfffff, D_P | D_CODE, F_G | F_DB));
	sys_set_idt(e, 0x80, sys_gate(SEL_TEST, SYS_HANDLER(0x80), D_P | D_DPL(3) | 14));
	EXPECT_FAULT(e, long_int80, 13, SEL_TEST, 8);
	/* Null selector; as an exception's handler with EXT. */
	e = sys_long(3);
	sys_set_idt(e, 0x80, sys_gate(0, SYS_HANDLER(0x80), D_P | D_DPL(3) | 14));
	EXPECT_FAULT(e, long_int80, 13, 0, 8);
	e = sys_long(3);
	sys_set_idt(e, 6, sys_gate(0, SYS_HANDLER(6), D_P | 14));
	EXPECT_FAULT(e, long_ud2, 13, 1, 8);
	/* Vector beyond the limit. */
	e = sys_long(3);
	e->s.idt.limit = 0x80 * 16 + 14;
	EXPECT_FAULT(e, long_int80, 13, 0x80 * 8 + 2, 8);
	/* Not present code segment. */
	e = sys_long(3);
	sys_set_desc(e, SEL_TEST, sys_desc(0, 0xfffff, D_CODE, F_G | F_L));
	sys_set_idt(e, 0x80, sys_gate(SEL_TEST, SYS_HANDLER(0x80), D_P | D_DPL(3) | 14));
	EXPECT_FAULT(e, long_int80, 11, SEL_TEST, 8);
}

SYS_TEST(long_double_fault, "sys: 64-bit double and triple fault")
{
	struct sys_env *e = sys_long(0);

	sys_no_reference("RF in the frame of #DF");
	/* #UD with a bad gate: #GP; its gate is not there either: #NP, so #DF. */
	sys_set_idt(e, 6, 0);
	sys_set_idt(e, 13, 0);
	EXPECT_FAULT(e, long_ud2, 8, 0, 8);
	EXPECT_EQ(sys_stack(e, 1, 8), SYS_CODE + 1);
	e = sys_long(0);
	sys_set_idt(e, 6, 0);
	sys_set_idt(e, 13, 0);
	sys_set_idt(e, 8, 0);
	EXPECT_EQ(SYS_EXEC(e, long_ud2), X86_SHUTDOWN);
	EXPECT_EQ(e->s.rip, SYS_CODE + 1);
	EXPECT_EQ(e->s.gpr[X86_RSP], SYS_STACK0);
	/* Page fault on the stack of a page fault: #DF, CR2 of the second. */
	e = sys_long(0);
	sys_set_idt(e, 8, sys_gate(KERNEL_CS, SYS_HANDLER(8), D_P | 14) | 1ull << 32);
	e->s.gpr[X86_RSP] = 0x150000;
	sys_write(e, SYS_PT + 0x14f * 8, 8, 0);
	sys_write(e, SYS_PT + 0x160 * 8, 8, 0);
	{
		SYS_CODE_DEF(long_pf, 64, "mov eax, dword ptr [0x160004]");
		SYS_EXEC(e, long_pf);
	}
	EXPECT_VECTOR(e, 8);
	EXPECT_EQ(e->s.cr2 >> 12, 0x14f);
}

SYS_CODE_DEF(long_read, 64, "mov eax, dword ptr [0x160ffe]");
SYS_CODE_DEF(long_write, 64, "mov dword ptr [0x160ffe], eax");
SYS_CODE_DEF(long_noncanon, 64, "mov rbx, 0x7fffffffffff; mov eax, [rbx]");
SYS_CODE_DEF(long_noncanon_ss, 64, "mov rsp, 0x800000000010; push rax");

SYS_TEST(long_page_faults, "sys: page faults: error code, CR2, crossing pages")
{
	struct sys_env *e = sys_long(3);

	sys_write(e, SYS_PT + 0x161 * 8, 8, 0);
	EXPECT_FAULT(e, long_read, 14, PFERR_U, 8);
	EXPECT_EQ(e->s.cr2, 0x161000);
	e = sys_long(3);
	sys_write(e, SYS_PT + 0x161 * 8, 8, 0x161000 | 5);
	sys_write(e, 0x160ffe, 2, 0x1234);
	EXPECT_FAULT(e, long_write, 14, PFERR_U | PFERR_W | PFERR_P, 8);
	EXPECT_EQ(sys_read(e, 0x160ffe, 2), 0x1234);
	e = sys_long(0);
	sys_write(e, SYS_PT + 0x160 * 8, 8, 0x160000 | 5);
	EXPECT_FAULT(e, long_write, 14, PFERR_W | PFERR_P, 8);
	EXPECT_EQ(e->s.cr2, 0x160ffe);
	e = sys_long(0);
	EXPECT_FAULT(e, long_noncanon, 13, 0, 8);
	/* #SS; it is delivered on the same bad stack from CPL 0, so from CPL 3. */
	e = sys_long(3);
	EXPECT_FAULT(e, long_noncanon_ss, 12, 0, 8);
}

SYS_TEST(long_fetch, "sys: instruction fetch across pages")
{
	static const u8 insn[] = { 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 0xf4 }; /* movabs rax; hlt */
	struct sys_env *e = sys_long(0);
	struct x86_state *s = &e->s;

	memcpy(e->ram + 0x150ffc, insn, sizeof(insn));
	s->rip = 0x150ffc;
	EXPECT_EQ(sys_run(e, 10), X86_EXIT);
	EXPECT_EQ(s->gpr[X86_RAX], 0x0807060504030201ull);
	/* The second page is missing: the fault names it. */
	e = sys_long(3);
	memcpy(e->ram + 0x150ffc, insn, sizeof(insn));
	sys_write(e, SYS_PT + 0x151 * 8, 8, 0);
	s->rip = 0x150ffc;
	sys_run(e, 10);
	EXPECT_VECTOR(e, 14);
	EXPECT_EQ(s->cr2, 0x151000);
	EXPECT_EQ(sys_stack(e, 0, 8), PFERR_U | PFERR_I);
	EXPECT_EQ(sys_stack(e, 1, 8), 0x150ffc);
	/* An instruction that ends with the page does not touch the next one. */
	e = sys_long(0);
	e->ram[0x150fff] = 0xf4;
	sys_write(e, SYS_PT + 0x151 * 8, 8, 0);
	s->rip = 0x150fff;
	EXPECT_EQ(sys_run(e, 10), X86_EXIT);
	EXPECT_EQ(s->rip, 0x151000);
	/* No execution from NX pages. */
	e = sys_long(0);
	sys_write(e, SYS_PT + 0x150 * 8, 8, 0x150000 | 7 | 1ull << 63);
	s->rip = 0x150000;
	sys_run(e, 10);
	EXPECT_VECTOR(e, 14);
	EXPECT_EQ(sys_stack(e, 0, 8), PFERR_P | PFERR_I);
	/* 15 bytes are the limit. */
	e = sys_long(0);
	memset(e->ram + SYS_CODE, 0x66, 14);
	e->ram[SYS_CODE + 14] = 0x90;
	e->ram[SYS_CODE + 15] = 0xf4;
	s->rip = SYS_CODE;
	EXPECT_EQ(sys_run(e, 10), X86_EXIT);
	EXPECT_EQ(s->rip, SYS_CODE + 16);
	e = sys_long(0);
	memset(e->ram + SYS_CODE, 0x66, 15);
	e->ram[SYS_CODE + 15] = 0x90;
	s->rip = SYS_CODE;
	sys_run(e, 10);
	EXPECT_VECTOR(e, 13);
	EXPECT_EQ(sys_stack(e, 0, 8), 0);
}

SYS_CODE_DEF(long_iretq_user, 64,
	     "push 0x23; push 0x2fff8; push 0x3247; push 0x2b; push 0x10100; iretq; .org 771b + 0x100; int 0x80");
SYS_CODE_DEF(long_iretq_same, 64,
	     "push 0x10; push 0x1fff0; push 0x10202; push 8; push 0x10100; iretq; .org 771b + 0x100; mov rbx, rsp");
SYS_CODE_DEF(long_iretq_compat, 64,
	     "push 0x23; push 0x2fff8; push 0x202; push 0x1b; push 0x10100; iretq; .org 771b + 0x100; .code32; inc eax;"
	     "int 0x80");
SYS_CODE_DEF(long_iretq_nullss, 64,
	     "push 0; push 0x1fff0; push 0x202; push 8; push 0x10100; iretq; .org 771b + 0x100; mov eax, ss; push rax; "
	     "pop rbx");
SYS_CODE_DEF(long_iretq_nullss3, 64, "push 3; push 0x1fff0; push 0x202; push 0x2b; push 0x10100; iretq");
SYS_CODE_DEF(long_iretq_noncanon, 64,
	     "push 0x10; push 0x1fff0; push 0x202; push 8; mov rax, 0x800000000000; push rax; iretq");
SYS_CODE_DEF(long_iretq_badss, 64, "push 0x10; push 0x1fff0; push 0x202; push 0x2b; push 0x10100; iretq");
SYS_CODE_DEF(long_iretq_nt, 64, "pushf; or dword ptr [rsp], 0x4000; popf; iretq");
SYS_CODE_DEF(long_iretd, 64,
	     "sub rsp, 20; mov dword ptr [rsp], 0x10100; mov dword ptr [rsp+4], 8; mov dword ptr [rsp+8], 0x202;"
	     "mov dword ptr [rsp+12], 0x1fff0; mov dword ptr [rsp+16], 0x10; iretd; .org 771b + 0x100; mov rbx, rsp");

SYS_TEST(long_iret, "sys: IRETQ")
{
	struct sys_env *e = sys_long(0);
	struct x86_state *s = &e->s;

	s->seg[SEG_FS].attr = s->seg[SEG_GS].attr = SEG_UNUSABLE;
	s->seg[SEG_FS].base = HIGH + 5;
	s->seg[SEG_FS].sel = 3;
	s->seg[SEG_GS].sel = 0;
	s->nmi_blocked = true;
	SYS_EXEC(e, long_iretq_user);
	EXPECT_VECTOR(e, 0x80);
	expect_frame(e, false, 0x10102, USER_CS | 3, 0x2fff8, USER_DS | 3, __LINE__);
	EXPECT_EQ(sys_stack(e, 2, 8), 0x3247);
	EXPECT_EQ(s->seg[SEG_DS].sel, 0);
	EXPECT(s->seg[SEG_DS].attr & SEG_UNUSABLE);
	EXPECT_EQ(s->seg[SEG_FS].base, HIGH + 5);
	EXPECT_EQ(s->seg[SEG_FS].sel, 0);
	EXPECT(!s->nmi_blocked);
	EXPECT(e->events >= 1);
	e = sys_long(0);
	EXPECT_DONE(e, long_iretq_same);
	EXPECT_EQ(s->gpr[X86_RBX], 0x1fff0);
	EXPECT(s->rflags & RFLAGS_IF);
	e = sys_long(0);
	SYS_EXEC(e, long_iretq_compat);
	EXPECT_VECTOR(e, 0x80);
	expect_frame(e, false, 0x10103, USER_CS32 | 3, 0x2fff8, USER_DS | 3, __LINE__);
	EXPECT_EQ(s->gpr[X86_RAX], 1);
	e = sys_long(0);
	EXPECT_DONE(e, long_iretq_nullss);
	EXPECT_EQ(s->gpr[X86_RBX], 0);
	e = sys_long(0);
	EXPECT_FAULT(e, long_iretq_nullss3, 13, 0, 8);
	e = sys_long(0);
	EXPECT_FAULT(e, long_iretq_noncanon, 13, 0, 8);
	EXPECT_EQ(s->cpl, 0);
	e = sys_long(0);
	EXPECT_FAULT(e, long_iretq_badss, 13, 0x10, 8);
	e = sys_long(0);
	EXPECT_FAULT(e, long_iretq_nt, 13, 0, 8);
	sys_no_reference("Bochs pops SS:RSP with REX.W only; the APM says always");
	e = sys_long(0);
	EXPECT_DONE(e, long_iretd);
	EXPECT_EQ(s->gpr[X86_RBX], 0x1fff0);
}

SYS_CODE_DEF(long_syscall, 64, "syscall; nop; int 0x80");
SYS_CODE_DEF(long_syscall_entry, 64, "mov rbx, rcx; mov rdx, r11; sysretq");
SYS_CODE_DEF(long_sysret32, 64, "mov ecx, 0x10100; mov r11d, 0x202; sysretd; .org 771b + 0x100; .code32; int 0x80");
SYS_CODE_DEF(long_sysret_bad, 64, "mov rcx, 0x800000000000; sysretq");
SYS_CODE_DEF(compat_syscall, 32, "syscall; int 0x80");

static void set_syscall_msrs(struct x86_state *s)
{
	/* Returns: user CS32 0x1b, SS 0x23, CS 0x2b. */
	s->star = (u64)(USER_CS32 | 3) << 48 | (u64)KERNEL_CS << 32;
	s->lstar = SYS_CODE + 0x800;
	s->cstar = SYS_CODE + 0x900;
	s->sfmask = RFLAGS_IF | RFLAGS_DF;
}

SYS_TEST(long_syscall_sysret, "sys: SYSCALL and SYSRET")
{
	struct sys_env *e = sys_long(3);
	struct x86_state *s = &e->s;
	u64 flags = RFLAGS_FIXED | RFLAGS_IF | RFLAGS_DF | RFLAGS_CF;

	set_syscall_msrs(s);
	SYS_LOAD(e, SYS_CODE + 0x800, long_syscall_entry);
	SYS_LOAD(e, SYS_CODE, long_syscall);
	s->rflags = flags;
	sys_run(e, 1);
	EXPECT_EQ(s->rip, SYS_CODE + 0x800);
	EXPECT_EQ(s->cpl, 0);
	EXPECT_EQ(s->rflags, RFLAGS_FIXED | RFLAGS_CF);
	EXPECT_EQ(s->seg[SEG_CS].sel, KERNEL_CS);
	EXPECT_EQ(s->seg[SEG_CS].attr, 0xa09b);
	EXPECT_EQ(s->seg[SEG_SS].sel, KERNEL_DS);
	EXPECT_EQ(s->seg[SEG_SS].attr, 0xc093);
	EXPECT_EQ(s->gpr[X86_RSP], SYS_STACK3);
	sys_run(e, 3);
	EXPECT_EQ(s->rip, SYS_CODE + 2);
	EXPECT_EQ(s->cpl, 3);
	EXPECT_EQ(s->rflags, flags);
	EXPECT_EQ(s->seg[SEG_CS].sel, USER_CS | 3);
	EXPECT_EQ(s->seg[SEG_CS].attr, 0xa0fb);
	EXPECT_EQ(s->seg[SEG_SS].sel, USER_DS | 3);
	EXPECT_EQ(s->gpr[X86_RBX], SYS_CODE + 2);
	EXPECT_EQ(s->gpr[X86_RDX], flags);
	sys_run(e, 5);
	EXPECT_VECTOR(e, 0x80);
	e = sys_long(0);
	set_syscall_msrs(s);
	SYS_EXEC(e, long_sysret32);
	EXPECT_VECTOR(e, 0x80);
	EXPECT_EQ(sys_stack(e, 1, 8), USER_CS32 | 3);
	/* Intel checks RCX before it leaves CPL 0, AMD faults in user mode. */
	e = sys_long(0);
	set_syscall_msrs(s);
	EXPECT_FAULT(e, long_sysret_bad, 13, 0, 8);
	EXPECT_EQ(sys_stack(e, 2, 8), KERNEL_CS);
	e = sys_long(0);
	set_syscall_msrs(s);
	s->vendor_amd = true;
	EXPECT_FAULT(e, long_sysret_bad, 13, 0, 8);
	EXPECT_EQ(sys_stack(e, 2, 8), USER_CS | 3);
	e = sys_long(3);
	set_syscall_msrs(s);
	EXPECT_FAULT(e, long_sysret_bad, 13, 0, 8);
	e = sys_long(3);
	s->efer &= ~(u64)X86_EFER_SCE;
	SYS_EXEC(e, long_syscall);
	EXPECT_VECTOR(e, 6);
}

SYS_TEST(compat_syscalls, "sys: SYSCALL in compatibility mode is AMD's")
{
	struct sys_env *e = sys_long(3);
	struct x86_state *s = &e->s;
	unsigned amd;

	for (amd = 0; amd < 2; amd++) {
		e = sys_long(3);
		s->vendor_amd = amd;
		set_syscall_msrs(s);
		s->seg[SEG_CS].attr = 0xc0fb;
		s->seg[SEG_CS].sel = USER_CS32 | 3;
		x86_update_mode(s);
		SYS_EXEC(e, compat_syscall);
		if (amd)
			EXPECT_EQ(s->gpr[X86_RCX], SYS_CODE + 2);
		else
			EXPECT_VECTOR(e, 6);
	}
	EXPECT_EQ(s->cpl, 0);
	EXPECT_EQ(s->mode, X86_MODE_LONG);
}

SYS_CODE_DEF(long_sysenter, 64, "sysenter");
SYS_CODE_DEF(long_sysexit, 64, "mov edx, 0x10100; mov ecx, 0x2fff0; sysexitq; .org 771b + 0x100; int 0x80");
SYS_CODE_DEF(long_sysexit32, 64, "mov edx, 0x10100; mov ecx, 0x2fff0; sysexitd; .org 771b + 0x100; .code32; int 0x80");

SYS_TEST(long_sysenter_sysexit, "sys: SYSENTER and SYSEXIT in 64-bit mode")
{
	struct sys_env *e = sys_long(3);
	struct x86_state *s = &e->s;

	EXPECT_FAULT(e, long_sysenter, 13, 0, 8);
	e = sys_long(3);
	s->sysenter_cs = KERNEL_CS | 3;
	s->sysenter_eip = SYS_HANDLER(0x55);
	s->sysenter_esp = SYS_IST1;
	s->rflags |= RFLAGS_IF;
	SYS_EXEC(e, long_sysenter);
	EXPECT_VECTOR(e, 0x55);
	EXPECT_EQ(s->gpr[X86_RSP], SYS_IST1);
	EXPECT_EQ(s->rflags, RFLAGS_FIXED);
	EXPECT_EQ(s->seg[SEG_CS].sel, KERNEL_CS);
	e = sys_long(0);
	s->sysenter_cs = KERNEL_CS;
	SYS_EXEC(e, long_sysexit);
	EXPECT_VECTOR(e, 0x80);
	EXPECT_EQ(sys_stack(e, 1, 8), (KERNEL_CS + 32) | 3);
	EXPECT_EQ(sys_stack(e, 3, 8), 0x2fff0);
	EXPECT_EQ(sys_stack(e, 4, 8), (KERNEL_CS + 40) | 3);
	e = sys_long(0);
	s->sysenter_cs = KERNEL_CS;
	SYS_EXEC(e, long_sysexit32);
	EXPECT_VECTOR(e, 0x80);
	EXPECT_EQ(sys_stack(e, 1, 8), (KERNEL_CS + 16) | 3);
	e = sys_long(0);
	s->sysenter_cs = KERNEL_CS;
	s->vendor_amd = true;
	SYS_EXEC(e, long_sysexit);
	EXPECT_VECTOR(e, 6);
}

SYS_CODE_DEF(
	long_gs, 64,
	"swapgs; rdgsbase rax; mov rcx, 0x55667788; wrfsbase rcx; rdfsbase rbx; rdfsbase edx; swapgs; rdgsbase rsi");
SYS_CODE_DEF(long_wrgs_bad, 64, "mov rax, 0x800000000000; wrgsbase rax");
SYS_CODE_DEF(long_swapgs, 64, "swapgs");

SYS_TEST(long_bases, "sys: SWAPGS, RDFSBASE and relatives")
{
	struct sys_env *e = sys_long(0);
	struct x86_state *s = &e->s;

	s->cr4 |= CR4_FSGSBASE;
	s->kernel_gs_base = HIGH;
	s->seg[SEG_GS].base = 0x1234;
	EXPECT_DONE(e, long_gs);
	EXPECT_EQ(s->gpr[X86_RAX], HIGH);
	EXPECT_EQ(s->gpr[X86_RBX], 0x55667788);
	EXPECT_EQ(s->gpr[X86_RDX], 0x55667788);
	EXPECT_EQ(s->gpr[X86_RSI], 0x1234);
	EXPECT_EQ(s->kernel_gs_base, HIGH);
	EXPECT_FAULT(e, long_wrgs_bad, 13, 0, 8);
	e = sys_long(3);
	EXPECT_FAULT(e, long_swapgs, 13, 0, 8);
	SYS_EXEC(e, long_wrgs_bad);
	EXPECT_VECTOR(e, 6);
}

SYS_CODE_DEF(long_far, 64,
	     "mov rsi, 0x10200; jmp fword ptr [rsi]; .org 771b + 0x100; .code32; mov eax, 5; lcall 8:0x10180; hlt;"
	     ".org 771b + 0x180; .code64; mov rbx, 0x1122334455667788; .byte 0x48, 0xcb; .org 771b + 0x200; .long "
	     "0x10100; .word 0x50");
SYS_CODE_DEF(long_far_ld, 64, "mov rsi, 0x10200; jmp fword ptr [rsi]; .org 771b + 0x200; .long 0x10100; .word 0x50");
SYS_CODE_DEF(long_far_noncanon, 64,
	     "mov rsi, 0x10200; .byte 0x48; call fword ptr [rsi]; .org 771b + 0x200; .quad 0x800000000000; .word 8");

SYS_TEST(long_far_branches, "sys: far branches between 64-bit and compatibility mode")
{
	struct sys_env *e = sys_long(0);
	struct x86_state *s = &e->s;

	sys_set_desc(e, 0x50, sys_desc(0, 0xfffff, D_P | 0x1a, F_G | F_DB));
	SYS_EXEC(e, long_far);
	/* RETF with REX.W pops eight-byte words, the compatibility-mode CALL has pushed four-byte ones: #GP. */
	EXPECT_VECTOR(e, 13);
	EXPECT_EQ(s->gpr[X86_RAX], 5);
	EXPECT_EQ(s->gpr[X86_RBX], 0x1122334455667788ull);
	EXPECT_EQ(sys_get_desc(e, 0x50) >> 40 & 0xff, D_P | D_CODE);
	/* L and D together are reserved. */
	e = sys_long(0);
	sys_set_desc(e, 0x50, sys_desc(0, 0xfffff, D_P | D_CODE, F_G | F_DB | F_L));
	EXPECT_FAULT(e, long_far_ld, 13, 0x50, 8);
	e = sys_long(0);
	EXPECT_FAULT(e, long_far_noncanon, 13, 0, 8);
	/* TSS descriptors and task gates are no targets. */
	e = sys_long(0);
	sys_set_desc(e, 0x50, sys_desc(SYS_TSS2, 0x67, D_P | 9, 0));
	EXPECT_FAULT(e, long_far_ld, 13, 0x50, 8);
}

SYS_CODE_DEF(long_call_gate, 64, "mov rsi, 0x10200; call fword ptr [rsi]; .org 771b + 0x200; .long 0; .word 0x53");

SYS_TEST(long_call_gates, "sys: 64-bit call gates")
{
	struct sys_env *e = sys_long(3);
	struct x86_state *s = &e->s;

	sys_set_desc(e, 0x50, sys_gate(KERNEL_CS, SYS_HANDLER(0x66), D_P | D_DPL(3) | 12));
	sys_set_desc(e, 0x58, 0);
	SYS_EXEC(e, long_call_gate);
	EXPECT_VECTOR(e, 0x66);
	EXPECT_EQ(s->gpr[X86_RSP], SYS_STACK0 - 32);
	EXPECT_EQ(sys_stack(e, 0, 8), SYS_CODE + 9);
	EXPECT_EQ(sys_stack(e, 1, 8), USER_CS | 3);
	EXPECT_EQ(sys_stack(e, 2, 8), SYS_STACK3);
	EXPECT_EQ(sys_stack(e, 3, 8), USER_DS | 3);
	EXPECT_EQ(s->seg[SEG_SS].sel, 0);
	/* The upper half's type must be zero. */
	e = sys_long(3);
	sys_set_desc(e, 0x50, sys_gate(KERNEL_CS, SYS_HANDLER(0x66), D_P | D_DPL(3) | 12));
	sys_set_desc(e, 0x58, 1ull << 40);
	EXPECT_FAULT(e, long_call_gate, 13, 0x50, 8);
	e = sys_long(3);
	sys_set_desc(e, 0x50, sys_gate(KERNEL_CS, SYS_HANDLER(0x66), D_P | D_DPL(2) | 12));
	EXPECT_FAULT(e, long_call_gate, 13, 0x50, 8);
	e = sys_long(3);
	sys_set_desc(e, 0x50, sys_gate(USER_CS32, SYS_HANDLER(0x66), D_P | D_DPL(3) | 12));
	EXPECT_FAULT(e, long_call_gate, 13, USER_CS32, 8);
}

SYS_CODE_DEF(long_ltr, 64, "mov eax, 0x50; ltr ax; str rbx; mov eax, 0x60; lldt ax; sldt rcx");
SYS_CODE_DEF(long_mov_ss_null, 64, "xor eax, eax; mov ss, ax");
SYS_CODE_DEF(long_mov_ss_null3, 64, "mov eax, 3; mov ss, ax");

SYS_TEST(long_system_segments, "sys: LTR, LLDT, null SS in 64-bit mode")
{
	struct sys_env *e = sys_long(0);
	struct x86_state *s = &e->s;

	sys_set_desc(e, 0x50, sys_desc(0x12345678, 0x67, D_P | 9, 0));
	sys_set_desc(e, 0x58, 0xffff8000);
	sys_set_desc(e, 0x60, sys_desc(0x1000, 0x7f, D_P | 2, 0));
	sys_set_desc(e, 0x68, 0xffff9000);
	EXPECT_DONE(e, long_ltr);
	EXPECT_EQ(s->tr.base, HIGH + 0x12345678);
	EXPECT_EQ(s->ldt.base, 0xffff900000001000ull);
	EXPECT_EQ(s->gpr[X86_RBX], 0x50);
	EXPECT_EQ(s->gpr[X86_RCX], 0x60);
	EXPECT_EQ(sys_get_desc(e, 0x50) >> 40 & 0xff, D_P | 11);
	/* Busy now. */
	EXPECT_FAULT(e, long_ltr, 13, 0x50, 8);
	e = sys_long(0);
	sys_set_desc(e, 0x50, sys_desc(0x1000, 0x67, D_P | 9, 0));
	sys_set_desc(e, 0x58, 0x00008000);
	EXPECT_FAULT(e, long_ltr, 13, 0x50, 8);
	e = sys_long(0);
	EXPECT_DONE(e, long_mov_ss_null);
	EXPECT_EQ(s->cpl, 0);
	EXPECT_FAULT(e, long_mov_ss_null3, 13, 0, 8);
	e = sys_long(3);
	EXPECT_FAULT(e, long_mov_ss_null3, 13, 0, 8);
}

SYS_TEST(long_external, "sys: external interrupts and NMI")
{
	struct sys_env *e = sys_long(3);
	struct x86_state *s = &e->s;
	struct x86_event intr = { .type = X86_EVENT_INTR, .vector = 0x31 };
	struct x86_event nmi = { .type = X86_EVENT_NMI, .vector = 2 };
	struct x86_event db = { .type = X86_EVENT_EXC, .vector = 1, .cr2 = DR6_BS };

	s->rip = 0x12345;
	s->shadow = X86_SHADOW_STI;
	EXPECT_EQ(x86_deliver(s, &intr), X86_OK);
	EXPECT_EQ(s->rip, SYS_HANDLER(0x31));
	EXPECT_EQ(sys_stack(e, 0, 8), 0x12345);
	EXPECT_EQ(sys_stack(e, 2, 8), RFLAGS_FIXED);
	EXPECT_EQ(s->shadow, 0);
	EXPECT(!s->nmi_blocked);
	EXPECT_EQ(x86_deliver(s, &nmi), X86_OK);
	EXPECT_EQ(s->rip, SYS_HANDLER(2));
	EXPECT(s->nmi_blocked);
	/* An interrupt without a gate: #GP, EXT and IDT set. */
	e = sys_long(3);
	sys_set_idt(e, 0x31, 0);
	EXPECT_EQ(x86_deliver(s, &intr), X86_OK);
	EXPECT_EQ(s->rip, SYS_HANDLER(13));
	EXPECT_EQ(sys_stack(e, 0, 8), 0x31 * 8 + 3);
	/* #DB: DR6 gets the cause, GD is cleared. */
	e = sys_long(0);
	s->dr6 |= 3;
	s->dr7 |= DR7_GD;
	EXPECT_EQ(x86_deliver(s, &db), X86_OK);
	EXPECT_EQ(s->dr6, DR6_FIXED1 | DR6_BS);
	EXPECT_EQ(s->dr7, DR7_FIXED1);
	EXPECT_EQ(sys_stack(e, 2, 8), RFLAGS_FIXED);
}
