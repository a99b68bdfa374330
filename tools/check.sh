#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# check - every test there is. `check.sh quick`: the fast suite only (unit, prop, sim smoke, style).
# `check.sh SUITE...`: some of: style unit sim e2e fleet asan tsan fuzz examples.
set -u
cd "$(dirname "$0")/.." || exit 1
tools/deps.sh check || exit 1
suites=${*:-style unit sim e2e fleet examples asan tsan fuzz}
[ "$suites" = quick ] && suites="style unit sim-smoke"
LOGS=$(mktemp -d /tmp/osier-check.XXXXXX)
export LOGS LC_ALL=C.UTF-8
. tools/tap.sh

began=$(date +%s)
section() { printf '\n== %s (%s s so far)\n' "$1" $(($(date +%s) - began)); }

# build FOLDER "TARGET..." MESON-OPTION... ("": everything)
build() {
	local dir=$1 targets=$2
	shift 2
	[ -f "$dir/build.ninja" ] || meson setup "$dir" "$@" || return 1
	# shellcheck disable=SC2086
	ninja -C "$dir" $targets
}

# Every test that meson knows in one build folder: unit, prop and the C programs that drive the real keeper.
meson_tests() { # FOLDER, time factor, prefix
	local name suite limit env cmd
	meson introspect "$1" --tests | jq -r '.[] | [.name, (.suite | join(",") | sub("^osier:"; "")), .timeout,
		(.env | to_entries | map("\(.key)=\(.value)") | join(" ")) + " ", (.cmd | join(" "))] | @tsv' >"$LOGS/tests.tsv"
	while IFS=$'\t' read -r -u 9 name suite limit env cmd; do
		# shellcheck disable=SC2086
		tap_run "$3$suite/$name" $((limit * $2)) env BUILD="$PWD/$1" CMOCKA_MESSAGE_OUTPUT=TAP $env $cmd
	done 9<"$LOGS/tests.tsv"
}

# They wait more than they work: several at a time.
e2e() { # FOLDER, time factor, prefix
	local t
	for t in test/e2e/*.sh; do
		BUILD=$PWD/$1 tap_beside "$3e2e/$(basename "$t" .sh)" $((180 * $2)) "$t"
	done
	tap_wait
}

seed=$(git rev-parse HEAD 2>/dev/null || echo 0)
ASAN_OPTIONS=detect_leaks=1:abort_on_error=1:detect_stack_use_after_return=1
UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
export ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS

for s in $suites; do
	section "$s"
	case $s in
	style) tap_case style/build build build "" && tap_run style/house 600 tools/style.sh ;;
	unit) meson_tests build 1 "" ;;
	sim) tap_run sim/chaos 900 build/osier-sim --tap --seeds 1000 --seed "$seed" && tap_run sim/fleet 600 build/osier-sim --tap --fleet --seeds 1000 --seed "$seed" &&
		tap_run sim/stories 120 build/osier-sim --tap --stories ;;
	sim-smoke) tap_run sim/smoke 60 build/osier-sim --tap --seeds 50 --seed "$seed" &&
		tap_run sim/fleet-smoke 60 build/osier-sim --tap --fleet --seeds 50 --seed "$seed" ;;
	e2e) e2e build 1 "" ;;
	fleet) for t in test/fleet/test_*.sh; do BUILD=$PWD/build tap_run "fleet/$(basename "$t" .sh)" 400 "$t"; done ;;
	examples) for t in test/examples/*.sh; do BUILD=$PWD/build tap_run "examples/$(basename "$t" .sh)" 600 "$t"; done ;;
	asan)
		CC=clang-14 tap_case asan/build build build-asan "" -Db_sanitize=address,undefined -Db_lundef=false -Dbuildtype=debugoptimized
		meson_tests build-asan 4 asan/
		tap_run asan/sim 900 build-asan/osier-sim --tap --seeds 60 --seed "$seed"
		tap_run asan/fleet 900 build-asan/osier-sim --tap --fleet --seeds 60 --seed "$seed"
		e2e build-asan 3 asan/
		;;
	tsan)
		CC=clang-14 tap_case tsan/build build build-tsan "$(test/tsan.sh --targets)" -Db_sanitize=thread -Db_lundef=false -Dbuildtype=debugoptimized
		BUILD=$PWD/build-tsan tap_run tsan/threads 600 test/tsan.sh
		;;
	fuzz) tap_run fuzz/build 1200 fuzz/run.sh build-fuzz "${FUZZ_S:-20}" ;;
	*) echo "check: there is no suite '$s'" >&2; exit 2 ;;
	esac
done

section done
[ ${#failures[@]} = 0 ] || printf 'failed: %s\n' "${failures[@]}"
[ "$skipped" = 0 ] || echo "$skipped skipped, each says why in $LOGS"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
