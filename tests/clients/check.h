/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the client programs have in common: the first thing that is not as it should be is said, and ends the program. */
#ifndef CLIENTS_CHECK_H
#define CLIENTS_CHECK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("%s:%d: %s (errno %d)\n", __func__, __LINE__, #cond, errno);                            \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

#endif /* CLIENTS_CHECK_H */
