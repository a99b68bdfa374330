#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# journal_on_record - the journal's facts hold when its rows lie in PostgreSQL, and those of its fence and its standbys.
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:?the build folder}"
PG_DIR=$(mktemp -d "${TMPDIR:-/tmp}/osier-pg.XXXXXX")
. test/postgres.sh
trap pg_end EXIT
trap 'exit 143' TERM INT
pg_up a || { echo "not ok - PostgreSQL starts"; exit 1; }
bad=0
for t in journal journal_policy journal_record; do
	# cmocka says "not ok ... # SKIP" of what is skipped.
	OSIER_TEST_RECORD=$(pg_url a "t_$t") CMOCKA_MESSAGE_OUTPUT=TAP timeout 100 "$BUILD/test/unit/test_$t" >"$PG_DIR/out" 2>&1 || bad=1
	sed -n "s/^not ok [0-9]* # SKIP/ok - $t: # SKIP/; s/^\(ok\|not ok\) [0-9]* - /\1 - $t: /; s/^# /# /; p" "$PG_DIR/out" | grep -v '^1\.\.\|^FATAL:  terminating'
	grep -q '^ok' "$PG_DIR/out" || { echo "not ok - $t runs"; bad=1; }
done
exit $bad
