#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ledger_stamps - a node's heads stamped by a real authority (`openssl ts`) and put into calendars, by the clock; and verified. Prints TAP.
. "$(dirname "$0")/../tap.sh"
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$T/work"
PYTHONDONTWRITEBYTECODE=1 python3 "$here/ledger_stamps.py" "$OSIER" "$T/work"
