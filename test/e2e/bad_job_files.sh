#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bad_job_files - malformed, hostile and impossible job files: each is refused at once, with its place and what would be right;
# nothing of it becomes a job, and the node works on.
cd "$(dirname "$0")/../.." && . test/tap.sh && . test/node.sh
LIMIT=20
cd "$T" || exit 1
ok "a node is up" up

file() { printf "$1" >"$T/job.yaml"; }
# refused NAME REGEX: validate and submit say the same of job.yaml.
refused() {
	told "$1" 2 "$2" "$OSIER" validate job.yaml
	told "$1, submitted" 2 "$2" "$OSIER" submit job.yaml
}

# ---- what is no file ----
mkfifo pipe late
# Nobody writes to it: that takes 10 s to believe, so it is looked at beside the others and told at the end.
(told "a pipe that nobody writes to" 2 "'pipe' is not a file, and for 10 s nothing came out of it hint: give a file" "$OSIER" validate pipe) >silent 2>&1 &
silent=$!
(sleep 1; echo 'command: ls' >late) &
told "a pipe whose writer comes late" 0 "late is valid" "$OSIER" validate late
told "a pipe of the shell" 0 "is valid" bash -c "\"$OSIER\" validate <(sleep 0.3; echo 'command: ls')"
is "stdin" "$( (sleep 0.3; echo 'command: ls') | "$OSIER" validate - 2>&1)" "- is valid: job 'job', 1 step, 1 task"
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind("sock")'
told "a socket" 2 "'sock' is a socket, not a job file" "$OSIER" submit sock
told "a device without end" 5 "'/dev/urandom' is longer than 1 MiB" "$OSIER" submit /dev/urandom
told "a device with nothing" 2 "/dev/null:1:1: found an empty file" "$OSIER" submit /dev/null
for f in pipe sock; do
	printf 'command: ls\ninputs: [%s]\n' "$f" >job.yaml
	told "$f as an input" 2 "job.yaml:2:10: found '$f', expected a file that can be read \(it is not a regular file" "$OSIER" validate job.yaml
done
printf 'command: ls\narray: {x: {lines: pipe}}\n' >job.yaml
told "a pipe as lines" 2 "job.yaml:2:20: found 'pipe', expected a file of lines" "$OSIER" validate job.yaml

# ---- hostile YAML ----
python3 - <<'X'
def write(name, data):
    with open(name, "wb") as f:
        f.write(data)
lol = b"a: &a [x,x,x,x,x,x,x,x,x]\n"
for i in range(12):
    lol += b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9))
write("bomb.yaml", lol + b"command: ls\n")
write("loop.yaml", b"env: &a {x: *a}\ncommand: ls\n")
write("large.yaml", b"command: ls\nenv:\n" + b"".join(b"  A%d: '%s'\n" % (i, b"x" * 1000) for i in range(104000)))
write("nul.yaml", b"command: ls\0rm\n")
write("utf8.yaml", b"name: x\ncommand: echo \xff\xfe\n")
write("half.yaml", b"name: x\ncommand: echo \xe2\x82\n")
write("utf16.yaml", "command: ls\n".encode("utf-16"))
write("deep.yaml", b"command: " + b"[" * 500000)
write("deeper.yaml", b"- " * 300000)
write("keys.yaml", b"{" * 500000)
write("noise.yaml", bytes((i * 7919 + i // 3) % 256 for i in range(50000)))
write("many.yaml", b"command: ls\narray: [" + b"1," * 210000 + b"1]\n")
X
told "an anchor bomb" 2 'bomb.yaml:2:8: found an alias, expected the value itself: job files have no aliases' "$OSIER" validate bomb.yaml
told "an anchor in itself" 2 'loop.yaml:1:13: found an alias' "$OSIER" validate loop.yaml
told "100 MB" 5 "'large.yaml' is longer than 1 MiB .*hint: put long lists into a file" "$OSIER" validate large.yaml
told "100 MB, submitted" 5 "'large.yaml' is longer than 1 MiB" "$OSIER" submit large.yaml
told "a file without end" 5 "'/dev/zero' is longer than 1 MiB" "$OSIER" validate /dev/zero
told "NUL" 2 'nul.yaml:1:12: found a NUL byte, expected text in UTF-8' "$OSIER" validate nul.yaml
told "bad UTF-8" 2 'utf8.yaml:2:15: found the byte 0xff, expected text in UTF-8' "$OSIER" validate utf8.yaml
told "half a character" 2 'half.yaml:2:15: found .*, expected text in UTF-8' "$OSIER" validate half.yaml
told "UTF-16" 2 'utf16.yaml:1:1: found the byte 0xff, expected text in UTF-8' "$OSIER" validate utf16.yaml
told "half a million lists in each other" 2 'deep.yaml:1:[0-9]+: found too deep a nesting, expected lists and maps at most 64 deep' \
	"$OSIER" validate deep.yaml
told "the same in block style" 2 'deeper.yaml:1:[0-9]+: found too deep a nesting' "$OSIER" validate deeper.yaml
told "half a million maps as keys" 2 'keys.yaml:1:[0-9]+: found' "$OSIER" validate keys.yaml
told "noise" 2 'noise.yaml:[0-9]+:[0-9]+: found' "$OSIER" validate noise.yaml
told "more keys than there may be" 2 'many.yaml:2:[0-9]+: found' "$OSIER" validate many.yaml

# ---- malformed YAML ----
file ''; refused "an empty file" 'job.yaml:1:1: found an empty file, expected a job'
file '# nothing\n'; refused "a comment alone" 'job.yaml:[12]:1: found an empty file, expected a job'
file -- '- a\n- b\n' 2>/dev/null || printf -- '- a\n- b\n' >job.yaml; refused "a list" 'job.yaml:1:1: found a list, expected a job'
file 'command: "ls\n'; refused "a quote that is never closed" 'job.yaml:2:1: found broken YAML: .*line 1'
file 'command: ls\n\tname: x\n'; refused "a tab" 'job.yaml:2:1: found broken YAML: .*tab'
file 'command: ls\n name: x\n'; refused "bad indentation" 'job.yaml:2:[0-9]+: found broken YAML'
file 'command: ls\n---\ncommand: rm\n'; refused "two documents" 'job.yaml:2:1: found a second document, expected one'
file 'command: ls\ncommand: rm\n'; refused "a key twice" "job.yaml:2:1: found the key 'command' again"
file 'command: !!python/object:os.system ls\n'; refused "a tag" 'job.yaml:1:10: found a tag, expected a value without a tag'
file 'name: x\n'; refused "nothing to run" "job.yaml:1:1: found .*(command|steps)"

# ---- unknown keys and names ----
file 'command: ls\nretrys: 3\n'; refused "an unknown key" "job.yaml:2:1: found 'retrys', .*did you mean 'retries'\?"
file 'command: ls\nresources: {memry: 1}\n'; refused "an unknown resource" "job.yaml:2:13: found 'memry', .*did you mean 'memory'\?"
file 'command: ls\nretries: {max: 1, backof: 3s}\n'; refused "an unknown key below" "job.yaml:2:19: found 'backof', .*did you mean 'backoff'\?"
file 'command: echo ${indx}\narray: 3\n'; refused "an unknown name in a template" 'job.yaml:1:10: found .*indx.*(index|did you mean)'
file 'steps: {a: {command: ls, after: bb}}\n'; refused "an unknown step" "job.yaml:1:33: found 'bb', expected the name of a step"
file 'steps: {a: {command: ls, stdin: {from: bb}}}\n'; refused "input from an unknown step" "job.yaml:1:[0-9]+: found 'bb', expected the name of a step"

# ---- graphs that are none ----
file 'steps:\n  a: {command: ls, after: c}\n  b: {command: ls, after: a}\n  c: {command: ls, after: b}\n'
refused "a cycle" 'job.yaml:2:6: found a cycle: a after c after b after a'
file 'steps:\n  a: {command: ls, stdin: {from: b}}\n  b: {command: ls, after: a}\n'
refused "a cycle by way of data" 'job.yaml:2:[0-9]+: found a cycle: a after b after a'
file 'steps:\n  a: {command: ls, after: a}\n'; refused "a step after itself" 'job.yaml:2:27: found a step that waits for itself'
file 'steps:\n  a: {command: ls}\n  b: {reduce: b, command: ls}\n'; refused "a reduction of itself" 'job.yaml:3:[0-9]+: found a step that waits for itself'
file 'steps: {}\n'; refused "no step" 'job.yaml:1:8: found .*expected a map of steps'
file 'steps:\n  a: {command: ls, array: 3}\n  b: {command: ls, array: 4, after: {step: a, mode: each}}\n'
refused "each of unequal many" 'job.yaml:3:[0-9]+: found .*(3|4)'

# ---- numbers of tasks ----
file 'command: ls\narray: 0\n'; refused "zero tasks" "job.yaml:2:8: found '0', expected at least one task"
file 'command: ls\narray: []\n'; refused "an empty list of tasks" 'job.yaml:2:8: found an empty list, expected at least one value'
file 'command: ls\narray: {i: {from: 5, to: 4}}\n'; refused "an empty range" 'job.yaml:2:[0-9]+: found'
: >"$T/none.txt"
file 'command: ls\narray: {i: {lines: none.txt}}\n'; refused "the lines of an empty file" 'job.yaml:2:[0-9]+: found .*none.txt'
file 'command: ls\narray: 10000001\n'; refused "ten million and one tasks" 'job.yaml:2:8: found more than 10000000 tasks, expected at most 10000000'
file 'command: ls\narray: {i: 1..3163, j: 1..3163}\n'; refused "more than ten million as a product" 'found more than 10000000 tasks'
file 'command: ls\narray: {i: 1..10000000, j: 1..10000000, k: 1..10000000, l: 1..10000000}\n'; refused "a product beyond 64 bits" 'found more than 10000000 tasks'
file 'steps:\n  a: {command: ls, array: 6000000}\n  b: {command: ls, array: 6000000}\n'; refused "more than ten million in two steps" 'found more than 10000000 tasks'
file 'command: ls\narray: 99999999999999999999\n'; refused "a number beyond 64 bits" 'job.yaml:2:8: found .99999999999999999999'
file 'command: ls\narray: -1\n'; refused "a negative number of tasks" "job.yaml:2:8: found '-1'"

# ---- values ----
file 'command: ls\nresources: {cpu: -1}\n'; refused "a negative amount" "job.yaml:2:[0-9]+: found '-1'"
file 'command: ls\nresources: {memory: 5XB}\n'; refused "an unknown unit" "job.yaml:2:[0-9]+: found '5XB', expected a size"
file 'command: ls\nresources: {memory: 99999999TiB}\n'; refused "a size beyond 64 bits" "job.yaml:2:[0-9]+: found '99999999TiB'"
file 'command: ls\npriority: 101\n'; refused "a priority beyond 100" "job.yaml:2:11: found '101', expected .*100"
file 'command: ls\ntimeouts: {run: soon}\n'; refused "a time that is none" "job.yaml:2:[0-9]+: found 'soon', expected a time"
file 'command: ls\nverify: {replicas: 3, agree: 4}\n'; refused "more to agree than there are" "job.yaml:2:[0-9]+: found more to agree than replicas, expected 'agree' of at most 3"
file 'command: ls\noutputs: [../../etc/passwd]\n'; refused "an output outside of the folder" "job.yaml:2:[0-9]+: found '../../etc/passwd'"
file 'command: ls\noutputs: [/etc/passwd]\n'; refused "an absolute output" "job.yaml:2:[0-9]+: found '/etc/passwd'"

# ---- missing files ----
told "a job file that is not there" 4 "cannot open 'nosuch.yaml': No such file .*hint: 'osier init'" "$OSIER" validate nosuch.yaml
told "a folder as a job file" 2 "is a folder, not a job file" "$OSIER" submit "$T"
file 'command: ls\ninputs: [nosuch.txt]\n'; refused "an input that is not there" "job.yaml:2:10: found 'nosuch.txt', expected a file that can be read \(No such file"
file 'command: ls\narray: {x: {lines: nosuch.txt}}\n'; refused "lines of a file that is not there" "job.yaml:2:20: found 'nosuch.txt', expected a file of lines"
file 'command: ls\nstdin: {file: nosuch.txt}\n'; refused "a stdin that is not there" "job.yaml:2:15: found 'nosuch.txt', expected a file that can be read"
file 'command: ls\ninputs: [.]\n'; refused "a folder as an input" "job.yaml:2:10: found"

# ---- more than there is ----
large() { # NAME REGEX YAML
	file "command: ls\n$3\n"
	told "$1 fits no node" 5 "step 'main' can never run: $2.*hint: ask for less" "$OSIER" submit job.yaml
}
large "cpu: 100000" 'cpu 100000 is more than any node has; the largest, .* has cpu [0-9]+' 'resources: {cpu: 100000}'
large "memory: 100TiB" 'memory 102400 GiB is more than any node has; the largest, .* has memory' 'resources: {memory: 100TiB}'
large "disk: 10000TiB" 'disk 10240000 GiB is more than any node has; the largest, .* has disk' 'resources: {disk: 10000TiB}'
large "an unknown pool" "no node has any 'licence'" 'resources: {licence: 1}'
large "each alternative" 'cpu 100000|licence' 'any_of: [{resources: {cpu: 100000}}, {resources: {licence: 1}}]'
file 'command: ls\nresources: {cpu: 100000}\n'
told "run says so, too" 5 'can never run' "$OSIER" run job.yaml

# ---- more than the journal reads again ----
python3 - >job.yaml <<'X'
print("env: {%s}\nsteps:" % ", ".join("%s%s: ''" % (chr(65 + i // 26), chr(97 + i % 26)) for i in range(600)))
for i in range(1024): print("  s%d: ls" % i)
X
refused "variables for more steps than can be written down" 'job.yaml:1:1: found too long a job, expected at most [0-9]+ keys and values'

wait "$silent"
cat silent
grep -q '^not ok' silent && bad=1

is "none of them became a job" "$("$OSIER" jobs --all --json | jq '.jobs | length')" 0
works "the node works afterwards"
is "with the first number" "$(state 1)" succeeded
exit $bad
