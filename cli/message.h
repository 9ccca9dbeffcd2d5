/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * message.h - what anykvm says to the user on standard error: one line each, "anykvm: " in front,
 * no newline in the format. Safe from any thread.
 */
#ifndef CLI_MESSAGE_H
#define CLI_MESSAGE_H

#include <stdbool.h>

void message(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* With raw set, lines end in LF CR: the terminal does not translate in raw mode. */
void message_raw(bool raw);

#endif
