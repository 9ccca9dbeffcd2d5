/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "hostfacts.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MSR_FEATURE_CONTROL 0x3a /* Intel SDM: bit 0 locked, bit 2 VMX outside SMX */
#define MSR_VM_CR 0xc0010114u    /* AMD APM volume 2: bit 4 SVMDIS */

const char *device_state_name(enum device_state state)
{
	static const char *const names[] = { "absent", "node-missing", "no-permission", "broken", "cannot-run", "ok" };

	return names[state];
}

/* --- small files ------------------------------------------------------------------------------------------- */

/* The first line that begins with prefix, without it, into buf. False: no such file or line. */
static bool read_line(const char *path, const char *prefix, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");
	bool found = false;
	char line[4096];

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		found = !strncmp(line, prefix, strlen(prefix));
		if (found)
			snprintf(buf, size, "%.*s", (int)strcspn(line + strlen(prefix), "\n"), line + strlen(prefix));
	}
	fclose(f);
	return found;
}

static int read_number(const char *path, const char *prefix)
{
	char text[64];

	return read_line(path, prefix, text, sizeof(text)) ? atoi(text) : -1;
}

/* Is word among the words of text? */
static bool has_word(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = text; (p = strstr(p, word)); p += n) {
		if ((p == text || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
			return true;
	}
	return false;
}

/* /proc/misc has a line "NUMBER NAME" per misc device that a driver has registered. */
static bool driver_registered(const char *name)
{
	FILE *f = fopen("/proc/misc", "re");
	bool found = false;
	char have[64];

	if (!f)
		return false;
	while (!found && fscanf(f, "%*d %63s", have) == 1)
		found = !strcmp(have, name);
	fclose(f);
	return found;
}

/* --- devices ------------------------------------------------------------------------------------------------ */

static bool look_at_device(struct device_facts *d)
{
	struct stat st;
	int fd;

	if (stat(d->path, &st) == 0) {
		const struct group *g = getgrgid(st.st_gid);

		if (g)
			snprintf(d->group, sizeof(d->group), "%s", g->gr_name);
		else
			snprintf(d->group, sizeof(d->group), "%u", st.st_gid);
		d->group_may = st.st_gid && (st.st_mode & 060) == 060;
	}
	fd = open(d->path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		d->trial.error = errno;
		snprintf(d->trial.detail, sizeof(d->trial.detail), "open: %s", strerror(errno));
		if (errno == ENOENT)
			d->state = driver_registered(d->path + strlen("/dev/")) ? DEVICE_NODE_MISSING : DEVICE_ABSENT;
		else
			d->state = errno == EACCES || errno == EPERM ? DEVICE_NO_PERMISSION : DEVICE_BROKEN;
		return true;
	}
	close(fd);
	if (!trial_run(d->path, ANYKVM_ENGINE_AUTO, &d->trial))
		return false;
	d->state = d->trial.ok ? DEVICE_OK : d->trial.step == TRIAL_OPEN ? DEVICE_BROKEN : DEVICE_CANNOT_RUN;
	return true;
}

/* --- processor ---------------------------------------------------------------------------------------------- */

/* /dev/cpu/0/msr: root only, and its module must be loaded. */
static bool read_msr(uint32_t index, uint64_t *value)
{
	int fd = open("/dev/cpu/0/msr", O_RDONLY | O_CLOEXEC);
	bool ok = fd >= 0 && pread(fd, value, sizeof(*value), index) == (ssize_t)sizeof(*value);

	if (fd >= 0)
		close(fd);
	return ok;
}

/*
 * The register says it for certain. Without it: Linux takes the flag out of /proc/cpuinfo when the firmware has locked
 * the extension off (VMX since 5.6, SVM since 6.8).
 */
static enum yes_no switched_off(const char *extension)
{
	bool vmx = !strcmp(extension, "vmx");
	char flags[4096];
	uint64_t msr;

	if (read_msr(vmx ? MSR_FEATURE_CONTROL : MSR_VM_CR, &msr))
		return vmx ? (msr & 5) == 1 : (msr & 1 << 4) != 0;
	if (!read_line("/proc/cpuinfo", "flags", flags, sizeof(flags)))
		return UNKNOWN;
	if (!has_word(flags, extension))
		return YES;
	return vmx ? NO : UNKNOWN;
}

static bool module_loaded(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return access(path, F_OK) == 0;
}

static void look_at_extension(struct cpu_facts *c)
{
	unsigned a, b, cx, d;

	if (__get_cpuid(1, &a, &b, &cx, &d)) {
		c->in_vm = cx >> 31 & 1;
		if (cx >> 5 & 1) {
			c->extension = "vmx";
			c->nested_paging = true;
		}
	}
	if (__get_cpuid(0x80000001, &a, &b, &cx, &d) && cx >> 2 & 1) {
		c->extension = "svm";
		c->nested_paging = __get_cpuid(0x8000000a, &a, &b, &cx, &d) && d & 1;
	}
	c->firmware_off = c->extension ? switched_off(c->extension) : NO;
}

static void look_at_cpu(struct cpu_facts *c)
{
	static const char *const modules[] = { "anykvm", "kvm_intel", "kvm_amd", "kvm" };
	unsigned a, b = 0, cx = 0, d = 0;

	if (__get_cpuid(0, &a, &b, &cx, &d)) {
		memcpy(c->vendor, &b, 4);
		memcpy(c->vendor + 4, &d, 4);
		memcpy(c->vendor + 8, &cx, 4);
	}
	look_at_extension(c);
	if (__get_cpuid_count(7, 0, &a, &b, &cx, &d))
		c->bmi2 = b >> 8 & 1;
	c->fsgsbase = getauxval(AT_HWCAP2) & 2; /* HWCAP2_FSGSBASE */
	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]) && !c->module; i++)
		c->module = module_loaded(modules[i]) ? modules[i] : NULL;
}

/* --- limits --------------------------------------------------------------------------------------------------- */

static void look_at_limits(struct limit_facts *l)
{
	struct rlimit as;

	l->address_space = UINT64_MAX;
	if (getrlimit(RLIMIT_AS, &as) == 0 && as.rlim_cur != RLIM_INFINITY)
		l->address_space = as.rlim_cur;
	l->overcommit = read_number("/proc/sys/vm/overcommit_memory", "");
	l->selinux = read_number("/sys/fs/selinux/enforce", "");
	l->seccomp = read_number("/proc/self/status", "Seccomp:");
	l->memfd_noexec = read_number("/proc/sys/vm/memfd_noexec", "");
}

bool host_facts_gather(struct host_facts *f)
{
	memset(f, 0, sizeof(*f));
	f->device[0].path = "/dev/kvm";
	f->device[1].path = "/dev/anykvm";
	for (size_t i = 0; i < sizeof(f->device) / sizeof(f->device[0]); i++) {
		if (!look_at_device(&f->device[i]))
			return false;
	}
	look_at_cpu(&f->cpu);
	look_at_limits(&f->limits);
	f->interpreter.probe = anykvm_probe(ANYKVM_ENGINE_INTERPRETER);
	f->translator.probe = anykvm_probe(ANYKVM_ENGINE_TRANSLATOR);
	if (!trial_run(NULL, ANYKVM_ENGINE_INTERPRETER, &f->interpreter.trial))
		return false;
	return f->translator.probe < 0 || trial_run(NULL, ANYKVM_ENGINE_TRANSLATOR, &f->translator.trial);
}
