#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# record - what the journal costs in a PostgreSQL beside what it costs in SQLite, on the same disk, one after the other: one JSON object.
# record.sh [BUILD [COMMITS]]. The server is a test's own (test/postgres.sh), with Debian's settings but for its memory: it syncs.
cd "$(dirname "$0")/.." || exit 1
build=${1:-build} commits=${2:-500}
PG_DIR=$(mktemp -d /var/tmp/osier-bench-pg.XXXXXX)
. test/postgres.sh
trap pg_end EXIT
pg_up a >&2 || exit 1
printf '{"sqlite":\n'
"$build/bench-journal" /var/tmp "$commits" || exit 1
printf ', "postgresql":\n'
"$build/bench-journal" /var/tmp "$commits" "$(pg_url a)" || exit 1
printf '}\n'
