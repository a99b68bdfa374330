#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tsan - what has threads (journal, blob hashing, worker library), under ThreadSanitizer. BUILD: a -Db_sanitize=thread build.
# `tsan.sh --targets`: what of it must be built.
tests="journal journal_faults journal_policy logstore blobs worker"
if [ "${1:-}" = --targets ]; then
	printf 'test/unit/test_%s ' $tests
	exit 0
fi
for t in $tests; do
	CMOCKA_MESSAGE_OUTPUT=TAP timeout 200 "$BUILD/test/unit/test_$t" || echo "not ok - test_$t"
done
