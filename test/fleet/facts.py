# SPDX-License-Identifier: Apache-2.0
"""facts - what a hub and its nodes do for their user: files, workers, words, cables, nodes that are shut out. Prints TAP. Needs root."""
import hashlib
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import BUILD, Failed, Fleet, Tap, need_root, until  # noqa: E402

# All of it runs on children: the hub itself has no room.
FILES = """name: files
array: 3
resources: {cpu: 0.5}
inputs: {big: %(big)s, small: %(small)s}
outputs: [large]
shell: |
  sha256sum big small | cut -c1-64
  cat big small > large
  echo ${task} >> large
"""
WORKER = """name: worker
array: 20000
resources: {cpu: 1}
worker: {command: [%s/bench/bench-noop], function: number}
"""
GRAPH = """name: graph
steps:
  one: {array: 4, resources: {cpu: 0.5}, shell: 'echo $((${task} * ${task})) on ${node}'}
  two: {after: one, resources: {cpu: 0.5}, shell: echo done}
"""
SLOW = """name: slow
array: 2
resources: {cpu: 1.5}
retries: 0
disconnect: {lost_after: 2s}
shell: "echo ran >> %s/ran.$OSIER_TASK; sleep 4; echo ${node}"
"""
# One task at a time of each lease, and none while the node is full.
FULL = """name: full
resources: {cpu: 2}
shell: "while [ ! -e %s/room ]; do sleep 0.1; done"
"""
LATER = """name: later
array: 8
resources: {cpu: 0.5}
retries: 0
where: {name: b}
disconnect: {replace: never}
shell: "echo ran >> %s/later.$OSIER_TASK; echo ${task} on ${node}"
"""
# Its description is long: each task that starts brings it along.
BULK = """name: bulk
array: 60
resources: {cpu: 0.01}
where: {name: a}
shell: |
  echo >> %s/bulk
  sleep 60 # %s
"""
STOPPED = """name: stopped
resources: {cpu: 0.5}
where: {name: a}
shell: |
  trap 'echo > %(dir)s/stopped; exit 1' TERM
  echo > %(dir)s/begun
  sleep 600 & wait
"""


class Facts:
    def __init__(self, f, tap):
        self.f, self.tap = f, tap

    def begin(self):
        f = self.f
        f.begin(hub=0.001, a=2, b=2)
        for h in f.a, f.b:
            h.joins(f.hub)

    def states(self):
        return {n["name"]: n["state"] for n in self.f.hub.json("nodes")["nodes"]}

    def up(self, *names, seconds=20):
        until(lambda: all(self.states()[n] == "up" for n in names), seconds, "up: " + ", ".join(names))

    def submit(self, text):
        return self.f.hub.osier("submit", "-q", "-", input=text).strip()

    def done(self, job, seconds=60):
        self.f.hub.osier("wait", job, timeout=seconds)

    def output(self, task, *more):
        return self.f.hub.osier("logs", task, *more)

    def files(self):
        big, small = os.path.join(self.f.dir, "big"), os.path.join(self.f.dir, "small")
        with open(big, "wb") as o:
            o.write(os.urandom(3 << 20))
        with open(small, "wb") as o:
            o.write(b"small\n")
        job = self.submit(FILES % {"big": big, "small": small})
        self.done(job)
        both = open(big, "rb").read() + open(small, "rb").read()
        want = [hashlib.sha256(open(x, "rb").read()).hexdigest() for x in (big, small)]
        for i in range(3):
            task = "%s/main/%d" % (job, i)
            assert self.output(task).split() == want, self.output(task)
            r = self.f.hub.run("sh", "-c", "osier logs %s --output large | sha256sum" % task)
            assert r.split()[0] == hashlib.sha256(both + b"%d\n" % i).hexdigest(), r

    def worker(self):
        job = self.submit(WORKER % BUILD)
        self.done(job)
        for i in (0, 1, 777, 19999):
            got = self.output("%s/main/%d" % (job, i)).strip()
            assert got == "%08x" % i, "task %d gave '%s'" % (i, got)

    def graph(self):
        job = self.submit(GRAPH)
        self.done(job)
        got = [self.output("%s/one/%d" % (job, i)).split() for i in range(4)]
        assert [g[0] for g in got] == ["0", "1", "4", "9"] and all(g[2] in "ab" for g in got), got

    def cut(self):
        job = self.submit(SLOW % self.f.dir)
        until(lambda: all(os.path.exists("%s/ran.%d" % (self.f.dir, i)) for i in range(2)), 20, "both run")
        self.f.a.cable.say("cut")
        until(lambda: self.states()["a"] != "up", 25, "a is missed")
        assert "alone: hub" in until(lambda: (lambda s: s if "alone" in s else "")(self.f.a.osier("nodes")), 25, "a knows that it is alone")
        self.done(job, 90)
        assert self.output(job + "/main/0").strip() == "b" and self.output(job + "/main/1").strip() == "b"
        self.f.a.cable.say("heal")
        self.up("a")

    def local(self):
        """A node that is alone runs what it is asked here."""
        self.f.b.cable.say("cut")
        out = self.f.b.osier("run", "-", input="name: here\nshell: echo ${node}\n")
        assert out.strip().endswith("b"), out
        self.f.b.cable.say("heal")
        self.up("b")

    def drained(self):
        self.f.hub.osier("node", "drain", "a")
        job = self.submit("name: where\narray: 6\nresources: {cpu: 0.5}\nshell: echo ${node}\n")
        self.done(job)
        assert {self.output("%s/main/%d" % (job, i)).strip() for i in range(6)} == {"b"}
        self.f.hub.osier("node", "resume", "a")

    def revoked(self):
        self.f.hub.osier("hub", "revoke", "a", "--reason", "stolen")
        until(lambda: self.states()["a"] == "lost", 10, "a is lost")
        job = self.submit("name: where\narray: 6\nresources: {cpu: 0.5}\nshell: echo ${node}\n")
        self.done(job)
        assert {self.output("%s/main/%d" % (job, i)).strip() for i in range(6)} == {"b"}

    def away_and_back(self):
        """An engine that dies while results come up, at each end."""
        job = self.submit("name: many\narray: 60\nresources: {cpu: 0.5}\nshell: sleep 0.1; echo ${task}\n")
        for h in (self.f.a, self.f.hub, self.f.b):
            time.sleep(0.5)
            h.kill("engine")
        until(lambda: self.f.hub.osier("wait", job, timeout=60) is not None, 90, "the job ends")
        got = [self.output("%s/main/%d" % (job, i)).strip() for i in range(60)]
        assert got == [str(i) for i in range(60)], got

    def later(self):
        """The tasks of LATER that have begun, with how often."""
        return {n.split(".")[1]: len(open(os.path.join(self.f.dir, n)).readlines()) for n in os.listdir(self.f.dir) if n.startswith("later.")}

    def dies_alone(self):
        """A machine whose cable is cut dies with leases that have not begun. Up again, and still alone, it begins them, and keeps what came out."""
        b, hub = self.f.b, self.f.hub
        b.osier("submit", "-q", "-", input=FULL % self.f.dir)
        until(lambda: b.json("node", "inspect", "b")["running"], 20, "the node is full")
        job = self.submit(LATER % self.f.dir)
        leases = until(lambda: (lambda r: r if len(r) == 4 else None)([x for x in hub.json("node", "inspect", "b")["running"] if x["job"] == job]), 20, "b has leases")
        held = {str(x["first"] + i) for x in leases for i in range(x["count"])}
        until(lambda: sum(j["name"] == "later" for j in b.json("jobs")["jobs"]) == 4, 20, "they are there")
        assert 4 <= len(held) < 8 and not self.later(), "%s are held, %s have begun" % (held, self.later())
        b.cable.say("cut")
        b.die()
        assert not b.pids("engine") and not b.pids("osier-keeper"), "it is not dead"
        b.osier("up")
        open(os.path.join(self.f.dir, "room"), "w").close()
        until(lambda: set(self.later()) == held, 40, "what it held runs: %s" % held)
        until(lambda: all(j["state"] == "succeeded" for j in b.json("jobs")["jobs"] if j["name"] == "later"), 20, "and ends")
        until(lambda: "alone: hub" in b.osier("nodes"), 20, "it says that it is alone")
        assert hub.json("job", job)["counts"]["succeeded"] == 0, "the hub cannot know"
        b.die()  # with its results, which nobody has heard yet
        b.osier("up")
        time.sleep(1)
        assert set(self.later()) == held, "it began what it does not hold: %s" % self.later()
        b.cable.say("heal")
        self.up("b", seconds=40)
        self.done(job)
        assert self.later() == {str(i): 1 for i in range(8)}, self.later()
        for i in range(8):
            task = hub.json("job", "%s/main/%d" % (job, i))
            assert self.output("%s/main/%d" % (job, i)).strip() == "%d on b" % i
            assert [a["outcome"] for a in task["attempts"]] == ["succeeded"] and not task.get("late"), task

    def urgent(self):
        """A stop does not wait for the bulk that goes to the same node over a slow cable: a window of it would take 13 s."""
        begun, stopped, bulk = (os.path.join(self.f.dir, n) for n in ("begun", "stopped", "bulk"))
        job = self.submit(STOPPED % {"dir": self.f.dir})
        until(lambda: os.path.exists(begun), 20, "it runs")
        self.f.a.cable.say("rate 640")
        try:
            much = self.submit(BULK % (self.f.dir, "x" * 80000))
            until(lambda: os.path.exists(bulk), 30, "bulk comes")
            at = time.monotonic()
            self.f.hub.osier("cancel", job)
            until(lambda: os.path.exists(stopped), 30, "it is stopped")
            took = time.monotonic() - at
            assert len(open(bulk).read()) < 40, "that was no bulk"
            assert took < 7, "the stop took %.1f s" % took
        finally:
            self.f.a.cable.say("rate 0")
            self.f.hub.osier("cancel", much)
        self.f.hub.osier("wait", much, timeout=60, check=False)

    def nothing_left(self):
        """A node forgets what it gave over."""
        until(lambda: all(j["state"] not in ("running", "waiting") for h in (self.f.a, self.f.b) for j in h.json("jobs")["jobs"]), 20, "nothing runs")


def main():
    need_root()
    tap = Tap()
    with Fleet() as f:
        x = Facts(f, tap)
        tap.fact("a hub and two nodes", x.begin)
        tap.fact("they show up within five seconds", lambda: x.up("a", "b", seconds=5))
        tap.fact("files go to where tasks are, and large ones come back", x.files)
        tap.fact("a worker on a child counts tasks as the hub does", x.worker)
        tap.fact("steps wait for each other across machines", x.graph)
        tap.fact("what ran beyond a cut cable runs elsewhere", x.cut)
        tap.fact("a node that is alone works for who is there", x.local)
        tap.fact("engines die at both ends, and every task has its own result", x.away_and_back)
        tap.fact("a machine that dies beyond a cut cable begins what it holds, and all arrives once", x.dies_alone)
        tap.fact("a stop goes past the bulk on a slow cable", x.urgent)
        tap.fact("nothing starts on a drained node", x.drained)
        tap.fact("nothing is left over on the nodes", x.nothing_left)
        tap.fact("a node that is shut out gets nothing more", x.revoked)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
