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
array: 300
verify: adaptive
X
told "an adaptive job comes to its end" 0 'succeeded' "$OSIER" submit --watch "$T/trust.yaml"
once() { "$OSIER" tasks last --all --json | jq '[.tasks[] | select(.attempts == 1)] | length'; }
is "at first every task is checked, later few are" "$(n=$(once); [ "$n" -gt 150 ] && [ "$n" -le 290 ] && echo yes || echo "$n of 300 ran once")" yes
is "what ran once counts as well" "$(i=$("$OSIER" tasks last --json | jq '[.tasks[] | select(.attempts == 1)][0].index'); api "/v1/jobs/last/tasks/main/$i" | jq -c '[.votes[] | .committed] | sort')" '[false,false,true]'
is "the node has earned something" "$("$OSIER" nodes --json | jq '[.nodes[] | .agreed >= 10] | all')" true
is "the specification says so" "$(api /v1/jobs/last/spec 2>/dev/null | jq -c '.steps[0].verify // .verify' 2>/dev/null || true)" '{"replicas":3,"agree":2,"mode":"adaptive"}'

# ---- receipts: of an attempt that counts, with those that agree ----

# The third to begin is still at it when two have agreed: it is stopped, and its word is the last.
job late <<'X'
name: late
shell: mkdir "${dir}/a" 2>/dev/null || mkdir "${dir}/b" 2>/dev/null || { trap 'echo 41; exit 0' TERM; sleep 300 & wait; }; echo 42
parameters: {dir: /nowhere}
verify: {replicas: 3, agree: 2}
resources: {cpu: 0.1}
X
mkdir -m 777 "$T/late"
told "two agree while the third is at work" 0 'succeeded' "$OSIER" submit --watch -p "dir=$T/late" "$T/late.yaml"
told "a receipt of the verified task is written" 0 'osier verify' "$OSIER" receipt last/main/0 -o "$T/late.tlog-proof"
"$OSIER" ledger policy >"$T/trust.policy"
verify() { "$OSIER" verify "$T/$1" --policy "$T/trust.policy" "${@:2}"; }
echo 42 >"$T/42"
told "it is of an attempt that counts, and names the other" 0 'verified +replica [012], under lease [0-9]+ on node 1, came to the same: entry [0-9]+.*is stdout of the task' "$OSIER" verify "$T/late.tlog-proof" --policy "$T/trust.policy" --output "$T/42"
is "those two are the replicas that count" "$(verify late.tlog-proof --json | jq -c '[.lease, .agreed[].lease] | sort')" "$(task last | jq -c '[.votes[] | select(.committed) | .lease] | sort')"
told "of a task that was not checked it says so" 0 'verified +no: its node was trusted' sh -c "i=\$('$OSIER' tasks trust-10 --json | jq '[.tasks[] | select(.attempts == 1)][0].index'); '$OSIER' receipt trust-10/main/\$i -o '$T/once' 2>/dev/null && '$OSIER' verify '$T/once' --policy '$T/trust.policy'"
size=$(wc -c <"$T/late.tlog-proof")
unnoticed=
for at in $(seq 24 $((size / 40)) $((size - 2))); do
	python3 - "$T/late.tlog-proof" "$at" "$T/changed" <<'X'
import sys
b = bytearray(open(sys.argv[1], "rb").read())
b[int(sys.argv[2])] ^= 1
open(sys.argv[3], "wb").write(b)
X
	verify changed >/dev/null 2>&1 && unnoticed="$unnoticed $at"
done
is "a changed character is noticed wherever it is" "$unnoticed" ''

# ---- committed, then revealed ----

# One replica has its answer, the other is at work: the log has a commitment, and the answer nowhere. Whoever dies then, it is still revealed.
job hidden <<'X'
name: hidden
shell: mkdir "${dir}/a" 2>/dev/null || while [ ! -e "${dir}/go" ]; do sleep 0.05; done; echo 42
parameters: {dir: /nowhere}
verify: 2
resources: {cpu: 0.1}
X
mkdir -m 777 "$T/hidden"
sha=$(echo 42 | sha256sum | cut -d' ' -f1)
committed() { entries | jq -c 'select(.kind == "results" and ((.body.commitments // "") | length) > 0)' | wc -l; }
before=$(committed)
told "a job with two replicas is submitted" 0 'submitted' "$OSIER" submit -p "dir=$T/hidden" "$T/hidden.yaml"
end=$((SECONDS + LIMIT))
while [ "$(committed)" = "$before" ] && [ $SECONDS -lt $end ]; do sleep 0.1; done
is "the first commits to its answer" "$(($(committed) - before))" 1
like "history says so" "$("$OSIER" history --job last)" 'committed to an answer'
is "and nobody is told what it is" "$(api /v1/jobs/last/tasks/main/0 | grep -c "$sha")" 0
kill -9 "$(engine_pid)"
touch "$T/hidden/go"
is "the engine that comes after reveals it" "$(settle last)" succeeded
is "it is what was said" "$("$OSIER" logs last --no-prefix)" 42
is "both count, and none ran again" "$(api /v1/jobs/last/tasks/main/0 | jq -c '[([.votes[] | select(.committed)] | length), (.attempts | length)]')" '[2,2]'
sed 's/^name: .*/name: lost/' "$T/hidden.yaml" >"$T/lost.yaml"
mkdir -m 777 "$T/lost"
before=$(committed)
told "another is submitted" 0 'submitted' "$OSIER" submit -p "dir=$T/lost" "$T/lost.yaml"
end=$((SECONDS + LIMIT))
while [ "$(committed)" = "$before" ] && [ $SECONDS -lt $end ]; do sleep 0.1; done
kill -9 "$(keeper_pid)"
end=$((SECONDS + LIMIT))
while engine_pid >/dev/null && [ $SECONDS -lt $end ]; do sleep 0.1; done
touch "$T/lost/go"
ok "the node is up after its keeper died" up
is "what the first committed to needs no keeper" "$(settle last)" succeeded
is "and did not run again" "$(api /v1/jobs/last/tasks/main/0 | jq '[.attempts[]] | length')" 2

# ---- classes ----

printf 'name: class\ncommand: echo 42\nverify: {replicas: 2, same: %s}\n' model >"$T/class.yaml"
told "replicas of a class that no node is of are refused" 5 "no node has the label 'model'.*'labels' in config.yaml" "$OSIER" submit "$T/class.yaml"
sed -i 's/model/name/' "$T/class.yaml"
told "a class with one node runs them there" 0 'succeeded' "$OSIER" submit --watch "$T/class.yaml"

# Two outputs as large as they are kept with the result, and a comparator as long as one may be.
job long <<X
name: long
command: head -c 48000 /dev/urandom | base64 -w 0
verify: {replicas: 2, agree: 2, comparator: "test -s \"\$1\" #$(head -c 131000 /dev/zero | tr '\0' x)"}
X
told "a comparator has room beside large outputs" 0 'succeeded' "$OSIER" submit --watch "$T/long.yaml"
exit $bad
