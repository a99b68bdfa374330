#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# journal_move - a journal goes from its folder into a PostgreSQL and back with its tree; what is not empty is refused, what was cut short
# is finished.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.sh && . test/node.sh
PG_DIR=$T/pg
. test/postgres.sh
at_end() { pg_end; }
ok "PostgreSQL starts" pg_up a
URL=$(pg_url a)
S=$OSIER_STATE
printf 'name: many\narray: 300\ncommand: echo line of ${task}\n' >"$T/many.yaml"
ok "a node is up" up
told "it refuses to move while it is" 5 "a node is up on '.*' hint: end it" "$OSIER" journal move --to "$URL"
told "it has run something" 0 . "$OSIER" submit --watch "$T/many.yaml"
ok "it goes down" "$OSIER" down
told "a URL with a mistake is told" 2 "schema in the record's URL" "$OSIER" journal move --to 'postgres://x/y?schema=A-B'
told "the journal moves" 0 'moved [0-9]+ entries, root [0-9a-f]{64} before and after' "$OSIER" journal move --to "$URL"
[ -e "$S/journal.db.moved" ] && [ ! -e "$S/journal.db" ] && [ ! -e "$S/journal.db-wal" ]
is "the file is kept by another name" $? 0
told "once is enough" 5 'is in a record already' "$OSIER" journal move --to "$URL"
ok "the node is up on it" up
told "what was is there" 0 'line of 17' "$OSIER" logs many-1/17
works "and it works"
told "the log is the same" 0 'entries' "$OSIER" ledger audit
ok "down" "$OSIER" down
told "another folder cannot have it" 5 'held|has a journal already' env OSIER_STATE="$T/o" sh -c '"$OSIER" up >/dev/null; "$OSIER" down >/dev/null; exec "$OSIER" journal move --to "$1"' - "$URL"

# ---- back ----
told "a folder with a journal is refused" 5 'has a journal already' "$OSIER" journal move --to "$T/o"
told "it comes back" 0 'moved [0-9]+ entries' "$OSIER" journal move --to "$S"
[ -e "$S/journal.db" ] && [ ! -e "$S/record" ] && [ ! -e "$S/journal.moving" ]
is "into the folder" $? 0
ok "the node is up on its own" up
told "with all that was" 0 'line of 299' "$OSIER" logs many-1/299
works "and works"
told "its log is still the same" 0 'entries' "$OSIER" ledger audit
ok "down again" "$OSIER" down
told "the record that was left is nobody's" 3 'held by the engine \(moved away\)' "$OSIER" up --state "$T/n" --record "$URL"

# ---- cut short ----
U2=$(pg_url a two)
ok "it moves to another schema" "$OSIER" journal move --to "$U2"
cp "$S/journal.db.moved" "$S/journal.db"
told "a folder that says both is refused" 3 'has a journal of its own beside its record hint: carry it over' "$OSIER" up
told "the move is finished when it is called again" 0 'moved [0-9]+ entries' "$OSIER" journal move --to "$U2"
ok "and the node is up" up
works "on the record"
(
	for i in 1 2 3 4; do
		"$OSIER" down >/dev/null 2>&1
		[ -e "$S/journal.db" ] && to=$(pg_url a "k$i") || to=$S
		setsid timeout -s KILL "0.0$((RANDOM % 90 + 10))" "$OSIER" journal move --to "$to" >/dev/null 2>&1
		flock "$S/lock" true # the killed one may still be dying
		"$OSIER" journal move --to "$to" >"$T/again" 2>&1 || grep -qE 'in a record already|is in no record|has a journal already' "$T/again" || exit 1
		up || exit 1
	done
) >"$T/kills" 2>&1
rc=$?
[ $rc = 0 ] || cat "$T/kills" "$T/again" "$T/up" "$S/record" | grep -v '^url' | sed 's/^/# /'
is "killed at any moment it is whole" $rc 0
told "nothing is lost by it" 0 'line of 42' "$OSIER" logs many-1/42
works "and it works still"
exit $bad
