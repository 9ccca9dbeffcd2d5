/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * x87 and vector instructions: the checks before them, passing them to the host, and those whose memory accesses
 * depend on register contents: masked moves and gathers.
 */
#include "fpu_state.h"
#include "operand.h"
#include "optable.h"

/* SDM volume 3, "x87 FPU and MMX", "Checking for SSE/SSE2/... Support"; volume 2, "AVX Exception Types". */
enum x86_result x86_fpu_check(struct x86_state *s, const struct x86_insn *i)
{
	if (i->flags & INSN_VEX) {
		if (!(s->cr4 & CR4_OSXSAVE) || (~s->xcr0 & (XFEATURE_SSE | XFEATURE_AVX)))
			return x86_raise(s, X86_EXC_UD);
	} else if (i->flags & (INSN_SSE | INSN_MMX)) {
		if (s->cr0 & CR0_EM || (i->flags & INSN_SSE && !(s->cr4 & CR4_OSFXSR)))
			return x86_raise(s, X86_EXC_UD);
	} else if (s->cr0 & CR0_EM) {
		return x86_raise(s, X86_EXC_NM);
	}
	return likely(!(s->cr0 & CR0_TS)) ? X86_OK : x86_raise(s, X86_EXC_NM);
}

struct x86_xsave *x86_fpu_area(struct x86_state *s)
{
	struct x86_xsave *x = s->xsave;

	if (s->ops->fpu_save)
		s->ops->fpu_save(s);
	if (!(x->xstate_bv & XFEATURE_X87)) {
		memset(&x->fx, 0, offsetof(struct x86_fxregs, mxcsr));
		memset(x->fx.st, 0, sizeof(x->fx.st));
		x->fx.fcw = FPU_CW_INIT;
	}
	if (!(x->xstate_bv & XFEATURE_SSE))
		memset(x->fx.xmm, 0, sizeof(x->fx.xmm));
	if (!(x->xstate_bv & XFEATURE_AVX) && s->xcr0 & XFEATURE_AVX)
		memset(x->ymmh, 0, sizeof(x->ymmh));
	for (unsigned n = 0; n < AVX512_PARTS; n++)
		if (s->xcr0 & ~x->xstate_bv & avx512_part(n))
			memset((u8 *)x + s->xsave_avx512[n], 0, avx512_size(n));
	return x;
}

void x86_fpu_changed(struct x86_state *s)
{
	if (s->ops->fpu_load)
		s->ops->fpu_load(s);
}

/* --- passing to the host --------------------------------------------------------------------------------- */

static enum x86_result run_native(struct x86_state *s, const struct x86_insn *i, void *mem)
{
	return likely(s->ops->native) ? s->ops->native(s, i, mem) : X86_UNHANDLED;
}

bool x86_x87_control(unsigned op)
{
	return op == X86_OP_FLDCW || op == X86_OP_FNSTCW || op == X86_OP_FNSTSW || op == X86_OP_FNCLEX ||
	       op == X86_OP_FNOP;
}

static void track_x87(struct x86_state *s, const struct x86_insn *i, const struct x86_operand *mem)
{
	if (i->op == X86_OP_FNINIT) {
		s->fpu_ip = s->fpu_dp = 0;
		s->fpu_cs = s->fpu_ds = s->fpu_op = 0;
		return;
	}
	if (x86_x87_control(i->op))
		return;
	s->fpu_ip = s->rip - i->len;
	s->fpu_cs = s->seg[SEG_CS].sel;
	s->fpu_op = (i->opcode & 7) << 8 | i->modrm;
	if (mem) {
		s->fpu_dp = x86_ea(s, i);
		s->fpu_ds = s->seg[i->seg].sel;
	}
}

/*
 * A pending x87 exception comes before anything that a memory operand may cause. Where the host does not look at it in
 * time by itself: FWAIT. The FN forms do not wait.
 */
enum x86_result x86_fpu_wait(struct x86_state *s, const struct x86_insn *i)
{
	const struct x86_insn wait = { .opcode = 0x9b, .flags = INSN_FPU | INSN_X87 | INSN_NATIVE };

	if (!(i->flags & (INSN_X87 | INSN_MMX)) || i->op == X86_OP_FNSTCW || i->op == X86_OP_FNSTSW)
		return X86_OK;
	return run_native(s, &wait, NULL);
}

/*
 * With an unmasked exception x87 stores nothing: then the buffer still has what it was filled with. Error summary tells
 * that from a result of the same bytes.
 */
#define UNTOUCHED 0xa5

static bool store_suppressed(struct x86_state *s, const struct x86_insn *i, const u8 *buf, unsigned size)
{
	const struct x86_insn fnstsw = {
		.map = 0,
		.opcode = 0xdd,
		.modrm = 7 << 3,
		.flags = INSN_FPU | INSN_X87 | INSN_NATIVE | INSN_HAS_MODRM,
		.nr_operands = 1,
		.opnd = { { .kind = OPND_MEM, .size = 2 } },
	};
	u16 fsw;

	if (!(i->flags & INSN_X87))
		return false;
	for (unsigned n = 0; n < size; n++)
		if (buf[n] != UNTOUCHED)
			return false;
	return run_native(s, &fnstsw, &fsw) == X86_OK && fsw & 0x80;
}

static enum x86_result native_bounced(struct x86_state *s, const struct x86_insn *i, u64 lin, unsigned size,
				      unsigned access)
{
	u8 buf[64] __aligned(64);
	enum x86_result r;

	r = x86_fpu_wait(s, i);
	if (r != X86_OK)
		return r;
	memset(buf, UNTOUCHED, size);
	/* The host must not compute before it is known that the result can be stored: FSTP changes the stack. */
	r = access & OPACC_W ? x86_probe_linear(s, s->mmu_index, i->seg, lin, size, ACC_WRITE)
			     : x86_read_linear(s, s->mmu_index, i->seg, lin, buf, size);
	if (r != X86_OK)
		return r;
	r = run_native(s, i, buf);
	if (r != X86_OK || !(access & OPACC_W) || store_suppressed(s, i, buf, size))
		return r;
	return x86_write_linear(s, s->mmu_index, i->seg, lin, buf, size);
}

/* AMD's SHA instructions do not mind. */
static enum x86_result misaligned(struct x86_state *s, const struct x86_insn *i, const struct x86_operand *mem, u64 lin)
{
	enum x86_result r;

	if (s->vendor_amd && i->op >= X86_OP_SHA1NEXTE && i->op <= X86_OP_SHA256MSG2)
		return native_bounced(s, i, lin, mem->size, mem->access);
	if (s->vendor_amd && i->op == X86_OP_SHA1RNDS4)
		return native_bounced(s, i, lin, mem->size, mem->access);
	r = x86_fpu_wait(s, i);
	return r == X86_OK ? x86_raise_error(s, X86_EXC_GP, 0) : r;
}

static enum x86_result native_memory(struct x86_state *s, const struct x86_insn *i, const struct x86_operand *mem)
{
	enum x86_access acc = mem->access & OPACC_W ? ACC_WRITE : ACC_READ;
	enum x86_result r;
	u64 lin;
	u8 *p;

	r = x86_fpu_operand(s, i, mem->size, acc, &lin);
	if (unlikely(r != X86_OK)) {
		enum x86_result waited = x86_fpu_wait(s, i);

		return waited == X86_OK ? r : waited;
	}
	if (i->flags & INSN_ALIGNED && unlikely(lin & (mem->size - 1)))
		return misaligned(s, i, mem, lin);
	p = x86_tlb_probe(s, s->mmu_index, lin, mem->size, acc);
	if (likely(p))
		return run_native(s, i, p);
	return native_bounced(s, i, lin, mem->size, mem->access);
}

enum x86_result x86_exec_native(struct x86_state *s, const struct x86_insn *i)
{
	const struct x86_operand *mem = NULL;
	enum x86_result r = x86_fpu_check(s, i);

	if (unlikely(r != X86_OK))
		return r;
	for (unsigned n = 0; n < i->nr_operands; n++)
		if (i->opnd[n].kind == OPND_MEM)
			mem = &i->opnd[n];
	r = mem ? native_memory(s, i, mem) : run_native(s, i, NULL);
	if (i->flags & INSN_X87 && r == X86_OK)
		track_x87(s, i, mem);
	return r;
}

enum x86_result x86_exec_fwait(struct x86_state *s, const struct x86_insn *i)
{
	if ((s->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		return x86_raise(s, X86_EXC_NM);
	return run_native(s, i, NULL);
}

enum x86_result x86_exec_ldmxcsr(struct x86_state *s, const struct x86_insn *i)
{
	enum x86_result r = x86_fpu_check(s, i);
	u64 val;

	if (r == X86_OK)
		r = x86_load(s, i->seg, x86_ea(s, i), 4, &val);
	if (r != X86_OK)
		return r;
	if (val & ~(u64)MXCSR_VALID)
		return x86_raise_error(s, X86_EXC_GP, 0);
	return run_native(s, i, &val);
}

/* Outside 64-bit mode the upper eight registers stay as they are. */
enum x86_result x86_exec_vzero(struct x86_state *s, const struct x86_insn *i)
{
	enum x86_result r = x86_fpu_check(s, i);
	struct x86_xsave *x;

	if (r != X86_OK)
		return r;
	if (s->mode == X86_MODE_LONG)
		return run_native(s, i, NULL);
	x = x86_fpu_area(s);
	memset(x->ymmh, 0, sizeof(x->ymmh) / 2);
	if (i->op == X86_OP_VZEROALL)
		memset(x->fx.xmm, 0, sizeof(x->fx.xmm) / 2);
	x86_fpu_changed(s);
	return X86_OK;
}

/* --- single vector registers by the host ------------------------------------------------------------------- */

/* MOVUPS, VMOVUPS or MOVQ between a register and host memory of size 8 (MMX), 16 or 32 bytes. */
static enum x86_result move_register(struct x86_state *s, unsigned reg, unsigned size, bool vex, bool store, void *buf)
{
	struct x86_insn i = {
		.map = 1,
		.opcode = store ? 0x11 : 0x10,
		.vl = size,
		.flags = INSN_HAS_MODRM | INSN_NATIVE | INSN_FPU,
		.rex = reg & 8 ? 4 : 0,
		.modrm = (reg & 7) << 3,
		.nr_operands = 1,
		.opnd = { { .kind = OPND_MEM, .size = size } },
	};

	if (size == 8)
		i.opcode = store ? 0x7f : 0x6f;
	i.flags |= vex ? INSN_VEX : size == 8 ? INSN_MMX : INSN_SSE;
	return run_native(s, &i, buf);
}

/* --- MASKMOVQ, MASKMOVDQU ------------------------------------------------------------------------------------ */

static enum x86_result maskmov_bytes(struct x86_state *s, const struct x86_insn *i, unsigned size)
{
	bool vex = i->flags & INSN_VEX;
	u64 base = s->gpr[X86_RDI] & x86_addr_mask(i->adsize);
	u8 data[16], mask[16];
	enum x86_result r;
	u64 lin;
	unsigned n;

	r = x86_fpu_wait(s, i);
	if (r == X86_OK)
		r = move_register(s, i->opnd[0].reg, size, vex, true, data);
	if (r == X86_OK)
		r = move_register(s, i->opnd[1].reg, size, vex, true, mask);
	for (n = 0; n < size && r == X86_OK; n++) {
		if (!(mask[n] & 0x80))
			continue;
		r = x86_linear(s, i->seg, (base + n) & x86_addr_mask(i->adsize), 1, ACC_WRITE, &lin);
		if (r == X86_OK)
			r = x86_probe_linear(s, s->mmu_index, i->seg, lin, 1, ACC_WRITE);
	}
	for (n = 0; n < size && r == X86_OK; n++)
		if (mask[n] & 0x80)
			r = x86_store(s, i->seg, (base + n) & x86_addr_mask(i->adsize), 1, data[n]);
	return r;
}

enum x86_result x86_exec_maskmovq(struct x86_state *s, const struct x86_insn *i)
{
	enum x86_result r = x86_fpu_check(s, i);

	return r == X86_OK ? maskmov_bytes(s, i, 8) : r;
}

enum x86_result x86_exec_maskmovdqu(struct x86_state *s, const struct x86_insn *i)
{
	enum x86_result r = x86_fpu_check(s, i);

	return r == X86_OK ? maskmov_bytes(s, i, 16) : r;
}

/* --- VMASKMOVPS/PD, VPMASKMOVD/Q ------------------------------------------------------------------------------- */

/*
 * Each active element is accessed on its own, inactive ones cannot fault. The instruction then runs on a
 * buffer: its masking of the register is the host's.
 */
enum x86_result x86_exec_vmaskmov(struct x86_state *s, const struct x86_insn *i)
{
	bool store = i->opnd[0].kind == OPND_MEM;
	unsigned width = i->op == X86_OP_VMASKMOVPS || i->op == X86_OP_VPMASKMOVD ? 4 : 8;
	unsigned mask_reg = i->opnd[1].reg, n, lanes = i->vl / width;
	u8 buf[32] = { 0 }, mask[32];
	u64 base = x86_ea(s, i), addr = x86_addr_mask(i->adsize), lin, val = 0;
	enum x86_result r = x86_fpu_check(s, i);

	if (r == X86_OK)
		r = move_register(s, mask_reg, i->vl, true, true, mask);
	for (n = 0; n < lanes && r == X86_OK; n++) {
		u64 off = (base + n * width) & addr;

		if (!x86_lane_active(mask, n, width))
			continue;
		if (store) {
			r = x86_linear(s, i->seg, off, width, ACC_WRITE, &lin);
			if (r == X86_OK)
				r = x86_probe_linear(s, s->mmu_index, i->seg, lin, width, ACC_WRITE);
		} else {
			r = x86_load(s, i->seg, off, width, &val);
			x86_poke(buf + n * width, width, val);
		}
	}
	if (r == X86_OK)
		r = run_native(s, i, buf);
	if (!store)
		return r;
	for (n = 0; n < lanes && r == X86_OK; n++) {
		if (!x86_lane_active(mask, n, width))
			continue;
		val = x86_peek(buf + n * width, width);
		r = x86_store(s, i->seg, (base + n * width) & addr, width, val);
	}
	return r;
}

/* --- gathers ------------------------------------------------------------------------------------------------- */

void x86_gather_shape(const struct x86_insn *i, struct x86_gather *g)
{
	g->width = i->rex & 8 ? 8 : 4;
	g->index_width = i->opcode & 1 ? 8 : 4;
	g->lanes = i->vl / (g->width > g->index_width ? g->width : g->index_width);
	g->dst_size = g->lanes * g->width > 16 ? 32 : 16;
	g->index_size = g->lanes * g->index_width > 16 ? 32 : 16;
}

u64 x86_gather_offset(const struct x86_state *s, const struct x86_insn *i, const struct x86_gather *g, const u8 *index,
		      unsigned n)
{
	u64 a = i->disp, idx = x86_sext(x86_peek(index + n * g->index_width, g->index_width), g->index_width);

	if (i->base < 16)
		a += s->gpr[i->base];
	return (a + (idx << i->scale)) & x86_addr_mask(i->adsize);
}

/* Elements below the faulting one are done, their mask bits gone; the fault stays in s->fault. */
static enum x86_result gather_partial(struct x86_state *s, const struct x86_insn *i, const struct x86_gather *g,
				      u8 *dst, u8 *mask)
{
	enum x86_result r;

	/* Registers with 16 bytes of elements keep their upper halves, which a VEX load would clear. */
	r = move_register(s, i->opnd[0].reg, 32, true, false, dst);
	if (r == X86_OK)
		r = move_register(s, i->opnd[2].reg, 32, true, false, mask);
	return r == X86_OK ? X86_FAULT : r;
}

/* Elements are loaded in order, from the lowest. Nothing changes before the last load that may be X86_PENDING. */
enum x86_result x86_exec_gather(struct x86_state *s, const struct x86_insn *i)
{
	u8 dst[32], mask[32], index[32];
	enum x86_result r = x86_fpu_check(s, i);
	struct x86_gather g;
	unsigned n;
	u64 val;

	x86_gather_shape(i, &g);
	if (r == X86_OK)
		r = move_register(s, i->opnd[0].reg, 32, true, true, dst);
	if (r == X86_OK)
		r = move_register(s, i->opnd[2].reg, 32, true, true, mask);
	if (r == X86_OK)
		r = move_register(s, i->index, g.index_size, true, true, index);
	if (r != X86_OK)
		return r;
	for (n = 0; n < g.lanes; n++) {
		if (x86_lane_active(mask, n, g.width)) {
			r = x86_load(s, i->seg, x86_gather_offset(s, i, &g, index, n), g.width, &val);
			if (r != X86_OK)
				break;
			x86_poke(dst + n * g.width, g.width, val);
		}
		memset(mask + n * g.width, 0, g.width);
	}
	if (r == X86_FAULT)
		return gather_partial(s, i, &g, dst, mask);
	if (r != X86_OK)
		return r;
	/* What lies above the last element is cleared in both registers. */
	memset(dst + g.lanes * g.width, 0, sizeof(dst) - g.lanes * g.width);
	memset(mask, 0, sizeof(mask));
	r = move_register(s, i->opnd[0].reg, g.dst_size, true, false, dst);
	if (r == X86_OK)
		r = move_register(s, i->opnd[2].reg, g.dst_size, true, false, mask);
	return r;
}
