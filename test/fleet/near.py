# SPDX-License-Identifier: Apache-2.0
"""near - tasks that want to be near a node go where the way to it is short, as it was measured. Prints TAP. Needs root."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Failed, Fleet, Tap, need_root, until  # noqa: E402

MIB = 1 << 20
BY_HUB = "by way of the hub, not measured between them"


class Near:
    def __init__(self, f):
        self.f = f

    def begin(self):
        """b joins first: what does not care goes there. None of them has a site."""
        f = self.f
        f.begin(hub=0.001, b=2, a=2, x=2)
        f.b.cable.say("delay 20")
        for n, h in enumerate((f.b, f.a, f.x)):
            h.joins(f.hub)
            until(lambda: sum(n["state"] == "up" for n in f.hub.json("nodes")["nodes"]) == n + 2, 20, "%s is up" % h.name)
        f.hub.osier("node", "cordon", "x")

    def runs(self, more, check=True):
        """A task with these lines: where it ran."""
        job = self.f.hub.osier("submit", "-q", "-", input="name: there\nresources: {cpu: 0.5}\nshell: 'echo ${node}'\n" + more).strip()
        r = self.f.hub.osier("wait", job, timeout=60, check=False)
        if r.returncode:
            raise Failed(r.stdout + r.stderr + self.f.hub.osier("why", job, check=False).stdout[:1500])
        return self.f.hub.osier("logs", job + "/main").strip()

    def plan(self, near):
        """What is said of each node."""
        text = self.f.hub.osier("plan", "-", input="name: there\nresources: {cpu: 0.5}\nnear: %s\ncommand: \"true\"\n" % near)
        said = {}
        for line in text.split("\n"):
            for name in "abx":
                if " %s: " % name in " " + line.strip():
                    said[name] = line.strip()
        if not {"a", "b"} <= set(said):
            raise Failed(text)
        return said

    def hub(self):
        """How far nodes are from their hub is measured by what they say to each other."""
        def measured():
            said = self.plan("hub")
            if not all("up to" in said[n] for n in "ab"):
                raise Failed(said)
            return True
        until(measured, 20, "it is measured")
        assert self.runs("") == "b"
        assert self.runs("near: hub\n") == "a", self.plan("hub")

    def by_hub(self):
        """Between two nodes it is at most what both are from the hub."""
        said = self.plan("x")
        assert all(BY_HUB in said[n] and "from x" in said[n] for n in "ab"), said
        assert self.runs("near: x\n") == "a"

    def between(self):
        """A node that got a file from another one knows how far that is, whatever their way to the hub."""
        f = self.f
        f.b.cable.say("delay 0")
        f.hub.cable.say("delay 40")

        def far():  # from the hub, all of them
            for name in "ab":
                self.runs("where: {name: %s}\n" % name)
            said = self.plan("hub")
            return all("up to 131" in said[n] for n in "ab")
        until(far, 60, "all are far from the hub")
        assert self.runs("near: x\n") == "b"
        f.hub.osier("node", "resume", "x")
        path = os.path.join(f.dir, "file")
        with open(path, "wb") as o:
            o.write(os.urandom(MIB))
        takes = "where: {name: %%s}\ninputs: {big: %s}\n" % path
        self.runs(takes % "x")
        f.hub.osier("node", "cordon", "x")
        until(lambda: "to be brought" not in f.hub.osier("plan", "-", input="name: t\ncommand: x\n" + takes % "x"), 20, "x has said what it has")
        self.runs(takes % "a")
        until(lambda: " from x" in self.plan("x")["a"] and BY_HUB not in self.plan("x")["a"], 20, "a has said how far x is")
        assert BY_HUB in self.plan("x")["b"], self.plan("x")
        assert self.runs("near: x\n") == "a"
        self.f.hub.osier("down")  # a fold, like all else
        self.f.hub.osier("up")
        until(lambda: sum(n["state"] == "up" for n in f.hub.json("nodes")["nodes"]) == 3, 30, "all are up again")
        assert self.runs("near: x\n") == "a"


def main():
    need_root()
    tap = Tap()
    with Fleet() as f:
        x = Near(f)
        tap.fact("a hub and three nodes of no site, one of them behind a slow cable", x.begin)
        tap.fact("near the hub is the node with the shorter way to it", x.hub)
        tap.fact("near another node is who has the shorter way by the hub, while nothing better is known", x.by_hub)
        tap.fact("and who got a file from there, when that showed that it is near", x.between)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
