#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# test_takeover - a hub's machine is lost, then its database's, under load, in network namespaces. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
exec python3 test/fleet/takeover.py
