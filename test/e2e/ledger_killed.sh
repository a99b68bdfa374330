#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ledger_killed - a node whose engine dies again and again while it publishes: all heads that anybody has seen are of one log. Prints TAP.
# RUNS=N engines die; SEED=N the same as another time.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.bash
SEED=${SEED:-$(($(date +%N | sed 's/^0*//') % 32768))} RUNS=${RUNS:-25}
RANDOM=$SEED
echo "# SEED=$SEED RUNS=$RUNS $0"
HERE=$PWD/test/e2e
cd "$TMP" || exit 1

printf 'name: some\nshell: echo ${task}\narray: 4\nresources: {cpu: 0.5}\n' >some.yaml
export ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}" OSIER_KILLS=1 OSIER_KILLED=$TMP/killed OSIER_KILL_AT
python3 "$HERE/ledger_killed.py" watch "$OSIER_STATE/api.sock" "$TMP/heads" &
watcher=$!
died=0
# Publish, and write down the head that the node shows then: below the empty line is its note.
show() {
	exits 0 osier ledger publish && exits 0 osier ledger head && sed '1,/^$/d' out | jq -Rs . >>shown
}
life() {
	rm -f killed
	OSIER_KILL_AT=$1
	exits 0 env LD_PRELOAD="$BUILD/test/e2e/libkill-at.so" osier up || return 1
	show || return 1
	exits 0 osier submit -q some.yaml && exits 0 osier wait last || return 1
	show || return 1
	[ ! -s killed ] || died=$((died + 1))
	exits 0 osier down
}
for _ in $(seq "$RUNS"); do
	n=$((RANDOM % 90 + 1)) # it makes about a hundred
	fact "its engine dies after call $n" life "$n"
done
fact "most were there to die" test "$died" -gt $((RUNS / 2))
kill $watcher
wait $watcher
entries() {
	local from=0
	: >leaves
	while osier replay --entries --from "$from" --limit 1000 --json >page && jq -r '.entries[].leaf' page >more && [ -s more ]; do
		cat more >>leaves
		from=$((from + $(wc -l <more)))
	done
	echo "$from entries"
	[ "$from" -gt $((RUNS * 5)) ]
}
fact "the entries can be read" entries
osier ledger policy >policy 2>/dev/null || { OSIER_KILL_AT=0 exits 0 osier up; osier ledger policy >policy; }
vkey=$(awk '$1 == "log" {print $2}' policy)
# A node that has started, and one that has run a job, has new entries: two heads a life, each larger than the one before.
many() { [ "$(jq -r . shown | grep -cE '^[0-9]+$')" = "$(jq -r . shown | grep -E '^[0-9]+$' | uniq | wc -l)" ] && [ "$(wc -l <shown)" = $((2 * RUNS)) ]; }
fact "every life showed two new heads" many
fact "they are of this one log" python3 "$HERE/ledger_killed.py" check shown leaves "$vkey"
fact "many more were seen by who looked all the time" test "$(wc -l <heads)" -gt "$RUNS"
fact "all of them are of it, too" python3 "$HERE/ledger_killed.py" check heads leaves "$vkey"
sed '3s/^.*$/0000000000000000000000000000000000000000000000000000000000000000/' leaves >others
fact "and not of another" eval 'python3 "$HERE/ledger_killed.py" check heads others "$vkey" 2>&1 | grep -q "is not of these entries"'
echo "1..$tests"
