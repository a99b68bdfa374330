#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ledger_history - who did what is told from the log, each row leads to its proof, and what policy dropped is told as such. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
CHECK=$PWD/test/e2e/receipt_check.py
mkdir -p "$OSIER_STATE"
printf 'name: here\n' >"$OSIER_STATE/config.yaml"
ok "a node is up" up
cd "$T" || exit 1
me=$(id -un)
what() { "$OSIER" history --all --json "$@" | jq -r '.history[].what'; }

printf 'name: slow\ncommand: exec sleep 300\ngrace: 1s\n' >slow.yaml
printf 'name: job\nshell: exit ${index}\narray: 2\n' >job.yaml
told "a job fails in part" 1 '1 failed' "$OSIER" submit --watch job.yaml
told "another is submitted" 0 'slow-2 is submitted' "$OSIER" submit slow.yaml
told "adjusted" 0 '' "$OSIER" adjust slow-2 --priority 70
told "and cancelled" 0 '' "$OSIER" cancel slow-2
told "it has ended" 1 '' "$OSIER" wait slow-2
told "all of it is signed" 0 "are signed" "$OSIER" ledger publish # and the keys are told: nothing comes any more
"$OSIER" history --all >all
for row in "-  +node here is up" "$me +submitted job-1: 1 step, 2 tasks" "$me +job-1/main task 0: lease 1 to node here" "$me +job-1/main task 1 failed" \
	"$me +submitted slow-2" "$me +adjusted slow-2: priority \(priority 70\)" "$me +cancelled slow-2" "$me +slow-2/main task 0 stopped|slow-2/main: lease [0-9]+ ended early: cancelled"; do
	like "the history tells: ${row//+/}" "$(cat all)" "$row"
done
"$OSIER" history --all --json >all.json
ok "the newest comes last" jq -e '[.history[].entry] | . == sort and length > 6' all.json
is "without --all the last twenty" "$("$OSIER" history --limit 3 --json | jq -c '[.more, (.history | map(.entry))]')" "$(jq -c '[true, (.history[-3:] | map(.entry))]' all.json)"
is "of one job only its own" "$(what --job job-1 | grep -c slow)" 0
like "what is asked for by its number is found, too" "$(what --job 2)" 'cancelled slow-2'
is "of a user what concerns him" "$(what --user "$me" | grep -c 'node here is up')" 0
is "of another nothing" "$(what --user 54321)" ''
like "of a node what was done there" "$(what --node here | tail -n 1)" 'slow-2'
is "from a time on only what came then" "$(what --since 2h | wc -l)" "$(jq '.history | length' all.json)"
is "nothing comes from a time before" "$(what --since 2099-01-01)" ''
told "a time must be one" 2 'is no time' "$OSIER" history --since yesterday
told "a user must be one" 2 'there is no user' "$OSIER" history --user nobody-like-that
told "a job, too" 4 'no job' "$OSIER" history --job nothing-like-that
told "it says how a row is proven" 0 'ledger proof [0-9]+' "$OSIER" history
"$OSIER" ledger publish >/dev/null
wrong=
for entry in $(jq -r '.history[].entry' all.json); do
	[ "$("$OSIER" ledger proof "$entry" --json | jq -r .leaf)" = "$(jq -r ".history[] | select(.entry == $entry).leaf" all.json)" ] || wrong="$wrong $entry"
done
is "every row's leaf is the one that its proof proves" "$wrong" ''

# More rows than are kept at once, and pages with nothing in them: all of them, once, in order.
jq -nc '{jobs: [range(1500) | {job: {name: "held", command: "true", hold: true}}]}' >held.json
is "much is submitted" "$(api /v1/jobs -d @held.json | jq '.jobs | length')" 1500
"$OSIER" history --all --json >all.json
ok "all of it is told, once, in order" jq -e '[.history[].entry] | . == unique and length > 1500' all.json
is "the same as the entries say" "$(jq '[.history[] | select(.kind == "job_submitted")] | length' all.json)" 1502
ok "each entry that names a user has a salt of its own" sh -c '"$OSIER" replay --from 100 --limit 1000 --json | jq -e "[.entries[].body.by.salt] | length == 1000 and (unique | length) == 1000 and all(length == 32)"'
like "in a table, too" "$("$OSIER" history --all | grep -c 'submitted held-')" '^1500$'
like "what is rare is found behind it" "$(what --job job-1 2>&1)" 'submitted job-1'

# Others see what concerns them.
if [ "$(id -u)" = 0 ]; then
	chmod 711 "$OSIER_STATE" && chmod 666 "$OSIER_STATE/api.sock"
	is "another user sees nothing of it" "$(setpriv --reuid 65534 --regid 65534 --clear-groups curl -s --unix-socket "$OSIER_STATE/api.sock" 'http://osier/v1/history?limit=1000' | jq -c .history)" '[]'
fi

# ---- payloads that expire ----

ok "the node ends" "$OSIER" down
export OSIER_STATE=$T/short
mkdir -p "$OSIER_STATE"
printf 'name: short\nhistory: {age: 2s}\n' >"$OSIER_STATE/config.yaml"
ok "a node with a short memory is up" up
printf 'name: one\ncommand: echo one\n' >one.yaml
jq -nc '{jobs: [range(300) | {job: {name: "few", command: "true"}}]}' >few.json
told "a job runs on it" 0 'succeeded' "$OSIER" submit --watch one.yaml
told "of this a receipt is kept" 0 'osier verify' "$OSIER" receipt one-1/main/0 -o r.tlog-proof
is "much is done" "$(api /v1/jobs -d @few.json | jq '.jobs | length')" 300
"$OSIER" ledger policy >trust.policy
"$OSIER" ledger proof 5 --json | jq -r .leaf >leaf5
# Enough for a snapshot, without which nothing is dropped.
head -c 900000 /dev/zero | tr '\0' x | jq -Rsc '. as $x | {jobs: [range(40) | {job: {name: "big", command: "true", hold: true, stdin: $x}}]}' >big.json
is "large jobs are submitted" "$(api /v1/jobs -d @big.json | jq '.jobs | length')" 40
expired=0 end=$((SECONDS + LIMIT))
while [ $SECONDS -lt $end ]; do
	timeout "$LIMIT" "$OSIER" submit --watch one.yaml >/dev/null 2>&1
	expired=$("$OSIER" history --all --json | jq -r .expired)
	[ "$expired" -gt 255 ] && break
	sleep 0.1
done
ok "old payloads expire" [ "$expired" -gt 255 ]
told "they are published" 0 'are signed' "$OSIER" ledger publish
told "the history says so" 0 "entries 0 to [0-9]+: payload expired" sh -c "\"$OSIER\" history --all >/dev/null"
told "so does an entry" 4 'payload expired.*entry 5 ' "$OSIER" ledger entry 5
told "its proof holds all the same" 0 "leaf +$(cat leaf5)" "$OSIER" ledger proof 5
told "and tells that nothing else is left of it" 0 'payload +expired' "$OSIER" ledger proof 5
is "as JSON, too" "$("$OSIER" ledger proof 5 --json | jq .expired)" true
is "of an entry that is there it does not" "$("$OSIER" ledger proof $(($(api /v1/ledger | jq .size) - 1)) --json | jq .expired)" false
told "a receipt from before holds all the same" 0 'one-1/main/0 is committed' "$OSIER" verify r.tlog-proof --policy trust.policy
told "of a forgotten job no new one is had" 4 'payload expired: the history of job 1' "$OSIER" receipt one-1/main/0
exit $bad
