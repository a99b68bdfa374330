# SPDX-License-Identifier: Apache-2.0
"""Bad clients: half requests, garbage, floods, sizes, strangers. Each gets a clear answer or is dropped, nobody else
notices, and memory stays what it was."""
import json
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time

import api_node
from api_node import Node, done, ok, wait_until

MIB = 1 << 20
GROWTH = (512 if api_node.sanitized() else 16) * MIB


def read_all(s, seconds=10):
    """What comes until the other end closes."""
    data = b""
    s.settimeout(seconds)
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                return data
            data += piece
    except (ConnectionError, TimeoutError, OSError):
        return data


def raw(n, data, seconds=10):
    with n.connect() as s:
        try:
            s.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all was sent: the answer is there
        return read_all(s, seconds)


def error_of(data):
    """Status and error code of a raw answer."""
    head, _, body = data.partition(b"\r\n\r\n")
    try:
        return int(head.split()[1]), json.loads(body)["error"]["code"]
    except (ValueError, KeyError, IndexError):
        return None, data[:200]


def is_alive(n):
    began = time.monotonic()
    status, _ = n.json("GET", "/v1/version")
    return status == 200 and time.monotonic() - began < 2


def addresses(n):
    for path, want in [("/", 404), ("/v1", 404), ("/v2/jobs", 404), ("/v1/jobs/1/2/3/4/5/6/7/8/9/10/11", 404),
                       ("/v1/jobs/%zz", 400), ("/v1/jobs/%00", 400), ("/v1/jobs/%ff", 400), ("/v1/jobs/" + "a" * 6000, 400),
                       ("/v1/jobs/0", 404), ("/v1/jobs/-1", 404), ("/v1/jobs/99999999999999999999999", 404),
                       ("/v1/jobs/..%2f..%2fetc", 404), ("/v1/jobs/1/tasks/main/x", 404),
                       ("/v1/journal/entries?from=99999999999999999999", 400), ("/v1/jobs?limit=0", 400),
                       ("/v1/jobs?limit=1001", 400), ("/v1/jobs?limit=-1", 400), ("/v1/jobs?limit=1e3", 400),
                       ("/v1/jobs?before=0", 400), ("/v1/jobs?uid=x", 400), ("/v1/jobs?state=,", 400),
                       ("/v1/jobs?limit", 400), ("/v1/jobs?limits=1", 400), ("/v1/state?at=-1", 400)]:
        status, j = n.json("GET", path)
        ok(status == want and "message" in j["error"], "GET %.40s is %d" % (path, want), (status, j))


def bodies(n):
    deep = b"[" * 100000
    for name, body, want in [("empty", b"", 400), ("a list", b"[]", 400), ("cut", b'{"name": "x"', 400),
                             ("NUL", b'{"name": "a\\u0000b", "command": "true"}', 400),
                             ("not UTF-8", b'{"name": "\xff", "command": "true"}', 400), ("deep", deep, 400),
                             ("deep in a job", b'{"name":' + deep, 400),
                             ("doubled keys", b'{"name":"a","name":"b","command":"true"}', 400),
                             ("huge number", b'{"name":"a","command":"true","priority":1e999}', 400),
                             ("no jobs", b'{"jobs": []}', 400), ("jobs of nonsense", b'{"jobs": [1, null, "x"]}', 400),
                             ("keys that do not fit", b'{"jobs": [{"command":"true"}], "keys": []}', 400),
                             ("10001 jobs", json.dumps({"jobs": [{"command": "true"}] * 10001}).encode(), 400),
                             ("a list of lists", b'{"jobs":[' + b"[]," * (4 * MIB) + b"[]]}", 413)]:
        status, _, data = n.ask("POST", "/v1/jobs", body)
        j = json.loads(data)
        ok(status == want and j["error"]["message"], "a body that is %s is %d" % (name, want), (status, data[:300]))
    status, j = n.json("POST", "/v1/jobs?key=" + "k" * 129, {"command": "true"})
    ok(status == 400, "a key of 129 bytes is refused", j)
    status, j = n.json("GET", "/v1/jobs")
    ok(j["jobs"] == [], "none of them made a job", j)


def sizes(n):
    got = error_of(raw(n, b"GET /v1/version HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20000 + b"\r\n\r\n"))
    ok(got == (431, "too_large"), "a header of 20 kB is 431", got)
    data = raw(n, b"GET /v1/version HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200000 + b"\r\n\r\n")
    ok(data == b"" or data.split()[1][:1] == b"4", "a header of 200 kB is refused or dropped", data[:200])
    got = error_of(raw(n, b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\n{"))
    ok(got == (413, "too_large"), "a body announced as 100 GB is 413 before it comes", got)
    got = error_of(raw(n, b"PATCH /v1/jobs/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n"))
    ok(got == (413, "too_large"), "small requests have a small limit", got)
    chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
    got = error_of(raw(n, b"PATCH /v1/jobs/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" +
                       chunk * 40 + b"0\r\n\r\n"))
    ok(got == (413, "too_large"), "a body that does not say its size is cut at the limit", got)
    with n.connect() as s:  # without end
        s.sendall(b"PATCH /v1/jobs/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = 0
        try:
            while sent < 400 * MIB:
                s.sendall(chunk)
                sent += 65536
        except (BrokenPipeError, ConnectionResetError):
            pass
        ok(sent < 300 * MIB, "a body without end is cut off", sent)
    ok(is_alive(n), "and the node answers")


def floods(n):
    """As many bad requests as fit into some seconds, of each kind; a million would be more of the same."""
    rng = random.Random(7)
    kinds = {
        "garbage": lambda: rng.randbytes(rng.randrange(1, 400)),
        "half a header": lambda: b"GET /v1/jobs HTTP/1.1\r\nHost:"[:rng.randrange(1, 29)],
        "half a body": lambda: b'POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{"name": "x"',
        "nothing": lambda: b"",
        "many requests at once": lambda: b"GET /v1/nosuch HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
        "not JSON": lambda: b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{{{{{",
    }
    for make in kinds.values():  # warm: buffers reach their size
        for _ in range(300):
            with n.connect() as s:
                s.sendall(make())
    before = n.resident()
    for name, make in kinds.items():
        count, end = 0, time.monotonic() + 1.5
        while time.monotonic() < end:
            with n.connect() as s:
                try:
                    s.sendall(make())
                except (BrokenPipeError, ConnectionResetError):
                    pass
            count += 1
        ok(is_alive(n), "alive after %s" % name, count)
        print("# %d x %s" % (count, name))
    grown = n.resident() - before
    ok(grown < GROWTH, "floods do not grow memory", "%d bytes more" % grown)


def too_many(n):
    """Connections beyond the limit are told so; the others go on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    held, said = [], None
    try:
        for _ in range(1024 + 16):
            held.append(n.connect())
        wait_until(lambda: False, 0.3)  # all are accepted
        s = n.connect()
        s.sendall(b"GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n")
        said = error_of(read_all(s, 5))
        s.close()
    finally:
        for s in held:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    ok(said == (503, "busy"), "one connection too many is told so", said)
    ok(wait_until(lambda: n.ask("GET", "/v1/version")[0] == 200, 5), "when they are gone the node answers again")


def pages(n):
    job = n.submit({"name": "pages", "command": "true", "hold": True, "array": 2500})
    seen, after, count = [], "", 0
    while after is not None and count < 100:
        _, j = n.json("GET", "/v1/jobs/%d/tasks?limit=321%s" % (job, after and "&after=" + after))
        seen += [t["index"] for t in j["tasks"]]
        after, count = j["next"], count + 1
    ok(seen == list(range(2500)), "pages of tasks join without gap or overlap", (len(seen), count))
    huge = n.submit({"name": "huge", "command": "true", "hold": True, "array": 10000000})
    began = time.monotonic()
    _, j = n.json("GET", "/v1/jobs/%d/tasks?state=failed" % huge)
    ok(j["tasks"] == [] and j["next"] is None and time.monotonic() - began < 1, "no failed one among ten million", j)
    _, j = n.json("GET", "/v1/jobs/%d/tasks?after=0.9999990&limit=1000" % huge)
    ok([t["index"] for t in j["tasks"]] == list(range(9999991, 10000000)) and j["next"] is None, "the last page ends")
    status, j = n.json("GET", "/v1/jobs/%d/tasks?after=0.10000000" % huge)
    ok(status == 400, "a made-up cursor is refused", j)
    status, j = n.json("GET", "/v1/jobs/%d/tasks/main/10000000" % huge)
    ok(status == 404, "a task past the last is not found", j)
    status, j = n.json("POST", "/v1/jobs", {"name": "more", "command": "true", "hold": True, "array": 10000001})
    ok(status == 400, "ten million and one tasks are refused", j)
    ids = [n.submit({"name": "j%d" % i, "command": "true", "hold": True}) for i in range(25)]
    seen, before = [], ""
    while before is not None:
        _, j = n.json("GET", "/v1/jobs?limit=7%s" % (before and "&before=%d" % before))
        seen += [x["job"] for x in j["jobs"]]
        before = j["next"]
    ok(seen == sorted([job, huge] + ids, reverse=True), "pages of jobs join, newest first", seen)


def idle_readers(n):
    """Clients of streams that never read, while their job makes news."""
    job = n.submit({"name": "news", "command": "true", "array": 300})
    socks = []
    for _ in range(50):
        s = n.connect()
        s.sendall(b"GET /v1/jobs/%d/events HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n" % job)
        socks.append(s)
    before = n.resident()
    state = n.finish(job, 60)
    ok(state and state["state"] == "succeeded", "a job runs beside clients that do not read", state)
    ok(is_alive(n) and n.resident() - before < GROWTH, "which cost next to nothing", n.resident() - before)
    for s in socks:
        s.close()


def as_stranger(n, method, path):
    """The same request as another user, in a process of its own."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            text = json.dumps(n.json(method, path, {} if method != "GET" else None))
        except Exception as e:
            text = json.dumps([0, {"error": {"code": repr(e)}}])
        os.write(w, text[:60000].encode())
        os._exit(0)
    os.close(w)
    with os.fdopen(r) as f:
        text = f.read()
    os.waitpid(pid, 0)
    status, j = json.loads(text)
    return status, j


def strangers(n):
    if os.geteuid() != 0:
        print("ok - another user # skip needs root")
        return
    os.chmod(n.state, 0o711)
    job = n.submit({"name": "mine", "command": "echo secret", "env": {"TOKEN": "t0p-secret"},
                    "any_of": [{"resources": {"cpu": 1}, "command": "echo another secret"}, {"resources": {"cpu": 2}}]})
    n.finish(job)
    status, j = as_stranger(n, "GET", "/v1/jobs/%d" % job)
    ok(status == 200 and "secret" not in json.dumps(j), "another user sees the job, not its command", (status, j))
    status, j = as_stranger(n, "GET", "/v1/jobs")
    ok(status == 200 and j["jobs"], "and the list of jobs", status)
    for method, path in [("POST", "/v1/jobs/%d/cancel"), ("POST", "/v1/jobs/%d/retry"), ("POST", "/v1/jobs/%d/release"),
                         ("GET", "/v1/jobs/%d/spec"), ("GET", "/v1/jobs/%d/logs"),
                         ("GET", "/v1/jobs/%d/tasks/main/0/output/stdout"), ("POST", "/v1/shutdown"),
                         ("POST", "/v1/nodes/1/drain"), ("GET", "/v1/journal/entries"), ("PUT", "/v1/namespaces/x")]:
        status, j = as_stranger(n, method, path % job if "%d" in path else path)
        ok(status == 403 and j["error"]["code"] == "denied", "%s %s is denied to another user" % (method, path), (status, j))
    status, j = as_stranger(n, "GET", "/v1/jobs/%d/tasks/main/0" % job)
    ok(status == 200 and "sha256" not in json.dumps(j), "nor are digests of outputs shown", j)


def sockets():
    """A socket that was left behind is replaced, one that answers is not, and its path may be long."""
    top = tempfile.mkdtemp(prefix="osier-e2e-")
    state = os.path.join(top, "/".join(["long" * 12] * 4))
    os.makedirs(state)
    try:
        n = Node(state)
        ok(len(n.socket) > 108 and is_alive(n), "a path longer than sun_path works", len(n.socket))
        try:
            Node(state).stop()
            refused = "it started"
        except RuntimeError as e:
            refused = str(e)
        ok("error" in refused, "a second node on the same folder is refused", refused)
        ok(is_alive(n), "and the first does not notice")
        engine = n.engine_pid()
        os.kill(engine, signal.SIGSTOP)  # it must not see its keeper go
        os.kill(n.keeper.pid, signal.SIGKILL)
        n.keeper.wait()
        os.kill(engine, signal.SIGKILL)
        n.stop()
        ok(os.path.exists(os.path.join(state, "api.sock")), "kill -9 leaves a socket behind")
        n = Node(state)
        ok(is_alive(n), "which the next node replaces")
        n.stop()
        ok(not os.path.exists(os.path.join(state, "api.sock")), "a clean stop removes it")
    finally:
        shutil.rmtree(top, ignore_errors=True)


def half_open(n):
    """Connections that say half a thing, and wait."""
    socks = []
    for i in range(200):
        s = n.connect()
        s.sendall([b"GET /v1/jo", b"", b'POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"na'][i % 3])
        socks.append(s)
    return socks, time.monotonic()


def all_closed(socks, since):
    end = since + 45
    left = list(socks)
    while left and time.monotonic() < end:
        readable = select.select(left, [], [], 1)[0]
        for s in readable:
            try:
                if s.recv(4096) == b"":
                    left.remove(s)
            except OSError:
                left.remove(s)
    return len(left)


def main():
    with Node() as n:
        socks, since = half_open(n)
        ok(is_alive(n), "200 half requests hold nobody up")
        addresses(n)
        bodies(n)
        sizes(n)
        floods(n)
        pages(n)
        idle_readers(n)
        strangers(n)
        left = all_closed(socks, since)
        ok(left == 0, "connections that say half a thing are closed in time", left)
        too_many(n)
        ok("assert" not in n.output() and n.keeper.poll() is None, "nothing crashed on the way", n.output())
    sockets()
    done()


main()
