#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_submit - jobs from a node that has joined: its own, which run there with the hub or without, and the pool's, by ssh as a user of the hub, to
# the letter of what 'osier submit' says; the node's certificate alone submits nothing. Through a real sshd. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
SSHD=/usr/sbin/sshd
[ -x $SSHD ] || { echo "1..0 # SKIP there is no sshd (openssh-server)"; exit 0; }
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
HUB=$TMP/hub A=$TMP/a
machines "$A" "$HUB"
printf 'name: plant\ncapacity: {cpu: 2}\n' >"$HUB/config.yaml"
printf 'name: press-4\ncapacity: {cpu: 2}\n' >"$A/config.yaml"
ends() { kill "$(cat "$TMP/sshd.pid" 2>/dev/null)" 2>/dev/null; take_down; finish; }
jobs_of() { [ "$(osier --state "$1" jobs --json | jq '[.jobs[].id] | length')" = "$2" ]; }
# The sshd of the hub's machine: one key of a person's, one that may do nothing but dial.
SSH_PORT=$(free_port)
for k in host me machine; do ssh-keygen -q -t ed25519 -N '' -f "$TMP/$k"; done
{ cat "$TMP/me.pub"; printf 'restrict,command="osier dial" %s\n' "$(cat "$TMP/machine.pub")"; } >"$TMP/keys"
cat >"$TMP/sshd_config" <<C
ListenAddress 127.0.0.1:$SSH_PORT
HostKey $TMP/host
AuthorizedKeysFile $TMP/keys
PidFile $TMP/sshd.pid
StrictModes no
UsePAM no
PasswordAuthentication no
SetEnv PATH=$BUILD:/usr/bin:/bin OSIER_STATE=$HUB
C
cat >"$TMP/ssh_config" <<C
Host *
  Port $SSH_PORT
  IdentityFile $TMP/me
  IdentitiesOnly yes
  BatchMode yes
  UserKnownHostsFile $TMP/known
  GlobalKnownHostsFile /dev/null
  LogLevel ERROR
C
echo "[127.0.0.1]:$SSH_PORT $(cut -d' ' -f1,2 "$TMP/host.pub")" >"$TMP/known"
$SSHD -f "$TMP/sshd_config" -E "$TMP/sshd.log" || { cat "$TMP/sshd.log"; exit 1; }
export OSIER_SSH="ssh -F $TMP/ssh_config"

export OSIER_STATE=$A
printf 'name: where\ncommand: echo ran on ${node}\n' >"$TMP/where.yaml"
exits 0 osier up || exit 1
fact "a node that is alone says nothing of pools" exits 0 osier submit "$TMP/where.yaml"
fact "because there is none" bash -c "! grep -q pool '$TMP/err'"
OSIER_STATE=$HUB hub_begins || exit 1
fact "it joins a hub" exits 0 osier join "$(line "$HUB")"
fact "and is up" soon state_is press-4 up

# ---- its own ----
cd "$TMP" || exit 1
fact "a job is given to the node" exits 0 osier submit where.yaml
fact "which says where it runs" complains "it runs here, on 'press-4' and what has joined it, not in the pool of hub 'plant'"
fact "and how to reach the pool" complains "hint: to the pool, as a user of the hub: osier --host ssh://127.0.0.1 submit where.yaml"
LINE=$(sed -n 's/^hint: to the pool, as a user of the hub: //p' "$TMP/err")
fact "it runs there" exits 0 osier wait last
fact "as it was said" bash -c "osier logs last | grep -q 'ran on press-4'"
fact "the hub knows nothing of it" jobs_of "$HUB" 0
fact "who wants the name alone gets that alone" exits 0 osier submit --quiet where.yaml
fact "without a word more" test ! -s "$TMP/err" -a "$(cat "$TMP/out")" = where-3

# ---- the pool's ----
fact "what it said, done to the letter, gives the job to the hub" bash -c "$LINE"
fact "which has it" jobs_of "$HUB" 1
export OSIER_HOST=ssh://127.0.0.1
fact "it is waited for from the node" exits 0 osier wait last
fact "and its output comes here" bash -c "osier logs last | grep -Eq 'ran on (plant|press-4)'"
seq 1000 >numbers.txt
printf "name: sum\ncommand: awk '{s += \$1} END {print s, \"\${node}\"}' numbers.txt\ninputs: [{file: numbers.txt}]\nwhere: {name: press-4}\n" >sum.yaml
fact "a job of the pool with a file of the node's" exits 0 osier submit sum.yaml
fact "says nothing of where: that was said" bash -c "! grep -q 'it runs here' '$TMP/err'"
fact "it may run on the node it came from" exits 0 osier wait last
fact "by way of the hub" bash -c "osier logs last | grep -q '500500 press-4'"
fact "it is a job of who logged in there" test "$(OSIER_HOST='' osier --state "$HUB" job last --json | jq -r '.user // .uid')" = "$(OSIER_HOST='' osier --state "$HUB" job 1 --json | jq -r '.user // .uid')"

# A program's key: it dials, and nothing else.
sed -i "s#IdentityFile .*#IdentityFile $TMP/machine#" "$TMP/ssh_config"
fact "a key that may only dial gives jobs to the pool" exits 0 osier submit sum.yaml
fact "and waits for them" exits 0 osier wait last
fact "and opens no shell" bash -c "! timeout 10 ssh -F '$TMP/ssh_config' 127.0.0.1 'cat $TMP/where.yaml' </dev/null 2>&1 | grep -q 'ran on'"
N=$(OSIER_HOST='' osier --state "$HUB" jobs --json | jq '.jobs | length')

# The certificate of the node.
unset OSIER_HOST
post() { curl -sS -o "$TMP/answer" -w '%{http_code}' --cacert "$A/parent/ca.crt" --cert "$A/parent/client.crt" --key "$A/parent/client.key" -H 'Content-Type: application/json' -d '{"file":"command: id"}' "https://127.0.0.1:$PORT$1"; }
fact "the node's certificate is no user" test "$(post /v1/jobs)" = 404
fact "and made no job" jobs_of "$HUB" "$N"

# ---- without the hub ----
OSIER_STATE=$HUB exits 0 osier down || exit 1
fact "without the hub the node takes its own" exits 0 osier submit where.yaml
fact "and runs them" exits 0 osier wait last
fact "the pool is not there, and that is told" exits 3 osier --host ssh://127.0.0.1 submit where.yaml
fact "with what is wrong" complains "no node is up"
