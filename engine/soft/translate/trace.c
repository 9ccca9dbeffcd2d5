/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Counters, generated code as text, names for profiles. See trace.h. */
#include "trace.h"

/* --- generated code ------------------------------------------------------------------------------------------- */

#define LINE_BYTES 256

static const char digits[] = "0123456789abcdef";

static const char *hex(char text[2 * LINE_BYTES + 1], const u8 *p, size_t len)
{
	size_t n;

	for (n = 0; n < len; n++) {
		text[2 * n] = digits[p[n] >> 4];
		text[2 * n + 1] = digits[p[n] & 15];
	}
	text[2 * n] = 0;
	return text;
}

static unsigned long long address(const void *p)
{
	return (u64)(unsigned long)p;
}

/* Lines of one kind that adjoin are one piece of code. */
static void show_code(char kind, const u8 *from, const u8 *to)
{
	char text[2 * LINE_BYTES + 1];

	while (from < to) {
		size_t len = to - from < LINE_BYTES ? (size_t)(to - from) : LINE_BYTES;

		host_trace(TRACE_TRANSLATIONS, "%c %llx %s\n", kind, address(from), hex(text, from, len));
		from += len;
	}
}

/* Entries may stand among the parts out of line. */
static const u8 *first_entry(const struct tr_block *t)
{
	const u8 *p = t->body;

	if (t->native < p)
		p = t->native;
	if (t->saved < p)
		p = t->saved;
	return t->kick < p ? t->kick : p;
}

static void show_block(const struct tr_block *t, u64 rip)
{
	const struct soft_block *b = t->block;
	char text[2 * LINE_BYTES + 1];
	unsigned k;

	host_trace(TRACE_TRANSLATIONS, "B %llx %llx %x %x\n", rip, b->gpa, b->mode, t->nr);
	show_code('E', first_entry(t), t->body);
	for (k = 0; k < t->nr; k++) {
		const struct x86_insn *i = &b->insn[k];

		host_trace(TRACE_TRANSLATIONS, "I %llx %s %s\n", rip, hex(text, i->bytes, i->len), x86_op_name(i->op));
		show_code('H', t->body + t->offset[k], t->body + t->offset[k + 1]);
		rip += i->len;
	}
	show_code('S', t->cold, t->cold_end);
}

static void perf_name(const u8 *from, const u8 *to, u64 rip)
{
	host_trace(TRACE_PERF_MAP, "%llx %llx guest:%llx\n", address(from), (u64)(to - from), rip);
}

void tr_trace_block(struct soft_vcpu *sv, const struct tr_block *t)
{
	u64 rip = (sv->vcpu->state.rip & X86_PAGE_MASK) | (t->block->gpa & ~X86_PAGE_MASK);

	if (sv->tr.traces & BIT(TRACE_TRANSLATIONS))
		show_block(t, rip);
	if (sv->tr.traces & BIT(TRACE_PERF_MAP)) {
		perf_name(first_entry(t), t->end, rip);
		perf_name(t->cold, t->cold_end, rip);
	}
}

void tr_trace_stubs(struct soft_vcpu *sv)
{
	const struct tr_state *tr = &sv->tr;

	if (tr->traces & BIT(TRACE_PERF_MAP))
		host_trace(TRACE_PERF_MAP, "%llx %llx anykvm-stubs\n", address(tr->code.rx + 8 * TR_PAGE_CELLS),
			   (u64)tr->stubs_end - 8 * TR_PAGE_CELLS);
}

void tr_trace_reset(struct soft_vcpu *sv)
{
	if (sv->tr.traces & BIT(TRACE_TRANSLATIONS))
		host_trace(TRACE_TRANSLATIONS, "F\n");
}

/* --- counters --------------------------------------------------------------------------------------------------- */

void tr_count_miss(struct soft_vcpu *sv, u64 lin, bool write)
{
	struct x86_state *s = &sv->vcpu->state;
	enum tr_miss_cause cause = MISS_OTHER;
	struct x86_translation t;
	struct x86_ram ram;

	if (!x86_canonical(s, lin) ||
	    x86_translate(s, s->mmu_index, lin, write ? ACC_WRITE : ACC_READ, 0, &t) != X86_OK)
		cause = MISS_FAULT;
	else if (!soft_ram(s, t.gpa, false, &ram))
		cause = MISS_MMIO;
	else if (write && ram.flags & RAM_NOTIFY)
		cause = MISS_CODE_PAGE;
	else if (write && ram.flags & RAM_READONLY)
		cause = MISS_READ_ONLY;
	sv->tr.counters->miss[cause]++;
}

static void show(const struct soft_vcpu *sv, const char *name, u64 val)
{
	if (val)
		host_trace(TRACE_COUNTERS, "vcpu%u %-36s %llu\n", sv->vcpu->id, name, val);
}

static void show_op(const struct soft_vcpu *sv, const char *what, unsigned op, u64 val)
{
	if (val)
		host_trace(TRACE_COUNTERS, "vcpu%u %-12s %-23s %llu\n", sv->vcpu->id, what, x86_op_name(op), val);
}

static void show_counters(void *arg)
{
	static const char *const miss[] = { "miss: page fault", "miss: MMIO", "miss: store to a code page",
					    "miss: store to ROM", "miss: other" };
	static const char *const drop[] = {
		"dropped: page, guest store", "dropped: page, changed memory", "dropped: all, memory full or FPU",
		"FPU state changed",          "dropped: all, from outside",    "dropped: page, seen at a second address"
	};
	static const char *const fallback[] = { "interpreted: cold block", "interpreted: block in other mode",
						"interpreted: single step", "interpreted: access" };
	static const char *const flush[] = { "TLB flush: all", "TLB flush: not global", "TLB flush: page" };
	const struct soft_vcpu *sv = arg;
	const struct tr_state *tr = &sv->tr;
	const struct tr_counters *c = tr->counters;
	unsigned n;

	show(sv, "blocks decoded", sv->stat.blocks_made);
	show(sv, "blocks stale", sv->stat.blocks_stale);
	show(sv, "blocks translated", tr->stat.blocks);
	show(sv, "blocks translated over stale ones", tr->stat.reused);
	show(sv, "code bytes now", tr->stat.bytes);
	show(sv, "links patched", tr->stat.links);
	show(sv, "hash: misses of generated code", tr->stat.lookups);
	show(sv, "hash: hits behind helpers", tr->stat.resumed);
	show(sv, "hash: emptied", c->hash_emptied);
	show(sv, "hash: pages put in", c->hash_pages);
	show(sv, "hash: entries put in with them", c->hash_filled);
	show(sv, "pages compared with memory", sv->stat.pages_checked);
	show(sv, "epochs", sv->epoch);
	show(sv, "code cache dropped", tr->stat.flushes);
	show(sv, "page look-ups missed", tr->stat.misses);
	for (n = 0; n < MISS_CAUSES; n++)
		show(sv, miss[n], c->miss[n]);
	for (n = 0; n < DROP_CAUSES; n++)
		show(sv, drop[n], c->drop[n]);
	for (n = 0; n < ARRAY_SIZE(flush); n++)
		show(sv, flush[n], c->flush[n]);
	for (n = 0; n < FALLBACKS; n++)
		show(sv, fallback[n], c->fallback[n]);
	show(sv, "helper calls", tr->stat.helper_calls);
	for (n = 0; n < X86_OP_COUNT; n++)
		show_op(sv, "helper:", n, c->helper[n]);
	for (n = 0; n < X86_OP_COUNT; n++)
		show_op(sv, "interpreted:", n, c->interpreted[n]);
}

/* --- life ------------------------------------------------------------------------------------------------------- */

void tr_trace_start(struct soft_vcpu *sv)
{
	struct tr_state *tr = &sv->tr;
	unsigned t;

	for (t = 0; t < HOST_TRACES; t++)
		if (host_trace_wanted((enum host_trace)t))
			tr->traces |= BIT(t);
	if (tr->traces & BIT(TRACE_COUNTERS))
		tr->counters = host_alloc(sizeof(*tr->counters));
	if (tr->counters)
		host_at_exit(show_counters, sv);
}

void tr_trace_end(struct soft_vcpu *sv)
{
	struct tr_state *tr = &sv->tr;

	if (!tr->counters)
		return;
	host_not_at_exit(sv);
	show_counters(sv);
	host_free(tr->counters);
	tr->counters = NULL;
}
