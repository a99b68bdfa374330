#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# killed_engine_runs_task_once - the engine is killed with -9 again and again under load, and no task notices. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.bash
WORKER=$BUILD/test/e2e/e2e-worker
KILLS=${KILLS:-7}
cd "$TMP" || exit 1

cat >load.yaml <<X
name: load
steps:
  process:
    shell: 'echo \${task} >>$TMP/process.log; sleep 0.00\$((\${task} % 10)); echo result \${task}'
    array: 400
    resources: {cpu: 0.25}
  worker:
    worker: {command: [$WORKER], function: mark, args: $TMP/worker.log}
    array: 600
    resources: {cpu: 0.25}
  large:
    shell: 'echo \${task} >>$TMP/large.log; head -c 200000 /dev/zero | tr "\\\\0" x'
    array: 60
    resources: {cpu: 0.25}
  total:
    shell: 'cat inputs/* | wc -l'
    reduce: process
X

engine_pid() { pgrep -f "osier engine --state $OSIER_STATE"; }
kill_engine() {
	local pid
	for _ in $(seq 500); do
		pid=$(engine_pid) && kill -9 $pid 2>/dev/null && return 0
		sleep 0.02
	done
	echo "there was no engine to kill"
	return 1
}
# A node whose engine starts again refuses connections for a moment.
settled() {
	for _ in $(seq 300); do
		osier job load-1 --json 2>/dev/null | jq -e '.state == "succeeded"' >/dev/null && return 0
		osier job load-1 --json 2>/dev/null | jq -e '.state == "failed"' >/dev/null && break
		sleep 0.2
	done
	osier job load-1
	for s in process worker large; do
		for t in $(osier tasks load-1 --json --step $s --all | jq '.tasks[] | select(.state == "failed") | .index'); do
			curl -s --unix-socket "$OSIER_STATE/api.sock" "http://osier/v1/jobs/1/tasks/$s/$t" | jq -c .attempts
		done
	done
	return 1
}
once() { # FILE TASKS
	[ "$(wc -l <"$1")" = "$2" ] && [ "$(sort -un "$1" | wc -l)" = "$2" ] && return 0
	echo "$1: $(wc -l <"$1") runs of $(sort -un "$1" | wc -l) tasks, not $2"
	return 1
}
attempts() { # STEP: each task has one attempt
	osier tasks load-1 --json --step "$1" --all | jq -e '.tasks | length > 0 and all(.attempts == 1)' >/dev/null
}

fact "a node is up and takes the job" eval 'exits 0 osier up && exits 0 osier submit load.yaml'
storm() {
	for _ in $(seq "$KILLS"); do
		sleep 0.$((RANDOM % 3))$((RANDOM % 9 + 1))
		kill_engine || return 1
	done
}
fact "the engine is killed $KILLS times while the job runs" storm
fact "the job succeeds all the same" settled
fact "every process task ran once" once process.log 400
fact "every worker task ran once" once worker.log 600
fact "every task with a large output ran once" once large.log 60
fact "process tasks have one attempt each" attempts process
fact "worker tasks have one attempt each" attempts worker
right() {
	[ "$(osier logs load-1/total --no-prefix)" = 400 ] || return 1
	for i in 0 7 399; do [ "$(osier logs load-1/process/$i --no-prefix)" = "result $i" ] || return 1; done
	for i in 0 123 599; do [ "$(osier logs load-1/worker/$i --no-prefix | head -1)" = "$i" ] || return 1; done
	[ "$(curl -s --unix-socket "$OSIER_STATE/api.sock" http://osier/v1/jobs/1/tasks/large/59/output/stdout | wc -c)" = 200000 ]
}
fact "outputs are the tasks' own" right
nothing_left() { # spool and scratch are empty again
	for _ in $(seq 50); do
		[ -z "$(ls -A "$OSIER_STATE/spool" "$OSIER_STATE/scratch" | grep -v ':$' | grep -v '^$')" ] && return 0
		sleep 0.1
	done
	ls -R "$OSIER_STATE/spool" "$OSIER_STATE/scratch"
	return 1
}
fact "nothing is left in spool and scratch" nothing_left
echo "1..$tests"
