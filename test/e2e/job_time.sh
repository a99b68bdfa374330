#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# job_time - retries and their back-off, timeouts, and deadlines; all of them changed while the job waits or runs. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
mkdir -p "$OSIER_STATE"
echo 'capacity: {cpu: 1}' >"$OSIER_STATE/config.yaml"
ok "a node with one processor is up" up

job() { cat >"$T/$1.yaml"; }
submit() { "$OSIER" submit "$T/$1.yaml" --json "${@:2}" | jq -r .id; }
task() { api "/v1/jobs/$1/tasks/${2:-main}/${3:-0}"; }
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

# ---- retries ----

job again <<'X'
name: again
shell: exit 75
retries: {max: 4, backoff: 200ms, backoff_max: 500ms, jitter: 20%, exit_codes: [75]}
X
told "a task that fails to the end fails the job" 1 '1 failed' "$OSIER" submit --watch "$T/again.yaml"
is "it ran once and four times more" "$(task again-1 | jq '.attempts | length')" 5
# From the end of one attempt to the start of the next: 200, 400, then 500 ms, each up to a fifth more or less; a busy machine adds.
gaps=$(task again-1 | jq -c 'def t: sub("\\.(?<f>[0-9]+)Z"; "Z") as $s | ($s | fromdate) + (capture("\\.(?<f>[0-9]+)Z").f | "0.\(.)" | tonumber);
	[.attempts as $a | range(1; $a | length) | (($a[.].started | t) - ($a[. - 1].reported | t)) * 1000 | floor]')
ok "the waits double up to their bound" jq -en --argjson g "$gaps" '$g[0] >= 160 and $g[1] >= 320 and $g[2] >= 400 and $g[3] >= 400 and $g[0] < 400 + ($g | min) and ($g | max) < 5000'
ok "no two waits are equal: there is jitter" jq -en --argjson g "$gaps" '($g | unique | length) >= 3'
sed 's/exit 75/exit 3/; s/^name: .*/name: fatal/' "$T/again.yaml" >"$T/fatal.yaml"
told "an exit code that is not worth a retry has none" 1 'exit code 3' "$OSIER" submit --watch "$T/fatal.yaml"
is "it ran once" "$(task fatal-2 | jq '.attempts | length')" 1
job third <<'X'
name: third
shell: '[ ${attempt} -ge 8 ] && echo made it || exit 1'
retries: {max: 10, backoff: 1ms}
X
told "a retry that succeeds makes the task succeed" 0 'made it' "$OSIER" submit --watch "$T/third.yaml"
job later <<'X'
name: later
shell: exit 1
retries: {max: 1, backoff: 1h, backoff_max: 1h}
X
id=$(submit later)
ok "between attempts a task is delayed" until_is 1 sh -c "'$OSIER' job $id --json | jq .counts.delayed"
like "why says until when" "$("$OSIER" why "$id")" "tried again in"
ok "it can be cancelled" "$OSIER" cancel "$id"
is "and is" "$(settle "$id")" cancelled

# ---- timeouts ----

job slow <<'X'
name: slow
command: sleep 1000
timeouts: {run: 300ms}
retries: {max: 1, backoff: 1ms}
grace: 1s
X
told "an attempt that runs too long is stopped, and tried again" 1 'timed out after' "$OSIER" submit --watch "$T/slow.yaml"
is "each attempt timed out" "$(task last | jq -c '[.attempts[].outcome]')" '["timed_out","timed_out"]'
job hour <<'X'
name: hour
command: sleep 1000
timeouts: {run: 1h}
grace: 1s
X
id=$(submit hour)
ok "it runs" until_is 1 running "$id"
ok "the limit of what runs is changed" "$OSIER" adjust "$id" --run-timeout 1s
is "it times out by the new one" "$(settle "$id"; task "$id" | jq -r .outcome)" $'failed\ntimed_out'

job block <<'X'
name: block
command: sleep 1000
grace: 1s
X
block=$(submit block)
ok "the machine is full" until_is 1 running "$block"
job queue <<'X'
name: queue
command: echo never
timeouts: {queue: 400ms}
X
told "a task that waits too long fails" 1 'waited too long' "$OSIER" submit --watch "$T/queue.yaml"
is "it never ran" "$(task last | jq '.attempts | length')" 0
sed 's/400ms/1h/; s/^name: .*/name: patient/' "$T/queue.yaml" >"$T/patient.yaml"
id=$(submit patient)
ok "the limit of what waits is changed" "$OSIER" adjust "$id" --queue-timeout 100ms
is "it fails by the new one" "$(settle "$id"; task "$id" | jq -r .outcome)" $'failed\nqueue_timeout'
job whole <<'X'
name: whole
steps:
  first: {command: echo first}
  second: {command: echo second, after: first}
timeouts: {job: 500ms}
X
id=$(submit whole)
is "a job that takes too long ends" "$(settle "$id")" failed
like "and says so" "$("$OSIER" job "$id"; "$OSIER" why "$id")" 'timeout|timed out|too long'
sed 's/500ms/1h/; s/^name: .*/name: whole2/' "$T/whole.yaml" >"$T/whole2.yaml"
id=$(submit whole2)
ok "the limit of the whole job is changed" "$OSIER" adjust "$id" --timeout 1s
is "it ends by the new one" "$(settle "$id")" failed
id=$(submit whole2)
ok "and lifted" "$OSIER" adjust "$id" --timeout none
ok "room is made" "$OSIER" cancel "$block"
is "what waited without a limit runs" "$(settle "$id")" succeeded

# ---- deadlines ----

job learn <<'X'
name: learn
command: sleep 0.3
array: 4
kind: work
class: realtime
X
told "run times are learned" 0 'succeeded' "$OSIER" submit --watch "$T/learn.yaml"
job soon <<'X'
name: soon
command: sleep 0.3
array: 20
kind: work
class: realtime
deadline: 2s
X
told "a deadline that cannot be met is refused, and the earliest finish named" 5 'deadline.*(earliest|at the earliest|not before)' "$OSIER" submit "$T/soon.yaml"
sed 's/deadline: 2s/deadline: {within: 2s, on_missed: warn}/; s/^name: .*/name: warned/' "$T/soon.yaml" >"$T/warned.yaml"
told "or taken with a warning, if the job says so" 0 'deadline.*(earliest|at the earliest|not before)' "$OSIER" submit "$T/warned.yaml"
ok "it can go" "$OSIER" cancel last
is "and goes" "$(settle last)" cancelled
sed 's/deadline: 2s/deadline: 1h/; s/^name: .*/name: easy/; s/array: 20/array: 2/' "$T/soon.yaml" >"$T/easy.yaml"
told "one that can be met is met" 0 'succeeded' "$OSIER" submit --watch "$T/easy.yaml"
printf 'name: past\ncommand: echo hi\ndeadline: {at: 2020-01-01T00:00:00Z}\n' >"$T/past.yaml"
told "one in the past is refused" 5 'deadline' "$OSIER" submit "$T/past.yaml"

# Earliest deadline first, whatever the order of submission.
sed 's/^name: .*/name: urgent\nclass: realtime/' "$T/block.yaml" >"$T/urgent.yaml"
block=$(submit urgent)
ok "the machine is full again" until_is 1 running "$block"
chmod 777 "$T"
for d in 3000s 1000s 2000s; do
	printf 'name: d%s\nshell: echo %s >>%s/order\nclass: realtime\ndeadline: {within: %s, on_missed: warn}\nkind: quick\n' "$d" "$d" "$T" "$d" >"$T/d.yaml"
	"$OSIER" submit "$T/d.yaml" >/dev/null 2>&1
done
ok "room is made for them" "$OSIER" cancel "$block"
is "the last of them ends" "$(settle last)" succeeded
ok "all have run" until_is 3 grep -c . "$T/order"
is "the earliest deadline went first" "$(tr '\n' ' ' <"$T/order")" '1000s 2000s 3000s '
exit $bad
