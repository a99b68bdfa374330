#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# test_facts - what a hub and its nodes do for their user, in network namespaces. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
exec python3 test/fleet/facts.py
