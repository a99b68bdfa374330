#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# job_devices - GPUs, FPGAs and devices of one's own: found, hidden, renamed, shared, given to tasks, which are told. Prints TAP.
# The machine's /proc and /sys are those in test/data: five GPUs of three vendors that can be used, and two that cannot.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
mkdir -p "$OSIER_STATE"
cat >"$OSIER_STATE/config.yaml" <<'X'
capacity: {cpu: 8}
devices:
  add: [{resource: laser, id: L-17, model: TruMark 6030}, {resource: laser, id: L-18, model: TruMark 6030, share: 0.5}]
  hide: ["0000:c1:00.0"]
  rename: {gpu/0: vision}
X
OSIER_PROBE_ROOT=$PWD/test/data/machine-gpus
export OSIER_PROBE_ROOT
ok "a node with GPUs is up" up
chmod 777 "$T"

job() { cat >"$T/$1.yaml"; }
submit() { "$OSIER" submit "$T/$1.yaml" --json "${@:2}" | jq -r .id; }
until_is() { # WANTED COMMAND...: at most 30 s
	local want=$1 end=$((SECONDS + 30)) got
	shift
	while [ $SECONDS -lt $end ]; do
		got=$("$@" 2>/dev/null)
		[ "$got" = "$want" ] && return 0
		sleep 0.05
	done
	echo "still '$got', not '$want': $*"
	return 1
}
running() { "$OSIER" job "$1" --json | jq .counts.running; }

out=$("$OSIER" nodes --resources)
like "GPUs of three vendors are found" "$out" 'gpu 2 .*NVIDIA H100'
like "each by an id of its own" "$out" 'GPU-6d1c0b5e-1111-2222-3333-444455556666'
like "a renamed one has its new name" "$out" '^vision 0 .*Intel DG2'
ok "a hidden one is not there" sh -c "! printf '%s' '$out' | grep -q MI210"
like "added ones are" "$out" '^laser 1 .*0\.5.* L-18'
like "those that cannot be used are told, and why" "$out" 'notice: NVIDIA GPU at 0000:5e:00.0 has no driver'

job told <<'X'
name: told
shell: 'echo "given ${devices}: $OSIER_DEVICES_GPU; cuda $CUDA_VISIBLE_DEVICES; rocr $ROCR_VISIBLE_DEVICES"; sleep 0.2'
resources: {gpu: 1, cpu: 1}
array: 6
X
told "tasks with a GPU each run" 0 'succeeded' "$OSIER" submit --watch "$T/told.yaml"
"$OSIER" logs last --no-prefix >"$T/told"
ok "each was told which one it had" test "$(grep -c '^given [123]: [123]; ' "$T/told")" = 6
is "all of them were given" "$(cut -d: -f1 "$T/told" | sort -u | wc -l)" 3
like "an NVIDIA card is named to CUDA" "$(cat "$T/told")" 'given 2: 2; cuda (GPU-6d1c0b5e-1111-2222-3333-444455556666|[0-9]+); rocr *$'
ok "and nothing of CUDA is said of another vendor's" sh -c "! grep -E '^given 1: 1; cuda [^;]' '$T/told'"
ok "no GPU was given twice at a time" sh -c "'$OSIER' replay --entries --json --limit 1000 | jq -e '[.entries[] | select(.kind == \"lease_granted\" or .kind == \"lease_ended\")] | reduce .[] as \$e ({held: {}, ok: true};
	if \$e.kind == \"lease_granted\" then (\$e.body.devices // []) as \$d | .ok = (.ok and ((.held | to_entries | map(.value) | flatten) - ((.held | to_entries | map(.value) | flatten) - \$d) | length == 0)) | .held[(\$e.body.lease | tostring)] = \$d
	else del(.held[(\$e.body.lease | tostring)]) end) | .ok'"

job two <<'X'
name: two
shell: echo "$OSIER_DEVICES_GPU"
resources: {gpu: 2}
X
told "two GPUs for one task" 0 'succeeded' "$OSIER" submit --watch "$T/two.yaml"
like "are told both" "$("$OSIER" logs last --no-prefix)" '^[123],[123]$'
printf 'name: all\ncommand: "true"\nresources: {gpu: 4}\n' >"$T/all.yaml"
told "more than there are is refused, with what there is" 5 'gpu.*3' "$OSIER" submit "$T/all.yaml"

job shared <<'X'
name: shared
shell: echo "$OSIER_DEVICES_GPU" >>${dir}/shares; while [ ! -e ${dir}/go ]; do sleep 0.05; done
parameters: {dir: /nowhere}
resources: {gpu: 0.25, cpu: 0.1}
array: 20
X
id=$(submit shared -p "dir=$T")
ok "quarters of GPUs run four to a card" until_is 12 running "$id"
is "no card has more" "$(sort "$T/shares" | uniq -c | awk '{print $1}' | sort -u | tr '\n' ' ')" '4 '
like "why says what is lacking" "$("$OSIER" why "$id/main/19")" 'gpu'
touch "$T/go"
is "the rest follows" "$(settle "$id")" succeeded

job own <<'X'
name: own
shell: echo "laser $OSIER_DEVICES_LASER vision $OSIER_DEVICES_VISION"
resources: {laser: 1, vision: 1}
X
told "devices of one's own names are given, too" 0 'succeeded' "$OSIER" submit --watch "$T/own.yaml"
is "a whole one, not the half" "$("$OSIER" logs last --no-prefix)" 'laser 0 vision 0'

job either <<'X'
name: either
command: [echo, processors]
resources: {cpu: 1}
any_of:
  - {resources: {gpu: 3}, command: [sh, -c, 'echo gpu; while [ ! -e ${dir}/either ]; do sleep 0.05; done']}
  - resources: {cpu: 4}
array: 2
parameters: {dir: /nowhere}
X
id=$(submit either -p "dir=$T")
ok "the best alternative is taken while it is free, the next when it is not" until_is 1 sh -c "'$OSIER' job $id --json | jq .counts.succeeded"
touch "$T/either"
is "each with its own command" "$(settle "$id"; "$OSIER" logs "$id" --no-prefix | sort | tr '\n' ' ')" $'succeeded\ngpu processors '
like "plan says where it would run" "$("$OSIER" plan "$T/told.yaml")" 'gpu'

ok "the node ends" "$OSIER" down
rm "$OSIER_STATE/config.yaml"
OSIER_PROBE_ROOT=$PWD/test/data/machine-fpgas
ok "a node with FPGAs is up" up
like "of every make" "$("$OSIER" nodes --resources | grep ^fpga | tr '\n' ' ')" 'Zynq.*Intel DFL.*xilinx_u200'
printf 'name: fpga\nshell: echo "fpga $OSIER_DEVICES_FPGA"\nresources: {fpga: 1}\n' >"$T/fpga.yaml"
told "a task gets one" 0 'fpga [0-3]' "$OSIER" submit --watch "$T/fpga.yaml"
exit $bad
