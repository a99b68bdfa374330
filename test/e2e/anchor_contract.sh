#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# anchor_contract - the bytes that osier deploys are what solc makes of Anchor.sol. Prints TAP.
. "$(dirname "$0")/../tap.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
if ! modules=$("$root/test/chain/fetch.sh" 2>"$T/why"); then
	echo "ok - Anchor.hex comes from Anchor.sol # SKIP $(tail -n 1 "$T/why")"
	exit 0
fi
cd "$root/src/anchor" || exit 1
compile() { "$modules/.bin/solcjs" --standard-json --base-path . <compile.json | sed -n 's/.*"object":"\([0-9a-f]*\)".*/\1/p'; }
compile >"$T/hex"
ok "Anchor.hex comes from Anchor.sol" cmp "$T/hex" Anchor.hex
exit $bad
