#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Install the Debian packages that are missing; says nothing if none is.
#
# usage: install-deps.sh [build|run|check|lint|bench|clients|selftests|userland]...
#	none named: build run check lint
set -eu

build="gcc libc6-dev linux-libc-dev make binutils libjansson-dev"
run="busybox-static cpio gzip"
check="nasm libcmocka-dev libzydis-dev bsdutils python3 procps gcc-multilib musl-tools golang-go"
lint="clang-format cppcheck shellcheck"
clients="qemu-system-x86 qemu-utils gdb stress-ng isolinux syslinux-common xorriso ovmf memtest86+ busybox-static cpio gzip nasm
	runsc libguestfs-tools linux-image-amd64" # libguestfs makes its appliance from an installed kernel
selftests="linux-source-6.1 xz-utils"
userland="debootstrap cpio"
bench="qemu-system-x86 gnuplot-nox python3"

[ $# -gt 0 ] || set -- build run check lint
wanted=
for group in "$@"; do
	case $group in
	build) wanted="$wanted $build" ;;
	run) wanted="$wanted $run" ;;
	check) wanted="$wanted $check" ;;
	lint) wanted="$wanted $lint" ;;
	clients) wanted="$wanted $clients" ;;
	selftests) wanted="$wanted $selftests" ;;
	bench) wanted="$wanted $bench" ;;
	userland) wanted="$wanted $userland" ;;
	*)
		sed -n 's/^# usage: /usage: /p' "$0" >&2
		exit 2
		;;
	esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "install-deps: this is no Debian; anykvm needs what these packages have there:$wanted" >&2
	exit 0	# what is really missing will show
fi

missing=
for package in $wanted; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=
	[ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
	if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
		as_root=sudo
	else
		echo "install-deps: packages are missing and only root can install them. Run this, then try again:" >&2
		echo "	apt-get install$missing" >&2
		exit 1
	fi
fi

echo "install-deps: installing$missing" >&2
# shellcheck disable=SC2086 # words on purpose
install()
{
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends \
		$missing >&2
}
if ! install; then
	$as_root apt-get -qq update >&2
	install || {
		echo "install-deps: installing failed; anykvm needs$missing" >&2
		exit 1
	}
fi
