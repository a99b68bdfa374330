#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Lua from Debian's source package, built as a graph of compile tasks and a link. Without the network it needs the copy of an
# earlier run.
cd "$(dirname "$0")/../.." && . test/tap.sh
if ! out=$(examples/lua/get.sh lua5.4 "$BUILD/lua" 2>&1); then
	printf '%s\n' "$out" | sed 's/^/# /'
	echo "ok - lua # SKIP the source package cannot be had"
	exit 0
fi
out=$("$OSIER" run examples/lua/lua.yaml --set source="$BUILD/lua" --quiet)
is "the job succeeds" $? 0
is "the built Lua works" "$out" "Lua 5.4	1024.0	OSIER	3"
exit $bad
