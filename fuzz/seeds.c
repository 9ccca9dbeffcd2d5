/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * usage: seeds KIND FOLDER NUMBER: inputs that make sense to begin with. KIND: code, engines, decode.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"
#include "sequence.h"
#include "testops.h"

/* What insn_test.h's users share; nobody fails here. */
struct insn_options insn_options = { .seed = 1, .rounds = 1 };
void insn_fail(const char *format, ...)
{
	(void)format;
}
void insn_skip(const char *format, ...)
{
	(void)format;
}

static void save(const char *folder, unsigned n, const void *head, size_t head_len, const u8 *bytes, size_t len)
{
	char name[300];
	FILE *f;

	snprintf(name, sizeof(name), "%s/seed-%04u", folder, n);
	f = fopen(name, "w");
	if (!f || fwrite(head, 1, head_len, f) != head_len || fwrite(bytes, 1, len, f) != len || fclose(f)) {
		perror(name);
		exit(1);
	}
}

static void code_seed(const char *folder, unsigned n, struct lib_cpu *cpu, struct random *r)
{
	static u8 data[DATA_SIZE];
	static struct insn_case c;
	static struct sequence q;
	struct code_input in = { .flags = (u8)(n & 1 ? CODE_VECTORS : 0), .pages = (u8)random_u64(r) };
	unsigned k, bits = one_in(r, 4) ? 32 : 64;

	lib_mode(cpu, bits);
	generate_data(data, r);
	if (!generate_sequence(&c, &q, bits, lib_state(cpu), data, r))
		return;
	in.flags |=
		(bits == 32 ? CODE_32BIT : 0) | (one_in(r, 8) ? CODE_KERNEL : 0) | (one_in(r, 4) ? CODE_WRITABLE : 0);
	in.rflags = (u16)random_u64(r);
	in.memory = (u8)random_u64(r);
	for (k = 0; k < sizeof(in.reg); k++)
		in.reg[k] = (u8)random_u64(r);
	save(folder, n, &in, sizeof(in), q.bytes, q.len);
}

/* Any bytes are a script for program.c. */
static void script_seed(const char *folder, unsigned n, struct random *r)
{
	u8 script[240];
	struct code_input in = { .pages = (u8)(random_u64(r) & random_u64(r)), .entry = 0 };
	unsigned k, len = 24 + random_below(r, sizeof(script) - 24);

	in.flags = CODE_PROGRAM | (u8)(random_u64(r) & (CODE_WRITABLE | CODE_VECTORS));
	in.flags |= (one_in(r, 4) ? CODE_32BIT : 0) | (one_in(r, 4) ? CODE_KERNEL : 0);
	in.rflags = (u16)random_u64(r);
	in.memory = (u8)random_u64(r);
	in.system = (u8)(random_u64(r) & random_u64(r));
	for (k = 0; k < sizeof(in.reg); k++)
		in.reg[k] = (u8)random_u64(r);
	for (k = 0; k < len; k++)
		script[k] = (u8)random_u64(r);
	save(folder, n, &in, sizeof(in), script, len);
}

static void decode_seed(const char *folder, unsigned n, struct lib_cpu *cpu, struct random *r)
{
	static u8 data[DATA_SIZE];
	static struct insn_case c;
	const struct x86_opcode *row = &x86_opcodes[1 + random_below(r, x86_opcode_count - 1)];
	u8 mode = X86_MODE_LONG;

	lib_mode(cpu, 64);
	if (generate(&c, row, random_below(r, row->count), 64, lib_state(cpu), data, r))
		save(folder, n, &mode, 1, c.code, c.len);
}

int main(int argc, char **argv)
{
	struct random r = { 0x9e3779b97f4a7c15ull };
	struct lib_cpu *cpu;
	unsigned n;

	if (argc != 4 || !(cpu = lib_new())) {
		fputs("usage: seeds code|engines|decode FOLDER NUMBER\n", stderr);
		return 2;
	}
	random_u64(&r);
	for (n = 0; n < (unsigned)atoi(argv[3]); n++) {
		if (!strcmp(argv[1], "decode"))
			decode_seed(argv[2], n, cpu, &r);
		else if (n & 1)
			script_seed(argv[2], n, &r);
		else
			code_seed(argv[2], n, cpu, &r);
	}
	return 0;
}
