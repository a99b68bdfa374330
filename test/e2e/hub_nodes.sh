#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_nodes - what `osier nodes` shows of three nodes: state, what is given away of what each has, load, latency, what runs where, and when who
# is away was last heard; in a terminal of 80 columns, too. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
HUB=$TMP/hub A=$TMP/a B=$TMP/b
machines "$A" "$B" "$HUB"
printf 'name: plant\ncapacity: {cpu: 2, memory: 4GiB}\n' >"$HUB/config.yaml"
printf 'name: press-4\ncapacity: {cpu: 2, memory: 4GiB}\n' >"$A/config.yaml"
printf 'name: press-5\ncapacity: {cpu: 2, memory: 4GiB}\n' >"$B/config.yaml"
export OSIER_STATE=$HUB
row() { osier nodes 2>&1 | tee "$TMP/out" | grep -E "^$1 " | sed 's/  */ /g'; }
# shows NAME REGEX: the row of this node, its spaces made one.
shows() { row "$1" | grep -qE -- "$2" || { cat "$TMP/out"; return 1; }; }
says_of() { osier nodes 2>&1 | tee "$TMP/out" | grep -qE -- "$1" || { cat "$TMP/out"; return 1; }; }
of() { osier nodes --json | jq -e --arg n "$1" "[.nodes[] | select(.name == \$n) | $2] == [true]"; }

hub_begins || exit 1
fact "one node alone" shows plant '^plant up 0 / 2 0 / 4 GiB [0-9]+\.[0-9]{2} -$'
fact "has no latency and nobody else's runs" bash -c '! osier nodes | grep -q LATENCY'
fact "a node joins" exits 0 osier --state "$A" join "$(line)"
fact "and another" exits 0 osier --state "$B" join "$(line)"
fact "they are up, with load and latency" soon shows press-4 '^press-4 up 0 / 2 0 / 4 GiB [0-9]+\.[0-9]{2} [0-9]+\.[0-9] ms -$'
fact "both" soon shows press-5 '^press-5 up 0 / 2 0 / 4 GiB [0-9]+\.[0-9]{2} [0-9]+\.[0-9] ms -$'
fact "the load is the machine's" of press-4 '.load[0] >= 0 and .load[0] < 1000'
fact "the latency is one of this machine" of press-4 '.latency > 0 and .latency < 2'
fact "nobody is away" bash -c '! osier nodes | grep -q "last heard"'

cat >"$TMP/roll.yaml" <<'Y'
name: roll
steps:
  - {name: warm, array: 2, command: sleep 600, where: {name: press-4}, resources: {cpu: 0.5, memory: 512MiB}}
  - {name: cast, command: sleep 600, where: {name: press-5}, resources: {cpu: 0.5, memory: 1GiB}}
Y
printf 'name: single\ncommand: sleep 600\nwhere: {name: press-4}\nresources: {cpu: 0.25, memory: 256MiB}\n' >"$TMP/single.yaml"
exits 0 osier submit --quiet "$TMP/roll.yaml" || exit 1
fact "a step that runs there is named with its job, and how often" soon shows press-4 ' 2: roll-1/warm x2$'
exits 0 osier submit --quiet "$TMP/single.yaml" || exit 1
fact "the only step of a job by the job" soon shows press-4 ' 3: roll-1/warm x2, single-2$'
fact "what is given away of what it has" shows press-4 '^press-4 up 1\.25 / 2 1\.3 / 4 GiB '
fact "once on the other" soon shows press-5 '^press-5 up 0\.5 / 2 1 / 4 GiB .* 1: roll-1/cast$'
fact "nothing runs on the hub" shows plant '^plant up 0 / 2 0 / 4 GiB .* - -$'
fact "a look at one names the step of each lease" bash -c "osier node inspect press-4 | sed 's/  */ /g' | grep -q '^roll-1 warm [01]'"
fact "and the only one of a job" bash -c "osier node inspect press-4 | sed 's/  */ /g' | grep -q '^single-2 [a-z]'"
fact "programs get its number and its name" bash -c 'osier node inspect press-5 --json | jq -e ".running[0] | .step == 1 and .step_name == \"cast\""'
fact "programs get the same" of press-4 '.runs == {leases: 3, steps: [{name: "roll-1/warm", leases: 2, tasks: 2}, {name: "single-2", leases: 1, tasks: 1}]}'
fact "with their capacity" of press-4 '(.resources | map(select(.name == "cpu"))) == [{name: "cpu", capacity: 2, free: 0.75, used: 1.25}]'
fact "every row has the same members" bash -c 'osier nodes --json | jq -e "[.nodes[] | select(.node != 1) | keys] | unique | length == 1"'

# A node goes without a word: all of its processes are killed.
KEEPER=$(cat "$B/keeper.lock")
kill -9 "$(osier --state "$B" version --json | jq .node.pid)" "$KEEPER"
fact "who is away is told with when it was last heard" soon says_of '^press-5 is disconnected, last heard [0-9.]+ m?s ago$'
fact "once" bash -c '[ "$(osier nodes | grep -c "last heard")" = 1 ]'
fact "its row stays, without load" shows press-5 '^press-5 disconnected 0\.5 / 2 1 / 4 GiB - - '
fact "and what may run there still" shows press-5 ' 1: roll-1/cast$'
fact "it was heard no longer ago than its keep-alive goes" of press-5 '((now - (.heard | sub("\\.[0-9]+"; "") | fromdate)) | . >= 0 and . < 60) and .away_since >= .heard'
first() { osier nodes --json | jq -r '.nodes[] | select(.name == "press-5").heard'; }
HEARD=$(first)
fact "which does not move while it is away" bash -c 'sleep 1; [ "$1" = "$(osier nodes --json | jq -r ".nodes[] | select(.name == \"press-5\").heard")" ]' _ "$HEARD"

# As a user sees it: a terminal of 80 columns.
cat >"$TMP/terminal.py" <<'Y'
import fcntl, os, pty, re, struct, sys, termios, unicodedata
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    os.environ["TERM"] = "xterm"
    os.execvp("osier", ["osier", "nodes"])
out = b""
while True:
    try:
        part = os.read(fd, 65536)
    except OSError:
        break
    if not part:
        break
    out += part
os.waitpid(pid, 0)
text = out.decode().replace("\r", "")
assert "\x1b[" in text, "no colour in a terminal"
text = re.sub(r"\x1b\[[0-9;]*m", "", text)
print(text)
for line in text.split("\n"):
    assert len(line) <= int(sys.argv[1]), "%d columns: %s" % (len(line), line)
Y
fact "no line is wider than a terminal of 80 columns" exits 0 python3 "$TMP/terminal.py" 80
fact "where all columns are" says "LATENCY  RUNS"
fact "and how many run, whatever else is cut" bash -c "grep -qE '^press-4 .* 3: roll-1/w' '$TMP/out'"
fact "and who is away" bash -c "grep -qE '^press-5 is disconnected, last heard .* ago\$' '$TMP/out'"
fact "a wide one has room for it all" exits 0 python3 "$TMP/terminal.py" 132
fact "to the end of the line" bash -c "grep -qE '3: roll-1/warm x2, single-2\$' '$TMP/out'"

# The hub's engine begins anew: it knows of who is away what its journal says, and not when it was heard.
exits 0 osier down --engine-only || exit 1
fact "a hub that begins anew does not know" soon says_of "^press-5 is disconnected, last heard [0-9.]+ m?s ago\$|^press-5 is disconnected, not heard since this hub's engine began"
fact "the other is heard again" soon of press-4 '.state == "up" and .heard != null and .away_since == null'
fact "the first comes back" exits 0 osier --state "$B" up
fact "and nobody is away" soon bash -c 'osier nodes >"$1" && ! grep -qE "last heard|not heard" "$1"' _ "$TMP/out"
