#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# logs_outlast_the_engine - `osier logs -f` goes on when the engine dies, and shows each line once. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.bash
cd "$TMP" || exit 1

cat >talk.yaml <<'X'
name: talk
shell: 'i=0; while [ $i -lt 40 ]; do echo "${task} says $i"; echo "${task} whispers $i" >&2; i=$((i+1)); sleep 0.1; done'
array: 3
resources: {cpu: 0.25}
X
long() { head -c 50000 /dev/zero | tr '\0' "$1"; }
cat >long.yaml <<X
name: long
shell: 'printf %s $(long x); sleep 2; echo $(long y)'
resources: {cpu: 0.25}
X
killed() { pkill -9 -f "osier engine --state $OSIER_STATE"; }
fact "a node is up" exits 0 osier up
fact "it takes jobs that talk for some seconds" eval 'exits 0 osier submit talk.yaml && exits 0 osier submit long.yaml'
osier logs -f talk-1 --no-prefix >talk.log 2>talk.err &
osier logs -f long-2 --no-prefix >long.log 2>long.err &
storm() {
	for _ in 1 2 3 4; do
		for _ in $(seq 100); do
			[ -s talk.log ] && break
			sleep 0.05
		done
		sleep 0.8
		killed || return 1
	done
	wait
}
fact "its engine dies four times while they are followed" storm
each_once() {
	for t in 0 1 2; do
		for i in $(seq 0 39); do
			echo "$t says $i"
			echo "$t whispers $i"
		done
	done | sort >want
	sort talk.log | diff want - | head -20 >diff
	# It may say that it waits, where an engine takes its time to be there again; nothing else.
	grep -v "the node's engine is down; waiting until its keeper has started it again" talk.err >else
	cat diff else
	[ ! -s diff ] && [ ! -s else ]
}
fact "each line was shown once" each_once
in_order() {
	for t in 0 1 2; do
		grep "^$t says" talk.log | diff - <(seq 0 39 | sed "s/^/$t says /") || return 1
	done
}
fact "those of a task in their order" in_order
whole() { [ "$(wc -c <long.log)" = 100001 ] && [ "$(tr -d '\n' <long.log | tr -s 'xy')" = xy ] || { wc long.log; cat long.err; return 1; }; }
fact "a line of 100 kB is whole" whole
fact "a node that goes down ends it with a reason" eval 'osier submit talk.yaml >/dev/null; (sleep 1; osier down) & exits 3 osier logs -f last && complains "the node ended before the job did"; wait'
echo "1..$tests"
