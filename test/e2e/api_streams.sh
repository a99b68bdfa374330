#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Progress and logs as server-sent events.
exec python3 "$(dirname "$0")/api_streams.py"
