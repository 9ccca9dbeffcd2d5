/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * System instructions: interrupt flag, ports, control and debug registers, time stamp, identification,
 * caches and fences. Descriptor-table instructions are in exec_desc.c, system calls in exec_syscall.c.
 */
#include "flags.h"
#include "operand.h"

static enum x86_result gp0(struct x86_state *s)
{
	return x86_raise_error(s, X86_EXC_GP, 0);
}

static void set_edx_eax(struct x86_state *s, u64 val)
{
	s->gpr[X86_RAX] = (u32)val;
	s->gpr[X86_RDX] = val >> 32;
}

static u64 edx_eax(const struct x86_state *s)
{
	return (u64)(u32)s->gpr[X86_RDX] << 32 | (u32)s->gpr[X86_RAX];
}

/* --- interrupt flag ------------------------------------------------------------------------------------------ */

/* What CLI and STI act on (SDM volume 2, the decision tables of CLI and STI). */
enum if_target { ACT_ON_IF, ACT_ON_VIF, ACT_FAULT };

static enum if_target interrupt_flag(const struct x86_state *s)
{
	if (s->mode == X86_MODE_REAL || s->cpl <= x86_iopl(s))
		return ACT_ON_IF;
	if (s->mode == X86_MODE_VM86)
		return s->cr4 & CR4_VME ? ACT_ON_VIF : ACT_FAULT;
	return s->cpl == 3 && s->cr4 & CR4_PVI ? ACT_ON_VIF : ACT_FAULT;
}

enum x86_result x86_exec_cli(struct x86_state *s, const struct x86_insn *i)
{
	switch (interrupt_flag(s)) {
	case ACT_ON_IF: s->rflags &= ~(u64)RFLAGS_IF; return X86_OK;
	case ACT_ON_VIF: s->rflags &= ~(u64)RFLAGS_VIF; return X86_OK;
	default: return gp0(s);
	}
}

enum x86_result x86_exec_sti(struct x86_state *s, const struct x86_insn *i)
{
	switch (interrupt_flag(s)) {
	case ACT_ON_IF:
		if (!(s->rflags & RFLAGS_IF)) {
			s->shadow = X86_SHADOW_STI;
			x86_set_rflags(s, s->rflags | RFLAGS_IF);
		}
		return X86_OK;
	case ACT_ON_VIF:
		if (s->rflags & RFLAGS_VIP)
			return gp0(s);
		s->rflags |= RFLAGS_VIF;
		return X86_OK;
	default: return gp0(s);
	}
}

/* CLAC and STAC are not recognized outside CPL 0. */
static enum x86_result set_ac(struct x86_state *s, u64 ac)
{
	if (s->cpl != 0)
		return x86_raise(s, X86_EXC_UD);
	s->rflags = (s->rflags & ~(u64)RFLAGS_AC) | ac;
	x86_update_mode(s);
	return X86_OK;
}

enum x86_result x86_exec_clac(struct x86_state *s, const struct x86_insn *i)
{
	return set_ac(s, 0);
}

enum x86_result x86_exec_stac(struct x86_state *s, const struct x86_insn *i)
{
	return set_ac(s, RFLAGS_AC);
}

enum x86_result x86_exec_hlt(struct x86_state *s, const struct x86_insn *i)
{
	if (s->cpl != 0)
		return gp0(s);
	s->halted = true;
	return s->ops->hlt(s);
}

/* --- ports ----------------------------------------------------------------------------------------------------- */

static u16 port_of(struct x86_state *s, const struct x86_operand *o, const struct x86_insn *i)
{
	return o->kind == OPND_IMM ? (u8)i->imm : (u16)s->gpr[X86_RDX];
}

enum x86_result x86_exec_in(struct x86_state *s, const struct x86_insn *i)
{
	const struct x86_operand *dst = &i->opnd[0];
	u16 port = port_of(s, &i->opnd[1], i);
	enum x86_result r = x86_check_io(s, port, dst->size);
	unsigned done = 0;
	u32 val = 0;

	if (r != X86_OK)
		return r;
	r = s->ops->in(s, port, dst->size, &val, 1, &done);
	if (r == X86_OK || r == X86_EXIT)
		x86_write_gpr(s, dst->reg, dst->size, val);
	return r;
}

enum x86_result x86_exec_out(struct x86_state *s, const struct x86_insn *i)
{
	const struct x86_operand *src = &i->opnd[1];
	u16 port = port_of(s, &i->opnd[0], i);
	enum x86_result r = x86_check_io(s, port, src->size);
	unsigned done = 0;
	u32 val;

	if (r != X86_OK)
		return r;
	val = x86_read_gpr(s, src->reg, src->size);
	return s->ops->out(s, port, src->size, &val, 1, &done);
}

/* --- control and debug registers ------------------------------------------------------------------------------- */

static bool cr_exists(unsigned n)
{
	return n == 0 || n == 2 || n == 3 || n == 4 || n == 8;
}

enum x86_result x86_exec_mov_from_cr(struct x86_state *s, const struct x86_insn *i)
{
	unsigned n = i->opnd[1].reg;
	enum x86_result r;

	if (!cr_exists(n))
		return x86_raise(s, X86_EXC_UD);
	r = x86_need_cpl0(s);
	if (r == X86_OK)
		x86_write_gpr(s, i->opnd[0].reg, i->opnd[0].size, x86_read_cr(s, n));
	return r;
}

enum x86_result x86_exec_mov_to_cr(struct x86_state *s, const struct x86_insn *i)
{
	unsigned n = i->opnd[0].reg;
	enum x86_result r;

	if (!cr_exists(n))
		return x86_raise(s, X86_EXC_UD);
	r = x86_need_cpl0(s);
	if (r != X86_OK)
		return r;
	return x86_write_cr(s, n, x86_read_gpr(s, i->opnd[1].reg, i->opnd[1].size));
}

enum x86_result x86_exec_mov_from_dr(struct x86_state *s, const struct x86_insn *i)
{
	enum x86_result r = x86_need_cpl0(s);
	u64 val;

	if (r == X86_OK)
		r = x86_read_dr(s, i->opnd[1].reg, &val);
	if (r == X86_OK)
		x86_write_gpr(s, i->opnd[0].reg, i->opnd[0].size, val);
	return r;
}

enum x86_result x86_exec_mov_to_dr(struct x86_state *s, const struct x86_insn *i)
{
	enum x86_result r = x86_need_cpl0(s);

	if (r != X86_OK)
		return r;
	return x86_write_dr(s, i->opnd[0].reg, x86_read_gpr(s, i->opnd[1].reg, i->opnd[1].size));
}

enum x86_result x86_exec_smsw(struct x86_state *s, const struct x86_insn *i)
{
	if (s->cr4 & CR4_UMIP && s->cpl > 0)
		return gp0(s);
	return x86_put_opnd(s, i, 0, s->cr0);
}

enum x86_result x86_exec_lmsw(struct x86_state *s, const struct x86_insn *i)
{
	const u32 changes = CR0_MP | CR0_EM | CR0_TS;
	enum x86_result r = x86_need_cpl0(s);
	u64 val;

	if (r == X86_OK)
		r = x86_get_opnd(s, i, 0, &val);
	if (r != X86_OK)
		return r;
	/* It can set PE, but not clear it. */
	return x86_write_cr(s, 0, (s->cr0 & ~(u64)changes) | (val & (changes | CR0_PE)));
}

enum x86_result x86_exec_clts(struct x86_state *s, const struct x86_insn *i)
{
	enum x86_result r = x86_need_cpl0(s);

	return r == X86_OK ? x86_write_cr(s, 0, s->cr0 & ~(u64)CR0_TS) : r;
}

enum x86_result x86_exec_xgetbv(struct x86_state *s, const struct x86_insn *i)
{
	u32 n = s->gpr[X86_RCX];
	u64 inuse;

	if (!(s->cr4 & CR4_OSXSAVE))
		return x86_raise(s, X86_EXC_UD);
	if (n == 0) {
		set_edx_eax(s, s->xcr0);
		return X86_OK;
	}
	if (n != 1 || !x86_has(s, X86F_XGETBV1))
		return gp0(s);
	if (s->ops->fpu_save)
		s->ops->fpu_save(s);
	/* XSTATE_BV, the first field of the XSAVE header. */
	memcpy(&inuse, (u8 *)s->xsave + 512, sizeof(inuse));
	set_edx_eax(s, s->xcr0 & inuse);
	return X86_OK;
}

enum x86_result x86_exec_xsetbv(struct x86_state *s, const struct x86_insn *i)
{
	enum x86_result r;

	if (!(s->cr4 & CR4_OSXSAVE))
		return x86_raise(s, X86_EXC_UD);
	r = x86_need_cpl0(s);
	return r == X86_OK ? x86_write_xcr(s, s->gpr[X86_RCX], edx_eax(s)) : r;
}

/* --- translations and caches -------------------------------------------------------------------------------------- */

enum x86_result x86_exec_invlpg(struct x86_state *s, const struct x86_insn *i)
{
	enum x86_result r = x86_need_cpl0(s);
	u64 lin = x86_ea(s, i);

	if (r != X86_OK)
		return r;
	/* No limit and no rights are checked, only the base counts. */
	if (s->mode != X86_MODE_LONG || i->seg == SEG_FS || i->seg == SEG_GS)
		lin += i->seg == SEG_NONE ? 0 : s->seg[i->seg].base;
	return x86_invlpg(s, lin);
}

/* x86_read_linear at the instruction's memory operand. */
static enum x86_result read_operand(struct x86_state *s, const struct x86_insn *i, void *buf, unsigned size)
{
	u64 lin;
	enum x86_result r = x86_linear(s, i->seg, x86_ea(s, i), size, ACC_READ, &lin);

	return r == X86_OK ? x86_read_linear(s, s->mmu_index, i->seg, lin, buf, size) : r;
}

enum x86_result x86_exec_invpcid(struct x86_state *s, const struct x86_insn *i)
{
	enum { ONE_ADDRESS, ONE_CONTEXT, ALL_GLOBAL_TOO, ALL };
	enum x86_result r = x86_need_cpl0(s);
	u64 type = x86_read_gpr(s, i->opnd[0].reg, i->opnd[0].size), desc[2];

	if (r == X86_OK)
		r = read_operand(s, i, desc, sizeof(desc));
	if (r != X86_OK)
		return r;
	if (type > ALL || desc[0] >> 12)
		return gp0(s);
	if (type <= ONE_CONTEXT && desc[0] && !(s->cr4 & CR4_PCIDE))
		return gp0(s);
	if (type == ONE_ADDRESS) {
		if (!x86_canonical(s, desc[1]))
			return gp0(s);
		x86_flush_page(s, desc[1]);
	} else if (type == ALL_GLOBAL_TOO) {
		x86_flush_all(s);
	} else {
		x86_flush_nonglobal(s);
	}
	return X86_OK;
}

/* Guest memory is coherent in the host's caches: only the privilege check is left. */
enum x86_result x86_exec_invd(struct x86_state *s, const struct x86_insn *i)
{
	return x86_need_cpl0(s);
}

enum x86_result x86_exec_wbinvd(struct x86_state *s, const struct x86_insn *i)
{
	return x86_need_cpl0(s);
}

/* CLFLUSH, CLFLUSHOPT, CLWB: checked like a load. */
enum x86_result x86_exec_clflush(struct x86_state *s, const struct x86_insn *i)
{
	u64 lin;
	enum x86_result r = x86_linear(s, i->seg, x86_ea(s, i), 1, ACC_READ, &lin);

	return r == X86_OK ? x86_probe_linear(s, s->mmu_index, i->seg, lin, 1, ACC_READ) : r;
}

enum x86_result x86_exec_prefetch(struct x86_state *s, const struct x86_insn *i)
{
	return X86_OK;
}

#define CACHE_LINE 64u

static enum x86_result write_line(struct x86_state *s, unsigned seg, u64 off, const void *line)
{
	u64 lin;
	enum x86_result r = x86_linear(s, seg, off, CACHE_LINE, ACC_WRITE, &lin);

	return r == X86_OK ? x86_write_linear(s, s->mmu_index, seg, lin, line, CACHE_LINE) : r;
}

enum x86_result x86_exec_clzero(struct x86_state *s, const struct x86_insn *i)
{
	static const u8 zero[CACHE_LINE];
	u64 off = s->gpr[X86_RAX] & x86_addr_mask(i->adsize) & ~(u64)(CACHE_LINE - 1);

	return write_line(s, x86_data_seg(i), off, zero);
}

enum x86_result x86_exec_lfence(struct x86_state *s, const struct x86_insn *i)
{
	asm volatile("lfence" : : : "memory");
	return X86_OK;
}

enum x86_result x86_exec_mfence(struct x86_state *s, const struct x86_insn *i)
{
	asm volatile("mfence" : : : "memory");
	return X86_OK;
}

enum x86_result x86_exec_sfence(struct x86_state *s, const struct x86_insn *i)
{
	asm volatile("sfence" : : : "memory");
	return X86_OK;
}

enum x86_result x86_exec_serialize(struct x86_state *s, const struct x86_insn *i)
{
	asm volatile("mfence" : : : "memory");
	return X86_OK;
}

/* --- MSRs, counters, identification --------------------------------------------------------------------------------- */

enum x86_result x86_exec_rdmsr(struct x86_state *s, const struct x86_insn *i)
{
	enum x86_result r = x86_need_cpl0(s);
	u64 val;

	if (r == X86_OK)
		r = s->ops->rdmsr(s, s->gpr[X86_RCX], &val);
	if (r == X86_OK)
		set_edx_eax(s, val);
	return r;
}

enum x86_result x86_exec_wrmsr(struct x86_state *s, const struct x86_insn *i)
{
	enum x86_result r = x86_need_cpl0(s);

	return r == X86_OK ? s->ops->wrmsr(s, s->gpr[X86_RCX], edx_eax(s)) : r;
}

enum x86_result x86_exec_rdtsc(struct x86_state *s, const struct x86_insn *i)
{
	if (s->cr4 & CR4_TSD && s->cpl > 0)
		return gp0(s);
	set_edx_eax(s, s->ops->rdtsc(s));
	return X86_OK;
}

enum x86_result x86_exec_rdtscp(struct x86_state *s, const struct x86_insn *i)
{
	enum x86_result r = x86_exec_rdtsc(s, i);

	if (r == X86_OK)
		s->gpr[X86_RCX] = (u32)s->tsc_aux;
	return r;
}

/* The guest has no performance counters: every counter number is invalid. */
enum x86_result x86_exec_rdpmc(struct x86_state *s, const struct x86_insn *i)
{
	return gp0(s);
}

enum x86_result x86_exec_rdpid(struct x86_state *s, const struct x86_insn *i)
{
	x86_write_gpr(s, i->opnd[0].reg, i->opnd[0].size, (u32)s->tsc_aux);
	return X86_OK;
}

enum x86_result x86_exec_cpuid(struct x86_state *s, const struct x86_insn *i)
{
	if (unlikely(s->cpuid_faults && s->cpl && !s->in_smm))
		return x86_raise_error(s, X86_EXC_GP, 0);
	s->ops->cpuid(s);
	return X86_OK;
}

/* A bit of the host's CPUID, which is asked once: where the host is a guest itself that takes some 4 us. */
struct host_bit {
	u32 leaf; /* subleaf 0 */
	u8 reg;   /* EBX (1) or ECX (2) */
	u8 bit;
	u8 state;
};

enum { HOST_UNKNOWN, HOST_HAS_NOT, HOST_HAS };

static bool host_has(struct host_bit *h)
{
	u8 state = __atomic_load_n(&h->state, __ATOMIC_RELAXED);
	u32 r[4] = { h->leaf, 0, 0, 0 };

	if (unlikely(state == HOST_UNKNOWN)) {
		asm volatile("cpuid" : "+a"(r[0]), "=b"(r[1]), "+c"(r[2]), "=d"(r[3]));
		state = r[h->reg] >> h->bit & 1 ? HOST_HAS : HOST_HAS_NOT;
		__atomic_store_n(&h->state, state, __ATOMIC_RELAXED);
	}
	return state == HOST_HAS;
}

/* CF tells whether a number was there; the other arithmetic flags are cleared. */
static enum x86_result give_random(struct x86_state *s, const struct x86_insn *i, u64 val, bool ok)
{
	x86_write_gpr(s, i->opnd[0].reg, i->opnd[0].size, ok ? val : 0);
	s->rflags = (s->rflags & ~(u64)RFLAGS_ARITH) | (ok ? RFLAGS_CF : 0);
	return X86_OK;
}

/*
 * The feature bits say that the guest's CPUID has it; user space may have set that on a host without, and then
 * there is nothing to take numbers from.
 */
enum x86_result x86_exec_rdrand(struct x86_state *s, const struct x86_insn *i)
{
	static struct host_bit rdrand = { .leaf = 1, .reg = 2, .bit = 30 };
	u64 val;
	bool ok;

	if (!host_has(&rdrand))
		return x86_raise(s, X86_EXC_UD);
	asm volatile("rdrand %0" : "=r"(val), "=@ccc"(ok));
	return give_random(s, i, val, ok);
}

enum x86_result x86_exec_rdseed(struct x86_state *s, const struct x86_insn *i)
{
	static struct host_bit rdseed = { .leaf = 7, .reg = 1, .bit = 18 };
	u64 val;
	bool ok;

	if (!host_has(&rdseed))
		return x86_raise(s, X86_EXC_UD);
	asm volatile("rdseed %0" : "=r"(val), "=@ccc"(ok));
	return give_random(s, i, val, ok);
}

/* --- segment bases ------------------------------------------------------------------------------------------------------ */

static enum x86_result read_base(struct x86_state *s, const struct x86_insn *i, unsigned seg)
{
	if (s->mode != X86_MODE_LONG || !(s->cr4 & CR4_FSGSBASE))
		return x86_raise(s, X86_EXC_UD);
	x86_write_gpr(s, i->opnd[0].reg, i->opnd[0].size, s->seg[seg].base);
	return X86_OK;
}

static enum x86_result write_base(struct x86_state *s, const struct x86_insn *i, unsigned seg)
{
	u64 base = x86_read_gpr(s, i->opnd[0].reg, i->opnd[0].size);

	if (s->mode != X86_MODE_LONG || !(s->cr4 & CR4_FSGSBASE))
		return x86_raise(s, X86_EXC_UD);
	if (!x86_canonical(s, base))
		return gp0(s);
	s->seg[seg].base = base;
	return X86_OK;
}

enum x86_result x86_exec_rdfsbase(struct x86_state *s, const struct x86_insn *i)
{
	return read_base(s, i, SEG_FS);
}

enum x86_result x86_exec_rdgsbase(struct x86_state *s, const struct x86_insn *i)
{
	return read_base(s, i, SEG_GS);
}

enum x86_result x86_exec_wrfsbase(struct x86_state *s, const struct x86_insn *i)
{
	return write_base(s, i, SEG_FS);
}

enum x86_result x86_exec_wrgsbase(struct x86_state *s, const struct x86_insn *i)
{
	return write_base(s, i, SEG_GS);
}

/* --- waiting, hypervisor, the rest --------------------------------------------------------------------------------------- */

enum x86_result x86_exec_monitor(struct x86_state *s, const struct x86_insn *i)
{
	u64 val;

	if (s->cpl != 0)
		return x86_raise(s, X86_EXC_UD);
	if ((u32)s->gpr[X86_RCX])
		return gp0(s);
	return x86_load(s, x86_data_seg(i), s->gpr[X86_RAX] & x86_addr_mask(i->adsize), 1, &val);
}

enum x86_result x86_exec_mwait(struct x86_state *s, const struct x86_insn *i)
{
	if (s->cpl != 0)
		return x86_raise(s, X86_EXC_UD);
	/* Bit 0: interrupts break the wait even if masked. */
	if ((u32)s->gpr[X86_RCX] & ~1u)
		return gp0(s);
	return s->ops->mwait(s);
}

enum x86_result x86_exec_vmcall(struct x86_state *s, const struct x86_insn *i)
{
	return s->ops->hypercall(s, i);
}

enum x86_result x86_exec_vmmcall(struct x86_state *s, const struct x86_insn *i)
{
	return s->ops->hypercall(s, i);
}

enum x86_result x86_exec_pause(struct x86_state *s, const struct x86_insn *i)
{
	if (s->ops->pause)
		s->ops->pause(s);
	return X86_OK;
}

enum x86_result x86_exec_nop(struct x86_state *s, const struct x86_insn *i)
{
	return X86_OK;
}

enum x86_result x86_exec_ud(struct x86_state *s, const struct x86_insn *i)
{
	return x86_raise(s, X86_EXC_UD);
}
