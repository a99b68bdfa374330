#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# job_graph - steps after steps, tasks after tasks, conditions, arrays and reductions, files that travel. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
ok "a node is up" up
cd "$T" || exit 1

job() { cat >"$T/$1.yaml"; }
outcome() { api "/v1/jobs/$1/tasks/$2/${3:-0}" | jq -r '.outcome // .state'; }
outcomes() { # JOB STEP...
	local j=$1 s
	shift
	for s; do printf '%s ' "$(outcome "$j" "$s")"; done
}

# ---- conditions ----

job conditions <<'X'
name: conditions
steps:
  good: "true"
  bad: "false"
  after_good: {command: echo 1, after: good}
  after_bad: {command: echo 2, after: bad}
  mend_good: {command: echo 3, after: {step: good, on: failure}}
  mend_bad: {command: echo 4, after: {step: bad, on: failure}}
  always: {command: echo 5, after: [{step: good, on: always}, {step: bad, on: always}]}
  both: {command: echo 6, after: [good, bad]}
  below: {command: echo 7, after: both}
  cleanup: {command: echo 8, after: {step: both, on: always}}
X
told "a graph with a failed step fails" 1 'failed' "$OSIER" submit --watch conditions.yaml
is "steps run or are skipped as their conditions say" \
	"$(outcomes conditions-1 good bad after_good after_bad mend_good mend_bad always both below cleanup)" \
	'succeeded failed succeeded skipped skipped succeeded succeeded skipped skipped succeeded '

job each <<'X'
name: each
steps:
  first: {shell: "[ $((${index} % 3)) != 0 ]", array: 9}
  second: {command: [echo, "${index}"], array: 9, after: {step: first, mode: each}}
  mend: {command: [echo, "mended ${index}"], array: 9, after: {step: first, mode: each, on: failure}}
X
told "a task after a task waits for that one alone" 1 '3 failed' "$OSIER" submit --watch each.yaml
is "what came after a success ran" "$("$OSIER" tasks each-2 --step second --json | jq -c '[.tasks[].outcome | . == "succeeded"]')" '[false,true,true,false,true,true,false,true,true]'
is "what came after a failure mended it" "$("$OSIER" tasks each-2 --step mend --json | jq -c '[.tasks[].outcome | . == "succeeded"]')" '[true,false,false,true,false,false,true,false,false]'

# Task 0 of the second step must not wait for task 1 of the first.
job early <<'X'
name: early
steps:
  first: {shell: "[ ${index} = 0 ] || while [ ! -e ${dir}/second ]; do sleep 0.05; done", array: 2}
  second: {shell: "touch ${dir}/second", array: 2, after: {step: first, mode: each}}
parameters: {dir: /nowhere}
timeouts: {job: 60s}
X
mkdir -m 777 early
told "and does not wait for the others" 0 'succeeded' "$OSIER" submit --watch -p "dir=$T/early" early.yaml

job flaky <<'X'
name: flaky
steps:
  a: {shell: "[ -e ${dir}/mended ]"}
  b: {command: echo b, after: a}
  c: {command: echo c}
parameters: {dir: /nowhere}
X
mkdir -m 777 flaky
told "a failure skips what needs it" 1 'skipped' "$OSIER" submit --watch -p "dir=$T/flaky" flaky.yaml
touch flaky/mended
ok "retry takes it up again" "$OSIER" retry last
is "and it succeeds" "$(settle last)" succeeded
is "what had succeeded did not run again" "$(for s in a b c; do api "/v1/jobs/last/tasks/$s/0" | jq '.attempts | length'; done | tr '\n' ' ')" '2 1 1 '

job stops <<'X'
name: stops
command: [sh, -c, "[ ${index} != 2 ]"]
array: 1000
keep_going: false
concurrency: 1
X
told "keep_going: false stops at the first failure" 1 '1 failed' "$OSIER" submit --watch stops.yaml
ok "the others did not run" test "$("$OSIER" job last --json | jq .counts.succeeded)" -lt 100

# ---- arrays ----

printf 'alpha\nbeta with space\n$(touch %s/owned)\n\nlast without end' "$T" >lines.txt
job arrays <<'X'
name: arrays
steps:
  range: {command: [echo, "${index}"], array: 10..0 step -5}
  list: {command: [echo, "${item}"], array: [red, "green and blue"]}
  lines: {command: [echo, "<${line}>"], array: {line: {lines: lines.txt}}}
  cross: {command: [echo, "${i}${c}"], array: {i: 1..2, c: [a, b, c]}}
X
told "arrays of every kind run" 0 'succeeded' "$OSIER" submit --watch arrays.yaml
is "a range" "$("$OSIER" logs last/range --no-prefix | tr '\n' ' ')" '10 5 0 '
is "a list" "$("$OSIER" logs last/list --no-prefix | tr '\n' ' ')" 'red green and blue '
is "lines of a file, taken as they are" "$("$OSIER" logs last/lines --no-prefix)" "<alpha>
<beta with space>
<\$(touch $T/owned)>
<>
<last without end>"
is "a cross product, the last varying fastest" "$("$OSIER" logs last/cross --no-prefix | tr '\n' ' ')" '1a 1b 1c 2a 2b 2c '
ok "nothing in a line was taken for a command" test ! -e "$T/owned"
job million <<'X'
name: million
command: "true"
array: {a: 1..1000, b: 1..10000}
hold: true
X
began=$(date +%s%N)
told "ten million tasks are submitted as their rule" 0 'submitted' "$OSIER" submit million.yaml
ok "in no time" test $((($(date +%s%N) - began) / 1000000)) -lt 2000
is "each can be asked about" "$(api /v1/jobs/last/tasks/main/9999999 | jq -c .params)" '{"a":"1000","b":"10000"}'
ok "they are cancelled as quickly" "$OSIER" cancel last
is "and are" "$(settle last)" cancelled
printf 'command: echo ${nothing}\n' >unknown.yaml
told "a name that is not known is an error, and what is known is said" 2 'unknown.yaml:1.*nothing' "$OSIER" submit unknown.yaml

# ---- map and reduce ----

job sum <<'X'
name: sum
steps:
  map: {command: [echo, "${index}"], array: 1..100}
  tree: {shell: "cat $OSIER_INPUTS | awk '{n += $1} END {print n}'", reduce: {of: map, associative: true, fan_in: 4}}
  flat: {shell: "set -- $OSIER_INPUTS; echo $# $(cat $1) $(shift 99; cat $1)", reduce: map}
  order: {shell: "cat $OSIER_INPUTS", reduce: {of: map, associative: true, fan_in: 7}}
X
told "reductions run" 0 'succeeded' "$OSIER" submit --watch sum.yaml
last() { "$OSIER" logs "last/$1/$(($("$OSIER" job last --json | jq ".steps[] | select(.name == \"$1\").tasks") - 1))" --no-prefix; }
is "as a tree" "$(last tree)" 5050
is "the tree has as many tasks as it needs" "$("$OSIER" job last --json | jq '.steps[] | select(.name == "tree").tasks')" 35
is "or all at once, in order" "$(last flat)" '100 1 100'
is "a tree keeps the order" "$(last order | tr '\n' ' ')" "$(seq 100 | tr '\n' ' ')"

# As many as one task may take, each too long for all of them to travel in one packet.
job wide <<'X'
name: wide
steps:
  map: {shell: "head -c 1000 /dev/zero", array: 1024}
  all: {shell: "cat $OSIER_INPUTS | wc -c", reduce: map}
X
told "one task takes 1,024 inputs of any length" 0 '1024000' "$OSIER" submit --watch wide.yaml

# ---- files ----

head -c 300000 /dev/urandom >large.bin
printf 'hello\n' >small.txt
printf '#!/bin/sh\necho ran "$@"\n' >tool.sh
chmod 755 tool.sh
job files <<'X'
name: files
steps:
  make:
    shell: cat small.txt; cat data/large.bin >out/copy.bin; ls -l tool.sh | cut -c1-4 >mode; ./tool.sh here >ran; pwd >where
    inputs: [small.txt, tool.sh, {file: large.bin, path: data/large.bin}]
    outputs: [out/copy.bin, mode, ran, {path: absent, optional: true}]
    stdin: from the job file
    env: {COLOUR: "blue ${task}"}
  use:
    shell: sha256sum <copy.bin; cat mode ran; cat
    inputs: {copy.bin: {from: make, output: out/copy.bin}, mode: {from: make, output: mode}, ran: {from: make, output: ran}}
    stdin: {from: make}
  read: {shell: "cat; echo; echo $COLOUR; env | sort | cut -d= -f1 | tr '\\n' ' '", stdin: "from the job file", env: {COLOUR: "blue ${task}"}}
  here: {shell: "pwd; ls small.txt", workdir: .}
X
sed -i 's#cat data/large.bin >out#mkdir out; cat data/large.bin >out#' files.yaml
told "files go in and out" 0 'succeeded' "$OSIER" submit --watch files.yaml
is "large and small, with their modes, from step to step" "$("$OSIER" logs last/use --no-prefix)" "$(sha256sum <large.bin)
-rwx
ran here
hello"
like "stdin and environment are the task's own" "$("$OSIER" logs last/read --no-prefix | tr '\n' ' ')" '^from the job file blue 0 .*COLOUR'
ok "the environment of who submitted is not" test -z "$("$OSIER" logs last/read --no-prefix | grep -ow 'OSIER\|NO_COLOR\|BUILD')"
like "a working folder of one's own is used" "$("$OSIER" logs last/here --no-prefix | tr '\n' ' ')" "^$T small.txt"
api /v1/jobs/last/tasks/make/0 >task.json
is "each output has its digest" "$(jq -r '.attempts[0].outputs[] | select(.name == "out/copy.bin").sha256' task.json)" "$(sha256sum <large.bin | cut -d' ' -f1)"
api /v1/jobs/last/tasks/make/0/output/out%2Fcopy.bin >got.bin
ok "and can be had, byte for byte" cmp got.bin large.bin
{ printf 'name: long\nsteps:\n  same: {command: [sha256sum], array: 3, stdin: "%s"}\n' "$(head -c 600000 /dev/zero | tr '\0' s)"
printf '  own: {command: [sha256sum], array: 2, stdin: "${index}%s"}\n' "$(head -c 300 /dev/zero | tr '\0' o)"
printf '  mine: {command: [sha256sum], array: 2, stdin: "${index}%s"}\n' "$(head -c 300000 /dev/zero | tr '\0' m)"; } >long.yaml
told "texts of up to a mebibyte go in" 0 'succeeded' "$OSIER" submit --watch long.yaml
is "each its own" "$("$OSIER" logs last --no-prefix | sort -u)" "$({ head -c 600000 /dev/zero | tr '\0' s | sha256sum
for i in 0 1; do { printf $i; head -c 300 /dev/zero | tr '\0' o; } | sha256sum; { printf $i; head -c 300000 /dev/zero | tr '\0' m; } | sha256sum; done; } | sort)"
printf 'name: missing\nshell: echo hi\noutputs: [result]\n' >missing.yaml
told "a declared output that is not there fails the task by name" 1 "result" "$OSIER" submit --watch missing.yaml
printf 'name: escape\nshell: ln -s /etc/passwd result\noutputs: [result]\n' >escape.yaml
told "a link out of the folder is no output" 1 'result' "$OSIER" submit --watch escape.yaml
printf 'name: dir\nshell: mkdir result\noutputs: [result]\n' >dir.yaml
told "nor is a folder" 1 'result' "$OSIER" submit --watch dir.yaml
exit $bad
