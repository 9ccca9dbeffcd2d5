#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Fetch a Debian package, of any architecture, and unpack it; prints the folder. No root needed, the system's own package
# state is not touched. What is there already is used again; -u looks for a newer one.
#
# usage: fetch-package.sh [-u] [-a ARCHITECTURE] [-d PREFIX] PACKAGE DIRECTORY
#	-d: unless PACKAGE begins with PREFIX itself, fetch the dependency of PACKAGE that does
set -eu

usage()
{
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}

die()
{
	echo "fetch-package: $*" >&2
	exit 1
}

arch=
update=
prefix=
while getopts ua:d: option; do
	case $option in
	u) update=yes ;;
	a) arch=$OPTARG ;;
	d) prefix=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 2 ] || usage
package=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)

# The name of the folder that has the package (or the dependency).
stamp=$dir/$package${arch:+-$arch}.name
find_folder()
{
	[ -s "$stamp" ] || return 1
	folder=$dir/$(cat "$stamp")
	[ -d "$folder" ] || return 1
	printf '%s\n' "$folder"
}

if [ -z "$update" ] && find_folder; then
	exit 0
fi
for tool in apt-get apt-cache dpkg; do
	command -v $tool >/dev/null || die "$tool is not here: this needs Debian"
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
	$prefix*) apt_tool apt-cache show "$package" >/dev/null 2>&1 && echo "$package" ;;
	*)
		apt_tool apt-cache depends --important "$package" 2>/dev/null |
			sed -n "s/^ *Depends: \\($prefix.*\\)\$/\\1/p" | head -n 1
		;;
	esac
}

# Package lists of our own: the system's may be missing or old, of another architecture, and only root may refresh them.
state=$dir/apt${arch:+-$arch}
own_lists()
{
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
	: >"$state/status"
	apt_options="$apt_options -o Dir::State::lists=$state/lists -o Dir::State::status=$state/status -o Dir::Cache=$state/cache"
	[ -z "$arch" ] || apt_options="$apt_options -o APT::Architecture=$arch -o APT::Architectures=$arch"
}

refresh_lists()
{
	echo "fetch-package: fetching package lists${arch:+ ($arch)}" >&2
	# One mirror's list may be out of step while the others have what is wanted.
	apt_tool apt-get -qq update >&2 || echo "fetch-package: some package lists could not be fetched" >&2
}

unpack=$(mktemp -d "$dir/fetch.XXXXXX")
trap 'rm -rf "$unpack"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

download()
{
	name=$(resolve)
	[ -n "$name" ] || return 1
	echo "fetch-package: fetching $name${arch:+ ($arch)}" >&2
	(cd "$unpack" && apt_tool apt-get -qq download "$name" >&2)
}

[ -z "$arch" ] || own_lists
if [ -n "$update" ] || ! download; then
	[ -n "$arch" ] || own_lists
	refresh_lists
	download || die "no package $package${arch:+ for $arch} to be had; is there a network?"
fi
mkdir "$unpack/root"
dpkg -x "$unpack"/*.deb "$unpack/root"
name=$name${arch:+-$arch}
rm -rf "${dir:?}/$name"
mv "$unpack/root" "$dir/$name"
printf '%s\n' "$name" >"$stamp"
find_folder
