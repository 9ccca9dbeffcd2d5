/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What each guest instruction becomes, in host instructions and bytes, against a checked-in table.
 *
 * usage: counts TABLE			compare; a difference is a failure
 *        counts --update TABLE		write the table anew: a change of the translator shows in the diff
 *
 * A line of the table, numbers as instructions/bytes:
 *	BITS BYTES  LIVE DEAD SLOW  TEXT
 * LIVE: in front of an instruction that reads the flags, native flags before; DEAD: in front of one that overwrites them all;
 * SLOW: the out-of-line parts of the block of LIVE, its end's included. "helper": the interpreter's routine does it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "translator.h"

#define PAGE_OFFSET 0x800
#define LINE_MAX_LENGTH 256

struct size {
	unsigned instructions, bytes;
};

struct counts {
	struct size live, dead, slow;
	bool helper;
};

/* Host instructions in the bytes; the decoder knows them all. */
static struct size size_of(const u8 *p, const u8 *end)
{
	struct size s = { .bytes = (unsigned)(end - p) };
	struct x86_insn i;

	for (; p < end; p += i.len, s.instructions++)
		if (x86_decode(&i, p, (unsigned)(end - p), X86_MODE_LONG, NULL) != X86_DECODE_OK) {
			fprintf(stderr, "host code that the decoder does not know: %02x %02x %02x\n", p[0], p[1], p[2]);
			exit(1);
		}
	return s;
}

static struct soft_block *make_block(unsigned bits, const u8 *code, unsigned len)
{
	static struct soft_page page = { .lin = 0x400000 };
	struct soft_block *b = calloc(1, sizeof(*b) + 2 * sizeof(struct x86_insn));
	unsigned at = 0;

	if (!b)
		exit(1);
	b->mode = bits == 64 ? X86_MODE_LONG : X86_MODE_PROT32;
	b->gpa = PAGE_OFFSET;
	b->page = &page;
	while (at < len && b->nr < 2 &&
	       x86_decode(&b->insn[b->nr], code + at, len - at, b->mode, NULL) == X86_DECODE_OK) {
		at += b->insn[b->nr].len;
		if (b->insn[b->nr++].flags & INSN_BRANCH)
			break;
	}
	b->len = (u16)at;
	return b;
}

/* The size of the instruction in front of another one. */
static bool measure(unsigned bits, const u8 *code, unsigned len, const u8 *next, unsigned next_len, struct size *own,
		    struct size *slow, bool *helper)
{
	u8 bytes[32];
	struct soft_block *b;
	const struct tr_block *t;
	const u8 *exec[2] = { sv->tr.thunk_exec, sv->tr.thunk_exec_saved }, *p, *end;
	bool ok;

	memcpy(bytes, code, len);
	memcpy(bytes + len, next, next_len);
	tr_reset(sv);
	b = make_block(bits, bytes, len + next_len);
	ok = b->nr && b->insn[0].len == len && tr_translate(sv, b);
	if (ok) {
		t = b->tr;
		if ((unsigned)(t->cold_end - t->saved) > b->nr * TR_INSN_ROOM) {
			fprintf(stderr, "more than TR_INSN_ROOM for an instruction\n");
			exit(1);
		}
		p = t->body + t->offset[0];
		end = t->body + t->offset[1];
		*own = size_of(p, end);
		if (slow)
			*slow = size_of(t->cold, t->cold_end);
		*helper = false;
		for (; p + 5 <= end; p++)
			if (*p == 0xe8)
				*helper |= p + 5 + *(const s32 __attribute__((aligned(1))) *)(p + 1) == exec[0] ||
					   p + 5 + *(const s32 __attribute__((aligned(1))) *)(p + 1) == exec[1];
	}
	free(b);
	return ok;
}

static bool count(unsigned bits, const u8 *code, unsigned len, struct counts *c)
{
	static const u8 reads[] = { 0x9f }, overwrites[] = { 0x85, 0xc0 }; /* lahf; test eax, eax */
	bool helper;

	return measure(bits, code, len, reads, sizeof(reads), &c->live, &c->slow, &c->helper) &&
	       measure(bits, code, len, overwrites, sizeof(overwrites), &c->dead, NULL, &helper);
}

static unsigned parse_hex(const char *text, u8 *out)
{
	unsigned n = 0, byte;

	while (n < X86_MAX_INSN_LEN && sscanf(text + 2 * n, "%2x", &byte) == 1)
		out[n++] = (u8)byte;
	return n;
}

/* The line as it should be. False: not a line of the table. */
static bool expected_line(const char *line, char *out, size_t size)
{
	char hex[40], live[32], dead[32], slow[32];
	struct counts c = { 0 };
	unsigned bits;
	u8 code[16];
	int text = 0;

	if (sscanf(line, "%u %39s %*s %*s %*s %n", &bits, hex, &text) != 2 || !text || (bits != 64 && bits != 32))
		return false;
	if (!count(bits, code, parse_hex(hex, code), &c)) {
		snprintf(out, size, "%u %-22s not translated: %s", bits, hex, line + text);
		return true;
	}
	snprintf(live, sizeof(live), "%u/%u", c.live.instructions, c.live.bytes);
	snprintf(dead, sizeof(dead), "%u/%u", c.dead.instructions, c.dead.bytes);
	snprintf(slow, sizeof(slow), "%u/%u", c.slow.instructions, c.slow.bytes);
	snprintf(out, size, "%u %-22s %-7s %-7s %-7s %s%s", bits, hex, live, dead, slow, c.helper ? "helper " : "",
		 strncmp(line + text, "helper ", 7) ? line + text : line + text + 7);
	return true;
}

int main(int argc, char **argv)
{
	bool update = argc == 3 && !strcmp(argv[1], "--update");
	char line[LINE_MAX_LENGTH], expected[2 * LINE_MAX_LENGTH], *all = NULL;
	size_t size = 0;
	unsigned passed = 0, failed = 0;
	FILE *f, *out;

	if (argc != 2 + update || !(f = fopen(argv[1 + update], "r"))) {
		fprintf(stderr, "usage: counts [--update] TABLE\n");
		return 2;
	}
	if (!translator_start()) {
		puts("no translator on this host\n0 passed, 0 failed, 1 skipped");
		return 0;
	}
	out = open_memstream(&all, &size);
	while (out && fgets(line, sizeof(line), f)) {
		bool same = !expected_line(line, expected, sizeof(expected)) || !strcmp(line, expected);

		fputs(same ? line : expected, out);
		passed += same;
		failed += !same;
		if (!same && !update)
			printf("table: %sis:    %s", line, expected);
	}
	fclose(f);
	fclose(out);
	if (update) {
		f = fopen(argv[2], "w");
		if (!f || fwrite(all, 1, size, f) != size || fclose(f)) {
			perror(argv[2]);
			return 1;
		}
		printf("%u lines changed\n", failed);
		return 0;
	}
	if (failed)
		puts("If that is meant: make update-translate");
	printf("%u passed, %u failed, 0 skipped\n", passed, failed);
	return failed != 0;
}
