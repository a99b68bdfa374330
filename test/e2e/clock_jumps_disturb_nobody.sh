#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clock_jumps_disturb_nobody - the wall clock of a running node is set back by days, forward by hours, and back again, also while no
# engine runs: timeouts and retries take their time, nothing is killed early, nothing hangs, and the journal's times never go back.
# libfaketime stands between the engine and the wall clock (not the monotonic ones); the keeper, static, has none to ask.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
fake=$(ls /usr/lib/*/faketime/libfaketime.so.1 2>/dev/null | head -n 1)
set_clock() { printf '%s\n' "$1" >"$T/clock.new" && mv "$T/clock.new" "$T/clock"; }
set_clock +0
faked=(env LD_PRELOAD="$fake" FAKETIME_TIMESTAMP_FILE="$T/clock" FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_RESET=1)
if [ -z "$fake" ] || grep -q __asan_ "$OSIER" || ! timeout 10 "${faked[@]}" "$OSIER" version 2>&1 | grep -q "^osier"; then
	echo "ok - a clock that jumps # SKIP libfaketime is not there, or does not go with this build"
	exit 0
fi
up_faked() { timeout "$LIMIT" "${faked[@]}" "$OSIER" up >"$T/up" 2>&1 || { cat "$T/up"; return 1; }; }
now() { date +%s%N; }
# The time between two marks of a file, in ms.
between() { echo $((($(sed -n "$2p" "$1") - $(sed -n "$3p" "$1")) / -1000000)); }

ok "a node is up" up_faked
cat >"$T/jobs.json" <<X
{"jobs": [
 {"name": "long", "command": "sleep 1000", "timeouts": {"run": "4s"}, "grace": "100ms", "resources": {"cpu": 0.1}},
 {"name": "short", "command": "sleep 3; echo done", "timeouts": {"run": "40s", "queue": "60s"}, "resources": {"cpu": 0.1}},
 {"name": "again", "command": "date +%s%N >>$T/again; exit 1", "retries": {"max": 3, "backoff": "1s", "backoff_max": "1s", "jitter": "0%"}, "resources": {"cpu": 0.1}},
 {"name": "later", "command": "date +%s%N >>$T/later", "not_before": "$(date -u -d '+4 seconds' +%Y-%m-%dT%H:%M:%SZ)", "resources": {"cpu": 0.1}}
]}
X
began=$(now)
is "jobs are taken" "$(api /v1/jobs -d @"$T/jobs.json" | jq -c '[.jobs[].id]')" '["long-1","short-2","again-3","later-4"]'
for _ in $(seq 100); do [ -s "$T/again" ] && break; sleep 0.05; done

set_clock -10d
is "set back by ten days: what runs goes on" "$(settle short-2 40)" succeeded
is "a timeout comes" "$(settle long-1 40)" failed
took=$((($(now) - began) / 1000000))
ok "not early ($took ms)" test "$took" -ge 4000
like "and is one" "$("$OSIER" job long-1 --json | jq -r '.state, .reason // empty' && "$OSIER" job long-1/0 --json | jq -r '.attempts[0].outcome')" timed_out
is "retries come" "$(settle again-3 40)" failed
is "all of them" "$(wc -l <"$T/again")" 4
gaps="$(between "$T/again" 1 2) $(between "$T/again" 2 3) $(between "$T/again" 3 4)"
ok "each after its back-off ($gaps ms)" sh -c 'for g in '"$gaps"'; do [ "$g" -ge 900 ] || exit 1; done'
is "what may not start before a time starts" "$(settle later-4 60)" succeeded
works "new work is taken"

kill -9 "$(engine_pid)"
works "an engine that starts while the clock is back works"
ok "down" "$OSIER" down
set_clock -40d
ok "up again, a month earlier" up_faked
works "work goes on"
id=$("$OSIER" submit -q "$T/works.yaml")
is "nothing hangs" "$(settle "$id" 30)" succeeded

# ---- forward ----
cat >"$T/f.json" <<X
{"name": "ahead", "command": "sleep 2; echo done", "array": 2, "timeouts": {"run": "600s"}, "resources": {"cpu": 0.1}}
X
id=$(api /v1/jobs -d @"$T/f.json" | jq -r .id)
for _ in $(seq 100); do [ "$("$OSIER" job "$id" --json | jq .counts.running)" = 2 ] && break; sleep 0.05; done
set_clock +3h
works "set forward by a month and three hours: work is taken"
is "nothing that runs is killed for it" "$(settle "$id" 40)" succeeded
is "in one attempt" "$("$OSIER" tasks "$id" --json --all | jq -c '[.tasks[].attempts]')" '[1,1]'
set_clock +0
works "and back again: likewise"
kill -9 "$(engine_pid)"
works "and after another start"

entries >"$T/entries" || echo "not ok - the entries can be read"
jq -r .time "$T/entries" >"$T/times"
ok "there are entries to look at" test "$(wc -l <"$T/times")" -ge 40
ok "the times of the journal never go back" sort -c "$T/times"
digest=$("$OSIER" replay --json | jq -r .digest)
ok "the node goes down" "$OSIER" down
is "state folded again from the journal is the same" "$("$OSIER" replay --json | jq -r .digest)" "$digest"
exit $bad
