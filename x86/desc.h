/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Descriptors, code and stack switches: what far branches, event delivery, IRET, task switches and fast
 * system calls share. Implemented in segment.c.
 *
 * Everything here either checks (and may fault, changing nothing but accessed bits in descriptor tables), or
 * commits (and cannot fail). A control transfer does all its checks, then its pushes, then its commits.
 */
#ifndef X86_DESC_H
#define X86_DESC_H

#include "internal.h"

/* System descriptor types (SDM, "System-Segment and Gate-Descriptor Types"). */
enum x86_sys_type {
	SYS_TSS16 = 1,
	SYS_LDT = 2,
	SYS_TSS16_BUSY = 3,
	SYS_CALL_GATE16 = 4,
	SYS_TASK_GATE = 5,
	SYS_INT_GATE16 = 6,
	SYS_TRAP_GATE16 = 7,
	SYS_TSS = 9,
	SYS_TSS_BUSY = 11,
	SYS_CALL_GATE = 12,
	SYS_INT_GATE = 14,
	SYS_TRAP_GATE = 15,
};

#define SEL_RPL(sel) ((sel)&3)
#define SEL_TI 4
#define SEL_ERR(sel) ((sel)&0xfffcu) /* the selector as it stands in an error code */

static inline bool x86_null_sel(u16 sel)
{
	return (sel & 0xfffc) == 0;
}

struct x86_desc {
	u64 raw;  /* the first eight bytes */
	u64 high; /* the second eight of a 16-byte descriptor, see x86_desc_high() */
	u64 lin;  /* linear address of the descriptor */
	u16 sel;
};

/* The attr of struct x86_seg, without the limit. */
static inline u32 x86_desc_attr(const struct x86_desc *d)
{
	return (u32)(d->raw >> 40) & 0xf0ff;
}

static inline unsigned x86_desc_type(const struct x86_desc *d)
{
	return (d->raw >> 40) & 0xf;
}

static inline unsigned x86_desc_dpl(const struct x86_desc *d)
{
	return (d->raw >> 45) & 3;
}

static inline bool x86_desc_code(const struct x86_desc *d)
{
	return (x86_desc_attr(d) & (SEG_S | SEG_TYPE_CODE)) == (SEG_S | SEG_TYPE_CODE);
}

static inline bool x86_desc_conforming(const struct x86_desc *d)
{
	return x86_desc_attr(d) & SEG_TYPE_DC;
}

static inline u64 x86_desc_base(const struct x86_desc *d)
{
	return (d->raw >> 16 & 0xffffff) | (d->raw >> 32 & 0xff000000);
}

u32 x86_desc_limit(const struct x86_desc *d);

/* The descriptor that sel names, which is not null. Outside its table: vec with the selector. */
enum x86_result x86_read_desc(struct x86_state *s, u16 sel, unsigned vec, struct x86_desc *d);
/* The upper half of a 16-byte descriptor (IA-32e mode). Outside the table or of bad type: vec. */
enum x86_result x86_desc_high(struct x86_state *s, unsigned vec, struct x86_desc *d);
/* Change the access byte in memory atomically: set bits, or clear them. Also in d->raw. */
enum x86_result x86_desc_set(struct x86_state *s, struct x86_desc *d, u8 bits);
enum x86_result x86_desc_clear(struct x86_state *s, struct x86_desc *d, u8 bits);
enum x86_result x86_desc_mark_accessed(struct x86_state *s, struct x86_desc *d);
/* The hidden part that a descriptor of a code, data, LDT or TSS segment gives (base: low half only). */
void x86_desc_to_seg(const struct x86_desc *d, u16 sel, struct x86_seg *out);

/* A null or otherwise unusable segment register. */
void x86_seg_null(struct x86_seg *seg, u16 sel);
/* What a segment register becomes in real and virtual-8086 mode. */
void x86_seg_real(struct x86_seg *seg, u16 sel);
void x86_seg_vm86(struct x86_seg *seg, u16 sel);
/* The fixed flat segments of SYSCALL and its relatives. long_code: CS.L. */
void x86_seg_flat_code(struct x86_seg *seg, u16 sel, unsigned dpl, bool long_code);
void x86_seg_flat_stack(struct x86_seg *seg, u16 sel, unsigned dpl);

/*
 * Check a data or stack segment as x86_load_segment() does, for code running at cpl, into *out. vec: X86_EXC_GP,
 * or X86_EXC_TS in a task switch.
 */
enum x86_result x86_prepare_segment(struct x86_state *s, unsigned seg, u16 sel, unsigned cpl, unsigned vec,
				    struct x86_seg *out);
/* LDTR for LLDT (vec X86_EXC_GP) and task switches (X86_EXC_TS). */
enum x86_result x86_prepare_ldt(struct x86_state *s, u16 sel, unsigned vec, struct x86_seg *out);

/* Would [off, off + size) pass the limit of seg? (Not for 64-bit mode.) */
bool x86_seg_limit_ok(const struct x86_seg *seg, u64 off, unsigned size);

/* --- code segments ------------------------------------------------------------------------------ */

/* Read the descriptor of a code segment; null: vec(0), not code: vec(sel). */
enum x86_result x86_read_code(struct x86_state *s, u16 sel, unsigned vec, struct x86_desc *d);
/* The last checks of every far transfer: L and D together (vec), present. Sets the accessed bit. */
enum x86_result x86_check_code(struct x86_state *s, struct x86_desc *d, unsigned vec);
/* Is rip a valid target in code segment d? #GP(0) */
enum x86_result x86_check_target(struct x86_state *s, const struct x86_desc *d, u64 rip);
/* Return (RETF, IRET, task switch) to sel, whose RPL becomes the CPL: privilege rules, then x86_check_code(). */
enum x86_result x86_prepare_return_cs(struct x86_state *s, u16 sel, unsigned vec, struct x86_desc *d);
/* SS for a return to code segment cs: like x86_prepare_segment() with cs's RPL, or null towards 64-bit code. */
enum x86_result x86_prepare_return_ss(struct x86_state *s, u16 sel, const struct x86_desc *cs, struct x86_seg *out);
/* Set CS, CPL and rip. */
void x86_commit_cs(struct x86_state *s, const struct x86_desc *d, unsigned cpl, u64 rip);
/* Set CS in real or virtual-8086 mode. */
void x86_commit_cs_real(struct x86_state *s, u16 sel, u64 rip);

/* --- stacks --------------------------------------------------------------------------------------- */

/* A stack that is, or will be, in use. */
struct x86_stack {
	struct x86_seg ss;
	u64 sp;
	u8 cpl; /* privilege of the accesses */
	bool is64;
};

static inline u64 x86_stack_mask(const struct x86_stack *st)
{
	return st->is64 ? ~0ull : st->ss.attr & SEG_DB ? 0xffffffffull : 0xffffull;
}

void x86_current_stack(const struct x86_state *s, struct x86_stack *st);
/*
 * The stack that the TSS holds for privilege level dpl. ist: 1-7 takes the interrupt stack table in IA-32e mode,
 * 0 not. Faults are #TS, #SS of the new selector, #PF.
 */
enum x86_result x86_tss_stack(struct x86_state *s, unsigned dpl, unsigned ist, struct x86_stack *st);

#define X86_FRAME_MAX 40 /* words: a call gate copies up to 31 */

/*
 * Push n words of size bytes, word[0] first (at the highest address). Either all are written and st->sp has moved, or
 * none. No room: #SS(err).
 */
enum x86_result x86_push_frame(struct x86_state *s, struct x86_stack *st, const u64 *word, unsigned n, unsigned size,
			       u32 err);
/* Read the word at byte offset off above the current stack pointer. */
enum x86_result x86_stack_peek(struct x86_state *s, unsigned off, unsigned size, u64 *val);
/* Load SS and rSP. */
void x86_commit_stack(struct x86_state *s, const struct x86_stack *st);
/* rSP = sp as the width of the stack segment (is64: all of it) says; the upper bits of a 16-bit stack stay. */
void x86_set_sp(struct x86_state *s, u64 sp, bool is64);

/* --- other ---------------------------------------------------------------------------------------- */

/* After a return to outer level cpl: drop data segments that it must not reach. */
void x86_drop_inner_segments(struct x86_state *s, unsigned cpl);

/* Read a little-endian value from a system table (implicit supervisor access). */
enum x86_result x86_read_sys(struct x86_state *s, u64 lin, unsigned size, u64 *val);

/*
 * The task switch itself (task.c). *switched tells, on X86_FAULT, that the new task's context is already current:
 * the fault belongs to its first instruction.
 */
enum x86_result x86_switch_task(struct x86_state *s, u16 tss_sel, enum x86_task_reason why, bool has_error, u32 error,
				bool *switched);
/* The checks on a TSS or task gate as the target of CALL and JMP, then the switch. */
enum x86_result x86_far_to_task(struct x86_state *s, const struct x86_desc *d, enum x86_task_reason why);

#endif /* X86_DESC_H */
