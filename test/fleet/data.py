# SPDX-License-Identifier: Apache-2.0
"""data - what tasks on nodes take in and leave: outputs of earlier steps, files, and how often they cross which cable. Prints TAP. Needs root."""
import hashlib
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Failed, Fleet, Tap, need_root, until  # noqa: E402

MIB = 1 << 20

# Small and large outputs, of the task with the same number and of a whole step, as files and as stdin; a reduction of all and a tree.
CHAIN = """name: chain
steps:
  make:
    array: 12
    resources: {cpu: 0.5}
    outputs: [large]
    shell: |
      echo $((${task} * ${task}))
      head -c 200000 /dev/zero | tr '\\0' $(printf %x ${task}) > large
  all: {resources: {cpu: 0.5}, after: make, shell: 'echo seven'}
  take:
    array: 12
    resources: {cpu: 0.5}
    inputs: {n: {from: make}, big: {from: make, output: large}, seven: {from: all}}
    stdin: {from: make}
    shell: |
      read same
      test $same = $(cat n) || exit 3
      echo $(cat n seven) $(sha256sum < big | cut -c1-64) on ${node}
  sum: {reduce: make, resources: {cpu: 0.5}, shell: 'cat $OSIER_INPUTS | paste -sd+ | bc; echo ${node} >&2'}
  tree: {reduce: {of: make, associative: true, fan_in: 3}, resources: {cpu: 0.5}, shell: 'cat $OSIER_INPUTS | paste -sd+ | bc; echo ${node} >&2'}
"""
# More small outputs than a message takes: 600 of 1,000 bytes.
MANY = """name: many
steps:
  make: {array: 600, resources: {cpu: 0.1}, shell: 'head -c 990 /dev/zero | tr "\\\\0" x; echo; echo ${task}'}
  all: {reduce: make, resources: {cpu: 0.5}, shell: 'cat $OSIER_INPUTS | wc -c; cat $OSIER_INPUTS | grep -v x | sort -n | uniq | wc -l; echo ${node} >&2'}
"""


# The first takes its time to send what it made.
LARGE = """name: large
disconnect: {lost_after: 2s}
steps:
  make: {resources: {cpu: 1.5}, outputs: [big], shell: 'head -c 8000000 /dev/zero | tr "\\0" q > big; echo ${node} >> %(dir)s/made'}
  take: {resources: {cpu: 0.5}, inputs: {big: {from: make, output: big}}, shell: 'sha256sum < big | cut -c1-64'}
"""


SHARED = """name: shared
array: 10
where: {name: %(node)s}
resources: {cpu: 0.5}
inputs: {big: %(file)s}
shell: 'sha256sum < big | cut -c1-64'
"""


# Holds the places of b until there is a file of that name.
BUSY = """name: busy
where: {name: b}
resources: {cpu: %(cpu)s}
shell: 'while [ ! -e %(dir)s/%(go)s ]; do sleep 0.1; done'
"""
NEXT = """name: next
where: {name: b}
resources: {cpu: %(cpu)s}
inputs: {big: %(file)s}
shell: 'date +%%s.%%N; sha256sum < big | cut -c1-64'
"""


class Data:
    def __init__(self, f):
        self.f = f

    def begin(self):
        f = self.f
        f.begin(lambda name: "labels: {site: %s}\n" % ("home" if name == "hub" else "far"), hub=0.001, a=2, b=2)
        for h in f.a, f.b:
            h.joins(f.hub)
        until(lambda: all(n["state"] == "up" for n in f.hub.json("nodes")["nodes"]), 20, "all are up")

    def submit(self, text):
        return self.f.hub.osier("submit", "-q", "-", input=text).strip()

    def done(self, job, seconds=60):
        r = self.f.hub.osier("wait", job, timeout=seconds, check=False)
        if r.returncode:
            raise Failed(r.stdout + r.stderr + self.f.hub.osier("why", job, check=False).stdout[:1500] + self.f.hub.osier("why", job + "/take/0", check=False).stdout[:1500])

    def output(self, task, *more):
        return self.f.hub.osier("logs", task, *more)

    def chain(self):
        job = self.submit(CHAIN)
        self.done(job, 90)
        for i in range(12):
            got = self.output("%s/take/%d" % (job, i)).split()
            want = hashlib.sha256((b"%x" % i)[:1] * 200000).hexdigest()
            assert got[:3] == [str(i * i), "seven", want] and got[4] in "ab", got
        for step in "sum", "tree/6":
            got = self.output("%s/%s" % (job, step)).split()
            assert got == ["506"], (step, got)
            got = self.output("%s/%s" % (job, step), "--stream", "stderr").split()
            assert got[0] in "ab", (step, got)

    def many(self):
        job = self.submit(MANY)
        self.done(job, 90)
        got = self.output(job + "/all").split()
        assert got == ["%d" % (600 * 991 + 10 * 2 + 90 * 3 + 500 * 4), "600"], got

    def lost_copy(self):
        """The machine that has the only copy goes away."""
        f = self.f
        for c in f.a.cable, f.b.cable:
            c.say("rate 8000")
        job = self.submit(LARGE % {"dir": f.dir})
        where = until(lambda: open(f.dir + "/made").read().split(), 20, "it ran")[0]
        f.hosts[where].cable.say("cut")
        for c in f.a.cable, f.b.cable:
            c.say("rate 0")
        self.done(job, 90)
        assert self.output(job + "/take").split() == [hashlib.sha256(b"q" * 8000000).hexdigest()]
        assert sorted(open(f.dir + "/made").read().split()) == ["a", "b"], open(f.dir + "/made").read()
        f.hosts[where].cable.say("heal")
        until(lambda: all(n["state"] == "up" for n in f.hub.json("nodes")["nodes"]), 30, "all are up again")

    def blob(self, name, size):
        """A file of random bytes; its path, and what its SHA-256 is."""
        path = os.path.join(self.f.dir, name)
        with open(path, "wb") as o:
            o.write(os.urandom(size))
        return path, hashlib.sha256(open(path, "rb").read()).hexdigest()

    def crossed(self, what):
        """What it does, and the bytes that came to each host meanwhile, and from it."""
        hosts = self.f.hosts.values()
        before = {h.name: h.cable.count() for h in hosts}
        what()
        after = {h.name: h.cable.count() for h in hosts}
        return {n: (after[n][3] - before[n][3], after[n][1] - before[n][1]) for n in after}

    def on(self, node, path, sha):
        job = self.submit(SHARED % {"node": node, "file": path})
        self.done(job)
        assert all(self.output("%s/main/%d" % (job, i)).split() == [sha] for i in range(10))

    def once(self):
        self.path, self.sha = self.blob("shared", 8 * MIB)
        got = self.crossed(lambda: self.on("a", self.path, self.sha))
        assert 8 * MIB < got["a"][0] < 9.5 * MIB, got
        assert 8 * MIB < got["hub"][1] < 9.5 * MIB, got

    def neighbour(self):
        until(lambda: self.f.hub.json("nodes"), 5, "the hub answers")
        time.sleep(2)
        got = self.crossed(lambda: self.on("b", self.path, self.sha))
        assert 8 * MIB < got["b"][0] < 9.5 * MIB, got
        assert 8 * MIB < got["a"][1] < 9.5 * MIB, got
        assert got["hub"][1] < 1 * MIB, got

    def there_first(self):
        """Placement knows where a file lies: the node that has it is taken, though another comes first."""
        made = "name: made\nwhere: {name: b}\noutputs: [big]\nshell: 'head -c 4194304 /dev/zero | tr \"\\0\" y > big'\n"
        self.done(self.submit(made))
        path = os.path.join(self.f.dir, "made-by-b")  # the same bytes: no lease that took them has told the hub who has them
        with open(path, "wb") as o:
            o.write(b"y" * 4 * MIB)
        time.sleep(3)
        text = "name: near\nresources: {cpu: 0.5}\ninputs: {big: %s}\nshell: echo ${node}\n" % path
        plan = self.f.hub.osier("plan", "-", input=text)
        assert "a: has room; 4 MiB of inputs are to be brought there" in plan and "b: has room\n" in plan, plan
        job = self.submit(text)
        self.done(job)
        assert self.output(job + "/main").split() == ["b"]

    def together(self):
        """Two nodes of a far site begin at once with a file that neither has: it comes there once."""
        path, sha = self.blob("together", 8 * MIB)
        for c in self.f.a.cable, self.f.b.cable:
            c.say("rate 40000")
        text = "name: both\narray: 2\nresources: {cpu: 1.5}\ninputs: {big: %s}\nshell: 'sha256sum < big | cut -c1-64; echo ${node}'\n" % path

        def go():
            job = self.submit(text)
            self.done(job)
            got = [self.output("%s/main/%d" % (job, i)).split() for i in range(2)]
            assert [g[0] for g in got] == [sha, sha] and sorted(g[1] for g in got) == ["a", "b"], got
        got = self.crossed(go)
        for c in self.f.a.cable, self.f.b.cable:
            c.say("rate 0")
        assert 8 * MIB < got["hub"][1] < 10 * MIB, got
        assert got["a"][1] + got["b"][1] > 8 * MIB, got

    def cut(self):
        """A cable that breaks in the middle, three times: what came is not asked for again."""
        path, sha = self.blob("cut", 8 * MIB)
        b = self.f.b.cable
        b.say("rate 12000")

        def go():
            job = self.submit(SHARED % {"node": "b", "file": path})
            start = b.count()[3]
            for part in 1, 2, 3:
                until(lambda: b.count()[3] - start > part * 2 * MIB, 30, "part %d came" % part)
                b.say("cut")
                time.sleep(1)
                b.say("heal")
            b.say("rate 0")
            self.done(job, 90)
            assert self.output(job + "/main/9").split() == [sha]
        got = self.crossed(go)
        assert 8 * MIB < got["b"][0] < 10 * MIB, got

    def gone_neighbour(self):
        """The neighbour goes away while it gives: the hub gives what is missing, and only that."""
        path, sha = self.blob("gone", 16 * MIB)
        self.on("a", path, sha)
        time.sleep(3)
        a = self.f.a.cable
        a.say("rate 24000")

        def go():
            job = self.submit(SHARED % {"node": "b", "file": path})
            start = a.count()[1]
            until(lambda: a.count()[1] - start > 6 * MIB, 30, "it gives")
            a.say("cut")
            self.done(job, 90)
            assert self.output(job + "/main/9").split() == [sha]
        got = self.crossed(go)
        a.say("rate 0")
        a.say("heal")
        assert 16 * MIB < got["b"][0] < 18.5 * MIB, got
        assert 6 * MIB < got["hub"][1] < 12 * MIB, got
        until(lambda: all(n["state"] == "up" for n in self.f.hub.json("nodes")["nodes"]), 30, "all are up again")

    def swept(self):
        """The neighbour does not have it any more, and has not said so: the hub gives it."""
        path, sha = self.blob("swept", 4 * MIB)
        self.on("a", path, sha)
        time.sleep(3)
        os.unlink(os.path.join(self.f.a.state, "blobs", sha[:2], sha[2:]))
        got = self.crossed(lambda: self.on("b", path, sha))
        assert got["hub"][1] > 4 * MIB and got["a"][1] < MIB, got

    def config(self, name, link):
        """Another line `link` in the node's configuration, from now on."""
        h = self.f.hosts[name]
        path = os.path.join(h.state, "config.yaml")
        lines = [w for w in open(path) if not w.startswith("link:")]
        with open(path, "w") as c:
            c.write("".join(lines) + ("link: {%s}\n" % link if link else ""))
        h.osier("down")
        h.osier("up")
        until(lambda: all(n["state"] == "up" for n in self.f.hub.json("nodes")["nodes"]), 30, "all are up again")

    def used(self, name):
        return [n["link"]["used"] for n in self.f.hub.json("nodes")["nodes"] if n["name"] == name][0]

    def with_file(self, name, size, where=None):
        path, _ = self.blob(name, size)
        return self.submit("name: %s\n%sresources: {cpu: 0.5}\ninputs: {big: %s}\nshell: 'wc -c < big; echo ${node}'\n" % (
            name, "where: {name: %s}\n" % where if where else "", path))

    def waits_for_link(self, job, *words):
        def said():
            why = self.f.hub.osier("why", job)
            if not all(w in why for w in words):
                raise Failed(why)
            return True
        until(said, 20, "%s waits for the link" % job)

    def budget(self):
        """What fits goes over a link with a budget; what does not goes elsewhere, or waits."""
        self.config("a", "bytes: 12MiB, per: 100d")

        def fits():
            self.done(self.with_file("fits", 8 * MIB, "a"))
        got = self.crossed(fits)
        assert 8 * MIB < got["a"][0] < 9.5 * MIB, got
        assert 8 * MIB <= self.used("a") < 8 * MIB + 1000, self.used("a")

        def too_much():
            job = self.with_file("elsewhere", 8 * MIB)
            self.done(job)
            assert self.output(job + "/main").split() == [str(8 * MIB), "b"]
            self.late = self.with_file("late", 8 * MIB, "a")
            self.waits_for_link(self.late, "8 MiB of its inputs are elsewhere, and ", " may come over its link for the next ", "link.bytes")
            job = self.with_file("small", MIB, "a")
            self.done(job)
        got = self.crossed(too_much)
        assert MIB < got["a"][0] < 2.5 * MIB, got

    def budget_outputs(self):
        """What a task leaves crosses the link as well, and what comes after it finds less."""
        before = self.used("a")

        def leave():
            self.done(self.submit("name: leave\nwhere: {name: a}\noutputs: [big]\nshell: head -c 2500000 /dev/urandom > big\n"))
        got = self.crossed(leave)
        assert got["a"][1] > 2500000, got
        assert 2500000 <= self.used("a") - before < 2501000, (before, self.used("a"))
        self.left = self.with_file("left", MIB, "a")
        self.waits_for_link(self.left, "1 MiB of its inputs are elsewhere, and ", "may come over its link")
        self.done(self.submit("name: nothing\nwhere: {name: a}\nshell: echo ${node}\n"))  # what takes nothing in is not held back
        self.f.hub.osier("down")  # a fold of the journal, or of a snapshot: both know it
        self.f.hub.osier("up")
        until(lambda: all(n["state"] == "up" for n in self.f.hub.json("nodes")["nodes"]), 30, "all are up again")
        assert 2500000 <= self.used("a") - before < 2501000, (before, self.used("a"))
        self.waits_for_link(self.left, "1 MiB of its inputs are elsewhere, and ", "may come over its link")

        def more():
            self.config("a", "bytes: 64MiB, per: 100d")
            self.done(self.late)
            self.done(self.left)
        got = self.crossed(more)
        assert 9 * MIB < got["a"][0] < 11 * MIB, got

    def budget_hours(self):
        """Only at its hours; what takes nothing that is elsewhere goes at any."""
        hour = time.gmtime().tm_hour
        self.config("a", "hours: %02d-%02d" % ((hour + 6) % 24, (hour + 8) % 24))
        job = self.with_file("night", 4 * MIB, "a")
        self.waits_for_link(job, "4 MiB of its inputs are elsewhere, and nothing may come over its link for the next ", "link.hours")
        got = self.crossed(lambda: self.done(self.submit(
            "name: there\nwhere: {name: a}\ninputs: {big: %s}\nshell: wc -c < big\n" % os.path.join(self.f.dir, "fits"))))
        assert got["a"][0] < MIB, got
        self.config("a", "hours: %02d-%02d" % ((hour + 23) % 24, (hour + 3) % 24))
        self.done(job)
        self.config("a", None)

    def busy(self, go, cpu):
        """A job that holds so much of b until self.go(go); it runs."""
        job = self.submit(BUSY % {"dir": self.f.dir, "go": go, "cpu": cpu})
        until(lambda: '"running"' in self.f.hub.osier("tasks", job, "--json"), 20, "the place is taken")
        return job

    def go(self, name):
        open(os.path.join(self.f.dir, name), "w").close()
        return time.time()

    def next(self, path, cpu):
        return self.submit(NEXT % {"cpu": cpu, "file": path})

    def began(self, job, sha):
        """When its task began, by its own word; what it took in is what it should have."""
        self.done(job, 90)
        got = self.output(job + "/main").split()
        assert got[1:] == [sha], got
        return float(got[0])

    def has(self, h, sha):
        return os.path.exists(os.path.join(h.state, "blobs", sha[:2], sha[2:]))

    def ahead(self):
        """A node whose place is taken gets the next task's file meanwhile: it crosses once, and the task begins at once."""
        path, sha = self.blob("ahead", 8 * MIB)
        b = self.f.b.cable

        def go():
            self.busy("go-ahead", 2)
            b.say("rate 8000")
            start = b.count()[3]
            job = self.next(path, 2)
            until(lambda: b.count()[3] - start > 8 * MIB, 40, "it comes while the place is taken")
            until(lambda: self.has(self.f.b, sha), 20, "it is there")
            at = self.go("go-ahead")
            wait = self.began(job, sha) - at
            assert wait < 4, "it began %.1f s after its place was free; the file takes 8.4" % wait
        got = self.crossed(go)
        b.say("rate 0")
        assert 8 * MIB < got["b"][0] < 9.5 * MIB, got

    def ahead_joined(self):
        """Its lease comes while the file is on its way, just when that gave way to another lease's: it is waited for all the same."""
        path, sha = self.blob("joined", 8 * MIB)
        path2, sha2 = self.blob("small", 20000)
        b = self.f.b.cable

        def go():
            self.busy("go-joined", 2)
            b.say("rate 8000")
            start = b.count()[3]
            job2, job = self.next(path2, 0.5), self.next(path, 1.5)
            until(lambda: b.count()[3] - start > 3 * MIB, 40, "it is on its way")
            self.go("go-joined")
            self.began(job2, sha2)
            self.began(job, sha)
        got = self.crossed(go)
        b.say("rate 0")
        assert 8 * MIB < got["b"][0] < 9.5 * MIB, got

    def ahead_gives_way(self):
        """What a lease needs goes first; what was on its way ahead goes on after it, where it was, and over a cable that breaks."""
        path, sha = self.blob("idly", 10 * MIB)
        path2, sha2 = self.blob("needed", 4 * MIB)
        b = self.f.b.cable

        def go():
            self.busy("go-way", 1.5)
            b.say("rate 8000")
            start = b.count()[3]
            job = self.next(path, 1)
            until(lambda: b.count()[3] - start > 3 * MIB, 40, "it is on its way")
            needed = b.count()[3]
            job2 = self.next(path2, 0.5)
            until(lambda: self.has(self.f.b, sha2), 40, "what is needed comes")
            assert b.count()[3] - needed < 6 * MIB, "what is needed had to share the cable"
            self.began(job2, sha2)
            until(lambda: b.count()[3] - start > 9 * MIB, 40, "it goes on")
            b.say("cut")
            time.sleep(1)
            b.say("heal")
            until(lambda: self.has(self.f.b, sha), 60, "it is there")
            self.go("go-way")
            self.began(job, sha)
        got = self.crossed(go)
        b.say("rate 0")
        assert 14 * MIB < got["b"][0] < 16.5 * MIB, got

    def strangers(self):
        """Who has no ticket gets nothing, with whatever certificate; nobody is taken for a neighbour who is none."""
        f = self.f
        at = "https://%s:7444/v1/blobs/%s" % (f.a.ip, self.sha)
        mine = ["--cert", f.b.state + "/parent/client.crt", "--key", f.b.state + "/parent/client.key"]

        def ask(*more):
            return f.b.run("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", *more, at, check=False).stdout
        assert ask() == "403", "without a certificate"
        assert ask(*mine) == "403", "without a ticket"
        assert ask(*mine, "-H", "Osier-Ticket: b3NpZXIgdGlja2V0IDEK") == "403", "with a ticket that is none"
        assert ask(*mine, "-X", "POST", "-d", "x") in ("000", "403", "400"), "with something to say"


def main():
    need_root()
    tap = Tap()
    with Fleet() as f:
        x = Data(f)
        tap.fact("a hub and two nodes", x.begin)
        tap.fact("what one step leaves the next one finds, on whatever node", x.chain)
        tap.fact("six hundred small outputs go to one task", x.many)
        tap.fact("a machine with the only copy of an output goes away: it is made again", x.lost_copy)
        tap.fact("a file that ten tasks of a node take crosses its cable once", x.once)
        tap.fact("a node gets it from its neighbour, not from the hub", x.neighbour)
        tap.fact("who shows no ticket gets nothing from a neighbour", x.strangers)
        tap.fact("a task goes to the node that said it has its file", x.there_first)
        tap.fact("two nodes of a site begin at once: the file crosses the hub's cable once", x.together)
        tap.fact("a fetch goes on where its cable was cut", x.cut)
        tap.fact("a neighbour goes away in the middle: the hub gives the rest", x.gone_neighbour)
        tap.fact("a neighbour has it no more: the hub gives it", x.swept)
        tap.fact("a link with a budget: what does not fit goes elsewhere, or waits and says so", x.budget)
        tap.fact("outputs count in it", x.budget_outputs)
        tap.fact("files cross a link at its hours only", x.budget_hours)
        tap.fact("the next task's file comes while the place is taken, once, and the task begins at once", x.ahead)
        tap.fact("a lease waits for the file that is on its way already", x.ahead_joined)
        tap.fact("what is needed goes before what comes ahead, which goes on after it", x.ahead_gives_way)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
