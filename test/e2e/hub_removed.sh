#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_removed - a node is removed from its hub, with work and without, and joins again. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
HUB=$TMP/hub A=$TMP/a
machines "$HUB" "$A"
printf 'name: plant\ncapacity: {cpu: 2}\n' >"$HUB/config.yaml"
printf 'name: press-4\ncapacity: {cpu: 2}\n' >"$A/config.yaml"
export OSIER_STATE=$HUB
runs_on() { [ "$(api "$HUB" "/v1/jobs/$1/tasks/main/0" | jq -r .live.node)" = "$2" ]; }
hub_begins || exit 1
fact "a node joins" exits 0 osier --state "$A" join "$(line)"
fact "and is up" soon state_is press-4 up
own() { [ "$(api "$A" /v1/nodes | jq -r .hub.state)" = "$1" ]; }
# The word that it was removed does not count before the hub itself says so over HTTPS.
exits 0 osier --state "$A" down --engine-only || exit 1
fact "it is up as it says itself" soon own up
carries() { pgrep -P "$(osier --state "$A" version --json | jq .node.pid)" -f 'osier carrier'; }
fact "and has nothing to ask" bash -c '[ -z "$1" ]' _ "$(carries)"
cat >"$TMP/liar.py" <<'Y'
import socket, ssl, sys
hub, port = sys.argv[1], int(sys.argv[2])
c = ssl.create_default_context(cafile=hub + "/ca.crt")
c.load_cert_chain(hub + "/client.crt", hub + "/client.key")
s = c.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname="127.0.0.1")
s.sendall(b"\x10\x10\0\4MQTT\4\2\0\x3c\0\4liar")
assert s.recv(4) == b"\x20\2\0\0"
topic = b"osier/plant/press-4/down"
s.sendall(bytes([0x30, 2 + len(topic) + 7, 0, len(topic)]) + topic + b"removed" + b"\xe0\0")
s.recv(1)
Y
exits 0 python3 "$TMP/liar.py" "$HUB/hub" "$BPORT" || exit 1
fact "somebody says that it was removed: it asks" soon carries
sleep 1
fact "and was not" soon own up
fact "and its doctor finds nothing" bash -c "! osier --state '$A' doctor | grep -q removed"
exits 0 osier node drain || exit 1
printf 'command: sleep 300\n' >"$TMP/long.yaml"
exits 0 osier submit --quiet "$TMP/long.yaml" || exit 1
fact "it runs something" soon runs_on 1 press-4
fact "and is not removed meanwhile" bash -c "osier node remove press-4 2>&1 | grep -q \"'press-4' has 1 leases\""
fact "which says what to do" bash -c "osier node remove press-4 2>&1 | grep -q 'osier node drain press-4.*--force'"
fact "it is up all the same" state_is press-4 up
exits 0 osier node resume || exit 1
fact "by force it is" exits 0 osier node remove press-4 --force
fact "it is not among the nodes any more" state_is press-4 ""
fact "it hears of it" soon own removed
fact "and says so" bash -c "osier --state '$A' nodes 2>&1 | grep -q \"removed by the hub 'plant': the certificate of 'press-4' was revoked\""
fact "with what to do" bash -c "osier --state '$A' doctor | grep -A1 'fail.*removed by the hub' | grep -q 'osier leave.*osier join'"
exits 0 osier --state "$A" down --engine-only || exit 1
fact "also when its engine begins anew" soon own removed
fact "what it ran runs elsewhere" soon runs_on 1 plant
fact "this machine is no node to remove" bash -c "osier node remove plant 2>&1 | grep -q 'this machine'"
fact "one that there is not, neither" exits 4 osier node remove press-4
fact "it may join again, under its name" exits 0 osier --state "$A" join "$(line)"
fact "and is up again" soon state_is press-4 up
fact "as it says itself" soon own up
exits 0 osier cancel 1
fact "without work it goes at once" soon osier node remove press-4
fact "the hub starts again" exits 0 osier down --engine-only
fact "and has forgotten it" soon state_is press-4 ""
# The same key under another name: a hub that knew a node by two of them once renamed it for ever.
fact "it joins under another name" exits 0 osier --state "$A" join "$(line)" --name press-9
named() { [ "$(api "$HUB" /v1/nodes | jq -r '[.nodes[] | select(.node != 1) | "\(.name) \(.state)"] | join(",")')" = "$1" ]; }
fact "and is up under that alone" soon named "press-9 up"
fact "and under a third, when the second is given up" exits 0 osier hub revoke press-9
fact "it joins" exits 0 osier --state "$A" join "$(line)" --name press-10
fact "and is up under that alone, too" soon named "press-10 up"
size() { api "$HUB" /v1/metrics | awk '/^osier_journal_entries/ { print $2 }'; }
rss() { awk '/VmRSS/ { print $2 }' "/proc/$(osier version --json | jq .node.pid)/status"; }
sleep 1
SIZE=$(size) RSS=$(rss)
sleep 3
fact "nothing more is written of that" test "$(($(size) - SIZE))" -le 3
fact "nor kept in memory" test "$(($(rss) - RSS))" -le 4096
