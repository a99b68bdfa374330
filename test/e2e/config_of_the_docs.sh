#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The configuration that docs/config.md shows is one that a node takes, and it does what it says.
cd "$(dirname "$0")/../.." && . test/tap.sh
mkdir -p "$OSIER_STATE"
sed -n '/^```yaml/,/^```/p' docs/config.md | grep -v '```' >"$OSIER_STATE/config.yaml"
sed -i '/hide:\|rename:\|^record:\|^standby:/d' "$OSIER_STATE/config.yaml" # they name devices and a database that this machine has not
ok "the node starts" "$OSIER" up
out=$("$OSIER" nodes --resources)
like "its name is taken" "$out" '^press-4 is up'
like "the capacity is taken" "$out" '^cpu +6 '
like "a pool of one's own is there" "$out" '^licence +3 '
like "an added device is there" "$out" 'laser'
out=$("$OSIER" ns)
like "the namespace has its weight and quota" "$out" 'team-a +3 .*cpu 8'
out=$("$OSIER" run - 2>&1 <<'JOB'
name: cut
resources: {laser: 1, licence: 1}
shell: echo "laser $OSIER_DEVICES_LASER on ${node}"
JOB
)
like "a task gets the device and is told which" "$out" '^laser 0 on press-4$'
ok "the node ends" "$OSIER" down
printf 'capacty: {cpu: 6}\n' >"$OSIER_STATE/config.yaml"
out=$("$OSIER" up 2>&1)
like "a mistake is told with its place and what was meant" "$out" "did you mean 'capacity'"
exit $bad
