/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef HOST_ERRNO_H
#define HOST_ERRNO_H
#include <linux/errno.h>
#endif
