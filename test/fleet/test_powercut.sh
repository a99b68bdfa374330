#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# test_powercut - the power goes again and again, and a disk that has only what was synced comes back: nothing that was acknowledged
# is lost, no task is committed twice, no signed head is taken back. Prints TAP. SEED=N the same as another time.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.bash
SEED=${SEED:-$(($(date +%N | sed 's/^0*//') % 32768))} ROUNDS=${ROUNDS:-8}
RANDOM=$SEED
echo "# SEED=$SEED ROUNDS=$ROUNDS $0"
cd "$TMP" || exit 1
printf 'name: some\nshell: echo ${task}\narray: 30\nresources: {cpu: 0.5}\n' >some.yaml
: >acked
watch=$OLDPWD/test/e2e/ledger_killed.py
export ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}" POWERCUT_DIR=$OSIER_STATE POWERCUT_SHADOW=$TMP/shadow
boot() { LD_PRELOAD=$BUILD/test/fleet/libpowercut.so exits 0 osier up; }
# Whoever asks writes down what was answered, and what the log's head was.
ask() {
	local n=0 job
	while :; do
		job=$(osier submit -q --key "$1-$n" some.yaml 2>/dev/null) || return 0
		echo "$1-$n $job" >>acked
		n=$((n + 1))
	done
}
life() {
	boot || return 1
	ask "$1" &
	asker=$!
	sleep "0.$((RANDOM % 9))"
	cut
	wait $asker
}
# All processes of the node die at once, and the disk is what it was synced to be.
cut() {
	local pid
	for _ in 1 2 3; do
		for pid in $(pgrep -f -- "$OSIER_STATE"); do
			[ "$pid" = $$ ] || [ "$pid" = $watcher ] || kill -9 "$pid" 2>/dev/null
		done
	done
	rm -rf "$OSIER_STATE"
	cp -a shadow "$OSIER_STATE"
}
python3 "$watch" watch "$OSIER_STATE/api.sock" "$TMP/heads" &
watcher=$!
for i in $(seq "$ROUNDS"); do
	fact "life $i, and the power goes" life "$i"
done
fact "it starts once more" boot
fact "many jobs were acknowledged" test "$(wc -l <acked)" -gt "$ROUNDS"
every() {
	local key job
	while read -r key job; do
		exits 0 osier submit -q --key "$key" some.yaml || return 1
		[ "$(cat out)" = "$job" ] || { echo "$key was $job, and is $(cat out)"; return 1; }
		exits 0 osier wait "$job" || return 1
		exits 0 osier tasks "$job" --json || return 1
		[ "$(jq '[.tasks[] | select(.outcome == "succeeded")] | length' out)" = 30 ] || { echo "$job:"; head -c 600 out; return 1; }
	done <acked
}
fact "each of them is there, under its key, with all its tasks" every
fact "the ledger is whole" exits 0 osier ledger audit
exits 0 osier ledger publish
sleep 0.1
kill $watcher
wait $watcher
exits 0 osier ledger policy && cp out policy
leaves() {
	local from=0
	: >leaves
	while osier replay --entries --from "$from" --limit 1000 --json >page && jq -r '.entries[].leaf' page >more && [ -s more ]; do
		cat more >>leaves
		from=$((from + $(wc -l <more)))
	done
	[ "$from" -gt $((ROUNDS * 5)) ]
}
fact "all its entries can be read" leaves
fact "every head that anybody saw is of this one log" python3 "$watch" check heads leaves "$(awk '$1 == "log" {print $2; exit}' policy)"
echo "1..$tests"
