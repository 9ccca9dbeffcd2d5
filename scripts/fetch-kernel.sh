#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Fetch a stock Debian kernel as a package and unpack it; prints the path of its vmlinuz. No root
# needed. What is there already is used again; -u looks for a newer one.
#
# usage: fetch-kernel.sh [-u] [-p PACKAGE] DIRECTORY
#	PACKAGE: linux-image-cloud-amd64 (default), linux-image-amd64, linux-image-6.1.0-NN-cloud-amd64 ...
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
while getopts up: option; do
	case $option in
	u) update=yes ;;
	p) package=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 1 ] || usage
mkdir -p "$1"
dir=$(cd "$1" && pwd)

# The name of the package that has the kernel, for one that only depends on it.
stamp=$dir/$package.name
find_vmlinuz()
{
	[ -s "$stamp" ] || return 1
	set -- "$dir/$(cat "$stamp")"/boot/vmlinuz-*
	[ -f "$1" ] || return 1
	printf '%s\n' "$1"
}

if [ -z "$update" ] && find_vmlinuz; then
	exit 0
fi
for tool in apt-get apt-cache dpkg; do
	command -v $tool >/dev/null ||
		die "$tool is not here: this needs Debian (or give another kernel to 'anykvm boot --kernel')"
done

# apt drops to its own user to download, who cannot write here: root downloads as root.
apt_options="-o APT::Sandbox::User=root"
apt_tool()
{
	tool=$1
	shift
	# shellcheck disable=SC2086 # words on purpose
	"$tool" $apt_options "$@"
}

resolve()
{
	case $package in
	linux-image-[0-9]*) apt_tool apt-cache show "$package" >/dev/null 2>&1 && echo "$package" ;;
	*)
		apt_tool apt-cache depends --important "$package" 2>/dev/null |
			sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1
		;;
	esac
}

# Package lists of our own: the system's may be missing or old, and only root may refresh those.
own_lists()
{
	echo "fetch-kernel: fetching package lists" >&2
	mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
	apt_options="$apt_options -o Dir::State::lists=$dir/apt/lists -o Dir::Cache=$dir/apt/cache"
	apt_tool apt-get -qq update >&2 || die "the package lists cannot be fetched; is there a network?"
}

unpack=$(mktemp -d "$dir/fetch.XXXXXX")
trap 'rm -rf "$unpack"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

download()
{
	name=$(resolve)
	[ -n "$name" ] || return 1
	echo "fetch-kernel: fetching $name" >&2
	(cd "$unpack" && apt_tool apt-get -qq download "$name" >&2)
}

if [ -n "$update" ] || ! download; then
	own_lists
	download || die "no package $package to be had; see 'apt-cache search linux-image'"
fi
mkdir "$unpack/root"
dpkg -x "$unpack"/*.deb "$unpack/root"
rm -rf "${dir:?}/$name"
mv "$unpack/root" "$dir/$name"
printf '%s\n' "$name" >"$stamp"
find_vmlinuz || die "the package $name has no kernel in it"
