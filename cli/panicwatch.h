/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * panicwatch.h - sees in the console output that a Linux guest panics, for stock kernels whose
 * pvpanic driver is not loaded: without it a panic ends in a reset like any other.
 *
 * Only bytes that the guest sent with the transmitter interrupt off are looked at. Those come from
 * the kernel's own console; what programs print goes through the terminal driver, which has it on.
 * So a program that shows an old log does not count. (What root writes to /dev/kmsg does.)
 */
#ifndef CLI_PANICWATCH_H
#define CLI_PANICWATCH_H

#include <stdbool.h>
#include <stdint.h>

struct panicwatch {
	unsigned int matched; /* characters of the phrase seen so far */
};

/* Feed one polled byte; true when it completes the phrase. */
bool panicwatch_byte(struct panicwatch *watch, uint8_t byte);

#endif
