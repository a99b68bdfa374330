# SPDX-License-Identifier: Apache-2.0
"""soak - a fleet at work while its machines, cables and brokers fail, for so long; then: was everything done, and once? Prints TAP.

soak.py [--seconds N] [--seed N] [--faults NAME,...]

Two sites with a line between them. North: a hub with its broker, a PostgreSQL with its record, two nodes; south: a machine that stands by for the hub, with
a broker of its own, a synchronous replica of the PostgreSQL, three nodes, of which one has a small disk and one cosigns the log of one in the north.
Jobs are submitted without end, under keys, at whichever machine is the hub; some take a file in and hand it on to a second step, on whatever
node. Their tasks write down that they ran. Faults come one after another, by the seed: each kind once before any comes again. At the end everything
heals, and the history that was seen from outside is held against the record by check_history.py. Needs root.
"""
import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import postgres  # noqa: E402
import record  # noqa: E402
from fleet import BUILD, Failed, Fleet, Tap, need_root, sh, until  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
RUN = """
      nonce=$(cat /proc/sys/kernel/random/uuid)
      echo "begin %%(key)s %(step)s/${task} ${node} $nonce $(date +%%%%s.%%%%N)" >> %%(ran)s
      %(what)s
      echo "end %%(key)s %(step)s/${task} ${node} $nonce $(date +%%%%s.%%%%N)" >> %%(ran)s
      echo $nonce
"""
JOB = """name: soak
labels: {key: %(key)s}
disconnect: {lost_after: 3s}
steps:
  main:
    array: %(tasks)d
    resources: {cpu: 0.25}
    retries: 0
    shell: |""" + RUN % {"step": "main", "what": "sleep %(sleep)s"}
# With a file that goes in and through, so that bulk bytes are on their way when things fail.
FILES = """name: soak
labels: {key: %(key)s}
disconnect: {lost_after: 3s}
steps:
  main:
    array: %(tasks)d
    resources: {cpu: 0.25}
    retries: 0
    inputs: {data: %(file)s}
    outputs: [copy]
    shell: |""" + RUN % {"step": "main", "what": "cp data copy"} + """
  take:
    array: %(tasks)d
    resources: {cpu: 0.25}
    retries: 0
    inputs: {copy: {from: main, output: copy}}
    shell: |""" + RUN % {"step": "take", "what": "echo '%(sha)s  copy' | sha256sum -c >&2 || exit 3"}
FILE_BYTES = 300000
LONG_S = 600  # some 22 kinds of fault, each once, take a few minutes
# What may make a task run again: faults of the node that ran it, and of what all stand on. No other does, but for what the hub says of its nodes meanwhile.
OF_A_NODE = ("cut", "one_way", "engine", "keeper", "power", "flap")
OF_ALL = ("sites", "bad_line", "hub_machine", "hub_cut")


class Soak:
    def __init__(self, args):
        self.random = random.Random(args.seed)
        self.fleet = Fleet(args.seed)
        os.chmod(self.fleet.dir, 0o711)
        self.going = self.watching = True
        self.lock = threading.Lock()
        self.history = open(os.path.join(self.fleet.dir, "history"), "w")
        self.ran = os.path.join(self.fleet.dir, "ran")
        open(self.ran, "w").close()
        os.chmod(self.ran, 0o666)
        self.acked = {}
        self.faults, self.kinds, self.longest = [], set(), 0

    def note(self, **what):
        with self.lock:
            self.history.write(json.dumps(dict(what, t=what.get("t", time.time()))) + "\n")
            self.history.flush()

    # ---- the machines ----

    def build(self):
        f = self.fleet
        self.hubs = [f.host("hub1", "north"), f.host("hub2", "south")]
        self.pg, self.replica = [postgres.Server(f.host(name, site)) for name, site in (("pg1", "north"), ("pg2", "south"))]
        self.nodes = [f.host(name, site) for name, site in (("n1", "north"), ("n2", "north"), ("s1", "south"), ("s2", "south"), ("s3", "south"))]
        self.small = f.s3
        sh("mount", "-t", "tmpfs", "-o", "size=160m,mode=700", "tmpfs", self.small.state)
        self.between = f.join("north", "south")
        for h in self.hubs + self.nodes:
            with open(os.path.join(h.state, "config.yaml"), "w") as c:
                c.write("name: %s\nlabels: {site: %s}\ncapacity: {cpu: 2}\n" % (h.name, h.site))

    def up(self, h):
        shadow = h.state + ".shadow"
        h.osier("up", LD_PRELOAD=BUILD + "/test/fleet/libpowercut.so", POWERCUT_DIR=h.state, POWERCUT_SHADOW=shadow)

    def line(self, *words):
        return [w.strip("'") for w in self.hubs[0].osier("hub", "token", *words).split() if "#" in w][-1]

    def begin(self):
        self.pg.first()
        self.replica.replica_of(self.pg)
        one, two = self.hubs
        one.osier("hub", "--record", "postgres://osier@%s,%s/postgres" % (self.pg.host.ip, self.replica.host.ip), "--address", one.ip, "--name", "plant")
        two.osier("hub", "--standby", self.line("--standby"), "--address", two.ip)
        for h in self.nodes:
            self.up(h)
            h.osier("join", self.line(), "--name", h.name)
        self.witness(self.fleet.n1, self.fleet.s1)

    def settle(self, h, ledger):
        """It runs with this beside what it had."""
        with open(os.path.join(h.state, "config.yaml"), "a") as c:
            c.write("ledger: %s\n" % ledger)
        h.osier("down")
        self.up(h)

    def witness(self, a, b):
        """The log of one node is cosigned by another, asked over HTTP."""
        a.osier("ledger", "publish")
        log = [x for x in a.osier("ledger", "policy").split("\n") if x.startswith("log ")][0]
        with open(os.path.join(b.state, "logs.policy"), "w") as o:
            o.write(log + "\nquorum none\n")
        self.settle(b, "{witness: logs.policy, listen: '%s:8700'}" % b.ip)
        b.osier("ledger", "publish")
        key = json.loads(b.run("curl", "-s", "-m", "5", "--unix-socket", b.state + "/api.sock", "http://osier/v1/witness"))["vkey"]
        with open(os.path.join(a.state, "trust.policy"), "w") as o:
            o.write("%s\nwitness w %s http://%s:8700\nquorum w\n" % (log, key, b.ip))
        self.settle(a, "{policy: trust.policy}")
        self.witnessed = a

    def role(self, h):
        """"hub", "standby", or None: it does not answer."""
        r = h.run("curl", "-s", "-m", "5", "--unix-socket", h.state + "/api.sock", "http://osier/v1/version", check=False)
        if r.returncode != 0:
            return None
        return "standby" if json.loads(r.stdout)["record"]["standby"] else "hub"

    def is_hub(self, h):
        return self.role(h) == "hub"

    def the_hub(self):
        """The machine that is the hub now, or None."""
        for h in self.hubs:
            if self.is_hub(h):
                return h
        return None

    def any_hub(self):
        return until(self.the_hub, 45, "one of the two machines is the hub")

    def other_hub(self, h):
        return self.hubs[1 - self.hubs.index(h)]

    def look_after(self, h):
        """Was it down, it stands by from now on."""
        if h.pids("osier-keeper"):
            return False
        h.osier("hub", "--standby")
        return True

    def covered(self):
        """The hub, when its standby has all its files. Until then it alone has some, and a machine that is lost takes them with it (docs/record.md)."""
        for h in self.hubs:
            r = h.run("curl", "-s", "-m", "5", "--unix-socket", h.state + "/api.sock", "http://osier/v1/hub", check=False)
            said = json.loads(r.stdout) if r.returncode == 0 and self.is_hub(h) else {}
            if said.get("standbys", 0) > said.get("standbys_lagging", 0):
                return h
        return None

    def covered_hub(self):
        def looked_after():
            for h in self.hubs:  # who was cut off may learn later that it was replaced
                self.look_after(h)
            return self.covered()

        # A question that was on its way as a line was cut is given up after 20 s, and asked again 15 s later.
        return until(looked_after, 120, "the standby has all files of the hub")

    def hubs_again(self):
        """One is the hub, and the other stands by: who was replaced does so when it is told to, by who looks after the machines."""

        def one_of_each():
            for h in self.hubs:
                self.look_after(h)
            return {self.role(h) for h in self.hubs} == {"hub", "standby"}

        until(one_of_each, 60, "one is the hub, the other stands by")

    def all_here(self):
        here = [n["name"] for n in self.any_hub().json("nodes")["nodes"] if n["state"] == "up"]
        return len(here) == 1 + len(self.nodes)

    def tell(self):
        """Who is where, for who has to find out why somebody is not here."""
        for h in self.hubs + self.nodes:
            try:
                said = h.osier("nodes", timeout=20)
            except (Failed, OSError, subprocess.TimeoutExpired) as e:
                said = "%s" % e
            log = os.path.join(h.state, "node.log")
            said += "".join(open(log, errors="replace").readlines()[-12:]) if os.path.exists(log) else ""
            for line in said.split("\n"):
                print("# %s: %s" % (h.name, line))

    # ---- work ----

    def submit(self, key, tasks):
        how = {"key": key, "tasks": tasks, "sleep": "0.%d" % self.random.randrange(10), "ran": self.ran}
        text, steps = JOB, {"main": tasks}
        if self.random.random() < 0.2:
            text, steps["take"] = FILES, tasks
            how["file"] = os.path.join(self.fleet.dir, "in-" + key)
            data = self.random.randbytes(FILE_BYTES)
            with open(how["file"], "wb") as o:
                o.write(data)
            how["sha"] = hashlib.sha256(data).hexdigest()
        text %= how
        self.note(what="submit", key=key, steps=steps)
        while True:
            for h in self.hubs:
                try:
                    job = h.osier("submit", "-q", "--key", key, "-", input=text, timeout=30).strip()
                    self.acked[key] = job
                    self.note(what="ack", key=key, job=job)
                    return
                except (Failed, subprocess.TimeoutExpired):
                    pass
            if not self.going:
                return
            time.sleep(0.2)

    def watch(self):
        """What the hub says of its nodes, as often as it says so."""
        said = {}
        while self.watching:
            try:
                now = {n["name"]: n["state"] for n in self.any_hub().json("nodes", timeout=10)["nodes"]}
            except (Failed, ValueError, KeyError, subprocess.TimeoutExpired):
                now = {}
            for h in self.hubs + self.nodes:
                state = now.get(h.name, "unknown")
                if said.get(h.name) != state:
                    said[h.name] = state
                    self.note(what="seen", node=h.name, state=state)
            time.sleep(0.3)

    def work(self):
        n = 0
        while self.going:
            self.submit("k%d" % n, self.random.choice([1, 2, 10, 40]))
            n += 1
            # The fleet runs some forty tasks a second of these.
            time.sleep(self.random.uniform(0.2, 1.0))

    # ---- faults ----

    def fault_cut(self, h):
        h.cable.say("cut")
        time.sleep(self.random.choice([0.5, 2, 6, 12]))
        h.cable.say("heal")

    def fault_one_way(self, h):
        h.cable.say(self.random.choice("<>") + " cut")
        time.sleep(self.random.choice([2, 8]))
        h.cable.say("heal")

    def fault_sites(self, _):
        self.between.say("cut")
        time.sleep(self.random.choice([1, 7]))
        self.between.say("heal")

    def fault_bad_line(self, _):
        self.between.say("delay 200 20")
        self.between.say("loss 20")
        time.sleep(self.random.choice([5, 10]))
        self.between.say("delay 0")
        self.between.say("loss 0")

    def fault_engine(self, h):
        h.kill("engine")

    def fault_hub_engine(self, _):
        self.any_hub().kill("engine")

    def fault_standby_engine(self, _):
        self.other_hub(self.any_hub()).kill("engine")

    def fault_broker(self, _):
        self.any_hub().kill("mosquitto")

    def taken_over(self, was, began):
        other, replaced = self.other_hub(was), []

        def took_over():
            if self.look_after(other):  # it was being replaced itself when the fault came: nobody was left to take over
                replaced.append(time.time())
            return self.is_hub(other)

        until(took_over, 60, "%s takes over from %s" % (other.name, was.name))
        took = time.time() - began
        if not replaced:
            self.longest = max(self.longest, took)
        print("# %s took over after %.1f s%s" % (other.name, took, ", and was down itself" if replaced else ""), flush=True)

    def fault_hub_machine(self, _):
        was, began = self.covered_hub(), time.time()
        was.die()
        self.note(what="fault", kind="hub_machine", node=was.name, t=began, until=time.time())
        self.taken_over(was, began)

    def fault_hub_cut(self, _):
        was, began = self.covered_hub(), time.time()
        was.cable.say("cut")
        try:
            if self.random.random() < 0.5:
                time.sleep(2)
            else:
                self.taken_over(was, began)
        finally:
            was.cable.say("heal")

    def fault_postgres(self, _):
        self.pg.kill()
        time.sleep(self.random.choice([0, 1, 3]))
        self.pg.start()

    def fault_replica(self, _):
        self.replica.kill()
        time.sleep(self.random.choice([0, 1, 3]))
        self.replica.start()

    def fault_full_disk(self, _):
        filler = os.path.join(self.small.state, "filler")
        with open(filler, "wb", 0) as f:
            try:
                while True:
                    f.write(bytes(1 << 16))
            except OSError:
                pass
        time.sleep(self.random.choice([2, 6]))
        if self.random.random() < 0.3:
            self.small.kill("engine")
            time.sleep(2)
        os.unlink(filler)

    def fault_keeper(self, h):
        h.kill("osier-keeper")
        until(lambda: not h.pids("engine"), 20, "the engine follows its keeper")
        self.up(h)

    def fault_power(self, h):
        h.power_cut()
        until(lambda: self.up(h) is None, 30, "%s is up again" % h.name)

    def fault_carrier(self, _):
        """Whoever carries bulk bytes just now; mostly a hub."""
        until(lambda: sum(h.kill_helper("carrier") for h in self.hubs + self.nodes) or not self.going, 60, "something is carried")

    def fault_messenger(self, _):
        until(lambda: self.witnessed.kill_helper("messenger") or not self.going, 60, "%s talks to its witness" % self.witnessed.name)

    def fault_promotion(self, _):
        """The database's machine is gone for good; the replica is the first from now on, and gets a new replica in the other's place."""
        self.pg.kill()
        self.replica.promote()
        self.pg, self.replica = self.replica, self.pg
        self.replica.empty()
        self.replica.replica_of(self.pg)

    def fault_flap(self, h):
        for _ in range(10):
            h.cable.say("cut")
            time.sleep(0.2)
            h.cable.say("heal")
            time.sleep(0.2)

    def hurt(self, names):
        kinds, left = names or [k[6:] for k in dir(self) if k.startswith("fault_")], []
        while self.going:
            if not left:
                left = self.random.sample(kinds, len(kinds))
            kind, h = left.pop(), self.random.choice(self.nodes)
            began = time.time()
            print("# %s %s" % (kind, h.name), flush=True)
            try:
                getattr(self, "fault_" + kind)(h)
            except (Failed, subprocess.TimeoutExpired) as e:
                self.faults.append("%s on %s: %s" % (kind, h.name, e))
            self.kinds.add(kind)
            whose = h.name if kind in OF_A_NODE else "*" if kind in OF_ALL else self.small.name if kind == "full_disk" else "-"
            self.note(what="fault", kind=kind, node=whose, t=began, until=time.time())
            try:
                self.hubs_again()
            except (Failed, subprocess.TimeoutExpired) as e:
                self.faults.append("after %s on %s: %s" % (kind, h.name, e))
            time.sleep(self.random.uniform(0.5, 3))

    # ---- the end ----

    def finish(self):
        for job in self.acked.values():
            self.any_hub().osier("wait", job, timeout=300, check=False)

    def record(self):
        count = record.write(self.any_hub(), os.path.join(self.fleet.dir, "record"), lambda number, name: "%s-%d" % (name, number))
        print("# committed: %s" % count)

    def cosigned(self):
        """What ran there last has a receipt that the other has cosigned."""
        h = self.witnessed
        job = h.osier("submit", "-q", "-", input="name: last\nshell: echo done\n").strip()
        h.osier("wait", job)
        h.osier("receipt", "--wait", "witnessed", job + "/main/0", "-o", os.path.join(self.fleet.dir, "last.tlog-proof"))

    def check(self):
        r = subprocess.run([sys.executable, HERE + "/check_history.py"] + [os.path.join(self.fleet.dir, x) for x in ("history", "ran", "record")],
                           stdout=subprocess.PIPE, text=True)
        print("# " + r.stdout.replace("\n", "\n# "))
        if r.returncode:
            raise Failed(r.stdout)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    p.add_argument("--faults", type=lambda s: s.split(","), default=[])
    args = p.parse_args()
    need_root()
    if not postgres.there():
        print("1..0 # SKIP PostgreSQL is not installed: tools/deps.sh check")
        return 0
    print("# SEED=%d %s --seconds %d" % (args.seed, sys.argv[0], args.seconds))
    tap, s = Tap(), Soak(args)
    try:
        s.build()
        tap.fact("a hub, one that stands by, two PostgreSQL, five nodes on two sites", s.begin)
        tap.fact("all of them are up within seconds", lambda: until(s.all_here, 15, "all nodes up"))
        threads = [threading.Thread(target=s.work), threading.Thread(target=s.hurt, args=(args.faults,))]
        watch = threading.Thread(target=s.watch)
        for t in [*threads, watch]:
            t.start()
        time.sleep(args.seconds)
        s.going = False
        for t in threads:
            t.join()
        tap.fact("what was done to them could be done: %s" % (s.faults or "yes"), not s.faults)
        if args.seconds >= LONG_S and not args.faults:
            tap.fact("every kind of fault was among them", s.kinds == {k[6:] for k in dir(s) if k.startswith("fault_")})
        tap.fact("all are up again", lambda: until(s.all_here, 90, "all nodes up"))
        if tap.bad:
            s.tell()
        if not tap.bad or s.the_hub():
            tap.fact("what was acknowledged comes to its end", s.finish)
            s.watching = False
            watch.join()
            tap.fact("the record can be read", s.record)
            tap.fact("no work was lost, none doubled", s.check)
            tap.fact("%s has its log cosigned" % s.witnessed.name, s.cosigned)
        if s.longest:
            tap.fact("a hub's machine was missed for %.1f s at most" % s.longest, s.longest < 10)
        for h in [s.the_hub() or s.hubs[0]] + s.nodes:
            tap.fact("the log of %s is whole" % h.name, lambda h=h: h.osier("ledger", "audit"))
    finally:
        s.going = s.watching = False
        if os.environ.get("KEEP"):
            subprocess.run(["cp", "-a", s.fleet.dir, os.environ["KEEP"]])
        for p in (s.pg, s.replica):
            p.kill()
        s.fleet.close()
        sh("umount", s.small.state, check=False)
        s.fleet.remove()
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
