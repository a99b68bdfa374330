# SPDX-License-Identifier: Apache-2.0
"""run - the table of speeds: `bench/run.sh [ID]`, what `make bench` and `make bench ONLY=ID` call.

A row measures osier beside its reference and its peers in turns, so that all see the same machine, and takes the median of
each. It has a node of its own on a fresh folder of a real disk. A row that cannot be measured says why and is not met.
bench/results.json holds a list of {id, what, ours, unit, reference, reference_value, ratio, target, met} (with `peers` and
`runs` beside); ONLY replaces its own rows there. $OSIER_BENCH_DIR: where the nodes live (/var/tmp).
"""
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from node import Failed, Fleet, Hub, Node, Peak, memory, switches

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(os.path.dirname(HERE), os.environ.get("B", "build"))
DISK = os.environ.get("OSIER_BENCH_DIR", "/var/tmp")
DRIVE = os.path.join(BUILD, "bench", "bench-drive")
CPUS = len(os.sched_getaffinity(0))
ROWS = {}
median = statistics.median


def row(*ids):
    def add(f):
        for i in ids:
            ROWS[i] = f
        f.ids = ids
        return f
    return add


def tool(*argv):
    """What a program of the bench measured: its one line of JSON."""
    p = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=300)
    if p.returncode:
        raise Failed("%s: %s" % (os.path.basename(str(argv[0])), p.stderr.strip() or p.returncode))
    return json.loads(p.stdout.strip().splitlines()[-1])


def drive(*args):
    return tool(DRIVE, *args)


def result(id_, what, ours, unit, target, met, reference=None, value=None, peers=None, runs=1):
    """`target` says of what; the reference is what ours is divided by."""
    return {"id": id_, "what": what, "ours": ours, "unit": unit, "reference": reference, "reference_value": value,
            "ratio": ours / value if value else None, "target": target, "met": bool(met), "peers": peers or {}, "runs": runs}


def fresh():
    return Node(BUILD, DISK)


# ---- rows ----

@row("process-tasks")
def process_tasks():
    n, rounds = 1500, 7
    ours, bare, xargs, parallel = [], [], [], []
    with fresh() as node:
        node.run({"name": "warm", "command": ["true"], "array": 100}, 100)
        for _ in range(rounds):
            bare.append(drive("spawn", n, CPUS, "true")["tasks_per_s"])
            ours.append(node.run({"name": "true", "command": ["true"], "array": n}, n)[1])
            xargs.append(timed("seq %d | xargs -P%d -n1 true" % (n, CPUS), n))
        for _ in range(3):
            parallel.append(timed("seq 200 | parallel -j%d true" % CPUS, 200))
    o, b = median(ours), median(bare)
    return [result("process-tasks", "process tasks, output captured, durable", o, "tasks/s", "ratio >= 0.90", o / b >= 0.90,
                   "posix_spawn and wait, %d at once" % CPUS, b,
                   {"xargs -P%d" % CPUS: median(xargs), "GNU parallel": median(parallel)}, rounds)]


def timed(command, n):
    t = time.perf_counter()
    subprocess.run(command, shell=True, check=True, stdin=subprocess.DEVNULL)
    return n / (time.perf_counter() - t)


def worker_job(name, function, tasks, **more):
    return {"name": name, "array": tasks, "worker": {"command": [os.path.join(BUILD, "bench", "bench-noop")],
                                                     "function": function}, **more}


@row("worker-tasks", "worker-tasks-out")
def worker_tasks():
    n, rounds = 1000000, 5
    empty, out, gearman, dask = [], [], [], []
    with fresh() as node, Gearman() as g:
        for i in range(rounds):
            if i < 3:
                gearman.append(g.run(10000))
                dask.append(tool("/usr/bin/python3", os.path.join(HERE, "peer_dask.py"), 3000)["tasks_per_s"])
            none, rate = node.run(worker_job("noop", "noop", n), n)
            empty.append(rate)
            eight, rate = node.run(worker_job("number", "number", n), n)
            out.append(rate)
        os.kill(node.engine, signal.SIGKILL)  # durable: all of it must be there without the engine that ran it
        for job in none, eight:
            _, there = node.until_answers("/v1/jobs/%d" % job)
            if there["counts"]["succeeded"] != n:
                raise Failed("after kill -9 only %d of %d results are there" % (there["counts"]["succeeded"], n))
        for index in range(0, n, n // 50 - 1):
            check_task(node, none, index)
            check_task(node, eight, index)
            check_number(node, eight, index)
    o, w, g = median(empty), median(out), median(gearman)
    peers = {"Dask distributed": median(dask)}
    return [result("worker-tasks", "no-op worker tasks, each result durable and queryable", o, "tasks/s",
                   "ours >= 300000", o >= 300000, "gearmand (not durable)", g, peers, rounds),
            result("worker-tasks-out", "the same, each with a result of its own of 8 bytes", w, "tasks/s",
                   "ours >= 300000", w >= 300000, "gearmand (not durable, no result)", g, peers, rounds)]


def check_number(node, job, index):
    text = node.bytes("/v1/jobs/%d/tasks/main/%d/output/stdout" % (job, index))
    if text != b"%08x" % index:
        raise Failed("the result of task %d of job %d is %r" % (index, job, text[:40]))


def check_task(node, job, index):
    task = node.get("/v1/jobs/%d/tasks/main/%d" % (job, index))
    if task["state"] != "succeeded" or task["index"] != index or len(task["attempts"]) != 1:
        raise Failed("task %d of job %d is not as it should be: %s" % (index, job, json.dumps(task)[:300]))


class Gearman:
    """gearmand with a worker for each core, on a free port."""

    def __enter__(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.dir = tempfile.TemporaryDirectory()
        peer = os.path.join(BUILD, "bench", "bench-peer-gearman")
        if not os.path.exists(peer):
            raise Failed("%s is not built: libgearman was not there when meson set up; run 'meson setup --reconfigure'" % peer)
        self.all = [subprocess.Popen(["gearmand", "-L", "127.0.0.1", "-p", str(self.port), "-l",
                                      os.path.join(self.dir.name, "log")], cwd=self.dir.name)]
        until = time.monotonic() + 20
        while True:  # it has no way to say that it listens
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError as e:
                if time.monotonic() > until:
                    raise Failed("gearmand does not listen") from e
                time.sleep(0.01)
        self.all += [subprocess.Popen([peer, "worker", str(self.port)]) for _ in range(CPUS)]
        self.peer = peer
        return self

    def run(self, n):
        return tool(self.peer, "client", self.port, n)["tasks_per_s"]

    def __exit__(self, *_):
        for p in reversed(self.all):
            p.kill()
            p.wait()
        self.dir.cleanup()


@row("submit-one")
def submit_one():
    rounds = 11
    ours, bare = [], []
    with fresh() as node:
        drive("submit-one", node.socket, 50)
        for _ in range(rounds):
            bare.append(drive("fsync", node.dir, 300)["p50_ns"] / 1e3)
            ours.append(drive("submit-one", node.socket, 300)["p50_ns"] / 1e3)
    o, b = median(ours), median(bare)
    return [result("submit-one", "durable submit, one client, p50", o, "us", "ratio <= 1.5", o / b <= 1.5,
                   "4 KiB write + fdatasync", b, None, rounds)]


@row("submit-64", "submit-64x100")
def submit_64():
    rounds = 5
    one, many, bare = [], [], []
    with fresh() as node:
        for _ in range(rounds):
            bare.append(1e9 / drive("fsync", node.dir, 300)["p50_ns"])
            one.append(drive("submit", node.socket, 64, 1, 6000)["jobs_per_s"])
            many.append(drive("submit", node.socket, 64, 100, 400)["jobs_per_s"])
        check_jobs(node, rounds * (6000 + 40000))
    o, m, b = median(one), median(many), median(bare)
    ref = "4 KiB write + fdatasync, one at a time"
    return [result("submit-64", "durable submits, 64 clients, one job a request", o, "jobs/s", "ours >= 8000", o >= 8000,
                   ref, b, None, rounds),
            result("submit-64x100", "durable submits, 64 clients, 100 jobs a request", m, "jobs/s", "ours >= 40000",
                   m >= 40000, ref, b, None, rounds)]


def check_jobs(node, n):
    newest = node.get("/v1/jobs?limit=1")["jobs"][0]["job"]
    if newest != n:
        raise Failed("%d jobs were submitted, the newest is number %d" % (n, newest))


@row("submit-array")
def submit_array():
    rounds, ours = 5, []
    for _ in range(rounds):
        with fresh() as node:  # the first array of a node pays for its memory, too
            ours.append(drive("submit-array", node.socket, 1000000)["ns"] / 1e6)
    o = median(ours)
    return [result("submit-array", "submit of an array of 1,000,000 tasks", o, "ms", "ours <= 50", o <= 50, None, None,
                   {"slowest": max(ours)}, rounds)]


@row("start-p99")
def start_p99():
    rounds, p50, p99 = 5, [], []
    with fresh() as node:
        drive("start", node.socket, 20, DRIVE)
        for _ in range(rounds):
            r = drive("start", node.socket, 300, DRIVE)
            p50.append(r["p50_ns"] / 1e6)
            p99.append(r["p99_ns"] / 1e6)
    o = median(p99)
    return [result("start-p99", "from submit to the process running, idle node, p99", o, "ms", "ours <= 3", o <= 3, None, None,
                   {"p50": median(p50)}, rounds)]


def recovery(id_, what, function):
    rounds, jobs, each = 3, 10, 100000
    ours = []
    with fresh() as node:
        for _ in range(jobs):
            node.run(worker_job("finished", function, each), each)
        for _ in range(jobs):
            last = node.submit(worker_job("waiting", function, each, hold=True))
        for _ in range(rounds):
            os.kill(node.get("/v1/version")["pid"], signal.SIGKILL)
            t, _ = node.until_answers("/v1/jobs/%d" % last)
            ours.append(t)
            for j in range(1, 2 * jobs + 1):
                c = node.get("/v1/jobs/%d" % j)["counts"]
                if c["succeeded"] != (each if j <= jobs else 0) or c["total"] != each:
                    raise Failed("job %d came back wrong: %s" % (j, c))
            for j in range(1, jobs + 1 if function == "number" else 0):
                check_number(node, j, each - j)
    o = median(ours)
    return [result(id_, what, o, "s", "ours <= 2", o <= 2, None, None, {"slowest": max(ours)}, rounds)]


@row("recovery")
def recovery_empty():
    return recovery("recovery", "after kill -9, 1,000,000 finished and 1,000,000 waiting tasks", "noop")


@row("recovery-out")
def recovery_out():
    return recovery("recovery-out", "the same, each finished one with a result of its own of 8 bytes", "number")


@row("memory", "memory-idle")
def memory_rows():
    n, rounds = 1000000, 3
    per, rss, anonymous = [], [], []
    for _ in range(rounds):
        with fresh() as node:
            node.run({"name": "warm", "command": ["true"]}, 1)
            time.sleep(1)
            r, a = memory(node.pids())
            rss.append(r / 1e6)
            anonymous.append(a / 1e6)
            node.ask("POST", "/v1/nodes/%s/drain" % node.get("/v1/version")["node"])
            node.submit({"name": "small", "command": ["true"], "array": 10})
            before = memory(node.pids())[0]
            job = node.submit({"name": "wait", "command": ["true"], "array": n})
            c = node.get("/v1/jobs/%d" % job)["counts"]
            time.sleep(0.5)
            if c["ready"] != n:
                raise Failed("not waiting: %s" % c)
            per.append((memory(node.pids())[0] - before) / n)
    p, r, a = median(per), median(rss), median(anonymous)
    return [result("memory", "memory per waiting array task (array of 1,000,000)", p, "bytes", "ours <= 32", p <= 32,
                   runs=rounds),
            result("memory-idle", "RSS of an idle node (keeper + engine), anonymous beside", r, "MB",
                   "ours <= 16, anonymous <= 4", r <= 16 and a <= 4, None, None, {"anonymous": a}, rounds)]


def until_published(node):
    """Its ledger has nothing left to sign: not what a first job leaves (keys, results), nor what that leaves (receipts)."""
    while True:
        node.ask("POST", "/v1/ledger/publish")
        before = node.get("/v1/ledger")
        node.ask("POST", "/v1/ledger/publish")
        after = node.get("/v1/ledger")
        if before["size"] == after["size"] == after["durable"]:
            return


@row("idle-wakeups")
def idle_wakeups():
    seconds = 20
    with fresh() as node:
        node.run({"name": "warm", "command": ["true"]}, 1)
        until_published(node)
        pids = node.pids()
        time.sleep(0.5)
        n, t = switches(pids), time.monotonic()
        time.sleep(seconds)
        o = (switches(pids) - n) / (time.monotonic() - t)
    return [result("idle-wakeups", "context switches of an idle node, all threads, %d s" % seconds, o, "1/s", "ours < 1", o < 1)]


@row("placements")
def placements():
    rounds = 3
    runs = [tool(os.path.join(BUILD, "bench-placements"), i + 1) for i in range(rounds)]
    o = median(r["placements_per_s"] for r in runs)
    p99 = median(r["p99_ns"] for r in runs) / 1e6
    return [result("placements", "scheduler alone: 10,000 nodes, 1,000,000 waiting tasks; p99 of a decision beside", o,
                   "placements/s", "ours >= 200000, p99 < 1 ms", o >= 200000 and p99 < 1, None, None, {"p99 ms": p99}, rounds)]


@row("fleet-tasks")
def fleet_tasks():
    n, rounds, empty, out = 1000000, 3, [], []
    with Fleet(BUILD, DISK, 2) as f:
        for i in range(rounds + 1):
            none, rate = f.hub.run(worker_job("noop", "noop", n), n)
            eight, rate8 = f.hub.run(worker_job("number", "number", n), n)
            if i:  # the first starts the workers
                empty.append(rate)
                out.append(rate8)
        for node in f.children:
            os.kill(node.get("/v1/version")["pid"], signal.SIGKILL)
        os.kill(f.hub.engine, signal.SIGKILL)
        for job in none, eight:
            _, there = f.hub.until_answers("/v1/jobs/%d" % job)
            if there["counts"]["succeeded"] != n:
                raise Failed("after kill -9 only %d of %d results are there" % (there["counts"]["succeeded"], n))
        for index in range(0, n, n // 50 - 1):
            check_number(f.hub, eight, index)
    o, w = median(empty), median(out)
    return [result("fleet-tasks", "no-op worker tasks through a hub to 2 children here, durable at both ends", o, "tasks/s",
                   "ours >= 150000", o >= 150000, None, None, {"with a result of 8 bytes": w}, rounds)]


@row("fleet-start")
def fleet_start():
    rounds, p50, p99 = 5, [], []
    with Fleet(BUILD, DISK, 2) as f:
        drive("start", f.hub.socket, 20, DRIVE)
        for _ in range(rounds):
            r = drive("start", f.hub.socket, 300, DRIVE)
            p50.append(r["p50_ns"] / 1e6)
            p99.append(r["p99_ns"] / 1e6)
    o = median(p99)
    return [result("fleet-start", "from submit at the hub to the process running on a child, idle, p99", o, "ms", "ours <= 10", o <= 10,
                   None, None, {"p50": median(p50)}, rounds)]


@row("fleet-links", "fleet-links-join", "fleet-links-memory")
def fleet_links():
    """Light children: real ends, MQTT, TLS and certificates; no journal on a disk, no tasks (bench/links.c)."""
    links, n, rounds, rates = 1000, 1000000, 3, []
    with Hub(BUILD, DISK) as h, h.links(links) as light:
        for _ in range(rounds):
            rates.append(h.node.run({"name": "light", "command": ["true"], "array": n}, n)[1])
        mb = memory(h.node.pids())[0] / 1e6
        look = light.ask("look")
        if look["up"] != links or look["said"] < rounds * n:
            raise Failed("the light children are not as they should be: %s" % look)
        os.kill(h.node.engine, signal.SIGKILL)  # durable at the hub
        _, there = h.node.until_answers("/v1/jobs/1")
        if there["counts"]["succeeded"] != n:
            raise Failed("after kill -9 only %d of %d results are there" % (there["counts"]["succeeded"], n))
        join = light.joined
    o = median(rates)
    what = "one hub and %d light children on %d processors: " % (links, CPUS)
    return [result("fleet-links", what + "results of tasks that say they took 1 ms, durable", o, "tasks/s", "ours >= 50000", o >= 50000,
                   runs=rounds),
            result("fleet-links-join", what + "all joined, each with a token", join, "s", "ours <= 60", join <= 60),
            result("fleet-links-memory", what + "RSS of the hub, without its broker, after %d million tasks" % (rounds * n // 1000000),
                   mb, "MB", "ours <= 400", mb <= 400)]


@row("fleet-tree")
def fleet_tree():
    """The root's core and links are real; what its children say is simulated (bench/tree.c). CPU time, so that a busy machine matters little."""
    hubs, nodes = 100, 1000
    runs = {us: tool(os.path.join(BUILD, "bench", "bench-tree"), hubs, nodes, us, 12, 6) for us in (1000000, 100000, 10000)}
    ms = [r["cpu_ms_per_s"] for r in runs.values()]
    return [result("fleet-tree", "simulated, %d hubs of %d nodes: CPU time of the root for a second of it, tasks of 1 s; of 100 ms and 10 ms beside"
                   % (hubs, nodes), ms[0], "ms", "100 times the tasks cost at most 3 times", max(ms) <= 3 * min(ms), None, None,
                   {"of 100 ms": ms[1], "of 10 ms": ms[2], "tasks/s": runs[1000000]["tasks_per_s"], "tasks/s of 10 ms": runs[10000]["tasks_per_s"],
                    "leases/s": runs[1000000]["leases_per_s"], "leases/s of 10 ms": runs[10000]["leases_per_s"]})]


@row("fleet-flaps")
def fleet_flaps():
    """A child says that it is gone and here again, over and over; the ends begin a session each time."""
    n, warm = 10000, 1000
    with Hub(BUILD, DISK) as h, h.links(1) as light:
        def both():
            return memory([h.node.engine])[1] / 1e3, memory([light.process.pid])[1] / 1e3
        light.ask("flap %d" % warm)
        hub, child = both()
        before = light.ask("look")["sessions"]
        took = light.ask("flap %d" % n, 600)
        hub2, child2 = both()
        if took["sessions"] - before < n:
            raise Failed("of %d flaps only %d sessions came" % (n, took["sessions"] - before))
        h.node.run({"name": "after", "command": ["true"], "array": 100}, 100)
    worst = max(hub2 - hub, child2 - child)
    return [result("fleet-flaps", "%d flaps of one link after %d: what either end's anonymous memory grew by" % (n, warm), worst, "kB",
                   "ours <= 1000", worst <= 1000, None, None, {"hub": hub2 - hub, "child": child2 - child, "flaps/s": n / took["s"]})]


@row("fleet-idle", "fleet-idle-wakeups", "fleet-idle-link")
def fleet_idle():
    """A joined child after some work and its echoes, with nothing to do: all processes of its node."""
    seconds = 60
    with Fleet(BUILD, DISK, 1, cables=True) as f:
        child, cable = f.children[0], f.cables[0]
        f.hub.run({"name": "warm", "command": ["true"], "array": 4}, 4)
        until(lambda: held(child)[1] == 0, 20, "the child has nothing of the hub's any more")
        until_published(child)
        until_published(f.hub)
        last = [time.monotonic()]

        def at_rest():
            """What work leaves to do is done: its log goes to the hub, heads are cosigned, each by a carrier of its own that ends."""
            if len(processes(child)) != 2:
                last[0] = time.monotonic()
            return time.monotonic() - last[0] > 45

        until(at_rest, 300, "nothing of the child's has come or ended for a while")
        pids = processes(child)
        carried, n, t = cable.carried(), switches(pids), time.monotonic()
        time.sleep(seconds)
        took, told, now = time.monotonic() - t, switches(pids), cable.carried()
        rss, anonymous = memory(pids)
        if processes(child) != pids:
            raise Failed("the child's processes were %s and are %s" % (pids, processes(child)))
    mb, wakes, kbit = rss / 1e6, (told - n) / took, (now[0] - carried[0]) * 8 / 1000 / took
    return [result("fleet-idle", "RSS of an idle joined child (keeper + engine), anonymous beside", mb, "MB", "ours <= 16", mb <= 16,
                   None, None, {"anonymous": anonymous / 1e6}),
            result("fleet-idle-wakeups", "its context switches, all threads, %d s" % seconds, wakes, "1/s", "ours < 1", wakes < 1),
            result("fleet-idle-link", "its link, both ways, with TLS, TCP, IP and Ethernet", kbit, "kbit/s", "ours <= 0.25", kbit <= 0.25,
                   None, None, {"packets a minute": (now[1] - carried[1]) * 60 / took})]


def processes(node):
    """All that belongs to the node: its keeper and everything below it."""
    children, found = {}, [node.keeper]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid, encoding="ascii", errors="replace") as f:
                children.setdefault(int(f.read().rsplit(")", 1)[1].split()[1]), []).append(int(pid))
        except OSError:
            pass
    for pid in found:
        found += sorted(children.get(pid, []))
    return found


def until(what, limit_s, name):
    end = time.monotonic() + limit_s
    while not what():
        if time.monotonic() > end:
            raise Failed("not within %d s: %s" % (limit_s, name))
        time.sleep(0.02)


def succeeded(node, job):
    return node.get("/v1/jobs/%d" % job)["counts"]["succeeded"]


def fill(f, gate, function, n):
    """A job of whose tasks a million and more are leased to the child and wait there, none of them begun; (job, tasks done)."""
    job = f.hub.submit(worker_job("gated", function, n, resources={"cpu": 1, "memory": "16MiB"}, env={"GATE": gate}))
    until(lambda: succeeded(f.hub, job) > n // 8, 120, "the run times are known, and leases are long")
    open(gate, "w", encoding="ascii").close()
    was = [None] * 10
    while None in was or len(set(was)) > 1:  # each lease that runs ends, and all others wait
        time.sleep(0.1)
        was = was[1:] + [succeeded(f.hub, job)]
    return job, was[0]


def held(child):
    """Tasks of the hub's that are at the child: done, and all."""
    jobs = child.get("/v1/jobs?limit=1000")["jobs"]
    return sum(j["counts"]["succeeded"] for j in jobs), sum(j["counts"]["total"] for j in jobs)


def drain(f, gate, function):
    """Results waiting, s from the mended cable until they are durable at the hub, s of them until the link was up, bytes on the cable,
    and the bytes of (RSS, anonymous memory) that hub and child grew by."""
    child, cable, n = f.children[0], f.cables[0], 6000000
    job, before = fill(f, gate, function, n)
    cable.cut()
    os.unlink(gate)
    until(lambda: held(child)[0] == held(child)[1], 120, "the child has run all that it has")
    waits = held(child)[0]
    if waits < 1000000:
        raise Failed("only %d results wait" % waits)
    open(gate, "w", encoding="ascii").close()
    peak = Peak([f.hub.engine, child.get("/v1/version")["pid"]])
    t, carried = time.perf_counter(), cable.bytes
    cable.mend()
    f.until_up(60)
    up = time.perf_counter()
    until(lambda: succeeded(f.hub, job) >= before + waits, 120, "all results are at the hub")
    end, grown = time.perf_counter(), peak.grown()
    f.hub.ask("POST", "/v1/jobs/%d/cancel" % job)
    os.unlink(gate)
    f.hub.wait(job)
    os.kill(f.hub.get("/v1/version")["pid"], signal.SIGKILL)  # durable at the hub
    _, there = f.hub.until_answers("/v1/jobs/%d" % job)
    if there["counts"]["succeeded"] < before + waits:
        raise Failed("after kill -9 only %d of %d results are there" % (there["counts"]["succeeded"], before + waits))
    return waits, end - t, up - t, cable.bytes - carried, grown


@row("fleet-drain", "fleet-drain-memory")
def fleet_drain():
    """A child with as many leases as it takes to hold a million tasks runs them while its cable is cut; then the cable is mended."""
    leases, gate, runs = 200, os.path.join(DISK, "osier-gate-%d" % os.getpid()), {}
    try:
        for function in "gated-noop", "gated-number":
            with Fleet(BUILD, DISK, 1, "{cpu: %d, memory: 64GiB}" % leases, cables=True) as f:
                runs[function] = drain(f, gate, function)
    finally:
        if os.path.exists(gate):
            os.unlink(gate)
    none, number_ = [waits / s for waits, s, *_ in runs.values()]
    waits, s, up, carried, grown = runs["gated-number"]
    rss, anonymous = [[max(run[4][end][i] for run in runs.values()) / 1e6 for end in (0, 1)] for i in (0, 1)]
    return [result("fleet-drain", "a cable is mended and %d results of 8 bytes wait: until all are durable at the hub" % waits, number_,
                   "tasks/s", "ours >= 100000", min(none, number_) >= 100000, None, None,
                   {"without a result": none, "s until the link was up": up, "bytes a result": carried / waits}),
            result("fleet-drain-memory", "meanwhile: what the RSS of either end grew by at most", max(rss), "MB", "ours <= 64",
                   max(rss) <= 64, None, None, {"hub": rss[0], "child": rss[1], "hub, anonymous": anonymous[0],
                                                "child, anonymous": anonymous[1]}, 2)]


@row("anchor")
def anchor():
    """Gas is a number of the chain's, the same on any machine: one run of each says it. A real node of a chain (anvil), and a real node."""
    repo = os.path.dirname(HERE)
    p = subprocess.run([os.path.join(repo, "test/chain/fetch.sh")], capture_output=True, text=True, timeout=300)
    if p.returncode:
        raise Failed("no chain: %s" % (p.stderr.strip().splitlines() or ["?"])[-1])
    sys.path.insert(0, os.path.join(repo, "test/e2e"))
    from chain import Chain # pylint: disable=import-outside-toplevel,import-error
    with tempfile.TemporaryDirectory(prefix="osier-bench-") as folder:
        chain = Chain(os.path.join(p.stdout.strip(), "@foundry-rs/anvil-linux-amd64/bin/anvil"), folder)
        try:
            return anchor_row(chain)
        finally:
            chain.over = True
            chain.process.kill()


def anchor_row(chain):
    known = 32469 # of a later anchor, measured before osier anchored, with the same root twice: a new root costs 2,800 more
    node = fresh()
    with open(os.path.join(node.dir, "config.yaml"), "w", encoding="ascii") as f:
        json.dump({"ledger": {"anchors": [{"chain": {"rpc": chain.url, "id": 31337, "poll": "100ms", "replace": "60s"}}]}}, f)
    with node:
        def ledger(*args):
            return tool(node.osier, "ledger", *args, "--json", "--state", node.dir)
        node.run({"name": "a", "command": ["true"]}, 1)
        ledger("publish")
        account = [k["vkey"] for k in ledger("keys")["keys"] if k["role"] == "anchor"][0]
        chain.ask("anvil_setBalance", account, hex(10**18))
        deploy, first = ledger("anchor", "deploy")["gas"], ledger("anchor")["details"]["gas"]
        node.run({"name": "b", "command": ["true"]}, 1)
        before = chain.nonce(account)
        later = ledger("anchor")["details"]["gas"]
        sent = chain.nonce(account) - before
    return [result("anchor", "one head onto a chain: %d transaction" % sent, later, "gas", "ratio <= 1.10, one transaction",
                   later <= 1.1 * known and sent == 1, "known of a later anchor", known, {"the first": first, "the contract": deploy})]


LEDGER = os.path.join(BUILD, "bench", "bench-ledger")


@row("ledger-append", "ledger-audit")
def ledger_append():
    n, rounds = 1000000, 3
    ours, audit = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=DISK) as d:
            ours.append(tool(LEDGER, "append", d, n, 200)["entries_per_s"])
            for _ in range(2):
                r = tool(LEDGER, "audit", d)
                audit.append(r["entries_per_s"])
                if r["entries"] != n or r["size"] != n:
                    raise Failed("of %d entries the audit saw %s" % (n, r))
    o, a = median(ours), median(audit)
    return [result("ledger-append", "entries of 200 bytes, hashed, durable, read back, under a signed head", o, "entries/s",
                   "ours >= 200000", o >= 200000, "Tessera on POSIX (its authors)", 10000, None, rounds),
            result("ledger-audit", "the same log computed again from its stored bytes, %d processors" % CPUS, a, "entries/s",
                   "ours >= 1000000", a >= 1000000, None, None, {"slowest": min(audit)}, 2 * rounds)]


@row("ledger-cost")
def ledger_cost():
    """Worker tasks for some seconds with all of it published, on a node with its ledger and on one that has no keys to sign with."""
    n, jobs, rounds, took = 2000000, 12, 3, {True: [], False: []}
    for _ in range(rounds):
        for on in True, False:
            node = fresh()
            if not on:
                open(os.path.join(node.dir, "keys"), "w", encoding="ascii").close()
            with node:
                t = time.perf_counter()
                for _ in range(jobs):
                    node.run(worker_job("noop", "noop", n), n)
                took[on].append(time.perf_counter() - t)
                if on:
                    node.ask("POST", "/v1/ledger/publish")
                    head = node.get("/v1/ledger")
                    if head["size"] < 3 * jobs:
                        raise Failed("only %d entries are published" % head["size"])
    w, wo = median(took[True]), median(took[False])
    return [result("ledger-cost", "%d million no-op worker tasks while the ledger is published" % (n * jobs // 1000000), w, "s",
                   "ratio <= 1.10", w <= 1.1 * wo, "the same without a ledger", wo, None, rounds)]


@row("ledger-proof")
def ledger_proof():
    n = 10000000
    with tempfile.TemporaryDirectory(dir=DISK) as d:
        tool(LEDGER, "append", d, n, 8)
        r = tool(LEDGER, "proof", d, 20000)
    if r["size"] != n:
        raise Failed("the log has %d entries" % r["size"])
    o, p99 = r["p50_ns"] / 1e6, r["p99_ns"] / 1e6
    return [result("ledger-proof", "proof of an entry drawn by chance in a log of 10,000,000; p99 beside", o, "ms",
                   "p99 <= 1", p99 <= 1, None, None, {"p99": p99, "p99 of its CPU time": r["cpu_p99_ns"] / 1e6}, 20000)]


@row("ledger-verify", "ledger-verify-many")
def ledger_verify():
    n, rounds, count = 200, 5, 10000
    with fresh() as node, tempfile.TemporaryDirectory() as d:
        job = node.run({"name": "proven", "command": ["echo", "done"], "array": n}, n)[0]
        node.ask("POST", "/v1/ledger/publish")
        policy, files = os.path.join(d, "policy"), []
        with open(policy, "w", encoding="ascii") as f:
            f.write("".join("log %s\n" % k["vkey"] for k in node.get("/v1/ledger/keys")["keys"] if k["role"] == "log") + "quorum none\n")
        for i in range(n):
            files.append(os.path.join(d, str(i)))
            with open(files[-1], "wb") as f:
                f.write(node.bytes("/v1/jobs/%d/tasks/main/%d/receipt" % (job, i)))
        runs = [tool(LEDGER, "verify", policy, count, *files) for _ in range(rounds)]
    o, m = median(r["one_us"] for r in runs), median(r["all_s"] for r in runs)
    return [result("ledger-verify", "verify one receipt", o, "us", "ours <= 150", o <= 150, None, None, None, rounds),
            result("ledger-verify-many", "verify %d receipts of one log, %d processors" % (count, CPUS), m, "s", "ours <= 1", m <= 1,
                   None, None, None, rounds)]


# ---- the table ----

def number(v):
    if v is None:
        return ""
    return "{:,.0f}".format(v) if v >= 1000 else "{:.3g}".format(v)


def show(results):
    head = ("id", "ours", "unit", "beside", "ratio", "target", "met")
    lines = []
    for r in results:
        beside = ["%s: %s" % (r["reference"], number(r["reference_value"]))] if r["reference"] else []
        beside += ["%s: %s" % (k, number(v)) for k, v in r["peers"].items()]
        lines.append((r["id"], number(r["ours"]), r["unit"], "; ".join(beside) or r.get("error", ""), number(r["ratio"]),
                      r["target"], "yes" if r["met"] else "NO"))
    width = [max(len(line[i]) for line in [head] + lines) for i in range(len(head))]
    for line in [head] + lines:
        cells = [c.rjust(w) if i in (1, 4) else c.ljust(w) for i, (c, w) in enumerate(zip(line, width))]
        print("  ".join(cells).rstrip())


def save(results, only):
    path = os.path.join(HERE, "results.json")
    if only and os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            old = json.load(f)
        new = {r["id"]: r for r in results}
        results = [new.pop(r["id"], r) for r in old] + list(new.values())
    with open(path + ".new", "w", encoding="utf-8") as f:
        json.dump(results, f, indent=1)
        f.write("\n")
    os.replace(path + ".new", path)


def measure(f):
    try:
        return f()
    except (Failed, OSError, subprocess.SubprocessError, KeyError, ValueError) as e:
        why = "%s: %s" % (type(e).__name__, e)
        print("bench: %s could not be measured: %s" % (f.ids[0], why), file=sys.stderr)
        return [{**result(i, f.__name__, None, "", "", False), "error": why} for i in f.ids]


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else None
    if only and only not in ROWS:
        sys.exit("bench: no row '%s'; there are %s" % (only, ", ".join(ROWS)))
    kind = subprocess.run(["stat", "-f", "-c", "%T", DISK], capture_output=True, text=True).stdout.strip()
    if kind in ("", "tmpfs", "ramfs"):
        sys.exit("bench: '%s' is %s; name a folder on a disk with OSIER_BENCH_DIR" % (DISK, kind or "not there"))
    print("%d cores, %s on %s, Linux %s, load %.1f" % (CPUS, kind, DISK, os.uname().release, os.getloadavg()[0]), flush=True)
    results = []
    for f in dict.fromkeys([ROWS[only]] if only else ROWS.values()):
        t = time.monotonic()
        print("%s ..." % f.ids[0], end=" ", flush=True, file=sys.stderr)
        results += measure(f)
        print("%.0f s" % (time.monotonic() - t), flush=True, file=sys.stderr)
    print()
    show(results)
    print("\n%d of %d met" % (sum(r["met"] for r in results), len(results)))
    save(results, only)
    return 1 if any("error" in r for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
