#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# killed_engine_disturbs_no_task - tasks that run for seconds go through the deaths of several engines: the same process begins
# and ends, once, with its own standard output, and a job submitted between two deaths is there. SEED=N repeats the moments.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
SEED=${SEED:-$(($(date +%N | sed 's/^0*//') % 32768))} KILLS=${KILLS:-12}
RANDOM=$SEED
echo "# SEED=$SEED KILLS=$KILLS $0"

cat >"$T/long.yaml" <<X
name: long
command: 'echo begin \${task} \$\$ \$PPID >>$T/runs; for i in 1 2 3 4 5; do echo line \$i of \${task}; sleep 0.3; done; echo end \${task} \$\$ \$PPID >>$T/runs'
array: 24
resources: {cpu: 0.25}
X
printf 'name: small\ncommand: echo small ${task}\narray: 3\nresources: {cpu: 0.05}\n' >"$T/small.yaml"
ok "a node is up" up
keeper=$(keeper_pid)
is "and takes the job" "$("$OSIER" submit -q "$T/long.yaml" 2>&1)" long-1

# Submit as a careful client does: the same key until there is an answer.
submit_small() {
	local i
	for i in $(seq 200); do
		timeout "$LIMIT" "$OSIER" submit -q --key "small-$1" "$T/small.yaml" >/dev/null 2>&1 && return 0
		sleep 0.05
	done
	return 1
}
dead=0 lost=0
for i in $(seq "$KILLS"); do
	sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
	submit_small "$i" &
	client=$!
	sleep "0.00$((RANDOM % 10))"
	pid=$(engine_pid) && kill -9 "$pid" 2>/dev/null && dead=$((dead + 1))
	wait $client || lost=$((lost + 1))
done
ok "at least half of the shots hit an engine ($dead)" test "$dead" -ge $((KILLS / 2))
is "every client got its answer in the end" $lost 0
is "the keeper is the same all the time" "$(keeper_pid)" "$keeper"
is "the job succeeds" "$(settle 1)" succeeded

is "every task began once" "$(grep -c begin "$T/runs") $(grep begin "$T/runs" | cut -d' ' -f2 | sort -un | wc -l)" "24 24"
is "and the process that began is the one that ended, below the keeper" \
	"$(grep end "$T/runs" | cut -d' ' -f2- | sort)" "$(grep begin "$T/runs" | cut -d' ' -f2- | sort)"
is "all below the same keeper" "$(cut -d' ' -f4 "$T/runs" | sort -u)" "$keeper"
is "no task had a second attempt" "$("$OSIER" tasks 1 --all --json | jq -c '[.tasks[].attempts] | unique')" "[1]"
for t in 0 11 23; do
	is "task $t has all it printed" "$("$OSIER" logs "1/$t" --no-prefix)" "$(for i in 1 2 3 4 5; do echo "line $i of $t"; done)"
done
jobs=$("$OSIER" jobs --json --all 2>/dev/null | jq '[.jobs[] | select(.name == "small")] | length')
is "each acknowledged submission is there, none twice" "$jobs" "$KILLS"
for j in $("$OSIER" jobs --json --all | jq -r '.jobs[] | select(.name == "small") | .job'); do settle "$j"; done | sort | uniq -c >"$T/small"
like "and every one succeeds" "$(cat "$T/small")" "^ *$KILLS succeeded$"
entries >"$T/entries"
ok "the journal has each success once" python3 test/e2e/ledger.py 1 main=24 <"$T/entries"
digest=$("$OSIER" replay --json | jq -r .digest)
ok "the node goes down" "$OSIER" down
is "state folded again from the journal is the same" "$("$OSIER" replay --json | jq -r .digest)" "$digest"
exit $bad
