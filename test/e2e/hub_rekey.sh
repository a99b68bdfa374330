#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_rekey - a node of a hub gets another key: its link goes on, what it runs is not disturbed, and the old key counts no more. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
HUB=$TMP/hub A=$TMP/a
machines "$A" "$HUB"
printf 'name: plant\n' >"$HUB/config.yaml"
printf 'name: press-4\n' >"$A/config.yaml"
export OSIER_STATE=$HUB
known() { api "$HUB" /v1/hub | jq -r '.nodes[0].key'; }
own() { api "$A" /v1/ledger/keys | jq -r '[.keys[] | select(.role == "node" and .state == "added")] | max_by(.entry).vkey' | cut -d+ -f3- | base64 -d | tail -c 32 | xxd -p -c 64; }
is_known() { [ "$(known)" = "$(own)" ]; }
kill_engine() { kill -9 "$(osier --state "$1" version --json | jq .node.pid)"; }
attempts() { api "$HUB" "/v1/jobs/$1/tasks/main/0" | jq '.attempts | length'; }

hub_begins || exit 1
exits 0 osier --state "$A" join "$(line)" || exit 1
exits 0 osier node drain || exit 1
fact "a node joins" soon state_is press-4 up
OLD=$(known)
fact "under its key" so "$OLD" "$(own)"
printf 'command: sleep 6\n' >"$TMP/long.yaml"
exits 0 osier submit --quiet "$TMP/long.yaml"
runs() { [ "$(api "$HUB" /v1/jobs/1/tasks/main/0 | jq -r .live.node)" = press-4 ]; }
fact "a task runs there" soon runs
fact "the node gets another key" exits 0 osier --state "$A" ledger keys rotate node
fact "which is another" bash -c '[ "$1" != "$2" ]' _ "$OLD" "$(own)"
fact "and which the hub knows soon" soon is_known
fact "by an entry that says so" bash -c "osier history 2>/dev/null | grep -q 'press-4, which has a new key'"
kill_engine "$A"
fact "with it the node begins a new session" soon state_is press-4 up
kill_engine "$HUB"
fact "and another, when the hub's engine began anew" soon state_is press-4 up
fact "the task ends" soon done_is 1
fact "and ran once" so "$(attempts 1)" 1
fact "the node takes work as before" exits 0 osier submit --quiet "$TMP/long.yaml"
sed -i 's/6/0/' "$TMP/long.yaml"

# Rotated while the hub cannot be reached: it is told when it is back.
exits 0 osier down
fact "the key changes while the hub is down" exits 0 osier --state "$A" ledger keys rotate node
kill_engine "$A"
exits 0 osier up
fact "the node is back under the key that the hub knew" soon state_is press-4 up
fact "and the hub hears of the new one" soon is_known

# Without its old key nobody can say that it is the same node.
exits 0 osier down
exits 0 osier --state "$A" ledger keys rotate node
exits 0 osier --state "$A" down
rm -f "$A"/keys/node.key.*
exits 0 osier --state "$A" up
exits 0 osier up
error() { api "$A" /v1/node 2>/dev/null | grep -q "does not vouch for it" || osier --state "$A" doctor 2>/dev/null | grep -q "does not vouch for it" || api "$A" /v1/hub | grep -q "does not vouch for it"; }
fact "a key that the old one does not vouch for is refused, in words" soon error
