/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* anykvm run, anykvm env - a program that uses /dev/kvm, on anykvm's engines. */
#include "command.h"
#include "message.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PRELOAD_NAME "libanykvm-preload.so"

static const char run_help[] = "usage: anykvm run [OPTIONS] -- PROGRAM [ARGUMENTS]\n"
			       "Runs a program for which /dev/kvm exists, also where this machine has none.\n"
			       "\n"
			       "  --engine NAME    auto, interpreter, translator or lockstep (auto)\n"
			       "  --trace FILE     as anykvm trace -o FILE -- PROGRAM\n"
			       "  --verbose        say what is done, and log what the library has to say\n"
			       "  --help           this text\n"
			       "\n"
			       "Exit status: the program's; 127 it was not found, 126 it could not be run.\n";

static const char env_help[] = "usage: anykvm env [--engine NAME] [--trace FOLDER]\n"
			       "Prints what to export so that programs started from a shell find /dev/kvm:\n"
			       "  eval \"$(anykvm env)\"\n";

enum { STATUS_CANNOT_RUN = 126, STATUS_NOT_FOUND = 127 };

struct run_options {
	const char *engine;
	const char *trace; /* run: file; env: folder, absolute */
	bool verbose;
};

/*
 * The preloaded library lies beside the command (in a build tree), or where `make install` puts it:
 * ../lib/anykvm from the command's folder. False: neither, with a message.
 */
static bool find_preload(char *path, size_t size)
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
		if ((size_t)snprintf(path, size, "%s/%s%s", self, places[i], PRELOAD_NAME) < size &&
		    access(path, R_OK) == 0)
			return true;
	}
	message("%s is not beside the command nor in ../lib/anykvm: run make, or make install", PRELOAD_NAME);
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
		{ "engine", required_argument, NULL, 'e' },
		{ "trace", required_argument, NULL, 't' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
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

enum linking { LINKED_DYNAMIC, LINKED_STATIC, LINKED_FOREIGN, LINKED_OTHER };

/* How the program at path is linked: the dynamic loader is what a preload needs. Scripts and the like are OTHER. */
static enum linking linking_of(const char *path)
{
	enum linking result = LINKED_OTHER;
	Elf64_Ehdr eh;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return result;
	if (pread(fd, &eh, sizeof(eh), 0) == (ssize_t)sizeof(eh) && !memcmp(eh.e_ident, ELFMAG, SELFMAG)) {
		result = eh.e_machine == EM_X86_64 && eh.e_ident[EI_CLASS] == ELFCLASS64 ? LINKED_STATIC
											 : LINKED_FOREIGN;
		for (unsigned i = 0; result == LINKED_STATIC && i < eh.e_phnum; i++) {
			Elf64_Phdr ph;

			if (pread(fd, &ph, sizeof(ph), (off_t)(eh.e_phoff + i * sizeof(ph))) == (ssize_t)sizeof(ph) &&
			    ph.p_type == PT_INTERP)
				result = LINKED_DYNAMIC;
		}
	}
	close(fd);
	return result;
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

static int run_program(const struct run_options *o, char **argv)
{
	char library[PATH_MAX], program[PATH_MAX];
	int err;

	if (!find_preload(library, sizeof(library)))
		return STATUS_FAILED;
	if (!find_program(argv[0], program, sizeof(program))) {
		message("%s: not found", argv[0]);
		return STATUS_NOT_FOUND;
	}
	switch (linking_of(program)) {
	case LINKED_STATIC:
		message("%s is statically linked: anykvm run cannot reach its system calls yet (see docs/status.md)",
			program);
		return STATUS_CANNOT_RUN;
	case LINKED_FOREIGN: message("%s is not a 64-bit x86 program", program); return STATUS_CANNOT_RUN;
	case LINKED_DYNAMIC:
	case LINKED_OTHER: break;
	}
	if (!set_preload(library) || (o->engine && setenv("ANYKVM_ENGINE", o->engine, 1)) ||
	    (o->verbose && setenv("ANYKVM_LOG", "info", 0))) {
		message("out of memory");
		return STATUS_FAILED;
	}
	if (o->verbose)
		message("%s with %s preloaded, engine %s", program, library, o->engine ? o->engine : "auto");
	execv(program, argv);
	err = errno;
	message("%s: %s", program, strerror(err));
	return err == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

/* `anykvm trace` starts the program by cmd_run() again, without this option. */
static int run_traced(const struct run_options *o, int argc, char **argv)
{
	char *trace[argc + 7];
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
	if (!find_preload(library, sizeof(library)))
		return STATUS_FAILED;
	fputs("export LD_PRELOAD=", stdout);
	print_quoted(library);
	fputs("${LD_PRELOAD:+:$LD_PRELOAD}\n", stdout);
	print_export("ANYKVM_ENGINE", o.engine);
	print_export("ANYKVM_TRACE", o.trace);
	return STATUS_OK;
}
