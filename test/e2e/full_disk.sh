#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# full_disk - the disk of the state folder is full, fails, or may not be written: what was acknowledged stays, new work is refused
# with the reason, looking works, nothing hangs, and work goes on by itself when there is room. A small disk of its own needs root;
# test/unit/test_journal_faults.c has the same from the fault seam.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
LIMIT=40
mkdir "$OSIER_STATE"
mounted=
at_end() { "$OSIER" down >/dev/null 2>&1; [ -z "$mounted" ] || umount -l "$OSIER_STATE"; }
if mount -t tmpfs -o size=32m,mode=700 none "$OSIER_STATE" 2>/dev/null; then mounted=1; fi
printf 'limits: {reserve: 4MiB}\n' >"$OSIER_STATE/config.yaml"
notes() { "$OSIER" version --json | jq -c ".node.$1"; }
succeeded() { "$OSIER" tasks "$1" -s succeeded --all --json | jq '.tasks | length'; }
fill() { dd if=/dev/zero of="$OSIER_STATE/filler" bs=4k >/dev/null 2>&1; [ "$(df --output=avail "$OSIER_STATE" | tail -n 1)" -lt 4096 ]; }

cat >"$T/load.yaml" <<X
name: load
command: "echo \${task} >>$T/runs; sleep 0.2; head -c 2000 /dev/zero | tr '\\\\0' x; echo; echo \${task}"
array: 40
resources: {cpu: 0.5}
X

if [ "$mounted" ]; then
	ok "a node is up on a small disk" up
	is "and takes a job" "$("$OSIER" submit -q "$T/load.yaml" 2>&1)" load-1
	for _ in $(seq 200); do [ "$(succeeded 1)" -ge 3 ] && break; sleep 0.05; done
	ok "the disk becomes full" fill
	for _ in $(seq 100); do [ "$(notes disk_full)" = true ] && break; sleep 0.1; done
	is "the node says so" "$(notes disk_full)" true
	told "a submit is refused with the reason" 5 "the disk of the state folder is full, no job is taken hint: make room" "$OSIER" submit "$T/load.yaml"
	told "so is a run" 5 "the disk of the state folder is full" "$OSIER" run "$T/load.yaml"
	told "so is any other change" 5 "the disk of the state folder is full, nothing can be changed" "$OSIER" cancel 1
	told "jobs are shown" 0 'load-1 +running' "$OSIER" jobs
	told "tasks are shown" 0 'succeeded' "$OSIER" tasks 1
	told "a task is explained" 0 '.' "$OSIER" why 1
	told "logs are shown" 0 '.' "$OSIER" logs 1/0
	told "the state is shown" 0 'load-1' "$OSIER" replay
	told "nobody waits for ever who waits with a limit" 124 '.' "$OSIER" wait 1 --timeout 1s
	before=$(succeeded 1)
	pid=$(engine_pid)
	is "the engine lives" "$(kill -0 "$pid" && echo yes)" yes

	rm "$OSIER_STATE/filler"
	is "with room again the job goes on by itself and succeeds" "$(settle 1)" succeeded
	is "by the same engine" "$(engine_pid)" "$pid"
	is "every task ran once" "$(sort -n "$T/runs")" "$(seq 0 39)"
	ok "what had succeeded stayed so" test "$(succeeded 1)" -ge "$before"
	works "and jobs are taken"
	entries >"$T/entries"
	ok "the journal has each success once" python3 test/e2e/ledger.py 1 main=40 <"$T/entries"

	# ---- death while the disk is full ----
	rm "$T/runs"
	job=$("$OSIER" submit -q "$T/load.yaml")
	for _ in $(seq 200); do [ "$(succeeded "$job")" -ge 3 ] && break; sleep 0.05; done
	ok "full again, while a job runs" fill
	for _ in $(seq 100); do [ "$(notes disk_full)" = true ] && break; sleep 0.1; done
	before=$("$OSIER" jobs --all --json | jq -c '[.jobs[].id]')
	kill -9 "$(engine_pid)"
	sleep 1
	rm "$OSIER_STATE/filler"
	is "an engine that is killed with a full disk comes back when there is room" "$(settle "$job")" succeeded
	is "with every job" "$("$OSIER" jobs --all --json | jq -c '[.jobs[].id]')" "$before"
	entries >"$T/entries"
	ok "and each success once" python3 test/e2e/ledger.py "${job#load-}" main=40 <"$T/entries"
	is "every task ran once" "$(sort -n "$T/runs")" "$(seq 0 39)"

	# ---- a task that fills it ----
	printf 'name: big\ncommand: head -c 60000000 /dev/zero\nlimits: {output: 100MB}\n' >"$T/big.yaml"
	told "a task whose output does not fit fails and says why" 1 "no room|No space left" "$OSIER" submit --watch "$T/big.yaml"
	printf 'name: big\ncommand: head -c 60000000 /dev/zero >f\noutputs: [f]\n' >"$T/big.yaml"
	told "so does one whose own folder is full" 1 'failed|No space left' "$OSIER" submit --watch "$T/big.yaml"
	works "the node goes on"

	# ---- a folder that cannot be written ----
	ok "down" "$OSIER" down
	mount -o remount,ro "$OSIER_STATE"
	told "a read-only folder: up" 6 "Read-only file system" "$OSIER" up
	told "a read-only folder: run" 3 "Read-only file system" "$OSIER" run "$T/load.yaml"
	told "a read-only folder can be looked at" 0 'load-1 +succeeded' "$OSIER" jobs
	mount -o remount,rw "$OSIER_STATE"
	ok "up again" up
	works "and at work"
	ok "down again" "$OSIER" down
	umount -l "$OSIER_STATE" && mounted=
	rm -rf "$OSIER_STATE"
else
	echo "ok - a small disk # SKIP mounting one needs root"
fi

# ---- a small disk that the first task of all fills: the journal has no room of its own yet ----
if [ "$(id -u)" = 0 ]; then
	OSIER_STATE=$T/fresh
	mkdir "$OSIER_STATE" && mount -t tmpfs -o size=16m,mode=700 none "$OSIER_STATE" && mounted=1
	printf 'limits: {reserve: 4MiB}\n' >"$OSIER_STATE/config.yaml"
	ok "a new node is up" up
	printf 'name: big\ncommand: head -c 60000000 /dev/zero\nlimits: {output: 100MB}\n' >"$T/big.yaml"
	told "its first task prints more than there is room for: it fails and says why" 1 "no room" "$OSIER" submit --watch "$T/big.yaml"
	is "what it printed left room, and is gone" "$(df --output=avail "$OSIER_STATE" | awk 'NR == 2 {print ($1 > 15000)}')" 1
	works "the node goes on"
	ok "and down" "$OSIER" down
	umount -l "$OSIER_STATE" && mounted=
	rm -rf "$OSIER_STATE"
	OSIER_STATE=$T/state
fi

# ---- folders that are none ----
: >"$T/file"
told "a file as the state folder" 2 "the state folder '$T/file' is not a folder hint: choose another" "$OSIER" up --state "$T/file"
told "a folder below a file" 6 "cannot create the state folder '$T/file/x': Not a directory hint: choose another" "$OSIER" up --state "$T/file/x"
mkdir -m 555 "$T/readonly"
if [ "$(id -u)" = 0 ]; then
	as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	chown 65534 "$T/readonly"
else
	as=(env)
fi
if ! "${as[@]}" test -x "$OSIER"; then
	echo "ok - a folder that may not be written # SKIP another user cannot reach the build folder"
	exit $bad
fi
told "a folder that may not be written" 6 "Permission denied" "${as[@]}" "$OSIER" up --state "$T/readonly"
told "for run, too" 3 "Permission denied" "${as[@]}" "$OSIER" run --state "$T/readonly" "$T/load.yaml"
told "a folder that may not be made" 6 "cannot create the state folder .*Permission denied hint: choose another" "${as[@]}" "$OSIER" up --state "$T/readonly/x"
exit $bad
