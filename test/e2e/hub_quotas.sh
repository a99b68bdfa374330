#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_quotas - a hub's quota of a namespace holds for what is submitted at a node, too, also when the hub is gone. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
HUB=$TMP/hub A=$TMP/a
machines "$HUB" "$A"
printf 'name: plant\ncapacity: {cpu: 8}\nnamespaces: {team: {quota: {cpu: 4}, local: {cpu: 1}, lend: 12s}}\n' >"$HUB/config.yaml"
printf 'name: press-4\ncapacity: {cpu: 8}\n' >"$A/config.yaml"
export OSIER_STATE=$HUB
team() { api "$1" /v1/namespaces | jq -r ".namespaces[] | select(.name == \"team\") | $2"; }
is() { [ "$(team "$1" "$2")" = "$3" ]; }
hub_begins || exit 1
LINE=$(line)
fact "a node joins" exits 0 osier --state "$A" join "$LINE"
fact "it has an even part of the quota" soon is "$A" .share.quota.cpu 2
fact "of its hub" is "$A" .share.of "$(osier hub show --json | jq -r .name)"
fact "which counts it as lent" soon is "$HUB" .lent.cpu 2
printf 'name: long\nnamespace: team\ncommand: sleep 600\narray: 6\nresources: {cpu: 1}\n' >"$TMP/long.yaml"
exits 0 osier --state "$A" submit --quiet "$TMP/long.yaml" || exit 1
exits 0 osier submit --quiet "$TMP/long.yaml" || exit 1
fact "of six tasks at the node two run" soon is "$A" .used.cpu 2
fact "and two of six at the hub" soon is "$HUB" .used.cpu 2
why() { osier --state "$A" why 1/2 2>/dev/null | grep -q "namespace 'team' may use 2 cpu here until 20.*Z (delegated by .*), 2 are in use"; }
fact "why says so" soon why
fact "and so does osier ns" bash -c "osier --state '$A' ns | grep -q \"team .*cpu 2 of .*'s until\""
exits 0 osier down || exit 1
fact "without its hub the node goes on with its part" is "$A" .used.cpu 2
fact "until that has run out: then with what is local" soon is "$A" .used.cpu 1
over() { osier --state "$A" why 1/2 2>/dev/null | grep -q "namespace 'team' may use 1 cpu here (.* has not been heard of"; }
fact "why says that" soon over
fact "what was stopped has not failed" [ "$(api "$A" /v1/jobs/1 | jq -r .counts.failed)" = 0 ]
exits 0 osier up || exit 1
fact "the hub is back, and so is the share" soon is "$A" .share.quota.cpu 2
fact "and its tasks" soon is "$A" .used.cpu 2
fact "a quota that is lifted at the hub is lifted at the node" exits 0 osier ns set team --quota '' --local ''
fact "at once" soon is "$A" .share null
fact "and all its tasks run" soon is "$A" .used.cpu 6
