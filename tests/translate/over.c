/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A block that is translated over the code of what stood there before, and needs more than that had: nobody else's sites change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "translator.h"

#define INSNS 3

static struct soft_block *new_block(unsigned offset)
{
	static struct soft_page page = { .lin = 0x400000 };
	struct soft_block *b = calloc(1, sizeof(*b) + INSNS * sizeof(struct x86_insn));

	if (!b)
		exit(1);
	b->mode = X86_MODE_LONG;
	b->gpa = offset;
	b->page = &page;
	return b;
}

static bool decode(struct soft_block *b, const u8 *code, unsigned len)
{
	unsigned at = 0;

	for (b->nr = 0; b->nr < INSNS && at < len; at += b->insn[b->nr++].len)
		if (x86_decode(&b->insn[b->nr], code + at, len - at, b->mode, NULL) != X86_DECODE_OK)
			return false;
	b->len = (u16)at;
	return true;
}

/* mov eax, 1; add eax, edi; ret, then mov eax, [rdi]; add eax, [rsi]; jz. */
static bool others_sites_stay(void)
{
	static const u8 small[] = { 0xb8, 1, 0, 0, 0, 0x01, 0xf8, 0xc3 },
			large[] = { 0x8b, 0x07, 0x03, 0x06, 0x74, 0x10 };
	struct soft_block *first = new_block(0x100), *b = new_block(0x200);
	struct tr_site before[16];
	const struct tr_block *t;
	u32 n;

	if (!decode(first, small, sizeof(small)) || !decode(b, small, sizeof(small)) || !tr_translate(sv, first) ||
	    !tr_translate(sv, b))
		return false;
	t = first->tr;
	n = t->end_site - t->first_site;
	if (!n || n > 16)
		return false;
	memcpy(before, &sv->tr.site[t->first_site], n * sizeof(before[0]));
	b->stale = b->tr;
	b->tr = NULL;
	if (!decode(b, large, sizeof(large)) || !tr_translate(sv, b) || sv->tr.stat.reused)
		return false; /* it fits: the test needs other instructions */
	return !memcmp(before, &sv->tr.site[t->first_site], n * sizeof(before[0]));
}

int main(void)
{
	bool ok;

	if (!translator_start()) {
		puts("no translator on this host\n0 passed, 0 failed, 1 skipped");
		return 0;
	}
	ok = others_sites_stay();
	printf("%s others_sites_stay\n%d passed, %d failed, 0 skipped\n", ok ? "pass" : "FAIL", ok, !ok);
	return !ok;
}
