#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# style - HACKING.md, as far as a machine can hold it. Prints TAP.
cd "$(dirname "$0")/.." || exit 1
report() { # NAME, problems on stdin
	local problems
	problems=$(head -n 20)
	if [ -z "$problems" ]; then echo "ok - $1"; else
		printf '%s\n' "$problems" | sed 's/^/# /'
		echo "not ok - $1"
	fi
}
sources() { git ls-files '*.c' '*.h'; }

sources | while read -r f; do head -n 1 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$f"; done |
	report "every C file begins with its licence"
git ls-files '*.sh' '*.bash' '*.py' '*.build' '*.proto' meson_options.txt Makefile .ci/run 'examples/*.yaml' 'man/*' 'dist/*' |
	while read -r f; do head -n 3 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$f"; done | report "so does every other file that can"
git ls-files 'src/*.c' 'src/*.h' 'include/*' | xargs wc -l | awk '$2 != "total" && $1 > 800 { print $2 ": " $1 " lines" }' |
	report "no file is longer than 800 lines"
sources | xargs clang-format-14 --dry-run 2>&1 | grep -E 'warning|error' | sed 's/: code should.*//' | sort -u |
	report "clang-format agrees"
{
	for f in fuzz/fuzz_*.c; do f=${f#fuzz/fuzz_}; git ls-files --error-unmatch "fuzz/corpus/${f%.c}/*" >/dev/null 2>&1 || echo "fuzz/corpus/${f%.c} is empty"; done
	for f in fuzz/corpus/*/; do f=${f#fuzz/corpus/}; [ -e "fuzz/fuzz_${f%/}.c" ] || echo "fuzz/corpus/$f has no fuzzer"; done
} | report "every fuzzer has a corpus, every corpus a fuzzer"
# Uses point down only: programs -> io -> core -> wire -> base.
{
	grep -nE '#include "(io|engine|cli|keeper|sim)/' src/core/* src/wire/* src/base/*
	grep -nE '#include "core/' src/wire/* src/base/*
	grep -nE '#include "wire/' src/base/*
	grep -nE '#include "(engine|cli|sim)/' src/io/*
} 2>/dev/null | report "uses point down only"
# Pure: what the static libraries leave undefined must be in the short list.
for lib in base wire core; do
	nm -u "build/src/$lib/libosier-$lib.a" 2>/dev/null | awk 'NF == 2 && $1 == "U" { print $2 }' | sort -u |
		grep -vxF -f tools/pure.txt | grep -vE '^(wire__|link__|protobuf_c_)' |
		grep -vxF -f <(nm --defined-only build/src/base/libosier-base.a build/src/wire/libosier-wire.a build/src/core/libosier-core.a 2>/dev/null | awk 'NF == 3 { print $3 }') |
		sed "s/^/$lib uses /"
done | report "base, wire and core are pure (nm -u)"
nm build/src/core/libosier-core.a 2>/dev/null | grep -q ' T engine_decide' || echo "engine_decide is not in the core" |
	report "the purity test looks at the real libraries"
# Headers compile alone.
git ls-files 'src/*.h' 'include/*.h' | grep -v banned | while read -r h; do
	echo "#include \"$PWD/$h\"" | gcc -x c -std=gnu11 -D_GNU_SOURCE -DOSIER_VERSION='"0"' -Isrc -Iinclude -Ibuild/src -fsyntax-only - 2>&1 |
		grep -m1 error
done | report "every header compiles alone"
git ls-files 'src/*.c' | xargs grep -nE '\b(system|gmtime|localtime|ctime|asctime|alloca)\(' | report "no banned function"
# Functions of at most 70 lines: counted from the brace in column one to the closing one.
git ls-files 'src/*.c' 'include/*' | xargs awk 'FNR == 1 { open = 0 } /^{$/ { open = FNR } /^}/ { if (open && FNR - open - 1 > 70) print FILENAME ":" open ": " FNR - open - 1 " lines"; open = 0 }' |
	report "no function is longer than 70 lines"
grep -rnE '\bdefault:' src/core src/wire src/base --include='*.c' | grep -v 'not an enum' | report "no default in a switch of the core"
git ls-files | xargs grep -nlE '\b(TODO|FIXME|XXX)\b' 2>/dev/null | grep -v '^tools/style.sh$' | report "nothing is left for later in the code"
