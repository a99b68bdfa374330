#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_unheard - a broker that has outlived its hub takes a node, and nobody answers behind it: the node says so, goes on to the next place where the hub
# may be, and comes around again.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.sh && . test/hub.sh && . test/node.sh
PG_DIR=$T/pg
. test/postgres.sh
H=$T/h S=$T/s C=$T/c
mkdir -p "$H" "$S" "$C"
printf 'name: hub1\ncapacity: {cpu: 0.001}\n' >"$H/config.yaml"
printf 'name: hub2\ncapacity: {cpu: 0.001}\n' >"$S/config.yaml"
printf 'name: press\ncapacity: {cpu: 2}\n' >"$C/config.yaml"
broker_pid() { cut -d' ' -f1 "$1/hub/mosquitto.pid"; }
no_broker() { [ ! -s "$1/hub/mosquitto.pid" ] || kill -9 "$(broker_pid "$1")" 2>/dev/null; }
at_end() { for s in "$H" "$S" "$C"; do OSIER_STATE=$s timeout 30 "$OSIER" down >/dev/null 2>&1; no_broker "$s"; done; pg_end; }
HP=$(free_port) HB=$(free_port) SP=$(free_port) SB=$(free_port)
SOON=300 # a minute
up_at() { [ "$(curl -s -m 5 --unix-socket "$C/api.sock" http://osier/v1/nodes | jq -r '"\(.hub.state) \(.hub.origin)"')" = "up https://127.0.0.1:$1" ]; }
says() { "$OSIER" --state "$C" "$1" 2>&1 | grep -qE "$2"; }
# What is left of the hub at $1 is its broker: an engine that sees its keeper go would end it.
hub_dies() {
	local keeper engine
	OSIER_STATE=$1
	keeper=$(keeper_pid) engine=$(engine_pid)
	kill -STOP "$keeper"
	kill -9 "$engine"
	kill -9 "$keeper"
}
ok "PostgreSQL starts" pg_up a
URL=$(pg_url a)
told "a hub begins" 0 "osier join" "$OSIER" --state "$H" hub --record "$URL" --address 127.0.0.1 --listen 127.0.0.1 --port "$HP" --broker-port "$HB" --name plant
told "a node joins it" 0 'joined' "$OSIER" --state "$C" join "$(line "$H")"
ok "and is up" soon up_at "$HP"

hub_dies "$H"
ok "the node says what it waits for" soon says nodes "alone: .*the broker at 127.0.0.1 port $HB answers, the hub behind it does not$"
ok "its doctor does, too" soon says doctor "the broker at 127.0.0.1 port $HB answers, the hub behind it does not"
told "the hub starts again" 0 . "$OSIER" --state "$H" up
ok "and has its node again" soon up_at "$HP"

told "another machine stands by" 0 'standing by' "$OSIER" --state "$S" hub --standby "$(line "$H" --standby)" --address 127.0.0.1 --listen 127.0.0.1 --port "$SP" --broker-port "$SB"
ok "the node knows both places" soon grep -q "$SP" "$C/parent/parent.json"
hub_dies "$H"
ok "the node says that it will look elsewhere" soon says nodes "does not, other places are looked at in turn"
began=$SECONDS
ok "it finds the standby that has taken over" soon up_at "$SP"
echo "# after $((SECONDS - began)) s"
ok "while the broker of the lost hub would have it" kill -0 "$(broker_pid "$H")"
OSIER_STATE=$S works "it works there"

# Two brokers without a hub now.
hub_dies "$S"
ok "the node notices" soon says nodes 'alone: '
told "the first hub comes back" 0 . "$OSIER" --state "$H" up --record "$URL" --standby
ok "the node comes around" soon up_at "$HP"
OSIER_STATE=$H works "and works there"
exit $bad
