#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tsan - what has threads (journal, blob hashing, worker library), under ThreadSanitizer. BUILD: a -Db_sanitize=thread build.
for t in journal blobs hashq worker; do
	[ -x "$BUILD/test/unit/test_$t" ] || continue
	CMOCKA_MESSAGE_OUTPUT=TAP timeout 200 "$BUILD/test/unit/test_$t" || echo "not ok - test_$t"
done
