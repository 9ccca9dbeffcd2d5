/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* anykvm check - what this machine offers, what anykvm will use, and what to do; in words or as JSON. */
#include "command.h"
#include "hostfacts.h"
#include "message.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] = "usage: anykvm check [--json]\n"
			   "Says what this machine offers to virtual machines, what anykvm will use, what to do.\n"
			   "\n"
			   "  --json    the same for programs\n"
			   "  --help    this text\n"
			   "\n"
			   "Exit status: 0 guests run at full speed (a KVM device, or the translator);\n"
			   "4 only by interpretation, slowly; 5 not at all; 1 the check failed.\n";

enum { STATUS_SLOW = 4, STATUS_NOTHING = 5 };

#define MAX_ADVICE 8

struct verdict {
	const struct device_facts *device; /* the KVM device that runs stock guests, or NULL */
	const char *engine;                /* the software engine that anykvm uses, or NULL */
	int status;
	char advice[MAX_ADVICE][240];
	unsigned count;
};

static __attribute__((format(printf, 2, 3))) void advise(struct verdict *v, const char *format, ...)
{
	va_list ap;

	if (v->count == MAX_ADVICE)
		return;
	va_start(ap, format);
	vsnprintf(v->advice[v->count++], sizeof(v->advice[0]), format, ap);
	va_end(ap);
}

/* --- what follows from the facts ------------------------------------------------------------------------------ */

static const char *module_for(const struct cpu_facts *c)
{
	return !strcmp(c->extension, "vmx") ? "kvm_intel" : "kvm_amd";
}

static void advise_hardware(struct verdict *v, const struct host_facts *f)
{
	const struct cpu_facts *c = &f->cpu;

	if (!c->extension && c->in_vm)
		advise(v, "For hardware speed: this is a virtual machine without VT-x or AMD-V; ask its provider for "
			  "nested "
			  "virtualization, or use a bare-metal machine.");
	else if (c->extension && c->firmware_off == YES)
		advise(v, "For hardware speed: %s is switched off; switch it on in the firmware's setup (%s).",
		       !strcmp(c->extension, "vmx") ? "VT-x" : "AMD-V",
		       !strcmp(c->extension, "vmx") ? "Intel Virtualization Technology" : "SVM mode");
	else if (c->extension && f->device[0].state == DEVICE_ABSENT && f->device[1].state == DEVICE_ABSENT)
		advise(v, "For hardware speed: load a module: modprobe %s, or anykvm's own (docs/hardware.md).",
		       module_for(c));
}

static void advise_device(struct verdict *v, const struct host_facts *f)
{
	for (size_t i = 0; i < sizeof(f->device) / sizeof(f->device[0]); i++) {
		const struct device_facts *d = &f->device[i];

		switch (d->state) {
		case DEVICE_OK:
			advise(v,
			       "%s runs stock guests: programs can use it as it is; `anykvm run` is not needed for "
			       "them%s.",
			       d->path, i ? " if they can be told its name" : "");
			break;
		case DEVICE_NO_PERMISSION:
			advise(v,
			       "To use %s: %sbecome a member of its group (usermod -aG %s USER, then log in again); in "
			       "a "
			       "container, "
			       "its device rules must allow it (docker run --device %s).",
			       d->path, d->group_may ? "" : "give it to a group (chgrp kvm, chmod 660) and ",
			       d->group_may ? d->group : "kvm", d->path);
			break;
		case DEVICE_NODE_MISSING:
			advise(v, "The kernel has KVM but %s is not here: docker run --device %s, or mknod as root.",
			       d->path, d->path);
			break;
		case DEVICE_CANNOT_RUN:
			advise(v,
			       "%s is there but cannot run stock guests: start programs with `anykvm run -- PROGRAM`.",
			       d->path);
			break;
		case DEVICE_BROKEN:
		case DEVICE_ABSENT: break;
		}
	}
}

static const char *obstacle(const struct host_facts *f)
{
	switch (-f->translator.probe) {
	case 0: return NULL;
	case ENOSYS: return f->cpu.bmi2 ? "fsgsbase" : "bmi2";
	case ENOMEM: return "address-space";
	default: return "executable-memory";
	}
}

static void advise_translator(struct verdict *v, const struct host_facts *f)
{
	switch (-f->translator.probe) {
	case 0: break;
	case ENOSYS:
		advise(v,
		       f->cpu.bmi2
			       ? "The translator needs a kernel with FSGSBASE (Linux 5.9 or newer, without nofsgsbase)."
			       : "The translator needs a processor with BMI2 (Haswell, Zen or newer).");
		break;
	case ENOMEM:
		if (f->limits.address_space != UINT64_MAX)
			advise(v, "The translator needs address space: ulimit -v unlimited (now %" PRIu64 " MiB).",
			       f->limits.address_space >> 20);
		else if (f->limits.overcommit == 2)
			advise(v, "The translator needs address space: sysctl vm.overcommit_memory=0 (now 2, strict).");
		else
			advise(v, "The translator needs more memory than there is.");
		break;
	default:
		advise(v,
		       "Executable memory is refused (%s): allow mappings of memfds with PROT_EXEC (SELinux: execmem; "
		       "seccomp "
		       "filter: memfd_create, mmap%s).",
		       strerror(-f->translator.probe),
		       f->limits.memfd_noexec == 2 ? "; sysctl vm.memfd_noexec is 2" : "");
	}
}

static void conclude(struct verdict *v, const struct host_facts *f)
{
	memset(v, 0, sizeof(*v));
	for (size_t i = 0; i < sizeof(f->device) / sizeof(f->device[0]); i++) {
		if (f->device[i].state == DEVICE_OK && !v->device)
			v->device = &f->device[i];
	}
	if (f->translator.trial.ok)
		v->engine = "translator";
	else if (f->interpreter.trial.ok)
		v->engine = "interpreter";
	if (v->device || f->translator.trial.ok)
		v->status = STATUS_OK;
	else
		v->status = v->engine ? STATUS_SLOW : STATUS_NOTHING;
	advise_device(v, f);
	if (!v->device)
		advise_hardware(v, f);
	advise_translator(v, f);
	if (v->engine && !v->device && f->device[0].state != DEVICE_CANNOT_RUN)
		advise(v, "Programs that want /dev/kvm: anykvm run -- PROGRAM. A kernel: anykvm boot KERNEL.");
}

/* --- words ------------------------------------------------------------------------------------------------------ */

static void print_trial(const struct trial *t)
{
	if (t->ok)
		printf("runs the trial guest, %.0f million loops per second\n", t->loops);
	else
		printf("the trial guest fails at '%s': %s\n", trial_step_name(t->step), t->detail);
}

static void print_device(const struct device_facts *d)
{
	printf("%-13s", d->path);
	switch (d->state) {
	case DEVICE_ABSENT: printf("not there; the kernel has no such driver\n"); break;
	case DEVICE_NODE_MISSING: printf("not there, but the kernel has the driver\n"); break;
	case DEVICE_NO_PERMISSION: printf("no permission (group %s)\n", d->group); break;
	case DEVICE_BROKEN: printf("cannot be used: %s\n", d->trial.detail); break;
	case DEVICE_CANNOT_RUN:
		printf("cannot run a stock guest: ");
		print_trial(&d->trial);
		break;
	case DEVICE_OK: print_trial(&d->trial); break;
	}
}

static void print_cpu(const struct cpu_facts *c)
{
	printf("processor    %s%s, ", c->vendor, c->in_vm ? " in a virtual machine" : "");
	if (!c->extension)
		printf("no VT-x or AMD-V");
	else
		printf("%s%s%s", !strcmp(c->extension, "vmx") ? "VT-x" : "AMD-V",
		       c->nested_paging ? "" : " without nested paging",
		       c->firmware_off == YES ? ", switched off by the firmware or hidden by the kernel" : "");
	printf("; module: %s\n", c->module ? c->module : "none");
}

static void print_engines(const struct host_facts *f)
{
	printf("translator   ");
	if (f->translator.probe < 0)
		printf("not possible here: %s (%s)\n", obstacle(f), strerror(-f->translator.probe));
	else
		print_trial(&f->translator.trial);
	printf("interpreter  ");
	print_trial(&f->interpreter.trial);
}

static void print_words(const struct host_facts *f, const struct verdict *v)
{
	for (size_t i = 0; i < sizeof(f->device) / sizeof(f->device[0]); i++)
		print_device(&f->device[i]);
	print_cpu(&f->cpu);
	print_engines(f);
	printf("\nanykvm uses  %s\n", v->engine ? v->engine : "nothing: no engine works here");
	for (unsigned i = 0; i < v->count; i++)
		printf("%s%s\n", i ? "" : "\n", v->advice[i]);
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static json_t *trial_json(const struct trial *t)
{
	if (t->ok)
		return json_pack("{s:b, s:f}", "ok", 1, "million_loops_per_second", t->loops);
	return json_pack("{s:b, s:s, s:s, s:i}", "ok", 0, "failed_step", trial_step_name(t->step), "detail", t->detail,
			 "errno", t->error);
}

static json_t *device_json(const struct device_facts *d)
{
	json_t *o = json_pack("{s:s, s:s, s:b, s:s*}", "path", d->path, "state", device_state_name(d->state), "usable",
			      d->state == DEVICE_OK, "group", d->group[0] ? d->group : NULL);

	if (d->state >= DEVICE_NO_PERMISSION)
		json_object_set_new(o, "trial", trial_json(&d->trial));
	return o;
}

static json_t *yes_no_json(enum yes_no value)
{
	return value == UNKNOWN ? json_null() : json_boolean(value == YES);
}

static json_t *cpu_json(const struct cpu_facts *c)
{
	return json_pack("{s:s, s:s?, s:b, s:o, s:b, s:s?, s:b, s:b}", "vendor", c->vendor, "extension", c->extension,
			 "nested_paging", c->nested_paging, "switched_off", yes_no_json(c->firmware_off),
			 "virtual_machine", c->in_vm, "module", c->module, "bmi2", c->bmi2, "fsgsbase", c->fsgsbase);
}

static json_t *limits_json(const struct limit_facts *l)
{
	json_t *as = l->address_space == UINT64_MAX ? json_null() : json_integer((json_int_t)l->address_space);

	return json_pack("{s:o, s:i, s:i, s:i, s:i}", "address_space", as, "overcommit_memory", l->overcommit,
			 "selinux", l->selinux, "seccomp", l->seccomp, "memfd_noexec", l->memfd_noexec);
}

static json_t *engine_json(const struct host_facts *f, const struct engine_facts *e, const char *why)
{
	json_t *o = json_pack("{s:b, s:s?}", "possible", e->probe == 0, "obstacle", why);

	if (e->probe == 0 || e == &f->interpreter)
		json_object_set_new(o, "trial", trial_json(&e->trial));
	return o;
}

static int print_json(const struct host_facts *f, const struct verdict *v)
{
	static const char *const speeds[] = { [STATUS_OK] = "full", [STATUS_SLOW] = "slow", [STATUS_NOTHING] = "none" };
	json_t *advice = json_array(), *root;
	int ret;

	for (unsigned i = 0; i < v->count; i++)
		json_array_append_new(advice, json_string(v->advice[i]));
	root = json_pack("{s:s, s:s, s:s?, s:s?, s:[o, o], s:o, s:o, s:{s:o, s:o}, s:o}", "version", anykvm_version(),
			 "speed", speeds[v->status], "engine", v->engine, "device", v->device ? v->device->path : NULL,
			 "devices", device_json(&f->device[0]), device_json(&f->device[1]), "processor",
			 cpu_json(&f->cpu), "limits", limits_json(&f->limits), "engines", "translator",
			 engine_json(f, &f->translator, obstacle(f)), "interpreter",
			 engine_json(f, &f->interpreter, f->interpreter.probe < 0 ? "executable-memory" : NULL),
			 "advice", advice);
	if (!root) {
		message("out of memory");
		return STATUS_FAILED;
	}
	ret = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0 ? v->status : STATUS_FAILED;
	putchar('\n');
	json_decref(root);
	return ret;
}

int cmd_check(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct host_facts facts;
	struct verdict verdict;
	bool json = false;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'j': json = true; break;
		case 'h': fputs(help, stdout); return STATUS_OK;
		default: return STATUS_USAGE;
		}
	}
	if (optind < argc) {
		message("check: unexpected argument '%s'", argv[optind]);
		return STATUS_USAGE;
	}
	if (!host_facts_gather(&facts))
		return STATUS_FAILED;
	conclude(&verdict, &facts);
	if (json)
		return print_json(&facts, &verdict);
	print_words(&facts, &verdict);
	return verdict.status;
}
