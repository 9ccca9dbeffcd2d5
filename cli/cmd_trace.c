/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * anykvm trace - ioctls, exits, injections and errors of VMs as lines of text: of a program from its start, of a running one,
 * or what an ended one has left. The library writes records into a ring (monitor.h); this reads them.
 */
#include "command.h"
#include "message.h"
#include "module.h"
#include "tracetext.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
	"usage: anykvm trace [-o FILE] [--engine NAME] [--route NAME] -- PROGRAM [ARGUMENTS]\n"
	"       anykvm trace [-o FILE] --pid PID\n"
	"       anykvm trace [-o FILE] --module\n"
	"       anykvm trace [-o FILE] --decode PATH\n"
	"Writes a line for each KVM ioctl, exit, injected event and return to user space.\n"
	"\n"
	"  -o FILE          write to FILE instead of standard error\n"
	"  --engine NAME    as in anykvm run\n"
	"  --route NAME     as in anykvm run\n"
	"  --pid PID        of a running process, from now on, until it ends or you interrupt\n"
	"                   (of one with machines of the kernel module anykvm.ko as root: its tracepoints)\n"
	"  --module         all machines of the kernel module, until you interrupt\n"
	"  --decode PATH    what processes that ran with ANYKVM_TRACE=FOLDER in the environment have left:\n"
	"                   the folder, or one file of it (the last "
	"131072 records of each process)\n"
	"  --help           this text\n"
	"\n"
	"Exit status: the program's; with --pid and --decode 0, or 1 on failure.\n";

#define DRAIN_NS 10000000
#define ASK_SECONDS 5.0

struct options {
	const char *output, *engine, *route, *decode;
	pid_t pid;
	bool module;
};

static volatile sig_atomic_t stopped;
static volatile pid_t traced_child;

static void stop(int signal)
{
	stopped = 1;
	if (traced_child > 0)
		kill(traced_child, signal);
}

/* --- the ring -------------------------------------------------------------------------------------------------- */

enum read_result { RECORD_READ, RECORD_MISSING, RECORD_LOST };

/* The record of this index as a whole, not yet written, or overwritten already. */
static enum read_result read_record(const struct watched *w, uint64_t index, struct monitor_record *r)
{
	const struct monitor_record *from = &w->file->record[index & (MONITOR_RECORDS - 1)];
	uint64_t seq = __atomic_load_n(&from->seq, __ATOMIC_ACQUIRE);

	if (seq > index + 1)
		return RECORD_LOST;
	if (seq != index + 1)
		return RECORD_MISSING;
	*r = *(const volatile struct monitor_record *)from;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&from->seq, __ATOMIC_RELAXED) == seq ? RECORD_READ : RECORD_LOST;
}

/* All records that are there. final: nobody writes any more, so what is missing has been lost. */
static void drain(FILE *out, struct watched *w, bool final)
{
	uint64_t head = __atomic_load_n(&w->file->header.head, __ATOMIC_ACQUIRE), lost = 0;
	struct monitor_record r;

	if (head - w->next_record > MONITOR_RECORDS) {
		lost = head - w->next_record - MONITOR_RECORDS;
		w->next_record += lost;
	}
	for (; w->next_record < head; w->next_record++) {
		enum read_result result = read_record(w, w->next_record, &r);

		if (result == RECORD_MISSING && !final)
			break;
		if (result != RECORD_READ) {
			lost++;
			continue;
		}
		if (lost)
			fprintf(out, "%llu records lost\n", (unsigned long long)lost);
		lost = 0;
		trace_print(out, w, &r);
	}
	if (lost)
		fprintf(out, "%llu records lost\n", (unsigned long long)lost);
}

static void drain_all(FILE *out, struct watched *list, bool final)
{
	for (struct watched *w = list; w; w = w->next)
		drain(out, w, final);
	fflush(out);
}

static void rest(void)
{
	const struct timespec wait = { .tv_nsec = DRAIN_NS };

	nanosleep(&wait, NULL);
}

/* --- a folder of files ------------------------------------------------------------------------------------------- */

/* forget: unlink each file once it is mapped. */
static void scan_folder(struct watched **list, const char *folder, bool forget)
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *dir = opendir(folder);

	while (dir && (e = readdir(dir))) {
		if (strncmp(e->d_name, MONITOR_NAME, strlen(MONITOR_NAME)) != 0 ||
		    (size_t)snprintf(path, sizeof(path), "%s/%s", folder, e->d_name) >= sizeof(path))
			continue;
		if (watch_add_file(list, path, false) && forget)
			unlink(path);
	}
	if (dir)
		closedir(dir);
}

static int decode(const struct options *o, FILE *out)
{
	struct watched *list = NULL;
	struct stat st;

	if (stat(o->decode, &st) == 0 && S_ISDIR(st.st_mode))
		scan_folder(&list, o->decode, false);
	else if (!watch_add_file(&list, o->decode, true))
		return STATUS_FAILED;
	if (!list) {
		message("%s: no trace in it", o->decode);
		return STATUS_FAILED;
	}
	drain_all(out, list, true);
	watch_free(&list);
	return STATUS_OK;
}

/* --- a running process --------------------------------------------------------------------------------------------- */

/* One tracer at a time: two would each get all, but either's end would end both. */
static bool claim(struct watched *w)
{
	__u32 other = __atomic_load_n(&w->file->header.tracer, __ATOMIC_RELAXED);

	if (other && other != (__u32)getpid() && kill((pid_t)other, 0) == 0) {
		message("process %d is being traced by process %u", w->pid, other);
		return false;
	}
	__atomic_store_n(&w->file->header.tracer, (__u32)getpid(), __ATOMIC_RELAXED);
	w->next_record = __atomic_load_n(&w->file->header.head, __ATOMIC_RELAXED);
	return true;
}

static int attach(const struct options *o, FILE *out)
{
	struct watched *list = NULL;
	bool denied = false;

	if (!watch_find(&list, o->pid, &denied)) {
		struct module_vm *vm = module_find(o->pid);

		module_free(vm);
		if (vm)
			return module_trace(o->pid, out, &stopped);
		message("process %d %s", o->pid,
			denied ? "may not be looked at by you" : "has no machine on anykvm's engines");
		return STATUS_FAILED;
	}
	if (!claim(list))
		return STATUS_FAILED;
	while (!stopped && !ferror(out) && kill(o->pid, 0) == 0) {
		watch_ask(list, MONITOR_TRACE, ASK_SECONDS);
		rest();
		drain_all(out, list, false);
	}
	watch_stop(list, MONITOR_TRACE);
	__atomic_store_n(&list->file->header.tracer, 0, __ATOMIC_RELAXED);
	drain_all(out, list, true);
	watch_free(&list);
	return STATUS_OK;
}

/* --- a program from its start ------------------------------------------------------------------------------------------ */

/* In memory if possible. False with a message. */
static bool make_folder(char *path, size_t size)
{
	const char *temporary = getenv("TMPDIR");
	const char *const places[] = { "/dev/shm", temporary && *temporary ? temporary : "/tmp" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if ((size_t)snprintf(path, size, "%s/anykvm-trace.XXXXXX", places[i]) < size && mkdtemp(path))
			return true;
	}
	message("%s: %s", path, strerror(errno));
	return false;
}

static void remove_folder(const char *folder)
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *dir = opendir(folder);

	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] != '.' &&
		    (size_t)snprintf(path, sizeof(path), "%s/%s", folder, e->d_name) < sizeof(path))
			unlink(path);
	}
	if (dir)
		closedir(dir);
	rmdir(folder);
}

/* In the child: as `anykvm run` would. */
static _Noreturn void become(const struct options *o, int argc, char **argv, const char *folder)
{
	char *run[argc + 7];
	int n = 0;

	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	setenv("ANYKVM_TRACE", folder, 1);
	run[n++] = (char *)"run";
	if (o->engine) {
		run[n++] = (char *)"--engine";
		run[n++] = (char *)o->engine;
	}
	if (o->route) {
		run[n++] = (char *)"--route";
		run[n++] = (char *)o->route;
	}
	run[n++] = (char *)"--";
	for (int i = 0; i < argc; i++)
		run[n++] = argv[i];
	run[n] = NULL;
	_exit(cmd_run(n, run));
}

static int follow(pid_t child, const char *folder, FILE *out)
{
	struct watched *list = NULL;
	int status = 0;

	while (waitpid(child, &status, WNOHANG) != child) {
		rest();
		scan_folder(&list, folder, true);
		drain_all(out, list, false);
	}
	traced_child = 0;
	scan_folder(&list, folder, true);
	drain_all(out, list, true);
	/* What the program has left behind in the background is not traced any more. */
	for (struct watched *w = list; w; w = w->next)
		watch_stop(w, MONITOR_TRACE);
	watch_free(&list);
	return WIFSIGNALED(status) ? STATUS_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

static int trace_program(const struct options *o, int argc, char **argv, FILE *out)
{
	char folder[PATH_MAX];
	int status;
	pid_t child;

	if (!make_folder(folder, sizeof(folder)))
		return STATUS_FAILED;
	child = fork();
	if (child == 0)
		become(o, argc, argv, folder);
	if (child < 0) {
		message("fork: %s", strerror(errno));
		status = STATUS_FAILED;
	} else {
		traced_child = child;
		status = follow(child, folder, out);
	}
	remove_folder(folder);
	return status;
}

/* --- the command ----------------------------------------------------------------------------------------------------- */

static bool parse(int argc, char **argv, struct options *o, int *status)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' }, { "engine", required_argument, NULL, 'e' },
		{ "route", required_argument, NULL, 'r' },  { "pid", required_argument, NULL, 'p' },
		{ "decode", required_argument, NULL, 'd' }, { "module", no_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },         { 0 },
	};
	char *end;
	int c;

	optind = 1;
	*status = STATUS_USAGE;
	while ((c = getopt_long(argc, argv, "+o:p:h", options, NULL)) != -1) {
		switch (c) {
		case 'o': o->output = optarg; break;
		case 'e': o->engine = optarg; break;
		case 'r': o->route = optarg; break;
		case 'd': o->decode = optarg; break;
		case 'm': o->module = true; break;
		case 'p':
			o->pid = (pid_t)strtol(optarg, &end, 10);
			if (*end || o->pid <= 0) {
				message("--pid %s: not a process", optarg);
				return false;
			}
			break;
		case 'h':
			fputs(help, stdout);
			*status = STATUS_OK;
			return false;
		default: return false;
		}
	}
	if ((optind < argc) + (o->pid != 0) + (o->decode != NULL) + o->module == 1)
		return true;
	message("trace: name one of a program, --pid, --module, --decode; see anykvm trace --help");
	return false;
}

static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction on_stop = { .sa_handler = stop };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &on_stop, NULL);
}

int cmd_trace(int argc, char **argv)
{
	struct options o = { 0 };
	FILE *out = stderr;
	bool lost;
	int status;

	if (!parse(argc, argv, &o, &status))
		return status;
	if (o.output) {
		out = fopen(o.output, "we");
		if (!out) {
			message("%s: %s", o.output, strerror(errno));
			return STATUS_FAILED;
		}
	}
	catch_signals();
	if (o.decode)
		status = decode(&o, out);
	else if (o.module)
		status = module_trace(0, out, &stopped);
	else if (o.pid)
		status = attach(&o, out);
	else
		status = trace_program(&o, argc - optind, argv + optind, out);
	lost = ferror(out);
	if (out != stderr && fclose(out) | lost) {
		message("%s: not all could be written", o.output);
		status = STATUS_FAILED;
	}
	return status;
}
