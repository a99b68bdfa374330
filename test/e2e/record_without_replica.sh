#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# record_without_replica - the replica that PostgreSQL waits for is away, or another engine takes the record over while we write: what is not in the record
# is refused in words, never answered as if it were done; it goes on when the replica is back.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.sh && . test/node.sh
PG_DIR=$T/pg
. test/postgres.sh
at_end() { pg_end; }
ok "PostgreSQL starts" pg_up a
told "a node starts on it" 0 'osier is up' "$OSIER" up --record "$(pg_url a)"
works "and works"
pg_sql a "ALTER SYSTEM SET synchronous_standby_names = 'away'" >/dev/null
ok "from now on a replica is waited for that is not there" pg_sql a 'SELECT pg_reload_conf()'
printf 'name: later\ncommand: "true"\n' >"$T/later.yaml"
wrong=0 words=
end=$((SECONDS + 25))
n=0
while [ $SECONDS -lt $end ] && [ $n -lt 40 ]; do
	n=$((n + 1))
	out=$(timeout 20 "$OSIER" submit -q --key "k$n" "$T/later.yaml" 2>&1) && { wrong=1; echo "# answered: $out"; }
	# Which, is a matter of what the connection was doing: writing, or asking.
	printf '%s\n' "$out" | grep -qE 'the record (has taken longer than 3 s to write|at .* has not answered for [0-9]+ s)' || words="$words $out"
	sleep 0.1
	[ $n -ge 6 ] && [ $SECONDS -gt $((end - 13)) ] && break
done
is "nothing is acknowledged that is not where it must be" "$wrong" 0
is "which is said in words, each time" "$words" ""
pg_sql a "ALTER SYSTEM RESET synchronous_standby_names" >/dev/null
pg_sql a 'SELECT pg_reload_conf()' >/dev/null
for _ in $(seq 100); do job=$(timeout 20 "$OSIER" submit -q --key k1 "$T/later.yaml" 2>/dev/null) && break; sleep 0.2; done
like "when it is not waited for any more, work is taken" "$job" '^later-[1-9]'
is "and done" "$(settle "$job")" succeeded
is "the same under its key as before" "$("$OSIER" submit -q --key k1 "$T/later.yaml")" "$job"

# ---- its fence goes while it writes, and PostgreSQL takes its time to say so ----
old=$(engine_pid) # the words that it had found for the trouble before go with it
kill -9 "$old"
for _ in $(seq 100); do new=$(engine_pid) && [ "$new" != "$old" ] && api /v1/version | jq -e .record >/dev/null && break; sleep 0.1; done
works "another engine works on"
(pg_sql a "BEGIN; UPDATE osier.head SET epoch = epoch + 1, holder = 'another'; SELECT pg_sleep(6); COMMIT" >/dev/null) &
thief=$!
sleep 1
out=$(timeout 40 "$OSIER" submit -q --key stolen "$T/later.yaml" 2>&1)
isnt=$?
[ $isnt != 0 ]
is "what an engine writes that has lost its fence is not acknowledged, either ($out)" $? 0
wait $thief
for _ in $(seq 150); do grep -q 'has lost its fence' "$OSIER_STATE/node.log" && break; sleep 0.2; done
like "and it ends" "$(cat "$OSIER_STATE/node.log")" 'has lost its fence'
exit $bad
