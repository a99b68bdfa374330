#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# host_by_ssh - a node is used from another machine, through a real sshd: jobs, files, logs, events, and what may go wrong. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
ends() { kill "$(cat "$TMP/sshd.pid" 2>/dev/null)" 2>/dev/null; timeout 30 osier --state "$TMP/there" down >/dev/null 2>&1; finish; }
SSHD=/usr/sbin/sshd
[ -x $SSHD ] || { echo "1..0 # SKIP there is no sshd (openssh-server)"; exit 0; }
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
trap ends EXIT
PORT=$(free_port)
ssh-keygen -q -t ed25519 -N '' -f "$TMP/host"
ssh-keygen -q -t ed25519 -N '' -f "$TMP/me"
ssh-keygen -q -t ed25519 -N '' -f "$TMP/stranger"
cp "$TMP/me.pub" "$TMP/keys"
# What the other machine would have: osier in the path, and a place for its node.
cat >"$TMP/sshd_config" <<C
ListenAddress 127.0.0.1:$PORT
HostKey $TMP/host
AuthorizedKeysFile $TMP/keys
PidFile $TMP/sshd.pid
StrictModes no
UsePAM no
PasswordAuthentication no
SetEnv PATH=$BUILD:/usr/bin:/bin OSIER_STATE=$TMP/there
C
cat >"$TMP/ssh_config" <<C
Host *
  IdentityFile $TMP/me
  IdentitiesOnly yes
  BatchMode yes
  UserKnownHostsFile $TMP/known
  GlobalKnownHostsFile /dev/null
  LogLevel ERROR
C
echo "[127.0.0.1]:$PORT $(cut -d' ' -f1,2 "$TMP/host.pub")" >"$TMP/known"
$SSHD -f "$TMP/sshd_config" -E "$TMP/sshd.log" || { cat "$TMP/sshd.log"; exit 1; }
export OSIER_SSH="ssh -F $TMP/ssh_config" OSIER_STATE=$TMP/here
AT=ssh://$(id -un)@127.0.0.1:$PORT

fact "no node there is told" exits 3 osier --host "$AT" jobs
fact "by the machine that it is about" complains "no node is up on '$TMP/there'"
fact "with what to try" complains "'ssh HOST osier nodes' must work"
exits 0 osier --state "$TMP/there" up || exit 1
fact "a node of another machine can be looked at" exits 0 osier --host "$AT" nodes
fact "and nothing is made here for it" test ! -e "$TMP/here"
seq 1000 >"$TMP/numbers.txt"
cat >"$TMP/sum.yaml" <<'Y'
name: sum
command: awk '{s += $1} END {print s}' numbers.txt
inputs: [{file: numbers.txt}]
Y
fact "a job is given to it, with a file from here" exits 0 osier --host "$AT" submit --quiet "$TMP/sum.yaml"
fact "it is waited for" exits 0 osier --host "$AT" wait last
fact "its output comes here" bash -c "osier --host '$AT' logs last | grep -q ' 500500$'"
fact "it is there" so "$(osier --state "$TMP/there" jobs --json | jq -r '.jobs[0].id')" sum-1
fact "it belongs to who logged in" so "$(osier --state "$TMP/there" job last --json | jq -r '.user // .uid')" "$(osier --host "$AT" job last --json | jq -r '.user // .uid')"
fact "a job can be watched" bash -c "osier --host '$AT' run '$TMP/sum.yaml' 2>&1 | grep -q '500500'"
fact "its receipt is good here" bash -c "osier --host '$AT' receipt last/main/0 >'$TMP/r' && osier --host '$AT' ledger policy >'$TMP/p' && osier verify '$TMP/r' --policy '$TMP/p'"
fact "the machine may stand in the environment" bash -c "OSIER_HOST='$AT' osier jobs | grep -q sum-2"

cat >"$TMP/long.yaml" <<'Y'
shell: while :; do echo begun; sleep 0.2; done
Y
osier --host "$AT" run "$TMP/long.yaml" >"$TMP/long.out" 2>&1 &
W=$!
fact "a long one is followed" soon grep -q "1 running" "$TMP/long.out"
fact "its lines, too, as they come" bash -c "timeout 30 osier --host '$AT' logs -f last 2>&1 | head -1 | grep -q begun"
kill -9 "$(osier --state "$TMP/there" version --json | jq .node.pid)"
fact "an engine that dies there is waited for" exits 0 osier --host "$AT" jobs
kill -INT $W
wait $W
fact "Ctrl-C cancels it over there" soon bash -c "osier --state '$TMP/there' job last --json | jq -e '.state == \"cancelled\"'"
fact "nothing of ours is left there" soon bash -c "! pgrep -f '[o]sier dial'"

fact "what is about this machine is not about another" exits 2 osier --host "$AT" up
fact "and says so" complains "is about this machine"
fact "nor what reads the node's files" exits 2 osier --host "$AT" ledger audit
fact "an address that is none is refused" exits 2 osier --host "ssh://-oProxyCommand=x" jobs
fact "with how it is written" complains "write ssh://"
fact "another scheme, too" exits 2 osier --host https://x jobs
sed -i "s#IdentityFile .*#IdentityFile $TMP/stranger#" "$TMP/ssh_config"
fact "a stranger is not let in" exits 3 osier --host "$AT" jobs
fact "and reads why" complains "Permission denied"
OSIER_SSH=' '
fact "blanks are no program: it is ssh" exits 3 osier --host ssh://nosuch.invalid jobs
fact "which says what is wrong" complains "nosuch.invalid"
OSIER_SSH=/nonexistent/ssh
fact "no ssh is told" exits 3 osier --host "$AT" jobs
fact "with what to install" complains "openssh-client"
echo "1..$tests"
