#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Compilers, interpreters, JITs, compression and databases of a stock Debian userland, in a guest and on the bare CPU: the
# checksums of what they print must be equal. One line per program that differs, "N passed, N failed, N skipped" at the end.
#
# usage: run.sh ANYKVM KERNEL FOLDER CPUS [ARGUMENTS]
#	FOLDER: for the userland, which debootstrap makes there unless it is there already
#	CPUS: numbers of CPUs, one guest for each
#	ARGUMENTS: more words for 'anykvm boot'
#	USERLAND_SECONDS (environment): that a guest may take (1200)
#	USERLAND_MORE=1 (environment): with Java, Go, Erlang, SBCL, PyPy, OCaml, tcc: another 600 MB to fetch, 9 GiB of memory
set -u

[ $# -ge 4 ] || {
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}
anykvm=$1 kernel=$2 cpus=$4 arguments=${5:-}
mkdir -p "$3"
folder=$(realpath "$3")
here=$(dirname "$0")
suite=bookworm
packages="gcc,libc6-dev,make,python3,perl,nodejs,luajit,sqlite3,postgresql,xz-utils,zstd,bzip2,openssl,gawk,grep,bc"

memory=4096M pack=cat
[ "${USERLAND_MORE:-0}" = 0 ] || {
	packages="$packages,openjdk-17-jdk-headless,golang-go,erlang-base,sbcl,pypy3,ocaml-nox,tcc"
	folder=$folder-more memory=9216M pack='gzip -1'
	mkdir -p "$folder"
}
root=$folder/root

skip()
{
	echo "skip userland: $*"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
}

[ "$(id -u)" -eq 0 ] || skip 'debootstrap and chroot need root'
command -v debootstrap >/dev/null || skip 'debootstrap is not installed'
command -v cpio >/dev/null || skip 'cpio is not installed'
unshare --mount --pid --fork true 2>/dev/null || skip 'no mount namespaces here'

# A folder of that name is complete.
if [ ! -d "$root" ]; then
	rm -rf "$folder/making"
	debootstrap --variant=minbase --include="$packages" "$suite" "$folder/making" >"$folder/debootstrap.log" 2>&1 ||
		skip "debootstrap failed: $(tail -n 1 "$folder/debootstrap.log")"
	rm -rf "$folder/making/var/cache/apt" "$folder/making/var/lib/apt/lists" "$folder/making/usr/share/doc"
	mv "$folder/making" "$root"
fi
mkdir -p "$root/work"
cp "$here"/work.* "$root/work/"
cp "$here/init.sh" "$root/init"
chmod 755 "$root/init"
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc | $pack) >"$folder/initrd" || exit 1

# sh -c's own variables
# shellcheck disable=SC2016
unshare --mount --pid --fork sh -c '
	mount -t proc proc "$1/proc" && mount -t tmpfs tmp "$1/tmp" && mount --bind /dev "$1/dev" &&
		mount -t tmpfs shm "$1/dev/shm" || exit 1
	exec chroot "$1" /usr/bin/env -i /bin/sh /work/work.sh
' sh "$root" >"$folder/expected" </dev/null || {
	cat "$folder/expected"
	echo 'userland: the programs fail on the bare CPU'
	echo '0 passed, 1 failed, 0 skipped'
	exit 1
}

passed=0 failed=0
for n in $cpus; do
	# shellcheck disable=SC2086 # words on purpose
	ANYKVM_LOG=info timeout "${USERLAND_SECONDS:-1200}" "$anykvm" boot --kernel "$kernel" --initrd "$folder/initrd" --memory "$memory" \
		--cpus "$n" --append quiet $arguments </dev/null >"$folder/console-$n" 2>"$folder/messages-$n"
	status=$?
	tr -d '\r' <"$folder/console-$n" | sed -n 's/^userland: //p' >"$folder/got-$n"
	[ $status -eq 0 ] || {
		echo "not ok guest with $n CPUs: exit status $status; see $folder/console-$n, $folder/messages-$n"
		failed=$((failed + 1))
	}
	while read -r name sum; do
		if grep -qx "$name $sum" "$folder/got-$n"; then
			passed=$((passed + 1))
		else
			echo "not ok $name with $n CPUs: $(grep "^$name " "$folder/got-$n") instead of $sum"
			failed=$((failed + 1))
		fi
	done <"$folder/expected"
	sed -n 's/.*\(lockstep: .* comparisons.*\)/\1/p' "$folder/messages-$n"
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
