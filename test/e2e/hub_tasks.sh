#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_tasks - what a task of a hub's is told of itself on another machine, and how it makes way there for something more urgent. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
HUB=$TMP/hub A=$TMP/a
machines "$HUB" "$A"
printf 'name: plant\n' >"$HUB/config.yaml"
printf 'name: Hall_A\ncapacity: {cpu: 1}\n' >"$A/config.yaml"
export OSIER_STATE=$HUB
hub_begins || exit 1
LINE=$(line)
exits 0 osier --state "$A" up || exit 1
echo "command: true" >"$TMP/true.yaml"
for _ in 1 2 3; do exits 0 osier --state "$A" run --quiet "$TMP/true.yaml" || exit 1; done # its numbers are others than the hub's
fact "a node joins under another name than its own" exits 0 osier --state "$A" join "$LINE" --name press-4
fact "and is up" soon state_is press-4 up
exits 0 osier node drain || exit 1
cat >"$TMP/who.yaml" <<'Y'
name: who
command: ["sh", "-c", "echo ${job} ${attempt} ${node} $OSIER_JOB $OSIER_ATTEMPT"]
Y
osier run --quiet "$TMP/who.yaml" >"$TMP/said" 2>/dev/null
ATTEMPT=$(api "$HUB" /v1/jobs/1/tasks/main/0 | jq -r '.attempts[0].lease')
fact "a task is told the numbers of the hub, and its name for the node" [ "$(cat "$TMP/said")" = "1 $ATTEMPT press-4 who-1 $ATTEMPT" ]
cat >"$TMP/slow.yaml" <<'Y'
name: slow
shell: |
  trap 'echo saved >>$MARK; exit 1' USR1
  echo began >>$MARK
  [ $(grep -c began $MARK) -gt 1 ] && exit 0
  while :; do sleep 0.1; done
checkpoint_signal: USR1
retries: 0
Y
: >"$TMP/mark" && chmod 666 "$TMP/mark" && chmod 755 "$TMP"
sed -i "s|\$MARK|$TMP/mark|g" "$TMP/slow.yaml"
fact "a long task goes to the node" exits 0 osier submit --quiet "$TMP/slow.yaml"
fact "and begins" soon grep -q began "$TMP/mark"
printf 'name: now\nclass: realtime\ncommand: echo urgent\n' >"$TMP/now.yaml"
fact "something urgent runs there at once" exits 0 osier run --quiet "$TMP/now.yaml"
fact "the long task was asked to save what it had" grep -q saved "$TMP/mark"
fact "and runs again, to its end" exits 0 osier wait 2
fact "which is no failure, and no retry" bash -c '[ "$1" = "succeeded 0 1" ]' _ "$(api "$HUB" /v1/jobs/2 | jq -r '"\(.state) \(.counts.failed) \(.counts.succeeded)"')"
