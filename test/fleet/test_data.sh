#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# test_data - what tasks on nodes take in and leave, in network namespaces. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
exec python3 test/fleet/data.py
