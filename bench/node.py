# SPDX-License-Identifier: Apache-2.0
"""A node of its own for a row of the bench: a fresh state folder, and its API as any client sees it."""
import http.client
import json
import os
import select
import selectors
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time


class Failed(Exception):
    """The row could not be measured; never a number."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("osier", timeout=120)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Node:
    """`with Node(build, disk) as n:` - up when entered (osier says so itself), down and removed after."""

    def __init__(self, build, disk, config=""):
        self.osier = os.path.join(build, "osier")
        self.dir = tempfile.mkdtemp(prefix="osier-bench-", dir=disk)
        if config:
            with open(os.path.join(self.dir, "config.yaml"), "w", encoding="ascii") as f:
                f.write(config)
        self.socket = os.path.join(self.dir, "api.sock")

    def _command(self, *args):
        p = subprocess.run([self.osier, *args, "--state", self.dir], capture_output=True, text=True)
        if p.returncode:
            raise Failed("osier %s: %s" % (args[0], (p.stderr or p.stdout).strip()))
        return p.stdout

    def __enter__(self):
        try:
            self._command("up")
            with open(os.path.join(self.dir, "keeper.lock"), encoding="ascii") as f:
                self.keeper = int(f.read().split()[0])
            self.engine = self.get("/v1/version")["pid"]
        except BaseException:
            shutil.rmtree(self.dir, ignore_errors=True)
            raise
        return self

    def __exit__(self, *_):
        fd = os.pidfd_open(self.keeper)
        try:
            self._command("down")
        except Failed as e:
            print("bench: %s" % e, flush=True)
        if not select.select([fd], [], [], 60)[0]:
            print("bench: the keeper of %s does not end" % self.dir, flush=True)
        os.close(fd)
        shutil.rmtree(self.dir, ignore_errors=True)

    def ask(self, method, path, body=None):
        c = _Connection(self.socket)
        try:
            c.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            r = c.getresponse()
            text = r.read()
            if r.status >= 300:
                raise Failed("%s %s: %d %s" % (method, path, r.status, text.decode(errors="replace")[:300]))
            return json.loads(text)
        finally:
            c.close()

    def get(self, path):
        return self.ask("GET", path)

    def bytes(self, path):
        c = _Connection(self.socket)
        try:
            c.request("GET", path)
            r = c.getresponse()
            body = r.read()
            if r.status != 200:
                raise Failed("GET %s: %d %s" % (path, r.status, body.decode(errors="replace")[:300]))
            return body
        finally:
            c.close()

    def submit(self, job):
        return self.ask("POST", "/v1/jobs", job)["job"]

    def wait(self, job):
        """Follow the job's events to the end; its last one. Nothing is asked again and again."""
        c = _Connection(self.socket)
        try:
            c.request("GET", "/v1/jobs/%d/events" % job)
            r = c.getresponse()
            last, data = None, None
            for line in r:
                if line.startswith(b"event: "):
                    last = line[7:].strip()
                elif line.startswith(b"data: "):
                    data = line[6:]
                    if last == b"end":
                        return json.loads(data)
            raise Failed("the events of job %d ended before the job" % job)
        finally:
            c.close()

    def run(self, job, tasks):
        """Tasks a second of a job, from its submit until its end; each must have succeeded."""
        t = time.perf_counter()
        n = self.submit(job)
        end = self.wait(n)
        t = time.perf_counter() - t
        if end["state"] != "succeeded" or end["counts"]["succeeded"] != tasks:
            raise Failed("job %d: %s, %s" % (n, end["state"], end["counts"]))
        return n, tasks / t

    def until_answers(self, path, limit_s=120):
        """Seconds until the API answers `path` again."""
        t = time.perf_counter()
        while time.perf_counter() - t < limit_s:
            try:
                answer = self.get(path)
                return time.perf_counter() - t, answer
            except (OSError, http.client.HTTPException):
                time.sleep(0.001)
        raise Failed("no answer to %s within %d s" % (path, limit_s))

    def pids(self):
        return [self.keeper, self.get("/v1/version")["pid"]]


def memory(pids):
    """(RSS, anonymous) bytes of all of them."""
    rss = anonymous = 0
    for pid in pids:
        with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
            for line in f:
                if line.startswith("Rss:"):
                    rss += int(line.split()[1]) * 1024
                elif line.startswith("Anonymous:"):
                    anonymous += int(line.split()[1]) * 1024
    return rss, anonymous


def switches(pids):
    """Context switches of every thread of all of them, so far."""
    n = 0
    for pid in pids:
        for tid in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/status" % (pid, tid), encoding="ascii") as f:
                n += sum(int(line.split()[1]) for line in f if "ctxt_switches" in line)
    return n


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Cable:
    """TCP from a port of its own to one of this machine, in a thread: cut() breaks all connections and takes no new ones, mend() does."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port, self.to, self.peer, self.bytes = self.listener.getsockname()[1], port, {}, 0
        self.is_cut, self.over, self.done = False, False, threading.Event()
        self.sel = selectors.DefaultSelector()
        self.sel.register(self.listener, selectors.EVENT_READ)
        self.wake, self.woken = socket.socketpair()
        self.sel.register(self.woken, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _say(self, is_cut, over=False):
        self.is_cut, self.over = is_cut, over
        self.done.clear()
        self.wake.send(b"x")
        self.done.wait(10)

    def cut(self):
        self._say(True)

    def mend(self):
        self._say(False)

    def carried(self):
        """(bytes, packets) of the first connection on its way to the broker, both ways, packets with their headers on Ethernet: what a wire
        would carry. From TCP_INFO (linux/tcp.h): received bytes at 128, packets out and in at 136, sent bytes at 200."""
        a = next(x for x in self.peer if x.getsockname()[1] == self.port)
        info = a.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        received, = struct.unpack_from("Q", info, 128)
        out, into = struct.unpack_from("II", info, 136)
        sent, = struct.unpack_from("Q", info, 200)
        return sent + received + (out + into) * (14 + 20 + 32), out + into

    def close(self):
        self._say(True, True)
        self.thread.join(10)
        self.listener.close()

    def _drop(self, s):
        for x in (s, self.peer.pop(s, None)):
            if x is not None:
                self.peer.pop(x, None)
                self.sel.unregister(x)
                x.close()

    def _accept(self):
        a, _ = self.listener.accept()
        if self.is_cut:
            a.close()
            return
        b = socket.create_connection(("127.0.0.1", self.to))
        for x, y in ((a, b), (b, a)):
            x.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peer[x] = y
            self.sel.register(x, selectors.EVENT_READ)

    def _carry(self, s):
        try:
            data = s.recv(1 << 18)
            self.bytes += len(data)
            if data:
                self.peer[s].sendall(data)
                return
        except OSError:
            pass
        self._drop(s)

    def _run(self):
        while not self.over:
            for key, _ in self.sel.select():
                s = key.fileobj
                if s is self.woken:
                    s.recv(64)
                    for x in list(self.peer) if self.is_cut else []:
                        if x in self.peer:
                            self._drop(x)
                    self.done.set()
                elif s is self.listener:
                    self._accept()
                elif s in self.peer:
                    self._carry(s)


class Peak:
    """The most that the anonymous memory of a process and its RSS were, looked at again and again in a thread, against what they were before."""

    def __init__(self, pids, every_s=0.02):
        self.pids, self.every = pids, every_s
        self.before = [memory([p]) for p in pids]
        self.most = list(self.before)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.over.wait(self.every):
            for i, pid in enumerate(self.pids):
                self.most[i] = tuple(map(max, self.most[i], memory([pid])))

    def grown(self):
        """For each process: bytes of (RSS, anonymous) above what it had."""
        self.over.set()
        self.thread.join()
        return [(m[0] - b[0], m[1] - b[1]) for m, b in zip(self.most, self.before)]


class Fleet:
    """`with Fleet(build, disk, children) as f:` - f.hub and f.children, joined; the hub itself takes no work. With cables=True
    f.cables are what the children's links go through; `capacity` is each child's."""

    def __init__(self, build, disk, children, capacity="{cpu: 2}", cables=False):
        self.hub = Node(build, disk, "name: hub\ncapacity: {cpu: 0.001}\n")
        self.children = [Node(build, disk, "name: child-%d\ncapacity: %s\n" % (i, capacity)) for i in range(children)]
        self.with_cables, self.cables = cables, []

    def cable(self, child):
        """From now on its link goes through a cable: who joined knows the broker's port from a file."""
        path = os.path.join(child.dir, "parent", "parent.json")
        with open(path, encoding="ascii") as f:
            told = json.load(f)
        self.cables.append(Cable(told["broker_port"]))
        told["broker_port"] = self.cables[-1].port
        with open(path, "w", encoding="ascii") as f:
            json.dump(told, f)
        child._command("down", "--engine-only")

    def __enter__(self):
        up = []
        try:
            for n in [self.hub, *self.children]:
                n.__enter__()
                up.append(n)
            self.hub._command("hub", "--address", "127.0.0.1", "--port", str(_free_port()), "--broker-port", str(_free_port()))
            for n in self.children:
                line = self.hub._command("hub", "token").split("'")[1]
                n._command("join", line)
                if self.with_cables:
                    self.cable(n)
            self.until_up()
        except BaseException:
            for n in reversed(up):
                n.__exit__()
            raise
        return self

    def until_up(self, limit_s=20):
        end = time.monotonic() + limit_s
        while sum(n["state"] == "up" for n in self.hub.get("/v1/nodes")["nodes"]) <= len(self.children):
            if time.monotonic() > end:
                raise Failed("the children are not up")
            time.sleep(0.01)

    def __exit__(self, *_):
        for n in [*self.children, self.hub]:
            n.__exit__()
        for c in self.cables:
            c.close()


class Hub:
    """`with Hub(build, disk) as h:` - h.node, a hub that takes no work itself; h.links() gives it light children (bench/links.c)."""

    def __init__(self, build, disk):
        self.build = build
        self.node = Node(build, disk, "name: hub\ncapacity: {cpu: 0.001}\n")

    def __enter__(self):
        self.node.__enter__()
        try:
            self.node._command("hub", "--address", "127.0.0.1", "--port", str(_free_port()), "--broker-port", str(_free_port()))
        except BaseException:
            self.node.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.node.__exit__()

    def links(self, children, cpus=1, wall_us=1000):
        return Links(self, children, cpus, wall_us)


class Links:
    """Light children of a hub, all joined when entered: `joined` says in how many seconds."""

    def __init__(self, hub, children, cpus, wall_us):
        self.hub, self.children = hub, children
        self.dir = tempfile.mkdtemp(prefix="osier-links-", dir=os.path.dirname(hub.node.dir))
        program = os.path.join(hub.build, "bench", "bench-links")
        self.process = subprocess.Popen([program, self.dir, str(children), str(cpus), str(wall_us)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        try:
            for _ in range(self.children):
                self.process.stdin.write(self.hub.node.ask("POST", "/v1/hub/tokens", {})["join"] + "\n")
                self.process.stdin.flush()
            self.joined = self.answer(300)["s"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def answer(self, limit_s):
        if not select.select([self.process.stdout], [], [], limit_s)[0]:
            raise Failed("the light children do not answer within %d s" % limit_s)
        line = self.process.stdout.readline()
        if not line:
            raise Failed("the light children have ended")
        return json.loads(line)

    def ask(self, what, limit_s=300):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self.answer(limit_s)
