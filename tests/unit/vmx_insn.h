/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* In place of engine/vmx/insn.h, whose guard it has: the made-up processor's instructions (vmx_fake.c). */
#ifndef VMX_INSN_H
#define VMX_INSN_H

#include "hw.h"

u64 vmread(u64 field);
void vmwrite(u64 field, u64 val);
bool vmxon(u64 pa);
void vmxoff(void);
bool vmclear(u64 pa);
bool vmptrld(u64 pa);
void invept(u64 type, u64 eptp);
void invvpid(u64 type, u16 vpid);
u64 read_cr0(void);
u64 read_cr2(void);
void write_cr2(u64 val);
u64 read_cr3(void);
void read_tables(struct hw_table *gdt, struct hw_table *idt);
void read_selectors(u16 *cs, u16 *ss, u16 *tr);
u16 read_ldt(void);

#endif /* VMX_INSN_H */
