#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_queue - a hub takes nothing from its broker while another node sends more than that keeps for it, and a node's results come then: the broker
# drops what it cannot keep, and when the hub goes on every result arrives, once and in order. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=1"
HUB=$TMP/hub A=$TMP/a B=$TMP/b LOUD=$TMP/loud
TASKS=60
machines "$HUB" "$A" "$B"
chmod 755 "$TMP"
printf 'name: plant\ncapacity: {cpu: 0.001}\n' >"$HUB/config.yaml"
printf 'name: good\ncapacity: {cpu: 2}\n' >"$A/config.yaml"
printf 'name: loud\ncapacity: {cpu: 1}\n' >"$B/config.yaml"
export OSIER_STATE=$HUB
ENGINE='' LOUD_PID=''
ends() {
	[ -n "$ENGINE" ] && kill -CONT "$ENGINE" 2>/dev/null
	[ -n "$LOUD_PID" ] && kill "$LOUD_PID" 2>/dev/null
	touch "$TMP/go"
	take_down
	finish
}
SOON=200
own() { awk '/^RssAnon/ {print $2}' "/proc/$1/status"; }
broker() { cut -d' ' -f1 "$HUB/hub/mosquitto.pid"; }

fact "a hub" hub_begins
fact "a node" exits 0 osier --state "$A" join "$(line)"
fact "another one" exits 0 osier --state "$B" join "$(line)"
fact "are up" soon eval 'state_is good up && state_is loud up'
[ "$bad" = 0 ] || { echo "1..$tests"; exit 1; }
osier --state "$B" down >/dev/null
cp -r "$B/parent" "$LOUD"
fact "one goes" soon state_is loud disconnected

# Tasks on the good node that end, all of them, when they are told.
cat >"$TMP/job.yaml" <<Y
name: results
array: $TASKS
resources: {cpu: 0.02}
where: {name: good}
retries: 0
shell: 'while ! [ -e $TMP/go ]; do sleep 0.3; done; seq 1000; echo mine \${task}'
Y
exits 0 osier submit -q "$TMP/job.yaml"
JOB=$(cat "$TMP/out")
running() { so "$(api "$HUB" "/v1/jobs/$JOB" | jq .counts.running)" "$TASKS"; }
fact "$TASKS tasks run on the other" soon running
ENGINE=$(osier version --json | jq .node.pid)
hub_kb=$(own "$ENGINE") broker_kb=$(own "$(broker)")

# The hub takes nothing any more, and 1,024 packets are kept for it: three times as many are sent. Not its keeper: it would be started again.
kill -STOP "$ENGINE"
timeout 120 python3 test/e2e/hub_hostile.py "$BPORT" "$LOUD" loud flood 192 64 &
LOUD_PID=$!
drops() { grep 'messages are being dropped for client hub' "$HUB/hub/mosquitto.log"; }
fact "the broker keeps for it what it may, and drops the rest" soon drops
touch "$TMP/go"
ended() { so "$(api "$A" "/v1/jobs?limit=$TASKS" | jq '[.jobs[] | select(.state == "succeeded")] | length')" "$TASKS"; }
fact "the tasks end" soon ended
wait "$LOUD_PID"
fact "the other node was not held up" so "$?" 0
LOUD_PID=
fact "the broker has not grown by twice what it may keep" below $(($(own "$(broker)") - broker_kb)) $((2 * 1024 * 64))
kill -CONT "$ENGINE"
fact "the hub goes on: the job ends" soon eval 'exits 0 osier wait "$JOB"'
fact "with all of its results" so "$(api "$HUB" "/v1/jobs/$JOB" | jq -c '[.counts.succeeded, .attempts]')" "[$TASKS,$TASKS]"
osier replay --entries --json --limit 1000 | jq -c '.entries[] | select(.kind == "results") | .body' >"$TMP/results"
fact "each once" so "$(jq -s 'map((.first // 0) as $f | range($f; $f + .count)) | sort' -c "$TMP/results")" "$(jq -nc "[range($TASKS)]")"
fact "in order, as the node's journal has them" so "$(jq -s --argjson n $TASKS 'map(.from_size // 0) | length == $n and . == sort' "$TMP/results")" true
lines() { for t in 0 $((TASKS / 2)) $((TASKS - 1)); do osier logs "results-1/main/$t" | tail -1; done | tr '\n' ' '; }
fact "and whole" so "$(lines)" "mine 0 mine $((TASKS / 2)) mine $((TASKS - 1)) "
fact "the hub has not grown by what waited for it" below $(($(own "$ENGINE") - hub_kb)) 65536
fact "nodes are up" soon state_is good up
echo "1..$tests"
