#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# test_soak - a hub and its standby, two PostgreSQL, five nodes on two sites while everything fails, for a minute. Prints TAP. `make soak` does it for an hour.
cd "$(dirname "$0")/../.." || exit 1
exec python3 test/fleet/soak.py --seconds "${SOAK_S:-60}" ${SEED:+--seed "$SEED"}
