#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_store - what leases need stays in the store of a node and of its hub, however full and old it is; what nobody needs goes. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
HUB=$TMP/hub A=$TMP/a
machines "$HUB" "$A"
chmod 755 "$TMP"
printf 'name: plant\ncapacity: {cpu: 0.2}\n' >"$HUB/config.yaml"
printf 'name: press-4\ncapacity: {cpu: 2}\nblobs: {bytes: 20MiB}\nhistory: {age: 1s, bytes: 1GiB}\n' >"$A/config.yaml"
export OSIER_STATE=$HUB
hub_begins || exit 1
LINE=$(line)
exits 0 osier --state "$A" up || exit 1
exits 0 osier --state "$A" join "$LINE" || exit 1
fact "a node with a small store is up" soon state_is press-4 up
has() { local h; h=$(sha256sum <"$2" | cut -c1-64) && [ -f "$1/blobs/${h:0:2}/${h:2}" ]; }
age() { find "$1/blobs" -type f -exec touch -d "$2 hours ago" {} +; }
# A file of so many MiB, and a job with it: job NAME CPU MIB NODE SHELL
job() {
	head -c $(($3 << 20)) /dev/urandom >"$TMP/$1.bin"
	printf 'name: %s\nwhere: {name: %s}\nresources: {cpu: %s}\ninputs: {bin: %s}\nshell: "%s"\n' "$1" "$4" "$2" "$TMP/$1.bin" "$5" >"$TMP/$1.yaml"
}
state() { [ "$(api "$1" "/v1/jobs/$2" | jq -r .state)" = "$3" ]; }

# A job of the node's own keeps its place, so that one of the hub's two leases runs there and the other waits.
printf 'name: own\nresources: {cpu: 1}\nshell: "until [ -f %s/go ]; do sleep 0.1; done"\n' "$TMP" >"$TMP/own.yaml"
exits 0 osier --state "$A" submit --quiet "$TMP/own.yaml" || exit 1
soon state "$A" 1 running
job runs 0.5 2 press-4 "until [ -f $TMP/go ]; do sleep 0.1; done; sha256sum < bin"
job waits 1 2 press-4 "sha256sum < bin"
exits 0 osier submit --quiet "$TMP/runs.yaml" && exits 0 osier submit --quiet "$TMP/waits.yaml" || exit 1
both_there() { has "$A" "$TMP/runs.bin" && has "$A" "$TMP/waits.bin" && state "$A" 2 running && state "$A" 3 waiting; }
fact "a lease of the hub's runs there, another one waits, with their files" soon both_there
age "$A" 3
for i in 1 2 3; do
	job "own$i" 0.5 4 press-4 "wc -c < bin"
	exits 0 osier --state "$A" run --quiet "$TMP/own$i.yaml" || exit 1
done
find "$A/blobs" -type f -mmin -60 -exec touch -d "2 hours ago" {} +
full() { [ "$(find "$A/blobs" -type f -printf '%s\n' | paste -sd+ | bc)" -ge $((16 << 20)) ]; }
fact "files of jobs that are forgotten lie there as well" full
job more 0.5 8 press-4 "wc -c < bin"
exits 0 osier submit --quiet "$TMP/more.yaml" || exit 1
fact "a file for which there is no room finds some soon" timeout 60 osier wait 3
went() { local n=0 i; for i in 1 2 3; do has "$A" "$TMP/own$i.bin" || n=$((n + 1)); done; [ $n -ge 2 ]; }
fact "because what nobody needs went" went
needed() { has "$A" "$TMP/runs.bin" && has "$A" "$TMP/waits.bin"; }
fact "and what leases need did not, which was older" needed
exits 0 osier --state "$A" down --engine-only
age "$A" 3
for i in 4 5; do
	job "own$i" 0.5 8 press-4 "wc -c < bin"
	fact "likewise after the node's engine began anew ($i)" soon timeout 60 osier --state "$A" run --quiet "$TMP/own$i.yaml"
	find "$A/blobs" -type f -mmin -60 -exec touch -d "2 hours ago" {} +
done
fact "what leases need is there still" needed
touch "$TMP/go"
fact "so the one that ran ends well" exits 0 osier wait 1
fact "and the one that waited" exits 0 osier wait 2
sums() { [ "$(osier logs "$1/main" | cut -c1-64)" = "$(sha256sum <"$TMP/$2.bin" | cut -c1-64)" ]; }
fact "with the right bytes" sums 1 runs
fact "both of them" sums 2 waits

# At the hub: small outputs of many tasks, made one file for one task on the node.
rm -f "$TMP/go" && : >"$TMP/read" && chmod 666 "$TMP/read"
cat >"$TMP/pack.yaml" <<Y
name: pack
where: {name: press-4}
steps:
  make: {array: 100, resources: {cpu: 0.5}, shell: 'head -c 1000 /dev/zero | tr "\\\\0" x'}
  all: {reduce: make, resources: {cpu: 0.5}, shell: 'cat \$OSIER_INPUTS | wc -c >$TMP/read; until [ -f $TMP/go ]; do sleep 0.1; done'}
Y
exits 0 osier submit --quiet "$TMP/pack.yaml" || { cat "$TMP/err"; exit 1; }
pack() { find "$HUB/blobs" -type f -size 100000c | grep -q .; }
fact "outputs of a hundred tasks go to the node as one file" soon pack
at_work() { grep -q 100000 "$TMP/read"; }
fact "from which the task reads" soon at_work
# What came to the node went there as the hub had it: the hub's own copy is what is looked at from here on.
printf 'name: plant\ncapacity: {cpu: 0.2}\nblobs: {age: 1h}\nhistory: {age: 1s, bytes: 1GiB}\n' >"$HUB/config.yaml"
sweep_at_hub() { # an engine that has just begun sweeps as soon as it has forgotten a job
	job "$1" 0.1 1 plant "wc -c < bin"
	exits 0 osier submit --quiet "$TMP/$1.yaml" || return 1
	timeout 60 osier wait last >/dev/null 2>&1
	age "$HUB" 2
	osier down --engine-only >/dev/null 2>&1
	soon state_is press-4 up
}
fact "the hub's engine begins anew, with old files" sweep_at_hub junk1
gone() { ! has "$HUB" "$TMP/$1.bin"; }
fact "and sweeps what nobody needs" soon gone junk1
fact "but not what a lease needs, whose node may be away" pack
touch "$TMP/go"
fact "the task ends well" exits 0 osier wait 4
over() { [ "$(api "$HUB" /v1/jobs/4 -o /dev/null -w '%{http_code}')" = 404 ]; }
soon over
fact "the hub's engine begins anew, with old files" sweep_at_hub junk2
fact "and sweeps what nobody needs" soon gone junk2
no_pack() { ! pack; }
fact "and now what no lease needs any more" no_pack
fact "of which nothing is left" [ -z "$(ls "$HUB/packs")" ]
echo "1..$tests"
