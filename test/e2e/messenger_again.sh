#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# messenger_again - the process that asks witnesses: what it cannot run with is put right while the node is up; a new log key needs no restart. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
cd "$T" || exit 1
ok "a node is up" up
ok "its log is published" "$OSIER" ledger publish
log=$("$OSIER" ledger policy | grep '^log ')
vkey() { python3 - <<'X'
import base64, hashlib
name, key = "w", bytes([0x58] + [102] * 31)
body = b"\x04" + key
print("%s+%s+%s" % (name, hashlib.sha256(name.encode() + b"\n" + body).hexdigest()[:8], base64.b64encode(body).decode()))
X
}
printf '%s\nwitness w %s http://127.0.0.1:1\nquorum w\n' "$log" "$(vkey)" >"$OSIER_STATE/trust.policy"
printf 'ledger: {policy: trust.policy}\n' >"$OSIER_STATE/config.yaml"
ok "it ends" "$OSIER" down
ok "and comes up with a witness" up
messenger() {
	local p
	for p in $(cat /proc/"$(engine_pid)"/task/*/children 2>/dev/null); do
		tr '\0' ' ' <"/proc/$p/cmdline" 2>/dev/null | grep -q "^osier messenger" && { echo "$p"; return 0; }
	done
	return 1
}
until_true() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.1; done
}
up_again() { messenger >/dev/null; }
gone() { ! messenger >/dev/null; }
ok "its messenger runs" until_true "$LIMIT" up_again

printf 'ledger: {policy: trust.policy}\nwhat: is this\n' >"$OSIER_STATE/config.yaml"
kill -9 "$(messenger)"
ok "with a configuration that is wrong it says so" until_true "$LIMIT" grep -q "osier messenger: .*what" "$OSIER_STATE/node.log"
ok "and stays down" until_true "$LIMIT" gone
works "the node works all the same"
ok "it is published" "$OSIER" ledger publish
ok "the messenger is still down" gone
printf 'ledger: {policy: trust.policy}\n' >"$OSIER_STATE/config.yaml"
works "the configuration was put right, and something is new"
ok "now the messenger runs" until_true "$LIMIT" up_again

old=$("$OSIER" ledger keys --json | jq -r '.keys[] | select(.role == "log") | .vkey')
told "the log gets a new key" 0 'both keys sign' "$OSIER" ledger keys rotate log
told "the old one is revoked" 0 'revoked' "$OSIER" ledger keys revoke "$old" --reason test
engine=$(engine_pid)
works "something is new"
ok "it is published under the new key" "$OSIER" ledger publish
told "the witness is asked all the same, and told of as dead" 0 '^w .*nobody answers' sh -c "'$OSIER' ledger witness | grep '^w '"
ok "an engine that starts again" "$OSIER" down --engine-only
another() { local p; p=$(engine_pid) && [ "$p" != "$engine" ] && "$OSIER" ledger witness >/dev/null 2>&1; }
ok "knows its witness by a policy that has the old key alone" until_true "$LIMIT" another
like "and its own policy names both" "$("$OSIER" ledger policy | tr '\n' ' ')" 'log .*witness w w.*quorum w'
exit $bad
