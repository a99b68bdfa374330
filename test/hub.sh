# SPDX-License-Identifier: Apache-2.0
# hub.sh - what end-to-end tests of hubs and their nodes share. Source it after tap.bash; after tap.sh, before node.sh, whose `api` is another.
#	machines STATE...         a state folder each, and PORT and BPORT for a hub; at the exit they are taken down in this order
#	take_down                 that alone, for a script that has more to end: it defines its own `ends`, which ends with `finish`
#	hub_begins [OPTION...]    the node at OSIER_STATE becomes a hub at PORT, its broker at BPORT
#	line [STATE [OPTION...]]  what to paste to join it: a new token
#	api STATE PATH [CURL-OPTION...], state_is NODE STATE, done_is JOB    what a node says; of its nodes and jobs the one at HUB
#	soon COMMAND...           it comes true within SOON times 0.2 s (30 s); if not, what it said last, and what `not_yet` says
#	so GOT WANTED, below NUMBER LIMIT, free_port
MACHINES=()
SOON=150
free_port() { python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
machines() {
	MACHINES+=("$@")
	mkdir -p "$@"
	PORT=$(free_port) BPORT=$(free_port)
	trap ends EXIT
}
take_down() {
	local s
	for s in "${MACHINES[@]}"; do [ -S "$s/api.sock" ] && timeout 30 osier --state "$s" down >/dev/null 2>&1; done
}
ends() { take_down; finish; }

hub_begins() { exits 0 osier hub --address 127.0.0.1 --listen 127.0.0.1 --port "$PORT" --broker-port "$BPORT" "$@"; }
line() { osier --state "${1:-$OSIER_STATE}" hub token "${@:2}" 2>/dev/null | sed "s/^[^']*'//; s/'$//"; }

api() { curl -sS --unix-socket "$1/api.sock" "http://osier$2" "${@:3}"; }
so() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
below() { [ "$1" -lt "$2" ] || { echo "$1 is not below $2"; return 1; }; }
state_is() { so "$(api "$HUB" /v1/nodes | jq -r --arg n "$1" '.nodes[] | select(.name == $n).state')" "$2"; }
done_is() { so "$(api "$HUB" "/v1/jobs/$1" | jq -r .state)" succeeded; }

not_yet() { :; }
soon() {
	local i
	for ((i = 0; i < SOON; i++)); do "$@" >/dev/null 2>&1 && return 0; sleep 0.2; done
	"$@" || { not_yet >&2; return 1; }
}
