#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# killed_anywhere - a node whose engine dies after its Nth call to the outside, for many N: a job of every kind of step runs as if nothing had
# happened. And one whose keeper does: started again, it ends the job, and no attempt runs twice. Prints TAP. RUNS=N tries so many;
# KILLS=N lets so many die one after another; WHO=engine|keeper FROM=N TO=M all in between, one after another; SEED=N the same as another time.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.bash
SEED=${SEED:-$(($(date +%N | sed 's/^0*//') % 32768))} RUNS=${RUNS:-20} FROM=${FROM:-1} TO=${TO:-0} WHO=${WHO:-engine}
RANDOM=$SEED
echo "# SEED=$SEED RUNS=$RUNS $0"
WORKER=$BUILD/test/e2e/e2e-worker
cd "$TMP" || exit 1

{ seq 12; head -c 4000 /dev/zero | tr '\0' x; printf '\n14\n15\n16\n'; } >lines
many=$(printf '${line}%.0s' $(seq 14))
cat >load.yaml <<X
name: load
keep_going: true
steps:
  process:
    command: [sh, -c, 'echo \$0 \$1 >>$TMP/process; head -c \$((\$0 % 3 * 70000)) /dev/zero >file; echo \$0', '\${task}', '\${attempt}']
    array: {line: {lines: lines}}
    env: {A: "$many", B: "$many", C: "$many", D: "$many"}
    outputs: [file]
    resources: {cpu: 0.5}
  worker:
    worker: {command: [$WORKER], function: mark_attempt, args: $TMP/worker, batch: 4}
    array: 40
    resources: {cpu: 0.5}
  agreed:
    command: [sh, -c, 'echo \$0 \$1 >>$TMP/agreed; echo \$0', '\${task}', '\${attempt}']
    array: 3
    verify: {replicas: 2, agree: 2, comparator: [cmp, -s]}
    resources: {cpu: 0.25}
  total:
    command: [sh, -c, 'cat inputs/*']
    reduce: worker
X
export ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}" OSIER_KILLS=${KILLS:-1} OSIER_KILLED=$TMP/killed OSIER_KILL_AT OSIER_KILL_WHO=engine
# The results of the tasks, whatever order they came in.
results() {
	osier tasks load-1 --all --json | jq -r '.tasks[] | "\(.step) \(.index) \(.state) \(.attempts)"' | sort
	osier logs load-1/process --no-prefix | sort -n | tr '\n' ' '
	osier logs load-1/agreed --no-prefix | sort -n | tr '\n' ' '
	osier logs load-1/total --no-prefix
}
node_up() { env LD_PRELOAD="$BUILD/test/e2e/libkill-at.so" timeout 60 osier up; }
ended() { osier job load-1 --json 2>/dev/null | jq -e '.state == "failed"' >/dev/null; } # one of its tasks does
run() {
	node_up && timeout 60 osier submit -q load.yaml || return 1
	timeout 60 osier wait load-1
	ended
}
# With the keeper goes the node: whoever needs it starts it again.
run_with_restarts() {
	for _ in 1 2 3; do
		node_up
		osier job load-1 >/dev/null 2>&1 || timeout 60 osier submit -q load.yaml
		timeout 60 osier wait load-1
		ended && return 0
	done
	return 1
}
once() { # RUN RESULTS: no attempt runs twice, and the node goes down in the end
	local rc=0
	rm -rf "$OSIER_STATE" process worker agreed killed
	"$1" >said 2>&1 || { cat said; rc=1; }
	results >"$2" 2>&1
	timeout 60 osier down >said 2>&1 || timeout 60 osier down >said 2>&1 || [ "$OSIER_KILL_WHO" = keeper ] || { cat said; rc=1; }
	cat process agreed worker | cut -d' ' -f1,2 | sort | uniq -d >twice
	[ ! -s twice ] || { echo "run twice (task attempt): $(tr '\n' ',' <twice)"; rc=1; }
	[ ! -s killed ] || died=$((died + 1))
	return $rc
}
engine_dies() {
	OSIER_KILL_WHO=engine OSIER_KILL_AT=$1
	once run results && diff right results
}
# What it was at may be done again, by another attempt.
keeper_dies() {
	OSIER_KILL_WHO=keeper OSIER_KILL_AT=$1
	once run_with_restarts results && diff <(cut -d' ' -f1-3 right) <(cut -d' ' -f1-3 results)
}
OSIER_KILL_AT=0
fact "a node that nobody kills does the job" once run right
right() { [ "$(grep -c succeeded right)" = 59 ] && [ "$(grep -c 'process 12 failed' right)" = 1 ] && tail -n 1 right | grep -q "$(seq -s '' 0 39)\$"; }
fact "with the results it should have" right
died=0
if [ "$TO" -gt 0 ]; then
	for n in $(seq "$FROM" "$TO"); do fact "its $WHO dies after call $n" "${WHO}_dies" "$n"; done
else
	# Each makes more calls than that until the job is done.
	for _ in $(seq "$RUNS"); do
		n=$((RANDOM % 300 + 1))
		fact "its engine dies after call $n" engine_dies "$n"
	done
	for _ in $(seq $((RUNS / 4))); do
		n=$((RANDOM % 80 + 1))
		fact "its keeper dies after call $n" keeper_dies "$n"
	done
	fact "most were still there to die" test "$died" -gt $((RUNS / 2))
fi
echo "1..$tests"
