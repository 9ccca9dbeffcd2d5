/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * start.h - how anykvm-inject is told what to do. It is executed as
 *
 *	anykvm-inject SETTINGS PROGRAM ARGUMENT0 ARGUMENT1 ...
 *
 * where PROGRAM is an ELF file and SETTINGS are lines: ANYKVM_...= as in the environment (which the program may change), and between two of its own processes FILTER=1 (the filter is there), FD=N (anykvm-inject's own
 * descriptor), CLOSE=N (a descriptor that was kept for PROGRAM), MASK=HEX (the signal mask).
 */
#ifndef SHIM_START_H
#define SHIM_START_H

#include <stddef.h>

#define SETTING_PREFIX "ANYKVM_"
#define INJECT_NAME "anykvm-inject"

/* The lines for the environment's settings. */
void shim_settings(char *to, size_t size);

#endif /* SHIM_START_H */
