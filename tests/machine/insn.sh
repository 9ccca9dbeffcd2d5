#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# In the machine: what the instruction library makes of system instructions against what a guest sees on the device.
INSN_KVM=$DEVICE exec /insn-tests --only sys --verbose
