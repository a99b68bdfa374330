#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_away - a node stops answering while it runs a task: what the hub says, what it does, and what it makes of the node's return. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
HUB=$TMP/hub A=$TMP/a
machines "$HUB" "$A"
printf 'name: plant\n' >"$HUB/config.yaml"
printf 'name: press-4\n' >"$A/config.yaml"
export OSIER_STATE=$HUB
ends() { [ -n "${ENGINE:-}" ] && kill -CONT "$ENGINE" 2>/dev/null; take_down; finish; }
task() { api "$HUB" "/v1/jobs/$1/tasks/main/0"; }
runs_on() { [ "$(task "$1" | jq -r .live.node)" = "$2" ]; }
why() { api "$HUB" "/v1/jobs/$1/tasks/main/0/why" | jq -r "$2"; }

hub_begins || exit 1
LINE=$(line)
fact "a node joins" exits 0 osier --state "$A" join "$LINE"
fact "and is up" soon state_is press-4 up
ENGINE=$(osier --state "$A" version --json | jq .node.pid)

cat >"$TMP/late.yaml" <<'Y'
command: echo "$0 $$"; sleep 3
disconnect: {lost_after: 3s}
Y
exits 0 osier node drain || exit 1
fact "a job goes to the node" exits 0 osier submit --quiet "$TMP/late.yaml"
fact "and runs there" soon runs_on 1 press-4
fact "its task says so" bash -c "osier tasks last | grep -q 'running.*press-4'"
exits 0 osier node resume
kill -STOP "$ENGINE"
fact "the hub notices that it says nothing" soon state_is press-4 disconnected
fact "why says so" bash -c '[[ $1 == disconnected ]]' _ "$(why 1 .reason)"
fact "in words" bash -c '[[ $1 == *"press-4, which has been out of reach for"*"it may start elsewhere"* ]]' _ "$(why 1 .sentence)"
fact "and since when" bash -c '[[ $1 == 20* ]]' _ "$(task 1 | jq -r .live.away_since)"
fact "nodes, too" bash -c "osier nodes | grep -q 'press-4 is disconnected, last heard [0-9.]* m\?s ago'"
fact "then it starts elsewhere" soon runs_on 1 plant
fact "and the other may come back" bash -c '[[ $1 == *"attempt 1 on press-4, which has been out of reach"* ]]' _ "$(why 1 .sentence)"
fact "the job ends" soon done_is 1
kill -CONT "$ENGINE"
fact "the node is back" soon state_is press-4 up
late() { [ "$(task 1 | jq -r '.late | length')" = 1 ]; }
fact "with a result that comes too late" soon late
fact "which is refused" bash -c '[[ $1 == *"late result of attempt 1 on press-4 refused: attempt 2 had committed"* ]]' _ "$(why 1 .sentence)"
fact "and changes nothing" bash -c '[ "$1" = 1 ]' _ "$(task 1 | jq '[.attempts[] | select(.outcome == "succeeded")] | length')"
fact "it stands in the history" bash -c "osier history 2>/dev/null | grep -q 'late, refused'"

# Who goes with a word is known to be gone, though a broker has no will of it.
fact "the node is taken down" exits 0 osier --state "$A" down
fact "the hub knows" soon state_is press-4 disconnected
fact "and its doctor" bash -c "osier doctor | grep -q '1 of 1 are away: press-4'"
fact "it is up again" exits 0 osier --state "$A" up
fact "the hub knows that, too" soon state_is press-4 up
fact "the node leaves its hub" exits 0 osier --state "$A" leave
fact "the hub knows at once" soon state_is press-4 disconnected
exits 0 osier --state "$A" join "$(line)" --name press-4 || exit 1
fact "it comes back" soon state_is press-4 up
hub_is() { [ "$(api "$A" /v1/nodes | jq -r .hub.state)" = "$1" ]; }

# Two processes on the node are without their hub. One of them is not to be for more than 2 s; the other goes on.
for job in halts stays; do
	cat >"$TMP/$job.yaml" <<-Y
		command: exec sleep $([ $job = halts ] && echo 301 || echo 302).$$
		resources: {cpu: 0.1}
		disconnect: {$([ $job = halts ] && echo 'stop_after: 2s, ')replace: never}
	Y
done
of() { pgrep -xf "sleep $([ "$1" = halts ] && echo 301 || echo 302)[.]$$"; }
gone() { ! of "$1"; }
exits 0 osier node drain || exit 1
for job in halts stays; do
	fact "a process that ${job} goes to the node" exits 0 osier submit --quiet "$TMP/$job.yaml"
	fact "and runs there" soon of $job
done
fact "as the hub hears" soon runs_on 2 press-4
STAYS=$(of stays)
fact "the hub is taken down" exits 0 osier down
fact "the node knows" soon hub_is away
fact "and stops by itself what was to stop" soon gone halts
fact "while nobody is there to ask for it" hub_is away
fact "and nothing else" of stays
fact "the hub is up again" exits 0 osier up
fact "what was stopped runs anew" soon of halts
fact "the other has gone on" bash -c '[ -n "$1" ] && [ "$1" = "$2" ]' _ "$STAYS" "$(of stays)"
fact "both are cancelled" exits 0 osier cancel 2 3
fact "and end" soon gone halts
fact "the one that had gone on, too" soon gone stays
fact "the hub is taken down" exits 0 osier down
fact "the node knows" soon hub_is away
