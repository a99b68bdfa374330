#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cli_help - the command line without a node: help, man pages, completion, usage errors, exit codes. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.bash

commands=$(osier __man)

every_command_has_help() {
	local c
	for c in $commands; do
		exits 0 osier help "$c" && says "usage" && says "examples" && says "osier $c" || return 1
		cp "$TMP/out" "$TMP/help"
		exits 0 osier "$c" --help && cmp "$TMP/help" "$TMP/out" || return 1
		[ ! -s "$TMP/err" ] || return 1
		osier help | grep -qE "^  $c +[a-z]" || { echo "'osier help' lacks $c"; return 1; }
	done
}
fact "every command has help, the same from help and --help" every_command_has_help

every_command_has_a_man_page() {
	local c
	[ "$(ls "$BUILD"/man/osier-*.1 | wc -l)" = "$(wc -w <<<"$commands")" ] || return 1
	for c in $commands; do
		[ -s "$BUILD/man/osier-$c.1" ] || { echo "no page for $c"; return 1; }
		man -l --warnings "$BUILD/man/osier-$c.1" 2>&1 >"$TMP/page" | grep . && return 1
		mandoc -T lint -W warning "$BUILD/man/osier-$c.1" || return 1
		grep -q EXAMPLES "$TMP/page" || return 1
		grep -qF "osier\\-$c (1)" man/osier.1 || { echo "osier(1) lacks $c"; return 1; }
	done
}
fact "every command has a man page without warnings, and osier(1) names it" every_command_has_a_man_page

every_key_is_in_the_man_page() {
	mandoc -T lint -W warning man/osier.1 man/osier-job.5 || return 1
	local object key rest
	man -l --warnings man/osier-job.5 2>&1 >/dev/null | grep . && return 1
	osier __man @keys >"$TMP/keys" && [ "$(wc -l <"$TMP/keys")" -gt 40 ] || return 1
	while IFS=$'\t' read -r object key rest; do
		grep -qw -- "$key" man/osier-job.5 || { echo "osier-job(5) lacks '$key' of $object"; return 1; }
	done <"$TMP/keys"
}
fact "osier-job(5) has every key of the job file" every_key_is_in_the_man_page

every_command_completes() {
	local c option
	osier __complete -- "" >"$TMP/list"
	for c in $commands; do
		grep -qx "$c" "$TMP/list" || { echo "completion lacks $c"; return 1; }
		for option in $(osier help --json | jq -r ".commands[] | select(.name == \"$c\") | .options[].name") state json; do
			osier __complete -- "$c" -- | grep -qx -- "--$option" || { echo "completion of $c lacks --$option"; return 1; }
		done
	done
	! grep -q __ "$TMP/list"
}
fact "every command and option completes" every_command_completes

bash_completion_works() {
	bash -c '. dist/completion/osier.bash
		COMP_WORDS=(osier can) COMP_CWORD=1 && _osier && [ "${COMPREPLY[*]}" = cancel ] || exit 1
		COMP_WORDS=(osier node "") COMP_CWORD=2 && _osier && [ "${COMPREPLY[*]}" = "drain resume cordon label inspect remove" ] || exit 1
		COMP_WORDS=(osier jobs --status s) COMP_CWORD=3 && _osier && [ "${COMPREPLY[*]}" = succeeded ] || exit 1
		cd "$TMP" && touch some.yaml
		COMP_WORDS=(osier run so) COMP_CWORD=2 && _osier && [ "${COMPREPLY[*]}" = some.yaml ] || exit 1
		COMP_LINE="osier run  -p x=1 so" COMP_WORDS=(osier run -p x = 1 so) COMP_CWORD=6 && _osier && [ "${COMPREPLY[*]}" = some.yaml ]'
}
export TMP
fact "bash completes commands, words, options and files" bash_completion_works

zsh_completion_works() {
	zsh -fc 'offered=(); compadd() { shift 2; offered+=("$@"); }; _files() { offered+=(FILES); }
		complete() { offered=(); . dist/completion/_osier; }
		words=(osier can) CURRENT=2; complete; [ "$offered" = cancel ] || exit 1
		words=(osier node "") CURRENT=3; complete; [ "$offered" = "drain resume cordon label inspect remove" ] || exit 1
		words=(osier run -p x=1 so) CURRENT=5; complete; [ "$offered" = FILES ]'
}
fact "zsh completes commands, words and files" zsh_completion_works

bare_osier_shows_help() { exits 0 osier && says "first steps" && exits 0 osier help exit-codes && says "130" && exits 0 osier help names; }
fact "osier alone shows first steps" bare_osier_shows_help

usage_errors() {
	exits 2 osier sumbit && complains "unknown command 'sumbit'" && complains "did you mean 'osier submit'?" || return 1
	exits 2 osier jobs --al && complains "did you mean '--all'?" || return 1
	exits 2 osier run && complains "'osier run' needs a FILE" && complains "usage: osier run FILE" || return 1
	exits 2 osier job a b && complains "does not take 'b'" || return 1
	exits 2 osier jobs --limit many && complains "whole number" || return 1
	exits 2 osier jobs --limit 0 && complains "at least 1" || return 1
	exits 2 osier jobs --zzzzzzzz && complains "there are --status, --namespace" || return 1
	exits 2 osier wait --timeout soon && complains "1h30m" || return 1
	exits 2 osier --color=maybe jobs && complains "auto, always or never" || return 1
	exits 2 osier top && complains "terminal" || return 1
	exits 4 osier help elephants && ! grep -q "did you mean" "$TMP/err"
}
fact "wrong usage exits with 2 and says what would be right" usage_errors

no_node() {
	exits 3 osier nodes && complains "no node is up" && complains "hint: start one with 'osier up'" || return 1
	exits 3 osier submit "$TMP/ok.yaml" && exits 3 osier cancel 1 && exits 3 osier down || return 1
	exits 0 osier jobs && complains "no jobs yet" || return 1
	exits 0 osier jobs --json && json '.jobs == [] and .next == null' || return 1
	exits 4 osier job last && exits 4 osier logs && [ ! -e "$OSIER_STATE" ]
}
printf 'name: ok\ncommand: "true"\n' >"$TMP/ok.yaml"
fact "without a node: exit 3 and a hint; looking at nothing makes nothing" no_node

help_as_json() {
	exits 0 osier help --json && json '.commands | length > 20' || return 1
	exits 0 osier help wait --json && json '(.commands | length == 1) and .commands[0].name == "wait"' || return 1
	exits 0 osier help names --json && json '.topic == "names" and (.text | contains("last"))' || return 1
	exits 4 osier help elephants --json && json '.error.code == "not_found"' || return 1
	exits 2 osier sumbit --json && json '.error.hint | contains("submit")'
}
fact "help as JSON: all, one, a topic; what is unknown is an error as JSON" help_as_json

errors_as_json() { exits 3 osier nodes --json && json '.error.code == "closed" and (.error.hint | length > 0) and (.error.message | length > 0)'; }
fact "with --json an error is JSON too" errors_as_json

init_and_validate() {
	exits 0 osier init "$TMP/job.yaml" && exits 5 osier init "$TMP/job.yaml" && complains "is there already" || return 1
	exits 0 osier init "$TMP/job.yaml" --force && exits 0 osier validate "$TMP/job.yaml" && says "is valid" || return 1
	exits 0 osier validate --json "$TMP/job.yaml" "$TMP/ok.yaml" && json '.valid and .name == "ok" and .tasks == 1 and .steps == 1' || return 1
	osier init - | cmp - "$TMP/job.yaml" || return 1
	exits 6 osier init "$TMP/no/such/folder.yaml"
}
fact "init writes an example that is valid, and never over a file" init_and_validate

bad_job_files() {
	printf 'name: x\ncommand: ls\nresources: {memry: 5}\n' >"$TMP/bad.yaml"
	exits 2 osier validate "$TMP/bad.yaml" && complains "bad.yaml:3:13:" && complains "did you mean 'memory'?" || return 1
	exits 2 osier validate --json "$TMP/bad.yaml" && json '.valid == false and .problems[0].line == 3 and .problems[0].column == 13' || return 1
	exits 2 osier run "$TMP/bad.yaml" && complains "bad.yaml:3:13:" && [ ! -e "$OSIER_STATE" ] || return 1
	exits 2 osier run "$TMP/ok.yaml" -p digits && complains "digits=1000"
}
fact "a bad job file is told by line and column, and starts nothing" bad_job_files

pipe() {
	osier help | grep -q $'\033' && return 1
	osier help --color=always | grep -q $'\033' || return 1
	osier help | head -1 >/dev/null
	[ "${PIPESTATUS[0]}" = 0 ] || return 1
	osier help >/dev/full 2>"$TMP/err"
	[ $? = 6 ] && complains "cannot write to the standard output"
}
fact "a pipe gets no colour, may close early; a full disk is told" pipe

terminal() {
	script -qec "osier help" /dev/null </dev/null | grep -q $'\033' || return 1
	NO_COLOR=1 script -qec "osier help" /dev/null </dev/null | grep -q $'\033' && return 1
	TERM=dumb script -qec "osier help" /dev/null </dev/null | grep -q $'\033' && return 1
	return 0
}
export TERM=xterm
fact "colour on a terminal only, and without NO_COLOR" terminal

doctor() {
	osier doctor >"$TMP/out"
	osier doctor --json >"$TMP/out.json"
	jq -e '.checks | length > 6' "$TMP/out.json" >/dev/null || return 1
	jq -e 'all(.checks[]; (.verdict == "ok") or (.verdict == "warn") or (.verdict == "fail"))' "$TMP/out.json" >/dev/null || return 1
	exits 1 osier doctor --state /proc/nowhere && says "fail  state folder" && says "mend:"
}
fact "doctor checks and says how to mend" doctor

fast() {
	local i t0 t1
	t0=$(date +%s%N)
	for i in 1 2 3 4 5 6 7 8 9 10; do osier version >/dev/null; done
	t1=$(date +%s%N)
	echo "$(((t1 - t0) / 10000000)) ms each"
	[ $(((t1 - t0) / 10000000)) -lt ${FAST_MS:-50} ]
}
case $BUILD in *san) ;; *) fact "osier version takes milliseconds" fast ;; esac

echo "1..$tests"
