#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# job_restart - jobs that outlast their node: down and up again, the engine killed, with processes and with workers. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
WORKER=$BUILD/test/e2e/e2e-worker
ok "a node is up" up
chmod 777 "$T"

job() { cat >"$T/$1.yaml"; }
submit() { "$OSIER" submit "$T/$1.yaml" --json "${@:2}" | jq -r .id; }
until_is() { # WANTED COMMAND...: at most 30 s
	local want=$1 end=$((SECONDS + 30)) got
	shift
	while [ $SECONDS -lt $end ]; do
		got=$("$@" 2>/dev/null)
		[ "$got" = "$want" ] && return 0
		sleep 0.05
	done
	echo "still '$got', not '$want': $*"
	return 1
}
succeeded() { "$OSIER" job "$1" --json | jq .counts.succeeded; }

job long <<'X'
name: long
steps:
  map: {shell: "echo ${index} >>${dir}/ran; [ ${index} -lt 6 ] || while [ ! -e ${dir}/go ]; do sleep 0.05; done; echo ${index}", array: 12, resources: {cpu: 0.1}, grace: 500ms}
  sum: {shell: "cat $OSIER_INPUTS | awk '{n += $1} END {print n}'", reduce: map}
parameters: {dir: /nowhere}
X
id=$(submit long -p "dir=$T")
ok "half of it is done" until_is 6 succeeded "$id"
ok "the node goes down while it runs" "$OSIER" down
ok "nothing runs on" sh -c "! pgrep -f '$T/[g]o'"
like "it can be asked about meanwhile" "$("$OSIER" job "$id")" '6 succeeded'
ok "the node comes up" up
touch "$T/go"
is "the job ends as if nothing had been" "$(settle "$id"; "$OSIER" logs "$id/sum" --no-prefix)" $'succeeded\n66'
is "what had succeeded did not run again" "$(sort -n "$T/ran" | awk '$1 < 6' | wc -l)" 6

job quiet <<'X'
name: quiet
shell: echo began >>${dir}/quiet; while [ ! -e ${dir}/quiet.go ]; do sleep 0.05; done; echo done
parameters: {dir: /nowhere}
X
id=$(submit quiet -p "dir=$T")
ok "a task runs" until_is began cat "$T/quiet"
old=$(engine_pid)
kill -9 "$old"
ok "the engine that was killed is there again" until_is 0 sh -c "'$OSIER' version >/dev/null; echo \$?"
like "the task is the same one" "$("$OSIER" job "$id/main/0")" 'running'
touch "$T/quiet.go"
is "and ends" "$(settle "$id")" succeeded
is "having run once" "$(wc -l <"$T/quiet")" 1

job work <<X
name: work
steps: {work: {worker: {command: [$WORKER], function: square}, array: 200000}}
X
id=$(submit work)
ok "workers are at it" until_is 1 sh -c "'$OSIER' job $id --json | jq 'if .counts.succeeded > 100 then 1 else 0 end'"
ok "the node goes down meanwhile" "$OSIER" down
ok "and up" up
is "every task has its result" "$(settle "$id"; succeeded "$id")" $'succeeded\n200000'
is "the right one" "$("$OSIER" logs "$id/work/777" --no-prefix)" 603729

job held <<'X'
name: held
command: echo hi
hold: true
X
id=$(submit held)
job later <<'X'
name: later
shell: '[ -e ${dir}/later ] && echo made it || exit 1'
retries: {max: 1, backoff: 2s}
parameters: {dir: /nowhere}
X
later=$(submit later -p "dir=$T")
ok "one fails, and waits for its retry" until_is 1 sh -c "'$OSIER' job $later --json | jq .counts.delayed"
ok "namespaces are set" "$OSIER" ns set team --weight 5 --quota cpu=1
touch "$T/later"
ok "down" "$OSIER" down
ok "and up again" up
is "a job that was held is held still" "$("$OSIER" job "$id" --json | jq .held)" true
is "a retry that was due comes" "$(settle "$later")" succeeded
like "a namespace keeps its quota" "$("$OSIER" ns)" 'team +5 .*cpu 1'
ok "the held one is released" "$OSIER" release "$id"
is "and runs" "$(settle "$id")" succeeded
exit $bad
