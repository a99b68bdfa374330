#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# killed_engine_mixes_nothing_up - the engine is killed with a task that could not be started between one that is not done with yet and
# those behind it: each gets its own result all the same. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.bash
cd "$TMP" || exit 1

# The 33 in front teach the node that several fit into a lease: the four in the middle share one. The environment of the one in x is
# larger than a process may be given.
{ seq 33 | sed 's/^/quick/'; echo first; head -c 4000 /dev/zero | tr '\0' x; printf '\nthird\nfourth\n'; seq 27 | sed 's/^/late/'; } >lines
many=$(printf '${line}%.0s' $(seq 14))
job() { # NAME WHAT-THE-FIRST-DOES
	cat >"$1.yaml" <<X
name: $1
keep_going: true
array: {line: {lines: lines}}
command: [sh, -c, 'if [ "\$1" = first ]; then : >$TMP/$1-began; $2; else : >large; fi; echo I am \$1; : >$TMP/$1-\$1', x, '\${line}']
outputs: [large]
env: {A: "$many", B: "$many", C: "$many", D: "$many"}
resources: {cpu: $(nproc)}
X
	exits 0 osier submit "$1.yaml"
}
killed_after() { # FILE: a moment after it is there
	local pid
	for _ in $(seq 1000); do
		[ -e "$1" ] && break
		sleep 0.01
	done
	sleep 0.2
	pid=$(pgrep -f "osier engine --state $OSIER_STATE") && kill -9 $pid
}
ended() { timeout 60 osier wait "$1"; exits 0 osier tasks "$1" --all --json && json '.tasks | length == 64'; }
outcomes() {
	jq -r '[.tasks[33:37][].state] | join(" ")' "$TMP/out" | grep -qx 'succeeded failed succeeded succeeded' && return 0
	jq -r '[.tasks[33:37][].state] | join(" ")' "$TMP/out"
	return 1
}
own() { # JOB: what each printed
	local got
	got=$(for i in 33 35 36 37; do osier logs "$1/$i" --no-prefix; done | tr '\n' ' ')
	[ "$got" = "I am first I am third I am fourth I am late1 " ] || { echo "$got"; return 1; }
}

fact "a node is up" exits 0 osier up
fact "it takes a job whose first writes 3 GiB" job big 'truncate -s 3G large'
fact "its engine is killed when the third has run, and the first is being read" killed_after big-third
fact "the job ends" ended big-1
fact "what could not be started failed, nothing else" outcomes
fact "each printed its own" own big-1
fact "it takes a job whose first runs for a while" job slow 'sleep 1; : >large'
fact "its engine is killed while the first runs" killed_after slow-began
fact "the job ends" ended slow-2
fact "what could not be started failed, nothing else" outcomes
fact "each printed its own" own slow-2
echo "1..$tests"
