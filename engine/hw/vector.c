/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Vector instructions that the library has to execute because their memory operand is a device's: those that only move bytes
 * between a register and memory (drivers copy so). The guest's registers are the thread's meanwhile. All others stay unhandled.
 */
#include "hwvm.h"
#include "optable.h"

#define BYTES HW_VECTOR_BYTES

struct move {
	unsigned at;  /* first byte of the register */
	bool partial; /* a load leaves the rest of the lower 16 bytes */
};

static bool is_move(const struct x86_insn *i, struct move *m)
{
	*m = (struct move){ 0 };
	switch (i->op) {
	case X86_OP_MOVUPS:
	case X86_OP_MOVUPD:
	case X86_OP_MOVAPS:
	case X86_OP_MOVAPD:
	case X86_OP_MOVDQA:
	case X86_OP_MOVDQU:
	case X86_OP_MOVSS:
	case X86_OP_MOVSD:
	case X86_OP_MOVD:
	case X86_OP_MOVQ:
	case X86_OP_LDDQU:
	case X86_OP_MOVNTPS:
	case X86_OP_MOVNTPD:
	case X86_OP_MOVNTDQ:
	case X86_OP_MOVNTDQA:
	case X86_OP_VMOVUPS:
	case X86_OP_VMOVUPD:
	case X86_OP_VMOVAPS:
	case X86_OP_VMOVAPD:
	case X86_OP_VMOVDQA:
	case X86_OP_VMOVDQU:
	case X86_OP_VMOVSS:
	case X86_OP_VMOVSD:
	case X86_OP_VMOVD:
	case X86_OP_VMOVQ:
	case X86_OP_VLDDQU:
	case X86_OP_VMOVNTPS:
	case X86_OP_VMOVNTPD:
	case X86_OP_VMOVNTDQ:
	case X86_OP_VMOVNTDQA: return true;
	case X86_OP_MOVHPS:
	case X86_OP_MOVHPD:
	case X86_OP_VMOVHPS:
	case X86_OP_VMOVHPD:
		m->at = 8;
		m->partial = true;
		return true;
	case X86_OP_MOVLPS:
	case X86_OP_MOVLPD:
	case X86_OP_VMOVLPS:
	case X86_OP_VMOVLPD: m->partial = true; return true;
	default: return false;
	}
}

static const struct x86_operand *operand(const struct x86_insn *i, u8 kind)
{
	unsigned n;

	for (n = 0; n < i->nr_operands; n++)
		if (i->opnd[n].kind == kind)
			return &i->opnd[n];
	return NULL;
}

/* VEX clears what lies above; without it that stays. The other half of a partial load is that of VEX.vvvv, if there is one. */
static void load(const struct x86_insn *i, const struct move *m, unsigned reg, const void *mem, unsigned size)
{
	u8 val[BYTES];

	hw_vector_get(m->partial && i->flags & INSN_VEX ? i->vvvv : reg, val);
	if (i->flags & INSN_VEX)
		memset(val + 16, 0, BYTES - 16);
	if (!m->partial)
		memset(val, 0, 16);
	memcpy(val + m->at, mem, size);
	hw_vector_set(reg, val);
}

static enum x86_result move_mmx(const struct x86_insn *i, const struct x86_operand *in_mem, unsigned reg, void *mem)
{
	u64 val = 0;

	if ((i->op != X86_OP_MOVQ && i->op != X86_OP_MOVD && i->op != X86_OP_MOVNTQ) || in_mem->size > sizeof(val))
		return X86_UNHANDLED;
	if (in_mem->access & OPACC_W) {
		hw_mmx_get(reg, &val);
		memcpy(mem, &val, in_mem->size);
	} else {
		memcpy(&val, mem, in_mem->size);
		hw_mmx_set(reg, val);
	}
	return X86_OK;
}

/* FWAIT, which the library puts before every x87 and MMX instruction with a memory operand. */
static bool is_wait(const struct x86_insn *i)
{
	return !i->map && i->opcode == 0x9b;
}

enum x86_result hwvm_native(struct x86_state *s, const struct x86_insn *i, void *mem)
{
	const struct x86_operand *in_mem = operand(i, OPND_MEM), *in_reg = operand(i, OPND_XMM),
				 *mmx = operand(i, OPND_MMX);
	struct move m;
	u8 val[BYTES];

	if (!hwvm_of(state_vcpu(s))->fpu_loaded)
		return X86_UNHANDLED;
	if (is_wait(i))
		return hw_x87_pending() ? x86_raise(s, X86_EXC_MF) : X86_OK;
	if (!mem || !in_mem)
		return X86_UNHANDLED;
	if (mmx && !in_reg)
		return move_mmx(i, in_mem, mmx->reg, mem);
	if (!in_reg || !is_move(i, &m))
		return X86_UNHANDLED;
	if (!(in_mem->access & OPACC_W)) {
		load(i, &m, in_reg->reg, mem, in_mem->size);
		return X86_OK;
	}
	hw_vector_get(in_reg->reg, val);
	memcpy(mem, val + m.at, in_mem->size);
	return X86_OK;
}
