#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Boot a stock Debian cloud kernel in QEMU's emulation of SVM with nested paging, load anykvm.ko there and run a script.
#
# usage: machine.sh [-c CPUS] [-t SECONDS] [-m MEGABYTES] [-p MODULE-PARAMETERS] [-k] [-a FILE:/PATH]... SCRIPT
#   -k   load Debian's kvm-amd instead of anykvm.ko, as the reference: /dev/kvm
#   BUILD: where anykvm.ko is (build); SVM_KERNEL: an unpacked linux-image package, by default the one in GUEST ($BUILD/guest)
# Everything that the machine says goes to standard output; the exit status is the script's. It is 4 if the kernel has
# complained (a warning, a bug, a stall), 3 if the machine ended without a result.
# packages: qemu-system-x86 seabios busybox-static cpio
set -eu

usage()
{
	sed -n '3,12s/^# //p' "$0" >&2
	exit 2
}

cpus=2
limit=600
memory=1024
parameters=
reference=
files=
while getopts c:t:m:p:ka: option; do
	case $option in
	c) cpus=$OPTARG ;;
	t) limit=$OPTARG ;;
	m) memory=$OPTARG ;;
	p) parameters=$OPTARG ;;
	k) reference=yes ;;
	a) files="$files $OPTARG" ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 1 ] || usage
build=${BUILD:-build}
kernel=${SVM_KERNEL:-}
if [ -z "$kernel" ]; then
	kernel=$(sh "$(dirname "$0")/../../scripts/fetch-kernel.sh" "${GUEST:-$build/guest}")
	kernel=${kernel%/boot/*}
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
root=$work/root
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp"
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$1" "$root/script"
for file in $files; do
	mkdir -p "$root/$(dirname "${file#*:}")"
	cp "${file%%:*}" "$root/${file#*:}"
done
if [ -n "$reference" ]; then
	modules="irqbypass kvm kvm-amd"
	for module in $modules; do
		find "$kernel/lib/modules" -name "$module.ko" -exec cp {} "$root/" \;
	done
else
	modules=anykvm
	cp "$build/anykvm.ko" "$root/"
fi
cat >"$root/init" <<INIT
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /tmp
dmesg -n 5
for module in $modules; do
	insmod /\$module.ko $parameters || echo "insmod \$module failed"
done
sh /script
status=\$?
dmesg | grep -E 'WARNING: CPU|BUG: |Oops|rcu: INFO|soft lockup|scheduling while atomic' | sed 's/^/kernel-complaint: /'
echo "script-exit-status \$status"
poweroff -f
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd"

timeout "$limit" qemu-system-x86_64 -accel tcg,thread=multi -cpu EPYC,+svm,+npt,+svme-addr-chk -smp "$cpus" -m "$memory" \
	-nodefaults -no-user-config -nographic -serial stdio -no-reboot \
	-kernel "$(find "$kernel/boot" -name 'vmlinuz-*' | head -n 1)" -initrd "$work/initrd" \
	-append "console=ttyS0 quiet panic=-1 no_timer_check oops=panic" </dev/null | sed -u 's/\r$//' | tee "$work/log" || :
status=$(sed -n 's/^script-exit-status //p' "$work/log")
[ -n "$status" ] || { echo "machine.sh: the machine ended without a result" >&2; exit 3; }
if grep -q '^kernel-complaint: ' "$work/log"; then
	echo "machine.sh: the kernel has complained" >&2
	exit 4
fi
exit "$status"
