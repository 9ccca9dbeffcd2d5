/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* anykvm - the command: picks a subcommand. */
#include "command.h"
#include "message.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "anykvm.h"

static const struct command commands[] = {
	{ "boot", "boot a Linux kernel, its serial console on this terminal", cmd_boot },
	{ "run", "run a program that uses /dev/kvm on anykvm's engines", cmd_run },
	{ "env", "print what to export for that", cmd_env },
	{ "check", "say what this machine offers, what anykvm will use, what to do", cmd_check },
	{ "stat", "show exits and times of running machines", cmd_stat },
	{ "trace", "record ioctls, exits and events of machines", cmd_trace },
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *out)
{
	fputs("usage: anykvm COMMAND [ARGUMENTS]\n"
	      "KVM on any machine: runs virtual machines with or without hardware virtualization.\n\n"
	      "commands:\n",
	      out);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("\n'anykvm COMMAND --help' describes a command; 'anykvm --version' prints the version.\n", out);
}

/*
 * A program started with 0, 1 or 2 closed would find its next files (guest memory, a device) there
 * and write console output into them.
 */
static void hold_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	hold_standard_fds();
	if (argc < 2) {
		print_help(stderr);
		return STATUS_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_help(stdout);
		return STATUS_OK;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("anykvm %s\n", anykvm_version());
		return STATUS_OK;
	}
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		char name[32];

		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		/* getopt's messages begin so. */
		snprintf(name, sizeof(name), "anykvm: %s", argv[1]);
		argv[1] = name;
		return commands[i].main(argc - 1, argv + 1);
	}
	message("no command '%s'; 'anykvm --help' lists them", argv[1]);
	return STATUS_USAGE;
}
