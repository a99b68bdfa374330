#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_mended - what keeps a hub from its broker, or a node from its hub, is told; and once it is mended nobody need start anything again. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
HUB=$TMP/hub A=$TMP/a
machines "$A" "$HUB"
printf 'name: plant\ncapacity: {cpu: 2}\n' >"$HUB/config.yaml"
printf 'name: press-4\ncapacity: {cpu: 2}\n' >"$A/config.yaml"
export OSIER_STATE=$HUB
own() { [ "$(curl -sS --unix-socket "$A/api.sock" http://osier/v1/nodes | jq -r .hub.state)" = "$1" ]; }
doctor() { osier --state "$1" doctor 2>&1 | tee "$TMP/out" | grep -q -- "$2"; }
silent() { ! doctor "$@"; }
hub_begins || exit 1
fact "a node joins" exits 0 osier --state "$A" join "$(line)"
fact "and is up" soon own up

exits 0 osier --state "$A" down || exit 1
chmod 644 "$A/keys/commit.secret" || exit 1
exits 0 osier --state "$A" up || exit 1
fact "a node that cannot read what its link needs says so" soon doctor "$A" "the hub cannot be reached: others than its owner may use the key file"
sleep 6
fact "once" bash -c '[ "$(osier --state "$1" doctor 2>&1 | grep -c "commit.secret")" = 1 ]' _ "$A"
chmod 600 "$A/keys/commit.secret"
fact "when it can, the link comes" soon own up
fact "and nothing is wrong any more" silent "$A" "commit.secret"

exits 0 osier down || exit 1
mv "$HUB/hub/mosquitto.conf" "$TMP/conf" && mkdir "$HUB/hub/mosquitto.conf" || exit 1
exits 0 osier up || exit 1
fact "a hub that cannot have a broker says so" soon doctor "$HUB" "no node can be reached: "
rmdir "$HUB/hub/mosquitto.conf"
fact "when it can, its node comes" soon own up
fact "and nothing is wrong there, either" silent "$HUB" "no node can be reached"
