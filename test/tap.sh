# SPDX-License-Identifier: Apache-2.0
# tap.sh - what test scripts share: TAP lines, a scratch folder, a state folder of their own. Source it first.
#	ok NAME COMMAND...     one test: the command's exit status
#	is NAME GOT WANTED     one test: equal texts
#	like NAME TEXT REGEX   one test: the text matches
# $T: scratch folder, removed at the end. $OSIER: the program. OSIER_STATE: a state folder below $T.
: "${BUILD:?the build folder}"
OSIER=$BUILD/osier
T=$(mktemp -d "${TMPDIR:-/tmp}/osier-test.XXXXXX")
chmod 755 "$T"
export OSIER_STATE=$T/state OSIER NO_COLOR=1 LC_ALL=C.UTF-8
bad=0
at_end() { :; }
trap 'at_end; "$OSIER" down >/dev/null 2>&1; rm -rf "$T"' EXIT
trap 'exit 143' TERM INT
ok() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then echo "ok - $name"; else
		printf '%s\n' "$out" | tail -n 30 | sed 's/^/# /'
		echo "not ok - $name"
		bad=1
	fi
}
is() {
	if [ "$2" = "$3" ]; then echo "ok - $1"; else
		printf 'got:\n%s\nwanted:\n%s\n' "$2" "$3" | sed 's/^/# /'
		echo "not ok - $1"
		bad=1
	fi
}
like() {
	if printf '%s\n' "$2" | grep -qE -- "$3"; then echo "ok - $1"; else
		printf 'got:\n%s\nwanted: %s\n' "$2" "$3" | sed 's/^/# /'
		echo "not ok - $1"
		bad=1
	fi
}
