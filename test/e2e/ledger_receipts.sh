#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ledger_receipts - what ran is proven: receipts, the published log, and a reader that shares no code with osier. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
CHECK=$PWD/test/e2e/receipt_check.py
ok "a node is up" up
cd "$T" || exit 1

cat >job.yaml <<'X'
name: job
shell: "echo hello ${index}; head -c 100000 /dev/zero | tr '\\0' '${index}' >large"
outputs: [large]
array: 5
X
told "a job runs" 0 'succeeded' "$OSIER" submit --watch job.yaml
told "a receipt of a task is written" 0 'osier verify r.tlog-proof' "$OSIER" receipt job-1/main/3 -o r.tlog-proof
"$OSIER" ledger policy >trust.policy
vkey=$(awk '$1 == "log" {print $2}' trust.policy)
ok "the node ends" "$OSIER" down

# From here on there is the receipt and the policy, and nothing else.
export OSIER_STATE=$T/nowhere
told "it holds, and says what was run" 0 'the receipt holds: job-1/main/3 is committed.*echo hello 3.*succeeded, code 0' "$OSIER" verify r.tlog-proof --policy trust.policy
echo hello 3 >right
echo hello 4 >wrong
head -c 100000 /dev/zero | tr '\0' 3 >large
told "a file in hand is one of the outputs" 0 'is stdout of the task' "$OSIER" verify r.tlog-proof --policy trust.policy --output right
told "a large one, too" 0 'is large of the task' "$OSIER" verify r.tlog-proof --policy trust.policy --output large
told "another file is not, however right the signatures" 6 'none of the task.s outputs' "$OSIER" verify r.tlog-proof --policy trust.policy --output wrong
ok "a reader that shares no code agrees" "$CHECK" receipt r.tlog-proof "$vkey" right
ok "and refuses the other file" sh -c "! '$CHECK' receipt r.tlog-proof '$vkey' wrong"
is "as JSON it says the same" "$("$OSIER" verify r.tlog-proof --policy trust.policy --json | jq -c '[.level, .job, .task, .outcome, .quorum_met]')" '["committed","job",3,"succeeded",true]'

# Any change is noticed, and named: one character at each of many places, by both readers.
size=$(wc -c <r.tlog-proof)
unnoticed=
for at in $(seq 24 $((size / 60)) $((size - 2))); do
	python3 - "$at" <<'X'
import sys
b = bytearray(open("r.tlog-proof", "rb").read())
b[int(sys.argv[1])] ^= 1
open("changed", "wb").write(b)
X
	"$OSIER" verify changed --policy trust.policy >/dev/null 2>&1 && unnoticed="$unnoticed $at"
done
is "a changed character is noticed wherever it is" "$unnoticed" ''
printf 'log sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8\nquorum none\n' >other.policy
told "a policy that trusts another log is not met" 6 'no log that the policy trusts' "$OSIER" verify r.tlog-proof --policy other.policy
printf 'log %s\nwitness w remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2\nquorum w\n' "$vkey" >strict.policy
told "nor one that asks for a witness that has not seen it" 6 'only 0 witnesses' "$OSIER" verify r.tlog-proof --policy strict.policy
printf 'log %s\n' "$vkey" >unclear.policy
told "a policy without a quorum says nothing clear" 2 'no quorum' "$OSIER" verify r.tlog-proof --policy unclear.policy
head -c 700 r.tlog-proof >cut
told "half a receipt is none" 2 'receipt|proof' "$OSIER" verify cut --policy trust.policy
export OSIER_STATE=$T/state

# ---- the log ----

ok "the node comes up" up
told "more is done" 0 'succeeded' "$OSIER" submit --watch job.yaml
printf 'name: many\nshell: echo ${index}\narray: 700\n' >many.yaml
told "much more" 0 'succeeded' "$OSIER" submit --watch many.yaml
told "and published" 0 'are signed' "$OSIER" ledger publish
ok "a reader that shares no code builds the same tree from tiles and entries" "$CHECK" tiles "$OSIER_STATE/api.sock" "$vkey"
old=$(awk 'NR == 2' <(api /v1/ledger/checkpoint))
like "the head is shown" "$("$OSIER" ledger)" "entries +$old signed"
told "any entry can be proven" 0 'path' "$OSIER" ledger proof 17
told "and that the log only grew" 0 'old root' "$OSIER" ledger consistency 5 "$old"
told "an entry past the end cannot" 2 'index' "$OSIER" ledger proof 99999999
like "keys say what each may sign" "$("$OSIER" ledger keys)" 'heads of the log +added'
is "the keys are their owner's alone" "$(stat -c %a "$OSIER_STATE/keys" "$OSIER_STATE/keys/"*.key | tr '\n' ' ')" '700 600 600 '

# Kill -9 wherever publishing happens to be; what was signed stays a beginning of what is signed later.
roots=
for _ in 1 2 3 4 5 6; do
	"$OSIER" submit many.yaml >/dev/null
	sleep 0.$((RANDOM % 9))
	api /v1/ledger >head.json
	roots="$roots $(jq -r '"\(.size):\(.root)"' head.json)"
	kill -9 "$(engine_pid)"
	for _ in $(seq 100); do "$OSIER" version >/dev/null 2>&1 && break; done
done
"$OSIER" cancel last >/dev/null 2>&1
told "after kills it is published on" 0 'are signed' "$OSIER" ledger publish
bad_roots=
for r in $roots; do
	[ "$(api "/v1/ledger/consistency?old=${r%:*}" | jq -r .old_root)" = "${r#*:}" ] || bad_roots="$bad_roots $r"
done
is "every head that was ever shown is a beginning of the last" "$bad_roots" ''
ok "the tree is whole" "$CHECK" tiles "$OSIER_STATE/api.sock" "$vkey"

# A private node signs before it goes; the receipt is had from what it leaves.
export OSIER_STATE=$T/private
told "a job runs without a node" 0 'succeeded' "$OSIER" run job.yaml
told "its receipt is there afterwards" 0 'tlog-proof' "$OSIER" receipt last/main/2
"$OSIER" receipt last/main/2 -o private.tlog-proof 2>/dev/null
"$OSIER" ledger policy >private.policy
told "and holds" 0 'job-1/main/2 is committed' "$OSIER" verify private.tlog-proof --policy private.policy
export OSIER_STATE=$T/state

# A node that was restored from an older backup must not sign a second history.
ok "the node ends again" "$OSIER" down
cp -a "$OSIER_STATE" "$T/backup"
ok "it goes on" up
told "and works" 0 'succeeded' "$OSIER" submit --watch many.yaml
told "and signs" 0 'are signed' "$OSIER" ledger publish
ok "it ends" "$OSIER" down
for f in journal.db journal.db-wal journal.db-shm; do cp -a "$T/backup/$f" "$OSIER_STATE/$f" 2>/dev/null; done
rm -f "$OSIER_STATE"/snapshot-*
ok "with an older journal the node comes up" up
told "but signs nothing, and says why" 3 'publishes nothing.*ledger is off' "$OSIER" ledger publish
like "as the notices tell" "$("$OSIER" nodes --resources; "$OSIER" version --json)" 'restored from an older backup'
exit $bad
