# SPDX-License-Identifier: Apache-2.0
"""fleet - machines in network namespaces of one machine, cables between them that can fail, osier on each. For tests; shares no code with osier.

A site is a switch (a bridge in a namespace of its own); hosts hang on it by cables (wire.c), and sites are joined by cables, too. All are one
network, 10.77.0.0/16. A host has a state folder and runs what it is told in its namespace. Needs root, iproute2, nsenter.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))


def need_root():
    """Without root the script that calls this ends, and says that it was left out."""
    if os.geteuid() != 0:
        print("1..0 # SKIP network namespaces need root")
        sys.exit(0)


class Failed(Exception):
    pass


def sh(*argv, check=True, quiet=True):
    r = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if check and r.returncode != 0:
        raise Failed("%s: exit code %d\n%s" % (" ".join(argv), r.returncode, r.stdout))
    return r


class Cable:
    """Two ends: (namespace, interface) each."""

    def __init__(self, a, b, seed):
        self.lock = threading.Lock()
        self.p = subprocess.Popen([BUILD + "/test/fleet/wire", *a, *b, str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.p.stdout.readline() != "ready\n":
            raise Failed("no cable between %s and %s" % (a, b))

    def say(self, words):
        with self.lock:
            self.p.stdin.write(words + "\n")
            self.p.stdin.flush()
            answer = self.p.stdout.readline().strip()
        if answer.startswith("error") or not answer:
            raise Failed("the cable: " + answer)
        return answer

    def count(self):
        """Frames and bytes that arrived: first to second, second to first."""
        return [int(x) for x in self.say("count").split()]

    def close(self):
        self.p.stdin.close()
        self.p.wait()


class Host:
    def __init__(self, fleet, name, site, number):
        self.fleet, self.name, self.site = fleet, name, site
        self.ns = "%s-%s" % (fleet.prefix, name)
        self.ip = "10.77.0.%d" % number
        self.state = os.path.join(fleet.dir, name)
        os.makedirs(self.state)
        sh("ip", "netns", "add", self.ns)
        sh("ip", "-n", self.ns, "link", "set", "lo", "up")
        end = "p%d" % number
        self.cable = Cable((self.ns, "eth0"), (fleet.switch(site), end), fleet.seed + number)
        fleet.plug(site, end)
        sh("ip", "-n", self.ns, "addr", "add", self.ip + "/16", "dev", "eth0")
        sh("ip", "-n", self.ns, "link", "set", "eth0", "up")

    def argv(self, *words):
        return ["nsenter", "--net=/var/run/netns/" + self.ns, *words]

    def env(self, **more):
        e = dict(os.environ, OSIER_STATE=self.state, LC_ALL="C.UTF-8", PATH=BUILD + ":" + os.environ["PATH"], **more)
        for key in ("XDG_STATE_HOME", "NOTIFY_SOCKET"):
            e.pop(key, None)
        return e

    def run(self, *words, timeout=60, check=True, input=None, **env):
        """A command in the host's namespace; its standard output. Failed with all it said if it does not exit with 0."""
        r = subprocess.run(self.argv(*words), env=self.env(**env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout,
                           input=input, stdin=None if input is not None else subprocess.DEVNULL, cwd=self.fleet.dir)
        if check and r.returncode != 0:
            raise Failed("%s: %s: exit code %d\n%s%s" % (self.name, " ".join(words), r.returncode, r.stdout, r.stderr))
        return r.stdout if check else r

    def start(self, *words, **env):
        p = subprocess.Popen(self.argv(*words), env=self.env(**env), stdin=subprocess.DEVNULL, cwd=self.fleet.dir)
        self.fleet.started.append(p)
        return p

    def osier(self, *words, **how):
        return self.run("osier", *words, **how)

    def json(self, *words, **how):
        return json.loads(self.osier(*words, "--json", **how))

    def joins(self, hub):
        self.osier("join", [w for w in hub.osier("hub", "token").split("'") if "#" in w][0])

    def pids(self, what):
        """Processes of this host whose command line has `what` and that keep its state folder."""
        found = []
        for pid in os.listdir("/proc"):
            if not pid.isdigit():
                continue
            try:
                words = open("/proc/%s/cmdline" % pid, "rb").read().decode(errors="replace").split("\0")
            except OSError:
                continue
            if what in [os.path.basename(w) for w in words] and any(w == self.state or w.startswith(self.state + "/") for w in words):
                found.append(int(pid))
        return found

    def kill(self, what, sig=signal.SIGKILL):
        """kill -9 what of osier runs here: "engine", "osier-keeper", "mosquitto". How many there were."""
        pids = self.pids(what)
        for pid in pids:
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass
        return len(pids)

    def kill_helper(self, what):
        """kill -9 a process that the engine here has started: "carrier", "messenger". How many there were."""
        killed = 0
        for pid in sh("ip", "netns", "pids", self.ns).stdout.split():
            try:
                if open("/proc/%s/cmdline" % pid, "rb").read().decode(errors="replace").split("\0")[:2] == ["osier", what]:
                    os.kill(int(pid), signal.SIGKILL)
                    killed += 1
            except OSError:
                pass
        return killed

    def die(self):
        """All that runs here is killed at once."""
        for _ in range(3):
            for pid in sh("ip", "netns", "pids", self.ns).stdout.split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)

    def power_cut(self):
        """All that runs here dies at once, and the disk is what was synced (powercut.c, with h.state + ".shadow")."""
        self.die()
        own = {n: open(os.path.join(self.state, n), "rb").read() for n in os.listdir(self.state) if n == "config.yaml" or n.endswith(".policy")}
        for name in os.listdir(self.state):  # the folder itself may be a disk of its own
            path = os.path.join(self.state, name)
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        shutil.copytree(self.state + ".shadow", self.state, symlinks=True, dirs_exist_ok=True)
        for name, what in own.items():  # what a person wrote long ago
            with open(os.path.join(self.state, name), "wb") as f:
                f.write(what)

    def close(self):
        self.run("timeout", "30", "osier", "down", check=False, timeout=40)
        for what in ("osier-keeper", "engine", "mosquitto"):
            self.kill(what)
        self.cable.close()
        sh("ip", "netns", "del", self.ns, check=False)


class Fleet:
    def __init__(self, seed=1):
        self.seed = seed
        self.prefix = "osier%d" % os.getpid()
        self.dir = tempfile.mkdtemp(prefix="osier-fleet.")
        self.sites, self.hosts, self.between, self.started = {}, {}, {}, []

    def switch(self, site):
        if site not in self.sites:
            ns = "%s-sw-%s" % (self.prefix, site)
            sh("ip", "netns", "add", ns)
            sh("ip", "-n", ns, "link", "add", "br0", "type", "bridge")
            sh("ip", "-n", ns, "link", "set", "br0", "up")
            self.sites[site] = ns
        return self.sites[site]

    def plug(self, site, end):
        sh("ip", "-n", self.switch(site), "link", "set", end, "master", "br0")
        sh("ip", "-n", self.switch(site), "link", "set", end, "up")

    def join(self, a, b):
        """A cable between two sites."""
        ends = "to-" + b, "to-" + a
        self.between[a, b] = Cable((self.switch(a), ends[0]), (self.switch(b), ends[1]), self.seed)
        self.plug(a, ends[0])
        self.plug(b, ends[1])
        return self.between[a, b]

    def host(self, name, site="here"):
        self.switch(site)
        h = Host(self, name, site, len(self.hosts) + 1)
        self.hosts[name] = h
        setattr(self, name, h)
        return h

    def begin(self, more=lambda name: "", **cpus):
        """Hosts with so many cpus each, 'hub' among them; more(name) gives the rest of a configuration. All are up, and nobody has joined the hub."""
        for name, cpu in cpus.items():
            h = self.host(name)
            with open(os.path.join(h.state, "config.yaml"), "w") as c:
                c.write("name: %s\ncapacity: {cpu: %s}\n%s" % (name, cpu, more(name)))
        os.chmod(self.dir, 0o777)
        for h in self.hosts.values():
            h.osier("up")
        self.hub.osier("hub", "--address", self.hub.ip)

    def close(self):
        for h in self.hosts.values():
            h.close()
        for p in self.started:
            if p.poll() is None:
                p.kill()
            p.wait()
        for c in self.between.values():
            c.close()
        for ns in self.sites.values():
            sh("ip", "netns", "del", ns, check=False)
        self.remove()

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def until(what, seconds, name):
    """Wait until what() is true; what it gave. Failed, with its name, after so many seconds."""
    end = time.monotonic() + seconds
    last = None
    while True:
        try:
            got = what()
            if got:
                return got
            last = got
        except (Failed, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as e:
            last = e
        if time.monotonic() > end:
            raise Failed("not within %d s: %s (last: %s)" % (seconds, name, last))
        time.sleep(0.1)


class Tap:
    """Facts, as test/tap.bash prints them."""

    def __init__(self):
        self.n = self.bad = 0

    def fact(self, name, what):
        self.n += 1
        began = time.monotonic()
        try:
            got = what() if callable(what) else what
            if got is False:
                raise Failed("it is not so")
            print("ok - %s" % name, flush=True)
        except (Failed, AssertionError, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as e:
            for line in ("%s: %s" % (type(e).__name__, e)).split("\n")[:40]:
                print("# " + line)
            print("# after %.1f s" % (time.monotonic() - began))
            print("not ok - %s" % name, flush=True)
            self.bad += 1

    def end(self):
        print("1..%d" % self.n)
        return 1 if self.bad else 0
