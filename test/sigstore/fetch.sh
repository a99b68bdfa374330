#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# fetch.sh - print the folder with @sigstore/verify in it (node_modules), fetched from npm once, as package-lock.json wants it.
# What is there already needs no network. Exit status 77, with a reason, when it cannot be had. $OSIER_TEST_CACHE: where to keep it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${OSIER_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/osier-test}
at=$cache/sigstore-$(sha256sum "$here/package-lock.json" | cut -c1-16)
skip() { echo "$1" >&2; exit 77; }
command -v node >/dev/null || skip "node is not installed"
if [ ! -f "$at/complete" ]; then
	command -v npm >/dev/null || skip "npm is not installed, and $at is not there"
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	flock 9
	if [ ! -f "$at/complete" ]; then
		rm -rf "$at"
		mkdir -p "$at"
		cp "$here/package.json" "$here/package-lock.json" "$at/"
		(cd "$at" && timeout 120 npm ci --ignore-scripts --no-audit --no-fund >"$at/npm.log" 2>&1) ||
			skip "npm's registry cannot be reached ($at/npm.log)"
		touch "$at/complete"
	fi
fi
(cd "$at" && node -e 'require("@sigstore/verify")' >/dev/null 2>&1) || skip "@sigstore/verify does not run with node $(node --version)"
echo "$at/node_modules"
