#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ledger_anchors - a node's heads on a real chain (anvil): deployed, anchored, verified, through reorganisations, losses, lies and kills. Prints TAP.
. "$(dirname "$0")/../tap.sh"
here=$(cd "$(dirname "$0")" && pwd)
if ! modules=$("$here/../chain/fetch.sh" 2>"$T/why"); then
	echo "ok - a node's heads are anchored on a real chain # SKIP $(tail -n 1 "$T/why")"
	exit 0
fi
echo "a secret of nobody" >"$T/passphrase"
chmod 600 "$T/passphrase"
# The keys are sealed, so that every process here must open them.
HOME=$T OSIER_PASSPHRASE_FILE=$T/passphrase PYTHONDONTWRITEBYTECODE=1 \
	python3 "$here/ledger_anchors.py" "$modules/@foundry-rs/anvil-linux-amd64/bin/anvil" "$OSIER" "$T"
