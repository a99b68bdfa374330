#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# history_goes_by_policy - finished jobs older than config.yaml says are forgotten, with an entry that says so; others stay. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.bash
cd "$TMP" || exit 1

printf 'name: quick\ncommand: echo done\narray: 3\n' >quick.yaml
printf 'name: slow\ncommand: exec sleep 300\ngrace: 1s\n' >slow.yaml
mkdir -p "$OSIER_STATE"
printf 'history: {age: 2s}\n' >"$OSIER_STATE/config.yaml"

entries() { curl -s --unix-socket "$OSIER_STATE/api.sock" "http://osier/v1/journal/entries?from=0&limit=1000"; }

fact "a node with a short memory is up" exits 0 osier up
runs() { exits 0 osier submit slow.yaml && exits 0 osier run quick.yaml && exits 0 osier job quick-2; }
fact "a job that has just finished is there" runs
forgets() {
	for _ in $(seq 100); do
		osier job quick-2 >out 2>err || { grep -q "quick-2" err; return; }
		sleep 0.1
	done
	cat out
	return 1
}
fact "later it is not" forgets
stays() { exits 0 osier job slow-1 --json && json '.state == "running"'; }
fact "a job that runs stays, whatever its age" stays
told() { entries | jq -e '.entries | map(select(.kind == "job_forgotten")) | length == 1 and .[0].body.job == 2 and .[0].body.policy == "age"' >/dev/null || { entries | tail -c 600; return 1; }; }
fact "the journal says that it was forgotten, and why" told
survives() { exits 0 osier down && exits 0 osier up && exits 0 osier jobs --json --all && json '.jobs | map(.id) == ["slow-1"]'; }
fact "a restart does not bring it back" survives

printf 'histroy: {age: 2s}\n' >"$OSIER_STATE/config.yaml"
wrong() { exits 0 osier down && ! osier up >out 2>err && complains "config.yaml:1:1: unknown key 'histroy'" && complains "did you mean 'history'?"; }
fact "a mistake in config.yaml is told with its line, and the node does not start" wrong
echo "1..$tests"
