# SPDX-License-Identifier: Apache-2.0
# tap.bash - for end-to-end tests of the command line: facts, and a state folder of one's own.
# BUILD is the build folder. Sourced; ends everything it started and removes its folder at the exit.
set -u
BUILD=${BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
PATH=$BUILD:$PATH
TMP=$(mktemp -d /tmp/osier-e2e.XXXXXX)
export OSIER_STATE=$TMP/state LC_ALL=C.UTF-8
unset NO_COLOR XDG_STATE_HOME NOTIFY_SOCKET
tests=0 bad=0

finish() {
	[ -S "$OSIER_STATE/api.sock" ] && timeout 30 osier down >/dev/null 2>&1
	rm -rf "$TMP"
	exit $((bad > 0))
}
trap finish EXIT
trap 'exit 1' INT TERM

# fact NAME COMMAND...: the command must succeed.
fact() {
	local name=$1
	shift
	tests=$((tests + 1))
	if "$@" >"$TMP/fact" 2>&1; then
		echo "ok - $name"
	else
		sed 's/^/# /' "$TMP/fact" | head -30
		echo "not ok - $name"
		bad=$((bad + 1))
	fi
}

# exits CODE COMMAND...: runs it, keeps its output in $TMP/out and $TMP/err, and compares the exit code.
exits() {
	local want=$1 got
	shift
	timeout 60 "$@" >"$TMP/out" 2>"$TMP/err" </dev/null
	got=$?
	[ "$got" = "$want" ] || {
		echo "exit code $got, not $want: $*"
		cat "$TMP/out" "$TMP/err"
		return 1
	}
}
says() { grep -qF -- "$1" "$TMP/out" || { echo "stdout lacks '$1':"; cat "$TMP/out" "$TMP/err"; return 1; }; }
complains() { grep -qF -- "$1" "$TMP/err" || { echo "stderr lacks '$1':"; cat "$TMP/err"; return 1; }; }
# json FILTER: the last line of the standard output is JSON for which the filter is true.
json() { tail -n 1 "$TMP/out" | jq -e "$1" >/dev/null || { echo "not so: $1"; cat "$TMP/out" "$TMP/err"; return 1; }; }
