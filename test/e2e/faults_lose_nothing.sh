#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# faults_lose_nothing - writes and syncs of the journal and of blobs fail under load, once or for a while, at many counts: the
# engine says why and starts again, no running task notices, and whatever was acknowledged is there and runs once. Snapshot files
# and every single count are in test/unit/test_journal_faults.c.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
FAULTS=${FAULTS:-wal_write:1:EIO wal_write:15:EIO wal_write:17:EROFS wal_sync:2:EIO db_write:1:EIO
	wal_write:6:ENOSPC:2 blob_write:1:EIO blob_sync:1:ENOSPC}
mkdir "$T/log"
export OSIER_FAULT=@$T/fault
ok "a node is up" up
keeper=$(keeper_pid)

cat >"$T/load.yaml" <<X
name: load
command: "echo \${job} \${task} >>$T/log/runs; head -c 100000 /dev/zero | tr '\\\\0' x; sleep 0.05"
array: 6
resources: {cpu: 0.25}
retries: {max: 0}
X
# One fault: the next engine gets it. Three jobs are submitted meanwhile.
: >"$T/acked"
lay() {
	local id
	echo "$1" >"$T/fault"
	kill -9 "$(engine_pid)" 2>/dev/null
	for _ in 1 2 3; do
		id=$(timeout 20 "$OSIER" submit -q "$T/load.yaml" 2>>"$T/refusals") && echo "$id" >>"$T/acked"
	done
	sleep 1 # an engine that lived so long may die at once without waiting for its next start
	[ ! -e "$T/fault" ] || { echo "no engine took the fault $1"; return 1; }
}
for f in $FAULTS; do ok "$f is laid" lay "$f"; done

acked=$(wc -l <"$T/acked")
ok "most submits were acknowledged all the same ($acked)" test "$acked" -ge 12
lost() { for id in $(cat "$T/acked"); do [ "$(settle "$id" 40)" = succeeded ] || echo "$id is $(state "$id")"; done; }
is "every acknowledged job is there and succeeds" "$(lost)" ""
is "by the same keeper" "$(keeper_pid)" "$keeper"
is "no task of any ran twice" "$(sort "$T/log/runs" | uniq -d)" ""
ran() { for id in $(cat "$T/acked"); do seq -f "${id#load-} %g" 0 5; done | sort; }
is "and every task of the acknowledged ran" "$(ran | comm -23 - <(sort "$T/log/runs"))" ""
like "the engine says why it stops" "$(cat "$OSIER_STATE/node.log")" 'the journal failed, the engine stops: cannot write the journal: .*Input/output error'
is "it never crashes" "$(grep -E 'signal (4|5|6|7|8|11)|Sanitizer' "$OSIER_STATE/node.log")" ""
bytes() { api "/v1/jobs/$(head -n 1 "$T/acked")/tasks/main/$1/output/stdout" | wc -c; }
is "outputs are whole" "$(bytes 0) $(bytes 5)" "100000 100000"
entries >"$T/entries" || echo "not ok - the entries can be read"
is "the journal has each result once" "$(jq -r 'select(.results) | .results | "\(.lease) \(.first)"' "$T/entries" | sort | uniq -d)" ""

# ---- an engine that cannot start for a while, after it was well ----
cat >"$T/long.yaml" <<X
name: long
command: "echo run >>$T/log/long; while [ ! -e $T/go ]; do sleep 0.05; done"
X
long=$("$OSIER" submit -q "$T/long.yaml")
for _ in $(seq 200); do [ -s "$T/log/long" ] && break; sleep 0.05; done
exec 8>>"$OSIER_STATE/lock"
take() { for _ in $(seq 50); do kill -9 "$(engine_pid)"; flock -w 0.01 8 && return; done; return 1; }
ok "the lock is somebody else's for a while" take
cannot() { grep -c 'exit code 78' "$OSIER_STATE/node.log"; }
for _ in $(seq 100); do [ "$(cannot)" -ge 3 ] && break; sleep 0.1; done
ok "the engine is tried again and again" test "$(cannot)" -ge 3
flock -u 8
touch "$T/go"
is "then it comes back, and the task has noticed nothing" "$(settle "$long" 60) $(wc -l <"$T/log/long")" "succeeded 1"
is "the keeper stayed" "$(keeper_pid)" "$keeper"
digest=$("$OSIER" replay --json | jq -r .digest)
ok "down" "$OSIER" down
is "state folded again from the journal is the same" "$("$OSIER" replay --json | jq -r .digest)" "$digest"
ok "up" up
works "the node works afterwards"

# ---- an engine that never comes back ----
rm -f "$T/go"
"$OSIER" submit -q "$T/long.yaml" >"$T/id"
for _ in $(seq 200); do [ "$(wc -l <"$T/log/long")" -ge 2 ] && break; sleep 0.05; done
exec 8>>"$OSIER_STATE/lock"
ok "the lock is somebody else's for good" take
told "down ends the keeper" 0 'osier is down' "$OSIER" down
ok "which is gone" flock -n "$OSIER_STATE/keeper.lock" true
is "with the task" "$(pgrep -f "$T/go" | wc -l)" 0
flock -u 8
ok "up when the lock is free" up
touch "$T/go"
is "what was stopped runs again" "$(settle "$(cat "$T/id")" 60)" succeeded
exit $bad
