#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# backup_restore - a node is saved in one file while it works, and put back elsewhere with its jobs and its log; what is damaged, no backup, or
# not empty is refused, and nothing is half put back. A journal in a PostgreSQL is saved likewise.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.sh && . test/node.sh
PG_DIR=$T/pg
. test/postgres.sh
at_end() { for d in "$T"/s*/; do OSIER_STATE=${d%/} "$OSIER" down >/dev/null 2>&1; done; pg_end; }
S=$OSIER_STATE
printf 'name: many\narray: 200\ncommand: echo line of ${task}\n' >"$T/many.yaml"
ok "a node is up" up
told "it has run something" 0 . "$OSIER" submit --watch "$T/many.yaml"
(while :; do "$OSIER" submit "$T/many.yaml" >/dev/null 2>&1 || break; sleep 0.05; done) &
load=$!
told "it is saved while it works" 0 'saved [0-9]+ entries, root [0-9a-f]{64}, without keys' "$OSIER" backup "$T/b.tar"
told "and with its keys" 0 'with keys' "$OSIER" backup --keys "$T/k.tar"
kill "$load" 2>/dev/null
wait "$load" 2>/dev/null
is "nothing else is left beside the files" "$(ls "$T" | grep -E '^[bk]\.tar' | tr '\n' ' ')" "b.tar k.tar "
is "the keys are in one of them" "$(for f in b k; do tar -tf "$T/$f.tar" | grep -c '^./keys/.'; done | sed 's/^[1-9].*/some/' | tr '\n' ' ')" "0 some "
is "nobody else may read it" "$(stat -c %a "$T/k.tar")" 600
told "a folder with a node is refused" 5 'is a node.s already' "$OSIER" restore "$T/k.tar"
ok "down" "$OSIER" down

told "it is put back elsewhere" 0 'restored [0-9]+ entries, root [0-9a-f]{64}, with keys' "$OSIER" restore "$T/k.tar" --state "$T/s1"
OSIER_STATE=$T/s1
ok "and is up" up
told "with the jobs that were done" 0 'line of 17' "$OSIER" logs many-1/17
like "those that ran go on" "$(settle many-2 60)" succeeded
works "it works"
told "its log audits" 0 entries "$OSIER" ledger audit
is "under the same key" "$(cat "$T/s1"/keys/*.vkey 2>/dev/null; ls "$T/s1/keys")" "$(cat "$S"/keys/*.vkey 2>/dev/null; ls "$S/keys")"
ok "down" "$OSIER" down

OSIER_STATE=$T/s2
told "without keys it is put back, too" 0 'its log is signed by nobody .*without keys' "$OSIER" restore "$T/b.tar"
ok "is up" up
works "and works"
ok "down" "$OSIER" down

# ---- what is no good ----
OSIER_STATE=$T/s3
told "no backup is told" 2 'is no backup of osier' "$OSIER" restore "$T/many.yaml"
told "nor is any tar" 2 'is no backup of osier' sh -c 'tar -C "$1" -cf "$1/x.tar" many.yaml && exec "$OSIER" restore "$1/x.tar"' - "$T"
told "what is not there is told" 6 'cannot read' "$OSIER" restore "$T/nothing"
n=0
for at in 15 35 55 75 95; do
	cp "$T/k.tar" "$T/d.tar"
	size=$(stat -c %s "$T/d.tar")
	printf 'osier was here' | dd of="$T/d.tar" bs=1 seek=$((size * at / 100)) conv=notrunc 2>/dev/null
	rm -rf "$T/s3"
	"$OSIER" restore "$T/d.tar" >"$T/out" 2>&1 && { OSIER_STATE=$T/s3 "$OSIER" ledger audit >>"$T/out" 2>&1 || { cat "$T/out"; n=$((n + 1)); }; }
	[ -e "$T/s3/journal.db" ] || [ -z "$(ls -A "$T/s3")" ] || { ls -A "$T/s3"; n=$((n + 1)); }
done
is "damage is told, or touches nothing that counts" $n 0
head -c $((size / 2)) "$T/k.tar" >"$T/d.tar"
rm -rf "$T/s3"
told "half a file is told" 2 'is no backup' "$OSIER" restore "$T/d.tar"
is "and leaves nothing" "$(ls -A "$T/s3")" ""

# ---- a record ----
ok "PostgreSQL starts" pg_up a
OSIER_STATE=$T/s4
told "a node on a record" 0 'is up' "$OSIER" up --record "$(pg_url a)"
told "runs something" 0 . "$OSIER" submit --watch "$T/many.yaml"
told "and is saved" 0 'saved [0-9]+ entries' "$OSIER" backup --keys "$T/r.tar"
ok "down" "$OSIER" down
OSIER_STATE=$T/s5
told "it is put back into a folder" 0 'restored' "$OSIER" restore "$T/r.tar"
ok "is up" up
told "with all that was" 0 'line of 17' "$OSIER" logs many-1/17
works "and works"
exit $bad
