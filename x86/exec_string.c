/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * String instructions. Repeated ones run in batches: as many elements as lie in one page of each operand go
 * to the host's own string instruction, on the host addresses that the TLB gives. An element that has
 * no such address (TLB miss, MMIO, page crossing, offset wrap-around) goes through the gate alone, and
 * the instruction then returns X86_REPEAT, so that what ops recorded for MMIO belongs to one element.
 *
 * Registers are committed after each batch: whatever stops the instruction, they show the progress.
 */
#include "flags.h"
#include "operand.h"

/* Bytes that one call moves at most before it lets events be taken. */
#define STRING_BUDGET 65536u

struct string {
	unsigned size; /* of an element */
	unsigned adsize;
	u64 mask; /* of an offset */
	bool rep;
	bool down; /* RFLAGS.DF */
	u64 limit; /* elements this call may do; one when stepping */
};

static void string_start(const struct x86_state *s, const struct x86_insn *i, struct string *t)
{
	t->size = i->opsize;
	t->adsize = i->adsize;
	t->mask = x86_addr_mask(i->adsize);
	t->rep = i->rep != REP_NONE;
	t->down = s->rflags & RFLAGS_DF;
	/* A single-step trap comes after each iteration. */
	t->limit = s->rflags & RFLAGS_TF || s->step_strings ? 1 : STRING_BUDGET / t->size;
}

/* Elements to do, 0: the instruction is complete. */
static u64 string_left(const struct x86_state *s, const struct string *t)
{
	return t->rep ? s->gpr[X86_RCX] & t->mask : 1;
}

static u64 string_offset(const struct x86_state *s, const struct string *t, unsigned reg)
{
	return s->gpr[reg] & t->mask;
}

/* n elements are done: advance an index register. */
static void string_advance(struct x86_state *s, const struct string *t, unsigned reg, u64 n)
{
	u64 bytes = n * t->size;

	x86_write_gpr(s, reg, t->adsize, s->gpr[reg] + (t->down ? -bytes : bytes));
}

/*
 * n elements are done: count them. X86_OK: the instruction is complete, also by a comparison (more is false
 * then); X86_REPEAT: not yet.
 */
static enum x86_result string_count(struct x86_state *s, struct string *t, u64 n, bool more)
{
	if (!t->rep)
		return X86_OK;
	x86_write_gpr(s, X86_RCX, t->adsize, s->gpr[X86_RCX] - n);
	t->limit -= n;
	return more && string_left(s, t) ? X86_REPEAT : X86_OK;
}

/*
 * Up to max elements from off on, in the direction of DF, that lie in one page of memory allowed for acc. Gives
 * their number and the host address of the first; 0: take one through the gate. Memory whose stores have to be noticed
 * is given only if notice is not NULL: *notice is then the GPA of the lowest byte, for ops->ram_written, else NO_NOTICE.
 */
#define NO_NOTICE ~0ull

static u64 string_direct(struct x86_state *s, const struct string *t, unsigned seg, u64 off, enum x86_access acc,
			 u64 max, u8 **ptr, u64 *notice)
{
	u64 after = t->mask - off, n = max, lin, low, in_page;
	unsigned size = t->size;
	u8 *p;

	if (!s->tlb || after < size - 1 || x86_linear(s, seg, off, size, acc, &lin) != X86_OK)
		return 0;
	in_page = lin & ~X86_PAGE_MASK;
	if (in_page + size > X86_PAGE_SIZE)
		return 0;
	if (t->down) {
		if (n > in_page / size + 1)
			n = in_page / size + 1;
		if (n > off / size + 1)
			n = off / size + 1;
		low = (n - 1) * size;
	} else {
		if (n > (X86_PAGE_SIZE - in_page) / size)
			n = (X86_PAGE_SIZE - in_page) / size;
		if (after < X86_PAGE_SIZE && n > (after + 1) / size)
			n = (after + 1) / size;
		low = 0;
	}
	/* All of it within the segment, or nothing at once. */
	if (s->mode != X86_MODE_LONG && x86_linear(s, seg, off - low, n * size, acc, &lin) != X86_OK)
		return 0;
	if (s->mode == X86_MODE_LONG)
		lin -= low;
	p = x86_tlb_probe(s, s->mmu_index, lin, n * size, acc);
	if (!p && s->ops->known)
		p = s->ops->known(s, lin, acc == ACC_WRITE);
	if (notice)
		*notice = NO_NOTICE;
	if (!p && notice)
		p = x86_noticed(s, s->mmu_index, lin, (unsigned)(n * size), notice);
	if (!p)
		return 0;
	*ptr = p + low;
	return n;
}

static u64 string_max(const struct string *t, u64 left)
{
	return left < t->limit ? left : t->limit;
}

/*
 * The host's string instructions, which know the direction. DF is clear in C, and signal and interrupt
 * handlers clear it for themselves.
 */
#define HOST_STRING(text, size, down, ...)                                                                             \
	do {                                                                                                           \
		switch ((size)*2 + (down)) {                                                                           \
		case 2: asm volatile(text("b", "", "") __VA_ARGS__); break;                                            \
		case 3: asm volatile(text("b", "std\n\t", "\n\tcld") __VA_ARGS__); break;                              \
		case 4: asm volatile(text("w", "", "") __VA_ARGS__); break;                                            \
		case 5: asm volatile(text("w", "std\n\t", "\n\tcld") __VA_ARGS__); break;                              \
		case 8: asm volatile(text("l", "", "") __VA_ARGS__); break;                                            \
		case 9: asm volatile(text("l", "std\n\t", "\n\tcld") __VA_ARGS__); break;                              \
		case 16: asm volatile(text("q", "", "") __VA_ARGS__); break;                                           \
		default: asm volatile(text("q", "std\n\t", "\n\tcld") __VA_ARGS__); break;                             \
		}                                                                                                      \
	} while (0)

#define HOST_MOVS(sfx, before, after) before "rep movs" sfx after
#define HOST_STOS(sfx, before, after) before "rep stos" sfx after
#define HOST_REPE_CMPS(sfx, before, after) before "repe cmps" sfx X86_FLAGS_SAVE after
#define HOST_REPNE_CMPS(sfx, before, after) before "repne cmps" sfx X86_FLAGS_SAVE after
#define HOST_REPE_SCAS(sfx, before, after) before "repe scas" sfx "\n\t" HOST_SCAS_FLAGS after
#define HOST_REPNE_SCAS(sfx, before, after) before "repne scas" sfx "\n\t" HOST_SCAS_FLAGS after
/* rax holds the value compared with. */
#define HOST_SCAS_FLAGS "lahf\n\tseto %%al"

static void host_movs(u8 *dst, const u8 *src, u64 n, unsigned size, bool down)
{
	HOST_STRING(HOST_MOVS, size, down, : "+D"(dst), "+S"(src), "+c"(n) : : "cc", "memory");
}

static void host_stos(u8 *dst, u64 val, u64 n, unsigned size, bool down)
{
	HOST_STRING(HOST_STOS, size, down, : "+D"(dst), "+c"(n) : "a"(val) : "cc", "memory");
}

/* Until n is 0 or ZF differs from while_equal; returns the elements left. n > 0. */
static u64 host_cmps(const u8 *a, const u8 *b, u64 n, unsigned size, bool down, bool while_equal, u32 *flags)
{
	if (while_equal)
		HOST_STRING(HOST_REPE_CMPS, size, down, : "+S"(a), "+D"(b), "+c"(n), "=a"(*flags) : : "cc", "memory");
	else
		HOST_STRING(HOST_REPNE_CMPS, size, down, : "+S"(a), "+D"(b), "+c"(n), "=a"(*flags) : : "cc", "memory");
	return n;
}

static u64 host_scas(const u8 *b, u64 val, u64 n, unsigned size, bool down, bool while_equal, u32 *flags)
{
	if (while_equal)
		HOST_STRING(HOST_REPE_SCAS, size, down, : "+D"(b), "+c"(n), "+a"(val) : : "cc", "memory");
	else
		HOST_STRING(HOST_REPNE_SCAS, size, down, : "+D"(b), "+c"(n), "+a"(val) : : "cc", "memory");
	*flags = (u32)val;
	return n;
}

/* --- movs, stos, lods, cmps, scas ------------------------------------------------------------------ */

/* Operands in memory: what an instruction does at RSI and RDI. */
enum { FROM = 1, TO_READ = 2, TO_WRITE = 4 };

/*
 * Do up to n elements at the host addresses given; returns how many. *more becomes false when a comparison ends the
 * instruction.
 */
typedef u64 string_batch(struct x86_state *s, const struct x86_insn *i, const struct string *t, u8 *from, u8 *to, u64 n,
			 bool *more);

/* All of it, but for the batch; both are constants. */
static inline __attribute__((always_inline)) enum x86_result string_run(struct x86_state *s, const struct x86_insn *i,
									unsigned what, string_batch *batch)
{
	unsigned seg = x86_data_seg(i);
	enum x86_result r = X86_REPEAT;
	u64 n, done, src = 0, dst = 0, a, b = 0, notice = NO_NOTICE;
	u8 *from = NULL, *to = NULL;
	bool more = true, direct;
	struct string t;

	string_start(s, i, &t);
	if (!string_left(s, &t))
		return X86_OK;
	while (r == X86_REPEAT && t.limit) {
		n = string_max(&t, string_left(s, &t));
		if (what & FROM) {
			src = string_offset(s, &t, X86_RSI);
			n = string_direct(s, &t, seg, src, ACC_READ, n, &from, NULL);
		}
		if (what & (TO_READ | TO_WRITE)) {
			dst = string_offset(s, &t, X86_RDI);
			if (n)
				n = string_direct(s, &t, SEG_ES, dst, what & TO_WRITE ? ACC_WRITE : ACC_READ, n, &to,
						  what & TO_WRITE ? &notice : NULL);
		}
		direct = n;
		if (unlikely(!direct)) {
			r = what & FROM ? x86_load(s, seg, src, t.size, &a) : X86_OK;
			if (r == X86_OK && what & TO_READ)
				r = x86_load(s, SEG_ES, dst, t.size, &b);
			if (r != X86_OK)
				return r;
			from = (u8 *)&a;
			to = (u8 *)&b;
			n = 1;
		}
		done = batch(s, i, &t, from, to, n, &more);
		if (unlikely(direct && notice != NO_NOTICE))
			s->ops->ram_written(s, notice, (unsigned)(done * t.size));
		if (unlikely(!direct) && what & TO_WRITE) {
			r = x86_store(s, SEG_ES, dst, t.size, b);
			if (r != X86_OK)
				return r;
		}
		if (what & FROM)
			string_advance(s, &t, X86_RSI, done);
		if (what & (TO_READ | TO_WRITE))
			string_advance(s, &t, X86_RDI, done);
		r = string_count(s, &t, done, more);
		if (unlikely(!direct))
			break;
	}
	return r;
}

static u64 movs(struct x86_state *s, const struct x86_insn *i, const struct string *t, u8 *from, u8 *to, u64 n,
		bool *more)
{
	host_movs(to, from, n, t->size, t->down);
	return n;
}

static u64 stos(struct x86_state *s, const struct x86_insn *i, const struct string *t, u8 *from, u8 *to, u64 n,
		bool *more)
{
	host_stos(to, s->gpr[X86_RAX], n, t->size, t->down);
	return n;
}

/* Repeated, only the last element of a batch stays. */
static u64 lods(struct x86_state *s, const struct x86_insn *i, const struct string *t, u8 *from, u8 *to, u64 n,
		bool *more)
{
	u64 last = (n - 1) * t->size;

	x86_write_gpr(s, X86_RAX, t->size, x86_peek(t->down ? from - last : from + last, t->size));
	return n;
}

/* After a comparison: its flags, and whether REPE or REPNE goes on. */
static bool compared(struct x86_state *s, const struct x86_insn *i, u32 flags)
{
	s->rflags = x86_flags_merge(s->rflags, flags);
	return !(s->rflags & RFLAGS_ZF) == (i->rep == REP_REPNE);
}

static u64 cmps(struct x86_state *s, const struct x86_insn *i, const struct string *t, u8 *from, u8 *to, u64 n,
		bool *more)
{
	u32 flags;
	u64 left = host_cmps(from, to, n, t->size, t->down, i->rep != REP_REPNE, &flags);

	*more = compared(s, i, flags);
	return n - left;
}

static u64 scas(struct x86_state *s, const struct x86_insn *i, const struct string *t, u8 *from, u8 *to, u64 n,
		bool *more)
{
	u32 flags;
	u64 left = host_scas(to, s->gpr[X86_RAX], n, t->size, t->down, i->rep != REP_REPNE, &flags);

	*more = compared(s, i, flags);
	return n - left;
}

enum x86_result x86_exec_movs(struct x86_state *s, const struct x86_insn *i)
{
	return string_run(s, i, FROM | TO_WRITE, movs);
}

enum x86_result x86_exec_stos(struct x86_state *s, const struct x86_insn *i)
{
	return string_run(s, i, TO_WRITE, stos);
}

enum x86_result x86_exec_lods(struct x86_state *s, const struct x86_insn *i)
{
	return string_run(s, i, FROM, lods);
}

enum x86_result x86_exec_cmps(struct x86_state *s, const struct x86_insn *i)
{
	return string_run(s, i, FROM | TO_READ, cmps);
}

enum x86_result x86_exec_scas(struct x86_state *s, const struct x86_insn *i)
{
	return string_run(s, i, TO_READ, scas);
}

/* --- ins, outs ------------------------------------------------------------------------------------- */

/*
 * done elements have passed the port. If the port wants to leave (X86_EXIT) before the last one, the
 * instruction retires as a branch to itself.
 */
static enum x86_result io_count(struct x86_state *s, const struct x86_insn *i, struct string *t, unsigned reg,
				enum x86_result r, unsigned done)
{
	enum x86_result more;

	if (!done)
		return r == X86_OK ? X86_REPEAT : r;
	string_advance(s, t, reg, done);
	more = string_count(s, t, done, true);
	if (r == X86_OK || more == X86_OK)
		return r == X86_OK ? more : r;
	s->rip -= i->len;
	if (s->mode != X86_MODE_LONG)
		s->rip &= s->mode == X86_MODE_PROT32 ? 0xffffffffull : 0xffffull;
	return r;
}

/* The port's data goes straight to guest memory where that is plain, upwards in one batch. */
enum x86_result x86_exec_ins(struct x86_state *s, const struct x86_insn *i)
{
	u16 port = s->gpr[X86_RDX];
	unsigned done = 0;
	struct string t;
	u64 left, n, dst, lin, val = 0;
	u8 *to;
	enum x86_result r = x86_check_io(s, port, i->opsize);

	if (r != X86_OK)
		return r;
	string_start(s, i, &t);
	left = string_left(s, &t);
	if (!left)
		return X86_OK;
	dst = string_offset(s, &t, X86_RDI);
	left = t.down ? 1 : string_max(&t, left);
	n = string_direct(s, &t, SEG_ES, dst, ACC_WRITE, left, &to, NULL);
	if (!n) {
		/* Nothing is taken from the port before its destination is known to be writable; then it may be in the TLB. */
		r = x86_linear(s, SEG_ES, dst, t.size, ACC_WRITE, &lin);
		if (r == X86_OK)
			r = x86_probe_linear(s, s->mmu_index, SEG_ES, lin, t.size, ACC_WRITE);
		if (r != X86_OK)
			return r;
		n = string_direct(s, &t, SEG_ES, dst, ACC_WRITE, left, &to, NULL);
	}
	if (n) {
		r = s->ops->in(s, port, t.size, to, n, &done);
		return io_count(s, i, &t, X86_RDI, r, done);
	}
	r = s->ops->in(s, port, t.size, &val, 1, &done);
	if (done) {
		enum x86_result w = x86_write_linear(s, s->mmu_index, SEG_ES, lin, &val, t.size);

		if (w != X86_OK)
			return w;
	}
	return io_count(s, i, &t, X86_RDI, r, done);
}

enum x86_result x86_exec_outs(struct x86_state *s, const struct x86_insn *i)
{
	unsigned seg = x86_data_seg(i), done = 0;
	u16 port = s->gpr[X86_RDX];
	struct string t;
	u64 left, n, src, val;
	u8 *from;
	enum x86_result r = x86_check_io(s, port, i->opsize);

	if (r != X86_OK)
		return r;
	string_start(s, i, &t);
	left = string_left(s, &t);
	if (!left)
		return X86_OK;
	src = string_offset(s, &t, X86_RSI);
	n = string_direct(s, &t, seg, src, ACC_READ, t.down ? 1 : string_max(&t, left), &from, NULL);
	if (!n) {
		r = x86_load(s, seg, src, t.size, &val);
		if (r != X86_OK)
			return r;
		from = (u8 *)&val;
		n = 1;
	}
	r = s->ops->out(s, port, t.size, from, n, &done);
	return io_count(s, i, &t, X86_RSI, r, done);
}
