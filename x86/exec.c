/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Fetching and executing one instruction; exceptions; the mode that follows from the state; RESET and INIT.
 */
#include "internal.h"

/* --- exceptions ------------------------------------------------------------------------------------ */

bool x86_exc_has_error(unsigned vector)
{
	const u32 with_error = BIT(X86_EXC_DF) | BIT(X86_EXC_TS) | BIT(X86_EXC_NP) | BIT(X86_EXC_SS) | BIT(X86_EXC_GP) |
			       BIT(X86_EXC_PF) | BIT(X86_EXC_AC) | BIT(X86_EXC_CP);

	return vector < 32 && with_error >> vector & 1;
}

static enum x86_result set_fault(struct x86_state *s, unsigned vector, bool has_error, u32 error, u64 cr2)
{
	s->fault = (struct x86_event){
		.type = X86_EVENT_EXC,
		.vector = vector,
		.has_error = has_error,
		.error = error,
		.cr2 = cr2,
	};
	return X86_FAULT;
}

enum x86_result x86_raise(struct x86_state *s, unsigned vector)
{
	return set_fault(s, vector, x86_exc_has_error(vector), 0, 0);
}

enum x86_result x86_raise_error(struct x86_state *s, unsigned vector, u32 error)
{
	return set_fault(s, vector, true, error, 0);
}

enum x86_result x86_raise_pf(struct x86_state *s, u64 lin, u32 error)
{
	return set_fault(s, X86_EXC_PF, true, error, lin);
}

/* --- derived state ----------------------------------------------------------------------------------- */

static enum x86_mode compute_mode(const struct x86_state *s)
{
	u32 cs = s->seg[SEG_CS].attr;

	if (!(s->cr0 & CR0_PE))
		return X86_MODE_REAL;
	if (s->efer & X86_EFER_LMA && cs & SEG_L)
		return X86_MODE_LONG;
	if (s->rflags & RFLAGS_VM && !(s->efer & X86_EFER_LMA))
		return X86_MODE_VM86;
	return cs & SEG_DB ? X86_MODE_PROT32 : X86_MODE_PROT16;
}

static unsigned compute_mmu(const struct x86_state *s)
{
	if (s->cpl == 3 && s->cr0 & CR0_AM && s->rflags & RFLAGS_AC)
		return MMU_USER_AC;
	return x86_cpl_mmu(s, s->cpl);
}

static void mode_changed(struct x86_state *s)
{
	if (s->ops->mode_changed)
		s->ops->mode_changed(s);
}

/* True if the mode is another one than before (and the engine has been told). */
static bool update_mode(struct x86_state *s)
{
	u8 old = s->mode;

	s->mode = compute_mode(s);
	s->mmu_index = compute_mmu(s);
	if (s->mode == old)
		return false;
	mode_changed(s);
	return true;
}

void x86_update_mode(struct x86_state *s)
{
	update_mode(s);
}

void x86_set_cpl(struct x86_state *s, unsigned cpl)
{
	bool changed = s->cpl != cpl;

	s->cpl = cpl;
	if (!update_mode(s) && changed)
		mode_changed(s);
}

void x86_set_rflags(struct x86_state *s, u64 val)
{
	u64 changed = s->rflags ^ val;

	s->rflags = (val & RFLAGS_VALID) | RFLAGS_FIXED;
	if (unlikely(changed & (RFLAGS_VM | RFLAGS_AC)))
		update_mode(s);
	if (changed & val & RFLAGS_IF && s->ops->events_enabled)
		s->ops->events_enabled(s);
}

void x86_flush_all(struct x86_state *s)
{
	if (s->tlb)
		x86_tlb_flush(s->tlb);
	if (s->ops->tlb_flushed)
		s->ops->tlb_flushed(s, X86_FLUSH_ALL, 0);
}

/* The library's TLB does not know which pages are global: it forgets them too. */
void x86_flush_nonglobal(struct x86_state *s)
{
	if (s->tlb)
		x86_tlb_flush(s->tlb);
	if (s->ops->tlb_flushed)
		s->ops->tlb_flushed(s, s->cr4 & CR4_PGE ? X86_FLUSH_NONGLOBAL : X86_FLUSH_ALL, 0);
}

void x86_flush_page(struct x86_state *s, u64 lin)
{
	if (s->tlb)
		x86_tlb_flush_page(s->tlb, lin);
	if (s->ops->tlb_flushed)
		s->ops->tlb_flushed(s, X86_FLUSH_PAGE, lin);
}

/* --- fetch ------------------------------------------------------------------------------------------- */

/* Code bytes through the host address that the TLB or ops->ram() gives. size stays within one page. */
static enum x86_result fetch_page(struct x86_state *s, u64 lin, u8 *buf, unsigned size)
{
	/* Alignment and SMAP do not matter for fetches, but the index must be one that is filled. */
	unsigned mmu = x86_cpl_mmu(s, s->cpl);
	struct x86_translation t;
	struct x86_ram ram;
	enum x86_result r;
	u8 *p = x86_tlb_probe(s, mmu, lin, 1, ACC_EXEC);

	if (unlikely(!p && s->tlb)) {
		r = x86_probe_linear(s, mmu, SEG_CS, lin, 1, ACC_EXEC);
		if (r != X86_OK)
			return r;
		p = x86_tlb_probe(s, mmu, lin, 1, ACC_EXEC);
	}
	if (likely(p)) {
		memcpy(buf, p, size);
		return X86_OK;
	}
	r = x86_translate(s, mmu, lin, ACC_EXEC, WALK_SET_BITS | WALK_FAULT, &t);
	if (r != X86_OK)
		return r;
	if (s->ops->ram) {
		if (!s->ops->ram(s, t.gpa & X86_PAGE_MASK, false, &ram))
			return X86_UNHANDLED; /* code in MMIO: nobody needs it, and user space could not serve it */
		memcpy(buf, ram.host + (t.gpa & ~X86_PAGE_MASK), size);
		return X86_OK;
	}
	return s->ops->ram_read(s, t.gpa, buf, size);
}

/* How many bytes the code segment still holds from rip on. */
static u64 room_in_cs(const struct x86_state *s)
{
	const struct x86_seg *cs = &s->seg[SEG_CS];

	if (s->mode == X86_MODE_LONG)
		return ~0ull;
	return s->rip > cs->limit ? 0 : cs->limit - s->rip + 1;
}

/* The bytes of an instruction of len bytes, in a buffer of 16 that begins with it, alone. */
static void own_bytes(const u8 *buf, unsigned len, u64 own[2])
{
	memcpy(own, buf, 16);
	if (len < 8) {
		own[0] &= (1ull << 8 * len) - 1;
		own[1] = 0;
	} else {
		own[1] &= (1ull << 8 * (len - 8)) - 1;
	}
}

static enum x86_decode_result decode_recent(struct x86_state *s, struct x86_insn *i, const u8 *buf, unsigned have)
{
	unsigned at = (s->rip ^ s->rip >> 4) % X86_RECENT;
	enum x86_decode_result d;
	u64 own[2];

	if (s->recent->slot[at].mode == s->mode + 1 && have >= s->recent->slot[at].insn.len) {
		own_bytes(buf, s->recent->slot[at].insn.len, own);
		if (own[0] == s->recent->slot[at].bytes[0] && own[1] == s->recent->slot[at].bytes[1]) {
			*i = s->recent->slot[at].insn;
			return X86_DECODE_OK;
		}
	}
	d = x86_decode(i, buf, have, s->mode, s);
	if (d != X86_DECODE_OK)
		return d;
	own_bytes(buf, i->len, s->recent->slot[at].bytes);
	s->recent->slot[at].mode = s->mode + 1;
	s->recent->slot[at].insn = *i;
	return X86_DECODE_OK;
}

enum x86_result x86_fetch_decode(struct x86_state *s, struct x86_insn *i)
{
	u64 lin = s->mode == X86_MODE_LONG ? s->rip : (u32)(s->seg[SEG_CS].base + s->rip);
	u64 room = room_in_cs(s);
	enum x86_decode_result d = X86_DECODE_MORE;
	unsigned have = 0;
	enum x86_result r;
	u8 buf[16] = { 0 };

	/* The second page is touched only by an instruction that reaches into it: at most two turns. */
	while (d == X86_DECODE_MORE && have < X86_MAX_INSN_LEN && have < room) {
		unsigned n = X86_PAGE_SIZE - ((lin + have) & ~X86_PAGE_MASK);
		u64 at = lin + have;

		if (n > X86_MAX_INSN_LEN - have)
			n = X86_MAX_INSN_LEN - have;
		if (n > room - have)
			n = room - have;
		if (s->mode != X86_MODE_LONG)
			at = (u32)at;
		else if (unlikely(!x86_canonical(s, at)))
			return x86_raise_error(s, X86_EXC_GP, 0);
		r = fetch_page(s, at, buf + have, n);
		if (unlikely(r != X86_OK))
			return r;
		have += n;
		d = s->recent ? decode_recent(s, i, buf, have) : x86_decode(i, buf, have, s->mode, s);
	}
	if (likely(d == X86_DECODE_OK))
		return X86_OK;
	/* Longer than 15 bytes, or beyond the segment's limit: #GP(0). */
	return d == X86_DECODE_UD ? x86_raise(s, X86_EXC_UD) : x86_raise_error(s, X86_EXC_GP, 0);
}

enum x86_result x86_execute(struct x86_state *s, const struct x86_insn *i)
{
	u8 shadow = s->shadow;
	u64 rip = s->rip;
	enum x86_result r;

	/* Engines that do not retire one by one leave it behind. */
	s->keep_rf = false;
	s->rip = x86_next_rip(s, i->len);
	r = i->exec(s, i);
	if (likely(r == X86_OK || r == X86_EXIT))
		x86_retire(s, shadow);
	else
		s->rip = rip;
	return r;
}

/*
 * A virtual interrupt that is pending and enabled: no instruction begins (SDM, "Interrupt and Exception Handling in Virtual-8086
 * Mode", "Protected-Mode Virtual Interrupts"). STI and POPF that would enable it fault themselves; IRET from the monitor comes here.
 */
static bool virtual_interrupt_due(const struct x86_state *s)
{
	const u64 both = RFLAGS_VIF | RFLAGS_VIP;

	if (likely((s->rflags & both) != both) || s->cpl != 3 || (s->rflags & RFLAGS_IOPL) == RFLAGS_IOPL)
		return false;
	return s->cr4 & (s->rflags & RFLAGS_VM ? CR4_VME : CR4_PVI);
}

enum x86_result x86_step(struct x86_state *s, struct x86_insn *i)
{
	enum x86_result r;

	if (unlikely(virtual_interrupt_due(s)))
		return x86_raise_error(s, X86_EXC_GP, 0);
	r = x86_fetch_decode(s, i);
	return likely(r == X86_OK) ? x86_execute(s, i) : r;
}

/* --- RESET and INIT ------------------------------------------------------------------------------------ */

static void reset_segments(struct x86_state *s)
{
	const u32 data = SEG_P | SEG_S | SEG_TYPE_RW | SEG_TYPE_ACCESSED;
	unsigned k;

	for (k = 0; k < SEG_COUNT; k++)
		s->seg[k] = (struct x86_seg){ .limit = 0xffff, .attr = data };
	s->seg[SEG_CS] = (struct x86_seg){
		.base = 0xffff0000,
		.limit = 0xffff,
		.sel = 0xf000,
		.attr = data | SEG_TYPE_CODE,
	};
	s->ldt = (struct x86_seg){ .limit = 0xffff, .attr = SEG_P | 2 };
	s->tr = (struct x86_seg){ .limit = 0xffff, .attr = SEG_P | 11 };
	s->gdt = (struct x86_table){ .limit = 0xffff };
	s->idt = (struct x86_table){ .limit = 0xffff };
}

/* Layout of the legacy area and the header: SDM volume 1, "XSAVE Area". */
static void reset_fpu(struct x86_state *s)
{
	const u16 fcw = 0x37f;
	const u32 mxcsr = 0x1f80;
	u8 *area = s->xsave;

	s->fpu_ip = s->fpu_dp = 0;
	s->fpu_cs = s->fpu_ds = s->fpu_op = 0;
	if (!area)
		return;
	memset(area, 0, 512 + 64);
	memcpy(area, &fcw, sizeof(fcw));
	memcpy(area + 24, &mxcsr, sizeof(mxcsr));
	if (s->ops->fpu_load)
		s->ops->fpu_load(s);
}

static void reset_msrs(struct x86_state *s)
{
	s->star = s->lstar = s->cstar = s->sfmask = 0;
	s->kernel_gs_base = 0;
	s->sysenter_cs = s->sysenter_esp = s->sysenter_eip = 0;
	s->pat = 0x0007040600070406ull;
	s->tsc_aux = 0;
	s->smbase = 0x30000;
	s->xcr0 = 1;
}

/* The processor signature that firmware finds in EDX: CPUID leaf 1, as user space has set it. */
static u32 signature(struct x86_state *s)
{
	memset(s->gpr, 0, sizeof(s->gpr));
	s->gpr[X86_RAX] = 1;
	s->ops->cpuid(s);
	return s->gpr[X86_RAX] ? s->gpr[X86_RAX] : 0x600;
}

void x86_reset(struct x86_state *s, bool init)
{
	u64 caching = init ? s->cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW;
	u32 edx = signature(s);

	memset(s->gpr, 0, sizeof(s->gpr));
	s->gpr[X86_RDX] = edx;
	s->rip = 0xfff0;
	s->rflags = RFLAGS_FIXED;
	reset_segments(s);
	s->cr0 = caching | CR0_ET;
	s->cr2 = s->cr3 = s->cr4 = s->cr8 = 0;
	s->efer = 0;
	memset(s->dr, 0, sizeof(s->dr));
	memset(s->pdpte, 0, sizeof(s->pdpte));
	s->dr6 = DR6_FIXED1;
	s->dr7 = DR7_FIXED1;
	s->dr6_pending = 0;
	s->shadow = 0;
	s->nmi_blocked = s->halted = s->keep_rf = s->smm_inside_nmi = false;
	s->in_smm = false; /* everything is flushed below */
	/* INIT leaves the FPU and the MSRs alone (SDM, "Processor State After Reset"). */
	if (!init) {
		reset_msrs(s);
		reset_fpu(s);
	}
	x86_set_cpl(s, 0);
	x86_flush_all(s);
}
