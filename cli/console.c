/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "console.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "devices.h"
#include "message.h"
#include "terminal.h"

#define ESCAPE 0x01 /* Ctrl-A */

/*
 * A driver that probes the port turns the receiver interrupt on for moments and then clears the
 * FIFO. Input waits until the guest has listened this long.
 */
#define SETTLE_MS 10

#define OUTPUT_RETRY_MS 100

static const int handled_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT };

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Output: on vCPU threads. */

static void write_byte(struct console *c, uint8_t byte)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };

	while (!c->output_closed && write(STDOUT_FILENO, &byte, 1) != 1) {
		if (errno == EAGAIN) /* someone else made it non-blocking */
			poll(&out, 1, OUTPUT_RETRY_MS);
		else if (errno != EINTR)
			c->output_closed = true;
		if (machine_ended(c->machine) != MACHINE_RUNNING)
			break; /* nobody reads: do not hold up the end */
	}
}

static void transmit(void *context, uint8_t byte, bool polled)
{
	struct console *c = context;
	bool panic;

	pthread_mutex_lock(&c->output_lock);
	panic = polled && panicwatch_byte(&c->watch, byte);
	write_byte(c, byte);
	pthread_mutex_unlock(&c->output_lock);
	if (panic)
		machine_panicked(c->machine);
}

static void input_wanted(void *context)
{
	struct console *c = context;
	const uint64_t one = 1;

	/* Cannot fail but when it is full, and then the main thread is awake anyway. */
	if (write(c->wake_event, &one, sizeof(one)) < 0)
		return;
}

static const struct serial_ops serial_ops = {
	.transmit = transmit,
	.input_wanted = input_wanted,
};

/* Input: on the main thread. */

static void show_help(void)
{
	message("Ctrl-A x   end the virtual machine");
	message("Ctrl-A b   send a break (for the magic SysRq key)");
	message("Ctrl-A h   this help");
	message("Ctrl-A Ctrl-A   send Ctrl-A");
}

static void buffer_byte(struct console *c, uint8_t byte)
{
	if (c->fill == CONSOLE_BUFFER)
		return; /* a terminal's user types at a guest that does not listen */
	c->buffer[(c->start + c->fill) % CONSOLE_BUFFER] = byte;
	c->fill++;
}

static void take_escape(struct console *c, uint8_t byte)
{
	switch (byte) {
	case 'x':
	case 'X': machine_end(c->machine, MACHINE_QUIT, "ended by Ctrl-A x"); break;
	case 'b': serial_break(&c->serial); break;
	case 'h':
	case '?': show_help(); break;
	case ESCAPE: buffer_byte(c, ESCAPE); break;
	}
}

static void take_byte(struct console *c, uint8_t byte)
{
	if (c->escaped) {
		c->escaped = false;
		take_escape(c, byte);
	} else if (byte == ESCAPE) {
		c->escaped = true;
	} else {
		buffer_byte(c, byte);
	}
}

/* A full buffer stops a pipe or file; a terminal is read on, for the sake of Ctrl-A x. */
static bool reads_input(const struct console *c)
{
	if (!c->input_open)
		return false;
	return c->fill < CONSOLE_BUFFER || isatty(STDIN_FILENO);
}

static void read_input(struct console *c)
{
	uint8_t bytes[4096];
	size_t room = CONSOLE_BUFFER - c->fill;
	ssize_t n;

	if (terminal_in_background()) {
		c->input_open = false; /* until we are continued in the foreground */
		return;
	}
	n = read(STDIN_FILENO, bytes, room && room < sizeof(bytes) ? room : sizeof(bytes));
	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		c->input_open = false;
	for (ssize_t i = 0; i < n; i++)
		take_byte(c, bytes[i]);
}

/* Give the guest what it takes. Returns the time until the next try in ms, -1: when woken. */
static int feed(struct console *c)
{
	int64_t now = now_ms();

	if (!c->fill)
		return -1;
	if (!serial_listens(&c->serial)) {
		c->settled = false;
		c->listening_since = -1;
		return -1;
	}
	if (c->listening_since < 0)
		c->listening_since = now;
	if (!c->settled) {
		if (now - c->listening_since < SETTLE_MS)
			return SETTLE_MS;
		c->settled = true;
	}
	while (c->fill) {
		size_t piece = CONSOLE_BUFFER - c->start < c->fill ? CONSOLE_BUFFER - c->start : c->fill;
		size_t taken = serial_input(&c->serial, c->buffer + c->start, piece);

		c->start = (c->start + taken) % CONSOLE_BUFFER;
		c->fill -= taken;
		if (taken < piece)
			break;
	}
	return -1;
}

static void stop_for_a_while(void)
{
	terminal_restore();
	raise(SIGSTOP);
}

static void take_signal(struct console *c)
{
	struct signalfd_siginfo info;

	if (read(c->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGTSTP: stop_for_a_while(); break;
	case SIGCONT:
		terminal_raw();
		c->input_open = true;
		break;
	default:
		machine_end(c->machine, MACHINE_SIGNAL, "%s", strsignal(info.ssi_signo));
		c->machine->end_signal = info.ssi_signo;
	}
}

bool console_block_signals(struct console *c)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(handled_signals) / sizeof(handled_signals[0]); i++) {
		struct sigaction old;

		if (!sigaction(handled_signals[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaddset(&set, handled_signals[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	c->signal_fd = -1;
	c->wake_event = -1;
	if (!pthread_sigmask(SIG_BLOCK, &set, NULL))
		c->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (c->signal_fd < 0)
		message("signalfd failed: %s", strerror(errno));
	return c->signal_fd >= 0;
}

bool console_init(struct console *c, struct machine *m)
{
	c->machine = m;
	c->wake_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->wake_event < 0)
		message("eventfd failed: %s", strerror(errno));
	pthread_mutex_init(&c->output_lock, NULL);
	c->watch = (struct panicwatch){ 0 };
	c->output_closed = false;
	c->start = 0;
	c->fill = 0;
	c->input_open = true;
	c->escaped = false;
	c->settled = false;
	c->listening_since = -1;
	serial_init(&c->serial, m, SERIAL_PORT, SERIAL_IRQ, &serial_ops, c);
	return c->wake_event >= 0;
}

void console_run(struct console *c)
{
	enum { END, SIGNAL, WAKE, INPUT, COUNT };
	struct pollfd fds[COUNT] = {
		[END] = { .fd = c->machine->end_event, .events = POLLIN },
		[SIGNAL] = { .fd = c->signal_fd, .events = POLLIN },
		[WAKE] = { .fd = c->wake_event, .events = POLLIN },
		[INPUT] = { .events = POLLIN },
	};
	uint64_t count;

	terminal_raw();
	while (machine_ended(c->machine) == MACHINE_RUNNING) {
		int timeout = feed(c);

		fds[INPUT].fd = reads_input(c) ? STDIN_FILENO : -1;
		if (poll(fds, COUNT, timeout) < 0)
			continue;
		if (fds[SIGNAL].revents)
			take_signal(c);
		if (fds[WAKE].revents && read(c->wake_event, &count, sizeof(count)) < 0)
			continue;
		if (fds[INPUT].revents)
			read_input(c);
	}
}

void console_destroy(struct console *c)
{
	if (c->wake_event >= 0)
		close(c->wake_event);
	close(c->signal_fd);
	pthread_mutex_destroy(&c->output_lock);
}
