#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_tree - a tree three deep: work flows down to the leaf and results up to the top, through a middle that is both hub and node; the leaf is cut
# off in the middle of a job and comes back, the middle's engine is killed: everything arrives once; a label of the leaf is asked for at the top. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
TOP=$TMP/top HUB=$TMP/top MID=$TMP/mid LEAF=$TMP/leaf STOPPED=
machines "$LEAF" "$MID" "$TOP"
chmod 755 "$TMP"
printf 'name: region\ncapacity: {cpu: 1}\nnamespaces: {team: {quota: {cpu: 8}}}\n' >"$TOP/config.yaml"
printf 'name: site\ncapacity: {cpu: 2}\n' >"$MID/config.yaml"
printf 'name: press-4\ncapacity: {cpu: 8}\nlabels: {board: jetson}\n' >"$LEAF/config.yaml"
export OSIER_STATE=$TOP
ends() { [ -n "$STOPPED" ] && kill -CONT "$STOPPED"; take_down; finish; }
at() { [ "$(api "$1" /v1/nodes | jq -r ".nodes[] | select(.name == \"$2\") | $3")" = "$4" ]; }
cpu() { at "$1" "$2" '.resources[] | select(.name == "cpu").capacity' "$3"; }
team() { [ "$(api "$1" /v1/namespaces | jq -r ".namespaces[] | select(.name == \"team\") | $2")" = "$3" ]; }
job() { api "$TOP" "/v1/jobs/$1"; }
lines() { [ "$(wc -l <"$TMP/$1")" -ge "$2" ]; }
pid() { osier --state "$1" version --json | jq .node.pid; }
for s in "$TOP" "$MID"; do
	PORT=$(free_port) BPORT=$(free_port) OSIER_STATE=$s hub_begins || exit 1
done
fact "a hub joins a hub" exits 0 osier --state "$MID" join "$(line "$TOP")"
fact "a node joins the one in the middle" exits 0 osier --state "$LEAF" join "$(line "$MID")"
fact "which sees it" soon at "$MID" press-4 .state up
fact "the top sees the middle" soon at "$TOP" site .state up
fact "with what both have in sum" soon cpu "$TOP" site 10
fact "and knows nothing of the leaf" [ "$(api "$TOP" /v1/nodes | jq '.nodes | length')" = 2 ]
exits 0 osier node drain || exit 1
exits 0 osier --state "$MID" node drain || exit 1
fact "the middle takes nothing itself, which the top hears" soon cpu "$TOP" site 8

head -c 200000 /dev/urandom >"$TMP/in.bin"
cat >"$TMP/work.yaml" <<Y
name: work
steps:
  cut:
    shell: "echo \${task} >>$TMP/ran; echo in \${node}; sleep 2; head -c \$((100000 + \${task})) in.bin >out.bin"
    inputs: [in.bin]
    outputs: [out.bin]
    array: 32
    resources: {cpu: 1}
  back:
    shell: "echo \${task} >>$TMP/back; wc -c <part"
    inputs: {part: {from: cut, output: out.bin}}
    array: 32
    resources: {cpu: 1}
  sum:
    command: cat \$OSIER_INPUTS | awk '{n += \$1} END {print n}'
    reduce: {of: back}
Y
: >"$TMP/ran" && : >"$TMP/back" && chmod 666 "$TMP/ran" "$TMP/back"
fact "a job is submitted at the top" exits 0 osier submit --quiet "$TMP/work.yaml"
fact "its tasks run at the leaf" soon lines ran 8
fact "as jobs of its own" [ "$(api "$LEAF" /v1/jobs | jq '.jobs | length')" -ge 1 ]
fact "the top has them with the middle" [ "$(api "$TOP" /v1/jobs/1/tasks/cut/0 | jq -r '.live.node // .attempts[0].node')" = site ]
fact "the middle with the leaf" at "$MID" press-4 '.leases > 0' true
fact "and starts none itself" at "$MID" site .leases 0
STOPPED=$(pid "$LEAF")
kill -STOP "$STOPPED"
fact "the leaf says nothing any more, which the middle notices" soon at "$MID" press-4 .state disconnected
fact "the top has lost nobody" at "$TOP" site .state up
fact "nor has any task been given up" [ "$(api "$TOP" /v1/jobs/1 | jq .counts.failed)" = 0 ]
kill -9 "$(pid "$MID")"
kill -CONT "$STOPPED" && STOPPED=
fact "the leaf is back, and the middle, which was killed meanwhile" soon at "$MID" press-4 .state up
fact "as the top sees" soon at "$TOP" site .state up
fact "the job ends" soon done_is 1
once() { cmp <(sort -n "$TMP/$1") <(seq 0 31); }
fact "each of its tasks ran once" once ran
fact "those of the step after it, too" once back
fact "each succeeded once, as the top has it" bash -c '[ "$1" = "65 0" ]' _ "$(job 1 | jq -r '"\(.counts.succeeded) \(.counts.failed)"')"
api "$TOP" /v1/jobs/1/tasks/cut/31/output/out.bin >"$TMP/out31"
fact "a file from the leaf is at the top, byte for byte" cmp "$TMP/out31" <(head -c 100031 "$TMP/in.bin")
fact "and went down to it again, as the last step has it from all" [ "$(osier logs 1/sum/0 2>/dev/null)" = $((32 * 100000 + 31 * 16)) ]
held() { [ "$(api "$1" /v1/jobs | jq '[.jobs[] | select(.state == "running" or .state == "waiting")] | length')" = 0 ]; }
fact "nothing is left in the middle" soon held "$MID"
fact "nor at the leaf" soon held "$LEAF"

below() { [ "$(api "$1" /v1/nodes | jq -r '.nodes[] | select(.name == "site").below[] | "\(.labels.board) \(.nodes) \(.resources[] | select(.name == "cpu").capacity)"')" = "$2" ]; }
fact "the top knows what is below it, by its labels" soon below "$TOP" "jetson 1 8"
fact "as it says" bash -c "osier node inspect site 2>/dev/null | grep -q '^below it.*board=jetson.*: 1 node with cpu 8 (8 free)'"
printf 'name: there\nwhere: {board: jetson}\nresources: {cpu: 2}\narray: 6\nshell: "sleep 0.3; pwd"\n' >"$TMP/there.yaml"
fact "a plan finds room there" [ "$(osier plan --json "$TMP/there.yaml" 2>/dev/null | jq -c '[.steps[0].places[] | [.node, .at_once]]')" = '[["site",4]]' ]
fact "a job of the top that asks for that label runs" bash -c "osier run '$TMP/there.yaml' >'$TMP/there.out' 2>/dev/null"
fact "at the leaf" [ "$(grep -c "$LEAF/" "$TMP/there.out")" = 6 ]
printf 'name: nowhere\nwhere: {board: orin}\ncommand: "true"\n' >"$TMP/nowhere.yaml"
exits 0 osier submit --quiet "$TMP/nowhere.yaml" || exit 1
fact "one for a label that nobody has says so, and what there is" bash -c "osier why last 2>/dev/null | grep -q \"site.*board must be orin.*below it: .*board=jetson.* with 8 cpu\""
exits 0 osier cancel last || exit 1

# 8 cpu for the namespace: half is lent to the middle, and half of that to the leaf.
fact "the leaf has its part of the middle's part of a quota" soon team "$LEAF" .share.quota.cpu 2
printf 'name: own\nnamespace: team\ncommand: sleep 600\narray: 5\nresources: {cpu: 1}\n' >"$TMP/own.yaml"
exits 0 osier --state "$LEAF" submit --quiet "$TMP/own.yaml" || exit 1
fact "its own job runs within that" soon team "$LEAF" .used.cpu 2
sleep 0.5
fact "and not beyond" team "$LEAF" .used.cpu 2
fact "which says so" bash -c "osier --state '$LEAF' why last/4 2>/dev/null | grep -q \"may use 2 cpu here\""
