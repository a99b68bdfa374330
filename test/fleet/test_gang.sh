#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# test_gang - tasks over several nodes at one time, in network namespaces: Open MPI, and what ends a gang. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
exec python3 test/fleet/gang.py
