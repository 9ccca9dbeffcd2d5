/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Accesses that share one look-up: runs of pushes and pops, fields off one register, variables of one page.
 *
 * Before a block is translated its registers are followed as sums of a root (some value that a register had) and a constant.
 * Accesses off one root that lie close together form a group. At one place, no later than the first of them and if possible
 * where the flags are dead, one check shows that all lie in one page, one look-up finds the page, and the host address of the
 * group's lowest byte goes into r12 and a cell: every access is [r12 + constant] then, without a word to the flags.
 *
 * That is a bet on the block as it mostly runs. Where the group does cross a page, or its page cannot be had (a fault, MMIO,
 * code), the interpreter executes the instruction at that place, and execution goes on behind it. A block that loses again and
 * again is also translated without groups (soft_block.plain), and goes on in that code from the place on: a frame that lies on two
 * pages stays there for as long as its process runs, the next process may have it elsewhere. A group that also writes is looked
 * up for writing from the start, so dirty bits (the guest's and the log's) may be set a few instructions, but never a block,
 * before the store.
 *
 * A block that jumps back to its own start is a loop. What its registers reach at the same address in every turn is looked up ahead of
 * it, and each turn begins with a look at requests: whatever takes a page away asks for that first, or is done by this vCPU outside.
 */
#include "front.h"

#define SPAN_MAX 256
#define SPAN_TABLE 1100 /* of a table, which the index of an access can reach: 256 elements of 4 bytes and some */
#define INDEX_MAX 1023
#define ADJUST_MAX (1 << 20)

/* --- what registers are ------------------------------------------------------------------------------------------ */

static void new_root(struct front *f, struct tracked *regs, unsigned reg)
{
	regs[reg] = (struct tracked){ .root = f->next_root++ };
}

static void forget_all(struct front *f, struct tracked *regs)
{
	unsigned r;

	for (r = 0; r <= TRACK_PAGE; r++)
		new_root(f, regs, r);
}

static void becomes(struct front *f, struct tracked *regs, unsigned reg, struct tracked value, s64 plus)
{
	s64 adjust = value.adjust + plus;

	if (adjust > ADJUST_MAX || adjust < -ADJUST_MAX)
		new_root(f, regs, reg);
	else
		regs[reg] = (struct tracked){ .root = value.root, .max = plus ? 0 : value.max, .adjust = (s32)adjust };
}

/* The largest value of the general register that the instruction writes as a whole, if that is small; or 0. */
static u64 largest(const struct x86_insn *i, const struct tracked *regs)
{
	const struct x86_operand *dst = &i->opnd[0], *src = &i->opnd[1];
	u64 all = dst->size == 8 ? ~0ull : 0xffffffff;

	if (i->nr_operands < 2 || dst->kind != OPND_GPR || dst->reg >= 16 || dst->size < 4)
		return 0;
	switch (i->op) {
	case X86_OP_MOVZX: return src->size == 1 ? 0xff : 0;
	case X86_OP_AND: return src->kind == OPND_IMM ? (u64)i->imm & all : 0;
	case X86_OP_SHR: return src->kind == OPND_IMM ? all >> (i->imm & (dst->size * 8 - 1)) : 0;
	case X86_OP_MOV: return src->kind == OPND_GPR && src->reg < 16 ? regs[src->reg].max : 0;
	default: return 0;
	}
}

/* Registers that are written without being operands; and, of instructions that are not known here, all that could be. */
static void forget_implicit(struct front *f, struct tracked *regs)
{
	const struct x86_insn *i = f->i;

	switch (i->op) {
	case X86_OP_MUL:
	case X86_OP_IMUL1:
	case X86_OP_DIV:
	case X86_OP_IDIV:
	case X86_OP_CWD:
	case X86_OP_CBW:
	case X86_OP_LAHF:
	case X86_OP_CMPXCHG:
	case X86_OP_CMPXCHG8B:
	case X86_OP_CMPXCHG16B: break;
	default:
		if (!(i->flags & INSN_NATIVE))
			return;
	}
	new_root(f, regs, X86_RAX);
	new_root(f, regs, X86_RCX);
	new_root(f, regs, X86_RDX);
}

static void forget_written(struct front *f, struct tracked *regs)
{
	const struct x86_insn *i = f->i;
	unsigned n;

	for (n = 0; n < i->nr_operands; n++) {
		const struct x86_operand *o = &i->opnd[n];

		if (o->kind == OPND_GPR && o->access & OPACC_W)
			new_root(f, regs, o->reg < 16 ? o->reg : o->reg - 16u);
	}
	forget_implicit(f, regs);
}

/* LEA of a constant distance. */
static bool track_lea(struct front *f, struct tracked *regs)
{
	const struct x86_insn *i = f->i;

	if (i->opsize != f->word || i->adsize != f->word || i->index != X86_REG_NONE)
		return false;
	if (i->base == X86_REG_RIP)
		becomes(f, regs, i->opnd[0].reg, regs[TRACK_PAGE], (s64)f->offset + i->len + i->disp);
	else if (i->base < 16)
		becomes(f, regs, i->opnd[0].reg, regs[i->base], i->disp);
	else
		return false;
	return true;
}

/* Moves and sums whose result is still so far from a root. False: not one of them. */
static bool track_sum(struct front *f, struct tracked *regs)
{
	const struct x86_insn *i = f->i;
	const struct x86_operand *dst = &i->opnd[0], *src = &i->opnd[1];

	if (i->op == X86_OP_LEA)
		return track_lea(f, regs);
	if (!i->nr_operands || dst->kind != OPND_GPR || i->opsize != f->word || dst->size != f->word)
		return false;
	switch (i->op) {
	case X86_OP_MOV:
		if (src->kind != OPND_GPR)
			return false;
		becomes(f, regs, dst->reg, regs[src->reg], 0);
		return true;
	case X86_OP_ADD:
	case X86_OP_SUB:
		if (src->kind != OPND_IMM)
			return false;
		becomes(f, regs, dst->reg, regs[dst->reg], i->op == X86_OP_ADD ? i->imm : -i->imm);
		return true;
	case X86_OP_INC:
	case X86_OP_DEC: becomes(f, regs, dst->reg, regs[dst->reg], i->op == X86_OP_INC ? 1 : -1); return true;
	default: return false;
	}
}

static bool stack_op(const struct x86_insn *i)
{
	return i->op == X86_OP_PUSH || i->op == X86_OP_POP || i->op == X86_OP_LEAVE || i->op == X86_OP_CALL_NEAR ||
	       i->op == X86_OP_RET_NEAR;
}

static void track_stack_op(struct front *f, struct tracked *regs)
{
	const struct x86_insn *i = f->i;

	switch (i->op) {
	case X86_OP_PUSH: becomes(f, regs, X86_RSP, regs[X86_RSP], -f->word); break;
	case X86_OP_POP:
		becomes(f, regs, X86_RSP, regs[X86_RSP], f->word);
		if (i->opnd[0].kind == OPND_GPR)
			new_root(f, regs, i->opnd[0].reg);
		break;
	case X86_OP_LEAVE:
		becomes(f, regs, X86_RSP, regs[X86_RBP], f->word);
		new_root(f, regs, X86_RBP);
		break;
	default: break; /* the block ends */
	}
}

/* Is the instruction translated in line, by a way that changes no mapping and no other register than its operands say? */
static bool understood(struct front *f)
{
	const struct x86_insn *i = f->i;

	if (stack_op(i))
		return i->opsize == f->word;
	switch (i->op) {
	case X86_OP_NOP:
	case X86_OP_PREFETCH:
	case X86_OP_JMP_NEAR:
	case X86_OP_JCC: return true;
	case X86_OP_LEA: return i->opsize >= 4;
	default: return tr_copyable(f);
	}
}

/* Regs, in front of an instruction that is understood, become what they are behind it. */
static void track(struct front *f, struct tracked *regs)
{
	u64 max = largest(f->i, regs);

	if (stack_op(f->i))
		track_stack_op(f, regs);
	else if (!track_sum(f, regs))
		forget_written(f, regs);
	if (max && max <= INDEX_MAX)
		regs[f->i->opnd[0].reg].max = (u16)max;
}

/* --- groups ---------------------------------------------------------------------------------------------------------- */

static bool same_base(const struct group *a, const struct group *b)
{
	return a->root == b->root && a->index_root == b->index_root && a->scale == b->scale;
}

/* The group that an access of size bytes, from on off such a base, can join, or a new one, or NULL. */
static struct group *group_for(struct front *f, const struct group *base, s32 from, unsigned size)
{
	bool page = base->page;
	struct group *g;
	unsigned n;

	for (n = f->nr_groups; n-- > 0;) {
		s32 lo, hi;

		g = &f->group[n];
		lo = from < g->lo ? from : g->lo;
		hi = from + (s32)size > g->hi ? from + (s32)size : g->hi;
		if (same_base(g, base) &&
		    (page ? lo >> 12 == (hi - 1) >> 12 : hi - lo <= (g->table || base->table ? SPAN_TABLE : SPAN_MAX)))
			return g;
	}
	if (f->nr_groups == ARRAY_SIZE(f->group) || (page && from >> 12 != (from + (s32)size - 1) >> 12))
		return NULL;
	g = &f->group[f->nr_groups++];
	*g = *base;
	g->lo = g->hi = from;
	g->first = (u8)f->k;
	g->cell = NO_CELL;
	return g;
}

/* NULL: the access stays alone. */
static struct member *join(struct front *f, enum access_slot slot, const struct group *base, s64 from, unsigned size,
			   bool write)
{
	struct group *g;

	if (from > ADJUST_MAX || from < -ADJUST_MAX)
		return NULL;
	g = group_for(f, base, (s32)from, size);
	if (!g)
		return NULL;
	g->lo = (s32)from < g->lo ? (s32)from : g->lo;
	g->hi = (s32)from + (s32)size > g->hi ? (s32)from + (s32)size : g->hi;
	g->write |= write;
	g->table |= base->table;
	g->nr++;
	g->last = (u8)f->k;
	f->member[f->k][slot] = (struct member){ .group = (u8)(g - f->group + 1), .index = NOREG, .from = (s32)from };
	return &f->member[f->k][slot];
}

/*
 * An access by an index of few values, as to a table of 256 elements: the whole table is looked up, by the other register. That
 * does not wait for the index, which often comes from memory itself.
 */
static bool join_table(struct front *f, const struct tracked *regs, const struct x86_operand *o)
{
	const struct x86_insn *i = f->i;
	u8 base = i->base, index = i->index, scale = i->scale;
	struct group g = { .index_root = NO_ROOT, .table = true };
	struct member *m;

	if (index >= 16)
		return false;
	if (!regs[index].max && !scale && regs[base].max) {
		base = i->index;
		index = i->base;
	}
	if (!regs[index].max || tr_host_reg(index) == NOREG || ((u32)regs[index].max << scale) + o->size > SPAN_TABLE)
		return false;
	g.root = regs[base].root;
	g.page = g.root == regs[TRACK_PAGE].root;
	m = join(f, OPERAND, &g, (s64)regs[base].adjust + i->disp, ((u32)regs[index].max << scale) + o->size,
		 o->access & OPACC_W);
	if (m) {
		m->index = tr_host_reg(index);
		m->scale = scale;
	}
	return m;
}

static void join_registers(struct front *f, const struct tracked *regs, const struct x86_operand *o)
{
	const struct x86_insn *i = f->i;
	struct group base = { .root = regs[i->base].root, .index_root = NO_ROOT };
	s64 from = regs[i->base].adjust + i->disp;

	base.page = i->index == X86_REG_NONE && base.root == regs[TRACK_PAGE].root;
	if (i->index < 16) {
		base.index_root = regs[i->index].root;
		base.scale = i->scale;
		from += (s64)regs[i->index].adjust << i->scale;
	}
	join(f, OPERAND, &base, from, o->size, o->access & OPACC_W);
}

static void join_operand(struct front *f, const struct tracked *regs)
{
	const struct x86_insn *i = f->i;
	const struct x86_operand *o = NULL;
	unsigned n;

	for (n = 0; n < i->nr_operands; n++)
		if (i->opnd[n].kind == OPND_MEM)
			o = &i->opnd[n];
	if (!o || !o->size || o->size > 64 || i->op == X86_OP_LEA || i->op == X86_OP_NOP || i->op == X86_OP_PREFETCH ||
	    (i->index >= 16 && i->index != X86_REG_NONE) || i->seg >= SEG_FS || i->adsize != f->word)
		return;
	if (f->m32 && i->seg == SEG_CS)
		return;
	if (i->base == X86_REG_RIP)
		join(f, OPERAND, &(struct group){ .root = regs[TRACK_PAGE].root, .page = true, .index_root = NO_ROOT },
		     (s64)f->offset + i->len + i->disp, o->size, o->access & OPACC_W);
	else if (i->base < 16 && !join_table(f, regs, o))
		join_registers(f, regs, o);
}

static void join_stack(struct front *f, const struct tracked *regs)
{
	unsigned reg = f->i->op == X86_OP_LEAVE ? X86_RBP : X86_RSP;
	struct group base = { .root = regs[reg].root, .index_root = NO_ROOT };
	s64 from = regs[reg].adjust;

	if (!stack_op(f->i))
		return;
	if (f->i->op == X86_OP_PUSH || f->i->op == X86_OP_CALL_NEAR)
		join(f, STACK, &base, from - f->word, f->word, true);
	else if (f->i->op != X86_OP_POP || f->i->opnd[0].kind == OPND_GPR)
		join(f, STACK, &base, from, f->word, false);
}

/* A register that is the root plus something in front of instruction k, best one that the host has in a register. */
static bool find_root(struct front *f, u16 root, unsigned k, u8 *reg)
{
	const struct tracked *regs = f->track[k];
	unsigned r;
	bool found = false;

	for (r = 0; r < 16; r++) {
		if (regs[r].root != root || (found && tr_host_reg(r) == NOREG))
			continue;
		*reg = (u8)r;
		found = true;
		if (tr_host_reg(r) != NOREG)
			break;
	}
	return found;
}

static bool find_registers(struct front *f, struct group *g, unsigned k)
{
	const struct tracked *regs = f->track[k];
	u8 reg = X86_REG_NONE, index = X86_REG_NONE;

	if (g->page)
		return regs[TRACK_PAGE].root == g->root;
	if (!find_root(f, g->root, k, &reg) || (g->index_root != NO_ROOT && !find_root(f, g->index_root, k, &index)))
		return false;
	g->reg = reg;
	g->index = index;
	g->adjust = regs[reg].adjust;
	if (index != X86_REG_NONE)
		g->adjust += (s32)((u32)regs[index].adjust << g->scale);
	return true;
}

/* Where to look up: at the first access, or before it where no flags have to be saved. */
static bool place(struct front *f, struct group *g)
{
	unsigned k = g->first;

	g->at = g->first;
	while (f->live >> k & 1 && k > 0 && find_registers(f, g, k - 1))
		k--;
	if (!(f->live >> k & 1))
		g->at = (u8)k;
	return find_registers(f, g, g->at);
}

/* Does the block end by a look-up of code, for which flags are saved whatever is done here? */
static bool saves_at_end(const struct front *f)
{
	const struct x86_insn *last = &f->b->insn[f->b->nr - 1];

	return last->op == X86_OP_RET_NEAR ||
	       ((last->op == X86_OP_CALL_NEAR || last->op == X86_OP_JMP_NEAR) && last->opnd[0].kind != OPND_REL);
}

/* Is one look-up with its check of the whole cheaper than one for each? */
static bool pays(const struct front *f, const struct group *g)
{
	if (g->at != g->first && !saves_at_end(f))
		return true;
	return g->nr >= 2 || g->table;
}

/* Does the instruction leave r12 alone, the accesses of groups apart? */
static bool keeps_r12(struct front *f, unsigned k)
{
	const struct x86_insn *i = &f->b->insn[k];
	unsigned n, displaced = 0;

	if (i->op == X86_OP_PUSH || i->op == X86_OP_POP)
		return i->opnd[0].kind != OPND_MEM;
	if (i->op == X86_OP_LEA)
		return i->index == X86_REG_NONE || tr_host_reg(i->index) != NOREG;
	for (n = 0; n < i->nr_operands; n++)
		displaced += i->opnd[n].kind == OPND_GPR && i->opnd[n].reg < 16 && tr_host_reg(i->opnd[n].reg) == NOREG;
	return displaced < 2 && (f->member[k][OPERAND].group || !(i->flags & (INSN_LOAD | INSN_STORE)));
}

/* Groups whose accesses follow each other need no cell; whether r12 is really kept is seen while the code is made. */
static bool needs_cell(struct front *f, const struct group *g)
{
	unsigned k, other;

	for (other = 0; other < f->nr_groups; other++)
		if (&f->group[other] != g && f->group[other].use && f->group[other].at >= g->at &&
		    f->group[other].at <= g->last)
			return true;
	for (k = g->at; k < g->last; k++) {
		unsigned n = (unsigned)(g - f->group + 1), operand = f->member[k][OPERAND].group,
			 stack = f->member[k][STACK].group;

		if (!keeps_r12(f, k) || (operand && operand != n) || (stack && stack != n))
			return true;
	}
	return false;
}

static bool assign_cell(struct front *f, struct group *g, u8 *busy_until)
{
	unsigned c;

	if (!needs_cell(f, g))
		return true;
	for (c = 0; c < GEN_HOSTS; c++) {
		if (busy_until[c] <= g->at) {
			busy_until[c] = g->last + 1;
			g->cell = (u8)c;
			return true;
		}
	}
	return false;
}

/* Are all accesses through rsp, whatever it has become since the look-up? */
static bool through_rsp(const struct front *f, const struct group *g)
{
	unsigned n = (unsigned)(g - f->group + 1), k, slot;

	for (k = g->first; k <= g->last; k++)
		for (slot = 0; slot < SLOTS; slot++)
			if (f->member[k][slot].group == n &&
			    (f->track[k][X86_RSP].root != g->root || f->member[k][slot].index != NOREG))
				return false;
	return true;
}

/* Can the group, which is placed, be found by the stack's page? Others of that kind must not be in use then. */
static bool on_stack(struct front *f, const struct group *g)
{
	const struct group *other;

	if (f->m32 || g->page || g->index_root != NO_ROOT || f->track[g->at][X86_RSP].root != g->root)
		return false;
	for (other = f->group; other < g; other++)
		if (other->stack && other->at <= g->last && g->at <= other->last)
			return false;
	return true;
}

/* Is the block a loop, whose turns do not need the flags of the one before? Lockstep looks at whole blocks. */
static bool is_loop(const struct front *f)
{
	const struct soft_block *b = f->b;
	const struct x86_insn *last = &b->insn[b->nr - 1];

	return (last->op == X86_OP_JCC || last->op == X86_OP_LOOP) && last->imm == -(s64)b->len && !(f->live & 1) &&
	       !b->page2 && !f->sv->tr.lockstep;
}

static bool same_after_turn(const struct front *f, u8 reg)
{
	const struct tracked *before = &f->track[0][reg], *after = &f->track[f->b->nr][reg];

	return before->root == after->root && before->adjust == after->adjust;
}

/* Does the group lie at one address in all turns? Then its registers are those in front of the block. */
static bool stays(struct front *f, struct group *g)
{
	if (!find_registers(f, g, 0))
		return false;
	if (g->page)
		return same_after_turn(f, TRACK_PAGE);
	return same_after_turn(f, g->reg) && (g->index == X86_REG_NONE || same_after_turn(f, g->index));
}

/* A cell that no other group has in this block. */
static bool assign_for_all_turns(struct group *g, u8 *busy_until)
{
	unsigned c;

	for (c = 0; c < GEN_HOSTS; c++)
		if (!busy_until[c]) {
			busy_until[c] = 0xff;
			g->cell = (u8)c;
			return true;
		}
	return false;
}

static void choose_ahead(struct front *f, u8 *busy_until)
{
	unsigned n;

	for (n = 0; n < f->nr_groups; n++) {
		struct group *g = &f->group[n];

		if (g->stack)
			continue;
		if (stays(f, g) && assign_for_all_turns(g, busy_until)) {
			g->use = g->ahead = true;
			g->at = 0;
		} else if (g->use) {
			place(f, g); /* back to its own registers */
		}
	}
}

static void choose_one(struct front *f, struct group *g)
{
	g->use = place(f, g);
	g->stack = g->use && on_stack(f, g);
	g->direct = g->stack && through_rsp(f, g);
	if (g->stack) {
		g->reg = X86_RSP;
		g->adjust = f->track[g->at][X86_RSP].adjust;
	}
	g->use = g->use && (g->direct || pays(f, g));
	g->stack = g->stack && g->use;
}

static void choose(struct front *f)
{
	u8 busy_until[GEN_HOSTS] = { 0 };
	unsigned n, k;

	for (n = 0; n < f->nr_groups; n++)
		choose_one(f, &f->group[n]);
	if (is_loop(f))
		choose_ahead(f, busy_until);
	for (k = 0; k < f->b->nr; k++)
		for (n = 0; n < f->nr_groups; n++)
			if (f->group[n].use && !f->group[n].direct && !f->group[n].ahead && f->group[n].at == k)
				f->group[n].use = assign_cell(f, &f->group[n], busy_until);
}

/* Most small functions have nothing to share, as is soon seen. */
static bool may_pay(const struct front *f)
{
	unsigned k, accesses = 0;

	for (k = 0; k < f->b->nr; k++)
		accesses += f->b->insn[k].flags & (INSN_LOAD | INSN_STORE) || stack_op(&f->b->insn[k]);
	return accesses > 1 || (accesses == 1 && !saves_at_end(f));
}

void tr_make_groups(struct front *f)
{
	unsigned offset = f->offset, k;

	memset(f->member, 0, f->b->nr * sizeof(f->member[0]));
	if (f->plain || !may_pay(f))
		return;
	forget_all(f, f->track[0]);
	for (k = 0; k < f->b->nr; k++) {
		f->k = k;
		f->i = &f->b->insn[k];
		if (understood(f)) {
			join_operand(f, f->track[k]);
			join_stack(f, f->track[k]);
			memcpy(f->track[k + 1], f->track[k], sizeof(f->track[k]));
			track(f, f->track[k + 1]);
		} else {
			forget_all(f, f->track[k + 1]);
		}
		f->offset += f->i->len;
	}
	f->offset = offset;
	f->k = 0;
	f->i = f->b->insn;
	choose(f);
}

/* --- code ----------------------------------------------------------------------------------------------------------------- */

/* The linear address of the group's lowest byte, in a register. */
static unsigned lowest(struct front *f, const struct group *g)
{
	struct emit_mem m = { .index = NOREG, .scale = g->scale, .disp = g->lo - g->adjust };

	if (g->page) {
		tr_linear(f, X86_R13, g->lo);
		return X86_R13;
	}
	tr_address_regs(f, &m, g->reg, g->index);
	if (g->index == X86_REG_NONE && !m.disp)
		return m.base;
	emit_rm(&f->e, !f->m32, 0x8d, X86_R13, m);
	return X86_R13;
}

static struct emit_mem look_up_group(struct front *f, const struct group *g)
{
	s32 lin;

	if (g->stack)
		return tr_stack_operand(f, g->lo - g->adjust);
	if (g->page && tr_constant(f, g->lo, &lin))
		return tr_access_constant(f, lin, g->write, true);
	return tr_access_span(f, lowest(f, g), g->page ? 0 : (unsigned)(g->hi - g->lo), g->write);
}

static void emit_group(struct front *f, struct group *g)
{
	if (g->stack)
		tr_look_up_stack(f, g->lo - g->adjust, (unsigned)(g->hi - g->lo), g->write);
	if (g->direct)
		return;
	tr_free_flags(f);
	emit_lea(&f->e, X86_R12, look_up_group(f, g));
	if (g->cell != NO_CELL)
		emit_store(&f->e, X86_R12, GS_MEM(GEN(GEN_HOST + g->cell)));
	f->held = (u8)(g - f->group + 1);
}

void tr_look_up_groups(struct front *f)
{
	unsigned n;

	for (n = 0; n < f->nr_groups; n++)
		if (f->group[n].use && !f->group[n].ahead && f->group[n].at == f->k)
			emit_group(f, &f->group[n]);
}

bool tr_look_up_ahead(struct front *f)
{
	bool any = false;
	unsigned n;

	for (n = 0; n < f->nr_groups; n++)
		if (f->group[n].ahead) {
			emit_group(f, &f->group[n]);
			any = true;
		}
	return any;
}

bool tr_lone_stack_access(struct front *f, s32 disp, bool write, struct emit_mem *m)
{
	if (f->m32 || f->plain || f->nr_groups)
		return false;
	tr_look_up_stack(f, disp, f->word, write);
	*m = tr_stack_operand(f, disp);
	return true;
}

bool tr_group_access(struct front *f, enum access_slot slot, struct emit_mem *m)
{
	const struct member *member = &f->member[f->k][slot];
	const struct group *g;

	if (!member->group)
		return false;
	g = &f->group[member->group - 1];
	if (!g->use)
		return false;
	if (g->direct) {
		*m = tr_stack_operand(f, member->from - f->track[f->k][X86_RSP].adjust);
		return true;
	}
	if (f->held != member->group) {
		if (g->cell == NO_CELL)
			return false;
		emit_load(&f->e, X86_R12, GS_MEM(GEN(GEN_HOST + g->cell)));
		f->held = member->group;
	}
	*m = (struct emit_mem){
		.base = X86_R12, .index = member->index, .scale = member->scale, .disp = member->from - g->lo
	};
	return true;
}
