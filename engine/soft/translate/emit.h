/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * emit.h - the assembler of the translator: host instructions as bytes.
 *
 * Code is written through the rw mapping; rip-relative distances are the same in both. Room is the caller's care: nothing is
 * looked at here, byte for byte.
 */
#ifndef TRANSLATE_EMIT_H
#define TRANSLATE_EMIT_H

#include "soft.h"
#include "optable.h"

struct emit {
	u8 *p;
	s64 to_rx; /* add to a rw address for the executable one */
};

static inline void emit8(struct emit *e, u8 b)
{
	*e->p++ = b;
}

static inline void emit32(struct emit *e, u32 v)
{
	*(x86_mem32 *)e->p = v;
	e->p += sizeof(v);
}

static inline void emit64(struct emit *e, u64 v)
{
	*(x86_mem64 *)e->p = v;
	e->p += sizeof(v);
}

/* A memory operand: [base + index << scale + disp], or gs:[disp] with gs set. base, index: host registers or NOREG. */
#define NOREG 0xff
struct emit_mem {
	u8 base, index, scale;
	bool gs;
	s32 disp;
};

/* Host register of a guest general register, or NOREG if it lives in memory: r8-r11 do, which compilers use least. */
static inline u8 tr_host_reg(unsigned guest)
{
	if (guest == X86_RSP)
		return X86_R14;
	if (guest < X86_R8)
		return (u8)guest;
	return guest < X86_R12 ? NOREG : (u8)(guest - 4);
}

#define GS_MEM(offset) ((struct emit_mem){ .base = NOREG, .index = NOREG, .gs = true, .disp = (s32)(offset) })
#define GEN(cell) (offsetof(struct x86_state, gen) + 8 * (cell))
#define GPR(n) (offsetof(struct x86_state, gpr) + 8 * (n))

/* ModRM, SIB, displacement for reg and m; the REX bits have been emitted. */
void emit_modrm_mem(struct emit *e, unsigned reg, const struct emit_mem *m);

/*
 * One instruction of the one-byte or 0F map (op >= 0x100: 0F op): operand size 64 with w, else 32; byte registers need
 * rex_byte.
 */
void emit_rr(struct emit *e, bool w, unsigned op, unsigned reg, unsigned rm);
void emit_rm(struct emit *e, bool w, unsigned op, unsigned reg, struct emit_mem m);

static inline void emit_mov_rr(struct emit *e, unsigned dst, unsigned src)
{
	emit_rr(e, true, 0x89, src, dst);
}
static inline void emit_load(struct emit *e, unsigned reg, struct emit_mem m)
{
	emit_rm(e, true, 0x8b, reg, m);
}
/* From an executable address, rip-relative. */
void emit_load_near(struct emit *e, unsigned reg, const void *target);
static inline void emit_store(struct emit *e, unsigned reg, struct emit_mem m)
{
	emit_rm(e, true, 0x89, reg, m);
}
static inline void emit_lea(struct emit *e, unsigned reg, struct emit_mem m)
{
	emit_rm(e, true, 0x8d, reg, m);
}

enum emit_cond { COND_E = 4, COND_NE = 5, COND_BE = 6, COND_A = 7 };

/* r12 = the entry in the flat table for reads or writes of the address in ea, or what is there; condition E: there is none. */
void emit_look_up(struct emit *e, unsigned ea, bool write);
void emit_load_entry(struct emit *e, struct emit_mem entry);

/* r12 = the entry of the hash table for the address in r13. */
void emit_hash_entry(struct emit *e);

enum emit_alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };
enum emit_shift { SHIFT_SHL = 4, SHIFT_SHR = 5, SHIFT_SAR = 7 };

/* On a byte or double word of the state, and on a register's lower half, with an immediate; shifts by a constant. */
static inline void emit_gs_byte(struct emit *e, enum emit_alu op, s64 offset, u8 imm)
{
	emit_rm(e, false, 0x80, op, GS_MEM(offset));
	emit8(e, imm);
}
static inline void emit_gs_dword(struct emit *e, enum emit_alu op, s64 offset, u32 imm)
{
	emit_rm(e, false, 0x81, op, GS_MEM(offset));
	emit32(e, imm);
}
static inline void emit_alu_imm(struct emit *e, enum emit_alu op, unsigned reg, u32 imm)
{
	emit_rr(e, false, 0x81, op, reg);
	emit32(e, imm);
}
static inline void emit_alu_imm64(struct emit *e, enum emit_alu op, unsigned reg, s32 imm)
{
	emit_rr(e, true, 0x81, op, reg);
	emit32(e, (u32)imm);
}
static inline void emit_shift(struct emit *e, bool w, enum emit_shift op, unsigned reg, u8 count)
{
	emit_rr(e, w, 0xc1, op, reg);
	emit8(e, count);
}

/* mov reg, imm: the shortest that gives the 64-bit value. Flags stay. */
void emit_mov_imm(struct emit *e, unsigned reg, u64 imm);
/* jmp rel32, call rel32, jcc rel32 to an executable address. Return the rw address of the rel32. */
u8 *emit_jmp(struct emit *e, const void *target);
u8 *emit_call_near(struct emit *e, const void *target);
u8 *emit_jcc(struct emit *e, unsigned cond, const void *target);
/* call of C or assembly code anywhere: rip-relative if near, else through a register that is scratch. */
void emit_call(struct emit *e, const void *target);
void emit_jmp_far(struct emit *e, const void *target);
/* vmovups between a vector register and m, of 16 or 32 bytes; a load clears what is above. */
void emit_vector(struct emit *e, unsigned reg, unsigned size, struct emit_mem m, bool store);
/* Let the rel32 at rw address at jump to the executable address target. */
void emit_patch(struct emit *e, u8 *at, const void *target);
static inline const u8 *emit_here(const struct emit *e)
{
	return e->p + e->to_rx;
}

/*
 * Copy a guest instruction with other operands. Registers are host numbers, NOREG where the field is not a general
 * register (or the instruction has no such field): then it stays as it is.
 */
struct emit_operands {
	u8 reg; /* ModRM.reg */
	u8 rm;  /* ModRM.rm or the opcode's low bits, if a general register */
	u8 vvvv;
	bool mem; /* ModRM.rm is memory: m */
	struct emit_mem m;
};
/* False: cannot be encoded so (a high byte register with a REX prefix). */
bool emit_guest(struct emit *e, const struct x86_insn *i, const struct emit_operands *o);

#endif /* TRANSLATE_EMIT_H */
