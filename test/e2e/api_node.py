# SPDX-License-Identifier: Apache-2.0
"""A real node for the tests of the API, requests to it, and TAP lines. Standard library only."""
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("BUILD") or os.path.join(os.path.dirname(__file__), "../../build")
failed = 0


def sanitized():
    """Was the program built with a sanitizer? It keeps freed memory for a while, so memory is not what it seems."""
    with open(os.path.join(BUILD, "meson-info/intro-buildoptions.json")) as f:
        return next(o["value"] for o in json.load(f) if o["name"] == "b_sanitize") != "none"


def ok(cond, name, detail=""):
    """One TAP line; what went wrong is said before it."""
    global failed
    if not cond:
        failed += 1
        for line in str(detail)[:3000].splitlines():
            print("#", line)
    print(("ok" if cond else "not ok") + " - " + name, flush=True)
    return bool(cond)


def done():
    sys.exit(1 if failed else 0)


def wait_until(fn, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        v = fn()
        if v:
            return v
        time.sleep(0.02)
    return fn()


class UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path, timeout=30):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = unix(self.path, self.timeout)


def unix(path, timeout=30):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(timeout), 0))  # of a full backlog
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
    try:
        s.connect("/proc/self/fd/%d/%s" % (folder, os.path.basename(path)))
    finally:
        os.close(folder)
    s.settimeout(timeout)
    return s


class Node:
    """osier-keeper and the engine on a state folder of their own."""

    def __init__(self, state=None, options=()):
        self.own = state is None
        self.state = state or tempfile.mkdtemp(prefix="osier-e2e-")
        self.socket = os.path.join(self.state, "api.sock")
        self.log = open(os.path.join(self.state, "keeper.log"), "ab")
        r, w = os.pipe()
        os.set_inheritable(w, True)
        self.keeper = subprocess.Popen(
            [os.path.join(BUILD, "osier-keeper"), "--state", self.state, "--ready-fd", str(w), "--die-with-parent",
             "--allow-root", *options, "--engine", os.path.join(BUILD, "osier")],
            pass_fds=[w], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        os.close(w)
        with os.fdopen(r, "rb") as f:
            said = f.readline()
        if not said.startswith(b"ready"):
            raise RuntimeError("the node does not start: %r\n%s" % (said, self.output()))

    def output(self):
        with open(os.path.join(self.state, "keeper.log"), errors="replace") as f:
            return f.read()[-3000:]

    def stop(self):
        if self.keeper.poll() is None:
            self.keeper.send_signal(signal.SIGTERM)
            try:
                self.keeper.wait(20)
            except subprocess.TimeoutExpired:
                self.keeper.kill()
                self.keeper.wait()
        self.log.close()
        with open(os.path.join(self.state, "keeper.log"), errors="replace") as f:
            text = f.read()
        if any(word in text for word in ("Sanitizer", "runtime error", "osier: bug")):
            ok(False, "the node ends without a defect", text[-6000:])
        if self.own:
            shutil.rmtree(self.state, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def connect(self, timeout=30):
        return unix(self.socket, timeout)

    def http(self, timeout=30):
        return UnixHTTP(self.socket, timeout)

    def ask(self, method, path, body=None, headers=None, timeout=60):
        """One request on a connection of its own: status, headers (lower case), bytes."""
        c = self.http(timeout)
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body).encode()
            c.request(method, path, body=body, headers=headers or {})
            r = c.getresponse()
            return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
        finally:
            c.close()

    def json(self, method, path, body=None):
        status, _, data = self.ask(method, path, body)
        return status, json.loads(data)

    def submit(self, job):
        status, j = self.json("POST", "/v1/jobs", job)
        assert status == 201, (status, j)
        return j["job"]

    def job(self, n):
        return self.json("GET", "/v1/jobs/%s" % n)[1]

    def finish(self, n, seconds=30):
        """Wait for the job's end and return it."""
        return wait_until(lambda: (lambda j: j if j["state"] not in ("waiting", "running") else None)(self.job(n)),
                          seconds)

    def events(self, path, timeout=30):
        """Server-sent events as they come: (name, data)."""
        c = self.http(timeout)
        c.request("GET", path)
        r = c.getresponse()
        assert r.status == 200, (r.status, r.read())
        name = None
        try:
            for line in r:
                line = line.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    yield name, json.loads(line[6:])
        finally:
            c.close()

    def engine_pid(self):
        return self.json("GET", "/v1/version")[1]["pid"]

    def resident(self):
        """Resident memory of the engine in bytes."""
        with open("/proc/%d/statm" % self.engine_pid()) as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")
