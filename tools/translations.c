/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * anykvm-translations: the file of ANYKVM_TRANSLATIONS (engine/soft/translate/trace.h has its format) as text: guest
 * instructions on the left, what they have become on the right.
 *
 * usage: anykvm-translations [-r RIP] [FILE]		-r: only blocks that hold this guest address
 */
#include <Zydis/Zydis.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEFT 58
#define CODE_MAX (1u << 16)

/* A piece of code of one kind. */
struct code {
	uint64_t address;
	unsigned char bytes[CODE_MAX];
	size_t len;
};

static struct {
	bool only;
	uint64_t rip;
} filter;

/* The block being read: text is held back until it is known whether it is wanted. */
static char *text;
static size_t text_size, text_used;
static bool wanted;

static void put(const char *s)
{
	size_t n = strlen(s);

	if (text_used + n + 1 > text_size) {
		text_size = 2 * (text_used + n + 1);
		text = realloc(text, text_size);
		if (!text)
			exit(1);
	}
	memcpy(text + text_used, s, n + 1);
	text_used += n;
}

static void end_block(void)
{
	if (text_used && (wanted || !filter.only))
		fputs(text, stdout);
	text_used = 0;
	wanted = false;
}

static ZydisMachineMode machine_mode(unsigned mode)
{
	/* enum x86_mode: 3 is 32-bit protected, 4 64-bit mode */
	return mode == 4 ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LEGACY_32;
}

/* One instruction in front of end; its length. */
static size_t disassemble(ZydisMachineMode mode, const unsigned char *p, size_t len, uint64_t address, char *out,
			  size_t size)
{
	ZydisDisassembledInstruction d;

	if (len && ZYAN_SUCCESS(ZydisDisassembleIntel(mode, address, p, len, &d))) {
		snprintf(out, size, "%s", d.text);
		return d.info.length;
	}
	snprintf(out, size, "db %02x", len ? p[0] : 0);
	return 1;
}

static void put_line(const char *left, uint64_t address, const char *right)
{
	char line[400];

	snprintf(line, sizeof(line), "%-*s | %12" PRIx64 "  %s\n", LEFT, left, address, right);
	put(line);
}

/* left stands beside the first host instruction. */
static void put_host(const char *left, const struct code *c)
{
	char out[120];
	size_t at, n;

	if (!c->len && *left) {
		put(left);
		put("\n");
	}
	for (at = 0; at < c->len; at += n, left = "") {
		n = disassemble(ZYDIS_MACHINE_MODE_LONG_64, c->bytes + at, c->len - at, c->address + at, out,
				sizeof(out));
		put_line(left, c->address + at, out);
	}
}

static void add_bytes(struct code *c, uint64_t address, const char *hex)
{
	unsigned byte;

	if (!c->len)
		c->address = address;
	for (; sscanf(hex, "%2x", &byte) == 1 && c->len < CODE_MAX; hex += 2)
		c->bytes[c->len++] = (unsigned char)byte;
}

/* A guest instruction, or the name of a part, that waits for its host code. */
static char left[200];
static struct code host, guest;

static void flush_part(void)
{
	put_host(left, &host);
	host.len = 0;
	left[0] = 0;
}

static unsigned mode;

static void guest_line(uint64_t rip, const char *hex)
{
	char out[120];
	size_t n;

	guest.len = 0;
	add_bytes(&guest, rip, hex);
	n = disassemble(machine_mode(mode), guest.bytes, guest.len, rip, out, sizeof(out));
	if (n == guest.len)
		snprintf(left, sizeof(left), "%16" PRIx64 "  %s", rip, out);
	else
		snprintf(left, sizeof(left), "%16" PRIx64 "  ? %s", rip, hex);
	if (filter.rip >= rip && filter.rip < rip + guest.len)
		wanted = true;
}

static void line(char *s)
{
	static char kind_before;
	uint64_t a = 0, b = 0;
	unsigned nr = 0;
	int at = 0;
	char head[160];

	if (sscanf(s + 1, "%" SCNx64 " %n", &a, &at) < 1 && s[0] != 'F')
		return;
	if (s[0] != kind_before || s[0] == 'I' || s[0] == 'B')
		if (!(kind_before == 'I' && s[0] == 'H'))
			flush_part();
	kind_before = s[0];
	switch (s[0]) {
	case 'B':
		end_block();
		if (sscanf(s + 1, "%" SCNx64 " %" SCNx64 " %x %x", &a, &b, &mode, &nr) == 4) {
			snprintf(head, sizeof(head),
				 "\nblock %" PRIx64 ", guest-physical %" PRIx64 ", %u instructions\n", a, b, nr);
			put(head);
		}
		break;
	case 'I':
		s[strcspn(s, "\n")] = 0;
		s[1 + at + strcspn(s + 1 + at, " ")] = 0;
		guest_line(a, s + 1 + at);
		break;
	case 'E':
	case 'S':
		if (!host.len)
			snprintf(left, sizeof(left), "%s", s[0] == 'E' ? "entries" : "out of line");
		add_bytes(&host, a, s + 1 + at);
		break;
	case 'H': add_bytes(&host, a, s + 1 + at); break;
	case 'F':
		end_block();
		if (!filter.only)
			puts("\n(everything dropped)");
		break;
	default: break;
	}
}

int main(int argc, char **argv)
{
	FILE *f = stdin;
	char *s = NULL;
	size_t size = 0;
	int n = 1;

	if (n + 1 < argc && !strcmp(argv[n], "-r")) {
		filter.only = true;
		filter.rip = strtoull(argv[n + 1], NULL, 16);
		n += 2;
	}
	if (n < argc && !(f = fopen(argv[n], "r"))) {
		perror(argv[n]);
		return 1;
	}
	while (getline(&s, &size, f) > 0)
		line(s);
	flush_part();
	end_block();
	free(s);
	free(text);
	return 0;
}
