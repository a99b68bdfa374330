#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh BUILD SECONDS - build every fuzzer with libFuzzer and ASan+UBSan, run each for SECONDS, two at a time. Prints TAP.
# The corpus in fuzz/corpus/NAME is read; what is found new is kept in BUILD/corpus/NAME (merge it by hand when it is worth it).
cd "$(dirname "$0")/.." || exit 1
dir=$1 seconds=$2
[ -f "$dir/build.ninja" ] || CC=clang-14 meson setup "$dir" -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false \
	-Dbuildtype=debugoptimized >"$dir.log" 2>&1 || { cat "$dir.log"; echo "not ok - fuzzers are configured"; exit 1; }
names=$(find fuzz -maxdepth 1 -name 'fuzz_*.c' -printf '%f\n' | sed 's/^fuzz_//; s/\.c$//' | sort)
# shellcheck disable=SC2046
ninja -C "$dir" $(printf 'fuzz/fuzz_%s ' $names) >"$dir.log" 2>&1 || { tail -n 30 "$dir.log"; echo "not ok - fuzzers build"; exit 1; }
echo "ok - fuzzers build"
one() {
	local name=$1 new=$dir/corpus/$1
	mkdir -p "$new" "fuzz/corpus/$name"
	if "$dir/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$dir/corpus/crash-$name-" "$new" "fuzz/corpus/$name" >"$dir/fuzz-$name.log" 2>&1; then
		echo "ok - $name: $(sed -n 's/stat::number_of_executed_units: *//p' "$dir/fuzz-$name.log") inputs"
	else
		tail -n 30 "$dir/fuzz-$name.log" | sed 's/^/# /'
		echo "not ok - $name: see $dir/corpus/crash-$name-*"
	fi
}
export -f one
export dir seconds
printf '%s\n' $names | xargs -P 2 -I{} bash -c 'one {}'
