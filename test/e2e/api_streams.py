# SPDX-License-Identifier: Apache-2.0
"""Server-sent events: progress is coalesced and ends, logs come as they are written, once, whole and in order."""
import collections
import hashlib
import json
import os
import threading
import time

from api_node import Node, done, ok, wait_until


def lines_of(events):
    """Text by (step, index, stream), with partial lines joined; and whether the end was told."""
    text, ended = collections.defaultdict(str), False
    for name, data in events:
        if name == "end":
            ended = data["state"]
            break
        key = (data["step"], data["index"], data["stream"])
        text[key] += data["text"] + ("" if data.get("partial") else "\n")
    return text, ended


def collect(n, path, out, seconds=60):
    """Read a stream in a thread of its own: (when, name, data)."""
    def run():
        for name, data in n.events(path, seconds):
            out.append((time.monotonic(), name, data))
            if name == "end":
                return
    t = threading.Thread(target=run, daemon=True)
    t.start()
    return t


def progress(n):
    job = n.submit({"name": "many", "command": "sleep 0.05", "array": 150, "resources": {"cpu": 0.5}, "hold": True})
    got = []
    t = collect(n, "/v1/jobs/%d/events" % job, got)
    wait_until(lambda: got)
    ok(got and got[0][1] == "progress" and got[0][2]["counts"]["done"] == 0, "the first event comes at once", got[:1])
    n.json("POST", "/v1/jobs/%d/release" % job, {})
    t.join(60)
    ok(got[-1][1] == "end" and got[-1][2]["state"] == "succeeded" and got[-1][2]["counts"]["succeeded"] == 150,
       "the last one says how it ended", got[-1])
    # Over the whole of it: two may come close together, when the first of them was late.
    seconds = got[-2][0] - got[1][0]
    ok(len(got) > 3 and (len(got) - 3) * 0.1 < seconds + 0.1, "at most ten a second in between", (len(got), seconds))
    counts = [e[2]["counts"]["done"] for e in got]
    ok(counts == sorted(counts), "counts only grow", counts)
    ok(any(e[2]["rate"] > 0 for e in got), "there is a rate")
    again = list(n.events("/v1/jobs/%d/events" % job))
    ok(len(again) == 1 and again[0][0] == "end", "a finished job answers with its end alone", again)


def stored_logs(n):
    job = n.submit({"name": "say", "shell": "echo out ${task}; echo err ${task} >&2; printf 'no newline'", "array": 40})
    n.finish(job)
    text, ended = lines_of(n.events("/v1/jobs/%d/logs" % job))
    want = {("main", i, "stdout"): "out %d\nno newline\n" % i for i in range(40)}
    want.update({("main", i, "stderr"): "err %d\n" % i for i in range(40)})
    ok(ended == "succeeded" and text == want, "logs of a finished job are all lines of all tasks", (ended, len(text)))
    order = [d["index"] for name, d in n.events("/v1/jobs/%d/logs?stream=stdout" % job) if name == "line"]
    ok(order == sorted(order) and len(order) == 80, "in the order of tasks", order)
    text, _ = lines_of(n.events("/v1/jobs/%d/logs?index=7&stream=stderr" % job))
    ok(text == {("main", 7, "stderr"): "err 7\n"}, "one task, one stream", text)
    for q, want in [("stream=both2", 400), ("follow=2", 400), ("index=40", 404), ("step=nosuch", 404)]:
        status = n.ask("GET", "/v1/jobs/%d/logs?%s" % (job, q))[0]
        ok(status == want, "logs?%s is %d" % (q, want), status)


def large_logs(n):
    shell = "i=0; while [ $i -lt 60000 ]; do echo line-$i; i=$((i+1)); done"
    job = n.submit({"name": "large", "shell": shell})
    n.finish(job, 60)
    want = "".join("line-%d\n" % i for i in range(60000))
    text, _ = lines_of(n.events("/v1/jobs/%d/logs" % job))
    ok(text[("main", 0, "stdout")] == want, "600 kB of lines come whole", len(text[("main", 0, "stdout")]))
    status, head, data = n.ask("GET", "/v1/jobs/%d/tasks/main/0/output/stdout" % job)
    ok(data.decode() == want and head["etag"] == '"%s"' % hashlib.sha256(data).hexdigest(),
       "and as bytes, with their digest", (status, len(data)))
    job = n.submit({"name": "wide", "shell": "head -c 100000 /dev/zero | tr '\\0' 'x'; echo; printf '\\377\\376\\n'; printf '\\303\\251'"})
    n.finish(job)
    text, _ = lines_of(n.events("/v1/jobs/%d/logs" % job))
    ok(text[("main", 0, "stdout")] == "x" * 100000 + "\n\ufffd\ufffd\n\u00e9\n", "long lines and wrong bytes too",
       text[("main", 0, "stdout")][-20:])


def missing_logs(n):
    """An output whose blob is gone is told as a gap, and what is there as ever."""
    job = n.submit({"name": "gone", "shell": "echo err ${task} >&2; yes ${task} | head -c 100000", "array": 2})
    n.finish(job)
    sha = hashlib.sha256(b"1\n" * 50000).hexdigest()
    os.unlink(os.path.join(n.state, "blobs", sha[:2], sha[2:]))
    got = list(n.events("/v1/jobs/%d/logs" % job))
    gaps = [d for name, d in got if name == "gap"]
    ok(len(gaps) == 1 and gaps[0].pop("attempt") > 0 and gaps[0] == {
        "step": "main", "index": 1, "stream": "stdout", "at": 0, "bytes": 100000, "code": "not_found", "why": "it is not kept any more"},
       "an output that is not kept any more is told as a gap", gaps)
    text, ended = lines_of((name, d) for name, d in got if name != "gap")
    ok(ended == "succeeded" and text == {("main", 0, "stdout"): "0\n" * 50000, ("main", 0, "stderr"): "err 0\n",
                                         ("main", 1, "stderr"): "err 1\n"}, "and the others as ever", (ended, len(text)))
    status, _, data = n.ask("GET", "/v1/jobs/%d/tasks/main/1/output/stdout" % job)
    ok(status == 404 and b"not kept any more" in data, "as bytes it is not found", (status, data))


def live_logs(n):
    shell = "i=0; while [ $i -lt 8 ]; do echo tick-$i; i=$((i+1)); sleep 0.2; done; echo last"
    job = n.submit({"name": "live", "shell": shell})
    wait_until(lambda: n.job(job)["counts"]["running"])
    got = []
    t = collect(n, "/v1/jobs/%d/logs?follow=1" % job, got)
    t.join(40)
    lines = [d["text"] for _, name, d in got if name == "line"]
    ok(lines == ["tick-%d" % i for i in range(8)] + ["last"], "a followed task's lines come once and in order", lines)
    when = {d["text"]: at for at, name, d in got if name == "line"}
    ok("last" in when and when["last"] - when["tick-4"] > 0.3, "as they are written", when)
    ok(got and got[-1][1] == "end" and got[-1][2]["state"] == "succeeded", "and the end is told", got[-1:])

    job = n.submit({"name": "sofar", "shell": "echo one; echo two >&2; sleep 60"})
    wait_until(lambda: n.job(job)["counts"]["running"])
    time.sleep(0.3)
    text, ended = lines_of(n.events("/v1/jobs/%d/logs" % job))
    ok(text == {("main", 0, "stdout"): "one\n", ("main", 0, "stderr"): "two\n"} and ended == "running",
       "without follow: what is there so far", (dict(text), ended))
    status, head, data = n.ask("GET", "/v1/jobs/%d/tasks/main/0/output/stdout" % job)
    ok(status == 200 and data == b"one\n" and head.get("osier-live") == "1", "also as bytes", (status, head, data))
    n.json("POST", "/v1/jobs/%d/cancel" % job, {})


def coming_logs(n):
    """Follow from before the first task; steps, failures and retries on the way."""
    job = n.submit({"name": "coming", "hold": True, "steps": {
        "a": {"shell": "echo a-${task}", "array": 30},
        "b": {"shell": "echo try; [ -e /tmp/osier-e2e-$OSIER_JOB ] && echo done || { touch /tmp/osier-e2e-$OSIER_JOB; exit 1; }",
              "after": "a", "retries": {"max": 2, "backoff": 0.2}},
        "c": {"shell": "rm -f /tmp/osier-e2e-$OSIER_JOB; echo end", "after": "b"}}})
    got = []
    t = collect(n, "/v1/jobs/%d/logs?follow=1" % job, got)
    time.sleep(0.2)
    n.json("POST", "/v1/jobs/%d/release" % job, {})
    t.join(60)
    by = collections.defaultdict(list)
    for _, name, d in got:
        if name == "line":
            by[d["step"], d["index"]].append(d["text"])
    ok(all(by["a", i] == ["a-%d" % i] for i in range(30)), "every task of an array is told once", dict(by))
    ok(by["b", 0][-2:] == ["try", "done"], "a retried task tells its last attempt", by["b", 0])
    ok(by["c", 0] == ["end"] and got[-1][1] == "end", "to the end", (by["c", 0], got[-1:]))


def node_events(n):
    first = []
    for name, data in n.events("/v1/events"):
        first.append((name, data))
        if len(first) == 1:
            job = n.submit({"name": "seen", "command": "true"})
        elif any(j["job"] == job and j["state"] == "succeeded" for j in data["jobs"]) or len(first) > 50:
            break
    ok(1 < len(first) < 50 and all(name == "node" for name, _ in first), "the node's events tell of new jobs", len(first))


def gone_clients(n):
    """Clients that hang up in the middle leave nothing behind."""
    job = n.submit({"name": "busy", "shell": "while :; do echo x; sleep 0.05; done"})
    wait_until(lambda: n.job(job)["counts"]["running"])
    for path in ["/v1/jobs/%d/logs?follow=1", "/v1/jobs/%d/events"] * 20:
        c = n.http()
        c.request("GET", path % job)
        c.getresponse().read1(10)
        c.close()
    n.json("POST", "/v1/jobs/%d/cancel" % job, {})
    ok(n.finish(job)["state"] == "cancelled", "clients that hang up disturb nobody")

    def connections():
        text = n.ask("GET", "/v1/metrics")[2].decode()
        return int(next(line for line in text.splitlines() if line.startswith("osier_api_connections ")).split()[1])
    left = wait_until(lambda: connections() == 1, 20)
    ok(left, "and their connections are closed", connections())


def going_down():
    """A node that stops ends its streams and half-done requests, and leaves in order."""
    with Node() as n:
        job = n.submit({"name": "long", "shell": "while :; do echo x; sleep 0.1; done"})
        wait_until(lambda: n.job(job)["counts"]["running"])
        socks = []
        for request in [b"GET /v1/jobs/%d/logs?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n" % job,
                        b"GET /v1/jobs/%d/events HTTP/1.1\r\nHost: x\r\n\r\n" % job,
                        b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /v1/state HTTP/1.1\r\nHost: x\r\n\r\n",
                        b"PUT /v1/blobs/" + b"0" * 64 + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nhalf",
                        b"GET /v1/jo"] * 5:
            s = n.connect()
            s.sendall(request)
            socks.append(s)
        time.sleep(0.3)
        status, _ = n.json("POST", "/v1/shutdown", {})
        closed = 0
        for s in socks:
            s.settimeout(15)
            try:
                while s.recv(65536):
                    pass
                closed += 1
            except ConnectionResetError:
                closed += 1
            except TimeoutError:
                pass
        ok(status == 202 and closed == len(socks), "a node that stops ends its streams", (status, closed))
        n.keeper.wait(20)
        ok(n.keeper.returncode == 0, "and leaves in order", (n.keeper.returncode, n.output()))


with Node() as node:
    progress(node)
    stored_logs(node)
    large_logs(node)
    missing_logs(node)
    live_logs(node)
    coming_logs(node)
    node_events(node)
    gone_clients(node)
    ok(node.keeper.poll() is None and "CHECK" not in node.output(), "nothing crashed on the way", node.output())
going_down()
done()
