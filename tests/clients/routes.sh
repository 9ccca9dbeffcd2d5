#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# How /dev/kvm comes to programs of every kind: one line per test, "N passed, N failed, N skipped" at the end; status 1 if one
# failed.
#
# usage: routes.sh ANYKVM WORK [TEST...]
#	WORK: a folder for what is built and printed here
set -u

[ $# -ge 2 ] || {
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}
anykvm=$(realpath "$1")
mkdir -p "$2"
work=$(realpath "$2")
shift 2
here=$(dirname "$(realpath "$0")")
cc=${CC:-gcc}
flags='-std=gnu11 -D_GNU_SOURCE -O2 -pthread'

# shellcheck source=tests/lib/suite.sh
. "$here/../lib/suite.sh"

# build COMPILER NAME SOURCE FLAG...
build()
{
	compiler=$1 name=$2 source=$3
	shift 3
	# shellcheck disable=SC2086 # a list of flags
	"$compiler" $flags "$@" -o "$work/$name" "$here/$source" >"$work/$name.log" 2>&1 ||
		fail "$name does not build: $(tail -n 1 "$work/$name.log")"
}

# run NAME [OPTION...] -- PROGRAM...: by anykvm run; must end well.
run()
{
	name=$1
	shift
	timeout -k 5 100 "$anykvm" run "$@" >"$work/$name.out" 2>&1 || fail "$name: status $?: $(tail -n 1 "$work/$name.out")"
}

# The kernel's headers for musl, without glibc's.
musl_headers()
{
	mkdir -p "$work/headers"
	for folder in linux asm-generic; do
		ln -sfn "/usr/include/$folder" "$work/headers/$folder"
	done
	ln -sfn "/usr/include/$(gcc -print-multiarch)/asm" "$work/headers/asm"
}

test_static()
{
	build "$cc" raw-static raw.c -static && run raw-static -- "$work/raw-static" "$work/link"
}

test_static_pie()
{
	build "$cc" raw-static-pie raw.c -static-pie && run raw-static-pie -- "$work/raw-static-pie" "$work/link"
}

test_static_device()
{
	build "$cc" device-static device.c -static && run device-static -- "$work/device-static"
}

# A signal ends KVM_RUN whatever the guest does, on both routes. What it takes is printed: signals.c.
test_signals()
{
	build "$cc" signals-static signals.c -static && run signals-static -- "$work/signals-static" 20
	build "$cc" signals-dynamic signals.c && run signals-dynamic -- "$work/signals-dynamic" 20
	run signals-interpreter --engine interpreter -- "$work/signals-dynamic" 20
}

test_interpreter()
{
	build "$cc" raw-static raw.c -static && run raw-interpreter --engine interpreter -- "$work/raw-static"
}

test_musl()
{
	command -v musl-gcc >/dev/null || {
		skipped_because='no musl-gcc: apt-get install musl-tools'
		return
	}
	musl_headers
	build musl-gcc raw-musl raw.c -static -I "$work/headers" && run raw-musl -- "$work/raw-musl" "$work/link"
}

test_go()
{
	command -v go >/dev/null || {
		skipped_because='no go: apt-get install golang-go'
		return
	}
	GOCACHE=$work/gocache CGO_ENABLED=0 go build -o "$work/spin" "$here/spin.go" >"$work/spin.log" 2>&1 ||
		fail "spin does not build: $(tail -n 1 "$work/spin.log")"
	for i in 1 2 3; do
		run spin$i -- "$work/spin"
	done
}

# A dynamic program, on either route.
test_dynamic_injected()
{
	build "$cc" raw-dynamic raw.c && run raw-dynamic-injected --route inject -- "$work/raw-dynamic" "$work/link"
	build "$cc" device-dynamic device.c && run device-injected --route inject -- "$work/device-dynamic"
}

test_dynamic_preloaded()
{
	build "$cc" raw-dynamic raw.c && run raw-dynamic-preloaded -- "$work/raw-dynamic" --preloaded "$work/link"
}

# Languages that call C functions by name, by libc's handle or the program's.
test_by_name()
{
	command -v python3 >/dev/null || {
		skipped_because='no python3: apt-get install python3'
		return
	}
	for library in '' libc.so.6; do
		for route in preload inject; do
			run "by-name-$route" --route $route -- python3 "$here/libc.py" "$library"
		done
	done
}

# An environment made anew loses neither the library nor its settings.
test_environment()
{
	build "$cc" raw-dynamic raw.c && build "$cc" raw-static raw.c -static || return
	for program in raw-dynamic raw-static; do
		run "environment-$program" -- env -i A=b "$work/$program" --child
	done
	run environment --engine interpreter -- env -i A=b LD_PRELOAD=libm.so.6 env
	for line in A=b ANYKVM_ENGINE=interpreter "LD_PRELOAD=.*/libanykvm-preload.so:libm.so.6"; do
		grep -q "^$line$" "$work/environment.out" || fail "env -i: no $line"
	done
	[ "$(wc -l <"$work/environment.out")" -eq 3 ] || fail "env -i: $(tr '\n' ' ' <"$work/environment.out")"
}

# Programs that gain privileges drop the library: that is said.
test_privileged()
{
	cp /bin/true "$work/privileged"
	if ! chown 65534 "$work/privileged" 2>/dev/null || ! chmod 4755 "$work/privileged"; then
		skipped_because='no right to make a set-user-ID program'
		return
	fi
	"$anykvm" run -- "$work/privileged" 2>"$work/privileged.out"
	[ $? -eq 126 ] || fail 'a set-user-ID program: not 126'
	grep -q 'set-user-ID' "$work/privileged.out" || fail 'a set-user-ID program: no word about it'
	rm -f "$work/privileged"
}

# Programs that start programs of the other kind.
test_mixed()
{
	build "$cc" raw-static raw.c -static && build "$cc" raw-dynamic raw.c || return
	printf '#!/bin/sh\n"%s" --child && exec "%s" --child\n' "$work/raw-static" "$work/raw-dynamic" >"$work/script"
	chmod +x "$work/script"
	for route in auto inject; do
		run mixed-$route --route $route -- "$work/script"
		run nested-$route --route $route -- sh -c "sh -c '$work/script; $work/raw-static --child' && env - $work/raw-static --child"
	done
}

test_busybox()
{
	busybox=$(command -v busybox) || {
		skipped_because='no busybox: apt-get install busybox-static'
		return
	}
	build "$cc" raw-dynamic raw.c
	run busybox -- "$busybox" sh -c "ls /dev/null && $work/raw-dynamic --child && echo done | $busybox cat"
	tail -n 1 "$work/busybox.out" | grep -q '^done$' || fail 'busybox: the pipe is broken'
}

# What a program sees of itself and of its start.
test_looks()
{
	build "$cc" raw-static raw.c -static
	[ "$("$anykvm" run --route inject -- /bin/echo one 'two  three')" = 'one two  three' ] || fail 'arguments are not what was given'
	[ "$("$anykvm" run --route inject -- /bin/sh -c 'tr "\0" " " </proc/$$/cmdline' | cut -c 1-10)" = '/bin/sh -c' ] ||
		fail 'the command line is not the program'"'"'s'
	"$anykvm" run --route inject -- /bin/false && fail 'an exit status is lost'
	"$anykvm" run -- "$work/nothing" 2>/dev/null
	[ $? -eq 127 ] || fail 'a program that is not there: not 127'
	"$anykvm" run --route preload -- "$work/raw-static" 2>/dev/null
	[ $? -eq 126 ] || fail 'a static program preloaded: not 126'
}

[ $# -gt 0 ] || set -- static static_pie static_device signals interpreter musl go dynamic_injected dynamic_preloaded by_name environment privileged \
	mixed busybox looks
for test in "$@"; do
	run_test "$test" call_test "$test"
done
suite_end
