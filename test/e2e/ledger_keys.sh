#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ledger_keys - keys of the log and the node are replaced and revoked, by entries of the log; through kills the log decides. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
CHECK=$PWD/test/e2e/receipt_check.py
ok "a node is up" up
cd "$T" || exit 1
printf 'name: job\ncommand: echo hello\n' >job.yaml
keys() { "$OSIER" ledger keys --json; }
id_of() { keys | jq -r "[.keys[] | select(.role == \"$1\" and .state == \"added\")][$2].vkey" | cut -d+ -f2; } # ROLE INDEX
signers() { "$OSIER" ledger head --json | jq -r .note | sed -n 's/^\xe2\x80\x94 /- /p' | awk '{print $3}' | while read -r s; do printf %s "$s" | base64 -d | head -c 4 | od -An -tx1 | tr -d ' \n'; echo; done | tr '\n' ' '; }
receipt() { "$OSIER" submit --watch job.yaml >/dev/null && "$OSIER" receipt last/main/0 -o "$1" 2>/dev/null; }

ok "a receipt from before" receipt before
"$OSIER" ledger policy >old.policy
told "the node gets a new key" 0 'what was run +retired .*what was run +added' "$OSIER" ledger keys rotate node
ok "a receipt from after" receipt after
told "the log's key has not changed: both receipts hold" 0 'is committed' "$OSIER" verify before --policy old.policy
told "the new one, too" 0 'is committed' "$OSIER" verify after --policy old.policy
keys >keys.json
is "they are signed with two keys" "$("$OSIER" verify before --policy old.policy --keys keys.json >/dev/null && "$OSIER" verify after --policy old.policy --keys keys.json >/dev/null && keys | jq '[.keys[] | select(.role == "node" and .state == "added")] | length')" 2
"$OSIER" receipt --format dsse last/main/0 -o envelope 2>/dev/null
told "envelopes are signed with the new one" 0 'envelope holds' "$OSIER" verify envelope --key "$(keys | jq -r '[.keys[] | select(.role == "node" and .state == "added")][1].vkey')"
is "the old file is kept, its owner's alone" "$(cd "$OSIER_STATE/keys" && stat -c '%n %a' -- * | tr '\n' ' ')" 'log.key 600 node.key 600 node.key.1 600 '

# ---- the log's key ----

a=$(id_of log 0)
told "the log gets a new key" 0 'both keys sign from now on' "$OSIER" ledger keys rotate log
b=$(id_of log 1)
is "both sign" "$(signers)" "$a $b "
added=$(keys | jq "[.keys[] | select(.role == \"log\")][1].entry")
ok "the entry of the new key is under a head that the old one signed" [ "$(api /v1/ledger/checkpoint | awk 'NR == 2')" -gt "$added" ]
ok "a receipt with both" receipt both
"$OSIER" ledger policy >both.policy
"$OSIER" ledger policy | grep -v "+$a+" >new.policy
for p in old both new; do
	told "it holds for who trusts the $p" 0 'is committed' "$OSIER" verify both --policy $p.policy
done
told "the old one is revoked" 0 'heads of the log +revoked' "$OSIER" ledger keys revoke "$a" --reason 'the disk was sold'
is "from then on the new one signs alone" "$(signers)" "$b "
ok "a receipt with the new one" receipt new
told "who trusts only the old one is told" 6 'no log that the policy trusts' "$OSIER" verify new --policy old.policy
told "who took the new line goes on" 0 'is committed' "$OSIER" verify new --policy both.policy
told "what was signed before stays good" 0 'is committed' "$OSIER" verify before --policy old.policy
is "the policy names those that may sign" "$("$OSIER" ledger policy | grep -c '^log ')" 1
ok "a reader that shares no code agrees" "$CHECK" tiles "$OSIER_STATE/api.sock" "$(awk '$1 == "log" {print $2}' new.policy)"
told "an audit, too" 0 '' "$OSIER" ledger audit
told "the history tells who did it" 0 "$(id -un) +key of the log is revoked.*the disk was sold" "$OSIER" history --limit 30

# ---- what is refused ----

told "twice it cannot be revoked" 5 'has revoked this key already' "$OSIER" ledger keys revoke "$a" --reason again
told "nor the last one" 5 'a new key must be there first' "$OSIER" ledger keys revoke "$b" --reason why
told "nor the one that signs what is run" 5 'rotate node' "$OSIER" ledger keys revoke "$(id_of node 1)" --reason why
told "nor one that is not there" 4 'no key of the log' "$OSIER" ledger keys revoke 00000000 --reason why
told "a reason is needed" 2 'reason is needed' "$OSIER" ledger keys revoke "$a"
told "of one line" 2 'one line' "$OSIER" ledger keys revoke "$a" --reason 'two
lines'
told "witnesses have their own ways" 2 'log' "$OSIER" ledger keys rotate witness
is "of the API the same" "$(api /v1/ledger/keys/rotate -d '{"role":"witness"}' | jq -r .error.code)" invalid
told "who anchors nowhere has no account to change" 4 'anchors on no chain' "$OSIER" ledger keys rotate anchor
if [ "$(id -u)" = 0 ]; then
	chmod 711 "$OSIER_STATE" && chmod 666 "$OSIER_STATE/api.sock"
	is "others may not" "$(setpriv --reuid 65534 --regid 65534 --clear-groups curl -s --unix-socket "$OSIER_STATE/api.sock" -d '{"role":"node"}' http://osier/v1/ledger/keys/rotate | jq -r .error.code)" denied
fi

# ---- a node's key that is revoked: what stands before counts, what stands after does not ----

told "the node's first key is revoked" 0 'what was run +revoked' "$OSIER" ledger keys revoke "$(id_of node 0)" --reason 'it was copied'
keys >keys.json
told "its receipt from before counts" 0 'is committed' "$OSIER" verify before --policy old.policy --keys keys.json
entry=$("$OSIER" verify before --policy old.policy --json | jq .entry)
jq -c "(.keys[] | select(.state == \"revoked\" and .role == \"node\") | .entry) |= $((entry - 1))" keys.json >earlier.json
told "had it been revoked before, it would not, and the entry is named" 6 "revoked in entry $((entry - 1)), before the receipt in entry $entry: it was copied" "$OSIER" verify before --policy old.policy --keys earlier.json
jq -c '.keys |= map(select(.role == "log"))' keys.json >none.json
told "a key that the log does not know is none" 6 'none that its log knows' "$OSIER" verify before --policy old.policy --keys none.json
told "an envelope of a revoked key counts for nothing" 0 'envelope holds' "$OSIER" verify envelope --keys keys.json
told "that was the other key" 0 'what was run +added' "$OSIER" ledger keys rotate node
told "now it is this one" 0 'revoked' "$OSIER" ledger keys revoke "$("$OSIER" verify envelope --json | jq -r .key | cut -d+ -f2)" --reason 'copied, too'
told "the envelope is refused, and the entry named" 6 'that entry [0-9]+ revoked: copied, too' "$OSIER" verify envelope

# ---- kills: whatever the files are called, the log says who signs ----

ok "the node ends" "$OSIER" down
node_now=$(cd "$OSIER_STATE/keys" && cut -d+ -f4 node.key)
is "names as they are after a whole rotation" "$(cd "$OSIER_STATE/keys" && echo *)" 'log.key log.key.1 node.key node.key.1 node.key.2'
mv "$OSIER_STATE/keys/node.key" "$OSIER_STATE/keys/node.key.new"
ok "killed between the two names, it comes up" up
ok "and signs" receipt r
keys >keys.json
told "with the key that the log says" 0 'is committed' "$OSIER" verify r --policy new.policy --keys keys.json
"$OSIER" ledger publish >/dev/null
is "and its file has its name again" "$(cut -d+ -f4 "$OSIER_STATE/keys/node.key")" "$node_now"
ok "the node ends again" "$OSIER" down
cp -a "$OSIER_STATE/keys/node.key" "$OSIER_STATE/keys/node.key.9"
mv "$OSIER_STATE/keys/log.key" "$OSIER_STATE/keys/log.key.5"
ok "with odd names it comes up, too" up
"$OSIER" ledger publish >/dev/null
is "and the same key signs" "$(signers)" "$b "
n=$(keys | jq '.keys | length')
for i in 1 2 3 4 5 6 7 8; do
	role=$([ $((i % 2)) = 0 ] && echo log || echo node)
	timeout "$LIMIT" "$OSIER" ledger keys rotate "$role" >/dev/null 2>&1 &
	rotation=$!
	sleep 0.0$((RANDOM % 9))
	kill -9 "$(engine_pid)" 2>/dev/null
	wait $rotation
	for _ in $(seq 100); do "$OSIER" version >/dev/null 2>&1 && break; done
done
told "after kills in rotations it is published" 0 'are signed' "$OSIER" ledger publish
ok "some of them came through" [ "$(keys | jq '.keys | length')" -gt "$n" ]
like "one key signs what is run" "$("$OSIER" ledger keys | grep -c 'what was run *added')" '^1$'
is "every key that may sign heads has signed the last" "$(signers)" "$(keys | jq -r '[.keys[] | select(.role == "log")] | group_by(.vkey) | map(select(all(.state == "added"))) | sort_by(.[0].entry) | map(.[0].vkey | split("+")[1]) | join(" ")') "
ok "a receipt is had" receipt last
keys >keys.json
told "and holds" 0 'is committed' "$OSIER" verify last --policy new.policy --keys keys.json
told "the log is whole" 0 '' "$OSIER" ledger audit
is "no key file is anybody else's" "$(stat -c %a "$OSIER_STATE"/keys/* | sort -u)" 600

# ---- the account that pays for anchors ----

printf 'ledger: {anchors: [{chain: {rpc: "http://127.0.0.1:1", id: 31337, every: 1h, fee: 1gwei}}]}\n' >"$OSIER_STATE/config.yaml"
ok "the node ends" "$OSIER" down
slow() { OSIER_SLOW=$T/slow ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}" LD_PRELOAD="$BUILD/test/e2e/libkill-at.so" up; }
anchors() { "$OSIER" ledger keys --json | jq -r ".keys[] | select(.role == \"anchor\") | $1"; }
: >"$T/slow"
ok "and comes up with a chain to anchor on, on a slow disk" slow
reads() { [ "$(api /v1/ledger/keys/revoke -d '{"key":"00000000","reason":"none"}' | jq -r .error.code)" = closed ]; } # its log, still
for _ in $(seq 600); do reads || break; sleep 0.05; done
ok "its account is told in the log, and on its way to the disk" "$OSIER" ledger publish
like "what is published then has it" "$(anchors .vkey)" '^0x[0-9a-fA-F]{40}$'
rm "$T/slow"
account=$(anchors .vkey)
told "it gets a new account" 0 'give the new account money.*anchors +retired .*anchors +added' "$OSIER" ledger keys rotate anchor
new() { anchors .vkey | grep -v "$account" | head -n 1; }
until_named() { local end=$((SECONDS + LIMIT)); until [ -e "$OSIER_STATE/keys/anchor.key.1" ] && [ ! -e "$OSIER_STATE/keys/anchor.key.new" ]; do [ $SECONDS -lt $end ] || return 1; sleep 0.1; done; }
ok "the files get their names" until_named
is "the old one is the one before" "$(grep -io "$account" "$OSIER_STATE/keys/anchor.key.1" | wc -l) $(grep -io "$(new)" "$OSIER_STATE/keys/anchor.key" | wc -l)" '1 1'
told "the new one cannot be revoked: nothing would anchor" 5 'rotate anchor' "$OSIER" ledger keys revoke "$(new)" --reason why
told "the old one can" 0 'anchors +revoked' "$OSIER" ledger keys revoke "$account" --reason "the money was stolen"
mkdir -p "$OSIER_STATE/anchors"
: >"$OSIER_STATE/anchors/31337.save"
told "while an anchor is on its way the account stays" 5 'on its way' "$OSIER" ledger keys rotate anchor
rm "$OSIER_STATE/anchors/31337.save"
ok "an engine that starts again" "$OSIER" down --engine-only
same() { "$OSIER" ledger keys 2>/dev/null | tr '\n' ' ' | grep -qE "anchors +revoked [^a]*$account anchors +added [^a]*$(new)"; }
again() { local end=$((SECONDS + LIMIT)); until same; do [ $SECONDS -lt $end ] || return 1; sleep 0.1; done; }
ok "knows both" again
exit $bad
