#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# record_unread - for a moment a hub can write to its record in PostgreSQL and not read from it: tasks that take outputs of earlier steps wait for
# that, on the hub's machine and on a node, as processes and on workers; none is told that its input is not kept any more, none is forgotten.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.sh && . test/hub.sh && . test/node.sh
PG_DIR=$T/pg
. test/postgres.sh
H=$T/h C=$T/c
mkdir -p "$H" "$C"
printf 'name: hub\ncapacity: {cpu: 2}\n' >"$H/config.yaml"
printf 'name: press\ncapacity: {cpu: 2}\n' >"$C/config.yaml"
at_end() { for s in "$C" "$H"; do OSIER_STATE=$s timeout 30 "$OSIER" down >/dev/null 2>&1; done; pg_end; }
ok "PostgreSQL starts" pg_up a
OSIER_STATE=$H
told "a hub begins, its journal in PostgreSQL" 0 "osier join" "$OSIER" hub --record "$(pg_url a)" --address 127.0.0.1 --listen 127.0.0.1 --port "$(free_port)" --broker-port "$(free_port)"
told "a node joins it" 0 'joined' "$OSIER" --state "$C" join "$(line "$H")"
cat >"$T/job.yaml" <<Y
name: job
resources: {cpu: 0.1}
steps:
  make: {array: 4, shell: 'echo \${task}'}
  gate: {after: [make], where: {name: hub}, shell: 'touch $T/waits; until [ -e $T/go ]; do sleep 0.1; done'}
  here: {array: 4, after: [gate], where: {name: hub}, inputs: {x: {from: make}}, shell: cat x}
  there: {array: 4, after: [gate], where: {name: press}, inputs: {x: {from: make}}, shell: cat x}
  both: {array: 4, after: [make], verify: 2, shell: 'until [ -e $T/go ]; do sleep 0.1; done; echo \${task} | tee -a $T/ran'}
  worker: {array: 4, after: [gate], where: {name: hub}, inputs: {x: {from: make}}, worker: {command: [$BUILD/test/e2e/e2e-worker], function: sum}}
Y
chmod 755 "$T"
job=$("$OSIER" submit -q "$T/job.yaml")
soon test -e "$T/waits"
both_run() { [ "$("$OSIER" tasks "$job" --json | jq '[.tasks[] | select(.step == "both" and .state == "running")] | length')" = 4 ]; }
ok "tasks of all kinds wait" soon both_run
# Whoever appends keeps his connection; all others lose theirs, and get no other.
pg_as "$PG_BIN/psql" -X -q -A -t -h "$PG_DIR/a.sock" -U osier -d template1 >"$T/psql" 2>&1 <<Q &
UPDATE pg_database SET datallowconn = false WHERE datname = 'postgres';
SELECT 'lost', pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'postgres' AND query NOT LIKE 'WITH fence%';
SELECT pg_sleep(6);
UPDATE pg_database SET datallowconn = true WHERE datname = 'postgres';
Q
soon grep -q lost "$T/psql"
touch "$T/go"
wait
is "the job comes to its end" "$(settle "$job")" succeeded
for s in here there worker both; do
	is "each task of '$s' has its input" "$("$OSIER" logs "$job/$s" --no-prefix | sort | tr '\n' ' ')" "0 1 2 3 "
done
is "and none was tried twice" "$("$OSIER" job "$job" --json | jq '[.steps[].counts.failed] | add')" 0
is "nor was what two have answered asked for again" "$(sort "$T/ran" | tr '\n' ' ')" "0 0 1 1 2 2 3 3 "
exit $bad
