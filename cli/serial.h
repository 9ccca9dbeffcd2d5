/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * serial.h - a 16550A UART. Transmission takes no time; reception is paced by the guest: it takes
 * bytes only while the guest listens and has room, and none are lost.
 *
 * Register layout and interrupt rules: National Semiconductor PC16550D data sheet.
 */
#ifndef CLI_SERIAL_H
#define CLI_SERIAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct machine;

#define SERIAL_FIFO 16

struct serial_ops {
	/*
	 * The guest sent a byte. polled: it had the transmitter interrupt off, so it did not come from a
	 * terminal driver's queue. Called on a vCPU's thread without a lock; may block.
	 */
	void (*transmit)(void *context, uint8_t byte, bool polled);
	/* The guest began to listen, or made room. Called under the device's lock. */
	void (*input_wanted)(void *context);
};

struct serial {
	struct machine *machine;
	unsigned int irq;
	const struct serial_ops *ops;
	void *context;

	pthread_mutex_t lock; /* all below */
	uint8_t ier, fcr, lcr, mcr, msr, scr;
	uint8_t divisor[2];
	uint16_t fifo[SERIAL_FIFO]; /* byte, and LSR error bits << 8 */
	unsigned int head, fill;
	bool overrun;
	bool thre_pending; /* THRE interrupt not yet acknowledged */
	bool irq_level;
	unsigned int idle_polls; /* reads of an empty receiver since the last transmission */
};

void serial_init(struct serial *s, struct machine *m, uint16_t port, unsigned int irq, const struct serial_ops *ops,
		 void *context);

/* The guest wants input: its receiver interrupt is on, or it polls an empty receiver. */
bool serial_listens(struct serial *s);

/* Give bytes to the guest; returns how many were taken, 0 if it does not listen or has no room. */
size_t serial_input(struct serial *s, const uint8_t *bytes, size_t count);

/* Send a break condition. */
void serial_break(struct serial *s);

#endif
