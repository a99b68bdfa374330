#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# record_silent - the record's PostgreSQL does not say a word for a while, and hangs up on nobody: who reads at the hub is told so, after some
# seconds once and then at once, since the hub has other things to do; it answers what it knows. When the record is back, all goes on.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.sh && . test/hub.sh && . test/node.sh
PG_DIR=$T/pg
. test/postgres.sh
H=$T/h
mkdir -p "$H"
printf 'name: hub\ncapacity: {cpu: 2}\n' >"$H/config.yaml"
at_end() { pg_go a; OSIER_STATE=$H timeout 30 "$OSIER" down >/dev/null 2>&1; pg_end; }
ok "PostgreSQL starts" pg_up a
OSIER_STATE=$H
told "a hub begins, its journal in PostgreSQL" 0 "osier join" "$OSIER" hub --record "$(pg_url a)" --address 127.0.0.1 --listen 127.0.0.1 --port "$(free_port)" --broker-port "$(free_port)"
echo 'command: echo words' >"$T/job.yaml"
is "a job is run" "$("$OSIER" run -q "$T/job.yaml")" words
size() { curl -s -m 2 --unix-socket "$H/api.sock" http://osier/v1/metrics | sed -n 's/^osier_journal_bytes //p'; }
cat >"$T/two.yaml" <<Y
name: two
resources: {cpu: 0.1}
steps:
  first: {shell: echo first}
  second: {after: [first], shell: 'touch $T/waits; until [ -e $T/go ]; do sleep 0.1; done; echo second'}
Y
chmod 755 "$T"
two=$("$OSIER" submit -q "$T/two.yaml")
ok "another one runs" soon test -e "$T/waits"
# What is to be written on the way is written: a second and more goes by without a change.
OSIER_STATE=$H api /v1/ledger/publish -X POST >/dev/null
until was=$(size) && sleep 3 && [ "$was" = "$(size)" ]; do :; done
ok "its size is known" [ "${was:-0}" -gt 500 ]
pg_pause a
took() { # NAME CODE REGEX COMMAND...: as told; and how long it took, in ms
	local t
	t=$(date +%s%N)
	told "$@"
	took=$((($(date +%s%N) - t) / 1000000))
}
took "who reads is told that the record is silent" 3 'the record at postgres:///postgres (has not answered|cannot be reached)' "$OSIER" logs job-1
echo "# after $took ms"
ok "in half a minute" [ "$took" -lt 30000 ]
first=$took
# For the next ten seconds.
took "the next one at once" 3 'it is asked again in' "$OSIER" logs job-1
ok "in a third of the time" [ $((3 * took)) -lt "$first" ]
took "also for one output" 3 'it is asked again in' "$OSIER" logs job-1/0 --stream stdout
ok "in a third of the time, too" [ $((3 * took)) -lt "$first" ]
told "and for what became of a task" 3 'it is asked again in' "$OSIER" job job-1/0
told "what is known is told" 0 'hub +up' "$OSIER" nodes
is "also its size" "$(size)" "$was"
"$OSIER" logs -f "$two" --no-prefix >"$T/followed" 2>&1 &
follower=$!
sleep 3 # the follower asks each second, and nobody answers
is "who follows is not told, and waits" "$(kill -0 $follower && cat "$T/followed")" ""
touch "$T/go"
pg_go a
reads() { [ "$("$OSIER" logs job-1 --no-prefix 2>/dev/null)" = words ]; }
ok "when the record is back, it is read" soon reads
wait $follower
is "who followed has it all" "$? $(tr '\n' ' ' <"$T/followed")" "0 first second "
is "and written" "$(timeout 60 "$OSIER" run -q "$T/job.yaml")" words
ok "its size has grown" [ "$(size)" -gt "$was" ]
exit $bad
