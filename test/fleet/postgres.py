# SPDX-License-Identifier: Apache-2.0
"""postgres - PostgreSQL on a host of a fleet, as Debian has it: a first server and standbys of it that stream. For tests."""
import glob
import os
import re
import shutil
import signal
import time

from fleet import until

PLACES = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: [int(n) for n in re.findall(r"\d+", p)])
BIN = PLACES[-1] if PLACES else ""


def there():
    return BIN != "" and os.path.exists(BIN + "/initdb")


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Server:
    """On this host's address, for everybody in the fleet, without passwords: the cables are the test's own."""

    def __init__(self, host):
        self.host, self.dir = host, os.path.join(host.fleet.dir, host.name + ".pg")
        os.makedirs(self.dir)
        shutil.chown(self.dir, "postgres", "postgres")
        os.chmod(self.dir, 0o700)

    def tool(self, name, *words, **how):
        return self.host.run("setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", BIN + "/" + name, *words, **how)

    def settings(self, *more):
        with open(self.dir + "/postgresql.auto.conf", "a") as f:
            for line in ("listen_addresses = '%s'" % self.host.ip, "unix_socket_directories = ''", "shared_buffers = 16MB", "max_connections = 60",
                         "wal_receiver_status_interval = 1s", "wal_receiver_timeout = 5s", "wal_retrieve_retry_interval = 200ms", *more):
                f.write(line + "\n")
        with open(self.dir + "/pg_hba.conf", "w") as f:
            f.write("host all all 10.77.0.0/16 trust\nhost replication all 10.77.0.0/16 trust\n")

    def start(self):
        self.tool("pg_ctl", "-D", self.dir, "-l", self.dir + "/log", "-s", "-w", "start")

    def first(self):
        self.tool("initdb", "-D", self.dir, "-U", "osier", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
        self.settings()
        self.start()

    def replica_of(self, other):
        """Streams, and is waited for by the other from now on."""
        name = self.host.name
        self.tool("pg_basebackup", "-h", other.host.ip, "-U", "osier", "-D", self.dir, "-R", "-X", "stream", "-c", "fast")
        self.settings("primary_conninfo = 'host=%s user=osier application_name=%s'" % (other.host.ip, name))
        self.start()
        other.sql("ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (%s)'" % name)
        other.sql("SELECT pg_reload_conf()")
        until(lambda: other.sql("SELECT sync_state FROM pg_stat_replication") == "sync", 20, "%s is waited for" % name)

    def kill(self):
        """All of it with -9, and gone when this returns: what is left of one keeps the next from starting."""
        lock = self.dir + "/postmaster.pid"
        try:
            top = int(open(lock).readline())
        except (OSError, ValueError):
            return
        pids = [top]
        for task in glob.glob("/proc/%d/task/*/children" % top):
            pids += [int(p) for p in open(task).read().split()]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        while any(map(alive, pids)):
            time.sleep(0.02)
        if os.path.exists(lock):
            os.unlink(lock)

    def empty(self):
        """As a new machine in its place."""
        for name in os.listdir(self.dir):
            path = os.path.join(self.dir, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)

    def promote(self):
        self.tool("pg_ctl", "-D", self.dir, "-s", "-w", "promote")

    def sql(self, text):
        return self.tool("psql", "-X", "-q", "-A", "-t", "-h", self.host.ip, "-U", "osier", "-d", "postgres", "-c", text).strip()
