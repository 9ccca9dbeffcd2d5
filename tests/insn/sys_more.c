/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* System behaviour: less frequent forms, 16-bit stacks, nested failures, supervisor protection. */
#include "sys_env.h"

/* --- 16-bit code and stacks ---------------------------------------------------------------------------- */

SYS_CODE_DEF(m_gate16, 32, "push 0x111; lcall 0x50:0");

SYS_TEST(gate16, "sys: 16-bit call gate")
{
	struct sys_env *e = sys_prot(3);
	struct x86_state *s = &e->s;

	sys_set_desc(e, SEL_TEST, sys_gate(KERNEL_CS, 0xffff0000 | 0x400, D_P | D_DPL(3) | 4) | 1ull << 32);
	e->ram[0x400] = 0xf4;
	SYS_EXEC(e, m_gate16);
	EXPECT_EQ(s->rip, 0x401);
	EXPECT_EQ(s->gpr[X86_RSP], SYS_STACK0 - 10);
	EXPECT_EQ(sys_stack(e, 0, 2), 12);
	EXPECT_EQ(sys_stack(e, 1, 2), USER_CS32 | 3);
	EXPECT_EQ(sys_stack(e, 2, 2), 0x111);
	EXPECT_EQ(sys_stack(e, 3, 2), (SYS_STACK3 - 4) & 0xffff);
	EXPECT_EQ(sys_stack(e, 4, 2), USER_DS | 3);
}

SYS_CODE_DEF(m_espfix, 32,
	     "push 0x53; push 0x1234fff0; push 0x202; push 0x1b; push 0x10100; iretd; .org 771b + 0x100; mov eax, esp; "
	     "int 0x80");

SYS_TEST(iret_16bit_stack, "sys: IRET to a 16-bit stack loads SP only")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;

	sys_set_desc(e, SEL_TEST, sys_desc(0x100000, 0xffff, D_P | D_DPL(3) | D_DATA, 0));
	s->gpr[X86_RSP] = 0x1f0000;
	sys_write(e, SYS_TSS + 4, 4, SYS_STACK0);
	SYS_EXEC(e, m_espfix);
	EXPECT_VECTOR(e, 0x80);
	EXPECT_EQ(s->gpr[X86_RAX], 0x1efff0);
	EXPECT_EQ(sys_stack(e, 4, 4), SEL_TEST | 3);
}

SYS_CODE_DEF(m_ud, 32, "ud2");

SYS_TEST(frame_wraps, "sys: exception frame on a 16-bit stack that wraps")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;

	s->seg[SEG_SS].base = 0x100000;
	s->seg[SEG_SS].attr &= ~SEG_DB;
	s->seg[SEG_SS].limit = 0xffff;
	s->gpr[X86_RSP] = 0x55550008;
	SYS_EXEC(e, m_ud);
	EXPECT_VECTOR(e, 6);
	EXPECT_EQ(s->gpr[X86_RSP], 0x5555fffc);
	EXPECT_EQ(sys_read(e, 0x10fffc, 4), SYS_CODE);
	EXPECT_EQ(sys_read(e, 0x100000, 4), KERNEL_CS);
	EXPECT_EQ(sys_read(e, 0x100004, 4), RFLAGS_FIXED | RFLAGS_RF);
	/* Words that straddle the end of the segment do not fit: #SS, its frame neither; #DF, shutdown. */
	e = sys_prot(0);
	s->seg[SEG_SS].base = 0x100000;
	s->seg[SEG_SS].attr &= ~SEG_DB;
	s->seg[SEG_SS].limit = 0xffff;
	s->gpr[X86_RSP] = 0x2;
	EXPECT_EQ(SYS_EXEC(e, m_ud), X86_SHUTDOWN);
	EXPECT_EQ(s->gpr[X86_RSP], 2);
	EXPECT_EQ(s->rip, SYS_CODE);
}

SYS_CODE_DEF(m_wrap, 16, "nop");

SYS_TEST(ip_limit, "sys: real mode: IP does not wrap at 64 KiB, the limit is checked for each byte")
{
	struct sys_env *e = sys_real();
	struct x86_state *s = &e->s;

	sys_no_reference("VT-x refuses the entry with such a CS limit");
	/* mov ax, 0x1234 ends exactly at the end of the segment. */
	memcpy(e->ram + SYS_CODE + 0xfffd, "\xb8\x34\x12", 3);
	s->rip = 0xfffd;
	sys_run(e, 1);
	EXPECT_EQ(s->gpr[X86_RAX], 0x1234);
	EXPECT_EQ(s->rip, 0x10000);
	sys_run(e, 2);
	EXPECT_VECTOR(e, 13);
	/* With a larger segment the code goes on there, and only branches with 16-bit operands cut eip. */
	e = sys_real();
	s->seg[SEG_CS].limit = 0xffffffff;
	memcpy(e->ram + SYS_CODE + 0xfffd, "\xb8\x34\x12\x90\x66\xe9\x00\x00\x00\x00\xe9\x00\x00", 13);
	s->rip = 0xfffd;
	sys_run(e, 3);
	EXPECT_EQ(s->rip, 0x10007);
	sys_run(e, 1);
	EXPECT_EQ(s->rip, 0xa);
	/* One byte further: #GP. */
	e = sys_real();
	memcpy(e->ram + SYS_CODE + 0xfffe, "\xb8\x34\x12", 3);
	s->rip = 0xfffe;
	sys_run(e, 2);
	EXPECT_VECTOR(e, 13);
	EXPECT_EQ(sys_stack(e, 0, 2), 0xfffe);
	e = sys_prot(0);
	s->seg[SEG_CS].limit = SYS_CODE + 0;
	SYS_EXEC(e, m_ud);
	EXPECT_VECTOR(e, 13);
	EXPECT_EQ(sys_stack(e, 1, 4), SYS_CODE);
	EXPECT(code_m_wrap[0] == 0x90);
}

/* --- segment registers ------------------------------------------------------------------------------------ */

SYS_CODE_DEF(m_lxs, 32,
	     "les eax, [0x50000]; lss ebx, [0x50008]; lgs ecx, [0x50010]; lfs dx, [0x50018]; push 0x10; pop ss; nop");

SYS_TEST(lxs, "sys: LES, LSS, LFS, LGS, POP SS")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;
	unsigned k;

	for (k = 0; k < 3; k++)
		sys_write(e, SYS_DATA + 8 * k, 8, (u64)KERNEL_DS << 32 | (0x1000 + k));
	sys_write(e, SYS_DATA + 24, 4, KERNEL_DS << 16 | 0x4444);
	s->gpr[X86_RDX] = 0x99999999;
	SYS_LOAD(e, SYS_CODE, m_lxs);
	sys_run(e, 2);
	EXPECT_EQ(s->shadow, 0); /* LSS needs none */
	sys_run(e, 4);
	EXPECT_EQ(s->shadow, X86_SHADOW_MOV_SS);
	EXPECT_EQ(s->gpr[X86_RAX], 0x1000);
	EXPECT_EQ(s->gpr[X86_RBX], 0x1001);
	EXPECT_EQ(s->gpr[X86_RCX], 0x1002);
	EXPECT_EQ(s->gpr[X86_RDX], 0x99994444);
	EXPECT_EQ(s->seg[SEG_GS].sel, KERNEL_DS);
	EXPECT_EQ(s->gpr[X86_RSP], SYS_STACK0);
}

SYS_CODE_DEF(m_lldt, 32, "lldt ax; sldt bx");
SYS_CODE_DEF(m_ltr, 32, "ltr ax; str bx");

static void expect_system_load(bool ltr, u64 desc, u16 sel, unsigned vec, u32 err, int line)
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;

	sys_set_desc(e, SEL_TEST, desc);
	s->gpr[X86_RAX] = sel;
	if (ltr)
		SYS_EXEC(e, m_ltr);
	else
		SYS_EXEC(e, m_lldt);
	if (!vec) {
		sys_expect_eq(s->gpr[X86_RBX], sel, "selector", line);
		return;
	}
	sys_expect_vector(e, vec, line);
	sys_expect_eq(sys_stack(e, 0, 4), err, "error code", line);
}

SYS_TEST(system_loads, "sys: LLDT and LTR: types, presence")
{
	const u64 ldt = sys_desc(0x1000, 0xff, D_P | 2, 0), tss = sys_desc(0x1000, 0x67, D_P | 9, 0);

	expect_system_load(false, ldt, SEL_TEST, 0, 0, __LINE__);
	expect_system_load(false, ldt, 0, 0, 0, __LINE__);
	expect_system_load(false, ldt, SEL_TEST | 4, 13, SEL_TEST | 4, __LINE__);
	expect_system_load(false, ldt & ~(0x80ull << 40), SEL_TEST, 11, SEL_TEST, __LINE__);
	expect_system_load(false, tss, SEL_TEST, 13, SEL_TEST, __LINE__);
	expect_system_load(false, ldt, 0x100, 13, 0x100, __LINE__);
	expect_system_load(true, tss, SEL_TEST, 0, 0, __LINE__);
	expect_system_load(true, tss & ~(8ull << 40), SEL_TEST, 0, 0, __LINE__); /* 16-bit TSS */
	expect_system_load(true, tss | 2ull << 40, SEL_TEST, 13, SEL_TEST, __LINE__);
	expect_system_load(true, tss & ~(0x80ull << 40), SEL_TEST, 11, SEL_TEST, __LINE__);
	expect_system_load(true, tss, 0, 13, 0, __LINE__);
	expect_system_load(true, tss, SEL_TEST | 4, 13, SEL_TEST | 4, __LINE__);
	expect_system_load(true, ldt, SEL_TEST, 13, SEL_TEST, __LINE__);
}

SYS_CODE_DEF(m_lgdt16, 16, "lgdt [0x300]; sgdt [0x320]; .byte 0x66; lgdt [0x300]; .byte 0x66; sgdt [0x330]");
SYS_CODE_DEF(m_lgdt64, 64, "lgdt [0x50000]");

SYS_TEST(table_registers, "sys: LGDT, SGDT with 16-bit operands and a bad base")
{
	struct sys_env *e = sys_real();
	struct x86_state *s = &e->s;

	sys_no_reference("kvm-intel shows another CS type in real mode");
	sys_write(e, 0x300, 8, 0x123456781234ull);
	memset(e->ram + 0x320, 0xff, 32);
	EXPECT_DONE(e, m_lgdt16);
	EXPECT_EQ(sys_read(e, 0x320, 6), 0x003456781234ull);
	EXPECT_EQ(sys_read(e, 0x330, 6), 0x123456781234ull);
	EXPECT_EQ(s->gdt.base, 0x12345678);
	e = sys_long(0);
	sys_write(e, SYS_DATA, 2, 0x7f);
	sys_write(e, SYS_DATA + 2, 8, 0x800000000000ull);
	EXPECT_FAULT(e, m_lgdt64, 13, 0, 8);
	EXPECT_EQ(s->gdt.base, SYS_GDT);
}

/* --- task switches: address space, virtual-8086 tasks ---------------------------------------------------------- */

SYS_CODE_DEF(m_task, 32, "ljmp 0xa0:0");
SYS_CODE_DEF(m_task_vm, 16, "int3");

SYS_TEST(task_to_vm86, "sys: task switch into virtual-8086 mode, and out by a task gate")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;

	memcpy(e->ram + SYS_DATA, code_m_task_vm, 1);
	sys_write(e, SYS_TSS2 + 4, 4, SYS_STACK0);
	sys_write(e, SYS_TSS2 + 8, 4, KERNEL_DS);
	sys_write(e, SYS_TSS2 + 36, 4, RFLAGS_VM | RFLAGS_FIXED);
	sys_write(e, SYS_TSS2 + 76, 4, SYS_DATA >> 4);
	sys_write(e, SYS_TSS2 + 80, 4, 0x2000);
	sys_write(e, SYS_TSS2 + 84, 4, 0x1234);
	SYS_LOAD(e, SYS_CODE, m_task);
	sys_run(e, 1);
	EXPECT_EQ(s->mode, X86_MODE_VM86);
	EXPECT_EQ(s->cpl, 3);
	EXPECT_EQ(s->seg[SEG_CS].base, SYS_DATA);
	EXPECT_EQ(s->seg[SEG_DS].base, 0x12340);
	sys_run(e, 2);
	EXPECT_VECTOR(e, 3);
	EXPECT_EQ(sys_stack(e, 6, 4), 0x1234);
	EXPECT_EQ(sys_stack(e, 0, 4), 1);
}

SYS_TEST(task_cr3, "sys: task switch loads CR3 if paging is on")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;
	unsigned k, n;

	sys_no_reference("accessed and dirty bits");
	/* Two sets of legacy page tables; the second maps 0x150000 to 0x160000. */
	for (n = 0; n < 2; n++) {
		u32 dir = 0x180000 + n * 0x2000, table = dir + 0x1000;

		sys_write(e, dir, 4, table | 7);
		for (k = 0; k < 512; k++)
			sys_write(e, table + 4 * k, 4, k << 12 | 7);
		if (n)
			sys_write(e, table + 4 * 0x150, 4, 0x160000 | 7);
	}
	sys_write(e, 0x160000, 1, 0xf4);
	sys_write(e, SYS_TSS2 + 28, 4, 0x182000);
	sys_write(e, SYS_TSS2 + 32, 4, 0x150000);
	sys_write(e, SYS_TSS2 + 36, 4, RFLAGS_FIXED);
	sys_write(e, SYS_TSS2 + 76, 4, KERNEL_CS);
	sys_write(e, SYS_TSS2 + 80, 4, KERNEL_DS);
	s->cr3 = 0x180000;
	EXPECT_EQ(x86_write_cr(s, 0, s->cr0 | CR0_PG), X86_OK);
	e->flushes = 0;
	EXPECT_EQ(SYS_EXEC(e, m_task), X86_EXIT);
	EXPECT_EQ(s->rip, 0x150001);
	EXPECT_EQ(s->cr3, 0x182000);
	EXPECT(e->flushes > 0);
}

/* --- supervisor protection ---------------------------------------------------------------------------------------- */

SYS_CODE_DEF(m_read, 64, "mov eax, dword ptr [0x150000]");

SYS_TEST(smap_smep, "sys: SMAP for explicit and implicit accesses, SMEP for fetches")
{
	struct sys_env *e = sys_long(0);
	struct x86_state *s = &e->s;
	unsigned k;

	/* Everything but 0x150000 is a supervisor page. */
	for (k = 0; k < 512; k++)
		sys_write(e, SYS_PT + 8 * k, 8, k << 12 | (k == 0x150 ? 7 : 3));
	EXPECT_EQ(x86_write_cr(s, 4, s->cr4 | CR4_SMAP | CR4_SMEP), X86_OK);
	EXPECT_FAULT(e, m_read, 14, PFERR_P, 8);
	x86_set_rflags(s, s->rflags | RFLAGS_AC);
	EXPECT_DONE(e, m_read);
	/* The GDT in a user page: AC does not help. */
	memcpy(e->ram + 0x150000, e->ram + SYS_GDT, 0x100);
	s->gdt.base = 0x150000;
	EXPECT_EQ(x86_load_segment(s, SEG_FS, KERNEL_DS), X86_FAULT);
	EXPECT_EQ(s->fault.vector, X86_EXC_PF);
	EXPECT_EQ(s->fault.error, PFERR_P);
	EXPECT_EQ(s->fault.cr2, 0x150010);
	s->gdt.base = SYS_GDT;
	e->ram[0x150000] = 0xf4;
	s->rip = 0x150000;
	s->gpr[X86_RSP] = SYS_STACK0;
	sys_run(e, 2);
	EXPECT_VECTOR(e, 14);
	EXPECT_EQ(sys_stack(e, 0, 8), PFERR_P | PFERR_I);
	EXPECT_EQ(sys_stack(e, 1, 8), 0x150000);
}

SYS_CODE_DEF(m_int80, 64, "int 0x80");

SYS_TEST(delivery_is_precise, "sys: a page fault while a frame is pushed leaves no trace")
{
	struct sys_env *e = sys_long(3);
	struct x86_state *s = &e->s;

	sys_no_reference("Bochs leaves words behind that it has pushed");
	/* RSP0's page is missing; #PF comes on an IST stack. */
	sys_write(e, SYS_TSS + 4, 8, 0x151010);
	sys_write(e, SYS_PT + 0x150 * 8, 8, 0);
	sys_set_idt(e, 14, sys_gate(KERNEL_CS, SYS_HANDLER(14), D_P | 14) | 1ull << 32);
	EXPECT_FAULT(e, m_int80, 14, PFERR_W, 8);
	EXPECT_EQ(s->cr2, 0x150ff8); /* RSP is pushed behind SS */
	EXPECT_EQ(sys_stack(e, 1, 8), SYS_CODE);
	EXPECT_EQ(sys_stack(e, 2, 8), USER_CS | 3);
	EXPECT_EQ(sys_stack(e, 4, 8), SYS_STACK3);
	EXPECT_EQ(sys_read(e, 0x151000, 8), 0); /* the part that could be written */
	EXPECT_EQ(sys_read(e, 0x151008, 8), 0);
}

SYS_CODE_DEF(m_compat_int, 32, "int 0x80");

SYS_TEST(compat_to_high_stack, "sys: from compatibility mode to tables and stacks above 4 GiB that cross pages")
{
	const u64 high = 0xffff800000000000ull;
	struct sys_env *e = sys_long(3);
	struct x86_state *s = &e->s;
	unsigned k;

	sys_no_reference("Bochs cuts the address in the second page");
	/* High addresses have tables of their own, where some pages are others than at low ones. */
	sys_write(e, SYS_PAGE_TABLES + 256 * 8, 8, 0x1a0000 | 7);
	sys_write(e, 0x1a0000, 8, 0x1a1000 | 7);
	sys_write(e, 0x1a1000, 8, 0x1a2000 | 7);
	for (k = 0; k < 512; k++)
		sys_write(e, 0x1a2000 + 8 * k, 8, (k == 0x151 || k == 0x153 ? k + 0x10 : k) << 12 | 7);
	/* RSP0 so that the frame crosses a page, and the field in the TSS too. */
	sys_write(e, 0x152ffc, 4, 0x151010);
	sys_write(e, 0x163000, 4, high >> 32);
	s->tr.base = high + 0x152ff8;
	s->idt.base += high;
	s->gdt.base += high;
	s->seg[SEG_CS].attr = 0xc0fb;
	s->seg[SEG_CS].sel = USER_CS32 | 3;
	x86_update_mode(s);
	SYS_EXEC(e, m_compat_int);
	EXPECT_VECTOR(e, 0x80);
	EXPECT_EQ(s->gpr[X86_RSP], high + 0x151010 - 40);
	EXPECT_EQ(sys_read(e, 0x151010 - 40, 8), SYS_CODE + 2);
	EXPECT_EQ(sys_read(e, 0x161008, 8), USER_DS | 3);
	EXPECT_EQ(sys_read(e, 0x161000, 8), SYS_STACK3);
}

/* --- the rest ------------------------------------------------------------------------------------------------------- */

SYS_CODE_DEF(m_mwait, 64, "xor ecx, ecx; mwait");
SYS_CODE_DEF(m_mwait_bad, 64, "mov ecx, 2; mwait");
SYS_CODE_DEF(m_vmmcall, 64, "vmmcall");
SYS_CODE_DEF(m_xgetbv1, 64, "mov ecx, 1; xgetbv");
SYS_CODE_DEF(m_xsetbv, 64, "xor ecx, ecx; xor edx, edx; mov eax, 7; xsetbv; xgetbv");
SYS_CODE_DEF(m_xsetbv_bad, 64, "xor ecx, ecx; xor edx, edx; mov eax, 6; xsetbv");
SYS_CODE_DEF(m_invpcid0, 64, "xor eax, eax; push 0x150000; push 0; invpcid rax, [rsp]");
SYS_CODE_DEF(m_invpcid0_bad, 64, "xor eax, eax; mov rcx, 0x800000000000; push rcx; push 0; invpcid rax, [rsp]");
SYS_CODE_DEF(m_invpcid_pcid, 64, "xor eax, eax; push 0; push 5; invpcid rax, [rsp]");
SYS_CODE_DEF(m_invlpg32, 32, "invlpg fs:[0x1000]");
SYS_CODE_DEF(m_lidt64, 64, "lidt [0x50000]");

SYS_TEST(odds_and_ends, "sys: MWAIT, VMMCALL, XCR0, INVPCID")
{
	struct sys_env *e = sys_long(0);
	struct x86_state *s = &e->s;

	sys_no_reference("hooks of the test, features of the device");
	EXPECT_EQ(SYS_EXEC(e, m_mwait), X86_EXIT);
	EXPECT_EQ(s->rip, SYS_CODE + 5);
	EXPECT_FAULT(e, m_mwait_bad, 13, 0, 8);
	e = sys_long(0);
	EXPECT_DONE(e, m_vmmcall);
	EXPECT_EQ(s->gpr[X86_RAX], 0x4242);
	s->cr4 |= CR4_OSXSAVE;
	EXPECT_DONE(e, m_xsetbv);
	EXPECT_EQ(s->gpr[X86_RAX], 7);
	*(u64 *)((u8 *)s->xsave + 512) = 3;
	EXPECT_DONE(e, m_xgetbv1);
	EXPECT_EQ(s->gpr[X86_RAX], 3);
	EXPECT_FAULT(e, m_xsetbv_bad, 13, 0, 8);
	e = sys_long(0);
	EXPECT_DONE(e, m_invpcid0);
	EXPECT_EQ(e->flushes, 1);
	EXPECT_FAULT(e, m_invpcid0_bad, 13, 0, 8);
	EXPECT_FAULT(e, m_invpcid_pcid, 13, 0, 8);
	s->cr4 |= CR4_PCIDE;
	EXPECT_DONE(e, m_invpcid_pcid);
	e = sys_prot(0);
	EXPECT_DONE(e, m_invlpg32);
	EXPECT_EQ(e->flushes, 1);
	e = sys_long(0);
	sys_write(e, SYS_DATA, 2, 0xfff);
	sys_write(e, SYS_DATA + 2, 8, 0xffffffff81000000ull);
	EXPECT_DONE(e, m_lidt64);
	EXPECT_EQ(s->idt.base, 0xffffffff81000000ull);
}

SYS_CODE_DEF(m_legacy_syscall, 32, "syscall; int 0x80");
SYS_CODE_DEF(m_legacy_sysenter, 32, "sysenter");
SYS_CODE_DEF(m_legacy_sysexit, 32, "mov edx, 0x10100; mov ecx, 0x2fff0; sysexit; .org 771b + 0x100; int 0x80");
SYS_CODE_DEF(m_real_sysenter, 16, "sysenter");

SYS_TEST(legacy_system_calls, "sys: SYSENTER in protected mode, AMD's legacy SYSCALL")
{
	struct sys_env *e = sys_prot(3);
	struct x86_state *s = &e->s;

	s->sysenter_cs = KERNEL_CS;
	s->sysenter_esp = SYS_IST1;
	s->sysenter_eip = SYS_HANDLER(0x55);
	SYS_EXEC(e, m_legacy_sysenter);
	EXPECT_VECTOR(e, 0x55);
	EXPECT_EQ(s->mode, X86_MODE_PROT32);
	EXPECT_EQ(s->seg[SEG_SS].sel, KERNEL_CS + 8);
	EXPECT_EQ(s->seg[SEG_CS].attr, 0xc09b);
	e = sys_prot(0);
	s->sysenter_cs = KERNEL_CS;
	SYS_EXEC(e, m_legacy_sysexit);
	EXPECT_VECTOR(e, 0x80);
	EXPECT_EQ(sys_stack(e, 1, 4), (KERNEL_CS + 16) | 3);
	EXPECT_EQ(sys_stack(e, 3, 4), 0x2fff0);
	e = sys_prot(3);
	s->sysenter_cs = KERNEL_CS;
	EXPECT_FAULT(e, m_legacy_sysexit, 13, 0, 4);
	sys_no_reference("kvm-intel shows another CS type in real mode");
	e = sys_real();
	s->sysenter_cs = KERNEL_CS;
	SYS_EXEC(e, m_real_sysenter);
	EXPECT_VECTOR(e, 13);
	e = sys_prot(3);
	s->efer = X86_EFER_SCE;
	SYS_EXEC(e, m_legacy_syscall);
	EXPECT_VECTOR(e, 6);
	e = sys_prot(3);
	s->efer = X86_EFER_SCE;
	s->vendor_amd = true;
	s->star = (u64)KERNEL_CS << 32 | SYS_HANDLER(0x56);
	s->rflags |= RFLAGS_IF;
	SYS_EXEC(e, m_legacy_syscall);
	EXPECT_VECTOR(e, 0x56);
	EXPECT_EQ(s->gpr[X86_RCX], SYS_CODE + 2);
	EXPECT_EQ(s->gpr[X86_R11], 0);
	EXPECT_EQ(s->rflags, RFLAGS_FIXED);
}

SYS_TEST(pae_cr3_checks, "sys: CR3 and CR4 writes reload the PAE directory pointers")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;

	sys_write(e, 0x9000, 8, 0xa001);
	sys_write(e, 0x9020, 8, 0xa003);
	EXPECT_EQ(x86_write_cr(s, 4, CR4_PAE), X86_OK);
	EXPECT_EQ(x86_write_cr(s, 3, 0x9000), X86_OK);
	EXPECT_EQ(x86_write_cr(s, 0, s->cr0 | CR0_PG), X86_OK);
	EXPECT_EQ(x86_write_cr(s, 3, 0x9020), X86_FAULT);
	EXPECT_EQ(s->cr3, 0x9000);
	EXPECT_EQ(x86_write_cr(s, 3, 0xffff0000), X86_FAULT); /* no memory there */
	sys_write(e, 0x9000, 8, 0xb001);
	EXPECT_EQ(s->pdpte[0], 0xa001);
	EXPECT_EQ(x86_write_cr(s, 4, CR4_PAE | CR4_PGE), X86_OK);
	EXPECT_EQ(s->pdpte[0], 0xb001);
	sys_write(e, 0x9008, 8, 3);
	EXPECT_EQ(x86_write_cr(s, 4, CR4_PAE), X86_FAULT);
	EXPECT_EQ(s->cr4, CR4_PAE | CR4_PGE);
}

SYS_CODE_DEF(m_int40, 16, "int 0x40");

SYS_TEST(vme_failures, "sys: VME: redirection with IOPL 3, TSS without a bit map")
{
	static const u8 enter[] = { 0xcf };
	struct sys_env *e;
	struct x86_state *s;
	unsigned k;

	for (k = 0; k < 3; k++) {
		u32 *frame;

		e = sys_prot(0);
		s = &e->s;
		e->ram[SYS_DATA] = enter[0];
		memcpy(e->ram + SYS_CODE, code_m_int40, 2);
		s->gpr[X86_RSP] = SYS_STACK0 - 36;
		frame = (u32 *)(e->ram + SYS_STACK0 - 36);
		frame[1] = SYS_CODE >> 4;
		frame[2] = RFLAGS_VM | RFLAGS_IOPL | RFLAGS_IF;
		frame[3] = 0x100;
		frame[4] = 0x2000;
		s->rip = SYS_DATA;
		s->cr4 |= CR4_VME;
		s->tr.limit = k == 0 ? 0x200 : k == 1 ? 0x67 : 102;
		sys_write(e, SYS_TSS + 102, 2, 0x88);
		sys_write(e, 0x40 * 4, 4, 0x30000200);
		sys_run(e, 2);
		if (k == 0) {
			EXPECT_EQ(s->rip, 0x200);
			EXPECT_EQ(sys_stack(e, 2, 2), RFLAGS_FIXED | RFLAGS_IOPL | RFLAGS_IF);
			EXPECT_EQ(s->rflags & RFLAGS_IF, 0);
		} else {
			sys_run(e, 1);
			EXPECT_VECTOR(e, 13);
		}
	}
}
