/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * front.h - what the translator's parts share while one block is being translated.
 *
 *	flags.c		which guest flags live where, and which are dead
 *	access.c	memory operands: address, checks, look-up, out-of-line parts
 *	group.c		accesses that share a look-up
 *	stack.c		accesses through the stack pointer
 *	branch.c	calls, returns, jumps, the ends of blocks
 *	string.c	REP MOVS, REP STOS
 *	vector.c	gathers, LDMXCSR
 *	system.c	system instructions that kernels run all the time
 *	copy.c		instructions that stay what they are
 *	front.c		one instruction after the other
 */
#ifndef TRANSLATE_FRONT_H
#define TRANSLATE_FRONT_H

#include "emit.h"

/* Where the guest's arithmetic flags are. Both with flags that are dead: then in neither, and nobody asks. */
enum flags_at { FLAGS_NATIVE, FLAGS_SAVED };

/* An out-of-line part of an access, emitted behind the block. */
struct slow_part {
	u8 *to_cross;    /* rel32 of the branch for unaligned addresses, or NULL */
	u8 *to_miss;     /* rel32 of the branch for absent pages */
	const u8 *retry; /* executable address of the look-up */
	u32 site;
	u8 ea; /* host register with the linear address */
	u8 size;
	bool aligned_only; /* unaligned is #GP: the interpreter raises it */
	bool page_checked; /* what comes by to_cross does cross */
	bool group;        /* what comes by to_cross crosses: a group of accesses */
	bool constant;     /* the address is lin, ea nothing */
	s32 lin;
	bool stack; /* of the stack (stack.c): span bytes from lin off r14 */
	u16 span;
};

/* A place where the instruction's routine may take over, out of line; control comes back behind the instruction. */
struct aside {
	u8 *jump;
	const u8 *back;
	u32 site;
	u16 k;      /* instruction */
	bool saved; /* flags there */
};

/* An exit to the dispatcher, out of line. */
struct exit_part {
	u8 *jump;
	u32 site;
	bool saved; /* flags there */
};

/* --- group.c ------------------------------------------------------------------------------------------------ */

/* What a register holds: a root, which is some value unknown now, plus a constant. */
struct tracked {
	u16 root;
	u16 max; /* the whole register is no more than that, unsigned; 0: that is not known */
	s32 adjust;
};
enum { TRACK_PAGE = 16, TRACKED }; /* behind the registers: the linear address of the code page */

/* An instruction has at most two accesses: its memory operand, and the stack's top. */
enum access_slot { OPERAND, STACK, SLOTS };
struct member {
	u8 group; /* number + 1; 0: none */
	u8 index; /* host register that comes to it, << scale, or NOREG */
	u8 scale;
	s32 from; /* from the root */
};

#define NO_CELL 0xff
#define HELD_STACK 0xff /* r12 is GEN_STACK_ADDEND */
#define NO_ROOT 0xffff
struct group {
	u16 root, index_root; /* index_root: of an index register times 1 << scale, or NO_ROOT */
	u8 scale;
	bool page, write, use; /* page: off the code page, all in one page */
	bool table;            /* something in it is reached by an index of few values */
	s32 lo, hi;            /* from the root(s): the bytes that are accessed */
	u8 nr;                 /* accesses */
	u8 first, last, at;    /* instructions: of the first and last access, and of the look-up */
	u8 reg, index;         /* at the look-up: guest registers that are the roots but for constants, */
	s32 adjust;            /* which make this together */
	u8 cell;               /* GEN_HOST + cell, or NO_CELL: the address is in r12 only */
	bool stack;            /* off rsp: found by the stack's page (stack.c) */
	bool direct;           /* likewise, and every access is through r14 */
	bool ahead;            /* looked up in front of a block that is a loop, once for all turns */
};

struct front {
	struct emit e;
	struct soft_vcpu *sv;
	struct soft_block *b;
	struct tr_block *tr;
	const struct x86_insn *i; /* instruction at hand */
	unsigned k;               /* its number */
	unsigned offset;          /* of its first byte in the page */
	bool fixed;               /* the page has one linear address: */
	u64 lin;
	bool m32; /* 32-bit code, else 64-bit */
	u8 word;  /* bytes of addresses and stack slots: 4 or 8 */
	enum flags_at flags;
	u8 held;            /* the group whose host address is in r12, + 1; or HELD_STACK, or 0 */
	bool keeps;         /* the instruction at hand has left r12 to held */
	u8 cached;          /* the guest register in memory whose value is in r13 too, or NOREG */
	bool caches;        /* the instruction at hand has seen to cached */
	bool plain;         /* no groups of accesses */
	bool crosses;       /* the instruction at hand may be executed by its routine, out of line (cross_part) */
	const u8 *last_end; /* where the last instruction's code ends, but for the way on */
	bool failed;        /* no more sites, or can_copy was wrong: the chain is given up */
	u8 nr_groups;
	u16 next_root;
	u64 live; /* bit k: flags are live before instruction k; bit nr: at the end (always) */
	const u8 *
		repeat; /* where the next turn begins of a block that is a loop and has look-ups ahead of it, or NULL */
	unsigned nr_slow, nr_aside, nr_exits;
	u8 *indirect[2]; /* branches to the way out of an indirect branch, which ends the block, or NULL */
	u32 indirect_site;
	bool calls;              /* the branch being emitted is a host CALL, for land() behind it */
	bool landed;             /* the block's end is behind a call: as a callee left the flags, saved */
	bool ended;              /* control has left the block for good */
	bool last;               /* of the chain: another block must not be let follow */
	struct soft_block *next; /* control falls into this block, whose code follows, or NULL */
	/* Parts out of line; from here on memory is as it was, clearing it would take longer than small blocks do. */
	struct slow_part slow[3 * BLOCK_MAX_INSNS];
	struct aside aside[4 * BLOCK_MAX_INSNS];
	struct exit_part exit[8];
	struct group group[BLOCK_MAX_INSNS];
	struct member member[BLOCK_MAX_INSNS][SLOTS];
	struct tracked track[BLOCK_MAX_INSNS + 1][TRACKED]; /* in front of each instruction */
};

/* --- flags.c ------------------------------------------------------------------------------------------------ */

enum { FE_NONE = 0, FE_READ = 1, FE_KILL = 2, FE_PARTIAL = 4 };
/* What the instruction does to the arithmetic flags. Whatever is executed by a helper reads them. */
unsigned tr_flag_effect(const struct x86_insn *i);
/* Fill f->live. */
void tr_liveness(struct front *f);
/* Flags are live at the start of the block: the form that it asks for first. */
enum flags_at tr_first_form(const struct soft_block *b);
/* Are the flags live at the start of block b? */
bool tr_live_at_start(const struct soft_block *b);
/* Code is about to destroy the host's flags: save the guest's if they are there and live at instruction k. */
void tr_free_flags(struct front *f);
/* Bring the flags to native form (they are live), or to saved form. */
void tr_native_flags(struct front *f);
void tr_saved_flags(struct front *f);
/* The latter behind what the instruction at hand may have faulted in (DIV, a push): there they were where they were before. */
void tr_save_flags_after(struct front *f);
/* Raw sequences. */
void tr_emit_save(struct emit *e);
void tr_emit_restore(struct emit *e);

/* --- access.c ------------------------------------------------------------------------------------------------- */

/*
 * m->base and m->index become the host registers that have the values of those guest registers, each of which may be none: their own,
 * or r13 and r12, loaded now. Keeps flags.
 */
void tr_address_regs(struct front *f, struct emit_mem *m, unsigned base, unsigned index);
/* r13 has another value than that of f->cached now. */
static inline void tr_uses_r13(struct front *f)
{
	f->cached = NOREG;
}
/* lea dst, the effective address of the memory operand (no segment base); dst is r13 or a host register. Keeps flags. */
void tr_address(struct front *f, unsigned dst);
/*
 * Make the instruction's memory operand (or, tr_access_at, size bytes at the address in host register ea) accessible:
 * checks, look-up. On return the operand is where the result says; the guest's flags may be in saved form.
 */
struct emit_mem tr_access(struct front *f, unsigned size, bool write);
struct emit_mem tr_access_at(struct front *f, unsigned ea, unsigned size, bool write);
/*
 * Likewise for the bytes from the address in ea on, span of them, of a group (group.c); span 0: they are known to lie in one
 * page.
 */
struct emit_mem tr_access_span(struct front *f, unsigned ea, unsigned span, bool write);
/* Likewise at a linear address that is known now (tr_constant), in one page; group: as tr_access_span does it. */
struct emit_mem tr_access_constant(struct front *f, s32 lin, bool write, bool group);
/* Is the byte at that offset from the code page at an address that instructions can name? */
bool tr_constant(const struct front *f, s64 offset, s32 *lin);
struct slow_part *tr_new_slow_part(struct front *f, struct slow_part part, bool write);
void tr_leave_to_interpreter(struct front *f, u32 site);
/* and r12d, fff; cmp r12d, 1000 - size of what is in ea: condition A, if it crosses a page. */
void tr_compare_with_end(struct emit *e, unsigned ea, unsigned size);
void tr_emit_slow_parts(struct front *f);

u32 tr_new_site(struct front *f, enum tr_site_kind kind);

/* --- group.c ---------------------------------------------------------------------------------------------------- */

/* Find the groups of the block. Needs f->live. */
void tr_make_groups(struct front *f);
/* The look-ups that stand in front of the instruction at hand. */
void tr_look_up_groups(struct front *f);
/* Those ahead of a loop. False: there are none. */
bool tr_look_up_ahead(struct front *f);
/* The access, if it is a group's: at *m, which is r12 and a constant. Keeps flags and r13. */
bool tr_group_access(struct front *f, enum access_slot slot, struct emit_mem *m);
/* The block's only access, of a word at r14 + disp. False: it has groups, or must not have any. */
bool tr_lone_stack_access(struct front *f, s32 disp, bool write, struct emit_mem *m);

/* --- stack.c ---------------------------------------------------------------------------------------------------- */

/* Make span bytes from r14 + lo on accessible by tr_stack_operand(). Frees the flags first; uses r12. */
void tr_look_up_stack(struct front *f, s32 lo, unsigned span, bool write);
/* What is at r14 + disp, r14 as it is now. Keeps flags and r13. */
struct emit_mem tr_stack_operand(struct front *f, s32 disp);
void tr_emit_stack_part(struct front *f, struct slow_part *p);

/* --- branch.c --------------------------------------------------------------------------------------------------- */

/* Translate a near branch. False: leave it to the helper. */
bool tr_branch(struct front *f);
/* The block ends here by length: go on at the next instruction. */
void tr_fall_through(struct front *f);
/* Can the block at that offset from the page's start be linked to? */
bool tr_linkable(const struct front *f, s64 target);
/* The branch whose rel32 is at jump leaves at that site. */
void tr_exit_if(struct front *f, u8 *jump, u32 site, bool saved);
void tr_emit_exits(struct front *f);
/*
 * Jump or call, by the hash table's entry at r12 + disp, to the linear address in r13. The branches of what is not there, and unless
 * it is a direct one forward of a look at requests, lead out; their rel32 are in way, or NULL.
 */
void tr_emit_enter(struct emit *e, s32 disp, bool call, bool forward, const u8 *out, u8 *way[2]);
/* The out-of-line part of an indirect branch. */
void tr_emit_indirect_exit(struct front *f);
/* cmp dword gs:[requests], 0 */
void tr_emit_test_requests(struct emit *e);
/* The same, and a jump if it is not 0, whose rel32 is returned. Keeps flags, uses r12. */
u8 *tr_emit_leave_if_requests(struct emit *e);
/* reg = linear address of the byte at that offset (may lie outside the page) of the code page. Keeps flags. */
void tr_linear(struct front *f, unsigned reg, s64 offset);

/* Push the content of a cell. */
void tr_push_cell(struct front *f, enum gen_cell cell);

/* --- system.c ----------------------------------------------------------------------------------------------------- */

/* Translate a system instruction in line. False: leave it to the helper. */
bool tr_system(struct front *f);
/* If cond: let the routine execute the whole instruction instead. Flags are saved or dead, and nothing has changed yet. */
void tr_aside_if(struct front *f, unsigned cond);
/* The instruction at hand is complete: the routines come back here. */
void tr_end_asides(struct front *f);
void tr_emit_asides(struct front *f);

/* --- string.c ----------------------------------------------------------------------------------------------------- */

/* Translate a string instruction in line. False: leave it to the helper. */
bool tr_string(struct front *f);

/* --- vector.c ----------------------------------------------------------------------------------------------------- */

/* Translate a vector instruction that is not copied. False: leave it to the helper. */
bool tr_vector(struct front *f);

/* --- copy.c ----------------------------------------------------------------------------------------------------- */

/* Will the instruction at hand be copied, with operands redirected? */
bool tr_copyable(struct front *f);
/* Copy it. False: leave it to the helper. */
bool tr_copy(struct front *f);
/* Is the FPU usable as the instruction needs it? If not the helper raises what is due. */
bool tr_fpu_ok(const struct front *f);

/* --- front.c ------------------------------------------------------------------------------------------------------ */

/* Let the interpreter's routine execute the instruction, in line. */
void tr_helper(struct front *f);

#endif /* TRANSLATE_FRONT_H */
