#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Fetch a stock Debian kernel as a package and unpack it; prints the path of its vmlinuz. No root
# needed. What is there already is used again; -u looks for a newer one.
#
# usage: fetch-kernel.sh [-u] [-a ARCHITECTURE] [-p PACKAGE] DIRECTORY
#	PACKAGE: linux-image-cloud-amd64 (default), linux-image-amd64, linux-image-6.1.0-NN-cloud-amd64,
#	with -a i386 linux-image-686-pae ...
set -eu

usage()
{
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}

die()
{
	echo "fetch-kernel: $*" >&2
	exit 1
}

package=linux-image-cloud-amd64
update=
arch=
while getopts ua:p: option; do
	case $option in
	u) update=-u ;;
	a) arch=$OPTARG ;;
	p) package=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 1 ] || usage

# shellcheck disable=SC2086 # options on purpose
folder=$(sh "$(dirname "$0")/fetch-package.sh" $update ${arch:+-a "$arch"} -d 'linux-image-[0-9][.][0-9]*[.]' "$package" "$1") ||
	die "no kernel $package; see 'apt-cache search linux-image', or give another to 'anykvm boot --kernel'"
set -- "$folder"/boot/vmlinuz-*
[ -f "$1" ] || die "$folder has no kernel in it"
printf '%s\n' "$1"
