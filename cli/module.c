/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "module.h"
#include "command.h"
#include "message.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define COUNTERS "/sys/kernel/debug/anykvm"

/* --- counters ---------------------------------------------------------------------------------------------------- */

/* False: the file cannot be read (the VM has gone, most likely). */
static bool read_counters(struct module_vm *vm, const char *path)
{
	struct module_counter c, *grown;
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	while (fscanf(f, "%47s %llu", c.name, &c.value) == 2) {
		grown = realloc(vm->counter, (vm->counters + 1) * sizeof(c));
		if (!grown)
			break;
		vm->counter = grown;
		vm->counter[vm->counters++] = c;
	}
	fclose(f);
	return vm->counters;
}

static void read_name(struct module_vm *vm)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", vm->pid);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(vm->name, sizeof(vm->name), f))
		vm->name[strcspn(vm->name, "\n")] = 0;
	fclose(f);
}

static unsigned count_vcpus(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	unsigned n = 0;

	while (dir && (e = readdir(dir)))
		n += !strncmp(e->d_name, "vcpu", 4);
	if (dir)
		closedir(dir);
	return n;
}

/* The VM that this folder of COUNTERS stands for, or NULL. */
static struct module_vm *read_vm(const char *folder, pid_t wanted)
{
	struct module_vm *vm;
	char path[PATH_MAX];
	unsigned number;
	int pid;

	if (sscanf(folder, "%d-%u", &pid, &number) != 2 || (wanted && pid != wanted))
		return NULL;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return NULL;
	vm->pid = pid;
	vm->number = number;
	snprintf(path, sizeof(path), COUNTERS "/%s/counters", folder);
	if (!read_counters(vm, path)) {
		module_free(vm);
		return NULL;
	}
	snprintf(path, sizeof(path), COUNTERS "/%s", folder);
	vm->vcpus = count_vcpus(path);
	read_name(vm);
	return vm;
}

struct module_vm *module_find(pid_t pid)
{
	struct module_vm *list = NULL, *vm;
	DIR *dir = opendir(COUNTERS);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		vm = read_vm(e->d_name, pid);
		if (!vm)
			continue;
		vm->next = list;
		list = vm;
	}
	if (dir)
		closedir(dir);
	return list;
}

void module_free(struct module_vm *list)
{
	while (list) {
		struct module_vm *next = list->next;

		free(list->counter);
		free(list);
		list = next;
	}
}

static unsigned long long value_before(const struct module_vm *list, const struct module_vm *vm, size_t i)
{
	while (list && (list->pid != vm->pid || list->number != vm->number))
		list = list->next;
	return list && i < list->counters ? list->counter[i].value : 0;
}

void module_print(const struct module_vm *old, const struct module_vm *new, double interval)
{
	for (; new; new = new->next) {
		printf("%s (pid %d), VM %u of the kernel module, %u vCPU%s, %.1f s\n", new->name, new->pid, new->number,
		       new->vcpus, new->vcpus == 1 ? "" : "s", interval);
		printf("  %-22s %12s %10s\n", "counter", "total", "per s");
		for (size_t i = 0; i < new->counters; i++) {
			const struct module_counter *c = &new->counter[i];

			if (c->value)
				printf("  %-22s %12llu %10.0f\n", c->name, c->value,
				       (double)(c->value - value_before(old, new, i)) / interval);
		}
	}
}

json_t *module_json(const struct module_vm *old, const struct module_vm *new, double interval)
{
	json_t *machines = json_array();

	for (; new; new = new->next) {
		json_t *counters = json_object();

		for (size_t i = 0; i < new->counters; i++) {
			const struct module_counter *c = &new->counter[i];

			if (c->value)
				json_object_set_new(counters, c->name,
						    json_pack("{s:I, s:I}", "total", (json_int_t)c->value, "count",
							      (json_int_t)(c->value - value_before(old, new, i))));
		}
		json_array_append_new(machines, json_pack("{s:i, s:s, s:i, s:i, s:f, s:o}", "pid", (int)new->pid,
							  "name", new->name, "vm", (int)new->number, "vcpus",
							  (int)new->vcpus, "interval", interval, "counters", counters));
	}
	return machines;
}

/* --- the trace ------------------------------------------------------------------------------------------------------ */

static bool write_file(const char *folder, const char *name, const char *text)
{
	char path[PATH_MAX];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

/* An instance of our own; its name in folder. False with a message. */
static bool make_instance(char *folder, size_t size)
{
	static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s/events/anykvm", places[i]);
		if (access(path, F_OK))
			continue;
		snprintf(folder, size, "%s/instances/anykvm-%d", places[i], getpid());
		if (mkdir(folder, 0700) == 0)
			return true;
		message("%s: %s", folder, strerror(errno));
		return false;
	}
	message("no tracepoints of the module: is tracefs mounted on /sys/kernel/tracing?");
	return false;
}

/* All threads of the process, and those that they will make. */
static bool only_process(const char *instance, pid_t pid)
{
	char path[64], text[32];
	struct dirent *e;
	DIR *dir;

	if (!write_file(instance, "trace_options", "event-fork"))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while ((e = readdir(dir))) {
		snprintf(text, sizeof(text), "%d\n", atoi(e->d_name));
		if (e->d_name[0] != '.')
			write_file(instance, "set_event_pid", text);
	}
	closedir(dir);
	return true;
}

static const volatile sig_atomic_t never;

/* What is there now: without end where a guest makes more than is read, until stopped. */
static void copy_some(int fd, FILE *out, const volatile sig_atomic_t *stopped)
{
	char buf[16384];
	ssize_t n;

	while (!*stopped && (n = read(fd, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, out);
	fflush(out);
}

static int follow(const char *instance, pid_t pid, FILE *out, const volatile sig_atomic_t *stopped)
{
	const struct timespec wait = { .tv_nsec = 10000000 };
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/trace_pipe", instance);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || (pid && !only_process(instance, pid)) || !write_file(instance, "events/anykvm/enable", "1")) {
		message("%s: %s", instance, strerror(errno));
		if (fd >= 0)
			close(fd);
		return STATUS_FAILED;
	}
	while (!*stopped && !ferror(out) && (!pid || kill(pid, 0) == 0)) {
		copy_some(fd, out, stopped);
		nanosleep(&wait, NULL);
	}
	write_file(instance, "events/anykvm/enable", "0");
	copy_some(fd, out, &never);
	close(fd);
	return STATUS_OK;
}

int module_trace(pid_t pid, FILE *out, const volatile sig_atomic_t *stopped)
{
	char instance[256];
	int status;

	if (!make_instance(instance, sizeof(instance)))
		return STATUS_FAILED;
	status = follow(instance, pid, out, stopped);
	rmdir(instance);
	return status;
}
