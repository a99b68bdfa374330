#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ledger_tiles - the log for strangers: served, exported, mirrored and audited, beside a reader and a maker of logs that share no code
# with osier, and servers that lie. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
PY=$PWD/test/e2e/ledger_tiles.py
cd "$T" || exit 1
server=
at_end() { [ -n "$server" ] && kill "$server" 2>/dev/null; }

# ---- served ----

mkdir -p "$OSIER_STATE"
printf 'ledger: {origin: example.com/press, listen: "127.0.0.1:0", entries: public}\n' >"$OSIER_STATE/config.yaml"
printf 'name: many\nshell: echo ${index}\narray: 900\n' >many.yaml
printf 'name: few\nshell: echo ${index}\narray: 3\n' >few.yaml
ok "a node that serves its log is up" up
url=$("$OSIER" ledger --json 2>/dev/null | jq -r '.url // empty')
# Four tiles' worth: how many entries a job makes is the scheduler's affair.
for _ in $(seq 40); do
	timeout "$LIMIT" "$OSIER" submit --watch many.yaml >/dev/null 2>&1
	"$OSIER" ledger publish >/dev/null 2>&1
	[ "$("$OSIER" ledger --json 2>/dev/null | jq .size)" -gt 1100 ] && break
done
told "its log is published" 0 'are signed' "$OSIER" ledger publish
url=$("$OSIER" ledger --json | jq -r '.url')
"$OSIER" ledger policy >press.policy
vkey=$(awk '$1 == "log" {print $2}' press.policy)
like "the head says where it is served" "$("$OSIER" ledger)" "served at +http://127.0.0.1:[0-9]+"
like "so does doctor" "$("$OSIER" doctor)" "ledger .*example.com/press.*served at http://127.0.0.1:"
ok "a reader that shares no code builds the tree from what is served, and proves from it" "$PY" check "$url" "$vkey"
ok "headers, partial tiles, gzip and what strangers should not send" "$PY" http "$url"
is "nobody is a witness here" "$(curl -s -o /dev/null -w '%{http_code}' -d x "$url/add-checkpoint")" 404

# ---- exported and mirrored ----

told "the log is exported" 0 'lead to the signed head' "$OSIER" ledger export exported
ok "the same reader reads the folder" "$PY" check exported "$vkey"
told "a mirror copies it over HTTP" 0 'lead to the signed head' "$OSIER" ledger mirror "$url" mirrored --policy press.policy
ok "to the same files" diff -r exported mirrored
timeout "$LIMIT" "$OSIER" submit --watch many.yaml >/dev/null 2>&1
"$OSIER" ledger publish >/dev/null
told "what is new is added" 0 'new\) are in' "$OSIER" ledger mirror "$url" mirrored --policy press.policy
told "in the export, too" 0 'new\) are in' "$OSIER" ledger export exported
ok "both are whole" "$PY" check mirrored "$vkey"
ok "and the same" diff -r exported mirrored
is "no partial tile is left where the whole one is" "$(cd mirrored && find . -name '*.p' | while read -r f; do [ -e "${f%.p}" ] && echo "$f"; done)" ''
told "a mirror of the mirror's folder" 0 'lead to the signed head' "$OSIER" ledger mirror "file:$PWD/mirrored" second --policy press.policy
told "whole entries can be left out" 0 'lead to the signed head' "$OSIER" ledger mirror exported hashes --hashes --policy press.policy
ok "then only hashes are there" "$PY" check hashes "$vkey" noentries
is "and nothing else" "$(ls hashes/tile)" "$(ls exported/tile | grep -v entries)"
printf 'other\n' >somebody && mkdir -p theirs && cp somebody theirs/thesis.txt
told "a folder of somebody else is left alone" 5 'other things than a log' "$OSIER" ledger export theirs
told "without a policy nothing is mirrored" 2 'policy is needed' "$OSIER" ledger mirror "$url" x
told "nor from an address that is none" 2 'not the address of a log' "$OSIER" ledger mirror http:// x --policy press.policy
told "nobody there is told" 3 'nobody answers' "$OSIER" ledger mirror http://127.0.0.1:1 x --policy press.policy

# ---- audited ----

told "the audit finds nothing" 0 'nothing differs.*signed by +example.com/press.*receipts +[1-9]' "$OSIER" ledger audit
is "it saw everything" "$("$OSIER" ledger audit --json | jq -c '[.entries >= .size and .size, .receipts > 100, .tiles == (.size / 256 | floor), .expired]')" '[true,true,true,0]'
told "nor in the folder" 0 'nothing differs' "$OSIER" ledger audit exported --policy press.policy
ok "the node ends" "$OSIER" down
told "the audit needs no node" 0 'nothing differs' "$OSIER" ledger audit
cp -a "$OSIER_STATE" whole
size=$("$OSIER" ledger audit --json | jq .size)

# Somebody writes into the database; what he does not write to the end is found at its place.
spoil() {
	rm -rf spoilt && cp -a whole spoilt
	python3 - "$@" <<'X'
import hashlib, sqlite3, sys
what, n = sys.argv[1], int(sys.argv[2])
db = sqlite3.connect("spoilt/ledger.db" if what in ("sign", "tile", "note") else "spoilt/journal.db")
leaf, body = db.execute("SELECT leaf, body FROM entries WHERE seq = ?", (n,)).fetchone() if what in ("body", "leaf", "both", "gone") else (0, b"")
if what == "gone":
    db.execute("DELETE FROM entries WHERE seq = ?", (n,))
if what in ("body", "both"):
    body = body[:-1] + bytes([body[-1] ^ 1])
if what == "leaf":
    leaf = leaf[:-1] + bytes([leaf[-1] ^ 1])
if what == "both":
    leaf = hashlib.sha256(b"\0" + body).digest()
if what in ("body", "leaf", "both"):
    db.execute("UPDATE entries SET leaf = ?, body = ? WHERE seq = ?", (leaf, body, n))
if what == "tile":
    db.execute("UPDATE roots SET hash = zeroblob(32) WHERE level = 1 AND n = ?", (n,))
if what == "note":
    db.execute("UPDATE head SET note = CAST(replace(CAST(note AS TEXT), char(10) || ?, char(10) || ?) AS BLOB)", (str(n), str(n - 1)))
if what == "sign":
    note = bytearray(db.execute("SELECT note FROM head").fetchone()[0])
    note[-20] = ord("A") if note[-20] != ord("A") else ord("B")
    db.execute("UPDATE head SET note = ?", (bytes(note),))
db.commit()
X
}
auditing() { # NAME, CODE, REGEX
	told "$1" "$2" "$3" "$OSIER" ledger audit --state "$PWD/spoilt"
}
spoil none 0
auditing "a copy is as good" 0 'nothing differs'
spoil body 700
auditing "a changed payload is found" 6 'entry 700 of the journal is not what its hash says'
spoil leaf 700
auditing "a changed hash is" 6 'entry 700 of the journal is not what its hash says'
spoil both 10
auditing "one that was changed with its hash" 6 "tile/0/000' does not hash to what is stored above it: entries 0 to 255|receipts in entry"
spoil gone 300
auditing "one that is gone" 6 'entry 300 of the journal is missing'
spoil tile 2
auditing "a changed root of a tile" 6 "tile/0/002' does not hash to what is stored above it: entries 512 to 767"
spoil note "$size"
auditing "a changed head" 6 'do not lead to the root of the signed head'
spoil sign 0
auditing "a changed signature" 6 'signature of .example.com/press. does not match the checkpoint'
flip() { python3 -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2])); b = f.read(1)[0]; f.seek(-1, 1); f.write(bytes([b ^ 255]))' "$@"; } # FILE AT
cp -a exported bad && flip bad/tile/1/000.p/$((size / 256)) 40
told "a changed tile of the folder is found" 6 "does not hash to what is stored above it" "$OSIER" ledger audit bad
rm -rf bad && cp -a exported bad && flip bad/tile/entries/001 900
told "a changed entry, with its number" 6 'entry (25[6-9]|2[6-9][0-9]|[345][0-9][0-9]) is not what its leaf says|entry [0-9]+ ends' "$OSIER" ledger audit bad
rm -f bad/tile/entries/001
told "entries that were dropped are expired" 0 'nothing differs.*expired +256' "$OSIER" ledger audit bad
rm -f bad/tile/0/001
told "hashes must not be" 4 "no 'tile/0/001'" "$OSIER" ledger audit bad

# ---- a log with two histories, by a node that was restored and does not know it ----

told "a mirror follows the log" 0 'lead' "$OSIER" ledger mirror exported fork --policy press.policy
ok "the node comes up" up
"$OSIER" submit --watch few.yaml >/dev/null 2>&1
"$OSIER" ledger publish >/dev/null
"$OSIER" ledger export exported >/dev/null
told "it sees what is new" 0 'new\)' "$OSIER" ledger mirror exported fork --policy press.policy
ok "the node ends" "$OSIER" down
export OSIER_STATE=$T/whole
printf 'ledger: {origin: example.com/press, listen: "127.0.0.1:0"}\n' >"$OSIER_STATE/config.yaml"
ok "its backup comes up, all of it: it cannot know" up
url=$("$OSIER" ledger --json | jq -r .url)
cp -a fork before
told "a head from before is no fork, and not taken" 5 'went back' "$OSIER" ledger mirror "$url" fork --policy press.policy
"$OSIER" submit --watch many.yaml >/dev/null 2>&1
"$OSIER" ledger publish >/dev/null
told "a second history is refused with an exit code of its own" 7 "two histories.*fork-" "$OSIER" ledger mirror "$url" fork --policy press.policy
ok "the evidence stands on its own" "$PY" fork fork/fork-* "$vkey"
ok "nothing else was touched" diff -r -x 'fork-*' before fork
told "entries are for their owner if nobody said otherwise" 0 'entries to its owner only' "$OSIER" ledger mirror "$url" forked --policy press.policy
is "they are refused with a reason" "$(curl -s -w ' %{http_code}' "$url/tile/entries/000" | tr '\n' ' ')" 'entries of this log are not public: they hold the commands of those who use the node  403'
ok "hashes are for everybody" "$PY" check "$url" "$vkey" noentries
printf 'ledger: {origin: example.com/press, listen: "%s"}\n' "${url#http://}" >"$T/state/config.yaml"
OSIER_STATE=$T/state up
like "an address that is taken is told, and the node works" "$(OSIER_STATE=$T/state "$OSIER" doctor)" 'the ledger is not served: cannot listen at .*choose another'
OSIER_STATE=$T/state "$OSIER" down >/dev/null 2>&1
ok "the backup ends" "$OSIER" down
export OSIER_STATE=$T/state

# ---- logs of others, and servers that lie ----

"$PY" make other 70000
okey=$(cat KEY.vkey)
printf 'log %s\nquorum none\n' "$okey" >other.policy
"$PY" make begun 5000
"$PY" make split 70000 4000
"$PY" make equal 5000 4999
"$PY" make less 4999 10
is "the maker of logs follows the specification" "$(sha256sum other/tile/1/001.p/17 | cut -c1-16) $(sha256sum other/tile/entries/000 | cut -c1-16)" '863ef73fc3b5a762 d2435ece87c7506b'
told "a log of others is mirrored" 0 '70000 entries \(70000 new\)' "$OSIER" ledger mirror other honest --policy other.policy
ok "to the same files" diff -r -x .lock other honest
told "and audited" 0 'nothing differs: 70.*other.example/log' "$OSIER" ledger audit honest --policy other.policy

mkfifo stdin
"$PY" serve other <stdin >address &
server=$!
exec 9>stdin
for _ in $(seq 200); do [ -s address ] && break; sleep 0.05; done
base=$(cat address)
told "a mirror that begins small" 0 '5000 entries' "$OSIER" ledger mirror begun untouched --policy other.policy
lies() { # MODE, CODE, REGEX
	rm -rf victim && { [ "$from" = 0 ] || cp -a untouched victim; }
	told "refused: $1, from $from" "$2" "$3" "$OSIER" ledger mirror "$base/$1" victim --policy other.policy --timeout 2s
	is "the head in hand stays: $1" "$(cmp untouched/checkpoint victim/checkpoint 2>&1)" "$([ "$from" = 0 ] && cmp untouched/checkpoint victim/checkpoint 2>&1)"
}
from=0
lies tile 6 "tile/0/005' is not what the log.s signed head says"
lies entry 6 'entry (179[2-9]|1[89][0-9][0-9]|20[0-4][0-9]) is not|bundle of entry'
lies short 6 "tile/0/005' has 4096 bytes, not 8192"
lies long 5 'more than 8192|sends more'
lies empty 6 "tile/0/005' has 0 bytes, not 8192"
lies cut 3 'broke'
lies hang 3 'did not answer within 2'
lies drip 3 'did not answer within 2'
lies endless 5 'sends more than'
lies broken 3 "answers 500 to 'tile/0/005'"
is "of which nothing is left" "$(ls victim | tr '\n' ' ')" 'tile '
from=5000
lies upper 6 "tile/1/000' is not what the log.s signed head says"
lies edge 6 'do not lead to its signed root'
lies note 6 "the log.s checkpoint"
lies garbage 2 'checkpoint'
lies page 2 'checkpoint'
lies moved 3 'answers 302'
printf 'log %s\nquorum none\n' "$vkey" >not.policy
told "a log that the policy does not trust is refused" 6 'no log that the policy trusts' "$OSIER" ledger mirror "$base/plain" new --policy not.policy
printf 'log %s\nwitness w remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2\nquorum w\n' "$okey" >strict.policy
told "so is one that too few witnesses have seen" 6 'only 0 witnesses' "$OSIER" ledger mirror "$base/plain" new --policy strict.policy
told "entries that are not for everybody are no lie" 0 'to its owner only' "$OSIER" ledger mirror "$base/denied" denied --policy other.policy
told "nor those that are gone" 0 '256 entries are no longer had.*payload expired' "$OSIER" ledger mirror "$base/pruned" pruned --policy other.policy
told "the audit of that copy says so" 0 'expired +256' "$OSIER" ledger audit pruned --policy other.policy

# Kill -9 at any point loses only time.
for i in 1 2 3 4 5 6; do
	"$OSIER" ledger mirror "$base/slow" killed --policy other.policy >/dev/null 2>&1 &
	sleep 0.$((i * 2 % 9 + 1))
	kill -9 $! 2>/dev/null
	wait $! 2>/dev/null
done
told "a mirror that was killed goes on" 0 '70000 entries' "$OSIER" ledger mirror "$base/plain" killed --policy other.policy
find killed -name '*.new' -delete
ok "to the same files" diff -r -x .lock other killed
told "begun small" 0 '5000 entries' "$OSIER" ledger mirror begun stray --policy other.policy
head -c 8192 /dev/zero >stray/tile/0/030
told "a tile that is there and differs is not written over" 5 "tile/0/030' is there with other bytes" "$OSIER" ledger mirror other stray --policy other.policy
is "nor is it" "$(cmp stray/tile/0/030 <(head -c 8192 /dev/zero) && echo same)" same

for way in "split 70000" "equal 5000" "less 4999"; do
	name=${way% *}
	rm -rf two
	"$OSIER" ledger mirror begun two --policy other.policy >/dev/null
	told "a fork is refused: ${way#* } entries beside 5000" 7 'two histories' "$OSIER" ledger mirror "$name" two --policy other.policy
	ok "with evidence: $name" "$PY" fork two/fork-* "$okey"
done

# Following.
"$PY" make growing 300
"$OSIER" ledger mirror growing follower --policy other.policy --follow --every 100ms >followed 2>&1 &
follower=$!
for _ in $(seq 300); do grep -q '300 entries' followed && break; sleep 0.1; done
grow() { "$PY" make "$@" && cp -a "$1/tile" growing/ && mv "$1/checkpoint" growing/checkpoint; }
grow larger 1000
for _ in $(seq 300); do grep -q '1000 entries' followed && break; sleep 0.1; done
like "a mirror follows a log that grows" "$(cat followed)" '1000 entries \(700 new\)'
told "two cannot write into one folder" 5 'another process writes' "$OSIER" ledger mirror growing follower --policy other.policy
grow forked 2000 400
for _ in $(seq 300); do kill -0 $follower 2>/dev/null || break; sleep 0.1; done
kill $follower 2>/dev/null
wait $follower
is "until it forks: then it ends" $? 7
exit $bad
