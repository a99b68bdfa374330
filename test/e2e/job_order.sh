#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# job_order - who goes first, who steps aside, and who may have how much: classes, priorities, shares, quotas, concurrency. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
mkdir -p "$OSIER_STATE"
printf 'capacity: {cpu: 2, memory: 8GiB, licence: 3}\nnamespaces: {small: {quota: {cpu: 1}}}\n' >"$OSIER_STATE/config.yaml"
ok "a node with two processors is up" up
chmod 777 "$T"

job() { cat >"$T/$1.yaml"; }
submit() { "$OSIER" submit "$T/$1.yaml" --json "${@:2}" | jq -r .id; }
until_is() { # WANTED COMMAND...: at most 30 s
	local want=$1 end=$((SECONDS + 30)) got
	shift
	while [ $SECONDS -lt $end ]; do
		got=$("$@" 2>/dev/null)
		[ "$got" = "$want" ] && return 0
		sleep 0.05
	done
	echo "still '$got', not '$want': $*"
	return 1
}
running() { "$OSIER" job "$1" --json | jq .counts.running; }
most() { # JOB: how many of its tasks ran at one time, by the journal
	entries | jq -s --argjson j "${1##*-}" '[.[] | select(.kind == "lease_granted" and .body.job == $j) | .body.lease] as $mine
		| reduce .[] as $e ([0, 0]; if $e.kind == "lease_granted" and $e.body.job == $j then [.[0] + 1, ([.[1], .[0] + 1] | max)]
			elif $e.kind == "lease_ended" and ($mine | index($e.body.lease)) then [.[0] - 1, .[1]] else . end) | .[1]'
}

# ---- classes and priorities ----

job block <<'X'
name: block
command: sleep 1000
class: realtime
resources: {cpu: 2}
grace: 1s
X
block=$(submit block)
ok "the machine is full" until_is 1 running "$block"
one() { # NAME PRIORITY CLASS
	printf 'name: %s\nshell: echo %s >>%s/order\npriority: %s\nclass: %s\nresources: {cpu: 2}\nkind: quick\n' "$1" "$1" "$T" "$2" "$3" >"$T/one.yaml"
	"$OSIER" submit "$T/one.yaml" >/dev/null
}
one low 10 batch
one high 90 batch
one middle 50 batch
one second 50 batch
one real 50 realtime
one raised 5 batch
ok "a priority can be raised while the job waits" "$OSIER" adjust raised-7 --priority 100
like "why tells what is in front" "$("$OSIER" why low-2)" 'cpu'
ok "room is made" "$OSIER" cancel "$block"
ok "all have run" until_is 6 grep -c . "$T/order"
is "realtime first, then by priority, then by age" "$(tr '\n' ' ' <"$T/order")" 'real raised high middle second low '

# ---- preemption ----

job steps_aside <<'X'
name: aside
shell: |
  trap 'echo checkpoint >>${dir}/aside; exit 0' USR1
  [ -e ${dir}/aside ] && { echo resumed >>${dir}/aside; exit 0; }
  while :; do sleep 0.05; done
parameters: {dir: /nowhere}
resources: {cpu: 2}
checkpoint_signal: USR1
grace: 20s
X
id=$(submit steps_aside -p "dir=$T")
ok "batch work runs" until_is 1 running "$id"
printf 'name: urgent\nshell: echo urgent >>%s/aside\nclass: realtime\nresources: {cpu: 2}\n' "$T" >"$T/urgent.yaml"
told "realtime work does not wait for it" 0 'succeeded' "$OSIER" submit --watch "$T/urgent.yaml"
is "the batch work goes on afterwards" "$(settle "$id")" succeeded
is "it was asked to save its work, stepped aside, and came back" "$(tr '\n' ' ' <"$T/aside")" 'checkpoint urgent resumed '
is "being preempted does not count as a failure" "$("$OSIER" job "$id" --json | jq -c '[.counts.succeeded, .counts.failed]')" '[1,0]'
job stubborn <<'X'
name: stubborn
shell: trap '' USR1 TERM; echo began >>${dir}/stubborn; while :; do sleep 0.05; done
parameters: {dir: /nowhere}
resources: {cpu: 2}
checkpoint_signal: USR1
grace: 500ms
X
id=$(submit stubborn -p "dir=$T")
ok "batch work that will not step aside runs" until_is 1 grep -c . "$T/stubborn"
told "it is killed after its grace" 0 'succeeded' "$OSIER" submit --watch "$T/urgent.yaml"
ok "and starts again" until_is 2 grep -c . "$T/stubborn"
ok "it can be cancelled" "$OSIER" cancel "$id"
is "and is" "$(settle "$id")" cancelled

# ---- how much ----

job narrow <<'X'
name: narrow
command: sleep 0.02
array: 12
resources: {cpu: 0.1}
concurrency: 3
X
told "a job with a limit of its own runs" 0 'succeeded' "$OSIER" submit --watch "$T/narrow.yaml"
is "no more than that at once" "$(most "$("$OSIER" jobs --json | jq -r .jobs[0].id)")" 3
job pool <<'X'
name: pool
command: sleep 0.05
array: 8
resources: {cpu: 0.1, licence: 1}
X
told "a job that needs licences runs" 0 'succeeded' "$OSIER" submit --watch "$T/pool.yaml"
is "no more at once than there are licences" "$(most "$("$OSIER" jobs --json | jq -r .jobs[0].id)")" 3
printf 'name: greedy\ncommand: echo hi\nresources: {licence: 4}\n' >"$T/greedy.yaml"
told "more licences than there are is refused, with what there is" 5 'licence.*3' "$OSIER" submit "$T/greedy.yaml"

job quota <<'X'
name: quota
command: sleep 0.05
array: 6
namespace: small
resources: {cpu: 0.5}
X
told "a namespace with a quota runs its work" 0 'succeeded' "$OSIER" submit --watch "$T/quota.yaml"
is "no more at once than its quota of one processor" "$(most "$("$OSIER" jobs --json | jq -r .jobs[0].id)")" 2
printf 'name: over\ncommand: sleep 1000\nnamespace: small\nresources: {cpu: 0.5}\narray: 4\ngrace: 1s\n' >"$T/over.yaml"
id=$(submit over)
ok "what is over it waits" until_is 2 running "$id"
like "why says that it is the quota" "$("$OSIER" why "$id/main/3")" 'quota'
ok "a larger quota is given" "$OSIER" ns set small --quota cpu=1.5
ok "and used at once" until_is 3 running "$id"
ok "and taken away" "$OSIER" ns set small --quota cpu=0.5
is "what runs is left alone" "$(running "$id")" 3
ok "it ends" "$OSIER" cancel "$id"
is "as told" "$(settle "$id")" cancelled
printf 'name: never\ncommand: echo hi\nnamespace: small\nresources: {cpu: 1}\n' >"$T/never.yaml"
told "what the quota would never allow is refused" 5 'cpu 1 is more than the quota of namespace .small. \(cpu 0.5' "$OSIER" submit "$T/never.yaml"

# ---- shares ----

ok "one namespace has three times the weight of another" "$OSIER" ns set heavy --weight 3
ok "the machine is taken" test -n "$(block=$(submit block); echo "$block")"
ok "and full" until_is 1 running "$("$OSIER" jobs --json | jq -r .jobs[0].id)"
blocker=$("$OSIER" jobs --json | jq -r .jobs[0].id)
for ns in heavy light; do
	printf 'name: %s\ncommand: sleep 0.3\narray: 200\nnamespace: %s\nresources: {cpu: 0.25}\nkind: %s\n' $ns $ns $ns >"$T/$ns.yaml"
	"$OSIER" submit "$T/$ns.yaml" >/dev/null
done
ok "it is let go" "$OSIER" cancel "$blocker"
heavy=$("$OSIER" jobs --json | jq -r '.jobs[] | select(.name == "heavy").id') light=$("$OSIER" jobs --json | jq -r '.jobs[] | select(.name == "light").id')
sleep 3
h=$(running "$heavy") l=$(running "$light")
ok "it gets three times as much ($h and $l)" test "$((h * 2))" -ge "$((l * 4))" -a "$l" -ge 1
ok "both end" "$OSIER" cancel "$heavy" "$light"
exit $bad
