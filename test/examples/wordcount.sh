#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Word count over the machine's own documentation, against one plain pipeline.
cd "$(dirname "$0")/../.." && . test/tap.sh
out=$("$OSIER" run examples/wordcount/wordcount.yaml --quiet)
is "the job succeeds" $? 0
want=$(find /usr/share/doc -type f \( -name copyright -o -name '*.txt' -o -name 'README*' \) ! -name '*.gz' -print0 | xargs -0 cat |
	LC_ALL=C tr -cs 'A-Za-z' '\n' | LC_ALL=C tr A-Z a-z | grep . | LC_ALL=C sort | LC_ALL=C uniq -c |
	awk '{ print $2, $1 }' | LC_ALL=C sort -k2,2nr -k1,1 | head -n 10)
is "it counts what one pipeline counts" "$out" "$want"
exit $bad
