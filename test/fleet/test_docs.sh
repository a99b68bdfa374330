#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# test_docs - docs/fleet.md is followed to the letter, on machines in network namespaces. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
exec python3 test/fleet/follow.py docs/fleet.md
