# SPDX-License-Identifier: Apache-2.0
"""A journal that is cut at any byte, or changed. What is promised:

- The log (journal.db-wal) cut or changed: the state after all that lies whole before that place, a state that the journal once
  had; nothing before it is lost. (That the log was longer is known only as far as a snapshot has seen its entries.)
- The database cut or changed: all of the state, or a refusal that names the file and says what to do. Never less.
- A stored output changed: it is said, not given.
- A snapshot cut or changed: the state all the same, from the entries.

The folder is that of a node that was killed, with everything it ran, by -9. SEED=N repeats a run's places; COUNT: places of a kind.
"""
import concurrent.futures
import glob
import json
import os
import random
import re
import sqlite3
import shutil
import signal
import subprocess
import sys
import tempfile
import time

OSIER = os.path.join(os.environ["BUILD"], "osier")
SEED = int(os.environ.get("SEED", time.time_ns() % 1000000))
COUNT = int(os.environ.get("COUNT", 30))
FRAME, HEAD = 4096 + 24, 32
bad = 0


def ok(good, name, what=""):
    global bad
    if not good:
        bad = 1
        for line in str(what).splitlines()[:20]:
            print("#", line)
    print("%s - %s" % ("ok" if good else "not ok", name), flush=True)


def osier(state, *args, seconds=60):
    env = dict(os.environ, OSIER_STATE=state, NO_COLOR="1")
    try:
        return subprocess.run([OSIER, *args], env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as e:
        return subprocess.CompletedProcess(args, 124, e.stdout or b"", b"it hangs")


def replay(state, at=None):
    """(size, digest) of the state, or the refusal's text, or what is wrong with the refusal."""
    r = osier(state, "replay", "--json", *(["--at", str(at)] if at is not None else []))
    try:
        j = json.loads(r.stdout)
    except ValueError:
        return "NO ANSWER: exit %d, %r %r" % (r.returncode, r.stdout[:300], r.stderr[:1000])
    if r.returncode == 0:
        return j["at"], j["digest"]
    e = j["error"]
    named = re.search(r"journal|snapshot", e["message"]) and e.get("hint")
    return ("refused: " if named and 0 < r.returncode < 100 else "UNCLEAR: exit %d " % r.returncode) + e["message"]


class Folder:
    """The pristine files, and copies of them with one changed."""

    def __init__(self, top, files):
        self.top, self.files, self.n = top, files, 0

    def copy(self, name=None, data=None):
        self.n += 1
        path = os.path.join(self.top, "copy-%d" % self.n)
        os.mkdir(path)
        for k, v in self.files.items():
            with open(os.path.join(path, k), "wb") as f:
                f.write(data if k == name else v)
        return path

    def try_all(self, name, places):
        """places: (what, bytes). Yields what came of each."""
        paths = [(what, self.copy(name, data)) for what, data in places]
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            for (what, path), got in zip(paths, pool.map(lambda p: replay(p[1]), paths)):
                yield what, got
                shutil.rmtree(path)


LOAD = """name: load
steps:
  many: {command: "echo result of ${task}", array: 60, resources: {cpu: 0.25}}
  pairs: {command: "head -c 3000 /dev/zero | tr '\\\\0' ${task}; exit $((${task} % 4 / 3))", array: 8, retries: {max: 1, backoff: 10ms}, resources: {cpu: 0.25}}
  large: {command: "head -c 90000 /dev/zero | tr '\\\\0' y", after: many, array: 3, resources: {cpu: 0.25}}
  total: {command: "cat inputs/* | wc -l", reduce: many}
"""


def settle(state, job):
    for _ in range(600):
        r = osier(state, "job", job, "--json")
        if r.returncode == 0 and json.loads(r.stdout)["state"] in ("succeeded", "failed"):
            return
        time.sleep(0.1)


def killed_node(top):
    """The files of a node that was killed, and how many entries it had acknowledged."""
    state = os.path.join(top, "node")
    job = os.path.join(top, "load.yaml")
    with open(job, "w") as f:
        f.write(LOAD)
    for step in (1, 2):  # the first one's entries lie in the database, the second's in the log
        r = osier(state, "up")
        assert r.returncode == 0, r.stderr
        osier(state, "submit", "-q", job)
        settle(state, str(step))
        if step == 1:
            osier(state, "down")
    with open(job, "w") as f:
        f.write("name: sleeps\ncommand: sleep 1000\narray: 4\nresources: {cpu: 0.25}\n")
    osier(state, "submit", "-q", job)
    for _ in range(200):
        if json.loads(osier(state, "job", "3", "--json").stdout)["counts"]["running"] == 4:
            break
        time.sleep(0.05)
    size, digest = replay(state)
    with open(os.path.join(state, "keeper.lock")) as f:
        keeper = int(f.read())
    os.kill(keeper, signal.SIGSTOP)  # it must not start another engine
    with open(os.path.join(state, "lock")) as f:
        os.kill(int(f.read()), signal.SIGKILL)
    os.kill(keeper, signal.SIGKILL)
    time.sleep(0.3)
    files = {}
    for name in ("journal.db", "journal.db-wal"):
        with open(os.path.join(state, name), "rb") as f:
            files[name] = f.read()
    return state, files, size, digest


def used(wal):
    """Where the frames of the log end: those with its present salt."""
    at = HEAD
    while at + FRAME <= len(wal) and wal[at + 8:at + 16] == wal[16:24]:
        at += FRAME
    return at


def flip(data, at, rng):
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1:]


def cuts(end, step, rng, first=0):
    """Edges of pages, beside them, and anywhere."""
    edges = list(range(first, end + 1, step))
    edges = sorted(rng.sample(edges, min(len(edges), COUNT)) + [first, edges[-1]])
    near = {max(0, e + d) for e in edges for d in (-1, 0, 1)}
    anywhere = {rng.randrange(end) for _ in range(COUNT)}
    return sorted(c for c in near | anywhere | {0, 1, 31} if c <= end)


def the_log(folder, size, digest, rng):
    wal = folder.files["journal.db-wal"]
    end = used(wal)
    print("# %d entries, %d bytes of database, %d of log in use" % (size, len(folder.files["journal.db"]), end))
    ok(end > 20 * FRAME, "there is something in the log", end)
    places = [(c, wal[:c]) for c in cuts(end, FRAME, rng, HEAD)]
    wrong, last, sizes = [], 0, {}
    for c, got in folder.try_all("journal.db-wal", places):
        if isinstance(got, str):
            wrong.append("cut at %d: %s" % (c, got))
            continue
        if got[0] < last:
            wrong.append("cut at %d: %d entries, but %d when cut earlier" % (c, got[0], last))
        last = max(last, got[0])
        sizes.setdefault(got, c)
    ok(not wrong, "the log cut at %d places gives ever more entries" % len(places), "\n".join(wrong))
    ok(last == size, "all of them when nothing is cut that counts", (last, size))
    ok(len(sizes) > 5, "at many lengths of the journal", len(sizes))
    flips = [rng.randrange(end) for _ in range(COUNT)]
    wrong = []
    for c, got in folder.try_all("journal.db-wal", [(c, flip(wal, c, rng)) for c in flips]):
        if isinstance(got, str) and not got.startswith("refused"):
            wrong.append("changed at %d: %s" % (c, got))
        elif not isinstance(got, str):
            sizes.setdefault(got, c)
    ok(not wrong, "the log changed at %d places is read up to there" % len(flips), "\n".join(wrong))
    path = folder.copy()
    wrong = [(g, c) for g, c in sizes.items() if replay(path, g[0]) != g]
    ok(not wrong and (size, digest) in sizes, "each of these states is one that the journal had", wrong)
    shutil.rmtree(path)


def the_database(folder, size, digest, rng):
    db = folder.files["journal.db"]
    places = [("cut at %d" % c, db[:c]) for c in cuts(len(db) - 1, 4096, rng)]
    places += [("changed at %d" % c, flip(db, c, rng)) for c in (rng.randrange(len(db)) for _ in range(2 * COUNT))]
    wrong, refused, all_there = [], set(), 0
    for what, got in folder.try_all("journal.db", places):
        if got == (size, digest):
            all_there += 1
        elif isinstance(got, str) and got.startswith("refused"):
            refused.add(re.sub(r"/\S+/|\d+", "", got))
        else:
            wrong.append("%s: %s" % (what, got))
    ok(not wrong, "the database damaged at %d places: all of the state or a refusal" % len(places), "\n".join(wrong))
    ok(refused and all_there, "both happen (%d were whole)" % all_there, refused)
    for r in sorted(refused)[:6]:
        print("#", r)


def an_output(folder, rng):
    """What a task wrote, changed where it is stored; the log is checkpointed first, so that there is one place."""
    path = folder.copy()
    r = osier(path, "up")
    ok(r.returncode == 0, "the killed node starts again", r.stderr)
    osier(path, "down")
    db = sqlite3.connect(os.path.join(path, "journal.db"))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # or the log's copy would be read
    db.close()
    with open(os.path.join(path, "journal.db"), "rb") as f:
        db = f.read()
    ok(b"result of 37\n" in db, "an output lies in the database")
    with open(os.path.join(path, "journal.db"), "wb") as f:
        f.write(db.replace(b"result of 37\n", b"resXlt of 37\n"))  # old copies lie in pages that are no longer used
    r = osier(path, "logs", "1/many/37", "--no-prefix")
    ok(b"resXlt" not in r.stdout and b"damaged" in r.stdout + r.stderr, "a changed output is told, not given", r)
    r = osier(path, "logs", "1/many/36", "--no-prefix")
    ok(r.stdout == b"result of 36\n", "others are given", r)
    shutil.rmtree(path)


def a_node(folder, size, rng):
    """Not only looking: a node on what is left."""
    wal, db = folder.files["journal.db-wal"], folder.files["journal.db"]
    end = used(wal)
    job = os.path.join(folder.top, "hello.yaml")
    with open(job, "w") as f:
        f.write("name: hello\ncommand: echo hello\n")
    for c in (0, HEAD + 5 * FRAME + 7, end // 2, end - 1):
        path = folder.copy("journal.db-wal", wal[:c])
        r = osier(path, "up")
        w = osier(path, "submit", "--watch", job)
        ok(r.returncode == 0 and w.returncode == 0, "a node with its log cut at %d starts and works" % c, (r, w))
        osier(path, "down")
        got = replay(path)
        ok(not isinstance(got, str), "and its journal is whole again", got)
        shutil.rmtree(path)
    for c in (0, 100, 4096, len(db) // 2 // 4096 * 4096, len(db) - 4096):
        path = folder.copy("journal.db", db[:c])
        whole = not isinstance(replay(path), str)
        r = osier(path, "up")
        if whole:  # what is cut lies in the log, too
            ok(r.returncode == 0, "a node with its database cut at %d starts, the log has the rest" % c, r)
        else:
            ok(0 < r.returncode < 100 and b"journal" in r.stderr and b"hint: " in r.stderr, "a node with its database cut at %d says so" % c, r)
        osier(path, "down")
        shutil.rmtree(path)


def a_snapshot(top, rng):
    """One that a node wrote: it does so when its tail is 32 MiB long."""
    state = os.path.join(top, "large")
    r = osier(state, "up")
    job = os.path.join(top, "large.json")
    with open(job, "w") as f:
        json.dump({"name": "large", "hold": True, "command": "cat", "stdin": {"text": "x" * 900000}}, f)
    for _ in range(42):
        subprocess.run(["curl", "-s", "-m", "60", "-o", "/dev/null", "--unix-socket", os.path.join(state, "api.sock"),
                        "-d", "@" + job, "http://osier/v1/jobs"], check=False)
    for _ in range(100):
        snaps = glob.glob(os.path.join(state, "snapshot-*[0-9]"))
        if snaps:
            break
        time.sleep(0.1)
    osier(state, "down")
    whole = replay(state)
    ok(snaps and not isinstance(whole, str), "a node writes a snapshot", (r, whole))
    if not snaps:
        return
    name = os.path.basename(snaps[0])
    size = os.path.getsize(snaps[0])

    def copy(i, cut=None, flipped=None):
        path = os.path.join(top, "snap-%d" % i)
        os.mkdir(path)
        for k in ("journal.db", "journal.db-wal"):
            os.link(os.path.join(state, k), os.path.join(path, k))
        shutil.copyfile(snaps[0], os.path.join(path, name))
        with open(os.path.join(path, name), "r+b") as f:
            if cut is not None:
                f.truncate(cut)
            else:
                f.seek(flipped)
                c = f.read(1)[0]
                f.seek(flipped)
                f.write(bytes([c ^ (1 << rng.randrange(8))]))
        got = replay(path)
        shutil.rmtree(path)
        return got

    n = max(1, COUNT // 15)
    wrong = []
    for i, c in enumerate([0, 2000, size - 41, size - 1] + [rng.randrange(size) for _ in range(n)]):
        got = copy(i, cut=c)
        if got != whole:
            wrong.append("cut at %d: %s" % (c, got))
    for i, c in enumerate([0, 9, 60, size - 40, size - 1] + [rng.randrange(size) for _ in range(n)]):
        got = copy(100 + i, flipped=c)
        if got != whole and not (isinstance(got, str) and got.startswith("refused")):
            wrong.append("changed at %d: %s" % (c, got))
    ok(not wrong, "its snapshot cut or changed: the state all the same", "\n".join(wrong))
    os.rename(os.path.join(state, "journal.db"), os.path.join(state, "kept"))
    got = replay(state)
    ok(isinstance(got, str) and got.startswith("refused"), "a snapshot without a journal is no reason to begin anew", got)
    r = osier(state, "up")
    ok(r.returncode != 0 and b"missing" in r.stderr and not os.path.exists(os.path.join(state, "journal.db")), "not for a node either", r)
    os.remove(os.path.join(state, "journal.db-wal"))
    with open(os.path.join(state, "kept"), "rb") as f, open(os.path.join(state, "journal.db"), "wb") as g:
        g.write(f.read(4096 * 8))
    got = replay(state)
    ok(isinstance(got, str) and got.startswith("refused"), "a journal that ends before its snapshot is refused", got)


def main():
    print("# SEED=%d COUNT=%d %s" % (SEED, COUNT, sys.argv[0]))
    rng = random.Random(SEED)
    top = tempfile.mkdtemp(prefix="osier-test.", dir=os.environ.get("TMPDIR", "/tmp"))
    os.chmod(top, 0o755)
    try:
        node, files, size, digest = killed_node(top)
        shutil.rmtree(node)
        # The log's file is larger than what is in use: copies need not be.
        files["journal.db-wal"] = files["journal.db-wal"][:used(files["journal.db-wal"]) + 3 * FRAME]
        folder = Folder(top, files)
        path = folder.copy()
        ok(replay(path) == (size, digest), "all that was acknowledged is there after kill -9", (replay(path), size, digest))
        shutil.rmtree(path)
        the_log(folder, size, digest, rng)
        the_database(folder, size, digest, rng)
        an_output(folder, rng)
        a_node(folder, size, rng)
        a_snapshot(top, rng)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    sys.exit(bad)


main()
