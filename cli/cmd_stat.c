/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* anykvm stat - live counts and times of the exits of running VMs. */
#include "command.h"
#include "kvmnames.h"
#include "message.h"
#include "module.h"
#include "watch.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
	"usage: anykvm stat [OPTIONS]\n"
	"Shows the exits of the virtual machines that run on anykvm's engines: of `anykvm boot`, of\n"
	"programs under `anykvm run`, of programs with the library, of the kernel module anykvm.ko (as root).\n"
	"For the kernel's own KVM there is kvm_stat.\n"
	"\n"
	"  --pid PID        only of this process\n"
	"  --interval S     seconds between two looks (1)\n"
	"  --once           one look at the next interval, then end\n"
	"  --json           a JSON object per interval, on a line of its own\n"
	"  --help           this text\n"
	"\n"
	"Exit status: 0, or 1 if there is no such machine.\n";

struct options {
	pid_t pid;
	double interval;
	bool once, json;
};

/* Counters with a name of their own, in the order shown. */
#define COUNTER(field)                                                                                                 \
	{                                                                                                              \
		offsetof(struct vcpu_stat, field), #field                                                              \
	}
static const struct {
	size_t offset;
	const char *name;
} counters[] = {
	COUNTER(exits),
	COUNTER(irq_injections),
	COUNTER(nmi_injections),
	COUNTER(irq_window_exits),
	COUNTER(nmi_window_exits),
	COUNTER(halt_exits),
	COUNTER(halt_wakeup),
	COUNTER(io_exits),
	COUNTER(mmio_exits),
	COUNTER(insn_emulation),
	COUNTER(hypercalls),
	COUNTER(exceptions),
	COUNTER(tlb_flush),
	COUNTER(request_exits),
	COUNTER(signal_exits),
	COUNTER(insn_emulation_fail),
};

#define COUNTERS (sizeof(counters) / sizeof(counters[0]))

/* What changes, copied at one instant. */
struct sample {
	struct monitor_vcpu vcpu[MONITOR_VCPUS];
	unsigned char used[MONITOR_VCPUS];
	double when; /* seconds */
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	stopped = 1;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Words are copied one by one, as the vCPU's thread writes them. */
static void copy_vcpu(struct monitor_vcpu *to, const struct monitor_vcpu *from)
{
	uint64_t *t = (uint64_t *)to;
	const uint64_t *f = (const uint64_t *)from;

	for (size_t i = 0; i < sizeof(*to) / sizeof(*t); i++)
		t[i] = __atomic_load_n(&f[i], __ATOMIC_RELAXED);
}

static void take(struct sample *s, const struct watched *w)
{
	s->when = seconds();
	for (unsigned i = 0; i < MONITOR_VCPUS; i++) {
		s->used[i] = __atomic_load_n(&w->file->vcpu[i].used, __ATOMIC_ACQUIRE) != 0;
		if (s->used[i])
			copy_vcpu(&s->vcpu[i], &w->file->vcpu[i]);
	}
}

static uint64_t counter(const struct monitor_vcpu *v, size_t i)
{
	return *(const uint64_t *)((const char *)&v->stat + counters[i].offset);
}

/* --- a row: a count, what it has grown by, and the time of that --------------------------------------------------- */

struct row {
	uint64_t total, grown;
	double seconds;
};

enum row_kind { ROW_COUNTER, ROW_CODE, ROW_REASON };

static void add_row(struct row *r, const struct monitor_vcpu *old, const struct monitor_vcpu *new, enum row_kind kind,
		    unsigned i, double ticks)
{
	uint64_t a, b, t = 0;

	switch (kind) {
	case ROW_COUNTER:
		a = counter(old, i);
		b = counter(new, i);
		break;
	case ROW_CODE:
		a = old->stat.by_code[i];
		b = new->stat.by_code[i];
		t = new->code_time[i] - old->code_time[i];
		break;
	default:
		a = old->stat.by_reason[i];
		b = new->stat.by_reason[i];
		t = new->reason_time[i] - old->reason_time[i];
	}
	r->total += b;
	r->grown += b - a;
	r->seconds += (double)t / (ticks * 1e9);
}

/* Of one vCPU, or of all of the process (-1). A vCPU that is new counts from zero. */
static struct row make_row(const struct sample *old, const struct sample *new, int vcpu, enum row_kind kind, unsigned i,
			   double ticks)
{
	static const struct monitor_vcpu nothing;
	struct row r = { 0 };

	for (int k = 0; k < MONITOR_VCPUS; k++) {
		if (new->used[k] && (vcpu < 0 || vcpu == k))
			add_row(&r, old->used[k] ? &old->vcpu[k] : &nothing, &new->vcpu[k], kind, i, ticks);
	}
	return r;
}

static double guest_seconds(const struct sample *old, const struct sample *new, int vcpu, double ticks)
{
	uint64_t sum = 0;

	for (int k = 0; k < MONITOR_VCPUS; k++) {
		if (new->used[k] && (vcpu < 0 || vcpu == k))
			sum += new->vcpu[k].guest_time - (old->used[k] ? old->vcpu[k].guest_time : 0);
	}
	return (double)sum / (ticks * 1e9);
}

static const char *code_name(const struct watched *w, unsigned code, char buf[MONITOR_NAME_SIZE])
{
	memcpy(buf, w->file->header.code_names[code], MONITOR_NAME_SIZE);
	buf[MONITOR_NAME_SIZE - 1] = 0;
	return buf;
}

/* --- words --------------------------------------------------------------------------------------------------------- */

static void print_row(const char *name, const struct row *r, double interval, bool timed)
{
	if (!r->total)
		return;
	printf("  %-22s %12llu %10.0f", name, (unsigned long long)r->total, (double)r->grown / interval);
	if (timed && r->grown)
		printf(" %10.1f us %6.1f %%", r->seconds * 1e6 / (double)r->grown, 100 * r->seconds / interval);
	putchar('\n');
}

static void print_words(const struct watched *w, const struct sample *old, const struct sample *new)
{
	double interval = new->when - old->when, ticks = watch_ticks_per_ns(w);
	char name[MONITOR_NAME_SIZE];
	unsigned vcpus = 0;
	struct row r;

	for (unsigned i = 0; i < MONITOR_VCPUS; i++)
		vcpus += new->used[i];
	printf("%s (pid %d), %u vCPU%s, %.1f s\n", w->name, w->pid, vcpus, vcpus == 1 ? "" : "s", interval);
	printf("  %-22s %12s %10s %13s %8s\n", "exit", "total", "per s", "time each", "of 1 CPU");
	for (unsigned i = 0; i < MONITOR_CODES; i++) {
		r = make_row(old, new, -1, ROW_CODE, i, ticks);
		print_row(code_name(w, i, name), &r, interval, true);
	}
	printf("  %-22s %12s %10s %13s %6.1f %%\n", "in the guest", "", "", "",
	       100 * guest_seconds(old, new, -1, ticks) / interval);
	printf(" to user space\n");
	for (unsigned i = 0; i < MONITOR_REASONS; i++) {
		r = make_row(old, new, -1, ROW_REASON, i, ticks);
		print_row(kvm_exit_name(i) ? kvm_exit_name(i) : "other", &r, interval, true);
	}
	printf(" events\n");
	for (unsigned i = 0; i < COUNTERS; i++) {
		r = make_row(old, new, -1, ROW_COUNTER, i, ticks);
		print_row(counters[i].name, &r, interval, false);
	}
}

/* --- JSON ---------------------------------------------------------------------------------------------------------- */

static json_t *row_json(const struct row *r)
{
	return json_pack("{s:I, s:I, s:f}", "total", (json_int_t)r->total, "count", (json_int_t)r->grown, "seconds",
			 r->seconds);
}

static json_t *vcpu_json(const struct watched *w, const struct sample *old, const struct sample *new, int k)
{
	const struct monitor_vcpu *v = &new->vcpu[k];
	double ticks = watch_ticks_per_ns(w);
	json_t *exits = json_object(), *reasons = json_object(), *others = json_object();
	char name[MONITOR_NAME_SIZE];
	struct row r;

	for (unsigned i = 0; i < MONITOR_CODES; i++) {
		r = make_row(old, new, k, ROW_CODE, i, ticks);
		if (r.total)
			json_object_set_new(exits, code_name(w, i, name), row_json(&r));
	}
	for (unsigned i = 0; i < MONITOR_REASONS; i++) {
		r = make_row(old, new, k, ROW_REASON, i, ticks);
		if (r.total)
			json_object_set_new(reasons, kvm_exit_name(i) ? kvm_exit_name(i) : "other", row_json(&r));
	}
	for (unsigned i = 0; i < COUNTERS; i++) {
		r = make_row(old, new, k, ROW_COUNTER, i, ticks);
		json_object_set_new(
			others, counters[i].name,
			json_pack("{s:I, s:I}", "total", (json_int_t)r.total, "count", (json_int_t)r.grown));
	}
	return json_pack("{s:i, s:i, s:i, s:f, s:o, s:o, s:o}", "vm", (int)v->vm, "vcpu", (int)v->id, "thread",
			 (int)v->thread, "guest_seconds", guest_seconds(old, new, k, ticks), "exits", exits,
			 "to_user_space", reasons, "counters", others);
}

static json_t *process_json(const struct watched *w, const struct sample *old, const struct sample *new)
{
	json_t *vcpus = json_array();

	for (int k = 0; k < MONITOR_VCPUS; k++) {
		if (new->used[k])
			json_array_append_new(vcpus, vcpu_json(w, old, new, k));
	}
	return json_pack("{s:i, s:s, s:f, s:o}", "pid", (int)w->pid, "name", w->name, "interval", new->when - old->when,
			 "vcpus", vcpus);
}

/* --- looking ------------------------------------------------------------------------------------------------------- */

static void pause_for(double interval)
{
	struct timespec wait = { .tv_sec = (time_t)interval };

	wait.tv_nsec = (long)((interval - (double)wait.tv_sec) * 1e9);
	nanosleep(&wait, NULL);
}

/* One interval of every process in the list. False: out of memory. */
static bool look(struct watched *list, const struct options *o)
{
	json_t *processes = json_array(), *machines;
	struct module_vm *before = module_find(o->pid), *after;
	double start = seconds(), interval;
	struct sample *old, *new = malloc(sizeof(*new));
	size_t n = 0, i = 0;

	for (struct watched *w = list; w; w = w->next)
		n++;
	old = calloc(n, sizeof(*old));
	if ((n && !old) || !new || !processes)
		return false;
	for (struct watched *w = list; w; w = w->next) {
		watch_ask(w, MONITOR_TIMES, 3 * o->interval + 1);
		take(&old[i++], w);
	}
	pause_for(o->interval);
	if (!o->json && !o->once && isatty(STDOUT_FILENO))
		fputs("\033[H\033[J", stdout);
	i = 0;
	for (struct watched *w = list; w; w = w->next, i++) {
		take(new, w);
		if (o->json)
			json_array_append_new(processes, process_json(w, &old[i], new));
		else
			print_words(w, &old[i], new);
	}
	after = module_find(o->pid);
	interval = seconds() - start;
	machines = module_json(before, after, interval);
	if (!o->json)
		module_print(before, after, interval);
	if (o->json) {
		json_t *root = json_pack("{s:O, s:O}", "processes", processes, "module", machines);

		json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
		putchar('\n');
		json_decref(root);
	}
	json_decref(processes);
	json_decref(machines);
	module_free(before);
	module_free(after);
	fflush(stdout);
	free(old);
	free(new);
	return true;
}

static bool module_has(pid_t pid)
{
	struct module_vm *list = module_find(pid);
	bool any = list;

	module_free(list);
	return any;
}

static int watch_all(const struct options *o)
{
	struct watched *list = NULL;
	bool denied = false, seen = false;
	int status = STATUS_OK;

	do {
		watch_drop_dead(&list);
		watch_find(&list, o->pid, &denied);
		if (!list && !module_has(o->pid))
			break;
		seen = true;
		if (!look(list, o)) {
			message("out of memory");
			status = STATUS_FAILED;
			break;
		}
	} while (!o->once && !stopped && !ferror(stdout));
	for (struct watched *w = list; w; w = w->next)
		watch_stop(w, MONITOR_TIMES);
	watch_free(&list);
	if (seen)
		return status;
	if (o->pid)
		message("process %d %s", o->pid,
			denied ? "may not be looked at by you" : "has no machine on anykvm's engines");
	else
		message("no machine on anykvm's engines is running%s", denied ? " that you may look at" : "");
	return STATUS_FAILED;
}

static bool parse_number(const char *text, double low, double high, double *value)
{
	char *end;

	*value = strtod(text, &end);
	return end != text && !*end && *value >= low && *value <= high;
}

int cmd_stat(int argc, char **argv)
{
	static const struct option options[] = {
		{ "pid", required_argument, NULL, 'p' }, { "interval", required_argument, NULL, 'i' },
		{ "once", no_argument, NULL, 'o' },      { "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },      { 0 },
	};
	struct sigaction on_stop = { .sa_handler = stop };
	struct options o = { .interval = 1 };
	double value;
	int c;

	while ((c = getopt_long(argc, argv, "p:i:h", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			if (!parse_number(optarg, 1, 1 << 30, &value)) {
				message("--pid %s: not a process", optarg);
				return STATUS_USAGE;
			}
			o.pid = (pid_t)value;
			break;
		case 'i':
			if (!parse_number(optarg, 0.01, 3600, &o.interval)) {
				message("--interval %s: from 0.01 to 3600 seconds", optarg);
				return STATUS_USAGE;
			}
			break;
		case 'o': o.once = true; break;
		case 'j': o.json = true; break;
		case 'h': fputs(help, stdout); return STATUS_OK;
		default: return STATUS_USAGE;
		}
	}
	if (optind < argc) {
		message("stat: unexpected argument '%s'", argv[optind]);
		return STATUS_USAGE;
	}
	sigaction(SIGINT, &on_stop, NULL);
	sigaction(SIGTERM, &on_stop, NULL);
	return watch_all(&o);
}
