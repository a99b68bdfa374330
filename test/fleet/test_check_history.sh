#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# test_check_history - the checker of histories finds what is wrong with them, and nothing where nothing is. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
. test/tap.bash
C=$PWD/test/fleet/check_history.py
cd "$TMP" || exit 1
sum() { printf '%s\n' "$1" | sha256sum | cut -c1-64; }
AAA=$(sum aaa) BBB=$(sum bbb) CCC=$(sum ccc)

# Two tasks of k1; the second ran twice, because its first node was in trouble from 5 to 6. Nobody knows whether k2 was taken.
good() {
	cat >history <<-'X'
		{"t": 0.5, "what": "seen", "node": "n1", "state": "up"}
		{"t": 0.5, "what": "seen", "node": "n2", "state": "up"}
		{"t": 1.0, "what": "submit", "key": "k1", "steps": {"main": 2}}
		{"t": 1.1, "what": "ack", "key": "k1", "job": "a-1"}
		{"t": 2.0, "what": "submit", "key": "k2", "steps": {"main": 1}}
		{"t": 5.0, "what": "fault", "kind": "power", "node": "n1", "until": 6.0}
	X
	printf '%s\n' 'begin k1 main/0 n1 aaa 1.2' 'end k1 main/0 n1 aaa 1.3' 'begin k1 main/1 n1 bbb 4.9' 'begin k1 main/1 n2 ccc 6.5' 'end k1 main/1 n2 ccc 6.6' >ran
	cat >record <<-X
		{"seq": 4, "t": 1.05, "what": "job", "job": "a-1", "key": "k1"}
		{"seq": 7, "t": 1.35, "what": "commit", "job": "a-1", "task": "main/0", "node": "n1", "outcome": "succeeded", "sha256": "$AAA"}
		{"seq": 9, "t": 6.65, "what": "commit", "job": "a-1", "task": "main/1", "node": "n2", "outcome": "succeeded", "sha256": "$CCC"}
	X
}
check() { exits "$1" python3 "$C" history ran record; }
# bad NAME WORDS: what was changed is noticed, in these words.
bad() { fact "$1" eval "check 1 && says '$2'"; good; }
good
fact "a good history is one" eval 'check 0 && says "2 jobs asked for, 1 acknowledged; 2 commits, 0 of them failures with an excuse; 3 runs, 1 of them again"'
sed -i 3d record; bad "a lost task" "1 of its 2 tasks have no result"
sed -i 1,3d record; bad "a lost job" "was acknowledged, and is not in the record"
sed -i 2p record; bad "a doubled commit" "is committed 2 times, by entries [7, 7]"
sed -i "s/$CCC/$BBB/" record; bad "a result of a run that never ended" "with what no run of it there had come to"
sed -i '3s/"n2"/"n1"/' record; bad "a result from where it did not run" "with what no run of it there had come to"
sed -i '3s/6.65/6.1/' record; bad "a result before its run had ended" "with what no run of it there had come to"
sed -i 's/1.05/1.35/' record; bad "a yes before the job was in the record" "was acknowledged before it was in the record"
sed -i 6d history; bad "a task that ran again for nothing" "and nothing had happened to n1"
sed -i '6s/"n1"/"n3"/' history; bad "the trouble of another node is no excuse" "and nothing had happened to n1"
sed -i '6s/"n1"/"n2"/; s/"t": 5.0/"t": 1.5/; s/"until": 6.0/"until": 2.0/' history
fact "but that of the one that ran it late is" check 0; good
sed -i '6s/"n1"/"n2"/; s/"t": 5.0/"t": 7.6/; s/"until": 6.0/"until": 8.0/' history; bad "if it came before" "and nothing had happened to n1"
sed -i '6s/"n1"/"-"/' history; bad "nor that of nobody" "and nothing had happened to n1"
sed -i '6s/"n1"/"*"/' history
fact "what all stand on is one" check 0; good
sed -i 's/"t": 5.0/"t": 7.9/; s/"until": 6.0/"until": 8.0/' history; bad "an excuse that came too late" "and nothing had happened to n1"
sed -i 6d history
printf '%s\n' '{"t": 5.0, "what": "seen", "node": "n1", "state": "disconnected"}' '{"t": 5.5, "what": "seen", "node": "n1", "state": "up"}' >>history
fact "that its hub had lost it is one" check 0; good
sed -i 6d history; echo '{"seq": 8, "t": 6.4, "what": "moved", "from": "n1", "to": "n3"}' >>record
fact "that another machine became the hub is one for who was it" check 0; good
sed -i 6d history; echo '{"seq": 8, "t": 6.4, "what": "moved", "from": "n3", "to": "n4"}' >>record; bad "but not for another" "and nothing had happened to n1"
sed -i '3s/succeeded/exited/' record; bad "a failure for nothing" "came to exited, and nothing had happened"
sed -i '3s/succeeded/exited/' record; sed -i '4,5d' ran; sed -i '3s/"n2"/"n1"/' record; sed -i '6s/6.0/6.6/; 6s/"n1"/"*"/' history
bad "a failure on a machine to which nothing was done itself" "came to exited, and nothing had happened"
sed -i '3s/succeeded/exited/' record; sed -i '4,5d' ran; sed -i '3s/"n2"/"n1"/' record; sed -i '6s/6.0/6.6/' history
fact "a failure with an excuse" eval 'check 0 && says "1 of them failures with an excuse"'; good
sed -i 's/begin k1 main.0 n1 aaa 1.2/begin k1 main\/0 n1 aaa -3/' ran; bad "a run before the question" "before anybody asked"
echo '{"seq": 11, "t": 7, "what": "job", "job": "a-9", "key": "k9"}' >>record; bad "a job out of nowhere" "nobody asked for k9"
echo '{"seq": 11, "t": 7, "what": "job", "job": "a-2", "key": "k1"}' >>record; bad "one key, two jobs" "key k1 is 2 jobs"
echo '{"seq": 11, "t": 7, "what": "job", "job": "a-2", "key": "k2"}' >>record; bad "what was taken without a word counts, too" "k2 (job a-2) was taken, and 1 of its 1 tasks have no result"
echo '{"t": 1.2, "what": "ack", "key": "k1", "job": "a-7"}' >>history; bad "one key, two answers" "was answered by jobs a-1 and a-7"
printf 'end k1 0 n1 zz' >>ran
fact "half a line at the end of the runs does not matter" check 0
echo "1..$tests"
