/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A decoded instruction, and the decoder.
 *
 * The table x86/opcodes.def is the one description of the instruction set: it generates the
 * decoder's lookup, the operation numbers (enum x86_op), the dispatch to execution routines, the
 * names for traces and the list that the tests walk through. See its head for the format.
 */
#ifndef X86_INSN_H
#define X86_INSN_H

#include "state.h"

/*
 * What execution routines and every routine that may touch guest memory return.
 * On X86_OK all effects are done. On everything else the instruction changed nothing that the guest
 * can see, except as each code says.
 */
enum x86_result {
	X86_OK = 0,
	X86_FAULT,      /* s->fault holds the exception; deliver it */
	X86_PENDING,    /* needs data from user space: run the same instruction again later */
	X86_RETRY,      /* state changed under us (mapping, code): run the same instruction again */
	X86_REPEAT,     /* a repeated string instruction did a part: rcx/rsi/rdi show it; run again,
			 * events may be taken in between */
	X86_EXIT,       /* done (retired), but the engine must return to the loop: HLT, an exit to user
			 * space was queued, a mode the engine must look at */
	X86_SHUTDOWN,   /* triple fault */
	X86_UNHANDLED,  /* the library cannot execute this: report an emulation failure */
	X86_HOST_FAULT, /* guest memory could not be reached on the host (KVM_RUN gives EFAULT) */
};

enum x86_operand_kind {
	OPND_NONE,
	OPND_GPR, /* reg: 0-15; byte operands also 16-19 = AH, CH, DH, BH */
	OPND_MEM, /* the instruction's one ModRM or moffs memory operand */
	OPND_IMM, /* insn->imm (first), or insn->imm2 (second) when reg = 1; sign-extended by decode */
	OPND_REL, /* insn->imm: displacement of a near branch, relative to the next instruction */
	OPND_FAR, /* ptr16:16/32: insn->imm offset, insn->imm2 selector */
	OPND_SEG,
	OPND_CR,
	OPND_DR,
	OPND_ST, /* x87 stack register */
	OPND_MMX,
	OPND_XMM, /* size 16 XMM, 32 YMM (64 ZMM) */
	OPND_KREG,
};

struct x86_operand {
	u8 kind; /* enum x86_operand_kind */
	u8 reg;
	u8 size;   /* bytes; OPND_MEM: bytes accessed (0: not a plain access, e.g. lea, fxsave) */
	u8 access; /* OPACC_R | OPACC_W, OPACC_REG */
};
#define OPACC_R 1
#define OPACC_W 2
#define OPACC_REG 4 /* the register's number stands in ModRM.reg */

#define X86_REG_NONE 0xff
#define X86_REG_RIP 0xfe
#define X86_MAX_INSN_LEN 15

enum x86_rep { REP_NONE, REP_REPE, REP_REPNE }; /* F3, F2 (as prefixes of string instructions) */

/* insn->flags */
#define INSN_LOCK BIT(0)   /* LOCK prefix present (decode has checked that it is allowed) */
#define INSN_BRANCH BIT(1) /* may set rip to something else than the next instruction */
#define INSN_END BIT(2)    /* ends a block: changes mode, mapping, IF, or may leave the engine */
#define INSN_SHADOW BIT(3) /* starts an interrupt shadow */
#define INSN_NATIVE BIT(4) /* executed by the host's own instruction, see native.h */
#define INSN_STRING BIT(5)
#define INSN_STORE BIT(6) /* may write guest memory */
#define INSN_LOAD BIT(7)  /* may read guest memory */
#define INSN_VEX BIT(8)
#define INSN_EVEX BIT(9)
#define INSN_REX_W BIT(10)
#define INSN_OPSIZE BIT(11) /* 66 prefix present */
#define INSN_HAS_MODRM BIT(12)
#define INSN_FPU BIT(13)     /* x87 or MMX or SSE: the CR0.EM/TS, CR4.OSFXSR/OSXSAVE checks apply */
#define INSN_PRIV BIT(14)    /* CPL 0 only (checked by the routine; the flag is for tools) */
#define INSN_ADDR32 BIT(15)  /* address size differs from the mode's default (67 prefix) */
#define INSN_ALIGNED BIT(16) /* the memory operand must be aligned to its size, else #GP(0) */
#define INSN_X87 BIT(17)     /* with INSN_FPU, which checks apply: x87; MMX; legacy SSE; else AVX */
#define INSN_MMX BIT(18)
#define INSN_SSE BIT(19)
#define INSN_FLAGS BIT(20) /* native: reads or writes arithmetic flags */
/*
 * Of the state the routine itself touches only general registers, rip, rflags and what a memory access needs: the
 * mode, segment bases where the mode has them, paging. The routines behind ops (MSRs, hypercalls) see to the rest.
 */
#define INSN_PLAIN BIT(21)

struct x86_insn;
typedef enum x86_result x86_exec_fn(struct x86_state *s, const struct x86_insn *i);

struct x86_insn {
	x86_exec_fn *exec; /* set by x86_bind(): the routine, perhaps specialised by form */
	void *native;      /* INSN_NATIVE: generated stub, owned by the engine (NULL: not yet made) */
	s64 imm;
	s64 imm2;
	s64 disp;       /* displacement, sign-extended; moffs: the address */
	u32 flags;      /* INSN_* */
	u16 op;         /* enum x86_op */
	u16 row;        /* index in x86_opcodes[] (optable.h): how the operands are encoded */
	u8 len;         /* bytes, 1..15 */
	u8 opsize;      /* effective operand size: 2, 4, 8 (1 for byte forms) */
	u8 adsize;      /* effective address size: 2, 4, 8 */
	u8 seg;         /* segment of the memory operand, default or overridden (enum x86_segreg) */
	u8 base, index; /* 0-15, X86_REG_NONE, base also X86_REG_RIP; VSIB: index is a vector */
	u8 scale;       /* shift count 0-3 */
	u8 rep;         /* enum x86_rep */
	u8 modrm;
	u8 map; /* opcode map: 0 one-byte, 1 0F, 2 0F38, 3 0F3A (VEX/EVEX map number too) */
	u8 opcode;
	u8 prefix; /* mandatory prefix: 0, 0x66, 0xf3, 0xf2 */
	u8 vl;     /* vector length in bytes: 16; with VEX/EVEX 16, 32, 64 */
	u8 nr_operands;
	u8 seg_override; /* explicit override or SEG_NONE */
	u8 cond;         /* condition code 0-15 of Jcc/SETcc/CMOVcc */
	u8 rex;          /* W R X B (8 4 2 1) of REX or VEX as they count */
	u8 vvvv;         /* VEX.vvvv, not inverted: register number if used */
	struct x86_operand opnd[4];
	u8 bytes[16] __aligned(8); /* the raw encoding, len bytes valid */
};

enum x86_decode_result {
	X86_DECODE_OK = 0,
	X86_DECODE_MORE,     /* the bytes end before the instruction does */
	X86_DECODE_UD,       /* no such instruction: #UD (len: bytes consumed where known) */
	X86_DECODE_TOO_LONG, /* more than 15 bytes: #GP(0) */
};

/*
 * Decode one instruction. buf holds avail bytes (at most 15 are looked at); mode gives the default
 * sizes; s supplies the features (an instruction that the guest's CPUID lacks is #UD) and may be NULL:
 * then everything in the table decodes and the vendor is Intel. Pure: no guest memory is touched.
 * On OK *i is filled completely, exec included.
 */
enum x86_decode_result x86_decode(struct x86_insn *i, const u8 *buf, unsigned avail, enum x86_mode mode,
				  const struct x86_state *s);

/* The mnemonic of an operation in lower case ("add", "vpaddd"), for traces and tests. */
const char *x86_op_name(unsigned op);

#endif /* X86_INSN_H */
