/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Programs that a preloaded program starts: those that no preload reaches (static ones, Go, musl) are started by
 * anykvm-inject, which lies beside this library. All others find us by LD_PRELOAD, which an environment that the program
 * has made anew (env -i, sudo) gets back here.
 */
#include "program.h"
#include "start.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PRELOAD "LD_PRELOAD="
#define EXPORT __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

extern char **environ;

/* Everything that a call makes lives on the stack: the caller may be a child that shares its parent's memory. */
struct start {
	struct program program;
	char inject[PATH_MAX];
	char settings[PATH_MAX + 256];
};

/* --- the environment of the next program ------------------------------------------------------------------------- */

/* As this program was started with them; constant after the constructor. */
static char *library;      /* our own file; NULL: unknown */
static char *settings[16]; /* NULL at the end */

static bool is_setting(const char *word)
{
	return !strncmp(word, SETTING_PREFIX, strlen(SETTING_PREFIX));
}

static __attribute__((constructor)) void remember_environment(void)
{
	size_t n = 0;
	Dl_info info;

	for (char **e = environ; e && *e && n < sizeof(settings) / sizeof(settings[0]) - 1; e++)
		if (is_setting(*e))
			settings[n++] = strdup(*e);
	if (dladdr((void *)remember_environment, &info) && info.dli_fname[0] == '/')
		library = strdup(info.dli_fname);
}

static size_t count(char *const argv[])
{
	size_t n = 0;

	while (argv && argv[n])
		n++;
	return n;
}

static const char *preloaded_in(char *const envp[])
{
	for (; envp && *envp; envp++)
		if (!strncmp(*envp, PRELOAD, strlen(PRELOAD)))
			return *envp + strlen(PRELOAD);
	return "";
}

/* What with_library() needs: words, and bytes for one of them. */
static size_t environment_words(char *const envp[])
{
	return count(envp) + sizeof(settings) / sizeof(settings[0]) + 2;
}

static size_t environment_bytes(char *const envp[])
{
	return sizeof(PRELOAD) + (library ? strlen(library) : 0) + strlen(preloaded_in(envp)) + 2;
}

/* envp, or a copy in words where our library and its settings are put back. */
static char *const *with_library(char *const envp[], char **words, char *bytes)
{
	const char *theirs = preloaded_in(envp);
	char **to = words;

	/* In another root folder the library may not be there. */
	if (!library || strstr(theirs, library) || access(library, R_OK) < 0)
		return envp;
	sprintf(bytes, PRELOAD "%s%s%s", library, *theirs ? ":" : "", theirs);
	*to++ = bytes;
	for (char **s = settings; *s; s++)
		*to++ = *s;
	for (; envp && *envp; envp++)
		if (strncmp(*envp, PRELOAD, strlen(PRELOAD)) != 0 && !is_setting(*envp))
			*to++ = *envp;
	*to = NULL;
	return words;
}

/* --- programs that no preload reaches ------------------------------------------------------------------------------ */

static bool find_inject(char *path, size_t size)
{
	Dl_info info;
	const char *slash;

	if (!dladdr((void *)find_inject, &info) || !(slash = strrchr(info.dli_fname, '/')))
		return false;
	if ((size_t)snprintf(path, size, "%.*s/%s", (int)(slash - info.dli_fname), info.dli_fname, INJECT_NAME) >=
		    size ||
	    access(path, X_OK) < 0) {
		fprintf(stderr, "anykvm: %s is missing: a statically linked program runs without /dev/kvm\n", path);
		return false;
	}
	return true;
}

static bool in_path(const char *file, char *path, size_t size)
{
	const char *dirs = getenv("PATH");

	for (dirs = dirs ? dirs : "/bin:/usr/bin"; dirs;) {
		const char *end = strchrnul(dirs, ':');

		if ((size_t)snprintf(path, size, "%.*s%s%s", (int)(end - dirs), dirs, end > dirs ? "/" : "", file) <
			    size &&
		    access(path, X_OK) == 0)
			return true;
		dirs = *end ? end + 1 : NULL;
	}
	return false;
}

/* Must the program be started by anykvm-inject? Keeps errno. */
static bool needs_inject(struct start *s, const char *file, bool search)
{
	char path[PATH_MAX];
	int saved = errno;
	bool r;

	if (search && !strchr(file, '/')) {
		if (!in_path(file, path, sizeof(path)))
			return false;
		file = path;
	}
	r = !program_examine(file, &s->program) && s->program.kind == PROGRAM_RAW &&
	    find_inject(s->inject, sizeof(s->inject));
	if (r)
		shim_settings(s->settings, sizeof(s->settings));
	errno = saved;
	return r;
}

/* to: room for count(argv) + PROGRAM_WORDS + 4. */
static void make_arguments(struct start *s, char *const argv[], char **to)
{
	*to++ = (char *)INJECT_NAME;
	*to++ = s->settings;
	*to++ = s->program.path;
	for (int i = 0; i < s->program.nr_words; i++)
		*to++ = s->program.word[i];
	/* A script's name stands for argument 0. */
	for (size_t i = s->program.nr_words ? 1 : 0; i < count(argv); i++)
		*to++ = argv[i];
	*to = NULL;
}

static int start_injected(struct start *s, char *const argv[], char *const envp[])
{
	char *all[count(argv) + PROGRAM_WORDS + 4];

	make_arguments(s, argv, all);
	return REAL(execve)(s->inject, all, envp);
}

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	char *words[environment_words(envp)], bytes[environment_bytes(envp)];
	struct start s;

	if (needs_inject(&s, path, false))
		return start_injected(&s, argv, envp);
	return REAL(execve)(path, argv, with_library(envp, words, bytes));
}

EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	char *words[environment_words(envp)], bytes[environment_bytes(envp)];
	struct start s;

	if (needs_inject(&s, file, true))
		return start_injected(&s, argv, envp);
	return REAL(execvpe)(file, argv, with_library(envp, words, bytes));
}

EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	char *words[environment_words(envp)], bytes[environment_bytes(envp)];
	struct start s;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!needs_inject(&s, path, false))
		return REAL(fexecve)(fd, argv, with_library(envp, words, bytes));
	/* It may be closed on exec: the program is mapped after that. */
	snprintf(s.program.path, sizeof(s.program.path), "/proc/self/fd/%d", dup(fd));
	return start_injected(&s, argv, envp);
}

/* The arguments after the first, and what follows their end. */
static size_t count_list(va_list ap)
{
	size_t n = 1;

	while (va_arg(ap, char *))
		n++;
	return n;
}

#define EXEC_LIST(call)                                                                                                \
	va_list ap;                                                                                                    \
	size_t n;                                                                                                      \
                                                                                                                       \
	va_start(ap, arg);                                                                                             \
	n = count_list(ap);                                                                                            \
	va_end(ap);                                                                                                    \
	char *argv[n + 1];                                                                                             \
	va_start(ap, arg);                                                                                             \
	argv[0] = (char *)arg;                                                                                         \
	for (size_t i = 1; i <= n; i++)                                                                                \
		argv[i] = va_arg(ap, char *);                                                                          \
	n = (size_t)(call);                                                                                            \
	va_end(ap);                                                                                                    \
	return (int)n

EXPORT int execl(const char *path, const char *arg, ...)
{
	EXEC_LIST(execve(path, argv, environ));
}

EXPORT int execlp(const char *file, const char *arg, ...)
{
	EXEC_LIST(execvpe(file, argv, environ));
}

EXPORT int execle(const char *path, const char *arg, ...)
{
	EXEC_LIST(execve(path, argv, va_arg(ap, char **)));
}

static int spawn(__typeof__(posix_spawn) *real, bool search, pid_t *pid, const char *file,
		 const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr, char *const argv[],
		 char *const envp[])
{
	char *words[environment_words(envp)], bytes[environment_bytes(envp)];
	char *all[count(argv) + PROGRAM_WORDS + 4];
	struct start s;

	if (!needs_inject(&s, file, search))
		return real(pid, file, actions, attr, argv, with_library(envp, words, bytes));
	make_arguments(&s, argv, all);
	return REAL(posix_spawn)(pid, s.inject, actions, attr, all, envp);
}

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return spawn(REAL(posix_spawn), false, pid, path, actions, attr, argv, envp);
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return spawn(REAL(posix_spawnp), true, pid, file, actions, attr, argv, envp);
}
