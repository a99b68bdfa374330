#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_hostile - a node with a certificate of its own sends garbage, others' numbers, and as much as it can, as frames and as files, and reaches for
# what is others': the hub keeps its size, its disk and its journal, says what happened, and other nodes work on. FLOOD_MIB: how much, each way
# (default 256; `make soak` sends ten gigabytes). Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
# Memory is measured: a sanitizer is not to keep what was freed.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=1"
HUB=$TMP/hub A=$TMP/a B=$TMP/b EVIL=$TMP/evil MIB=${FLOOD_MIB:-256}
machines "$HUB" "$A" "$B"
chmod 755 "$TMP"
printf 'name: plant\ncapacity: {cpu: 0.001}\n' >"$HUB/config.yaml"
printf 'name: good\ncapacity: {cpu: 2}\n' >"$A/config.yaml"
printf 'name: evil\ncapacity: {cpu: 1}\n' >"$B/config.yaml"
export OSIER_STATE=$HUB
evil() { timeout $((120 + MIB / 4)) python3 test/e2e/hub_hostile.py "$BPORT" "$EVIL" evil "$@" >"$TMP/out" 2>"$TMP/err" || { cat "$TMP/err"; return 1; }; }
size() { api "$HUB" /v1/journal/head | jq .size; }
# The process's memory that is its own, in kB.
own() { awk '/^RssAnon/ {print $2}' "/proc/$1/status"; }
engine() { osier --state "$1" version --json | jq .node.pid; }
broker() { cut -d' ' -f1 "$HUB/hub/mosquitto.pid"; }
# A job on the good node, begun to end.
works() {
	printf 'name: work\narray: 20\nresources: {cpu: 0.5}\nwhere: {name: good}\nshell: echo ${task} on ${node}\n' >"$TMP/work.yaml"
	exits 0 osier submit --watch "$TMP/work.yaml" && says "19 on good"
}

fact "a hub" hub_begins
fact "a node" exits 0 osier --state "$A" join "$(line)"
fact "another one" exits 0 osier --state "$B" join "$(line)"
fact "are up" soon eval 'state_is good up && state_is evil up'
fact "and work" works
[ "$bad" = 0 ] || { echo "1..$tests"; exit 1; }
KEY=$(api "$HUB" /v1/hub | jq -r '.nodes[] | select(.name == "evil").key')
JOURNAL=$(osier --state "$B" replay --entries --from 0 --limit 1 --json | jq -r '.entries[0].leaf')
osier --state "$B" down >/dev/null
cp -r "$B/parent" "$EVIL"
fact "it is missed" soon state_is evil disconnected
printf "name: long\nresources: {cpu: 0.1}\nwhere: {name: good}\nretries: 0\nshell: 'while ! [ -e %s/go ]; do sleep 0.2; done; echo mine'\n" "$TMP" >"$TMP/long.yaml"
exits 0 osier submit -q "$TMP/long.yaml"
LONG=$(cat "$TMP/out")
lease() { api "$HUB" "/v1/jobs/$LONG/tasks/main/0" | jq -r '.live.lease // .live.attempt'; }
runs() { [ "$(api "$HUB" "/v1/jobs/$LONG/tasks/main/0" | jq -r .live.node)" = good ]; }
fact "the good one has a task that takes its time" soon runs

# ---- what is others' ----
before=$(size)
fact "who reaches for others' topics" evil others good
fact "hears nothing" says "heard nothing"
fact "and nobody hears it" below "$(size)" $((before + 20))
fact "least of all the other node" eval 'state_is good up && runs'

# ---- garbage ----
fact "twenty thousand frames that are none" evil garbage 20000
fact "are no entries" below "$(size)" $((before + 20))
fact "and the other one works on" works

# ---- others' numbers ----
fact "results and ends of another node's leases" evil numbers "$KEY" "$JOURNAL" $(seq 1 40)
fact "are nothing to the hub" runs
fact "nor are they to the node that has them" works
fact "what it was said is in the log" grep -q "the node 'evil' is refused" "$HUB/node.log"

# ---- without end ----
before=$(size)
fact "three thousand sessions with another offer each" evil forget "$KEY" "$JOURNAL" 3000
fact "are a few entries" below "$(size)" $((before + 300))
hub_kb=$(own "$(engine "$HUB")") broker_kb=$(own "$(broker)")
evil flood "$MIB" &
flood=$!
n=0
while kill -0 $flood 2>/dev/null && [ $n -lt 3 ]; do fact "while it sends $MIB MiB the other works" works; n=$((n + 1)); done
wait $flood
fact "it sent them" so "$?" 0
echo "# the hub took $(($(own "$(engine "$HUB")") - hub_kb)) kB more, its broker $(($(own "$(broker)") - broker_kb)) kB"
fact "the hub has not grown by a sixteenth of it, nor ever much" below $(($(own "$(engine "$HUB")") - hub_kb)) $((MIB < 1024 ? MIB * 64 : 65536))
fact "nor its broker by a third, or by more than it may keep" below $(($(own "$(broker)") - broker_kb)) $((MIB < 1024 ? MIB * 340 : 270000))
fact "and the other one works on" works
touch "$TMP/go"
fact "what it had begun comes to its end" exits 0 osier wait "$LONG"
fact "with its own result" eval 'osier logs "$LONG" | grep -q mine'

# ---- files ----
# As the good one, what the hub has not: how long that takes, in ms.
asks() {
	local began
	began=$(date +%s%N)
	so "$(curl -s -m 20 -o /dev/null -w '%{http_code}' --cacert "$HUB/hub/ca.crt" --cert "$A/parent/client.crt" --key "$A/parent/client.key" "https://127.0.0.1:$PORT/v1/blobs/$(printf none | sha256sum | cut -d' ' -f1)")" 404 || return 1
	took=$((($(date +%s%N) - began) / 1000000))
}
# Of every such line of the attack: so many bytes were taken at the most.
taken() { awk -v what="$1: " -v most="$2" 'index($0, what) == 1 { n++; bad += $(NF - 2) >= most } END { exit !(n == 1 && !bad) }' "$TMP/uploads" || { cat "$TMP/uploads"; return 1; }; }
hub_kb=$(own "$(engine "$HUB")") most_kb=0 most_mib=0 slowest=0 n=0
timeout $((120 + MIB / 4)) python3 test/e2e/hub_hostile.py "$BPORT" "$EVIL" evil uploads "$PORT" "$MIB" >"$TMP/uploads" 2>&1 &
flood=$!
while kill -0 $flood 2>/dev/null; do
	kb=$(own "$(engine "$HUB")") mib=$(du -smc "$HUB/incoming" "$HUB/blobs" 2>/dev/null | awk 'END { print $1 }')
	[ "$kb" -gt "$most_kb" ] && most_kb=$kb
	[ "$mib" -gt "$most_mib" ] && most_mib=$mib
	asks || { fact "who asks meanwhile is answered" false; break; }
	[ "$took" -gt "$slowest" ] && slowest=$took
	[ $n -lt 2 ] && fact "while it sends $MIB MiB of files the other works" works
	n=$((n + 1))
	sleep 0.2
done
wait $flood
fact "it sent them" so "$?" 0
echo "# the hub took $((most_kb - hub_kb)) kB more and $most_mib MiB of disk; its slowest answer to the other took $slowest ms"
sed -n 's/^sent/# sent/p' "$TMP/uploads"
fact "sizes that cannot be are refused" so "$(grep -c '^size .*: 4[0-9][0-9]$' "$TMP/uploads")/$(grep -c '^size' "$TMP/uploads")" 8/8
for what in more ranged endless "endless me" "endless join"; do fact "$what: is cut off" taken "$what" $((24 << 20)); done
fact "of a hundred that are begun, those that one node may" grep -qx 'begun: 16 of 100' "$TMP/uploads"
fact "no more than those is on the disk" below "$most_mib" $((18 * 32))
fact "nor is their memory the hub's" below $((most_kb - hub_kb)) 32768
fact "the other never waited long" below "$slowest" 10000
fact "nothing came of them" so "$(find "$HUB/blobs" -type f -size +900k | wc -l)" 0

# ---- shut out ----
fact "it is shut out" exits 0 osier hub revoke evil --reason 'it means ill'
fact "and is not let in any more" eval '! evil flood 1'
fact "the rest is as it was" works
echo "1..$tests"
