#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# In the machine: guest memory that comes and goes, and the API tests.
if /notifier "$DEVICE"; then
	echo "1 passed, 0 failed, 0 skipped"
else
	echo "FAIL notifier"
	echo "0 passed, 1 failed, 0 skipped"
fi
# The machine is slow, and its host may be busy: the limit is against hangs only.
# shellcheck disable=SC2046 # words on purpose
exec /api-tests --device "$DEVICE" --differences /differences --timeout 600 $(cat /api-arguments)
