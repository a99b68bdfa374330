#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hub_upgrade - a hub and its two nodes are upgraded one after another while tasks run: no task notices. A node that is two minor versions
# of the link away is refused in words, and comes back when the older of both is upgraded. Prints TAP.
cd "$(dirname "$0")/../.." && . test/tap.bash && . test/hub.sh
NEXT=$BUILD/test/fleet/osier-next LATER=$BUILD/test/fleet/osier-later # one and two minor versions of the link later
for n in hub a b; do
	mkdir -p "$TMP/$n" "$TMP/$n-bin"
	cp "$BUILD/osier" "$BUILD/osier-keeper" "$TMP/$n-bin/"
done
printf 'name: plant\ncapacity: {cpu: 0.001}\n' >"$TMP/hub/config.yaml"
printf 'name: press-4\ncapacity: {cpu: 2}\n' >"$TMP/a/config.yaml"
printf 'name: press-5\ncapacity: {cpu: 2}\n' >"$TMP/b/config.yaml"
export OSIER_STATE=$TMP/hub
at() { "$TMP/$1-bin/osier" --state "$TMP/$1" "${@:2}"; } # NODE WORDS...: as somebody on that machine says it
did() { exits 0 "$TMP/$1-bin/osier" --state "$TMP/$1" "${@:2}"; }
ends() { for n in a b hub; do [ -S "$TMP/$n/api.sock" ] && timeout 30 "$TMP/$n-bin/osier" --state "$TMP/$n" down >/dev/null 2>&1; done; finish; }
trap ends EXIT
PORT=$(free_port) BPORT=$(free_port)
api() { curl -sS --max-time 10 --unix-socket "$TMP/$1/api.sock" "http://osier$2" "${@:3}"; }
engine() { api "$1" /v1/version | jq -r .pid; }
keeper() { cut -d' ' -f1 "$TMP/$1/keeper.lock"; }
# What the hub knows of a node, NODE FILTER; what a node knows of its hub.
node() { api hub /v1/nodes | jq -er ".nodes[] | select(.name == \"$1\") | $2"; }
parent() { api "$1" /v1/nodes | jq -e ".hub | $2"; }
up_as() { node "$1" ".state == \"up\" and .link_version == \"$2\""; }
# NODE PROGRAM: as a package does it, then the one command of docs/fleet.md.
runs_from() { [ "$(stat -Lc %i "/proc/$(engine "$1")/exe" 2>/dev/null)" = "$(stat -c %i "$TMP/$1-bin/osier")" ]; }
upgrade() {
	cp "$2" "$TMP/$1-bin/osier.new" && mv "$TMP/$1-bin/osier.new" "$TMP/$1-bin/osier" || return 1
	did "$1" down --engine-only || return 1
	soon runs_from "$1"
}

did hub hub --address 127.0.0.1 --listen 127.0.0.1 --port "$PORT" --broker-port "$BPORT" || exit 1
for n in a b; do
	did $n up || exit 1
	LINE=$(at hub hub token 2>/dev/null | sed "s/^osier join '//; s/'$//")
	fact "node $n joins" did $n join "$LINE"
done
fact "both are up" soon node press-4 '.state == "up"'
fact "and speak one version" soon node press-5 '.state == "up"'
V0=$(node press-4 .link_version) MINOR=${V0#*.}
V1=${V0%.*}.$((MINOR + 1)) V2=${V0%.*}.$((MINOR + 2))
fact "which is $V0" soon up_as press-5 "$V0"
declare -A KEEPER
for n in hub a b; do KEEPER[$n]=$(keeper $n); done

cat >"$TMP/long.yaml" <<X
name: long
command: 'echo begin \${task} \$\$ \$PPID >>$TMP/runs; sleep 2; echo out \${task}; echo end \${task} \$\$ \$PPID >>$TMP/runs'
array: 16
resources: {cpu: 1}
retries: 0
disconnect: {lost_after: 20s}
X
touch "$TMP/runs" && chmod 666 "$TMP/runs" && chmod 711 "$TMP"
fact "a job goes to both" did hub submit --quiet "$TMP/long.yaml"
begun() { [ "$(grep -c begin "$TMP/runs")" -ge "$1" ]; }
fact "and its tasks run" soon begun 4

fact "the hub is upgraded" upgrade hub "$NEXT"
fact "and hears the older nodes" soon up_as press-4 $V0
fact "both of them" soon up_as press-5 $V0
fact "a node is upgraded" upgrade a "$NEXT"
fact "and is up again" soon up_as press-4 $V1
fact "it knows what its hub speaks" soon parent a '.state == "up" and .link_version == "'"$V1"'"'
fact "the other node is upgraded" upgrade b "$NEXT"
fact "and is up again" soon up_as press-5 $V1
sed 's/array: 16/array: 8/' "$TMP/long.yaml" >"$TMP/later.yaml"
fact "somebody submits meanwhile" did hub submit --quiet "$TMP/later.yaml"

fact "a node goes a minor version further" upgrade a "$LATER"
fact "which is one more than its hub's, and works" soon up_as press-4 $V2
fact "the hub goes back to what it was" upgrade hub "$BUILD/osier"
refused() { parent a ".state == \"refused\" and (.why | contains(\"it speaks version $V2 of the link, this hub $V0\"))"; }
fact "two versions apart is refused in words" soon refused
fact "which say what to do" parent a '.hint | contains("upgrade the older of both")'
fact "on the command line, too" bash -c '"$1" --state "$2" nodes 2>&1 | grep -q "upgrade the older of both"' _ "$TMP/a-bin/osier" "$TMP/a"
fact "the other is up" soon up_as press-5 $V1
fact "the hub is upgraded again" upgrade hub "$NEXT"
fact "and the refused node is up" soon up_as press-4 $V2

finished() { [ "$(api hub "/v1/jobs/$1" | jq -r '[.state, .counts.succeeded] | join(" ")')" = "succeeded $2" ]; }
fact "the job has all its tasks" soon finished 1 16
fact "and the later one" soon finished 2 8
once() {
	local n
	n=$(grep -c begin "$TMP/runs")
	[ "$n" = 24 ] || { echo "$n tasks began"; cat "$TMP/runs"; return 1; }
	diff <(grep begin "$TMP/runs" | cut -d' ' -f2- | sort) <(grep end "$TMP/runs" | cut -d' ' -f2- | sort)
}
fact "every task began once, and the process that began ended" once
attempts() { [ "$(api hub "/v1/jobs/1/tasks?limit=100" | jq -c '[.tasks[].attempts] | unique')" = "[1]" ]; }
fact "none had a second attempt" attempts
keepers() { for n in hub a b; do [ "$(keeper $n)" = "${KEEPER[$n]}" ] || { echo "the keeper of $n is another"; return 1; }; done; }
fact "the keepers are the same all the time" keepers
fact "the output of each is there" bash -c 'for t in 0 7 15; do [ "$("$1" logs "1/main/$t" --no-prefix)" = "out $t" ] || exit 1; done' _ "$TMP/hub-bin/osier"
echo "1..$tests"
