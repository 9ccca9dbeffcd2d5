/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The ways into and out of generated code, generated themselves (so that the offsets in the state need no second
 * description). They stand at the start of the code memory and stay there when everything else is dropped.
 *
 * Stacks. enter() saves six registers on the thread's stack, leaves that 16-byte aligned, and changes to the stack of generated code
 * (PAIRS_SIZE), which it finds empty; thunks, which are called there, change to the thread's for C.
 */
#include "front.h"

/* Guest registers that are in host registers all the time; rax is handled apart, as the flags need it. */
static const u8 kept[] = { X86_RCX, X86_RDX, X86_RBX, X86_RSP, X86_RBP, X86_RSI,
			   X86_RDI, X86_R12, X86_R13, X86_R14, X86_R15 };
static const u8 callee_saved[] = { X86_RBX, X86_RBP, X86_R12, X86_R13, X86_R14, X86_R15 };

static void store_registers(struct emit *e)
{
	unsigned n;

	for (n = 0; n < ARRAY_SIZE(kept); n++)
		emit_store(e, tr_host_reg(kept[n]), GS_MEM(GPR(kept[n])));
}

static void load_registers(struct emit *e)
{
	unsigned n;

	for (n = 0; n < ARRAY_SIZE(kept); n++)
		emit_load(e, tr_host_reg(kept[n]), GS_MEM(GPR(kept[n])));
}

/* Registers as the state has them, and into the block in the cell GEN_TARGET. */
static void load_and_jump(struct emit *e)
{
	emit_load(e, X86_R15, GS_MEM(GEN(GEN_TABLE)));
	load_registers(e);
	emit_load(e, X86_RAX, GS_MEM(GPR(X86_RAX)));
	emit_rm(e, false, 0xff, 4, GS_MEM(GEN(GEN_TARGET)));
}

static void push_reg(struct emit *e, u8 r)
{
	if (r & 8)
		emit8(e, 0x41);
	emit8(e, (u8)(0x50 | (r & 7)));
}

static void pop_reg(struct emit *e, u8 r)
{
	if (r & 8)
		emit8(e, 0x41);
	emit8(e, (u8)(0x58 | (r & 7)));
}

static void add_rsp(struct emit *e, s8 n)
{
	emit8(e, 0x48), emit8(e, 0x83), emit8(e, 0xc4), emit8(e, (u8)n);
}

/* Return from enter() with the value in eax, from any depth. */
static const u8 *make_return(struct emit *e)
{
	const u8 *start = emit_here(e);
	unsigned n;

	emit_load(e, X86_RSP, GS_MEM(GEN(GEN_HOST_RSP)));
	add_rsp(e, 8);
	for (n = ARRAY_SIZE(callee_saved); n-- > 0;)
		pop_reg(e, callee_saved[n]);
	emit8(e, 0xc3);
	return start;
}

/* u32 enter(void): jumps to the cell GEN_TARGET. */
static void make_enter(struct emit *e)
{
	unsigned n;

	for (n = 0; n < ARRAY_SIZE(callee_saved); n++)
		push_reg(e, callee_saved[n]);
	add_rsp(e, -8);
	emit_store(e, X86_RSP, GS_MEM(GEN(GEN_HOST_RSP)));
	emit_load(e, X86_RSP, GS_MEM(GEN(GEN_PAIRS)));
	load_and_jump(e);
}

static void save_flags_and_rax(struct emit *e)
{
	emit_store(e, X86_RAX, GS_MEM(GPR(X86_RAX)));
	emit8(e, 0x9f);
	emit8(e, 0x0f), emit8(e, 0x90), emit8(e, 0xc0);
	emit_rm(e, false, 0x89, X86_RAX, GS_MEM(GEN(GEN_FLAGS)));
}

/* Leave: r12 = exit number, r13 kept in its cell. */
static void make_exits(struct emit *e, struct tr_state *tr, const u8 *ret)
{
	u8 *skip, *to_saved;

	tr->exit_native = emit_here(e);
	save_flags_and_rax(e);
	skip = emit_jmp(e, emit_here(e));
	tr->exit_string = emit_here(e);
	emit_rr(e, true, 0x29, X86_R13, X86_RSI);
	emit_rr(e, true, 0x29, X86_R12, X86_RDI);
	emit_mov_imm(e, X86_R12, TR_EXIT_UNWOUND);
	to_saved = emit_jmp(e, emit_here(e));
	tr->exit_lookup = emit_here(e);
	emit_mov_imm(e, X86_R12, TR_EXIT_LOOKUP);
	tr->exit_saved = emit_here(e);
	emit_patch(e, to_saved, emit_here(e));
	emit_store(e, X86_RAX, GS_MEM(GPR(X86_RAX)));
	emit_patch(e, skip, emit_here(e));
	store_registers(e);
	emit_store(e, X86_R13, GS_MEM(GEN(GEN_R13)));
	emit_rr(e, false, 0x89, X86_R12, X86_RAX);
	emit_jmp(e, ret);
}

/* u64 fn(struct soft_vcpu *, u32 r12d, u64 r13): what it returns says how to go on (TR_LEAVE ...). */
static void call_helper(struct emit *e, const void *fn, const u8 *ret)
{
	u8 *go_on, *leave;

	emit_load(e, X86_RDI, GS_MEM(GEN(GEN_SOFT_VCPU)));
	emit_rr(e, false, 0x89, X86_R12, X86_RSI);
	emit_mov_rr(e, X86_RDX, X86_R13);
	emit_store(e, X86_R13, GS_MEM(GEN(GEN_R13)));
	emit_store(e, X86_RSP, GS_MEM(GEN(GEN_RSP)));
	emit_load(e, X86_RSP, GS_MEM(GEN(GEN_HOST_RSP)));
	emit_mov_imm(e, X86_RAX, (u64)(unsigned long)fn);
	emit8(e, 0xff), emit8(e, 0xd0);
	emit_load(e, X86_RSP, GS_MEM(GEN(GEN_RSP)));
	emit8(e, 0x48), emit8(e, 0x83), emit8(e, 0xf8), emit8(e, TR_GO_ON); /* cmp rax, TR_GO_ON */
	go_on = emit_jcc(e, 4, emit_here(e));
	leave = emit_jcc(e, 2, emit_here(e));
	emit_load(e, X86_RSP, GS_MEM(GEN(GEN_PAIRS)));
	load_and_jump(e);
	emit_patch(e, leave, emit_here(e));
	emit_mov_imm(e, X86_RAX, TR_EXIT_UNWOUND);
	emit_jmp(e, ret);
	emit_patch(e, go_on, emit_here(e));
}

/* A helper that sees and may change the whole state. Entries for native (returned) and for saved flags. */
static const u8 *make_exec_thunk(struct emit *e, const void *fn, const u8 *ret, const u8 **saved)
{
	const u8 *native = emit_here(e);
	u8 *skip;

	save_flags_and_rax(e);
	skip = emit_jmp(e, emit_here(e));
	*saved = emit_here(e);
	emit_store(e, X86_RAX, GS_MEM(GPR(X86_RAX)));
	emit_patch(e, skip, emit_here(e));
	store_registers(e);
	call_helper(e, fn, ret);
	load_registers(e);
	emit_rm(e, false, 0x8b, X86_RAX, GS_MEM(GEN(GEN_FLAGS)));
	emit8(e, 0x04), emit8(e, 0x7f);
	emit8(e, 0x9e);
	emit_load(e, X86_RAX, GS_MEM(GPR(X86_RAX)));
	emit8(e, 0xc3);
	return native;
}

/* A helper that works for the code that calls it: flags are saved or dead; r13 comes back from its cell. */
static const u8 *make_thunk(struct emit *e, const void *fn, const u8 *ret)
{
	const u8 *start = emit_here(e);

	emit_store(e, X86_RAX, GS_MEM(GPR(X86_RAX)));
	store_registers(e);
	call_helper(e, fn, ret);
	load_registers(e);
	emit_load(e, X86_RAX, GS_MEM(GPR(X86_RAX)));
	emit_load(e, X86_R13, GS_MEM(GEN(GEN_R13)));
	emit8(e, 0xc3);
	return start;
}

/* r12 = the entry of the address in r13 in the table for reads or writes, and the rel32 of the branch taken if there is one. */
static u8 *look_up_entry(struct emit *e, bool write)
{
	emit_look_up(e, X86_R13, write);
	return emit_jcc(e, COND_NE, emit_here(e));
}

/* Of the entry in r12, which is 1 less (flat.c). */
static void store_addend(struct emit *e)
{
	emit_lea(e, X86_R12, (struct emit_mem){ .base = X86_R12, .index = NOREG, .disp = 1 });
	emit_store(e, X86_R12, GS_MEM(GEN(GEN_STACK_ADDEND)));
}

/*
 * The page of the address in r13, which r14 points to or near, becomes the stack's page (stack.c); r12 is the site's number. A page
 * that is only read, and that may not be written, is none, but its addend is there for the block that called.
 */
static const u8 *make_stack_thunk(struct emit *e, const struct tr_state *tr, bool write)
{
	const u8 *start = emit_here(e), *again;
	u8 *found, *found_read = NULL;

	emit_store(e, X86_R12, GS_MEM(GEN(GEN_SITE)));
	again = emit_here(e);
	found = look_up_entry(e, true);
	if (!write)
		found_read = look_up_entry(e, false);
	emit_load(e, X86_R12, GS_MEM(GEN(GEN_SITE)));
	emit_call(e, tr->thunk_miss);
	emit_jmp(e, again);
	if (found_read) {
		emit_patch(e, found_read, emit_here(e));
		store_addend(e);
		emit_mov_imm(e, X86_R12, NO_STACK_PAGE);
		emit_store(e, X86_R12, GS_MEM(GEN(GEN_STACK_PAGE)));
		emit8(e, 0xc3);
	}
	emit_patch(e, found, emit_here(e));
	store_addend(e);
	emit_mov_rr(e, X86_R12, X86_R13);
	emit_alu_imm64(e, ALU_AND, X86_R12, (s32)X86_PAGE_MASK);
	emit_store(e, X86_R12, GS_MEM(GEN(GEN_STACK_PAGE)));
	emit8(e, 0xc3);
	return start;
}

/*
 * A RET that comes back to another place than the CALL that it was paired with; and one on an empty stack, whose only word leads
 * here. The target is in r13, the flags are saved.
 */
static void make_return_lookup(struct emit *e, struct soft_vcpu *sv)
{
	u64 *empty = (u64 *)(void *)(sv->tr.pairs + PAIRS_SIZE - 64);
	u8 *way[2];

	*empty = (u64)(unsigned long)emit_here(e);
	sv->vcpu->state.gen[GEN_PAIRS] = (u64)(unsigned long)empty;
	add_rsp(e, -8);
	sv->tr.return_lookup = emit_here(e);
	emit_hash_entry(e);
	tr_emit_enter(e, 0, false, false, emit_here(e), way);
	emit_patch(e, way[0], emit_here(e));
	emit_patch(e, way[1], emit_here(e));
	emit_load(e, X86_R12, GS_MEM(GEN(GEN_SITE)));
	emit_jmp(e, sv->tr.exit_saved);
}

void tr_make_stubs(struct soft_vcpu *sv)
{
	struct tr_state *tr = &sv->tr;
	struct emit e = { .p = tr->code.rw + 8 * TR_PAGE_CELLS, .to_rx = tr->code.rx - tr->code.rw };
	const u8 *ret = make_return(&e);

	tr->enter = (u32(*)(void))(unsigned long)emit_here(&e);
	make_enter(&e);
	make_exits(&e, tr, ret);
	tr->thunk_exec = make_exec_thunk(&e, (const void *)tr_helper_exec, ret, &tr->thunk_exec_saved);
	tr->thunk_lockstep = make_exec_thunk(&e, (const void *)tr_helper_block, ret, &tr->thunk_lockstep_saved);
	tr->thunk_miss = make_thunk(&e, (const void *)tr_helper_miss, ret);
	tr->thunk_gather = make_thunk(&e, (const void *)tr_helper_gather, ret);
	tr->thunk_stack_read = make_stack_thunk(&e, tr, false);
	tr->thunk_stack_write = make_stack_thunk(&e, tr, true);
	make_return_lookup(&e, sv);
	tr->stubs_end = (size_t)(e.p - tr->code.rw + 63) & ~(size_t)63;
}
