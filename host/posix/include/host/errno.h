/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Error numbers as Linux defines them, for code that builds for both hosts. */
#ifndef HOST_ERRNO_H
#define HOST_ERRNO_H
#include <linux/errno.h>
#endif
