#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What README.md and docs/ show is true: every job file is valid, every command and option exists, every link leads somewhere, the
# tables have all there is, and what the README and docs/api.md tell a newcomer to type does what they say.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
pages=$(ls README.md CONTRIBUTING.md docs/*.md)

# fences PAGE LANGUAGE: each fenced block of that language into $T/block.N, printing the files.
fences() {
	rm -f "$T"/block.*
	awk -v out="$T/block." -v want="$2" '
		/^```/ { if (on) on = 0; else if (!fence && substr($0, 4) == want) { on = 1; n++; fence = 1; next } fence = !fence; next }
		on { print > (out n) }' "$1"
	ls "$T"/block.* 2>/dev/null
}

# Jobs name files; here they are.
mkdir "$T/jobs"
for f in simulate split.sh text.txt tool.sh data.csv worker.py render; do : >"$T/jobs/$f"; done
seq 3 >"$T/jobs/names.txt"

yaml_is_valid() {
	local page block n=0
	for page in README.md docs/jobs.md; do
		for block in $(fences "$page" yaml); do
			cp "$block" "$T/jobs/job.yaml"
			"$OSIER" validate "$T/jobs/job.yaml" || { echo "in $page:"; cat "$block"; return 1; }
			n=$((n + 1))
		done
	done
	echo "$n job files"
	[ $n -ge 8 ]
}
ok "every job file in the documents is valid" yaml_is_valid

every_key_has_an_example() {
	local object key rest n=0 bad=0
	cat $(fences docs/jobs.md yaml) | sed 's/ #.*//' >"$T/all.yaml"
	while IFS=$'\t' read -r object key rest; do
		n=$((n + 1))
		grep -qE "(^|[ {])$key:" "$T/all.yaml" || { echo "no example of '$key' of '$object'"; bad=1; }
	done < <("$OSIER" __man @keys)
	[ $n -gt 60 ] && [ $bad = 0 ]
}
ok "every key of the job file has an example that is valid" every_key_has_an_example

# A row that the program does not know is as wrong as a missing one (those: unit test jobfile).
no_other_keys() {
	local object key
	awk '/^### / { object = substr($0, 5) } /^\| `[a-z_]+` \|/ && object { split($0, c, "`"); print object "\t" c[2] } /^## [^#]/ { object = "" }' docs/jobs.md |
		while IFS=$'\t' read -r object key; do
			"$OSIER" __man @keys | cut -f1,2 | grep -qx "$object	$key" || { echo "'$object' has no key '$key'"; return 1; }
		done
}
ok "docs/jobs.md has no key that is none" no_other_keys

"$OSIER" help --json >"$T/help.json"
jq -r '.commands[].name' "$T/help.json" >"$T/commands"

# "osier WORD --option ..." in `code` and in blocks: WORD is a command, the options are its own.
commands_exist() {
	local page line word option bad=0 n=0
	for page in $pages; do
		while read -r line; do
			set -f
			# shellcheck disable=SC2086
			set -- $line
			set +f
			word=$2
			case $word in engine | messenger | carrier | __complete | COMMAND | is | was | -*) continue ;; esac
			n=$((n + 1))
			grep -qx -- "$word" "$T/commands" || { echo "$page: there is no command in '$line'"; bad=1; continue; }
			shift 2
			for option in "$@"; do
				case $option in '|' | '#' | '>' | '&&' | \;) break ;; --[a-z]*) ;; *) continue ;; esac
				option=${option%%=*}
				option=${option%[,;.)]}
				case $option in --state | --json | --color | --help) continue ;; esac
				jq -e --arg c "$word" --arg o "${option#--}" '.commands[] | select(.name == $c) | .options[] | select(.name == $o)' \
					"$T/help.json" >/dev/null || { echo "$page: '$word' has no $option in '$line'"; bad=1; }
			done
		done < <({ grep -oE '`osier [a-z][^`]*`' "$page" | tr -d '`'; awk '/^```/ { on = !on; next } on' "$page" | sed 's/^\$ //; s|build/osier|osier|' | grep -E '^(sudo )?osier [a-z]'; } | sed 's/^sudo //')
	done
	echo "$n commands"
	[ $bad = 0 ] && [ $n -gt 30 ]
}
ok "every command and option in the documents exists" commands_exist

links_lead_somewhere() {
	local page link bad=0
	for page in $pages HACKING.md CHANGELOG.md; do
		for link in $(grep -oE '\]\([^)#]+' "$page" | cut -c3- | grep -v '^https\?:'); do
			[ -e "$(dirname "$page")/$link" ] || { echo "$page: no $link"; bad=1; }
		done
	done
	# shellcheck disable=SC2046
	for link in $(grep -ohE '`(src|test|docs|dist|tools|examples|bench|fuzz|include|sdk|man)/[A-Za-z0-9_./-]+`' $pages | tr -d '`' | grep -v 'NNN\|NAME' | sort -u); do
		[ -e "$link" ] || { echo "no $link"; bad=1; }
	done
	return $bad
}
ok "every link and every named file is there" links_lead_somewhere

exit_codes() {
	sed -n '/^## Exit codes/,/^## /s/^| \([0-9]*\) | \(.*\) |$/\1 \2/p' docs/cli.md | tr -d '`' >"$T/codes.docs"
	"$OSIER" help exit-codes | sed -nE "s/^  ([0-9]+) +(.*)/\1 \2/p" | tr -d "'" >"$T/codes.help"
	[ -s "$T/codes.docs" ] && diff "$T/codes.docs" "$T/codes.help"
}
ok "the exit codes of docs/cli.md are those of the help" exit_codes

json_table() {
	local name
	while read -r name; do
		[ "$name" = node ] && name="node drain"
		sed -n '/^## JSON/,/^## /p' docs/cli.md | grep -qE "^\| .*\`$name\`" || { echo "docs/cli.md has no JSON of '$name'"; return 1; }
	done <"$T/commands"
}
ok "docs/cli.md tells the JSON of every command" json_table

# The README's own job, as a newcomer types it.
fences README.md yaml >/dev/null
cp "$T/block.1" "$T/jobs/squares.yaml"
is "the README's first job gives what it says" "$("$OSIER" run "$T/jobs/squares.yaml" 2>/dev/null)" \
	"$(awk '/^\$ osier run squares.yaml/ { on = 1; next } /^```/ { on = 0 } on' README.md | tail -n 1)"

# docs/workers.md: the programs are built, called by hand and run as its job files say.
mkdir "$T/w"
for language in python c yaml; do
	for block in $(fences docs/workers.md $language); do
		case $language in
		python) cp "$block" "$T/w/squares.py" ;;
		c) cp "$block" "$T/w/squares.c" ;;
		yaml) sed "s|/usr/local/share/osier/python|$PWD/sdk/python|" "$block" >"$T/w/${block##*.}.yaml" ;;
		esac
	done
done
worker_lib=$(find "$BUILD/src/worker" -name libosier-worker.a)
san=
case $BUILD in *asan*) san="clang-14 -fsanitize=address,undefined" ;; *tsan*) san="clang-14 -fsanitize=thread" ;; esac
# shellcheck disable=SC2086
ok "the worker in C is built" ${san:-gcc} -Wall -Werror -Iinclude -o "$T/w/squares" "$T/w/squares.c" "$worker_lib" -lpthread
is "it is called by hand" "$(cd "$T/w" && ./squares --call square 0 n=5)" 25
is "so is the one in Python" "$(cd "$T/w" && PYTHONPATH=$OLDPWD/sdk/python python3 squares.py --call square 0 5)" 25
is "the job of the worker in Python gives what it says" "$("$OSIER" run "$T/w/1.yaml" 2>/dev/null)" 114
is "the job of the worker in C too" "$("$OSIER" run "$T/w/2.yaml" 2>/dev/null)" 1491625

# docs/api.md, line by line: the commands with curl, on a node without jobs, so that the first one is 1 and not 17.
"$OSIER" up --state "$T/api" >/dev/null 2>&1
printf 'a,b\n' >"$T/data.csv"
curl_lines() {
	awk '/^```/ { on = !on; next } on && /^\$ (curl|d=)/ { sub(/^\$ /, ""); more = 1; print; next } on && more && /^    / { print; next } { more = 0 }' docs/api.md |
		sed 's|jobs/17|jobs/1|g; s/ curl -s / curl -sf /; s/^curl -s/curl -sf/'
}
api_examples() {
	local n
	{ echo "set -e; S=$T/api/api.sock"; curl_lines; } >"$T/api.sh"
	n=$(curl_lines | grep -c curl)
	cd "$T" && timeout "$LIMIT" bash api.sh >"$T/api.out" 2>&1 || { cat "$T/api.sh" "$T/api.out"; return 1; }
	echo "$n requests"
	[ "$n" -ge 7 ] && grep -qx hi "$T/api.out" && grep -q '"id":"hello-1"' "$T/api.out" && grep -q '"job":2' "$T/api.out"
}
ok "the requests of docs/api.md work as they stand" api_examples
"$OSIER" down --state "$T/api" >/dev/null 2>&1
exit $bad
