#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# test_near - tasks that want to be near something, where cables are slow, in network namespaces. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
exec python3 test/fleet/near.py
