/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The fast system calls. SDM volume 2, SYSCALL, SYSRET, SYSENTER, SYSEXIT; APM volume 3 for AMD's rules, which
 * differ in the modes that know them and in the checks of the target.
 */
#include "desc.h"

static enum x86_result gp0(struct x86_state *s)
{
	return x86_raise_error(s, X86_EXC_GP, 0);
}

/* Flat CS and SS from a base selector; SS follows CS in the descriptor table. */
static void enter_flat(struct x86_state *s, u16 cs, u16 ss, unsigned cpl, bool long_code, u64 rip)
{
	x86_seg_flat_code(&s->seg[SEG_CS], cs, cpl, long_code);
	x86_seg_flat_stack(&s->seg[SEG_SS], ss, cpl);
	s->rip = rip;
	x86_set_cpl(s, cpl);
}

/* SYSCALL and SYSRET exist in 64-bit mode; AMD's also in protected and compatibility mode. */
static bool syscall_exists(const struct x86_state *s)
{
	if (!(s->efer & X86_EFER_SCE))
		return false;
	return s->mode == X86_MODE_LONG || (s->vendor_amd && !x86_real_or_vm86(s));
}

bool x86_steps_itself(const struct x86_insn *i)
{
	return i->op == X86_OP_SYSCALL || i->op == X86_OP_SYSRET;
}

static void step_by_new_flags(struct x86_state *s)
{
	if (s->rflags & RFLAGS_TF)
		s->dr6_pending |= DR6_BS;
}

enum x86_result x86_exec_syscall(struct x86_state *s, const struct x86_insn *i)
{
	u16 sel = s->star >> 32 & 0xfffc;
	u64 target, clear;

	if (!syscall_exists(s))
		return x86_raise(s, X86_EXC_UD);
	s->gpr[X86_RCX] = s->rip;
	if (x86_lma(s)) {
		s->gpr[X86_R11] = s->rflags & ~(u64)RFLAGS_RF;
		target = s->mode == X86_MODE_LONG ? s->lstar : s->cstar;
		clear = s->sfmask | RFLAGS_RF;
	} else {
		target = (u32)s->star;
		clear = RFLAGS_VM | RFLAGS_IF | RFLAGS_RF;
	}
	s->rflags &= ~clear;
	s->rflags |= RFLAGS_FIXED;
	enter_flat(s, sel, sel + 8, 0, x86_lma(s), target);
	step_by_new_flags(s);
	return X86_OK;
}

enum x86_result x86_exec_sysret(struct x86_state *s, const struct x86_insn *i)
{
	u16 sel = s->star >> 48 & 0xfffc;
	bool to64 = s->mode == X86_MODE_LONG && i->opsize == 8;
	u64 target = to64 ? s->gpr[X86_RCX] : (u32)s->gpr[X86_RCX];
	u64 flags;

	if (!syscall_exists(s))
		return x86_raise(s, X86_EXC_UD);
	/* AMD faults on a bad target only when it is fetched, in user mode. */
	if (s->cpl != 0 || (to64 && !s->vendor_amd && !x86_canonical(s, target)))
		return gp0(s);
	if (x86_lma(s))
		flags = s->gpr[X86_R11] & RFLAGS_VALID & ~(u64)(RFLAGS_RF | RFLAGS_VM);
	else
		flags = s->rflags | RFLAGS_IF;
	enter_flat(s, (to64 ? sel + 16 : sel) | 3, (sel + 8) | 3, 3, to64, target);
	x86_set_rflags(s, flags);
	step_by_new_flags(s);
	return X86_OK;
}

/* AMD knows SYSENTER and SYSEXIT in legacy protected mode only. */
static bool sysenter_exists(const struct x86_state *s)
{
	return !(s->vendor_amd && x86_lma(s));
}

enum x86_result x86_exec_sysenter(struct x86_state *s, const struct x86_insn *i)
{
	u16 sel = s->sysenter_cs & 0xfffc;
	bool lma = x86_lma(s);

	if (!sysenter_exists(s))
		return x86_raise(s, X86_EXC_UD);
	if (s->mode == X86_MODE_REAL || !sel)
		return gp0(s);
	s->rflags &= ~(u64)(RFLAGS_VM | RFLAGS_IF | RFLAGS_RF);
	s->gpr[X86_RSP] = lma ? s->sysenter_esp : (u32)s->sysenter_esp;
	enter_flat(s, sel, sel + 8, 0, lma, lma ? s->sysenter_eip : (u32)s->sysenter_eip);
	return X86_OK;
}

enum x86_result x86_exec_sysexit(struct x86_state *s, const struct x86_insn *i)
{
	u16 sel = s->sysenter_cs & 0xfffc;
	bool to64 = i->opsize == 8;
	u64 rip = s->gpr[X86_RDX], rsp = s->gpr[X86_RCX];

	if (!sysenter_exists(s))
		return x86_raise(s, X86_EXC_UD);
	if (s->mode == X86_MODE_REAL || !sel || s->cpl != 0)
		return gp0(s);
	if (!to64) {
		rip = (u32)rip;
		rsp = (u32)rsp;
	} else if (!x86_canonical(s, rip) || !x86_canonical(s, rsp)) {
		return gp0(s);
	}
	sel += to64 ? 32 : 16;
	s->gpr[X86_RSP] = rsp;
	enter_flat(s, sel | 3, (sel + 8) | 3, 3, to64, rip);
	return X86_OK;
}

enum x86_result x86_exec_swapgs(struct x86_state *s, const struct x86_insn *i)
{
	u64 base = s->seg[SEG_GS].base;

	if (s->mode != X86_MODE_LONG)
		return x86_raise(s, X86_EXC_UD);
	if (s->cpl != 0)
		return gp0(s);
	s->seg[SEG_GS].base = s->kernel_gs_base;
	s->kernel_gs_base = base;
	return X86_OK;
}
