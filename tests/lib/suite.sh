# SPDX-License-Identifier: MIT OR GPL-2.0-only
# shellcheck shell=sh
# What test scripts share: a test is a command that calls fail or skip, perhaps; one line for each; the closing line.

passed=0 failed=0 skipped=0
reason=
skipped_because=

# The first reason counts.
fail()
{
	[ -n "$reason" ] || reason=$*
}

skip()
{
	skipped_because=$*
}

# The function test_NAME; a name that nobody knows is a failure.
call_test()
{
	"test_$1" || [ $? -ne 127 ] || fail "there is no such test"
}

# run_test NAME COMMAND...
run_test()
{
	suite_test=$1
	shift
	reason=
	skipped_because=
	suite_start=$(date +%s)
	"$@"
	if [ -n "$reason" ]; then
		echo "FAIL $suite_test: $reason ($(($(date +%s) - suite_start)) s)"
		failed=$((failed + 1))
	elif [ -n "$skipped_because" ]; then
		echo "skip $suite_test: $skipped_because"
		skipped=$((skipped + 1))
	else
		echo "pass $suite_test ($(($(date +%s) - suite_start)) s)"
		passed=$((passed + 1))
	fi
}

# The script's last command.
suite_end()
{
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ]
}
