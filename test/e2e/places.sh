#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Labels, where and prefer on a real node: what waits says for which label, and a label lets it go.
cd "$(dirname "$0")/../.." && . test/tap.sh
mkdir -p "$OSIER_STATE"
printf 'name: press-4\nlabels: {hall: south, site: works}\nlink: {bytes: 1GiB, per: 1h, hours: 22-06, cost: 3}\nscheduling: {pack: balance}\n' \
	>"$OSIER_STATE/config.yaml"
ok "the node starts" "$OSIER" up
out=$("$OSIER" nodes --labels)
like "it says what it is" "$out" "os=linux, arch=$(dpkg --print-architecture), kernel=$(uname -r), version=[0-9.]+, hall=south"
cat >"$T/north.yaml" <<'JOB'
name: north
command: echo here
where: {hall: [north, east], os: linux}
prefer: [{where: {cooling: water}, weight: 80}]
spread: node
near: submitter
JOB
job=$T/north.yaml
out=$("$OSIER" plan "$job")
like "plan tells which label is in the way" "$out" "press-4: 'where' is not met: hall must be north or east, and is south"
out=$("$OSIER" submit "$job" 2>&1)
like "it is taken with a warning" "$out" 'there is none now'
out=$("$OSIER" why last)
like "why tells it, too" "$out" "hall must be north or east, and is south"
like "and the label that would let it go" "$out" 'osier node label press-4 hall=north'
ok "which does" "$OSIER" node label press-4 hall=north cooling=water
ok "and the job ends" timeout 60 "$OSIER" wait last
out=$("$OSIER" node inspect)
like "inspect shows the labels" "$out" 'hall=north, cooling=water'
like "and the link" "$out" 'of 1 GiB in each 1 h'
out=$("$OSIER" node label press-4 arch=vax 2>&1)
like "a node says itself what it is" "$out" "is the node's own"
out=$("$OSIER" node label press-4 hall 2>&1)
like "a label needs a value" "$out" 'KEY=VALUE sets one'
ok "the node ends" "$OSIER" down
ok "and starts" "$OSIER" up
out=$("$OSIER" nodes --labels)
like "its owner's labels stay" "$out" 'hall=north, cooling=water'
ok "a label goes" "$OSIER" node label press-4 hall- cooling-
out=$("$OSIER" nodes --labels)
like "and the node's own is back" "$out" 'hall=south'
ok "the node is cordoned" "$OSIER" node cordon
"$OSIER" down >/dev/null && "$OSIER" up >/dev/null
out=$("$OSIER" nodes)
like "and stays so over a restart" "$out" 'press-4 +cordoned'
out=$("$OSIER" submit - <<<'command: "true"' 2>&1 && "$OSIER" why last)
like "nothing starts there" "$out" 'drained|cordoned'
ok "until it is resumed" "$OSIER" node resume
ok "then it runs" timeout 60 "$OSIER" wait last
out=$("$OSIER" history --node press-4)
like "the history tells what was changed" "$out" 'node press-4 is up, with hall=north, cooling=water'
ok "the node ends" "$OSIER" down
exit $bad
