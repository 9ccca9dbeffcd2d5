/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Runs the instruction tests. The last line of the output is "N passed, N failed, N skipped". */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <getopt.h>
#include "insn_test.h"

struct insn_options insn_options = { .seed = 1, .rounds = 100 };

extern const struct insn_test *const __start_insn_tests[], *const __stop_insn_tests[];

/* Messages of one test that are printed; the rest is only counted. */
#define MESSAGES_MAX 3

static struct {
	char name[96];
	unsigned failures, skips;
	bool composite; /* it counts parts of its own */
} current;
static unsigned passed, failed, skipped;

static void start(const char *name)
{
	snprintf(current.name, sizeof(current.name), "%s", name);
	current.failures = current.skips = 0;
}

static void finish(void)
{
	const char *result = current.failures ? "FAIL" : current.skips ? "skip" : "ok";

	if (current.failures)
		failed++;
	else if (current.skips)
		skipped++;
	else
		passed++;
	if (current.failures || insn_options.verbose)
		printf("%-4s %s\n", result, current.name);
	fflush(stdout);
}

void insn_fail(const char *format, ...)
{
	va_list args;

	if (current.failures++ >= MESSAGES_MAX)
		return;
	printf("%s: ", current.name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

void insn_skip(const char *format, ...)
{
	va_list args;

	if (current.skips++ || !insn_options.verbose)
		return;
	printf("%s: skipped: ", current.name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

void insn_begin(const char *format, ...)
{
	char name[96];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	start(name);
	current.composite = true;
}

void insn_end(void)
{
	finish();
	start("");
}

unsigned insn_failures(void)
{
	return current.failures;
}

static void usage(const char *program)
{
	fprintf(stderr,
		"usage: %s [--seed N] [--rounds N] [--only NAME] [--strict] [--verbose]\n"
		"  --rounds N   cases for each opcode and mode (default %u)\n"
		"  --only NAME  tests whose name begins so, or one operation (as in opcodes.def, lower case)\n"
		"  --strict     compare flags that the manual leaves undefined as well\n",
		program, insn_options.rounds);
	exit(2);
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' }, { "rounds", required_argument, NULL, 'r' },
		{ "only", required_argument, NULL, 'o' }, { "strict", no_argument, NULL, 'u' },
		{ "verbose", no_argument, NULL, 'v' },    { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's': insn_options.seed = strtoull(optarg, NULL, 0); break;
		case 'r': insn_options.rounds = strtoul(optarg, NULL, 0); break;
		case 'o': insn_options.only = optarg; break;
		case 'u': insn_options.strict = true; break;
		case 'v': insn_options.verbose = true; break;
		default: usage(argv[0]);
		}
	}
	if (optind != argc)
		usage(argv[0]);
}

/* --only: the tests whose name begins so; else an operation of the user-mode test. */
static bool wanted(const struct insn_test *t)
{
	const struct insn_test *const *other;
	const char *only = insn_options.only;

	if (!only || !strncmp(t->name, only, strlen(only)))
		return true;
	for (other = __start_insn_tests; other != __stop_insn_tests; other++)
		if (!strncmp((*other)->name, only, strlen(only)))
			return false;
	return !strcmp(t->name, "user");
}

int main(int argc, char **argv)
{
	const struct insn_test *const *t;

	parse_options(argc, argv);
	for (t = __start_insn_tests; t != __stop_insn_tests; t++) {
		if (!wanted(*t))
			continue;
		start((*t)->name);
		current.composite = false;
		(*t)->run();
		if (!current.composite)
			finish();
	}
	printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
	return failed ? 1 : 0;
}
