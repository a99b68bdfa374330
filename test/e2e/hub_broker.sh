#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_broker - a hub at a mosquitto that osier did not start, set up as docs/fleet.md says: nodes move to it, work over it, reach nothing of each
# other's there; it restarts; who is shut out is heard no more, and is not let in once its list is new. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
HUB=$TMP/hub A=$TMP/a B=$TMP/b STOLEN=$TMP/stolen ETC=$TMP/etc
machines "$HUB" "$A" "$B"
mkdir -p "$ETC/conf.d"
chmod 755 "$TMP"
printf 'name: plant\ncapacity: {cpu: 0.001}\n' >"$HUB/config.yaml"
printf 'name: good\ncapacity: {cpu: 2}\n' >"$A/config.yaml"
printf 'name: evil\ncapacity: {cpu: 1}\n' >"$B/config.yaml"
export OSIER_STATE=$HUB
MOSQUITTO=
ends() { take_down; [ -n "$MOSQUITTO" ] && broker_ends; finish; }
OWN=$(free_port)
SOON=200
own_is() { so "$(api "$1" /v1/nodes | jq -r .hub.state)" "$2"; }
evil() { timeout 60 python3 test/e2e/hub_hostile.py "$BPORT" "$STOLEN" evil "$@" >"$TMP/out" 2>"$TMP/err" || { cat "$TMP/err"; return 1; }; }
size() { api "$HUB" /v1/journal/head | jq .size; }
works() {
	printf 'name: work\narray: 20\nresources: {cpu: 0.5}\nwhere: {name: good}\nshell: echo ${task} on ${node}\n' >"$TMP/work.yaml"
	exits 0 osier submit --watch "$TMP/work.yaml" && says "19 on good"
}
# The broker as its owner runs it: with a configuration of his own that takes in what is in a folder, as Debian's does.
printf 'persistence true\npersistence_location %s/\nlog_dest stderr\nlog_type error\nlog_type warning\ninclude_dir %s/conf.d\n' "$ETC" "$ETC" >"$ETC/mosquitto.conf"
[ "$(id -u)" = 0 ] && echo "user nobody" >>"$ETC/mosquitto.conf" && chown nobody "$ETC" && install -d -o nobody -m 700 "$ETC/osier"
broker_starts() {
	mosquitto -c "$ETC/mosquitto.conf" 2>>"$TMP/mosquitto.log" &
	MOSQUITTO=$!
}
broker_ends() { kill "$MOSQUITTO" && wait "$MOSQUITTO"; MOSQUITTO=; }

# ---- first with one of its own ----
fact "a hub" exits 0 osier hub --address 127.0.0.1 --listen 127.0.0.1 --port "$PORT" --broker-port "$OWN"
fact "has a broker of its own, which needs nothing" exits 2 osier hub broker "$ETC/osier"
fact "and says how to name another" complains "osier hub --broker mqtts://HOST:8883"
fact "a node joins" exits 0 osier --state "$A" join "$(line)"
fact "and is up" soon state_is good up
first=$(cut -d' ' -f1 "$HUB/hub/mosquitto.pid")

# ---- another broker ----
for url in mqtt://localhost:$BPORT mqtts:// mqtts://localhost:0 mqtts://localhost:x mqtts://localhost:70000 'mqtts://a b' 'mqtts://[::1' mqtts://localhost:1/x; do
	fact "'$url' is none" exits 2 osier hub --broker "$url"
	fact "which is told" complains "is not the address of a broker"
done
fact "the owner's broker is named" exits 0 osier hub --broker "mqtts://localhost:$BPORT"
mkdir -m 777 "$TMP/open"; chmod 777 "$TMP/open"
fact "a folder that others may write into is refused" exits 5 osier hub broker "$TMP/open"
fact "what it needs is written" exits 0 osier hub broker "$ETC/osier"
fact "to be included" complains "include $ETC/osier/osier.conf"
fact "the key is for the folder's owner alone" so "$(stat -c '%a %U' "$ETC/osier/server.key")" "600 $(stat -c %U "$ETC/osier")"
fact "its certificate names the host of the URL, and no other" bash -c "openssl x509 -in '$ETC/osier/server.crt' -noout -ext subjectAltName | grep -q 'DNS:localhost\$'"
fact "said again nothing is new" exits 0 osier hub broker "$ETC/osier" --json
fact "as it says" json '.changed == false'
fact "the node knows where to go" soon grep -q "\"mqtts://localhost\"" "$A/parent/parent.json"
ln -s ../osier/osier.conf "$ETC/conf.d/osier.conf"
fact "the hub starts anew" exits 0 osier down --engine-only
broken() { osier doctor | grep -A1 'fail.*broker.*no node is reached: nobody listens at localhost' | grep -q 'osier hub broker FOLDER'; }
fact "and says that nobody listens there yet" soon broken
broker_starts
fact "when its owner has started it, the node is there" soon state_is good up
fact "and has nothing to say" bash -c "! osier doctor | grep -q 'fail'"
fact "the hub's own is gone" bash -c "! kill -0 $first"
fact "work goes over it" works
fact "another node joins" exits 0 osier --state "$B" join "$(line)"
fact "and is up" soon state_is evil up

# ---- who may do what there ----
cp -r "$B/parent" "$STOLEN"
osier --state "$B" down >/dev/null
before=$(size)
fact "who reaches for others' topics" evil others good
fact "hears nothing" says "heard nothing"
fact "and nobody hears it" below "$(size)" $((before + 20))
fact "least of all the other node" state_is good up
openssl s_client -connect "127.0.0.1:$BPORT" -CAfile "$HUB/hub/ca.crt" -tls1_2 </dev/null >"$TMP/tls" 2>&1
fact "who has no certificate is not let in" grep -q 'handshake failure\|certificate required' "$TMP/tls"

# ---- the broker restarts ----
printf "name: long\nresources: {cpu: 0.1}\nwhere: {name: good}\nretries: 0\nshell: 'while ! [ -e %s/go ]; do sleep 0.2; done; echo mine'\n" "$TMP" >"$TMP/long.yaml"
exits 0 osier submit -q "$TMP/long.yaml"
LONG=$(cat "$TMP/out")
runs() { so "$(api "$HUB" "/v1/jobs/$LONG/tasks/main/0" | jq -r .live.node)" good; }
fact "a task takes its time" soon runs
broker_ends
fact "without its broker the hub hears nobody" soon state_is good disconnected
touch "$TMP/go"
broker_starts
fact "the broker is back, and so is the node" soon state_is good up
fact "with what it did meanwhile" exits 0 osier wait "$LONG"
fact "done once" so "$(api "$HUB" "/v1/jobs/$LONG/tasks/main/0" | jq '.attempts | length')" 1

# ---- who is shut out ----
fact "a node is shut out" exits 0 osier hub revoke evil --reason 'it was stolen'
fact "and lost" soon state_is evil lost
before=$(size)
fact "the broker knows nothing of it yet, and lets it in" evil garbage 200
fact "the hub does not hear it" below "$(size)" $((before + 20))
fact "nor take it for there" state_is evil lost
fact "its list is new" exits 0 osier hub broker "$ETC/osier"
fact "as is said" says "now holds"
kill -HUP "$MOSQUITTO"
shut() { ! evil flood 1 && grep -qi 'revoked\|closed\|reset\|not let in\|eof' "$TMP/err"; }
fact "now it is not let in any more" soon shut
fact "and the rest works on" works
fact "it may join again" exits 0 osier --state "$B" join "$(line)" --name evil
fact "for which the broker's list has to be new" exits 0 osier hub broker "$ETC/osier"
kill -HUP "$MOSQUITTO"
fact "then it is up" soon state_is evil up
fact "what was stolen is shut out all the same" shut

# ---- removed ----
fact "a node is removed" soon osier node remove evil
fact "and hears of it" soon own_is "$B" removed
fact "it is none any more" state_is evil ""

# ---- another one of the owner's, while the first goes on ----
SECOND=$(free_port)
fact "another broker is named" exits 0 osier hub --broker "mqtts://localhost:$SECOND"
mkdir "$ETC/conf2"
[ "$(id -u)" = 0 ] && install -d -o nobody -m 700 "$ETC/second"
fact "and has its files" exits 0 osier hub broker "$ETC/second"
ln -s ../second/osier.conf "$ETC/conf2/osier.conf"
sed "s|$ETC/conf.d|$ETC/conf2|; s/^persistence true/persistence false/" "$ETC/mosquitto.conf" >"$ETC/second.conf"
FIRST=$MOSQUITTO
mosquitto -c "$ETC/second.conf" 2>>"$TMP/mosquitto.log" &
MOSQUITTO=$!
fact "the hub goes there" exits 0 osier down --engine-only
there() { api "$A" /v1/parent | jq -r .broker | grep -q ":$SECOND" && state_is good up && own_is "$A" up; }
fact "and the node follows" soon there
fact "though the first is still there" kill -0 "$FIRST"
kill "$FIRST" && wait "$FIRST"
fact "work goes over the second" works

# ---- the hub restarts ----
fact "the hub goes down" exits 0 osier down
fact "its node knows" soon own_is "$A" away
fact "it is up again" exits 0 osier up
fact "and so is the node" soon state_is good up
fact "with work" works
echo "1..$tests"
