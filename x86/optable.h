/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The instruction table in the form that the decoder and the tests read: one row for each line I() of
 * opcodes.def, one op record for each OP().
 *
 * Rows of one (map, opcode) are adjacent. The LAST row that fits wins, so the general row stands first and
 * special ones (a mandatory prefix that turns BSF into TZCNT) follow. A row whose feature the guest lacks
 * does not fit.
 */
#ifndef X86_OPTABLE_H
#define X86_OPTABLE_H

#include "insn.h"

/* clang-format off */
enum x86_op {
#define OP(name, lower, routine, attr, undef) X86_OP_##name,
#define I(...)
#include "opcodes.def"
#undef OP
#undef I
	X86_OP_COUNT
};

/*
 * What a row looks at. x86_opcode.mask and .value are over these bits; a table line writes the macros,
 * which carry the mask in the upper and the value in the lower half and are combined with |.
 */
#define SEL_RM_SHIFT 0
#define SEL_REG_SHIFT 3
#define SEL_MOD3 BIT(6)		/* ModRM.mod = 3 */
#define SEL_W BIT(7)		/* REX.W or VEX.W */
#define SEL_LONG BIT(8)		/* 64-bit mode */
#define SEL_L BIT(9)		/* VEX.L */
#define SEL_PFX_SHIFT 10	/* 0 none, 1 66, 2 F3, 3 F2 */
#define SEL_PROT BIT(12)	/* not real or virtual-8086 mode */
#define SEL_B BIT(13)		/* REX.B */
#define SEL_MODRM (7u << SEL_RM_SHIFT | 7u << SEL_REG_SHIFT | SEL_MOD3)

#define SEL(m, v) ((u32)(m) << 16 | (v))

/* Row attributes. */
#define ROW_MODRM BIT(0)	/* has a ModRM byte (computed) */
#define ROW_BYTE BIT(1)		/* byte form: opsize 1 */
#define ROW_D64 BIT(2)		/* 64-bit mode: operand size 64 by default, 16 with 66, never 32 */
#define ROW_F64 BIT(3)		/* near branch: 64 in 64-bit mode; 66 counts on AMD only */
#define ROW_NATSIZE BIT(4)	/* operand size 64 in 64-bit mode, else 32; 66 ignored */
#define ROW_MAX32 BIT(5)	/* REX.W does not make it 64 (port I/O) */
#define ROW_NOMEM BIT(6)	/* ModRM.mod is ignored: both are registers */
#define ROW_VSIB BIT(7)		/* the index is a vector register, SIB required */
#define ROW_ALIGNED BIT(8)	/* memory operand must be aligned to its size */
#define ROW_X87 BIT(9)
#define ROW_MMX BIT(10)
#define ROW_SSE BIT(11)		/* legacy SSE; VEX rows need no mark */
#define ROW_GPR BIT(12)		/* VEX instruction on general registers: no FPU checks */
#define ROW_VVVV BIT(13)	/* uses VEX.vvvv (computed) */

/* How an operand is found. Methods from OM_MODRM on need a ModRM byte. */
enum x86_operand_method {
	OM_NONE,
	OM_FIXED,	/* general register, number in the argument */
	OM_Z,		/* general register in the opcode's low bits */
	OM_I,		/* immediate of the operand's size (v: imm64 with REX.W; z: at most 32) */
	OM_ONE,		/* the constant 1 */
	OM_J,		/* branch displacement */
	OM_A,		/* far pointer */
	OM_O,		/* moffs */
	OM_SREG,	/* segment register, number in the argument */
	OM_ST0,
	OM_XMM0,
	OM_L,		/* vector register in imm8[7:4] */
	OM_MODRM = 16,
	OM_E = OM_MODRM, /* ModRM.rm: general register or memory */
	OM_G,		/* ModRM.reg: general register */
	OM_S,		/* ModRM.reg: segment register */
	OM_C,		/* control register */
	OM_D,		/* debug register */
	OM_P,		/* ModRM.reg: MMX */
	OM_Q,		/* ModRM.rm: MMX or memory */
	OM_V,		/* ModRM.reg: vector */
	OM_W,		/* ModRM.rm: vector or memory */
	OM_ST,		/* ModRM.rm: x87 stack register */
	OM_B,		/* VEX.vvvv: general register */
	OM_H,		/* VEX.vvvv: vector */
};

enum x86_operand_size {
	OS_0, OS_b, OS_w, OS_d, OS_q, OS_t, OS_dq, OS_qq,	/* 0 1 2 4 8 10 16 32 */
	OS_v,	/* operand size */
	OS_z,	/* operand size, at most 4 */
	OS_y,	/* 8 with REX.W or VEX.W in 64-bit mode, else 4 */
	OS_n,	/* 8 in 64-bit mode, else 4 */
	OS_ad,	/* address size */
	OS_p,	/* far pointer: 2 + operand size */
	OS_s,	/* descriptor table register: 6, in 64-bit mode 10 */
	OS_a,	/* pair: 2 x operand size */
	OS_x,	/* vector length */
	OS_hx,	/* half the vector length */
	OS_qx,	/* quarter */
	OS_ox,	/* eighth */
	OS_wd,	/* 2 in memory; the operand size in a register (SLDT, SMSW) */
	OS_dw,	/* vector length for a register; 8 or 32 in memory (movddup) */
	OS_e,	/* x87 environment: 14 or 28 */
	OS_f,	/* x87 state: 94 or 108 */
};

/* An operand in a row: method | size << 5 | access << 10 | argument << 12. */
#define OPSPEC(method, size, arg) ((method) | (size) << 5 | (arg) << 12)
#define OPSPEC_METHOD(o) ((o) & 31)
#define OPSPEC_SIZE(o) ((o) >> 5 & 31)
#define OPSPEC_ACCESS(o) ((o) >> 10 & 3)
#define OPSPEC_ARG(o) ((o) >> 12)

/* Opcode maps: legacy 0-3; VEX 5-7. */
#define MAP_VEX 4

#define FEATURE_NONE 0xff

/* clang-format on */

struct x86_opcode {
	u16 key;    /* map << 8 | first opcode */
	u8 count;   /* opcodes covered: 1, 7, 8, 16 */
	u8 feature; /* enum x86_feature or FEATURE_NONE */
	u16 mask, value;
	u16 op;
	u16 attr;
	u16 opnd[4];
};

/* The rows; [0] is unused. For tests and tools, which walk them all. */
extern const struct x86_opcode x86_opcodes[];
extern const unsigned x86_opcode_count;
/* The rows that the decoder reaches for key: index of the last one, 0: none. */
unsigned x86_opcode_last(unsigned key);

/* INSN_* flags of each operation; INSN_LOCK: the lock prefix is allowed on a memory destination. */
extern const u32 x86_op_flags[X86_OP_COUNT];
/* RFLAGS bits that the manual leaves undefined after the operation (for some counts at least). */
extern const u16 x86_op_undefined[X86_OP_COUNT];
extern x86_exec_fn *const x86_exec_table[X86_OP_COUNT];
/* Set i->exec: the routine of the operation or one specialised for this form (exec_table.c). */
void x86_bind(struct x86_insn *i);

#endif /* X86_OPTABLE_H */
