/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "terminal.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "message.h"

static struct termios saved;
static atomic_bool is_raw;

void terminal_restore(void)
{
	if (!atomic_exchange(&is_raw, false))
		return;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
	message_raw(false);
}

/* The instruction faults again on return, or raise() takes effect: now with the default action. */
static void crash_handler(int signal)
{
	terminal_restore();
	raise(signal);
}

void terminal_guard(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS };
	struct sigaction action = { .sa_handler = crash_handler, .sa_flags = SA_RESETHAND };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	atexit(terminal_restore);
}

bool terminal_in_background(void)
{
	pid_t foreground = tcgetpgrp(STDIN_FILENO);

	return foreground >= 0 && foreground != getpgrp();
}

void terminal_raw(void)
{
	struct termios raw;

	if (is_raw || terminal_in_background() || tcgetattr(STDIN_FILENO, &saved) < 0)
		return;
	raw = saved;
	cfmakeraw(&raw);
	is_raw = true;
	message_raw(true);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
		terminal_restore();
}
