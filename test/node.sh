# SPDX-License-Identifier: Apache-2.0
# node.sh - what end-to-end tests share beside tap.sh: a node that is killed, asked and looked into. Source it after tap.sh.
#	told NAME CODE REGEX COMMAND...   one test: the command exits with CODE and what it says, joined to one line, matches
#	works NAME                        one test: the node runs a small job
#	up, dead PID, engine_pid, keeper_pid, state JOB, settle JOB [SECONDS], entries, api PATH [CURL-OPTION...]
PATH=$BUILD:$PATH
export PATH
LIMIT=60 # seconds for one command, a sanitizer's slowness included

told() {
	local name=$1 code=$2 regex=$3 out got
	shift 3
	out=$(timeout "$LIMIT" "$@" 2>&1 </dev/null)
	got=$?
	out=$(printf '%s' "$out" | tr '\0\n' '  ' | cut -c1-4000)
	if [ "$got" = "$code" ] && printf '%s\n' "$out" | grep -qE -- "$regex"; then echo "ok - $name"; else
		printf 'exit code %s, wanted %s\ngot: %s\nwanted: %s\n' "$got" "$code" "$out" "$regex" | sed 's/^/# /'
		echo "not ok - $name"
		bad=1
	fi
}

works() {
	printf 'name: hello\ncommand: echo hello there\n' >"$T/works.yaml"
	told "$1" 0 'hello there' "$OSIER" submit --watch "$T/works.yaml"
}

up() { timeout "$LIMIT" "$OSIER" up >"$T/up" 2>&1 || { cat "$T/up"; return 1; }; }

# Wait until a process that was sent SIGKILL is dead, which on a busy machine takes its time: until then it holds its locks.
dead() {
	local i
	for ((i = 0; i < 1000; i++)); do
		grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status" || return 0
		sleep 0.01
	done
	return 1
}

keeper_pid() { cat "$OSIER_STATE/keeper.lock" 2>/dev/null; }
# The engine is the keeper's child; while it is started again there is none.
engine_pid() {
	local p
	for p in $(cat /proc/"$(keeper_pid)"/task/*/children 2>/dev/null); do
		cat "/proc/$p/cmdline" 2>/dev/null | tr '\0' ' ' | grep -q "osier engine --state $OSIER_STATE" && { echo "$p"; return 0; }
	done
	return 1
}

state() { "$OSIER" job "$1" --json 2>/dev/null | jq -r '.state // empty'; }

# Wait until the job has ended, whatever dies meanwhile; prints how.
settle() {
	local end=$((SECONDS + ${2:-100})) s
	while [ $SECONDS -lt $end ]; do
		s=$(state "$1")
		case $s in succeeded | failed | cancelled) echo "$s"; return 0 ;; esac
		sleep 0.1
	done
	echo "after ${2:-100} s still '$s'"
}

# Every entry of the journal, one a line.
entries() {
	local from=0 page
	while :; do
		page=$(timeout "$LIMIT" "$OSIER" replay --entries --from "$from" --limit 1000 --json) || return 1
		printf '%s\n' "$page" | jq -c '.entries[]'
		from=$(printf '%s\n' "$page" | jq -r '.next // empty')
		[ -n "$from" ] || return 0
	done
}

api() {
	local path=$1
	shift
	curl -s -m "$LIMIT" --unix-socket "$OSIER_STATE/api.sock" "$@" "http://osier$path"
}
