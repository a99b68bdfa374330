#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# limits_are_told - what a task may use is what it gets, and one that asks for more than it said is told which limit it met and where
# that is written. Each limit for itself, with cgroups and without, is in keeper_limits.c.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
cd "$T" || exit 1
ok "a node is up" up
file() { cat >"$T/job.yaml"; }
ends() { told "$1" "$2" "$3" "$OSIER" submit --watch job.yaml; }
notices=$("$OSIER" version --json | jq -r '.node.notices // empty')

# ---- memory ----
file <<'X'
name: eater
command: [python3, -c, "x = bytearray(300 << 20)"]
resources:
  cpu: 0.5
  memory: 64MiB
X
if printf '%s' "$notices" | grep -q memory; then
	echo "ok - more memory than the limit # SKIP $(printf '%s' "$notices" | head -n 1)"
else
	ends "more memory than the limit: the line is named" 1 'killed at 64 MiB, peak [56][0-9] MiB, limit in job.yaml:5'
	is "it is an outcome of its own" "$("$OSIER" job last/0 --json | jq -r '.attempts[0].outcome')" out_of_memory
	file <<'X'
command: "python3 -c 'x = bytearray(300 << 20)'; echo survived; exit 3"
resources: {memory: 64MiB}
X
	ends "a child that met it" 1 'killed at 64 MiB, peak [56][0-9] MiB, limit in job.yaml:2'
	file <<'X'
command: "sleep 0.2; exit 5"
resources: {memory: 64MiB}
X
	ends "the next task is not blamed for it" 1 'exit code 5'
fi

# ---- a worker's ----
cat >"$T/mem.yaml" <<X
worker: {command: [python3, $OLDPWD/test/e2e/mark.py], function: eat, args: memory}
resources:
  memory: 64MiB
retries: {max: 0}
X
cp mem.yaml job.yaml
printf '%s' "$notices" | grep -q memory || ends "a worker that takes more memory: likewise" 1 'the worker: killed at 64 MiB, peak [56][0-9] MiB, limit in job.yaml:3'
sed 's/memory: 64MiB/disk: 10MiB/; s/memory/disk/' mem.yaml >job.yaml
ends "a worker that takes more disk" 1 'the worker: used [0-9]+ MiB of disk: 10 MiB, limit in job.yaml:3'

# ---- disk ----
file <<'X'
name: filler
command: "while :; do head -c 500000 /dev/zero >f$((i += 1)); sleep 0.01; done"
resources:
  disk: 10MiB
timeouts: {run: 60s}
X
ends "more disk than the limit, in many files" 1 'used 1[0-9] MiB of disk: 10 MiB, limit in job.yaml:4'
file <<'X'
command: "mkdir -p a/b; for i in $(seq 1500); do : >a/b/$i; done; while :; do head -c 500000 /dev/zero >a/f$((i += 1)); sleep 0.01; done"
resources: {disk: 10MiB}
timeouts: {run: 60s}
X
ends "in a tree of many" 1 'used [0-9]+ MiB of disk: 10 MiB, limit in job.yaml:2'
file <<'X'
command: "exec head -c 20000000 /dev/zero >f"
resources: {disk: 10MiB}
X
ends "in one file" 1 'a file reached disk: 10 MiB, limit in job.yaml:2'
file <<'X'
command: "for i in 1 2 3; do head -c 8000000 /dev/zero >f; sleep 0.3; rm f; done; echo within"
resources: {disk: 10MiB}
X
ends "what is removed again does not count" 0 within
file <<X
worker: {command: [python3, $OLDPWD/test/e2e/mark.py], function: mark, args: "$T/marks 1"}
array: 5
resources: {disk: 10MiB}
X
ends "a worker within its disk" 0 '5 of 5'

# ---- processes ----
file <<'X'
command: [python3, -c, "import os, time\nfor i in range(200):\n  if os.fork() == 0: time.sleep(30); os._exit(0)"]
limits: {pids: 20}
X
ends "more processes than the limit" 1 'BlockingIOError|Resource temporarily unavailable'

# ---- cpu ----
file <<'X'
command: "end=$(($(date +%s%N) + 1500000000)); while [ $(date +%s%N) -lt $end ]; do :; done"
resources: {cpu: 0.25}
X
if printf '%s' "$notices" | grep -qi 'cpu'; then
	echo "ok - a quarter of a cpu # SKIP $(printf '%s' "$notices" | head -n 1)"
else
	ends "a task that spins on a quarter of a cpu" 0 succeeded
	"$OSIER" job last/0 --json | jq -c '.attempts[0] | [.wall_s, .user_s, .system_s]' >"$T/used"
	ok "gets no more than that" jq -e '.[1] + .[2] < 0.4 * .[0]' "$T/used"
fi
works "the node works afterwards"
exit $bad
