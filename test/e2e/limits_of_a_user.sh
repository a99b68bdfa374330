#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# limits_of_a_user - an ordinary user's tasks get cgroups from the user's systemd, and what a killed keeper left in them is killed. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
[ "$(id -u)" != 0 ] && [ -S "/run/user/$(id -u)/bus" ] && [ -f /sys/fs/cgroup/cgroup.controllers ] ||
	{ echo "1..0 # SKIP wants an ordinary user with a systemd of its own, and cgroup v2"; exit 0; }
. test/tap.bash
cd "$TMP" || exit 1

cat >eats.yaml <<'X'
name: eats
command: ["awk", 'BEGIN { s = "x"; for (i = 0; i < 30; i++) s = s s }']
resources: {memory: 64MiB}
X
printf 'name: where\ncommand: ["cat", "/proc/self/cgroup"]\n' >where.yaml
cat >leaves.yaml <<X
name: leaves
shell: 'setsid env -i /bin/sleep 917 & echo began; exec sleep 300'
X

# A task of a task's: the slot's limits must hold for it, too.
if grep -q /slot- /proc/self/cgroup; then
	echo "1..0 # SKIP within a task no other group is asked for"
	exit 0
fi
told() { ! osier run eats.yaml >out 2>err && grep -q 'out of memory.*killed at 64 MiB' err; }
fact "memory that runs out is told as such" told
is_there() { osier run where.yaml >out && grep -q 'osier-[0-9a-f]*-[0-9]*\.scope/osier-[0-9a-f]*/slot-' out; }
fact "tasks run in a scope of the user's systemd" is_there
gone() {
	for _ in $(seq 100); do
		ls -d /sys/fs/cgroup/user.slice/user-"$(id -u)".slice/user@"$(id -u)".service/app.slice/"$(sed 's/.*app.slice.\(osier-[^/]*\)\/.*/\1/' out)" >/dev/null 2>&1 || return 0
		sleep 0.1
	done
	return 1
}
fact "which ends with the command" gone
cleaned() {
	osier run leaves.yaml >out2 2>&1 &
	local run=$! left
	for _ in $(seq 200); do left=$(pgrep -fx '/bin/sleep 917') && break; sleep 0.1; done
	[ -n "$left" ] && kill -9 "$(cat "$OSIER_STATE/keeper.lock")" || return 1
	wait $run
	osier run where.yaml >out 2>&1 &
	run=$!
	for _ in $(seq 200); do kill -0 "$left" 2>/dev/null || break; sleep 0.1; done
	! kill -0 "$left" 2>/dev/null || return 1
	kill -INT $run; wait $run
	return 0
}
fact "what a killed keeper left there is killed by the next" cleaned
echo "1..$tests"
