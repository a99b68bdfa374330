#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_copies - a node that was restored from an old backup, and one that was copied and runs beside its original: the hub finds them out by their
# numbers and says what to do; what it says, done to the letter, makes it work again; and the original is not disturbed. One that was
# rolled back and has grown past all numbers is found out by its log. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
HUB=$TMP/hub A=$TMP/a C=$TMP/c D=$TMP/d
W=$TMP/w # for tasks, which are nobody's
machines "$A" "$D" "$HUB"
MACHINES=("$A" "$C" "$D" "$HUB") # the copy has no folder yet
mkdir -p "$W"
chmod 711 "$TMP"
chmod 1777 "$W"
printf 'name: plant\ncapacity: {cpu: 1}\nledger: {fabric: {every: 1s}}\n' >"$HUB/config.yaml"
printf 'name: press-4\ncapacity: {cpu: 2}\n' >"$A/config.yaml"
printf 'name: press-5\ncapacity: {cpu: 2}\nledger: {fabric: {every: 1s}}\n' >"$D/config.yaml"
export OSIER_STATE=$HUB
hub_of() { [ "$(api "$1" /v1/nodes | jq -r .hub.state)" = "$2" ]; }
runs() { api "$HUB" "/v1/jobs/$1/tasks/main/0" | jq -e ".live.node == \"$2\"" >/dev/null; }
# What the node and its hub say, into $TMP/out and $TMP/err.
nodes_of() { osier --state "$1" nodes >"$TMP/out" 2>"$TMP/err"; cat "$TMP/out" "$TMP/err"; }
says_both() { nodes_of "$1" && says "$2" && complains "$3"; }

hub_begins || exit 1
fact "a node joins" exits 0 osier --state "$A" join "$(line)"
fact "and is up" soon state_is press-4 up
printf 'name: short\ncommand: echo it works on ${node}\nwhere: {name: press-4}\n' >"$TMP/short.yaml"
printf 'name: long\ncommand: sh -c "echo \$\$ >>%s/begun; while [ ! -e %s/go ]; do sleep 0.1; done"\nwhere: {name: press-4}\n' "$W" "$W" >"$TMP/long.yaml"
fact "it works" exits 0 osier submit --watch "$TMP/short.yaml"

# ---- an old backup ----
fact "the node is saved" exits 0 osier --state "$A" backup --keys "$TMP/a.tar"
fact "it goes on" exits 0 osier submit --watch "$TMP/short.yaml"
exits 0 osier submit --quiet "$TMP/long.yaml" || exit 1
fact "and has something to do" soon runs 3 press-4
exits 0 osier --state "$A" down || exit 1
rm -rf "$A"
fact "its disk is lost, and it is put back from the backup" exits 0 osier restore "$TMP/a.tar" --state "$A"
fact "which says that its hub will ask it to join again" complains "a hub asks it to join again"
fact "it is up" exits 0 osier --state "$A" up
fact "its hub refuses it" soon hub_of "$A" refused
fact "which it says, with why and what to do" says_both "$A" "it was restored from an old state, or is a copy" "hint: 'osier join' with a new token; or, if it is a copy"
fact "so does its doctor" bash -c "osier --state '$A' doctor | grep -q 'was restored from an old state'"
fact "the hub says it, too" bash -c "osier nodes | grep -q 'press-4 is disconnected, .*; it is refused: its journal has .* entries, and this hub has heard of'"
fact "as in its log" grep -q "the node 'press-4' is refused: its journal has" "$HUB/node.log"
fact "it joins with a new token, as it was told" exits 0 osier --state "$A" join "$(line)"
fact "and is up" soon state_is press-4 up
fact "as it says itself" soon hub_of "$A" up
fact "what it had runs again" soon runs 3 press-4
fact "other work runs there" exits 0 osier submit --watch "$TMP/short.yaml"
touch "$W/go"
fact "and all is done" soon done_is 3
rm -f "$W/go" "$W/begun"

# ---- a copy beside its original ----
exits 0 osier submit --quiet "$TMP/long.yaml" || exit 1
fact "the node has something to do" soon test -s "$W/begun"
ATTEMPT=$(api "$HUB" /v1/jobs/5/tasks/main/0 | jq .live.attempt)
cp -a "$A" "$C"
rm -f "$C"/*.sock "$C"/*lock
fact "its folder is copied, and a second node started on the copy" exits 0 osier --state "$C" up
fact "that one is refused" soon hub_of "$C" refused
fact "which it says, with why and what to do" says_both "$C" "one of both is a copy" "stop the copy ('osier down') and join with an empty state folder"
fact "the original is up" soon hub_of "$A" up
fact "for its hub, too" soon state_is press-4 up
fact "which says that there is a copy" bash -c "osier nodes | grep -q 'press-4: from another machine or folder a copy of it was refused [0-9.]* m\?s ago'"
sessions() { api "$A" /v1/nodes | jq -r .hub.since; }
SINCE=$(sessions)
sleep 5
fact "and is left alone" test "$SINCE" = "$(sessions)"
fact "the copy says so all the time" hub_of "$C" refused
fact "what the original ran runs on" kill -0 "$(head -n 1 "$W/begun")"
fact "as the same attempt" test "$ATTEMPT" = "$(api "$HUB" /v1/jobs/5/tasks/main/0 | jq .live.attempt)"
fact "the copy is stopped, as it was told" exits 0 osier --state "$C" down
fact "and an empty folder joins instead" exits 0 osier --state "$D" join "$(line)"
fact "as a node of its own" soon state_is press-5 up
sed 's/press-4/press-5/' "$TMP/short.yaml" >"$TMP/other.yaml"
fact "which works" exits 0 osier submit --watch "$TMP/other.yaml"
fact "beside the original" exits 0 osier submit --watch "$TMP/short.yaml"
touch "$W/go"
fact "whose work is done" soon done_is 5
fact "at that attempt" test "$(api "$HUB" /v1/jobs/5/tasks/main/0 | jq -c '[.attempts[] | [.attempt, .outcome]]')" = "[[$ATTEMPT,\"succeeded\"]]"

# ---- a disk that was rolled back and has grown past what the hub had heard ----
size() { api "$1" /v1/ledger | jq -r .size; }
cosigned() { api "$HUB" /v1/ledger/fabric | jq -e ".logs[] | select(.name == \"press-5\") | .size >= $(size "$D")" >/dev/null; }
exits 0 osier --state "$A" down || exit 1
fact "the hub has cosigned the node's log" soon cosigned
exits 0 osier --state "$D" down || exit 1
cp -a "$D" "$TMP/saved"
exits 0 osier --state "$D" up || exit 1
fact "which goes on" exits 0 osier submit --watch "$TMP/other.yaml"
fact "and is cosigned" soon cosigned
alarm() { osier nodes | grep -q "ALARM: the log of the node 'press-5': it shows two histories"; }
fact "without an alarm" bash -c "! osier nodes | grep -q \"ALARM.*'press-5'\""
HEARD=$(size "$D")
exits 0 osier --state "$D" down && exits 0 osier down || exit 1
find "$D" -mindepth 1 -delete
cp -a "$TMP/saved/." "$D"
fact "its disk goes back, and the node on in another way" exits 0 osier --state "$D" up
printf 'name: own\ncommand: echo own\n' >"$TMP/own.yaml"
grown() { exits 0 osier --state "$D" submit --watch "$TMP/own.yaml" && [ "$(size "$D")" -gt $((HEARD + 5)) ]; }
fact "until it is longer than what the hub has heard of" soon grown
fact "the hub is back" exits 0 osier up
fact "no number tells, and it is taken" soon state_is press-5 up
fact "but its log does: that is an alarm" soon alarm
fact "with where the evidence is and what to do" bash -c "osier doctor | grep -A1 'ALARM: the log of the node' | tr '\n' ' ' | grep -q 'the evidence is in fabric/forked-press-5.*docs/ledger.md'"
fact "in both signed heads" test -s "$HUB/fabric/forked-press-5/ours" -a -s "$HUB/fabric/forked-press-5/theirs"
