#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cli_node - the commands against a node that is up: submit, look, change, end. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.bash
cd "$TMP" || exit 1

printf 'name: quick\ncommand: echo done ${task}\n' >quick.yaml
printf 'name: slow\ncommand: exec sleep 300\ngrace: 1s\n' >slow.yaml
printf 'name: array\narray: 5\ncommand: echo line of ${task}\n' >array.yaml
printf 'name: flaky\ncommand: test -e %s/mended\n' "$TMP" >flaky.yaml
printf 'name: held\nhold: true\ncommand: "true"\n' >held.yaml
printf 'name: ticks\ncommand: "for i in 1 2 3; do echo tick $i; sleep 0.2; done"\n' >ticks.yaml

up() { exits 0 osier up && says "osier is up" && exits 0 osier up && says "was already up" && exits 0 osier up --json && json '.already_up'; }
fact "up starts a node once" up

version() { exits 0 osier version --json && json '.version == .node.version and .node.read_only == false'; }
fact "version tells of the node" version

submits() {
	exits 0 osier submit quick.yaml && says "quick-1 is submitted" || return 1
	exits 0 osier wait quick-1 && [ "$(cat out)" = "done 0" ] || return 1
	exits 0 osier submit -q array.yaml && [ "$(cat out)" = array-2 ] || return 1
	exits 0 osier submit --watch quick.yaml && says "done 0" || return 1
	exits 0 osier submit --json quick.yaml && json '.job == 4 and .id == "quick-4" and (.seq > 0) and .repeated == false'
}
fact "submit detaches, or watches" submits

keys_make_once() {
	exits 0 osier submit --json --key k1 quick.yaml && cp out first || return 1
	exits 0 osier submit --json --key k1 quick.yaml && json '.repeated' && [ "$(jq .job first)" = "$(jq .job out)" ]
}
fact "a key makes the job once" keys_make_once

runs_on_the_node() { exits 0 osier run quick.yaml && [ "$(cat out)" = "done 0" ] && exits 0 osier nodes; }
fact "run uses the node that is up" runs_on_the_node

lists() {
	osier wait array-2 >/dev/null 2>&1
	exits 0 osier jobs && says "array-2" && says "5/5" || return 1
	exits 0 osier jobs --json --limit 2 && json '(.jobs | length == 2) and .next != null' || return 1
	exits 0 osier jobs --json --all && json '(.jobs | length >= 6) and .next == null and (.jobs[0] | has("job") and has("id") and has("name") and has("namespace") and has("state") and has("counts") and has("submitted") and has("started") and has("finished"))' || return 1
	exits 0 osier jobs --json --name array && json '.jobs | length == 1' || return 1
	exits 0 osier jobs --json -s failed && json '.jobs == []' || return 1
	exits 0 osier tasks array-2 --json && json '(.tasks | length == 5) and (.tasks[4] | .id == "array-2/main/4" and .state == "succeeded" and .outcome == "succeeded" and .attempts == 1)' || return 1
	exits 0 osier tasks array-2 && says "array-2/main/3" || return 1
	exits 0 osier logs array-2 --no-prefix && [ "$(sort out | head -1)" = "line of 0" ] && [ "$(wc -l <out)" = 5 ]
}
fact "jobs, tasks and logs list" lists

names() {
	exits 0 osier job array --json && json '.job == 2' || return 1
	exits 0 osier job 2 --json && json '.id == "array-2"' || return 1
	exits 0 osier job last --json && json '.id | startswith("quick-")' || return 1
	exits 2 osier job quick && complains "hint:" && complains "quick-1" || return 1
	exits 4 osier job nothing || return 1
	exits 0 osier job array-2/3 --json && json '.index == 3 and (.attempts | length == 1) and (.attempts[0] | has("wall_s") and has("user_s") and has("memory_bytes") and has("outputs"))'
}
fact "numbers, names, last and beginnings name jobs; tasks by index" names

cancels() {
	exits 0 osier submit -q slow.yaml && until osier tasks last -s running --json | jq -e '.tasks | length == 1' >/dev/null; do sleep 0.05; done
	exits 124 osier wait last --timeout 300ms && complains "not finished" || return 1
	exits 0 osier why last && says "running" || return 1
	exits 0 osier cancel last --json && json '.state' || return 1
	exits 1 osier wait last && exits 0 osier job last --json && json '.state == "cancelled"'
}
fact "cancel stops what runs; wait can give up" cancels

retries() {
	rm -f mended
	exits 1 osier run flaky.yaml || return 1
	touch mended
	exits 0 osier retry last && exits 0 osier wait last && exits 0 osier job last --json && json '.state == "succeeded"'
}
fact "retry takes a failed job up again" retries

holds() {
	exits 0 osier submit -q held.yaml && exits 0 osier why last && exits 0 osier jobs && says "held" || return 1
	exits 0 osier adjust last --priority 90 --json && json '.priority == 90' || return 1
	exits 2 osier adjust last --priority 101 && exits 2 osier adjust last && complains "nothing to adjust" || return 1
	exits 0 osier release last && exits 0 osier wait last
}
fact "a held job waits for release, and can be adjusted" holds

follows() {
	exits 0 osier submit -q ticks.yaml && exits 0 osier logs -f last && [ "$(grep -c "tick" out)" = 3 ]
}
fact "logs -f follows to the end" follows

detaches() {
	local pid
	osier submit --watch slow.yaml >out 2>err &
	pid=$!
	until osier tasks last -s running --json 2>/dev/null | jq -e '.tasks | length == 1' >/dev/null; do sleep 0.05; kill -0 $pid || return 1; done
	kill -INT $pid
	wait $pid
	[ $? = 130 ] && complains "goes on without this command" && complains "osier wait slow-" || { cat out err; return 1; }
	exits 0 osier job last --json && json '.state == "running"' && exits 0 osier cancel last
}
fact "Ctrl-C on a watched submit detaches and says how to come back" detaches

nodes() {
	exits 0 osier nodes --json && json '.nodes[0] | .state == "up" and ([.resources[].name] | index("cpu") != null and index("memory") != null)' || return 1
	exits 0 osier nodes && says "up" && exits 0 osier nodes --resources && says "cpu" && says "memory" || return 1
	exits 0 osier node drain && exits 0 osier nodes --json && json '.nodes[0].state == "drained"' || return 1
	exits 0 osier node resume && exits 0 osier nodes --json && json '.nodes[0].state == "up"' || return 1
	exits 4 osier node drain elsewhere && exits 2 osier node paint
}
fact "nodes are shown, drained and resumed" nodes

namespaces() {
	exits 0 osier ns set team --weight 200 --quota cpu=1 --quota memory=1GiB --json && json '.weight == 200 and .quota.memory == 1073741824' || return 1
	exits 0 osier ns set team --weight 300 --json && json '.weight == 300 and .quota.cpu == 1' || return 1
	exits 0 osier ns && says "team" && exits 2 osier ns set team --quota lots
}
fact "namespaces get weights and quotas" namespaces

plans() { exits 0 osier plan array.yaml --json && json '.accepted and .tasks == 5 and (.steps | length == 1)' && exits 0 osier plan array.yaml && says "would be accepted"; }
fact "plan says what would happen" plans

replays() {
	exits 0 osier replay --at 3 --json && json '.at == 3 and (.digest | length == 16)' || return 1
	exits 0 osier replay --entries --limit 5 --json && json '.entries | length == 5' || return 1
	exits 0 osier replay --from 0 --limit 1 --json && json '.entries[0].seq == 0' || return 1
	exits 0 osier replay && says "after entry"
}
fact "replay shows any past state" replays

watches() {
	exits 0 osier top --once && says "JOB" && says "cpu" || return 1
	timeout 20 osier top --json | head -n 1 | jq -e '.nodes and .jobs and .totals' || return 1
	tmux -L osier-$$ new-session -d -x 100 -y 30 "PATH='$PATH' OSIER_STATE='$OSIER_STATE' osier top; stty -a >'$TMP/stty'; echo \$? >'$TMP/top-rc'; sleep 30" || return 1
	for _ in $(seq 100); do tmux -L osier-$$ capture-pane -p >"$TMP/screen"; grep -q "q quit" "$TMP/screen" && break; sleep 0.1; done
	grep -q "q quit" "$TMP/screen" && grep -q "quick-1" "$TMP/screen" || { cat "$TMP/screen"; return 1; }
	tmux -L osier-$$ resize-window -x 60 -y 15
	for _ in $(seq 100); do tmux -L osier-$$ capture-pane -p >"$TMP/screen"; [ "$(wc -l <"$TMP/screen")" = 15 ] && grep -q "q quit" "$TMP/screen" && break; sleep 0.1; done
	grep -q "q quit" "$TMP/screen" || { cat "$TMP/screen"; return 1; }
	tmux -L osier-$$ send-keys q
	for _ in $(seq 100); do [ -s "$TMP/top-rc" ] && break; sleep 0.1; done
	tmux -L osier-$$ kill-server
	grep -q " icanon" "$TMP/stty" && grep -q " echo " "$TMP/stty"
}
fact "top shows jobs and nodes, takes a resize, and puts the terminal back" watches

completes() {
	osier __complete -- cancel arr | grep -qx array-2 && osier __complete -- logs array-2/ | grep -q "^array-2/" && osier __complete -- node drain "" | grep -q .
}
fact "names of jobs, steps and nodes complete" completes

engine_killed() {
	local pid epoch
	osier submit -q ticks.yaml >/dev/null
	epoch=$(osier version --json | jq .node.epoch)
	pid=$(osier version --json | jq .node.pid)
	osier wait last >out 2>err &
	kill -9 "$pid"
	wait $! || { cat out err; return 1; }
	grep -q "tick 3" out && [ "$(osier version --json | jq .node.epoch)" -gt "$epoch" ]
}
fact "wait survives the death of the engine" engine_killed

asked_meanwhile() {
	local i
	for i in 1 2 3; do
		kill -9 "$(osier version --json | jq .node.pid)"
		osier jobs >out 2>err || { cat err; return 1; }
	done
}
fact "a question asked while the engine is killed is answered by the next one" asked_meanwhile

hands_over() {
	local keeper epoch
	keeper=$(cat "$OSIER_STATE/keeper.lock")
	epoch=$(osier version --json | jq .node.epoch)
	osier submit -q ticks.yaml >/dev/null
	exits 0 osier down --engine-only && says "the keeper starts a new one" || return 1
	exits 0 osier wait last && says "tick 3" || return 1
	[ "$(osier version --json | jq .node.epoch)" -gt "$epoch" ] && [ "$(cat "$OSIER_STATE/keeper.lock")" = "$keeper" ] || return 1
	exits 0 osier job last/0 --json && json '.attempts | length == 1'
}
fact "down --engine-only brings a new engine, and no task notices" hands_over

doctor() { osier doctor >out; says "node" && says "journal"; }
fact "doctor sees the node and its journal" doctor

down() { exits 0 osier down && says "osier is down" && exits 3 osier nodes && exits 3 osier down && ! pgrep -f "osier-keeper.*$OSIER_STATE"; }
fact "down ends it all" down

comes_back() { exits 0 osier up && exits 0 osier job quick-1 --json && json '.state == "succeeded"' && exits 0 osier down; }
fact "what was done is there after the next up" comes_back

foreground() {
	osier up --foreground >out 2>err &
	local pid=$!
	for _ in $(seq 100); do osier nodes >/dev/null 2>&1 && break; sleep 0.1; done
	exits 0 osier nodes || return 1
	kill -TERM $pid
	wait $pid
	! osier nodes
}
fact "up --foreground stays, and ends on TERM" foreground

other_user() {
	[ "$(id -u)" = 0 ] || return 0
	chmod 711 "$TMP"
	exits 0 osier up --engine-user nobody --state "$TMP/shared" || return 1
	[ "$(stat -c %U "$TMP/shared/journal.db")" = nobody ] || return 1
	printf 'name: who\ncommand: id -un\n' >"$TMP/who.yaml"
	exits 1 osier run "$TMP/who.yaml" --state "$TMP/shared" && complains "root" || return 1
	cp "$(command -v osier)" "$TMP/osier" 2>/dev/null
	exits 0 setpriv --reuid daemon --regid daemon --clear-groups "$TMP/osier" run "$TMP/who.yaml" --state "$TMP/shared" || return 1
	[ "$(cat out)" = daemon ] || return 1
	exits 5 setpriv --reuid daemon --regid daemon --clear-groups "$TMP/osier" down --state "$TMP/shared" || return 1
	exits 0 osier down --state "$TMP/shared"
}
fact "a root keeper with an engine of another user runs tasks as who submitted them, none as root" other_user

notifies() {
	python3 - "$TMP/notify" "$OSIER_STATE" <<'EOF'
import os, socket, subprocess, sys, signal
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.settimeout(20)
p = subprocess.Popen(["osier", "up"], env=dict(os.environ, NOTIFY_SOCKET=sys.argv[1]))
said = s.recv(4096).decode().split("\n")
p.send_signal(signal.SIGTERM)
p.wait(30)
sys.exit(0 if "READY=1" in said and f"MAINPID={p.pid}" in said else 1)
EOF
}
fact "under systemd it says when it is ready" notifies

echo "1..$tests"
