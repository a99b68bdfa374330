# SPDX-License-Identifier: Apache-2.0
"""gang - tasks over several nodes at one time: an MPI program over three of them, all or none, and what ends a gang. Prints TAP. Needs root."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import BUILD, Failed, Fleet, Tap, need_root, until  # noqa: E402

OSIER = BUILD + "/osier"
MPI = """name: pi
command: [%s, gang, mpirun, --, ./pi, "3000000"]
inputs: [pi]
resources: {cpu: 1}
gang: {size: 3, spread: node}
timeouts: {run: 90s}
"""
# Who is rank 0 listens where all are told, and hears of each other rank once; as programs do that know nothing of osier.
MEET = """name: meet
command: [python3, -c, "%s"]
resources: {cpu: 1}
gang: {size: 3, spread: node}
timeouts: {run: 60s}
"""
MEET_PY = """
import os, socket, time
rank, size = int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])
at = os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])
assert os.environ['OSIER_GANG_ADDRESS'] == '%s:%d' % at and os.environ['LOCAL_RANK'] == '0'
if rank == 0:
    s = socket.create_server(at)
    seen = []
    while len(seen) < size - 1:
        c, (host, _) = s.accept()
        seen.append((int(c.recv(9)), host))
    hosts = os.environ['OSIER_GANG_HOSTS'].split(',')
    assert sorted(seen) == [(r, hosts[r]) for r in range(1, size)], (seen, hosts)
    print('met', sorted(seen))
else:
    while True:
        try:
            socket.create_connection(at, 5).sendall(b'%d' % rank)
            break
        except OSError:
            time.sleep(0.2)
"""
PAIR = """name: pair
disconnect: {lost_after: 2s}
shell: 'echo $OSIER_GANG_RANK ${node} $OSIER_GANG_SECRET >> %s; while ! [ -e %s ]; do sleep 0.2; done; echo done'
resources: {cpu: 2}
gang: {size: 2, spread: node}
where: {name: [a, b, c]}
"""
FAILS = """name: fails
shell: 'if [ $RANK = 1 ]; then echo broken >&2; exit 9; fi; sleep 100'
resources: {cpu: 1}
gang: {size: 3, spread: node}
"""


class Gangs:
    def __init__(self, f):
        self.f = f

    def begin(self):
        f = self.f
        f.begin(hub=2, a=2, b=2, c=2)
        for h in f.a, f.b, f.c:
            h.joins(f.hub)
        self.all_up()

    def all_up(self):
        until(lambda: all(n["state"] == "up" for n in self.f.hub.json("nodes")["nodes"]), 30, "all are up")

    def submit(self, text):
        with open(self.f.dir + "/job.yaml", "w") as f:
            f.write(text)
        return self.f.hub.osier("submit", "-q", "job.yaml").strip()

    def done(self, job, seconds=60):
        r = self.f.hub.osier("wait", job, timeout=seconds, check=False)
        if r.returncode:
            raise Failed(r.stdout + r.stderr + self.f.hub.osier("job", job + "/main/0", check=False).stdout[:1500] + self.f.hub.osier("logs", job, check=False).stdout[:1500])

    def said(self, job, stream="stdout"):
        return self.f.hub.osier("logs", job + "/main/0", "--stream", stream)

    def task(self, job):
        return self.f.hub.json("job", job + "/main/0")

    def members(self, job):
        return [v["node"] for v in self.task(job)["votes"]]

    def pi(self):
        shutil.copy(self.f.dir + "/gang_pi", self.f.dir + "/pi")
        job = self.submit(MPI % OSIER)
        self.done(job, 120)
        got = self.said(job).split()
        assert got == ["3.141592654"], got
        # mpirun may say that its child was quicker than it.
        said = sorted(w for w in self.said(job, "stderr").strip().split("\n") if "setpgid" not in w)
        assert said == ["rank %d of 3 is member %d" % (r, r) for r in range(3)], said
        assert len(set(self.members(job))) == 3, self.members(job)

    def logs(self):
        """What each member wrote is kept."""
        job = self.submit("shell: 'echo I am $RANK'\nresources: {cpu: 1}\ngang: {size: 3, spread: node}\n")
        self.done(job)
        votes = self.task(job)["votes"]
        said = [self.f.hub.osier("logs", job, "--attempt", str(v["lease"])).strip() for v in votes]
        assert said == ["I am 0", "I am 1", "I am 2"], said
        r = self.f.hub.osier("logs", job, "--attempt", "99999", check=False)
        assert r.returncode == 4, (r.returncode, r.stderr)

    def meet(self):
        job = self.submit(MEET % MEET_PY.replace("\\", "\\\\").replace("\n", "\\n"))
        self.done(job)
        assert self.said(job).startswith("met"), self.said(job)

    def all_or_none(self):
        f = self.f
        busy = self.submit("name: busy\nshell: 'while ! [ -e %s/go ]; do sleep 0.2; done'\nresources: {cpu: 2}\nwhere: {name: a}\n" % f.dir)
        until(lambda: f.hub.json("job", busy + "/main/0")["live"], 20, "it runs")
        job = self.submit(PAIR.replace("[a, b, c]", "[a, b]") % (f.dir + "/none", f.dir + "/go"))
        why = until(lambda: f.hub.json("why", job + "/main/0")["reason"] == "gang" and f.hub.osier("why", job + "/main/0"), 20, "it says why")
        assert "its 2 members must start at one time; there is room for 1 now" in why, why
        assert not os.path.exists(f.dir + "/none")
        open(f.dir + "/go", "w").close()
        self.done(job)
        self.done(busy)

    def stranger(self):
        """Somebody else connects to rank 0 before its member does: he gets 32 bytes that say nothing, and does no harm."""
        f = self.f
        got = []
        blocker = self.submit(HELD % {"osier": OSIER, "dir": f.dir})
        port = int(until(lambda: open(f.dir + "/port").read(), 20, "rank 0 is there"))
        host = open(f.dir + "/host").read().strip()
        for junk in (b"", b"\0" * 36 + b"\0\0\0\x20" + b"x" * 32, os.urandom(5000), b"\0\0\0\x01" + os.urandom(32) + b"\xff" * 8):
            said = f.c.run(sys.executable, "-c", STRANGER, host, str(port), junk.hex(), timeout=30).strip()
            got.append(said)
            assert len(bytes.fromhex(said)) == 32, said
        assert len(set(got)) == len(got), "the same bytes twice"
        open(f.dir + "/late", "w").close()
        self.done(blocker)
        assert self.said(blocker).strip() == "1 here", self.said(blocker)

    def member_fails(self):
        job = self.submit(FAILS)
        r = self.f.hub.osier("wait", job, timeout=60, check=False)
        assert r.returncode == 1, (r.returncode, r.stdout, r.stderr)
        t = self.task(job)
        assert t["outcome"] == "failed" and t["broken_by"].startswith("rank 1 (") and t["broken_by"].endswith(") failed"), t["broken_by"]
        assert self.said(job, "stderr").strip() == "broken", self.said(job, "stderr")
        ended = sorted(v["outcome"] for v in t["votes"])
        assert ended == ["failed", "stopped", "stopped"], ended

    def lost_node(self):
        """The cable of a member's node is pulled: all begin anew, elsewhere, with another secret; what comes back is told to stop."""
        f = self.f
        log, go = f.dir + "/pair", f.dir + "/pair-go"
        open(log, "w").close()
        os.chmod(log, 0o666)
        job = self.submit(PAIR % (log, go))
        until(lambda: len(open(log).read().splitlines()) == 2, 30, "both run")
        first = [w.split() for w in open(log).read().splitlines()]
        lost, kept = first[0][1], first[1][1]
        f.hosts[lost].cable.say("cut")
        until(lambda: len(open(log).read().splitlines()) == 4, 40, "both run again")
        again = [w.split() for w in open(log).read().splitlines()][2:]
        assert sorted(w[0] for w in again) == ["0", "1"] and lost not in [w[1] for w in again] and kept in [w[1] for w in again], (first, again)
        assert len({w[2] for w in first}) == 1 and len({w[2] for w in again}) == 1 and first[0][2] != again[0][2], (first, again)
        f.hosts[lost].cable.say("heal")
        self.all_up()
        open(go, "w").close()
        self.done(job)
        assert self.said(job).strip() == "done", self.said(job)
        until(lambda: f.hosts[lost].json("jobs")["jobs"] == [], 30, "what was left there is gone")

    def no_room(self):
        r = self.f.hub.osier("submit", "-", input="command: 'true'\ngang: {size: 5, spread: node}\n", check=False)
        assert r.returncode != 0 and "its gang has 5 members, and there is room for 4, each on a node of its own" in r.stderr, r.stderr


HELD = """name: held
shell: |
  if [ $RANK = 0 ]; then
    echo $MASTER_ADDR > %(dir)s/host; echo $MASTER_PORT > %(dir)s/port.new; mv %(dir)s/port.new %(dir)s/port
  else
    while ! [ -e %(dir)s/late ]; do sleep 0.2; done
  fi
  exec %(osier)s gang exec -- %(osier)s gang sh -- 1 'echo $RANK here'
resources: {cpu: 1}
gang: {size: 2, spread: node}
where: {name: [a, b]}
timeouts: {run: 60s}
"""
STRANGER = """
import socket, sys, time
for _ in range(100):
    try:
        c = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
        break
    except OSError:
        time.sleep(0.1)
c.settimeout(15)
got = b''
try:
    c.sendall(bytes.fromhex(sys.argv[3]))
    while True:
        more = c.recv(4096)
        if not more:
            break
        got += more
except OSError:
    pass
print(got.hex())
"""


def main():
    need_root()
    if not shutil.which("mpicc") or not shutil.which("mpirun"):
        print("1..0 # SKIP there is no Open MPI (tools/deps.sh check)")
        return 0
    tap = Tap()
    with Fleet(seed=6) as f:
        subprocess.run(["mpicc", "-O1", "-o", f.dir + "/gang_pi", "test/fleet/gang_pi.c"], check=True)
        g = Gangs(f)
        tap.fact("a hub and three nodes are up", g.begin)
        tap.fact("an MPI program over three nodes computes pi", g.pi)
        tap.fact("what each member wrote is kept", g.logs)
        tap.fact("a program of its own meets itself where it is told", g.meet)
        tap.fact("a gang begins with all its members, or not", g.all_or_none)
        tap.fact("a stranger learns nothing from rank 0, and stops nobody", g.stranger)
        tap.fact("a member that fails ends its gang", g.member_fails)
        tap.fact("a gang whose node is lost begins anew as a whole", g.lost_node)
        tap.fact("a gang for which there is no room is refused", g.no_room)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
