#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# stamps - timestamps by a real authority of `openssl ts`, and OpenTimestamps proofs that other software reads. Prints TAP.
. "$(dirname "$0")/../tap.sh"
python=/usr/bin/python3 # Debian's, which has python3-opentimestamps
[ -x $python ] || python=python3
$python "$(dirname "$0")/stamps.py" "$BUILD/test/e2e/stamp-tool" "$T"
