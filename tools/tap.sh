#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tap.sh - run programs that print TAP, count, and tell failures. Sourced by check.sh.
#
# tap_run NAME TIMEOUT_S COMMAND...   runs it; its "ok" / "not ok" lines count. A program that dies, hangs, or prints no
#                                     test at all is one failure. Output of failures is shown; all of it is in $LOGS/NAME.log.
# tap_beside NAME TIMEOUT_S COMMAND...   the same, beside others: $TAP_JOBS at a time (3).
# tap_wait                            the end of those.
# tap_case NAME COMMAND...            the command's exit status is one test.
TAP_JOBS=${TAP_JOBS:-3}
passed=0 failed=0 skipped=0
failures=()
running=() # names and limits, by process

tap_log() { printf %s "$LOGS/$(printf %s "$1" | tr -c 'A-Za-z0-9._-' _).log"; }

# NAME TIMEOUT_S STATUS: what a program that has ended came to.
tap_count() {
	local name=$1 limit=$2 status=$3 log ok bad skip
	log=$(tap_log "$name")
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
		tail -n 100 "$log" | sed 's/^/      /'
	else
		printf 'ok    %s (%s)\n' "$name" "$ok"
	fi
}

tap_run() {
	local name=$1 limit=$2
	shift 2
	timeout -k 10 "$limit" "$@" >"$(tap_log "$name")" 2>&1 </dev/null
	tap_count "$name" "$limit" $?
}

tap_next() {
	local pid status
	wait -n -p pid "${!running[@]}"
	status=$?
	# shellcheck disable=SC2086
	tap_count ${running[$pid]} "$status"
	unset "running[$pid]"
}

tap_beside() {
	local name=$1 limit=$2
	shift 2
	while [ ${#running[@]} -ge "$TAP_JOBS" ]; do tap_next; done
	timeout -k 10 "$limit" "$@" >"$(tap_log "$name")" 2>&1 </dev/null &
	running[$!]="$name $limit"
}

tap_wait() { while [ ${#running[@]} -gt 0 ]; do tap_next; done; }

tap_case() {
	local name=$1 log
	shift
	log=$(tap_log "$name")
	if "$@" >"$log" 2>&1 </dev/null; then
		passed=$((passed + 1))
		printf 'ok    %s\n' "$name"
	else
		failed=$((failed + 1))
		failures+=("$name")
		printf 'FAIL  %s\n' "$name"
		tail -n 100 "$log" | sed 's/^/      /'
	fi
}
