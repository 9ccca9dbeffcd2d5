#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Tests of `anykvm check`: one line per test, "N passed, N failed, N skipped" at the end; status 1 if one failed. JSON is
# read by python3, not by us.
#
# usage: run.sh ANYKVM TINY WORK [TEST...]
#	TINY: the kernel of tests/boot/tiny.c
set -u

[ $# -ge 3 ] || {
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}
anykvm=$(realpath "$1")
tiny=$(realpath "$2")
mkdir -p "$3"
work=$(realpath "$3")
shift 3
passed=0 failed=0 skipped=0

fail()
{
	[ -n "$reason" ] || reason=$*
}

skip()
{
	skipped_because=$*
}

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

all='check check_limit check_permission'
# shellcheck disable=SC2086 # words on purpose
[ $# -gt 0 ] || set -- $all
for test in "$@"; do
	reason=
	skipped_because=
	test_"$test"
	if [ -n "$reason" ]; then
		echo "FAIL $test: $reason"
		failed=$((failed + 1))
	elif [ -n "$skipped_because" ]; then
		echo "skip $test: $skipped_because"
		skipped=$((skipped + 1))
	else
		echo "pass $test"
		passed=$((passed + 1))
	fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
