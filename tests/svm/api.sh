#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# In the machine: the API tests on the module, then it must unload.
/notifier /dev/anykvm || exit 1
/api-tests --device /dev/anykvm --differences /differences || exit 1
rmmod anykvm || exit 1
