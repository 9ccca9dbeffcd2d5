#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# In the machine: Debian's QEMU with -accel kvm boots stock Linux guests, those that /vmm-guests names: its microvm, pc with two
# processors, q35 with split interrupt chips, pc with QEMU's own.
passed=0
failed=0
if [ ! -e /dev/kvm ]; then
	ln -s "$DEVICE" /dev/kvm
	trap 'rm /dev/kvm' EXIT
fi
export LD_LIBRARY_PATH=/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu

guest() # NAME CPUS QEMU-OPTIONS...
{
	name=$1
	cpus=$2
	shift 2
	timeout 300 qemu -L /share -nodefaults -no-user-config -no-reboot -display none -serial stdio -m 192 -smp "$cpus" \
		-kernel /vmlinuz -initrd /initrd "$@" \
		-append "console=ttyS0 quiet panic=-1 reboot=t anykvm.cmd=\"echo cpus \$(grep -c ^processor /proc/cpuinfo) \$((6*7))\"" \
		</dev/null >/tmp/there 2>&1
	status=$?
	if tr -d '\r' </tmp/there | grep -qx "cpus $cpus 42" && [ $status = 0 ]; then
		passed=$((passed + 1))
		echo "PASS QEMU: $name, CPUs: $cpus"
	else
		failed=$((failed + 1))
		echo "FAIL QEMU: $name, CPUs: $cpus, status $status"
		tail -n 30 /tmp/there
	fi
}

read -r wanted </vmm-guests
for wanted in $wanted; do
	case $wanted in
	microvm) guest "microvm" 1 -M microvm,accel=kvm -cpu host ;;
	pc) guest "pc, chips in the kernel" 2 -M pc,accel=kvm -cpu host ;;
	split) guest "q35, split chips" 1 -M q35,accel=kvm,kernel-irqchip=split -cpu qemu64 ;;
	user) guest "pc, chips in QEMU" 1 -M pc,accel=kvm,kernel-irqchip=off -cpu host ;;
	*) guest "$wanted is not known" 1 -M none ;;
	esac
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
