/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Vector instructions that cannot be copied: gathers, whose elements may each lie in another page, and LDMXCSR, which faults by the
 * value that it loads.
 */
#include "front.h"
#include "fpu.h"
#include "fpu_state.h"
#include "operand.h"

/* Where a gather's registers are meanwhile: cells, each a register's width. */
enum { DESTINATION = GEN_VECTORS, MASK = DESTINATION + 4, INDEX = MASK + 4 };
#define VECTOR_BYTES 32

/* Nothing else has a vector for an index. */
static bool is_gather(const struct x86_insn *i)
{
	return x86_opcodes[i->row].attr & ROW_VSIB;
}

/* The elements into the cells. False: there is one that the look-up does not find. */
static bool gather(struct soft_vcpu *sv, const struct x86_insn *i)
{
	struct x86_state *s = &sv->vcpu->state;
	u8 *dst = (u8 *)&s->gen[DESTINATION], *mask = (u8 *)&s->gen[MASK];
	struct x86_gather g;
	unsigned n;

	x86_gather_shape(i, &g);
	for (n = 0; n < g.lanes; n++) {
		u64 lin = x86_gather_offset(s, i, &g, (const u8 *)&s->gen[INDEX], n), val;
		const u8 *host;

		if (!x86_lane_active(mask, n, g.width))
			continue;
		if (i->seg >= SEG_FS)
			lin += s->seg[i->seg].base;
		if ((lin & ~X86_PAGE_MASK) + g.width > X86_PAGE_SIZE)
			return false;
		host = flat_known(sv, lin, false);
		if (!host)
			return false;
		val = x86_peek(host, g.width);
		x86_poke(dst + n * g.width, g.width, val);
	}
	memset(dst + g.lanes * g.width, 0, g.dst_size - g.lanes * g.width);
	memset(mask, 0, VECTOR_BYTES);
	return true;
}

u64 tr_helper_gather(struct soft_vcpu *sv, u32 n)
{
	const struct tr_site *site = &sv->tr.site[n];
	struct x86_state *s = &sv->vcpu->state;

	s->gen[GEN_R13] = gather(sv, &site->tr->block->insn[site->insn]);
	if (unlikely(!s->fpu_live))
		soft_fpu_enter(s);
	return TR_GO_ON;
}

/* What the helper does not find, faults among it, is the routine's, from the start. */
static bool translate_gather(struct front *f)
{
	const struct x86_insn *i = f->i;
	struct emit *e = &f->e;
	struct x86_gather g;

	if (f->m32 && i->seg >= SEG_FS)
		return false;
	x86_gather_shape(i, &g);
	tr_free_flags(f);
	tr_uses_r13(f);
	emit_vector(e, i->opnd[0].reg, VECTOR_BYTES, GS_MEM(GEN(DESTINATION)), true);
	emit_vector(e, i->opnd[2].reg, VECTOR_BYTES, GS_MEM(GEN(MASK)), true);
	emit_vector(e, i->index, VECTOR_BYTES, GS_MEM(GEN(INDEX)), true);
	emit_mov_imm(e, X86_R12, tr_new_site(f, SITE_INSN));
	emit_call(e, f->sv->tr.thunk_gather);
	emit_rr(e, false, 0x85, X86_R13, X86_R13); /* test */
	tr_aside_if(f, COND_E);
	emit_vector(e, i->opnd[0].reg, g.dst_size, GS_MEM(GEN(DESTINATION)), false);
	emit_vector(e, i->opnd[2].reg, g.dst_size, GS_MEM(GEN(MASK)), false);
	tr_end_asides(f);
	return true;
}

static bool ldmxcsr(struct front *f)
{
	struct emit *e = &f->e;

	tr_free_flags(f);
	emit_rm(e, false, 0x8b, X86_R13, tr_access(f, 4, false));
	emit_rr(e, false, 0xf7, 0, X86_R13); /* test */
	emit32(e, ~MXCSR_VALID);
	tr_aside_if(f, COND_NE);
	emit_store(e, X86_R13, GS_MEM(GEN(GEN_TARGET)));
	emit_rm(e, false, 0x1ae, 2, GS_MEM(GEN(GEN_TARGET)));
	tr_end_asides(f);
	return true;
}

bool tr_vector(struct front *f)
{
	if (!tr_fpu_ok(f))
		return false;
	if (is_gather(f->i))
		return translate_gather(f);
	return (f->i->op == X86_OP_LDMXCSR || f->i->op == X86_OP_VLDMXCSR) && ldmxcsr(f);
}
