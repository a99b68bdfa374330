#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# killed_before_the_keeper_knows - the engine dies at the worst moment: it has just given a warm worker tasks of a new lease. What the
# worker does then is not lost and not done again. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.bash
WORKER=$BUILD/test/e2e/e2e-worker
KILLS=${KILLS:-6}
cd "$TMP" || exit 1

cat >load.yaml <<X
name: load
steps:
  worker:
    worker: {command: [$WORKER], function: mark, args: $TMP/worker.log, batch: 8}
    array: 400
    resources: {cpu: 1}
X
export OSIER_KILL_AT=batch OSIER_KILLED=$TMP/killed OSIER_KILLS=$KILLS ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}"
node_up() { exits 0 env LD_PRELOAD="$BUILD/test/e2e/libkill-at.so" osier up; }
fact "a node is up and takes the job" eval 'node_up && exits 0 osier submit load.yaml'
fact "the job succeeds" exits 0 timeout 60 osier wait load-1
fact "the engine died $KILLS times with tasks at a warm worker" test "$(stat -c %s killed)" = "$KILLS"
once() {
	[ "$(wc -l <worker.log)" = 400 ] && [ "$(sort -un worker.log | wc -l)" = 400 ] && return 0
	echo "$(wc -l <worker.log) runs of $(sort -un worker.log | wc -l) tasks, not 400; twice: $(sort -n worker.log | uniq -d | tr '\n' ' ')"
	return 1
}
fact "every task ran once" once
fact "and has one attempt" eval 'osier tasks load-1 --json --all | jq -e ".tasks | length > 0 and all(.attempts == 1)"'
echo "1..$tests"
