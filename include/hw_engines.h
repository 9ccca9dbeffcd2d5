/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The engines that drive hardware as the kernel module's main file sees them. */
#ifndef ANYKVM_HW_ENGINES_H
#define ANYKVM_HW_ENGINES_H

#include "engine.h"

extern const struct engine_ops svm_engine;
/*
 * Is AMD-V there and usable, and what engines need once: 0, -ENODEV (no AMD processor or no AMD-V: nothing is said; too old: said in
 * the log), -EPERM (off in the firmware), -ENOMEM.
 */
int svm_module_init(void);
void svm_module_exit(void);

extern const struct engine_ops vmx_engine;
/* What of the processor's VT-x is to be used if it is there. */
struct vmx_options {
	bool unrestricted; /* the processor runs guests without paging; else the library does */
	bool virtual_nmis; /* it knows when a guest's NMI handler has ended; else that is guessed */
	bool monitor_trap; /* it stops after each instruction for a debugger; else RFLAGS.TF does, which is hidden from the guest */
};
/* The same for Intel VT-x. */
int vmx_module_init(const struct vmx_options *options);
void vmx_module_exit(void);

#endif /* ANYKVM_HW_ENGINES_H */
