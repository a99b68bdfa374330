#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Lua from Debian's source package, built as a graph of compile tasks and a link. Without the network it needs the copy of an
# earlier run.
cd "$(dirname "$0")/../.." && . test/tap.sh
# A relative folder, as the example says.
if ! out=$(cd "$BUILD" && "$OLDPWD/examples/lua/get.sh" lua5.4 lua 2>&1); then
	printf '%s\n' "$out" | sed 's/^/# /'
	case $out in
	*"ailed to fetch"* | *"not resolve"* | *"nable to connect"* | *"Temporary failure"*) echo "ok - lua # SKIP the source package cannot be had" ;;
	*) echo "not ok - the source is fetched"; exit 1 ;;
	esac
	exit 0
fi
out=$("$OSIER" run examples/lua/lua.yaml --set source="$BUILD/lua" --quiet)
is "the job succeeds" $? 0
is "the built Lua works" "$out" "Lua 5.4	1024.0	OSIER	3"
exit $bad
