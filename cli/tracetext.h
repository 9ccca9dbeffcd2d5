/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* tracetext.h - a line of text for a trace record. */
#ifndef CLI_TRACETEXT_H
#define CLI_TRACETEXT_H

#include <stdio.h>

#include "watch.h"

void trace_print(FILE *out, const struct watched *w, const struct monitor_record *r);

#endif
