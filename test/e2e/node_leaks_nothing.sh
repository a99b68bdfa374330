#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# node_leaks_nothing - after thousands of jobs of every end, a node holds what it held before: descriptors, processes, folders, cgroups,
# and memory. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
WORKER=$BUILD/test/e2e/e2e-worker
mkdir -p "$OSIER_STATE"
printf 'history: {age: 1s}\ncapacity: {cpu: 4}\n' >"$OSIER_STATE/config.yaml"
ok "a node is up" up
chmod 777 "$T"

fds() { find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l; }
anonymous_kib() { awk '/^RssAnon/ {print $2}' "/proc/$1/status"; }
children() { pgrep -P "$(keeper_pid)" | wc -l; }
# Those below the keeper's own, or beside it (version 1), in every hierarchy.
groups() {
	local path
	cut -d: -f3 "/proc/$(keeper_pid)/cgroup" | grep osier | sort -u | while read -r path; do
		find /sys/fs/cgroup -path "*$(dirname "$path")/*" -type d 2>/dev/null
	done | wc -l
}
files() { find "$OSIER_STATE/scratch" "$OSIER_STATE/spool" -mindepth 1 2>/dev/null | wc -l; }

job() { cat >"$T/$1.yaml"; }
job plain <<<'{name: plain, command: [echo, hi]}'
job fails <<<'{name: fails, shell: "echo no >&2; exit 3", retries: {max: 1, backoff: 1ms}}'
job killed <<<'{name: killed, shell: "kill -9 $$"}'
job absent <<<'{name: absent, command: [/no/such/program]}'
nap=100.$$ # nobody else's
job family <<<"{name: family, shell: 'sleep $nap & sleep $nap & echo left two'}"
job output <<<'{name: output, shell: "head -c 200000 /dev/zero >out; head -c 70000 /dev/zero", outputs: [out]}'
job timeout <<<"{name: timeout, command: [sleep, '$nap'], timeouts: {run: 50ms}, grace: 100ms}"
cat >"$T/crash.yaml" <<X
name: crash
worker: {command: [$WORKER], function: poison}
array: 20
X
grep -q '"poison"' test/e2e/engine_worker.c || sed -i 's/poison/odd_fails/' "$T/crash.yaml"
cat >"$T/work.yaml" <<X
name: work
worker: {command: [$WORKER], function: square}
array: 2000
X

round() { # TIMES: jobs of every kind, all ended
	local i k ids
	for i in $(seq "$1"); do
		for k in plain fails killed absent family output crash work; do "$OSIER" submit "$T/$k.yaml" >/dev/null 2>&1 || return 1; done
	done
	"$OSIER" submit "$T/timeout.yaml" >/dev/null
	ids=$(for i in 1 2 3 4 5; do "$OSIER" submit "$T/timeout.yaml" --json | jq -r .id; done)
	# shellcheck disable=SC2086
	"$OSIER" cancel $ids >/dev/null
	idle
}
idle() {
	local end=$((SECONDS + 60))
	while [ $SECONDS -lt $end ]; do
		[ "$("$OSIER" jobs --json --status active 2>/dev/null | jq '.jobs | length')" = 0 ] && [ "$(children)" = 1 ] && [ "$(files)" = 0 ] && return 0
		sleep 0.1
	done
	echo "after a minute: $(children) children of the keeper, $(files) files; active: $("$OSIER" jobs --status active | head -5)"
	find "$OSIER_STATE/scratch" "$OSIER_STATE/spool" -mindepth 1 | head
	return 1
}

# What is kept for the next task is given back after some seconds without one.
falls_to() { # MOST COMMAND...
	local most=$1 end=$((SECONDS + 30)) now
	shift
	while [ $SECONDS -lt $end ]; do
		now=$("$@")
		[ "$now" -le "$most" ] && return 0
		sleep 0.2
	done
	echo "still $now, more than $most"
	return 1
}

ok "a first round warms it up" round 6
engine=$(engine_pid) keeper=$(keeper_pid)
sleep 8
e_fds=$(fds "$engine") k_fds=$(fds "$keeper") g=$(groups) e_mem=$(anonymous_kib "$engine") k_mem=$(anonymous_kib "$keeper")
ok "many more jobs of every end" round "${ROUNDS:-20}"
is "the engine is the same" "$(engine_pid)" "$engine"
ok "it holds no more descriptors than before ($e_fds)" falls_to $((e_fds + 1)) fds "$engine"
ok "nor does the keeper ($k_fds)" falls_to $((k_fds + 1)) fds "$keeper"
ok "no cgroup is left of a task" falls_to "$g" groups
ok "no process of a task lives" sh -c "! pgrep -f '^sleep $nap$'"
is "nobody is a zombie" "$(ps -o stat= --ppid "$keeper" | grep -c Z)" 0
# A sanitizer keeps freed memory for a while, so there it says nothing.
if nm -D "$OSIER" 2>/dev/null | grep -q __asan_init || nm "$OSIER" 2>/dev/null | grep -q __asan_init; then
	echo "ok - the engine's memory does not grow # SKIP a sanitizer holds what was freed"
else
	ok "the engine's memory does not grow ($e_mem KiB)" falls_to $((e_mem + 1000)) anonymous_kib "$engine"
	ok "nor the keeper's ($k_mem KiB)" falls_to $((k_mem + 400)) anonymous_kib "$keeper"
fi
exit $bad
