/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* anykvm boot - a small virtual machine monitor on the KVM ABI: boots a Linux kernel. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acpi.h"
#include "command.h"
#include "console.h"
#include "devices.h"
#include "load.h"
#include "machine.h"
#include "message.h"
#include "terminal.h"
#include "vcpu.h"

#define DEFAULT_MEMORY (512ull << 20)
#define MEMORY_MAX (1ull << 40)
#define COMMAND_LINE_SIZE BOOT_COMMAND_LINE_MAX

struct boot_options {
	const char *kernel;
	const char *initrd;
	const char *append;
	const char *device;
	uint64_t memory;
	unsigned int cpus;
	enum anykvm_engine engine;
	bool engine_given;
};

static const char help[] = "usage: anykvm boot --kernel FILE [OPTIONS]\n"
			   "Boots a Linux kernel in a virtual machine; its serial console is this terminal.\n"
			   "\n"
			   "  --kernel FILE    Linux bzImage (vmlinuz), or ELF kernel\n"
			   "  --initrd FILE    initial RAM disk\n"
			   "  --append STRING  kernel command line; 'console=ttyS0' and 'panic=-1' are put in\n"
			   "                   front unless it has a console= or panic= of its own\n"
			   "  --memory SIZE    guest memory: a number with K, M, G or T, MiB if without (512M)\n"
			   "  --cpus N         virtual CPUs (1)\n"
			   "  --engine NAME    auto, interpreter, translator or lockstep (auto)\n"
			   "  --device PATH    use this KVM device, like /dev/kvm, instead of an engine\n"
			   "  --help           this text\n"
			   "\n"
			   "Ctrl-A x ends the virtual machine, Ctrl-A h shows the other keys.\n"
			   "\n"
			   "Exit status: 0 the guest powered off or rebooted, or Ctrl-A x; 1 cannot run;\n"
			   "2 bad arguments; 3 the guest crashed or its kernel panicked; 128+N signal N.\n";

/* A size like 512M; false if it is none or too large for 64 bits. */
static bool parse_size(const char *text, uint64_t *size)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	unsigned int shift = 20;
	unsigned long long number;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (*end) {
		suffix = strchr(suffixes, *end & ~0x20);
		if (!suffix || !*suffix || (end[1] && strcasecmp(end + 1, "iB") && strcasecmp(end + 1, "B")))
			return false;
		shift = 10 * (suffix - suffixes + 1);
	}
	if (number > UINT64_MAX >> shift)
		return false;
	*size = number << shift;
	return true;
}

static bool parse_memory(const char *text, struct boot_options *o)
{
	if (!parse_size(text, &o->memory)) {
		message("--memory %s is not a size; give it like 512M or 2G", text);
		return false;
	}
	o->memory &= -(uint64_t)0x1000;
	if (o->memory < BOOT_MEMORY_MIN) {
		message("--memory %s is too little; no kernel runs in less than %llu MiB", text, BOOT_MEMORY_MIN >> 20);
		return false;
	}
	if (o->memory > MEMORY_MAX) {
		message("--memory %s is too much; the limit is %llu GiB", text, MEMORY_MAX >> 30);
		return false;
	}
	return true;
}

static bool parse_cpus(const char *text, struct boot_options *o)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || n < 1 || n > MAX_CPUS) {
		message("--cpus %s: give a number from 1 to %d", text, MAX_CPUS);
		return false;
	}
	o->cpus = n;
	return true;
}

static bool parse_engine(const char *text, struct boot_options *o)
{
	static const char *const names[] = {
		[ANYKVM_ENGINE_AUTO] = "auto",
		[ANYKVM_ENGINE_INTERPRETER] = "interpreter",
		[ANYKVM_ENGINE_TRANSLATOR] = "translator",
		[ANYKVM_ENGINE_LOCKSTEP] = "lockstep",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			o->engine = i;
			o->engine_given = true;
			return true;
		}
	}
	message("--engine %s: the engines are auto, interpreter, translator and lockstep", text);
	return false;
}

/* False: stop with *status. */
static bool parse_arguments(int argc, char **argv, struct boot_options *o, int *status)
{
	enum {
		KERNEL = 'k',
		INITRD = 'i',
		APPEND = 'a',
		MEMORY = 'm',
		CPUS = 'c',
		ENGINE = 'e',
		DEVICE = 'd',
		HELP = 'h'
	};
	static const struct option options[] = {
		{ "kernel", required_argument, NULL, KERNEL },
		{ "initrd", required_argument, NULL, INITRD },
		{ "append", required_argument, NULL, APPEND },
		{ "memory", required_argument, NULL, MEMORY },
		{ "cpus", required_argument, NULL, CPUS },
		{ "engine", required_argument, NULL, ENGINE },
		{ "device", required_argument, NULL, DEVICE },
		{ "help", no_argument, NULL, HELP },
		{ 0 },
	};
	bool ok = true;
	int option;

	*status = STATUS_USAGE;
	opterr = 0;
	while (ok && (option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (option) {
		case KERNEL: o->kernel = optarg; break;
		case INITRD: o->initrd = optarg; break;
		case APPEND: o->append = optarg; break;
		case MEMORY: ok = parse_memory(optarg, o); break;
		case CPUS: ok = parse_cpus(optarg, o); break;
		case ENGINE: ok = parse_engine(optarg, o); break;
		case DEVICE: o->device = optarg; break;
		case HELP:
			fputs(help, stdout);
			*status = STATUS_OK;
			return false;
		case ':': message("%s needs a value; see 'anykvm boot --help'", argv[optind - 1]); return false;
		default: message("no option %s; see 'anykvm boot --help'", argv[optind - 1]); return false;
		}
	}
	if (!ok)
		return false;
	/* A bare argument is the kernel, if --kernel does not name one. */
	if (!o->kernel && optind < argc)
		o->kernel = argv[optind++];
	if (optind < argc) {
		message("unexpected argument %s; see 'anykvm boot --help'", argv[optind]);
		return false;
	}
	if (!o->kernel) {
		message("no kernel given; see 'anykvm boot --help'");
		return false;
	}
	if (o->device && o->engine_given) {
		message("--engine and --device exclude each other");
		return false;
	}
	return true;
}

/* Whether one of the command line's words starts with this text. */
static bool has_parameter(const char *line, const char *start)
{
	size_t length = strlen(start);

	for (const char *at = line; (at = strstr(at, start)); at += length) {
		if (at == line || at[-1] == ' ')
			return true;
	}
	return false;
}

static bool make_command_line(const struct boot_options *o, char line[COMMAND_LINE_SIZE])
{
	const char *append = o->append ? o->append : "";
	int n = snprintf(line, COMMAND_LINE_SIZE, "%s%s%s", has_parameter(append, "console=") ? "" : "console=ttyS0 ",
			 has_parameter(append, "panic=") ? "" : "panic=-1 ", append);

	if (n >= COMMAND_LINE_SIZE) {
		message("the command line is too long: %d bytes", n);
		return false;
	}
	return true;
}

static struct kvmdev *open_kvm(const struct boot_options *o)
{
	struct kvmdev *sys;
	int err = o->device ? kvmdev_open_device(o->device, &sys) : kvmdev_open_library(o->engine, &sys);

	if (err >= 0)
		return sys;
	if (o->device)
		message("cannot open the KVM device %s: %s; without --device none is needed", o->device,
			strerror(-err));
	else if (err == -ENOSYS)
		message("this engine is not available here; leave --engine out for one that is");
	else
		message("cannot start the engine: %s", strerror(-err));
	return NULL;
}

struct boot_machine {
	struct machine machine;
	struct console console;
	struct rtc rtc;
	struct power power;
	struct keyboard keyboard;
	struct pvpanic pvpanic;
};

static bool prepare(struct boot_machine *b, const struct boot_options *o)
{
	static char line[COMMAND_LINE_SIZE];
	struct machine *m = &b->machine;
	struct load_request request = { .kernel = o->kernel, .initrd = o->initrd, .command_line = line };
	struct entry entry;

	if (!console_init(&b->console, m) || !make_command_line(o, line))
		return false;
	rtc_init(&b->rtc, m);
	power_init(&b->power, m);
	keyboard_init(&b->keyboard, m);
	pvpanic_init(&b->pvpanic, m);
	request.rsdp = acpi_write_tables(m);
	return request.rsdp && load_guest(m, &request, &entry) && vcpu_create_all(m) && vcpu_set_entry(m, &entry);
}

/* Tell how it ended; returns the exit status. */
static int conclude(struct machine *m)
{
	bool panic = m->panic_seen;
	int status = STATUS_OK;

	switch (m->end) {
	case MACHINE_RUNNING:
	case MACHINE_POWEROFF:
	case MACHINE_QUIT:
	case MACHINE_PANIC: break;
	case MACHINE_RESET:
		if (!panic)
			message("the guest rebooted");
		break;
	case MACHINE_SIGNAL: status = STATUS_SIGNAL + m->end_signal; break;
	case MACHINE_CRASH: status = STATUS_GUEST; break;
	case MACHINE_ERROR: status = STATUS_FAILED; break;
	}
	if (m->end_text[0])
		message("%s", m->end_text);
	if (panic) {
		message("the guest's kernel panicked");
		if (status == STATUS_OK)
			status = STATUS_GUEST;
	}
	if (m->report && status == STATUS_GUEST)
		fputs(m->report, stderr);
	return status;
}

static int run(struct boot_machine *b)
{
	int status;

	if (vcpu_start_all(&b->machine))
		console_run(&b->console);
	if (!vcpu_join_all(&b->machine)) {
		/* Threads still use the machine: leave without taking it down. */
		terminal_restore();
		_exit(STATUS_FAILED);
	}
	terminal_restore();
	status = conclude(&b->machine);
	return status;
}

int cmd_boot(int argc, char **argv)
{
	static struct boot_machine b;
	struct boot_options options = { .memory = DEFAULT_MEMORY, .cpus = 1 };
	struct kvmdev *sys;
	int status;

	if (!parse_arguments(argc, argv, &options, &status))
		return status;
	status = STATUS_FAILED;
	if (!console_block_signals(&b.console))
		return status;
	terminal_guard();
	sys = open_kvm(&options);
	if (!sys)
		return status;
	if (machine_create(&b.machine, sys, options.memory, options.cpus)) {
		if (prepare(&b, &options))
			status = run(&b);
		console_destroy(&b.console);
	}
	machine_destroy(&b.machine);
	return status;
}
