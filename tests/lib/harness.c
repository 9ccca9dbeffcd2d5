/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm_target.h"

#define EXIT_SKIP 77
#define DEFAULT_TIMEOUT 60
#define MAX_FILTERS 64

/* Without libanykvm in the link only the device target exists. */
extern const struct kt_target kt_library_target __attribute__((weak));

/* Why the child failed or skipped: written by the child, read by the parent after its end. */
struct verdict {
	int taken; /* the first reporting thread wins */
	char text[1000];
};

struct difference {
	char *name;
	char *reason;
	struct difference *next;
};

static struct {
	const char *device;
	const char *engine;
	const char *differences_file;
	const char *filters[MAX_FILTERS];
	int filter_count;
	int timeout;
	bool list, in_process, verbose;
} options = { .timeout = DEFAULT_TIMEOUT };

static struct test *tests;
static struct difference *differences;
static struct verdict *verdict;
static unsigned int passed, failed, skipped;

void test_register(struct test *test)
{
	struct test **link = &tests;

	/* Sorted by file, then in the order of the file: constructors run in link order. */
	while (*link && strcmp((*link)->file, test->file) <= 0)
		link = &(*link)->next;
	test->next = *link;
	*link = test;
}

static void verdict_write(const char *format, va_list args)
{
	if (__atomic_exchange_n(&verdict->taken, 1, __ATOMIC_SEQ_CST))
		return;
	vsnprintf(verdict->text, sizeof(verdict->text), format, args);
}

void test_fail(const char *file, int line, const char *format, ...)
{
	char located[300];
	const char *base = strrchr(file, '/');
	va_list args;

	snprintf(located, sizeof(located), "%s:%d: %s", base ? base + 1 : file, line, format);
	va_start(args, format);
	verdict_write(located, args);
	va_end(args);
	_exit(EXIT_FAILURE);
}

void test_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	verdict_write(format, args);
	va_end(args);
	_exit(EXIT_SKIP);
}

const char *test_errno_name(int error)
{
	const char *name = strerrorname_np(error);

	return name ? name : "unknown errno";
}

/* The child's body: leak checkers see what the test left behind, so release what it made. */
__attribute__((noreturn)) static void child_run(const struct test *test)
{
	test->run();
	kt_close_all();
	exit(EXIT_SUCCESS);
}

static int wait_or_kill(pid_t child, int *status)
{
	int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	struct pollfd waiting = { .fd = pidfd, .events = POLLIN };
	int ready;

	do
		ready = poll(&waiting, 1, options.timeout * 1000);
	while (ready < 0 && errno == EINTR);
	close(pidfd);
	if (ready == 0)
		kill(-child, SIGKILL);
	waitpid(child, status, 0);
	return ready;
}

static void report(const char *what, const char *name, const char *text)
{
	printf("%s %s%s%s\n", what, name, *text ? ": " : "", text);
	fflush(stdout);
}

static void run_one(const struct test *test)
{
	int status;
	pid_t child;

	memset(verdict, 0, sizeof(*verdict));
	fflush(NULL);
	child = fork();
	if (child < 0) {
		perror("fork");
		exit(2);
	}
	if (child == 0) {
		setpgid(0, 0);
		child_run(test);
	}
	setpgid(child, child);
	if (wait_or_kill(child, &status) == 0) {
		snprintf(verdict->text, sizeof(verdict->text), "no end after %d s", options.timeout);
		failed++;
		report("FAIL", test->name, verdict->text);
	} else if (WIFSIGNALED(status)) {
		snprintf(verdict->text, sizeof(verdict->text), "killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
		failed++;
		report("FAIL", test->name, verdict->text);
	} else if (WEXITSTATUS(status) == EXIT_SKIP) {
		skipped++;
		report("SKIP", test->name, verdict->text);
	} else if (WEXITSTATUS(status)) {
		if (!*verdict->text)
			snprintf(verdict->text, sizeof(verdict->text), "exit status %d", WEXITSTATUS(status));
		failed++;
		report("FAIL", test->name, verdict->text);
	} else {
		passed++;
		if (options.verbose)
			report("PASS", test->name, "");
	}
}

/* One difference a line: a test's name, blanks, the explanation. '#' starts a comment line. */
static void read_differences(const char *path)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;

	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	while (getline(&line, &size, file) > 0) {
		struct difference *difference;
		char *reason = line + strcspn(line, " \t\n");

		if (*line == '#' || reason == line)
			continue;
		if (*reason)
			*reason++ = '\0';
		reason += strspn(reason, " \t");
		reason[strcspn(reason, "\n")] = '\0';
		difference = malloc(sizeof(*difference));
		difference->name = strdup(line);
		difference->reason = strdup(reason);
		difference->next = differences;
		differences = difference;
	}
	free(line);
	fclose(file);
}

static void free_differences(void)
{
	while (differences) {
		struct difference *difference = differences;

		differences = difference->next;
		free(difference->name);
		free(difference->reason);
		free(difference);
	}
}

static const struct difference *find_difference(const char *name)
{
	for (const struct difference *d = differences; d; d = d->next)
		if (!strcmp(d->name, name))
			return d;
	return NULL;
}

static bool wanted(const struct test *test)
{
	const char *base = strrchr(test->file, '/');

	base = base ? base + 1 : test->file;
	for (int i = 0; i < options.filter_count; i++)
		if (strstr(test->name, options.filters[i]) || !strcmp(base, options.filters[i]))
			return true;
	return options.filter_count == 0;
}

static void usage(const char *program)
{
	printf("usage: %s [OPTION...] [FILTER...]\n"
	       "Runs the tests whose name contains a FILTER, or whose file is FILTER; all without one.\n"
	       "  --device PATH       test this KVM device (default: libanykvm)\n"
	       "  --engine NAME       libanykvm's engine: interpreter, translator or lockstep\n"
	       "  --differences FILE  tests to skip on this target, each with an explanation\n"
	       "  --timeout SECONDS   limit for one test against hangs (default %d)\n"
	       "  --in-process        do not fork (for a debugger; one test only)\n"
	       "  --verbose           name the tests that pass, too\n"
	       "  --list              only list the tests\n",
	       program, DEFAULT_TIMEOUT);
}

static const char *option_value(int argc, char **argv, int *i)
{
	if (*i + 1 >= argc) {
		fprintf(stderr, "%s needs a value\n", argv[*i]);
		exit(2);
	}
	return argv[++*i];
}

static void parse_options(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];

		if (!strcmp(arg, "--device")) {
			options.device = option_value(argc, argv, &i);
		} else if (!strcmp(arg, "--engine")) {
			options.engine = option_value(argc, argv, &i);
		} else if (!strcmp(arg, "--differences")) {
			options.differences_file = option_value(argc, argv, &i);
		} else if (!strcmp(arg, "--timeout")) {
			options.timeout = atoi(option_value(argc, argv, &i));
		} else if (!strcmp(arg, "--in-process")) {
			options.in_process = true;
		} else if (!strcmp(arg, "--verbose")) {
			options.verbose = true;
		} else if (!strcmp(arg, "--list")) {
			options.list = true;
		} else if (!strcmp(arg, "--help")) {
			usage(argv[0]);
			exit(0);
		} else if (*arg == '-') {
			usage(argv[0]);
			exit(2);
		} else if (options.filter_count < MAX_FILTERS) {
			options.filters[options.filter_count++] = arg;
		}
	}
}

static void select_target(void)
{
	if (options.device) {
		kt_select(&kt_device_target, options.device);
	} else if (&kt_library_target) {
		kt_select(&kt_library_target, options.engine);
	} else {
		fprintf(stderr, "built without libanykvm: --device PATH is needed\n");
		exit(2);
	}
}

int test_main(int argc, char **argv)
{
	parse_options(argc, argv);
	if (!options.list)
		select_target();
	verdict = mmap(NULL, sizeof(*verdict), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (verdict == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	if (options.differences_file)
		read_differences(options.differences_file);
	for (const struct test *test = tests; test; test = test->next) {
		const struct difference *difference = find_difference(test->name);

		if (!wanted(test))
			continue;
		if (options.list) {
			puts(test->name);
		} else if (difference) {
			skipped++;
			report("SKIP", test->name, difference->reason);
		} else if (options.in_process) {
			child_run(test);
		} else {
			run_one(test);
		}
	}
	free_differences();
	if (options.list)
		return 0;
	if (!passed && !failed && !skipped) {
		fprintf(stderr, "no such test\n");
		return 2;
	}
	printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
	return failed ? 1 : 0;
}
