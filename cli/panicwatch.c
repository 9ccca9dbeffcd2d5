/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "panicwatch.h"

bool panicwatch_byte(struct panicwatch *watch, uint8_t byte)
{
	static const char phrase[] = "Kernel panic - not syncing";

	/* No proper prefix of the phrase ends in another one but "K": a restart there is enough. */
	if (byte == (uint8_t)phrase[watch->matched])
		watch->matched++;
	else
		watch->matched = byte == (uint8_t)phrase[0];
	if (phrase[watch->matched])
		return false;
	watch->matched = 0;
	return true;
}
