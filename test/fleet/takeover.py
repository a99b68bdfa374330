# SPDX-License-Identifier: Apache-2.0
"""takeover - a hub's machine is lost under load, then its database's: what was acknowledged is done, and once. Prints TAP. Needs root.

A hub, a standby, two nodes, and a PostgreSQL with a synchronous standby on machines of their own. First everything on the hub's machine is
killed and its cable cut; the standby takes over. Then the same is done to the first database; the second is promoted. At the end the history
that was seen from outside is held against the record by check_history.py, which gets no fault as an excuse: no task may run twice, because
no machine that runs tasks was touched.
"""
import json
import os
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from fleet import Failed, Fleet, Tap, sh, until  # noqa: E402
import postgres  # noqa: E402
import record  # noqa: E402

JOB = """name: load
labels: {key: %(key)s}
array: %(tasks)d
resources: {cpu: 0.25}
retries: 0
disconnect: {lost_after: 60s}
shell: |
  nonce=$(cat /proc/sys/kernel/random/uuid)
  echo "begin %(key)s main/${task} ${node} $nonce $(date +%%s.%%N)" >> %(ran)s
  sleep 0.2
  echo "end %(key)s main/${task} ${node} $nonce $(date +%%s.%%N)" >> %(ran)s
  echo $nonce
"""


class Takeover:
    def __init__(self, f):
        self.f = f
        self.going = True
        self.acked = {}
        self.lock = threading.Lock()
        self.ran = os.path.join(f.dir, "ran")
        open(self.ran, "w").close()
        os.chmod(self.ran, 0o666)
        os.chmod(f.dir, 0o711)
        self.history = open(os.path.join(f.dir, "history"), "w")

    def note(self, **what):
        with self.lock:
            self.history.write(json.dumps(dict(what, t=time.time())) + "\n")
            self.history.flush()

    # ---- the machines ----

    def databases(self):
        self.db1, self.db2 = [postgres.Server(self.f.host(n)) for n in ("db1", "db2")]
        self.db1.first()
        self.db2.replica_of(self.db1)
        self.url = "postgres://osier@%s,%s/postgres?target_session_attrs=read-write" % (self.f.db1.ip, self.f.db2.ip)

    def begin(self):
        f = self.f
        for name, cpu in (("hub", "0.001"), ("second", "0.001"), ("a", 2), ("b", 2)):
            h = f.host(name)
            with open(os.path.join(h.state, "config.yaml"), "w") as c:
                c.write("name: %s\ncapacity: {cpu: %s}\n" % (name, cpu))
        f.hub.osier("hub", "--record", self.url, "--address", f.hub.ip)
        for h in f.a, f.b:
            h.osier("join", self.line("token"))
        self.hub = f.hub

    def line(self, *words):
        return [w for w in self.f.hub.osier("hub", *words).split("'") if "#" in w][0]

    def stand_by(self):
        out = self.f.second.osier("hub", "--standby", self.line("token", "--standby"), "--address", self.f.second.ip)
        assert "standing by" in out, out

    def up(self, hub, seconds=30):
        until(lambda: all(n["state"] == "up" for n in hub.json("nodes")["nodes"] if n["name"] in ("a", "b")), seconds, "a and b up")

    def is_hub(self, h):
        got = h.run("curl", "-s", "-m", "2", "--unix-socket", h.state + "/api.sock", "http://osier/v1/version", check=False).stdout
        return got and not json.loads(got)["record"]["standby"]

    def lose(self, h):
        """The machine is gone: its cable first, so that nobody hears it die."""
        h.cable.say("cut")
        for _ in range(3):
            for pid in sh("ip", "netns", "pids", h.ns).stdout.split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)

    # ---- work ----

    def submit(self, key, tasks):
        self.note(what="submit", key=key, steps={"main": tasks})
        text = JOB % {"key": key, "tasks": tasks, "ran": self.ran}
        while self.going:
            try:
                job = self.hub.osier("submit", "-q", "--key", key, "-", input=text, timeout=20).strip()
                self.acked[key] = job
                self.note(what="ack", key=key, job=job)
                return
            except (Failed, subprocess.TimeoutExpired):
                time.sleep(0.2)

    def work(self):
        n = 0
        while self.going:
            self.submit("k%d" % n, (1, 5, 20)[n % 3])
            n += 1
            time.sleep(0.5)

    def more(self, jobs, seconds):
        want = len(self.acked) + jobs
        until(lambda: len(self.acked) >= want, seconds, "%d more jobs are taken" % jobs)

    # ---- what is lost ----

    def head(self, h, name):
        with open(os.path.join(self.f.dir, name), "w") as out:
            out.write(h.run("curl", "-s", "-m", "10", "--unix-socket", h.state + "/api.sock", "http://osier/v1/ledger/checkpoint"))

    def lose_hub(self):
        self.head(self.f.hub, "head.1")
        began = time.monotonic()
        self.lose(self.f.hub)
        self.hub = self.f.second
        until(lambda: self.is_hub(self.f.second), 60, "the standby takes over")
        took = time.monotonic() - began
        print("# the standby had the record after %.1f s" % took, flush=True)
        self.up(self.f.second, 60)
        print("# both nodes were back after %.1f s" % (time.monotonic() - began), flush=True)
        assert took < 10, "it took %.1f s" % took

    def lose_database(self):
        began = time.monotonic()
        self.lose(self.f.db1)
        self.db2.promote()
        self.more(2, 60)
        print("# jobs were taken again %.1f s after the database's machine was lost" % (time.monotonic() - began), flush=True)

    def comes_back(self):
        """The old hub finds its record held, and stands by with one command."""
        h = self.f.hub
        h.cable.say("heal")
        r = h.osier("up", check=False, timeout=90)
        assert r.returncode == 3 and "osier hub --standby" in r.stderr, r
        assert "standing by" in h.osier("hub", "--standby", timeout=90)

    # ---- the end ----

    def finish(self):
        self.going = False
        self.thread.join()
        for job in self.acked.values():
            self.hub.osier("wait", job, timeout=120, check=False)
        self.outcomes = record.write(self.hub, os.path.join(self.f.dir, "record"), lambda number, name: "%s-%d" % (name, number))

    def check(self):
        r = subprocess.run([sys.executable, HERE + "/check_history.py"] + [os.path.join(self.f.dir, x) for x in ("history", "ran", "record")],
                           stdout=subprocess.PIPE, text=True)
        print("# " + r.stdout.strip().replace("\n", "\n# "))
        assert r.returncode == 0, r.stdout
        assert set(self.outcomes) == {"succeeded"}, self.outcomes

    def heads(self):
        self.hub.run("curl", "-s", "-X", "POST", "--unix-socket", self.hub.state + "/api.sock", "http://osier/v1/ledger/publish")
        self.head(self.hub, "head.2")
        with open(os.path.join(self.f.dir, "leaves"), "w") as out:
            out.write(self.db2.sql("SELECT encode(leaf, 'hex') FROM osier.entries ORDER BY seq"))
        r = subprocess.run([sys.executable, HERE + "/../e2e/signed_heads.py"] + [os.path.join(self.f.dir, x) for x in ("leaves", "head.1", "head.2")],
                           stdout=subprocess.PIPE, text=True)
        assert r.returncode == 0, r.stdout

    def run(self, tap):
        tap.fact("a PostgreSQL and its synchronous standby", self.databases)
        tap.fact("a hub and two nodes", self.begin)
        tap.fact("another machine stands by", self.stand_by)
        tap.fact("the nodes are up", lambda: self.up(self.f.hub))
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()
        tap.fact("jobs are taken", lambda: self.more(5, 60))
        tap.fact("the hub's machine is lost, and the standby takes over within ten seconds", self.lose_hub)
        tap.fact("jobs are taken again", lambda: self.more(5, 60))
        tap.fact("the database's machine is lost, its standby promoted, and jobs are taken again", self.lose_database)
        tap.fact("the old hub comes back, and stands by with one command", self.comes_back)
        tap.fact("what was acknowledged comes to its end", self.finish)
        tap.fact("no work was lost, none doubled, none ran twice", self.check)
        for name in ("second", "a", "b"):
            tap.fact("the log of %s is whole" % name, lambda name=name: self.f.hosts[name].osier("ledger", "audit"))
        tap.fact("what both hubs signed are heads of one log", self.heads)


def main():
    if os.geteuid() != 0 or not postgres.there():
        print("1..0 # SKIP network namespaces need root, and PostgreSQL must be installed")
        return 0
    tap = Tap()
    with Fleet() as f:
        t = Takeover(f)
        try:
            t.run(tap)
        finally:
            t.going = False
            for db in ("db1", "db2"):
                t.lose(f.hosts[db])
            if os.environ.get("KEEP"):
                subprocess.run(["cp", "-a", f.dir, os.environ["KEEP"]])
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
