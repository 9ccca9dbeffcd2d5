/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * command.h - the subcommands of anykvm and the exit statuses they share.
 *
 * A subcommand is one file cli/cmd_NAME.c with one function, listed once in anykvm.c.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

/* Exit statuses. A run ended by signal N gives 128 + N, as a shell would report it. */
enum exit_status {
	STATUS_OK = 0,
	STATUS_FAILED = 1, /* could not start, or the host failed us */
	STATUS_USAGE = 2,  /* bad arguments */
	STATUS_GUEST = 3,  /* the guest crashed: panic, triple fault, failed entry */
	STATUS_SIGNAL = 128,
};

struct command {
	const char *name;
	const char *summary;
	/* argv[0] is the subcommand's name; returns an exit status. */
	int (*main)(int argc, char **argv);
};

int cmd_boot(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_env(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_trace(int argc, char **argv);

#endif
