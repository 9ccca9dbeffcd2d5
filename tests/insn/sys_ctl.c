/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Control and debug registers, I/O permission, and instructions that are checked by privilege. */
#include "sys_env.h"

static bool faults(enum x86_result r, struct x86_state *s)
{
	return r == X86_FAULT && s->fault.vector == X86_EXC_GP && s->fault.error == 0;
}

SYS_TEST(cr0_rules, "sys: CR0: reserved combinations, mode switches")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;
	u64 old = s->cr0;

	EXPECT(faults(x86_write_cr(s, 0, CR0_PG), s));
	EXPECT(faults(x86_write_cr(s, 0, old | CR0_NW), s) == !(old & CR0_CD));
	EXPECT(faults(x86_write_cr(s, 0, (old & ~(u64)CR0_CD) | CR0_NW), s));
	EXPECT(faults(x86_write_cr(s, 0, old | 1ull << 32), s));
	EXPECT_EQ(s->cr0, old);
	/* Undefined bits in the low half are ignored; ET stays. */
	EXPECT_EQ(x86_write_cr(s, 0, CR0_PE | 0x40), X86_OK);
	EXPECT_EQ(s->cr0, CR0_PE | CR0_ET);
	EXPECT_EQ(x86_write_cr(s, 0, 0), X86_OK);
	EXPECT_EQ(s->mode, X86_MODE_REAL);
	EXPECT_EQ(x86_write_cr(s, 1, 0), X86_FAULT);
	EXPECT_EQ(s->fault.vector, X86_EXC_UD);
}

SYS_TEST(long_mode_activation, "sys: LME, PAE, PG and LMA")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;

	EXPECT(faults(x86_write_efer(s, 0x2000), s));
	EXPECT_EQ(x86_write_efer(s, X86_EFER_LME | X86_EFER_LMA), X86_OK);
	EXPECT_EQ(s->efer, X86_EFER_LME);
	EXPECT(faults(x86_write_cr(s, 0, s->cr0 | CR0_PG), s));
	EXPECT_EQ(x86_write_cr(s, 4, CR4_PAE), X86_OK);
	EXPECT_EQ(x86_write_cr(s, 0, s->cr0 | CR0_PG), X86_OK);
	EXPECT_EQ(s->efer, X86_EFER_LME | X86_EFER_LMA);
	EXPECT_EQ(s->mode, X86_MODE_PROT32);
	EXPECT(e->flushes > 0);
	/* While paging is on. */
	EXPECT(faults(x86_write_efer(s, 0), s));
	EXPECT(faults(x86_write_cr(s, 4, 0), s));
	EXPECT(faults(x86_write_cr(s, 4, CR4_PAE | CR4_LA57), s));
	EXPECT(faults(x86_write_cr(s, 3, 1ull << 40), s));
	EXPECT_EQ(x86_write_cr(s, 3, 1ull << 39 | 5), X86_OK);
	EXPECT(faults(x86_write_cr(s, 4, CR4_PAE | CR4_PCIDE), s));
	EXPECT_EQ(x86_write_cr(s, 3, 0x9000), X86_OK);
	EXPECT_EQ(x86_write_cr(s, 4, CR4_PAE | CR4_PCIDE), X86_OK);
	EXPECT(faults(x86_write_cr(s, 0, s->cr0 & ~(u64)CR0_PG), s));
	e->flushes = 0;
	EXPECT_EQ(x86_write_cr(s, 3, 1ull << 63 | 0x9000), X86_OK);
	EXPECT_EQ(s->cr3, 0x9000);
	EXPECT_EQ(e->flushes, 0);
	EXPECT_EQ(x86_write_cr(s, 3, 0x9000), X86_OK);
	EXPECT_EQ(e->flushes, 1);
	EXPECT_EQ(x86_write_cr(s, 4, CR4_PAE), X86_OK);
	EXPECT_EQ(x86_write_cr(s, 0, s->cr0 & ~(u64)CR0_PG), X86_OK);
	EXPECT_EQ(s->efer, X86_EFER_LME);
	/* In 64-bit mode paging cannot be turned off, and CS.L must be 0 when it is turned on. */
	e = sys_long(0);
	EXPECT(faults(x86_write_cr(s, 0, CR0_PE), s));
	s->efer &= ~(u64)X86_EFER_LMA;
	s->cr0 &= ~(u64)CR0_PG;
	EXPECT(faults(x86_write_cr(s, 0, s->cr0 | CR0_PG), s));
}

SYS_TEST(cr4_features, "sys: CR4, EFER, XCR0 bits follow the features")
{
	struct sys_env *e = sys_long(0);
	struct x86_state *s = &e->s;

	EXPECT(faults(x86_write_cr(s, 4, s->cr4 | CR4_VMXE), s));
	EXPECT_EQ(x86_write_cr(s, 4, s->cr4 | CR4_SMEP | CR4_SMAP), X86_OK);
	EXPECT_EQ(s->mmu_index, MMU_SUPER_SMAP);
	x86_set_rflags(s, s->rflags | RFLAGS_AC);
	EXPECT_EQ(s->mmu_index, MMU_SUPER);
	s->features[X86F_SMEP >> 6] &= ~(1ull << (X86F_SMEP & 63));
	EXPECT(faults(x86_write_cr(s, 4, s->cr4), s));
	EXPECT(faults(x86_write_xcr(s, 0, 6), s));
	EXPECT(faults(x86_write_xcr(s, 0, 5), s));
	EXPECT(faults(x86_write_xcr(s, 0, 0x27), s));
	EXPECT(faults(x86_write_xcr(s, 1, 1), s));
	EXPECT(faults(x86_write_xcr(s, 0, 0xe7), s));
	s->xcr0_avx512 = 0xe0;
	EXPECT(faults(x86_write_xcr(s, 0, 0xe3), s));
	EXPECT(faults(x86_write_xcr(s, 0, 0x67), s));
	EXPECT_EQ(x86_write_xcr(s, 0, 0xe7), X86_OK);
	EXPECT_EQ(x86_write_xcr(s, 0, 7), X86_OK);
	s->features[X86F_AVX >> 6] &= ~(1ull << (X86F_AVX & 63));
	EXPECT(faults(x86_write_xcr(s, 0, 7), s));
	EXPECT_EQ(s->xcr0, 7);
	EXPECT(faults(x86_write_cr(s, 8, 16), s));
	EXPECT_EQ(x86_write_cr(s, 8, 9), X86_OK);
	EXPECT_EQ(x86_read_cr(s, 8), 9);
	EXPECT(e->events > 0);
}

SYS_TEST(pae_pdptes, "sys: PAE paging reads and checks four directory pointers")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;

	EXPECT_EQ(x86_write_cr(s, 4, CR4_PAE), X86_OK);
	sys_write(e, 0x9020, 8, 0xa001);
	sys_write(e, 0x9028, 8, 0x1e6); /* not present: anything goes */
	EXPECT_EQ(x86_write_cr(s, 3, 0x9020), X86_OK);
	sys_write(e, 0x9038, 8, 0xa003); /* reserved bit */
	EXPECT(faults(x86_write_cr(s, 0, s->cr0 | CR0_PG), s));
	EXPECT_EQ(s->cr0 & CR0_PG, 0);
	sys_write(e, 0x9038, 8, 0xa001 | 1ull << 40);
	EXPECT(faults(x86_write_cr(s, 0, s->cr0 | CR0_PG), s));
	sys_write(e, 0x9038, 8, 0xa019);
	EXPECT_EQ(x86_write_cr(s, 0, s->cr0 | CR0_PG), X86_OK);
	EXPECT_EQ(s->pdpte[0], 0xa001);
	EXPECT_EQ(s->pdpte[3], 0xa019);
	EXPECT_EQ(s->efer & X86_EFER_LMA, 0);
}

SYS_TEST(debug_registers, "sys: debug registers: fixed bits, DR4/DR5, GD")
{
	struct sys_env *e = sys_long(0);
	struct x86_state *s = &e->s;
	u64 val;

	EXPECT_EQ(x86_write_dr(s, 7, 0xffffffff & ~(u64)DR7_GD), X86_OK);
	EXPECT_EQ(s->dr7, 0xffff07ff);
	EXPECT_EQ(x86_write_dr(s, 6, 0), X86_OK);
	EXPECT_EQ(s->dr6, 0xffff0ff0);
	EXPECT(faults(x86_write_dr(s, 7, 1ull << 32), s));
	EXPECT_EQ(x86_write_dr(s, 2, 0xffffffff81000000ull), X86_OK);
	EXPECT_EQ(x86_read_dr(s, 2, &val), X86_OK);
	EXPECT_EQ(val, 0xffffffff81000000ull);
	EXPECT_EQ(x86_read_dr(s, 5, &val), X86_OK);
	EXPECT_EQ(val, 0xffff07ff);
	s->cr4 |= CR4_DE;
	EXPECT_EQ(x86_read_dr(s, 5, &val), X86_FAULT);
	EXPECT_EQ(s->fault.vector, X86_EXC_UD);
	EXPECT_EQ(x86_write_dr(s, 7, DR7_GD), X86_OK);
	EXPECT_EQ(x86_read_dr(s, 0, &val), X86_FAULT);
	EXPECT_EQ(s->fault.vector, X86_EXC_DB);
	EXPECT_EQ(s->fault.cr2, DR6_BD);
	EXPECT_EQ(e->debug_changes, 3); /* DR7 twice, DR2; DR6 breaks nothing */
}

/* --- instructions ------------------------------------------------------------------------------------------ */

SYS_CODE_DEF(c_cr, 64,
	     "mov rax, cr0; mov rbx, cr3; mov rcx, cr4; mov rdx, 0x7777; mov cr2, rdx; mov rsi, cr2; mov rdi, 5; mov "
	     "cr8, rdi;"
	     "mov r8, cr8; mov rax, 0x600; mov dr7, rax; mov r9, dr7");
SYS_CODE_DEF(c_cr1, 64, ".byte 0x0f, 0x20, 0xc8");

SYS_TEST(cr_instructions, "sys: MOV to and from control and debug registers")
{
	struct sys_env *e = sys_long(0);
	struct x86_state *s = &e->s;

	EXPECT_DONE(e, c_cr);
	EXPECT_EQ(s->gpr[X86_RBX], SYS_PAGE_TABLES);
	EXPECT_EQ(s->gpr[X86_RCX], CR4_PAE);
	EXPECT_EQ(s->gpr[X86_RSI], 0x7777);
	EXPECT_EQ(s->gpr[X86_R8], 5);
	EXPECT_EQ(s->gpr[X86_R9], 0x600);
	SYS_EXEC(e, c_cr1);
	EXPECT_VECTOR(e, 6);
	e = sys_long(3);
	EXPECT_FAULT(e, c_cr, 13, 0, 8);
}

SYS_CODE_DEF(c_hlt, 64, "nop");
SYS_CODE_DEF(c_lgdt, 64, "lgdt [rsp]");
SYS_CODE_DEF(c_lidt, 64, "lidt [rsp]");
SYS_CODE_DEF(c_lldt, 64, "lldt ax");
SYS_CODE_DEF(c_ltr, 64, "ltr ax");
SYS_CODE_DEF(c_lmsw, 64, "lmsw ax");
SYS_CODE_DEF(c_clts, 64, "clts");
SYS_CODE_DEF(c_invlpg, 64, "invlpg [rsp]");
SYS_CODE_DEF(c_wbinvd, 64, "wbinvd");
SYS_CODE_DEF(c_invd, 64, "invd");
SYS_CODE_DEF(c_rdmsr, 64, "rdmsr");
SYS_CODE_DEF(c_wrmsr, 64, "wrmsr");
SYS_CODE_DEF(c_cli, 64, "cli");
SYS_CODE_DEF(c_sti, 64, "sti");
SYS_CODE_DEF(c_in, 64, "in al, 0x60");
SYS_CODE_DEF(c_xsetbv, 64, "xsetbv");
SYS_CODE_DEF(c_invpcid, 64, "invpcid rax, [rsp]");
SYS_CODE_DEF(c_movdr, 64, "mov dr0, rax");

SYS_TEST(privileged, "sys: privileged instructions fault at CPL 3")
{
	static const struct {
		const u8 *start, *end;
	} t[] = {
		{ code_c_hlt, code_c_hlt_end },         { code_c_lgdt, code_c_lgdt_end },
		{ code_c_lidt, code_c_lidt_end },       { code_c_lldt, code_c_lldt_end },
		{ code_c_ltr, code_c_ltr_end },         { code_c_lmsw, code_c_lmsw_end },
		{ code_c_clts, code_c_clts_end },       { code_c_invlpg, code_c_invlpg_end },
		{ code_c_wbinvd, code_c_wbinvd_end },   { code_c_invd, code_c_invd_end },
		{ code_c_rdmsr, code_c_rdmsr_end },     { code_c_wrmsr, code_c_wrmsr_end },
		{ code_c_cli, code_c_cli_end },         { code_c_sti, code_c_sti_end },
		{ code_c_in, code_c_in_end },           { code_c_xsetbv, code_c_xsetbv_end },
		{ code_c_invpcid, code_c_invpcid_end }, { code_c_movdr, code_c_movdr_end },
	};
	unsigned k;

	for (k = 0; k < ARRAY_SIZE(t); k++) {
		struct sys_env *e = sys_long(3);
		struct x86_state *s = &e->s;

		s->cr4 |= CR4_OSXSAVE;
		sys_exec(e, t[k].start, t[k].end);
		if (s->rip != SYS_HANDLER(13) + 1 || sys_stack(e, 0, 8) != 0 || sys_stack(e, 1, 8) > SYS_CODE + 1)
			insn_fail("case %u: rip %llx, error code %llx at %llx", k, s->rip, sys_stack(e, 0, 8),
				  sys_stack(e, 1, 8));
	}
}

SYS_CODE_DEF(c_umip, 64, "sgdt [rsp-16]; smsw ax; sldt bx; str cx; sidt [rsp-32]; int 0x80");

SYS_TEST(umip, "sys: SGDT, SIDT, SLDT, STR, SMSW and UMIP")
{
	struct sys_env *e = sys_long(3);
	struct x86_state *s = &e->s;

	SYS_EXEC(e, c_umip);
	EXPECT_VECTOR(e, 0x80);
	EXPECT_EQ(sys_read(e, SYS_STACK3 - 16, 2), GDT_ENTRIES * 8 - 1);
	EXPECT_EQ(sys_read(e, SYS_STACK3 - 14, 8), SYS_GDT);
	EXPECT_EQ(sys_read(e, SYS_STACK3 - 30, 8), SYS_IDT);
	EXPECT_EQ(s->gpr[X86_RAX] & 0xffff, s->cr0 & 0xffff);
	EXPECT_EQ(s->gpr[X86_RCX] & 0xffff, SEL_TSS);
	e = sys_long(3);
	s->cr4 |= CR4_UMIP;
	EXPECT_FAULT(e, c_umip, 13, 0, 8);
	EXPECT_EQ(sys_stack(e, 1, 8), SYS_CODE);
}

SYS_CODE_DEF(c_lmsw0, 64,
	     "mov eax, 0xfff6; lmsw ax; mov rbx, cr0; clts; mov rcx, cr0; mov eax, 0; lmsw ax; mov rdx, cr0");

SYS_TEST(lmsw_clts, "sys: LMSW cannot clear PE; CLTS")
{
	struct sys_env *e = sys_long(0);
	struct x86_state *s = &e->s;

	EXPECT_DONE(e, c_lmsw0);
	EXPECT_EQ(s->gpr[X86_RBX] & 0xf, 7);
	EXPECT_EQ(s->gpr[X86_RCX] & 0xf, 7 & ~CR0_TS);
	EXPECT_EQ(s->gpr[X86_RDX] & 0xf, CR0_PE);
}

SYS_CODE_DEF(c_sti_cli, 32, "sti; nop; cli; int 0x80");
SYS_CODE_DEF(c_nop, 32, "nop; int 0x80");

SYS_TEST(iopl, "sys: CLI, STI: IOPL and protected-mode virtual interrupts")
{
	struct sys_env *e = sys_prot(3);
	struct x86_state *s = &e->s;

	EXPECT_FAULT(e, c_sti_cli, 13, 0, 4);
	e = sys_prot(3);
	s->rflags |= RFLAGS_IOPL;
	SYS_LOAD(e, SYS_CODE, c_sti_cli);
	sys_run(e, 1);
	EXPECT_EQ(s->shadow, X86_SHADOW_STI);
	EXPECT(s->rflags & RFLAGS_IF);
	EXPECT_EQ(e->events, 1);
	sys_run(e, 3);
	EXPECT_EQ(s->rip, SYS_HANDLER(0x80));
	e = sys_prot(3);
	s->cr4 |= CR4_PVI;
	SYS_LOAD(e, SYS_CODE, c_sti_cli);
	sys_run(e, 1);
	EXPECT_EQ(s->rflags, RFLAGS_FIXED | RFLAGS_VIF);
	sys_run(e, 2);
	EXPECT_EQ(s->rflags, RFLAGS_FIXED);
	e = sys_prot(3);
	s->cr4 |= CR4_PVI;
	s->rflags |= RFLAGS_VIP;
	EXPECT_FAULT(e, c_sti_cli, 13, 0, 4);
	/* Both set: no instruction begins. */
	e = sys_prot(3);
	s->cr4 |= CR4_PVI;
	s->rflags |= RFLAGS_VIP | RFLAGS_VIF;
	EXPECT_FAULT(e, c_nop, 13, 0, 4);
	e = sys_prot(3);
	s->rflags |= RFLAGS_VIP | RFLAGS_VIF;
	SYS_EXEC(e, c_nop);
	EXPECT_VECTOR(e, 0x80);
}

SYS_TEST(virtual_interrupt_iopl, "sys: VIF and VIP mean nothing with IOPL 3")
{
	struct sys_env *e;
	struct x86_state *s;

	sys_no_reference("Bochs looks at them all the same");
	e = sys_prot(3);
	s = &e->s;
	s->cr4 |= CR4_PVI;
	s->rflags |= RFLAGS_VIP | RFLAGS_VIF | RFLAGS_IOPL;
	SYS_EXEC(e, c_nop);
	EXPECT_VECTOR(e, 0x80);
}

SYS_CODE_DEF(c_io, 32, "mov edx, 0x3f8; mov al, 0x41; out dx, al; in eax, dx; out 0xff, ax; int 0x80");
SYS_CODE_DEF(c_outw, 32, "mov edx, 0x3ff; out dx, ax; int 0x80");

SYS_TEST(io_permission, "sys: IN, OUT and the I/O permission bit map")
{
	struct sys_env *e = sys_prot(0);
	struct x86_state *s = &e->s;

	e->in_val = 0x12345678;
	SYS_EXEC(e, c_io);
	EXPECT_VECTOR(e, 0x80);
	EXPECT_EQ(s->gpr[X86_RAX], 0x12345678);
	EXPECT_EQ(e->last_out.port, 0xff);
	EXPECT_EQ(e->last_out.size, 2);
	EXPECT_EQ(e->last_out.val, 0x5678);
	e = sys_prot(3);
	EXPECT_FAULT(e, c_io, 13, 0, 4); /* no bit map within the limit */
	EXPECT_EQ(e->last_out.port, 0);
	e = sys_prot(3);
	s->tr.limit = 0x67 + 0x81; /* up to port 0x3ff and the byte behind */
	SYS_EXEC(e, c_io);
	EXPECT_VECTOR(e, 0x80);
	e = sys_prot(3);
	s->tr.limit = 0x67 + 0x80; /* port 0x3f8's byte is the last: the one behind is missing */
	EXPECT_FAULT(e, c_io, 13, 0, 4);
	e = sys_prot(3);
	s->tr.limit = 0x1000;
	sys_write(e, SYS_TSS + 0x68 + 0x7f, 1, 8); /* port 0x3fb, in reach of the 32-bit IN only */
	EXPECT_FAULT(e, c_io, 13, 0, 4);
	EXPECT_EQ(e->last_out.port, 0x3f8);
	e = sys_prot(3);
	s->tr.limit = 0x1000;
	sys_write(e, SYS_TSS + 0x68 + 0x80, 1, 1); /* 0x400: second byte of a word access at 0x3ff */
	EXPECT_FAULT(e, c_outw, 13, 0, 4);
	e = sys_prot(3);
	s->rflags |= RFLAGS_IOPL;
	SYS_EXEC(e, c_io);
	EXPECT_VECTOR(e, 0x80);
	/* I/O breakpoint. */
	e = sys_prot(0);
	s->cr4 |= CR4_DE;
	s->dr[1] = 0x3f8;
	s->dr7 = DR7_FIXED1 | 8 | 2 << 20;
	SYS_LOAD(e, SYS_CODE, c_io);
	sys_run(e, 3);
	EXPECT_EQ(s->dr6_pending, 2);
}

SYS_CODE_DEF(c_tsc, 64, "rdtsc; mov esi, eax; mov edi, edx; rdtscp; rdpid rbx; int 0x80");
SYS_CODE_DEF(c_rdpmc, 64, "rdpmc");
SYS_CODE_DEF(c_msr, 64, "mov ecx, 0x1b; mov eax, 1; mov edx, 2; wrmsr; mov ecx, 0x10; rdmsr");
SYS_CODE_DEF(c_badmsr, 64, "mov ecx, 0xdead; rdmsr");
SYS_CODE_DEF(c_cpuid, 64, "mov rax, -1; cpuid; .byte 0x0f, 0x01, 0xc1; mov rbx, rax");
SYS_CODE_DEF(c_xgetbv, 64, "xor ecx, ecx; xgetbv");
SYS_CODE_DEF(c_xgetbv2, 64, "mov ecx, 2; xgetbv");
SYS_CODE_DEF(c_rdrand, 64, "rdrand rax; setc bl; rdrand cx");
SYS_CODE_DEF(c_stac, 64, "stac; pushf; pop rax; clac; pushf; pop rbx");
SYS_CODE_DEF(c_monitor, 64, "xor ecx, ecx; mov eax, 0x50000; monitor");
SYS_CODE_DEF(
	c_misc, 64,
	"pause; nop; lfence; mfence; sfence; prefetcht0 [0]; clflush [rsp-8]; mov eax, 0x50020; .byte 0x0f, 0x01, 0xfc;"
	".byte 0x0f, 0x01, 0xe8; endbr64; nop dword ptr [rax]");
SYS_CODE_DEF(c_clflush, 64, "mov rax, 0x180000; clflush [rax]");
SYS_CODE_DEF(c_rsm, 64, "rsm");
SYS_CODE_DEF(c_ud1, 64, ".byte 0x0f, 0xb9, 0xc0");

SYS_TEST(others, "sys: RDTSC, MSRs, CPUID, XGETBV, RDRAND, STAC and the rest")
{
	struct sys_env *e = sys_long(3);
	struct x86_state *s = &e->s;

	sys_no_reference("MSRs, CPUID and time stamp are the test's own");
	s->tsc_aux = 0x77;
	SYS_EXEC(e, c_tsc);
	EXPECT_VECTOR(e, 0x80);
	EXPECT_EQ(s->gpr[X86_RSI], 0x55667788);
	EXPECT_EQ(s->gpr[X86_RDI], 0x11223344);
	EXPECT_EQ(s->gpr[X86_RCX], 0x77);
	EXPECT_EQ(s->gpr[X86_RBX], 0x77);
	e = sys_long(3);
	s->cr4 |= CR4_TSD;
	EXPECT_FAULT(e, c_tsc, 13, 0, 8);
	e = sys_long(0);
	EXPECT_FAULT(e, c_rdpmc, 13, 0, 8);
	e = sys_long(0);
	e->msr[2] = 0xaaaabbbbccccdddd;
	EXPECT_DONE(e, c_msr);
	EXPECT_EQ(e->msr[0], 0x1b);
	EXPECT_EQ(e->msr[1], 0x200000001);
	EXPECT_EQ(s->gpr[X86_RAX], 0xccccdddd);
	EXPECT_EQ(s->gpr[X86_RDX], 0xaaaabbbb);
	EXPECT_FAULT(e, c_badmsr, 13, 0, 8);
	e = sys_long(0);
	EXPECT_DONE(e, c_cpuid);
	EXPECT_EQ(s->gpr[X86_RBX], 0x4242);
	e = sys_long(3);
	SYS_EXEC(e, c_xgetbv);
	EXPECT_VECTOR(e, 6);
	e = sys_long(0);
	s->cr4 |= CR4_OSXSAVE;
	EXPECT_DONE(e, c_xgetbv);
	EXPECT_EQ(s->gpr[X86_RAX], 1);
	EXPECT_FAULT(e, c_xgetbv2, 13, 0, 8);
	e = sys_long(0);
	EXPECT_DONE(e, c_stac);
	EXPECT(s->gpr[X86_RAX] & RFLAGS_AC);
	EXPECT(!(s->gpr[X86_RBX] & RFLAGS_AC));
	e = sys_long(3);
	SYS_EXEC(e, c_stac);
	EXPECT_VECTOR(e, 6);
	e = sys_long(0);
	memset(e->ram + 0x50000, 0xff, 128);
	EXPECT_DONE(e, c_misc);
	EXPECT_EQ(sys_read(e, 0x50000, 8), 0);
	EXPECT_EQ(sys_read(e, 0x50038, 8), 0);
	EXPECT_EQ(sys_read(e, 0x50040, 1), 0xff);
	EXPECT_DONE(e, c_monitor);
	e = sys_long(3);
	SYS_EXEC(e, c_monitor);
	EXPECT_VECTOR(e, 6);
	e = sys_long(3);
	sys_write(e, SYS_PT + 0x180 * 8, 8, 0);
	EXPECT_FAULT(e, c_clflush, 14, PFERR_U, 8);
	SYS_EXEC(e, c_rsm);
	EXPECT_VECTOR(e, 6);
	SYS_EXEC(e, c_ud1);
	EXPECT_VECTOR(e, 6);
}

SYS_TEST(rdrand, "sys: RDRAND")
{
	struct sys_env *e = sys_long(0);
	u32 ecx = 0, eax = 1, ebx, edx;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	if (!(ecx >> 30 & 1)) {
		insn_skip("the host has no RDRAND");
		return;
	}
	sys_no_reference("random");
	e->s.rflags |= RFLAGS_OF | RFLAGS_ZF;
	EXPECT_DONE(e, c_rdrand);
	EXPECT_EQ(e->s.gpr[X86_RBX], 1);
	EXPECT_EQ(e->s.rflags, RFLAGS_FIXED | RFLAGS_CF);
}

SYS_TEST(invalidation, "sys: INVLPG, INVPCID, CR3 drop stale translations")
{
	SYS_CODE_DEF(c_stale, 64, "mov rax, [0x150000]");
	SYS_CODE_DEF(c_inv, 64, "mov rax, [0x150000]; invlpg [0x150000]; mov rbx, [0x150000]");
	SYS_CODE_DEF(c_inv2, 64, "mov rax, 2; push 0; push 0; invpcid rax, [rsp]");
	SYS_CODE_DEF(c_inv_bad, 64, "mov rax, 4; push 0; push 0; invpcid rax, [rsp]");
	struct sys_env *e = sys_long(0);
	struct x86_state *s = &e->s;

	sys_no_reference("what is in a TLB");
	sys_write(e, 0x150000, 8, 0x1111);
	sys_write(e, 0x151000, 8, 0x2222);
	EXPECT_DONE(e, c_stale);
	sys_write(e, SYS_PT + 0x150 * 8, 8, 0x151000 | 7);
	EXPECT_DONE(e, c_inv);
	if (s->tlb)
		EXPECT_EQ(s->gpr[X86_RAX], 0x1111); /* from the TLB, still */
	EXPECT_EQ(s->gpr[X86_RBX], 0x2222);
	sys_write(e, SYS_PT + 0x150 * 8, 8, 0x150000 | 7);
	EXPECT_EQ(x86_write_cr(s, 3, s->cr3), X86_OK);
	EXPECT_DONE(e, c_stale);
	EXPECT_EQ(s->gpr[X86_RAX], 0x1111);
	e->flushes = 0;
	EXPECT_DONE(e, c_inv2);
	EXPECT_EQ(e->flushes, 1);
	EXPECT_FAULT(e, c_inv_bad, 13, 0, 8);
}
