/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Shell work: a static busybox runs scripts. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "work.h"

#define BUSYBOX "/bin/busybox"
#define TEXT "/tmp/anykvm-bench-text"

static void busybox(const char *applet, const char *arg1, const char *arg2, const char *arg3)
{
	int status;
	pid_t pid = vfork();

	if (!pid) {
		execl(BUSYBOX, applet, arg1, arg2, arg3, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
		fail(BUSYBOX);
}

static void shell(const char *script)
{
	busybox("sh", "-c", script, NULL);
}

static void shell_loop(void)
{
	shell("i=0; while [ $i -lt 1000 ]; do i=$((i + 1)); case $i in *7) s=$s$i;; esac; done");
}

static void shell_commands(void)
{
	shell("for i in 1 2 3; do /bin/busybox true; /bin/busybox echo $i | /bin/busybox cat >/dev/null; done");
}

static void make_text(void)
{
	static int made;
	FILE *f;

	if (made)
		return;
	f = fopen(TEXT, "w");
	if (!f)
		fail(TEXT);
	for (int i = 0; i < 4000; i++)
		fprintf(f, "%d line %x of the text, user%d@example.org /path/to/%d\n", i, next_random(), i % 97, i * 7);
	if (fclose(f))
		fail(TEXT);
	made = 1;
}

static void awk(void)
{
	make_text();
	busybox("awk", "{ n[$6] += length($0); s += $1 } END { for (k in n) t += n[k]; exit !(t + s) }", TEXT, NULL);
}

static void grep(void)
{
	make_text();
	busybox("grep", "-q", "[0-9]*8 line .*user21@.*/path/to/2798[0-9]$", TEXT);
}

static void sort_text(void)
{
	make_text();
	busybox("sort", "-o", "/dev/null", TEXT);
}

static const struct workload workloads[] = {
	{ "shell-loop", shell_loop },
	{ "shell-commands", shell_commands },
	{ "awk", awk },
	{ "grep", grep },
	{ "sort-text", sort_text },
	{ NULL, NULL },
};

const struct workload_class shell_class = { "shell", workloads, 0 };
