/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The decoder against Zydis: does it accept the same byte strings, and with the same length? In 16-, 32-
 * and 64-bit mode, over random bytes, bytes made likely to be an instruction, and the code of files given
 * on the command line. Accepted differences are the rules in excused(); length-differences.md explains each.
 *
 *	length-test [-n MILLIONS] [-s SEED] [-v] [FILE...]
 */
#include <Zydis/Zydis.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "optable.h"

/* The decoder is linked without the routines. */
void x86_bind(struct x86_insn *i)
{
	i->exec = NULL;
}

static const struct mode {
	const char *name;
	enum x86_mode mode;
	ZydisMachineMode zmode;
	ZydisStackWidth zstack;
} modes[] = {
	{ "64", X86_MODE_LONG, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
	{ "32", X86_MODE_PROT32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32 },
	{ "16", X86_MODE_PROT16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16 },
	{ "real", X86_MODE_REAL, ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16 },
};

static ZydisDecoder decoders[ARRAY_SIZE(modes)];
static unsigned long nr_same, nr_accepted, nr_excused, nr_different;
static bool verbose;
static u64 random_state;

static u64 random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545f4914f6cdd1dull;
}

static void init_decoders(void)
{
	for (unsigned m = 0; m < ARRAY_SIZE(modes); m++) {
		ZydisDecoderInit(&decoders[m], modes[m].zmode, modes[m].zstack);
		ZydisDecoderEnableMode(&decoders[m], ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
		ZydisDecoderEnableMode(&decoders[m], ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
		ZydisDecoderEnableMode(&decoders[m], ZYDIS_DECODER_MODE_KNC, ZYAN_FALSE);
		ZydisDecoderEnableMode(&decoders[m], ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
	}
}

/* Extensions that anykvm does not offer: the decoder must say #UD. */
static bool not_offered(const ZydisDecodedInstruction *z)
{
	static const ZydisISAExt ext[] = {
		ZYDIS_ISA_EXT_AMD3DNOW,
		ZYDIS_ISA_EXT_SMX,
		ZYDIS_ISA_EXT_VTX,
		ZYDIS_ISA_EXT_SVM,
		ZYDIS_ISA_EXT_SGX,
		ZYDIS_ISA_EXT_SGX_ENCLV,
		ZYDIS_ISA_EXT_CET,
		ZYDIS_ISA_EXT_FMA4,
		ZYDIS_ISA_EXT_XOP,
		ZYDIS_ISA_EXT_KEYLOCKER,
		ZYDIS_ISA_EXT_KEYLOCKER_WIDE,
		ZYDIS_ISA_EXT_AVX512EVEX,
		ZYDIS_ISA_EXT_AVX512VEX,
		ZYDIS_ISA_EXT_PKU,
		ZYDIS_ISA_EXT_RTM,
		ZYDIS_ISA_EXT_PCONFIG,
		ZYDIS_ISA_EXT_MONITORX,
		ZYDIS_ISA_EXT_TBM,
		ZYDIS_ISA_EXT_PT,
		ZYDIS_ISA_EXT_ENQCMD,
		ZYDIS_ISA_EXT_AMX_TILE,
		ZYDIS_ISA_EXT_AMX_INT8,
		ZYDIS_ISA_EXT_AMX_BF16,
		ZYDIS_ISA_EXT_TDX,
		ZYDIS_ISA_EXT_WAITPKG,
		ZYDIS_ISA_EXT_UINTR,
		ZYDIS_ISA_EXT_HRESET,
		ZYDIS_ISA_EXT_SNP,
		ZYDIS_ISA_EXT_RDPRU,
		ZYDIS_ISA_EXT_MCOMMIT,
		ZYDIS_ISA_EXT_VMFUNC,
		ZYDIS_ISA_EXT_TSX_LDTRK,
		ZYDIS_ISA_EXT_PADLOCK,
		ZYDIS_ISA_EXT_AMD_INVLPGB,
	};

	for (unsigned n = 0; n < ARRAY_SIZE(ext); n++)
		if (z->meta.isa_ext == ext[n])
			return true;
	return false;
}

/* The accepted differences, numbered as in length-differences.md. */
static bool excused(const struct x86_insn *i, enum x86_decode_result r, bool zok, const ZydisDecodedInstruction *z,
		    const struct mode *m)
{
	/* 1: extensions that anykvm does not offer */
	if (zok && r == X86_DECODE_UD && not_offered(z))
		return true;
	/* 2: Knights Corner, which shares VEX encodings with AVX-512's mask instructions */
	if (zok && r == X86_DECODE_UD &&
	    (z->meta.isa_ext == ZYDIS_ISA_EXT_KNC || z->meta.isa_ext == ZYDIS_ISA_EXT_KNCE ||
	     z->meta.isa_ext == ZYDIS_ISA_EXT_KNCV))
		return true;
	/* 3: sysenter, sysexit, sysret in real mode are checked by their routines */
	if (!zok && r == X86_DECODE_OK && m->mode == X86_MODE_REAL &&
	    (i->op == X86_OP_SYSENTER || i->op == X86_OP_SYSEXIT || i->op == X86_OP_SYSRET))
		return true;
	/* 6: vpextrq, vpinsrq outside 64-bit mode */
	if (zok && r == X86_DECODE_UD && m->mode != X86_MODE_LONG && z->raw.vex.W &&
	    (z->mnemonic == ZYDIS_MNEMONIC_VPEXTRD || z->mnemonic == ZYDIS_MNEMONIC_VPINSRD))
		return true;
	return false;
}

static void report(const struct mode *m, const u8 *buf, const struct x86_insn *i, enum x86_decode_result r, bool zok,
		   const ZydisDecodedInstruction *z)
{
	printf("%s:", m->name);
	for (unsigned n = 0; n < 15; n++)
		printf(" %02x", buf[n]);
	printf(": ours %d %u %s, zydis %u %s %s\n", r, i->len, r ? "-" : x86_op_name(i->op), zok ? z->length : 0,
	       zok ? ZydisMnemonicGetString(z->mnemonic) : "-", zok ? ZydisISASetGetString(z->meta.isa_set) : "");
}

/* A cut-off instruction asks for more bytes. */
static bool truncation_ok(const u8 *buf, const struct x86_insn *i, const struct mode *m)
{
	struct x86_insn cut;

	for (unsigned n = 0; n < i->len; n++)
		if (x86_decode(&cut, buf, n, m->mode, NULL) != X86_DECODE_MORE)
			return false;
	return true;
}

static u8 zydis_gpr(ZydisRegister r)
{
	if (r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP)
		return X86_REG_RIP;
	return r == ZYDIS_REGISTER_NONE ? X86_REG_NONE : ZydisRegisterGetId(r);
}

/* Bytes of a memory operand in our convention: 0 for what is not a plain access. */
static unsigned zydis_memory_size(const struct x86_insn *i, const ZydisDecodedOperand *o)
{
	if (o->mem.type != ZYDIS_MEMOP_TYPE_MEM || i->flags & INSN_EVEX)
		return 0;
	return o->size / 8;
}

static bool memory_same(const struct x86_insn *i, const struct x86_operand *ours, const ZydisDecodedInstruction *z,
			const ZydisDecodedOperand *o)
{
	static const u8 shift[9] = { 0, 0, 1, 0, 2, 0, 0, 0, 3 };
	u64 mask = i->adsize == 8 ? ~0ull : i->adsize == 4 ? 0xffffffffull : 0xffffull;
	u8 base = zydis_gpr(o->mem.base), index = zydis_gpr(o->mem.index);
	u8 seg = o->mem.segment == ZYDIS_REGISTER_NONE ? SEG_NONE : ZydisRegisterGetId(o->mem.segment);
	bool flat = z->machine_mode == ZYDIS_MACHINE_MODE_LONG_64;

	/* 4: Zydis 4.0 gives a base register to mod 0, SIB base 5 with REX.B and 32-bit addresses */
	if (z->raw.modrm.mod == 0 && z->raw.sib.base == 5 && i->base == X86_REG_NONE && z->raw.rex.B)
		return true;
	/* 5: movsxd with a 66 prefix reads 32 bits in Zydis, 16 by Intel's manual */
	if (i->op == X86_OP_MOVSX && i->opcode == 0x63 && i->opsize == 2)
		return ours->size == 2;
	if (ours->size && ours->size != zydis_memory_size(i, o))
		return false;
	if (z->address_width / 8 != i->adsize || base != i->base || index != i->index ||
	    (index != X86_REG_NONE && shift[o->mem.scale] != i->scale))
		return false;
	/* In 64-bit mode only FS and GS matter, and whether it is the stack's. */
	if (seg != i->seg && o->mem.type == ZYDIS_MEMOP_TYPE_MEM && !(flat && seg < SEG_FS && i->seg < SEG_FS))
		return false;
	return !((o->mem.disp.value ^ i->disp) & mask);
}

/*
 * Memory operands and immediates mean the same. Of our operands' sizes those are compared that are said
 * to be plain accesses.
 */
static bool operands_same(const u8 *buf, const struct x86_insn *i, unsigned m)
{
	ZydisDecoderContext context;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	const struct x86_operand *mem = NULL;

	ZydisDecoderDecodeInstruction(&decoders[m], &context, buf, 15, &z);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeOperands(&decoders[m], &context, &z, op, z.operand_count)))
		return false;
	for (unsigned n = 0; n < i->nr_operands; n++)
		if (i->opnd[n].kind == OPND_MEM)
			mem = &i->opnd[n];
	if (i->op == X86_OP_NOP || i->op == X86_OP_UD)
		return true; /* operands without meaning */
	for (unsigned n = 0; n < z.operand_count_visible; n++) {
		if (op[n].type == ZYDIS_OPERAND_TYPE_MEMORY && op[n].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT &&
		    (!mem || !memory_same(i, mem, &z, &op[n])))
			return false;
	}
	return true;
}

/* Returns the length of the instruction, 1 if there is none. */
static unsigned compare(const u8 *buf, unsigned m)
{
	struct x86_insn i;
	ZydisDecodedInstruction z;
	enum x86_decode_result r = x86_decode(&i, buf, 15, modes[m].mode, NULL);
	bool zok = ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoders[m], NULL, buf, 15, &z));
	bool same = zok ? r == X86_DECODE_OK && i.len == z.length : r != X86_DECODE_OK;

	if (same && zok && ++nr_accepted % 8 == 0)
		same = truncation_ok(buf, &i, &modes[m]) && operands_same(buf, &i, m);
	if (same)
		nr_same++;
	else if (excused(&i, r, zok, &z, &modes[m]))
		nr_excused++;
	else if (nr_different++ < 200 || verbose)
		report(&modes[m], buf, &i, r, zok, &z);
	return zok ? z.length : 1;
}

/* Random bytes, most of them with the start of something interesting. */
static void random_bytes(u8 *buf)
{
	static const u8 prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x64, 0x40, 0x48, 0x41, 0x45 };
	u64 r[2] = { random64(), random64() };
	u64 how = random64();
	unsigned n = 0;

	memcpy(buf, r, 15);
	while ((how & 3) == 0 && n < 4) {
		buf[n++] = prefixes[(how >> 8) % ARRAY_SIZE(prefixes)];
		how = random64();
	}
	switch (how >> 4 & 7) {
	case 0:
	case 1: buf[n] = 0x0f; break;
	case 2:
		buf[n++] = 0x0f;
		buf[n] = how & 0x80 ? 0x38 : 0x3a;
		break;
	case 3:
	case 4:
		buf[n] = 0xc4;
		buf[n + 1] = (buf[n + 1] & 0xe0) | (1 + (how >> 12) % 3);
		if (how & 0x80)
			buf[n + 2] |= 0x78; /* no vvvv */
		if (!(how & 0x700))
			buf[n] = 0xc5;
		break;
	default: break;
	}
}

static void compare_random(unsigned long count)
{
	u8 buf[32];

	for (unsigned long n = 0; n < count; n++) {
		random_bytes(buf);
		/* Half of it in 64-bit mode. */
		compare(buf, n & 1 ? (n >> 1) % ARRAY_SIZE(modes) : 0);
	}
}

/* Compare at each instruction of the code (a linear sweep in 64-bit mode) in every mode. */
static void compare_code(const u8 *code, u64 size)
{
	u8 buf[15];
	unsigned len;

	for (u64 off = 0; off < size; off += len) {
		u64 rest = size - off;

		memset(buf, 0x90, sizeof(buf));
		memcpy(buf, code + off, rest < sizeof(buf) ? rest : sizeof(buf));
		len = compare(buf, 0);
		for (unsigned m = 1; m < ARRAY_SIZE(modes); m++)
			compare(buf, m);
	}
}

/* The executable sections of an ELF file; everything of any other file. */
static void compare_image(const u8 *p, u64 size)
{
	const Elf64_Ehdr *eh = (const void *)p;
	const Elf64_Shdr *sh;

	if (size < sizeof(*eh) || memcmp(eh->e_ident, ELFMAG, SELFMAG) || eh->e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh->e_shoff > size || (size - eh->e_shoff) / sizeof(*sh) < eh->e_shnum) {
		compare_code(p, size);
		return;
	}
	sh = (const void *)(p + eh->e_shoff);
	for (unsigned n = 0; n < eh->e_shnum; n++)
		if (sh[n].sh_type == SHT_PROGBITS && sh[n].sh_flags & SHF_EXECINSTR && sh[n].sh_offset <= size &&
		    sh[n].sh_size <= size - sh[n].sh_offset)
			compare_code(p + sh[n].sh_offset, sh[n].sh_size);
}

static bool compare_file(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY);
	void *p;

	if (fd < 0 || fstat(fd, &st) || !st.st_size) {
		fprintf(stderr, "length-test: %s: %m\n", path);
		if (fd >= 0)
			close(fd);
		return false;
	}
	p = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED) {
		fprintf(stderr, "length-test: %s: %m\n", path);
		return false;
	}
	compare_image(p, st.st_size);
	munmap(p, st.st_size);
	return true;
}

/*
 * Every row of the table is reachable: the bytes that it describes decode to it in some mode. A row hidden
 * by a later one, or not adjacent to its key's other rows, is found here.
 */
static bool row_in_chain(unsigned row)
{
	const struct x86_opcode *o = &x86_opcodes[row];

	for (unsigned n = 0; n < o->count; n++) {
		unsigned at = x86_opcode_last(o->key + n);

		while (at && at != row && x86_opcodes[at].key == o->key)
			at--;
		if (at != row)
			return false;
	}
	return true;
}

static bool row_hidden(unsigned row)
{
	const struct x86_opcode *o = &x86_opcodes[row], *later;

	for (later = o + 1; later < x86_opcodes + x86_opcode_count && later->key == o->key; later++)
		if ((later->mask & ~o->mask) == 0 && (o->value & later->mask) == later->value &&
		    later->feature == FEATURE_NONE)
			return true;
	return false;
}

static unsigned check_table(void)
{
	bool used[X86_OP_COUNT] = { 0 };
	unsigned failed = 0;

	for (unsigned n = 1; n < x86_opcode_count; n++) {
		const struct x86_opcode *o = &x86_opcodes[n];

		used[o->op] = true;
		if (!row_in_chain(n) || row_hidden(n)) {
			printf("row %u: %s, map and opcode %x: not reachable\n", n, x86_op_name(o->op), o->key);
			failed++;
		}
		if (((o->attr ^ x86_opcodes[x86_opcode_last(o->key)].attr) & (ROW_MODRM | ROW_NOMEM))) {
			printf("row %u: %s: disagrees about ModRM\n", n, x86_op_name(o->op));
			failed++;
		}
	}
	for (unsigned n = 0; n < X86_OP_COUNT; n++) {
		if (!used[n]) {
			printf("operation %s has no encoding\n", x86_op_name(n));
			failed++;
		}
	}
	return failed;
}

static unsigned passed, failed, skipped;

/* The result of what was compared since the last call. */
static void conclude(const char *what)
{
	printf("%s %s: %lu same, %lu excused, %lu different\n", nr_different ? "FAIL" : "ok  ", what, nr_same,
	       nr_excused, nr_different);
	if (nr_different)
		failed++;
	else
		passed++;
	nr_same = nr_excused = nr_different = 0;
}

int main(int argc, char **argv)
{
	unsigned long millions = 12;
	int opt;

	random_state = 0x9e3779b97f4a7c15ull;
	while ((opt = getopt(argc, argv, "n:s:v")) != -1) {
		if (opt == 'n')
			millions = strtoul(optarg, NULL, 0);
		else if (opt == 's')
			random_state ^= strtoull(optarg, NULL, 0);
		else if (opt == 'v')
			verbose = true;
		else
			return 2;
	}
	init_decoders();
	nr_different = check_table();
	nr_same = x86_opcode_count - 1 - nr_different;
	conclude("table rows");
	compare_random(millions * 1000000);
	conclude("random bytes");
	for (int n = optind; n < argc; n++) {
		if (compare_file(argv[n]))
			conclude(argv[n]);
		else
			skipped++;
	}
	printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
	return failed != 0;
}
