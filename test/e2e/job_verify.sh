#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# job_verify - tasks that run several times: liars are outvoted and named, comparators have their say. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
ok "a node is up" up

job() { cat >"$T/$1.yaml"; }
task() { api "/v1/jobs/$1/tasks/main/${2:-0}"; }

# A task knows which attempt it is, never which replica: the second to start lies.
job liar <<'X'
name: liar
shell: n=$(ls /tmp/osier-liar.$PPID* 2>/dev/null | wc -l); mkdir "$DIR/$$" && set -- "$DIR"/*; [ $# = 2 ] && echo 41 || echo 42
env: {DIR: "${dir}"}
parameters: {dir: /nowhere}
verify: {replicas: 3, agree: 2}
resources: {cpu: 1}
concurrency: 1
X
sed -i 's/n=.*wc -l); //' "$T/liar.yaml"
mkdir -m 777 "$T/seen"
told "what two of three say is the result, and the one that differs is named" 0 "replicas 0 \([^)]*\) and [12] \([^)]*\) agree; replica [12] \([^)]*\) differs|replica 0 \([^)]*\) differs; replicas 1 .* and 2 .* agree" \
	"$OSIER" submit --watch -p "dir=$T/seen" "$T/liar.yaml"
is "the result is what was agreed on" "$("$OSIER" logs last --no-prefix)" 42
is "one of the votes is not committed" "$(task liar-1 | jq -c '[.votes[] | .committed] | sort')" '[false,true,true]'
like "why tells it, too" "$("$OSIER" why liar-1/main/0)" 'agree.*replica.*differs|replica.*differs.*agree'

job all <<'X'
name: all
shell: echo ${attempt}
verify: {replicas: 3, agree: 2}
X
told "with no agreement the task fails, and all are named" 1 "replica 0 \([^)]*\) differs; replica 1 \([^)]*\) differs; replica 2 \([^)]*\) differs" "$OSIER" submit --watch "$T/all.yaml"
is "its outcome is 'disagreed'" "$(task all-2 | jq -r .outcome)" disagreed
like "why names them" "$("$OSIER" why all-2/main/0)" 'not enough of its replicas agree: replica 0'
is "what each wrote is kept, with its digest" "$(task all-2 | jq '[.attempts[].outputs[0].sha256] | unique | length')" 3

job crash <<'X'
name: crash
shell: mkdir "${dir}/$$" && set -- "${dir}"/*; [ $# = 1 ] && exit 3; echo fine
parameters: {dir: /nowhere}
verify: 3
concurrency: 1
X
mkdir -m 777 "$T/crash"
told "a replica that fails is outvoted, too" 0 'replica . \([^)]*\) failed' "$OSIER" submit --watch -p "dir=$T/crash" "$T/crash.yaml"

job near <<'X'
name: near
shell: echo $((1000 + ${attempt}))
verify: {replicas: 3, agree: 3, comparator: "awk 'NR == FNR {a = $1; next} {d = a - $1; exit !(d < 100 && d > -100)}' \"$1\" \"$2\""}
X
told "a comparator takes near for equal" 0 '10[0-9][0-9]' "$OSIER" submit --watch "$T/near.yaml"
sed 's/^name: .*/name: far/; s/100 /1 /; s/-100)/-1)/' "$T/near.yaml" >"$T/far.yaml"
told "and far for different" 1 'replica 0 .* differs' "$OSIER" submit --watch "$T/far.yaml"
sed 's/^name: .*/name: broken/; s/comparator:.*/comparator: "kill -9 $$"}/' "$T/near.yaml" >"$T/broken.yaml"
told "a comparator that dies takes nothing for equal" 1 'differs' "$OSIER" submit --watch "$T/broken.yaml"
sed 's/^name: .*/name: none/; s/comparator:.*/comparator: [.\/no-such-comparator]}/' "$T/near.yaml" >"$T/none.yaml"
told "one that does not exist neither" 1 'differs' "$OSIER" submit --watch "$T/none.yaml"

job many <<'X'
name: many
command: [echo, "${index}"]
array: 20
verify: 2
X
told "arrays are verified task by task" 0 'succeeded' "$OSIER" submit --watch "$T/many.yaml"
is "each task ran twice" "$("$OSIER" tasks many-8 --json | jq '[.tasks[].attempts] | add')" 40
job input <<'X'
name: input
steps:
  make: {shell: "mkdir ${dir}/$$ && set -- ${dir}/*; [ $# = 3 ] && echo false || echo true", verify: {replicas: 3, agree: 2}}
  use: {command: cat, stdin: {from: make}}
concurrency: 1
parameters: {dir: /nowhere}
X
mkdir -m 777 "$T/input"
told "the next step gets what was agreed on" 0 '^(.* )?true( |$)' "$OSIER" submit --watch -p "dir=$T/input" "$T/input.yaml"

# On one machine a check runs where the task ran; after ten that agreed most tasks run once.
job trust <<'X'
name: trust
command: [echo, "${index}"]
array: 60
verify: adaptive
X
told "an adaptive job comes to its end" 0 'succeeded' "$OSIER" submit --watch "$T/trust.yaml"
once() { "$OSIER" tasks last --json | jq '[.tasks[] | select(.attempts == 1)] | length'; }
is "at first every task is checked, later few are" "$(n=$(once); [ "$n" -gt 20 ] && [ "$n" -le 50 ] && echo yes || echo "$n of 60 ran once")" yes
is "what ran once counts as well" "$(i=$("$OSIER" tasks last --json | jq '[.tasks[] | select(.attempts == 1)][0].index'); api "/v1/jobs/last/tasks/main/$i" | jq -c '[.votes[] | .committed] | sort')" '[false,false,true]'
is "the specification says so" "$(api /v1/jobs/last/spec 2>/dev/null | jq -c '.steps[0].verify // .verify' 2>/dev/null || true)" '{"replicas":3,"agree":2,"mode":"adaptive"}'
exit $bad
