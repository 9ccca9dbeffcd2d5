/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* anykvm run, anykvm env - a program that uses /dev/kvm, on anykvm's engines. */
#include "command.h"
#include "message.h"
#include "../shim/program.h"
#include "../shim/start.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PRELOAD_NAME "libanykvm-preload.so"

static const char run_help[] = "usage: anykvm run [OPTIONS] -- PROGRAM [ARGUMENTS]\n"
			       "Runs a program for which /dev/kvm exists, also where this machine has none.\n"
			       "\n"
			       "  --engine NAME    auto, interpreter, translator or lockstep (auto)\n"
			       "  --route NAME     how /dev/kvm comes to it: auto, preload or inject (auto)\n"
			       "  --trace FILE     as anykvm trace -o FILE -- PROGRAM\n"
			       "  --verbose        say what is done, and log what the library has to say\n"
			       "  --help           this text\n"
			       "\n"
			       "Exit status: the program's; 127 it was not found, 126 it could not be run.\n";

static const char env_help[] = "usage: anykvm env [--engine NAME] [--trace FOLDER]\n"
			       "Prints what to export so that programs started from a shell find /dev/kvm:\n"
			       "  eval \"$(anykvm env)\"\n";

enum { STATUS_CANNOT_RUN = 126, STATUS_NOT_FOUND = 127 };

enum route { ROUTE_AUTO, ROUTE_PRELOAD, ROUTE_INJECT };
static const char *const route_names[] = { "auto", "preload", "inject" };

struct run_options {
	enum route route;
	const char *engine;
	const char *trace; /* run: file; env: folder, absolute */
	bool verbose;
};

/*
 * The parts of each route lie beside the command (in a build tree), or where `make install` puts them:
 * ../lib/anykvm from the command's folder. False: neither, with a message.
 */
static bool find_part(const char *name, char *path, size_t size)
{
	static const char *const places[] = { "", "../lib/anykvm/" };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0) {
		message("/proc is not mounted: mount it, the command must find its own library");
		return false;
	}
	self[n] = 0;
	slash = strrchr(self, '/');
	*slash = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if ((size_t)snprintf(path, size, "%s/%s%s", self, places[i], name) < size && access(path, R_OK) == 0)
			return true;
	}
	message("%s is not beside the command nor in ../lib/anykvm: run make, or make install", name);
	return false;
}

static bool valid_engine(const char *name)
{
	if (!strcmp(name, "auto") || !strcmp(name, "interpreter") || !strcmp(name, "translator") ||
	    !strcmp(name, "lockstep"))
		return true;
	message("--engine %s: the engines are auto, interpreter, translator and lockstep", name);
	return false;
}

static bool parse_route(const char *name, enum route *route)
{
	for (unsigned i = 0; i < sizeof(route_names) / sizeof(route_names[0]); i++) {
		if (!strcmp(name, route_names[i])) {
			*route = (enum route)i;
			return true;
		}
	}
	message("--route %s: the routes are auto, preload and inject", name);
	return false;
}

/* The program may change its folder before it opens the device. NULL with a message. */
static const char *absolute(const char *path)
{
	char dir[PATH_MAX];
	char *whole;

	if (path[0] == '/')
		return path;
	if (getcwd(dir, sizeof(dir)) && asprintf(&whole, "%s/%s", dir, path) >= 0)
		return whole;
	message("%s: %s", path, strerror(errno));
	return NULL;
}

/* False: stop with *status. optind is left at the program. */
static bool parse(int argc, char **argv, const char *help, struct run_options *o, int *status)
{
	static const struct option options[] = {
		{ "engine", required_argument, NULL, 'e' }, { "route", required_argument, NULL, 'r' },
		{ "trace", required_argument, NULL, 't' },  { "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },         { 0 },
	};
	int c;

	optind = 1;
	*status = STATUS_USAGE;
	while ((c = getopt_long(argc, argv, "+vh", options, NULL)) != -1) {
		switch (c) {
		case 'e':
			if (!valid_engine(optarg))
				return false;
			o->engine = optarg;
			break;
		case 'r':
			if (!parse_route(optarg, &o->route))
				return false;
			break;
		case 't':
			o->trace = absolute(optarg);
			if (!o->trace)
				return false;
			break;
		case 'v': o->verbose = true; break;
		case 'h':
			fputs(help, stdout);
			*status = STATUS_OK;
			return false;
		default: return false;
		}
	}
	return true;
}

/* Search PATH as execvp does. False: not found. */
static bool find_program(const char *name, char *path, size_t size)
{
	const char *dirs = getenv("PATH");

	if (strchr(name, '/'))
		return (size_t)snprintf(path, size, "%s", name) < size && access(path, F_OK) == 0;
	for (dirs = dirs ? dirs : "/usr/local/bin:/usr/bin:/bin"; dirs;) {
		const char *end = strchrnul(dirs, ':');

		if ((size_t)snprintf(path, size, "%.*s%s%s", (int)(end - dirs), dirs, end > dirs ? "/" : "", name) <
			    size &&
		    access(path, X_OK) == 0)
			return true;
		dirs = *end ? end + 1 : NULL;
	}
	return false;
}

/* Our library in front of what the user preloads. */
static bool set_preload(const char *library)
{
	const char *old = getenv("LD_PRELOAD");
	char *value;
	bool ok;

	if (!old || !*old)
		return setenv("LD_PRELOAD", library, 1) == 0;
	if (asprintf(&value, "%s:%s", library, old) < 0)
		return false;
	ok = setenv("LD_PRELOAD", value, 1) == 0;
	free(value);
	return ok;
}

/* The environment that both routes take their settings from. */
static bool set_environment(const struct run_options *o)
{
	if ((o->engine && setenv("ANYKVM_ENGINE", o->engine, 1)) || (o->verbose && setenv("ANYKVM_LOG", "info", 0))) {
		message("out of memory");
		return false;
	}
	return true;
}

static int exec_failed(const char *program)
{
	int err = errno;

	message("%s: %s", program, strerror(err));
	return err == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

/* The dynamic loader of a program that gains privileges forgets LD_PRELOAD. */
static bool gains_privileges(const char *path)
{
	struct stat st;

	return !stat(path, &st) && ((st.st_mode & S_ISUID && st.st_uid != getuid()) ||
				    (st.st_mode & S_ISGID && st.st_mode & S_IXGRP && st.st_gid != getgid()));
}

static int run_preloaded(const struct run_options *o, const char *program, char **argv)
{
	char library[PATH_MAX];

	if (!find_part(PRELOAD_NAME, library, sizeof(library)))
		return STATUS_FAILED;
	if (!set_preload(library)) {
		message("out of memory");
		return STATUS_FAILED;
	}
	if (gains_privileges(program)) {
		message("%s is a set-user-ID or set-group-ID program: the library that brings /dev/kvm cannot go "
			"through it; "
			"run anykvm by it instead: %s ... anykvm run -- PROGRAM",
			program, program);
		return STATUS_CANNOT_RUN;
	}
	if (o->verbose)
		message("%s with %s preloaded, engine %s", program, library, o->engine ? o->engine : "auto");
	execv(program, argv);
	return exec_failed(program);
}

static int run_injected(const struct run_options *o, struct program *p, char **argv)
{
	char inject[PATH_MAX], settings[2 * PATH_MAX];
	char **all, **to;
	int n = 0;

	if (!find_part(INJECT_NAME, inject, sizeof(inject)))
		return STATUS_FAILED;
	while (argv[n])
		n++;
	all = to = calloc((size_t)n + PROGRAM_WORDS + 4, sizeof(*all));
	if (!all) {
		message("out of memory");
		return STATUS_FAILED;
	}
	shim_settings(settings, sizeof(settings));
	*to++ = (char *)INJECT_NAME;
	*to++ = settings;
	*to++ = p->path;
	for (int i = 0; i < p->nr_words; i++)
		*to++ = p->word[i];
	/* A script's name stands for argument 0. */
	for (int i = p->nr_words ? 1 : 0; i < n; i++)
		*to++ = argv[i];
	if (o->verbose)
		message("%s by %s, engine %s", p->path, inject, o->engine ? o->engine : "auto");
	execv(inject, all);
	free(all);
	return exec_failed(inject);
}

static int run_program(const struct run_options *o, char **argv)
{
	char path[PATH_MAX];
	struct program p;
	int r;

	if (!find_program(argv[0], path, sizeof(path))) {
		message("%s: not found", argv[0]);
		return STATUS_NOT_FOUND;
	}
	r = program_examine(path, &p);
	if (r < 0) {
		errno = -r;
		return exec_failed(path);
	}
	if (p.kind == PROGRAM_FOREIGN) {
		message("%s is not a 64-bit x86 program", p.path);
		return STATUS_CANNOT_RUN;
	}
	if (o->route == ROUTE_PRELOAD && p.kind == PROGRAM_RAW) {
		message("%s makes its own system calls (it is static, or written in Go, or not for glibc): a preloaded "
			"library does not reach it",
			p.path);
		return STATUS_CANNOT_RUN;
	}
	if (!set_environment(o))
		return STATUS_FAILED;
	if (o->route == ROUTE_INJECT || p.kind == PROGRAM_RAW)
		return run_injected(o, &p, argv);
	return run_preloaded(o, path, argv);
}

/* `anykvm trace` starts the program by cmd_run() again, without this option. */
static int run_traced(const struct run_options *o, int argc, char **argv)
{
	char *trace[argc + 9];
	int n = 0;

	if (o->verbose)
		setenv("ANYKVM_LOG", "info", 0);
	trace[n++] = (char *)"trace";
	trace[n++] = (char *)"-o";
	trace[n++] = (char *)o->trace;
	if (o->engine) {
		trace[n++] = (char *)"--engine";
		trace[n++] = (char *)o->engine;
	}
	if (o->route != ROUTE_AUTO) {
		trace[n++] = (char *)"--route";
		trace[n++] = (char *)route_names[o->route];
	}
	trace[n++] = (char *)"--";
	for (int i = 0; i < argc; i++)
		trace[n++] = argv[i];
	trace[n] = NULL;
	return cmd_trace(n, trace);
}

int cmd_run(int argc, char **argv)
{
	struct run_options o = { 0 };
	int status;

	if (!parse(argc, argv, run_help, &o, &status))
		return status;
	if (optind >= argc) {
		message("run: name a program: anykvm run -- PROGRAM ARGUMENTS");
		return STATUS_USAGE;
	}
	if (o.trace)
		return run_traced(&o, argc - optind, argv + optind);
	return run_program(&o, argv + optind);
}

/* A word that a shell reads back unchanged. */
static void print_quoted(const char *text)
{
	putchar('\'');
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*text);
	}
	putchar('\'');
}

static void print_export(const char *name, const char *value)
{
	if (!value)
		return;
	printf("export %s=", name);
	print_quoted(value);
	putchar('\n');
}

int cmd_env(int argc, char **argv)
{
	struct run_options o = { 0 };
	char library[PATH_MAX];
	int status;

	if (!parse(argc, argv, env_help, &o, &status))
		return status;
	if (optind < argc) {
		message("env: takes no program; see anykvm run");
		return STATUS_USAGE;
	}
	if (!find_part(PRELOAD_NAME, library, sizeof(library)))
		return STATUS_FAILED;
	fputs("export LD_PRELOAD=", stdout);
	print_quoted(library);
	fputs("${LD_PRELOAD:+:$LD_PRELOAD}\n", stdout);
	print_export("ANYKVM_ENGINE", o.engine);
	print_export("ANYKVM_TRACE", o.trace);
	return STATUS_OK;
}
