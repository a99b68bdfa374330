#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A client that sends a million requests without reading the answers in between gets a million answers; others are served meanwhile.
exec python3 "$(dirname "$0")/api_million.py"
