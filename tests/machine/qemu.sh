#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Boot KERNEL with INITRD in QEMU's emulation of AMD-V with nested paging; its serial console goes to standard output.
# usage: qemu.sh KERNEL INITRD MEGABYTES -i|'' CPUS|''
#   MACHINE_CPU: its processor, one that has AMD-V with nested paging if not given
#   MACHINE_QEMU: more words for its command line
#   MACHINE_THREADS=single: its CPUs take turns. In QEMU 7.2, when they do not, a CPU that translates a page while another one writes
#   to it can keep what was there before for ever; the breakpoints by which Linux changes its code (tracepoints) are an endless loop then.
#   -i   the time-stamp counter counts executed instructions; one CPU
# packages: qemu-system-x86 seabios
set -eu
kernel=$1
initrd=$2
memory=$3
count=$4
cpus=${5:-2}
if [ -n "$count" ]; then
	cpus=1
	set -- -accel tcg,thread=single -icount shift=0,sleep=off
else
	set -- -accel "tcg,thread=${MACHINE_THREADS:-multi}"
fi
# shellcheck disable=SC2086 # words on purpose
exec qemu-system-x86_64 "$@" -cpu "${MACHINE_CPU:-EPYC,+svm,+npt,+svme-addr-chk}" -smp "$cpus" -m "$memory" \
	-nodefaults -no-user-config -nographic -serial stdio -no-reboot -kernel "$kernel" -initrd "$initrd" \
	-append "console=ttyS0 quiet panic=-1 no_timer_check oops=panic" ${MACHINE_QEMU:-}
