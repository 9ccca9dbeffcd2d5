/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Settings for anykvm-inject. See start.h. */
#include "start.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void shim_settings(char *to, size_t size)
{
	size_t n = 0;

	*to = 0;
	for (char **e = environ; *e; e++) {
		/* A value that is no line cannot be one of ours. */
		if (!strncmp(*e, SETTING_PREFIX, strlen(SETTING_PREFIX)) && !strchr(*e, '\n') &&
		    n + strlen(*e) + 2 < size)
			n += (size_t)snprintf(to + n, size - n, "%s\n", *e);
	}
}
