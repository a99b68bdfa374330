#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# killed_twice_runs_no_attempt_twice - the whole node is killed under load, and the next one's first engine dies before it has taken the
# lost leases back. The second must not take them for leases that never began. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.bash
cd "$TMP" || exit 1

cat >load.yaml <<X
name: load
shell: 'echo \${task} \${attempt} >>$TMP/log; sleep 0.05; echo result \${task}'
array: 200
resources: {cpu: 0.5}
X
fact "a node is up and takes the job" eval 'exits 0 osier up && exits 0 osier submit load.yaml'
killed_under_load() {
	for _ in $(seq 1000); do
		[ "$(wc -l <log 2>/dev/null)" -gt 20 ] 2>/dev/null && break
		sleep 0.01
	done
	pkill -9 -f "osier(-keeper| engine) .*$OSIER_STATE"
	for _ in $(seq 100); do
		pgrep -f "osier(-keeper| engine) .*$OSIER_STATE" >/dev/null || return 0
		sleep 0.05
	done
	return 1
}
fact "keeper and engine are killed under load" killed_under_load
cp log before
export OSIER_KILL_AT=hello OSIER_KILLED=$TMP/killed OSIER_KILLS=2 ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}"
fact "the node starts again" exits 0 env LD_PRELOAD="$BUILD/test/e2e/libkill-at.so" osier up
fact "two engines died as they greeted the keeper" test "$(stat -c %s killed)" = 2
fact "the job succeeds" exits 0 timeout 60 osier wait load-1
once() {
	[ -z "$(sort log | uniq -d)" ] && return 0
	echo "run twice (task, attempt): $(sort log | uniq -d | tr '\n' ',')"
	return 1
}
fact "no attempt ran twice" once
fact "what the first node ran was not all it needed" test "$(wc -l <log)" -gt "$(wc -l <before)"
right() { [ "$(osier logs load-1 --no-prefix | sort -u | wc -l)" = 200 ]; }
fact "every task has its own result" right
echo "1..$tests"
