#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The main job, with a tenth of its digits: known digits, known SHA-256, agreeing checks.
cd "$(dirname "$0")/../.." && . test/tap.sh
out=$("$OSIER" run examples/pi/pi.yaml --set digits=1000000 --set worker="$BUILD/examples/pi-worker" 2>&1)
is "the job succeeds" $? 0
like "the last decimals are right" "$out" '5779458151$'
like "the decimals have the known SHA-256" "$out" '7806ee47461b49ef1f578e14461b2c83c09c6d7a9a914275da1d71e9cbbf7069'
like "the BBP check agrees" "$out" '[0-9a-f]{12} by Chudnovsky, [0-9a-f]{12} by BBP: they agree'
out=$("$OSIER" run examples/pi/pi.yaml --set digits=50 --set worker="$BUILD/examples/pi-worker" 2>&1)
like "fifty digits are enough too" "$out" '3\.14159265358979323846264338327950288419716939937510'
exit $bad
