#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_commit - replicas of a task on different nodes: each commits to its answer before any of them tells it; who lies, or tells something
# else than it committed to, is named. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
HUB=$TMP/hub NODES=(a b c)
machines "$TMP/a" "$TMP/b" "$TMP/c" "$HUB"
printf 'name: plant\n' >"$HUB/config.yaml"
export OSIER_STATE=$HUB
all_up() { [ "$(api "$HUB" /v1/nodes | jq '[.nodes[] | select(.state == "up")] | length')" = 3 ]; }
votes() { api "$HUB" "/v1/jobs/$1/tasks/main/0" | jq -c "$2"; }
said_all() { [ "$(votes "$1" '[.votes[] | select(.held)] | length')" = 0 ]; }
held() { [ "$(votes "$1" '[.votes[] | select(.held)] | length')" -ge "$2" ]; }
# Of a job's history: did all of so many commit, each before anybody's answer was there?
in_order() { osier history --job "$1" --json | jq -s --argjson n "$2" '[.[].history[]?] | [.[] | select(.what | test("committed to an answer")).entry] as $c | [.[] | select(.what | test("revealed")).entry] as $r | ($c | length) == $n and ($r | length) >= 2 and ($c | max) < ($r | min)' | grep -q true; }

hub_begins || exit 1
for n in "${NODES[@]}"; do
	printf 'name: press-%s\n' "$n" >"$TMP/$n/config.yaml"
	exits 0 osier --state "$TMP/$n" join "$(line)" || exit 1
done
exits 0 osier node drain || exit 1
fact "three nodes join, and the hub itself takes nothing" soon all_up

cat >"$TMP/liar.yaml" <<'Y'
name: liar
shell: "[ ${node} = press-b ] && echo 41 || echo 42"
verify: {replicas: 3, agree: 2}
resources: {cpu: 1}
spread: name
Y
exits 0 osier submit --quiet "$TMP/liar.yaml"
fact "a task runs on all three of them" soon done_is 1
fact "the one that lies is outvoted" bash -c '[ "$1" = "[[\"press-a\",true],[\"press-b\",false],[\"press-c\",true]]" ]' _ "$(soon said_all 1; votes 1 '[.votes[] | [.node, .committed]] | sort')"
fact "all had committed before anybody told" in_order 1 3
fact "'why' names the one that differs" soon bash -c '[[ $(osier why 1/main/0) == *"(press-b) differs"* ]]'

# What press-b makes its nonces of is changed between its commitment and its answer: what it tells is not what it had committed to.
sed 's/^name: .*/name: switch/; s/^shell: .*/shell: "[ ${node} = press-b ] || sleep 4; echo 42"/' "$TMP/liar.yaml" >"$TMP/switch.yaml"
exits 0 osier submit --quiet "$TMP/switch.yaml"
fact "a node commits while the others still run" soon held 2 1
head -c 32 /dev/urandom >"$TMP/b/keys/commit.secret"
kill -9 "$(osier --state "$TMP/b" version --json | jq .node.pid)"
fact "the others come to their answers" soon done_is 2
fact "the one that told something else has no vote" soon bash -c '[[ $(osier why 2/main/0) == *"(press-b) did not reveal what it had committed to"* ]]'
fact "the others have" bash -c '[ "$1" = 2 ]' _ "$(votes 2 '[.votes[] | select(.committed)] | length')"

# The hub's engine and a node's die between commitments and answers.
sed 's/^name: .*/name: killed/; s/agree: 2/agree: 3/; s/^shell: .*/shell: "[ ${node} = press-c ] \&\& sleep 4; echo 42"/' "$TMP/liar.yaml" >"$TMP/killed.yaml"
exits 0 osier submit --quiet "$TMP/killed.yaml"
fact "two have committed, and wait for the third" soon held 3 2
kill -9 "$(osier version --json | jq .node.pid)" "$(osier --state "$TMP/a" version --json | jq .node.pid)"
fact "the job ends as if nothing had been" soon done_is 3
fact "with three that agree" bash -c '[ "$1" = 3 ]' _ "$(votes 3 '[.votes[] | select(.committed)] | length')"
fact "which all had committed before anybody told" in_order 3 3

# What a stranger can check of it, with a file and the log's key.
osier ledger policy >"$TMP/policy" 2>/dev/null
fact "its receipt verifies" soon bash -c "osier receipt 3/main/0 >'$TMP/r' && osier verify '$TMP/r' --policy '$TMP/policy' >'$TMP/said'"
fact "and says that no answer was told before all had committed" grep -q "all of them had committed to their answers by entry" "$TMP/said"
VKEY=$(sed -n 's/^log //p' "$TMP/policy" | head -1)
fact "an independent reader agrees" bash -c "python3 test/e2e/receipt_check.py receipt '$TMP/r' '$VKEY' | grep -q '\"committed\": true'"
python3 - "$TMP/r" "$TMP/bad" <<'P'
import base64, sys
head, _, note = open(sys.argv[1]).read().partition("\n\n")
lines = head.split("\n")
b = bytearray(base64.b64decode(lines[1][6:]))
b[b.rindex(b"\x9a\x01")+6] ^= 1  # a bit of a commitment (field 19 of Results)
lines[1] = "extra " + base64.b64encode(bytes(b)).decode()
open(sys.argv[2], "w").write("\n".join(lines) + "\n\n" + note)
P
fact "a commitment that was changed is found" exits 6 osier verify "$TMP/bad" --policy "$TMP/policy"
fact "by name" complains "a commitment to an answer"
fact "an envelope says it, too" bash -c "osier receipt --format dsse 3/main/0 | jq -r .payload | base64 -d | jq -e '[.. | .committed_by? // empty] | length == 2'"
