#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run - every row of the table of speeds, or the one named: `bench/run.sh [ID]`. What it does is in run.py.
here=$(dirname "$0")
python=/usr/bin/python3 # Debian's: it is the one that sees the packages of the peers
[ -x "$python" ] || python=python3
exec "$python" "$here/run.py" "$@"
