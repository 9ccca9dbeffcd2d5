#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Build the module by DKMS from a package, in a folder of its own: nothing is installed.
# usage: dkms-check.sh PACKAGE.deb KERNEL-HEADERS
# packages: dkms
set -eu

if [ $# -ne 2 ]; then
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
dpkg-deb -x "$1" "$work/root"
version=$(dpkg-deb -f "$1" Version)
release=$(basename "$2" | sed 's/^linux-headers-//')
mkdir "$work/tree"
set -- --sourcetree "$work/root/usr/src" --dkmstree "$work/tree" -m anykvm -v "$version" -k "$release" --kernelsourcedir "$2"
if ! { dkms add "$@" && dkms build "$@"; } >"$work/log" 2>&1; then
	cat "$work/log" "$work"/tree/anykvm/*/build/make.log >&2 || :
	exit 1
fi
module=$(find "$work/tree" -name 'anykvm.ko*' | head -n 1)
[ -n "$module" ] || { echo "dkms-check: no module was built" >&2; exit 1; }
modinfo -F vermagic "$module" | grep -q "^$release " || { echo "dkms-check: not for $release" >&2; exit 1; }
echo "dkms-check: anykvm $version for $release: 1 passed, 0 failed, 0 skipped"
