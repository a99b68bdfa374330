#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_standby - while one node holds a record in PostgreSQL another follows it; when that one's machine is gone, under load, it takes over
# within ten seconds, and no acknowledged job is lost and no task is committed twice.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.sh && . test/node.sh
PG_DIR=$T/pg
. test/postgres.sh
at_end() { OSIER_STATE=$T/b "$OSIER" down >/dev/null 2>&1; OSIER_STATE=$T/c "$OSIER" down >/dev/null 2>&1; pg_end; }
ok "PostgreSQL starts" pg_up a
URL=$(pg_url a)
A=$OSIER_STATE B=$T/b C=$T/c
version() { curl -s -m 5 --unix-socket "$1/api.sock" http://osier/v1/version; }
record() { version "$1" | jq -r ".record.$2 // empty"; }

told "a node starts on a record" 0 'osier is up' "$OSIER" up --record "$URL"
told "another one is refused by the holder" 3 "the record is held by the engine .*$A" "$OSIER" up --state "$C" --record "$URL"
told "one that stands by is not" 0 'standing by' "$OSIER" up --state "$B" --record "$URL" --standby
told "what is wanted of it is refused with words" 5 "standby: the record is held by .*$A" \
	"$OSIER" --state "$B" ns set team-a --weight 2

# ---- under load ----
printf 'name: load\narray: 40\ncommand: "echo $index; sleep 0.02"\n' >"$T/load.yaml"
printf 'name: long\ncommand: sleep 300\n' >"$T/long.yaml"
long=$("$OSIER" submit "$T/long.yaml" --json | jq -r .id)
( while answer=$(timeout 20 "$OSIER" submit "$T/load.yaml" --json 2>/dev/null); do jq -r .id <<<"$answer"; sleep 0.3; done ) >"$T/acked" &
load=$!
for _ in $(seq 300); do [ "$(wc -l <"$T/acked")" -ge 10 ] && break; sleep 0.1; done
for _ in $(seq 100); do [ "$(record "$B" behind)" = 0 ] && OSIER_STATE=$B "$OSIER" job "$long" >/dev/null 2>&1 && break; sleep 0.1; done
like "the standby shows what the other one does" "$(OSIER_STATE=$B "$OSIER" job "$long" --json | jq -r .state)" 'running|queued'
keeper=$(keeper_pid) engine=$(engine_pid)
kill -9 "$keeper" "$engine"
began=$(date +%s%N)
wait $load 2>/dev/null
taken=
for _ in $(seq 600); do
	[ "$(version "$B" | jq -r .record.standby 2>/dev/null)" = false ] && { taken=1; break; }
	sleep 0.05
done
took=$((($(date +%s%N) - began) / 1000000))
[ "$took" -lt 10000 ] && [ -n "$taken" ]
is "it takes over within ten seconds (it was $took ms)" $? 0
OSIER_STATE=$B
like "jobs were acknowledged before" "$(wc -l <"$T/acked")" '^[1-9][0-9]+$'
lost=
while read -r job; do [ "$("$OSIER" job "$job" --json | jq -r .name)" = load ] || lost="$lost $job"; done <"$T/acked"
is "none of them is lost" "$lost" ""
"$OSIER" cancel "$long" >/dev/null
unfinished=
while read -r job; do [ "$(settle "$job")" = succeeded ] || unfinished="$unfinished $job"; done <"$T/acked"
is "each is done" "$unfinished" ""
works "and the new one takes more"

# ---- once: every committed index of every job is there one time, in the record ----
is "no task is committed twice" "$(pg_sql a "SELECT count(*) FROM (SELECT job, first FROM osier.results WHERE count = 1 GROUP BY job, step, first HAVING count(*) > 1) x")" 0
is "the record has no holes" "$(pg_sql a 'SELECT count(*) = max(seq) + 1 AND max(seq) + 1 = (SELECT size FROM osier.head) FROM osier.entries')" t

# ---- the dead one comes back ----
told "the one that was killed finds its record held" 3 "held by the engine .*$B" env OSIER_STATE="$A" "$OSIER" up --record "$URL"
told "and stands by in its turn" 0 'standing by' env OSIER_STATE="$A" "$OSIER" up --record "$URL" --standby
told "the new one goes down in good order" 0 'osier is down' "$OSIER" down
OSIER_STATE=$A
for _ in $(seq 200); do [ "$(version "$A" | jq -r .record.standby)" = false ] && break; sleep 0.05; done
works "then the first has it again"
! grep -rlE "postgres://osier@" "$A/node.log" "$B/node.log"
is "no log names the user or more of the URL" $? 0
exit $bad
