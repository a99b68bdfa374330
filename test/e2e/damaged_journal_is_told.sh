#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A journal cut or changed at any byte gives a state that it once had, or a clear refusal: never a crash, a hang or another state.
exec python3 "$(dirname "$0")/damaged_journal.py"
