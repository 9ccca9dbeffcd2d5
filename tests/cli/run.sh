#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Tests of `anykvm check`, `stat` and `trace`: one line per test, "N passed, N failed, N skipped" at the end; status 1 if one failed. JSON is
# read by python3, not by us.
#
# usage: run.sh ANYKVM TINY DEVICE WORK [TEST...]
#	TINY: the kernel of tests/boot/tiny.c
#	DEVICE: the program of tests/clients/device.c
set -u

[ $# -ge 4 ] || {
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}
anykvm=$(realpath "$1")
tiny=$(realpath "$2")
device=$(realpath "$3")
mkdir -p "$4"
work=$(realpath "$4")
shift 4
# shellcheck source=tests/lib/suite.sh
. "$(dirname "$0")/../lib/suite.sh"

# holds FILE EXPRESSION: of python, with the document as d.
holds()
{
	python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
sys.exit(not eval(sys.argv[2]))' "$1" "$2" || fail "not true of $1: $2"
}

test_check()
{
	timeout 60 "$anykvm" check --json >"$work/check.json"
	status=$?
	holds "$work/check.json" "d['engines']['interpreter']['trial']['ok']"
	holds "$work/check.json" "[x['path'] for x in d['devices']] == ['/dev/kvm', '/dev/anykvm']"
	holds "$work/check.json" "d['speed'] == {0: 'full', 4: 'slow', 5: 'none'}[$status]"
	# What is said of the processor must agree with what Linux says, where Linux says it.
	if grep -qwE '^flags.* bmi2' /proc/cpuinfo; then
		holds "$work/check.json" "d['processor']['bmi2']"
	fi
	timeout 60 "$anykvm" check >"$work/check.txt"
	[ $? -eq $status ] || fail "words and JSON end with different statuses"
	grep -q '^anykvm uses ' "$work/check.txt" || fail "the words do not say what is used"
}

# Without address space for its tables there is no translator; guests still run.
test_check_limit()
{
	timeout 60 prlimit --as=20480000000 "$anykvm" check --json >"$work/limit.json"
	status=$?
	holds "$work/limit.json" "d['limits']['address_space'] == 20000000 * 1024"
	holds "$work/limit.json" "d['engine'] == 'interpreter'"
	holds "$work/limit.json" "not d['engines']['translator']['possible']"
	holds "$work/limit.json" "d['device'] or $status == 4"
	# The library says the same: asked for explicitly, the translator is refused.
	timeout 60 prlimit --as=20480000000 "$anykvm" boot --engine translator "$tiny" >"$work/limit.txt" 2>&1 </dev/null
	[ $? -eq 1 ] || fail "boot --engine translator did not fail"
}

# A device node that nobody may open.
test_check_permission()
{
	if [ "$(id -u)" -ne 0 ] || [ ! -c /dev/kvm ] || ! id nobody >/dev/null 2>&1; then
		skip "wants root, /dev/kvm and a user nobody"
		return
	fi
	# The command may lie where nobody cannot go.
	copy=$(mktemp -d)
	chmod 755 "$copy"
	cp "$anykvm" "$copy/"
	timeout 60 setpriv --reuid nobody --regid nogroup --clear-groups "$copy/anykvm" check --json >"$work/permission.json"
	rm -rf "$copy"
	if [ "$(stat -c %a /dev/kvm)" = 666 ]; then
		skip "everybody may use /dev/kvm here"
		return
	fi
	holds "$work/permission.json" "d['devices'][0]['state'] == 'no-permission'"
	holds "$work/permission.json" "any('usermod' in a for a in d['advice'])"
}

# A guest that writes to its serial port without end, in the background: $guest.
start_guest()
{
	timeout 60 "$anykvm" boot --append "tiny=$1" "$tiny" >/dev/null 2>"$work/guest.err" </dev/null &
	parent=$!
	guest=
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		guest=$(pgrep -P $parent) && monitor_of "$guest" >/dev/null && break
		sleep 0.1
	done
}

monitor_of()
{
	for fd in "/proc/$1/fd"/*; do
		case $(readlink "$fd") in
		*anykvm:monitor*) echo "$fd" && return 0 ;;
		esac
	done
	return 1
}

end_guest()
{
	kill "$guest"
	wait "$parent"
}

test_stat()
{
	start_guest l
	timeout 20 "$anykvm" stat --pid "$guest" --once --json --interval 0.5 >"$work/stat.json" || fail "stat: exit status $?"
	timeout 20 "$anykvm" stat --pid "$guest" --once --interval 0.2 >"$work/stat.txt" || fail "stat in words: exit status $?"
	end_guest
	holds "$work/stat.json" "d['processes'][0]['pid'] == $guest"
	holds "$work/stat.json" "[(v['vm'], v['vcpu']) for v in d['processes'][0]['vcpus']] == [(1, 0)]"
	io="d['processes'][0]['vcpus'][0]['to_user_space']['IO']"
	holds "$work/stat.json" "${io}['total'] >= ${io}['count'] > 0"
	# Times were asked for: part of the interval is in the guest, part in the VMM's device.
	holds "$work/stat.json" "0 < ${io}['seconds'] < d['processes'][0]['interval'] * 1.01"
	holds "$work/stat.json" "0 < d['processes'][0]['vcpus'][0]['guest_seconds'] < d['processes'][0]['interval'] * 1.01"
	holds "$work/stat.json" "d['processes'][0]['vcpus'][0]['counters']['io_exits']['total'] > 0"
	grep -q '^  IO  *[1-9]' "$work/stat.txt" || fail "the words have no line for port I/O"
	timeout 20 "$anykvm" stat --pid $$ --once 2>/dev/null && fail "stat of a process without a machine succeeds"
}

test_trace_running()
{
	start_guest l
	# Nobody has asked: there are no records, and asking for counts makes none.
	timeout 20 "$anykvm" stat --pid "$guest" --once --interval 0.1 >/dev/null
	file=$(monitor_of "$guest") || fail "no monitor file"
	timeout 20 "$anykvm" trace -o "$work/off.txt" --decode "$file" || fail "decode: exit status $?"
	[ ! -s "$work/off.txt" ] || fail "records were made though nobody traced"
	timeout -s INT 1 "$anykvm" trace -o "$work/running.txt" --pid "$guest"
	end_guest
	grep -q ' vm1 vcpu0 user IO out port 0x3f8 size 1 count 1 data 0x' "$work/running.txt" || fail "no port I/O in the trace"
	grep -q ' vm1 vcpu0 exit user rip 0x' "$work/running.txt" || fail "no exit in the trace"
	grep -q ' vm1 vcpu0 ioctl KVM_RUN(0x[0-9a-f]*) = 0 <' "$work/running.txt" ||
		grep -q ' vm1 vcpu0 ioctl KVM_RUN() = 0 <' "$work/running.txt" || fail "no ioctl in the trace"
}

# A program from its first ioctl, and its exit status; a child of it, and what it runs, too.
test_trace_program()
{
	timeout 60 "$anykvm" trace -o "$work/program.txt" -- sh -c "\"$device\" >/dev/null && exit 7"
	status=$?
	[ $status -eq 7 ] || fail "exit status $status, not the program's"
	head -n 3 "$work/program.txt" | grep -q 'ioctl KVM_GET_API_VERSION() = 12 <' || fail "the first ioctl is missing"
	grep -q ' = -1 E' "$work/program.txt" || fail "no error in the trace"
	grep -q 'records lost' "$work/program.txt" && fail "records were lost"
	timeout 60 "$anykvm" run --trace "$work/run.txt" -- "$device" >/dev/null || fail "run --trace: exit status $?"
	grep -q 'ioctl KVM_CREATE_VM() = 0 <' "$work/run.txt" || fail "run --trace is not the same"
	timeout 60 "$anykvm" run --route inject --trace "$work/inject.txt" -- "$device" >/dev/null || fail "run --route --trace: exit status $?"
	grep -q 'ioctl KVM_CREATE_VM() = 0 <' "$work/inject.txt" || fail "run --route --trace: nothing was recorded"
	# What a program leaves behind that nobody watched.
	rm -rf "$work/left" && mkdir "$work/left"
	ANYKVM_TRACE=$work/left timeout 60 "$anykvm" run -- "$device" >/dev/null
	timeout 20 "$anykvm" trace -o "$work/left.txt" --decode "$work/left" || fail "decode: exit status $?"
	grep -q 'ioctl KVM_CREATE_VM() = 0 <' "$work/left.txt" || fail "nothing was left"
	rm -rf "$work/left"
}

# says STATUS WORDS ARGUMENT...: what anykvm says, and how it ends.
says()
{
	want=$1 words=$2
	shift 2
	timeout 20 "$anykvm" "$@" >"$work/says" 2>&1
	status=$?
	[ $status -eq "$want" ] || fail "anykvm $*: status $status, not $want"
	grep -q "^anykvm: $words" "$work/says" || fail "anykvm $*: $(head -n 1 "$work/says")"
}

test_messages()
{
	says 2 "check: unrecognized option '--nope'" check --nope
	says 2 "stat: unexpected argument 'x'" stat x
	says 1 "process $$ has no machine" stat --pid $$ --once
	says 1 "process $$ has no machine" trace --pid $$
	says 1 '/dev/full: not all could be written' trace -o /dev/full -- "$anykvm" run -- "$device"
}

all='check check_limit check_permission messages stat trace_running trace_program'
# shellcheck disable=SC2086 # words on purpose
[ $# -gt 0 ] || set -- $all
for test in "$@"; do
	run_test "$test" call_test "$test"
done
suite_end
