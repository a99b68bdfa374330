#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# carrier_hostile - whatever a hub answers, the process that asks it tells its engine, and goes on with what else it does.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.sh
openssl req -x509 -newkey ed25519 -nodes -keyout "$T/server.key" -out "$T/server.crt" -days 2 -subj /CN=plant \
	-addext subjectAltName=IP:127.0.0.1 >/dev/null 2>&1
cp "$T/server.crt" "$T/ca.crt"
python3 test/e2e/carrier_hostile.py "$OSIER" "$T" 2>"$T/said" | tee "$T/tap"
is "nothing else is said" "$(cat "$T/said")" ""
[ "$(grep -c '^ok' "$T/tap")" = 5 ] && exit $bad
exit 1
