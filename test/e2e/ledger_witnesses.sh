#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ledger_witnesses - three nodes witness the log of a fourth; others are dead, hang or answer garbage; a copy of the node goes on
# elsewhere and is found out; a witness that dies while it cosigns never contradicts itself. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
CHECK=$PWD/test/e2e/witness_check.py
LOG=$OSIER_STATE
servers=
at_end() {
	local d
	# shellcheck disable=SC2086
	[ -z "$servers" ] || kill $servers 2>/dev/null
	for d in w1 w2 w3 dying fork; do [ ! -S "$T/$d/api.sock" ] || OSIER_STATE=$T/$d timeout 30 "$OSIER" down >/dev/null 2>&1; done
}
cd "$T" || exit 1
at() { local d=$1; shift; env OSIER_STATE="$T/$d" timeout "$LIMIT" "$OSIER" "$@"; }
get() { curl -s -m "$LIMIT" --unix-socket "$T/$1/api.sock" "http://osier$2"; }
# until SECONDS COMMAND...: it succeeds in the end.
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || { "$@"; echo "not so: $*"; get state /v1/ledger/witnesses; return 1; }
		sleep 0.2
	done
}
messenger_pid() {
	local p
	for p in $(cat /proc/"$(engine_pid)"/task/*/children 2>/dev/null); do
		tr '\0' ' ' <"/proc/$p/cmdline" 2>/dev/null | grep -q "messenger --state $OSIER_STATE" && { echo "$p"; return 0; }
	done
	return 1
}
bad_witness() { # HOW: its port
	"$CHECK" serve "$1" >"port.$1" &
	servers="$servers $!"
	until_true 20 test -s "port.$1"
	cat "port.$1"
}

# ---- a log and its witnesses ----

printf 'name: job\nshell: echo hello ${index}\narray: 3\n' >job.yaml
ok "a node is up" up
told "it has a log" 0 'are signed' "$OSIER" ledger publish
"$OSIER" ledger policy | grep '^log ' >log.line
for w in w1 w2 w3; do
	mkdir -m 700 $w
	{ cat log.line; echo 'quorum none'; } >$w/logs.policy
	printf 'ledger: {witness: logs.policy, listen: "127.0.0.1:0"}\n' >$w/config.yaml
	at $w up >/dev/null 2>&1
	at $w ledger publish >/dev/null 2>&1
done
bad_witness garbage >/dev/null
bad_witness hang >/dev/null
{
	cat log.line
	for w in w1 w2 w3; do echo "witness $w $(get $w /v1/witness | jq -r .vkey) $(get $w /v1/ledger | jq -r .url)"; done
	echo "witness garbage $("$CHECK" vkey garbage) http://127.0.0.1:$(cat port.garbage)/"
	echo "witness hangs $("$CHECK" vkey hangs) http://127.0.0.1:$(cat port.hang)/deep/inside"
	echo "witness dead $("$CHECK" vkey dead) http://127.0.0.1:1"
	echo 'group two 2 w1 w2 w3'
	echo 'quorum two'
} >trust.policy
told "without witnesses there is nothing to wait for" 4 'no (such )?job|no job' "$OSIER" receipt --wait witnessed job-1/main/0
told "who has none is told how to get some" 4 'asks no witnesses, and is none.*ledger.policy' "$OSIER" ledger witness
cp trust.policy "$LOG/trust.policy"
printf 'ledger: {policy: trust.policy}\n' >"$LOG/config.yaml"
ok "the node ends" "$OSIER" down
ok "and comes up with witnesses" up
"$OSIER" ledger policy >own.policy
is "its policy names them, the group and the quorum, and no addresses" "$(grep -c '^witness .* [^ ]*+[^ ]*$' own.policy) $(grep '^group\|^quorum' own.policy | tr '\n' ' ')" '6 group two 2 w1 w2 w3 quorum two '
told "a job runs" 0 'succeeded' "$OSIER" submit --watch job.yaml
told "its receipt is witnessed, whatever the others do" 0 'osier verify' "$OSIER" receipt --wait witnessed job-1/main/2 -o r.tlog-proof
told "it holds, and says so" 0 'job-1/main/2 is witnessed' "$OSIER" verify r.tlog-proof --policy trust.policy
like "a reader that shares no code finds the cosignatures" "$("$CHECK" cosigned r.tlog-proof trust.policy)" 'w. w.'
sed 's/^group two 2/group two 3/' trust.policy >three.policy
until_true 20 sh -c "'$OSIER' receipt job-1/main/2 -o r3 2>/dev/null; '$OSIER' verify r3 --policy three.policy" >/dev/null 2>&1
told "with the third it is enough for who asks for three" 0 'is witnessed' "$OSIER" verify r3 --policy three.policy
sed 's/^group two 2 w1 w2 w3/group two all w1 w2 w3 dead/' trust.policy >four.policy
told "but never for who asks for the dead one too" 6 'only 3 witnesses' "$OSIER" verify r3 --policy four.policy
api /v1/ledger/checkpoint >checkpoint
is "the published head carries them" "$("$CHECK" cosigned checkpoint trust.policy)" 'w1 w2 w3'
get w1 "/v1/witness/$(head -n 1 checkpoint | tr -d '\n' | sha256sum | cut -c1-64)/checkpoint" >seen
is "so does the head that a witness shows" "$("$CHECK" cosigned seen trust.policy)" 'w1'
told "a witness shows what it cosigned" 0 'a witness.*/witness\+.*grows' env OSIER_STATE="$T/w1" "$OSIER" ledger witness
like "its key is in its log" "$(at w1 ledger keys)" 'heads of other logs +added'

# ---- witnesses come and go, engine and messenger die ----

ok "one witness ends" at w1 down
told "another job runs" 0 'succeeded' "$OSIER" submit --watch job.yaml
told "two are enough" 0 'osier verify' "$OSIER" receipt --wait witnessed last/main/0 -o two.tlog-proof
told "as the policy says" 0 'is witnessed' "$OSIER" verify two.tlog-proof --policy trust.policy
ok "a second one ends" at w2 down
told "a third job runs" 0 'succeeded' "$OSIER" submit --watch job.yaml
told "one is not enough, and who is missing is told" 124 'not witnessed in time.*cosigned it' "$OSIER" receipt --wait witnessed --timeout 3s last/main/0
told "its receipt is committed all the same" 6 'only (0 witnesses|1 witness) cosigned' sh -c "'$OSIER' receipt last/main/0 >one; '$OSIER' verify one --policy trust.policy"
# An address may have changed, so they come back at the old ones.
for w in w1 w2; do sed -i "s#127.0.0.1:0#$(awk -v w=$w '$2 == w {sub("http://", "", $4); print $4}' trust.policy)#" $w/config.yaml; done
ok "they come back" sh -c "OSIER_STATE=$T/w1 '$OSIER' up && OSIER_STATE=$T/w2 '$OSIER' up"
told "then it is witnessed" 0 'osier verify' "$OSIER" receipt --wait witnessed last/main/0 -o late.tlog-proof
errors() { api /v1/ledger/witnesses | jq -r '[.witnesses[] | select(.error) | .name] | join(" ")'; }
ok "who is wrong is known" until_true 40 sh -c "curl -s --unix-socket '$LOG/api.sock' http://o/v1/ledger/witnesses | jq -e '[.witnesses[] | select(.error) | .name] == [\"garbage\", \"hangs\", \"dead\"]' >/dev/null"
is "and no others" "$(errors)" 'garbage hangs dead'
told "what is wrong with whom is shown" 0 'two asks for.*w1 +[0-9]+ .*cosigns.*garbage +0 +never +.*sends more than.*hangs.*did not answer.*dead.*nobody answers' "$OSIER" ledger witness
first=$(messenger_pid)
kill -9 "$first"
ok "a messenger that was killed is started again" until_true 30 sh -c "p=\$(cat /proc/$(engine_pid)/task/*/children); for q in \$p; do [ \$q != $first ] && tr '\\0' ' ' </proc/\$q/cmdline | grep -q 'messenger --state $OSIER_STATE' && exit 0; done; exit 1"
second=$(messenger_pid)
kill -9 "$(engine_pid)"
ok "it does not outlive its engine" until_true 20 sh -c "! kill -0 $second 2>/dev/null"
told "a job runs after all that" 0 'succeeded' "$OSIER" submit --watch job.yaml
told "and is witnessed" 0 'osier verify' "$OSIER" receipt --wait witnessed last/main/0 -o after.tlog-proof

# ---- a copy of the node goes on elsewhere ----

ok "the node ends for a copy" "$OSIER" down
ok "no messenger is left" until_true 10 sh -c "! pgrep -f '[m]essenger --state $OSIER_STATE ' >/dev/null"
cp -a "$LOG" fork
ok "it goes on" up
told "with a job" 0 'succeeded' "$OSIER" submit --watch job.yaml
told "that is witnessed" 0 'osier verify' "$OSIER" receipt --wait witnessed last/main/0 -o true.tlog-proof
# The quorum is two. A third that has not heard of it yet would believe the copy, and rightly.
everybody() { api /v1/ledger/witnesses | jq -e '.size as $n | [.witnesses[] | select(.name[:1] == "w") | .size] == [$n, $n, $n]' >/dev/null; }
ok "by all three in the end" until_true 40 everybody
ok "it ends" "$OSIER" down
export OSIER_STATE=$T/fork
ok "the copy goes on from where it was copied" up
printf 'name: other\nshell: echo goodbye ${index}\narray: 2\n' >other.yaml
told "with another job" 0 'succeeded' "$OSIER" submit --watch other.yaml
forked() { get fork /v1/ledger/witnesses | jq -e "[.witnesses[] | select(.name[:1] == \"w\" and (.error // \"\" | test(\"$1\")))] | length >= 2" >/dev/null; }
ok "the witnesses tell it from the one they know" until_true 40 forked 'copy of this node|another history'
told "it is not witnessed" 124 'not witnessed in time.*(copy of this node|another history)' "$OSIER" receipt --wait witnessed --timeout 2s last/main/0
"$OSIER" receipt last/main/0 -o false.tlog-proof 2>/dev/null
{ cat log.line; echo 'quorum none'; } >fork/logs.policy
told "so its receipt convinces nobody" 6 'only 0 witnesses' "$OSIER" verify false.tlog-proof --policy trust.policy
told "though its log signed it" 0 'committed' "$OSIER" verify false.tlog-proof --policy fork/logs.policy
for _ in 1 2 3; do "$OSIER" submit --watch other.yaml >/dev/null 2>&1; done
ok "however much it grows" until_true 70 forked 'another history'
ok "the copy ends" "$OSIER" down
export OSIER_STATE=$LOG
told "the true one is still believed" 0 'is witnessed' "$OSIER" verify true.tlog-proof --policy trust.policy

# ---- a witness that dies while it cosigns ----

mkdir -m 700 dying
"$CHECK" logs dying 4
printf 'ledger: {witness: logs.policy}\n' >dying/config.yaml
for moment in kept keeping; do
	ok "a witness is up that will die ($moment)" env OSIER_STATE="$T/dying" OSIER_KILL_AT=$moment OSIER_KILLED="$T/$moment/killed" OSIER_KILLS=5 \
		ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}" LD_PRELOAD="$BUILD/test/e2e/libkill-at.so" "$OSIER" up
	mkdir "$moment" # from now on
	told "it dies and never contradicts itself ($moment)" 0 '"unanswered": 5,' "$CHECK" kills "$T/dying/api.sock" dying
	is "it did die ($moment)" "$(stat -c %s "$moment/killed")" 5
	told "it has caught the logs with two faces ($moment)" 0 'SHOWS TWO FACES' env OSIER_STATE="$T/dying" "$OSIER" ledger witness
	ok "it ends ($moment)" at dying down
	rm -rf dying/witness.db* dying/keys/witness.key
done
exit $bad
