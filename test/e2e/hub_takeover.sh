#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_takeover - a machine that was let in by a token stands by for a hub, with its authority and keys; when everything of the hub is killed
# it takes over, and nodes that had joined the hub find it by themselves. The hub that comes back stands by, with one command.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.sh && . test/hub.sh && . test/node.sh
PG_DIR=$T/pg
. test/postgres.sh
H=$T/h S=$T/s C=$T/c
mkdir -p "$H" "$S" "$C"
printf 'name: hub1\ncapacity: {cpu: 0.001}\n' >"$H/config.yaml"
printf 'name: hub2\ncapacity: {cpu: 0.001}\n' >"$S/config.yaml"
printf 'name: press\ncapacity: {cpu: 2}\nledger: {fabric: {every: 1s}}\n' >"$C/config.yaml"
no_broker() { [ ! -s "$1/hub/mosquitto.pid" ] || kill -9 "$(cut -d' ' -f1 "$1/hub/mosquitto.pid")" 2>/dev/null; }
at_end() { for s in "$H" "$S" "$C"; do OSIER_STATE=$s timeout 30 "$OSIER" down >/dev/null 2>&1; no_broker "$s"; done; pg_end; }
HP=$(free_port) HB=$(free_port) SP=$(free_port) SB=$(free_port)
SOON=300 # a minute
standby() { [ "$(curl -s -m 5 --unix-socket "$1/api.sock" http://osier/v1/version | jq -r .record.standby)" = "$2" ]; }
# A hub's copy of its node's log is all that the node has published.
copied() { [ "$("$OSIER" --state "$1" ledger audit --of press --json | jq -r .size)" -ge "$(OSIER_STATE=$C api /v1/ledger | jq -r .size)" ]; }
up() { [ "$("$OSIER" --state "$1" nodes --json | jq -r '.nodes[] | select(.name == "press") | .state')" = up ]; }
ok "PostgreSQL starts" pg_up a
URL=$(pg_url a)

told "a hub without a record has no standby" 2 'nobody else can take over' bash -c "'$OSIER' --state '$C' hub --port $SP --broker-port $SB --listen 127.0.0.1 --address 127.0.0.1 >/dev/null && '$OSIER' --state '$C' hub token --standby; r=\$?; '$OSIER' --state '$C' down >/dev/null; rm -rf '$C/hub' ; exit \$r"
told "a hub begins, its journal in PostgreSQL" 0 "osier join" "$OSIER" --state "$H" hub --record "$URL" --address 127.0.0.1 --listen 127.0.0.1 --port "$HP" --broker-port "$HB" --name plant
told "a node joins it" 0 'joined' "$OSIER" --state "$C" join "$(line "$H")"
told "a token for a node lets no standby in" 5 'not a standby' "$OSIER" --state "$S" hub --standby "$(line "$H")" --address 127.0.0.1 --listen 127.0.0.1 --port "$SP" --broker-port "$SB"
L=$(line "$H" --standby)
told "nor one for a standby a node" 5 'for a standby' "$OSIER" --state "$C" join "$L" --name other
told "another machine stands by, with one line" 0 'standing by' "$OSIER" --state "$S" hub --standby "$L" --address 127.0.0.1 --listen 127.0.0.1 --port "$SP" --broker-port "$SB"
is "its secrets are its owner's alone" "$(stat -c %a "$S"/hub/ca.key "$S"/keys/*.key "$S"/record | sort -u | tr '\n' ' ')" "600 "
cmp -s "$H/hub/ca.key" "$S/hub/ca.key" && cmp -s "$H/keys/log.key" "$S/keys/log.key"
is "it has the hub's authority and keys" $? 0
told "the token is spent" 5 'used already' "$OSIER" --state "$T/x" hub --standby "$L" --address 127.0.0.1 --port "$SP" --broker-port "$SB" --name x
like "the history says who may have the keys" "$("$OSIER" --state "$H" history)" 'hub2 stands by at https://127.0.0.1:'
like "it is no place for work" "$("$OSIER" --state "$H" nodes --json | jq -c '[.nodes[].name]')" '\["hub1","press"\]'
soon grep -q "$SP" "$C/parent/parent.json"
is "the node knows both places" "$(jq -c '[.hubs[].origin]' "$C/parent/parent.json")" "[\"https://127.0.0.1:$HP\",\"https://127.0.0.1:$SP\"]"
nobody=$(curl -sS --cacert "$H/hub/ca.crt" --cert "$C/parent/client.crt" --key "$C/parent/client.key" -d '{}' "https://127.0.0.1:$HP/v1/hub/keys" | jq -r .error.message)
like "a node gets no keys" "$nobody" "does not stand by"
told "the hub's ledger gets a new key" 0 . "$OSIER" --state "$H" ledger keys rotate log
soon cmp -s "$H/keys/log.key" "$S/keys/log.key"
is "which the standby gets, too" $? 0
# All but the key of a witness, which each makes for itself.
is "with those of before" "$(cd "$S/keys" && sha256sum ./log.key* ./node.key* | sort)" "$(cd "$H/keys" && sha256sum ./log.key* ./node.key* | sort)"

# ---- files lie at the standby before their sender hears that they were taken ----
lies() { [ -s "$S/blobs/${1:0:2}/${1:2}" ]; } # SHA256
head -c 300000 /dev/urandom | base64 >"$T/in" && in=$(sha256sum "$T/in" | cut -d' ' -f1)
is "a file is taken by the hub" "$(OSIER_STATE=$H api "/v1/blobs/$in" -T "$T/in" | jq -r .sha256)" "$in"
lies "$in"
is "and lies at the standby then" $? 0
head -c 300000 /dev/urandom | base64 >"$T/out" && out=$(sha256sum "$T/out" | cut -d' ' -f1)
printf 'name: files\ninputs: {big: %s}\nresources: {cpu: 0.5}\nshell: cat big %s\n' "$T/in" "$T/out" >"$T/files.yaml" && chmod 644 "$T/in" "$T/out" && chmod 711 "$T"
files=$("$OSIER" --state "$H" submit -q "$T/files.yaml")
OSIER_STATE=$H
is "a node makes a large output" "$(settle "$files")" succeeded
lies "$(cat "$T/in" "$T/out" | sha256sum | cut -d' ' -f1)"
is "which lies at the standby" $? 0
kill -STOP "$(OSIER_STATE=$S engine_pid)"
head -c 200000 /dev/urandom >"$T/in2" && in2=$(sha256sum "$T/in2" | cut -d' ' -f1)
is "a standby that does not answer stops nobody for long" "$(OSIER_STATE=$H api "/v1/blobs/$in2" -T "$T/in2" | jq -r .sha256)" "$in2"
kill -CONT "$(OSIER_STATE=$S engine_pid)"
soon lies "$in2"
is "and gets what it lacks later" $? 0
# A rotation makes the standby say that it is there, so that the hub looks what it lacks at once.
mv "$S/incoming" "$S/aside" && touch "$S/incoming"
head -c 200000 /dev/urandom >"$T/in3" && in3=$(sha256sum "$T/in3" | cut -d' ' -f1)
is "nor does one that cannot write" "$(OSIER_STATE=$H api "/v1/blobs/$in3" -T "$T/in3" | jq -r .sha256)" "$in3"
"$OSIER" --state "$H" ledger keys rotate log >/dev/null
soon cmp -s "$H/keys/log.key" "$S/keys/log.key" && sleep 2
rm "$S/incoming" && mv "$S/aside" "$S/incoming"
"$OSIER" --state "$H" ledger keys rotate log >/dev/null
soon lies "$in3"
is "it is not taken for one that has it all" $? 0

# ---- everything of the hub dies ----
head() { OSIER_STATE=$1 api /v1/ledger/publish -X POST >/dev/null; OSIER_STATE=$1 api /v1/ledger/checkpoint >"$T/head.$2"; }
head "$H" 1
printf 'name: long\narray: 30\nresources: {cpu: 0.5}\nshell: "echo ran $OSIER_TASK >>%s/ran; sleep 0.5; echo ${task}"\n' "$T" >"$T/long.yaml"
touch "$T/ran" && chmod 666 "$T/ran" && chmod 711 "$T"
job=$("$OSIER" --state "$H" submit -q "$T/long.yaml")
soon test -s "$T/ran"
head "$H" 2
in_step() { [ "$(OSIER_STATE=$H api /v1/hub | jq -r .standbys_lagging)" = 0 ]; }
ok "the standby lacks nothing" soon in_step
OSIER_STATE=$H
engine=$(engine_pid) keeper=$(keeper_pid) began=$(date +%s%N)
ok "it has a copy of its node's log" soon copied "$H"
told "a key is rotated in the hub's last second" 0 . "$OSIER" ledger keys rotate node
kill -9 "$keeper" "$engine"
echo "# the rotation was told after $((($(date +%s%N) - began) / 1000000)) ms"
no_broker "$H"
node_keys() { (cd "$1/keys" && sha256sum node.key* | cut -d' ' -f1 | sort); }
is "and is at the standby all the same" "$(node_keys "$S")" "$(node_keys "$H")"
began=$(date +%s%N)
soon standby "$S" false
took=$((($(date +%s%N) - began) / 1000000))
[ "$took" -lt 10000 ]
is "the standby takes over within ten seconds (it was $took ms)" $? 0
soon up "$S"
is "the node finds it by itself" $? 0
echo "# the node was back after $((($(date +%s%N) - began) / 1000000)) ms"
OSIER_STATE=$S
is "the job goes on to its end" "$(settle "$job")" succeeded
is "each task was run once" "$(sort "$T/ran" | uniq -c | awk '$1 != 1' | wc -l) $(wc -l <"$T/ran")" "0 30"
is "the files of the lost hub are here" "$("$OSIER" logs "$files/main/0" | sha256sum)" "$(cat "$T/in" "$T/out" | sha256sum)"
again=$("$OSIER" submit -q "$T/files.yaml")
is "a job that wants them gets them" "$(settle "$again")" succeeded
is "and has its own result" "$("$OSIER" logs "$job/7")" 7
works "the new one takes more"
ok "nodes bring their logs to it anew" soon copied "$S"
told "its ledger audits clean, under the keys of the first" 0 'entries' "$OSIER" ledger audit
head "$S" 3

# ---- the old one comes back ----
told "the old hub is told what to do" 3 "hub --standby" "$OSIER" --state "$H" up
told "it stands by with one command" 0 'standing by' "$OSIER" --state "$H" hub --standby
# ---- a file that only the machine has that was the hub ----
command head -c 200000 /dev/urandom >"$T/in4" && in4=$(sha256sum "$T/in4" | cut -d' ' -f1) && chmod 644 "$T/in4"
printf 'name: own\nhold: true\nwhere: {name: hub2}\nresources: {cpu: 0.001}\ninputs: {big: %s}\nshell: cksum big; cat big >out\noutputs: [out]\n' "$T/in4" >"$T/own.yaml"
own=$("$OSIER" submit -q "$T/own.yaml")
lies_at() { [ -s "$1/blobs/${2:0:2}/${2:2}" ]; } # STATE SHA256
soon lies_at "$H" "$in4"
rm "$S/blobs/${in4:0:2}/${in4:2}"
kill -STOP "$(OSIER_STATE=$H engine_pid)"
"$OSIER" release "$own" >/dev/null
ok "a task on the new hub's own machine waits for it" soon grep -q "job ${own#own-} waits for a file that is not here" "$S/node.log"
like "as long as that machine does not answer" "$("$OSIER" job "$own" --json | jq -r .state)" running
kill -CONT "$(OSIER_STATE=$H engine_pid)"
is "and has it then" "$(settle "$own")" succeeded
lies_at "$S" "$in4"
is "so has the hub" $? 0
# It has not joined to stand by: it is known because it has said that it is there. It says so every ten minutes.
mv "$H/incoming" "$H/aside" && touch "$H/incoming"
command head -c 200000 /dev/urandom >"$T/in5" && in5=$(sha256sum "$T/in5" | cut -d' ' -f1)
is "when it can take no file for a moment" "$(OSIER_STATE=$S api "/v1/blobs/$in5" -T "$T/in5" | jq -r .sha256)" "$in5"
rm "$H/incoming" && mv "$H/aside" "$H/incoming"
ok "it is not forgotten, and gets it later" soon lies_at "$H" "$in5"
kill -9 "$(OSIER_STATE=$S engine_pid)"
command head -c 200000 /dev/urandom >"$T/in6" && in6=$(sha256sum "$T/in6" | cut -d' ' -f1)
put6() { [ "$(OSIER_STATE=$S api "/v1/blobs/$in6" -T "$T/in6" | jq -r .sha256)" = "$in6" ]; }
ok "nor by a hub whose engine was killed" soon put6
ok "which gives it what comes" soon lies_at "$H" "$in6"
is "and knows that it stands by" "$(OSIER_STATE=$S api /v1/hub | jq -c '[.standbys, .standbys_lagging]')" "[1,0]"
cat >"$T/made.yaml" <<Y
name: made
steps:
  make: {where: {name: hub2}, resources: {cpu: 0.001}, shell: 'openssl rand 200000 >big; sha256sum big; yes words | head -c 90000 >&2', outputs: [big]}
  gate: {after: [make], resources: {cpu: 0.1}, shell: 'until [ -e $T/go4 ]; do sleep 0.1; done'}
  there: {after: [gate], where: {name: press}, inputs: {big: {from: make, output: big}}, resources: {cpu: 0.1}, shell: sha256sum big}
  here: {after: [gate], where: {name: hub2}, inputs: {big: {from: make, output: big}}, resources: {cpu: 0.001}, shell: sha256sum big}
Y
made=$("$OSIER" submit -q "$T/made.yaml")
gate_runs() { "$OSIER" job "$made" --json | jq -e '.steps[] | select(.name == "gate").counts.running == 1' >/dev/null; }
ok "a task on the hub's machine makes a file" soon gate_runs
made_sha=$("$OSIER" logs "$made/make/0" --stream stdout | cut -d' ' -f1)
ok "which lies at the other one, too" soon lies_at "$H" "$made_sha"
rm "$S/blobs/${made_sha:0:2}/${made_sha:2}"
touch "$T/go4"
is "when it is gone here, tasks get it from there" "$(settle "$made")" succeeded
words_sha=$(yes words | command head -c 90000 | sha256sum | cut -d' ' -f1)
lost() { soon lies_at "$H" "$1" && rm "$S/blobs/${1:0:2}/${1:2}"; }
ok "it is lost here once more, and what the task wrote" eval 'lost $made_sha && lost $words_sha'
is "who reads it gets it from there" "$("$OSIER" logs "$made/make/0" --output big | sha256sum | cut -d' ' -f1)" "$made_sha"
is "and the lines" "$("$OSIER" logs "$made/make" --no-prefix 2>&1 >/dev/null | sha256sum | cut -d' ' -f1)" "$words_sha"
is "on a node and on the hub's machine" "$("$OSIER" logs "$made/there/0")$("$OSIER" logs "$made/here/0")" "$made_sha  big$made_sha  big"

told "the new hub goes down in good order" 0 'osier is down' "$OSIER" down
soon standby "$H" false
soon up "$H"
is "then the first is the hub again, and the node finds it" $? 0
OSIER_STATE=$H works "and work flows"
ok "its copy of the node's log goes on" soon copied "$H"
head "$H" 4
pg_sql a "SELECT encode(leaf, 'hex') FROM osier.entries ORDER BY seq" >"$T/leaves"
told "what all of them signed are heads of one log" 0 '^4 heads of one log' python3 test/e2e/signed_heads.py "$T/leaves" "$T"/head.[1-4]

# ---- who would sign another history signs nothing ----
pg_sql a "UPDATE osier.head SET signed_root = sha256('another')"
"$OSIER" --state "$H" down >/dev/null
told "a record whose signed head is not of this tree is taken" 0 'osier is up' "$OSIER" --state "$S" up
another() { OSIER_STATE=$S api /v1/ledger/publish -X POST | grep -q 'another history'; }
soon another
is "and nothing is signed there" $? 0
exit $bad
