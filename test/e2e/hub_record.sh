#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_record - a record in a PostgreSQL with a synchronous replica: engine and server are killed in turn and together, the replica is
# promoted; nothing acknowledged is lost, nothing is done twice. A claim that nobody waits for any more counts for nothing. An engine that
# lost its fence ends; a replica that lacks entries is told.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.sh && . test/node.sh
PG_DIR=$T/pg
. test/postgres.sh
at_end() { OSIER_STATE=$T/b "$OSIER" down >/dev/null 2>&1; pg_end; }
ok "PostgreSQL starts" pg_up a
ok "so does a replica of it" pg_replica b a
ok "which is waited for" pg_sql a "ALTER SYSTEM SET synchronous_standby_names = 'b'"
ok "from now on" pg_sql a 'SELECT pg_reload_conf()'
for _ in $(seq 100); do [ "$(pg_sql a 'SELECT sync_state FROM pg_stat_replication')" = sync ] && break; sleep 0.1; done
is "it is in step" "$(pg_sql a 'SELECT sync_state FROM pg_stat_replication')" sync
URL="postgres://osier@/postgres?host=$PG_DIR/a.sock,$PG_DIR/b.sock"
A=$OSIER_STATE
told "a node starts on both" 0 'osier is up' "$OSIER" up --record "$URL"

# ---- load: what is acknowledged goes to $T/acked ----
printf 'name: load\narray: 10\ncommand: "echo $index >>%s/ran.$$"\n' "$T" | sed 's/ran\.\$\$/ran/' >"$T/load.yaml"
touch "$T/go"
(while [ -e "$T/go" ]; do
	answer=$(timeout 20 "$OSIER" submit "$T/load.yaml" --json 2>/dev/null) && jq -r .id <<<"$answer"
	sleep 0.1
done) >"$T/acked" &
load=$!
more() { # that so many more jobs are acknowledged than there are
	local want=$(($(wc -l <"$T/acked") + $1)) end=$((SECONDS + 60))
	while [ "$(wc -l <"$T/acked")" -lt "$want" ]; do
		[ $SECONDS -lt $end ] || { echo "after 60 s $(wc -l <"$T/acked") jobs, not $want"; tail -n 5 "$A/node.log"; return 1; }
		sleep 0.05
	done
}
printf 'name: long\ncommand: exec sleep 302\n' >"$T/long.yaml"
ok "jobs are taken" more 2
kill -9 "$(engine_pid)"
ok "after kill -9 of the engine" more 2
pg_kill a
pg_start a
ok "after kill -9 of PostgreSQL" more 2
pg_kill a
kill -9 "$(engine_pid)"
pg_start a
ok "after kill -9 of both" more 2
pg_stop b immediate
kill -9 "$(engine_pid)"
sleep 0.3
pg_start b
ok "after the replica was away" more 2
for _ in 1 2; do
	pg_kill a
	sleep 0."$((RANDOM % 9))"
	pg_start a
	sleep 0."$((RANDOM % 9))"
done
ok "after PostgreSQL was killed twice more" more 2
pg_kill a
ok "the replica is promoted" pg_promote b
ok "after the promotion of the replica" more 2
rm "$T/go"
wait $load
lost= undone=
while read -r job; do
	s=$(settle "$job" 60)
	case $s in succeeded) ;; after*) lost="$lost $job" ;; *) undone="$undone $job:$s" ;; esac
done <"$T/acked"
is "no acknowledged job is lost" "$lost" ""
is "each is done" "$undone" ""
is "no task is committed twice" "$(pg_sql b "SELECT count(*) FROM (SELECT job, first FROM osier.results WHERE count = 1 GROUP BY job, step, first HAVING count(*) > 1) x")" 0
is "the record has no holes" "$(pg_sql b 'SELECT count(*) = max(seq) + 1 AND max(seq) + 1 = (SELECT size FROM osier.head) FROM osier.entries')" t
told "and audits clean" 0 'entries' "$OSIER" ledger audit

# ---- an engine that is killed while it waits for the record: the server still carries out what it asked for, and that counts for nothing ----
holder=$(pg_sql b 'SELECT holder FROM osier.head')
told "the node ends" 0 . "$OSIER" down
mkfifo "$T/sql"
pg_as "$PG_BIN/psql" -X -q -A -t -h "$PG_DIR/b.sock" -U osier -d postgres <"$T/sql" >"$T/sql.out" 2>&1 &
psql=$!
exec 7>"$T/sql"
echo 'BEGIN; UPDATE osier.head SET renewed = renewed;' >&7
at_lock() { [ "$(pg_sql b "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")" = "$1" ]; }
soon_at_lock() { for _ in $(seq 300); do at_lock "$1" && return; sleep 0.1; done; return 1; }
for _ in $(seq 100); do [ "$(pg_sql b "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'")" = 1 ] && break; sleep 0.1; done
timeout 60 "$OSIER" up >/dev/null 2>&1 &
up=$!
ok "an engine waits" soon_at_lock 1
engine=$(engine_pid)
kill -9 "$(keeper_pid)" "$engine"
wait $up
ok "it is killed" dead "$engine"
ok "what it asked for is not" at_lock 1
echo "UPDATE osier.head SET epoch = epoch + 1, holder = '$holder' RETURNING epoch; COMMIT;" >&7
exec 7>&-
wait $psql
ok "until whom it waited for is done" soon_at_lock 0
gone() { for _ in $(seq 100); do [ "$(pg_sql b "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")" = 1 ] && return; sleep 0.1; done; return 1; }
ok "and it is gone" gone
is "who came between has the record" "$(pg_sql b 'SELECT epoch FROM osier.head')" "$(cat "$T/sql.out")"
told "the node comes up" 0 'osier is up' "$OSIER" up
works "and works"

# ---- an engine that sleeps through its time ----
told "a long task runs here" 0 . "$OSIER" submit "$T/long.yaml"
for _ in $(seq 100); do pgrep -f '^sleep 302$' >/dev/null && break; sleep 0.1; done
long=$(pgrep -f '^sleep 302$' | head -n 1)
told "another one stands by" 0 'standing by' "$OSIER" up --state "$T/b" --record "$URL" --standby
keeper=$(keeper_pid)
engine=$(engine_pid)
kill -STOP "$engine"
for _ in $(seq 150); do
	curl -s -m 5 --unix-socket "$T/b/api.sock" http://osier/v1/version | jq -e '.record.standby == false' >/dev/null && break
	sleep 0.1
done
OSIER_STATE=$T/b works "while the first engine is stopped the other takes over"
size=$(pg_sql b 'SELECT size FROM osier.head')
kill -CONT "$engine"
for _ in $(seq 200); do kill -0 "$keeper" 2>/dev/null || break; sleep 0.1; done
! kill -0 "$keeper" 2>/dev/null
is "it ends when it goes on, and its keeper, too" $? 0
! kill -0 "$long" 2>/dev/null
is "what it had running, too" $? 0
like "and says why" "$(tail -n 12 "$A/node.log")" 'another engine has taken over the record: this one has lost its fence'
is "it has added nothing" "$(pg_sql b 'SELECT count(*) FROM osier.head WHERE epoch = (SELECT max(epoch) FROM osier.head)')" 1
[ "$(pg_sql b 'SELECT size FROM osier.head')" -ge "$size" ]
is "nor taken away" $? 0
OSIER_STATE=$T/b

# ---- a replica that lacks what was acknowledged ----
ok "a replica that nobody waits for" pg_replica c b
pg_stop c immediate
works "a job that it does not get"
pg_kill b
ok "it starts" pg_start c
ok "and is promoted" pg_promote c
pg_sql c 'SELECT size FROM osier.head' >/dev/null
ln -sfn "$PG_DIR/c.sock" "$PG_DIR/x" && rm -rf "$PG_DIR/a.sock" && mv "$PG_DIR/x" "$PG_DIR/a.sock"
for _ in $(seq 300); do grep -q 'it has lost some' "$T/b/node.log" && break; sleep 0.1; done
like "the engine does not go on without it" "$(cat "$T/b/node.log")" 'it has lost some, or has others'
exit $bad
