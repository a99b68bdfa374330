#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# workers - tasks of long-lived processes: results, inputs, and every way in which a worker can let us down. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.bash
WORKER=$BUILD/test/e2e/e2e-worker
cd "$TMP" || exit 1

job() { # NAME FUNCTION ARRAY [MORE OF THE STEP] [MORE STEPS]
	cat >"$1.yaml" <<X
name: $1
steps:
  work: {worker: {command: [$WORKER], function: $2}, array: $3${4:+, $4}}
${5:-}
X
}
counts() { # JOB SUCCEEDED FAILED
	osier job "$1" --json | jq -e ".counts.succeeded == $2 and .counts.failed == $3" >/dev/null || { osier job "$1"; return 1; }
}
attempt() { # TASK FILTER: of its last attempt
	curl -s --unix-socket "$OSIER_STATE/api.sock" "http://osier/v1/jobs/$1" | jq -e ".attempts[-1] | $2" >/dev/null && return 0
	curl -s --unix-socket "$OSIER_STATE/api.sock" "http://osier/v1/jobs/$1"
	return 1
}

fact "a node is up" exits 0 osier up

job many noop 300000
many() { exits 0 osier run many.yaml && counts many-1 300000 0; }
fact "300,000 tasks that return nothing succeed" many

job tree square 1000 "" "  total: {worker: {command: [$WORKER], function: sum}, reduce: {of: work, fan_in: 7, associative: true}}"
tree() { exits 0 osier run tree.yaml && [ "$(osier logs tree-2/total/167 --no-prefix)" = 332833500 ]; }
fact "a tree of partial reductions gives the sum" tree

job large big 40 "" "  total: {worker: {command: [$WORKER], function: bytes}, reduce: {of: work}}"
large() {
	exits 0 osier run large.yaml && [ "$(osier logs large-3/total --no-prefix)" = 8000000 ] || return 1
	curl -s --unix-socket "$OSIER_STATE/api.sock" http://osier/v1/jobs/3/tasks/work/1/output/stdout >got
	[ "$(wc -c <got)" = 200000 ] && [ "$(tr -d b <got | wc -c)" = 0 ] || return 1
	[ "$(sha256sum <got | cut -d' ' -f1)" = "$(curl -s --unix-socket "$OSIER_STATE/api.sock" http://osier/v1/jobs/3/tasks/work/1 | jq -r '.attempts[0].outputs[0].sha256')" ]
}
fact "large outputs are kept with their digest, and are inputs" large

cat >args.yaml <<X
name: args
steps:
  work:
    worker: {command: [$WORKER], function: argument, args: "\${word} of \${task}"}
    array: {i: 1..5000, word: [left, right]}
X
args() {
	exits 0 osier run args.yaml && counts args-4 10000 0 || return 1
	for i in 0 1 4567 9999; do [ "$(osier logs args-4/work/$i --no-prefix | head -n 1)" = "$([ $((i % 2)) = 0 ] && echo left || echo right) of $i" ] || return 1; done
}
fact "each task gets its own arguments" args

job odd odd_fails 10
odd() { exits 1 osier run odd.yaml && counts odd-5 5 5 && attempt odd-5/tasks/work/7 '.outcome == "failed" and .code == 1 and .note == "7 is odd"'; }
fact "a function that fails says why" odd

job nothing no_such_function 5
nothing() { exits 1 osier run nothing.yaml && counts nothing-6 0 5 && attempt nothing-6/tasks/work/4 '.outcome == "cannot_start" and (.note | contains("no_such_function") and contains("square"))'; }
fact "a function that the worker does not have is told with those that it has" nothing

job poison poison 100
poison() { exits 1 osier run poison.yaml && counts poison-7 99 1 && attempt poison-7/tasks/work/37 '.outcome == "crashed" and (.note | contains("Aborted"))'; }
fact "the one task that kills its worker is found by name, the others succeed" poison

job hang hang 20 "timeouts: {run: 1s}"
hang() { exits 1 osier run hang.yaml && counts hang-8 19 1 && attempt hang-8/tasks/work/5 '.outcome == "timed_out"'; }
fact "the one task that hangs is timed out, the others succeed" hang

cat >garbage.yaml <<X
name: garbage
steps:
  work: {worker: {command: [$WORKER, --garbage], function: noop}, array: 2}
X
garbage() { exits 1 osier run garbage.yaml && counts garbage-9 0 2; }
fact "a worker that talks nonsense is killed, and its tasks fail" garbage

cat >missing.yaml <<X
name: missing
steps:
  work: {worker: {command: [/no/such/worker], function: noop}, array: 3}
X
missing() { exits 1 osier run missing.yaml && attempt missing-10/tasks/work/2 '.outcome == "cannot_start" and (.note | contains("/no/such/worker"))'; }
fact "a worker program that does not exist is told by name" missing

cat >exits.yaml <<X
name: exits
steps:
  work: {worker: {command: ["sh", "-c", "echo leaving >&2; exit 3"], function: noop}, array: 2}
X
leaves() { exits 1 osier run exits.yaml && counts exits-11 0 2; }
fact "a worker that exits before its tasks are done fails them" leaves

cancels() {
	job long hang 20
	exits 0 osier submit long.yaml && sleep 0.3 && exits 0 osier cancel long-12 && exits 1 osier wait long-12 && osier job long-12 --json | jq -e '.state == "cancelled"' >/dev/null
}
fact "a job whose worker hangs can be cancelled" cancels

idle() { # warm workers go after a while
	for _ in $(seq 50); do pgrep -f "^$WORKER" >/dev/null || return 0; sleep 0.1; done
	pgrep -af "^$WORKER"
	return 1
}
fact "idle workers are let go" idle
echo "1..$tests"
