// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * tiny - a kernel of a few hundred bytes, for tests of how a machine starts and ends. It greets on
 * the serial port and does what "tiny=WORD" on its command line says. Built twice: as a 64-bit ELF
 * (entered with boot_params) and as a 32-bit ELF with a PVH note.
 */
#include <stdint.h>

#define SERIAL 0x3f8
#define LINE_STATUS (SERIAL + 5)
#define DATA_READY 0x01

#ifdef __x86_64__
__asm__(".globl _start\n_start:\tmov %rsi, %rdi\n\tcall tiny\n\tud2");
#else
__asm__(".globl _start\n_start:\tpush %ebx\n\tcall tiny\n\tud2\n"
	".pushsection .note.Xen, \"a\", @note\n\t.long 4, 4, 18\n\t.asciz \"Xen\"\n\t.long _start\n.popsection");
#endif

void tiny(const uint8_t *boot_data);

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static uint32_t in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void print(const char *text)
{
	while (*text)
		out8(SERIAL, *text++);
}

static void print_hex(uint32_t value)
{
	for (int shift = 28; shift >= 0; shift -= 4)
		out8(SERIAL, "0123456789abcdef"[value >> shift & 15]);
}

/* Where the word is in the line: just behind it, or null. */
static const char *find(const char *line, const char *word)
{
	for (; *line; line++) {
		unsigned int i = 0;

		while (word[i] && line[i] == word[i])
			i++;
		if (!word[i])
			return line + i;
	}
	return 0;
}

static void echo(void)
{
	uint8_t byte;

	do {
		while (!(in8(LINE_STATUS) & DATA_READY))
			;
		byte = in8(SERIAL);
		out8(SERIAL, byte);
	} while (byte != '.');
}

static void act(char what)
{
	switch (what) {
	case 'p': /* power off, as ACPI does */ out16(0x604, 5 << 10 | 1 << 13); break;
	case 'r': /* reset register */ out8(0xcf9, 6); break;
	case 'k': /* reset line of the keyboard controller */ out8(0x64, 0xfe); break;
	case 'v': /* pvpanic */ out8(0x505, 1); break;
	case 's': /* spin with interrupts off */
		for (;;)
			__asm__ volatile("pause");
	case 'h': /* halt for ever */
		for (;;)
			__asm__ volatile("cli; hlt");
	case 'f': /* triple fault: there is no interrupt table */ __asm__ volatile("ud2"); break;
	case 'n': /* nobody answers here */
		print_hex(in32(0xcf8));
		print_hex(in8(0x3f0));
		print_hex(*(volatile uint32_t *)(uintptr_t)0xd0000000);
		print("\n");
		out16(0x604, 5 << 10 | 1 << 13);
		break;
	case 'e': /* echo until a full stop, by polling */
		echo();
		out16(0x604, 5 << 10 | 1 << 13);
		break;
	case 'l': /* a flood */
		for (;;)
			print("0123456789abcdef\n");
	}
}

/* boot_params.hdr.cmd_line_ptr, or cmdline_paddr of hvm_start_info. */
void tiny(const uint8_t *boot_data)
{
	uint32_t at = *(const uint32_t *)(boot_data + (sizeof(void *) == 8 ? 0x228 : 24));
	const char *line = (const char *)(uintptr_t)at;
	const char *word = find(line, "tiny=");

	print("tiny: ");
	print(line);
	print("\n");
	if (word)
		act(*word);
}
