#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tap.sh - run programs that print TAP, count, and tell failures. Sourced by check.sh.
#
# tap_run NAME TIMEOUT_S COMMAND...   runs it; its "ok" / "not ok" lines count. A program that dies, hangs, or prints no
#                                     test at all is one failure. Output of failures is shown; all of it is in $LOGS/NAME.log.
# tap_case NAME COMMAND...            the command's exit status is one test.
passed=0 failed=0 skipped=0
failures=()

tap_run() {
	local name=$1 limit=$2 log status ok bad skip
	shift 2
	log=$LOGS/$(printf %s "$name" | tr -c 'A-Za-z0-9._-' _).log
	timeout -k 10 "$limit" "$@" >"$log" 2>&1 </dev/null
	status=$?
	# A skipped test is "ok ... # SKIP"; cmocka says "not ok ... # SKIP".
	ok=$(grep -E '^ok( |$)' "$log" | grep -ciEv '# skip')
	skip=$(grep -E '^((not )?ok|1\.\.0)( |$)' "$log" | grep -ciE '# skip') # "1..0 # SKIP": the whole program, for now or here
	bad=$(grep -E '^not ok( |$)' "$log" | grep -ciEv '# skip')
	if [ "$status" = 124 ] || [ "$status" = 137 ]; then
		echo "not ok - $name: no end after $limit s" >>"$log"
		bad=$((bad + 1))
	elif [ "$status" != 0 ] && [ "$bad" = 0 ]; then
		echo "not ok - $name: exit status $status" >>"$log"
		bad=1
	elif [ $((ok + bad + skip)) = 0 ]; then
		echo "not ok - $name: no test ran" >>"$log"
		bad=1
	fi
	passed=$((passed + ok)) skipped=$((skipped + skip)) failed=$((failed + bad))
	if [ "$bad" != 0 ]; then
		failures+=("$name")
		printf 'FAIL  %s\n' "$name"
		tail -n 40 "$log" | sed 's/^/      /'
	else
		printf 'ok    %s (%s)\n' "$name" "$ok"
	fi
}

tap_case() {
	local name=$1 log
	shift
	log=$LOGS/$(printf %s "$name" | tr -c 'A-Za-z0-9._-' _).log
	if "$@" >"$log" 2>&1 </dev/null; then
		passed=$((passed + 1))
		printf 'ok    %s\n' "$name"
	else
		failed=$((failed + 1))
		failures+=("$name")
		printf 'FAIL  %s\n' "$name"
		tail -n 40 "$log" | sed 's/^/      /'
	fi
}
