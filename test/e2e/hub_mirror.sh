#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_mirror - a hub keeps a copy of its nodes' logs: it follows while they work, costs nothing while they rest, takes nothing that does not lead to
# the head that was cosigned, outlasts the node's disk, and finds out a node that rewrote its past, even when the hub's own memory as a
# witness is gone. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
HUB=$TMP/hub A=$TMP/a B=$TMP/b
machines "$A" "$B" "$HUB"
printf 'name: plant\nledger: {fabric: {every: 1s}}\n' >"$HUB/config.yaml"
printf 'name: press-4\nledger: {fabric: {every: 1s}}\n' >"$A/config.yaml"
printf 'name: press-5\nledger: {fabric: {every: 1s, mirror: no}}\n' >"$B/config.yaml"
export OSIER_STATE=$HUB
SOON=200
not_yet() { for s in "${MACHINES[@]}"; do api "$s" /v1/ledger/fabric; done; }
seen() { api "$1" /v1/ledger/fabric | jq -e "$2"; } # STATE FILTER: it is true of what cosigns over links there
size() { api "$1" /v1/ledger | jq -r '.size // 0'; } # published; 0 as long as nothing is
mirrored() { seen "$HUB" ".logs[] | select(.name == \"press-4\") | .mirrored >= $(size "$A") and .mirrored == .size"; }

hub_begins || exit 1
exits 0 osier --state "$A" up || exit 1
printf 'name: own\nshell: echo own\narray: 600\n' >"$TMP/own.yaml"
fact "a node works before it has a hub" exits 0 osier --state "$A" submit --watch "$TMP/own.yaml"
while [ "$(size "$A")" -le 300 ]; do exits 0 osier --state "$A" submit --watch "$TMP/own.yaml" || exit 1; done
names_keys() { osier --state "$A" ledger policy | tee "$TMP/press-4.policy" | grep -q '^log '; }
fact "its log names its keys" soon names_keys
for s in "$A" "$B"; do
	fact "a node joins" exits 0 osier --state "$s" join "$(line)"
done
fact "its whole log comes to the hub" soon mirrored
printf 'name: job\nwhere: {name: press-4}\nshell: echo hello\n' >"$TMP/job.yaml"
fact "a job of the hub runs there" exits 0 osier submit --watch "$TMP/job.yaml"
fact "and is in the mirror, too" soon mirrored
MIRROR=$HUB/mirrors/$(api "$HUB" /v1/ledger/fabric | jq -r '.logs[] | select(.name == "press-4") | .mirror')
audits() { osier ledger audit "$MIRROR" --json | jq -e '.expired == 0 and .receipts > 0 and .signer != null'; }
fact "the mirror audits" soon audits
fact "under the keys of the node" exits 0 osier ledger audit "$MIRROR" --policy "$TMP/press-4.policy"
same_head() { cmp -s <(api "$A" /v1/ledger | jq -rj .note) "$MIRROR/checkpoint"; }
fact "its head is the node's, to the byte" soon same_head
fact "anybody's mirror follows it, too" exits 0 osier ledger mirror "$MIRROR" "$TMP/copy" --policy "$TMP/press-4.policy"
fact "witness shows how far it is" bash -c "osier ledger witness | grep -Eq 'press-4 .* [1-9][0-9]+ +cosigns'"
printf 'hello\n' >"$TMP/hello"
proven() { # RECEIPT POLICY
	osier verify "$1" --policy "$2" --output "$TMP/hello" --json | jq -e '.outcome == "succeeded"'
}
osier ledger policy | grep -v '^#' >"$TMP/plant.policy"
osier ledger policy --of press-4 >"$TMP/copy.policy"
fact "the copy's policy is the node's" cmp <(grep '^log' "$TMP/press-4.policy") <(grep '^log' "$TMP/copy.policy")
fact "one result is proven by the hub's log" exits 0 osier receipt last/main/0 -o "$TMP/hub.r"
fact "with its output" proven "$TMP/hub.r" "$TMP/plant.policy"
vouched() { osier receipt last/main/0 --of press-4 -o "$TMP/node.r"; }
fact "and by the node's, out of the copy" soon vouched
fact "with the same output" proven "$TMP/node.r" "$TMP/copy.policy"
fact "each by its own log alone" bash -c "! osier verify '$TMP/node.r' --policy '$TMP/plant.policy' && ! osier verify '$TMP/hub.r' --policy '$TMP/copy.policy'"
fact "a job of the node's own is proven, too" exits 0 osier receipt own:own-1/main/17 --of press-4 -o "$TMP/own.r"
fact "under the node's keys" exits 0 osier verify "$TMP/own.r" --policy "$TMP/copy.policy"
rests() { local n; n=$(stat -c %y "$MIRROR/taken"); sleep 2.5; [ "$(stat -c %y "$MIRROR/taken")" = "$n" ]; }
fact "nothing is sent when nothing has grown" soon rests
joined() { seen "$HUB" '.logs[] | select(.name == "press-5") | .size > 0'; }
keeps_its_log() { soon joined && [ -z "$(ls "$HUB/mirrors" | grep press-5)" ]; }
fact "a node that is told so keeps its log to itself" keeps_its_log

# What does not lead to the head is not taken.
post() { curl -sS --cacert "$1/parent/ca.crt" --cert "$1/parent/client.crt" --key "$1/parent/client.key" --data-binary @"$2" "https://127.0.0.1:$PORT/v1/hub/mirror"; }
has() { [[ $1 == *"$2"* ]]; }
head -c 300000 /dev/urandom >"$TMP/garbage"
TAKEN=$(sha256sum "$MIRROR/taken")
fact "garbage is no piece of a log" has "$(post "$A" "$TMP/garbage")" "does not begin as a piece"
# The entries that the mirror lacks, changed in one bit: taken from the node's own next piece.
python3 - "$TMP/piece" "$(size "$A")" "$MIRROR/checkpoint" <<'PY'
import struct, sys
note = open(sys.argv[3], "rb").read()
head = b"old %d\n\n" % (int(sys.argv[2]) + 1) + note
open(sys.argv[1], "wb").write(b"osier piece 1\n" + struct.pack(">QII", int(sys.argv[2]), 1, len(head)) + head + b"\x00\x03abc")
PY
fact "an entry that was made up is not taken" has "$(post "$A" "$TMP/piece")" "are not those that its signed head"
fact "nor by another node in its name" has "$(post "$B" "$TMP/piece")" "its head"
fact "who is no node brings nothing" has "$(curl -sS --cacert "$A/parent/ca.crt" --data-binary @"$TMP/piece" "https://127.0.0.1:$PORT/v1/hub/mirror")" "this is for nodes"
fact "more than a piece may have is refused" has "$(head -c 1100000 /dev/zero >"$TMP/big"; post "$A" "$TMP/big")" "too large"
fact "and the mirror is as it was" [ "$(sha256sum "$MIRROR/taken")" = "$TAKEN" ]

# It goes on over the ends of both engines, and is not sent again.
exits 0 osier --state "$A" down || exit 1
cp -a "$A" "$TMP/a-early"
exits 0 osier --state "$A" up || exit 1
exits 0 osier down --engine-only || exit 1
exits 0 osier up || exit 1
FIRST=$(stat -c %i "$MIRROR/tile/entries/000")
exits 0 osier --state "$A" submit --watch "$TMP/own.yaml" || exit 1
fact "it goes on after both engines began anew" soon mirrored
fact "what was there was not sent again" [ "$(stat -c %i "$MIRROR/tile/entries/000")" = "$FIRST" ]
fact "and audits" exits 0 osier ledger audit "$MIRROR" --policy "$TMP/press-4.policy"

# The node's disk is lost; a copy of it, from before, went on with another past. The hub's memory as a witness is gone, too.
exits 0 osier --state "$A" down || exit 1
exits 0 osier down || exit 1
TRUE=$(sed -n 2p "$MIRROR/checkpoint")
rm -rf "$A"
mv "$TMP/a-early" "$A"
fact "the mirror outlasts the disk of its node" bash -c "osier ledger audit '$MIRROR' --policy '$TMP/press-4.policy' --json | jq -e '.size == $TRUE and .expired == 0'"
fact "what the node did is proven without it" bash -c "osier receipt own:own-1/main/16 --of press-4 -o '$TMP/own2.r' && osier verify '$TMP/own2.r' --policy '$TMP/copy.policy'"
fact "an entry is shown" bash -c "osier ledger entry 1 --of press-4 | jq -e '.seq == 1 and .kind != null'"
entry_proven() { [ "$(osier ledger proof 1 --of press-4 | jq -r '.leaf, .size' | xargs)" = "$(osier ledger entry 1 --of press-4 | jq -r .leaf) $TRUE" ]; }
fact "with its proof" entry_proven
fact "audit finds the copy by the node's name" exits 0 osier ledger audit --of press-4
fact "of a node that is not known there is none" exits 4 osier ledger head --of press-9
exits 0 osier --state "$A" up || exit 1
printf 'name: other\nshell: echo other\narray: 700\n' >"$TMP/other.yaml"
while [ "$(size "$A")" -le $((TRUE + 5)) ]; do exits 0 osier --state "$A" submit --watch "$TMP/other.yaml" || exit 1; sleep 1.2; done
rm -f "$HUB/keys/witness.key" "$HUB/witness.db"* "$HUB/fabric/child-press-4.json"
exits 0 osier up || exit 1
alarmed() { seen "$HUB" '.logs[] | select(.name == "press-4") | .alarm // "" | test("two histories")'; }
fact "a node that rewrote its past is found out by the mirror alone" soon alarmed
EVIDENCE=$HUB/$(api "$HUB" /v1/ledger/fabric | jq -r '.logs[] | select(.name == "press-4") | .evidence')
fact "with the head that was mirrored and the other" bash -c "cmp -s <(head -n 3 '$MIRROR/checkpoint') <(head -n 3 '$EVIDENCE/ours') && ! cmp -s '$EVIDENCE/ours' '$EVIDENCE/theirs' && [ -s '$EVIDENCE/proof' ]"
fact "the operator reads of it" bash -c "osier nodes | grep -q \"ALARM: the log of the node 'press-4': it shows two histories\""
exits 0 osier node remove press-4 --force || exit 1
fact "a node that is removed leaves its log here" exits 0 osier receipt last/main/0 --of press-4 -o "$TMP/node2.r"
fact "which proves what it did" proven "$TMP/node2.r" "$TMP/copy.policy"
fact "and the mirror is what it was" bash -c "osier ledger audit '$MIRROR' --policy '$TMP/press-4.policy' --json | jq -e '.size == $TRUE'"
