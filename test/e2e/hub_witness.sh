#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_witness - a hub and its two nodes cosign each other's logs over what joining gave them; a receipt of the hub is witnessed by both; a copy of
# the hub that went on is found out, with both heads for evidence, and so is a node that
# shows an old head. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
HUB=$TMP/hub A=$TMP/a B=$TMP/b
machines "$A" "$B" "$HUB"
printf 'name: plant\nledger: {fabric: {every: 1s}}\n' >"$HUB/config.yaml"
printf 'name: press-4\nledger: {fabric: {every: 1s}}\n' >"$A/config.yaml"
printf 'name: press-5\nledger: {fabric: {every: 1s}}\n' >"$B/config.yaml"
export OSIER_STATE=$HUB
SOON=300 # a minute
not_yet() { for s in "${MACHINES[@]}"; do api "$s" /v1/ledger/fabric; done; }
seen() { api "$1" /v1/ledger/fabric | jq -e "$2"; } # STATE FILTER: it is true of what cosigns over links there
size() { api "$1" /v1/ledger | jq -r .size; }
# What the hub has published both nodes have cosigned, and it has cosigned what they have.
all_cosigned() {
	seen "$HUB" "[.logs[] | select(.own_size >= $(size "$HUB"))] | length == 2" &&
		seen "$HUB" ".logs[] | select(.name == \"press-4\") | .size >= $(size "$A")" &&
		seen "$A" ".logs[0].own_size >= $(size "$A") and .logs[0].size >= $(size "$HUB")"
}

hub_begins || exit 1
for s in "$A" "$B"; do
	fact "a node joins" exits 0 osier --state "$s" join "$(line)"
done
fact "both cosign the hub's log, and the hub theirs" soon all_cosigned
api "$A" /v1/ledger | jq -rj .note >"$TMP/early"
fact "a node shows its hub" bash -c "osier --state '$A' ledger witness | grep -Eq 'plant \(hub\) +[0-9]+ .* cosigns'"
fact "the hub shows its nodes" bash -c "[ \"\$(osier ledger witness | grep -Ec 'press-[45] +[0-9]+ .* cosigns')\" = 2 ]"
osier ledger policy >"$TMP/lines"
fact "and offers their keys for its policy" bash -c "[ \"\$(grep -c '^#witness press-[45] .*/witness+' '$TMP/lines')\" = 2 ]"

# The two are made its quorum.
{ sed 's/^#witness/witness/; /^quorum/d' "$TMP/lines"; printf 'group both all press-4 press-5\nquorum both\n'; } >"$HUB/trust.policy"
printf 'name: plant\nledger: {policy: trust.policy, fabric: {every: 1s}}\n' >"$HUB/config.yaml"
exits 0 osier down || exit 1
fact "the hub has a policy that names them" exits 0 osier up
printf 'name: job\nwhere: {name: plant}\nshell: echo hello\n' >"$TMP/job.yaml"
fact "a job runs" exits 0 osier submit --watch "$TMP/job.yaml"
fact "its receipt is witnessed" exits 0 osier receipt --wait witnessed --timeout 40s last/main/0 -o "$TMP/r"
fact "by both nodes" bash -c "osier verify '$TMP/r' --policy '$HUB/trust.policy' | grep -q 'is witnessed'"
sed "s|^witness press-5.*|witness press-5 $(api "$HUB" /v1/witness | jq -r .vkey)|" "$HUB/trust.policy" >"$TMP/wrong.policy"
fact "one is not enough for who asks for both" bash -c "osier verify '$TMP/r' --policy '$TMP/wrong.policy' 2>&1 | grep -q 'only 1 witness'"
fact "a node says in its log that it is a witness" bash -c "osier --state '$A' ledger keys | grep -q 'heads of other logs'"
rests() { local n; n=$(api "$A" /v1/ledger/fabric | jq -r '.logs[0].time'); sleep 3; [ "$(api "$A" /v1/ledger/fabric | jq -r '.logs[0].time')" = "$n" ]; }
fact "nothing is said when nothing has grown" soon rests

# A copy of the hub goes on elsewhere, and then speaks in its place.
exits 0 osier down || exit 1
cp -a "$HUB" "$TMP/copy"
exits 0 osier up || exit 1
exits 0 osier submit --watch "$TMP/job.yaml" || exit 1
both_have() { seen "$HUB" "[.logs[] | select(.own_size >= $(size "$HUB"))] | length == 2"; }
fact "the hub goes on" soon both_have
TRUE=$(size "$HUB")
exits 0 osier down || exit 1
mv "$HUB" "$TMP/true"
mv "$TMP/copy" "$HUB"
fact "a copy of it speaks in its place" exits 0 osier up
alarmed() { seen "$1" '.logs[] | select(.alarm != null)'; }
fact "both nodes see that it is not what they cosigned" soon alarmed "$A"
printf 'name: other\nwhere: {name: plant}\nshell: echo other\narray: 3\n' >"$TMP/other.yaml"
while [ "$(size "$HUB")" -le $((TRUE + 2)) ]; do exits 0 osier submit --watch "$TMP/other.yaml" || exit 1; sleep 1.2; done
forked() { seen "$1" '.logs[] | select(.alarm // "" | test("two histories"))'; }
fact "nor when it has grown larger" soon forked "$A"
fact "for the other node neither" soon forked "$B"
fact "nodes shows the alarm" bash -c "osier --state '$A' nodes | grep -q \"ALARM: the log of the hub 'plant': it shows two histories\""
fact "doctor does" bash -c "osier --state '$A' doctor | grep -q \"ALARM: the log of the hub\""
fact "the node's log does" grep -q "ALARM: the log of the hub 'plant'" "$A/node.log"
EVIDENCE=$A/$(api "$A" /v1/ledger/fabric | jq -r '.logs[0].evidence')
fact "both heads are kept" test -s "$EVIDENCE/ours" -a -s "$EVIDENCE/theirs" -a -s "$EVIDENCE/proof"
log_line() { grep -q "^— $(head -n 1 "$EVIDENCE/ours") " "$1"; }
fact "signed by the same log" log_line "$EVIDENCE/ours" && fact "on both sides" log_line "$EVIDENCE/theirs"
fact "the copy's job is not witnessed" exits 124 osier receipt --wait witnessed --timeout 2s last/main/0
exits 0 osier --state "$A" down --engine-only || true
exits 0 osier --state "$A" up || true
fact "the alarm outlasts the engine" soon forked "$A"

# The true one comes back: what goes on from what was cosigned is cosigned again; the alarm stays.
exits 0 osier down || exit 1
mv "$HUB" "$TMP/copy"
mv "$TMP/true" "$HUB"
exits 0 osier up || exit 1
exits 0 osier submit --watch "$TMP/job.yaml" || exit 1
fact "the true hub is witnessed" exits 0 osier receipt --wait witnessed --timeout 40s last/main/0 -o "$TMP/r2"
fact "and the evidence stays" forked "$A"

# A node that shows a head from before, and one that speaks for another's log.
printf 'name: own\nshell: echo own\n' >"$TMP/own.yaml"
fact "a node runs a job of its own" exits 0 osier --state "$A" submit --watch "$TMP/own.yaml"
fact "and the hub cosigns what it says of it" soon all_cosigned
post() { curl -sS --cacert "$1/parent/ca.crt" --cert "$1/parent/client.crt" --key "$1/parent/client.key" -H 'Content-Type: application/json' --data-binary @"$2" "https://127.0.0.1:$PORT/v1/hub/witness"; }
api "$A" /v1/ledger/keys | jq --rawfile note "$TMP/early" '{keys: [.keys[] | select(.role == "log") | .vkey], checkpoint: ("old 0\n\n" + $note)}' >"$TMP/old.json"
fact "an old head of a node is not cosigned" bash -c "[ \"\$1\" = 409 ]" _ "$(post "$A" "$TMP/old.json" | jq .status)"
fact "shown twice" bash -c "[ \"\$1\" = 409 ]" _ "$(post "$A" "$TMP/old.json" | jq .status)"
fact "it is an alarm" bash -c "osier nodes | grep -q \"ALARM: the log of the node 'press-4': it shows .* went back in time\""
fact "with both heads" test -s "$HUB/fabric/older-press-4/ours" -a -s "$HUB/fabric/older-press-4/theirs"
fact "a node cannot speak for another's log" bash -c "[[ \$1 == *\"is the log of the node 'press-4'\"* ]]" _ "$(post "$B" "$TMP/old.json")"
fact "who is no node cosigns nothing" bash -c "[ \"\$1\" = 401 ]" _ "$(curl -sS --cacert "$A/parent/ca.crt" -o /dev/null -w '%{http_code}' -d '{}' "https://127.0.0.1:$PORT/v1/hub/witness")"
