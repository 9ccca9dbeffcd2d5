/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * terminal.h - the terminal on standard input in raw mode, and back on every path: exit, signals,
 * crashes of this process. Main thread only, except for the restoring in signal handlers.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>

/*
 * Install what restores the terminal when the process exits or crashes. Before the KVM library is
 * opened, so that the library hands on faults that are not its own.
 */
void terminal_guard(void);

/* Nothing happens if standard input is no terminal or belongs to another job now. */
void terminal_raw(void);
void terminal_restore(void);

/* Whether a read of standard input would stop this process: it is a background job. */
bool terminal_in_background(void);

#endif
