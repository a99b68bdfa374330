#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cli_run - `osier run` without a node: result, failures, exit codes, JSON, pipes, Ctrl-C; and reading the history. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.bash
cd "$TMP" || exit 1

cat >hello.yaml <<'EOF'
name: hello
command: echo hello from ${task}
EOF
cat >graph.yaml <<'EOF'
name: graph
steps:
  map:
    array: {i: 1..6}
    command: echo ${i}
  sum:
    reduce: map
    command: cat inputs/* | awk '{s += $1} END {print "sum is", s}'
EOF
cat >fails.yaml <<'EOF'
name: fails
array: 3
command: 'echo out; echo "bad luck" >&2; [ ${task} != 1 ] || exit 7'
EOF
cat >slow.yaml <<'EOF'
name: slow
command: exec sleep 300
grace: 1s
EOF
cat >many.yaml <<'EOF'
name: many
array: 200
command: "true"
EOF

runs() { exits 0 osier run hello.yaml && [ "$(cat out)" = "hello from 0" ] && complains "hello-1 succeeded"; }
fact "run prints the result and nothing else to a pipe" runs

node_is_gone() { [ ! -S "$OSIER_STATE/api.sock" ] || ! osier nodes; ! pgrep -f "osier-keeper.*$OSIER_STATE"; }
fact "the private node is gone afterwards" node_is_gone

runs_graph() { exits 0 osier run graph.yaml && [ "$(cat out)" = "sum is 21" ]; }
fact "the result is the last step's" runs_graph

runs_array() {
	printf 'name: lines\narray: 30\ncommand: printf "%%s," ${task}\n' >lines.yaml
	exits 0 osier run lines.yaml --state "$TMP/other" && [ "$(cat out)" = "$(seq -s, 0 29)," ]
}
fact "the result of an array is what its tasks wrote, in order, byte for byte" runs_array

tells_failures() {
	exits 1 osier run fails.yaml || return 1
	complains "failed" && complains "fails-3/main/1" && complains "exit code 7" && complains "bad luck" && complains "hint: osier logs fails-3/main/1" && complains "osier retry fails-3"
}
fact "a failed job exits with 1, and says what failed, why, and what to do" tells_failures

run_json() {
	exits 0 osier run --json graph.yaml || return 1
	json '.job.state == "succeeded" and .job.counts.total == 7 and .failures == [] and .result.step == "sum"' || return 1
	head -n 1 out | jq -e '.state and .counts.total == 7 and (.steps | length == 2)' || return 1
	exits 1 osier run --json fails.yaml && json '.job.state == "failed" and .failures[0].attempts[0].code == 7 and .result == null'
}
fact "run --json is a stream of events, then job, result and failures" run_json

plain_progress() { exits 0 osier run many.yaml && ! grep -q $'\033\|\r' err && complains "many-6 succeeded" && complains "200 of 200 tasks"; }
fact "in a pipe there are no escapes" plain_progress

terminal_progress() {
	script -qec "stty cols 100; osier run many.yaml" "$TMP/typescript" </dev/null >/dev/null || return 1
	grep -qa $'\033\[1A\|\033\[J' typescript && grep -qa "200/200" typescript
}
export TERM=xterm
fact "on a terminal there is a bar" terminal_progress

history() {
	exits 0 osier jobs && says hello-1 && says graph-2 || return 1
	exits 0 osier job hello-1 && says "succeeded" || return 1
	exits 0 osier job 3 --json && json '.id == "fails-3" and .state == "failed"' || return 1
	exits 0 osier tasks fails-3 && says "fails-3/main/1" || return 1
	exits 0 osier logs hello-1 && says "hello from 0" || return 1
	exits 0 osier logs fails-3/1 --stream stderr && [ "$(cat out)" = "bad luck" ] || return 1
	exits 0 osier job fails-3/1 && says "exit code 7" || return 1
	exits 0 osier why fails-3/1 || return 1
	exits 0 osier replay && exits 0 osier replay --at 5 --json && json '.at == 5' || return 1
	exits 0 osier replay --entries --json && json '.entries | length > 0' || return 1
	exits 1 osier wait fails-3 && exits 0 osier wait hello-1 || return 1
	exits 4 osier job nothing-99 && exits 4 osier logs 12345
}
fact "with no node up the history can be read" history

looking_leaves_nothing() { ! pgrep -f "osier engine.*$OSIER_STATE" && [ -z "$(ls -d /tmp/osier-look-* "${XDG_RUNTIME_DIR:-/nowhere}"/osier-look-* 2>/dev/null)" ]; }
fact "looking leaves no process and no file behind" looking_leaves_nothing

interrupt_cancels() {
	local pid
	osier run slow.yaml >out 2>err &
	pid=$!
	until osier tasks last --status running --json 2>/dev/null | jq -e '.tasks | length == 1' >/dev/null 2>&1; do sleep 0.1; kill -0 $pid || return 1; done
	kill -INT $pid
	wait $pid
	[ $? = 130 ] && complains "cancelling slow" && complains "osier retry slow" || { cat out err; return 1; }
	exits 0 osier job last --json && json '.state == "cancelled"' && ! pgrep -f "sleep 30[0]"
}
fact "Ctrl-C cancels the job, waits for it, and exits with 130" interrupt_cancels

# In a real terminal: a bar that survives a resize, Ctrl-C from the keyboard, a second one kills.
screen() { tmux -L $mux capture-pane -p; }
until_screen() { for _ in $(seq 150); do screen | grep -qF -- "$1" && return 0; sleep 0.1; done; echo "the screen lacks '$1':"; screen; return 1; }
in_tmux() { # on a server of its own: the last one may still be ending
	rm -f rc
	mux=osier-$$-$tests; SHELL=/bin/bash tmux -L $mux new-session -d -x 100 -y 30 "cd '$TMP'; PATH='$PATH' OSIER_STATE='$OSIER_STATE' LC_ALL=C.UTF-8 $1; echo \$? >rc; sleep 60"
}
keyboard() {
	in_tmux "osier run steps.yaml"
	until_screen "running" && until_screen "░" || return 1
	tmux -L $mux resize-window -x 60 -y 20
	sleep 1.5
	tmux -L $mux resize-window -x 90 -y 20
	sleep 1.5
	[ "$(screen | grep -c "steps-")" = 1 ] || { echo "not one bar:"; screen; return 1; }
	tmux -L $mux send-keys C-c
	until_screen "cancelling steps" || return 1
	for _ in $(seq 150); do [ -s rc ] && break; sleep 0.1; done
	until_screen "osier retry" || return 1
	tmux -L $mux kill-server
	[ "$(cat rc)" = 130 ]
}
printf 'name: steps\ngrace: 1s\nsteps:\n  a: {array: 2, command: exec sleep 3%s}\n  b: {after: a, command: "true"}\n' 00 >steps.yaml
fact "a bar survives a resize; Ctrl-C from the keyboard cancels" keyboard

stubborn() {
	in_tmux "osier run stubborn.yaml"
	until_screen "1 running" || return 1
	tmux -L $mux send-keys C-c
	until_screen "cancelling stubborn" || return 1
	tmux -L $mux send-keys C-c
	for _ in $(seq 100); do [ -s rc ] && break; sleep 0.1; done
	tmux -L $mux kill-server
	[ "$(cat rc)" = 130 ] || return 1
	for _ in $(seq 50); do pgrep -f "osier-keeper.*$OSIER_STATE|sleep 4242" || return 0; sleep 0.1; done
	return 1
}
printf 'name: stubborn\ngrace: 10m\ncommand: "trap true TERM; while true; do sleep 4242; done"\n' >stubborn.yaml
fact "a second Ctrl-C kills at once" stubborn

no_such_command() {
	printf 'name: none\ncommand: [no-such-program-here]\n' >none.yaml
	exits 1 osier run none.yaml && complains "no-such-program-here"
}
fact "a program that does not exist is told" no_such_command

parameters() {
	printf 'name: p\nparameters: {who: nobody}\ncommand: echo ${who}\n' >p.yaml
	exits 0 osier run p.yaml && [ "$(cat out)" = nobody ] || return 1
	exits 0 osier run p.yaml -p who=me && [ "$(cat out)" = me ] || return 1
	exits 2 osier run p.yaml -p whom=me
}
fact "-p sets the job's own parameters" parameters

files_travel() {
	mkdir -p sub && echo "some text" >sub/data.txt
	printf 'name: f\ncommand: cat data.txt; echo new > made.txt\ninputs: [data.txt]\noutputs: [made.txt]\n' >sub/f.yaml
	exits 0 osier run sub/f.yaml && [ "$(cat out)" = "some text" ] || return 1
	exits 0 osier logs last --output made.txt && [ "$(cat out)" = new ]
}
fact "files go in and come out" files_travel

gone_output() {
	printf 'name: gone\nshell: echo "to ${task}" >&2; yes ${task} | head -c 70000\narray: 7\n' >gone.yaml
	exits 0 osier run gone.yaml || return 1
	find "$OSIER_STATE"/blobs -type f -size 70000c -delete
	exits 4 osier logs last && says "main/6 ! to 6" && [ "$(wc -l <out)" = 7 ] || return 1
	complains 'the stdout of main/0 (68 KiB) cannot be shown: it is not kept any more' && complains 'nor can 2 more outputs' || return 1
	exits 4 osier logs last --json && [ "$(jq -c 'select(.why) | [.index, .bytes]' out | tr -d '\n')" = "$(for t in {0..6}; do printf '[%s,70000]' $t; done)" ] || return 1
	exits 4 osier logs last/0 --stream stdout && complains "not kept any more" && complains "hint: files are kept by policy"
}
fact "an output that is not kept any more is told" gone_output

read_only_folder() {
	exits 6 osier run hello.yaml --state /proc/osier && complains "state folder"
}
fact "a state folder that cannot be is an error" read_only_folder

two_runs() {
	local one
	rm -f go
	osier run wait.yaml >one 2>err &
	one=$!
	until osier tasks last --status running --json 2>/dev/null | jq -e '.tasks | length == 1' >/dev/null 2>&1; do sleep 0.05; kill -0 $one || return 1; done
	(sleep 0.5; touch go) &
	exits 0 osier run tail.yaml && [ "$(cat out)" = tail ] && wait $one && [ "$(cat one)" = went ]
}
printf 'name: wait\ncommand: "until [ -e %s/go ]; do sleep 0.02; done; echo went"\n' "$TMP" >wait.yaml
printf 'name: tail\ncommand: "until [ -e %s/go ]; do sleep 0.02; done; sleep 0.5; echo tail"\n' "$TMP" >tail.yaml
fact "two runs on one folder share a node, and both get their results" two_runs

orphaned_run() {
	local one two
	rm -f go
	osier run wait.yaml >one 2>err &
	one=$!
	until osier tasks last --status running --json 2>/dev/null | jq -e '.tasks | length == 1' >/dev/null 2>&1; do sleep 0.05; kill -0 $one || return 1; done
	osier run tail.yaml >two 2>err2 &
	two=$!
	until osier jobs --name tail -s running --json 2>/dev/null | jq -e '.jobs | length == 1' >/dev/null 2>&1; do sleep 0.05; kill -0 $two || return 1; done
	kill -9 $one
	sleep 0.3
	touch go
	wait $two && [ "$(cat two)" = tail ] || { cat two err2; return 1; }
	exits 0 osier wait wait-$(($(osier job last --json | jq .job) - 1)) && [ "$(cat out)" = went ]
}
fact "a run whose node dies with another command goes on in its own" orphaned_run

echo "1..$tests"
