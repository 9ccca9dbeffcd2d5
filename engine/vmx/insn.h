/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The instructions that only a kernel with VT-x can execute. Nothing else in this folder executes one: tests bring their own file
 * instead of this one and are the processor (tests/unit/vmx_insn.h, which has its guard).
 */
#ifndef VMX_INSN_H
#define VMX_INSN_H

#include "hw.h"

/* The current VMCS of this CPU. */
static inline u64 vmread(u64 field)
{
	u64 val;

	asm volatile("vmread %1, %0" : "=rm"(val) : "r"(field) : "cc");
	return val;
}
static inline void vmwrite(u64 field, u64 val)
{
	asm volatile("vmwrite %1, %0" : : "r"(field), "rm"(val) : "cc");
}

/* True: done. The operand of each is a physical address. */
static inline bool vmxon(u64 pa)
{
	bool ok;

	asm volatile("vmxon %1" : "=@cca"(ok) : "m"(pa) : "memory");
	return ok;
}
static inline void vmxoff(void)
{
	asm volatile("vmxoff" : : : "cc", "memory");
}
static inline bool vmclear(u64 pa)
{
	bool ok;

	asm volatile("vmclear %1" : "=@cca"(ok) : "m"(pa) : "memory");
	return ok;
}
static inline bool vmptrld(u64 pa)
{
	bool ok;

	asm volatile("vmptrld %1" : "=@cca"(ok) : "m"(pa) : "memory");
	return ok;
}
static inline void invept(u64 type, u64 eptp)
{
	struct {
		u64 eptp, zero;
	} d = { eptp, 0 };

	asm volatile("invept %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}
static inline void invvpid(u64 type, u16 vpid)
{
	struct {
		u64 vpid, linear;
	} d = { vpid, 0 };

	asm volatile("invvpid %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}

/* --- what this CPU has loaded ----------------------------------------------------------------------------------- */

static inline u64 read_cr0(void)
{
	u64 val;

	asm volatile("mov %%cr0, %0" : "=r"(val));
	return val;
}
static inline u64 read_cr2(void)
{
	u64 val;

	asm volatile("mov %%cr2, %0" : "=r"(val));
	return val;
}
static inline void write_cr2(u64 val)
{
	asm volatile("mov %0, %%cr2" : : "r"(val));
}
static inline u64 read_cr3(void)
{
	u64 val;

	asm volatile("mov %%cr3, %0" : "=r"(val));
	return val;
}
static inline void read_tables(struct hw_table *gdt, struct hw_table *idt)
{
	asm volatile("sgdt %0; sidt %1" : "=m"(*gdt), "=m"(*idt));
}
static inline void read_selectors(u16 *cs, u16 *ss, u16 *tr)
{
	asm volatile("mov %%cs, %0; mov %%ss, %1; str %2" : "=r"(*cs), "=r"(*ss), "=r"(*tr));
}
static inline u16 read_ldt(void)
{
	u16 sel;

	asm volatile("sldt %0" : "=r"(sel));
	return sel;
}

#endif /* VMX_INSN_H */
