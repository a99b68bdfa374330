#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Bad clients get clear answers, hold nobody up and cost no memory.
exec python3 "$(dirname "$0")/api_hostile.py"
