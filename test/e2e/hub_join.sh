#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_join - nodes join a hub by a line to paste: what a token is worth, whom certificates let in, blobs over a cable that breaks. Prints TAP.
# BLOB_MIB: how large the blob is (default 256).
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
MIB=${BLOB_MIB:-256}
HUB=$TMP/hub A=$TMP/a B=$TMP/b
machines "$HUB" "$A" "$B" "$TMP/away"
printf 'name: Plant_1\n' >"$HUB/config.yaml"
printf 'name: press-4\n' >"$A/config.yaml"
printf 'name: press-4\n' >"$B/config.yaml" # two of one name
export OSIER_STATE=$HUB
ends() { take_down; [ -n "${PROXY:-}" ] && kill "$PROXY" 2>/dev/null; finish; }
hub() { osier hub "$@"; }
https() { curl -sS --cacert "$HUB/hub/ca.crt" "$@"; }
# other LINE: with another fingerprint.
other() { python3 -c 'import sys; u, t = sys.argv[1].split("#"); print(u + "#" + t[:8] + ("A" if t[8] != "A" else "B") + t[9:])' "$1"; }
URL=https://127.0.0.1:$PORT

# ---- the hub ----
fact "a hub begins with one command, the node too" hub_begins --address localhost --certificates 12s
fact "which prints one line to paste" says "osier join 'https://127.0.0.1:$PORT#"
fact "its keys are its owner's alone" so "$(stat -c %a "$HUB/hub" "$HUB"/hub/*.key | tr '\n' ' ')" "700 600 600 600 "
fact "its name is one for topics" so "$(api "$HUB" /v1/hub | jq -r .name)" plant-1
fact "it stays the same hub when it is said again" exits 0 osier hub --certificates 12s --json
fact "a name is for life" exits 5 osier hub --name other
fact "and says so" complains "this hub is 'plant-1'"
fact "what is no address is refused" exits 2 osier hub --address http://x
L=$(line)
fact "the line does not stand in what the hub keeps" bash -c "! grep -rqaF '${L#*#}' '$HUB'"

# ---- joining ----
fact "a node joins" exits 0 osier --state "$A" join "$L"
fact "under its own name" says "joined hub 'plant-1' as 'press-4'"
fact "its key is its owner's alone" so "$(stat -c %a "$A/parent" "$A/parent/client.key" | tr '\n' ' ')" "700 600 "
fact "the hub knows it" so "$(api "$HUB" /v1/hub | jq -r '.nodes[] | .name + " " + (.removed | tostring)')" "press-4 false"
fact "its own key stands in the certificate's entry" so "$(api "$HUB" /v1/hub | jq -r '.nodes[0].key')" \
	"$(api "$A" /v1/ledger/keys | jq -r '[.keys[] | select(.role == "node")][0].vkey' | cut -d+ -f3- | base64 -d | tail -c 32 | xxd -p -c 64)"
fact "the token is spent" exits 5 osier --state "$B" join "$L" --name press-5
fact "and says by whom" complains "used already, by 'press-4'"
fact "the same node may ask again: its answer may have been lost" exits 0 osier --state "$A" join "$L"
L=$(line)
fact "a name is one node's" exits 5 osier --state "$B" join "$L"
fact "who hears what to do" complains "--name"
fact "which has not spent the token" exits 0 osier --state "$B" join "$L" --name press-5
fact "a node has one hub" so "$(api "$B" /v1/join -d "{\"line\": \"$(other "$L")\"}" | jq -r .error.message)" "this node has joined the hub 'plant-1' at https://127.0.0.1:$PORT"
fact "it leaves" exits 0 osier --state "$B" leave
fact "and has none then" exits 4 osier --state "$B" leave
# What 'osier hub token' prints, as it is; no list of processes shows it.
piped() { OSIER_STATE=$HUB osier hub token 2>/dev/null | tee "$TMP/printed" | osier --state "$B" join - --name press-6 >"$TMP/out" 2>&1 && says "as 'press-6'" && grep -q "^osier join 'https" "$TMP/printed"; }
fact "a line comes in by a pipe" piped
fact "and it leaves again" exits 0 osier --state "$B" leave
fact "where none comes it says so" exits 2 osier --state "$B" join -
fact "and how one does" complains "ssh HUB osier hub token | osier join -"
short=$(line "$HUB" --ttl 1s)
sleep 2
fact "a token ends" exits 124 osier --state "$B" join "$short" --name press-5
fact "and says when it did" complains "the token expired"
fact "a token that was never made lets nobody in" exits 5 osier --state "$B" join "${L%????????????????????}AAAAAAAAAAAAAAAAAAAA" --name press-5
fact "and is not told apart from others by more" complains "knows no such token"
wrong=$(other "$L")
# A renewal of the twelve-second certificate is an entry, too: right after one there is none for seconds. On a slow disk it matters when.
serial() { openssl x509 -in "$A/parent/client.crt" -noout -serial; }
fresh() {
	local was
	was=$(serial)
	is_new() { [ "$(serial)" != "$was" ]; }
	soon is_new
}
fact "a certificate is renewed" fresh
before=$(api "$HUB" /v1/journal/head | jq .size)
fact "another hub's token is told to nobody" exits 5 osier --state "$B" join "$wrong" --name press-5
fact "the fingerprint is not this hub's" complains "not the one that made this token"
fact "half a line is told" exits 2 osier --state "$B" join "https://127.0.0.1:$PORT"
fact "with what shells do" complains "in quotes"
fact "nobody there is told" exits 3 osier --state "$B" join "https://127.0.0.1:1#${L#*#}"
fact "strangers write nothing into the journal" so "$(api "$HUB" /v1/journal/head | jq .size)" "$before"
slowed() { https -X POST -d '{}' "$URL/v1/hub/join?[1-60]" | grep 'too many wrong tokens'; } # one connection: that is quick on any machine
fact "who tries much is slowed" slowed
sleep 1.5

# Two with one token at once: one wins.
L=$(line)
(osier --state "$B" join "$L" --name race-b >"$TMP/race.b" 2>&1) &
(osier --state "$TMP/away" join "$L" --name race-c >"$TMP/race.c" 2>&1) &
wait
fact "of two with one token one gets in" so "$(cat "$TMP/race.b" "$TMP/race.c" | grep -c '^joined')" 1
fact "the other is told who" grep -q "used already, by 'race-" "$TMP/race.b" "$TMP/race.c"
osier --state "$TMP/away" down >/dev/null 2>&1

# ---- certificates ----
mine() { https --cert "$1/client.crt" --key "$1/client.key" "${@:2}"; }
none=$(printf none | sha256sum | cut -d' ' -f1)
fact "anyone may have the hub's certificate" cmp <(https "$URL/v1/hub/ca") "$HUB/hub/ca.crt"
fact "but nothing else without one" so "$(https -o /dev/null -w '%{http_code}' "$URL/v1/blobs/$none")" 401
fresh
fact "a node is let in" so "$(mine "$A/parent" -o /dev/null -w '%{http_code}' "$URL/v1/blobs/$none")" 404
mkdir "$TMP/foreign"
openssl req -x509 -newkey ed25519 -nodes -subj "/O=osier hub/CN=plant-1" -keyout "$TMP/foreign/ca.key" -out "$TMP/foreign/ca.crt" 2>/dev/null
openssl req -newkey ed25519 -nodes -subj /CN=press-4 -keyout "$TMP/foreign/client.key" -out "$TMP/foreign/csr" 2>/dev/null
openssl x509 -req -in "$TMP/foreign/csr" -CA "$TMP/foreign/ca.crt" -CAkey "$TMP/foreign/ca.key" -extfile <(printf 'subjectAltName=URI:osier://plant-1/press-4\nextendedKeyUsage=clientAuth') -out "$TMP/foreign/client.crt" 2>/dev/null
fact "a certificate that another authority of that name gave lets nobody in" so "$(mine "$TMP/foreign" -o /dev/null -w '%{http_code}' "$URL/v1/blobs/$none")" 403
fresh
fact "a node may not ask for another's" so "$(mine "$A/parent" "$URL/v1/hub/renew" -d '{"version": 1, "name": "press-5"}' | jq -r .error.code)" invalid
first=$(openssl x509 -in "$A/parent/client.crt" -noout -serial)
renewed() { [ "$(openssl x509 -in "$A/parent/client.crt" -noout -serial)" != "$first" ]; }
fact "certificates are renewed before they end" soon renewed
fact "the node's doctor knows its hub" bash -c "osier --state '$A' doctor | grep -q \"joined *hub 'plant-1' as 'press-4'\""
fact "the hub's knows that it is one" bash -c "osier doctor --state '$HUB' | grep -q \"hub *'plant-1' listens at port $PORT\""
# A node that was away for longer than its certificate's life.
fact "a node goes away" exits 0 osier --state "$A" down
over() { ! openssl x509 -in "$A/parent/client.crt" -noout -checkend 0; }
fact "for so long that its certificate ends" soon over
fact "which the hub shows" bash -c "osier hub show --state '$HUB' | grep -q 'press-4.*expired'"
cp -r "$A/parent" "$TMP/expired"
fact "it lets nobody in" so "$(mine "$TMP/expired" -o /dev/null -w '%{http_code}' "$URL/v1/blobs/$none")" 403
fact "it is back" exits 0 osier --state "$A" up
there() { [ "$(mine "$A/parent" -o /dev/null -w '%{http_code}' "$URL/v1/blobs/$none")" = 404 ]; }
fact "that lets it in" soon there
cp -r "$A/parent" "$TMP/stolen"
fact "a stolen one lets in as that node" so "$(mine "$TMP/stolen" -o /dev/null -w '%{http_code}' "$URL/v1/blobs/$none")" 404
fact "until the node is removed" exits 0 osier hub revoke press-4 --reason stolen
fact "then it does not" so "$(mine "$TMP/stolen" "$URL/v1/blobs/$none" | jq -r .error.message)" "the certificate of 'press-4' was revoked"
fact "the broker's list has it" bash -c "openssl crl -in '$HUB/hub/crl.pem' -noout -text | grep -qi \"\$(openssl x509 -in '$TMP/stolen/client.crt' -noout -serial | cut -d= -f2)\""
kill_hub() { kill -9 "$(pgrep -f "engine --state $HUB( |\$)" | head -1)"; soon api "$HUB" /v1/hub; }
kill_hub
fact "also when the engine was killed" so "$(mine "$TMP/stolen" "$URL/v1/blobs/$none" | jq -r .error.code)" removed
fact "the history tells who did it" bash -c "osier history --state '$HUB' | grep -q 'removed node press-4.*stolen'"
osier --state "$B" leave >/dev/null 2>&1
L=$(line)
kill_hub
fact "a token outlives a kill of the hub" exits 0 osier --state "$B" join "$L" --name press-7
kill_hub
fact "that it was used, too" exits 5 osier --state "$A" join "$L"
fact "which is told after it as before" complains "used already, by 'press-7'"
fact "the certificates of others live longer now" exits 0 osier hub --certificates 24h
fact "the node joins anew" exits 0 osier --state "$A" join "$(line)"

# ---- blobs, over a bad cable ----
python3 test/e2e/hub_proxy.py "$PORT" $((MIB * 1048576 / 3)) 2 0 "$TMP/count" >"$TMP/proxy" &
PROXY=$!
soon test -s "$TMP/proxy"
osier --state "$A" leave >/dev/null 2>&1
P=$(cat "$TMP/proxy")
L=$(line)
fact "a node joins through a cable that will break" exits 0 osier --state "$A" join "https://127.0.0.1:$P#${L#*#}"
openssl enc -aes-128-ctr -pass pass:x -nosalt -in /dev/zero 2>/dev/null | head -c $((MIB * 1048576)) >"$TMP/blob"
S=$(sha256sum "$TMP/blob" | cut -d' ' -f1)
curl -sS -T "$TMP/blob" --unix-socket "$A/api.sock" "http://osier/v1/blobs/$S" >/dev/null
fact "a blob goes to the hub, though the cable breaks twice" so "$(api "$A" "/v1/blobs/$S/send" -d '{}' | jq -r '.sha256 // .error.message')" "$S"
fact "as it was" so "$(api "$HUB" "/v1/blobs/$S" | sha256sum | cut -d' ' -f1)" "$S"
fact "and hardly a byte went twice" test "$(cat "$TMP/count")" -lt $((MIB * 1048576 * 11 / 10))
fact "nothing is left of its coming" so "$(ls "$HUB/incoming" | wc -l)" 0
fact "sent again nothing goes" bash -c "was=\$(cat '$TMP/count'); curl -sS --unix-socket '$A/api.sock' http://osier/v1/blobs/$S/send -d '{}' >/dev/null; sleep 0.3; [ \$((\$(cat '$TMP/count') - was)) -lt 65536 ]"
kill "$PROXY"; wait "$PROXY" 2>/dev/null
rm -rf "$A"/blobs/??/*
python3 test/e2e/hub_proxy.py "$PORT" $((MIB * 1048576 / 3)) 2 $((MIB * 1048576 / 3)) "$TMP/count" >"$TMP/proxy2" &
PROXY=$!
soon test -s "$TMP/proxy2"
osier --state "$A" leave >/dev/null 2>&1
L=$(line)
osier --state "$A" join "https://127.0.0.1:$(cat "$TMP/proxy2")#${L#*#}" >/dev/null 2>&1
(api "$A" "/v1/blobs/$S/fetch" -d '{}' >"$TMP/fetched") &
fetching=$!
(api "$A" "/v1/blobs/$S/fetch" -d '{}' >"$TMP/fetched2") &
fetching="$fetching $!"
some() { [ "$(cat "$TMP/count")" -gt $((MIB * 1048576 / 6)) ]; }
soon some
fact "nothing of it is seen before it is whole" so "$(api "$A" "/v1/blobs/$S" -o /dev/null -w '%{http_code}')" 404
kill -9 "$(pgrep -P "$(pgrep -f "engine --state $A( |\$)" | head -1)" -f 'osier carrier' | head -1)" 2>"$TMP/err" && killed=1
# shellcheck disable=SC2086
wait $fetching
fact "the carrier was killed on the way" test "${killed:-0}" = 1
fact "the blob comes all the same" so "$(jq -r '.sha256 // .error.message' "$TMP/fetched")" "$S"
fact "to both who asked" so "$(jq -r '.sha256 // .error.message' "$TMP/fetched2")" "$S"
fact "as it was" so "$(api "$A" "/v1/blobs/$S" | sha256sum | cut -d' ' -f1)" "$S"
fact "and hardly a byte came twice" test "$(cat "$TMP/count")" -lt $((MIB * 1048576 * 11 / 10))

# ---- what is wrong is never seen ----
rm -rf "$A"/blobs/??/*
printf X | dd of="$HUB/blobs/${S:0:2}/${S:2}" bs=1 seek=12345 conv=notrunc 2>/dev/null
fact "a byte that was flipped is noticed" so "$(api "$A" "/v1/blobs/$S/fetch" -d '{}' | jq -r .error.code)" corrupt
fact "and nothing is there" so "$(api "$A" "/v1/blobs/$S" -o /dev/null -w '%{http_code}') $(ls "$A/carrier" | wc -l)" "404 0"
printf 'other bytes' >"$TMP/other"
fact "the hub takes no bytes under another's name" so "$(mine "$A/parent" -T "$TMP/other" "$URL/v1/blobs/$none" | jq -r .error.code)" invalid
fact "nor keeps them" so "$(ls "$HUB/incoming" | wc -l) $(mine "$A/parent" -o /dev/null -w '%{http_code}' -I "$URL/v1/blobs/$none")" "0 404"
small=$(printf 'twelve bytes' | sha256sum | cut -d' ' -f1)
mine "$A/parent" -o /dev/null -X PUT -H 'Content-Range: bytes 0-5/12' -d twelve "$URL/v1/blobs/$small"
fact "what came in part is told" so "$(mine "$A/parent" -I "$URL/v1/blobs/$small" | tr -d '\r' | sed -n 's/^Upload-Offset: //p')" 6
fact "it goes on from there, and nowhere else" so "$(mine "$A/parent" -o /dev/null -w '%{http_code}' -X PUT -H 'Content-Range: bytes 8-11/12' -d ytes "$URL/v1/blobs/$small")" 409
fact "to its end" so "$(mine "$A/parent" -o /dev/null -w '%{http_code}' -X PUT -H 'Content-Range: bytes 6-11/12' -d ' bytes' "$URL/v1/blobs/$small")" 201
fact "a part can be had" so "$(mine "$A/parent" -H 'Range: bytes=7-' "$URL/v1/blobs/$small")" bytes
fact "only if it is what is meant" so "$(mine "$A/parent" -H 'Range: bytes=7-' -H "If-Range: \"$none\"" "$URL/v1/blobs/$small")" "twelve bytes"
fact "past its end there is none" so "$(mine "$A/parent" -o /dev/null -w '%{http_code}' -H 'Range: bytes=12-' "$URL/v1/blobs/$small")" 416

# ---- another hub ----
osier --state "$B" leave >/dev/null 2>&1
fact "a port that is taken is told" exits 5 osier --state "$B" hub --listen 127.0.0.1 --port "$PORT"
fact "with what to do" complains "osier hub --port"
fact "another port, and it is a hub" exits 0 osier --state "$B" hub --listen 127.0.0.1 --address 127.0.0.1 --port "$(free_port)" --broker-port "$(free_port)"
own=$(sed "s/^osier join '//; s/'$//" "$TMP/out")
fact "which does not join itself" exits 2 osier --state "$B" join "$own" --name itself
fact "and says so" complains "this node is that hub"
fact "a node that has a hub is not taken by another" exits 5 osier --state "$A" join "$own"
fact "before it leaves" complains "osier leave"
osier --state "$B" down --engine-only >/dev/null 2>&1
soon api "$B" /v1/hub
fact "a hub is one again after its engine was exchanged" so "$(api "$B" /v1/hub | jq .hub)" true

# ---- clocks ----
osier --state "$B" down >/dev/null 2>&1
lib=$(ls /usr/lib/*/faketime/libfaketimeMT.so.1 2>/dev/null | head -1)
if [ -n "$lib" ] && ! nm -D "$(command -v osier)" 2>/dev/null | grep -q __asan_init; then
	rm -rf "$B"; mkdir "$B"
	L=$(line)
	LD_PRELOAD=$lib FAKETIME=-3h exits 5 osier --state "$B" join "$L" --name press-6
	fact "a clock that is wrong is told, and by how much" complains "the clock of this machine is 3 h behind the hub's"
	osier --state "$B" down >/dev/null 2>&1
fi
echo "1..$tests"
