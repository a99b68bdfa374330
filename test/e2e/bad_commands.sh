#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bad_commands - tasks that cannot start, fork without end, print without end, do not stop, close what they were given or leave
# children: each ends with a clear reason and leaves nothing behind.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
LIMIT=100
cd "$T" || exit 1
ok "a node is up" up

# ends NAME CODE REGEX: job.yaml is run; its exit code and what is said of it.
ends() { told "$1" "$2" "$3" "$OSIER" submit --watch job.yaml; }
file() { cat >"$T/job.yaml"; }
attempt() { "$OSIER" job last/0 --json | jq -c ".attempts[0]$1"; }
# Processes of ours that a job left, by a mark in their command.
none_left() { # MARK
	local i
	for i in $(seq 100); do
		pgrep -f "$1" >"$T/pids" || return 0
		sleep 0.1
	done
	ps -fp "$(tr '\n' ',' <"$T/pids")0"
	return 1
}

# ---- cannot start ----
file <<<'command: [/no/such/program, x]'; ends "a program that does not exist" 1 "could not start: no such file '/no/such/program'"
file <<<'command: [no-such-program, x]'; ends "a name that is not in PATH" 1 "could not start: no such program 'no-such-program' in PATH"
file <<<'command: no-such-program x'; ends "a shell that does not find it" 1 'exit code 127.*no-such-program: not found'
file <<<'command: [/]'; ends "a folder as a program" 1 "could not start: '/' may not be executed"
file <<<'command: [/etc/passwd]'; ends "a file that may not be executed" 1 "could not start: '/etc/passwd' may not be executed"
printf '#!/no/such/interpreter\n' >script && chmod +x script
file <<<'{command: [./script], inputs: [script]}'; ends "a script without its interpreter" 1 'could not start: .*(interpreter|no such file)'
printf 'not a program\n' >blob && chmod +x blob
file <<<'{command: [./blob], inputs: [blob]}'; ends "bytes that are no program" 1 "could not start: './blob' is not a program"
file <<<'{command: ls, workdir: /no/such/folder}'; ends "a folder that does not exist" 1 "could not start: cannot enter folder '/no/such/folder': No such file"
file <<<'{worker: {command: [/no/such/worker], function: f}}'; ends "a worker that does not exist" 1 "could not start: no such file '/no/such/worker'"
file <<<'{worker: {command: ["true"], function: f}}'; ends "a worker that says nothing and ends" 1 'could not start|crashed'
file <<<"{worker: {command: [python3, $OLDPWD/test/e2e/mark.py], function: g}}"
ends "a function that the worker does not have" 1 "could not start: the worker has no function 'g', it offers 'mark'"
file <<<'{command: "true", outputs: [made.txt]}'; ends "a declared output that is not there" 1 "declared output is missing: no output 'made.txt'"

# ---- forks for ever ----
file <<X
command: [python3, -c, "import os, sys\nwhile True:\n  try: os.fork()\n  except OSError: pass\n# $T"]
limits: {pids: 40}
timeouts: {run: 2s}
grace: 500ms
X
ends "a fork bomb runs into its limit of processes and is stopped by its timeout" 1 'timed out after .*ran longer than its timeout of 2'
ok "and nothing of it is left" none_left "# $T"
works "the node works beside all that"

# ---- prints without end ----
file <<<'{command: head -c 10000000000 /dev/zero, limits: {output: 4MiB}}'
"$OSIER" run job.yaml >"$T/out" 2>"$T/err"
is "a task that prints 10 GB succeeds" $? 0
is "the first part of it is kept" "$(attempt .outputs | jq -c 'map([.name, .bytes, .truncated])')" '[["stdout",4194304,true]]'
is "and given, byte for byte" "$(wc -c <"$T/out")" 4194304
like "and it is said that there was more" "$(cat "$T/err")" 'stdout was cut at 4 MiB, its cap'
file <<<'{command: "yes >&2 & yes; true", limits: {output: 1MiB}, timeouts: {run: 1s}, grace: 500ms}'
ends "a task that prints for ever is stopped by its timeout" 1 'ran longer than its timeout'
is "both streams are cut" "$(attempt .outputs | jq -c 'map([.name, .bytes, .truncated])')" '[["stdout",1048576,true],["stderr",1048576,true]]'

# ---- does not stop ----
file <<X
command: "trap '' TERM INT HUP; echo stubborn; while :; do sleep 0.1; done # $T"
timeouts: {run: 500ms}
grace: 500ms
X
ends "a task that ignores TERM is killed after its grace" 1 'ran longer than its timeout of 0.5'
like "which its time shows" "$(attempt .wall_s)" '^([1-9]|[1-9][0-9])\.'
is "what it had printed is kept" "$("$OSIER" logs last/0)" stubborn
file <<X
command: "trap '' TERM; echo stubborn; while :; do sleep 0.1; done # $T"
grace: 500ms
X
job=$("$OSIER" submit -q job.yaml)
for _ in $(seq 100); do [ "$(state "$job")" = running ] && break; sleep 0.05; done
told "cancel does not wait for it" 0 cancel "$OSIER" cancel "$job"
is "it is cancelled" "$(settle "$job" 30)" cancelled
ok "and gone" none_left "# $T"
file <<X
command: "kill -STOP \$\$ # $T"
timeouts: {run: 500ms}
grace: 500ms
X
ends "a task that stops itself is killed" 1 'ran longer than its timeout'
file <<<'command: kill -SEGV $$'; ends "a task that crashes is told by its signal" 1 '(signal 11|SIGSEGV|SEGV|Segmentation)'

# ---- closes what it was given ----
file <<<'command: "exec >&- 2>&- <&-; sleep 0.3; exit 0"'; ends "a task that closes its stdout runs to its end" 0 succeeded
like "not only to the closing" "$(attempt .wall_s)" '^(0\.[3-9]|[1-9])'
file <<<'command: "exec >&- 2>&-; exit 7"'; ends "its exit code counts" 1 'exit code 7'
file <<<'command: [python3, -c, "import os; os.closerange(0, 1000); os._exit(3)"]'; ends "one that closes everything" 1 'exit code 3'
file <<<'command: "rm -rf \"$PWD\"; exit 0"'; ends "one that removes its own folder" 0 succeeded
file <<<'command: "chmod 0 .; mkdir -p a/b/c; chmod 0 a; exit 0"'; ends "one that locks its own folder" 0 succeeded

# ---- children that live on ----
file <<X
command: "sh -c 'sleep 1000 # $T' & setsid sh -c 'sleep 1000 # $T' & (setsid sh -c 'trap \"\" TERM HUP; sleep 1000; : # $T' &) ; echo started"
grace: 500ms
X
ends "a task that exits with its children alive has ended" 0 started
ok "its children have, too, those of other sessions included" none_left "# $T"
file <<X
command: "setsid sh -c 'sleep 1000 # $T' >/dev/null 2>&1 & sleep 1000 # $T"
timeouts: {run: 500ms}
grace: 500ms
X
ends "a task that is stopped" 1 'ran longer than its timeout'
ok "takes its children with it" none_left "# $T"

works "the node works afterwards"
left() { for _ in $(seq 50); do [ -z "$(ls -A "$OSIER_STATE/scratch" "$OSIER_STATE/spool" | grep -v ':$' | grep .)" ] && return; sleep 0.1; done; ls -lR "$OSIER_STATE/scratch" "$OSIER_STATE/spool"; return 1; }
ok "no folder and no output of any is left over" left
exit $bad
