/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "guest.h"

#include <string.h>

/* The tables inside GUEST_TABLES. */
#define TABLE_PML4 0x10000u
#define TABLE_PDPT 0x11000u
#define TABLE_PD 0x12000u /* four pages: 4 GiB in 2 MiB pages */
#define TABLE_GDT 0x16000u
#define TABLE_IDT 0x17000u
#define TABLE_TSS 0x18000u /* 256 bytes for each vCPU */
#define TABLE_LOG 0x19000u
#define TABLE_STUBS 0x1a000u /* 16 bytes for each vector */
#define TABLE_HANDLER 0x1b000u
#define TSS_STRIDE 0x100u
#define EVENT_STACK 0x1f000u /* RSP0 of every TSS */

#define PTE_PRESENT 0x01ull
#define PTE_WRITE 0x02ull
#define PTE_USER 0x04ull
#define PTE_LARGE 0x80ull

#define CR0_PE 0x00000001ull
#define CR0_MP 0x00000002ull
#define CR0_ET 0x00000010ull
#define CR0_NE 0x00000020ull
#define CR0_PG 0x80000000ull
#define CR4_PAE 0x00000020ull
#define CR4_OSFXSR 0x00000200ull
#define EFER_LME 0x00000100ull
#define EFER_LMA 0x00000400ull

/*
 * The default handlers. The stack holds vector, error code, and the processor's frame. The
 * event log (struct guest_event_log) lies at 0x19000, its events at offset 64.
 */
GUEST(handler64, 64,
      "push rax\n push rbx\n"
      "mov ebx, 0x19000\n"
      "mov rax, [rbx]\n and eax, 15\n shl eax, 6\n"
      "lea rbx, [rbx + rax + 64]\n"
      "mov rax, [rsp + 16]\n mov [rbx], rax\n"
      "mov rax, [rsp + 24]\n mov [rbx + 8], rax\n"
      "mov rax, [rsp + 32]\n mov [rbx + 16], rax\n"
      "mov rax, [rsp + 40]\n mov [rbx + 24], rax\n"
      "mov rax, [rsp + 48]\n mov [rbx + 32], rax\n"
      "mov rax, [rsp + 56]\n mov [rbx + 40], rax\n"
      "mov rax, [rsp + 64]\n mov [rbx + 48], rax\n"
      "mov rax, cr2\n mov [rbx + 56], rax\n"
      "mov ebx, 0x19000\n"
      "inc qword ptr [rbx]\n"
      "cmp qword ptr [rbx + 16], 0\n jne 1f\n"
      "mov al, [rsp + 16]\n out 0xe0, al\n"
      "1: mov rax, [rbx + 8]\n add [rsp + 32], rax\n"
      "cmp qword ptr [rbx + 24], 0\n je 2f\n"
      "mov eax, 0xfee000b0\n mov dword ptr [rax], 0\n"
      "2: pop rbx\n pop rax\n add rsp, 16\n iretq");

GUEST(handler32, 32,
      "push eax\n push ebx\n push ecx\n"
      "mov ebx, 0x19000\n"
      "mov eax, [ebx]\n and eax, 15\n shl eax, 6\n"
      "lea ebx, [ebx + eax + 64]\n"
      "mov eax, [esp + 12]\n mov [ebx], eax\n"
      "mov eax, [esp + 16]\n mov [ebx + 8], eax\n"
      "mov eax, [esp + 20]\n mov [ebx + 16], eax\n"
      "mov eax, [esp + 24]\n mov [ebx + 24], eax\n"
      "mov eax, [esp + 28]\n mov [ebx + 32], eax\n"
      "lea eax, [esp + 32]\n mov [ebx + 40], eax\n"
      "mov eax, ss\n mov [ebx + 48], eax\n"
      "mov eax, cr2\n mov [ebx + 56], eax\n"
      "mov ebx, 0x19000\n"
      "inc dword ptr [ebx]\n"
      "cmp dword ptr [ebx + 16], 0\n jne 1f\n"
      "mov al, [esp + 12]\n out 0xe0, al\n"
      "1: mov eax, [ebx + 8]\n add [esp + 20], eax\n"
      "cmp dword ptr [ebx + 24], 0\n je 2f\n"
      "mov eax, 0xfee000b0\n mov dword ptr [eax], 0\n"
      "2: pop ecx\n pop ebx\n pop eax\n add esp, 8\n iretd");

static void guest_copy(struct machine *machine, uint32_t address, struct guest_code code)
{
	memcpy(machine->mem + address, code.start, (size_t)(code.end - code.start));
}

struct guest_event_log *guest_log(struct machine *machine)
{
	return (struct guest_event_log *)(machine->mem + TABLE_LOG);
}

void guest_ivt(struct machine *machine, uint8_t vector, uint16_t segment, uint16_t offset)
{
	uint16_t entry[2] = { offset, segment };

	memcpy(machine->mem + vector * 4u, entry, sizeof(entry));
}

void guest_idt(struct machine *machine, enum guest_mode mode, uint8_t vector, uint32_t address)
{
	/* An interrupt gate with DPL 3, so that INT n works from everywhere; the offset's high half 0. */
	uint32_t gate[4] = { (address & 0xffff) | SELECTOR_CODE << 16, (address & 0xffff0000) | 0xee00 };

	if (mode == GUEST_LONG)
		memcpy(machine->mem + TABLE_IDT + vector * 16u, gate, 16);
	else
		memcpy(machine->mem + TABLE_IDT + vector * 8u, gate, 8);
}

static bool vector_has_error_code(unsigned int vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21;
}

/* push 0 (where the processor pushes no error code); push vector; jmp handler */
static void write_stub(uint8_t *mem, unsigned int vector)
{
	uint32_t at = TABLE_STUBS + vector * 16u, operand;

	if (!vector_has_error_code(vector)) {
		mem[at++] = 0x6a;
		mem[at++] = 0x00;
	}
	mem[at++] = 0x68;
	memcpy(mem + at, &vector, 4);
	at += 4;
	mem[at++] = 0xe9;
	operand = TABLE_HANDLER - (at + 4);
	memcpy(mem + at, &operand, 4);
}

static void write_idt(struct machine *machine, enum guest_mode mode)
{
	for (unsigned int vector = 0; vector < 256; vector++) {
		write_stub(machine->mem, vector);
		guest_idt(machine, mode, (uint8_t)vector, TABLE_STUBS + vector * 16);
	}
	guest_copy(machine, TABLE_HANDLER, mode == GUEST_LONG ? handler64 : handler32);
}

static void write_gdt(struct machine *machine, enum guest_mode mode, unsigned int cpu_id)
{
	uint64_t base = TABLE_TSS + cpu_id * TSS_STRIDE;
	uint64_t gdt[7] = {
		[SELECTOR_CODE / 8] = mode == GUEST_LONG ? 0x00af9b000000ffff : 0x00cf9b000000ffff,
		[SELECTOR_DATA / 8] = 0x00cf93000000ffff,
		[SELECTOR_TSS / 8] = 0x0000890000000067 | base << 16,
		[SELECTOR_CODE3 / 8] = mode == GUEST_LONG ? 0x00affb000000ffff : 0x00cffb000000ffff,
		[SELECTOR_DATA3 / 8] = 0x00cff3000000ffff,
	};
	uint64_t stack = EVENT_STACK;
	uint32_t stack32[2] = { EVENT_STACK, SELECTOR_DATA };
	uint16_t io_map = 0x68; /* behind the limit: no port is allowed */

	memcpy(machine->mem + TABLE_GDT, gdt, sizeof(gdt));
	memcpy(machine->mem + base + 0x66, &io_map, sizeof(io_map));
	if (mode == GUEST_LONG)
		memcpy(machine->mem + base + 4, &stack, sizeof(stack));
	else
		memcpy(machine->mem + base + 4, stack32, sizeof(stack32));
}

uint64_t *guest_pde(struct machine *machine, uint64_t address)
{
	return (uint64_t *)(machine->mem + TABLE_PD) + (address >> 21);
}

static void write_page_tables(struct machine *machine)
{
	uint64_t *pml4 = (uint64_t *)(machine->mem + TABLE_PML4);
	uint64_t *pdpt = (uint64_t *)(machine->mem + TABLE_PDPT);

	pml4[0] = TABLE_PDPT | PTE_PRESENT | PTE_WRITE | PTE_USER;
	for (uint64_t i = 0; i < 4; i++)
		pdpt[i] = (TABLE_PD + i * PAGE_SIZE) | PTE_PRESENT | PTE_WRITE | PTE_USER;
	for (uint64_t i = 0; i < 2048; i++)
		*guest_pde(machine, i << 21) = i << 21 | PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_LARGE;
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type, bool long_code)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.dpl = 0,
		.db = !long_code,
		.s = 1,
		.l = long_code,
		.g = 1,
	};
}

static struct kvm_segment real_segment(uint8_t type)
{
	return (struct kvm_segment){ .limit = 0xffff, .type = type, .present = 1, .s = 1 };
}

static void set_data_segments(struct kvm_sregs *sregs, struct kvm_segment segment)
{
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = segment;
}

static void set_real(struct kvm_sregs *sregs)
{
	sregs->cr0 = CR0_ET;
	sregs->cr4 = 0;
	sregs->efer = 0;
	sregs->cs = real_segment(11);
	set_data_segments(sregs, real_segment(3));
	sregs->idt.base = 0;
	sregs->idt.limit = 0x3ff;
}

static void set_protected(struct kvm_sregs *sregs, enum guest_mode mode, unsigned int cpu_id)
{
	bool is_long = mode == GUEST_LONG;

	sregs->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE;
	sregs->cr4 = CR4_OSFXSR;
	sregs->efer = 0;
	if (is_long) {
		sregs->cr0 |= CR0_PG;
		sregs->cr3 = TABLE_PML4;
		sregs->cr4 |= CR4_PAE;
		sregs->efer = EFER_LME | EFER_LMA;
	}
	sregs->cs = flat_segment(SELECTOR_CODE, 11, is_long);
	set_data_segments(sregs, flat_segment(SELECTOR_DATA, 3, false));
	sregs->gdt.base = TABLE_GDT;
	sregs->gdt.limit = 7 * 8 - 1;
	sregs->idt.base = TABLE_IDT;
	sregs->idt.limit = is_long ? 0xfff : 0x7ff;
	sregs->tr = (struct kvm_segment){
		.base = TABLE_TSS + cpu_id * TSS_STRIDE,
		.limit = 0x67,
		.selector = SELECTOR_TSS,
		.type = 11,
		.present = 1,
	};
}

void guest_start(struct cpu *cpu, enum guest_mode mode, struct guest_code code)
{
	struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2, .rsp = GUEST_STACK - cpu->id * 256ull };
	struct machine *machine = cpu->machine;
	struct kvm_sregs sregs = cpu_sregs(cpu);

	check(code.end - code.start <= GUEST_STACK - GUEST_CODE - 1024);
	guest_copy(machine, GUEST_CODE, code);
	if (mode == GUEST_REAL) {
		set_real(&sregs);
	} else {
		write_idt(machine, mode);
		write_gdt(machine, mode, cpu->id);
		set_protected(&sregs, mode, cpu->id);
	}
	if (mode == GUEST_LONG)
		write_page_tables(machine);
	cpu_set_sregs(cpu, &sregs);
	cpu_set_regs(cpu, &regs);
}

void guest_enter_user(struct cpu *cpu)
{
	struct kvm_sregs sregs = cpu_sregs(cpu);

	sregs.cs.selector = SELECTOR_CODE3;
	sregs.cs.dpl = 3;
	set_data_segments(&sregs, flat_segment(SELECTOR_DATA3, 3, false));
	sregs.ds.dpl = sregs.es.dpl = sregs.fs.dpl = sregs.gs.dpl = sregs.ss.dpl = 3;
	cpu_set_sregs(cpu, &sregs);
}

void guest_start_at(struct cpu *cpu, struct guest_code code, uint32_t address)
{
	struct kvm_regs regs;

	guest_start(cpu, GUEST_LONG, code);
	memcpy(cpu->machine->mem + address, code.start, (size_t)(code.end - code.start));
	regs = cpu_regs(cpu);
	regs.rip = address;
	cpu_set_regs(cpu, &regs);
}
