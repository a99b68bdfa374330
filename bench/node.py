# SPDX-License-Identifier: Apache-2.0
"""A node of its own for a row of the bench: a fresh state folder, and its API as any client sees it."""
import http.client
import json
import os
import select
import shutil
import socket
import subprocess
import tempfile
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

    def __init__(self, build, disk):
        self.osier = os.path.join(build, "osier")
        self.dir = tempfile.mkdtemp(prefix="osier-bench-", dir=disk)
        self.socket = os.path.join(self.dir, "api.sock")

    def _command(self, *args):
        p = subprocess.run([self.osier, *args, "--state", self.dir], capture_output=True, text=True)
        if p.returncode:
            raise Failed("osier %s: %s" % (args[0], (p.stderr or p.stdout).strip()))

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
