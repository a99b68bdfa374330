#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A sweep on Python workers: the period doubling of the logistic map begins where theory says.
cd "$(dirname "$0")/../.." && . test/tap.sh
out=$("$OSIER" run examples/sweep/sweep.yaml --quiet)
is "the job succeeds" $? 0
like "every point was tried" "$out" '^333 points$'
like "period 2 begins just above r = 3" "$out" '^period 2 +first seen at r = 3\.0[01]0$'
like "period 4 begins at 1 + sqrt 6 = 3.449" "$out" '^period 4 +first seen at r = 3\.450$'
like "the window of period 3 begins at 1 + sqrt 8 = 3.828" "$out" '^period 3 +first seen at r = 3\.830$'
exit $bad
