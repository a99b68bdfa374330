#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# one_node_a_folder - a second node, keeper or engine on the same folder is refused by the pid of the first, what a dead one left
# behind is in nobody's way, and a journal of a newer osier, or of nobody, is refused and left as it is.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
LIMIT=30
works_yaml() { printf 'name: hello\ncommand: echo hello there\n' >"$T/works.yaml"; }
works_yaml
ok "a node is up" up
keeper=$(keeper_pid) engine=$(engine_pid)

# ---- a second one ----
told "up again joins the one that is there" 0 'already up' "$OSIER" up
told "run joins it, too" 0 'hello there' "$OSIER" run "$T/works.yaml"
is "its job is the node's" "$("$OSIER" jobs --all --json | jq -c '[.jobs[].id]')" '["hello-1"]'
told "a second keeper is refused by pid" 3 "another keeper \(pid $keeper\) holds '.*state'; stop it with" \
	"$(dirname "$OSIER")/osier-keeper" --state "$OSIER_STATE" --engine "$OSIER"
told "a second engine is refused by pid" 78 "is held by another engine, process $engine hint: use that one, stop it with 'osier down'" \
	python3 -c 'import os, socket, sys
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
os.dup2(b.fileno(), 3)
os.execv(sys.argv[1], [sys.argv[1], "engine", "--state", sys.argv[2]])' "$OSIER" "$OSIER_STATE"
is "the first did not notice" "$(keeper_pid) $(engine_pid)" "$keeper $engine"
works "and works"

# ---- what the dead leave ----
kill -9 "$keeper"
gone() { for _ in $(seq 100); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.1; done; return 1; }
ok "without its keeper the engine goes, too" gone "$engine"
ok "up after the keeper was killed" up
works "the node works"
kill -STOP "$(keeper_pid)"
kill -9 "$(engine_pid)" "$(keeper_pid)"
sleep 0.2
sleep 1000 &
other=$!
echo "$other" >"$OSIER_STATE/keeper.lock"
echo "$other" >"$OSIER_STATE/lock"
ok "up over locks that name a process of somebody else's" up
kill -0 "$other" && ok "which is left alone" kill "$other"
works "the node works"
told "down" 0 'down' "$OSIER" down
told "down twice" 3 "no node is up on '.*' hint: there is nothing to end" "$OSIER" down

# Two that run without a node: one of them makes it, both jobs end.
"$OSIER" run "$T/works.yaml" >"$T/one" 2>&1 &
one=$!
"$OSIER" run "$T/works.yaml" >"$T/two" 2>&1
two=$?
wait "$one"
is "two at once that run without a node both end well" "$? $two $(cat "$T/one" "$T/two" | grep -c 'hello there')" "0 0 2"

# The other one is quicker to lock the folder, and has ended when its node is looked for.
mkdir "$T/bin" && cp "$OSIER" "$T/bin/osier" && cat >"$T/bin/osier-keeper" <<X
#!/bin/bash
[ -e $T/once ] && exec $(dirname "$OSIER")/osier-keeper "\$@"
touch $T/once
while [ "\$1" != --ready-fd ]; do shift; done
echo "error another keeper (pid 1) holds it" >&"\$2"
exit 3
X
chmod 755 "$T/bin/osier-keeper"
told "one that ends before it can be joined is followed" 0 'hello there' "$T/bin/osier" run "$T/works.yaml"
ok "and it was so" test -e "$T/once"

# ---- journals of others ----
sql() { python3 -c 'import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute(sys.argv[2])
c.execute("PRAGMA wal_checkpoint(TRUNCATE)")' "$OSIER_STATE/journal.db" "$1"; }
sum() { sha256sum <"$OSIER_STATE/journal.db"; }
refused() { # NAME REGEX: by every command, the file untouched
	local before
	before=$(sum)
	told "$1: up" 3 "$2" "$OSIER" up
	told "$1: run" 3 "$2" "$OSIER" run "$T/works.yaml"
	told "$1: jobs" 3 "$2" "$OSIER" jobs
	told "$1: replay" 3 "$2" "$OSIER" replay
	is "$1: it is left as it is" "$(sum)" "$before"
}
sql 'PRAGMA user_version=99'
refused "a journal of a newer format" "journal.db' has format 99, and this osier \(.*\) knows up to 1 hint: use the newer osier"
sql 'PRAGMA user_version=1'
sql "UPDATE meta SET value=99 WHERE key='entry_format'"
refused "entries of a newer format" "journal.db' holds entries of format 99, and this osier .* hint: use the newer osier"
sql "UPDATE meta SET value=1 WHERE key='entry_format'"
ok "up when it is as it was" up
is "with all of it" "$("$OSIER" jobs --all --json | jq '.jobs | length')" 7
ok "down again" "$OSIER" down
sql 'PRAGMA application_id=7'
refused "a database that is no journal" "journal.db' is not a journal of osier hint: move it away"
rm -f "$OSIER_STATE"/journal.db*
head -c 20000 /dev/urandom >"$OSIER_STATE/journal.db"
refused "noise" "journal.db': file is not a database hint: "
exit $bad
