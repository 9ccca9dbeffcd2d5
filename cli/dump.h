/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* dump.h - a vCPU's registers, code and stack as text, for reports of crashes. */
#ifndef CLI_DUMP_H
#define CLI_DUMP_H

struct vcpu;

/* On the vCPU's own thread, or when it does not run. malloc; NULL without memory. */
char *dump_vcpu(struct vcpu *vcpu);

#endif
