#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# In the machine: a 32-bit program's ioctls.
exec /compat32 "$DEVICE"
