#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# killed_keeper_commits_once - engine and keeper are killed with -9 at random moments under load; the node is started again when
# its keeper died. Every task is committed exactly once all the same, with its own result. SEED=N repeats a run's moments.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
SEED=${SEED:-$(($(date +%N | sed 's/^0*//') % 32768))} KILLS=${KILLS:-14}
RANDOM=$SEED
echo "# SEED=$SEED KILLS=$KILLS $0"
mkdir "$T/log"

cat >"$T/load.yaml" <<X
name: load
steps:
  process:
    shell: 'echo start \${task} \${attempt} \$\$ >>$T/log/process; sleep 0.0\$((\${task} % 10)); echo end \${task} \${attempt} >>$T/log/process; echo result \${task}'
    array: 240
    resources: {cpu: 0.25}
  worker:
    worker: {command: [python3, $PWD/test/e2e/mark.py], function: mark, args: "$T/log/worker 5", batch: 8}
    array: 600
    resources: {cpu: 0.25}
  total:
    shell: 'cat inputs/* | sort -u | wc -l'
    reduce: process
X
ok "a node is up" up
is "and takes the job" "$("$OSIER" submit -q "$T/load.yaml" 2>&1)" load-1

killed=
for i in $(seq "$KILLS"); do
	sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
	case $(((i + SEED) % 3)) in
	0) victim=$(keeper_pid) ;;
	*) victim=$(engine_pid) || continue ;;
	esac
	kill -9 "$victim" 2>/dev/null && dead "$victim"
	if [ "$victim" = "$(keeper_pid)" ]; then
		killed="$killed keeper"
		up || { echo "not ok - the node starts again after its keeper died"; bad=1; break; }
	else
		killed="$killed engine"
	fi
done
echo "# killed:$killed; then $("$OSIER" job 1 --json 2>/dev/null | jq -c .counts.done) tasks were done"
like "both were killed" "$killed" 'keeper.*engine|engine.*keeper'
is "the job succeeds all the same" "$(settle 1 120)" succeeded

entries >"$T/entries" || echo "not ok - the entries can be read"
ok "the journal has every task's success exactly once" python3 test/e2e/ledger.py 1 process=240 worker=600 total=1 <"$T/entries"
results_of() { # STEP FILE: what its tasks printed is what the file says, in any order
	"$OSIER" logs "load-1/$1" --no-prefix | sort >"$T/got" && sort "$2" | diff - "$T/got" | head -n 20 >"$T/diff"
	cat "$T/diff" && [ -s "$T/got" ] && [ ! -s "$T/diff" ]
}
seq 0 239 | sed 's/^/result /' >"$T/process"
seq 0 7 4193 >"$T/worker"
ok "every process task's result is its own" results_of process "$T/process"
ok "every worker task's result is its own" results_of worker "$T/worker"
is "the reduction saw each once" "$("$OSIER" logs load-1/total --no-prefix)" 240
is "what a worker did of lost attempts was done again, nothing was left out" "$(sort -un "$T/log/worker" | wc -l)" 600
# An attempt runs at most once: its number is never used again, and two attempts of one task never end both unless the first
# was cut off before its result was durable.
is "no attempt was started twice" "$(grep start "$T/log/process" | cut -d' ' -f2,3 | sort | uniq -d)" ""
is "no process of a dead keeper is left" "$(pgrep -f "$T/log/process" | wc -l)" 0

digest=$("$OSIER" replay --json | jq -r .digest)
ok "the engine goes down" "$OSIER" down
is "state folded again from the journal is the same" "$("$OSIER" replay --json | jq -r .digest)" "$digest"
ok "and up" up
works "the node works afterwards"
exit $bad
