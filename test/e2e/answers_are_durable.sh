#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# answers_are_durable - the engine is killed with -9 as soon as it has answered a submit: the job is there. One client alone is
# answered in the turn of the loop that reads its request, several share a commit; both ways are gone here. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
ROUNDS=${ROUNDS:-6}
JOB='{"name": "kept", "hold": true, "command": ["true"]}'

submit() { api /v1/jobs -H 'Content-Type: application/json' -d "$JOB" | jq -r '.job // empty'; }
# The job, once an engine answers again.
there() {
	local i got
	for i in $(seq 600); do
		got=$(api "/v1/jobs/$1" 2>/dev/null | jq -r '.id // .error.code' 2>/dev/null)
		[ -n "$got" ] && break
		sleep 0.05
	done
	echo "$got"
}
# A new engine, not the one that is dying.
other() {
	local i
	for i in $(seq 600); do
		engine=$(engine_pid) && [ "$engine" != "$1" ] && return 0
		sleep 0.05
	done
	return 1
}
killed() { # NAME: submit, kill, look, ROUNDS times
	local i number lost=0 odd=0
	for i in $(seq "$ROUNDS"); do
		number=$(submit)
		kill -9 "$engine"
		[ -n "$number" ] || odd=$((odd + 1))
		other "$engine" || odd=$((odd + 1))
		[ "$(there "$number")" = "kept-$number" ] || lost=$((lost + 1))
	done
	is "$1" "$lost lost, $odd odd" "0 lost, 0 odd"
}

ok "a node is up" up
engine=$(engine_pid)
killed "a client that is alone has its job after the engine's death"
many() { # several at once: all have an answer, all are there after a death
	local i n=8 pids=() missing=0 number
	for i in $(seq $n); do
		submit >"$T/number.$i" &
		pids+=($!)
	done
	wait "${pids[@]}"
	kill -9 "$engine"
	other "$engine" || return 1
	for i in $(seq $n); do
		number=$(cat "$T/number.$i")
		[ -n "$number" ] && [ "$(there "$number")" = "kept-$number" ] || missing=$((missing + 1))
	done
	[ $missing = 0 ] || { echo "$missing of $n are missing"; return 1; }
}
ok "clients beside each other have theirs" many
ok "again" many
is "numbers have no holes" "$(api '/v1/jobs?limit=1' | jq -r '.jobs[0].job')" $((ROUNDS + 16))
ok "the node goes down" "$OSIER" down
exit $bad
