/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * console.h - joins the guest's serial port with standard input and output, and is the main loop:
 * it waits for input, signals and the end of the machine.
 *
 * On input Ctrl-A is an escape: x ends, b sends a break, h helps, Ctrl-A sends itself.
 */
#ifndef CLI_CONSOLE_H
#define CLI_CONSOLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine.h"
#include "panicwatch.h"
#include "serial.h"

#define CONSOLE_BUFFER 65536

struct console {
	struct machine *machine;
	struct serial serial;
	int signal_fd;
	int wake_event; /* eventfd: the guest wants input */

	pthread_mutex_t output_lock; /* the next two; held while a write blocks */
	struct panicwatch watch;
	bool output_closed;

	/* Main thread only: */
	uint8_t buffer[CONSOLE_BUFFER]; /* input not yet taken by the guest */
	size_t start, fill;
	bool input_open;
	bool escaped;            /* the last byte was Ctrl-A */
	bool settled;            /* the guest has listened for a while */
	int64_t listening_since; /* ms, or -1 */
};

/*
 * Block the signals that console_run() handles: before any thread is made. Those that were ignored
 * when the program started stay ignored.
 */
bool console_block_signals(struct console *console);

bool console_init(struct console *console, struct machine *m);

/* Returns when the machine has ended. */
void console_run(struct console *console);

void console_destroy(struct console *console);

#endif
