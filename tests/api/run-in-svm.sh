#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Run a statically linked program inside Debian's stock cloud kernel with its kvm-amd, in QEMU's
# emulation of SVM with nested paging: the reference for the API tests where no real KVM exists.
#
# usage: run-in-svm.sh [-c CPUS] [-t SECONDS] [-f FILE]... PROGRAM [ARGUMENT...]
#   -f FILE   also put FILE into the machine's root folder (for --differences)
# The machine's output goes to standard output; the exit status is the program's.
# REFERENCE_KERNEL: an unpacked linux-image package; without it the current one is downloaded with
# apt-get into $BUILD/reference-kernel.
# packages: qemu-system-x86 seabios busybox-static cpio dpkg
set -eu

cpus=2
limit=900
files=
while getopts c:t:f: option; do
	case $option in
	c) cpus=$OPTARG ;;
	t) limit=$OPTARG ;;
	f) files="$files $OPTARG" ;;
	*) sed -n '3,13s/^# //p' "$0" >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -ge 1 ] || { sed -n '3,13s/^# //p' "$0" >&2; exit 2; }
program=$1
shift

build=${BUILD:-build}
kernel=${REFERENCE_KERNEL:-$build/reference-kernel}
if [ ! -d "$kernel/boot" ]; then
	mkdir -p "$kernel"
	package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p')
	(cd "$kernel" && apt-get -q download "$package" && dpkg-deb -x ./*.deb .)
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
root=$work/root
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp"
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$program" "$root/program"
for file in $files; do
	cp "$file" "$root/"
done
for module in irqbypass kvm kvm-amd; do
	find "$kernel/lib/modules" -name "$module.ko" -exec cp {} "$root/" \;
done
for argument; do
	printf '%s\n' "$argument"
done >"$root/arguments"
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t tmpfs none /tmp
/bin/busybox dmesg -n 1
for module in irqbypass kvm kvm-amd; do
	/bin/busybox insmod /$module.ko
done
set --
while read -r argument; do
	set -- "$@" "$argument"
done </arguments
/program "$@"
echo "program-exit-status $?"
/bin/busybox poweroff -f
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd"

timeout "$limit" qemu-system-x86_64 -accel tcg,thread=multi -cpu EPYC,+svm,+npt,+svme-addr-chk -smp "$cpus" -m 1024 \
	-nodefaults -no-user-config -nographic -serial stdio -no-reboot \
	-kernel "$(find "$kernel/boot" -name 'vmlinuz-*' | head -n 1)" -initrd "$work/initrd" \
	-append "console=ttyS0 quiet panic=-1 no_timer_check" </dev/null | sed -u 's/\r$//' | tee "$work/log"
status=$(sed -n 's/^program-exit-status //p' "$work/log")
[ -n "$status" ] || { echo "run-in-svm: the machine ended without a result" >&2; exit 3; }
exit "$status"
